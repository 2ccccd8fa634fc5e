// SPDX-License-Identifier: LGPL-2.1-or-later
/* Lines to the other side of a migration: unix:PATH, tcp:HOST:PORT, exec:COMMAND. */
#define _GNU_SOURCE	/* accept4(), getaddrinfo_a() */
#include <errno.h>
#include <fcntl.h>
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
#include <time.h>
#include <unistd.h>

#include "../transport/transport.h"
#include "vmxrun.h"

/* After so long without an answer a line over a network is cut, or is none. A test has less. */
static unsigned int silence_ms = 20000;
/* A target serves one at a time, and a source that waits behind a silent one has silence_ms. */
#define TARGET_PATIENCE_MS	5000
/* Nobody waits longer without a look whether to go on. */
#define SLICE_MS	100

/* Who connects may be told to end, and waits no longer than until then. */
struct patience {
	bool (*cancelled)(void);	/* or NULL */
	int64_t deadline;		/* in ms of CLOCK_MONOTONIC */
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

static struct patience begin_to_wait(bool (*cancelled)(void))
{
	return (struct patience){ .cancelled = cancelled, .deadline = now_ms() + silence_ms };
}

/* 0, or the error that ends the waiting. */
static int look(const struct patience *patience)
{
	int late = now_ms() < patience->deadline ? 0 : ETIMEDOUT;

	return patience->cancelled && patience->cancelled() ? ECANCELED : late;
}

static int refuse(struct sentence *why, int error, const char *address, const char *text)
{
	snprintf(why->text, sizeof(why->text), "%s: %s", address, text);
	return -error;
}

/* A network does not say that the other computer is gone. */
static void watch_line(int fd)
{
	int one = 1, idle = 5, count = 3;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof(silence_ms));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* The name's addresses: 0, or the error of getaddrinfo(), or EAI_SYSTEM with errno. */
static int resolve(struct gaicb *request, bool (*cancelled)(void))
{
	const struct patience patience = begin_to_wait(cancelled);
	static const struct timespec slice = { .tv_nsec = SLICE_MS * 1000000 };
	struct gaicb *asked[] = { request };
	const struct gaicb *awaited[] = { request };
	int error = getaddrinfo_a(GAI_NOWAIT, asked, 1, NULL), late = 0;

	while (!error && gai_error(request) == EAI_INPROGRESS && !late) {
		gai_suspend(awaited, 1, &slice);
		late = look(&patience);
	}
	if (!late)
		return error ?: gai_error(request);
	errno = late;
	return EAI_SYSTEM;
}

#define LONGEST	256	/* address over TCP */

/* tcp:HOST:PORT, tcp:[HOST]:PORT or tcp::PORT; the host may be empty. */
static int split(const char *address, char text[LONGEST], char **host, char **port,
		 struct sentence *why)
{
	if (strlen(address) >= LONGEST)
		return refuse(why, EINVAL, address, "the address is too long");
	snprintf(text, LONGEST, "%s", address + strlen("tcp:"));
	*host = text;
	*port = strrchr(text, ':');
	if (!*port || !(*port)[1])
		return refuse(why, EINVAL, address, "give tcp:HOST:PORT");
	*(*port)++ = '\0';
	if (**host == '[' && (*port)[-2] == ']') {
		(*port)[-2] = '\0';
		(*host)++;
	}
	return 0;
}

/* Of a name that is looked up; it outlives the wait for a name server that does not answer. */
struct lookup {
	char text[LONGEST];
	struct addrinfo hints;
	struct gaicb request;
};

static int look_up(struct lookup *lookup, const char *address, int flags,
		   bool (*cancelled)(void), struct sentence *why)
{
	char *host, *port;
	int error = split(address, lookup->text, &host, &port, why);

	if (error)
		return error;
	lookup->hints = (struct addrinfo){ .ai_socktype = SOCK_STREAM, .ai_flags = flags };
	lookup->request = (struct gaicb){
		.ar_name = *host ? host : NULL, .ar_service = port, .ar_request = &lookup->hints,
	};
	error = resolve(&lookup->request, cancelled);
	if (error == EAI_SYSTEM)
		return refuse(why, errno, address, strerror(errno));
	return error ? refuse(why, EINVAL, address, gai_strerror(error)) : 0;
}

static void forget(struct lookup *lookup)
{
	if (gai_cancel(&lookup->request) == EAI_NOTCANCELED)
		return;
	if (lookup->request.ar_result)
		freeaddrinfo(lookup->request.ar_result);
	free(lookup);
}

typedef int (*try_function)(const struct addrinfo *info, bool (*cancelled)(void));

/* Each address that it stands for until one does. */
static int each_address(const char *address, int flags, try_function try,
			bool (*cancelled)(void), struct sentence *why)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));
	int fd = -1, ret;

	if (!lookup)
		return refuse(why, ENOMEM, address, strerror(ENOMEM));
	ret = look_up(lookup, address, flags, cancelled, why);
	errno = EINVAL;
	for (const struct addrinfo *at = lookup->request.ar_result;
	     !ret && at && fd < 0 && errno != ECANCELED; at = at->ai_next)
		fd = try(at, cancelled);
	if (!ret && fd < 0)
		ret = refuse(why, errno, address, strerror(errno));
	forget(lookup);
	return ret ?: fd;
}

