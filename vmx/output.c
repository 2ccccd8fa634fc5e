// SPDX-License-Identifier: GPL-2.0
/* Fills the run page: the exit, and the guest state. */
#include <asm/trapnr.h>

#include "caps.h"
#include "exit.h"
#include "record.h"

#define CODE	(VMX_STATE_CS | VMX_STATE_SS)
#define PAGING	(VMX_STATE_CR0 | VMX_STATE_CR3 | VMX_STATE_CR4 | VMX_STATE_EFER)
#define CALM	(VMX_STATE_INTERRUPTIBILITY | VMX_STATE_ACTIVITY)
#define STATE	(VMX_STATE_RIP | VMX_STATE_RSP | VMX_STATE_RFLAGS | CODE |	\
		 PAGING | CALM | VMX_STATE_CR2)
#define INSN	(STATE | VMX_VALID_LENGTH)
/* Exits that are not instructions have no length. */
#define NO_INSN	(STATE | VMX_VALID_QUALIFICATION)
#define OPERAND	(INSN | VMX_VALID_INSN_INFO | VMX_VALID_QUALIFICATION |	\
		 VMX_VALID_LINEAR)

/* The exits that emulation lives on: what their handlers need, and no more. */
#define PORT	(VMX_STATE_RIP | VMX_VALID_LENGTH | VMX_VALID_QUALIFICATION | \
		 VMX_VALID_IO)
#define STRING	(STATE | VMX_VALID_LINEAR | VMX_VALID_INSN_INFO)
#define MEMORY	((STATE & ~(CALM | VMX_STATE_CR2)) | VMX_VALID_QUALIFICATION |		\
		 VMX_VALID_LINEAR | VMX_VALID_PHYSICAL | VMX_VALID_IDT)

/*
 * What is read at the other exits.
 * SDM, "Recording VM-Exit Information and Updating VM-Entry Control Fields".
 */
static const u32 wanted[VMX_STATS_REASONS] = {
	[VMX_REASON_EXCEPTION_NMI] = INSN | VMX_VALID_QUALIFICATION |
				     VMX_VALID_INTR,
	[VMX_REASON_TASK_SWITCH] = INSN | VMX_VALID_QUALIFICATION,
	[VMX_REASON_CPUID] = VMX_STATE_RIP | VMX_VALID_LENGTH,
	[VMX_REASON_HLT] = VMX_STATE_RIP | VMX_STATE_RFLAGS | CALM |
			   VMX_VALID_LENGTH,
	[VMX_REASON_INVLPG] = INSN | VMX_VALID_QUALIFICATION,
	[VMX_REASON_VMCLEAR] = OPERAND,
	[VMX_REASON_VMPTRLD] = OPERAND,
	[VMX_REASON_VMPTRST] = OPERAND,
	[VMX_REASON_VMREAD] = OPERAND,
	[VMX_REASON_VMWRITE] = OPERAND,
	[VMX_REASON_VMXON] = OPERAND,
	[VMX_REASON_CR_ACCESS] = INSN | VMX_VALID_QUALIFICATION |
				 VMX_VALID_LINEAR,
	[VMX_REASON_MOV_DR] = INSN | VMX_VALID_QUALIFICATION,
	[VMX_REASON_RDMSR] = VMX_STATE_RIP | VMX_VALID_LENGTH,
	[VMX_REASON_WRMSR] = VMX_STATE_RIP | VMX_VALID_LENGTH,
	[VMX_REASON_MWAIT] = INSN | VMX_VALID_QUALIFICATION,
	[VMX_REASON_MONITOR] = INSN | VMX_VALID_QUALIFICATION | VMX_VALID_LINEAR,
	[VMX_REASON_GDTR_IDTR] = OPERAND,
	[VMX_REASON_LDTR_TR] = OPERAND,
	[VMX_REASON_EPT_MISCONFIG] = STATE | VMX_VALID_PHYSICAL,
	[VMX_REASON_INVEPT] = OPERAND,
	[VMX_REASON_INVVPID] = OPERAND,
	[VMX_REASON_RDRAND] = INSN | VMX_VALID_INSN_INFO,
	[VMX_REASON_RDSEED] = INSN | VMX_VALID_INSN_INFO,
	[VMX_REASON_INVPCID] = OPERAND,
	[VMX_REASON_INSN_TIMEOUT] = NO_INSN,
};

