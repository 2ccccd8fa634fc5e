// SPDX-License-Identifier: GPL-2.0
/*
 * VPIDs, and the invalidation of cached translations. SDM, "Caching
 * Translation Information".
 *
 * Invalidations:
 *  - all translations of a CPU after VMXON, since VPIDs are reused;
 *  - those of a vCPU when it comes to another CPU, and at its first entry, since its
 *    VPID may have belonged to another;
 *  - those of an EPT at the first entry after &ept.flush_gen went up; with
 *    shadow paging, those of the vCPU.
 */
#include <linux/idr.h>
#include <linux/smp.h>

#include "../base/kunit-export.h"
#include "../mmu/mmu.h"
#include "caps.h"
#include "ledger.h"
#include "vmx.h"
#include "vpid.h"

#define INVEPT_SINGLE	1
#define INVEPT_ALL	2
#define INVVPID_SINGLE	1
#define INVVPID_ALL	2

/*
 * EPTs of a vCPU that are invalidated one by one. Each INVEPT takes a CPU hundreds of
 * cycles, with interrupts off, and there may be 513.
 */
#define INVEPTS_MAX	8

static DEFINE_IDA(vpids);

static bool cpu_can(u64 capability)
{
	return vmx_caps.msr.ept_vpid & capability;
}

/**
 * vmx_vpid_take() - take one of the VPIDs
 * @taken: how many the VM has
 *
 * Context: may sleep.
 * Return: the VPID, 0 if the VM has its share or none is left, or -ENOMEM.
 */
int vmx_vpid_take(atomic_t *taken)
{
	int vpid = -ENOSPC;

	if (atomic_inc_return(taken) <= VMX_VM_VPIDS)
		vpid = ida_alloc_range(&vpids, 1, U16_MAX, GFP_KERNEL_ACCOUNT);
	if (vpid < 0)
		atomic_dec(taken);
	return vpid == -ENOSPC ? 0 : vpid;
}
EXPORT_SYMBOL_IF_KUNIT(vmx_vpid_take);

/**
 * vmx_vpid_return() - undo vmx_vpid_take()
 * @vpid: the VPID, or 0
 * @taken: how many the VM has
 *
 * Context: any.
 */
void vmx_vpid_return(int vpid, atomic_t *taken)
{
	if (!vpid)
		return;
	ida_free(&vpids, vpid);
	atomic_dec(taken);
}
EXPORT_SYMBOL_IF_KUNIT(vmx_vpid_return);

/**
 * vmx_vpid_alloc() - a VPID for a new vCPU
 * @vm: its VM
 *
 * A guest without one runs as on a CPU that has none: each VM entry and exit drops
 * its translations.
 *
 * Context: may sleep.
 * Return: the VPID, 0 where there is none, or -ENOMEM.
 */
int vmx_vpid_alloc(struct vmm_vm *vm)
{
	return vmx_caps.features & VMX_HAS_VPID ? vmx_vpid_take(&vm->vpids) : 0;
}

/**
 * vmx_vpid_flush_all() - drop all translations this CPU caches for guests
 *
 * Context: VMX operation, interrupts off.
 */
void vmx_vpid_flush_all(void)
{
	if (cpu_can(VMX_CAPS_INVEPT))
		vmx_insn_invept(INVEPT_ALL, 0);
	if (cpu_can(VMX_CAPS_INVVPID))
		vmx_insn_invvpid(INVVPID_ALL, 0);
}

static void flush_vpid(struct vmm_vcpu *v)
{
	vmx_insn_invvpid(cpu_can(VMX_CAPS_INVVPID_SINGLE) ? INVVPID_SINGLE : INVVPID_ALL,
			 v->tag.id);
	vmx_ledger_invvpid(v);
	v->count.invalidations++;
}

/*
 * With shadow paging the CPU's translations are of VPIDs alone, or without them
 * gone by the next VM entry.
 */
static void flush_shadow(struct vmm_vcpu *v, struct gphys_view *view)
{
	/* Read first: the next flush is for later changes. */
	view->seen_gen = atomic64_read(&view->mmu->ept.flush_gen);
	if (v->tag.id)
		flush_vpid(v);
	gphys_ledger_dropped(view);
}

static void invept_counted(struct vmm_vcpu *v, u32 type, u64 root)
{
	vmx_insn_invept(type, root);
	v->count.invalidations++;
}

static void flush_views(struct vmm_vcpu *v, int cpu)
{
	const u32 single = cpu_can(VMX_CAPS_INVEPT_SINGLE) ? INVEPT_SINGLE : INVEPT_ALL;
	unsigned int i, stale = 0;

	if (v->tag.id_on != cpu && v->tag.id)
		flush_vpid(v);
	for (i = 0; i < v->views->count; i++) {
		struct gphys_view *view = &v->views->view[i];

		if (v->tag.map_on == cpu && !gphys_view_stale(view))
			continue;
		/* As above. */
		view->seen_gen = atomic64_read(&view->mmu->ept.flush_gen);
		if (++stale > INVEPTS_MAX)
			continue;
		invept_counted(v, single, view->mmu->ept.root);
		gphys_ledger_dropped(view);
	}
	if (stale <= INVEPTS_MAX)
		return;
	invept_counted(v, INVEPT_ALL, 0);
	vmx_ledger_invept_all(v);
}

/**
 * vmx_flush() - drop the vCPU's translations that may be out of date
 * @v: the vCPU, loaded
 *
 * Context: interrupts off, before VM entry.
 */
void vmx_flush(struct vmm_vcpu *v)
{
	int cpu = smp_processor_id();

	if (v->paging)
		flush_shadow(v, v->views->view);
	else
		flush_views(v, cpu);
	v->tag.id_on = cpu;
	v->tag.map_on = cpu;
}

/**
 * vmx_vpid_forget() - drop the vCPU's translations before it runs again
 * @v: the vCPU, its VMCS busy for the caller
 *
 * For paging state that did not change by an instruction that the guest's CPU
 * finished: with VPIDs, VM entry keeps translations made under the state before
 * (SDM, "Operations that Invalidate Cached Mappings").
 *
 * Context: any.
 */
void vmx_vpid_forget(struct vmm_vcpu *v)
{
	v->tag.id_on = -1;
}
