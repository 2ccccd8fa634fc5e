/* SPDX-License-Identifier: GPL-2.0 */
/* Runs commands in the folder of a test of vmxrun, and asks a machine over its socket. */
#ifndef COMMAND_H
#define COMMAND_H

#include <sys/socket.h>
#include <sys/un.h>

#include "vmxrun_fixture.h"

/* What a command or an answer said. */
static char said[65536];

/* Its exit status; @said has what it said. */
__attribute__((format(printf, 2, 3)))
static int command(fixture *self, const char *format, ...)
{
	char line[400], all[500];
	va_list args;
	FILE *output;
	size_t length;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	snprintf(all, sizeof(all), "cd %s && %s 2>&1", self->folder, line);
	output = popen(all, "r");
	if (!output)
		return -1;
	length = fread(said, 1, sizeof(said) - 1, output);
	said[length] = '\0';
	return WEXITSTATUS(pclose(output));
}

#define EXPECT_COMMAND(status, ...)							\
	EXPECT_EQ(status, command(self, __VA_ARGS__)) {					\
		TH_LOG("%s", said);							\
	}

/* At the socket of that name in the folder; -1 if nobody listens. */
static int connect_at(fixture *self, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", self->folder, name);
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	close(fd);
	return -1;
}

/* The status of a machine's answer, -1 for none; @said has all of it. */
static inline int ask(fixture *self, const char *machine, const char *method,
		      const char *resource, const char *body)
{
	char name[64], request[512];
	int fd, status;
	size_t length = 0;
	ssize_t got;

	snprintf(name, sizeof(name), "vmx/%s.sock", machine);
	fd = connect_at(self, name);
	if (fd < 0)
		return -1;
	snprintf(request, sizeof(request), "%s %s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n%s",
		 method, resource, strlen(body), body);
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		perror("a request");
	while ((got = read(fd, said + length, sizeof(said) - 1 - length)) > 0)
		length += got;
	said[length] = '\0';
	close(fd);
	return sscanf(said, "HTTP/1.%*d %d", &status) == 1 ? status : -1;
}

#endif /* COMMAND_H */
