// SPDX-License-Identifier: GPL-2.0
/*
 * Guests change their control registers: by instructions, whose exits userspace may have requested,
 * and by a task switch, which userspace finishes. Their translations follow.
 */
#define EVERY_MMU

#include <cpuid.h>

#include "lib/guest_tables.h"

#define CR0_PE		(1ul << 0)
#define CR0_MP		(1ul << 1)
#define CR0_TS		(1ul << 3)
#define CR4_PSE		(1ul << 4)
#define CR4_PAE		(1ul << 5)
#define CR4_PGE		(1ul << 7)
#define CR4_PCIDE	(1ul << 17)
/* Of MOV to CR3. */
#define KEEP		(1ul << 63)

/* SDM, "Exit Qualification for Control-Register Accesses" */
#define QUALIFICATION_CLTS	(2u << 4)
#define QUALIFICATION_LMSW	(3u << 4)

/* LMSW takes the low four bits of CR0, and clears PE never. */
GUEST64(status_guest,
	"clts\n"
	"mov	%cr0, %r8\n"
	"mov	$0xa, %eax\n"
	"lmsw	%ax\n"
	"mov	%cr0, %r9\n"
	"clts\n"
	"mov	%cr0, %r10\n"
	"mov	%r9, %cr0\n"
	"mov	%cr0, %r11\n"
	"vmcall");

TEST_F(vm, clts_and_lmsw)
{
	const uint64_t bits = CR0_PE | CR0_MP | CR0_TS;
	uint64_t cr0;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, status_guest));
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_CR0, 0, CR0_TS));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
	EXPECT_EQ(CR0_PE, self->run->regs[VMX_R8] & bits);
	EXPECT_EQ(bits, self->run->regs[VMX_R9] & bits);
	EXPECT_EQ(CR0_PE | CR0_MP, self->run->regs[VMX_R10] & bits);
	EXPECT_EQ(bits, self->run->regs[VMX_R11] & bits);
	EXPECT_EQ(bits, self->run->cr0 & bits);
	ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_GUEST_CR0, &cr0));
	EXPECT_EQ(bits, cr0 & bits);
}

/* TS is userspace's here: what the guest reads is the shadow, and to change that exits. */
GUEST64(masked_guest,
	"clts\n"
	"mov	%cr0, %r8\n"
	"clts\n"
	"mov	$0x2, %eax\n"
	"lmsw	%ax\n"
	"mov	%cr0, %r9\n"
	"mov	$0xa, %eax\n"
	"lmsw	%ax\n"
	"mov	%cr0, %r10\n"
	"vmcall");

TEST_F(vm, clts_and_lmsw_under_a_mask)
{
	const uint64_t bits = CR0_MP | CR0_TS;
	const int vmcs = self->vcpu.vmcs;
	uint64_t cr0;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, masked_guest));
	ASSERT_VMX(vmx_field_change(vmcs, VMX_F_CR0_MASK, 0, CR0_TS));
	ASSERT_VMX(vmx_field_change(vmcs, VMX_F_CR0_READ_SHADOW, 0, CR0_TS));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_CR_ACCESS);
	EXPECT_EQ(QUALIFICATION_CLTS, self->run->qualification);
	ASSERT_VMX(vmx_field_change(vmcs, VMX_F_CR0_READ_SHADOW, CR0_TS, 0));
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_CR_ACCESS);
	EXPECT_EQ(QUALIFICATION_LMSW | (CR0_MP | CR0_TS) << 16, self->run->qualification);
	EXPECT_EQ(0, self->run->regs[VMX_R8] & bits);
	EXPECT_EQ(CR0_MP, self->run->regs[VMX_R9] & bits);
	ASSERT_VMX(vmx_field_change(vmcs, VMX_F_CR0_READ_SHADOW, 0, CR0_TS));
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
	EXPECT_EQ(bits, self->run->regs[VMX_R10] & bits);
	/* The shadow is not the register. */
	ASSERT_VMX(vmx_field_get(vmcs, VMX_F_GUEST_CR0, &cr0));
	EXPECT_EQ(CR0_MP, cr0 & bits);
}

/* Another address space, which has something else at LINEAR. */
#define OTHER_ROOT	0x110000ul
#define OTHER_POINTERS	0x111000ul
#define OTHER_DIRECTORY	0x112000ul
/* Where INVPCID's operands are. */
#define OPERANDS	0x120000ul

