// SPDX-License-Identifier: GPL-2.0
/* The local APIC's timer. */
#include "apics.h"

TEST_F(lapic, timer_one_shot)
{
	put(self->boot, LVT_TIMER, 0x40);
	put(self->boot, DIVIDE, 0xb);
	put(self->boot, INITIAL, 1000);
	EXPECT_EQ(2500, vmx_lapic_deadline(self->boot));
	wait_until(&self->machine, 400);
	EXPECT_EQ(600, get(self->boot, CURRENT));
	EXPECT_EQ(1000, get(self->boot, INITIAL));
	EXPECT_EQ(0, takers(&self->machine, 0x40));
	/* It is 0 as soon as it is time, whenever that is noticed. */
	self->machine.now = 1200;
	EXPECT_EQ(0, get(self->boot, CURRENT));
	wait_until(&self->machine, 1200);
	EXPECT_EQ(0, get(self->boot, CURRENT));
	EXPECT_EQ(1, self->machine.kicks[0]);
	EXPECT_EQ(1, takers(&self->machine, 0x40));
	wait_until(&self->machine, 10000);
	EXPECT_EQ(0, takers(&self->machine, 0x40));
	EXPECT_EQ(0, vmx_lapic_deadline(self->boot));
	/* It is over: becoming periodic does not revive it. */
	put(self->boot, LVT_TIMER, PERIODIC | 0x40);
	EXPECT_EQ(0, get(self->boot, CURRENT));
	/* Masked, it counts all the same. */
	put(self->boot, LVT_TIMER, MASKED | 0x40);
	put(self->boot, INITIAL, UINT32_MAX);
	wait_until(&self->machine, 11000);
	EXPECT_EQ(UINT32_MAX - 1000, get(self->boot, CURRENT));
	put(self->boot, INITIAL, 0);
	EXPECT_EQ(0, get(self->boot, CURRENT));
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
}

TEST_F(lapic, timer_divisors)
{
	static const struct {
		uint32_t divide;
		unsigned int divisor;
	} all[] = {
		{ 0x0, 2 }, { 0x1, 4 }, { 0x2, 8 }, { 0x3, 16 },
		{ 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 },
	};

	for (unsigned int n = 0; n < 8; n++) {
		put(self->boot, DIVIDE, all[n].divide | 0xfffffff4);
		EXPECT_EQ(all[n].divide, get(self->boot, DIVIDE));
		put(self->boot, INITIAL, UINT32_MAX);
		EXPECT_EQ(self->machine.now + (uint64_t)UINT32_MAX * all[n].divisor,
			  vmx_clock_next(&self->machine.clock));
		wait_until(&self->machine, self->machine.now + 1280);
		EXPECT_EQ(UINT32_MAX - 1280 / all[n].divisor, get(self->boot, CURRENT));
	}
	/* Changed on the way: what is counted stays counted. */
	put(self->boot, DIVIDE, 0xb);
	put(self->boot, INITIAL, 1000000);
	wait_until(&self->machine, self->machine.now + 400000);
	put(self->boot, DIVIDE, 0x3);
	EXPECT_EQ(600000, get(self->boot, CURRENT));
	EXPECT_EQ(self->machine.now + 16 * 600000, vmx_clock_next(&self->machine.clock));
	wait_until(&self->machine, self->machine.now + 1600);
	EXPECT_EQ(599900, get(self->boot, CURRENT));
}

TEST_F(lapic, timer_periodic)
{
	put(self->boot, LVT_TIMER, PERIODIC | 0x40);
	put(self->boot, DIVIDE, 0x0);
	put(self->boot, INITIAL, 500000);
	for (unsigned int n = 1; n < 5; n++) {
		wait_until(&self->machine, n * 1000000 - 1);
		EXPECT_EQ(0, takers(&self->machine, 0x40));
		EXPECT_EQ(1, get(self->boot, CURRENT));
		/* However late it is noticed, the next is not late. */
		wait_until(&self->machine, n * 1000000 + 1000);
		EXPECT_EQ(1, takers(&self->machine, 0x40));
		EXPECT_EQ(499500, get(self->boot, CURRENT));
	}
	/* Those that are missed are missed. */
	wait_until(&self->machine, 10200000);
	EXPECT_EQ(1, takers(&self->machine, 0x40));
	EXPECT_EQ(11000000, vmx_clock_next(&self->machine.clock));
	/* Counting goes on in the other mode. */
	put(self->boot, LVT_TIMER, 0x40);
	EXPECT_EQ(400000, get(self->boot, CURRENT));
	wait_until(&self->machine, 11000000);
	EXPECT_EQ(1, takers(&self->machine, 0x40));
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
}

