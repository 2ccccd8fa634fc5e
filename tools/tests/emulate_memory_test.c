// SPDX-License-Identifier: GPL-2.0
/* Operands in devices, by segments and in every mode; code that is fetched in parts. */
#include "emulate_fixture.h"

/* Devices see one access of the operand's size, and none for a write only. */
TEST_F(emulate, devices_see_what_the_guest_does)
{
	self->run.regs[VMX_RBX] = DATA;
	self->run.regs[VMX_RAX] = 0x8877665544332211;
	ASSERT_EQ(0, EMULATE("\x89\x03"));			/* mov [rbx], eax */
	EXPECT_EQ(0, self->reads);
	EXPECT_EQ(1, self->writes);
	EXPECT_EQ(4, self->last_size);
	EXPECT_EQ(0x44332211, *(uint32_t *)self->device);
	ASSERT_EQ(0, EMULATE("\x48\x8b\x0b"));		/* mov rcx, [rbx] */
	EXPECT_EQ(0x44332211, self->run.regs[VMX_RCX]);
	EXPECT_EQ(1, self->reads);
	EXPECT_EQ(8, self->last_size);
	ASSERT_EQ(0, EMULATE("\xf0\x80\x0b\x80"));		/* lock or byte [rbx], 0x80 */
	EXPECT_EQ(2, self->reads);
	EXPECT_EQ(2, self->writes);
	EXPECT_EQ(1, self->last_size);
	EXPECT_EQ(0x91, self->device[0]);
	ASSERT_EQ(0, EMULATE("\x85\x03"));			/* test [rbx], eax */
	EXPECT_EQ(2, self->writes);
	EXPECT_EQ(4, self->run.length * 2);
	EXPECT_EQ(CODE, self->run.rip);
	/* Flat segments of 64-bit mode are not asked for. */
	EXPECT_EQ(0, self->field_reads);
}

/* The guest may have page tables there. */
TEST_F(emulate, ram_that_is_written_is_told_of)
{
	memcpy(self->device, "abcdefgh", 8);
	self->run.regs[VMX_RSI] = DATA;
	self->run.regs[VMX_RDI] = STACK + 8;
	ASSERT_EQ(0, EMULATE("\x48\xa5"));			/* movsq */
	EXPECT_EQ(1, self->told);
	EXPECT_EQ(RAM_STACK + 8, self->told_gpa);
	EXPECT_EQ(0, memcmp(self->told_bytes, "abcdefgh", 8));
	/* Each page of two; then those of a string, as far as it gets. */
	map(self, DATA + 4096, RAM_DATA, 7);
	map(self, DATA + 8192, RAM_DATA + 4096, 7);
	self->run.regs[VMX_RSI] = DATA;
	self->run.regs[VMX_RDI] = DATA + 8192 - 3;
	ASSERT_EQ(0, EMULATE("\x48\xa5"));
	EXPECT_EQ(3, self->told);
	EXPECT_EQ(RAM_DATA + 4096, self->told_gpa);
	EXPECT_EQ(0, memcmp(self->told_bytes, "defgh", 5));
	self->run.regs[VMX_RSI] = DATA;
	self->run.regs[VMX_RCX] = 3;
	ASSERT_EQ(0, EMULATE("\xf3\xa4"));			/* rep movsb */
	EXPECT_EQ(6, self->told);
	/* Neither what a device gets nor what is read. */
	self->run.regs[VMX_RSI] = STACK + 8;
	self->run.regs[VMX_RDI] = DATA;
	ASSERT_EQ(0, EMULATE("\x48\xa5"));
	EXPECT_EQ(6, self->told);
	EXPECT_EQ(1, self->writes);
}

/* What may not be written there goes to a device; what is read does not. */
TEST_F(emulate, rom_is_read)
{
	self->rom = RAM_STACK;
	memcpy(self->ram + RAM_STACK, "abcdefgh", 8);
	self->run.regs[VMX_RSI] = STACK;
	self->run.regs[VMX_RDI] = DATA;
	ASSERT_EQ(0, EMULATE("\x48\xa5"));			/* movsq */
	EXPECT_EQ(0, memcmp(self->device, "abcdefgh", 8));
	EXPECT_EQ(0, self->reads);
	EXPECT_EQ(1, self->writes);
	self->run.regs[VMX_RSI] = DATA;
	self->run.regs[VMX_RDI] = STACK + 8;
	ASSERT_EQ(0, EMULATE("\x48\xa5"));
	EXPECT_EQ(2, self->writes);
	EXPECT_EQ(0, self->told);
	EXPECT_EQ(0, *(uint64_t *)(self->ram + RAM_STACK + 8));
}

