/* SPDX-License-Identifier: GPL-2.0 */
/* A guest with a driver for virtio devices: RAM, a PCI bus, and rings laid out in the RAM. */
#ifndef VIRTIO_GUEST_H
#define VIRTIO_GUEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include <libvmx/virtio.h>

#include "ports.h"

#define RAM		0x100000ull
#define RAM_SIZE	0x100000ull
#define RINGS		0x10000		/* for each queue, from RAM on */
#define DRIVER		0x1000		/* within it */
#define DEVICE		0x2000
#define TABLE		0x4000		/* indirect descriptors */
#define DATA		(RAM + 0x80000)
#define SLOT		1
#define VERSION_1	(1ull << VIRTIO_F_VERSION_1)
#define EVENT_IDX	(1ull << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT	(1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define NEXT		VRING_DESC_F_NEXT
#define WRITE		VRING_DESC_F_WRITE

struct guest {
	struct vmx_bus *ports, *memory;	/* the machine's, or: */
	struct vmx_bus own_ports, own_memory;
	struct vmx_pci_host host;
	struct vmx_clock clock;
	uint64_t now;
	unsigned char *ram;
	struct vmx_virtio_machine machine;
	/* What the device did. */
	unsigned int messages[8];	/* by their data */
	bool line;
	unsigned int reports;
	char report[400];
	unsigned char *told;			/* what it said that it wrote, as it was then */
	uint16_t used_then[VMX_VIRTIO_QUEUES];	/* and the used indices */
	/* What the driver found. */
	uint64_t common, isr, config, notify;
	uint32_t config_size, multiplier;
	unsigned int window, msix;
	struct driver_queue {
		uint16_t size;
		uint16_t offered;
		uint16_t seen;
	} queues[VMX_VIRTIO_QUEUES];
};

static void *guest_ram(void *context, uint64_t address, uint64_t length)
{
	struct guest *guest = context;

	if (address < RAM || address - RAM >= RAM_SIZE || length > RAM_SIZE - (address - RAM))
		return NULL;
	return guest->ram + (address - RAM);
}

static void guest_message(void *context, uint64_t address, uint32_t data)
{
	struct guest *guest = context;

	if (address == 0xfee00000 && data < 8)
		guest->messages[data]++;
}

static void guest_report(void *context, const char *sentence)
{
	struct guest *guest = context;

	guest->reports++;
	snprintf(guest->report, sizeof(guest->report), "%s", sentence);
}

static void guest_line(void *context, unsigned int pin, bool level)
{
	struct guest *guest = context;

	guest->line = level;
}

static inline uint64_t ring_address(unsigned int queue)
{
	return RAM + queue * RINGS;
}

static inline void *at(struct guest *guest, uint64_t address)
{
	return guest->ram + (address - RAM);
}

static inline uint16_t *driver_area(struct guest *guest, unsigned int queue)
{
	return at(guest, ring_address(queue) + DRIVER);
}

static inline uint16_t *device_area(struct guest *guest, unsigned int queue)
{
	return at(guest, ring_address(queue) + DEVICE);
}

static void guest_written(void *context, const void *memory, size_t length)
{
	struct guest *guest = context;

	memcpy(guest->told + ((const unsigned char *)memory - guest->ram), memory, length);
	for (unsigned int n = 0; n < VMX_VIRTIO_QUEUES; n++)
		guest->used_then[n] = device_area(guest, n)[1];
}

/* Of bytes that the device wrote, how many the machine does not know. */
static inline unsigned int untold(struct guest *guest, uint64_t address, unsigned int length)
{
	unsigned int count = 0;

	for (unsigned int n = 0; n < length; n++)
		count += guest->told[address - RAM + n] != guest->ram[address - RAM + n];
	return count;
}

