// SPDX-License-Identifier: GPL-2.0
/*
 * CPUs go offline and come back, with guests on them and without.
 *
 * needs: cpus=2
 */
#include <sched.h>

#include "lib/vm_fixture.h"

#define CPU1 "/sys/devices/system/cpu/cpu1/online"

GUEST64(hlt_guest, "hlt");

static int set_online(bool online)
{
	return test_write_file(CPU1, online ? "1" : "0");
}

FIXTURE(hotplug) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	struct vmx_run_page *run;
};

FIXTURE_SETUP(hotplug)
{
	if (access(CPU1, W_OK))
		SKIP(return, "no CPU that can go offline");
	ASSERT_EQ(0, set_online(true));
	ASSERT_VMX(vmx_vm_open(&self->vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	self->run = self->vcpu.run;
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
}

FIXTURE_TEARDOWN(hotplug)
{
	set_online(true);
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

/* The CPU that a guest runs on goes away: the thread moves, the guest goes on. */
TEST_F_TIMEOUT(hotplug, during_a_run, 120)
{
	struct test_spinner spinner;

	ASSERT_EQ(0, test_pin(0));
	ASSERT_EQ(0, test_spin(&spinner, &self->vcpu, 1));
	for (int n = 0; n < 5; n++) {
		cpu_set_t set;

		test_spin_progress(&self->vm);
		ASSERT_EQ(0, set_online(false));
		test_spin_progress(&self->vm);
		ASSERT_EQ(0, set_online(true));
		CPU_ZERO(&set);
		CPU_SET(1, &set);
		ASSERT_EQ(0, pthread_setaffinity_np(spinner.thread, sizeof(set), &set));
	}
	EXPECT_EQ(-EINTR, test_spin_stop(&spinner));
}

/* A VMCS that is active on a CPU that goes away is written back first. */
TEST_F_TIMEOUT(hotplug, vmcs_survives_its_cpu, 120)
{
	struct vmx_vmcs_state state = { .size = sizeof(state) };
	uint64_t value;

	for (uint64_t n = 0; n < 3; n++) {
		ASSERT_EQ(0, test_pin(1));
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_SYSENTER_EIP, 0x1000 + n));
		ASSERT_EQ(0, test_pin(0));
		ASSERT_EQ(0, set_online(false));
		ASSERT_EQ(0, ioctl(self->vcpu.vmcs, VMX_VMCS_STATE, &state));
		EXPECT_EQ(0, state.active);
		ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_GUEST_SYSENTER_EIP, &value));
		EXPECT_EQ(0x1000 + n, value);
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		ASSERT_EQ(0, set_online(true));
	}
}

/* A CPU that comes while a VM exists can run its vCPUs. */
TEST_F_TIMEOUT(hotplug, new_cpu_runs_guests, 120)
{
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;

	ASSERT_EQ(0, test_pin(0));
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
	ASSERT_EQ(0, set_online(false));
	ASSERT_VMX(vmx_vm_open(&vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&vcpu, &vm));
	ASSERT_VMX(test_start(&vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_EXIT(&vcpu, VMX_REASON_HLT);
	ASSERT_EQ(0, set_online(true));
	ASSERT_EQ(0, test_pin(1));
	ASSERT_EXIT(&vcpu, VMX_REASON_HLT);
	ASSERT_EQ(0, test_pin(0));
	/* VMX goes off everywhere with the last VM, also on the CPU that came late. */
	vmx_vcpu_close(&vcpu);
	vmx_vm_close(&vm);
	ASSERT_EQ(0, set_online(false));
	ASSERT_EQ(0, set_online(true));
	ASSERT_VMX(vmx_vm_open(&vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&vcpu, &vm));
	ASSERT_VMX(test_start(&vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_EQ(0, test_pin(1));
	ASSERT_EXIT(&vcpu, VMX_REASON_HLT);
	vmx_vcpu_close(&vcpu);
	vmx_vm_close(&vm);
}

VMX_TEST_MAIN
