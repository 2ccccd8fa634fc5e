/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of the agent: init of the machine that a container runs in. */
#ifndef OCI_AGENT_H
#define OCI_AGENT_H

#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>

#include "frame.h"

/* What crun calls the one container here. */
#define CONTAINER	"guest"

enum { SESSION_INPUT, SESSION_OUTPUT, SESSION_ERROR, SESSION_STREAMS };

struct session {
	enum {
		SESSION_FREE,
		SESSION_DESCRIBED,	/* pieces of its description have come */
		SESSION_HELD,		/* until the container is there */
		SESSION_STARTING,	/* crun is at work */
		SESSION_RUNNING,
		SESSION_ENDED,		/* its last output is on its way */
	} state;
	pid_t crun;
	pid_t pid;
	uint32_t status;
	bool terminal;
	bool hangup;			/* kill it as soon as it is there */
	uint64_t signals;		/* that came before it was there */
	struct frame_window window;
	int console;			/* socket on which crun hands over the terminal, or -1 */
	int fds[SESSION_STREAMS];	/* this side's ends, or -1; a terminal is SESSION_OUTPUT */
	bool input_ended;		/* after what waits */
	unsigned char *input;		/* CREDIT bytes, of which some wait */
	size_t input_length;
	uint32_t credit;		/* bytes of output that may be sent */
	int left[SESSION_STREAMS];	/* that the process wrote before it ended */
	char *description;
	size_t description_length;
};

/* The stream to the monitor; sessions of it. */
extern struct channel monitor;
extern struct session sessions[SESSIONS];

/* Prints the message and ends the machine. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* session.c */

/* Acts on a frame for its session; false if it breaks the rules. */
bool session_take(const struct frame *frame);
/* What is to be polled of a session: SESSION_POLLED entries. */
#define SESSION_POLLED	4
void session_poll(const struct session *session, struct pollfd *polled);
void session_polled(struct session *session, const struct pollfd *polled);
/* A child of this process has ended. */
void session_reaped(pid_t pid, int status);

/* launch.c */

/* Has crun start a session's process; the session then waits for crun. 0 or -errno. */
int launch(struct session *session);
/* crun is done: the process's ID, or -1 if there is none. */
pid_t launched(struct session *session);
/* Why there is none, in crun's words; LENGTH bytes of TEXT. Returns how many there are. */
size_t launch_failure(struct session *session, char *text, size_t length);
/* A connection to the session's console socket brings the terminal. */
void launch_take_terminal(struct session *session);

#endif /* OCI_AGENT_H */
