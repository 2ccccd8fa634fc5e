// SPDX-License-Identifier: GPL-2.0
/* What the mode decides: where addresses wrap, which opcodes there are, alignment, and paging. */
#include "emulate_fixture.h"

/* More tables: these pages of RAM are otherwise unused. */
#define MORE		12
#define MORE_AT(n)	(4096ull * (MORE + (n)))

/* The last page below 4 GiB is the page of code; page 0 is absent. */
static void map_last_page(emulate_t *self, uint64_t gpa)
{
	*entry(self, 5, 3) = MORE_AT(0) | 7;
	*entry(self, MORE, 511) = MORE_AT(1) | 7;
	*entry(self, MORE + 1, 511) = gpa | 7;
}

static void compatibility_mode(emulate_t *self)
{
	self->run.cs_access = 0xc09b;
	self->run.rip = CODE;
}

/* SDM, "Paging and Canonical Addresses": outside of 64-bit mode there is nothing above 4 GiB. */
TEST_F(emulate, operands_wrap_at_4_gib)
{
	compatibility_mode(self);
	map_last_page(self, RAM_DATA);
	self->run.regs[VMX_RBX] = 0xfffffffc;
	ASSERT_EQ(0, EMULATE("\x89\x03"));			/* mov [ebx], eax */
	self->bases[3] = 0x1000;
	self->run.regs[VMX_RBX] = 0xffffeffe;
	expect_exception(_metadata, self, EMULATE("\x89\x03"), VECTOR_PF, PF_WRITE, 0);
	/* The page that linear address 0 is in. */
	*entry(self, 4, 0) = MORE_AT(2) | 7;
	*entry(self, MORE + 2, 0) = RAM_STACK | 7;
	self->run.regs[VMX_RAX] = 0x44332211;
	self->emulator.exception.cr2 = 0;
	ASSERT_EQ(0, EMULATE("\x89\x03"));
	EXPECT_EQ(0x2211, *(uint16_t *)(self->ram + RAM_DATA + 4094));
	EXPECT_EQ(0x4433, *(uint16_t *)(self->ram + RAM_STACK));
	/* The first byte already. */
	self->run.regs[VMX_RBX] = 0xfffff000;
	ASSERT_EQ(0, EMULATE("\x8a\x0b"));			/* mov cl, [ebx] */
	EXPECT_EQ(0x33, self->run.regs[VMX_RCX]);
}

TEST_F(emulate, code_wraps_at_4_gib)
{
	static const unsigned char code[] = { 0x89, 0x03 };

	compatibility_mode(self);
	map_last_page(self, RAM_CODE);
	self->run.regs[VMX_RBX] = DATA;
	memcpy(self->ram + RAM_CODE + 4095, code, 1);
	self->run.rip = 0xffffffff;
	expect_exception(_metadata, self, vmx_emulate(&self->emulator, &self->run), VECTOR_PF,
			 PF_FETCH, 0);
	*entry(self, 4, 0) = MORE_AT(2) | 7;
	*entry(self, MORE + 2, 0) = RAM_STACK | 7;
	memcpy(self->ram + RAM_STACK, code + 1, 1);
	self->run.inject_info = 0;
	ASSERT_EQ(0, vmx_emulate(&self->emulator, &self->run));
	EXPECT_EQ(1, self->writes);
	/* The base of CS, and a pointer with bits above those that count. */
	self->run.cs_base = 0x80000000;
	self->run.rip = 0xaaaaaaaa7fffffff;
	self->run.retire = 0;
	ASSERT_EQ(0, vmx_emulate(&self->emulator, &self->run));
	EXPECT_EQ(2, self->writes);
	EXPECT_EQ(1, self->run.retire);
	EXPECT_EQ(2, self->run.length);
}

/* The base of CS counts in no 64-bit mode. */
TEST_F(emulate, flat_code)
{
	self->run.cs_base = 0x1000;
	self->run.regs[VMX_RBX] = DATA;
	ASSERT_EQ(0, EMULATE("\x89\x03"));
	EXPECT_EQ(1, self->writes);
}

