// SPDX-License-Identifier: LGPL-2.1-or-later
/* Writes the GDT and the page tables with which a guest starts. */
#include <string.h>

#include "start_tables.h"
#include "x86.h"

#define TABLE	0x1000ull

void start_put_gdt(void *at, const struct start_selectors *selectors, uint64_t tss)
{
	uint64_t gdt[START_GDT_ENTRIES] = { 0 };

	gdt[selectors->cs32 / 8] = 0x00cf9b000000ffff;
	gdt[selectors->cs64 / 8] = 0x00af9b000000ffff;
	gdt[selectors->ds / 8] = 0x00cf93000000ffff;
	/* Busy; in IA-32e mode its base goes on in the next entry. */
	gdt[selectors->tr / 8] = 0x00008b0000000000 | (tss & 0xffffff) << 16 |
				 (tss & 0xff000000) << 32 | LIMIT_TSS;
	memcpy(at, gdt, sizeof(gdt));
}

static void put_pointers(unsigned char *at, uint64_t table, unsigned int count, uint64_t flags)
{
	for (unsigned int n = 0; n < count; n++) {
		uint64_t entry = (table + n * TABLE) | flags;

		memcpy(at + n * sizeof(entry), &entry, sizeof(entry));
	}
}

static void put_directories(unsigned char *at)
{
	for (uint64_t n = 0; n < 4 * 512; n++) {
		uint64_t entry = n << 21 | PAGE_PRESENT | PAGE_WRITE | PAGE_LARGE;

		memcpy(at + n * sizeof(entry), &entry, sizeof(entry));
	}
}

static void put_directory_of_32_bits(unsigned char *at)
{
	for (uint32_t n = 0; n < 1024; n++) {
		uint32_t entry = n << 22 | PAGE_PRESENT | PAGE_WRITE | PAGE_LARGE;

		memcpy(at + n * sizeof(entry), &entry, sizeof(entry));
	}
}

void start_put_page_tables(unsigned char *at, enum vmx_mode mode, uint64_t base)
{
	uint64_t directories = base + START_DIRECTORIES;

	memset(at, 0, START_PAGE_TABLES);
	if (mode == VMX_MODE_LONG) {
		put_pointers(at, base + TABLE, 1, PAGE_PRESENT | PAGE_WRITE);
		put_pointers(at + TABLE, directories, 4, PAGE_PRESENT | PAGE_WRITE);
		put_directories(at + START_DIRECTORIES);
	} else if (mode == VMX_MODE_PAE) {
		put_pointers(at, directories, 4, PAGE_PRESENT);
		put_directories(at + START_DIRECTORIES);
	} else {
		put_directory_of_32_bits(at);
	}
}
