// SPDX-License-Identifier: GPL-2.0
/* The module's checks of VM entry against the CPU's: both fail, or both pass. */
#include <x86intrin.h>

#define EVERY_MMU

#include "lib/host_memory.h"

GUEST64(hlt_guest, "hlt");

#define CYCLES 20000

struct edit {
	uint32_t field;
	uint64_t clear;
	uint64_t set;
};

#define IS(_field, value)	{ VMX_F_##_field, ~0ull, value }
#define ON(_field, bits)	{ VMX_F_##_field, 0, bits }
#define OFF(_field, bits)	{ VMX_F_##_field, bits, 0 }
#define NONCANONICAL		0x4000000000000000

struct flaw {
	enum vmx_check check;
	enum vmx_mode mode;
	struct edit edits[4];
};

#define FLAW(_check, _mode, ...)					\
	{ VMX_CHECK_##_check, VMX_MODE_##_mode, { __VA_ARGS__ } }

/* Checks of guest state that userspace can make fail, where the CPU has what they are about. */
static const struct flaw flaws[] = {
	FLAW(GUEST_CR0, LONG, OFF(GUEST_CR0, 1 << 5)),
	FLAW(GUEST_IA32E_PAE, LONG, OFF(GUEST_CR4, 1 << 5)),
	FLAW(GUEST_PCIDE, PAE, ON(GUEST_CR4, 1 << 17)),
	FLAW(GUEST_CR3, LONG, ON(GUEST_CR3, 1ull << 51)),
	FLAW(GUEST_DR7, LONG, ON(GUEST_DR7, 1ull << 32)),
	FLAW(GUEST_SYSENTER, LONG, IS(GUEST_SYSENTER_ESP, NONCANONICAL)),
	FLAW(GUEST_SYSENTER, LONG, IS(GUEST_SYSENTER_EIP, NONCANONICAL)),
	FLAW(GUEST_PAT, LONG, IS(GUEST_PAT, 2)),
	FLAW(GUEST_EFER_LMA, LONG, IS(GUEST_EFER, 0)),
	FLAW(GUEST_EFER_LME, LONG, IS(GUEST_EFER, 1 << 10)),
	FLAW(TR_TI, LONG, ON(GUEST_TR_SELECTOR, 4)),
	FLAW(LDTR_TI, LONG, IS(GUEST_LDTR_SELECTOR, 4), IS(GUEST_LDTR_ACCESS, 0x82)),
	FLAW(BASE_CANONICAL, LONG, IS(GUEST_FS_BASE, NONCANONICAL)),
	FLAW(BASE_CANONICAL, LONG, IS(GUEST_TR_BASE, NONCANONICAL)),
	FLAW(BASE_HIGH, LONG, IS(GUEST_CS_BASE, 1ull << 32)),
	FLAW(V86_BASE, PAE, ON(GUEST_RFLAGS, 1 << 17), IS(GUEST_ES_BASE, 8)),
	FLAW(CS_TYPE, LONG, IS(GUEST_CS_ACCESS, 0xa090)),
	FLAW(SS_TYPE, LONG, IS(GUEST_SS_ACCESS, 0xc091)),
	FLAW(DATA_ACCESSED, LONG, OFF(GUEST_DS_ACCESS, 1)),
	FLAW(DATA_READABLE, LONG, IS(GUEST_DS_ACCESS, 0xc099)),
	FLAW(SEGMENT_S, LONG, OFF(GUEST_DS_ACCESS, VMX_ACCESS_S)),
	FLAW(CS_DPL, LONG, ON(GUEST_CS_ACCESS, 3 << VMX_ACCESS_DPL_SHIFT)),
	FLAW(SEGMENT_P, LONG, OFF(GUEST_DS_ACCESS, VMX_ACCESS_PRESENT)),
	FLAW(SEGMENT_RESERVED, LONG, ON(GUEST_GS_ACCESS, 1 << 8)),
	FLAW(CS_DB, LONG, ON(GUEST_CS_ACCESS, VMX_ACCESS_DB)),
	FLAW(SEGMENT_G, PAE, OFF(GUEST_CS_ACCESS, VMX_ACCESS_G)),
	FLAW(TR_TYPE, LONG, IS(GUEST_TR_ACCESS, 0x83)),
	FLAW(SYSTEM_S, LONG, ON(GUEST_TR_ACCESS, VMX_ACCESS_S)),
	FLAW(TR_UNUSABLE, LONG, ON(GUEST_TR_ACCESS, VMX_ACCESS_UNUSABLE)),
	FLAW(LDTR_TYPE, LONG, IS(GUEST_LDTR_ACCESS, 0x83)),
	FLAW(TABLE_BASE, LONG, IS(GUEST_GDTR_BASE, NONCANONICAL)),
	FLAW(TABLE_LIMIT, LONG, IS(GUEST_IDTR_LIMIT, 0x10000)),
	FLAW(RIP_HIGH, PAE, ON(GUEST_RIP, 1ull << 32)),
	FLAW(RIP_CANONICAL, LONG, ON(GUEST_RIP, NONCANONICAL)),
	FLAW(RFLAGS_RESERVED, LONG, OFF(GUEST_RFLAGS, 2)),
	FLAW(ACTIVITY_BLOCKING, LONG, IS(GUEST_ACTIVITY, VMX_ACTIVITY_HLT),
	     IS(GUEST_INTERRUPTIBILITY, VMX_BLOCKING_BY_MOV_SS)),
	FLAW(BLOCKING_RESERVED, LONG, IS(GUEST_INTERRUPTIBILITY, 0x80)),
	FLAW(BLOCKING_BOTH, LONG, IS(GUEST_INTERRUPTIBILITY, 3), ON(GUEST_RFLAGS, 1 << 9)),
	FLAW(BLOCKING_STI_IF, LONG, IS(GUEST_INTERRUPTIBILITY, VMX_BLOCKING_BY_STI)),
	FLAW(BLOCKING_SMI, LONG, IS(GUEST_INTERRUPTIBILITY, VMX_BLOCKING_BY_SMI)),
	FLAW(PENDING_RESERVED, LONG, IS(GUEST_PENDING_DEBUG, 0x20)),
	FLAW(PENDING_BS, LONG, IS(GUEST_INTERRUPTIBILITY, VMX_BLOCKING_BY_MOV_SS),
	     ON(GUEST_RFLAGS, 1 << 8)),
};

/* What depends on whose the paging is: the CPU, or the module, has it in another place. */
static const struct flaw ept_flaws[] = {
	FLAW(PDPTE, PAE, IS(GUEST_PDPTE2, 0x21)),
};

static const struct flaw shadow_flaws[] = {
	FLAW(GUEST_IA32E_PG, LONG, OFF(GUEST_CR0, 1ull << 31)),
	FLAW(GUEST_CR0, PAE, OFF(GUEST_CR0, 1)),
};

/* All fields of this CPU, and what they may hold; how many. */
static size_t all_fields(struct vmx_vcpu *vcpu, struct vmx_field_info *infos, size_t room)
{
	struct vmx_vmcs_dump dump = {
		.size = sizeof(dump), .fields = (uintptr_t)infos, .count = room,
	};

	return ioctl(vcpu->vmcs, VMX_VMCS_DUMP, &dump) || dump.count > room ? 0 : dump.count;
}

/* Some CPUs lack a field, or a bit of it. */
static bool possible(struct vmx_vcpu *vcpu, const struct flaw *flaw)
{
	static struct vmx_field_info infos[300];
	size_t count = all_fields(vcpu, infos, TEST_COUNT(infos));

	for (size_t n = 0; n < count; n++)
		if (infos[n].field == flaw->edits[0].field)
			return !(flaw->edits[0].set & ~infos[n].may);
	return false;
}

static int spoil(struct vmx_vcpu *vcpu, const struct flaw *flaw)
{
	for (unsigned int n = 0; n < TEST_COUNT(flaw->edits); n++) {
		const struct edit *edit = &flaw->edits[n];
		int error;

		/* VPID, which is field 0, is not userspace's. */
		if (!edit->field)
			break;
		error = vmx_field_change(vcpu->vmcs, edit->field, edit->clear, edit->set);
		if (error)
			return error;
	}
	return 0;
}

/* What Bochs 2.7 does otherwise than the SDM says. */

static uint64_t field(struct vmx_vcpu *vcpu, uint32_t field)
{
	uint64_t value = 0;

	vmx_field_get(vcpu->vmcs, field, &value);
	return value;
}

/* High bits of RIP and pending debug exceptions, and the pending single-step trap. */
static bool bochs_never_checks(const struct vmx_failure *failure)
{
	return failure->check == VMX_CHECK_RIP_CANONICAL ||
	       failure->check == VMX_CHECK_PENDING_BS ||
	       (failure->check == VMX_CHECK_PENDING_RESERVED && !(uint32_t)failure->bits);
}

/* The RPL of a data segment is compared with its DPL for types below 11 instead of up to 11. */
static bool bochs_spares_rpl(struct vmx_vcpu *vcpu, const struct vmx_failure *failure)
{
	return failure->check == VMX_CHECK_DATA_DPL &&
	       (field(vcpu, failure->field) & VMX_ACCESS_TYPE_MASK) == 11;
}

/* Nor CR0.PG of 64-bit unrestricted guests, and little of SS where it is null. */
static bool bochs_enters(struct vmx_vcpu *vcpu, const struct vmx_failure *failure)
{
	return bochs_never_checks(failure) || bochs_spares_rpl(vcpu, failure) ||
	       failure->check == VMX_CHECK_GUEST_IA32E_PG || failure->check == VMX_CHECK_CS_DPL ||
	       ((failure->field == VMX_F_GUEST_SS_ACCESS ||
		 failure->field == VMX_F_GUEST_SS_BASE) &&
		!(field(vcpu, VMX_F_GUEST_SS_SELECTOR) & ~3ull));
}

/* The DPL of CS has to be equal to its own RPL there, instead of the DPL of SS. */
static bool bochs_fails(struct vmx_vcpu *vcpu)
{
	uint64_t dpl = (field(vcpu, VMX_F_GUEST_CS_ACCESS) & VMX_ACCESS_DPL_MASK) >>
		       VMX_ACCESS_DPL_SHIFT;

	return dpl != (field(vcpu, VMX_F_GUEST_CS_SELECTOR) & 3);
}

#define INVALID_STATE (VMX_REASON_ENTRY_FAILURE | VMX_REASON_INVALID_GUEST_STATE)

static void expect_flaw(struct __test_metadata *_metadata, struct vmx_vcpu *vcpu,
			const struct flaw *flaw, size_t n)
{
	struct vmx_failure dry;
	char text[512];

	ASSERT_VMX(test_start(vcpu, flaw->mode, hlt_guest));
	ASSERT_VMX(spoil(vcpu, flaw));
	ASSERT_VMX(vmx_vmcs_check(vcpu->vmcs, &dry));
	EXPECT_EQ((uint32_t)flaw->check, dry.check) {
		TH_LOG("row %zu: %s", n, vmx_explain_failure(&dry, text, sizeof(text)));
	}
	if (test_on_bochs() && bochs_never_checks(&dry))
		return;
	ASSERT_VMX(vmx_run(vcpu));
	ASSERT_EQ(INVALID_STATE, vcpu->run->reason) {
		TH_LOG("row %zu: %s", n, test_describe(vcpu));
	}
	EXPECT_EQ(dry.check, vcpu->run->failure.check);
	EXPECT_EQ(dry.field, vcpu->run->failure.field);
	EXPECT_EQ(dry.value, vcpu->run->failure.value);
	EXPECT_EQ(dry.bits, vcpu->run->failure.bits);
}

/* How many of the flaws this CPU can have. */
static size_t expect_flaws(struct __test_metadata *_metadata, struct vmx_vcpu *vcpu,
			   const struct flaw *list, size_t count)
{
	size_t tried = 0;

	for (size_t n = 0; n < count; n++) {
		if (!possible(vcpu, &list[n]))
			continue;
		expect_flaw(_metadata, vcpu, &list[n], n);
		tried++;
	}
	return tried;
}

/* Bits of an address that no address on this CPU has. */
static void expect_wide_pdptes(struct __test_metadata *_metadata, struct vmx_vcpu *vcpu)
{
	for (unsigned int bit = vcpu->vm->caps.phys_bits; bit < 64; bit++) {
		const struct flaw flaw = FLAW(PDPTE, PAE, IS(GUEST_PDPTE1, 1ull << bit | 1));

		expect_flaw(_metadata, vcpu, &flaw, bit);
	}
}

TEST_F(vm, each_flaw_is_named)
{
	size_t tried = expect_flaws(_metadata, &self->vcpu, flaws, TEST_COUNT(flaws));

	/* GUEST_PCIDE, GUEST_PAT and two of EFER are not for all CPUs. */
	EXPECT_LE(TEST_COUNT(flaws) - 4, tried);
	if (variant->mmu == VMX_MMU_SHADOW) {
		expect_flaws(_metadata, &self->vcpu, shadow_flaws, TEST_COUNT(shadow_flaws));
	} else {
		expect_flaws(_metadata, &self->vcpu, ept_flaws, TEST_COUNT(ept_flaws));
		expect_wide_pdptes(_metadata, &self->vcpu);
	}
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

FIXTURE(shadow) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	struct vmx_run_page *run;
};

FIXTURE_SETUP(shadow)
{
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, VMX_MMU_SHADOW));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	self->run = self->vcpu.run;
}

