// SPDX-License-Identifier: GPL-2.0
/* vmxrun's sockets in the file system: who gets a name, and who takes it away. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

#include "../vmxrun/sockets.c"
#include "kselftest_harness.h"

#define RIVALS	4
#define ROUNDS	200

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	_exit(99);
}

FIXTURE(sockets) {
	char folder[32];
	char path[64];
};

FIXTURE_SETUP(sockets)
{
	snprintf(self->folder, sizeof(self->folder), "/tmp/sockets-XXXXXX");
	ASSERT_TRUE(mkdtemp(self->folder));
	snprintf(self->path, sizeof(self->path), "%s/guest.sock", self->folder);
}

FIXTURE_TEARDOWN(sockets)
{
	unlink(self->path);
	rmdir(self->folder);
}

/* Another program's. */
static int other(const char *path, bool listens)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || (listens && listen(fd, 0)))
		return -1;
	return fd;
}

static ino_t inode(const char *path)
{
	struct stat stat;

	return lstat(path, &stat) ? 0 : stat.st_ino;
}

TEST_F(sockets, nobody_else_may_connect)
{
	struct stat stat;

	ASSERT_LE(0, socket_listen_unix("--api", self->path));
	ASSERT_EQ(0, lstat(self->path, &stat));
	EXPECT_EQ(0600, stat.st_mode & 07777);
}

/* What a child says that listens at a name of so many bytes, or nothing. */
static void say_of_length(const char *folder, unsigned int length, char *text, size_t size)
{
	char path[200] = "";
	ssize_t got;
	int said[2];

	snprintf(path, sizeof(path), "%s/", folder);
	memset(path + strlen(path), 'x', sizeof(path) - 1 - strlen(path));
	path[length] = '\0';
	if (pipe(said))
		return;
	if (!fork()) {
		dup2(said[1], 2);
		socket_close(socket_listen_unix("--api", path));
		_exit(0);
	}
	close(said[1]);
	wait(NULL);
	got = read(said[0], text, size - 1);
	text[got > 0 ? got : 0] = '\0';
	close(said[0]);
}

TEST_F(sockets, names_of_any_length)
{
	char text[400];

	say_of_length(self->folder, 107, text, sizeof(text));
	EXPECT_STREQ("", text);
	say_of_length(self->folder, 108, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "--api unix:/tmp/"));
	EXPECT_NE(NULL, strstr(text, "must have 1 to 107 bytes")) { TH_LOG("%s", text); }
	say_of_length(self->folder, 0, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "must have 1 to 107 bytes")) { TH_LOG("%s", text); }
}

TEST_F(sockets, a_longer_name_leaves_nothing_behind)
{
	char path[80];

	snprintf(path, sizeof(path), "%s.longer", self->path);
	socket_close(socket_listen_unix("--api", path));
	ASSERT_LE(0, socket_listen_unix("--api", self->path));
	EXPECT_EQ(0, access(self->path, F_OK));
	EXPECT_EQ(-1, access(path, F_OK));
	unlink(path);
}

TEST_F(sockets, a_socket_that_is_left_over_is_replaced)
{
	close(other(self->path, true));
	EXPECT_LE(0, socket_listen_unix("--api", self->path));
}

/* A stopped process does not accept; one that looks whether it is there must not wait for it. */
TEST_F(sockets, a_socket_in_use_stays)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = other(self->path, true), clients[2];

	ASSERT_LE(0, fd);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", self->path);
	for (unsigned int n = 0; n < 2; n++) {
		clients[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(clients[n], (struct sockaddr *)&address, sizeof(address)))
			EXPECT_EQ(EAGAIN, errno);
	}
	EXPECT_EQ(-1, socket_listen_unix("--api", self->path));
	EXPECT_EQ(EADDRINUSE, errno);
	EXPECT_NE(0, inode(self->path));
}

TEST_F(sockets, what_is_no_socket_stays)
{
	ASSERT_EQ(0, symlink("/nowhere", self->path));
	EXPECT_EQ(-1, socket_listen_unix("--api", self->path));
	EXPECT_EQ(EADDRINUSE, errno);
	EXPECT_NE(0, inode(self->path));
}

/* Each child listens, tells by a byte whether it could, and stays until the parent is done. */
static void compete(const char *path, int start, int told, int end)
{
	char byte;

	if (read(start, &byte, 1))
		_exit(1);
	byte = socket_listen_unix("--api", path) >= 0;
	if (write(told, &byte, 1) != 1 || read(end, &byte, 1))
		_exit(1);
	_exit(0);
}

TEST_F(sockets, of_rivals_one_gets_the_name)
{
	for (unsigned int round = 0; round < ROUNDS; round++) {
		int start[2], told[2], end[2];
		unsigned int winners = 0;
		char byte;

		close(other(self->path, true));
		ASSERT_EQ(0, pipe(start) | pipe(told) | pipe(end));
		for (unsigned int n = 0; n < RIVALS; n++) {
			if (fork())
				continue;
			close(start[1]);
			close(end[1]);
			compete(self->path, start[0], told[1], end[0]);
		}
		close(start[1]);
		for (unsigned int n = 0; n < RIVALS; n++) {
			ASSERT_EQ(1, read(told[0], &byte, 1));
			winners += byte;
		}
		close(end[1]);
		while (wait(NULL) > 0)
			;
		close(start[0]);
		close(told[0]);
		close(told[1]);
		close(end[0]);
		ASSERT_EQ(1, winners);
		unlink(self->path);
	}
}

/* Somebody removed its file, and another machine has the name now. */
TEST_F(sockets, the_socket_of_another_stays)
{
	int status;

	if (!fork()) {
		if (socket_listen_unix("--api", self->path) < 0 || unlink(self->path) ||
		    other(self->path, true) < 0)
			_exit(1);
		remove_sockets();
		_exit(!inode(self->path));
	}
	ASSERT_LT(0, wait(&status));
	EXPECT_EQ(0, status);
}

TEST_F(sockets, its_own_goes)
{
	ASSERT_LE(0, socket_listen_unix("--api", self->path));
	remove_sockets();
	EXPECT_EQ(0, inode(self->path));
}

TEST_HARNESS_MAIN
