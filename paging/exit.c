// SPDX-License-Identifier: GPL-2.0
/*
 * Exits of a guest with shadow page tables that the kernel finishes: page
 * faults, and the instructions that change or invalidate translations. All run with
 * preemption off and, except vmx_paging_cr_access(), with interrupts on. A page that is
 * not at hand is noted in struct vmx_paging; vmx_paging_prepare() gets it, and then
 * the guest's instruction exits once more.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include <asm/processor-flags.h>
#include <asm/trap_pf.h>
#include <asm/trapnr.h>

#include "../core/trace.h"
#include "../vmx/caps.h"
#include "../vmx/fields.h"
#include "internal.h"

/* Memory that a fault gets before it lets the guest try again. */
#define ATTEMPTS 8

/* SDM, "System Descriptor Types" */
#define TSS_TYPE	0xf
#define TSS_16BIT_BUSY	3

/* That there are fields for. */
#define MAX_CR3_TARGETS	4ULL

/* Page faults */

#define EVENT	(VMX_INTR_VALID | VMX_INTR_TYPE_MASK | VMX_INTR_VECTOR_MASK)
#define EXCEPTION(vector)	(VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | (vector))

/* With it a page fault makes two events, and neither may get lost. */
static bool is_interrupt(u32 event)
{
	u32 type = event & VMX_INTR_TYPE_MASK;

	return event & VMX_INTR_VALID &&
	       (type == VMX_INTR_TYPE_EXTERNAL || type == VMX_INTR_TYPE_NMI);
}

/* SDM, "Exception Bitmap": whether userspace asked for the page fault. */
static bool user_wants_fault(const struct vmx_vcpu *v, u32 error)
{
	bool match = (error & v->paging->error_mask) == v->paging->error_match;

	return match == !!(v->vmcs->exceptions & BIT(X86_TRAP_PF));
}

/*
 * The guest's page fault. In the delivery of another exception it is delivered all the same,
 * and the other comes back with its instruction; but after #PF it is #DF, and after #DF the
 * end (SDM, "Conditions for Generating a Double Fault").
 */
static int deliver_fault(struct vmx_vcpu *v, u64 gva, u32 error)
{
	u32 first = v->event.info & EVENT;
	u32 vector = X86_TRAP_PF;

	v->intr_error = error;
	if (user_wants_fault(v, error) || is_interrupt(first))
		return VMX_FAULT_EXIT;
	/* Even if #DF follows (SDM, "Interrupt 14--Page-Fault Exception (#PF)") */
	v->cr2 = gva;
	if (first == EXCEPTION(X86_TRAP_DF)) {
		v->event.info = 0;
		v->reason = VMX_REASON_TRIPLE_FAULT;
		return VMX_FAULT_EXIT;
	}
	if (first == EXCEPTION(X86_TRAP_PF)) {
		vector = X86_TRAP_DF;
		error = 0;
	}
	v->event.info = EXCEPTION(vector) | VMX_INTR_ERROR_CODE;
	v->event.error = error;
	return VMX_FAULT_DONE;
}

/* Something is to be got: with the page at hand, at once. */
static int get_miss(struct vmx_vcpu *v)
{
	int r;

	if (v->paging->miss == ~0ULL)
		return -EAGAIN;
	if (vmx_mmu_misses(v->mmu, &v->miss, v->gpa, v->paging->miss_access))
		return VMX_FAULT_EXIT;
	r = vmx_mmu_fault(v->mmu, v->gpa, v->paging->miss_access, true, &v->miss);
	trace_fault(v->vpid, v->gpa, v->violation, r);
	if (r == VMX_FAULT_EXIT || v->paging->miss_translated)
		return r;
	/* The module reads no memory of devices, not even for a table. */
	spin_lock(&v->mmu->lock);
	if (paging_is_device(v, v->gpa))
		r = VMX_FAULT_EXIT;
	spin_unlock(&v->mmu->lock);
	return r;
}

/* Do the tables that the CPU walks allow a supervisor to reach a user page so? */
static bool nothing_missing(const struct vmx_paging *p, const struct guest_walk *walk)
{
	int top = p->mode.format == GUEST_LONG ? p->mode.levels : 2;
	u64 needs = PT_PRESENT | PT_USER | (walk->access & X86_PF_WRITE ? PT_WRITE : 0);
	u64 entry[PT_MAX_LEVELS + 1], have = needs;
	int level = paging_look(p, walk->gva, entry);

	if (!level)
		return false;
	for (; level <= top; level++)
		have &= entry[level];
	return have == needs;
}

/*
 * SMAP is for implicit accesses whatever EFLAGS.AC says (SDM, "Determination of Access
 * Rights"). The error code does not tell of them, but that nothing was missing, and the
 * guest faulted for the same address before: the first time another CPU may have made
 * the entry meanwhile.
 */
