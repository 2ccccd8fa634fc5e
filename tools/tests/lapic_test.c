// SPDX-License-Identifier: GPL-2.0
/* The local APIC: which interrupt is next, and its pins. */
#include <errno.h>

#include "apics.h"

TEST_F(lapic, what_it_is_told_is_judged)
{
	struct vmx_lapic_config config = self->boot->config;
	struct vmx_lapic other;

	EXPECT_EQ(-EEXIST, vmx_lapic_init(&other, &config));
	config.id = 0xff;
	EXPECT_EQ(-EINVAL, vmx_lapic_init(&other, &config));
	config.id = UINT32_MAX;
	EXPECT_EQ(-EINVAL, vmx_lapic_init(&other, &config));
	config.id = 9;
	config.physical_bits = 31;
	EXPECT_EQ(-EINVAL, vmx_lapic_init(&other, &config));
	config.physical_bits = 53;
	EXPECT_EQ(-EINVAL, vmx_lapic_init(&other, &config));
	EXPECT_TRUE(interrupt(&self->machine, VMX_APIC_EVERYONE, 0x40));
}

TEST_F(lapic, power_up)
{
	struct vmx_lapic_config config = self->boot->config;
	struct vmx_lapic *lapic = &self->machine.lapics[3];
	struct vmx_lapic fresh;
	uint64_t value;

	EXPECT_EQ(0x13000000, get(lapic, ID));
	EXPECT_EQ(0x01050014, get(lapic, VERSION));
	config.id = 5;
	config.boot = false;
	ASSERT_EQ(0, vmx_lapic_init(&fresh, &config));
	EXPECT_TRUE(fresh.waiting);
	EXPECT_EQ(0xff, get(&fresh, SVR));
	EXPECT_EQ(UINT32_MAX, get(&fresh, DFR));
	for (unsigned int reg = LVT_TIMER; reg <= LVT_ERROR; reg += 0x10)
		EXPECT_EQ(MASKED, get(&fresh, reg));
	EXPECT_TRUE(vmx_lapic_rdmsr(&fresh, VMX_MSR_APIC_BASE, &value));
	EXPECT_EQ(0xfee00800, value);
	EXPECT_TRUE(vmx_lapic_rdmsr(self->boot, VMX_MSR_APIC_BASE, &value));
	EXPECT_EQ(0xfee00900, value);
	EXPECT_FALSE(self->boot->waiting);
	/* It is not the guest's to enumerate. */
	self->machine.lapics[3].next = NULL;
}

TEST_F(lapic, the_highest_vector_goes_first)
{
	interrupt(&self->machine, 0, 0x31);
	EXPECT_EQ(1, self->machine.kicks[0]);
	interrupt(&self->machine, 0, 0xf2);
	interrupt(&self->machine, 0, 0x80);
	/* A vCPU that has something to take will see what it is. */
	EXPECT_EQ(1, self->machine.kicks[0]);
	EXPECT_EQ(0xf2, vmx_lapic_pending(self->boot));
	EXPECT_EQ(VMX_LAPIC_INTR, vmx_lapic_events(self->boot));
	EXPECT_EQ(1u << 0x11, get(self->boot, IRR + 0x10));
	EXPECT_EQ(1u << 0x12, get(self->boot, IRR + 0x70));
	vmx_lapic_accept(self->boot, 0xf2);
	EXPECT_EQ(0, get(self->boot, IRR + 0x70));
	EXPECT_EQ(1u << 0x12, get(self->boot, ISR + 0x70));
	EXPECT_EQ(0xf0, get(self->boot, PPR));
	EXPECT_EQ(-1, vmx_lapic_pending(self->boot));
	put(self->boot, EOI, 0);
	EXPECT_EQ(0, get(self->boot, PPR));
	EXPECT_EQ(0x80, vmx_lapic_pending(self->boot));
	EXPECT_EQ(0, self->machine.kicks[1]);
}

/* Within a class of 16 vectors nothing interrupts anything. */
TEST_F(lapic, only_a_higher_class_interrupts)
{
	interrupt(&self->machine, 0, 0x41);
	vmx_lapic_accept(self->boot, 0x41);
	interrupt(&self->machine, 0, 0x4f);
	EXPECT_EQ(-1, vmx_lapic_pending(self->boot));
	EXPECT_EQ(0, vmx_lapic_events(self->boot));
	interrupt(&self->machine, 0, 0x50);
	EXPECT_EQ(0x50, vmx_lapic_pending(self->boot));
	vmx_lapic_accept(self->boot, 0x50);
	EXPECT_EQ(0x50, get(self->boot, PPR));
	/* An EOI ends the highest in service, whichever came last. */
	put(self->boot, EOI, 0);
	EXPECT_EQ(0, get(self->boot, ISR + 0x20) & 1u << 0x10);
	EXPECT_EQ(0x40, get(self->boot, PPR));
	EXPECT_EQ(-1, vmx_lapic_pending(self->boot));
	put(self->boot, EOI, 0);
	EXPECT_EQ(0x4f, vmx_lapic_pending(self->boot));
	put(self->boot, EOI, 0);
	EXPECT_EQ(0x4f, vmx_lapic_pending(self->boot));
}

