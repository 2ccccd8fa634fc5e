// SPDX-License-Identifier: GPL-2.0
/*
 * The control registers of a guest with shadow page tables. Without nested paging the CPU's paging
 * belongs to the module, so the CPU's CR0, CR3, CR4, EFER and PAT differ from the guest's. struct
 * shadow_paging has the guest's, and the vendor's folder has the CPU use values derived from them:
 *
 *  CR0	as the guest's, with PG and WP set; protection is needed for that (CR0.PE)
 *  CR3	the shadow root
 *  CR4	as the guest's, with PAE set: shadow entries have 64 bits in all modes
 *  EFER	as the guest's mode, with NXE set
 *  PAT	the host's, so that the guest chooses no memory types
 *
 * The guest exits when it changes bits that change how tables are read (PAGING_CR0_OWN,
 * PAGING_CR4_OWN). The others it may change without an exit, and before this file looks at CR0 or
 * CR4, struct shadow_paging has to have all of them.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>

#include "../base/x86.h"
#include "../core/vendor.h"
#include "internal.h"

static void set_format(struct shadow_mode *mode, const struct shadow_paging *p)
{
	if (!(p->cr0 & X86_CR0_PG)) {
		*mode = (struct shadow_mode) {
			.format = SHADOW_GUEST_NONE, .levels = 2, .wp = true,
			/* PDPTEs are loaded before the guest is in PAE paging. */
			.phys_bits = mode->phys_bits,
		};
	} else if (paging_is_long(p)) {
		mode->format = SHADOW_GUEST_LONG;
		mode->levels = p->cr4 & X86_CR4_LA57 ? 5 : 4;
		mode->large = BIT(2) | (boot_cpu_has(X86_FEATURE_GBPAGES) ? BIT(3) : 0);
	} else if (p->cr4 & X86_CR4_PAE) {
		mode->format = SHADOW_GUEST_PAE;
		mode->levels = 2;
		mode->large = BIT(2);
	} else {
		mode->format = SHADOW_GUEST_32BIT;
		mode->levels = 2;
		mode->large = p->cr4 & X86_CR4_PSE ? BIT(2) : 0;
	}
}

static void set_mode(struct shadow_paging *p)
{
	p->mode = (struct shadow_mode) {
		.phys_bits = vmm_vendor->caps->phys_bits,
		.wp = p->cr0 & X86_CR0_WP,
		.smep = p->cr4 & X86_CR4_SMEP,
		.smap = p->cr4 & X86_CR4_SMAP,
		.nxe = p->efer & EFER_NX,
	};
	set_format(&p->mode, p);
	p->role = shadow_root_role(&p->mode);
}

/**
 * paging_efer_bits() - what a guest can have in EFER
 *
 * Return: the bits.
 */
u64 paging_efer_bits(void)
{
	return EFER_SCE | EFER_LME | EFER_LMA |
	       (boot_cpu_has(X86_FEATURE_NX) ? EFER_NX : 0);
}

/**
 * paging_real_cr0() - CR0 that the CPU has to have for the guest
 * @p: the guest's paging
 *
 * Return: the register.
 */
u64 paging_real_cr0(const struct shadow_paging *p)
{
	return p->cr0 | X86_CR0_PG | X86_CR0_WP;
}

/**
 * paging_real_cr4() - likewise CR4
 * @p: the guest's paging
 *
 * Return: the register.
 */
u64 paging_real_cr4(const struct shadow_paging *p)
{
	u64 cr4 = p->cr4 & ~(u64)X86_CR4_PCIDE;

	if (p->mode.format == SHADOW_GUEST_NONE)
		cr4 &= ~(u64)(X86_CR4_SMEP | X86_CR4_SMAP);
	/* In IA-32e mode the guest has set PAE, or VM entry fails. */
	if (p->mode.format != SHADOW_GUEST_LONG)
		cr4 = (cr4 & ~(u64)X86_CR4_LA57) | X86_CR4_PAE;
	return cr4;
}