static int start(struct vmx_vcpu *vcpu)
{
	struct vmx_vm *vm = vcpu->vm;
	int ret = test_start(vcpu, VMX_MODE_LONG, operations);

	map_linear(vm);
	memcpy(test_at(vm, OTHER_ROOT), test_at(vm, VMX_GUEST_PAGE_TABLES), PAGE);
	memcpy(test_at(vm, OTHER_POINTERS), test_at(vm, POINTERS), PAGE);
	*entry(vm, OTHER_ROOT, 0) = OTHER_POINTERS | P | W;
	*entry(vm, OTHER_POINTERS, LINEAR / GIB) = OTHER_DIRECTORY | P | W;
	*entry(vm, OTHER_DIRECTORY, TABLE_INDEX) = OTHER_TABLE | P | W;
	return ret ?: test_set_idt(vcpu);
}

/* A guest may go to an address space that userspace knows, and to no other. */
TEST_F(vm, cr3_targets)
{
	struct vmx_vcpu *vcpu = &self->vcpu;
	const int vmcs = vcpu->vmcs;

	ASSERT_VMX(start(vcpu));
	ASSERT_VMX(vmx_field_change(vmcs, VMX_F_CPU_CONTROLS, 0, VMX_CPU_CR3_LOAD_EXITING));
	EXPECT_EQ(ACCESS_OTHER, operate(vcpu, MOV_CR3, OTHER_ROOT, 0));
	EXPECT_EQ(VMX_REASON_CR_ACCESS, self->run->reason);
	ASSERT_VMX(vmx_field_set(vmcs, VMX_F_CR3_TARGET_0, VMX_GUEST_PAGE_TABLES));
	ASSERT_VMX(vmx_field_set(vmcs, VMX_F_CR3_TARGET_1, OTHER_ROOT));
	ASSERT_VMX(vmx_field_set(vmcs, VMX_F_CR3_TARGET_COUNT, 1));
	EXPECT_EQ(ACCESS_OTHER, operate(vcpu, MOV_CR3, OTHER_ROOT, 0));
	ASSERT_VMX(vmx_field_set(vmcs, VMX_F_CR3_TARGET_COUNT, 2));
	for (unsigned int n = 0; n < 4; n++) {
		const uint64_t root = n % 2 ? VMX_GUEST_PAGE_TABLES : OTHER_ROOT;

		EXPECT_DONE(vcpu, MOV_CR3, root, 0);
		EXPECT_EQ(root, self->run->cr3);
	}
}

/* The guest makes LINEAR another page of data, in the address space that it starts in. */
#define CHANGE(vcpu, page, bits)						\
	EXPECT_DONE(vcpu, WRITE, TABLE + INDEX * 8, (DATA + (page) * PAGE) | P | W | (bits))

/* Done, or answered with #GP(0) by the guest's IDT. */
static bool was_refused(const struct vmx_vcpu *vcpu)
{
	return vcpu->run->regs[VMX_RDI] == 13 && vcpu->run->regs[VMX_RSI] == 0;
}

/* SDM, "INVPCID--Invalidate Process-Context Identifier" */
enum { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL, INVPCID_ALL_BUT_GLOBAL, INVPCID_TYPES };

static int invpcid(struct vmx_vcpu *vcpu, unsigned int type, uint64_t pcid, uint64_t address)
{
	*entry(vcpu->vm, OPERANDS, 0) = pcid;
	*entry(vcpu->vm, OPERANDS, 1) = address;
	return operate(vcpu, INVPCID, OPERANDS, type);
}

static bool has_invpcid(const struct vmx_vcpu *vcpu)
{
	unsigned int eax, ebx = 0, ecx, edx;

	__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
	return ebx & 1 << 10 && vcpu->vm->caps.cpu2.may & VMX_CPU2_INVPCID;
}

TEST_F(vm, all_types_of_invpcid)
{
	if (!has_invpcid(&self->vcpu))
		SKIP(return, "the CPU has no INVPCID");
	ASSERT_VMX(start(&self->vcpu));
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_CPU2_CONTROLS, 0, VMX_CPU2_INVPCID));
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_CR4, 0, CR4_PGE));
	for (unsigned int n = 0; n < 3 * INVPCID_TYPES; n++) {
		const unsigned int type = n % INVPCID_TYPES, page = n % DATA_PAGES;
		const bool global = type == INVPCID_ADDRESS || type == INVPCID_ALL;

		CHANGE(&self->vcpu, page, global ? G : 0);
		EXPECT_EQ(ACCESS_DONE, invpcid(&self->vcpu, type, 0, LINEAR)) {
			TH_LOG("type %u: %s", type, test_describe(&self->vcpu));
		}
		EXPECT_EQ((int)page + 1, reads(&self->vcpu)) { TH_LOG("type %u", type); }
		EXPECT_FALSE(was_refused(&self->vcpu));
		/* What was global would survive some types. */
		EXPECT_DONE(&self->vcpu, INVLPG, LINEAR, 0);
	}
	EXPECT_EQ(ACCESS_DONE, invpcid(&self->vcpu, INVPCID_TYPES, 0, LINEAR));
	EXPECT_TRUE(was_refused(&self->vcpu));
}

