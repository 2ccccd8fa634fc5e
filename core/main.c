// SPDX-License-Identifier: GPL-2.0
/* The module and /dev/vmx. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/printk.h>

#include "../base/compat.h"
#include "../mmu/mmu.h"
#include "../vmx/vmx.h"
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

static int __init vmx_init(void)
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
	vmx_vendor = vmx_backend_start();
	if (IS_ERR(vmx_vendor)) {
		err = PTR_ERR(vmx_vendor);
		goto fpu;
	}
	vmx_vcpu_start();
	err = vmx_mmu_start(vmx_vendor->mmu, &guests);
	if (err)
		goto vendor;
	err = misc_register(&vmx_device);
	if (err)
		goto mmu;
	return 0;

mmu:
	vmx_mmu_stop();
vendor:
	vmx_vendor->stop();
fpu:
	vmx_fpu_exit();
	return err;
}

static void __exit vmx_exit(void)
{
	misc_deregister(&vmx_device);
	vmx_mmu_stop();
	vmx_vendor->stop();
	vmx_fpu_exit();
}

module_init(vmx_init);
module_exit(vmx_exit);

MODULE_DESCRIPTION("Hardware virtualization as primitives: VMCSs, page tables, vCPUs");
MODULE_LICENSE("GPL");
