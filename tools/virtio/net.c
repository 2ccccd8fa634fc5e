// SPDX-License-Identifier: LGPL-2.1-or-later
/* A network card (virtio 1.2, Network Device) on a TAP device, without offloads. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>

#include "../lib/internal.h"
#include "../state/table.h"
#include "internal.h"

enum { RECEIVEQ, TRANSMITQ, QUEUES };

#define QUEUE_SIZE	VMX_VIRTQUEUE_MAX
#define ETHERNET_HEADER	14

_Static_assert(offsetof(struct vmx_virtio_net, virtio) == 0, "notify() gets the first member");
_Static_assert(offsetof(struct virtio_net_config, max_virtqueue_pairs) ==
	       sizeof(((struct vmx_virtio_net *)0)->config), "The configuration fits");

/* The TAP device was deleted: the guest finds its cable pulled, and goes on. */
static void lose(struct vmx_virtio_net *net)
{
	struct virtio_net_config config = { .status = 0 };
	size_t at = offsetof(struct virtio_net_config, status);

	if (net->lost)
		return;
	net->lost = true;
	memcpy(net->config + at, &config.status, sizeof(config.status));
	vmx_virtio_config_changed(&net->virtio);
	vmx_pci_report(&net->virtio.pci, "the network device is gone; the guest's link is down");
}

/* Has a frame ready that the guest is to get. */
static bool fetch(struct vmx_virtio_net *net)
{
	ssize_t size;

	if (net->frame_size)
		return true;
	if (net->lost)
		return false;
	do
		size = read(net->fd, net->frame, sizeof(net->frame));
	while (size < 0 && errno == EINTR);
	if (!size || (size < 0 && errno == EBADFD))
		lose(net);
	if (size <= 0)
		return false;
	net->frame_size = size;
	return true;
}

/* A frame's place in the guest, while it is being found. */
struct placing {
	struct vmx_virtio_used chains[QUEUE_SIZE];
	unsigned int count;
	size_t done;			/* bytes of the frame */
	struct iovec header[sizeof(struct virtio_net_hdr_v1)];	/* where it is to go */
	unsigned int header_count;
};

/* Puts what fits into one more chain. Returns false if the chain is none for frames. */
static bool fill_chain(struct vmx_virtio_net *net, struct placing *placing)
{
	const struct vmx_virtio_chain *chain = &net->virtio.chain;
	size_t header = placing->count ? 0 : sizeof(struct virtio_net_hdr_v1);
	size_t done;

	if (chain->readable || chain->writable_bytes < header) {
		vmx_virtio_break(&net->virtio,
				 "a buffer for frames without room for their header");
		return false;
	}
	if (header)
		placing->header_count = vmx_virtio_slice(chain->segments, chain->writable, 0,
							 header, placing->header);
	done = vmx_virtio_write(chain, header, net->frame + placing->done,
				net->frame_size - placing->done);
	vmx_virtio_written(&net->virtio, chain->segments, chain->writable);
	placing->done += done;
	placing->chains[placing->count].head = chain->head;
	placing->chains[placing->count].length = header + done;
	placing->count++;
	return true;
}

/*
 * The header comes last, for it has the number of chains. They are made known at once: a driver
 * that finds fewer of them than the header says gives the frame up.
 */
static void deliver(struct vmx_virtio_net *net, struct vmx_virtqueue *queue,
		    const struct placing *placing)
{
	struct virtio_net_hdr_v1 header = { .num_buffers = placing->count };
	size_t done = 0;

	for (unsigned int n = 0; n < placing->header_count; n++) {
		memcpy(placing->header[n].iov_base, (const char *)&header + done,
		       placing->header[n].iov_len);
		done += placing->header[n].iov_len;
	}
	vmx_virtio_written(&net->virtio, placing->header, placing->header_count);
	vmx_virtqueue_return_all(&net->virtio, queue, placing->chains, placing->count);
	net->received++;
	net->frame_size = 0;
}

/* Finds room for the frame. Returns false if there will be none until the guest makes some. */
static bool place(struct vmx_virtio_net *net, struct vmx_virtqueue *queue)
{
	bool mergeable = vmx_virtio_has(&net->virtio, VIRTIO_NET_F_MRG_RXBUF);
	struct placing placing;

	placing.count = 0;
	placing.done = 0;
	placing.header_count = 0;
	do {
		if (!vmx_virtqueue_next(&net->virtio, queue)) {
			vmx_virtqueue_put_back(queue, placing.count);
			return false;
		}
		if (!fill_chain(net, &placing))
			return false;
		if (placing.done == net->frame_size) {
			deliver(net, queue, &placing);
			return true;
		}
	} while (mergeable && placing.count < queue->size);

	/* No room that the guest can make is enough. */
	vmx_virtqueue_put_back(queue, placing.count);
	net->dropped++;
	net->frame_size = 0;
	return true;
}

