// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sockets that listen. Those in the file system are the user's alone, and go with the process. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmxrun.h"

#define BACKLOG	16
#define MOST	4

static struct place {
	int fd;
	struct sockaddr_un address;
	struct stat file;
} places[MOST];
static unsigned int count;
static bool registered;	/* those that are left go at the end of the process */

int socket_listen(int family, const void *address, socklen_t length)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(fd, address, length) && !listen(fd, BACKLOG))
		return fd;
	close(fd);
	return -1;
}

/* If it is still there, and not another machine's by now. */
static void remove_socket(const struct place *place)
{
	struct stat stat;

	if (!lstat(place->address.sun_path, &stat) && stat.st_dev == place->file.st_dev &&
	    stat.st_ino == place->file.st_ino)
		unlink(place->address.sun_path);
}

static void remove_sockets(void)
{
	while (count)
		remove_socket(&places[--count]);
}

void socket_close(int fd)
{
	unsigned int n = 0;

	while (n < count && places[n].fd != fd)
		n++;
	if (n < count) {
		remove_socket(&places[n]);
		places[n] = places[--count];
	}
	close(fd);
}

/* Is there a socket of somebody who is gone? Does not wait for one who is stopped. */
static bool is_left_over(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat stat;
	bool refused;

	if (fd < 0)
		return false;
	refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) &&
		  errno == ECONNREFUSED;
	close(fd);
	return refused && !lstat(address->sun_path, &stat) && S_ISSOCK(stat.st_mode);
}

/*
 * One at a time: a socket that does not listen yet looks left over, and of two processes that find
 * the same one left over the second would remove the first's new one. Returns a descriptor, or -1
 * where the folder cannot be opened.
 */
static int lock_folder(const struct sockaddr_un *address)
{
	char folder[sizeof(address->sun_path)];
	char *slash;
	int fd;

	memcpy(folder, address->sun_path, sizeof(folder));
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && flock(fd, LOCK_EX) && errno == EINTR)
		;
	return fd;
}

int socket_listen_unix(const char *option, const char *path)
{
	struct place *place = &places[count];
	struct sockaddr_un *address = &place->address;
	size_t length = strlen(path);
	/* From its first moment on nobody else can connect. */
	mode_t before = umask(0177);
	int folder, fd;

	if (!length || length >= sizeof(address->sun_path))
		fail("%s unix:%s: the path must have 1 to %zu bytes", option, path,
		     sizeof(address->sun_path) - 1);
	/* Another one may have had it. */
	*place = (struct place){ .address.sun_family = AF_UNIX };
	memcpy(address->sun_path, path, length);
	folder = lock_folder(address);
	fd = socket_listen(AF_UNIX, address, sizeof(*address));
	if (fd < 0 && errno == EADDRINUSE) {
		if (is_left_over(address))
			unlink(path);
		fd = socket_listen(AF_UNIX, address, sizeof(*address));
	}
	if (fd >= 0 && lstat(path, &place->file))
		place->file = (struct stat){};
	umask(before);
	if (folder >= 0)
		close(folder);
	if (fd < 0)
		return -1;
	place->fd = fd;
	if (!count++ && !registered)
		registered = !atexit(remove_sockets);
	return fd;
}
