// SPDX-License-Identifier: GPL-2.0
/* Guest memory follows the host's pages: the guest finds its data when the host moves them. */
#include <fcntl.h>
#include <linux/memfd.h>

#include "lib/host_memory.h"

/* Newer than the C library's header. */
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define PAGES	256ul
#define LENGTH	(PAGES * PAGE)

static uint64_t word(const char *at)
{
	return *(const volatile uint64_t *)at;
}

/* PAGES small pages at AREA, all written by the guest. */
FIXTURE(memory) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	char *at;
};

EVERY_MMU_OF(memory);

FIXTURE_SETUP(memory)
{
	NEED(variant->needs);
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	self->at = new_memory(LENGTH);
	ASSERT_NE(MAP_FAILED, self->at);
	/* Refused by kernels without huge pages, where they are small anyway. */
	madvise(self->at, LENGTH, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
	ASSERT_EQ(PAGES, guest_fill(&self->vcpu, PAGES));
}

FIXTURE_TEARDOWN(memory)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

/*
 * Pages that may be thrown away: those that the guest writes again may not, and the others are what
 * they were or zero.
 */
TEST_F(memory, freed_unless_written_again)
{
	size_t thrown_away = 0;

	ASSERT_EQ(0, madvise(self->at, LENGTH, MADV_FREE));
	EXPECT_EQ(0, guest_mapped(self->vm.mmu, PAGES));
	for (size_t n = 0; n < PAGES; n += 2)
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * PAGE, pattern(n) + 1));
	/* Now is the time to throw them away. */
	ASSERT_EQ(0, madvise(self->at, LENGTH, MADV_PAGEOUT));
	for (size_t n = 0; n < PAGES; n++) {
		uint64_t found = guest_read(&self->vcpu, AREA + n * PAGE);

		if (n % 2 == 0) {
			ASSERT_EQ(pattern(n) + 1, found);
		} else if (found) {
			ASSERT_EQ(pattern(n), found);
		} else {
			thrown_away++;
		}
	}
	EXPECT_LT(0, thrown_away);
}

/* What is moved away is not the guest's meanwhile, and is again where it comes back. */
TEST_F(memory, moved_there_and_back)
{
	char *away = new_memory(LENGTH);

	ASSERT_EQ(away, mremap(self->at, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, away));
	EXPECT_EQ(0, guest_mapped(self->vm.mmu, PAGES));
	EXPECT_EQ(-EFAULT, guest_try_read(&self->vcpu, AREA));
	ASSERT_EQ(0, mmu_map(self->vm.mmu, 2 * AREA, away, LENGTH, RW));
	EXPECT_EQ(pattern(3), guest_read(&self->vcpu, 2 * AREA + 3 * PAGE));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, 2 * AREA + 3 * PAGE, 0x3333));
	ASSERT_EQ(self->at, mremap(away, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, self->at));
	EXPECT_EQ(-EFAULT, guest_try_read(&self->vcpu, 2 * AREA));
	EXPECT_EQ(0x3333, guest_read(&self->vcpu, AREA + 3 * PAGE));
	EXPECT_EQ(PAGES - 1, guest_right(&self->vcpu, PAGES));
}

/* A hole is punched into a file that the guest has, and all of it is cut off. */
TEST_F(memory, file_with_a_hole)
{
	int file = memfd_create("guest", 0);
	char *at;

	ASSERT_NE(-1, file);
	ASSERT_EQ(0, ftruncate(file, LENGTH));
	at = mmap(self->at, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0);
	ASSERT_EQ(self->at, at);
	ASSERT_EQ(PAGES, guest_fill(&self->vcpu, PAGES));
	ASSERT_EQ(0, fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8 * PAGE, PAGE));
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA + 8 * PAGE));
	EXPECT_EQ(PAGES - 1, guest_right(&self->vcpu, PAGES));
	ASSERT_EQ(0, ftruncate(file, 0));
	EXPECT_EQ(0, guest_mapped(self->vm.mmu, PAGES));
	EXPECT_EQ(-EFAULT, guest_try_read(&self->vcpu, AREA));
	close(file);
}

