// SPDX-License-Identifier: LGPL-2.1-or-later
/* Answers as people read them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmxctl.h"

static struct json_object *get(struct json_object *from, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(from, key, &value);
	return value;
}

static const char *text_of(struct json_object *from, const char *key)
{
	return json_object_get_string(get(from, key)) ?: "-";
}

static unsigned long long number_of(struct json_object *from, const char *key)
{
	return json_object_get_uint64(get(from, key));
}

static const char *size_of(struct json_object *vm)
{
	static char text[32];
	unsigned long long mib = number_of(vm, "memory") >> 20;

	if (mib % 1024)
		snprintf(text, sizeof(text), "%lluM", mib);
	else
		snprintf(text, sizeof(text), "%lluG", mib / 1024);
	return text;
}

void show_line(struct json_object *vm)
{
	char cpus[16];

	if (!vm) {
		printf("%-24s %-9s %5s %8s %8s\n", "NAME", "STATE", "VCPUS", "MEMORY", "PID");
		return;
	}
	snprintf(cpus, sizeof(cpus), "%zu", json_object_array_length(get(vm, "cpus")));
	printf("%-24s %-9s %5s %8s %8llu\n", text_of(vm, "name"), text_of(vm, "state"), cpus,
	       size_of(vm), number_of(vm, "pid"));
}

/* 0,2-5 */
static void print_affinity(struct json_object *list)
{
	size_t count = json_object_array_length(list), end;

	for (size_t n = 0; n < count; n = end) {
		int first = json_object_get_int(json_object_array_get_idx(list, n)), last = first;

		for (end = n + 1; end < count; end++, last++)
			if (json_object_get_int(json_object_array_get_idx(list, end)) != last + 1)
				break;
		printf("%s%d", n ? "," : "", first);
		if (last > first)
			printf("-%d", last);
	}
}

void show_machine(struct json_object *vm)
{
	struct json_object *cpus = get(vm, "cpus"), *devices = get(vm, "devices");

	printf("name      %s\n", text_of(vm, "name"));
	printf("state     %s\n", text_of(vm, "state"));
	printf("process   %llu, vmxrun %s\n", number_of(vm, "pid"), text_of(vm, "version"));
	printf("memory    %s, mapped by %s\n", size_of(vm),
	       strcmp(text_of(vm, "mmu"), "ept") ? "shadow page tables" : "EPT");
	printf("restarts  %llu\n", number_of(vm, "restarts"));
	for (size_t n = 0; n < json_object_array_length(cpus); n++) {
		struct json_object *cpu = json_object_array_get_idx(cpus, n);

		printf("vCPU %-4llu %s, thread %llu, on CPU ", number_of(cpu, "id"),
		       text_of(cpu, "state"), number_of(cpu, "thread"));
		print_affinity(get(cpu, "affinity"));
		putchar('\n');
	}
	for (size_t n = 0; n < json_object_array_length(devices); n++) {
		struct json_object *device = json_object_array_get_idx(devices, n);

		printf("device    %s %s%s\n", text_of(device, "kind"), text_of(device, "name"),
		       json_object_get_boolean(get(device, "read_only")) ? ", read-only" : "");
	}
}

static int compare(const void *a, const void *b)
{
	struct json_object *const *first = a, *const *second = b;
	unsigned long long one = number_of(*first, "monitor_ns");
	unsigned long long other = number_of(*second, "monitor_ns");

	return one == other ? 0 : one < other ? 1 : -1;
}

void show_statistics(struct json_object *statistics)
{
	struct json_object *exits = get(statistics, "exits"), *cpus = get(statistics, "cpus");
	struct json_object *devices = get(statistics, "devices");
	struct json_object *module = get(statistics, "module");

	json_object_array_sort(exits, compare);
	printf("%12s %13s %13s %12s  %s\n", "exits", "average", "total", "in module", "reason");
	for (size_t n = 0; n < json_object_array_length(exits); n++) {
		struct json_object *exit = json_object_array_get_idx(exits, n);
		unsigned long long count = number_of(exit, "monitor");
		unsigned long long ns = number_of(exit, "monitor_ns");

		printf("%12llu %10.2f us %10.3f ms %12llu  %s\n", count,
		       count ? ns / 1000.0 / count : 0, ns / 1e6, number_of(exit, "module"),
		       text_of(exit, "reason"));
	}
	for (size_t n = 0; n < json_object_array_length(cpus); n++) {
		struct json_object *cpu = json_object_array_get_idx(cpus, n);

		printf("vCPU %llu: %.3f s running, %.3f s in vmxrun, %.3f s asleep\n",
		       number_of(cpu, "id"), number_of(cpu, "running_ns") / 1e9,
		       number_of(cpu, "monitor_ns") / 1e9, number_of(cpu, "asleep_ns") / 1e9);
	}
	for (size_t n = 0; n < json_object_array_length(devices); n++) {
		struct json_object *device = json_object_array_get_idx(devices, n);
		struct json_object *counters = get(device, "counters");

		printf("%s %s:", text_of(device, "kind"), text_of(device, "name"));
		json_object_object_foreach(counters, name, value)
			printf(" %s %llu", name,
			       (unsigned long long)json_object_get_uint64(value));
		putchar('\n');
	}
	json_object_object_foreach(module, name, value)
		printf("%-20s %llu\n", name, (unsigned long long)json_object_get_uint64(value));
}

void show_migration_progress(struct json_object *status)
{
	unsigned long long rate = number_of(status, "rate");

	fprintf(stderr, "\r%s: round %llu, %llu MiB sent, %llu MiB left, %llu MiB/s",
		text_of(status, "phase"), number_of(status, "round"),
		number_of(status, "sent") >> 20, number_of(status, "left_pages") >> 8, rate >> 20);
	if (rate)
		fprintf(stderr, ", the guest would stand still for %llu ms",
			number_of(status, "estimate_ms"));
	if (number_of(status, "throttle"))
		fprintf(stderr, ", slowed down by %llu %%", number_of(status, "throttle"));
	fputs("\033[K", stderr);
}

static void print_ms(const char *what, struct json_object *status, const char *key)
{
	printf("  %-36s %10.3f ms\n", what, number_of(status, key) / 1e6);
}

void show_migration(struct json_object *status)
{
	static const struct {
		const char *what, *key;
	} causes[] = {
		{ "to stop virtual CPUs and devices", "stop_ns" },
		{ "the last pages of memory", "pages_ns" },
		{ "the state of CPUs and devices", "state_ns" },
		{ "the other side takes it", "target_ns" },
		{ "commit, and the first steps there", "resume_ns" },
	};

	printf("%s after %.3f s: %llu rounds, %.1f MiB sent, %llu pages, and %llu of zeroes\n",
	       text_of(status, "phase"), number_of(status, "total_ns") / 1e9,
	       number_of(status, "round"), number_of(status, "sent") / 1048576.0,
	       number_of(status, "pages"), number_of(status, "zero_pages"));
	printf("the guest stood still for %.3f ms:\n", number_of(status, "downtime_ns") / 1e6);
	for (size_t n = 0; n < sizeof(causes) / sizeof(causes[0]); n++)
		print_ms(causes[n].what, status, causes[n].key);
	printf("before that it was held up:\n");
	print_ms("for its state at the beginning", status, "offer_ns");
	print_ms("to slow it down", status, "braked_ns");
	printf("  %-36s %10llu\n", "by faults that note its writes", number_of(status, "faults"));
}
