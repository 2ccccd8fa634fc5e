// SPDX-License-Identifier: LGPL-2.1-or-later
/* The CPUs of the host that the threads of vCPUs run on. A reset of the guest changes nothing. */
#define _GNU_SOURCE	/* sched_setaffinity() */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "vmxrun.h"

static struct pin {
	bool set;
	cpu_set_t cpus;
} pins[VMX_MACHINE_CPUS];

static void __attribute__((noreturn)) refuse(const char *text)
{
	fail("--pin %s: give VCPU=CPU or VCPU=CPU-CPU, with commas between (example: 0=2,1=4-7)",
	     text);
}

static const char *parse_one(const char *at, const char *text)
{
	uint64_t vcpu, first, last;

	if (!get_number(&at, &vcpu) || *at++ != '=' || !get_number(&at, &first))
		refuse(text);
	last = first;
	if (*at == '-') {
		at++;
		if (!get_number(&at, &last))
			refuse(text);
	}
	if (last < first || last >= CPU_SETSIZE)
		refuse(text);
	if (vcpu >= VMX_MACHINE_CPUS)
		fail("--pin %s: a machine has virtual CPUs 0 to %d", text, VMX_MACHINE_CPUS - 1);
	pins[vcpu].set = true;
	for (; first <= last; first++)
		CPU_SET(first, &pins[vcpu].cpus);
	return at;
}

void pins_parse(const char *text)
{
	const char *at = parse_one(text, text);

	while (*at == ',')
		at = parse_one(at + 1, text);
	if (*at)
		refuse(text);
}

void pins_check(unsigned int cpus)
{
	for (unsigned int n = cpus; n < VMX_MACHINE_CPUS; n++)
		if (pins[n].set)
			fail("--pin: there is no virtual CPU %u: the machine has %u; "
			     "--cpus gives it more", n, cpus);
}

void pins_apply(const struct vmx_cpu *cpu)
{
	const struct pin *pin = &pins[cpu->id];

	if (pin->set && sched_setaffinity(cpu->tid, sizeof(pin->cpus), &pin->cpus))
		fprintf(stderr, "vmxrun: --pin: virtual CPU %u stays where it is: %s\n", cpu->id,
			errno == EINVAL ? "this computer lets it run on none of these CPUs" :
			strerror(errno));
}

int pins_set(const struct vmx_cpu *cpu, const unsigned int *host_cpus, size_t count)
{
	struct pin pin = { .set = true };

	for (size_t n = 0; n < count; n++)
		CPU_SET(host_cpus[n], &pin.cpus);
	if (cpu->tid && sched_setaffinity(cpu->tid, sizeof(pin.cpus), &pin.cpus))
		return -errno;
	pins[cpu->id] = pin;
	return 0;
}
