// SPDX-License-Identifier: GPL-2.0
/*
 * Runs one test inside the machine: supervise NAME TICKS COMMAND...
 *
 * The test's output goes through the kernel log, line by line: there it is in order with the
 * kernel's messages, no line breaks another, and nothing is lost if the kernel dies right after.
 *
 * The limit is in ticks of the TSC: instructions, in an emulator whose clock counts them, whatever
 * the speed of the computer underneath and the guest's notion of a second.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

/* The kernel refuses records of 1024 bytes and more. */
#define LINE_MAX_BYTES 900

static int kmsg;

/* '|' marks a line of the test, '+' the first part of one, '@' one of ours. */
static void emit(char mark, const char *format, ...)
{
	char text[LINE_MAX_BYTES + 1], record[LINE_MAX_BYTES + 16];
	va_list args;
	int length;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	length = snprintf(record, sizeof(record), "<5>T%c %s\n", mark, text);
	/* Nobody to tell if even this fails; the runner notices the missing marker. */
	if (write(kmsg, record, length) < 0)
		return;
}

struct lines {
	char text[LINE_MAX_BYTES];
	size_t length;
};

static void flush_line(struct lines *lines, char mark)
{
	emit(mark, "%.*s", (int)lines->length, lines->text);
	lines->length = 0;
}

static void split_lines(struct lines *lines, const char *bytes, ssize_t count)
{
	for (ssize_t i = 0; i < count; i++) {
		if (bytes[i] == '\n') {
			flush_line(lines, '|');
			continue;
		}
		if (lines->length == sizeof(lines->text) - 1)
			flush_line(lines, '+');
		if (bytes[i] != '\r')
			lines->text[lines->length++] = bytes[i];
	}
}

static void emit_file(const char *what, const char *path)
{
	struct lines lines = {};
	char bytes[4096];
	ssize_t count;
	int file = open(path, O_RDONLY | O_NONBLOCK);

	if (file < 0)
		return;
	emit('@', "stuck %s", what);
	while ((count = read(file, bytes, sizeof(bytes))) > 0)
		split_lines(&lines, bytes, count);
	if (lines.length)
		flush_line(&lines, '|');
	close(file);
}

/* What the test was doing when its time ran out. */
static void describe_stuck(pid_t test)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/syscall", test);
	emit_file("in system call", path);
	snprintf(path, sizeof(path), "/proc/%d/stack", test);
	emit_file("in kernel at", path);
	emit_file("after these events", "/sys/kernel/tracing/trace_pipe");
}

static pid_t start(char **command, int *output)
{
	int ends[2];
	pid_t test;

	if (pipe(ends)) {
		emit('@', "error pipe: %m");
		exit(1);
	}
	test = fork();
	if (test == 0) {
		setpgid(0, 0);
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		execvp(command[0], command);
		fprintf(stderr, "%s: %s\n", command[0], strerror(errno));
		_exit(127);
	}
	close(ends[1]);
	*output = ends[0];
	return test;
}

/*
 * Copies output until the test is gone. Children that it left behind may hold the pipe open: they
 * are killed with its process group, not waited for.
 */
static int follow(pid_t test, int output, unsigned long long limit)
{
	struct pollfd poller[] = {
		{ .fd = output, .events = POLLIN },
		/* Ready when the test has ended. */
		{ .fd = pidfd_open(test, 0), .events = POLLIN },
	};
	unsigned long long start = __rdtsc();
	struct lines lines = {};
	char bytes[4096];
	int status = 0, gone = 0;

	for (;;) {
		ssize_t count;

		/* Seldom: each turn of this process costs a guest its FPU registers. */
		poll(poller, 2, gone ? 0 : 200);
		if (poller[0].revents) {
			count = read(output, bytes, sizeof(bytes));
			if (count > 0) {
				split_lines(&lines, bytes, count);
				continue;
			}
			poller[0].fd = -1;
			poller[0].revents = 0;
		}
		if (gone)
			break;
		if (waitpid(test, &status, WNOHANG) == test) {
			gone = 1;
		} else if (__rdtsc() - start > limit) {
			describe_stuck(test);
			emit('@', "timeout %llu", limit);
			kill(-test, SIGKILL);
			/* Once: a test that SIGKILL does not end is for the runner to notice. */
			limit = ~0ULL;
		}
	}
	kill(-test, SIGKILL);
	if (lines.length)
		flush_line(&lines, '|');
	return status;
}

int main(int argc, char **argv)
{
	/* Above the test: each of its lines is out before its next instruction. */
	struct sched_param first = { .sched_priority = 1 };
	unsigned long long ticks;
	int output, status;
	pid_t test;

	if (argc < 4) {
		fprintf(stderr, "usage: supervise NAME TICKS COMMAND...\n");
		return 2;
	}
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	emit('@', "begin %s", argv[1]);
	ticks = __rdtsc();
	test = start(argv + 3, &output);
	sched_setscheduler(0, SCHED_FIFO, &first);
	status = follow(test, output, strtoull(argv[2], NULL, 0));
	ticks = __rdtsc() - ticks;
	if (WIFSIGNALED(status))
		emit('@', "end %s signal=%d instructions=%llu", argv[1], WTERMSIG(status), ticks);
	else
		emit('@', "end %s exit=%d instructions=%llu", argv[1], WEXITSTATUS(status), ticks);
	return 0;
}
