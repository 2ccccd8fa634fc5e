// SPDX-License-Identifier: GPL-2.0
/* ACPI's fixed registers and the reset port as drivers use them. */
#include <libvmx/firmware.h>

#include "kselftest_harness.h"
#include "ports.h"

FIXTURE(power) {
	struct test_machine machine;
	struct test_line sci;
	struct vmx_power power;
	int events[2];
};

/* Their widths matter. */
static uint64_t read_port(struct test_machine *machine, uint16_t port, unsigned int size)
{
	uint64_t value;

	vmx_bus_read(&machine->ports, port, size, &value);
	return value;
}

#define in(port, size)	read_port(&self->machine, port, size)
#define out(port, size, value) vmx_bus_write(&self->machine.ports, port, size, value)

static void count_event(void *board, enum vmx_power_event event)
{
	((int *)board)[event]++;
}

FIXTURE_SETUP(power)
{
	test_machine_init(&self->machine);
	self->sci.level = true;
	vmx_power_init(&self->power, &self->machine.clock, test_wire(&self->sci), count_event,
		       self->events);
	ASSERT_EQ(0, vmx_bus_add(&self->machine.ports, 0x600, VMX_POWER_LENGTH, &vmx_power_ops,
				 &self->power, "power"));
	ASSERT_EQ(0, vmx_bus_add(&self->machine.ports, VMX_POWER_RESET_PORT, 1,
				 &vmx_power_reset_ops, &self->power, "reset"));
}

FIXTURE_TEARDOWN(power)
{
	vmx_bus_free(&self->machine.ports);
}

TEST_F(power, off)
{
	EXPECT_FALSE(self->sci.level);
	EXPECT_EQ(1, in(0x604, 2));
	/* As drivers do: the type first, then with the enable bit. */
	out(0x604, 2, 5 << 10 | 1);
	EXPECT_EQ(5 << 10 | 1, in(0x604, 2));
	EXPECT_EQ(0, self->events[VMX_POWER_OFF]);
	out(0x604, 2, 4 << 10 | 1 << 13);
	EXPECT_EQ(0, self->events[VMX_POWER_OFF]);
	out(0x604, 2, 5 << 10 | 1 << 13 | 1);
	EXPECT_EQ(1, self->events[VMX_POWER_OFF]);
	EXPECT_EQ(5 << 10 | 1, in(0x604, 2));
	/* Byte by byte. */
	out(0x604, 1, 0);
	EXPECT_EQ(1, self->events[VMX_POWER_OFF]);
	out(0x605, 1, 5 << 2 | 1 << 5);
	EXPECT_EQ(2, self->events[VMX_POWER_OFF]);
	EXPECT_EQ(1, in(0x604, 1));
}

TEST_F(power, button)
{
	EXPECT_FALSE(vmx_power_button(&self->power));
	EXPECT_FALSE(self->sci.level);
	EXPECT_EQ(0x100, in(0x600, 2));
	out(0x602, 2, 0xffff);
	EXPECT_EQ(0x521, in(0x602, 2));
	EXPECT_TRUE(self->sci.level);
	/* 1 clears, and only what is written. */
	out(0x600, 2, 0xfeff);
	EXPECT_TRUE(self->sci.level);
	out(0x601, 1, 1);
	EXPECT_FALSE(self->sci.level);
	EXPECT_EQ(0x521, in(0x602, 2));
	EXPECT_TRUE(vmx_power_button(&self->power));
	EXPECT_TRUE(self->sci.level);
	EXPECT_EQ(0x05210100, in(0x600, 4));
	out(0x602, 2, 0);
	EXPECT_FALSE(self->sci.level);
	EXPECT_EQ(0x100, in(0x600, 2));
}

TEST_F(power, general_purpose_events)
{
	vmx_power_raise(&self->power, 2);
	EXPECT_FALSE(self->sci.level);
	EXPECT_EQ(0x04, in(0x60c, 1));
	out(0x60d, 1, 0xff);
	EXPECT_TRUE(self->sci.level);
	EXPECT_EQ(0xff04, in(0x60c, 2));
	/* 1 clears, and only what is written. */
	out(0x60c, 1, 0xfb);
	EXPECT_TRUE(self->sci.level);
	out(0x60c, 1, 0x04);
	EXPECT_FALSE(self->sci.level);
	EXPECT_EQ(0xff, in(0x60d, 1));
	vmx_power_raise(&self->power, 2);
	EXPECT_TRUE(self->sci.level);
	out(0x60c, 2, 0x0000);
	EXPECT_FALSE(self->sci.level);
	EXPECT_EQ(0x04, in(0x60c, 4));
	/* The timer is another register, and so is what comes before. */
	EXPECT_EQ(0, in(0x602, 2));
}

TEST_F(power, timer)
{
	self->machine.now = 1000000000;
	EXPECT_EQ(3579545, in(0x608, 4));
	EXPECT_EQ(3579545 >> 8 & 0xff, in(0x609, 1));
	self->machine.now = 1000000ull * 1000000000;
	EXPECT_EQ((uint32_t)(3579545ull * 1000000), in(0x608, 4));
	out(0x608, 4, 0);
	EXPECT_EQ((uint32_t)(3579545ull * 1000000), in(0x608, 4));
}

TEST_F(power, reset)
{
	EXPECT_EQ(0, in(0xcf9, 1));
	out(0xcf9, 1, 2);
	EXPECT_EQ(0, self->events[VMX_POWER_RESET]);
	out(0xcf9, 1, 6);
	EXPECT_EQ(1, self->events[VMX_POWER_RESET]);
	EXPECT_EQ(6, in(0xcf9, 1));
	/* Only the change does. */
	out(0xcf9, 1, 6);
	EXPECT_EQ(1, self->events[VMX_POWER_RESET]);
}

TEST_HARNESS_MAIN
