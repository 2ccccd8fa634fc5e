// SPDX-License-Identifier: GPL-2.0
/* The PCI bus as a guest sees it: by ports, and by where BARs and interrupts appear. */
#include <errno.h>
#include <string.h>

#include <linux/pci_regs.h>

#include <libvmx/pci.h>

#include "kselftest_harness.h"
#include "memo.h"

#define ADDRESS	0xcf8
#define DATA	0xcfc

FIXTURE(pci) {
	struct vmx_bus ports, memory;
	struct vmx_pci_host host;
	struct vmx_pci_device a, b;
	struct memo io, mem32, mem64, other, reset;
	bool lines[4];
	unsigned int messages, reports;
	uint64_t address;
	uint32_t data;
	char report[400];
};

#define board FIXTURE_DATA(pci)

static void set_line(void *controller, unsigned int pin, bool level)
{
	((bool *)controller)[pin - 16] = level;
}

static void take_message(void *context, uint64_t address, uint32_t data)
{
	board *self = context;

	self->messages++;
	self->address = address;
	self->data = data;
}

static void take_report(void *context, const char *sentence)
{
	board *self = context;

	self->reports++;
	snprintf(self->report, sizeof(self->report), "%s", sentence);
}

FIXTURE_SETUP(pci)
{
	struct vmx_pci_wiring wiring = {
		.ports = &self->ports, .memory = &self->memory, .message = take_message,
		.report = take_report, .context = self, .reset_control = &memo_ops,
		.reset_device = &self->reset,
	};
	struct vmx_pci_id id = {
		.vendor = 0x1234, .device = 0x5678, .class_code = 0x020304, .revision = 5,
		.subsystem_vendor = 0x9abc, .subsystem = 0xdef0, .pin = 1,
	};

	for (unsigned int n = 0; n < 4; n++)
		wiring.lines[n] = (struct vmx_line){ set_line, self->lines, 16 + n };
	ASSERT_EQ(0, vmx_pci_host_init(&self->host, &wiring));
	vmx_pci_device_init(&self->a, "a", &id, NULL);
	ASSERT_EQ(0, vmx_pci_bar(&self->a, 0, VMX_PCI_BAR_IO, 32, &memo_ops, &self->io));
	ASSERT_EQ(0, vmx_pci_bar(&self->a, 1, VMX_PCI_BAR_MEM32, 0x4000, &memo_ops, &self->mem32));
	ASSERT_EQ(0, vmx_pci_bar(&self->a, 2, VMX_PCI_BAR_MEM64, 8ull << 30, &memo_ops,
				 &self->mem64));
	ASSERT_EQ(0, vmx_pci_msix_init(&self->a, 4, 5));
	id.pin = 2;
	vmx_pci_device_init(&self->b, "b", &id, NULL);
	ASSERT_EQ(0, vmx_pci_bar(&self->b, 0, VMX_PCI_BAR_MEM32, 0x1000, &memo_ops, &self->other));
	ASSERT_EQ(1, vmx_pci_add(&self->host, &self->a, VMX_PCI_ANY));
	ASSERT_EQ(4, vmx_pci_add(&self->host, &self->b, 4));
}

FIXTURE_TEARDOWN(pci)
{
	vmx_bus_free(&self->ports);
	vmx_bus_free(&self->memory);
}

/* What a guest does to reach a register. */
static void point(board *self, unsigned int slot, unsigned int reg)
{
	vmx_bus_write(&self->ports, ADDRESS, 4, 0x80000000 | slot << 11 | (reg & 0xfc));
}

static uint32_t get(board *self, unsigned int slot, unsigned int reg,
		    unsigned int size)
{
	uint64_t value;

	point(self, slot, reg);
	vmx_bus_read(&self->ports, DATA + (reg & 3), size, &value);
	return value;
}

static void put(board *self, unsigned int slot, unsigned int reg, unsigned int size,
		uint32_t value)
{
	point(self, slot, reg);
	vmx_bus_write(&self->ports, DATA + (reg & 3), size, value);
}

#define GET(slot, reg, size) get(self, slot, reg, size)
#define PUT(slot, reg, size, value) put(self, slot, reg, size, value)

static bool answers(struct vmx_bus *bus, uint64_t address)
{
	uint64_t value;

	return vmx_bus_read(bus, address, 4, &value);
}

