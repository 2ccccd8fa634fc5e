// SPDX-License-Identifier: GPL-2.0
/*
 * Capabilities: which VMX features the CPU reports, and which control bits
 * userspace may set (SDM, appendix "VMX Capability Reporting Facility").
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cache.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <linux/string.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/tsc.h>

#include "../base/kunit-export.h"
#include "caps.h"

/* Since 2023 in the SDM, not yet in all kernels that the module builds for. */
#define MSR_VMX_EXIT_CTLS2	0x493

struct vmx_caps vmx_caps __ro_after_init;
EXPORT_SYMBOL_IF_KUNIT(vmx_caps);

/**
 * struct control_policy - who decides the bits of one control field
 * @what: the field, for messages
 * @user: bits that userspace decides
 * @force: bits that are 1 wherever the CPU can
 * @need: those of @force without which the module cannot keep the host safe
 * @default1: reserved bits that the CPU insists on (SDM, "Reserved Controls
 *	and Default Settings")
 *
 * Default-deny: what is in none of them is 0. That takes care of what a newer
 * CPU brings, and of what needs state the module does not switch (tertiary
 * controls, PERF_GLOBAL_CTRL, BNDCFGS, RTIT_CTL, LBR_CTL, CET, PKRS, UINV, FRED,
 * XSS, UMWAIT_CONTROL), a module object behind it that does not exist yet
 * (TPR shadow and APIC virtualization, posted interrupts,
 * VMCS shadowing, I/O bitmaps, SPP), or a
 * guest that works for the host (SMM and dual-monitor treatment, Intel PT,
 * PASID translation, PCONFIG). EPT and VPIDs, PML, VM functions, #VE, interrupt and
 * NMI windows and the preemption timer are the module's to switch on and off.
 */
struct control_policy {
	const char *what;
	u32 user;
	u32 force;
	u32 need;
	u32 default1;
};

static const struct control_policy pin_policy = {
	.what = "pin-based VM-execution control",
	.force = VMX_PIN_EXTERNAL_INTERRUPT_EXITING | VMX_PIN_NMI_EXITING |
		 VMX_PIN_VIRTUAL_NMIS,
	.need = VMX_PIN_EXTERNAL_INTERRUPT_EXITING | VMX_PIN_NMI_EXITING,
	.default1 = 0x00000016,
};

/*
 * CR8, debug registers, counters, ports and monitored addresses are the host's.
 * The guest's own INVLPG, MOV to CR3, HLT, RDTSC and PAUSE hurt nobody.
 */
#define CPU_FORCE							\
	(VMX_CPU_MWAIT_EXITING | VMX_CPU_RDPMC_EXITING |		\
	 VMX_CPU_CR8_LOAD_EXITING | VMX_CPU_CR8_STORE_EXITING |		\
	 VMX_CPU_MOV_DR_EXITING | VMX_CPU_IO_EXITING |			\
	 VMX_CPU_MSR_BITMAPS | VMX_CPU_MONITOR_EXITING |		\
	 VMX_CPU_ACTIVATE_CPU2)

static const struct control_policy cpu_policy = {
	.what = "primary processor-based VM-execution control",
	.user = VMX_CPU_TSC_OFFSETTING | VMX_CPU_HLT_EXITING |
		VMX_CPU_INVLPG_EXITING | VMX_CPU_RDTSC_EXITING |
		VMX_CPU_CR3_LOAD_EXITING | VMX_CPU_CR3_STORE_EXITING |
		VMX_CPU_MONITOR_TRAP_FLAG | VMX_CPU_PAUSE_EXITING,
	.force = CPU_FORCE,
	.need = CPU_FORCE,
	.default1 = 0x04006172,
};

/*
 * RDTSCP reads TSC_AUX, which the module switches. An instruction time-out
 * keeps a guest from blocking interrupts by endless event delivery.
 */
