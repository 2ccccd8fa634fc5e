// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Instructions that move control and debug registers. They exit before the CPU has judged the
 * operand, those for debug registers even before it has judged the privilege level (SDM,
 * "Instructions That Cause VM Exits Conditionally"). Each check is here in the order of the
 * instruction's pseudo-code.
 */
#include <errno.h>

#include "../lib/internal.h"
#include "../lib/x86.h"
#include "internal.h"

/* What LMSW changes in CR0. */
#define LMSW_BITS	(CR0_PE | CR0_MP | CR0_EM | CR0_TS)

/* Where EFER is out of reach, 64-bit code is a matter of CS alone. */
static bool is_64bit(const struct vmx_cpu *cpu)
{
	const struct vmx_run_page *run = cpu->vcpu.run;
	bool known = cpu->machine->vm.shadow || cpu->machine->vm.caps.features & VMX_HAS_LOAD_EFER;

	return run->cs_access & VMX_ACCESS_L && (!known || run->efer & EFER_LMA);
}

/* A general register as these instructions read it: 64 bits in 64-bit mode, 32 elsewhere. */
static uint64_t operand(const struct vmx_cpu *cpu)
{
	const struct vmx_run_page *run = cpu->vcpu.run;
	uint64_t value = run->regs[run->qualification >> 8 & 0xf];

	return is_64bit(cpu) ? value : (uint32_t)value;
}

static int finish_read(struct vmx_cpu *cpu, uint64_t value)
{
	struct vmx_run_page *run = cpu->vcpu.run;
	unsigned int n = run->qualification >> 8 & 0xf;

	run->regs[n] = is_64bit(cpu) ? value : (uint32_t)value;
	if (n == VMX_RSP)
		run->dirty |= VMX_STATE_RSP;
	return vmx_cpu_retire(cpu);
}

/* SDM, "MOV--Move to/from Control Registers" */

static int mov_to_cr(struct vmx_cpu *cpu, unsigned int cr)
{
	uint64_t value = operand(cpu);

	switch (cr) {
	case 0:
		return vmx_cpu_done_or_fault(cpu, vmx_cpu_set_cr0(cpu, value));
	case 3:
		return vmx_cpu_done_or_fault(cpu, vmx_cpu_set_cr3(cpu, value));
	case 4:
		return vmx_cpu_done_or_fault(cpu, vmx_cpu_set_cr4(cpu, value));
	case 8:
		return vmx_cpu_done_or_fault(cpu, vmx_lapic_set_cr8(&cpu->lapic, value));
	default:
		return vmx_fail(EOPNOTSUPP, "MOV to CR%u is not emulated", cr);
	}
}

static int mov_from_cr(struct vmx_cpu *cpu, unsigned int cr)
{
	struct vmx_control_state state;
	int ret;

	if (cr == 8)
		return finish_read(cpu, vmx_lapic_cr8(&cpu->lapic));
	if (cr != 3)
		return vmx_fail(EOPNOTSUPP, "MOV from CR%u is not emulated", cr);
	ret = vmx_cpu_get_control(cpu, &state);
	return ret ?: finish_read(cpu, state.cr3);
}

/* CLTS, and LMSW, which sets four bits and cannot clear PE. */
static int change_status(struct vmx_cpu *cpu, bool lmsw)
{
	uint64_t source = cpu->vcpu.run->qualification >> 16 & LMSW_BITS;
	struct vmx_control_state state;
	int ret = vmx_cpu_get_control(cpu, &state);

	if (ret)
		return ret;
	if (lmsw)
		state.cr0 = (state.cr0 & (~LMSW_BITS | CR0_PE)) | source;
	else
		state.cr0 &= ~CR0_TS;
	return vmx_cpu_done_or_fault(cpu, vmx_cpu_set_cr0(cpu, state.cr0));
}

/* SDM, "Exit Qualification for Control-Register Accesses" */
int vmx_cpu_cr_access(struct vmx_cpu *cpu)
{
	uint64_t qualification = cpu->vcpu.run->qualification;
	unsigned int cr = qualification & 0xf, kind = qualification >> 4 & 3;

	switch (kind) {
	case 0:
		return mov_to_cr(cpu, cr);
	case 1:
		return mov_from_cr(cpu, cr);
	default:
		return change_status(cpu, kind == 3);
	}
}

/* SDM, "MOV--Move to/from Debug Registers" */

/* SDM, "General-Detect Exception Condition": a fault. Event injection leaves DR6 and DR7 alone. */
static int general_detect(struct vmx_cpu *cpu, struct vmx_debug *debug, uint64_t dr7)
{
	int ret;

	debug->dr6 |= DR6_BD;
	ret = vmx_cpu_set_debug(cpu, debug, dr7 & ~DR7_GD);
	return ret ?: vmx_cpu_raise(cpu, VECTOR_DB, 0);
}

static int mov_to_dr(struct vmx_cpu *cpu, unsigned int dr, struct vmx_debug *debug, uint64_t dr7)
{
	uint64_t value = operand(cpu);
	int ret;

	if (dr < 4)
		debug->dr[dr] = value;
	else if (value >> 32)
		return vmx_cpu_raise(cpu, VECTOR_GP, 0);
	else if (dr & 1)
		dr7 = (value & DR7_WRITABLE) | DR7_DEFAULT;
	else
		debug->dr6 = (value & DR6_WRITABLE) | DR6_FIXED;
	ret = vmx_cpu_set_debug(cpu, debug, dr7);
	return ret ?: vmx_cpu_retire(cpu);
}

int vmx_cpu_mov_dr(struct vmx_cpu *cpu)
{
	const struct vmx_run_page *run = cpu->vcpu.run;
	unsigned int dr = run->qualification & 7;
	bool from = run->qualification & 0x10;
	struct vmx_debug debug;
	uint64_t dr7;
	int ret;

	if ((dr & 6) == 4 && run->cr4 & CR4_DE)
		return vmx_cpu_raise(cpu, VECTOR_UD, 0);
	if (vmx_cpu_cpl(run))
		return vmx_cpu_raise(cpu, VECTOR_GP, 0);
	ret = vmx_cpu_get_debug(cpu, &debug, &dr7);
	if (ret)
		return ret;
	if (dr7 & DR7_GD)
		return general_detect(cpu, &debug, dr7);
	if (!from)
		return mov_to_dr(cpu, dr, &debug, dr7);
	return finish_read(cpu, dr < 4 ? debug.dr[dr] : dr & 1 ? dr7 : debug.dr6);
}
