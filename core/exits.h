/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Exits that the core finishes from the vCPU's tables: CPUID, RDMSR, WRMSR.
 *
 * As RUN's loops (run.h), they are the same for every vendor, and compiled for each: one file of
 * the vendor's folder includes this header, after it has defined what they do to its guest state.
 * Those functions begin with exit_; see vmx/exit.c. All of it runs with interrupts off, and the
 * vCPU loaded.
 */
#ifndef VMX_EXITS_H
#define VMX_EXITS_H

#include <asm/processor-flags.h>

#include "cpuid.h"
#include "fpu.h"
#include "msr.h"
#include "vcpu.h"

/* SDM, "CPUID" */
#define LEAF1_ECX_OSXSAVE	BIT(27)
#define LEAF7_ECX_OSPKE		BIT(4)
#define LEAFD_EAX_XSAVEC	BIT(1)
#define LEAFD_EAX_XSAVES	BIT(3)

static bool answers(const struct vmx_cpuid_entry *e, u32 subleaf)
{
	return !(e->flags & VMX_CPUID_SUBLEAF) || e->subleaf == subleaf;
}

static const struct vmx_cpuid_entry *find_leaf(const struct vmx_cpuid_state *s,
					       u32 leaf, u32 subleaf)
{
	unsigned int i = 0;

	if (likely(CPUID_SLOT(leaf) < VMX_CPUID_SLOTS)) {
		i = s->first[leaf >> 30][cpuid_slot_nospec(leaf)];
		if (!i--)
			return NULL;
	}
	for (; i < s->count && s->table[i].leaf <= leaf; i++)
		if (s->table[i].leaf == leaf && answers(&s->table[i], subleaf))
			return &s->table[i];
	return NULL;
}

static void mirror_cr4(struct vmx_vcpu *v, u64 cr4_bit, u32 bit)
{
	u64 *ecx = &v->run->regs[1];

	*ecx &= ~(u64)bit;
	if (exit_cr4(v) & cr4_bit)
		*ecx |= bit;
}

/* EBX of leaf 0DH: the area that the guest's XSAVE writes, which the guest's XCR0 determines. */
static void measure_area(struct vmx_vcpu *v, u32 subleaf, u32 eax)
{
	u64 *ebx = &v->run->regs[3];

	if (!subleaf)
		*ebx = vmx_fpu_area_size(v->xcr0, false);
	else if (subleaf == 1 && eax & (LEAFD_EAX_XSAVEC | LEAFD_EAX_XSAVES))
		*ebx = vmx_fpu_area_size(v->xcr0, true);
}

/* What the table cannot know. SDM, "CPUID". */
static void reflect_state(struct vmx_vcpu *v, const struct vmx_cpuid_entry *e,
			  u32 subleaf)
{
	if (e->leaf == 1)
		mirror_cr4(v, X86_CR4_OSXSAVE, LEAF1_ECX_OSXSAVE);
	else if (e->leaf == 7 && !subleaf)
		mirror_cr4(v, X86_CR4_PKE, LEAF7_ECX_OSPKE);
	else if (e->leaf == 0xd)
		measure_area(v, subleaf, e->eax);
}

static noinline enum vmx_next handle_cpuid(struct vmx_vcpu *v)
{
	u64 *regs = v->run->regs;
	u32 leaf = vmx_reg(v, 0), subleaf = vmx_reg(v, 1);
	const struct vmx_cpuid_entry *e = find_leaf(&v->cpuid, leaf, subleaf);

	if (!e)
		return VMX_NEXT_USER;
	regs[0] = e->eax;
	regs[1] = e->ecx;
	regs[2] = e->edx;
	regs[3] = e->ebx;
	if (unlikely(e->flags & CPUID_LIVE))
		reflect_state(v, e, subleaf);
	exit_retire(v);
	return VMX_NEXT_ENTER;
}

/* Of an MSR that is passed through and exits all the same. */
static u64 read_passed(struct vmx_vcpu *v, u32 index)
{
	int slot = vmx_msr_slot(index);

	return slot < 0 ? exit_read_msr(v, index) : v->msr.switched[slot];
}

/* Likewise; false if it is a #GP. */
static bool write_passed(struct vmx_vcpu *v, u32 index, u64 value)
{
	int slot = vmx_msr_slot(index);

	if (!vmx_msr_valid(index, value))
		return false;
	if (slot < 0)
		return exit_write_msr(v, index, value);
	if (index == MSR_TSC_AUX ? v->host.tsc_aux_loaded : v->host.syscall_loaded)
		vmx_wrmsr(v, index, value);
	v->msr.switched[slot] = value;
	return true;
}

static noinline enum vmx_next handle_rdmsr(struct vmx_vcpu *v)
{
	u32 index = vmx_reg(v, 1);
	const struct vmx_msr *msr = vmx_msr_find(v, index);
	u64 value;

	if (!msr || msr->policy == VMX_MSR_EXIT)
		return VMX_NEXT_USER;
	value = msr->policy == VMX_MSR_PASSTHROUGH ? read_passed(v, index) : msr->value;
	v->run->regs[0] = (u32)value;
	v->run->regs[2] = value >> 32;
	exit_retire(v);
	return VMX_NEXT_ENTER;
}

static noinline enum vmx_next handle_wrmsr(struct vmx_vcpu *v)
{
	u64 value = (u32)vmx_reg(v, 0) | vmx_reg(v, 2) << 32;
	u32 index = vmx_reg(v, 1);
	struct vmx_msr *msr = vmx_msr_find(v, index);

	if (!msr || msr->policy == VMX_MSR_EXIT ||
	    msr->policy == VMX_MSR_KERNEL_READ)
		return VMX_NEXT_USER;
	if (msr->policy == VMX_MSR_KERNEL) {
		msr->value = value;
	} else if (!write_passed(v, index, value)) {
		exit_inject_gp(v);
		return VMX_NEXT_ENTER;
	}
	exit_retire(v);
	/* EFER decides how tables are read: stay() loads the roots first. */
	return v->paging && v->paging->reload ? VMX_NEXT_IRQ : VMX_NEXT_ENTER;
}

#endif /* VMX_EXITS_H */
