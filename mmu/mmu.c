// SPDX-License-Identifier: GPL-2.0
/*
 * The mmu object: its life, its flushes, and the pages of its tables.
 * ioctl.c changes and shows the map, fault.c maps pages,
 * notifier.c releases them, shrink.c releases tables, dirty.c tells which pages
 * were written, and ept/ knows the format of entries.
 *
 * Locks, outermost first:
 *
 *   mmus_lock			the list of mmus (shrink.c); code that allocates
 *				only tries it
 *   mmap_lock of the owner	taken by get_user_pages; held by the host around
 *				most notifier calls
 *   mmu->edit			MAP, UNMAP, PROTECT, LOG, DIRTY; allocates, so notifiers, which
 *				run in reclaim, never take it
 *   host page-table locks	held by the host around the young notifiers
 *   mmu->lock			page tables, ranges, everything else. A spinlock:
 *				some notifiers may not sleep, and faults are taken
 *				with preemption off. Nothing is allocated under it.
 *   mmu->views_lock		the core's, inside &gphys_guests.kick
 *
 * The owner's memory is never pinned. A fault notes mmu->seq, gets the page
 * with a reference, takes mmu->lock, and installs it only if no invalidation
 * ended since (seq) and none of that address is in progress; then the reference
 * goes. From there on the guest has the page until the host's memory
 * management calls a notifier. The notifier returns once no CPU can reach
 * the page any more.
 *
 * Flush rules. A CPU may use a translation, or a table that its caches refer
 * to, until it invalidates (SDM, "Caching Translation Information"), whatever
 * the tables say. So:
 *
 *  - Code that removes or narrows an entry calls ept_narrowed() before mmu->lock
 *    is released: flush_gen goes up, and any vCPU that enters from then on
 *    executes INVEPT first.
 *  - Code that needs the removed translation to be gone calls gphys_flush(): it
 *    makes every CPU that may be in the guest leave it. flushed is the
 *    generation up to which this was done. Callers compare it even if they
 *    found nothing to remove: another thread may have removed the entry and not
 *    have flushed yet.
 *  - gphys_flush() comes before a notifier returns (the page may be reused),
 *    before UNMAP or PROTECT returns (they promise it), and before a table is freed. Tables
 *    that no entry refers to wait for the flush in mmu->ept.unlinked.
 *  - New and widened entries need no flush: CPUs do not cache absent ones, and a
 *    violation drops the cached translations of its address (SDM, "Operations that
 *    Invalidate Cached Mappings").
 *  - A vCPU that comes to another CPU, or for the first time to any, executes
 *    INVEPT whatever flush_gen is, so a root page can be reused.
 *  - A guest that changes its EPT with VMFUNC does so without an
 *    exit. Its vCPU counts as being in the guest for each of the EPTs, and
 *    compares the flush_gen of all before it enters (views.c).
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "../base/base.h"
#include "mmu.h"

const struct gphys_cpu *gphys_cpu __ro_after_init;
const struct gphys_guests *gphys_guests __ro_after_init;

/* Mmus whose notifier may still be called. */
static atomic_t gphys_mmus_alive;

static void mmu_flush_to(struct gphys_mmu *mmu, s64 gen)
{
	s64 done = atomic64_read_acquire(&mmu->ept.flushed);

	if (done >= gen)
		return;
	atomic64_inc(&mmu->flushes);
	gphys_guests->kick(mmu);
	gphys_ledger_kicked(mmu, gen);
	while (done < gen && !atomic64_try_cmpxchg(&mmu->ept.flushed, &done, gen))
		;
}

/**
 * gphys_flush_cpus() - wait until no CPU uses what was removed so far
 * @mmu: the mmu
 *
 * Context: interrupts on; does not sleep; with or without the mmu's lock.
 */
void gphys_flush_cpus(struct gphys_mmu *mmu)
{
	mmu_flush_to(mmu, atomic64_read(&mmu->ept.flush_gen));
}

/* A notifier may be here while the mmu is dismantled. */
static noinline void settle_derived(struct ept *ept)
{
	spin_lock(ept->lock);
	if (ept->derived)
		ept->derived->ops->settle(ept);
	spin_unlock(ept->lock);
}

/**
 * gphys_flush() - the same, and free the tables that were unlinked before
 * @mmu: the mmu
 *
 * See the flush rules above.
 *
 * Context: interrupts on, preemption on; without the mmu's lock. Waits for nobody
 * but CPUs.
 */
