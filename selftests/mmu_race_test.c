// SPDX-License-Identifier: GPL-2.0
/*
 * Memory is unmapped, and mapped again, while guests use it on other CPUs.
 *
 * needs: cpus=2
 * limit: 12G
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "lib/mmu_guest.h"

#define PAGES 16

/*
 * Writes a counter to each of RCX pages at RBX, for ever. Interrupts are on,
 * since Bochs lets none end a guest that was entered with interrupts off.
 */
GUEST64(writer_guest,
	"sti\n"
	"1: inc	%rdx\n"
	"mov	%rbx, %rsi\n"
	"mov	%ecx, %edi\n"
	"2: mov	%rdx, (%rsi)\n"
	"add	$0x1000, %rsi\n"
	"dec	%edi\n"
	"jnz	2b\n"
	"jmp	1b\n");

struct writer {
	struct vmx_vcpu *vcpu;
	int cpu;
	pthread_t thread;
	atomic_bool stop;
	atomic_ulong exits, faults;
	int error;
};

/* What the guest may not touch, it tries again. */
static void *write_on(void *arg)
{
	struct writer *writer = arg;

	test_pin(writer->cpu);
	while (!writer->stop) {
		int ret = vmx_run(writer->vcpu);

		if (ret == -EFAULT) {
			writer->faults++;
			sched_yield();
		} else if (ret == 0 && writer->vcpu->run->reason == VMX_REASON_EPT_VIOLATION) {
			writer->exits++;
			sched_yield();
		} else if (ret != -EINTR) {
			writer->error = ret ? ret : (int)writer->vcpu->run->reason;
			break;
		}
	}
	return NULL;
}

/* Before any runs: the guests share their page tables and code. */
static int prepare_writer(struct writer *writer, struct vmx_vcpu *vcpu, int cpu)
{
	int ret = test_start(vcpu, VMX_MODE_LONG, writer_guest);

	vcpu->run->regs[VMX_RBX] = AREA;
	vcpu->run->regs[VMX_RCX] = PAGES;
	*writer = (struct writer){ .vcpu = vcpu, .cpu = cpu };
	return ret;
}

static int start_writer(struct writer *writer)
{
	return -pthread_create(&writer->thread, NULL, write_on, writer);
}

static int stop_writer(struct writer *writer)
{
	writer->stop = true;
	ioctl(writer->vcpu->fd, VMX_KICK);
	pthread_join(writer->thread, NULL);
	return writer->error;
}

static uint64_t word(const char *at)
{
	return *(const volatile uint64_t *)at;
}

/* Until the guest has written to a page again; false if it does not. */
static bool wait_for_write(const char *at)
{
	uint64_t seen = word(at);

	for (int n = 0; n < 100000; n++) {
		if (word(at) != seen)
			return true;
		sched_yield();
	}
	return false;
}

/* Nobody writes to a page for a while. */
static bool stays_still(const char *at)
{
	uint64_t seen = word(at);

	for (int n = 0; n < 20; n++)
		sched_yield();
	for (int n = 0; n < 20000; n++)
		if (word(at) != seen)
			return false;
	return true;
}

FIXTURE(race) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu, other;
	struct writer writer, other_writer;
	char *at;
};

EVERY_MMU_OF(race);

/* A guest on CPU 1, and for some tests another where the test is, on CPU 0. */
FIXTURE_SETUP(race)
{
	NEED(variant->needs);
	if (test_cpus() < 2)
		SKIP(return, "this needs two CPUs");
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(vmx_vcpu_open(&self->other, &self->vm));
	self->at = new_memory(PAGES * PAGE);
	ASSERT_NE(MAP_FAILED, self->at);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, PAGES * PAGE, RW));
	ASSERT_EQ(0, test_pin(0));
	ASSERT_VMX(prepare_writer(&self->writer, &self->vcpu, 1));
	ASSERT_VMX(prepare_writer(&self->other_writer, &self->other, 0));
	ASSERT_EQ(0, start_writer(&self->writer));
	ASSERT_TRUE(wait_for_write(self->at));
}

FIXTURE_TEARDOWN(race)
{
	vmx_vcpu_close(&self->other);
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

/* When UNMAP returns, the guest writes there no more. */
TEST_F_TIMEOUT(race, unmap, 600)
{
	for (unsigned int n = 0; n < 20; n++) {
		const size_t page = n % PAGES * PAGE;

		ASSERT_TRUE(wait_for_write(self->at));
		ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA + page, PAGE));
		ASSERT_TRUE(stays_still(self->at + page));
		ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA + page, self->at + page, PAGE, RW));
		ASSERT_TRUE(wait_for_write(self->at + page));
	}
	EXPECT_EQ(0, stop_writer(&self->writer));
	EXPECT_LT(0, self->writer.exits);
	EXPECT_EQ(0, self->writer.faults);
}

