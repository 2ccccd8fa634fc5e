// SPDX-License-Identifier: GPL-2.0
/*
 * Two guests with the same memory, one with EPT and one with shadow page tables: random page
 * tables, changed between random accesses, must give both the same results. VMX_SEED repeats a run.
 */
#include <cpuid.h>

#include "lib/paging_guest.h"
#include "lib/vmx_test.h"

/* Where things lie in guest-physical memory, all of it below 2 MiB. */
#define ROOT		0x100000ull
#define POINTERS	0x101000ull	/* of code, in long mode */
#define DIRECTORY	0x102000ull	/* of code of the supervisor, then of the user */
#define CODE_TABLE	0x104000ull	/* likewise, where there are no large pages */
#define RANDOM		0x106000ull	/* a page for each level of what is random */
#define DATA		0x10a000ull
#define DATA_PAGES	4
#define COMPARED	(DATA + DATA_PAGES * 0x1000 - ROOT)
/* In no range. */
#define NOWHERE		0x80000000ull

#define USER_BASE	0x40000000ull	/* linear: where the user has all memory */

/* Entries */
#define P		0x1ull
#define W		0x2ull
#define U		0x4ull
#define A		0x20ull
#define D		0x40ull
#define LARGE		0x80ull
#define NX		(1ull << 63)

#define CR0_WP		(1ull << 16)
#define CR0_PG		(1ull << 31)
#define CR4_PSE		(1ull << 4)
#define CR4_PAE		(1ull << 5)
#define CR4_SMEP	(1ull << 20)
#define CR4_SMAP	(1ull << 21)
#define EFER_NXE	(1ull << 11)
#define RFLAGS_FIXED	0x2ull
#define RFLAGS_AC	(1ull << 18)
#define VECTOR_PF	14

static const char *const format_names[] = { "32-bit", "PAE", "4-level" };

FIXTURE(pair) {
	struct vmx_vm vm[2];
	struct vmx_vcpu vcpu[2];
	uint64_t seed;
	uint64_t features4;	/* CR4.SMEP and SMAP, where the CPU has them */
	enum format format;
	uint64_t cr0, cr4, efer;
	bool user;
	struct { uint64_t at, old, entry, invalidated; } last;	/* change of an entry */
};

typedef FIXTURE_DATA(pair) fixture;

FIXTURE_SETUP(pair)
{
	static const enum vmx_mmu_kind kinds[] = { VMX_MMU_EPT, VMX_MMU_SHADOW };
	unsigned int eax, ebx = 0, ecx, edx;

	NEED(VMX_HAS_EPT | VMX_HAS_LOAD_EFER | VMX_HAS_UNRESTRICTED);
	for (int n = 0; n < 2; n++) {
		ASSERT_VMX(vmx_vm_open_mmu(&self->vm[n], TEST_RAM, kinds[n]));
		ASSERT_VMX(vmx_vcpu_open(&self->vcpu[n], &self->vm[n]));
	}
	__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
	self->features4 = (ebx & (1u << 7) ? CR4_SMEP : 0) | (ebx & (1u << 20) ? CR4_SMAP : 0);
	self->seed = test_seed();
}

FIXTURE_TEARDOWN(pair)
{
	for (int n = 0; n < 2; n++) {
		vmx_vcpu_close(&self->vcpu[n]);
		vmx_vm_close(&self->vm[n]);
	}
}

static uint64_t pick(fixture *self, uint64_t count)
{
	return test_random(&self->seed) % count;
}

static bool one_in(fixture *self, uint64_t count)
{
	return !pick(self, count);
}

static void put(fixture *self, uint64_t gpa, uint64_t value)
{
	for (int n = 0; n < 2; n++)
		memcpy(test_at(&self->vm[n], gpa), &value,
		       self->format == FORMAT_32BIT ? 4 : 8);
}

static unsigned int entry_size(const fixture *self)
{
	return self->format == FORMAT_32BIT ? 4 : 8;
}

