// SPDX-License-Identifier: LGPL-2.1-or-later
/* What exits there were, and what they cost: the time from an exit until the guest ran again. */
#include <stdio.h>
#include <stdlib.h>

#include "vmxrun.h"

struct row {
	unsigned int reason;
	uint64_t count;
	uint64_t in_module;	/* exits that never came here */
	uint64_t ticks;
};

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

/* The module counts all exits; those that came here are known by reason and cost. */
static unsigned int collect(struct row *rows, struct row *sum)
{
	struct vmx_vm_stats stats;
	unsigned int used = 0;

	if (vmx_vm_stats(&machine.vm, &stats))
		fail("%s", vmx_error());
	for (unsigned int reason = 0; reason < VMX_STATS_REASONS; reason++) {
		struct row row = { .reason = reason };

		for (unsigned int n = 0; n < machine.config.cpus; n++) {
			row.count += machine.cpus[n].exits[reason];
			row.ticks += machine.cpus[n].spent[reason];
		}
		if (stats.exits[reason] > row.count)
			row.in_module = stats.exits[reason] - row.count;
		if (row.count || row.in_module)
			rows[used++] = row;
		sum->count += row.count;
		sum->ticks += row.ticks;
		sum->in_module += row.in_module;
	}
	qsort(rows, used, sizeof(rows[0]), compare);
	return used;
}

static void print_row(const struct row *row, const char *name, uint64_t all)
{
	fprintf(stderr, "%10llu %6.1f %% %10.2f us %10.3f ms %12llu  %s\n",
		(unsigned long long)row->count, all ? 100.0 * row->ticks / all : 0,
		row->count ? us_of(row->ticks) / row->count : 0, us_of(row->ticks) / 1000,
		(unsigned long long)row->in_module, name);
}

static void print_cpu(const struct vmx_cpu *cpu)
{
	uint64_t exits = 0, spent = 0;

	for (unsigned int reason = 0; reason < VMX_STATS_REASONS; reason++) {
		exits += cpu->exits[reason];
		spent += cpu->spent[reason];
	}
	fprintf(stderr, "vCPU %u: %llu exits, %.3f ms running (guest and module), "
		"%.3f ms here, %.3f ms asleep\n", cpu->id, (unsigned long long)exits,
		us_of(cpu->ran) / 1000, us_of(spent) / 1000, us_of(cpu->slept) / 1000);
}

void stats_print(void)
{
	struct row rows[VMX_STATS_REASONS], sum = {};
	unsigned int count = collect(rows, &sum);

	fprintf(stderr, "%10s %8s %13s %13s %12s  %s\n", "exits here", "share", "average", "total",
		"in module", "reason");
	for (unsigned int n = 0; n < count; n++)
		print_row(&rows[n], vmx_reason_name(rows[n].reason) ?: "?", sum.ticks);
	print_row(&sum, "all", sum.ticks);
	for (unsigned int n = 0; n < machine.config.cpus; n++)
		print_cpu(&machine.cpus[n]);
}
