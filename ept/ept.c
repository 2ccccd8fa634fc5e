// SPDX-License-Identifier: GPL-2.0
/*
 * The EPT engine of an mmu: builds, reads and takes apart the tables of the
 * SDM's chapter "The Extended Page Table Mechanism (EPT)".
 *
 * Everything that goes over an interval uses one walk (struct ept_iter), pages
 * come by ept_install() and go by ept_clear(), so that the counters are right and
 * no entry is misconfigured. The CPU reads the tables at any time and sets
 * accessed and dirty bits in them, so entries change by single 64-bit accesses.
 *
 * A table's page keeps in page_private() how many of its entries are not 0, and
 * TABLE_WRITTEN.
 *
 * See the top of vmx/mmu.c for locks and flushes.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include <asm/cpufeature.h>

#include "../vmx/caps.h"
#include "../vmx/kunit-export.h"
#include "../vmx/mmu.h"

/* Entries that a walk looks at before it offers to give up the lock. */
#define EPT_BUDGET 4096

#define TABLE_ENTRIES	GENMASK(15, 0)
/* Some page may be EPT_WRITTEN, if pages are logged by write protection. */
#define TABLE_WRITTEN	BIT(16)

static u64 *ept_table_of(u64 entry)
{
	return phys_to_virt(entry & EPT_ADDR);
}

static void ept_count(u64 *slot, int change)
{
	struct page *page = virt_to_page(slot);

	set_page_private(page, page_private(page) + change);
}

/* EPT_WRITTEN if the log has to tell of the page. */
static u64 ept_written(const struct vmx_mmu *mmu, u64 entry)
{
	if (mmu->log == VMX_DIRTY_BITS && (entry & EPT_DIRTY))
		return EPT_WRITTEN;
	return entry & EPT_WRITTEN;
}

/*
 * Remove a page; the caller sees to vmx_mmu_narrowed(). The log remembers it,
 * unless it is to @forget.
 */
static void ept_clear(struct vmx_mmu *mmu, u64 *slot, int level, bool forget)
{
	/* The CPU may be setting its dirty bit. */
	u64 old = xchg(slot, 0);

	if (ept_present(old))
		mmu->stats.pages[level - 1]--;
	if (mmu->log && level == 1 && !forget && ept_written(mmu, old))
		WRITE_ONCE(*slot, EPT_WRITTEN);
	else
		ept_count(slot, -1);
}

/**
 * struct ept_iter - a walk over the pages mapped in an interval
 * @mmu: the mmu
 * @gpa: where the walk is: the page found has it, or it is to look on from here
 * @end: end of the interval
 * @level: level of @slot
 * @slot: entry of the page found; NULL before the first
 * @table: the table of each level on the way to @gpa, down to @level
 * @forget: find pages that have gone, too; those zapped are forgotten
 * @budget: entries to look at before giving up
 * @narrowed: an entry was removed or narrowed; once a walk is often enough to
 *	say so
 */
struct ept_iter {
	struct vmx_mmu *mmu;
	u64 gpa;
	u64 end;
	int level;
	u64 *slot;
	u64 *table[EPT_MAX_LEVELS + 1];
	bool forget;
	unsigned int budget;
	bool narrowed;
};

static void ept_iter_start(struct ept_iter *it, struct vmx_mmu *mmu, u64 start,
			   u64 end)
{
	lockdep_assert_held(&mmu->lock);
	it->mmu = mmu;
	it->gpa = start;
	it->end = end;
	it->level = mmu->ept.format.levels;
	it->slot = NULL;
	it->table[it->level] = mmu->ept.table;
	it->forget = false;
	it->budget = UINT_MAX;
	it->narrowed = false;
}

/* End the walk; returns where it stopped. */
static u64 ept_iter_end(const struct ept_iter *it)
{
	if (it->narrowed)
		vmx_mmu_narrowed(it->mmu);
	return it->gpa;
}

