// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of one instruction of a guest with shadow page tables. The host gets its CPU back only
 * afterwards, so the cost must have a bound whatever the guest's tables are, or the host looks
 * meanwhile whether another thread is to run.
 *
 * needs: ledgers
 * limit: 20G
 */
#include <limits.h>

#include "lib/bounds.h"
#include "lib/mmu_guest.h"

#define P	0x1ul
#define W	0x2ul
#define U	0x4ul
#define A	0x20ul
#define D	0x40ul
#define CR0_WP		(1ul << 16)
#define EFER_NXE	(1ul << 11)

/* Guest-physical: a table of 512 GiB, tables of 1 GiB below it, and below these tables of 2 MiB. */
#define TOP	0x400000ul
#define MIDDLE	(TOP + PAGE)
#define TABLES	(TOP + 0x10000ul)
#define MOST	3000ul
#define DATA	0x300000ul
/* Another address space, which has what the guest runs in. */
#define OTHER	0x100000ul
/* 2 MiB whose pages are mapped again and again. */
#define AGAIN	0x200000ul

/* Linear: what they map. */
#define AREA_AT	(1ul << 39)

/*
 * Reads at RBX, every RSI bytes, RCX times; writes to as many tables from R11 on, if that is not 0.
 * Then RAX is what an INVLPG takes: RDI times, the least.
 */
GUEST64(spoiler,
	"mov	%ecx, %r9d\n"
	"1: mov (%rbx), %rdx\n"
	"add	%rsi, %rbx\n"
	"dec	%ecx\n"
	"jnz	1b\n"
	"test	%r11, %r11\n"
	"jz	3f\n"
	"2: mov %rsi, 8(%r11)\n"
	"add	$0x1000, %r11\n"
	"dec	%r9d\n"
	"jnz	2b\n"
	"3: mov $-1, %r10d\n"
	"4: rdtsc\n"
	"mov	%eax, %r8d\n"
	"invlpg	0x300000\n"
	"rdtsc\n"
	"sub	%r8d, %eax\n"
	"cmp	%eax, %r10d\n"
	"cmova	%eax, %r10d\n"
	"dec	%edi\n"
	"jnz	4b\n"
	"mov	%r10d, %eax\n"
	"vmcall");

/* Reads at RBX, every RSI bytes, RCX times, and goes to another address space and back. */
GUEST64(switcher,
	"1: mov (%rbx), %rdx\n"
	"add	%rsi, %rbx\n"
	"dec	%ecx\n"
	"jnz	1b\n"
	"mov	%cr3, %rax\n"
	"mov	%rdi, %cr3\n"
	"mov	%rax, %cr3\n"
	"mov	%rdi, %cr3\n"
	"mov	%rax, %cr3\n"
	"vmcall");

FIXTURE(bounds) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
};

typedef FIXTURE_DATA(bounds) fixture;

static void put(fixture *self, uint64_t table, uint64_t index, uint64_t value)
{
	((volatile uint64_t *)test_at(&self->vm, table))[index] = value;
}

FIXTURE_SETUP(bounds)
{
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TABLES + MOST * PAGE, VMX_MMU_SHADOW));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, spoiler));
	put(self, VMX_GUEST_PAGE_TABLES, AREA_AT >> 39, TOP | P | W);
	for (uint64_t n = 0; n * 512 < MOST; n++)
		put(self, TOP, n, (MIDDLE + n * PAGE) | P | W);
	for (uint64_t n = 0; n < MOST; n++)
		put(self, MIDDLE, n, (TABLES + n * PAGE) | P | W);
}

FIXTURE_TEARDOWN(bounds)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

/* Ticks of an INVLPG; 0 if the guest did not come so far. */
static uint64_t spoil(fixture *self, uint64_t count, uint64_t distance, uint64_t written,
		      uint64_t attempts)
{
	struct vmx_run_page *run = self->vcpu.run;

	run->regs[VMX_RBX] = AREA_AT;
	run->regs[VMX_RCX] = count;
	run->regs[VMX_RSI] = distance;
	run->regs[VMX_R11] = written;
	run->regs[VMX_RDI] = attempts;
	test_goto(&self->vcpu, 0);
	if (vmx_run(&self->vcpu) || run->reason != VMX_REASON_VMCALL)
		return 0;
	return run->regs[VMX_RAX];
}

/* A frame that is one of the guest's tables is mapped in more and more places. */
TEST_F(bounds, a_table_mapped_without_end)
{
	uint64_t few, many;

	for (uint64_t n = 0; n < 32 * 512; n++)
		put(self, TABLES, n, TABLES | P | W);
	few = spoil(self, 512, PAGE, 0, 8);
	ASSERT_NE(0, few) TH_LOG("%s", test_describe(&self->vcpu));
	many = spoil(self, 32 * 512, PAGE, 0, 8);
	ASSERT_NE(0, many) TH_LOG("%s", test_describe(&self->vcpu));
	TH_LOG("INVLPG: %lu ticks with a table mapped 512 times, %lu with 16384", few, many);
	EXPECT_LT(many, 5 * few);
}

