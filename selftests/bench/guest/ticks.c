// SPDX-License-Identifier: GPL-2.0
/*
 * ticks FILE COMMAND...: runs COMMAND with its output in FILE, and prints its duration from
 * start to end in ticks of the TSC.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

static void become(char **command, const char *file)
{
	int output = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (output < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		perror(file);
	else
		execvp(command[0], command);
	perror(command[0]);
	_exit(127);
}

int main(int argc, char **argv)
{
	unsigned long long start = __rdtsc();
	int status;
	pid_t child;

	if (argc < 3) {
		fprintf(stderr, "usage: ticks FILE COMMAND...\n");
		return 2;
	}
	child = fork();
	if (!child)
		become(argv + 2, argv[1]);
	if (child < 0 || waitpid(child, &status, 0) != child) {
		perror("ticks");
		return 1;
	}
	printf("%llu\n", __rdtsc() - start);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
