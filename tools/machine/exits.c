// SPDX-License-Identifier: LGPL-2.1-or-later
/* Handles exits. SDM, "VMX Non-Root Operation" and the chapters it refers to. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../lib/internal.h"
#include "../lib/x86.h"
#include "internal.h"

static int raise(struct vmx_cpu *cpu, uint8_t vector)
{
	struct vmx_run_page *run = cpu->vcpu.run;

	run->inject_info = VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | vector |
			   (vector == VECTOR_GP ? VMX_INTR_ERROR_CODE : 0);
	run->inject_error = 0;
	return 0;
}

static int retire(struct vmx_cpu *cpu)
{
	cpu->vcpu.run->retire = 1;
	return 0;
}

static int retire_or_fault(struct vmx_cpu *cpu, bool good)
{
	return good ? retire(cpu) : raise(cpu, VECTOR_GP);
}

/* What has 1 for done, 0 for a fault, and -errno. */
static int done_or_fault(struct vmx_cpu *cpu, int ret)
{
	return ret < 0 ? ret : retire_or_fault(cpu, ret);
}

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
	return retire(cpu);
}

static int on_memory(struct vmx_cpu *cpu)
{
	return emulated(cpu, vmx_emulate(&cpu->emulator, cpu->vcpu.run));
}

/* Waiting and ending */

static int on_hlt(struct vmx_cpu *cpu)
{
	/* The trap after a single step ends it at once. */
	cpu->halted = !vmx_cpu_is_stepping(cpu);
	return retire(cpu);
}

/* Somebody else may need the host's CPU to come to what this vCPU waits for. */
static int on_pause(struct vmx_cpu *cpu)
{
	pthread_mutex_unlock(&cpu->machine->lock);
	sched_yield();
	pthread_mutex_lock(&cpu->machine->lock);
	return retire(cpu);
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

/* CPUID of a leaf that is not in the table */
static int on_cpuid(struct vmx_cpu *cpu)
{
	static const enum vmx_reg regs[] = { VMX_RAX, VMX_RBX, VMX_RCX, VMX_RDX };

	for (size_t n = 0; n < COUNT(regs); n++)
		cpu->vcpu.run->regs[regs[n]] = 0;
	return retire(cpu);
}

/* Caches are the host's: there is nothing to write back that the guest could miss. */
static int on_cache_control(struct vmx_cpu *cpu)
{
	return retire(cpu);
}

static int on_undefined(struct vmx_cpu *cpu)
{
	return raise(cpu, VECTOR_UD);
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
	return retire_or_fault(cpu, good);
}

static int on_wrmsr(struct vmx_cpu *cpu)
{
	const uint64_t *regs = (const uint64_t *)cpu->vcpu.run->regs;
	uint64_t value = (uint32_t)regs[VMX_RAX] | regs[VMX_RDX] << 32;

	return done_or_fault(cpu, vmx_cpu_wrmsr(cpu, regs[VMX_RCX], value));
}

/* Control registers: SDM, "Exit Qualification for Control-Register Accesses" */

static int write_cr0(struct vmx_cpu *cpu, uint64_t value)
{
	if (cpu->machine->vm.shadow)
		return vmx_cpu_show_cr0(cpu, value);
	return done_or_fault(cpu, vmx_cpu_set_cr0(cpu, value));
}

static int on_cr_access(struct vmx_cpu *cpu)
{
	struct vmx_run_page *run = cpu->vcpu.run;
	unsigned int cr = run->qualification & 0xf, kind = run->qualification >> 4 & 3;
	uint64_t *reg = (uint64_t *)&run->regs[run->qualification >> 8 & 0xf];
	uint64_t cr0 = cpu->unpaged ? run->cr0 & ~CR0_PG : run->cr0;

	if (kind == 0 && cr == 0)
		return write_cr0(cpu, *reg);
	if (kind == 0 && cr == 4)
		return done_or_fault(cpu, vmx_cpu_set_cr4(cpu, *reg));
	if (kind == 0 && cr == 3) {
		cpu->cr3 = *reg;
		return retire(cpu);
	}
	if (kind == 1 && cr == 3) {
		*reg = cpu->cr3;
		return retire(cpu);
	}
	if (kind == 0 && cr == 8)
		return retire_or_fault(cpu, vmx_lapic_set_cr8(&cpu->lapic, *reg));
	if (kind == 1 && cr == 8) {
		*reg = vmx_lapic_cr8(&cpu->lapic);
		return retire(cpu);
	}
	/* LMSW sets the low four bits, and cannot clear PE. */
	if (kind == 3)
		return write_cr0(cpu, (cr0 & ~0xeull) | (run->qualification >> 16 & 0xf));
	return vmx_fail(EOPNOTSUPP, "access %u to CR%u is not emulated", kind, cr);
}

/* Debug registers: SDM, "Exit Qualification for MOV DR" */

static int move_dr7(struct vmx_cpu *cpu, bool from, uint64_t *reg)
{
	int ret = from ? vmx_field_get(cpu->vcpu.vmcs, VMX_F_GUEST_DR7, reg) :
			 vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_DR7, (uint32_t)*reg | 0x400);

	return ret ?: retire(cpu);
}