static u32 wanted_output(u32 reason)
{
	static const u64 not_insn =
		BIT_ULL(VMX_REASON_TRIPLE_FAULT) | BIT_ULL(VMX_REASON_INIT) |
		BIT_ULL(VMX_REASON_SIPI) | BIT_ULL(VMX_REASON_INTERRUPT_WINDOW) |
		BIT_ULL(VMX_REASON_NMI_WINDOW) |
		BIT_ULL(VMX_REASON_INVALID_GUEST_STATE) |
		BIT_ULL(VMX_REASON_MSR_LOADING) |
		BIT_ULL(VMX_REASON_MONITOR_TRAP_FLAG) |
		BIT_ULL(VMX_REASON_MACHINE_CHECK) |
		BIT_ULL(VMX_REASON_PREEMPTION_TIMER);

	if (reason >= VMX_STATS_REASONS)
		return NO_INSN;
	if (wanted[reason])
		return wanted[reason];
	return reason < 64 && not_insn & BIT_ULL(reason) ? NO_INSN : INSN;
}

/* Software exceptions alone; SDM, "Information for VM Exits Due to Vectored Events" */
static bool has_length(u32 intr_info)
{
	u32 type = intr_info & VMX_INTR_TYPE_MASK;

	return type == VMX_INTR_TYPE_SOFTWARE_EXCEPTION ||
	       type == VMX_INTR_TYPE_PRIVILEGED_EXCEPTION;
}

/* With shadow paging the fields are not what the guest has. */
static noinline void give_paging(struct vmm_vcpu *v)
{
	struct vmx_run_page *run = v->run;

	run->cr0 = vmx_vmcs_read(v->vmcs, VMX_F_GUEST_CR0);
	run->cr3 = vmx_vmcs_read(v->vmcs, VMX_F_GUEST_CR3);
	run->cr4 = vmx_vmcs_read(v->vmcs, VMX_F_GUEST_CR4);
	run->efer = vmx_vmcs_read(v->vmcs, VMX_F_GUEST_EFER);
}

static __always_inline void give_shadow(struct vmm_vcpu *v)
{
	if (unlikely(v->paging))
		give_paging(v);
}

static __always_inline void give_state(struct vmm_vcpu *v,
				       struct vmx_run_page *run, u32 want)
{
	if (want & VMX_STATE_RIP)
		run->rip = vmx_read(v, VMX_F_GUEST_RIP);
	if (want & VMX_STATE_RSP)
		run->regs[4] = vmx_read(v, VMX_F_GUEST_RSP);
	if (want & VMX_STATE_RFLAGS)
		run->rflags = vmx_read(v, VMX_F_GUEST_RFLAGS);
	if (want & PAGING) {
		run->cr0 = vmx_read(v, VMX_F_GUEST_CR0);
		run->cr3 = vmx_read(v, VMX_F_GUEST_CR3);
		run->cr4 = vmx_read(v, VMX_F_GUEST_CR4);
		run->efer = vmx_caps.features & VMX_HAS_LOAD_EFER ?
			    vmx_read(v, VMX_F_GUEST_EFER) : 0;
	}
	if (want & CALM) {
		run->interruptibility = vmx_read(v, VMX_F_GUEST_INTERRUPTIBILITY);
		run->activity = vmx_read(v, VMX_F_GUEST_ACTIVITY);
	}
	if (want & CODE) {
		run->cs_base = vmx_read(v, VMX_F_GUEST_CS_BASE);
		run->cs_access = vmx_read(v, VMX_F_GUEST_CS_ACCESS);
		run->ss_access = vmx_read(v, VMX_F_GUEST_SS_ACCESS);
	}
	if (want & VMX_STATE_CR2)
		run->cr2 = v->cr2;
}

/* SDM, "Exit Qualification for I/O Instructions" */
#define IO_STRING	BIT(4)

static __always_inline void give_io(struct vmx_run_page *run, u64 q)
{
	run->io_size = (q & 7) + 1;
	run->io_port = q >> 16;
	run->io_flags = (q & BIT(3) ? VMX_IO_IN : 0) |
			(q & IO_STRING ? VMX_IO_STRING : 0) |
			(q & BIT(5) ? VMX_IO_REP : 0);
}

