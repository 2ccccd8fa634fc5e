// SPDX-License-Identifier: GPL-2.0
/*
 * Emulated instructions. In 64-bit mode the host's CPU executes the same ones on the same
 * registers and memory, and has to agree.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <libvmx.h>
#include <libvmx/emulate.h>

#include "../lib/x86.h"
#include "kselftest_harness.h"

#define CODE	0x20000000ull	/* linear: two pages, here and in the guest */
#define DATA	0x10000000ull	/* linear: two pages, here and in the guest */
#define STACK	0x30000000ull	/* linear: a page */
#define ABSENT	0x40000000ull	/* linear */

#define MMIO	0xd0000000ull	/* guest-physical: two pages of a device */

#define RAM_SIZE	0x10000
#define TABLES		0x0000	/* guest-physical: six tables */
#define RAM_CODE	0x7000
#define RAM_DATA	0x9000
#define RAM_STACK	0xb000

/* RFLAGS, and then what the host's CPU and the emulator make of it. */
struct state {
	uint64_t regs[16];
	uint64_t rflags;
};

FIXTURE(emulate) {
	_Alignas(4096) unsigned char ram[RAM_SIZE];
	unsigned char device[8192];
	unsigned char *code;
	unsigned char *data;
	unsigned char *stack;
	struct vmx_run_page run;
	struct vmx_emulator emulator;
	uint64_t bases[6];
	uint32_t limits[6];
	uint32_t access[6];
	uint8_t xmm[16][16];
	unsigned int reads;
	unsigned int writes;
	unsigned int last_size;
	uint16_t port;
	uint64_t port_value;
	unsigned int field_reads;
	uint64_t seed;
};

typedef FIXTURE_DATA(emulate) emulate_t;

static void *host(void *machine, uint64_t gpa, size_t length, bool write)
{
	emulate_t *self = machine;

	(void)write;
	if (gpa >= RAM_SIZE || length > RAM_SIZE - gpa)
		return NULL;
	return self->ram + gpa;
}

static uint64_t device_read(void *machine, uint64_t gpa, unsigned int size)
{
	emulate_t *self = machine;
	uint64_t value = UINT64_MAX;

	self->reads++;
	self->last_size = size;
	if (gpa >= MMIO && gpa + size <= MMIO + sizeof(self->device))
		memcpy(&value, self->device + gpa - MMIO, size);
	return value;
}

static void device_write(void *machine, uint64_t gpa, unsigned int size, uint64_t value)
{
	emulate_t *self = machine;

	self->writes++;
	self->last_size = size;
	if (gpa >= MMIO && gpa + size <= MMIO + sizeof(self->device))
		memcpy(self->device + gpa - MMIO, &value, size);
}

static uint64_t port_in(void *machine, uint16_t port, unsigned int size)
{
	emulate_t *self = machine;

	self->port = port;
	self->last_size = size;
	self->reads++;
	return self->port_value++;
}

static void port_out(void *machine, uint16_t port, unsigned int size, uint64_t value)
{
	emulate_t *self = machine;

	self->port = port;
	self->last_size = size;
	self->writes++;
	self->port_value = value;
}

static int field(void *machine, uint32_t field, uint64_t *value)
{
	emulate_t *self = machine;

	self->field_reads++;
	for (unsigned int n = 0; n < 6; n++) {
		if (field == VMX_F_GUEST_ES_BASE + 2 * n) {
			*value = self->bases[n];
			return 0;
		}
		if (field == VMX_F_GUEST_ES_LIMIT + 2 * n) {
			*value = self->limits[n];
			return 0;
		}
		if (field == VMX_F_GUEST_ES_ACCESS + 2 * n) {
			*value = self->access[n];
			return 0;
		}
	}
	return -EINVAL;
}

static int xmm(void *machine, unsigned int n, uint8_t bytes[16], bool write)
{
	emulate_t *self = machine;

	if (write)
		memcpy(self->xmm[n], bytes, 16);
	else
		memcpy(bytes, self->xmm[n], 16);
	return 0;
}

static const struct vmx_emulator_ops ops = {
	host, device_read, device_write, port_in, port_out, field, xmm,
};

static uint64_t *entry(emulate_t *self, unsigned int table, unsigned int index)
{
	return (uint64_t *)(self->ram + TABLES + 4096 * table) + index;
}

/* A page of 4 KiB at LINEAR, below 4 GiB; one page table for each GByte's start is enough. */
static void map(emulate_t *self, uint64_t linear, uint64_t gpa, unsigned int flags)
{
	unsigned int table = linear >> 28;	/* 1 to 3 */

	*entry(self, 0, 0) = (TABLES + 4096 * 5) | 7;
	*entry(self, 5, 0) = (TABLES + 4096 * 4) | 7;
	*entry(self, 4, linear >> 21) = (TABLES + 4096 * table) | 7;
	*entry(self, table, linear >> 12 & 511) = gpa | flags;
}

