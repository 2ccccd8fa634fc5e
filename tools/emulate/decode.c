// SPDX-License-Identifier: LGPL-2.1-or-later
/* Fetches the instruction at CS:RIP and has Zydis decode it. */
#include <stdio.h>
#include <string.h>

#include "emulator.h"

#define PAGE 4096

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

int vmx_em_decode(struct emulation *em)
{
	ZydisDecoder decoder;
	ZyanStatus status;
	int ret;

	em->machine_mode = machine_mode(em);
	ZydisDecoderInit(&decoder, em->machine_mode,
			 em->mode == 64 ? ZYDIS_STACK_WIDTH_64 :
			 em->run->ss_access & VMX_ACCESS_DB ? ZYDIS_STACK_WIDTH_32 :
			 ZYDIS_STACK_WIDTH_16);
	/* The next page matters only if the instruction goes on there. */
	do {
		ret = fetch(em);
		if (ret)
			return ret;
		status = ZydisDecoderDecodeFull(&decoder, em->bytes, em->fetched, &em->insn,
						em->operands);
	} while (status == ZYDIS_STATUS_NO_MORE_DATA && em->fetched < MOST_BYTES);

	if (ZYAN_SUCCESS(status))
		return 0;
	/* SDM, "Interrupt 13": longer than 15 bytes. What Zydis does not know is no instruction. */
	if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG || status == ZYDIS_STATUS_NO_MORE_DATA)
		return vmx_em_raise_exception(em, VECTOR_GP, 0);
	return vmx_em_raise_exception(em, VECTOR_UD, 0);
}

int vmx_em_cannot(struct emulation *em, const char *why)
{
	char bytes[3 * MOST_BYTES + 1] = "", text[128] = "";
	ZydisFormatter formatter;

	for (unsigned int n = 0; n < em->insn.length; n++)
		sprintf(bytes + 3 * n, "%02x ", em->bytes[n]);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterFormatInstruction(&formatter, &em->insn, em->operands,
					em->insn.operand_count_visible, text, sizeof(text),
					em->run->rip, NULL);
	return vmx_fail(EOPNOTSUPP, "cannot emulate %s(%s) at RIP %#llx: %s", bytes, text,
			(unsigned long long)em->run->rip, why);
}
