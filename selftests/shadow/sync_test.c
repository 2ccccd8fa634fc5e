// SPDX-License-Identifier: GPL-2.0
/*
 * Guests change their page tables, and rely on the SDM's guarantees: with shadow page
 * tables the module has to notice.
 */
#define EVERY_MMU

#include "lib/guest_tables.h"

/* A second table maps TABLE, and here is where. */
#define MAPS		OTHER_TABLE
#define ALIAS		(GIB + OTHER_INDEX * LARGE)
#define OTHER_ALIAS	(ALIAS + PAGE)
/* In a page that is a table as well: an instruction. */
#define CODE		0x800ul

#define ALL		(P | W | A | D)
/* Page faults of writes that are forbidden. */
#define FORBIDDEN	(PAGE_FAULT | P | W)
#define FORBIDDEN_USER	(FORBIDDEN | U)

#define CR0		0x80000011ul	/* PG, ET, PE */
#define CR0_WP		(1ul << 16)
#define EFER		0xd00ul		/* NXE, LMA, LME */

/* More invalidations than a table has to stay unwritten for until its next write faults. */
#define CALM		40

/* As kernels have it: with it clear, entries are made in another way. */
FIXTURE_VARIANT_ADD(vm, shadow_wp) { .mmu = VMX_MMU_SHADOW, .cr0 = CR0_WP };

static int start(struct vmx_vcpu *vcpu, uint64_t cr0)
{
	int ret = test_start(vcpu, VMX_MODE_LONG, operations);

	map_linear(vcpu->vm);
	*entry(vcpu->vm, MAPS, 0) = TABLE | ALL;
	*entry(vcpu->vm, MAPS, 1) = TABLE | ALL;
	ret = ret ?: vmx_field_set(vcpu->vmcs, VMX_F_EXCEPTION_BITMAP, 1 << VECTOR_PF);
	return ret || !cr0 ? ret : operate(vcpu, MOV_CR0, CR0 | cr0, 0);
}

/* The guest makes LINEAR another page of data, by writing to TABLE as it is mapped there. */
#define CHANGE(vcpu, table, page)						\
	EXPECT_DONE(vcpu, WRITE, (table) + INDEX * 8, (DATA + (page) * PAGE) | ALL)

/* Written often or seldom, and wherever the table is mapped. */
TEST_F(vm, entry_is_changed_time_and_again)
{
	static const uint64_t tables[] = { TABLE, ALIAS, OTHER_ALIAS };

	ASSERT_VMX(start(&self->vcpu, variant->cr0));
	for (unsigned int n = 0; n < 36; n++) {
		const unsigned int page = n % DATA_PAGES;

		for (unsigned int calm = n % 2 ? CALM : 0; calm; calm--)
			EXPECT_DONE(&self->vcpu, INVLPG, ALIAS, 0);
		CHANGE(&self->vcpu, tables[n / 4 % TEST_COUNT(tables)], page);
		EXPECT_DONE(&self->vcpu, INVLPG, LINEAR, 0);
		EXPECT_EQ((int)page + 1, reads(&self->vcpu)) { TH_LOG("change %u", n); }
	}
}

/*
 * The CPU noted that the table was written in an entry that is gone before anybody looks: it has
 * become another page's, or one that can be executed.
 */
static void change_behind(struct __test_metadata *_metadata, struct vmx_vcpu *vcpu, uint64_t cr0,
			  uint64_t page)
{
	int attempts = 2, ret;

	ASSERT_VMX(start(vcpu, cr0));
	*entry(vcpu->vm, MAPS, 0) = TABLE | ALL | NX;
	memcpy(test_at(vcpu->vm, page + CODE), "\x0f\x01\xc1", 3);
	vcpu->run->efer = EFER;
	vcpu->run->dirty = VMX_STATE_EFER;
	EXPECT_EQ(1, reads(vcpu));
	EXPECT_DONE(vcpu, INVLPG, LINEAR, 0);
	CHANGE(vcpu, ALIAS, 1);
	EXPECT_DONE(vcpu, WRITE, MAPS, page | ALL);
	EXPECT_DONE(vcpu, WRITE, MAPS + 4, 0);
	/* A CPU may have cached that it was not to be executed, until it faults for that. */
	do {
		ret = operate(vcpu, FETCH, ALIAS + CODE, 0);
	} while (ret & PAGE_FAULT && --attempts);
	EXPECT_EQ(ACCESS_DONE, ret) { TH_LOG("%s", test_describe(vcpu)); }
	EXPECT_DONE(vcpu, INVLPG, LINEAR, 0);
	EXPECT_EQ(2, reads(vcpu));
}

