// SPDX-License-Identifier: GPL-2.0
/* The MC146818 as drivers use it. */
#include <time.h>

#include <libvmx/rtc.h>

#include "kselftest_harness.h"
#include "ports.h"

enum { SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH,
       YEAR, REG_A, REG_B, REG_C, REG_D, CENTURY = 0x32 };

FIXTURE(rtc) {
	struct test_machine machine;
	struct test_line irq;
	struct vmx_rtc rtc;
};

/* The time of day goes with the machine's clock. */
struct host {
	struct test_machine *machine;
	uint64_t epoch;
};

static struct host host;

static uint64_t read_time(void *source)
{
	const struct host *from = source;

	return from->epoch + from->machine->now;
}

static uint8_t read_cmos(struct test_machine *machine, uint8_t index)
{
	test_out(machine, 0x70, index);
	return test_in(machine, 0x71);
}

static void write_cmos(struct test_machine *machine, uint8_t index, uint8_t value)
{
	test_out(machine, 0x70, index);
	test_out(machine, 0x71, value);
}

#define get(index)	read_cmos(&self->machine, index)
#define set(index, value) write_cmos(&self->machine, index, value)
#define pass(ns)	test_pass(&self->machine, ns)
#define EXPECT_TIME(h, m, s) do {	\
	EXPECT_EQ(h, get(HOURS));	\
	EXPECT_EQ(m, get(MINUTES));	\
	EXPECT_EQ(s, get(SECONDS));	\
} while (0)

/* A Tuesday, 2024-12-31 23:59:57 and a quarter. */
FIXTURE_SETUP(rtc)
{
	struct tm tm = { .tm_sec = 57, .tm_min = 59, .tm_hour = 23, .tm_mday = 31, .tm_mon = 11,
			 .tm_year = 124 };

	test_machine_init(&self->machine);
	self->machine.now = NS_PER_SECOND / 4;
	host = (struct host){ &self->machine, timegm(&tm) * NS_PER_SECOND };
	vmx_rtc_init(&self->rtc, &(struct vmx_rtc_config){ .clock = &self->machine.clock,
							   .irq = test_wire(&self->irq),
							   .time = read_time,
							   .source = &host });
	ASSERT_EQ(0, vmx_rtc_attach(&self->rtc, &self->machine.ports));
}

FIXTURE_TEARDOWN(rtc)
{
	vmx_bus_free(&self->machine.ports);
}

TEST_F(rtc, shows_the_time_of_day)
{
	EXPECT_EQ(0x80, get(REG_D));
	EXPECT_EQ(0x26, get(REG_A));
	EXPECT_EQ(0x02, get(REG_B));
	EXPECT_TIME(0x23, 0x59, 0x57);
	EXPECT_EQ(0x31, get(DAY));
	EXPECT_EQ(0x12, get(MONTH));
	EXPECT_EQ(0x24, get(YEAR));
	EXPECT_EQ(0x20, get(CENTURY));
	EXPECT_EQ(3, get(WEEKDAY));
	EXPECT_EQ(0x57, get(0x80 | SECONDS));	/* bit 7 masks NMIs */
	pass(3 * NS_PER_SECOND);
	EXPECT_TIME(0, 0, 0);
	EXPECT_EQ(1, get(DAY));
	EXPECT_EQ(1, get(MONTH));
	EXPECT_EQ(0x25, get(YEAR));
	EXPECT_EQ(4, get(WEEKDAY));
	EXPECT_EQ(0xff, test_in(&self->machine, 0x70));
}

TEST_F(rtc, formats)
{
	set(REG_B, 0x06);
	EXPECT_TIME(23, 59, 57);
	EXPECT_EQ(20, get(CENTURY));
	set(REG_B, 0x04);
	EXPECT_TIME(0x80 | 11, 59, 57);
	pass(3 * NS_PER_SECOND);
	EXPECT_TIME(12, 0, 0);
	pass(12 * 3600 * NS_PER_SECOND);
	EXPECT_TIME(0x80 | 12, 0, 0);
	set(REG_B, 0x00);
	EXPECT_TIME(0x92, 0, 0);
	pass(3600 * NS_PER_SECOND);
	EXPECT_TIME(0x81, 0, 0);
}

