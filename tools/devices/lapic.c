// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The local APIC's interrupts: acceptance, pending and in-service interrupts. SDM, "Advanced
 * Programmable Interrupt Controller (APIC)", "Handling Interrupts".
 */
#include <errno.h>
#include <string.h>

#include "../lib/internal.h"
#include "lapic_internal.h"

/* IRR, ISR and TMR: 256 bits each. */

static void set_bit(uint32_t *bits, uint8_t vector, bool value)
{
	uint32_t bit = 1u << (vector % 32);

	if (value)
		bits[vector / 32] |= bit;
	else
		bits[vector / 32] &= ~bit;
}

static bool has_bit(const uint32_t *bits, uint8_t vector)
{
	return bits[vector / 32] & 1u << (vector % 32);
}

static int highest(const uint32_t *bits)
{
	for (int n = 7; n >= 0; n--)
		if (bits[n])
			return 32 * n + 31 - __builtin_clz(bits[n]);
	return -1;
}

/* SDM, "Task and Processor Priorities". */
uint32_t vmx_lapic_ppr(const struct vmx_lapic *lapic)
{
	int in_service = highest(lapic->isr);
	uint32_t class = in_service < 0 ? 0 : in_service & 0xf0;

	return (lapic->tpr & 0xf0) >= class ? lapic->tpr : class;
}

int vmx_lapic_pending(const struct vmx_lapic *lapic)
{
	int vector = highest(lapic->irr);

	/* The IRR of an APIC that is off accepts nothing. */
	if (lapic->waiting || vector < 0)
		return -1;
	return (vector & 0xf0u) > (vmx_lapic_ppr(lapic) & 0xf0) ? vector : -1;
}

void vmx_lapic_accept(struct vmx_lapic *lapic, int vector)
{
	if (vector < 0 || vector != vmx_lapic_pending(lapic))
		return;
	set_bit(lapic->irr, vector, false);
	set_bit(lapic->isr, vector, true);
}

/* Pins */

static bool asserted(const struct vmx_lapic *lapic, unsigned int pin)
{
	return lapic->lint[pin] != !!(lapic->lvt[VMX_LVT_LINT0 + pin] & LVT_ACTIVE_LOW);
}

static bool lint_is(const struct vmx_lapic *lapic, unsigned int pin, unsigned int delivery)
{
	uint32_t entry = lapic->lvt[VMX_LVT_LINT0 + pin];

	return !(entry & LVT_MASKED) && vmx_lvt_delivery(entry) == delivery;
}

/* The 8259 withdraws its request by itself: that is not remembered here. */
static bool extint(const struct vmx_lapic *lapic)
{
	if (vmx_lapic_mode(lapic) == LAPIC_OFF)
		return lapic->lint[0];
	for (unsigned int pin = 0; pin < 2; pin++)
		if (lint_is(lapic, pin, VMX_APIC_EXTINT) && asserted(lapic, pin))
			return true;
	return lapic->extint;
}

/* Pins are level-sensitive in fixed mode only. */
static bool level_triggered(const struct vmx_lapic *lapic, unsigned int pin)
{
	return lint_is(lapic, pin, VMX_APIC_FIXED) &&
	       lapic->lvt[VMX_LVT_LINT0 + pin] & LVT_LEVEL;
}

static void judge_level(struct vmx_lapic *lapic, unsigned int pin)
{
	uint32_t *entry = &lapic->lvt[VMX_LVT_LINT0 + pin];

	if (!level_triggered(lapic, pin) || !asserted(lapic, pin) || *entry & LVT_REMOTE_IRR)
		return;
	if (vmx_lapic_receive(lapic, VMX_APIC_FIXED, *entry & LVT_VECTOR, true))
		*entry |= LVT_REMOTE_IRR;
}

/* Events */

unsigned int vmx_lapic_events(const struct vmx_lapic *lapic)
{
	unsigned int events = 0;

	if (lapic->init)
		events |= VMX_LAPIC_INIT;
	if (lapic->sipi)
		events |= VMX_LAPIC_SIPI;
	if (lapic->waiting)
		return events;
	if (lapic->nmi)
		events |= VMX_LAPIC_NMI;
	if (extint(lapic))
		events |= VMX_LAPIC_EXTINT;
	if (vmx_lapic_pending(lapic) >= 0)
		events |= VMX_LAPIC_INTR;
	return events;
}

