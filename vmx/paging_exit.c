// SPDX-License-Identifier: GPL-2.0
/*
 * Exits of a guest with shadow page tables that the kernel finishes: what Intel's CPUs say of page
 * faults and of instructions that change or invalidate translations, and what becomes of it.
 * paging/ decides. All run with preemption off and, except vmx_paging_cr_access(), with
 * interrupts on.
 */
#include <asm/processor-flags.h>
#include <asm/trap_pf.h>
#include <asm/trapnr.h>

#include "../paging/paging.h"
#include "caps.h"
#include "paging.h"
#include "record.h"

/* SDM, "System Descriptor Types" */
#define TSS_TYPE	0xf
#define TSS_16BIT_BUSY	3

/* That there are fields for. */
#define MAX_CR3_TARGETS	4ULL

/**
 * vmx_paging_is_64bit_code() - does the guest execute in 64-bit mode
 * @v: the vCPU, loaded
 *
 * Return: false in compatibility mode, too.
 */
bool vmx_paging_is_64bit_code(struct vmm_vcpu *v)
{
	return paging_is_long(v->paging) && vmx_read(v, VMX_F_GUEST_CS_ACCESS) & VMX_ACCESS_L;
}

/**
 * vmx_paging_register() - a general-purpose register
 * @v: the vCPU, loaded
 * @n: its number in an instruction
 *
 * Return: all of it.
 */
u64 vmx_paging_register(struct vmm_vcpu *v, unsigned int n)
{
	return n == 4 ? vmx_read(v, VMX_F_GUEST_RSP) : vmm_reg(v, n);
}

/**
 * vmx_paging_operand() - an operand of an instruction that is a register
 * @v: the vCPU, loaded
 * @n: the register's number
 *
 * Return: the operand, as wide as the guest's mode has it.
 */
u64 vmx_paging_operand(struct vmm_vcpu *v, unsigned int n)
{
	u64 value = vmx_paging_register(v, n);

	return vmx_paging_is_64bit_code(v) ? value : (u32)value;
}

static int set_operand(struct vmm_vcpu *v, u64 qualification, u64 value)
{
	unsigned int n = qualification >> 8 & 0xf;

	if (n == 4)
		vmx_write(v, VMX_F_GUEST_RSP, value);
	else
		v->run->regs[n] = value;
	return 0;
}

/* SDM, "Exception Bitmap": whether userspace asked for the page fault. */
static bool user_wants_fault(const struct vmm_vcpu *v, u32 error)
{
	const struct vmx_shadowed *k = vmx_shadowed(v->paging);
	bool match = (error & k->error_mask) == k->error_match;

	return match == !!(v->vmcs->exceptions & BIT(X86_TRAP_PF));
}

/* The exit interrupted the delivery of the event that the entry before it injected. */
static bool was_injected(struct vmm_vcpu *v)
{
	return v->event.info == v->given.info &&
	       v->count.entries == v->given.entries + 1 &&
	       vmx_read(v, VMX_F_GUEST_RIP) == v->given.rip;
}

/*
 * The event whose delivery the page fault interrupted is delivered again. The exit
 * saved RF as the page fault would have pushed it: set (SDM, "Saving RIP, RSP,
 * RFLAGS, and SSP"). VM entry pushes what RFLAGS has. So it gets what an injected
 * event had, and otherwise what the event pushes: a fault sets RF, an instruction
 * that interrupts does not.
 */
static void restore_rf(struct vmm_vcpu *v)
{
	u64 rflags = vmx_read(v, VMX_F_GUEST_RFLAGS) & ~(u64)X86_EFLAGS_RF;

	if (was_injected(v))
		rflags |= v->given.rf;
	else if ((v->event.info & VMX_INTR_TYPE_MASK) ==
		 VMX_INTR_TYPE_HARDWARE_EXCEPTION)
		rflags |= X86_EFLAGS_RF;
	vmx_write(v, VMX_F_GUEST_RFLAGS, rflags);
}

static noinline int page_fault(struct vmm_vcpu *v)
{
	struct shadow_walk walk = {
		.gva = v->exit.qualification,
		.access = v->exit.intr_error & (X86_PF_WRITE | X86_PF_USER | X86_PF_INSTR),
		.ac = v->paging->mode.smap && vmx_read(v, VMX_F_GUEST_RFLAGS) & X86_EFLAGS_AC,
	};
	int r = paging_fault(v, &walk);

	if (r != PAGING_PF) {
		if (unlikely(v->event.info))
			restore_rf(v);
		return r;
	}
	/* If it was described as an EPT violation before, it is a page fault again. */
	v->exit.reason = VMX_REASON_EXCEPTION_NMI;
	v->exit.known = VMX_VALID_QUALIFICATION | VMX_VALID_INTR;
	v->exit.qualification = walk.gva;
	if (user_wants_fault(v, v->exit.intr_error))
		return GPHYS_FAULT_EXIT;
	return paging_deliver_fault(v, walk.gva);
}

