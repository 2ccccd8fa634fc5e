// SPDX-License-Identifier: GPL-2.0
/*
 * The ledgers; see ledger.h. Nothing here changes what the module does.
 */
#include <linux/bug.h>

#include "../mmu/mmu.h"
#include "ledger.h"
#include "vmx.h"

/*
 * Whose translations carry a VPID on a CPU: the vCPU that executed INVVPID there
 * last, and the stay in which it did.
 */
struct vpid_entry {
	u64 vcpu;
	u64 move;
};

/* As many as tests have vCPUs at a time; VPIDs beyond are not followed. */
#define FOLLOWED_VPIDS 64

static DEFINE_PER_CPU(struct vpid_entry [FOLLOWED_VPIDS], vpid_ledger);

/* The VMCS whose guest is the only one that has run since the last barrier. */
static DEFINE_PER_CPU(u64, predictor_ledger);
static atomic64_t next_vcpu = ATOMIC64_INIT(0);

/**
 * vmx_ledger_vmptrld() - VMPTRLD was executed
 * @r: the region
 *
 * A VMCS may be active on one CPU only (SDM, "Software Use of
 * Virtual-Machine Control Structures"), and not before VMCLEAR has initialized its
 * region ("Initializing a VMCS").
 *
 * Context: preemption off.
 */
void vmx_ledger_vmptrld(struct vmx_region *r)
{
	int cpu = smp_processor_id();
	int old = atomic_xchg(&r->ledger.cpu, cpu + 1);

	WARN_ONCE(old && old != cpu + 1,
		  "VMCS loaded on CPU %d while active on CPU %d\n", cpu, old - 1);
	WARN_ONCE(!r->ledger.initialized,
		  "VMPTRLD of a region that VMCLEAR has not initialized\n");
}

/**
 * vmx_ledger_vmclear() - VMCLEAR was executed
 * @r: the region
 *
 * Context: preemption off.
 */
void vmx_ledger_vmclear(struct vmx_region *r)
{
	int cpu = smp_processor_id();
	int old = atomic_xchg(&r->ledger.cpu, 0);

	WARN_ONCE(old && old != cpu + 1,
		  "VMCS cleared on CPU %d while active on CPU %d\n", cpu, old - 1);
	r->ledger.initialized = true;
	r->ledger.launched = false;
}

/**
 * vmx_ledger_region_free() - a VMCS region goes back to the host
 * @r: the region
 *
 * A CPU that has it active writes to it.
 *
 * Context: any.
 */
void vmx_ledger_region_free(struct vmx_region *r)
{
	int cpu = atomic_read(&r->ledger.cpu);

	WARN_ONCE(cpu, "VMCS region freed while active on CPU %d\n", cpu - 1);
}

/**
 * vmx_ledger_barrier() - an indirect-branch prediction barrier was issued
 * @r: the region that is current
 *
 * Context: preemption off.
 */
void vmx_ledger_barrier(const struct vmx_region *r)
{
	__this_cpu_write(predictor_ledger, r->id);
}

/**
 * vmx_ledger_invept_all() - INVEPT was executed for all EPTs
 * @v: a vCPU whose views have the generations that were read before
 *
 * Context: interrupts off.
 */
void vmx_ledger_invept_all(const struct vmm_vcpu *v)
{
	const u64 begun = rdtsc();
	unsigned int i;

	for (i = 0; i < v->views->count; i++)
		gphys_ledger_dropped(&v->views->view[i]);
	base_ledger_pass(rdtsc() - begun);
}

static struct vpid_entry *vpid_entry(struct vmm_vcpu *v)
{
	return v->tag.id < FOLLOWED_VPIDS ? this_cpu_ptr(&vpid_ledger[v->tag.id]) :
					  NULL;
}

/* The vCPU's name in the ledger, and how often it changed CPU. */
static void note_move(struct vmm_vcpu *v)
{
	if (!v->ledger.id)
		v->ledger.id = atomic64_inc_return(&next_vcpu);
	if (v->ledger.cpu == smp_processor_id() + 1)
		return;
	v->ledger.cpu = smp_processor_id() + 1;
	v->ledger.move++;
}

