// SPDX-License-Identifier: LGPL-2.1-or-later
/* How an instruction that exited ends: retired, or with an exception. */
#include "../lib/internal.h"
#include "../lib/x86.h"
#include "internal.h"

unsigned int vmx_cpu_cpl(const struct vmx_run_page *run)
{
	return (run->ss_access & VMX_ACCESS_DPL_MASK) >> VMX_ACCESS_DPL_SHIFT;
}

/*
 * Not for exceptions that are traps. Faults push RF set (SDM, "Instruction-Breakpoint Exception
 * Condition"), and event injection pushes RFLAGS as it is. In real mode there are no error codes.
 */
int vmx_cpu_raise(struct vmx_cpu *cpu, uint8_t vector, uint32_t error)
{
	enum { RFLAGS, CR0, FIELDS };
	struct vmx_field fields[FIELDS] = {
		[RFLAGS] = { .field = VMX_F_GUEST_RFLAGS }, [CR0] = { .field = VMX_F_GUEST_CR0 },
	};
	struct vmx_run_page *run = cpu->vcpu.run;
	int ret = vmx_fields_get(cpu->vcpu.vmcs, fields, FIELDS);

	if (ret)
		return ret;
	run->inject_info = VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | vector;
	if (vmx_has_error_code(vector) && fields[CR0].value & CR0_PE)
		run->inject_info |= VMX_INTR_ERROR_CODE;
	run->inject_error = error;
	run->rflags = fields[RFLAGS].value | RFLAGS_RF;
	run->dirty |= VMX_STATE_RFLAGS;
	return 0;
}

int vmx_cpu_retire(struct vmx_cpu *cpu)
{
	cpu->vcpu.run->retire = 1;
	return 0;
}

int vmx_cpu_done_or_fault(struct vmx_cpu *cpu, int ret)
{
	if (ret < 0)
		return ret;
	return ret ? vmx_cpu_retire(cpu) : vmx_cpu_raise(cpu, VECTOR_GP, 0);
}
