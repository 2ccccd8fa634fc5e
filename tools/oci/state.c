// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is kept of a container beside crun's state: the folder ROOT/.vmx/ID. crun ignores names that
 * begin with a dot.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmxoci.h"

void state_check_id(const char *id)
{
	if (!*id || id[0] == '.' || id[0] == '-' || strchr(id, '/') || strlen(id) > NAME_MAX)
		fail("invalid container ID `%s`: it has no `/` and begins with neither `.` nor `-`",
		     id);
}

static void set_path(struct state *state, const char *id)
{
	state_check_id(id);
	state->id = id;
	state->folder = -1;
	if (snprintf(state->path, sizeof(state->path), "%s/.vmx/%s", global.root, id) >=
	    (int)sizeof(state->path))
		fail("`%s`: the path is too long", global.root);
}

static bool crun_has(const char *id)
{
	return !access(text("%s/%s", global.root, id), F_OK);
}

/* Removes what FOLDER has; a name that something is mounted on stays. */
static void empty(int folder)
{
	DIR *entries = fdopendir(folder);
	const struct dirent *entry;

	while (entries && (entry = readdir(entries))) {
		struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
					.resolve = RESOLVE_NO_XDEV };
		int below;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (!unlinkat(dirfd(entries), entry->d_name, 0))
			continue;
		below = syscall(SYS_openat2, dirfd(entries), entry->d_name, &how, sizeof(how));
		if (below >= 0)
			empty(below);
		unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR);
	}
	if (entries)
		closedir(entries);
}

static void remove_folder(const char *path)
{
	int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (folder >= 0)
		empty(folder);
	if (rmdir(path) && errno != ENOENT)
		warn("%s: %s", path, strerror(errno));
}

/* Whoever makes a container holds its folder until that is done or has failed. */
static bool hold(struct state *state)
{
	state->folder = open(state->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return state->folder >= 0 && !flock(state->folder, LOCK_EX | LOCK_NB);
}

/* With those that it is in. */
static void make_folder(const char *path)
{
	char *all = text("%s", path);

	for (char *at = strchr(all + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		mkdir(all, 0700);
		*at = '/';
	}
	if (mkdir(all, 0700) && errno != EEXIST)
		fail("cannot mkdir `%s`: %s", path, strerror(errno));
}

void state_create(struct state *state, const char *id)
{
	set_path(state, id);
	if (crun_has(id))
		fail("container `%s` already exists", id);
	make_folder(text("%s/.vmx", global.root));
	if (mkdir(state->path, 0700)) {
		if (errno != EEXIST)
			fail("cannot mkdir `%s`: %s", state->path, strerror(errno));
		/* Left by a power cut or a kill, unless somebody is at work. */
		if (!hold(state))
			fail("container `%s` already exists", id);
		close(state->folder);
		remove_folder(state->path);
		make_folder(state->path);
	}
	/* Somebody may have been faster, and be done. */
	if (!hold(state) || crun_has(id))
		fail("container `%s` already exists", id);
	for (const char *const *name = (const char *const[]){ STATE_ROOT, STATE_BUNDLE, STATE_RUN,
							      NULL }; *name; name++)
		if (mkdirat(state->folder, *name, 0700))
			fail("cannot mkdir `%s/%s`: %s", state->path, *name, strerror(errno));
}

bool state_open(struct state *state, const char *id)
{
	set_path(state, id);
	state->folder = open(state->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state->folder < 0 && crun_has(id))
		fail("the container `%s` has lost what `%s` had of it; delete it", id, state->path);
	return state->folder >= 0;
}

bool state_is_sandbox(const struct state *state)
{
	return !faccessat(state->folder, STATE_SANDBOX, F_OK, 0);
}

void state_note_sandbox(const struct state *state)
{
	int fd = openat(state->folder, STATE_SANDBOX, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		fail("cannot note a sandbox in `%s`: %s", state->path, strerror(errno));
	close(fd);
}

void state_remove(const char *id)
{
	struct state state;

	set_path(&state, id);
	if (hold(&state) && !crun_has(id))
		remove_folder(state.path);
	if (state.folder >= 0)
		close(state.folder);
}

void state_abandon(const struct state *state)
{
	remove_folder(state->path);
}

void state_sweep(void)
{
	DIR *states = opendir(text("%s/.vmx", global.root));
	const struct dirent *entry;

	while (states && (entry = readdir(states))) {
		if (entry->d_name[0] != '.')
			state_remove(entry->d_name);
	}
	if (states)
		closedir(states);
}

int state_listen(const struct state *state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* A path of any length would not fit. */
	snprintf(address.sun_path, sizeof(address.sun_path),
		 "/proc/self/fd/%d/" STATE_RUN "/monitor", state->folder);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 64))
		fail("the monitor's socket in `%s`: %s", state->path, strerror(errno));
	return fd;
}
