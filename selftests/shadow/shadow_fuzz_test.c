// SPDX-License-Identifier: GPL-2.0
/*
 * Guests attack shadow paging: RUN returns, the kernel's memory stays within its bound, and no
 * guest reads memory outside its VM. VMX_SEED repeats a run, except for the races of
 * two CPUs.
 *
 * needs: cpus=2
 * limit: 20G
 */
#include <sched.h>
#include <x86intrin.h>

#include "lib/host_memory.h"
#include "lib/paging_guest.h"

/* Guest-physical, in TEST_RAM. */
#define RACER_CODE	(TEST_CODE + 0x1000)
#define ROOT		0x60000ul
#define POINTERS	0x61000ul
#define DIRECTORY	0x62000ul
#define RACER_ROOT	0x63000ul
#define TABLES		0x100000ul	/* random ones */
#define TABLE_PAGES	32ul
#define TABLES_SIZE	(TABLE_PAGES * PAGE)
/* Beyond it: in no range, and in one that has no memory behind it. */
#define NOWHERE		0x80000000ul
#define HOLLOW		0x90000000ul

/* Memory of the owner that is not the VM's, as many pages as the VM has. */
#define SECRET		0x5ec2e75ec2e75ec2ul
#define PAGES		(TEST_RAM / PAGE)

/* Entries */
#define P		0x1ul
#define W		0x2ul
#define U		0x4ul
#define A		0x20ul
#define D		0x40ul
#define BIG		0x80ul
#define NX		(1ul << 63)

#define CR4_PSE		(1ul << 4)
#define CR4_PAE		(1ul << 5)
#define CR0_WP		(1ul << 16)
#define EFER_NXE	(1ul << 11)
#define RFLAGS		0x202ul

/* Another CPU, which has the random tables change places of entries all the time. */
GUEST64(racer,
	"1: imul %r10, %rax\n"
	"add	%r11, %rax\n"
	"mov	%rax, %rbx\n"
	"shr	$20, %rbx\n"
	"and	$0x1fff8, %ebx\n"
	"mov	%rax, %rcx\n"
	"shr	$40, %rcx\n"
	"and	$0x1fff8, %ecx\n"
	"mov	0x100000(%rbx), %rdx\n"
	"xchg	%rdx, 0x100000(%rcx)\n"
	"mov	%rdx, 0x100000(%rbx)\n"
	"jmp	1b");

FIXTURE(fuzz) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu, other;
	char *secret;
	uint64_t frames[PAGES];	/* the host's, of the secret */
	uint64_t seed;
	enum format format;
	pthread_t thread;
	bool stop;
};

typedef FIXTURE_DATA(fuzz) fixture;

static uint64_t pick(fixture *self, uint64_t count)
{
	return test_random(&self->seed) % count;
}

static void put(fixture *self, uint64_t gpa, uint64_t value)
{
	*(volatile uint64_t *)test_at(&self->vm, gpa) = value;
}

/* Large pages for code and stack, in each format; nothing else refers to them. */
static void lay_down(fixture *self)
{
	memcpy(test_at(&self->vm, TEST_CODE), operations, operations_end - operations);
	memcpy(test_at(&self->vm, RACER_CODE), racer, racer_end - racer);
	put(self, DIRECTORY, BIG | P | W | A | D);
	put(self, POINTERS, DIRECTORY | P | W | A);
	put(self, RACER_ROOT, POINTERS | P | W | A);
	if (self->format == FORMAT_LONG) {
		put(self, ROOT, POINTERS | P | W | A);
	} else {
		put(self, ROOT, BIG | P | W | A | D);
	}
}

/* Swaps entries until it is told to stop; what other guests write may stop it, too. */
static void *race(void *arg)
{
	fixture *self = arg;
	struct vmx_run_page *run = self->other.run;

	while (!__atomic_load_n(&self->stop, __ATOMIC_RELAXED)) {
		run->rip = RACER_CODE;
		run->rflags = RFLAGS;
		run->dirty = VMX_STATE_RIP | VMX_STATE_RFLAGS;
		run->regs[VMX_R10] = 0x5851f42d4c957f2d;
		run->regs[VMX_R11] = 0x14057b7ef767814f;
		run->deadline = __rdtsc() + 100000;
		vmx_run(&self->other);
	}
	return NULL;
}