/* A vCPU that knows of an event looks for itself what comes of others like it. */
static void kick_if_more(struct vmx_lapic *lapic, unsigned int before)
{
	if (lapic->config.kick && vmx_lapic_events(lapic) & ~before)
		lapic->config.kick(lapic->config.vcpu);
}

void vmx_lapic_set_lint(void *data, unsigned int pin, bool level)
{
	struct vmx_lapic *lapic = data;
	unsigned int before;
	bool was;

	if (pin > 1)
		return;
	before = vmx_lapic_events(lapic);
	if (vmx_lapic_mode(lapic) == LAPIC_OFF) {
		if (pin && level && !lapic->lint[1])
			lapic->nmi = true;
		lapic->lint[pin] = level;
		kick_if_more(lapic, before);
		return;
	}
	was = asserted(lapic, pin);
	lapic->lint[pin] = level;
	if (lint_is(lapic, pin, VMX_APIC_EXTINT))
		kick_if_more(lapic, before);
	else if (level_triggered(lapic, pin))
		judge_level(lapic, pin);
	else if (asserted(lapic, pin) && !was)
		vmx_lapic_raise(lapic, VMX_LVT_LINT0 + pin);
}

void vmx_lapic_raise(struct vmx_lapic *lapic, enum vmx_lvt entry)
{
	uint32_t value;

	if (entry >= VMX_LVT_COUNT)
		return;
	value = lapic->lvt[entry];
	if (value & LVT_MASKED)
		return;
	/* SDM, "Generating an Interrupt on Overflow": the handler unmasks. */
	if (entry == VMX_LVT_PERF)
		lapic->lvt[entry] |= LVT_MASKED;
	vmx_lapic_receive(lapic, vmx_lvt_delivery(value), value & LVT_VECTOR, false);
}

/* One interrupt for all errors between two writes of the ESR, so errors of its own end there. */
void vmx_lapic_error(struct vmx_lapic *lapic, uint32_t error)
{
	bool armed = !lapic->errors;

	lapic->errors |= error;
	if (armed)
		vmx_lapic_raise(lapic, VMX_LVT_ERROR);
}

static bool receive_vector(struct vmx_lapic *lapic, uint8_t vector, bool level)
{
	if (!(lapic->svr & SVR_ENABLE))
		return false;
	if (vector < FIRST_VECTOR) {
		vmx_lapic_error(lapic, ESR_RECEIVED_ILLEGAL);
		return false;
	}
	set_bit(lapic->irr, vector, true);
	set_bit(lapic->tmr, vector, level);
	return true;
}

/* Only a processor that waits for it, or is about to, notices a SIPI. */
static bool receive_sipi(struct vmx_lapic *lapic, uint8_t vector)
{
	if (!lapic->waiting && !(lapic->init && !(lapic->base & APIC_BASE_BSP)))
		return false;
	if (!lapic->sipi)
		lapic->sipi_vector = vector;
	lapic->sipi = true;
	return true;
}

static bool receive(struct vmx_lapic *lapic, unsigned int delivery, uint8_t vector, bool level)
{
	switch (delivery) {
	case VMX_APIC_FIXED:
	case VMX_APIC_LOWEST:
		return receive_vector(lapic, vector, level);
	case VMX_APIC_SMI:
		return true;
	case VMX_APIC_NMI:
		lapic->nmi = true;
		return true;
	case VMX_APIC_INIT:
		/* Cancel an earlier SIPI. */
		lapic->init = true;
		lapic->sipi = false;
		return true;
	case VMX_APIC_STARTUP:
		return receive_sipi(lapic, vector);
	case VMX_APIC_EXTINT:
		lapic->extint = true;
		return true;
	default:
		return false;
	}
}

bool vmx_lapic_receive(struct vmx_lapic *lapic, unsigned int delivery, uint8_t vector, bool level)
{
	unsigned int before = vmx_lapic_events(lapic);
	bool accepted;

	if (vmx_lapic_mode(lapic) == LAPIC_OFF)
		return false;
	accepted = receive(lapic, delivery, vector, level);
	kick_if_more(lapic, before);
	return accepted;
}

/* What the vCPU takes */

bool vmx_lapic_take_extint(struct vmx_lapic *lapic)
{
	bool taken = vmx_lapic_events(lapic) & VMX_LAPIC_EXTINT;

	if (taken)
		lapic->extint = false;
	return taken;
}