static const struct control_policy cpu2_policy = {
	.what = "secondary processor-based VM-execution control",
	.user = VMX_CPU2_DESC_TABLE_EXITING | VMX_CPU2_RDTSCP |
		VMX_CPU2_UNRESTRICTED_GUEST | VMX_CPU2_PAUSE_LOOP_EXITING |
		VMX_CPU2_RDRAND_EXITING | VMX_CPU2_INVPCID |
		VMX_CPU2_RDSEED_EXITING | VMX_CPU2_MODE_BASED_EXEC,
	.force = VMX_CPU2_WBINVD_EXITING | VMX_CPU2_ENCLS_EXITING |
		 VMX_CPU2_ENCLV_EXITING | VMX_CPU2_INSN_TIMEOUT,
};

#define EXIT_SWITCH_EFER (VMX_EXIT_CTL_SAVE_EFER | VMX_EXIT_CTL_LOAD_EFER)
#define EXIT_SWITCH_PAT (VMX_EXIT_CTL_SAVE_PAT | VMX_EXIT_CTL_LOAD_PAT)

static const struct control_policy exit_policy = {
	.what = "VM-exit control",
	.force = VMX_EXIT_CTL_SAVE_DEBUG | VMX_EXIT_CTL_HOST_64BIT |
		 EXIT_SWITCH_EFER | EXIT_SWITCH_PAT,
	.need = VMX_EXIT_CTL_SAVE_DEBUG | VMX_EXIT_CTL_HOST_64BIT,
	.default1 = 0x00036dfb,
};

static const struct control_policy entry_policy = {
	.what = "VM-entry control",
	.user = VMX_ENTRY_CTL_IA32E_MODE_GUEST,
	.force = VMX_ENTRY_CTL_LOAD_DEBUG | VMX_ENTRY_CTL_LOAD_EFER |
		 VMX_ENTRY_CTL_LOAD_PAT,
	.need = VMX_ENTRY_CTL_LOAD_DEBUG | VMX_ENTRY_CTL_IA32E_MODE_GUEST,
	.default1 = 0x000011fb,
};

/*
 * CPUs whose preemption timer can stop or count at another rate ("VMX-Preemption
 * Timer" in Intel's specification updates): Nehalem, Westmere, one Ivy Bridge.
 */
static const u32 broken_timers[] = {
	0x000106a0, 0x000106a1, 0x000106a4, 0x000106a5, 0x000106e5,
	0x00020652, 0x00020655, 0x000206e6, 0x000306a8,
};

/* A capability MSR: its low half has the bits that must be 1, its high half may */
static u64 control_msr(const struct vmx_msr_caps *msr, enum vmx_capability which)
{
	bool exact = msr->basic & VMX_CAPS_BASIC_TRUE;

	switch (which) {
	case VMX_CAP_PIN:
		return exact ? msr->true_pin : msr->pin;
	case VMX_CAP_CPU:
		return exact ? msr->true_cpu : msr->cpu;
	case VMX_CAP_CPU2:
		return msr->cpu2;
	case VMX_CAP_EXIT:
		return exact ? msr->true_exit : msr->exit;
	case VMX_CAP_ENTRY:
		return exact ? msr->true_entry : msr->entry;
	default:
		return 0;
	}
}

/**
 * vmx_caps_can_be_1() - the bits of a control that the CPU lets be 1
 * @caps: capabilities
 * @which: the control; of 64-bit controls the low half
 *
 * Return: the bits; all of them for %VMX_CAP_ALWAYS.
 */
u32 vmx_caps_can_be_1(const struct vmx_caps *caps, enum vmx_capability which)
{
	const struct vmx_msr_caps *msr = &caps->msr;
	u32 targets;

	switch (which) {
	case VMX_CAP_ALWAYS:
		return ~0;
	case VMX_CAP_CPU3:
		return msr->cpu3;
	case VMX_CAP_EXIT2:
		return msr->exit2;
	case VMX_CAP_VMFUNC:
		return msr->vmfunc;
	case VMX_CAP_CR3_TARGETS:
		targets = msr->misc >> VMX_CAPS_MISC_CR3_TARGETS_SHIFT &
			  VMX_CAPS_MISC_CR3_TARGETS_MASK;
		return targets < 32 ? (1u << targets) - 1 : ~0u;
	default:
		return control_msr(msr, which) >> 32;
	}
}
EXPORT_SYMBOL_IF_KUNIT(vmx_caps_can_be_1);

