// SPDX-License-Identifier: LGPL-2.1-or-later
/* The operations of all instructions except string instructions. LOCK has no effect on MMIO. */
#include <string.h>

#include "emulator.h"

/* Beside an enum alu: only flags come of it. */
#define DISCARD 0x10

/* Operand 0 is the destination, 1 the source. */
static unsigned int bits_of(const struct emulation *em, unsigned int n)
{
	return em->code->operands[n].size;
}

static uint64_t get(struct emulation *em, unsigned int n)
{
	return vmx_em_read_operand(em, n);
}

static void put(struct emulation *em, unsigned int n, uint64_t value)
{
	vmx_em_write_operand(em, n, value);
}

/* On as many bits as the destination has. */
static uint64_t compute(struct emulation *em, enum alu op, uint64_t a, uint64_t b)
{
	return vmx_em_alu(op, a, b, bits_of(em, 0), &em->rflags);
}

static int move(struct emulation *em, unsigned int unused)
{
	(void)unused;
	put(em, 0, get(em, 1));
	return 0;
}

static int move_signed(struct emulation *em, unsigned int unused)
{
	unsigned int shift = 64 - bits_of(em, 1);

	(void)unused;
	put(em, 0, (int64_t)(get(em, 1) << shift) >> shift);
	return 0;
}

static int move_swapped(struct emulation *em, unsigned int unused)
{
	(void)unused;
	put(em, 0, __builtin_bswap64(get(em, 1)) >> (64 - bits_of(em, 0)));
	return 0;
}

static int move_if(struct emulation *em, unsigned int unused)
{
	uint64_t source = get(em, 1);

	(void)unused;
	if (!vmx_em_condition(em->code->insn.opcode & 15, em->rflags))
		source = get(em, 0);
	put(em, 0, source);
	return 0;
}

static int set_if(struct emulation *em, unsigned int unused)
{
	(void)unused;
	put(em, 0, vmx_em_condition(em->code->insn.opcode & 15, em->rflags));
	return 0;
}

static int binary(struct emulation *em, unsigned int op)
{
	uint64_t a = get(em, 0);
	uint64_t result = compute(em, op & ~DISCARD, a, get(em, 1));

	if (!(op & DISCARD))
		put(em, 0, result);
	return 0;
}

/* INC and DEC: an addition of 1 that leaves CF alone. */
static int step(struct emulation *em, unsigned int op)
{
	uint64_t carry = em->rflags & RFLAGS_CF;

	put(em, 0, compute(em, op, get(em, 0), 1));
	em->rflags = (em->rflags & ~RFLAGS_CF) | carry;
	return 0;
}

static int negate(struct emulation *em, unsigned int unused)
{
	(void)unused;
	put(em, 0, compute(em, ALU_SUB, 0, get(em, 0)));
	return 0;
}

static int invert(struct emulation *em, unsigned int unused)
{
	(void)unused;
	put(em, 0, ~get(em, 0));
	return 0;
}

static int exchange(struct emulation *em, unsigned int unused)
{
	uint64_t a = get(em, 0);
	uint64_t b = get(em, 1);

	(void)unused;
	put(em, 0, b);
	put(em, 1, a);
	return 0;
}

static int exchange_add(struct emulation *em, unsigned int unused)
{
	uint64_t old = get(em, 0);
	uint64_t sum = compute(em, ALU_ADD, old, get(em, 1));

	(void)unused;
	put(em, 1, old);
	put(em, 0, sum);
	return 0;
}

/* The destination is written even if it stays (SDM, "CMPXCHG"). */
static int compare_exchange(struct emulation *em, unsigned int unused)
{
	unsigned int bits = bits_of(em, 0);
	uint64_t old = get(em, 0);
	uint64_t accumulator = em->regs[VMX_RAX] & bytes_mask(bits / 8);
	bool equal = accumulator == old;

	(void)unused;
	compute(em, ALU_SUB, accumulator, old);
	put(em, 0, equal ? get(em, 1) : old);
	if (!equal)
		vmx_em_write_width(em, VMX_RAX, bits, old);
	return 0;
}

