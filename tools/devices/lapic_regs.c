// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The guest's accesses to local APIC registers: to memory in xAPIC mode, to MSRs in x2APIC
 * mode. SDM, "The Local APIC Block Diagram" (the address map) and "Extended XAPIC (x2APIC)".
 */
#include <string.h>

#include "lapic_internal.h"

/* Registers: bits 9:4 of the offset, and the low bits of the MSR. */
#define REG_ID		0x02
#define REG_VERSION	0x03
#define REG_TPR		0x08
#define REG_PPR		0x0a
#define REG_EOI		0x0b
#define REG_LDR		0x0d
#define REG_DFR		0x0e
#define REG_SVR		0x0f
#define REG_ISR		0x10
#define REG_TMR		0x18
#define REG_IRR		0x20
#define REG_ESR		0x28
#define REG_ICR		0x30
#define REG_ICR_HIGH	0x31
#define REG_LVT		0x32
#define REG_INITIAL	0x38
#define REG_CURRENT	0x39
#define REG_DIVIDE	0x3e
#define REG_SELF_IPI	0x3f
#define REG_COUNT	0x40

/* Version 14H; the number of the last LVT entry; EOI broadcasts can be suppressed. */
#define VERSION		(0x14 | (VMX_LVT_COUNT - 1) << 16 | 1 << 24)

/* Interrupt-command register */
#define ICR_LOGICAL		(1u << 11)
#define ICR_ASSERT		(1u << 14)
#define ICR_LEVEL		(1u << 15)
#define ICR_SHORTHAND(icr)	((icr) >> 18 & 3)
#define ICR_BITS		0xccfffu	/* vector to trigger mode, shorthand */

enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

/* Interrupt-command register: SDM, "Issuing Interprocessor Interrupts". */

static bool illegal_vector(struct vmx_lapic *lapic, unsigned int delivery, uint8_t vector)
{
	if (delivery > VMX_APIC_LOWEST || vector >= FIRST_VECTOR)
		return false;
	vmx_lapic_error(lapic, ESR_SEND_ILLEGAL);
	return true;
}

/* All are edge-triggered but the INIT level de-assert, which nobody notices since the Pentium 4. */
static void send(struct vmx_lapic *lapic)
{
	uint32_t icr = lapic->icr;
	struct vmx_apic_message message = {
		.destination = lapic->icr >> 32,
		.delivery = vmx_lvt_delivery(icr),
		.vector = icr & LVT_VECTOR,
		.logical = icr & ICR_LOGICAL,
	};
	const struct vmx_lapic *except = NULL;

	if (message.delivery == VMX_APIC_EXTINT ||
	    illegal_vector(lapic, message.delivery, message.vector))
		return;
	if (message.delivery == VMX_APIC_INIT && icr & ICR_LEVEL && !(icr & ICR_ASSERT))
		return;
	if (vmx_lapic_mode(lapic) == LAPIC_XAPIC)
		message.destination = vmx_apic_widen(lapic->icr >> 56);
	switch (ICR_SHORTHAND(icr)) {
	case SHORTHAND_SELF:
		vmx_lapic_receive(lapic, message.delivery, message.vector, false);
		return;
	case SHORTHAND_OTHERS:
		except = lapic;
		message.destination = VMX_APIC_EVERYONE;
		break;
	case SHORTHAND_ALL:
		message.destination = VMX_APIC_EVERYONE;
		break;
	}
	vmx_apic_bus_send_but(lapic->config.bus, &message, except);
}

/* Registers that are more than memory */

static uint32_t read_id(const struct vmx_lapic *lapic)
{
	uint32_t id = lapic->config.id;

	return vmx_lapic_mode(lapic) == LAPIC_XAPIC ? id << 24 : id;
}

static uint32_t read_version(const struct vmx_lapic *lapic)
{
	(void)lapic;
	return VERSION;
}

static void write_tpr(struct vmx_lapic *lapic, uint32_t value)
{
	lapic->tpr = value;
}

static void write_eoi(struct vmx_lapic *lapic, uint32_t value)
{
	(void)value;
	vmx_lapic_eoi(lapic);
}

