// SPDX-License-Identifier: LGPL-2.1-or-later
/* A vCPU's thread: takes interrupts, runs the guest, handles the exit. */
#define _GNU_SOURCE	/* gettid() */
#include <errno.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "../lib/internal.h"
#include "../lib/x86.h"
#include "internal.h"

#define NOT_NOW		(VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS)
#define CALM		(VMX_STATE_RFLAGS | VMX_STATE_INTERRUPTIBILITY)

void vmx_cpu_kick(void *kicked)
{
	struct vmx_cpu *cpu = kicked;

	vmx_wake(&cpu->wake);
	if (cpu->in_guest)
		ioctl(cpu->vcpu.fd, VMX_KICK);
}

/* What the last exit said of the guest's readiness; retiring an instruction ends its shadows. */
static bool open_to_interrupts(const struct vmx_run_page *run)
{
	if ((run->valid & CALM) != CALM || !(run->rflags & RFLAGS_IF))
		return false;
	return run->retire || !(run->interruptibility & NOT_NOW);
}

static void inject(struct vmx_run_page *run, uint32_t type, uint8_t vector)
{
	run->inject_info = VMX_INTR_VALID | type | vector;
	run->inject_error = 0;
	run->inject_length = 0;
}

static void take_nmi(struct vmx_cpu *cpu)
{
	struct vmx_run_page *run = cpu->vcpu.run;

	if (run->inject_info || !(run->valid & VMX_STATE_INTERRUPTIBILITY) ||
	    run->interruptibility & (NOT_NOW | VMX_BLOCKING_BY_NMI)) {
		run->window |= VMX_WINDOW_NMI;
		return;
	}
	vmx_lapic_take_nmi(&cpu->lapic);
	inject(run, VMX_INTR_TYPE_NMI, VECTOR_NMI);
}

static void take_interrupt(struct vmx_cpu *cpu, unsigned int events)
{
	struct vmx_run_page *run = cpu->vcpu.run;
	int vector;

	if (run->inject_info || !open_to_interrupts(run)) {
		run->window |= VMX_WINDOW_INTR;
		return;
	}
	if (events & VMX_LAPIC_EXTINT) {
		vmx_lapic_take_extint(&cpu->lapic);
		vector = vmx_pic_ack(&cpu->machine->pic);
	} else {
		vector = vmx_lapic_pending(&cpu->lapic);
		vmx_lapic_accept(&cpu->lapic, vector);
	}
	inject(run, VMX_INTR_TYPE_EXTERNAL, vector);
	/* There may be more. */
	if (vmx_lapic_events(&cpu->lapic) & (VMX_LAPIC_EXTINT | VMX_LAPIC_INTR))
		run->window |= VMX_WINDOW_INTR;
}

/* Nobody says that the guest wrote to the mailbox: a vCPU that may be called looks now and then. */
#define LOOK_AGAIN	5000000ull

static bool may_be_called(const struct vmx_cpu *cpu)
{
	return cpu->lapic.waiting && vmx_machine_mailbox(cpu->machine);
}

/* Takes what can be taken; false if the vCPU has nothing to run. */
static bool take_events(struct vmx_cpu *cpu)
{
	unsigned int events = vmx_lapic_events(&cpu->lapic);
	struct vmx_run_page *run = cpu->vcpu.run;

	run->window = 0;
	if (events & VMX_LAPIC_INIT) {
		vmx_lapic_take_init(&cpu->lapic);
		cpu->halted = false;
		events = vmx_lapic_events(&cpu->lapic);
	}
	if (events & VMX_LAPIC_SIPI && vmx_cpu_sipi(cpu, vmx_lapic_take_sipi(&cpu->lapic)))
		vmx_machine_fail(cpu->machine);
	if (may_be_called(cpu) && vmx_cpu_called(cpu) && vmx_cpu_answer(cpu))
		vmx_machine_fail(cpu->machine);
	if (cpu->lapic.waiting)
		return false;
	events = vmx_lapic_events(&cpu->lapic);
	/* HLT ends with an NMI, or with an interrupt if the guest takes them. */
	if (cpu->halted && !(events & VMX_LAPIC_NMI) &&
	    !(events & (VMX_LAPIC_EXTINT | VMX_LAPIC_INTR) && open_to_interrupts(run)))
		return false;
	/* A single step must not end in the handler of an interrupt. */
	if (!cpu->halted && vmx_cpu_is_stepping(cpu) && run->rflags & RFLAGS_TF)
		return true;
	cpu->halted = false;
	if (events & VMX_LAPIC_NMI)
		take_nmi(cpu);
	if (events & (VMX_LAPIC_EXTINT | VMX_LAPIC_INTR))
		take_interrupt(cpu, events);
	return true;
}

