// SPDX-License-Identifier: GPL-2.0
/*
 * Resolves guest accesses that found no translation, or too narrow a one, and those that
 * userspace announces: gets pages from the owner's memory and maps them. See the
 * rules at the top of mmu.c.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "../base/base.h"
#include "../base/compat.h"
#include "mmu.h"

/* Pages that POPULATE gets at once; the time with the lock stays short. */
#define FAULT_BATCH 64

/**
 * struct fault - an access on its way
 * @gpa: guest-physical address of the 4 KiB page
 * @uaddr: userspace address that backs it
 * @access: VMX_MMU_* bits that the access needs; see &struct ept_violation.access
 * @forbidden: those that the range does not have; the guest is to be told by #VE,
 *	from a page that is mapped
 * @expected: it has not happened yet
 * @absent: the host's tables do not have the page as it is needed, or did not
 * @seq: the mmu's sequence count when @range was looked up
 * @range: the range that has @gpa
 * @pages: the host's pages from @gpa on, with a reference each
 * @writable: the host lets the pages be written
 * @same: the page was mapped already
 * @miss: where to note the access if no range allows it
 */
struct fault {
	u64 gpa;
	unsigned long uaddr;
	u32 access;
	u32 forbidden;
	bool expected;
	bool absent;
	unsigned int seq;
	struct gphys_range_copy range;
	struct page **pages;
	bool writable;
	bool same;
	struct gphys_miss *miss;
};

/* May the access be resolved, or the guest be told? */
static bool fault_allowed(struct fault *f)
{
	const u32 exec = VMX_MMU_EXEC | VMX_MMU_EXEC_USER;

	f->forbidden = f->access & ~f->range.prot;
	/* A fetch by supervisor or user. If the guess is wrong, the fault comes again. */
	if (unlikely(!f->expected && (f->access & exec) == exec &&
		     (f->range.prot & exec)))
		f->forbidden &= ~exec;
	return !f->forbidden || (f->range.prot & VMX_MMU_VE && !f->expected);
}

/* What of the access is allowed, for the sake of accessed and dirty bits. */
static u32 fault_use(const struct fault *f)
{
	return f->expected ? 0 : f->access & ~f->forbidden;
}

/*
 * Find the range. Most faults are where the last one was; that one is read
 * without the lock, and install() finds out if it changed meanwhile. Only the
 * lock can tell for certain that there is no range or that it forbids.
 */
static bool fault_find_range(struct gphys_mmu *mmu, struct fault *f)
{
	bool found;

	f->seq = raw_read_seqcount(&mmu->seq);
	found = !(f->seq & 1) && gphys_ranges_peek(&mmu->ranges, f->gpa, &f->range) &&
		fault_allowed(f) && !read_seqcount_retry(&mmu->seq, f->seq);
	if (!found) {
		spin_lock(&mmu->lock);
		f->seq = raw_read_seqcount(&mmu->seq);
		found = gphys_ranges_find(&mmu->ranges, f->gpa, &f->range) &&
			fault_allowed(f);
		spin_unlock(&mmu->lock);
	}
	f->uaddr = f->range.uaddr + (f->gpa - f->range.first);
	return found;
}

/*
 * Get a page that the host has to bring or to copy. To fault as the owner would,
 * and then to look into the host's tables again, costs less than to have
 * get_user_pages() do both, and a signal ends the wait on kernels whose
 * get_user_pages() does not let it.
 */
static long fault_bring(struct fault *f, int count, unsigned int flags)
{
	long got = base_user_bring(f->uaddr, flags & FOLL_WRITE);

	if (!got)
		got = get_user_pages_fast_only(f->uaddr, count, flags, f->pages);
	if (got > 0 || got == -EINTR)
		return got;
	/* It finds the reason, and pages that cannot be had without sleeping. */
	return get_user_pages_unlocked(f->uaddr, count, f->pages,
				       flags | FOLL_HWPOISON | BASE_FOLL_GUEST);
}

/*
 * Get the page and those after it, up to @count; how many, or an errno. A read
 * of a writable range takes pages writable if the host has them so already,
 * which saves the fault of a later write; it does not make the host copy or
 * allocate any.
 */
