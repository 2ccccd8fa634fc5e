// SPDX-License-Identifier: GPL-2.0
/* The I/O APIC, with local APICs at the other end. */
#include <libvmx/ioapic.h>

#include "apics.h"

#define IOREGSEL	0x00
#define IOWIN		0x10
#define IOEOI		0x40

/* Redirection entry, lower half */
#define ACTIVE_LOW	0x2000
#define REMOTE_IRR	0x4000

FIXTURE(ioapic) {
	struct machine machine;
	struct vmx_ioapic ioapic;
	struct vmx_bus memory;
};

FIXTURE_SETUP(ioapic)
{
	ASSERT_EQ(0, set_up(&self->machine));
	/* Pins 16 and up are PCI's. */
	vmx_ioapic_init(&self->ioapic, &self->machine.bus, 0xff0000);
	ASSERT_EQ(0, vmx_ioapic_attach(&self->ioapic, &self->memory, VMX_IOAPIC_BASE));
}

FIXTURE_TEARDOWN(ioapic)
{
	vmx_bus_free(&self->memory);
}

static uint32_t io_get(struct vmx_bus *memory, uint8_t reg)
{
	uint64_t value;

	vmx_bus_write(memory, VMX_IOAPIC_BASE + IOREGSEL, 4, reg);
	vmx_bus_read(memory, VMX_IOAPIC_BASE + IOWIN, 4, &value);
	return value;
}

static void io_put(struct vmx_bus *memory, uint8_t reg, uint32_t value)
{
	vmx_bus_write(memory, VMX_IOAPIC_BASE + IOREGSEL, 4, reg);
	vmx_bus_write(memory, VMX_IOAPIC_BASE + IOWIN, 4, value);
}

/* As Linux does it: the upper half first. */
static void set_entry(struct vmx_bus *memory, unsigned int pin, uint32_t upper, uint32_t lower)
{
	io_put(memory, 0x11 + 2 * pin, upper);
	io_put(memory, 0x10 + 2 * pin, lower);
}

static uint32_t lower_half(struct vmx_bus *memory, unsigned int pin)
{
	return io_get(memory, 0x10 + 2 * pin);
}

TEST_F(ioapic, registers)
{
	struct vmx_bus *memory = &self->memory;
	uint64_t value;

	EXPECT_EQ(0x00170020, io_get(memory, 1));
	EXPECT_EQ(0, io_get(memory, 0));
	io_put(memory, 0, UINT32_MAX);
	EXPECT_EQ(0x0f000000, io_get(memory, 0));
	EXPECT_EQ(0x0f000000, io_get(memory, 2));
	io_put(memory, 1, UINT32_MAX);
	EXPECT_EQ(0x00170020, io_get(memory, 1));
	for (unsigned int reg = 0x10; reg < 0x40; reg++)
		EXPECT_EQ(reg % 2 ? 0 : MASKED, io_get(memory, reg));
	io_put(memory, 0x3e, UINT32_MAX);
	io_put(memory, 0x3f, UINT32_MAX);
	EXPECT_EQ(0x1afff, io_get(memory, 0x3e));
	EXPECT_EQ(0xff000000, io_get(memory, 0x3f));
	/* Past the last, and beside the window. */
	for (unsigned int reg = 0x40; reg < 0x100; reg++) {
		io_put(memory, reg, UINT32_MAX);
		EXPECT_EQ(0, io_get(memory, reg));
	}
	EXPECT_EQ(MASKED, io_get(memory, 0x10));
	vmx_bus_write(memory, VMX_IOAPIC_BASE + IOREGSEL, 4, 0xffffff01);
	EXPECT_TRUE(vmx_bus_read(memory, VMX_IOAPIC_BASE + IOREGSEL, 4, &value));
	EXPECT_EQ(1, value);
	EXPECT_TRUE(vmx_bus_read(memory, VMX_IOAPIC_BASE + 0xff8, 8, &value));
	EXPECT_EQ(0, value);
	vmx_bus_write(memory, VMX_IOAPIC_BASE + 0xff8, 8, UINT64_MAX);
}

