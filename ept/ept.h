/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The page tables of a guest-physical map. The engine knows nothing of the map: it
 * has a tree, the lock of its owner, and a tree that is derived from it, which hears of
 * entries that change. Code that removes or narrows translations calls ept_narrowed(), and puts
 * tables that become empty on &ept.unlinked.
 */
#ifndef EPT_EPT_H
#define EPT_EPT_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "../base/ledger_time.h"
#include "entry.h"

/**
 * struct ept_mapping - one page that a fault installs
 * @gpa: guest-physical address that faulted
 * @pfn: host frame of the 4 KiB page that holds it
 * @level: largest page allowed: the host maps the whole of it contiguously, and
 *	the range has the whole of it; 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB
 * @prot: VMX_MMU_* bits to allow
 * @memtype: an enum vmx_memtype
 * @access: VMX_MMU_* bits of the access that faulted; 0 if none has yet
 * @same: out: it was there already, just like this
 */
struct ept_mapping {
	u64 gpa;
	u64 pfn;
	int level;
	u32 prot;
	u32 memtype;
	u32 access;
	bool same;
};

/**
 * struct ept_dirty_batch - a part of the map whose log is looked at
 * @gpa: guest-physical address that bit 0 of @bitmap stands for
 * @bitmap: a bit for each 4 KiB page, set for those that were written
 * @dirty: goes up by the number of bits set
 */
struct ept_dirty_batch {
	u64 gpa;
	unsigned long *bitmap;
	u64 dirty;
};

struct ept;
struct ept_derived;
struct vmx_mmu_stats;

/**
 * struct ept_owner - what the owner of a tree does for those who work on it
 * @flush_cpus: waits until no CPU uses what was removed so far; with or without the lock
 * @flush: the same, and frees the tables that were unlinked before; without the lock
 */
struct ept_owner {
	void (*flush_cpus)(struct ept *ept);
	void (*flush)(struct ept *ept);
};

/**
 * struct ept_derived_ops - what a kind of derived trees does
 * @drop: an entry was removed or narrowed, or has another frame: what was made from it
 *	goes. With the lock; what is left of it is for @settle
 * @settle: finishes what @drop left, as of now, before a flush. With the lock, which others may
 *	have meanwhile; the tree may be freed then
 * @invalidate: userspace wrote memory that may hold tables that the tree was made from.
 *	With the lock, which others may have meanwhile
 * @count: how much there is, in tables; fills in its part of the counters, with the lock
 * @shrink: gives so many tables back to the host, or fewer: how many. In reclaim
 * @free: frees all. No vCPU uses it any more, and the map has forgotten it
 */
struct ept_derived_ops {
	void (*drop)(struct ept_derived *derived, u64 gpa, int level);
	void (*settle)(struct ept *ept);
	void (*invalidate)(struct ept_derived *derived, u64 gfn, u64 count);
	unsigned long (*count)(const struct ept_derived *derived, struct vmx_mmu_stats *stats);
	unsigned long (*shrink)(struct ept_derived *derived, unsigned long count);
	void (*free)(struct ept_derived *derived);
};

/**
 * struct ept_derived - a tree that is made from the entries of another
 * @ops: its kind
 * @map: the other
 */
struct ept_derived {
	const struct ept_derived_ops *ops;
	struct ept *map;
};

/**
 * struct ept_counts - what there is in a tree, and what was done
 * @tables: page tables
 * @pages: pages that are mapped, by level less 1
 * @splits: large pages that were broken up
 */
struct ept_counts {
	u64 tables;
	u64 pages[3];
	u64 splits;
};

