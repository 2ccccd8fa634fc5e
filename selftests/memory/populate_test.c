// SPDX-License-Identifier: GPL-2.0
/* Guest memory that is mapped before the guest touches it. */
#include <signal.h>
#include <sys/time.h>

#include "lib/mmu_guest.h"

#define PAGES	200ul
#define LENGTH	(PAGES * PAGE)

FIXTURE(area) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	char *at;
};

EVERY_MMU_OF(area);

/* PAGES pages at AREA which nobody has touched, the guest's own in place. */
FIXTURE_SETUP(area)
{
	NEED(variant->needs);
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	ASSERT_EQ(ACCESS_EXIT, guest_try_read(&self->vcpu, AREA));
	self->at = new_memory(LENGTH);
	ASSERT_NE(MAP_FAILED, self->at);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RWX));
}

FIXTURE_TEARDOWN(area)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

static uint64_t faults(const struct vmx_vm *vm)
{
	return mmu_stats(vm->mmu).faults;
}

/* Half of it has been touched by the host. */
TEST_F(area, saves_every_fault)
{
	struct vmx_mmu_stats before = mmu_stats(self->vm.mmu), after;

	for (size_t n = 0; n < LENGTH; n += 2 * PAGE)
		*(volatile uint64_t *)(self->at + n) = n + 1;
	ASSERT_EQ(LENGTH, mmu_populate(self->vm.mmu, AREA, LENGTH, RWX)) { TH_LOG("%m"); }
	after = mmu_stats(self->vm.mmu);
	EXPECT_EQ(before.pages[0] + PAGES, after.pages[0]);
	EXPECT_EQ(before.faults, after.faults);
	for (size_t n = 0; n < LENGTH; n += PAGE) {
		EXPECT_EQ(n % (2 * PAGE) ? 0 : n + 1, guest_read(&self->vcpu, AREA + n));
		EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n, n + 2));
		EXPECT_EQ(n + 2, *(volatile uint64_t *)(self->at + n));
	}
	EXPECT_EQ(before.faults, faults(&self->vm));
	/* What is there already is fine. */
	EXPECT_EQ(LENGTH, mmu_populate(self->vm.mmu, AREA, LENGTH, RW));
	EXPECT_EQ(after.pages[0], mmu_stats(self->vm.mmu).pages[0]);
}

/* Reads alone do not make the host give memory: a write has to ask for it. */
TEST_F(area, for_reading)
{
	uint64_t before = faults(&self->vm);

	ASSERT_EQ(LENGTH, mmu_populate(self->vm.mmu, AREA, LENGTH, VMX_MMU_READ));
	for (size_t n = 0; n < LENGTH; n += 8 * PAGE)
		EXPECT_EQ(0, guest_read(&self->vcpu, AREA + n));
	EXPECT_EQ(before, faults(&self->vm));
	EXPECT_EQ(0, mmu_walk(self->vm.mmu, AREA).prot & VMX_MMU_WRITE);
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 1));
	EXPECT_EQ(before + 1, faults(&self->vm));
}

/* Nobody has used them yet: the host may look for pages to swap out among them. */
TEST_F(area, pages_are_not_used_by_it)
{
	const uint64_t accessed = 1 << 8, dirty = 1 << 9;

	/* With shadow page tables no CPU walks these. */
	if (variant->mmu == VMX_MMU_SHADOW)
		return;
	if (!(self->vm.caps.features & VMX_HAS_EPT_AD))
		SKIP(return, "the CPU has no accessed and dirty bits in EPT");
	ASSERT_EQ(PAGE, mmu_populate(self->vm.mmu, AREA, PAGE, RW));
	EXPECT_EQ(0, mmu_walk(self->vm.mmu, AREA).entry[0] & (accessed | dirty));
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(accessed, mmu_walk(self->vm.mmu, AREA).entry[0] & (accessed | dirty));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 1));
	EXPECT_EQ(accessed | dirty, mmu_walk(self->vm.mmu, AREA).entry[0] & (accessed | dirty));
}

TEST_F(area, stops_where_it_cannot_go_on)
{
	/* a hole */
	ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA + 100 * PAGE, PAGE));
	EXPECT_EQ(100 * PAGE, mmu_populate(self->vm.mmu, AREA, LENGTH, RW));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(1, mmu_walk(self->vm.mmu, AREA + 99 * PAGE).present);
	EXPECT_EQ(0, mmu_walk(self->vm.mmu, AREA + 101 * PAGE).present);
	EXPECT_EQ(0, mmu_populate(self->vm.mmu, AREA + 100 * PAGE, PAGE, RW));
	EXPECT_EQ(ENOENT, errno);
	/* a range that does not allow it */
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA + 50 * PAGE, 10 * PAGE, RX));
	EXPECT_EQ(50 * PAGE, mmu_populate(self->vm.mmu, AREA, 60 * PAGE, RW));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(60 * PAGE, mmu_populate(self->vm.mmu, AREA, 60 * PAGE, VMX_MMU_READ));
	EXPECT_EQ(0, errno);
	/* memory that is not there */
	ASSERT_EQ(0, munmap(self->at + 20 * PAGE, 2 * PAGE));
	EXPECT_EQ(20 * PAGE, mmu_populate(self->vm.mmu, AREA, 40 * PAGE, VMX_MMU_READ));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, mprotect(self->at, 10 * PAGE, PROT_READ));
	EXPECT_EQ(0, mmu_populate(self->vm.mmu, AREA, 40 * PAGE, RW));
	EXPECT_EQ(EFAULT, errno);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int signal)
{
	alarms++;
}

/* The rest is done by the next call. */
TEST_F(area, signals_interrupt_it)
{
	const struct itimerval soon = { .it_value.tv_usec = 200 };
	struct sigaction action = { .sa_handler = count_alarm };
	uint64_t done = LENGTH;

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	while (done == LENGTH) {
		ASSERT_EQ(0, madvise(self->at, LENGTH, MADV_DONTNEED));
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &soon, NULL));
		done = mmu_populate(self->vm.mmu, AREA, LENGTH, RW);
	}
	ASSERT_EQ(EINTR, errno);
	ASSERT_EQ(LENGTH - done, mmu_populate(self->vm.mmu, AREA + done, LENGTH - done, RW));
	EXPECT_LT(0, alarms);
	for (size_t n = 0; n < LENGTH; n += PAGE)
		EXPECT_EQ(1, mmu_walk(self->vm.mmu, AREA + n).present);
}

VMX_TEST_MAIN
