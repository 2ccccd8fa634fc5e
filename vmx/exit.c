// SPDX-License-Identifier: GPL-2.0
/*
 * The fast path: exits that the kernel finishes with interrupts off and without
 * leaving the CPU. All other exits go to userspace.
 */
#include <linux/mm.h>

#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/mce.h>
#include <asm/msr.h>
#include <asm/ptrace.h>
#include <asm/trapnr.h>

#include "../base/kunit-export.h"
#include "../core/trace.h"
#include "../ept/violation.h"
#include "caps.h"
#include "exit.h"
#include "exit_reason.h"
#include "paging.h"
#include "perf.h"
#include "record.h"
#include "vmx.h"

/**
 * vmx_inject_fault() - answer the instruction that exited with a fault
 * @v: the vCPU, loaded; no event is waiting
 * @vector: of an exception that has an error code
 * @error: the error code
 *
 * Exceptions have no error code in real-address mode, and an entry that injects
 * one fails (SDM, "Checks on VM-Entry Control Fields").
 *
 * Faults push RFLAGS.RF set, and event injection pushes RFLAGS as they are (SDM,
 * "Instruction-Breakpoint Exception Condition").
 *
 * Context: preemption off.
 */
void vmx_inject_fault(struct vmm_vcpu *v, u32 vector, u32 error)
{
	v->event.info = VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | vector;
	if (vmx_read(v, VMX_F_GUEST_CR0) & X86_CR0_PE)
		v->event.info |= VMX_INTR_ERROR_CODE;
	v->event.error = error;
	vmx_write(v, VMX_F_GUEST_RFLAGS,
		  vmx_read(v, VMX_F_GUEST_RFLAGS) | X86_EFLAGS_RF);
}

/**
 * vmx_inject_gp() - answer the instruction that exited with #GP(0)
 * @v: the vCPU, loaded; no event is waiting
 *
 * Context: preemption off.
 */
void vmx_inject_gp(struct vmm_vcpu *v)
{
	vmx_inject_fault(v, X86_TRAP_GP, 0);
}

/* In 64-bit mode RIP has 64 bits, elsewhere 32 or fewer. */
static u64 next_rip(struct vmm_vcpu *v, u32 length)
{
	u64 rip = vmx_read(v, VMX_F_GUEST_RIP);
	u64 next = rip + length;

	if (unlikely((rip ^ next) >> 32) &&
	    !(vmx_read(v, VMX_F_GUEST_CS_ACCESS) & VMX_ACCESS_L))
		next = (u32)next;
	return next;
}

/*
 * Does each instruction end with a single-step trap? With BTF only branches do, and
 * VM entry insists on the difference (SDM, "Single-Stepping on Branches", "Checks on
 * Guest Non-Register State").
 */
static __always_inline bool single_steps(struct vmm_vcpu *v)
{
	return unlikely(vmx_read(v, VMX_F_GUEST_RFLAGS) & X86_EFLAGS_TF) &&
	       !(vmx_read(v, VMX_F_GUEST_DEBUGCTL) & DEBUGCTLMSR_BTF);
}

/**
 * vmx_retire_length() - complete the instruction at RIP
 * @v: the vCPU, loaded
 * @length: its length; it is no branch
 *
 * As the CPU would have: RIP moves on, blocking by STI and by MOV SS ends, and
 * RFLAGS.TF leaves a single-step trap pending (SDM, "Debug Exceptions" and
 * "Guest Non-Register State").
 *
 * Context: preemption off.
 */
void vmx_retire_length(struct vmm_vcpu *v, u32 length)
{
	u32 blocking = vmx_read(v, VMX_F_GUEST_INTERRUPTIBILITY);

	vmx_write(v, VMX_F_GUEST_RIP, next_rip(v, length));
	if (unlikely(blocking & (VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS)))
		vmx_write(v, VMX_F_GUEST_INTERRUPTIBILITY,
			  blocking & ~(VMX_BLOCKING_BY_STI |
				       VMX_BLOCKING_BY_MOV_SS));
	if (single_steps(v))
		vmx_write(v, VMX_F_GUEST_PENDING_DEBUG,
			  vmx_read(v, VMX_F_GUEST_PENDING_DEBUG) |
			  VMX_PENDING_BS);
}

