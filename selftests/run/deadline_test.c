// SPDX-License-Identifier: GPL-2.0
/* The TSC deadline: one shot, in guest time, never early. */
#include <x86intrin.h>

#include "lib/vm_fixture.h"

GUEST64(loop_guest, "1: inc %rax\n jmp 1b");
GUEST64(tsc_guest, "1: rdtsc\n shl $32, %rdx\n or %rax, %rdx\n mov %rdx, %rbx\n jmp 1b");
GUEST64(hlt_guest, "hlt");

/* Where the CPU has no preemption timer, an interrupt ends the guest's stay. */
#define ASSERT_START(guest)						\
do {									\
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, guest));	\
	ASSERT_VMX(test_enable_interrupts(&self->vcpu));		\
} while (0)

/* Cycles that are long next to a first RUN, with its page faults, and short next to a test. */
static uint64_t a_while(struct vmx_vcpu *vcpu)
{
	uint64_t start = __rdtsc();

	if (test_start(vcpu, VMX_MODE_LONG, hlt_guest) || vmx_run(vcpu))
		return 0;
	return 200000 + 4 * (__rdtsc() - start);
}

TEST_F(vm, fires_once)
{
	const uint64_t span = a_while(&self->vcpu);
	uint64_t start, deadline;

	ASSERT_START(loop_guest);
	start = __rdtsc();
	deadline = start + span;
	self->run->deadline = deadline;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_PREEMPTION_TIMER);
	EXPECT_LE(deadline, __rdtsc() + (1ull << self->vm.caps.timer_shift));
	EXPECT_EQ(0, self->run->deadline);
	EXPECT_LT(0, self->run->regs[VMX_RAX]);

	/* Again, with the guest going on where it was. */
	start = self->run->regs[VMX_RAX];
	self->run->deadline = __rdtsc() + span;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_PREEMPTION_TIMER);
	EXPECT_LT(start, self->run->regs[VMX_RAX]);
}

TEST_F(vm, past_deadline_fires_at_once)
{
	ASSERT_START(loop_guest);
	self->run->deadline = 1;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_PREEMPTION_TIMER);
	EXPECT_EQ(0, self->run->deadline);
}

TEST_F(vm, far_deadline_never_fires)
{
	ASSERT_START(hlt_guest);
	self->run->deadline = ~0ull;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(~0ull, self->run->deadline);
	/* Just beyond what the 32-bit timer can count. */
	self->run->deadline = __rdtsc() + (1ull << (33 + self->vm.caps.timer_shift));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_NE(0, self->run->deadline);
}

/* The guest's own clock, with an offset, is what counts. */
TEST_F(vm, follows_the_tsc_offset)
{
	const uint64_t span = a_while(&self->vcpu);
	uint64_t offset = 1ull << 40, deadline;

	if (!(self->vm.caps.cpu.may & VMX_CPU_TSC_OFFSETTING))
		SKIP(return, "the CPU has no TSC offsetting");
	ASSERT_START(tsc_guest);
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_CPU_CONTROLS, 0,
				    VMX_CPU_TSC_OFFSETTING));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_TSC_OFFSET, offset));
	deadline = __rdtsc() + offset + span;
	self->run->deadline = deadline;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_PREEMPTION_TIMER);
	EXPECT_LE(deadline, __rdtsc() + offset + (1ull << self->vm.caps.timer_shift));
	/* The last time the guest read lies shortly before. */
	EXPECT_LT(offset, self->run->regs[VMX_RBX]);
	EXPECT_GT(deadline + span, self->run->regs[VMX_RBX]);
}

/* An exit before it leaves it armed. */
TEST_F(vm, survives_other_exits)
{
	const uint64_t span = a_while(&self->vcpu);
	GUEST64(vmcall_guest, "1: vmcall\n jmp 1b");
	unsigned int exits = 0;
	uint64_t deadline;

	ASSERT_START(vmcall_guest);
	deadline = __rdtsc() + span;
	self->run->deadline = deadline;
	for (;;) {
		ASSERT_VMX(vmx_run(&self->vcpu));
		if (self->run->reason == VMX_REASON_PREEMPTION_TIMER)
			break;
		ASSERT_EQ((uint32_t)VMX_REASON_VMCALL, self->run->reason);
		ASSERT_EQ(deadline, self->run->deadline);
		self->run->retire = 1;
		exits++;
		ASSERT_GT(100000, exits);
	}
	EXPECT_LT(0, exits);
	EXPECT_LE(deadline, __rdtsc() + (1ull << self->vm.caps.timer_shift));
}

/* A user that takes it back is not called. */
TEST_F(vm, can_be_cancelled)
{
	const uint64_t span = a_while(&self->vcpu);

	ASSERT_START(hlt_guest);
	self->run->deadline = __rdtsc() + span;
	self->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vmx_run(&self->vcpu));
	self->run->immediate_exit = 0;
	self->run->deadline = 0;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* Where the CPU has an HLT activity state, a guest can sleep until its deadline. */
TEST_F(vm, ends_hlt)
{
	const uint64_t span = a_while(&self->vcpu);
	bool timer = self->vm.caps.features & VMX_HAS_PREEMPTION_TIMER;
	uint64_t deadline;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	/* Bochs wakes a guest that takes interrupts before it makes it exit. */
	if (!timer)
		ASSERT_VMX(test_enable_interrupts(&self->vcpu));
	if (self->vm.caps.cpu.must & VMX_CPU_HLT_EXITING)
		SKIP(return, "HLT always exits");
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_CPU_CONTROLS, VMX_CPU_HLT_EXITING, 0));
	deadline = __rdtsc() + span;
	self->run->deadline = deadline;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_PREEMPTION_TIMER);
	EXPECT_LE(deadline, __rdtsc() + (1ull << self->vm.caps.timer_shift));
	if (timer || !test_on_bochs())
		EXPECT_EQ((uint32_t)VMX_ACTIVITY_HLT, self->run->activity);
}

VMX_TEST_MAIN
