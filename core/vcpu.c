// SPDX-License-Identifier: GPL-2.0
/* The vCPU object: made of a VMCS and an mmu, run through its descriptor. */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/static_call.h>
#include <linux/uaccess.h>

#include <asm/debugreg.h>

#include <trace/events/ipi.h>

#include "../base/compat.h"
#include "../mmu/mmu.h"
#include "vcpu.h"
#include "vendor.h"

static int attach_vmcs(struct vmm_vcpu *v)
{
	int err = vmm_vendor->vcpu_attach(v);

	if (err)
		return err;
	mutex_lock(&v->vm->lock);
	list_add(&v->link, &v->vm->vcpus);
	mutex_unlock(&v->vm->lock);
	return 0;
}

static void detach_vmcs(struct vmm_vcpu *v)
{
	mutex_lock(&v->vm->lock);
	list_del(&v->link);
	vmm_vcpu_add_counters(v, &v->vm->past);
	v->vm->past.vcpus = 0;
	mutex_unlock(&v->vm->lock);
	vmm_vendor->vcpu_detach(v);
}

/* Undoes vcpu_alloc(), however far it came. */
static void vcpu_free(struct vmm_vcpu *v)
{
	struct vmm_vm *vm = v->vm;

	vmm_fpu_free(v);
	vmm_msr_free(v);
	vmm_cpuid_free(v);
	if (v->page)
		put_page(v->page);
	vmm_vendor->vcpu_free(v);
	kfree(v);
	vmm_vm_put(vm);
	base_cond_resched_freed();
}

/* The interrupt ended the guest's stay. */
static enum hrtimer_restart timer_fired(struct hrtimer *timer)
{
	struct vmm_vcpu *v = container_of(timer, struct vmm_vcpu, timer);

	set_bit(VMM_REQUEST_DEADLINE, &v->requests);
	return HRTIMER_NORESTART;
}

static int vcpu_parts(struct vmm_vcpu *v, const struct vmx_create_vcpu *args)
{
	int err = vmm_vendor->vcpu_init(v, args);

	if (err)
		return err;
	v->page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!v->page)
		return -ENOMEM;
	v->run = page_address(v->page);
	return vmm_msr_alloc(v) ?: vmm_fpu_alloc(v);
}

static struct vmm_vcpu *vcpu_alloc(struct vmm_vm *vm,
				   const struct vmx_create_vcpu *args)
{
	struct vmm_vcpu *v = kzalloc(sizeof(*v), GFP_KERNEL_ACCOUNT);
	int err;

	if (!v)
		return ERR_PTR(-ENOMEM);
	v->vm = vmm_vm_get(vm);
	v->running_on = -1;
	v->tag.map_on = -1;
	v->tag.id_on = -1;
	v->miss = GPHYS_NO_MISS;
	v->dr6 = DR6_RESERVED;
	base_timer_setup(&v->timer, timer_fired);
	err = vcpu_parts(v, args);
	if (err) {
		vcpu_free(v);
		return ERR_PTR(err);
	}
	return v;
}

/**
 * vmm_vcpu_add_counters() - add a vCPU's counters to its VM's
 * @v: the vCPU
 * @sum: where to; @vcpus goes up by one
 *
 * Context: struct vmm_vm.lock held. The vCPU may run: values may be a little
 * old.
 */
void vmm_vcpu_add_counters(const struct vmm_vcpu *v, struct vmx_vm_stats *sum)
{
	const struct vmx_vm_stats *c = &v->count;
	unsigned int i;

	sum->runs += READ_ONCE(c->runs);
	sum->entries += READ_ONCE(c->entries);
	sum->user_exits += READ_ONCE(c->user_exits);
	sum->faults += READ_ONCE(c->faults);
	sum->injections += READ_ONCE(c->injections);
	sum->vmreads += READ_ONCE(c->vmreads);
	sum->vmwrites += READ_ONCE(c->vmwrites);
	sum->msr_writes += READ_ONCE(c->msr_writes);
	sum->invalidations += READ_ONCE(c->invalidations);
	sum->fpu_swaps += READ_ONCE(c->fpu_swaps);
	sum->vcpus++;
	for (i = 0; i < VMX_STATS_REASONS; i++)
		sum->exits[i] += READ_ONCE(c->exits[i]);
}

/* &vmm_vcpu.staying of the vCPU that is between load and unload on a CPU, or 0. */
DEFINE_PER_CPU(unsigned long, vmm_vcpu_staying);

/* On the CPU itself: a vCPU that is between load and unload there has its VM. */
static void leave_guest(void *unused)
{
	unsigned long staying = this_cpu_read(vmm_vcpu_staying);
	struct vmm_vm *vm;

	if (!staying)
		return;
	vm = vmm_stays_on_several(staying) ?: ((struct gphys_mmu *)staying)->vm;
	atomic64_inc(&vm->ipis);
}

/* Is a vCPU on that CPU whose guest may be on the mmu? */
static bool stays_on(int cpu, void *info)
{
	const struct gphys_mmu *mmu = info;
	unsigned long staying = READ_ONCE(per_cpu(vmm_vcpu_staying, cpu));

	return staying && cpu != smp_processor_id() &&
	       (staying == (unsigned long)mmu || staying == vmm_staying_on_several(mmu->vm));
}

/**
 * vmm_vcpu_kick_all() - make every vCPU of an mmu look at its flush generation
 * @mmu: the mmu
 *
 * See &gphys_guests.kick.
 *
 * Context: interrupts on; does not sleep.
 */
void vmm_vcpu_kick_all(struct gphys_mmu *mmu)
{
	/* Pairs with vmx_load(): see there. */
	smp_mb();
	on_each_cpu_cond_mask(stays_on, leave_guest, mmu, true, cpu_online_mask);
}

