// SPDX-License-Identifier: GPL-2.0
/*
 * VMCS regions as objects: the CPU where each is active, moves between CPUs, and
 * the descriptor. SDM, "Organization of VMCS Data" and "VMCS states".
 */
#include <linux/cpu.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#include <asm/nospec-branch.h>

#include "caps.h"
#include "ledger.h"
#include "ops.h"
#include "power.h"
#include "vmcs.h"

/* VMCSs that are cleared while interrupts are off, where there is time. */
#define CLEAR_BATCH 64

static const struct file_operations vmcs_fops;

/*
 * VMCLEAR writes back what the CPU caches of the region and makes the launch
 * state clear. On the CPU where it is active, interrupts off.
 */
static void clear_here(struct vmx_vmcs *vmcs)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);

	vmx_insn_vmclear(__pa(vmcs->region));
	vmx_ledger_vmclear(vmcs);
	if (cpu->current_vmcs == vmcs)
		cpu->current_vmcs = NULL;
	list_del(&vmcs->active_link);
	vmcs->launched = false;
	/* Last: from here on another CPU may load it. */
	smp_store_release(&vmcs->cpu, -1);
}

static void clear_ipi(void *info)
{
	struct vmx_vmcs *vmcs = info;

	/* The CPU may have gone through hotplug since the caller looked. */
	if (vmcs->cpu == smp_processor_id())
		clear_here(vmcs);
}

/**
 * vmx_vmcs_clear() - make a VMCS inactive, wherever it is active
 * @vmcs: the VMCS, busy for the caller or about to be freed
 *
 * Context: interrupts on.
 */
void vmx_vmcs_clear(struct vmx_vmcs *vmcs)
{
	int cpu = READ_ONCE(vmcs->cpu);

	/* A CPU that went offline cleared it on the way; then cpu is -1. */
	if (cpu < 0)
		return;
	if (cpu != raw_smp_processor_id())
		atomic64_inc(&vmcs->vm->ipis);
	smp_call_function_single(cpu, clear_ipi, vmcs, 1);
}

/*
 * Make a VMCS active on this CPU. The first instruction on a new region has to be
 * VMCLEAR (SDM, "Initializing a VMCS"); one that is active nowhere and had its VMCLEAR
 * does not mind another.
 */
static bool activate_here(struct vmx_vmcs *vmcs)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);

	if (READ_ONCE(vmcs->cpu) >= 0)
		vmx_vmcs_clear(vmcs);
	else if (vmx_insn_vmclear(__pa(vmcs->region)))
		vmx_ledger_vmclear(vmcs);
	else
		return false;
	local_irq_disable();
	list_add(&vmcs->active_link, &cpu->active);
	vmcs->cpu = smp_processor_id();
	local_irq_enable();
	return true;
}

/*
 * Another guest may have trained the indirect-branch predictor, and so may what
 * another virtual CPU of the same guest executed: its kernel takes them for
 * different CPUs. This is no business of an ioctl that reads fields, but RUN would
 * look for it each time.
 */
static void separate_guests(struct vmx_cpu *cpu, const struct vmx_vmcs *vmcs)
{
	if (cpu->last_vmcs == vmcs->id)
		return;
	cpu->last_vmcs = vmcs->id;
	indirect_branch_prediction_barrier();
	vmx_ledger_barrier(vmcs);
}

/**
 * vmx_vmcs_make_current() - vmx_vmcs_load() of a VMCS that is not current
 * @vmcs: the VMCS, busy for the caller
 *
 * Context: preemption off, interrupts on.
 * Return: as vmx_vmcs_load().
 */
int vmx_vmcs_make_current(struct vmx_vmcs *vmcs)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);
	int moved = 0;

	if (unlikely(!READ_ONCE(cpu->on)))
		return cpu_active(smp_processor_id()) ? -EIO : -EAGAIN;

	if (vmcs->cpu != smp_processor_id()) {
		if (!activate_here(vmcs))
			return -EIO;
		moved = 1;
	}
	if (!vmx_insn_vmptrld(__pa(vmcs->region)))
		return -EIO;
	vmx_ledger_vmptrld(vmcs);
	cpu->current_vmcs = vmcs;
	separate_guests(cpu, vmcs);
	return moved;
}

/**
 * vmx_vmcs_clear_some() - VMCLEAR some of the VMCSs that are active on this CPU
 *
 * Context: interrupts off.
 * Return: true if there may be others.
 */
bool vmx_vmcs_clear_some(void)
{
	struct list_head *active = &this_cpu_ptr(&vmx_cpu)->active;
	struct vmx_vmcs *vmcs, *next;
	unsigned int left = CLEAR_BATCH;

	list_for_each_entry_safe(vmcs, next, active, active_link) {
		if (!left--)
			return true;
		clear_here(vmcs);
	}
	return false;
}

