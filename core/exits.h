/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Exits that the core finishes from the vCPU's tables: CPUID, RDMSR, WRMSR.
 *
 * As RUN's loops (run.h), they are the same for every vendor, and compiled for each: one file of
 * the vendor's folder includes this header, after it has defined what they do to its guest state.
 * Those functions begin with exit_; see vmx/exit.c. All of it runs with interrupts off, and the
 * vCPU loaded.
 */
#ifndef VMM_EXITS_H
#define VMM_EXITS_H

#include <asm/processor-flags.h>

#include "cpuid.h"
#include "fpu.h"
#include "msr.h"
#include "vcpu.h"

/* SDM, "CPUID" */
#define VMM_LEAF1_ECX_OSXSAVE	BIT(27)
#define VMM_LEAF7_ECX_OSPKE		BIT(4)
#define VMM_LEAFD_EAX_XSAVEC	BIT(1)
#define VMM_LEAFD_EAX_XSAVES	BIT(3)

static bool vmm_entry_answers(const struct vmx_cpuid_entry *e, u32 subleaf)
{
	return !(e->flags & VMX_CPUID_SUBLEAF) || e->subleaf == subleaf;
}

static const struct vmx_cpuid_entry *vmm_find_leaf(const struct vmm_cpuid_state *s,
						   u32 leaf, u32 subleaf)
{
	unsigned int i = 0;

	if (likely(CPUID_SLOT(leaf) < VMM_CPUID_SLOTS)) {
		i = s->first[leaf >> 30][vmm_cpuid_slot_nospec(leaf)];
		if (!i--)
			return NULL;
	}
	for (; i < s->count && s->table[i].leaf <= leaf; i++)
		if (s->table[i].leaf == leaf && vmm_entry_answers(&s->table[i], subleaf))
			return &s->table[i];
	return NULL;
}

static void vmm_mirror_cr4(struct vmm_vcpu *v, u64 cr4_bit, u32 bit)
{
	u64 *ecx = &v->run->regs[1];

	*ecx &= ~(u64)bit;
	if (exit_cr4(v) & cr4_bit)
		*ecx |= bit;
}

/* EBX of leaf 0DH: the area that the guest's XSAVE writes, which the guest's XCR0 determines. */
static void vmm_measure_area(struct vmm_vcpu *v, u32 subleaf, u32 eax)
{
	u64 *ebx = &v->run->regs[3];

	if (!subleaf)
		*ebx = vmm_fpu_area_size(v->xcr0, false);
	else if (subleaf == 1 && eax & (VMM_LEAFD_EAX_XSAVEC | VMM_LEAFD_EAX_XSAVES))
		*ebx = vmm_fpu_area_size(v->xcr0, true);
}

/* What the table cannot know. SDM, "CPUID". */
static void vmm_reflect_state(struct vmm_vcpu *v, const struct vmx_cpuid_entry *e,
			      u32 subleaf)
{
	if (e->leaf == 1)
		vmm_mirror_cr4(v, X86_CR4_OSXSAVE, VMM_LEAF1_ECX_OSXSAVE);
	else if (e->leaf == 7 && !subleaf)
		vmm_mirror_cr4(v, X86_CR4_PKE, VMM_LEAF7_ECX_OSPKE);
	else if (e->leaf == 0xd)
		vmm_measure_area(v, subleaf, e->eax);
}

static noinline enum vmm_next vmm_handle_cpuid(struct vmm_vcpu *v)
{
	u64 *regs = v->run->regs;
	u32 leaf = vmm_reg(v, 0), subleaf = vmm_reg(v, 1);
	const struct vmx_cpuid_entry *e = vmm_find_leaf(&v->cpuid, leaf, subleaf);

	if (!e)
		return VMM_NEXT_USER;
	regs[0] = e->eax;
	regs[1] = e->ecx;
	regs[2] = e->edx;
	regs[3] = e->ebx;
	if (unlikely(e->flags & CPUID_LIVE))
		vmm_reflect_state(v, e, subleaf);
	exit_retire(v);
	return VMM_NEXT_ENTER;
}

/* Of an MSR that is passed through and exits all the same. */
static u64 vmm_read_passed(struct vmm_vcpu *v, u32 index)
{
	int slot = vmm_msr_slot(index);

	return slot < 0 ? exit_read_msr(v, index) : v->msr.switched[slot];
}

/* Likewise; false if it is a #GP. */
static bool vmm_write_passed(struct vmm_vcpu *v, u32 index, u64 value)
{
	int slot = vmm_msr_slot(index);

	if (!vmm_msr_valid(index, value))
		return false;
	if (slot < 0)
		return exit_write_msr(v, index, value);
	if (index == MSR_TSC_AUX ? v->host.tsc_aux_loaded : v->host.syscall_loaded)
		vmm_wrmsr(v, index, value);
	v->msr.switched[slot] = value;
	return true;
}

static noinline enum vmm_next vmm_handle_rdmsr(struct vmm_vcpu *v)
{
	u32 index = vmm_reg(v, 1);
	const struct vmx_msr *msr = vmm_msr_find(v, index);
	u64 value;

	if (!msr || msr->policy == VMX_MSR_EXIT)
		return VMM_NEXT_USER;
	value = msr->policy == VMX_MSR_PASSTHROUGH ? vmm_read_passed(v, index) : msr->value;
	v->run->regs[0] = (u32)value;
	v->run->regs[2] = value >> 32;
	exit_retire(v);
	return VMM_NEXT_ENTER;
}

static noinline enum vmm_next vmm_handle_wrmsr(struct vmm_vcpu *v)
{
	u64 value = (u32)vmm_reg(v, 0) | vmm_reg(v, 2) << 32;
	u32 index = vmm_reg(v, 1);
	struct vmx_msr *msr = vmm_msr_find(v, index);

	if (!msr || msr->policy == VMX_MSR_EXIT ||
	    msr->policy == VMX_MSR_KERNEL_READ)
		return VMM_NEXT_USER;
	if (msr->policy == VMX_MSR_KERNEL) {
		msr->value = value;
	} else if (!vmm_write_passed(v, index, value)) {
		exit_inject_gp(v);
		return VMM_NEXT_ENTER;
	}
	exit_retire(v);
	/* EFER decides how tables are read: vmm_stay() loads the roots first. */
	return v->paging && v->paging->reload ? VMM_NEXT_IRQ : VMM_NEXT_ENTER;
}

#endif /* VMM_EXITS_H */
