// SPDX-License-Identifier: GPL-2.0
/*
 * The machine suspends while VMs exist, as far as that works without the firmware: other CPUs
 * offline, devices and system cores suspended (Documentation/power/basic-pm-debugging.rst).
 *
 * needs: cpus=2
 * needs: kernel=debug
 */
#include "lib/vm_fixture.h"

#define POWER	"/sys/power/"

GUEST64(hlt_guest, "hlt");

static int suspend(void)
{
	int ret = test_write_file(POWER "mem_sleep", "deep");

	if (!ret)
		ret = test_write_file(POWER "pm_test", "core");
	if (!ret)
		ret = test_write_file(POWER "state", "mem");
	return ret;
}

static int state_of(struct vmx_vcpu *vcpu, struct vmx_vmcs_state *state)
{
	*state = (struct vmx_vmcs_state) { .size = sizeof(*state) };
	return ioctl(vcpu->vmcs, VMX_VMCS_STATE, state);
}

/* A VMCS on each CPU, the boot CPU's too, which alone never goes through hotplug. */
TEST_F_TIMEOUT(vm, guests_go_on_after, 300)
{
	struct vmx_vcpu *vcpus[2], other;
	struct vmx_vmcs_state state;
	uint64_t value;

	vcpus[0] = &self->vcpu;
	vcpus[1] = &other;
	ASSERT_VMX(vmx_vcpu_open(&other, &self->vm));
	for (int n = 0; n < 2; n++) {
		ASSERT_EQ(0, test_pin(n));
		ASSERT_VMX(test_start(vcpus[n], VMX_MODE_LONG, hlt_guest));
		ASSERT_VMX(vmx_field_set(vcpus[n]->vmcs, VMX_F_GUEST_SYSENTER_EIP, 0x1000 + n));
		ASSERT_EXIT(vcpus[n], VMX_REASON_HLT);
		ASSERT_EQ(0, state_of(vcpus[n], &state));
		ASSERT_EQ(n, state.cpu);
	}
	ASSERT_EQ(0, suspend());
	for (int n = 0; n < 2; n++) {
		/* What the CPU had of it is in memory, for a CPU that was off knows nothing. */
		ASSERT_EQ(0, state_of(vcpus[n], &state));
		EXPECT_EQ(0, state.active);
		EXPECT_EQ(0, state.launched);
		ASSERT_EQ(0, test_pin(n));
		ASSERT_VMX(vmx_field_get(vcpus[n]->vmcs, VMX_F_GUEST_SYSENTER_EIP, &value));
		EXPECT_EQ(0x1000 + n, value);
		ASSERT_EXIT(vcpus[n], VMX_REASON_HLT);
	}
	vmx_vcpu_close(&other);
}

VMX_TEST_MAIN
