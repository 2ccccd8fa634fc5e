// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow paging: guest memory on CPUs without EPT, and by choice on any. The
 * CPU walks the module's own tables, the shadow pages. Each is made from a
 * table of the guest and from the mmu's map. The map has the same tables
 * as with EPT (ept/), but no CPU walks them. A shadow entry is the
 * guest's entry, less the permissions that the map denies, and with the host's frame
 * in place of the guest's.
 *
 * Files: pool.c has the pages' memory, walk.c reads the guest's tables as the CPU
 * would, fill.c makes entries where an access needs them, sync.c removes those
 * that the guest no longer has. This file has the shadow pages themselves.
 * Of the users of this folder, paging/regs.c has the guest's control registers,
 * paging/roots.c its roots, paging/fault.c its page faults, and paging/look.c shows
 * the tables to userspace.
 *
 * Roles. The key of a shadow page is the frame of the guest's table and its role
 * (struct shadow_role): the properties of the reference and of the guest's mode that
 * entries depend on. All references to the table in the same role share it: several
 * entries, address spaces and vCPUs. Permissions are mirrored level by level, and
 * the CPU combines them as it would the guest's, so they are no part of the
 * role. The exception is a guest with CR0.WP clear: the CPU's is always set, or
 * the guest would write to what the host has read-only; there, leaf entries stand
 * for all levels, and for the one kind of access that was last.
 *
 * Where an entry of the guest's maps more than an entry here can, or the host has
 * smaller pages, or paging is off and there are no tables, a direct page stands
 * for consecutive frames.
 *
 * When a guest changes its tables. Shadow pages are a cache, and a guest must
 * expect of a CPU that it caches entries of all levels until it executes INVLPG,
 * INVPCID or a MOV to a control register (SDM, "Caching Translation
 * Information"). These exit, so no write is emulated. The CPU tells which tables
 * were written: an entry that maps a table writable has a dirty bit. Before
 * the guest goes on from an instruction that invalidates, sync.c looks for dirty
 * bits of the tables that are mapped writable, clears them, makes all CPUs drop what
 * they have cached of those entries, and only then compares the tables with
 * &shadow_page.guest. A later write sets the bit again. An entry is removed if the guest's
 * differs from the one that it was made from; the next access makes a new one. Tables
 * that the guest has not written for a while are mapped read-only, so that they need
 * not be looked at; the fault of the next write changes that.
 *
 * The CPU cannot tell that userspace wrote tables. Userspace announces it with
 * VMX_MMU_INVALIDATE or, for one vCPU that does not run, by setting CR3 in its run
 * page, changed or not. When an entry with a dirty bit goes, the bit
 * becomes &shadow_page.dirty of what it mapped.
 *
 * Chains. Each present entry is in one chain: the entries that map a frame, or those that
 * refer to a shadow page. So a frame that the map no longer has can be removed from all
 * tables (shadow_drop_frames()), as the host's notifiers need, and a shadow page
 * can be removed from its parents.
 *
 * Locks and flushes. The map's lock protects everything, under the rules at the
 * top of mmu/mmu.c. INVVPID drops a VPID's translations where CPUs have
 * VPIDs; elsewhere each VM entry and exit drops all. Removed pages are reused
 * after a flush.
 *
 * Bounds. There are up to SHADOW_PAGES_MAX pages; the oldest make room for others,
 * or go when the host wants memory back. A guest
 * whose tables refer to themselves is just one whose tables have several roles, of which
 * a frame has up to SHADOW_ROLES_MAX, and those that are vCPUs' roots. Chains
 * have up to SHADOW_CHAIN_MAX entries, and up to SHADOW_WATCHED_MAX pages are watched, so
 * that neither an invalidation of the guest's nor one of the host's takes longer than a
 * bound, however the guest's tables look.
 */
#include <linux/io.h>
#include <linux/slab.h>

#include "page.h"

static struct shadow_link *link_of(struct shadow *s, u32 ref)
{
	return &shadow_ref_page(s, ref)->links[ref % SHADOW_ENTRIES];
}

static struct shadow_chain chain_of_frame(struct shadow_frames *frames, unsigned int i)
{
	return (struct shadow_chain){ &frames->mapped[i], &frames->nr_mapped[i] };
}

static struct shadow_chain chain_of_large(struct shadow_frames *frames)
{
	return (struct shadow_chain){ &frames->large, &frames->nr_large };
}

static struct shadow_chain chain_of_parents(struct shadow_page *sp)
{
	return (struct shadow_chain){ &sp->parents, &sp->nr_parents };
}

static void chain_add(struct shadow *s, struct shadow_chain chain, u32 ref)
{
	*link_of(s, ref) = (struct shadow_link) { .next = *chain.first };
	if (*chain.first)
		link_of(s, *chain.first)->prev = ref;
	*chain.first = ref;
	++*chain.length;
}

static __always_inline void chain_remove(struct shadow *s, struct shadow_chain chain,
					 struct shadow_link link)
{
	if (link.next)
		link_of(s, link.next)->prev = link.prev;
	if (link.prev)
		link_of(s, link.prev)->next = link.next;
	else
		*chain.first = link.next;
	--*chain.length;
}

/* The frame, or first frame, that a leaf entry maps. */
static u64 leaf_gfn(const struct shadow_page *sp, unsigned int i)
{
	const struct shadow_mode mode = {
		.format = sp->role.format, .large = sp->role.large,
	};
	u64 gfn;

	if (sp->role.direct)
		return sp->gfn + i * (sp->role.level == 1 ? 1 : SHADOW_ENTRIES);
	if (sp->role.level == 1)
		return (sp->guest[i] & SHADOW_ADDR) >> PAGE_SHIFT;
	gfn = shadow_guest_frame(&mode, sp->guest[i], sp->role.level) >> PAGE_SHIFT;
	/* A 4 MiB page has two entries. */
	if (sp->role.level == 2 && sp->role.format == SHADOW_GUEST_32BIT && i & 1)
		gfn += SHADOW_ENTRIES;
	return gfn;
}

static bool is_table(struct shadow *s, u64 gfn)
{
	return test_bit(gfn % SHADOW_ENTRIES, shadow_frames(s, gfn)->tables);
}

/**
 * shadow_enqueue() - a page is to be looked at when CPUs have flushed
 * @s: the shadow pages, the map's lock held; entries were narrowed, or are about to be
 * @sp: the page
 */
void shadow_enqueue(struct shadow *s, struct shadow_page *sp)
{
	sp->flush_gen = atomic64_read(&s->derived.map->flush_gen) + 1;
	if (!list_empty(&sp->todo))
		return;
	sp->since = ++s->touched;
	list_add_tail(&sp->todo, &s->queue[sp->role.level == 1]);
}

static void touch_page(struct shadow *s, struct shadow_page *sp)
{
	sp->written = true;
	shadow_enqueue(s, sp);
}

/**
 * shadow_touch_tables() - a frame may have been written
 * @s: the shadow pages, the map's lock held
 * @gfn: the frame
 */
void shadow_touch_tables(struct shadow *s, u64 gfn)
{
	struct shadow_page *sp;

	hlist_for_each_entry(sp, shadow_bucket(s, gfn), hash)
		if (sp->gfn == gfn && !sp->role.direct)
			touch_page(s, sp);
}

/* Of a page of level 1. Dirty bits that go are told of, for nobody will look for them any more. */
static void drop_pages(struct shadow *s, struct shadow_page *sp, unsigned int first,
		       unsigned long bits)
{
	const struct shadow_link *links = sp->links + first;
	const u64 *guest = sp->guest + first;
	struct shadow_frames *frames = NULL;
	u64 *table = sp->table + first;
	u64 index = ~0ULL;

	for (; bits; bits &= bits - 1) {
		unsigned long i = __ffs(bits);
		/* The CPU may be setting its dirty bit. */
		u64 old = xchg(&table[i], 0);
		u64 gfn = sp->role.direct ? sp->gfn + first + i : guest[i] << 12 >> 24;

		if (gfn / SHADOW_ENTRIES != index) {
			index = gfn / SHADOW_ENTRIES;
			frames = shadow_frames(s, gfn);
		}
		gfn %= SHADOW_ENTRIES;
		chain_remove(s, chain_of_frame(frames, gfn), links[i]);
		if (old & SHADOW_DIRTY && test_bit(gfn, frames->tables))
			shadow_touch_tables(s, index * SHADOW_ENTRIES + gfn);
	}
}

/* Of a page of another level. */
static void drop_others(struct shadow *s, struct shadow_page *sp, unsigned int first,
			unsigned long bits)
{
	for (; bits; bits &= bits - 1) {
		unsigned int i = first + __ffs(bits);
		u64 old = xchg(&sp->table[i], 0);

		if (old & SHADOW_LARGE)
			chain_remove(s, chain_of_large(shadow_frames(s, leaf_gfn(sp, i))),
				     sp->links[i]);
		else
			chain_remove(s, chain_of_parents(shadow_below(old)), sp->links[i]);
	}
}

/**
 * shadow_drop_some() - remove entries
 * @s: the shadow pages, the map's lock held
 * @sp: the page
 * @word: which word of &shadow_page.present
 * @bits: bits of it that are set: the entries
 *
 * A guest that takes memory away has a page's go one after the other, so what is done
 * for each of these is in one piece.
 */
void shadow_drop_some(struct shadow *s, struct shadow_page *sp, unsigned int word,
		      unsigned long bits)
{
	unsigned int first = word * BITS_PER_LONG;

	if (sp->role.level == 1)
		drop_pages(s, sp, first, bits);
	else
		drop_others(s, sp, first, bits);
	sp->present[word] &= ~bits;
	ept_narrowed(s->derived.map);
}

/**
 * shadow_drop_all() - remove all entries
 * @s: the shadow pages, the map's lock held
 * @sp: the page
 */
void shadow_drop_all(struct shadow *s, struct shadow_page *sp)
{
	unsigned int word;

	for (word = 0; word < ARRAY_SIZE(sp->present); word++)
		if (sp->present[word])
			shadow_drop_some(s, sp, word, sp->present[word]);
}

static void drop_chain(struct shadow *s, const u32 *first)
{
	while (*first) {
		shadow_drop(s, shadow_ref_page(s, *first), *first % SHADOW_ENTRIES);
		s->derived.map->left -= SHADOW_COST_DROP;
	}
}

/*
 * A guest can map a frame as often as there are entries, but the host does not go over
 * so many at a time: one too many, and all go that were there.
 */
static void make_room(struct shadow *s, struct shadow_chain chain, unsigned int max)
{
	if (unlikely(*chain.length >= max))
		drop_chain(s, chain.first);
}

/**
 * shadow_link() - let an entry refer to a shadow page
 * @s: the shadow pages, the map's lock held
 * @sp: the page that has the entry
 * @i: index of the entry, which is not present
 * @below: the page to refer to
 * @entry: the bits of the entry, without an address
 */
void shadow_link(struct shadow *s, struct shadow_page *sp, unsigned int i,
		 struct shadow_page *below, u64 entry)
{
	make_room(s, chain_of_parents(below), SHADOW_CHAIN_MAX);
	chain_add(s, chain_of_parents(below), shadow_ref(sp, i));
	__set_bit(i, sp->present);
	WRITE_ONCE(sp->table[i], entry | __pa(below->table));
}

/**
 * shadow_map() - let an entry map memory
 * @s: the shadow pages, the map's lock held
 * @sp: the page that has the entry
 * @i: index of the entry, which is not present
 * @gfn: first frame, for which there are records
 * @entry: the entry
 */
void shadow_map(struct shadow *s, struct shadow_page *sp, unsigned int i, u64 gfn, u64 entry)
{
	struct shadow_frames *frames = shadow_frames(s, gfn);
	struct shadow_chain chain = chain_of_large(frames);
	unsigned int max = SHADOW_CHAIN_MAX;

	if (sp->role.level == 1) {
		chain = chain_of_frame(frames, gfn % SHADOW_ENTRIES);
		if (test_bit(gfn % SHADOW_ENTRIES, frames->tables))
			max = SHADOW_CHAIN_MAX_TABLE;
	}
	make_room(s, chain, max);
	chain_add(s, chain, shadow_ref(sp, i));
	__set_bit(i, sp->present);
	WRITE_ONCE(sp->table[i], entry);
}

/**
 * shadow_replace() - change an entry that maps a frame
 * @s: the shadow pages, the map's lock held
 * @sp: the page that has the entry, of level 1
 * @i: index of the entry, which maps the same frame of the guest's
 * @entry: the new entry
 */
void shadow_replace(struct shadow *s, struct shadow_page *sp, unsigned int i, u64 entry)
{
	/* The CPU may be setting its dirty bit. */
	u64 old = xchg(&sp->table[i], entry);
	u64 gfn = leaf_gfn(sp, i);

	if (old & SHADOW_DIRTY && is_table(s, gfn))
		shadow_touch_tables(s, gfn);
	/* SDM, "Operations that Invalidate TLBs": what is only wider, a fault has dropped. */
	if (((old ^ entry) & ~(SHADOW_DIRTY | SHADOW_WRITE | SHADOW_USER | SHADOW_NX)) ||
	    old & ~entry & (SHADOW_WRITE | SHADOW_USER) || entry & ~old & SHADOW_NX)
		ept_narrowed(s->derived.map);
}

/* What a frame's tables have to do with the rest, when the last of them goes. */
static void forget_table(struct shadow *s, u64 gfn)
{
	struct shadow_page *sp;

	hlist_for_each_entry(sp, shadow_bucket(s, gfn), hash)
		if (sp->gfn == gfn && !sp->role.direct)
			return;
	__clear_bit(gfn % SHADOW_ENTRIES, shadow_frames(s, gfn)->tables);
	__clear_bit(gfn % SHADOW_ENTRIES, shadow_frames(s, gfn)->guarded);
}

/**
 * shadow_zap() - take a page out of everything
 * @s: the shadow pages, the map's lock held
 * @sp: a page in use that is no vCPU's root
 *
 * CPUs may use it until they flush.
 */
void shadow_zap(struct shadow *s, struct shadow_page *sp)
{
	drop_chain(s, &sp->parents);
	shadow_drop_all(s, sp);
	hlist_del(&sp->hash);
	if (!sp->role.direct)
		forget_table(s, sp->gfn);
	shadow_unwatch(s, sp);
	list_del_init(&sp->todo);
	list_move(&sp->list, &s->unlinked);
	s->nr_used--;
	ept_narrowed(s->derived.map);
}

static bool same_role(struct shadow_role a, struct shadow_role b)
{
	return !memcmp(&a, &b, sizeof(a));
}

/*
 * From here on the frame is mapped by small pages alone, so that dirty bits tell
 * of it. What was written before, they do not tell.
 */
static void begin_table(struct shadow *s, struct shadow_page *sp)
{
	sp->frames = shadow_frames(s, sp->gfn);
	__set_bit(sp->gfn % SHADOW_ENTRIES, sp->frames->tables);
	drop_chain(s, &sp->frames->large);
	make_room(s, chain_of_frame(sp->frames, sp->gfn % SHADOW_ENTRIES),
		  SHADOW_CHAIN_MAX_TABLE);
	if (!shadow_is_guarded(sp))
		shadow_watch(s, sp);
	touch_page(s, sp);
}

/**
 * shadow_lookup() - find a shadow page
 * @s: the shadow pages, the map's lock held
 * @gfn: frame of the guest's table, or first frame
 * @role: what of it
 *
 * Return: the page, or NULL if there is none.
 */
struct shadow_page *shadow_lookup(struct shadow *s, u64 gfn, struct shadow_role role)
{
	struct shadow_page *sp;

	hlist_for_each_entry(sp, shadow_bucket(s, gfn), hash)
		if (sp->gfn == gfn && same_role(sp->role, role))
			return sp;
	return NULL;
}

/**
 * shadow_get() - find a shadow page, or make an empty one
 * @s: the shadow pages, the map's lock held
 * @gfn: frame of the guest's table, for which there are records, or first frame
 * @role: what of it
 *
 * Another page may go, but none that has users.
 *
 * Return: the page, or NULL if there is no spare one.
 */
struct shadow_page *shadow_get(struct shadow *s, u64 gfn, struct shadow_role role)
{
	struct shadow_page *sp;

	lockdep_assert_held(s->derived.map->lock);
	sp = shadow_lookup(s, gfn, role);
	if (sp)
		return sp;
	sp = list_first_entry_or_null(&s->spare, struct shadow_page, list);
	if (!sp)
		return NULL;
	shadow_limit_roles(s, gfn, role.direct);
	list_move_tail(&sp->list, &s->used);
	s->nr_spare--;
	s->nr_used++;
	sp->gfn = gfn;
	sp->role = role;
	sp->made = ++s->touched;
	sp->reread = s->reread;
	sp->written = false;
	sp->idle = 0;
	hlist_add_head(&sp->hash, shadow_bucket(s, gfn));
	if (!role.direct)
		begin_table(s, sp);
	return sp;
}

static void drop_small(struct shadow *s, struct shadow_frames *frames, u64 gfn)
{
	unsigned int i = gfn % SHADOW_ENTRIES;

	drop_chain(s, &frames->mapped[i]);
	if (test_bit(i, frames->tables))
		shadow_touch_tables(s, gfn);
}

/**
 * shadow_find_anew() - shadow_find() where it is not remembered
 * @s: the shadow pages, the map's lock held
 * @gfn: the frame
 * @access: EPT_READ, EPT_WRITE, EPT_EXEC: what the map has to allow
 *
 * Return: as shadow_find().
 */
const struct shadow_found *shadow_find_anew(struct shadow *s, u64 gfn, u64 access)
{
	struct shadow_found *found = &s->found[gfn % SHADOW_FOUND];
	u64 pfn;

	found->gfn = gfn;
	found->entry = ept_find(s->derived.map, gfn << PAGE_SHIFT, &found->level);
	if (!found->entry)
		return NULL;
	pfn = (found->entry & EPT_ADDR) >> PAGE_SHIFT;
	pfn += gfn & ((ept_span(found->level) >> PAGE_SHIFT) - 1);
	/*
	 * The kernel has no mapping of a device's memory. Memory that is lost the host has begun
	 * to take away, and to read it is a machine check.
	 */
	found->memory = ept_is_ram(found->entry) && !is_page_hwpoison(pfn_to_page(pfn)) ?
			pfn_to_kaddr(pfn) : NULL;
	return (found->entry & access) == access ? found : NULL;
}

/* An entry of the map goes or is narrowed. */
static void forget_found(struct shadow *s, u64 gfn, u64 count)
{
	if (count > 1)
		memset(s->found, 0, sizeof(s->found));
	else
		s->found[gfn % SHADOW_FOUND].entry = 0;
}

/*
 * All of a record: what was made from a large page may be so much that it is done bit
 * by bit, by whoever flushes next. Nothing more is made from the map's entry, which has
 * gone.
 */
static void doom_frames(struct shadow *s, struct shadow_frames *frames)
{
	frames->doomed_to = 0;
	if (!list_empty(&frames->doomed))
		return;
	list_add_tail(&frames->doomed, &s->doomed);
	s->nr_doomed++;
}

/**
 * shadow_drop_frames() - remove what was made from an entry of the map
 * @derived: of the shadow pages, the map's lock held
 * @gpa: a guest-physical address that the entry translates
 * @level: its level
 *
 * Of a large page it is gone after the next flush.
 *
 * Context: any that the lock allows.
 */
void shadow_drop_frames(struct ept_derived *derived, u64 gpa, int level)
{
	struct shadow *s = shadow_of(derived);
	u64 frames_in = 1ULL << (9 * (level - 1));
	u64 gfn = (gpa >> PAGE_SHIFT) & ~(frames_in - 1);
	u64 end = gfn + frames_in;
	struct shadow_frames *frames;

	forget_found(s, gfn, frames_in);
	if (level == 1) {
		frames = shadow_frames(s, gfn);
		if (!frames)
			return;
		drop_chain(s, &frames->large);
		drop_small(s, frames, gfn);
		return;
	}
	for (; gfn < end; gfn += SHADOW_ENTRIES) {
		frames = shadow_frames(s, gfn);
		if (frames)
			doom_frames(s, frames);
		s->derived.map->left -= SHADOW_COST_DROP;
	}
}

/* Some of the first record; true if that was all of it. */
static bool drop_some_doomed(struct shadow *s, struct shadow_frames *frames)
{
	s->derived.map->left = EPT_BUDGET;
	drop_chain(s, &frames->large);
	while (frames->doomed_to < SHADOW_ENTRIES && s->derived.map->left > 0) {
		drop_small(s, frames, frames->index * SHADOW_ENTRIES + frames->doomed_to++);
		s->derived.map->left--;
	}
	return frames->doomed_to == SHADOW_ENTRIES;
}

/**
 * shadow_drop_doomed() - finish what shadow_drop_frames() began
 * @map: the tree that has or had the shadow pages, its lock held; others may have it meanwhile
 *
 * Others finish what they begin meanwhile, or a program could keep the host here for ever.
 * A notifier may be here while the mmu is dismantled, after which nothing is left.
 *
 * Context: interrupts on, preemption on.
 */
void shadow_drop_doomed(struct ept *map)
	__must_hold(map->lock)
{
	const u64 until = shadow_of(map->derived)->nr_doomed;
	struct shadow_frames *frames;

	while (map->derived) {
		struct shadow *s = shadow_of(map->derived);

		if (s->nr_dropped >= until)
			break;
		frames = list_first_entry(&s->doomed, struct shadow_frames, doomed);
		if (drop_some_doomed(s, frames)) {
			list_del_init(&frames->doomed);
			s->nr_dropped++;
		}
		ept_pause(map);
	}
}

/**
 * shadow_memory() - guest memory, for the walk of the guest's tables
 * @s: the shadow pages, the map's lock held
 * @gpa: guest-physical address
 * @write: it is to be written
 *
 * Return: where it is as long as the lock is held; NULL if the map does not have
 * it or does not allow the access, or it is no RAM.
 */
void *shadow_memory(void *s, u64 gpa, bool write)
{
	const struct shadow_found *found;

	found = shadow_find(s, gpa, write ? EPT_READ | EPT_WRITE : EPT_READ);
	return found && found->memory ? found->memory + offset_in_page(gpa) : NULL;
}