/* Opcode 63 is ARPL, which is none where there are no descriptors; ARPL is not emulated. */
TEST_F(emulate, opcodes_of_modes)
{
	self->run.cr0 = CR0_PE;
	self->run.efer = 0;
	self->run.cr4 = 0;
	self->run.rip = CODE;
	self->run.cs_base = (RAM_CODE - CODE) & UINT32_MAX;
	self->run.cs_access = 0x9b;
	EXPECT_EQ(-EOPNOTSUPP, EMULATE("\x63\x07"));
	self->run.rflags |= RFLAGS_VM;
	expect_exception(_metadata, self, EMULATE("\x63\x07"), VECTOR_UD, 0, 0);
	self->run.rflags &= ~RFLAGS_VM;
	self->run.cr0 = 0;
	expect_exception(_metadata, self, EMULATE("\x63\x07"), VECTOR_UD, 0, 0);
	self->run.cr0 = CR0_PE;
	self->run.cs_access = 0xc09b;
	EXPECT_EQ(-EOPNOTSUPP, EMULATE("\x63\x07"));
}

/* A stack of 16 bits wraps there, whatever the width of the code, and one of 32 bits does not. */
TEST_F(emulate, width_of_the_stack)
{
	compatibility_mode(self);
	self->bases[2] = DATA;
	self->run.regs[VMX_RSP] = 0xbbbb0000;
	self->run.regs[VMX_RAX] = 0x12345678;
	self->run.ss_access = 0x93;
	self->limits[2] = 0xffff;
	map(self, DATA + 0xf000, MMIO, 7);
	ASSERT_EQ(0, EMULATE("\x50"));				/* push eax */
	EXPECT_EQ(0xbbbbfffc, self->run.regs[VMX_RSP]);
	EXPECT_EQ(0x12345678, *(uint32_t *)(self->device + 0xffc));
	ASSERT_EQ(0, EMULATE("\x59"));				/* pop ecx */
	EXPECT_EQ(0xbbbb0000, self->run.regs[VMX_RSP]);
	EXPECT_EQ(0x12345678, self->run.regs[VMX_RCX]);
	self->run.ss_access = 0xc093;
	self->limits[2] = 0xffffffff;
	self->run.regs[VMX_RSP] = 0x10000;
	ASSERT_EQ(0, EMULATE("\x50"));
	EXPECT_EQ(0xfffc, self->run.regs[VMX_RSP]);
	/* Expand-down with 32 bits: to the last byte below 4 GiB. */
	self->access[3] = 0xc097;
	self->limits[3] = 0xfff;
	self->bases[3] = DATA + 4;
	self->run.regs[VMX_RBX] = 0xfffffffc;
	ASSERT_EQ(0, EMULATE("\x8b\x03"));
	EXPECT_EQ(0, self->run.regs[VMX_RAX]);
	self->run.regs[VMX_RBX] = 0xfffffffd;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_GP, 0, 0);
	/* And with 16 bits to 64 KiB. */
	self->access[3] = 0x0097;
	self->run.regs[VMX_RBX] = 0xfffc;
	self->bases[3] = DATA;
	ASSERT_EQ(0, EMULATE("\x8b\x03"));
	EXPECT_EQ(0x12345678, self->run.regs[VMX_RAX]);
}

/* SDM, "Interrupt 17": all of CR0.AM, RFLAGS.AC and CPL 3, and an operand that has an alignment. */
TEST_F(emulate, alignment_checks)
{
	const uint64_t cr0 = self->run.cr0 | CR0_AM;

	self->run.regs[VMX_RBX] = DATA + 3;
	self->run.cr0 = cr0;
	self->run.rflags |= RFLAGS_AC;
	EXPECT_EQ(0, EMULATE("\x8b\x03"));
	self->run.ss_access |= 2 << VMX_ACCESS_DPL_SHIFT;
	EXPECT_EQ(0, EMULATE("\x8b\x03"));
	self->run.ss_access |= VMX_ACCESS_DPL_MASK;
	self->run.cr0 &= ~CR0_AM;
	EXPECT_EQ(0, EMULATE("\x8b\x03"));
	self->run.cr0 = cr0;
	self->run.rflags &= ~RFLAGS_AC;
	EXPECT_EQ(0, EMULATE("\x8b\x03"));
	self->run.rflags |= RFLAGS_AC;
	EXPECT_EQ(0, EMULATE("\x8a\x03"));
	EXPECT_EQ(0, EMULATE("\x0f\x10\x03"));			/* movups */
	expect_exception(_metadata, self, EMULATE("\x66\x8b\x03"), VECTOR_AC, 0, 0);
	self->run.regs[VMX_RBX] = DATA + 4;
	EXPECT_EQ(0, EMULATE("\x8b\x03"));
	expect_exception(_metadata, self, EMULATE("\x48\x8b\x03"), VECTOR_AC, 0, 0);
	self->run.regs[VMX_RBX] = DATA + 8;
	EXPECT_EQ(0, EMULATE("\x48\x8b\x03"));
}