static bool is_implicit(struct vmx_paging *p, const struct guest_walk *walk)
{
	u64 last = p->enough;

	p->enough = walk->ac && nothing_missing(p, walk) ? walk->gva : ~0ULL;
	return p->enough != ~0ULL && p->enough == last;
}

static enum walk_result fault_locked(struct vmx_vcpu *v, struct guest_walk *walk)
{
	enum walk_result result;

	spin_lock(&v->mmu->lock);
	if (is_implicit(v->paging, walk))
		walk->ac = false;
	result = shadow_fault(v->paging->shadow, v->paging, walk);
	if (result == WALK_MISS && v->paging->miss != ~0ULL)
		paging_describe(v, walk->gva, VMX_VIOLATION_LINEAR_VALID);
	spin_unlock(&v->mmu->lock);
	return result;
}

static int page_fault(struct vmx_vcpu *v)
{
	struct guest_walk walk = {
		.gva = vmx_read(v, VMX_F_EXIT_QUALIFICATION),
		.access = vmx_read(v, VMX_F_EXIT_INTR_ERROR) &
			  (X86_PF_WRITE | X86_PF_USER | X86_PF_INSTR),
		.ac = v->paging->mode.smap && vmx_read(v, VMX_F_GUEST_RFLAGS) & X86_EFLAGS_AC,
	};
	int attempts, r;

	for (attempts = 0; attempts < ATTEMPTS; attempts++) {
		switch (fault_locked(v, &walk)) {
		case WALK_DONE:
			v->count.faults++;
			return VMX_FAULT_DONE;
		case WALK_FAULT:
			v->reason = VMX_REASON_EXCEPTION_NMI;
			return deliver_fault(v, walk.gva, walk.error);
		case WALK_MISS:
			r = get_miss(v);
			if (r != VMX_FAULT_DONE)
				return r;
			/* Another thread's turn. The guest faults again afterwards. */
			vmx_ledger_look();
			if (need_resched())
				return VMX_FAULT_DONE;
		}
	}
	return VMX_FAULT_DONE;
}

/* Control registers */

static int set_operand(struct vmx_vcpu *v, u64 qualification, u64 value)
{
	unsigned int n = qualification >> 8 & 0xf;

	if (n == 4)
		vmx_write(v, VMX_F_GUEST_RSP, value);
	else
		v->run->regs[n] = value;
	return 0;
}

static bool is_pae(u64 cr0, u64 cr4, u64 efer)
{
	return cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE && !(efer & (EFER_LME | EFER_LMA));
}

static bool has_16bit_tss(struct vmx_vcpu *v)
{
	return (vmx_read(v, VMX_F_GUEST_TR_ACCESS) & TSS_TYPE) == TSS_16BIT_BUSY;
}

/* SDM, "MOV--Move to/from Control Registers": what is a #GP. */
static bool cr0_valid(struct vmx_vcpu *v, u64 old, u64 value, u64 cr4)
{
	const struct vmx_paging *p = v->paging;
	bool long_code = vmx_read(v, VMX_F_GUEST_CS_ACCESS) & VMX_ACCESS_L;

	if (value >> 32 || (value & X86_CR0_PG && !(value & X86_CR0_PE)) ||
	    (value & X86_CR0_NW && !(value & X86_CR0_CD)))
		return false;
	if (!((value ^ old) & X86_CR0_PG))
		return true;
	if (!(value & X86_CR0_PG))
		return !(long_code && paging_is_long(p)) && !(cr4 & X86_CR4_PCIDE);
	return !(p->efer & EFER_LME) ||
	       (cr4 & X86_CR4_PAE && !long_code && !has_16bit_tss(v));
}

/* SDM, "Initializing IA-32e Mode" and "IA-32e Mode Operation Overview": LMA is LME and PG. */
static void switch_long_mode(struct vmx_vcpu *v, u64 cr0)
{
	u64 controls = vmx_read(v, VMX_F_ENTRY_CONTROLS);
	u64 efer = v->paging->efer & ~(u64)EFER_LMA;

	controls &= ~(u64)VMX_ENTRY_CTL_IA32E_MODE_GUEST;
	if (cr0 & X86_CR0_PG && efer & EFER_LME) {
		efer |= EFER_LMA;
		controls |= VMX_ENTRY_CTL_IA32E_MODE_GUEST;
	}
	vmx_vmcs_write(v->vmcs, VMX_F_ENTRY_CONTROLS, controls, controls);
	v->paging->efer = efer;
}

