// SPDX-License-Identifier: GPL-2.0
/*
 * Removes shadow entries that the guest's tables no longer have, when an instruction
 * invalidates them. See the top of page.c.
 *
 * Instructions that invalidate are common, and tables that were written are few.
 * So they look only at a list, &shadow.watched: the tables that the guest can
 * write without an exit. One that it has not written for a while is guarded: no
 * entry maps it writable, and the next write is a page fault, after which the table is
 * watched again (shadow_unguard()). A table that changes all the time, like a process's
 * while it forks, costs no exit; one that never changes, like most of a kernel's,
 * costs nothing at all.
 *
 * The instruction compares all watched tables, whichever address space it
 * names. Each would need it sooner or later, and so entries always refer to
 * the guest's tables as of the last such instruction.
 */
#include <linux/mm.h>

#include "../vmx/caps.h"
#include "page.h"

/*
 * So often in a row a table has to be found unwritten before it is guarded. To
 * look at it costs a thirtieth of the fault that the next write would be.
 */
#define IDLE_MAX 24

/* Pages that map a table have small entries, see begin_table(). */
static u32 first_mapping(const struct shadow_page *sp)
{
	return sp->frames->mapped[sp->gfn % SHADOW_ENTRIES];
}

/*
 * Clear a bit of all entries that map a page's table: had one of them got it? CPUs
 * may go on as before until they flush.
 */
static bool test_and_clear_mappings(struct vmx_mmu *mmu, const struct shadow_page *table, u64 bit)
{
	struct shadow *s = mmu->shadow;
	u32 ref = first_mapping(table);
	bool had = false;

	while (ref) {
		struct shadow_page *sp = shadow_ref_page(s, ref);
		unsigned int i = ref % SHADOW_ENTRIES;

		if (READ_ONCE(sp->table[i]) & bit) {
			clear_bit(ilog2(bit), (unsigned long *)&sp->table[i]);
			had = true;
		}
		ref = sp->links[i].next;
	}
	if (had)
		vmx_mmu_narrowed(mmu);
	return had;
}

static void guard_table(struct vmx_mmu *mmu, struct shadow_page *sp)
{
	__set_bit(sp->gfn % SHADOW_ENTRIES, sp->frames->guarded);
	test_and_clear_mappings(mmu, sp, PT_WRITE);
}

/**
 * shadow_unguard() - a table is about to be mapped writable
 * @s: the shadow pages, the mmu's lock held
 * @gfn: frame of the table, which is guarded
 */
void shadow_unguard(struct shadow *s, u64 gfn)
{
	__clear_bit(gfn % SHADOW_ENTRIES, shadow_frames(s, gfn)->guarded);
	shadow_touch_tables(s, gfn);
}

/*
 * What a guest takes away most, the right to write, goes from the entry as well.
 * An entry that has lost its accessed bit has to be made anew, so that the bit is
 * set. False if it cannot stay.
 */
static bool can_stay(const struct shadow_page *sp, unsigned int i, u64 new)
{
	return new & PT_ACCESSED && sp->role.level == 1 && !sp->role.no_wp &&
	       !((sp->guest[i] ^ new) & ~(PT_WRITE | PT_DIRTY));
}

static void update(struct vmx_mmu *mmu, struct shadow_page *sp, unsigned int i, u64 new)
{
	sp->guest[i] = new;
	if (!(new & PT_WRITE) || !(new & PT_DIRTY))
		shadow_replace(mmu, sp, i, sp->table[i] & ~(PT_WRITE | PT_DIRTY));
}

/* Of entries of the guest's that have @size bytes. */
static __always_inline void compare_some(struct vmx_mmu *mmu, struct shadow_page *sp,
					 const void *table, unsigned int word, unsigned int size)
{
	const unsigned int first = word * BITS_PER_LONG;
	const u64 *kept = sp->guest + first, *now = (const u64 *)table + first;
	unsigned long left, gone = 0;

	for (left = sp->present[word]; left; left &= left - 1) {
		unsigned long i = __ffs(left);
		u64 new = size == 8 ? READ_ONCE(now[i]) :
			  READ_ONCE(((const u32 *)table)[shadow_guest_index(sp, first + i)]);

		if (new == kept[i])
			continue;
		if (can_stay(sp, first + i, new))
			update(mmu, sp, first + i, new);
		else
			gone |= BIT(i);
	}
	if (gone)
		shadow_drop_some(mmu, sp, word, gone);
}

static void compare(struct vmx_mmu *mmu, struct shadow_page *sp)
{
	const void *table = shadow_memory(mmu, sp->gfn << PAGE_SHIFT, false);
	unsigned int word;

	mmu->stats.syncs++;
	/* Without the table there is nothing, and everything goes. */
	if (!table) {
		shadow_drop_all(mmu, sp);
		return;
	}
	for (word = 0; word < ARRAY_SIZE(sp->present); word++)
		if (sp->role.format == PAGING_32BIT)
			compare_some(mmu, sp, table, word, 4);
		else
			compare_some(mmu, sp, table, word, 8);
}

