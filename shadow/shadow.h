/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shadow paging: its interface to the rest of the module. See the top of
 * shadow/page.c.
 */
#ifndef SHADOW_SHADOW_H
#define SHADOW_SHADOW_H

#include <linux/types.h>

#include "walk.h"

struct ept;
struct shadow;
struct shadow_page;

/* PAE has four root tables, the other formats one. */
#define SHADOW_ROOTS	4

/**
 * struct shadow_role - what of a guest's table a shadow page stands for
 * @level: level of the shadow page
 * @format: format of the guest's table
 * @direct: no table: consecutive frames, below a large page or without paging
 * @quadrant: which part of a table with 4-byte entries, which maps more
 * @large: &shadow_mode.large when its entries were made
 * @nxe: EFER.NXE, likewise
 * @no_wp: CR0.WP is clear: supervisors may write what is read-only
 * @smep: CR4.SMEP, with @no_wp
 * @writable: with @no_wp: all entries on the way here allow writes
 * @user: with @no_wp: they all let users in
 * @zero: 0, so that roles can be compared as memory
 */
struct shadow_role {
	u32 level : 3;
	u32 format : 2;
	u32 direct : 1;
	u32 quadrant : 2;
	u32 large : 4;
	u32 nxe : 1;
	u32 no_wp : 1;
	u32 smep : 1;
	u32 writable : 1;
	u32 user : 1;
	u32 zero : 15;
};

/**
 * struct shadow_paging - the control registers of a guest with shadow page tables
 * @cr0: guest CR0, but for the bits that the guest changes without an exit
 * @cr3: guest CR3
 * @cr4: guest CR4, likewise
 * @efer: guest EFER
 * @pdpte: the guest's PDPTEs
 * @shadow: the shadow pages of the vCPU's mmu
 * @mode: how the guest's tables are read
 * @role: the role of the first root, from which the others' follow
 * @root: the roots in use, referenced; NULL if there are none
 * @pae: the four PDPTEs that the CPU loads where @mode is not long
 * @reload: the roots are to be found before the guest goes on
 * @reread: and tables are to be compared with the guest's whoever wrote them
 * @reread_until: that goes on, up to this; 0 if it does not
 * @sync_until: what was written is being compared, up to this; 0 if it is not
 * @linked: &shadow_page.made of the page that is to be referred to when this is done; 0
 *	if there is none
 * @link_until: up to where, likewise
 * @enough: address of the last fault if shadow entries allowed the access, ~0 otherwise
 * @miss: guest-physical memory that is to be got, ~0 if none
 * @miss_access: VMX_MMU_* bits that it is needed for
 * @miss_translated: it is what the guest accesses, not one of its tables
 * @miss_frame: frame that records are to be made for, ~0 if none
 */
struct shadow_paging {
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u64 efer;
	u64 pdpte[4];

	struct shadow *shadow;
	struct shadow_mode mode;
	struct shadow_role role;
	struct shadow_page *root[SHADOW_ROOTS];
	u64 *pae;
	bool reload;
	bool reread;
	u64 reread_until;
	u64 sync_until;
	u64 linked;
	u64 link_until;

	u64 enough;
	u64 miss;
	u32 miss_access;
	bool miss_translated;
	u64 miss_frame;
};

/* shadow/pool.c: for the mmu */
int shadow_create(struct ept *map);

#endif /* SHADOW_SHADOW_H */
