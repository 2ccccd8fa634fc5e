// SPDX-License-Identifier: LGPL-2.1-or-later
/* vmxctl: controls machines that run, through their sockets. */
#define _GNU_SOURCE	/* asprintf() */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include <linux/vmx.h>

#include "../api/runtime.h"
#include "vmxctl.h"

/* How long a machine may take to answer, and each of those in a list. */
#define PATIENCE	60
#define LIST_PATIENCE	2
#define STOP_PATIENCE	60
/* Memory goes to a disk, which may be slow. */
#define SAVE_PATIENCE	3600

static struct options {
	bool json;
	bool now;
	bool here;
	bool throttle;
	bool compress;
	const char *tls_creds;
	const char *tls_hostname;
	unsigned long downtime_ms;
	uint64_t bandwidth;
	unsigned int seconds;
} options = { .seconds = STOP_PATIENCE };

void fail(const char *format, ...)
{
	va_list args;

	fputs("vmxctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(STATUS_FAILED);
}

static void print_help(void)
{
	printf("usage: vmxctl list [--json]\n"
	       "       vmxctl info | stats [--json] VM\n"
	       "       vmxctl pause | resume VM\n"
	       "       vmxctl stop [--timeout SECONDS] [--now] VM\n"
	       "       vmxctl pin VM VCPU=CPU[-CPU],...\n"
	       "       vmxctl snapshot VM FILE\n"
	       "       vmxctl migrate [--bandwidth SIZE] [--downtime MS] [--throttle] [--compress]\n"
	       "              [--tls-creds FOLDER [--tls-hostname NAME]] [--json]\n"
	       "              VM unix:PATH | tcp:HOST:PORT | exec:COMMAND\n"
	       "       vmxctl migration | cancel VM\n"
	       "       vmxctl resume --here VM\n"
	       "\n"
	       "VM is the name that vmxrun gave to a machine, or unix:PATH of its socket.\n"
	       "\n"
	       "  list    the machines that have a name\n"
	       "  info    state, CPUs, memory and devices\n"
	       "  stats   exits and their cost, counters of devices and of the module\n"
	       "  pause   stop its CPUs, its devices and its clocks\n"
	       "  resume  let them go on\n"
	       "  stop    press the power button, and power it off after --timeout (%u s), or --now\n"
	       "  pin     the host's CPUs that virtual CPUs run on: 0=2,1=4-7\n"
	       "  snapshot\n"
	       "          save the machine to a file, for vmxrun --restore; it goes on\n"
	       "  migrate move the machine to vmxrun --incoming while it runs; Ctrl-C cancels it\n"
	       "  migration\n"
	       "          how far that is\n"
	       "  cancel  end it; the machine stays where it is\n"
	       "  resume --here\n"
	       "          have a machine go on that a cut line left on both sides; end the other one first\n"
	       "\n"
	       "Exit status: 0 done, 1 not done, 2 the command line makes no sense.\n",
	       STOP_PATIENCE);
}

static void __attribute__((noreturn)) misused(const char *what)
{
	fprintf(stderr, "vmxctl: %s; 'vmxctl --help' lists the commands\n", what);
	exit(STATUS_USAGE);
}

/* Where a machine's socket is. */
static const char *path_of(const char *vm)
{
	static char path[PATH_MAX];
	char folder[PATH_MAX / 2];

	if (!strncmp(vm, "unix:", 5))
		return vm + 5;
	if (!runtime_is_name(vm))
		fail("%s: not the name of a machine, nor unix:PATH", vm);
	if (!runtime_folder(folder, sizeof(folder)))
		fail("XDG_RUNTIME_DIR names no folder of yours, for names; give unix:PATH");
	snprintf(path, sizeof(path), "%s/%s" RUNTIME_SUFFIX, folder, vm);
	return path;
}

/* Asks, or says why not and exits. */
static void must(const char *vm, const char *method, const char *resource, const char *body,
		 struct answer *answer)
{
	if (!ask(path_of(vm), method, resource, body, PATIENCE, answer))
		fail("%s: %s", vm, reason_of(answer));
}

static struct json_object *get(const char *vm, const char *resource, struct answer *answer)
{
	struct json_object *object;

	must(vm, "GET", resource, NULL, answer);
	object = json_of(answer);
	if (!object)
		fail("%s: the answer is no JSON", vm);
	return object;
}

static void put(const char *vm, const char *resource, const char *body)
{
	struct answer answer;

	must(vm, "PUT", resource, body, &answer);
	free(answer.bytes);
}

/* Commands */

static void show(const char *vm, const char *resource, void (*print)(struct json_object *))
{
	struct answer answer;
	struct json_object *object = get(vm, resource, &answer);

	if (options.json)
		fwrite(answer.text, 1, answer.end - answer.text, stdout);
	else
		print(object);
	json_object_put(object);
	free(answer.bytes);
}

static int show_info(char **words)
{
	show(words[0], "/vm", show_machine);
	return STATUS_DONE;
}

static int show_stats(char **words)
{
	show(words[0], "/vm/statistics", show_statistics);
	return STATUS_DONE;
}

static int pause_vm(char **words)
{
	put(words[0], "/vm/pause", NULL);
	return STATUS_DONE;
}

static int resume_vm(char **words)
{
	put(words[0], options.here ? "/vm/resume-here" : "/vm/resume", NULL);
	return STATUS_DONE;
}

static int show_move(char **words)
{
	show(words[0], "/vm/migration", show_migration);
	return STATUS_DONE;
}

static int cancel_move(char **words)
{
	put(words[0], "/vm/migration/cancel", NULL);
	return STATUS_DONE;
}

static int is_socket(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name), suffix = strlen(RUNTIME_SUFFIX);

	return length > suffix && !strcmp(entry->d_name + length - suffix, RUNTIME_SUFFIX);
}

