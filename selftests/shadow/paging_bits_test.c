// SPDX-License-Identifier: GPL-2.0
/* Control registers decide what the same page tables mean: the guest changes their bits. */
#include <cpuid.h>

#define EVERY_MMU

#include "lib/guest_tables.h"
#include "lib/huge_pages.h"

#define RESERVED	8
#define FETCHED		0x10
#define ALL		(P | W | A | D)

#define CR4_PSE		(1ul << 4)
#define CR4_PAE		(1ul << 5)
#define CR4_SMEP	(1ul << 20)
#define EFER		0x500ul		/* LMA, LME */
#define EFER_NXE	0x800ul
#define ROUNDS		6

/* In LINEAR's page: a VMCALL, to be jumped to. */
#define CODE		(LINEAR + 0x800)

static int start(struct vmx_vcpu *vcpu)
{
	int ret = test_start(vcpu, VMX_MODE_LONG, operations);

	map_linear(vcpu->vm);
	memcpy(test_at(vcpu->vm, DATA + 0x800), "\x0f\x01\xc1", 3);
	return ret ?: vmx_field_set(vcpu->vmcs, VMX_F_EXCEPTION_BITMAP, 1 << VECTOR_PF);
}

/* Bit 63 of an entry forbids fetches, or is reserved. */
TEST_F(vm, no_execute)
{
	ASSERT_VMX(start(&self->vcpu));
	*entry(&self->vm, TABLE, INDEX) |= NX;
	for (unsigned int n = 0; n < ROUNDS; n++) {
		const bool nxe = n % 2;

		self->run->efer = EFER | (nxe ? EFER_NXE : 0);
		self->run->dirty |= VMX_STATE_EFER;
		EXPECT_EQ(nxe ? ACCESS_DONE : (int)(PAGE_FAULT | P | RESERVED),
			  operate(&self->vcpu, READ, LINEAR, 0));
		EXPECT_EQ((int)(PAGE_FAULT | P | (nxe ? FETCHED : RESERVED)),
			  operate(&self->vcpu, FETCH, CODE, 0));
	}
}

static bool has_smep(void)
{
	unsigned int eax, ebx = 0, ecx, edx;

	__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
	return ebx & 1u << 7;
}

/* A supervisor fetches from a user's page, which it has written though it is read-only. */
TEST_F(vm, supervisor_executes_a_users_page)
{
	const uint64_t bit = has_smep() ? CR4_SMEP : 0;

	ASSERT_VMX(start(&self->vcpu));
	*entry(&self->vm, VMX_GUEST_PAGE_TABLES, 0) |= U;
	*entry(&self->vm, DIRECTORY, TABLE_INDEX) |= U;
	*entry(&self->vm, TABLE, INDEX) = DATA | P | U;
	self->run->efer = EFER | EFER_NXE;
	self->run->dirty |= VMX_STATE_EFER;
	for (unsigned int n = 0; n < ROUNDS; n++) {
		const uint64_t smep = n % 2 ? bit : 0;
		const int want = smep ? (int)(PAGE_FAULT | P | FETCHED) : ACCESS_DONE;

		EXPECT_DONE(&self->vcpu, MOV_CR4, CR4_PAE | smep, 0);
		EXPECT_EQ(want, operate(&self->vcpu, FETCH, CODE, 0)) { TH_LOG("round %u", n); }
		EXPECT_DONE(&self->vcpu, WRITE, LINEAR, n);
		EXPECT_EQ(want, operate(&self->vcpu, FETCH, CODE, 0)) { TH_LOG("round %u", n); }
		EXPECT_EQ((int)n, reads(&self->vcpu));
	}
}

/*
 * One table, by an entry for users and by one for the supervisor: by the latter its pages are not
 * the users' (SDM, "Determination of Access Rights").
 */
