// SPDX-License-Identifier: GPL-2.0
/* The VMCS object and its descriptor. */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vmcs.h"

static const struct file_operations vmcs_fops;

static void vmcs_free(struct kref *ref)
{
	struct vmx_vmcs *vmcs = container_of(ref, struct vmx_vmcs, ref);
	struct vmm_vm *vm = vmcs->vm;

	vmx_region_free(&vmcs->region);
	kfree(vmcs);
	vmm_vm_put(vm);
}

/**
 * vmx_vmcs_put() - drop a reference
 * @vmcs: the VMCS
 *
 * Context: may sleep.
 */
void vmx_vmcs_put(struct vmx_vmcs *vmcs)
{
	kref_put(&vmcs->ref, vmcs_free);
}

/**
 * vmx_vmcs_from_fd() - the VMCS behind a descriptor
 * @fd: the descriptor
 * @vm: the VM it has to belong to
 *
 * Context: may sleep.
 * Return: the VMCS with a reference, or ERR_PTR() of -EBADF or -EINVAL.
 */
struct vmx_vmcs *vmx_vmcs_from_fd(int fd, struct vmm_vm *vm)
{
	struct vmx_vmcs *vmcs = ERR_PTR(-EINVAL);
	struct file *file = fget(fd);

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op == &vmcs_fops) {
		struct vmx_vmcs *found = file->private_data;

		if (found->vm == vm) {
			kref_get(&found->ref);
			vmcs = found;
		}
	}
	fput(file);
	return vmcs;
}

static struct vmx_vmcs *vmcs_alloc(struct vmm_vm *vm)
{
	struct vmx_vmcs *vmcs = kzalloc(sizeof(*vmcs), GFP_KERNEL_ACCOUNT);

	if (!vmcs)
		return NULL;
	if (vmx_region_alloc(&vmcs->region, vm)) {
		kfree(vmcs);
		return NULL;
	}
	kref_init(&vmcs->ref);
	vmcs->vm = vmm_vm_get(vm);
	return vmcs;
}

/**
 * vmx_vmcs_create() - %VMX_CREATE_VMCS
 * @vm: the VM
 *
 * Context: may sleep.
 * Return: a descriptor or a negative errno.
 */
int vmx_vmcs_create(struct vmm_vm *vm)
{
	struct vmx_vmcs *vmcs = vmcs_alloc(vm);
	int fd;

	if (!vmcs)
		return -ENOMEM;
	fd = vmx_vmcs_init_fields(vmcs);
	if (!fd)
		fd = base_new_fd("[vmx-vmcs]", &vmcs_fops, vmcs);
	if (fd < 0)
		vmx_vmcs_put(vmcs);
	return fd;
}

static long ioctl_clear(struct vmx_vmcs *vmcs, void __user *arg)
{
	struct vmx_vmcs_clear c;
	int err = base_copy_in(&c, sizeof(c), arg, sizeof(c));

	if (err)
		return err;
	if (c.flags)
		return -EOPNOTSUPP;
	if (!vmx_vmcs_trylock(vmcs))
		return -EBUSY;
	vmx_region_clear(&vmcs->region);
	vmx_vmcs_unlock(vmcs);
	return 0;
}

static long ioctl_state(struct vmx_vmcs *vmcs, void __user *arg)
{
	struct vmx_vmcs_state s;
	int err = base_copy_in(&s, sizeof(s), arg, sizeof(s));

	if (err)
		return err;
	if (s.flags)
		return -EOPNOTSUPP;
	if (!vmx_vmcs_trylock(vmcs))
		return -EBUSY;
	s.cpu = READ_ONCE(vmcs->region.cpu);
	s.active = s.cpu >= 0;
	s.launched = vmcs->region.launched;
	s.attached = !!vmcs->vcpu;
	vmx_vmcs_unlock(vmcs);
	return base_copy_out(arg, &s, sizeof(s));
}

static long vmcs_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vmx_vmcs *vmcs = file->private_data;
	void __user *uarg = (void __user *)arg;
	long r;

	if (!vmm_vm_owned(vmcs->vm))
		return -EPERM;
	base_ledger_begin();
	switch (cmd) {
	case VMX_VMCS_CLEAR:
		r = ioctl_clear(vmcs, uarg);
		break;
	case VMX_VMCS_STATE:
		r = ioctl_state(vmcs, uarg);
		break;
	default:
		r = vmx_vmcs_fields_ioctl(vmcs, cmd, uarg);
	}
	base_ledger_end();
	return r;
}

static int vmcs_release(struct inode *inode, struct file *file)
{
	vmx_vmcs_put(file->private_data);
	return 0;
}

static const struct file_operations vmcs_fops = {
	.owner = THIS_MODULE,
	.release = vmcs_release,
	.unlocked_ioctl = vmcs_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};
