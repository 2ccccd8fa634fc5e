// SPDX-License-Identifier: GPL-2.0
/* The VM object: the owner's address space, and the objects created from the VM. */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "../mmu/mmu.h"
#include "vcpu.h"
#include "vendor.h"
#include "vm.h"

/**
 * vmm_vm_get() - take a reference
 * @vm: the VM
 *
 * Context: any.
 * Return: @vm.
 */
struct vmm_vm *vmm_vm_get(struct vmm_vm *vm)
{
	kref_get(&vm->ref);
	return vm;
}

static void vm_free(struct kref *ref)
{
	struct vmm_vm *vm = container_of(ref, struct vmm_vm, ref);

	mmdrop(vm->mm);
	kfree(vm);
	vmm_vendor->disable();
}

/**
 * vmm_vm_put() - drop a reference
 * @vm: the VM
 *
 * Context: may sleep.
 */
void vmm_vm_put(struct vmm_vm *vm)
{
	kref_put(&vm->ref, vm_free);
}

static int get_create(void __user *arg)
{
	struct vmx_create c;
	int err = base_copy_in(&c, sizeof(c), arg, sizeof(c));

	return err ?: c.flags ? -EOPNOTSUPP : 0;
}

static long create_vcpu(struct vmm_vm *vm, void __user *arg)
{
	struct vmx_create_vcpu c;
	int err = base_copy_in(&c, sizeof(c), arg, sizeof(c));

	if (err)
		return err;
	return c.flags ? -EOPNOTSUPP : vmm_vcpu_create(vm, &c);
}

static long vm_stats(struct vmm_vm *vm, void __user *arg)
{
	struct vmx_vm_stats *s;
	struct vmm_vcpu *v;
	u32 size, flags;
	long err;

	s = kmalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return -ENOMEM;
	err = base_copy_in(s, sizeof(*s), arg, sizeof(*s));
	size = s->size;
	flags = s->flags;
	if (!err && flags)
		err = -EOPNOTSUPP;
	if (!err) {
		mutex_lock(&vm->lock);
		*s = vm->past;
		s->size = size;
		list_for_each_entry(v, &vm->vcpus, link) {
			vmm_vcpu_add_counters(v, s);
			base_cond_resched();
		}
		s->ipis = atomic64_read(&vm->ipis);
		mutex_unlock(&vm->lock);
		err = base_copy_out(arg, s, sizeof(*s));
	}
	kfree(s);
	return err;
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vmm_vm *vm = file->private_data;
	void __user *uarg = (void __user *)arg;
	int err;

	if (cmd == VMX_VM_STATS) {
		base_ledger_begin();
		err = vm_stats(vm, uarg);
		base_ledger_end();
		return err;
	}
	if (!vmm_vm_owned(vm))
		return -EPERM;
	switch (cmd) {
	case VMX_CREATE_VMCS:
		err = get_create(uarg);
		return err ?: vmm_vendor->create_vmcs(vm);
	case VMX_CREATE_EPT:
		err = get_create(uarg);
		return err ?: gphys_create_ept(vm);
	case VMX_CREATE_SHADOW:
		err = get_create(uarg);
		return err ?: gphys_create_shadow(vm);
	case VMX_CREATE_VCPU:
		return create_vcpu(vm, uarg);
	default:
		return -ENOTTY;
	}
}

static int vm_release(struct inode *inode, struct file *file)
{
	vmm_vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_release,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/**
 * vmm_vm_create() - %VMX_CREATE_VM
 *
 * Context: may sleep; the owner-to-be.
 * Return: a descriptor or a negative errno.
 */
int vmm_vm_create(void)
{
	struct vmm_vm *vm;
	int fd;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return -ENOMEM;
	fd = vmm_vendor->enable();
	if (fd) {
		kfree(vm);
		return fd;
	}
	kref_init(&vm->ref);
	mutex_init(&vm->lock);
	INIT_LIST_HEAD(&vm->vcpus);
	vm->mm = current->mm;
	mmgrab(vm->mm);
	fd = base_new_fd("[vmx-vm]", &vm_fops, vm);
	if (fd < 0)
		vmm_vm_put(vm);
	return fd;
}
