// SPDX-License-Identifier: GPL-2.0
/*
 * The set of ranges of a guest-physical map. A guest's fault finds a range by
 * guest-physical address; a notifier finds it by userspace address when the
 * host takes memory back.
 *
 * Callers take the locks: changes need the mmu's edit mutex and its lock, look-ups
 * either of them. Only gphys_ranges_peek() needs neither.
 */
#include <linux/interval_tree.h>
#include <linux/slab.h>

#include "../base/kunit-export.h"
#include "../base/ledger_time.h"
#include "ranges.h"

static struct gphys_range *by_gpa(struct interval_tree_node *node)
{
	return node ? container_of(node, struct gphys_range, gpa) : NULL;
}

/**
 * gphys_range_alloc() - make a range that is in no set
 * @gpa: first guest-physical address
 * @uaddr: userspace address that backs it
 * @length: bytes, not 0
 * @prot: VMX_MMU_* bits
 *
 * Context: may sleep.
 * Return: the range, to be added to a set or given to kfree(); NULL without
 * memory.
 */
struct gphys_range *gphys_range_alloc(u64 gpa, u64 uaddr, u64 length, u32 prot)
{
	struct gphys_range *range = kzalloc(sizeof(*range), GFP_KERNEL_ACCOUNT);

	if (!range)
		return NULL;
	range->gpa.start = gpa;
	range->gpa.last = gpa + length - 1;
	range->uaddr.start = uaddr;
	range->uaddr.last = uaddr + length - 1;
	range->prot = prot;
	return range;
}
EXPORT_SYMBOL_IF_KUNIT(gphys_range_alloc);

/**
 * gphys_ranges_first() - find the lowest range in an interval
 * @set: the ranges
 * @first: first guest-physical address
 * @last: last guest-physical address
 *
 * Return: the range with the lowest address that has any byte of the interval;
 * NULL if none has.
 */
struct gphys_range *gphys_ranges_first(struct gphys_ranges *set, u64 first, u64 last)
{
	return by_gpa(interval_tree_iter_first(&set->by_gpa, first, last));
}
EXPORT_SYMBOL_IF_KUNIT(gphys_ranges_first);

/**
 * gphys_ranges_add() - put a range into the set
 * @set: the ranges
 * @range: the new one, which overlaps none of them in guest-physical memory
 */
void gphys_ranges_add(struct gphys_ranges *set, struct gphys_range *range)
{
	interval_tree_insert(&range->gpa, &set->by_gpa);
	interval_tree_insert(&range->uaddr, &set->by_uaddr);
	set->count++;
}
EXPORT_SYMBOL_IF_KUNIT(gphys_ranges_add);

static void gphys_ranges_take(struct gphys_ranges *set, struct gphys_range *range)
{
	interval_tree_remove(&range->gpa, &set->by_gpa);
	interval_tree_remove(&range->uaddr, &set->by_uaddr);
	set->count--;
	set->edits++;
}

/**
 * gphys_ranges_remove() - take a range out of the set and free it
 * @set: the ranges
 * @range: one of them
 */
void gphys_ranges_remove(struct gphys_ranges *set, struct gphys_range *range)
{
	gphys_ranges_take(set, range);
	if (rcu_access_pointer(set->last) == range)
		RCU_INIT_POINTER(set->last, NULL);
	kfree_rcu(range, rcu);
}
EXPORT_SYMBOL_IF_KUNIT(gphys_ranges_remove);

/**
 * gphys_ranges_cover() - is every byte of an interval in some range
 * @set: the ranges
 * @first: first guest-physical address
 * @last: last guest-physical address
 *
 * Context: may sleep, with the mmu's edit mutex.
 * Return: true if there is no hole.
 */
bool gphys_ranges_cover(struct gphys_ranges *set, u64 first, u64 last)
{
	for (;;) {
		struct gphys_range *range = gphys_ranges_first(set, first, first);

		if (!range)
			return false;
		if (range->gpa.last >= last)
			return true;
		base_cond_resched();
		first = range->gpa.last + 1;
	}
}
EXPORT_SYMBOL_IF_KUNIT(gphys_ranges_cover);

/* The range that a cut between @gpa - 1 and @gpa would break. */
static struct gphys_range *gphys_ranges_astride(struct gphys_ranges *set, u64 gpa)
{
	struct gphys_range *range = gphys_ranges_first(set, gpa, gpa);

	return range && range->gpa.start != gpa ? range : NULL;
}

/**
 * gphys_ranges_growth() - how many more ranges there will be
 * @set: the ranges
 * @first: first guest-physical address of an interval to cut out
 * @last: its last address
 * @keep: the interval stays, as ranges of its own; otherwise it is removed
 *
 * Return: ranges in addition to those there are, 0 to %GPHYS_RANGES_SPARE.
 */
