// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log: each method reports each write once.
 *
 * needs: cpus=2
 */
#include <sched.h>
#include <stdatomic.h>

#include "lib/mmu_guest.h"

#define PAGES	256ul
#define LENGTH	(PAGES * PAGE)
#define WORDS	(PAGES / 64)

FIXTURE(log) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	char *at;
	uint64_t bitmap[WORDS];
};

FIXTURE_VARIANT(log) {
	enum vmx_dirty_method method;
	enum vmx_dirty_method other;
	enum vmx_mmu_kind mmu;
	uint64_t needs;
};

FIXTURE_VARIANT_ADD(log, shadow) {
	.method = VMX_DIRTY_WRITE_PROTECT,
	.other = VMX_DIRTY_WRITE_PROTECT,
	.mmu = VMX_MMU_SHADOW,
};

FIXTURE_VARIANT_ADD(log, write_protect) {
	.method = VMX_DIRTY_WRITE_PROTECT,
	.other = VMX_DIRTY_BITS,
	.mmu = VMX_MMU_EPT,
	.needs = VMX_HAS_EPT,
};

FIXTURE_VARIANT_ADD(log, dirty_bits) {
	.method = VMX_DIRTY_BITS,
	.other = VMX_DIRTY_PML,
	.mmu = VMX_MMU_EPT,
	.needs = VMX_HAS_EPT | VMX_HAS_EPT_AD,
};

FIXTURE_VARIANT_ADD(log, pml) {
	.method = VMX_DIRTY_PML,
	.other = VMX_DIRTY_WRITE_PROTECT,
	.mmu = VMX_MMU_EPT,
	.needs = VMX_HAS_EPT | VMX_HAS_EPT_AD | VMX_HAS_PML,
};

/* PAGES pages at AREA, all read by the guest, half of them written, and not logged yet. */
FIXTURE_SETUP(log)
{
	NEED(variant->needs);
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	self->at = new_memory(LENGTH);
	ASSERT_NE(MAP_FAILED, self->at);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
	for (size_t n = 0; n < LENGTH; n += PAGE) {
		ASSERT_EQ(0, guest_read(&self->vcpu, AREA + n));
		if (n % (2 * PAGE)) {
			ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n, 1));
		}
	}
	ASSERT_EQ(0, mmu_log(self->vm.mmu, variant->method));
}

FIXTURE_TEARDOWN(log)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

#define EXPECT_WRITE(n) \
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + (n) * PAGE, 0x5555))

/* All of AREA: as many as given, and those that the guest wrote. */
#define EXPECT_DIRTY(...) do {							\
	static const unsigned int want_[] = { __VA_ARGS__ };			\
	uint64_t bits_[WORDS] = {};						\
										\
	for (size_t n_ = 0; n_ < TEST_COUNT(want_); n_++)			\
		bits_[want_[n_] / 64] |= 1ull << want_[n_] % 64;		\
	memset(self->bitmap, 0xff, sizeof(self->bitmap));			\
	EXPECT_EQ(TEST_COUNT(want_), mmu_dirty(self->vm.mmu, AREA, LENGTH,	\
					       self->bitmap));			\
	EXPECT_EQ(0, memcmp(bits_, self->bitmap, sizeof(bits_))) {		\
		TH_LOG("%#llx %#llx %#llx %#llx", (long long)self->bitmap[0],	\
		       (long long)self->bitmap[1], (long long)self->bitmap[2],	\
		       (long long)self->bitmap[3]);				\
	}									\
} while (0)

TEST_F(log, writes_are_told_once)
{
	EXPECT_DIRTY();
	EXPECT_WRITE(3);
	EXPECT_WRITE(64);
	EXPECT_WRITE(255);
	EXPECT_WRITE(3);
	/* Reads are not writes, nor is what the owner does. */
	EXPECT_EQ(1, guest_read(&self->vcpu, AREA + 5 * PAGE));
	self->at[7 * PAGE] = 7;
	EXPECT_DIRTY(3, 64, 255);
	EXPECT_DIRTY();
	EXPECT_WRITE(64);
	EXPECT_DIRTY(64);
	EXPECT_EQ(0x5555, *(volatile uint64_t *)(self->at + 64 * PAGE));
}

