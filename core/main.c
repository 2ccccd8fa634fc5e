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
	int err = base_copy_in(&caps, sizeof(caps), arg, sizeof(caps));
	u32 size = caps.size;

	if (err)
		return err;
	if (caps.flags)
		return -EOPNOTSUPP;
	caps = *vmm_vendor->caps;
	caps.size = size;
	return base_copy_out(arg, &caps, sizeof(caps));
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
		err = base_copy_in(&c, sizeof(c), uarg, sizeof(c));
		return err ?: c.flags ? -EOPNOTSUPP : vmm_vm_create();
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

static struct miscdevice vmm_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vmx",
	.fops = &dev_fops,
	.mode = 0600,
};

const struct vmm_vendor *vmm_vendor __ro_after_init;

static const struct gphys_guests guests = {
	.get_vm = vmm_vm_get,
	.put_vm = vmm_vm_put,
	.kick = vmm_vcpu_kick_all,
};

/**
 * vmm_main_start() - what the module does when it is loaded
 * @vendor: the operations of this computer's CPUs
 * @start: finds out what they can do; @vendor is complete after it. 0 or a negative errno
 *
 * Context: module init.
 * Return: 0 or a negative errno.
 */
int __init vmm_main_start(const struct vmm_vendor *vendor, int (*start)(void))
{
	int err;

	if (base_host_uses_fred()) {
		pr_err("this kernel uses FRED, which the module does not support: boot with fred=off\n");
		return -EOPNOTSUPP;
	}
	vmm_msr_init();
	err = vmm_fpu_init();
	if (err)
		return err;
	err = start();
	if (err)
		goto fpu;
	vmm_vendor = vendor;
	vmm_vcpu_start();
	err = gphys_start(vendor->mmu, &guests);
	if (err)
		goto vendor;
	err = misc_register(&vmm_device);
	if (err)
		goto mmu;
	return 0;

mmu:
	gphys_stop();
vendor:
	vendor->stop();
fpu:
	vmm_fpu_exit();
	return err;
}

/**
 * vmm_main_stop() - undo vmm_main_start()
 *
 * Context: module exit.
 */
void vmm_main_stop(void)
{
	misc_deregister(&vmm_device);
	gphys_stop();
	vmm_vendor->stop();
	vmm_fpu_exit();
}

MODULE_DESCRIPTION("Hardware virtualization as primitives: VMCSs, page tables, vCPUs");
MODULE_LICENSE("GPL");