/* Sockets without a machine are of some that were killed; the next of that name takes them. */
static struct json_object *find_machines(void)
{
	struct json_object *list = json_object_new_array();
	char folder[PATH_MAX / 2], path[PATH_MAX];
	struct dirent **entries;
	int count;

	if (!runtime_folder(folder, sizeof(folder)))
		fail("XDG_RUNTIME_DIR names no folder of yours, where machines with a name are");
	count = scandir(folder, &entries, is_socket, alphasort);
	if (count < 0 && errno != ENOENT)
		fail("%s: %s", folder, strerror(errno));
	for (int n = 0; n < count; n++) {
		struct json_object *vm = NULL;
		struct answer answer;

		snprintf(path, sizeof(path), "%s/%s", folder, entries[n]->d_name);
		if (ask(path, "GET", "/vm", NULL, LIST_PATIENCE, &answer))
			vm = json_of(&answer);
		else if (answer.pid)
			fprintf(stderr, "vmxctl: %s: %s\n", path, reason_of(&answer));
		if (vm)
			json_object_array_add(list, vm);
		free(answer.bytes);
		free(entries[n]);
	}
	return list;
}

static int list_vms(char **words __attribute__((unused)))
{
	struct json_object *machines = find_machines();

	if (options.json) {
		puts(json_object_to_json_string_ext(machines, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	} else {
		show_line(NULL);
		for (size_t n = 0; n < json_object_array_length(machines); n++)
			show_line(json_object_array_get_idx(machines, n));
	}
	json_object_put(machines);
	return STATUS_DONE;
}

/* Waits for the end of the process: true if it came within MILLISECONDS. */
static bool has_ended(int process, int milliseconds)
{
	struct pollfd end = { .fd = process, .events = POLLIN };

	return poll(&end, 1, milliseconds) > 0;
}

static void say_progress(unsigned int second)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\rwaiting for the guest to switch off: %u of %u s", second,
			options.seconds);
}

/*
 * Presses the button until the guest hears it, for one that starts does not yet, and waits for the
 * end. Returns whether it came.
 */
static bool switch_off(const char *vm, int process)
{
	struct answer answer;
	bool heard = false, ended = false;

	for (unsigned int second = 0; !ended && second < options.seconds; second++) {
		if (!heard)
			heard = ask(path_of(vm), "PUT", "/vm/power-button", NULL, PATIENCE,
				    &answer);
		if (!heard && answer.status && answer.status != 409)
			fail("%s: %s", vm, reason_of(&answer));
		say_progress(second);
		ended = has_ended(process, 1000);
	}
	if (isatty(STDERR_FILENO))
		fputc('\n', stderr);
	if (!ended)
		fprintf(stderr, "vmxctl: %s: %s; it is powered off\n", vm,
			heard ? "the guest did not switch off in time" :
			"the guest does not listen to the power button");
	return ended;
}

