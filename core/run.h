/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RUN, from the inside out:
 *
 *   run_enter()    interrupts off: enters, and enters again after exits that are
 *                  finished on the spot
 *   stay()         preemption off: lets interrupts in, resolves faults whose
 *                  pages are at hand
 *   run_locked()   a thread like any other: sleeps, reschedules, returns
 *
 * An interrupt that arrives while interrupts are off makes the next entry exit at
 * once, before a guest instruction. So a request that another CPU announces with an
 * interrupt (a signal, a kick, a flush) needs checking only after
 * interrupts were open.
 *
 * These loops are the same for every vendor, and compiled for each, so that they cost no calls:
 * one file of the vendor's folder includes this header, after it has defined what the loops do on
 * its CPUs. Those functions begin with run_, and the names say what they do; see vmx/run.c.
 */
#ifndef VMX_VCPU_RUN_H
#define VMX_VCPU_RUN_H

#include <linux/hrtimer.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/vtime.h>

#include <asm/cpu.h>
#include <asm/special_insns.h>

#include "../base/compat.h"
#include "../mmu/mmu.h"
#include "fpu.h"
#include "trace.h"
#include "vcpu.h"

/* Times a million it stays a 64-bit number: an hour and more at any TSC rate. */
#define MAX_HOST_TICKS	BIT_ULL(43)

/* Why a stay ended. */
enum leave {
	LEAVE_USER,	/* an exit for userspace, described in the run page */
	LEAVE_EINTR,	/* a signal, a kick, immediate_exit */
	LEAVE_RESCHED,	/* another task's turn */
	LEAVE_HOME,	/* work that the kernel does on the way to userspace */
	LEAVE_FAULT,	/* a fault whose resolution sleeps */
	LEAVE_LONG,	/* the vCPU's first long RUN needs memory */
	LEAVE_SPLIT_LOCK, /* a split lock, which the host detects */
	LEAVE_ERROR,	/* an errno; the exit is described */
};

/*
 * Other work than rseq's, which comes with every preemption and can wait for the end
 * of RUN: it is about what the program sees. Until then its flag is off, so that
 * whoever adds other work sets it and interrupts this CPU.
 */
static bool has_work(struct vmx_vcpu *v)
{
	clear_thread_flag(TIF_NOTIFY_RESUME);
	smp_mb__after_atomic(); /* Pairs with task_work_add(). */
	v->rseq_waits = !vmx_task_work();
	if (!v->rseq_waits)
		set_thread_flag(TIF_NOTIFY_RESUME);
	return !v->rseq_waits;
}

static noinline enum leave leave_for(struct vmx_vcpu *v, unsigned long work)
{
	if (work & _TIF_SIGPENDING)
		return LEAVE_EINTR;
	if (work & _TIF_NOTIFY_SIGNAL || (work & _TIF_NOTIFY_RESUME && has_work(v)))
		return LEAVE_HOME;
	return LEAVE_RESCHED;
}

/* Is there a reason not to enter? */
static bool must_leave(struct vmx_vcpu *v, enum leave *leave)
{
	unsigned long work = read_thread_flags() &
			     (VMX_TIF_RESCHED | _TIF_SIGPENDING |
			      _TIF_NOTIFY_SIGNAL | _TIF_NOTIFY_RESUME);

	if (unlikely(READ_ONCE(v->run->immediate_exit) | READ_ONCE(v->kicked))) {
		*leave = LEAVE_EINTR;
		return true;
	}
	if (likely(!work))
		return false;
	*leave = leave_for(v, work);
	return true;
}

/* Without a preemption timer a host timer ends the guest's stay. */
static bool deadline_passed(struct vmx_vcpu *v)
{
	if (!v->deadline || run_has_timer() || run_ticks_left(v))
		return false;
	v->deadline = 0;
	v->run->deadline = 0;
	v->reason = VMX_REASON_PREEMPTION_TIMER;
	v->count.exits[v->reason]++;
	return true;
}

/*
 * The timer is started at every stay, so it may saturate. It has to: a quotient
 * that does not fit 64 bits is a divide error on x86.
 */
static void start_host_timer(struct vmx_vcpu *v)
{
	u64 left;

	if (likely(!v->deadline) || run_has_timer())
		return;
	left = min(run_ticks_left(v), MAX_HOST_TICKS);
	hrtimer_start(&v->timer,
		      ns_to_ktime(mul_u64_u32_div(left, NSEC_PER_MSEC,
						  run_tsc_khz() ?: 1)),
		      HRTIMER_MODE_REL_PINNED);
}

