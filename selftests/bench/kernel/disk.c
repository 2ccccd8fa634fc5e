// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that measures requests to a virtio disk, of 4 KiB each, one at a time: it prints a line
 * "NAME TICKS" for reads and one for writes, the median in ticks of the TSC from before the request
 * is in the queue until after its interrupt, which it waits for in HLT. What is going on is told by
 * port 0x80. It is entered in 64-bit mode with memory mapped to itself.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <x86intrin.h>

#define COM1		0x3f8
#define POST_PORT	0x80
#define EXIT_PORT	0xf4
#define MARK_DISK	0xb4
#define MARK_END	0xb3

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc
#define VIRTIO_BLK	0x10421af4	/* device and vendor ID */
#define SLOTS		32

#define APIC		0xfee00000
#define APIC_EOI	0x0b0
#define APIC_SPURIOUS	0x0f0
#define APIC_ENABLED	0x1ff
#define VECTOR		0x40

#define PAGE		4096
#define SECTORS		(PAGE / 512)
#define WARMUP		16
#define REQUESTS	256
#define QUEUE		16

struct gate {
	uint16_t low, selector, type, middle;
	uint32_t high, reserved;
};

struct frame;

static struct gate idt[VECTOR + 1];

static _Alignas(PAGE) struct {
	struct vring_desc descriptors[QUEUE];
	struct {
		uint16_t flags;
		uint16_t index;
		uint16_t ring[QUEUE + 1];
	} available;
	_Alignas(4) struct {
		uint16_t flags;
		uint16_t index;
		struct vring_used_elem ring[QUEUE];
		uint16_t event;
	} used;
} queue;

static struct virtio_blk_outhdr header;
static volatile uint8_t status;
static _Alignas(PAGE) uint8_t data[PAGE];

static volatile uint16_t *doorbell;
static volatile bool interrupted;
static uint32_t samples[REQUESTS];

/* Ports, console, end */

