// SPDX-License-Identifier: GPL-2.0
/*
 * VMCSs of vCPUs: their states, and accesses while the vCPU runs.
 *
 * needs: cpus=2
 */
#include "lib/vm_fixture.h"

GUEST64(hlt_guest, "hlt");

static int get_state(int fd, struct vmx_vmcs_state *state)
{
	*state = (struct vmx_vmcs_state){ .size = sizeof(*state) };
	return ioctl(fd, VMX_VMCS_STATE, state) ? -errno : 0;
}

TEST_F(vm, life_of_a_vmcs)
{
	struct vmx_vmcs_clear clear = { .size = sizeof(clear) };
	struct vmx_vmcs_state state;

	ASSERT_EQ(0, test_pin(0));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_EQ(0, get_state(self->vcpu.vmcs, &state));
	EXPECT_EQ(0, state.launched);
	EXPECT_EQ(1, state.attached);

	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	ASSERT_EQ(0, get_state(self->vcpu.vmcs, &state));
	EXPECT_EQ(1, state.active);
	EXPECT_EQ(0, state.cpu);
	EXPECT_EQ(1, state.launched);

	ASSERT_EQ(0, ioctl(self->vcpu.vmcs, VMX_VMCS_CLEAR, &clear));
	ASSERT_EQ(0, get_state(self->vcpu.vmcs, &state));
	EXPECT_EQ(0, state.active);
	EXPECT_EQ(-1, state.cpu);
	EXPECT_EQ(0, state.launched);
	/* VMRESUME would fail now; the module has to remember to launch. */
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* One CPU clears what is active on another. */
TEST_F(vm, clear_from_another_cpu)
{
	struct vmx_vmcs_clear clear = { .size = sizeof(clear) };
	struct vmx_vmcs_state state;
	uint64_t rip;

	if (test_cpus() < 2)
		SKIP(return, "one CPU");
	ASSERT_EQ(0, test_pin(0));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	ASSERT_EQ(0, test_pin(1));
	ASSERT_EQ(0, ioctl(self->vcpu.vmcs, VMX_VMCS_CLEAR, &clear));
	ASSERT_EQ(0, get_state(self->vcpu.vmcs, &state));
	EXPECT_EQ(0, state.active);
	ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_GUEST_RIP, &rip));
	EXPECT_EQ(TEST_CODE, rip);
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	ASSERT_EQ(0, get_state(self->vcpu.vmcs, &state));
	EXPECT_EQ(1, state.cpu);
}

/* Reading a field on another CPU moves the VMCS there, with all that it holds. */
TEST_F(vm, fields_from_another_cpu)
{
	struct vmx_vmcs_state state;
	uint64_t value;

	if (test_cpus() < 2)
		SKIP(return, "one CPU");
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	for (uint64_t n = 0; n < 20; n++) {
		ASSERT_EQ(0, test_pin(n % 2));
		ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_SYSENTER_ESP, n << 20));
		ASSERT_EQ(0, test_pin((n + 1) % 2));
		ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_GUEST_SYSENTER_ESP, &value));
		ASSERT_EQ(n << 20, value);
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		ASSERT_EQ(0, get_state(self->vcpu.vmcs, &state));
		ASSERT_EQ((n + 1) % 2, state.cpu);
	}
}

