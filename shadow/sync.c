// SPDX-License-Identifier: GPL-2.0
/*
 * Taking away what the guest's tables no longer say, when an instruction
 * invalidates it. See the top of page.c.
 */
#include <linux/mm.h>

#include "../vmx/caps.h"
#include "page.h"

/**
 * struct sync - a search for tables that may have been written
 * @mmu: the mmu, its lock held
 * @level: lowest level of the tables that are looked at
 * @found: the pages found, by &shadow_page.sync
 */
struct sync {
	struct vmx_mmu *mmu;
	int level;
	struct list_head found;
};

/*
 * Has a frame been written since this was asked? Pages that map it have small
 * entries, see begin_table(). CPUs may go on without setting the bit again until
 * they flush.
 */
static bool test_and_clear_written(struct vmx_mmu *mmu, u64 gfn)
{
	struct shadow *s = mmu->shadow;
	bool written = false;
	u32 ref;

	ref = shadow_frames(s, gfn)->mapped[gfn % SHADOW_ENTRIES];
	while (ref) {
		struct shadow_page *sp = shadow_ref_page(s, ref);
		unsigned int i = ref % SHADOW_ENTRIES;

		if (READ_ONCE(sp->table[i]) & PT_DIRTY) {
			clear_bit(ilog2(PT_DIRTY), (unsigned long *)&sp->table[i]);
			written = true;
		}
		ref = sp->links[i].next;
	}
	if (written)
		vmx_mmu_narrowed(mmu);
	return written;
}

static void look_at(struct sync *sync, struct shadow_page *sp)
{
	if (test_and_clear_written(sync->mmu, sp->gfn))
		shadow_touch_tables(sync->mmu->shadow, sp->gfn);
	if (sp->dirty)
		list_add_tail(&sp->sync, &sync->found);
	sp->dirty = false;
}

/* Each page once, however many entries refer to it. */
static void search(struct sync *sync, struct shadow_page *sp)
{
	unsigned int i;

	if (sp->visit == sync->mmu->shadow->visit || sp->role.direct)
		return;
	sp->visit = sync->mmu->shadow->visit;
	look_at(sync, sp);
	if (sp->role.level <= sync->level)
		return;
	for_each_set_bit(i, sp->below, SHADOW_ENTRIES)
		search(sync, shadow_below(sp->table[i]));
}

static u64 guest_entry_of(const struct shadow_page *sp, const void *table, unsigned int i)
{
	const struct paging_mode mode = { .format = sp->role.format };

	i = shadow_guest_index(sp, i);
	return guest_read_entry(&mode, table + i * guest_entry_size(&mode));
}

/* Without the table there is nothing to compare, and everything goes. */
static void compare(struct vmx_mmu *mmu, struct shadow_page *sp)
{
	const void *table = shadow_memory(mmu, sp->gfn << PAGE_SHIFT, false);
	unsigned int i;

	mmu->stats.syncs++;
	for_each_set_bit(i, sp->present, SHADOW_ENTRIES)
		if (!table || guest_entry_of(sp, table, i) != sp->guest[i])
			shadow_drop(mmu, sp, i);
}

static void sync_found(struct sync *sync)
{
	struct shadow_page *sp, *next;

	if (list_empty(&sync->found))
		return;
	/* From here on each write sets a dirty bit. */
	vmx_mmu_flush_cpus(sync->mmu);
	list_for_each_entry_safe(sp, next, &sync->found, sync)
		compare(sync->mmu, sp);
}

static void sync_roots(struct vmx_mmu *mmu, struct vmx_paging *p, struct sync *sync)
{
	unsigned int n;

	lockdep_assert_held(&mmu->lock);
	mmu->shadow->visit++;
	for (n = 0; n < SHADOW_ROOTS; n++)
		if (p->root[n])
			search(sync, p->root[n]);
}

/**
 * shadow_sync_tree() - nothing is left of what the guest's tables no longer say
 * @mmu: the mmu, its lock held
 * @p: the vCPU's paging
 *
 * Context: interrupts on.
 */
void shadow_sync_tree(struct vmx_mmu *mmu, struct vmx_paging *p)
{
	struct sync sync = { .mmu = mmu, .level = 1, .found = LIST_HEAD_INIT(sync.found) };

	sync_roots(mmu, p, &sync);
	sync_found(&sync);
}

/**
 * shadow_sync_page() - the same for one page and all below it
 * @mmu: the mmu, its lock held
 * @sp: a page that is about to be referred to
 *
 * What an address space has not used since it was last told to invalidate, it
 * cannot have cached.
 *
 * Context: interrupts on.
 */
void shadow_sync_page(struct vmx_mmu *mmu, struct shadow_page *sp)
{
	struct sync sync = { .mmu = mmu, .level = 1, .found = LIST_HEAD_INIT(sync.found) };

	lockdep_assert_held(&mmu->lock);
	mmu->shadow->visit++;
	search(&sync, sp);
	sync_found(&sync);
}

/**
 * shadow_sync_frames() - the same for tables that the guest has not written
 * @mmu: the mmu, its lock held; others may have it meanwhile
 * @gfn: first frame
 * @count: of frames
 *
 * The CPU's dirty bits do not tell of them.
 *
 * Context: may sleep.
 */
void shadow_sync_frames(struct vmx_mmu *mmu, u64 gfn, u64 count)
{
	struct shadow *s = mmu->shadow;
	unsigned int id;

	lockdep_assert_held(&mmu->lock);
	for_each_set_bit(id, s->ids, SHADOW_PAGES_MAX + 1) {
		struct shadow_page *sp = s->pages[id];

		if (!sp->role.direct && sp->gfn - gfn < count)
			compare(mmu, sp);
		cond_resched_lock(&mmu->lock);
	}
}

/* The lowest page on the way to an address; NULL if there is none below a root. */
static struct shadow_page *last_page(struct vmx_paging *p, u64 gva)
{
	struct shadow_page *sp = p->root[p->mode.format == PAGING_LONG ? 0 : gva >> 30 & 3];

	while (sp && sp->role.level > 1) {
		unsigned int i = shadow_index(gva, sp->role.level);

		if (!test_bit(i, sp->below))
			return NULL;
		sp = shadow_below(sp->table[i]);
	}
	return sp;
}

/**
 * shadow_sync_address() - the same for what INVLPG invalidates
 * @mmu: the mmu, its lock held
 * @p: the vCPU's paging
 * @gva: linear address
 *
 * That is the address's own translation, and the entries that refer to tables,
 * of whatever address (SDM, "Operations that Invalidate TLBs and Paging-Structure
 * Caches").
 *
 * Context: interrupts on.
 */
void shadow_sync_address(struct vmx_mmu *mmu, struct vmx_paging *p, u64 gva)
{
	struct sync sync = { .mmu = mmu, .level = 2, .found = LIST_HEAD_INIT(sync.found) };
	struct shadow_page *sp;

	sync_roots(mmu, p, &sync);
	sp = last_page(p, gva);
	if (sp && !sp->role.direct)
		search(&sync, sp);
	sync_found(&sync);
}