static int set_cr0(struct vmx_vcpu *v, u64 value)
{
	struct vmx_paging *p = v->paging;
	u64 old = paging_cr0(v), cr4 = paging_cr4(v);
	int r;

	value = (old & p->cr0_mask) | (value & ~p->cr0_mask) | X86_CR0_ET;
	if (!cr0_valid(v, old, value, cr4))
		return PAGING_GP;
	/* Reserved bits ignore writes (SDM, "Control Registers"). */
	value &= CR0_ARCHITECTED;
	if ((value ^ old) & X86_CR0_PG && is_pae(value, cr4, p->efer)) {
		r = paging_load_pdptes(v, p->cr3);
		if (r)
			return r;
	}
	if ((value ^ old) & X86_CR0_PG)
		switch_long_mode(v, value);
	p->cr0 = value;
	p->cr4 = cr4;
	paging_apply(v);
	/* The PDPTEs are loaded already. */
	p->reread = false;
	return 0;
}

/* SDM, "MOV--Move to/from Control Registers" */
static bool cr4_valid(struct vmx_vcpu *v, u64 old, u64 value)
{
	const struct vmx_paging *p = v->paging;
	u64 change = old ^ value, judged = value;

	if (vmx_vmcs_judge(v->vmcs, VMX_F_GUEST_CR4, &judged) || judged != value)
		return false;
	if (paging_is_long(p) && (!(value & X86_CR4_PAE) || change & X86_CR4_LA57))
		return false;
	return !(change & value & X86_CR4_PCIDE) || (paging_is_long(p) && !(p->cr3 & 0xfff));
}

static int set_cr4(struct vmx_vcpu *v, u64 value)
{
	struct vmx_paging *p = v->paging;
	u64 cr0 = paging_cr0(v), old = paging_cr4(v);
	int r;

	value = (old & p->cr4_mask) | (value & ~p->cr4_mask);
	if (!cr4_valid(v, old, value))
		return PAGING_GP;
	if ((value ^ old) & (X86_CR4_PAE | X86_CR4_PSE | X86_CR4_PGE | X86_CR4_SMEP) &&
	    is_pae(cr0, value, p->efer)) {
		r = paging_load_pdptes(v, p->cr3);
		if (r)
			return r;
	}
	p->cr0 = cr0;
	p->cr4 = value;
	paging_apply(v);
	return 0;
}

static bool cr3_valid(const struct vmx_paging *p, u64 *value)
{
	/* With PCIDs bit 63 asks to keep translations. A CPU may drop them all the same. */
	if (p->cr4 & X86_CR4_PCIDE)
		*value &= ~BIT_ULL(63);
	return !paging_is_long(p) || !(*value >> vmx_caps.phys_bits);
}

static int set_cr3(struct vmx_vcpu *v, u64 value)
{
	struct vmx_paging *p = v->paging;
	int r;

	if (!cr3_valid(p, &value))
		return PAGING_GP;
	if (p->mode.format == GUEST_PAE) {
		r = paging_load_pdptes(v, value);
		if (r)
			return r;
	}
	p->cr3 = value;
	p->reload = true;
	return 0;
}

/**
 * vmx_paging_set_efer() - the guest writes EFER
 * @v: the vCPU, loaded
 * @value: the new value
 *
 * SDM, "Extended Feature Enable Register": LME is fixed under paging.
 *
 * Context: preemption off.
 * Return: false if it is a #GP.
 */
bool vmx_paging_set_efer(struct vmx_vcpu *v, u64 value)
{
	struct vmx_paging *p = v->paging;
	u64 cr0 = paging_cr0(v);

	if (value & ~vmx_paging_efer_bits() || ((value ^ p->efer) & EFER_LME && cr0 & X86_CR0_PG))
		return false;
	value = (value & ~(u64)EFER_LMA) | (p->efer & EFER_LMA);
	p->cr0 = cr0;
	p->cr4 = paging_cr4(v);
	p->efer = value;
	v->vmcs->efer = value;
	v->vmcs->syscall |= value & EFER_SCE;
	paging_apply(v);
	return true;
}

/* What userspace asked for, where the CPU does not insist on it. */
static bool user_wants(const struct vmx_vcpu *v, u32 control)
{
	return v->vmcs->cpu_ctls & control & ~vmx_caps.cpu.must;
}

/* SDM, "CR3-Target Values": with these the guest may load CR3 all the same. */
static bool user_wants_cr3(struct vmx_vcpu *v, u64 value)
{
	unsigned int n, count = min(v->paging->cr3_targets, MAX_CR3_TARGETS);

	if (!user_wants(v, VMX_CPU_CR3_LOAD_EXITING))
		return false;
	for (n = 0; n < count; n++)
		if (value == vmx_read(v, VMX_F_CR3_TARGET_0 + 2 * n))
			return false;
	return true;
}

