/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A vendor without hardware, for which RUN's loops (core/run.h) are compiled: it logs what it is
 * asked for, checks that it is asked in the right state of the CPU, and says what each entry and
 * each fault come to.
 */
#ifndef KUNIT_RUN_BACKEND_H
#define KUNIT_RUN_BACKEND_H

#include <linux/sched/signal.h>
#include <linux/vtime.h>

#include <asm/cpu.h>

#include "../../base/compat.h"
#include "../../core/vcpu.h"
#include "../../mmu/mmu.h"

/* How an entry ends, and what is done about a fault or a split lock then. */
enum way {
	IRQ,			/* for an interrupt of the host */
	IRQ_RESCHED,		/* whose handler wakes another thread */
	FAULT,			/* the page is at hand */
	FAULT_SLEEPS,		/* it is got after the CPU was left */
	SPLIT_LOCK,		/* the host lets the guest go on */
	TIMER,			/* the host's, which is for the deadline */
	GOES_ON,		/* those before do not end RUN */
	USER = GOES_ON,
	FAILED,
	FAULT_EXIT,
	FAULT_ERROR,
	FAULT_SLEEPS_EXIT,
	FAULT_SLEEPS_ERROR,
	FAULT_SLEEPS_SIGNAL,
	FAULT_SLEEPS_POISON,
	SPLIT_LOCK_SIGBUS,
	KICK,			/* while the guest runs, as all that follow */
	SIGNAL,
	WORK,			/* for the way to userspace */
	WAYS
};

/* What each is for the loops. */
static const struct {
	enum vmm_next next;
	int atomic;		/* what a fault comes to at once, */
	int late;		/* and where it may sleep */
	long result;		/* of RUN, if that is its end */
} ways[WAYS] = {
	[IRQ] = { VMM_NEXT_IRQ },
	[IRQ_RESCHED] = { VMM_NEXT_IRQ },
	[FAULT] = { VMM_NEXT_FAULT, GPHYS_FAULT_DONE },
	[FAULT_SLEEPS] = { VMM_NEXT_FAULT, -EAGAIN, GPHYS_FAULT_DONE },
	[SPLIT_LOCK] = { VMM_NEXT_SPLIT_LOCK },
	[TIMER] = { VMM_NEXT_IRQ },
	[USER] = { VMM_NEXT_USER },
	[FAILED] = { VMM_NEXT_FAILED },
	[FAULT_EXIT] = { VMM_NEXT_FAULT, GPHYS_FAULT_EXIT },
	[FAULT_ERROR] = { VMM_NEXT_FAULT, -EFAULT, 0, -EFAULT },
	[FAULT_SLEEPS_EXIT] = { VMM_NEXT_FAULT, -EAGAIN, GPHYS_FAULT_EXIT },
	[FAULT_SLEEPS_ERROR] = { VMM_NEXT_FAULT, -EAGAIN, -ENOMEM, -ENOMEM },
	[FAULT_SLEEPS_SIGNAL] = { VMM_NEXT_FAULT, -EAGAIN, -EINTR, -EINTR },
	[FAULT_SLEEPS_POISON] = { VMM_NEXT_FAULT, -EAGAIN, -EHWPOISON, -EHWPOISON },
	[SPLIT_LOCK_SIGBUS] = { VMM_NEXT_SPLIT_LOCK },
	[KICK] = { VMM_NEXT_IRQ, 0, 0, -EINTR },
	[SIGNAL] = { VMM_NEXT_IRQ, 0, 0, -EINTR },
	[WORK] = { VMM_NEXT_IRQ, 0, 0, -ERESTARTNOINTR },
};

#define ENTRIES		4
#define LOG_SIZE	200

/**
 * struct backend - the vendor, and what a RUN did with it
 * @log: a letter for each call
 * @length: of @log
 * @broken: the first rule that a call broke
 * @way: how each entry ends
 * @entries: how many there were
 * @loaded: between load and unload
 * @acquired: between acquire and release
 * @noted: between note_host and restore_host
 * @fpu: the guest's FPU state is in the CPU
 * @has_timer: the CPU's own timer ends a guest at the deadline
 * @no_memory: a long RUN has to sleep before it begins
 * @offline: how often the CPU is on its way offline when it is to be loaded
 * @load: what loading comes to after that
 * @input: what the run page's input comes to
 * @busy: somebody else has the vCPU
 * @tsc: of the guest
 * @paging: what loading the roots comes to
 */
