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
 * vmx_vm_get() - take a reference
 * @vm: the VM
 *
 * Context: any.
 * Return: @vm.
 */
struct vmx_vm *vmx_vm_get(struct vmx_vm *vm)
{
	kref_get(&vm->ref);
	return vm;
}

static void vm_free(struct kref *ref)
{
	struct vmx_vm *vm = container_of(ref, struct vmx_vm, ref);

	mmdrop(vm->mm);
	kfree(vm);
	vmx_vendor->disable();
}

/**
 * vmx_vm_put() - drop a reference
 * @vm: the VM
 *
 * Context: may sleep.
 */
void vmx_vm_put(struct vmx_vm *vm)
{
	kref_put(&vm->ref, vm_free);
}

static int get_create(void __user *arg)
{
	struct vmx_create c;
	int err = vmx_copy_in(&c, sizeof(c), arg, sizeof(c));

	return err ?: c.flags ? -EOPNOTSUPP : 0;
}

static long create_vcpu(struct vmx_vm *vm, void __user *arg)
{
	struct vmx_create_vcpu c;
	int err = vmx_copy_in(&c, sizeof(c), arg, sizeof(c));

	if (err)
		return err;
	return c.flags ? -EOPNOTSUPP : vmx_vcpu_create(vm, &c);
}

static long stats(struct vmx_vm *vm, void __user *arg)
{
	struct vmx_vm_stats *s;
	struct vmx_vcpu *v;
	u32 size, flags;
	long err;

	s = kmalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return -ENOMEM;
	err = vmx_copy_in(s, sizeof(*s), arg, sizeof(*s));
	size = s->size;
	flags = s->flags;
	if (!err && flags)
		err = -EOPNOTSUPP;
	if (!err) {
		mutex_lock(&vm->lock);
		*s = vm->past;
		s->size = size;
		list_for_each_entry(v, &vm->vcpus, link) {
			vmx_vcpu_add_counters(v, s);
			vmx_cond_resched();
		}
		s->ipis = atomic64_read(&vm->ipis);
		mutex_unlock(&vm->lock);
		err = vmx_copy_out(arg, s, sizeof(*s));
	}
	kfree(s);
	return err;
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vmx_vm *vm = file->private_data;
	void __user *uarg = (void __user *)arg;
	int err;

	if (cmd == VMX_VM_STATS) {
		vmx_ledger_begin();
		err = stats(vm, uarg);
		vmx_ledger_end();
		return err;
	}
	if (!vmx_vm_owned(vm))
		return -EPERM;
	switch (cmd) {
	case VMX_CREATE_VMCS:
		err = get_create(uarg);
		return err ?: vmx_vendor->create_vmcs(vm);
	case VMX_CREATE_EPT:
		err = get_create(uarg);
		return err ?: vmx_mmu_create_ept(vm);
	case VMX_CREATE_SHADOW:
		err = get_create(uarg);
		return err ?: vmx_mmu_create_shadow(vm);
	case VMX_CREATE_VCPU:
		return create_vcpu(vm, uarg);
	default:
		return -ENOTTY;
	}
}

static int vm_release(struct inode *inode, struct file *file)
{
	vmx_vm_put(file->private_data);
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
 * vmx_vm_create() - %VMX_CREATE_VM
 *
 * Context: may sleep; the owner-to-be.
 * Return: a descriptor or a negative errno.
 */
int vmx_vm_create(void)
{
	struct vmx_vm *vm;
	int fd;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return -ENOMEM;
	fd = vmx_vendor->enable();
	if (fd) {
		kfree(vm);
		return fd;
	}
	kref_init(&vm->ref);
	mutex_init(&vm->lock);
	INIT_LIST_HEAD(&vm->vcpus);
	vm->mm = current->mm;
	mmgrab(vm->mm);
	fd = vmx_new_fd("[vmx-vm]", &vm_fops, vm);
	if (fd < 0)
		vmx_vm_put(vm);
	return fd;
}
