// SPDX-License-Identifier: GPL-2.0
/*
 * The ledger of translations; see ledger.h. Nothing here changes what the module does.
 * Other CPUs read gen after inside; x86 keeps that order.
 */
#include <linux/bug.h>

#include "ledger.h"
#include "mmu.h"

/**
 * gphys_ledger_init() - open the books of an mmu
 * @mmu: the mmu
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int gphys_ledger_init(struct gphys_mmu *mmu)
{
	int cpu;

	mmu->ledger.dropped = alloc_percpu_gfp(s64, GFP_KERNEL_ACCOUNT);
	if (!mmu->ledger.dropped)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		per_cpu(*mmu->ledger.dropped, cpu) = -1;
	return 0;
}

/**
 * gphys_ledger_free() - close the books of an mmu
 * @mmu: the mmu
 *
 * Context: any.
 */
void gphys_ledger_free(struct gphys_mmu *mmu)
{
	free_percpu(mmu->ledger.dropped);
}

/**
 * gphys_ledger_dropped() - this CPU has dropped the translations of an mmu
 * @view: a vCPU's use of it, whose generation was read before
 *
 * Context: interrupts off.
 */
void gphys_ledger_dropped(struct gphys_view *view)
{
	__this_cpu_write(*view->mmu->ledger.dropped, view->seen_gen);
}

/**
 * gphys_ledger_enter() - the guest is about to be entered
 * @view: an mmu that it may be on
 * @inside: tells whether it still is in the guest
 *
 * What gphys_flush() promised to others must have been dropped on this CPU.
 *
 * Context: interrupts off.
 */
void gphys_ledger_enter(struct gphys_view *view, const bool *inside)
{
	s64 dropped = __this_cpu_read(*view->mmu->ledger.dropped);
	s64 flushed = atomic64_read(&view->mmu->ept.flushed);

	WARN_ONCE(dropped < flushed,
		  "entering with translations of generation %lld, %lld was flushed\n",
		  dropped, flushed);
	WRITE_ONCE(view->ledger.inside, inside);
	WRITE_ONCE(view->ledger.gen, dropped);
}

/**
 * gphys_ledger_kicked() - no vCPU may be in a guest with older translations
 * @mmu: the mmu
 * @gen: generation that everybody was made to look at
 *
 * Context: does not sleep.
 */
void gphys_ledger_kicked(struct gphys_mmu *mmu, s64 gen)
{
	struct gphys_view *view;

	spin_lock(&mmu->views_lock);
	list_for_each_entry(view, &mmu->views, link) {
		const bool *inside = READ_ONCE(view->ledger.inside);

		WARN_ONCE(inside && READ_ONCE(*inside) && READ_ONCE(view->ledger.gen) < gen,
			  "a vCPU is in the guest with translations of generation %lld after %lld was flushed\n",
			  READ_ONCE(view->ledger.gen), gen);
	}
	spin_unlock(&mmu->views_lock);
}