FIXTURE_TEARDOWN(shadow)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

/* Without EPT they are in memory, which only the entry reads. */
TEST_F(shadow, page_directory_pointers)
{
	uint64_t *pointers = test_at(&self->vm, VMX_GUEST_PAGE_TABLES);
	const unsigned int bits[] = { 5, self->vm.caps.phys_bits, 63 };

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_PAE, hlt_guest));
	for (size_t n = 0; n < TEST_COUNT(bits); n++) {
		pointers[2] |= 1ull << bits[n];
		ASSERT_EXIT(&self->vcpu, INVALID_STATE);
		EXPECT_EQ((uint32_t)VMX_CHECK_PDPTE, self->run->failure.check);
		EXPECT_EQ((uint32_t)VMX_F_GUEST_CR3, self->run->failure.field);
		EXPECT_EQ(VMX_GUEST_PAGE_TABLES, self->run->failure.value);
		pointers[2] &= ~(1ull << bits[n]);
	}
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* A guest has EFER on all CPUs then, and by the run page it can be wrong on all. */
TEST_F(shadow, efer_of_the_run_page)
{
	static const uint64_t wrong[] = { 0, 1 << 8, 1 << 10 };

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	for (size_t n = 0; n < TEST_COUNT(wrong); n++) {
		self->run->efer = wrong[n];
		self->run->dirty = VMX_STATE_EFER;
		ASSERT_EXIT(&self->vcpu, INVALID_STATE);
		EXPECT_EQ((uint32_t)(wrong[n] == 1 << 10 ? VMX_CHECK_GUEST_EFER_LME :
							   VMX_CHECK_GUEST_EFER_LMA),
			  self->run->failure.check);
		EXPECT_EQ(wrong[n], self->run->failure.value);
	}
	self->run->efer = 5 << 8;
	self->run->dirty = VMX_STATE_EFER;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

GUEST64(secret_code, "mov $0x5ec2e7, %eax\n vmcall");

/*
 * Tables made for another mode than the CPU is in would have guest memory for page tables, at the
 * address 0 here: that has an entry for memory that is not the VM's, which the guest would execute.
 */
TEST_F(shadow, tables_of_another_mode)
{
	char *secret = new_memory(PAGE);
	uint64_t frame;

	ASSERT_NE(MAP_FAILED, secret);
	memcpy(secret, secret_code, secret_code_end - secret_code);
	ASSERT_EQ(0, read_pagemap(secret, 1, &frame));
	*(uint64_t *)test_at(&self->vm, 0) = (frame & PAGEMAP_FRAME) * PAGE | 1;
	ASSERT_VMX(vmx_set_mode(&self->vm, self->vcpu.vmcs, VMX_MODE_LONG, 0, TEST_STACK));
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_CR0, 1ull << 31, 0));
	ASSERT_EXIT(&self->vcpu, INVALID_STATE);
	EXPECT_EQ(0, self->run->regs[VMX_RAX]);
	EXPECT_EQ((uint32_t)VMX_CHECK_GUEST_IA32E_PG, self->run->failure.check);
	munmap(secret, PAGE);
}

