// SPDX-License-Identifier: GPL-2.0
/* What VM entry and VM exit exchange for the host's performance counters. Needs no VMX. */
#include <kunit/test.h>

#include <asm/msr-index.h>
#include <asm/perf_event.h>

#include "../../vmx/perf.h"

/* SDM, "VM-Exit Controls for MSRs": index in bits 31:0, value in bits 127:64 */
static void expect_entry(struct kunit *test, const void *area, unsigned int n, u32 index,
			 u64 value)
{
	const u64 *entry = area + n * 16;

	KUNIT_EXPECT_EQ(test, entry[0], (u64)index);
	KUNIT_EXPECT_EQ(test, entry[1], value);
}

static struct vmx_perf_areas *make_areas(struct kunit *test)
{
	struct vmx_perf_areas *areas = kunit_kzalloc(test, sizeof(*areas), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, areas);
	KUNIT_EXPECT_EQ(test, sizeof(*areas), PAGE_SIZE);
	return areas;
}

/* A PEBS counter of the host's on a CPU that does not keep its records from guests */
static void perf_pebs_goes_off(struct kunit *test)
{
	static const struct perf_guest_switch_msr msrs[] = {
		{ .msr = MSR_CORE_PERF_GLOBAL_CTRL, .host = 0x70000000f, .guest = 0x70000000e },
		{ .msr = MSR_IA32_PEBS_ENABLE, .host = 1, .guest = 0 },
	};
	struct vmx_perf_areas *areas = make_areas(test);

	KUNIT_ASSERT_EQ(test, vmx_perf_fill(areas, msrs, 2), 2u);
	expect_entry(test, areas->guest, 0, MSR_CORE_PERF_GLOBAL_CTRL, 0x70000000e);
	expect_entry(test, areas->host, 0, MSR_CORE_PERF_GLOBAL_CTRL, 0x70000000f);
	expect_entry(test, areas->guest, 1, MSR_IA32_PEBS_ENABLE, 0);
	expect_entry(test, areas->host, 1, MSR_IA32_PEBS_ENABLE, 1);
}

/* Counters that count everywhere cost VM entry nothing. */
static void perf_same_values_stay(struct kunit *test)
{
	static const struct perf_guest_switch_msr msrs[] = {
		{ .msr = MSR_CORE_PERF_GLOBAL_CTRL, .host = 3, .guest = 3 },
		{ .msr = MSR_IA32_DS_AREA, .host = 0x1000, .guest = 0x1000 },
		{ .msr = MSR_IA32_PEBS_ENABLE, .host = 2, .guest = 0 },
	};
	struct vmx_perf_areas *areas = make_areas(test);

	KUNIT_EXPECT_EQ(test, vmx_perf_fill(areas, msrs, 0), 0u);
	KUNIT_EXPECT_EQ(test, vmx_perf_fill(areas, msrs, 2), 0u);
	KUNIT_EXPECT_EQ(test, vmx_perf_fill(areas, msrs, 3), 1u);
	expect_entry(test, areas->guest, 0, MSR_IA32_PEBS_ENABLE, 0);
	expect_entry(test, areas->host, 0, MSR_IA32_PEBS_ENABLE, 2);
}

static struct kunit_case perf_cases[] = {
	KUNIT_CASE(perf_pebs_goes_off),
	KUNIT_CASE(perf_same_values_stay),
	{}
};

static struct kunit_suite perf_suite = {
	.name = "vmx_perf",
	.test_cases = perf_cases,
};

kunit_test_suites(&perf_suite);
