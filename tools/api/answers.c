// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the API tells about a machine, as JSON. openapi.yaml describes it. */
#define _GNU_SOURCE	/* sched_getaffinity() */
#include <json-c/json.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "api.h"

const char *const api_state_names[API_STATES] = {
	[API_RUNNING] = "running", [API_PAUSED] = "paused", [API_DEBUGGED] = "debugged",
	[API_ENDING] = "ending", [API_INCOMING] = "incoming", [API_UNDECIDED] = "undecided",
};

#define VM(member)	offsetof(struct api_info, vm_stats.member)
#define MMU(member)	offsetof(struct api_info, mmu_stats.member)

const struct api_figure api_figures[] = {
	{ "runs", "Calls of VMX_RUN", true, VM(runs) },
	{ "entries", "VM entries that succeeded", true, VM(entries) },
	{ "user_exits", "Exits that the module handed to the monitor", true, VM(user_exits) },
	{ "faults", "Faults on guest memory that the module resolved", true, VM(faults) },
	{ "injections", "Events injected", true, VM(injections) },
	{ "vmreads", "VMREADs executed", true, VM(vmreads) },
	{ "vmwrites", "VMWRITEs executed", true, VM(vmwrites) },
	{ "msr_writes", "WRMSRs executed to switch between guest and host", true, VM(msr_writes) },
	{ "invalidations", "INVEPTs and INVVPIDs executed", true, VM(invalidations) },
	{ "fpu_swaps", "Guest FPU states loaded", true, VM(fpu_swaps) },
	{ "ipis", "Interprocessor interrupts sent to make a CPU leave the guest", true, VM(ipis) },
	{ "mmu_tables", "Pages of page tables that map guest memory", false, MMU(tables) },
	{ "mmu_pages_4k", "Guest memory mapped by pages of 4 KiB", false, MMU(pages[0]) },
	{ "mmu_pages_2m", "Guest memory mapped by pages of 2 MiB", false, MMU(pages[1]) },
	{ "mmu_pages_1g", "Guest memory mapped by pages of 1 GiB", false, MMU(pages[2]) },
	{ "mmu_splits", "Large mappings broken up", true, MMU(splits) },
	{ "mmu_collapses", "Small mappings that made room for a large one", true, MMU(collapses) },
	{ "mmu_flushes", "Times that all CPUs had to drop translations", true, MMU(flushes) },
	{ "mmu_notified", "Invalidations by the host's memory management", true, MMU(notified) },
	{ "mmu_shrunk", "Pages of page tables that the host took back", true, MMU(shrunk) },
	{ "shadow_pages", "Shadow pages that stand for tables of the guest", false,
	  MMU(shadow_pages) },
	{ "shadow_bytes", "Kernel memory of the shadow pages", false, MMU(shadow_bytes) },
	{ "shadow_evictions", "Shadow pages that made room for others", true, MMU(evictions) },
	{ "shadow_syncs", "Comparisons of a shadow page with the guest's table", true, MMU(syncs) },
};

const size_t api_figure_count = sizeof(api_figures) / sizeof(api_figures[0]);

static void add_text(struct json_object *to, const char *key, const char *text)
{
	json_object_object_add(to, key, text ? json_object_new_string(text) : NULL);
}

static void add_number(struct json_object *to, const char *key, uint64_t number)
{
	json_object_object_add(to, key, json_object_new_uint64(number));
}

/* The host's CPUs that a thread may run on. */
static struct json_object *affinity_of(pid_t thread)
{
	struct json_object *list = json_object_new_array();
	cpu_set_t set;

	CPU_ZERO(&set);
	if (thread && !sched_getaffinity(thread, sizeof(set), &set))
		for (int n = 0; n < CPU_SETSIZE; n++)
			if (CPU_ISSET(n, &set))
				json_object_array_add(list, json_object_new_int(n));
	return list;
}

static struct json_object *describe_cpu(const struct api_cpu *cpu, unsigned int id)
{
	struct json_object *to = json_object_new_object();

	add_number(to, "id", id);
	add_text(to, "state", cpu->state);
	add_number(to, "thread", cpu->thread);
	json_object_object_add(to, "affinity", affinity_of(cpu->thread));
	return to;
}

static struct json_object *describe_device(const struct api_device *device)
{
	struct json_object *to = json_object_new_object();

	add_text(to, "kind", device->kind);
	add_text(to, "name", device->name);
	json_object_object_add(to, "read_only", json_object_new_boolean(device->read_only));
	return to;
}

struct json_object *api_describe(const struct api_info *info)
{
	struct json_object *to = json_object_new_object(), *cpus = json_object_new_array();
	struct json_object *devices = json_object_new_array();
	char version[32];

