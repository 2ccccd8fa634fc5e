// SPDX-License-Identifier: GPL-2.0
/* The memory of page tables: the host gets it back. */
#include "lib/host_memory.h"

/* Pages that lie so far apart in guest memory that each needs a table of its own. */
#define PAGES	64ul

FIXTURE(sparse) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	char *at;
};

EVERY_MMU_OF(sparse);

FIXTURE_SETUP(sparse)
{
	NEED(variant->needs);
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	self->at = new_memory(PAGES * PAGE);
	ASSERT_NE(MAP_FAILED, self->at);
	for (size_t n = 0; n < PAGES; n++)
		ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA + n * LARGE, self->at + n * PAGE, PAGE,
				     RW));
}

FIXTURE_TEARDOWN(sparse)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

/* As if memory was short: each goes over all that can be given back, several times. */
static int ask_for_memory(void)
{
	return test_write_file("/proc/sys/vm/drop_caches", "2") ?:
	       test_write_file("/proc/sys/vm/drop_caches", "2");
}

TEST_F(sparse, given_back_when_memory_is_short)
{
	struct vmx_mmu_stats before, after;

	for (size_t n = 0; n < PAGES; n++)
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * LARGE, pattern(n)));
	before = mmu_stats(self->vm.mmu);
	EXPECT_LE(PAGES, before.tables);
	ASSERT_EQ(0, ask_for_memory());
	after = mmu_stats(self->vm.mmu);
	EXPECT_GE(before.tables - PAGES, after.tables);
	EXPECT_EQ(before.tables - after.tables, after.shrunk - before.shrunk);
	EXPECT_EQ(before.shadow_pages - after.shadow_pages, after.evictions - before.evictions);
	if (variant->mmu == VMX_MMU_SHADOW) {
		/* One for each page, and those above them: 12 KiB. */
		EXPECT_LE(PAGES, before.shadow_pages);
		EXPECT_LE(PAGES * 3 * PAGE, before.shadow_bytes - after.shadow_bytes);
		/* Roots stay, since a vCPU has them. */
		EXPECT_GE(4, after.shadow_pages);
	} else {
		EXPECT_EQ(0, before.shadow_pages | before.shadow_bytes | before.syncs);
	}
	for (size_t n = 0; n < PAGES; n++)
		EXPECT_EQ(pattern(n), guest_read(&self->vcpu, AREA + n * LARGE));
	EXPECT_LE(after.faults + PAGES, mmu_stats(self->vm.mmu).faults);
	for (size_t n = 0; n < PAGES; n++) {
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * LARGE, n));
		EXPECT_EQ(n, *(volatile uint64_t *)(self->at + n * PAGE));
	}
	EXPECT_EQ(before.tables, mmu_stats(self->vm.mmu).tables);
}

#define OTHERS	6u

/* Has one of these a page at AREA? */
static bool one_is_present(const struct vmx_vm *vms, const unsigned int *which, size_t count)
{
	for (size_t n = 0; n < count; n++)
		if (mmu_walk(vms[which[n]].mmu, AREA).present)
			return true;
	return false;
}

/*
 * Whoever asks for memory finds those mmus that there are, in whichever order others went. He may
 * be content with one, and find tables that were in use lately: so he asks twice for each.
 */
TEST_F(sparse, others_come_and_go)
{
	static const unsigned int leave[OTHERS] = { 2, 0, 5, 1, 4, 3 };
	struct vmx_vm vms[OTHERS];
	struct vmx_vcpu vcpus[OTHERS];

	for (size_t n = 0; n < OTHERS; n++) {
		ASSERT_VMX(vmx_vm_open_mmu(&vms[n], TEST_RAM, variant->mmu));
		ASSERT_VMX(vmx_vcpu_open(&vcpus[n], &vms[n]));
		ASSERT_VMX(test_start(&vcpus[n], VMX_MODE_LONG, access_guest));
		ASSERT_EQ(0, mmu_map(vms[n].mmu, AREA, self->at, PAGE, RW));
	}
	for (size_t n = 0; n < OTHERS; n++) {
		vmx_vcpu_close(&vcpus[leave[n]]);
		vmx_vm_close(&vms[leave[n]]);
		for (size_t other = n + 1; other < OTHERS; other++)
			ASSERT_EQ(ACCESS_DONE, guest_write(&vcpus[leave[other]], AREA, n));
		for (unsigned int asked = 0; asked < 2 * OTHERS; asked++)
			if (one_is_present(vms, &leave[n + 1], OTHERS - 1 - n))
				ASSERT_EQ(0, ask_for_memory());
		for (size_t other = n + 1; other < OTHERS; other++) {
			EXPECT_EQ(0, mmu_walk(vms[leave[other]].mmu, AREA).present);
			EXPECT_EQ(n, guest_read(&vcpus[leave[other]], AREA));
		}
	}
	EXPECT_EQ(OTHERS - 2, *(volatile uint64_t *)self->at);
}

/* As many as the guest's linear addresses have room for. */
#define MANY	1500ul
#define MANY_AT(n)	((n) * LARGE + (n) % 512 * PAGE)

/* Tables that were given back are made again, and become others than they were. */
TEST_F(sparse, thousands_are_made_again)
{
	const size_t length = MANY * LARGE;
	char *at = mmap(NULL, length, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ASSERT_NE(MAP_FAILED, at);
	madvise(at, length, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA, PAGES * LARGE));
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, length, RW));
	for (uint64_t round = 0; round < 3; round++) {
		struct vmx_mmu_stats stats;

		/* Another order each time. */
		for (size_t n = 0; n < MANY; n++) {
			const size_t page = round % 2 ? MANY - 1 - n : n;

			ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + MANY_AT(page),
							   pattern(page) + round));
		}
		stats = mmu_stats(self->vm.mmu);
		EXPECT_LE(MANY, stats.tables);
		EXPECT_LE(variant->mmu == VMX_MMU_SHADOW ? MANY : 0, stats.shadow_pages);
		ASSERT_EQ(0, ask_for_memory());
		stats = mmu_stats(self->vm.mmu);
		EXPECT_GT(MANY / 4, stats.tables);
		EXPECT_GE(4, stats.shadow_pages);
		for (size_t n = round; n < MANY; n += 3) {
			EXPECT_EQ(pattern(n) + round, guest_read(&self->vcpu, AREA + MANY_AT(n)));
			EXPECT_EQ(pattern(n) + round, *(volatile uint64_t *)(at + MANY_AT(n)));
		}
	}
}

/* What was written is in the tables, which then are needed. */
TEST_F(sparse, kept_while_they_are_the_log)
{
	uint64_t bitmap[LARGE / PAGE / 64];

	ASSERT_EQ(0, mmu_log(self->vm.mmu, VMX_DIRTY_WRITE_PROTECT));
	for (size_t n = 0; n < PAGES; n++)
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * LARGE, pattern(n)));
	ASSERT_EQ(0, ask_for_memory());
	for (size_t n = 0; n < PAGES; n++)
		EXPECT_EQ(1, mmu_dirty(self->vm.mmu, AREA + n * LARGE, LARGE, bitmap));
}

VMX_TEST_MAIN
