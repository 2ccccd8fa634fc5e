// SPDX-License-Identifier: GPL-2.0
/* What the exit-reason field and the interruption information say. Needs no VMX. */
#include <kunit/test.h>

#include "../../vmx/exit_reason.h"

/* SDM, "Basic VM-Exit Information": what an exit may come with. */
static const u32 modifiers[] = {
	VMX_REASON_SHADOW_STACK_BUSY,
	VMX_REASON_BUS_LOCKED,
	VMX_REASON_ENCLAVE_MODE,
	VMX_REASON_PENDING_MTF,
	VMX_REASON_FROM_ROOT,
	BIT(30),	/* to come */
};

static void exit_reason_modifiers(struct kunit *test)
{
	unsigned int i;
	u32 basic;

	for (basic = 0; basic < VMX_STATS_REASONS; basic++) {
		KUNIT_EXPECT_EQ(test, vmx_exit_reason(basic), basic);
		for (i = 0; i < ARRAY_SIZE(modifiers); i++)
			KUNIT_EXPECT_EQ(test, vmx_exit_reason(basic | modifiers[i]), basic);
	}
}

static void exit_reason_failed_entries(struct kunit *test)
{
	static const u32 failures[] = {
		VMX_REASON_INVALID_GUEST_STATE, VMX_REASON_MSR_LOADING, VMX_REASON_MACHINE_CHECK,
	};
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(failures); i++) {
		u32 reason = failures[i] | VMX_REASON_ENTRY_FAILURE;

		KUNIT_EXPECT_EQ(test, vmx_exit_reason(reason), reason);
		for (j = 0; j < ARRAY_SIZE(modifiers); j++)
			KUNIT_EXPECT_EQ(test, vmx_exit_reason(reason | modifiers[j]), reason);
	}
	/* The module's own, which no field holds: bit 16 is always 0. */
	KUNIT_EXPECT_NE(test, vmx_exit_reason(~0u), (u32)VMX_REASON_VM_INSTRUCTION);
}

static void exit_reason_host_events(struct kunit *test)
{
	static const struct {
		u32 info;
		bool nmi, machine_check;
	} rows[] = {
		{ VMX_INTR_VALID | VMX_INTR_TYPE_NMI | 2, true, false },
		{ VMX_INTR_VALID | VMX_INTR_TYPE_NMI | VMX_INTR_UNBLOCK_NMI | 2, true, false },
		{ VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | 18, false, true },
		{ VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | VMX_INTR_UNBLOCK_NMI | 18,
		  false, true },
		{ VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | 2, false, false },
		{ VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | VMX_INTR_ERROR_CODE | 14,
		  false, false },
		{ VMX_INTR_VALID | VMX_INTR_TYPE_PRIVILEGED_EXCEPTION | 1, false, false },
		{ VMX_INTR_VALID | VMX_INTR_TYPE_SOFTWARE_EXCEPTION | 3, false, false },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		KUNIT_EXPECT_EQ_MSG(test, vmx_is_nmi(rows[i].info), rows[i].nmi, "%#x",
				    rows[i].info);
		KUNIT_EXPECT_EQ_MSG(test, vmx_is_machine_check(rows[i].info),
				    rows[i].machine_check, "%#x", rows[i].info);
	}
}

/* SDM, "Information for VM Exits Due to Vectored Events": undefined for double faults */
static void exit_reason_unblocked_nmis(struct kunit *test)
{
	u32 vector;

	for (vector = 0; vector < 32; vector++) {
		u32 info = VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | vector;

		KUNIT_EXPECT_FALSE(test, vmx_unblocked_nmi(info));
		KUNIT_EXPECT_EQ_MSG(test, vmx_unblocked_nmi(info | VMX_INTR_UNBLOCK_NMI),
				    vector != 8, "%u", vector);
	}
}

static struct kunit_case exit_reason_cases[] = {
	KUNIT_CASE(exit_reason_modifiers),
	KUNIT_CASE(exit_reason_failed_entries),
	KUNIT_CASE(exit_reason_host_events),
	KUNIT_CASE(exit_reason_unblocked_nmis),
	{}
};

static struct kunit_suite exit_reason_suite = {
	.name = "vmx_exit_reason",
	.test_cases = exit_reason_cases,
};

kunit_test_suites(&exit_reason_suite);
