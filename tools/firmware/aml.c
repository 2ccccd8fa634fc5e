// SPDX-License-Identifier: LGPL-2.1-or-later
/* Writes AML: encodes the few terms that our tables need. */
#include <string.h>

#include "acpi.h"

#define OP_NAME		0x08
#define OP_ARG0		0x68
#define OP_STORE	0x70
#define OP_NOTIFY	0x86
#define OP_RETURN	0xa4
#define PREFIX_BYTE	0x0a
#define PREFIX_WORD	0x0b
#define PREFIX_DWORD	0x0c
#define PREFIX_STRING	0x0d
#define PREFIX_QWORD	0x0e
#define PREFIX_DUAL	0x2e

/* "Resource Data Types for ACPI": tags of small items with their length, and of large ones. */
#define ITEM_IRQ	0x22
#define ITEM_IO		0x47
#define ITEM_END	0x79
#define ITEM_DWORD	0x87
#define ITEM_WORD	0x88

void bytes_put(struct bytes *bytes, const void *data, size_t size)
{
	if (size > bytes->room - bytes->size) {
		bytes->full = true;
		return;
	}
	memcpy(bytes->data + bytes->size, data, size);
	bytes->size += size;
}

size_t aml_open(struct bytes *aml, unsigned int op)
{
	bytes_number(aml, op, op > 0xff ? 2 : 1);
	return aml->size;
}

/*
 * A PkgLength counts itself. The first byte of a short one is the length; of a longer one its low
 * four bits are, and bits 6 and 7 say how many bytes follow.
 */
void aml_close(struct bytes *aml, size_t opened)
{
	size_t inside = aml->size - opened;
	unsigned char code[4];
	unsigned int count = 1;
	size_t length;

	if (aml->full)
		return;
	if (inside + 1 < 1 << 6) {
		code[0] = inside + 1;
	} else {
		for (count = 2; inside + count >= 1u << (4 + 8 * (count - 1)); count++)
			;
		length = inside + count;
		code[0] = (count - 1) << 6 | (length & 0xf);
		for (unsigned int n = 1; n < count; n++)
			code[n] = length >> (4 + 8 * (n - 1));
	}
	bytes_put(aml, code, count);
	if (aml->full)
		return;
	memmove(aml->data + opened + count, aml->data + opened, inside);
	memcpy(aml->data + opened, code, count);
}

static void put_segment(struct bytes *aml, const char **path)
{
	char segment[4] = "____";

	for (int n = 0; n < 4 && **path && **path != '.'; n++)
		segment[n] = *(*path)++;
	bytes_put(aml, segment, 4);
}

void aml_path(struct bytes *aml, const char *path)
{
	if (*path == '\\')
		bytes_put(aml, path++, 1);
	if (strchr(path, '.'))
		bytes_number(aml, PREFIX_DUAL, 1);
	put_segment(aml, &path);
	if (*path == '.') {
		path++;
		put_segment(aml, &path);
	}
}

size_t aml_method(struct bytes *aml, const char *path, unsigned int arguments)
{
	size_t method = aml_open(aml, AML_METHOD);

	aml_path(aml, path);
	bytes_number(aml, arguments, 1);
	return method;
}

void aml_return(struct bytes *aml, const char *path)
{
	bytes_number(aml, OP_RETURN, 1);
	aml_path(aml, path);
}

void aml_store_argument(struct bytes *aml, const char *path)
{
	bytes_number(aml, OP_STORE, 1);
	bytes_number(aml, OP_ARG0, 1);
	aml_path(aml, path);
}

void aml_notify(struct bytes *aml, const char *path, uint64_t value)
{
	bytes_number(aml, OP_NOTIFY, 1);
	aml_path(aml, path);
	aml_integer(aml, value);
}