/* What the host invalidates begins far below the guest's memory, and ends within it. */
TEST_F(memory, invalidated_from_far_below)
{
	const size_t below = 64 << 20;
	char *region = mmap(NULL, below + 4 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	const uint64_t gpa = 2 * AREA;

	ASSERT_NE(MAP_FAILED, region);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, gpa, region + below, 4 * PAGE, RW));
	for (size_t end = 0; end <= 4; end++) {
		for (size_t n = 0; n < 4; n++)
			ASSERT_EQ(ACCESS_DONE,
				  guest_write(&self->vcpu, gpa + n * PAGE, pattern(n)));
		ASSERT_EQ(0, madvise(region, below + end * PAGE, MADV_DONTNEED));
		for (size_t n = 0; n < 4; n++) {
			EXPECT_EQ(n >= end, mmu_walk(self->vm.mmu, gpa + n * PAGE).present);
			EXPECT_EQ(n < end ? 0 : pattern(n),
				  guest_read(&self->vcpu, gpa + n * PAGE));
		}
	}
	EXPECT_EQ(PAGES, guest_right(&self->vcpu, PAGES));
	munmap(region, below + 4 * PAGE);
	EXPECT_EQ(-EFAULT, guest_try_read(&self->vcpu, gpa));
}

/* A private mapping: copies of what the guest wrote stay its own, but are cut off as well. */
TEST_F(memory, private_file)
{
	int file = memfd_create("guest", 0);
	uint64_t value = 0x4141;

	ASSERT_NE(-1, file);
	ASSERT_EQ(0, ftruncate(file, LENGTH));
	ASSERT_EQ(self->at, mmap(self->at, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
				 file, 0));
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA + PAGE));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 0x4242));
	ASSERT_EQ(sizeof(value), pwrite(file, &value, sizeof(value), 0));
	ASSERT_EQ(sizeof(value), pwrite(file, &value, sizeof(value), PAGE));
	EXPECT_EQ(0x4242, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(0x4141, guest_read(&self->vcpu, AREA + PAGE));
	ASSERT_EQ(0, ftruncate(file, 0));
	EXPECT_EQ(-EFAULT, guest_try_read(&self->vcpu, AREA));
	EXPECT_EQ(-EFAULT, guest_try_read(&self->vcpu, AREA + PAGE));
	close(file);
}

#define HUGE_POOL "/proc/sys/vm/nr_hugepages"

TEST_F(memory, hugetlbfs)
{
	int file = memfd_create("guest", MFD_HUGETLB | MFD_HUGE_2MB);
	long long before = test_read_number(HUGE_POOL);
	char *at = MAP_FAILED, text[24];

	if (before < 0 || file < 0)
		SKIP(return, "this kernel has no hugetlbfs");
	ASSERT_EQ(0, test_write_file(HUGE_POOL, "4"));
	ASSERT_EQ(0, ftruncate(file, 2 * LARGE));
	at = mmap(NULL, 2 * LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (at == MAP_FAILED)
		SKIP(return, "no huge pages are free now");
	ASSERT_EQ(0, mmu_map(self->vm.mmu, 2 * AREA, at, 2 * LARGE, RW));
	for (uint64_t n = 0; n < 2 * LARGE; n += 16 * PAGE)
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, 2 * AREA + n, n + 1));
	if (self->vm.caps.features & VMX_HAS_EPT_2M)
		EXPECT_EQ(2, mmu_walk(self->vm.mmu, 2 * AREA + LARGE).leaf);
	for (uint64_t n = 0; n < 2 * LARGE; n += 16 * PAGE)
		ASSERT_EQ(n + 1, word(at + n));
	ASSERT_EQ(0, fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, LARGE, LARGE));
	EXPECT_EQ(1, guest_read(&self->vcpu, 2 * AREA));
	EXPECT_EQ(0, guest_read(&self->vcpu, 2 * AREA + LARGE));
	/* Now it may go back to the pool. */
	ASSERT_EQ(0, munmap(at, 2 * LARGE));
	EXPECT_EQ(-EFAULT, guest_try_read(&self->vcpu, 2 * AREA));
	close(file);
	snprintf(text, sizeof(text), "%lld", before);
	EXPECT_EQ(0, test_write_file(HUGE_POOL, text));
}

