// SPDX-License-Identifier: GPL-2.0
/*
 * A stay on a CPU: everything of the guest's that VM entry does not load is put
 * into the CPU once, then there are any number of entries and exits, then it is
 * taken out again. Preemption is off in between, so nothing else ever sees a
 * CPU that is half a guest's, and no scheduler hook is needed.
 */
#include <linux/sched.h>

#include <asm/debugreg.h>
#include <asm/nospec-branch.h>

#include "compat.h"
#include "host.h"
#include "power.h"
#include "vcpu.h"

/* Another VM's guest may have trained the indirect-branch predictor. */
static void separate_vms(struct vmx_vcpu *v)
{
	if (this_cpu_read(vmx_cpu.last_vm) == v->vm)
		return;
	this_cpu_write(vmx_cpu.last_vm, v->vm);
	indirect_branch_prediction_barrier();
}

/*
 * DR7 is a VMCS field, DR6 never needs to be in the CPU: MOV DR exits, and so
 * does #DB, before it changes DR6 (SDM, "Architectural State Before a VM Exit").
 */
static void load_debug(struct vmx_vcpu *v)
{
	set_debugreg(v->debug[0], 0);
	set_debugreg(v->debug[1], 1);
	set_debugreg(v->debug[2], 2);
	set_debugreg(v->debug[3], 3);
}

/**
 * vmx_load() - begin a stay on this CPU
 * @v: the vCPU, its VMCS locked
 *
 * Context: may sleep before; on success preemption is off until vmx_unload().
 * Return: 0, or -EAGAIN or -EIO as vmx_vmcs_load() says.
 */
int vmx_load(struct vmx_vcpu *v)
{
	int moved;

	preempt_disable();
	moved = vmx_vmcs_load(v->vmcs);
	if (moved < 0) {
		preempt_enable();
		return moved;
	}
	if (moved)
		vmx_host_write_cpu(v->vmcs);
	separate_vms(v);
	vmx_host_load(v);
	vmx_msr_load(v);
	if (v->vmcs->debug)
		load_debug(v);
	vmx_fpu_load(v);
	WRITE_ONCE(v->running_on, smp_processor_id());
	/*
	 * Pairs with the barrier in vmx_mmu_kick(): either the kicker sees where we
	 * are, or we see the new flush_gen before the first entry.
	 */
	smp_mb();
	return 0;
}

/**
 * vmx_unload() - end a stay on this CPU
 * @v: the vCPU, loaded
 *
 * Context: interrupts on.
 */
void vmx_unload(struct vmx_vcpu *v)
{
	WRITE_ONCE(v->running_on, -1);
	vmx_fpu_unload(v);
	vmx_msr_unload(v);
	vmx_host_unload(v);
	vmx_ibpb_before_user();
	preempt_enable();
}
