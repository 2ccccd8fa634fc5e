// SPDX-License-Identifier: GPL-2.0
/* The allocation of VPIDs, until none is left. Needs no VMX. */
#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/mm.h>

#include "../../vmx/vpid.h"

/* One VM gets its share, and what it gives back it gets again. */
static void vpid_share(struct kunit *test)
{
	int *vpid = kunit_kcalloc(test, VMX_VM_VPIDS, sizeof(*vpid), GFP_KERNEL);
	atomic_t taken = ATOMIC_INIT(0), other = ATOMIC_INIT(0);
	int i, one;

	KUNIT_ASSERT_NOT_NULL(test, vpid);
	for (i = 0; i < VMX_VM_VPIDS; i++) {
		vpid[i] = vmx_vpid_take(&taken);
		KUNIT_EXPECT_GT(test, vpid[i], 0);
	}
	KUNIT_EXPECT_EQ(test, vmx_vpid_take(&taken), 0);
	one = vmx_vpid_take(&other);
	KUNIT_EXPECT_GT(test, one, 0);
	vmx_vpid_return(one, &other);
	vmx_vpid_return(vpid[0], &taken);
	vpid[0] = vmx_vpid_take(&taken);
	KUNIT_EXPECT_GT(test, vpid[0], 0);
	for (i = 0; i < VMX_VM_VPIDS; i++)
		vmx_vpid_return(vpid[i], &taken);
	vmx_vpid_return(0, &taken);
	KUNIT_EXPECT_EQ(test, atomic_read(&taken), 0);
}

/* Whoever comes when all are taken goes without. */
static void vpid_exhaustion(struct kunit *test)
{
	const int vms = U16_MAX / VMX_VM_VPIDS + 1;
	atomic_t *taken = kunit_kcalloc(test, vms, sizeof(*taken), GFP_KERNEL);
	u16 *vpid = kvcalloc(U16_MAX, sizeof(*vpid), GFP_KERNEL);
	int i, got = 0;

	KUNIT_ASSERT_NOT_NULL(test, taken);
	KUNIT_ASSERT_NOT_NULL(test, vpid);
	for (i = 0; i < U16_MAX; i++) {
		vpid[i] = vmx_vpid_take(&taken[i / VMX_VM_VPIDS]);
		got += vpid[i] != 0;
	}
	KUNIT_EXPECT_EQ(test, got, U16_MAX);
	KUNIT_EXPECT_EQ(test, vmx_vpid_take(&taken[vms - 1]), 0);
	for (i = 0; i < U16_MAX; i++)
		vmx_vpid_return(vpid[i], &taken[i / VMX_VM_VPIDS]);
	for (i = 0; i < vms; i++)
		KUNIT_EXPECT_EQ(test, atomic_read(&taken[i]), 0);
	kvfree(vpid);
}

static struct kunit_case vpid_cases[] = {
	KUNIT_CASE(vpid_share),
	KUNIT_CASE(vpid_exhaustion),
	{}
};

static struct kunit_suite vpid_suite = {
	.name = "vmx_vpid",
	.test_cases = vpid_cases,
};

kunit_test_suites(&vpid_suite);
