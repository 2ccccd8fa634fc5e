// SPDX-License-Identifier: GPL-2.0
/* Virtualization exceptions: EPT violations that go to the guest. */
#include "lib/mmu_guest.h"

#define PAGES	8ul
#define LENGTH	(PAGES * PAGE)
#define VECTOR	20
/* Where the guest has the area. */
#define INFO	(AREA + 0x1000000)

/* SDM, "Virtualization-Exception Information" */
struct ve_info {
	uint32_t reason;
	uint32_t busy;
	uint64_t qualification;
	uint64_t linear;
	uint64_t physical;
	uint16_t index;
};

GUEST64(vmfunc_guest,
	"vmfunc\n"
	"mov	%rdx, (%rbx)\n"
	"vmcall\n");

FIXTURE(ve) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	struct ve_info *info;
	char *at;
};

/* Memory at AREA that the guest may read and hears of when it writes. */
FIXTURE_SETUP(ve)
{
	struct vmx_ve ve = { .size = sizeof(ve), .enable = 1 };

	NEED(VMX_HAS_VE);
	ASSERT_VMX(vmx_vm_open(&self->vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_SET_VE, &ve));
	self->info = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->vcpu.fd, PAGE);
	ASSERT_NE(MAP_FAILED, self->info);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, INFO, self->info, PAGE, RW));
	self->at = new_memory(LENGTH);
	ASSERT_NE(MAP_FAILED, self->at);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, VMX_MMU_READ | VMX_MMU_VE));
}

FIXTURE_TEARDOWN(ve)
{
	munmap(self->info, PAGE);
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

/* The guest's access has to become an exception, told of in the area as the guest sees it. */
#define ASSERT_VE(what, gpa, bits) do {						\
	uint64_t zero_ = 0;							\
										\
	ASSERT_EQ(ACCESS_DONE, guest_access(&self->vcpu, what, gpa, &zero_)) {	\
		TH_LOG("%s", test_describe(&self->vcpu));			\
	}									\
	ASSERT_EQ(VECTOR, self->vcpu.run->regs[VMX_RDI]);			\
	ASSERT_EQ(VMX_REASON_EPT_VIOLATION, self->info->reason);		\
	ASSERT_EQ(~0u, self->info->busy);					\
	ASSERT_EQ((uint64_t)(gpa), self->info->physical);			\
	ASSERT_EQ((uint64_t)(gpa), self->info->linear);				\
	ASSERT_EQ((uint64_t)(bits), self->info->qualification & 7);		\
	/* Bochs has what VMFUNC left, not what VM entry loads. */		\
	if (!test_on_bochs()) {							\
		ASSERT_EQ(0xffff, self->info->index);				\
	}									\
	self->vcpu.run->regs[VMX_RDI] = 0;					\
	self->info->busy = 0;							\
} while (0)

TEST_F(ve, told_of_what_is_forbidden)
{
	struct vmx_vm_stats before, after;

	/* The first one brings pages that the handler needs. */
	ASSERT_VE(ACCESS_WRITE, AREA, VMX_MMU_WRITE);
	ASSERT_VMX(vmx_vm_stats(&self->vm, &before));
	ASSERT_VE(ACCESS_WRITE, AREA, VMX_MMU_WRITE);
	ASSERT_VMX(vmx_vm_stats(&self->vm, &after));
	EXPECT_EQ(before.exits[VMX_REASON_EPT_VIOLATION], after.exits[VMX_REASON_EPT_VIOLATION]);
	/* Also of a page that was never touched. */
	ASSERT_VE(ACCESS_WRITE, AREA + 3 * PAGE, VMX_MMU_WRITE);
	ASSERT_VE(ACCESS_CALL, AREA + 4 * PAGE, VMX_MMU_EXEC);
	EXPECT_EQ(VMX_MMU_READ | VMX_MMU_VE, mmu_walk(self->vm.mmu, AREA).prot);
}

/* The guest reads the area where it has it. */
TEST_F(ve, the_area_is_guest_memory)
{
	ASSERT_VE(ACCESS_WRITE, AREA + PAGE, VMX_MMU_WRITE);
	EXPECT_EQ(AREA + PAGE, guest_read(&self->vcpu, INFO + 24));
	self->info->busy = ~0u;
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, INFO + 4, 0));
	EXPECT_EQ(0, self->info->busy);
}

/* While the guest is busy with one, the next is an exit, each time. */
TEST_F(ve, one_at_a_time)
{
	self->info->busy = 1;
	for (int n = 0; n < 3; n++) {
		EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, AREA + PAGE, 1));
		EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, AREA + 2 * PAGE, 1));
	}
	self->info->busy = 0;
	ASSERT_VE(ACCESS_WRITE, AREA + PAGE, VMX_MMU_WRITE);
	ASSERT_VE(ACCESS_WRITE, AREA + 2 * PAGE, VMX_MMU_WRITE);
}

