/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables that describe structs, and what they are written to and read from. */
#ifndef LIBVMX_STATE_TABLE_H
#define LIBVMX_STATE_TABLE_H

#include <stdlib.h>

#include <libvmx/saved.h>

#include "../lib/internal.h"

/*
 * Rows of a table: the struct, its member, the version that brought it, what may be in it, and a
 * sentence for the manual, which reads these rows as text (Documentation/sphinx/saved.py).
 */
#define SIZE(type, member)	sizeof((*(type *)0).member)
#define PLACE(type, member) \
	.name = #member, .offset = offsetof(type, member)
#define SCALAR(type, member) \
	PLACE(type, member), .stride = SIZE(type, member), .count = 1
#define ELEMENTS(type, member) \
	PLACE(type, member), .stride = SIZE(type, member[0]), \
	.count = SIZE(type, member) / SIZE(type, member[0])
#define NUMBER(type, member, version, describing) \
	{ SCALAR(type, member), \
	  .since = version, .most = UINT64_MAX, .bits = UINT64_MAX, .text = describing }
#define LIMITED(type, member, version, largest, describing) \
	{ SCALAR(type, member), \
	  .since = version, .most = largest, .bits = UINT64_MAX, .text = describing }
#define BITS(type, member, version, mask, describing) \
	{ SCALAR(type, member), \
	  .since = version, .most = UINT64_MAX, .bits = mask, .text = describing }
#define FLAG(type, member, version, describing) \
	LIMITED(type, member, version, 1, describing)
/* What the machine has to have, too. */
#define SAME(type, member, version, describing) \
	{ SCALAR(type, member), .same = true, \
	  .since = version, .most = UINT64_MAX, .bits = UINT64_MAX, .text = describing }
/* The machine has to have all of these bits. */
#define WITHIN(type, member, version, describing) \
	{ SCALAR(type, member), .within = true, \
	  .since = version, .most = UINT64_MAX, .bits = UINT64_MAX, .text = describing }
#define ARRAY(type, member, version, describing) \
	{ ELEMENTS(type, member), \
	  .since = version, .most = UINT64_MAX, .bits = UINT64_MAX, .text = describing }
#define FLAGS(type, member, version, describing) \
	{ ELEMENTS(type, member), \
	  .since = version, .most = 1, .bits = UINT64_MAX, .text = describing }
/* The first elements of an array. */
#define FIRST(type, member, number, version, describing) \
	{ PLACE(type, member), .stride = SIZE(type, member[0]), .count = number, \
	  .since = version, .most = UINT64_MAX, .bits = UINT64_MAX, .text = describing }
/* So many elements as the row before says. */
#define COUNTED(type, member, version, describing) \
	{ ELEMENTS(type, member), .counted = true, \
	  .since = version, .most = UINT64_MAX, .bits = UINT64_MAX, .text = describing }
#define STRUCTS(type, member, version, of, describing) \
	{ ELEMENTS(type, member), .table = of, .since = version, .text = describing }
#define COUNTED_STRUCTS(type, member, version, of, describing) \
	{ ELEMENTS(type, member), .counted = true, .table = of, \
	  .since = version, .text = describing }

/* A section, and a struct that is an element of one: its fields' versions are the section's. */
#define SAVED_STRUCT(called, rows) \
	{ .name = called, .fields = rows, .count = COUNT(rows) }
#define SAVED_TABLE(called, current, rows) \
	{ .name = called, .version = current, .fields = rows, .count = COUNT(rows) }

/* Bytes that are being written. */
struct state_writer {
	unsigned char *bytes;
	size_t count;
	size_t room;
	bool failed;		/* no memory */
};

void state_put(struct state_writer *writer, const void *bytes, size_t count);

/* Bytes that are being read, and how messages call them. */
struct state_reader {
	const unsigned char *at;
	size_t left;
	const char *name;
	uint32_t instance;
};

/* Writes a struct, as a version of the section has it. */
void state_write(struct state_writer *writer, const struct vmx_saved_table *table,
		 unsigned int version, const void *object);
/* Reads it: 0, or -EINVAL with vmx_error() set. What the version lacks gets its initial value. */
int state_read(struct state_reader *reader, const struct vmx_saved_table *table,
	       unsigned int version, void *object);
/* A refusal that names the section. */
int state_refuse(const char *name, uint32_t instance, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* LIBVMX_STATE_TABLE_H */