TEST_F(pci, the_address_port)
{
	uint64_t value;

	vmx_bus_write(&self->ports, ADDRESS, 4, 0xffffffff);
	vmx_bus_read(&self->ports, ADDRESS, 4, &value);
	EXPECT_EQ(0x80fffffc, value);
	/* Only whole doublewords mean the address. */
	vmx_bus_write(&self->ports, ADDRESS, 4, 0x80000000);
	vmx_bus_write(&self->ports, ADDRESS + 3, 1, 1);
	vmx_bus_write(&self->ports, ADDRESS, 2, 0x1234);
	vmx_bus_read(&self->ports, ADDRESS, 4, &value);
	EXPECT_EQ(0x80000000, value);
	vmx_bus_read(&self->ports, ADDRESS, 1, &value);
	EXPECT_EQ(0xff, value);
	/* Nothing without the enable bit. */
	vmx_bus_write(&self->ports, ADDRESS, 4, 0);
	vmx_bus_read(&self->ports, DATA, 4, &value);
	EXPECT_EQ(0xffffffff, value);
}

TEST_F(pci, enumeration)
{
	unsigned int found = 0;

	for (unsigned int slot = 0; slot < 32; slot++)
		found |= (GET(slot, PCI_VENDOR_ID, 2) != 0xffff) << slot;
	EXPECT_EQ(0x13, found);
	EXPECT_EQ(0x0600, GET(0, PCI_CLASS_DEVICE, 2));
	EXPECT_EQ(0x56781234, GET(1, PCI_VENDOR_ID, 4));
	EXPECT_EQ(0x5678, GET(1, PCI_DEVICE_ID, 2));
	EXPECT_EQ(0x56, GET(1, PCI_DEVICE_ID + 1, 1));
	EXPECT_EQ(0x02030405, GET(1, PCI_CLASS_REVISION, 4));
	EXPECT_EQ(0xdef09abc, GET(1, PCI_SUBSYSTEM_VENDOR_ID, 4));
	EXPECT_EQ(0, GET(1, PCI_HEADER_TYPE, 1));
	/* Other functions and other buses are empty. */
	EXPECT_EQ(0xffffffff, GET(1 | 1 << 5, PCI_VENDOR_ID, 4));
	vmx_bus_write(&self->ports, ADDRESS, 4, 0x80000000 | 1 << 11 | 1 << 8);
	EXPECT_TRUE(answers(&self->ports, DATA));
	EXPECT_EQ(0x56781234, GET(1, PCI_VENDOR_ID, 4));
	/* Identity is not for writing. */
	PUT(1, PCI_VENDOR_ID, 4, 0);
	PUT(1, PCI_CLASS_REVISION, 4, 0);
	PUT(1, PCI_INTERRUPT_PIN, 1, 4);
	PUT(1, PCI_STATUS, 2, 0xffff);
	EXPECT_EQ(0x56781234, GET(1, PCI_VENDOR_ID, 4));
	EXPECT_EQ(0x02030405, GET(1, PCI_CLASS_REVISION, 4));
	EXPECT_EQ(1, GET(1, PCI_INTERRUPT_PIN, 1));
	EXPECT_EQ(PCI_STATUS_CAP_LIST, GET(1, PCI_STATUS, 2));
	PUT(1, PCI_INTERRUPT_LINE, 1, 11);
	EXPECT_EQ(11, GET(1, PCI_INTERRUPT_LINE, 1));
	EXPECT_EQ(0, GET(4, PCI_STATUS, 2));
}

TEST_F(pci, slots)
{
	struct vmx_pci_id id = { .vendor = 1 };
	struct vmx_pci_device many[32];

	for (unsigned int n = 0; n < 32; n++)
		vmx_pci_device_init(&many[n], "many", &id, NULL);
	EXPECT_EQ(-EEXIST, vmx_pci_add(&self->host, &many[0], 4));
	EXPECT_EQ(-EINVAL, vmx_pci_add(&self->host, &many[0], 0));
	EXPECT_EQ(-EINVAL, vmx_pci_add(&self->host, &many[0], 32));
	EXPECT_EQ(-EINVAL, vmx_pci_add(&self->host, &self->a, VMX_PCI_ANY));
	for (unsigned int n = 0; n < 29; n++)
		EXPECT_LT(0, vmx_pci_add(&self->host, &many[n], VMX_PCI_ANY));
	EXPECT_EQ(-ENOSPC, vmx_pci_add(&self->host, &many[31], VMX_PCI_ANY));
	vmx_pci_remove(&many[7]);
	EXPECT_EQ(many[7].slot, vmx_pci_add(&self->host, &many[31], VMX_PCI_ANY));
}

