/* SPDX-License-Identifier: GPL-2.0 */
/* Guest memory: a guest-physical map and its page tables. */
#ifndef GPHYS_MMU_H
#define GPHYS_MMU_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <linux/vmx.h>

#include "../base/ledger_time.h"
#include "../ept/ept.h"
#include "../shadow/shadow.h"
#include "ledger.h"
#include "ranges.h"

struct gphys_mmu;
struct vmm_vm;

/**
 * struct gphys_mmu - what a descriptor from %VMX_CREATE_EPT or %VMX_CREATE_SHADOW stands for
 * @ref: the descriptor's reference and one per vCPU
 * @vm: its VM; gone when @ref is 0, while notifiers may still run
 * @flushes: times that had to be brought about
 * @log_methods: a bit for each enum vmx_dirty_method that it can have
 * @lock: protects what follows, down to @stats, and the page tables
 * @seq: changes when ranges change and when an invalidation ends: a page found
 *	in the owner's memory before may no longer be installed after
 * @ranges: the guest-physical map
 * @has_device: memory of a device was mapped; stays so
 * @dead: the owner's address space is gone, or the mmu is
 * @invalidating: invalidations that have begun and not ended
 * @inv_start: lowest userspace address that they have in hand
 * @inv_end: end of the highest
 * @unsettled: those of them that had to begin anew since @ranges changed: until they
 *	are done it does not change again
 * @idle: woken when @invalidating becomes 0, or @unsettled less
 * @shrink_at: guest-physical address from which on tables are aged next
 * @ept: the page tables: those that the CPU walks, or with &ept.derived the map alone
 * @stats: counters, but for those of @ept; flags and size unused
 * @edit: serialises MAP, UNMAP, PROTECT, and changes of and looks at the log;
 *	taken before @lock, and never by notifiers, so that allocating under it is
 *	fine
 * @link: in the list of those whose tables the host may ask back
 * @notifier: what the host calls when it takes memory of the owner back
 * @views_lock: protects @views and @nr_views; innermost, taken by the core alone
 * @views: the vCPUs that may be on the mmu, for &gphys_cpu.collect
 * @nr_views: how many
 * @ledger: for debug builds
 */
struct gphys_mmu {
	struct kref ref;
	struct vmm_vm *vm;
	atomic64_t flushes;
	unsigned int log_methods;

	spinlock_t lock; /* down to @stats, and the page tables */
	seqcount_spinlock_t seq;
	struct gphys_ranges ranges;
	bool has_device;
	bool dead;
	unsigned int invalidating;
	unsigned int unsettled;
	unsigned long inv_start;
	unsigned long inv_end;
	wait_queue_head_t idle;
	u64 shrink_at;
	struct ept ept;
	struct vmx_mmu_stats stats;

	struct mutex edit; /* serialises changes of @ranges and @log */
	struct list_head link; /* mmu/shrink.c's */
	struct mmu_notifier notifier;

	spinlock_t views_lock; /* @views, @nr_views */
	struct list_head views;
	unsigned int nr_views;
	struct gphys_ledger ledger;
};

/**
 * struct gphys_view - an mmu that a vCPU may be on
 * @mmu: the mmu, referenced
 * @vcpu: the vCPU
 * @link: in struct gphys_mmu.views
 * @seen_gen: &ept.flush_gen as of the last flush on the CPU that
 *	struct vmm_tag.ept_on tells
 * @ledger: for debug builds
 */
struct gphys_view {
	struct gphys_mmu *mmu;
	struct vmm_vcpu *vcpu;
	struct list_head link;
	s64 seen_gen;
	struct gphys_view_ledger ledger;
};

/* Were translations removed since the vCPU last dropped what it has cached? */
static inline bool gphys_view_stale(const struct gphys_view *view)
{
	return view->seen_gen != atomic64_read(&view->mmu->ept.flush_gen);
}

/**
 * enum gphys_fault - what came of a guest's access
 * @GPHYS_FAULT_DONE: the guest may try again
 * @GPHYS_FAULT_EXIT: no range has the address, or its protection forbids the
 *	access: userspace's
 */
enum gphys_fault {
	GPHYS_FAULT_DONE,
	GPHYS_FAULT_EXIT,
};

/**
 * struct gphys_cpu - what the CPU can do with tables, by its vendor's folder
 * @has_ept: it has page tables for guest-physical addresses
 * @format: what their entries look like
 * @map_format: what entries look like that no CPU walks
 * @log_methods: a bit for each enum vmx_dirty_method that it has
 * @collect: tells an mmu, whose edit mutex is held, which writes CPUs have noted
 *	themselves, after &gphys_guests.kick; 0 or -ENOMEM. May sleep
 */
struct gphys_cpu {
	bool has_ept;
	struct ept_format format;
	struct ept_format map_format;
	unsigned int log_methods;
	int (*collect)(struct gphys_mmu *mmu);
};

/**
 * struct gphys_guests - what an mmu needs of those who run guests on it
 * @get_vm: takes a reference
 * @put_vm: drops it
 * @kick: makes every vCPU of an mmu look at its flush generation. Interrupts, and
 *	waits for, every CPU on which a vCPU that may be on the mmu is between load and
 *	unload, so that it leaves guest mode and compares &ept.flush_gen before it enters
 *	again. All are interrupted before the first is waited for, and what it costs grows
 *	with the CPUs, not with the vCPUs: each CPU says for which mmu it may be in a guest.
 *	Uses nothing of &gphys_mmu.vm, which may be gone. Interrupts are on; called with
 *	spinlocks held, too, does not sleep
 */
