// SPDX-License-Identifier: GPL-2.0
/*
 * VMCS regions: the CPU where each is active, and moves between CPUs. SDM, "Organization of VMCS
 * Data" and "VMCS states".
 */
#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/smp.h>

#include <asm/nospec-branch.h>

#include "../core/vm.h"
#include "caps.h"
#include "ledger.h"
#include "ops.h"
#include "power.h"
#include "region.h"

/* Regions that are cleared while interrupts are off, where there is time. */
#define CLEAR_BATCH 64

/**
 * vmx_region_alloc() - make a region, which is active nowhere
 * @r: all 0
 * @vm: whose it is
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vmx_region_alloc(struct vmx_region *r, struct vmm_vm *vm)
{
	static atomic64_t regions;

	r->page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!r->page)
		return -ENOMEM;
	/* SDM, "Format of the VMCS Region" */
	*(u32 *)r->page = vmx_caps_revision();
	r->id = atomic64_inc_return(&regions);
	r->cpu = -1;
	r->vm = vm;
	return 0;
}

/**
 * vmx_region_free() - undo vmx_region_alloc()
 * @r: the region, which nobody uses
 *
 * Context: may sleep.
 */
void vmx_region_free(struct vmx_region *r)
{
	vmx_region_clear(r);
	vmx_ledger_region_free(r);
	free_page((unsigned long)r->page);
}

/*
 * VMCLEAR writes back what the CPU caches of the region and makes the launch
 * state clear. On the CPU where it is active, interrupts off.
 */
static void clear_here(struct vmx_region *r)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);

	vmx_insn_vmclear(__pa(r->page));
	vmx_ledger_vmclear(r);
	if (cpu->current_region == r)
		cpu->current_region = NULL;
	list_del(&r->active_link);
	r->launched = false;
	/* Last: from here on another CPU may load it. */
	smp_store_release(&r->cpu, -1);
}

static void clear_ipi(void *info)
{
	struct vmx_region *r = info;

	/* The CPU may have gone through hotplug since the caller looked. */
	if (r->cpu == smp_processor_id())
		clear_here(r);
}

/**
 * vmx_region_clear() - make a region inactive, wherever it is active
 * @r: of a VMCS that is busy for the caller or about to be freed
 *
 * Context: interrupts on.
 */
void vmx_region_clear(struct vmx_region *r)
{
	int cpu = READ_ONCE(r->cpu);

	/* A CPU that went offline cleared it on the way; then cpu is -1. */
	if (cpu < 0)
		return;
	if (cpu != raw_smp_processor_id())
		atomic64_inc(&r->vm->ipis);
	smp_call_function_single(cpu, clear_ipi, r, 1);
}

/*
 * Make a region active on this CPU. The first instruction on a new region has to be
 * VMCLEAR (SDM, "Initializing a VMCS"); one that is active nowhere and had its VMCLEAR
 * does not mind another.
 */
static bool activate_here(struct vmx_region *r)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);

	if (READ_ONCE(r->cpu) >= 0)
		vmx_region_clear(r);
	else if (vmx_insn_vmclear(__pa(r->page)))
		vmx_ledger_vmclear(r);
	else
		return false;
	local_irq_disable();
	list_add(&r->active_link, &cpu->active);
	r->cpu = smp_processor_id();
	local_irq_enable();
	return true;
}

/*
 * Another guest may have trained the indirect-branch predictor, and so may what
 * another virtual CPU of the same guest executed: its kernel takes them for
 * different CPUs. This is no business of an ioctl that reads fields, but RUN would
 * look for it each time.
 */
static void separate_guests(struct vmx_cpu *cpu, const struct vmx_region *r)
{
	if (cpu->last_region == r->id)
		return;
	cpu->last_region = r->id;
	indirect_branch_prediction_barrier();
	vmx_ledger_barrier(r);
}

/**
 * vmx_region_make_current() - vmx_region_load() of one that is not current
 * @r: of a VMCS that is busy for the caller
 *
 * Context: preemption off, interrupts on.
 * Return: as vmx_region_load().
 */
int vmx_region_make_current(struct vmx_region *r)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);
	int moved = 0;

	if (unlikely(!READ_ONCE(cpu->on)))
		return cpu_active(smp_processor_id()) ? -EIO : -EAGAIN;

	if (r->cpu != smp_processor_id()) {
		if (!activate_here(r))
			return -EIO;
		moved = 1;
	}
	if (!vmx_insn_vmptrld(__pa(r->page)))
		return -EIO;
	vmx_ledger_vmptrld(r);
	cpu->current_region = r;
	separate_guests(cpu, r);
	return moved;
}

/**
 * vmx_region_clear_some() - VMCLEAR some of the regions that are active on this CPU
 *
 * Context: interrupts off.
 * Return: true if there may be others.
 */
bool vmx_region_clear_some(void)
{
	struct list_head *active = &this_cpu_ptr(&vmx_cpu)->active;
	struct vmx_region *r, *next;
	unsigned int left = CLEAR_BATCH;

	list_for_each_entry_safe(r, next, active, active_link) {
		if (!left--)
			return true;
		clear_here(r);
	}
	return false;
}

/**
 * vmx_region_clear_cpu() - VMCLEAR all regions that are active on this CPU
 *
 * Context: interrupts off.
 */
void vmx_region_clear_cpu(void)
{
	struct vmx_region *r, *next;

	list_for_each_entry_safe(r, next, &this_cpu_ptr(&vmx_cpu)->active, active_link)
		clear_here(r);
}

/**
 * vmx_region_crash_cpu() - VMCLEAR for a crash dump
 *
 * What the CPU caches of VMCS data reaches memory before the crash kernel
 * reads or reuses it. The list may be half changed: it is followed, never
 * written.
 *
 * Context: any, NMI included.
 */
void vmx_region_crash_cpu(void)
{
	struct vmx_region *r;

	list_for_each_entry(r, &this_cpu_ptr(&vmx_cpu)->active, active_link)
		vmx_insn_vmclear(__pa(r->page));
}