/**
 * vmx_caps_must_be_1() - the bits of a control that the CPU insists on
 * @caps: capabilities
 * @which: the control
 *
 * Return: the bits; none for controls that have no such bits.
 */
u32 vmx_caps_must_be_1(const struct vmx_caps *caps, enum vmx_capability which)
{
	return control_msr(&caps->msr, which);
}
EXPORT_SYMBOL_IF_KUNIT(vmx_caps_must_be_1);

static void note_missing(struct vmx_missing *missing, const char *what, u32 bits)
{
	if (!missing->what && bits)
		*missing = (struct vmx_missing) { what, bits };
}

static void derive_control(struct vmx_control *control,
			   const struct vmx_caps *caps,
			   enum vmx_capability which,
			   const struct control_policy *policy,
			   struct vmx_missing *missing)
{
	u32 must = vmx_caps_must_be_1(caps, which);
	u32 may = vmx_caps_can_be_1(caps, which);
	u32 known = policy->user | policy->force | policy->default1;

	note_missing(missing, policy->what, policy->need & ~may);
	/* The CPU insists on controls that the module cannot support. */
	note_missing(missing, policy->what, must & ~(known & may));
	control->must = must | (policy->force & may);
	control->may = control->must | (policy->user & may);
}

/* EFER and PAT are loaded on entry only if the host's come back on exit. */
static void pair_controls(struct vmx_caps *caps, u32 entry_bit, u32 exit_bits,
			  struct vmx_missing *missing)
{
	struct vmx_control *entry = &caps->entry, *exit = &caps->exit;

	if (entry->may & entry_bit && (exit->may & exit_bits) == exit_bits)
		return;
	note_missing(missing, exit_policy.what,
		     vmx_caps_must_be_1(caps, VMX_CAP_ENTRY) & entry_bit ?
		     exit_bits & ~exit->may : 0);
	entry->must &= ~entry_bit;
	entry->may &= ~entry_bit;
	/* Loading the host's without the guest's does no harm. */
	exit_bits &= ~vmx_caps_must_be_1(caps, VMX_CAP_EXIT);
	exit->must &= ~exit_bits;
	exit->may &= ~exit_bits;
}

static bool has_ept(const struct vmx_caps *caps)
{
	const u64 need = VMX_CAPS_EPT_WALK_4 | VMX_CAPS_EPT_WB | VMX_CAPS_INVEPT |
			 VMX_CAPS_INVEPT_ALL;

	return vmx_caps_can_be_1(caps, VMX_CAP_CPU2) & VMX_CPU2_EPT &&
	       (caps->msr.ept_vpid & need) == need;
}

static bool has_vpid(const struct vmx_caps *caps)
{
	const u64 need = VMX_CAPS_INVVPID | VMX_CAPS_INVVPID_ALL;

	return vmx_caps_can_be_1(caps, VMX_CAP_CPU2) & VMX_CPU2_VPID &&
	       (caps->msr.ept_vpid & need) == need;
}

static bool has_timer(const struct vmx_caps *caps, u32 signature)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(broken_timers); i++)
		if (broken_timers[i] == signature)
			return false;
	return vmx_caps_can_be_1(caps, VMX_CAP_PIN) & VMX_PIN_PREEMPTION_TIMER;
}

