// SPDX-License-Identifier: LGPL-2.1-or-later
/* Virtio devices, as they are saved. */
#include <errno.h>

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include "../state/table.h"
#include "internal.h"

/* Not saved of struct vmx_virtqueue: budget, more: of one look at the queue. */
static const struct vmx_saved_field queue_fields[] = {
	NUMBER(struct vmx_virtqueue, size, 1, "Queue Size"),
	FLAG(struct vmx_virtqueue, enabled, 1, "Queue Enable"),
	NUMBER(struct vmx_virtqueue, vector, 1, "its MSI-X vector"),
	NUMBER(struct vmx_virtqueue, descriptors, 1, "address of the Descriptor Table"),
	NUMBER(struct vmx_virtqueue, driver, 1, "address of the Driver Area"),
	NUMBER(struct vmx_virtqueue, device, 1, "address of the Device Area"),
	NUMBER(struct vmx_virtqueue, taken, 1,
	       "available entries that were taken, as the ring counts"),
	NUMBER(struct vmx_virtqueue, returned, 1, "used entries"),
	NUMBER(struct vmx_virtqueue, signalled, 1, "returned when the driver was last asked for"),
};

static const struct vmx_saved_table queue_table = SAVED_STRUCT("queue", queue_fields);

/* Not saved of struct vmx_virtio: pci: a section of its own. */
/* Not saved of struct vmx_virtio: kind, machine, config, config_size: wiring. */
/* Not saved of struct vmx_virtio: working, resetting, chain: no request is being done. */
/* Not saved of struct vmx_virtio: reported: the host's. */
/* Not saved of struct vmx_virtio: later: every queue is looked at. */
static const struct vmx_saved_field virtio_fields[] = {
	WITHIN(struct vmx_virtio, features, 1,
	       "the features that the device offers, then and from now on"),
	NUMBER(struct vmx_virtio, driver_features, 1, "those that the driver accepted"),
	NUMBER(struct vmx_virtio, feature_select, 1, "device_feature_select"),
	NUMBER(struct vmx_virtio, driver_feature_select, 1, "driver_feature_select"),
	NUMBER(struct vmx_virtio, queue_select, 1, "queue_select"),
	NUMBER(struct vmx_virtio, config_vector, 1, "the MSI-X vector of configuration changes"),
	BITS(struct vmx_virtio, status, 1, 0xcf, "Device Status"),
	NUMBER(struct vmx_virtio, generation, 1, "of the device's configuration"),
	BITS(struct vmx_virtio, isr, 1, 0x03, "ISR status"),
	STRUCTS(struct vmx_virtio, queues, 1, &queue_table, "the queues"),
};

static const struct vmx_saved_table virtio_table = SAVED_TABLE("virtio", 1, virtio_fields);

/* The driver can set no other. */
static bool is_vector(const struct vmx_virtio *virtio, uint16_t vector)
{
	return vector == VIRTIO_MSI_NO_VECTOR || vector < virtio->pci.msix.count;
}

static bool is_possible(struct vmx_virtio *virtio, const struct vmx_virtqueue *queue)
{
	const uint16_t size = queue->size;

	if (!size || size & (size - 1) || size > virtio->kind->queue_size ||
	    !is_vector(virtio, queue->vector))
		return false;
	/* A device that is broken does nothing with its queues. */
	return !queue->enabled || virtio->status & STATUS_NEEDS_RESET ||
	       virtqueue_is_placed(virtio, queue);
}

static int loaded(void *object)
{
	struct vmx_virtio *virtio = object;

	if (virtio->driver_features & ~virtio->features)
		return vmx_fail(EINVAL,
				"saved state, PCI slot %u: the driver uses features that %s does not have",
				virtio->pci.slot, virtio->pci.name);
	if (!is_vector(virtio, virtio->config_vector))
		return vmx_fail(EINVAL, "saved state, PCI slot %u: there is no MSI-X vector %u",
				virtio->pci.slot, virtio->config_vector);
	for (unsigned int n = 0; n < virtio->kind->queues; n++)
		if (!is_possible(virtio, &virtio->queues[n]))
			return vmx_fail(EINVAL, "saved state, PCI slot %u: queue %u is impossible",
					virtio->pci.slot, n);
	return 0;
}

unsigned int virtio_state(struct vmx_pci_device *pci, struct vmx_saved_part *parts)
{
	struct vmx_virtio *virtio = virtio_of(pci);

	if (!virtio->kind->state)
		return 0;
	/* What a kind adds may be needed to look at its queues. */
	parts[0] = (struct vmx_saved_part){ .table = virtio->kind->state, .object = virtio };
	parts[1] = (struct vmx_saved_part){
		.table = &virtio_table, .object = virtio, .loaded = loaded,
	};
	return 2;
}

void virtio_resume(struct vmx_pci_device *pci)
{
	struct vmx_virtio *virtio = virtio_of(pci);

	for (unsigned int n = 0; n < virtio->kind->queues; n++)
		vmx_virtio_service(virtio, n);
}
