// SPDX-License-Identifier: GPL-2.0
/* Exits that no emulator makes. Needs no VMX. */
#include <kunit/test.h>

#include <asm/processor-flags.h>

#include <linux/vmx.h>

#include "../../vmx/exit.h"

/* SDM, "Information for VM Exits That Occur During Event Delivery" */
static void exit_in_delivery(struct kunit *test)
{
	static const u32 listed[] = {
		VMX_REASON_EXCEPTION_NMI, VMX_REASON_TASK_SWITCH, VMX_REASON_APIC_ACCESS,
		VMX_REASON_EPT_VIOLATION, VMX_REASON_EPT_MISCONFIG, VMX_REASON_PML_FULL,
		VMX_REASON_SPP, VMX_REASON_INSN_TIMEOUT,
	};
	unsigned int n;
	u32 reason;

	for (reason = 0; reason < 2 * VMX_STATS_REASONS; reason++) {
		bool want = false;

		for (n = 0; n < ARRAY_SIZE(listed); n++)
			want |= reason == listed[n];
		KUNIT_EXPECT_EQ_MSG(test, vmx_exit_in_delivery(reason), want, "reason %u",
				    reason);
	}
	KUNIT_EXPECT_FALSE(test, vmx_exit_in_delivery(VMX_REASON_ENTRY_FAILURE));
}

/* SDM, "Interrupt 17--Alignment Check Exception (#AC)": any other is of a split lock. */
static void exit_alignment(struct kunit *test)
{
	const u32 user = 0xf3, supervisor = 0x93;
	const u64 on = X86_CR0_AM | X86_CR0_PE | X86_CR0_PG;

	KUNIT_EXPECT_TRUE(test, vmx_checks_alignment(on, X86_EFLAGS_AC, user));
	KUNIT_EXPECT_FALSE(test, vmx_checks_alignment(on, X86_EFLAGS_AC, supervisor));
	KUNIT_EXPECT_FALSE(test, vmx_checks_alignment(on, X86_EFLAGS_AC, 0xb3));
	KUNIT_EXPECT_FALSE(test, vmx_checks_alignment(on, X86_EFLAGS_AC, 0xd3));
	KUNIT_EXPECT_FALSE(test, vmx_checks_alignment(on, 0, user));
	KUNIT_EXPECT_FALSE(test, vmx_checks_alignment(on & ~X86_CR0_AM, X86_EFLAGS_AC, user));
}

static struct kunit_case exit_cases[] = {
	KUNIT_CASE(exit_in_delivery),
	KUNIT_CASE(exit_alignment),
	{}
};

static struct kunit_suite exit_suite = {
	.name = "vmx_exit",
	.test_cases = exit_cases,
};

kunit_test_suites(&exit_suite);
