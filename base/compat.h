/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels. Kbuild probes the headers of the kernel it builds for
 * and sets VMX_HAVE_*. No code asks for a kernel's version, since
 * distributions move features between versions.
 */
#ifndef BASE_COMPAT_H
#define BASE_COMPAT_H

#include <linux/kexec.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/syscore_ops.h>
#include <linux/task_work.h>

#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/nospec-branch.h>
#include <asm/reboot.h>
#include <asm/thread_info.h>

/*
 * Faults are resolved with preemption off and under spinlocks, which PREEMPT_RT
 * makes sleeping ones. Kconfig says so too; this is for builds out of tree.
 */
#ifdef CONFIG_PREEMPT_RT
#error "vmx does not work on PREEMPT_RT kernels: build it for another one (KDIR=...)"
#endif

/* load_gs_index() moved. */
#ifdef VMX_HAVE_GSSEG
#include <asm/gsseg.h>
#else
#include <asm/special_insns.h>
#endif

/* Reasons for a vCPU thread to leave its loop; _LAZY is recent. */
#ifdef _TIF_NEED_RESCHED_LAZY
#define BASE_TIF_RESCHED	(_TIF_NEED_RESCHED | _TIF_NEED_RESCHED_LAZY)
#else
#define BASE_TIF_RESCHED	_TIF_NEED_RESCHED
#endif

/*
 * The work that resume_user_mode_work() finds for the current thread, but for rseq's.
 * A key that was looked up can wait until it is looked up again.
 */
static inline bool base_task_work(void)
{
	if (task_work_pending(current))
		return true;
#ifdef CONFIG_MEMCG
	if (current->memcg_nr_pages_over_high)
		return true;
#endif
#ifdef CONFIG_BLK_CGROUP
#ifdef VMX_HAVE_THROTTLE_DISK
	if (current->throttle_disk)
		return true;
#else
	if (current->throttle_queue)
		return true;
#endif
#endif
	return false;
}

/*
 * How a guest's page is asked for: any signal may end the wait, and NUMA
 * balancing sees the access.
 */
#ifdef VMX_HAVE_FOLL_HONOR_NUMA_FAULT
#define BASE_FOLL_GUEST	(FOLL_INTERRUPTIBLE | FOLL_HONOR_NUMA_FAULT)
#else
#define BASE_FOLL_GUEST	0
#endif

/**
 * struct base_pfnmap - a frame that the host maps without a struct page
 * @pfn: the frame
 * @prot: how it is mapped, its memory type included
 * @writable: whether it may be written
 */
struct base_pfnmap {
	unsigned long pfn;
	pgprot_t prot;
	bool writable;
};

/**
 * base_follow_pfnmap() - what the host's page tables say of such memory
 * @vma: one with VM_IO or VM_PFNMAP; mmap_lock is held
 * @uaddr: address in it
 * @found: filled in
 *
 * Return: 0; another value if nothing is there yet.
 */
static inline int base_follow_pfnmap(struct vm_area_struct *vma,
				     unsigned long uaddr,
				     struct base_pfnmap *found)
{
#ifdef VMX_HAVE_FOLLOW_PFNMAP
	struct follow_pfnmap_args args = { .vma = vma, .address = uaddr };
	int err = follow_pfnmap_start(&args);

	if (err)
		return err;
	*found = (struct base_pfnmap){ args.pfn, args.pgprot, args.writable };
	follow_pfnmap_end(&args);
#else
	spinlock_t *lock; /* of the page table */
	pte_t *pte;
	int err = follow_pte(vma->vm_mm, uaddr, &pte, &lock);

	if (err)
		return err;
	*found = (struct base_pfnmap){ pte_pfn(*pte), pte_pgprot(*pte), pte_write(*pte) };
	pte_unmap_unlock(pte, lock);
#endif
	return 0;
}

/*
 * A crashing kernel must leave VMX on every CPU, or INIT stays blocked and the
 * crash kernel cannot start them. Newer kernels ask the hypervisor that has VMX
 * to do it; older ones do VMXOFF by themselves.
 */
#if defined(VMX_HAVE_EMERGENCY_CALLBACK) && \
	(IS_ENABLED(CONFIG_KVM_INTEL) || IS_ENABLED(CONFIG_KVM_AMD))
static inline void base_crash_hook(void (*fn)(void))
{
	cpu_emergency_register_virt_callback(fn);
}

static inline void base_crash_unhook(void (*fn)(void))
{
	cpu_emergency_unregister_virt_callback(fn);
}
#else
static inline void base_crash_hook(void (*fn)(void)) { }
static inline void base_crash_unhook(void (*fn)(void)) { }
#endif

