// SPDX-License-Identifier: GPL-2.0
/*
 * Walks tables as the CPU would: SDM, chapter "Paging". Formats differ in
 * the width of entries and addresses, in the levels that can map pages, and in
 * reserved bits; everything else is one loop.
 */
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/atomic.h>

#include <asm/trap_pf.h>

#include "../base/kunit-export.h"
#include "walk.h"

static unsigned int index_bits(const struct shadow_mode *mode)
{
	return mode->format == SHADOW_GUEST_32BIT ? 10 : 9;
}

/* Where the index into tables of a level begins in a linear address. */
static unsigned int level_shift(const struct shadow_mode *mode, int level)
{
	return 12 + (level - 1) * index_bits(mode);
}

static u64 entry_at(const struct shadow_mode *mode, u64 table, u64 gva, int level)
{
	u64 index = (gva >> level_shift(mode, level)) & (BIT(index_bits(mode)) - 1);

	return table + index * shadow_guest_entry_size(mode);
}

/**
 * shadow_guest_is_leaf() - does a present entry map a page
 * @mode: the mode
 * @entry: the entry
 * @level: its level
 *
 * Return: true for a page; false for a table.
 */
bool shadow_guest_is_leaf(const struct shadow_mode *mode, u64 entry, int level)
{
	return level == 1 || (entry & SHADOW_LARGE && mode->large & BIT(level));
}
EXPORT_SYMBOL_IF_KUNIT(shadow_guest_is_leaf);

/**
 * shadow_guest_table() - the table that an entry refers to
 * @mode: the mode
 * @entry: an entry that is no leaf, CR3, or a PDPTE
 *
 * Return: its guest-physical address.
 */
u64 shadow_guest_table(const struct shadow_mode *mode, u64 entry)
{
	return mode->format == SHADOW_GUEST_32BIT ? entry & GENMASK(31, 12) : entry & SHADOW_ADDR;
}
EXPORT_SYMBOL_IF_KUNIT(shadow_guest_table);

/**
 * shadow_guest_frame() - the page that a leaf maps
 * @mode: the mode
 * @entry: the entry
 * @level: its level
 *
 * 4 MiB pages have bits 39:32 of their address in bits 20:13 (SDM, "32-Bit
 * Paging").
 *
 * Return: its guest-physical address.
 */
u64 shadow_guest_frame(const struct shadow_mode *mode, u64 entry, int level)
{
	u64 size = BIT_ULL(level_shift(mode, level));

	if (mode->format != SHADOW_GUEST_32BIT)
		return entry & SHADOW_ADDR & ~(size - 1);
	if (level == 1)
		return entry & GENMASK(31, 12);
	return (entry & GENMASK(31, 22)) | (entry & GENMASK(20, 13)) << 19;
}
EXPORT_SYMBOL_IF_KUNIT(shadow_guest_frame);

static u64 reserved_32bit(const struct shadow_mode *mode, u64 entry, int level)
{
	unsigned int bits = mode->phys_bits < 40 ? mode->phys_bits : 40;

	if (level == 1 || !shadow_guest_is_leaf(mode, entry, level))
		return 0;
	return bits < 32 ? GENMASK(21, 13) : GENMASK(21, bits - 19);
}

/* The bits of a present entry that must be 0: whether it is a leaf decides. */
static __always_inline u64 reserved_bits(const struct shadow_mode *mode, u64 entry, int level)
{
	unsigned int top = mode->format == SHADOW_GUEST_PAE ? 62 : 51;
	u64 bits = mode->nxe ? 0 : SHADOW_NX;

	if (mode->format == SHADOW_GUEST_32BIT)
		return reserved_32bit(mode, entry, level);
	if (mode->phys_bits <= top)
		bits |= GENMASK_ULL(top, mode->phys_bits);
	if (level == 1)
		return bits;
	if (!(mode->large & BIT(level)))
		bits |= SHADOW_LARGE;
	else if (entry & SHADOW_LARGE)
		bits |= GENMASK_ULL(level_shift(mode, level) - 1, 13);
	return bits;
}

/* SDM, "Determination of Access Rights" */
static bool is_allowed(const struct shadow_mode *mode, const struct shadow_walk *walk)
{
	bool user_page = walk->rights & SHADOW_USER;
	bool user = walk->access & X86_PF_USER;

	if (user && !user_page)
		return false;
	if (walk->access & X86_PF_INSTR)
		return !(walk->rights & SHADOW_NX) && (user || !user_page || !mode->smep);
	if (!user && user_page && mode->smap && !walk->ac)
		return false;
	return !(walk->access & X86_PF_WRITE) || walk->rights & SHADOW_WRITE ||
	       (!user && !mode->wp);
}