static void write_ldr(struct vmx_lapic *lapic, uint32_t value)
{
	lapic->ldr = value;
}

static void write_dfr(struct vmx_lapic *lapic, uint32_t value)
{
	lapic->dfr = value | 0x0fffffff;
}

/* SDM, "Error Handling": a write shows the errors since the last. */
static void write_esr(struct vmx_lapic *lapic, uint32_t value)
{
	(void)value;
	lapic->esr = lapic->errors;
	lapic->errors = 0;
}

static uint32_t read_icr(const struct vmx_lapic *lapic)
{
	return lapic->icr;
}

static void write_icr(struct vmx_lapic *lapic, uint32_t value)
{
	lapic->icr = (lapic->icr & ~0ull << 32) | value;
	send(lapic);
}

static uint32_t read_icr_high(const struct vmx_lapic *lapic)
{
	return lapic->icr >> 32;
}

static void write_icr_high(struct vmx_lapic *lapic, uint32_t value)
{
	lapic->icr = (lapic->icr & UINT32_MAX) | (uint64_t)value << 32;
}

static void write_self_ipi(struct vmx_lapic *lapic, uint32_t value)
{
	if (!illegal_vector(lapic, VMX_APIC_FIXED, value))
		vmx_lapic_receive(lapic, VMX_APIC_FIXED, value, false);
}

/*
 * The table. What has no @read is read where @field is. @writable bits are what a write sets.
 * @ignored bits exist and a write does not change them; all others are reserved, and #GP in x2APIC
 * mode. Bit 9 of the SVR was focus checking: kernels set it out of habit. Bit 12 of the ICR was its
 * delivery status.
 */

#define IN(mode)	(1 << LAPIC_##mode)
#define IN_BOTH		(IN(XAPIC) | IN(X2APIC))

struct reg {
	uint32_t (*read)(const struct vmx_lapic *lapic);
	void (*write)(struct vmx_lapic *lapic, uint32_t value);
	size_t field;
	uint32_t writable;
	uint32_t ignored;
	uint8_t readable_in;
	uint8_t writable_in;
};

#define FIELD(name)	.field = offsetof(struct vmx_lapic, name)
#define R(modes)	.readable_in = (modes)
#define W(modes)	.writable_in = (modes)
#define RW(modes)	R(modes), W(modes)

#define ONE(base, name, n) \
	[(base) + (n)] = { FIELD(name[n]), R(IN_BOTH) }
#define EIGHT(base, name) \
	ONE(base, name, 0), ONE(base, name, 1), ONE(base, name, 2), ONE(base, name, 3), \
	ONE(base, name, 4), ONE(base, name, 5), ONE(base, name, 6), ONE(base, name, 7)

/* write_register() writes these. */
#define LVT(entry, bits, ignored_bits) \
	[REG_LVT + VMX_LVT_##entry] = { FIELD(lvt[VMX_LVT_##entry]), RW(IN_BOTH), \
		.writable = LVT_VECTOR | LVT_MASKED | (bits), \
		.ignored = LVT_STATUS | (ignored_bits) }

#define LVT_PIN		(LVT_DELIVERY | LVT_ACTIVE_LOW | LVT_LEVEL)

