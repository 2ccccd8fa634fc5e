// SPDX-License-Identifier: LGPL-2.1-or-later
/* Prints a line for each exit, as it happens: time, vCPU, RIP, the exit, what the guest gets. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmxrun.h"

static int output_fd = STDERR_FILENO;
static struct outlet *output;

/* A line for each vCPU, until it is complete: exits of several vCPUs overlap. */
static struct line {
	char text[1280];
	size_t length;
} lines[VMX_MACHINE_CPUS];

static void add(struct line *line, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
	size_t room = sizeof(line->text) - line->length;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line->text + line->length, room, format, args);
	va_end(args);
	line->length += (size_t)length < room ? (size_t)length : room - 1;
}

static void trace(void *host __attribute__((unused)), const struct vmx_cpu *cpu, bool done)
{
	uint64_t time = vmx_clock_now(&machine.clock);
	struct line *line = &lines[cpu->id];
	char text[512];

	if (!done) {
		line->length = 0;
		add(line, "%llu.%09llu cpu%u %#llx %s", (unsigned long long)time / 1000000000,
		    (unsigned long long)time % 1000000000, cpu->id,
		    (unsigned long long)cpu->vcpu.run->rip,
		    vmx_explain_exit(cpu->vcpu.run, text, sizeof(text)));
		return;
	}
	vmx_explain_outcome(cpu->vcpu.run, text, sizeof(text));
	add(line, "%s%s\n", *text ? " -> " : "", text);
	outlet_put(output, line->text, line->length);
}

void trace_open(const char *path)
{
	output_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (output_fd < 0)
		fail("--trace=%s: %s", path, strerror(errno));
}

void trace_start(struct vmx_machine_config *config)
{
	output = outlet_open(output_fd, NULL);
	config->exit = trace;
}

void trace_end(void)
{
	int error = outlet_close(output);

	if (error && somebody_listens())
		fprintf(stderr, "vmxrun: the trace is incomplete: %s\n", strerror(error));
}
