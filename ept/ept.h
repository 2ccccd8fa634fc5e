/* SPDX-License-Identifier: GPL-2.0 */
/* EPT as one kind of page tables behind an mmu. */
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

struct vmx_mmu;

u64 ept_find(struct vmx_mmu *mmu, u64 gpa, int *level);

#endif /* VMX_EPT_EPT_H */
