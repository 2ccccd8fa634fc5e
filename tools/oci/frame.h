/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control channel between a container's monitor and the agent in its machine, and between the
 * monitor and whoever executes a process in the container: frames on a byte stream.
 *
 * A session is a process in the container with its standard input, output and error. Session 0 is
 * the container's own. Each side may send as many bytes of input, or of output and error together,
 * as the other side gave it credit for, so that a reader that is slow stops its own writer alone.
 */
#ifndef OCI_FRAME_H
#define OCI_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSIONS	64
#define FRAME_DATA	16384		/* bytes that a frame may carry */
#define CREDIT		65536		/* bytes that may be on their way from the start */
#define PROCESS_MAX	(1 << 20)	/* bytes of a process's description */
#define CHANNEL_OUT_MAX	(16 << 20)	/* bytes that wait: more than all credit */

/* The machine has these where the outer container has them. */
#define SHARE		"/share"
#define SHARE_BUNDLE	SHARE "/bundle"

enum frame_type {
	/* To the machine. */
	FRAME_PROCESS = 1,	/* a piece of the description of what FRAME_EXEC starts */
	FRAME_RUN,		/* start the container: FLAG_TERMINAL or 0 */
	FRAME_EXEC,		/* start a process in it: likewise */
	FRAME_INPUT,
	FRAME_INPUT_END,
	FRAME_WINDOW,		/* struct frame_window */
	FRAME_SIGNAL,		/* its number */
	FRAME_HANGUP,		/* nobody is left who waits for the process: kill it */
	/* From it. */
	FRAME_OUTPUT,		/* stream: 1 or 2 */
	FRAME_FAILED,		/* why the process was not started */
	FRAME_EXITED,		/* its status: the session's last */
	/* Both ways. */
	FRAME_CREDIT,		/* uint32_t: bytes that are taken */
	FRAME_OUTPUT_END,	/* nobody reads it any more, or nobody can write it: stream */
};

#define FLAG_TERMINAL	1

struct frame {
	uint32_t length;	/* of what follows */
	uint16_t session;
	uint8_t type;
	uint8_t arg;
	unsigned char data[];
} __attribute__((packed));

struct frame_window {
	uint16_t rows;
	uint16_t columns;
};

struct channel {
	int fd;			/* -1: none */
	unsigned char *in;
	size_t in_begin, in_end;
	unsigned char *out;
	size_t out_begin, out_end, out_size;
};

/* Takes FD, which is read and written without waiting from here on. 0 or -errno. */
int channel_open(struct channel *channel, int fd);
void channel_close(struct channel *channel);

/* Takes what is there: 0, -EPIPE at its end, or -errno. */
int channel_read(struct channel *channel);
/*
 * The next frame that came whole, or NULL; it stays until the next channel_read(). -EPROTO in
 * *ERROR if what came is no frame.
 */
const struct frame *channel_next(struct channel *channel, int *error);

/* To be written by channel_write(): 0 or -errno. */
int channel_put(struct channel *channel, uint16_t session, enum frame_type type, uint8_t arg,
		const void *data, size_t length);
int channel_put_number(struct channel *channel, uint16_t session, enum frame_type type,
		       uint32_t number);
/* Writes what it can: 0 or -errno. */
int channel_write(struct channel *channel);
bool channel_has_output(const struct channel *channel);
/* For poll(). */
short channel_events(const struct channel *channel);

/* The number that a frame carries; false if it carries something else. */
bool frame_number(const struct frame *frame, uint32_t *number);

#endif /* OCI_FRAME_H */