/* Five levels of paging have 57 bits of linear address. */
TEST_F(emulate, canonical_addresses)
{
	*entry(self, MORE, 0) = TABLES | 7;
	self->run.regs[VMX_RBX] = 0xffff800000000000 - 1;
	expect_exception(_metadata, self, EMULATE("\x8a\x03"), VECTOR_GP, 0, 0);
	self->run.regs[VMX_RBX] = 0xffff800000000000;
	expect_exception(_metadata, self, EMULATE("\x8a\x03"), VECTOR_PF, 0, 0xffff800000000000);
	self->emulator.exception.cr2 = 0;
	self->run.regs[VMX_RBX] = 0x7ffffffffffd;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_GP, 0, 0);
	self->run.cr4 |= CR4_LA57;
	self->run.cr3 = MORE_AT(0);
	self->run.regs[VMX_RBX] = 0x00ffffffffffffff;
	expect_exception(_metadata, self, EMULATE("\x8a\x03"), VECTOR_PF, 0, 0x00ffffffffffffff);
	self->emulator.exception.cr2 = 0;
	self->run.regs[VMX_RBX] = 0x0100000000000000;
	expect_exception(_metadata, self, EMULATE("\x8a\x03"), VECTOR_GP, 0, 0);
}

/* FS and GS in 64-bit mode have bases and no limits, and their sum has to be canonical. */
TEST_F(emulate, sums_of_fs_and_gs)
{
	self->bases[5] = DATA;
	self->limits[5] = 0;
	self->access[5] = VMX_ACCESS_UNUSABLE;
	self->run.regs[VMX_RBX] = 8;
	EXPECT_EQ(0, EMULATE("\x65\x8a\x03"));			/* mov al, gs:[rbx] */
	self->bases[5] = 0x7fffffffffff;
	expect_exception(_metadata, self, EMULATE("\x65\x8a\x03"), VECTOR_GP, 0, 0);
}

/* Without 'load EFER' the VM-entry controls tell the mode: here not IA-32e mode. */
static int no_controls(void *machine, uint32_t number, uint64_t *value)
{
	if (number != VMX_F_ENTRY_CONTROLS)
		return field(machine, number, value);
	*value = ~(uint64_t)VMX_ENTRY_CTL_IA32E_MODE_GUEST;
	return 0;
}

/* PAE paging goes by the PDPTEs that the VMCS has, whatever is in memory by now. */
static int pdptes(void *machine, uint32_t number, uint64_t *value)
{
	emulate_t *self = machine;

	if (number < VMX_F_GUEST_PDPTE0 || number > VMX_F_GUEST_PDPTE0 + 6)
		return no_controls(machine, number, value);
	self->field_reads++;
	*value = number == VMX_F_GUEST_PDPTE0 ? MORE_AT(0) | 1 :
		 number == VMX_F_GUEST_PDPTE0 + 6 ? MORE_AT(1) | 1 : 0;
	return 0;
}

TEST_F(emulate, pdptes_of_the_vmcs)
{
	struct vmx_emulator_ops some = ops;

	some.field = pdptes;
	self->emulator.ops = &some;
	self->run.efer = 0;
	self->run.cr4 = CR4_PAE;
	self->run.cr3 = MORE_AT(3);
	compatibility_mode(self);
	*entry(self, MORE, CODE >> 21) = (TABLES + 4096 * 2) | 7;
	*entry(self, MORE + 1, 0) = MORE_AT(2) | 7;
	*entry(self, MORE + 2, 0) = MMIO | 7;
	self->run.regs[VMX_RBX] = 0xc0000000;
	ASSERT_EQ(0, EMULATE("\x89\x03"));
	EXPECT_EQ(1, self->writes);
	self->run.regs[VMX_RBX] = 0x40000000;
	expect_exception(_metadata, self, EMULATE("\x89\x03"), VECTOR_PF, PF_WRITE, 0x40000000);
	/* Where the module has them in no field, those in memory count. */
	some.field = no_controls;
	self->emulator.exception.cr2 = 0;
	*entry(self, MORE + 3, 0) = MORE_AT(0) | 1;
	*entry(self, MORE + 3, 1) = MORE_AT(1) | 1;
	ASSERT_EQ(0, EMULATE("\x89\x03"));
	EXPECT_EQ(2, self->writes);
}

