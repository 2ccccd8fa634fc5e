// SPDX-License-Identifier: LGPL-2.1-or-later
/* Shared objects that come with vmxrun, for what not every machine needs. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmxrun.h"

/* Beside this program, as where it was built, or where it is installed. */
static bool find(const char *object, char *path, size_t size)
{
	static const char *const places[] = { "", "../lib/vmx/" };
	char program[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	bool found = false;

	program[length > 0 ? length : 0] = '\0';
	if (strrchr(program, '/'))
		*strrchr(program, '/') = '\0';
	for (size_t n = 0; !found && n < sizeof(places) / sizeof(places[0]); n++) {
		snprintf(path, size, "%s/%s%s", program, places[n], object);
		found = !access(path, F_OK);
	}
	return found;
}

void *load_symbol(const char *object, const char *symbol, struct sentence *why)
{
	char path[PATH_MAX + 64];
	void *handle, *found;

	if (!find(object, path, sizeof(path))) {
		snprintf(why->text, sizeof(why->text), "%s is not installed with vmxrun", object);
		return NULL;
	}
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		snprintf(why->text, sizeof(why->text), "%s", dlerror());
		return NULL;
	}
	found = dlsym(handle, symbol);
	if (!found)
		snprintf(why->text, sizeof(why->text), "%s is of another version", object);
	return found;
}
