// SPDX-License-Identifier: GPL-2.0
/* The pair of 8259A as an operating system programs it. */
#include <libvmx/pic.h>

#include "kselftest_harness.h"
#include "ports.h"

#define PIC1	0x20
#define PIC2	0xa0
#define ELCR1	0x4d0
#define ELCR2	0x4d1

#define EOI	0x20
#define READ_IRR 0x0a
#define READ_ISR 0x0b

FIXTURE(pic) {
	struct test_machine machine;
	struct test_line intr;
	struct vmx_pic pic;
};

#define in(port)	test_in(&self->machine, port)
#define out(port, value) test_out(&self->machine, port, value)
#define raise(pin)	vmx_pic_set(&self->pic, pin, true)
#define lower(pin)	vmx_pic_set(&self->pic, pin, false)
#define ack()		vmx_pic_ack(&self->pic)

static void start(struct test_machine *machine, uint8_t icw4)
{
	static const uint8_t icws[][2] = { { 0x30, 0x04 }, { 0x38, 0x02 } };

	for (unsigned int n = 0; n < 2; n++) {
		uint16_t port = n ? PIC2 : PIC1;

		test_out(machine, port, 0x11);
		test_out(machine, port + 1, icws[n][0]);
		test_out(machine, port + 1, icws[n][1]);
		test_out(machine, port + 1, icw4);
	}
}

FIXTURE_SETUP(pic)
{
	test_machine_init(&self->machine);
	vmx_pic_init(&self->pic, test_wire(&self->intr));
	ASSERT_EQ(0, vmx_pic_attach(&self->pic, &self->machine.ports));
	start(&self->machine, 0x01);
}

FIXTURE_TEARDOWN(pic)
{
	vmx_bus_free(&self->machine.ports);
}

/* Linux, i8259.c: probe_8259A(). */
TEST_F(pic, is_there)
{
	out(PIC2 + 1, 0xff);
	out(PIC1 + 1, 0xfb);
	EXPECT_EQ(0xfb, in(PIC1 + 1));
	EXPECT_EQ(0xff, in(PIC2 + 1));
}

TEST_F(pic, nothing_before_initialization)
{
	vmx_pic_reset(&self->pic);
	for (unsigned int pin = 0; pin < 16; pin++)
		raise(pin);
	EXPECT_FALSE(self->intr.level);
	EXPECT_FALSE(vmx_pic_pending(&self->pic));
	out(PIC1, 0x11);		/* ICW1 unmasks, but the chip is not ready */
	EXPECT_EQ(0, in(PIC1 + 1));
	lower(1);
	raise(1);
	EXPECT_FALSE(self->intr.level);
	out(PIC1 + 1, 0x50);
	out(PIC1 + 1, 0x04);
	EXPECT_FALSE(self->intr.level);
	out(PIC1 + 1, 0x01);
	EXPECT_TRUE(self->intr.level);
	EXPECT_EQ(0x51, ack());
}

TEST_F(pic, edges)
{
	raise(4);
	EXPECT_TRUE(self->intr.level);
	out(PIC1, READ_IRR);
	EXPECT_EQ(0x10, in(PIC1));
	EXPECT_EQ(0x34, ack());
	EXPECT_FALSE(self->intr.level);
	EXPECT_EQ(0, in(PIC1));
	out(PIC1, READ_ISR);
	EXPECT_EQ(0x10, in(PIC1));
	out(PIC1, EOI);
	EXPECT_EQ(0, in(PIC1));
	raise(4);
	EXPECT_FALSE(self->intr.level);	/* still high: that is no edge */
	lower(4);
	raise(4);
	EXPECT_EQ(0x34, ack());
	lower(4);
	raise(4);			/* while in service */
	EXPECT_FALSE(self->intr.level);
	out(PIC1, EOI);
	EXPECT_TRUE(self->intr.level);
}

