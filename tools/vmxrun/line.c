// SPDX-License-Identifier: LGPL-2.1-or-later
/* Lines to the other side of a migration: unix:PATH, tcp:HOST:PORT, exec:COMMAND. */
#define _GNU_SOURCE	/* accept4() */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmxrun.h"

/* After so long without an answer a line over a network is cut. */
#define SILENCE_MS	20000

static int refuse(struct sentence *why, int error, const char *address, const char *text)
{
	snprintf(why->text, sizeof(why->text), "%s: %s", address, text);
	return -error;
}

/* A network does not say that the other computer is gone. */
static void watch_line(int fd)
{
	int one = 1, idle = 5, count = 3;
	unsigned int silence = SILENCE_MS;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof(silence));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* HOST:PORT, [HOST]:PORT or :PORT; each address that it stands for until one does. */
static int each_address(const char *address, int flags, int (*try)(const struct addrinfo *info),
			struct sentence *why)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *list;
	char host[256], *port;
	int error, fd = -1;

	snprintf(host, sizeof(host), "%s", address + strlen("tcp:"));
	port = strrchr(host, ':');
	if (!port || !port[1])
		return refuse(why, EINVAL, address, "give tcp:HOST:PORT");
	*port++ = '\0';
	if (*host == '[' && port[-2] == ']') {
		port[-2] = '\0';
		memmove(host, host + 1, strlen(host));
	}
	error = getaddrinfo(*host ? host : NULL, port, &hints, &list);
	if (error)
		return refuse(why, EINVAL, address, gai_strerror(error));
	errno = EINVAL;
	for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next)
		fd = try(at);
	error = errno;
	freeaddrinfo(list);
	return fd >= 0 ? fd : refuse(why, error, address, strerror(error));
}

static int try_connect(const struct addrinfo *info)
{
	int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	watch_line(fd);
	if (!connect(fd, info->ai_addr, info->ai_addrlen))
		return fd;
	close(fd);
	return -1;
}

static int try_listen(const struct addrinfo *info)
{
	return socket_listen(info->ai_family, info->ai_addr, info->ai_addrlen);
}

static int connect_unix(const char *address, struct sentence *why)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = address + strlen("unix:");
	int fd;

	if (!*path || strlen(path) >= sizeof(to.sun_path))
		return refuse(why, EINVAL, address, "the path must have 1 to 107 bytes");
	memcpy(to.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return fd;
	refuse(why, errno, address, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -EIO;
}

/*
 * The command's input and output are the line. A shell's child that nobody waits for: init does.
 */
static int execute(const char *address, struct sentence *why)
{
	const char *command = address + strlen("exec:");
	int ends[2];
	pid_t child;

	if (!*command)
		return refuse(why, EINVAL, address, "give exec:COMMAND");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return refuse(why, errno, address, strerror(errno));
	child = fork();
	if (!child) {
		sigset_t none;

		if (fork())
			_exit(0);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		dup2(ends[1], STDIN_FILENO);
		dup2(ends[1], STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(ends[1]);
	if (child < 0) {
		refuse(why, errno, address, strerror(errno));
		close(ends[0]);
		return -EIO;
	}
	waitpid(child, NULL, 0);
	return ends[0];
}

static bool begins(const char *address, const char *kind)
{
	return !strncmp(address, kind, strlen(kind));
}

int line_connect(const char *address, struct sentence *why)
{
	if (begins(address, "unix:"))
		return connect_unix(address, why);
	if (begins(address, "tcp:"))
		return each_address(address, 0, try_connect, why);
	if (begins(address, "exec:"))
		return execute(address, why);
	return refuse(why, EINVAL, address, "give unix:PATH, tcp:HOST:PORT or exec:COMMAND");
}

/* Of those that listen. A command's line is there at once. */
static int listener = -1;
static const char *listening_at;

void line_listen(const char *address)
{
	struct sentence why = { "" };

	listening_at = address;
	if (begins(address, "unix:")) {
		listener = socket_listen_unix("--incoming", address + strlen("unix:"));
		if (listener < 0)
			fail("--incoming %s: %s", address, strerror(errno));
	} else if (begins(address, "tcp:")) {
		listener = each_address(address, AI_PASSIVE, try_listen, &why);
		if (listener < 0)
			fail("--incoming %s", why.text);
	} else if (!begins(address, "exec:")) {
		fail("--incoming %s: give unix:PATH, tcp:HOST:PORT or exec:COMMAND", address);
	}
}

int line_accept(void)
{
	struct pollfd event = { .fd = listener, .events = POLLIN };
	struct sentence why = { "" };
	int fd;

	if (listener < 0) {
		fd = execute(listening_at, &why);
		if (fd < 0)
			fail("--incoming %s", why.text);
		/* It may wait for the other side itself, however long that takes. */
		event.fd = fd;
		while (poll(&event, 1, -1) < 0 && errno == EINTR)
			;
		return fd;
	}
	do {
		poll(&event, 1, -1);
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		fail("--incoming %s: %s", listening_at, strerror(errno));
	watch_line(fd);
	return fd;
}

void line_listen_no_more(void)
{
	if (listener >= 0)
		close(listener);
	listener = -1;
}

bool line_comes_again(void)
{
	return listener >= 0;
}
