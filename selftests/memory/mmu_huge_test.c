// SPDX-License-Identifier: GPL-2.0
/* Guest memory on huge pages of the host. */
#include "lib/huge_pages.h"

#define LENGTH (4 * LARGE)

/* Newer than the C library's header. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* How much of the memory around an address is in huge pages. */
static size_t huge_bytes(const void *at)
{
	unsigned long first, last, kib = 0;
	bool inside = false;
	char line[256];
	FILE *smaps = fopen("/proc/self/smaps", "r");

	if (!smaps)
		return 0;
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &first, &last) == 2)
			inside = first <= (uintptr_t)at && (uintptr_t)at < last;
		else if (inside)
			sscanf(line, "AnonHugePages: %lu", &kib);
	}
	fclose(smaps);
	return kib * 1024;
}

FIXTURE(huge) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	bool switched;
	char *at;
};

/* Four aligned huge pages, and in each 4 KiB the offset plus 1. */
FIXTURE_SETUP(huge)
{
	char *raw;

	NEED(VMX_HAS_EPT | VMX_HAS_EPT_2M);
	ASSERT_VMX(vmx_vm_open(&self->vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	self->switched = huge_pages_on();
	raw = new_memory(LENGTH + LARGE);
	ASSERT_NE(MAP_FAILED, raw);
	self->at = (char *)(((uintptr_t)raw + LARGE - 1) & ~(LARGE - 1));
	if (madvise(self->at, LENGTH, MADV_HUGEPAGE))
		SKIP(return, "the kernel has no transparent huge pages");
	for (size_t n = 0; n < LENGTH; n += PAGE)
		*(volatile uint64_t *)(self->at + n) = n + 1;
	if (huge_bytes(self->at) < LENGTH)
		SKIP(return, "the kernel gives no huge pages now");
}

FIXTURE_TEARDOWN(huge)
{
	huge_pages_as_before(self->switched);
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

static uint32_t leaf(struct vmx_vm *vm, uint64_t gpa)
{
	struct vmx_mmu_walk walk = mmu_walk(vm->mmu, gpa);

	return walk.present ? walk.leaf : 0;
}

TEST_F(huge, one_fault_maps_it_all)
{
	struct vmx_mmu_stats before, after;

	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
	ASSERT_EQ(1 + LARGE + 5 * PAGE, guest_read(&self->vcpu, AREA + LARGE + 5 * PAGE));
	ASSERT_EQ(2, leaf(&self->vm, AREA + LARGE));
	EXPECT_EQ(2, leaf(&self->vm, AREA + 2 * LARGE - 1));
	EXPECT_EQ(0, leaf(&self->vm, AREA));
	EXPECT_EQ(RW, mmu_walk(self->vm.mmu, AREA + LARGE).prot);
	before = mmu_stats(self->vm.mmu);
	for (size_t n = LARGE; n < 2 * LARGE; n += 16 * PAGE) {
		ASSERT_EQ(n + 1, guest_read(&self->vcpu, AREA + n));
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n, n + 2));
		ASSERT_EQ(n + 2, *(volatile uint64_t *)(self->at + n));
	}
	after = mmu_stats(self->vm.mmu);
	EXPECT_EQ(before.faults, after.faults);
	EXPECT_EQ(1, after.pages[1]);
}

/* One page of it goes: the rest stays what it was. */
TEST_F(huge, a_part_is_given_back)
{
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
	ASSERT_EQ(1, guest_read(&self->vcpu, AREA));
	ASSERT_EQ(2, leaf(&self->vm, AREA));
	ASSERT_EQ(0, madvise(self->at + 7 * PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, leaf(&self->vm, AREA));
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA + 7 * PAGE));
	EXPECT_EQ(1 + 6 * PAGE, guest_read(&self->vcpu, AREA + 6 * PAGE));
	EXPECT_EQ(1 + 8 * PAGE, guest_read(&self->vcpu, AREA + 8 * PAGE));
	EXPECT_EQ(1, leaf(&self->vm, AREA + 8 * PAGE));
	EXPECT_LT(0, mmu_stats(self->vm.mmu).splits);
}

/* Ranges that end within, begin within, or do not lie alike: small pages. */
TEST_F(huge, ranges_that_do_not_fit)
{
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LARGE - PAGE, RW));
	ASSERT_EQ(1, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(1, leaf(&self->vm, AREA));
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA + LARGE + PAGE, self->at + LARGE + PAGE,
			     LARGE - PAGE, RW));
	ASSERT_EQ(1 + LARGE + PAGE, guest_read(&self->vcpu, AREA + LARGE + PAGE));
	EXPECT_EQ(1, leaf(&self->vm, AREA + LARGE + PAGE));
	ASSERT_EQ(0, mmu_map(self->vm.mmu, 2 * AREA, self->at + PAGE, 2 * LARGE, RW));
	ASSERT_EQ(1 + LARGE + PAGE, guest_read(&self->vcpu, 2 * AREA + LARGE));
	EXPECT_EQ(1, leaf(&self->vm, 2 * AREA + LARGE));
}