/* Top level of what is random: below a register in PAE mode. */
static int top_level(const fixture *self)
{
	return self->format == FORMAT_LONG ? 3 : self->format == FORMAT_PAE ? 2 : 1;
}

/* The linear address of the part whose tables are random. */
static uint64_t random_base(const fixture *self)
{
	return self->format == FORMAT_LONG ? 1ull << 39 : 0x80000000ull;
}

static uint64_t table_at(int level)
{
	return RANDOM + level * 0x1000;
}

/* All of the low 2 or 4 MiB, for the supervisor at 0 and the user at USER_BASE. */
static void map_code(fixture *self)
{
	const uint64_t all = P | W | A | D;

	for (int user = 0; user < 2; user++) {
		const uint64_t mine = all | (user ? U : 0);
		const uint64_t directory = DIRECTORY + user * 0x1000;
		const uint64_t table = CODE_TABLE + user * 0x1000;

		switch (self->format) {
		case FORMAT_LONG:
			put(self, ROOT, POINTERS | all | U);
			put(self, POINTERS + user * 8, directory | mine);
			put(self, directory, LARGE | mine);
			break;
		case FORMAT_PAE:
			put(self, ROOT + user * 8, directory | P);
			put(self, directory, LARGE | mine);
			break;
		default:
			put(self, ROOT + user * 256 * 4, table | mine);
			for (unsigned int n = 0; n < 512; n++)
				put(self, table + n * 4, n << 12 | mine);
		}
	}
	if (self->format == FORMAT_LONG)
		put(self, ROOT + 8, table_at(3) | all | U);
	if (self->format == FORMAT_PAE)
		put(self, ROOT + 16, table_at(2) | P);
}

static uint64_t random_address(fixture *self, int level, bool leaf)
{
	if (one_in(self, 24))
		return NOWHERE;
	if (leaf)
		return level > 1 ? 0 : DATA + pick(self, DATA_PAGES) * 0x1000;
	return one_in(self, 24) ? table_at(level) : table_at(level - 1);
}

static uint64_t random_entry(fixture *self, int level)
{
	const bool wide = self->format != FORMAT_32BIT;
	const bool large = level > 1 && one_in(self, 4);
	const bool leaf = level == 1 || (large && (wide || self->cr4 & CR4_PSE));
	uint64_t entry = (test_random(&self->seed) & 0x778) | random_address(self, level, leaf);

	entry |= one_in(self, 12) ? 0 : P;
	entry |= one_in(self, 3) ? 0 : W;
	entry |= one_in(self, 3) ? 0 : U;
	entry &= level == 1 && one_in(self, 2) ? ~0ull : ~LARGE;
	entry |= large ? LARGE : 0;
	entry |= wide && one_in(self, 6) ? NX : 0;
	/* Reserved or ignored, but no address of other memory: fetches must find a VMCALL. */
	if (wide && one_in(self, 24))
		entry |= 1ull << (self->vm[0].caps.phys_bits +
				  pick(self, 63 - self->vm[0].caps.phys_bits));
	if (large && leaf && one_in(self, 12))
		entry |= 1ull << (13 + pick(self, wide ? 8 : 9));
	return entry;
}

/* The entry at LEVEL on the way to where accesses go: one for all, but at the last level. */
static uint64_t entry_at(const fixture *self, int level, uint64_t index)
{
	if (self->format == FORMAT_32BIT && level == 2)
		return ROOT + 512 * 4;
	return table_at(level) + (level == 1 ? index * entry_size(self) : 0);
}

static int highest(const fixture *self)
{
	return self->format == FORMAT_32BIT ? 2 : top_level(self);
}

static const struct { uint32_t cs, data; } access_rights[FORMATS] = {
	[FORMAT_32BIT] = { 0xc09b, 0xc093 },
	[FORMAT_PAE] = { 0xc09b, 0xc093 },
	[FORMAT_LONG] = { 0xa09b, 0xc093 },
};

