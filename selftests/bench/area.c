// SPDX-License-Identifier: GPL-2.0
/*
 * Operations on much guest memory at once. The program measures the cost of the host's own memory
 * management in the same run and subtracts it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <x86intrin.h>

#include "bench.h"

#define PAGE		4096ul
#define LARGE		0x200000ul
#define LARGE_ROUNDS	16
#define PAGES		(BENCH_AREA_SIZE / PAGE)
#define FRESH		2048ul
/* Every so many pages, for one in a hundred of them. */
#define SPARSE		100ul

extern const unsigned char bench_write[], bench_write_end[];

struct area {
	const struct bench_side *side;
	struct bench_vm vm;
	struct bench_run run;
	unsigned char *at;
	uint64_t bitmap[PAGES / 64];
};

/* The guest writes to COUNT places; ticks that takes. */
static uint64_t write_all(struct area *area, uint64_t distance, uint64_t count)
{
	uint64_t parameters[] = { BENCH_AREA, distance, count }, start;

	memcpy(area->run.ram + BENCH_PARAMETERS, parameters, sizeof(parameters));
	start = __rdtsc();
	area->side->go(&area->vm, &area->run);
	return __rdtsc() - start;
}

/* Without what it takes to run a guest at all. */
static uint64_t write_each(struct area *area, uint64_t distance, uint64_t count)
{
	return (write_all(area, distance, count) - write_all(area, distance, 0)) / count;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * All faults together take less time than there is between two interrupts of the host's clock, and
 * one interrupt costs as much as a fault. The cheapest of several rounds has none.
 */
static uint64_t first_touch_of_large(struct area *area)
{
	uint64_t all = UINT64_MAX, nothing = UINT64_MAX;

	madvise(area->at, BENCH_AREA_SIZE, MADV_HUGEPAGE);
	madvise(area->at, BENCH_AREA_SIZE, MADV_DONTNEED);
	memset(area->at, 0, BENCH_AREA_SIZE);
	for (size_t n = 0; n < LARGE_ROUNDS; n++) {
		area->side->add_area(&area->vm, area->at);
		all = least(all, write_all(area, LARGE, BENCH_AREA_SIZE / LARGE));
		nothing = least(nothing, write_all(area, LARGE, 0));
		area->side->remove_area(&area->vm);
	}
	madvise(area->at, BENCH_AREA_SIZE, MADV_NOHUGEPAGE);
	madvise(area->at, BENCH_AREA_SIZE, MADV_DONTNEED);
	return (all - nothing) / (BENCH_AREA_SIZE / LARGE);
}

/* A page that the host has to give: less what it costs when the host touches it. */
static uint64_t first_touch_of_fresh(struct area *area)
{
	uint64_t start, own, cost;

	madvise(area->at, BENCH_AREA_SIZE, MADV_DONTNEED);
	start = __rdtsc();
	for (size_t n = 0; n < FRESH; n++)
		*(volatile uint64_t *)(area->at + n * PAGE) = n;
	own = (__rdtsc() - start) / FRESH;
	madvise(area->at, BENCH_AREA_SIZE, MADV_DONTNEED);
	area->side->add_area(&area->vm, area->at);
	cost = write_each(area, PAGE, FRESH) - own;
	area->side->remove_area(&area->vm);
	memset(area->at, 0, BENCH_AREA_SIZE);
	return cost;
}

static uint64_t populate(struct area *area)
{
	uint64_t start, cost;

	area->side->add_area(&area->vm, area->at);
	/* KVM 6.12 would wait for ever for a vCPU that has not run since memory was taken away. */
	write_all(area, PAGE, 0);
	start = __rdtsc();
	area->side->populate_area(&area->vm);
	cost = (__rdtsc() - start) / PAGES;
	area->side->remove_area(&area->vm);
	return cost;
}

static uint64_t unmap(struct area *area)
{
	uint64_t start;

	area->side->add_area(&area->vm, area->at);
	write_all(area, PAGE, PAGES);
	start = __rdtsc();
	area->side->remove_area(&area->vm);
	return __rdtsc() - start;
}

/* The guest has written a page in every DISTANCE bytes: what it costs to be told of them. */
static uint64_t harvest(struct area *area, uint64_t distance)
{
	uint64_t start, cost, bits = 0, count = BENCH_AREA_SIZE / distance;

	write_all(area, distance, count);
	start = __rdtsc();
	area->side->dirty_area(&area->vm, area->bitmap);
	cost = __rdtsc() - start;
	for (size_t n = 0; n < PAGES / 64; n++)
		bits += __builtin_popcountll(area->bitmap[n]);
	if (bits != count)
		bench_fail("%s: %llu pages are dirty, and %llu were written", area->side->name,
			   (unsigned long long)bits, (unsigned long long)count);
	return cost;
}

static uint64_t harvest_sparse(struct area *area)
{
	return harvest(area, SPARSE * PAGE);
}

static uint64_t harvest_all(struct area *area)
{
	return harvest(area, PAGE);
}

static void measure(struct area *area, const char *operation, uint64_t (*once)(struct area *area))
{
	uint64_t costs[BENCH_MEASUREMENTS];

	for (size_t n = 0; n < BENCH_MEASUREMENTS; n++)
		costs[n] = once(area);
	printf("%s %s %llu 0\n", area->side->name, operation,
	       (unsigned long long)bench_median(costs, BENCH_MEASUREMENTS));
}

void bench_area(const struct bench_side *side)
{
	static struct area area;
	unsigned char *raw = bench_new_memory(BENCH_AREA_SIZE + LARGE);

	area = (struct area) {
		.side = side,
		.run = {
			.code = { bench_write, bench_write_end },
			.ram = bench_new_memory(BENCH_RAM),
			.pages = bench_new_memory(BENCH_OPS * 4096),
		},
		.at = (unsigned char *)(((uintptr_t)raw + LARGE - 1) & ~(LARGE - 1)),
	};
	bench_create(side, &area.vm);
	side->prepare(&area.vm, &area.run);
	measure(&area, "ept-populate", populate);
	measure(&area, "unmap-64m", unmap);
	measure(&area, "ept-4k-fresh", first_touch_of_fresh);
	measure(&area, "ept-2m", first_touch_of_large);
	memset(area.at, 0, BENCH_AREA_SIZE);
	side->add_area(&area.vm, area.at);
	write_all(&area, PAGE, PAGES);
	side->log_area(&area.vm, area.at);
	measure(&area, "dirty-1pct", harvest_sparse);
	measure(&area, "dirty-100pct", harvest_all);
	side->destroy(&area.vm);
	munmap(area.run.ram, BENCH_RAM);
	munmap(area.run.pages, BENCH_OPS * 4096);
	munmap(raw, BENCH_AREA_SIZE + LARGE);
}
