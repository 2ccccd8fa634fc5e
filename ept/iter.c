// SPDX-License-Identifier: GPL-2.0
/*
 * The walk over an interval of EPT tables, and the removal of pages and of
 * tables that become empty.
 */
#include "internal.h"

/**
 * ept_tell_derived() - what was made from an entry goes
 * @ept: the tree, which has a derived one; its lock is held
 * @gpa: a guest-physical address that the entry translates
 * @level: its level
 */
void ept_tell_derived(struct ept *ept, u64 gpa, int level)
{
	ept->derived->ops->drop(ept->derived, gpa, level);
}

/**
 * ept_clear() - remove a page
 * @ept: the tree; its lock is held
 * @slot: its entry; the caller sees to ept_narrowed()
 * @gpa: a guest-physical address in it
 * @level: the entry's level
 * @forget: the log does not remember it
 */
void ept_clear(struct ept *ept, u64 *slot, u64 gpa, int level, bool forget)
{
	u64 absent = ept->format.absent;
	/* The CPU may be setting its dirty bit. */
	u64 old = xchg(slot, absent);

	ept->left -= EPT_COST_ZAP;
	if (ept_present(old))
		ept->count.pages[level - 1]--;
	ept_derived(ept, gpa, level);
	if (ept->log && level == 1 && !forget && ept_written(ept, old)) {
		WRITE_ONCE(*slot, EPT_WRITTEN | absent);
		ept_mark_slot(slot);
	} else {
		ept_count(slot, -1);
	}
}

/**
 * ept_iter_start() - begin a walk
 * @it: the walk; the caller may then set @forget
 * @ept: the tree; its lock is held until ept_iter_end()
 * @start: first guest-physical address
 * @end: end of the interval
 */
void ept_iter_start(struct ept_iter *it, struct ept *ept, u64 start, u64 end)
{
	lockdep_assert_held(ept->lock);
	it->ept = ept;
	it->gpa = start;
	it->end = end;
	it->level = ept->format.levels;
	it->slot = NULL;
	it->table[it->level] = ept->table;
	it->forget = false;
	it->narrowed = false;
	ept->left = EPT_BUDGET;
}

/**
 * ept_iter_end() - end a walk
 * @it: the walk
 *
 * Return: where it stopped.
 */
u64 ept_iter_end(const struct ept_iter *it)
{
	if (it->narrowed)
		ept_narrowed(it->ept);
	return it->gpa;
}

static u64 *ept_iter_slot(const struct ept_iter *it, int level)
{
	return &it->table[level][ept_index(it->gpa, level)];
}

/**
 * ept_iter_step() - go to what lies after an entry
 * @it: the walk; the entry is that of it->level which has it->gpa
 */
void ept_iter_step(struct ept_iter *it)
{
	u64 span = ept_span(it->level);

	it->slot = NULL;
	it->gpa = (it->gpa & ~(span - 1)) + span;
	while (it->level < it->ept->format.levels &&
	       !ept_index(it->gpa, it->level))
		it->level++;
}

/**
 * ept_unlink_empty() - unlink the table that an entry refers to if it is empty
 * @ept: the tree; its lock is held
 * @slot: the entry; the caller sees to ept_narrowed()
 *
 * Return: true if it was empty.
 */
bool ept_unlink_empty(struct ept *ept, u64 *slot)
{
	struct page *page = virt_to_page(ept_table_of(*slot));

	if (page_private(page) & TABLE_ENTRIES)
		return false;
	WRITE_ONCE(*slot, ept->format.absent);
	ept_count(slot, -1);
	list_add(&page->lru, &ept->unlinked);
	ept->count.tables--;
	return true;
}

static bool ept_iter_unlink_empty(struct ept_iter *it, u64 *slot)
{
	bool empty = ept_unlink_empty(it->ept, slot);

	it->narrowed |= empty;
	return empty;
}

/* An entry of the table of it->level went: go up while that left none. */
static void ept_iter_prune(struct ept_iter *it)
{
	int top = it->ept->format.levels;

	while (it->level < top &&
	       ept_iter_unlink_empty(it, ept_iter_slot(it, it->level + 1)))
		it->level++;
}

/**
 * ept_iter_next() - find the next page
 * @it: the walk
 *
 * Return: false at the end, or if the budget is used up.
 */
bool ept_iter_next(struct ept_iter *it)
{
	if (it->slot)
		ept_iter_step(it);
	while (it->gpa < it->end && ept_iter_spend(it, 1)) {
		u64 *slot = ept_iter_slot(it, it->level);
		u64 entry = READ_ONCE(*slot);

		if (!ept_present(entry) && !(it->forget && (entry & EPT_WRITTEN))) {
			ept_iter_step(it);
		} else if (ept_is_leaf(entry, it->level)) {
			it->slot = slot;
			return true;
		} else if (ept_iter_unlink_empty(it, slot)) {
			ept_iter_prune(it);
			ept_iter_step(it);
		} else {
			it->table[--it->level] = ept_table_of(entry);
		}
	}
	return false;
}

/**
 * ept_iter_zap() - remove the page found, and the tables that this leaves empty
 * @it: the walk
 */
void ept_iter_zap(struct ept_iter *it)
{
	ept_clear(it->ept, it->slot, it->gpa, it->level, it->forget);
	it->narrowed = true;
	ept_iter_prune(it);
}

/**
 * ept_iter_partial() - is the page found not all within the interval
 * @it: the walk
 * @start: where the interval began
 *
 * Return: true for a large page that goes beyond it.
 */
bool ept_iter_partial(const struct ept_iter *it, u64 start)
{
	u64 span = ept_span(it->level);
	u64 base = it->gpa & ~(span - 1);

	return base < start || base + span > it->end;
}

/**
 * ept_iter_next_table() - go to the next table of 4 KiB pages
 * @it: the walk
 * @split: large pages on the way go
 *
 * Return: the table; NULL at the end, or if the budget is used up.
 */
u64 *ept_iter_next_table(struct ept_iter *it, bool split)
{
	if (it->slot)
		ept_iter_step(it);
	while (it->gpa < it->end && ept_iter_spend(it, 1)) {
		u64 *slot = ept_iter_slot(it, it->level);
		u64 entry = READ_ONCE(*slot);

		if (!ept_present(entry)) {
			ept_iter_step(it);
		} else if (ept_is_leaf(entry, it->level)) {
			if (split) {
				ept_clear(it->ept, slot, it->gpa, it->level, true);
				it->ept->count.splits++;
				it->narrowed = true;
			}
			ept_iter_step(it);
		} else if (it->level > 2) {
			it->table[--it->level] = ept_table_of(entry);
		} else {
			it->slot = slot;
			return ept_table_of(entry);
		}
	}
	return NULL;
}

/**
 * ept_iter_zap_table() - remove the pages of a table, it, and those left empty
 * @it: the walk; ept_iter_next_table() has found it, and nothing is logged
 *
 * Return: false if the budget was used up first.
 */
bool ept_iter_zap_table(struct ept_iter *it)
{
	u64 gpa = it->gpa & ~(ept_span(it->level) - 1);
	u64 *table = ept_table_of(*it->slot);
	int i;

	for (i = 0; i < PTRS_PER_PTE && ept_iter_spend(it, 1); i++, gpa += PAGE_SIZE)
		if (READ_ONCE(table[i]) != it->ept->format.absent)
			ept_clear(it->ept, &table[i], gpa, it->level - 1, true);
	if (i < PTRS_PER_PTE)
		return false;
	if (ept_iter_unlink_empty(it, it->slot))
		ept_iter_prune(it);
	return true;
}
