/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which pages of a machine's memory were written: by its vCPUs, or by this process for it. */
#ifndef LIBVMX_MIGRATE_DIRTY_H
#define LIBVMX_MIGRATE_DIRTY_H

#include <libvmx/machine.h>

#define DIRTY_PAGE	4096ull

struct dirty_log {
	struct vmx_machine *machine;
	uint64_t pages;		/* of RAM */
	uint64_t *bits;		/* those to be sent */
	uint64_t *guest;	/* what the module tells */
	uint64_t *own;		/* what libvmx wrote; see struct vmx_memory */
};

/* From here on no write is missed. All pages are to be sent. 0, or -errno with vmx_error() set. */
int dirty_begin(struct dirty_log *log, struct vmx_machine *machine);
/* Adds what was written since it was last asked. 0 or -errno. */
int dirty_collect(struct dirty_log *log);
/* Has this process written any since? */
bool dirty_is_written(struct dirty_log *log);
/* How many are to be sent. */
uint64_t dirty_count(const struct dirty_log *log);
/* The first that is to be sent, from page FROM on; @pages if there is none. It is not any more. */
uint64_t dirty_take(struct dirty_log *log, uint64_t from);
void dirty_end(struct dirty_log *log);

#endif /* LIBVMX_MIGRATE_DIRTY_H */
