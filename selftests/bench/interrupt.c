// SPDX-License-Identifier: GPL-2.0
/* The cost of a host interrupt to a guest that computes: all the time that the guest loses. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
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
}