struct gphys_guests {
	struct vmm_vm *(*get_vm)(struct vmm_vm *vm);
	void (*put_vm)(struct vmm_vm *vm);
	void (*kick)(struct gphys_mmu *mmu);
};

/* mmu/mmu.c: for the core */
int gphys_start(const struct gphys_cpu *cpu, const struct gphys_guests *guests);
int gphys_create_ept(struct vmm_vm *vm);
int gphys_create_shadow(struct vmm_vm *vm);
struct gphys_mmu *gphys_from_fd(int fd, struct vmm_vm *vm);
struct gphys_mmu *gphys_get(struct gphys_mmu *mmu);
void gphys_put(struct gphys_mmu *mmu);
void gphys_stop(void);

/**
 * struct gphys_miss - an access that no range allowed
 * @page: guest-physical address of the page
 * @access: VMX_MMU_* bits that the access needed
 * @seq: the mmu's sequence count at that time; odd if there was no such access
 */
struct gphys_miss {
	u64 page;
	u32 access;
	unsigned int seq;
};

#define GPHYS_NO_MISS	((struct gphys_miss){ .seq = 1 })

/**
 * gphys_misses() - is an access one that the ranges still do not allow?
 * @mmu: the mmu
 * @miss: an access that they did not allow
 * @gpa: guest-physical address
 * @access: VMX_MMU_* bits that it needs
 *
 * For devices, which guests access again and again.
 *
 * Context: any.
 * Return: true if it certainly is.
 */
static inline bool gphys_misses(const struct gphys_mmu *mmu,
				const struct gphys_miss *miss, u64 gpa,
				u32 access)
{
	return miss->page == (gpa & PAGE_MASK) &&
	       miss->access == access &&
	       raw_read_seqcount(&mmu->seq) == miss->seq;
}

/* mmu/fault.c: for the core */
int gphys_fault(struct gphys_mmu *mmu, u64 gpa, u32 access, bool atomic,
		struct gphys_miss *miss);
void gphys_poisoned(struct gphys_mmu *mmu, u64 gpa);

/* mmu/mmu.c: among the files of the mmu */
extern const struct gphys_cpu *gphys_cpu;
extern const struct gphys_guests *gphys_guests;
void gphys_free(struct gphys_mmu *mmu);
void gphys_flush(struct gphys_mmu *mmu);
void gphys_flush_cpus(struct gphys_mmu *mmu);

/* mmu/fault.c */
int gphys_populate(struct gphys_mmu *mmu, u64 *gpa, u64 end, u32 access);
void gphys_collapse(struct gphys_mmu *mmu, u64 gpa);

/* mmu/device.c */
int gphys_find_device(unsigned long uaddr, bool write, struct ept_mapping *map);

/* mmu/dirty.c */
int gphys_set_log(struct gphys_mmu *mmu, u32 method);
int gphys_harvest(struct gphys_mmu *mmu, u64 gpa, u64 *length,
		  unsigned long bitmap, u64 *dirty);

/* mmu/shrink.c */
void gphys_add_shrinkable(struct gphys_mmu *mmu);
void gphys_remove_shrinkable(struct gphys_mmu *mmu);
int gphys_shrinker_init(void);
void gphys_shrinker_exit(void);

/* mmu/notifier.c */
extern const struct mmu_notifier_ops gphys_notifier_ops;

/* mmu/ioctl.c */
long gphys_ioctl(struct gphys_mmu *mmu, unsigned int cmd, void __user *user);

/**
 * gphys_pause() - look at need_resched in the middle of something long
 * @mmu: the mmu; its lock is held, and may be given up meanwhile
 *
 * See ept_pause().
 *
 * Context: without other spinlocks, preemption on.
 * Return: true if others may have had the lock.
 */
static inline bool gphys_pause(struct gphys_mmu *mmu)
{
	return ept_pause(&mmu->ept);
}

/**
 * gphys_gup_errno() - why pages of the owner could not be got
 * @got: what get_user_pages or pin_user_pages returned instead of pages
 *
 * Return: -ENOMEM, -EINTR (a signal), -EHWPOISON (memory that is lost) or -EFAULT.
 */
static inline int gphys_gup_errno(long got)
{
	switch (got) {
	case -ENOMEM:
	case -EHWPOISON:
		return got;
	case -EINTR:
	case -ERESTARTSYS:
	case -EAGAIN:
		return -EINTR;
	default:
		return -EFAULT;
	}
}

/**
 * gphys_invalidating() - does an invalidation in progress touch an interval
 * @mmu: the mmu; its lock is held
 * @start: first userspace address
 * @end: end of the interval
 *
 * Return: true if pages of the interval may not be installed now.
 */
static inline bool gphys_invalidating(struct gphys_mmu *mmu,
				      unsigned long start, unsigned long end)
{
	lockdep_assert_held(&mmu->lock);
	return mmu->invalidating && start < mmu->inv_end &&
	       end > mmu->inv_start;
}

#endif /* GPHYS_MMU_H */
