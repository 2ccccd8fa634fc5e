// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Writes and reads structs by the tables that describe them. Numbers are little-endian, as in every
 * CPU with VMX, and follow each other without gaps.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "table.h"

#define ROOM	4096

int state_refuse(const char *name, uint32_t instance, const char *format, ...)
{
	char text[300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return vmx_fail(EINVAL, "saved state, section '%.*s' %u: %s", VMX_SAVED_NAME, name,
			instance, text);
}

void state_put(struct state_writer *writer, const void *bytes, size_t count)
{
	if (writer->room - writer->count < count && !writer->failed) {
		size_t room = 2 * (writer->room + count) + ROOM;
		unsigned char *more = realloc(writer->bytes, room);

		writer->failed = !more;
		if (more) {
			writer->bytes = more;
			writer->room = room;
		}
	}
	if (writer->failed)
		return;
	memcpy(writer->bytes + writer->count, bytes, count);
	writer->count += count;
}

static uint64_t number_at(const void *at, uint32_t width)
{
	uint64_t value = 0;

	memcpy(&value, at, width);
	return value;
}

/* Does a version of the section have the field? */
static bool is_in(const struct vmx_saved_field *field, unsigned int version)
{
	return field->since <= version && (!field->until || version <= field->until);
}

/* The number of elements; the one before in the table was read already. */
static uint32_t elements(const struct vmx_saved_field *field, const void *object)
{
	const struct vmx_saved_field *number = field - 1;

	if (!field->counted)
		return field->count;
	return number_at((const char *)object + number->offset, number->stride);
}

void state_write(struct state_writer *writer, const struct vmx_saved_table *table,
		 unsigned int version, const void *object)
{
	for (unsigned int n = 0; n < table->count; n++) {
		const struct vmx_saved_field *field = &table->fields[n];
		const char *at = (const char *)object + field->offset;
		uint32_t count = elements(field, object);

		if (!is_in(field, version))
			continue;
		if (!field->table)
			state_put(writer, at, (size_t)count * field->stride);
		for (uint32_t i = 0; field->table && i < count; i++)
			state_write(writer, field->table, version, at + i * field->stride);
	}
}

static int judge(const struct state_reader *reader, const struct vmx_saved_field *field,
		 const void *at, uint64_t value)
{
	uint64_t own = number_at(at, field->stride);

	if (value > field->most || value & ~field->bits)
		return state_refuse(reader->name, reader->instance, "%s cannot be %#llx",
				    field->name, (unsigned long long)value);
	if ((field->same && value != own) || (field->within && value & ~own))
		return state_refuse(reader->name, reader->instance, "%s is %#llx, and here %#llx",
				    field->name, (unsigned long long)value,
				    (unsigned long long)own);
	return 0;
}

static int read_number(struct state_reader *reader, const struct vmx_saved_field *field, void *at)
{
	uint64_t value;
	int ret;

	if (reader->left < field->stride)
		return state_refuse(reader->name, reader->instance, "it ends before %s",
				    field->name);
	value = number_at(reader->at, field->stride);
	ret = judge(reader, field, at, value);
	if (ret)
		return ret;
	memcpy(at, &value, field->stride);
	reader->at += field->stride;
	reader->left -= field->stride;
	return 0;
}

/* Does any number do? Then an array of them is read in one go. */
static bool takes_all(const struct vmx_saved_field *field)
{
	return !field->table && field->most == UINT64_MAX && field->bits == UINT64_MAX &&
	       !field->same && !field->within;
}

static int read_array(struct state_reader *reader, const struct vmx_saved_field *field, void *at,
		      uint32_t count)
{
	size_t length = (size_t)count * field->stride;

	if (reader->left < length)
		return state_refuse(reader->name, reader->instance, "it ends before %s",
				    field->name);
	memcpy(at, reader->at, length);
	reader->at += length;
	reader->left -= length;
	return 0;
}

/* What a stream does not have. */
static void set_initial(const struct vmx_saved_field *field, char *at)
{
	for (uint32_t i = 0; i < field->count; i++, at += field->stride) {
		const struct vmx_saved_table *table = field->table;

		if (!table)
			memcpy(at, &field->initial, field->stride);
		for (unsigned int n = 0; table && n < table->count; n++)
			set_initial(&table->fields[n], at + table->fields[n].offset);
	}
}

static int read_field(struct state_reader *reader, const struct vmx_saved_field *field,
		      unsigned int version, void *object)
{
	char *at = (char *)object + field->offset;
	uint32_t count = elements(field, object);
	int ret = 0;

	if (count > field->count)
		return state_refuse(reader->name, reader->instance, "%u of %s are more than %u",
				    count, field->name, field->count);
	if (takes_all(field))
		return read_array(reader, field, at, count);
	for (uint32_t i = 0; !ret && i < count; i++)
		ret = field->table ?
		      state_read(reader, field->table, version, at + i * field->stride) :
		      read_number(reader, field, at + i * field->stride);
	return ret;
}

int state_read(struct state_reader *reader, const struct vmx_saved_table *table,
	       unsigned int version, void *object)
{
	int ret = 0;

	for (unsigned int n = 0; !ret && n < table->count; n++) {
		const struct vmx_saved_field *field = &table->fields[n];

		if (is_in(field, version))
			ret = read_field(reader, field, version, object);
		else
			set_initial(field, (char *)object + field->offset);
	}
	return ret;
}
