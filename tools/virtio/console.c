// SPDX-License-Identifier: LGPL-2.1-or-later
/* A console of one port (virtio 1.2, Console Device). */
#include <string.h>

#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "../state/table.h"
#include "internal.h"

enum { RECEIVEQ, TRANSMITQ, QUEUES };

_Static_assert(offsetof(struct vmx_virtio_console, virtio) == 0,
	       "notify() and reset() get the first member");
_Static_assert(sizeof(struct virtio_console_config) ==
	       sizeof(((struct vmx_virtio_console *)0)->config), "The configuration fits");

/* Fills a chain; returns how much there was. */
static uint32_t fetch(const struct vmx_virtio_console *console)
{
	const struct vmx_virtio_terminal *terminal = &console->terminal;
	const struct vmx_virtio_chain *chain = &console->virtio.chain;
	uint32_t length = 0;

	for (unsigned int n = 0; n < chain->writable; n++) {
		const struct iovec *segment = &chain->segments[n];
		size_t done = terminal->input(terminal->context, segment->iov_base,
					      segment->iov_len);

		if (done >= segment->iov_len) {
			length += segment->iov_len;
			continue;
		}
		return length + done;
	}
	return length;
}

static void receive(struct vmx_virtio_console *console, struct vmx_virtqueue *queue)
{
	struct vmx_virtio *virtio = &console->virtio;

	if (!console->terminal.input)
		return;
	while (vmx_virtqueue_next(virtio, queue)) {
		uint32_t length;

		if (virtio->chain.readable) {
			vmx_virtio_break(virtio, "an input buffer that the device may not write");
			return;
		}
		length = fetch(console);
		if (!length) {
			vmx_virtqueue_put_back(queue, 1);
			return;
		}
		vmx_virtio_written(virtio, virtio->chain.segments, virtio->chain.writable);
		vmx_virtqueue_return(virtio, queue, virtio->chain.head, length);
	}
}

/* Hands on a chain, from where it was left; false if something of it remains. */
static bool deliver(struct vmx_virtio_console *console)
{
	const struct vmx_virtio_terminal *terminal = &console->terminal;
	const struct vmx_virtio_chain *chain = &console->virtio.chain;
	struct iovec rest[VMX_VIRTQUEUE_MAX];
	unsigned int count = vmx_virtio_slice(chain->segments, chain->readable, console->taken,
					      UINT64_MAX, rest);

	for (unsigned int n = 0; terminal->output && n < count; n++) {
		size_t done = terminal->output(terminal->context, rest[n].iov_base,
					       rest[n].iov_len);

		console->taken += done;
		if (done < rest[n].iov_len)
			return false;
	}
	console->taken = 0;
	return true;
}

static void transmit(struct vmx_virtio_console *console, struct vmx_virtqueue *queue)
{
	struct vmx_virtio *virtio = &console->virtio;

	while (vmx_virtqueue_next(virtio, queue)) {
		if (virtio->chain.writable) {
			vmx_virtio_break(virtio, "an output buffer that the device may not read");
			return;
		}
		if (!deliver(console)) {
			vmx_virtqueue_put_back(queue, 1);
			return;
		}
		vmx_virtqueue_return(virtio, queue, virtio->chain.head, 0);
	}
}

static void notify(struct vmx_virtio *virtio, unsigned int index)
{
	struct vmx_virtio_console *console = (struct vmx_virtio_console *)virtio;

	if (index == RECEIVEQ)
		receive(console, &virtio->queues[index]);
	else
		transmit(console, &virtio->queues[index]);
}

static void reset(struct vmx_virtio *virtio)
{
	((struct vmx_virtio_console *)virtio)->taken = 0;
}

/* Not saved of struct vmx_virtio_console: virtio: a section of its own. */
/* Not saved of struct vmx_virtio_console: terminal, config: of the terminal that is there. */
static const struct vmx_saved_field fields[] = {
	NUMBER(struct vmx_virtio_console, taken, 1,
	       "bytes of the buffer at the head of its output that were taken"),
};

static const struct vmx_saved_table table = SAVED_TABLE("virtio-console", 1, fields);

static const struct vmx_virtio_kind kind = {
	.name = "virtio-console",
	.type = VIRTIO_ID_CONSOLE,
	.class_code = 0x078000,
	.queues = QUEUES,
	.queue_size = 128,
	.features = 1ull << VIRTIO_CONSOLE_F_SIZE,
	.notify = notify,
	.reset = reset,
	.state = &table,
};

int vmx_virtio_console_init(struct vmx_virtio_console *console,
			    const struct vmx_virtio_machine *machine,
			    const struct vmx_virtio_terminal *terminal)
{
	console->terminal = *terminal;
	memset(console->config, 0, sizeof(console->config));
	/* The columns and rows: what follows belongs to features that are not offered. */
	return vmx_virtio_init(&console->virtio, &kind, machine, 0, console->config,
			       offsetof(struct virtio_console_config, max_nr_ports));
}

void vmx_virtio_console_poll(struct vmx_virtio_console *console)
{
	vmx_virtio_service(&console->virtio, RECEIVEQ);
	vmx_virtio_service(&console->virtio, TRANSMITQ);
}

bool vmx_virtio_console_wants_input(struct vmx_virtio_console *console)
{
	return console->terminal.input &&
	       vmx_virtqueue_available(&console->virtio, &console->virtio.queues[RECEIVEQ]);
}

void vmx_virtio_console_resize(struct vmx_virtio_console *console, uint16_t columns, uint16_t rows)
{
	struct virtio_console_config config = { .cols = columns, .rows = rows };

	memcpy(console->config, &config, sizeof(config));
	vmx_virtio_config_changed(&console->virtio);
}