#define VALID (VMX_STATE_RIP | VMX_STATE_RSP | VMX_STATE_RFLAGS | VMX_STATE_CR0 | VMX_STATE_CR3 | \
	       VMX_STATE_CR4 | VMX_STATE_EFER | VMX_STATE_CS | VMX_STATE_SS)

FIXTURE_SETUP(emulate)
{
	int prot = PROT_READ | PROT_WRITE | PROT_EXEC;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;

	self->code = mmap((void *)CODE, 8192, prot, flags, -1, 0);
	self->data = mmap((void *)DATA, 8192, prot, flags, -1, 0);
	self->stack = mmap((void *)STACK, 4096, prot, flags, -1, 0);
	ASSERT_EQ((void *)CODE, self->code);
	ASSERT_EQ((void *)DATA, self->data);
	ASSERT_EQ((void *)STACK, self->stack);
	map(self, CODE, RAM_CODE, 7);
	map(self, CODE + 4096, RAM_CODE + 4096, 7);
	map(self, DATA, MMIO, 7);
	map(self, DATA + 4096, MMIO + 4096, 7);
	map(self, STACK, RAM_STACK, 7);
	vmx_emulator_init(&self->emulator, &ops, self, 46);
	self->run = (struct vmx_run_page){
		.valid = VALID,
		.rflags = 2,
		.rip = CODE,
		.cr0 = CR0_PE | CR0_PG | CR0_WP,
		.cr3 = TABLES,
		.cr4 = CR4_PAE,
		.efer = EFER_LME | EFER_LMA | EFER_NXE,
		.cs_access = 0xa09b,
		.ss_access = 0xc093,
	};
	for (unsigned int n = 0; n < 6; n++) {
		self->limits[n] = 0xffffffff;
		self->access[n] = 0xc093;
	}
	self->seed = 0x9e3779b97f4a7c15;
}

FIXTURE_TEARDOWN(emulate)
{
	munmap(self->code, 8192);
	munmap(self->data, 8192);
	munmap(self->stack, 4096);
}

static uint64_t any(emulate_t *self)
{
	self->seed ^= self->seed << 13;
	self->seed ^= self->seed >> 7;
	self->seed ^= self->seed << 17;
	return self->seed;
}

static void put_code(emulate_t *self, const void *bytes, size_t length)
{
	memcpy(self->ram + RAM_CODE + (self->run.rip - CODE), bytes, length);
}

static int emulate(emulate_t *self, const void *bytes, size_t length)
{
	self->run.retire = 0;
	self->run.dirty = 0;
	self->run.inject_info = 0;
	put_code(self, bytes, length);
	return vmx_emulate(&self->emulator, &self->run);
}

#define EMULATE(bytes) emulate(self, bytes, sizeof(bytes) - 1)