static noinline void keep_valid_event(struct vmm_vcpu *v, u32 info)
{
	v->event.info = info & (VMX_INTR_VALID | VMX_INTR_ERROR_CODE |
				VMX_INTR_TYPE_MASK | VMX_INTR_VECTOR_MASK);
	v->event.error = vmx_read(v, VMX_F_IDT_VECTORING_ERROR);
	v->event.length = vmx_read(v, VMX_F_EXIT_INSN_LENGTH);
	/* Delivery set it; an NMI cannot be injected under it. */
	if ((info & VMX_INTR_TYPE_MASK) == VMX_INTR_TYPE_NMI)
		vmx_write(v, VMX_F_GUEST_INTERRUPTIBILITY,
			  vmx_read(v, VMX_F_GUEST_INTERRUPTIBILITY) &
			  ~VMX_BLOCKING_BY_NMI);
}

/*
 * An exit during event delivery: the event is delivered again at the next
 * entry. SDM, "Information for VM Exits That Occur During Event Delivery".
 */
static __always_inline void keep_event(struct vmm_vcpu *v)
{
	u32 info = vmx_read(v, VMX_F_IDT_VECTORING_INFO);

	v->exit.idt_info = info;
	if (unlikely(info & VMX_INTR_VALID))
		keep_valid_event(v, info);
}

/*
 * An IRET that was to end an NMI handler faulted. It ended NMI blocking all the
 * same: NMIs have to be blocked again until the IRET succeeds. SDM, "Information
 * for VM Exits Due to Vectored Events", "Exit Qualification for EPT Violations".
 * Without virtual NMIs the CPU does not say it, and blocking is of the host's NMIs.
 */
static void block_nmi_again(struct vmm_vcpu *v)
{
	if (!v->event.info && vmx_caps.features & VMX_HAS_VIRTUAL_NMI)
		vmx_write(v, VMX_F_GUEST_INTERRUPTIBILITY,
			  vmx_read(v, VMX_F_GUEST_INTERRUPTIBILITY) |
			  VMX_BLOCKING_BY_NMI);
}

/*
 * #DB exits before it changes DR6, DR7 and DEBUGCTL.BTF: the CPU leaves that to
 * software. SDM, "Architectural State Before a VM Exit", "Single-Stepping on
 * Branches".
 */
static void deliver_debug_state(struct vmm_vcpu *v)
{
	u64 q = vmx_exit_qualification(v);
	u64 dr7 = vmx_read(v, VMX_F_GUEST_DR7);

	v->dr6 = (v->dr6 & ~0xfull) | (q & (0xf | BIT(13) | BIT(14)));
	vmx_write(v, VMX_F_GUEST_DR7, dr7 & ~BIT_ULL(13));
	vmx_write(v, VMX_F_GUEST_DEBUGCTL, v->vmcs->debugctl_must);
	/* VM entry insists on a pending trap here (SDM, "Checks on Guest
	 * Non-Register State"), and clears it by delivering the event.
	 */
	if (single_steps(v) && vmx_read(v, VMX_F_GUEST_INTERRUPTIBILITY) &
	    (VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS))
		vmx_write(v, VMX_F_GUEST_PENDING_DEBUG, VMX_PENDING_BS);
}

/* Give the guest the exception that the module alone wanted to see. */
static enum vmm_next reflect_exception(struct vmm_vcpu *v, u32 vector)
{
	/* Two events at once: userspace decides what the CPU would make of them. */
	if (v->event.info)
		return VMM_NEXT_USER;
	if (vector == X86_TRAP_DB)
		deliver_debug_state(v);
	v->event.info = v->exit.intr_info & ~VMX_INTR_UNBLOCK_NMI;
	vmx_record(v, VMX_VALID_INTR | VMX_VALID_LENGTH);
	v->event.error = v->exit.intr_error;
	v->event.length = v->exit.length;
	return VMM_NEXT_ENTER;
}

/**
 * vmx_checks_alignment() - can #AC be an exception of the guest's own
 * @cr0: CR0
 * @rflags: RFLAGS
 * @ss_access: access rights of SS, which have the privilege level
 *
 * SDM, "Interrupt 17--Alignment Check Exception (#AC)".
 *
 * Return: false if only the detection of split locks raises it.
 */
