// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The outer container: the bundle's one as this computer sees it, with its namespaces, cgroup,
 * limits and hooks, in which the monitor of its machine runs. Everything that the machine's kernel
 * does for the container is left out; guest.c has that.
 *
 * What the monitor itself needs comes from a template, outer.json in the machine's folder: its
 * process, mounts, devices and seccomp profile.
 */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmxoci.h"

#define DEFAULT_MEMORY	(256ll << 20)

const char *container_path(const struct container *container, const char *path)
{
	return path[0] == '/' ? path : text("%s/%s", container->bundle, path);
}

const char *container_root(const struct container *container)
{
	struct json_object *root = json_get(container->config, "root", json_type_object);
	const char *path = container_path(container, json_text(root, "path"));
	struct stat stat_of;

	if (!root || !*json_text(root, "path"))
		fail("the configuration has no `root.path`");
	if (stat(path, &stat_of))
		fail("the container's root `%s`: %s", path, strerror(errno));
	if (!S_ISDIR(stat_of.st_mode))
		fail("the container's root `%s`: %s", path, strerror(ENOTDIR));
	return path;
}

struct json_object *container_mounts(const struct container *container)
{
	return json_get(container->config, "mounts", json_type_array);
}

bool mount_is_bind(struct json_object *mount)
{
	struct json_object *options = json_get(mount, "options", json_type_array);

	return json_has_text(options, "bind") || json_has_text(options, "rbind") ||
	       !strcmp(json_text(mount, "type"), "bind");
}

static struct json_object *template(void)
{
	static struct json_object *read;

	if (!global.machine)
		fail("no VM for containers is installed: give its folder with --machine");
	if (!read)
		read = json_read(text("%s/outer.json", global.machine));
	return read;
}

static void add_text(struct json_object *array, const char *value)
{
	json_object_array_add(array, json_object_new_string(value));
}

/* Mounts */

static struct json_object *add_bind(struct json_object *mounts, const char *source,
				    const char *destination, const char *const *options)
{
	struct json_object *mount = json_object_new_object();
	struct json_object *list = json_object_new_array();

	json_set_text(mount, "destination", destination);
	json_set_text(mount, "type", "bind");
	json_set_text(mount, "source", source);
	json_object_object_add(mount, "options", list);
	for (; *options; options++)
		add_text(list, *options);
	json_object_array_add(mounts, mount);
	return list;
}

/* Read-only holds on this side of the machine, whatever its kernel makes of it. */
static void add_volume(const struct container *container, struct json_object *mounts, size_t n)
{
	static const char *const kept[] = {
		"ro", "rro", "private", "rprivate", "slave", "rslave", "shared", "rshared",
	};
	struct json_object *mount = json_item(container_mounts(container), n);
	struct json_object *options = json_get(mount, "options", json_type_array);
	bool flat = json_has_text(options, "bind") && !json_has_text(options, "rbind");
	const char *const how[] = { flat ? "bind" : "rbind", NULL };
	struct json_object *list;

	if (!mount_is_bind(mount))
		return;
	if (!*json_text(mount, "source"))
		fail("the mount of `%s` has no `source`", json_text(mount, "destination"));
	list = add_bind(mounts, container_path(container, json_text(mount, "source")),
			text(SHARE "/m/%zu", n), how);
	for (size_t m = 0; m < sizeof(kept) / sizeof(kept[0]); m++)
		if (json_has_text(options, kept[m]))
			add_text(list, kept[m]);
}

static struct json_object *make_mounts(const struct container *container)
{
	static const char *const writable[] = { "rbind", NULL };
	static const char *const readonly[] = { "bind", "ro", NULL };
	struct json_object *mounts = json_copy(json_make(template(), "mounts", json_type_array));

	add_bind(mounts, global.machine, "/machine", readonly);
	add_bind(mounts, text("%s/" STATE_RUN, container->state->path), "/run", writable);
	add_bind(mounts, text("%s/" STATE_BUNDLE, container->state->path), SHARE_BUNDLE, readonly);
	add_bind(mounts, container_root(container), SHARE "/guest", writable);
	for (size_t n = 0; n < json_count(container_mounts(container)); n++)
		add_volume(container, mounts, n);
	return mounts;
}

/* The process */

/* A template may ask for what this process itself does not have. */
static bool is_permitted(const char *name)
{
	static const char *const names[] = {
		"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID",
		"SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST",
		"NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
		"SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
		"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
		"AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
		"BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
	};
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	if (syscall(SYS_capget, &header, data))
		return false;
	for (unsigned int n = 0; n < sizeof(names) / sizeof(names[0]); n++)
		if (!strncmp(name, "CAP_", 4) && !strcmp(name + 4, names[n]))
			return data[n / 32].permitted >> (n % 32) & 1;
	return false;
}

static struct json_object *permitted(struct json_object *wanted)
{
	static const char *const sets[] = { "bounding", "effective", "permitted" };
	struct json_object *capabilities = json_object_new_object();

	for (size_t n = 0; n < sizeof(sets) / sizeof(sets[0]); n++) {
		struct json_object *names = json_make(capabilities, sets[n], json_type_array);

		for (size_t m = 0; m < json_count(wanted); m++) {
			struct json_object *name = json_object_array_get_idx(wanted, m);

			if (is_permitted(json_object_get_string(name)))
				json_object_array_add(names, json_object_get(name));
		}
	}
	return capabilities;
}

/* From PROCESS, what this computer's kernel and the caller care for. */
static struct json_object *make_process(struct json_object *process)
{
	static const char *const kept[] = {
		"terminal", "consoleSize", "apparmorProfile", "selinuxLabel", "oomScoreAdj",
	};
	struct json_object *wanted = json_get(template(), "process", json_type_object);
	struct json_object *made = json_copy(wanted);
	struct json_object *value;

