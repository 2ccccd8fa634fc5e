// SPDX-License-Identifier: GPL-2.0
/*
 * vmx_fpu_user.ko, for tests: on every CPU, interrupts and softirqs that use the
 * FPU as the kernel's cryptography does, and leave all its registers changed.
 */
#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/time64.h>

#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>

static uint period_us = 200;
module_param(period_us, uint, 0444);
MODULE_PARM_DESC(period_us, "time between two interrupts, and two softirqs, of a CPU");

static bool use = true;
module_param(use, bool, 0444);
MODULE_PARM_DESC(use, "without, interrupts and softirqs alone");

static atomic_t uses = ATOMIC_INIT(0);
module_param_named(uses, uses.counter, int, 0444);
MODULE_PARM_DESC(uses, "times that the FPU was used");

static atomic_t foreign_xcr0 = ATOMIC_INIT(0);
module_param_named(foreign_xcr0, foreign_xcr0.counter, int, 0444);
MODULE_PARM_DESC(foreign_xcr0, "times that XCR0 was not the host's");

struct timers {
	struct hrtimer hard;
	struct hrtimer soft;
	bool on;
};

static DEFINE_PER_CPU(struct timers, timers);
static u64 host_xcr0;

static void change_registers(void)
{
	static const u32 odd_mxcsr = 0x7f80;

#define ONES(n) "pcmpeqd %%xmm" #n ", %%xmm" #n "\n"
	asm volatile(ONES(0) ONES(1) ONES(2) ONES(3) ONES(4) ONES(5) ONES(6) ONES(7)
		     ONES(8) ONES(9) ONES(10) ONES(11) ONES(12) ONES(13) ONES(14) ONES(15)
		     "fninit\n"
		     "fld1\n"
		     "ldmxcsr %0" : : "m" (odd_mxcsr));
#undef ONES
	if (boot_cpu_has(X86_FEATURE_AVX))
		asm volatile("vzeroall");
}

static void use_fpu(void)
{
	if (boot_cpu_has(X86_FEATURE_XSAVE) &&
	    xgetbv(XCR_XFEATURE_ENABLED_MASK) != host_xcr0)
		atomic_inc(&foreign_xcr0);
	if (!use || !irq_fpu_usable())
		return;
	kernel_fpu_begin_mask(KFPU_387 | KFPU_MXCSR);
	change_registers();
	kernel_fpu_end();
	atomic_inc(&uses);
}

static enum hrtimer_restart fired(struct hrtimer *timer)
{
	use_fpu();
	hrtimer_forward_now(timer, ns_to_ktime(period_us * NSEC_PER_USEC));
	return HRTIMER_RESTART;
}

static void start_one(struct hrtimer *timer, enum hrtimer_mode mode)
{
#ifdef VMX_HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, fired, CLOCK_MONOTONIC, mode);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, mode);
	timer->function = fired;
#endif
	hrtimer_start(timer, ns_to_ktime(period_us * NSEC_PER_USEC), mode);
}

static void start(void *unused)
{
	struct timers *here = this_cpu_ptr(&timers);

	here->on = true;
	start_one(&here->hard, HRTIMER_MODE_REL_PINNED_HARD);
	start_one(&here->soft, HRTIMER_MODE_REL_PINNED_SOFT);
}

static int __init fpu_user_init(void)
{
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	period_us = max(period_us, 50U);
	on_each_cpu(start, NULL, 1);
	return 0;
}

static void __exit fpu_user_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct timers *there = per_cpu_ptr(&timers, cpu);

		if (!there->on)
			continue;
		hrtimer_cancel(&there->hard);
		hrtimer_cancel(&there->soft);
	}
}

module_init(fpu_user_init);
module_exit(fpu_user_exit);
MODULE_DESCRIPTION("Users of the FPU in interrupts, for tests of vmx");
MODULE_LICENSE("GPL");
