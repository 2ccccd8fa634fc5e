/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The GDT and the page tables with which a guest starts. */
#ifndef LIBVMX_START_TABLES_H
#define LIBVMX_START_TABLES_H

#include <libvmx.h>

#define START_GDT_ENTRIES	6
/* The page tables' size; in it, the four page directories of 64-bit mode and of PAE paging. */
#define START_PAGE_TABLES	0x6000
#define START_DIRECTORIES	0x2000

/* Flat segments, and a busy TSS, whose descriptor takes two entries. */
struct start_selectors {
	uint16_t cs32, cs64, ds, tr;
};

void start_put_gdt(void *at, const struct start_selectors *selectors, uint64_t tss);
/*
 * Tables that map 4 GiB to themselves, at AT here and at BASE in the guest. In protected mode these
 * are tables of 32-bit paging.
 */
void start_put_page_tables(unsigned char *at, enum vmx_mode mode, uint64_t base);

#endif /* LIBVMX_START_TABLES_H */
