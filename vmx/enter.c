// SPDX-License-Identifier: GPL-2.0
/* Around VM entry: steps that must come before any instrumented code. */
#include <linux/compiler.h>
#include <linux/context_tracking.h>

#include <asm/special_insns.h>

#include "exit_reason.h"
#include "vmx.h"

/*
 * An exit by NMI leaves NMIs blocked until an IRET (SDM, "Non-Maskable
 * Interrupts" of "Information for VM exits"), as at the start of an NMI handler;
 * so the handler is called through its IDT gate, with its own stack, before any
 * other exception can IRET.
 */
static __always_inline u64 enter_guest(struct vmm_vcpu *v)
{
	u32 reason;

	if (v->cr2 != native_read_cr2())
		native_write_cr2(v->cr2);
	if (!__vmx_enter(v->run->regs, &v->host.rsp, v->vmcs->region.launched))
		return VMX_REASON_VM_INSTRUCTION;
	v->cr2 = native_read_cr2();
	reason = vmx_exit_reason(vmx_read(v, VMX_F_EXIT_REASON));
	if (reason == VMX_REASON_EXCEPTION_NMI) {
		v->exit.intr_info = vmx_read(v, VMX_F_EXIT_INTR_INFO);
		if (vmx_is_nmi(v->exit.intr_info))
			asm volatile("int $2" : : : "memory");
	}
	return reason;
}

/**
 * vmx_enter() - enter the guest and come back
 * @v: the vCPU, loaded
 *
 * On a CPU without a clock tick (nohz_full), RCU ignores the time in a guest as it
 * ignores the time in a program.
 *
 * Context: interrupts off.
 * Return: for &vmm_exit.begin: what vmx_exit_reason() says, or %VMX_REASON_VM_INSTRUCTION
 * if VMLAUNCH or VMRESUME failed.
 */
noinstr u64 vmx_enter(struct vmm_vcpu *v)
{
	u64 reason;

	context_tracking_guest_enter();
	reason = enter_guest(v);
	context_tracking_guest_exit();
	return reason;
}