static bool has_16bit_tss(struct vmm_vcpu *v)
{
	return (vmx_read(v, VMX_F_GUEST_TR_ACCESS) & TSS_TYPE) == TSS_16BIT_BUSY;
}

static void switch_long_mode(struct vmm_vcpu *v)
{
	u64 controls = vmx_read(v, VMX_F_ENTRY_CONTROLS) & ~(u64)VMX_ENTRY_CTL_IA32E_MODE_GUEST;

	if (paging_is_long(v->paging))
		controls |= VMX_ENTRY_CTL_IA32E_MODE_GUEST;
	vmx_write(v, VMX_F_ENTRY_CONTROLS, controls);
	vmx_vmcs_note(v->vmcs, VMX_F_ENTRY_CONTROLS, controls, controls);
}

static int set_cr0(struct vmm_vcpu *v, u64 value)
{
	bool switches = (value ^ v->paging->cr0) & X86_CR0_PG;
	int r = paging_set_cr0(v, value, vmx_read(v, VMX_F_GUEST_CS_ACCESS) & VMX_ACCESS_L,
			       switches && has_16bit_tss(v));

	if (!r && switches)
		switch_long_mode(v);
	return r;
}

static int set_cr4(struct vmm_vcpu *v, u64 value)
{
	u64 judged = value;

	if (vmx_vmcs_judge(v->vmcs, VMX_F_GUEST_CR4, &judged) || judged != value)
		return PAGING_GP;
	return paging_set_cr4(v, value);
}

/* CR0 or CR4: the bits that the guest has, unless it changes what userspace wants to see. */
static int mov_to_masked(struct vmm_vcpu *v, unsigned int cr, u64 value)
{
	const struct vmx_shadowed *k = vmx_shadowed(v->paging);
	u64 mask = cr ? k->cr4_mask : k->cr0_mask;
	u64 old;
	int r;

	if ((value ^ (cr ? k->cr4_shadow : k->cr0_shadow)) & mask)
		return -EPERM;
	vmx_paging_merge(v->paging);
	old = cr ? v->paging->cr4 : v->paging->cr0;
	value = (old & mask) | (value & ~mask);
	r = cr ? set_cr4(v, value) : set_cr0(v, value);
	if (!r)
		vmx_paging_apply(v->paging);
	return r;
}

/**
 * vmx_paging_set_efer() - the guest writes EFER
 * @v: the vCPU, loaded
 * @value: the new value
 *
 * Context: preemption off.
 * Return: false if it is a #GP.
 */
bool vmx_paging_set_efer(struct vmm_vcpu *v, u64 value)
{
	struct shadow_paging *p = v->paging;

	vmx_paging_merge(p);
	if (!paging_set_efer(p, value))
		return false;
	v->vmcs->efer = p->efer;
	v->vmcs->syscall |= p->efer & EFER_SCE;
	vmx_paging_apply(p);
	return true;
}

/* What userspace asked for, where the CPU does not insist on it. */
static bool user_wants(const struct vmm_vcpu *v, u32 control)
{
	return v->vmcs->cpu_ctls & control & ~vmx_caps.cpu.must;
}

/* SDM, "CR3-Target Values": with these the guest may load CR3 all the same. */
static bool user_wants_cr3(struct vmm_vcpu *v, u64 value)
{
	unsigned int n, count = min(vmx_shadowed(v->paging)->cr3_targets, MAX_CR3_TARGETS);

	if (!user_wants(v, VMX_CPU_CR3_LOAD_EXITING))
		return false;
	for (n = 0; n < count; n++)
		if (value == vmx_read(v, VMX_F_CR3_TARGET_0 + 2 * n))
			return false;
	return true;
}

/* 0, an exception, -EAGAIN, or -EPERM: it is userspace's. */
static int mov_to(struct vmm_vcpu *v, unsigned int cr, u64 value)
{
	switch (cr) {
	case 0:
	case 4:
		return mov_to_masked(v, cr, value);
	case 3:
		return user_wants_cr3(v, value) ? -EPERM : paging_set_cr3(v, value);
	default:
		return -EPERM;
	}
}

/* SDM, "Exit Qualification for Control-Register Accesses" */
static int cr_access(struct vmm_vcpu *v)
{
	u64 q = vmx_exit_qualification(v);
	unsigned int cr = q & 0xf, kind = q >> 4 & 3;

	if (kind == 0)
		return mov_to(v, cr, vmx_paging_operand(v, q >> 8 & 0xf));
	if (kind == 1 && cr == 3 && !user_wants(v, VMX_CPU_CR3_STORE_EXITING))
		return set_operand(v, q, v->paging->cr3);
	/* CLTS and LMSW exit only for userspace's masks. */
	return -EPERM;
}