/**
 * vmx_ledger_invvpid() - INVVPID was executed for the vCPU's VPID
 * @v: the vCPU
 *
 * Context: interrupts off.
 */
void vmx_ledger_invvpid(struct vmm_vcpu *v)
{
	struct vpid_entry *e = vpid_entry(v);

	note_move(v);
	if (e)
		*e = (struct vpid_entry) { v->ledger.id, v->ledger.move };
}

static void check_vmcs(struct vmm_vcpu *v)
{
	u64 current_pa = vmx_insn_vmptrst(__pa(v->vmcs->region.page));

	WARN_ONCE(current_pa != __pa(v->vmcs->region.page),
		  "entering with another VMCS than the vCPU's\n");
	WARN_ONCE(atomic_read(&v->vmcs->region.ledger.cpu) != smp_processor_id() + 1,
		  "entering with a VMCS that is not active here\n");
	/* SDM, "VMLAUNCH/VMRESUME--Launch/Resume Virtual Machine" */
	WARN_ONCE(v->vmcs->region.launched != v->vmcs->region.ledger.launched,
		  "entering by %s with a VMCS whose launch state is %s\n",
		  v->vmcs->region.launched ? "VMRESUME" : "VMLAUNCH",
		  v->vmcs->region.ledger.launched ? "launched" : "clear");
}

static void check_vpid(struct vmm_vcpu *v)
{
	struct vpid_entry *e = vpid_entry(v);

	note_move(v);
	if (!v->tag.id || !e)
		return;
	WARN_ONCE(e->vcpu != v->ledger.id,
		  "entering with another vCPU's translations under VPID %u\n",
		  v->tag.id);
	WARN_ONCE(e->vcpu == v->ledger.id && e->move != v->ledger.move,
		  "entering with translations from before the vCPU was elsewhere\n");
}

/**
 * vmx_ledger_enter() - VM entry is next
 * @v: the vCPU
 *
 * What gphys_flush() promised to others must have been dropped on this CPU.
 *
 * Context: interrupts off.
 */
void vmx_ledger_enter(struct vmm_vcpu *v)
{
	unsigned int i;

	/* First, since the time of the other ledgers does not count. */
	base_ledger_irqs_on();
	base_ledger_look();
	check_vmcs(v);
	WARN_ONCE(__this_cpu_read(predictor_ledger) != v->vmcs->region.id,
		  "entering with what another guest taught the branch predictor\n");
	check_vpid(v);
	/* The guest may go to any of them without an exit. */
	for (i = 0; i < v->views->count; i++)
		gphys_ledger_enter(&v->views->view[i], &v->ledger.inside);
	WRITE_ONCE(v->ledger.inside, true);
}

static bool has_entered(const struct vmm_vcpu *v)
{
	return !(v->exit.reason & (VMX_REASON_ENTRY_FAILURE | VMX_REASON_VM_INSTRUCTION));
}

/**
 * vmx_ledger_leave() - a VM exit happened, or the entry failed
 * @v: the vCPU
 *
 * Context: interrupts off.
 */
void vmx_ledger_leave(struct vmm_vcpu *v)
{
	WRITE_ONCE(v->ledger.inside, false);
	base_ledger_irqs_off();
	base_ledger_begin();
	/* A failed entry leaves the launch state as it was. */
	if (has_entered(v))
		v->vmcs->region.ledger.launched = true;
}

/**
 * vmx_ledger_handled() - the last exit was looked at, while interrupts are off
 * @v: the vCPU
 *
 * An event whose delivery it ended must not be lost (SDM, "Information for VM Exits That
 * Occur During Event Delivery").
 *
 * Context: interrupts off.
 */
void vmx_ledger_handled(struct vmm_vcpu *v)
{
	WARN_ONCE(has_entered(v) && !v->event.info &&
		  vmx_insn_vmread(VMX_F_IDT_VECTORING_INFO) & VMX_INTR_VALID,
		  "exit %u lost an event that was being delivered\n", v->exit.reason);
}