static inline void guest_init(struct guest *guest)
{
	struct vmx_pci_wiring wiring = {
		.ports = &guest->own_ports, .memory = &guest->own_memory,
		.message = guest_message, .report = guest_report, .context = guest,
	};

	*guest = (struct guest){ .ports = &guest->own_ports, .memory = &guest->own_memory,
				 .clock = { .now = test_now, .source = &guest->now } };
	for (unsigned int n = 0; n < VMX_PCI_LINES; n++)
		wiring.lines[n] = (struct vmx_line){ guest_line, guest, n };
	guest->ram = aligned_alloc(0x1000, RAM_SIZE);
	guest->told = malloc(RAM_SIZE);
	guest->machine = (struct vmx_virtio_machine){
		.memory = guest_ram, .context = guest, .clock = &guest->clock,
		.written = guest_written,
	};
	if (!guest->ram || !guest->told || vmx_pci_host_init(&guest->host, &wiring))
		abort();
	memset(guest->ram, 0, RAM_SIZE);
	memset(guest->told, 0x5a, RAM_SIZE);
}

static inline void guest_free(struct guest *guest)
{
	vmx_bus_free(&guest->own_ports);
	vmx_bus_free(&guest->own_memory);
	free(guest->ram);
	free(guest->told);
}

/* Configuration space */

static inline uint32_t config_in(struct guest *guest, unsigned int reg, unsigned int size)
{
	uint64_t value;

	vmx_bus_write(guest->ports, 0xcf8, 4, 0x80000000 | SLOT << 11 | (reg & 0xfc));
	vmx_bus_read(guest->ports, 0xcfc + (reg & 3), size, &value);
	return value;
}

static inline void config_out(struct guest *guest, unsigned int reg, unsigned int size,
			      uint32_t value)
{
	vmx_bus_write(guest->ports, 0xcf8, 4, 0x80000000 | SLOT << 11 | (reg & 0xfc));
	vmx_bus_write(guest->ports, 0xcfc + (reg & 3), size, value);
}

static inline uint64_t in(struct guest *guest, uint64_t address, unsigned int size)
{
	uint64_t value;

	vmx_bus_read(guest->memory, address, size, &value);
	return value;
}

static inline void out(struct guest *guest, uint64_t address, unsigned int size, uint64_t value)
{
	vmx_bus_write(guest->memory, address, size, value);
}

#define COMMON_IN(reg, size) in(guest, guest->common + (reg), size)
#define COMMON_OUT(reg, size, value) out(guest, guest->common + (reg), size, value)

static inline uint8_t status(struct guest *guest)
{
	return COMMON_IN(VIRTIO_PCI_COMMON_STATUS, 1);
}

static inline bool needs_reset(struct guest *guest)
{
	return status(guest) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* Finds a device's structures by the capabilities, as a driver does. */
static inline void guest_find(struct guest *guest)
{
	config_out(guest, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (unsigned int at = config_in(guest, PCI_CAPABILITY_LIST, 1); at;
	     at = config_in(guest, at + 1, 1)) {
		unsigned int bar = config_in(guest, at + VIRTIO_PCI_CAP_BAR, 1);
		uint64_t base;

		if (config_in(guest, at, 1) == PCI_CAP_ID_MSIX)
			guest->msix = at;
		if (config_in(guest, at, 1) != PCI_CAP_ID_VNDR)
			continue;
		base = (config_in(guest, PCI_BASE_ADDRESS_0 + 4 * bar, 4) & ~15u) +
		       config_in(guest, at + VIRTIO_PCI_CAP_OFFSET, 4);
		switch (config_in(guest, at + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			guest->common = base;
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			guest->isr = base;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			guest->config = base;
			guest->config_size = config_in(guest, at + VIRTIO_PCI_CAP_LENGTH, 4);
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			guest->notify = base;
			guest->multiplier = config_in(guest, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
			break;
		case VIRTIO_PCI_CAP_PCI_CFG:
			guest->window = at;
			break;
		}
	}
}

/* Plugs a device in, and finds it. */
static inline void guest_probe(struct guest *guest, struct vmx_virtio *virtio)
{
	struct vmx_pci_windows windows = { 0xc000, 0x10000, 0xe0000000, 0xf0000000 };

	if (vmx_pci_add(&guest->host, &virtio->pci, SLOT) != SLOT ||
	    vmx_pci_assign(&guest->host, &windows))
		abort();
	guest_find(guest);
}

static inline void queue_place(struct guest *guest, unsigned int queue, unsigned int size,
			       uint64_t descriptors, uint64_t driver, uint64_t device)
{
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_DESCLO, 4, descriptors);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_DESCHI, 4, descriptors >> 32);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_AVAILLO, 4, driver);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_AVAILHI, 4, driver >> 32);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_USEDLO, 4, device);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_USEDHI, 4, device >> 32);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	guest->queues[queue] = (struct driver_queue){ .size = size };
}

