/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages of anonymous memory that nobody ever touched, and that so are all zeroes. */
#ifndef LIBVMX_MIGRATE_UNTOUCHED_H
#define LIBVMX_MIGRATE_UNTOUCHED_H

#include <stdbool.h>
#include <stdint.h>

#define UNTOUCHED_CHUNK	512

struct untouched {
	int fd;
	uint64_t first;		/* page of this process that the entries begin with */
	uint64_t entries[UNTOUCHED_CHUNK];
};

void untouched_begin(struct untouched *untouched);
/*
 * False for a page that was touched, or of which that is not known. A page that is touched later
 * may still count as untouched, so its writer has to be noted.
 */
bool untouched_is(struct untouched *untouched, const void *page);
void untouched_end(struct untouched *untouched);

#endif /* LIBVMX_MIGRATE_UNTOUCHED_H */
