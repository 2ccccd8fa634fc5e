// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of shadow pages and of the records that index them. There is
 * enough for any one fault, never more than a bound, and less when the host wants it
 * back. Nothing is allocated with the map's lock held.
 */
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "page.h"

/* Shadow pages that go at a time when there are too many. */
#define EVICT_BATCH 64

static void free_page_parts(struct shadow_page *sp)
{
	if (sp->table)
		set_page_private(virt_to_page(sp->table), 0);
	free_page((unsigned long)sp->table);
	free_page((unsigned long)sp->guest);
	free_page((unsigned long)sp->links);
	kfree(sp);
}

static struct shadow_page *new_page(void)
{
	struct shadow_page *sp = kzalloc(sizeof(*sp), GFP_KERNEL_ACCOUNT);

	if (!sp)
		return NULL;
	sp->table = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	sp->guest = (u64 *)__get_free_page(GFP_KERNEL_ACCOUNT);
	sp->links = (struct shadow_link *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!sp->table || !sp->guest || !sp->links) {
		free_page_parts(sp);
		return NULL;
	}
	set_page_private(virt_to_page(sp->table), (unsigned long)sp);
	INIT_LIST_HEAD(&sp->watch);
	INIT_LIST_HEAD(&sp->todo);
	return sp;
}

/* Pages that were taken out of everything can be used again after a flush. */
static void recycle_page(struct shadow *s)
{
	struct shadow_page *sp;
	LIST_HEAD(pages);

	spin_lock(s->derived.map->lock);
	list_splice_init(&s->unlinked, &pages);
	spin_unlock(s->derived.map->lock);
	if (list_empty(&pages))
		return;
	s->derived.map->owner->flush(s->derived.map);
	spin_lock(s->derived.map->lock);
	list_for_each_entry(sp, &pages, list)
		s->nr_spare++;
	list_splice(&pages, &s->spare);
	spin_unlock(s->derived.map->lock);
}

static struct shadow_page *oldest_page(const struct shadow *s)
{
	struct shadow_page *sp;

	list_for_each_entry(sp, &s->used, list)
		if (!sp->users)
			return sp;
	return NULL;
}

/* Make spare pages of the oldest. */
static void evict_pages(struct shadow *s, unsigned int count)
{
	struct shadow_page *sp;

	spin_lock(s->derived.map->lock);
	while (count-- && (sp = oldest_page(s))) {
		shadow_zap(s, sp);
		s->evictions++;
		ept_pause(s->derived.map);
	}
	spin_unlock(s->derived.map->lock);
	recycle_page(s);
}

/**
 * shadow_limit_roles() - a frame is about to have a page in yet another role
 * @s: the shadow pages, the map's lock held
 * @gfn: the frame
 * @direct: of which kind the page is
 *
 * The oldest makes room, but for pages that have users: vCPUs, and whoever asks.
 */
void shadow_limit_roles(struct shadow *s, u64 gfn, bool direct)
{
	struct shadow_page *sp, *last = NULL;
	unsigned int count = 0;

	hlist_for_each_entry(sp, shadow_bucket(s, gfn), hash) {
		if (sp->gfn != gfn || sp->role.direct != direct || sp->users)
			continue;
		last = sp;
		count++;
	}
	if (count < SHADOW_ROLES_MAX)
		return;
	shadow_zap(s, last);
	s->evictions++;
}

/* One more spare page, if there may be; it gets its number under the lock. */
static bool add_page(struct shadow *s)
{
	struct shadow_page *sp = new_page();

	if (!sp)
		return false;
	spin_lock(s->derived.map->lock);
	if (s->nr_pages < SHADOW_PAGES_MAX) {
		sp->id = find_next_zero_bit(s->ids, SHADOW_PAGES_MAX + 1, 1);
		__set_bit(sp->id, s->ids);
		s->pages[sp->id] = sp;
		s->nr_pages++;
		list_add(&sp->list, &s->spare);
		s->nr_spare++;
		sp = NULL;
	}
	spin_unlock(s->derived.map->lock);
	if (sp)
		free_page_parts(sp);
	return true;
}

static int add_frames(struct shadow *s, u64 gfn)
{
	struct shadow_frames *frames;
	int err;

	if (xa_load(&s->frames, gfn / SHADOW_ENTRIES))
		return 0;
	frames = kzalloc(sizeof(*frames), GFP_KERNEL_ACCOUNT);
	if (!frames)
		return -ENOMEM;
	frames->index = gfn / SHADOW_ENTRIES;
	INIT_LIST_HEAD(&frames->doomed);
	err = xa_insert(&s->frames, gfn / SHADOW_ENTRIES, frames, GFP_KERNEL_ACCOUNT);
	if (err) {
		kfree(frames);
		return err == -EBUSY ? 0 : err;
	}
	spin_lock(s->derived.map->lock);
	s->nr_frames++;
	spin_unlock(s->derived.map->lock);
	return 0;
}

