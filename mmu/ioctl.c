// SPDX-License-Identifier: GPL-2.0
/* The ioctls of an mmu. See the rules at the top of mmu.c. */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "../base/base.h"
#include "mmu.h"

#define PROT_ALL							\
	(VMX_MMU_READ | VMX_MMU_WRITE | VMX_MMU_EXEC | VMX_MMU_EXEC_USER | \
	 VMX_MMU_VE)

/* Ranges that are changed in one go; keeps the time with the lock short. */
#define RANGES_BATCH 16

union mmu_args {
	struct {
		u32 size;
		u32 flags;
	};
	struct vmx_mmu_map map;
	struct vmx_mmu_range range;
	struct vmx_mmu_populate populate;
	struct vmx_mmu_log log;
	struct vmx_mmu_dirty dirty;
	struct vmx_mmu_walk walk;
	struct vmx_mmu_stats stats;
};

static int check_prot(struct gphys_mmu *mmu, u32 prot)
{
	if (!(prot & (VMX_MMU_READ | VMX_MMU_EXEC)) || (prot & ~PROT_ALL))
		return -EINVAL;
	if ((prot & VMX_MMU_WRITE) && !(prot & VMX_MMU_READ))
		return -EINVAL;
	return ept_supports(&mmu->ept, prot) ? 0 : -EOPNOTSUPP;
}

static bool valid_memtype(u32 memtype)
{
	const unsigned int types = BIT(VMX_MEMTYPE_UC) | BIT(VMX_MEMTYPE_WC) |
				   BIT(VMX_MEMTYPE_WT) | BIT(VMX_MEMTYPE_WP) |
				   BIT(VMX_MEMTYPE_WB);

	return memtype < BITS_PER_TYPE(types) && (types & BIT(memtype));
}

/* Whole pages, not none, that end at @limit or below. */
static bool valid_interval(u64 start, u64 length, u64 limit)
{
	u64 end;

	return length && PAGE_ALIGNED(start | length) &&
	       !check_add_overflow(start, length, &end) && end <= limit;
}

static bool valid_gpas(struct gphys_mmu *mmu, u64 gpa, u64 length)
{
	return valid_interval(gpa, length, 1ULL << ept_gpa_bits(&mmu->ept.format));
}

/* Before ranges change: 0, and the edit mutex is held, or -EINTR. */
static int edit_begin(struct gphys_mmu *mmu)
{
	int err = mutex_lock_interruptible(&mmu->edit);

	if (err || likely(!READ_ONCE(mmu->unsettled)))
		return err;
	if (!wait_event_interruptible(mmu->idle, !READ_ONCE(mmu->unsettled)))
		return 0;
	mutex_unlock(&mmu->edit);
	return -EINTR;
}

static int mmu_map(struct gphys_mmu *mmu, union mmu_args *args)
{
	struct vmx_mmu_map *map = &args->map;
	struct gphys_ranges *set = &mmu->ranges;
	struct gphys_range *range;
	int err;

	if (!valid_gpas(mmu, map->gpa, map->length) ||
	    !valid_interval(map->uaddr, map->length, TASK_SIZE) ||
	    !valid_memtype(map->memtype))
		return -EINVAL;
	err = check_prot(mmu, map->prot);
	if (err)
		return err;
	range = gphys_range_alloc(map->gpa, map->uaddr, map->length, map->prot);
	if (!range)
		return -ENOMEM;
	err = edit_begin(mmu);
	if (err)
		goto free;
	if (gphys_ranges_first(set, map->gpa, range->gpa.last)) {
		err = -EEXIST;
	} else if (set->count >= GPHYS_RANGES_MAX) {
		err = -ENOSPC;
	} else {
		spin_lock(&mmu->lock);
		write_seqcount_begin(&mmu->seq);
		gphys_ranges_add(set, range);
		write_seqcount_end(&mmu->seq);
		spin_unlock(&mmu->lock);
	}
	mutex_unlock(&mmu->edit);
free:
	if (err)
		kfree(range);
	return err;
}

