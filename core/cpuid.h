/* SPDX-License-Identifier: GPL-2.0 */
/* How the CPUID table is indexed: see struct vmm_cpuid_state. */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

#include <linux/compiler.h>

#include "vcpu.h"

#define CPUID_SLOT(leaf)	((leaf) & 0x3fffffff)

/* A flag of entries in the table: something of what the leaf says is the vCPU's. */
#define CPUID_LIVE	BIT(31)

/*
 * The slot of a leaf that has one; below VMM_CPUID_SLOTS for any other, which the
 * CPU may ask for before it knows. As array_index_nospec(), by one instruction.
 */
static __always_inline u32 vmm_cpuid_slot_nospec(u32 leaf)
{
	OPTIMIZER_HIDE_VAR(leaf);
	return leaf & (VMM_CPUID_SLOTS - 1);
}

#endif /* VMM_CPUID_H */
