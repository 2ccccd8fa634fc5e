/* SPDX-License-Identifier: GPL-2.0 */
/* Shadow pages and their keys. See the top of page.c. */
#ifndef SHADOW_PAGE_H
#define SHADOW_PAGE_H

#include <linux/bitmap.h>
#include <linux/hash.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "../ept/ept.h"
#include "shadow.h"

#define SHADOW_ENTRIES	512
#define SHADOW_HASH_BITS 11

/* Shadow pages of an mmu; each is 12 KiB. */
#define SHADOW_PAGES_MAX 8192
/* Those of them whose guest's tables can be written without an exit. */
#define SHADOW_WATCHED_MAX 512
/* As many of these as are looked at with interrupts off. */
#define SHADOW_WATCHED_FEW 64
/* What any one fault may need: a page for each level. */
#define SHADOW_SPARE	SHADOW_MAX_LEVELS

/* Entries in a chain; for a frame that is a guest's table, which is looked at often, fewer. */
#define SHADOW_CHAIN_MAX	512
#define SHADOW_CHAIN_MAX_TABLE	16
/* Pages made from one frame, in different roles: a write to it is told to each. */
#define SHADOW_ROLES_MAX	16
/* What it takes to remove an entry, in units of EPT_BUDGET. */
#define SHADOW_COST_DROP	8

/* A chain of entries. Numbers of pages begin at 1, so 0 is the end. */
struct shadow_link {
	u32 next;
	u32 prev;
};

/**
 * struct shadow_chain - where a chain is kept
 * @first: its first entry
 * @length: its length
 */
struct shadow_chain {
	u32 *first;
	u16 *length;
};

/**
 * struct shadow_page - a page table that the CPU walks in place of a guest's
 * @hash: in &shadow.hash, by @gfn
 * @list: in one of the lists of struct shadow
 * @watch: in &shadow.watched, or empty
 * @todo: in &shadow.queue, or empty
 * @written: the guest's table may have been written since it was compared; if not, the
 *	page is queued since the table is guarded
 * @since: its place there: &shadow.touched as of then
 * @flush_gen: the flush generation without which a CPU may still write the guest's
 *	table and not tell; &ept.flush_gen may be lower
 * @made: tells it from all others that there were
 * @reread: &shadow.reread as of when it was compared for its sake
 * @table: the page table itself
 * @guest: the guest's entries that @table was made from; unused in direct pages
 * @links: the chain that each present entry is in
 * @id: its number in &shadow.pages
 * @gfn: frame of the guest's table, or the first frame of a direct page
 * @role: what of it
 * @parents: chain of the entries that refer to this page
 * @nr_parents: its length
 * @users: vCPUs that have it as a root
 * @idle: how often in a row it was found that nobody wrote the guest's table
 * @present: entries of @table that are not 0
 * @frames: what there is about @gfn, if the page is not direct
 */
struct shadow_page {
	struct hlist_node hash;
	struct list_head list;
	struct list_head watch;
	struct list_head todo;
	u64 since;
	s64 flush_gen;
	u64 made;
	u64 reread;
	u64 *table;
	u64 *guest;
	struct shadow_link *links;
	u32 id;
	u64 gfn;
	struct shadow_role role;
	u32 parents;
	u16 nr_parents;
	u32 users;
	bool written;
	u8 idle;
	struct shadow_frames *frames;
	DECLARE_BITMAP(present, SHADOW_ENTRIES);
};

/**
 * struct shadow_frames - 2 MiB of guest-physical memory
 * @mapped: for each frame the chain of entries that map it
 * @large: the chain of entries that map all of it
 * @nr_mapped: lengths of @mapped
 * @nr_large: length of @large
 * @tables: frames that shadow pages were made from
 * @guarded: those of them that are mapped read-only
 * @index: which 2 MiB
 * @doomed: in &shadow.doomed, or empty
 * @doomed_to: the frame up to which that is done
 */
struct shadow_frames {
	u32 mapped[SHADOW_ENTRIES];
	u32 large;
	u16 nr_mapped[SHADOW_ENTRIES];
	u16 nr_large;
	DECLARE_BITMAP(tables, SHADOW_ENTRIES);
	DECLARE_BITMAP(guarded, SHADOW_ENTRIES);
	u64 index;
	struct list_head doomed;
	unsigned int doomed_to;
};

/* What of the map is remembered; the tables of a few processes, and more. */
#define SHADOW_FOUND	256