TEST_F(pci, bar_sizes)
{
	for (unsigned int n = 0; n < 6; n++)
		PUT(1, PCI_BASE_ADDRESS_0 + 4 * n, 4, 0xffffffff);
	EXPECT_EQ(0xffffffe1, GET(1, PCI_BASE_ADDRESS_0, 4));
	EXPECT_EQ(0xffffc000, GET(1, PCI_BASE_ADDRESS_1, 4));
	EXPECT_EQ(0x00000004, GET(1, PCI_BASE_ADDRESS_2, 4));
	EXPECT_EQ(0xfffffffe, GET(1, PCI_BASE_ADDRESS_3, 4));
	EXPECT_EQ(0xfffff000, GET(1, PCI_BASE_ADDRESS_4, 4));
	EXPECT_EQ(0, GET(1, PCI_BASE_ADDRESS_5, 4));
	EXPECT_EQ(0, GET(1, PCI_ROM_ADDRESS, 4));
	/* Byte by byte. */
	PUT(1, PCI_BASE_ADDRESS_1 + 2, 1, 0x12);
	PUT(1, PCI_BASE_ADDRESS_1 + 1, 1, 0x7f);
	EXPECT_EQ(0xff124000, GET(1, PCI_BASE_ADDRESS_1, 4));
}

