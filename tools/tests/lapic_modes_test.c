// SPDX-License-Identifier: GPL-2.0
/* The local APIC: modes, and what is reserved in them. */
#include "apics.h"

TEST_F(lapic, mode_transitions)
{
	enum { OFF, X, X2, MODES };
	static const uint64_t bits[MODES] = { 0, BASE_EN, BASE_EN | BASE_EXTD };
	static const bool allowed[MODES][MODES] = {
		[OFF] = { true, true, false },
		[X] = { true, true, true },
		[X2] = { true, false, true },
	};
	uint64_t value;

	for (int from = 0; from < MODES; from++)
		for (int to = 0; to < MODES; to++) {
			struct vmx_lapic *lapic = &self->machine.lapics[1];

			EXPECT_TRUE(set_base(lapic, 0));
			if (from)
				EXPECT_TRUE(set_base(lapic, BASE_EN));
			EXPECT_TRUE(set_base(lapic, bits[from]));
			EXPECT_EQ(allowed[from][to], set_base(lapic, bits[to]));
			EXPECT_TRUE(vmx_lapic_rdmsr(lapic, VMX_MSR_APIC_BASE, &value));
			EXPECT_EQ(VMX_LAPIC_BASE | bits[allowed[from][to] ? to : from], value);
			EXPECT_EQ((value & bits[X2]) == bits[X2], rdmsr(lapic, ID, &value));
			EXPECT_EQ((lapic->base & bits[X2]) == bits[X],
				  vmx_lapic_read(lapic, VMX_LAPIC_BASE + ID, 4, &value));
			EXPECT_FALSE(set_base(lapic, BASE_EXTD));
		}
}

TEST_F(lapic, reserved_bits_of_the_base)
{
	EXPECT_FALSE(set_base(self->boot, BASE_EN | 0x200));
	for (unsigned int bit = 0; bit < 8; bit++)
		EXPECT_FALSE(set_base(self->boot, BASE_EN | 1 << bit));
	EXPECT_FALSE(set_base(self->boot, BASE_EN | 1ull << 36));
	EXPECT_FALSE(set_base(self->boot, BASE_EN | 1ull << 63));
	EXPECT_TRUE(set_base(self->boot, BASE_EN | BASE_BSP | 1ull << 35));
	/* Without x2APIC mode, so is its bit. */
	self->boot->config.x2apic = false;
	EXPECT_FALSE(set_base(self->boot, BASE_EN | BASE_EXTD));
}

TEST_F(lapic, the_page_moves)
{
	uint64_t value;

	EXPECT_TRUE(vmx_lapic_wrmsr(self->boot, VMX_MSR_APIC_BASE, 0xd0000000 | BASE_EN));
	EXPECT_FALSE(vmx_lapic_read(self->boot, VMX_LAPIC_BASE + SVR, 4, &value));
	EXPECT_TRUE(vmx_lapic_read(self->boot, 0xd0000000 + SVR, 4, &value));
	EXPECT_EQ(0x1ff, value);
	EXPECT_FALSE(vmx_lapic_write(self->boot, VMX_LAPIC_BASE + SVR, 4, 0xff));
	EXPECT_TRUE(vmx_lapic_write(self->boot, 0xd0000000 + SVR, 4, 0x1fe));
	EXPECT_TRUE(vmx_lapic_read(self->boot, 0xd0000000 + SVR, 4, &value));
	EXPECT_EQ(0x1fe, value);
}

TEST_F(lapic, off_it_is_a_cpu_without)
{
	struct vmx_lapic *lapic = self->boot;
	uint64_t value;

	interrupt(&self->machine, 0, 0x50);
	put(lapic, LVT_TIMER, 0x40);
	put(lapic, INITIAL, 1000);
	EXPECT_TRUE(set_base(lapic, BASE_BSP));
	EXPECT_EQ(0, vmx_lapic_events(lapic));
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
	EXPECT_FALSE(interrupt(&self->machine, 0, 0x50));
	EXPECT_TRUE(interrupt(&self->machine, VMX_APIC_EVERYONE, 0x50));
	EXPECT_EQ(0xe, takers(&self->machine, 0x50));
	put(&self->machine.lapics[1], ICR, TO_OTHERS | MODE(VMX_APIC_NMI));
	EXPECT_FALSE(vmx_lapic_take_nmi(lapic));
	EXPECT_FALSE(vmx_lapic_read(lapic, VMX_LAPIC_BASE, 4, &value));
	/* INTR and NMI. */
	vmx_lapic_set_lint(lapic, 0, true);
	EXPECT_EQ(VMX_LAPIC_EXTINT, vmx_lapic_events(lapic));
	vmx_lapic_set_lint(lapic, 0, false);
	EXPECT_EQ(0, vmx_lapic_events(lapic));
	vmx_lapic_set_lint(lapic, 1, true);
	EXPECT_TRUE(vmx_lapic_take_nmi(lapic));
	vmx_lapic_set_lint(lapic, 1, true);
	EXPECT_FALSE(vmx_lapic_take_nmi(lapic));
	/* Back it is as new. */
	EXPECT_TRUE(set_base(lapic, BASE_BSP | BASE_EN));
	EXPECT_EQ(0xff, get(lapic, SVR));
	EXPECT_EQ(MASKED, get(lapic, LVT_TIMER));
	EXPECT_EQ(0, get(lapic, IRR + 0x20));
}

