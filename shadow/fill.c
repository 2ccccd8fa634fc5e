// SPDX-License-Identifier: GPL-2.0
/*
 * Makes shadow entries where a guest's access found none, or too narrow a one.
 * See the top of page.c.
 */
#include <linux/io.h>
#include <linux/mm.h>

#include <asm/cpufeature.h>
#include <asm/pgtable_types.h>
#include <asm/trap_pf.h>

#include "page.h"

/* What entries that refer to tables, and direct ones, allow. */
#define ALL	(SHADOW_PRESENT | SHADOW_WRITE | SHADOW_USER | SHADOW_ACCESSED)

/**
 * struct fill - a fault on its way down the shadow pages
 * @s: the shadow pages
 * @p: the vCPU's paging
 * @walk: what the guest's tables say
 * @map: what the map says: a leaf entry
 * @map_level: its level
 * @sp: the page that the way is at
 */
struct fill {
	struct shadow *s;
	struct shadow_paging *p;
	const struct shadow_walk *walk;
	u64 map;
	int map_level;
	struct shadow_page *sp;
};

/**
 * shadow_guest_index() - where the guest has what an entry was made from
 * @sp: the page
 * @i: index of the entry
 *
 * Return: index of the entry in the guest's table.
 */
unsigned int shadow_guest_index(const struct shadow_page *sp, unsigned int i)
{
	if (sp->role.format != SHADOW_GUEST_32BIT)
		return i;
	if (sp->role.level == 1)
		return sp->role.quadrant * SHADOW_ENTRIES + i;
	return sp->role.quadrant * (SHADOW_ENTRIES / 2) + i / 2;
}

/**
 * shadow_root_role() - the role of the first root
 * @mode: the guest's mode
 *
 * Return: the role.
 */
struct shadow_role shadow_root_role(const struct shadow_mode *mode)
{
	return (struct shadow_role) {
		.level = mode->levels,
		.format = mode->format,
		.direct = mode->format == SHADOW_GUEST_NONE,
		.large = mode->large >> 1,
		.nxe = mode->nxe,
		.no_wp = !mode->wp && mode->format != SHADOW_GUEST_NONE,
		.smep = !mode->wp && mode->smep,
		.writable = !mode->wp,
		.user = !mode->wp,
	};
}

static bool on_large_page(const struct fill *f)
{
	return f->sp->role.direct ||
	       shadow_guest_is_leaf(&f->p->mode, f->walk->pte[f->sp->role.level],
				    f->sp->role.level);
}

/* Does the guest's entry allow writes? Without a dirty bit, not before it is set. */
static bool guest_writable(u64 pte, bool leaf)
{
	return pte & SHADOW_WRITE && (!leaf || pte & SHADOW_DIRTY);
}

/* The role of what the way's page refers to. */
static struct shadow_role role_below(const struct fill *f, unsigned int i)
{
	struct shadow_role role = f->sp->role;
	bool leaf = on_large_page(f);

	if (role.no_wp && !role.direct) {
		role.writable &= guest_writable(f->walk->pte[role.level], leaf);
		role.user &= !!(f->walk->pte[role.level] & SHADOW_USER);
	}
	role.quadrant = 0;
	if (role.format == SHADOW_GUEST_32BIT && !leaf)
		role.quadrant = i & 1;
	role.direct = leaf;
	role.level--;
	return role;
}

static u64 gfn_below(const struct fill *f, unsigned int i)
{
	const struct shadow_page *sp = f->sp;
	u64 span = 1ULL << (9 * (sp->role.level - 1));

	if (!on_large_page(f))
		return shadow_guest_table(&f->p->mode, f->walk->pte[sp->role.level]) >> PAGE_SHIFT;
	return (f->walk->gpa >> PAGE_SHIFT) & ~(span - 1);
}

/* The bits of an entry that refers to a shadow page. */
static u64 link_bits(const struct fill *f)
{
	u64 pte = f->walk->pte[f->sp->role.level];
	u64 bits = SHADOW_PRESENT | SHADOW_ACCESSED;

	if (f->sp->role.direct)
		return ALL;
	bits |= pte & (SHADOW_USER | SHADOW_NX);
	if (f->sp->role.no_wp)
		pte |= SHADOW_WRITE;
	if (guest_writable(pte, on_large_page(f)))
		bits |= SHADOW_WRITE;
	return bits;
}

