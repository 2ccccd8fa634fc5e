/* SPDX-License-Identifier: GPL-2.0 */
/* The VM object. */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <linux/vmx.h>

/**
 * struct vmm_vm - what a descriptor from %VMX_CREATE_VM stands for
 * @ref: the descriptor's reference and one per object made from the VM
 * @mm: the owner's address space, held by mmgrab(): compared, never entered
 * @lock: protects @vcpus and @past
 * @vcpus: vCPUs alive
 * @past: counters of vCPUs that are gone
 * @ipis: interprocessor interrupts sent for the VM
 * @vpids: VPIDs that its vCPUs have
 */
struct vmm_vm {
	struct kref ref;
	struct mm_struct *mm;
	struct mutex lock;	/* vcpus and past */
	struct list_head vcpus;
	struct vmx_vm_stats past;
	atomic64_t ipis;
	atomic_t vpids;
};

/**
 * vmm_vm_owned() - does the caller's address space own the VM?
 * @vm: the VM
 *
 * Context: process.
 * Return: whether it does.
 */
static inline bool vmm_vm_owned(const struct vmm_vm *vm)
{
	return current->mm == vm->mm;
}

struct vmm_vm *vmm_vm_get(struct vmm_vm *vm);
void vmm_vm_put(struct vmm_vm *vm);
int vmm_vm_create(void);

#endif /* VMM_VM_H */
