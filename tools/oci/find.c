// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finds a process's program in the container's root and volumes. The machine would find that it is
 * missing only when the container has started; callers want to hear it before, in crun's words.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmxoci.h"

#define LINKS	40	/* as the kernel has it */

enum found {
	FOUND,
	MISSING,
	NOT_EXECUTABLE,
	NOT_A_FILE,
	UNKNOWN,	/* on a file system that only the machine has */
};

/* The mount at exactly this path, or NULL; the last one is on top. */
static struct json_object *mount_at(const struct container *container, const char *path)
{
	struct json_object *mounts = container_mounts(container);

	for (size_t n = json_count(mounts); n--;) {
		struct json_object *mount = json_item(mounts, n);
		const char *at = json_text(mount, "destination");
		size_t length = strlen(at);

		while (length > 1 && at[length - 1] == '/')
			length--;
		if (strlen(path) == length && !strncmp(path, at, length))
			return mount;
	}
	return NULL;
}

/* A path in the container that has no links, and the file of this computer that it is. */
struct place {
	char inside[PATH_MAX];
	char here[PATH_MAX];
};

static void copy(char to[PATH_MAX], const char *from)
{
	snprintf(to, PATH_MAX, "%s", from);
}

static bool append(char *path, const char *name, size_t length)
{
	size_t have = strlen(path);

	if (have + 1 + length >= PATH_MAX)
		return false;
	path[have] = '/';
	memcpy(path + have + 1, name, length);
	path[have + 1 + length] = '\0';
	return true;
}

/* From the root on anew, since a mount may begin anywhere on the way. */
static enum found enter(const struct container *container, struct place *place)
{
	struct json_object *mount = mount_at(container, place->inside);

	if (!mount)
		return FOUND;
	if (!mount_is_bind(mount) ||
	    !realpath(container_path(container, json_text(mount, "source")), place->here))
		return UNKNOWN;
	return FOUND;
}

static enum found resolve(const struct container *container, const char *path, char *here);

/* The parent, whose file of this computer has to be found again. */
static enum found leave(const struct container *container, struct place *place)
{
	char parent[PATH_MAX];
	char *last = strrchr(place->inside, '/');

	if (last)
		*last = '\0';
	copy(parent, *place->inside ? place->inside : "/");
	return resolve(container, parent, place->here);
}

/*
 * PATH, absolute in the container, as a file of this computer in HERE. Whoever owns the container's
 * files can change them meanwhile; nothing is opened by what is found.
 */
static enum found resolve(const struct container *container, const char *path, char *here)
{
	char rest[PATH_MAX], link[PATH_MAX], longer[PATH_MAX];
	struct place place = { .inside = "" };
	unsigned int links = 0;
	enum found found = FOUND;

	copy(place.here, container_root(container));
	if (strlen(path) >= sizeof(rest))
		return MISSING;
	copy(rest, path);
	for (char *at = rest; found == FOUND;) {
		struct place before = place;
		size_t length;
		ssize_t target;

		at += strspn(at, "/");
		length = strcspn(at, "/");
		if (!length)
			break;
		if (length == 1 && at[0] == '.') {
			at += length;
			continue;
		}
		if (length == 2 && !strncmp(at, "..", 2)) {
			found = leave(container, &place);
			at += length;
			continue;
		}
		if (!append(place.inside, at, length) || !append(place.here, at, length))
			return MISSING;
		at += length;
		target = readlink(place.here, link, sizeof(link) - 1);
		if (target < 0 || mount_at(container, place.inside)) {
			found = enter(container, &place);
			continue;
		}
		link[target] = '\0';
		if (++links > LINKS ||
		    snprintf(longer, sizeof(longer), "%s/%s", link, at) >= (int)sizeof(longer))
			return MISSING;
		if (link[0] == '/') {
			place.inside[0] = '\0';
			copy(place.here, container_root(container));
		} else {
			place = before;
		}
		copy(rest, longer);
		at = rest;
	}
	copy(here, place.here);
	return found;
}

/* Such a mount is at another place than it says. */
static bool mounts_go_through_links(const struct container *container)
{
	struct json_object *mounts = container_mounts(container);
	struct stat stat_of;

	for (size_t n = 0; n < json_count(mounts); n++) {
		char *path = text("%s/%s/", container_root(container),
				  json_text(json_item(mounts, n), "destination"));
		size_t root = strlen(container_root(container)) + 1;

		for (char *at = strchr(path + root, '/'); at; at = strchr(at + 1, '/')) {
			*at = '\0';
			if (!lstat(path, &stat_of) && S_ISLNK(stat_of.st_mode))
				return true;
			*at = '/';
		}
	}
	return false;
}

static enum found judge(const struct container *container, const char *path)
{
	char here[PATH_MAX];
	enum found found = resolve(container, path, here);
	struct stat stat_of;

	if (found != FOUND)
		return found;
	if (lstat(here, &stat_of))
		return (errno == ENOENT || errno == ENOTDIR) &&
		       !mounts_go_through_links(container) ? MISSING : UNKNOWN;
	if (!S_ISREG(stat_of.st_mode))
		return NOT_A_FILE;
	return stat_of.st_mode & 0111 ? FOUND : NOT_EXECUTABLE;
}

static const char *search_path(struct json_object *process)
{
	struct json_object *environment = json_get(process, "env", json_type_array);

	for (size_t n = 0; n < json_count(environment); n++) {
		struct json_object *item = json_object_array_get_idx(environment, n);
		const char *value = json_object_get_string(item);

		if (value && !strncmp(value, "PATH=", 5))
			return value + 5;
	}
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static enum found search(const struct container *container, struct json_object *process,
			 const char *program)
{
	enum found best = MISSING;

	for (const char *at = search_path(process); *at; at += strcspn(at, ":"), at += *at == ':') {
		enum found found = judge(container, text("/%.*s/%s", (int)strcspn(at, ":"), at,
							 program));

		if (found == FOUND || found == UNKNOWN)
			return found;
		if (found == NOT_EXECUTABLE)
			best = found;
	}
	return best;
}

void find_program(const struct container *container, struct json_object *process)
{
	struct json_object *words = json_get(process, "args", json_type_array);
	struct json_object *first = json_count(words) ? json_object_array_get_idx(words, 0) : NULL;
	const char *program = first ? json_object_get_string(first) : NULL;
	enum found found;

	if (!program)
		fail("open executable: %s", strerror(EINVAL));
	if (!strchr(program, '/'))
		found = search(container, process, program);
	else if (program[0] == '/')
		found = judge(container, program);
	else
		found = judge(container, text("%s/%s", json_text(process, "cwd"), program));
	if (found == MISSING)
		fail("executable file `%s` not found in $PATH: %s", program, strerror(ENOENT));
	if (found == NOT_EXECUTABLE)
		fail("open executable: %s", strerror(EACCES));
	if (found == NOT_A_FILE)
		fail("open executable: %s", strerror(EPERM));
}