static int finish_invalidation(struct vmm_vcpu *v)
{
	int r = 0;

	if (user_wants(v, VMX_CPU_INVLPG_EXITING))
		return -EPERM;
	if (v->exit.reason == VMX_REASON_INVPCID)
		r = vmx_paging_invpcid(v);
	if (r)
		return r;
	paging_invalidate(v);
	vmx_vpid_forget(v);
	return 0;
}

static int finish_instruction(struct vmm_vcpu *v, int r)
{
	if (r == -EPERM)
		return GPHYS_FAULT_EXIT;
	if (r < 0) {
		/*
		 * The guest executes it again. Its exit saved RF clear, and a
		 * breakpoint on it has been met.
		 */
		vmx_write(v, VMX_F_GUEST_RFLAGS,
			  vmx_read(v, VMX_F_GUEST_RFLAGS) | X86_EFLAGS_RF);
		return r;
	}
	if (r)
		vmx_inject_fault(v, r, r == PAGING_PF ? v->exit.intr_error : 0);
	else
		vmx_retire(v);
	return GPHYS_FAULT_DONE;
}

static noinline int handle_instruction(struct vmm_vcpu *v)
{
	/* It may become an EPT violation, but none in the delivery of an event. */
	v->exit.idt_info = 0;
	return finish_instruction(v, v->exit.reason == VMX_REASON_CR_ACCESS ? cr_access(v) :
									 finish_invalidation(v));
}

/**
 * vmx_paging_cr_access() - finish a MOV to CR3 that needs no more than another root
 * @v: the vCPU, loaded
 *
 * Context: interrupts off.
 * Return: false if nothing was done, and it is vmx_paging_exit()'s.
 */
bool vmx_paging_cr_access(struct vmm_vcpu *v)
{
	struct shadow_paging *p = v->paging;
	u64 q = vmx_exit_qualification(v), value;

	if ((q & 0x3f) != 3 || p->mode.format != SHADOW_GUEST_LONG)
		return false;
	value = vmx_paging_operand(v, q >> 8 & 0xf);
	if (user_wants_cr3(v, value) || !paging_switch_cr3(v, value))
		return false;
	vmx_write(v, VMX_F_GUEST_CR3, paging_root(p));
	vmx_flush(v);
	vmx_retire(v);
	return true;
}

/**
 * vmx_paging_exit() - finish an exit that has to do with paging
 * @v: the vCPU, loaded
 *
 * Context: interrupts on, preemption off.
 * Return: an enum gphys_fault, -EAGAIN: ask again after paging_prepare() and another
 * exit, or another errno of gphys_fault().
 */
int vmx_paging_exit(struct vmm_vcpu *v)
{
	/* Not inlined: a page fault does without the stack frame of the others. */
	return v->exit.reason == VMX_REASON_EXCEPTION_NMI ? page_fault(v) : handle_instruction(v);
}

/* VM entry would fail so, if the CPU saw the guest's registers and PDPTEs. */
static int fail_entry(struct vmm_vcpu *v, const struct vmx_failure *failure)
{
	v->exit.begin = VMX_REASON_ENTRY_FAILURE | VMX_REASON_INVALID_GUEST_STATE;
	v->run->failure = *failure;
	return GPHYS_FAULT_EXIT;
}

/**
 * vmx_paging_load() - have the right roots before the guest goes on
 * @v: the vCPU, loaded; its paging is to be reloaded
 *
 * Context: interrupts on, preemption off.
 * Return: 0; %GPHYS_FAULT_EXIT: it is userspace's, as a failed entry; -EAGAIN: ask
 * again after paging_prepare().
 */
int vmx_paging_load(struct vmm_vcpu *v)
{
	struct shadow_paging *p = v->paging;
	struct vmx_failure failure;
	int r;

	/* What is missing becomes an EPT violation, but none in the delivery of an event. */
	v->exit.idt_info = 0;
	/*
	 * What userspace wrote: the CPU is in IA-32e mode if and only if the guest's tables
	 * are that mode's, or it would take shadow pages for tables of another level.
	 */
	if (p->reread) {
		vmx_vmcs_explain_registers(v->vmcs, &failure);
		if (failure.check)
			return fail_entry(v, &failure);
	}
	r = paging_load(v);
	if (r == PAGING_GP) {
		failure = (struct vmx_failure) {
			.check = VMX_CHECK_PDPTE, .field = VMX_F_GUEST_CR3, .value = p->cr3,
		};
		return fail_entry(v, &failure);
	}
	if (r)
		return r;
	vmx_write(v, VMX_F_GUEST_CR3, paging_root(p));
	vmx_vpid_forget(v);
	return 0;
}
