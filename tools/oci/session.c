// SPDX-License-Identifier: LGPL-2.1-or-later
/* A process in the container: its start, its streams, its signals, its end. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define STATUS_NOT_FOUND	127
#define STATUS_NOT_STARTED	126

/*
 * Children that ended while a crun was at work: one of them may be the process that it started,
 * whose ID is known only when crun is done.
 */
#define STRANGERS	128
static struct {
	pid_t pid;
	int status;
} strangers[STRANGERS];
static unsigned int stranger_count;

static uint16_t number_of(const struct session *session)
{
	return session - sessions;
}

static void put(const struct session *session, enum frame_type type, uint8_t arg,
		const void *data, size_t length)
{
	int error = channel_put(&monitor, number_of(session), type, arg, data, length);

	if (error)
		fail("the monitor does not take frames: %s", strerror(-error));
}

static void close_stream(struct session *session, unsigned int stream)
{
	if (session->fds[stream] >= 0)
		close(session->fds[stream]);
	session->fds[stream] = -1;
}

/* The end */

static void forget(struct session *session)
{
	for (unsigned int n = 0; n < SESSION_STREAMS; n++)
		close_stream(session, n);
	if (session->console >= 0)
		close(session->console);
	free(session->input);
	free(session->description);
	memset(session, 0, sizeof(*session));
	session->state = SESSION_FREE;
}

static void finish(struct session *session)
{
	put(session, FRAME_EXITED, 0, &session->status, sizeof(session->status));
	forget(session);
}

static bool read_output(struct session *session, unsigned int stream);

/* What the process wrote goes first; what its children write later has no reader. */
static void finish_if_drained(struct session *session)
{
	bool drained = true;

	for (unsigned int n = SESSION_OUTPUT; n <= SESSION_ERROR; n++) {
		while (session->fds[n] >= 0 && session->left[n] > 0 && session->credit)
			if (!read_output(session, n))
				session->left[n] = 0;
		drained &= session->fds[n] < 0 || session->left[n] <= 0;
	}
	if (drained)
		finish(session);
}

static void ended(struct session *session, int status)
{
	session->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	session->state = SESSION_ENDED;
	close_stream(session, SESSION_INPUT);
	for (unsigned int n = SESSION_OUTPUT; n <= SESSION_ERROR; n++)
		if (session->fds[n] < 0 || ioctl(session->fds[n], FIONREAD, &session->left[n]))
			session->left[n] = 0;
	finish_if_drained(session);
}

static void not_started(struct session *session, const char *why, size_t length)
{
	bool missing = memmem(why, length, "No such file", strlen("No such file"));

	put(session, FRAME_FAILED, 0, why, length);
	session->status = missing ? STATUS_NOT_FOUND : STATUS_NOT_STARTED;
	finish(session);
}

/* Streams */

static bool read_output(struct session *session, unsigned int stream)
{
	unsigned char bytes[FRAME_DATA];
	size_t room = session->credit < sizeof(bytes) ? session->credit : sizeof(bytes);
	ssize_t got = read(session->fds[stream], bytes, room);

	if (got > 0) {
		session->credit -= got;
		session->left[stream] -= got;
		put(session, FRAME_OUTPUT, stream, bytes, got);
		return true;
	}
	if (!got)
		put(session, FRAME_OUTPUT_END, stream, NULL, 0);
	/* EIO: nobody has the terminal's other end. */
	if (!got || (errno != EAGAIN && errno != EINTR))
		close_stream(session, stream);
	return false;
}

