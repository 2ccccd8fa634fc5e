// SPDX-License-Identifier: LGPL-2.1-or-later
/* Handles exits. SDM, "VMX Non-Root Operation" and the chapters it refers to. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "../lib/internal.h"
#include "../lib/x86.h"
#include "internal.h"

/* SDM, "Exit Qualification for Instruction Timeout" */
#define TIMEOUT_CONTEXT_INVALID	(1ull << 0)

/* Ports */

static void port_in(struct vmx_cpu *cpu)
{
	struct vmx_run_page *run = cpu->vcpu.run;
	uint64_t mask = run->io_size == 4 ? UINT64_MAX : (1ull << 8 * run->io_size) - 1;
	uint64_t value;

	vmx_bus_read(&cpu->machine->ports, run->io_port, run->io_size, &value);
	run->regs[VMX_RAX] = (run->regs[VMX_RAX] & ~mask) | value;
}

/* After the emulator: an exception may be in the inject slot. */
static int emulated(struct vmx_cpu *cpu, int ret)
{
	struct vmx_run_page *run = cpu->vcpu.run;

	if (ret == VMX_EMULATE_INJECT) {
		run->cr2 = cpu->emulator.exception.cr2;
		run->dirty |= VMX_STATE_CR2;
		return 0;
	}
	return ret;
}

static int on_io(struct vmx_cpu *cpu)
{
	struct vmx_run_page *run = cpu->vcpu.run;

	if (run->io_flags & VMX_IO_STRING)
		return emulated(cpu, vmx_emulate_io(&cpu->emulator, run));
	if (run->io_flags & VMX_IO_IN)
		port_in(cpu);
	else
		vmx_bus_write(&cpu->machine->ports, run->io_port, run->io_size,
			      run->regs[VMX_RAX]);
	return vmx_cpu_retire(cpu);
}

/* Said once: a program may do it again and again. */
static void report_once(struct vmx_cpu *cpu)
{
	const struct vmx_machine_config *config = &cpu->machine->config;

	if (config->report && !cpu->reported)
		config->report(config->host, vmx_error());
	cpu->reported = true;
}

/*
 * An instruction that the emulator does not know ends the machine if the guest's kernel executed
 * it. A program that its kernel let reach a device gets #UD instead, and the machine goes on.
 */
static int on_memory(struct vmx_cpu *cpu)
{
	const struct vmx_run_page *run = cpu->vcpu.run;
	int ret = emulated(cpu, vmx_emulate(&cpu->emulator, cpu->vcpu.run));

	if (ret != -EOPNOTSUPP || !vmx_cpu_cpl(run) || run->inject_info & VMX_INTR_VALID)
		return ret;
	report_once(cpu);
	return vmx_cpu_raise(cpu, VECTOR_UD, 0);
}

/* Waiting and ending */

/* A trap that the instruction leaves pending ends a wait before it begins. */
static int has_trap(struct vmx_cpu *cpu, bool *trap)
{
	const struct vmx_run_page *run = cpu->vcpu.run;
	uint64_t value = 0;
	int ret = 0;

	*trap = vmx_cpu_is_stepping(cpu);
	if (!*trap && run->rflags & RFLAGS_TF) {
		ret = vmx_field_get(cpu->vcpu.vmcs, VMX_F_GUEST_DEBUGCTL, &value);
		*trap = !(value & DEBUGCTL_BTF);
	}
	if (!ret && !*trap && run->interruptibility & VMX_BLOCKING_BY_MOV_SS) {
		ret = vmx_field_get(cpu->vcpu.vmcs, VMX_F_GUEST_PENDING_DEBUG, &value);
		*trap = value;
	}
	return ret;
}

static int on_hlt(struct vmx_cpu *cpu)
{
	bool trap;
	int ret = has_trap(cpu, &trap);

	cpu->halted = !ret && !trap;
	return ret ?: vmx_cpu_retire(cpu);
}

/* Somebody else may need the host's CPU to come to what this vCPU waits for. */
static int on_pause(struct vmx_cpu *cpu)
{
	pthread_mutex_unlock(&cpu->machine->lock);
	sched_yield();
	pthread_mutex_lock(&cpu->machine->lock);
	return vmx_cpu_retire(cpu);
}

/* The loop has another look anyway. */
static int on_nothing(struct vmx_cpu *cpu __attribute__((unused)))
{
	return 0;
}

static int on_triple_fault(struct vmx_cpu *cpu)
{
	struct vmx_machine *machine = cpu->machine;

	if (machine->end == VMX_END_NONE)
		snprintf(machine->why, sizeof(machine->why), "vCPU %u shut down at RIP %#llx",
			 cpu->id, (unsigned long long)cpu->vcpu.run->rip);
	vmx_machine_end(machine, VMX_END_TRIPLE_FAULT);
	return 0;
}

/*
 * The guest kept the CPU from an instruction boundary for too long. It goes on, and the host had
 * its turn (SDM, "Exit Qualification for Instruction Timeout").
 */
static int on_timeout(struct vmx_cpu *cpu)
{
	if (cpu->vcpu.run->qualification & TIMEOUT_CONTEXT_INVALID)
		return vmx_fail(EIO,
				"vCPU %u: the CPU lost its state in an instruction timeout at RIP %#llx",
				cpu->id, (unsigned long long)cpu->vcpu.run->rip);
	return 0;
}

/* Instructions */

static int on_cpuid(struct vmx_cpu *cpu)
{
	vmx_cpu_cpuid_missing(cpu);
	return vmx_cpu_retire(cpu);
}

/* Caches are the host's: there is nothing to write back that the guest could miss. */
static int on_cache_control(struct vmx_cpu *cpu)
{
	return vmx_cpu_retire(cpu);
}

