// SPDX-License-Identifier: GPL-2.0
/* The module and /dev/vmx. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/printk.h>

#include "../base/compat.h"
#include "../mmu/mmu.h"
#include "vcpu.h"
#include "vendor.h"
#include "vm.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static long get_caps(void __user *arg)
{
	struct vmx_caps caps;
	int err = vmx_copy_in(&caps, sizeof(caps), arg, sizeof(caps));
	u32 size = caps.size;

	if (err)
		return err;
	if (caps.flags)
		return -EOPNOTSUPP;
	caps = *vmx_vendor->caps;
	caps.size = size;
	return vmx_copy_out(arg, &caps, sizeof(caps));
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	struct vmx_create c;
	int err;

	switch (cmd) {
	case VMX_GET_CAPS:
		return get_caps(uarg);
	case VMX_CREATE_VM:
		err = vmx_copy_in(&c, sizeof(c), uarg, sizeof(c));
		return err ?: c.flags ? -EOPNOTSUPP : vmx_vm_create();
	default:
		return -ENOTTY;
	}
}

static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice vmx_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vmx",
	.fops = &dev_fops,
	.mode = 0600,
};

const struct vmx_vendor *vmx_vendor __ro_after_init;

static const struct vmx_mmu_guests guests = {
	.get_vm = vmx_vm_get,
	.put_vm = vmx_vm_put,
	.kick = vmx_vcpu_kick_all,
};

/**
 * vmx_main_start() - what the module does when it is loaded
 * @vendor: the operations of this computer's CPUs
 * @start: finds out what they can do; @vendor is complete after it. 0 or a negative errno
 *
 * Context: module init.
 * Return: 0 or a negative errno.
 */
int __init vmx_main_start(const struct vmx_vendor *vendor, int (*start)(void))
{
	int err;

	if (vmx_host_uses_fred()) {
		pr_err("this kernel uses FRED, which the module does not support: boot with fred=off\n");
		return -EOPNOTSUPP;
	}
	vmx_msr_init();
	err = vmx_fpu_init();
	if (err)
		return err;
	err = start();
	if (err)
		goto fpu;
	vmx_vendor = vendor;
	vmx_vcpu_start();
	err = vmx_mmu_start(vendor->mmu, &guests);
	if (err)
		goto vendor;
	err = misc_register(&vmx_device);
	if (err)
		goto mmu;
	return 0;

mmu:
	vmx_mmu_stop();
vendor:
	vendor->stop();
fpu:
	vmx_fpu_exit();
	return err;
}

/**
 * vmx_main_stop() - undo vmx_main_start()
 *
 * Context: module exit.
 */
void vmx_main_stop(void)
{
	misc_deregister(&vmx_device);
	vmx_mmu_stop();
	vmx_vendor->stop();
	vmx_fpu_exit();
}

MODULE_DESCRIPTION("Hardware virtualization as primitives: VMCSs, page tables, vCPUs");
MODULE_LICENSE("GPL");