	snprintf(version, sizeof(version), "%d.%d", VMX_API_MAJOR, VMX_API_MINOR);
	add_text(to, "name", info->name);
	add_text(to, "state", api_state_names[info->state]);
	add_number(to, "pid", getpid());
	add_text(to, "version", version);
	add_number(to, "memory", info->memory);
	add_text(to, "mmu", info->mmu);
	add_number(to, "restarts", info->restarts);
	for (unsigned int n = 0; n < info->cpu_count; n++)
		json_object_array_add(cpus, describe_cpu(&info->cpus[n], n));
	json_object_object_add(to, "cpus", cpus);
	for (unsigned int n = 0; n < info->device_count; n++)
		json_object_array_add(devices, describe_device(&info->devices[n]));
	json_object_object_add(to, "devices", devices);
	return to;
}

static struct json_object *exits_of(const struct api_info *info)
{
	struct json_object *list = json_object_new_array();

	for (unsigned int n = 0; n < VMX_STATS_REASONS; n++) {
		const struct api_exit *exit = &info->exits[n];
		struct json_object *to;

		if (!exit->reason || !(exit->monitor || exit->module))
			continue;
		to = json_object_new_object();
		add_text(to, "reason", exit->reason);
		add_number(to, "monitor", exit->monitor);
		add_number(to, "monitor_ns", exit->monitor_ns);
		add_number(to, "module", exit->module);
		json_object_array_add(list, to);
	}
	return list;
}

static struct json_object *times_of(const struct api_info *info)
{
	struct json_object *list = json_object_new_array();

	for (unsigned int n = 0; n < info->cpu_count; n++) {
		struct json_object *to = json_object_new_object();

		add_number(to, "id", n);
		add_number(to, "running_ns", info->cpus[n].running_ns);
		add_number(to, "monitor_ns", info->cpus[n].monitor_ns);
		add_number(to, "asleep_ns", info->cpus[n].asleep_ns);
		json_object_array_add(list, to);
	}
	return list;
}

static struct json_object *device_counters(const struct api_info *info)
{
	struct json_object *list = json_object_new_array();

	for (unsigned int n = 0; n < info->device_count; n++) {
		const struct api_device *device = &info->devices[n];
		struct json_object *to = json_object_new_object();
		struct json_object *counters = json_object_new_object();

		add_text(to, "kind", device->kind);
		add_text(to, "name", device->name);
		for (unsigned int c = 0; c < API_COUNTERS && device->counters[c].name; c++)
			add_number(counters, device->counters[c].name, device->counters[c].value);
		json_object_object_add(to, "counters", counters);
		json_object_array_add(list, to);
	}
	return list;
}

struct json_object *api_statistics(const struct api_info *info)
{
	struct json_object *to = json_object_new_object(), *figures = json_object_new_object();

	json_object_object_add(to, "exits", exits_of(info));
	json_object_object_add(to, "cpus", times_of(info));
	json_object_object_add(to, "devices", device_counters(info));
	for (size_t n = 0; n < api_figure_count; n++)
		add_number(figures, api_figures[n].name, api_figure(info, &api_figures[n]));
	json_object_object_add(to, "module", figures);
	return to;
}

static const char *const phases[VMX_MIGRATION_PHASES] = {
	[VMX_MIGRATION_NONE] = "none", [VMX_MIGRATION_OFFER] = "offer",
	[VMX_MIGRATION_COPY] = "copy", [VMX_MIGRATION_STOP] = "stop",
	[VMX_MIGRATION_COMMIT] = "commit", [VMX_MIGRATION_UNDECIDED] = "undecided",
	[VMX_MIGRATION_DONE] = "done", [VMX_MIGRATION_FAILED] = "failed",
};

struct json_object *api_migration(const struct vmx_migration_status *status)
{
	const struct {
		const char *key;
		uint64_t number;
	} members[] = {
		{ "round", status->round }, { "sent", status->sent }, { "pages", status->pages },
		{ "zero_pages", status->zero }, { "left_pages", status->left },
		{ "rate", status->rate }, { "dirtied", status->dirtied },
		{ "throttle", status->throttle }, { "estimate_ms", status->estimate_ms },
		{ "total_ns", status->total_ns }, { "offer_ns", status->offer_ns },
		{ "braked_ns", status->braked_ns }, { "faults", status->faults },
		{ "downtime_ns", status->downtime_ns }, { "stop_ns", status->stop_ns },
		{ "pages_ns", status->pages_ns }, { "state_ns", status->state_ns },
		{ "target_ns", status->target_ns }, { "resume_ns", status->resume_ns },
	};
	struct json_object *to = json_object_new_object();

	add_text(to, "phase", phases[status->phase]);
	for (size_t n = 0; n < sizeof(members) / sizeof(members[0]); n++)
		add_number(to, members[n].key, members[n].number);
	return to;
}