static bool has_pcids(const struct vmx_vcpu *vcpu)
{
	return vcpu->vm->caps.msr.cr4_fixed1 & CR4_PCIDE;
}

/* The guest's CR3, as userspace has it; -1 if it cannot be read. */
static uint64_t cr3_of(const struct vmx_vcpu *vcpu)
{
	uint64_t value = ~0ull;

	vmx_field_get(vcpu->vmcs, VMX_F_GUEST_CR3, &value);
	return value;
}

#define ROOT_OF(pcid)	((pcid) == 1 ? VMX_GUEST_PAGE_TABLES | 1ul : OTHER_ROOT | 2ul)

/* Translations may be kept over a MOV to CR3 with bit 63, not over one without. */
TEST_F(vm, address_spaces_with_pcids)
{
	struct vmx_vcpu *vcpu = &self->vcpu;

	if (!has_pcids(vcpu))
		SKIP(return, "the CPU has no PCIDs");
	ASSERT_VMX(start(vcpu));
	EXPECT_DONE(vcpu, MOV_CR4, CR4_PAE | CR4_PCIDE, 0);
	for (unsigned int n = 0; n < 2 * DATA_PAGES; n++) {
		EXPECT_DONE(vcpu, MOV_CR3, ROOT_OF(1) | (n % 2 ? KEEP : 0), 0);
		EXPECT_EQ(ROOT_OF(1), cr3_of(vcpu));
		CHANGE(vcpu, n % DATA_PAGES, 0);
		EXPECT_DONE(vcpu, INVLPG, LINEAR, 0);
		EXPECT_EQ((int)(n % DATA_PAGES) + 1, reads(vcpu));
		EXPECT_DONE(vcpu, MOV_CR3, ROOT_OF(2) | KEEP, 0);
		EXPECT_EQ(2, reads(vcpu));
		/* Now in the space that is not current. */
		CHANGE(vcpu, (n + 1) % DATA_PAGES, 0);
		EXPECT_EQ(2, reads(vcpu));
		EXPECT_DONE(vcpu, MOV_CR3, ROOT_OF(1), 0);
		EXPECT_EQ((int)((n + 1) % DATA_PAGES) + 1, reads(vcpu));
	}
}

TEST_F(vm, invpcid_of_a_space_that_is_not_current)
{
	struct vmx_vcpu *vcpu = &self->vcpu;

	if (!has_pcids(vcpu) || !has_invpcid(vcpu))
		SKIP(return, "the CPU has no PCIDs, or no INVPCID");
	ASSERT_VMX(start(vcpu));
	ASSERT_VMX(vmx_field_change(vcpu->vmcs, VMX_F_CPU2_CONTROLS, 0, VMX_CPU2_INVPCID));
	EXPECT_DONE(vcpu, MOV_CR4, CR4_PAE | CR4_PCIDE, 0);
	for (unsigned int n = 0; n < 3 * INVPCID_TYPES; n++) {
		EXPECT_DONE(vcpu, MOV_CR3, ROOT_OF(2) | KEEP, 0);
		CHANGE(vcpu, n % DATA_PAGES, 0);
		EXPECT_EQ(ACCESS_DONE, invpcid(vcpu, n % INVPCID_TYPES, 1, LINEAR));
		EXPECT_EQ(2, reads(vcpu));
		EXPECT_DONE(vcpu, MOV_CR3, ROOT_OF(1) | KEEP, 0);
		EXPECT_EQ((int)(n % DATA_PAGES) + 1, reads(vcpu)) { TH_LOG("step %u", n); }
	}
}

static bool is_refused(struct vmx_vcpu *vcpu, enum operation operation, uint64_t value)
{
	vcpu->run->regs[VMX_RDI] = 0;
	return operate(vcpu, operation, value, 0) == ACCESS_DONE && was_refused(vcpu);
}

