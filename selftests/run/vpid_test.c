// SPDX-License-Identifier: GPL-2.0
/*
 * A VM has a share of the VPIDs. Guests of vCPUs beyond it run without one, and translate alike.
 *
 * needs: cpus=2
 */
#define EVERY_MMU
#include <sys/resource.h>

#include "lib/guest_tables.h"

/* VPIDs for one VM, and more vCPUs than that. */
#define SHARE	1024
#define VCPUS	(SHARE + 2)

static bool has_vpid(const struct vmx_vcpu *vcpu)
{
	uint64_t controls = 0;

	vmx_field_get(vcpu->vmcs, VMX_F_CPU2_CONTROLS, &controls);
	return controls & VMX_CPU2_VPID;
}

static int allow_files(void)
{
	struct rlimit limit = { 3 * VCPUS, 3 * VCPUS };

	return setrlimit(RLIMIT_NOFILE, &limit);
}

TEST_F(vm, more_vcpus_than_a_vm_has_vpids)
{
	struct vmx_vcpu *vcpus = calloc(VCPUS, sizeof(*vcpus)), *last = &vcpus[VCPUS - 1];
	unsigned int count = has_vpid(&self->vcpu);

	NEED(VMX_HAS_VPID);
	ASSERT_NE(NULL, vcpus);
	ASSERT_EQ(0, allow_files());
	for (unsigned int n = 0; n < VCPUS; n++) {
		ASSERT_VMX(vmx_vcpu_open(&vcpus[n], &self->vm));
		count += has_vpid(&vcpus[n]);
	}
	EXPECT_EQ(SHARE, count);
	EXPECT_FALSE(has_vpid(last));

	ASSERT_VMX(test_start(last, VMX_MODE_LONG, operations));
	map_linear(&self->vm);
	for (int n = 0; n < 4; n++) {
		ASSERT_EQ(0, test_pin(n & 1));
		*entry(&self->vm, TABLE, INDEX) = DATA | P | W;
		ASSERT_VMX(vmx_vm_invalidate(&self->vm, TABLE, PAGE));
		EXPECT_EQ(1, reads(last));
		/* and by itself */
		EXPECT_DONE(last, WRITE, TABLE + INDEX * 8, (DATA + PAGE) | P | W);
		EXPECT_DONE(last, INVLPG, LINEAR, 0);
		EXPECT_EQ(2, reads(last));
	}
	/* What one gives back another can have. */
	vmx_vcpu_close(&vcpus[0]);
	vmx_vcpu_close(last);
	ASSERT_VMX(vmx_vcpu_open(last, &self->vm));
	EXPECT_TRUE(has_vpid(last));
	for (unsigned int n = 1; n < VCPUS; n++)
		vmx_vcpu_close(&vcpus[n]);
	free(vcpus);
}

VMX_TEST_MAIN