TEST_F(vm, table_is_written_where_another_page_is_then)
{
	change_behind(_metadata, &self->vcpu, variant->cr0, DATA + 2 * PAGE);
}

TEST_F(vm, table_is_written_where_it_is_executed_then)
{
	change_behind(_metadata, &self->vcpu, variant->cr0, TABLE);
}

/* Faults that the kernel resolved: those of accesses that found no entry. */
static uint64_t faults(struct vmx_vm *vm)
{
	struct vmx_vm_stats stats = { .size = sizeof(stats) };

	return ioctl(vm->fd, VMX_VM_STATS, &stats) ? ~0ull : stats.faults;
}

/* A table has changed, and what the guest left alone in it needs no fault. */
TEST_F(vm, neighbours_of_what_changed_stay)
{
	ASSERT_VMX(start(&self->vcpu, variant->cr0));
	for (unsigned int n = 0; n < 8; n++) {
		const uint64_t page = DATA + (1 + n % 2) * PAGE;
		uint64_t before;

		EXPECT_DONE(&self->vcpu, WRITE, TABLE + (INDEX + 1) * 8, page | ALL);
		EXPECT_DONE(&self->vcpu, INVLPG, LINEAR + PAGE, 0);
		EXPECT_DONE(&self->vcpu, READ, LINEAR + PAGE, 0);
		EXPECT_EQ(2 + n % 2, (uint32_t)self->run->regs[VMX_RDX]);
		before = faults(&self->vm);
		EXPECT_EQ(1, reads(&self->vcpu));
		EXPECT_EQ(before + !n, faults(&self->vm)) { TH_LOG("change %u", n); }
	}
}

/* Nothing has to be invalidated for an entry that was not present. */
TEST_F(vm, table_is_changed_while_nothing_refers_to_it)
{
	ASSERT_VMX(start(&self->vcpu, variant->cr0));
	for (unsigned int n = 0; n < DATA_PAGES; n++) {
		CHANGE(&self->vcpu, TABLE, n);
		EXPECT_DONE(&self->vcpu, WRITE, DIRECTORY + TABLE_INDEX * 8, TABLE | ALL);
		EXPECT_EQ((int)n + 1, reads(&self->vcpu));
		EXPECT_DONE(&self->vcpu, WRITE, DIRECTORY + TABLE_INDEX * 8, 0);
		EXPECT_DONE(&self->vcpu, INVLPG, LINEAR, 0);
	}
}

/* A guest's bits tell it what was used since it cleared them. */
TEST_F(vm, accessed_and_dirty_bits_are_set_again)
{
	volatile uint64_t *leaf = entry(&self->vm, TABLE, INDEX);
	volatile uint64_t *above = entry(&self->vm, DIRECTORY, TABLE_INDEX);

	ASSERT_VMX(start(&self->vcpu, variant->cr0));
	for (unsigned int n = 0; n < 4; n++) {
		EXPECT_DONE(&self->vcpu, WRITE, LINEAR, 0);
		EXPECT_EQ(DATA | ALL, *leaf);
		EXPECT_DONE(&self->vcpu, WRITE, TABLE + INDEX * 8, DATA | P | W | D);
		EXPECT_DONE(&self->vcpu, INVLPG, LINEAR, 0);
		EXPECT_EQ(DATA | P | W | D, *leaf);
		EXPECT_EQ(0, reads(&self->vcpu));
		EXPECT_EQ(DATA | ALL, *leaf);
		EXPECT_DONE(&self->vcpu, WRITE, TABLE + INDEX * 8, DATA | P | W | A);
		EXPECT_DONE(&self->vcpu, INVLPG, LINEAR, 0);
		EXPECT_EQ(0, reads(&self->vcpu));
		EXPECT_EQ(DATA | P | W | A, *leaf);
		EXPECT_DONE(&self->vcpu, WRITE, LINEAR, 0);
		EXPECT_EQ(DATA | ALL, *leaf);
		EXPECT_DONE(&self->vcpu, WRITE, DIRECTORY + TABLE_INDEX * 8, TABLE | P | W);
		EXPECT_DONE(&self->vcpu, INVLPG, LINEAR, 0);
		EXPECT_EQ(0, reads(&self->vcpu));
		EXPECT_EQ(TABLE | P | W | A, *above & ~D);
	}
}

