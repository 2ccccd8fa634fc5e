/* SPDX-License-Identifier: GPL-2.0 */
/* A virtio device that copies what it reads. */
#ifndef VIRTIO_ECHO_H
#define VIRTIO_ECHO_H

#include <errno.h>

#include "kselftest_harness.h"

#include "virtio_guest.h"

#define SIZE	16

static struct guest *racing;	/* a guest that offers the same again all the time */

static void echo(struct vmx_virtio *virtio, unsigned int queue)
{
	struct vmx_virtqueue *q = &virtio->queues[queue];
	char bytes[4096];

	while (vmx_virtqueue_next(virtio, q)) {
		size_t length = vmx_virtio_read(&virtio->chain, 0, bytes, sizeof(bytes));

		length = vmx_virtio_write(&virtio->chain, 0, bytes, length);
		vmx_virtqueue_return(virtio, q, virtio->chain.head, length);
		if (racing)
			offer(racing, queue, virtio->chain.head);
	}
}

static const struct vmx_virtio_kind kind = {
	.name = "echo", .type = 42, .class_code = 0xff0000, .queues = 2, .queue_size = 256,
	.features = 1ull << 7, .notify = echo,
};

static void accept(struct guest *guest, uint64_t features)
{
	for (unsigned int n = 0; n < 2; n++) {
		COMMON_OUT(VIRTIO_PCI_COMMON_GFSELECT, 4, n);
		COMMON_OUT(VIRTIO_PCI_COMMON_GF, 4, features >> 32 * n & 0xffffffff);
	}
}

#endif /* VIRTIO_ECHO_H */