/* Values near the edges of what the checks allow. */
static uint64_t edge_value(uint64_t *seed)
{
	static const uint64_t edges[] = {
		0, 1, 3, 4, 0x67, 0x82, 0x83, 0x8b, 0x93, 0x9b, 0xf3, 0xfff, 0xffff, 0x10000,
		0xfffff, 0xc093, 0xc09b, 0xa09b, 0xfffff000, 0xffffffff, 1ull << 32, 1ull << 46,
		1ull << 47, 1ull << 48, 1ull << 56, 1ull << 63, 0xffff800000000000, ~0ull,
	};

	return edges[test_random(seed) % TEST_COUNT(edges)];
}

static void change_something(struct vmx_vcpu *vcpu, const struct vmx_field_info *info,
			     uint64_t *seed)
{
	uint64_t bit = 1ull << test_random(seed) % 64, value;

	/* Low bits mean more. */
	if (test_random(seed) % 4)
		bit = 1ull << test_random(seed) % 18;
	if (vmx_field_get(vcpu->vmcs, info->field, &value))
		return;
	value = test_random(seed) % 4 ? value ^ bit : edge_value(seed);
	vmx_field_set(vcpu->vmcs, info->field, value & info->may);
}

/* Guest state, and the two controls that say which of it goes together. */
static bool interesting(const struct vmx_vcpu *vcpu, const struct vmx_field_info *info)
{
	if (test_keeps_interrupts_out(vcpu, info->field))
		return false;
	return info->may && (info->field == VMX_F_ENTRY_CONTROLS ||
			     info->field == VMX_F_CPU2_CONTROLS ||
			     (info->field & VMX_F_TYPE_MASK) == VMX_F_TYPE_GUEST);
}