/* An enum vmx_fault or a negative errno. */
static int resolve_access(struct vmx_vcpu *v, bool atomic)
{
	int r;

	if (v->paging)
		return run_paging_fault(v, atomic);
	r = vmx_mmu_fault(v->mmu, v->gpa, v->access, atomic, &v->miss);
	trace_fault(v->tag.vpid, v->gpa, v->violation, r);
	if (r == VMX_FAULT_DONE)
		v->count.faults++;
	return r;
}

/* With the page at hand, or LEAVE_FAULT. Interrupts on, preemption off. */
static bool resolve_fault(struct vmx_vcpu *v, enum leave *leave, int *err)
{
	int r = resolve_access(v, true);

	if (likely(r == VMX_FAULT_DONE))
		return true;
	*leave = r == -EAGAIN ? LEAVE_FAULT :
		 r == VMX_FAULT_EXIT ? LEAVE_USER : LEAVE_ERROR;
	*err = r;
	return false;
}

/* The guest's roots, where paging is by shadow pages and has changed. */
static bool load_paging(struct vmx_vcpu *v, enum leave *leave)
{
	int r;

	if (likely(!v->paging || !v->paging->reload))
		return true;
	r = run_paging_load(v);
	*leave = r == VMX_FAULT_EXIT ? LEAVE_USER : LEAVE_FAULT;
	return !r;
}

/* Those that the guest could go to by itself. */
static noinline bool others_stale(const struct vmx_views *views)
{
	unsigned int i;

	for (i = 1; i < views->count; i++)
		if (vmx_view_stale(&views->view[i]))
			return true;
	return false;
}

static bool needs_flush(const struct vmx_vcpu *v)
{
	const struct vmx_views *views = v->views;

	return v->tag.vpid_on != smp_processor_id() ||
	       vmx_view_stale(&views->view[0]) ||
	       (unlikely(views->count > 1) && others_stale(views));
}

/* The guest runs until this thread has to do something else. */
static enum leave stay(struct vmx_vcpu *v, int *err)
{
	enum vmx_next next = VMX_NEXT_IRQ;
	enum leave leave;

	run_set_timer_exit(v, v->deadline && run_has_timer());
	start_host_timer(v);
	for (;;) {
		if (unlikely(v->pml_count) && !run_tell_log(v))
			return LEAVE_RESCHED;
		if (unlikely(!load_paging(v, &leave)))
			return leave;
		local_irq_disable();
		vmx_ledger_irqs_off();
		vmx_ledger_look();
		if (must_leave(v, &leave))
			break;
		if (unlikely(deadline_passed(v))) {
			leave = LEAVE_USER;
			break;
		}
		run_note_host(v);
		if (unlikely(needs_flush(v)))
			run_flush(v);
		vtime_account_guest_enter();
		vmx_fpu_load(v);
		next = run_enter(v);
		vmx_fpu_unload(v);
		run_restore_host(v);
		if (unlikely(v->pml_on))
			run_note_log(v);
		if (next == VMX_NEXT_IRQ) {
			/*
			 * No RCU read-side critical section reaches into the guest, so
			 * that grace periods need not wait for the stay's end. What is
			 * told before a clock tick, the tick passes on.
			 */
			rcu_note_context_switch(false);
			vmx_ledger_irqs_on();
			/* STI's shadow is one instruction. */
			local_irq_enable();
			asm volatile("nop");
			local_irq_disable();
			vmx_ledger_irqs_off();
		}
		vtime_account_guest_exit();
		vmx_ledger_irqs_on();
		local_irq_enable();
		if (next == VMX_NEXT_USER)
			return LEAVE_USER;
		if (unlikely(next == VMX_NEXT_SPLIT_LOCK))
			return LEAVE_SPLIT_LOCK;
		if (next == VMX_NEXT_FAULT && !resolve_fault(v, &leave, err))
			return leave;
		if (unlikely(next == VMX_NEXT_FAILED)) {
			run_explain_failure(v);
			return LEAVE_USER;
		}
		if (unlikely(!v->fpu_long) && !vmx_fpu_begin(v))
			return LEAVE_LONG;
	}
	vmx_ledger_irqs_on();
	local_irq_enable();
	return leave;
}