TEST_F(lapic, reset)
{
	struct vmx_lapic *lapic = &self->machine.lapics[1];

	EXPECT_TRUE(set_base(lapic, BASE_EN | BASE_EXTD));
	EXPECT_TRUE(wrmsr(lapic, INITIAL, 1000));
	vmx_lapic_set_lint(lapic, 0, true);
	interrupt(&self->machine, 1, 0x50);
	put(self->boot, ICR, TO_ALL | MODE(VMX_APIC_NMI));
	put(self->boot, ICR, TO_OTHERS | MODE(VMX_APIC_INIT));
	put(self->boot, ICR, TO_OTHERS | MODE(VMX_APIC_STARTUP));
	vmx_lapic_reset(lapic);
	vmx_lapic_reset(self->boot);
	EXPECT_EQ(0, vmx_lapic_events(lapic));
	EXPECT_TRUE(lapic->waiting);
	EXPECT_EQ(0x01000000, get(lapic, ID));
	EXPECT_EQ(0xff, get(lapic, SVR));
	EXPECT_EQ(0, get(lapic, IRR + 0x20));
	EXPECT_TRUE(lapic->lint[0]);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
	EXPECT_EQ(0, vmx_lapic_events(self->boot));
	EXPECT_FALSE(self->boot->waiting);
	EXPECT_EQ(VMX_LAPIC_BASE | BASE_EN | BASE_BSP, self->boot->base);
	/* It is on the bus as before. */
	put(lapic, SVR, 0x1ff);
	put(self->boot, ICR, TO_OTHERS | MODE(VMX_APIC_STARTUP) | 7);
	EXPECT_EQ(7, vmx_lapic_take_sipi(lapic));
	EXPECT_TRUE(interrupt(&self->machine, 1, 0x50));
}

TEST_F(lapic, x2apic_keeps_what_was)
{
	struct vmx_lapic *lapic = &self->machine.lapics[1];
	uint64_t value;

	put(lapic, TPR, 0x30);
	put(lapic, LDR, 0x02000000);
	interrupt(&self->machine, 1, 0x50);
	EXPECT_TRUE(set_base(lapic, BASE_EN | BASE_EXTD));
	EXPECT_TRUE(rdmsr(lapic, TPR, &value));
	EXPECT_EQ(0x30, value);
	EXPECT_TRUE(rdmsr(lapic, LDR, &value));
	EXPECT_EQ(2, value);
	EXPECT_EQ(0x50, vmx_lapic_pending(lapic));
	/* An INIT leaves the mode. */
	put(self->boot, ICR_HIGH, 1 << 24);
	put(self->boot, ICR, MODE(VMX_APIC_INIT));
	EXPECT_TRUE(vmx_lapic_take_init(lapic));
	EXPECT_TRUE(rdmsr(lapic, LDR, &value));
	EXPECT_EQ(2, value);
	EXPECT_TRUE(rdmsr(lapic, TPR, &value));
	EXPECT_EQ(0, value);
}

