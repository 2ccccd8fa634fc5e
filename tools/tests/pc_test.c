// SPDX-License-Identifier: GPL-2.0
/* The keyboard controller, and the ports that end a machine. */
#include <errno.h>

#include <libvmx/i8042.h>
#include <libvmx/pc.h>

#include "kselftest_harness.h"
#include "ports.h"

#define DATA	0x60
#define COMMAND	0x64
#define STATUS	0x64

#define STATUS_IDLE 0x14	/* self test passed, not locked */

struct board {
	unsigned int resets;
	unsigned int exits;
	uint32_t value;
	unsigned int posts;
	uint8_t code;
};

static void note_event(void *context, enum vmx_power_event event)
{
	struct board *board = context;

	board->resets += event == VMX_POWER_RESET;
}

static void note_exit(void *context, uint32_t value)
{
	struct board *board = context;

	board->exits++;
	board->value = value;
}

static void note_post(void *context, uint8_t code)
{
	struct board *board = context;

	board->posts++;
	board->code = code;
}

#define in(port)	test_in(&self->machine, port)
#define out(port, value) test_out(&self->machine, port, value)

FIXTURE(i8042) {
	struct test_machine machine;
	struct test_line irqs[2];
	struct vmx_i8042 i8042;
	struct board board;
};

FIXTURE_SETUP(i8042)
{
	test_machine_init(&self->machine);
	vmx_i8042_init(&self->i8042, &(struct vmx_i8042_config){
		       .keyboard = test_wire(&self->irqs[0]), .aux = test_wire(&self->irqs[1]),
		       .event = note_event, .board = &self->board });
	ASSERT_EQ(0, vmx_i8042_attach(&self->i8042, &self->machine.ports));
}

FIXTURE_TEARDOWN(i8042)
{
	vmx_bus_free(&self->machine.ports);
}

/* Linux, i8042.c: flush, self test, command byte. */
TEST_F(i8042, is_there)
{
	EXPECT_EQ(STATUS_IDLE, in(STATUS));
	out(COMMAND, 0xaa);
	EXPECT_EQ(STATUS_IDLE | 0x09, in(STATUS));
	EXPECT_EQ(0x55, in(DATA));
	EXPECT_EQ(STATUS_IDLE | 0x08, in(STATUS));
	out(COMMAND, 0x20);
	EXPECT_EQ(0x74, in(DATA));
	out(COMMAND, 0x60);
	out(DATA, 0x65);
	EXPECT_EQ(STATUS_IDLE, in(STATUS));
	out(COMMAND, 0x20);
	EXPECT_EQ(0x65, in(DATA));
	out(COMMAND, 0xab);
	EXPECT_EQ(0, in(DATA));
	out(COMMAND, 0xd0);
	EXPECT_EQ(0xc3, in(DATA) & 0xc3);
}

TEST_F(i8042, interfaces)
{
	static const uint8_t commands[][2] = {
		{ 0xad, 0x74 }, { 0xae, 0x64 }, { 0xa8, 0x44 }, { 0xa7, 0x64 }, { 0xad, 0x74 },
	};

	for (unsigned int n = 0; n < 5; n++) {
		out(COMMAND, commands[n][0]);
		EXPECT_EQ(0x18 | 0x04, in(STATUS));
		out(COMMAND, 0x20);
		EXPECT_EQ(commands[n][1], in(DATA));
	}
}

/* Nobody is there: the driver need not wait to learn that. */
TEST_F(i8042, nothing_plugged_in)
{
	out(COMMAND, 0x60);
	out(DATA, 0x47);
	out(DATA, 0xf2);
	EXPECT_EQ(STATUS_IDLE | 0x41, in(STATUS));
	EXPECT_TRUE(self->irqs[0].level);
	EXPECT_EQ(0xfe, in(DATA));
	EXPECT_EQ(STATUS_IDLE, in(STATUS));
	EXPECT_FALSE(self->irqs[0].level);
	out(COMMAND, 0xd4);
	out(DATA, 0xff);
	EXPECT_EQ(STATUS_IDLE | 0x61, in(STATUS));
	EXPECT_TRUE(self->irqs[1].level);
	EXPECT_EQ(0xfe, in(DATA));
	EXPECT_EQ(1, self->irqs[0].rises);
	EXPECT_EQ(1, self->irqs[1].rises);
}

