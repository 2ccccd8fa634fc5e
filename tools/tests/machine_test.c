// SPDX-License-Identifier: GPL-2.0
/* What a machine is wired to, without a vCPU: a driver finds PCI devices and is interrupted. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/virtio_blk.h>

#include "kselftest_harness.h"

#include "../machine/internal.h"
#include "virtio_guest.h"

#define MIB		(1ull << 20)
#define MEMORY		(4 * MIB)
#define SECTORS		8
#define HEADER		DATA
#define SECTOR		(DATA + 0x1000)
#define STATUS		(DATA + 0x2000)
#define VECTOR		0x41

/* Registers of the local APIC. */
#define EOI		0x0b0
#define SVR		0x0f0

/* The first device's INTA#. */
#define GSI		17
#define IRQ		10
#define ENTRY		(0x10 + 2 * GSI)
#define ACTIVE_LOW	0x2000
#define REMOTE_IRR	0x4000
#define LEVEL		0x8000
#define MASKED		0x10000

FIXTURE(machine) {
	struct vmx_machine machine;
	struct vmx_lapic *lapic;
	struct guest guest;
	struct vmx_virtio_blk blk;
	int fd;
	char report[300];
};

/* The module's part: the library's announcements come here. */
static struct vmx_mmu_range announced[4];
static unsigned int announcements;

int ioctl(int fd, unsigned long request, ...)
{
	struct vmx_mmu_range *range;
	va_list args;

	va_start(args, request);
	range = va_arg(args, struct vmx_mmu_range *);
	va_end(args);
	if (request != VMX_MMU_INVALIDATE)
		return syscall(SYS_ioctl, fd, request, range);
	announced[announcements++ % 4] = *range;
	return 0;
}

static void note_report(void *host, const char *sentence)
{
	snprintf(host, 300, "%s", sentence);
}

static int add_cpu(struct vmx_machine *machine)
{
	struct vmx_cpu *cpu = &machine->cpus[0];
	struct vmx_lapic_config config = {
		.bus = &machine->apics, .clock = &machine->clock, .kick = vmx_cpu_kick,
		.vcpu = cpu, .boot = true, .physical_bits = 36, .tsc_khz = 1000000,
	};
	int ret = vmx_lapic_init(&cpu->lapic, &config);

	cpu->machine = machine;
	pthread_cond_init(&cpu->wake, NULL);
	vmx_lapic_write(&cpu->lapic, VMX_LAPIC_BASE + SVR, 4, 0x1ff);
	return ret;
}

static int open_disk(void)
{
	int fd = memfd_create("disk", 0);

	for (unsigned int n = 0; n < SECTORS; n++) {
		char sector[512];

		memset(sector, 'A' + n, sizeof(sector));
		if (write(fd, sector, sizeof(sector)) != sizeof(sector))
			return -1;
	}
	return fd;
}

FIXTURE_SETUP(machine)
{
	struct vmx_machine *machine = &self->machine;
	unsigned char *ram = calloc(1, MEMORY);
	struct vmx_virtio_machine virtio;

	ASSERT_NE(NULL, ram);
	machine->config = (struct vmx_machine_config){
		.memory = MEMORY, .cpus = 1, .report = note_report, .host = self->report,
	};
	machine->clock = (struct vmx_clock){ .now = test_now, .source = &self->guest.now };
	pthread_mutex_init(&machine->lock, NULL);
	ASSERT_EQ(0, vmx_memory_init(&machine->memory, ram, MEMORY, 0xc0000000));
	ASSERT_EQ(0, add_cpu(machine));
	ASSERT_EQ(0, vmx_board_init(machine));
	self->lapic = &machine->cpus[0].lapic;

	self->fd = open_disk();
	ASSERT_LE(0, self->fd);
	virtio = vmx_machine_virtio(machine);
	ASSERT_EQ(0, vmx_virtio_blk_init(&self->blk, &virtio, self->fd, false, NULL));
	ASSERT_EQ(SLOT, vmx_machine_add(machine, &self->blk.virtio.pci));
	self->guest.ports = &machine->ports;
	self->guest.memory = &machine->mmio;
	self->guest.ram = ram + RAM;
}

FIXTURE_TEARDOWN(machine)
{
	vmx_virtio_close(&self->blk.virtio);
	vmx_bus_free(&self->machine.ports);
	vmx_bus_free(&self->machine.mmio);
	free(self->machine.memory.ram);
	close(self->fd);
}

