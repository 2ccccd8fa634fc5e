/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RUN, from the inside out:
 *
 *   run_enter()    interrupts off: enters, and enters again after exits that are
 *                  finished on the spot
 *   vmm_stay()         preemption off: lets interrupts in, resolves faults whose
 *                  pages are at hand
 *   vmm_run_locked()   a thread like any other: sleeps, reschedules, returns
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
#ifndef VMM_RUN_H
#define VMM_RUN_H

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
#define VMM_HOST_TICKS_MAX	BIT_ULL(43)

/* Why a stay ended. */
enum vmm_leave {
	VMM_LEAVE_USER,	/* an exit for userspace, described in the run page */
	VMM_LEAVE_EINTR,	/* a signal, a kick, immediate_exit */
	VMM_LEAVE_RESCHED,	/* another task's turn */
	VMM_LEAVE_HOME,	/* work that the kernel does on the way to userspace */
	VMM_LEAVE_FAULT,	/* a fault whose resolution sleeps */
	VMM_LEAVE_LONG,	/* the vCPU's first long RUN needs memory */
	VMM_LEAVE_SPLIT_LOCK, /* a split lock, which the host detects */
	VMM_LEAVE_ERROR,	/* an errno; the exit is described */
};

/*
 * Other work than rseq's, which comes with every preemption and can wait for the end
 * of RUN: it is about what the program sees. Until then its flag is off, so that
 * whoever adds other work sets it and interrupts this CPU.
 */
static bool vmm_has_work(struct vmm_vcpu *v)
{
	clear_thread_flag(TIF_NOTIFY_RESUME);
	smp_mb__after_atomic(); /* Pairs with task_work_add(). */
	v->rseq_waits = !base_task_work();
	if (!v->rseq_waits)
		set_thread_flag(TIF_NOTIFY_RESUME);
	return !v->rseq_waits;
}

static noinline enum vmm_leave vmm_leave_for(struct vmm_vcpu *v, unsigned long work)
{
	if (work & _TIF_SIGPENDING)
		return VMM_LEAVE_EINTR;
	if (work & _TIF_NOTIFY_SIGNAL || (work & _TIF_NOTIFY_RESUME && vmm_has_work(v)))
		return VMM_LEAVE_HOME;
	return VMM_LEAVE_RESCHED;
}

/* Without a preemption timer a host timer asks for this. */
static bool vmm_deadline_passed(struct vmm_vcpu *v)
{
	if (!v->deadline || run_has_timer() || run_ticks_left(v))
		return false;
	v->deadline = 0;
	v->run->deadline = 0;
	v->exit.begin = VMX_REASON_PREEMPTION_TIMER;
	v->count.exits[v->exit.reason]++;
	return true;
}

/*
 * The timer is started at every stay, so it may saturate. It has to: a quotient
 * that does not fit 64 bits is a divide error on x86.
 */
static void vmm_start_host_timer(struct vmm_vcpu *v)
{
	u64 left;

	if (likely(!v->deadline) || run_has_timer())
		return;
	left = min(run_ticks_left(v), VMM_HOST_TICKS_MAX);
	if (!left)
		set_bit(VMM_REQUEST_DEADLINE, &v->requests);
	hrtimer_start(&v->timer,
		      ns_to_ktime(mul_u64_u32_div(left, NSEC_PER_MSEC,
						  run_tsc_khz() ?: 1)),
		      HRTIMER_MODE_REL_PINNED);
}

/* A timer may be early: it counts the host's time, which is adjusted, and not the TSC. */
static bool vmm_look_at_deadline(struct vmm_vcpu *v)
{
	clear_bit(VMM_REQUEST_DEADLINE, &v->requests);
	if (vmm_deadline_passed(v))
		return true;
	vmm_start_host_timer(v);
	return false;
}

/* What the program or others ask for, and the thread's work. */
static noinline bool vmm_serve_requests(struct vmm_vcpu *v, unsigned long work,
					enum vmm_leave *leave)
{
	unsigned long requests = READ_ONCE(v->requests);

	if (READ_ONCE(v->run->immediate_exit) || requests & BIT(VMM_REQUEST_KICK))
		*leave = VMM_LEAVE_EINTR;
	else if (work)
		*leave = vmm_leave_for(v, work);
	else if (requests & BIT(VMM_REQUEST_DEADLINE) && vmm_look_at_deadline(v))
		*leave = VMM_LEAVE_USER;
	else
		return false;
	return true;
}