/* SDM, "Page-Fault Exceptions" */
static enum shadow_walk_result raise_fault(const struct shadow_mode *mode, struct shadow_walk *walk,
					   u32 why)
{
	walk->error = why | (walk->access & (X86_PF_WRITE | X86_PF_USER));
	if (walk->access & X86_PF_INSTR &&
	    (mode->smep || (mode->nxe && mode->format != SHADOW_GUEST_32BIT)))
		walk->error |= X86_PF_INSTR;
	return SHADOW_WALK_FAULT;
}

static enum shadow_walk_result miss_entry(struct shadow_walk *walk, u64 gpa, bool write)
{
	walk->gpa = gpa;
	walk->write = write;
	return SHADOW_WALK_MISS;
}

/* What the access sets in an entry that has not got it. */
static u64 marks_of(const struct shadow_walk *walk, int level)
{
	u64 bits = SHADOW_ACCESSED;

	if (level == walk->level && walk->access & X86_PF_WRITE)
		bits |= SHADOW_DIRTY;
	return bits & ~walk->pte[level];
}

static bool mark_entry(const struct shadow_mode *mode, void *at, u64 old, u64 new)
{
	if (mode->format == SHADOW_GUEST_32BIT)
		return cmpxchg((u32 *)at, (u32)old, (u32)new) == (u32)old;
	return cmpxchg64((u64 *)at, old, new) == old;
}

/* From the top down; an entry that changed meanwhile is looked at anew. */
static enum shadow_walk_result set_marks(const struct shadow_mode *mode,
					 const struct shadow_walk_memory *memory,
					 struct shadow_walk *walk, const u64 *where, bool *again)
{
	int level;

	for (level = mode->levels; level >= walk->level; level--) {
		u64 bits = marks_of(walk, level);
		void *at;

		if (!bits)
			continue;
		at = memory->entry(memory->context, where[level], true);
		if (!at)
			return miss_entry(walk, where[level], true);
		if (!mark_entry(mode, at, walk->pte[level], walk->pte[level] | bits)) {
			*again = true;
			return SHADOW_WALK_DONE;
		}
		walk->pte[level] |= bits;
	}
	return SHADOW_WALK_DONE;
}

static enum shadow_walk_result walk_once(const struct shadow_mode *mode,
					 const struct shadow_walk_memory *memory, u64 table,
					 struct shadow_walk *walk, bool *again)
{
	u64 where[SHADOW_MAX_LEVELS + 1];
	int level = mode->levels;
	u64 entry;

	walk->rights = SHADOW_WRITE | SHADOW_USER;
	for (;; level--) {
		void *at;

		walk->level = level;
		where[level] = entry_at(mode, table, walk->gva, level);
		at = memory->entry(memory->context, where[level], false);
		if (!at)
			return miss_entry(walk, where[level], false);
		entry = shadow_guest_read_entry(mode, at);
		walk->pte[level] = entry;
		if (!(entry & SHADOW_PRESENT))
			return raise_fault(mode, walk, 0);
		if (entry & reserved_bits(mode, entry, level))
			return raise_fault(mode, walk, X86_PF_PROT | X86_PF_RSVD);
		walk->rights &= (entry & (SHADOW_WRITE | SHADOW_USER)) | SHADOW_NX;
		if (mode->format != SHADOW_GUEST_32BIT)
			walk->rights |= entry & SHADOW_NX;
		if (shadow_guest_is_leaf(mode, entry, level))
			break;
		table = shadow_guest_table(mode, entry);
	}
	if (!walk->look && !is_allowed(mode, walk))
		return raise_fault(mode, walk, X86_PF_PROT);
	walk->gpa = shadow_guest_frame(mode, entry, level) |
		    (walk->gva & (BIT_ULL(level_shift(mode, level)) - 1));
	return walk->look ? SHADOW_WALK_DONE : set_marks(mode, memory, walk, where, again);
}

/* A guest that keeps changing an entry could hold the walk for ever. */
#define ATTEMPTS 8

/**
 * shadow_walk() - translate an access as the CPU would
 * @mode: the guest's mode, which has tables
 * @memory: where they are
 * @root: CR3; in PAE mode the PDPTE, which is not present if bit 0 is clear
 * @walk: the access; filled in
 *
 * Context: what @memory needs.
 * Return: an enum shadow_walk_result. If the tables kept changing, it is a miss of an
 * entry that is there, and the guest tries again.
 */
enum shadow_walk_result shadow_walk(const struct shadow_mode *mode,
				    const struct shadow_walk_memory *memory, u64 root,
				    struct shadow_walk *walk)
{
	enum shadow_walk_result result;
	int attempts;

	if (mode->format == SHADOW_GUEST_PAE && !(root & SHADOW_PRESENT)) {
		walk->level = mode->levels + 1;
		return raise_fault(mode, walk, 0);
	}
	for (attempts = 0; attempts < ATTEMPTS; attempts++) {
		bool again = false;

		result = walk_once(mode, memory, shadow_guest_table(mode, root), walk, &again);
		if (!again)
			return result;
	}
	return miss_entry(walk, shadow_guest_table(mode, root), false);
}
EXPORT_SYMBOL_IF_KUNIT(shadow_walk);
