// SPDX-License-Identifier: GPL-2.0
/* Exceptions that emulated instructions raise, and what is not emulated at all. */
#include "emulate_fixture.h"

TEST_F(emulate, page_faults)
{
	self->run.regs[VMX_RBX] = ABSENT;
	self->run.regs[VMX_RSI] = DATA;
	self->run.regs[VMX_RDI] = ABSENT + 1;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_PF, 0, ABSENT);
	expect_exception(_metadata, self, EMULATE("\x01\x03"), VECTOR_PF, PF_WRITE, ABSENT);
	/* The device was not read before the fault. */
	expect_exception(_metadata, self, EMULATE("\xa4"), VECTOR_PF, PF_WRITE, ABSENT + 1);
	EXPECT_EQ(0, self->reads);
	EXPECT_EQ(DATA, self->run.regs[VMX_RSI]);
	/* The second page of two. */
	map(self, DATA + 4096, MMIO + 4096, 5);
	self->run.regs[VMX_RBX] = DATA + 4094;
	expect_exception(_metadata, self, EMULATE("\x01\x03"), VECTOR_PF, PF_PRESENT | PF_WRITE,
			 DATA + 4096);
	EXPECT_EQ(0, self->reads + self->writes);
	/* At CPL 3. */
	map(self, DATA, MMIO, 3);
	self->run.ss_access |= VMX_ACCESS_DPL_MASK;
	self->run.regs[VMX_RBX] = DATA;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_PF, PF_PRESENT | PF_USER,
			 DATA);
	/* The code itself. */
	map(self, CODE + 4096, RAM_CODE + 4096, 3);
	self->run.rip = CODE + 4095;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_PF,
			 PF_PRESENT | PF_USER | PF_FETCH, CODE + 4096);
}

TEST_F(emulate, other_exceptions)
{
	self->run.regs[VMX_RBX] = 0x800000000000;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_GP, 0, 0);
	self->run.regs[VMX_RBP] = 0x7fffffffffff;
	expect_exception(_metadata, self, EMULATE("\x8b\x45\x00"), VECTOR_SS, 0, 0);
	expect_exception(_metadata, self, EMULATE("\xf0\x8b\x03"), VECTOR_UD, 0, 0);
	/* 16 bytes. */
	expect_exception(_metadata, self, EMULATE("\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e"
			 "\x2e\x2e\x2e\x2e\x2e\x2e\x8b\x03"), VECTOR_GP, 0, 0);
	/* CMPXCHG16B and MOVAPS insist on alignment. */
	self->run.regs[VMX_RBX] = DATA + 8;
	expect_exception(_metadata, self, EMULATE("\x48\x0f\xc7\x0b"), VECTOR_GP, 0, 0);
	expect_exception(_metadata, self, EMULATE("\x0f\x28\x03"), VECTOR_GP, 0, 0);
	self->run.cr0 |= CR0_AM;
	self->run.rflags |= RFLAGS_AC;
	self->run.ss_access |= VMX_ACCESS_DPL_MASK;
	self->run.regs[VMX_RBX] = DATA + 2;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_AC, 0, 0);
}

TEST_F(emulate, what_cannot_be_emulated_is_named)
{
	struct vmx_emulator_ops poor = ops;

	self->run.regs[VMX_RBX] = DATA;
	EXPECT_EQ(-EOPNOTSUPP, EMULATE("\xc5\xfc\x10\x03"));	/* vmovups ymm0, [rbx] */
	EXPECT_NE(NULL, strstr(vmx_error(), "c5 fc 10 03 (vmovups ymm0"));
	EXPECT_EQ(-EOPNOTSUPP, EMULATE("\xdd\x03"));		/* fld */
	EXPECT_EQ(-EOPNOTSUPP, EMULATE("\x8e\x03"));		/* mov es, [rbx] */
	EXPECT_EQ(-EOPNOTSUPP, EMULATE("\x0f\x6f\x03"));		/* movq mm0, [rbx] */
	EXPECT_EQ(-EOPNOTSUPP, EMULATE("\x0f\x20\xc0"));		/* mov rax, cr0 */
	poor.xmm = NULL;
	self->emulator.ops = &poor;
	EXPECT_EQ(-EOPNOTSUPP, EMULATE("\x0f\x10\x03"));
	EXPECT_EQ(0, self->reads + self->writes);
	EXPECT_EQ(0, self->run.retire);
	EXPECT_EQ(0, self->run.dirty);
	/* Code in MMIO. */
	self->run.rip = DATA;
	EXPECT_EQ(-EOPNOTSUPP, vmx_emulate(&self->emulator, &self->run));
	EXPECT_NE(NULL, strstr(vmx_error(), "not in RAM"));
	/* An event that was being delivered is no instruction. */
	self->run.inject_info = VMX_INTR_VALID | 0x20;
	EXPECT_EQ(-EOPNOTSUPP, vmx_emulate(&self->emulator, &self->run));
	self->run.valid = 0;
	EXPECT_EQ(-EINVAL, vmx_emulate(&self->emulator, &self->run));
}

TEST_HARNESS_MAIN
