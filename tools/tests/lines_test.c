// SPDX-License-Identifier: GPL-2.0
/* Lines to the other side of a migration: each kind carries bytes both ways; others are refused. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <netinet/in.h>
#include <arpa/inet.h>

#include "kselftest_harness.h"

#include "../vmxrun/line.c"
#include "../vmxrun/sockets.c"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	_exit(99);
}

static int accepted;

static void *accept_it(void *arg)
{
	struct sentence why;

	accepted = line_accept(&why);
	return NULL;
}

/* TLS that lets all through, and notes for whom. */
static struct tls_config protected[2];
static unsigned int protections;

static int protect_nothing(const struct tls_config *config, char *why, size_t size)
{
	static char host[64];

	protected[!config->host] = *config;
	/* The name need not outlive the call. */
	if (config->host) {
		snprintf(host, sizeof(host), "%s", config->host);
		protected[0].host = host;
	}
	__atomic_add_fetch(&protections, 1, __ATOMIC_SEQ_CST);
	return config->fd;
}

static int check_name(const char *folder, char *why, size_t size)
{
	return strcmp(folder, "/nowhere") ? 0 : -EINVAL;
}

void *load_symbol(const char *object, const char *symbol, struct sentence *why)
{
	static struct transport_tls tls = { .protect = protect_nothing, .check = check_name };

	return &tls;
}

static int connect_to(const char *address, bool (*cancelled)(void), struct sentence *why)
{
	return line_connect(&(struct line_config){ .address = address }, cancelled, why);
}

/* Both ways. */
static bool carries(int a, int b)
{
	char got[4] = "";

	return write(a, "abc", 3) == 3 && read(b, got, 3) == 3 && !strcmp(got, "abc") &&
	       write(b, "xyz", 3) == 3 && read(a, got, 3) == 3 && !strcmp(got, "xyz");
}

static void try_address(struct __test_metadata *_metadata, const char *listen_at, const char *to)
{
	struct sentence why = { "" };
	pthread_t thread;
	int fd;

	line_listen(listen_at, NULL);
	EXPECT_TRUE(line_comes_again());
	ASSERT_EQ(0, pthread_create(&thread, NULL, accept_it, NULL));
	fd = connect_to(to, NULL, &why);
	ASSERT_LE(0, fd) { TH_LOG("%s", why.text); }
	pthread_join(thread, NULL);
	EXPECT_TRUE(carries(fd, accepted));
	close(fd);
	close(accepted);
}

/* Once somebody has come nobody else can, nor sees a name that leads nowhere. */
TEST(unix_sockets)
{
	char path[64], address[80];

	snprintf(path, sizeof(path), "/tmp/lines-%d", getpid());
	snprintf(address, sizeof(address), "unix:%s", path);
	try_address(_metadata, address, address);
	EXPECT_EQ(0, access(path, F_OK));
	line_listen_no_more();
	EXPECT_FALSE(line_comes_again());
	EXPECT_EQ(-1, access(path, F_OK));
}

/* A listener that accepts nobody: its backlog is full, and who comes next waits. */
struct deaf {
	int fd, clients[8];
	unsigned int count;
	char address[120];
};

static void fill(struct __test_metadata *_metadata, struct deaf *deaf, int family,
		 const void *name, socklen_t length)
{
	unsigned int n = 0;

	for (; n < COUNT(deaf->clients); n++) {
		struct pollfd event = { .events = POLLOUT };

		deaf->clients[n] = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		event.fd = deaf->clients[n];
		/* Over the loopback it is there at once, or never. */
		if (connect(deaf->clients[n], name, length) &&
		    (errno == EAGAIN || !poll(&event, 1, 1000)))
			break;
	}
	deaf->count = n;
	ASSERT_LT(n, COUNT(deaf->clients));
}

static void listen_deafly(struct __test_metadata *_metadata, struct deaf *deaf, int family)
{
	struct sockaddr_un path = { .sun_family = AF_UNIX };
	struct sockaddr_in port = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	void *name = family == AF_INET ? (void *)&port : &path;
	socklen_t length = family == AF_INET ? sizeof(port) : sizeof(path);

	snprintf(path.sun_path, sizeof(path.sun_path), "/tmp/deaf-%d", getpid());
	deaf->fd = socket(family, SOCK_STREAM, 0);
	ASSERT_EQ(0, bind(deaf->fd, name, length));
	ASSERT_EQ(0, listen(deaf->fd, 0));
	ASSERT_EQ(0, getsockname(deaf->fd, name, &length));
	snprintf(deaf->address, sizeof(deaf->address), "unix:%s", path.sun_path);
	if (family == AF_INET)
		snprintf(deaf->address, sizeof(deaf->address), "tcp:127.0.0.1:%d",
			 ntohs(port.sin_port));
	fill(_metadata, deaf, family, name, length);
}

