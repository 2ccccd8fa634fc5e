// SPDX-License-Identifier: LGPL-2.1-or-later
/* String instructions, with memory or a port on either side (SDM, "String Operations"). */
#include "emulator.h"

/* What one round does. */
#define FROM_SI		0x01	/* takes what DS:rSI points to, */
#define FROM_PORT	0x02	/* or what the port gives, or else the accumulator, */
#define TO_DI		0x04	/* and writes it to ES:rDI, */
#define WITH_DI		0x08	/* or compares it with what is there, */
#define TO_PORT		0x10	/* or gives it to the port, or else loads the accumulator */

struct kind {
	ZydisMnemonic mnemonic;
	unsigned int size;
	unsigned int does;
};

static const struct kind kinds[] = {
	{ ZYDIS_MNEMONIC_MOVSB, 1, FROM_SI | TO_DI },
	{ ZYDIS_MNEMONIC_MOVSW, 2, FROM_SI | TO_DI },
	{ ZYDIS_MNEMONIC_MOVSD, 4, FROM_SI | TO_DI },
	{ ZYDIS_MNEMONIC_MOVSQ, 8, FROM_SI | TO_DI },
	{ ZYDIS_MNEMONIC_STOSB, 1, TO_DI },
	{ ZYDIS_MNEMONIC_STOSW, 2, TO_DI },
	{ ZYDIS_MNEMONIC_STOSD, 4, TO_DI },
	{ ZYDIS_MNEMONIC_STOSQ, 8, TO_DI },
	{ ZYDIS_MNEMONIC_LODSB, 1, FROM_SI },
	{ ZYDIS_MNEMONIC_LODSW, 2, FROM_SI },
	{ ZYDIS_MNEMONIC_LODSD, 4, FROM_SI },
	{ ZYDIS_MNEMONIC_LODSQ, 8, FROM_SI },
	{ ZYDIS_MNEMONIC_CMPSB, 1, FROM_SI | WITH_DI },
	{ ZYDIS_MNEMONIC_CMPSW, 2, FROM_SI | WITH_DI },
	{ ZYDIS_MNEMONIC_CMPSD, 4, FROM_SI | WITH_DI },
	{ ZYDIS_MNEMONIC_CMPSQ, 8, FROM_SI | WITH_DI },
	{ ZYDIS_MNEMONIC_SCASB, 1, WITH_DI },
	{ ZYDIS_MNEMONIC_SCASW, 2, WITH_DI },
	{ ZYDIS_MNEMONIC_SCASD, 4, WITH_DI },
	{ ZYDIS_MNEMONIC_SCASQ, 8, WITH_DI },
	{ ZYDIS_MNEMONIC_INSB, 1, FROM_PORT | TO_DI },
	{ ZYDIS_MNEMONIC_INSW, 2, FROM_PORT | TO_DI },
	{ ZYDIS_MNEMONIC_INSD, 4, FROM_PORT | TO_DI },
	{ ZYDIS_MNEMONIC_OUTSB, 1, FROM_SI | TO_PORT },
	{ ZYDIS_MNEMONIC_OUTSW, 2, FROM_SI | TO_PORT },
	{ ZYDIS_MNEMONIC_OUTSD, 4, FROM_SI | TO_PORT },
};

/* A string instruction on its way. */
struct string {
	unsigned int size;
	unsigned int does;
	unsigned int segment;	/* of the source */
	uint16_t port;
	uint8_t repeat;		/* its prefix, 0 without */
};

bool vmx_em_is_string(const struct emulation *em)
{
	return em->code->insn.meta.category == ZYDIS_CATEGORY_STRINGOP;
}

bool vmx_em_is_string_io(const struct emulation *em)
{
	return em->code->insn.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

/* The prefix that counts is the last. */
static uint8_t repeat_prefix(const struct emulation *em)
{
	uint8_t prefix = 0;

	for (unsigned int n = 0; n < em->code->insn.raw.prefix_count; n++) {
		uint8_t value = em->code->insn.raw.prefixes[n].value;

		if (value == 0xf2 || value == 0xf3)
			prefix = value;
	}
	return prefix;
}

/* Zydis says which segment the operand at rSI is in. */
static unsigned int source_segment(const struct emulation *em)
{
	for (unsigned int n = 0; n < em->code->insn.operand_count; n++) {
		const ZydisDecodedOperand *operand = &em->code->operands[n];

		if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (operand->mem.base == ZYDIS_REGISTER_SI ||
		     operand->mem.base == ZYDIS_REGISTER_ESI ||
		     operand->mem.base == ZYDIS_REGISTER_RSI))
			return vmx_em_segment_of(operand->mem.segment);
	}
	return SEG_DS;
}