TEST_F(vm, busy_while_running)
{
	struct vmx_field field = { .field = VMX_F_GUEST_RIP };
	struct vmx_vmcs_io io = { .size = sizeof(io), .fields = (uintptr_t)&field, .count = 1 };
	struct vmx_vmcs_dump dump = { .size = sizeof(dump) };
	struct vmx_vmcs_check check = { .size = sizeof(check) };
	struct vmx_vmcs_clear clear = { .size = sizeof(clear) };
	struct test_spinner spinner;

	ASSERT_EQ(0, test_spin(&spinner, &self->vcpu, -1));
	EXPECT_ERRNO(EBUSY, ioctl(self->vcpu.vmcs, VMX_VMCS_READ, &io));
	EXPECT_ERRNO(EBUSY, ioctl(self->vcpu.vmcs, VMX_VMCS_WRITE, &io));
	EXPECT_ERRNO(EBUSY, ioctl(self->vcpu.vmcs, VMX_VMCS_DUMP, &dump));
	EXPECT_ERRNO(EBUSY, ioctl(self->vcpu.vmcs, VMX_VMCS_CHECK, &check));
	EXPECT_ERRNO(EBUSY, ioctl(self->vcpu.vmcs, VMX_VMCS_CLEAR, &clear));
	EXPECT_ERRNO(EBUSY, ioctl(self->vcpu.fd, VMX_RUN));
	test_spin_progress(&self->vm);
	EXPECT_EQ(-EINTR, test_spin_stop(&spinner));
	EXPECT_EQ(0, ioctl(self->vcpu.vmcs, VMX_VMCS_READ, &io));
	EXPECT_EQ(0, ioctl(self->vcpu.vmcs, VMX_VMCS_DUMP, &dump));
}

/* The dry run of a check finds what entering finds. */
TEST_F(vm, check_agrees_with_entry)
{
	static const struct {
		uint32_t field;
		uint64_t clear, set;
	} wrong[] = {
		{ VMX_F_GUEST_RFLAGS, 1 << 1, 0 },
		{ VMX_F_GUEST_CR0, 1 << 0, 0 },
		{ VMX_F_GUEST_CR4, 1 << 5, 0 },
		{ VMX_F_GUEST_CS_ACCESS, 0, VMX_ACCESS_DB },
		{ VMX_F_GUEST_SS_ACCESS, 0xf, 0x9 },
		{ VMX_F_GUEST_TR_ACCESS, 0, VMX_ACCESS_UNUSABLE },
		{ VMX_F_GUEST_GDTR_BASE, 0, 1ull << 62 },
		{ VMX_F_GUEST_LDTR_ACCESS, VMX_ACCESS_UNUSABLE, 0 },
	};
	struct vmx_failure failure;

	for (size_t n = 0; n < TEST_COUNT(wrong); n++) {
		ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
		ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, wrong[n].field, wrong[n].clear,
					    wrong[n].set));
		ASSERT_VMX(vmx_vmcs_check(self->vcpu.vmcs, &failure));
		EXPECT_NE((uint32_t)VMX_CHECK_NONE, failure.check) { TH_LOG("step %zu", n); }
		ASSERT_VMX(vmx_run(&self->vcpu));
		ASSERT_TRUE(vmx_entry_failed(self->run)) { TH_LOG("step %zu", n); }
		EXPECT_EQ(VMX_REASON_ENTRY_FAILURE | VMX_REASON_INVALID_GUEST_STATE,
			  self->run->reason);
		EXPECT_EQ(0, memcmp(&failure, &self->run->failure, sizeof(failure)));
	}
	/* Nothing of it sticks. */
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* Two VMCSs of one thread, in turn: each keeps its own fields. */
TEST_F(vm, two_in_turn)
{
	struct vmx_vcpu other;
	uint64_t a, b;

	ASSERT_VMX(vmx_vcpu_open(&other, &self->vm));
	ASSERT_VMX(test_start(&other, VMX_MODE_LONG, hlt_guest));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	for (uint64_t n = 1; n < 20; n++) {
		ASSERT_VMX(vmx_field_set(other.vmcs, VMX_F_GUEST_SYSENTER_EIP, n));
		ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_SYSENTER_EIP, n << 8));
		ASSERT_EXIT(&other, VMX_REASON_HLT);
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		ASSERT_VMX(vmx_field_get(other.vmcs, VMX_F_GUEST_SYSENTER_EIP, &a));
		ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_GUEST_SYSENTER_EIP, &b));
		ASSERT_EQ(n, a);
		ASSERT_EQ(n << 8, b);
	}
	vmx_vcpu_close(&other);
}

VMX_TEST_MAIN