/**
 * struct shadow_found - what the map has for a frame, as it was found last
 * @gfn: the frame
 * @entry: the map's leaf entry, 0 if there was none
 * @level: its level
 * @memory: the frame in the kernel; NULL if it is a device's
 */
struct shadow_found {
	u64 gfn;
	u64 entry;
	int level;
	void *memory;
};

/**
 * struct shadow - the shadow pages of a map; under its lock
 * @derived: what the map knows of them
 * @hash: by frame of the guest's table
 * @pages: by number
 * @used: in use, oldest first, but for those that have been compared for @reread
 * @spare: empty
 * @unlinked: to be emptied when CPUs have flushed
 * @watched: those whose guest's table is not guarded, in the order in which they came
 * @nr_watched: length of @watched
 * @queue: those that are to be compared, in that order: tables of tables, and
 *	tables of pages, which come after
 * @touched: how many have come to @queue, or been made
 * @reread: how often all were to be compared, whoever wrote them
 * @doomed: records whose frames the map has no more, or not so; in the order in which
 *	they came
 * @nr_doomed: how many have come there
 * @nr_dropped: how many of them have left it again
 * @seed: so that a guest does not know which frames share a bucket of @hash
 * @nr_used: length of @used
 * @nr_spare: length of @spare
 * @nr_pages: pages that there are, in whichever list
 * @ids: bits of the numbers that pages have; 0 is none
 * @nr_frames: records in @frames
 * @shrink_at: index in @frames of the record that is looked at next when memory is
 *	short
 * @frames: struct shadow_frames by frame number / 512; may be added to without
 *	the lock
 * @last: what was found last in @frames
 * @last_index: and where
 * @found: what was found in the map, by frame number % SHADOW_FOUND
 * @evictions: pages that made room for others
 * @syncs: tables that were compared
 */
struct shadow {
	struct ept_derived derived;
	struct hlist_head hash[1 << SHADOW_HASH_BITS];
	struct shadow_page *pages[SHADOW_PAGES_MAX + 1];
	struct list_head used;
	struct list_head spare;
	struct list_head unlinked;
	struct list_head watched;
	unsigned int nr_watched;
	struct list_head queue[2];
	u64 touched;
	u64 reread;
	struct list_head doomed;
	u64 nr_doomed;
	u64 nr_dropped;
	u64 seed;
	unsigned int nr_used;
	unsigned int nr_spare;
	unsigned int nr_pages;
	DECLARE_BITMAP(ids, SHADOW_PAGES_MAX + 1);
	unsigned int nr_frames;
	unsigned long shrink_at;
	struct xarray frames;
	struct shadow_frames *last;
	u64 last_index;
	struct shadow_found found[SHADOW_FOUND];
	u64 evictions;
	u64 syncs;
};

static inline struct shadow *shadow_of(struct ept_derived *derived)
{
	return container_of(derived, struct shadow, derived);
}

/* An entry, as chains have it. */
static inline u32 shadow_ref(const struct shadow_page *sp, unsigned int i)
{
	return sp->id * SHADOW_ENTRIES + i;
}

static inline struct shadow_page *shadow_ref_page(const struct shadow *s, u32 ref)
{
	return s->pages[ref / SHADOW_ENTRIES];
}

/* Where the pages are that were made from a frame. */
static inline struct hlist_head *shadow_bucket(struct shadow *s, u64 gfn)
{
	return &s->hash[hash_64(gfn ^ s->seed, SHADOW_HASH_BITS)];
}

/* What there is about a frame; under the mmu's lock. */
static inline struct shadow_frames *shadow_frames(struct shadow *s, u64 gfn)
{
	if (!s->last || s->last_index != gfn / SHADOW_ENTRIES) {
		s->last_index = gfn / SHADOW_ENTRIES;
		s->last = xa_load(&s->frames, s->last_index);
	}
	return s->last;
}

static inline void shadow_watch(struct shadow *s, struct shadow_page *sp)
{
	if (!list_empty(&sp->watch))
		return;
	list_add_tail(&sp->watch, &s->watched);
	s->nr_watched++;
}

static inline void shadow_unwatch(struct shadow *s, struct shadow_page *sp)
{
	if (list_empty(&sp->watch))
		return;
	list_del_init(&sp->watch);
	s->nr_watched--;
}

static inline bool shadow_is_guarded(const struct shadow_page *sp)
{
	return test_bit(sp->gfn % SHADOW_ENTRIES, sp->frames->guarded);
}

