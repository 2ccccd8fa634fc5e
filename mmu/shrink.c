// SPDX-License-Identifier: GPL-2.0
/*
 * Frees page tables and shadow pages when the host needs memory. Any may go, since
 * guests fault and fill them again. Tables through which no
 * CPU has gone for a while, and the oldest shadow pages, go first.
 */
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/shrinker.h>
#include <linux/spinlock.h>

#include "../base/compat.h"
#include "mmu.h"

/* Whoever allocates may end up here: nothing is allocated with it held. */
static DEFINE_MUTEX(mmus_lock);
static LIST_HEAD(mmus);
static struct shrinker *shrinker;

static unsigned long count_tables(struct shrinker *unused, struct shrink_control *sc)
{
	unsigned long count = 0;
	struct gphys_mmu *mmu;

	if (!mutex_trylock(&mmus_lock))
		return 0;
	base_ledger_begin();
	list_for_each_entry(mmu, &mmus, link) {
		spin_lock(&mmu->lock);
		count += mmu->ept.count.tables;
		if (mmu->ept.derived)
			count += mmu->ept.derived->ops->count(mmu->ept.derived, &mmu->stats);
		spin_unlock(&mmu->lock);
		base_cond_resched();
	}
	base_ledger_end();
	mutex_unlock(&mmus_lock);
	return count;
}

/* Look at @count tables of an mmu, and shadow pages; how many went. */
static unsigned long shrink_tables(struct gphys_mmu *mmu, unsigned long count)
{
	struct ept_derived *derived = mmu->ept.derived;
	u64 end = 1ULL << ept_gpa_bits(&mmu->ept.format);
	unsigned long freed = 0, shadows = 0;
	u64 tables;

	if (derived)
		shadows = derived->ops->shrink(derived, count);

	spin_lock(&mmu->lock);
	/* The tables have the log. */
	while (count-- && !mmu->ept.log) {
		tables = mmu->ept.count.tables;
		mmu->shrink_at = ept_age(&mmu->ept, mmu->shrink_at, end);
		freed += tables - mmu->ept.count.tables;
		gphys_pause(mmu);
		if (mmu->shrink_at >= end)
			mmu->shrink_at = 0;
	}
	mmu->stats.shrunk += freed;
	spin_unlock(&mmu->lock);
	gphys_flush(mmu);
	return freed + shadows;
}

static unsigned long scan_tables(struct shrinker *unused, struct shrink_control *sc)
{
	unsigned long freed = SHRINK_STOP;
	struct gphys_mmu *mmu;

	if (!mutex_trylock(&mmus_lock))
		return SHRINK_STOP;
	base_ledger_begin();
	mmu = list_first_entry_or_null(&mmus, struct gphys_mmu, link);
	if (mmu) {
		/* Begin with another next time. */
		list_move_tail(&mmu->link, &mmus);
		freed = shrink_tables(mmu, sc->nr_to_scan);
	}
	base_ledger_end();
	mutex_unlock(&mmus_lock);
	return freed;
}

/**
 * gphys_add_shrinkable() - let the tables of an mmu give way
 * @mmu: the mmu
 *
 * Context: may sleep.
 */
void gphys_add_shrinkable(struct gphys_mmu *mmu)
{
	mutex_lock(&mmus_lock);
	list_add_tail(&mmu->link, &mmus);
	mutex_unlock(&mmus_lock);
}

/**
 * gphys_remove_shrinkable() - leave the tables of an mmu alone from here on
 * @mmu: the mmu, about to be dismantled
 *
 * Context: may sleep.
 */
void gphys_remove_shrinkable(struct gphys_mmu *mmu)
{
	mutex_lock(&mmus_lock);
	list_del(&mmu->link);
	mutex_unlock(&mmus_lock);
}

/**
 * gphys_shrinker_init() - register with the host's memory management
 *
 * Return: 0 or -ENOMEM.
 */
int gphys_shrinker_init(void)
{
	shrinker = base_register_shrinker(count_tables, scan_tables);
	return shrinker ? 0 : -ENOMEM;
}

/**
 * gphys_shrinker_exit() - undo gphys_shrinker_init()
 */
void gphys_shrinker_exit(void)
{
	base_unregister_shrinker(shrinker);
}