static void receive(struct vmx_virtio_net *net, struct vmx_virtqueue *queue)
{
	/* Frames stay in the host while the guest has no room at all. */
	while (vmx_virtqueue_available(&net->virtio, queue)) {
		if (!fetch(net) || !place(net, queue))
			return;
	}
}

/* Sends a chain; no frame may ask for an offload, for none was offered. */
static bool send_chain(struct vmx_virtio_net *net)
{
	const struct vmx_virtio_chain *chain = &net->virtio.chain;
	struct iovec frame[VMX_VIRTQUEUE_MAX];
	struct virtio_net_hdr_v1 header;
	uint64_t size = chain->readable_bytes - sizeof(header);
	unsigned int count;
	ssize_t sent;

	vmx_virtio_read(chain, 0, &header, sizeof(header));
	if (header.flags || header.gso_type != VIRTIO_NET_HDR_GSO_NONE || size < ETHERNET_HEADER ||
	    size > VMX_VIRTIO_NET_FRAME)
		return false;
	count = vmx_virtio_slice(chain->segments, chain->readable, sizeof(header), size, frame);
	do
		sent = writev(net->fd, frame, count);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EBADFD)
		lose(net);
	return sent >= 0;
}

static void transmit(struct vmx_virtio_net *net, struct vmx_virtqueue *queue)
{
	struct vmx_virtio *virtio = &net->virtio;

	while (vmx_virtqueue_next(virtio, queue)) {
		const struct vmx_virtio_chain *chain = &virtio->chain;

		if (chain->writable ||
		    chain->readable_bytes < sizeof(struct virtio_net_hdr_v1)) {
			vmx_virtio_break(virtio, "a frame that is writable or has no header");
			return;
		}
		/* As on a wire, what cannot be sent is lost. */
		if (send_chain(net))
			net->sent++;
		else
			net->dropped++;
		vmx_virtqueue_return(virtio, queue, chain->head, 0);
	}
}

static void notify(struct vmx_virtio *virtio, unsigned int index)
{
	struct vmx_virtio_net *net = (struct vmx_virtio_net *)virtio;

	if (index == RECEIVEQ)
		receive(net, &virtio->queues[index]);
	else
		transmit(net, &virtio->queues[index]);
}

/* A frame that waited was for the driver that is gone. */
static void reset(struct vmx_virtio *virtio)
{
	struct vmx_virtio_net *net = (struct vmx_virtio_net *)virtio;

	net->frame_size = 0;
}

/* Not saved of struct vmx_virtio_net: virtio: a section of its own. */
/* Not saved of struct vmx_virtio_net: fd, lost, received, sent, dropped: the host's. */
/* Not saved of struct vmx_virtio_net: frame_size, frame: a network may lose a frame. */
static const struct vmx_saved_field fields[] = {
	FIRST(struct vmx_virtio_net, config, 6, 1, "its address"),
};

static const struct vmx_saved_table table = SAVED_TABLE("virtio-net", 1, fields);

static const struct vmx_virtio_kind kind = {
	.name = "virtio-net",
	.type = VIRTIO_ID_NET,
	.class_code = 0x020000,
	.queues = QUEUES,
	.queue_size = QUEUE_SIZE,
	.features = 1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_STATUS |
		    1ull << VIRTIO_NET_F_MRG_RXBUF,
	.notify = notify,
	.reset = reset,
	.state = &table,
};

int vmx_virtio_net_init(struct vmx_virtio_net *net, const struct vmx_virtio_machine *machine,
			int fd, const uint8_t mac[6])
{
	struct virtio_net_config config = { .status = VIRTIO_NET_S_LINK_UP };
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return vmx_fail(errno, "the network card's descriptor cannot be used: %s",
				strerror(errno));
	net->fd = fd;
	net->received = 0;
	net->sent = 0;
	net->dropped = 0;
	net->frame_size = 0;
	net->lost = false;
	memcpy(config.mac, mac, sizeof(config.mac));
	memcpy(net->config, &config, sizeof(net->config));
	return vmx_virtio_init(&net->virtio, &kind, machine, 0, net->config, sizeof(net->config));
}

void vmx_virtio_net_poll(struct vmx_virtio_net *net)
{
	vmx_virtio_service(&net->virtio, RECEIVEQ);
}

bool vmx_virtio_net_wants_input(struct vmx_virtio_net *net)
{
	return !net->frame_size &&
	       vmx_virtqueue_available(&net->virtio, &net->virtio.queues[RECEIVEQ]);
}
