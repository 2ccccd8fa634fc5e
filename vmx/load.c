// SPDX-License-Identifier: GPL-2.0
/*
 * A stay on a CPU. The module loads the guest state that VM entry does not load
 * once, makes any number of entries and exits, and takes the state out again.
 * Preemption is off in between, so no other code sees a CPU with guest state,
 * and the module needs no scheduler hook.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/printk.h>
#include <linux/sched.h>

#include <asm/debugreg.h>
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
		pr_warn("this CPU has the L1TF flaw, and its microcode cannot flush the L1 data cache: guests may read host memory; update the microcode\n");
}

/**
 * vmx_do_flush_l1d() - vmx_flush_l1d() where it is needed
 * @v: the vCPU, loaded
 *
 * Context: interrupts off, right before VM entry.
 */
void vmx_do_flush_l1d(struct vmx_vcpu *v)
{
	vmx_wrmsr(v, MSR_IA32_FLUSH_CMD, L1D_FLUSH);
}

/* SWAPGS and the guest's own WRMSR change it without an exit. */
static u64 switch_kernel_gs(struct vmx_vcpu *v, u64 to)
{
	u64 from = __rdmsr(MSR_KERNEL_GS_BASE);

	if (from != to)
		vmx_wrmsr(v, MSR_KERNEL_GS_BASE, to);
	return from;
}

static void load_msrs(struct vmx_vcpu *v)
{
	v->host.kernel_gs_base = switch_kernel_gs(v, v->msr.kernel_gs_base);
	if (v->vmcs->syscall)
		vmx_msr_load_syscall(v);
	if (v->vmcs->rdtscp)
		vmx_msr_load_tsc_aux(v);
}

static void unload_msrs(struct vmx_vcpu *v)
{
	v->msr.kernel_gs_base = switch_kernel_gs(v, v->host.kernel_gs_base);
	if (v->host.syscall_loaded)
		vmx_msr_unload_syscall(v);
	if (v->host.tsc_aux_loaded)
		vmx_msr_unload_tsc_aux(v);
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
	vmx_host_load(v);
	load_msrs(v);
	if (v->vmcs->debug)
		load_debug(v);
	/*
	 * The barrier pairs with vmx_mmu_kick()'s: either the kicker sees where we
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
void vmx_unload(struct vmx_vcpu *v)
{
	WRITE_ONCE(v->running_on, -1);
	unload_msrs(v);
	vmx_host_unload(v);
	vmx_ibpb_before_user();
	preempt_enable();
}
