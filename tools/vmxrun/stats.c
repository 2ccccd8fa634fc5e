// SPDX-License-Identifier: LGPL-2.1-or-later
/* Counts exits and their cost: the time from an exit until the guest runs again. */
#include <stdio.h>
#include <stdlib.h>

#include "vmxrun.h"

struct row {
	unsigned int reason;
	uint64_t count;
	uint64_t in_module;
	uint64_t ticks;
};

/* Of all machines that have ended: a guest that reboots has several. */
static struct stats past;

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

/* Counts of a vCPU that may be running. */
static uint64_t now(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/*
 * Counts of the module and of vmxrun are not of the same moment, so the difference may be a little
 * less than it was. Who watches a counter takes that for a new beginning.
 */
static uint64_t never_less(unsigned int reason, uint64_t count)
{
	static uint64_t most[VMX_STATS_REASONS];

	if (most[reason] < count)
		most[reason] = count;
	return most[reason];
}

/* The module counts all exits; reason and cost are known for those that reached vmxrun. */
static void add_reason(struct stats *to, unsigned int reason)
{
	uint64_t here = 0;

	for (unsigned int n = 0; n < machine.config.cpus; n++) {
		const struct vmx_cpu *cpu = &machine.cpus[n];
		uint64_t count = now(&cpu->exits[reason]), spent = now(&cpu->spent[reason]);

		here += count;
		to->exits[reason].ticks += spent;
		to->cpus[n].exits += count;
		to->cpus[n].spent += spent;
	}
	to->exits[reason].count += here;
	if (to->vm.exits[reason] > here)
		to->exits[reason].in_module += to->vm.exits[reason] - here;
	to->exits[reason].in_module = never_less(reason, to->exits[reason].in_module);
}

int stats_read(struct stats *to)
{
	int ret;

	*to = past;
	ret = vmx_vm_stats(&machine.vm, &to->vm);
	ret = ret ?: vmx_vm_mmu_stats(&machine.vm, &to->mmu);
	for (unsigned int reason = 0; !ret && reason < VMX_STATS_REASONS; reason++)
		add_reason(to, reason);
	for (unsigned int n = 0; n < machine.config.cpus; n++) {
		to->cpus[n].ran += now(&machine.cpus[n].ran);
		to->cpus[n].slept += now(&machine.cpus[n].slept);
	}
	return ret;
}

void stats_add(void)
{
	struct stats sum;

	if (stats_read(&sum))
		fail("%s", vmx_error());
	past = sum;
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
	fprintf(stderr, "vCPU %u: %llu exits, %.3f ms running (guest and module), "
		"%.3f ms here, %.3f ms asleep\n", id, (unsigned long long)past.cpus[id].exits,
		us_of(past.cpus[id].ran) / 1000, us_of(past.cpus[id].spent) / 1000,
		us_of(past.cpus[id].slept) / 1000);
}

void stats_print(void)
{
	struct row rows[VMX_STATS_REASONS], sum = {};

	for (unsigned int n = 0; n < VMX_STATS_REASONS; n++) {
		rows[n] = (struct row){ n, past.exits[n].count, past.exits[n].in_module,
					past.exits[n].ticks };
		sum.count += rows[n].count;
		sum.ticks += rows[n].ticks;
		sum.in_module += rows[n].in_module;
	}
	qsort(rows, VMX_STATS_REASONS, sizeof(rows[0]), compare);
	fprintf(stderr, "%10s %8s %13s %13s %12s  %s\n", "exits here", "share", "average", "total",
		"in module", "reason");
	for (unsigned int n = 0; n < VMX_STATS_REASONS; n++)
		if (rows[n].count || rows[n].in_module)
			print_row(&rows[n], vmx_reason_name(rows[n].reason) ?: "?", sum.ticks);
	print_row(&sum, "all", sum.ticks);
	for (unsigned int n = 0; n < machine.config.cpus; n++)
		print_cpu(n);
	if (past.mmu.shadow_bytes)
		fprintf(stderr, "shadow pages: %llu, %llu KiB, %llu evicted\n",
			(unsigned long long)past.mmu.shadow_pages,
			(unsigned long long)past.mmu.shadow_bytes / 1024,
			(unsigned long long)past.mmu.evictions);
}