/* What PUSH has of RSP is what it was before (SDM, "PUSH"). */
TEST_F(emulate, push_of_rsp)
{
	self->run.regs[VMX_RSP] = DATA + 64;
	ASSERT_EQ(0, EMULATE("\x54"));				/* push rsp */
	EXPECT_EQ(DATA + 64, *(uint64_t *)(self->device + 56));
	EXPECT_EQ(DATA + 56, self->run.regs[VMX_RSP]);
}

/* An address that POP uses RSP for has it as it is then (SDM, "POP"). */
TEST_F(emulate, pop_beside_the_stack)
{
	memcpy(self->device, "abcdefgh", 8);
	self->run.regs[VMX_RSP] = DATA;
	ASSERT_EQ(0, EMULATE("\x8f\x44\x24\x08"));		/* pop qword [rsp + 8] */
	EXPECT_EQ(0, memcmp(self->device + 16, "abcdefgh", 8));
	EXPECT_EQ(0, self->device[8]);
	EXPECT_EQ(DATA + 8, self->run.regs[VMX_RSP]);
}

TEST_F(emulate, xmm_registers)
{
	uint8_t old[16];

	for (unsigned int n = 0; n < 64; n++)
		self->device[n] = n;
	memset(self->xmm, 0xee, sizeof(self->xmm));
	self->run.regs[VMX_RBX] = DATA + 16;
	ASSERT_EQ(0, EMULATE("\x66\x44\x0f\x6f\x0b"));	/* movdqa xmm9, [rbx] */
	EXPECT_EQ(0, memcmp(self->device + 16, self->xmm[9], 16));
	EXPECT_EQ(2, self->reads);
	EXPECT_EQ(8, self->last_size);
	ASSERT_EQ(0, EMULATE("\xf3\x0f\x7e\x03"));		/* movq xmm0, [rbx] */
	memset(old, 0, 16);
	memcpy(old, self->device + 16, 8);
	EXPECT_EQ(0, memcmp(old, self->xmm[0], 16));
	ASSERT_EQ(0, EMULATE("\x44\x0f\x11\x4b\x21"));		/* movups [rbx + 33], xmm9 */
	EXPECT_EQ(0, memcmp(self->device + 16, self->device + 49, 16));
	ASSERT_EQ(0, EMULATE("\xf2\x0f\x10\x03"));		/* movsd xmm0, [rbx] */
	EXPECT_EQ(0, memcmp(old, self->xmm[0], 16));
	/* Halves: the other one stays, or is not stored. */
	ASSERT_EQ(0, EMULATE("\x0f\x16\x03"));			/* movhps xmm0, [rbx] */
	memcpy(old + 8, self->device + 16, 8);
	EXPECT_EQ(0, memcmp(old, self->xmm[0], 16));
	memcpy(self->xmm[1], self->device + 32, 16);
	ASSERT_EQ(0, EMULATE("\x66\x0f\x12\x0b"));		/* movlpd xmm1, [rbx] */
	EXPECT_EQ(0, memcmp(self->device + 16, self->xmm[1], 8));
	EXPECT_EQ(0, memcmp(self->device + 40, self->xmm[1] + 8, 8));
	self->writes = 0;
	ASSERT_EQ(0, EMULATE("\x0f\x17\x4b\x60"));		/* movhps [rbx + 96], xmm1 */
	EXPECT_EQ(0, memcmp(self->device + 40, self->device + 112, 8));
	EXPECT_EQ(1, self->writes);
}

