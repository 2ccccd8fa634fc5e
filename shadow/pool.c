// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of shadow pages and of the records that index them. There is
 * enough for any one fault, never more than a bound, and less when the host wants it
 * back. Nothing is allocated with the mmu's lock held.
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
static void recycle(struct vmx_mmu *mmu)
{
	struct shadow *s = mmu->shadow;
	struct shadow_page *sp;
	LIST_HEAD(pages);

	spin_lock(&mmu->lock);
	list_splice_init(&s->unlinked, &pages);
	spin_unlock(&mmu->lock);
	if (list_empty(&pages))
		return;
	vmx_mmu_flush(mmu);
	spin_lock(&mmu->lock);
	list_for_each_entry(sp, &pages, list)
		s->nr_spare++;
	list_splice(&pages, &s->spare);
	spin_unlock(&mmu->lock);
}

static struct shadow_page *oldest(const struct shadow *s)
{
	struct shadow_page *sp;

	list_for_each_entry(sp, &s->used, list)
		if (!sp->users)
			return sp;
	return NULL;
}

/* Make spare pages of the oldest. */
static void evict(struct vmx_mmu *mmu, unsigned int count)
{
	struct shadow_page *sp;

	spin_lock(&mmu->lock);
	while (count-- && (sp = oldest(mmu->shadow))) {
		shadow_zap(mmu, sp);
		mmu->stats.evictions++;
		vmx_mmu_pause(mmu);
	}
	spin_unlock(&mmu->lock);
	recycle(mmu);
}

/**
 * shadow_limit_roles() - a frame is about to have a page in yet another role
 * @mmu: the mmu, its lock held
 * @gfn: the frame
 * @direct: of which kind the page is
 *
 * The oldest makes room, but for pages that have users: vCPUs, and whoever asks.
 */
void shadow_limit_roles(struct vmx_mmu *mmu, u64 gfn, bool direct)
{
	struct shadow_page *sp, *last = NULL;
	unsigned int count = 0;

	hlist_for_each_entry(sp, shadow_bucket(mmu->shadow, gfn), hash) {
		if (sp->gfn != gfn || sp->role.direct != direct || sp->users)
			continue;
		last = sp;
		count++;
	}
	if (count < SHADOW_ROLES_MAX)
		return;
	shadow_zap(mmu, last);
	mmu->stats.evictions++;
}

/* One more spare page, if there may be; it gets its number under the lock. */
static bool add_page(struct vmx_mmu *mmu)
{
	struct shadow *s = mmu->shadow;
	struct shadow_page *sp = new_page();

	if (!sp)
		return false;
	spin_lock(&mmu->lock);
	if (s->nr_pages < SHADOW_PAGES_MAX) {
		sp->id = find_next_zero_bit(s->ids, SHADOW_PAGES_MAX + 1, 1);
		__set_bit(sp->id, s->ids);
		s->pages[sp->id] = sp;
		s->nr_pages++;
		list_add(&sp->list, &s->spare);
		s->nr_spare++;
		sp = NULL;
	}
	spin_unlock(&mmu->lock);
	if (sp)
		free_page_parts(sp);
	return true;
}

static int add_frames(struct vmx_mmu *mmu, u64 gfn)
{
	struct shadow *s = mmu->shadow;
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
	spin_lock(&mmu->lock);
	s->nr_frames++;
	spin_unlock(&mmu->lock);
	return 0;
}

