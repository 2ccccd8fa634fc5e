/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of the local APIC. Bits have the names of the SDM's figures. */
#ifndef LAPIC_INTERNAL_H
#define LAPIC_INTERNAL_H

#include <libvmx/lapic.h>

/* IA32_APIC_BASE */
#define APIC_BASE_BSP		(1ull << 8)
#define APIC_BASE_EXTD		(1ull << 10)
#define APIC_BASE_EN		(1ull << 11)
#define APIC_BASE_ADDRESS	(~0ull << 12)

/* Spurious-interrupt vector register */
#define SVR_ENABLE		(1u << 8)
#define SVR_FOCUS		(1u << 9)
#define SVR_NO_EOI_BROADCAST	(1u << 12)

/* Local vector table; the ICR and redirection entries have vector and mode there too */
#define LVT_VECTOR		0xffu
#define LVT_DELIVERY		0x700u
#define LVT_DELIVERY_SHIFT	8
#define LVT_STATUS		(1u << 12)
#define LVT_ACTIVE_LOW		(1u << 13)
#define LVT_REMOTE_IRR		(1u << 14)
#define LVT_LEVEL		(1u << 15)
#define LVT_MASKED		(1u << 16)
#define LVT_TIMER_MODE		(3u << 17)
#define LVT_TIMER_PERIODIC	(1u << 17)
#define LVT_TIMER_DEADLINE	(2u << 17)

/* Error-status register */
#define ESR_SEND_ILLEGAL	(1u << 5)
#define ESR_RECEIVED_ILLEGAL	(1u << 6)
#define ESR_ILLEGAL_REGISTER	(1u << 7)

/* Interrupts 0 to 15 are the CPU's exceptions: no local APIC delivers them. */
#define FIRST_VECTOR		16

enum lapic_mode { LAPIC_OFF, LAPIC_XAPIC, LAPIC_X2APIC };

static inline enum lapic_mode vmx_lapic_mode(const struct vmx_lapic *lapic)
{
	if (!(lapic->base & APIC_BASE_EN))
		return LAPIC_OFF;
	return lapic->base & APIC_BASE_EXTD ? LAPIC_X2APIC : LAPIC_XAPIC;
}

static inline unsigned int vmx_lvt_delivery(uint32_t entry)
{
	return (entry & LVT_DELIVERY) >> LVT_DELIVERY_SHIFT;
}

/* lapic.c */

/* All registers as after reset, but for IA32_APIC_BASE; NMI, INIT and SIPI stay. */
void vmx_lapic_reset_registers(struct vmx_lapic *lapic);
/* Processor priority. */
uint32_t vmx_lapic_ppr(const struct vmx_lapic *lapic);
/* A message reached this APIC; false if it was not accepted. */
bool vmx_lapic_receive(struct vmx_lapic *lapic, unsigned int delivery, uint8_t vector, bool level);
void vmx_lapic_error(struct vmx_lapic *lapic, uint32_t error);
void vmx_lapic_eoi(struct vmx_lapic *lapic);
void vmx_lapic_set_lvt(struct vmx_lapic *lapic, enum vmx_lvt entry, uint32_t value);
void vmx_lapic_set_svr(struct vmx_lapic *lapic, uint32_t value);

/* lapic_bus.c */

int vmx_lapic_join(struct vmx_lapic *lapic);
/* What a destination of 8 bits means among those of 32. */
uint32_t vmx_apic_widen(uint8_t destination);
bool vmx_apic_bus_send_but(struct vmx_apic_bus *bus, const struct vmx_apic_message *message,
			   const struct vmx_lapic *except);
void vmx_apic_bus_eoi(struct vmx_apic_bus *bus, uint8_t vector);
/* The logical ID, in the form of the mode it is in. */
uint32_t vmx_lapic_ldr(const struct vmx_lapic *lapic);

/* lapic_timer.c */

void vmx_lapic_timer_init(struct vmx_lapic *lapic);
void vmx_lapic_timer_reset(struct vmx_lapic *lapic);
/* The timer's LVT entry is about to change to VALUE. */
void vmx_lapic_timer_mode(struct vmx_lapic *lapic, uint32_t value);
void vmx_lapic_timer_set_initial(struct vmx_lapic *lapic, uint32_t value);
void vmx_lapic_timer_set_divide(struct vmx_lapic *lapic, uint32_t value);
uint32_t vmx_lapic_timer_current(const struct vmx_lapic *lapic);
void vmx_lapic_timer_set_deadline(struct vmx_lapic *lapic, uint64_t tsc);

#endif /* LAPIC_INTERNAL_H */