/* What each MSR takes: all ones in bits that it has, #GP for each that it has not. */
TEST_F(lapic, x2apic_reserved_bits)
{
	static const struct {
		unsigned int reg;
		uint64_t bits;
	} writable[] = {
		{ TPR, 0xff },
		{ EOI, 0 },
		{ SVR, 0x13ff },
		{ ESR, 0 },
		{ ICR, 0xffffffff000cdfff },
		{ LVT_TIMER, 0x710ff },
		{ LVT_THERMAL, 0x117ff },
		{ LVT_PERF, 0x117ff },
		{ LVT_LINT0, 0x1f7ff },
		{ LVT_LINT1, 0x1f7ff },
		{ LVT_ERROR, 0x110ff },
		{ INITIAL, 0xffffffff },
		{ DIVIDE, 0xb },
		{ SELF_IPI, 0xff },
	};
	struct vmx_lapic *lapic = &self->machine.lapics[1];
	bool known[0x400] = {};
	uint64_t value;

	EXPECT_TRUE(set_base(lapic, BASE_EN | BASE_EXTD));
	for (unsigned int n = 0; n < sizeof(writable) / sizeof(*writable); n++) {
		known[writable[n].reg / 16] = true;
		EXPECT_TRUE(wrmsr(lapic, writable[n].reg, 0));
		for (unsigned int bit = 0; bit < 64; bit++)
			EXPECT_EQ(writable[n].bits >> bit & 1,
				  wrmsr(lapic, writable[n].reg, 1ull << bit));
	}
	/* Nothing else is writable at all. */
	for (unsigned int n = 0; n < 0x400; n++)
		if (!known[n])
			EXPECT_FALSE(vmx_lapic_wrmsr(lapic, 0x800 + n, 0));
	/* What cannot be read. */
	EXPECT_FALSE(rdmsr(lapic, EOI, &value));
	EXPECT_FALSE(rdmsr(lapic, SELF_IPI, &value));
	EXPECT_FALSE(rdmsr(lapic, DFR, &value));
	EXPECT_FALSE(rdmsr(lapic, ICR_HIGH, &value));
	EXPECT_FALSE(rdmsr(lapic, 0x2f0, &value));
	for (unsigned int n = 0x40; n < 0x400; n++)
		EXPECT_FALSE(vmx_lapic_rdmsr(lapic, 0x800 + n, &value));
	/* What can, and how wide it is. */
	for (unsigned int n = 0; n < 24; n++)
		EXPECT_TRUE(rdmsr(lapic, ISR + 16 * n, &value));
	EXPECT_TRUE(wrmsr(lapic, LVT_LINT0, 0x1f7ff));
	EXPECT_TRUE(rdmsr(lapic, LVT_LINT0, &value));
	EXPECT_EQ(0x1a7ff, value);
	EXPECT_TRUE(rdmsr(lapic, VERSION, &value));
	EXPECT_EQ(0x01050014, value);
	/* In xAPIC mode there are none. */
	EXPECT_FALSE(rdmsr(self->boot, TPR, &value));
	EXPECT_FALSE(wrmsr(self->boot, TPR, 0));
	EXPECT_TRUE(vmx_lapic_has_msr(0x83f));
	EXPECT_TRUE(vmx_lapic_has_msr(0xbff));
	EXPECT_FALSE(vmx_lapic_has_msr(0xc00));
	EXPECT_FALSE(vmx_lapic_has_msr(0x7ff));
}

/* In memory, reserved bits are dropped, and odd accesses are harmless. */
TEST_F(lapic, odd_accesses)
{
	uint64_t value;

	put(self->boot, LVT_ERROR, UINT32_MAX);
	EXPECT_EQ(0x100ff, get(self->boot, LVT_ERROR));
	put(self->boot, ID, 0x77000000);
	EXPECT_EQ(0, get(self->boot, ID));
	put(self->boot, LDR, UINT32_MAX);
	EXPECT_EQ(0xff000000, get(self->boot, LDR));
	EXPECT_EQ(0, get(self->boot, EOI));
	EXPECT_TRUE(vmx_lapic_read(self->boot, VMX_LAPIC_BASE + VERSION + 2, 1, &value));
	EXPECT_EQ(0x05, value);
	EXPECT_TRUE(vmx_lapic_read(self->boot, VMX_LAPIC_BASE + VERSION, 8, &value));
	EXPECT_EQ(0x01050014, value);
	EXPECT_TRUE(vmx_lapic_read(self->boot, VMX_LAPIC_BASE + VERSION + 4, 4, &value));
	EXPECT_EQ(0, value);
	EXPECT_TRUE(vmx_lapic_write(self->boot, VMX_LAPIC_BASE + TPR, 1, 0x20));
	EXPECT_TRUE(vmx_lapic_write(self->boot, VMX_LAPIC_BASE + TPR, 8, 0x20));
	EXPECT_TRUE(vmx_lapic_write(self->boot, VMX_LAPIC_BASE + TPR + 4, 4, 0x20));
	EXPECT_EQ(0, get(self->boot, TPR));
	EXPECT_TRUE(vmx_lapic_read(self->boot, VMX_LAPIC_BASE + 0xff8, 8, &value));
	EXPECT_FALSE(vmx_lapic_read(self->boot, VMX_LAPIC_BASE + 0xffc, 8, &value));
	EXPECT_FALSE(vmx_lapic_read(self->boot, VMX_LAPIC_BASE - 1, 4, &value));
	EXPECT_FALSE(vmx_lapic_write(self->boot, VMX_LAPIC_BASE + 0x1000, 4, 0));
	EXPECT_EQ(0, get(self->boot, 0x400));
	put(self->boot, ESR, 0);
	EXPECT_EQ(0x80, get(self->boot, ESR));
}

TEST_HARNESS_MAIN
