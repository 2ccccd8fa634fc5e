// SPDX-License-Identifier: GPL-2.0
/* Task switches: what VM entry insists on, whatever fails, and the new task's address space. */
#define _GNU_SOURCE
#include "vcpu_fixture.h"

#include <libvmx/debugger.h>

#define GDT		0x1000
#define OLD_TSS		0x2000
#define NEW_TSS		0x3000
#define TABLES		0x4000	/* PAE: directory pointers, directory, page table */
#define OTHER_TABLES	0x8000	/* the same, but that the GDT is OTHER_GDT */
#define OTHER_GDT	0xc000

/* Selectors. */
#define CODE		0x08
#define DATA		0x10
#define OLD		0x18
#define NEW		0x20
#define USER_CODE	0x2b
#define NOTHING		0x60	/* beyond the GDT */

/* Access rights of virtual-8086 mode's segments. */
#define V86		0xf3

#define BY_CALL		(0ull << 30)
#define BY_GATE		(3ull << 30)

struct tss {
	uint32_t link, stacks[6], cr3, eip, eflags, regs[8], segments[6], ldtr, io_map;
};

static void *at(exits_t *self, uint64_t gpa)
{
	return (char *)self->machine.memory.ram + gpa;
}

static uint64_t descriptor(uint32_t base, uint32_t limit, uint64_t access)
{
	return (limit & 0xffff) | (base & 0xffffffull) << 16 | access << 40 |
	       (uint64_t)(limit & 0xf0000) << 32;
}

/* Maps all of RAM to itself, NEW_TSS read-only. */
static void write_tables(exits_t *self, uint32_t tables, uint64_t gdt)
{
	uint64_t *pages = at(self, tables + 0x2000);

	*(uint64_t *)at(self, tables) = (tables + 0x1000) | PAGE_PRESENT;
	*(uint64_t *)at(self, tables + 0x1000) = (tables + 0x2000) | PAGE_PRESENT | PAGE_WRITE;
	for (unsigned int n = 0; n < RAM >> 12; n++)
		pages[n] = n << 12 | PAGE_PRESENT | (n == NEW_TSS >> 12 ? 0 : PAGE_WRITE);
	pages[GDT >> 12] = gdt | PAGE_PRESENT | PAGE_WRITE;
}

static uint64_t *gdt_entry(exits_t *self, uint16_t selector)
{
	return (uint64_t *)at(self, GDT) + selector / 8;
}

static struct tss *new_tss(exits_t *self)
{
	return at(self, NEW_TSS);
}

/* An exit whose task switch nothing is wrong with. */
static void prepare(exits_t *self)
{
	exit_at(self, VMX_REASON_INTERRUPT_WINDOW, 0);
	memset(self->machine.memory.ram, 0, RAM);
	self->machine.vm.caps.phys_bits = 36;
	*gdt_entry(self, CODE) = descriptor(0, 0xfffff, ACCESS_CODE32);
	*gdt_entry(self, DATA) = descriptor(0, 0xfffff, ACCESS_DATA32);
	*gdt_entry(self, OLD) = descriptor(OLD_TSS, 0x67, 0x8b);
	*gdt_entry(self, NEW) = descriptor(NEW_TSS, 0x67, 0x89);
	*gdt_entry(self, USER_CODE) = descriptor(0, 0xfffff, ACCESS_CODE32 | VMX_ACCESS_DPL_MASK);
	*new_tss(self) = (struct tss){
		.eflags = RFLAGS_FIXED, .segments = { DATA, CODE, DATA, DATA, 0, 0 },
	};
	vmcs[VMX_F_GUEST_GDTR_BASE] = GDT;
	vmcs[VMX_F_GUEST_GDTR_LIMIT] = 0x5f;
	vmcs[VMX_F_GUEST_TR_SELECTOR] = OLD;
	vmcs[VMX_F_GUEST_TR_BASE] = OLD_TSS;
	vmcs[VMX_F_GUEST_TR_ACCESS] = ACCESS_TSS;
	vmcs[VMX_F_GUEST_CS_SELECTOR] = CODE;
	vmcs[VMX_F_GUEST_SS_SELECTOR] = DATA;
	self->run->cr0 = CR0_PE;
	self->run->efer = 0;
	self->run->rflags = RFLAGS_FIXED;
}

static void use_paging(exits_t *self)
{
	write_tables(self, TABLES, GDT);
	vmcs[VMX_F_GUEST_PDPTE0] = (TABLES + 0x1000) | PAGE_PRESENT;
	self->run->cr0 |= CR0_PG | CR0_WP;
	self->run->cr3 = TABLES;
	self->run->cr4 = CR4_PAE;
	new_tss(self)->cr3 = TABLES;
}

static int switch_to(exits_t *self, uint64_t origin)
{
	self->run->reason = VMX_REASON_TASK_SWITCH;
	self->run->qualification = origin | NEW;
	vmcs[VMX_F_GUEST_CR0] = self->run->cr0;
	vmcs[VMX_F_GUEST_RFLAGS] = self->run->rflags;
	return vmx_cpu_exit(self->cpu);
}

static int injected(const exits_t *self)
{
	return self->run->inject_info & VMX_INTR_VALID ?
	       (int)(self->run->inject_info & VMX_INTR_VECTOR_MASK) : -1;
}

/* The CALL is executed again after its page fault, and must not find its task busy. */
TEST_F(exits, a_page_fault_at_the_link)
{
	prepare(self);
	use_paging(self);
	ASSERT_EQ(0, switch_to(self, BY_CALL));
	EXPECT_EQ(VECTOR_PF, injected(self));
	EXPECT_EQ(NEW_TSS, self->run->cr2);
	EXPECT_EQ(PF_PRESENT | PF_WRITE, self->run->inject_error);
	EXPECT_EQ(0x89, *gdt_entry(self, NEW) >> 40 & 0xff);
	EXPECT_EQ(OLD, vmcs[VMX_F_GUEST_TR_SELECTOR]);
}

