// SPDX-License-Identifier: GPL-2.0
/*
 * The engine builds, reads and frees the tables of a tree. How their entries look is the format's
 * (entry.h), by which it is compiled.
 *
 * All operations on an interval use one walk (iter.c). ept_install() is the only
 * way to map a page and ept_clear() the only way to unmap one, so the counters are right and
 * no entry is misconfigured. The CPU reads the tables at any time and sets
 * accessed and dirty bits in them, so entries change by single 64-bit accesses.
 *
 * See the top of mmu/mmu.c for locks and flushes.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>

#include <asm/cpufeature.h>

#include "../base/kunit-export.h"
#include "../base/ledger_time.h"
#include "internal.h"

static bool small_exec;
module_param(small_exec, bool, 0644);
MODULE_PARM_DESC(small_exec,
		 "make large pages non-executable, as on CPUs with the iTLB multihit erratum, in mmus created from now on");

/**
 * ept_find() - the entry that maps an address
 * @ept: the tree, its lock held
 * @gpa: guest-physical address
 * @level: set to its level, unless it is NULL
 *
 * Return: the entry; 0 if there is none.
 */
u64 ept_find(const struct ept *ept, u64 gpa, int *level)
{
	const u64 *table = ept->table;
	int at = ept->format.levels;

	if (gpa >> ept_gpa_bits(&ept->format))
		return 0;
	for (;; at--) {
		u64 entry = READ_ONCE(table[ept_index(gpa, at)]);

		if (!ept_present(entry))
			return 0;
		if (ept_is_leaf(entry, at)) {
			if (level)
				*level = at;
			return entry;
		}
		table = ept_table_of(entry);
	}
}

/**
 * ept_supports() - can entries express these permissions?
 * @ept: the tree
 * @prot: VMX_MMU_* bits, valid in themselves
 *
 * Return: whether they can.
 */
bool ept_supports(const struct ept *ept, u32 prot)
{
	const struct ept_format *fmt = &ept->format;

	return ((prot & VMX_MMU_READ) || fmt->exec_only) &&
	       (!(prot & VMX_MMU_EXEC_USER) || fmt->mode_exec) &&
	       (!(prot & VMX_MMU_VE) || fmt->absent);
}

/**
 * ept_init() - make an empty tree
 * @ept: zeroed memory
 * @format: what its entries may look like
 * @lock: what protects it
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int ept_init(struct ept *ept, struct ept_format format, spinlock_t *lock)
{
	struct page *page;

	ept->format = format;
	ept->lock = lock;
	INIT_LIST_HEAD(&ept->spare);
	INIT_LIST_HEAD(&ept->unlinked);
	page = ept_alloc_table(ept);
	if (!page)
		return -ENOMEM;
	ept->small_exec = small_exec || boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT);
	ept->table = page_address(page);
	ept->root = ept_pointer(&ept->format, page_to_phys(page));
	ept->largest = ept->format.large ? fls(ept->format.large) - 1 : 1;
	ept->count.tables = 1;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(ept_init);

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
	base_cond_resched_freed();
}

/**
 * ept_destroy() - free all tables
 * @ept: the tree; nobody uses its tables any more
 *
 * Context: may sleep.
 */
void ept_destroy(struct ept *ept)
{
	LIST_HEAD(tables);

	spin_lock(ept->lock);
	list_splice_init(&ept->spare, &tables);
	list_splice_init(&ept->unlinked, &tables);
	spin_unlock(ept->lock);
	ept_free_tables(&tables);
	ept_free_table(ept->table, ept->format.levels);
}
EXPORT_SYMBOL_IF_KUNIT(ept_destroy);

/*
 * Descend to the entry of map->gpa, at *level or, where there are smaller pages
 * already, below. Tables are made as needed. A larger page in the way goes: it
 * is there for the sake of another access, and too large for this one. NULL if
 * there are not enough spare tables.
 */
