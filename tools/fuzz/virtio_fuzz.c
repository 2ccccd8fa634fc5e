// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that attacks PCI and virtio devices. The input is a list of accesses to ports,
 * to memory (BARs start where firmware puts them) and to the RAM with the rings.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libvmx/virtio.h>

#define RAM_SIZE	0x8000
#define BARS		0xe0000000
#define SLOTS		3

static struct vmx_virtio_blk blk;
static struct vmx_virtio_console console;
static struct vmx_virtio_net net;
static unsigned char *ram;

static void *memory(void *context, uint64_t address, uint64_t length)
{
	(void)context;
	if (address >= RAM_SIZE || length > RAM_SIZE - address)
		return NULL;
	return ram + address;
}

static void written(void *context, const void *bytes, size_t length)
{
	if (!memory(context, (const unsigned char *)bytes - ram, length))
		abort();
}

static uint64_t now(void *source)
{
	return ++*(uint64_t *)source;
}

static size_t input(void *context, void *bytes, size_t room)
{
	unsigned int *left = context;
	size_t length = room < *left ? room : *left;

	memset(bytes, 'x', length);
	*left -= length;
	return length;
}

static size_t output(void *context, const void *bytes, size_t length)
{
	unsigned int *sum = context;

	/* Not always all at once. */
	if (length > 1000)
		length = 1000;
	for (size_t n = 0; n < length; n++)
		*sum ^= ((const unsigned char *)bytes)[n];
	*sum = 100;
	return length;
}

/* Where the input is read. */
struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t take(struct input *from, unsigned int size)
{
	uint64_t value = 0;

	if (size > from->left)
		size = from->left;
	memcpy(&value, from->at, size);
	from->at += size;
	from->left -= size;
	return value;
}

/* A driver's way to DRIVER_OK, with three queues in RAM. */
static void start(struct vmx_bus *bus, unsigned int slot, uint32_t features)
{
	/* The structures' BARs are the largest, and so the first. */
	uint64_t common = BARS + 0x4000 * slot, offered;

	vmx_bus_write(bus, common + 0x14, 1, 0);
	vmx_bus_write(bus, common + 0x14, 1, 3);
	vmx_bus_read(bus, common + 0x04, 4, &offered);
	vmx_bus_write(bus, common + 0x0c, 4, features & offered);
	vmx_bus_write(bus, common + 0x08, 4, 1);
	vmx_bus_write(bus, common + 0x0c, 4, 1);
	vmx_bus_write(bus, common + 0x14, 1, 0x0b);
	for (unsigned int queue = 0; queue < 2; queue++) {
		vmx_bus_write(bus, common + 0x16, 2, queue);
		vmx_bus_write(bus, common + 0x18, 2, 8);
		vmx_bus_write(bus, common + 0x20, 8, 0x200 * queue);
		vmx_bus_write(bus, common + 0x28, 8, 0x200 * queue + 0x80);
		vmx_bus_write(bus, common + 0x30, 8, 0x200 * queue + 0xa0);
		vmx_bus_write(bus, common + 0x1c, 2, 1);
	}
	vmx_bus_write(bus, common + 0x14, 1, 0x0f);
}

