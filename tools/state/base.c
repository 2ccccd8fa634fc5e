// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Incremental snapshots: a file that has the pages which were written since another file was. Both
 * lie in one folder. A base can have a base of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../machine/internal.h"
#include "../migrate/dirty.h"
#include "state.h"

#define PAGE	4096ull
/* The kernel allows a process some 65,000 mappings. What is more is read, not mapped. */
#define MOST_MAPS	8192

/* Reading */

static int judge(const struct vmx_saved *saved, uint64_t file_size)
{
	const struct state_base *base = &saved->base;
	uint64_t size = state_map_size(&saved->image);

	if (!base->length || memchr(base->name, 0, base->length) ||
	    memchr(base->name, '/', base->length))
		return state_refuse(state_base_table.name, 0, "the base has no name of a file");
	if (base->offset < saved->length || base->offset > file_size ||
	    size > file_size - base->offset)
		return state_refuse(state_base_table.name, 0, "the file is cut off");
	return 0;
}

int state_find_base(struct vmx_saved *saved, uint64_t file_size)
{
	const struct vmx_saved_part part = { .table = &state_base_table, .object = &saved->base };
	int ret;

	if (!state_has(saved, &state_base_table))
		return 0;
	ret = state_take(saved, &part) ?: judge(saved, file_size);
	if (ret)
		return ret;
	saved->map = malloc(state_map_size(&saved->image));
	if (!saved->map)
		return vmx_fail(ENOMEM, "no memory for the saved state");
	ret = state_read_bytes(saved->fd, saved->map, state_map_size(&saved->image),
			       saved->base.offset, "map of pages");
	if (!ret && state_map_checksum(saved->map, &saved->image) != saved->base.checksum)
		ret = state_refuse(state_base_table.name, 0,
				   "the checksum of the map is wrong: the file is damaged");
	return ret;
}

const char *vmx_saved_base(const struct vmx_saved *saved)
{
	return saved->map && !saved->under ? (const char *)saved->base.name : NULL;
}

int vmx_saved_set_base(struct vmx_saved *saved, struct vmx_saved *base)
{
	if (!saved->map || base->image.id != saved->base.id)
		return vmx_fail(EINVAL, "%s is another snapshot than the one that was there",
				saved->base.name);
	if (base->image.size != saved->image.size)
		return vmx_fail(EINVAL, "%s has %llu bytes of memory, not %llu", saved->base.name,
				(unsigned long long)base->image.size,
				(unsigned long long)saved->image.size);
	saved->under = base;
	return 0;
}

/* Putting into a machine */

static int map_run(char *ram, const struct vmx_saved *saved, uint64_t first, uint64_t count)
{
	if (mmap(ram + first * PAGE, count * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED, saved->fd,
		 saved->image.offset + first * PAGE) == MAP_FAILED)
		return vmx_fail(errno, "cannot map the saved memory: %s", strerror(errno));
	return 0;
}

static int map_changed(char *ram, const struct vmx_saved *saved, unsigned int *maps)
{
	uint64_t pages = saved->image.size / PAGE, end;
	int ret = 0;

	for (uint64_t at = 0; !ret && at < pages; at = end + 1) {
		for (end = at; end < pages && state_is_in_map(saved->map, end);)
			end++;
		if (end == at)
			continue;
		if (++*maps < MOST_MAPS)
			ret = map_run(ram, saved, at, end - at);
		else
			ret = state_read_bytes(saved->fd, ram + at * PAGE, (end - at) * PAGE,
					       saved->image.offset + at * PAGE, "memory");
	}
	return ret;
}

static int map_level(char *ram, const struct vmx_saved *saved, unsigned int *maps)
{
	int ret;

	if (!saved->map)
		return map_run(ram, saved, 0, saved->image.size / PAGE);
	if (!saved->under)
		return vmx_fail(EINVAL,
				"this is what changed since %s, without which it is nothing",
				saved->base.name);
	ret = map_level(ram, saved->under, maps);
	return ret ?: map_changed(ram, saved, maps);
}

int state_map_memory(void *ram, const struct vmx_saved *saved)
{
	unsigned int maps = 0;

	return map_level(ram, saved, &maps);
}

/* Writing */

struct vmx_changes {
	struct dirty_log log;	/* since the last snapshot that was kept */
	uint64_t id;		/* of that; 0: there is none */
	uint64_t next;
};

int vmx_changes_begin(struct vmx_changes **changes, struct vmx_machine *machine)
{
	int ret;

	*changes = calloc(1, sizeof(**changes));
	if (!*changes)
		return vmx_fail(ENOMEM, "no memory to note what the guest writes");
	ret = dirty_begin(&(*changes)->log, machine);
	if (ret) {
		free(*changes);
		*changes = NULL;
	}
	return ret;
}

int vmx_changes_save(struct vmx_changes *changes, int fd, const char *base)
{
	struct vmx_machine *machine = changes->log.machine;
	struct state_base under = { .id = changes->id };

	if (!base)
		return state_save(machine, fd, &changes->log, NULL, &changes->next);
	under.length = strlen(base);
	if (!changes->id || !under.length || under.length >= sizeof(under.name) ||
	    strchr(base, '/'))
		return vmx_fail(EINVAL, "the base has no name of a file in the same folder");
	memcpy(under.name, base, under.length);
	return state_save(machine, fd, &changes->log, &under, &changes->next);
}

void vmx_changes_keep(struct vmx_changes *changes)
{
	memset(changes->log.bits, 0, (changes->log.pages + 63) / 64 * sizeof(*changes->log.bits));
	changes->id = changes->next;
}

void vmx_changes_end(struct vmx_changes *changes)
{
	if (changes)
		dirty_end(&changes->log);
	free(changes);
}
