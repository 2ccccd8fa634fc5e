// SPDX-License-Identifier: GPL-2.0
/* Instructions that repeat, and INS and OUTS for exits of theirs. */
#include "emulate_fixture.h"

TEST_F(emulate, repetition_is_bounded_and_goes_on)
{
	self->emulator.burst = 100;
	self->run.rflags |= RFLAGS_RF;
	self->run.regs[VMX_RCX] = 250;
	self->run.regs[VMX_RDI] = DATA;
	self->run.regs[VMX_RAX] = 0xab;
	for (unsigned int n = 1; n <= 2; n++) {
		ASSERT_EQ(0, EMULATE("\xf3\xaa"));
		EXPECT_EQ(0, self->run.retire);
		EXPECT_EQ(250 - 100 * n, self->run.regs[VMX_RCX]);
		EXPECT_EQ(DATA + 100 * n, self->run.regs[VMX_RDI]);
	}
	EXPECT_TRUE(self->run.rflags & RFLAGS_RF);
	ASSERT_EQ(0, EMULATE("\xf3\xaa"));
	EXPECT_EQ(1, self->run.retire);
	EXPECT_FALSE(self->run.rflags & RFLAGS_RF);
	EXPECT_EQ(250, self->writes);
	EXPECT_EQ(0xab, self->device[249]);
	EXPECT_EQ(0, self->device[250]);
	/* Rounds before a fault are done. */
	self->run.regs[VMX_RCX] = 250;
	self->run.regs[VMX_RDI] = DATA + 8192 - 10;
	ASSERT_EQ(VMX_EMULATE_INJECT, EMULATE("\xf3\xaa"));
	EXPECT_EQ(240, self->run.regs[VMX_RCX]);
	EXPECT_EQ(DATA + 8192, self->emulator.exception.cr2);
}

static int emulate_io(emulate_t *self, const void *bytes, size_t length, unsigned int size,
		      unsigned int flags)
{
	self->run.reason = VMX_REASON_IO;
	self->run.valid |= VMX_VALID_IO;
	self->run.io_port = 0x1f0;
	self->run.io_size = size;
	self->run.io_flags = flags;
	self->run.retire = 0;
	self->run.dirty = 0;
	self->run.inject_info = 0;
	put_code(self, bytes, length);
	return vmx_emulate_io(&self->emulator, &self->run);
}

#define EMULATE_IO(bytes, size, flags) emulate_io(self, bytes, sizeof(bytes) - 1, size, flags)

TEST_F(emulate, string_io)
{
	map(self, DATA, RAM_DATA, 7);
	self->port_value = 0x10;
	self->run.regs[VMX_RCX] = 256;
	self->run.regs[VMX_RDX] = 0x1f0;
	self->run.regs[VMX_RDI] = DATA;
	ASSERT_EQ(0, EMULATE_IO("\xf3\x66\x6d", 2, VMX_IO_IN | VMX_IO_STRING | VMX_IO_REP));
	EXPECT_EQ(256, self->reads);
	EXPECT_EQ(0x1f0, self->port);
	EXPECT_EQ(2, self->last_size);
	EXPECT_EQ(0x10f, *(uint16_t *)(self->ram + RAM_DATA + 510));
	EXPECT_EQ(0, *(uint16_t *)(self->ram + RAM_DATA + 512));
	EXPECT_EQ(DATA + 512, self->run.regs[VMX_RDI]);
	EXPECT_EQ(1, self->run.retire);
	EXPECT_EQ(3, self->run.length);
	/* Backwards, from a segment. */
	self->bases[5] = DATA;
	self->run.rflags |= RFLAGS_DF;
	self->run.regs[VMX_RSI] = 8;
	ASSERT_EQ(0, EMULATE_IO("\x65\x6f", 4, VMX_IO_STRING));
	EXPECT_EQ(0x00150014, self->port_value);
	EXPECT_EQ(4, self->run.regs[VMX_RSI]);
	EXPECT_EQ(1, self->writes);
	/* The port was not read when memory turns out to be missing. */
	self->run.regs[VMX_RDI] = ABSENT;
	ASSERT_EQ(VMX_EMULATE_INJECT, EMULATE_IO("\x6c", 1, VMX_IO_IN | VMX_IO_STRING));
	EXPECT_EQ(256, self->reads);
}

/* The guest's user mode may not turn one exit into another instruction's. */
TEST_F(emulate, string_io_is_the_one_that_exited)
{
	self->run.regs[VMX_RDI] = DATA;
	self->run.regs[VMX_RSI] = DATA;
	self->run.regs[VMX_RDX] = 0xcf9;
	EXPECT_EQ(0, EMULATE_IO("\x6e", 1, VMX_IO_IN | VMX_IO_STRING));
	EXPECT_EQ(0, EMULATE_IO("\x6d", 1, VMX_IO_IN | VMX_IO_STRING));
	EXPECT_EQ(0, EMULATE_IO("\xa4", 1, VMX_IO_IN | VMX_IO_STRING));
	EXPECT_EQ(0, self->reads + self->writes);
	EXPECT_EQ(0, self->run.retire);
	self->run.ss_access |= VMX_ACCESS_DPL_MASK;
	EXPECT_EQ(-EOPNOTSUPP, EMULATE("\x6e"));
	self->run.rflags |= RFLAGS_IOPL;
	EXPECT_EQ(0, EMULATE("\x6e"));
	EXPECT_EQ(0xcf9, self->port);
	EXPECT_EQ(-EINVAL, EMULATE_IO("\xee", 1, 0));
}