/* Where a start-up IPI would lead to real mode, which guests cannot be in. */
TEST_F(machine, mailbox_calls_a_vcpu)
{
	struct vmx_machine *machine = &self->machine;
	struct vmx_cpu *cpu = &machine->cpus[0];
	struct {
		uint16_t command, reserved;
		uint32_t apic_id;
	} *mailbox = (void *)(machine->memory.ram + VMX_ACPI_MAILBOX);

	EXPECT_FALSE(vmx_machine_mailbox(machine));
	machine->config.cpus = 2;
	EXPECT_TRUE(vmx_machine_mailbox(machine));
	machine->vm.caps.features = VMX_HAS_UNRESTRICTED;
	EXPECT_FALSE(vmx_machine_mailbox(machine));

	cpu->id = 3;
	mailbox->apic_id = 3;
	EXPECT_FALSE(vmx_cpu_called(cpu));
	mailbox->command = 1;
	EXPECT_TRUE(vmx_cpu_called(cpu));
	mailbox->apic_id = 2;
	EXPECT_FALSE(vmx_cpu_called(cpu));
}

static uint32_t ioapic_get(struct guest *guest, uint8_t reg)
{
	out(guest, VMX_IOAPIC_BASE, 4, reg);
	return in(guest, VMX_IOAPIC_BASE + 0x10, 4);
}

static void ioapic_put(struct guest *guest, uint8_t reg, uint32_t value)
{
	out(guest, VMX_IOAPIC_BASE, 4, reg);
	out(guest, VMX_IOAPIC_BASE + 0x10, 4, value);
}

static void start(struct guest *guest)
{
	guest_find(guest);
	guest_start(guest, VERSION_1, 16);
}

/* Has the device read a sector to TO. */
static void read_sector(struct guest *guest, unsigned int sector, uint64_t to)
{
	struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN, .sector = sector };

	memcpy(at(guest, HEADER), &header, sizeof(header));
	describe(guest, 0, 0, HEADER, sizeof(header), NEXT, 1);
	describe(guest, 0, 1, to, 512, NEXT | WRITE, 2);
	describe(guest, 0, 2, STATUS, 1, WRITE, 0);
	offer(guest, 0, 0);
	kick(guest, 0);
}

static int take_interrupt(struct vmx_lapic *lapic)
{
	int vector = vmx_lapic_pending(lapic);

	if (vector >= 0)
		vmx_lapic_accept(lapic, vector);
	return vector;
}

static void end_interrupt(struct vmx_lapic *lapic)
{
	vmx_lapic_write(lapic, VMX_LAPIC_BASE + EOI, 4, 0);
}

TEST_F(machine, a_device_is_placed)
{
	struct guest *guest = &self->guest;
	uint32_t bar = config_in(guest, PCI_BASE_ADDRESS_0, 4) & ~15u;

	EXPECT_EQ(0x1af4, config_in(guest, PCI_VENDOR_ID, 2));
	EXPECT_EQ(IRQ, config_in(guest, PCI_INTERRUPT_LINE, 1));
	/* In the bus's window of the tables, and not there before the guest wants it. */
	EXPECT_LE(0x80000000, bar);
	EXPECT_GT(0xfec00000, bar);
	EXPECT_EQ(UINT32_MAX, in(guest, bar, 4));
	guest_find(guest);
	EXPECT_EQ(bar, guest->common);
	EXPECT_EQ(SECTORS, in(guest, guest->config, 4));
}

TEST_F(machine, reset_control_lies_within_the_bridge)
{
	struct guest *guest = &self->guest;
	uint64_t value;

	vmx_bus_write(guest->ports, 0xcf8, 4, 0x80000800);
	vmx_bus_write(guest->ports, 0xcf9, 1, 2);
	vmx_bus_read(guest->ports, 0xcf9, 1, &value);
	EXPECT_EQ(2, value);
	EXPECT_EQ(VMX_END_NONE, self->machine.end);
	vmx_bus_read(guest->ports, 0xcf8, 4, &value);
	EXPECT_EQ(0x80000800, value);
	vmx_bus_write(guest->ports, 0xcf9, 1, VMX_POWER_RESET_VALUE);
	EXPECT_EQ(VMX_END_RESET, self->machine.end);
}

/* The last MiB of RAM is what begins at 4 GiB. */
TEST_F(machine, devices_reach_ram_above_4_gib)
{
	struct vmx_memory *memory = &self->machine.memory;
	struct guest *guest = &self->guest;

	ASSERT_EQ(0, vmx_memory_init(memory, memory->ram, MEMORY, MEMORY - MIB));
	start(guest);
	read_sector(guest, 3, VMX_MEMORY_HIGH + MIB - 512);
	EXPECT_EQ(513, used(guest, 0, NULL));
	EXPECT_EQ('D', memory->ram[MEMORY - 512]);
	EXPECT_EQ('D', memory->ram[MEMORY - 1]);
	read_sector(guest, 4, VMX_MEMORY_HIGH + MIB - 511);
	EXPECT_EQ(0x40, status(guest) & 0x40);
	EXPECT_EQ('D', memory->ram[MEMORY - 1]);
}

