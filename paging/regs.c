// SPDX-License-Identifier: GPL-2.0
/*
 * The control registers of a guest with shadow page tables. Where EPT is off, the
 * CPU's paging belongs to the module (SDM, "Guest Page-Table Structures" has it
 * elsewhere), so the CPU's CR0, CR3, CR4, EFER and PAT differ from the guest's.
 * This file keeps the values that userspace writes to these fields, to the masks and
 * read shadows, and to the intercept of page faults. The VMCS gets values derived from them:
 *
 *  CR0	as the guest's, with PG and WP set; VM entry fails with CR0.PE clear,
 *	since the CPU's paging needs protection
 *  CR3	the shadow root
 *  CR4	as the guest's, with PAE set: shadow entries have 64 bits in all modes
 *  EFER	as the guest's mode, with NXE set
 *  PAT	the host's, so that the guest chooses no memory types
 *
 * The masks also have the bits that change how tables are read, so that the guest
 * exits when it changes them. It reads its own values.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../vmx/caps.h"
#include "internal.h"

#define CR0_OWN	(X86_CR0_PE | X86_CR0_WP | X86_CR0_PG)
#define CR4_OWN								\
	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_LA57 |	\
	 X86_CR4_PCIDE | X86_CR4_SMEP | X86_CR4_SMAP)

#define CPU_OWN								\
	(VMX_CPU_INVLPG_EXITING | VMX_CPU_CR3_LOAD_EXITING |		\
	 VMX_CPU_CR3_STORE_EXITING)

/* The bits that the guest changes without an exit are in the VMCS alone. */
static u64 merge(u64 kept, u32 field, u64 mask)
{
	return (kept & mask) | (vmx_insn_vmread(field) & ~mask);
}

static u64 merged_cr0(const struct vmx_paging *p)
{
	return merge(p->cr0, VMX_F_GUEST_CR0, p->cr0_mask | CR0_OWN);
}

static u64 merged_cr4(const struct vmx_paging *p)
{
	return merge(p->cr4, VMX_F_GUEST_CR4, p->cr4_mask | CR4_OWN);
}

/**
 * paging_cr0() - the guest's CR0
 * @v: the vCPU, loaded
 *
 * Return: the register, as the field GUEST_CR0 would have it with EPT.
 */
u64 paging_cr0(struct vmx_vcpu *v)
{
	return merged_cr0(v->paging);
}

/**
 * paging_cr4() - the guest's CR4
 * @v: the vCPU, loaded
 *
 * Return: the register, as the field GUEST_CR4 would have it with EPT.
 */
u64 paging_cr4(struct vmx_vcpu *v)
{
	return merged_cr4(v->paging);
}

/**
 * paging_is_long() - is the guest in IA-32e mode
 * @p: its paging
 *
 * Return: EFER.LMA.
 */
bool paging_is_long(const struct vmx_paging *p)
{
	return p->efer & EFER_LMA;
}

/**
 * paging_is_64bit_code() - does the guest execute in 64-bit mode
 * @v: the vCPU, loaded
 *
 * Return: false in compatibility mode, too.
 */
bool paging_is_64bit_code(struct vmx_vcpu *v)
{
	return paging_is_long(v->paging) && vmx_read(v, VMX_F_GUEST_CS_ACCESS) & VMX_ACCESS_L;
}

/**
 * paging_register() - a general-purpose register
 * @v: the vCPU, loaded
 * @n: its number in an instruction
 *
 * Return: all of it.
 */
u64 paging_register(struct vmx_vcpu *v, unsigned int n)
{
	return n == 4 ? vmx_read(v, VMX_F_GUEST_RSP) : vmx_reg(v, n);
}

/**
 * paging_operand() - an operand of an instruction that is a register
 * @v: the vCPU, loaded
 * @n: the register's number
 *
 * Return: the operand, as wide as the guest's mode has it.
 */
u64 paging_operand(struct vmx_vcpu *v, unsigned int n)
{
	u64 value = paging_register(v, n);

	return paging_is_64bit_code(v) ? value : (u32)value;
}

static void set_format(struct guest_mode *mode, const struct vmx_paging *p)
{
	if (!(p->cr0 & X86_CR0_PG)) {
		*mode = (struct guest_mode) {
			.format = GUEST_NONE, .levels = 2, .wp = true,
			/* PDPTEs are loaded before the guest is in PAE paging. */
			.phys_bits = mode->phys_bits,
		};
	} else if (paging_is_long(p)) {
		mode->format = GUEST_LONG;
		mode->levels = p->cr4 & X86_CR4_LA57 ? 5 : 4;
		mode->large = BIT(2) | (boot_cpu_has(X86_FEATURE_GBPAGES) ? BIT(3) : 0);
	} else if (p->cr4 & X86_CR4_PAE) {
		mode->format = GUEST_PAE;
		mode->levels = 2;
		mode->large = BIT(2);
	} else {
		mode->format = GUEST_32BIT;
		mode->levels = 2;
		mode->large = p->cr4 & X86_CR4_PSE ? BIT(2) : 0;
	}
}

