// SPDX-License-Identifier: GPL-2.0
/* The cost of a host interrupt to a guest that computes: all the time that the guest loses. */
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"

/* Two instructions each; some hundred ticks of the host's clock. */
#define TURNS		10000000ull
#define INSTRUCTIONS	(2 * TURNS)

extern const unsigned char bench_spin[], bench_spin_end[];

/* Local timer interrupts of all CPUs. */
static unsigned long long timer_interrupts(void)
{
	unsigned long long sum = 0, count;
	FILE *file = fopen("/proc/interrupts", "r");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		char *at = strstr(line, "LOC:");
		int length;

		at = at ? at + 4 : NULL;
		for (; at && sscanf(at, "%llu%n", &count, &length) == 1; at += length)
			sum += count;
	}
	if (file)
		fclose(file);
	return sum;
}

/* How often another thread took this one's place. */
static unsigned long long switches(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage))
		bench_fail("getrusage");
	return usage.ru_nivcsw;
}

/* The kernel's trace event for registers that it loads, once it has left them to others. */
#define LOADED	"/sys/kernel/tracing/events/x86_fpu/x86_fpu_regs_activated/id"

/* A counter of how often this thread's FPU state was loaded, a guest's in its place included. */
static int open_loads(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	FILE *file = fopen(LOADED, "r");
	unsigned long long id;
	int fd;

	if (!file || fscanf(file, "%llu", &id) != 1)
		bench_fail(LOADED);
	fclose(file);
	attr.config = id;
	fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	if (fd < 0)
		bench_fail("perf_event_open");
	return fd;
}

static unsigned long long read_loads(int fd)
{
	unsigned long long count;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		bench_fail("reading a counter");
	return count;
}

/* What a guest that computes takes, from its first instruction to its HLT. */
struct spin {
	uint64_t ticks;
	unsigned long long interrupts;
	unsigned long long switches;
	uint64_t counts[BENCH_COUNTS];
};

/* Runs a guest of its own. */
static struct spin spin(const struct bench_side *side, uint64_t turns)
{
	struct bench_run run = {
		.code = { bench_spin, bench_spin_end },
		.ram = bench_new_memory(BENCH_RAM),
		.pages = bench_new_memory(BENCH_OPS * 4096),
	};
	struct spin before, spin;
	struct bench_vm vm;

	bench_create(side, &vm);
	side->prepare(&vm, &run);
	memcpy(run.ram + BENCH_PARAMETERS, &turns, sizeof(turns));
	before.interrupts = timer_interrupts();
	before.switches = switches();
	before.ticks = __rdtsc();
	side->go(&vm, &run);
	spin.ticks = __rdtsc() - before.ticks;
	spin.switches = switches() - before.switches;
	spin.interrupts = timer_interrupts() - before.interrupts;
	if (side->counts)
		side->counts(&vm, spin.counts);
	side->destroy(&vm);
	bench_delete_memory(run.ram, BENCH_RAM);
	bench_delete_memory(run.pages, BENCH_OPS * 4096);
	return spin;
}

/*
 * How often FPU state is loaded in 1,000 interrupts. The kernel executes no XRSTOR after a thread
 * that left the registers alone, such as RCU's. No measurement of time has the counter on.
 */
static unsigned long long loads(const struct bench_side *side)
{
	int fd = open_loads();
	unsigned long long before, empty, full;
	struct spin counted;

	before = read_loads(fd);
	spin(side, 1);
	empty = read_loads(fd) - before;
	counted = spin(side, TURNS);
	full = read_loads(fd) - before - empty;
	close(fd);
	if (!counted.interrupts)
		bench_fail("no interrupts while a guest ran");
	return full < empty ? 0 : 1000 * (full - empty) / counted.interrupts;
}

void bench_interrupt(const struct bench_side *side)
{
	uint64_t costs[BENCH_MEASUREMENTS];
	struct spin empty, full;

	for (size_t n = 0; n < BENCH_MEASUREMENTS; n++) {
		empty = spin(side, 1);
		full = spin(side, TURNS);
		if (!full.interrupts)
			bench_fail("no interrupts while a guest ran");
		costs[n] = (full.ticks - empty.ticks - INSTRUCTIONS) / full.interrupts;
	}
	printf("%s interrupt %llu 0", side->name,
	       (unsigned long long)bench_median(costs, BENCH_MEASUREMENTS));
	if (side->counts)
		bench_print_counts(full.counts, empty.counts, full.interrupts);
	printf("\n%s switches %llu 0\n", side->name, 1000 * full.switches / full.interrupts);
	printf("%s loads %llu 0\n", side->name, loads(side));
}
