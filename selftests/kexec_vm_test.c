// SPDX-License-Identifier: GPL-2.0
/*
 * A program that goes on creating VMs while another kernel is about to replace this one. Programs
 * run until the devices are shut down: no VM may have CPUs enter VMX operation again.
 *
 * needs: cpus=2
 * needs: kernel=debian-*
 * ends: the machine
 */
#include <errno.h>
#include <linux/reboot.h>
#include <sys/syscall.h>

#include "lib/vm_fixture.h"

GUEST64(pause_guest, "pause\n hlt");

/*
 * RUN fails once the kernel has taken the CPUs out of VMX operation. Then the VM goes, which was
 * the last one, and the next is the first again.
 */
static void *create_again(void *arg)
{
	static struct vmx_vm again;
	struct vmx_vcpu *vcpu = arg;
	struct vmx_vm *vm = vcpu->vm;

	test_pin(1);
	do
		test_goto(vcpu, 0);
	while (!vmx_run(vcpu) && !vmx_entry_failed(vcpu->run));
	vmx_vcpu_close(vcpu);
	vmx_vm_close(vm);
	for (;;)
		vmx_vm_open(&again, TEST_RAM);
}

TEST_F(vm, created_while_the_kernel_ends)
{
	pthread_t thread;

	if (!getenv("VMX_MACHINE"))
		SKIP(return, "it ends the machine: make test T=kexec_vm_test has one for that");
	ASSERT_EQ(0, test_take_over("kexec_vm_test", "vm.created_while_the_kernel_ends", false));
	ASSERT_EQ(0, test_pin(0));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, pause_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	ASSERT_EQ(0, pthread_create(&thread, NULL, create_again, &self->vcpu));
	ASSERT_EQ(0, syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
			     LINUX_REBOOT_CMD_KEXEC, NULL));
	ASSERT_TRUE(false) { TH_LOG("the kernel goes on"); }
}

VMX_TEST_MAIN
