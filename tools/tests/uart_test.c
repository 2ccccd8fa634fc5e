// SPDX-License-Identifier: GPL-2.0
/* The 16550A as its drivers see it. */
#include <errno.h>
#include <string.h>

#include <libvmx.h>
#include <libvmx/uart.h>

#include "kselftest_harness.h"
#include "ports.h"

#define BASE	0x3f8
#define RBR	(BASE + 0)
#define IER	(BASE + 1)
#define IIR	(BASE + 2)
#define FCR	(BASE + 2)
#define LCR	(BASE + 3)
#define MCR	(BASE + 4)
#define LSR	(BASE + 5)
#define MSR	(BASE + 6)
#define SCR	(BASE + 7)

/* 8N1 at 115200: 10 bits of 8.68 us. */
#define CHAR_TIME 86805ull

/* The other end of the cable. */
struct terminal {
	char sent[1024];
	unsigned int count;
	unsigned int rooms;
};

FIXTURE(uart) {
	struct test_machine machine;
	struct test_line irq;
	struct vmx_uart uart;
	struct terminal terminal;
};

#define in(port)	test_in(&self->machine, port)
#define out(port, value) test_out(&self->machine, port, value)

static void take(void *host, uint8_t byte)
{
	struct terminal *terminal = host;

	terminal->sent[terminal->count++ % sizeof(terminal->sent)] = byte;
}

static void note_room(void *host)
{
	struct terminal *terminal = host;

	terminal->rooms++;
}

FIXTURE_SETUP(uart)
{
	test_machine_init(&self->machine);
	vmx_uart_init(&self->uart, &(struct vmx_uart_config){ .clock = &self->machine.clock,
							      .irq = test_wire(&self->irq),
							      .send = take,
							      .room = note_room,
							      .host = &self->terminal });
	ASSERT_EQ(0, vmx_uart_attach(&self->uart, &self->machine.ports, BASE));
	out(LCR, 0x80);
	out(RBR, 1);
	out(IER, 0);
	out(LCR, 0x03);
}

FIXTURE_TEARDOWN(uart)
{
	vmx_bus_free(&self->machine.ports);
}

/* Linux, 8250_port.c: how the driver finds out what it has. */
TEST_F(uart, is_recognized)
{
	unsigned int count;

	out(IER, 0);
	EXPECT_EQ(0, in(IER));
	out(IER, 0x0f);
	EXPECT_EQ(0x0f, in(IER));
	out(IER, 0xff);		/* neither sleep mode nor XScale's UUE */
	EXPECT_EQ(0x0f, in(IER));
	out(IER, 0);
	self->irq.rises = 0;
	out(MCR, 0x1a);
	EXPECT_EQ(0x90, in(MSR) & 0xf0);
	out(MCR, 0);
	out(FCR, 0x01);
	EXPECT_EQ(0xc1, in(IIR));
	out(FCR, 0x21);		/* no 64-byte FIFO */
	EXPECT_EQ(0xc1, in(IIR));
	out(SCR, 0xa5);
	EXPECT_EQ(0xa5, in(SCR));
	/* size_fifo(): 256 characters in loopback, and as many come back as the FIFO has bytes. */
	out(FCR, 0x07);
	out(MCR, 0x10);
	for (count = 0; count < 256; count++)
		out(RBR, count);
	for (count = 0; (in(LSR) & 0x01) && count < 256; count++)
		EXPECT_EQ(count, in(RBR));
	EXPECT_EQ(16, count);
	EXPECT_EQ(0, self->terminal.count);
	EXPECT_EQ(0, self->irq.rises);
}

TEST_F(uart, divisor_is_behind_dlab)
{
	out(LCR, 0x83);
	out(RBR, 0x34);
	out(IER, 0x12);
	EXPECT_EQ(0x34, in(RBR));
	EXPECT_EQ(0x12, in(IER));
	out(LCR, 0x03);
	EXPECT_EQ(0, in(RBR));
	EXPECT_EQ(0, in(IER));
	EXPECT_EQ(0, self->terminal.count);
}

TEST_F(uart, sends_at_once)
{
	for (const char *c = "hello"; *c; c++) {
		EXPECT_EQ(0x60, in(LSR));
		out(RBR, *c);
	}
	EXPECT_EQ(0, memcmp(self->terminal.sent, "hello", 5));
	EXPECT_EQ(5, self->terminal.count);
	EXPECT_FALSE(self->irq.level);
}

