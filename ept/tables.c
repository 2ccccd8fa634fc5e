// SPDX-License-Identifier: GPL-2.0
/* The pages of EPT tables: spare ones, so that none is allocated under a lock. */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "../base/kunit-export.h"
#include "../base/ledger_time.h"
#include "internal.h"

/* Enough for a fault in an empty tree, times two for a second vCPU. */
#define SPARE_TABLES (2 * (EPT_MAX_LEVELS - 1))

/**
 * ept_alloc_table() - get an empty table
 * @ept: the tree
 *
 * Context: may sleep.
 * Return: a page; NULL if there is none.
 */
struct page *ept_alloc_table(const struct ept *ept)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT);

	if (page)
		memset64(page_address(page), ept->format.absent, PTRS_PER_PTE);
	return page;
}

/**
 * ept_top_up() - have spare tables enough for any one fault
 * @ept: the tree
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int ept_top_up(struct ept *ept)
{
	LIST_HEAD(pages);
	unsigned int have, i;

	have = READ_ONCE(ept->nr_spare);
	if (have >= EPT_MAX_LEVELS - 1)
		return 0;
	for (i = have; i < SPARE_TABLES; i++) {
		struct page *page = ept_alloc_table(ept);

		if (!page)
			break;
		list_add(&page->lru, &pages);
	}
	spin_lock(ept->lock);
	list_splice(&pages, &ept->spare);
	ept->nr_spare += i - have;
	spin_unlock(ept->lock);
	return i >= EPT_MAX_LEVELS - 1 ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_IF_KUNIT(ept_top_up);

/**
 * ept_take_table() - get an empty table without allocating
 * @ept: the tree; its lock is held
 *
 * Return: a page; NULL if there are no spare ones.
 */
struct page *ept_take_table(struct ept *ept)
{
	struct page *page;

	lockdep_assert_held(ept->lock);
	page = list_first_entry_or_null(&ept->spare, struct page, lru);
	if (page) {
		list_del(&page->lru);
		ept->nr_spare--;
	}
	return page;
}
EXPORT_SYMBOL_IF_KUNIT(ept_take_table);

/**
 * ept_free_tables() - free tables that no CPU uses any more
 * @tables: their pages, by @lru
 *
 * Context: preemption on, no locks; does not wait for anybody.
 */
void ept_free_tables(struct list_head *tables)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, tables, lru) {
		list_del(&page->lru);
		set_page_private(page, 0);
		__free_page(page);
		base_ledger_begin();
		/* Not cond_resched(), which would complain of notifiers that may not block. */
		if (need_resched())
			schedule();
	}
}
