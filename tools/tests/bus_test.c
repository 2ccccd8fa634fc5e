// SPDX-License-Identifier: GPL-2.0
/* Buses and clocks: who answers, and when. */
#include <errno.h>

#include "kselftest_harness.h"
#include "memo.h"
#include "ports.h"

FIXTURE(bus) {
	struct vmx_bus bus;
	struct memo a, b;
};

FIXTURE_SETUP(bus)
{
	ASSERT_EQ(0, vmx_bus_add(&self->bus, 0x100, 0x10, &memo_ops, &self->a, "a"));
	ASSERT_EQ(0, vmx_bus_add(&self->bus, 0x110, 0x8, &memo_ops, &self->b, "b"));
}

FIXTURE_TEARDOWN(bus)
{
	vmx_bus_free(&self->bus);
}

TEST_F(bus, the_range_that_has_it_answers)
{
	uint64_t value;

	EXPECT_TRUE(vmx_bus_write(&self->bus, 0x10f, 1, 0x1ff));
	EXPECT_EQ(0xf, self->a.offset);
	EXPECT_EQ(0xff, self->a.value);
	EXPECT_EQ(1, self->a.size);
	self->b.value = 0x1122334455667788;
	EXPECT_TRUE(vmx_bus_read(&self->bus, 0x110, 2, &value));
	EXPECT_EQ(0x7788, value);
	EXPECT_TRUE(vmx_bus_read(&self->bus, 0x110, 8, &value));
	EXPECT_EQ(self->b.value, value);
	EXPECT_EQ(0, self->b.offset);
	EXPECT_EQ(0, self->b.writes);
	EXPECT_EQ(0, self->a.reads);
}

TEST_F(bus, nobody_is_all_ones)
{
	uint64_t value;

	EXPECT_FALSE(vmx_bus_read(&self->bus, 0xff, 1, &value));
	EXPECT_EQ(0xff, value);
	EXPECT_FALSE(vmx_bus_read(&self->bus, 0x118, 4, &value));
	EXPECT_EQ(0xffffffff, value);
	/* Not two devices' at once, whichever was asked last. */
	EXPECT_TRUE(vmx_bus_read(&self->bus, 0x10f, 1, &value));
	EXPECT_FALSE(vmx_bus_read(&self->bus, 0x10f, 2, &value));
	EXPECT_EQ(0xffff, value);
	EXPECT_FALSE(vmx_bus_write(&self->bus, UINT64_MAX, 8, 0));
	EXPECT_EQ(1, self->a.reads);
	EXPECT_EQ(0, self->b.reads);
}

TEST_F(bus, overlaps_are_refused)
{
	struct memo c;

	EXPECT_EQ(-EEXIST, vmx_bus_add(&self->bus, 0x10f, 1, &memo_ops, &c, "c"));
	EXPECT_EQ(-EEXIST, vmx_bus_add(&self->bus, 0x10f, 2, &memo_ops, &c, "c"));
	EXPECT_EQ(-EEXIST, vmx_bus_add(&self->bus, 0, 0x1000, &memo_ops, &c, "c"));
	EXPECT_EQ(-EEXIST, vmx_bus_add(&self->bus, 0x117, 1, &memo_ops, &c, "c"));
	EXPECT_EQ(-EINVAL, vmx_bus_add(&self->bus, 0x200, 0, &memo_ops, &c, "c"));
	EXPECT_EQ(-EINVAL, vmx_bus_add(&self->bus, UINT64_MAX, 2, &memo_ops, &c, "c"));
	EXPECT_EQ(0, vmx_bus_add(&self->bus, UINT64_MAX, 1, &memo_ops, &c, "c"));
	EXPECT_EQ(0, vmx_bus_add(&self->bus, 0xff, 1, &memo_ops, &c, "c"));
}

TEST_F(bus, ranges_come_and_go)
{
	struct memo many[100] = {};
	uint64_t value;

	for (int n = 99; n >= 0; n--)
		ASSERT_EQ(0, vmx_bus_add(&self->bus, 0x1000 + n * 16, 16, &memo_ops, &many[n],
					 "many"));
	for (int n = 0; n < 100; n += 2)
		vmx_bus_remove(&self->bus, 0x1000 + n * 16);
	vmx_bus_remove(&self->bus, 0x1008);
	for (int n = 0; n < 100; n++) {
		EXPECT_EQ(n % 2, vmx_bus_read(&self->bus, 0x1000 + n * 16, 1, &value));
		EXPECT_EQ(n % 2, many[n].reads);
	}
}

