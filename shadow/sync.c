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
 * The instruction compares all tables that were written, whichever address space it
 * names. Each would need it sooner or later, and so entries always refer to
 * the guest's tables as of the last such instruction.
 *
 * That can be much. The tables wait in a queue, &shadow.queue, and are compared one
 * by one. When another thread's turn comes, the vCPU leaves the CPU; it later goes on
 * up to the table that was last in the queue when it began. The guest goes on after
 * that.
 */
#include <linux/mm.h>

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
static bool test_and_clear_mappings(struct shadow *s, const struct shadow_page *table, u64 bit)
{
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
		ept_narrowed(s->derived.map);
	return had;
}

/* It is looked at once more when CPUs have flushed, and write it no more. */
static void guard_table(struct shadow *s, struct shadow_page *sp)
{
	__set_bit(sp->gfn % SHADOW_ENTRIES, sp->frames->guarded);
	test_and_clear_mappings(s, sp, SHADOW_WRITE);
	shadow_enqueue(s, sp);
}

/**
 * shadow_unguard() - a table is about to be mapped writable
 * @s: the shadow pages, the map's lock held
 * @gfn: frame of the table, which is guarded
 */
void shadow_unguard(struct shadow *s, u64 gfn)
{
	struct shadow_page *sp;

	__clear_bit(gfn % SHADOW_ENTRIES, shadow_frames(s, gfn)->guarded);
	hlist_for_each_entry(sp, shadow_bucket(s, gfn), hash)
		if (sp->gfn == gfn && !sp->role.direct)
			shadow_watch(s, sp);
	shadow_touch_tables(s, gfn);
}

/*
 * What a guest takes away most, the right to write, goes from the entry as well.
 * For all else the entry has to be made anew: if the accessed bit went, so that it is
 * set again. False if it cannot stay.
 */
static bool can_stay(const struct shadow_page *sp, unsigned int i, u64 new)
{
	return sp->role.level == 1 && !sp->role.no_wp &&
	       !((sp->guest[i] ^ new) & ~(SHADOW_WRITE | SHADOW_DIRTY));
}

static void update_entry(struct shadow *s, struct shadow_page *sp, unsigned int i, u64 new)
{
	sp->guest[i] = new;
	if (!(new & SHADOW_WRITE) || !(new & SHADOW_DIRTY))
		shadow_replace(s, sp, i, sp->table[i] & ~(SHADOW_WRITE | SHADOW_DIRTY));
}

/* Of entries of the guest's that have @size bytes. */
static __always_inline void compare_some(struct shadow *s, struct shadow_page *sp,
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
			update_entry(s, sp, first + i, new);
		else
			gone |= BIT(i);
	}
	if (gone)
		shadow_drop_some(s, sp, word, gone);
}

static void compare_page(struct shadow *s, struct shadow_page *sp)
{
	const void *table = shadow_memory(s, sp->gfn << PAGE_SHIFT, false);
	unsigned int word;

	s->syncs++;
	/* The map no longer has the table: all entries go. */
	if (!table) {
		shadow_drop_all(s, sp);
		return;
	}
	for (word = 0; word < ARRAY_SIZE(sp->present); word++)
		if (sp->role.format == SHADOW_GUEST_32BIT)
			compare_some(s, sp, table, word, 4);
		else
			compare_some(s, sp, table, word, 8);
}

/**
 * shadow_written() - may tables have been written since they were compared?
 * @s: the shadow pages, the map's lock held
 *
 * Those that were are queued. If too many are watched, the oldest are guarded, written
 * or not.
 *
 * Context: any that the lock allows.
 * Return: true if there is something to do for shadow_sync(), which asks again.
 */
bool shadow_written(struct shadow *s)
{
	struct shadow_page *sp, *next;
	unsigned int surplus = 0;

	if (unlikely(s->nr_watched > SHADOW_WATCHED_MAX))
		surplus = s->nr_watched - SHADOW_WATCHED_MAX / 2;
	list_for_each_entry_safe(sp, next, &s->watched, watch) {
		if (test_and_clear_mappings(s, sp, SHADOW_DIRTY))
			shadow_touch_tables(s, sp->gfn);
		sp->idle = sp->written ? 0 : sp->idle + 1;
		if (sp->idle < IDLE_MAX && !surplus && !shadow_is_guarded(sp))
			continue;
		if (!shadow_is_guarded(sp))
			guard_table(s, sp);
		shadow_unwatch(s, sp);
		if (surplus)
			surplus--;
	}
	return !list_empty(&s->queue[0]) || !list_empty(&s->queue[1]);
}

static bool is_unused(const struct shadow_page *sp)
{
	return !sp->users && !sp->parents;
}

/*
 * What may have been written is compared. A table that nothing refers to, and that was
 * written or says nothing any more, has become something else, and goes.
 */
