/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by queues and registers. */
#ifndef LIBVMX_VIRTIO_INTERNAL_H
#define LIBVMX_VIRTIO_INTERNAL_H

#include <libvmx/saved.h>
#include <libvmx/virtio.h>

/* The bits of Device Status (virtio 1.2, Device Status Field). */
#define STATUS_FEATURES_OK	8
#define STATUS_DRIVER_OK	4
#define STATUS_NEEDS_RESET	64

/* Judges where the driver put a queue, before it is enabled. */
bool virtqueue_is_placed(struct vmx_virtio *virtio, const struct vmx_virtqueue *queue);
/* Interrupts, if the driver wants to hear of what was returned. */
void virtio_signal(struct vmx_virtio *virtio, struct vmx_virtqueue *queue);
/* From here on a chain is worked on without the machine's lock. */
void virtio_begin_work(struct vmx_virtio *virtio);
/* Returns false if the device was to be reset meanwhile: it is now, and the chain is nobody's. */
bool virtio_end_work(struct vmx_virtio *virtio);
/* Does the driver want to hear of what was returned since it last heard? */
bool virtqueue_wants_signal(struct vmx_virtio *virtio, struct vmx_virtqueue *queue);

/* The device, whose PCI part is its first. */
static inline struct vmx_virtio *virtio_of(struct vmx_pci_device *pci)
{
	return (struct vmx_virtio *)((char *)pci - offsetof(struct vmx_virtio, pci));
}

/* Members of struct vmx_pci_ops. */
unsigned int virtio_state(struct vmx_pci_device *pci, struct vmx_saved_part *parts);
void virtio_resume(struct vmx_pci_device *pci);

#endif /* LIBVMX_VIRTIO_INTERNAL_H */