/**
 * shadow_top_up() - have what any one fault needs
 * @mmu: the mmu
 * @gfn: a frame that there have to be records for, or ~0
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int shadow_top_up(struct vmx_mmu *mmu, u64 gfn)
{
	struct shadow *s = mmu->shadow;
	int err = gfn == ~0ULL ? 0 : add_frames(mmu, gfn);

	if (err)
		return err;
	if (READ_ONCE(s->nr_spare) < SHADOW_SPARE)
		recycle(mmu);
	while (READ_ONCE(s->nr_spare) < 2 * SHADOW_SPARE) {
		if (READ_ONCE(s->nr_pages) >= SHADOW_PAGES_MAX) {
			evict(mmu, EVICT_BATCH);
			break;
		}
		if (!add_page(mmu))
			return READ_ONCE(s->nr_spare) < SHADOW_SPARE ? -ENOMEM : 0;
	}
	return 0;
}

static void free_list(struct list_head *list)
{
	struct shadow_page *sp, *next;

	list_for_each_entry_safe(sp, next, list, list) {
		free_page_parts(sp);
		vmx_cond_resched_freed();
	}
}

/* Free some spare pages; how many. */
static unsigned long free_spare(struct vmx_mmu *mmu, unsigned long count)
{
	struct shadow *s = mmu->shadow;
	struct shadow_page *sp;
	unsigned long freed = 0;
	LIST_HEAD(pages);

	spin_lock(&mmu->lock);
	while (freed < count && s->nr_spare) {
		sp = list_first_entry(&s->spare, struct shadow_page, list);
		list_move(&sp->list, &pages);
		s->nr_spare--;
		s->nr_pages--;
		s->pages[sp->id] = NULL;
		__clear_bit(sp->id, s->ids);
		freed++;
		vmx_mmu_pause(mmu);
	}
	spin_unlock(&mmu->lock);
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
static void free_frames(struct vmx_mmu *mmu, unsigned long count)
{
	struct shadow *s = mmu->shadow;
	struct shadow_frames *frames;

	spin_lock(&mmu->lock);
	for (; count; count--, s->shrink_at++) {
		frames = xa_find(&s->frames, &s->shrink_at, ULONG_MAX, XA_PRESENT);
		if (!frames) {
			s->shrink_at = 0;
			break;
		}
		if (frames_unused(frames)) {
			xa_erase(&s->frames, s->shrink_at);
			kfree(frames);
			s->last = NULL;
			s->nr_frames--;
		}
		vmx_mmu_pause(mmu);
	}
	spin_unlock(&mmu->lock);
}

/**
 * shadow_shrink() - give the host memory back
 * @mmu: the mmu
 * @count: shadow pages that should go
 *
 * The oldest go, used or not, but for roots that a vCPU has.
 *
 * Context: reclaim; the mmu is not being dismantled.
 * Return: how many went.
 */
unsigned long shadow_shrink(struct vmx_mmu *mmu, unsigned long count)
{
	struct shadow *s = mmu->shadow;
	unsigned long spare = READ_ONCE(s->nr_spare);

	if (spare < count)
		evict(mmu, count - spare);
	free_frames(mmu, count);
	return free_spare(mmu, count);
}

/**
 * shadow_count() - how much there is
 * @s: the shadow pages, the mmu's lock held
 * @stats: @shadow_pages and @shadow_bytes are set
 *
 * Return: shadow pages that there are, in use or spare.
 */
unsigned long shadow_count(const struct shadow *s, struct vmx_mmu_stats *stats)
{
	stats->shadow_pages = s->nr_used;
	stats->shadow_bytes = sizeof(*s) + s->nr_frames * sizeof(struct shadow_frames) +
			      s->nr_pages * (3 * PAGE_SIZE + sizeof(struct shadow_page));
	return s->nr_pages;
}

/**
 * shadow_alloc() - the shadow pages of a new mmu: none
 *
 * Context: may sleep.
 * Return: them; NULL without memory.
 */
struct shadow *shadow_alloc(void)
{
	struct shadow *s = kvzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return NULL;
	INIT_LIST_HEAD(&s->used);
	INIT_LIST_HEAD(&s->spare);
	INIT_LIST_HEAD(&s->unlinked);
	INIT_LIST_HEAD(&s->watched);
	INIT_LIST_HEAD(&s->queue[0]);
	INIT_LIST_HEAD(&s->queue[1]);
	INIT_LIST_HEAD(&s->doomed);
	s->seed = get_random_u64();
	xa_init(&s->frames);
	return s;
}

/**
 * shadow_free() - free the shadow pages of an mmu that no vCPU uses any more
 * @mmu: the mmu
 *
 * Context: may sleep.
 */
void shadow_free(struct vmx_mmu *mmu)
{
	struct shadow_frames *frames;
	unsigned long index;
	struct shadow *s;

	/* Notifiers look it up under the lock: see shadow_drop_doomed(). */
	spin_lock(&mmu->lock);
	s = mmu->shadow;
	WRITE_ONCE(mmu->shadow, NULL);
	mmu->ept.derived = NULL;
	spin_unlock(&mmu->lock);
	if (!s)
		return;
	free_list(&s->used);
	free_list(&s->spare);
	free_list(&s->unlinked);
	xa_for_each(&s->frames, index, frames) {
		kfree(frames);
		vmx_cond_resched();
	}
	xa_destroy(&s->frames);
	kvfree(s);
}
