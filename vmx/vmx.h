/* SPDX-License-Identifier: GPL-2.0 */
/* Intel VMX of a vCPU: fields of its VMCS, VM entry and exit, and what a stay switches. */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include "../core/vcpu.h"
#include "ops.h"
#include "vmcs.h"

static __always_inline u64 vmx_read(struct vmx_vcpu *v, u32 field)
{
	vmx_count(&v->count.vmreads);
	return vmx_insn_vmread(field);
}

static __always_inline void vmx_write(struct vmx_vcpu *v, u32 field, u64 value)
{
	vmx_count(&v->count.vmwrites);
	vmx_insn_vmwrite(field, value);
}

static inline u64 vmx_guest_tsc(const struct vmx_vcpu *v)
{
	u64 offset = v->vmcs->cpu_ctls & VMX_CPU_TSC_OFFSETTING ?
		     v->vmcs->tsc_offset : 0;

	return rdtsc() + offset;
}

/* vmx/run.c: one RUN */
void vmx_run_init(void);
long vmx_run(struct vmx_vcpu *v);

/* vmx/vcpu.c: Intel's part of a vCPU */
int vmx_backend_init(struct vmx_vcpu *v, const struct vmx_create_vcpu *args);
void vmx_backend_free(struct vmx_vcpu *v);
int vmx_backend_attach(struct vmx_vcpu *v);
void vmx_backend_detach(struct vmx_vcpu *v);

/* vmx/vpid.c: VPIDs, and translations that the CPU has cached */
int vmx_vpid_alloc(struct vmx_vm *vm);
void vmx_flush(struct vmx_vcpu *v);
void vmx_vpid_forget(struct vmx_vcpu *v);
void vmx_vpid_flush_all(void);

/* vmx/views.c: the mmus of a vCPU */
int vmx_views_init(struct vmx_vcpu *v, struct vmx_mmu *mmu);
void vmx_views_free(struct vmx_vcpu *v);
void vmx_views_attach(struct vmx_vcpu *v);
void vmx_views_detach(struct vmx_vcpu *v, bool current_vmcs);
void vmx_views_follow(struct vmx_vcpu *v);
long vmx_views_set_mmu(struct vmx_vcpu *v, void __user *arg);
long vmx_views_get_mmu(struct vmx_vcpu *v, void __user *arg);
long vmx_views_set_list(struct vmx_vcpu *v, void __user *arg);

/* vmx/ve.c: virtualization exceptions */
long vmx_ve_set(struct vmx_vcpu *v, void __user *arg);
struct page *vmx_ve_page(struct vmx_vcpu *v);
void vmx_ve_detach(struct vmx_vcpu *v);
void vmx_ve_free(struct vmx_vcpu *v);

/* vmx/pml.c: page-modification logging */
int vmx_pml_alloc(struct vmx_vcpu *v);
void vmx_pml_free(struct vmx_vcpu *v);
void vmx_pml_attach(struct vmx_vcpu *v);
void vmx_pml_switch(struct vmx_vcpu *v);
void vmx_pml_note(struct vmx_vcpu *v);
bool vmx_pml_tell(struct vmx_vcpu *v);
void vmx_pml_tell_all(struct vmx_vcpu *v);
int vmx_pml_collect(struct vmx_mmu *mmu);

/* vmx/input.c, vmx/output.c: the run page */
int vmx_take_input(struct vmx_vcpu *v);
void vmx_give_exit(struct vmx_vcpu *v);
void vmx_give_state(struct vmx_vcpu *v);

enum vmx_next vmx_handle_exit(struct vmx_vcpu *v);
void vmx_explain_failure(struct vmx_vcpu *v);
void vmx_inject_fault(struct vmx_vcpu *v, u32 vector, u32 error);
void vmx_inject_gp(struct vmx_vcpu *v);
void vmx_retire_length(struct vmx_vcpu *v, u32 length);

/* Complete the instruction that exited, one that has a length. */
static inline void vmx_retire(struct vmx_vcpu *v)
{
	vmx_retire_length(v, vmx_read(v, VMX_F_EXIT_INSN_LENGTH));
}

/* vmx/enter.c, vmx/entry.S */
u32 vmx_enter(struct vmx_vcpu *v);
void *__vmx_enter(u64 *regs, unsigned long *host_rsp, unsigned long launched);
void vmx_exit_point(void);

#endif /* VMX_VMX_H */
