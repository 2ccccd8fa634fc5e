// SPDX-License-Identifier: LGPL-2.1-or-later
/* Command lines: the caller's, and crun's. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmxoci.h"

#define WORDS	(sizeof(((struct words *)0)->of) / sizeof(char *))
#define OPTIONS	32
#define HANDED	3

void words_add(struct words *words, const char *word)
{
	if (words->count == WORDS - 1)
		fail("more than %zu words on the command line", WORDS - 1);
	words->of[words->count++] = word;
	words->of[words->count] = NULL;
}

void words_begin(struct words *words)
{
	words_add(words, global.crun);
	for (unsigned int n = 0; n < global.count; n++)
		words_add(words, global.words[n]);
}

void words_become(struct words *words, int handed)
{
	/* What a caller left open is not for the monitor. */
	if (handed >= 0 && (handed == HANDED ? fcntl(handed, F_SETFD, 0) :
					       dup2(handed, HANDED)) < 0)
		fail("a descriptor for the monitor: %s", strerror(errno));
	syscall(SYS_close_range, handed >= 0 ? HANDED + 1 : HANDED, ~0U, 0);
	execvp(words->of[0], (char **)words->of);
	fail("%s: %s; install the package crun", words->of[0], strerror(errno));
}

void pass_on(int argc, char **argv)
{
	struct words crun = {};

	words_begin(&crun);
	for (int n = 0; n < argc; n++)
		words_add(&crun, argv[n]);
	words_become(&crun, -1);
}

int words_start(struct words *words, int handed)
{
	sigset_t all, before;
	int pid;

	/* They wait for words_wait(). */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid = fork();
	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (pid)
		return pid;
	sigprocmask(SIG_SETMASK, &before, NULL);
	words_become(words, handed);
}

int words_wait(int pid)
{
	siginfo_t info;
	sigset_t all;
	int status;

	sigfillset(&all);
	for (;;) {
		int number = sigwaitinfo(&all, &info);

		/* Those of keys reach crun by themselves. */
		if (number > 0 && number != SIGCHLD && info.si_code <= 0)
			kill(pid, number);
		if (number == SIGCHLD && waitpid(pid, &status, WNOHANG) == pid)
			break;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

char *words_output(struct words *words)
{
	int ends[2], out = dup(STDOUT_FILENO);
	size_t have = 0, room = 1 << 20;
	char *output = malloc(room);
	ssize_t got;
	int pid;

	if (!output || out < 0 || pipe2(ends, O_CLOEXEC) || dup2(ends[1], STDOUT_FILENO) < 0)
		fail("a pipe from crun: %s", strerror(errno));
	pid = words_start(words, -1);
	dup2(out, STDOUT_FILENO);
	close(out);
	close(ends[1]);
	while (have < room - 1 && (got = read(ends[0], output + have, room - 1 - have)) > 0)
		have += got;
	close(ends[0]);
	output[have] = '\0';
	if (words_wait(pid))
		exit(1);
	return output;
}

static void note(const struct option_of *option, const char *value, struct words *crun)
{
	if (option->value)
		*option->value = value ? value : "";
	if (option->all)
		words_add(option->all, value);
	if (option->kept)
		words_add(crun, value ? text("--%s=%s", option->name, value) :
					text("--%s", option->name));
}

static int has_arg(const struct option_of *option)
{
	if (!option->has_value)
		return no_argument;
	return option->optional ? optional_argument : required_argument;
}

void words_parse(int *argc, char ***argv, const struct option_of *options, size_t count,
		 struct words *crun)
{
	struct option longs[OPTIONS] = {};
	char shorts[3 * OPTIONS] = "+";
	int found, at = 0;

	if (count >= OPTIONS)
		abort();
	for (size_t n = 0; n < count; n++) {
		static const char *const colons[] = { "", ":", "::" };
		int value = has_arg(&options[n]);

		longs[n] = (struct option){ options[n].name, value, &at, n };
		if (options[n].letter)
			strcat(strncat(shorts, &options[n].letter, 1), colons[value]);
	}
	optind = 0;
	while ((found = getopt_long(*argc, *argv, shorts, longs, NULL)) != -1) {
		if (found == '?')
			fail("%s: 'vmxoci --help' lists commands, 'crun %s --help' options",
			     (*argv)[0], (*argv)[0]);
		for (size_t n = 0; found && n < count; n++)
			if (options[n].letter == found)
				at = n;
		note(&options[at], optarg, crun);
	}
	*argc -= optind;
	*argv += optind;
}