/* By the host's PAT, which the guest runs with (SDM, "Page Attribute Table (PAT)"). */
static u64 memory_type(u64 map)
{
	if (ept_is_ram(map))
		return 0;
	return cachemode2protval((map & EPT_MEMTYPE) >> EPT_MEMTYPE_SHIFT == VMX_MEMTYPE_WC ?
				 _PAGE_CACHE_MODE_WC : _PAGE_CACHE_MODE_UC);
}

/*
 * With CR0.WP clear a supervisor may write a page that is read-only for users.
 * The CPU's CR0.WP is set, so the entry is for one of them at a time; a page that
 * is made the supervisor's must not become executable by CR4.SMEP's rule. That
 * CR4.SMAP would forbid a later access goes unnoticed.
 */
static u64 alone_bits(const struct fill *f, u64 bits)
{
	const struct shadow_role role = f->sp->role;

	if (!role.no_wp)
		return bits;
	if (!role.writable)
		bits &= ~SHADOW_WRITE;
	if (bits & SHADOW_WRITE || (f->walk->access & (X86_PF_WRITE | X86_PF_USER)) != X86_PF_WRITE)
		return bits;
	if (role.smep && f->walk->rights & SHADOW_USER)
		bits |= SHADOW_NX;
	return (bits | SHADOW_WRITE) & ~SHADOW_USER;
}

/* The bits of an entry that maps memory. */
static u64 leaf_bits(const struct fill *f)
{
	u64 pte = f->walk->pte[f->sp->role.level];
	u64 bits = ALL;

	if (!f->sp->role.direct) {
		bits = SHADOW_PRESENT | SHADOW_ACCESSED | (pte & (SHADOW_USER | SHADOW_NX));
		if (guest_writable(pte, true))
			bits |= SHADOW_WRITE;
	}
	bits = alone_bits(f, bits);
	if (!(f->map & EPT_WRITE))
		bits &= ~SHADOW_WRITE;
	if (!(f->map & EPT_EXEC))
		bits |= SHADOW_NX;
	return bits | memory_type(f->map);
}

/* May the way's page have an entry for all of 2 MiB? */
static bool can_be_large(const struct fill *f, const struct shadow_frames *frames)
{
	return f->sp->role.level == 2 && f->map_level >= 2 && on_large_page(f) &&
	       bitmap_empty(frames->tables, SHADOW_ENTRIES);
}

static enum shadow_walk_result need_records(struct fill *f, u64 gfn)
{
	f->p->miss_frame = gfn;
	return SHADOW_WALK_MISS;
}

static unsigned int index_of(const struct fill *f)
{
	return shadow_index(f->walk->gva, f->sp->role.level);
}

static enum shadow_walk_result need_memory(struct shadow_paging *p, u64 gpa, u64 access,
					   bool translated)
{
	p->miss = gpa;
	p->miss_access = access;
	p->miss_translated = translated;
	return SHADOW_WALK_MISS;
}

/* A table that is guarded is mapped writable when it is written, and watched from then on. */
static u64 guard_bits(const struct fill *f, u64 gfn, u64 entry)
{
	struct shadow *s = f->s;

	if (!(entry & SHADOW_WRITE) ||
	    !test_bit(gfn % SHADOW_ENTRIES, shadow_frames(s, gfn)->guarded))
		return entry;
	if (!(f->walk->access & X86_PF_WRITE))
		return entry & ~SHADOW_WRITE;
	shadow_unguard(f->s, gfn);
	return entry;
}

static enum shadow_walk_result fill_leaf(struct fill *f)
{
	unsigned int i = index_of(f);
	int level = f->sp->role.level;
	u64 gfn = (f->walk->gpa >> PAGE_SHIFT) & ~((1ULL << (9 * (level - 1))) - 1);
	u64 offset = (gfn << PAGE_SHIFT) & (ept_span(f->map_level) - 1);
	u64 entry = leaf_bits(f) | ((f->map & EPT_ADDR) + offset);

