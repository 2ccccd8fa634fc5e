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
	accepted = line_accept();
	return NULL;
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

	line_listen(listen_at);
	EXPECT_TRUE(line_comes_again());
	ASSERT_EQ(0, pthread_create(&thread, NULL, accept_it, NULL));
	fd = line_connect(to, &why);
	ASSERT_LE(0, fd) { TH_LOG("%s", why.text); }
	pthread_join(thread, NULL);
	EXPECT_TRUE(carries(fd, accepted));
	close(fd);
	close(accepted);
}

TEST(unix_sockets)
{
	char path[64], address[80];

	snprintf(path, sizeof(path), "/tmp/lines-%d", getpid());
	snprintf(address, sizeof(address), "unix:%s", path);
	try_address(_metadata, address, address);
}

TEST(tcp)
{
	struct sockaddr_in name;
	socklen_t length = sizeof(name);
	char address[80];

	/* A port that nobody has now. */
	line_listen("tcp:127.0.0.1:0");
	ASSERT_EQ(0, getsockname(listener, (struct sockaddr *)&name, &length));
	close(listener);
	snprintf(address, sizeof(address), "tcp:127.0.0.1:%d", ntohs(name.sin_port));
	try_address(_metadata, address, address);
	close(listener);
	snprintf(address, sizeof(address), "tcp:[127.0.0.1]:%d", ntohs(name.sin_port));
	try_address(_metadata, address, address);
}

TEST(commands)
{
	struct sentence why = { "" };
	char got[4] = "";
	int fd = line_connect("exec:cat", &why);

	ASSERT_LE(0, fd) { TH_LOG("%s", why.text); }
	EXPECT_EQ(3, write(fd, "abc", 3));
	EXPECT_EQ(3, read(fd, got, 3));
	EXPECT_STREQ("abc", got);
	/* It hears of the end, and so does this side. */
	shutdown(fd, SHUT_WR);
	EXPECT_EQ(0, read(fd, got, 3));
	close(fd);
	/* Who waits for a guest lets the other side begin. */
	line_listen("exec:printf xyz; exec cat");
	EXPECT_FALSE(line_comes_again());
	fd = line_accept();
	EXPECT_EQ(3, read(fd, got, 3));
	EXPECT_STREQ("xyz", got);
	EXPECT_EQ(3, write(fd, "abc", 3));
	EXPECT_EQ(3, read(fd, got, 3));
	EXPECT_STREQ("abc", got);
	close(fd);
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

	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		struct sentence why = { "" };

		EXPECT_GT(0, line_connect(cases[n].address, &why));
		EXPECT_NE(NULL, strstr(why.text, cases[n].text)) { TH_LOG("%s", why.text); }
		EXPECT_NE(0, strlen(why.text));
	}
}

TEST_HARNESS_MAIN
