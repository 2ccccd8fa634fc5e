// SPDX-License-Identifier: LGPL-2.1-or-later
/* vmxoci events: what a container uses, as runc prints it: the monitor's cgroup has it all. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmxoci.h"

#define DEFAULT_INTERVAL	"5"

static int pid_of(const char *id)
{
	struct words crun = {};
	struct json_object *state;

	words_begin(&crun);
	words_add(&crun, "state");
	words_add(&crun, id);
	state = json_tokener_parse(words_output(&crun));
	if (!strcmp(json_text(state, "status"), "stopped"))
		fail("the container `%s` is not running", id);
	return json_object_get_int(json_get(state, "pid", json_type_int));
}

/* Is NAME one of the words between commas? */
static bool names(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, name, length) && (!at[length] || at[length] == ','))
			return true;
	}
	return false;
}

/*
 * The folder of a process's cgroup: of version 2, whose controllers have no names in this list, or
 * of version 1's CONTROLLER. False if there is none.
 */
static bool cgroup_of(int pid, const char *controller, char *folder, size_t size)
{
	FILE *list = fopen(text("/proc/%d/cgroup", pid), "re");
	bool found = false;
	char line[PATH_MAX];

	while (list && !found && fgets(line, sizeof(line), list)) {
		char *controllers = strchr(line, ':'), *path;

		path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		controllers++;
		path[strcspn(path, "\n")] = '\0';
		if (*controller ? !names(controllers, controller) : *controllers != '\0')
			continue;
		snprintf(folder, size, "/sys/fs/cgroup/%s%s", controller, path);
		found = !access(folder, F_OK);
	}
	if (list)
		fclose(list);
	return found;
}

/* Where a number is: a file of its own, or a line of a file that has several. */
struct source {
	const char *file;
	const char *key;	/* NULL: the file has the number alone */
	unsigned int scale;	/* to what runc prints */
};

static const struct figure {
	const char *of, *group, *name;
	const char *controller;	/* of version 1 */
	struct source v1, v2;
} figures[] = {
	{ "cpu", "usage", "total", "cpuacct", { "cpuacct.usage", NULL, 1 },
	  { "cpu.stat", "usage_usec", 1000 } },
	{ "cpu", "usage", "user", "cpuacct", { "cpuacct.usage_user", NULL, 1 },
	  { "cpu.stat", "user_usec", 1000 } },
	{ "cpu", "usage", "kernel", "cpuacct", { "cpuacct.usage_sys", NULL, 1 },
	  { "cpu.stat", "system_usec", 1000 } },
	{ "cpu", "throttling", "periods", "cpu", { "cpu.stat", "nr_periods", 1 },
	  { "cpu.stat", "nr_periods", 1 } },
	{ "cpu", "throttling", "throttledPeriods", "cpu", { "cpu.stat", "nr_throttled", 1 },
	  { "cpu.stat", "nr_throttled", 1 } },
	{ "cpu", "throttling", "throttledTime", "cpu", { "cpu.stat", "throttled_time", 1 },
	  { "cpu.stat", "throttled_usec", 1000 } },
	{ "memory", "usage", "usage", "memory", { "memory.usage_in_bytes", NULL, 1 },
	  { "memory.current", NULL, 1 } },
	{ "memory", "usage", "max", "memory", { "memory.max_usage_in_bytes", NULL, 1 },
	  { "memory.peak", NULL, 1 } },
	{ "memory", "usage", "limit", "memory", { "memory.limit_in_bytes", NULL, 1 },
	  { "memory.max", NULL, 1 } },
	{ "pids", NULL, "current", "pids", { "pids.current", NULL, 1 },
	  { "pids.current", NULL, 1 } },
	{ "pids", NULL, "limit", "pids", { "pids.max", NULL, 1 }, { "pids.max", NULL, 1 } },
};

static bool read_number(const char *folder, const struct source *source, uint64_t *number)
{
	FILE *file = fopen(text("%s/%s", folder, source->file), "re");
	char line[256];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		const char *value = line;
		char *end;

		if (source->key) {
			size_t length = strlen(source->key);

			if (strncmp(line, source->key, length) || line[length] != ' ')
				continue;
			value += length + 1;
		}
		*number = strtoull(value, &end, 10) * source->scale;
		/* "max" is no number. */
		found = end != value;
		if (!source->key)
			break;
	}
	if (file)
		fclose(file);
	return found;
}

static struct json_object *read_figures(int pid)
{
	struct json_object *data = json_object_new_object();
	char folder[PATH_MAX];
	uint64_t number;

	for (size_t n = 0; n < sizeof(figures) / sizeof(figures[0]); n++) {
		const struct figure *figure = &figures[n];
		struct json_object *place = json_make(data, figure->of, json_type_object);
		bool first = cgroup_of(pid, figure->controller, folder, sizeof(folder));

		if (!first && !cgroup_of(pid, "", folder, sizeof(folder)))
			continue;
		if (!read_number(folder, first ? &figure->v1 : &figure->v2, &number))
			continue;
		if (figure->group)
			place = json_make(place, figure->group, json_type_object);
		json_object_object_add(place, figure->name, json_object_new_uint64(number));
	}
	return data;
}

static void print_stats(const char *id, int pid)
{
	struct json_object *event = json_object_new_object();

	json_object_object_add(event, "type", json_object_new_string("stats"));
	json_object_object_add(event, "id", json_object_new_string(id));
	json_object_object_add(event, "data", read_figures(pid));
	puts(json_object_to_json_string_ext(event, JSON_C_TO_STRING_PLAIN));
	fflush(stdout);
	json_object_put(event);
}

static int milliseconds_of(const char *seconds)
{
	char *end;
	long value = strtol(seconds, &end, 10);

	if (end == seconds || (*end && strcmp(end, "s")) || value < 1 || value > 86400)
		fail("--interval %s: give seconds from 1 to 86400", seconds);
	return value * 1000;
}

void command_events(int argc, char **argv)
{
	const char *interval = DEFAULT_INTERVAL, *once = NULL;
	struct words crun = {};
	const struct option_of options[] = {
		{ "stats", 0, false, false, &once, false, NULL },
		{ "interval", 0, true, false, &interval, false, NULL },
	};
	struct pollfd ends = { .events = POLLIN };
	int pid, wait;

	words_parse(&argc, &argv, options, sizeof(options) / sizeof(options[0]), &crun);
	if (argc != 1)
		fail("give one container ID, not %d", argc);
	wait = milliseconds_of(interval);
	pid = pid_of(argv[0]);
	ends.fd = syscall(SYS_pidfd_open, pid, 0);
	if (ends.fd < 0)
		fail("the container's process %d: %s", pid, strerror(errno));
	do
		print_stats(argv[0], pid);
	while (!once && !poll(&ends, 1, wait));
}
