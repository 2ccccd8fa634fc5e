// SPDX-License-Identifier: LGPL-2.1-or-later
/* Has crun start the container, or a process in it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent.h"

/* Files of a session, in a file system of the machine's own. */
enum file { FILE_PROCESS, FILE_PID, FILE_LOG, FILE_CONSOLE, FILES };

struct paths {
	char of[FILES][32];
};

static struct paths paths_of(const struct session *session)
{
	static const char *const names[FILES] = { "process", "pid", "log", "console" };
	struct paths paths;

	for (unsigned int n = 0; n < FILES; n++)
		snprintf(paths.of[n], sizeof(paths.of[n]), "/run/%s-%u", names[n],
			 (unsigned int)(session - sessions));
	return paths;
}

static void remove_files(const struct session *session)
{
	struct paths paths = paths_of(session);

	for (unsigned int n = 0; n < FILES; n++)
		unlink(paths.of[n]);
}

static int write_process(const struct session *session, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, session->description, session->description_length) !=
	    (ssize_t)session->description_length)
		error = -EIO;
	close(fd);
	return error;
}

/* The terminal comes over a socket, as it does for any caller of crun. */
static int listen_for_terminal(struct session *session, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	session->console = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (session->console < 0 ||
	    bind(session->console, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(session->console, 1))
		return -errno;
	return 0;
}

static int make_pipes(struct session *session, int theirs[SESSION_STREAMS])
{
	for (unsigned int n = 0; n < SESSION_STREAMS; n++) {
		bool input = n == SESSION_INPUT;
		int ends[2];

		if (pipe2(ends, O_CLOEXEC))
			return -errno;
		theirs[n] = ends[!input];
		session->fds[n] = ends[input];
		fcntl(ends[input], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static void __attribute__((noreturn)) run_crun(const struct session *session,
					       const struct paths *paths,
					       const int theirs[SESSION_STREAMS])
{
	bool container = session == &sessions[0];
	const char *words[20];
	unsigned int count = 0;
	sigset_t none;

#define WORD(word)	(words[count++] = (word))
	WORD("crun");
	WORD("--root");
	WORD("/run/crun");
	WORD("--cgroup-manager=disabled");
	WORD("--log");
	WORD(paths->of[FILE_LOG]);
	WORD(container ? "run" : "exec");
	WORD("--detach");
	WORD("--pid-file");
	WORD(paths->of[FILE_PID]);
	if (container) {
		WORD("--bundle");
		WORD(SHARE_BUNDLE);
	} else {
		WORD("--process");
		WORD(paths->of[FILE_PROCESS]);
	}
	if (session->terminal) {
		WORD("--console-socket");
		WORD(paths->of[FILE_CONSOLE]);
	}
	WORD(CONTAINER);
	WORD(NULL);
#undef WORD
	for (int n = 0; !session->terminal && n < SESSION_STREAMS; n++)
		dup2(theirs[n], n);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execvp(words[0], (char **)words);
	dprintf(STDERR_FILENO, "crun: %s\n", strerror(errno));
	_exit(127);
}

int launch(struct session *session)
{
	int theirs[SESSION_STREAMS] = { -1, -1, -1 };
	struct paths paths = paths_of(session);
	int error = 0;

	remove_files(session);
	if (session != &sessions[0])
		error = write_process(session, paths.of[FILE_PROCESS]);
	if (!error)
		error = session->terminal ?
			listen_for_terminal(session, paths.of[FILE_CONSOLE]) :
			make_pipes(session, theirs);
	if (!error) {
		session->crun = fork();
		if (!session->crun)
			run_crun(session, &paths, theirs);
		if (session->crun < 0)
			error = -errno;
	}
	for (unsigned int n = 0; n < SESSION_STREAMS; n++)
		if (theirs[n] >= 0)
			close(theirs[n]);
	return error;
}

static ssize_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = '\0';
	return length;
}

pid_t launched(struct session *session)
{
	struct paths paths = paths_of(session);
	char text[32];
	pid_t pid = read_file(paths.of[FILE_PID], text, sizeof(text)) > 0 ? atoi(text) : -1;

	/* It may be that the terminal is there, and nobody has looked yet. */
	if (session->console >= 0 && pid > 0)
		launch_take_terminal(session);
	if (pid > 0)
		remove_files(session);
	return pid > 0 ? pid : -1;
}

size_t launch_failure(struct session *session, char *text, size_t size)
{
	struct paths paths = paths_of(session);
	ssize_t length = read_file(paths.of[FILE_LOG], text, size);

	remove_files(session);
	/* Each crun on the way says it again. */
	length = length > 0 ? (ssize_t)strcspn(text, "\n") : 0;
	if (length <= 0)
		length = snprintf(text, size, "crun does not start the process and says no reason");
	return length;
}

static int receive_descriptor(int connection)
{
	char byte[256];
	struct iovec bytes = { byte, sizeof(byte) };
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header;
	int fd;

	if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC) <= 0)
		return -1;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

void launch_take_terminal(struct session *session)
{
	struct winsize size = { .ws_row = session->window.rows, .ws_col = session->window.columns };
	int connection = accept4(session->console, NULL, NULL, SOCK_CLOEXEC);
	int fd = connection < 0 ? -1 : receive_descriptor(connection);

	if (connection >= 0)
		close(connection);
	close(session->console);
	session->console = -1;
	if (fd < 0)
		return;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (size.ws_row || size.ws_col)
		ioctl(fd, TIOCSWINSZ, &size);
	session->fds[SESSION_OUTPUT] = fd;
	session->fds[SESSION_INPUT] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}