TEST_F(machine, a_message_interrupts)
{
	struct guest *guest = &self->guest;
	uint64_t table;

	start(guest);
	guest_use_msix(guest);
	table = config_in(guest, PCI_BASE_ADDRESS_1, 4) & ~15u;
	out(guest, table + 16 + 8, 4, VECTOR);
	EXPECT_EQ(-1, vmx_lapic_pending(self->lapic));
	read_sector(guest, 3, SECTOR);
	EXPECT_EQ(513, used(guest, 0, NULL));
	EXPECT_EQ(0, *(char *)at(guest, STATUS));
	EXPECT_EQ('D', *(char *)at(guest, SECTOR));
	EXPECT_EQ('D', *(char *)at(guest, SECTOR + 511));
	EXPECT_EQ(VECTOR, take_interrupt(self->lapic));
	end_interrupt(self->lapic);
	EXPECT_EQ(-1, vmx_lapic_pending(self->lapic));
}

TEST_F(machine, a_pin_interrupts_until_it_is_served)
{
	struct guest *guest = &self->guest;

	start(guest);
	/* As systems have it for PCI, unless the tables say otherwise: level, active low. */
	ioapic_put(guest, ENTRY, VECTOR | LEVEL | ACTIVE_LOW);
	EXPECT_EQ(-1, vmx_lapic_pending(self->lapic));
	read_sector(guest, 0, SECTOR);
	EXPECT_EQ(VECTOR, take_interrupt(self->lapic));
	EXPECT_TRUE(ioapic_get(guest, ENTRY) & REMOTE_IRR);
	/* A handler that did not look at its device is called again. */
	end_interrupt(self->lapic);
	EXPECT_EQ(VECTOR, take_interrupt(self->lapic));
	EXPECT_EQ(1, in(guest, guest->isr, 1));
	end_interrupt(self->lapic);
	EXPECT_EQ(-1, vmx_lapic_pending(self->lapic));
	EXPECT_FALSE(ioapic_get(guest, ENTRY) & REMOTE_IRR);
}

/* A guest that has no I/O APIC, or wants none, has the 8259As, in level mode for PCI. */
TEST_F(machine, a_pin_interrupts_by_the_8259as)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} start_up[] = {
		{ 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 }, { 0x21, 1 },
		{ 0xa0, 0x11 }, { 0xa1, 0x28 }, { 0xa1, 2 }, { 0xa1, 1 },
		{ 0x21, 0xff & ~(1 << 2) }, { 0xa1, 0xff & ~(1 << (IRQ - 8)) },
	};
	struct guest *guest = &self->guest;
	struct vmx_pic *pic = &self->machine.pic;

	for (size_t n = 0; n < sizeof(start_up) / sizeof(start_up[0]); n++)
		vmx_bus_write(guest->ports, start_up[n].port, 1, start_up[n].value);
	start(guest);
	EXPECT_FALSE(vmx_pic_pending(pic));
	read_sector(guest, 0, SECTOR);
	ASSERT_TRUE(vmx_pic_pending(pic));
	EXPECT_EQ(0x28 + IRQ - 8, vmx_pic_ack(pic));
	/* Not served yet; then it is. */
	vmx_bus_write(guest->ports, 0xa0, 1, 0x20);
	vmx_bus_write(guest->ports, 0x20, 1, 0x20);
	EXPECT_TRUE(vmx_pic_pending(pic));
	EXPECT_EQ(1, in(guest, guest->isr, 1));
	EXPECT_FALSE(vmx_pic_pending(pic));
}

/* Each slot is one line further than the one before. */
TEST_F(machine, the_second_device_has_its_own_line)
{
	struct vmx_virtio_machine virtio = vmx_machine_virtio(&self->machine);
	struct guest *guest = &self->guest;
	struct vmx_virtio_blk second;

	ASSERT_EQ(0, vmx_virtio_blk_init(&second, &virtio, self->fd, true, NULL));
	ASSERT_EQ(SLOT + 1, vmx_machine_add(&self->machine, &second.virtio.pci));
	EXPECT_EQ(IRQ + 1, second.virtio.pci.config[PCI_INTERRUPT_LINE]);
	start(guest);
	ioapic_put(guest, ENTRY, MASKED);
	ioapic_put(guest, ENTRY + 2, VECTOR | LEVEL | ACTIVE_LOW);
	vmx_pci_pin_set(&second.virtio.pci, true);
	EXPECT_EQ(VECTOR, take_interrupt(self->lapic));
	vmx_virtio_close(&second.virtio);
	end_interrupt(self->lapic);
	EXPECT_EQ(-1, vmx_lapic_pending(self->lapic));
}

