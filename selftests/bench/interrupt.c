// SPDX-License-Identifier: GPL-2.0
/* The cost of a host interrupt to a guest that computes: all the time that the guest loses. */
#include <stdio.h>
#include <string.h>
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

/* Runs a guest of its own; ticks that takes. */
static uint64_t spin(const struct bench_side *side, uint64_t turns, uint64_t *counts)
{
	struct bench_run run = {
		.code = { bench_spin, bench_spin_end },
		.ram = bench_new_memory(BENCH_RAM),
		.pages = bench_new_memory(BENCH_OPS * 4096),
	};
	struct bench_vm vm;
	uint64_t ticks;

	bench_create(side, &vm);
	side->prepare(&vm, &run);
	memcpy(run.ram + BENCH_PARAMETERS, &turns, sizeof(turns));
	ticks = __rdtsc();
	side->go(&vm, &run);
	ticks = __rdtsc() - ticks;
	if (side->counts)
		side->counts(&vm, counts);
	side->destroy(&vm);
	bench_delete_memory(run.ram, BENCH_RAM);
	bench_delete_memory(run.pages, BENCH_OPS * 4096);
	return ticks;
}

void bench_interrupt(const struct bench_side *side)
{
	uint64_t with[BENCH_COUNTS], without[BENCH_COUNTS], costs[BENCH_MEASUREMENTS];
	unsigned long long taken = 1;

	for (size_t n = 0; n < BENCH_MEASUREMENTS; n++) {
		uint64_t empty = spin(side, 1, without);
		unsigned long long before = timer_interrupts();
		uint64_t all = spin(side, TURNS, with);

		taken = timer_interrupts() - before;
		if (!taken)
			bench_fail("no interrupts while a guest ran");
		costs[n] = (all - empty - INSTRUCTIONS) / taken;
	}
	printf("%s interrupt %llu 0", side->name,
	       (unsigned long long)bench_median(costs, BENCH_MEASUREMENTS));
	if (side->counts)
		bench_print_counts(with, without, taken);
	printf("\n");
}
