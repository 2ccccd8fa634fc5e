// SPDX-License-Identifier: GPL-2.0
/*
 * Announcements of written page tables: which shadow pages they compare, and races with guests.
 *
 * needs: cpus=2
 */
#include "lib/mmu_guest.h"

#define RAM		0x1000000ul
#define POINTERS	(VMX_GUEST_PAGE_TABLES + 0x1000)
#define DIRECTORY	0x180000ul
#define DATA		0x188000ul
#define GIB		(1ul << 30)
#define LAST		511		/* of the frames that the module keeps a record of */
#define ENTRY		0x3ul		/* P, R/W */
#define ROUNDS		400

/* Frames of tables: at the ends of records, alone, the last of all. */
static const unsigned long tables[] = {
	2 * 512 + LAST, 3 * 512, 3 * 512 + 1, 4 * 512 + LAST, 5 * 512 + 7, 6 * 512 + 7,
	RAM / PAGE - 1,
};

#define TABLES	TEST_COUNT(tables)

FIXTURE(tables) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
};

static volatile uint64_t *entry(struct vmx_vm *vm, uint64_t table, unsigned int index)
{
	return (uint64_t *)(vm->ram + table) + index;
}

/* The linear address that the Nth table is for. */
static uint64_t linear(unsigned int n)
{
	return GIB + n * LARGE;
}

FIXTURE_SETUP(tables)
{
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, RAM, VMX_MMU_SHADOW));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	*entry(&self->vm, POINTERS, 1) = DIRECTORY | ENTRY;
	for (unsigned int n = 0; n < 8; n++)
		*entry(&self->vm, DATA + n * PAGE, 0) = n;
	for (unsigned int n = 0; n < TABLES; n++) {
		*entry(&self->vm, DIRECTORY, n) = tables[n] * PAGE | ENTRY;
		*entry(&self->vm, tables[n] * PAGE, 0) = DATA | ENTRY;
		ASSERT_EQ(0, guest_read(&self->vcpu, linear(n)));
	}
}

FIXTURE_TEARDOWN(tables)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

/* How many tables are compared for it. */
static uint64_t compared(struct vmx_vm *vm, uint64_t frame, uint64_t frames)
{
	const uint64_t before = mmu_stats(vm->mmu).syncs;

	if (vmx_vm_invalidate(vm, frame * PAGE, frames * PAGE))
		return ~0ul;
	return mmu_stats(vm->mmu).syncs - before;
}

TEST_F(tables, those_of_the_range)
{
	struct vmx_vm *vm = &self->vm;
	const uint64_t all = compared(vm, 0, RAM / PAGE);

	for (unsigned int n = 0; n < TABLES; n++)
		EXPECT_EQ(1, compared(vm, tables[n], 1));
	EXPECT_EQ(0, compared(vm, tables[0] - LAST, LAST));
	EXPECT_EQ(2, compared(vm, tables[0], 2));
	EXPECT_EQ(3, compared(vm, tables[0] - LAST, 1024));
	EXPECT_EQ(1, compared(vm, tables[2], tables[3] - tables[2]));
	EXPECT_EQ(2, compared(vm, tables[2], tables[3] - tables[2] + 1));
	EXPECT_EQ(0, compared(vm, tables[3] + 1, 7));
	EXPECT_EQ(1, compared(vm, tables[3] + 1, 8));
	EXPECT_EQ(TABLES - 1, compared(vm, tables[1], RAM / PAGE - tables[1]));
	/* The ends of what there is, and far beyond. */
	EXPECT_LT(TABLES, all);
	EXPECT_EQ(all, compared(vm, 0, 1ul << (vm->caps.phys_bits - 12)));
	EXPECT_EQ(0, compared(vm, RAM / PAGE, 1ul << 20));
}

struct announcer {
	struct vmx_vm *vm;
	bool over;
	bool failed;
};

static void *announce_all(void *arg)
{
	struct announcer *announcer = arg;

	while (!__atomic_load_n(&announcer->over, __ATOMIC_ACQUIRE))
		announcer->failed |= !!vmx_vm_invalidate(announcer->vm, 0, RAM);
	return NULL;
}

/* While a thread has all tables looked at, they change, and the host takes shadow pages away. */
TEST_F(tables, that_come_and_go)
{
	struct announcer announcer = { .vm = &self->vm };
	unsigned int wrong = 0;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, announce_all, &announcer));
	for (unsigned int round = 1; round <= ROUNDS; round++) {
		unsigned int n = round % TABLES, page = round % 8;
		bool all = round & 1;

		*entry(&self->vm, tables[n] * PAGE, 0) = (DATA + page * PAGE) | ENTRY;
		ASSERT_VMX(vmx_vm_invalidate(&self->vm, all ? 0 : tables[n] * PAGE,
					     all ? RAM : 8));
		wrong += guest_read(&self->vcpu, linear(n)) != page;
		if (!(round % 40))
			ASSERT_EQ(0, test_write_file("/proc/sys/vm/drop_caches", "2"));
	}
	__atomic_store_n(&announcer.over, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_FALSE(announcer.failed);
	EXPECT_EQ(0, wrong);
	EXPECT_LT(0, mmu_stats(self->vm.mmu).evictions);
}

VMX_TEST_MAIN