TEST_F(pic, levels)
{
	out(ELCR1, 0xff);
	out(ELCR2, 0xff);
	EXPECT_EQ(0xf8, in(ELCR1));
	EXPECT_EQ(0xde, in(ELCR2));
	raise(5);
	raise(11);
	EXPECT_EQ(0x3b, ack());		/* IRQ 8 to 15 are at 2's place */
	out(PIC2, EOI);
	out(PIC1, EOI);
	EXPECT_EQ(0x3b, ack());		/* still high */
	lower(11);
	out(PIC2, EOI);
	out(PIC1, EOI);
	EXPECT_EQ(0x35, ack());
	lower(5);
	out(PIC1, EOI);
	EXPECT_FALSE(self->intr.level);
}

TEST_F(pic, priorities)
{
	for (unsigned int pin = 0; pin < 16; pin++)
		raise(pin);
	EXPECT_EQ(0x30, ack());
	EXPECT_FALSE(self->intr.level);	/* nested in nothing lower */
	out(PIC1, EOI);
	EXPECT_EQ(0x31, ack());
	out(PIC1, EOI);
	for (unsigned int vector = 0x38; vector < 0x40; vector++) {
		EXPECT_EQ(vector, ack());
		EXPECT_FALSE(self->intr.level);
		out(PIC2, EOI);
		EXPECT_FALSE(self->intr.level);
		out(PIC1, EOI);
	}
	EXPECT_EQ(0x33, ack());
	lower(0);
	raise(0);
	EXPECT_TRUE(self->intr.level);	/* nests in 3 */
	EXPECT_EQ(0x30, ack());
	out(PIC1, READ_ISR);
	EXPECT_EQ(0x09, in(PIC1));
	out(PIC1, EOI);
	EXPECT_EQ(0x08, in(PIC1));
}

TEST_F(pic, masks)
{
	out(PIC1 + 1, 0x10);
	raise(4);
	EXPECT_FALSE(self->intr.level);
	out(PIC1, READ_IRR);
	EXPECT_EQ(0x10, in(PIC1));
	out(PIC1 + 1, 0);
	EXPECT_TRUE(self->intr.level);
	out(PIC1 + 1, 0x04);
	lower(4);
	raise(9);
	EXPECT_FALSE(self->intr.level);
	out(PIC1 + 1, 0);
	EXPECT_EQ(0x39, ack());
}

/* A request that is gone when the CPU asks: vector 7 of its chip, and nothing in service. */
TEST_F(pic, spurious)
{
	raise(4);
	EXPECT_TRUE(self->intr.level);
	lower(4);
	EXPECT_FALSE(self->intr.level);
	EXPECT_EQ(0x37, ack());
	out(PIC1, READ_ISR);
	EXPECT_EQ(0, in(PIC1));
	raise(12);
	out(PIC2 + 1, 0x10);		/* masked between the two acknowledge cycles, as it were */
	EXPECT_EQ(0x37, ack());
	out(PIC2 + 1, 0);
	self->pic.chips[1].levels = 0;
	EXPECT_EQ(0x3f, ack());
	EXPECT_EQ(0x04, in(PIC1));
	out(PIC2, READ_ISR);
	EXPECT_EQ(0, in(PIC2));
	out(PIC1, EOI);
	EXPECT_EQ(0, in(PIC1));
}

TEST_F(pic, specific_eoi)
{
	raise(5);
	EXPECT_EQ(0x35, ack());
	raise(3);
	EXPECT_EQ(0x33, ack());
	out(PIC1, READ_ISR);
	out(PIC1, 0x65);
	EXPECT_EQ(0x08, in(PIC1));
	out(PIC1, 0x63);
	EXPECT_EQ(0, in(PIC1));
	out(PIC1, EOI);			/* of nothing */
	EXPECT_EQ(0, in(PIC1));
}

TEST_F(pic, rotation)
{
	out(PIC1, 0xc4);		/* 4 is lowest, so 5 highest */
	raise(3);
	raise(5);
	raise(4);
	EXPECT_EQ(0x35, ack());
	out(PIC1, 0xa0);		/* EOI and rotate: 5 is lowest */
	EXPECT_EQ(0x33, ack());
	out(PIC1, 0xe3);		/* specific EOI and rotate: 3 is lowest */
	EXPECT_EQ(0x34, ack());
	lower(5);
	raise(5);
	lower(3);
	raise(3);
	out(PIC1, 0xa0);
	EXPECT_EQ(0x35, ack());
	out(PIC1, 0xa0);
	EXPECT_EQ(0x33, ack());
}