/* The host's CPU */

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
		uint64_t value = any(self);

		memcpy(self->data + n, &value, 8);
	}
	for (unsigned int n = 0; n < 2; n++) {
		map(self, DATA + 4096 * n,
		    where & 1 << n ? RAM_DATA + 4096 * n : MMIO + 4096 * n, 7);
		memcpy(page(self, n, where), self->data + 4096 * n, 4096);
	}
	memset(self->stack, 0x5a, 4096);
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
	same = !memcmp(self->data, page(self, 0, where), 4096) &&
	       !memcmp(self->data + 4096, page(self, 1, where), 4096) &&
	       !memcmp(self->stack, self->ram + RAM_STACK, 4096);
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
	uint64_t target = DATA + 4096 - 24 + any(self) % 48;
	unsigned int reg = form->digit < 0 ? any(self) & 15 : (unsigned int)form->digit;
	unsigned int base = any(self) & 15, index = any(self) & 15, scale = any(self) & 3;
	unsigned int opcode_length = form->opcode[0] == 0x0f ? 2 : 1;
	bool wide = any(self) & 1, indexed = any(self) & 1;
	int32_t displacement = any(self);
	uint64_t immediate = any(self);

	*made = (struct made){};
	for (unsigned int n = 0; n < 16; n++)
		state->regs[n] = any(self) >> (any(self) & 63);
	state->regs[4] = STACK + 2048;
	state->rflags = 2 | (any(self) & RFLAGS_STATUS);
	if (form->opcode[0] == 0x0f && form->opcode[1] == 0x38)
		opcode_length = 3;

	/* The address does not depend on registers that are operands in other ways. */
	while (base == 4 || base == 0 || base == 2 || base == reg)
		base = any(self) & 15;
	while (index == 4 || index == 0 || index == 2 || index == reg || index == base)
		index = any(self) & 15;
	if (base % 8 == 4)
		indexed = true;
	if (form->counts) {
		displacement = (int64_t)(any(self) % 16384) - 8192;
		while (reg == 4)
			reg = any(self) & 15;
		if (reg == base || reg == index)
			reg = 0;
		state->regs[reg] = (state->regs[reg] << 16) | (uint16_t)displacement;
		if (size > 2)
			state->regs[reg] = (state->regs[reg] << 32) | (uint32_t)displacement;
		if (size > 4)
			state->regs[reg] = (int64_t)displacement;
		displacement = any(self);
		target = DATA + 4096 - 8 + any(self) % 16;
	}
	if (!wide)
		displacement = (int8_t)displacement;
	state->regs[base] = target - displacement;
	if (indexed)
		state->regs[base] -= state->regs[index] << scale;
	/* Half of the comparisons find what they look for. */
	if (any(self) & 1 && !form->counts)
		memcpy(&state->regs[0], (void *)target, 8);
	if (form->opcode[1] == (char)0xc7 && any(self) & 1)
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
	for (unsigned int n = 0; n < sizeof(forms) / sizeof(forms[0]); n++) {
		for (unsigned int round = 0; round < 60; round++) {
			unsigned int size = 1 << (any(self) & 3), where = any(self) & 3;
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
		state->regs[n] = any(self);
	state->regs[1] = any(self) % 5 ? any(self) % 40 : 0;
	state->regs[4] = STACK + 2048;
	state->regs[6] = DATA + 4096 - 400 + any(self) % 800;
	state->regs[7] = DATA + 4096 - 400 + any(self) % 800;
	state->rflags = 2 | (any(self) & (RFLAGS_STATUS | RFLAGS_DF));
	/* Comparisons that go on for a while. */
	if (any(self) & 1)
		state->regs[7] = state->regs[6];
	memcpy(&state->regs[0], (void *)state->regs[7], 8);
}

TEST_F(emulate, strings_like_the_cpu)
{
	static const unsigned char opcodes[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad,
						 0xae, 0xaf };
	static const unsigned char sizes[] = { 0, 0x66, 0x48 };
	static const unsigned char repeats[] = { 0, 0xf2, 0xf3 };

	for (unsigned int round = 0; round < 4000; round++) {
		unsigned char opcode = opcodes[any(self) % sizeof(opcodes)];
		unsigned char repeat = repeats[any(self) % 3], size = sizes[any(self) % 3];
		unsigned int where = any(self) & 3;
		struct made made = {};
		struct state state;

		fill(self, where);
		if (any(self) & 1)
			memset(self->data, 0x77, 8192);
		memcpy(page(self, 0, where), self->data, 4096);
		memcpy(page(self, 1, where), self->data + 4096, 4096);
		make_string(self, &state);
		if (any(self) % 4 == 0)
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

	fill(self, 2);
	compare(_metadata, self, BYTES("\x48\xa1\xfe\x0f\0\x10\0\0\0\0"), &state, 2, 0);
	compare(_metadata, self, BYTES("\xa2\xff\x0f\0\x10\0\0\0\0"), &state, 2, 0);
	compare(_metadata, self, BYTES("\x66\xa3\xff\x0f\0\x10\0\0\0\0"), &state, 2, 0);
	compare(_metadata, self, BYTES("\x67\xa1\xff\x0f\0\x10"), &state, 2, 0);
	/* -0x10000000 + 0xffa from the end, then an immediate. */
	compare(_metadata, self, BYTES("\xc7\x05\xfa\x0f\0\xf0\x78\x56\x34\x12"), &state, 2, 0);
}

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

static void expect_exception(struct __test_metadata *_metadata, emulate_t *self, int ret,
			     uint32_t vector, uint32_t error, uint64_t cr2)
{
	uint32_t info = VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | vector;

	if (vector != VECTOR_UD && self->run.cr0 & CR0_PE)
		info |= VMX_INTR_ERROR_CODE;
	ASSERT_EQ(VMX_EMULATE_INJECT, ret);
	EXPECT_EQ(info, self->run.inject_info);
	EXPECT_EQ(error, self->run.inject_error);
	EXPECT_EQ(cr2, self->emulator.exception.cr2);
	EXPECT_EQ(0, self->run.retire);
	EXPECT_TRUE(self->run.rflags & RFLAGS_RF);
	EXPECT_TRUE(self->run.dirty & VMX_STATE_RFLAGS);
	self->run.rflags &= ~RFLAGS_RF;
}

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
