/* SPDX-License-Identifier: GPL-2.0 */
/* Four local APICs on a bus, and what their guest does with them. For the tests of the APICs. */
#ifndef TESTS_APICS_H
#define TESTS_APICS_H

#include <libvmx/lapic.h>

#include "kselftest_harness.h"
#include "ports.h"

/* Offsets of registers; as MSRs they are at 0x800 plus a sixteenth. */
#define ID		0x020
#define VERSION		0x030
#define TPR		0x080
#define PPR		0x0a0
#define EOI		0x0b0
#define LDR		0x0d0
#define DFR		0x0e0
#define SVR		0x0f0
#define ISR		0x100
#define TMR		0x180
#define IRR		0x200
#define ESR		0x280
#define ICR		0x300
#define ICR_HIGH	0x310
#define LVT_TIMER	0x320
#define LVT_THERMAL	0x330
#define LVT_PERF	0x340
#define LVT_LINT0	0x350
#define LVT_LINT1	0x360
#define LVT_ERROR	0x370
#define INITIAL		0x380
#define CURRENT		0x390
#define DIVIDE		0x3e0
#define SELF_IPI	0x3f0

#define MASKED		0x10000
#define PERIODIC	0x20000
#define DEADLINE	0x40000
#define LEVEL		0x8000
#define ASSERT		0x4000
#define LOGICAL		0x800
#define TO_SELF		0x40000
#define TO_ALL		0x80000
#define TO_OTHERS	0xc0000
#define MODE(delivery)	((delivery) << 8)

#define BASE_BSP	0x100
#define BASE_EXTD	0x400
#define BASE_EN		0x800

/* A TSC of 2.5 GHz: five ticks in two nanoseconds. */
#define KHZ		2500000

#define COUNT		4

struct machine {
	struct vmx_clock clock;
	uint64_t now;
	struct vmx_apic_bus bus;
	struct vmx_lapic lapics[COUNT];
	unsigned int kicks[COUNT];
	struct vmx_apic_listener listener;
	unsigned int eois[256];
};

static const uint32_t ids[COUNT] = { 0, 1, 2, 0x13 };

static inline void kick(void *vcpu)
{
	++*(unsigned int *)vcpu;
}

static inline void note_eoi(void *controller, uint8_t vector)
{
	struct machine *machine = controller;

	machine->eois[vector]++;
}

static inline uint32_t get(struct vmx_lapic *lapic, unsigned int reg)
{
	uint64_t value = 0x5555555555555555;

	if (!vmx_lapic_read(lapic, VMX_LAPIC_BASE + reg, 4, &value))
		return 0xdeadbeef;
	return value;
}

static inline void put(struct vmx_lapic *lapic, unsigned int reg, uint32_t value)
{
	vmx_lapic_write(lapic, VMX_LAPIC_BASE + reg, 4, value);
}

static inline bool rdmsr(struct vmx_lapic *lapic, unsigned int reg, uint64_t *value)
{
	return vmx_lapic_rdmsr(lapic, 0x800 + reg / 16, value);
}

static inline bool wrmsr(struct vmx_lapic *lapic, unsigned int reg, uint64_t value)
{
	return vmx_lapic_wrmsr(lapic, 0x800 + reg / 16, value);
}

static inline bool set_base(struct vmx_lapic *lapic, uint64_t bits)
{
	return vmx_lapic_wrmsr(lapic, VMX_MSR_APIC_BASE, VMX_LAPIC_BASE | bits);
}

/* A machine whose software has started all processors and enabled their APICs. */
static inline int set_up(struct machine *machine)
{
	struct vmx_lapic_config config = {
		.bus = &machine->bus,
		.clock = &machine->clock,
		.kick = kick,
		.x2apic = true,
		.physical_bits = 36,
		.tsc_khz = KHZ,
	};

	*machine = (struct machine){ .clock = { .now = test_now, .source = &machine->now },
				     .listener = { note_eoi, machine } };
	vmx_apic_bus_listen(&machine->bus, &machine->listener);
	for (int n = 0; n < COUNT; n++) {
		struct vmx_lapic *lapic = &machine->lapics[n];
		int ret;

		config.id = ids[n];
		config.boot = !n;
		config.vcpu = &machine->kicks[n];
		ret = vmx_lapic_init(lapic, &config);
		if (ret)
			return ret;
		if (n) {
			put(&machine->lapics[0], ICR_HIGH, ids[n] << 24);
			put(&machine->lapics[0], ICR, MODE(VMX_APIC_STARTUP) | 8);
			if (vmx_lapic_take_sipi(lapic) != 8)
				return -1;
		}
		put(lapic, SVR, 0x1ff);
		machine->kicks[n] = 0;
	}
	return 0;
}

static inline void wait_until(struct machine *machine, uint64_t when)
{
	machine->now = when;
	vmx_clock_expire(&machine->clock);
}

/* Who has an interrupt to take, a bit each; they take it, and are done with it. */
static inline unsigned int takers(struct machine *machine, int vector)
{
	unsigned int who = 0;

	for (int n = 0; n < COUNT; n++) {
		struct vmx_lapic *lapic = &machine->lapics[n];
		uint64_t base;

		if (vmx_lapic_pending(lapic) != vector)
			continue;
		who |= 1 << n;
		vmx_lapic_accept(lapic, vector);
		vmx_lapic_rdmsr(lapic, VMX_MSR_APIC_BASE, &base);
		if (base & BASE_EXTD)
			wrmsr(lapic, EOI, 0);
		else
			put(lapic, EOI, 0);
	}
	return who;
}

static inline bool interrupt(struct machine *machine, uint32_t destination, uint8_t vector)
{
	struct vmx_apic_message message = { .destination = destination, .vector = vector };

	return vmx_apic_bus_send(&machine->bus, &message);
}

FIXTURE(lapic) {
	struct machine machine;
	struct vmx_lapic *boot;
};

FIXTURE_SETUP(lapic)
{
	self->boot = &self->machine.lapics[0];
	ASSERT_EQ(0, set_up(&self->machine));
}

FIXTURE_TEARDOWN(lapic)
{
}

#endif /* TESTS_APICS_H */