static void close_deaf(struct deaf *deaf)
{
	for (unsigned int n = 0; n <= deaf->count; n++)
		close(deaf->clients[n]);
	close(deaf->fd);
	if (!strncmp(deaf->address, "unix:", 5))
		unlink(deaf->address + 5);
}

static unsigned int looks;

/* Is there a wait that asks? */
static bool cancelled_later(void)
{
	return ++looks > 2;
}

static void try_deaf(struct __test_metadata *_metadata, int family)
{
	struct sentence why = { "" };
	struct deaf deaf;

	listen_deafly(_metadata, &deaf, family);
	looks = 0;
	EXPECT_EQ(-ECANCELED, connect_to(deaf.address, cancelled_later, &why));
	EXPECT_EQ(3, looks);
	silence_ms = 300;
	EXPECT_GT(0, connect_to(deaf.address, NULL, &why));
	EXPECT_NE(NULL, strstr(why.text, "timed out")) { TH_LOG("%s", why.text); }
	silence_ms = 20000;
	close_deaf(&deaf);
}

TEST(who_waits_for_a_unix_socket_can_be_told_to_end)
{
	try_deaf(_metadata, AF_UNIX);
}

TEST(who_waits_for_tcp_can_be_told_to_end)
{
	try_deaf(_metadata, AF_INET);
}

TEST(tcp)
{
	struct sockaddr_in name;
	socklen_t length = sizeof(name);
	char address[80];

	/* A port that nobody has now. */
	line_listen("tcp:127.0.0.1:0", NULL);
	ASSERT_EQ(0, getsockname(listener, (struct sockaddr *)&name, &length));
	close(listener);
	snprintf(address, sizeof(address), "tcp:127.0.0.1:%d", ntohs(name.sin_port));
	try_address(_metadata, address, address);
	close(listener);
	snprintf(address, sizeof(address), "tcp:[127.0.0.1]:%d", ntohs(name.sin_port));
	try_address(_metadata, address, address);
}

static int option(int fd, int level, int name)
{
	socklen_t length;
	int value = -1;

	length = sizeof(value);
	return getsockopt(fd, level, name, &value, &length) ? -1 : value;
}

