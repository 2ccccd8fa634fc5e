/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A 64-bit guest with some page tables besides those it starts with, for tests of its
 * translations. It also maps all RAM one to one.
 */
#ifndef GUEST_TABLES_H
#define GUEST_TABLES_H

#include "mmu_guest.h"
#include "paging_guest.h"

/* Guest-physical: those that the guest starts with. */
#define POINTERS	(VMX_GUEST_PAGE_TABLES + 0x1000)
#define IDENTITY	(VMX_GUEST_PAGE_TABLES + 0x2000)
/* A directory, two tables, and pages with data. */
#define DIRECTORY	0x100000ul
#define TABLE		0x101000ul
#define OTHER_TABLE	0x102000ul
#define DATA		0x104000ul
#define DATA_PAGES	3ul

/* Linear: 1 GiB that has DIRECTORY, and a page in it that has TABLE. */
#define GIB		(1ul << 30)
#define LINEAR		(GIB + TABLE_INDEX * LARGE + INDEX * PAGE)
/* Indexes: of the tables in DIRECTORY, and of the page in each of them. */
#define TABLE_INDEX	5
#define OTHER_INDEX	6
#define INDEX		7

/* Bits of entries. */
#define P		0x1ul
#define W		0x2ul
#define U		0x4ul
#define A		0x20ul
#define D		0x40ul
#define LARGE_ENTRY	0x80ul
#define G		0x100ul
#define NX		(1ul << 63)

static inline volatile uint64_t *entry(struct vmx_vm *vm, uint64_t table, unsigned int index)
{
	return (uint64_t *)test_at(vm, table) + index;
}

/* Each page of data says which it is. */
static inline void map_linear(struct vmx_vm *vm)
{
	*entry(vm, POINTERS, LINEAR / GIB) = DIRECTORY | P | W | U;
	*entry(vm, DIRECTORY, TABLE_INDEX) = TABLE | P | W;
	*entry(vm, DIRECTORY, OTHER_INDEX) = OTHER_TABLE | P | W;
	*entry(vm, TABLE, INDEX) = DATA | P | W;
	*entry(vm, OTHER_TABLE, INDEX) = (DATA + PAGE) | P | W;
	for (unsigned int n = 0; n < DATA_PAGES; n++)
		*entry(vm, DATA + n * PAGE, 0) = n + 1;
}

/*
 * What came of an operation: negative errnos of RUN, ACCESS_DONE, ACCESS_EXIT or ACCESS_OTHER of
 * mmu_guest.h, or a page fault that exits, with its error code.
 */
#define PAGE_FAULT	0x1000
#define VECTOR_PF	14

/* The guest must have been started with operations. */
static inline int operate(struct vmx_vcpu *vcpu, enum operation operation, uint64_t address,
			  uint32_t value)
{
	struct vmx_run_page *run = vcpu->run;
	int ret;

	run->regs[VMX_RBX] = address;
	run->regs[VMX_RDX] = value;
	run->rip = TEST_CODE + operation * 16;
	run->rflags = 2;
	run->dirty |= VMX_STATE_RIP | VMX_STATE_RFLAGS;
	ret = vmx_run(vcpu);
	if (ret)
		return ret;
	switch (run->reason) {
	case VMX_REASON_VMCALL:
		return ACCESS_DONE;
	case VMX_REASON_EPT_VIOLATION:
		return ACCESS_EXIT;
	case VMX_REASON_EXCEPTION_NMI:
		return (run->intr_info & VMX_INTR_VECTOR_MASK) == VECTOR_PF ?
			PAGE_FAULT | (int)run->intr_error : ACCESS_OTHER;
	default:
		return ACCESS_OTHER;
	}
}

#define EXPECT_DONE(vcpu, ...)							\
	EXPECT_EQ(ACCESS_DONE, operate(vcpu, __VA_ARGS__)) {			\
		TH_LOG("%s", test_describe(vcpu));				\
	}

/* Which page of data LINEAR is, as the guest finds it; -1 if it cannot be read. */
static inline int reads(struct vmx_vcpu *vcpu)
{
	int ret = operate(vcpu, READ, LINEAR, 0);

	return ret == ACCESS_DONE ? (int)vcpu->run->regs[VMX_RDX] : -1;
}

#endif /* GUEST_TABLES_H */
