// SPDX-License-Identifier: GPL-2.0
/*
 * The ledger of time, for debug builds: how long interrupts are off, and how long
 * it is between two looks at need_resched. What a program or a guest can make long
 * is bounded (Documentation/architecture.rst, "Bounds"), and this says when it is
 * not.
 *
 * The limits are times, so that a fast CPU may miss its caches. In the emulated
 * machine, whose TSC counts instructions, 50 to the microsecond, they are 20,000
 * and 200,000 instructions. The longest times are kept, in ticks of the TSC, and
 * tests read and clear them.
 */
#include <linux/bug.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/sched.h>

#include <asm/msr.h>
#include <asm/tsc.h>

#include "kunit-export.h"
#include "ledger_time.h"

/* What the checks of other debug options add to each instruction. */
#if IS_ENABLED(CONFIG_KASAN) || IS_ENABLED(CONFIG_KCSAN)
#define SLOWER 20
#else
#define SLOWER 1
#endif

/*
 * KCSAN reports races of the kernel with itself from interrupts of whatever thread, and
 * takes 600 ms of the emulated clock for it.
 */
#define REPORTS_US (IS_ENABLED(CONFIG_KCSAN) ? 1000000 : 0)

static unsigned int irqs_off_us = 400 * SLOWER;
module_param(irqs_off_us, uint, 0644);
MODULE_PARM_DESC(irqs_off_us, "microseconds for which interrupts may be off before the debug build warns; 0: any");

static unsigned int busy_us = 4000 * SLOWER + REPORTS_US;
module_param(busy_us, uint, 0644);
MODULE_PARM_DESC(busy_us, "microseconds between two looks at need_resched before the debug build warns; 0: any");

static unsigned long irqs_off_max;
module_param(irqs_off_max, ulong, 0644);
MODULE_PARM_DESC(irqs_off_max, "TSC ticks for which interrupts were off, at most; write 0 to begin anew");

static unsigned long busy_max;
module_param(busy_max, ulong, 0644);
MODULE_PARM_DESC(busy_max, "TSC ticks between two looks at need_resched, at most; write 0 to begin anew");

/**
 * struct stopwatch - what a CPU is at
 * @irqs_off: when interrupts went off
 * @look: when @task looked at need_resched last
 * @task: who is measured; NULL if nobody
 * @switches: how often it had left a CPU by then: what others did is not its time
 */
struct stopwatch {
	u64 irqs_off;
	u64 look;
	struct task_struct *task;
	unsigned long switches;
};

static DEFINE_PER_CPU(struct stopwatch, stopwatch);

static unsigned long context_switches(void)
{
	return current->nvcsw + current->nivcsw;
}

/* Only what is longer than anything before is reported: once is enough. */
static void judge_time(unsigned long ticks, unsigned long *max, unsigned int us, const char *what)
{
	if (ticks <= READ_ONCE(*max))
		return;
	WRITE_ONCE(*max, ticks);
	if (!WARN(us && ticks > (u64)us * tsc_khz / 1000, "%s for %lu ticks\n", what, ticks))
		return;
	/* The report itself takes longer than any bound. */
	__this_cpu_write(stopwatch.irqs_off, rdtsc());
	__this_cpu_write(stopwatch.look, rdtsc());
}

/**
 * base_ledger_irqs_off() - interrupts went off
 *
 * Context: interrupts off.
 */
void base_ledger_irqs_off(void)
{
	__this_cpu_write(stopwatch.irqs_off, rdtsc());
}

/**
 * base_ledger_irqs_on() - interrupts are about to be let in
 *
 * A VM entry is one such place: an interrupt makes it exit at once.
 *
 * Context: interrupts off.
 */
void base_ledger_irqs_on(void)
{
	judge_time(rdtsc() - __this_cpu_read(stopwatch.irqs_off), &irqs_off_max, irqs_off_us,
		   "interrupts off");
}

/**
 * base_ledger_pass() - some of the time was the ledgers' own
 * @ticks: how much
 *
 * Context: interrupts off.
 */
void base_ledger_pass(u64 ticks)
{
	__this_cpu_add(stopwatch.irqs_off, ticks);
	__this_cpu_add(stopwatch.look, ticks);
}

/**
 * base_ledger_begin() - from here on the thread looks at need_resched
 *
 * Context: any thread.
 */
void base_ledger_begin(void)
{
	struct stopwatch *watch = get_cpu_ptr(&stopwatch);

	watch->task = current;
	watch->switches = context_switches();
	watch->look = rdtsc();
	put_cpu_ptr(&stopwatch);
}
EXPORT_SYMBOL_IF_KUNIT(base_ledger_begin);

static void note_look(bool last)
{
	struct stopwatch *watch = get_cpu_ptr(&stopwatch);

	if (watch->task == current && watch->switches == context_switches())
		judge_time(rdtsc() - watch->look, &busy_max, busy_us, "no look at need_resched");
	watch->task = last ? NULL : current;
	watch->switches = context_switches();
	watch->look = rdtsc();
	put_cpu_ptr(&stopwatch);
}

/**
 * base_ledger_look() - the thread looks at need_resched
 *
 * Context: any thread.
 */
void base_ledger_look(void)
{
	note_look(false);
}

/**
 * base_ledger_end() - the thread goes home, or may be preempted
 *
 * Context: any thread.
 */
void base_ledger_end(void)
{
	note_look(true);
}
