// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * vmxoci exec: crun executes the monitor's client in the outer container, and hands it the
 * description of the process that the machine is to start.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmxoci.h"

/* What the command line says of the process. */
struct wishes {
	const char *process;	/* a file that has all of it */
	const char *cwd;
	const char *user;
	const char *terminal;
	const char *no_new_privileges;
	struct words environment;
	struct words capabilities;
	char **words;
};

static int open_object(struct json_object *value, const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	const char *bytes = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
	size_t length = strlen(bytes);

	if (length > PROCESS_MAX)
		fail("the process's description has more than %d bytes", PROCESS_MAX);
	if (fd < 0 || write(fd, bytes, length) != (ssize_t)length)
		fail("the process's description: %s", strerror(errno));
	return fd;
}

static void set_user(struct json_object *process, const char *user)
{
	struct json_object *made = json_object_new_object();
	char *end;
	unsigned long uid, gid = 0;

	errno = 0;
	uid = strtoul(user, &end, 10);
	if (!errno && isdigit((unsigned char)user[0]) && *end == ':' &&
	    isdigit((unsigned char)end[1]))
		gid = strtoul(end + 1, &end, 10);
	if (errno || !isdigit((unsigned char)user[0]) || *end || uid > UINT32_MAX ||
	    gid > UINT32_MAX)
		fail("invalid USERSPEC `%s` specified: give UID or UID:GID", user);
	json_object_object_add(made, "uid", json_object_new_int64(uid));
	json_object_object_add(made, "gid", json_object_new_int64(gid));
	json_object_object_add(process, "user", made);
}

static void add_environment(struct json_object *process, const struct words *more)
{
	struct json_object *environment = json_make(process, "env", json_type_array);

	for (unsigned int n = 0; n < more->count; n++)
		json_object_array_add(environment, json_object_new_string(more->of[n]));
}

static void add_capabilities(struct json_object *process, const struct words *more)
{
	static const char *const sets[] = { "bounding", "effective", "inheritable", "permitted",
					    "ambient" };

	for (size_t set = 0; more->count && set < sizeof(sets) / sizeof(sets[0]); set++) {
		struct json_object *all = json_make(process, "capabilities", json_type_object);
		struct json_object *names = json_make(all, sets[set], json_type_array);

		for (unsigned int n = 0; n < more->count; n++)
			json_object_array_add(names, json_object_new_string(more->of[n]));
	}
}

/* --tty, or --tty=VALUE */
static bool wants_terminal(const struct wishes *wishes)
{
	return wishes->terminal && strcmp(wishes->terminal, "false") &&
	       strcmp(wishes->terminal, "0") && strcmp(wishes->terminal, "no");
}

/* As crun does: the container's own process, with other words. */
static struct json_object *make_process(const struct container *container,
					const struct wishes *wishes)
{
	struct json_object *process = json_copy(json_get(container->config, "process",
							 json_type_object));
	struct json_object *words = json_object_new_array();

	if (!*wishes->words)
		fail("no command is given: name it behind the container");
	for (char **word = wishes->words; *word; word++)
		json_object_array_add(words, json_object_new_string(*word));
	json_object_object_add(process, "args", words);
	json_object_object_add(process, "terminal",
			       json_object_new_boolean(wants_terminal(wishes)));
	if (wishes->cwd)
		json_object_object_add(process, "cwd", json_object_new_string(wishes->cwd));
	if (wishes->user)
		set_user(process, wishes->user);
	if (wishes->no_new_privileges)
		json_object_object_add(process, "noNewPrivileges", json_object_new_boolean(true));
	add_environment(process, &wishes->environment);
	add_capabilities(process, &wishes->capabilities);
	return process;
}

/* The container's configuration as it was given: that of the guest, with paths of here. */
static void read_container(struct container *container)
{
	const char *path = text("%s/" STATE_CONFIG, container->state->path);
	struct json_object *whole = json_read(path);

	container->bundle = json_text(whole, "bundle");
	container->config = json_get(whole, "config", json_type_object);
}

static void execute(const struct state *state, const struct wishes *wishes, struct words *crun)
{
	struct container container = { .state = state };
	struct json_object *process;
	int description, outer;

	read_container(&container);
	process = wishes->process ? json_read(wishes->process) : make_process(&container, wishes);
	find_program(&container, process);
	outer = open_object(outer_process(process), "outer-process");
	guest_process(process);
	description = open_object(process, "process");
	words_add(crun, "--preserve-fds=1");
	words_add(crun, text("--process=/proc/%d/fd/%d", getpid(), outer));
	words_add(crun, state->id);
	exit(words_wait(words_start(crun, description)));
}

void command_exec(int argc, char **argv)
{
	struct wishes wishes = {};
	const char *preserve = NULL, *cgroup = NULL;
	struct words crun = {};
	struct state state;
	const struct option_of options[] = {
		{ "process", 'p', true, false, &wishes.process, false, NULL },
		{ "cwd", 0, true, false, &wishes.cwd, false, NULL },
		{ "user", 'u', true, false, &wishes.user, false, NULL },
		{ "tty", 't', true, true, &wishes.terminal, false, NULL },
		{ "env", 'e', true, false, NULL, false, &wishes.environment },
		{ "cap", 'c', true, false, NULL, false, &wishes.capabilities },
		{ "no-new-privs", 0, false, false, &wishes.no_new_privileges, false, NULL },
		{ "preserve-fds", 0, true, false, &preserve, false, NULL },
		{ "cgroup", 0, true, false, &cgroup, false, NULL },
		{ "apparmor", 0, true, false, NULL, true, NULL },
		{ "process-label", 0, true, false, NULL, true, NULL },
		{ "console-socket", 0, true, false, NULL, true, NULL },
		{ "pid-file", 0, true, false, NULL, true, NULL },
		{ "detach", 'd', false, false, NULL, true, NULL },
	};
	int whole_argc = argc;
	char **whole_argv = argv;

	words_begin(&crun);
	words_add(&crun, argv[0]);
	words_parse(&argc, &argv, options, sizeof(options) / sizeof(options[0]), &crun);
	if (argc < 1)
		fail("name the container");
	/* A sandbox is crun's alone; what does not exist is its to say, too. */
	if (!state_open(&state, argv[0]) || state_is_sandbox(&state))
		pass_on(whole_argc, whole_argv);
	if (preserve && strcmp(preserve, "0"))
		fail("--preserve-fds %s: descriptors cannot go into a VM; leave the option out",
		     preserve);
	if (cgroup)
		fail("--cgroup %s: the VM is in one cgroup of this computer; leave the option out",
		     cgroup);
	wishes.words = argv + 1;
	execute(&state, &wishes, &crun);
}
