// SPDX-License-Identifier: GPL-2.0
/*
 * VMX operation: VMXON when the first VM is created, VMXOFF when the last one is
 * closed, and everything that takes a CPU away meanwhile: hotplug, suspend,
 * reboot, crash.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/reboot.h>
#include <linux/smp.h>

#include <asm/desc.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>

#include "../base/compat.h"
#include "../core/vm.h"
#include "caps.h"
#include "ledger.h"
#include "ops.h"
#include "power.h"
#include "vmcs.h"
#include "vmx.h"

DEFINE_PER_CPU(struct vmx_cpu, vmx_cpu);

/* VMs alive; changes under power_lock with the CPU map held still. */
static unsigned int power_users;
static DEFINE_MUTEX(power_lock);
/* A reboot has begun: VMX stays off. Changes likewise. */
static bool power_ending;
static enum cpuhp_state power_hp_state;

/* SDM, "Enabling and Entering VMX Operation" */
static int cpu_on(void)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);

	if (cpu->on)
		return 0;
	if (__read_cr4() & X86_CR4_VMXE)
		return -EBUSY;
	/* On some CPUs processor trace and VMX exclude each other. */
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	if (!vmx_insn_vmxon(__pa(cpu->vmxon_region))) {
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return -EIO;
	}
	cpu->on = true;
	cpu->last_region = 0;
	native_store_gdt(&cpu->gdt);
	/*
	 * Translations can survive VMXOFF and VMXON (SDM, "Operations that
	 * Invalidate Cached Mappings" names neither), and the addresses and VPIDs
	 * they are tagged with are about to be used anew.
	 */
	vmx_vpid_flush_all();
	return 0;
}

static void cpu_off(void)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);

	if (!cpu->on)
		return;
	vmx_region_clear_cpu();
	cpu->on = false;
	vmx_insn_vmxoff();
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
}

/* On every CPU, in whatever context the crash found it, maybe an NMI. */
static void power_crash(void)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);

	if (!cpu->on)
		return;
	vmx_region_crash_cpu();
	vmx_insn_vmxoff();
	cr4_clear_bits(X86_CR4_VMXE);
}

static void cpu_on_ipi(void *info)
{
	atomic_t *err = info;
	int r = cpu_on();

	if (r)
		atomic_set(err, r);
}

static void cpu_off_ipi(void *unused)
{
	cpu_off();
}

static void explain_busy(void)
{
	pr_err("VMX is in use by another hypervisor (KVM): unload it (rmmod kvm_intel), or boot with kvm.enable_virt_at_load=0 so that KVM takes VMX only while it runs guests\n");
}

static int power_on_all(void)
{
	atomic_t err = ATOMIC_INIT(0);

	on_each_cpu(cpu_on_ipi, &err, 1);
	if (atomic_read(&err)) {
		on_each_cpu(cpu_off_ipi, NULL, 1);
		if (atomic_read(&err) == -EBUSY)
			explain_busy();
		else
			pr_err("VMXON failed although the firmware allows VMX\n");
	}
	return atomic_read(&err);
}

/**
 * vmx_power_get() - a VM comes to be: all CPUs enter VMX operation
 *
 * Context: may sleep.
 * Return: 0, -ENODEV (no VMX), -EACCES (firmware locked it off), -EOPNOTSUPP
 * (a needed feature is missing), -EBUSY (another hypervisor has it), -EIO (the
 * CPU refused, or the computer is about to reboot).
 */
int vmx_power_get(void)
{
	int err = vmx_caps_usable();

	if (err)
		return err;
	cpus_read_lock();
	mutex_lock(&power_lock);
	if (power_ending)
		err = -EIO;
	else if (!power_users)
		err = power_on_all();
	/* There is one hook, for whoever has VMX. */
	if (!err && !power_users)
		base_crash_hook(power_crash);
	if (!err)
		power_users++;
	mutex_unlock(&power_lock);
	cpus_read_unlock();
	return err;
}