TEST_F(pci, bars_follow_the_guest)
{
	PUT(1, PCI_BASE_ADDRESS_0, 4, 0xc000);
	PUT(1, PCI_BASE_ADDRESS_1, 4, 0xe0000000);
	PUT(1, PCI_BASE_ADDRESS_2, 4, 0);
	PUT(1, PCI_BASE_ADDRESS_3, 4, 0x10);
	EXPECT_FALSE(answers(&self->ports, 0xc000));
	EXPECT_FALSE(answers(&self->memory, 0xe0000000));

	PUT(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	EXPECT_FALSE(answers(&self->ports, 0xc000));
	EXPECT_TRUE(answers(&self->memory, 0xe0003ffc));
	EXPECT_EQ(0x3ffc, self->mem32.offset);
	EXPECT_FALSE(answers(&self->memory, 0xe0004000));
	EXPECT_TRUE(answers(&self->memory, 0x11fffffff0));
	EXPECT_EQ(0x1fffffff0, self->mem64.offset);

	PUT(1, PCI_COMMAND, 2, PCI_COMMAND_IO);
	EXPECT_TRUE(answers(&self->ports, 0xc01c));
	EXPECT_EQ(0x1c, self->io.offset);
	EXPECT_FALSE(answers(&self->memory, 0xe0000000));

	PUT(1, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	PUT(1, PCI_BASE_ADDRESS_0, 4, 0xd000);
	PUT(1, PCI_BASE_ADDRESS_1, 4, 0xe0002000);	/* rounded down */
	EXPECT_FALSE(answers(&self->ports, 0xc000));
	EXPECT_TRUE(answers(&self->ports, 0xd000));
	EXPECT_TRUE(answers(&self->memory, 0xe0000000));
	/* Beyond the last port, at 0, and at the end of what there is. */
	PUT(1, PCI_BASE_ADDRESS_0, 4, 0x1d000);
	EXPECT_FALSE(answers(&self->ports, 0xd000));
	PUT(1, PCI_BASE_ADDRESS_0, 4, 0);
	EXPECT_FALSE(answers(&self->ports, 0));
	PUT(1, PCI_BASE_ADDRESS_0, 4, 0xffe0);
	EXPECT_TRUE(answers(&self->ports, 0xfffc));
	PUT(1, PCI_BASE_ADDRESS_1, 4, 0xffffc000);
	EXPECT_TRUE(answers(&self->memory, 0xfffffffc));
	PUT(1, PCI_BASE_ADDRESS_3, 4, 0xffffffff);
	EXPECT_TRUE(answers(&self->memory, 0xfffffffffffffffc));

	vmx_pci_remove(&self->a);
	EXPECT_EQ(0, self->memory.count);
	EXPECT_EQ(2, self->ports.count);
	EXPECT_EQ(0, self->reports);
}

TEST_F(pci, an_overlap_is_not_decoded_and_told_once)
{
	PUT(1, PCI_BASE_ADDRESS_1, 4, 0xe0000000);
	PUT(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	PUT(4, PCI_BASE_ADDRESS_0, 4, 0xe0001000);
	PUT(4, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	EXPECT_EQ(1, self->reports);
	EXPECT_NE(NULL, strstr(self->report, "b: BAR 0 is not decoded"));
	EXPECT_TRUE(answers(&self->memory, 0xe0001000));
	EXPECT_EQ(0, self->other.reads);
	for (unsigned int n = 0; n < 10; n++)
		PUT(4, PCI_BASE_ADDRESS_0, 4, 0xe0000000 + n % 4 * 0x1000);
	EXPECT_EQ(1, self->reports);
	/* The other goes away. */
	PUT(1, PCI_BASE_ADDRESS_1, 4, 0xe1000000);
	EXPECT_TRUE(answers(&self->memory, 0xe0001000));
	EXPECT_EQ(1, self->other.reads);
	/* Ports of the machine stay its own. */
	PUT(1, PCI_BASE_ADDRESS_0, 4, 0xce0);
	PUT(1, PCI_COMMAND, 2, PCI_COMMAND_IO);
	EXPECT_EQ(2, self->reports);
	EXPECT_EQ(0xce1, GET(1, PCI_BASE_ADDRESS_0, 4));
}

TEST_F(pci, bars_are_judged)
{
	struct vmx_pci_device *b = &self->b;

	EXPECT_EQ(-EINVAL, vmx_pci_bar(b, 0, VMX_PCI_BAR_IO, 32, &memo_ops, NULL));
	EXPECT_EQ(-EINVAL, vmx_pci_bar(b, 1, VMX_PCI_BAR_IO, 33, &memo_ops, NULL));
	EXPECT_EQ(-EINVAL, vmx_pci_bar(b, 1, VMX_PCI_BAR_IO, 512, &memo_ops, NULL));
	EXPECT_EQ(-EINVAL, vmx_pci_bar(b, 1, VMX_PCI_BAR_MEM32, 8, &memo_ops, NULL));
	EXPECT_EQ(-EINVAL, vmx_pci_bar(b, 1, VMX_PCI_BAR_MEM32, 1ull << 32, &memo_ops, NULL));
	EXPECT_EQ(-EINVAL, vmx_pci_bar(b, 5, VMX_PCI_BAR_MEM64, 4096, &memo_ops, NULL));
	EXPECT_EQ(-EINVAL, vmx_pci_bar(b, 6, VMX_PCI_BAR_MEM32, 4096, &memo_ops, NULL));
	EXPECT_EQ(-EINVAL, vmx_pci_bar(b, ~0u, VMX_PCI_BAR_MEM64, 4096, &memo_ops, NULL));
	EXPECT_EQ(-EINVAL, vmx_pci_bar(b, 1, VMX_PCI_BAR_UPPER, 4096, &memo_ops, NULL));
	EXPECT_EQ(-EINVAL, vmx_pci_bar(b, 1, VMX_PCI_BAR_NONE, 4096, &memo_ops, NULL));
	EXPECT_EQ(-EINVAL, vmx_pci_msix_init(b, 1, 0));
	EXPECT_EQ(-EINVAL, vmx_pci_msix_init(b, 1, 65));
}

TEST_F(pci, firmware_places_bars)
{
	struct vmx_pci_windows windows = { 0xc000, 0x10000, 0xe0000000, 0xf0000000 };
	struct vmx_pci_device c;
	struct vmx_pci_id id = { .vendor = 1, .pin = 4 };

	EXPECT_EQ(-ENOSPC, vmx_pci_assign(&self->host, &windows));	/* 8 GiB */
	vmx_pci_remove(&self->a);
	vmx_pci_device_init(&c, "c", &id, NULL);
	EXPECT_EQ(0, vmx_pci_bar(&c, 0, VMX_PCI_BAR_IO, 4, &memo_ops, &self->io));
	EXPECT_EQ(0, vmx_pci_bar(&c, 1, VMX_PCI_BAR_IO, 64, &memo_ops, &self->io));
	EXPECT_EQ(0, vmx_pci_bar(&c, 2, VMX_PCI_BAR_MEM64, 0x100000, &memo_ops, &self->mem64));
	EXPECT_EQ(7, vmx_pci_add(&self->host, &c, 7));
	EXPECT_EQ(0, vmx_pci_assign(&self->host, &windows));
	EXPECT_EQ(0xc041, GET(7, PCI_BASE_ADDRESS_0, 4));
	EXPECT_EQ(0xc001, GET(7, PCI_BASE_ADDRESS_1, 4));
	EXPECT_EQ(0xe0000004, GET(7, PCI_BASE_ADDRESS_2, 4));
	EXPECT_EQ(0, GET(7, PCI_BASE_ADDRESS_3, 4));
	EXPECT_EQ(0xe0100000, GET(4, PCI_BASE_ADDRESS_0, 4));
	EXPECT_EQ(16 + (7 + 3) % 4, GET(7, PCI_INTERRUPT_LINE, 1));
	EXPECT_EQ(16 + (4 + 1) % 4, GET(4, PCI_INTERRUPT_LINE, 1));
	EXPECT_EQ(0, GET(7, PCI_COMMAND, 2));
	/* And what was placed is gone after a reset. */
	PUT(7, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	EXPECT_TRUE(answers(&self->memory, 0xe0000000));
	vmx_pci_host_reset(&self->host);
	EXPECT_FALSE(answers(&self->memory, 0xe0000000));
	EXPECT_EQ(4, GET(7, PCI_BASE_ADDRESS_2, 4));
	windows.memory_end = 0xe0100fff;
	EXPECT_EQ(-ENOSPC, vmx_pci_assign(&self->host, &windows));
	vmx_pci_remove(&c);
}

TEST_F(pci, capabilities)
{
	int first = vmx_pci_capability(&self->b, PCI_CAP_ID_VNDR, 7);
	int second = vmx_pci_capability(&self->b, PCI_CAP_ID_PM, 8);

	EXPECT_EQ(0x40, first);
	EXPECT_EQ(0x48, second);
	EXPECT_EQ(0x40, GET(4, PCI_CAPABILITY_LIST, 1));
	EXPECT_EQ(0x4809, GET(4, first, 2));
	EXPECT_EQ(0x0001, GET(4, second, 2));
	EXPECT_EQ(PCI_STATUS_CAP_LIST, GET(4, PCI_STATUS, 2));
	EXPECT_EQ(-ENOSPC, vmx_pci_capability(&self->b, 9, 256 - 0x50 + 1));
	EXPECT_EQ(-ENOSPC, vmx_pci_capability(&self->b, 9, ~0u));
	EXPECT_EQ(-ENOSPC, vmx_pci_capability(&self->b, 9, 1));
	EXPECT_EQ(0x50, vmx_pci_capability(&self->b, 9, 256 - 0x50));
	EXPECT_EQ(-ENOSPC, vmx_pci_capability(&self->b, 9, 2));
}

TEST_F(pci, pins_share_lines)
{
	/* INTA# of slot 1 and INTB# of slot 4 (= 0): both are line 1. */
	vmx_pci_pin_set(&self->a, true);
	EXPECT_TRUE(self->lines[1]);
	EXPECT_EQ(PCI_STATUS_INTERRUPT, GET(1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	vmx_pci_pin_set(&self->b, true);
	vmx_pci_pin_set(&self->a, true);
	vmx_pci_pin_set(&self->a, false);
	EXPECT_TRUE(self->lines[1]);
	EXPECT_EQ(0, GET(1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	vmx_pci_pin_set(&self->b, false);
	EXPECT_FALSE(self->lines[1]);
	EXPECT_FALSE(self->lines[0] || self->lines[2] || self->lines[3]);
	/* A disabled pin keeps its status. */
	vmx_pci_pin_set(&self->a, true);
	PUT(1, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	EXPECT_FALSE(self->lines[1]);
	EXPECT_EQ(PCI_STATUS_INTERRUPT, GET(1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	PUT(1, PCI_COMMAND, 2, 0);
	EXPECT_TRUE(self->lines[1]);
	/* MSI-X takes its place. */
	PUT(1, self->a.msix.capability + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	EXPECT_FALSE(self->lines[1]);
	PUT(1, self->a.msix.capability + PCI_MSIX_FLAGS, 2, 0);
	EXPECT_TRUE(self->lines[1]);
	vmx_pci_remove(&self->a);
	EXPECT_FALSE(self->lines[1]);
}

#define TABLE 0xe0000000

static void store(board *self, uint64_t offset, unsigned int size, uint64_t value)
{
	vmx_bus_write(&self->memory, TABLE + offset, size, value);
}

static uint64_t load(board *self, uint64_t offset, unsigned int size)
{
	uint64_t value;

	vmx_bus_read(&self->memory, TABLE + offset, size, &value);
	return value;
}

TEST_F(pci, msix)
{
	unsigned int flags = self->a.msix.capability + PCI_MSIX_FLAGS;
	unsigned int command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	/* What a driver finds. */
	EXPECT_EQ(self->a.msix.capability, GET(1, PCI_CAPABILITY_LIST, 1));
	EXPECT_EQ(4, GET(1, flags, 2));
	EXPECT_EQ(4, GET(1, flags + 2, 4));
	EXPECT_EQ(0x804, GET(1, flags + 6, 4));
	PUT(1, PCI_BASE_ADDRESS_4, 4, TABLE);
	PUT(1, PCI_COMMAND, 2, command);
	for (unsigned int n = 0; n < 5; n++) {
		EXPECT_EQ(1, load(self, 16 * n + 12, 4));
		store(self, 16 * n, 8, 0xfee00000 + 4096 * n);
		store(self, 16 * n + 8, 4, 0x40 + n);
	}
	EXPECT_EQ(0xfee02000, load(self, 32, 4));
	EXPECT_EQ(0x42 | 1ull << 32, load(self, 40, 8));
	store(self, 80, 8, UINT64_MAX);		/* no entry */
	EXPECT_EQ(0, load(self, 80, 8));

	/* Off, it is nothing. */
	store(self, 12, 4, 0);
	vmx_pci_msix_raise(&self->a, 0);
	PUT(1, flags, 2, 0xffff);
	EXPECT_EQ(0xc004, GET(1, flags, 2));
	EXPECT_EQ(0, self->messages);
	EXPECT_EQ(0, load(self, 0x800, 8));

	/* All masked; then this one is not. */
	vmx_pci_msix_raise(&self->a, 0);
	EXPECT_EQ(1, load(self, 0x800, 4));
	EXPECT_EQ(0, self->messages);
	PUT(1, flags, 2, PCI_MSIX_FLAGS_ENABLE);
	EXPECT_EQ(1, self->messages);
	EXPECT_EQ(0xfee00000, self->address);
	EXPECT_EQ(0x40, self->data);
	EXPECT_EQ(0, load(self, 0x800, 4));

	/* One masked: two of its interrupts are one message. */
	vmx_pci_msix_raise(&self->a, 4);
	vmx_pci_msix_raise(&self->a, 4);
	EXPECT_EQ(0x10, load(self, 0x800, 8));
	EXPECT_EQ(1, self->messages);
	store(self, 64 + 12, 4, 0xfffffffe);
	EXPECT_EQ(0, load(self, 64 + 12, 4));
	EXPECT_EQ(2, self->messages);
	EXPECT_EQ(0xfee04000, self->address);
	EXPECT_EQ(0x44, self->data);
	vmx_pci_msix_raise(&self->a, 4);
	EXPECT_EQ(3, self->messages);

	/* No such vector; and no message without the right to write. */
	vmx_pci_msix_raise(&self->a, 5);
	vmx_pci_msix_raise(&self->a, ~0u);
	EXPECT_EQ(3, self->messages);
	PUT(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	vmx_pci_msix_raise(&self->a, 4);
	EXPECT_EQ(3, self->messages);
	PUT(1, PCI_COMMAND, 2, command);
	EXPECT_EQ(4, self->messages);

	/* Bytes, words and what lies across are not for tables; the PBA is not for writing. */
	store(self, 0, 1, 0);
	store(self, 0, 2, 0);
	store(self, 4, 8, 0);
	store(self, 2, 4, 0);
	store(self, 0x800, 8, UINT64_MAX);
	EXPECT_EQ(0xfee00000, load(self, 0, 8));
	EXPECT_EQ(0, load(self, 0x800, 8));
	vmx_pci_host_reset(&self->host);
	EXPECT_EQ(1, self->a.msix.vectors[4].control);
	EXPECT_FALSE(vmx_pci_msix_enabled(&self->a));
}

TEST_F(pci, the_reset_port)
{
	uint64_t value;

	vmx_bus_write(&self->ports, 0xcf9, 1, 6);
	EXPECT_EQ(6, self->reset.value);
	EXPECT_EQ(0, self->reset.offset);
	self->reset.value = 0x12;
	vmx_bus_read(&self->ports, 0xcf9, 1, &value);
	EXPECT_EQ(0x12, value);
	/* Not with its neighbours. */
	vmx_bus_write(&self->ports, ADDRESS, 4, 0x80000600);
	vmx_bus_write(&self->ports, ADDRESS, 2, 0x0600);
	vmx_bus_write(&self->ports, 0xcf9, 2, 0x0606);
	vmx_bus_write(&self->ports, 0xcfa, 1, 6);
	EXPECT_EQ(1, self->reset.writes);
	EXPECT_EQ(1, self->reset.reads);
}

TEST_HARNESS_MAIN