static int stop_vm(char **words)
{
	struct answer answer;
	struct json_object *vm = get(words[0], "/vm", &answer), *state;
	int process = pidfd_open(answer.pid, 0);

	if (process < 0 && errno != ESRCH)
		fail("%s: process %d cannot be watched: %s", words[0], answer.pid, strerror(errno));
	json_object_object_get_ex(vm, "state", &state);
	if (!options.now && !strcmp(json_object_get_string(state) ?: "", "paused"))
		fail("%s: it is paused and cannot hear the button: resume it, or use --now",
		     words[0]);
	json_object_put(vm);
	if (process < 0 || (!options.now && switch_off(words[0], process)))
		return STATUS_DONE;
	ask(path_of(words[0]), "PUT", "/vm/power-off", NULL, PATIENCE, &answer);
	if (!has_ended(process, PATIENCE * 1000))
		fail("%s: %s", words[0], answer.status == 204 ? "it does not end" :
		     reason_of(&answer));
	return STATUS_DONE;
}

/* Moves *TEXT behind a number; false if there is none. */
static bool take_number(char **text, unsigned long *number)
{
	char *from = *text;

	if (*from < '0' || *from > '9')
		return false;
	*number = strtoul(from, text, 10);
	return *number < 100000;
}

/* One of VCPU=CPU[-CPU]. */
static bool pin_one(const char *vm, char *text)
{
	struct json_object *body = json_object_new_object(), *cpus = json_object_new_array();
	unsigned long vcpu, first, last;
	char resource[64];

	if (!take_number(&text, &vcpu) || *text++ != '=' || !take_number(&text, &first))
		return false;
	last = first;
	if (*text == '-' && (text++, !take_number(&text, &last)))
		return false;
	if (*text || last < first)
		return false;
	for (; first <= last; first++)
		json_object_array_add(cpus, json_object_new_int(first));
	json_object_object_add(body, "cpus", cpus);
	snprintf(resource, sizeof(resource), "/vm/cpus/%lu/affinity", vcpu);
	put(vm, resource, json_object_to_json_string(body));
	json_object_put(body);
	return true;
}

static int pin_vm(char **words)
{
	char *next;

	for (char *text = words[1]; text; text = next) {
		next = strchr(text, ',');
		if (next)
			*next++ = '\0';
		if (!pin_one(words[0], text))
			misused("pin takes VCPU=CPU or VCPU=CPU-CPU, with commas between");
	}
	return STATUS_DONE;
}

/* The machine's process may be in another folder. */
static const char *whole_path(const char *path)
{
	static char whole[2 * PATH_MAX];
	char folder[PATH_MAX] = "";

	if (*path != '/' && !getcwd(folder, sizeof(folder) - 1))
		fail("the working directory is gone: %s", strerror(errno));
	snprintf(whole, sizeof(whole), "%s%s%s", folder, *folder ? "/" : "", path);
	return whole;
}

static void add_text(struct json_object *body, const char *key, const char *text)
{
	json_object_object_add(body, key, json_object_new_string(text));
}

static int snapshot_vm(char **words)
{
	struct json_object *body = json_object_new_object();
	struct answer answer;

	add_text(body, "path", whole_path(words[1]));
	if (!ask(path_of(words[0]), "PUT", "/vm/snapshot", json_object_to_json_string(body),
		 SAVE_PATIENCE, &answer))
		fail("%s: %s", words[0], reason_of(&answer));
	json_object_put(body);
	free(answer.bytes);
	return STATUS_DONE;
}

