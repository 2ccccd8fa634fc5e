// SPDX-License-Identifier: GPL-2.0
/*
 * A stay on a CPU: everything of the guest's that VM entry does not load is put
 * into the CPU once, then there are any number of entries and exits, then it is
 * taken out again. Preemption is off in between, so nothing else ever sees a
 * CPU that is half a guest's, and no scheduler hook is needed.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/printk.h>
#include <linux/sched.h>

#include <asm/debugreg.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>

#include "compat.h"
#include "host.h"
#include "power.h"
#include "vcpu.h"

DEFINE_STATIC_KEY_FALSE(vmx_l1tf);

/**
 * vmx_load_init() - find out what has to be flushed before VM entry
 *
 * L1TF: a guest's page-table entries are taken for host-physical addresses while
 * they are not present, EPT or not (SDM volume 3 has no chapter on it; see
 * Documentation/admin-guide/hw-vuln/l1tf.rst of the kernel).
 *
 * Context: module init.
 */
void vmx_load_init(void)
{
	u64 capabilities = 0;

	if (!boot_cpu_has_bug(X86_BUG_L1TF) ||
	    l1tf_mitigation == L1TF_MITIGATION_OFF)
		return;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, capabilities);
	if (capabilities & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH)
		return;
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		static_branch_enable(&vmx_l1tf);
	else
		pr_warn("this CPU has the L1TF flaw, and its microcode cannot flush the L1 data cache: guests may read memory of the host\n");
}

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
	vmx_msr_unload(v);
	vmx_host_unload(v);
	vmx_ibpb_before_user();
	preempt_enable();
}