/* The privilege level is that of CS and SS. */
static int set_user(fixture *self, bool user)
{
	const uint32_t dpl = user ? 3 << 5 : 0, rpl = user ? 3 : 0;
	struct vmx_field fields[] = {
		{ .field = VMX_F_GUEST_CS_ACCESS, .value = access_rights[self->format].cs | dpl },
		{ .field = VMX_F_GUEST_SS_ACCESS, .value = access_rights[self->format].data | dpl },
		{ .field = VMX_F_GUEST_CS_SELECTOR, .value = VMX_GUEST_CS64 | rpl },
		{ .field = VMX_F_GUEST_SS_SELECTOR, .value = VMX_GUEST_DS | rpl },
	};
	int ret = 0;

	for (int n = 0; n < 2 && !ret; n++)
		ret = vmx_fields_set(self->vcpu[n].vmcs, fields, TEST_COUNT(fields));
	self->user = user;
	return ret;
}

static const enum vmx_mode modes[FORMATS] = {
	[FORMAT_32BIT] = VMX_MODE_PAE, [FORMAT_PAE] = VMX_MODE_PAE, [FORMAT_LONG] = VMX_MODE_LONG,
};

static int set_registers(fixture *self, struct vmx_vcpu *vcpu)
{
	struct vmx_field fields[] = {
		{ .field = VMX_F_GUEST_CR3, .value = ROOT },
		{ .field = VMX_F_GUEST_PDPTE0, .value = DIRECTORY | P },
		{ .field = VMX_F_GUEST_PDPTE1, .value = (DIRECTORY + 0x1000) | P },
		{ .field = VMX_F_GUEST_PDPTE2, .value = table_at(2) | P },
		{ .field = VMX_F_GUEST_PDPTE3, .value = 0 },
		{ .field = VMX_F_EXCEPTION_BITMAP, .value = 1 << VECTOR_PF },
	};
	int ret = vmx_set_mode(vcpu->vm, vcpu->vmcs, modes[self->format], 0, TEST_STACK);

	ret = ret ?: vmx_fields_set(vcpu->vmcs, fields, TEST_COUNT(fields));
	ret = ret ?: vmx_field_change(vcpu->vmcs, VMX_F_GUEST_CR0, CR0_WP, self->cr0);
	ret = ret ?: vmx_field_change(vcpu->vmcs, VMX_F_GUEST_CR4, CR4_PSE | CR4_PAE, self->cr4);
	return ret ?: vmx_field_change(vcpu->vmcs, VMX_F_GUEST_EFER, EFER_NXE, self->efer);
}

/* A random mode, and memory to begin with. */
static int begin(fixture *self)
{
	int ret = 0;

	self->format = pick(self, FORMATS);
	self->cr0 = one_in(self, 3) ? 0 : CR0_WP;
	self->cr4 = self->format == FORMAT_32BIT ? (one_in(self, 4) ? 0 : CR4_PSE) : CR4_PAE;
	self->cr4 |= one_in(self, 2) ? self->features4 & test_random(&self->seed) : 0;
	/* Documentation/architecture.rst, "Shadow paging" */
	if (!self->cr0)
		self->cr4 &= ~CR4_SMAP;
	self->efer = one_in(self, 4) ? 0 : EFER_NXE;
	for (int n = 0; n < 2 && !ret; n++) {
		ret = set_registers(self, &self->vcpu[n]);
		memset(test_at(&self->vm[n], ROOT), 0, COMPARED);
		memcpy(test_at(&self->vm[n], TEST_CODE), operations, operations_end - operations);
		/* VMCALL, to be jumped to, and a data segment for all. */
		for (int page = 0; page < DATA_PAGES; page++) {
			memcpy(test_at(&self->vm[n], DATA + page * 0x1000), "\x0f\x01\xc1", 3);
			*(uint64_t *)test_at(&self->vm[n], DATA + page * 0x1000 + 8) =
				0x00cff3000000ffff;
		}
	}
	map_code(self);
	for (int level = highest(self); level > 1; level--)
		put(self, entry_at(self, level, 0), random_entry(self, level));
	for (uint64_t page = 0; page < DATA_PAGES; page++)
		put(self, entry_at(self, 1, (DATA >> 12) + page), random_entry(self, 1));
	return ret ?: set_user(self, false);
}