static void set_mode(struct vmx_paging *p)
{
	p->mode = (struct guest_mode) {
		.phys_bits = vmx_caps.phys_bits,
		.wp = p->cr0 & X86_CR0_WP,
		.smep = p->cr4 & X86_CR4_SMEP,
		.smap = p->cr4 & X86_CR4_SMAP,
		.nxe = p->efer & EFER_NX,
	};
	set_format(&p->mode, p);
	p->role = shadow_root_role(&p->mode);
}

/**
 * vmx_paging_efer_bits() - what a guest can have in EFER
 *
 * Return: the bits.
 */
u64 vmx_paging_efer_bits(void)
{
	return EFER_SCE | EFER_LME | EFER_LMA |
	       (boot_cpu_has(X86_FEATURE_NX) ? EFER_NX : 0);
}

static u64 real_cr4(const struct vmx_paging *p)
{
	u64 cr4 = p->cr4 & ~(u64)X86_CR4_PCIDE;

	if (p->mode.format == GUEST_NONE)
		cr4 &= ~(u64)(X86_CR4_SMEP | X86_CR4_SMAP);
	/* In IA-32e mode the guest has set PAE, or VM entry fails. */
	if (p->mode.format != GUEST_LONG)
		cr4 = (cr4 & ~(u64)X86_CR4_LA57) | X86_CR4_PAE;
	return cr4;
}

static u64 real_efer(const struct vmx_paging *p)
{
	u64 efer = p->efer & EFER_SCE;

	if (boot_cpu_has(X86_FEATURE_NX))
		efer |= EFER_NX;
	if (paging_is_long(p))
		efer |= EFER_LME | EFER_LMA;
	return efer;
}

/* What follows from @p; CR3 comes with the roots. */
static void apply(const struct vmx_paging *p)
{
	vmx_insn_vmwrite(VMX_F_GUEST_CR0, p->cr0 | X86_CR0_PG | X86_CR0_WP);
	vmx_insn_vmwrite(VMX_F_CR0_MASK, p->cr0_mask | CR0_OWN);
	vmx_insn_vmwrite(VMX_F_CR0_READ_SHADOW,
			 (p->cr0_shadow & p->cr0_mask) | (p->cr0 & ~p->cr0_mask));
	vmx_insn_vmwrite(VMX_F_GUEST_CR4, real_cr4(p));
	vmx_insn_vmwrite(VMX_F_CR4_MASK, p->cr4_mask | CR4_OWN);
	vmx_insn_vmwrite(VMX_F_CR4_READ_SHADOW,
			 (p->cr4_shadow & p->cr4_mask) | (p->cr4 & ~p->cr4_mask));
	if (vmx_caps.features & VMX_HAS_LOAD_EFER)
		vmx_insn_vmwrite(VMX_F_GUEST_EFER, real_efer(p));
}

/**
 * paging_apply() - the guest's registers have changed
 * @v: the vCPU, loaded; its paging has the new values
 *
 * The roots are to be found again before the guest goes on.
 *
 * Context: preemption off.
 */
void paging_apply(struct vmx_vcpu *v)
{
	set_mode(v->paging);
	apply(v->paging);
	v->paging->reload = true;
	v->paging->sync_until = 0;
}

static u64 *kept_field(struct vmx_paging *p, u32 field)
{
	switch (field) {
	case VMX_F_GUEST_CR0:
		return &p->cr0;
	case VMX_F_GUEST_CR3:
		return &p->cr3;
	case VMX_F_GUEST_CR4:
		return &p->cr4;
	case VMX_F_GUEST_EFER:
		return &p->efer;
	case VMX_F_GUEST_PAT:
		return &p->pat;
	case VMX_F_CR0_MASK:
		return &p->cr0_mask;
	case VMX_F_CR4_MASK:
		return &p->cr4_mask;
	case VMX_F_CR0_READ_SHADOW:
		return &p->cr0_shadow;
	case VMX_F_CR4_READ_SHADOW:
		return &p->cr4_shadow;
	case VMX_F_CR3_TARGET_COUNT:
		return &p->cr3_targets;
	case VMX_F_PAGE_FAULT_ERROR_MASK:
		return &p->error_mask;
	case VMX_F_PAGE_FAULT_ERROR_MATCH:
		return &p->error_match;
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
	struct vmx_paging *p = vmcs->paging;
	const u64 *kept = kept_field(p, field);

	if (!kept)
		return false;
	*value = field == VMX_F_GUEST_CR0 ? merged_cr0(p) :
		 field == VMX_F_GUEST_CR4 ? merged_cr4(p) : *kept;
	return true;
}

/* Without 'load EFER' the CPU sets LME and LMA as 'IA-32e mode guest' says. */
static void follow_entry_controls(struct vmx_paging *p, u64 controls)
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
	struct vmx_paging *p = vmcs->paging;
	u64 *kept = kept_field(p, field);

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
	p->cr0 = merged_cr0(p);
	p->cr4 = merged_cr4(p);
	if (kept)
		*kept = value;
	set_mode(p);
	apply(p);
	p->reload = true;
	p->reread = true;
	p->sync_until = 0;
	return kept;
}