bool vmx_checks_alignment(u64 cr0, u64 rflags, u32 ss_access)
{
	return cr0 & X86_CR0_AM && rflags & X86_EFLAGS_AC &&
	       (ss_access & VMX_ACCESS_DPL_MASK) == VMX_ACCESS_DPL_MASK;
}
EXPORT_SYMBOL_IF_KUNIT(vmx_checks_alignment);

/*
 * The host has the CPU detect split locks, in guests too. Their #AC is the host's to
 * answer, as for a thread in user mode: no guest expects it.
 */
static bool is_split_lock(struct vmm_vcpu *v)
{
	return boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT) &&
	       !vmx_checks_alignment(vmx_read(v, VMX_F_GUEST_CR0),
				     vmx_read(v, VMX_F_GUEST_RFLAGS),
				     vmx_read(v, VMX_F_GUEST_SS_ACCESS));
}

/*
 * As one that a program in user mode met: memory that is lost costs those who used
 * it a SIGBUS, by task work, and the host nothing. The handler has no use for the
 * guest's registers. SDM, "Machine-Check Handling".
 */
static void handle_machine_check(void)
{
#ifdef CONFIG_X86_MCE
	struct pt_regs regs = { .cs = USER_RPL, .flags = X86_EFLAGS_IF };

	do_machine_check(&regs);
#endif
}

static noinline enum vmm_next handle_exception(struct vmm_vcpu *v)
{
	u32 vector = v->exit.intr_info & VMX_INTR_VECTOR_MASK;

	keep_event(v);
	/* The host's NMI. vmx_enter() had the host handle it. */
	if (vmx_is_nmi(v->exit.intr_info))
		return VMM_NEXT_ENTER;
	/* The host's as well. Its handler may queue work for the return to userspace. */
	if (vmx_is_machine_check(v->exit.intr_info)) {
		handle_machine_check();
		return v->vmcs->exceptions & BIT(X86_TRAP_MC) ? VMM_NEXT_USER : VMM_NEXT_IRQ;
	}
	if (vmx_unblocked_nmi(v->exit.intr_info))
		block_nmi_again(v);
	if (vector == X86_TRAP_PF && v->paging) {
		vmx_record(v, VMX_VALID_QUALIFICATION | VMX_VALID_INTR);
		return VMM_NEXT_FAULT;
	}
	if (vector == X86_TRAP_AC && is_split_lock(v))
		return VMM_NEXT_SPLIT_LOCK;
	if (v->vmcs->exceptions & BIT(vector))
		return VMM_NEXT_USER;
	return reflect_exception(v, vector);
}

/*
 * SDM, "XSETBV": #GP for a register other than XCR0 and for bad values. At other
 * privilege levels than 0 it is one without an exit, but not on every CPU.
 */
static noinline enum vmm_next handle_xsetbv(struct vmm_vcpu *v)
{
	u64 value = (u32)vmm_reg(v, 0) | vmm_reg(v, 2) << 32;

	if (vmx_read(v, VMX_F_GUEST_SS_ACCESS) & VMX_ACCESS_DPL_MASK ||
	    (u32)vmm_reg(v, 1) || !vmm_fpu_xcr0_valid(value)) {
		vmx_inject_gp(v);
		return VMM_NEXT_ENTER;
	}
	v->xcr0 = value;
	xsetbv(XCR_XFEATURE_ENABLED_MASK, value);
	vmx_retire(v);
	return VMM_NEXT_ENTER;
}

static noinline enum vmm_next handle_ept_violation(struct vmm_vcpu *v)
{
	keep_event(v);
	vmx_record(v, VMX_VALID_QUALIFICATION | VMX_VALID_PHYSICAL);
	v->exit.access = ept_violation_access(v->exit.qualification, v->vmcs->mode_exec);
	if (unlikely(v->exit.qualification & VMX_VIOLATION_UNBLOCK_NMI))
		block_nmi_again(v);
	if (unlikely(v->eptp_list))
		vmx_views_follow(v);
	if (!gphys_misses(v->mmu, &v->miss, v->exit.physical, v->exit.access))
		return VMM_NEXT_FAULT;
	trace_fault(v->tag.id, v->exit.physical, v->exit.qualification, GPHYS_FAULT_EXIT);
	return VMM_NEXT_USER;
}

