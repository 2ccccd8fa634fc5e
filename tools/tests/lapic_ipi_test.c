// SPDX-License-Identifier: GPL-2.0
/* The local APIC: who gets which message. */
#include "apics.h"

TEST_F(lapic, ipi_physical)
{
	for (int n = 0; n < COUNT; n++) {
		put(self->boot, ICR_HIGH, ids[n] << 24);
		put(self->boot, ICR, 0x50);
		EXPECT_EQ(1u << n, takers(&self->machine, 0x50));
		EXPECT_EQ(1, self->machine.kicks[n]);
	}
	/* Idle at once. */
	EXPECT_EQ(0x50, get(self->boot, ICR));
	EXPECT_EQ(0x13000000, get(self->boot, ICR_HIGH));
	put(self->boot, ICR_HIGH, 0xff000000);
	put(self->boot, ICR, 0x51);
	EXPECT_EQ(0xf, takers(&self->machine, 0x51));
	put(self->boot, ICR_HIGH, 0x77000000);
	put(self->boot, ICR, 0x52);
	EXPECT_EQ(0, takers(&self->machine, 0x52));
}

TEST_F(lapic, ipi_shorthands)
{
	struct vmx_lapic *sender = &self->machine.lapics[2];

	put(sender, ICR_HIGH, 0);
	put(sender, ICR, TO_SELF | 0x50);
	EXPECT_EQ(4, takers(&self->machine, 0x50));
	put(sender, ICR, TO_ALL | 0x51);
	EXPECT_EQ(0xf, takers(&self->machine, 0x51));
	put(sender, ICR, TO_OTHERS | 0x52);
	EXPECT_EQ(0xb, takers(&self->machine, 0x52));
	/* They do not look at the destination mode. */
	put(sender, ICR, TO_OTHERS | LOGICAL | 0x52);
	EXPECT_EQ(0xb, takers(&self->machine, 0x52));
}