	if (level > 1)
		entry |= SHADOW_LARGE;
	else
		entry = guard_bits(f, gfn, entry);
	/* It referred to small pages, which the host had here before. */
	if (level > 1 && f->sp->table[i])
		shadow_drop(f->s, f->sp, i);
	if (!f->sp->role.direct)
		f->sp->guest[i] = f->walk->pte[level];
	if (f->sp->table[i])
		shadow_replace(f->s, f->sp, i, entry);
	else
		shadow_map(f->s, f->sp, i, gfn, entry);
	return SHADOW_WALK_DONE;
}

/* Do the guest's tables still say what the walk found there? */
static bool is_still_so(const struct fill *f)
{
	struct shadow_walk again = *f->walk;

	return shadow_walk_guest(f->s, f->p, &again) == SHADOW_WALK_DONE &&
	       again.level == f->walk->level && !memcmp(again.pte, f->walk->pte, sizeof(again.pte));
}

/*
 * Before a page that was there already is referred to, what was written is compared: its
 * address space may never have been told to invalidate it. If it is another thread's turn
 * first, the fault comes again and goes on from here; what is written meanwhile is written
 * after the first one, when a CPU could have cached all this. Whatever invalidates that
 * has it begun anew.
 *
 * Another CPU may have written a table between the walk and its comparison. No dirty bit tells
 * of that any more, so entries are not made from what the walk found then.
 */
static bool is_up_to_date(struct fill *f, const struct shadow_page *below)
{
	const u64 syncs = f->s->syncs;
	struct shadow_paging *p = f->p;

	if (bitmap_empty(below->present, SHADOW_ENTRIES))
		return true;
	if (p->linked != below->made) {
		p->linked = below->made;
		p->link_until = 0;
	}
	if (!shadow_sync(f->s, &p->link_until, false) ||
	    (f->s->syncs != syncs && !is_still_so(f)))
		return false;
	p->linked = 0;
	return true;
}

/* Have an absent entry refer to the page below, which is made if it is not there. */
static enum shadow_walk_result link_below(struct fill *f, unsigned int i)
{
	u64 gfn = gfn_below(f, i);
	struct shadow_page *below;

	if (!on_large_page(f) && !shadow_frames(f->s, gfn))
		return need_records(f, gfn);
	/* It may be of the same frame. */
	f->sp->users++;
	below = shadow_get(f->s, gfn, role_below(f, i));
	f->sp->users--;
	if (!below)
		return SHADOW_WALK_MISS;
	if (!is_up_to_date(f, below))
		return SHADOW_WALK_MISS;
	if (!f->sp->role.direct)
		f->sp->guest[i] = f->walk->pte[f->sp->role.level];
	shadow_link(f->s, f->sp, i, below, link_bits(f));
	return SHADOW_WALK_DONE;
}

/*
 * An entry that was made from something else than the guest has there now goes. One
 * that maps the same frame is replaced.
 */
static void check_entry(const struct fill *f, unsigned int i)
{
	struct shadow_page *sp = f->sp;
	u64 change = 0;

	if (!sp->table[i])
		return;
	if (!sp->role.direct)
		change = sp->guest[i] ^ f->walk->pte[sp->role.level];
	if (sp->role.level == 1)
		change &= SHADOW_ADDR;
	if (change || (sp->role.level > 1 && sp->table[i] & SHADOW_LARGE))
		shadow_drop(f->s, sp, i);
}

static enum shadow_walk_result fill_levels(struct fill *f)
{
	u64 gfn = f->walk->gpa >> PAGE_SHIFT;
	const struct shadow_frames *frames = shadow_frames(f->s, gfn);

	if (!frames)
		return need_records(f, gfn);
	for (;;) {
		unsigned int i = index_of(f);

		check_entry(f, i);
		if (f->sp->role.level == 1 || can_be_large(f, frames))
			return fill_leaf(f);
		if (!f->sp->table[i]) {
			enum shadow_walk_result result = link_below(f, i);

			if (result != SHADOW_WALK_DONE)
				return result;
			/* The next fault finds what was linked so far. */
			base_ledger_look();
			if (need_resched())
				return SHADOW_WALK_DONE;
		}
		f->sp = shadow_below(f->sp->table[i]);
	}
}