TEST_F(log, of_a_part)
{
	uint64_t word = ~0ull;

	EXPECT_WRITE(9);
	EXPECT_WRITE(10);
	EXPECT_WRITE(11);
	EXPECT_WRITE(74);
	EXPECT_EQ(1, mmu_dirty(self->vm.mmu, AREA + 10 * PAGE, PAGE, &word));
	EXPECT_EQ(1, word);
	/* bits beyond the last page are 0 */
	word = ~0ull;
	EXPECT_EQ(1, mmu_dirty(self->vm.mmu, AREA + 11 * PAGE, 63 * PAGE, &word));
	EXPECT_EQ(1, word);
	EXPECT_DIRTY(9, 74);
	/* more than there is: where no range is nothing was written */
	EXPECT_WRITE(0);
	word = ~0ull;
	EXPECT_EQ(1, mmu_dirty(self->vm.mmu, AREA - 8 * PAGE, 64 * PAGE, &word));
	EXPECT_EQ(1 << 8, word);
}

/* What the host takes back and gives again was written all the same. */
TEST_F(log, of_pages_that_went)
{
	EXPECT_WRITE(20);
	EXPECT_WRITE(21);
	ASSERT_EQ(0, madvise(self->at + 20 * PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, mmu_walk(self->vm.mmu, AREA + 20 * PAGE).present);
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA + 20 * PAGE));
	ASSERT_EQ(0, madvise(self->at + 21 * PAGE, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, madvise(self->at + 22 * PAGE, PAGE, MADV_DONTNEED));
	EXPECT_DIRTY(20, 21);
	EXPECT_DIRTY();
	EXPECT_WRITE(21);
	EXPECT_DIRTY(21);
	/* What userspace takes away is forgotten. */
	EXPECT_WRITE(30);
	EXPECT_WRITE(31);
	ASSERT_EQ(0, madvise(self->at + 31 * PAGE, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA + 30 * PAGE, 2 * PAGE));
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA + 30 * PAGE, self->at + 30 * PAGE, 2 * PAGE, RW));
	EXPECT_EQ(0x5555, guest_read(&self->vcpu, AREA + 30 * PAGE));
	EXPECT_DIRTY();
}

TEST_F(log, protect_does_not_forget)
{
	EXPECT_WRITE(40);
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, LENGTH, VMX_MMU_READ));
	EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, AREA + 41 * PAGE, 1));
	EXPECT_EQ(0x5555, guest_read(&self->vcpu, AREA + 40 * PAGE));
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, LENGTH, RW));
	EXPECT_DIRTY(40);
	EXPECT_WRITE(40);
	EXPECT_WRITE(42);
	EXPECT_DIRTY(40, 42);
}

TEST_F(log, populate_is_no_write)
{
	ASSERT_EQ(0, madvise(self->at, LENGTH, MADV_DONTNEED));
	ASSERT_EQ(LENGTH, mmu_populate(self->vm.mmu, AREA, LENGTH, RW));
	EXPECT_DIRTY();
	EXPECT_WRITE(1);
	EXPECT_DIRTY(1);
}

