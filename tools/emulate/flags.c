// SPDX-License-Identifier: LGPL-2.1-or-later
/* Arithmetic and the status flags (SDM, "EFLAGS Cross-Reference"). */
#include "emulator.h"

static uint64_t flag(bool set, uint64_t bit)
{
	return set ? bit : 0;
}

/* What the result alone decides. */
static uint64_t result_flags(uint64_t result, unsigned int bits)
{
	return flag(!__builtin_parity(result & 0xff), RFLAGS_PF) | flag(!result, RFLAGS_ZF) |
	       flag(result >> (bits - 1) & 1, RFLAGS_SF);
}

uint64_t vmx_em_alu(enum alu op, uint64_t a, uint64_t b, unsigned int bits, uint64_t *rflags)
{
	uint64_t mask = bytes_mask(bits / 8);
	bool with_carry = op == ALU_ADC || op == ALU_SBB;
	unsigned int carry = with_carry && *rflags & RFLAGS_CF;
	uint64_t result = 0, carries = 0, overflow = 0, status;

	a &= mask;
	b &= mask;
	switch (op) {
	case ALU_AND:
		result = a & b;
		break;
	case ALU_OR:
		result = a | b;
		break;
	case ALU_XOR:
		result = a ^ b;
		break;
	case ALU_ADD:
	case ALU_ADC:
		result = (a + b + carry) & mask;
		/* Carries out of each bit. */
		carries = (a & b) | ((a | b) & ~result);
		overflow = (a ^ result) & (b ^ result);
		break;
	case ALU_SUB:
	case ALU_SBB:
		result = (a - b - carry) & mask;
		/* Borrows into each bit from the next. */
		carries = (~a & b) | (~(a ^ b) & result);
		overflow = (a ^ b) & (a ^ result);
		break;
	}
	status = result_flags(result, bits);
	status |= flag(carries >> (bits - 1) & 1, RFLAGS_CF);
	status |= flag(carries >> 3 & 1, RFLAGS_AF);
	status |= flag(overflow >> (bits - 1) & 1, RFLAGS_OF);
	*rflags = (*rflags & ~RFLAGS_STATUS) | status;
	return result;
}

bool vmx_em_condition(unsigned int code, uint64_t rflags)
{
	bool less = !(rflags & RFLAGS_SF) != !(rflags & RFLAGS_OF);
	bool met;

	switch (code >> 1) {
	case 0:
		met = rflags & RFLAGS_OF;
		break;
	case 1:
		met = rflags & RFLAGS_CF;
		break;
	case 2:
		met = rflags & RFLAGS_ZF;
		break;
	case 3:
		met = rflags & (RFLAGS_CF | RFLAGS_ZF);
		break;
	case 4:
		met = rflags & RFLAGS_SF;
		break;
	case 5:
		met = rflags & RFLAGS_PF;
		break;
	case 6:
		met = less;
		break;
	default:
		met = less || rflags & RFLAGS_ZF;
	}
	return met != (code & 1);
}
