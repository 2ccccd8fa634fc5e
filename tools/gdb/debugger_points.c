// SPDX-License-Identifier: LGPL-2.1-or-later
/* Breakpoints, watchpoints and single steps, with #BP and #DB (SDM, "Debug Exceptions"). */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../lib/internal.h"
#include "../lib/x86.h"
#include "debugger.h"
#include "../machine/internal.h"

#define VECTOR_BP	3
#define DR6_BS		(1ull << 14)
#define DR6_CAUSES	(VMX_PENDING_B0_B3 | DR6_BD | DR6_BS)

static const uint8_t int3 = 0xcc;

static struct vmx_debugged_cpu *state_of(struct vmx_debugger *debugger, const struct vmx_cpu *cpu)
{
	return &debugger->cpus[cpu->id];
}

/* Debug registers */

static int set_debug(struct vmx_cpu *cpu, struct vmx_debug *debug, uint64_t dr7)
{
	debug->size = sizeof(*debug);
	if (ioctl(cpu->vcpu.fd, VMX_SET_DEBUG, debug))
		return vmx_fail(errno, "cannot set the debug registers: %s", strerror(errno));
	return vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_DR7, dr7);
}

/* SDM, "Debug Control Register (DR7)": L0 to L3, R/W0 to R/W3, LEN0 to LEN3 */
static uint64_t dr7_of(const struct vmx_watchpoint *point, unsigned int n)
{
	static const uint8_t conditions[] = {
		[VMX_GDB_HARDWARE] = 0, [VMX_GDB_WRITE] = 1, [VMX_GDB_READ] = 3,
		[VMX_GDB_ACCESS] = 3,
	};
	static const uint8_t lengths[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };

	return 1ull << 2 * n | (uint64_t)conditions[point->point] << (16 + 4 * n) |
	       (uint64_t)lengths[point->length] << (18 + 4 * n);
}

static uint64_t wanted_dr7(const struct vmx_debugger *debugger)
{
	uint64_t dr7 = DR7_DEFAULT;

	for (unsigned int n = 0; n < VMX_DEBUGGER_REGISTERS; n++)
		if (debugger->watchpoints[n].used)
			dr7 |= dr7_of(&debugger->watchpoints[n], n);
	return dr7;
}

/* A start-up IPI resets DR7, and what it does for the debugger. */
int vmx_debugger_on_start(struct vmx_cpu *cpu)
{
	if (!vmx_cpu_is_debugged(cpu))
		return 0;
	return vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_DR7, wanted_dr7(cpu->machine->debugger));
}

static int load_watchpoints(struct vmx_debugger *debugger)
{
	int ret = 0;

	for (unsigned int n = 0; !ret && n < debugger->machine->config.cpus; n++) {
		struct vmx_debug debug = {};

		for (unsigned int m = 0; m < VMX_DEBUGGER_REGISTERS; m++)
			if (debugger->watchpoints[m].used)
				debug.dr[m] = debugger->watchpoints[m].linear;
		ret = set_debug(&debugger->machine->cpus[n], &debug, wanted_dr7(debugger));
	}
	return ret;
}

int debug_take_over(struct vmx_debugger *debugger, struct vmx_cpu *cpu)
{
	struct vmx_debugged_cpu *state = state_of(debugger, cpu);
	struct vmx_debug debug = { .size = sizeof(debug) };
	int ret = vmx_field_get(cpu->vcpu.vmcs, VMX_F_GUEST_DR7, &state->dr7);

	if (ret)
		return ret;
	if (ioctl(cpu->vcpu.fd, VMX_GET_DEBUG, &debug))
		return vmx_fail(errno, "cannot read the debug registers: %s", strerror(errno));
	memcpy(state->dr, debug.dr, sizeof(state->dr));
	state->dr6 = debug.dr6;
	ret = vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_DR7, DR7_DEFAULT);
	return ret ?: vmx_field_change(cpu->vcpu.vmcs, VMX_F_EXCEPTION_BITMAP, 0,
				       1 << VECTOR_DB | 1 << VECTOR_BP);
}

