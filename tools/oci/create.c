// SPDX-License-Identifier: LGPL-2.1-or-later
/* vmxoci create, run and delete. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmxoci.h"

/* What is left if this process fails. */
static struct {
	const struct state *state;
	pid_t owner;
} half_made;

static void remove_half_made(void)
{
	/* Not in a child that could not become crun. */
	if (half_made.state && half_made.owner == getpid())
		state_abandon(half_made.state);
}

/* What is not of use to a machine, as people ask for it by mistake. */
static void refuse_descriptors(const char *count)
{
	if (count && strcmp(count, "0"))
		fail("--preserve-fds %s: descriptors cannot go into a VM; leave it out", count);
}

/* A sandbox of Kubernetes' is a process that holds namespaces: a machine would add nothing. */
static bool is_sandbox(struct json_object *config)
{
	struct json_object *annotations = json_get(config, "annotations", json_type_object);

	/* An image may have such an annotation, too: the caller has to want it. */
	if (!global.plain_sandboxes)
		return false;
	return !strcmp(json_text(annotations, "io.kubernetes.cri.container-type"), "sandbox") ||
	       !strcmp(json_text(annotations, "io.kubernetes.cri-o.ContainerType"), "sandbox");
}

/* crun says it where there is a namespace, but the guest's container always has one. */
static void check_sysctls(struct json_object *config)
{
	struct json_object *os = json_get(config, "linux", json_type_object);
	struct json_object *namespaces = json_get(os, "namespaces", json_type_array);
	struct json_object *sysctls = json_get(os, "sysctl", json_type_object);

	for (size_t n = 0; n < json_count(namespaces); n++)
		if (!strcmp(json_text(json_item(namespaces, n), "type"), "network"))
			return;
	if (!sysctls)
		return;
	json_object_object_foreach(sysctls, name, value) {
		(void)value;
		if (!strncmp(name, "net.", 4) || !strncmp(name, "net/", 4))
			fail("the sysctl `%s` requires a new network namespace", name);
	}
}

static void check_process(const struct container *container)
{
	struct json_object *process = json_get(container->config, "process", json_type_object);

	if (!process)
		fail("block `process` is missing in the configuration");
	if (json_text(process, "cwd")[0] != '/')
		fail("the process's `cwd` has to be an absolute path");
	find_program(container, process);
}

/* As it was given: exec needs the process, and the mounts to find programs. */
static struct json_object *whole_of(const struct container *container)
{
	struct json_object *whole = json_object_new_object();

	json_object_object_add(whole, "bundle", json_object_new_string(container->bundle));
	json_object_object_add(whole, "config", json_object_get(container->config));
	return whole;
}

static void write_configurations(const struct container *container)
{
	check_sysctls(container->config);
	check_process(container);
	json_write(outer_make(container), container->state->folder, STATE_OUTER);
	json_write(whole_of(container), container->state->folder, STATE_CONFIG);
	json_write(guest_make(container), container->state->folder, STATE_BUNDLE "/config.json");
}

static int make(struct words *crun, const char *id, const char *bundle, const char *config)
{
	char *absolute = realpath(bundle, NULL);
	static struct state state;
	struct container container = { .state = &state, .bundle = absolute };
	int pid, listener = -1;

	if (!absolute)
		fail("cannot open bundle `%s`: %s", bundle, strerror(errno));
	config = config[0] == '/' ? config : text("%s/%s", absolute, config);
	state_check_id(id);
	container.config = json_read(config);
	words_add(crun, text("--bundle=%s", absolute));
	half_made.owner = getpid();
	atexit(remove_half_made);
	state_create(&state, id);
	half_made.state = &state;
	if (is_sandbox(container.config)) {
		state_note_sandbox(&state);
		words_add(crun, text("--config=%s", config));
	} else {
		write_configurations(&container);
		listener = state_listen(&state);
		words_add(crun, "--preserve-fds=1");
		words_add(crun, text("--config=%s/" STATE_OUTER, state.path));
	}
	words_add(crun, id);
	pid = words_start(crun, listener);
	if (listener >= 0)
		close(listener);
	return words_wait(pid);
}

static void create_or_run(int argc, char **argv, bool run)
{
	const char *bundle = ".", *config = "config.json", *preserve = NULL, *detach = NULL;
	struct words crun = {};
	const struct option_of options[] = {
		{ "bundle", 'b', true, false, &bundle, false, NULL },
		{ "config", 'f', true, false, &config, false, NULL },
		{ "preserve-fds", 0, true, false, &preserve, false, NULL },
		{ "console-socket", 0, true, false, NULL, true, NULL },
		{ "pid-file", 0, true, false, NULL, true, NULL },
		{ "no-new-keyring", 0, false, false, NULL, true, NULL },
		{ "no-pivot", 0, false, false, NULL, true, NULL },
		{ "no-subreaper", 0, false, false, NULL, true, NULL },
		{ "detach", 'd', false, false, &detach, true, NULL },
	};
	size_t count = sizeof(options) / sizeof(options[0]) - !run;
	int status;

	words_begin(&crun);
	words_add(&crun, argv[0]);
	words_parse(&argc, &argv, options, count, &crun);
	if (argc != 1)
		fail("give one container ID, not %d", argc);
	refuse_descriptors(preserve);
	status = make(&crun, argv[0], bundle, config);
	/* A container that stays needs what belongs to it until it is deleted. */
	if (!status && (!run || detach))
		half_made.state = NULL;
	exit(status);
}

void command_create(int argc, char **argv)
{
	create_or_run(argc, argv, false);
}

void command_run(int argc, char **argv)
{
	create_or_run(argc, argv, true);
}

void command_delete(int argc, char **argv)
{
	const char *pattern = NULL;
	struct words crun = {};
	const struct option_of options[] = {
		{ "force", 'f', false, false, NULL, true, NULL },
		{ "regex", 'r', false, false, &pattern, true, NULL },
	};
	int status;

	words_begin(&crun);
	words_add(&crun, argv[0]);
	words_parse(&argc, &argv, options, sizeof(options) / sizeof(options[0]), &crun);
	if (argc != 1)
		fail("give one container ID, not %d", argc);
	if (!pattern)
		state_check_id(argv[0]);
	words_add(&crun, argv[0]);
	status = words_wait(words_start(&crun, -1));
	if (pattern)
		state_sweep();
	else
		state_remove(argv[0]);
	exit(status);
}