/* Pages of the VM and of the secret come in turns, so that they are neighbours. */
static int touch(fixture *self)
{
	self->secret = new_memory(TEST_RAM + PAGE);
	if (self->secret == MAP_FAILED)
		return -errno;
	madvise(self->secret, TEST_RAM, MADV_NOHUGEPAGE);
	madvise(self->vm.ram, TEST_RAM, MADV_NOHUGEPAGE);
	for (size_t n = 0; n < PAGES; n++) {
		*(volatile uint64_t *)test_at(&self->vm, n * PAGE) = 0;
		for (size_t word = 0; word < PAGE / 8; word++)
			((uint64_t *)(self->secret + n * PAGE))[word] = SECRET;
	}
	if (read_pagemap(self->secret, PAGES, self->frames))
		return -errno;
	for (size_t n = 0; n < PAGES; n++)
		self->frames[n] &= PAGEMAP_FRAME;
	return 0;
}

FIXTURE_SETUP(fuzz)
{
	self->seed = test_seed();
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, VMX_MMU_SHADOW));
	ASSERT_EQ(0, touch(self));
	ASSERT_EQ(0, mmu_map(self->vm.mmu, HOLLOW, self->secret + TEST_RAM, PAGE, RWX));
	ASSERT_EQ(0, munmap(self->secret + TEST_RAM, PAGE));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(vmx_vcpu_open(&self->other, &self->vm));
	self->format = FORMAT_LONG;
	lay_down(self);
	ASSERT_VMX(vmx_set_mode(&self->vm, self->other.vmcs, VMX_MODE_LONG, RACER_CODE,
				TEST_STACK));
	ASSERT_VMX(vmx_field_set(self->other.vmcs, VMX_F_GUEST_CR3, RACER_ROOT));
}

FIXTURE_TEARDOWN(fuzz)
{
	vmx_vcpu_close(&self->other);
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
	munmap(self->secret, TEST_RAM);
}

static uint64_t random_target(fixture *self)
{
	switch (pick(self, 12)) {
	case 0:
		return NOWHERE + pick(self, 16) * PAGE;
	case 1:
		return HOLLOW;
	case 2:
		return self->frames[pick(self, PAGES)] * PAGE;
	case 3:
		return pick(self, PAGES) * PAGE;
	case 4:
		return TEST_MMIO;
	case 5:
		return pick(self, 1ul << 28) * PAGE;
	default:
		return TABLES + pick(self, TABLE_PAGES) * PAGE;
	}
}

static uint64_t random_entry(fixture *self)
{
	const uint64_t bits = test_random(&self->seed);
	uint64_t entry = random_target(self) | (bits & (W | U | A | D));

	entry |= bits & 0xf00 ? P : 0;
	entry |= bits & 0x7000 ? 0 : BIG;
	entry |= bits & 0xf0000 ? 0 : NX;
	return bits & 0x3f00000 ? entry : entry | 1ul << (40 + pick(self, 23));
}

/* Some entries of tables, now and then announced. */
static void scramble(fixture *self, unsigned int count)
{
	while (count--)
		put(self, TABLES + 8 * pick(self, TABLES_SIZE / 8), random_entry(self));
	for (unsigned int n = 1; n < 4; n++)
		put(self, ROOT + 8 * (n + pick(self, 4)), random_entry(self));
	if (!pick(self, 3))
		vmx_vm_invalidate(&self->vm, ROOT, 1ul << (12 + pick(self, 9)));
}