/**
 * paging_real_efer() - likewise EFER
 * @p: the guest's paging
 *
 * Return: the register.
 */
u64 paging_real_efer(const struct shadow_paging *p)
{
	u64 efer = p->efer & EFER_SCE;

	if (boot_cpu_has(X86_FEATURE_NX))
		efer |= EFER_NX;
	if (paging_is_long(p))
		efer |= EFER_LME | EFER_LMA;
	return efer;
}

/**
 * paging_changed() - the guest's registers have changed
 * @p: its paging, which has the new values
 *
 * The roots are to be found again before the guest goes on.
 *
 * Context: preemption off.
 */
void paging_changed(struct shadow_paging *p)
{
	set_mode(p);
	p->reload = true;
	p->sync_until = 0;
}

/**
 * paging_create() - what a vCPU with shadow paging needs
 * @v: the vCPU; its paging is all 0
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int paging_create(struct vmm_vcpu *v)
{
	struct shadow_paging *p = v->paging;

	p->shadow = shadow_of(v->mmu->ept.derived);
	/* Without IA-32e mode the CPU looks for the PDPTEs below 4 GiB. */
	p->pae = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT | GFP_DMA32);
	return p->pae ? 0 : -ENOMEM;
}

/**
 * paging_destroy() - undo paging_create(), which may have failed
 * @v: the vCPU, which never runs again
 *
 * Context: may sleep.
 */
void paging_destroy(struct vmm_vcpu *v)
{
	struct shadow_paging *p = v->paging;
	unsigned int n;

	spin_lock(&v->mmu->lock);
	for (n = 0; n < SHADOW_ROOTS; n++)
		if (p->root[n])
			p->root[n]->users--;
	spin_unlock(&v->mmu->lock);
	free_page((unsigned long)p->pae);
}

static bool is_pae(u64 cr0, u64 cr4, u64 efer)
{
	return cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE && !(efer & (EFER_LME | EFER_LMA));
}

/* SDM, "MOV--Move to/from Control Registers": what is a #GP. */
static bool cr0_valid(const struct shadow_paging *p, u64 value, bool cs_l, bool tss16)
{
	if (value >> 32 || (value & X86_CR0_PG && !(value & X86_CR0_PE)) ||
	    (value & X86_CR0_NW && !(value & X86_CR0_CD)))
		return false;
	if (!((value ^ p->cr0) & X86_CR0_PG))
		return true;
	if (!(value & X86_CR0_PG))
		return !(cs_l && paging_is_long(p)) && !(p->cr4 & X86_CR4_PCIDE);
	return !(p->efer & EFER_LME) || (p->cr4 & X86_CR4_PAE && !cs_l && !tss16);
}

/* SDM, "Initializing IA-32e Mode" and "IA-32e Mode Operation Overview": LMA is LME and PG. */
static void switch_long_mode(struct shadow_paging *p, u64 cr0)
{
	p->efer &= ~(u64)EFER_LMA;
	if (cr0 & X86_CR0_PG && p->efer & EFER_LME)
		p->efer |= EFER_LMA;
}

/**
 * paging_set_cr0() - the guest writes CR0
 * @v: the vCPU, loaded
 * @value: the new value
 * @cs_l: CS.L is set
 * @tss16: TR has a TSS of 16 bits
 *
 * Context: interrupts on, preemption off.
 * Return: 0, %PAGING_GP, or -EAGAIN as paging_load_pdptes().
 */
int paging_set_cr0(struct vmm_vcpu *v, u64 value, bool cs_l, bool tss16)
{
	struct shadow_paging *p = v->paging;
	/* CD and NW load PDPTEs, too. Both are userspace's, which writes CR0 by itself. */
	bool switches = (value ^ p->cr0) & X86_CR0_PG;
	int r;

	value |= X86_CR0_ET;
	if (!cr0_valid(p, value, cs_l, tss16))
		return PAGING_GP;
	/* Reserved bits ignore writes (SDM, "Control Registers"). */
	value &= BASE_CR0_ARCHITECTED;
	if (switches && is_pae(value, p->cr4, p->efer)) {
		r = paging_load_pdptes(v, p->cr3);
		if (r)
			return r;
	}
	if (switches)
		switch_long_mode(p, value);
	p->cr0 = value;
	paging_changed(p);
	/* The PDPTEs are loaded already. */
	p->reread = false;
	return 0;
}

