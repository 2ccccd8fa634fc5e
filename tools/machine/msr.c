// SPDX-License-Identifier: LGPL-2.1-or-later
/* MSRs that exit: those of the local APIC and the TSC, and those that guests expect. */
#include <x86intrin.h>

#include "../lib/internal.h"
#include "internal.h"

#define MSR_TSC		0x10
#define MSR_TSC_ADJUST	0x3b
#define MSR_EFER	0xc0000080

/* MSRs that Linux reads or writes without asking whether they are there. */
static const struct {
	uint32_t index;
	uint64_t value;
} harmless_msrs[] = {
	{ 0x8b, 0 },		/* IA32_BIOS_SIGN_ID: microcode */
	{ 0xce, 0 },		/* MSR_PLATFORM_INFO */
	{ 0x140, 0 },		/* MISC_FEATURES_ENABLES */
	{ 0x1a0, 1 },		/* IA32_MISC_ENABLE: fast strings */
	{ 0x1d9, 0 },		/* IA32_DEBUGCTL */
	{ 0x3a, 1 },		/* IA32_FEATURE_CONTROL: locked, all off */
};

static bool harmless_msr(uint32_t index, uint64_t *value)
{
	for (size_t n = 0; n < COUNT(harmless_msrs); n++) {
		if (harmless_msrs[n].index == index) {
			*value = harmless_msrs[n].value;
			return true;
		}
	}
	return false;
}

/*
 * The guest's TSC is the host's, and IA32_TSC_ADJUST what the guest added to it (SDM,
 * "IA32_TSC_ADJUST Register"). An operating system that sees that nobody adjusts it trusts the TSC,
 * whatever a clock says whose interrupts came late.
 */
static int adjust_tsc(struct vmx_cpu *cpu, uint64_t adjust)
{
	int ret = vmx_field_change(cpu->vcpu.vmcs, VMX_F_CPU_CONTROLS, 0,
				   VMX_CPU_TSC_OFFSETTING);

	ret = ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_TSC_OFFSET, adjust);
	if (ret)
		return ret;
	cpu->tsc_adjust = adjust;
	vmx_lapic_set_tsc(&cpu->lapic, __rdtsc() + adjust);
	return 1;
}

bool vmx_cpu_rdmsr(struct vmx_cpu *cpu, uint32_t index, uint64_t *value)
{
	if (vmx_lapic_has_msr(index))
		return vmx_lapic_rdmsr(&cpu->lapic, index, value);
	switch (index) {
	case MSR_TSC:
		*value = __rdtsc() + cpu->tsc_adjust;
		return true;
	case MSR_TSC_ADJUST:
		*value = cpu->tsc_adjust;
		return true;
	case MSR_EFER:
		return !vmx_cpu_get_efer(cpu, value);
	default:
		return harmless_msr(index, value);
	}
}

int vmx_cpu_wrmsr(struct vmx_cpu *cpu, uint32_t index, uint64_t value)
{
	uint64_t unused;

	if (vmx_lapic_has_msr(index))
		return vmx_lapic_wrmsr(&cpu->lapic, index, value);
	switch (index) {
	case MSR_TSC:
		return adjust_tsc(cpu, value - __rdtsc());
	case MSR_TSC_ADJUST:
		return adjust_tsc(cpu, value);
	case MSR_EFER:
		return vmx_cpu_set_efer(cpu, value);
	default:
		return harmless_msr(index, &unused);
	}
}