/* SDM, "Local Interrupt Command Register (ICR)": IPIs are edge-triggered, but for one of INIT. */
TEST_F(lapic, ipis_are_edges)
{
	static const uint32_t ways[] = { 0, TO_SELF, TO_ALL, LEVEL | ASSERT, TO_SELF | LEVEL };
	uint64_t value;

	for (unsigned int n = 0; n < 5; n++) {
		put(self->boot, ICR_HIGH, 0);
		put(self->boot, ICR, ways[n] | 0x50);
		EXPECT_EQ(0, get(self->boot, TMR + 0x20)) TH_LOG("%#x", ways[n]);
		EXPECT_TRUE(takers(&self->machine, 0x50) & 1) TH_LOG("%#x", ways[n]);
	}
	ASSERT_TRUE(set_base(self->boot, BASE_EN | BASE_EXTD | BASE_BSP));
	EXPECT_TRUE(wrmsr(self->boot, SELF_IPI, 0x50));
	EXPECT_TRUE(rdmsr(self->boot, TMR + 0x20, &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(1, takers(&self->machine, 0x50));
	EXPECT_EQ(0, self->machine.eois[0x50]);
}

TEST_F(lapic, ipi_logical_flat)
{
	for (int n = 0; n < COUNT; n++)
		put(&self->machine.lapics[n], LDR, 0x01000000 << n);
	EXPECT_EQ(0x04000000, get(&self->machine.lapics[2], LDR));
	put(self->boot, ICR_HIGH, 0x05000000);
	put(self->boot, ICR, LOGICAL | 0x50);
	EXPECT_EQ(5, takers(&self->machine, 0x50));
	put(self->boot, ICR_HIGH, 0xf0000000);
	put(self->boot, ICR, LOGICAL | 0x50);
	EXPECT_EQ(0, takers(&self->machine, 0x50));
	put(self->boot, ICR_HIGH, 0xff000000);
	put(self->boot, ICR, LOGICAL | 0x50);
	EXPECT_EQ(0xf, takers(&self->machine, 0x50));
}

TEST_F(lapic, ipi_logical_cluster)
{
	static const uint8_t logical[COUNT] = { 0x01, 0x02, 0x11, 0x14 };

	for (int n = 0; n < COUNT; n++) {
		put(&self->machine.lapics[n], DFR, 0);
		EXPECT_EQ(0x0fffffff, get(&self->machine.lapics[n], DFR));
		put(&self->machine.lapics[n], LDR, logical[n] << 24);
	}
	put(self->boot, ICR_HIGH, 0x03000000);
	put(self->boot, ICR, LOGICAL | 0x50);
	EXPECT_EQ(3, takers(&self->machine, 0x50));
	put(self->boot, ICR_HIGH, 0x15000000);
	put(self->boot, ICR, LOGICAL | 0x50);
	EXPECT_EQ(0xc, takers(&self->machine, 0x50));
	put(self->boot, ICR_HIGH, 0x12000000);
	put(self->boot, ICR, LOGICAL | 0x50);
	EXPECT_EQ(0, takers(&self->machine, 0x50));
	put(self->boot, ICR_HIGH, 0xff000000);
	put(self->boot, ICR, LOGICAL | 0x50);
	EXPECT_EQ(0xf, takers(&self->machine, 0x50));
}

TEST_F(lapic, ipi_x2apic)
{
	uint64_t value;

	for (int n = 0; n < COUNT; n++)
		ASSERT_TRUE(set_base(&self->machine.lapics[n],
				     BASE_EN | BASE_EXTD | (n ? 0 : BASE_BSP)));
	EXPECT_TRUE(rdmsr(&self->machine.lapics[3], ID, &value));
	EXPECT_EQ(0x13, value);
	EXPECT_TRUE(rdmsr(&self->machine.lapics[3], LDR, &value));
	EXPECT_EQ(0x00010008, value);
	EXPECT_TRUE(wrmsr(self->boot, ICR, 0x1300000050));
	EXPECT_EQ(8, takers(&self->machine, 0x50));
	EXPECT_TRUE(rdmsr(self->boot, ICR, &value));
	EXPECT_EQ(0x1300000050, value);
	/* 32 bits of destination: ff is nobody in particular, and so is 113. */
	EXPECT_TRUE(wrmsr(self->boot, ICR, 0xff00000050));
	EXPECT_TRUE(wrmsr(self->boot, ICR, 0x11300000050));
	EXPECT_EQ(0, takers(&self->machine, 0x50));
	EXPECT_TRUE(wrmsr(self->boot, ICR, 0xffffffff00000050));
	EXPECT_EQ(0xf, takers(&self->machine, 0x50));
	EXPECT_TRUE(wrmsr(self->boot, ICR, 0xe00000000 | LOGICAL | 0x50));
	EXPECT_EQ(6, takers(&self->machine, 0x50));
	EXPECT_TRUE(wrmsr(self->boot, ICR, 0x1000800000000 | LOGICAL | 0x50));
	EXPECT_EQ(8, takers(&self->machine, 0x50));
	EXPECT_TRUE(wrmsr(self->boot, ICR, 0xffffffff00000000 | LOGICAL | 0x50));
	EXPECT_EQ(0xf, takers(&self->machine, 0x50));
	EXPECT_TRUE(wrmsr(self->boot, ICR, TO_OTHERS | 0x50));
	EXPECT_EQ(0xe, takers(&self->machine, 0x50));
	EXPECT_TRUE(wrmsr(self->boot, SELF_IPI, 0x51));
	EXPECT_EQ(1, takers(&self->machine, 0x51));
	EXPECT_TRUE(wrmsr(self->boot, SELF_IPI, 1));
	EXPECT_TRUE(wrmsr(self->boot, ESR, 0));
	EXPECT_TRUE(rdmsr(self->boot, ESR, &value));
	EXPECT_EQ(0x20, value);
}

/* Among others in xAPIC mode, one in x2APIC mode has destinations that they cannot have. */
TEST_F(lapic, ipi_between_modes)
{
	ASSERT_TRUE(set_base(self->boot, BASE_EN | BASE_EXTD | BASE_BSP));
	for (int n = 1; n < COUNT; n++)
		put(&self->machine.lapics[n], LDR, 0x01000000 << n);
	EXPECT_TRUE(wrmsr(self->boot, ICR, 0x600000000 | LOGICAL | 0x50));
	EXPECT_EQ(6, takers(&self->machine, 0x50));
	EXPECT_TRUE(wrmsr(self->boot, ICR, 0x10600000000 | LOGICAL | 0x50));
	EXPECT_TRUE(wrmsr(self->boot, ICR, 0x10100000050));
	EXPECT_EQ(0, takers(&self->machine, 0x50));
	EXPECT_TRUE(wrmsr(self->boot, ICR, 0xffffffff00000050));
	EXPECT_EQ(0xf, takers(&self->machine, 0x50));
	put(&self->machine.lapics[1], ICR_HIGH, 0xff000000);
	put(&self->machine.lapics[1], ICR, 0x51);
	EXPECT_EQ(0xf, takers(&self->machine, 0x51));
}

TEST_F(lapic, lowest_priority)
{
	put(self->boot, ICR_HIGH, 0xff000000);
	put(&self->machine.lapics[0], TPR, 0x20);
	put(&self->machine.lapics[1], TPR, 0x10);
	put(&self->machine.lapics[2], TPR, 0x20);
	put(&self->machine.lapics[3], TPR, 0x10);
	/* Those at the lowest take turns. */
	put(self->boot, ICR, MODE(VMX_APIC_LOWEST) | 0x50);
	EXPECT_EQ(2, takers(&self->machine, 0x50));
	put(self->boot, ICR, MODE(VMX_APIC_LOWEST) | 0x50);
	EXPECT_EQ(8, takers(&self->machine, 0x50));
	put(self->boot, ICR, MODE(VMX_APIC_LOWEST) | 0x50);
	EXPECT_EQ(2, takers(&self->machine, 0x50));
	/* One that is disabled takes none. */
	put(&self->machine.lapics[1], SVR, 0xff);
	put(&self->machine.lapics[3], SVR, 0xff);
	put(self->boot, ICR, MODE(VMX_APIC_LOWEST) | 0x50);
	EXPECT_EQ(4, takers(&self->machine, 0x50));
	/* What is in service counts. */
	put(&self->machine.lapics[0], TPR, 0x30);
	interrupt(&self->machine, 2, 0x80);
	vmx_lapic_accept(&self->machine.lapics[2], 0x80);
	put(self->boot, ICR, MODE(VMX_APIC_LOWEST) | 0x90);
	EXPECT_EQ(1, takers(&self->machine, 0x90));
	put(self->boot, ICR, MODE(VMX_APIC_LOWEST) | TO_OTHERS | 0x90);
	EXPECT_EQ(4, takers(&self->machine, 0x90));
}

TEST_F(lapic, nmi)
{
	struct vmx_lapic *other = &self->machine.lapics[1];

	put(self->boot, ICR_HIGH, 1 << 24);
	put(self->boot, ICR, MODE(VMX_APIC_NMI) | 0x02);
	EXPECT_EQ(1, self->machine.kicks[1]);
	EXPECT_EQ(VMX_LAPIC_NMI, vmx_lapic_events(other));
	EXPECT_EQ(-1, vmx_lapic_pending(other));
	EXPECT_TRUE(vmx_lapic_take_nmi(other));
	EXPECT_FALSE(vmx_lapic_take_nmi(other));
	EXPECT_FALSE(vmx_lapic_take_nmi(self->boot));
}

TEST_F(lapic, nobody_sends_what_is_reserved)
{
	put(self->boot, ICR, TO_ALL | MODE(VMX_APIC_RESERVED) | 0x50);
	put(self->boot, ICR, TO_ALL | MODE(VMX_APIC_EXTINT) | 0x50);
	put(self->boot, ICR, TO_ALL | MODE(VMX_APIC_SMI));
	for (int n = 0; n < COUNT; n++)
		EXPECT_EQ(0, vmx_lapic_events(&self->machine.lapics[n]));
}

/* The sequence by which Linux starts a processor. */
TEST_F(lapic, init_and_startup)
{
	struct vmx_lapic *other = &self->machine.lapics[1];

	interrupt(&self->machine, 1, 0x60);
	vmx_lapic_accept(other, 0x60);
	interrupt(&self->machine, 1, 0x40);
	put(other, TPR, 0x10);
	put(other, LVT_TIMER, 0x30);
	put(other, INITIAL, 1000);
	put(self->boot, ICR_HIGH, 1 << 24);
	put(self->boot, ICR, MODE(VMX_APIC_NMI));
	vmx_apic_bus_msi(&self->machine.bus, 0xfee01000, MODE(VMX_APIC_EXTINT));
	interrupt(&self->machine, 1, 3);
	/* A processor that runs notices no SIPI. */
	put(self->boot, ICR, MODE(VMX_APIC_STARTUP) | 0x99);
	EXPECT_EQ(-1, vmx_lapic_take_sipi(other));
	self->machine.kicks[1] = 0;
	put(self->boot, ICR, MODE(VMX_APIC_INIT) | LEVEL | ASSERT);
	put(self->boot, ICR, MODE(VMX_APIC_INIT) | LEVEL);
	EXPECT_EQ(1, self->machine.kicks[1]);
	put(self->boot, ICR, TO_ALL | MODE(VMX_APIC_INIT) | LEVEL);
	EXPECT_EQ(0, vmx_lapic_events(self->boot));
	put(self->boot, ICR, MODE(VMX_APIC_STARTUP) | 0x9a);
	EXPECT_EQ(2, self->machine.kicks[1]);
	put(self->boot, ICR, MODE(VMX_APIC_STARTUP) | 0x9b);
	EXPECT_EQ(VMX_LAPIC_INIT | VMX_LAPIC_SIPI, vmx_lapic_events(other) & 3);
	EXPECT_EQ(-1, vmx_lapic_take_sipi(other));
	EXPECT_TRUE(vmx_lapic_take_init(other));
	EXPECT_FALSE(vmx_lapic_take_init(other));
	EXPECT_TRUE(other->waiting);
	EXPECT_EQ(VMX_LAPIC_SIPI, vmx_lapic_events(other));
	EXPECT_EQ(0x9a, vmx_lapic_take_sipi(other));
	EXPECT_FALSE(other->waiting);
	EXPECT_EQ(0, vmx_lapic_events(other));
	put(self->boot, ICR, MODE(VMX_APIC_STARTUP) | 0x9b);
	EXPECT_EQ(0, vmx_lapic_events(other));
	/* It is as new, but for its ID. */
	EXPECT_EQ(0xff, get(other, SVR));
	put(other, ESR, 0);
	EXPECT_EQ(0, get(other, ESR));
	EXPECT_EQ(0, get(other, TPR));
	EXPECT_EQ(0, get(other, PPR));
	EXPECT_EQ(0, get(other, IRR + 0x20));
	EXPECT_EQ(0, get(other, INITIAL));
	EXPECT_EQ(MASKED, get(other, LVT_TIMER));
	EXPECT_EQ(0x01000000, get(other, ID));
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
}

TEST_F(lapic, one_that_waits_takes_nothing_else)
{
	struct vmx_lapic *other = &self->machine.lapics[1];

	put(self->boot, ICR_HIGH, 1 << 24);
	put(self->boot, ICR, MODE(VMX_APIC_INIT));
	EXPECT_TRUE(vmx_lapic_take_init(other));
	self->machine.kicks[1] = 0;
	put(self->boot, ICR, MODE(VMX_APIC_NMI));
	vmx_lapic_set_lint(other, 0, true);
	put(other, SVR, 0x1ff);
	EXPECT_TRUE(interrupt(&self->machine, 1, 0x50));
	EXPECT_EQ(-1, vmx_lapic_pending(other));
	EXPECT_EQ(0, vmx_lapic_events(other));
	EXPECT_FALSE(vmx_lapic_take_nmi(other));
	EXPECT_FALSE(vmx_lapic_take_extint(other));
	EXPECT_EQ(0, self->machine.kicks[1]);
	/* A later INIT takes back what was to be started. */
	put(self->boot, ICR, MODE(VMX_APIC_STARTUP) | 1);
	put(self->boot, ICR, MODE(VMX_APIC_INIT));
	EXPECT_EQ(VMX_LAPIC_INIT, vmx_lapic_events(other));
}

/* The bootstrap processor goes on after an INIT, so there is no SIPI for it. */
TEST_F(lapic, init_of_the_bootstrap_processor)
{
	put(self->boot, ICR_HIGH, 0);
	put(self->boot, ICR, MODE(VMX_APIC_INIT));
	put(self->boot, ICR, MODE(VMX_APIC_STARTUP) | 0x10);
	EXPECT_EQ(VMX_LAPIC_INIT, vmx_lapic_events(self->boot));
	EXPECT_TRUE(vmx_lapic_take_init(self->boot));
	EXPECT_FALSE(self->boot->waiting);
	EXPECT_EQ(-1, vmx_lapic_take_sipi(self->boot));
}

TEST_F(lapic, msi)
{
	struct vmx_apic_bus *bus = &self->machine.bus;

	EXPECT_TRUE(vmx_apic_bus_msi(bus, 0xfee01000, 0x50));
	EXPECT_EQ(2, takers(&self->machine, 0x50));
	EXPECT_TRUE(vmx_apic_bus_msi(bus, 0xfeeff000, 0x50));
	EXPECT_EQ(0xf, takers(&self->machine, 0x50));
	EXPECT_TRUE(vmx_apic_bus_msi(bus, 0xfee13000, MODE(VMX_APIC_NMI)));
	EXPECT_TRUE(vmx_lapic_take_nmi(&self->machine.lapics[3]));
	/* Logical, and redirectable. */
	for (int n = 0; n < COUNT; n++)
		put(&self->machine.lapics[n], LDR, 0x01000000 << n);
	EXPECT_TRUE(vmx_apic_bus_msi(bus, 0xfee06004, 0x50));
	EXPECT_EQ(6, takers(&self->machine, 0x50));
	put(&self->machine.lapics[1], TPR, 0x10);
	EXPECT_TRUE(vmx_apic_bus_msi(bus, 0xfee0600c, 0x50));
	EXPECT_EQ(4, takers(&self->machine, 0x50));
	EXPECT_TRUE(vmx_apic_bus_msi(bus, 0xfee06004, MODE(VMX_APIC_LOWEST) | 0x50));
	EXPECT_EQ(4, takers(&self->machine, 0x50));
	/* Levels: asserted, and not. */
	EXPECT_TRUE(vmx_apic_bus_msi(bus, 0xfee00000, LEVEL | ASSERT | 0x50));
	EXPECT_FALSE(vmx_apic_bus_msi(bus, 0xfee01000, LEVEL | 0x50));
	EXPECT_EQ(0, self->machine.eois[0x50]);
	EXPECT_EQ(1, takers(&self->machine, 0x50));
	EXPECT_EQ(1, self->machine.eois[0x50]);
	/* Not for local APICs. */
	EXPECT_FALSE(vmx_apic_bus_msi(bus, 0x1fee00000, 0x50));
	EXPECT_FALSE(vmx_apic_bus_msi(bus, 0xfed00000, 0x50));
	EXPECT_FALSE(vmx_apic_bus_msi(bus, 0, 0x50));
	EXPECT_FALSE(vmx_apic_bus_msi(bus, 0xfee77000, 0x50));
	EXPECT_EQ(0, takers(&self->machine, 0x50));
}

TEST_F(lapic, ends_of_level_triggered_interrupts_are_broadcast)
{
	struct vmx_apic_message message = { .vector = 0x50, .level = true };

	vmx_apic_bus_send(&self->machine.bus, &message);
	EXPECT_EQ(1u << 0x10, get(self->boot, TMR + 0x20));
	EXPECT_EQ(1, takers(&self->machine, 0x50));
	EXPECT_EQ(1, self->machine.eois[0x50]);
	/* The next message decides again. */
	interrupt(&self->machine, 0, 0x50);
	EXPECT_EQ(0, get(self->boot, TMR + 0x20));
	EXPECT_EQ(1, takers(&self->machine, 0x50));
	EXPECT_EQ(1, self->machine.eois[0x50]);
	/* Unless software does it. */
	put(self->boot, SVR, 0x11ff);
	vmx_apic_bus_send(&self->machine.bus, &message);
	EXPECT_EQ(1, takers(&self->machine, 0x50));
	EXPECT_EQ(1, self->machine.eois[0x50]);
}

TEST_HARNESS_MAIN
