/* SPDX-License-Identifier: GPL-2.0 */
/* A machine without a CPU: the VMCS is an array, and the test makes the exits. */
#ifndef TESTS_EXITS_FIXTURE_H
#define TESTS_EXITS_FIXTURE_H

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "kselftest_harness.h"

#include "../lib/internal.h"
#include "../lib/x86.h"
#include "../machine/internal.h"

#define RAM		0x10000
#define RIP		0x1000

static uint64_t vmcs[0x7000];
static struct vmx_debug registers;

static int transfer(const struct vmx_vmcs_io *io, bool write)
{
	struct vmx_field *fields = (struct vmx_field *)(uintptr_t)io->fields;

	for (unsigned int n = 0; n < io->count; n++) {
		if (write)
			vmcs[fields[n].field] = fields[n].value;
		else
			fields[n].value = vmcs[fields[n].field];
	}
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	switch (request) {
	case VMX_VMCS_READ:
		return transfer(arg, false);
	case VMX_VMCS_WRITE:
		return transfer(arg, true);
	case VMX_GET_DEBUG:
		*(struct vmx_debug *)arg = registers;
		return 0;
	case VMX_SET_DEBUG:
		registers = *(struct vmx_debug *)arg;
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

FIXTURE(exits) {
	struct vmx_machine machine;
	struct vmx_cpu *cpu;
	struct vmx_run_page *run;
	char report[256];
};

typedef FIXTURE_DATA(exits) exits_t;

static void note_report(void *host, const char *sentence)
{
	snprintf(host, 256, "%s", sentence);
}

FIXTURE_SETUP(exits)
{
	struct vmx_machine *machine = &self->machine;

	self->cpu = &machine->cpus[0];
	self->run = calloc(1, sizeof(*self->run));
	machine->config = (struct vmx_machine_config){
		.memory = RAM, .cpus = 1, .report = note_report, .host = self->report,
	};
	pthread_mutex_init(&machine->lock, NULL);
	pthread_mutex_lock(&machine->lock);
	ASSERT_EQ(0, vmx_memory_init(&machine->memory, calloc(1, RAM), RAM, 0xc0000000));
	machine->vm.caps.features = VMX_HAS_EPT | VMX_HAS_UNRESTRICTED | VMX_HAS_LOAD_EFER;
	machine->tsc_khz = 1000000;
	self->cpu->machine = machine;
	self->cpu->vcpu.run = self->run;
}

FIXTURE_TEARDOWN(exits)
{
	free(self->machine.memory.ram);
	free(self->run);
}

/* A 64-bit guest's exit at a privilege level. */
static inline int exit_at(exits_t *self, uint32_t reason, unsigned int cpl)
{
	memset(vmcs, 0, sizeof(vmcs));
	memset(self->run, 0, sizeof(*self->run));
	self->machine.end = VMX_END_NONE;
	vmcs[VMX_F_GUEST_CR0] = CR0_PG | CR0_PE;
	vmcs[VMX_F_GUEST_RFLAGS] = RFLAGS_FIXED | RFLAGS_IF;
	self->run->reason = reason;
	self->run->rip = RIP;
	self->run->length = 3;
	self->run->cr0 = vmcs[VMX_F_GUEST_CR0];
	self->run->efer = EFER_LME | EFER_LMA;
	self->run->cs_access = ACCESS_CODE64 | cpl << VMX_ACCESS_DPL_SHIFT;
	self->run->ss_access = ACCESS_DATA32 | cpl << VMX_ACCESS_DPL_SHIFT;
	self->run->rflags = vmcs[VMX_F_GUEST_RFLAGS];
	return vmx_cpu_exit(self->cpu);
}

#endif /* TESTS_EXITS_FIXTURE_H */