/* What each instruction moves: BYTES of memory from or to byte AT of a register. */
static const struct sse {
	const char *load, *store;	/* with xmm2 and [rbx] */
	unsigned int bytes, at;
	bool aligned;
} all_sse[] = {
	{ "\x66\x0f\x6e\x13", "\x66\x0f\x7e\x13", 4, 0, false },	/* movd */
	{ "\xf3\x0f\x7e\x13", "\x66\x0f\xd6\x13", 8, 0, false },	/* movq */
	{ "\xf3\x0f\x10\x13", "\xf3\x0f\x11\x13", 4, 0, false },	/* movss */
	{ "\xf2\x0f\x10\x13", "\xf2\x0f\x11\x13", 8, 0, false },	/* movsd */
	{ "\x0f\x10\x13", "\x0f\x11\x13", 16, 0, false },		/* movups */
	{ "\x66\x0f\x10\x13", "\x66\x0f\x11\x13", 16, 0, false },	/* movupd */
	{ "\xf3\x0f\x6f\x13", "\xf3\x0f\x7f\x13", 16, 0, false },	/* movdqu */
	{ "\xf2\x0f\xf0\x13", NULL, 16, 0, false },			/* lddqu */
	{ "\x0f\x28\x13", "\x0f\x29\x13", 16, 0, true },		/* movaps */
	{ "\x66\x0f\x28\x13", "\x66\x0f\x29\x13", 16, 0, true },	/* movapd */
	{ "\x66\x0f\x6f\x13", "\x66\x0f\x7f\x13", 16, 0, true },	/* movdqa */
	{ NULL, "\x0f\x2b\x13", 16, 0, true },			/* movntps */
	{ NULL, "\x66\x0f\x2b\x13", 16, 0, true },			/* movntpd */
	{ NULL, "\x66\x0f\xe7\x13", 16, 0, true },			/* movntdq */
	{ "\x66\x0f\x38\x2a\x13", NULL, 16, 0, true },		/* movntdqa */
	{ "\x0f\x12\x13", "\x0f\x13\x13", 8, 0, false },		/* movlps */
	{ "\x66\x0f\x12\x13", "\x66\x0f\x13\x13", 8, 0, false },	/* movlpd */
	{ "\x0f\x16\x13", "\x0f\x17\x13", 8, 8, false },		/* movhps */
	{ "\x66\x0f\x16\x13", "\x66\x0f\x17\x13", 8, 8, false },	/* movhpd */
};

/* MOVLPx and MOVHPx leave the other half; all others clear what they do not load. */
static bool keeps_the_rest(const struct sse *sse)
{
	const char *opcode = sse->load + (sse->load[0] == 0x66);

	return opcode[1] == 0x12 || opcode[1] == 0x16;
}

TEST_F(emulate, xmm_registers_of_each_kind)
{
	for (size_t n = 0; n < sizeof(all_sse) / sizeof(all_sse[0]); n++) {
		const struct sse *sse = &all_sse[n];
		uint8_t want[32];

		for (unsigned int odd = 0; odd < 2; odd++) {
			bool refused = odd && sse->aligned;

			self->run.regs[VMX_RBX] = DATA + 16 + odd;
			for (unsigned int i = 0; i < 64; i++)
				self->device[i] = i;
			memset(self->xmm, 0xee, sizeof(self->xmm));
			if (sse->load && refused) {
				expect_exception(_metadata, self,
						 emulate(self, sse->load, strlen(sse->load)),
						 VECTOR_GP, 0, 0);
			} else if (sse->load) {
				ASSERT_EQ(0, emulate(self, sse->load, strlen(sse->load)));
				memset(want, keeps_the_rest(sse) ? 0xee : 0, 16);
				memcpy(want + sse->at, self->device + 16 + odd, sse->bytes);
				EXPECT_EQ(0, memcmp(want, self->xmm[2], 16)) TH_LOG("%zu", n);
			}
			for (unsigned int i = 0; i < 16; i++)
				self->xmm[2][i] = 0xa0 + i;
			if (sse->store && refused) {
				expect_exception(_metadata, self,
						 emulate(self, sse->store, strlen(sse->store)),
						 VECTOR_GP, 0, 0);
			} else if (sse->store) {
				ASSERT_EQ(0, emulate(self, sse->store, strlen(sse->store)));
				memcpy(want, self->xmm[2] + sse->at, sse->bytes);
				want[sse->bytes] = 16 + odd + sse->bytes;
				EXPECT_EQ(0, memcmp(want, self->device + 16 + odd, sse->bytes + 1))
					TH_LOG("%zu", n);
			}
		}
	}
}

/* They reach no device, but their pages have to be there. */
TEST_F(emulate, cache_lines)
{
	static const char *const all[] = {
		"\x0f\xae\x3b", "\x66\x0f\xae\x3b", "\x66\x0f\xae\x33",
	};

	for (unsigned int n = 0; n < 3; n++) {
		self->run.regs[VMX_RBX] = DATA;
		ASSERT_EQ(0, emulate(self, all[n], strlen(all[n]))) {
			TH_LOG("%s", vmx_error());
		}
		EXPECT_EQ(1, self->run.retire);
		EXPECT_EQ(strlen(all[n]), self->run.length);
		self->run.regs[VMX_RBX] = ABSENT;
		expect_exception(_metadata, self, emulate(self, all[n], strlen(all[n])), VECTOR_PF,
				 0, ABSENT);
		self->emulator.exception.cr2 = 0;
	}
	EXPECT_EQ(0, self->reads + self->writes);
}