static u64 *ept_descend(struct ept *ept, u64 gpa, int *level)
{
	u64 *table = ept->table;
	int at = ept->format.levels;

	for (;; at--) {
		u64 *slot = &table[ept_index(gpa, at)];
		u64 entry = READ_ONCE(*slot);
		struct page *page;

		if (ept_present(entry) && !ept_is_leaf(entry, at)) {
			if (at > *level || !ept_unlink_empty(ept, slot)) {
				table = ept_table_of(entry);
				continue;
			}
			ept_narrowed(ept);
			entry = 0;
		}
		if (at <= *level) {
			*level = at;
			return slot;
		}
		page = ept_take_table(ept);
		if (!page)
			return NULL;
		if (ept_present(entry)) {
			ept_clear(ept, slot, gpa, at, false);
			ept_narrowed(ept);
			ept->count.splits++;
		}
		ept->count.tables++;
		/* A CPU may still run without the log. */
		if (ept->log == VMX_DIRTY_PML)
			set_page_private(page, TABLE_GROUPS);
		table = page_address(page);
		ept_count(slot, 1);
		WRITE_ONCE(*slot, ept_table_entry(&ept->format,
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
	const u32 exec = VMX_MMU_EXEC | VMX_MMU_EXEC_USER;

	if (!ept->small_exec || *level == 1 || !(*prot & exec))
		return;
	if ((access & exec) || !(*prot & VMX_MMU_READ))
		*level = 1;
	else
		*prot &= ~(exec | VMX_MMU_VE);
}

/**
 * ept_install() - make a translation, or widen it
 * @ept: the tree, its lock held
 * @map: what to install, at most as large as it says
 *
 * Return: its level, or -EAGAIN if more spare tables are needed.
 */
int ept_install(struct ept *ept, struct ept_mapping *map)
{
	u64 used = map->access ? EPT_ACCESSED : 0;
	int level = map->level;
	u32 prot = map->prot;
	u64 *slot, old, new, entry, written = 0;

	lockdep_assert_held(ept->lock);
	while (level > 1 && !(ept->format.large & BIT(level)))
		level--;
	ept_avoid_large_exec(ept, map->access, &prot, &level);
	slot = ept_descend(ept, map->gpa, &level);
	if (!slot)
		return -EAGAIN;
	if (level == 1)
		prot = map->prot;
	if (ept->log)
		written = ept_log_access(ept, slot, map->access, &prot);
	/* The access sets these anyway, and slower. */
	if (map->access & VMX_MMU_WRITE)
		used |= EPT_DIRTY;
	new = ept_leaf(&ept->format,
		       (map->pfn << PAGE_SHIFT) & ~(ept_span(level) - 1),
		       level, prot, map->memtype, used);
	if (WARN_ON_ONCE(!new))
		return -EFAULT;

	old = READ_ONCE(*slot);
	do {
		entry = new | written | (ept->log ? ept_written(ept, old) : 0);
		/*
		 * Another vCPU was here first, or this access needs more than
		 * the last one. What the entry allows is still allowed.
		 */
		if (ept_present(old) && !((old ^ new) & EPT_ADDR))
			entry = ept_union(entry, old);
		/* The CPU may be setting accessed and dirty bits. */
	} while (!try_cmpxchg64(slot, &old, entry));
	map->same = old == entry;
	if (old == ept->format.absent)
		ept_count(slot, 1);
	if (!ept_present(old)) {
		ept->count.pages[level - 1]++;
	} else if ((old ^ new) & EPT_ADDR) {
		ept_derived(ept, map->gpa, level);
		ept_narrowed(ept);
	}
	return level;
}
EXPORT_SYMBOL_IF_KUNIT(ept_install);

/**
 * ept_zap() - remove the translations of an interval
 * @ept: the tree, its lock held
 * @start: first guest-physical address; large pages go whole, even if only a part
 *	is in the interval
 * @end: end of the interval
 * @forget: the log is not to remember which of them were written
 *
 * Return: where it stopped, so that the caller can let others have the lock.
 */
u64 ept_zap(struct ept *ept, u64 start, u64 end, bool forget)
{
	struct ept_iter it;

	ept_iter_start(&it, ept, start, end);
	it.forget = forget;
	while (ept_iter_next(&it)) {
		if (ept_iter_partial(&it, start))
			ept->count.splits++;
		ept_iter_zap(&it);
	}
	return ept_iter_end(&it);
}
EXPORT_SYMBOL_IF_KUNIT(ept_zap);

/*
 * Has an entry to change so that it allows no more than @prot does? Only one that
 * allows just that may tell the guest of what it does not allow.
 */
static bool ept_exceeds(const struct ept_format *fmt, u64 entry, u32 prot)
{
	u32 have = ept_prot(fmt, entry);

	return (have & ~prot) || (have & VMX_MMU_VE && have != prot);
}

/**
 * ept_protect() - narrow the translations of an interval
 * @ept: the tree, its lock held
 * @start: first guest-physical address
 * @end: end of the interval
 * @prot: VMX_MMU_* bits that they may keep
 *
 * Return: where it stopped.
 */
u64 ept_protect(struct ept *ept, u64 start, u64 end, u32 prot)
{
	struct ept_iter it;

	ept_iter_start(&it, ept, start, end);
	while (ept_iter_next(&it)) {
		u64 old = READ_ONCE(*it.slot);
		u64 new;

		ept->left -= EPT_COST_PAGE;
		if (!ept_exceeds(&ept->format, old, prot))
			continue;
		if (ept_iter_partial(&it, start)) {
			ept->count.splits++;
			ept_iter_zap(&it);
			continue;
		}
		/* The CPU may be setting accessed and dirty bits. */
		do {
			new = ept_narrow(old, prot);
			if (ept_prot(&ept->format, new) != prot)
				new |= ept->format.absent;
		} while (ept_present(new) && !try_cmpxchg64(it.slot, &old, new));
		if (ept_present(new)) {
			ept->left -= EPT_COST_NARROW;
			ept_derived(ept, it.gpa, it.level);
			it.narrowed = true;
		} else {
			ept_iter_zap(&it);
		}
	}
	return ept_iter_end(&it);
}
EXPORT_SYMBOL_IF_KUNIT(ept_protect);

/**
 * ept_young() - was any page of an interval used?
 * @ept: the tree, its lock held
 * @start: first guest-physical address
 * @end: end of the interval
 * @clear: ask anew next time
 *
 * Without accessed bits a page that is mapped counts as used, and asking again
 * later takes away the mapping: if the guest still uses the page it will fault.
 * The host asks with a spinlock held: what the budget does not reach counts as
 * unused, which costs the guest a fault, and the host nothing.
 *
 * Return: whether one was, since this was asked with @clear.
 */
bool ept_young(struct ept *ept, u64 start, u64 end, bool clear)
{
	struct ept_iter it;
	bool young = false;

	ept_iter_start(&it, ept, start, end);
	while (ept_iter_next(&it)) {
		ept->left -= EPT_COST_PAGE;
		if (!ept->format.accessed_dirty) {
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
EXPORT_SYMBOL_IF_KUNIT(ept_young);

/**
 * ept_age() - remove the next table of small pages, unless it was used
 * @ept: the tree, its lock held
 * @start: first guest-physical address
 * @end: end of the interval
 *
 * The CPU sets the accessed bit of the entry that refers to a table when it goes
 * there; the bits in the table are for the host's question, which pages are in use.
 * Without such bits no table is better than another.
 *
 * Return: where it stopped: after that table, or in it if the rest is for another go.
 */
u64 ept_age(struct ept *ept, u64 start, u64 end)
{
	struct ept_iter it;

	ept_iter_start(&it, ept, start, end);
	if (ept_iter_next_table(&it, false)) {
		bool done = ept->format.accessed_dirty &&
			    test_and_clear_bit(EPT_ACCESSED_BIT, (unsigned long *)it.slot);

		/* A CPU sets the bit again only where it has not cached the entry. */
		it.narrowed = true;
		if (done || ept_iter_zap_table(&it))
			ept_iter_step(&it);
	}
	return ept_iter_end(&it);
}
EXPORT_SYMBOL_IF_KUNIT(ept_age);

/**
 * ept_walk() - read the entries on the way to an address
 * @ept: the tree, its lock held
 * @walk: its gpa is where to; the rest is filled in
 */
void ept_walk(const struct ept *ept, struct vmx_mmu_walk *walk)
{
	u64 *table = ept->table;
	int level = ept->format.levels;
	u32 prot = ~0;

	lockdep_assert_held(ept->lock);
	walk->top = level;
	for (;; level--) {
		u64 entry = READ_ONCE(table[ept_index(walk->gpa, level)]);

		walk->entry[level - 1] = entry;
		walk->leaf = level;
		if (!ept_present(entry))
			return;
		prot &= ept_prot(&ept->format, entry);
		if (ept_is_leaf(entry, level)) {
			walk->present = 1;
			walk->prot = prot;
			walk->memtype = ept_memtype(entry);
			return;
		}
		table = ept_table_of(entry);
	}
}
EXPORT_SYMBOL_IF_KUNIT(ept_walk);
