// SPDX-License-Identifier: LGPL-2.1-or-later
/* Each exit as it happens, a line for each: time, vCPU, RIP, what it is, what the guest gets. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmxrun.h"

static FILE *file;

static void begin_line(const struct vmx_cpu *cpu, const char *what)
{
	uint64_t time = vmx_clock_now(&machine.clock);

	fprintf(file, "%llu.%09llu cpu%u %#llx %s", (unsigned long long)time / 1000000000,
		(unsigned long long)time % 1000000000, cpu->id,
		(unsigned long long)cpu->vcpu.run->rip, what);
}

static void end_line(const char *outcome)
{
	fprintf(file, "%s%s\n", *outcome ? " -> " : "", outcome);
}

/* The machine's lock is held from one to the other. */
static void trace(void *host __attribute__((unused)), const struct vmx_cpu *cpu, bool done)
{
	char text[512];

	if (done)
		end_line(vmx_explain_outcome(cpu->vcpu.run, text, sizeof(text)));
	else
		begin_line(cpu, vmx_explain_exit(cpu->vcpu.run, text, sizeof(text)));
}

void trace_start(struct vmx_machine_config *config, const char *path)
{
	file = path ? fopen(path, "we") : stderr;
	if (!file)
		fail("--trace=%s: %s", path, strerror(errno));
	/* Lines, so that the last is there whatever happens. */
	setvbuf(file, NULL, _IOLBF, BUFSIZ);
	config->exit = trace;
}

void trace_end(void)
{
	bool bad = ferror(file);

	if (fflush(file) || bad)
		fprintf(stderr, "vmxrun: the trace is not complete: %s\n", strerror(errno));
}
