// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into the emulator: lets a machine that has booted stand still, and has copies of its
 * process go on from there, each with a task of its own. `make mutants` asks for hundreds of
 * machines that differ in no more than that.
 *
 * SIGUSR1 begins it. From then on the process only answers requests on the socket whose number
 * VMX_BRANCH has: the names of the files that the copy uses in place of the process's own, and of
 * the file with its task, a line each, and an empty line. The answer is the copy's PID, or 0. The
 * first answer is how many pages of the guest's are missing.
 *
 * The task goes into pages of the guest's that guest/door.c has marked, and waits at.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "guest/door.h"

#define FILES_MAX 8
/* Guest memory is in mappings of this size or more. */
#define MAPPING_MIN 0x1000000UL

static int asked = -1;
static unsigned char *pages[DOOR_PAGES];

static void find_pages_in(unsigned char *from, unsigned char *to)
{
	for (; from < to; from += DOOR_PAGE) {
		struct door_page *page = (struct door_page *)from;

		if (page->mark == DOOR_MARK(page->number) && page->number < DOOR_PAGES)
			pages[page->number] = from;
	}
}

static int find_pages(void)
{
	/* No stdio: whatever the signal interrupted may be allocating memory. */
	static char maps[1 << 18];
	int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), missing = 0;
	char *rest = maps, *line, access[5];
	unsigned long from, to;
	ssize_t count, length = 0;

	while ((count = read(file, maps + length, sizeof(maps) - 1 - length)) > 0)
		length += count;
	close(file);
	while ((line = strsep(&rest, "\n")))
		if (sscanf(line, "%lx-%lx %4s", &from, &to, access) == 3 &&
		    !strncmp(access, "rw", 2) && to - from >= MAPPING_MIN)
			find_pages_in((unsigned char *)from, (unsigned char *)to);
	for (int i = 0; i < DOOR_PAGES; i++)
		missing += !pages[i];
	return missing;
}

static int deliver(const char *path)
{
	struct stat status;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	int failed = file < 0 || fstat(file, &status) || status.st_size > DOOR_SIZE;
	off_t at = 0;

	for (int i = 0; !failed && at < status.st_size; i++) {
		int head = i ? 0 : DOOR_HEAD;
		ssize_t count = pread(file, pages[i] + head, DOOR_PAGE - head, at);

		failed = count <= 0;
		at += count;
	}
	if (!failed)
		*(uint64_t *)pages[0] = at;
	if (file >= 0)
		close(file);
	return failed;
}

/* What the process has open as FROM is TO from now on. */
static void use_file(const char *from, const char *to)
{
	char link[64], name[4096];
	int file = open(to, O_WRONLY | O_APPEND | O_CLOEXEC);

	for (int fd = 0; file >= 0 && fd < 256; fd++) {
		ssize_t length;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		length = fd == file ? -1 : readlink(link, name, sizeof(name) - 1);
		if (length < 0)
			continue;
		name[length] = 0;
		if (!strcmp(name, from))
			dup2(file, fd);
	}
	close(file);
}

/* A line of the request, in place; NULL after the last. */
static char *next_line(char **rest)
{
	char *line = strsep(rest, "\n");

	return line && *line ? line : NULL;
}

static void answer(pid_t pid)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%d\n", pid);

	if (send(asked, text, length, MSG_NOSIGNAL) != length)
		_exit(1);
}

/* The request has pairs of files, and then the task. True in the copy. */
static int carry_out(char *request)
{
	char *rest = request, *line, *from[FILES_MAX], *to[FILES_MAX] = {};
	int count = 0;
	pid_t parent = getpid(), pid;

	while ((line = next_line(&rest)) && count < FILES_MAX) {
		from[count] = line;
		to[count] = next_line(&rest);
		if (!to[count++])
			break;
	}
	/* The last one has no second. */
	if (!count || to[count - 1]) {
		answer(0);
		return 0;
	}
	pid = _Fork();
	if (pid) {
		answer(pid < 0 ? 0 : pid);
		return 0;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || deliver(from[count - 1]))
		_exit(1);
	for (int i = 0; i < count - 1; i++)
		use_file(from[i], to[i]);
	close(asked);
	return 1;
}

static void stand_still(int number)
{
	/* Nobody waits for copies. */
	struct sigaction alone = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };
	char request[16384];
	size_t length = 0;
	int before = errno;

	(void)number;
	sigaction(SIGCHLD, &alone, NULL);
	answer(find_pages());
	for (;;) {
		ssize_t count = recv(asked, request + length, sizeof(request) - 1 - length, 0);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			_exit(0);
		length += count;
		request[length] = 0;
		if (length >= 2 && !strcmp(request + length - 2, "\n\n")) {
			if (carry_out(request))
				break;
			length = 0;
		} else if (length == sizeof(request) - 1) {
			_exit(1);
		}
	}
	errno = before;
}

/* Only in the emulator itself: the variable names its process's socket. */
__attribute__((constructor)) static void begin(void)
{
	struct sigaction still = { .sa_handler = stand_still, .sa_flags = SA_RESTART };
	const char *number = getenv("VMX_BRANCH");

	if (!number)
		return;
	asked = atoi(number);
	sigfillset(&still.sa_mask);
	sigaction(SIGUSR1, &still, NULL);
}