int debug_give_back(struct vmx_debugger *debugger, struct vmx_cpu *cpu)
{
	const struct vmx_debugged_cpu *state = state_of(debugger, cpu);
	struct vmx_debug debug = { .dr6 = state->dr6 };
	int ret;

	memcpy(debug.dr, state->dr, sizeof(debug.dr));
	ret = set_debug(cpu, &debug, state->dr7);
	return ret ?: vmx_field_change(cpu->vcpu.vmcs, VMX_F_EXCEPTION_BITMAP,
				       1 << VECTOR_DB | 1 << VECTOR_BP, 0);
}

bool vmx_cpu_is_debugged(const struct vmx_cpu *cpu)
{
	return cpu->machine->debugger && cpu->machine->debugger->attached;
}

int vmx_cpu_get_debug(struct vmx_cpu *cpu, struct vmx_debug *debug, uint64_t *dr7)
{
	*debug = (struct vmx_debug){ .size = sizeof(*debug) };
	if (vmx_cpu_is_debugged(cpu)) {
		const struct vmx_debugged_cpu *state = state_of(cpu->machine->debugger, cpu);

		memcpy(debug->dr, state->dr, sizeof(state->dr));
		debug->dr6 = state->dr6;
		*dr7 = state->dr7;
		return 0;
	}
	if (ioctl(cpu->vcpu.fd, VMX_GET_DEBUG, debug))
		return vmx_fail(errno, "cannot read the debug registers: %s", strerror(errno));
	return vmx_field_get(cpu->vcpu.vmcs, VMX_F_GUEST_DR7, dr7);
}

int vmx_cpu_set_debug(struct vmx_cpu *cpu, struct vmx_debug *debug, uint64_t dr7)
{
	struct vmx_debugged_cpu *state;

	if (!vmx_cpu_is_debugged(cpu))
		return set_debug(cpu, debug, dr7);
	state = state_of(cpu->machine->debugger, cpu);
	memcpy(state->dr, debug->dr, sizeof(state->dr));
	state->dr6 = debug->dr6;
	state->dr7 = dr7;
	return 0;
}

/* Points */

static struct vmx_breakpoint *find_breakpoint(struct vmx_debugger *debugger, uint64_t linear)
{
	for (unsigned int n = 0; n < VMX_DEBUGGER_BREAKPOINTS; n++) {
		struct vmx_breakpoint *point = &debugger->breakpoints[n];

		if (point->used && point->linear == linear)
			return point;
	}
	return NULL;
}

static int insert_breakpoint(struct vmx_debugger *debugger, struct vmx_cpu *cpu, uint64_t linear)
{
	const unsigned char *at;
	uint64_t gpa;

	if (find_breakpoint(debugger, linear))
		return 0;
	at = debug_find(cpu, linear, &gpa);
	if (!at)
		return -EFAULT;
	for (unsigned int n = 0; n < VMX_DEBUGGER_BREAKPOINTS; n++) {
		struct vmx_breakpoint *point = &debugger->breakpoints[n];

		if (point->used)
			continue;
		*point = (struct vmx_breakpoint){ true, linear, gpa, *at };
		return debug_put(debugger->machine, gpa, &int3, 1);
	}
	return -ENOSPC;
}

/* What the guest has put there since then is its own. */
static void remove_breakpoint(struct vmx_debugger *debugger, struct vmx_breakpoint *point)
{
	const unsigned char *at = vmx_memory_at(&debugger->machine->memory, point->gpa, 1);

	point->used = false;
	if (at && *at == int3)
		debug_put(debugger->machine, point->gpa, &point->byte, 1);
}

static struct vmx_watchpoint *find_watchpoint(struct vmx_debugger *debugger,
					      const struct vmx_watchpoint *wanted)
{
	for (unsigned int n = 0; n < VMX_DEBUGGER_REGISTERS; n++) {
		struct vmx_watchpoint *point = &debugger->watchpoints[n];

		if (point->used && point->linear == wanted->linear &&
		    point->point == wanted->point && point->length == wanted->length)
			return point;
	}
	return NULL;
}