void gphys_flush(struct gphys_mmu *mmu)
{
	LIST_HEAD(unlinked);

	if (READ_ONCE(mmu->ept.derived))
		settle_derived(&mmu->ept);
	if (!list_empty_careful(&mmu->ept.unlinked)) {
		spin_lock(&mmu->lock);
		list_splice_init(&mmu->ept.unlinked, &unlinked);
		spin_unlock(&mmu->lock);
	}
	/* Read afterwards: what was unlinked belongs to this generation or an older one. */
	gphys_flush_cpus(mmu);
	ept_free_tables(&unlinked);
}

static void owner_flush_cpus(struct ept *ept)
{
	gphys_flush_cpus(container_of(ept, struct gphys_mmu, ept));
}

static void owner_flush(struct ept *ept)
{
	gphys_flush(container_of(ept, struct gphys_mmu, ept));
}

static const struct ept_owner owner = {
	.flush_cpus = owner_flush_cpus,
	.flush = owner_flush,
};

static int mmu_init(struct gphys_mmu *mmu, struct ept_format format)
{
	int err;

	kref_init(&mmu->ref);
	spin_lock_init(&mmu->lock);
	seqcount_spinlock_init(&mmu->seq, &mmu->lock);
	mmu->ranges.by_gpa = RB_ROOT_CACHED;
	mmu->ranges.by_uaddr = RB_ROOT_CACHED;
	init_waitqueue_head(&mmu->idle);
	mutex_init(&mmu->edit);
	spin_lock_init(&mmu->views_lock);
	INIT_LIST_HEAD(&mmu->views);
	err = gphys_ledger_init(mmu);
	if (err)
		return err;
	err = ept_init(&mmu->ept, format, &mmu->lock);
	mmu->ept.owner = &owner;
	if (err)
		gphys_ledger_free(mmu);
	return err;
}

/* No vCPU uses the mmu any more; notifiers may still be called. */
static void mmu_dismantle(struct gphys_mmu *mmu)
{
	struct ept_derived *derived;
	struct gphys_range *range;

	/* Who could not create one comes here, too, and has not looked for long. */
	base_ledger_begin();
	spin_lock(&mmu->lock);
	mmu->dead = true;
	while ((range = gphys_ranges_first(&mmu->ranges, 0, U64_MAX))) {
		gphys_ranges_remove(&mmu->ranges, range);
		gphys_pause(mmu);
	}
	derived = mmu->ept.derived;
	WRITE_ONCE(mmu->ept.derived, NULL);
	spin_unlock(&mmu->lock);

	/* Notifiers ignore tables without ranges. */
	if (derived)
		derived->ops->free(derived);
	ept_destroy(&mmu->ept);
	gphys_ledger_free(mmu);
}

/**
 * gphys_free() - free what notifiers may have been looking at
 * @mmu: the mmu, dismantled
 *
 * Context: does not sleep.
 */
void gphys_free(struct gphys_mmu *mmu)
{
	kfree(mmu);
	if (atomic_dec_and_test(&gphys_mmus_alive))
		wake_up_var(&gphys_mmus_alive);
}

static void gphys_release(struct kref *ref)
{
	struct gphys_mmu *mmu = container_of(ref, struct gphys_mmu, ref);
	struct vmm_vm *vm = mmu->vm;

	gphys_remove_shrinkable(mmu);
	mmu_dismantle(mmu);
	/* Notifiers may be running. The rest is freed when they are done. */
	mmu_notifier_put(&mmu->notifier);
	gphys_guests->put_vm(vm);
}

/**
 * gphys_get() - take another reference
 * @mmu: the mmu; the caller has one
 *
 * Context: any.
 * Return: @mmu.
 */
struct gphys_mmu *gphys_get(struct gphys_mmu *mmu)
{
	kref_get(&mmu->ref);
	return mmu;
}

/**
 * gphys_put() - drop a reference
 * @mmu: the mmu
 *
 * Context: may sleep. No vCPU of the mmu is loaded if it is the last one.
 */
void gphys_put(struct gphys_mmu *mmu)
{
	kref_put(&mmu->ref, gphys_release);
}

static int gphys_fop_release(struct inode *inode, struct file *file)
{
	base_ledger_begin();
	gphys_put(file->private_data);
	base_ledger_end();
	return 0;
}

static long gphys_fop_ioctl(struct file *file, unsigned int cmd,
			    unsigned long arg)
{
	return gphys_ioctl(file->private_data, cmd, (void __user *)arg);
}

