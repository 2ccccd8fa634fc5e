// SPDX-License-Identifier: GPL-2.0
/*
 * Guest accesses that found no translation, or too narrow a one: get the page
 * from the owner's memory and map it. See the rules at the top of mmu.c.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "mmu.h"

/**
 * struct fault - one access on its way
 * @gpa: guest-physical address of the 4 KiB page
 * @uaddr: userspace address that backs it
 * @access: VMX_MMU_* bits that the access needs
 * @seq: the mmu's sequence count when @range was looked up
 * @range: the range that has @gpa
 * @page: the host's page, with a reference
 * @writable: the host lets the page be written
 * @miss: where to note the access if no range allows it
 */
struct fault {
	u64 gpa;
	unsigned long uaddr;
	u32 access;
	unsigned int seq;
	struct vmx_range_copy range;
	struct page *page;
	bool writable;
	struct vmx_miss *miss;
};

static bool fault_allowed(const struct fault *f)
{
	return !(f->access & ~f->range.prot);
}

/*
 * Find the range. Most faults are where the last one was; that one is read
 * without the lock, and install() finds out if it changed meanwhile. Only the
 * lock can tell for certain that there is no range or that it forbids.
 */
static bool fault_find_range(struct vmx_mmu *mmu, struct fault *f)
{
	bool found;

	f->seq = raw_read_seqcount(&mmu->seq);
	found = !(f->seq & 1) && vmx_ranges_peek(&mmu->ranges, f->gpa, &f->range) &&
		fault_allowed(f) && !read_seqcount_retry(&mmu->seq, f->seq);
	if (!found) {
		spin_lock(&mmu->lock);
		f->seq = raw_read_seqcount(&mmu->seq);
		found = vmx_ranges_find(&mmu->ranges, f->gpa, &f->range) &&
			fault_allowed(f);
		spin_unlock(&mmu->lock);
	}
	f->uaddr = f->range.uaddr + (f->gpa - f->range.first);
	return found;
}

static int fault_errno(long got)
{
	switch (got) {
	case -ENOMEM:
		return -ENOMEM;
	case -EINTR:
	case -ERESTARTSYS:
	case -EAGAIN:
		return -EINTR;
	default:
		return -EFAULT;
	}
}

/*
 * Get the page. A read of a writable range takes the page writable if the host
 * has it so already, which saves the fault of a later write; it does not make
 * the host copy or allocate one.
 */
static int fault_get_page(struct fault *f, bool atomic)
{
	unsigned int flags = 0;
	long got;

	f->writable = f->range.prot & VMX_MMU_WRITE;
	if (f->writable) {
		got = get_user_pages_fast_only(f->uaddr, 1, FOLL_WRITE, &f->page);
		if (got == 1)
			return 0;
		f->writable = f->access & VMX_MMU_WRITE;
		if (f->writable)
			flags = FOLL_WRITE;
	}
	if (!atomic)
		got = get_user_pages_unlocked(f->uaddr, 1, &f->page,
					      flags | VMX_FOLL_GUEST);
	else if (!f->writable)
		got = get_user_pages_fast_only(f->uaddr, 1, 0, &f->page);
	else
		return -EAGAIN;
	if (got == 1)
		return 0;
	return atomic ? -EAGAIN : fault_errno(got);
}

/*
 * The level at which the host maps an address. Page tables of the host go away
 * only after an interrupt on every CPU, or after a grace period that an
 * interrupts-off section holds up; what they say stays true while the mmu's
 * lock is held and no invalidation of the address is in progress.
 */
static int host_level(unsigned long uaddr)
{
	unsigned long flags;
	int level = 1;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(current->mm, uaddr));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, uaddr));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, uaddr));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, uaddr));
	if (pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}

/* The largest page that may be installed. */
static int fault_level(struct vmx_mmu *mmu, const struct fault *f,
		       struct folio *folio)
{
	const struct vmx_range_copy *r = &f->range;
	unsigned long uaddr = f->uaddr & PMD_MASK;
	u64 gpa = f->gpa & PMD_MASK;