/* The timer has 32 bits, so it may fire before a far deadline. */
static noinline enum vmm_next handle_timer(struct vmm_vcpu *v)
{
	if (v->deadline > vmx_guest_tsc(v))
		return VMM_NEXT_ENTER;
	v->deadline = 0;
	v->run->deadline = 0;
	return VMM_NEXT_USER;
}

static void count_exit(struct vmm_vcpu *v, u32 reason)
{
	v->vmcs->region.launched = true;
	v->count.entries++;
	v->count.exits[reason]++;
}

/* What cannot wait until interrupts are on; vmx_explain_failure() does the rest. */
static enum vmm_next handle_failure(struct vmm_vcpu *v)
{
	/* The host's (SDM, "Machine-Check Events During VM Entry") */
	if (v->exit.reason == (VMX_REASON_ENTRY_FAILURE | VMX_REASON_MACHINE_CHECK))
		handle_machine_check();
	if (v->exit.reason == VMX_REASON_VM_INSTRUCTION)
		vmx_perf_undo(v);
	return VMM_NEXT_FAILED;
}

/* The event was not delivered. */
static void take_back_event(struct vmm_vcpu *v)
{
	u32 info = vmx_read(v, VMX_F_ENTRY_INTR_INFO);

	if (!(info & VMX_INTR_VALID))
		return;
	v->event.info = info;
	v->event.error = vmx_read(v, VMX_F_ENTRY_EXCEPTION_ERROR);
	v->event.length = vmx_read(v, VMX_F_ENTRY_INSN_LENGTH);
	vmx_write(v, VMX_F_ENTRY_INTR_INFO, 0);
}

/**
 * vmx_explain_failure() - say in the run page why VM entry failed
 * @v: the vCPU, loaded
 *
 * To find the check takes longer than interrupts may be off. The event is among what
 * is checked, so it leaves the VM-entry fields after that.
 *
 * Context: interrupts on, preemption off.
 */
void vmx_explain_failure(struct vmm_vcpu *v)
{
	/* First: a VMX instruction that fails meanwhile leaves its own number there. */
	u32 error = vmx_read(v, VMX_F_VM_INSTRUCTION_ERROR);

	vmx_vmcs_explain(v->vmcs, v->exit.reason, &v->run->failure);
	if (v->exit.reason == VMX_REASON_VM_INSTRUCTION)
		v->run->failure.error = error;
	take_back_event(v);
}

/* Failed entries, which have high bits set, and exits of CPUs to come. */
static noinline enum vmm_next handle_beyond(struct vmm_vcpu *v)
{
	if (v->exit.reason >> 16)
		return handle_failure(v);
	count_exit(v, VMX_STATS_REASONS - 1);
	return VMM_NEXT_USER;
}

/* Exits that can come while an event is delivered, and what they tell of IRET. */
#define DELIVERY	BIT(0)
#define DELIVERY_IRET	(DELIVERY | BIT(1))	/* their qualification does, in bit 12 */

/*
 * SDM, "Information for VM Exits That Occur During Event Delivery", "Exit Qualification
 * for EPT Violations" and those after it.
 */
static const u8 delivery[VMX_STATS_REASONS] = {
	[VMX_REASON_EXCEPTION_NMI] = DELIVERY,
	[VMX_REASON_TASK_SWITCH] = DELIVERY,
	[VMX_REASON_APIC_ACCESS] = DELIVERY,
	[VMX_REASON_EPT_VIOLATION] = DELIVERY_IRET,
	[VMX_REASON_EPT_MISCONFIG] = DELIVERY,
	[VMX_REASON_PML_FULL] = DELIVERY_IRET,
	[VMX_REASON_SPP] = DELIVERY_IRET,
	[VMX_REASON_INSN_TIMEOUT] = DELIVERY_IRET,
};

/**
 * vmx_exit_in_delivery() - can an exit come while an event is delivered
 * @reason: the basic exit reason
 *
 * Return: true if IDT-vectoring information goes with it.
 */
bool vmx_exit_in_delivery(u32 reason)
{
	return reason < VMX_STATS_REASONS && delivery[reason];
}
EXPORT_SYMBOL_IF_KUNIT(vmx_exit_in_delivery);

/* Those of them that are rare. */
static noinline enum vmm_next handle_in_delivery(struct vmm_vcpu *v)
{
	keep_event(v);
	if (delivery[v->exit.reason] == DELIVERY_IRET &&
	    vmx_exit_qualification(v) & VMX_VIOLATION_UNBLOCK_NMI)
		block_nmi_again(v);
	/* The next vmm_stay() empties the log. */
	return v->exit.reason == VMX_REASON_PML_FULL ? VMM_NEXT_IRQ : VMM_NEXT_USER;
}

