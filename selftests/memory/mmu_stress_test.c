// SPDX-License-Identifier: GPL-2.0
/*
 * Two vCPUs count in memory, while each of three threads keeps changing its map, its tables or the
 * pages behind it. No write of a guest may be lost, or appear elsewhere.
 *
 * needs: cpus=2
 * limit: 20G
 * The kernel's faults race with its split of a huge page, also where a vCPU asks for the page:
 * expect-log: KCSAN: data-race in migration_entry_wait_on_locked / split_huge_page_to_list_to_order
 */
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "lib/mmu_guest.h"

/* Newer than the C library's header. */
#ifndef MADV_PAGEOUT
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* A huge page, if the host gives one; small pages; and a file: a power of two in all. */
#define HUGE_PAGES	512ul
#define SMALL_PAGES	256ul
#define FILE_PAGES	256ul
#define PAGES		(HUGE_PAGES + SMALL_PAGES + FILE_PAGES)
#define LENGTH		(PAGES * PAGE)

#define DROP_CACHES	"/proc/sys/vm/drop_caches"

#define VCPUS	2
#define ROUNDS	150

/*
 * Until the word at R11 is not 0: takes a page at random, of those from RBX on, RCX + 1 in number,
 * counts in its first word if the second one says that it is the right page with the right count,
 * and counts that in RDX. Interrupts are on, since Bochs lets none end a guest that was entered
 * with interrupts off.
 */
GUEST64(counting_guest,
	"sti\n"
	"mov	$6364136223846793005, %r8\n"
	"1: cmpq $0, (%r11)\n"
	"jne	3f\n"
	"imul	%r8, %rax\n"
	"add	$12345, %rax\n"
	"mov	%rax, %rsi\n"
	"shr	$40, %rsi\n"
	"and	%rcx, %rsi\n"
	"mov	%rsi, %rdi\n"
	"shl	$12, %rdi\n"
	"add	%rbx, %rdi\n"
	"mov	(%rdi), %r9\n"
	"mov	%r9, %r10\n"
	"imul	%r8, %r10\n"
	"add	%rsi, %r10\n"
	"cmp	8(%rdi), %r10\n"
	"jne	2f\n"
	"inc	%r9\n"
	"mov	%r9, (%rdi)\n"
	"add	%r8, %r10\n"
	"mov	%r10, 8(%rdi)\n"
	"inc	%rdx\n"
	"jmp	1b\n"
	"2: vmcall\n"
	"3: hlt\n");
#define FACTOR 6364136223846793005ull

struct counter {
	struct vmx_vcpu vcpu;
	pthread_t thread;
	unsigned long refused;
	int ret;
};

FIXTURE(stress) {
	struct vmx_vm vm;
	struct counter counters[VCPUS];
	char *at;
	int file;
	uint64_t seed;
};

EVERY_MMU_OF(stress);

/* What a vCPU has in a page: a part of it that is its own. */
static uint64_t *slot(char *at, size_t page, int vcpu)
{
	return (uint64_t *)(at + page * PAGE + vcpu * PAGE / VCPUS);
}

FIXTURE_SETUP(stress)
{
	char *raw;

	NEED(variant->needs);
	/* From now on it is not told of each time. */
	ASSERT_EQ(0, test_write_file(DROP_CACHES, "4"));
	if (test_cpus() < 2)
		SKIP(return, "this needs two CPUs");
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	self->seed = test_seed();
	raw = new_memory(LENGTH + LARGE);
	ASSERT_NE(MAP_FAILED, raw);
	self->at = (char *)(((uintptr_t)raw + LARGE - 1) & ~(LARGE - 1));
	madvise(self->at, LARGE, MADV_HUGEPAGE);
	self->file = memfd_create("guest", 0);
	ASSERT_NE(-1, self->file);
	ASSERT_EQ(0, ftruncate(self->file, FILE_PAGES * PAGE));
	ASSERT_NE(MAP_FAILED, mmap(self->at + (PAGES - FILE_PAGES) * PAGE, FILE_PAGES * PAGE,
				   PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, self->file, 0));
	for (size_t n = 0; n < PAGES; n++)
		for (int i = 0; i < VCPUS; i++)
			slot(self->at, n, i)[1] = n;
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, LENGTH, RW));
	for (int i = 0; i < VCPUS; i++) {
		struct vmx_vcpu *vcpu = &self->counters[i].vcpu;

		ASSERT_VMX(vmx_vcpu_open(vcpu, &self->vm));
		ASSERT_VMX(test_start(vcpu, VMX_MODE_LONG, counting_guest));
		vcpu->run->regs[VMX_RAX] = self->seed + i;
		vcpu->run->regs[VMX_RBX] = AREA + i * PAGE / VCPUS;
		vcpu->run->regs[VMX_RCX] = PAGES - 1;
		vcpu->run->regs[VMX_R11] = TEST_DATA;
	}
}