/* The least of three: another thread of the host may have its turn in one. */
static uint64_t spoil_tables(fixture *self, uint64_t count)
{
	uint64_t least = -1;

	for (int n = 0; n < 3; n++) {
		uint64_t ticks = spoil(self, count, LARGE, TABLES, 1);

		least = ticks < least ? ticks : least;
	}
	return least;
}

/* Between two invalidations the guest writes to more and more tables. */
TEST_F(bounds, tables_written_without_end)
{
	uint64_t few, many;

	for (uint64_t n = 0; n < MOST; n++)
		put(self, TABLES + n * PAGE, 0, DATA | P | W);
	few = spoil_tables(self, MOST / 5);
	ASSERT_NE(0, few) TH_LOG("%s", test_describe(&self->vcpu));
	many = spoil_tables(self, MOST);
	ASSERT_NE(0, many) TH_LOG("%s", test_describe(&self->vcpu));
	TH_LOG("INVLPG: %lu ticks with %lu tables written, %lu with %lu", few, MOST / 5, many,
	       MOST);
	EXPECT_LT(many, 2 * few);
}

/* Every entry of many tables changes, and the guest or userspace invalidates. */
static void change(fixture *self, uint64_t tables)
{
	static uint64_t to;

	to++;
	for (uint64_t n = 0; n < tables * 512; n++)
		put(self, TABLES, n, (AGAIN + (n + to) % 512 * PAGE) | P | W | A);
}

#define FULL	64ul

/* The guest has a shadow page for each of FULL tables, with all its entries. */
static uint64_t fill(fixture *self)
{
	change(self, FULL);
	return spoil(self, FULL * 512, PAGE, 0, 1);
}

TEST_F(bounds, cr3_of_many_tables)
{
	struct vmx_run_page *run = self->vcpu.run;

	WITHIN_BOUNDS("filling tables", ASSERT_NE(0, fill(self)));
	change(self, FULL);
	run->cr3 = VMX_GUEST_PAGE_TABLES;
	run->dirty |= VMX_STATE_CR3;
	WITHIN_BOUNDS("CR3 of 64 tables that changed", ASSERT_NE(0, spoil(self, 1, PAGE, 0, 1)));
	run->cr3 = VMX_GUEST_PAGE_TABLES;
	run->dirty |= VMX_STATE_CR3;
	WITHIN_BOUNDS("CR3 again", ASSERT_NE(0, spoil(self, 1, PAGE, 0, 1)));
}

TEST_F(bounds, invalidate_of_many_tables)
{
	struct vmx_mmu_range all = { .size = sizeof(all), .length = TABLES + MOST * PAGE };

	ASSERT_NE(0, fill(self));
	change(self, FULL);
	WITHIN_BOUNDS("INVALIDATE", ASSERT_EQ(0, ioctl(self->vm.mmu, VMX_MMU_INVALIDATE, &all)));
}

/* What the guest writes itself is all compared by an INVLPG of its own. */
TEST_F(bounds, invlpg_of_many_tables)
{
	ASSERT_NE(0, fill(self));
	change(self, FULL);
	WITHIN_BOUNDS("INVLPG with 64 tables written",
		      ASSERT_NE(0, spoil(self, FULL, PAGE, TABLES, 1)));
}

/* The tables that the guest uses are mapped in as many places as tables can be. */
TEST_F(bounds, address_spaces)
{
	struct vmx_run_page *run = self->vcpu.run;

	for (uint64_t n = 0; n < 2 * MOST; n++)
		put(self, TABLES + n / 2 * PAGE, n % 2 * 256,
		    (TABLES + n % 400 * PAGE) | P | W | A);
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, switcher));
	memcpy(test_at(&self->vm, OTHER), test_at(&self->vm, VMX_GUEST_PAGE_TABLES), PAGE);
	put(self, VMX_GUEST_PAGE_TABLES, AREA_AT >> 39, TOP | P | W);
	run->regs[VMX_RBX] = AREA_AT;
	run->regs[VMX_RCX] = 2 * MOST;
	run->regs[VMX_RSI] = LARGE / 2;
	run->regs[VMX_RDI] = OTHER;
	WITHIN_BOUNDS("MOV to CR3", ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL));
	/* No more than a few tables are looked at with interrupts off. */
	EXPECT_LT(test_read_number(LEDGER("irqs_off_max")),
		  bounds_limit(LEDGER("irqs_off_us")) / 2);
}