/*
 * Instructions that CPUID does not offer, or that need a bit of CR4 which guests cannot set. Some
 * of these exit at any privilege level, and before all other checks.
 */
static int on_undefined(struct vmx_cpu *cpu)
{
	return vmx_cpu_raise(cpu, VECTOR_UD, 0);
}

/* There is no counter to read (SDM, "RDPMC"). */
static int on_rdpmc(struct vmx_cpu *cpu)
{
	return vmx_cpu_raise(cpu, VECTOR_GP, 0);
}

static int on_rdmsr(struct vmx_cpu *cpu)
{
	uint64_t *regs = (uint64_t *)cpu->vcpu.run->regs;
	uint64_t value;
	bool good = vmx_cpu_rdmsr(cpu, regs[VMX_RCX], &value);

	if (good) {
		regs[VMX_RAX] = (uint32_t)value;
		regs[VMX_RDX] = value >> 32;
	}
	return vmx_cpu_done_or_fault(cpu, good);
}

static int on_wrmsr(struct vmx_cpu *cpu)
{
	const uint64_t *regs = (const uint64_t *)cpu->vcpu.run->regs;
	uint64_t value = (uint32_t)regs[VMX_RAX] | regs[VMX_RDX] << 32;

	return vmx_cpu_done_or_fault(cpu, vmx_cpu_wrmsr(cpu, regs[VMX_RCX], value));
}

/*
 * What is not here cannot happen, since no control asks for it, or there is no way to go on. Exits
 * that programs of a guest cause are all here.
 */
static int (*const handlers[VMX_STATS_REASONS])(struct vmx_cpu *cpu) = {
	[VMX_REASON_EXCEPTION_NMI] = vmx_cpu_exception,
	[VMX_REASON_TRIPLE_FAULT] = on_triple_fault,
	[VMX_REASON_INTERRUPT_WINDOW] = on_nothing,
	[VMX_REASON_NMI_WINDOW] = on_nothing,
	[VMX_REASON_TASK_SWITCH] = vmx_cpu_task_switch,
	[VMX_REASON_CPUID] = on_cpuid,
	[VMX_REASON_GETSEC] = on_undefined,
	[VMX_REASON_HLT] = on_hlt,
	[VMX_REASON_INVD] = on_cache_control,
	[VMX_REASON_RDPMC] = on_rdpmc,
	[VMX_REASON_RSM] = on_undefined,
	[VMX_REASON_VMCALL] = on_undefined,
	[VMX_REASON_VMCLEAR] = on_undefined,
	[VMX_REASON_VMLAUNCH] = on_undefined,
	[VMX_REASON_VMPTRLD] = on_undefined,
	[VMX_REASON_VMPTRST] = on_undefined,
	[VMX_REASON_VMREAD] = on_undefined,
	[VMX_REASON_VMRESUME] = on_undefined,
	[VMX_REASON_VMWRITE] = on_undefined,
	[VMX_REASON_VMXOFF] = on_undefined,
	[VMX_REASON_VMXON] = on_undefined,
	[VMX_REASON_CR_ACCESS] = vmx_cpu_cr_access,
	[VMX_REASON_MOV_DR] = vmx_cpu_mov_dr,
	[VMX_REASON_IO] = on_io,
	[VMX_REASON_RDMSR] = on_rdmsr,
	[VMX_REASON_WRMSR] = on_wrmsr,
	[VMX_REASON_MWAIT] = on_undefined,
	[VMX_REASON_MONITOR] = on_undefined,
	[VMX_REASON_PAUSE] = on_pause,
	[VMX_REASON_EPT_VIOLATION] = on_memory,
	[VMX_REASON_INVEPT] = on_undefined,
	[VMX_REASON_PREEMPTION_TIMER] = on_nothing,
	[VMX_REASON_INVVPID] = on_undefined,
	[VMX_REASON_WBINVD] = on_cache_control,
	[VMX_REASON_VMFUNC] = on_undefined,
	[VMX_REASON_ENCLS] = on_undefined,
	[VMX_REASON_XSAVES] = on_undefined,
	[VMX_REASON_XRSTORS] = on_undefined,
	[VMX_REASON_PCONFIG] = on_undefined,
	[VMX_REASON_UMWAIT] = on_undefined,
	[VMX_REASON_TPAUSE] = on_undefined,
	[VMX_REASON_LOADIWKEY] = on_undefined,
	[VMX_REASON_ENCLV] = on_undefined,
	[VMX_REASON_ENQCMD] = on_undefined,
	[VMX_REASON_ENQCMDS] = on_undefined,
	[VMX_REASON_INSN_TIMEOUT] = on_timeout,
	[VMX_REASON_SEAMCALL] = on_undefined,
	[VMX_REASON_TDCALL] = on_undefined,
	[VMX_REASON_RDMSRLIST] = on_undefined,
	[VMX_REASON_WRMSRLIST] = on_undefined,
};

int vmx_cpu_exit(struct vmx_cpu *cpu)
{
	const struct vmx_run_page *run = cpu->vcpu.run;
	uint32_t reason = run->reason & 0xffff;
	const char *name = vmx_reason_name(reason);
	char text[256];

	if (vmx_entry_failed(run))
		return vmx_fail(EIO, "vCPU %u: %s", cpu->id,
				vmx_explain_failure((const struct vmx_failure *)&run->failure, text,
						    sizeof(text)));
	if (reason < VMX_STATS_REASONS) {
		cpu->exits[reason]++;
		cpu->account = &cpu->spent[reason];
		if (handlers[reason])
			return handlers[reason](cpu);
	}
	return vmx_fail(EOPNOTSUPP, "vCPU %u: unhandled VM exit %u (%s) at RIP %#llx", cpu->id,
			reason, name ? name : "unknown", (unsigned long long)run->rip);
}
