// SPDX-License-Identifier: GPL-2.0
/*
 * Another kernel replaces this one while a guest runs: each CPU leaves VMX operation, so that
 * the next kernel can start it.
 *
 * needs: cpus=2
 * needs: kernel=debian-*
 * ends: the machine
 */
#include <linux/reboot.h>
#include <sys/syscall.h>

#include "lib/vm_fixture.h"

TEST_F(vm, leaves_vmx_operation)
{
	struct test_spinner spinner;

	if (!getenv("VMX_MACHINE"))
		SKIP(return, "it ends the machine: make test T=kexec_test has one for that");
	ASSERT_EQ(0, test_take_over("kexec_test", "vm.leaves_vmx_operation", false));
	ASSERT_EQ(0, test_pin(0));
	ASSERT_EQ(0, test_spin(&spinner, &self->vcpu, 1));
	ASSERT_EQ(0, syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
			     LINUX_REBOOT_CMD_KEXEC, NULL));
	ASSERT_TRUE(false) { TH_LOG("the kernel goes on"); }
}

VMX_TEST_MAIN