/* CMPXCHG8B and CMPXCHG16B: twice HALF bytes. */
static int compare_exchange_pair(struct emulation *em, unsigned int half)
{
	uint64_t low = 0, high = 0, mask = bytes_mask(half);
	unsigned char bytes[WIDEST];

	if (half == 8 && em->place.pieces[0].gpa & 15)
		return vmx_em_raise_exception(em, VECTOR_GP, 0);
	vmx_em_read_place(em, &em->place, bytes);
	memcpy(&low, bytes, half);
	memcpy(&high, bytes + half, half);
	if (low == (em->regs[VMX_RAX] & mask) && high == (em->regs[VMX_RDX] & mask)) {
		em->rflags |= RFLAGS_ZF;
		memcpy(bytes, &em->regs[VMX_RBX], half);
		memcpy(bytes + half, &em->regs[VMX_RCX], half);
	} else {
		em->rflags &= ~RFLAGS_ZF;
		vmx_em_write_width(em, VMX_RAX, 8 * half, low);
		vmx_em_write_width(em, VMX_RDX, 8 * half, high);
	}
	vmx_em_write_place(em, &em->place, bytes);
	return 0;
}

enum bit { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

/* A bit offset in a register reaches beyond the operand (SDM, "Bit(BitBase, BitOffset)"). */
static int bit(struct emulation *em, unsigned int op)
{
	unsigned int bits = bits_of(em, 0);
	int64_t offset = get(em, 1);
	uint64_t value, mask = 1ull << (offset & (bits - 1));
	int64_t distance = 0;
	int ret;

	if (em->code->operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
		offset = (int64_t)((uint64_t)offset << (64 - bits)) >> (64 - bits);
		distance = (offset >> __builtin_ctz(bits)) * (bits / 8);
	}
	ret = vmx_em_find_operand(em, distance);
	if (ret)
		return ret;
	value = get(em, 0);
	em->rflags = (em->rflags & ~RFLAGS_CF) | (value & mask ? RFLAGS_CF : 0);
	if (op == BIT_SET)
		value |= mask;
	else if (op == BIT_RESET)
		value &= ~mask;
	else if (op == BIT_COMPLEMENT)
		value ^= mask;
	if (op != BIT_TEST)
		put(em, 0, value);
	return 0;
}

/* The width of the stack pointer. */
static unsigned int stack_width(const struct emulation *em)
{
	if (em->mode == 64)
		return 64;
	return em->run->ss_access & VMX_ACCESS_DB ? 32 : 16;
}

static int push(struct emulation *em, unsigned int unused)
{
	unsigned int size = em->code->insn.operand_width / 8;
	unsigned int width = stack_width(em);
	uint64_t top = (em->regs[VMX_RSP] - size) & bytes_mask(width / 8);
	struct place stack;
	int ret;

	(void)unused;
	ret = vmx_em_find_place(em, SEG_SS, top, size, VMX_WALK_WRITE, &stack);
	if (ret)
		return ret;
	vmx_em_write_value(em, &stack, get(em, 0));
	vmx_em_write_width(em, VMX_RSP, width, top);
	return 0;
}

/* An address that uses RSP uses what it is after the pop (SDM, "POP"). */
static int pop(struct emulation *em, unsigned int unused)
{
	unsigned int size = em->code->insn.operand_width / 8;
	unsigned int width = stack_width(em);
	uint64_t top = em->regs[VMX_RSP] & bytes_mask(width / 8);
	struct place stack;
	int ret;

	(void)unused;
	ret = vmx_em_find_place(em, SEG_SS, top, size, 0, &stack);
	if (ret)
		return ret;
	vmx_em_write_width(em, VMX_RSP, width, top + size);
	ret = vmx_em_find_operand(em, 0);
	if (ret)
		return ret;
	put(em, 0, vmx_em_read_value(em, &stack));
	return 0;
}

static int xmm(struct emulation *em, unsigned int n, uint8_t bytes[WIDEST], bool write)
{
	const struct vmx_emulator_ops *ops = em->emulator->ops;
	ZydisRegister reg = em->code->operands[n].reg.value;

	return ops->xmm(em->emulator->machine, reg - ZYDIS_REGISTER_XMM0, bytes, write);
}

enum half { WHOLE, ALIGNED, LOW, HIGH };

/*
 * SDM, "Exceptions Type 4": the CPU made these checks of the instruction that exited. Another one
 * may be there by now.
 */
static int check_sse(struct emulation *em)
{
	const struct vmx_run_page *run = em->run;

	if (run->cr0 & CR0_EM || !(run->cr4 & CR4_OSFXSR))
		return vmx_em_raise_exception(em, VECTOR_UD, 0);
	return run->cr0 & CR0_TS ? vmx_em_raise_exception(em, VECTOR_NM, 0) : 0;
}

/* Loads clear what they do not load, but for those of a half. */
static int move_xmm(struct emulation *em, unsigned int half)
{
	unsigned int skip = half == HIGH ? 8 : 0;
	bool store = em->code->operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
	const ZydisDecodedOperand *other = &em->code->operands[store];
	uint8_t bytes[WIDEST] = { 0 };
	int ret;

	if (other->type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    other->reg.value < ZYDIS_REGISTER_XMM0 || other->reg.value > ZYDIS_REGISTER_XMM15 ||
	    em->code->operands[!store].type != ZYDIS_OPERAND_TYPE_MEMORY)
		return vmx_em_cannot(em, "it is emulated only between memory and an XMM register");
	if (!em->emulator->ops->xmm)
		return vmx_em_cannot(em, "XMM registers are out of reach");
	ret = check_sse(em);
	if (ret)
		return ret;
	if (half == ALIGNED && em->place.pieces[0].gpa & (WIDEST - 1))
		return vmx_em_raise_exception(em, VECTOR_GP, 0);
	if (store || half >= LOW)
		ret = xmm(em, store, bytes, false);
	if (ret)
		return ret;
	if (store) {
		vmx_em_write_place(em, &em->place, bytes + skip);
		return 0;
	}
	vmx_em_read_place(em, &em->place, bytes + skip);
	return xmm(em, 0, bytes, true);
}

/* Accesses nothing that a device would see. */
static int flush(struct emulation *em, unsigned int unused)
{
	(void)em;
	(void)unused;
	return 0;
}

/* Flags of a row. */
#define OWN_ADDRESS	0x1	/* calls vmx_em_find_operand() by itself */
#define XMM		0x2	/* has operands that are not general registers */

struct row {
	int (*run)(struct emulation *em, unsigned int detail);
	unsigned int detail;
	unsigned int flags;
};

static const struct row rows[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	[ZYDIS_MNEMONIC_MOV] = { move, 0, 0 },
	[ZYDIS_MNEMONIC_MOVZX] = { move, 0, 0 },
	[ZYDIS_MNEMONIC_MOVNTI] = { move, 0, 0 },
	[ZYDIS_MNEMONIC_MOVSX] = { move_signed, 0, 0 },
	[ZYDIS_MNEMONIC_MOVSXD] = { move_signed, 0, 0 },
	[ZYDIS_MNEMONIC_MOVBE] = { move_swapped, 0, 0 },
	[ZYDIS_MNEMONIC_ADD] = { binary, ALU_ADD, 0 },
	[ZYDIS_MNEMONIC_OR] = { binary, ALU_OR, 0 },
	[ZYDIS_MNEMONIC_ADC] = { binary, ALU_ADC, 0 },
	[ZYDIS_MNEMONIC_SBB] = { binary, ALU_SBB, 0 },
	[ZYDIS_MNEMONIC_AND] = { binary, ALU_AND, 0 },
	[ZYDIS_MNEMONIC_SUB] = { binary, ALU_SUB, 0 },
	[ZYDIS_MNEMONIC_XOR] = { binary, ALU_XOR, 0 },
	[ZYDIS_MNEMONIC_CMP] = { binary, ALU_SUB | DISCARD, 0 },
	[ZYDIS_MNEMONIC_TEST] = { binary, ALU_AND | DISCARD, 0 },
	[ZYDIS_MNEMONIC_INC] = { step, ALU_ADD, 0 },
	[ZYDIS_MNEMONIC_DEC] = { step, ALU_SUB, 0 },
	[ZYDIS_MNEMONIC_NEG] = { negate, 0, 0 },
	[ZYDIS_MNEMONIC_NOT] = { invert, 0, 0 },
	[ZYDIS_MNEMONIC_XCHG] = { exchange, 0, 0 },
	[ZYDIS_MNEMONIC_XADD] = { exchange_add, 0, 0 },
	[ZYDIS_MNEMONIC_CMPXCHG] = { compare_exchange, 0, 0 },
	[ZYDIS_MNEMONIC_CMPXCHG8B] = { compare_exchange_pair, 4, 0 },
	[ZYDIS_MNEMONIC_CMPXCHG16B] = { compare_exchange_pair, 8, 0 },
	[ZYDIS_MNEMONIC_BT] = { bit, BIT_TEST, OWN_ADDRESS },
	[ZYDIS_MNEMONIC_BTS] = { bit, BIT_SET, OWN_ADDRESS },
	[ZYDIS_MNEMONIC_BTR] = { bit, BIT_RESET, OWN_ADDRESS },
	[ZYDIS_MNEMONIC_BTC] = { bit, BIT_COMPLEMENT, OWN_ADDRESS },
	[ZYDIS_MNEMONIC_PUSH] = { push, 0, 0 },
	[ZYDIS_MNEMONIC_POP] = { pop, 0, OWN_ADDRESS },
	[ZYDIS_MNEMONIC_CLFLUSH] = { flush, 0, 0 },
	[ZYDIS_MNEMONIC_CLFLUSHOPT] = { flush, 0, 0 },
	[ZYDIS_MNEMONIC_CLWB] = { flush, 0, 0 },
	[ZYDIS_MNEMONIC_MOVD] = { move_xmm, WHOLE, XMM },
	[ZYDIS_MNEMONIC_MOVQ] = { move_xmm, WHOLE, XMM },
	[ZYDIS_MNEMONIC_MOVSS] = { move_xmm, WHOLE, XMM },
	[ZYDIS_MNEMONIC_MOVSD] = { move_xmm, WHOLE, XMM },
	[ZYDIS_MNEMONIC_MOVUPS] = { move_xmm, WHOLE, XMM },
	[ZYDIS_MNEMONIC_MOVUPD] = { move_xmm, WHOLE, XMM },
	[ZYDIS_MNEMONIC_MOVDQU] = { move_xmm, WHOLE, XMM },
	[ZYDIS_MNEMONIC_LDDQU] = { move_xmm, WHOLE, XMM },
	[ZYDIS_MNEMONIC_MOVAPS] = { move_xmm, ALIGNED, XMM },
	[ZYDIS_MNEMONIC_MOVAPD] = { move_xmm, ALIGNED, XMM },
	[ZYDIS_MNEMONIC_MOVDQA] = { move_xmm, ALIGNED, XMM },
	[ZYDIS_MNEMONIC_MOVNTPS] = { move_xmm, ALIGNED, XMM },
	[ZYDIS_MNEMONIC_MOVNTPD] = { move_xmm, ALIGNED, XMM },
	[ZYDIS_MNEMONIC_MOVNTDQ] = { move_xmm, ALIGNED, XMM },
	[ZYDIS_MNEMONIC_MOVNTDQA] = { move_xmm, ALIGNED, XMM },
	[ZYDIS_MNEMONIC_MOVLPS] = { move_xmm, LOW, XMM },
	[ZYDIS_MNEMONIC_MOVLPD] = { move_xmm, LOW, XMM },
	[ZYDIS_MNEMONIC_MOVHPS] = { move_xmm, HIGH, XMM },
	[ZYDIS_MNEMONIC_MOVHPD] = { move_xmm, HIGH, XMM },
};

static const struct row conditional_move = { move_if, 0, 0 };
static const struct row conditional_set = { set_if, 0, 0 };

static const struct row *row_of(const struct emulation *em)
{
	switch (em->code->insn.meta.category) {
	case ZYDIS_CATEGORY_CMOV:
		return &conditional_move;
	case ZYDIS_CATEGORY_SETCC:
		return &conditional_set;
	default:
		return &rows[em->code->insn.mnemonic];
	}
}

/* Before a device sees anything: are all operands of kinds that rows without XMM take? */
static bool plain_operands(const struct emulation *em)
{
	for (unsigned int n = 0; n < em->code->insn.operand_count_visible; n++) {
		const ZydisDecodedOperand *operand = &em->code->operands[n];

		if (operand->size > 64 && operand->type != ZYDIS_OPERAND_TYPE_MEMORY)
			return false;
		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    !vmx_em_is_gpr(operand->reg.value))
			return false;
		if (operand->type == ZYDIS_OPERAND_TYPE_POINTER)
			return false;
	}
	return true;
}

int vmx_em_execute(struct emulation *em)
{
	const struct row *row;

	if (vmx_em_is_string_io(em) || vmx_em_is_string(em))
		return vmx_em_execute_string(em, NULL);
	row = row_of(em);
	if (!row->run)
		return vmx_em_cannot(em, "this instruction is not emulated");
	if (!(row->flags & XMM) && !plain_operands(em))
		return vmx_em_cannot(em, "only its forms with general registers are emulated");
	if (!(row->flags & OWN_ADDRESS)) {
		int ret = vmx_em_find_operand(em, 0);

		if (ret)
			return ret;
	}
	return row->run(em, row->detail);
}