/* Newer kernels hand a pointer to suspend and resume, and register another struct. */
#ifdef VMX_HAVE_REGISTER_SYSCORE
#define BASE_SYSCORE_ARG	void *unused
#define BASE_DEFINE_SYSCORE(name, suspend_fn, resume_fn)		\
	static const struct syscore_ops name##_ops = {			\
		.suspend = suspend_fn,					\
		.resume = resume_fn,					\
	};								\
	static struct syscore name = { .ops = &name##_ops }
#define base_register_syscore(name)	register_syscore(name)
#define base_unregister_syscore(name)	unregister_syscore(name)
#else
#define BASE_SYSCORE_ARG	void
#define BASE_DEFINE_SYSCORE(name, suspend_fn, resume_fn)		\
	static struct syscore_ops name = {				\
		.suspend = suspend_fn,					\
		.resume = resume_fn,					\
	}
#define base_register_syscore(name)	register_syscore_ops(name)
#define base_unregister_syscore(name)	unregister_syscore_ops(name)
#endif

/*
 * vmx/enter.c has the host's NMIs handled by INT 2. Under FRED that is delivered
 * as a software interrupt: no handler runs, and NMIs stay blocked.
 */
static inline bool base_host_uses_fred(void)
{
#ifdef X86_FEATURE_FRED
	return cpu_feature_enabled(X86_FEATURE_FRED);
#else
	return false;
#endif
}

/*
 * Where a guest can steer the branches of the userspace that runs it (VMSCAPE),
 * the kernel issues a barrier on the way there, if it is told.
 */
static inline void base_ibpb_before_user(void)
{
#ifdef VMX_HAVE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

/*
 * A second FPU state of the thread, for the guest that it runs. Kernels with KVM
 * have it, for hypervisors at first and now for KVM alone: then there is none.
 */
#if defined(VMX_HAVE_LENT_FPU) && !defined(VMX_HAVE_EXPORTS_FOR_KVM) && \
	IS_ENABLED(CONFIG_KVM)
#define BASE_LENDS_FPU	true

/*
 * Without memory, @lent->fpstate stays NULL. Likewise after the kernel gave XSAVE up halfway
 * through its initialization: it would write a header of XSAVE past an area for FXSAVE.
 */
static inline void base_lent_fpu_alloc(struct fpu_guest *lent)
{
	if (boot_cpu_has(X86_FEATURE_XSAVE) || !boot_cpu_has(X86_FEATURE_XCOMPACTED))
		fpu_alloc_guest_fpstate(lent);
}

static inline void base_lent_fpu_free(struct fpu_guest *lent)
{
	fpu_free_guest_fpstate(lent);
}

static inline void base_lent_fpu_enter(struct fpu_guest *lent)
{
	fpu_swap_kvm_fpstate(lent, true);
}

static inline void base_lent_fpu_leave(struct fpu_guest *lent)
{
	fpu_swap_kvm_fpstate(lent, false);
}

/* Interrupts are off, as for base_lent_fpu_load(). */
static __always_inline bool base_lent_fpu_in_cpu(void)
{
	fpregs_assert_state_consistent();
	return likely(!test_thread_flag(TIF_NEED_FPU_LOAD));
}

/**
 * base_lent_fpu_load() - registers back into the CPU, if the kernel took them out
 *
 * Context: interrupts off, between enter and leave.
 * Return: whether it had.
 */
static inline bool base_lent_fpu_load(void)
{
	if (base_lent_fpu_in_cpu())
		return false;
	switch_fpu_return();
	return true;
}
#else
#define BASE_LENDS_FPU	false

static inline void base_lent_fpu_alloc(struct fpu_guest *lent) { }
static inline void base_lent_fpu_free(struct fpu_guest *lent) { }
static inline void base_lent_fpu_enter(struct fpu_guest *lent) { }
static inline void base_lent_fpu_leave(struct fpu_guest *lent) { }

static __always_inline bool base_lent_fpu_in_cpu(void)
{
	return false;
}

static inline bool base_lent_fpu_load(void)
{
	return false;
}
#endif

/* Shrinkers have come to be allocated by those who know their size. */
static inline struct shrinker *
base_register_shrinker(unsigned long (*count)(struct shrinker *, struct shrink_control *),
		       unsigned long (*scan)(struct shrinker *, struct shrink_control *))
{
#ifdef VMX_HAVE_SHRINKER_ALLOC
	struct shrinker *shrinker = shrinker_alloc(0, "vmx-tables");
#else
	struct shrinker *shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);
#endif

	if (!shrinker)
		return NULL;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
#ifdef VMX_HAVE_SHRINKER_ALLOC
	shrinker_register(shrinker);
#else
	shrinker->seeks = DEFAULT_SEEKS;
	if (register_shrinker(shrinker, "vmx-tables")) {
		kfree(shrinker);
		return NULL;
	}
#endif
	return shrinker;
}

static inline void base_unregister_shrinker(struct shrinker *shrinker)
{
#ifdef VMX_HAVE_SHRINKER_ALLOC
	shrinker_free(shrinker);
#else
	unregister_shrinker(shrinker);
	kfree(shrinker);
#endif
}

static inline void base_timer_setup(struct hrtimer *timer,
				    enum hrtimer_restart (*fn)(struct hrtimer *))
{
#ifdef VMX_HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED);
	timer->function = fn;
#endif
}

#endif /* BASE_COMPAT_H */
