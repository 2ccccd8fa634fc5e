/* SPDX-License-Identifier: GPL-2.0 */
/* What a CPU vendor's folder does for the core. RUN's hot path is apart from it: see run.h. */
#ifndef VMM_VENDOR_H
#define VMM_VENDOR_H

#include <linux/types.h>

#include <linux/vmx.h>

struct gphys_cpu;
struct vmm_vcpu;
struct vmm_vm;

/**
 * struct vmm_vcpu_cmd - an ioctl of a vCPU
 * @cmd: its number
 * @fn: does it. Its VMCS is busy for the caller; may sleep
 */
struct vmm_vcpu_cmd {
	unsigned int cmd;
	long (*fn)(struct vmm_vcpu *v, void __user *arg);
};

/**
 * struct vmm_vendor - operations of a vendor's CPUs
 * @stop: undoes what vmm_main_start() was given to start with
 * @caps: what %VMX_GET_CAPS tells
 * @mmu: what the CPU can do with an mmu's tables
 * @enable: a VM is about to exist: CPUs have to be able to run guests. May sleep; 0 or a negative
 *	errno
 * @disable: undoes @enable; may sleep
 * @create_vmcs: %VMX_CREATE_VMCS; a descriptor or a negative errno
 * @vcpu_init: the vendor's part of a new vCPU, its mmus among them; 0 or a negative errno
 * @vcpu_free: undoes @vcpu_init, which may have failed
 * @vcpu_attach: takes over the VMCS; 0, -EBUSY or -EIO
 * @vcpu_detach: gives it back, with what userspace had in it
 * @vcpu_trylock: begins to use the vCPU; false if somebody else uses it
 * @vcpu_unlock: undoes that
 * @vcpu_page: what mmap() shows behind the run page; NULL if nothing
 * @vcpu_cmds: the vendor's ioctls of a vCPU, up to one whose function is NULL
 * @run: %VMX_RUN
 */
struct vmm_vendor {
	void (*stop)(void);
	const struct vmx_caps *caps;
	const struct gphys_cpu *mmu;
	int (*enable)(void);
	void (*disable)(void);
	int (*create_vmcs)(struct vmm_vm *vm);
	int (*vcpu_init)(struct vmm_vcpu *v, const struct vmx_create_vcpu *args);
	void (*vcpu_free)(struct vmm_vcpu *v);
	int (*vcpu_attach)(struct vmm_vcpu *v);
	void (*vcpu_detach)(struct vmm_vcpu *v);
	bool (*vcpu_trylock)(struct vmm_vcpu *v);
	void (*vcpu_unlock)(struct vmm_vcpu *v);
	struct page *(*vcpu_page)(struct vmm_vcpu *v);
	const struct vmm_vcpu_cmd *vcpu_cmds;
	long (*run)(struct vmm_vcpu *v);
};

/* core/main.c: of this computer */
extern const struct vmm_vendor *vmm_vendor;

int vmm_main_start(const struct vmm_vendor *vendor, int (*start)(void));
void vmm_main_stop(void);

#endif /* VMM_VENDOR_H */
