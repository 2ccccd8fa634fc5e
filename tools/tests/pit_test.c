// SPDX-License-Identifier: GPL-2.0
/* The 8254 and port 0x61 as drivers use them. */
#include <libvmx/pit.h>

#include "kselftest_harness.h"
#include "ports.h"

#define CONTROL	0x43
#define PORT_B	0x61

FIXTURE(pit) {
	struct test_machine machine;
	struct test_line irq;
	struct vmx_pit pit;
	uint64_t origin;
};

#define in(port)	test_in(&self->machine, port)
#define out(port, value) test_out(&self->machine, port, value)
/* The clock reads so many timer clocks since the test began; what is due happens. */
#define at(ticks)	pass_to(&self->machine, self->origin + (ticks))

static void pass_to(struct test_machine *machine, uint64_t tick)
{
	uint64_t ns = (tick * NS_PER_SECOND + VMX_PIT_HZ - 1) / VMX_PIT_HZ;

	test_pass(machine, ns - machine->now);
}

#define start(n, control, count) start_channel(&self->machine, n, control, count)

static void start_channel(struct test_machine *machine, unsigned int n, uint8_t control,
			  uint16_t count)
{
	test_out(machine, CONTROL, n << 6 | 0x30 | control);
	test_out(machine, 0x40 + n, count & 0xff);
	test_out(machine, 0x40 + n, count >> 8);
}

#define latched(n) read_latched(&self->machine, n)

static unsigned int read_latched(struct test_machine *machine, unsigned int n)
{
	unsigned int low;

	test_out(machine, CONTROL, n << 6);
	low = test_in(machine, 0x40 + n);
	return test_in(machine, 0x40 + n) << 8 | low;
}

#define status(n) read_status(&self->machine, n)

static uint8_t read_status(struct test_machine *machine, unsigned int n)
{
	test_out(machine, CONTROL, 0xe0 | 2 << n);
	return test_in(machine, 0x40 + n);
}

FIXTURE_SETUP(pit)
{
	test_machine_init(&self->machine);
	vmx_pit_init(&self->pit, &self->machine.clock, test_wire(&self->irq));
	ASSERT_EQ(0, vmx_pit_attach(&self->pit, &self->machine.ports));
	/* So long ago that timer clocks do not fit into 32 bits. */
	self->origin = 10000ull * VMX_PIT_HZ;
	self->machine.now = 10000 * NS_PER_SECOND;
	vmx_clock_expire(&self->machine.clock);
}

FIXTURE_TEARDOWN(pit)
{
	vmx_bus_free(&self->machine.ports);
}

/* Linux's clock event device, periodic: so many ticks a second, and none is ever early. */
TEST_F(pit, periodic)
{
	start(0, 0x04, 1193);
	EXPECT_TRUE(self->irq.level);
	self->irq.rises = 0;
	at(1192);
	EXPECT_EQ(0, self->irq.rises);
	at(1193);
	EXPECT_EQ(1, self->irq.rises);
	at(VMX_PIT_HZ);
	EXPECT_EQ(1000, self->irq.rises);
	at(3600ull * VMX_PIT_HZ);
	EXPECT_EQ(3600ull * VMX_PIT_HZ / 1193, self->irq.rises);
}

/* Nobody had time for a second: one tick, and the next when it would have been. */
TEST_F(pit, missed_ticks_are_one)
{
	start(0, 0x04, 1000);
	self->irq.rises = 0;
	self->machine.now += NS_PER_SECOND;
	vmx_clock_expire(&self->machine.clock);
	vmx_clock_expire(&self->machine.clock);
	EXPECT_EQ(1, self->irq.rises);
	at(1193999);
	EXPECT_EQ(1, self->irq.rises);
	at(1194000);
	EXPECT_EQ(2, self->irq.rises);
}

/* ... and one-shot: mode 4, each count written begins anew. */
TEST_F(pit, oneshot)
{
	start(0, 0x08, 500);
	self->irq.rises = 0;
	at(400);
	out(0x40, 500 & 0xff);
	out(0x40, 500 >> 8);
	at(900);
	EXPECT_EQ(0, self->irq.rises);
	at(901);
	EXPECT_EQ(1, self->irq.rises);
	at(1000000);
	EXPECT_EQ(1, self->irq.rises);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
}

