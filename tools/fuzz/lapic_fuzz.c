// SPDX-License-Identifier: GPL-2.0
/*
 * Three processors, whose guest accesses their local APICs and an I/O APIC as the input says, each
 * with a loop that takes pending interrupts.
 */
#include <stdlib.h>
#include <string.h>

#include <libvmx/ioapic.h>

#define COUNT	3

struct step {
	uint8_t what;
	uint8_t who;
	uint16_t where;
	uint64_t value;
} __attribute__((packed));

static const uint32_t ids[COUNT] = { 0, 1, 0x101 };
static uint64_t now;
static unsigned int kicked;

static uint64_t read_now(void *source)
{
	(void)source;
	return now;
}

static void kick(void *vcpu)
{
	kicked |= 1u << (uintptr_t)vcpu;
}

static void must(bool what)
{
	if (!what)
		abort();
}

/* Interrupts only nest upwards, and what is taken is gone. */
static void take(struct vmx_lapic *lapic)
{
	unsigned int events = vmx_lapic_events(lapic);
	int vector = vmx_lapic_pending(lapic);

	must(!!(events & VMX_LAPIC_INIT) == vmx_lapic_take_init(lapic));
	if (events & VMX_LAPIC_INIT)
		return;
	must(!!(events & VMX_LAPIC_SIPI) == (vmx_lapic_take_sipi(lapic) >= 0));
	/* What was held back until now is there the next time. */
	if (events & VMX_LAPIC_SIPI)
		return;
	must(!!(events & VMX_LAPIC_NMI) == vmx_lapic_take_nmi(lapic));
	must(!!(events & VMX_LAPIC_EXTINT) == vmx_lapic_take_extint(lapic));
	must(!!(events & VMX_LAPIC_INTR) == (vector >= 16));
	if (vector < 0)
		return;
	vmx_lapic_accept(lapic, vector);
	must((vmx_lapic_pending(lapic) & 0xf0) != (vector & 0xf0) || vmx_lapic_pending(lapic) < 0);
	must(vmx_lapic_pending(lapic) < 0 || vmx_lapic_pending(lapic) < vector);
}

static void check(const struct vmx_lapic *lapic, unsigned int before, bool was_kicked)
{
	/* Nobody but itself takes something new from a vCPU, or gives it silently. */
	if (vmx_lapic_events(lapic) & ~before)
		must(was_kicked);
	must(!(lapic->irr[0] & 0xffff) && !(lapic->isr[0] & 0xffff));
	must(!lapic->waiting || !(vmx_lapic_events(lapic) & ~(VMX_LAPIC_INIT | VMX_LAPIC_SIPI)));
}

static void act(struct vmx_lapic *lapics, struct vmx_ioapic *ioapic, struct vmx_bus *memory,
		struct vmx_clock *clock, const struct step *step)
{
	struct vmx_lapic *lapic = &lapics[step->who % COUNT];
	unsigned int size = 1u << (step->who >> 6);
	uint64_t value, base = lapic->base & ~0xfffull;

	switch (step->what % 14) {
	case 0:
		vmx_lapic_read(lapic, base + step->where % 4100, size, &value);
		break;
	case 1:
		vmx_lapic_write(lapic, base + step->where % 4100, size, step->value);
		break;
	case 2:
		vmx_lapic_write(lapic, base + (step->where & 0x3f0), 4, step->value);
		break;
	case 3:
		vmx_lapic_rdmsr(lapic, 0x800 + step->where % 0x400, &value);
		break;
	case 4:
		vmx_lapic_wrmsr(lapic, 0x800 + step->where % 0x40, step->value);
		break;
	case 5:
		vmx_lapic_wrmsr(lapic, VMX_MSR_APIC_BASE, VMX_LAPIC_BASE | (step->value & 0xd00));
		break;
	case 6:
		vmx_lapic_wrmsr(lapic, VMX_MSR_TSC_DEADLINE, step->value);
		break;
	case 7:
		take(lapic);
		break;
	case 8:
		vmx_bus_write(memory, VMX_IOAPIC_BASE + (step->where & 0x50), size, step->value);
		break;
	case 9:
		vmx_bus_write(memory, VMX_IOAPIC_BASE, 4, step->where);
		vmx_bus_write(memory, VMX_IOAPIC_BASE + 0x10, 4, step->value);
		vmx_bus_read(memory, VMX_IOAPIC_BASE + 0x10, 4, &value);
		break;
	case 10:
		vmx_ioapic_set(ioapic, step->where % 25, step->value & 1);
		break;
	case 11:
		vmx_lapic_set_lint(lapic, step->where % 3, step->value & 1);
		break;
	case 12:
		vmx_apic_bus_msi(lapic->config.bus, VMX_LAPIC_BASE | step->where << 2,
				 step->value);
		break;
	case 13:
		/* What is next, if it is not years away; else a moment. */
		if (step->value & 1 && vmx_clock_next(clock) - now < 1ull << 50)
			now = vmx_clock_next(clock);
		else
			now += step->value >> 24;
		vmx_clock_expire(clock);
		if (step->value & 2)
			vmx_lapic_set_tsc(lapic, step->value);
		else
			vmx_lapic_set_cr8(lapic, step->value >> 8 & 0x1f);
		break;
	}
}

/* Without a bound a long run would reach the end of time. */
#define END_OF_TIME	(1ull << 62)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmx_clock clock = { .now = read_now };
	struct vmx_lapic lapics[COUNT];
	struct vmx_apic_bus bus = { 0 };
	struct vmx_bus memory = { 0 };
	struct vmx_ioapic ioapic;
	struct step step;

	now = 0;
	for (unsigned int n = 0; n < COUNT; n++) {
		struct vmx_lapic_config config = {
			.bus = &bus, .clock = &clock, .kick = kick, .vcpu = (void *)(uintptr_t)n,
			.id = ids[n], .boot = !n, .x2apic = true, .physical_bits = 39,
			.tsc_khz = n == 1 ? 0 : 2400000 + n,
		};

		must(!vmx_lapic_init(&lapics[n], &config));
	}
	vmx_ioapic_init(&ioapic, &bus, 0xff0000);
	must(!vmx_ioapic_attach(&ioapic, &memory, VMX_IOAPIC_BASE));
	for (; size >= sizeof(step) && now < END_OF_TIME; size -= sizeof(step)) {
		unsigned int before[COUNT];

		memcpy(&step, data, sizeof(step));
		data += sizeof(step);
		kicked = 0;
		for (unsigned int n = 0; n < COUNT; n++)
			before[n] = vmx_lapic_events(&lapics[n]);
		act(lapics, &ioapic, &memory, &clock, &step);
		/* A vCPU looks for itself after what it did itself. */
		for (unsigned int n = 0; n < COUNT; n++)
			check(&lapics[n], n == step.who % COUNT ? ~0u : before[n],
			      kicked & 1u << n);
		for (unsigned int n = 0; n < COUNT; n++)
			must(vmx_lapic_deadline(&lapics[n]) != VMX_NEVER || n != 1);
	}
	vmx_bus_free(&memory);
	return 0;
}