/* 0, PAGING_GP, -EAGAIN, or -EPERM: it is userspace's. */
static int mov_to(struct vmx_vcpu *v, unsigned int cr, u64 value)
{
	const struct vmx_paging *p = v->paging;

	switch (cr) {
	case 0:
		return (value ^ p->cr0_shadow) & p->cr0_mask ? -EPERM : set_cr0(v, value);
	case 3:
		return user_wants_cr3(v, value) ? -EPERM : set_cr3(v, value);
	case 4:
		return (value ^ p->cr4_shadow) & p->cr4_mask ? -EPERM : set_cr4(v, value);
	default:
		return -EPERM;
	}
}

/* SDM, "Exit Qualification for Control-Register Accesses" */
static int cr_access(struct vmx_vcpu *v)
{
	u64 q = vmx_read(v, VMX_F_EXIT_QUALIFICATION);
	unsigned int cr = q & 0xf, kind = q >> 4 & 3;

	if (kind == 0)
		return mov_to(v, cr, paging_operand(v, q >> 8 & 0xf));
	if (kind == 1 && cr == 3 && !user_wants(v, VMX_CPU_CR3_STORE_EXITING))
		return set_operand(v, q, v->paging->cr3);
	/* CLTS and LMSW exit only for userspace's masks. */
	return -EPERM;
}

static int invalidate(struct vmx_vcpu *v)
{
	struct vmx_mmu *mmu = v->mmu;
	int r = 0;

	if (user_wants(v, VMX_CPU_INVLPG_EXITING))
		return -EPERM;
	if (v->reason == VMX_REASON_INVPCID)
		r = paging_judge_invpcid(v);
	if (r)
		return r;
	spin_lock(&mmu->lock);
	v->paging->linked = 0;
	/* vmx_paging_load() does the rest before the guest goes on. */
	if (!shadow_sync(v->paging->shadow, &v->paging->sync_until, true))
		v->paging->reload = true;
	spin_unlock(&mmu->lock);
	vmx_vpid_forget(v);
	return 0;
}

static int finish(struct vmx_vcpu *v, int r)
{
	if (r == -EPERM)
		return VMX_FAULT_EXIT;
	if (r < 0)
		return r;
	if (r)
		vmx_inject_fault(v, r, r == PAGING_PF ? v->intr_error : 0);
	else
		vmx_retire(v);
	return VMX_FAULT_DONE;
}

/**
 * vmx_paging_cr_access() - finish a MOV to CR3 that needs no more than another root
 * @v: the vCPU, loaded
 *
 * Context: interrupts off.
 * Return: false if nothing was done, and it is vmx_paging_exit()'s.
 */
bool vmx_paging_cr_access(struct vmx_vcpu *v)
{
	const struct vmx_paging *p = v->paging;
	u64 q = vmx_read(v, VMX_F_EXIT_QUALIFICATION), value;

	if ((q & 0x3f) != 3 || p->mode.format != GUEST_LONG)
		return false;
	value = paging_operand(v, q >> 8 & 0xf);
	if (user_wants_cr3(v, value) || !cr3_valid(p, &value) || !paging_switch(v, value))
		return false;
	vmx_retire(v);
	return true;
}

/**
 * vmx_paging_exit() - finish an exit that has to do with paging
 * @v: the vCPU, loaded
 *
 * Context: interrupts on, preemption off.
 * Return: an enum vmx_fault, -EAGAIN: ask again after vmx_paging_prepare() and
 * another exit, or another errno of vmx_mmu_fault().
 */
int vmx_paging_exit(struct vmx_vcpu *v)
{
	if (v->reason == VMX_REASON_EXCEPTION_NMI)
		return page_fault(v);
	/* An instruction may become an EPT violation, but none in the delivery of an event. */
	v->idt_info = 0;
	return finish(v, v->reason == VMX_REASON_CR_ACCESS ? cr_access(v) : invalidate(v));
}

/**
 * vmx_paging_prepare() - get what an exit, or loading the roots, did without
 * @v: the vCPU, not loaded
 *
 * Context: may sleep.
 * Return: an enum vmx_fault, or an errno of vmx_mmu_fault().
 */
int vmx_paging_prepare(struct vmx_vcpu *v)
{
	struct vmx_paging *p = v->paging;
	int err = ept_top_up(&v->mmu->ept) ?: shadow_top_up(v->paging->shadow, p->miss_frame);

	cond_resched();
	if (!err && signal_pending(current))
		return -EINTR;
	if (err || p->miss == ~0ULL)
		return err;
	return vmx_mmu_fault(v->mmu, p->miss, p->miss_access, false, &v->miss);
}