/* What the guest maps in many places is taken away. */
TEST_F(bounds, chains)
{
	char *data = test_at(&self->vm, AGAIN);

	ASSERT_NE(0, fill(self));
	WITHIN_BOUNDS("taking 512 pages away", ASSERT_EQ(0, madvise(data, LARGE, MADV_DONTNEED)));
	ASSERT_NE(0, fill(self));
	WITHIN_BOUNDS("PROTECT", ASSERT_EQ(0, mmu_protect(self->vm.mmu, AGAIN, LARGE, RX)));
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AGAIN, LARGE, RWX));
	for (uint64_t n = 0; n < FULL * 512; n++)
		put(self, TABLES, n, DATA | P | W | A);
	WITHIN_BOUNDS("mapping a page in many places",
		      ASSERT_NE(0, spoil(self, FULL * 512, PAGE, 0, 1)));
	WITHIN_BOUNDS("taking it away", ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AGAIN, LARGE)));
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AGAIN, data, LARGE, RWX));
}

/* A table that refers to itself is a table of every level, and of every mode that the guest has. */
TEST_F(bounds, a_table_in_many_roles)
{
	/* They differ in what they allow, which without CR0.WP is part of a role. */
	const uint64_t bits[] = { P | W | U, P | W, P | U, P };
	const unsigned int first = 500;
	struct vmx_run_page *run = self->vcpu.run;
	struct vmx_mmu_stats before, after;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, switcher));
	for (unsigned int n = 0; n < TEST_COUNT(bits); n++)
		put(self, VMX_GUEST_PAGE_TABLES, first + n, VMX_GUEST_PAGE_TABLES | bits[n]);
	run->regs[VMX_RBX] = DATA;
	run->regs[VMX_RCX] = 1;
	run->regs[VMX_RDI] = VMX_GUEST_PAGE_TABLES;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
	before = mmu_stats(self->vm.mmu);
	WITHIN_BOUNDS("a table in many roles", {
		for (unsigned int n = 0; n < 4 * TEST_COUNT(bits); n++) {
			const uint64_t index = first + n % TEST_COUNT(bits);

			run->cr0 = (run->cr0 & ~CR0_WP) | (n / 4 & 1 ? CR0_WP : 0);
			run->efer = (run->efer & ~EFER_NXE) | (n / 4 & 2 ? EFER_NXE : 0);
			run->dirty |= VMX_STATE_CR0 | VMX_STATE_EFER;
			run->regs[VMX_RBX] = ~0ul << 48 | index << 39 | index << 30 | index << 21 |
					     index << 12 | index * 8;
			run->regs[VMX_RCX] = 1;
			test_goto(&self->vcpu, 0);
			ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
			EXPECT_EQ(VMX_GUEST_PAGE_TABLES | bits[n % TEST_COUNT(bits)],
				  run->regs[VMX_RDX] & ~(A | D));
		}
	});
	after = mmu_stats(self->vm.mmu);
	TH_LOG("shadow pages: %llu, %llu later, %llu gone", before.shadow_pages,
	       after.shadow_pages, after.evictions - before.evictions);
	EXPECT_LT(before.evictions, after.evictions);
}

/* As many shadow pages as there can be, and more. */
TEST_F(bounds, many_pages)
{
	for (uint64_t n = 0; n < MOST * 512; n += 512)
		put(self, TABLES, n, DATA | P | W | A);
	WITHIN_BOUNDS("many tables", ASSERT_NE(0, spoil(self, MOST, LARGE, 0, 1)));
	WITHIN_BOUNDS("UNMAP", ASSERT_EQ(0, mmu_unmap(self->vm.mmu, 0, self->vm.ram_size)));
	WITHIN_BOUNDS("close", {
		vmx_vcpu_close(&self->vcpu);
		vmx_vm_close(&self->vm);
	});
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, VMX_MMU_SHADOW));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
}

/* What is known of guest memory is in an array, which is large if the memory lies far apart. */
TEST_F(bounds, memory_far_apart)
{
	const uint64_t first = 1ul << 32, apart = 1ul << 27, count = 1024;

	for (uint64_t n = 0; n < count; n++) {
		ASSERT_EQ(0, mmu_map(self->vm.mmu, first + n * apart, test_at(&self->vm, DATA),
				     PAGE, RW));
		put(self, TABLES, n, (first + n * apart) | P | W | A);
	}
	ASSERT_NE(0, spoil(self, count, PAGE, 0, 1)) TH_LOG("%s", test_describe(&self->vcpu));
	/* The vCPU's reference is the last. */
	close(self->vm.mmu);
	self->vm.mmu = -1;
	WITHIN_BOUNDS("close of memory that is far apart", vmx_vcpu_close(&self->vcpu));
}

VMX_TEST_MAIN