	if (!made)
		fail("%s/outer.json has no `process`", global.machine);
	json_object_object_add(made, "capabilities",
			       permitted(json_get(wanted, "capabilities", json_type_array)));
	for (size_t n = 0; n < sizeof(kept) / sizeof(kept[0]); n++)
		if (json_object_object_get_ex(process, kept[n], &value))
			json_object_object_add(made, kept[n], json_object_get(value));
	return made;
}

static struct json_object *set_arguments(struct json_object *process, const char *mode)
{
	struct json_object *words = json_copy(json_make(process, "args", json_type_array));
	struct json_object *terminal = json_get(process, "terminal", json_type_boolean);

	add_text(words, mode);
	if (terminal && json_object_get_boolean(terminal))
		add_text(words, "--terminal");
	json_object_object_add(process, "args", words);
	return words;
}

struct json_object *outer_process(struct json_object *description)
{
	struct json_object *process = make_process(description);

	set_arguments(process, "exec");
	return process;
}

static struct json_object *resources_of(const struct container *container)
{
	struct json_object *os = json_get(container->config, "linux", json_type_object);

	return json_get(os, "resources", json_type_object);
}

static int64_t number_in(struct json_object *object, const char *name)
{
	struct json_object *value = json_get(object, name, json_type_int);

	return value ? json_object_get_int64(value) : 0;
}

/* The machine is as large as the limits let it be useful. */
static void add_size(const struct container *container, struct json_object *words)
{
	struct json_object *resources = resources_of(container);
	struct json_object *cpu = json_get(resources, "cpu", json_type_object);
	int64_t memory = number_in(json_get(resources, "memory", json_type_object), "limit");
	int64_t quota = number_in(cpu, "quota"), period = number_in(cpu, "period");

	add_text(words, text("--memory=%lld", memory > 0 ? (long long)memory : DEFAULT_MEMORY));
	if (quota > 0 && period > 0)
		add_text(words, text("--cpus=%lld", (long long)((quota - 1) / period + 1)));
}

/* The rest */

static void drop_namespaces(struct json_object *os)
{
	struct json_object *namespaces = json_make(os, "namespaces", json_type_array);
	struct json_object *kept = json_object_new_array();
	struct json_object *own = json_object_new_object();

	for (size_t n = 0; n < json_count(namespaces); n++) {
		struct json_object *namespace = json_item(namespaces, n);
		const char *type = json_text(namespace, "type");

		/* The container's users and its clock are the machine's. */
		if (strcmp(type, "user") && strcmp(type, "time") && strcmp(type, "mount"))
			json_object_array_add(kept, json_object_get(namespace));
	}
	json_set_text(own, "type", "mount");
	json_object_array_add(kept, own);
	json_object_object_add(os, "namespaces", kept);
}

/* What the monitor may open, beside what the container may. */
static void add_device_rules(struct json_object *os)
{
	struct json_object *rules = json_get(template(), "deviceRules", json_type_array);
	struct json_object *resources, *all;

	if (!json_count(rules))
		return;
	resources = json_make(os, "resources", json_type_object);
	all = json_make(resources, "devices", json_type_array);
	for (size_t n = 0; n < json_count(rules); n++)
		json_object_array_add(all, json_copy(json_object_array_get_idx(rules, n)));
}

static void make_linux(struct json_object *os)
{
	static const char *const machines[] = {
		"uidMappings", "gidMappings", "seccomp", "sysctl", "maskedPaths", "readonlyPaths",
		"devices", "personality", "mountLabel", "timeOffsets", "netDevices",
	};
	static const char *const own[] = { "seccomp", "devices" };
	struct json_object *value;

	for (size_t n = 0; n < sizeof(machines) / sizeof(machines[0]); n++)
		json_object_object_del(os, machines[n]);
	for (size_t n = 0; n < sizeof(own) / sizeof(own[0]); n++)
		if (json_object_object_get_ex(template(), own[n], &value))
			json_object_object_add(os, own[n], json_copy(value));
	drop_namespaces(os);
	add_device_rules(os);
}

static void make_root(const struct container *container, struct json_object *outer)
{
	struct json_object *root = json_object_new_object();

	json_set_text(root, "path", text("%s/" STATE_ROOT, container->state->path));
	json_object_object_add(root, "readonly", json_object_new_boolean(true));
	json_object_object_add(outer, "root", root);
}

/* An image has them, too: what they ask of crun would be done to the monitor. */
static void drop_annotations(struct json_object *outer)
{
	struct json_object *given = json_get(outer, "annotations", json_type_object);
	struct json_object *kept = json_object_new_object();

	if (!given)
		return;
	json_object_object_foreach(given, name, value)
		if (strncmp(name, "run.oci.", 8) && strncmp(name, "org.systemd.", 12))
			json_object_object_add(kept, name, json_object_get(value));
	json_object_object_add(outer, "annotations", kept);
}

struct json_object *outer_make(const struct container *container)
{
	struct json_object *outer = json_copy(container->config);
	struct json_object *process = json_get(outer, "process", json_type_object);
	struct json_object *hooks = json_get(outer, "hooks", json_type_object);

	process = make_process(process);
	add_size(container, set_arguments(process, "run"));
	json_object_object_add(outer, "process", process);
	drop_annotations(outer);
	json_object_object_add(outer, "mounts", make_mounts(container));
	/* It runs in the machine, as the container's process would. */
	if (hooks)
		json_object_object_del(hooks, "startContainer");
	make_root(container, outer);
	make_linux(json_make(outer, "linux", json_type_object));
	return outer;
}