static int migrate_vm(char **words)
{
	struct json_object *body = json_object_new_object();
	char address[3 * PATH_MAX];
	int status;

	snprintf(address, sizeof(address), "%s", words[1]);
	if (!strncmp(address, "unix:", 5))
		snprintf(address + 5, sizeof(address) - 5, "%s", whole_path(words[1] + 5));
	add_text(body, "address", address);
	json_object_object_add(body, "bandwidth", json_object_new_uint64(options.bandwidth));
	json_object_object_add(body, "downtime_ms", json_object_new_uint64(options.downtime_ms));
	json_object_object_add(body, "throttle", json_object_new_boolean(options.throttle));
	json_object_object_add(body, "compress", json_object_new_boolean(options.compress));
	if (options.tls_creds)
		add_text(body, "tls_creds", whole_path(options.tls_creds));
	if (options.tls_hostname)
		add_text(body, "tls_hostname", options.tls_hostname);
	status = migrate(words[0], path_of(words[0]), json_object_to_json_string(body),
			 options.json);
	json_object_put(body);
	return status;
}

static const struct command {
	const char *name;
	int words;
	int (*run)(char **words);
} commands[] = {
	{ "list", 0, list_vms },
	{ "info", 1, show_info },
	{ "stats", 1, show_stats },
	{ "pause", 1, pause_vm },
	{ "resume", 1, resume_vm },
	{ "stop", 1, stop_vm },
	{ "pin", 2, pin_vm },
	{ "snapshot", 2, snapshot_vm },
	{ "migrate", 2, migrate_vm },
	{ "migration", 1, show_move },
	{ "cancel", 1, cancel_move },
};

static const struct command *find(const char *name)
{
	for (size_t n = 0; n < sizeof(commands) / sizeof(commands[0]); n++)
		if (!strcmp(commands[n].name, name))
			return &commands[n];
	misused("there is no such command");
}

/* Bytes in a second. */
static uint64_t bandwidth_of(char *text)
{
	static const struct {
		const char *suffix;
		unsigned int shift;
	} units[] = { { "", 0 }, { "K", 10 }, { "M", 20 }, { "G", 30 } };
	char *end = text;
	unsigned long number;

	if (take_number(&end, &number) && number)
		for (size_t n = 0; n < sizeof(units) / sizeof(units[0]); n++)
			if (!strcmp(end, units[n].suffix))
				return (uint64_t)number << units[n].shift;
	misused("--bandwidth takes bytes in a second, such as 500K, 20M or 1G");
}

static void set(int option)
{
	switch (option) {
	case 'j':
		options.json = true;
		break;
	case 'n':
		options.now = true;
		break;
	case 't':
	{
		unsigned long seconds;
		char *at = optarg;

		if (!take_number(&at, &seconds) || *at)
			misused("--timeout takes a number of seconds");
		options.seconds = seconds;
		options.now |= !seconds;
		break;
	}
	case 'H':
		options.here = true;
		break;
	case 'T':
		options.throttle = true;
		break;
	case 'c':
		options.compress = true;
		break;
	case 'C':
		options.tls_creds = optarg;
		break;
	case 'N':
		options.tls_hostname = optarg;
		break;
	case 'b':
		options.bandwidth = bandwidth_of(optarg);
		break;
	case 'd':
	{
		char *at = optarg;

		if (!take_number(&at, &options.downtime_ms) || *at || !options.downtime_ms)
			misused("--downtime takes a number of milliseconds");
		break;
	}
	case 'h':
		print_help();
		exit(STATUS_DONE);
	case 'v':
		printf("vmxctl %d.%d\n", VMX_API_MAJOR, VMX_API_MINOR);
		exit(STATUS_DONE);
	default:
		misused("an option makes no sense");
	}
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "now", no_argument, NULL, 'n' },
		{ "timeout", required_argument, NULL, 't' },
		{ "here", no_argument, NULL, 'H' },
		{ "bandwidth", required_argument, NULL, 'b' },
		{ "downtime", required_argument, NULL, 'd' },
		{ "throttle", no_argument, NULL, 'T' },
		{ "compress", no_argument, NULL, 'c' },
		{ "tls-creds", required_argument, NULL, 'C' },
		{ "tls-hostname", required_argument, NULL, 'N' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{}
	};
	const struct command *command;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set(option);
	if (optind == argc)
		misused("a command is missing");
	command = find(argv[optind++]);
	if (argc - optind != command->words)
		misused(command->words ? "the name of a machine is missing, or there is too much" :
			"list takes no name");
	return command->run(&argv[optind]);
}
