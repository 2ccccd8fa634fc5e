/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of a container's monitor, and of the client that executes a process beside it. */
#ifndef OCI_MONITOR_H
#define OCI_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

/* Where clients find the monitor, in the outer container. */
#define MONITOR_SOCKET	"/run/monitor"

/* Statuses of the monitor's and the client's own. */
#define STATUS_FAILED	125	/* the machine or the channel to it */
#define STATUS_KILLED	137	/* the machine is gone: as if it had been killed */

/* Prints the message and exits. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* client.c */

/* Before any thread: signals come to client_run() alone. */
void client_init(void);
/*
 * Starts a process in the container over the channel FD, TYPE being FRAME_RUN or FRAME_EXEC, and
 * DESCRIPTION that of FRAME_EXEC; hands standard input, output and error through, which are one
 * TERMINAL or not, and signals and the terminal's size. Returns the process's status.
 */
int client_run(int fd, enum frame_type type, bool terminal, const char *description,
	       size_t length);

/* relay.c */

/* Who takes a machine's frames to whom they are for. */
struct relay {
	int listener;	/* clients connect here */
	int machine;	/* the stream to the agent */
	int first;	/* session 0's */
};

/* Returns when the machine or session 0 is gone. */
void relay_run(const struct relay *relay);

/* The machine: machine.c, or stand_in.c in its place. */

struct machine_config {
	uint64_t memory;	/* bytes */
	unsigned int cpus;
	bool terminal;		/* the container has one, and so has the monitor */
};

/* Starts it and returns the stream to its agent, or exits. */
int machine_start(const struct machine_config *config);
/* When its stream has ended before the container: says why, if more is known than that. */
void machine_explain(void);

#endif /* OCI_MONITOR_H */
