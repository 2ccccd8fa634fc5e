// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sockets that listen. Those in the file system are the user's alone, and go with the process. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmxrun.h"

#define BACKLOG	16
#define MOST	4

static struct sockaddr_un addresses[MOST];
static unsigned int count;

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

static void remove_sockets(void)
{
	while (count)
		unlink(addresses[--count].sun_path);
}

/* Is there a socket of somebody who is gone? */
static bool is_left_over(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat stat;
	bool refused;

	if (fd < 0)
		return false;
	refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) &&
		  errno == ECONNREFUSED;
	close(fd);
	return refused && !lstat(address->sun_path, &stat) && S_ISSOCK(stat.st_mode);
}

int socket_listen_unix(const char *option, const char *path)
{
	struct sockaddr_un *address = &addresses[count];
	size_t length = strlen(path);
	/* From its first moment on nobody else can connect. */
	mode_t before = umask(0177);
	int fd;

	if (!length || length >= sizeof(address->sun_path))
		fail("%s unix:%s: the path must have 1 to %zu bytes", option, path,
		     sizeof(address->sun_path) - 1);
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, length);
	fd = socket_listen(AF_UNIX, address, sizeof(*address));
	if (fd < 0 && errno == EADDRINUSE && is_left_over(address)) {
		unlink(path);
		fd = socket_listen(AF_UNIX, address, sizeof(*address));
	}
	umask(before);
	if (fd < 0)
		return -1;
	if (!count++)
		atexit(remove_sockets);
	return fd;
}
