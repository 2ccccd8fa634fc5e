// SPDX-License-Identifier: GPL-2.0
/*
 * Shows a guest's tables, and the tables that the CPU walks in their place, without
 * changing either.
 */
#include <linux/capability.h>

#include <asm/trap_pf.h>

#include "internal.h"

/* Tables that are got for a walk; those that are taken back meanwhile count again. */
#define ATTEMPTS	(2 * SHADOW_MAX_LEVELS)

/**
 * paging_look() - walk the tables that the CPU does
 * @p: the vCPU's paging
 * @gva: linear address
 * @entry: the entry of each level, @entry[n] for level n, from the level returned up
 *
 * Context: with the mmu's lock.
 * Return: the level that the walk ended at, in a mapping or in an absent entry; 0 if
 * the roots are yet to be found.
 */
int paging_look(const struct shadow_paging *p, u64 gva, u64 *entry)
{
	const bool wide = p->mode.format == SHADOW_GUEST_LONG;
	unsigned int n = wide ? 0 : gva >> 30 & 3;
	const struct shadow_page *sp = p->root[n];

	if (p->reload)
		return 0;
	if (!wide)
		entry[3] = p->pae[n];
	if (!sp)
		return wide ? 0 : 3;
	for (;;) {
		int level = sp->role.level;

		entry[level] = READ_ONCE(sp->table[shadow_index(gva, level)]);
		if (!(entry[level] & SHADOW_PRESENT) || shadow_is_leaf(entry[level], level))
			return level;
		sp = shadow_below(entry[level]);
	}
}

/* The guest's tables as far as they are at hand; whether the walk is over. */
static bool walk_guest(struct vmm_vcpu *v, struct shadow_walk *guest, struct vmx_walk *walk)
{
	enum shadow_walk_result result;

	result = shadow_walk_guest(v->paging->shadow, v->paging, guest);
	walk->physical = result == SHADOW_WALK_FAULT ? 0 : guest->gpa;
	walk->rights = result == SHADOW_WALK_DONE ? guest->rights : 0;
	switch (result) {
	case SHADOW_WALK_DONE:
		walk->result = VMX_WALK_MAPPED;
		break;
	case SHADOW_WALK_FAULT:
		walk->result = guest->error & X86_PF_RSVD ? VMX_WALK_RESERVED : VMX_WALK_ABSENT;
		break;
	default:
		walk->result = VMX_WALK_UNREACHABLE;
	}
	return result != SHADOW_WALK_MISS;
}

static void show_walk(const struct shadow_paging *p, const struct shadow_walk *guest,
		      struct vmx_walk *walk)
{
	u64 shadow[SHADOW_MAX_LEVELS + 1] = {};
	int level;

	walk->leaf = guest->level;
	walk->levels = p->mode.levels + (p->mode.format == SHADOW_GUEST_PAE);
	if (p->mode.format == SHADOW_GUEST_NONE)
		walk->levels = 0;
	walk->shadow_levels = p->mode.format == SHADOW_GUEST_LONG ? p->mode.levels : 3;
	walk->shadow_leaf = paging_look(p, walk->linear, shadow);
	walk->masked = !capable(CAP_SYS_ADMIN);
	for (level = 1; level <= SHADOW_MAX_LEVELS; level++) {
		walk->entry[level - 1] = guest->pte[level];
		walk->shadow[level - 1] = shadow[level] & ~(walk->masked ? SHADOW_ADDR : 0);
	}
}

/* 0, or an errno. */
static int look_up_gva(struct vmm_vcpu *v, struct vmx_walk *walk)
{
	const struct shadow_paging *p = v->paging;
	int attempts = ATTEMPTS, r = GPHYS_FAULT_DONE;
	struct shadow_walk guest;
	struct gphys_miss miss;
	bool over;

	for (;;) {
		guest = (struct shadow_walk){ .gva = walk->linear, .look = true };
		if (p->mode.format == SHADOW_GUEST_PAE)
			guest.pte[3] = p->pdpte[walk->linear >> 30 & 3];
		spin_lock(&v->mmu->lock);
		over = walk_guest(v, &guest, walk) || r != GPHYS_FAULT_DONE || !--attempts;
		if (over)
			show_walk(p, &guest, walk);
		spin_unlock(&v->mmu->lock);
		if (over)
			return 0;
		r = gphys_fault(v->mmu, guest.gpa, VMX_MMU_READ, false, &miss);
		if (r == -EINTR || r == -ENOMEM)
			return r;
	}
}

static bool valid_address(const struct shadow_paging *p, u64 linear)
{
	unsigned int unused = p->mode.levels == 5 ? 7 : 16;

	if (p->mode.format != SHADOW_GUEST_LONG)
		return !(linear >> 32);
	/* SDM, "Canonical Addressing" */
	return (u64)((s64)(linear << unused) >> unused) == linear;
}

/**
 * paging_walk() - %VMX_WALK
 * @v: the vCPU, its VMCS busy for the caller
 * @arg: a struct vmx_walk
 *
 * Context: the owner's address space; may sleep.
 * Return: 0 or a negative errno.
 */
long paging_walk(struct vmm_vcpu *v, void __user *arg)
{
	struct vmx_walk walk;
	int err;

	err = base_copy_in(&walk, sizeof(walk), arg, sizeof(walk));
	if (err)
		return err;
	if (walk.flags || !v->paging)
		return -EOPNOTSUPP;
	if (!valid_address(v->paging, walk.linear))
		return -EINVAL;
	err = look_up_gva(v, &walk);
	return err ? err : base_copy_out(arg, &walk, sizeof(walk));
}