/* What the map must allow. */
static u64 map_access(const struct shadow_walk *walk)
{
	if (walk->access & X86_PF_INSTR)
		return EPT_EXEC;
	return walk->access & X86_PF_WRITE ? EPT_WRITE : EPT_READ;
}

/**
 * shadow_walk_guest() - translate an access by the guest's tables
 * @s: the shadow pages, the map's lock held
 * @p: the vCPU's paging
 * @walk: the access; filled in
 *
 * Return: as shadow_walk().
 */
enum shadow_walk_result shadow_walk_guest(struct shadow *s, const struct shadow_paging *p,
					  struct shadow_walk *walk)
{
	const struct shadow_walk_memory memory = { shadow_memory, s };
	u64 root = p->cr3;

	if (p->mode.format == SHADOW_GUEST_NONE) {
		walk->gpa = walk->gva;
		return SHADOW_WALK_DONE;
	}
	if (p->mode.format == SHADOW_GUEST_PAE)
		root = p->pdpte[walk->gva >> 30 & 3];
	return shadow_walk(&p->mode, &memory, root, walk);
}

/* The same, and what the map has there: NULL if that is to be got. */
static __always_inline enum shadow_walk_result
translate_gva(struct shadow *s, struct shadow_paging *p, struct shadow_walk *walk,
	      const struct shadow_found **found)
{
	enum shadow_walk_result result;

	p->miss = ~0ULL;
	p->miss_frame = ~0ULL;
	result = shadow_walk_guest(s, p, walk);
	if (result == SHADOW_WALK_FAULT)
		return result;
	if (result == SHADOW_WALK_MISS)
		return need_memory(p, walk->gpa, walk->write ? EPT_WRITE : EPT_READ, false);
	*found = shadow_find(s, walk->gpa, map_access(walk));
	return *found ? SHADOW_WALK_DONE : need_memory(p, walk->gpa, map_access(walk), true);
}

/**
 * shadow_translate() - judge an access that the module makes in the guest's place
 * @s: the shadow pages, the map's lock held
 * @p: the vCPU's paging
 * @walk: the access; filled in
 *
 * Return: %SHADOW_WALK_DONE: the map has the memory, as long as the lock is held;
 * %SHADOW_WALK_FAULT: it is the guest's page fault; %SHADOW_WALK_MISS: what
 * &shadow_paging.miss says is to be got.
 */
enum shadow_walk_result shadow_translate(struct shadow *s, struct shadow_paging *p,
					 struct shadow_walk *walk)
{
	const struct shadow_found *found;

	return translate_gva(s, p, walk, &found);
}

/**
 * shadow_fault() - judge an access, and make the entries that it needs
 * @s: the shadow pages, the map's lock held
 * @p: the vCPU's paging; its roots are loaded
 * @walk: the access; filled in
 *
 * Return: %SHADOW_WALK_DONE: it can be tried again; %SHADOW_WALK_FAULT: it is the guest's page
 * fault; %SHADOW_WALK_MISS: what &shadow_paging.miss and @miss_frame say is to be got, or
 * spare pages.
 */
enum shadow_walk_result shadow_fault(struct shadow *s, struct shadow_paging *p,
				     struct shadow_walk *walk)
{
	struct fill f = { .s = s, .p = p, .walk = walk };
	const struct shadow_found *found;
	enum shadow_walk_result result;

	if (unlikely(s->nr_watched > SHADOW_WATCHED_MAX)) {
		/* To load the roots makes them fewer; it may take its time. */
		p->reload = true;
		return SHADOW_WALK_DONE;
	}
	result = translate_gva(s, p, walk, &found);
	if (result != SHADOW_WALK_DONE)
		return result;
	f.map = found->entry;
	f.map_level = found->level;
	f.sp = p->root[p->mode.format == SHADOW_GUEST_LONG ? 0 : walk->gva >> 30 & 3];
	if (!f.sp) {
		/* When the roots were found, no memory had its table. */
		p->reload = true;
		return SHADOW_WALK_DONE;
	}
	return fill_levels(&f);
}
