// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where machines with a name have their sockets. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime.h"

#define LONGEST	64

/* Whoever becomes root may still have a user's folder in the environment. */
static bool is_own(const char *folder)
{
	struct stat stat;

	return *folder == '/' && !lstat(folder, &stat) && S_ISDIR(stat.st_mode) &&
	       stat.st_uid == geteuid();
}

bool runtime_folder(char *path, size_t size)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (!base || !is_own(base))
		base = geteuid() ? NULL : "/run";
	return base && (size_t)snprintf(path, size, "%s/vmx", base) < size;
}

bool runtime_is_name(const char *name)
{
	size_t length = strlen(name);

	if (!length || length > LONGEST || *name == '.' || *name == '-')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("._-", *name))
			return false;
	return true;
}
