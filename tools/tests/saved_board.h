/* SPDX-License-Identifier: GPL-2.0 */
/* A machine without vCPUs that run, for streams: a board, a disk, a console, a network card. */
#ifndef SAVED_BOARD_H
#define SAVED_BOARD_H

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../machine/internal.h"
#include "../state/state.h"
#include "virtio_guest.h"

#define BOARD_MEMORY	(4ull << 20)
#define BOARD_CPUS	2
#define BOARD_SECTORS	8
#define BOARD_EPOCH	(1700000000ull * NS_PER_SECOND)

struct board {
	struct vmx_machine machine;
	struct guest guest;		/* a driver of the device in SLOT, the disk */
	struct vmx_virtio_blk blk;
	struct vmx_virtio_console console;
	struct vmx_virtio_net net;
	struct state_parts parts;
	uint64_t time;
	unsigned char *ram;
	int disk;
	int cable[2];
};

static inline int board_add_cpu(struct vmx_machine *machine, unsigned int id)
{
	struct vmx_cpu *cpu = &machine->cpus[id];
	struct vmx_lapic_config config = {
		.bus = &machine->apics, .clock = &machine->clock, .id = id, .boot = !id,
		.x2apic = true, .physical_bits = 36, .tsc_khz = 1000000,
	};

	cpu->machine = machine;
	cpu->id = id;
	return vmx_lapic_init(&cpu->lapic, &config);
}

static inline int board_plug(struct board *board)
{
	static const uint8_t mac[6] = { 2, 0, 0, 1, 2, 3 };
	struct vmx_virtio_machine virtio = vmx_machine_virtio(&board->machine);
	int ret;

	board->disk = memfd_create("disk", 0);
	for (unsigned int n = 0; n < BOARD_SECTORS; n++) {
		char sector[512];

		memset(sector, 'A' + n, sizeof(sector));
		if (write(board->disk, sector, sizeof(sector)) != sizeof(sector))
			return -1;
	}
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, board->cable))
		return -1;
	ret = vmx_virtio_blk_init(&board->blk, &virtio, board->disk, false, NULL);
	ret = ret ?: vmx_virtio_console_init(&board->console, &virtio,
					     &(struct vmx_virtio_terminal){ 0 });
	ret = ret ?: vmx_virtio_net_init(&board->net, &virtio, board->cable[0], mac);
	if (ret || vmx_machine_add(&board->machine, &board->blk.virtio.pci) != SLOT)
		return -1;
	if (vmx_machine_add(&board->machine, &board->console.virtio.pci) < 0)
		return -1;
	return vmx_machine_add(&board->machine, &board->net.virtio.pci) < 0 ? -1 : 0;
}

/* At NOW on the machine's clock. */
static inline struct board *board_make(uint64_t now)
{
	struct board *board = calloc(1, sizeof(*board));
	struct vmx_machine *machine = &board->machine;
	int ret;

	board->ram = calloc(1, BOARD_MEMORY);
	board->guest.now = now;
	board->time = BOARD_EPOCH;
	machine->config = (struct vmx_machine_config){
		.memory = BOARD_MEMORY, .cpus = BOARD_CPUS,
	};
	machine->clock = (struct vmx_clock){
		.now = test_now, .source = &board->guest.now, .past = now,
	};
	pthread_mutex_init(&machine->lock, NULL);
	ret = vmx_memory_init(&machine->memory, board->ram, BOARD_MEMORY, 0xc0000000);
	for (unsigned int n = 0; n < BOARD_CPUS; n++)
		ret = ret ?: board_add_cpu(machine, n);
	ret = ret ?: vmx_board_init(machine);
	/* A time of day that repeats. */
	machine->rtc.config.time = test_now;
	machine->rtc.config.source = &board->time;
	machine->rtc.second = BOARD_EPOCH / NS_PER_SECOND;
	if (ret || board_plug(board))
		abort();
	board->guest.ports = &machine->ports;
	board->guest.memory = &machine->mmio;
	board->guest.ram = board->ram + RAM;
	return board;
}

static inline void board_free(struct board *board)
{
	vmx_bus_free(&board->machine.ports);
	vmx_bus_free(&board->machine.mmio);
	close(board->disk);
	close(board->cable[0]);
	close(board->cable[1]);
	free(board->ram);
	free(board);
}

/* What has sections: all but the machine, and its memory. */
static inline void board_list(struct board *board)
{
	board->parts.count = 0;
	state_list_cpus(&board->parts, BOARD_CPUS);
	state_list_devices(&board->parts, &board->machine);
	if (state_list_pci(&board->parts, &board->machine))
		abort();
}

static inline void board_save(struct board *board, struct state_writer *writer)
{
	board_list(board);
	state_begin(writer);
	for (unsigned int n = 0; n < board->parts.count; n++)
		state_add(writer, &board->parts.list[n]);
	state_end(writer);
	if (writer->failed)
		abort();
}

/* Into a new board, which may be left half done. */
static inline int board_load(struct board *board, const unsigned char *bytes, size_t length)
{
	struct vmx_saved *saved = calloc(1, sizeof(*saved));
	int ret;

	/* Of its own, so that the sanitizer sees who reads beyond. */
	saved->bytes = malloc(length);
	memcpy(saved->bytes, bytes, length);
	board_list(board);
	ret = state_scan(saved, length);
	for (unsigned int n = 0; !ret && n < board->parts.count; n++)
		ret = state_take(saved, &board->parts.list[n]);
	ret = ret ?: state_check_taken(saved);
	free(saved->bytes);
	free(saved);
	return ret;
}

#endif /* SAVED_BOARD_H */
