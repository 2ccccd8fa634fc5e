// SPDX-License-Identifier: LGPL-2.1-or-later
/* Counts exits and their cost: the time from an exit until the guest runs again. */
#include <stdio.h>
#include <stdlib.h>

#include "vmxrun.h"

struct row {
	unsigned int reason;
	uint64_t count;
	uint64_t in_module;	/* exits that never came here */
	uint64_t ticks;
};

/* Sums over all machines that have ended: a guest that reboots has several. */
static struct row rows[VMX_STATS_REASONS];
static struct total {
	uint64_t exits;
	uint64_t spent;
	uint64_t ran;
	uint64_t slept;
} totals[VMX_MACHINE_CPUS];
static struct vmx_mmu_stats mmu;

static double us_of(uint64_t ticks)
{
	return ticks * 1000.0 / machine.vm.caps.tsc_khz;
}

static int compare(const void *a, const void *b)
{
	const struct row *first = a, *second = b;

	if (first->ticks != second->ticks)
		return first->ticks < second->ticks ? 1 : -1;
	return first->in_module < second->in_module ? 1 : -1;
}

/* The module counts all exits; reason and cost are known for those that reached vmxrun. */
static void add_reason(unsigned int reason, uint64_t all)
{
	struct row *row = &rows[reason];
	uint64_t here = 0;

	for (unsigned int n = 0; n < machine.config.cpus; n++) {
		const struct vmx_cpu *cpu = &machine.cpus[n];

		here += cpu->exits[reason];
		row->ticks += cpu->spent[reason];
		totals[n].exits += cpu->exits[reason];
		totals[n].spent += cpu->spent[reason];
	}
	row->reason = reason;
	row->count += here;
	if (all > here)
		row->in_module += all - here;
}

void stats_add(void)
{
	struct vmx_vm_stats stats;

	if (vmx_vm_stats(&machine.vm, &stats) || vmx_vm_mmu_stats(&machine.vm, &mmu))
		fail("%s", vmx_error());
	for (unsigned int reason = 0; reason < VMX_STATS_REASONS; reason++)
		add_reason(reason, stats.exits[reason]);
	for (unsigned int n = 0; n < machine.config.cpus; n++) {
		totals[n].ran += machine.cpus[n].ran;
		totals[n].slept += machine.cpus[n].slept;
	}
}

static void print_row(const struct row *row, const char *name, uint64_t all)
{
	fprintf(stderr, "%10llu %6.1f %% %10.2f us %10.3f ms %12llu  %s\n",
		(unsigned long long)row->count, all ? 100.0 * row->ticks / all : 0,
		row->count ? us_of(row->ticks) / row->count : 0, us_of(row->ticks) / 1000,
		(unsigned long long)row->in_module, name);
}

static void print_cpu(unsigned int id)
{
	const struct total *total = &totals[id];

	fprintf(stderr, "vCPU %u: %llu exits, %.3f ms running (guest and module), "
		"%.3f ms here, %.3f ms asleep\n", id, (unsigned long long)total->exits,
		us_of(total->ran) / 1000, us_of(total->spent) / 1000,
		us_of(total->slept) / 1000);
}

void stats_print(void)
{
	struct row sum = {};

	qsort(rows, VMX_STATS_REASONS, sizeof(rows[0]), compare);
	for (unsigned int n = 0; n < VMX_STATS_REASONS; n++) {
		sum.count += rows[n].count;
		sum.ticks += rows[n].ticks;
		sum.in_module += rows[n].in_module;
	}
	fprintf(stderr, "%10s %8s %13s %13s %12s  %s\n", "exits here", "share", "average", "total",
		"in module", "reason");
	for (unsigned int n = 0; n < VMX_STATS_REASONS; n++)
		if (rows[n].count || rows[n].in_module)
			print_row(&rows[n], vmx_reason_name(rows[n].reason) ?: "?", sum.ticks);
	print_row(&sum, "all", sum.ticks);
	for (unsigned int n = 0; n < machine.config.cpus; n++)
		print_cpu(n);
	if (mmu.shadow_bytes)
		fprintf(stderr, "shadow pages: %llu, %llu KiB, %llu evicted\n",
			(unsigned long long)mmu.shadow_pages,
			(unsigned long long)mmu.shadow_bytes / 1024,
			(unsigned long long)mmu.evictions);
}