/**
 * vmx_vmcs_clear_cpu() - VMCLEAR all VMCSs that are active on this CPU
 *
 * Context: interrupts off.
 */
void vmx_vmcs_clear_cpu(void)
{
	struct vmx_vmcs *vmcs, *next;

	list_for_each_entry_safe(vmcs, next, &this_cpu_ptr(&vmx_cpu)->active,
				 active_link)
		clear_here(vmcs);
}

/**
 * vmx_vmcs_crash_cpu() - VMCLEAR for a crash dump
 *
 * What the CPU caches of VMCS data reaches memory before the crash kernel
 * reads or reuses it. The list may be half changed: it is followed, never
 * written.
 *
 * Context: any, NMI included.
 */
void vmx_vmcs_crash_cpu(void)
{
	struct vmx_vmcs *vmcs;

	list_for_each_entry(vmcs, &this_cpu_ptr(&vmx_cpu)->active, active_link)
		vmx_insn_vmclear(__pa(vmcs->region));
}

static void vmcs_free(struct kref *ref)
{
	struct vmx_vmcs *vmcs = container_of(ref, struct vmx_vmcs, ref);
	struct vmx_vm *vm = vmcs->vm;

	vmx_vmcs_clear(vmcs);
	vmx_ledger_vmcs_free(vmcs);
	free_page((unsigned long)vmcs->region);
	kfree(vmcs);
	vmx_vm_put(vm);
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
struct vmx_vmcs *vmx_vmcs_from_fd(int fd, struct vmx_vm *vm)
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

static struct vmx_vmcs *vmcs_alloc(struct vmx_vm *vm)
{
	static atomic64_t vmcss;
	struct vmx_vmcs *vmcs = kzalloc(sizeof(*vmcs), GFP_KERNEL_ACCOUNT);

	if (!vmcs)
		return NULL;
	vmcs->region = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmcs->region) {
		kfree(vmcs);
		return NULL;
	}
	/* SDM, "Format of the VMCS Region" */
	*(u32 *)vmcs->region = vmx_caps_revision();
	kref_init(&vmcs->ref);
	vmcs->id = atomic64_inc_return(&vmcss);
	vmcs->cpu = -1;
	vmcs->vm = vmx_vm_get(vm);
	return vmcs;
}

/**
 * vmx_vmcs_create() - %VMX_CREATE_VMCS
 * @vm: the VM
 *
 * Context: may sleep.
 * Return: a descriptor or a negative errno.
 */
int vmx_vmcs_create(struct vmx_vm *vm)
{
	struct vmx_vmcs *vmcs = vmcs_alloc(vm);
	int fd;

	if (!vmcs)
		return -ENOMEM;
	fd = vmx_vmcs_init_fields(vmcs);
	if (!fd)
		fd = vmx_new_fd("[vmx-vmcs]", &vmcs_fops, vmcs);
	if (fd < 0)
		vmx_vmcs_put(vmcs);
	return fd;
}

static long ioctl_clear(struct vmx_vmcs *vmcs, void __user *arg)
{
	struct vmx_vmcs_clear c;
	int err = vmx_copy_in(&c, sizeof(c), arg, sizeof(c));

	if (err)
		return err;
	if (c.flags)
		return -EOPNOTSUPP;
	if (!vmx_vmcs_trylock(vmcs))
		return -EBUSY;
	vmx_vmcs_clear(vmcs);
	vmx_vmcs_unlock(vmcs);
	return 0;
}

static long ioctl_state(struct vmx_vmcs *vmcs, void __user *arg)
{
	struct vmx_vmcs_state s;
	int err = vmx_copy_in(&s, sizeof(s), arg, sizeof(s));

	if (err)
		return err;
	if (s.flags)
		return -EOPNOTSUPP;
	if (!vmx_vmcs_trylock(vmcs))
		return -EBUSY;
	s.cpu = READ_ONCE(vmcs->cpu);
	s.active = s.cpu >= 0;
	s.launched = vmcs->launched;
	s.attached = !!vmcs->vcpu;
	vmx_vmcs_unlock(vmcs);
	return vmx_copy_out(arg, &s, sizeof(s));
}

static long vmcs_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vmx_vmcs *vmcs = file->private_data;
	void __user *uarg = (void __user *)arg;
	long r;

	if (!vmx_vm_owned(vmcs->vm))
		return -EPERM;
	vmx_ledger_begin();
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
	vmx_ledger_end();
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
