// SPDX-License-Identifier: GPL-2.0
/* Around VM entry: steps that must come before any instrumented code. */
#include <linux/compiler.h>

#include <asm/trapnr.h>
#include <asm/special_insns.h>

#include "vcpu.h"

/*
 * An exit by NMI leaves NMIs blocked until an IRET (SDM, "Non-Maskable
 * Interrupts" of "Information for VM exits"), as at the start of an NMI handler;
 * so the handler is called through its IDT gate, with its own stack, before any
 * other exception can IRET. Machine checks likewise.
 */
static __always_inline void handle_host_event(u32 intr_info)
{
	u32 type = intr_info & VMX_INTR_TYPE_MASK;

	if (type == VMX_INTR_TYPE_NMI)
		asm volatile("int $2" : : : "memory");
	else if (type == VMX_INTR_TYPE_HARDWARE_EXCEPTION &&
		 (intr_info & VMX_INTR_VECTOR_MASK) == X86_TRAP_MC)
		asm volatile("int $18" : : : "memory");
}

/**
 * vmx_enter() - enter the guest and come back
 * @v: the vCPU, loaded
 *
 * Context: interrupts off.
 * Return: the exit reason; %VMX_REASON_VM_INSTRUCTION if VMLAUNCH or VMRESUME
 * failed.
 */
noinstr u32 vmx_enter(struct vmx_vcpu *v)
{
	u32 reason;

	if (v->cr2 != native_read_cr2())
		native_write_cr2(v->cr2);
	if (!__vmx_enter(v->run->regs, &v->host.rsp, v->vmcs->launched))
		return VMX_REASON_VM_INSTRUCTION;
	v->cr2 = native_read_cr2();
	reason = vmx_read(v, VMX_F_EXIT_REASON);
	if (reason == VMX_REASON_EXCEPTION_NMI) {
		v->intr_info = vmx_read(v, VMX_F_EXIT_INTR_INFO);
		handle_host_event(v->intr_info);
	}
	return reason;
}