/*
 * Compaction moves pages to make larger pieces of free memory: that of the guest is among what lies
 * scattered.
 */
TEST_F(memory, migrated)
{
	const size_t scattered = 16 * PAGES, half = scattered / 2 * PAGE, distance = 64 << 20;
	uint64_t before[PAGES], after[PAGES];
	size_t moved = 0;
	char *at = NULL;

	/* Where it lies scattered depends on what ran before: next time it lies elsewhere. */
	for (unsigned int attempts = 4; attempts && !moved; attempts--) {
		char *gap = new_memory(distance);

		at = new_memory(scattered * PAGE);
		ASSERT_NE(MAP_FAILED, at);
		ASSERT_NE(MAP_FAILED, gap);
		madvise(at, scattered * PAGE, MADV_NOHUGEPAGE);
		/* Compaction moves pages up. Half lie far below the others, or above. */
		ASSERT_EQ(0, madvise(at, half, MADV_POPULATE_WRITE));
		ASSERT_EQ(0, madvise(gap, distance, MADV_POPULATE_WRITE));
		ASSERT_EQ(0, madvise(at + half, half, MADV_POPULATE_WRITE));
		munmap(gap, distance);
		for (size_t n = 0; n < scattered; n += 8)
			ASSERT_EQ(0, madvise(at + (n + 1) * PAGE, 7 * PAGE, MADV_DONTNEED));
		/* In place of what the fixture has: what is left, side by side for the guest. */
		ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA, LENGTH));
		for (size_t n = 0; n < PAGES; n++)
			ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA + n * PAGE, at + n * 16 * PAGE,
					     PAGE, RW));
		ASSERT_EQ(PAGES, guest_fill(&self->vcpu, PAGES));
		for (size_t n = 0; n < PAGES; n++)
			ASSERT_EQ(0, read_pagemap(at + n * 16 * PAGE, 1, &before[n]));
		if (!(before[0] & PAGEMAP_FRAME))
			SKIP(return, "this needs to see frame numbers");
		ASSERT_EQ(0, test_write_file("/proc/sys/vm/compact_memory", "1"));
		for (size_t n = 0; n < PAGES; n++) {
			ASSERT_EQ(0, read_pagemap(at + n * 16 * PAGE, 1, &after[n]));
			moved += before[n] != after[n];
		}
		EXPECT_EQ(PAGES, guest_right(&self->vcpu, PAGES));
	}
	TH_LOG("%zu of %lu pages have moved", moved, PAGES);
	EXPECT_LT(0, moved);
	for (size_t n = 0; n < PAGES; n++)
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * PAGE, n));
	for (size_t n = 0; n < PAGES; n++)
		ASSERT_EQ(n, word(at + n * 16 * PAGE));
}

#define KSM "/sys/kernel/mm/ksm/"

/* Lets the merging thread go over all memory some times, so that it finds what stays the same. */
static bool ksm_scans(int times)
{
	long long until = test_read_number(KSM "full_scans") + times;

	for (int n = 0; n < 100000; n++) {
		if (test_read_number(KSM "full_scans") >= until)
			return true;
		usleep(1000);
	}
	return false;
}