/* serial8250_THRE_test(), and the interrupt of every write as an edge. */
TEST_F(uart, transmitter_interrupts)
{
	out(IER, 0x02);
	EXPECT_TRUE(self->irq.level);
	EXPECT_EQ(0x02, in(IIR));
	EXPECT_FALSE(self->irq.level);
	EXPECT_EQ(0x01, in(IIR));
	out(IER, 0x02);		/* enabled already */
	EXPECT_FALSE(self->irq.level);
	out(IER, 0);
	out(IER, 0x02);
	EXPECT_EQ(0x02, in(IIR));
	self->irq.rises = 0;
	out(RBR, 'a');
	EXPECT_EQ(1, self->irq.rises);
	out(RBR, 'b');
	EXPECT_EQ(2, self->irq.rises);
	EXPECT_TRUE(self->irq.level);
	out(IER, 0);
	EXPECT_FALSE(self->irq.level);
	EXPECT_EQ(0x01, in(IIR));
}

TEST_F(uart, receives_one_without_fifos)
{
	EXPECT_EQ(1, vmx_uart_receive(&self->uart, "xy", 2));
	EXPECT_EQ(0x61, in(LSR));
	EXPECT_FALSE(self->irq.level);
	out(IER, 0x01);
	EXPECT_TRUE(self->irq.level);
	EXPECT_EQ(0x04, in(IIR));
	EXPECT_EQ(0, self->terminal.rooms);
	EXPECT_EQ('x', in(RBR));
	EXPECT_FALSE(self->irq.level);
	EXPECT_EQ(0x60, in(LSR));
	EXPECT_EQ(1, self->terminal.rooms);
}

TEST_F(uart, fifo_interrupts_at_its_trigger)
{
	static const uint8_t triggers[] = { 1, 4, 8, 14 };

	out(IER, 0x01);
	for (unsigned int n = 0; n < 4; n++) {
		out(FCR, 0x01 | n << 6);
		out(FCR, 0x03 | n << 6);
		for (unsigned int count = 1; count <= 16; count++) {
			EXPECT_EQ(1, vmx_uart_receive(&self->uart, "z", 1));
			EXPECT_EQ(count >= triggers[n], self->irq.level);
			EXPECT_EQ(count >= triggers[n] ? 0xc4 : 0xc1, in(IIR));
		}
		EXPECT_EQ(0, vmx_uart_receive(&self->uart, "z", 1));
		while (self->irq.level)
			in(RBR);
		EXPECT_EQ(triggers[n] > 1, in(LSR) & 1);
	}
	EXPECT_EQ(4, self->terminal.rooms);
}

TEST_F(uart, what_lies_in_the_fifo_times_out)
{
	out(IER, 0x01);
	out(FCR, 0xc1);
	vmx_uart_receive(&self->uart, "abc", 3);
	test_pass(&self->machine, 4 * CHAR_TIME - NS_PER_US);
	EXPECT_FALSE(self->irq.level);
	vmx_uart_receive(&self->uart, "d", 1);
	test_pass(&self->machine, 4 * CHAR_TIME - NS_PER_US);
	EXPECT_FALSE(self->irq.level);
	test_pass(&self->machine, 2 * NS_PER_US);
	EXPECT_TRUE(self->irq.level);
	EXPECT_EQ(0xcc, in(IIR));
	EXPECT_TRUE(self->irq.level);
	EXPECT_EQ('a', in(RBR));
	EXPECT_FALSE(self->irq.level);
	test_pass(&self->machine, 5 * CHAR_TIME);
	EXPECT_EQ(0xcc, in(IIR));
	for (const char *c = "bcd"; *c; c++)
		EXPECT_EQ(*c, in(RBR));
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
	test_pass(&self->machine, NS_PER_SECOND);
	EXPECT_FALSE(self->irq.level);
	EXPECT_EQ(0xc1, in(IIR));
}