FIXTURE_TEARDOWN(stress)
{
	for (int i = 0; i < VCPUS; i++)
		vmx_vcpu_close(&self->counters[i].vcpu);
	vmx_vm_close(&self->vm);
	close(self->file);
}

/* What the guest may not touch now, it tries again. */
static void *count(void *arg)
{
	struct counter *counter = arg;
	struct vmx_vcpu *vcpu = &counter->vcpu;

	for (;;) {
		counter->ret = vmx_run(vcpu);
		if (counter->ret != -EINTR && counter->ret != -EFAULT &&
		    (counter->ret || vcpu->run->reason != VMX_REASON_EPT_VIOLATION))
			return NULL;
		counter->refused += counter->ret != -EINTR;
		sched_yield();
	}
}

/* Changes a part of it all, in its own way, over and over again; what failed, or NULL. */
struct mutator {
	struct vmx_vm *vm;
	char *at;
	uint64_t state;
	const char *(*change)(struct mutator *mutator, size_t first, size_t count,
			      unsigned int what);
	const char *failed;
	int error;
	pthread_t thread;
};

static void *mutate(void *arg)
{
	struct mutator *mutator = arg;

	for (unsigned int n = 0; n < ROUNDS && !mutator->failed; n++) {
		uint64_t random = test_random(&mutator->state);
		size_t first = random % PAGES, most = PAGES - first;

		mutator->failed = mutator->change(mutator, first, 1 + (random >> 16) % most,
						  random >> 32);
		mutator->error = errno;
		sched_yield();
	}
	return NULL;
}

/* The map: UNMAP and MAP, PROTECT and back. */
static const char *change_map(struct mutator *mutator, size_t first, size_t count,
			      unsigned int what)
{
	const uint64_t gpa = AREA + first * PAGE, length = count * PAGE;
	int mmu = mutator->vm->mmu;

	if (what % 2) {
		if (mmu_unmap(mmu, gpa, length))
			return "UNMAP";
		return mmu_map(mmu, gpa, mutator->at + first * PAGE, length, RW) ? "MAP" : NULL;
	}
	if (mmu_protect(mmu, gpa, length, VMX_MMU_READ))
		return "PROTECT";
	return mmu_protect(mmu, gpa, length, RW) ? "PROTECT to what it was" : NULL;
}

static const char *fork_and_wait(void)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	return child < 0 || waitpid(child, NULL, 0) != child ? "fork" : NULL;
}

/* The backing: what any of this does to the owner's page tables. */
static const char *change_backing(struct mutator *mutator, size_t first, size_t count,
				  unsigned int what)
{
	const size_t file = PAGES - FILE_PAGES, length = count * PAGE;
	char *at = mutator->at + first * PAGE, *away;

	switch (what % 6) {
	case 0:
		if (mprotect(at, length, PROT_READ))
			return "mprotect";
		return mprotect(at, length, PROT_READ | PROT_WRITE) ? "mprotect back" : NULL;
	case 1:
		/* The file keeps what is in it. */
		if (first < file)
			return madvise(at, length, MADV_COLD) ? "MADV_COLD" : NULL;
		return madvise(at, length, MADV_DONTNEED) ? "MADV_DONTNEED" : NULL;
	case 2:
		return madvise(at, length, MADV_PAGEOUT) ? "MADV_PAGEOUT" : NULL;
	case 3:
		/* Not in all kernels, nor always. */
		madvise(mutator->at, LARGE, MADV_COLLAPSE);
		return NULL;
	case 4:
		/* A page; several mappings would each go another way. */
		away = new_memory(PAGE);
		if (mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, away) != away)
			return "mremap";
		return mremap(away, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) != at ?
		       "mremap back" : NULL;
	default:
		return fork_and_wait();
	}
}