TEST_F(log, begins_and_ends)
{
	EXPECT_WRITE(50);
	ASSERT_EQ(0, mmu_log(self->vm.mmu, variant->method));
	EXPECT_DIRTY();
	EXPECT_WRITE(51);
	/* by another method, if there is one */
	if (!mmu_log(self->vm.mmu, variant->other)) {
		EXPECT_DIRTY();
		EXPECT_WRITE(51);
		EXPECT_WRITE(52);
		EXPECT_DIRTY(51, 52);
	}
	EXPECT_WRITE(53);
	ASSERT_EQ(0, madvise(self->at + 53 * PAGE, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, mmu_log(self->vm.mmu, VMX_DIRTY_OFF));
	EXPECT_EQ(-1, mmu_dirty(self->vm.mmu, AREA, LENGTH, self->bitmap));
	EXPECT_EQ(ENODATA, errno);
	EXPECT_WRITE(54);
	/* Nothing of it is left in the tables. */
	ASSERT_EQ(0, madvise(self->at, LENGTH, MADV_DONTNEED));
	ASSERT_EQ(0, mmu_log(self->vm.mmu, variant->method));
	EXPECT_DIRTY();
}

/* A new vCPU is logged like those that were there. */
TEST_F(log, of_vcpus_that_come_later)
{
	struct vmx_vcpu vcpu;

	ASSERT_VMX(vmx_vcpu_open(&vcpu, &self->vm));
	ASSERT_VMX(test_start(&vcpu, VMX_MODE_LONG, access_guest));
	EXPECT_EQ(ACCESS_DONE, guest_write(&vcpu, AREA + 80 * PAGE, 1));
	EXPECT_DIRTY(80);
	EXPECT_EQ(ACCESS_DONE, guest_write(&vcpu, AREA + 80 * PAGE, 2));
	EXPECT_WRITE(81);
	EXPECT_DIRTY(80, 81);
	vmx_vcpu_close(&vcpu);
}

/* So is one that comes from another EPT; with shadow page tables none can. */
TEST_F(log, of_vcpus_from_another_ept)
{
	struct vmx_vcpu_mmu set = { .size = sizeof(set) };
	struct vmx_create create = { .size = sizeof(create) };
	struct vmx_vcpu vcpu;

	NEED(VMX_HAS_EPT);
	ASSERT_VMX(vmx_vcpu_open(&vcpu, &self->vm));
	ASSERT_VMX(test_start(&vcpu, VMX_MODE_LONG, access_guest));
	set.mmu_fd = ioctl(self->vm.fd, VMX_CREATE_EPT, &create);
	ASSERT_LE(0, set.mmu_fd);
	ASSERT_EQ(0, mmu_map(set.mmu_fd, 0, self->vm.ram, TEST_RAM, RWX));
	ASSERT_EQ(0, mmu_map(set.mmu_fd, AREA, self->at, LENGTH, RW));
	if (variant->mmu == VMX_MMU_SHADOW) {
		EXPECT_ERRNO(EOPNOTSUPP, ioctl(vcpu.fd, VMX_SET_MMU, &set));
		vmx_vcpu_close(&vcpu);
		close(set.mmu_fd);
		return;
	}
	ASSERT_EQ(0, ioctl(vcpu.fd, VMX_SET_MMU, &set));
	EXPECT_EQ(ACCESS_DONE, guest_write(&vcpu, AREA + 80 * PAGE, 3));
	close(set.mmu_fd);
	/* There it was not logged, nor for here. */
	EXPECT_DIRTY();
	set.mmu_fd = self->vm.mmu;
	ASSERT_EQ(0, ioctl(vcpu.fd, VMX_SET_MMU, &set));
	EXPECT_EQ(ACCESS_DONE, guest_write(&vcpu, AREA + 82 * PAGE, 1));
	EXPECT_DIRTY(82);
	vmx_vcpu_close(&vcpu);
}

/* Writes a word to each of RCX pages from RBX on. */
GUEST64(sweep_guest,
	"1: mov	%rcx, (%rbx)\n"
	"add	$4096, %rbx\n"
	"dec	%rcx\n"
	"jnz	1b\n"
	"vmcall\n");

/* In one RUN more pages than a CPU can write down before it has to stop. */
TEST_F(log, more_than_the_cpu_writes_down)
{
	const unsigned long pages = 1500, words = (pages + 63) / 64;
	struct vmx_vm_stats before, after;
	uint64_t bitmap[(1500 + 63) / 64];
	char *at = new_memory(pages * PAGE);

	ASSERT_EQ(0, mmu_map(self->vm.mmu, 2 * AREA, at, pages * PAGE, RW));
	ASSERT_EQ(pages * PAGE, mmu_populate(self->vm.mmu, 2 * AREA, pages * PAGE, RW));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, sweep_guest));
	ASSERT_VMX(vmx_vm_stats(&self->vm, &before));
	for (int round = 0; round < 2; round++) {
		test_goto(&self->vcpu, 0);
		self->vcpu.run->regs[VMX_RBX] = 2 * AREA;
		self->vcpu.run->regs[VMX_RCX] = pages;
		ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
		EXPECT_EQ(pages, mmu_dirty(self->vm.mmu, 2 * AREA, pages * PAGE, bitmap));
		for (size_t n = 0; n < words - 1; n++)
			EXPECT_EQ(~0ull, bitmap[n]);
		EXPECT_EQ((1ull << pages % 64) - 1, bitmap[words - 1]);
	}
	ASSERT_VMX(vmx_vm_stats(&self->vm, &after));
	EXPECT_EQ(variant->method == VMX_DIRTY_PML,
		  after.exits[VMX_REASON_PML_FULL] != before.exits[VMX_REASON_PML_FULL]);
	EXPECT_EQ(0, mmu_dirty(self->vm.mmu, 2 * AREA, pages * PAGE, bitmap));
}

