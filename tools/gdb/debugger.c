// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stops vCPUs and resumes them. */
#include <errno.h>
#include <string.h>

#include "../lib/internal.h"
#include "debugger.h"
#include "../machine/internal.h"

static struct vmx_cpu *cpu_of(struct vmx_debugger *debugger, unsigned int n)
{
	return &debugger->machine->cpus[n];
}

static unsigned int cpu_count(const struct vmx_debugger *debugger)
{
	return debugger->machine->config.cpus;
}

static void hold_all(struct vmx_debugger *debugger)
{
	for (unsigned int n = 0; n < cpu_count(debugger); n++) {
		debugger->cpus[n].hold = true;
		vmx_cpu_kick(cpu_of(debugger, n));
	}
}

void debugger_stop(struct vmx_debugger *debugger, const struct vmx_gdb_stop *stop)
{
	if (debugger->stopping)
		return;
	debugger->stopping = true;
	debugger->stop = *stop;
	hold_all(debugger);
	debugger->event(debugger->host);
}

/* In the vCPU's thread */

bool vmx_cpu_is_held(const struct vmx_cpu *cpu)
{
	const struct vmx_debugger *debugger = cpu->machine->debugger;

	return debugger && debugger->cpus[cpu->id].hold;
}

bool vmx_cpu_is_stepping(const struct vmx_cpu *cpu)
{
	const struct vmx_debugger *debugger = cpu->machine->debugger;

	return debugger && debugger->cpus[cpu->id].step;
}

void vmx_debugger_on_end(struct vmx_machine *machine)
{
	if (machine->debugger)
		machine->debugger->event(machine->debugger->host);
}

/* In the debugger's thread */

static bool all_held(struct vmx_debugger *debugger)
{
	for (unsigned int n = 0; n < cpu_count(debugger); n++)
		if (!cpu_of(debugger, n)->parked)
			return false;
	return true;
}

static int wait_held(struct vmx_debugger *debugger)
{
	struct vmx_machine *machine = debugger->machine;

	while (machine->end == VMX_END_NONE && !all_held(debugger))
		pthread_cond_wait(&machine->quiet.changed, &machine->lock);
	return machine->end == VMX_END_NONE ? 0 : -ESHUTDOWN;
}

void vmx_debugger_init(struct vmx_debugger *debugger, struct vmx_machine *machine,
		       void (*event)(void *host), void *host)
{
	memset(debugger, 0, sizeof(*debugger));
	debugger->machine = machine;
	debugger->event = event;
	debugger->host = host;
	pthread_mutex_lock(&machine->lock);
	/* What it does to the guest's memory is in no file. */
	while (machine->quiet.saving && machine->end == VMX_END_NONE)
		pthread_cond_wait(&machine->quiet.changed, &machine->lock);
	machine->debugger = debugger;
	debugger_stop(debugger, &(struct vmx_gdb_stop){ .interrupted = true });
	pthread_mutex_unlock(&machine->lock);
}

static int take_over(struct vmx_debugger *debugger)
{
	int ret = 0;

	for (unsigned int n = 0; !ret && !debugger->attached && n < cpu_count(debugger); n++)
		ret = debug_take_over(debugger, cpu_of(debugger, n));
	debugger->attached = true;
	for (unsigned int n = 0; !ret && n < cpu_count(debugger); n++)
		ret = debug_end_step(debugger, cpu_of(debugger, n));
	return ret;
}

int vmx_debugger_wait(struct vmx_debugger *debugger, struct vmx_gdb_stop *stop)
{
	int ret;

	pthread_mutex_lock(&debugger->machine->lock);
	ret = debugger->stopping ? wait_held(debugger) : -EAGAIN;
	ret = ret ?: take_over(debugger);
	*stop = debugger->stop;
	pthread_mutex_unlock(&debugger->machine->lock);
	return ret;
}

static void let_go(struct vmx_debugger *debugger, unsigned int n)
{
	debugger->cpus[n].hold = false;
	cpu_of(debugger, n)->parked = false;
	pthread_cond_signal(&cpu_of(debugger, n)->wake);
}

void vmx_debugger_detach(struct vmx_debugger *debugger)
{
	struct vmx_machine *machine = debugger->machine;

	pthread_mutex_lock(&machine->lock);
	hold_all(debugger);
	if (!wait_held(debugger) && debugger->attached) {
		debug_remove_points(debugger);
		for (unsigned int n = 0; n < cpu_count(debugger); n++) {
			if (debug_end_step(debugger, cpu_of(debugger, n)) ||
			    debug_give_back(debugger, cpu_of(debugger, n)))
				vmx_machine_fail(machine);
		}
	}
	machine->debugger = NULL;
	for (unsigned int n = 0; n < cpu_count(debugger); n++)
		let_go(debugger, n);
	pthread_mutex_unlock(&machine->lock);
}

/* What the stub wants */

static const char *state(void *context, unsigned int n)
{
	struct vmx_debugger *debugger = context;
	const struct vmx_cpu *cpu = cpu_of(debugger, n);

	if (cpu->lapic.waiting)
		return "waits for a start-up IPI";
	return cpu->halted ? "halted" : "active";
}

static void resume(void *context, const uint8_t *actions)
{
	struct vmx_debugger *debugger = context;
	int ret = 0;

	pthread_mutex_lock(&debugger->machine->lock);
	debugger->stopping = false;
	for (unsigned int n = 0; n < cpu_count(debugger); n++) {
		if (actions[n] == VMX_GDB_STEP)
			ret = ret ?: debug_begin_step(debugger, cpu_of(debugger, n));
		if (actions[n] != VMX_GDB_HOLD)
			let_go(debugger, n);
	}
	if (ret)
		vmx_machine_fail(debugger->machine);
	pthread_mutex_unlock(&debugger->machine->lock);
}

static void interrupt(void *context)
{
	struct vmx_debugger *debugger = context;

	pthread_mutex_lock(&debugger->machine->lock);
	debugger_stop(debugger, &(struct vmx_gdb_stop){ .interrupted = true });
	pthread_mutex_unlock(&debugger->machine->lock);
}

static void kill(void *context)
{
	struct vmx_debugger *debugger = context;

	vmx_machine_stop(debugger->machine, VMX_END_STOPPED);
}

const struct vmx_gdb_target *vmx_debugger_target(void)
{
	static const struct vmx_gdb_target target = {
		.read_registers = debug_read_registers,
		.write_registers = debug_write_registers,
		.read_memory = debug_read_memory,
		.write_memory = debug_write_memory,
		.set_point = debug_set_point,
		.state = state,
		.resume = resume,
		.interrupt = interrupt,
		.kill = kill,
	};

	return &target;
}