/* The tables: logging by all methods, looks at the log, POPULATE, and no memory for tables. */
static const char *change_tables(struct mutator *mutator, size_t first, size_t count,
				 unsigned int what)
{
	const enum vmx_dirty_method methods[] = {
		VMX_DIRTY_OFF, VMX_DIRTY_WRITE_PROTECT, VMX_DIRTY_BITS, VMX_DIRTY_PML,
	};
	const uint64_t gpa = AREA + first * PAGE, length = count * PAGE;
	uint64_t bitmap[PAGES / 64];
	int mmu = mutator->vm->mmu;

	switch (what % 16) {
	case 0:
	case 1:
		if (mmu_log(mmu, methods[(what >> 8) % TEST_COUNT(methods)]) && errno != EOPNOTSUPP)
			return "LOG";
		return NULL;
	case 2:
	case 3:
		/* Somebody else may have unmapped it, or made it read-only. */
		mmu_populate(mmu, gpa, length, RW);
		return !errno || errno == ENOENT || errno == EFAULT ? NULL : "POPULATE";
	case 4:
		return test_write_file(DROP_CACHES, "2") ? "drop_caches" : NULL;
	case 5:
		return mmu_stats(mmu).tables ? NULL : "STATS";
	default:
		if (mmu_dirty(mmu, gpa, length, bitmap) < 0 && errno != ENODATA)
			return "DIRTY";
		return NULL;
	}
}

TEST_F_TIMEOUT(stress, nothing_is_lost, 1200)
{
	struct mutator mutators[] = {
		{ .change = change_map }, { .change = change_backing }, { .change = change_tables },
	};

	for (int i = 0; i < VCPUS; i++) {
		ASSERT_EQ(0, pthread_create(&self->counters[i].thread, NULL, count,
					    &self->counters[i]));
	}
	for (size_t i = 0; i < TEST_COUNT(mutators); i++) {
		mutators[i].vm = &self->vm;
		mutators[i].at = self->at;
		mutators[i].state = self->seed + i;
		ASSERT_EQ(0, pthread_create(&mutators[i].thread, NULL, mutate, &mutators[i]));
	}
	for (size_t i = 0; i < TEST_COUNT(mutators); i++) {
		ASSERT_EQ(0, pthread_join(mutators[i].thread, NULL));
		EXPECT_EQ(NULL, mutators[i].failed) {
			TH_LOG("%s: %s", mutators[i].failed, strerror(mutators[i].error));
		}
	}
	*(volatile uint64_t *)test_at(&self->vm, TEST_DATA) = 1;
	for (int i = 0; i < VCPUS; i++) {
		struct counter *counter = &self->counters[i];
		struct vmx_run_page *run = counter->vcpu.run;
		uint64_t counted = 0;

		ASSERT_EQ(0, pthread_join(counter->thread, NULL));
		ASSERT_EQ(0, counter->ret);
		/* VMCALL would be a page that is not as the guest left it. */
		ASSERT_EQ(VMX_REASON_HLT, run->reason) {
			TH_LOG("page %llu: %s", (unsigned long long)run->regs[VMX_RSI],
			       test_describe(&counter->vcpu));
		}
		for (size_t n = 0; n < PAGES; n++) {
			const uint64_t *found = slot(self->at, n, i);

			counted += found[0];
			EXPECT_EQ(found[0] * FACTOR + n, found[1]) { TH_LOG("page %zu", n); }
		}
		EXPECT_EQ(run->regs[VMX_RDX], counted);
		/* Enough to mean something: with shadow page tables each change costs more. */
		EXPECT_LT(PAGES / 4, counted);
		TH_LOG("vCPU %d counted to %lu, refused %lu times", i, counted, counter->refused);
	}
}

VMX_TEST_MAIN