/**
 * struct edit - a change to part of the map
 * @mmu: the mmu, its edit mutex held
 * @first: first guest-physical address
 * @last: last guest-physical address
 * @spare: ranges for the pieces that splitting makes
 */
struct edit {
	struct gphys_mmu *mmu;
	u64 first;
	u64 last;
	struct gphys_range *spare[GPHYS_RANGES_SPARE];
};

static void edit_free(struct edit *edit)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(edit->spare); i++)
		kfree(edit->spare[i]);
}

static int edit_alloc(struct edit *edit)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(edit->spare); i++) {
		edit->spare[i] = gphys_range_alloc(0, 0, PAGE_SIZE, 0);
		if (!edit->spare[i]) {
			edit_free(edit);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Split ranges so that the interval is made of whole ones. */
static void edit_split(struct edit *edit)
{
	struct gphys_mmu *mmu = edit->mmu;

	spin_lock(&mmu->lock);
	write_seqcount_begin(&mmu->seq);
	gphys_ranges_split(&mmu->ranges, edit->first, &edit->spare[0]);
	gphys_ranges_split(&mmu->ranges, edit->last + 1, &edit->spare[1]);
	write_seqcount_end(&mmu->seq);
	spin_unlock(&mmu->lock);
}

/* Remove the ranges first, so that faults bring back nothing that is zapped. */
static void edit_unmap(struct edit *edit)
{
	struct gphys_mmu *mmu = edit->mmu;
	struct gphys_range *range;
	unsigned int i;
	u64 gpa;

	edit_split(edit);
	spin_lock(&mmu->lock);
	do {
		write_seqcount_begin(&mmu->seq);
		for (i = 0; i < RANGES_BATCH; i++) {
			range = gphys_ranges_first(&mmu->ranges, edit->first,
						   edit->last);
			if (!range)
				break;
			gphys_ranges_remove(&mmu->ranges, range);
		}
		write_seqcount_end(&mmu->seq);
		gphys_pause(mmu);
	} while (range);
	for (gpa = edit->first; gpa <= edit->last;) {
		gpa = ept_zap(&mmu->ept, gpa, edit->last + 1, true);
		gphys_pause(mmu);
	}
	spin_unlock(&mmu->lock);

	gphys_flush(mmu);
}

/*
 * Narrow translations after the ranges, for the same reason. Widening is left
 * to faults: only they know what the host allows.
 */
static void edit_protect(struct edit *edit, u32 prot)
{
	struct gphys_mmu *mmu = edit->mmu;
	struct gphys_range *range;
	u64 gpa = edit->first;
	unsigned int i;

	edit_split(edit);
	spin_lock(&mmu->lock);
	while (gpa <= edit->last) {
		write_seqcount_begin(&mmu->seq);
		for (i = 0; i < RANGES_BATCH && gpa <= edit->last; i++) {
			range = gphys_ranges_first(&mmu->ranges, gpa, gpa);
			range->prot = prot;
			gpa = range->gpa.last + 1;
			gphys_ranges_merge(&mmu->ranges, range->gpa.start);
		}
		write_seqcount_end(&mmu->seq);
		gphys_pause(mmu);
	}
	for (gpa = edit->first; gpa <= edit->last;) {
		gpa = ept_protect(&mmu->ept, gpa, edit->last + 1, prot);
		gphys_pause(mmu);
	}
	write_seqcount_begin(&mmu->seq);
	gphys_ranges_merge(&mmu->ranges, edit->last + 1);
	write_seqcount_end(&mmu->seq);
	/* Large pages at the ends of the interval may be whole again. */
	gphys_collapse(mmu, edit->first);
	gphys_collapse(mmu, edit->last);
	spin_unlock(&mmu->lock);

	gphys_flush(mmu);
}

static int mmu_edit(struct gphys_mmu *mmu, const struct vmx_mmu_range *args,
		    bool protect)
{
	struct gphys_ranges *set = &mmu->ranges;
	struct edit edit = {
		.mmu = mmu,
		.first = args->gpa,
		.last = args->gpa + args->length - 1,
	};
	int err;

	if (args->reserved || !valid_gpas(mmu, args->gpa, args->length))
		return -EINVAL;
	err = edit_alloc(&edit);
	if (err)
		return err;
	err = edit_begin(mmu);
	if (err)
		goto free;
	if (protect && !gphys_ranges_cover(set, edit.first, edit.last)) {
		err = -ENOENT;
		goto unlock;
	}
	if (set->count + gphys_ranges_growth(set, edit.first, edit.last, protect) >
	    GPHYS_RANGES_MAX) {
		err = -ENOSPC;
		goto unlock;
	}
	if (protect)
		edit_protect(&edit, args->prot);
	else
		edit_unmap(&edit);
unlock:
	mutex_unlock(&mmu->edit);
free:
	edit_free(&edit);
	return err;
}

static int mmu_unmap(struct gphys_mmu *mmu, union mmu_args *args)
{
	if (args->range.prot)
		return -EINVAL;
	return mmu_edit(mmu, &args->range, false);
}

static int mmu_protect(struct gphys_mmu *mmu, union mmu_args *args)
{
	int err = check_prot(mmu, args->range.prot);

	return err ? err : mmu_edit(mmu, &args->range, true);
}

static int mmu_invalidate(struct gphys_mmu *mmu, union mmu_args *args)
{
	const struct vmx_mmu_range *range = &args->range;
	struct ept_derived *derived = mmu->ept.derived;

	if (range->prot || range->reserved || !valid_gpas(mmu, range->gpa, range->length))
		return -EINVAL;
	spin_lock(&mmu->lock);
	/* With EPT, CPUs have cached the guest's tables. */
	if (derived)
		derived->ops->invalidate(derived, range->gpa >> PAGE_SHIFT,
					 range->length >> PAGE_SHIFT);
	else
		ept_narrowed(&mmu->ept);
	spin_unlock(&mmu->lock);
	gphys_flush(mmu);
	return 0;
}

static int mmu_populate(struct gphys_mmu *mmu, union mmu_args *args)
{
	struct vmx_mmu_populate *populate = &args->populate;
	u64 gpa = populate->gpa;
	int err;

	if (populate->reserved || populate->prot & VMX_MMU_VE ||
	    !valid_gpas(mmu, gpa, populate->length))
		return -EINVAL;
	err = check_prot(mmu, populate->prot);
	if (err)
		return err;
	err = gphys_populate(mmu, &gpa, gpa + populate->length, populate->prot);
	populate->done = gpa - populate->gpa;
	return err;
}

static int mmu_log(struct gphys_mmu *mmu, union mmu_args *args)
{
	u32 method = args->log.method;

	if (args->log.reserved || method > VMX_DIRTY_PML)
		return -EINVAL;
	if (!(mmu->log_methods & BIT(method)))
		return -EOPNOTSUPP;
	return gphys_set_log(mmu, method);
}

static int mmu_dirty(struct gphys_mmu *mmu, union mmu_args *args)
{
	struct vmx_mmu_dirty *dirty = &args->dirty;

	dirty->done = 0;
	dirty->dirty = 0;
	if (!valid_gpas(mmu, dirty->gpa, dirty->length) ||
	    !IS_ALIGNED(dirty->bitmap, sizeof(u64)))
		return -EINVAL;
	dirty->done = dirty->length;
	return gphys_harvest(mmu, dirty->gpa, &dirty->done, dirty->bitmap,
			     &dirty->dirty);
}

static int mmu_walk(struct gphys_mmu *mmu, union mmu_args *args)
{
	struct vmx_mmu_walk *walk = &args->walk;
	struct vmx_mmu_walk in = *walk;
	unsigned int i;

	if (in.gpa >> ept_gpa_bits(&mmu->ept.format))
		return -EINVAL;
	*walk = (struct vmx_mmu_walk) { .size = in.size, .gpa = in.gpa };
	spin_lock(&mmu->lock);
	ept_walk(&mmu->ept, walk);
	spin_unlock(&mmu->lock);
	walk->masked = !capable(CAP_SYS_ADMIN);
	for (i = 0; walk->masked && i < ARRAY_SIZE(walk->entry); i++)
		walk->entry[i] &= ~EPT_ADDR;
	return 0;
}

static int mmu_stats(struct gphys_mmu *mmu, union mmu_args *args)
{
	u32 size = args->size;

	spin_lock(&mmu->lock);
	args->stats = mmu->stats;
	args->stats.ranges = mmu->ranges.count;
	args->stats.tables = mmu->ept.count.tables;
	memcpy(args->stats.pages, mmu->ept.count.pages, sizeof(args->stats.pages));
	args->stats.splits = mmu->ept.count.splits;
	if (mmu->ept.derived)
		mmu->ept.derived->ops->count(mmu->ept.derived, &args->stats);
	spin_unlock(&mmu->lock);
	args->stats.flushes = atomic64_read(&mmu->flushes);
	args->stats.size = size;
	return 0;
}

/**
 * struct mmu_ioctl - one ioctl
 * @cmd: its number
 * @size: of its struct
 * @looks: only looks: allowed from any address space
 * @gives: gives its struct back: if it succeeds, or whatever comes of it
 * @fn: does it
 */
struct mmu_ioctl {
	unsigned int cmd;
	size_t size;
	bool looks;
	enum { NOTHING, RESULT, PROGRESS } gives;
	int (*fn)(struct gphys_mmu *mmu, union mmu_args *args);
};

static const struct mmu_ioctl mmu_ioctls[] = {
	{ VMX_MMU_MAP, sizeof(struct vmx_mmu_map), false, NOTHING, mmu_map },
	{ VMX_MMU_UNMAP, sizeof(struct vmx_mmu_range), false, NOTHING, mmu_unmap },
	{ VMX_MMU_PROTECT, sizeof(struct vmx_mmu_range), false, NOTHING, mmu_protect },
	{ VMX_MMU_WALK, sizeof(struct vmx_mmu_walk), true, RESULT, mmu_walk },
	{ VMX_MMU_STATS, sizeof(struct vmx_mmu_stats), true, RESULT, mmu_stats },
	{ VMX_MMU_POPULATE, sizeof(struct vmx_mmu_populate), false, PROGRESS, mmu_populate },
	{ VMX_MMU_LOG, sizeof(struct vmx_mmu_log), false, NOTHING, mmu_log },
	{ VMX_MMU_DIRTY, sizeof(struct vmx_mmu_dirty), false, PROGRESS, mmu_dirty },
	{ VMX_MMU_INVALIDATE, sizeof(struct vmx_mmu_range), false, NOTHING, mmu_invalidate },
};

/**
 * gphys_ioctl() - an ioctl on an mmu's descriptor
 * @mmu: the mmu
 * @cmd: VMX_MMU_*
 * @user: its struct
 *
 * Context: may sleep.
 * Return: 0 or what linux/vmx.h documents.
 */
long gphys_ioctl(struct gphys_mmu *mmu, unsigned int cmd, void __user *user)
{
	const struct mmu_ioctl *ioctl = mmu_ioctls;
	union mmu_args args;
	int err;

	while (ioctl->cmd != cmd)
		if (++ioctl == mmu_ioctls + ARRAY_SIZE(mmu_ioctls))
			return -ENOTTY;
	if (!ioctl->looks && current->mm != mmu->notifier.mm)
		return -EPERM;
	err = base_copy_in(&args, ioctl->size, user, ioctl->size);
	if (err)
		return err;
	if (args.flags)
		return -EOPNOTSUPP;
	/* If the answer cannot be written, nothing changes. */
	if (ioctl->gives == PROGRESS)
		err = base_copy_out(user, &args, ioctl->size);
	if (err)
		return err;
	base_ledger_begin();
	err = ioctl->fn(mmu, &args);
	base_ledger_end();
	if (ioctl->gives == NOTHING || (err && ioctl->gives == RESULT))
		return err;
	return base_copy_out(user, &args, ioctl->size) ?: err;
}
