// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A pause: each vCPU is between two instructions, no thread of a device is at work, and the guest's
 * time stands still. Who holds a single vCPU, as a debugger does, has it parked in the same way.
 */
#include <errno.h>
#include <x86intrin.h>

#include "../lib/internal.h"
#include "internal.h"

uint64_t vmx_machine_host_tsc(const struct vmx_machine *machine)
{
	return machine->still ? machine->tsc_still : __rdtsc();
}

/* In the vCPU's thread */

int vmx_cpu_settle(struct vmx_cpu *cpu)
{
	struct vmx_run_page *run = cpu->vcpu.run;
	int ret;

	if (cpu->lapic.waiting)
		return 0;
	run->immediate_exit = 1;
	ret = vmx_run(&cpu->vcpu);
	run->immediate_exit = 0;
	return ret == -EINTR ? 0 : ret;
}

bool vmx_cpu_park(struct vmx_cpu *cpu)
{
	struct vmx_machine *machine = cpu->machine;
	uint64_t start;

	if (!machine->quiet.wanted && !vmx_cpu_is_held(cpu)) {
		cpu->parked = false;
		return false;
	}
	if (!cpu->parked) {
		if (vmx_cpu_settle(cpu))
			vmx_machine_fail(machine);
		cpu->parked = true;
		pthread_cond_broadcast(&machine->quiet.changed);
	}
	if (machine->end == VMX_END_NONE) {
		start = __rdtsc();
		pthread_cond_wait(&cpu->wake, &machine->lock);
		vmx_cpu_slept(cpu, start);
	}
	return true;
}

/* In other threads */

static bool is_quiet(const struct vmx_machine *machine)
{
	for (unsigned int n = 0; n < machine->config.cpus; n++)
		if (!machine->cpus[n].parked)
			return false;
	return !machine->quiet.working;
}

static void stop_time(struct vmx_machine *machine)
{
	if (machine->still)
		return;
	machine->tsc_still = __rdtsc();
	machine->still = true;
}

/* TSC and clock go on from where they stood; only the time of day has jumped. */
static void start_time(struct vmx_machine *machine)
{
	uint64_t passed = __rdtsc() - machine->tsc_still;

	if (!machine->still)
		return;
	machine->still = false;
	machine->tsc_start += passed;
	machine->tsc_offset -= passed;
	for (unsigned int n = 0; n < machine->config.cpus; n++)
		if (vmx_cpu_offset_tsc(&machine->cpus[n]))
			vmx_machine_fail(machine);
	vmx_rtc_time_changed(&machine->rtc);
}

void vmx_machine_set_tsc(struct vmx_machine *machine, uint64_t tsc, uint64_t start)
{
	machine->quiet.wanted++;
	stop_time(machine);
	machine->tsc_offset = tsc - machine->tsc_still;
	machine->tsc_start = start - machine->tsc_offset;
}

/* Those of a saved machine never heard of what is in their queues. */
static void resume_devices(struct vmx_machine *machine)
{
	for (unsigned int slot = 0; slot < VMX_PCI_SLOTS; slot++) {
		struct vmx_pci_device *device = machine->pci.devices[slot];

		if (device && device->ops && device->ops->resume)
			device->ops->resume(device);
	}
}

static void go_on(struct vmx_machine *machine)
{
	const struct vmx_machine_config *config = &machine->config;

	start_time(machine);
	/* At the end of the machine their owner may have stopped them. */
	if (machine->end == VMX_END_NONE)
		resume_devices(machine);
	pthread_cond_broadcast(&machine->quiet.changed);
	vmx_machine_wake(machine);
	if (config->room)
		config->room(config->host);
}

int vmx_machine_pause(struct vmx_machine *machine)
{
	int ret = 0;

	pthread_mutex_lock(&machine->lock);
	machine->quiet.wanted++;
	vmx_machine_wake(machine);
	while (machine->end == VMX_END_NONE && !is_quiet(machine))
		pthread_cond_wait(&machine->quiet.changed, &machine->lock);
	if (machine->end != VMX_END_NONE) {
		machine->quiet.wanted--;
		ret = vmx_fail(ESHUTDOWN, "the machine has ended");
	} else {
		stop_time(machine);
	}
	pthread_mutex_unlock(&machine->lock);
	return ret;
}

void vmx_machine_resume(struct vmx_machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	if (!--machine->quiet.wanted)
		go_on(machine);
	pthread_mutex_unlock(&machine->lock);
}

bool vmx_machine_is_paused(const struct vmx_machine *machine)
{
	return machine->still;
}

bool vmx_machine_wait_running(struct vmx_machine *machine)
{
	while (machine->quiet.wanted && machine->end == VMX_END_NONE)
		pthread_cond_wait(&machine->quiet.changed, &machine->lock);
	return machine->end == VMX_END_NONE;
}
