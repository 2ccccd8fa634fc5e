// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Asks the kernel which pages are there or swapped out (Documentation/admin-guide/mm/pagemap.rst).
 * To read a page that is neither would have the kernel map one of zeroes: most of the memory of a
 * guest that is larger than what it needs.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "untouched.h"

#define PAGE		4096
#define PRESENT		(1ull << 63)
#define SWAPPED		(1ull << 62)

void untouched_begin(struct untouched *untouched)
{
	untouched->fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	untouched->first = UINT64_MAX - UNTOUCHED_CHUNK;
}

/* What cannot be read counts as there. */
static void read_chunk(struct untouched *untouched, uint64_t first)
{
	ssize_t got = pread(untouched->fd, untouched->entries, sizeof(untouched->entries),
			    first * sizeof(untouched->entries[0]));

	if (got != sizeof(untouched->entries))
		memset(untouched->entries, 0xff, sizeof(untouched->entries));
	untouched->first = first;
}

bool untouched_is(struct untouched *untouched, const void *page)
{
	uint64_t number = (uintptr_t)page / PAGE;

	if (untouched->fd < 0)
		return false;
	if (number - untouched->first >= UNTOUCHED_CHUNK)
		read_chunk(untouched, number);
	return !(untouched->entries[number - untouched->first] & (PRESENT | SWAPPED));
}

void untouched_end(struct untouched *untouched)
{
	if (untouched->fd >= 0)
		close(untouched->fd);
}