/* Where tables of a level have the entry for an address. */
static inline unsigned int shadow_index(u64 gva, int level)
{
	return (gva >> (PAGE_SHIFT + 9 * (level - 1))) % SHADOW_ENTRIES;
}

/* Does an entry that is present map memory, rather than refer to a table? */
static inline bool shadow_is_leaf(u64 entry, int level)
{
	return level == 1 || entry & SHADOW_LARGE;
}

/* The page that an entry refers to. */
static inline struct shadow_page *shadow_below(u64 entry)
{
	return (void *)page_private(pfn_to_page((entry & SHADOW_ADDR) >> PAGE_SHIFT));
}

/* shadow/page.c */
void shadow_drop_frames(struct ept_derived *derived, u64 gpa, int level);
void shadow_drop_doomed(struct ept *map);
struct shadow_page *shadow_lookup(struct shadow *s, u64 gfn, struct shadow_role role);
struct shadow_page *shadow_get(struct shadow *s, u64 gfn, struct shadow_role role);
void shadow_link(struct shadow *s, struct shadow_page *sp, unsigned int i,
		 struct shadow_page *below, u64 entry);
void shadow_map(struct shadow *s, struct shadow_page *sp, unsigned int i, u64 gfn, u64 entry);
void shadow_drop_some(struct shadow *s, struct shadow_page *sp, unsigned int word,
		      unsigned long bits);
void shadow_drop_all(struct shadow *s, struct shadow_page *sp);
void shadow_replace(struct shadow *s, struct shadow_page *sp, unsigned int i, u64 entry);
void shadow_enqueue(struct shadow *s, struct shadow_page *sp);
void shadow_touch_tables(struct shadow *s, u64 gfn);
void shadow_zap(struct shadow *s, struct shadow_page *sp);
const struct shadow_found *shadow_find_anew(struct shadow *s, u64 gfn, u64 access);
void *shadow_memory(void *s, u64 gpa, bool write);

/**
 * shadow_find() - what the map has for an address
 * @s: the shadow pages, the map's lock held
 * @gpa: guest-physical address
 * @access: EPT_READ, EPT_WRITE, EPT_EXEC: what it has to allow
 *
 * A walk looks up the same few tables again and again, so what is found is kept: until
 * shadow_drop_frames() hears that it goes or is narrowed, or it does not suffice.
 *
 * Return: valid as long as the lock is held; NULL if the map does not allow it.
 */
static inline const struct shadow_found *shadow_find(struct shadow *s, u64 gpa, u64 access)
{
	u64 gfn = gpa >> PAGE_SHIFT;
	const struct shadow_found *found = &s->found[gfn % SHADOW_FOUND];

	if (likely(found->gfn == gfn && (found->entry & access) == access))
		return found;
	return shadow_find_anew(s, gfn, access);
}

/**
 * shadow_drop() - remove an entry
 * @s: the shadow pages, the map's lock held
 * @sp: the page
 * @i: index of a present entry
 */
static inline void shadow_drop(struct shadow *s, struct shadow_page *sp, unsigned int i)
{
	shadow_drop_some(s, sp, i / BITS_PER_LONG, BIT(i % BITS_PER_LONG));
}

/* shadow/pool.c */
int shadow_top_up(struct shadow *s, u64 frame);
void shadow_limit_roles(struct shadow *s, u64 gfn, bool direct);

/* shadow/fill.c */
enum shadow_walk_result shadow_fault(struct shadow *s, struct shadow_paging *p,
				     struct shadow_walk *walk);
struct shadow_role shadow_root_role(const struct shadow_mode *mode);
unsigned int shadow_guest_index(const struct shadow_page *sp, unsigned int i);

enum shadow_walk_result shadow_walk_guest(struct shadow *s, const struct shadow_paging *p,
					  struct shadow_walk *walk);
enum shadow_walk_result shadow_translate(struct shadow *s, struct shadow_paging *p,
					 struct shadow_walk *walk);

/* shadow/sync.c */
void shadow_sync_frames(struct ept_derived *derived, u64 gfn, u64 count);
bool shadow_written(struct shadow *s);
bool shadow_sync(struct shadow *s, u64 *until, bool alone);
bool shadow_reread(struct shadow *s, u64 until);
void shadow_unguard(struct shadow *s, u64 gfn);

#endif /* SHADOW_PAGE_H */
