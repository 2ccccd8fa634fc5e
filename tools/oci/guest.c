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
		struct json_object *namespace = json_object_array_get_idx(namespaces, n);
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

static void make_mounts(struct json_object *config)
{
	struct json_object *mounts = json_get(config, "mounts", json_type_array);

	for (size_t n = 0; n < json_count(mounts); n++) {
		struct json_object *mount = json_object_array_get_idx(mounts, n);

		if (mount_is_bind(mount))
			json_set_text(mount, "source", text(SHARE "/m/%zu", n));
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
	guest_process(json_get(config, "process", json_type_object));
	make_namespaces(os);
	make_mounts(config);
	make_hooks(config);
	return config;
}
