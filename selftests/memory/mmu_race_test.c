// SPDX-License-Identifier: GPL-2.0
/*
 * Memory is unmapped, and mapped again, while guests use it on other CPUs; and other races.
 *
 * needs: cpus=2
 * limit: 12G
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "lib/huge_pages.h"

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

#define HELD_CPU "/sys/module/vmx_held_cpu/parameters/"

static uint64_t ipis(struct vmx_vm *vm)
{
	struct vmx_vm_stats stats;

	return vmx_vm_stats(vm, &stats) ? 0 : stats.ipis;
}

/*
 * UNMAP and PROTECT wait until the guest has left, although its CPU cannot do so for a
 * millisecond. A round counts if the CPU was in RUN then, so that it had to be asked.
 */
TEST_F_TIMEOUT(race, cpu_that_does_not_answer, 600)
{
	unsigned int asked = 0;

	ASSERT_EQ(0, system("modprobe vmx_held_cpu"));
	for (unsigned int n = 0; n < 100 && asked < 4; n++) {
		long long held;
		uint64_t before;

		ASSERT_TRUE(wait_for_write(self->at));
		before = ipis(&self->vm);
		ASSERT_EQ(0, test_write_file(HELD_CPU "hold", "1"));
		ASSERT_EQ(0, n & 1 ? mmu_unmap(self->vm.mmu, AREA, PAGE) :
			     mmu_protect(self->vm.mmu, AREA, PAGE, VMX_MMU_READ));
		held = test_read_number(HELD_CPU "held");
		ASSERT_EQ(0, n & 1 ? mmu_map(self->vm.mmu, AREA, self->at, PAGE, RW) :
			     mmu_protect(self->vm.mmu, AREA, PAGE, RW));
		/* Then it has answered whatever it was asked. */
		ASSERT_TRUE(wait_for_write(self->at));
		if (ipis(&self->vm) == before)
			continue;
		EXPECT_EQ(0, held);
		asked++;
	}
	EXPECT_EQ(4, asked);
	EXPECT_EQ(0, stop_writer(&self->writer));
	EXPECT_EQ(0, system("rmmod vmx_held_cpu"));
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

/* A directory and a table of 4 KiB pages, in RAM, and the linear address that they are for. */
#define TOP	0x200000ul
#define DIRECTORY (TOP + PAGE)
#define TABLE	(TOP + 2 * PAGE)
#define DATA	(TOP + 4 * PAGE)
#define LINEAR	(1ul << 39)
#define ENTRY	0x63ul	/* D, A, W, P */
#define ROUNDS	1500ul

/*
 * With RAX 0, changes what the entry at RSI maps when the other CPU says so at RDI, after a while,
 * and answers in the next word. Otherwise, lets go of the table by the entry at RSI and uses it
 * again, RCX times; then RBX must be what the other has made of it.
 */
GUEST64(changing_guest,
	"sti\n"
	"mov	$1, %r8d\n"
	"test	%eax, %eax\n"
	"jnz	4f\n"
	"1: pause\n"
	"cmp	%r8, (%rdi)\n"
	"jne	1b\n"
	"imul	$37, %r8d, %ecx\n"
	"and	$0x1fff, %ecx\n"
	"inc	%ecx\n"
	"2: dec	%ecx\n"
	"jnz	2b\n"
	"mov	%r8d, %eax\n"
	"and	$1, %eax\n"
	"shl	$12, %eax\n"
	"add	$0x204063, %eax\n"
	"mov	%rax, (%rsi)\n"
	"mov	%r8, 8(%rdi)\n"
	"inc	%r8d\n"
	"jmp	1b\n"
	"4: mov	(%rsi), %rax\n"
	"movq	$0, (%rsi)\n"
	"invlpg	(%rbx)\n"
	"mov	%rax, (%rsi)\n"
	"mov	%r8, (%rdi)\n"
	"mov	(%rbx), %rdx\n"
	"5: pause\n"
	"cmp	%r8, 8(%rdi)\n"
	"jne	5b\n"
	"invlpg	(%rbx)\n"
	"mov	(%rbx), %rdx\n"
	"mov	%r8d, %eax\n"
	"and	$1, %eax\n"
	"cmp	%rax, %rdx\n"
	"jne	6f\n"
	"inc	%r8d\n"
	"dec	%ecx\n"
	"jnz	4b\n"
	"6: vmcall");

static int prepare_changer(struct vmx_vcpu *vcpu, bool user)
{
	int ret = test_start(vcpu, VMX_MODE_LONG, changing_guest);

	vcpu->run->regs[VMX_RAX] = user;
	vcpu->run->regs[VMX_RBX] = LINEAR;
	vcpu->run->regs[VMX_RCX] = ROUNDS;
	vcpu->run->regs[VMX_RSI] = user ? DIRECTORY : TABLE;
	vcpu->run->regs[VMX_RDI] = TEST_DATA;
	return ret;
}

static void set(struct vmx_vm *vm, uint64_t gpa, uint64_t value)
{
	*(volatile uint64_t *)test_at(vm, gpa) = value;
}

/* A CPU changes a table while another begins to use it, which then invalidates what it has. */
TEST(table_changes_while_it_is_found)
{
	struct writer writer = { .cpu = 1 };
	struct vmx_vcpu changer, user;
	struct vmx_vm vm;

	if (test_cpus() < 2)
		SKIP(return, "this needs two CPUs");
	ASSERT_VMX(vmx_vm_open_mmu(&vm, DATA + 2 * PAGE, VMX_MMU_SHADOW));
	ASSERT_VMX(vmx_vcpu_open(&changer, &vm));
	ASSERT_VMX(vmx_vcpu_open(&user, &vm));
	ASSERT_VMX(prepare_changer(&changer, false));
	ASSERT_VMX(prepare_changer(&user, true));
	set(&vm, VMX_GUEST_PAGE_TABLES + (LINEAR >> 39) * 8, TOP | ENTRY);
	set(&vm, TOP, DIRECTORY | ENTRY);
	set(&vm, DIRECTORY, TABLE | ENTRY);
	set(&vm, TABLE, DATA | ENTRY);
	set(&vm, DATA + PAGE, 1);
	writer.vcpu = &changer;
	ASSERT_EQ(0, test_pin(0));
	ASSERT_EQ(0, start_writer(&writer));
	ASSERT_EXIT(&user, VMX_REASON_VMCALL);
	EXPECT_EQ(0, user.run->regs[VMX_RCX]) {
		TH_LOG("round %lu: the old page", user.run->regs[VMX_R8]);
	}
	EXPECT_EQ(0, stop_writer(&writer));
	vmx_vcpu_close(&user);
	vmx_vcpu_close(&changer);
	vmx_vm_close(&vm);
}

#define HUGE_LENGTH (8 * LARGE)

static void *take_back(void *at)
{
	test_pin(1);
	return (void *)(long)madvise(at, HUGE_LENGTH, MADV_DONTNEED);
}

/* The mmu is closed while the host still removes what was made of large pages. */
TEST(close_while_large_pages_go)
{
	bool switched = huge_pages_on();
	char *at = new_memory(HUGE_LENGTH + LARGE);
	struct vmx_vcpu vcpu;
	pthread_t thread;
	struct vmx_vm vm;
	void *ret;

	ASSERT_NE(MAP_FAILED, at);
	at = (char *)(((uintptr_t)at + LARGE - 1) & ~(LARGE - 1));
	madvise(at, HUGE_LENGTH, MADV_HUGEPAGE);
	ASSERT_EQ(0, test_pin(0));
	for (int round = 0; round < 10; round++) {
		uint64_t notified;

		ASSERT_VMX(vmx_vm_open_mmu(&vm, TEST_RAM, VMX_MMU_SHADOW));
		ASSERT_VMX(vmx_vcpu_open(&vcpu, &vm));
		ASSERT_VMX(test_start(&vcpu, VMX_MODE_LONG, access_guest));
		ASSERT_EQ(0, mmu_map(vm.mmu, AREA, at, HUGE_LENGTH, RW));
		for (uint64_t n = 0; n < HUGE_LENGTH; n += LARGE)
			ASSERT_EQ(ACCESS_DONE, guest_write(&vcpu, AREA + n, n));
		vmx_vcpu_close(&vcpu);
		notified = mmu_stats(vm.mmu).notified;
		ASSERT_EQ(0, pthread_create(&thread, NULL, take_back, at));
		while (mmu_stats(vm.mmu).notified == notified)
			;
		vmx_vm_close(&vm);
		ASSERT_EQ(0, pthread_join(thread, &ret));
		EXPECT_EQ(NULL, ret);
	}
	huge_pages_as_before(switched);
}

VMX_TEST_MAIN
