/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A stay on a CPU. The module loads the guest state that VM entry does not load
 * once, makes any number of entries and exits, and takes the state out again.
 * Preemption is off in between, so no other code sees a CPU with guest state,
 * and the module needs no scheduler hook.
 *
 * RUN alone does this, and each RUN does: so it is inline.
 */
#ifndef VMX_LOAD_H
#define VMX_LOAD_H

#include <linux/sched.h>

#include "../base/compat.h"
#include "host.h"
#include "power.h"
#include "vmx.h"

/* SWAPGS and the guest's own WRMSR change it without an exit. */
static __always_inline u64 vmx_switch_kernel_gs(struct vmm_vcpu *v, u64 to)
{
	u64 from = __rdmsr(MSR_KERNEL_GS_BASE);

	if (from != to)
		vmm_wrmsr(v, MSR_KERNEL_GS_BASE, to);
	return from;
}

static __always_inline void vmx_load_msrs(struct vmm_vcpu *v)
{
	v->host.kernel_gs_base = vmx_switch_kernel_gs(v, v->msr.kernel_gs_base);
	if (v->vmcs->syscall)
		vmm_msr_load_syscall(v);
	if (v->vmcs->rdtscp)
		vmm_msr_load_tsc_aux(v);
}

static __always_inline void vmx_unload_msrs(struct vmm_vcpu *v)
{
	v->msr.kernel_gs_base = vmx_switch_kernel_gs(v, v->host.kernel_gs_base);
	if (v->host.syscall_loaded)
		vmm_msr_unload_syscall(v);
	if (v->host.tsc_aux_loaded)
		vmm_msr_unload_tsc_aux(v);
}

/**
 * vmx_load() - begin a stay on this CPU
 * @v: the vCPU, its VMCS locked
 *
 * Context: may sleep before; on success preemption is off until vmx_unload().
 * Return: 0, or -EAGAIN or -EIO as vmx_region_load() says.
 */
static __always_inline int vmx_load(struct vmm_vcpu *v)
{
	int moved;

	preempt_disable();
	base_ledger_begin();
	moved = vmx_region_load(&v->vmcs->region);
	if (moved < 0) {
		preempt_enable();
		return moved;
	}
	if (moved)
		vmx_host_write_cpu(v->vmcs);
	vmx_host_load(v);
	vmx_load_msrs(v);
	this_cpu_write(vmm_vcpu_staying, v->staying);
	/*
	 * The barrier pairs with vmm_vcpu_kick_all()'s: either the kicker sees where we
	 * are, or we see the new flush_gen before the first entry.
	 */
	smp_store_mb(v->running_on, smp_processor_id());
	return 0;
}

/**
 * vmx_unload() - end a stay on this CPU
 * @v: the vCPU, loaded
 *
 * Context: interrupts on.
 */
static __always_inline void vmx_unload(struct vmm_vcpu *v)
{
	WRITE_ONCE(v->running_on, -1);
	this_cpu_write(vmm_vcpu_staying, 0);
	vmx_unload_msrs(v);
	vmx_host_unload(v);
	base_ibpb_before_user();
	base_ledger_end();
	preempt_enable();
}

#endif /* VMX_LOAD_H */
