/* SPDX-License-Identifier: GPL-2.0 */
/* The set of ranges of a guest-physical map. */
#ifndef VMX_MMU_RANGES_H
#define VMX_MMU_RANGES_H

#include <linux/interval_tree.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#define VMX_RANGES_MAX	32768

/* Nodes that any one split needs: a new piece at either end. */
#define VMX_RANGES_SPARE 2

/**
 * struct vmx_range - guest-physical memory with one backing and one protection
 * @gpa: where it is in guest-physical memory
 * @uaddr: where it is in the owner's address space; several may overlap there
 * @rcu: frees it after vmx_ranges_peek() is done with it
 * @prot: VMX_MMU_* bits
 */
struct vmx_range {
	struct interval_tree_node gpa;
	struct interval_tree_node uaddr;
	struct rcu_head rcu;
	u32 prot;
};

/**
 * struct vmx_ranges - ranges, disjoint in guest-physical memory
 * @by_gpa: by guest-physical address
 * @by_uaddr: by userspace address
 * @last: the range found last, read without the lock
 * @count: number of ranges
 * @edits: goes up when a range is removed or moved, so that a walk that gave up
 *	the lock can tell whether its position is still good
 */
struct vmx_ranges {
	struct rb_root_cached by_gpa;
	struct rb_root_cached by_uaddr;
	struct vmx_range __rcu *last;
	unsigned int count;
	unsigned int edits;
};

/**
 * struct vmx_range_copy - what a fault needs to know of its range
 * @first: first guest-physical address
 * @last: last guest-physical address
 * @uaddr: userspace address of @first
 * @prot: VMX_MMU_* bits
 */
struct vmx_range_copy {
	u64 first;
	u64 last;
	unsigned long uaddr;
	u32 prot;
};

struct vmx_range *vmx_range_alloc(u64 gpa, u64 uaddr, u64 length, u32 prot);
struct vmx_range *vmx_ranges_first(struct vmx_ranges *set, u64 first, u64 last);
void vmx_ranges_add(struct vmx_ranges *set, struct vmx_range *range);
void vmx_ranges_remove(struct vmx_ranges *set, struct vmx_range *range);
bool vmx_ranges_cover(struct vmx_ranges *set, u64 first, u64 last);
unsigned int vmx_ranges_growth(struct vmx_ranges *set, u64 first, u64 last,
			       bool keep);
void vmx_ranges_split(struct vmx_ranges *set, u64 gpa, struct vmx_range **spare);
void vmx_ranges_merge(struct vmx_ranges *set, u64 gpa);
bool vmx_ranges_find(struct vmx_ranges *set, u64 gpa,
		     struct vmx_range_copy *copy);
bool vmx_ranges_peek(struct vmx_ranges *set, u64 gpa,
		     struct vmx_range_copy *copy);

#endif /* VMX_MMU_RANGES_H */