static const struct reg regs[REG_COUNT] = {
	[REG_ID] = { read_id, R(IN_BOTH) },
	[REG_VERSION] = { read_version, R(IN_BOTH) },
	[REG_TPR] = { NULL, write_tpr, FIELD(tpr), RW(IN_BOTH), .writable = 0xff },
	[REG_PPR] = { vmx_lapic_ppr, R(IN_BOTH) },
	[REG_EOI] = { NULL, write_eoi, W(IN_BOTH) },
	[REG_LDR] = { vmx_lapic_ldr, write_ldr, R(IN_BOTH), W(IN(XAPIC)), .writable = 0xff000000 },
	[REG_DFR] = { NULL, write_dfr, FIELD(dfr), RW(IN(XAPIC)), .writable = 0xf0000000 },
	[REG_SVR] = { NULL, vmx_lapic_set_svr, FIELD(svr), RW(IN_BOTH),
		      .writable = 0xff | SVR_ENABLE | SVR_NO_EOI_BROADCAST, .ignored = SVR_FOCUS },
	EIGHT(REG_ISR, isr),
	EIGHT(REG_TMR, tmr),
	EIGHT(REG_IRR, irr),
	[REG_ESR] = { NULL, write_esr, FIELD(esr), RW(IN_BOTH) },
	[REG_ICR] = { read_icr, write_icr, RW(IN_BOTH),
		      .writable = ICR_BITS, .ignored = LVT_STATUS },
	[REG_ICR_HIGH] = { read_icr_high, write_icr_high, RW(IN(XAPIC)), .writable = 0xff000000 },
	LVT(TIMER, LVT_TIMER_MODE, 0),
	LVT(THERMAL, LVT_DELIVERY, 0),
	LVT(PERF, LVT_DELIVERY, 0),
	LVT(LINT0, LVT_PIN, LVT_REMOTE_IRR),
	LVT(LINT1, LVT_PIN, LVT_REMOTE_IRR),
	LVT(ERROR, 0, 0),
	[REG_INITIAL] = { NULL, vmx_lapic_timer_set_initial, FIELD(initial), RW(IN_BOTH),
			  .writable = UINT32_MAX },
	[REG_CURRENT] = { vmx_lapic_timer_current, R(IN_BOTH) },
	[REG_DIVIDE] = { NULL, vmx_lapic_timer_set_divide, FIELD(divide), RW(IN_BOTH),
			 .writable = 0xb },
	[REG_SELF_IPI] = { NULL, write_self_ipi, W(IN(X2APIC)), .writable = 0xff },
};

static uint32_t writable_bits(const struct vmx_lapic *lapic, unsigned int n)
{
	/* Without a TSC to wait for, bit 18 is reserved. */
	if (n == REG_LVT + VMX_LVT_TIMER && !lapic->config.tsc_khz)
		return regs[n].writable & ~LVT_TIMER_DEADLINE;
	return regs[n].writable;
}

static uint32_t read_register(const struct vmx_lapic *lapic, unsigned int n)
{
	uint32_t value;

	if (regs[n].read)
		return regs[n].read(lapic);
	memcpy(&value, (const char *)lapic + regs[n].field, sizeof(value));
	return value;
}

static void write_register(struct vmx_lapic *lapic, unsigned int n, uint32_t value)
{
	value &= writable_bits(lapic, n);
	if (n >= REG_LVT && n < REG_LVT + VMX_LVT_COUNT)
		vmx_lapic_set_lvt(lapic, n - REG_LVT, value);
	else
		regs[n].write(lapic, value);
}

static bool readable(const struct vmx_lapic *lapic, unsigned int n)
{
	return n < REG_COUNT && regs[n].readable_in & 1 << vmx_lapic_mode(lapic);
}

static bool writable(const struct vmx_lapic *lapic, unsigned int n)
{
	return n < REG_COUNT && regs[n].writable_in & 1 << vmx_lapic_mode(lapic);
}

/* Memory */

/* Registers are 32 bits each, in 16 bytes. */
static bool in_page(const struct vmx_lapic *lapic, uint64_t address, unsigned int size)
{
	uint64_t offset = address - (lapic->base & APIC_BASE_ADDRESS);

	return vmx_lapic_mode(lapic) == LAPIC_XAPIC && offset <= VMX_LAPIC_LENGTH - size;
}

/* The register that an access in the page is to; reserved ones are an error. */
static unsigned int reg_at(struct vmx_lapic *lapic, uint64_t address)
{
	unsigned int n = address % VMX_LAPIC_LENGTH / 16;

	if (!readable(lapic, n) && !writable(lapic, n))
		vmx_lapic_error(lapic, ESR_ILLEGAL_REGISTER);
	return n;
}

/* Only 32 bits at once are defined. Other sizes get what is there, and zeroes beside it. */
bool vmx_lapic_read(struct vmx_lapic *lapic, uint64_t address, unsigned int size, uint64_t *value)
{
	unsigned int shift = address % 16 * 8, n;

	if (!in_page(lapic, address, size))
		return false;
	*value = 0;
	n = reg_at(lapic, address);
	if (!readable(lapic, n) || shift >= 32)
		return true;
	*value = read_register(lapic, n) >> shift;
	if (size < 4)
		*value &= (1u << 8 * size) - 1;
	return true;
}

