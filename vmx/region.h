/* SPDX-License-Identifier: GPL-2.0 */
/* VMCS regions: what the CPU has of a VMCS. */
#ifndef VMX_REGION_H
#define VMX_REGION_H

#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/types.h>

#include "ledger.h"
#include "power.h"

struct vmm_vm;

/**
 * struct vmx_region - a VMCS region, and what is in force in it
 * @page: the region, in the CPU's own format
 * @vm: the VM that interrupts sent for it are counted for
 * @id: no other region has or will have it
 * @cpu: the CPU it is active on, -1 if none
 * @launched: its launch state; what VMLAUNCH or VMRESUME is chosen by
 * @active_link: in struct vmx_cpu.active of @cpu
 * @pin_in_force: pin-based controls, with the timer bit that RUN switches
 * @cpu_in_force: primary processor-based controls, with the window bits that RUN switches, and
 *	without those that the module turned on for the vCPU
 * @ledger: for debug builds
 */
struct vmx_region {
	void *page;
	struct vmm_vm *vm;
	u64 id;
	int cpu;
	bool launched;
	struct list_head active_link;
	u32 pin_in_force;
	u32 cpu_in_force;
	struct vmx_region_ledger ledger;
};

int vmx_region_alloc(struct vmx_region *r, struct vmm_vm *vm);
void vmx_region_free(struct vmx_region *r);
int vmx_region_make_current(struct vmx_region *r);
void vmx_region_clear(struct vmx_region *r);
bool vmx_region_clear_some(void);
void vmx_region_clear_cpu(void);
void vmx_region_crash_cpu(void);

/**
 * vmx_region_load() - make a region current on this CPU
 * @r: of a VMCS that is busy for the caller
 *
 * Context: preemption off, interrupts on.
 * Return: 0; 1 if it was active elsewhere or nowhere and per-CPU host state
 * has to be written; -EAGAIN if this CPU is on its way offline, and the
 * caller must let the scheduler move it; -EIO if VMX was switched off
 * (a reboot).
 */
static inline int vmx_region_load(struct vmx_region *r)
{
	if (likely(this_cpu_read(vmx_cpu.current_region) == r))
		return 0;
	return vmx_region_make_current(r);
}

#endif /* VMX_REGION_H */