	if (folio_order(folio) < HPAGE_PMD_ORDER)
		return 1;
	if (((f->gpa ^ f->uaddr) & ~PMD_MASK) || gpa < r->first ||
	    gpa + PMD_SIZE - 1 > r->last)
		return 1;
	if (vmx_mmu_invalidating(mmu, uaddr, uaddr + PMD_SIZE))
		return 1;
	return min(host_level(f->uaddr), 2);
}

/* Map the page, unless the host may have taken it back since it was got. */
static int fault_install(struct vmx_mmu *mmu, const struct fault *f)
{
	struct folio *folio = page_folio(f->page);
	struct vmx_mapping map = {
		.gpa = f->gpa,
		.pfn = page_to_pfn(f->page),
		.prot = f->range.prot,
		.memtype = f->range.memtype,
		.access = f->access,
	};
	int err;

	lockdep_assert_held(&mmu->lock);
	if (unlikely(mmu->dead))
		return -EFAULT;
	if (read_seqcount_retry(&mmu->seq, f->seq) ||
	    vmx_mmu_invalidating(mmu, f->uaddr, f->uaddr + PAGE_SIZE))
		return -EAGAIN;

	map.level = fault_level(mmu, f, folio);
	if (!f->writable)
		map.prot &= ~VMX_MMU_WRITE;
	err = mmu->ops->install(mmu, &map);
	if (err)
		return err;
	mmu->stats.faults++;
	/*
	 * Now, since the page cannot be relied on later. The host has the page
	 * mapped writable, so its file system, if any, has been told to expect
	 * this, and cannot be told otherwise while the lock keeps invalidations
	 * out.
	 */
	if (f->writable && !folio_test_dirty(folio))
		folio_mark_dirty(folio);
	return 0;
}

static int fault_try(struct vmx_mmu *mmu, struct fault *f, bool atomic)
{
	int err;

	if (!fault_find_range(mmu, f)) {
		*f->miss = (struct vmx_miss){ f->gpa, f->access, f->seq };
		return VMX_FAULT_EXIT;
	}
	err = fault_get_page(f, atomic);
	if (err)
		return err;
	spin_lock(&mmu->lock);
	err = fault_install(mmu, f);
	spin_unlock(&mmu->lock);
	put_page(f->page);
	return err ? err : VMX_FAULT_DONE;
}

static bool fault_must_wait(struct vmx_mmu *mmu, const struct fault *f)
{
	bool wait;

	spin_lock(&mmu->lock);
	wait = vmx_mmu_invalidating(mmu, f->uaddr, f->uaddr + PAGE_SIZE);
	spin_unlock(&mmu->lock);
	return wait;
}

/**
 * vmx_mmu_fault() - resolve a guest access that the page tables did not allow
 * @mmu: the mmu
 * @gpa: guest-physical address
 * @qualification: exit qualification of the EPT violation
 * @atomic: do not sleep: return -EAGAIN instead, and the caller asks again from
 *	where it can
 * @miss: told of the access if it is userspace's
 *
 * Context: the owner's address space, interrupts on, no locks; preemption off
 * if @atomic.
 * Return: an enum vmx_fault, or -EAGAIN (only if @atomic), -EFAULT (the owner's
 * address space does not provide the page, or only device memory), -ENOMEM,
 * -EINTR (a signal).
 */
int vmx_mmu_fault(struct vmx_mmu *mmu, u64 gpa, u64 qualification, bool atomic,
		  struct vmx_miss *miss)
{
	struct fault f = {
		.gpa = gpa & PAGE_MASK,
		.access = ept_violation_access(qualification),
		.miss = miss,
	};
	int ret;

	if (atomic)
		return fault_try(mmu, &f, true);
	for (;;) {
		ret = vmx_tables_top_up(mmu);
		if (ret)
			return ret;
		ret = fault_try(mmu, &f, false);
		if (ret != -EAGAIN)
			return ret;
		if (wait_event_interruptible(mmu->idle,
					     !fault_must_wait(mmu, &f)) ||
		    signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}