/**
 * vmx_power_put() - a VM is gone: after the last one, CPUs leave VMX operation
 *
 * Context: may sleep.
 */
void vmx_power_put(void)
{
	cpus_read_lock();
	mutex_lock(&power_lock);
	if (!--power_users) {
		base_crash_unhook(power_crash);
		on_each_cpu(cpu_off_ipi, NULL, 1);
	}
	mutex_unlock(&power_lock);
	cpus_read_unlock();
}

/*
 * Hotplug callbacks hold the CPU map for writing, which keeps others out: power_users
 * and power_ending are stable without power_lock.
 */
static int power_online(unsigned int cpu)
{
	int err = vmx_caps_check_cpu();

	if (err)
		return err;
	return power_users && !power_ending ? cpu_on() : 0;
}

static int power_offline(unsigned int cpu)
{
	unsigned long flags;
	bool left;

	/* There may be many: not all while interrupts are off. */
	do {
		local_irq_save(flags);
		base_ledger_irqs_off();
		left = vmx_region_clear_some();
		if (!left)
			cpu_off();
		base_ledger_irqs_on();
		local_irq_restore(flags);
	} while (left);
	return 0;
}

/* The last CPU standing; the others went through hotplug. */
static int power_suspend(BASE_SYSCORE_ARG)
{
	cpu_off();
	return 0;
}

static void power_resume(BASE_SYSCORE_ARG)
{
	if (power_users && cpu_on())
		pr_err("cannot switch VMX on after suspend: existing VMs fail\n");
}

BASE_DEFINE_SYSCORE(power_syscore, power_suspend, power_resume);

/*
 * INIT is blocked in VMX operation, so firmware could not restart the CPUs. Programs run
 * on while the kernel shuts devices down, and could create the first VM again.
 */
static int power_reboot(struct notifier_block *nb, unsigned long event, void *v)
{
	cpus_read_lock();
	mutex_lock(&power_lock);
	power_ending = true;
	on_each_cpu(cpu_off_ipi, NULL, 1);
	mutex_unlock(&power_lock);
	cpus_read_unlock();
	return NOTIFY_OK;
}

static struct notifier_block power_reboot_nb = {
	.notifier_call = power_reboot,
};

static void power_free_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		free_page((unsigned long)per_cpu(vmx_cpu, cpu).vmxon_region);
}

static int power_alloc_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *c = &per_cpu(vmx_cpu, cpu);

		INIT_LIST_HEAD(&c->active);
		c->vmxon_region = (void *)get_zeroed_page(GFP_KERNEL);
		if (!c->vmxon_region) {
			power_free_regions();
			return -ENOMEM;
		}
		/* SDM, "VMXON Region": the VMCS revision identifier, bit 31 clear */
		*(u32 *)c->vmxon_region = vmx_caps_revision();
	}
	return 0;
}

/**
 * vmx_power_init() - get ready for the first VM
 *
 * A machine without usable VMX needs nothing.
 *
 * Context: module init.
 * Return: 0 or a negative errno.
 */
int vmx_power_init(void)
{
	int err;

	if (vmx_caps_usable())
		return 0;
	err = power_alloc_regions();
	if (err)
		return err;
	err = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "x86/vmx:online",
				power_online, power_offline);
	if (err < 0) {
		power_free_regions();
		return err;
	}
	power_hp_state = err;
	base_register_syscore(&power_syscore);
	register_reboot_notifier(&power_reboot_nb);
	return 0;
}

/**
 * vmx_power_exit() - undo vmx_power_init()
 *
 * Context: module exit; no VM exists.
 */
void vmx_power_exit(void)
{
	if (vmx_caps_usable())
		return;
	unregister_reboot_notifier(&power_reboot_nb);
	base_unregister_syscore(&power_syscore);
	cpuhp_remove_state(power_hp_state);
	power_free_regions();
}