static size_t interesting_fields(struct vmx_vcpu *vcpu, struct vmx_field_info *infos, size_t room)
{
	size_t count = 0, all = all_fields(vcpu, infos, room);

	for (size_t n = 0; n < all; n++)
		if (interesting(vcpu, &infos[n]))
			infos[count++] = infos[n];
	return count;
}

/* Without a preemption timer the module looks at the clock: before it enters, too. */
static bool perhaps_not_entered(const struct vmx_vcpu *vcpu)
{
	return vcpu->run->reason == VMX_REASON_PREEMPTION_TIMER &&
	       !(vcpu->vm->caps.features & VMX_HAS_PREEMPTION_TIMER);
}

/* Entered or failed as the dry run of the checks said. */
static bool agrees(struct vmx_vcpu *vcpu, const struct vmx_failure *dry)
{
	bool failed = vmx_entry_failed(vcpu->run), expected = dry->check != VMX_CHECK_NONE;

	if (failed == expected || perhaps_not_entered(vcpu))
		return true;
	/* What only some CPUs fail is known afterwards. */
	if (failed && vcpu->run->failure.check != VMX_CHECK_NONE)
		return true;
	return test_on_bochs() && (failed ? bochs_fails(vcpu) : bochs_enters(vcpu, dry));
}

