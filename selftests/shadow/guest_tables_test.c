// SPDX-License-Identifier: GPL-2.0
/*
 * The owner writes and reads page tables of guests; the guests' translations follow.
 *
 * needs: cpus=2
 */
#define EVERY_MMU

#include <sched.h>
#include <x86intrin.h>

#include "lib/guest_tables.h"
#include "lib/host_memory.h"
#include "lib/huge_pages.h"

/* Says over and over what it finds, and counts. */
GUEST64(reader,
	"1: mov	(%rbx), %rax\n"
	"mov	%rax, 0x20000\n"
	"incq	0x20008\n"
	"jmp	1b");

static void *run(void *vcpu)
{
	return (void *)(intptr_t)vmx_run(vcpu);
}

/* What the guest reads now: it has begun to read after this was called. */
static uint64_t reads_now(struct vmx_vm *vm)
{
	const uint64_t begun = *entry(vm, TEST_DATA, 1) + 1;

	while (*entry(vm, TEST_DATA, 1) <= begun)
		sched_yield();
	return *entry(vm, TEST_DATA, 0);
}

TEST_F(vm, changed_by_the_owner_while_the_guest_runs)
{
	pthread_t thread;
	void *ret;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, reader));
	ASSERT_VMX(test_enable_interrupts(&self->vcpu));
	map_linear(&self->vm);
	self->run->regs[VMX_RBX] = LINEAR;
	ASSERT_EQ(0, pthread_create(&thread, NULL, run, &self->vcpu));
	for (unsigned int n = 0; n < 10; n++) {
		*entry(&self->vm, TABLE, INDEX) = DATA | P | W;
		*entry(&self->vm, DIRECTORY, TABLE_INDEX) = TABLE | P | W;
		ASSERT_VMX(vmx_vm_invalidate(&self->vm, DIRECTORY, 2 * PAGE));
		EXPECT_EQ(1, reads_now(&self->vm));
		/* another page, and an announcement of just that entry */
		*entry(&self->vm, TABLE, INDEX) = (DATA + 2 * PAGE) | P | W;
		ASSERT_VMX(vmx_vm_invalidate(&self->vm, TABLE + INDEX * 8, 8));
		EXPECT_EQ(3, reads_now(&self->vm));
		/* another table */
		*entry(&self->vm, DIRECTORY, TABLE_INDEX) = OTHER_TABLE | P | W;
		ASSERT_VMX(vmx_vm_invalidate(&self->vm, 0, TEST_RAM));
		EXPECT_EQ(2, reads_now(&self->vm));
	}
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_KICK));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(-EINTR, (intptr_t)ret);
}

/* Where there are no tables there is nothing to forget, and nothing wrong with that. */
TEST_F(vm, announced_for_nothing)
{
	EXPECT_EQ(0, vmx_vm_invalidate(&self->vm, 0, 1));
	EXPECT_EQ(0, vmx_vm_invalidate(&self->vm, TEST_RAM, 1ul << 30));
	EXPECT_EQ(-EINVAL, vmx_vm_invalidate(&self->vm, 0, 0));
	EXPECT_EQ(-EINVAL, vmx_vm_invalidate(&self->vm, 1ul << 52, 1));
}

static struct vmx_walk walk(struct vmx_vcpu *vcpu, uint64_t linear)
{
	struct vmx_walk walk = { .size = sizeof(walk), .linear = linear };

	if (ioctl(vcpu->fd, VMX_WALK, &walk))
		return (struct vmx_walk){ .result = ~0u };
	return walk;
}

TEST_F(vm, only_shadow_page_tables_are_walked)
{
	struct vmx_walk w = { .size = sizeof(w) };

	if (variant->mmu == VMX_MMU_SHADOW) {
		EXPECT_EQ(0, ioctl(self->vcpu.fd, VMX_WALK, &w));
	} else {
		EXPECT_ERRNO(EOPNOTSUPP, ioctl(self->vcpu.fd, VMX_WALK, &w));
	}
}

FIXTURE(walk) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
};

FIXTURE_SETUP(walk)
{
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, VMX_MMU_SHADOW));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	map_linear(&self->vm);
}

FIXTURE_TEARDOWN(walk)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

