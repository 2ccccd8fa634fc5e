// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The agent: init of the machine that a container runs in. It does what the monitor's frames say,
 * by Debian's crun. `init --stream FD` is the stand-in's: who starts it has mounted everything.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

struct channel monitor;
struct session sessions[SESSIONS];

void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("agent: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

static void reap(int signals)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(signals, &info, sizeof(info)) == sizeof(info))
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		session_reaped(pid, status);
}

static void take_frames(void)
{
	int error = channel_read(&monitor);
	const struct frame *frame;

	/* Nobody wants this container any more. */
	if (error)
		exit(0);
	while (!error && (frame = channel_next(&monitor, &error)))
		if (!session_take(frame))
			error = -EPROTO;
	if (error)
		fail("the monitor breaks the rules of the channel");
}

static void step(int signals)
{
	struct pollfd polled[SESSIONS * SESSION_POLLED + 2];
	struct pollfd *others = &polled[SESSIONS * SESSION_POLLED];

	if (channel_write(&monitor))
		exit(0);
	for (unsigned int n = 0; n < SESSIONS; n++)
		session_poll(&sessions[n], &polled[n * SESSION_POLLED]);
	others[0] = (struct pollfd){ .fd = signals, .events = POLLIN };
	others[1] = (struct pollfd){ .fd = monitor.fd, .events = channel_events(&monitor) };
	if (poll(polled, sizeof(polled) / sizeof(polled[0]), -1) < 0)
		return;
	for (unsigned int n = 0; n < SESSIONS; n++)
		session_polled(&sessions[n], &polled[n * SESSION_POLLED]);
	if (others[0].revents)
		reap(signals);
	if (others[1].revents & (POLLIN | POLLHUP | POLLERR))
		take_frames();
}

int main(int argc, char **argv)
{
	sigset_t handled;
	int error, signals;

	if (argc != 3 || strcmp(argv[1], "--stream"))
		fail("this is init of a container's machine; see Documentation/containers.rst");
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&handled);
	sigaddset(&handled, SIGCHLD);
	sigprocmask(SIG_BLOCK, &handled, NULL);
	signals = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		fail("signalfd: %s", strerror(errno));
	error = channel_open(&monitor, atoi(argv[2]));
	if (error)
		fail("the stream to the monitor: %s", strerror(-error));
	fcntl(monitor.fd, F_SETFD, FD_CLOEXEC);
	for (;;)
		step(signals);
}
