/* SPDX-License-Identifier: GPL-2.0 */
/* A driver for a virtio disk, one request at a time. */
#ifndef KERNELS_VIRTIO_DISK_H
#define KERNELS_VIRTIO_DISK_H

#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "pc.h"

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc
#define VIRTIO_BLK	0x10421af4	/* device and vendor ID */
#define SLOTS		32

#define SECTORS		(PAGE / 512)
#define QUEUE		16

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

static volatile uint16_t *doorbell;
static volatile uint32_t *vectors;	/* the MSI-X table: four words each */

static inline uint32_t config(unsigned int slot, unsigned int reg)
{
	out32(CONFIG_ADDRESS, 0x80000000 | slot << 11 | (reg & ~3u));
	return in32(CONFIG_DATA);
}

static inline void set_config(unsigned int slot, unsigned int reg, uint32_t value)
{
	config(slot, reg);
	out32(CONFIG_DATA, value);
}

static inline volatile void *bar(unsigned int slot, unsigned int n, uint32_t offset)
{
	return (volatile void *)(uintptr_t)((config(slot, PCI_BASE_ADDRESS_0 + 4 * n) & ~0xfu) +
					    offset);
}

/* Its slot */
static inline unsigned int find_disk(void)
{
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		if (config(slot, PCI_VENDOR_ID) == VIRTIO_BLK)
			return slot;
	fail("there is no disk");
	return 0;
}

/* The first vector is for the only queue. */
static inline void use_msix(unsigned int slot, unsigned int at)
{
	uint32_t table = config(slot, at + PCI_MSIX_TABLE);

	vectors = bar(slot, table & PCI_MSIX_TABLE_BIR, table & PCI_MSIX_TABLE_OFFSET);
	vectors[0] = APIC;
	vectors[1] = 0;
	vectors[2] = VECTOR;
	vectors[3] = 0;
	set_config(slot, at, config(slot, at) | PCI_MSIX_FLAGS_ENABLE << 16);
}

static inline void start(volatile struct virtio_pci_common_cfg *common, volatile char *notify,
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

static inline void use_disk(unsigned int slot)
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

static inline void describe(unsigned int n, volatile void *memory, uint32_t length, uint16_t flags)
{
	queue.descriptors[n] = (struct vring_desc){
		.addr = (uintptr_t)memory, .len = length, .flags = flags, .next = n + 1,
	};
}

/* Reads or writes a page, and waits in HLT for the interrupt. */
static inline void request(uint32_t type, uint64_t sector, volatile void *data)
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

#endif /* KERNELS_VIRTIO_DISK_H */