/* Is there a reason not to enter? */
static bool vmm_must_leave(struct vmm_vcpu *v, enum vmm_leave *leave)
{
	unsigned long work = read_thread_flags() &
			     (BASE_TIF_RESCHED | _TIF_SIGPENDING |
			      _TIF_NOTIFY_SIGNAL | _TIF_NOTIFY_RESUME);

	if (unlikely(READ_ONCE(v->run->immediate_exit) | READ_ONCE(v->requests)))
		return vmm_serve_requests(v, work, leave);
	if (likely(!work))
		return false;
	*leave = vmm_leave_for(v, work);
	return true;
}

/* An enum gphys_fault or a negative errno. */
static int vmm_resolve_access(struct vmm_vcpu *v, bool atomic)
{
	int r;

	if (v->paging)
		return run_paging_fault(v, atomic);
	r = gphys_fault(v->mmu, v->exit.physical, v->exit.access, atomic, &v->miss);
	trace_fault(v->tag.id, v->exit.physical, v->exit.qualification, r);
	if (r == GPHYS_FAULT_DONE)
		v->count.faults++;
	return r;
}

/* With the page at hand, or VMM_LEAVE_FAULT. Interrupts on, preemption off. */
static bool vmm_resolve_fault(struct vmm_vcpu *v, enum vmm_leave *leave, int *err)
{
	int r = vmm_resolve_access(v, true);

	if (likely(r == GPHYS_FAULT_DONE))
		return true;
	*leave = r == -EAGAIN ? VMM_LEAVE_FAULT :
		 r == GPHYS_FAULT_EXIT ? VMM_LEAVE_USER : VMM_LEAVE_ERROR;
	*err = r;
	return false;
}

/* The guest's roots, where paging is by shadow pages and has changed. */
static bool vmm_load_paging(struct vmm_vcpu *v, enum vmm_leave *leave)
{
	int r;

	if (likely(!v->paging || !v->paging->reload))
		return true;
	r = run_paging_load(v);
	*leave = r == GPHYS_FAULT_EXIT ? VMM_LEAVE_USER : VMM_LEAVE_FAULT;
	return !r;
}

/* Those that the guest could go to by itself. */
static noinline bool vmm_other_views_stale(const struct vmm_views *views)
{
	unsigned int i;

	for (i = 1; i < views->count; i++)
		if (gphys_view_stale(&views->view[i]))
			return true;
	return false;
}

static bool vmm_needs_flush(const struct vmm_vcpu *v)
{
	const struct vmm_views *views = v->views;

	return v->tag.id_on != smp_processor_id() ||
	       gphys_view_stale(&views->view[0]) ||
	       (unlikely(views->count > 1) && vmm_other_views_stale(views));
}

/* The guest runs until this thread has to do something else. */
static enum vmm_leave vmm_stay(struct vmm_vcpu *v, int *err)
{
	enum vmm_next next = VMM_NEXT_IRQ;
	enum vmm_leave leave;

	run_set_timer_exit(v, v->deadline && run_has_timer());
	vmm_start_host_timer(v);
	for (;;) {
		if (unlikely(v->pml_count) && !run_tell_log(v))
			return VMM_LEAVE_RESCHED;
		if (unlikely(!vmm_load_paging(v, &leave)))
			return leave;
		local_irq_disable();
		base_ledger_irqs_off();
		base_ledger_look();
		if (vmm_must_leave(v, &leave))
			break;
		run_note_host(v);
		if (unlikely(vmm_needs_flush(v)))
			run_flush(v);
		vtime_account_guest_enter();
		vmm_fpu_load(v);
		next = run_enter(v);
		vmm_fpu_unload(v);
		run_restore_host(v);
		if (unlikely(v->pml_on))
			run_note_log(v);
		if (next == VMM_NEXT_IRQ) {
			/*
			 * No RCU read-side critical section reaches into the guest, so
			 * that grace periods need not wait for the stay's end. What is
			 * told before a clock tick, the tick passes on.
			 */
			rcu_note_context_switch(false);
			base_ledger_irqs_on();
			/* STI's shadow is one instruction. */
			local_irq_enable();
			asm volatile("nop");
			local_irq_disable();
			base_ledger_irqs_off();
		}
		vtime_account_guest_exit();
		base_ledger_irqs_on();
		local_irq_enable();
		if (next == VMM_NEXT_USER)
			return VMM_LEAVE_USER;
		if (unlikely(next == VMM_NEXT_SPLIT_LOCK))
			return VMM_LEAVE_SPLIT_LOCK;
		if (next == VMM_NEXT_FAULT && !vmm_resolve_fault(v, &leave, err))
			return leave;
		if (unlikely(next == VMM_NEXT_FAILED)) {
			run_explain_failure(v);
			return VMM_LEAVE_USER;
		}
		if (unlikely(!v->fpu_long) && !vmm_fpu_begin(v))
			return VMM_LEAVE_LONG;
	}
	base_ledger_irqs_on();
	local_irq_enable();
	return leave;
}