TEST_F(pic, special_mask_mode)
{
	raise(3);
	EXPECT_EQ(0x33, ack());
	raise(6);
	EXPECT_FALSE(self->intr.level);
	out(PIC1 + 1, 0x08);
	EXPECT_FALSE(self->intr.level);
	out(PIC1, 0x68);
	EXPECT_TRUE(self->intr.level);
	EXPECT_EQ(0x36, ack());
	out(PIC1, READ_ISR);
	out(PIC1, EOI);			/* spares the masked one */
	EXPECT_EQ(0x08, in(PIC1));
	out(PIC1, EOI);
	EXPECT_EQ(0x08, in(PIC1));
	out(PIC1, 0x48);
	out(PIC1, EOI);
	EXPECT_EQ(0, in(PIC1));
}

TEST_F(pic, automatic_eoi)
{
	start(&self->machine, 0x03);
	raise(4);
	raise(6);
	EXPECT_EQ(0x34, ack());
	EXPECT_TRUE(self->intr.level);
	EXPECT_EQ(0x36, ack());
	out(PIC1, READ_ISR);
	EXPECT_EQ(0, in(PIC1));
	out(PIC1, 0x80);		/* and rotate */
	for (unsigned int n = 0; n < 2; n++) {
		lower(4);
		raise(4);
		EXPECT_EQ(0x34, ack());
	}
	lower(4);
	raise(4);
	raise(3);
	raise(5);
	EXPECT_EQ(0x35, ack());
	EXPECT_EQ(0x33, ack());
	EXPECT_EQ(0x34, ack());
	out(PIC1, 0x00);
	raise(0);
	raise(1);
	EXPECT_TRUE(self->intr.level);
}

/* The slave's own priorities hold even while one of its interrupts is in service. */
TEST_F(pic, special_fully_nested_mode)
{
	raise(12);
	EXPECT_EQ(0x3c, ack());
	raise(8);
	EXPECT_FALSE(self->intr.level);
	start(&self->machine, 0x11);
	lower(12);
	lower(8);
	raise(12);
	EXPECT_EQ(0x3c, ack());
	raise(13);
	EXPECT_FALSE(self->intr.level);
	raise(8);
	EXPECT_TRUE(self->intr.level);
	EXPECT_EQ(0x38, ack());
}

TEST_F(pic, poll)
{
	out(PIC1, 0x0c);
	EXPECT_EQ(0, in(PIC1));
	raise(6);
	raise(10);
	out(PIC1, 0x0c);
	EXPECT_EQ(0x82, in(PIC1));
	out(PIC2, 0x0c);
	EXPECT_EQ(0x82, in(PIC2 + 1));
	EXPECT_EQ(0, in(PIC2 + 1));
	EXPECT_FALSE(self->intr.level);
	out(PIC2, EOI);
	out(PIC1, EOI);
	EXPECT_EQ(0x36, ack());
}

/* ICW1 forgets edges, masks and modes. */
TEST_F(pic, initialization_again)
{
	out(ELCR1, 0x20);
	out(PIC1 + 1, 0xf0);
	raise(6);
	raise(5);
	raise(1);
	EXPECT_EQ(0x31, ack());
	out(PIC1, 0xc4);
	start(&self->machine, 0x01);
	EXPECT_EQ(0, in(PIC1 + 1));
	EXPECT_EQ(0x20, in(ELCR1));
	EXPECT_EQ(0x20, in(PIC1));	/* the level stays, and it is the IRR that is read */
	EXPECT_EQ(0x35, ack());
	/* Without ICW4 and without cascade, ICW2 is all. */
	out(PIC1, 0x12);
	out(PIC1 + 1, 0x48);
	out(PIC1 + 1, 0x5a);
	EXPECT_EQ(0x5a, in(PIC1 + 1));
	EXPECT_EQ(0x4d, ack());
}

TEST_F(pic, pins_that_are_none)
{
	raise(2);
	raise(16);
	raise(~0u);
	EXPECT_FALSE(self->intr.level);
}

TEST_HARNESS_MAIN