TEST_F(vm, supervisor_executes_by_another_entry)
{
	const uint64_t away = (OTHER_INDEX - TABLE_INDEX) * LARGE;
	const uint64_t bit = has_smep() ? CR4_SMEP : 0;

	ASSERT_VMX(start(&self->vcpu));
	*entry(&self->vm, VMX_GUEST_PAGE_TABLES, 0) |= U;
	*entry(&self->vm, DIRECTORY, TABLE_INDEX) = TABLE | P | W | U;
	*entry(&self->vm, DIRECTORY, OTHER_INDEX) = TABLE | P | W;
	*entry(&self->vm, TABLE, INDEX) = DATA | P | U;
	self->run->efer = EFER | EFER_NXE;
	self->run->dirty |= VMX_STATE_EFER;
	for (unsigned int n = 0; n < ROUNDS; n++) {
		const uint64_t smep = n % 2 ? bit : 0;
		const int want = smep ? (int)(PAGE_FAULT | P | FETCHED) : ACCESS_DONE;

		EXPECT_DONE(&self->vcpu, MOV_CR4, CR4_PAE | smep, 0);
		EXPECT_DONE(&self->vcpu, WRITE, LINEAR + away, n);
		EXPECT_DONE(&self->vcpu, FETCH, CODE + away, 0);
		EXPECT_EQ(want, operate(&self->vcpu, FETCH, CODE, 0)) { TH_LOG("round %u", n); }
		EXPECT_DONE(&self->vcpu, WRITE, LINEAR, n + 100);
		EXPECT_EQ(want, operate(&self->vcpu, FETCH, CODE, 0)) { TH_LOG("round %u", n); }
		EXPECT_DONE(&self->vcpu, FETCH, CODE + away, 0);
		EXPECT_EQ((int)n + 100, reads(&self->vcpu));
	}
}

/* 32-bit paging: a directory, and a table that maps the low 4 MiB one to one. */
#define ROOT		0x110000ul
#define IDENTITY32	0x111000ul

static void set32(struct vmx_vm *vm, uint64_t table, unsigned int index, uint32_t entry)
{
	((volatile uint32_t *)test_at(vm, table))[index] = entry;
}

static int start32(struct vmx_vcpu *vcpu)
{
	struct vmx_field fields[] = {
		{ .field = VMX_F_GUEST_CR3, .value = ROOT },
		{ .field = VMX_F_EXCEPTION_BITMAP, .value = 1 << VECTOR_PF },
	};
	int ret = test_start(vcpu, VMX_MODE_PAE, operations);

	memset(test_at(vcpu->vm, ROOT), 0, PAGE);
	set32(vcpu->vm, ROOT, 0, IDENTITY32 | ALL);
	for (unsigned int n = 0; n < 1024; n++)
		set32(vcpu->vm, IDENTITY32, n, n * PAGE | ALL);
	ret = ret ?: vmx_field_change(vcpu->vmcs, VMX_F_GUEST_CR4, CR4_PAE, CR4_PSE);
	return ret ?: vmx_fields_set(vcpu->vmcs, fields, TEST_COUNT(fields));
}

/* Bit 7 of a directory's entry: a page of 4 MiB, or a table at 0. */
TEST_F(vm, large_pages)
{
	const uint32_t linear = 0x80000000u;

	ASSERT_VMX(start32(&self->vcpu));
	set32(&self->vm, ROOT, linear >> 22, LARGE_ENTRY | P | W);
	set32(&self->vm, 0, INDEX, DATA | P | W);
	*(uint32_t *)test_at(&self->vm, DATA) = 1;
	*(uint32_t *)test_at(&self->vm, INDEX * PAGE) = 2;
	for (unsigned int n = 0; n < ROUNDS; n++) {
		const bool large = n % 2;

		EXPECT_DONE(&self->vcpu, MOV_CR4, large ? CR4_PSE : 0, 0);
		EXPECT_DONE(&self->vcpu, READ, linear + INDEX * PAGE, 0);
		EXPECT_EQ(large ? 2 : 1, (uint32_t)self->run->regs[VMX_RDX]);
	}
}

