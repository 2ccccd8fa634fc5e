// SPDX-License-Identifier: GPL-2.0
/*
 * Mode-based execute control: permission to execute guest memory depends on
 * whether the linear address belongs to user mode or to supervisor mode.
 */
#include "lib/mmu_guest.h"

/* To the guest the first is supervisor memory, the second user memory. */
#define SUPERVISOR	AREA
#define USER		(AREA + LARGE)
#define XU		VMX_MMU_EXEC_USER
#define RET		0xc3
#define GUEST_USER	0x4

FIXTURE(mode_exec) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	char *at;
};

/* The tables of a long-mode guest, and the directory entry for USER. */
static void make_user(struct vmx_vm *vm)
{
	uint64_t *top = test_at(vm, VMX_GUEST_PAGE_TABLES);
	uint64_t *pointers = test_at(vm, VMX_GUEST_PAGE_TABLES + PAGE);
	uint64_t *directory = test_at(vm, VMX_GUEST_PAGE_TABLES + 3 * PAGE);

	top[0] |= GUEST_USER;
	pointers[1] |= GUEST_USER;
	directory[1] |= GUEST_USER;
}

FIXTURE_SETUP(mode_exec)
{
	NEED(VMX_HAS_MODE_EXEC);
	ASSERT_VMX(vmx_vm_open(&self->vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_CPU2_CONTROLS, 0,
				    VMX_CPU2_MODE_BASED_EXEC));
	make_user(&self->vm);
	self->at = new_memory(PAGE);
	ASSERT_NE(MAP_FAILED, self->at);
	memset(self->at, RET, PAGE);
}

FIXTURE_TEARDOWN(mode_exec)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

static int call_once(int mmu, struct vmx_vcpu *vcpu, uint64_t gpa, const char *at, uint32_t prot,
		     bool touched)
{
	int ret = mmu_map(mmu, gpa, at, PAGE, prot);

	if (ret)
		return ret;
	if (touched)
		guest_read(vcpu, gpa);
	ret = guest_call(vcpu, gpa);
	mmu_unmap(mmu, gpa, PAGE);
	return ret;
}

/* Each kind of address with each protection, of a page that is mapped and of one that is not. */
TEST_F(mode_exec, each_follows_its_bit)
{
	static const uint32_t prots[] = {
		VMX_MMU_READ, RX, VMX_MMU_READ | XU, RX | XU, RWX | XU,
	};

	for (size_t n = 0; n < TEST_COUNT(prots); n++) {
		int supervisor = prots[n] & VMX_MMU_EXEC ? ACCESS_DONE : ACCESS_EXIT;
		int user = prots[n] & XU ? ACCESS_DONE : ACCESS_EXIT;

		for (int touched = 0; touched < 2; touched++) {
			EXPECT_EQ(supervisor, call_once(self->vm.mmu, &self->vcpu, SUPERVISOR,
							self->at, prots[n], touched));
			EXPECT_EQ(user, call_once(self->vm.mmu, &self->vcpu, USER, self->at,
						  prots[n], touched));
		}
	}
}

TEST_F(mode_exec, execute_only)
{
	EXPECT_EQ(ACCESS_DONE, call_once(self->vm.mmu, &self->vcpu, USER, self->at,
					 VMX_MMU_EXEC | XU, false));
	EXPECT_EQ(ACCESS_EXIT, call_once(self->vm.mmu, &self->vcpu, USER, self->at, VMX_MMU_EXEC,
					 false));
	EXPECT_EQ(ACCESS_DONE, call_once(self->vm.mmu, &self->vcpu, SUPERVISOR, self->at,
					 VMX_MMU_EXEC, false));
	EXPECT_ERRNO(EINVAL, mmu_map(self->vm.mmu, USER, self->at, PAGE, XU));
}

TEST_F(mode_exec, follows_protect)
{
	ASSERT_EQ(0, mmu_map(self->vm.mmu, USER, self->at, PAGE, RX | XU));
	EXPECT_EQ(ACCESS_DONE, guest_call(&self->vcpu, USER));
	EXPECT_EQ(RX | XU, mmu_walk(self->vm.mmu, USER).prot);
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, USER, PAGE, RX));
	EXPECT_EQ(ACCESS_EXIT, guest_call(&self->vcpu, USER));
	EXPECT_EQ(RX, mmu_walk(self->vm.mmu, USER).prot);
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, USER, PAGE, VMX_MMU_READ | XU));
	EXPECT_EQ(ACCESS_DONE, guest_call(&self->vcpu, USER));
	EXPECT_EQ(PAGE, mmu_populate(self->vm.mmu, USER, PAGE, VMX_MMU_READ | XU));
	EXPECT_EQ(0, mmu_populate(self->vm.mmu, USER, PAGE, RX));
	EXPECT_EQ(ENOENT, errno);
}

/* To a vCPU without the control one bit is for both. */
TEST_F(mode_exec, only_where_it_is_on)
{
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_CPU2_CONTROLS,
				    VMX_CPU2_MODE_BASED_EXEC, 0));
	for (int user = 0; user < 2; user++) {
		uint64_t gpa = user ? USER : SUPERVISOR;

		EXPECT_EQ(ACCESS_DONE, call_once(self->vm.mmu, &self->vcpu, gpa, self->at, RX,
						 user));
		EXPECT_EQ(ACCESS_EXIT, call_once(self->vm.mmu, &self->vcpu, gpa, self->at,
						 VMX_MMU_READ | XU, user));
	}
}

/* A CPU that has none says so. */
TEST(refused_elsewhere)
{
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;
	char *at = new_memory(PAGE);

	NEED(VMX_HAS_EPT);
	if (!test_missing(VMX_HAS_MODE_EXEC))
		SKIP(return, "the CPU has mode-based execute control");
	ASSERT_VMX(vmx_vm_open(&vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&vcpu, &vm));
	EXPECT_ERRNO(EOPNOTSUPP, mmu_map(vm.mmu, AREA, at, PAGE, RX | XU));
	EXPECT_NE(0, vmx_field_change(vcpu.vmcs, VMX_F_CPU2_CONTROLS, 0,
				      VMX_CPU2_MODE_BASED_EXEC));
	vmx_vcpu_close(&vcpu);
	vmx_vm_close(&vm);
}

VMX_TEST_MAIN