static struct vmx_watchpoint *free_watchpoint(struct vmx_debugger *debugger)
{
	for (unsigned int n = 0; n < VMX_DEBUGGER_REGISTERS; n++)
		if (!debugger->watchpoints[n].used)
			return &debugger->watchpoints[n];
	return NULL;
}

/* Debug registers watch 1, 2, 4 or 8 aligned bytes. */
static int set_watchpoint(struct vmx_debugger *debugger, struct vmx_watchpoint *wanted, bool on)
{
	struct vmx_watchpoint *point = find_watchpoint(debugger, wanted);

	if (on == !!point)
		return 0;
	if (on && (wanted->length & (wanted->length - 1) || wanted->linear % wanted->length))
		return -EINVAL;
	if (!point)
		point = free_watchpoint(debugger);
	if (!point)
		return -ENOSPC;
	*point = *wanted;
	point->used = on;
	return load_watchpoints(debugger);
}

int debug_set_point(void *context, unsigned int n, enum vmx_gdb_point kind, uint64_t address,
		    uint64_t length, bool on)
{
	struct vmx_debugger *debugger = context;
	struct vmx_watchpoint wanted = { true, kind, address, length };
	struct vmx_breakpoint *point;

	if (kind != VMX_GDB_SOFTWARE) {
		if (kind == VMX_GDB_HARDWARE)
			wanted.length = 1;
		else if (!length || length > 8)
			return -EINVAL;
		return set_watchpoint(debugger, &wanted, on);
	}
	if (on)
		return insert_breakpoint(debugger, &debugger->machine->cpus[n], address);
	point = find_breakpoint(debugger, address);
	if (point)
		remove_breakpoint(debugger, point);
	return 0;
}

void debug_remove_points(struct vmx_debugger *debugger)
{
	for (unsigned int n = 0; n < VMX_DEBUGGER_BREAKPOINTS; n++)
		if (debugger->breakpoints[n].used)
			remove_breakpoint(debugger, &debugger->breakpoints[n]);
	memset(debugger->watchpoints, 0, sizeof(debugger->watchpoints));
}

/* Single steps */

static int change_rflags(struct vmx_cpu *cpu, uint64_t clear, uint64_t set)
{
	struct vmx_run_page *run = cpu->vcpu.run;

	run->rflags = (run->rflags & ~clear) | set;
	return vmx_field_change(cpu->vcpu.vmcs, VMX_F_GUEST_RFLAGS, clear, set);
}

static bool is_pushf(struct vmx_cpu *cpu, uint64_t linear)
{
	uint64_t gpa;
	const unsigned char *at = debug_find(cpu, linear, &gpa);

	/* With an operand-size prefix, or without. */
	if (at && *at == 0x66)
		at = debug_find(cpu, linear + 1, &gpa);
	return at && *at == 0x9c;
}

/*
 * With TF set, VM entry does not accept blocking by STI or MOV SS unless a trap is pending (SDM,
 * "Checks on Guest Non-Register State"). Interrupts wait for the end of the step anyway.
 */
int debug_begin_step(struct vmx_debugger *debugger, struct vmx_cpu *cpu)
{
	struct vmx_debugged_cpu *state = state_of(debugger, cpu);
	struct vmx_run_page *run = cpu->vcpu.run;
	uint64_t blocking = VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS;
	int ret;

	state->step = true;
	state->stepped = true;
	state->pushes_flags = is_pushf(cpu, run->cs_base + run->rip);
	run->interruptibility &= ~blocking;
	ret = vmx_field_change(cpu->vcpu.vmcs, VMX_F_GUEST_INTERRUPTIBILITY, blocking, 0);
	return ret ?: change_rflags(cpu, 0, RFLAGS_TF);
}