/* Of a table of 1024 entries, in each half of it, one changes and the others need no fault. */
TEST_F(vm, neighbours_in_a_table_of_1024)
{
	const unsigned int first[] = { 0x120, 0x320 };

	ASSERT_VMX(start32(&self->vcpu));
	for (unsigned int n = 0; n < 2 * ROUNDS; n++) {
		const unsigned int index = first[n % 2];
		struct vmx_vm_stats before = { .size = sizeof(before) }, after = before;

		set32(&self->vm, IDENTITY32, index, (DATA + PAGE) | ALL);
		*(uint32_t *)test_at(&self->vm, DATA) = 1;
		*(uint32_t *)test_at(&self->vm, DATA + PAGE) = 2;
		*(uint32_t *)test_at(&self->vm, DATA + 2 * PAGE) = 3;
		EXPECT_DONE(&self->vcpu, WRITE, IDENTITY32 + (index + 1) * 4,
			    (DATA + n / 2 % 2 * 2 * PAGE) | ALL);
		EXPECT_DONE(&self->vcpu, INVLPG, (index + 1) * PAGE, 0);
		EXPECT_DONE(&self->vcpu, READ, (index + 1) * PAGE, 0);
		EXPECT_EQ(1 + n / 2 % 2 * 2, (uint32_t)self->run->regs[VMX_RDX]);
		ASSERT_EQ(0, ioctl(self->vm.fd, VMX_VM_STATS, &before));
		EXPECT_DONE(&self->vcpu, READ, index * PAGE, 0);
		EXPECT_EQ(2, (uint32_t)self->run->regs[VMX_RDX]);
		ASSERT_EQ(0, ioctl(self->vm.fd, VMX_VM_STATS, &after));
		/* The first time it is not there yet. */
		if (n >= 2) {
			EXPECT_EQ(before.faults, after.faults);
		}
	}
}

/* PAE paging: the four, of which the second refers to ROOT, and a directory for the low 4 MiB. */
#define FOUR		0x112000ul
#define IDENTITY64	0x113000ul
/* In ROOT, as a directory with entries of 8 bytes, and a table. */
#define SHARED_TABLE	0x114000ul
#define SHARED		5u

#define CR0_UNPAGED	0x31ul		/* NE, ET, PE */
#define CR0_PAGED	0x80000031ul

/* The guest goes from one format to the other. */
static int go_to(struct vmx_vcpu *vcpu, bool pae)
{
	return operate(vcpu, MOV_CR0, CR0_UNPAGED, 0) ?:
	       operate(vcpu, MOV_CR4, pae ? CR4_PAE : 0, 0) ?:
	       operate(vcpu, MOV_CR3, pae ? FOUR : ROOT, 0) ?:
	       operate(vcpu, MOV_CR0, CR0_PAGED, 0);
}

/*
 * Two formats have tables in the same frames: what one of them made of an entry is not the
 * other's, whose entry is elsewhere.
 */