TEST_F(machine, devices_reach_ram_only)
{
	struct guest *guest = &self->guest;

	start(guest);
	read_sector(guest, 0, MEMORY - 256);
	EXPECT_TRUE(needs_reset(guest));
	EXPECT_NE(NULL, strstr(self->report, "PCI slot 1, virtio-blk: "));
}

/* With shadow page tables, before the guest can know; with EPT nobody has to. */
TEST_F(machine, what_devices_write_is_announced)
{
	struct guest *guest = &self->guest;

	start(guest);
	read_sector(guest, 0, SECTOR);
	EXPECT_EQ(0, announcements);
	self->machine.vm.shadow = true;
	self->blk.virtio.machine = vmx_machine_virtio(&self->machine);
	read_sector(guest, 1, SECTOR + 4096 - 256);
	ASSERT_EQ(2, announcements);
	EXPECT_EQ(SECTOR, announced[0].gpa);
	EXPECT_EQ(8192, announced[0].length);
	EXPECT_EQ(STATUS, announced[1].gpa);
	EXPECT_EQ(4096, announced[1].length);
	/* RAM goes on at 4 GiB where there is a hole below. */
	self->machine.memory.low = STATUS + 4096;
	read_sector(guest, 2, VMX_MEMORY_HIGH);
	EXPECT_EQ(VMX_MEMORY_HIGH, announced[2].gpa);
	EXPECT_EQ(STATUS, announced[3].gpa);
}

TEST_F(machine, what_does_not_fit_stays_outside)
{
	static const struct vmx_pci_id id = { .vendor = 0x1af4, .device = 1, .pin = 1 };
	static const struct vmx_range_ops nothing;
	struct guest *guest = &self->guest;
	uint32_t bar = config_in(guest, PCI_BASE_ADDRESS_0, 4);
	struct vmx_pci_device huge;

	vmx_pci_device_init(&huge, "huge", &id, NULL);
	ASSERT_EQ(0, vmx_pci_bar(&huge, 0, VMX_PCI_BAR_MEM32, 1u << 31, &nothing, NULL));
	EXPECT_EQ(-ENOSPC, vmx_machine_add(&self->machine, &huge));
	EXPECT_NE(NULL, strstr(vmx_error(), "huge"));
	EXPECT_EQ(NULL, huge.host);
	EXPECT_EQ(bar, config_in(guest, PCI_BASE_ADDRESS_0, 4));
	EXPECT_EQ(-EINVAL, vmx_machine_add(&self->machine, &self->blk.virtio.pci));
}

TEST_F(machine, each_machine_has_a_generation_of_its_own)
{
	unsigned char *id = self->machine.memory.ram + VMX_ACPI_GENERATION;
	unsigned char first[VMX_ACPI_GENERATION_LENGTH];
	uint64_t rsdp = 0;

	ASSERT_EQ(0, vmx_board_describe(&self->machine, &rsdp));
	EXPECT_NE(NULL, memmem(self->machine.memory.ram + rsdp, 0x10000, "VM_Gen_Counter", 14));
	memcpy(first, id, sizeof(first));
	ASSERT_EQ(0, vmx_board_new_generation(&self->machine));
	EXPECT_NE(0, memcmp(first, id, sizeof(first)));
	/* What is behind it is the parked CPUs'. */
	EXPECT_EQ(VMX_ACPI_PARK, VMX_ACPI_GENERATION + VMX_ACPI_GENERATION_LENGTH);
}

TEST_F(machine, the_tables_have_the_bridge)
{
	uint64_t rsdp = 0;

	ASSERT_EQ(0, vmx_board_describe(&self->machine, &rsdp));
	ASSERT_NE(0, rsdp);
	EXPECT_NE(NULL, memmem(self->machine.memory.ram + rsdp, 0x10000, "PCI0", 4));
	EXPECT_NE(NULL, memmem(self->machine.memory.ram + rsdp, 0x10000, "_PRT", 4));
	EXPECT_EQ(639, *(uint16_t *)(self->machine.memory.ram + 0x413));
}

TEST_HARNESS_MAIN