static __always_inline void give_exit(struct vmm_vcpu *v,
				      struct vmx_run_page *run, u32 want)
{
	const struct vmm_exit *e = &v->exit;

	if (want & VMX_VALID_LENGTH)
		run->length = e->length;
	if (want & VMX_VALID_QUALIFICATION)
		run->qualification = e->qualification;
	if (want & VMX_VALID_IO)
		give_io(run, e->qualification);
	if (want & VMX_VALID_LINEAR)
		run->linear = e->linear;
	if (want & VMX_VALID_PHYSICAL)
		run->physical = e->physical;
	if (want & VMX_VALID_INSN_INFO)
		run->insn_info = e->insn_info;
	if (want & VMX_VALID_INTR) {
		run->intr_info = e->intr_info;
		run->intr_error = e->intr_error;
	}
	if (want & VMX_VALID_IDT) {
		run->idt_info = e->idt_info;
		if (unlikely(e->idt_info & VMX_INTR_ERROR_CODE))
			run->idt_error = vmx_read(v, VMX_F_IDT_VECTORING_ERROR);
	}
}

/* An event that was not delivered is userspace's again. */
static void return_event(struct vmm_vcpu *v)
{
	if (likely(!v->event.info))
		return;
	v->run->inject_info = v->event.info;
	v->run->inject_error = v->event.error;
	v->run->inject_length = v->event.length;
	v->event.info = 0;
}

/* What of it is the exit's has been recorded. With a constant set this is a straight line. */
static __always_inline void give_fields(struct vmm_vcpu *v, u32 want)
{
	struct vmx_run_page *run = v->run;

	run->reason = v->exit.reason;
	run->valid = want;
	give_exit(v, run, want);
	give_state(v, run, want);
	if (want & PAGING)
		give_shadow(v);
}

static noinline void give_any(struct vmm_vcpu *v, u32 want)
{
	vmx_record_missing(v, want);
	give_fields(v, want);
}

/* What belongs to the last exit. */
static u32 wanted_output_now(const struct vmm_vcpu *v)
{
	u32 want = wanted_output(v->exit.reason & VMX_REASON_BASIC_MASK);

	if (vmx_exit_in_delivery(v->exit.reason))
		want |= VMX_VALID_IDT;
	if (v->exit.reason == VMX_REASON_VM_INSTRUCTION)
		want = STATE;
	if (v->exit.reason == VMX_REASON_EXCEPTION_NMI && !has_length(v->exit.intr_info))
		want &= ~VMX_VALID_LENGTH;
	if (v->exit.reason & (VMX_REASON_ENTRY_FAILURE | VMX_REASON_VM_INSTRUCTION))
		want |= VMX_VALID_FAILURE;
	return want;
}

static noinline void give_other(struct vmm_vcpu *v)
{
	give_any(v, wanted_output_now(v));
}

/**
 * vmx_give_exit() - describe the last exit in the run page
 * @v: the vCPU, loaded
 *
 * Calls are the last thing it does: the exits that are given most need no stack frame.
 *
 * Context: preemption off.
 */
void vmx_give_exit(struct vmm_vcpu *v)
{
	v->count.user_exits++;
	return_event(v);
	switch (v->exit.reason) {
	case VMX_REASON_IO:
		/* Nobody has looked at it before. */
		vmx_record(v, PORT);
		give_fields(v, PORT);
		if (unlikely(v->exit.qualification & IO_STRING))
			give_any(v, PORT | STRING);
		break;
	case VMX_REASON_EPT_VIOLATION:
		if (!(v->exit.known & VMX_VALID_LINEAR))
			vmx_record(v, VMX_VALID_LINEAR);
		give_fields(v, MEMORY);
		break;
	default:
		give_other(v);
	}
}

/**
 * vmx_give_state() - the guest's state alone, where there is no exit to tell of
 * @v: the vCPU, loaded
 *
 * Context: preemption off.
 */
void vmx_give_state(struct vmm_vcpu *v)
{
	give_state(v, v->run, STATE);
	give_shadow(v);
	v->run->valid = STATE;
	return_event(v);
}