/* Linux, rtc-mc146818-lib.c: mc146818_set_time(). */
TEST_F(rtc, is_set)
{
	set(REG_B, 0x82);
	set(REG_A, 0x76);
	EXPECT_TIME(0x23, 0x59, 0x57);
	set(YEAR, 0x00);
	set(CENTURY, 0x20);
	set(MONTH, 0x02);
	set(DAY, 0x28);
	set(HOURS, 0x23);
	set(MINUTES, 0x59);
	set(SECONDS, 0x59);
	pass(10 * NS_PER_SECOND);
	EXPECT_TIME(0x23, 0x59, 0x59);		/* it stands */
	set(REG_B, 0x02);
	pass(10 * NS_PER_SECOND);
	EXPECT_TIME(0x23, 0x59, 0x59);		/* the divider is still held */
	set(REG_A, 0x26);
	pass(NS_PER_SECOND);
	EXPECT_TIME(0, 0, 0);
	EXPECT_EQ(0x29, get(DAY));
	EXPECT_EQ(0x02, get(MONTH));
	EXPECT_EQ(0x00, get(YEAR));
	set(MINUTES, 0x30);			/* without stopping */
	pass(NS_PER_SECOND);
	EXPECT_TIME(0, 0x30, 1);
	vmx_rtc_reset(&self->rtc);
	EXPECT_TIME(0, 0x30, 1);
}

/* 244 us before each update, and never when there is none. */
TEST_F(rtc, update_in_progress)
{
	pass(NS_PER_SECOND / 4 * 3 - 244 * NS_PER_US - 1);
	EXPECT_EQ(0x26, get(REG_A));
	pass(1);
	EXPECT_EQ(0xa6, get(REG_A));
	EXPECT_EQ(0x57, get(SECONDS));
	pass(244 * NS_PER_US - 1);
	EXPECT_EQ(0xa6, get(REG_A));
	pass(1);
	EXPECT_EQ(0x26, get(REG_A));
	EXPECT_EQ(0x58, get(SECONDS));
	pass(NS_PER_SECOND - 1);
	set(REG_B, 0x82);
	EXPECT_EQ(0x26, get(REG_A));
	set(REG_A, 0xa6);			/* read-only */
	EXPECT_EQ(0x26, get(REG_A));
}

TEST_F(rtc, update_interrupts)
{
	get(REG_C);
	set(REG_B, 0x12);
	pass(NS_PER_SECOND / 4 * 3 - 1);
	EXPECT_FALSE(self->irq.level);
	pass(1);
	EXPECT_TRUE(self->irq.level);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
	pass(5 * NS_PER_SECOND);
	EXPECT_EQ(1, self->irq.rises);
	EXPECT_EQ(0xb0, get(REG_C) & 0xb0);	/* midnight is also when the alarm is */
	EXPECT_FALSE(self->irq.level);
	EXPECT_EQ(0, get(REG_C) & 0xb0);
	pass(NS_PER_SECOND);
	EXPECT_EQ(2, self->irq.rises);
	set(REG_B, 0x82);			/* SET takes UIE away */
	EXPECT_FALSE(self->irq.level);
	EXPECT_EQ(0x82, get(REG_B));
	set(REG_B, 0x92);
	EXPECT_EQ(0x82, get(REG_B));
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
}

TEST_F(rtc, flags_without_interrupts)
{
	get(REG_C);
	EXPECT_EQ(0, get(REG_C));
	pass(NS_PER_SECOND);
	EXPECT_EQ(0x50, get(REG_C));
	EXPECT_EQ(0, get(REG_C));
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
}

