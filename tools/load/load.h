/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the loaders. */
#ifndef LIBVMX_LOADERS_H
#define LIBVMX_LOADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libvmx/load.h>

#include "../lib/internal.h"

#define PAGE		0x1000ull
#define MIB		0x100000ull
#define GIB_4		0x100000000ull

/*
 * What is found for a guest's RAM is written down first and done when nothing can fail any more:
 * a plan is a list of disjoint pieces of guest memory, what goes there, and zeroes behind it.
 */
#define PIECES		128

struct piece {
	uint64_t base;
	uint64_t size;
	const void *data;	/* must live until plan_carry_out() */
	uint64_t data_size;
	bool untouched;		/* room that the kernel needs, whatever is in it */
	const char *what;
};

struct plan {
	const struct vmx_memory *memory;
	struct piece pieces[PIECES];
	unsigned int count;
};

/* A piece at an address. DATA_SIZE is up to SIZE; the rest becomes zeroes. */
int plan_at(struct plan *plan, uint64_t base, uint64_t size, const void *data, uint64_t data_size,
	    const char *what);
int plan_reserved(struct plan *plan, uint64_t base, uint64_t size, const char *what);
/* A piece as far up as there is room in [LOWEST, END), aligned; *base says where that is. */
int plan_below(struct plan *plan, uint64_t lowest, uint64_t end, uint64_t alignment,
	       uint64_t size, const void *data, uint64_t data_size, const char *what,
	       uint64_t *base);
/* The same in conventional memory, for what boot protocols pass around. */
int plan_low(struct plan *plan, uint64_t size, const void *data, uint64_t data_size,
	     const char *what, uint64_t *base);
void plan_carry_out(const struct plan *plan);

/* Whether SIZE bytes at OFFSET are within WHOLE bytes. */
static inline bool inside(uint64_t whole, uint64_t offset, uint64_t size)
{
	return offset <= whole && size <= whole - offset;
}

/* Reads a part of the image; says what it is, and where, if the image ends before. */
int image_read(const struct vmx_boot *boot, uint64_t offset, void *to, size_t size,
	       const char *what);
/* Likewise, but without reading. */
int image_has(const struct vmx_boot *boot, uint64_t offset, uint64_t size, const char *what);

/* Plans what goes with a kernel by protocols with any number of modules, all of it below 4 GiB. */
struct extras {
	uint64_t command_line;		/* 0 without */
	struct {
		uint64_t base;
		uint64_t string;	/* 0 without */
	} modules[VMX_MODULES_MAX];
};

int plan_extras(struct plan *plan, const struct vmx_boot *boot, struct extras *extras);

/* The state at the start, with the tables that it needs. TABLES has to live as the plan's data. */
#define START_TABLES_PAGES	7

struct start_tables {
	/* GDT and TSS; then in 64-bit mode page tables that map 4 GiB to themselves. */
	unsigned char bytes[START_TABLES_PAGES * PAGE] __attribute__((aligned(8)));
};

void start_real(struct vmx_start *start, uint64_t address);
size_t start_tables_size(enum vmx_mode mode);
/* Fills in START and TABLES for tables that are at BASE. MODE is protected or long. */
void start_with_tables(struct vmx_start *start, enum vmx_mode mode, uint64_t base,
		       struct start_tables *tables);
/* Plans them as well. */
int start_plan(struct plan *plan, struct vmx_start *start, enum vmx_mode mode,
	       struct start_tables *tables);

/* What of an ELF file matters, in the widths of 64-bit ones. */
#define ELF_SEGMENTS	32

struct elf_segment {
	uint32_t type;
	uint64_t offset;
	uint64_t virt;
	uint64_t phys;
	uint64_t file_size;
	uint64_t size;
	uint64_t alignment;
};

struct elf {
	bool wide;		/* of 64 bits */
	uint64_t entry;
	struct elf_segment segments[ELF_SEGMENTS];
	unsigned int count;
};

bool elf_is(const struct vmx_boot *boot);
int elf_read(const struct vmx_boot *boot, struct elf *elf);
/* Plans what is to be loaded; HIGHEST is the end of it. */
int elf_plan(struct plan *plan, const struct vmx_boot *boot, const struct elf *elf,
	     uint64_t *highest);
/* Makes the entry point an address in physical memory. */
int elf_entry(const struct elf *elf, uint64_t *entry);
/* Finds the PVH entry point: 1 if there is one, 0 if not, or an error. */
int elf_pvh_entry(const struct vmx_boot *boot, const struct elf *elf, uint32_t *entry);

bool bzimage_is(const struct vmx_boot *boot);
bool multiboot_is(const struct vmx_boot *boot);

int load_linux(const struct vmx_memory *memory, const struct vmx_boot *boot,
	       struct vmx_start *start);
int load_pvh(const struct vmx_memory *memory, const struct vmx_boot *boot,
	     struct vmx_start *start);
int load_multiboot(const struct vmx_memory *memory, const struct vmx_boot *boot,
		   struct vmx_start *start);
int load_flat(const struct vmx_memory *memory, const struct vmx_boot *boot,
	      struct vmx_start *start);

#endif /* LIBVMX_LOADERS_H */
