// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory on a 1 GiB page of the host.
 *
 * needs: memory=3072
 * needs: kernel=debian-6.12
 *
 * Only the command line gives such pages to a kernel without contiguous allocation.
 */
#include <fcntl.h>

#include "lib/mmu_guest.h"

/* Newer than the C library's header. */
#ifndef MFD_HUGE_1GB
#define MFD_HUGE_1GB (30u << 26)
#endif

#define LENGTH	0x40000000ul
#define POOL	"/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"

FIXTURE(gigantic) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	int file;
	char *at;
};

/* In the first page of each 2 MiB the offset plus 1. */
FIXTURE_SETUP(gigantic)
{
	self->file = -1;
	NEED(VMX_HAS_EPT | VMX_HAS_EPT_1G);
	ASSERT_VMX(vmx_vm_open(&self->vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	ASSERT_EQ(0, test_write_file(POOL, "1"));
	if (test_read_number(POOL) != 1)
		SKIP(return, "the kernel has no 1 GiB of contiguous memory now");
	self->file = memfd_create("guest", MFD_HUGETLB | MFD_HUGE_1GB);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, LENGTH));
	self->at = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, self->file, 0);
	ASSERT_NE(MAP_FAILED, self->at);
	for (size_t n = 0; n < LENGTH; n += LARGE)
		*(volatile uint64_t *)(self->at + n) = n + 1;
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
}

FIXTURE_TEARDOWN(gigantic)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
	if (self->at)
		munmap(self->at, LENGTH);
	close(self->file);
	test_write_file(POOL, "0");
}

static uint32_t leaf(struct vmx_vm *vm, uint64_t gpa)
{
	struct vmx_mmu_walk walk = mmu_walk(vm->mmu, gpa);

	return walk.present ? walk.leaf : 0;
}

TEST_F(gigantic, one_fault_maps_it_all)
{
	struct vmx_mmu_stats before, after;

	ASSERT_EQ(5 * LARGE + 1, guest_read(&self->vcpu, AREA + 5 * LARGE));
	ASSERT_EQ(3, leaf(&self->vm, AREA));
	before = mmu_stats(self->vm.mmu);
	EXPECT_EQ(1, before.pages[2]);
	for (size_t n = 0; n < LENGTH; n += 8 * LARGE) {
		ASSERT_EQ(n + 1, guest_read(&self->vcpu, AREA + n));
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n + PAGE, n + 2));
		ASSERT_EQ(n + 2, *(volatile uint64_t *)(self->at + n + PAGE));
	}
	after = mmu_stats(self->vm.mmu);
	EXPECT_EQ(before.faults, after.faults);
}

TEST_F(gigantic, populate_maps_it_large)
{
	ASSERT_EQ(LENGTH, mmu_populate(self->vm.mmu, AREA, LENGTH, RW));
	EXPECT_EQ(1, mmu_stats(self->vm.mmu).pages[2]);
	EXPECT_EQ(3, leaf(&self->vm, AREA + LENGTH - PAGE));
	EXPECT_EQ(LENGTH - LARGE + 1, guest_read(&self->vcpu, AREA + LENGTH - LARGE));
}

/* A page in the middle is protected: what is around it is in pages as large as can be. */
TEST_F(gigantic, taken_apart_and_put_together)
{
	const uint64_t middle = AREA + 100 * LARGE + 7 * PAGE;

	ASSERT_EQ(1, guest_read(&self->vcpu, AREA));
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, middle, PAGE, VMX_MMU_READ));
	EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, middle, 1));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, middle + PAGE, 1));
	EXPECT_EQ(1, leaf(&self->vm, middle + PAGE));
	for (size_t n = 0; n < LENGTH; n += LARGE)
		ASSERT_EQ(n + 1, guest_read(&self->vcpu, AREA + n));
	EXPECT_EQ(2, leaf(&self->vm, AREA));
	EXPECT_EQ(2, leaf(&self->vm, AREA + 101 * LARGE));
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, middle, PAGE, RW));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, middle, 1));
	EXPECT_EQ(3, leaf(&self->vm, middle));
	EXPECT_EQ(100 * LARGE + 1, guest_read(&self->vcpu, AREA + 100 * LARGE));
}

TEST_F(gigantic, a_part_is_unmapped)
{
	ASSERT_EQ(1, guest_read(&self->vcpu, AREA));
	ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA + LARGE, LARGE + PAGE));
	EXPECT_EQ(ACCESS_EXIT, guest_try_read(&self->vcpu, AREA + LARGE));
	EXPECT_EQ(ACCESS_EXIT, guest_try_read(&self->vcpu, AREA + 2 * LARGE));
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA + 2 * LARGE + PAGE));
	EXPECT_EQ(1, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(3 * LARGE + 1, guest_read(&self->vcpu, AREA + 3 * LARGE));
}

/* Of all that was large, the log tells of the two pages that were written. */
TEST_F(gigantic, log_tells_of_small_pages)
{
	static uint64_t bitmap[LENGTH / PAGE / 64];
	const uint64_t first = 9 * LARGE + 3 * PAGE, second = LENGTH - PAGE;

	ASSERT_EQ(1, guest_read(&self->vcpu, AREA));
	ASSERT_EQ(0, mmu_log(self->vm.mmu, VMX_DIRTY_WRITE_PROTECT));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + first, 1));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + second, 1));
	ASSERT_EQ(2, mmu_dirty(self->vm.mmu, AREA, LENGTH, bitmap));
	EXPECT_EQ(1ul << first / PAGE % 64, bitmap[first / PAGE / 64]);
	EXPECT_EQ(1ul << second / PAGE % 64, bitmap[second / PAGE / 64]);
}

TEST_F(gigantic, given_back_and_fresh)
{
	ASSERT_EQ(1, guest_read(&self->vcpu, AREA));
	ASSERT_EQ(0, fallocate(self->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LENGTH));
	EXPECT_EQ(0, leaf(&self->vm, AREA));
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(3, leaf(&self->vm, AREA));
}

TEST_HARNESS_MAIN
