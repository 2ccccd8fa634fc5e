// SPDX-License-Identifier: GPL-2.0
/*
 * Tells which pages guests write. The tables themselves are the log: a page that was
 * written has a mark in its entry, and the mark stays when the host takes the page back.
 * See EPT_WRITTEN.
 *
 * Logging of a page begins with the first flush after its entry lost the mark. Until
 * then a CPU may still write without setting it. Those writes are in the owner's
 * memory before the ioctl returns.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "../base/base.h"
#include "../base/compat.h"
#include "mmu.h"

/**
 * gphys_set_log() - begin, change or end logging
 * @mmu: the mmu
 * @method: an enum vmx_dirty_method that the page tables support
 *
 * Context: the owner's address space, may sleep, no locks.
 * Return: 0 or -EINTR.
 */
int gphys_set_log(struct gphys_mmu *mmu, u32 method)
{
	u64 end = 1ULL << ept_gpa_bits(&mmu->ept.format);
	u64 gpa = 0;
	int err;

	err = mutex_lock_interruptible(&mmu->edit);
	if (err)
		return err;
	spin_lock(&mmu->lock);
	/*
	 * From here on faults bring pages as it wants them, and vCPUs do what they
	 * have to do for it before they enter again (vmx_pml_switch()).
	 */
	WRITE_ONCE(mmu->ept.log, method);
	ept_narrowed(&mmu->ept);
	while (gpa < end) {
		gpa = ept_relog(&mmu->ept, gpa, end);
		/* Only the log needed small pages. */
		if (!method)
			gphys_collapse(mmu, gpa - 1);
		gphys_pause(mmu);
	}
	spin_unlock(&mmu->lock);
	gphys_flush(mmu);
	mutex_unlock(&mmu->edit);
	return 0;
}

/* The page of the owner that @at is in, which seldom has to be waited for. */
static int pin_page(unsigned long at, struct page **page)
{
	long got = pin_user_pages_fast(at, 1, FOLL_WRITE | FOLL_NOFAULT, page);
	int err;

	if (likely(got == 1))
		return 0;
	err = base_user_bring(at, true);
	if (err)
		return err;
	got = pin_user_pages_unlocked(at, 1, page, FOLL_WRITE | BASE_FOLL_GUEST);
	return got == 1 ? 0 : gphys_gup_errno(got);
}

/* As much as the page of the owner that @at is in has bits for. */
static int harvest_page(struct gphys_mmu *mmu, u64 gpa, u64 end, unsigned long at,
			struct ept_dirty_batch *batch)
{
	size_t words = DIV_ROUND_UP((end - gpa) >> PAGE_SHIFT, BITS_PER_LONG);
	struct page *page;
	int err;

	/* From here on entries lose their marks, so nothing may fail. */
	err = pin_page(at, &page);
	if (err)
		return err;
	batch->gpa = gpa;
	batch->bitmap = page_address(page) + offset_in_page(at);
	memset(batch->bitmap, 0, words * sizeof(long));
	spin_lock(&mmu->lock);
	while (gpa < end) {
		gpa = ept_harvest(&mmu->ept, gpa, end, batch);
		gphys_pause(mmu);
	}
	spin_unlock(&mmu->lock);
	unpin_user_pages_dirty_lock(&page, 1, true);
	return 0;
}

/**
 * gphys_harvest() - tell which pages were written, and begin anew for them
 * @mmu: the mmu
 * @gpa: first guest-physical address, 4 KiB aligned
 * @length: bytes; out: up to where it was told
 * @bitmap: userspace address of the bitmap, 8 bytes aligned
 * @dirty: out: bits set
 *
 * Context: the owner's address space, may sleep, no locks.
 * Return: 0, -ENODATA (nothing is logged), -EFAULT, -ENOMEM, -EINTR.
 */
int gphys_harvest(struct gphys_mmu *mmu, u64 gpa, u64 *length,
		  unsigned long bitmap, u64 *dirty)
{
	struct ept_dirty_batch batch = {};
	u64 end = gpa + *length;
	u64 start = gpa;
	int err;

	*length = 0;
	err = mutex_lock_interruptible(&mmu->edit);
	if (err)
		return err;
	if (!mmu->ept.log)
		err = -ENODATA;
	/* A CPU that leaves the guest notes its part of the log. */
	if (!err && mmu->ept.log == VMX_DIRTY_PML) {
		gphys_guests->kick(mmu);
		err = gphys_cpu->collect(mmu);
	}
	while (!err && gpa < end) {
		u64 room = (PAGE_SIZE - offset_in_page(bitmap)) * BITS_PER_BYTE;
		u64 next = min(end, gpa + (room << PAGE_SHIFT));

		err = harvest_page(mmu, gpa, next, bitmap, &batch);
		if (err)
			break;
		bitmap += room / BITS_PER_BYTE;
		gpa = next;
		if (gpa < end && signal_pending(current))
			err = -EINTR;
	}
	gphys_flush(mmu);
	mutex_unlock(&mmu->edit);
	*length = gpa - start;
	*dirty = batch.dirty;
	return err;
}