TEST_F(ioapic, reset)
{
	struct vmx_bus *memory = &self->memory;

	io_put(memory, 0, UINT32_MAX);
	set_entry(memory, 9, 0x01000000, LEVEL | 0x59);
	vmx_ioapic_set(&self->ioapic, 9, true);
	vmx_ioapic_reset(&self->ioapic);
	EXPECT_EQ(0, self->ioapic.select);
	EXPECT_EQ(0, io_get(memory, 0));
	EXPECT_EQ(MASKED, lower_half(memory, 9));
	EXPECT_EQ(0, io_get(memory, 0x11 + 2 * 9));
	EXPECT_EQ(2, takers(&self->machine, 0x59));
	/* The device asserts it still. */
	set_entry(memory, 9, 0, LEVEL | 0x59);
	EXPECT_EQ(1, takers(&self->machine, 0x59));
}

TEST_F(ioapic, edges)
{
	struct vmx_bus *memory = &self->memory;

	set_entry(memory, 4, 0x01000000, 0x54);
	vmx_ioapic_set(&self->ioapic, 4, true);
	EXPECT_EQ(2, takers(&self->machine, 0x54));
	EXPECT_EQ(0, self->machine.eois[0x54]);
	/* Once: not while it is high, nor when it falls. */
	vmx_ioapic_set(&self->ioapic, 4, true);
	vmx_ioapic_set(&self->ioapic, 4, false);
	EXPECT_EQ(0, takers(&self->machine, 0x54));
	vmx_ioapic_set(&self->ioapic, 4, true);
	EXPECT_EQ(2, takers(&self->machine, 0x54));
	/* One at a masked pin is lost. */
	vmx_ioapic_set(&self->ioapic, 4, false);
	set_entry(memory, 4, 0x01000000, MASKED | 0x54);
	vmx_ioapic_set(&self->ioapic, 4, true);
	set_entry(memory, 4, 0x01000000, 0x54);
	EXPECT_EQ(0, takers(&self->machine, 0x54));
	/* There are 24. */
	vmx_ioapic_set(&self->ioapic, 24, true);
	vmx_ioapic_set(&self->ioapic, UINT32_MAX, true);
}

TEST_F(ioapic, falling_edges)
{
	set_entry(&self->memory, 5, 0, ACTIVE_LOW | 0x55);
	vmx_ioapic_set(&self->ioapic, 5, true);
	EXPECT_EQ(0, takers(&self->machine, 0x55));
	vmx_ioapic_set(&self->ioapic, 5, false);
	EXPECT_EQ(1, takers(&self->machine, 0x55));
}

TEST_F(ioapic, levels)
{
	struct vmx_bus *memory = &self->memory;

	set_entry(memory, 9, 0, LEVEL | 0x59);
	EXPECT_EQ(0, takers(&self->machine, 0x59));
	vmx_ioapic_set(&self->ioapic, 9, true);
	EXPECT_EQ(LEVEL | REMOTE_IRR | 0x59, lower_half(memory, 9));
	EXPECT_EQ(0x59, vmx_lapic_pending(&self->machine.lapics[0]));
	EXPECT_EQ(1, self->machine.kicks[0]);
	/* In service, it is not sent again; at its end it is, as long as it is asserted. */
	vmx_lapic_accept(&self->machine.lapics[0], 0x59);
	vmx_ioapic_set(&self->ioapic, 9, false);
	vmx_ioapic_set(&self->ioapic, 9, true);
	EXPECT_EQ(0, get(&self->machine.lapics[0], IRR + 0x20));
	put(&self->machine.lapics[0], EOI, 0);
	EXPECT_EQ(1, self->machine.eois[0x59]);
	EXPECT_EQ(0x59, vmx_lapic_pending(&self->machine.lapics[0]));
	EXPECT_EQ(2, self->machine.kicks[0]);
	vmx_lapic_accept(&self->machine.lapics[0], 0x59);
	vmx_ioapic_set(&self->ioapic, 9, false);
	EXPECT_EQ(LEVEL | REMOTE_IRR | 0x59, lower_half(memory, 9));
	put(&self->machine.lapics[0], EOI, 0);
	EXPECT_EQ(LEVEL | 0x59, lower_half(memory, 9));
	EXPECT_EQ(0, vmx_lapic_events(&self->machine.lapics[0]));
}

