/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages over a line between two processes. */
#ifndef LIBVMX_MIGRATE_WIRE_H
#define LIBVMX_MIGRATE_WIRE_H

#include "../state/stream.h"
#include "messages.h"

#define WIRE_VERSION	1
/* The longest payload of a message, without what follows it. */
#define WIRE_PAYLOAD	4096

struct wire {
	int fd;
	uint64_t sent;		/* bytes */
	uint64_t limit;		/* of these in a second, 0 for none */
	uint64_t due;		/* when the next may be sent, in ns of CLOCK_MONOTONIC */
	uint64_t deadline;	/* nobody waits any longer, likewise; 0 for none */
	int (*go_on)(void *host);	/* asked while one waits: 0 or -errno; or NULL */
	void *host;
	bool torn;		/* a message was not sent whole, and none can follow */
	struct state_header header;
	unsigned char payload[WIRE_PAYLOAD];
};

uint64_t wire_now(void);
/* Who waits has a look now and then whether to go on. */
void wire_look_up(int fd);
/*
 * All of these return 0, or -errno with vmx_error() set: -EPIPE if the line is cut, -EINVAL for
 * what is no message, -ECANCELED if the other side gives up, -ETIMEDOUT, or what go_on() says.
 */

/* Each side begins with it. */
int wire_send_head(struct wire *wire);
int wire_receive_head(struct wire *wire);
/* A message, and LENGTH bytes that follow it. */
int wire_send(struct wire *wire, const struct vmx_saved_table *table, const void *object,
	      const void *data, size_t length);
/* Until another message can be sent within the limit. */
int wire_wait_for_turn(struct wire *wire);
/* The next message, whose name wire_is() tells. Ones that the other side gives up are errors. */
int wire_receive(struct wire *wire);
bool wire_is(const struct wire *wire, const struct vmx_saved_table *table);
int wire_take(struct wire *wire, const struct vmx_saved_table *table, void *object);
/* The next message has to be this one. */
int wire_expect(struct wire *wire, const struct vmx_saved_table *table, void *object);
/* What follows a message. */
int wire_receive_data(struct wire *wire, void *data, size_t length, uint64_t checksum);
uint64_t wire_checksum(const void *data, size_t length);
/* Tells the other side what vmx_error() says. Keeps that; an error is no matter. */
void wire_give_up(struct wire *wire, const struct vmx_saved_table *table);

#endif /* LIBVMX_MIGRATE_WIRE_H */