/* A caller who cannot be answered has lost nothing. */
TEST_F(log, answers_that_nobody_gets)
{
	struct vmx_mmu_dirty *dirty = new_memory(PAGE);
	const uint64_t gpa = AREA + 5 * PAGE;

	ASSERT_NE(MAP_FAILED, dirty);
	*dirty = (struct vmx_mmu_dirty){
		.size = sizeof(*dirty), .gpa = AREA, .length = LENGTH,
		.bitmap = (uintptr_t)self->bitmap,
	};
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, gpa, 1));
	ASSERT_EQ(0, mprotect(dirty, PAGE, PROT_READ));
	EXPECT_EQ(-1, ioctl(self->vm.mmu, VMX_MMU_DIRTY, dirty));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(1, mmu_dirty(self->vm.mmu, AREA, LENGTH, self->bitmap));
}

/*
 * What the guest wrote before RUN failed is told of before the next RUN: a page that only the CPU's
 * log has, far from those that a fault made writable.
 */
TEST_F(log, of_a_run_that_fails)
{
	EXPECT_DIRTY();
	ASSERT_EQ(0, munmap(self->at + 64 * PAGE, PAGE));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, sweep_guest));
	self->vcpu.run->regs[VMX_RBX] = AREA + 63 * PAGE;
	self->vcpu.run->regs[VMX_RCX] = PAGES - 63;
	EXPECT_EQ(-EFAULT, vmx_run(&self->vcpu));
	EXPECT_DIRTY(63);
	EXPECT_DIRTY();
}

/* An error loses nothing, and tells how far it got. */
TEST_F(log, bitmaps_that_are_not_there)
{
	/* the first word is the last of a page, what follows cannot be written */
	char *pages = new_memory(2 * PAGE);
	struct vmx_mmu_dirty dirty = {
		.size = sizeof(dirty), .gpa = AREA, .length = LENGTH,
		.bitmap = (uintptr_t)pages + PAGE - 8,
	};
	uint64_t *word = (uint64_t *)(pages + PAGE - 8);

	EXPECT_WRITE(60);
	EXPECT_WRITE(70);
	ASSERT_EQ(0, mprotect(pages + PAGE, PAGE, PROT_READ));
	EXPECT_ERRNO(EFAULT, ioctl(self->vm.mmu, VMX_MMU_DIRTY, &dirty));
	EXPECT_EQ(64 * PAGE, dirty.done);
	EXPECT_EQ(1, dirty.dirty);
	EXPECT_EQ(1ull << 60, *word);
	ASSERT_EQ(0, mprotect(pages, PAGE, PROT_READ));
	EXPECT_ERRNO(EFAULT, ioctl(self->vm.mmu, VMX_MMU_DIRTY, &dirty));
	EXPECT_EQ(0, dirty.done);
	EXPECT_DIRTY(70);
	ASSERT_EQ(0, mprotect(pages, 2 * PAGE, PROT_READ | PROT_WRITE));
	EXPECT_WRITE(71);
	EXPECT_EQ(1, mmu_dirty(self->vm.mmu, AREA, LENGTH, word));
	EXPECT_EQ(1 << 7, word[1]);
}

/*
 * Writes a counter to pages at random, for ever: RBX is the first, RCX their number less 1,
 * RDX the counter. Interrupts are on, since Bochs lets none end a guest that was entered with
 * interrupts off.
 */
GUEST64(random_guest,
	"sti\n"
	"mov	$6364136223846793005, %r8\n"
	"1: imul %r8, %rax\n"
	"add	$12345, %rax\n"
	"mov	%rax, %rsi\n"
	"shr	$40, %rsi\n"
	"and	%rcx, %rsi\n"
	"shl	$12, %rsi\n"
	"inc	%rdx\n"
	"mov	%rdx, (%rbx, %rsi)\n"
	"jmp	1b\n");

/*
 * Waits for another number at RDI and writes it to the page of that number, RBX being the first,
 * and then behind the number.
 */
GUEST64(obedient_guest,
	"sti\n"
	"1: mov	(%rdi), %rax\n"
	"cmp	%rdx, %rax\n"
	"je	1b\n"
	"mov	%rax, %rdx\n"
	"shl	$12, %rax\n"
	"mov	%rdx, (%rbx, %rax)\n"
	"mov	%rdx, 8(%rdi)\n"
	"jmp	1b\n");

struct writer {
	struct vmx_vcpu vcpu;
	pthread_t thread;
	int cpu;
	atomic_bool stop;
	int ret;
};

/* What the guest may not touch at times, it tries again. */
static void *write_on(void *arg)
{
	struct writer *writer = arg;

	test_pin(writer->cpu);
	do
		writer->ret = vmx_run(&writer->vcpu);
	while ((writer->ret == -EINTR || writer->ret == -EFAULT) && !writer->stop);
	return NULL;
}

