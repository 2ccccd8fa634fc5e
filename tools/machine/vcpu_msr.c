// SPDX-License-Identifier: LGPL-2.1-or-later
/* MSRs that exit: those of the local APIC and the TSC, and those that guests expect. */
#include "../lib/internal.h"
#include "../lib/x86.h"
#include "internal.h"

#define MSR_TSC		0x10
#define MSR_TSC_ADJUST	0x3b
#define MSR_FEATURE_CONTROL	0x3a
#define MSR_DEBUGCTL	0x1d9
#define MSR_EFER	0xc0000080

/*
 * MSRs that Linux reads or writes without asking whether they are there. A write that would change
 * a bit which is not ignored is a #GP, as of a register that is read-only, locked or reserved.
 */
static const struct {
	uint32_t index;
	uint64_t value;
	uint64_t ignored;
} harmless_msrs[] = {
	{ 0x8b, 0, UINT64_MAX },	/* IA32_BIOS_SIGN_ID: microcode */
	{ 0xce, 0, 0 },			/* MSR_PLATFORM_INFO */
	{ 0x140, 0, 0 },		/* MISC_FEATURES_ENABLES */
	{ 0x1a0, 1, 1 },		/* IA32_MISC_ENABLE: fast strings */
	{ MSR_FEATURE_CONTROL, 1, 0 },	/* locked, all off */
};

static int find_harmless(uint32_t index)
{
	for (size_t n = 0; n < COUNT(harmless_msrs); n++)
		if (harmless_msrs[n].index == index)
			return n;
	return -1;
}

static bool read_harmless(uint32_t index, uint64_t *value)
{
	int n = find_harmless(index);

	if (n >= 0)
		*value = harmless_msrs[n].value;
	return n >= 0;
}

/* To write what is there is a #GP, too, where a lock is what is there. */
static bool write_harmless(uint32_t index, uint64_t value)
{
	int n = find_harmless(index);

	return n >= 0 && index != MSR_FEATURE_CONTROL &&
	       !((value ^ harmless_msrs[n].value) & ~harmless_msrs[n].ignored);
}

/* SDM, "IA32_DEBUGCTL MSR": BTF works. LBR may be set, and there are no records. */
static int set_debugctl(struct vmx_cpu *cpu, uint64_t value)
{
	if (value & ~(DEBUGCTL_LBR | DEBUGCTL_BTF))
		return 0;
	return vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_DEBUGCTL, value & DEBUGCTL_BTF) ?: 1;
}

int vmx_cpu_offset_tsc(struct vmx_cpu *cpu)
{
	int ret = vmx_field_change(cpu->vcpu.vmcs, VMX_F_CPU_CONTROLS, 0,
				   VMX_CPU_TSC_OFFSETTING);

	return ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_TSC_OFFSET,
				    cpu->machine->tsc_offset + cpu->tsc_adjust);
}

/* Before the guest adds to it: the host's, without the time of pauses. */
static uint64_t common_tsc(const struct vmx_cpu *cpu)
{
	return vmx_machine_host_tsc(cpu->machine) + cpu->machine->tsc_offset;
}

/*
 * IA32_TSC_ADJUST is what the guest added to its TSC (SDM, "IA32_TSC_ADJUST Register"). An
 * operating system that sees that nobody adjusts it trusts the TSC, whatever a clock says whose
 * interrupts came late.
 */
static int adjust_tsc(struct vmx_cpu *cpu, uint64_t adjust)
{
	int ret;

	cpu->tsc_adjust = adjust;
	ret = vmx_cpu_offset_tsc(cpu);
	if (ret)
		return ret;
	vmx_lapic_set_tsc(&cpu->lapic, common_tsc(cpu) + adjust);
	return 1;
}

bool vmx_cpu_rdmsr(struct vmx_cpu *cpu, uint32_t index, uint64_t *value)
{
	if (vmx_lapic_has_msr(index))
		return vmx_lapic_rdmsr(&cpu->lapic, index, value);
	switch (index) {
	case MSR_TSC:
		*value = common_tsc(cpu) + cpu->tsc_adjust;
		return true;
	case MSR_TSC_ADJUST:
		*value = cpu->tsc_adjust;
		return true;
	case MSR_EFER:
		return !vmx_cpu_get_efer(cpu, value);
	case MSR_DEBUGCTL:
		return !vmx_field_get(cpu->vcpu.vmcs, VMX_F_GUEST_DEBUGCTL, value);
	default:
		return read_harmless(index, value);
	}
}

int vmx_cpu_wrmsr(struct vmx_cpu *cpu, uint32_t index, uint64_t value)
{
	if (vmx_lapic_has_msr(index))
		return vmx_lapic_wrmsr(&cpu->lapic, index, value);
	switch (index) {
	case MSR_TSC:
		return adjust_tsc(cpu, value - common_tsc(cpu));
	case MSR_TSC_ADJUST:
		return adjust_tsc(cpu, value);
	case MSR_EFER:
		return vmx_cpu_set_efer(cpu, value);
	case MSR_DEBUGCTL:
		return set_debugctl(cpu, value);
	default:
		return write_harmless(index, value);
	}
}
