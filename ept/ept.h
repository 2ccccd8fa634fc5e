/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The page tables of a guest-physical map. Code that removes or narrows translations
 * calls vmx_mmu_narrowed(), and puts tables that become empty on &vmx_mmu.unlinked.
 */
#ifndef VMX_EPT_EPT_H
#define VMX_EPT_EPT_H

#include <linux/types.h>

#include "entry.h"

/**
 * struct ept - a tree of EPT tables
 * @table: the root table
 * @format: what its entries may look like
 * @small_exec: the CPU has the erratum that a change of page size under an
 *	instruction fetch may stop the machine ("Machine Check Error Avoidance on
 *	Page Size Change"): large pages are not executable
 */
struct ept {
	u64 *table;
	struct ept_format format;
	bool small_exec;
};

/*
 * What a walk spends before it offers to give up the lock. An entry that it only
 * looks at is 1, some ten instructions; what takes longer is more. So it is some
 * 50,000 instructions, of which 200,000 may not be exceeded between two looks at
 * need_resched.
 */
#define EPT_BUDGET		4096

struct vmx_dirty_batch;
struct vmx_mapping;
struct vmx_mmu;
struct vmx_mmu_walk;

/* ept/ept.c */
int ept_init(struct vmx_mmu *mmu);
void ept_destroy(struct vmx_mmu *mmu);
bool ept_supports(struct vmx_mmu *mmu, u32 prot);
u64 ept_find(struct vmx_mmu *mmu, u64 gpa, int *level);
int ept_install(struct vmx_mmu *mmu, struct vmx_mapping *map);
u64 ept_zap(struct vmx_mmu *mmu, u64 start, u64 end, bool forget);
u64 ept_protect(struct vmx_mmu *mmu, u64 start, u64 end, u32 prot);
bool ept_young(struct vmx_mmu *mmu, u64 start, u64 end, bool clear);
u64 ept_age(struct vmx_mmu *mmu, u64 start, u64 end);
void ept_walk(struct vmx_mmu *mmu, struct vmx_mmu_walk *walk);

/* ept/log.c */
u64 ept_relog(struct vmx_mmu *mmu, u64 start, u64 end);
void ept_mark(struct vmx_mmu *mmu, const u64 *gpas, unsigned int count);
u64 ept_harvest(struct vmx_mmu *mmu, u64 start, u64 end,
		struct vmx_dirty_batch *batch);

#endif /* VMX_EPT_EPT_H */
