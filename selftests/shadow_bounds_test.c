// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of one instruction of a guest with shadow page tables. The host gets its CPU back only
 * afterwards, so the cost must have a bound whatever the guest's tables are.
 *
 * limit: 20G
 */
#include "lib/mmu_guest.h"

#define P	0x1ul
#define W	0x2ul

/* Guest-physical: a table of 512 GiB, tables of 1 GiB below it, and below these tables of 2 MiB. */
#define TOP	0x400000ul
#define MIDDLE	(TOP + PAGE)
#define TABLES	(TOP + 0x10000ul)
#define MOST	3000ul
#define DATA	0x300000ul

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

/* Between two invalidations the guest writes to more and more tables. */
TEST_F(bounds, tables_written_without_end)
{
	uint64_t few, many;

	for (uint64_t n = 0; n < MOST; n++)
		put(self, TABLES + n * PAGE, 0, DATA | P | W);
	few = spoil(self, MOST / 5, LARGE, TABLES, 1);
	ASSERT_NE(0, few) TH_LOG("%s", test_describe(&self->vcpu));
	many = spoil(self, MOST, LARGE, TABLES, 1);
	ASSERT_NE(0, many) TH_LOG("%s", test_describe(&self->vcpu));
	TH_LOG("INVLPG: %lu ticks with %lu tables written, %lu with %lu", few, MOST / 5, many,
	       MOST);
	EXPECT_LT(many, 2 * few);
}

VMX_TEST_MAIN
