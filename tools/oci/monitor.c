// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The monitor of a container's machine, which is the container's process for all who look from
 * outside: `monitor run [--terminal] [--memory BYTES] [--cpus N]`. `monitor exec [--terminal]` is
 * the client that a process executed in the container is for them. vmxoci hands descriptor 3 to
 * both: to the first the socket on which it listens, to the second the description of the process.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "monitor.h"

#define HANDED	3

void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("vmxoci: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(STATUS_FAILED);
}

static void *relay_thread(void *relay)
{
	relay_run(relay);
	return NULL;
}

static uint64_t number_of(const char *option, const char *text, uint64_t most)
{
	char *end;
	uint64_t number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || *end || end == text || !number || number > most)
		fail("--%s %s: give a number from 1 to %llu", option, text,
		     (unsigned long long)most);
	return number;
}

static void parse(struct machine_config *config, int argc, char **argv)
{
	static const struct option options[] = {
		{ "memory", required_argument, NULL, 'm' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "terminal", no_argument, NULL, 't' },
		{}
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'm')
			config->memory = number_of("memory", optarg, INT64_MAX);
		else if (option == 'c')
			config->cpus = number_of("cpus", optarg, UINT_MAX);
		else if (option == 't')
			config->terminal = true;
		else
			exit(STATUS_FAILED);
	}
}

static int run(int argc, char **argv)
{
	struct machine_config config = { .memory = 256 << 20, .cpus = 1 };
	static struct relay relay;
	pthread_t thread;
	int ends[2];

	parse(&config, argc, argv);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		fail("socketpair: %s", strerror(errno));
	relay = (struct relay){ .listener = HANDED, .machine = machine_start(&config),
				.first = ends[1] };
	errno = pthread_create(&thread, NULL, relay_thread, &relay);
	if (errno)
		fail("no thread: %s", strerror(errno));
	return client_run(ends[0], FRAME_RUN, config.terminal, NULL, 0);
}

static char *read_description(size_t *length)
{
	char *bytes = malloc(PROCESS_MAX + 1);
	ssize_t got;

	if (!bytes)
		fail("out of memory");
	*length = 0;
	while ((got = pread(HANDED, bytes + *length, PROCESS_MAX + 1 - *length, *length)) > 0)
		*length += got;
	if (got < 0)
		fail("the process's description: %s", strerror(errno));
	if (*length > PROCESS_MAX)
		fail("the process's description has more than %d bytes", PROCESS_MAX);
	close(HANDED);
	return bytes;
}

static int exec(int argc, char **argv)
{
	struct machine_config config = {};
	static const struct sockaddr_un address = { .sun_family = AF_UNIX,
						    .sun_path = MONITOR_SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t length;
	char *description = read_description(&length);

	parse(&config, argc, argv);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		fail("the container's machine does not answer: %s", strerror(errno));
	return client_run(fd, FRAME_EXEC, config.terminal, description, length);
}

int main(int argc, char **argv)
{
	client_init();
	if (argc > 1 && !strcmp(argv[1], "run"))
		return run(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "exec"))
		return exec(argc - 1, argv + 1);
	fail("vmxoci starts this program; see Documentation/containers.rst");
}
