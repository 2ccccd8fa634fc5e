// SPDX-License-Identifier: LGPL-2.1-or-later
/* Operands as Zydis describes them: registers, addresses, immediates. */
#include "emulator.h"

bool vmx_em_is_gpr(ZydisRegister reg)
{
	return reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15;
}

static bool is_high_byte(ZydisRegister reg)
{
	return reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
}

/* A general register's number; AH is part of register 0. */
static unsigned int number(ZydisRegister reg)
{
	ZydisRegister whole;

	if (is_high_byte(reg))
		return reg - ZYDIS_REGISTER_AH;
	whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	return (whole - ZYDIS_REGISTER_RAX) & 15;
}

static unsigned int width(ZydisRegister reg)
{
	return ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg);
}

uint64_t vmx_em_read_register(const struct emulation *em, ZydisRegister reg)
{
	uint64_t value = em->regs[number(reg)];

	if (is_high_byte(reg))
		value >>= 8;
	return value & bytes_mask(width(reg) / 8);
}

void vmx_em_write_width(struct emulation *em, unsigned int n, unsigned int width, uint64_t value)
{
	uint64_t mask = bytes_mask(width / 8);
	/* SDM, "General-Purpose Registers in 64-Bit Mode": 32 bits clear those above. */
	uint64_t kept = width == 32 ? 0 : em->regs[n] & ~mask;

	em->regs[n] = kept | (value & mask);
}

void vmx_em_write_register(struct emulation *em, ZydisRegister reg, uint64_t value)
{
	unsigned int n = number(reg);

	if (is_high_byte(reg))
		em->regs[n] = (em->regs[n] & ~0xff00ull) | (value & 0xff) << 8;
	else
		vmx_em_write_width(em, n, width(reg), value);
}

int vmx_em_segment_of(ZydisRegister reg)
{
	switch (reg) {
	case ZYDIS_REGISTER_ES:
		return SEG_ES;
	case ZYDIS_REGISTER_CS:
		return SEG_CS;
	case ZYDIS_REGISTER_SS:
		return SEG_SS;
	case ZYDIS_REGISTER_FS:
		return SEG_FS;
	case ZYDIS_REGISTER_GS:
		return SEG_GS;
	default:
		return SEG_DS;
	}
}

static int effective_address(struct emulation *em, const ZydisDecodedOperandMem *mem,
			     uint64_t *address)
{
	uint64_t sum = mem->disp.has_displacement ? mem->disp.value : 0;

	if (mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP)
		sum += em->run->rip + em->code->insn.length;
	else if (vmx_em_is_gpr(mem->base))
		sum += vmx_em_read_register(em, mem->base);
	else if (mem->base != ZYDIS_REGISTER_NONE)
		return vmx_em_cannot(em, "its base register is unknown");

	if (vmx_em_is_gpr(mem->index))
		sum += vmx_em_read_register(em, mem->index) * mem->scale;
	else if (mem->index != ZYDIS_REGISTER_NONE)
		return vmx_em_cannot(em, "its index register is unknown");
	*address = sum;
	return 0;
}

/* CLFLUSH and its like name a cache line, and are judged as reads of a byte (SDM, "CLFLUSH"). */
static unsigned int size_of(const ZydisDecodedOperand *operand)
{
	return operand->size == 8 * CACHE_LINE ? 1 : operand->size / 8;
}

int vmx_em_find_operand(struct emulation *em, int64_t distance)
{
	for (unsigned int n = 0; n < em->code->insn.operand_count_visible; n++) {
		const ZydisDecodedOperand *operand = &em->code->operands[n];
		unsigned int size = size_of(operand);
		unsigned int access = 0;
		uint64_t address = 0;
		int ret;

		if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		if (operand->mem.type != ZYDIS_MEMOP_TYPE_MEM)
			return vmx_em_cannot(em, "it does not access its memory operand plainly");
		if (!size || size > WIDEST)
			return vmx_em_cannot(em, "its memory operand is too wide");
		if (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
			access = VMX_WALK_WRITE;
		ret = effective_address(em, &operand->mem, &address);
		if (ret)
			return ret;
		address = (address + distance) & bytes_mask(em->code->insn.address_width / 8);
		return vmx_em_find_place(em, vmx_em_segment_of(operand->mem.segment), address,
					 size, access, &em->place);
	}
	return 0;
}

uint64_t vmx_em_read_operand(struct emulation *em, unsigned int n)
{
	const ZydisDecodedOperand *operand = &em->code->operands[n];

	switch (operand->type) {
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return vmx_em_read_value(em, &em->place);
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		return operand->imm.value.u;
	default:
		return vmx_em_read_register(em, operand->reg.value);
	}
}

void vmx_em_write_operand(struct emulation *em, unsigned int n, uint64_t value)
{
	const ZydisDecodedOperand *operand = &em->code->operands[n];

	if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY)
		vmx_em_write_value(em, &em->place, value);
	else
		vmx_em_write_register(em, operand->reg.value, value);
}