bool vmx_lapic_take_nmi(struct vmx_lapic *lapic)
{
	bool taken = vmx_lapic_events(lapic) & VMX_LAPIC_NMI;

	if (taken)
		lapic->nmi = false;
	return taken;
}

/* SDM, "Local APIC State After It Receives an INIT Reset (Wait-for-SIPI State)". */
bool vmx_lapic_take_init(struct vmx_lapic *lapic)
{
	if (!lapic->init)
		return false;
	vmx_lapic_reset_registers(lapic);
	lapic->init = false;
	lapic->nmi = false;
	lapic->waiting = !(lapic->base & APIC_BASE_BSP);
	return true;
}

int vmx_lapic_take_sipi(struct vmx_lapic *lapic)
{
	if (!lapic->sipi || lapic->init)
		return -1;
	lapic->sipi = false;
	lapic->waiting = false;
	return lapic->sipi_vector;
}

/* Registers that are more than memory */

/* SDM, "Signaling Interrupt Servicing Completion". */
void vmx_lapic_eoi(struct vmx_lapic *lapic)
{
	int vector = highest(lapic->isr);

	if (vector < 0)
		return;
	set_bit(lapic->isr, vector, false);
	if (!has_bit(lapic->tmr, vector))
		return;
	for (unsigned int pin = 0; pin < 2; pin++) {
		uint32_t *entry = &lapic->lvt[VMX_LVT_LINT0 + pin];

		if ((int)(*entry & LVT_VECTOR) != vector)
			continue;
		*entry &= ~LVT_REMOTE_IRR;
		judge_level(lapic, pin);
	}
	if (!(lapic->svr & SVR_NO_EOI_BROADCAST))
		vmx_apic_bus_eoi(lapic->config.bus, vector);
}

void vmx_lapic_set_lvt(struct vmx_lapic *lapic, enum vmx_lvt entry, uint32_t value)
{
	if (!(lapic->svr & SVR_ENABLE))
		value |= LVT_MASKED;
	if (value & LVT_LEVEL)
		value |= lapic->lvt[entry] & LVT_REMOTE_IRR;
	if (entry == VMX_LVT_TIMER)
		vmx_lapic_timer_mode(lapic, value);
	lapic->lvt[entry] = value;
	if (entry == VMX_LVT_LINT0 || entry == VMX_LVT_LINT1)
		judge_level(lapic, entry - VMX_LVT_LINT0);
}

/* SDM, "Local APIC State After It Has Been Software Disabled". */
void vmx_lapic_set_svr(struct vmx_lapic *lapic, uint32_t value)
{
	lapic->svr = value;
	if (value & SVR_ENABLE)
		return;
	for (unsigned int n = 0; n < VMX_LVT_COUNT; n++)
		lapic->lvt[n] |= LVT_MASKED;
}

/* SDM, "Local APIC State After Power-Up or Reset". */
void vmx_lapic_reset_registers(struct vmx_lapic *lapic)
{
	lapic->tpr = 0;
	lapic->ldr = 0;
	lapic->dfr = UINT32_MAX;
	lapic->svr = 0xff;
	lapic->esr = 0;
	lapic->errors = 0;
	lapic->icr = 0;
	lapic->extint = false;
	memset(lapic->irr, 0, sizeof(lapic->irr));
	memset(lapic->isr, 0, sizeof(lapic->isr));
	memset(lapic->tmr, 0, sizeof(lapic->tmr));
	for (unsigned int n = 0; n < VMX_LVT_COUNT; n++)
		lapic->lvt[n] = LVT_MASKED;
	vmx_lapic_timer_reset(lapic);
}

void vmx_lapic_reset(struct vmx_lapic *lapic)
{
	lapic->base = VMX_LAPIC_BASE | APIC_BASE_EN | (lapic->config.boot ? APIC_BASE_BSP : 0);
	lapic->waiting = !lapic->config.boot;
	lapic->nmi = false;
	lapic->init = false;
	lapic->sipi = false;
	vmx_lapic_reset_registers(lapic);
}

int vmx_lapic_init(struct vmx_lapic *lapic, const struct vmx_lapic_config *config)
{
	if (config->physical_bits < 32 || config->physical_bits > 52)
		return vmx_fail(EINVAL, "%u physical-address bits; a local APIC takes 32 to 52",
				config->physical_bits);
	*lapic = (struct vmx_lapic){ .config = *config };
	vmx_lapic_timer_init(lapic);
	vmx_lapic_reset(lapic);
	return vmx_lapic_join(lapic);
}