/* SDM, "MOV--Move to/from Control Registers" */
static bool cr4_valid(const struct shadow_paging *p, u64 value)
{
	u64 change = p->cr4 ^ value;

	if (paging_is_long(p) && (!(value & X86_CR4_PAE) || change & X86_CR4_LA57))
		return false;
	return !(change & value & X86_CR4_PCIDE) || (paging_is_long(p) && !(p->cr3 & 0xfff));
}

/**
 * paging_set_cr4() - the guest writes CR4
 * @v: the vCPU, loaded
 * @value: the new value, whose bits it may have
 *
 * Context: interrupts on, preemption off.
 * Return: 0, %PAGING_GP, or -EAGAIN as paging_load_pdptes().
 */
int paging_set_cr4(struct vmm_vcpu *v, u64 value)
{
	struct shadow_paging *p = v->paging;
	int r;

	if (!cr4_valid(p, value))
		return PAGING_GP;
	if ((value ^ p->cr4) & (X86_CR4_PAE | X86_CR4_PSE | X86_CR4_PGE | X86_CR4_SMEP) &&
	    is_pae(p->cr0, value, p->efer)) {
		r = paging_load_pdptes(v, p->cr3);
		if (r)
			return r;
	}
	p->cr4 = value;
	paging_changed(p);
	return 0;
}

static bool cr3_valid(const struct shadow_paging *p, u64 *value)
{
	/* With PCIDs bit 63 asks to keep translations. A CPU may drop them all the same. */
	if (p->cr4 & X86_CR4_PCIDE)
		*value &= ~BIT_ULL(63);
	return !paging_is_long(p) || !(*value >> p->mode.phys_bits);
}

/**
 * paging_set_cr3() - the guest writes CR3
 * @v: the vCPU, loaded
 * @value: the new value
 *
 * Context: interrupts on, preemption off.
 * Return: 0, %PAGING_GP, or -EAGAIN as paging_load_pdptes().
 */
int paging_set_cr3(struct vmm_vcpu *v, u64 value)
{
	struct shadow_paging *p = v->paging;
	int r;

	if (!cr3_valid(p, &value))
		return PAGING_GP;
	if (p->mode.format == SHADOW_GUEST_PAE) {
		r = paging_load_pdptes(v, value);
		if (r)
			return r;
	}
	p->cr3 = value;
	p->reload = true;
	return 0;
}

/**
 * paging_switch_cr3() - the guest writes CR3, and needs no more than another root
 * @v: the vCPU, loaded; its guest is in IA-32e mode
 * @value: the new value
 *
 * Context: interrupts off.
 * Return: false if nothing was done, and it is paging_set_cr3()'s.
 */
bool paging_switch_cr3(struct vmm_vcpu *v, u64 value)
{
	return cr3_valid(v->paging, &value) && paging_switch(v, value);
}

/**
 * paging_set_efer() - the guest writes EFER
 * @p: its paging
 * @value: the new value
 *
 * SDM, "Extended Feature Enable Register": LME is fixed under paging.
 *
 * Context: preemption off.
 * Return: false if it is a #GP.
 */
bool paging_set_efer(struct shadow_paging *p, u64 value)
{
	if (value & ~paging_efer_bits() ||
	    ((value ^ p->efer) & EFER_LME && p->cr0 & X86_CR0_PG))
		return false;
	p->efer = (value & ~(u64)EFER_LMA) | (p->efer & EFER_LMA);
	paging_changed(p);
	return true;
}