/* Offers a chain that the input describes, which is often right if it is to be TAME. */
static void offer(struct vmx_bus *bus, struct input *from, unsigned int slot, bool tame)
{
	static const uint16_t lengths[8] = { 1, 16, 512, 513, 32, 1024, 12, 20 };
	unsigned int queue = slot ? take(from, 1) & 1 : 0;
	unsigned char *table = ram + 0x200 * queue;
	uint16_t *avail = (uint16_t *)(table + 0x80);
	unsigned int count = take(from, 1) % 8 + 1;
	unsigned int readable = take(from, 1) % (count + 1);

	for (unsigned int n = 0; n < count; n++) {
		struct {
			uint64_t address;
			uint32_t length;
			uint16_t flags, next;
		} descriptor = {
			take(from, 2), take(from, 2), take(from, 1) & 7, n + 1,
		};

		if (tame) {
			descriptor.address = (n < readable ? 0x1000 : 0x4000) +
					     descriptor.address % 0x2c00;
			descriptor.length = lengths[descriptor.length % 8];
			descriptor.flags = (n + 1 < count ? 1 : 0) | (n >= readable ? 2 : 0);
		}
		/* A disk's request begins with a type and, later, a sector. */
		if (tame && !n && !slot) {
			memset(ram + descriptor.address, 0, 16);
			ram[descriptor.address] = take(from, 1) % 14;
			ram[descriptor.address + 8] = take(from, 1);
		}
		memcpy(table + 16 * n, &descriptor, sizeof(descriptor));
	}
	avail[2 + avail[1] % 8] = 0;
	avail[1]++;
	vmx_bus_write(bus, BARS + 0x4000 * slot + 0x3000 + 4 * queue, 2, queue);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct vmx_pci_windows windows = { 0xc000, 0x10000, BARS, 0xf0000000 };
	static int fd = -1, sockets[2];
	struct vmx_bus ports = { 0 }, memory_bus = { 0 };
	struct vmx_pci_wiring wiring = { .ports = &ports, .memory = &memory_bus };
	struct vmx_pci_host host;
	uint64_t time = 0;
	unsigned int text = 100;
	struct vmx_clock clock = { .now = now, .source = &time };
	struct vmx_virtio_machine machine = {
		.memory = memory, .clock = &clock, .written = written,
	};
	struct vmx_virtio_terminal terminal = { output, input, &text };
	struct vmx_virtio *devices[SLOTS] = { &blk.virtio, &console.virtio, &net.virtio };
	struct input from = { data, size };

	if (fd < 0) {
		fd = memfd_create("disk", 0);
		if (fd < 0 || ftruncate(fd, 65536) ||
		    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sockets))
			abort();
	}
	/* Fresh, so that the sanitizer sees its ends. */
	ram = calloc(1, RAM_SIZE);
	if (!ram || vmx_pci_host_init(&host, &wiring) ||
	    vmx_virtio_blk_init(&blk, &machine, fd, false, "fuzz") ||
	    vmx_virtio_console_init(&console, &machine, &terminal) ||
	    vmx_virtio_net_init(&net, &machine, sockets[0], (const uint8_t *)"\2\0\0\0\0\1"))
		abort();
	for (unsigned int n = 0; n < SLOTS; n++)
		vmx_pci_add(&host, &devices[n]->pci, n + 1);
	if (vmx_pci_assign(&host, &windows))
		abort();
	for (unsigned int n = 0; n < SLOTS; n++) {
		vmx_bus_write(&ports, 0xcf8, 4, 0x80000004 | (n + 1) << 11);
		vmx_bus_write(&ports, 0xcfc, 2, 7);
		start(&memory_bus, n, take(&from, 4));
		/* MSI-X, with the first vector not masked, for the second queue. */
		vmx_bus_write(&ports, 0xcf8, 4, 0x80000040 | (n + 1) << 11);
		vmx_bus_write(&ports, 0xcfc + 2, 2, take(&from, 1) << 8);
		vmx_bus_write(&memory_bus, BARS + 0x4000 * SLOTS + 0x1000 * n + 12, 4, 0);
		vmx_bus_write(&memory_bus, BARS + 0x4000 * n + 0x1a, 2, 0);
	}

	while (from.left) {
		unsigned int what = take(&from, 1), slot = (what >> 4) % SLOTS;
		unsigned int bytes = 1u << (what >> 6);
		unsigned char frame[200] = { what };
		uint64_t value, at;

		switch (what & 15) {
		case 0:
			at = take(&from, 1) & 0xfc;
			vmx_bus_write(&ports, 0xcf8, 4, 0x80000000 | (slot + 1) << 11 | at);
			break;
		case 1:
			vmx_bus_write(&ports, 0xcfc, 4, take(&from, 4));
			break;
		case 2:
			vmx_bus_write(&ports, 0xcf8 + take(&from, 1) % 8, 1u << (what >> 6) % 3,
				      take(&from, 1));
			break;
		case 3:
			vmx_bus_read(&ports, 0xcf8 + take(&from, 1) % 8, 1u << (what >> 6) % 3,
				     &value);
			break;
		case 4:
		case 5:
			at = BARS + take(&from, 2);
			vmx_bus_write(&memory_bus, at, bytes, take(&from, bytes));
			break;
		case 6:
			vmx_bus_read(&memory_bus, BARS + take(&from, 2), bytes, &value);
			break;
		case 7:
			start(&memory_bus, slot, take(&from, 4));
			break;
		case 8:
		case 9:
			offer(&memory_bus, &from, slot, what & 1);
			break;
		case 10:
			at = take(&from, 2) % (RAM_SIZE - 8);
			value = take(&from, bytes);
			memcpy(ram + at, &value, bytes);
			break;
		case 11:
			if (write(sockets[1], frame, 1 + take(&from, 1) % 200) > 0)
				vmx_virtio_net_poll(&net);
			break;
		case 12:
			vmx_clock_expire(&clock);
			break;
		case 13:
			vmx_virtio_console_poll(&console);
			break;
		case 14:
			vmx_virtio_console_resize(&console, what, 25);
			break;
		case 15:
			if (what == 0xff)
				vmx_pci_host_reset(&host);
			break;
		}
		/* What the card sent is nobody's. */
		while (recv(sockets[1], frame, sizeof(frame), 0) > 0)
			;
	}

	for (unsigned int n = 0; n < SLOTS; n++)
		vmx_virtio_close(devices[n]);
	if (clock.first || memory_bus.count)
		abort();
	vmx_bus_free(&ports);
	vmx_bus_free(&memory_bus);
	free(ram);
	/* What was not read is not the next run's. */
	while (recv(sockets[0], &time, 1, 0) > 0)
		;
	return 0;
}
