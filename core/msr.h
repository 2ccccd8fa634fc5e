/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's MSRs, for the exits of RDMSR and WRMSR. See the top of msr.c. */
#ifndef VMM_MSR_H
#define VMM_MSR_H

#include "vcpu.h"

/* The policy for an MSR; NULL if there is none. */
static inline struct vmx_msr *vmm_msr_find(struct vmm_vcpu *v, u32 index)
{
	unsigned int low = 0, high = v->msr.count;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (v->msr.table[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < v->msr.count && v->msr.table[low].index == index)
		return &v->msr.table[low];
	return NULL;
}

int vmm_msr_slot(u32 index);
bool vmm_msr_valid(u32 index, u64 value);

#endif /* VMM_MSR_H */