TEST_F(memory, merged_and_split_again)
{
	uint64_t entries[PAGES];

	if (test_read_number(KSM "run") < 0)
		SKIP(return, "this kernel has no KSM");
	/* pairs of equal pages */
	for (size_t n = 0; n < PAGES; n++)
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * PAGE, pattern(n / 2)));
	ASSERT_EQ(0, madvise(self->at, LENGTH, MADV_MERGEABLE));
	ASSERT_EQ(0, test_write_file(KSM "pages_to_scan", "1000"));
	ASSERT_EQ(0, test_write_file(KSM "sleep_millisecs", "1"));
	ASSERT_EQ(0, test_write_file(KSM "run", "1"));
	EXPECT_TRUE(ksm_scans(4));
	ASSERT_EQ(0, test_write_file(KSM "run", "0"));
	ASSERT_EQ(0, read_pagemap(self->at, PAGES, entries));
	for (size_t n = 0; n < PAGES; n += 2)
		ASSERT_EQ(entries[n] & PAGEMAP_FRAME, entries[n + 1] & PAGEMAP_FRAME);
	for (size_t n = 0; n < PAGES; n++) {
		EXPECT_EQ(pattern(n / 2), guest_read(&self->vcpu, AREA + n * PAGE));
		EXPECT_EQ(VMX_MMU_READ, mmu_walk(self->vm.mmu, AREA + n * PAGE).prot);
	}
	/* A write to one of a pair does not change the other. */
	for (size_t n = 0; n < PAGES; n += 2)
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * PAGE, n));
	for (size_t n = 0; n < PAGES; n++)
		EXPECT_EQ(n % 2 ? pattern(n / 2) : n, guest_read(&self->vcpu, AREA + n * PAGE));
	/* Split them all. */
	ASSERT_EQ(0, test_write_file(KSM "run", "2"));
	EXPECT_EQ(PAGES / 2, guest_mapped(self->vm.mmu, PAGES));
	for (size_t n = 0; n < PAGES; n++)
		EXPECT_EQ(n % 2 ? pattern(n / 2) : n, guest_read(&self->vcpu, AREA + n * PAGE));
	ASSERT_EQ(0, test_write_file(KSM "run", "0"));
}

/* How many of the fixture's pages are in swap; -1 if that cannot be read. */
static long swapped(const char *at)
{
	uint64_t entries[PAGES];
	long count = 0;

	if (read_pagemap(at, PAGES, entries))
		return -1;
	for (size_t n = 0; n < PAGES; n++)
		count += !!(entries[n] & PAGEMAP_SWAP);
	return count;
}

/*
 * Has the fixture's pages written to swap. Some kernels find at first that the guest has used them,
 * and leave them where they are.
 */
static int page_out(char *at)
{
	return madvise(at, LENGTH, MADV_PAGEOUT) ?: madvise(at, LENGTH, MADV_PAGEOUT);
}

TEST_F(memory, swapped_out_and_in)
{
	if (swap_on())
		SKIP(return, "this kernel has no swap, or no RAM disk for it");
	ASSERT_EQ(0, page_out(self->at));
	EXPECT_LT(PAGES / 2, swapped(self->at));
	EXPECT_GE(PAGES - swapped(self->at), guest_mapped(self->vm.mmu, PAGES));
	EXPECT_EQ(PAGES, guest_right(&self->vcpu, PAGES));
	EXPECT_EQ(0, swapped(self->at));
	/* They may still be in swap as well: what the guest writes now must get there. */
	for (size_t n = 0; n < PAGES; n += 2)
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * PAGE, n));
	ASSERT_EQ(0, page_out(self->at));
	EXPECT_LT(PAGES / 2, swapped(self->at));
	for (size_t n = 0; n < PAGES; n++)
		EXPECT_EQ(n % 2 ? pattern(n) : n, word(self->at + n * PAGE));
	/* A write is what brings them back. */
	ASSERT_EQ(0, page_out(self->at));
	EXPECT_LT(PAGES / 2, swapped(self->at));
	EXPECT_EQ(PAGES, guest_fill(&self->vcpu, PAGES));
	/* The disk goes: all that is there comes back. */
	ASSERT_EQ(0, page_out(self->at));
	EXPECT_LT(PAGES / 2, swapped(self->at));
	ASSERT_EQ(0, swapoff(SWAP_DISK));
	EXPECT_EQ(0, swapped(self->at));
	EXPECT_EQ(PAGES, guest_right(&self->vcpu, PAGES));
	EXPECT_EQ(PAGES, owner_right(self->at, PAGES));
}

VMX_TEST_MAIN