static u64 *ept_iter_slot(const struct ept_iter *it, int level)
{
	return &it->table[level][ept_index(it->gpa, level)];
}

/* Go to what lies after the entry of it->level that has it->gpa. */
static void ept_iter_step(struct ept_iter *it)
{
	u64 span = ept_span(it->level);

	it->slot = NULL;
	it->gpa = (it->gpa & ~(span - 1)) + span;
	while (it->level < it->mmu->ept.format.levels &&
	       !ept_index(it->gpa, it->level))
		it->level++;
}

/*
 * Unlink the table that an entry refers to if it is empty; true if it was. The
 * caller sees to vmx_mmu_narrowed().
 */
static bool ept_unlink_empty(struct vmx_mmu *mmu, u64 *slot)
{
	struct page *page = virt_to_page(ept_table_of(*slot));

	if (page_private(page) & TABLE_ENTRIES)
		return false;
	WRITE_ONCE(*slot, 0);
	ept_count(slot, -1);
	list_add(&page->lru, &mmu->unlinked);
	mmu->stats.tables--;
	return true;
}

static bool ept_iter_unlink_empty(struct ept_iter *it, u64 *slot)
{
	bool empty = ept_unlink_empty(it->mmu, slot);

	it->narrowed |= empty;
	return empty;
}

/* An entry of the table of it->level went: go up while that left none. */
static void ept_iter_prune(struct ept_iter *it)
{
	int top = it->mmu->ept.format.levels;

	while (it->level < top &&
	       ept_iter_unlink_empty(it, ept_iter_slot(it, it->level + 1)))
		it->level++;
}