TEST_F(lapic, the_tasks_priority_masks)
{
	put(self->boot, TPR, 0x55);
	EXPECT_EQ(0x55, get(self->boot, PPR));
	EXPECT_EQ(5, vmx_lapic_cr8(self->boot));
	interrupt(&self->machine, 0, 0x5f);
	EXPECT_EQ(-1, vmx_lapic_pending(self->boot));
	EXPECT_EQ(0, self->machine.kicks[0]);
	EXPECT_TRUE(vmx_lapic_set_cr8(self->boot, 4));
	EXPECT_EQ(0x40, get(self->boot, TPR));
	EXPECT_EQ(0x5f, vmx_lapic_pending(self->boot));
	EXPECT_FALSE(vmx_lapic_set_cr8(self->boot, 16));
	EXPECT_EQ(4, vmx_lapic_cr8(self->boot));
	vmx_lapic_accept(self->boot, 0x5f);
	EXPECT_EQ(0x50, get(self->boot, PPR));
	put(self->boot, TPR, 0x51);
	EXPECT_EQ(0x51, get(self->boot, PPR));
	put(self->boot, TPR, 0xffffffff);
	EXPECT_EQ(0xff, get(self->boot, TPR));
	interrupt(&self->machine, 0, 0xff);
	EXPECT_EQ(-1, vmx_lapic_pending(self->boot));
}

TEST_F(lapic, accepting_what_does_not_pend_does_nothing)
{
	interrupt(&self->machine, 0, 0x40);
	vmx_lapic_accept(self->boot, 0x41);
	vmx_lapic_accept(self->boot, -1);
	vmx_lapic_accept(self->boot, 0x140);
	EXPECT_EQ(0x40, vmx_lapic_pending(self->boot));
	EXPECT_EQ(0, get(self->boot, PPR));
}

TEST_F(lapic, vectors_of_exceptions_are_errors)
{
	put(self->boot, LVT_ERROR, 0x77);
	EXPECT_FALSE(interrupt(&self->machine, 0, 15));
	EXPECT_EQ(0x77, vmx_lapic_pending(self->boot));
	EXPECT_EQ(0, get(self->boot, ESR));
	put(self->boot, ESR, 0);
	EXPECT_EQ(0x40, get(self->boot, ESR));
	put(self->boot, ESR, 0);
	EXPECT_EQ(0, get(self->boot, ESR));
	EXPECT_EQ(1, takers(&self->machine, 0x77));
	/* One interrupt until the ESR is written. */
	put(self->boot, ICR, TO_SELF | 3);
	EXPECT_EQ(1, takers(&self->machine, 0x77));
	get(self->boot, 0x2f0);
	EXPECT_EQ(0, takers(&self->machine, 0x77));
	put(self->boot, ESR, 0);
	EXPECT_EQ(0xa0, get(self->boot, ESR));
	/* An error interrupt that is itself an error ends there. */
	put(self->boot, LVT_ERROR, 3);
	put(self->boot, 0x3f0, 0);
	EXPECT_EQ(0, vmx_lapic_events(self->boot));
	put(self->boot, ESR, 0);
	EXPECT_EQ(0xc0, get(self->boot, ESR));
}

TEST_F(lapic, disabled_by_software)
{
	put(self->boot, LVT_TIMER, 0x40);
	interrupt(&self->machine, 0, 0x60);
	put(self->boot, SVR, 0xff);
	/* What it had it keeps; there is nothing new but NMI, INIT and SIPI; IPIs still go out. */
	EXPECT_EQ(0x60, vmx_lapic_pending(self->boot));
	EXPECT_FALSE(interrupt(&self->machine, 0, 0x70));
	EXPECT_EQ(0x10040, get(self->boot, LVT_TIMER));
	put(self->boot, LVT_TIMER, 0x41);
	EXPECT_EQ(0x10041, get(self->boot, LVT_TIMER));
	put(self->boot, ICR, TO_ALL | MODE(VMX_APIC_NMI));
	EXPECT_TRUE(vmx_lapic_take_nmi(self->boot));
	EXPECT_TRUE(vmx_lapic_take_nmi(&self->machine.lapics[1]));
	put(self->boot, SVR, 0x1ff);
	put(self->boot, LVT_TIMER, 0x41);
	EXPECT_EQ(0x41, get(self->boot, LVT_TIMER));
}

/* Pins */

TEST_F(lapic, the_8259_at_lint0)
{
	vmx_lapic_set_lint(self->boot, 0, true);
	EXPECT_EQ(0, vmx_lapic_events(self->boot));
	put(self->boot, LVT_LINT0, MODE(VMX_APIC_EXTINT));
	EXPECT_EQ(VMX_LAPIC_EXTINT, vmx_lapic_events(self->boot));
	/* The task's priority is none of its business, and it is there until withdrawn. */
	put(self->boot, TPR, 0xf0);
	EXPECT_TRUE(vmx_lapic_take_extint(self->boot));
	EXPECT_TRUE(vmx_lapic_take_extint(self->boot));
	vmx_lapic_set_lint(self->boot, 0, false);
	EXPECT_FALSE(vmx_lapic_take_extint(self->boot));
	EXPECT_EQ(0, self->machine.kicks[0]);
	vmx_lapic_set_lint(self->boot, 0, true);
	EXPECT_EQ(1, self->machine.kicks[0]);
	put(self->boot, LVT_LINT0, MASKED | MODE(VMX_APIC_EXTINT));
	EXPECT_FALSE(vmx_lapic_take_extint(self->boot));
}