static noinline enum vmm_next handle_cr_access(struct vmm_vcpu *v)
{
	if (!v->paging)
		return VMM_NEXT_USER;
	return vmx_paging_cr_access(v) ? VMM_NEXT_ENTER : VMM_NEXT_FAULT;
}

/* What the exits that the core finishes do to the guest state: see core/exits.h. */

static __always_inline void exit_retire(struct vmm_vcpu *v)
{
	vmx_retire(v);
}

static __always_inline void exit_inject_gp(struct vmm_vcpu *v)
{
	vmx_inject_gp(v);
}

static __always_inline u64 exit_cr4(struct vmm_vcpu *v)
{
	return vmx_read(v, VMX_F_GUEST_CR4);
}

/* Of those that exit: see core/msr.c. */
static u32 msr_field(u32 index)
{
	return index == MSR_EFER ? VMX_F_GUEST_EFER : VMX_F_GUEST_PAT;
}

static u64 exit_read_msr(struct vmm_vcpu *v, u32 index)
{
	return vmx_vmcs_read(v->vmcs, msr_field(index));
}

/* SDM, "Extended Feature Enable Register": LME is fixed under paging. */
static bool write_efer_field(struct vmm_vcpu *v, u64 value)
{
	u64 old = vmx_read(v, VMX_F_GUEST_EFER);

	if ((value ^ old) & EFER_LME && vmx_read(v, VMX_F_GUEST_CR0) & X86_CR0_PG)
		return false;
	value = (value & ~(u64)EFER_LMA) | (old & EFER_LMA);
	return !vmx_vmcs_set(v->vmcs, VMX_F_GUEST_EFER, value);
}

static bool write_efer(struct vmm_vcpu *v, u64 value)
{
	if (!(v->paging ? vmx_paging_set_efer(v, value) : write_efer_field(v, value)))
		return false;
	/* The guest may be able to execute SYSCALL from now on. */
	if (v->vmcs->syscall && !v->host.syscall_loaded)
		vmm_msr_load_syscall(v);
	return true;
}

static bool exit_write_msr(struct vmm_vcpu *v, u32 index, u64 value)
{
	if (index == MSR_EFER)
		return write_efer(v, value);
	return !vmx_vmcs_set(v->vmcs, msr_field(index), value);
}

#include "../core/exits.h"

/**
 * vmx_handle_exit() - finish an exit if the kernel can
 * @v: the vCPU, loaded; reason is set
 *
 * Context: interrupts off.
 * Return: what to do next.
 */
enum vmm_next vmx_handle_exit(struct vmm_vcpu *v)
{
	u32 reason = v->exit.reason;

	if (unlikely(reason >= VMX_STATS_REASONS))
		return handle_beyond(v);
	count_exit(v, reason);
	/* The switch compares one by one, and this is the most frequent exit. */
	if (reason == VMX_REASON_IO)
		return VMM_NEXT_USER;
	/* The handlers are not inlined, so that most exits need no stack frame. */
	switch (reason) {
	case VMX_REASON_EXTERNAL_INTERRUPT:
		return VMM_NEXT_IRQ;
	case VMX_REASON_EPT_VIOLATION:
		return handle_ept_violation(v);
	case VMX_REASON_CPUID:
		return vmm_handle_cpuid(v);
	case VMX_REASON_RDMSR:
		return vmm_handle_rdmsr(v);
	case VMX_REASON_WRMSR:
		return vmm_handle_wrmsr(v);
	case VMX_REASON_EXCEPTION_NMI:
		return handle_exception(v);
	case VMX_REASON_XSETBV:
		return handle_xsetbv(v);
	case VMX_REASON_PREEMPTION_TIMER:
		return handle_timer(v);
	case VMX_REASON_CR_ACCESS:
		return handle_cr_access(v);
	case VMX_REASON_INVLPG:
	case VMX_REASON_INVPCID:
		return v->paging ? VMM_NEXT_FAULT : VMM_NEXT_USER;
	default:
		return delivery[reason] ? handle_in_delivery(v) : VMM_NEXT_USER;
	}
}