static int fault_get_pages(struct fault *f, int count, bool atomic)
{
	unsigned int flags = 0;
	long got;

	f->writable = f->range.prot & VMX_MMU_WRITE;
	if (f->writable) {
		if (!f->absent) {
			got = get_user_pages_fast_only(f->uaddr, count, FOLL_WRITE,
						       f->pages);
			if (got > 0)
				return got;
		}
		f->writable = f->access & VMX_MMU_WRITE;
		if (f->writable)
			flags = FOLL_WRITE;
	}
	if (!atomic)
		got = fault_bring(f, count, flags);
	else if (!f->writable)
		got = get_user_pages_fast_only(f->uaddr, count, 0, f->pages);
	else
		return -EAGAIN;
	if (got > 0)
		return got;
	return atomic ? -EAGAIN : gphys_gup_errno(got);
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

/* May a page of that level be installed, if the host has it in one piece? */
static bool fault_fits(struct gphys_mmu *mmu, const struct fault *f, int level)
{
	const struct gphys_range_copy *r = &f->range;
	u64 span = ept_span(level);
	u64 gpa = f->gpa & ~(span - 1);
	unsigned long uaddr = f->uaddr & ~(span - 1);

	return !((f->gpa ^ f->uaddr) & (span - 1)) && gpa >= r->first &&
	       gpa + span - 1 <= r->last &&
	       !gphys_invalidating(mmu, uaddr, uaddr + span);
}

/* The level of the largest page that may be installed. */
static int fault_level(struct gphys_mmu *mmu, const struct fault *f,
		       struct folio *folio)
{
	int level;

	/* The log has small pages alone. */
	if (folio_order(folio) < HPAGE_PMD_ORDER || mmu->ept.log ||
	    !fault_fits(mmu, f, 2))
		return 1;
	level = min(host_level(f->uaddr), mmu->ept.largest);
	while (level > 2 && !fault_fits(mmu, f, level))
		level--;
	return level;
}

/* Has the host not taken back what was found? 0, or -EAGAIN, -EFAULT. */
static int fault_still_good(struct gphys_mmu *mmu, const struct fault *f)
{
	lockdep_assert_held(&mmu->lock);
	if (unlikely(mmu->dead))
		return -EFAULT;
	if (read_seqcount_retry(&mmu->seq, f->seq) ||
	    gphys_invalidating(mmu, f->uaddr, f->uaddr + PAGE_SIZE))
		return -EAGAIN;
	return 0;
}

/* Map the page, if it is still good; the level at which it is mapped, or an errno. */
static int fault_install(struct gphys_mmu *mmu, struct fault *f)
{
	struct folio *folio = page_folio(*f->pages);
	struct ept_mapping map = {
		.gpa = f->gpa,
		.pfn = page_to_pfn(*f->pages),
		.prot = f->range.prot,
		/*
		 * Whatever MAP asked for: with another type beside the host's the
		 * guest could read what caches have not written back, and hang
		 * some CPUs (SDM, "Programming the PAT").
		 */
		.memtype = VMX_MEMTYPE_WB,
		.access = fault_use(f),
	};
	int level = fault_still_good(mmu, f);

	if (level)
		return level;
	map.level = fault_level(mmu, f, folio);
	/* An entry that is narrower than the range does not describe the range. */
	if (!f->writable && (map.prot & VMX_MMU_WRITE))
		map.prot &= ~(VMX_MMU_WRITE | VMX_MMU_VE);
	level = ept_install(&mmu->ept, &map);
	f->same = map.same;
	if (level < 0)
		return level;
	mmu->stats.faults += !f->expected;
	/*
	 * Now, since the page cannot be relied on later. The host has the page
	 * mapped writable, so its file system, if any, has been told to expect
	 * this, and cannot be told otherwise while the lock keeps invalidations
	 * out.
	 */
	if (f->writable && !folio_test_dirty(folio))
		folio_mark_dirty(folio);
	return level;
}

/*
 * Before the first page of a device's can be accessed, each vCPU is entered anew:
 * see vmx_clear_before_each().
 */
static void fault_announce_device(struct gphys_mmu *mmu)
{
	if (mmu->has_device)
		return;
	WRITE_ONCE(mmu->has_device, true);
	gphys_guests->kick(mmu);
}

/*
 * Where there is no page there may be a device. Its memory is mapped by 4 KiB,
 * with the type that the host has it with. 1, which is the level, or an errno.
 */
static int fault_device(struct gphys_mmu *mmu, struct fault *f)
{
	struct ept_mapping map = {
		.gpa = f->gpa,
		.level = 1,
		.prot = f->range.prot,
		.access = fault_use(f),
	};
	int ret;

	ret = gphys_find_device(f->uaddr, f->access & ~f->forbidden & VMX_MMU_WRITE, &map);
	if (ret)
		return ret;
	spin_lock(&mmu->lock);
	ret = fault_still_good(mmu, f);
	if (!ret) {
		fault_announce_device(mmu);
		ret = ept_install(&mmu->ept, &map);
	}
	if (ret > 0)
		mmu->stats.faults += !f->expected;
	spin_unlock(&mmu->lock);
	f->same = map.same;
	return ret;
}

/* The page is mapped: @ret is its level, or an errno. */
static int fault_done(const struct fault *f, int ret)
{
	if (ret < 0)
		return ret;
	/* The page allows #VE and none came, so the vCPU has #VE off now. */
	return f->forbidden && f->same ? GPHYS_FAULT_EXIT : GPHYS_FAULT_DONE;
}

static int fault_try(struct gphys_mmu *mmu, struct fault *f, bool atomic)
{
	struct page *page;
	int ret;

	if (!fault_find_range(mmu, f)) {
		*f->miss = (struct gphys_miss){ f->gpa, f->access, f->seq };
		return GPHYS_FAULT_EXIT;
	}
	f->pages = &page;
	ret = fault_get_pages(f, 1, atomic);
	if (ret == -EFAULT)
		return fault_done(f, fault_device(mmu, f));
	if (ret < 0)
		return ret;
	spin_lock(&mmu->lock);
	ret = fault_install(mmu, f);
	spin_unlock(&mmu->lock);
	put_page(page);
	return fault_done(f, ret);
}

static bool fault_must_wait(struct gphys_mmu *mmu, const struct fault *f)
{
	bool wait;

	spin_lock(&mmu->lock);
	wait = gphys_invalidating(mmu, f->uaddr, f->uaddr + PAGE_SIZE);
	spin_unlock(&mmu->lock);
	return wait;
}

/* What a failed attempt waits for before the next: 0, or an errno to give up. */
static int fault_again(struct gphys_mmu *mmu, const struct fault *f)
{
	if (wait_event_interruptible(mmu->idle, !fault_must_wait(mmu, f)) ||
	    signal_pending(current))
		return -EINTR;
	cond_resched();
	return ept_top_up(&mmu->ept);
}

/**
 * gphys_fault() - resolve a guest access that the page tables did not allow
 * @mmu: the mmu
 * @gpa: guest-physical address
 * @access: VMX_MMU_* bits that it needs, see &struct ept_violation.access
 * @atomic: do not sleep: return -EAGAIN instead, and the caller asks again from
 *	where it can
 * @miss: told of the access if it is userspace's
 *
 * Context: the owner's address space, interrupts on, no locks; preemption off
 * if @atomic.
 * Return: an enum gphys_fault, or -EAGAIN (only if @atomic), -EFAULT (the owner's
 * address space does not provide the page), -EHWPOISON (its memory is lost),
 * -ENOMEM, -EINTR (a signal).
 */
int gphys_fault(struct gphys_mmu *mmu, u64 gpa, u32 access, bool atomic,
		struct gphys_miss *miss)
{
	struct fault f = {
		.gpa = gpa & PAGE_MASK,
		.access = access,
		.miss = miss,
	};
	int ret;

	if (atomic)
		return fault_try(mmu, &f, true);
	/* The atomic path has asked already. */
	f.absent = true;
	ret = ept_top_up(&mmu->ept);
	while (!ret) {
		ret = fault_try(mmu, &f, false);
		if (ret != -EAGAIN)
			break;
		ret = fault_again(mmu, &f);
	}
	return ret;
}

/**
 * gphys_poisoned() - the guest touched memory that is lost: tell the owner
 * @mmu: the mmu
 * @gpa: guest-physical address
 *
 * By SIGBUS, with the address that backs the page, as if the owner had touched it.
 *
 * Context: a thread of the owner's.
 */
void gphys_poisoned(struct gphys_mmu *mmu, u64 gpa)
{
	struct fault f = { .gpa = gpa & PAGE_MASK };
	bool found;

	spin_lock(&mmu->lock);
	found = gphys_ranges_find(&mmu->ranges, f.gpa, &f.range);
	spin_unlock(&mmu->lock);
	if (found)
		send_sig_mceerr(BUS_MCEERR_AR,
				u64_to_user_ptr(f.range.uaddr + (f.gpa - f.range.first)),
				PAGE_SHIFT, current);
}

/*
 * Map what was got, from f->gpa on; 0 or an errno. A large page stands for all
 * pages that it has.
 */
static int populate_install(struct gphys_mmu *mmu, struct fault *f, int got)
{
	struct page **end = f->pages + got;
	int level = 0;

	spin_lock(&mmu->lock);
	while (f->pages < end && level >= 0) {
		u64 next;

		level = fault_install(mmu, f);
		if (level < 0)
			break;
		next = (f->gpa | (ept_span(level) - 1)) + 1;
		f->pages += (next - f->gpa) >> PAGE_SHIFT;
		f->uaddr += next - f->gpa;
		f->gpa = next;
	}
	spin_unlock(&mmu->lock);
	return level < 0 ? level : 0;
}

/*
 * Map some pages from f->gpa on, which tells where it went on to; 0 or an errno.
 * A batch is within one table, for which there are spare ones.
 */
static int populate_try(struct gphys_mmu *mmu, struct fault *f, u64 end)
{
	struct page *pages[FAULT_BATCH];
	int got, n, err;

	if (!fault_find_range(mmu, f))
		return -ENOENT;
	end = min3(end, f->range.last + 1, (f->gpa | (ept_span(2) - 1)) + 1);
	f->pages = pages;
	got = fault_get_pages(f, min_t(u64, FAULT_BATCH, (end - f->gpa) >> PAGE_SHIFT),
			      false);
	base_ledger_begin();
	if (got == -EFAULT) {
		err = fault_device(mmu, f);
		f->gpa += err > 0 ? PAGE_SIZE : 0;
		return min(err, 0);
	}
	if (got < 0)
		return got;
	err = populate_install(mmu, f, got);
	for (n = 0; n < got; n++)
		put_page(pages[n]);
	return err;
}

/**
 * gphys_populate() - map pages before the guest asks for them
 * @mmu: the mmu
 * @gpa: first guest-physical address, 4 KiB aligned; moved on to the first
 *	page that is not mapped
 * @end: end of the interval, 4 KiB aligned
 * @access: VMX_MMU_* bits that the guest will need
 *
 * Context: the owner's address space, may sleep, no locks.
 * Return: 0, or -ENOENT (no range has the page, or it does not allow @access),
 * -EFAULT (the owner's address space does not provide it), -EHWPOISON (its memory
 * is lost), -ENOMEM, -EINTR (a signal).
 */
int gphys_populate(struct gphys_mmu *mmu, u64 *gpa, u64 end, u32 access)
{
	struct fault f = {
		.gpa = *gpa,
		.access = access,
		.expected = true,
	};
	int err = ept_top_up(&mmu->ept);

	while (!err && f.gpa < end) {
		err = populate_try(mmu, &f, end);
		if (!err || err == -EAGAIN)
			err = fault_again(mmu, &f);
	}
	*gpa = min(f.gpa, end);
	return *gpa == end ? 0 : err;
}

/**
 * gphys_collapse() - make room for a large page where small ones are
 * @mmu: the mmu; its edit mutex is held, and its lock, which others may have
 *	meanwhile
 * @gpa: guest-physical address
 *
 * Where a fault at @gpa could bring a larger page than is there, what is there
 * goes, and the next access brings the larger one.
 *
 * Context: the owner's address space; may sleep.
 */
void gphys_collapse(struct gphys_mmu *mmu, u64 gpa)
	__must_hold(&mmu->lock)
{
	struct vmx_mmu_walk walk = { .gpa = gpa };
	struct fault f = { .gpa = gpa & PAGE_MASK };
	u64 start, end;
	int level;

	lockdep_assert_held(&mmu->edit);
	lockdep_assert_held(&mmu->lock);
	if (mmu->ept.log || !gphys_ranges_find(&mmu->ranges, f.gpa, &f.range))
		return;
	f.uaddr = f.range.uaddr + (f.gpa - f.range.first);
	ept_walk(&mmu->ept, &walk);
	level = min(host_level(f.uaddr), mmu->ept.largest);
	while (level > walk.leaf && !fault_fits(mmu, &f, level))
		level--;
	if (level <= walk.leaf)
		return;
	start = gpa & ~(ept_span(level) - 1);
	end = start + ept_span(level);
	while (start < end) {
		start = ept_zap(&mmu->ept, start, end, false);
		gphys_pause(mmu);
	}
	mmu->stats.collapses++;
}
