// SPDX-License-Identifier: GPL-2.0
/*
 * The host's performance counters while a guest runs. perf says what it wants to
 * be different then: counters that are not to count in guests (exclude_guest), and
 * those that write records (PEBS), which the CPU would write through the guest's
 * paging. VM entry and VM exit make the exchange (SDM, "Loading MSRs"), so that an
 * NMI finds the host's values wherever it comes.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/preempt.h>

#include <asm/msr.h>
#include <asm/perf_event.h>

#include "../base/kunit-export.h"
#include "perf.h"
#include "vmx.h"

static bool used __ro_after_init;

/*
 * perf can make counters for guests that have some of their own, and reads in a
 * struct kvm_pmu what these want. Ours have none: all of it is 0.
 */
static struct perf_guest_switch_msr *ask_perf(int *count)
{
	*count = 0;
	return perf_guest_get_msrs(count, page_address(ZERO_PAGE(0)));
}

/**
 * vmx_perf_init() - find out whether perf has counters that guests could disturb
 *
 * Context: module init.
 * Return: true if it has.
 */
bool __init vmx_perf_init(void)
{
	int count;

	preempt_disable();
	used = ask_perf(&count);
	preempt_enable();
	return used;
}

/**
 * vmx_perf_alloc() - get the MSR areas, where they are needed
 * @v: the vCPU
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vmx_perf_alloc(struct vmm_vcpu *v)
{
	BUILD_BUG_ON(sizeof(*v->perf) > PAGE_SIZE);
	if (!used)
		return 0;
	v->perf = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return v->perf ? 0 : -ENOMEM;
}

/**
 * vmx_perf_free() - undo vmx_perf_alloc(), which may have failed
 * @v: the vCPU
 *
 * Context: any.
 */
void vmx_perf_free(struct vmm_vcpu *v)
{
	free_page((unsigned long)v->perf);
}

static void write_counts(struct vmm_vcpu *v, unsigned int count)
{
	v->perf_count = count;
	vmx_write(v, VMX_F_ENTRY_MSR_LOAD_COUNT, count);
	vmx_write(v, VMX_F_EXIT_MSR_LOAD_COUNT, count);
}

/**
 * vmx_perf_attach() - tell the CPU where the areas are
 * @v: the vCPU, its VMCS current
 *
 * Context: preemption off.
 */
void vmx_perf_attach(struct vmm_vcpu *v)
{
	if (!v->perf)
		return;
	vmx_insn_vmwrite(VMX_F_ENTRY_MSR_LOAD_ADDR, __pa(v->perf->guest));
	vmx_insn_vmwrite(VMX_F_EXIT_MSR_LOAD_ADDR, __pa(v->perf->host));
}

/**
 * vmx_perf_detach() - undo vmx_perf_attach()
 * @v: the vCPU, its VMCS current
 *
 * Context: preemption off.
 */
void vmx_perf_detach(struct vmm_vcpu *v)
{
	if (!v->perf)
		return;
	write_counts(v, 0);
	vmx_insn_vmwrite(VMX_F_ENTRY_MSR_LOAD_ADDR, 0);
	vmx_insn_vmwrite(VMX_F_EXIT_MSR_LOAD_ADDR, 0);
}

/**
 * vmx_perf_fill() - the areas, from what perf says
 * @areas: the areas
 * @msrs: MSRs with the values that they are to have
 * @count: how many
 *
 * Context: any.
 * Return: how many have to be exchanged.
 */
unsigned int vmx_perf_fill(struct vmx_perf_areas *areas,
			   const struct perf_guest_switch_msr *msrs, int count)
{
	unsigned int n = 0;
	int i;

	for (i = 0; i < count && n < VMX_PERF_MSRS; i++) {
		if (msrs[i].guest == msrs[i].host)
			continue;
		areas->guest[n] = (struct vmx_msr_area_entry){ msrs[i].msr, 0, msrs[i].guest };
		areas->host[n++] = (struct vmx_msr_area_entry){ msrs[i].msr, 0, msrs[i].host };
	}
	return n;
}
EXPORT_SYMBOL_IF_KUNIT(vmx_perf_fill);

/*
 * A record may still be on its way when PEBS is switched off, and VM entry does
 * not wait for it: PEBS goes off before.
 */
static void write_pebs(struct vmm_vcpu *v, const struct vmx_msr_area_entry *area)
{
	unsigned int i;

	for (i = 0; i < v->perf_count; i++)
		if (area[i].index == MSR_IA32_PEBS_ENABLE)
			vmm_wrmsr(v, MSR_IA32_PEBS_ENABLE, area[i].value);
}

/**
 * vmx_perf_switch() - have VM entry and VM exit exchange what perf wants now
 * @v: the vCPU, loaded
 *
 * perf changes what it wants by interrupt, and takes back what it wanted by NMI.
 * So this comes after interrupts were open, and before each entry as long as there
 * is something to exchange.
 *
 * Context: interrupts off, before VM entry.
 */
void vmx_perf_switch(struct vmm_vcpu *v)
{
	struct perf_guest_switch_msr *msrs;
	unsigned int n = 0;
	int count;

	if (!v->perf)
		return;
	msrs = ask_perf(&count);
	if (msrs)
		n = vmx_perf_fill(v->perf, msrs, count);
	if (n != v->perf_count)
		write_counts(v, n);
	write_pebs(v, v->perf->guest);
}

/**
 * vmx_perf_undo() - undo vmx_perf_switch() where VMLAUNCH or VMRESUME failed
 * @v: the vCPU, loaded
 *
 * There was no VM exit that would have done it.
 *
 * Context: interrupts off since.
 */
void vmx_perf_undo(struct vmm_vcpu *v)
{
	if (v->perf)
		write_pebs(v, v->perf->host);
}