TEST_F(uart, interrupts_come_by_priority)
{
	out(FCR, 0x01);
	vmx_uart_modem(&self->uart, VMX_UART_CTS);
	vmx_uart_receive(&self->uart, "a", 1);
	vmx_uart_break(&self->uart);
	in(RBR);
	out(IER, 0x0f);
	EXPECT_EQ(0xc6, in(IIR));
	EXPECT_EQ(0xf1, in(LSR));		/* a break, and the FIFO has an error */
	EXPECT_EQ(0x61, in(LSR));
	EXPECT_EQ(0xc4, in(IIR));
	EXPECT_EQ(0, in(RBR));
	EXPECT_EQ(0xc2, in(IIR));
	EXPECT_EQ(0xc0, in(IIR));
	EXPECT_TRUE(self->irq.level);
	EXPECT_EQ(0x1a, in(MSR));		/* DSR and DCD went */
	EXPECT_EQ(0x10, in(MSR));
	EXPECT_EQ(0xc1, in(IIR));
	EXPECT_FALSE(self->irq.level);
}

TEST_F(uart, errors_wait_for_their_byte)
{
	out(FCR, 0x01);
	vmx_uart_receive(&self->uart, "a", 1);
	vmx_uart_break(&self->uart);
	EXPECT_EQ(0xe1, in(LSR));
	EXPECT_EQ('a', in(RBR));
	EXPECT_EQ(0xf1, in(LSR));
	EXPECT_EQ(0, in(RBR));
	EXPECT_EQ(0x60, in(LSR));
}

TEST_F(uart, overruns)
{
	out(MCR, 0x10);
	out(RBR, 'a');
	out(RBR, 'b');
	EXPECT_EQ(0x63, in(LSR));
	EXPECT_EQ('b', in(RBR));		/* the register has the last */
	EXPECT_EQ(0x60, in(LSR));
	out(FCR, 0x01);
	for (unsigned int n = 0; n < 17; n++)
		out(RBR, n);
	EXPECT_EQ(0x63, in(LSR));
	for (unsigned int n = 0; n < 16; n++)
		EXPECT_EQ(n, in(RBR));	/* the FIFO has the first */
	EXPECT_EQ(0x60, in(LSR));
}

TEST_F(uart, fifo_control_clears)
{
	out(FCR, 0x01);
	vmx_uart_receive(&self->uart, "abc", 3);
	out(FCR, 0x02);			/* FIFOs off: counts as a change */
	EXPECT_EQ(0x60, in(LSR));
	EXPECT_EQ(0x01, in(IIR));
	out(FCR, 0x01);
	EXPECT_EQ(16, vmx_uart_receive(&self->uart, "0123456789abcdefghijk", 20));
	out(FCR, 0x01);
	EXPECT_EQ(0x61, in(LSR));
	EXPECT_EQ(0, self->terminal.rooms);
	out(FCR, 0x03);
	EXPECT_EQ(1, self->terminal.rooms);
	EXPECT_EQ(0x60, in(LSR));
}

TEST_F(uart, loopback)
{
	static const uint8_t lines[][2] = { { 1, 0x20 }, { 2, 0x10 }, { 4, 0x40 }, { 8, 0x80 } };

	out(FCR, 0x01);
	out(MCR, 0x10);
	in(MSR);
	EXPECT_EQ(0, vmx_uart_receive(&self->uart, "a", 1));
	vmx_uart_modem(&self->uart, VMX_UART_CTS);
	EXPECT_EQ(0, in(MSR));
	for (unsigned int n = 0; n < 4; n++) {
		out(MCR, 0x10 | lines[n][0]);
		EXPECT_EQ(lines[n][1], in(MSR) & 0xf0);
		out(MCR, 0x10);
		EXPECT_EQ(lines[n][1] >> 4, in(MSR));
	}
	out(LCR, 0x43);
	EXPECT_EQ(0xf1, in(LSR));
	EXPECT_EQ(0, in(RBR));
	out(LCR, 0x03);
	EXPECT_EQ(0, self->terminal.rooms);
	out(MCR, 0x03);
	EXPECT_EQ(1, self->terminal.rooms);
	EXPECT_EQ(VMX_UART_CTS, in(MSR) & 0xf0);
	EXPECT_EQ(1, vmx_uart_receive(&self->uart, "a", 1));
}

TEST_F(uart, ring_is_noted_when_it_ends)
{
	vmx_uart_modem(&self->uart, VMX_UART_CTS | VMX_UART_RI);
	EXPECT_EQ(0x5a, in(MSR));
	vmx_uart_modem(&self->uart, VMX_UART_CTS);
	EXPECT_EQ(0x14, in(MSR));
}