/* Takes what the log tells of to a copy; how many pages. */
static long copy_dirty(struct vmx_vm *vm, const char *at, char *copy, uint64_t *bitmap)
{
	long dirty = mmu_dirty(vm->mmu, AREA, LENGTH, bitmap);

	for (size_t n = 0; n < PAGES; n++)
		if (bitmap[n / 64] >> n % 64 & 1)
			memcpy(copy + n * PAGE, at + n * PAGE, PAGE);
	return dirty;
}

/*
 * As a guest is moved elsewhere while it runs: pages are copied when they were written, and in
 * the end the copy is the guest's memory. The vCPUs begin at different halves of each page.
 */
TEST_F_TIMEOUT(log, a_copy_follows_the_guest, 300)
{
	struct writer writers[2] = {};
	char *copy = new_memory(LENGTH);
	long dirty, told = 0;

	memcpy(copy, self->at, LENGTH);
	for (int n = 0; n < 2; n++) {
		struct writer *writer = &writers[n];

		writer->cpu = n;
		ASSERT_VMX(vmx_vcpu_open(&writer->vcpu, &self->vm));
		ASSERT_VMX(test_start(&writer->vcpu, VMX_MODE_LONG, random_guest));
		writer->vcpu.run->regs[VMX_RAX] = test_seed() + n;
		writer->vcpu.run->regs[VMX_RBX] = AREA + n * PAGE / 2;
		writer->vcpu.run->regs[VMX_RCX] = PAGES - 1;
	}
	for (int n = 0; n < 2; n++)
		ASSERT_EQ(0, pthread_create(&writers[n].thread, NULL, write_on, &writers[n]));
	/* However seldom the guests get a turn, they have to write. */
	for (int round = 0; round < 200 || told <= (long)PAGES; round++) {
		dirty = copy_dirty(&self->vm, self->at, copy, self->bitmap);
		ASSERT_LE(0, dirty);
		told += dirty;
		/* Meanwhile the host takes some away, and gives it again. */
		if (round % 16 == 0) {
			ASSERT_EQ(0, mprotect(self->at, LENGTH / 2, PROT_READ));
			ASSERT_EQ(0, mprotect(self->at, LENGTH / 2, PROT_READ | PROT_WRITE));
		}
		sched_yield();
	}
	for (int n = 0; n < 2; n++) {
		writers[n].stop = true;
		ASSERT_EQ(0, ioctl(writers[n].vcpu.fd, VMX_KICK));
		ASSERT_EQ(0, pthread_join(writers[n].thread, NULL));
		EXPECT_EQ(-EINTR, writers[n].ret);
		vmx_vcpu_close(&writers[n].vcpu);
	}
	ASSERT_LE(0, copy_dirty(&self->vm, self->at, copy, self->bitmap));
	EXPECT_EQ(0, memcmp(copy, self->at, LENGTH));
	TH_LOG("%ld pages were told of", told);
}

/* What it wrote before the call is told of by the call, with no exit of its own in between. */
TEST_F(log, of_a_guest_that_does_not_leave)
{
	volatile uint64_t *number = test_at(&self->vm, TEST_DATA);
	struct writer writer = { .cpu = 1 };

	number[0] = 0;
	number[1] = 0;
	ASSERT_EQ(0, test_pin(0));
	ASSERT_VMX(vmx_vcpu_open(&writer.vcpu, &self->vm));
	ASSERT_VMX(test_start(&writer.vcpu, VMX_MODE_LONG, obedient_guest));
	writer.vcpu.run->regs[VMX_RBX] = AREA;
	writer.vcpu.run->regs[VMX_RDI] = TEST_DATA;
	writer.vcpu.run->regs[VMX_RDX] = 0;
	ASSERT_EQ(0, pthread_create(&writer.thread, NULL, write_on, &writer));
	for (unsigned long n = 1; n < 32; n++) {
		number[0] = n;
		while (number[1] != n)
			sched_yield();
		EXPECT_EQ(1, mmu_dirty(self->vm.mmu, AREA, LENGTH, self->bitmap));
		EXPECT_EQ(1ull << n, self->bitmap[0]);
	}
	writer.stop = true;
	ASSERT_EQ(0, ioctl(writer.vcpu.fd, VMX_KICK));
	ASSERT_EQ(0, pthread_join(writer.thread, NULL));
	EXPECT_EQ(-EINTR, writer.ret);
	vmx_vcpu_close(&writer.vcpu);
}

VMX_TEST_MAIN
