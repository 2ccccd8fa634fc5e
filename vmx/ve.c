// SPDX-License-Identifier: GPL-2.0
/*
 * Virtualization exceptions: an EPT violation that the range leaves to the guest is
 * delivered to it without an exit (SDM, "Virtualization Exceptions"). A bit of the
 * EPT entry decides; see EPT_SUPPRESS_VE.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>

#include "../mmu/mmu.h"
#include "caps.h"
#include "vmx.h"

static void switch_ve(struct vmm_vcpu *v, bool on)
{
	u64 cpu2 = vmx_insn_vmread(VMX_F_CPU2_CONTROLS);

	v->vmcs->cpu2_must &= ~VMX_CPU2_EPT_VIOLATION_VE;
	if (on)
		v->vmcs->cpu2_must |= VMX_CPU2_EPT_VIOLATION_VE;
	vmx_insn_vmwrite(VMX_F_VE_INFO_ADDR, on ? page_to_phys(v->ve) : 0);
	vmx_insn_vmwrite(VMX_F_CPU2_CONTROLS,
			 (cpu2 & ~(u64)VMX_CPU2_EPT_VIOLATION_VE) | v->vmcs->cpu2_must);
}

/**
 * vmx_ve_set() - %VMX_SET_VE
 * @v: the vCPU, its VMCS busy for the caller
 * @arg: a struct vmx_ve
 *
 * The area stays when they are disabled: it may be mapped.
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmx_ve_set(struct vmm_vcpu *v, void __user *arg)
{
	struct vmx_ve args;
	int err;

	err = base_copy_in(&args, sizeof(args), arg, sizeof(args));
	if (err)
		return err;
	if (args.flags || v->paging || !(vmx_caps.features & VMX_HAS_VE))
		return -EOPNOTSUPP;
	if (args.enable > 1 || args.reserved)
		return -EINVAL;
	if (args.enable && !v->ve) {
		struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

		if (!page)
			return -ENOMEM;
		/* Pairs with vmx_ve_page() */
		smp_store_release(&v->ve, page);
	}
	err = vmx_vmcs_get(v->vmcs);
	if (err)
		return err;
	switch_ve(v, args.enable);
	vmx_vmcs_unget();
	return 0;
}

/**
 * vmx_ve_page() - the area, for mmap()
 * @v: the vCPU
 *
 * Context: any.
 * Return: the page; NULL if the exceptions were never enabled.
 */
struct page *vmx_ve_page(struct vmm_vcpu *v)
{
	/* Pairs with vmx_ve_set() */
	return smp_load_acquire(&v->ve);
}

/**
 * vmx_ve_detach() - the CPU does not know of the area any more
 * @v: the vCPU, which never runs again, its VMCS current
 *
 * Context: preemption off.
 */
void vmx_ve_detach(struct vmm_vcpu *v)
{
	if (v->ve)
		switch_ve(v, false);
}

/**
 * vmx_ve_free() - give up the area; mappings of it keep the page
 * @v: the vCPU
 *
 * Context: any.
 */
void vmx_ve_free(struct vmm_vcpu *v)
{
	if (v->ve)
		put_page(v->ve);
}
