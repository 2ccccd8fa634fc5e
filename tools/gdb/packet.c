// SPDX-License-Identifier: LGPL-2.1-or-later
/* Turns bytes into packets and back (gdb's manual, "Remote Protocol: Overview"). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gdb.h"

#define INTERRUPT	0x03

enum { OUTSIDE, DATA, FIRST_DIGIT, SECOND_DIGIT };

static void send_raw(struct vmx_gdb *gdb, const void *bytes, size_t length)
{
	gdb->config.send(gdb->config.host, bytes, length);
}

/* Bytes that mean something outside of packets are escaped in them. */
static size_t put_escaped(char *to, char byte)
{
	if (!byte || !strchr("#$}*", byte)) {
		to[0] = byte;
		return 1;
	}
	to[0] = '}';
	to[1] = byte ^ 0x20;
	return 2;
}

void gdb_send(struct vmx_gdb *gdb, const char *data, size_t length)
{
	char *at = gdb->reply;
	uint8_t sum = 0;

	if (length > VMX_GDB_PACKET)
		length = VMX_GDB_PACKET;
	*at++ = '$';
	for (size_t n = 0; n < length; n++)
		at += put_escaped(at, data[n]);
	for (const char *byte = gdb->reply + 1; byte < at; byte++)
		sum += *byte;
	*at++ = '#';
	gdb_put_hex(at, &sum, 1);
	gdb->reply_length = at + 2 - gdb->reply;
	send_raw(gdb, gdb->reply, gdb->reply_length);
}

void gdb_send_text(struct vmx_gdb *gdb, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	gdb_send(gdb, text, strlen(text));
}

static void begin(struct vmx_gdb *gdb)
{
	gdb->parser = DATA;
	gdb->length = 0;
	gdb->sum = 0;
	gdb->escaped = false;
	gdb->too_long = false;
}

static void append(struct vmx_gdb *gdb, char byte)
{
	gdb->sum += byte;
	if (!gdb->escaped && byte == '}') {
		gdb->escaped = true;
		return;
	}
	if (gdb->length < VMX_GDB_PACKET)
		gdb->packet[gdb->length++] = gdb->escaped ? byte ^ 0x20 : byte;
	else
		gdb->too_long = true;
	gdb->escaped = false;
}

static void complete(struct vmx_gdb *gdb, bool good)
{
	gdb->parser = OUTSIDE;
	if (!gdb->quiet)
		send_raw(gdb, good ? "+" : "-", 1);
	if (!good)
		return;
	/* Longer than the stub announced: it answers as to an unknown packet. */
	if (gdb->too_long)
		gdb->length = 0;
	gdb->packet[gdb->length] = '\0';
	gdb_execute(gdb);
}

static void outside(struct vmx_gdb *gdb, char byte)
{
	switch (byte) {
	case '$':
		begin(gdb);
		break;
	case '-':
		if (!gdb->quiet)
			send_raw(gdb, gdb->reply, gdb->reply_length);
		break;
	case INTERRUPT:
		if (gdb->running)
			gdb->config.target->interrupt(gdb->config.context);
		break;
	}
}

static void take_digit(struct vmx_gdb *gdb, char byte)
{
	char text[2] = { '0', byte };
	uint8_t digit;

	if (!gdb_get_hex(text, &digit, 1)) {
		complete(gdb, false);
		return;
	}
	gdb->wanted_sum = gdb->wanted_sum << 4 | digit;
	if (gdb->parser++ == SECOND_DIGIT)
		complete(gdb, gdb->wanted_sum == gdb->sum);
}

static void take(struct vmx_gdb *gdb, char byte)
{
	switch (gdb->parser) {
	case OUTSIDE:
		outside(gdb, byte);
		break;
	case DATA:
		if (byte == '#')
			gdb->parser = FIRST_DIGIT;
		else if (byte == '$')
			begin(gdb);
		else
			append(gdb, byte);
		break;
	default:
		take_digit(gdb, byte);
	}
}

void vmx_gdb_init(struct vmx_gdb *gdb, const struct vmx_gdb_config *config)
{
	memset(gdb, 0, sizeof(*gdb));
	gdb->config = *config;
	gdb->run_cpu = -1;
	gdb->stop.interrupted = true;
}

bool vmx_gdb_receive(struct vmx_gdb *gdb, const void *bytes, size_t length)
{
	const char *at = bytes;

	for (size_t n = 0; n < length && !gdb->gone; n++)
		take(gdb, at[n]);
	return !gdb->gone;
}
