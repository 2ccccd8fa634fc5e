/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Walks a guest's page tables in software. Nothing here knows where guest
 * memory is: callers provide entries by guest-physical address.
 */
#ifndef SHADOW_WALK_H
#define SHADOW_WALK_H

#include <linux/types.h>

/* Bits of paging-structure entries; the same in all formats that have them. */
#define SHADOW_PRESENT	BIT_ULL(0)
#define SHADOW_WRITE	BIT_ULL(1)
#define SHADOW_USER		BIT_ULL(2)
#define SHADOW_ACCESSED	BIT_ULL(5)
#define SHADOW_DIRTY	BIT_ULL(6)
#define SHADOW_LARGE	BIT_ULL(7)
#define SHADOW_NX		BIT_ULL(63)
#define SHADOW_ADDR		GENMASK_ULL(51, 12)

#define SHADOW_MAX_LEVELS	5

/**
 * enum shadow_format - what a guest's tables look like
 * @SHADOW_GUEST_NONE: there are none: linear addresses are physical ones
 * @SHADOW_GUEST_32BIT: two levels of 4-byte entries
 * @SHADOW_GUEST_PAE: two levels of 8-byte entries below four registers
 * @SHADOW_GUEST_LONG: four or five levels of 8-byte entries
 */
enum shadow_format {
	SHADOW_GUEST_NONE,
	SHADOW_GUEST_32BIT,
	SHADOW_GUEST_PAE,
	SHADOW_GUEST_LONG,
};

/**
 * struct shadow_mode - what decides how a guest's tables are read
 * @format: an enum shadow_format
 * @levels: level of the table that CR3, or a PDPTE, refers to
 * @phys_bits: width of physical addresses
 * @large: bit n is set if entries of level n can map pages
 * @wp: CR0.WP
 * @smep: CR4.SMEP
 * @smap: CR4.SMAP
 * @nxe: EFER.NXE
 */
struct shadow_mode {
	u8 format;
	u8 levels;
	u8 phys_bits;
	u8 large;
	bool wp;
	bool smep;
	bool smap;
	bool nxe;
};

/**
 * struct shadow_walk - an access, and what the guest's tables say to it
 * @gva: linear address
 * @access: X86_PF_WRITE, X86_PF_USER and X86_PF_INSTR, as in an error code
 * @ac: EFLAGS.AC lets a supervisor access reach user pages
 * @look: nobody accesses it: rights do not matter, and nothing is marked
 * @level: the level that the walk ended at
 * @pte: the entry found at each level, from @level up
 * @gpa: guest-physical address, or after %SHADOW_WALK_MISS that of an entry
 * @rights: SHADOW_WRITE, SHADOW_USER, SHADOW_NX: of all levels together
 * @error: after %SHADOW_WALK_FAULT: the error code of the page fault
 * @write: after %SHADOW_WALK_MISS: the entry was to be written
 */
struct shadow_walk {
	u64 gva;
	u32 access;
	bool ac;
	bool look;

	int level;
	u64 pte[SHADOW_MAX_LEVELS + 1];
	u64 gpa;
	u64 rights;
	u32 error;
	bool write;
};

/**
 * enum shadow_walk_result - how a walk ended
 * @SHADOW_WALK_DONE: the access is allowed; accessed and dirty bits are set
 * @SHADOW_WALK_FAULT: it is a page fault
 * @SHADOW_WALK_MISS: an entry's memory is not at hand
 */
enum shadow_walk_result {
	SHADOW_WALK_DONE,
	SHADOW_WALK_FAULT,
	SHADOW_WALK_MISS,
};

/**
 * struct shadow_walk_memory - where the tables are
 * @entry: find an entry by guest-physical address: its address in the kernel, or
 *	NULL if it is not at hand, to be read or to be written
 * @context: for @entry
 */
struct shadow_walk_memory {
	void *(*entry)(void *context, u64 gpa, bool write);
	void *context;
};

enum shadow_walk_result shadow_walk(const struct shadow_mode *mode,
				    const struct shadow_walk_memory *memory, u64 root,
				    struct shadow_walk *walk);
u64 shadow_guest_table(const struct shadow_mode *mode, u64 entry);
u64 shadow_guest_frame(const struct shadow_mode *mode, u64 entry, int level);
bool shadow_guest_is_leaf(const struct shadow_mode *mode, u64 entry, int level);

/**
 * shadow_guest_pdpte_valid() - may a PDPTE be loaded
 * @mode: the mode
 * @pdpte: the entry
 *
 * SDM, "PDPTE Registers".
 *
 * Return: false if loading it is a general-protection fault.
 */
static inline bool shadow_guest_pdpte_valid(const struct shadow_mode *mode, u64 pdpte)
{
	const u64 reserved = GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5) |
			     ~(BIT_ULL(mode->phys_bits) - 1);

	return !(pdpte & SHADOW_PRESENT) || !(pdpte & reserved);
}

/**
 * shadow_guest_entry_size() - bytes of an entry
 * @mode: the mode
 *
 * Return: 4 or 8.
 */
static inline unsigned int shadow_guest_entry_size(const struct shadow_mode *mode)
{
	return mode->format == SHADOW_GUEST_32BIT ? 4 : 8;
}

/**
 * shadow_guest_read_entry() - read an entry once
 * @mode: the mode
 * @at: where it is
 *
 * Return: the entry.
 */
static inline u64 shadow_guest_read_entry(const struct shadow_mode *mode, const void *at)
{
	return mode->format == SHADOW_GUEST_32BIT ? READ_ONCE(*(const u32 *)at) :
					      READ_ONCE(*(const u64 *)at);
}

#endif /* SHADOW_WALK_H */
