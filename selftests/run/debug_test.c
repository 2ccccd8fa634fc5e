// SPDX-License-Identifier: GPL-2.0
/* Debug registers and traps: guest and process each keep their own. */
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>

#include "lib/vm_fixture.h"

#define DR7_FIXED	0x400
#define DR7_L0_EXEC	(DR7_FIXED | 0x1)
#define DR7_L0_WRITE4	(DR7_FIXED | 0x1 | 0xd << 16)
#define DR7_L2_EXEC	(DR7_FIXED | 0x10)
#define DR6_FIXED	0xffff0ff0
#define DR6_BS		(1 << 14)
#define RFLAGS_TF	0x102

GUEST64(nops_guest, "nop\n nop\n nop\n hlt");
GUEST64(store_guest, "movl $1, 0x20010\n nop\n hlt");
GUEST64(dr_guest, "mov %rax, %dr3\n mov %dr6, %rbx\n hlt");

static int set_debug(struct vmx_vcpu *vcpu, const struct vmx_debug *debug)
{
	struct vmx_debug copy = *debug;

	copy.size = sizeof(copy);
	return ioctl(vcpu->fd, VMX_SET_DEBUG, &copy) ? -errno : 0;
}

static int get_debug(struct vmx_vcpu *vcpu, struct vmx_debug *debug)
{
	*debug = (struct vmx_debug){ .size = sizeof(*debug) };
	return ioctl(vcpu->fd, VMX_GET_DEBUG, debug) ? -errno : 0;
}

TEST_F(vm, values)
{
	struct vmx_debug set = { .dr = { 0x1000, 0x2000, ~0ull << 47, 0x7fffffffffff }, .dr6 = 0 };
	struct vmx_debug got;

	ASSERT_EQ(0, get_debug(&self->vcpu, &got));
	EXPECT_EQ(DR6_FIXED, got.dr6);
	ASSERT_EQ(0, set_debug(&self->vcpu, &set));
	ASSERT_EQ(0, get_debug(&self->vcpu, &got));
	EXPECT_EQ(0, memcmp(set.dr, got.dr, sizeof(set.dr)));
	EXPECT_EQ(DR6_FIXED, got.dr6);
	/* MOV to DR0 to DR3 takes any address, MOV to DR6 not any bits. */
	set.dr[1] = 1ull << 62;
	EXPECT_EQ(0, set_debug(&self->vcpu, &set));
	set.dr[1] = 0x2000;
	set.dr6 = 1ull << 32;
	EXPECT_EQ(-EINVAL, set_debug(&self->vcpu, &set));
	ASSERT_EQ(0, get_debug(&self->vcpu, &got));
	EXPECT_EQ(1ull << 62, got.dr[1]);
}

/* A user that asked for #DB debugs the guest from outside. */
TEST_F(vm, breakpoint_as_exit)
{
	struct vmx_debug debug = { .dr = { TEST_CODE + 1 } };

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, nops_guest));
	ASSERT_EQ(0, set_debug(&self->vcpu, &debug));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_DR7, DR7_L0_EXEC));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_EXCEPTION_BITMAP, 1 << 1));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_EXCEPTION_NMI);
	EXPECT_EQ(1, self->run->intr_info & VMX_INTR_VECTOR_MASK);
	EXPECT_EQ(1, self->run->qualification & VMX_PENDING_B0_B3);
	EXPECT_EQ(TEST_CODE + 1, self->run->rip);
	/* RFLAGS.RF lets it pass. */
	self->run->rflags |= 1 << 16;
	self->run->dirty |= VMX_STATE_RFLAGS;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* One that did not: the trap is the guest's, with its DR6. */
TEST_F(vm, breakpoint_in_the_guest)
{
	struct vmx_debug debug = { .dr = { 0, 0, TEST_CODE + 2 } };

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, nops_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	ASSERT_EQ(0, set_debug(&self->vcpu, &debug));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_DR7, DR7_L2_EXEC));
	ASSERT_EVENT(&self->vcpu, 1, 0);
	EXPECT_EQ(TEST_CODE + 2,
		  *(uint64_t *)test_at(&self->vm, self->run->regs[VMX_RSP] + TEST_EVENT_RIP));
	ASSERT_EQ(0, get_debug(&self->vcpu, &debug));
	EXPECT_EQ(DR6_FIXED | 4, debug.dr6);
}