/* The privilege level is that of CS and SS. */
static int set_user(struct vmx_vcpu *vcpu, bool user)
{
	const uint32_t dpl = user ? 3 << VMX_ACCESS_DPL_SHIFT : 0, rpl = user ? 3 : 0;
	const struct vmx_field fields[] = {
		{ .field = VMX_F_GUEST_CS_ACCESS, .value = 0xa09b | dpl },
		{ .field = VMX_F_GUEST_SS_ACCESS, .value = 0xc093 | dpl },
		{ .field = VMX_F_GUEST_CS_SELECTOR, .value = VMX_GUEST_CS64 | rpl },
		{ .field = VMX_F_GUEST_SS_SELECTOR, .value = VMX_GUEST_DS | rpl },
	};

	for (size_t n = 0; n < TEST_COUNT(fields); n++)
		if (vmx_field_set(vcpu->vmcs, fields[n].field, fields[n].value))
			return -1;
	return 0;
}

/* A write as a user; the supervisor is back then. */
static int user_write(struct vmx_vcpu *vcpu, uint64_t address, uint32_t value)
{
	int ret = set_user(vcpu, true);

	ret = ret ?: operate(vcpu, WRITE, address, value);
	return set_user(vcpu, false) ?: ret;
}

static uint32_t user_reads(struct vmx_vcpu *vcpu, uint64_t address)
{
	int ret = set_user(vcpu, true) ?: operate(vcpu, READ, address, 0);

	return set_user(vcpu, false) ?: ret ?: vcpu->run->regs[VMX_RDX];
}

/* All of what the supervisor's code and LINEAR need to be a user's. */
static void let_users_in(struct vmx_vm *vm)
{
	*entry(vm, VMX_GUEST_PAGE_TABLES, 0) |= U;
	*entry(vm, POINTERS, 0) |= U;
	*entry(vm, POINTERS, LINEAR / GIB) |= U;
	*entry(vm, IDENTITY, 0) |= U;
	*entry(vm, DIRECTORY, TABLE_INDEX) |= U;
	*entry(vm, TABLE, INDEX) |= U;
}

/* A page that is read-only by some level's entry, while the guest switches CR0.WP. */
static void switch_wp(struct __test_metadata *_metadata, struct vmx_vcpu *vcpu, uint64_t table,
		      unsigned int index)
{
	ASSERT_VMX(start(vcpu, 0));
	let_users_in(vcpu->vm);
	*entry(vcpu->vm, table, index) &= ~W;
	for (unsigned int n = 10; n < 30; n += 10) {
		EXPECT_DONE(vcpu, MOV_CR0, CR0 | CR0_WP, 0);
		EXPECT_EQ(FORBIDDEN, operate(vcpu, WRITE, LINEAR, n));
		EXPECT_EQ(FORBIDDEN_USER, user_write(vcpu, LINEAR, n));
		EXPECT_DONE(vcpu, MOV_CR0, CR0, 0);
		EXPECT_EQ(FORBIDDEN_USER, user_write(vcpu, LINEAR, n));
		EXPECT_DONE(vcpu, WRITE, LINEAR, n + 1);
		EXPECT_EQ(FORBIDDEN_USER, user_write(vcpu, LINEAR, n));
		EXPECT_EQ(n + 1, user_reads(vcpu, LINEAR));
		EXPECT_DONE(vcpu, WRITE, LINEAR, n + 2);
		EXPECT_EQ(n + 2, *entry(vcpu->vm, DATA, 0));
	}
}

TEST_F(vm, supervisor_writes_read_only_pages)
{
	switch_wp(_metadata, &self->vcpu, TABLE, INDEX);
}

TEST_F(vm, supervisor_writes_below_read_only_tables)
{
	switch_wp(_metadata, &self->vcpu, DIRECTORY, TABLE_INDEX);
	switch_wp(_metadata, &self->vcpu, POINTERS, LINEAR / GIB);
}

/* What the owner has made read-only is so for guests with CR0.WP clear, too. */
TEST_F(vm, nobody_writes_what_the_owner_forbids)
{
	char *at = new_memory(PAGE);

	ASSERT_NE(MAP_FAILED, at);
	ASSERT_VMX(start(&self->vcpu, variant->cr0));
	*entry(&self->vm, TABLE, INDEX) = AREA | ALL;
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, PAGE, VMX_MMU_READ));
	EXPECT_DONE(&self->vcpu, MOV_CR0, CR0 | CR0_WP, 0);
	EXPECT_EQ(0, reads(&self->vcpu));
	EXPECT_DONE(&self->vcpu, MOV_CR0, CR0, 0);
	EXPECT_EQ(0, reads(&self->vcpu));
	EXPECT_EQ(ACCESS_EXIT, operate(&self->vcpu, WRITE, LINEAR, 1));
	EXPECT_EQ(AREA, self->run->physical);
	EXPECT_EQ(0, *(volatile uint64_t *)at);
}

VMX_TEST_MAIN