TEST_F(rtc, periodic_interrupts)
{
	static const unsigned int rates[] = { 0, 256, 128, 8192, 4096, 2048, 1024, 512,
					      256, 128, 64, 32, 16, 8, 4, 2 };

	for (unsigned int n = 0; n < 16; n++) {
		set(REG_A, 0x20 | n);
		set(REG_B, 0x42);
		get(REG_C);
		self->irq.rises = 0;
		for (unsigned int ms = 0; ms < 100000; ms++) {
			pass(NS_PER_MS / 50);
			if (self->irq.level)
				EXPECT_EQ(0xc0, get(REG_C) & 0xc0);
		}
		EXPECT_LE(2 * rates[n] - (n > 0), self->irq.rises);
		EXPECT_GE(2 * rates[n] + (n > 0), self->irq.rises);
	}
	set(REG_A, 0x76);
	get(REG_C);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
}

TEST_F(rtc, alarm)
{
	set(SECONDS_ALARM, 0x02);
	set(MINUTES_ALARM, 0x01);
	set(HOURS_ALARM, 0x00);
	get(REG_C);
	set(REG_B, 0x22);
	pass(64 * NS_PER_SECOND);
	EXPECT_FALSE(self->irq.level);
	pass(NS_PER_SECOND);
	EXPECT_TRUE(self->irq.level);
	EXPECT_TIME(0, 1, 2);
	EXPECT_EQ(0xb0, get(REG_C) & 0xb0);
	EXPECT_FALSE(self->irq.level);
	pass(86399 * NS_PER_SECOND);
	EXPECT_FALSE(self->irq.level);
	pass(NS_PER_SECOND);
	EXPECT_TRUE(self->irq.level);
	get(REG_C);
	/* Any hour, any minute. */
	set(HOURS_ALARM, 0xff);
	set(MINUTES_ALARM, 0xc0);
	pass(59 * NS_PER_SECOND);
	EXPECT_FALSE(self->irq.level);
	pass(NS_PER_SECOND);
	EXPECT_EQ(0xb0, get(REG_C) & 0xb0);
	/* Never. */
	set(MINUTES_ALARM, 0x60);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
	pass(86400 * NS_PER_SECOND);
	EXPECT_EQ(0x10, get(REG_C) & 0xb0);
}

/* After a pause of the machine's clock: an alarm that was due is, and the next comes in time. */
TEST_F(rtc, time_of_day_jumps)
{
	set(SECONDS_ALARM, 0x00);
	set(MINUTES_ALARM, 0xc0);
	set(HOURS_ALARM, 0xc0);
	set(REG_B, 0x22);
	pass(NS_PER_SECOND);
	EXPECT_FALSE(self->irq.level);
	host.epoch += 20 * NS_PER_SECOND;
	vmx_rtc_time_changed(&self->rtc);
	EXPECT_TRUE(self->irq.level);
	EXPECT_EQ(0xa0, get(REG_C) & 0xa0);
	EXPECT_TIME(0, 0, 0x18);
	host.epoch += 40 * NS_PER_SECOND;
	vmx_rtc_time_changed(&self->rtc);
	EXPECT_FALSE(self->irq.level);
	pass(NS_PER_SECOND);
	EXPECT_FALSE(self->irq.level);
	pass(NS_PER_SECOND);
	EXPECT_TRUE(self->irq.level);
}

TEST_F(rtc, alarm_by_12_hours)
{
	set(REG_B, 0x00);
	set(SECONDS_ALARM, 0);
	set(MINUTES_ALARM, 0);
	set(HOURS_ALARM, 0x92);
	set(REG_B, 0x20);
	pass(12 * 3600 * NS_PER_SECOND + 2 * NS_PER_SECOND);
	EXPECT_FALSE(self->irq.level);
	pass(NS_PER_SECOND);
	EXPECT_TRUE(self->irq.level);
	EXPECT_TIME(0x92, 0, 0);
}