TEST_F_TIMEOUT(race, protect, 600)
{
	for (unsigned int n = 0; n < 20; n++) {
		const size_t page = n % PAGES * PAGE;

		ASSERT_TRUE(wait_for_write(self->at));
		ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA + page, PAGE, VMX_MMU_READ));
		ASSERT_TRUE(stays_still(self->at + page));
		ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA + page, PAGE, RW));
		ASSERT_TRUE(wait_for_write(self->at + page));
	}
	EXPECT_EQ(0, stop_writer(&self->writer));
	EXPECT_LT(0, self->writer.exits);
}

/* The owner takes the memory away: what it gets next is not the guest's. */
TEST_F_TIMEOUT(race, munmap, 600)
{
	for (unsigned int n = 0; n < 20; n++) {
		char *page = self->at + n % PAGES * PAGE;

		ASSERT_TRUE(wait_for_write(self->at));
		ASSERT_EQ(page, mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				       new_memory(PAGE)) == MAP_FAILED ? NULL : page);
		ASSERT_EQ(page, mmap(page, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				     -1, 0));
		ASSERT_TRUE(stays_still(page));
		ASSERT_EQ(0, word(page));
		ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ | PROT_WRITE));
		ASSERT_TRUE(wait_for_write(page));
	}
	EXPECT_EQ(0, stop_writer(&self->writer));
	EXPECT_LT(0, self->writer.faults);
}

TEST_F_TIMEOUT(race, mprotect, 600)
{
	for (unsigned int n = 0; n < 20; n++) {
		char *page = self->at + n % PAGES * PAGE;

		ASSERT_TRUE(wait_for_write(self->at));
		ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
		ASSERT_TRUE(stays_still(page));
		ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ | PROT_WRITE));
		ASSERT_TRUE(wait_for_write(page));
	}
	EXPECT_EQ(0, stop_writer(&self->writer));
	EXPECT_LT(0, self->writer.faults);
}

/* Two guests, one of them here, and everything at once, as fast as it goes. */
TEST_F_TIMEOUT(race, everything, 600)
{
	uint64_t state = test_seed();

	ASSERT_EQ(0, start_writer(&self->other_writer));
	for (unsigned int n = 0; n < 400; n++) {
		uint64_t random = test_random(&state);
		const size_t first = random % PAGES, count = 1 + (random >> 8) % (PAGES - first);
		char *at = self->at + first * PAGE;
		const uint64_t gpa = AREA + first * PAGE;

		switch ((random >> 16) % 5) {
		case 0:
			ASSERT_EQ(0, mmu_unmap(self->vm.mmu, gpa, count * PAGE));
			ASSERT_EQ(0, mmu_map(self->vm.mmu, gpa, at, count * PAGE, RW));
			break;
		case 1:
			ASSERT_EQ(0, mmu_protect(self->vm.mmu, gpa, count * PAGE, VMX_MMU_READ));
			ASSERT_EQ(0, mmu_protect(self->vm.mmu, gpa, count * PAGE, RW));
			break;
		case 2:
			ASSERT_EQ(0, madvise(at, count * PAGE, MADV_DONTNEED));
			break;
		case 3:
			ASSERT_EQ(0, mprotect(at, count * PAGE, PROT_READ));
			ASSERT_EQ(0, mprotect(at, count * PAGE, PROT_READ | PROT_WRITE));
			break;
		case 4:
			sched_yield();
			break;
		}
	}
	/* It all still works. */
	for (unsigned int n = 0; n < PAGES; n++) {
		ASSERT_TRUE(wait_for_write(self->at + n * PAGE));
	}
	EXPECT_EQ(0, stop_writer(&self->writer));
	EXPECT_EQ(0, stop_writer(&self->other_writer));
	EXPECT_LT(0, mmu_stats(self->vm.mmu).flushes);
	EXPECT_GE(64, mmu_stats(self->vm.mmu).ranges);
}

/* The guest's RAM goes under its feet, page tables and code: nothing but EFAULT. */
TEST_F_TIMEOUT(race, ram_goes, 600)
{
	for (unsigned int n = 0; n < 3; n++) {
		ASSERT_TRUE(wait_for_write(self->at));
		ASSERT_EQ(0, mprotect(self->vm.ram, self->vm.ram_size, PROT_NONE));
		ASSERT_TRUE(stays_still(self->at));
		ASSERT_EQ(0, mprotect(self->vm.ram, self->vm.ram_size, PROT_READ | PROT_WRITE));
	}
	ASSERT_TRUE(wait_for_write(self->at));
	EXPECT_EQ(0, stop_writer(&self->writer));
	EXPECT_LT(0, self->writer.faults);
}

VMX_TEST_MAIN