/* A guest that asks for an interrupt each nanosecond does not get the machine's whole time. */
TEST_F(lapic, timer_periods_have_a_minimum)
{
	unsigned int interrupts = 0;

	put(self->boot, LVT_TIMER, PERIODIC | 0x40);
	put(self->boot, DIVIDE, 0xb);
	for (uint32_t initial = 1; initial < 40; initial += 19) {
		put(self->boot, INITIAL, initial);
		interrupts = 0;
		for (unsigned int n = 0; n < 10; n++) {
			uint64_t next = vmx_clock_next(&self->machine.clock);

			EXPECT_LE(self->machine.now + VMX_LAPIC_PERIOD_MIN - initial, next);
			EXPECT_GE(self->machine.now + VMX_LAPIC_PERIOD_MIN + initial, next);
			wait_until(&self->machine, next);
			interrupts += takers(&self->machine, 0x40);
		}
		EXPECT_EQ(10, interrupts);
	}
}

TEST_F(lapic, timer_tsc_deadline)
{
	uint64_t value;

	/* Not before the mode is chosen. */
	EXPECT_TRUE(vmx_lapic_wrmsr(self->boot, VMX_MSR_TSC_DEADLINE, 1000));
	EXPECT_TRUE(vmx_lapic_rdmsr(self->boot, VMX_MSR_TSC_DEADLINE, &value));
	EXPECT_EQ(0, value);
	put(self->boot, INITIAL, 77);
	put(self->boot, LVT_TIMER, DEADLINE | 0x40);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
	EXPECT_TRUE(vmx_lapic_wrmsr(self->boot, VMX_MSR_TSC_DEADLINE, 10001));
	EXPECT_TRUE(vmx_lapic_rdmsr(self->boot, VMX_MSR_TSC_DEADLINE, &value));
	EXPECT_EQ(10001, value);
	/* Initial and current count are out of use. */
	put(self->boot, INITIAL, 77);
	EXPECT_EQ(0, get(self->boot, CURRENT));
	/* 4000.4 ns are 4001; then the TSC is at 10002.5. */
	EXPECT_EQ(4001, vmx_clock_next(&self->machine.clock));
	EXPECT_EQ(10003, vmx_lapic_deadline(self->boot));
	wait_until(&self->machine, 4000);
	EXPECT_EQ(0, takers(&self->machine, 0x40));
	EXPECT_EQ(0, get(self->boot, CURRENT));
	wait_until(&self->machine, 4001);
	EXPECT_EQ(1, takers(&self->machine, 0x40));
	EXPECT_TRUE(vmx_lapic_rdmsr(self->boot, VMX_MSR_TSC_DEADLINE, &value));
	EXPECT_EQ(0, value);
	/* One that is over is at once; 0 is none; the last counts. */
	EXPECT_TRUE(vmx_lapic_wrmsr(self->boot, VMX_MSR_TSC_DEADLINE, 10002));
	EXPECT_EQ(1, takers(&self->machine, 0x40));
	EXPECT_EQ(0, vmx_lapic_deadline(self->boot));
	EXPECT_TRUE(vmx_lapic_wrmsr(self->boot, VMX_MSR_TSC_DEADLINE, 20000));
	EXPECT_TRUE(vmx_lapic_wrmsr(self->boot, VMX_MSR_TSC_DEADLINE, 30000));
	EXPECT_EQ(30000, vmx_lapic_deadline(self->boot));
	EXPECT_TRUE(vmx_lapic_wrmsr(self->boot, VMX_MSR_TSC_DEADLINE, 0));
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
	EXPECT_EQ(0, vmx_lapic_events(self->boot));
	/* Far away, it is never; leaving the mode disarms. */
	EXPECT_TRUE(vmx_lapic_wrmsr(self->boot, VMX_MSR_TSC_DEADLINE, UINT64_MAX));
	EXPECT_LT(1ull << 62, vmx_clock_next(&self->machine.clock));
	EXPECT_EQ(UINT64_MAX, vmx_lapic_deadline(self->boot));
	put(self->boot, LVT_TIMER, 0x40);
	EXPECT_TRUE(vmx_lapic_rdmsr(self->boot, VMX_MSR_TSC_DEADLINE, &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
	/* The fourth mode is reserved: it does nothing. */
	put(self->boot, LVT_TIMER, DEADLINE | PERIODIC | 0x40);
	put(self->boot, INITIAL, 77);
	EXPECT_TRUE(vmx_lapic_wrmsr(self->boot, VMX_MSR_TSC_DEADLINE, 30000));
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
}

/* A clock that is made from the TSC. */
static uint64_t clock_of(uint64_t ticks, uint32_t khz)
{
	return ticks / khz * 1000000 + ticks % khz * 1000000 / khz;
}

/* When the TSC is where RUN returns, the clock is where the timer expires, at every rate. */
TEST_F(lapic, deadlines_and_clocks_meet)
{
	static const uint32_t rates[] = { 1, 999, 1000000, 2399987, UINT32_MAX };
	struct vmx_lapic lapic;
	struct vmx_lapic_config config = self->boot->config;

	config.id = 7;
	for (unsigned int n = 0; n < 5; n++) {
		uint64_t tsc = 123456789;

		self->machine.bus = (struct vmx_apic_bus){};
		self->machine.clock.first = NULL;
		self->machine.clock.past = 0;
		config.tsc_khz = rates[n];
		ASSERT_EQ(0, vmx_lapic_init(&lapic, &config));
		put(&lapic, SVR, 0x1ff);
		put(&lapic, LVT_TIMER, DEADLINE | 0x40);
		self->machine.now = 987654321;
		vmx_lapic_set_tsc(&lapic, tsc);
		for (unsigned int step = 1; step < 100000; step = step * 3 + 1) {
			uint64_t zero = lapic.tsc_zero, deadline, when;

			vmx_lapic_wrmsr(&lapic, VMX_MSR_TSC_DEADLINE, tsc + step);
			when = vmx_clock_next(&self->machine.clock);
			deadline = vmx_lapic_deadline(&lapic);
			EXPECT_LE(tsc + step, deadline);
			EXPECT_LE(when, clock_of(deadline - zero, rates[n]));
			self->machine.now = when;
			vmx_clock_expire(&self->machine.clock);
			EXPECT_EQ(0x40, vmx_lapic_pending(&lapic));
			EXPECT_EQ(0, lapic.tsc_deadline);
			vmx_lapic_accept(&lapic, 0x40);
			put(&lapic, EOI, 0);
			tsc = deadline;
		}
	}
}

TEST_F(lapic, deadlines_follow_the_tsc)
{
	self->machine.now = 1000000;
	vmx_lapic_set_tsc(self->boot, 5000);
	put(self->boot, LVT_TIMER, DEADLINE | 0x40);
	EXPECT_TRUE(vmx_lapic_wrmsr(self->boot, VMX_MSR_TSC_DEADLINE, 10000));
	EXPECT_EQ(1002000, vmx_clock_next(&self->machine.clock));
	EXPECT_EQ(10000, vmx_lapic_deadline(self->boot));
	vmx_lapic_set_tsc(self->boot, 7500);
	EXPECT_EQ(1001000, vmx_clock_next(&self->machine.clock));
	EXPECT_EQ(10000, vmx_lapic_deadline(self->boot));
	vmx_lapic_set_tsc(self->boot, 20000);
	EXPECT_EQ(1, takers(&self->machine, 0x40));
	/* A TSC near its end: deadlines saturate. */
	vmx_lapic_set_tsc(self->boot, UINT64_MAX - 10);
	EXPECT_EQ(UINT64_MAX, vmx_lapic_tsc(self->boot, 2000000));
	EXPECT_EQ(UINT64_MAX - 10, vmx_lapic_tsc(self->boot, 0));
	EXPECT_EQ(0, vmx_lapic_tsc(self->boot, VMX_NEVER));
	/* A TSC of 0 is no deadline to RUN. */
	vmx_lapic_set_tsc(self->boot, 0);
	EXPECT_EQ(1, vmx_lapic_tsc(self->boot, 0));
}

TEST_F(lapic, no_deadlines_without_a_rate)
{
	struct vmx_lapic_config config = self->boot->config;
	struct vmx_lapic lapic;
	uint64_t value;

	config.id = 9;
	config.tsc_khz = 0;
	self->machine.bus = (struct vmx_apic_bus){};
	ASSERT_EQ(0, vmx_lapic_init(&lapic, &config));
	put(&lapic, SVR, 0x1ff);
	EXPECT_FALSE(vmx_lapic_rdmsr(&lapic, VMX_MSR_TSC_DEADLINE, &value));
	EXPECT_FALSE(vmx_lapic_wrmsr(&lapic, VMX_MSR_TSC_DEADLINE, 1));
	put(&lapic, LVT_TIMER, DEADLINE | 0x40);
	EXPECT_EQ(0x40, get(&lapic, LVT_TIMER));
	put(&lapic, INITIAL, 1000);
	EXPECT_EQ(2000, vmx_clock_next(&self->machine.clock));
	EXPECT_EQ(0, vmx_lapic_deadline(&lapic));
	vmx_lapic_set_tsc(&lapic, 1000);
}

TEST_HARNESS_MAIN