/* SDM, "Process-Context Identifiers (PCIDs)" and "MOV--Move to/from Control Registers" */
TEST_F(vm, wrong_uses_of_pcids)
{
	struct vmx_vcpu *vcpu = &self->vcpu;

	if (!has_pcids(vcpu))
		SKIP(return, "the CPU has no PCIDs");
	ASSERT_VMX(start(vcpu));
	EXPECT_TRUE(is_refused(vcpu, MOV_CR3, VMX_GUEST_PAGE_TABLES | KEEP));
	EXPECT_DONE(vcpu, MOV_CR3, VMX_GUEST_PAGE_TABLES | 8, 0);
	EXPECT_TRUE(is_refused(vcpu, MOV_CR4, CR4_PAE | CR4_PCIDE));
	EXPECT_DONE(vcpu, MOV_CR3, VMX_GUEST_PAGE_TABLES, 0);
	EXPECT_FALSE(is_refused(vcpu, MOV_CR4, CR4_PAE | CR4_PCIDE));
	EXPECT_FALSE(is_refused(vcpu, MOV_CR3, VMX_GUEST_PAGE_TABLES | KEEP | 8));
	EXPECT_TRUE(is_refused(vcpu, MOV_CR3, VMX_GUEST_PAGE_TABLES | 1ul << 52));
	EXPECT_TRUE(is_refused(vcpu, MOV_CR4, CR4_PCIDE));
	EXPECT_FALSE(is_refused(vcpu, MOV_CR4, CR4_PAE));
	EXPECT_EQ(VMX_GUEST_PAGE_TABLES | 8, cr3_of(vcpu));
}

/* Task switches. SDM, "32-Bit Task-State Segment (TSS)" */
struct tss {
	uint32_t link, stacks[6];
	uint32_t cr3, eip, eflags, regs[8];
	uint32_t segments[6];	/* ES, CS, SS, DS, FS, GS */
	uint32_t ldtr, io_map;
};

#define TASK_CODE	(TEST_CODE + 0x800)
#define TASK_STACK	(TEST_STACK - 0x1000)
#define TASK_TSS	0x130000u
#define TASK		0x28u	/* its selector */
#define TASK_RESULT	(TEST_DATA + 8)

/* Linear address that both tasks have, and not the same memory. */
GUEST32(first_task,
	"mov	0x400000, %eax\n"
	"ljmp	$0x28, $0\n"
	"mov	0x400000, %ebx\n"
	"mov	%cr3, %ecx\n"
	"vmcall");
GUEST32(second_task,
	"mov	0x400000, %eax\n"
	"mov	%eax, 0x20008\n"
	"mov	%cr3, %eax\n"
	"mov	%eax, 0x2000c\n"
	"ljmp	$0x20, $0");

/* Of 32-bit or PAE paging: a large page for all RAM, and a table behind 4 MiB. */
static uint64_t lay_tables(struct vmx_vm *vm, bool pae, uint64_t at, uint64_t data)
{
	const uint64_t directory = at + PAGE, table = at + 2 * PAGE;

	if (pae) {
		*entry(vm, at, 0) = directory | P;
		*entry(vm, directory, 0) = P | W | LARGE_ENTRY;
		*entry(vm, directory, 2) = table | P | W;
		*entry(vm, table, 0) = data | P | W;
		return at;
	}
	*entry(vm, directory, 0) = P | W | LARGE_ENTRY | (table | P | W) << 32;
	*entry(vm, table, 0) = data | P | W;
	return directory;
}

/* With EPT the CPU has PAE's four top entries in the VMCS; who sets CR3 sets them. */
static int load_pointers(struct vmx_vcpu *vcpu, uint64_t cr3)
{
	int ret = 0;

	for (unsigned int n = 0; n < 4 && !ret; n++)
		ret = vmx_field_set(vcpu->vmcs, VMX_F_GUEST_PDPTE0 + 2 * n,
				    *entry(vcpu->vm, cr3, n));
	return ret;
}

static int start_tasks(struct vmx_vcpu *vcpu, bool pae)
{
	struct vmx_vm *vm = vcpu->vm;
	struct tss *task = test_at(vm, TASK_TSS), *first = test_at(vm, VMX_GUEST_TSS);
	int ret = test_start(vcpu, VMX_MODE_PAE, first_task);

	memcpy(test_at(vm, TASK_CODE), second_task, second_task_end - second_task);
	/* An available 32-bit TSS. */
	*entry(vm, VMX_GUEST_GDT, TASK / 8) = 0x67 | (TASK_TSS & 0xffffffull) << 16 | 0x89ull << 40;
	first->cr3 = lay_tables(vm, pae, 0x140000, DATA);
	*task = (struct tss){
		.cr3 = lay_tables(vm, pae, 0x150000, DATA + PAGE), .eip = TASK_CODE,
		.eflags = 2, .regs[VMX_RSP] = TASK_STACK,
		.segments = { VMX_GUEST_DS, VMX_GUEST_CS32, VMX_GUEST_DS, VMX_GUEST_DS,
			      VMX_GUEST_DS, VMX_GUEST_DS },
	};
	*entry(vm, DATA, 0) = 1;
	*entry(vm, DATA + PAGE, 0) = 2;
	ret = ret ?: vmx_field_set(vcpu->vmcs, VMX_F_GUEST_CR3, first->cr3);
	if (!pae)
		return ret ?: vmx_field_change(vcpu->vmcs, VMX_F_GUEST_CR4, CR4_PAE, CR4_PSE);
	return ret ?: vm->caps.features & VMX_HAS_EPT ? load_pointers(vcpu, first->cr3) : 0;
}

