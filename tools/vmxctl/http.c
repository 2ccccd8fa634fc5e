// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A request to a machine's socket, as HTTP 1.0: the answer then comes in one piece and ends with
 * the connection, so that there is nothing to parse but its first line.
 */
#define _GNU_SOURCE	/* struct ucred */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmxctl.h"

#define LONGEST	(4u << 20)

static int connect_to(const char *path, unsigned int seconds, struct answer *answer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = seconds };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ucred peer = {};
	socklen_t length = sizeof(peer);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		goto failed;
	}
	memcpy(address.sun_path, path, strlen(path));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		goto failed;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);
	answer->pid = peer.pid;
	return fd;
failed:
	snprintf(answer->why, sizeof(answer->why), "%s",
		 errno == ENOENT || errno == ECONNREFUSED ? "there is no such machine" :
		 strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool send_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t done = send(fd, text, length, MSG_NOSIGNAL);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		text += done;
		length -= done;
	}
	return true;
}

/* All that comes, with a zero behind it. */
static bool receive_all(int fd, struct answer *answer)
{
	size_t room = 0, length = 0;
	ssize_t got;

	do {
		if (room - length < 2) {
			room = room ? 2 * room : 8192;
			answer->bytes = realloc(answer->bytes, room);
			if (!answer->bytes || room > LONGEST)
				return false;
		}
		got = recv(fd, answer->bytes + length, room - length - 1, 0);
		if (got > 0)
			length += got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	answer->bytes[length] = '\0';
	answer->end = answer->bytes + length;
	return !got;
}

static bool parse(struct answer *answer)
{
	char *body = strstr(answer->bytes, "\r\n\r\n");

	if (!body || sscanf(answer->bytes, "HTTP/1.%*1[01] %3u", &answer->status) != 1)
		return false;
	answer->text = body + 4;
	return true;
}

bool ask(const char *path, const char *method, const char *resource, const char *body,
	 unsigned int seconds, struct answer *answer)
{
	char *request;
	int fd, length;
	bool good;

	*answer = (struct answer){};
	fd = connect_to(path, seconds, answer);
	if (fd < 0)
		return false;
	length = asprintf(&request, "%s %s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n%s", method,
			  resource, body ? strlen(body) : 0, body ?: "");
	if (length < 0)
		fail("out of memory");
	good = send_all(fd, request, length) && receive_all(fd, answer);
	if (!good)
		snprintf(answer->why, sizeof(answer->why), "it does not answer: %s",
			 errno == EAGAIN ? "time is up" : strerror(errno));
	else if (!parse(answer))
		snprintf(answer->why, sizeof(answer->why), "it does not speak HTTP");
	free(request);
	close(fd);
	return answer->status >= 200 && answer->status < 300;
}

struct json_object *json_of(const struct answer *answer)
{
	return answer->text ? json_tokener_parse(answer->text) : NULL;
}

const char *reason_of(struct answer *answer)
{
	struct json_object *object, *sentence;

	if (!answer->status)
		return answer->why;
	object = json_of(answer);
	if (json_object_object_get_ex(object, "error", &sentence))
		snprintf(answer->why, sizeof(answer->why), "%s",
			 json_object_get_string(sentence));
	else
		snprintf(answer->why, sizeof(answer->why), "HTTP status %u", answer->status);
	json_object_put(object);
	return answer->why;
}