static void write_input(struct session *session)
{
	ssize_t done = write(session->fds[SESSION_INPUT], session->input, session->input_length);
	uint32_t taken;

	if (done < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* Its reader is gone: what comes is dropped. */
	if (done < 0) {
		close_stream(session, SESSION_INPUT);
		done = session->input_length;
	}
	taken = done;
	session->input_length -= taken;
	memmove(session->input, session->input + taken, session->input_length);
	put(session, FRAME_CREDIT, 0, &taken, sizeof(taken));
}

static void end_input_if_written(struct session *session)
{
	/* A terminal has no end of input: whoever is at it hangs up. */
	if (session->input_ended && !session->input_length && !session->terminal)
		close_stream(session, SESSION_INPUT);
}

/* Has nobody looked yet whether it starts? */
static bool is_early(const struct session *session)
{
	return session->state == SESSION_HELD || session->state == SESSION_STARTING;
}

static bool take_input(struct session *session, const struct frame *frame)
{
	uint32_t length = frame->length;

	if (length > CREDIT - session->input_length || session->input_ended)
		return false;
	/* Not yet open is not the same as closed. */
	if (session->fds[SESSION_INPUT] < 0 && !is_early(session)) {
		put(session, FRAME_CREDIT, 0, &length, sizeof(length));
		return true;
	}
	memcpy(session->input + session->input_length, frame->data, length);
	session->input_length += length;
	return true;
}

/* Signals */

static void send_signals(struct session *session)
{
	for (unsigned int n = 1; session->state == SESSION_RUNNING && n < 64; n++)
		if (session->signals >> n & 1)
			kill(session->pid, n);
	session->signals = 0;
	if (session->hangup && session->state == SESSION_RUNNING)
		kill(session->pid, SIGKILL);
}

static bool take_signal(struct session *session, const struct frame *frame)
{
	uint32_t number;

	if (!frame_number(frame, &number) || !number || number > 64)
		return false;
	if (number == 64 && session->state == SESSION_RUNNING)
		kill(session->pid, number);
	else if (number < 64)
		session->signals |= 1ull << number;
	if (session->state == SESSION_RUNNING)
		send_signals(session);
	return true;
}

static bool take_window(struct session *session, const struct frame *frame)
{
	struct winsize size = {};

	if (frame->length != sizeof(session->window))
		return false;
	memcpy(&session->window, frame->data, sizeof(session->window));
	size.ws_row = session->window.rows;
	size.ws_col = session->window.columns;
	if (session->terminal && session->fds[SESSION_OUTPUT] >= 0)
		ioctl(session->fds[SESSION_OUTPUT], TIOCSWINSZ, &size);
	return true;
}

/* The beginning */

static void open_session(struct session *session)
{
	for (unsigned int n = 0; n < SESSION_STREAMS; n++)
		session->fds[n] = -1;
	session->console = -1;
	session->credit = CREDIT;
	session->state = SESSION_DESCRIBED;
}

static bool take_description(struct session *session, const struct frame *frame)
{
	size_t length = session->description_length + frame->length;
	char *longer;

	if (length > PROCESS_MAX || session == &sessions[0])
		return false;
	longer = realloc(session->description, length + 1);
	if (!longer)
		return false;
	memcpy(longer + session->description_length, frame->data, frame->length);
	session->description = longer;
	session->description_length = length;
	return true;
}

static void start(struct session *session)
{
	int error = launch(session);

	session->state = SESSION_STARTING;
	if (error)
		not_started(session, strerror(-error), strlen(strerror(-error)));
}

static bool take_start(struct session *session, const struct frame *frame)
{
	bool container = session == &sessions[0];

	if (frame->type != (container ? FRAME_RUN : FRAME_EXEC))
		return false;
	session->terminal = frame->arg & FLAG_TERMINAL;
	session->input = malloc(CREDIT);
	if (!session->input)
		fail("out of memory");
	session->state = SESSION_HELD;
	if (container || sessions[0].state == SESSION_RUNNING || sessions[0].state == SESSION_ENDED)
		start(session);
	return true;
}

/* The container is there, or crun says for each of them that it is not. */
static void start_held(void)
{
	for (unsigned int n = 1; n < SESSIONS; n++)
		if (sessions[n].state == SESSION_HELD)
			start(&sessions[n]);
}

static void take_launched(struct session *session)
{
	char why[1024];

	session->crun = 0;
	session->pid = launched(session);
	if (session->pid < 0) {
		not_started(session, why, launch_failure(session, why, sizeof(why)));
		return;
	}
	session->state = SESSION_RUNNING;
	for (unsigned int n = 0; n < stranger_count; n++)
		if (strangers[n].pid == session->pid) {
			ended(session, strangers[n].status);
			return;
		}
	send_signals(session);
	end_input_if_written(session);
}

static bool somebody_starts(void)
{
	for (unsigned int n = 0; n < SESSIONS; n++)
		if (sessions[n].state == SESSION_STARTING)
			return true;
	return false;
}

static void remember_stranger(pid_t pid, int status)
{
	if (stranger_count == STRANGERS) {
		memmove(strangers, strangers + 1, sizeof(strangers[0]) * (STRANGERS - 1));
		stranger_count--;
	}
	strangers[stranger_count].pid = pid;
	strangers[stranger_count].status = status;
	stranger_count++;
}

void session_reaped(pid_t pid, int status)
{
	for (unsigned int n = 0; n < SESSIONS; n++) {
		struct session *session = &sessions[n];

		if (session->state == SESSION_STARTING && session->crun == pid) {
			take_launched(session);
			if (!n)
				start_held();
			if (!somebody_starts())
				stranger_count = 0;
			return;
		}
		if (session->state == SESSION_RUNNING && session->pid == pid) {
			ended(session, status);
			return;
		}
	}
	if (somebody_starts())
		remember_stranger(pid, status);
}

/* Frames */

static bool take_credit(struct session *session, const struct frame *frame)
{
	uint32_t number;

	if (!frame_number(frame, &number) || number > CREDIT - session->credit)
		return false;
	session->credit += number;
	if (session->state == SESSION_ENDED)
		finish_if_drained(session);
	return true;
}

static void hang_up(struct session *session)
{
	if (session->state == SESSION_FREE)
		return;
	session->hangup = true;
	/* Nobody reads what it still writes. */
	close_stream(session, SESSION_OUTPUT);
	close_stream(session, SESSION_ERROR);
	if (session->state == SESSION_RUNNING)
		kill(session->pid, SIGKILL);
	else if (session->state == SESSION_DESCRIBED)
		forget(session);
	else if (session->state == SESSION_ENDED || session->state == SESSION_HELD)
		finish(session);
}

/* Before the process is started: the others may be late ones of a session that has ended. */
static bool take_early(struct session *session, const struct frame *frame)
{
	if (session->state == SESSION_FREE && frame->type != FRAME_HANGUP)
		open_session(session);
	switch (frame->type) {
	case FRAME_PROCESS:
		return take_description(session, frame);
	case FRAME_WINDOW:
		return take_window(session, frame);
	case FRAME_RUN:
	case FRAME_EXEC:
		return take_start(session, frame);
	case FRAME_HANGUP:
		hang_up(session);
		return true;
	default:
		return true;
	}
}

bool session_take(const struct frame *frame)
{
	struct session *session = &sessions[frame->session];

	if (session->state == SESSION_FREE || session->state == SESSION_DESCRIBED)
		return take_early(session, frame);
	switch (frame->type) {
	case FRAME_INPUT:
		return take_input(session, frame);
	case FRAME_INPUT_END:
		session->input_ended = true;
		if (!is_early(session))
			end_input_if_written(session);
		return true;
	case FRAME_OUTPUT_END:
		if (frame->arg != SESSION_OUTPUT && frame->arg != SESSION_ERROR)
			return false;
		close_stream(session, frame->arg);
		if (session->state == SESSION_ENDED)
			finish_if_drained(session);
		return true;
	case FRAME_WINDOW:
		return take_window(session, frame);
	case FRAME_SIGNAL:
		return take_signal(session, frame);
	case FRAME_CREDIT:
		return take_credit(session, frame);
	case FRAME_HANGUP:
		hang_up(session);
		return true;
	default:
		return false;
	}
}

/* What happens to its descriptors */

void session_poll(const struct session *session, struct pollfd *polled)
{
	bool there = session->state == SESSION_RUNNING || session->state == SESSION_STARTING;

	for (unsigned int n = 0; n < SESSION_POLLED; n++)
		polled[n] = (struct pollfd){ .fd = -1, .events = POLLIN };
	if (!there && session->state != SESSION_ENDED)
		return;
	if (there && session->input_length)
		polled[SESSION_INPUT] = (struct pollfd){ .fd = session->fds[SESSION_INPUT],
							 .events = POLLOUT };
	if (session->credit) {
		polled[SESSION_OUTPUT].fd = session->fds[SESSION_OUTPUT];
		polled[SESSION_ERROR].fd = session->fds[SESSION_ERROR];
	}
	polled[SESSION_STREAMS].fd = session->console;
}

void session_polled(struct session *session, const struct pollfd *polled)
{
	if (polled[SESSION_STREAMS].revents && session->console >= 0)
		launch_take_terminal(session);
	if (polled[SESSION_INPUT].revents && session->fds[SESSION_INPUT] >= 0)
		write_input(session);
	for (unsigned int n = SESSION_OUTPUT; n <= SESSION_ERROR; n++)
		if (polled[n].revents && session->fds[n] >= 0 && session->credit &&
		    session->state != SESSION_ENDED)
			read_output(session, n);
	if (session->state == SESSION_ENDED)
		finish_if_drained(session);
	else if (session->state == SESSION_RUNNING)
		end_input_if_written(session);
}
