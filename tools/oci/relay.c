// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Between the machine's one stream and a socket for each session. The agent is a guest's: whatever
 * it sends reaches its own session's client, or ends the machine.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor.h"

enum state {
	FREE,
	OPEN,
	ABANDONED,	/* its client has gone, its process not yet */
	DONE,		/* its process has gone, its client not yet */
};

static struct {
	struct channel machine;
	struct session {
		enum state state;
		bool started;
		struct channel client;
	} sessions[SESSIONS];
} relay;

static void close_client(struct session *session, enum state state)
{
	channel_close(&session->client);
	session->state = state;
}

/* Frames of a client's */
static bool may_send(const struct session *session, const struct frame *frame)
{
	switch (frame->type) {
	case FRAME_RUN:
		return session == &relay.sessions[0];
	case FRAME_EXEC:
	case FRAME_PROCESS:
		return session != &relay.sessions[0];
	case FRAME_INPUT:
	case FRAME_INPUT_END:
	case FRAME_OUTPUT_END:
	case FRAME_WINDOW:
	case FRAME_SIGNAL:
	case FRAME_CREDIT:
		return true;
	default:
		return false;
	}
}

/* Its process has nobody left who waits for it. */
static int abandon(struct session *session)
{
	close_client(session, session->started ? ABANDONED : FREE);
	return channel_put(&relay.machine, session - relay.sessions, FRAME_HANGUP, 0, NULL, 0);
}

static int from_client(struct session *session)
{
	uint16_t number = session - relay.sessions;
	const struct frame *frame;
	int error = channel_read(&session->client);

	while (!error && (frame = channel_next(&session->client, &error))) {
		if (!may_send(session, frame))
			error = -EPROTO;
		session->started |= frame->type == FRAME_RUN || frame->type == FRAME_EXEC;
		if (!error && session->state == OPEN)
			error = channel_put(&relay.machine, number, frame->type, frame->arg,
					    frame->data, frame->length);
	}
	if (!error)
		return 0;
	if (session->state == DONE) {
		close_client(session, FREE);
		return 0;
	}
	return abandon(session);
}

static int from_machine(void)
{
	const struct frame *frame;
	int error = channel_read(&relay.machine);

	while (!error && (frame = channel_next(&relay.machine, &error))) {
		struct session *session = &relay.sessions[frame->session];
		bool last = frame->type == FRAME_EXITED;

		if (session->state == FREE || session->state == DONE)
			return -EPROTO;
		/* A client that does not take its frames has more than its credit: cut it off. */
		if (session->state == OPEN &&
		    channel_put(&session->client, 0, frame->type, frame->arg, frame->data,
				frame->length))
			error = abandon(session);
		if (last)
			session->state = session->state == OPEN ? DONE : FREE;
	}
	return error;
}

static int add(int fd, bool first)
{
	for (unsigned int n = first ? 0 : 1; n < SESSIONS; n++) {
		struct session *session = &relay.sessions[n];
		int error;

		if (session->state != FREE)
			continue;
		error = channel_open(&session->client, fd);
		if (!error)
			session->state = OPEN;
		session->started = false;
		return error;
	}
	return -EMFILE;
}

static void take_client(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	/* One that finds no room sees its socket closed. */
	if (fd >= 0 && add(fd, false))
		close(fd);
}

/* Writes are tried before each wait, so that it is about what did not go. */
static int flush(void)
{
	for (unsigned int n = 0; n < SESSIONS; n++)
		if (relay.sessions[n].client.fd >= 0)
			channel_write(&relay.sessions[n].client);
	return channel_write(&relay.machine);
}

static int step(int listener)
{
	struct pollfd polled[SESSIONS + 2];
	int error = flush();

	if (error)
		return error;
	for (unsigned int n = 0; n < SESSIONS; n++)
		polled[n] = (struct pollfd){ .fd = relay.sessions[n].client.fd,
					     .events = channel_events(&relay.sessions[n].client) };
	polled[SESSIONS] = (struct pollfd){ .fd = relay.machine.fd,
					    .events = channel_events(&relay.machine) };
	polled[SESSIONS + 1] = (struct pollfd){ .fd = listener, .events = POLLIN };
	if (poll(polled, SESSIONS + 2, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	for (unsigned int n = 0; !error && n < SESSIONS; n++)
		if (polled[n].revents & (POLLIN | POLLHUP | POLLERR))
			error = from_client(&relay.sessions[n]);
	if (!error && polled[SESSIONS].revents)
		error = from_machine();
	if (!error && polled[SESSIONS + 1].revents)
		take_client(listener);
	return error;
}

void relay_run(const struct relay *config)
{
	int error;

	for (unsigned int n = 0; n < SESSIONS; n++)
		relay.sessions[n].client.fd = -1;
	error = channel_open(&relay.machine, config->machine);
	if (!error)
		error = add(config->first, true);
	while (!error && relay.sessions[0].state != FREE)
		error = step(config->listener);
	if (error == -EPROTO)
		fprintf(stderr, "vmxoci: the machine's agent breaks the rules of the channel\n");
	else if (error)
		machine_explain();
	/* Their clients see that nobody is there. */
	for (unsigned int n = 0; n < SESSIONS; n++)
		channel_close(&relay.sessions[n].client);
	channel_close(&relay.machine);
}