/* What came of an operation. */
struct outcome {
	int ret;
	uint32_t reason;
	uint32_t vector, error;
	uint64_t address;
	uint32_t value;
};

static struct outcome outcome_of(const struct vmx_vcpu *vcpu, int ret, enum operation operation)
{
	const struct vmx_run_page *run = vcpu->run;
	struct outcome outcome = { .ret = ret, .reason = run->reason };

	if (run->reason == VMX_REASON_EXCEPTION_NMI) {
		outcome.vector = run->intr_info & VMX_INTR_VECTOR_MASK;
		outcome.error = run->intr_error;
		outcome.address = run->qualification;
	} else if (run->reason == VMX_REASON_EPT_VIOLATION) {
		/* With accessed and dirty bits EPT counts a look at a table as a write. */
		outcome.address = run->physical & ~0xfffull;
	} else if (operation == READ) {
		outcome.value = run->regs[VMX_RDX];
	}
	return outcome;
}

/* Has both guests do it; true if the same came of it. */
static bool both(fixture *self, enum operation operation, uint64_t address, uint32_t value, bool ac,
		 struct outcome *outcomes)
{
	for (int n = 0; n < 2; n++) {
		struct vmx_run_page *run = self->vcpu[n].run;

		if (operation == DESCRIPTOR &&
		    vmx_field_set(self->vcpu[n].vmcs, VMX_F_GUEST_GDTR_BASE, address))
			return false;
		run->regs[VMX_RBX] = address;
		run->regs[VMX_RCX] = SELECTOR;
		run->regs[VMX_RDX] = value;
		run->rip = (self->user ? USER_BASE : 0) + TEST_CODE + operation * 16;
		run->rflags = RFLAGS_FIXED | (ac ? RFLAGS_AC : 0);
		run->dirty |= VMX_STATE_RIP | VMX_STATE_RFLAGS;
		outcomes[n] = outcome_of(&self->vcpu[n], vmx_run(&self->vcpu[n]), operation);
	}
	return !memcmp(&outcomes[0], &outcomes[1], sizeof(outcomes[0]));
}

/* Tables with their accessed and dirty bits, and what they map. */
static bool same_memory(fixture *self)
{
	return !memcmp(test_at(&self->vm[0], ROOT), test_at(&self->vm[1], ROOT), COMPARED);
}

/* The owner writes an entry. */
static bool announce(fixture *self, uint64_t at, uint64_t entry)
{
	put(self, at, entry);
	return !vmx_vm_invalidate(&self->vm[0], at, entry_size(self)) &&
	       !vmx_vm_invalidate(&self->vm[1], at, entry_size(self));
}

/* The supervisor writes an entry, and invalidates what there was; or the owner does both. */
static bool change(fixture *self, uint64_t page, struct outcome *outcomes)
{
	const int level = 1 + pick(self, highest(self));
	const uint64_t at = entry_at(self, level, (DATA >> 12) + page);
	const uint64_t entry = random_entry(self, level);
	bool same = !set_user(self, false);

	self->last.at = at;
	self->last.entry = entry;
	self->last.old = *(uint64_t *)test_at(&self->vm[0], at);
	self->last.invalidated = 0;
	if (one_in(self, 3))
		return same && announce(self, at, entry);
	same = same && both(self, WRITE, at, entry, true, outcomes);
	if (self->format != FORMAT_32BIT)
		same = same && both(self, WRITE, at + 4, entry >> 32, true, outcomes);
	if (one_in(self, 2))
		return same && both(self, MOV_CR3, ROOT, 0, true, outcomes);
	self->last.invalidated = random_base(self) + DATA + page * 0x1000;
	return same && both(self, INVLPG, self->last.invalidated, 0, true, outcomes);
}

