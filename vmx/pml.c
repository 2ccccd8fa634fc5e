// SPDX-License-Identifier: GPL-2.0
/*
 * Page-modification logging: when the CPU sets the dirty bit of an EPT entry it
 * writes the guest-physical address into a page of the vCPU (SDM,
 * "Page-Modification Logging"). The dirty bits remain the log; the addresses tell
 * where to look for them.
 *
 * A vCPU notes how many addresses its page has whenever it leaves the guest and before
 * it opens interrupts, and tells the mmus before it enters again or RUN returns an exit.
 * So all addresses are known when vmm_vcpu_kick_all() returns: the mmu was told, or finds
 * them noted.
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "../mmu/mmu.h"
#include "caps.h"
#include "vmx.h"

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
int vmx_pml_alloc(struct vmm_vcpu *v)
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
void vmx_pml_free(struct vmm_vcpu *v)
{
	free_page((unsigned long)v->pml);
}

/**
 * vmx_pml_attach() - tell the CPU where the page is
 * @v: the vCPU, its VMCS current
 *
 * Context: preemption off.
 */
void vmx_pml_attach(struct vmm_vcpu *v)
{
	if (!v->pml)
		return;
	vmx_insn_vmwrite(VMX_F_PML_ADDR, __pa(v->pml));
	vmx_insn_vmwrite(VMX_F_PML_INDEX, PML_EMPTY);
}

static bool wants_pml(const struct vmm_vcpu *v)
{
	unsigned int i;

	/* Interrupts are off, and there may be hundreds of views. */
	if (!v->pml)
		return false;
	for (i = 0; i < v->views->count; i++)
		if (READ_ONCE(v->views->view[i].mmu->ept.log) == VMX_DIRTY_PML)
			return true;
	return false;
}

/**
 * vmx_pml_switch() - switch it on or off, as the vCPU's mmus want it
 * @v: the vCPU, loaded
 *
 * Whoever changes what they want changes &ept.flush_gen after that.
 *
 * Context: interrupts off, before VM entry.
 */
void vmx_pml_switch(struct vmm_vcpu *v)
{
	u64 cpu2;

	if (v->pml_on == wants_pml(v))
		return;
	v->pml_on = !v->pml_on;
	v->vmcs->cpu2_must ^= VMX_CPU2_PML;
	cpu2 = vmx_read(v, VMX_F_CPU2_CONTROLS) & ~(u64)VMX_CPU2_PML;
	vmx_write(v, VMX_F_CPU2_CONTROLS, cpu2 | v->vmcs->cpu2_must);
}

/**
 * vmx_pml_note() - what the CPU wrote down is to be told
 * @v: the vCPU, loaded, whose logging is on
 *
 * To tell it takes longer than interrupts may be off. From here on others find it.
 *
 * Context: interrupts off, after the guest was left.
 */
void vmx_pml_note(struct vmm_vcpu *v)
{
	int index = (s16)vmx_read(v, VMX_F_PML_INDEX);

	if (index == PML_EMPTY)
		return;
	v->pml_told = 0;
	WRITE_ONCE(v->pml_count, PML_EMPTY - index);
	vmx_write(v, VMX_F_PML_INDEX, PML_EMPTY);
}

static const u64 *noted_pages(const struct vmm_vcpu *v, unsigned int count)
{
	return v->pml + PML_ENTRIES - count;
}

/**
 * vmx_pml_tell() - tell the mmus what was noted
 * @v: the vCPU, which is not in the guest
 *
 * On which of them the guest was then is not known, so all are told: too much
 * does no harm.
 *
 * Context: interrupts on, no locks.
 * Return: false if another thread's turn came first: ask again.
 */
bool vmx_pml_tell(struct vmm_vcpu *v)
{
	while (v->pml_count && v->pml_told < v->views->count) {
		struct gphys_mmu *mmu = v->views->view[v->pml_told++].mmu;

		if (READ_ONCE(mmu->ept.log) != VMX_DIRTY_PML)
			continue;
		spin_lock(&mmu->lock);
		if (mmu->ept.log == VMX_DIRTY_PML)
			ept_mark(&mmu->ept, noted_pages(v, v->pml_count), v->pml_count);
		spin_unlock(&mmu->lock);
		base_ledger_look();
		if (need_resched())
			return false;
	}
	WRITE_ONCE(v->pml_count, 0);
	return true;
}

/**
 * vmx_pml_tell_all() - the same, to the end
 * @v: the vCPU, whose views are about to change or to go
 *
 * Context: may sleep.
 */
void vmx_pml_tell_all(struct vmm_vcpu *v)
{
	while (!vmx_pml_tell(v))
		base_cond_resched();
}

/*
 * The next of the mmu's vCPUs, whose turn comes again after all others'; what it noted.
 * Without a copy of it, which is to be made, the turn does not end.
 */
static unsigned int next_noted(struct gphys_mmu *mmu, u64 *copy)
{
	unsigned int count = 0;
	struct gphys_view *view;

	spin_lock(&mmu->views_lock);
	view = list_first_entry_or_null(&mmu->views, struct gphys_view, link);
	if (view)
		count = READ_ONCE(view->vcpu->pml_count);
	if (view && (copy || !count))
		list_move_tail(&view->link, &mmu->views);
	/* It may be in the guest again, if all was told: then these are others. */
	if (copy && count)
		memcpy(copy, noted_pages(view->vcpu, count), count * sizeof(*copy));
	spin_unlock(&mmu->views_lock);
	return count;
}

/**
 * vmx_pml_collect() - tell an mmu what vCPUs have noted and not told yet
 * @mmu: the mmu, its edit mutex held
 *
 * Context: after vmm_vcpu_kick_all(); may sleep.
 * Return: 0 or -ENOMEM.
 */
int vmx_pml_collect(struct gphys_mmu *mmu)
{
	unsigned int left = READ_ONCE(mmu->nr_views);
	u64 *copy = NULL;

	/* New ones are put last. */
	while (left--) {
		unsigned int count = next_noted(mmu, copy);

		if (count && !copy) {
			copy = (u64 *)__get_free_page(GFP_KERNEL_ACCOUNT);
			if (!copy)
				return -ENOMEM;
			count = next_noted(mmu, copy);
		}
		if (count) {
			spin_lock(&mmu->lock);
			ept_mark(&mmu->ept, copy, count);
			spin_unlock(&mmu->lock);
		}
		base_cond_resched();
	}
	free_page((unsigned long)copy);
	return 0;
}
