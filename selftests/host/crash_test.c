// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel crashes while a guest runs: each CPU leaves VMX operation, so that the crash kernel
 * can start it.
 *
 * needs: cpus=2
 * needs: kernel=debian-*
 * ends: the machine
 * expect-log: Kernel panic - not syncing: sysrq triggered crash
 */
#include "lib/vm_fixture.h"

TEST_F(vm, leaves_vmx_operation)
{
	struct test_spinner spinner;

	if (!getenv("VMX_MACHINE"))
		SKIP(return, "it crashes the machine: make test T=crash_test has one for that");
	ASSERT_EQ(0, test_take_over("crash_test", "vm.leaves_vmx_operation", true));
	ASSERT_EQ(0, test_pin(0));
	ASSERT_EQ(0, test_spin(&spinner, &self->vcpu, 1));
	ASSERT_EQ(0, test_write_file("/proc/sysrq-trigger", "c"));
	ASSERT_TRUE(false) { TH_LOG("the kernel goes on after a crash"); }
}

VMX_TEST_MAIN
