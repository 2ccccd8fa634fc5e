/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the folders of the module: objects, and calls between folders. */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <linux/vmx.h>

struct vmx_mmu;
struct vmx_vcpu;
struct vmx_vmcs;

/**
 * struct vmx_vm - what a descriptor from %VMX_CREATE_VM stands for
 * @ref: the descriptor's reference and one per object made from the VM
 * @mm: the owner's address space, held by mmgrab(): compared, never entered
 * @lock: protects @vcpus and @past
 * @vcpus: vCPUs alive
 * @past: counters of vCPUs that are gone
 * @ipis: interprocessor interrupts sent for the VM
 * @vpids: VPIDs that its vCPUs have
 */
struct vmx_vm {
	struct kref ref;
	struct mm_struct *mm;
	struct mutex lock;	/* vcpus and past */
	struct list_head vcpus;
	struct vmx_vm_stats past;
	atomic64_t ipis;
	atomic_t vpids;
};

/**
 * vmx_vm_owned() - does the caller's address space own the VM?
 * @vm: the VM
 *
 * Context: process.
 * Return: whether it does.
 */
static inline bool vmx_vm_owned(const struct vmx_vm *vm)
{
	return current->mm == vm->mm;
}

/* core/vm.c */
struct vmx_vm *vmx_vm_get(struct vmx_vm *vm);
void vmx_vm_put(struct vmx_vm *vm);
int vmx_vm_create(void);

/* base/user.c */
int vmx_user_bring(unsigned long uaddr, bool write);
int vmx_from_user(void *to, const void __user *from, size_t size);
int vmx_to_user(void __user *to, const void *from, size_t size);
void *vmx_dup_user(const void __user *from, size_t size);

/* base/ioctl.c */
int vmx_copy_in(void *kernel, size_t ksize, const void __user *user, size_t min);
int vmx_copy_out(void __user *user, const void *kernel, size_t ksize);
int vmx_new_fd(const char *name, const struct file_operations *fops, void *object);

#endif /* VMX_VMX_H */