/* Both walks, before and after the guest used the address. */
TEST_F(walk, side_by_side)
{
	const uint64_t frame = 0xffffffffff000;
	struct vmx_walk w;

	w = walk(&self->vcpu, LINEAR + 0x123);
	EXPECT_EQ(VMX_WALK_MAPPED, w.result);
	EXPECT_EQ(4, w.levels);
	EXPECT_EQ(1, w.leaf);
	EXPECT_EQ(DATA + 0x123, w.physical);
	/* U/S is set at the top alone. */
	EXPECT_EQ(W, w.rights);
	EXPECT_EQ(DIRECTORY | P | W | U, w.entry[2]);
	EXPECT_EQ(TABLE | P | W, w.entry[1]);
	EXPECT_EQ(DATA | P | W, w.entry[0]);
	EXPECT_EQ(0, w.shadow_leaf);
	EXPECT_EQ(1, guest_read(&self->vcpu, LINEAR));
	w = walk(&self->vcpu, LINEAR);
	EXPECT_EQ(DATA | P | W | A, w.entry[0]);
	EXPECT_EQ(0, w.masked);
	EXPECT_EQ(4, w.shadow_levels);
	EXPECT_EQ(1, w.shadow_leaf);
	/* It may read: what it is to write has to become dirty first. */
	EXPECT_EQ(P, w.shadow[0] & (P | W | U));
	EXPECT_EQ(mmu_walk(self->vm.mmu, DATA).entry[0] & frame, w.shadow[0] & frame);
	for (unsigned int level = 2; level <= 4; level++)
		EXPECT_EQ(P | W, w.shadow[level - 1] & (P | W));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, LINEAR, 0x77));
	w = walk(&self->vcpu, LINEAR);
	EXPECT_EQ(DATA | P | W | A | D, w.entry[0]);
	EXPECT_EQ(P | W, w.shadow[0] & (P | W | U));
}

/* Of memory in small pages, one that a large page could begin with, and the one behind it. */
static bool find_neighbours(const char *at, size_t pages, size_t *page, size_t *next)
{
	uint64_t *entries = calloc(pages, sizeof(*entries));
	bool found = false;

	if (!entries || read_pagemap(at, pages, entries))
		return false;
	for (*page = 0; *page < pages && !found; *page += !found) {
		if (entries[*page] % (LARGE / PAGE))
			continue;
		for (*next = 0; *next < pages && !found; *next += !found)
			found = entries[*next] == entries[*page] + 1;
	}
	free(entries);
	return found;
}

/* What a guest has as a large page, and the host in small ones, has nothing else behind it. */
TEST_F(walk, nothing_behind_a_small_page)
{
	const size_t pages = 16 * LARGE / PAGE;
	const uint64_t linear = GIB + 8 * LARGE;
	char *at = new_memory(pages * PAGE);
	size_t page, next;

	ASSERT_NE(MAP_FAILED, at);
	madvise(at, pages * PAGE, MADV_NOHUGEPAGE);
	for (size_t n = 0; n < pages; n++)
		*(volatile uint64_t *)(at + n * PAGE) = pattern(n);
	ASSERT_TRUE(find_neighbours(at, pages, &page, &next));
	*entry(&self->vm, DIRECTORY, 8) = AREA | P | W | LARGE_ENTRY;
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at + page * PAGE, PAGE, RW));
	EXPECT_EQ(pattern(page), guest_read(&self->vcpu, linear));
	EXPECT_NE(ACCESS_DONE, guest_try_read(&self->vcpu, linear + PAGE));
	EXPECT_NE(pattern(next), self->vcpu.run->regs[VMX_RDX]);
	munmap(at, pages * PAGE);
}

/* As much of the owner's memory as a large page, aligned as one. */
static char *large_memory(int advice)
{
	uintptr_t raw = (uintptr_t)new_memory(2 * LARGE);
	char *at = (char *)((raw + LARGE - 1) & ~(LARGE - 1));

	return madvise(at, LARGE, advice) ? NULL : at;
}

