// SPDX-License-Identifier: GPL-2.0
/* The host's CPU executes the same instructions on the same registers and memory: both agree. */
#include <sys/mman.h>

#include "emulate_fixture.h"

/* RFLAGS, and then what the host's CPU and the emulator make of it. */
struct state {
	uint64_t regs[16];
	uint64_t rflags;
};

/* The guest's pages, at the same addresses here. */
static unsigned char *const data = (unsigned char *)DATA;
static unsigned char *const stack = (unsigned char *)STACK;

static bool map_natively(void)
{
	static const struct {
		uint64_t at;
		size_t size;
	} areas[] = { { CODE, 8192 }, { DATA, 8192 }, { STACK, 4096 } };

	for (unsigned int n = 0; n < 3; n++) {
		void *at = (void *)areas[n].at;

		if (mmap(at, areas[n].size, PROT_READ | PROT_WRITE | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
			return false;
	}
	return true;
}

static uint64_t any(void)
{
	static uint64_t seed = 0x9e3779b97f4a7c15;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

extern char native_return[];
void native_run(struct state *state);
uint64_t native_stack, native_state, native_guest_stack, native_code;

/* Sixteen registers and RFLAGS, then what is at native_code, which jumps to native_return. */
asm(".text\n"
    "native_run:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	mov %rsp, native_stack(%rip)\n"
    "	mov %rdi, native_state(%rip)\n"
    "	pushq 128(%rdi); popfq\n"
    "	mov 0(%rdi), %rax; mov 8(%rdi), %rcx; mov 16(%rdi), %rdx; mov 24(%rdi), %rbx\n"
    "	mov 40(%rdi), %rbp; mov 48(%rdi), %rsi; mov 64(%rdi), %r8; mov 72(%rdi), %r9\n"
    "	mov 80(%rdi), %r10; mov 88(%rdi), %r11; mov 96(%rdi), %r12; mov 104(%rdi), %r13\n"
    "	mov 112(%rdi), %r14; mov 120(%rdi), %r15; mov 32(%rdi), %rsp; mov 56(%rdi), %rdi\n"
    "	jmp *native_code(%rip)\n"
    "native_return:\n"
    "	mov %rsp, native_guest_stack(%rip)\n"
    "	mov native_stack(%rip), %rsp\n"
    "	push %rdi\n"
    "	mov native_state(%rip), %rdi\n"
    "	mov %rax, 0(%rdi); mov %rcx, 8(%rdi); mov %rdx, 16(%rdi); mov %rbx, 24(%rdi)\n"
    "	mov %rbp, 40(%rdi); mov %rsi, 48(%rdi); mov %r8, 64(%rdi); mov %r9, 72(%rdi)\n"
    "	mov %r10, 80(%rdi); mov %r11, 88(%rdi); mov %r12, 96(%rdi); mov %r13, 104(%rdi)\n"
    "	mov %r14, 112(%rdi); mov %r15, 120(%rdi)\n"
    "	pushfq; popq 128(%rdi)\n"
    "	popq 56(%rdi)\n"
    "	mov native_guest_stack(%rip), %rax\n"
    "	mov %rax, 32(%rdi)\n"
    "	cld\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n");

static void run_natively(emulate_t *self, const unsigned char *bytes, size_t length,
			 struct state *state)
{
	static const unsigned char jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
	uint64_t target = (uint64_t)native_return;

	native_code = self->run.rip;
	memcpy((void *)native_code, bytes, length);
	memcpy((void *)(native_code + length), jump, sizeof(jump));
	memcpy((void *)(native_code + length + sizeof(jump)), &target, 8);
	native_run(state);
}

/* Where the guest's two pages of data are: each in RAM or in the device. */
static unsigned char *page(emulate_t *self, unsigned int n, unsigned int where)
{
	if (where & 1 << n)
		return self->ram + RAM_DATA + 4096 * n;
	return self->device + 4096 * n;
}

static void fill(emulate_t *self, unsigned int where)
{
	for (unsigned int n = 0; n < 8192; n += 8) {
		uint64_t value = any();

		memcpy(data + n, &value, 8);
	}
	for (unsigned int n = 0; n < 2; n++) {
		map(self, DATA + 4096 * n,
		    where & 1 << n ? RAM_DATA + 4096 * n : MMIO + 4096 * n, 7);
		memcpy(page(self, n, where), data + 4096 * n, 4096);
	}
	memset(stack, 0x5a, 4096);
	memset(self->ram + RAM_STACK, 0x5a, 4096);
}

/* Emulates, executes, compares. UNDEFINED: flags that the SDM leaves open. */
static void compare(struct __test_metadata *_metadata, emulate_t *self, const unsigned char *bytes,
		    size_t length, const struct state *start, unsigned int where,
		    uint64_t undefined)
{
	char text[64] = "";
	struct state state = *start;
	bool same;

	for (size_t n = 0; n < length; n++)
		sprintf(text + 3 * n, "%02x ", bytes[n]);
	memcpy(self->run.regs, start->regs, sizeof(start->regs));
	self->run.rflags = start->rflags;
	ASSERT_EQ(0, emulate(self, bytes, length)) {
		TH_LOG("%s: %s", text, vmx_error());
	}
	ASSERT_EQ(1, self->run.retire);
	ASSERT_EQ(length, self->run.length) {
		TH_LOG("%s", text);
	}
	run_natively(self, bytes, length, &state);
	for (unsigned int n = 0; n < 16; n++) {
		ASSERT_EQ(state.regs[n], self->run.regs[n]) {
			TH_LOG("%s: register %u, before %#llx", text, n,
			       (unsigned long long)start->regs[n]);
		}
	}
	/* Interrupts are the host's. */
	undefined |= 0x200;
	ASSERT_EQ(state.rflags & ~undefined, self->run.rflags & ~undefined) {
		TH_LOG("%s: flags before %#llx", text, (unsigned long long)start->rflags);
	}
	same = !memcmp(data, page(self, 0, where), 4096) &&
	       !memcmp(data + 4096, page(self, 1, where), 4096) &&
	       !memcmp(stack, self->ram + RAM_STACK, 4096);
	ASSERT_TRUE(same) {
		TH_LOG("%s: memory differs", text);
	}
	EXPECT_EQ(!!(self->run.dirty & VMX_STATE_RSP), start->regs[4] != state.regs[4]);
}

/* An instruction with a ModRM byte. */
struct form {
	const char *opcode;
	int digit;		/* in ModRM.reg, or -1: any register */
	unsigned int immediate;	/* bytes; 4: 2 with 16-bit operands */
	unsigned int sizes;	/* of operands, in bytes, OR-ed; 1: no prefix matters */
	uint64_t undefined;
	bool counts;		/* a bit offset reaches into memory */
};

#define ALL (2 | 4 | 8)
#define BT_UNDEFINED (RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF)

static const struct form forms[] = {
	{ "\x00", -1, 0, 1, 0, 0 }, { "\x01", -1, 0, ALL, 0, 0 },
	{ "\x02", -1, 0, 1, 0, 0 }, { "\x03", -1, 0, ALL, 0, 0 },
	{ "\x08", -1, 0, 1, RFLAGS_AF, 0 }, { "\x09", -1, 0, ALL, RFLAGS_AF, 0 },
	{ "\x0a", -1, 0, 1, RFLAGS_AF, 0 }, { "\x0b", -1, 0, ALL, RFLAGS_AF, 0 },
	{ "\x10", -1, 0, 1, 0, 0 }, { "\x11", -1, 0, ALL, 0, 0 },
	{ "\x12", -1, 0, 1, 0, 0 }, { "\x13", -1, 0, ALL, 0, 0 },
	{ "\x18", -1, 0, 1, 0, 0 }, { "\x19", -1, 0, ALL, 0, 0 },
	{ "\x1a", -1, 0, 1, 0, 0 }, { "\x1b", -1, 0, ALL, 0, 0 },
	{ "\x20", -1, 0, 1, RFLAGS_AF, 0 }, { "\x21", -1, 0, ALL, RFLAGS_AF, 0 },
	{ "\x22", -1, 0, 1, RFLAGS_AF, 0 }, { "\x23", -1, 0, ALL, RFLAGS_AF, 0 },
	{ "\x28", -1, 0, 1, 0, 0 }, { "\x29", -1, 0, ALL, 0, 0 },
	{ "\x2a", -1, 0, 1, 0, 0 }, { "\x2b", -1, 0, ALL, 0, 0 },
	{ "\x30", -1, 0, 1, RFLAGS_AF, 0 }, { "\x31", -1, 0, ALL, RFLAGS_AF, 0 },
	{ "\x32", -1, 0, 1, RFLAGS_AF, 0 }, { "\x33", -1, 0, ALL, RFLAGS_AF, 0 },
	{ "\x38", -1, 0, 1, 0, 0 }, { "\x39", -1, 0, ALL, 0, 0 },
	{ "\x3a", -1, 0, 1, 0, 0 }, { "\x3b", -1, 0, ALL, 0, 0 },
	{ "\x63", -1, 0, ALL, 0, 0 },
	{ "\x80", 0, 1, 1, 0, 0 }, { "\x80", 1, 1, 1, RFLAGS_AF, 0 },
	{ "\x80", 2, 1, 1, 0, 0 }, { "\x80", 3, 1, 1, 0, 0 },
	{ "\x80", 4, 1, 1, RFLAGS_AF, 0 }, { "\x80", 5, 1, 1, 0, 0 },
	{ "\x80", 6, 1, 1, RFLAGS_AF, 0 }, { "\x80", 7, 1, 1, 0, 0 },
	{ "\x81", 0, 4, ALL, 0, 0 }, { "\x81", 1, 4, ALL, RFLAGS_AF, 0 },
	{ "\x81", 2, 4, ALL, 0, 0 }, { "\x81", 3, 4, ALL, 0, 0 },
	{ "\x81", 4, 4, ALL, RFLAGS_AF, 0 }, { "\x81", 5, 4, ALL, 0, 0 },
	{ "\x81", 6, 4, ALL, RFLAGS_AF, 0 }, { "\x81", 7, 4, ALL, 0, 0 },
	{ "\x83", 0, 1, ALL, 0, 0 }, { "\x83", 1, 1, ALL, RFLAGS_AF, 0 },
	{ "\x83", 2, 1, ALL, 0, 0 }, { "\x83", 3, 1, ALL, 0, 0 },
	{ "\x83", 4, 1, ALL, RFLAGS_AF, 0 }, { "\x83", 5, 1, ALL, 0, 0 },
	{ "\x83", 6, 1, ALL, RFLAGS_AF, 0 }, { "\x83", 7, 1, ALL, 0, 0 },
	{ "\x84", -1, 0, 1, RFLAGS_AF, 0 }, { "\x85", -1, 0, ALL, RFLAGS_AF, 0 },
	{ "\x86", -1, 0, 1, 0, 0 }, { "\x87", -1, 0, ALL, 0, 0 },
	{ "\x88", -1, 0, 1, 0, 0 }, { "\x89", -1, 0, ALL, 0, 0 },
	{ "\x8a", -1, 0, 1, 0, 0 }, { "\x8b", -1, 0, ALL, 0, 0 },
	{ "\x8f", 0, 0, 2 | 8, 0, 0 },
	{ "\xc6", 0, 1, 1, 0, 0 }, { "\xc7", 0, 4, ALL, 0, 0 },
	{ "\xf6", 0, 1, 1, RFLAGS_AF, 0 }, { "\xf7", 0, 4, ALL, RFLAGS_AF, 0 },
	{ "\xf6", 2, 0, 1, 0, 0 }, { "\xf7", 2, 0, ALL, 0, 0 },
	{ "\xf6", 3, 0, 1, 0, 0 }, { "\xf7", 3, 0, ALL, 0, 0 },
	{ "\xfe", 0, 0, 1, 0, 0 }, { "\xff", 0, 0, ALL, 0, 0 },
	{ "\xfe", 1, 0, 1, 0, 0 }, { "\xff", 1, 0, ALL, 0, 0 },
	{ "\xff", 6, 0, 2 | 8, 0, 0 },
	{ "\x0f\x40", -1, 0, ALL, 0, 0 }, { "\x0f\x41", -1, 0, ALL, 0, 0 },
	{ "\x0f\x42", -1, 0, ALL, 0, 0 }, { "\x0f\x43", -1, 0, ALL, 0, 0 },
	{ "\x0f\x44", -1, 0, ALL, 0, 0 }, { "\x0f\x45", -1, 0, ALL, 0, 0 },
	{ "\x0f\x46", -1, 0, ALL, 0, 0 }, { "\x0f\x47", -1, 0, ALL, 0, 0 },
	{ "\x0f\x48", -1, 0, ALL, 0, 0 }, { "\x0f\x49", -1, 0, ALL, 0, 0 },
	{ "\x0f\x4a", -1, 0, ALL, 0, 0 }, { "\x0f\x4b", -1, 0, ALL, 0, 0 },
	{ "\x0f\x4c", -1, 0, ALL, 0, 0 }, { "\x0f\x4d", -1, 0, ALL, 0, 0 },
	{ "\x0f\x4e", -1, 0, ALL, 0, 0 }, { "\x0f\x4f", -1, 0, ALL, 0, 0 },
	{ "\x0f\x92", 0, 0, 1, 0, 0 }, { "\x0f\x95", 0, 0, 1, 0, 0 },
	{ "\x0f\x9e", 0, 0, 1, 0, 0 }, { "\x0f\x9d", 0, 0, 1, 0, 0 },
	{ "\x0f\xa3", -1, 0, ALL, BT_UNDEFINED, true },
	{ "\x0f\xab", -1, 0, ALL, BT_UNDEFINED, true },
	{ "\x0f\xb3", -1, 0, ALL, BT_UNDEFINED, true },
	{ "\x0f\xbb", -1, 0, ALL, BT_UNDEFINED, true },
	{ "\x0f\xba", 4, 1, ALL, BT_UNDEFINED, 0 }, { "\x0f\xba", 5, 1, ALL, BT_UNDEFINED, 0 },
	{ "\x0f\xba", 6, 1, ALL, BT_UNDEFINED, 0 }, { "\x0f\xba", 7, 1, ALL, BT_UNDEFINED, 0 },
	{ "\x0f\xb0", -1, 0, 1, 0, 0 }, { "\x0f\xb1", -1, 0, ALL, 0, 0 },
	{ "\x0f\xb6", -1, 0, ALL, 0, 0 }, { "\x0f\xb7", -1, 0, ALL, 0, 0 },
	{ "\x0f\xbe", -1, 0, ALL, 0, 0 }, { "\x0f\xbf", -1, 0, ALL, 0, 0 },
	{ "\x0f\xc0", -1, 0, 1, 0, 0 }, { "\x0f\xc1", -1, 0, ALL, 0, 0 },
	{ "\x0f\xc3", -1, 0, 4 | 8, 0, 0 },
	{ "\x0f\xc7", 1, 0, 4, 0, 0 },
	{ "\x0f\x38\xf0", -1, 0, ALL, 0, 0 }, { "\x0f\x38\xf1", -1, 0, ALL, 0, 0 },
};

/* What an instruction was made of, and the bytes. */
struct made {
	unsigned char bytes[16];
	unsigned int length;
};

static void add(struct made *made, const void *bytes, unsigned int length)
{
	memcpy(made->bytes + made->length, bytes, length);
	made->length += length;
}

/* Makes the instruction with random registers, and registers with which it hits the data. */
static void make(emulate_t *self, const struct form *form, unsigned int size, struct made *made,
		 struct state *state)
{
	uint64_t target = DATA + 4096 - 24 + any() % 48;
	unsigned int reg = form->digit < 0 ? any() & 15 : (unsigned int)form->digit;
	unsigned int base = any() & 15, index = any() & 15, scale = any() & 3;
	unsigned int opcode_length = form->opcode[0] == 0x0f ? 2 : 1;
	bool wide = any() & 1, indexed = any() & 1;
	int32_t displacement = any();
	uint64_t immediate = any();

	*made = (struct made){};
	for (unsigned int n = 0; n < 16; n++)
		state->regs[n] = any() >> (any() & 63);
	state->regs[4] = STACK + 2048;
	state->rflags = 2 | (any() & RFLAGS_STATUS);
	if (form->opcode[0] == 0x0f && form->opcode[1] == 0x38)
		opcode_length = 3;

	/* The address does not depend on registers that are operands in other ways. */
	while (base == 4 || base == 0 || base == 2 || base == reg)
		base = any() & 15;
	while (index == 4 || index == 0 || index == 2 || index == reg || index == base)
		index = any() & 15;
	if (base % 8 == 4)
		indexed = true;
	if (form->counts) {
		displacement = (int64_t)(any() % 16384) - 8192;
		while (reg == 4)
			reg = any() & 15;
		if (reg == base || reg == index)
			reg = 0;
		state->regs[reg] = (state->regs[reg] << 16) | (uint16_t)displacement;
		if (size > 2)
			state->regs[reg] = (state->regs[reg] << 32) | (uint32_t)displacement;
		if (size > 4)
			state->regs[reg] = (int64_t)displacement;
		displacement = any();
		target = DATA + 4096 - 8 + any() % 16;
	}
	if (!wide)
		displacement = (int8_t)displacement;
	state->regs[base] = target - displacement;
	if (indexed)
		state->regs[base] -= state->regs[index] << scale;
	/* Half of the comparisons find what they look for. */
	if (any() & 1 && !form->counts)
		memcpy(&state->regs[0], (void *)target, 8);
	if (form->opcode[1] == (char)0xc7 && any() & 1)
		memcpy(&state->regs[2], (void *)(target + 4), 8);

	if (size == 2)
		add(made, "\x66", 1);
	add(made, &(unsigned char){ 0x40 | (size == 8) << 3 | (form->digit < 0 && reg > 7) << 2 |
				    (indexed && index > 7) << 1 | (base > 7) }, 1);
	add(made, form->opcode, opcode_length);
	add(made, &(unsigned char){ (wide ? 0x80 : 0x40) | (reg & 7) << 3 |
				    (indexed ? 4 : base & 7) }, 1);
	if (indexed)
		add(made, &(unsigned char){ scale << 6 | (index & 7) << 3 | (base & 7) }, 1);
	add(made, &displacement, wide ? 4 : 1);
	add(made, &immediate, form->immediate == 4 && size == 2 ? 2 : form->immediate);
}

TEST_F(emulate, like_the_cpu)
{
	ASSERT_TRUE(map_natively());
	for (unsigned int n = 0; n < sizeof(forms) / sizeof(forms[0]); n++) {
		for (unsigned int round = 0; round < 60; round++) {
			unsigned int size = 1 << (any() & 3), where = any() & 3;
			struct state state;
			struct made made;

			if (!(forms[n].sizes & size))
				continue;
			if (round % 10 == 0)
				fill(self, where);
			else
				where = -1;
			if (where > 3)
				where = (*entry(self, 1, 0) < RAM_SIZE) |
					(*entry(self, 1, 1) < RAM_SIZE) << 1;
			make(self, &forms[n], size, &made, &state);
			compare(_metadata, self, made.bytes, made.length, &state, where,
				forms[n].undefined);
		}
	}
}

/* Registers for a string instruction whose sides are anywhere, but apart from each other or not. */
static void make_string(emulate_t *self, struct state *state)
{
	for (unsigned int n = 0; n < 16; n++)
		state->regs[n] = any();
	state->regs[1] = any() % 5 ? any() % 40 : 0;
	state->regs[4] = STACK + 2048;
	state->regs[6] = DATA + 4096 - 400 + any() % 800;
	state->regs[7] = DATA + 4096 - 400 + any() % 800;
	state->rflags = 2 | (any() & (RFLAGS_STATUS | RFLAGS_DF));
	/* Comparisons that go on for a while. */
	if (any() & 1)
		state->regs[7] = state->regs[6];
	memcpy(&state->regs[0], (void *)state->regs[7], 8);
}

TEST_F(emulate, strings_like_the_cpu)
{
	static const unsigned char opcodes[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad,
						 0xae, 0xaf };
	static const unsigned char sizes[] = { 0, 0x66, 0x48 };
	static const unsigned char repeats[] = { 0, 0xf2, 0xf3 };

	ASSERT_TRUE(map_natively());
	for (unsigned int round = 0; round < 4000; round++) {
		unsigned char opcode = opcodes[any() % sizeof(opcodes)];
		unsigned char repeat = repeats[any() % 3], size = sizes[any() % 3];
		unsigned int where = any() & 3;
		struct made made = {};
		struct state state;

		fill(self, where);
		if (any() & 1)
			memset(data, 0x77, 8192);
		memcpy(page(self, 0, where), data, 4096);
		memcpy(page(self, 1, where), data + 4096, 4096);
		make_string(self, &state);
		if (any() % 4 == 0)
			add(&made, "\x67", 1);
		if (repeat)
			add(&made, &repeat, 1);
		if (size)
			add(&made, &size, 1);
		add(&made, &opcode, 1);
		/* CPUs differ in what becomes of RCX, RSI and RDI after no round with 32 bits. */
		if (made.bytes[0] == 0x67 && !state.regs[1])
			continue;
		compare(_metadata, self, made.bytes, made.length, &state, where, 0);
	}
}

#define BYTES(bytes) (const unsigned char *)(bytes), sizeof(bytes) - 1

TEST_F(emulate, moffs_and_rip_relative)
{
	struct state state = { .rflags = 2, .regs = { 0x1122334455667788, [4] = STACK + 2048 } };

	ASSERT_TRUE(map_natively());
	fill(self, 2);
	compare(_metadata, self, BYTES("\x48\xa1\xfe\x0f\0\x10\0\0\0\0"), &state, 2, 0);
	compare(_metadata, self, BYTES("\xa2\xff\x0f\0\x10\0\0\0\0"), &state, 2, 0);
	compare(_metadata, self, BYTES("\x66\xa3\xff\x0f\0\x10\0\0\0\0"), &state, 2, 0);
	compare(_metadata, self, BYTES("\x67\xa1\xff\x0f\0\x10"), &state, 2, 0);
	/* -0x10000000 + 0xffa from the end, then an immediate. */
	compare(_metadata, self, BYTES("\xc7\x05\xfa\x0f\0\xf0\x78\x56\x34\x12"), &state, 2, 0);
}

/* AH, CH, DH and BH, which no instruction with a REX prefix has. */
TEST_F(emulate, high_bytes)
{
	static const char *const all[] = {
		"\x8a\x63\x01", "\x8a\x7b\x02", "\x88\x6b\x03",	/* mov ah, bh; from ch */
		"\x02\x73\x04", "\x00\x7b\x05",			/* add dh; from bh */
		"\x86\x6b\x06", "\x86\x63\x07",			/* xchg ch, ah */
		"\x0f\xb0\x63\x08", "\x0f\xc0\x73\x09",		/* cmpxchg ah, xadd dh */
		"\x3a\x6b\x0a", "\x84\x73\x0b",			/* cmp ch, test dh */
		"\x0f\xb6\x43\x0c", "\x0f\xbe\x4b\x0d",		/* movzx eax, movsx ecx */
	};

	ASSERT_TRUE(map_natively());
	for (unsigned int n = 0; n < 13 * 40; n++) {
		struct state state = { .rflags = 2 };

		if (n % 10 == 0)
			fill(self, 2);
		for (unsigned int reg = 0; reg < 16; reg++)
			state.regs[reg] = any();
		state.regs[3] = DATA + any() % 8000;
		state.regs[4] = STACK + 2048;
		compare(_metadata, self, (const unsigned char *)all[n % 13],
			all[n % 13][0] == 0x0f ? 4 : 3, &state, 2,
			all[n % 13][0] == (char)0x84 ? RFLAGS_AF : 0);
	}
}

TEST_HARNESS_MAIN
