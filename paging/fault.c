// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults of a guest with shadow page tables, and instructions that invalidate translations. A
 * page that is not at hand is noted in struct shadow_paging; paging_prepare() gets it, and then the
 * guest's instruction exits once more.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include <asm/trap_pf.h>
#include <asm/trapnr.h>

#include "../core/trace.h"
#include "internal.h"

/* Memory that a fault gets before it lets the guest try again. */
#define ATTEMPTS 8

#define EVENT	(VMX_INTR_VALID | VMX_INTR_TYPE_MASK | VMX_INTR_VECTOR_MASK)
#define EXCEPTION(vector)	(VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | (vector))

/* With it a page fault makes two events, and neither may get lost. */
static bool is_interrupt(u32 event)
{
	u32 type = event & VMX_INTR_TYPE_MASK;

	return event & VMX_INTR_VALID &&
	       (type == VMX_INTR_TYPE_EXTERNAL || type == VMX_INTR_TYPE_NMI);
}

/**
 * paging_deliver_fault() - the guest's page fault, of which userspace does not want to know
 * @v: the vCPU; the fault's error code is in its exit
 * @gva: the address
 *
 * In the delivery of another exception it is delivered all the same, and the other comes back
 * with its instruction; but after #PF it is #DF, and after #DF the end (SDM, "Conditions for
 * Generating a Double Fault").
 *
 * Context: preemption off.
 * Return: an enum gphys_fault.
 */
int paging_deliver_fault(struct vmm_vcpu *v, u64 gva)
{
	u32 first = v->event.info & EVENT;
	u32 vector = X86_TRAP_PF, error = v->exit.intr_error;

	if (is_interrupt(first))
		return GPHYS_FAULT_EXIT;
	/* Even if #DF follows (SDM, "Interrupt 14--Page-Fault Exception (#PF)") */
	v->cr2 = gva;
	if (first == EXCEPTION(X86_TRAP_DF)) {
		v->event.info = 0;
		v->exit.begin = VMX_REASON_TRIPLE_FAULT;
		return GPHYS_FAULT_EXIT;
	}
	if (first == EXCEPTION(X86_TRAP_PF)) {
		vector = X86_TRAP_DF;
		error = 0;
	}
	v->event.info = EXCEPTION(vector) | VMX_INTR_ERROR_CODE;
	v->event.error = error;
	return GPHYS_FAULT_DONE;
}

/* Something is to be got: with the page at hand, at once. */
static int get_miss(struct vmm_vcpu *v)
{
	int r;

	if (v->paging->miss == ~0ULL)
		return -EAGAIN;
	if (gphys_misses(v->mmu, &v->miss, v->exit.physical, v->paging->miss_access))
		return GPHYS_FAULT_EXIT;
	r = gphys_fault(v->mmu, v->exit.physical, v->paging->miss_access, true, &v->miss);
	trace_fault(v->tag.id, v->exit.physical, v->exit.qualification, r);
	if (r == GPHYS_FAULT_EXIT || v->paging->miss_translated)
		return r;
	/* The module reads no memory of devices, not even for a table. */
	spin_lock(&v->mmu->lock);
	if (paging_is_device(v, v->exit.physical))
		r = GPHYS_FAULT_EXIT;
	spin_unlock(&v->mmu->lock);
	return r;
}

/* Do the tables that the CPU walks allow a supervisor to reach a user page so? */
static bool nothing_missing(const struct shadow_paging *p, const struct shadow_walk *walk)
{
	int top = p->mode.format == SHADOW_GUEST_LONG ? p->mode.levels : 2;
	u64 needs = SHADOW_PRESENT | SHADOW_USER | (walk->access & X86_PF_WRITE ? SHADOW_WRITE : 0);
	u64 entry[SHADOW_MAX_LEVELS + 1], have = needs;
	int level = paging_look(p, walk->gva, entry);

	if (!level)
		return false;
	for (; level <= top; level++)
		have &= entry[level];
	return have == needs;
}

/*
 * SMAP is for implicit accesses whatever EFLAGS.AC says (SDM, "Determination of Access
 * Rights"). The error code does not tell of them, but that nothing was missing, and the
 * guest faulted for the same address before: the first time another CPU may have made
 * the entry meanwhile.
 */
static bool is_implicit(struct shadow_paging *p, const struct shadow_walk *walk)
{
	u64 last = p->enough;

	p->enough = walk->ac && nothing_missing(p, walk) ? walk->gva : ~0ULL;
	return p->enough != ~0ULL && p->enough == last;
}

static enum shadow_walk_result fault_locked(struct vmm_vcpu *v, struct shadow_walk *walk)
{
	enum shadow_walk_result result;

	spin_lock(&v->mmu->lock);
	if (is_implicit(v->paging, walk))
		walk->ac = false;
	result = shadow_fault(v->paging->shadow, v->paging, walk);
	if (result == SHADOW_WALK_MISS && v->paging->miss != ~0ULL)
		paging_describe(v, walk->gva, VMX_VIOLATION_LINEAR_VALID);
	spin_unlock(&v->mmu->lock);
	return result;
}

/**
 * paging_fault() - a page fault of the CPU's
 * @v: the vCPU, loaded
 * @walk: the access; filled in
 *
 * Context: interrupts on, preemption off.
 * Return: an enum gphys_fault; -EAGAIN: ask again after paging_prepare() and another exit; another
 * errno of gphys_fault(); %PAGING_PF: the guest's tables forbid it, and the exit has the error
 * code.
 */
int paging_fault(struct vmm_vcpu *v, struct shadow_walk *walk)
{
	int attempts, r;

	for (attempts = 0; attempts < ATTEMPTS; attempts++) {
		switch (fault_locked(v, walk)) {
		case SHADOW_WALK_DONE:
			v->count.faults++;
			return GPHYS_FAULT_DONE;
		case SHADOW_WALK_FAULT:
			v->exit.intr_error = walk->error;
			return PAGING_PF;
		case SHADOW_WALK_MISS:
			r = get_miss(v);
			if (r != GPHYS_FAULT_DONE)
				return r;
			/* Another thread's turn. The guest faults again afterwards. */
			base_ledger_look();
			if (need_resched())
				return GPHYS_FAULT_DONE;
		}
	}
	return GPHYS_FAULT_DONE;
}

/**
 * paging_invalidate() - the guest invalidates translations
 * @v: the vCPU, loaded
 *
 * The CPU may have some that are to go, too: they are the caller's.
 *
 * Context: interrupts on, preemption off.
 */
void paging_invalidate(struct vmm_vcpu *v)
{
	struct gphys_mmu *mmu = v->mmu;

	spin_lock(&mmu->lock);
	v->paging->linked = 0;
	/* paging_load() does the rest before the guest goes on. */
	if (!shadow_sync(v->paging->shadow, &v->paging->sync_until, true))
		v->paging->reload = true;
	spin_unlock(&mmu->lock);
}

/**
 * paging_prepare() - get what an exit, or loading the roots, did without
 * @v: the vCPU, not loaded
 *
 * Context: may sleep.
 * Return: an enum gphys_fault, or an errno of gphys_fault().
 */
int paging_prepare(struct vmm_vcpu *v)
{
	struct shadow_paging *p = v->paging;
	int err = ept_top_up(&v->mmu->ept) ?: shadow_top_up(v->paging->shadow, p->miss_frame);

	cond_resched();
	if (!err && signal_pending(current))
		return -EINTR;
	if (err || p->miss == ~0ULL)
		return err;
	return gphys_fault(v->mmu, p->miss, p->miss_access, false, &v->miss);
}