/* Find the next page; false at the end, or if the budget is used up. */
static bool ept_iter_next(struct ept_iter *it)
{
	if (it->slot)
		ept_iter_step(it);
	while (it->gpa < it->end && it->budget--) {
		u64 *slot = ept_iter_slot(it, it->level);
		u64 entry = READ_ONCE(*slot);

		if (!ept_present(entry) && !(it->forget && entry)) {
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

/* Remove the page found, and the tables that this leaves empty. */
static void ept_iter_zap(struct ept_iter *it)
{
	ept_clear(it->mmu, it->slot, it->level, it->forget);
	it->narrowed = true;
	ept_iter_prune(it);
}

/* Is the page found not all within the walk's interval? */
static bool ept_iter_partial(const struct ept_iter *it, u64 start)
{
	u64 span = ept_span(it->level);
	u64 base = it->gpa & ~(span - 1);

	return base < start || base + span > it->end;
}

static bool ept_supports(struct vmx_mmu *mmu, u32 prot)
{
	return (prot & VMX_MMU_READ) || mmu->ept.format.exec_only;
}

static unsigned int ept_mmu_gpa_bits(struct vmx_mmu *mmu)
{
	return ept_gpa_bits(&mmu->ept.format);
}

static int ept_init(struct vmx_mmu *mmu)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	struct ept *ept = &mmu->ept;

	if (!page)
		return -ENOMEM;
	ept->format = ept_format_of(&vmx_caps);
	ept->small_exec = boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT);
	ept->table = page_address(page);
	mmu->root = ept_pointer(&ept->format, page_to_phys(page));
	mmu->largest = ept->format.large ? fls(ept->format.large) - 1 : 1;
	mmu->stats.tables = 1;
	return 0;
}

static void ept_free_table(u64 *table, int level)
{
	struct page *page = virt_to_page(table);
	unsigned int i;

	for (i = 0; page_private(page) && level > 1 && i < PTRS_PER_PTE; i++) {
		u64 entry = table[i];

		if (ept_present(entry) && !ept_is_leaf(entry, level))
			ept_free_table(ept_table_of(entry), level - 1);
	}
	set_page_private(page, 0);
	__free_page(page);
	cond_resched();
}

static void ept_destroy(struct vmx_mmu *mmu)
{
	ept_free_table(mmu->ept.table, mmu->ept.format.levels);
}

/*
 * Descend to the entry of map->gpa, at *level or, where there are smaller pages
 * already, below. Tables are made as needed. A larger page in the way goes: it
 * is there for the sake of another access, and too large for this one. NULL if
 * there are not enough spare tables.
 */
static u64 *ept_descend(struct vmx_mmu *mmu, u64 gpa, int *level)
{
	u64 *table = mmu->ept.table;
	int at = mmu->ept.format.levels;

	for (;; at--) {
		u64 *slot = &table[ept_index(gpa, at)];
		u64 entry = READ_ONCE(*slot);
		struct page *page;

		if (ept_present(entry) && !ept_is_leaf(entry, at)) {
			if (at > *level || !ept_unlink_empty(mmu, slot)) {
				table = ept_table_of(entry);
				continue;
			}
			vmx_mmu_narrowed(mmu);
			entry = 0;
		}
		if (at <= *level) {
			*level = at;
			return slot;
		}
		page = vmx_table_take(mmu);
		if (!page)
			return NULL;
		if (ept_present(entry)) {
			ept_clear(mmu, slot, at, false);
			vmx_mmu_narrowed(mmu);
			mmu->stats.splits++;
		}
		mmu->stats.tables++;
		table = page_address(page);
		ept_count(slot, 1);
		WRITE_ONCE(*slot, ept_table_entry(&mmu->ept.format,
						  page_to_phys(page)));
	}
}

/*
 * Where large pages must not be executable, a fetch gets a small one, and any
 * other access a large one that a later fetch breaks up.
 */
static void ept_avoid_large_exec(struct ept *ept, u32 access, u32 *prot,
				 int *level)
{
	if (!ept->small_exec || *level == 1 || !(*prot & VMX_MMU_EXEC))
		return;
	if ((access & VMX_MMU_EXEC) || *prot == VMX_MMU_EXEC)
		*level = 1;
	else
		*prot &= ~VMX_MMU_EXEC;
}

/* Where pages are logged by write protection: only a write makes them writable. */
static u64 ept_log_write(u64 *slot, u32 access, u32 *prot)
{
	struct page *page = virt_to_page(slot);

	if (!(access & VMX_MMU_WRITE)) {
		*prot &= ~VMX_MMU_WRITE;
		return 0;
	}
	set_page_private(page, page_private(page) | TABLE_WRITTEN);
	return EPT_WRITTEN;
}

static int ept_install(struct vmx_mmu *mmu, const struct vmx_mapping *map)
{
	struct ept *ept = &mmu->ept;
	u64 used = map->access ? EPT_ACCESSED : 0;
	int level = map->level;
	u32 prot = map->prot;
	u64 *slot, old, new, entry, written = 0;

	lockdep_assert_held(&mmu->lock);
	while (level > 1 && !(ept->format.large & BIT(level)))
		level--;
	ept_avoid_large_exec(ept, map->access, &prot, &level);
	slot = ept_descend(mmu, map->gpa, &level);
	if (!slot)
		return -EAGAIN;
	if (level == 1)
		prot = map->prot;
	if (mmu->log == VMX_DIRTY_WRITE_PROTECT)
		written = ept_log_write(slot, map->access, &prot);
	/* The access is about to set these, at a cost. */
	if (map->access & VMX_MMU_WRITE)
		used |= EPT_DIRTY;
	new = ept_leaf(&ept->format,
		       (map->pfn << PAGE_SHIFT) & ~(ept_span(level) - 1),
		       level, prot, map->memtype, used);
	if (WARN_ON_ONCE(!new))
		return -EFAULT;

	old = READ_ONCE(*slot);
	do {
		entry = new | written | (mmu->log ? ept_written(mmu, old) : 0);
		/*
		 * Another vCPU was here first, or this access needs more than
		 * the last one. What the entry allows is still allowed.
		 */
		if (ept_present(old) && !((old ^ new) & EPT_ADDR))
			entry |= old & (EPT_RWX | EPT_ACCESSED | EPT_DIRTY);
		/* The CPU may be setting accessed and dirty bits. */
	} while (!try_cmpxchg64(slot, &old, entry));
	if (!old)
		ept_count(slot, 1);
	if (!ept_present(old))
		mmu->stats.pages[level - 1]++;
	else if ((old ^ new) & EPT_ADDR)
		vmx_mmu_narrowed(mmu);
	return level;
}

static u64 ept_zap(struct vmx_mmu *mmu, u64 start, u64 end, bool forget)
{
	struct ept_iter it;

	ept_iter_start(&it, mmu, start, end);
	it.forget = forget;
	it.budget = EPT_BUDGET;
	while (ept_iter_next(&it)) {
		if (ept_iter_partial(&it, start))
			mmu->stats.splits++;
		ept_iter_zap(&it);
	}
	return ept_iter_end(&it);
}

static u64 ept_protect(struct vmx_mmu *mmu, u64 start, u64 end, u32 prot)
{
	struct ept_iter it;

	ept_iter_start(&it, mmu, start, end);
	it.budget = EPT_BUDGET;
	while (ept_iter_next(&it)) {
		u64 old = READ_ONCE(*it.slot);
		u64 new;

		if (!((old & EPT_RWX) & ~prot))
			continue;
		if (ept_iter_partial(&it, start)) {
			mmu->stats.splits++;
			ept_iter_zap(&it);
			continue;
		}
		/* The CPU may be setting accessed and dirty bits. */
		do {
			new = old & (~EPT_RWX | prot);
		} while (ept_present(new) && !try_cmpxchg64(it.slot, &old, new));
		if (ept_present(new))
			it.narrowed = true;
		else
			ept_iter_zap(&it);
	}
	return ept_iter_end(&it);
}

/*
 * Without accessed bits a page that is mapped counts as used, and asking again
 * later takes away the mapping: if the guest still uses the page it will fault.
 */
static bool ept_young(struct vmx_mmu *mmu, u64 start, u64 end, bool clear)
{
	struct ept_iter it;
	bool young = false;

	ept_iter_start(&it, mmu, start, end);
	while (ept_iter_next(&it)) {
		if (!mmu->ept.format.accessed_dirty) {
			young = true;
			if (clear)
				ept_iter_zap(&it);
		} else if (clear) {
			young |= test_and_clear_bit(EPT_ACCESSED_BIT,
						    (unsigned long *)it.slot);
		} else {
			young |= !!(READ_ONCE(*it.slot) & EPT_ACCESSED);
		}
	}
	ept_iter_end(&it);
	return young;
}

/*
 * Go to the next table of 4 KiB pages; NULL at the end, or if the budget is used
 * up. Large pages on the way go if they are to be @split.
 */
static u64 *ept_iter_next_table(struct ept_iter *it, bool split)
{
	if (it->slot)
		ept_iter_step(it);
	while (it->gpa < it->end && it->budget--) {
		u64 *slot = ept_iter_slot(it, it->level);
		u64 entry = READ_ONCE(*slot);

		if (!ept_present(entry)) {
			ept_iter_step(it);
		} else if (ept_is_leaf(entry, it->level)) {
			if (split) {
				ept_clear(it->mmu, slot, it->level, true);
				it->mmu->stats.splits++;
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

/* What an entry loses when the log begins anew for its page. */
static u64 ept_log_bits(const struct vmx_mmu *mmu)
{
	switch (mmu->log) {
	case VMX_DIRTY_WRITE_PROTECT:
		return EPT_WRITTEN | EPT_WRITE;
	case VMX_DIRTY_BITS:
		return EPT_WRITTEN | EPT_DIRTY;
	default:
		return EPT_WRITTEN;
	}
}

static void ept_log_anew(u64 *slot, u64 bits)
{
	u64 old = READ_ONCE(*slot), new;

	/* The CPU may be setting accessed and dirty bits. */
	do {
		new = ept_present(old) ? old & ~bits : 0;
	} while (!try_cmpxchg64(slot, &old, new));
	if (!new)
		ept_count(slot, -1);
}

/* One table at a time, since userspace may have very many. */
static u64 ept_relog(struct vmx_mmu *mmu, u64 start, u64 end)
{
	u64 bits = ept_log_bits(mmu);
	struct ept_iter it;
	u64 *table;
	int i;

	ept_iter_start(&it, mmu, start, end);
	it.budget = EPT_BUDGET;
	table = ept_iter_next_table(&it, mmu->log);
	if (table) {
		for (i = 0; i < PTRS_PER_PTE; i++)
			if (READ_ONCE(table[i]) & bits)
				ept_log_anew(&table[i], bits);
		it.narrowed = true;
		ept_iter_step(&it);
	}
	return ept_iter_end(&it);
}

/* Look at the pages of a table from it->gpa up to @end. */
static void ept_harvest_table(struct ept_iter *it, u64 *table, u64 end,
			      struct vmx_dirty_batch *batch)
{
	u64 bits = ept_log_bits(it->mmu), gpa;
	/* A page is writable only if it is logged already. */
	u64 dirty = bits & (EPT_WRITTEN | EPT_DIRTY);

	for (gpa = it->gpa; gpa < end; gpa += PAGE_SIZE) {
		u64 *slot = &table[ept_index(gpa, 1)];

		if (!(READ_ONCE(*slot) & dirty))
			continue;
		__set_bit((gpa - batch->gpa) >> PAGE_SHIFT, batch->bitmap);
		batch->dirty++;
		ept_log_anew(slot, bits);
		it->narrowed = true;
	}
}

static u64 ept_harvest(struct vmx_mmu *mmu, u64 start, u64 end,
		       struct vmx_dirty_batch *batch)
{
	struct ept_iter it;
	u64 *table;

	ept_iter_start(&it, mmu, start, end);
	it.budget = EPT_BUDGET / 64;
	while ((table = ept_iter_next_table(&it, false))) {
		struct page *page = virt_to_page(table);
		u64 next = (it.gpa | (ept_span(2) - 1)) + 1;
		bool whole = it.gpa == next - ept_span(2) && next <= end;

		if (mmu->log == VMX_DIRTY_WRITE_PROTECT) {
			if (!(page_private(page) & TABLE_WRITTEN))
				continue;
			if (whole)
				set_page_private(page, page_private(page) &
						 ~TABLE_WRITTEN);
		}
		ept_harvest_table(&it, table, min(next, end), batch);
	}
	return ept_iter_end(&it);
}

static void ept_walk(struct vmx_mmu *mmu, struct vmx_mmu_walk *walk)
{
	u64 *table = mmu->ept.table;
	int level = mmu->ept.format.levels;
	u32 prot = EPT_RWX;

	lockdep_assert_held(&mmu->lock);
	walk->top = level;
	for (;; level--) {
		u64 entry = READ_ONCE(table[ept_index(walk->gpa, level)]);

		walk->entry[level - 1] = entry;
		walk->leaf = level;
		prot &= entry;
		if (!ept_present(entry))
			return;
		if (ept_is_leaf(entry, level)) {
			walk->present = 1;
			walk->prot = prot;
			walk->memtype = (entry & EPT_MEMTYPE) >>
					EPT_MEMTYPE_SHIFT;
			return;
		}
		table = ept_table_of(entry);
	}
}

const struct vmx_mmu_ops vmx_mmu_ept_ops = {
	.supports = ept_supports,
	.gpa_bits = ept_mmu_gpa_bits,
	.init = ept_init,
	.destroy = ept_destroy,
	.install = ept_install,
	.zap = ept_zap,
	.protect = ept_protect,
	.young = ept_young,
	.relog = ept_relog,
	.harvest = ept_harvest,
	.walk = ept_walk,
};
EXPORT_SYMBOL_IF_KUNIT(vmx_mmu_ept_ops);
