/* SPDX-License-Identifier: GPL-2.0 */
/* VMX operation of each CPU: on while a VM exists. */
#ifndef VMX_POWER_H
#define VMX_POWER_H

#include <linux/list.h>
#include <linux/percpu.h>

#include <asm/desc_defs.h>

struct vmm_vm;
struct vmx_region;

/**
 * struct vmx_cpu - what one CPU has of VMX
 * @vmxon_region: its VMXON region
 * @on: it is in VMX operation, by us
 * @current_region: of its current VMCS, NULL if none
 * @active: regions active on it, by struct vmx_region.active_link
 * @gdt: what SGDT says, to be loaded again after VM exits changed the limit
 * @last_region: struct vmx_region.id of the one that was current here last, or 0
 *
 * Touched by its own CPU alone, @active with interrupts off.
 */
struct vmx_cpu {
	void *vmxon_region;
	bool on;
	struct vmx_region *current_region;
	struct list_head active;
	struct desc_ptr gdt;
	u64 last_region;
};

DECLARE_PER_CPU(struct vmx_cpu, vmx_cpu);

int vmx_power_init(void);
void vmx_power_exit(void);
int vmx_power_get(void);
void vmx_power_put(void);

#endif /* VMX_POWER_H */
