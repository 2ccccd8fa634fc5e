/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of the stub. */
#ifndef LIBVMX_GDB_INTERNAL_H
#define LIBVMX_GDB_INTERNAL_H

#include <libvmx/gdb.h>

#include "../lib/internal.h"

/* packet.c: a reply, with whatever bytes. */
void gdb_send(struct vmx_gdb *gdb, const char *data, size_t length);
void gdb_send_text(struct vmx_gdb *gdb, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* commands.c: a packet came; it ends with a '\0' that is not part of it. */
void gdb_execute(struct vmx_gdb *gdb);

/* registers.c: numbers of registers and their order are those of the description. */
unsigned int gdb_register_count(bool wide);
/* Where a register is, and how many bytes of it are transferred; NULL if there is none. */
void *gdb_register(struct vmx_gdb_registers *registers, bool wide, unsigned int number,
		   size_t *size);
/* Returns the length of gdb's target description. */
size_t gdb_describe(bool wide, char *buf, size_t size);

/* hex.c */
void gdb_put_hex(char *to, const void *bytes, size_t length);
/* Returns whether there are LENGTH bytes in hexadecimal at TEXT. */
bool gdb_get_hex(const char *text, void *bytes, size_t length);
/* What "qCRC" asks for; begins with 0xffffffff. */
uint32_t gdb_crc32(uint32_t crc, const void *bytes, size_t length);
/* A number; moves *TEXT behind it. Returns whether there is one, of 64 bits. */
bool gdb_get_number(const char **text, uint64_t *number);

#endif /* LIBVMX_GDB_INTERNAL_H */
