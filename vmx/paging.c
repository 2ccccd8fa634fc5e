// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow paging and the VMCS: paging/regs.c has what the guest's control registers mean, and this
 * file the values that userspace writes to these fields, to the masks and read shadows, and to the
 * intercept of page faults. The VMCS gets values derived from them. The masks also have the bits
 * that change how tables are read, so that the guest exits when it changes them. It reads its own
 * values. VM entry fails with CR0.PE clear.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../paging/paging.h"
#include "caps.h"
#include "paging.h"
#include "vmx.h"

#define CPU_OWN								\
	(VMX_CPU_INVLPG_EXITING | VMX_CPU_CR3_LOAD_EXITING |		\
	 VMX_CPU_CR3_STORE_EXITING)

/* The bits that the guest changes without an exit are in the VMCS alone. */
static u64 merge_field(u64 kept, u32 field, u64 mask)
{
	return (kept & mask) | (vmx_insn_vmread(field) & ~mask);
}

static u64 merged_cr0(const struct vmx_shadowed *k)
{
	return merge_field(k->paging.cr0, VMX_F_GUEST_CR0, k->cr0_mask | PAGING_CR0_OWN);
}

static u64 merged_cr4(const struct vmx_shadowed *k)
{
	return merge_field(k->paging.cr4, VMX_F_GUEST_CR4, k->cr4_mask | PAGING_CR4_OWN);
}

/**
 * vmx_paging_merge() - have all bits of the guest's CR0 and CR4 in its paging
 * @p: the paging of a vCPU that is loaded
 *
 * Context: preemption off.
 */
void vmx_paging_merge(struct shadow_paging *p)
{
	struct vmx_shadowed *k = vmx_shadowed(p);

	p->cr0 = merged_cr0(k);
	p->cr4 = merged_cr4(k);
}

/**
 * vmx_paging_apply() - have the VMCS follow what the guest's registers are
 * @p: the paging of a vCPU that is loaded
 *
 * CR3 comes with the roots.
 *
 * Context: preemption off.
 */
void vmx_paging_apply(const struct shadow_paging *p)
{
	const struct vmx_shadowed *k = container_of(p, struct vmx_shadowed, paging);

	vmx_insn_vmwrite(VMX_F_GUEST_CR0, paging_real_cr0(p));
	vmx_insn_vmwrite(VMX_F_CR0_MASK, k->cr0_mask | PAGING_CR0_OWN);
	vmx_insn_vmwrite(VMX_F_CR0_READ_SHADOW,
			 (k->cr0_shadow & k->cr0_mask) | (p->cr0 & ~k->cr0_mask));
	vmx_insn_vmwrite(VMX_F_GUEST_CR4, paging_real_cr4(p));
	vmx_insn_vmwrite(VMX_F_CR4_MASK, k->cr4_mask | PAGING_CR4_OWN);
	vmx_insn_vmwrite(VMX_F_CR4_READ_SHADOW,
			 (k->cr4_shadow & k->cr4_mask) | (p->cr4 & ~k->cr4_mask));
	if (vmx_caps.features & VMX_HAS_LOAD_EFER)
		vmx_insn_vmwrite(VMX_F_GUEST_EFER, paging_real_efer(p));
}

static u64 *kept_field(struct vmx_shadowed *k, u32 field)
{
	switch (field) {
	case VMX_F_GUEST_CR0:
		return &k->paging.cr0;
	case VMX_F_GUEST_CR3:
		return &k->paging.cr3;
	case VMX_F_GUEST_CR4:
		return &k->paging.cr4;
	case VMX_F_GUEST_EFER:
		return &k->paging.efer;
	case VMX_F_GUEST_PAT:
		return &k->pat;
	case VMX_F_CR0_MASK:
		return &k->cr0_mask;
	case VMX_F_CR4_MASK:
		return &k->cr4_mask;
	case VMX_F_CR0_READ_SHADOW:
		return &k->cr0_shadow;
	case VMX_F_CR4_READ_SHADOW:
		return &k->cr4_shadow;
	case VMX_F_CR3_TARGET_COUNT:
		return &k->cr3_targets;
	case VMX_F_PAGE_FAULT_ERROR_MASK:
		return &k->error_mask;
	case VMX_F_PAGE_FAULT_ERROR_MATCH:
		return &k->error_match;
	default:
		return NULL;
	}
}