/* Other sizes change nothing: which half would send an IPI? */
bool vmx_lapic_write(struct vmx_lapic *lapic, uint64_t address, unsigned int size, uint64_t value)
{
	unsigned int n;

	if (!in_page(lapic, address, size))
		return false;
	n = reg_at(lapic, address);
	if (writable(lapic, n) && size == 4 && address % 16 == 0)
		write_register(lapic, n, value);
	return true;
}

/* MSRs */

static bool rdmsr_x2apic(struct vmx_lapic *lapic, unsigned int n, uint64_t *value)
{
	if (vmx_lapic_mode(lapic) != LAPIC_X2APIC || !readable(lapic, n))
		return false;
	*value = n == REG_ICR ? lapic->icr : read_register(lapic, n);
	return true;
}

static bool wrmsr_x2apic(struct vmx_lapic *lapic, unsigned int n, uint64_t value)
{
	uint64_t defined;

	if (vmx_lapic_mode(lapic) != LAPIC_X2APIC || !writable(lapic, n))
		return false;
	/* The only register of 64 bits: it has the destination as well. */
	defined = writable_bits(lapic, n) | regs[n].ignored | (n == REG_ICR ? ~0ull << 32 : 0);
	if (value & ~defined)
		return false;
	if (n == REG_ICR)
		write_icr_high(lapic, value >> 32);
	write_register(lapic, n, value);
	return true;
}

/* SDM, "x2APIC State Transitions": what may follow each mode. */
static const uint8_t may_follow[] = {
	[LAPIC_OFF] = IN(OFF) | IN(XAPIC),
	[LAPIC_XAPIC] = IN_BOTH | IN(OFF),
	[LAPIC_X2APIC] = IN(X2APIC) | IN(OFF),
};

static bool set_base(struct vmx_lapic *lapic, uint64_t value)
{
	uint64_t defined = APIC_BASE_BSP | APIC_BASE_EN | APIC_BASE_ADDRESS |
			   (lapic->config.x2apic ? APIC_BASE_EXTD : 0);
	enum lapic_mode from = vmx_lapic_mode(lapic), to;
	uint64_t old = lapic->base;

	if (value & ~defined || value >> lapic->config.physical_bits)
		return false;
	if (value & APIC_BASE_EXTD && !(value & APIC_BASE_EN))
		return false;
	lapic->base = value;
	to = vmx_lapic_mode(lapic);
	if (!(may_follow[from] & 1 << to)) {
		lapic->base = old;
		return false;
	}
	/* SDM, "Enabling or Disabling the Local APIC": it loses its state. */
	if (to == LAPIC_OFF && from != LAPIC_OFF)
		vmx_lapic_reset_registers(lapic);
	return true;
}

bool vmx_lapic_rdmsr(struct vmx_lapic *lapic, uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case VMX_MSR_APIC_BASE:
		*value = lapic->base;
		return true;
	case VMX_MSR_TSC_DEADLINE:
		*value = lapic->tsc_deadline;
		return lapic->config.tsc_khz;
	default:
		return rdmsr_x2apic(lapic, msr - VMX_MSR_X2APIC, value);
	}
}

bool vmx_lapic_wrmsr(struct vmx_lapic *lapic, uint32_t msr, uint64_t value)
{
	switch (msr) {
	case VMX_MSR_APIC_BASE:
		return set_base(lapic, value);
	case VMX_MSR_TSC_DEADLINE:
		vmx_lapic_timer_set_deadline(lapic, value);
		return lapic->config.tsc_khz;
	default:
		return wrmsr_x2apic(lapic, msr - VMX_MSR_X2APIC, value);
	}
}

/* SDM, "Task Priority in IA-32e Mode". */

uint64_t vmx_lapic_cr8(const struct vmx_lapic *lapic)
{
	return lapic->tpr >> 4;
}

bool vmx_lapic_set_cr8(struct vmx_lapic *lapic, uint64_t value)
{
	if (value > 15)
		return false;
	lapic->tpr = value << 4;
	return true;
}
