// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where machines with a name have their sockets. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime.h"

#define LONGEST	64

bool runtime_folder(char *path, size_t size)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (!base || *base != '/')
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
