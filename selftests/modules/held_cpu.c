// SPDX-License-Identifier: GPL-2.0
/*
 * vmx_held_cpu.ko, for tests: keeps a CPU in an interrupt, where it takes no other, for
 * a millisecond. Whoever has to wait for that CPU does not return earlier.
 */
#include <linux/atomic.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <linux/sysfs.h>

#define HELD_NS	NSEC_PER_MSEC

static int held;
static atomic_t times = ATOMIC_INIT(0);

static void stay_here(void *unused)
{
	const u64 end = ktime_get_ns() + HELD_NS;

	WRITE_ONCE(held, 1);
	atomic_inc_return(&times);
	while (ktime_get_ns() < end)
		cpu_relax();
	WRITE_ONCE(held, 0);
}

static int hold_set(const char *text, const struct kernel_param *param)
{
	const int before = atomic_read(&times);
	unsigned int cpu;
	int err = kstrtouint(text, 0, &cpu);

	err = err ?: smp_call_function_single(cpu, stay_here, NULL, false);
	if (err)
		return err;
	while (atomic_read(&times) == before)
		cpu_relax();
	return 0;
}

static int held_get(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%d\n", READ_ONCE(held));
}

static const struct kernel_param_ops held_ops = { .get = held_get };
module_param_cb(held, &held_ops, NULL, 0444);
MODULE_PARM_DESC(held, "1 while a CPU is held");

static const struct kernel_param_ops hold_ops = { .set = hold_set };
module_param_cb(hold, &hold_ops, NULL, 0200);
MODULE_PARM_DESC(hold, "write a CPU's number: the write returns when that CPU is held");

static void nothing(void *unused)
{
}

static int __init held_cpu_init(void)
{
	return 0;
}

/* A CPU that answers is held no longer. */
static void __exit held_cpu_exit(void)
{
	on_each_cpu(nothing, NULL, 1);
}

module_init(held_cpu_init);
module_exit(held_cpu_exit);
MODULE_DESCRIPTION("A CPU that takes no interrupts for a while, for tests of vmx");
MODULE_LICENSE("GPL");
