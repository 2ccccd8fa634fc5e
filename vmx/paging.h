/* SPDX-License-Identifier: GPL-2.0 */
/* Shadow paging on Intel's CPUs: fields that the module keeps, and exits. */
#ifndef VMX_PAGING_H
#define VMX_PAGING_H

#include <linux/container_of.h>

#include "../shadow/shadow.h"

struct vmm_vcpu;
struct vmx_vmcs;

/**
 * struct vmx_shadowed - fields of a VMCS that the module keeps for shadow paging
 * @paging: the guest's control registers, and its roots
 * @pat: guest PAT
 * @cr0_mask: CR0 guest/host mask, as userspace wrote it
 * @cr4_mask: CR4 guest/host mask, likewise
 * @cr0_shadow: CR0 read shadow, likewise
 * @cr4_shadow: CR4 read shadow, likewise
 * @cr3_targets: CR3-target count, likewise
 * @error_mask: page-fault error-code mask, likewise
 * @error_match: page-fault error-code match, likewise
 */
struct vmx_shadowed {
	struct shadow_paging paging;
	u64 pat;
	u64 cr0_mask;
	u64 cr4_mask;
	u64 cr0_shadow;
	u64 cr4_shadow;
	u64 cr3_targets;
	u64 error_mask;
	u64 error_match;
};

static inline struct vmx_shadowed *vmx_shadowed(struct shadow_paging *p)
{
	return container_of(p, struct vmx_shadowed, paging);
}

/* vmx/paging.c: the fields */
int vmx_paging_alloc(struct vmm_vcpu *v);
void vmx_paging_free(struct vmm_vcpu *v);
void vmx_paging_attach(struct vmm_vcpu *v);
void vmx_paging_detach(struct vmm_vcpu *v);
bool vmx_paging_read(const struct vmx_vmcs *vmcs, u32 field, u64 *value);
bool vmx_paging_write(struct vmx_vmcs *vmcs, u32 field, u64 value);
void vmx_paging_merge(struct shadow_paging *p);
void vmx_paging_apply(const struct shadow_paging *p);

/* vmx/paging_exit.c: the exits */
int vmx_paging_load(struct vmm_vcpu *v);
bool vmx_paging_cr_access(struct vmm_vcpu *v);
int vmx_paging_exit(struct vmm_vcpu *v);
bool vmx_paging_set_efer(struct vmm_vcpu *v, u64 value);
bool vmx_paging_is_64bit_code(struct vmm_vcpu *v);
u64 vmx_paging_register(struct vmm_vcpu *v, unsigned int n);
u64 vmx_paging_operand(struct vmm_vcpu *v, unsigned int n);

/* vmx/invpcid.c */
int vmx_paging_invpcid(struct vmm_vcpu *v);

#endif /* VMX_PAGING_H */