/* What the CPU would have said of the instruction that is there by now. */
TEST_F(emulate, xmm_registers_are_switched_off)
{
	self->run.regs[VMX_RBX] = DATA;
	self->run.cr0 |= CR0_TS;
	expect_exception(_metadata, self, EMULATE("\x0f\x10\x03"), VECTOR_NM, 0, 0);
	self->run.cr0 |= CR0_EM;
	expect_exception(_metadata, self, EMULATE("\x0f\x10\x03"), VECTOR_UD, 0, 0);
	self->run.cr0 &= ~(CR0_EM | CR0_TS);
	self->run.cr4 &= ~CR4_OSFXSR;
	expect_exception(_metadata, self, EMULATE("\x0f\x10\x03"), VECTOR_UD, 0, 0);
	EXPECT_EQ(0, self->reads);
}

TEST_F(emulate, code_in_two_pages)
{
	/* mov qword ds:[rbx], imm32, with prefixes to 15 bytes, and what is not part of it */
	static const unsigned char code[] = "\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e"
					    "\x48\xc7\x03\x78\x56\x34\x12\xff"
					    "\xff\xff\xff\xff\xff\xff\xff\xff"
					    "\xff\xff\xff\xff\xff\xff\xff\xff";

	self->run.regs[VMX_RBX] = DATA;
	for (unsigned int before = 1; before < 15; before++) {
		self->run.rip = CODE + 4096 - before;
		ASSERT_EQ(0, emulate(self, code, sizeof(code)));
		EXPECT_EQ(15, self->run.length);
		EXPECT_EQ(before, self->writes);
		EXPECT_EQ(0x12345678, *(uint64_t *)self->device);
	}
	/* All of it in the first page: the next need not be there. */
	map(self, CODE + 4096, 0, 0);
	self->run.rip = CODE + 4096 - 15;
	EXPECT_EQ(0, emulate(self, code, sizeof(code)));
}

TEST_F(emulate, fs_and_gs)
{
	self->bases[4] = DATA - 0x100;
	self->bases[5] = DATA + 0x10;
	self->device[0x18] = 5;
	self->run.regs[VMX_RBX] = 0x108;
	ASSERT_EQ(0, EMULATE("\x64\x8a\x43\x10"));		/* mov al, fs:[rbx + 16] */
	EXPECT_EQ(5, self->run.regs[VMX_RAX]);
	self->run.regs[VMX_RSI] = 8;
	ASSERT_EQ(0, EMULATE("\x65\xad"));			/* lods eax, gs:[rsi] */
	EXPECT_EQ(5, self->run.regs[VMX_RAX]);
}

/* Protected mode without paging. */
static void protected_mode(emulate_t *self)
{
	self->run.cr0 = CR0_PE;
	self->run.cr4 = 0;
	self->run.efer = 0;
	self->run.cs_access = 0xc09b;
	self->run.cs_base = RAM_CODE;
	self->run.rip = CODE;		/* where put_code() begins */
	self->run.cs_base -= CODE;
	self->run.cs_base &= UINT32_MAX;
}