/**
 * vmx_paging_alloc() - what a vCPU with shadow paging needs
 * @v: the vCPU
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vmx_paging_alloc(struct vmx_vcpu *v)
{
	struct vmx_paging *p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);

	if (!p)
		return -ENOMEM;
	v->paging = p;
	p->shadow = shadow_of(v->mmu->ept.derived);
	/* Without IA-32e mode the CPU looks for the PDPTEs below 4 GiB. */
	p->pae = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT | GFP_DMA32);
	return p->pae ? 0 : -ENOMEM;
}

/**
 * vmx_paging_free() - undo vmx_paging_alloc(), which may have failed
 * @v: the vCPU, which never runs again
 *
 * Context: may sleep.
 */
void vmx_paging_free(struct vmx_vcpu *v)
{
	struct vmx_paging *p = v->paging;
	unsigned int n;

	if (!p)
		return;
	spin_lock(&v->mmu->lock);
	for (n = 0; n < SHADOW_ROOTS; n++)
		if (p->root[n])
			p->root[n]->users--;
	spin_unlock(&v->mmu->lock);
	free_page((unsigned long)p->pae);
	kfree(p);
}

/**
 * vmx_paging_attach() - take over a VMCS
 * @v: the vCPU; its VMCS is current, and no other vCPU's
 *
 * Context: preemption off.
 */
void vmx_paging_attach(struct vmx_vcpu *v)
{
	struct vmx_vmcs *vmcs = v->vmcs;
	struct vmx_paging *p = v->paging;
	unsigned int i;
	u64 pat;

	for (i = 0; i < ARRAY_SIZE(kept_fields); i++)
		*kept_field(p, kept_fields[i]) = vmx_insn_vmread(kept_fields[i]);
	if (vmx_caps.features & VMX_HAS_LOAD_EFER)
		p->efer = vmx_insn_vmread(VMX_F_GUEST_EFER);
	follow_entry_controls(p, vmcs->entry_ctls);
	if (vmx_caps.features & VMX_HAS_LOAD_PAT) {
		p->pat = vmx_insn_vmread(VMX_F_GUEST_PAT);
		rdmsrl(MSR_IA32_CR_PAT, pat);
		vmx_insn_vmwrite(VMX_F_GUEST_PAT, pat);
	}
	vmx_insn_vmwrite(VMX_F_CR3_TARGET_COUNT, 0);
	vmx_insn_vmwrite(VMX_F_PAGE_FAULT_ERROR_MASK, 0);
	vmx_insn_vmwrite(VMX_F_PAGE_FAULT_ERROR_MATCH, 0);
	vmx_insn_vmwrite(VMX_F_EXCEPTION_BITMAP,
			 vmx_insn_vmread(VMX_F_EXCEPTION_BITMAP) | BIT(X86_TRAP_PF));
	vmcs->cpu_must = CPU_OWN;
	vmx_insn_vmwrite(VMX_F_CPU_CONTROLS, vmcs->cpu_ctls_now | CPU_OWN);
	vmcs->paging = p;
	paging_apply(v);
	p->reread = true;
}

/**
 * vmx_paging_detach() - give a VMCS back, with what userspace had in it
 * @v: the vCPU; its VMCS is current
 *
 * Context: preemption off.
 */
void vmx_paging_detach(struct vmx_vcpu *v)
{
	struct vmx_vmcs *vmcs = v->vmcs;
	struct vmx_paging *p = v->paging;
	unsigned int i;
	u64 exceptions;

	p->cr0 = merged_cr0(p);
	p->cr4 = merged_cr4(p);
	for (i = 0; i < ARRAY_SIZE(kept_fields); i++)
		vmx_insn_vmwrite(kept_fields[i], *kept_field(p, kept_fields[i]));
	if (vmx_caps.features & VMX_HAS_LOAD_EFER)
		vmx_insn_vmwrite(VMX_F_GUEST_EFER, p->efer);
	if (vmx_caps.features & VMX_HAS_LOAD_PAT)
		vmx_insn_vmwrite(VMX_F_GUEST_PAT, p->pat);
	exceptions = vmx_insn_vmread(VMX_F_EXCEPTION_BITMAP) & ~BIT_ULL(X86_TRAP_PF);
	vmx_insn_vmwrite(VMX_F_EXCEPTION_BITMAP,
			 exceptions | (vmcs->exceptions & BIT(X86_TRAP_PF)));
	vmx_insn_vmwrite(VMX_F_CPU_CONTROLS, vmcs->cpu_ctls_now);
	vmcs->cpu_must = 0;
	vmcs->paging = NULL;
}