static bool find_kind(const struct emulation *em, struct string *string)
{
	for (size_t n = 0; n < COUNT(kinds); n++) {
		if (kinds[n].mnemonic != em->code->insn.mnemonic)
			continue;
		*string = (struct string){
			.size = kinds[n].size,
			.does = kinds[n].does,
			.segment = source_segment(em),
			.repeat = repeat_prefix(em),
		};
		return true;
	}
	return false;
}

static uint64_t address_register(const struct emulation *em, unsigned int n)
{
	return em->regs[n] & bytes_mask(em->code->insn.address_width / 8);
}

static void advance(struct emulation *em, unsigned int n, const struct string *string)
{
	uint64_t step = em->rflags & RFLAGS_DF ? -(uint64_t)string->size : string->size;

	vmx_em_write_width(em, n, em->code->insn.address_width, em->regs[n] + step);
}

static uint64_t take(struct emulation *em, const struct string *string, const struct place *source)
{
	const struct vmx_emulator_ops *ops = em->emulator->ops;

	if (string->does & FROM_SI)
		return vmx_em_read_value(em, source);
	if (string->does & FROM_PORT)
		return ops->in(em->emulator->machine, string->port, string->size);
	return em->regs[VMX_RAX];
}

static void give(struct emulation *em, const struct string *string, const struct place *target,
		 uint64_t value)
{
	const struct vmx_emulator_ops *ops = em->emulator->ops;

	if (string->does & TO_DI)
		vmx_em_write_value(em, target, value);
	else if (string->does & WITH_DI)
		vmx_em_alu(ALU_SUB, value, vmx_em_read_value(em, target), 8 * string->size,
			   &em->rflags);
	else if (string->does & TO_PORT)
		ops->out(em->emulator->machine, string->port, string->size,
			 value & bytes_mask(string->size));
	else
		vmx_em_write_width(em, VMX_RAX, 8 * string->size, value);
}

/* Once round: nothing is touched before all of it may be. */
static int once(struct emulation *em, const struct string *string)
{
	struct place source, target;
	int ret;

	if (string->does & FROM_SI) {
		ret = vmx_em_find_place(em, string->segment, address_register(em, VMX_RSI),
					string->size, 0, &source);
		if (ret)
			return ret;
	}
	if (string->does & (TO_DI | WITH_DI)) {
		ret = vmx_em_find_place(em, SEG_ES, address_register(em, VMX_RDI), string->size,
					string->does & TO_DI ? VMX_WALK_WRITE : 0, &target);
		if (ret)
			return ret;
	}
	give(em, string, &target, take(em, string, &source));
	if (string->does & FROM_SI)
		advance(em, VMX_RSI, string);
	if (string->does & (TO_DI | WITH_DI))
		advance(em, VMX_RDI, string);
	return 0;
}

/* REPE and REPNE look at ZF, after comparisons. */
static bool decided(const struct emulation *em, const struct string *string)
{
	bool equal = em->rflags & RFLAGS_ZF;

	return string->does & WITH_DI && equal != (string->repeat == 0xf3);
}

static int repeat(struct emulation *em, const struct string *string)
{
	unsigned int width = em->code->insn.address_width;

	for (unsigned int n = 0; address_register(em, VMX_RCX); n++) {
		int ret;

		if (n == em->emulator->burst) {
			em->again = true;
			break;
		}
		ret = once(em, string);
		if (ret)
			return ret;
		vmx_em_write_width(em, VMX_RCX, width, em->regs[VMX_RCX] - 1);
		if (decided(em, string))
			break;
	}
	return 0;
}

/* INS and OUTS that did not exit as such: the CPU may have seen another instruction. */
static bool may_do_io(const struct emulation *em)
{
	unsigned int cpl = (em->run->ss_access & VMX_ACCESS_DPL_MASK) >> VMX_ACCESS_DPL_SHIFT;

	if (!(em->run->cr0 & CR0_PE))
		return true;
	return !(em->rflags & RFLAGS_VM) && cpl <= (em->rflags & RFLAGS_IOPL) >> 12;
}

int vmx_em_execute_string(struct emulation *em, const uint16_t *port)
{
	struct string string;

	/* MOVSD and CMPSD are names of SSE instructions, too, but not in this category. */
	if (!find_kind(em, &string))
		return vmx_em_cannot(em, "this instruction is not emulated");
	if (string.does & (FROM_PORT | TO_PORT)) {
		if (!port && !may_do_io(em))
			return vmx_em_cannot(em, "the I/O permission bitmap would have to be read");
		string.port = port ? *port : em->regs[VMX_RDX];
	}
	return string.repeat ? repeat(em, &string) : once(em, &string);
}
