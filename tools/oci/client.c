// SPDX-License-Identifier: LGPL-2.1-or-later
/* One process in the container, as whoever started it sees it: stdio, signals, window, status. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "monitor.h"

#define CHUNK	4096	/* a pipe that poll() finds writable takes it without waiting */

/* Standard output or error: at most all credit waits to be written. */
struct output {
	int fd;
	bool ending;		/* nobody in the container can write it */
	size_t length;
	unsigned char waiting[CREDIT];
};

static struct {
	struct channel channel;
	struct output outputs[2];
	size_t taken;		/* credit to give back */
	size_t credit;		/* bytes of input that may be sent */
	bool input_ended;
	int signals;
	bool terminal;
	bool exited;
	int status;
} client;

void client_init(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	client.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (client.signals < 0)
		fail("signalfd: %s", strerror(errno));
}

static void put(enum frame_type type, uint8_t arg, const void *data, size_t length)
{
	int error = channel_put(&client.channel, 0, type, arg, data, length);

	if (error)
		fail("frames wait for a machine that does not take them: %s", strerror(-error));
}

/* Terminals */

static void send_window(void)
{
	struct winsize size;
	struct frame_window window;

	if (!client.terminal || ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
		return;
	window = (struct frame_window){ .rows = size.ws_row, .columns = size.ws_col };
	put(FRAME_WINDOW, 0, &window, sizeof(window));
}

/* The terminal in the container edits lines and makes signals of keys. */
static void make_raw(void)
{
	struct termios mode;

	if (tcgetattr(STDIN_FILENO, &mode))
		return;
	cfmakeraw(&mode);
	tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

/* Signals */

static void forward_signals(void)
{
	struct signalfd_siginfo info;

	while (read(client.signals, &info, sizeof(info)) == sizeof(info)) {
		uint32_t number = info.ssi_signo;

		if (number == SIGWINCH)
			send_window();
		/* Somebody sent it: children, broken pipes and keys are this process's own. */
		if (info.ssi_code <= 0 && info.ssi_pid != (uint32_t)getpid())
			put(FRAME_SIGNAL, 0, &number, sizeof(number));
	}
}

/* Input */

static void end_input(void)
{
	client.input_ended = true;
	put(FRAME_INPUT_END, 0, NULL, 0);
}

static void read_input(void)
{
	unsigned char bytes[FRAME_DATA];
	size_t room = client.credit < sizeof(bytes) ? client.credit : sizeof(bytes);
	ssize_t got = read(STDIN_FILENO, bytes, room);

	if (got > 0) {
		client.credit -= got;
		put(FRAME_INPUT, 0, bytes, got);
	} else if (!got || (errno != EAGAIN && errno != EINTR)) {
		end_input();
	}
}

/* Output */

static void give_credit(bool all)
{
	uint32_t taken = client.taken;

	/* Not for every line. */
	if (!taken || (!all && taken < CREDIT / 4))
		return;
	client.taken = 0;
	put(FRAME_CREDIT, 0, &taken, sizeof(taken));
}

/* Nobody reads it: what the process writes from here on is a broken pipe there, too. */
static void drop_output(struct output *output)
{
	uint8_t stream = output - client.outputs + 1;

	client.taken += output->length;
	output->length = 0;
	output->fd = -1;
	put(FRAME_OUTPUT_END, stream, NULL, 0);
	give_credit(true);
}

/* So that a reader sees the end while the container goes on. */
static void end_output(struct output *output)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (output->fd >= 0 && null >= 0)
		dup2(null, output->fd);
	close(null);
	output->fd = -1;
}

static void write_output(struct output *output)
{
	size_t length = output->length < CHUNK ? output->length : CHUNK;
	ssize_t done = write(output->fd, output->waiting, length);

	if (done < 0) {
		if (errno != EAGAIN && errno != EINTR)
			drop_output(output);
		return;
	}
	output->length -= done;
	memmove(output->waiting, output->waiting + done, output->length);
	client.taken += done;
	give_credit(!output->length);
	if (output->ending && !output->length)
		end_output(output);
}

static bool take_output(const struct frame *frame)
{
	struct output *output = &client.outputs[frame->arg == 2];

	if (frame->length > sizeof(output->waiting) - output->length)
		return false;
	if (output->fd < 0) {
		client.taken += frame->length;
		give_credit(true);
		return true;
	}
	memcpy(output->waiting + output->length, frame->data, frame->length);
	output->length += frame->length;
	return true;
}

/* Frames */

static bool take_frame(const struct frame *frame)
{
	uint32_t number;

	switch (frame->type) {
	case FRAME_OUTPUT:
		return take_output(frame);
	case FRAME_OUTPUT_END:
		client.outputs[frame->arg == 2].ending = true;
		if (!client.outputs[frame->arg == 2].length)
			end_output(&client.outputs[frame->arg == 2]);
		return true;
	case FRAME_CREDIT:
		if (!frame_number(frame, &number) || number > CREDIT - client.credit)
			return false;
		client.credit += number;
		return true;
	case FRAME_FAILED:
		fprintf(stderr, "%.*s\n", (int)frame->length, (const char *)frame->data);
		return true;
	case FRAME_EXITED:
		if (!frame_number(frame, &number))
			return false;
		client.exited = true;
		client.status = number & 0xff;
		return true;
	default:
		return false;
	}
}

static void read_frames(void)
{
	int error = channel_read(&client.channel);
	const struct frame *frame;

	/* The reason is the monitor's to tell. */
	if (error)
		exit(STATUS_KILLED);
	while (!error && (frame = channel_next(&client.channel, &error)))
		if (!take_frame(frame))
			error = -EPROTO;
	if (error)
		fail("the machine's agent breaks the rules of the channel");
}

static void send_description(const char *description, size_t length)
{
	for (size_t at = 0; at < length; at += FRAME_DATA) {
		size_t piece = length - at < FRAME_DATA ? length - at : FRAME_DATA;

		put(FRAME_PROCESS, 0, description + at, piece);
	}
}

static void begin(int fd, enum frame_type type, const char *description, size_t length)
{
	int error = channel_open(&client.channel, fd);

	if (error)
		fail("no channel to the machine: %s", strerror(-error));
	client.credit = CREDIT;
	client.outputs[0].fd = STDOUT_FILENO;
	client.outputs[1].fd = STDERR_FILENO;
	send_description(description, length);
	send_window();
	put(type, client.terminal ? FLAG_TERMINAL : 0, NULL, 0);
}

static bool has_output(void)
{
	return client.outputs[0].length || client.outputs[1].length;
}

static void step(void)
{
	bool wants_input = !client.exited && !client.input_ended && client.credit;
	struct pollfd polled[] = {
		{ .fd = client.exited ? -1 : client.channel.fd,
		  .events = channel_events(&client.channel) },
		{ .fd = client.signals, .events = POLLIN },
		{ .fd = wants_input ? STDIN_FILENO : -1, .events = POLLIN },
		/* Without POLLOUT: has its reader gone? */
		{ .fd = client.outputs[0].fd, .events = client.outputs[0].length ? POLLOUT : 0 },
		{ .fd = client.outputs[1].fd, .events = client.outputs[1].length ? POLLOUT : 0 },
	};

	if (poll(polled, sizeof(polled) / sizeof(polled[0]), -1) < 0)
		return;
	if (polled[1].revents)
		forward_signals();
	if (polled[2].revents & POLLNVAL)
		end_input();
	else if (polled[2].revents)
		read_input();
	for (unsigned int n = 0; n < 2; n++) {
		if (polled[3 + n].revents & (POLLERR | POLLNVAL | POLLHUP))
			drop_output(&client.outputs[n]);
		else if (polled[3 + n].revents)
			write_output(&client.outputs[n]);
	}
	if (polled[0].revents & (POLLIN | POLLHUP | POLLERR))
		read_frames();
	/* An error comes back as the channel's end. */
	if (!client.exited)
		channel_write(&client.channel);
}

int client_run(int fd, enum frame_type type, bool terminal, const char *description,
	       size_t length)
{
	client.terminal = terminal;
	if (client.terminal)
		make_raw();
	begin(fd, type, description, length);
	do
		step();
	while (!client.exited || has_output());
	return client.status;
}