/* The answer to a connection that has begun: 0 or an error. */
static int await_answer(int fd, const struct patience *patience)
{
	struct pollfd event = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int error = 0;

	while (!error && poll(&event, 1, SLICE_MS) <= 0)
		error = look(patience);
	if (!error && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
		error = errno;
	return error;
}

/* Connects a socket that does not block, which blocks afterwards: 0 or an error. */
static int connect_within(int fd, const struct sockaddr *to, socklen_t length,
			  const struct patience *patience)
{
	static const struct timespec slice = { .tv_nsec = SLICE_MS * 1000000 };
	int error;

	for (;;) {
		error = connect(fd, to, length) ? errno : 0;
		/* A Unix socket whose backlog is full. */
		if (error != EAGAIN)
			break;
		nanosleep(&slice, NULL);
		error = look(patience);
		if (error)
			break;
	}
	if (error == EINPROGRESS)
		error = await_answer(fd, patience);
	if (!error && fcntl(fd, F_SETFL, 0))
		error = errno;
	return error;
}

static int open_line(int family, const struct sockaddr *to, socklen_t length,
		     bool (*cancelled)(void))
{
	const struct patience patience = begin_to_wait(cancelled);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;

	if (fd < 0)
		return -1;
	error = connect_within(fd, to, length, &patience);
	if (!error)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

static int try_connect(const struct addrinfo *info, bool (*cancelled)(void))
{
	int fd = open_line(info->ai_family, info->ai_addr, info->ai_addrlen, cancelled);

	if (fd >= 0)
		watch_line(fd);
	return fd;
}

static int try_listen(const struct addrinfo *info,
		      bool (*cancelled)(void) __attribute__((unused)))
{
	return socket_listen(info->ai_family, info->ai_addr, info->ai_addrlen);
}

static int connect_unix(const char *address, bool (*cancelled)(void), struct sentence *why)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = address + strlen("unix:");
	int fd;

	if (!*path || strlen(path) >= sizeof(to.sun_path))
		return refuse(why, EINVAL, address, "the path must have 1 to 107 bytes");
	memcpy(to.sun_path, path, strlen(path));
	fd = open_line(AF_UNIX, (struct sockaddr *)&to, sizeof(to), cancelled);
	if (fd >= 0)
		return fd;
	/* That there is no such file is no answer about the machine. */
	refuse(why, errno, address, strerror(errno));
	return errno == ECANCELED ? -ECANCELED : -EIO;
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

static int connect_plain(const char *address, bool (*cancelled)(void), struct sentence *why)
{
	if (begins(address, "unix:"))
		return connect_unix(address, cancelled, why);
	if (begins(address, "tcp:"))
		return each_address(address, 0, try_connect, cancelled, why);
	if (begins(address, "exec:"))
		return execute(address, why);
	return refuse(why, EINVAL, address, "give unix:PATH, tcp:HOST:PORT or exec:COMMAND");
}

static const struct transport_tls *load_tls(struct sentence *why)
{
	return load_symbol("vmxrun-tls.so", "transport_tls", why);
}

/* TLS over FD, which is taken over. HOST: whom the other side has to be; NULL if it came here. */
static int protect(int fd, const char *folder, const char *host, bool (*cancelled)(void),
		   struct sentence *why)
{
	const struct transport_tls *tls = load_tls(why);
	const struct tls_config config = {
		.fd = fd, .folder = folder, .host = host, .cancelled = cancelled,
		.patience_ms = host ? silence_ms : TARGET_PATIENCE_MS,
	};

	if (tls)
		return tls->protect(&config, why->text, sizeof(why->text));
	close(fd);
	return -EOPNOTSUPP;
}

/* The name of the target, by the user or by the address. */
static int find_host(const struct line_config *to, char text[LONGEST], const char **host,
		     struct sentence *why)
{
	char *found = text, *port;
	int ret = 0;

	*text = '\0';
	if (!to->tls_hostname && begins(to->address, "tcp:"))
		ret = split(to->address, text, &found, &port, why);
	*host = to->tls_hostname ?: found;
	if (ret || **host)
		return ret;
	return refuse(why, EINVAL, to->address,
		      "give --tls-hostname, too: whom the certificate names");
}

int line_connect(const struct line_config *to, bool (*cancelled)(void), struct sentence *why)
{
	char text[LONGEST];
	const char *host = NULL;
	int ret = 0;

	/* Who names a host expects TLS. */
	if (to->tls_hostname && !to->tls_creds)
		return refuse(why, EINVAL, to->address, "--tls-hostname needs --tls-creds, too");
	if (to->tls_creds)
		ret = find_host(to, text, &host, why);
	ret = ret ?: connect_plain(to->address, cancelled, why);
	if (ret < 0 || !to->tls_creds)
		return ret;
	return protect(ret, to->tls_creds, host, cancelled, why);
}

/* Of those that listen. A command's line is there at once. */
static int listener = -1;
static const char *listening_at;
static const char *own_creds;

/* Before anybody comes. The files are read again then, as they may be renewed. */
static void check_creds(const char *tls_creds)
{
	struct sentence why = { "" };
	const struct transport_tls *tls = load_tls(&why);

	if (!tls || tls->check(tls_creds, why.text, sizeof(why.text)))
		fail("--tls-creds %s: %s", tls_creds, why.text);
}

void line_listen(const char *address, const char *tls_creds)
{
	struct sentence why = { "" };

	listening_at = address;
	own_creds = tls_creds;
	if (tls_creds)
		check_creds(tls_creds);
	if (begins(address, "unix:")) {
		listener = socket_listen_unix("--incoming", address + strlen("unix:"));
		if (listener < 0)
			fail("--incoming %s: %s", address, strerror(errno));
	} else if (begins(address, "tcp:")) {
		listener = each_address(address, AI_PASSIVE, try_listen, NULL, &why);
		if (listener < 0)
			fail("--incoming %s", why.text);
	} else if (!begins(address, "exec:")) {
		fail("--incoming %s: give unix:PATH, tcp:HOST:PORT or exec:COMMAND", address);
	}
}

static int accept_plain(void)
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

int line_accept(struct sentence *why)
{
	int fd = accept_plain();

	return own_creds ? protect(fd, own_creds, NULL, NULL, why) : fd;
}

void line_listen_no_more(void)
{
	if (listener >= 0)
		socket_close(listener);
	listener = -1;
}

bool line_comes_again(void)
{
	return listener >= 0;
}
