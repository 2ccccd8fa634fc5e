// SPDX-License-Identifier: GPL-2.0
/*
 * vmx_held_invalidation.ko, for tests: keeps the host's invalidations of a process's memory
 * from going on, so that they are in progress for as long as a test likes. Other notifiers
 * that were registered later hear of them before.
 */
#include <linux/atomic.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sysfs.h>
#include <linux/wait.h>

static atomic_t held = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(changed);
static DEFINE_MUTEX(lock);
/* Whose memory it is, and who may invalidate all the same. */
static struct mm_struct *watched;
static struct task_struct *holder;

static int invalidate_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	const struct task_struct *who = READ_ONCE(holder);

	/* The kernel's own threads, which may move any memory, do not count. */
	if (!who || who == current || current->mm != range->mm ||
	    !mmu_notifier_range_blockable(range))
		return 0;
	atomic_inc(&held);
	/* Somebody who is killed goes on, so that nothing stays behind. */
	wait_event_killable(changed, READ_ONCE(holder) != who);
	atomic_dec(&held);
	return 0;
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = invalidate_start };
static struct mmu_notifier notifier = { .ops = &ops };

static void hold(bool on)
{
	WRITE_ONCE(holder, on ? current : NULL);
	wake_up_all(&changed);
}

static int watch(bool on)
{
	int err = 0;

	mutex_lock(&lock);
	if (on && !watched) {
		err = mmu_notifier_register(&notifier, current->mm);
		watched = err ? NULL : current->mm;
	} else if (!on && watched) {
		hold(false);
		mmu_notifier_unregister(&notifier, watched);
		watched = NULL;
	}
	mutex_unlock(&lock);
	return err;
}

static int watch_set(const char *text, const struct kernel_param *param)
{
	bool on;

	return kstrtobool(text, &on) ?: watch(on);
}

static int hold_set(const char *text, const struct kernel_param *param)
{
	bool on;
	int err = kstrtobool(text, &on);

	if (!err)
		hold(on);
	return err;
}

static int held_get(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%d\n", atomic_read(&held));
}

static const struct kernel_param_ops held_ops = { .get = held_get };
module_param_cb(held, &held_ops, NULL, 0444);
MODULE_PARM_DESC(held, "invalidations that are held");

static const struct kernel_param_ops watch_ops = { .set = watch_set };
module_param_cb(watch, &watch_ops, NULL, 0200);
MODULE_PARM_DESC(watch, "write 1: begin with the memory of the writer");

static const struct kernel_param_ops hold_ops = { .set = hold_set };
module_param_cb(hold, &hold_ops, NULL, 0200);
MODULE_PARM_DESC(hold, "write 1: whoever but this thread invalidates has to wait; 0: they go on");

static int __init held_invalidation_init(void)
{
	return 0;
}

static void __exit held_invalidation_exit(void)
{
	watch(false);
}

module_init(held_invalidation_init);
module_exit(held_invalidation_exit);
MODULE_DESCRIPTION("Invalidations of memory that take long, for tests of vmx");
MODULE_LICENSE("GPL");
