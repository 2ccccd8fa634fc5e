// SPDX-License-Identifier: GPL-2.0
/*
 * RUN, from the inside out:
 *
 *   enter_until()  interrupts off: enters, and enters again after exits that are
 *                  finished on the spot
 *   stay()         preemption off: lets interrupts in, resolves faults whose
 *                  pages are at hand
 *   run_locked()   a thread like any other: sleeps, reschedules, returns
 *
 * An interrupt that arrives while interrupts are off makes the next entry exit at
 * once, before a guest instruction. So a request that another CPU announces with an
 * interrupt (a signal, a kick, a flush) needs checking only after
 * interrupts were open.
 */
#include <linux/hrtimer.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/vtime.h>

#include <asm/cpu.h>
#include <asm/msr.h>
#include <asm/special_insns.h>

#include "../base/compat.h"
#include "../mmu/mmu.h"
#include "../paging/paging.h"
#include "../vmx/buffers.h"
#include "../vmx/caps.h"
#include "../vmx/host.h"
#include "../vmx/ledger.h"
#include "../vmx/load.h"
#include "../vmx/perf.h"
#include "../vmx/vmx.h"
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

/* The event into the VM-entry fields, which the entry consumes. */
static void inject(struct vmx_vcpu *v)
{
	trace_inject(v->vpid, v->event.info, v->event.error);
	vmx_write(v, VMX_F_ENTRY_INTR_INFO, v->event.info);
	if (v->event.info & VMX_INTR_ERROR_CODE)
		vmx_write(v, VMX_F_ENTRY_EXCEPTION_ERROR, v->event.error);
	if (v->event.info & VMX_INTR_TYPE_SOFTWARE_INTERRUPT)
		vmx_write(v, VMX_F_ENTRY_INSN_LENGTH, v->event.length);
	v->event.info = 0;
	v->count.injections++;
}

static void set_timer_exit(struct vmx_vcpu *v, bool on)
{
	u32 ctls = v->vmcs->pin_ctls | (on ? VMX_PIN_PREEMPTION_TIMER : 0);

	if (ctls == v->vmcs->pin_ctls_now)
		return;
	v->vmcs->pin_ctls_now = ctls;
	vmx_write(v, VMX_F_PIN_CONTROLS, ctls);
}

/* Guest TSC ticks until the deadline; 0 if it has passed. */
static u64 ticks_left(const struct vmx_vcpu *v)
{
	u64 now = vmx_guest_tsc(v);

	return v->deadline > now ? v->deadline - now : 0;
}

/* SDM, "VMX-Preemption Timer": rounded up, so that it never fires early. */
static void set_timer(struct vmx_vcpu *v)
{
	u32 shift = vmx_caps.timer_shift;
	u64 left = (ticks_left(v) + BIT_ULL(shift) - 1) >> shift;

	vmx_write(v, VMX_F_PREEMPTION_TIMER, min_t(u64, left, U32_MAX));
}

static bool has_timer(void)
{
	return vmx_caps.features & VMX_HAS_PREEMPTION_TIMER;
}

static void trace_exit_of(struct vmx_vcpu *v)
{
	trace_exit(v->vpid, v->reason, vmx_read(v, VMX_F_GUEST_RIP),
		   vmx_read(v, VMX_F_EXIT_QUALIFICATION));
}

/* Something has to be done before VM entry that most CPUs do without. */
static DEFINE_STATIC_KEY_FALSE(before_first);
static DEFINE_STATIC_KEY_FALSE(before_each);

/**
 * vmx_run_init() - find out what this CPU needs before VM entry
 *
 * Context: module init; vmx_buffers_init() was called.
 */
void __init vmx_run_init(void)
{
	bool perf = vmx_perf_init();

	if (perf || vmx_clears_before_first)
		static_branch_enable(&before_first);
	if (perf || vmx_clears_before_each)
		static_branch_enable(&before_each);
}

static noinline void prepare_first(struct vmx_vcpu *v)
{
	vmx_perf_switch(v);
	vmx_clear_before_first(v);
}

static noinline void prepare_each(struct vmx_vcpu *v)
{
	if (v->perf_count)
		vmx_perf_switch(v);
	vmx_clear_before_each(v);
}

static enum vmx_next enter_until(struct vmx_vcpu *v)
{
	enum vmx_next next;

	if (static_branch_unlikely(&before_first))
		prepare_first(v);
	do {
		trace_entry(v->vpid, v->event.info);
		if (unlikely(v->event.info))
			inject(v);
		if (v->deadline && has_timer())
			set_timer(v);
		vmx_ledger_enter(v);
		if (static_branch_unlikely(&before_each))
			prepare_each(v);
		v->reason = vmx_enter(v);
		vmx_ledger_leave(v);
		if (trace_exit_enabled())
			trace_exit_of(v);
		next = vmx_handle_exit(v);
		vmx_ledger_handled(v);
	} while (next == VMX_NEXT_ENTER);
	return next;
}

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
	if (!v->deadline || has_timer() || ticks_left(v))
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

	if (likely(!v->deadline) || has_timer())
		return;
	left = min(ticks_left(v), MAX_HOST_TICKS);
	hrtimer_start(&v->timer,
		      ns_to_ktime(mul_u64_u32_div(left, NSEC_PER_MSEC,
						  vmx_caps.tsc_khz ?: 1)),
		      HRTIMER_MODE_REL_PINNED);
}

