/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module's part of machines whose vCPUs are made up: a RUN counts until it is kicked. What the
 * library's calls come to. A descriptor is a vCPU's number, or a machine's, and one of the bases.
 */
#ifndef FAKE_MODULE_H
#define FAKE_MODULE_H

#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#include "../machine/internal.h"

#define FAKE_CPUS	2	/* of a machine */
#define FAKE_MACHINES	2
#define VCPU_FD		1000
#define VMCS_FD		2000
#define MMU_FD		3000
#define KHZ		1000000
#define RFLAGS_IF	(1u << 9)
#define SVR		0x0f0

static struct fake {
	struct vmx_run_page run;
	volatile bool kicked;
	volatile bool inside;
	volatile uint64_t counted;	/* turns of the guest's loop */
	volatile uint64_t last_tsc;	/* that the guest read */
	volatile uint64_t backwards;	/* times that it was less than before */
	uint64_t tsc_offset;
	volatile uint64_t rip;
	volatile unsigned int events;	/* injected */
	volatile bool exit;		/* leave by an instruction */
	void (*turn)(void *ram);	/* what a turn does, or NULL */
	void *ram;
} fakes[FAKE_MACHINES * FAKE_CPUS];

/* A page that a guest wrote; the log of machine 0 alone is asked for. */
static uint64_t fake_dirty[1024];
/* Pages that are in the log each time, however seldom the guest comes to run. */
static uint64_t fake_dirty_always[1024];
static volatile bool fake_logs;

__attribute__((unused))
static void fake_wrote(uint64_t page)
{
	__atomic_or_fetch(&fake_dirty[page / 64], 1ull << page % 64, __ATOMIC_SEQ_CST);
}

static void take_input(struct fake *fake)
{
	struct vmx_run_page *run = &fake->run;

	if (run->retire)
		fake->rip += run->length;
	run->retire = 0;
	run->valid = VMX_STATE_RFLAGS | VMX_STATE_INTERRUPTIBILITY;
	run->rflags = RFLAGS_IF;
}

static int fake_run(struct fake *fake)
{
	struct vmx_run_page *run = &fake->run;

	take_input(fake);
	if (run->immediate_exit || fake->kicked) {
		fake->kicked = false;
		errno = EINTR;
		return -1;
	}
	if (run->inject_info)
		fake->events++;
	run->inject_info = 0;
	fake->inside = true;
	while (!fake->kicked && !fake->exit) {
		uint64_t tsc = __rdtsc() + fake->tsc_offset;

		fake->backwards += tsc < fake->last_tsc;
		fake->last_tsc = tsc;
		fake->counted++;
		if (fake->turn)
			fake->turn(fake->ram);
		sched_yield();
	}
	fake->inside = false;
	if (fake->exit) {
		fake->exit = false;
		run->reason = VMX_REASON_WBINVD;
		run->length = 2;
		return 0;
	}
	fake->kicked = false;
	errno = EINTR;
	return -1;
}

static int fake_vmcs(struct fake *fake, unsigned long request, struct vmx_vmcs_io *io)
{
	struct vmx_field *fields = (struct vmx_field *)(uintptr_t)io->fields;

	for (unsigned int n = 0; n < io->count; n++) {
		if (request == VMX_VMCS_READ)
			fields[n].value = 0;
		else if (fields[n].field == VMX_F_TSC_OFFSET)
			fake->tsc_offset = fields[n].value;
	}
	return 0;
}

static int fake_mmu(unsigned long request, void *argument)
{
	struct vmx_mmu_dirty *dirty = argument;
	uint64_t *bitmap;

	if (request == VMX_MMU_LOG)
		fake_logs = ((struct vmx_mmu_log *)argument)->method;
	if (request != VMX_MMU_DIRTY)
		return 0;
	if (!fake_logs) {
		errno = ENODATA;
		return -1;
	}
	bitmap = (uint64_t *)(uintptr_t)dirty->bitmap;
	for (uint64_t n = 0; n < (dirty->length + 262143) / 262144; n++)
		bitmap[n] = __atomic_exchange_n(&fake_dirty[dirty->gpa / 262144 + n], 0,
						__ATOMIC_SEQ_CST) |
			    fake_dirty_always[dirty->gpa / 262144 + n];
	dirty->done = dirty->length;
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	void *argument;
	va_list args;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (fd < VCPU_FD)
		return syscall(SYS_ioctl, fd, request, argument);
	if (fd >= MMU_FD)
		return fake_mmu(request, argument);
	if (request == VMX_RUN)
		return fake_run(&fakes[fd - VCPU_FD]);
	if (request == VMX_KICK)
		fakes[fd - VCPU_FD].kicked = true;
	else if (request == VMX_VMCS_READ || request == VMX_VMCS_WRITE)
		return fake_vmcs(&fakes[fd - VMCS_FD], request, argument);
	return 0;
}

static uint64_t fake_now(void *source)
{
	struct vmx_machine *machine = source;

	return vmx_machine_host_tsc(machine) - machine->tsc_start;
}

static void fake_cpu(struct vmx_machine *machine, unsigned int id, unsigned int number)
{
	struct vmx_cpu *cpu = &machine->cpus[id];
	struct vmx_lapic_config config = {
		.bus = &machine->apics, .clock = &machine->clock, .kick = vmx_cpu_kick,
		.vcpu = cpu, .id = id, .boot = true, .physical_bits = 36, .tsc_khz = KHZ,
	};

	memset(&fakes[number], 0, sizeof(fakes[number]));
	fakes[number].ram = machine->memory.ram;
	cpu->machine = machine;
	cpu->id = id;
	cpu->vcpu = (struct vmx_vcpu){
		.fd = VCPU_FD + number, .vmcs = VMCS_FD + number, .vm = &machine->vm,
		.run = &fakes[number].run,
	};
	pthread_cond_init(&cpu->wake, NULL);
	vmx_lapic_init(&cpu->lapic, &config);
	vmx_lapic_write(&cpu->lapic, VMX_LAPIC_BASE + SVR, 4, 0x1ff);
}

/* The first machine, or the second; its configuration is filled in. 0 or -errno. */
static int fake_machine(struct vmx_machine *machine, unsigned int number, unsigned char *ram)
{
	int ret;

	machine->vm = (struct vmx_vm){ .fd = MMU_FD + number, .mmu = MMU_FD + number };
	machine->vm.caps.tsc_khz = KHZ;
	machine->vm.caps.features = VMX_HAS_EPT | VMX_HAS_UNRESTRICTED;
	machine->tsc_khz = KHZ;
	machine->tsc_start = __rdtsc();
	machine->clock = (struct vmx_clock){ .now = fake_now, .source = machine };
	pthread_mutex_init(&machine->lock, NULL);
	pthread_cond_init(&machine->quiet.changed, NULL);
	ret = vmx_memory_init(&machine->memory, ram, machine->config.memory, 0xc0000000);
	for (unsigned int n = 0; n < FAKE_CPUS; n++)
		fake_cpu(machine, n, number * FAKE_CPUS + n);
	return ret ?: vmx_board_init(machine);
}

#endif /* FAKE_MODULE_H */
