/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of the ACPI writer. */
#ifndef LIBVMX_ACPI_H
#define LIBVMX_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libvmx/firmware.h>

/* Bytes in the making. What does not fit is left out, and @full says so. */
struct bytes {
	unsigned char *data;
	size_t size;
	size_t room;
	bool full;
};

void bytes_put(struct bytes *bytes, const void *data, size_t size);

/* A number of SIZE bytes, little-endian. */
static inline void bytes_number(struct bytes *bytes, uint64_t value, size_t size)
{
	bytes_put(bytes, &value, size);
}

/*
 * AML ("ACPI Machine Language Specification" in the ACPI specification). What has a PkgLength is
 * opened and closed: aml_open() returns what aml_close() needs. A term that contains others is so
 * many calls in a row.
 */
#define AML_SCOPE	0x10
#define AML_BUFFER	0x11
#define AML_PACKAGE	0x12
#define AML_METHOD	0x14
#define AML_IF		0xa0
#define AML_DEVICE	0x825b		/* ExtOpPrefix first */

size_t aml_open(struct bytes *aml, unsigned int op);
void aml_close(struct bytes *aml, size_t opened);
/* A path of up to two names, perhaps from the root: "\\_SB.PCI0". */
void aml_path(struct bytes *aml, const char *path);
void aml_integer(struct bytes *aml, uint64_t value);
void aml_string(struct bytes *aml, const char *string);
/* Name (PATH, and what is put next. */
void aml_name(struct bytes *aml, const char *path);
void aml_name_integer(struct bytes *aml, const char *path, uint64_t value);
/* Name (PATH, EisaId (ID)) */
void aml_name_eisa(struct bytes *aml, const char *path, const char *id);

/* Method (PATH, ARGUMENTS) {, to be closed. */
size_t aml_method(struct bytes *aml, const char *path, unsigned int arguments);
/* Return (PATH) */
void aml_return(struct bytes *aml, const char *path);
/* Notify (PATH, VALUE) */
void aml_notify(struct bytes *aml, const char *path, uint64_t value);
/* Store (Arg0, PATH) */
void aml_store_argument(struct bytes *aml, const char *path);

/* The same for resource templates: a buffer with its length in front and an end tag behind. */
struct aml_resources {
	unsigned char data[512];
	struct bytes bytes;
};

void aml_resources_start(struct aml_resources *resources);
void aml_resources_io(struct aml_resources *resources, uint16_t base, uint8_t length);
void aml_resources_irq(struct aml_resources *resources, unsigned int irq);

/* What a bridge hands on to its bus: a range of bus numbers, ports or memory. */
enum aml_window {
	AML_WINDOW_MEMORY,
	AML_WINDOW_IO,
	AML_WINDOW_BUS,
};

/* Of addresses of 2 or 4 bytes. */
void aml_resources_window(struct aml_resources *resources, enum aml_window window,
			  unsigned int width, uint64_t first, uint64_t last);
/* Name (_CRS, ResourceTemplate () {...}) */
void aml_resources_put(struct bytes *aml, struct aml_resources *resources);

/* The DSDT without its header. */
void acpi_dsdt(struct bytes *aml, const struct vmx_acpi *acpi);

#endif /* LIBVMX_ACPI_H */