/* Paging of 32 bits has none; 64-bit mode reads all of its tables. */
TEST_F(emulate, pdptes_are_of_pae_paging)
{
	struct vmx_emulator_ops some = ops;

	some.field = pdptes;
	self->emulator.ops = &some;
	self->run.regs[VMX_RBX] = DATA;
	ASSERT_EQ(0, EMULATE("\x89\x03"));
	EXPECT_EQ(0, self->field_reads);
	/* A directory with a page of 4 MiB for code, and with one for the device. */
	compatibility_mode(self);
	self->run.efer = 0;
	self->run.cr4 = CR4_PSE;
	self->run.cr3 = MORE_AT(0);
	memset(self->ram + MORE_AT(0), 0, 4096);
	*((uint32_t *)(self->ram + MORE_AT(0)) + (CODE >> 22)) = 0x87;
	*((uint32_t *)(self->ram + MORE_AT(0)) + (DATA >> 22)) = MMIO | 0x87;
	memcpy(self->ram + RAM_CODE, "\x89\x03", 2);
	self->run.rip = CODE + RAM_CODE;
	ASSERT_EQ(0, vmx_emulate(&self->emulator, &self->run));
	EXPECT_EQ(2, self->writes);
	/* That of the data segment: base, limit and access. */
	EXPECT_EQ(3, self->field_reads);
}

/* A page that may be read may not be written for that, nor is it dirty. */
TEST_F(emulate, reads_allow_no_writes)
{
	map(self, DATA, MMIO, 5);
	self->run.regs[VMX_RSI] = DATA;
	self->run.regs[VMX_RDI] = DATA + 64;
	self->run.regs[VMX_RCX] = 2;
	expect_exception(_metadata, self, EMULATE("\xf3\xa4"), VECTOR_PF, PF_PRESENT | PF_WRITE,
			 DATA + 64);
	EXPECT_EQ(0, self->reads);
	map(self, DATA, MMIO, 7);
	ASSERT_EQ(0, EMULATE("\xf3\xae"));			/* repe scasb */
	EXPECT_EQ(0, *entry(self, 1, 0) & 0x40);
	self->run.regs[VMX_RDI] = DATA + 64;
	self->run.regs[VMX_RCX] = 2;
	ASSERT_EQ(0, EMULATE("\xf3\xa4"));
	EXPECT_EQ(0x40, *entry(self, 1, 0) & 0x40);
}

/* Another CPU that changes tables all the time: the guest executes the instruction again. */
static void *changing(void *machine, uint64_t gpa, size_t length, bool write)
{
	emulate_t *self = machine;

	if (write && gpa < RAM_CODE)
		self->ram[gpa + 1] ^= 2;
	return host(machine, gpa, length, write);
}

TEST_F(emulate, tables_that_do_not_hold_still)
{
	struct vmx_emulator_ops some = ops;
	struct vmx_run_page before;

	some.host = changing;
	self->emulator.ops = &some;
	self->run.regs[VMX_RBX] = DATA;
	self->run.regs[VMX_RSP] = STACK + 64;
	before = self->run;
	ASSERT_EQ(0, EMULATE("\x8f\x03"));			/* pop [rbx] */
	EXPECT_EQ(0, self->run.retire);
	EXPECT_EQ(0, self->run.inject_info);
	EXPECT_EQ(0, self->run.dirty);
	EXPECT_EQ(0, memcmp(before.regs, self->run.regs, sizeof(before.regs)));
	EXPECT_EQ(0, self->reads + self->writes);
	self->emulator.ops = &ops;
	ASSERT_EQ(0, EMULATE("\x8f\x03"));
	EXPECT_EQ(1, self->run.retire);
	EXPECT_EQ(STACK + 72, self->run.regs[VMX_RSP]);
}

/* A guest of 32 bits, whatever CS says. */
TEST_F(emulate, without_efer_and_without_ia32e_mode)
{
	struct vmx_emulator_ops some = ops;

	some.field = no_controls;
	self->emulator.ops = &some;
	self->run.cs_access = 0xe09b;
	self->run.efer = 0;
	self->run.cr3 = MORE_AT(3);
	*entry(self, MORE + 3, 0) = MORE_AT(0) | 1;
	*entry(self, MORE, CODE >> 21) = (TABLES + 4096 * 2) | 7;
	*entry(self, MORE, DATA >> 21) = (TABLES + 4096 * 1) | 7;
	self->run.regs[VMX_RAX] = 0x100000000;
	self->run.regs[VMX_RBX] = DATA;
	ASSERT_EQ(0, EMULATE("\x48"));				/* dec eax; REX.W in 64-bit mode */
	EXPECT_EQ(0xffffffff, self->run.regs[VMX_RAX]);
	ASSERT_EQ(0, EMULATE("\x89\x03"));
	EXPECT_EQ(1, self->writes);
	EXPECT_EQ(4, self->last_size);
}

TEST_HARNESS_MAIN