/* Each of the six is taken for itself alone, and moves as many bytes as it says. */
TEST_F(emulate, string_io_of_each_kind)
{
	static const struct {
		unsigned char bytes[2];
		unsigned int length, size, flags;
	} all[] = {
		{ "\x6c", 1, 1, VMX_IO_IN }, { "\x66\x6d", 2, 2, VMX_IO_IN },
		{ "\x6d", 1, 4, VMX_IO_IN }, { "\x6e", 1, 1, 0 },
		{ "\x66\x6f", 2, 2, 0 }, { "\x6f", 1, 4, 0 },
	};
	static const unsigned int sizes[] = { 1, 2, 4 };

	map(self, DATA, RAM_DATA, 7);
	for (unsigned int n = 0; n < 6; n++) {
		for (unsigned int as = 0; as < 6; as++) {
			unsigned int size = sizes[as % 3], flags = as < 3 ? VMX_IO_IN : 0;
			uint64_t moved = all[n].flags ? VMX_RDI : VMX_RSI;

			memset(self->ram + RAM_DATA, 0xee, 16);
			self->port_value = 0x44332211;
			self->last_size = 0;
			self->run.regs[VMX_RSI] = DATA;
			self->run.regs[VMX_RDI] = DATA;
			ASSERT_EQ(0, emulate_io(self, all[n].bytes, all[n].length, size,
						flags | VMX_IO_STRING));
			EXPECT_EQ(n == as, self->run.retire);
			EXPECT_EQ(n == as ? size : 0, self->last_size);
			if (n != as)
				continue;
			EXPECT_EQ(DATA + size, self->run.regs[moved]);
			EXPECT_EQ(DATA, self->run.regs[VMX_RSI ^ VMX_RDI ^ moved]);
			if (flags) {
				EXPECT_EQ(0, memcmp("\x11\x22\x33\x44", self->ram + RAM_DATA,
						    size));
				EXPECT_EQ(0xee, self->ram[RAM_DATA + size]);
			} else {
				EXPECT_EQ(0xeeeeeeee >> (32 - 8 * size), self->port_value);
			}
		}
	}
	/* What is no exit of theirs. */
	self->run.reason = VMX_REASON_HLT;
	EXPECT_EQ(-EINVAL, vmx_emulate_io(&self->emulator, &self->run));
	self->run.reason = VMX_REASON_IO;
	self->run.valid &= ~VMX_VALID_IO;
	EXPECT_EQ(-EINVAL, vmx_emulate_io(&self->emulator, &self->run));
}

/* SDM, "I/O Privilege Level": in real mode all may, in virtual-8086 mode the bitmap decides. */
TEST_F(emulate, string_io_without_an_exit)
{
	self->run.regs[VMX_RSI] = DATA;
	self->run.regs[VMX_RDX] = 0x12345;
	ASSERT_EQ(0, EMULATE("\x6e"));
	EXPECT_EQ(0x2345, self->port);
	self->run.ss_access |= 2 << VMX_ACCESS_DPL_SHIFT;
	self->run.rflags |= 1 << 12;
	EXPECT_EQ(-EOPNOTSUPP, EMULATE("\x6e"));
	self->run.rflags |= 2 << 12;
	EXPECT_EQ(0, EMULATE("\x6e"));
	self->run.rflags |= RFLAGS_VM;
	EXPECT_EQ(-EOPNOTSUPP, EMULATE("\x6e"));
	self->run.cr0 = 0;
	self->run.cr4 = 0;
	self->run.efer = 0;
	self->run.rflags = 2;
	self->run.cs_access = 0x9b;
	self->run.cs_base = (RAM_CODE - CODE) & UINT32_MAX;
	self->run.rip = CODE;
	self->bases[3] = MMIO;
	self->run.regs[VMX_RSI] = 0;
	EXPECT_EQ(0, EMULATE("\x6e"));
	EXPECT_EQ(3, self->writes);
}

/* The last of several prefixes counts, and one that is none is not taken for one. */
TEST_F(emulate, repeat_prefixes)
{
	self->run.regs[VMX_RDI] = DATA;
	self->run.regs[VMX_RCX] = 4;
	self->run.regs[VMX_RAX] = 1;
	self->device[1] = 1;
	ASSERT_EQ(0, EMULATE("\xf3\xf2\xae"));			/* repne scasb */
	EXPECT_EQ(DATA + 2, self->run.regs[VMX_RDI]);
	EXPECT_EQ(2, self->run.regs[VMX_RCX]);
	ASSERT_EQ(0, EMULATE("\xf2\xf3\x2e\xae"));		/* repe scasb */
	EXPECT_EQ(DATA + 3, self->run.regs[VMX_RDI]);
	ASSERT_EQ(0, EMULATE("\x2e\xaa"));			/* stosb */
	EXPECT_EQ(DATA + 4, self->run.regs[VMX_RDI]);
	EXPECT_EQ(1, self->run.regs[VMX_RCX]);
	EXPECT_EQ(1, self->writes);
}

TEST_HARNESS_MAIN