/* What a guest has as a large page, the host first has in small ones, and then in one. */
TEST_F(walk, from_small_pages_to_a_large_one)
{
	char *small = large_memory(MADV_NOHUGEPAGE), *large = large_memory(MADV_HUGEPAGE);
	const uint64_t linear = GIB + 8 * LARGE;
	const bool switched = huge_pages_on();

	if (!small || !large)
		SKIP(return, "this kernel has no huge pages");
	*entry(&self->vm, DIRECTORY, 8) = AREA | P | W | LARGE_ENTRY;
	/* Should it fault for ever, because the host's page is no large one. */
	self->vcpu.run->deadline = __rdtsc() + 500000000;
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, small, LARGE, RW));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, linear, 1));
	EXPECT_EQ(1, walk(&self->vcpu, linear).shadow_leaf);
	ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA, LARGE));
	*(volatile uint64_t *)large = 2;
	huge_pages_as_before(switched);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, large, LARGE, RW));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, linear + PAGE, 3));
	EXPECT_EQ(2, guest_read(&self->vcpu, linear));
	EXPECT_EQ(3, *(volatile uint64_t *)(large + PAGE));
	if (mmu_walk(self->vm.mmu, AREA).leaf != 2)
		SKIP(return, "the kernel gives no huge pages now");
	EXPECT_EQ(2, walk(&self->vcpu, linear).shadow_leaf);
	/* It is known to map that, and goes with it. */
	ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA, LARGE));
	EXPECT_NE(ACCESS_DONE, guest_try_read(&self->vcpu, linear));
}

/* Nothing is marked, and each way to fail is told. */
TEST_F(walk, to_nothing)
{
	struct vmx_walk w;

	*entry(&self->vm, TABLE, INDEX) = 0x1000 | W;
	w = walk(&self->vcpu, LINEAR);
	EXPECT_EQ(VMX_WALK_ABSENT, w.result);
	EXPECT_EQ(1, w.leaf);
	EXPECT_EQ(0x1000 | W, w.entry[0]);
	EXPECT_EQ(DIRECTORY | P | W | U, w.entry[2]);
	EXPECT_EQ(0, w.physical | w.rights);
	*entry(&self->vm, DIRECTORY, TABLE_INDEX) = TABLE | P | 1ull << 51;
	w = walk(&self->vcpu, LINEAR);
	EXPECT_EQ(VMX_WALK_RESERVED, w.result);
	EXPECT_EQ(2, w.leaf);
	*entry(&self->vm, POINTERS, LINEAR / GIB) = (TEST_RAM + PAGE) | P;
	w = walk(&self->vcpu, LINEAR);
	EXPECT_EQ(VMX_WALK_UNREACHABLE, w.result);
	EXPECT_EQ(2, w.leaf);
	EXPECT_EQ(TEST_RAM + PAGE + 5 * 8, w.physical);
	EXPECT_EQ(0, w.entry[1]);
}

/*
 * What a guest may only read may be one of its tables, whatever it tried before, and whatever the
 * module remembers of frames: TABLE's is remembered in the same place. (With EPT, to walk a
 * table is to write to it.)
 */
#define READ_ONLY	0x80001000ul
TEST_F(walk, a_table_that_may_only_be_read)
{
	uint64_t *at = new_memory(PAGE);

	ASSERT_NE(MAP_FAILED, at);
	at[INDEX] = (DATA + PAGE) | P | W | A;
	ASSERT_EQ(0, mmu_map(self->vm.mmu, READ_ONLY, at, PAGE, VMX_MMU_READ));
	EXPECT_EQ(0, guest_read(&self->vcpu, READ_ONLY));
	EXPECT_EQ(1, guest_read(&self->vcpu, LINEAR));
	EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, READ_ONLY, 1));
	*entry(&self->vm, DIRECTORY, OTHER_INDEX) = READ_ONLY | P | W | A;
	EXPECT_EQ(2, guest_read(&self->vcpu, LINEAR + LARGE * (OTHER_INDEX - TABLE_INDEX)));
}

/* Frame numbers are no business of those who may not know them. */
TEST_F(walk, without_privilege)
{
	struct vmx_walk w;

	ASSERT_EQ(1, guest_read(&self->vcpu, 0) != READ_FAILED);
	ASSERT_EQ(0, seteuid(65534));
	w = walk(&self->vcpu, 0);
	EXPECT_EQ(1, w.masked);
	EXPECT_LT(0, w.shadow_leaf);
	for (int level = 0; level < VMX_MMU_MAX_LEVELS; level++)
		EXPECT_EQ(0, w.shadow[level] & 0xffffffffff000);
	EXPECT_EQ(VMX_WALK_MAPPED, w.result);
	ASSERT_EQ(0, seteuid(0));
}

VMX_TEST_MAIN
