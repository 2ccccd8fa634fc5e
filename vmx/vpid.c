// SPDX-License-Identifier: GPL-2.0
/*
 * VPIDs, and the invalidation of cached translations. SDM, "Caching
 * Translation Information".
 *
 * Invalidations:
 *  - all translations of a CPU after VMXON, since VPIDs are reused;
 *  - those of a vCPU when it comes to another CPU, and at its first entry, since its
 *    VPID may have belonged to another;
 *  - those of an EPT at the first entry after struct vmx_mmu.flush_gen went up; with
 *    shadow paging, those of the vCPU.
 */
#include <linux/idr.h>
#include <linux/smp.h>

#include "caps.h"
#include "ledger.h"
#include "mmu.h"
#include "vcpu.h"

/* IA32_VMX_EPT_VPID_CAP */
#define CAP_INVEPT		BIT_ULL(20)
#define CAP_INVEPT_SINGLE	BIT_ULL(25)
#define CAP_INVVPID		BIT_ULL(32)
#define CAP_INVVPID_SINGLE	BIT_ULL(41)

#define INVEPT_SINGLE	1
#define INVEPT_ALL	2
#define INVVPID_SINGLE	1
#define INVVPID_ALL	2

static DEFINE_IDA(vpids);

static bool can(u64 capability)
{
	return vmx_caps.msr.ept_vpid & capability;
}

/**
 * vmx_vpid_alloc() - a VPID for a new vCPU
 *
 * Context: may sleep.
 * Return: the VPID, 0 where the CPU has none, or -ENOMEM or -ENOSPC.
 */
int vmx_vpid_alloc(void)
{
	if (!(vmx_caps.features & VMX_HAS_VPID))
		return 0;
	return ida_alloc_range(&vpids, 1, U16_MAX, GFP_KERNEL_ACCOUNT);
}

/**
 * vmx_vpid_free() - give a VPID back
 * @vpid: the VPID, or 0
 *
 * Context: any.
 */
void vmx_vpid_free(int vpid)
{
	if (vpid)
		ida_free(&vpids, vpid);
}

/**
 * vmx_vpid_flush_all() - drop all translations this CPU caches for guests
 *
 * Context: VMX operation, interrupts off.
 */
void vmx_vpid_flush_all(void)
{
	if (can(CAP_INVEPT))
		vmx_insn_invept(INVEPT_ALL, 0);
	if (can(CAP_INVVPID))
		vmx_insn_invvpid(INVVPID_ALL, 0);
}

static void flush_vpid(struct vmx_vcpu *v)
{
	vmx_insn_invvpid(can(CAP_INVVPID_SINGLE) ? INVVPID_SINGLE : INVVPID_ALL,
			 v->vpid);
	vmx_ledger_invvpid(v);
	v->count.invalidations++;
}

/*
 * With shadow paging the CPU's translations are of VPIDs alone, or without them
 * gone by the next VM entry.
 */
static void flush_shadow(struct vmx_vcpu *v, struct vmx_view *view)
{
	/* Read first: what changes after this is flushed next time. */
	view->seen_gen = atomic64_read(&view->mmu->flush_gen);
	if (v->vpid)
		flush_vpid(v);
	vmx_ledger_invept(view);
}

static void flush_view(struct vmx_vcpu *v, struct vmx_view *view)
{
	/* As above. */
	view->seen_gen = atomic64_read(&view->mmu->flush_gen);
	vmx_insn_invept(can(CAP_INVEPT_SINGLE) ? INVEPT_SINGLE : INVEPT_ALL,
			view->mmu->root);
	vmx_ledger_invept(view);
	v->count.invalidations++;
}

static void flush_views(struct vmx_vcpu *v, int cpu)
{
	unsigned int i;

	if (v->vpid_on != cpu && v->vpid)
		flush_vpid(v);
	for (i = 0; i < v->views->count; i++) {
		struct vmx_view *view = &v->views->view[i];

		if (v->ept_on != cpu || vmx_view_stale(view))
			flush_view(v, view);
	}
}

/**
 * vmx_flush() - drop the vCPU's translations that may be out of date
 * @v: the vCPU, loaded
 *
 * Context: interrupts off, before VM entry.
 */
void vmx_flush(struct vmx_vcpu *v)
{
	int cpu = smp_processor_id();

	if (v->paging)
		flush_shadow(v, v->views->view);
	else
		flush_views(v, cpu);
	v->vpid_on = cpu;
	v->ept_on = cpu;
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
void vmx_vpid_forget(struct vmx_vcpu *v)
{
	v->vpid_on = -1;
}