/* A stay and what has to be read at its end. */
static enum leave stay_and_tell(struct vmx_vcpu *v, int *err)
{
	enum leave leave = stay(v, err);

	if (likely(leave == LEAVE_USER) || leave == LEAVE_ERROR)
		run_give_exit(v);
	else if (leave == LEAVE_EINTR || leave == LEAVE_HOME)
		run_give_state(v);
	run_unload(v);
	return leave;
}

/* A CPU that is on its way offline lets nobody in. */
static __always_inline int load_vcpu(struct vmx_vcpu *v)
{
	int err;

	while (unlikely((err = run_load(v)) == -EAGAIN))
		schedule_timeout_uninterruptible(1);
	return err;
}

/*
 * Task work and the like wait for a return to userspace. That is not userspace's
 * business: RUN is started again on the spot, as the flag makes the kernel do with
 * a restartable system call.
 */
static long go_home(struct vmx_vcpu *v)
{
	v->count.runs--;
	set_thread_flag(TIF_NOTIFY_SIGNAL);
	return -ERESTARTNOINTR;
}

/* What a RUN that left its stay has to give back at its end. */
static noinline void end_long(struct vmx_vcpu *v)
{
	vmx_fpu_end(v);
	if (v->rseq_waits)
		set_thread_flag(TIF_NOTIFY_RESUME);
	v->rseq_waits = false;
}

/* A fault that could not be resolved, after the CPU was left. */
static int give_late(struct vmx_vcpu *v, int fault)
{
	int err = run_acquire(v);

	if (fault == -EHWPOISON)
		vmx_mmu_poisoned(v->mmu, v->paging ? v->paging->miss : v->gpa);
	if (err)
		return err;
	if (fault == -EINTR)
		run_give_state(v);
	else
		run_give_exit(v);
	run_release();
	return fault == VMX_FAULT_EXIT ? 0 : fault;
}

/*
 * The host warns, slows the thread down and lets the CPU execute it, or sends SIGBUS.
 * 1 if the guest may try again, 0 if the exit is userspace's, or an errno.
 */
static int split_lock(struct vmx_vcpu *v)
{
	int err = run_acquire(v);
	u64 rip;

	if (err)
		return err;
	rip = run_guest_rip();
	run_release();
	return handle_guest_split_lock(rip) ? 1 : give_late(v, VMX_FAULT_EXIT);
}

static long run_locked(struct vmx_vcpu *v)
{
	int err = load_vcpu(v);

	if (unlikely(err))
		return err;
	err = run_take_input(v);
	if (unlikely(err)) {
		run_unload(v);
		return err;
	}
	for (;;) {
		enum leave leave = stay_and_tell(v, &err);

		if (likely(leave == LEAVE_USER)) {
			/* Told later, a page could be reported by an ioctl and by RUN. */
			if (unlikely(v->pml_count))
				run_tell_log(v);
			return 0;
		}
		switch (leave) {
		case LEAVE_ERROR:
			return err;
		case LEAVE_EINTR:
			WRITE_ONCE(v->kicked, false);
			return -EINTR;
		case LEAVE_HOME:
			return go_home(v);
		case LEAVE_RESCHED:
			cond_resched();
			break;
		case LEAVE_FAULT:
			/* Do the same again, where it may sleep. */
			err = resolve_access(v, false);
			if (err == VMX_FAULT_DONE)
				break;
			return give_late(v, err);
		case LEAVE_SPLIT_LOCK:
			err = split_lock(v);
			if (err > 0)
				break;
			return err;
		default:	/* LEAVE_LONG */
			break;
		}
		if (unlikely(!v->fpu_long)) {
			vmx_fpu_prepare(v);
			vmx_fpu_begin(v);
		}
		err = load_vcpu(v);
		if (err)
			return err;
	}
}

/* %VMX_RUN: 0 or a negative errno. May sleep; the owner's address space. */
static __always_inline long run_vcpu(struct vmx_vcpu *v)
{
	long r;

	if (!run_trylock(v))
		return -EBUSY;
	v->count.runs++;
	r = run_locked(v);
	if (unlikely(v->fpu_long))
		end_long(v);
	if (!run_has_timer())
		hrtimer_cancel(&v->timer);
	run_unlock(v);
	return r;
}

#endif /* VMX_VCPU_RUN_H */