/**
 * struct ept - a tree of EPT tables
 * @table: the root table
 * @root: the root as the VMCS wants it, an EPTP
 * @format: what its entries may look like
 * @largest: the level of the largest pages that tables can map
 * @small_exec: the CPU has the erratum that a change of page size under an
 *	instruction fetch may stop the machine ("Machine Check Error Avoidance on
 *	Page Size Change"): large pages are not executable
 * @lock: the owner's; protects the tables and what follows
 * @flush_gen: goes up when translations were removed or narrowed. A vCPU whose
 *	last seen value differs invalidates before it enters the guest.
 * @flushed: the value of @flush_gen up to which no CPU uses old translations
 * @log: how it is found out which pages are written, an enum vmx_dirty_method
 * @left: of EPT_BUDGET, for the walk in progress
 * @spare: pages for page tables, so that none is allocated under @lock
 * @nr_spare: how many
 * @unlinked: tables that no entry refers to any more, which CPUs may still use
 *	until a flush
 * @derived: the tree that is made from this one, which the CPU walks in its place; NULL
 *	if there is none
 * @owner: what its owner does
 * @count: counters
 */
struct ept {
	u64 *table;
	u64 root;
	struct ept_format format;
	int largest;
	bool small_exec;
	spinlock_t *lock; /* the owner's */
	atomic64_t flush_gen;
	atomic64_t flushed;
	u32 log;
	int left;
	struct list_head spare;
	unsigned int nr_spare;
	struct list_head unlinked;
	struct ept_derived *derived;
	const struct ept_owner *owner;
	struct ept_counts count;
};

/*
 * What a walk spends before it offers to give up the lock. An entry that it only
 * looks at is 1, some ten instructions; what takes longer is more. So it is some
 * 50,000 instructions, of which 200,000 may not be exceeded between two looks at
 * need_resched.
 */
#define EPT_BUDGET		4096

struct vmx_mmu_walk;

/* ept/ept.c */
int ept_init(struct ept *ept, struct ept_format format, spinlock_t *lock);
void ept_destroy(struct ept *ept);
bool ept_supports(const struct ept *ept, u32 prot);
u64 ept_find(const struct ept *ept, u64 gpa, int *level);
int ept_install(struct ept *ept, struct ept_mapping *map);
u64 ept_zap(struct ept *ept, u64 start, u64 end, bool forget);
u64 ept_protect(struct ept *ept, u64 start, u64 end, u32 prot);
bool ept_young(struct ept *ept, u64 start, u64 end, bool clear);
u64 ept_age(struct ept *ept, u64 start, u64 end);
void ept_walk(const struct ept *ept, struct vmx_mmu_walk *walk);

/* ept/tables.c */
int ept_top_up(struct ept *ept);
void ept_free_tables(struct list_head *tables);

/* ept/log.c */
u64 ept_relog(struct ept *ept, u64 start, u64 end);
void ept_mark(struct ept *ept, const u64 *gpas, unsigned int count);
u64 ept_harvest(struct ept *ept, u64 start, u64 end, struct ept_dirty_batch *batch);

/**
 * ept_narrowed() - note that a translation was removed or narrowed
 * @ept: the tree; its lock is held, and the entry has changed
 *
 * From here on a vCPU invalidates before it enters. Those that are in the guest
 * do so when the owner flushes.
 */
static inline void ept_narrowed(struct ept *ept)
{
	lockdep_assert_held(ept->lock);
	/* The value is of no interest, the full barrier is. */
	atomic64_inc_return(&ept->flush_gen);
}

/**
 * ept_pause() - look at need_resched in the middle of something long
 * @ept: the tree; its lock is held, and may be given up meanwhile
 *
 * Others who want the lock get it, on every kernel: they spin with preemption off.
 * cond_resched() would complain of notifiers that may not block. These must not wait
 * for anybody, but others may have their turn.
 *
 * Context: without other spinlocks, preemption on.
 * Return: true if others may have had the lock.
 */
static inline bool ept_pause(struct ept *ept)
{
	lockdep_assert_held(ept->lock);
	base_ledger_look();
	if (likely(!need_resched() && !spin_is_contended(ept->lock)))
		return false;
	spin_unlock(ept->lock);
	if (need_resched())
		schedule();
	spin_lock(ept->lock);
	base_ledger_look();
	return true;
}

#endif /* EPT_EPT_H */
