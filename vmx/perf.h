/* SPDX-License-Identifier: GPL-2.0 */
/* The host's performance counters while a guest runs. */
#ifndef VMX_PERF_H
#define VMX_PERF_H

#include <linux/types.h>

#include <asm/page.h>

struct perf_guest_switch_msr;
struct vmm_vcpu;

/* Entry of an MSR area; SDM, "VM-Exit Controls for MSRs" */
struct vmx_msr_area_entry {
	u32 index;
	u32 reserved;
	u64 value;
};

#define VMX_PERF_MSRS	(PAGE_SIZE / sizeof(struct vmx_msr_area_entry) / 2)

/**
 * struct vmx_perf_areas - what VM entry and VM exit load; 16-byte aligned
 * @guest: loaded by VM entry
 * @host: loaded by VM exit
 */
struct vmx_perf_areas {
	struct vmx_msr_area_entry guest[VMX_PERF_MSRS];
	struct vmx_msr_area_entry host[VMX_PERF_MSRS];
};

bool vmx_perf_init(void);
int vmx_perf_alloc(struct vmm_vcpu *v);
void vmx_perf_free(struct vmm_vcpu *v);
void vmx_perf_attach(struct vmm_vcpu *v);
void vmx_perf_detach(struct vmm_vcpu *v);
void vmx_perf_switch(struct vmm_vcpu *v);
void vmx_perf_undo(struct vmm_vcpu *v);
unsigned int vmx_perf_fill(struct vmx_perf_areas *areas,
			   const struct perf_guest_switch_msr *msrs, int count);

#endif /* VMX_PERF_H */
