// SPDX-License-Identifier: GPL-2.0
/*
 * The log in EPT tables: which pages were written. See mmu/dirty.c, and
 * EPT_WRITTEN.
 */
#include <linux/bitmap.h>

#include "../base/kunit-export.h"
#include "internal.h"

/**
 * ept_log_access() - a page is about to be installed while pages are logged
 * @ept: the tree; its lock is held
 * @slot: its entry
 * @access: VMX_MMU_* bits of the access that faulted; 0 if none has yet
 * @prot: VMX_MMU_* bits to allow; where pages are logged by write protection,
 *	only a write makes them writable
 *
 * Return: %EPT_WRITTEN, or 0 if the entry has or gets its dirty bit.
 */
u64 ept_log_access(struct ept *ept, u64 *slot, u32 access, u32 *prot)
{
	bool protect = ept->log == VMX_DIRTY_WRITE_PROTECT;

	if (!(access & VMX_MMU_WRITE)) {
		if (protect && *prot & VMX_MMU_WRITE)
			*prot &= ~(VMX_MMU_WRITE | VMX_MMU_VE);
		return 0;
	}
	ept_mark_slot(slot);
	return protect ? EPT_WRITTEN : 0;
}

/* What an entry loses when the log begins anew for its page. */
static u64 log_bits(const struct ept *ept)
{
	switch (ept->log) {
	case VMX_DIRTY_WRITE_PROTECT:
		return EPT_WRITTEN | EPT_WRITE;
	case VMX_DIRTY_BITS:
	case VMX_DIRTY_PML:
		return EPT_WRITTEN | EPT_DIRTY;
	default:
		return EPT_WRITTEN;
	}
}

/* The page that has @gpa. Without bits of @keep; @absent is the format's, and read once. */
static __always_inline void log_anew(struct ept *ept, u64 *slot, u64 gpa, u64 keep, u64 absent)
{
	u64 old = READ_ONCE(*slot), new;

	/* The CPU may be setting accessed and dirty bits. */
	do {
		new = ept_present(old) ? old & keep : absent;
		/* An entry that is narrower than its range does not describe the range. */
		if (old & ~keep & EPT_WRITE)
			new |= absent;
	} while (!try_cmpxchg64(slot, &old, new));
	if (new == absent)
		ept_count(slot, -1);
	ept_derived(ept, gpa, 1);
}

/*
 * A CPU that has not begun to write down what it writes has set dirty bits that
 * nobody tells of: the first look is at everything.
 */
static void set_all_groups(u64 *table, bool on)
{
	struct page *page = virt_to_page(table);

	set_page_private(page, (page_private(page) & TABLE_ENTRIES) | (on ? TABLE_GROUPS : 0));
}

/**
 * ept_relog() - make translations of unwritten pages what &ept.log wants
 * @ept: the tree; its lock is held
 * @start: first guest-physical address
 * @end: end of the interval
 *
 * One table at a time at most, since userspace may have very many.
 *
 * Return: where it stopped.
 */
u64 ept_relog(struct ept *ept, u64 start, u64 end)
{
	u64 bits = log_bits(ept), absent = ept->format.absent;
	struct ept_iter it;
	u64 *table;

	ept_iter_start(&it, ept, start, end);
	table = ept_iter_next_table(&it, ept->log);
	if (table) {
		u64 next = (it.gpa | (ept_span(2) - 1)) + 1;

		/* Only once: entries that are marked from now on keep their marks. */
		if (!ept_index(it.gpa, 1))
			set_all_groups(table, ept->log == VMX_DIRTY_PML);
		it.narrowed = true;
		/* At least one: no other call begins with this table. */
		do {
			u64 *slot = &table[ept_index(it.gpa, 1)];

			if (READ_ONCE(*slot) & bits)
				log_anew(ept, slot, it.gpa, ~bits, absent);
			it.gpa += PAGE_SIZE;
		} while (it.gpa < next && ept_iter_spend(&it, EPT_COST_RELOG));
	}
	return ept_iter_end(&it);
}
EXPORT_SYMBOL_IF_KUNIT(ept_relog);