TEST_F(ioapic, a_level_waits_for_its_mask)
{
	struct vmx_bus *memory = &self->memory;

	set_entry(memory, 9, 0, MASKED | LEVEL | 0x59);
	vmx_ioapic_set(&self->ioapic, 9, true);
	EXPECT_EQ(0, takers(&self->machine, 0x59));
	set_entry(memory, 9, 0, LEVEL | 0x59);
	/* Masked while in service, as Linux does with threaded handlers. */
	vmx_lapic_accept(&self->machine.lapics[0], 0x59);
	set_entry(memory, 9, 0, MASKED | LEVEL | 0x59);
	EXPECT_EQ(MASKED | LEVEL | REMOTE_IRR | 0x59, lower_half(memory, 9));
	put(&self->machine.lapics[0], EOI, 0);
	EXPECT_EQ(MASKED | LEVEL | 0x59, lower_half(memory, 9));
	EXPECT_EQ(0, takers(&self->machine, 0x59));
	set_entry(memory, 9, 0, LEVEL | 0x59);
	EXPECT_EQ(1, takers(&self->machine, 0x59));
}

/* Devices drive their lines true; what the wire does is said once. */
TEST_F(ioapic, pci_is_low_active)
{
	struct vmx_bus *memory = &self->memory;

	set_entry(memory, 16, 0, LEVEL | ACTIVE_LOW | 0x60);
	EXPECT_EQ(LEVEL | ACTIVE_LOW | 0x60, lower_half(memory, 16));
	EXPECT_EQ(0, takers(&self->machine, 0x60));
	vmx_ioapic_set(&self->ioapic, 16, true);
	EXPECT_EQ(1, takers(&self->machine, 0x60));
	vmx_ioapic_set(&self->ioapic, 16, false);
	EXPECT_EQ(1, takers(&self->machine, 0x60));
	EXPECT_EQ(0, takers(&self->machine, 0x60));
	/* Programmed wrongly, nothing is asserted always. */
	set_entry(memory, 16, 0, LEVEL | 0x60);
	EXPECT_EQ(1, takers(&self->machine, 0x60));
	EXPECT_EQ(1, takers(&self->machine, 0x60));
}

TEST_F(ioapic, only_the_matching_vector_ends)
{
	struct vmx_bus *memory = &self->memory;

	set_entry(memory, 9, 0, LEVEL | 0x59);
	set_entry(memory, 10, 0x01000000, LEVEL | 0x5a);
	set_entry(memory, 11, 0x01000000, LEVEL | 0x5a);
	for (unsigned int pin = 9; pin < 12; pin++)
		vmx_ioapic_set(&self->ioapic, pin, true);
	for (unsigned int pin = 9; pin < 12; pin++)
		vmx_ioapic_set(&self->ioapic, pin, false);
	EXPECT_EQ(2, takers(&self->machine, 0x5a));
	EXPECT_EQ(LEVEL | REMOTE_IRR | 0x59, lower_half(memory, 9));
	EXPECT_EQ(LEVEL | 0x5a, lower_half(memory, 10));
	EXPECT_EQ(LEVEL | 0x5a, lower_half(memory, 11));
}

/* Ends other than by broadcast: the EOI register, and a turn as edge-triggered. */
TEST_F(ioapic, ends_by_software)
{
	struct vmx_bus *memory = &self->memory;

	put(&self->machine.lapics[0], SVR, 0x11ff);
	set_entry(memory, 9, 0, LEVEL | 0x59);
	vmx_ioapic_set(&self->ioapic, 9, true);
	EXPECT_EQ(1, takers(&self->machine, 0x59));
	EXPECT_EQ(LEVEL | REMOTE_IRR | 0x59, lower_half(memory, 9));
	vmx_bus_write(memory, VMX_IOAPIC_BASE + IOEOI, 4, 0x58);
	EXPECT_EQ(0, takers(&self->machine, 0x59));
	vmx_bus_write(memory, VMX_IOAPIC_BASE + IOEOI, 4, 0x59);
	EXPECT_EQ(1, takers(&self->machine, 0x59));
	vmx_ioapic_set(&self->ioapic, 9, false);
	set_entry(memory, 9, 0, MASKED | 0x59);
	EXPECT_EQ(MASKED | 0x59, lower_half(memory, 9));
	set_entry(memory, 9, 0, LEVEL | 0x59);
	EXPECT_EQ(LEVEL | 0x59, lower_half(memory, 9));
	vmx_ioapic_set(&self->ioapic, 9, true);
	EXPECT_EQ(1, takers(&self->machine, 0x59));
}