static u64 derive_ept_features(const struct vmx_caps *caps)
{
	u64 ept = caps->msr.ept_vpid;

	if (!has_ept(caps))
		return 0;
	return VMX_HAS_EPT |
	       (ept & VMX_CAPS_EPT_2M ? VMX_HAS_EPT_2M : 0) |
	       (ept & VMX_CAPS_EPT_1G ? VMX_HAS_EPT_1G : 0) |
	       (ept & VMX_CAPS_EPT_AD ? VMX_HAS_EPT_AD : 0) |
	       (ept & VMX_CAPS_EPT_EXEC_ONLY ? VMX_HAS_EPT_EXEC_ONLY : 0) |
	       (ept & VMX_CAPS_EPT_WALK_5 ? VMX_HAS_EPT_5LEVEL : 0) |
	       (caps->cpu2.may & VMX_CPU2_UNRESTRICTED_GUEST ?
		VMX_HAS_UNRESTRICTED : 0) |
	       (vmx_caps_can_be_1(caps, VMX_CAP_VMFUNC) & VMX_CAPS_EPTP_SWITCHING ?
		VMX_HAS_VMFUNC : 0) |
	       (vmx_caps_can_be_1(caps, VMX_CAP_CPU2) & VMX_CPU2_EPT_VIOLATION_VE ?
		VMX_HAS_VE : 0) |
	       (caps->cpu2.may & VMX_CPU2_MODE_BASED_EXEC ? VMX_HAS_MODE_EXEC : 0);
}

static u64 derive_features(const struct vmx_caps *caps,
			   const struct vmx_cpu_info *cpu)
{
	u32 cpu2 = vmx_caps_can_be_1(caps, VMX_CAP_CPU2);

	return derive_ept_features(caps) |
	       (has_vpid(caps) ? VMX_HAS_VPID : 0) |
	       (has_timer(caps, cpu->signature) ? VMX_HAS_PREEMPTION_TIMER : 0) |
	       (caps->pin.may & VMX_PIN_VIRTUAL_NMIS ? VMX_HAS_VIRTUAL_NMI : 0) |
	       (caps->entry.may & VMX_ENTRY_CTL_LOAD_EFER ? VMX_HAS_LOAD_EFER : 0) |
	       (caps->entry.may & VMX_ENTRY_CTL_LOAD_PAT ? VMX_HAS_LOAD_PAT : 0) |
	       (cpu->has_xsave ? VMX_HAS_XSAVE : 0) |
	       (cpu2 & VMX_CPU2_SHADOW_VMCS ? VMX_HAS_SHADOW_VMCS : 0) |
	       (cpu2 & VMX_CPU2_PML ? VMX_HAS_PML : 0);
}

/* Controls of userspace's that VM entry allows with EPT alone. */
#define NEEDS_EPT (VMX_CPU2_UNRESTRICTED_GUEST | VMX_CPU2_MODE_BASED_EXEC)

static void derive_controls(struct vmx_caps *caps, struct vmx_missing *missing)
{
	derive_control(&caps->pin, caps, VMX_CAP_PIN, &pin_policy, missing);
	derive_control(&caps->cpu, caps, VMX_CAP_CPU, &cpu_policy, missing);
	derive_control(&caps->cpu2, caps, VMX_CAP_CPU2, &cpu2_policy, missing);
	derive_control(&caps->exit, caps, VMX_CAP_EXIT, &exit_policy, missing);
	derive_control(&caps->entry, caps, VMX_CAP_ENTRY, &entry_policy, missing);
	pair_controls(caps, VMX_ENTRY_CTL_LOAD_EFER, EXIT_SWITCH_EFER, missing);
	pair_controls(caps, VMX_ENTRY_CTL_LOAD_PAT, EXIT_SWITCH_PAT, missing);
	/* Unrestricted guest needs an EPT that meets the module's demands. */
	if (!has_ept(caps)) {
		note_missing(missing, "EPT", caps->cpu2.must & NEEDS_EPT);
		caps->cpu2.must &= ~NEEDS_EPT;
		caps->cpu2.may &= ~NEEDS_EPT;
	}
}