/* The host's time of day is set: the guest's clock follows, and interrupts go on. */
TEST_F(rtc, time_jumps)
{
	set(REG_B, 0x12);
	host.epoch -= 3600 * NS_PER_SECOND;
	EXPECT_TIME(0x22, 0x59, 0x57);
	get(REG_C);
	pass(NS_PER_SECOND);
	EXPECT_TRUE(self->irq.level);
	get(REG_C);
	host.epoch += 7200 * NS_PER_SECOND;
	pass(2 * NS_PER_SECOND);
	EXPECT_TRUE(self->irq.level);
	EXPECT_EQ(1, get(DAY));
}

/* What no clock shows is made into something that one does. */
TEST_F(rtc, nonsense)
{
	set(REG_B, 0x82);
	for (unsigned int index = 0; index < 10; index++)
		set(index, 0xff);
	set(CENTURY, 0xff);
	EXPECT_TIME(0xff, 0xff, 0xff);
	set(REG_B, 0x32);
	pass(NS_PER_SECOND);
	EXPECT_GE(0x59, get(SECONDS));
	EXPECT_GE(0x59, get(MINUTES));
	EXPECT_GE(0x23, get(HOURS));
	EXPECT_GE(0x31, get(DAY));
	EXPECT_GE(0x12, get(MONTH));
	EXPECT_TRUE(self->irq.level);
}

TEST_F(rtc, reset)
{
	set(REG_B, 0x7a);
	set(0x40, 0xa5);
	pass(NS_PER_SECOND);
	EXPECT_TRUE(self->irq.level);
	vmx_rtc_reset(&self->rtc);
	EXPECT_FALSE(self->irq.level);
	EXPECT_EQ(0x02, get(REG_B));
	EXPECT_EQ(0, get(REG_C));
	EXPECT_EQ(0xa5, get(0x40));
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
}

TEST_F(rtc, memory)
{
	for (unsigned int index = 0x0e; index < 0x80; index++) {
		if (index == CENTURY)
			continue;
		set(index, index ^ 0x5a);
		EXPECT_EQ(index ^ 0x5a, get(index));
	}
	set(REG_C, 0xff);
	set(REG_D, 0);
	EXPECT_EQ(0x80, get(REG_D));
	EXPECT_EQ(0, get(REG_C) & 0x8f);
}

TEST_F(rtc, ram_sizes)
{
	unsigned int sum = 0;

	vmx_rtc_set_ram(&self->rtc, 48ull << 20, 0);
	EXPECT_EQ(640, get(0x15) | get(0x16) << 8);
	EXPECT_EQ(47 << 10, get(0x17) | get(0x18) << 8);
	EXPECT_EQ(47 << 10, get(0x30) | get(0x31) << 8);
	EXPECT_EQ((32 << 20) / 65536, get(0x34) | get(0x35) << 8);
	EXPECT_EQ(0, get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16);
	vmx_rtc_set_ram(&self->rtc, 3ull << 30, 5ull << 30);
	EXPECT_EQ(0xffff, get(0x17) | get(0x18) << 8);
	EXPECT_EQ((3ull << 30) / 65536 - 256, get(0x34) | get(0x35) << 8);
	EXPECT_EQ((5ull << 30) / 65536, get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16);
	for (unsigned int index = 0x10; index < 0x2e; index++)
		sum += get(index);
	EXPECT_EQ(sum & 0xffff, get(0x2e) << 8 | get(0x2f));
	vmx_rtc_set_ram(&self->rtc, 64 << 10, 1ull << 60);
	EXPECT_EQ(64, get(0x15) | get(0x16) << 8);
	EXPECT_EQ(0, get(0x17) | get(0x18) << 8);
	EXPECT_EQ(0xffffff, get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16);
}

TEST_HARNESS_MAIN
