/* SPDX-License-Identifier: GPL-2.0 */
/* The CPU's VMX capabilities, and the module's use of them. */
#ifndef VMX_CAPS_H
#define VMX_CAPS_H

#include <linux/bits.h>
#include <linux/types.h>

#include <linux/vmx.h>

/* Bits of IA32_VMX_BASIC and IA32_VMX_MISC that the kernel has no common names for. */
#define VMX_CAPS_BASIC_REVISION		0x7fffffff
#define VMX_CAPS_BASIC_PHYS_32		BIT_ULL(48)
#define VMX_CAPS_BASIC_TRUE		BIT_ULL(55)
#define VMX_CAPS_BASIC_ANY_ERROR_CODE	BIT_ULL(56)
#define VMX_CAPS_MISC_TIMER_SHIFT	0x1f
#define VMX_CAPS_MISC_ACTIVITY_SHIFT	6
#define VMX_CAPS_MISC_ACTIVITY_MASK	0x7
#define VMX_CAPS_MISC_CR3_TARGETS_SHIFT	16
#define VMX_CAPS_MISC_CR3_TARGETS_MASK	0x1ff
#define VMX_CAPS_MISC_ZERO_LENGTH	BIT_ULL(30)

/* IA32_VMX_EPT_VPID_CAP (SDM, "VPID and EPT Capabilities") */
#define VMX_CAPS_EPT_EXEC_ONLY		BIT_ULL(0)
#define VMX_CAPS_EPT_WALK_4		BIT_ULL(6)
#define VMX_CAPS_EPT_WALK_5		BIT_ULL(7)
#define VMX_CAPS_EPT_UC			BIT_ULL(8)
#define VMX_CAPS_EPT_WB			BIT_ULL(14)
#define VMX_CAPS_EPT_2M			BIT_ULL(16)
#define VMX_CAPS_EPT_1G			BIT_ULL(17)
#define VMX_CAPS_INVEPT			BIT_ULL(20)
#define VMX_CAPS_EPT_AD			BIT_ULL(21)
#define VMX_CAPS_EPT_SHADOW_STACK	BIT_ULL(23)
#define VMX_CAPS_INVEPT_SINGLE		BIT_ULL(25)
#define VMX_CAPS_INVEPT_ALL		BIT_ULL(26)
#define VMX_CAPS_INVVPID		BIT_ULL(32)
#define VMX_CAPS_INVVPID_SINGLE		BIT_ULL(41)
#define VMX_CAPS_INVVPID_ALL		BIT_ULL(42)

/* IA32_VMX_VMFUNC, and the control field alike (SDM, "VM-Function Controls") */
#define VMX_CAPS_EPTP_SWITCHING		BIT_ULL(0)

/**
 * enum vmx_capability - the capability MSRs that fields and checks depend on
 * @VMX_CAP_ALWAYS: none: every CPU with VMX
 * @VMX_CAP_PIN: pin-based controls
 * @VMX_CAP_CPU: primary processor-based controls
 * @VMX_CAP_CPU2: secondary processor-based controls
 * @VMX_CAP_CPU3: tertiary processor-based controls
 * @VMX_CAP_EXIT: VM-exit controls
 * @VMX_CAP_EXIT2: secondary VM-exit controls
 * @VMX_CAP_ENTRY: VM-entry controls
 * @VMX_CAP_VMFUNC: VM functions
 * @VMX_CAP_CR3_TARGETS: bit n: the CPU has CR3-target value n
 */
enum vmx_capability {
	VMX_CAP_ALWAYS,
	VMX_CAP_PIN,
	VMX_CAP_CPU,
	VMX_CAP_CPU2,
	VMX_CAP_CPU3,
	VMX_CAP_EXIT,
	VMX_CAP_EXIT2,
	VMX_CAP_ENTRY,
	VMX_CAP_VMFUNC,
	VMX_CAP_CR3_TARGETS,
};

/**
 * struct vmx_cpu_info - facts about a CPU from which capabilities follow
 * @has_vmx: CPUID.1:ECX.VMX
 * @has_xsave: the kernel uses XSAVE
 * @signature: CPUID.1:EAX: family, model, stepping
 * @phys_bits: physical-address width
 * @tsc_khz: TSC frequency, 0 if unknown
 * @feature_control: IA32_FEATURE_CONTROL, 0 if there is none
 * @msr: the capability MSRs, 0 where there is none
 */
struct vmx_cpu_info {
	bool has_vmx;
	bool has_xsave;
	u32 signature;
	u32 phys_bits;
	u32 tsc_khz;
	u64 feature_control;
	struct vmx_msr_caps msr;
};

/**
 * struct vmx_missing - why a CPU's VMX is not enough
 * @what: what is missing, for the kernel log; NULL if nothing is
 * @bits: the bits of it
 */
struct vmx_missing {
	const char *what;
	u32 bits;
};

/* What the first CPU can do; all others have to be the same. */
extern struct vmx_caps vmx_caps;

void vmx_caps_derive(struct vmx_caps *caps, const struct vmx_cpu_info *cpu,
		     struct vmx_missing *missing);
bool vmx_caps_same(const struct vmx_caps *caps, const struct vmx_cpu_info *cpu);
u32 vmx_caps_can_be_1(const struct vmx_caps *caps, enum vmx_capability which);
u32 vmx_caps_must_be_1(const struct vmx_caps *caps, enum vmx_capability which);

void vmx_caps_init(void);
int vmx_caps_usable(void);
int vmx_caps_check_cpu(void);

/* VMCS revision identifier (SDM, "Basic VMX Information") */
static inline u32 vmx_caps_revision(void)
{
	return vmx_caps.msr.basic & VMX_CAPS_BASIC_REVISION;
}

#endif /* VMX_CAPS_H */
