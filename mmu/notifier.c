// SPDX-License-Identifier: GPL-2.0
/*
 * Requests of the host's memory management to an mmu: to release pages that are
 * about to be freed, moved, shared or write-protected, and to tell which ones
 * are in use. See the rules at the top of mmu.c.
 *
 * Removing a translation does not touch the page: without a reference, the page
 * may be gone. It was marked dirty when it was mapped writable, and
 * the host cannot clean it without an invalidation, after which the next write
 * marks it again.
 */
#include <linux/interval_tree.h>
#include <linux/minmax.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>

#include "mmu.h"

/**
 * struct part - the part of a range that an interval of userspace memory backs
 * @start: its first guest-physical address
 * @end: its end
 */
struct part {
	u64 start;
	u64 end;
};

static struct gphys_mmu *to_mmu(struct mmu_notifier *notifier)
{
	return container_of(notifier, struct gphys_mmu, notifier);
}

/* The part of the range at @node that [@start, @end) of userspace backs. */
static struct part part_of(struct interval_tree_node *node, unsigned long start,
			   unsigned long end)
{
	struct gphys_range *range = container_of(node, struct gphys_range, uaddr);
	u64 gpa = range->gpa.start;

	return (struct part) {
		.start = gpa + max(start, node->start) - node->start,
		.end = gpa + min(end - 1, node->last) - node->start + 1,
	};
}

/*
 * Remove what maps [@start, @end) of userspace memory. Others get the lock between
 * batches. If ranges changed meanwhile, the walk begins anew: what it has removed
 * stays away while the invalidation is in progress. Then whoever wants to change
 * ranges waits until it is over, or a program could keep the host here for ever.
 */
static void zap_user(struct gphys_mmu *mmu, unsigned long start,
		     unsigned long end)
	__must_hold(&mmu->lock)
{
	struct gphys_ranges *set = &mmu->ranges;
	struct interval_tree_node *node;
	bool unsettled = false;
	unsigned int edits;
	struct part part;

	lockdep_assert_held(&mmu->lock);
again:
	node = interval_tree_iter_first(&set->by_uaddr, start, end - 1);
	for (; node; node = interval_tree_iter_next(node, start, end - 1)) {
		part = part_of(node, start, end);
		while (part.start < part.end) {
			part.start = ept_zap(&mmu->ept, part.start, part.end, false);
			edits = set->edits;
			gphys_pause(mmu);
			if (likely(set->edits == edits))
				continue;
			if (!unsettled)
				WRITE_ONCE(mmu->unsettled, mmu->unsettled + 1);
			unsettled = true;
			goto again;
		}
	}
	if (unlikely(unsettled)) {
		WRITE_ONCE(mmu->unsettled, mmu->unsettled - 1);
		wake_up_all(&mmu->idle);
	}
}

static int invalidate_start(struct mmu_notifier *notifier,
			    const struct mmu_notifier_range *range)
{
	struct gphys_mmu *mmu = to_mmu(notifier);

	base_ledger_begin();
	spin_lock(&mmu->lock);
	/* One interval covers all in progress. That is simple, and rarely too wide. */
	if (!mmu->invalidating++) {
		mmu->inv_start = range->start;
		mmu->inv_end = range->end;
	} else {
		mmu->inv_start = min(mmu->inv_start, range->start);
		mmu->inv_end = max(mmu->inv_end, range->end);
	}
	mmu->stats.notified++;
	zap_user(mmu, range->start, range->end);
	spin_unlock(&mmu->lock);

	gphys_flush(mmu);
	base_ledger_end();
	return 0;
}

static void invalidate_end(struct mmu_notifier *notifier,
			   const struct mmu_notifier_range *range)
{
	struct gphys_mmu *mmu = to_mmu(notifier);
	bool idle;

	base_ledger_begin();
	spin_lock(&mmu->lock);
	/*
	 * A fault that got its page before this may have seen what the
	 * invalidation has since replaced.
	 */
	write_seqcount_begin(&mmu->seq);
	write_seqcount_end(&mmu->seq);
	idle = !--mmu->invalidating;
	spin_unlock(&mmu->lock);

	base_ledger_end();
	if (idle && wq_has_sleeper(&mmu->idle))
		wake_up_all(&mmu->idle);
}

static bool age_pages(struct mmu_notifier *notifier, unsigned long start,
		      unsigned long end, bool clear)
{
	struct gphys_mmu *mmu = to_mmu(notifier);
	struct interval_tree_node *node;
	unsigned int spent = 0;
	bool ret = false;

	base_ledger_begin();
	spin_lock(&mmu->lock);
	node = interval_tree_iter_first(&mmu->ranges.by_uaddr, start, end - 1);
	for (; node && spent < EPT_BUDGET; node = interval_tree_iter_next(node, start, end - 1)) {
		struct part part = part_of(node, start, end);

		ret |= ept_young(&mmu->ept, part.start, part.end, clear);
		spent += EPT_BUDGET - mmu->ept.left;
	}
	spin_unlock(&mmu->lock);
	base_ledger_end();
	return ret;
}

/*
 * No flush in either: a translation that some CPU still has cached makes a page
 * look older than it is, which does no harm, and the flush that matters comes
 * when the page is taken.
 */
static int clear_flush_young(struct mmu_notifier *notifier,
			     struct mm_struct *mm, unsigned long start,
			     unsigned long end)
{
	return age_pages(notifier, start, end, true);
}

static int clear_young(struct mmu_notifier *notifier, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	return age_pages(notifier, start, end, true);
}

static int test_young(struct mmu_notifier *notifier, struct mm_struct *mm,
		      unsigned long address)
{
	return age_pages(notifier, address, address + 1, false);
}

/* The owner's address space goes, and with it all pages. */
static void release_mm(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct gphys_mmu *mmu = to_mmu(notifier);

	base_ledger_begin();
	spin_lock(&mmu->lock);
	mmu->dead = true;
	zap_user(mmu, 0, ULONG_MAX);
	spin_unlock(&mmu->lock);

	gphys_flush(mmu);
	base_ledger_end();
}

/* Unlinked already; called when no notifier of the mmu runs any more. */
static void free_notifier(struct mmu_notifier *notifier)
{
	gphys_free(to_mmu(notifier));
}

const struct mmu_notifier_ops gphys_notifier_ops = {
	.release = release_mm,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.free_notifier = free_notifier,
};
