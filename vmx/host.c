// SPDX-License-Identifier: GPL-2.0
/*
 * Host state. SDM, "Loading Host State": a VM exit loads much of it from the
 * VMCS and puts fixed values into the rest. Constant values are written when
 * the VMCS is created, those of a CPU when the VMCS moves there, those of
 * the thread at each load. Unloading restores the state that exits overwrote.
 */
#include <linux/hw_breakpoint.h>
#include <linux/percpu.h>
#include <linux/sched.h>

#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/msr.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>

#include "../base/compat.h"
#include "host.h"
#include "power.h"
#include "vmx.h"

/**
 * vmx_host_cr4() - the host's CR4 on this CPU
 *
 * Context: any.
 * Return: CR4.
 */
unsigned long vmx_host_cr4(void)
{
	return native_read_cr4();
}

/**
 * vmx_host_write_constant() - write the host state that never changes
 * @vmcs: the VMCS, current
 *
 * Selectors of the thread are kept out of the VMCS, since VM entry takes only
 * GDT selectors of privilege 0 (SDM, "Checks on Host Segment and
 * Descriptor-Table Registers"); see vmx_host_unload().
 *
 * Context: preemption off.
 */
void vmx_host_write_constant(struct vmx_vmcs *vmcs)
{
	vmx_insn_vmwrite(VMX_F_HOST_CR0, read_cr0());
	/* A first value for the checks of VM entry. RUN keeps it up to date. */
	vmx_insn_vmwrite(VMX_F_HOST_CR4, native_read_cr4());
	vmx_insn_vmwrite(VMX_F_HOST_CS_SELECTOR, __KERNEL_CS);
	vmx_insn_vmwrite(VMX_F_HOST_SS_SELECTOR, __KERNEL_DS);
	vmx_insn_vmwrite(VMX_F_HOST_DS_SELECTOR, 0);
	vmx_insn_vmwrite(VMX_F_HOST_ES_SELECTOR, 0);
	vmx_insn_vmwrite(VMX_F_HOST_FS_SELECTOR, 0);
	vmx_insn_vmwrite(VMX_F_HOST_GS_SELECTOR, 0);
	vmx_insn_vmwrite(VMX_F_HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmx_insn_vmwrite(VMX_F_HOST_SYSENTER_CS, __rdmsr(MSR_IA32_SYSENTER_CS));
	vmx_insn_vmwrite(VMX_F_HOST_SYSENTER_EIP, __rdmsr(MSR_IA32_SYSENTER_EIP));
	vmx_insn_vmwrite(VMX_F_HOST_EFER, __rdmsr(MSR_EFER));
	vmx_insn_vmwrite(VMX_F_HOST_PAT, __rdmsr(MSR_IA32_CR_PAT));
	vmx_insn_vmwrite(VMX_F_HOST_RIP, (unsigned long)vmx_exit_point);
}

/* The TSS as the GDT describes it. */
static unsigned long tss_base(const struct desc_ptr *gdt)
{
	const struct ldttss_desc *tss = (void *)(gdt->address + GDT_ENTRY_TSS * 8);

	return tss->base0 | tss->base1 << 16 | (u64)tss->base2 << 24 |
	       (u64)tss->base3 << 32;
}

/**
 * vmx_host_write_cpu() - write the host state that belongs to this CPU
 * @vmcs: the VMCS, current
 *
 * Context: preemption off.
 * Return: 0, so that it can follow vmx_region_load().
 */
int vmx_host_write_cpu(struct vmx_vmcs *vmcs)
{
	struct desc_ptr gdt, idt;

	native_store_gdt(&gdt);
	store_idt(&idt);
	vmx_insn_vmwrite(VMX_F_HOST_GDTR_BASE, gdt.address);
	vmx_insn_vmwrite(VMX_F_HOST_IDTR_BASE, idt.address);
	vmx_insn_vmwrite(VMX_F_HOST_TR_BASE, tss_base(&gdt));
	vmx_insn_vmwrite(VMX_F_HOST_GS_BASE, __rdmsr(MSR_GS_BASE));
	vmx_insn_vmwrite(VMX_F_HOST_SYSENTER_ESP, __rdmsr(MSR_IA32_SYSENTER_ESP));
	return 0;
}

static unsigned long thread_fs_base(void)
{
	return static_cpu_has(X86_FEATURE_FSGSBASE) ? rdfsbase() :
						      __rdmsr(MSR_FS_BASE);
}

static bool any_selector(void)
{
	unsigned int fs, gs, ds, es;

	savesegment(fs, fs);
	savesegment(gs, gs);
	savesegment(ds, ds);
	savesegment(es, es);
	return fs | gs | ds | es;
}

static noinline void save_selectors(struct vmm_host *h)
{
	savesegment(fs, h->fs);
	savesegment(gs, h->gs);
	savesegment(ds, h->ds);
	savesegment(es, h->es);
}

/*
 * The LDT's first, which others may refer to. Loading a selector loads the base too,
 * so the bases come after.
 */
static noinline void restore_selectors(struct vmm_host *h)
{
	unsigned long gs_base = __rdmsr(MSR_KERNEL_GS_BASE);

	if (h->selectors & ~VMM_HOST_SEGMENTS)
		asm volatile("lldt %w0" : : "r" (h->selectors & ~VMM_HOST_SEGMENTS));
	if (!(h->selectors & VMM_HOST_SEGMENTS))
		return;
	loadsegment(ds, h->ds);
	loadsegment(es, h->es);
	if (h->fs) {
		loadsegment(fs, h->fs);
		native_wrmsrl(MSR_FS_BASE, h->fs_base);
	}
	if (h->gs) {
		load_gs_index(h->gs);
		native_wrmsrl(MSR_KERNEL_GS_BASE, gs_base);
	}
}

/**
 * vmx_host_load() - note and write the host state that belongs to the thread
 * @v: the vCPU, its VMCS current
 *
 * Context: preemption off.
 */
void vmx_host_load(struct vmm_vcpu *v)
{
	struct vmm_host *h = &v->host;
	unsigned long fs_base;

	h->selectors = any_selector() ? VMM_HOST_SEGMENTS : 0;
	if (unlikely(h->selectors))
		save_selectors(h);
	fs_base = thread_fs_base();
	if (fs_base != h->fs_base) {
		h->fs_base = fs_base;
		vmx_write(v, VMX_F_HOST_FS_BASE, fs_base);
	}
}

/**
 * vmx_host_load_breakpoints() - the guest's DR0 to DR3 into the CPU
 * @v: the vCPU, loaded
 *
 * DR7 is a VMCS field, DR6 never needs to be in the CPU: MOV DR exits, and so
 * does #DB, before it changes DR6 (SDM, "Architectural State Before a VM Exit").
 *
 * Context: interrupts off.
 */
void vmx_host_load_breakpoints(const struct vmm_vcpu *v)
{
	set_debugreg(v->debug[0], 0);
	set_debugreg(v->debug[1], 1);
	set_debugreg(v->debug[2], 2);
	set_debugreg(v->debug[3], 3);
}

/**
 * vmx_host_freeze_in_smm() - the guest runs with the host's DEBUGCTL.FREEZE_WHILE_SMM
 * @v: the vCPU, loaded; the host has changed the bit
 *
 * It keeps the host's performance counters from counting SMM, while a guest runs, too (SDM,
 * "IA32_DEBUGCTL MSR").
 *
 * Context: interrupts off.
 */
void vmx_host_freeze_in_smm(struct vmm_vcpu *v)
{
	u64 guest = vmx_read(v, VMX_F_GUEST_DEBUGCTL) & ~(u64)v->vmcs->debugctl_must;

	v->vmcs->debugctl_must ^= DEBUGCTLMSR_FREEZE_IN_SMM;
	vmx_write(v, VMX_F_GUEST_DEBUGCTL, guest | v->vmcs->debugctl_must);
}

/* A thread with an I/O bitmap needs it at once, others when they get one. */
static noinline void reload_tss_limit(void)
{
	invalidate_tss_limit();
}

/**
 * vmx_host_unload() - bring back what VM exits overwrote
 * @v: the vCPU; its guest's MSRs are unloaded
 *
 * Context: preemption off, interrupts on.
 */
void vmx_host_unload(struct vmm_vcpu *v)
{
	struct vmm_host *h = &v->host;

	if (unlikely(h->selectors))
		restore_selectors(h);
	/*
	 * The GDT's limit is now 0xffff and the TSS's 0x67, which hides the I/O
	 * bitmap (SDM, "Loading Host Segment and Descriptor-Table Registers").
	 * The IDT's limit is 0xffff too, and may stay: no vector is above 255.
	 */
	native_load_gdt(this_cpu_ptr(&vmx_cpu.gdt));
	if (unlikely(test_thread_flag(TIF_IO_BITMAP)))
		reload_tss_limit();
	else
		this_cpu_write(__tss_limit_invalid, true);
}
