/* SPDX-License-Identifier: GPL-2.0 */
/* VMX operation of each CPU: on while a VM exists. */
#ifndef VMX_POWER_H
#define VMX_POWER_H

#include <linux/list.h>
#include <linux/percpu.h>

#include <asm/desc_defs.h>

struct vmx_vm;
struct vmx_vmcs;

/**
 * struct vmx_cpu - what one CPU has of VMX
 * @vmxon_region: its VMXON region
 * @on: it is in VMX operation, by us
 * @current_vmcs: its current VMCS, NULL if none
 * @active: VMCSs active on it, by struct vmx_vmcs.active_link
 * @gdt: what SGDT says, to be loaded again after VM exits changed the limit
 * @last_vmcs: struct vmx_vmcs.id of the one that was current here last, or 0
 *
 * Touched by its own CPU alone, @active with interrupts off.
 */
struct vmx_cpu {
	void *vmxon_region;
	bool on;
	struct vmx_vmcs *current_vmcs;
	struct list_head active;
	struct desc_ptr gdt;
	u64 last_vmcs;
};

DECLARE_PER_CPU(struct vmx_cpu, vmx_cpu);

int vmx_power_init(void);
void vmx_power_exit(void);
int vmx_power_get(void);
void vmx_power_put(void);

#endif /* VMX_POWER_H */
