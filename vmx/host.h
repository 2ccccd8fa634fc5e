/* SPDX-License-Identifier: GPL-2.0 */
/* Host state: the part that VM exits load, and the part that they leave to software. */
#ifndef VMX_HOST_H
#define VMX_HOST_H

#include <linux/hw_breakpoint.h>

#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/special_insns.h>

#include "vmx.h"

/* DR7 as INIT leaves it: no breakpoint is enabled. */
#define VMX_DR7_DISABLED	0x400ul

unsigned long vmx_host_cr4(void);
void vmx_host_write_constant(struct vmx_vmcs *vmcs);
int vmx_host_write_cpu(struct vmx_vmcs *vmcs);
void vmx_host_load(struct vmm_vcpu *v);
void vmx_host_load_breakpoints(const struct vmm_vcpu *v);
void vmx_host_freeze_in_smm(struct vmm_vcpu *v);
void vmx_host_unload(struct vmm_vcpu *v);

/**
 * vmx_host_note() - before the first VM entry after interrupts were open
 * @v: the vCPU, loaded
 *
 * Interrupts change CR4 (RDPMC permission), LDTR (an LDT that another thread made),
 * DEBUGCTL (branch records) and the breakpoints in DR0 to DR3 (perf), for other CPUs
 * above all. So what VM exits load is noted here.
 *
 * The host's breakpoints end here and not at VM entry: the guest's addresses would be
 * theirs, and a #DB would come while the CPU has CR2 and FPU state of the guest's.
 *
 * Context: interrupts off; none since.
 */
static __always_inline void vmx_host_note(struct vmm_vcpu *v)
{
	struct vmm_host *h = &v->host;
	unsigned long cr3 = __read_cr3(), cr4 = native_read_cr4();
	unsigned int ldt;

	if (unlikely(cr3 != h->cr3)) {
		h->cr3 = cr3;
		vmx_write(v, VMX_F_HOST_CR3, cr3);
	}
	if (unlikely(cr4 != h->cr4)) {
		h->cr4 = cr4;
		vmx_write(v, VMX_F_HOST_CR4, cr4);
	}
	/* store_ldt() would go through memory. */
	asm volatile("sldt %0" : "=r" (ldt));
	h->selectors |= ldt;
	h->debugctl = __rdmsr(MSR_IA32_DEBUGCTLMSR);
	if (unlikely((h->debugctl ^ v->vmcs->debugctl_must) & DEBUGCTLMSR_FREEZE_IN_SMM))
		vmx_host_freeze_in_smm(v);
	if (unlikely(hw_breakpoint_active()))
		set_debugreg(VMX_DR7_DISABLED, 7);
	if (unlikely(v->vmcs->debug))
		vmx_host_load_breakpoints(v);
}

/**
 * vmx_host_restore() - after the last VM exit before interrupts are open
 * @v: the vCPU, loaded
 *
 * VM exit cleared DEBUGCTL and disabled the breakpoints (SDM, "Loading Host
 * Control Registers, Debug Registers, MSRs").
 *
 * Context: interrupts off since vmx_host_note().
 */
static __always_inline void vmx_host_restore(struct vmm_vcpu *v)
{
	if (unlikely(v->host.debugctl))
		vmm_wrmsr(v, MSR_IA32_DEBUGCTLMSR, v->host.debugctl);
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
}

#endif /* VMX_HOST_H */