TEST_F(huge, unmap_and_protect_within)
{
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
	for (size_t n = 0; n < LENGTH; n += LARGE) {
		ASSERT_EQ(n + 1, guest_read(&self->vcpu, AREA + n));
		ASSERT_EQ(2, leaf(&self->vm, AREA + n));
	}
	/* all of one and a page of its neighbour */
	ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA, LARGE + PAGE));
	EXPECT_EQ(ACCESS_EXIT, guest_try_read(&self->vcpu, AREA));
	EXPECT_EQ(ACCESS_EXIT, guest_try_read(&self->vcpu, AREA + LARGE));
	EXPECT_EQ(1 + LARGE + PAGE, guest_read(&self->vcpu, AREA + LARGE + PAGE));
	EXPECT_EQ(1, leaf(&self->vm, AREA + LARGE + PAGE));
	/* all of one: it stays large */
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA + 2 * LARGE, LARGE, VMX_MMU_READ));
	EXPECT_EQ(2, leaf(&self->vm, AREA + 2 * LARGE));
	EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, AREA + 2 * LARGE, 1));
	/* a page of one */
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA + 3 * LARGE + PAGE, PAGE, VMX_MMU_READ));
	EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, AREA + 3 * LARGE + PAGE, 1));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + 3 * LARGE, 1));
	EXPECT_EQ(1, leaf(&self->vm, AREA + 3 * LARGE));
	/* and large again, once that is undone and the small ones are gone */
	ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA, LENGTH));
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
	EXPECT_EQ(1, guest_read(&self->vcpu, AREA + 3 * LARGE));
	EXPECT_EQ(2, leaf(&self->vm, AREA + 3 * LARGE));
}

/* Pages protected one by one, and all of them again: the large one comes back. */
TEST_F(huge, large_again_when_it_is_one_range_again)
{
	struct vmx_mmu_stats before, after;

	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
	ASSERT_EQ(1, guest_read(&self->vcpu, AREA));
	for (size_t n = 0; n < 4 * PAGE; n += PAGE) {
		ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA + n, PAGE, VMX_MMU_READ));
		ASSERT_EQ(n + 1, guest_read(&self->vcpu, AREA + n));
	}
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + 4 * PAGE, 2));
	ASSERT_EQ(1, leaf(&self->vm, AREA));
	before = mmu_stats(self->vm.mmu);
	for (size_t n = 0; n < 4 * PAGE; n += PAGE)
		ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA + n, PAGE, RW));
	after = mmu_stats(self->vm.mmu);
	EXPECT_EQ(before.collapses + 1, after.collapses);
	for (size_t n = 0; n < 4 * PAGE; n += PAGE) {
		EXPECT_EQ(n + 1, guest_read(&self->vcpu, AREA + n));
		EXPECT_EQ(2, leaf(&self->vm, AREA + n));
	}
	EXPECT_EQ(2, guest_read(&self->vcpu, AREA + 4 * PAGE));
	EXPECT_EQ(before.tables - 1, mmu_stats(self->vm.mmu).tables);
	/* There is nothing to collapse in what is large already. */
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, LENGTH, VMX_MMU_READ));
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, LENGTH, RW));
	EXPECT_EQ(after.collapses, mmu_stats(self->vm.mmu).collapses);
}

/* The host takes a huge page apart, and makes another one of its pieces. */
TEST_F(huge, large_again_when_the_host_has_it_large)
{
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
	ASSERT_EQ(0, madvise(self->at + 7 * PAGE, PAGE, MADV_DONTNEED));
	ASSERT_EQ(1, guest_read(&self->vcpu, AREA));
	ASSERT_EQ(1, leaf(&self->vm, AREA));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + 7 * PAGE, 3));
	ASSERT_EQ(0, madvise(self->at, LARGE, MADV_COLLAPSE));
	EXPECT_EQ(1, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(2, leaf(&self->vm, AREA));
	EXPECT_EQ(3, guest_read(&self->vcpu, AREA + 7 * PAGE));
	EXPECT_EQ(1 + 8 * PAGE, guest_read(&self->vcpu, AREA + 8 * PAGE));
}

/* Nothing larger would come of it: what is there stays. */
TEST_F(huge, small_where_the_host_has_it_small)
{
	struct vmx_mmu_stats before;

	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
	ASSERT_EQ(0, madvise(self->at + 7 * PAGE, PAGE, MADV_DONTNEED));
	for (size_t n = 0; n < 16 * PAGE; n += PAGE)
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n, n + 2));
	ASSERT_EQ(1, leaf(&self->vm, AREA));
	before = mmu_stats(self->vm.mmu);
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA + 2 * PAGE, PAGE, VMX_MMU_READ));
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA + 2 * PAGE, PAGE, RW));
	EXPECT_EQ(before.collapses, mmu_stats(self->vm.mmu).collapses);
	for (size_t n = 0; n < 16 * PAGE; n += PAGE)
		EXPECT_EQ(1, mmu_walk(self->vm.mmu, AREA + n).present);
}