/* What is kept, but for PAT and EFER, which not every CPU has a field for. */
static const u32 kept_fields[] = {
	VMX_F_GUEST_CR0, VMX_F_GUEST_CR3, VMX_F_GUEST_CR4,
	VMX_F_CR0_MASK, VMX_F_CR4_MASK, VMX_F_CR0_READ_SHADOW, VMX_F_CR4_READ_SHADOW,
	VMX_F_CR3_TARGET_COUNT, VMX_F_PAGE_FAULT_ERROR_MASK, VMX_F_PAGE_FAULT_ERROR_MATCH,
};

/**
 * vmx_paging_read() - what userspace has in a field
 * @vmcs: a VMCS of a vCPU with shadow paging, current
 * @field: its encoding
 * @value: set if the field is kept here
 *
 * Context: preemption off.
 * Return: false if the VMCS has it.
 */
bool vmx_paging_read(const struct vmx_vmcs *vmcs, u32 field, u64 *value)
{
	struct vmx_shadowed *k = vmx_shadowed(vmcs->paging);
	const u64 *kept = kept_field(k, field);

	if (!kept)
		return false;
	*value = field == VMX_F_GUEST_CR0 ? merged_cr0(k) :
		 field == VMX_F_GUEST_CR4 ? merged_cr4(k) : *kept;
	return true;
}

/* Without 'load EFER' the CPU sets LME and LMA as 'IA-32e mode guest' says. */
static void follow_entry_controls(struct shadow_paging *p, u64 controls)
{
	if (vmx_caps.features & VMX_HAS_LOAD_EFER)
		return;
	p->efer &= ~(u64)(EFER_LME | EFER_LMA);
	if (controls & VMX_ENTRY_CTL_IA32E_MODE_GUEST)
		p->efer |= EFER_LME | EFER_LMA;
}

/**
 * vmx_paging_write() - userspace writes a field
 * @vmcs: a VMCS of a vCPU with shadow paging, current
 * @field: its encoding
 * @value: what it may hold
 *
 * Context: preemption off.
 * Return: false if the VMCS is to have it.
 */
bool vmx_paging_write(struct vmx_vmcs *vmcs, u32 field, u64 value)
{
	struct shadow_paging *p = vmcs->paging;
	u64 *kept = kept_field(vmx_shadowed(p), field);

	if (field == VMX_F_EXCEPTION_BITMAP) {
		vmx_insn_vmwrite(field, value | BIT(X86_TRAP_PF));
		return true;
	}
	switch (field) {
	case VMX_F_ENTRY_CONTROLS:
		follow_entry_controls(p, value);
		break;
	/* The CPU does not use them without EPT, but a write of them changes paging. */
	case VMX_F_GUEST_PDPTE0:
	case VMX_F_GUEST_PDPTE1:
	case VMX_F_GUEST_PDPTE2:
	case VMX_F_GUEST_PDPTE3:
		break;
	default:
		if (!kept)
			return false;
	}
	vmx_paging_merge(p);
	if (kept)
		*kept = value;
	paging_changed(p);
	p->reread = true;
	vmx_paging_apply(p);
	return kept;
}

/**
 * vmx_paging_alloc() - what a vCPU with shadow paging needs
 * @v: the vCPU
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vmx_paging_alloc(struct vmm_vcpu *v)
{
	struct vmx_shadowed *k = kzalloc(sizeof(*k), GFP_KERNEL_ACCOUNT);

	if (!k)
		return -ENOMEM;
	v->paging = &k->paging;
	return paging_create(v);
}

/**
 * vmx_paging_free() - undo vmx_paging_alloc(), which may have failed
 * @v: the vCPU, which never runs again
 *
 * Context: may sleep.
 */