/* The new task's segments come out of its own address space. */
TEST_F(exits, another_address_space)
{
	uint64_t *gdt = at(self, OTHER_GDT);

	prepare(self);
	use_paging(self);
	write_tables(self, OTHER_TABLES, OTHER_GDT);
	((uint64_t *)at(self, TABLES + 0x2000))[NEW_TSS >> 12] |= PAGE_WRITE;
	memcpy(gdt, at(self, GDT), 0x60);
	gdt[CODE / 8] = descriptor(0, 0x12345, ACCESS_CODE32 & ~VMX_ACCESS_G);
	new_tss(self)->cr3 = OTHER_TABLES;
	ASSERT_EQ(0, switch_to(self, BY_CALL));
	EXPECT_EQ(-1, injected(self));
	EXPECT_EQ(OTHER_TABLES, vmcs[VMX_F_GUEST_CR3]);
	EXPECT_EQ(0x12345, vmcs[VMX_F_GUEST_CS_LIMIT]);
}

/* VM entry wants the granularity of a TSS that has more than a MiB. */
TEST_F(exits, a_large_tss)
{
	prepare(self);
	*gdt_entry(self, NEW) = descriptor(NEW_TSS, 0x1ff, 0x89 | VMX_ACCESS_G);
	ASSERT_EQ(0, switch_to(self, BY_CALL));
	EXPECT_EQ(-1, injected(self));
	EXPECT_EQ(0x1fffff, vmcs[VMX_F_GUEST_TR_LIMIT]);
	EXPECT_EQ(0x8b | VMX_ACCESS_G, vmcs[VMX_F_GUEST_TR_ACCESS]);
}

/* Another NMI has to wait: VM entry fails if one is injected while they are blocked. */
TEST_F(exits, an_nmi_that_came_by_a_gate)
{
	prepare(self);
	self->run->idt_info = VMX_INTR_VALID | VMX_INTR_TYPE_NMI | VECTOR_NMI;
	ASSERT_EQ(0, switch_to(self, BY_GATE));
	EXPECT_EQ(VMX_BLOCKING_BY_NMI, vmcs[VMX_F_GUEST_INTERRUPTIBILITY]);
	EXPECT_EQ(VMX_BLOCKING_BY_NMI, self->run->interruptibility);
}

/* The guest's local breakpoints end; a debugger's stay. */
TEST_F(exits, local_breakpoints)
{
	const uint64_t dr7 = DR7_DEFAULT | 0x3ff;
	struct vmx_debugger debugger = { .attached = true };

	prepare(self);
	vmcs[VMX_F_GUEST_DR7] = dr7;
	ASSERT_EQ(0, switch_to(self, BY_CALL));
	EXPECT_EQ(dr7 & ~DR7_LOCAL, vmcs[VMX_F_GUEST_DR7]);

	prepare(self);
	self->machine.debugger = &debugger;
	debugger.cpus[0].dr7 = dr7;
	vmcs[VMX_F_GUEST_DR7] = DR7_DEFAULT | 1;
	ASSERT_EQ(0, switch_to(self, BY_CALL));
	EXPECT_EQ(DR7_DEFAULT | 1, vmcs[VMX_F_GUEST_DR7]);
	EXPECT_EQ(dr7 & ~DR7_LOCAL, debugger.cpus[0].dr7);
}

/* VM entry compares the privilege levels of CS and SS, so a fault between them changes neither. */
TEST_F(exits, code_without_a_stack)
{
	prepare(self);
	new_tss(self)->segments[1] = USER_CODE;
	new_tss(self)->segments[2] = NOTHING;
	ASSERT_EQ(0, switch_to(self, BY_CALL));
	EXPECT_EQ(VECTOR_TS, injected(self));
	EXPECT_EQ(NOTHING, self->run->inject_error);
	EXPECT_EQ(CODE, vmcs[VMX_F_GUEST_CS_SELECTOR]);
	EXPECT_EQ(DATA, vmcs[VMX_F_GUEST_SS_SELECTOR]);
}

/* The segments of virtual-8086 mode and RFLAGS.VM go together, whatever fails. */
TEST_F(exits, virtual_8086_mode)
{
	static const struct {
		uint32_t from, to;
		bool fails;
	} tries[] = {
		{ RFLAGS_VM, 0, false }, { RFLAGS_VM, 0, true }, { 0, RFLAGS_VM, false },
		{ 0, RFLAGS_VM, true },
	};

	for (size_t n = 0; n < COUNT(tries); n++) {
		const uint32_t now = tries[n].fails ? tries[n].from : tries[n].to;

		prepare(self);
		self->run->rflags |= tries[n].from;
		new_tss(self)->eflags |= tries[n].to;
		new_tss(self)->ldtr = tries[n].fails ? NOTHING : 0;
		vmcs[VMX_F_GUEST_CS_ACCESS] = tries[n].from ? V86 : ACCESS_CODE32;
		ASSERT_EQ(0, switch_to(self, BY_CALL));
		EXPECT_EQ(tries[n].fails ? VECTOR_TS : -1, injected(self));
		EXPECT_EQ(now, vmcs[VMX_F_GUEST_RFLAGS] & RFLAGS_VM) { TH_LOG("case %zu", n); }
		EXPECT_EQ(now ? V86 : ACCESS_CODE32, vmcs[VMX_F_GUEST_CS_ACCESS]);
	}
}

TEST_HARNESS_MAIN