/* A guest in one of the formats, whose registers have what it is to have. */
static int begin(fixture *self)
{
	struct vmx_field fields[] = {
		{ .field = VMX_F_GUEST_CR3, .value = ROOT },
		{ .field = VMX_F_EXCEPTION_BITMAP, .value = 1 << 14 },
	};
	int ret;

	self->format = pick(self, FORMATS);
	ret = vmx_set_mode(&self->vm, self->vcpu.vmcs,
			   self->format == FORMAT_LONG ? VMX_MODE_LONG : VMX_MODE_PAE, TEST_CODE,
			   TEST_STACK);
	if (self->format == FORMAT_PAE) {
		put(self, ROOT, DIRECTORY | P);
		for (unsigned int n = 1; n < 4; n++)
			put(self, ROOT + 8 * n, (TABLES + pick(self, TABLE_PAGES) * PAGE) | P);
	} else {
		lay_down(self);
	}
	ret = ret ?: vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_CR0, CR0_WP,
				      pick(self, 2) ? CR0_WP : 0);
	ret = ret ?: vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_CR4, CR4_PSE | CR4_PAE,
				      self->format == FORMAT_32BIT ? CR4_PSE : CR4_PAE);
	if (self->vm.caps.features & VMX_HAS_LOAD_EFER)
		ret = ret ?: vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_EFER, EFER_NXE,
					      pick(self, 2) ? EFER_NXE : 0);
	return ret ?: vmx_fields_set(self->vcpu.vmcs, fields, TEST_COUNT(fields));
}

/* Not where the code is. */
static uint64_t random_address(fixture *self)
{
	const uint64_t address = test_random(&self->seed);

	if (self->format != FORMAT_LONG)
		return 0x400000 + address % 0xff000000;
	return ((1 + pick(self, 4)) << 39) + (address & 0x7fffe01ff8);
}

/* One operation, and what is known of it: 0, an errno of RUN's, or SECRET's. */
static int operate(fixture *self)
{
	struct vmx_run_page *run = self->vcpu.run;
	const bool fetch = self->vm.caps.features & VMX_HAS_PREEMPTION_TIMER;
	static const enum operation choices[] = { READ, WRITE, INVLPG, MOV_CR3, FETCH };
	const enum operation operation = choices[pick(self, fetch ? 5 : 4)];
	int ret;

	run->regs[VMX_RBX] = operation == MOV_CR3 ? ROOT : random_address(self);
	run->regs[VMX_RDX] = test_random(&self->seed);
	run->rip = TEST_CODE + operation * 16;
	run->rflags = RFLAGS;
	run->dirty = VMX_STATE_RIP | VMX_STATE_RFLAGS;
	run->inject_info = 0;
	run->retire = 0;
	/* What it fetches may be a loop. A kernel that checks everything takes its time. */
	run->deadline = __rdtsc() + 1000000;
	ret = vmx_run(&self->vcpu);
	run->inject_info = 0;
	if (ret && ret != -EFAULT && ret != -EINTR)
		return ret;
	return (uint32_t)run->regs[VMX_RDX] == (uint32_t)SECRET ||
	       (uint32_t)run->regs[VMX_RDX] == SECRET >> 32 ? -EACCES : 0;
}

/* Kernel memory of shadow pages and records, at most. */
static bool within_bounds(const struct vmx_mmu_stats *stats, uint64_t ram)
{
	return stats->shadow_pages <= 8192 &&
	       stats->shadow_bytes <= 8192 * (3 * PAGE + 512) + (1ul << 20) + ram / LARGE * PAGE;
}

#define GUESTS	40
#define STEPS	60

