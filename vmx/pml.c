// SPDX-License-Identifier: GPL-2.0
/*
 * Page-modification logging: when the CPU sets the dirty bit of an EPT entry it
 * writes the guest-physical address into a page of the vCPU (SDM,
 * "Page-Modification Logging"). The dirty bits remain the log; the addresses tell
 * where to look for them.
 *
 * A vCPU empties its page whenever it leaves the guest and before it opens
 * interrupts, so all addresses are known when vmx_mmu_kick() returns.
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "caps.h"
#include "mmu.h"
#include "vcpu.h"

#define PML_ENTRIES	((int)(PAGE_SIZE / sizeof(u64)))
/* The CPU fills the page from its end, and stops when the index has gone below 0. */
#define PML_EMPTY	(PML_ENTRIES - 1)

/**
 * vmx_pml_alloc() - get the page, on CPUs that can use it
 * @v: the vCPU
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vmx_pml_alloc(struct vmx_vcpu *v)
{
	if (!(vmx_caps.features & VMX_HAS_PML))
		return 0;
	v->pml = (u64 *)__get_free_page(GFP_KERNEL_ACCOUNT);
	return v->pml ? 0 : -ENOMEM;
}

/**
 * vmx_pml_free() - undo vmx_pml_alloc()
 * @v: the vCPU
 *
 * Context: any.
 */
void vmx_pml_free(struct vmx_vcpu *v)
{
	free_page((unsigned long)v->pml);
}

/**
 * vmx_pml_attach() - tell the CPU where the page is
 * @v: the vCPU, its VMCS current
 *
 * Context: preemption off.
 */
void vmx_pml_attach(struct vmx_vcpu *v)
{
	if (!v->pml)
		return;
	vmx_insn_vmwrite(VMX_F_PML_ADDR, __pa(v->pml));
	vmx_insn_vmwrite(VMX_F_PML_INDEX, PML_EMPTY);
}

static bool wanted(const struct vmx_vcpu *v)
{
	unsigned int i;

	for (i = 0; i < v->views->count; i++)
		if (READ_ONCE(v->views->view[i].mmu->log) == VMX_DIRTY_PML)
			return true;
	return false;
}

/**
 * vmx_pml_switch() - switch it on or off, as the vCPU's mmus want it
 * @v: the vCPU, loaded
 *
 * Whoever changes what they want changes struct vmx_mmu.flush_gen after that.
 *
 * Context: interrupts off, before VM entry.
 */
void vmx_pml_switch(struct vmx_vcpu *v)
{
	u64 cpu2;

	if (v->pml_on == wanted(v))
		return;
	v->pml_on = !v->pml_on;
	v->vmcs->cpu2_must ^= VMX_CPU2_PML;
	cpu2 = vmx_read(v, VMX_F_CPU2_CONTROLS) & ~(u64)VMX_CPU2_PML;
	vmx_write(v, VMX_F_CPU2_CONTROLS, cpu2 | v->vmcs->cpu2_must);
}

/**
 * vmx_pml_drain() - tell the mmus what the CPU wrote down
 * @v: the vCPU, loaded, whose logging is on
 *
 * On which of them the guest was then is not known, so all are told: too much
 * does no harm.
 *
 * Context: interrupts off. Takes the mmus' locks, whose holders do not wait for
 * other CPUs.
 */
void vmx_pml_drain(struct vmx_vcpu *v)
{
	int index = (s16)vmx_read(v, VMX_F_PML_INDEX);
	unsigned int i;

	if (index == PML_EMPTY)
		return;
	for (i = 0; i < v->views->count; i++) {
		struct vmx_mmu *mmu = v->views->view[i].mmu;

		spin_lock(&mmu->lock);
		if (mmu->log == VMX_DIRTY_PML)
			ept_mark(mmu, v->pml + index + 1, PML_EMPTY - index);
		spin_unlock(&mmu->lock);
	}
	vmx_write(v, VMX_F_PML_INDEX, PML_EMPTY);
}
