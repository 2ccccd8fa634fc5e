/* SPDX-License-Identifier: GPL-2.0 */
/* What the module's ledger of time found: the longest that it kept a CPU to itself. */
#ifndef TEST_BOUNDS_H
#define TEST_BOUNDS_H

#include <limits.h>

#include "vmx_test.h"

#define LEDGER(name) "/sys/module/vmx/parameters/" name

/* Ticks to the microsecond, as instructions to the second in selftests/runner/machines/bochs.py. */
#define TICKS_PER_US 50ll

/* Longer than on a kernel that does not check each access. */
static inline long long bounds_limit(const char *parameter)
{
	return test_on_bochs() ? test_read_number(parameter) * TICKS_PER_US : LLONG_MAX;
}

static inline void bounds_begin(void)
{
	test_write_file(LEDGER("irqs_off_max"), "0");
	test_write_file(LEDGER("busy_max"), "0");
}

/*
 * Does what is in the parentheses, which must not fail, and looks at how long interrupts were off
 * meanwhile, and how long nobody looked whether another thread should run. Machines that are no
 * emulator have the module's own limits, in microseconds, and a warning in the log.
 */
#define WITHIN_BOUNDS(what, ...) do {						\
	long long irqs_, busy_;							\
										\
	bounds_begin();								\
	__VA_ARGS__;								\
	irqs_ = test_read_number(LEDGER("irqs_off_max"));			\
	busy_ = test_read_number(LEDGER("busy_max"));				\
	TH_LOG("%s: interrupts off for %lld, busy for %lld", what, irqs_, busy_); \
	EXPECT_LE(0, irqs_);							\
	EXPECT_LE(irqs_, bounds_limit(LEDGER("irqs_off_us")));			\
	EXPECT_LE(busy_, bounds_limit(LEDGER("busy_us")));			\
} while (0)

#endif /* TEST_BOUNDS_H */