/* i8042_check_aux(): what is written to the buffers comes back, with its interrupt. */
TEST_F(i8042, loops)
{
	out(COMMAND, 0xd3);
	out(DATA, 0x5a);
	EXPECT_EQ(STATUS_IDLE | 0x21, in(STATUS));
	EXPECT_FALSE(self->irqs[1].level);
	out(COMMAND, 0x60);
	out(DATA, 0x47);
	EXPECT_TRUE(self->irqs[1].level);
	out(COMMAND, 0x20);		/* takes the place of what nobody read */
	EXPECT_EQ(STATUS_IDLE | 0x09, in(STATUS));
	EXPECT_FALSE(self->irqs[1].level);
	EXPECT_EQ(0x47, in(DATA));
	out(COMMAND, 0xd3);
	out(DATA, 0x5a);
	EXPECT_EQ(0x5a, in(DATA));
	out(COMMAND, 0xd2);
	out(DATA, 0xa5);
	EXPECT_TRUE(self->irqs[0].level);
	EXPECT_EQ(STATUS_IDLE | 0x01, in(STATUS));
	EXPECT_EQ(0xa5, in(DATA));
	EXPECT_FALSE(self->irqs[0].level);
	EXPECT_FALSE(self->irqs[1].level);
}

TEST_F(i8042, resets)
{
	for (unsigned int command = 0xf0; command <= 0xff; command++)
		out(COMMAND, command);
	EXPECT_EQ(8, self->board.resets);
	out(COMMAND, 0xd1);
	out(DATA, 0xdf);
	out(DATA, 0xfe);		/* to the keyboard, not to the port */
	EXPECT_EQ(8, self->board.resets);
	out(COMMAND, 0xd1);
	out(DATA, 0xfe);
	EXPECT_EQ(9, self->board.resets);
	out(COMMAND, 0xaa);
	EXPECT_EQ(0x55, in(DATA));
	vmx_i8042_reset(&self->i8042);
	EXPECT_EQ(STATUS_IDLE, in(STATUS));
	EXPECT_EQ(0, in(DATA));
}

FIXTURE(pc) {
	struct test_machine machine;
	struct vmx_pc pc;
	struct board board;
};

FIXTURE_SETUP(pc)
{
	test_machine_init(&self->machine);
	vmx_pc_init(&self->pc, &(struct vmx_pc_config){
		    .event = note_event, .exit = note_exit, .post = note_post,
		    .board = &self->board, .exit_port = VMX_PC_EXIT_PORT });
	ASSERT_EQ(0, vmx_pc_attach(&self->pc, &self->machine.ports));
}

FIXTURE_TEARDOWN(pc)
{
	vmx_bus_free(&self->machine.ports);
}

TEST_F(pc, control_port_a)
{
	EXPECT_EQ(0x02, in(0x92));
	out(0x92, 0xfc);
	EXPECT_EQ(0x00, in(0x92));
	out(0x92, 0x02);
	EXPECT_EQ(0x02, in(0x92));
	EXPECT_EQ(0, self->board.resets);
	out(0x92, 0x03);
	EXPECT_EQ(1, self->board.resets);
	out(0x92, 0x03);
	EXPECT_EQ(1, self->board.resets);
	vmx_pc_reset(&self->pc);
	out(0x92, 0x01);
	EXPECT_EQ(2, self->board.resets);
}

TEST_F(pc, self_test_codes)
{
	out(0x80, 0x12);
	out(0x80, 0x34);
	EXPECT_EQ(0x34, in(0x80));
	EXPECT_EQ(2, self->board.posts);
	EXPECT_EQ(0x34, self->board.code);
}

TEST_F(pc, exit_port)
{
	uint64_t value;

	out(0xf4, 0x10);
	EXPECT_EQ(0x10, self->board.value);
	EXPECT_TRUE(vmx_bus_write(&self->machine.ports, 0xf4, 4, 0x12345678));
	EXPECT_EQ(0x12345678, self->board.value);
	EXPECT_EQ(2, self->board.exits);
	out(0xf5, 1);
	EXPECT_EQ(2, self->board.exits);
	EXPECT_TRUE(vmx_bus_read(&self->machine.ports, 0xf4, 4, &value));
	EXPECT_EQ(0, value);
}

TEST(pc_alone)
{
	struct test_machine machine;
	struct vmx_i8042 i8042;
	struct vmx_pc pc;

	test_machine_init(&machine);
	vmx_i8042_init(&i8042, &(struct vmx_i8042_config){ 0 });
	vmx_pc_init(&pc, &(struct vmx_pc_config){ .exit_port = COMMAND });
	ASSERT_EQ(0, vmx_i8042_attach(&i8042, &machine.ports));
	EXPECT_EQ(-EEXIST, vmx_pc_attach(&pc, &machine.ports));
	EXPECT_EQ(2, machine.ports.count);
	pc.config.exit_port = 0;
	EXPECT_EQ(0, vmx_pc_attach(&pc, &machine.ports));
	test_out(&machine, 0x92, 1);
	test_out(&machine, 0x80, 1);
	test_out(&machine, COMMAND, 0xfe);
	EXPECT_EQ(4, machine.ports.count);
	vmx_bus_free(&machine.ports);
}

TEST_HARNESS_MAIN
