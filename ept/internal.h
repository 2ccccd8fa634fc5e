/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the files of the EPT engine: tables and their pages, the walk over
 * an interval, the log.
 *
 * A table's page keeps in page_private() how many of its entries are not 0, and
 * for tables of 4 KiB pages which groups of them the log has to look at.
 */
#ifndef EPT_INTERNAL_H
#define EPT_INTERNAL_H

#include <linux/io.h>
#include <linux/mm.h>

#include "ept.h"

/* What is more than to look at an entry, in units of EPT_BUDGET. */
#define EPT_COST_PAGE		5
#define EPT_COST_ZAP		17
#define EPT_COST_NARROW		8
#define EPT_COST_RELOG		4
#define EPT_COST_GROUP		8

#define TABLE_ENTRIES	GENMASK(15, 0)
/*
 * A bit for each 16 entries: pages of theirs may have been written. Kept where
 * somebody tells: a fault, or the CPU's own log.
 */
#define TABLE_GROUPS	GENMASK(63, 32)
#define GROUP_SHIFT	32
#define GROUP_ENTRIES	16
#define GROUP_SPAN	(GROUP_ENTRIES * PAGE_SIZE)

static inline u64 *ept_table_of(u64 entry)
{
	return phys_to_virt(entry & EPT_ADDR);
}

static inline void ept_count(u64 *slot, int change)
{
	struct page *page = virt_to_page(slot);

	set_page_private(page, page_private(page) + change);
}

/**
 * struct ept_iter - a walk over the pages mapped in an interval
 * @ept: the tree
 * @gpa: where the walk is: the page found has it, or it is to look on from here
 * @end: end of the interval
 * @level: level of @slot
 * @slot: entry of the page found; NULL before the first
 * @table: the table of each level on the way to @gpa, down to @level
 * @forget: find pages that have gone, too; those zapped are forgotten
 * @narrowed: an entry was removed or narrowed; once a walk is often enough to
 *	say so
 */
struct ept_iter {
	struct ept *ept;
	u64 gpa;
	u64 end;
	int level;
	u64 *slot;
	u64 *table[EPT_MAX_LEVELS + 1];
	bool forget;
	bool narrowed;
};

/* Spend some of the budget: false if the walk has done enough for one go. */
static inline bool ept_iter_spend(const struct ept_iter *it, int cost)
{
	struct ept *ept = it->ept;

	ept->left -= cost;
	return ept->left >= 0;
}

/* ept/iter.c */
void ept_iter_start(struct ept_iter *it, struct ept *ept, u64 start, u64 end);
u64 ept_iter_end(const struct ept_iter *it);
bool ept_iter_next(struct ept_iter *it);
u64 *ept_iter_next_table(struct ept_iter *it, bool split);
void ept_iter_step(struct ept_iter *it);
void ept_iter_zap(struct ept_iter *it);
bool ept_iter_zap_table(struct ept_iter *it);
bool ept_iter_partial(const struct ept_iter *it, u64 start);
void ept_clear(struct ept *ept, u64 *slot, u64 gpa, int level, bool forget);
bool ept_unlink_empty(struct ept *ept, u64 *slot);

/* ept/tables.c */
struct page *ept_alloc_table(const struct ept *ept);
struct page *ept_take_table(struct ept *ept);

void ept_tell_derived(struct ept *ept, u64 gpa, int level);

/* What was made from an entry goes. With EPT nothing was, so the call is out of line. */
static __always_inline void ept_derived(struct ept *ept, u64 gpa, int level)
{
	if (unlikely(ept->derived))
		ept_tell_derived(ept, gpa, level);
}

/* ept/log.c */
u64 ept_log_access(struct ept *ept, u64 *slot, u32 access, u32 *prot);

/* Is the log made of dirty bits? */
static inline bool ept_log_dirty(const struct ept *ept)
{
	return ept->log == VMX_DIRTY_BITS || ept->log == VMX_DIRTY_PML;
}

/* The log has to look at an entry of the table that @page has, and at its group. */
static inline void ept_mark_group(struct page *page, unsigned int index)
{
	set_page_private(page, page_private(page) | BIT(GROUP_SHIFT + index / GROUP_ENTRIES));
}

static inline void ept_mark_slot(u64 *slot)
{
	ept_mark_group(virt_to_page(slot), offset_in_page(slot) / sizeof(*slot));
}

/* EPT_WRITTEN if the log has to tell of the page. */
static inline u64 ept_written(const struct ept *ept, u64 entry)
{
	if (ept_log_dirty(ept) && (entry & EPT_DIRTY))
		return EPT_WRITTEN;
	return entry & EPT_WRITTEN;
}

#endif /* EPT_INTERNAL_H */