static struct backend {
	char log[LOG_SIZE];
	unsigned int length;
	const char *broken;
	enum way way[ENTRIES];
	unsigned int entries;
	bool loaded, acquired, noted, fpu;
	bool has_timer, no_memory, busy;
	int offline, load, input, paging;
	u64 tsc;
} backend;

#define RULE(condition)	do {							\
	if (!(condition) && !backend.broken)				\
		backend.broken = #condition;				\
} while (0)

static void note(char letter)
{
	if (backend.length < LOG_SIZE - 1)
		backend.log[backend.length++] = letter;
}

static enum way last_way(void)
{
	return backend.way[backend.entries - 1];
}

static bool run_trylock(struct vmm_vcpu *v)
{
	return !backend.busy;
}

static void run_unlock(struct vmm_vcpu *v)
{
	RULE(!backend.loaded && !backend.acquired);
	RULE(!v->fpu_long);
	note('.');
}

static int run_load(struct vmm_vcpu *v)
{
	RULE(!backend.loaded && !irqs_disabled());
	if (backend.offline) {
		backend.offline--;
		note('o');
		return -EAGAIN;
	}
	if (backend.load)
		return backend.load;
	preempt_disable();
	backend.loaded = true;
	note('L');
	return 0;
}

static void run_unload(struct vmm_vcpu *v)
{
	RULE(backend.loaded && !backend.noted && !irqs_disabled());
	note('U');
	backend.loaded = false;
	preempt_enable();
}

static int run_take_input(struct vmm_vcpu *v)
{
	RULE(backend.loaded && !irqs_disabled());
	note('i');
	return backend.input;
}

/* The CPU has the state that is to be read. */
static void tell(char letter)
{
	RULE(backend.loaded != backend.acquired && !backend.noted && !irqs_disabled());
	note(letter);
}

static void run_give_exit(struct vmm_vcpu *v)
{
	tell('X');
}

static void run_give_state(struct vmm_vcpu *v)
{
	tell('S');
}

static void run_explain_failure(struct vmm_vcpu *v)
{
	tell('f');
}

static int run_acquire(struct vmm_vcpu *v)
{
	RULE(!backend.loaded && !backend.acquired);
	backend.acquired = true;
	note('a');
	return 0;
}

static void run_release(void)
{
	RULE(backend.acquired);
	backend.acquired = false;
	note('r');
}

static u64 run_guest_rip(void)
{
	RULE(backend.acquired);
	return 0;
}

static u64 run_ticks_left(const struct vmm_vcpu *v)
{
	return v->deadline > backend.tsc ? v->deadline - backend.tsc : 0;
}

static u32 run_tsc_khz(void)
{
	return 1000000;
}

static bool run_has_timer(void)
{
	return backend.has_timer;
}

static void run_set_timer_exit(struct vmm_vcpu *v, bool on)
{
	RULE(backend.loaded && !irqs_disabled());
	RULE(on == (v->deadline && backend.has_timer));
}

static void run_note_host(struct vmm_vcpu *v)
{
	RULE(backend.loaded && !backend.noted && irqs_disabled());
	backend.noted = true;
}

static void run_restore_host(struct vmm_vcpu *v)
{
	RULE(backend.noted && !backend.fpu && irqs_disabled());
	backend.noted = false;
}

static void run_flush(struct vmm_vcpu *v)
{
	RULE(backend.noted && !backend.fpu);
	v->tag.id_on = smp_processor_id();
	v->views->view[0].seen_gen = atomic64_read(&v->mmu->ept.flush_gen);
	note('!');
}

/* Pages that the CPU noted as written. */
static void run_note_log(struct vmm_vcpu *v)
{
	RULE(backend.loaded && irqs_disabled());
	v->pml_count++;
	note('n');
}

static bool run_tell_log(struct vmm_vcpu *v)
{
	RULE(!irqs_disabled());
	v->pml_count = 0;
	note('t');
	return true;
}