static void describe(struct __test_metadata *_metadata, const fixture *self, const char *what,
		     const struct outcome *outcomes)
{
	TH_LOG("%s: %s, CR0 %#llx, CR4 %#llx, EFER %#llx, user %d", what,
	       format_names[self->format], (unsigned long long)self->cr0,
	       (unsigned long long)self->cr4, (unsigned long long)self->efer, self->user);
	TH_LOG("last change: %#llx at %#llx, before %#llx, invalidated %#llx",
	       (unsigned long long)self->last.entry, (unsigned long long)self->last.at,
	       (unsigned long long)self->last.old, (unsigned long long)self->last.invalidated);
	for (int n = 0; n < 2; n++)
		TH_LOG("%s: %d, reason %u, vector %u, error %#x, address %#llx, value %#x",
		       n ? "shadow" : "EPT", outcomes[n].ret, outcomes[n].reason,
		       outcomes[n].vector, outcomes[n].error,
		       (unsigned long long)outcomes[n].address, outcomes[n].value);
	for (uint64_t at = ROOT; at < ROOT + COMPARED; at += 8) {
		const uint64_t *values[2];

		for (int n = 0; n < 2; n++)
			values[n] = test_at((struct vmx_vm *)&self->vm[n], at);
		if (*values[0] != *values[1])
			TH_LOG("at %#llx: %#llx with EPT, %#llx with shadow",
			       (unsigned long long)at, (unsigned long long)*values[0],
			       (unsigned long long)*values[1]);
	}
}

#define GUESTS	500
#define STEPS	20

TEST_F_TIMEOUT(pair, agree, 600)
{
	unsigned int faults = 0, violations = 0, done = 0;

	for (unsigned int guest = 0; guest < GUESTS; guest++) {
		if (!(guest % 100))
			TH_LOG("guest %u of %u", guest, GUESTS);
		ASSERT_EQ(0, begin(self)) { TH_LOG("%s", vmx_error()); }
		for (unsigned int step = 0; step < STEPS; step++) {
			const enum operation operation =
				one_in(self, 6) ? DESCRIPTOR : (enum operation)pick(self, 3);
			const uint64_t page = pick(self, DATA_PAGES);
			const uint64_t offset = operation == FETCH || operation == DESCRIPTOR ?
				0 : 16 + 4 * pick(self, 1000);
			const bool user = one_in(self, 2), ac = one_in(self, 4);
			const uint32_t value = test_random(&self->seed);
			struct outcome outcomes[2] = {};

			if (step && one_in(self, 2)) {
				ASSERT_TRUE(change(self, page, outcomes)) {
					describe(_metadata, self, "change", outcomes);
				}
			}
			ASSERT_EQ(0, set_user(self, user));
			ASSERT_TRUE(both(self, operation, random_base(self) + DATA + page * 0x1000 +
					 offset, value, ac, outcomes) && same_memory(self)) {
				TH_LOG("guest %u, step %u, page %llu, operation %d, AC %d", guest,
				       step, (unsigned long long)page, operation, ac);
				describe(_metadata, self, "access", outcomes);
			}
			faults += outcomes[0].reason == VMX_REASON_EXCEPTION_NMI;
			violations += outcomes[0].reason == VMX_REASON_EPT_VIOLATION;
			done += outcomes[0].reason == VMX_REASON_VMCALL;
		}
	}
	TH_LOG("%u accesses: %u allowed, %u page faults, %u to no memory", GUESTS * STEPS, done,
	       faults, violations);
	/* Each kind is often enough to mean something. */
	EXPECT_LT(GUESTS * STEPS / 8, done);
	EXPECT_LT(GUESTS * STEPS / 8, faults);
	EXPECT_LT(GUESTS * STEPS / 100, violations);
}

VMX_TEST_MAIN