TEST_F(huge, populate_maps_it_large)
{
	struct vmx_mmu_stats before, after;

	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
	before = mmu_stats(self->vm.mmu);
	/* not from where a large page begins, nor to where one ends */
	ASSERT_EQ(2 * LARGE, mmu_populate(self->vm.mmu, AREA + PAGE, 2 * LARGE, RW));
	after = mmu_stats(self->vm.mmu);
	EXPECT_EQ(before.pages[1] + 3, after.pages[1]);
	EXPECT_EQ(before.pages[0], after.pages[0]);
	for (size_t n = 0; n < 3 * LARGE; n += 16 * PAGE)
		ASSERT_EQ(n + 1, guest_read(&self->vcpu, AREA + n));
	EXPECT_EQ(0, leaf(&self->vm, AREA + 3 * LARGE));
}

/* Fetches work whatever the page size the CPU allows for them. */
TEST_F(huge, code_in_huge_pages)
{
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RWX));
	for (size_t n = 0; n < 2 * LARGE; n += 64 * PAGE) {
		self->at[n] = 0xc3;
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n + 8, n));
		ASSERT_EQ(ACCESS_DONE, guest_call(&self->vcpu, AREA + n));
	}
}

#define SMALL_EXEC "/sys/module/vmx/parameters/small_exec"

/*
 * As on a CPU that may stop when the size of a page changes under a fetch: large pages for data,
 * and small ones where the guest fetches.
 */
TEST_F(huge, large_pages_that_are_not_executable)
{
	struct vmx_mmu_stats before, after;
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;

	ASSERT_EQ(0, test_write_file(SMALL_EXEC, "1"));
	ASSERT_VMX(vmx_vm_open(&vm, TEST_RAM));
	ASSERT_EQ(0, test_write_file(SMALL_EXEC, "0"));
	ASSERT_VMX(vmx_vcpu_open(&vcpu, &vm));
	ASSERT_VMX(test_start(&vcpu, VMX_MODE_LONG, access_guest));
	ASSERT_EQ(0, mmu_map(vm.mmu, AREA, self->at, LENGTH, RWX));
	self->at[3 * PAGE] = 0xc3;
	for (size_t n = 0; n < LENGTH; n += LARGE) {
		ASSERT_EQ(n + 1, guest_read(&vcpu, AREA + n));
		EXPECT_EQ(2, leaf(&vm, AREA + n));
		EXPECT_EQ(RW, mmu_walk(vm.mmu, AREA + n).prot);
	}
	before = mmu_stats(vm.mmu);
	ASSERT_EQ(ACCESS_DONE, guest_call(&vcpu, AREA + 3 * PAGE));
	after = mmu_stats(vm.mmu);
	EXPECT_EQ(1, leaf(&vm, AREA + 3 * PAGE));
	EXPECT_EQ(RWX, mmu_walk(vm.mmu, AREA + 3 * PAGE).prot);
	EXPECT_EQ(before.splits + 1, after.splits);
	EXPECT_EQ(before.pages[1] - 1, after.pages[1]);
	/* What is around it is there still, in small pages; the others are as they were. */
	EXPECT_EQ(1 + 4 * PAGE, guest_read(&vcpu, AREA + 4 * PAGE));
	EXPECT_EQ(1, leaf(&vm, AREA + 4 * PAGE));
	EXPECT_EQ(ACCESS_DONE, guest_write(&vcpu, AREA + LARGE, 2));
	EXPECT_EQ(2, leaf(&vm, AREA + LARGE));
	EXPECT_EQ(2, *(volatile uint64_t *)(self->at + LARGE));
	vmx_vcpu_close(&vcpu);
	vmx_vm_close(&vm);
}

/* Fork shares them: until either writes, for reading alone. */
TEST_F(huge, read_only_on_the_host)
{
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 1));
	ASSERT_EQ(0, mprotect(self->at, LARGE, PROT_READ));
	EXPECT_EQ(0, leaf(&self->vm, AREA));
	EXPECT_EQ(1, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(2, leaf(&self->vm, AREA));
	EXPECT_EQ(VMX_MMU_READ, mmu_walk(self->vm.mmu, AREA).prot);
	EXPECT_EQ(-EFAULT, guest_write(&self->vcpu, AREA, 2));
	ASSERT_EQ(0, mprotect(self->at, LARGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 3));
	EXPECT_EQ(2, leaf(&self->vm, AREA));
}

VMX_TEST_MAIN
