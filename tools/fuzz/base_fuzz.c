// SPDX-License-Identifier: GPL-2.0
/*
 * The reader of a saved machine's file: where memory is, and that of a snapshot it stands on. The
 * input changes bytes of a good file, whose checksums are made right again.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../machine/internal.h"
#include "../state/state.h"

#define PAGES	70
#define PAGE	4096
#define MAP_AT	4096
#define WORDS	2
#define CHANGED	6		/* bytes of each place and its new value */

static struct vmx_saved *open_file(int fd)
{
	struct vmx_saved_config config;
	struct vmx_saved *saved = NULL;

	return vmx_saved_open(&saved, fd, &config) ? NULL : saved;
}

/* A stream whose fields the input has, and a map and an image behind it. */
static int make_file(bool whole, const uint8_t *data, size_t size)
{
	struct state_machine machine = { .memory = PAGES * PAGE, .cpus = 1 };
	struct state_image image = {
		.size = PAGES * PAGE, .offset = STATE_ALIGNMENT, .id = whole ? 1 : 2,
	};
	uint64_t map[WORDS] = { 0x123456789abcdef0, 0x15 };
	struct state_base base = { .id = 1, .offset = MAP_AT, .length = 4, .name = "base" };
	const struct vmx_saved_part parts[] = {
		{ .table = &state_machine_table, .object = &machine },
		{ .table = &state_image_table, .object = &image },
		{ .table = &state_base_table, .object = &base },
	};
	struct { void *at; size_t size; } places[] = {
		{ &machine, sizeof(machine) }, { &image, sizeof(image) },
		{ &base, sizeof(base) }, { map, sizeof(map) },
	};
	struct state_writer writer;
	int fd = memfd_create("saved", 0);

	base.checksum = state_map_checksum(map, &image);
	for (; size >= CHANGED; data += CHANGED, size -= CHANGED) {
		unsigned int place = data[0] % COUNT(places);
		size_t at = (data[1] | data[2] << 8) % places[place].size;

		((unsigned char *)places[place].at)[at] = data[3];
		if (data[4] & 1 && image.size <= sizeof(map) * 8 * PAGE)
			base.checksum = state_map_checksum(map, &image);
	}
	/* The writer believes them. */
	if (base.length > sizeof(base.name))
		base.length = sizeof(base.name);
	state_begin(&writer);
	for (size_t n = 0; n < COUNT(parts) - whole; n++)
		state_add(&writer, &parts[n]);
	state_end(&writer);
	if (writer.failed || fd < 0 || ftruncate(fd, STATE_ALIGNMENT + PAGES * PAGE) ||
	    pwrite(fd, map, sizeof(map), MAP_AT) != sizeof(map) ||
	    pwrite(fd, writer.bytes, writer.count, 0) != (ssize_t)writer.count)
		abort();
	free(writer.bytes);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int below = make_file(true, NULL, 0), above = make_file(false, data, size);
	struct vmx_saved *base = open_file(below), *saved = open_file(above);
	unsigned char *ram;

	if (!base)
		abort();
	if (!saved || vmx_saved_set_base(saved, base)) {
		vmx_saved_close(base);
	} else {
		ram = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (ram == MAP_FAILED)
			abort();
		if (!state_map_memory(ram, saved))
			for (unsigned int n = 0; n < PAGES; n++)
				ram[n * PAGE]++;
		vmx_saved_check_memory(saved);
		munmap(ram, PAGES * PAGE);
	}
	vmx_saved_close(saved);
	close(above);
	close(below);
	return 0;
}
