/* SPDX-License-Identifier: GPL-2.0 */
/* A guest with shadow page tables: its control registers and the exits that they cause. */
#ifndef VMX_PAGING_H
#define VMX_PAGING_H

#include <linux/types.h>

struct vmx_vcpu;
struct vmx_vmcs;

/* regs.c: the vCPU's control registers */
int vmx_paging_alloc(struct vmx_vcpu *v);
void vmx_paging_free(struct vmx_vcpu *v);
void vmx_paging_attach(struct vmx_vcpu *v);
void vmx_paging_detach(struct vmx_vcpu *v);
bool vmx_paging_read(const struct vmx_vmcs *vmcs, u32 field, u64 *value);
u64 vmx_paging_efer_bits(void);
bool vmx_paging_write(struct vmx_vmcs *vmcs, u32 field, u64 value);

/* roots.c: its roots */
int vmx_paging_load(struct vmx_vcpu *v);

/* exit.c: its exits */
bool vmx_paging_cr_access(struct vmx_vcpu *v);
int vmx_paging_exit(struct vmx_vcpu *v);
bool vmx_paging_set_efer(struct vmx_vcpu *v, u64 value);
int vmx_paging_prepare(struct vmx_vcpu *v);

/* look.c: for the vCPU's owner */
long vmx_paging_walk(struct vmx_vcpu *v, void __user *arg);

#endif /* VMX_PAGING_H */