void vmx_paging_free(struct vmm_vcpu *v)
{
	if (!v->paging)
		return;
	paging_destroy(v);
	kfree(vmx_shadowed(v->paging));
}

/**
 * vmx_paging_attach() - take over a VMCS
 * @v: the vCPU; its VMCS is current, and no other vCPU's
 *
 * Context: preemption off.
 */
void vmx_paging_attach(struct vmm_vcpu *v)
{
	struct vmx_vmcs *vmcs = v->vmcs;
	struct shadow_paging *p = v->paging;
	struct vmx_shadowed *k = vmx_shadowed(p);
	unsigned int i;
	u64 pat;

	for (i = 0; i < ARRAY_SIZE(kept_fields); i++)
		*kept_field(k, kept_fields[i]) = vmx_insn_vmread(kept_fields[i]);
	if (vmx_caps.features & VMX_HAS_LOAD_EFER)
		p->efer = vmx_insn_vmread(VMX_F_GUEST_EFER);
	follow_entry_controls(p, vmcs->entry_ctls);
	if (vmx_caps.features & VMX_HAS_LOAD_PAT) {
		k->pat = vmx_insn_vmread(VMX_F_GUEST_PAT);
		rdmsrl(MSR_IA32_CR_PAT, pat);
		vmx_insn_vmwrite(VMX_F_GUEST_PAT, pat);
	}
	vmx_insn_vmwrite(VMX_F_CR3_TARGET_COUNT, 0);
	vmx_insn_vmwrite(VMX_F_PAGE_FAULT_ERROR_MASK, 0);
	vmx_insn_vmwrite(VMX_F_PAGE_FAULT_ERROR_MATCH, 0);
	vmx_insn_vmwrite(VMX_F_EXCEPTION_BITMAP,
			 vmx_insn_vmread(VMX_F_EXCEPTION_BITMAP) | BIT(X86_TRAP_PF));
	vmcs->cpu_must = CPU_OWN;
	vmx_insn_vmwrite(VMX_F_CPU_CONTROLS, vmcs->region.cpu_in_force | CPU_OWN);
	vmcs->paging = p;
	paging_changed(p);
	p->reread = true;
	vmx_paging_apply(p);
}

/**
 * vmx_paging_detach() - give a VMCS back, with what userspace had in it
 * @v: the vCPU; its VMCS is current
 *
 * Context: preemption off.
 */
void vmx_paging_detach(struct vmm_vcpu *v)
{
	struct vmx_vmcs *vmcs = v->vmcs;
	struct shadow_paging *p = v->paging;
	struct vmx_shadowed *k = vmx_shadowed(p);
	unsigned int i;
	u64 exceptions;

	vmx_paging_merge(p);
	for (i = 0; i < ARRAY_SIZE(kept_fields); i++)
		vmx_insn_vmwrite(kept_fields[i], *kept_field(k, kept_fields[i]));
	if (vmx_caps.features & VMX_HAS_LOAD_EFER)
		vmx_insn_vmwrite(VMX_F_GUEST_EFER, p->efer);
	if (vmx_caps.features & VMX_HAS_LOAD_PAT)
		vmx_insn_vmwrite(VMX_F_GUEST_PAT, k->pat);
	exceptions = vmx_insn_vmread(VMX_F_EXCEPTION_BITMAP) & ~BIT_ULL(X86_TRAP_PF);
	vmx_insn_vmwrite(VMX_F_EXCEPTION_BITMAP,
			 exceptions | (vmcs->exceptions & BIT(X86_TRAP_PF)));
	vmx_insn_vmwrite(VMX_F_CPU_CONTROLS, vmcs->region.cpu_in_force);
	vmcs->cpu_must = 0;
	vmcs->paging = NULL;
}
