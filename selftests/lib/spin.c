// SPDX-License-Identifier: GPL-2.0
/* A vCPU that runs while the test does something else. */
#include <errno.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "vmx_test_lib.h"

extern const unsigned char test_spin_guest[], test_spin_guest_end[];

static volatile uint64_t *counter(struct vmx_vm *vm)
{
	return (volatile uint64_t *)(vm->ram + TEST_DATA);
}

int test_enable_interrupts(struct vmx_vcpu *vcpu)
{
	return vmx_field_change(vcpu->vmcs, VMX_F_GUEST_RFLAGS, 0, 1 << 9);
}

bool test_keeps_interrupts_out(const struct vmx_vcpu *vcpu, uint32_t field)
{
	return test_on_bochs() && field == VMX_F_GUEST_RFLAGS &&
	       !(vcpu->vm->caps.features & VMX_HAS_PREEMPTION_TIMER);
}

static void *spin(void *arg)
{
	struct test_spinner *spinner = arg;

	if (spinner->cpu >= 0)
		test_pin(spinner->cpu);
	spinner->ret = vmx_run(spinner->vcpu);
	return NULL;
}

int test_spin(struct test_spinner *spinner, struct vmx_vcpu *vcpu, int cpu)
{
	int ret = test_start_code(vcpu, VMX_MODE_LONG, test_spin_guest,
				  test_spin_guest_end - test_spin_guest);

	if (!ret)
		ret = test_enable_interrupts(vcpu);
	if (ret)
		return ret;
	*counter(vcpu->vm) = 0;
	*spinner = (struct test_spinner){ .vcpu = vcpu, .cpu = cpu };
	ret = pthread_create(&spinner->thread, NULL, spin, spinner);
	if (ret)
		return -ret;
	test_spin_progress(vcpu->vm);
	return 0;
}

void test_spin_progress(struct vmx_vm *vm)
{
	uint64_t seen = *counter(vm);

	while (*counter(vm) == seen)
		sched_yield();
}

int test_spin_stop(struct test_spinner *spinner)
{
	if (ioctl(spinner->vcpu->fd, VMX_KICK))
		return -errno;
	pthread_join(spinner->thread, NULL);
	return spinner->ret;
}