/* By message, it is there until taken. */
TEST_F(lapic, the_8259_at_an_io_apic)
{
	struct vmx_apic_message message = { .delivery = VMX_APIC_EXTINT };

	EXPECT_TRUE(vmx_apic_bus_send(&self->machine.bus, &message));
	EXPECT_EQ(1, self->machine.kicks[0]);
	EXPECT_TRUE(vmx_lapic_take_extint(self->boot));
	EXPECT_FALSE(vmx_lapic_take_extint(self->boot));
}

TEST_F(lapic, nmis_at_lint1)
{
	put(self->boot, LVT_LINT1, MODE(VMX_APIC_NMI));
	vmx_lapic_set_lint(self->boot, 1, true);
	EXPECT_EQ(1, self->machine.kicks[0]);
	EXPECT_TRUE(vmx_lapic_take_nmi(self->boot));
	/* Only at an edge. */
	vmx_lapic_set_lint(self->boot, 1, true);
	EXPECT_FALSE(vmx_lapic_take_nmi(self->boot));
	vmx_lapic_set_lint(self->boot, 1, false);
	vmx_lapic_set_lint(self->boot, 1, true);
	EXPECT_TRUE(vmx_lapic_take_nmi(self->boot));
	vmx_lapic_set_lint(self->boot, 2, true);
	EXPECT_EQ(0, vmx_lapic_events(self->boot));
}

/* Linux's "virtual wire IRQ": the timer at LINT0, fixed and edge-triggered. */
TEST_F(lapic, a_fixed_edge_at_lint0)
{
	put(self->boot, LVT_LINT0, 0x30);
	vmx_lapic_set_lint(self->boot, 0, true);
	vmx_lapic_set_lint(self->boot, 0, true);
	EXPECT_EQ(1, takers(&self->machine, 0x30));
	vmx_lapic_set_lint(self->boot, 0, false);
	EXPECT_EQ(0, takers(&self->machine, 0x30));
	/* Low active. */
	put(self->boot, LVT_LINT0, 0x2030);
	vmx_lapic_set_lint(self->boot, 0, true);
	EXPECT_EQ(0, takers(&self->machine, 0x30));
	vmx_lapic_set_lint(self->boot, 0, false);
	EXPECT_EQ(1, takers(&self->machine, 0x30));
}

TEST_F(lapic, a_fixed_level_at_lint0)
{
	vmx_lapic_set_lint(self->boot, 0, true);
	put(self->boot, LVT_LINT0, LEVEL | 0x30);
	EXPECT_EQ(LEVEL | 0x4030, get(self->boot, LVT_LINT0));
	/* In service, it is not sent again. */
	vmx_lapic_accept(self->boot, 0x30);
	vmx_lapic_set_lint(self->boot, 0, false);
	vmx_lapic_set_lint(self->boot, 0, true);
	EXPECT_EQ(0, get(self->boot, IRR + 0x10));
	put(self->boot, EOI, 0);
	EXPECT_EQ(1, takers(&self->machine, 0x30));
	/* Its end finds it asserted still. */
	EXPECT_EQ(1, takers(&self->machine, 0x30));
	vmx_lapic_set_lint(self->boot, 0, false);
	EXPECT_EQ(1, takers(&self->machine, 0x30));
	EXPECT_EQ(LEVEL | 0x30, get(self->boot, LVT_LINT0));
	EXPECT_EQ(0, takers(&self->machine, 0x30));
	/* Edge-triggered, nothing is in the other's service. */
	vmx_lapic_set_lint(self->boot, 0, true);
	put(self->boot, LVT_LINT0, 0x30);
	EXPECT_EQ(0x30, get(self->boot, LVT_LINT0));
}

TEST_F(lapic, performance_counters_mask_themselves)
{
	put(self->boot, LVT_PERF, MODE(VMX_APIC_NMI));
	vmx_lapic_raise(self->boot, VMX_LVT_PERF);
	EXPECT_TRUE(vmx_lapic_take_nmi(self->boot));
	EXPECT_EQ(MASKED | MODE(VMX_APIC_NMI), get(self->boot, LVT_PERF));
	vmx_lapic_raise(self->boot, VMX_LVT_PERF);
	EXPECT_FALSE(vmx_lapic_take_nmi(self->boot));
	put(self->boot, LVT_THERMAL, 0x35);
	vmx_lapic_raise(self->boot, VMX_LVT_THERMAL);
	EXPECT_EQ(0x35, vmx_lapic_pending(self->boot));
	EXPECT_EQ(0x35, get(self->boot, LVT_THERMAL));
	vmx_lapic_raise(self->boot, VMX_LVT_COUNT);
}

TEST_HARNESS_MAIN
