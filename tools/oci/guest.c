// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The guest's container: the bundle's one as the machine's kernel sees it, below the share. What
 * this computer's kernel does for the container is left out; outer.c has that.
 */
#include <string.h>

#include "vmxoci.h"

/* A namespace by path is one of this computer's, whose place the machine's own takes. */
static void make_namespaces(struct json_object *os)
{
	struct json_object *namespaces = json_make(os, "namespaces", json_type_array);

	for (size_t n = 0; n < json_count(namespaces); n++) {
		struct json_object *namespace = json_item(namespaces, n);
		bool network = !strcmp(json_text(namespace, "type"), "network");

		if (!strcmp(json_text(namespace, "type"), "user") && *json_text(namespace, "path"))
			fail("a user namespace by path (`%s`): a VM cannot join it; give mappings",
			     json_text(namespace, "path"));
		json_object_object_del(namespace, "path");
		/* The machine has its network before; crun wants one for sysctls of it. */
		if (network)
			json_set_text(namespace, "path", "/proc/1/ns/net");
	}
}

static bool has_users(struct json_object *os)
{
	struct json_object *namespaces = json_get(os, "namespaces", json_type_array);

	for (size_t n = 0; n < json_count(namespaces); n++)
		if (!strcmp(json_text(json_item(namespaces, n), "type"), "user"))
			return true;
	return false;
}

/* The machine's network does not belong to the container's users, who may not mount sysfs then. */
static void bind_sysfs(struct json_object *mount)
{
	struct json_object *options = json_make(mount, "options", json_type_array);

	json_set_text(mount, "type", "bind");
	json_set_text(mount, "source", "/sys");
	json_object_array_add(options, json_object_new_string("rbind"));
}

static void make_mounts(struct json_object *config)
{
	bool users = has_users(json_get(config, "linux", json_type_object));
	struct json_object *mounts = json_get(config, "mounts", json_type_array);

	for (size_t n = 0; n < json_count(mounts); n++) {
		struct json_object *mount = json_item(mounts, n);

		if (mount_is_bind(mount))
			json_set_text(mount, "source", text(SHARE "/m/%zu", n));
		else if (users && !strcmp(json_text(mount, "type"), "sysfs"))
			bind_sysfs(mount);
	}
}

static void make_hooks(struct json_object *config)
{
	struct json_object *hooks = json_get(config, "hooks", json_type_object);
	struct json_object *start = json_get(hooks, "startContainer", json_type_array);
	struct json_object *kept = json_object_new_object();

	if (start)
		json_object_object_add(kept, "startContainer", json_object_get(start));
	json_object_object_add(config, "hooks", kept);
}

void guest_process(struct json_object *process)
{
	static const char *const computers[] = { "apparmorProfile", "selinuxLabel", "oomScoreAdj" };

	for (size_t n = 0; process && n < sizeof(computers) / sizeof(computers[0]); n++)
		json_object_object_del(process, computers[n]);
}

/* Whoever listens is on this computer, and the calls are of another kernel's processes. */
static void check_seccomp(struct json_object *os)
{
	const char *path = json_text(json_get(os, "seccomp", json_type_object), "listenerPath");

	if (*path)
		fail("seccomp's `listenerPath` (`%s`): nobody here can answer for calls in a VM",
		     path);
}

struct json_object *guest_make(const struct container *container)
{
	static const char *const computers[] = {
		"resources", "cgroupsPath", "intelRdt", "mountLabel", "netDevices",
	};
	struct json_object *config = json_copy(container->config);
	struct json_object *os = json_make(config, "linux", json_type_object);
	struct json_object *root = json_get(config, "root", json_type_object);

	for (size_t n = 0; n < sizeof(computers) / sizeof(computers[0]); n++)
		json_object_object_del(os, computers[n]);
	json_set_text(root, "path", SHARE "/guest");
	check_seccomp(os);
	guest_process(json_get(config, "process", json_type_object));
	make_namespaces(os);
	make_mounts(config);
	make_hooks(config);
	return config;
}