TEST_F(vm, formats_share_tables)
{
	const uint64_t of32 = (2 * SHARED << 22) + 2 * INDEX * PAGE;
	const uint64_t of_pae = GIB + SHARED * LARGE + INDEX * PAGE;

	if (variant->mmu == VMX_MMU_EPT)
		NEED(VMX_HAS_UNRESTRICTED);
	ASSERT_VMX(start32(&self->vcpu));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_CR0_MASK, 0));
	memset(test_at(&self->vm, FOUR), 0, 3 * PAGE);
	*entry(&self->vm, FOUR, 0) = IDENTITY64 | P;
	*entry(&self->vm, FOUR, 1) = ROOT | P;
	*entry(&self->vm, IDENTITY64, 0) = LARGE_ENTRY | ALL;
	*entry(&self->vm, IDENTITY64, 1) = LARGE | LARGE_ENTRY | ALL;
	*entry(&self->vm, ROOT, SHARED) = SHARED_TABLE | ALL;
	*entry(&self->vm, SHARED_TABLE, INDEX) = DATA | ALL;
	for (unsigned int n = 0; n < ROUNDS; n++) {
		*(uint32_t *)test_at(&self->vm, DATA) = 100 + n;
		ASSERT_EQ(ACCESS_DONE, go_to(&self->vcpu, false)) {
			TH_LOG("%s", test_describe(&self->vcpu));
		}
		EXPECT_DONE(&self->vcpu, READ, of32, 0);
		EXPECT_EQ(100 + n, (uint32_t)self->run->regs[VMX_RDX]);
		EXPECT_EQ(PAGE_FAULT, operate(&self->vcpu, READ, of_pae - GIB, 0));
		EXPECT_EQ(PAGE_FAULT, operate(&self->vcpu, READ, of32 + PAGE, 0));
		ASSERT_EQ(ACCESS_DONE, go_to(&self->vcpu, true)) {
			TH_LOG("%s", test_describe(&self->vcpu));
		}
		EXPECT_DONE(&self->vcpu, READ, of_pae, 0);
		EXPECT_EQ(100 + n, (uint32_t)self->run->regs[VMX_RDX]);
		EXPECT_EQ(PAGE_FAULT, operate(&self->vcpu, READ, GIB + of32, 0));
		EXPECT_EQ(PAGE_FAULT, operate(&self->vcpu, READ, of_pae + PAGE, 0));
	}
}

#define HALVES	4ul

static void look_at_halves(struct __test_metadata *_metadata, FIXTURE_DATA(vm) * self, int advice)
{
	char *raw = new_memory((HALVES + 1) * LARGE), *at;

	ASSERT_NE(MAP_FAILED, raw);
	at = (char *)(((uintptr_t)raw + LARGE - 1) & ~(LARGE - 1));
	madvise(at, HALVES * LARGE, advice);
	ASSERT_VMX(start32(&self->vcpu));
	for (size_t offset = 0; offset < HALVES * LARGE; offset += PAGE)
		*(uint32_t *)(at + offset) = offset + 1;
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, HALVES * LARGE, RW));
	for (unsigned int n = 0; n < ROUNDS; n++) {
		/* The two pages change places. */
		for (unsigned int page = 0; page < HALVES / 2; page++)
			set32(&self->vm, ROOT, AREA / (2 * LARGE) + page,
			      (AREA + ((page + n) % 2) * 2 * LARGE) | LARGE_ENTRY | ALL);
		ASSERT_EQ(0, vmx_vm_invalidate(&self->vm, ROOT, PAGE));
		EXPECT_DONE(&self->vcpu, MOV_CR3, ROOT, 0);
		for (size_t offset = 3 * PAGE; offset < HALVES * LARGE; offset += LARGE / 4) {
			const size_t there = (offset + n % 2 * 2 * LARGE) % (HALVES * LARGE);

			EXPECT_DONE(&self->vcpu, READ, AREA + offset, 0);
			EXPECT_EQ(there + 1 + n, (uint32_t)self->run->regs[VMX_RDX]) {
				TH_LOG("round %u, offset %#zx", n, offset);
			}
			EXPECT_DONE(&self->vcpu, WRITE, AREA + offset, there + 2 + n);
			EXPECT_EQ(there + 2 + n, *(volatile uint32_t *)(at + there));
		}
	}
}

/* Pages of 4 MiB on the host's of 2 MiB: each half is where it belongs. */
TEST_F(vm, halves_of_large_pages)
{
	const bool changed = huge_pages_on();

	look_at_halves(_metadata, self, MADV_HUGEPAGE);
	huge_pages_as_before(changed);
}

/* On the host's small ones, too: the pages of both halves have the same places in their tables. */
TEST_F(vm, halves_of_large_pages_on_small_ones)
{
	look_at_halves(_metadata, self, MADV_NOHUGEPAGE);
}

VMX_TEST_MAIN