unsigned int gphys_ranges_growth(struct gphys_ranges *set, u64 first, u64 last,
				 bool keep)
{
	struct gphys_range *low = gphys_ranges_astride(set, first);
	struct gphys_range *high = gphys_ranges_astride(set, last + 1);

	if (keep)
		return !!low + !!high;
	return low && low == high;
}
EXPORT_SYMBOL_IF_KUNIT(gphys_ranges_growth);

/**
 * gphys_ranges_split() - let no range reach across an address
 * @set: the ranges
 * @gpa: guest-physical address; a range that has it and the byte below becomes
 *	two, the second of which begins here
 * @spare: an unused range; set to NULL if it became part of the set
 *
 * Context: within a write section of the mmu's sequence count.
 */
void gphys_ranges_split(struct gphys_ranges *set, u64 gpa, struct gphys_range **spare)
{
	struct gphys_range *low = gphys_ranges_astride(set, gpa);
	struct gphys_range *high = *spare;
	u64 length;

	if (!low)
		return;
	*spare = NULL;
	length = gpa - low->gpa.start;

	high->gpa.start = gpa;
	high->gpa.last = low->gpa.last;
	high->uaddr.start = low->uaddr.start + length;
	high->uaddr.last = low->uaddr.last;
	high->prot = low->prot;

	gphys_ranges_take(set, low);
	low->gpa.last = gpa - 1;
	low->uaddr.last = high->uaddr.start - 1;
	gphys_ranges_add(set, low);
	gphys_ranges_add(set, high);
}
EXPORT_SYMBOL_IF_KUNIT(gphys_ranges_split);

/**
 * gphys_ranges_merge() - undo a split that is no longer needed
 * @set: the ranges
 * @gpa: guest-physical address; if the ranges that end below and begin here
 *	are alike and their backing continues, they become one
 *
 * Context: within a write section of the mmu's sequence count.
 */
void gphys_ranges_merge(struct gphys_ranges *set, u64 gpa)
{
	struct gphys_range *low = gpa ? gphys_ranges_first(set, gpa - 1, gpa - 1) : NULL;
	struct gphys_range *high = gphys_ranges_first(set, gpa, gpa);

	if (!low || !high || low == high || low->prot != high->prot ||
	    low->uaddr.last + 1 != high->uaddr.start)
		return;
	gphys_ranges_take(set, low);
	low->gpa.last = high->gpa.last;
	low->uaddr.last = high->uaddr.last;
	gphys_ranges_remove(set, high);
	gphys_ranges_add(set, low);
}
EXPORT_SYMBOL_IF_KUNIT(gphys_ranges_merge);

static void gphys_range_copy_out(const struct gphys_range *range,
				 struct gphys_range_copy *copy)
{
	copy->first = READ_ONCE(range->gpa.start);
	copy->last = READ_ONCE(range->gpa.last);
	copy->uaddr = READ_ONCE(range->uaddr.start);
	copy->prot = READ_ONCE(range->prot);
}

/**
 * gphys_ranges_find() - find the range of an address, and remember it
 * @set: the ranges
 * @gpa: guest-physical address
 * @copy: filled in if there is one
 *
 * Context: with the mmu's lock.
 * Return: true if there is one.
 */
bool gphys_ranges_find(struct gphys_ranges *set, u64 gpa,
		       struct gphys_range_copy *copy)
{
	struct gphys_range *range = gphys_ranges_first(set, gpa, gpa);

	if (!range)
		return false;
	if (rcu_access_pointer(set->last) != range)
		rcu_assign_pointer(set->last, range);
	gphys_range_copy_out(range, copy);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(gphys_ranges_find);

/**
 * gphys_ranges_peek() - look at the range found last, without a lock
 * @set: the ranges
 * @gpa: guest-physical address
 * @copy: filled in if that range has it
 *
 * The copy is good only if the mmu's sequence count, read before, has not
 * changed after.
 *
 * Return: true if the range found last has the address.
 */
bool gphys_ranges_peek(struct gphys_ranges *set, u64 gpa,
		       struct gphys_range_copy *copy)
{
	const struct gphys_range *range;
	bool found = false;

	rcu_read_lock();
	range = rcu_dereference(set->last);
	if (range) {
		gphys_range_copy_out(range, copy);
		found = copy->first <= gpa && gpa <= copy->last;
	}
	rcu_read_unlock();
	return found;
}
EXPORT_SYMBOL_IF_KUNIT(gphys_ranges_peek);