/* A good guest; test_start() leaves the secondary controls as they are. */
static int start_anew(struct vmx_vcpu *vcpu, enum vmx_mode mode, uint64_t cpu2)
{
	int ret = vcpu->vm->caps.cpu2.may ?
		vmx_field_set(vcpu->vmcs, VMX_F_CPU2_CONTROLS, cpu2) : 0;

	return ret ?: test_start(vcpu, mode, hlt_guest) ?: test_enable_interrupts(vcpu);
}

TEST_F(vm, random_state)
{
	static const enum vmx_mode modes[] = { VMX_MODE_PROTECTED, VMX_MODE_PAE, VMX_MODE_LONG };
	static struct vmx_field_info infos[300];
	unsigned int entered = 0, failed = 0, wrong = 0;
	uint64_t seed = test_seed(), cpu2 = 0;
	size_t count;

	if (self->vm.caps.cpu2.may)
		ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_CPU2_CONTROLS, &cpu2));
	count = interesting_fields(&self->vcpu, infos, TEST_COUNT(infos));
	ASSERT_LT(50, count);
	for (int round = 0; round < 4000; round++) {
		enum vmx_mode mode = modes[test_random(&seed) % TEST_COUNT(modes)];
		struct vmx_failure dry;
		char text[512];

		ASSERT_VMX(start_anew(&self->vcpu, mode, cpu2));
		for (uint64_t n = test_random(&seed) % 3 + 1; n; n--)
			change_something(&self->vcpu, &infos[test_random(&seed) % count], &seed);
		ASSERT_VMX(vmx_vmcs_check(self->vcpu.vmcs, &dry));
		self->run->deadline = __rdtsc() + CYCLES;
		ASSERT_VMX(vmx_run(&self->vcpu));
		failed += vmx_entry_failed(self->run);
		entered += !vmx_entry_failed(self->run);
		if (agrees(&self->vcpu, &dry))
			continue;
		if (wrong++ < 20)
			TH_LOG("round %d: %s, and then %s", round,
			       vmx_explain_failure(&dry, text, sizeof(text)),
			       test_describe(&self->vcpu));
	}
	TH_LOG("%u entries, %u failures", entered, failed);
	EXPECT_EQ(0, wrong);
	EXPECT_LT(500, entered);
	EXPECT_LT(500, failed);
}

VMX_TEST_MAIN