static bool locked_off(u64 feature_control)
{
	return feature_control & FEAT_CTL_LOCKED &&
	       !(feature_control & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX);
}

/**
 * vmx_caps_derive() - what the module makes of a CPU
 * @caps: filled in
 * @cpu: facts about the CPU
 * @missing: filled in; names what keeps @caps->status from being OK, where
 *	that is %VMX_STATUS_MISSING
 *
 * Depends on its arguments alone.
 */
void vmx_caps_derive(struct vmx_caps *caps, const struct vmx_cpu_info *cpu,
		     struct vmx_missing *missing)
{
	*missing = (struct vmx_missing) { };
	*caps = (struct vmx_caps) {
		.size = sizeof(*caps),
		.api_major = VMX_API_MAJOR,
		.api_minor = VMX_API_MINOR,
		.status = VMX_STATUS_NO_VMX,
		.phys_bits = cpu->phys_bits,
		.tsc_khz = cpu->tsc_khz,
	};
	if (!cpu->has_vmx)
		return;
	caps->msr = cpu->msr;
	caps->timer_shift = cpu->msr.misc & VMX_CAPS_MISC_TIMER_SHIFT;
	derive_controls(caps, missing);
	caps->features = derive_features(caps, cpu);
	if (locked_off(cpu->feature_control))
		caps->status = VMX_STATUS_LOCKED;
	else if (missing->what)
		caps->status = VMX_STATUS_MISSING;
	else
		caps->status = VMX_STATUS_OK;
}
EXPORT_SYMBOL_IF_KUNIT(vmx_caps_derive);

/**
 * vmx_caps_same() - whether a CPU can run what was set up for another one
 * @caps: capabilities of the other one
 * @cpu: facts about the CPU
 *
 * Return: true if its VMX is usable and all its capability MSRs are equal.
 */
bool vmx_caps_same(const struct vmx_caps *caps, const struct vmx_cpu_info *cpu)
{
	return cpu->has_vmx && !locked_off(cpu->feature_control) &&
	       !memcmp(&caps->msr, &cpu->msr, sizeof(cpu->msr));
}
EXPORT_SYMBOL_IF_KUNIT(vmx_caps_same);

static u64 read_msr(u32 index)
{
	u64 value;

	return rdmsrl_safe(index, &value) ? 0 : value;
}

/* Reads those that exist: which do, others of them tell. */
static void read_msrs(struct vmx_msr_caps *msr)
{
	u32 cpu, cpu2;

	*msr = (struct vmx_msr_caps) {
		.basic = read_msr(MSR_IA32_VMX_BASIC),
		.pin = read_msr(MSR_IA32_VMX_PINBASED_CTLS),
		.cpu = read_msr(MSR_IA32_VMX_PROCBASED_CTLS),
		.exit = read_msr(MSR_IA32_VMX_EXIT_CTLS),
		.entry = read_msr(MSR_IA32_VMX_ENTRY_CTLS),
		.misc = read_msr(MSR_IA32_VMX_MISC),
		.cr0_fixed0 = read_msr(MSR_IA32_VMX_CR0_FIXED0),
		.cr0_fixed1 = read_msr(MSR_IA32_VMX_CR0_FIXED1),
		.cr4_fixed0 = read_msr(MSR_IA32_VMX_CR4_FIXED0),
		.cr4_fixed1 = read_msr(MSR_IA32_VMX_CR4_FIXED1),
		.vmcs_enum = read_msr(MSR_IA32_VMX_VMCS_ENUM),
	};
	if (msr->basic & VMX_CAPS_BASIC_TRUE) {
		msr->true_pin = read_msr(MSR_IA32_VMX_TRUE_PINBASED_CTLS);
		msr->true_cpu = read_msr(MSR_IA32_VMX_TRUE_PROCBASED_CTLS);
		msr->true_exit = read_msr(MSR_IA32_VMX_TRUE_EXIT_CTLS);
		msr->true_entry = read_msr(MSR_IA32_VMX_TRUE_ENTRY_CTLS);
	}
	cpu = msr->cpu >> 32;
	if (cpu & VMX_CPU_ACTIVATE_CPU2)
		msr->cpu2 = read_msr(MSR_IA32_VMX_PROCBASED_CTLS2);
	cpu2 = msr->cpu2 >> 32;
	if (cpu2 & (VMX_CPU2_EPT | VMX_CPU2_VPID))
		msr->ept_vpid = read_msr(MSR_IA32_VMX_EPT_VPID_CAP);
	if (cpu2 & VMX_CPU2_VMFUNC)
		msr->vmfunc = read_msr(MSR_IA32_VMX_VMFUNC);
	if (cpu & VMX_CPU_ACTIVATE_CPU3)
		msr->cpu3 = read_msr(MSR_IA32_VMX_PROCBASED_CTLS3);
	if (msr->exit >> 32 & VMX_EXIT_CTL_ACTIVATE_EXIT2)
		msr->exit2 = read_msr(MSR_VMX_EXIT_CTLS2);
}

