// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * vmxoci: an OCI runtime that runs each container in a VM. It stands in front of Debian's crun,
 * which keeps the containers' states and does what this computer's kernel does for them; the
 * container that crun sees is the one of the machine's monitor.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <linux/vmx.h>

#include "vmxoci.h"

#define DEFAULT_ROOT	"/run/vmxoci"

struct global global = { .root = DEFAULT_ROOT, .crun = "crun" };

/* Messages */

static void log_message(const char *level, const char *message)
{
	FILE *log = global.log ? fopen(global.log, "ae") : NULL;
	struct timeval now;
	char when[32];
	struct tm utc;

	if (!log)
		return;
	gettimeofday(&now, NULL);
	strftime(when, sizeof(when), "%FT%T", gmtime_r(&now.tv_sec, &utc));
	if (global.log_json)
		fprintf(log, "{\"msg\":%s,\"level\":\"%s\",\"time\":\"%s.%06ldZ\"}\n",
			json_object_to_json_string(json_object_new_string(message)), level, when,
			(long)now.tv_usec);
	else
		fprintf(log, "%s.%06ldZ: %s\n", when, (long)now.tv_usec, message);
	fclose(log);
}

static void say(const char *level, const char *format, va_list arguments)
{
	char message[PATH_MAX + 512];

	vsnprintf(message, sizeof(message), format, arguments);
	fprintf(stderr, "%s\n", message);
	log_message(level, message);
}

void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say("error", format, arguments);
	va_end(arguments);
	exit(1);
}

void warn(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say("warning", format, arguments);
	va_end(arguments);
}

char *text(const char *format, ...)
{
	va_list arguments;
	char *made;

	va_start(arguments, format);
	if (vasprintf(&made, format, arguments) < 0)
		abort();
	va_end(arguments);
	return made;
}

/* Commands */

static void refuse(int argc __attribute__((unused)), char **argv)
{
	fail("%s: a container in a VM cannot be checkpointed; stop it, start it again",
	     argv[0]);
}

static const struct {
	const char *name;
	void (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "create", command_create, "create a container" },
	{ "start", pass_on, "start a container that was created" },
	{ "run", command_run, "create and start a container" },
	{ "exec", command_exec, "execute a program in a running container" },
	{ "state", pass_on, "print the state of a container" },
	{ "list", pass_on, "list containers" },
	{ "ps", pass_on, "list the processes of a container's machine on this computer" },
	{ "kill", pass_on, "send a signal to a container's process" },
	{ "pause", pass_on, "stop a container's machine for a while" },
	{ "resume", pass_on, "have it go on" },
	{ "update", pass_on, "change limits" },
	{ "events", command_events, "print what a container uses" },
	{ "delete", command_delete, "remove a container" },
	{ "spec", pass_on, "write a configuration to begin with" },
	{ "features", command_features, "print what this runtime can do" },
	{ "checkpoint", refuse, "refused" },
	{ "restore", refuse, "refused" },
};

static void print_help(void)
{
	printf("usage: vmxoci [OPTION]... COMMAND [OPTION]... [CONTAINER]\n"
	       "\n"
	       "Runs OCI containers, each in a VM. The options of commands are crun's.\n"
	       "\n"
	       "  --root FOLDER          states of containers; default " DEFAULT_ROOT "\n"
	       "  --log FILE             messages go there, too\n"
	       "  --log-format FORMAT    text or json\n"
	       "  --systemd-cgroup       systemd makes the cgroups\n"
	       "  --cgroup-manager NAME  cgroupfs, systemd or disabled\n"
	       "  --machine FOLDER       monitor, kernel and initial RAM disk of the VMs\n"
	       "  --plain-sandboxes      Kubernetes' sandboxes are processes, not VMs\n"
	       "  --debug                crun's messages for its developers\n"
	       "  --version              print the version\n"
	       "\n");
	for (size_t n = 0; n < sizeof(commands) / sizeof(commands[0]); n++)
		printf("  %-12s %s\n", commands[n].name, commands[n].help);
}

static void print_version(void)
{
	printf("vmxoci version %d.%d\nspec: " SPEC_VERSION "\n+CRUN\n", VMX_API_MAJOR,
	       VMX_API_MINOR);
}

/* The folder of the machine: beside this program, or where both are installed. */
static const char *find_machine(void)
{
	static const char *const places[] = { "oci/vm", "../lib/vmx/oci" };
	char program[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	program[length > 0 ? length : 0] = '\0';
	if (strrchr(program, '/'))
		*strrchr(program, '/') = '\0';
	for (size_t n = 0; n < sizeof(places) / sizeof(places[0]); n++) {
		const char *path = text("%s/%s", program, places[n]);
		const char *real = realpath(path, NULL);

		if (real)
			return real;
	}
	return NULL;
}

/* crun looks from the bundle. */
static const char *absolute(const char *path)
{
	char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);

	return here ? text("%s/%s", here, path) : path;
}

static void parse_global(int *argc, char ***argv)
{
	const char *format = NULL, *help = NULL, *version = NULL, *plain = NULL;
	static struct words kept;
	const struct option_of options[] = {
		{ "root", 0, true, false, &global.root, false, NULL },
		{ "log", 0, true, false, &global.log, true, NULL },
		{ "log-format", 0, true, false, &format, true, NULL },
		{ "systemd-cgroup", 0, false, false, NULL, true, NULL },
		{ "cgroup-manager", 0, true, false, NULL, true, NULL },
		{ "rootless", 0, true, false, NULL, true, NULL },
		{ "debug", 0, false, false, NULL, true, NULL },
		{ "machine", 0, true, false, &global.machine, false, NULL },
		{ "plain-sandboxes", 0, false, false, &plain, false, NULL },
		{ "help", 'h', false, false, &help, false, NULL },
		{ "version", 'v', false, false, &version, false, NULL },
	};

	words_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &kept);
	global.root = absolute(global.root);
	words_add(&kept, text("--root=%s", global.root));
	global.words = kept.of;
	global.count = kept.count;
	global.plain_sandboxes = plain;
	global.log_json = format && !strcmp(format, "json");
	if (global.log && !strncmp(global.log, "file:", 5))
		global.log += 5;
	/* Those are crun's to write. */
	else if (global.log && (!strncmp(global.log, "journald:", 9) ||
				!strncmp(global.log, "syslog:", 7)))
		global.log = NULL;
	global.machine = global.machine ? absolute(global.machine) : find_machine();
	if (help)
		print_help();
	if (version)
		print_version();
	if (help || version)
		exit(0);
}

int main(int argc, char **argv)
{
	int null;

	/* What a caller closed must not become something else's number. */
	while ((null = open("/dev/null", O_RDWR)) >= 0 && null <= STDERR_FILENO)
		;
	close(null);
	signal(SIGCHLD, SIG_DFL);
	argv[0] = "vmxoci";
	parse_global(&argc, &argv);
	if (!argc)
		fail("no command is given: 'vmxoci --help' lists them");
	/* Descriptors and sockets of a service do not reach into a machine. */
	unsetenv("NOTIFY_SOCKET");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	/* The options are crun's. */
	if (argc == 2 && !strcmp(argv[1], "--help"))
		pass_on(argc, argv);
	for (size_t n = 0; n < sizeof(commands) / sizeof(commands[0]); n++)
		if (!strcmp(argv[0], commands[n].name)) {
			commands[n].run(argc, argv);
			return 0;
		}
	fail("unknown command %s", argv[0]);
}