void aml_integer(struct bytes *aml, uint64_t value)
{
	static const struct {
		uint64_t max;
		unsigned char prefix;
		unsigned char size;
	} forms[] = {
		{ UINT8_MAX, PREFIX_BYTE, 1 },
		{ UINT16_MAX, PREFIX_WORD, 2 },
		{ UINT32_MAX, PREFIX_DWORD, 4 },
		{ UINT64_MAX, PREFIX_QWORD, 8 },
	};
	int n = 0;

	/* ZeroOp and OneOp are 0 and 1. */
	if (value <= 1) {
		bytes_number(aml, value, 1);
		return;
	}
	while (value > forms[n].max)
		n++;
	bytes_number(aml, forms[n].prefix, 1);
	bytes_number(aml, value, forms[n].size);
}

void aml_string(struct bytes *aml, const char *string)
{
	bytes_number(aml, PREFIX_STRING, 1);
	bytes_put(aml, string, strlen(string) + 1);
}

void aml_name(struct bytes *aml, const char *path)
{
	bytes_number(aml, OP_NAME, 1);
	aml_path(aml, path);
}

void aml_name_integer(struct bytes *aml, const char *path, uint64_t value)
{
	aml_name(aml, path);
	aml_integer(aml, value);
}

static unsigned int hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Three letters of five bits each and four hexadecimal digits, most significant byte first. */
void aml_name_eisa(struct bytes *aml, const char *path, const char *id)
{
	unsigned int letters = (id[0] - '@') << 10 | (id[1] - '@') << 5 | (id[2] - '@');
	unsigned char code[4] = {
		letters >> 8, letters,
		hex_digit(id[3]) << 4 | hex_digit(id[4]),
		hex_digit(id[5]) << 4 | hex_digit(id[6]),
	};

	aml_name(aml, path);
	bytes_number(aml, PREFIX_DWORD, 1);
	bytes_put(aml, code, 4);
}

void aml_resources_start(struct aml_resources *resources)
{
	resources->bytes = (struct bytes){ .data = resources->data,
					   .room = sizeof(resources->data) };
}

void aml_resources_io(struct aml_resources *resources, uint16_t base, uint8_t length)
{
	struct bytes *bytes = &resources->bytes;

	bytes_number(bytes, ITEM_IO, 1);
	bytes_number(bytes, 1, 1);	/* decodes 16 bits */
	bytes_number(bytes, base, 2);
	bytes_number(bytes, base, 2);
	bytes_number(bytes, 1, 1);
	bytes_number(bytes, length, 1);
}

/* Edge-triggered and active high, as ISA interrupts are. */
void aml_resources_irq(struct aml_resources *resources, unsigned int irq)
{
	bytes_number(&resources->bytes, ITEM_IRQ, 1);
	bytes_number(&resources->bytes, 1u << irq, 2);
}

void aml_resources_window(struct aml_resources *resources, enum aml_window window,
			  unsigned int width, uint64_t first, uint64_t last)
{
	/* Memory: writable, not cached. Ports: the whole range. */
	static const unsigned char flags[] = { [AML_WINDOW_MEMORY] = 1, [AML_WINDOW_IO] = 3,
					       [AML_WINDOW_BUS] = 0 };
	struct bytes *bytes = &resources->bytes;

	bytes_number(bytes, width == 2 ? ITEM_WORD : ITEM_DWORD, 1);
	bytes_number(bytes, 3 + 5 * width, 2);
	bytes_number(bytes, window, 1);
	bytes_number(bytes, 0x0c, 1);	/* a producer; both ends are fixed */
	bytes_number(bytes, flags[window], 1);
	bytes_number(bytes, 0, width);	/* granularity */
	bytes_number(bytes, first, width);
	bytes_number(bytes, last, width);
	bytes_number(bytes, 0, width);	/* no translation */
	bytes_number(bytes, last - first + 1, width);
}

void aml_resources_put(struct bytes *aml, struct aml_resources *resources)
{
	size_t buffer;

	bytes_number(&resources->bytes, ITEM_END, 1);
	bytes_number(&resources->bytes, 0, 1);	/* a checksum of 0 is right */
	aml_name(aml, "_CRS");
	buffer = aml_open(aml, AML_BUFFER);
	aml_integer(aml, resources->bytes.size);
	bytes_put(aml, resources->data, resources->bytes.size);
	aml_close(aml, buffer);
	aml->full |= resources->bytes.full;
}
