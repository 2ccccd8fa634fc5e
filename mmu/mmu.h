/* SPDX-License-Identifier: GPL-2.0 */
/* Guest memory: a guest-physical map and its page tables. */
#ifndef VMX_MMU_H
#define VMX_MMU_H

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

struct vmx_mmu;
struct vmx_vm;

/**
 * struct vmx_mmu - what a descriptor from %VMX_CREATE_EPT or %VMX_CREATE_SHADOW stands for
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
 * @views: the vCPUs that may be on the mmu, for &vmx_mmu_cpu.collect
 * @nr_views: how many
 * @ledger: for debug builds
 */
struct vmx_mmu {
	struct kref ref;
	struct vmx_vm *vm;
	atomic64_t flushes;
	unsigned int log_methods;

	spinlock_t lock; /* down to @stats, and the page tables */
	seqcount_spinlock_t seq;
	struct vmx_ranges ranges;
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
	struct vmx_mmu_ledger ledger;
};

/**
 * struct vmx_view - an mmu that a vCPU may be on
 * @mmu: the mmu, referenced
 * @vcpu: the vCPU
 * @link: in struct vmx_mmu.views
 * @seen_gen: &ept.flush_gen as of the last flush on the CPU that
 *	struct vmx_tag.ept_on tells
 * @ledger: for debug builds
 */
struct vmx_view {
	struct vmx_mmu *mmu;
	struct vmx_vcpu *vcpu;
	struct list_head link;
	s64 seen_gen;
	struct vmx_view_ledger ledger;
};

/* Were translations removed since the vCPU last dropped what it has cached? */
static inline bool vmx_view_stale(const struct vmx_view *view)
{
	return view->seen_gen != atomic64_read(&view->mmu->ept.flush_gen);
}

/**
 * enum vmx_fault - what came of a guest's access
 * @VMX_FAULT_DONE: the guest may try again
 * @VMX_FAULT_EXIT: no range has the address, or its protection forbids the
 *	access: userspace's
 */
enum vmx_fault {
	VMX_FAULT_DONE,
	VMX_FAULT_EXIT,
};

/**
 * struct vmx_mmu_cpu - what the CPU can do with tables, by its vendor's folder
 * @has_ept: it has page tables for guest-physical addresses
 * @format: what their entries look like
 * @map_format: what entries look like that no CPU walks
 * @log_methods: a bit for each enum vmx_dirty_method that it has
 * @collect: tells an mmu, whose edit mutex is held, which writes CPUs have noted
 *	themselves, after &vmx_mmu_guests.kick; 0 or -ENOMEM. May sleep
 */
struct vmx_mmu_cpu {
	bool has_ept;
	struct ept_format format;
	struct ept_format map_format;
	unsigned int log_methods;
	int (*collect)(struct vmx_mmu *mmu);
};

/**
 * struct vmx_mmu_guests - what an mmu needs of those who run guests on it
 * @get_vm: takes a reference
 * @put_vm: drops it
 * @kick: makes every vCPU of an mmu look at its flush generation. Interrupts, and
 *	waits for, every CPU on which a vCPU that may be on the mmu is between load and
 *	unload, so that it leaves guest mode and compares &ept.flush_gen before it enters
 *	again. All are interrupted before the first is waited for, and what it costs grows
 *	with the CPUs, not with the vCPUs: each CPU says for which mmu it may be in a guest.
 *	Uses nothing of &vmx_mmu.vm, which may be gone. Interrupts are on; called with
 *	spinlocks held, too, does not sleep
 */
struct vmx_mmu_guests {
	struct vmx_vm *(*get_vm)(struct vmx_vm *vm);
	void (*put_vm)(struct vmx_vm *vm);
	void (*kick)(struct vmx_mmu *mmu);
};

/* mmu/mmu.c: for the core */
int vmx_mmu_start(const struct vmx_mmu_cpu *cpu, const struct vmx_mmu_guests *guests);
int vmx_mmu_create_ept(struct vmx_vm *vm);
int vmx_mmu_create_shadow(struct vmx_vm *vm);
struct vmx_mmu *vmx_mmu_from_fd(int fd, struct vmx_vm *vm);
struct vmx_mmu *vmx_mmu_get(struct vmx_mmu *mmu);
void vmx_mmu_put(struct vmx_mmu *mmu);
void vmx_mmu_stop(void);