TEST_F(uart, reset)
{
	out(FCR, 0x01);
	out(IER, 0x0f);
	out(MCR, 0x0b);
	vmx_uart_receive(&self->uart, "a", 1);
	vmx_uart_reset(&self->uart);
	EXPECT_FALSE(self->irq.level);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&self->machine.clock));
	EXPECT_EQ(0, in(IER));
	EXPECT_EQ(0x01, in(IIR));
	EXPECT_EQ(0, in(MCR));
	EXPECT_EQ(0x60, in(LSR));
	EXPECT_EQ(0xb0, in(MSR));
}

/* Wide accesses are several. */
TEST_F(uart, words)
{
	uint64_t value;

	out(FCR, 0x01);
	EXPECT_TRUE(vmx_bus_write(&self->machine.ports, LCR, 2, 0x1a03));
	EXPECT_EQ(0x03, in(LCR));
	EXPECT_EQ(0x1a, in(MCR));
	EXPECT_TRUE(vmx_bus_read(&self->machine.ports, LCR, 4, &value));
	EXPECT_EQ(0x92601a03, value);
	EXPECT_FALSE(vmx_bus_read(&self->machine.ports, SCR, 2, &value));
}

TEST(ports_are_added_all_or_none)
{
	struct vmx_ports ports[] = { { 0x20, 2, "a" }, { 0xa0, 2, "b" }, { 0x21, 1, "c" } };
	struct vmx_bus bus = { 0 };

	EXPECT_EQ(-EEXIST, vmx_ports_add(&bus, ports, 3));
	EXPECT_EQ(0, bus.count);
	EXPECT_EQ(0, vmx_ports_add(&bus, ports, 2));
	vmx_bus_free(&bus);
}

TEST(uart_alone)
{
	struct test_machine machine;
	struct vmx_uart uart;

	test_machine_init(&machine);
	vmx_uart_init(&uart, &(struct vmx_uart_config){ 0 });
	ASSERT_EQ(0, vmx_uart_attach(&uart, &machine.ports, BASE));
	test_out(&machine, RBR, 'x');
	test_out(&machine, IER, 1);
	test_out(&machine, FCR, 0xc1);
	EXPECT_EQ(1, vmx_uart_receive(&uart, "a", 1));
	EXPECT_EQ(0xcc, test_in(&machine, IIR));	/* no clock: times out at once */
	EXPECT_EQ('a', test_in(&machine, RBR));
	EXPECT_EQ(0xc1, test_in(&machine, IIR));
	vmx_bus_free(&machine.ports);
}

/* The run page's view of a port. */
TEST(port_exits)
{
	struct vmx_run_page run = { .reason = VMX_REASON_IO, .io_port = SCR, .io_size = 1 };
	struct test_machine machine;
	struct vmx_uart uart;

	test_machine_init(&machine);
	vmx_uart_init(&uart, &(struct vmx_uart_config){ 0 });
	ASSERT_EQ(0, vmx_uart_attach(&uart, &machine.ports, BASE));
	run.regs[VMX_RAX] = 0x1122334455667788;
	EXPECT_TRUE(vmx_port_io(&machine.ports, &run));
	EXPECT_EQ(1, run.retire);
	EXPECT_EQ(0x88, test_in(&machine, SCR));
	run.retire = 0;
	run.io_flags = VMX_IO_IN;
	run.regs[VMX_RAX] = ~0ull;
	EXPECT_TRUE(vmx_port_io(&machine.ports, &run));
	EXPECT_EQ(0xffffffffffffff88, run.regs[VMX_RAX]);
	run.io_port = MSR;
	run.io_size = 2;
	EXPECT_TRUE(vmx_port_io(&machine.ports, &run));
	EXPECT_EQ(0xffffffffffff88b0, run.regs[VMX_RAX]);
	run.io_port = MCR;
	run.io_size = 4;
	EXPECT_TRUE(vmx_port_io(&machine.ports, &run));
	EXPECT_EQ(0x88b06000, run.regs[VMX_RAX]);
	run.retire = 0;
	run.io_port = SCR;		/* half of it is nobody's */
	EXPECT_FALSE(vmx_port_io(&machine.ports, &run));
	run.io_size = 1;
	run.io_flags = VMX_IO_STRING;
	EXPECT_FALSE(vmx_port_io(&machine.ports, &run));
	run.io_flags = 0;
	run.reason = VMX_REASON_HLT;
	EXPECT_FALSE(vmx_port_io(&machine.ports, &run));
	EXPECT_EQ(0, run.retire);
	vmx_bus_free(&machine.ports);
}

TEST_HARNESS_MAIN