static int on_mov_dr(struct vmx_cpu *cpu)
{
	struct vmx_debug debug = { .size = sizeof(debug) };
	struct vmx_run_page *run = cpu->vcpu.run;
	unsigned int dr = run->qualification & 7;
	uint64_t *reg = (uint64_t *)&run->regs[run->qualification >> 8 & 0xf];
	bool from = run->qualification & 0x10;
	uint64_t *value;

	if (vmx_cpu_is_debugged(cpu))
		return retire_or_fault(cpu, vmx_cpu_mov_kept_dr(cpu, dr, from, reg));
	if (dr == 7 || dr == 5)
		return move_dr7(cpu, from, reg);
	if (ioctl(cpu->vcpu.fd, VMX_GET_DEBUG, &debug))
		return vmx_fail(errno, "cannot read the debug registers: %s", strerror(errno));
	value = (uint64_t *)(dr < 4 ? &debug.dr[dr] : &debug.dr6);
	if (from) {
		*reg = *value;
		return retire(cpu);
	}
	*value = *reg;
	return retire_or_fault(cpu, !ioctl(cpu->vcpu.fd, VMX_SET_DEBUG, &debug));
}

static int (*const handlers[VMX_STATS_REASONS])(struct vmx_cpu *cpu) = {
	[VMX_REASON_EXCEPTION_NMI] = vmx_cpu_exception,
	[VMX_REASON_TRIPLE_FAULT] = on_triple_fault,
	[VMX_REASON_INTERRUPT_WINDOW] = on_nothing,
	[VMX_REASON_NMI_WINDOW] = on_nothing,
	[VMX_REASON_CPUID] = on_cpuid,
	[VMX_REASON_HLT] = on_hlt,
	[VMX_REASON_INVD] = on_cache_control,
	[VMX_REASON_CR_ACCESS] = on_cr_access,
	[VMX_REASON_MOV_DR] = on_mov_dr,
	[VMX_REASON_IO] = on_io,
	[VMX_REASON_RDMSR] = on_rdmsr,
	[VMX_REASON_WRMSR] = on_wrmsr,
	[VMX_REASON_MWAIT] = on_undefined,
	[VMX_REASON_MONITOR] = on_undefined,
	[VMX_REASON_PAUSE] = on_pause,
	[VMX_REASON_VMCALL] = on_undefined,
	[VMX_REASON_VMXON] = on_undefined,
	[VMX_REASON_VMXOFF] = on_undefined,
	[VMX_REASON_EPT_VIOLATION] = on_memory,
	[VMX_REASON_PREEMPTION_TIMER] = on_nothing,
	[VMX_REASON_WBINVD] = on_cache_control,
	[VMX_REASON_RDPMC] = on_undefined,
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