static void out8(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void out32(uint16_t port, uint32_t value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static uint32_t in32(uint16_t port)
{
	uint32_t value;

	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void print(const char *text)
{
	while (*text)
		out8(COM1, *text++);
}

static void print_number(uint32_t number)
{
	char text[11], *at = text + sizeof(text) - 1;

	*at = '\0';
	do {
		at--;
		*at = '0' + number % 10;
		number /= 10;
	} while (number);
	print(at);
}

static void end(uint8_t code)
{
	for (;;)
		out8(EXIT_PORT, code);
}

static void fail(const char *why)
{
	print(why);
	print("\n");
	end(1);
}

/* Interrupts */

static volatile uint32_t *apic(unsigned int offset)
{
	return (volatile uint32_t *)(uintptr_t)(APIC + offset);
}

__attribute__((interrupt)) static void take_interrupt(struct frame *frame)
{
	interrupted = true;
	*apic(APIC_EOI) = 0;
}

static void take_interrupts(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = { sizeof(idt) - 1, (uint64_t)idt };
	uint64_t handler = (uint64_t)take_interrupt;
	uint16_t code;

	asm("mov %%cs, %0" : "=r"(code));
	idt[VECTOR] = (struct gate){ handler, code, 0x8e00, handler >> 16, handler >> 32, 0 };
	asm volatile("lidt %0" : : "m"(table));
	*apic(APIC_SPURIOUS) = APIC_ENABLED;
}

/* The device */

static uint32_t config(unsigned int slot, unsigned int reg)
{
	out32(CONFIG_ADDRESS, 0x80000000 | slot << 11 | (reg & ~3u));
	return in32(CONFIG_DATA);
}

static void set_config(unsigned int slot, unsigned int reg, uint32_t value)
{
	config(slot, reg);
	out32(CONFIG_DATA, value);
}

static volatile void *bar(unsigned int slot, unsigned int n, uint32_t offset)
{
	return (volatile void *)(uintptr_t)((config(slot, PCI_BASE_ADDRESS_0 + 4 * n) & ~0xfu) +
					    offset);
}

static unsigned int find_disk(void)
{
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		if (config(slot, PCI_VENDOR_ID) == VIRTIO_BLK)
			return slot;
	fail("there is no disk");
	return 0;
}

/* The first vector is for the only queue. */
static void use_msix(unsigned int slot, unsigned int at)
{
	uint32_t table = config(slot, at + PCI_MSIX_TABLE);
	volatile uint32_t *vector = bar(slot, table & PCI_MSIX_TABLE_BIR,
					table & PCI_MSIX_TABLE_OFFSET);

	vector[0] = APIC;
	vector[1] = 0;
	vector[2] = VECTOR;
	vector[3] = 0;
	set_config(slot, at, config(slot, at) | PCI_MSIX_FLAGS_ENABLE << 16);
}

static void start(volatile struct virtio_pci_common_cfg *common, volatile char *notify,
		  uint32_t multiplier)
{
	common->device_status = 0;
	common->device_status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	common->guest_feature_select = 0;
	common->guest_feature = 1u << VIRTIO_BLK_F_FLUSH;
	common->guest_feature_select = 1;
	common->guest_feature = 1u << (VIRTIO_F_VERSION_1 - 32);
	common->device_status |= VIRTIO_CONFIG_S_FEATURES_OK;
	common->queue_select = 0;
	common->queue_size = QUEUE;
	common->queue_msix_vector = 0;
	common->queue_desc_lo = (uintptr_t)queue.descriptors;
	common->queue_desc_hi = 0;
	common->queue_avail_lo = (uintptr_t)&queue.available;
	common->queue_avail_hi = 0;
	common->queue_used_lo = (uintptr_t)&queue.used;
	common->queue_used_hi = 0;
	common->queue_enable = 1;
	doorbell = (volatile uint16_t *)(notify + common->queue_notify_off * multiplier);
	common->device_status |= VIRTIO_CONFIG_S_DRIVER_OK;
}

static void use_disk(unsigned int slot)
{
	volatile struct virtio_pci_common_cfg *common = NULL;
	volatile char *notify = NULL;
	uint32_t multiplier = 0;

	set_config(slot, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (unsigned int at = config(slot, PCI_CAPABILITY_LIST) & 0xff; at;
	     at = config(slot, at) >> 8 & 0xff) {
		uint32_t head = config(slot, at);
		volatile void *where;

		if ((head & 0xff) == PCI_CAP_ID_MSIX)
			use_msix(slot, at);
		if ((head & 0xff) != PCI_CAP_ID_VNDR)
			continue;
		where = bar(slot, config(slot, at + 4) & 0xff, config(slot, at + 8));
		if (head >> 24 == VIRTIO_PCI_CAP_COMMON_CFG)
			common = where;
		if (head >> 24 == VIRTIO_PCI_CAP_NOTIFY_CFG) {
			notify = where;
			multiplier = config(slot, at + 16);
		}
	}
	if (!common || !notify)
		fail("the disk is not virtio 1");
	start(common, notify, multiplier);
}

/* Requests */

static void describe(unsigned int n, volatile void *memory, uint32_t length, uint16_t flags)
{
	queue.descriptors[n] = (struct vring_desc){
		.addr = (uintptr_t)memory, .len = length, .flags = flags, .next = n + 1,
	};
}

static void request(uint32_t type, uint64_t sector)
{
	status = 0xff;
	interrupted = false;
	header = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	describe(0, &header, sizeof(header), VRING_DESC_F_NEXT);
	describe(1, data, PAGE,
		 VRING_DESC_F_NEXT | (type == VIRTIO_BLK_T_IN ? VRING_DESC_F_WRITE : 0));
	describe(2, &status, 1, VRING_DESC_F_WRITE);
	queue.available.ring[queue.available.index % QUEUE] = 0;
	asm volatile("" : : : "memory");
	queue.available.index++;
	asm volatile("mfence" : : : "memory");
	*doorbell = 0;
	while (!interrupted)
		asm volatile("sti\n hlt\n cli" : : : "memory");
	if (status != VIRTIO_BLK_S_OK)
		fail("the disk reports an error");
}

static uint32_t median(void)
{
	for (unsigned int n = 1; n < REQUESTS; n++) {
		uint32_t sample = samples[n];
		unsigned int at = n;

		for (; at && samples[at - 1] > sample; at--)
			samples[at] = samples[at - 1];
		samples[at] = sample;
	}
	return samples[REQUESTS / 2];
}

static void measure(const char *name, uint32_t type)
{
	for (int n = -WARMUP; n < REQUESTS; n++) {
		uint64_t before;

		if (!n)
			out8(POST_PORT, MARK_DISK);
		before = __rdtsc();
		request(type, (n + WARMUP) * SECTORS);
		if (n >= 0)
			samples[n] = __rdtsc() - before;
	}
	out8(POST_PORT, MARK_END);
	print(name);
	print(" ");
	print_number(median());
	print("\n");
}

__attribute__((used)) static void kernel(void)
{
	take_interrupts();
	use_disk(find_disk());
	measure("disk-write", VIRTIO_BLK_T_OUT);
	measure("disk-read", VIRTIO_BLK_T_IN);
	end(0);
}

static uint8_t stack[4 * PAGE] __attribute__((used));

asm(".globl _start\n_start: lea stack+16384(%rip), %rsp\n call kernel");