/**
 * shadow_top_up() - have what any one fault needs
 * @s: the shadow pages
 * @gfn: a frame that there have to be records for, or ~0
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int shadow_top_up(struct shadow *s, u64 gfn)
{
	int err = gfn == ~0ULL ? 0 : add_frames(s, gfn);

	if (err)
		return err;
	if (READ_ONCE(s->nr_spare) < SHADOW_SPARE)
		recycle_page(s);
	while (READ_ONCE(s->nr_spare) < 2 * SHADOW_SPARE) {
		if (READ_ONCE(s->nr_pages) >= SHADOW_PAGES_MAX) {
			evict_pages(s, EVICT_BATCH);
			break;
		}
		if (!add_page(s))
			return READ_ONCE(s->nr_spare) < SHADOW_SPARE ? -ENOMEM : 0;
	}
	return 0;
}

static void free_list(struct list_head *list)
{
	struct shadow_page *sp, *next;

	list_for_each_entry_safe(sp, next, list, list) {
		free_page_parts(sp);
		base_cond_resched_freed();
	}
}

/* Free some spare pages; how many. */
static unsigned long free_spare(struct shadow *s, unsigned long count)
{
	struct shadow_page *sp;
	unsigned long freed = 0;
	LIST_HEAD(pages);

	spin_lock(s->derived.map->lock);
	while (freed < count && s->nr_spare) {
		sp = list_first_entry(&s->spare, struct shadow_page, list);
		list_move(&sp->list, &pages);
		s->nr_spare--;
		s->nr_pages--;
		s->pages[sp->id] = NULL;
		__clear_bit(sp->id, s->ids);
		freed++;
		ept_pause(s->derived.map);
	}
	spin_unlock(s->derived.map->lock);
	free_list(&pages);
	return freed;
}

/* Has no entry, and no shadow page, to do with these frames? */
static bool frames_unused(const struct shadow_frames *frames)
{
	return !frames->large && list_empty(&frames->doomed) &&
	       bitmap_empty(frames->tables, SHADOW_ENTRIES) &&
	       !memchr_inv(frames->mapped, 0, sizeof(frames->mapped));
}

/* Look at some records, and free those that nothing needs. */
static void free_frames(struct shadow *s, unsigned long count)
{
	struct shadow_frames *frames, *next;
	LIST_HEAD(unused);

	spin_lock(s->derived.map->lock);
	for (; count; count--, s->shrink_at++) {
		frames = xa_find(&s->frames, &s->shrink_at, ULONG_MAX, XA_PRESENT);
		if (!frames) {
			s->shrink_at = 0;
			break;
		}
		if (frames_unused(frames)) {
			xa_erase(&s->frames, s->shrink_at);
			list_add(&frames->doomed, &unused);
			s->last = NULL;
			s->nr_frames--;
		}
		ept_pause(s->derived.map);
	}
	spin_unlock(s->derived.map->lock);
	base_cond_resched();
	list_for_each_entry_safe(frames, next, &unused, doomed) {
		kfree(frames);
		base_cond_resched_freed();
	}
}

/* The oldest go, used or not, but for roots that a vCPU has. */
static unsigned long shrink_pages(struct ept_derived *derived, unsigned long count)
{
	struct shadow *s = shadow_of(derived);
	unsigned long spare = READ_ONCE(s->nr_spare);

	if (spare < count)
		evict_pages(s, count - spare);
	free_frames(s, count);
	return free_spare(s, count);
}

static unsigned long count_pages(const struct ept_derived *derived, struct vmx_mmu_stats *stats)
{
	const struct shadow *s = container_of(derived, struct shadow, derived);

	stats->shadow_pages = s->nr_used;
	stats->shadow_bytes = sizeof(*s) + s->nr_frames * sizeof(struct shadow_frames) +
			      s->nr_pages * (3 * PAGE_SIZE + sizeof(struct shadow_page));
	stats->evictions = s->evictions;
	stats->syncs = s->syncs;
	return s->nr_pages;
}

static void free_shadow(struct ept_derived *derived)
{
	struct shadow *s = shadow_of(derived);
	struct shadow_frames *frames;
	unsigned long index;

	free_list(&s->used);
	free_list(&s->spare);
	free_list(&s->unlinked);
	/* Not by xa_destroy() alone: it goes over all of the records with interrupts off. */
	xa_for_each(&s->frames, index, frames) {
		xa_erase(&s->frames, index);
		kfree(frames);
		base_cond_resched_freed();
	}
	/* Nodes that an insertion without memory left behind. */
	xa_destroy(&s->frames);
	base_cond_resched();
	kvfree(s);
}

static const struct ept_derived_ops shadow_ops = {
	.drop = shadow_drop_frames,
	.settle = shadow_drop_doomed,
	.invalidate = shadow_sync_frames,
	.count = count_pages,
	.shrink = shrink_pages,
	.free = free_shadow,
};

/**
 * shadow_create() - the shadow pages of a new map: none
 * @map: the map's tree, which has no derived one
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int shadow_create(struct ept *map)
{
	struct shadow *s = kvzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return -ENOMEM;
	s->derived = (struct ept_derived){ &shadow_ops, map };
	INIT_LIST_HEAD(&s->used);
	INIT_LIST_HEAD(&s->spare);
	INIT_LIST_HEAD(&s->unlinked);
	INIT_LIST_HEAD(&s->watched);
	INIT_LIST_HEAD(&s->queue[0]);
	INIT_LIST_HEAD(&s->queue[1]);
	INIT_LIST_HEAD(&s->doomed);
	s->seed = get_random_u64();
	/* What it has grows with the memory that the program maps. */
	xa_init_flags(&s->frames, XA_FLAGS_ACCOUNT);
	map->derived = &s->derived;
	return 0;
}
