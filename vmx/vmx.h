/* SPDX-License-Identifier: GPL-2.0 */
/* Intel VMX of a vCPU: fields of its VMCS, VM entry and exit, and what a stay switches. */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include "../core/vcpu.h"
#include "ops.h"
#include "vmcs.h"

static __always_inline u64 vmx_read(struct vmm_vcpu *v, u32 field)
{
	vmm_count(&v->count.vmreads);
	return vmx_insn_vmread(field);
}

static __always_inline void vmx_write(struct vmm_vcpu *v, u32 field, u64 value)
{
	vmm_count(&v->count.vmwrites);
	vmx_insn_vmwrite(field, value);
}

static inline u64 vmx_guest_tsc(const struct vmm_vcpu *v)
{
	u64 offset = v->vmcs->cpu_ctls & VMX_CPU_TSC_OFFSETTING ?
		     v->vmcs->tsc_offset : 0;

	return rdtsc() + offset;
}

/* vmx/run.c: one RUN */
void vmx_run_init(void);
long vmx_run(struct vmm_vcpu *v);

/* vmx/vcpu.c: Intel's part of a vCPU */
int vmx_backend_init(struct vmm_vcpu *v, const struct vmx_create_vcpu *args);
void vmx_backend_free(struct vmm_vcpu *v);
int vmx_backend_attach(struct vmm_vcpu *v);
void vmx_backend_detach(struct vmm_vcpu *v);

/* vmx/vpid.c: VPIDs, and translations that the CPU has cached */
int vmx_vpid_alloc(struct vmm_vm *vm);
void vmx_flush(struct vmm_vcpu *v);
void vmx_vpid_forget(struct vmm_vcpu *v);
void vmx_vpid_flush_all(void);

/* vmx/views.c: the mmus of a vCPU */
int vmx_views_init(struct vmm_vcpu *v, struct gphys_mmu *mmu);
void vmx_views_free(struct vmm_vcpu *v);
void vmx_views_attach(struct vmm_vcpu *v);
void vmx_views_detach(struct vmm_vcpu *v, bool current_vmcs);
void vmx_views_follow(struct vmm_vcpu *v);
long vmx_views_set_mmu(struct vmm_vcpu *v, void __user *arg);
long vmx_views_get_mmu(struct vmm_vcpu *v, void __user *arg);
long vmx_views_set_list(struct vmm_vcpu *v, void __user *arg);

/* vmx/ve.c: virtualization exceptions */
long vmx_ve_set(struct vmm_vcpu *v, void __user *arg);
struct page *vmx_ve_page(struct vmm_vcpu *v);
void vmx_ve_detach(struct vmm_vcpu *v);
void vmx_ve_free(struct vmm_vcpu *v);

/* vmx/pml.c: page-modification logging */
int vmx_pml_alloc(struct vmm_vcpu *v);
void vmx_pml_free(struct vmm_vcpu *v);
void vmx_pml_attach(struct vmm_vcpu *v);
void vmx_pml_switch(struct vmm_vcpu *v);
void vmx_pml_note(struct vmm_vcpu *v);
bool vmx_pml_tell(struct vmm_vcpu *v);
void vmx_pml_tell_all(struct vmm_vcpu *v);
int vmx_pml_collect(struct gphys_mmu *mmu);

/* vmx/input.c, vmx/output.c: the run page */
int vmx_take_input(struct vmm_vcpu *v);
void vmx_give_exit(struct vmm_vcpu *v);
void vmx_give_state(struct vmm_vcpu *v);

enum vmm_next vmx_handle_exit(struct vmm_vcpu *v);
void vmx_explain_failure(struct vmm_vcpu *v);
void vmx_inject_fault(struct vmm_vcpu *v, u32 vector, u32 error);
void vmx_inject_gp(struct vmm_vcpu *v);
void vmx_retire_length(struct vmm_vcpu *v, u32 length);

/* Complete the instruction that exited, one that has a length. */
static inline void vmx_retire(struct vmm_vcpu *v)
{
	vmx_retire_length(v, vmx_read(v, VMX_F_EXIT_INSN_LENGTH));
}

/* vmx/enter.c, vmx/entry.S */
u64 vmx_enter(struct vmm_vcpu *v);
void *__vmx_enter(u64 *regs, unsigned long *host_rsp, unsigned long launched);
void vmx_exit_point(void);

#endif /* VMX_VMX_H */