/**
 * struct vmx_miss - an access that no range allowed
 * @page: guest-physical address of the page
 * @access: VMX_MMU_* bits that the access needed
 * @seq: the mmu's sequence count at that time; odd if there was no such access
 */
struct vmx_miss {
	u64 page;
	u32 access;
	unsigned int seq;
};

#define VMX_NO_MISS	((struct vmx_miss){ .seq = 1 })

/**
 * vmx_mmu_misses() - is an access one that the ranges still do not allow?
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
static inline bool vmx_mmu_misses(const struct vmx_mmu *mmu,
				  const struct vmx_miss *miss, u64 gpa,
				  u32 access)
{
	return miss->page == (gpa & PAGE_MASK) &&
	       miss->access == access &&
	       raw_read_seqcount(&mmu->seq) == miss->seq;
}

/* mmu/fault.c: for the core */
int vmx_mmu_fault(struct vmx_mmu *mmu, u64 gpa, u32 access, bool atomic,
		  struct vmx_miss *miss);
void vmx_mmu_poisoned(struct vmx_mmu *mmu, u64 gpa);

/* mmu/mmu.c: among the files of the mmu */
extern const struct vmx_mmu_cpu *vmx_mmu_cpu;
extern const struct vmx_mmu_guests *vmx_mmu_guests;
void vmx_mmu_free(struct vmx_mmu *mmu);
void vmx_mmu_flush(struct vmx_mmu *mmu);
void vmx_mmu_flush_cpus(struct vmx_mmu *mmu);

/* mmu/fault.c */
int vmx_mmu_populate(struct vmx_mmu *mmu, u64 *gpa, u64 end, u32 access);
void vmx_mmu_collapse(struct vmx_mmu *mmu, u64 gpa);

/* mmu/device.c */
int vmx_mmu_find_device(unsigned long uaddr, bool write, struct ept_mapping *map);

/* mmu/dirty.c */
int vmx_mmu_set_log(struct vmx_mmu *mmu, u32 method);
int vmx_mmu_harvest(struct vmx_mmu *mmu, u64 gpa, u64 *length,
		    unsigned long bitmap, u64 *dirty);

/* mmu/shrink.c */
void vmx_mmu_add_shrinkable(struct vmx_mmu *mmu);
void vmx_mmu_remove_shrinkable(struct vmx_mmu *mmu);
int vmx_mmu_shrinker_init(void);
void vmx_mmu_shrinker_exit(void);

/* mmu/notifier.c */
extern const struct mmu_notifier_ops vmx_mmu_notifier_ops;

/* mmu/ioctl.c */
long vmx_mmu_ioctl(struct vmx_mmu *mmu, unsigned int cmd, void __user *user);

/**
 * vmx_mmu_pause() - look at need_resched in the middle of something long
 * @mmu: the mmu; its lock is held, and may be given up meanwhile
 *
 * See ept_pause().
 *
 * Context: without other spinlocks, preemption on.
 * Return: true if others may have had the lock.
 */
static inline bool vmx_mmu_pause(struct vmx_mmu *mmu)
{
	return ept_pause(&mmu->ept);
}

/**
 * vmx_gup_errno() - why pages of the owner could not be got
 * @got: what get_user_pages or pin_user_pages returned instead of pages
 *
 * Return: -ENOMEM, -EINTR (a signal), -EHWPOISON (memory that is lost) or -EFAULT.
 */
static inline int vmx_gup_errno(long got)
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
 * vmx_mmu_invalidating() - does an invalidation in progress touch an interval
 * @mmu: the mmu; its lock is held
 * @start: first userspace address
 * @end: end of the interval
 *
 * Return: true if pages of the interval may not be installed now.
 */
static inline bool vmx_mmu_invalidating(struct vmx_mmu *mmu,
					unsigned long start, unsigned long end)
{
	lockdep_assert_held(&mmu->lock);
	return mmu->invalidating && start < mmu->inv_end &&
	       end > mmu->inv_start;
}

#endif /* VMX_MMU_H */