TEST_F(pit, mode_0_interrupts_on_terminal_count)
{
	start(0, 0x00, 1000);
	EXPECT_FALSE(self->irq.level);
	EXPECT_EQ(0x30, status(0));
	at(600);
	EXPECT_EQ(400, latched(0));
	at(1000);
	EXPECT_TRUE(self->irq.level);
	EXPECT_EQ(0xb0, status(0));
	at(1001);
	EXPECT_EQ(0xffff, latched(0));
	at(100000);
	EXPECT_EQ(1, self->irq.rises);
	out(0x40, 10);			/* the first byte already takes OUT away */
	EXPECT_FALSE(self->irq.level);
	at(200000);
	EXPECT_FALSE(self->irq.level);
	out(0x40, 0);
	at(200010);
	EXPECT_TRUE(self->irq.level);
}

TEST_F(pit, square_wave)
{
	start(0, 0x06, 0);
	self->irq.rises = 0;
	EXPECT_EQ(0, latched(0));
	at(1);
	EXPECT_EQ(65534, latched(0));
	EXPECT_EQ(0xb6, status(0));
	at(32768);
	EXPECT_EQ(0x36, status(0));
	at(32769);
	EXPECT_EQ(65534, latched(0));
	at(65536);
	EXPECT_EQ(0xb6, status(0));
	EXPECT_EQ(1, self->irq.rises);
	/* Odd: high for one clock more than low. */
	start(2, 0x06, 5);
	out(PORT_B, 1);
	for (unsigned int t = 0; t < 20; t++) {
		at(100000 + t);
		if (!t) {
			out(PORT_B, 0);
			out(PORT_B, 1);
		}
		EXPECT_EQ(t % 5 < 3 ? 0x20 : 0, in(PORT_B) & 0x20);
	}
}

TEST_F(pit, mode_2_is_low_for_one_clock)
{
	start(2, 0x04, 4);
	EXPECT_EQ(0xf4 & ~0x40, status(2));
	out(PORT_B, 1);
	for (unsigned int t = 0; t < 12; t++) {
		at(t);
		EXPECT_EQ(4 - t % 4, latched(2));
		EXPECT_EQ(t % 4 != 3 ? 0x20 : 0, in(PORT_B) & 0x20);
	}
}

/* The count of the running period is not touched. */
TEST_F(pit, new_counts_wait_for_the_period)
{
	start(0, 0x04, 1000);
	self->irq.rises = 0;
	at(100);
	out(0x40, 200);
	out(0x40, 0);
	EXPECT_EQ(0x40, status(0) & 0x40);
	EXPECT_EQ(900, latched(0));
	at(999);
	EXPECT_EQ(0, self->irq.rises);
	at(1000);
	EXPECT_EQ(0, status(0) & 0x40);
	EXPECT_EQ(1, self->irq.rises);
	at(1200);
	EXPECT_EQ(2, self->irq.rises);
	EXPECT_EQ(200, latched(0));
}

/* Linux, tsc.c: pit_calibrate_tsc() and quick_pit_calibrate(). */
TEST_F(pit, calibration)
{
	out(PORT_B, (in(PORT_B) & ~0x02) | 0x01);
	start(2, 0x00, 59659);
	EXPECT_EQ(0, in(PORT_B) & 0x20);
	at(59658);
	EXPECT_EQ(0, in(PORT_B) & 0x20);
	at(59659);
	EXPECT_EQ(0x20, in(PORT_B) & 0x20);

	start(2, 0x00, 0xffff);
	in(0x42);
	EXPECT_EQ(0xff, in(0x42));
	at(59659 + 256);
	in(0x42);
	EXPECT_EQ(0xfe, in(0x42));
}

TEST_F(pit, the_gate_stops)
{
	out(PORT_B, 1);
	start(2, 0x00, 1000);
	at(300);
	out(PORT_B, 0);
	at(5000);
	EXPECT_EQ(700, latched(2));
	EXPECT_EQ(0, in(PORT_B) & 0x20);
	out(PORT_B, 1);
	at(5699);
	EXPECT_EQ(0, in(PORT_B) & 0x20);
	at(5700);
	EXPECT_EQ(0x20, in(PORT_B) & 0x20);
}

