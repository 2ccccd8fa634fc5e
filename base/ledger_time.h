/* SPDX-License-Identifier: GPL-2.0 */
/* The ledger of time, for debug builds. See ledger_time.c. */
#ifndef BASE_LEDGER_TIME_H
#define BASE_LEDGER_TIME_H

#include <linux/sched.h>
#include <linux/types.h>

#ifdef CONFIG_VMX_DEBUG
void base_ledger_irqs_off(void);
void base_ledger_irqs_on(void);
void base_ledger_pass(u64 ticks);
void base_ledger_begin(void);
void base_ledger_look(void);
void base_ledger_end(void);
#else
static inline void base_ledger_irqs_off(void) { }
static inline void base_ledger_irqs_on(void) { }
static inline void base_ledger_begin(void) { }
static inline void base_ledger_look(void) { }
static inline void base_ledger_end(void) { }
#endif

/* In the middle of something long, where no lock is held and preemption is on. */
static inline void base_cond_resched(void)
{
	base_ledger_look();
	cond_resched();
}

/*
 * The same after a page was freed. The host's allocator frees some 2,000 pages at once
 * now and then, which takes 240,000 instructions: that time is none of the module's.
 */
static inline void base_cond_resched_freed(void)
{
	base_ledger_begin();
	cond_resched();
}

#endif /* BASE_LEDGER_TIME_H */
