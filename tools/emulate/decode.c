// SPDX-License-Identifier: LGPL-2.1-or-later
/* Fetches the instruction at CS:RIP and has Zydis decode it. */
#include <stdio.h>
#include <string.h>

#include "emulator.h"

#define PAGE 4096

const struct decoded vmx_em_nothing;

static ZydisMachineMode machine_mode(const struct emulation *em)
{
	bool protected = em->run->cr0 & CR0_PE && !(em->rflags & RFLAGS_VM);

	switch (em->mode) {
	case 64:
		return ZYDIS_MACHINE_MODE_LONG_64;
	case 32:
		return ZYDIS_MACHINE_MODE_LEGACY_32;
	default:
		return protected ? ZYDIS_MACHINE_MODE_LEGACY_16 : ZYDIS_MACHINE_MODE_REAL_16;
	}
}

static ZydisStackWidth stack_width(const struct emulation *em)
{
	if (em->mode == 64)
		return ZYDIS_STACK_WIDTH_64;
	return em->run->ss_access & VMX_ACCESS_DB ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
}

static uint64_t code_address(const struct emulation *em)
{
	if (em->mode == 64)
		return em->run->rip;
	return (em->run->cs_base + (uint32_t)em->run->rip) & UINT32_MAX;
}

/* Fetches on to the end of the page, or to the longest instruction's. */
static int fetch(struct emulation *em)
{
	const struct vmx_emulator_ops *ops = em->emulator->ops;
	uint64_t linear = code_address(em) + em->fetched;
	unsigned int length = PAGE - linear % PAGE;
	uint64_t gpa;
	void *host;
	int ret;

	if (length > MOST_BYTES - em->fetched)
		length = MOST_BYTES - em->fetched;
	if (em->mode != 64)
		linear &= UINT32_MAX;
	ret = vmx_em_translate(em, linear, VMX_WALK_FETCH, &gpa);
	if (ret)
		return ret;
	host = ops->host(em->emulator->machine, gpa, length, false);
	if (!host)
		return vmx_fail(EOPNOTSUPP, "cannot emulate the instruction at RIP %#llx: "
				"its code, at guest-physical %#llx, is not in RAM",
				(unsigned long long)em->run->rip, (unsigned long long)gpa);
	memcpy(em->bytes + em->fetched, host, length);
	em->fetched += length;
	return 0;
}

/*
 * Drivers access devices by few instructions, again and again, so what was decoded last is kept. It
 * goes by the bytes alone: whatever the guest writes there, equal bytes mean the same. Each thread
 * has its own.
 */
#define KEPT	16

static _Thread_local struct decoded kept[KEPT];

static bool is_same(const struct decoded *code, const struct emulation *em,
		    ZydisMachineMode mode, ZydisStackWidth stack)
{
	return code->insn.length && code->insn.length <= em->fetched && code->mode == mode &&
	       code->stack == stack && !memcmp(code->bytes, em->bytes, code->insn.length);
}

/* The next page matters only if the instruction goes on there. */
static int decode(struct emulation *em, struct decoded *code)
{
	ZydisDecoder decoder;
	ZyanStatus status;

	ZydisDecoderInit(&decoder, code->mode, code->stack);
	for (;;) {
		int ret;

		status = ZydisDecoderDecodeFull(&decoder, em->bytes, em->fetched, &code->insn,
						code->operands);
		if (status != ZYDIS_STATUS_NO_MORE_DATA || em->fetched == MOST_BYTES)
			break;
		ret = fetch(em);
		if (ret)
			return ret;
	}
	if (ZYAN_SUCCESS(status))
		return 0;
	/* SDM, "Interrupt 13": more than 15 bytes. Other errors are unknown opcodes. */
	if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG || status == ZYDIS_STATUS_NO_MORE_DATA)
		return vmx_em_raise_exception(em, VECTOR_GP, 0);
	return vmx_em_raise_exception(em, VECTOR_UD, 0);
}

int vmx_em_decode(struct emulation *em)
{
	ZydisMachineMode mode = machine_mode(em);
	ZydisStackWidth stack = stack_width(em);
	struct decoded *code = &kept[em->run->rip % KEPT];
	int ret = fetch(em);

	if (ret)
		return ret;
	if (!is_same(code, em, mode, stack)) {
		code->mode = mode;
		code->stack = stack;
		ret = decode(em, code);
		if (ret) {
			code->insn.length = 0;
			return ret;
		}
		memcpy(code->bytes, em->bytes, MOST_BYTES);
	}
	em->code = code;
	return 0;
}

int vmx_em_cannot(struct emulation *em, const char *why)
{
	char bytes[3 * MOST_BYTES + 1] = "", text[128] = "";
	ZydisFormatter formatter;

	for (unsigned int n = 0; n < em->code->insn.length; n++)
		sprintf(bytes + 3 * n, "%02x ", em->bytes[n]);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterFormatInstruction(&formatter, &em->code->insn, em->code->operands,
					em->code->insn.operand_count_visible, text, sizeof(text),
					em->run->rip, NULL);
	return vmx_fail(EOPNOTSUPP, "cannot emulate %s(%s) at RIP %#llx: %s", bytes, text,
			(unsigned long long)em->run->rip, why);
}