/* A line over a network ends when nobody answers, is no child's, and does not gather bytes. */
static void look_at_line(struct __test_metadata *_metadata, int fd)
{
	EXPECT_EQ(1, option(fd, SOL_SOCKET, SO_KEEPALIVE));
	EXPECT_EQ(5, option(fd, IPPROTO_TCP, TCP_KEEPIDLE));
	EXPECT_EQ(5, option(fd, IPPROTO_TCP, TCP_KEEPINTVL));
	EXPECT_EQ(3, option(fd, IPPROTO_TCP, TCP_KEEPCNT));
	EXPECT_EQ((int)silence_ms, option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
	EXPECT_EQ(1, option(fd, IPPROTO_TCP, TCP_NODELAY));
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(0, fcntl(fd, F_GETFL) & O_NONBLOCK);
}

TEST(a_network_is_watched)
{
	struct sockaddr_in name;
	socklen_t length = sizeof(name);
	struct sentence why = { "" };
	char address[80];
	pthread_t thread;
	int fd;

	silence_ms = 12345;
	line_listen("tcp:127.0.0.1:0", NULL);
	EXPECT_EQ(FD_CLOEXEC, fcntl(listener, F_GETFD));
	ASSERT_EQ(0, getsockname(listener, (struct sockaddr *)&name, &length));
	snprintf(address, sizeof(address), "tcp:127.0.0.1:%d", ntohs(name.sin_port));
	ASSERT_EQ(0, pthread_create(&thread, NULL, accept_it, NULL));
	fd = connect_to(address, NULL, &why);
	ASSERT_LE(0, fd) { TH_LOG("%s", why.text); }
	pthread_join(thread, NULL);
	look_at_line(_metadata, fd);
	look_at_line(_metadata, accepted);
	close(fd);
	close(accepted);
	line_listen_no_more();
}

TEST(commands)
{
	struct sentence why = { "" };
	char got[4] = "";
	int fd = connect_to("exec:cat", NULL, &why);

	ASSERT_LE(0, fd) { TH_LOG("%s", why.text); }
	EXPECT_EQ(3, write(fd, "abc", 3));
	EXPECT_EQ(3, read(fd, got, 3));
	EXPECT_STREQ("abc", got);
	/* It hears of the end, and so does this side. */
	shutdown(fd, SHUT_WR);
	EXPECT_EQ(0, read(fd, got, 3));
	close(fd);
	/* Who waits for a guest lets the other side begin. */
	line_listen("exec:printf xyz; exec cat", NULL);
	EXPECT_FALSE(line_comes_again());
	fd = line_accept(&why);
	EXPECT_EQ(3, read(fd, got, 3));
	EXPECT_STREQ("xyz", got);
	EXPECT_EQ(3, write(fd, "abc", 3));
	EXPECT_EQ(3, read(fd, got, 3));
	EXPECT_STREQ("abc", got);
	close(fd);
}

/* The target's certificate names the host of the address, or whom the user says. */
TEST(tls_is_asked_for_both_sides)
{
	struct sockaddr_in name;
	socklen_t length = sizeof(name);
	struct line_config to = { .tls_creds = "/keys" };
	static const struct {
		const char *format, *hostname, *host;
	} cases[] = {
		{ "tcp:127.0.0.1:%d", NULL, "127.0.0.1" },
		{ "tcp:[127.0.0.1]:%d", NULL, "127.0.0.1" },
		{ "tcp:127.0.0.1:%d", "there", "there" },
	};

	for (size_t n = 0; n < COUNT(cases); n++) {
		struct sentence why = { "" };
		char address[80];
		pthread_t thread;
		int fd;

		line_listen("tcp:127.0.0.1:0", "/own");
		ASSERT_EQ(0, getsockname(listener, (struct sockaddr *)&name, &length));
		snprintf(address, sizeof(address), cases[n].format, ntohs(name.sin_port));
		to.address = address;
		to.tls_hostname = cases[n].hostname;
		protections = 0;
		ASSERT_EQ(0, pthread_create(&thread, NULL, accept_it, NULL));
		fd = line_connect(&to, NULL, &why);
		ASSERT_LE(0, fd) { TH_LOG("%s", why.text); }
		pthread_join(thread, NULL);
		EXPECT_EQ(2, protections);
		EXPECT_STREQ("/keys", protected[0].folder);
		EXPECT_STREQ(cases[n].host, protected[0].host);
		EXPECT_STREQ("/own", protected[1].folder);
		EXPECT_EQ(NULL, protected[1].host);
		/* A source waits longer than a target does for somebody before it. */
		EXPECT_EQ(silence_ms, protected[0].patience_ms);
		EXPECT_GE(silence_ms / 2, protected[1].patience_ms);
		close(fd);
		close(accepted);
		line_listen_no_more();
	}
}

/* Nobody has to come first. */
TEST(a_target_finds_its_own_mistakes)
{
	int status;
	pid_t child = fork();

	if (!child) {
		line_listen("tcp:127.0.0.1:0", "/nowhere");
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(99, WEXITSTATUS(status));
}

TEST(tls_needs_a_name_to_expect)
{
	static const char *const addresses[] = { "unix:/tmp/x", "exec:cat", "tcp::1" };

	for (size_t n = 0; n < COUNT(addresses); n++) {
		struct line_config to = { .address = addresses[n], .tls_creds = "/keys" };
		struct sentence why = { "" };

		EXPECT_EQ(-EINVAL, line_connect(&to, NULL, &why));
		EXPECT_NE(NULL, strstr(why.text, "--tls-hostname")) { TH_LOG("%s", why.text); }
	}
}

TEST(a_name_to_expect_needs_tls)
{
	struct line_config to = { .address = "exec:cat", .tls_hostname = "there" };
	struct sentence why = { "" };

	EXPECT_EQ(-EINVAL, line_connect(&to, NULL, &why));
	EXPECT_NE(NULL, strstr(why.text, "needs --tls-creds")) { TH_LOG("%s", why.text); }
}

TEST(others_are_refused)
{
	static const struct {
		const char *address, *text;
	} cases[] = {
		{ "", "give unix:PATH, tcp:HOST:PORT or exec:COMMAND" },
		{ "ssh:there", "give unix:PATH, tcp:HOST:PORT or exec:COMMAND" },
		{ "unix:", "1 to 107 bytes" }, { "unix:/nowhere/x", "No such file" },
		{ "tcp:", "give tcp:HOST:PORT" }, { "tcp:here", "give tcp:HOST:PORT" },
		{ "tcp:127.0.0.1:", "give tcp:HOST:PORT" },
		{ "tcp:127.0.0.1:no-such-service", "" }, { "exec:", "give exec:COMMAND" },
	};

	for (size_t n = 0; n < COUNT(cases); n++) {
		struct sentence why = { "" };

		EXPECT_GT(0, connect_to(cases[n].address, NULL, &why));
		EXPECT_NE(NULL, strstr(why.text, cases[n].text)) { TH_LOG("%s", why.text); }
		EXPECT_NE(0, strlen(why.text));
	}
}

TEST_HARNESS_MAIN