/* A stay and what has to be read at its end. */
static enum vmm_leave vmm_stay_and_tell(struct vmm_vcpu *v, int *err)
{
	enum vmm_leave leave = vmm_stay(v, err);

	if (likely(leave == VMM_LEAVE_USER) || leave == VMM_LEAVE_ERROR)
		run_give_exit(v);
	else if (leave == VMM_LEAVE_EINTR || leave == VMM_LEAVE_HOME)
		run_give_state(v);
	run_unload(v);
	return leave;
}

/* A CPU that is on its way offline lets nobody in. */
static __always_inline int vmm_load_vcpu(struct vmm_vcpu *v)
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
static long vmm_restart_run(struct vmm_vcpu *v)
{
	v->count.runs--;
	set_thread_flag(TIF_NOTIFY_SIGNAL);
	return -ERESTARTNOINTR;
}

/* What a RUN that left its stay has to give back at its end. */
static noinline void vmm_end_long_run(struct vmm_vcpu *v)
{
	vmm_fpu_end(v);
	if (v->rseq_waits)
		set_thread_flag(TIF_NOTIFY_RESUME);
	v->rseq_waits = false;
}

/* A fault that could not be resolved, after the CPU was left. */
static int vmm_give_exit_late(struct vmm_vcpu *v, int fault)
{
	int err = run_acquire(v);

	if (fault == -EHWPOISON)
		gphys_poisoned(v->mmu, v->paging ? v->paging->miss : v->exit.physical);
	if (err)
		return err;
	if (fault == -EINTR)
		run_give_state(v);
	else
		run_give_exit(v);
	run_release();
	return fault == GPHYS_FAULT_EXIT ? 0 : fault;
}

/*
 * The host warns, slows the thread down and lets the CPU execute it, or sends SIGBUS.
 * 1 if the guest may try again, 0 if the exit is userspace's, or an errno.
 */
static int vmm_handle_split_lock(struct vmm_vcpu *v)
{
	int err = run_acquire(v);
	u64 rip;

	if (err)
		return err;
	rip = run_guest_rip();
	run_release();
	return handle_guest_split_lock(rip) ? 1 : vmm_give_exit_late(v, GPHYS_FAULT_EXIT);
}

static long vmm_run_locked(struct vmm_vcpu *v)
{
	int err = vmm_load_vcpu(v);

	if (unlikely(err))
		return err;
	err = run_take_input(v);
	if (unlikely(err)) {
		run_unload(v);
		return err;
	}
	for (;;) {
		enum vmm_leave leave = vmm_stay_and_tell(v, &err);

		if (likely(leave == VMM_LEAVE_USER)) {
			/* Told later, a page could be reported by an ioctl and by RUN. */
			if (unlikely(v->pml_count))
				run_tell_log(v);
			return 0;
		}
		switch (leave) {
		case VMM_LEAVE_ERROR:
			return err;
		case VMM_LEAVE_EINTR:
			clear_bit(VMM_REQUEST_KICK, &v->requests);
			return -EINTR;
		case VMM_LEAVE_HOME:
			return vmm_restart_run(v);
		case VMM_LEAVE_RESCHED:
			cond_resched();
			break;
		case VMM_LEAVE_FAULT:
			/* Do the same again, where it may sleep. */
			err = vmm_resolve_access(v, false);
			if (err == GPHYS_FAULT_DONE)
				break;
			return vmm_give_exit_late(v, err);
		case VMM_LEAVE_SPLIT_LOCK:
			err = vmm_handle_split_lock(v);
			if (err > 0)
				break;
			return err;
		default:	/* VMM_LEAVE_LONG */
			break;
		}
		if (unlikely(!v->fpu_long)) {
			vmm_fpu_prepare(v);
			vmm_fpu_begin(v);
		}
		err = vmm_load_vcpu(v);
		if (err)
			return err;
	}
}

/* %VMX_RUN: 0 or a negative errno. May sleep; the owner's address space. */
static __always_inline long vmm_run_vcpu(struct vmm_vcpu *v)
{
	long r;

	if (!run_trylock(v))
		return -EBUSY;
	v->count.runs++;
	r = vmm_run_locked(v);
	if (unlikely(v->fpu_long))
		vmm_end_long_run(v);
	if (!run_has_timer()) {
		hrtimer_cancel(&v->timer);
		clear_bit(VMM_REQUEST_DEADLINE, &v->requests);
	}
	run_unlock(v);
	return r;
}

#endif /* VMM_RUN_H */