static int run_paging_fault(struct vmm_vcpu *v, bool atomic)
{
	if (atomic)
		RULE(backend.loaded && !backend.noted && !irqs_disabled());
	else
		RULE(!backend.loaded && !irqs_disabled());
	note(atomic ? 'p' : 'P');
	if (!backend.entries || !atomic)
		v->paging->reload = false;
	return backend.entries ? ways[last_way()].late : GPHYS_FAULT_DONE;
}

static int run_paging_load(struct vmm_vcpu *v)
{
	RULE(backend.loaded && !irqs_disabled());
	note('l');
	if (!backend.paging)
		v->paging->reload = false;
	return backend.paging;
}

static enum vmm_next run_enter(struct vmm_vcpu *v)
{
	RULE(backend.noted && backend.fpu && irqs_disabled());
	RULE(!v->paging || !v->paging->reload);
	RULE(!gphys_view_stale(v->views->view));
	RULE(!v->deadline || backend.has_timer || v->deadline > backend.tsc);
	RULE(backend.entries < ENTRIES);
	note('E');
	if (backend.entries == ENTRIES)
		return VMM_NEXT_USER;
	switch (backend.way[backend.entries++]) {
	case KICK:
		set_bit(VMM_REQUEST_KICK, &v->requests);
		break;
	case TIMER:
		backend.tsc = v->deadline;
		set_bit(VMM_REQUEST_DEADLINE, &v->requests);
		break;
	case SIGNAL:
		set_thread_flag(TIF_SIGPENDING);
		break;
	case WORK:
		set_thread_flag(TIF_NOTIFY_SIGNAL);
		break;
	case IRQ_RESCHED:
		set_tsk_need_resched(current);
		set_preempt_need_resched();
		break;
	default:
		break;
	}
	return ways[last_way()].next;
}

/* In place of what the loops call of other folders, and of the kernel. */

static int fake_fault(struct gphys_mmu *mmu, u64 gpa, u32 access, bool atomic,
		      struct gphys_miss *miss)
{
	if (atomic)
		RULE(backend.loaded && !backend.noted && !backend.fpu && !irqs_disabled());
	else
		RULE(!backend.loaded && !irqs_disabled());
	note(atomic ? 'm' : 'M');
	return atomic ? ways[last_way()].atomic : ways[last_way()].late;
}

static void fake_poisoned(struct gphys_mmu *mmu, u64 gpa)
{
	note('w');
}

static bool fake_split_lock(unsigned long rip)
{
	RULE(!backend.loaded && !backend.acquired);
	note('s');
	return last_way() == SPLIT_LOCK;
}

static bool fake_fpu_begin(struct vmm_vcpu *v)
{
	RULE(!backend.fpu && !irqs_disabled());
	if (backend.no_memory && backend.loaded)
		return false;
	v->fpu_long = true;
	note('b');
	return true;
}

static void fake_fpu_prepare(struct vmm_vcpu *v)
{
	RULE(!backend.loaded);
	backend.no_memory = false;
}

static void fake_fpu_end(struct vmm_vcpu *v)
{
	RULE(!backend.loaded && v->fpu_long);
	v->fpu_long = false;
	note('e');
}

static void fake_fpu_load(struct vmm_vcpu *v)
{
	RULE(backend.noted && !backend.fpu && irqs_disabled());
	backend.fpu = true;
}

static void fake_fpu_unload(struct vmm_vcpu *v)
{
	RULE(backend.noted && backend.fpu && irqs_disabled());
	backend.fpu = false;
}

static void fake_trace(u16 vpid, u64 gpa, u64 violation, int result)
{
}

static void fake_ledger(void)
{
}

#define gphys_fault		fake_fault
#define gphys_poisoned	fake_poisoned
#define handle_guest_split_lock	fake_split_lock
#define vmm_fpu_begin		fake_fpu_begin
#define vmm_fpu_prepare		fake_fpu_prepare
#define vmm_fpu_end		fake_fpu_end
#define vmm_fpu_load		fake_fpu_load
#define vmm_fpu_unload		fake_fpu_unload
#define trace_fault		fake_trace
#define base_ledger_irqs_off	fake_ledger
#define base_ledger_irqs_on	fake_ledger
#define base_ledger_look		fake_ledger

/* The tracepoints and the FPU are the module's. */
#define VMM_TRACE_H
#define VMM_FPU_H
#include "../../core/run.h"

#endif /* KUNIT_RUN_BACKEND_H */