static const struct file_operations gphys_fops = {
	.owner = THIS_MODULE,
	.release = gphys_fop_release,
	.unlocked_ioctl = gphys_fop_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* On success the mmu holds a reference to @vm and is called by notifiers. */
static struct gphys_mmu *mmu_new(struct vmm_vm *vm, bool shadow)
{
	struct gphys_mmu *mmu;
	int err;

	mmu = kzalloc(sizeof(*mmu), GFP_KERNEL_ACCOUNT);
	if (!mmu)
		return ERR_PTR(-ENOMEM);
	err = mmu_init(mmu, shadow ? gphys_cpu->map_format : gphys_cpu->format);
	if (err)
		goto free;
	/* No CPU sets bits in tables that none walks. */
	mmu->log_methods = shadow ? BIT(VMX_DIRTY_OFF) | BIT(VMX_DIRTY_WRITE_PROTECT) :
				    gphys_cpu->log_methods;
	err = shadow ? shadow_create(&mmu->ept) : 0;
	if (err)
		goto dismantle;
	mmu->notifier.ops = &gphys_notifier_ops;
	err = mmu_notifier_register(&mmu->notifier, current->mm);
	if (err)
		goto dismantle;
	atomic_inc(&gphys_mmus_alive);
	mmu->vm = gphys_guests->get_vm(vm);
	gphys_add_shrinkable(mmu);
	return mmu;

dismantle:
	mmu_dismantle(mmu);
free:
	kfree(mmu);
	return ERR_PTR(err);
}

static int create_mmu(struct vmm_vm *vm, bool shadow)
{
	struct gphys_mmu *mmu = mmu_new(vm, shadow);
	int fd;

	if (IS_ERR(mmu))
		return PTR_ERR(mmu);
	fd = base_new_fd("vmx-mmu", &gphys_fops, mmu);
	if (fd < 0)
		gphys_put(mmu);
	return fd;
}

/**
 * gphys_create_ept() - %VMX_CREATE_EPT
 * @vm: the VM; the caller is in its owner's address space
 *
 * Context: may sleep.
 * Return: a descriptor, or -EOPNOTSUPP (the CPU has no EPT), -ENOMEM, -EINTR
 * (a fatal signal), -EMFILE.
 */
int gphys_create_ept(struct vmm_vm *vm)
{
	return gphys_cpu->has_ept ? create_mmu(vm, false) : -EOPNOTSUPP;
}

/**
 * gphys_create_shadow() - %VMX_CREATE_SHADOW
 * @vm: the VM; the caller is in its owner's address space
 *
 * Context: may sleep.
 * Return: a descriptor, or -ENOMEM, -EINTR (a fatal signal), -EMFILE.
 */
int gphys_create_shadow(struct vmm_vm *vm)
{
	return create_mmu(vm, true);
}

/**
 * gphys_from_fd() - the mmu behind a descriptor
 * @fd: descriptor of the current process
 * @vm: the VM it must be of
 *
 * Context: may sleep.
 * Return: the mmu, with a reference for the caller to gphys_put();
 * ERR_PTR(-EBADF) if the descriptor is not open, ERR_PTR(-EINVAL) if it is no
 * mmu or one of another VM.
 */
struct gphys_mmu *gphys_from_fd(int fd, struct vmm_vm *vm)
{
	struct gphys_mmu *mmu = ERR_PTR(-EINVAL);
	struct file *file = fget(fd);

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op == &gphys_fops) {
		struct gphys_mmu *found = file->private_data;

		if (found->vm == vm)
			mmu = gphys_get(found);
	}
	fput(file);
	return mmu;
}

/**
 * gphys_start() - before the first mmu
 * @cpu: what the CPU can do
 * @guests: what the core does
 *
 * Context: module init.
 * Return: 0 or -ENOMEM.
 */
int __init gphys_start(const struct gphys_cpu *cpu, const struct gphys_guests *guests)
{
	gphys_cpu = cpu;
	gphys_guests = guests;
	return gphys_shrinker_init();
}

/**
 * gphys_stop() - wait until nothing of the mmus is left
 *
 * For the module's exit, and for its init where that fails: objects are gone by then, but their
 * notifiers may still be on their way out.
 *
 * Context: may sleep.
 */
void gphys_stop(void)
{
	gphys_shrinker_exit();
	wait_var_event(&gphys_mmus_alive, !atomic_read(&gphys_mmus_alive));
	mmu_notifier_synchronize();
}