/* What the kernel resolves is no exception: absent pages, and holes are exits. */
TEST_F(ve, not_of_anything_else)
{
	char *other = new_memory(LENGTH);

	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA + LENGTH, other, LENGTH, RW | VMX_MMU_VE));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + LENGTH, 5));
	EXPECT_EQ(0, self->vcpu.run->regs[VMX_RDI]);
	/* a copy-on-write page of the host, read and then written */
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA + LENGTH + PAGE));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + LENGTH + PAGE, 6));
	EXPECT_EQ(0, self->vcpu.run->regs[VMX_RDI]);
	/* a page that is logged by write protection */
	ASSERT_EQ(0, mmu_log(self->vm.mmu, VMX_DIRTY_WRITE_PROTECT));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + LENGTH + PAGE, 7));
	EXPECT_EQ(0, self->vcpu.run->regs[VMX_RDI]);
	EXPECT_EQ(7, guest_read(&self->vcpu, AREA + LENGTH + PAGE));
	ASSERT_EQ(0, mmu_log(self->vm.mmu, VMX_DIRTY_OFF));
	EXPECT_EQ(ACCESS_EXIT, guest_try_read(&self->vcpu, AREA + 2 * LENGTH));
	ASSERT_VE(ACCESS_CALL, AREA + LENGTH, VMX_MMU_EXEC);
}

TEST_F(ve, follows_protect)
{
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA));
	/* more is allowed */
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, LENGTH, RW | VMX_MMU_VE));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 1));
	EXPECT_EQ(0, self->vcpu.run->regs[VMX_RDI]);
	/* less again */
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, LENGTH, VMX_MMU_READ | VMX_MMU_VE));
	ASSERT_VE(ACCESS_WRITE, AREA, VMX_MMU_WRITE);
	/* it is none of the guest's business any more, and then it is again */
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, LENGTH, VMX_MMU_READ));
	EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, AREA, 1));
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, LENGTH, VMX_MMU_READ | VMX_MMU_VE));
	ASSERT_VE(ACCESS_WRITE, AREA, VMX_MMU_WRITE);
}

/* An exit for a vCPU that has none, and for this one when it has none any more. */
TEST_F(ve, only_where_it_is_enabled)
{
	struct vmx_ve ve = { .size = sizeof(ve), .enable = 0 };
	struct vmx_vcpu other;

	ASSERT_VMX(vmx_vcpu_open(&other, &self->vm));
	ASSERT_VMX(test_start(&other, VMX_MODE_LONG, access_guest));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, other.fd, PAGE));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_VE(ACCESS_WRITE, AREA, VMX_MMU_WRITE);
	EXPECT_EQ(ACCESS_EXIT, guest_write(&other, AREA, 1));
	EXPECT_EQ(ACCESS_EXIT, guest_write(&other, AREA + 5 * PAGE, 1));
	vmx_vcpu_close(&other);
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_SET_VE, &ve));
	EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, AREA, 1));
	ve.enable = 1;
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_SET_VE, &ve));
	ASSERT_VE(ACCESS_WRITE, AREA, VMX_MMU_WRITE);
}

/* The area names the place in the list where the guest is. */
TEST_F(ve, with_a_list)
{
	const int fds[] = { -1, -1, self->vm.mmu };
	struct vmx_eptp_list list = {
		.size = sizeof(list), .mmu_fds = (uintptr_t)fds, .count = 3,
	};

	NEED(VMX_HAS_VMFUNC);
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_SET_EPTP_LIST, &list));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, vmfunc_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	self->vcpu.run->regs[VMX_RAX] = 0;
	self->vcpu.run->regs[VMX_RCX] = 2;
	self->vcpu.run->regs[VMX_RBX] = AREA;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
	EXPECT_EQ(VECTOR, self->vcpu.run->regs[VMX_RDI]);
	EXPECT_EQ(2, self->info->index);
}

TEST_F(ve, bad_input)
{
	struct vmx_ve ve = { .size = sizeof(ve), .enable = 2 };

	EXPECT_ERRNO(EINVAL, ioctl(self->vcpu.fd, VMX_SET_VE, &ve));
	EXPECT_ERRNO(EINVAL, mmu_map(self->vm.mmu, 2 * AREA, self->at, PAGE, VMX_MMU_VE));
	EXPECT_EQ(0, mmu_populate(self->vm.mmu, AREA, PAGE, VMX_MMU_READ | VMX_MMU_VE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->vcpu.fd, PAGE));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->vcpu.fd, 2 * PAGE));
}

/* A CPU that has none says so. */
TEST(refused_elsewhere)
{
	struct vmx_ve ve = { .size = sizeof(ve), .enable = 1 };
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;
	char *at = new_memory(PAGE);

	NEED(VMX_HAS_EPT);
	if (!test_missing(VMX_HAS_VE))
		SKIP(return, "the CPU has virtualization exceptions");
	ASSERT_VMX(vmx_vm_open(&vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&vcpu, &vm));
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(vcpu.fd, VMX_SET_VE, &ve));
	EXPECT_ERRNO(EOPNOTSUPP, mmu_map(vm.mmu, AREA, at, PAGE, VMX_MMU_READ | VMX_MMU_VE));
	vmx_vcpu_close(&vcpu);
	vmx_vm_close(&vm);
}

VMX_TEST_MAIN