/**
 * shadow_written() - may tables have been written since they were compared?
 * @mmu: the mmu, its lock held
 *
 * If too many are watched, the oldest are guarded, written or not.
 *
 * Context: any that the lock allows.
 * Return: true if there is something to do for shadow_sync(), which asks again.
 */
bool shadow_written(struct vmx_mmu *mmu)
{
	struct shadow *s = mmu->shadow;
	unsigned int surplus = 0;
	struct shadow_page *sp;
	bool found = false;

	if (unlikely(s->nr_watched > SHADOW_WATCHED_MAX))
		surplus = s->nr_watched - SHADOW_WATCHED_MAX / 2;
	list_for_each_entry(sp, &s->watched, watch) {
		if (test_and_clear_mappings(mmu, sp, PT_DIRTY))
			shadow_touch_tables(s, sp->gfn);
		sp->idle = sp->dirty ? 0 : sp->idle + 1;
		found |= sp->dirty;
		if (sp->idle < IDLE_MAX && !surplus)
			continue;
		guard_table(mmu, sp);
		found = true;
		if (surplus)
			surplus--;
	}
	return found;
}

static bool is_unused(const struct shadow_page *sp)
{
	return !sp->users && !sp->parents;
}

/*
 * What may have been written is compared. A table that nothing refers to, and that was
 * written or says nothing any more, has become something else, and goes.
 */
static void settle(struct vmx_mmu *mmu, struct shadow_page *sp, bool reap)
{
	bool written;

	/* After CPUs have flushed, dirty bits of guarded tables change no more. */
	if (shadow_is_guarded(sp) && test_and_clear_mappings(mmu, sp, PT_DIRTY))
		shadow_touch_tables(mmu->shadow, sp->gfn);
	written = sp->dirty;
	if (reap && written && is_unused(sp) && sp->role.level == 1) {
		shadow_zap(mmu, sp);
		return;
	}
	if (written) {
		sp->dirty = false;
		compare(mmu, sp);
	}
	if (shadow_is_guarded(sp) && !sp->dirty)
		shadow_unwatch(mmu->shadow, sp);
	if (reap && written && is_unused(sp) && bitmap_empty(sp->present, SHADOW_ENTRIES))
		shadow_zap(mmu, sp);
}

/* Those from a level up to another. */
static void settle_levels(struct vmx_mmu *mmu, unsigned int from, unsigned int to, bool reap)
{
	struct shadow_page *sp, *next;

	list_for_each_entry_safe(sp, next, &mmu->shadow->watched, watch)
		if (sp->role.level >= from && sp->role.level <= to)
			settle(mmu, sp, reap);
}

/**
 * shadow_sync() - nothing is left of what the guest's tables no longer say
 * @mmu: the mmu, its lock held
 * @reap: pages that nobody has in hand may go
 *
 * Context: interrupts on.
 */
void shadow_sync(struct vmx_mmu *mmu, bool reap)
{
	lockdep_assert_held(&mmu->lock);
	if (!shadow_written(mmu))
		return;
	/* From here on each write sets a dirty bit, or faults. */
	vmx_mmu_flush_cpus(mmu);
	/* Tables that a process leaves behind are those that no table refers to then. */
	settle_levels(mmu, 2, PT_MAX_LEVELS, reap);
	settle_levels(mmu, 1, 1, reap);
}

static void compare_tables(struct vmx_mmu *mmu, u64 gfn)
{
	struct shadow_page *sp;

	hlist_for_each_entry(sp, shadow_bucket(mmu->shadow, gfn), hash)
		if (sp->gfn == gfn && !sp->role.direct)
			compare(mmu, sp);
}

/* See to the next record that there is, or some of it; where to go on. */
static u64 sync_record(struct vmx_mmu *mmu, u64 gfn, u64 end)
{
	unsigned long index = gfn / SHADOW_ENTRIES;
	const struct shadow_frames *frames;
	unsigned long i, last;
	u64 first;

	frames = xa_find(&mmu->shadow->frames, &index, (end - 1) / SHADOW_ENTRIES, XA_PRESENT);
	if (!frames)
		return end;
	first = (u64)index * SHADOW_ENTRIES;
	i = first < gfn ? gfn - first : 0;
	last = min_t(u64, end - first, SHADOW_ENTRIES);
	for_each_set_bit_from(i, frames->tables, last) {
		compare_tables(mmu, first + i);
		/* The record may go as soon as others have the lock. */
		if (cond_resched_lock(&mmu->lock))
			return first + i + 1;
	}
	return first + SHADOW_ENTRIES;
}

/**
 * shadow_sync_frames() - the same for tables that the guest has not written
 * @mmu: the mmu, its lock held; others may have it meanwhile
 * @gfn: first frame
 * @count: of frames, not 0
 *
 * The CPU's dirty bits do not tell of them. Tables that others come to use meanwhile
 * are read as they are now, wherever they lie.
 *
 * Context: may sleep.
 */
void shadow_sync_frames(struct vmx_mmu *mmu, u64 gfn, u64 count)
{
	const u64 end = gfn + count;

	lockdep_assert_held(&mmu->lock);
	while (gfn < end) {
		gfn = sync_record(mmu, gfn, end);
		cond_resched_lock(&mmu->lock);
	}
}