int debug_end_step(struct vmx_debugger *debugger, struct vmx_cpu *cpu)
{
	struct vmx_debugged_cpu *state = state_of(debugger, cpu);

	if (!state->step)
		return 0;
	state->step = false;
	return change_rflags(cpu, RFLAGS_TF, 0);
}

/* The guest is not to find the flag that was set for its step. */
static void clean_pushed_flags(struct vmx_debugger *debugger, struct vmx_cpu *cpu)
{
	uint8_t flags;
	uint64_t rsp;

	if (!state_of(debugger, cpu)->pushes_flags ||
	    vmx_field_get(cpu->vcpu.vmcs, VMX_F_GUEST_RSP, &rsp) ||
	    !debug_read_memory(debugger, cpu->id, rsp + 1, &flags, 1))
		return;
	flags &= ~(RFLAGS_TF >> 8);
	debug_write_memory(debugger, cpu->id, rsp + 1, &flags, 1);
}

/* Exceptions */

/* An exception of the guest's own goes to it. */
static int reflect(struct vmx_cpu *cpu)
{
	struct vmx_run_page *run = cpu->vcpu.run;

	run->inject_info = run->intr_info & (VMX_INTR_VALID | VMX_INTR_TYPE_MASK |
					     VMX_INTR_VECTOR_MASK);
	run->inject_error = 0;
	run->inject_length = run->valid & VMX_VALID_LENGTH ? run->length : 0;
	return 0;
}

static int on_breakpoint(struct vmx_debugger *debugger, struct vmx_cpu *cpu)
{
	const struct vmx_run_page *run = cpu->vcpu.run;

	if (!find_breakpoint(debugger, run->cs_base + run->rip))
		return reflect(cpu);
	debugger_stop(debugger, &(struct vmx_gdb_stop){
		.cpu = cpu->id, .at_point = true, .point = VMX_GDB_SOFTWARE,
	});
	return 0;
}

/* The CPU has left DR6 and DR7 as they were (SDM, "Architectural State Before a VM Exit"). */
static int reflect_debug(struct vmx_debugger *debugger, struct vmx_cpu *cpu, uint64_t causes)
{
	struct vmx_debugged_cpu *state = state_of(debugger, cpu);

	state->dr6 |= causes;
	state->dr7 &= ~DR7_GD;
	return reflect(cpu);
}

static int on_debug(struct vmx_debugger *debugger, struct vmx_cpu *cpu)
{
	const struct vmx_run_page *run = cpu->vcpu.run;
	struct vmx_debugged_cpu *state = state_of(debugger, cpu);
	uint64_t causes = run->qualification & DR6_CAUSES;
	struct vmx_gdb_stop stop = { .cpu = cpu->id };

	for (unsigned int n = 0; n < VMX_DEBUGGER_REGISTERS; n++) {
		if (!(causes >> n & 1) || !debugger->watchpoints[n].used)
			continue;
		stop.at_point = true;
		stop.point = debugger->watchpoints[n].point;
		stop.address = debugger->watchpoints[n].linear;
	}
	if (state->step)
		clean_pushed_flags(debugger, cpu);
	if (stop.at_point || (causes & DR6_BS && state->step)) {
		debugger_stop(debugger, &stop);
		return 0;
	}
	/* The flag of an earlier step, saved by an exception and restored from there. */
	if (causes & DR6_BS && state->stepped)
		return change_rflags(cpu, RFLAGS_TF, 0);
	return reflect_debug(debugger, cpu, causes);
}

int vmx_cpu_exception(struct vmx_cpu *cpu)
{
	struct vmx_debugger *debugger = cpu->machine->debugger;
	unsigned int vector = cpu->vcpu.run->intr_info & VMX_INTR_VECTOR_MASK;

	if (!vmx_cpu_is_debugged(cpu))
		return reflect(cpu);
	return vector == VECTOR_BP ? on_breakpoint(debugger, cpu) : on_debug(debugger, cpu);
}