static long kick_vcpu(struct vmm_vcpu *v)
{
	int cpu;

	set_bit(VMM_REQUEST_KICK, &v->requests);
	/* Pairs with vmx_load(): RUN sees the kick, or we see where it is. */
	smp_mb__after_atomic();
	/* A CPU does not go offline meanwhile: that waits for preemption to be on. */
	preempt_disable();
	cpu = READ_ONCE(v->running_on);
	if (cpu >= 0) {
		atomic64_inc(&v->vm->ipis);
		smp_send_reschedule(cpu);
	}
	preempt_enable();
	return 0;
}

static long set_debug(struct vmm_vcpu *v, void __user *arg)
{
	struct vmx_debug d;
	int err;

	err = base_copy_in(&d, sizeof(d), arg, sizeof(d));
	if (err)
		return err;
	if (d.flags)
		return -EOPNOTSUPP;
	if (d.dr6 >> 32)
		return -EINVAL;
	memcpy(v->debug, d.dr, sizeof(v->debug));
	/* SDM, "Debug Status Register (DR6)": B0 to B3, BD, BS, BT */
	v->dr6 = DR6_RESERVED | (d.dr6 & 0xe00f);
	return 0;
}

static long get_debug(struct vmm_vcpu *v, void __user *arg)
{
	struct vmx_debug d;
	int err;

	err = base_copy_in(&d, sizeof(d), arg, sizeof(d));
	if (err)
		return err;
	if (d.flags)
		return -EOPNOTSUPP;
	memcpy(d.dr, v->debug, sizeof(d.dr));
	d.dr6 = v->dr6;
	return base_copy_out(arg, &d, sizeof(d));
}

/* All that every vendor has, but for RUN and KICK, which do without the struct. */
static const struct vmm_vcpu_cmd vcpu_cmds[] = {
	{ VMX_SET_CPUID, vmm_cpuid_set },
	{ VMX_SET_MSRS, vmm_msr_set },
	{ VMX_GET_MSRS, vmm_msr_get },
	{ VMX_SET_FPU, vmm_fpu_set },
	{ VMX_GET_FPU, vmm_fpu_get },
	{ VMX_SET_DEBUG, set_debug },
	{ VMX_GET_DEBUG, get_debug },
	{}
};

static const struct vmm_vcpu_cmd *find_cmd(const struct vmm_vcpu_cmd *cmds, unsigned int cmd)
{
	while (cmds->fn && cmds->cmd != cmd)
		cmds++;
	return cmds->fn ? cmds : NULL;
}

/* Out of line, so that RUN need not save registers for it. */
static noinline long vcpu_cmd(struct vmm_vcpu *v, unsigned int cmd,
			      void __user *arg)
{
	const struct vmm_vcpu_cmd *found;
	long r;

	if (cmd == VMX_KICK)
		return kick_vcpu(v);
	found = find_cmd(vcpu_cmds, cmd) ?: find_cmd(vmm_vendor->vcpu_cmds, cmd);
	if (!found)
		return -ENOTTY;
	if (!vmm_vendor->vcpu_trylock(v))
		return -EBUSY;
	base_ledger_begin();
	r = found->fn(v, arg);
	base_ledger_end();
	vmm_vendor->vcpu_unlock(v);
	return r;
}

static long no_run(struct vmm_vcpu *v)
{
	return -ENODEV;
}

/* The vendor's, without an indirect call. */
DEFINE_STATIC_CALL(vmm_vcpu_run, no_run);

/**
 * vmm_vcpu_start() - before the first vCPU
 *
 * Context: module init; the vendor is known.
 */
void __init vmm_vcpu_start(void)
{
	static_call_update(vmm_vcpu_run, vmm_vendor->run);
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vmm_vcpu *v = file->private_data;
	long r;

	if (!vmm_vm_owned(v->vm))
		return -EPERM;
	if (likely(cmd == VMX_RUN)) {
		r = static_call(vmm_vcpu_run)(v);
#ifdef CONFIG_CC_IS_CLANG
		/* Else it is a conditional jump, which kernels before 6.3 cannot patch. */
		OPTIMIZER_HIDE_VAR(r);
#endif
		return r;
	}
	return vcpu_cmd(v, cmd, (void __user *)arg);
}

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vmm_vcpu *v = file->private_data;
	struct page *page = NULL;

	if (!vmm_vm_owned(v->vm))
		return -EPERM;
	if (vma->vm_pgoff == 0)
		page = v->page;
	else if (vma->vm_pgoff == 1)
		page = vmm_vendor->vcpu_page(v);
	if (!page || vma_pages(vma) != 1 || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	return vm_insert_page(vma, vma->vm_start, page);
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct vmm_vcpu *v = file->private_data;

	base_ledger_begin();
	detach_vmcs(v);
	/* That may have waited for the CPU that had the VMCS. */
	base_ledger_begin();
	vcpu_free(v);
	base_ledger_end();
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_release,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

/**
 * vmm_vcpu_create() - %VMX_CREATE_VCPU
 * @vm: the VM
 * @args: what of
 *
 * Context: may sleep.
 * Return: a descriptor or a negative errno.
 */
int vmm_vcpu_create(struct vmm_vm *vm, const struct vmx_create_vcpu *args)
{
	struct vmm_vcpu *v;
	int fd;

	v = vcpu_alloc(vm, args);
	if (IS_ERR(v))
		return PTR_ERR(v);
	fd = attach_vmcs(v);
	if (fd) {
		vcpu_free(v);
		return fd;
	}
	fd = base_new_fd("[vmx-vcpu]", &vcpu_fops, v);
	if (fd < 0) {
		detach_vmcs(v);
		vcpu_free(v);
	}
	return fd;
}