/* Tables that refer to themselves, to nothing, to devices, to frames of the host's. */
TEST_F_TIMEOUT(fuzz, tables_without_sense, 600)
{
	unsigned int done = 0, faults = 0, violations = 0;
	struct vmx_mmu_stats stats;

	ASSERT_EQ(0, pthread_create(&self->thread, NULL, race, self));
	for (unsigned int guest = 0; guest < GUESTS; guest++) {
		ASSERT_VMX(begin(self));
		scramble(self, TABLES_SIZE / 8);
		for (unsigned int step = 0; step < STEPS; step++) {
			if (self->format != FORMAT_PAE)
				lay_down(self);
			ASSERT_EQ(0, operate(self)) {
				TH_LOG("guest %u, step %u, format %d: %s", guest, step,
				       self->format, test_describe(&self->vcpu));
			}
			done += self->vcpu.run->reason == VMX_REASON_VMCALL;
			faults += self->vcpu.run->reason == VMX_REASON_EXCEPTION_NMI;
			violations += self->vcpu.run->reason == VMX_REASON_EPT_VIOLATION;
			scramble(self, 8);
		}
		stats = mmu_stats(self->vm.mmu);
		ASSERT_TRUE(within_bounds(&stats, TEST_RAM)) {
			TH_LOG("%llu shadow pages, %llu bytes", stats.shadow_pages,
			       stats.shadow_bytes);
		}
	}
	__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, ioctl(self->other.fd, VMX_KICK));
	ASSERT_EQ(0, pthread_join(self->thread, NULL));
	TH_LOG("%u operations: %u done, %u page faults, %u to no memory; %llu shadow pages",
	       GUESTS * STEPS, done, faults, violations, stats.shadow_pages);
	/* Each kind is often enough to mean something. */
	EXPECT_LT(GUESTS * STEPS / 20, done);
	EXPECT_LT(GUESTS * STEPS / 20, faults);
	EXPECT_LT(GUESTS * STEPS / 100, violations);
}

/* A root for each page of its memory, and each has the guest's code. */
#define ROOTS	9000ul
#define ROOTS_AT 0x400000ul
GUEST64(roots_guest,
	"1: mov %rbx, %cr3\n"
	"add	$0x1000, %rbx\n"
	"dec	%ecx\n"
	"jnz	1b\n"
	"vmcall");

TEST(roots_without_end)
{
	struct vmx_mmu_stats stats;
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;

	ASSERT_VMX(vmx_vm_open_mmu(&vm, ROOTS_AT + ROOTS * PAGE, VMX_MMU_SHADOW));
	ASSERT_VMX(vmx_vcpu_open(&vcpu, &vm));
	ASSERT_VMX(test_start(&vcpu, VMX_MODE_LONG, roots_guest));
	for (size_t n = 0; n < ROOTS; n++)
		*(uint64_t *)test_at(&vm, ROOTS_AT + n * PAGE) =
			*(uint64_t *)test_at(&vm, VMX_GUEST_PAGE_TABLES);
	vcpu.run->regs[VMX_RBX] = ROOTS_AT;
	vcpu.run->regs[VMX_RCX] = ROOTS;
	ASSERT_EXIT(&vcpu, VMX_REASON_VMCALL);
	stats = mmu_stats(vm.mmu);
	EXPECT_TRUE(within_bounds(&stats, vm.ram_size)) {
		TH_LOG("%llu shadow pages, %llu bytes", stats.shadow_pages, stats.shadow_bytes);
	}
	EXPECT_LE(ROOTS, stats.shadow_pages + stats.evictions);
	EXPECT_LT(0, stats.evictions);
	vmx_vcpu_close(&vcpu);
	vmx_vm_close(&vm);
}

/* A root that is nowhere is a guest's mistake; once it is there, the guest goes on. */
TEST_F(fuzz, root_that_comes_later)
{
	struct vmx_run_page *run = self->vcpu.run;
	uint64_t *root = new_memory(PAGE);

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, operations));
	run->cr3 = NOWHERE;
	run->rflags = RFLAGS;
	run->dirty = VMX_STATE_CR3 | VMX_STATE_RFLAGS;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_EPT_VIOLATION);
	EXPECT_EQ(NOWHERE, run->physical);
	root[0] = POINTERS | P | W;
	ASSERT_EQ(0, mmu_map(self->vm.mmu, NOWHERE, root, PAGE, RW));
	run->deadline = __rdtsc() + 200000000;
	run->regs[VMX_RBX] = TEST_CODE;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
}

VMX_TEST_MAIN