/* An enum vmx_fault or a negative errno. */
static int fault(struct vmx_vcpu *v, bool atomic)
{
	int r;

	if (v->paging)
		return atomic ? vmx_paging_exit(v) : vmx_paging_prepare(v);
	r = vmx_mmu_fault(v->mmu, v->gpa, v->access, atomic, &v->miss);
	trace_fault(v->vpid, v->gpa, v->violation, r);
	if (r == VMX_FAULT_DONE)
		v->count.faults++;
	return r;
}

/* With the page at hand, or LEAVE_FAULT. Interrupts on, preemption off. */
static bool resolve_fault(struct vmx_vcpu *v, enum leave *leave, int *err)
{
	int r = fault(v, true);

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
	r = vmx_paging_load(v);
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

	return v->vpid_on != smp_processor_id() ||
	       vmx_view_stale(&views->view[0]) ||
	       (unlikely(views->count > 1) && others_stale(views));
}

/* The guest runs until this thread has to do something else. */
static enum leave stay(struct vmx_vcpu *v, int *err)
{
	enum vmx_next next = VMX_NEXT_IRQ;
	enum leave leave;

	set_timer_exit(v, v->deadline && has_timer());
	start_host_timer(v);
	for (;;) {
		if (unlikely(v->pml_count) && !vmx_pml_tell(v))
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
		vmx_host_note(v);
		if (unlikely(needs_flush(v))) {
			vmx_flush(v);
			vmx_pml_switch(v);
		}
		vtime_account_guest_enter();
		vmx_fpu_load(v);
		next = enter_until(v);
		vmx_fpu_unload(v);
		vmx_host_restore(v);
		if (unlikely(v->pml_on))
			vmx_pml_note(v);
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
			vmx_explain_failure(v);
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
		vmx_give_exit(v);
	else if (leave == LEAVE_EINTR || leave == LEAVE_HOME)
		vmx_give_state(v);
	vmx_unload(v);
	return leave;
}

/* A CPU that is on its way offline lets nobody in. */
static __always_inline int load(struct vmx_vcpu *v)
{
	int err;

	while (unlikely((err = vmx_load(v)) == -EAGAIN))
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
	int err = vmx_vmcs_get(v->vmcs);

	if (fault == -EHWPOISON)
		vmx_mmu_poisoned(v->mmu, v->paging ? v->paging->miss : v->gpa);
	if (err)
		return err;
	if (fault == -EINTR)
		vmx_give_state(v);
	else
		vmx_give_exit(v);
	vmx_vmcs_unget();
	return fault == VMX_FAULT_EXIT ? 0 : fault;
}

/*
 * The host warns, slows the thread down and lets the CPU execute it, or sends SIGBUS.
 * 1 if the guest may try again, 0 if the exit is userspace's, or an errno.
 */
static int split_lock(struct vmx_vcpu *v)
{
	int err = vmx_vmcs_get(v->vmcs);
	u64 rip;

	if (err)
		return err;
	rip = vmx_insn_vmread(VMX_F_GUEST_RIP);
	vmx_vmcs_unget();
	return handle_guest_split_lock(rip) ? 1 : give_late(v, VMX_FAULT_EXIT);
}

static long run_locked(struct vmx_vcpu *v)
{
	int err = load(v);

	if (unlikely(err))
		return err;
	err = vmx_take_input(v);
	if (unlikely(err)) {
		vmx_unload(v);
		return err;
	}
	for (;;) {
		enum leave leave = stay_and_tell(v, &err);

		if (likely(leave == LEAVE_USER)) {
			/* Told later, a page could be reported by an ioctl and by RUN. */
			if (unlikely(v->pml_count))
				vmx_pml_tell(v);
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
			err = fault(v, false);
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
		err = load(v);
		if (err)
			return err;
	}
}

/**
 * vmx_run() - %VMX_RUN
 * @v: the vCPU
 *
 * Context: may sleep; the owner's address space.
 * Return: 0 or a negative errno.
 */
long vmx_run(struct vmx_vcpu *v)
{
	long r;

	if (!vmx_vmcs_trylock(v->vmcs))
		return -EBUSY;
	v->count.runs++;
	r = run_locked(v);
	if (unlikely(v->fpu_long))
		end_long(v);
	if (!has_timer())
		hrtimer_cancel(&v->timer);
	vmx_vmcs_unlock_vcpu(v->vmcs);
	return r;
}