/* The first vCPU keeps everybody's time, the others their local APIC's. */
static uint64_t next_event(const struct vmx_cpu *cpu)
{
	if (may_be_called(cpu))
		return vmx_clock_now(&cpu->machine->clock) + LOOK_AGAIN;
	if (!cpu->id)
		return vmx_clock_next(&cpu->machine->clock);
	return cpu->lapic.timer.armed ? cpu->lapic.timer.when : VMX_NEVER;
}

static void wait_until(struct vmx_cpu *cpu, uint64_t when)
{
	struct vmx_machine *machine = cpu->machine;
	uint64_t now = vmx_clock_now(&machine->clock);
	struct timespec until;

	if (when == VMX_NEVER) {
		pthread_cond_wait(&cpu->wake, &machine->lock);
		return;
	}
	if (when <= now)
		return;
	clock_gettime(WAKE_CLOCK, &until);
	when = until.tv_nsec + (when - now);
	until.tv_sec += when / 1000000000;
	until.tv_nsec = when % 1000000000;
	pthread_cond_timedwait(&cpu->wake, &machine->lock, &until);
}

void vmx_cpu_slept(struct vmx_cpu *cpu, uint64_t start)
{
	uint64_t slept = __rdtsc() - start;

	cpu->slept += slept;
	cpu->left += slept;
}

static void sleep_until(struct vmx_cpu *cpu, uint64_t when)
{
	uint64_t start = __rdtsc();

	wait_until(cpu, when);
	cpu->noted = 0;
	vmx_cpu_slept(cpu, start);
}

/*
 * For the emulator Bochs: there, interrupts of the host do not end the guest's stay while the guest
 * has its own off, although the SDM has them do so ("External-Interrupt Exiting"). A vCPU that
 * waits for another one like that would keep the host from running the other one, for ever. Nothing
 * tells Bochs from a real processor, so that whoever makes the machine has to say.
 */
#define LONGEST_STAY	10000000ull

static uint64_t end_of_stay(const struct vmx_cpu *cpu)
{
	uint64_t longest = vmx_clock_now(&cpu->machine->clock) + LONGEST_STAY;

	return vmx_machine_short_stays(cpu->machine) && longest < cpu->noted ? longest : cpu->noted;
}

static void plan(struct vmx_cpu *cpu)
{
	cpu->noted = next_event(cpu);
	cpu->vcpu.run->deadline = vmx_lapic_tsc(&cpu->lapic, end_of_stay(cpu));
}

static int enter(struct vmx_cpu *cpu)
{
	uint64_t entered;
	int ret;

	cpu->in_guest = true;
	pthread_mutex_unlock(&cpu->machine->lock);
	entered = __rdtsc();
	if (cpu->account)
		*cpu->account += entered - cpu->left;
	cpu->account = NULL;
	ret = vmx_run(&cpu->vcpu);
	cpu->left = __rdtsc();
	cpu->ran += cpu->left - entered;
	pthread_mutex_lock(&cpu->machine->lock);
	cpu->in_guest = false;
	cpu->noted = 0;
	return ret;
}

static int see_to_exit(struct vmx_cpu *cpu)
{
	const struct vmx_machine_config *config = &cpu->machine->config;
	int ret;

	vmx_wake_later();
	if (config->exit)
		config->exit(config->host, cpu, false);
	ret = vmx_cpu_exit(cpu);
	if (config->exit)
		config->exit(config->host, cpu, true);
	vmx_wake_now(&cpu->machine->lock);
	return ret;
}

/* Who takes what comes out of the machine, or its memory, may be slower than the guest. */
static bool is_held_up(struct vmx_cpu *cpu)
{
	const struct vmx_machine_config *config = &cpu->machine->config;

	if (!cpu->machine->braked && (!config->hold || !config->hold(config->host)))
		return false;
	pthread_cond_wait(&cpu->wake, &cpu->machine->lock);
	return true;
}

static void turn(struct vmx_cpu *cpu)
{
	int ret;

	if (vmx_cpu_park(cpu) || is_held_up(cpu))
		return;
	vmx_clock_expire(&cpu->machine->clock);
	if (!take_events(cpu)) {
		plan(cpu);
		sleep_until(cpu, cpu->noted);
		return;
	}
	plan(cpu);
	ret = enter(cpu);
	if (!ret)
		ret = see_to_exit(cpu);
	if (ret && ret != -EINTR)
		vmx_machine_fail(cpu->machine);
}

void *vmx_cpu_loop(void *arg)
{
	struct vmx_cpu *cpu = arg;
	const struct vmx_machine_config *config = &cpu->machine->config;

	pthread_mutex_lock(&cpu->machine->lock);
	cpu->tid = gettid();
	if (config->begin)
		config->begin(config->host, cpu);
	while (cpu->machine->end == VMX_END_NONE)
		turn(cpu);
	cpu->tid = 0;
	pthread_mutex_unlock(&cpu->machine->lock);
	return NULL;
}