/* Look at pages of one group, from @gpa up to @end. */
static void harvest_group(struct ept_iter *it, u64 *slot, u64 gpa, u64 end,
			  struct ept_dirty_batch *batch)
{
	struct ept *ept = it->ept;
	u64 bits = log_bits(ept), absent = ept->format.absent;
	/* A page is writable only if it is logged already. */
	u64 dirty = bits & (EPT_WRITTEN | EPT_DIRTY), keep = ~bits;
	const u64 *last = slot + ((end - gpa) >> PAGE_SHIFT);
	/* The table's bits begin there; at a place before the batch's first, perhaps. */
	const u64 origin = batch->gpa;
	const u64 first = ((gpa & ~(ept_span(2) - 1)) >> PAGE_SHIFT) - (origin >> PAGE_SHIFT);
	unsigned int count = 0;

	/* Most entries are only looked at: one counter is enough for that. */
	for (; slot < last; slot++) {
		u64 bit;

		if (!(READ_ONCE(*slot) & dirty))
			continue;
		bit = first + offset_in_page(slot) / sizeof(*slot);
		__set_bit(bit, batch->bitmap);
		log_anew(ept, slot, origin + (bit << PAGE_SHIFT), keep, absent);
		count++;
	}
	if (!count)
		return;
	batch->dirty += count;
	ept->left -= count * EPT_COST_RELOG;
	it->narrowed = true;
}

/* Look at the pages of a table from it->gpa up to @end, where there may be any. */
static void harvest_table(struct ept_iter *it, u64 *table, u64 end,
			  struct ept_dirty_batch *batch)
{
	struct page *page = virt_to_page(table);
	bool all = it->ept->log == VMX_DIRTY_BITS;
	unsigned long todo = all ? TABLE_GROUPS : page_private(page) & TABLE_GROUPS;
	unsigned long done = 0;
	u64 base = it->gpa & ~(ept_span(2) - 1);
	unsigned int bit;

	for_each_set_bit(bit, &todo, BITS_PER_LONG) {
		u64 group = base + (bit - GROUP_SHIFT) * GROUP_SPAN;
		u64 first = max(group, it->gpa);
		u64 last = min(group + GROUP_SPAN, end);

		if (first >= last)
			continue;
		if (!ept_iter_spend(it, EPT_COST_GROUP)) {
			/* The next call begins here. */
			it->gpa = first;
			it->slot = NULL;
			break;
		}
		if (last - first == GROUP_SPAN)
			done |= BIT(bit);
		harvest_group(it, &table[ept_index(first, 1)], first, last, batch);
	}
	set_page_private(page, page_private(page) & ~done);
}

/**
 * ept_harvest() - tell which pages of an interval were written, and begin anew
 * @ept: the tree; its lock is held
 * @start: first guest-physical address
 * @end: end of the interval
 * @batch: told of the pages that were written
 *
 * Return: where it stopped.
 */
u64 ept_harvest(struct ept *ept, u64 start, u64 end,
		struct ept_dirty_batch *batch)
{
	struct ept_iter it;
	u64 *table;

	ept_iter_start(&it, ept, start, end);
	while ((table = ept_iter_next_table(&it, false)))
		harvest_table(&it, table, min((it.gpa | (ept_span(2) - 1)) + 1, end), batch);
	return ept_iter_end(&it);
}
EXPORT_SYMBOL_IF_KUNIT(ept_harvest);

/* The table of 4 KiB pages that has an address; NULL if there is none. */
static u64 *find_table(struct ept *ept, u64 gpa)
{
	u64 *table = ept->table;
	int level;

	for (level = ept->format.levels; level > 1; level--) {
		u64 entry = READ_ONCE(table[ept_index(gpa, level)]);

		if (!ept_present(entry) || ept_is_leaf(entry, level))
			return NULL;
		table = ept_table_of(entry);
	}
	return table;
}

/**
 * ept_mark() - pages were written, the CPU says
 * @ept: the tree; its lock is held
 * @gpas: guest-physical addresses of pages whose dirty bits the CPU set, which may
 *	have gone since
 * @count: how many
 */
void ept_mark(struct ept *ept, const u64 *gpas, unsigned int count)
{
	struct page *page = NULL;
	u64 found = U64_MAX;
	unsigned int i;

	lockdep_assert_held(ept->lock);
	for (i = 0; i < count; i++) {
		if (found != gpas[i] >> ept_shift(2)) {
			u64 *table = find_table(ept, gpas[i]);

			found = gpas[i] >> ept_shift(2);
			page = table ? virt_to_page(table) : NULL;
		}
		if (page)
			ept_mark_group(page, ept_index(gpas[i], 1));
	}
}
EXPORT_SYMBOL_IF_KUNIT(ept_mark);
