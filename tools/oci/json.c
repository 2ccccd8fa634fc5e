// SPDX-License-Identifier: LGPL-2.1-or-later
/* JSON values, of the types that they have to have. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmxoci.h"

static struct json_object *checked(struct json_object *value, const char *name)
{
	if (!value)
		fail("%s: %s", name, json_util_get_last_err() ?: "no JSON");
	if (!json_object_is_type(value, json_type_object))
		fail("%s: not a JSON object", name);
	return value;
}

struct json_object *json_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct json_object *value;

	if (fd < 0)
		fail("error opening file `%s`: %s", path, strerror(errno));
	value = json_read_fd(fd, path);
	close(fd);
	return value;
}

struct json_object *json_read_fd(int fd, const char *name)
{
	return checked(json_object_from_fd(fd), name);
}

void json_write(struct json_object *value, int folder, const char *name)
{
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || json_object_to_fd(fd, value, JSON_C_TO_STRING_PLAIN) || close(fd))
		fail("%s: %s", name, strerror(errno));
}

static const char *name_of(enum json_type type)
{
	return json_type_to_name(type);
}

struct json_object *json_get(struct json_object *object, const char *name, enum json_type type)
{
	struct json_object *value;

	if (!object || !json_object_object_get_ex(object, name, &value) || !value)
		return NULL;
	if (!json_object_is_type(value, type))
		fail("the configuration's `%s` has to be of type %s", name, name_of(type));
	return value;
}

const char *json_text(struct json_object *object, const char *name)
{
	struct json_object *value = json_get(object, name, json_type_string);

	return value ? json_object_get_string(value) : "";
}

struct json_object *json_make(struct json_object *object, const char *name, enum json_type type)
{
	struct json_object *value = json_get(object, name, type);

	if (value)
		return value;
	value = type == json_type_array ? json_object_new_array() : json_object_new_object();
	json_object_object_add(object, name, value);
	return value;
}

void json_set_text(struct json_object *object, const char *name, const char *value)
{
	json_object_object_add(object, name, json_object_new_string(value));
}

struct json_object *json_item(struct json_object *array, size_t n)
{
	struct json_object *item = json_object_array_get_idx(array, n);

	if (!json_object_is_type(item, json_type_object))
		fail("the configuration has a list of objects with something else in it");
	return item;
}

struct json_object *json_copy(struct json_object *value)
{
	struct json_object *copy = NULL;

	if (value && json_object_deep_copy(value, &copy, NULL))
		fail("out of memory");
	return copy;
}

size_t json_count(struct json_object *array)
{
	return array ? json_object_array_length(array) : 0;
}

bool json_has_text(struct json_object *array, const char *value)
{
	for (size_t n = 0; n < json_count(array); n++) {
		struct json_object *item = json_object_array_get_idx(array, n);

		if (json_object_is_type(item, json_type_string) &&
		    !strcmp(json_object_get_string(item), value))
			return true;
	}
	return false;
}