TEST_F(pit, the_gate_triggers)
{
	start(2, 0x02, 100);		/* one-shot */
	EXPECT_EQ(0xf2, status(2));
	at(1000);
	out(PORT_B, 1);
	EXPECT_EQ(0x32, status(2));
	at(1050);
	out(PORT_B, 0);
	out(PORT_B, 1);
	at(1149);
	EXPECT_EQ(0x32, status(2));
	at(1150);
	EXPECT_EQ(0xb2, status(2));
	out(PORT_B, 0);
	/* What was triggered goes on without the gate. */
	start(2, 0x02, 100);
	out(PORT_B, 1);
	at(1200);
	out(PORT_B, 0);
	at(1249);
	EXPECT_EQ(0x32, status(2));
	at(1250);
	EXPECT_EQ(0xb2, status(2));
	start(2, 0x0a, 10);		/* strobe */
	at(2000);
	out(PORT_B, 1);
	EXPECT_EQ(0xba, status(2));
	at(2010);
	EXPECT_EQ(0x3a, status(2));
	at(2011);
	EXPECT_EQ(0xba, status(2));
}

TEST_F(pit, latches)
{
	start(0, 0x04, 1000);
	at(100);
	out(CONTROL, 0x00);
	at(200);
	out(CONTROL, 0x00);		/* too late */
	out(CONTROL, 0xc2);		/* status and count; the count is latched */
	at(300);
	EXPECT_EQ(0xb4, in(0x40));
	EXPECT_EQ(900 & 0xff, in(0x40));
	EXPECT_EQ(900 >> 8, in(0x40));
	EXPECT_EQ(700 & 0xff, in(0x40));
	EXPECT_EQ(700 >> 8, in(0x40));
	/* All at once. */
	start(1, 0x04, 5000);
	at(400);
	out(CONTROL, 0xde);
	at(500);
	EXPECT_EQ(600 & 0xff, in(0x40));
	EXPECT_EQ(4900 & 0xff, in(0x41));
	EXPECT_EQ(4900 >> 8, in(0x41));
	EXPECT_EQ(600 >> 8, in(0x40));
	EXPECT_EQ(0xff, in(CONTROL));
}

TEST_F(pit, single_bytes)
{
	out(CONTROL, 0x14);		/* LSB only */
	out(0x40, 100);
	at(30);
	EXPECT_EQ(70, in(0x40));
	EXPECT_EQ(70, in(0x40));
	out(CONTROL, 0x24);		/* MSB only */
	out(0x40, 2);
	EXPECT_EQ(2, in(0x40));
	at(31);
	EXPECT_EQ(1, in(0x40));
	EXPECT_EQ(1, in(0x40));
}

TEST_F(pit, bcd)
{
	start(0, 0x05, 0x1000);
	EXPECT_EQ(0x1000, latched(0));
	self->irq.rises = 0;
	at(1);
	EXPECT_EQ(0x0999, latched(0));
	at(1000);
	EXPECT_EQ(1, self->irq.rises);
	start(0, 0x01, 0);
	EXPECT_EQ(0, latched(0));
	at(1001);
	EXPECT_EQ(0x9999, latched(0));
	at(11000);
	EXPECT_EQ(0xb1, status(0));
}

TEST_F(pit, port_b)
{
	unsigned int toggles = 0;
	uint8_t last = in(PORT_B) & 0x10;

	out(PORT_B, 0xff);
	EXPECT_EQ(0x0f, in(PORT_B) & 0xcf);
	out(PORT_B, 0);
	EXPECT_EQ(0, in(PORT_B) & 0xcf);
	for (unsigned int n = 1; n <= 100; n++) {
		at(18 * n);
		toggles += (in(PORT_B) & 0x10) != last;
		last = in(PORT_B) & 0x10;
	}
	EXPECT_EQ(100, toggles);
	EXPECT_EQ(0, vmx_pit_speaker(&self->pit));
	start(2, 0x06, 1193);
	out(PORT_B, 3);
	EXPECT_EQ(1000, vmx_pit_speaker(&self->pit));
	out(PORT_B, 2);
	EXPECT_EQ(0, vmx_pit_speaker(&self->pit));
}

/* The illegal shortest period does nothing, and the shortest legal one does not stop the clock. */
TEST_F(pit, short_periods)
{
	start(0, 0x04, 1);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
	start(0, 0x04, 2);
	self->irq.rises = 0;
	self->machine.now += NS_PER_SECOND;
	vmx_clock_expire(&self->machine.clock);
	EXPECT_EQ(1, self->irq.rises);
}

TEST_F(pit, reset)
{
	start(0, 0x04, 1000);
	out(PORT_B, 3);
	vmx_pit_reset(&self->pit);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
	EXPECT_FALSE(self->irq.level);
	EXPECT_EQ(0, in(PORT_B) & 0x0f);
	out(0x40, 1);
	out(0x40, 1);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
}

TEST_HARNESS_MAIN