TEST_F(emulate, segments_of_32_bits)
{
	protected_mode(self);
	self->bases[3] = MMIO;
	self->limits[3] = 0xfff;
	self->run.regs[VMX_RBX] = 0xffffffff00000ffc;
	*(uint32_t *)(self->device + 0xffc) = 0x12345678;
	ASSERT_EQ(0, EMULATE("\x8b\x03"));
	EXPECT_EQ(0x12345678, self->run.regs[VMX_RAX]);
	self->run.regs[VMX_RBX]++;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_GP, 0, 0);
	/* Expand-down: above the limit. */
	self->access[3] = 0xc097;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_GP, 0, 0);
	self->run.regs[VMX_RBX] = 0xfff;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_GP, 0, 0);
	self->run.regs[VMX_RBX] = 0x1000;
	ASSERT_EQ(0, EMULATE("\x8b\x03"));
	self->access[3] = 0x0097;
	self->run.regs[VMX_RBX] = 0xfffd;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_GP, 0, 0);
	/* Read-only data, execute-only code, nothing at all. */
	self->run.regs[VMX_RBX] = 0;
	self->access[3] = 0xc091;
	ASSERT_EQ(0, EMULATE("\x8b\x03"));
	expect_exception(_metadata, self, EMULATE("\x89\x03"), VECTOR_GP, 0, 0);
	self->access[3] = 0xc099;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_GP, 0, 0);
	self->access[3] = VMX_ACCESS_UNUSABLE;
	expect_exception(_metadata, self, EMULATE("\x8b\x03"), VECTOR_GP, 0, 0);
	/* The stack has an exception of its own. */
	self->limits[2] = 0xfff;
	self->run.regs[VMX_RBP] = 0x1000;
	expect_exception(_metadata, self, EMULATE("\x8b\x45\x00"), VECTOR_SS, 0, 0);
}

TEST_F(emulate, real_mode)
{
	protected_mode(self);
	self->run.cr0 = 0;
	self->run.cs_access = 0x9b;
	self->run.ss_access = 0x93;
	self->bases[0] = MMIO;
	self->bases[2] = RAM_STACK;
	for (unsigned int n = 0; n < 6; n++) {
		self->limits[n] = 0xffff;
		self->access[n] = 0x93;
	}
	self->run.regs[VMX_RAX] = 0x1234;
	self->run.regs[VMX_RBX] = 0xfff0;
	self->run.regs[VMX_RDI] = 0xaaaa0020;
	ASSERT_EQ(0, EMULATE("\x26\x89\x01"));		/* mov es:[bx + di], ax */
	EXPECT_EQ(0x34, self->device[0x10]);
	EXPECT_EQ(2, self->last_size);
	/* A string that goes round at 64 KiB. */
	self->run.regs[VMX_RCX] = 0x10002;
	self->run.regs[VMX_RDI] = 0xaaaaffff;
	ASSERT_EQ(0, EMULATE("\xf3\xaa"));
	EXPECT_EQ(0xaaaa0001, self->run.regs[VMX_RDI]);
	EXPECT_EQ(0x10000, self->run.regs[VMX_RCX]);
	EXPECT_EQ(0x34, self->device[0]);
	/* push word es:[0x10]; pop it back elsewhere */
	self->run.regs[VMX_RSP] = 0xbbbb0000;
	ASSERT_EQ(0, EMULATE("\x26\xff\x36\x10\x00"));
	EXPECT_EQ(0xbbbbfffe, self->run.regs[VMX_RSP]);
	EXPECT_TRUE(self->run.dirty & VMX_STATE_RSP);
	/* An exception without error code. */
	self->run.regs[VMX_RBX] = 0xffff;
	expect_exception(_metadata, self, EMULATE("\x8b\x07"), VECTOR_GP, 0, 0);
}

/* What was decoded before is of use only where it means the same. */
TEST_F(emulate, the_same_bytes_in_another_mode)
{
	self->run.regs[VMX_RBX] = DATA;
	self->bases[2] = DATA;
	for (unsigned int n = 0; n < 2; n++) {
		self->run.cs_access = 0xa09b;
		ASSERT_EQ(0, EMULATE("\x89\x03"));		/* mov [rbx], eax */
		EXPECT_EQ(4, self->last_size);
		self->run.cs_access = 0x9b;
		ASSERT_EQ(0, EMULATE("\x89\x03"));		/* mov [bp + di], ax */
		EXPECT_EQ(2, self->last_size);
	}
	EXPECT_EQ(4, self->writes);
}

/* Without 'load EFER', the run page has none: the VM-entry controls tell the mode. */
static int entry_controls(void *machine, uint32_t number, uint64_t *value)
{
	if (number != VMX_F_ENTRY_CONTROLS)
		return field(machine, number, value);
	*value = VMX_ENTRY_CTL_IA32E_MODE_GUEST;
	return 0;
}

TEST_F(emulate, without_efer)
{
	struct vmx_emulator_ops old = ops;

	old.field = entry_controls;
	self->emulator.ops = &old;
	self->run.efer = 0;
	self->run.regs[VMX_RBX] = DATA;
	ASSERT_EQ(0, EMULATE("\x48\x89\x1b"));
	EXPECT_EQ(DATA, *(uint64_t *)self->device);
}

TEST_HARNESS_MAIN
