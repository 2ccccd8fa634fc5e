/* SPDX-License-Identifier: GPL-2.0 */
/* The set of ranges of a guest-physical map. */
#ifndef GPHYS_RANGES_H
#define GPHYS_RANGES_H

#include <linux/interval_tree.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#define GPHYS_RANGES_MAX	32768

/* Nodes that any one split needs: a new piece at either end. */
#define GPHYS_RANGES_SPARE 2

/**
 * struct gphys_range - guest-physical memory with one backing and one protection
 * @gpa: where it is in guest-physical memory
 * @uaddr: where it is in the owner's address space; several may overlap there
 * @rcu: frees it after gphys_ranges_peek() is done with it
 * @prot: VMX_MMU_* bits
 */
struct gphys_range {
	struct interval_tree_node gpa;
	struct interval_tree_node uaddr;
	struct rcu_head rcu;
	u32 prot;
};

/**
 * struct gphys_ranges - ranges, disjoint in guest-physical memory
 * @by_gpa: by guest-physical address
 * @by_uaddr: by userspace address
 * @last: the range found last, read without the lock
 * @count: number of ranges
 * @edits: goes up when a range is removed or moved, so that a walk that gave up
 *	the lock can tell whether its position is still good
 */
struct gphys_ranges {
	struct rb_root_cached by_gpa;
	struct rb_root_cached by_uaddr;
	struct gphys_range __rcu *last;
	unsigned int count;
	unsigned int edits;
};

/**
 * struct gphys_range_copy - what a fault needs to know of its range
 * @first: first guest-physical address
 * @last: last guest-physical address
 * @uaddr: userspace address of @first
 * @prot: VMX_MMU_* bits
 */
struct gphys_range_copy {
	u64 first;
	u64 last;
	unsigned long uaddr;
	u32 prot;
};

struct gphys_range *gphys_range_alloc(u64 gpa, u64 uaddr, u64 length, u32 prot);
struct gphys_range *gphys_ranges_first(struct gphys_ranges *set, u64 first, u64 last);
void gphys_ranges_add(struct gphys_ranges *set, struct gphys_range *range);
void gphys_ranges_remove(struct gphys_ranges *set, struct gphys_range *range);
bool gphys_ranges_cover(struct gphys_ranges *set, u64 first, u64 last);
unsigned int gphys_ranges_growth(struct gphys_ranges *set, u64 first, u64 last,
				 bool keep);
void gphys_ranges_split(struct gphys_ranges *set, u64 gpa, struct gphys_range **spare);
void gphys_ranges_merge(struct gphys_ranges *set, u64 gpa);
bool gphys_ranges_find(struct gphys_ranges *set, u64 gpa,
		       struct gphys_range_copy *copy);
bool gphys_ranges_peek(struct gphys_ranges *set, u64 gpa,
		       struct gphys_range_copy *copy);

#endif /* GPHYS_RANGES_H */