TEST_F(vm, watchpoint)
{
	struct vmx_debug debug = { .dr = { TEST_DATA + 0x10 } };

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, store_guest));
	ASSERT_EQ(0, set_debug(&self->vcpu, &debug));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_DR7, DR7_L0_WRITE4));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_EXCEPTION_BITMAP, 1 << 1));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_EXCEPTION_NMI);
	EXPECT_EQ(1, self->run->qualification & VMX_PENDING_B0_B3);
	/* A trap: the store is done. */
	EXPECT_EQ(TEST_CODE + 11, self->run->rip);
	EXPECT_EQ(1, *(uint32_t *)test_at(&self->vm, TEST_DATA + 0x10));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/*
 * Once without single steps first: Bochs takes an EPT violation under RFLAGS.TF
 * for a completed instruction.
 */
TEST_F(vm, single_step_in_the_guest)
{
	struct vmx_debug debug;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, nops_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	self->run->inject_info = VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | 1;
	ASSERT_EVENT(&self->vcpu, 1, 0);
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
	test_goto(&self->vcpu, 0);
	self->run->rflags = RFLAGS_TF;
	self->run->dirty |= VMX_STATE_RFLAGS;
	for (uint64_t n = 1; n <= 3; n++) {
		ASSERT_EVENT(&self->vcpu, 1, 0);
		EXPECT_EQ(TEST_CODE + n, *(uint64_t *)test_at(&self->vm, self->run->regs[VMX_RSP] +
							      TEST_EVENT_RIP));
		ASSERT_EQ(0, get_debug(&self->vcpu, &debug));
		EXPECT_EQ(DR6_BS, debug.dr6 & DR6_BS);
		self->run->retire = 1;
	}
}

/* The guest's MOV DR are exits; a user that emulates them has SET and GET. */
TEST_F(vm, mov_dr_by_the_user)
{
	struct vmx_debug debug;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, dr_guest));
	self->run->regs[VMX_RAX] = 0x1234;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_MOV_DR);
	ASSERT_EQ(0, get_debug(&self->vcpu, &debug));
	debug.dr[self->run->qualification & 7] = self->run->regs[VMX_RAX];
	ASSERT_EQ(0, set_debug(&self->vcpu, &debug));
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_MOV_DR);
	EXPECT_EQ(6, self->run->qualification & 7);
	self->run->regs[VMX_RBX] = debug.dr6;
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(debug.dr6, self->run->regs[VMX_RBX]);
	ASSERT_EQ(0, get_debug(&self->vcpu, &debug));
	EXPECT_EQ(0x1234, debug.dr[3]);
}

/* A watchpoint of the process works on, while its guest has breakpoints of its own. */
TEST_F(vm, process_keeps_its_own)
{
	static volatile uint32_t watched;
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT, .size = sizeof(attr), .bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)&watched, .bp_len = HW_BREAKPOINT_LEN_4,
		.exclude_kernel = 1, .exclude_hv = 1,
	};
	struct vmx_debug debug = { .dr = { TEST_CODE + 1, 0x1111, 0x2222, 0x3333 } };
	int perf = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	uint64_t hits = 0;

	if (perf < 0)
		SKIP(return, "no hardware breakpoints for processes here");
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, nops_guest));
	ASSERT_EQ(0, set_debug(&self->vcpu, &debug));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_DR7, DR7_L0_EXEC));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_EXCEPTION_BITMAP, 1 << 1));
	for (uint64_t n = 1; n <= 5; n++) {
		watched = n;
		ASSERT_EQ(sizeof(hits), read(perf, &hits, sizeof(hits)));
		EXPECT_EQ(n, hits);
		test_goto(&self->vcpu, 0);
		ASSERT_EXIT(&self->vcpu, VMX_REASON_EXCEPTION_NMI);
		EXPECT_EQ(TEST_CODE + 1, self->run->rip);
	}
	close(perf);
}

VMX_TEST_MAIN