/* A clock that the test winds, and timers that write down when they expired. */
struct alarm {
	struct vmx_clock *clock;
	struct vmx_timer timer;
	unsigned int count;
	uint64_t again;		/* sets itself for so much later */
	struct vmx_timer *cancels;
};

FIXTURE(clock) {
	struct vmx_clock clock;
	uint64_t now;
	struct alarm alarms[3];
};

static void ring(void *device)
{
	struct alarm *alarm = device;

	alarm->count++;
	if (alarm->again)
		vmx_timer_set(alarm->clock, &alarm->timer, alarm->timer.when + alarm->again);
	if (alarm->cancels)
		vmx_timer_cancel(alarm->clock, alarm->cancels);
}

FIXTURE_SETUP(clock)
{
	self->clock = (struct vmx_clock){ .now = test_now, .source = &self->now };
	for (int n = 0; n < 3; n++)
		self->alarms[n] = (struct alarm){ .clock = &self->clock,
						  .timer = { .expire = ring,
							     .device = &self->alarms[n] } };
}

FIXTURE_TEARDOWN(clock)
{
}

TEST_F(clock, timers_expire_in_time)
{
	for (int n = 0; n < 3; n++)
		vmx_timer_set(&self->clock, &self->alarms[n].timer, 300 - 100 * n);
	EXPECT_EQ(100, vmx_clock_next(&self->clock));
	self->now = 99;
	vmx_clock_expire(&self->clock);
	EXPECT_EQ(0, self->alarms[2].count);
	self->now = 200;
	vmx_clock_expire(&self->clock);
	EXPECT_EQ(1, self->alarms[2].count);
	EXPECT_EQ(1, self->alarms[1].count);
	EXPECT_EQ(0, self->alarms[0].count);
	EXPECT_EQ(300, vmx_clock_next(&self->clock));
	vmx_timer_cancel(&self->clock, &self->alarms[0].timer);
	vmx_timer_cancel(&self->clock, &self->alarms[0].timer);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->clock));
}

TEST_F(clock, setting_again_moves)
{
	vmx_timer_set(&self->clock, &self->alarms[0].timer, 100);
	vmx_timer_set(&self->clock, &self->alarms[0].timer, 500);
	self->now = 400;
	vmx_clock_expire(&self->clock);
	EXPECT_EQ(0, self->alarms[0].count);
	self->now = 500;
	vmx_clock_expire(&self->clock);
	EXPECT_EQ(1, self->alarms[0].count);
}

static unsigned int tellings;

static void count_telling(void *source)
{
	(void)source;
	tellings++;
}

TEST_F(clock, a_sooner_event_is_told)
{
	self->clock.sooner = count_telling;
	vmx_timer_set(&self->clock, &self->alarms[0].timer, 200);
	EXPECT_EQ(1, tellings);
	vmx_timer_set(&self->clock, &self->alarms[1].timer, 300);
	EXPECT_EQ(1, tellings);
	vmx_timer_set(&self->clock, &self->alarms[1].timer, 100);
	EXPECT_EQ(2, tellings);
	vmx_timer_set(&self->clock, &self->alarms[1].timer, 300);
	EXPECT_EQ(2, tellings);
}

/* However short its period, a timer expires once an occasion: a guest cannot stop the clock. */
TEST_F(clock, short_periods_do_not_pile_up)
{
	self->alarms[0].again = 1;
	vmx_timer_set(&self->clock, &self->alarms[0].timer, 1);
	self->now = 1000000000;
	vmx_clock_expire(&self->clock);
	EXPECT_EQ(1, self->alarms[0].count);
	EXPECT_EQ(self->now + 1, vmx_clock_next(&self->clock));
}

TEST_F(clock, one_cancels_another)
{
	self->alarms[0].cancels = &self->alarms[1].timer;
	vmx_timer_set(&self->clock, &self->alarms[0].timer, 1);
	vmx_timer_set(&self->clock, &self->alarms[1].timer, 2);
	self->now = 5;
	vmx_clock_expire(&self->clock);
	EXPECT_EQ(1, self->alarms[0].count);
	EXPECT_EQ(0, self->alarms[1].count);
}

TEST_HARNESS_MAIN