static void settle_page(struct shadow *s, struct shadow_page *sp, bool reap)
{
	bool written;

	/* From here on each write sets a dirty bit, or faults. */
	if (atomic64_read(&s->derived.map->flushed) <
	    min_t(s64, sp->flush_gen, atomic64_read(&s->derived.map->flush_gen)))
		s->derived.map->owner->flush_cpus(s->derived.map);
	/* Dirty bits of guarded tables are final now. The frame may have other tables. */
	if (shadow_is_guarded(sp) && test_and_clear_mappings(s, sp, SHADOW_DIRTY))
		shadow_touch_tables(s, sp->gfn);
	list_del_init(&sp->todo);
	written = sp->written;
	sp->written = false;
	if (!written)
		return;
	if (reap && is_unused(sp) && sp->role.level == 1) {
		shadow_zap(s, sp);
		return;
	}
	compare_page(s, sp);
	if (reap && is_unused(sp) && bitmap_empty(sp->present, SHADOW_ENTRIES))
		shadow_zap(s, sp);
}

/*
 * The first that was queued up to then; NULL if there is none. Tables that a process
 * leaves behind are those that no table refers to any more: tables of pages come last.
 */
static struct shadow_page *next_in_queue(struct shadow *s, u64 until)
{
	struct shadow_page *sp;
	unsigned int n;

	for (n = 0; n < ARRAY_SIZE(s->queue); n++) {
		sp = list_first_entry_or_null(&s->queue[n], struct shadow_page, todo);
		if (sp && sp->since <= until)
			return sp;
	}
	return NULL;
}

/*
 * Between two tables: may the thread go on? Others get the lock, unless the caller has
 * pages in hand.
 */
static bool may_go_on(struct shadow *s, bool alone)
{
	base_ledger_look();
	if (need_resched())
		return false;
	if (likely(!spin_is_contended(s->derived.map->lock)))
		return true;
	if (!alone)
		return false;
	spin_unlock(s->derived.map->lock);
	spin_lock(s->derived.map->lock);
	return true;
}

static bool settle_until(struct shadow *s, u64 until, bool alone)
{
	struct shadow_page *sp;

	while ((sp = next_in_queue(s, until))) {
		settle_page(s, sp, alone);
		if (!may_go_on(s, alone))
			return !next_in_queue(s, until);
	}
	return true;
}

/**
 * shadow_sync() - nothing is left of what the guest's tables no longer say
 * @s: the shadow pages, the map's lock held
 * @until: 0 to begin; what to go on with otherwise, and 0 again in the end
 * @alone: the caller has no pages in hand: they may go, and others may have the lock
 *	meanwhile
 *
 * Context: interrupts on.
 * Return: false if it is another thread's turn, or another's who wants the lock: ask
 * again.
 */
bool shadow_sync(struct shadow *s, u64 *until, bool alone)
{
	lockdep_assert_held(s->derived.map->lock);
	if (!*until) {
		if (!shadow_written(s))
			return true;
		*until = s->touched;
	}
	if (!settle_until(s, *until, alone))
		return false;
	*until = 0;
	return true;
}

/**
 * shadow_reread() - compare all tables, whoever wrote them
 * @s: the shadow pages, the map's lock held; others may have it meanwhile
 * @until: which time it is, by &shadow.reread
 *
 * Context: interrupts on.
 * Return: false if it is another thread's turn: ask again.
 */
bool shadow_reread(struct shadow *s, u64 until)
{
	struct shadow_page *sp;

	for (;;) {
		sp = list_first_entry_or_null(&s->used, struct shadow_page, list);
		if (!sp || sp->reread >= until)
			return true;
		list_move_tail(&sp->list, &s->used);
		sp->reread = s->reread;
		if (!sp->role.direct)
			compare_page(s, sp);
		if (!may_go_on(s, true))
			return false;
	}
}

/* Queue the tables of the next record that there is, or some of them; where to go on. */
static u64 touch_record(struct shadow *s, u64 gfn, u64 end)
	__must_hold(s->derived.map->lock)
{
	unsigned long index = gfn / SHADOW_ENTRIES;
	const struct shadow_frames *frames;
	unsigned long i, last;
	u64 first;

	frames = xa_find(&s->frames, &index, (end - 1) / SHADOW_ENTRIES, XA_PRESENT);
	if (!frames)
		return end;
	first = (u64)index * SHADOW_ENTRIES;
	i = first < gfn ? gfn - first : 0;
	last = min_t(u64, end - first, SHADOW_ENTRIES);
	for_each_set_bit_from(i, frames->tables, last) {
		shadow_touch_tables(s, first + i);
		/* The record may go as soon as others have the lock. */
		if (ept_pause(s->derived.map))
			return first + i + 1;
	}
	return first + SHADOW_ENTRIES;
}

/**
 * shadow_sync_frames() - the same for tables that the guest has not written
 * @derived: of the shadow pages, the map's lock held; others may have it meanwhile
 * @gfn: first frame
 * @count: of frames, not 0
 *
 * The CPU's dirty bits do not tell of them. Tables that others come to use meanwhile
 * are read as they are now, wherever they lie.
 *
 * Context: may sleep.
 */
void shadow_sync_frames(struct ept_derived *derived, u64 gfn, u64 count)
	__must_hold(derived->map->lock)
{
	struct shadow *s = shadow_of(derived);
	const u64 end = gfn + count;
	u64 until;

	lockdep_assert_held(s->derived.map->lock);
	while (gfn < end) {
		gfn = touch_record(s, gfn, end);
		ept_pause(s->derived.map);
	}
	until = s->touched;
	while (!settle_until(s, until, true))
		ept_pause(s->derived.map);
}