/* Resets, negotiates, and has queues of SIZE entries, but is not OK yet. */
static inline void guest_negotiate(struct guest *guest, uint64_t features, unsigned int size)
{
	unsigned int queues = COMMON_IN(VIRTIO_PCI_COMMON_NUMQ, 2);

	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 1);
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 3);
	for (unsigned int n = 0; n < 2; n++) {
		COMMON_OUT(VIRTIO_PCI_COMMON_GFSELECT, 4, n);
		COMMON_OUT(VIRTIO_PCI_COMMON_GF, 4, features >> 32 * n & 0xffffffff);
	}
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 0xb);
	memset(guest->ram, 0, 0x80000);
	for (unsigned int n = 0; n < queues; n++)
		queue_place(guest, n, size, ring_address(n), ring_address(n) + DRIVER,
			    ring_address(n) + DEVICE);
}

static inline void guest_start(struct guest *guest, uint64_t features, unsigned int size)
{
	guest_negotiate(guest, features, size);
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 0xf);
}

/* Chooses MSI-X: vector 0 for the configuration, the others for the queues. */
static inline void guest_use_msix(struct guest *guest)
{
	uint64_t table = config_in(guest, PCI_BASE_ADDRESS_1, 4) & ~15u;
	unsigned int count = (config_in(guest, guest->msix + PCI_MSIX_FLAGS, 2) & 0x7ff) + 1;

	config_out(guest, guest->msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned int n = 0; n < count; n++) {
		out(guest, table + 16 * n, 8, 0xfee00000);
		out(guest, table + 16 * n + 8, 8, n);
	}
	COMMON_OUT(VIRTIO_PCI_COMMON_MSIX, 2, 0);
	for (unsigned int n = 0; n + 1 < count; n++) {
		COMMON_OUT(VIRTIO_PCI_COMMON_Q_SELECT, 2, n);
		COMMON_OUT(VIRTIO_PCI_COMMON_Q_MSIX, 2, n + 1);
	}
}

/* Rings */

static inline void describe_at(struct guest *guest, uint64_t table, unsigned int index,
			       uint64_t address, uint32_t length, uint16_t flags, uint16_t next)
{
	struct vring_desc *descriptors = at(guest, table);

	descriptors[index] = (struct vring_desc){ address, length, flags, next };
}

static inline void describe(struct guest *guest, unsigned int queue, unsigned int index,
			    uint64_t address, uint32_t length, uint16_t flags, uint16_t next)
{
	describe_at(guest, ring_address(queue), index, address, length, flags, next);
}

static inline void offer(struct guest *guest, unsigned int queue, uint16_t head)
{
	struct driver_queue *q = &guest->queues[queue];
	uint16_t *avail = driver_area(guest, queue);

	avail[2 + q->offered % q->size] = head;
	avail[1] = ++q->offered;
}

static inline void kick(struct guest *guest, unsigned int queue)
{
	out(guest, guest->notify + guest->multiplier * queue, 2, queue);
}

/* The length of the next used entry, or -1; the chain's head in *HEAD unless NULL. */
static inline int64_t used(struct guest *guest, unsigned int queue, uint32_t *head)
{
	struct driver_queue *q = &guest->queues[queue];
	uint16_t *area = device_area(guest, queue);
	struct vring_used_elem element;

	if (area[1] == q->seen)
		return -1;
	memcpy(&element, &area[2 + 4 * (q->seen++ % q->size)], sizeof(element));
	if (head)
		*head = element.id;
	return element.len;
}

#endif /* VIRTIO_GUEST_H */