TEST_F(ioapic, a_level_that_nobody_accepts_is_not_lost)
{
	struct vmx_bus *memory = &self->memory;

	put(&self->machine.lapics[0], SVR, 0xff);
	set_entry(memory, 9, 0, LEVEL | 0x59);
	vmx_ioapic_set(&self->ioapic, 9, true);
	EXPECT_EQ(LEVEL | 0x59, lower_half(memory, 9));
	set_entry(memory, 9, 0x01000000, LEVEL | 0x59);
	EXPECT_EQ(2, takers(&self->machine, 0x59));
}

TEST_F(ioapic, destinations)
{
	struct vmx_bus *memory = &self->memory;

	for (int n = 0; n < COUNT; n++)
		put(&self->machine.lapics[n], LDR, 0x01000000 << n);
	set_entry(memory, 1, 0x0c000000, LOGICAL | 0x51);
	vmx_ioapic_set(&self->ioapic, 1, true);
	EXPECT_EQ(0xc, takers(&self->machine, 0x51));
	set_entry(memory, 2, 0xff000000, 0x52);
	vmx_ioapic_set(&self->ioapic, 2, true);
	EXPECT_EQ(0xf, takers(&self->machine, 0x52));
	/* Linux's default: to the lowest priority among all. */
	put(&self->machine.lapics[0], TPR, 0x10);
	set_entry(memory, 3, 0x03000000, LOGICAL | MODE(VMX_APIC_LOWEST) | LEVEL | 0x53);
	vmx_ioapic_set(&self->ioapic, 3, true);
	EXPECT_EQ(LOGICAL | MODE(VMX_APIC_LOWEST) | LEVEL | REMOTE_IRR | 0x53,
		  lower_half(memory, 3));
	vmx_ioapic_set(&self->ioapic, 3, false);
	EXPECT_EQ(2, takers(&self->machine, 0x53));
}

/* NMI and ExtINT are edges, even where the entry says level. */
TEST_F(ioapic, other_delivery_modes)
{
	struct vmx_bus *memory = &self->memory;

	set_entry(memory, 0, 0, MODE(VMX_APIC_EXTINT));
	vmx_ioapic_set(&self->ioapic, 0, true);
	EXPECT_TRUE(vmx_lapic_take_extint(&self->machine.lapics[0]));
	set_entry(memory, 7, 0x02000000, LEVEL | MODE(VMX_APIC_NMI));
	vmx_ioapic_set(&self->ioapic, 7, true);
	EXPECT_TRUE(vmx_lapic_take_nmi(&self->machine.lapics[2]));
	EXPECT_EQ(LEVEL | MODE(VMX_APIC_NMI), lower_half(memory, 7));
	vmx_ioapic_set(&self->ioapic, 7, true);
	EXPECT_FALSE(vmx_lapic_take_nmi(&self->machine.lapics[2]));
}

/* Narrow and wide accesses to the window are undefined: they write nothing. */
TEST_F(ioapic, odd_accesses)
{
	struct vmx_bus *memory = &self->memory;
	uint64_t value;

	vmx_bus_write(memory, VMX_IOAPIC_BASE + IOREGSEL, 1, 0x10);
	for (unsigned int size = 1; size <= 8; size *= 2)
		if (size != 4)
			vmx_bus_write(memory, VMX_IOAPIC_BASE + IOWIN, size, 0);
	EXPECT_EQ(MASKED, io_get(memory, 0x10));
	vmx_bus_write(memory, VMX_IOAPIC_BASE + IOWIN + 2, 2, 0);
	EXPECT_TRUE(vmx_bus_read(memory, VMX_IOAPIC_BASE + IOWIN + 2, 2, &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(MASKED, io_get(memory, 0x10));
}

TEST_HARNESS_MAIN