static uint64_t tss_base(struct vmx_vm *vm, uint32_t selector)
{
	return *entry(vm, VMX_GUEST_GDT, selector / 8) >> 16 & 0xffffff;
}

/* What a JMP to another task does; the segments of the tasks are the same. */
static int switch_task(struct vmx_vcpu *vcpu, bool pae)
{
	struct vmx_run_page *run = vcpu->run;
	struct vmx_vm *vm = vcpu->vm;
	const uint32_t selector = run->qualification & 0xffff;
	const uint64_t base = tss_base(vm, selector), busy = 2ull << 40;
	struct tss *old, *new = test_at(vm, base);
	uint64_t left;
	int ret = vmx_field_get(vcpu->vmcs, VMX_F_GUEST_TR_SELECTOR, &left);

	old = test_at(vm, tss_base(vm, left));
	old->eip = run->rip + run->length;
	old->eflags = run->rflags;
	for (unsigned int n = 0; n < 8; n++) {
		old->regs[n] = run->regs[n];
		run->regs[n] = new->regs[n];
	}
	*entry(vm, VMX_GUEST_GDT, left / 8) &= ~busy;
	*entry(vm, VMX_GUEST_GDT, selector / 8) |= busy;
	run->rip = new->eip;
	run->rflags = new->eflags;
	run->cr3 = new->cr3;
	run->cr0 |= CR0_TS;
	run->dirty = VMX_STATE_RIP | VMX_STATE_RSP | VMX_STATE_RFLAGS | VMX_STATE_CR3 |
		     VMX_STATE_CR0;
	ret = ret ?: vmx_field_set(vcpu->vmcs, VMX_F_GUEST_TR_SELECTOR, selector);
	ret = ret ?: vmx_field_set(vcpu->vmcs, VMX_F_GUEST_TR_BASE, base);
	ret = ret ?: vmx_field_set(vcpu->vmcs, VMX_F_GUEST_TR_LIMIT, 0x67);
	return ret ?: pae && vm->caps.features & VMX_HAS_EPT ? load_pointers(vcpu, new->cr3) : 0;
}

/* SDM, "Exit Qualification for Task Switches": by a JMP. */
#define BY_JMP(selector)	((selector) | 2u << 30)

static void switch_tasks(struct __test_metadata *_metadata, struct vmx_vcpu *vcpu, bool pae)
{
	struct vmx_run_page *run = vcpu->run;
	const struct tss *first = test_at(vcpu->vm, VMX_GUEST_TSS);
	const struct tss *task = test_at(vcpu->vm, TASK_TSS);

	ASSERT_VMX(start_tasks(vcpu, pae));
	ASSERT_EXIT(vcpu, VMX_REASON_TASK_SWITCH);
	EXPECT_EQ(BY_JMP(TASK), run->qualification);
	EXPECT_EQ(first->cr3, run->cr3);
	EXPECT_EQ(1, run->regs[VMX_RAX]);
	ASSERT_VMX(switch_task(vcpu, pae));
	ASSERT_EXIT(vcpu, VMX_REASON_TASK_SWITCH);
	EXPECT_EQ(BY_JMP(VMX_GUEST_TR), run->qualification);
	EXPECT_EQ(task->cr3, run->cr3);
	EXPECT_EQ(CR0_TS, run->cr0 & CR0_TS);
	EXPECT_EQ(2 | (uint64_t)task->cr3 << 32, *entry(vcpu->vm, TASK_RESULT, 0));
	ASSERT_VMX(switch_task(vcpu, pae));
	ASSERT_EXIT(vcpu, VMX_REASON_VMCALL);
	EXPECT_EQ(1, run->regs[VMX_RBX]);
	EXPECT_EQ(first->cr3, run->regs[VMX_RCX]);
}

TEST_F(vm, task_switch)
{
	switch_tasks(_metadata, &self->vcpu, false);
}

TEST_F(vm, task_switch_with_pae)
{
	switch_tasks(_metadata, &self->vcpu, true);
}

VMX_TEST_MAIN