/*
 * CPUID itself, not the kernel's feature flags: those forget VMX where firmware
 * locked it off, and count out physical-address bits used for encryption.
 */
static void read_cpu(struct vmx_cpu_info *cpu)
{
	*cpu = (struct vmx_cpu_info) {
		.has_vmx = cpuid_ecx(1) & BIT(5),
		.has_xsave = boot_cpu_has(X86_FEATURE_XSAVE),
		.signature = cpuid_eax(1),
		.phys_bits = cpuid_eax(0x80000000) >= 0x80000008 ?
			     cpuid_eax(0x80000008) & 0xff : 36,
		.tsc_khz = tsc_khz,
	};
	if (!cpu->has_vmx)
		return;
	cpu->feature_control = read_msr(MSR_IA32_FEAT_CTL);
	read_msrs(&cpu->msr);
}

/**
 * vmx_caps_init() - fill vmx_caps from this CPU, and log what keeps VMX off
 *
 * Context: module init, once.
 */
void __init vmx_caps_init(void)
{
	struct vmx_missing missing;
	struct vmx_cpu_info cpu;

	read_cpu(&cpu);
	vmx_caps_derive(&vmx_caps, &cpu, &missing);
	switch (vmx_caps.status) {
	case VMX_STATUS_NO_VMX:
		pr_info("this CPU has no VMX\n");
		break;
	case VMX_STATUS_LOCKED:
		pr_info("firmware has locked VMX off: enable virtualization in the firmware's setup\n");
		break;
	case VMX_STATUS_MISSING:
		pr_info("this CPU lacks VMX features that the module needs: %s, bits %#x\n",
			missing.what, missing.bits);
		break;
	}
}

/**
 * vmx_caps_usable() - whether VMs can be created
 *
 * Return: 0, -ENODEV (no VMX), -EACCES (firmware locked it off) or -EOPNOTSUPP
 * (a needed feature is missing).
 */
int vmx_caps_usable(void)
{
	static const int errors[] = {
		[VMX_STATUS_OK] = 0,
		[VMX_STATUS_NO_VMX] = -ENODEV,
		[VMX_STATUS_LOCKED] = -EACCES,
		[VMX_STATUS_MISSING] = -EOPNOTSUPP,
	};

	return errors[vmx_caps.status];
}

/**
 * vmx_caps_check_cpu() - whether this CPU can join the others
 *
 * VMCSs move between CPUs, so all must have the same VMX.
 *
 * Context: on the CPU in question, bound to it.
 * Return: 0 or -EOPNOTSUPP.
 */
int vmx_caps_check_cpu(void)
{
	struct vmx_cpu_info cpu;

	read_cpu(&cpu);
	if (vmx_caps_same(&vmx_caps, &cpu))
		return 0;
	pr_warn("CPU %d differs in VMX features from the first CPU and runs no guests\n",
		smp_processor_id());
	return -EOPNOTSUPP;
}
