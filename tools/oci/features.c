// SPDX-License-Identifier: LGPL-2.1-or-later
/* vmxoci features: by the runtime-spec's schema of it. */
#include <stdio.h>

#include "vmxoci.h"

static struct json_object *list(const char *const *names)
{
	struct json_object *array = json_object_new_array();

	for (; *names; names++)
		json_object_array_add(array, json_object_new_string(*names));
	return array;
}

static struct json_object *flag(const char *name, bool value)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, name, json_object_new_boolean(value));
	return object;
}

static const char *const hooks[] = {
	"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
	NULL
};

static const char *const mount_options[] = {
	"async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "iversion",
	"lazytime", "loud", "mand", "noatime", "nodev", "nodiratime", "noexec", "noiversion",
	"nolazytime", "nomand", "norelatime", "nostrictatime", "nosuid", "private", "rbind",
	"relatime", "remount", "ro", "rprivate", "rshared", "rslave", "runbindable", "rw", "shared",
	"silent", "slave", "strictatime", "suid", "sync", "tmpcopyup", "unbindable", NULL
};

static const char *const namespaces[] = {
	"cgroup", "ipc", "mount", "network", "pid", "user", "uts", NULL
};

static struct json_object *make_cgroup(void)
{
	struct json_object *cgroup = json_object_new_object();
	static const struct {
		const char *name;
		bool value;
	} flags[] = {
		{ "v1", true }, { "v2", true }, { "systemd", true }, { "systemdUser", false },
		{ "rdma", false },
	};

	for (size_t n = 0; n < sizeof(flags) / sizeof(flags[0]); n++)
		json_object_object_add(cgroup, flags[n].name,
				       json_object_new_boolean(flags[n].value));
	return cgroup;
}

static struct json_object *make_linux(void)
{
	struct json_object *os = json_object_new_object();

	json_object_object_add(os, "namespaces", list(namespaces));
	json_object_object_add(os, "cgroup", make_cgroup());
	json_object_object_add(os, "seccomp", flag("enabled", true));
	json_object_object_add(os, "apparmor", flag("enabled", true));
	json_object_object_add(os, "selinux", flag("enabled", true));
	json_object_object_add(os, "intelRdt", flag("enabled", true));
	return os;
}

void command_features(int argc, char **argv)
{
	struct json_object *features = json_object_new_object();
	struct json_object *annotations = json_object_new_object();

	if (argc != 1)
		fail("%s: it takes no words", argv[0]);
	json_object_object_add(features, "ociVersionMin", json_object_new_string("1.0.0"));
	json_object_object_add(features, "ociVersionMax", json_object_new_string(SPEC_VERSION));
	json_object_object_add(features, "hooks", list(hooks));
	json_object_object_add(features, "mountOptions", list(mount_options));
	json_object_object_add(features, "linux", make_linux());
	json_object_object_add(annotations, "run.oci.crun.checkpoint.enabled",
			       json_object_new_string("false"));
	json_object_object_add(features, "annotations", annotations);
	puts(json_object_to_json_string_ext(features, JSON_C_TO_STRING_PRETTY));
}
