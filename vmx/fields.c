// SPDX-License-Identifier: GPL-2.0
/*
 * Finds VMCS fields and judges values for them, by the table in
 * field_table.c. Nothing here executes a VMX instruction.
 */
#include <linux/kernel.h>

#include <asm/processor-flags.h>

#include "../base/kunit-export.h"
#include "fields.h"

/**
 * vmx_field_at() - walk the table
 * @i: 0 to vmx_field_count - 1
 *
 * Return: the @i-th field, in ascending order of encoding.
 */
const struct vmx_field_desc *vmx_field_at(unsigned int i)
{
	return &vmx_field_table[i];
}
EXPORT_SYMBOL_IF_KUNIT(vmx_field_at);

/**
 * vmx_field_find() - find a field
 * @field: any 32-bit value
 *
 * Return: the field with this encoding; NULL if there is none, or it selects
 * the high half of a field.
 */
const struct vmx_field_desc *vmx_field_find(u32 field)
{
	unsigned int low = 0, high = vmx_field_count;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (vmx_field_table[middle].field == field)
			return &vmx_field_table[middle];
		if (vmx_field_table[middle].field < field)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
EXPORT_SYMBOL_IF_KUNIT(vmx_field_find);

/**
 * vmx_field_exists() - whether a CPU has a field
 * @desc: the field
 * @caps: capabilities of the CPU
 *
 * Return: true if VMREAD of it works.
 */
bool vmx_field_exists(const struct vmx_field_desc *desc,
		      const struct vmx_caps *caps)
{
	return desc->need == VMX_CAP_ALWAYS ||
	       vmx_caps_can_be_1(caps, desc->need) & desc->bits ||
	       vmx_caps_can_be_1(caps, VMX_CAP_EXIT) & desc->exit_bits;
}
EXPORT_SYMBOL_IF_KUNIT(vmx_field_exists);

static u64 width_mask(u32 field)
{
	switch (field & VMX_F_WIDTH_MASK) {
	case VMX_F_WIDTH_16:
		return 0xffff;
	case VMX_F_WIDTH_32:
		return 0xffffffff;
	default:
		return ~0ull;
	}
}

static enum vmx_refusal owner_refusal(const struct vmx_field_desc *desc,
				      const struct vmx_caps *caps)
{
	if (!desc || !vmx_field_exists(desc, caps))
		return VMX_REFUSED_UNKNOWN;
	switch (desc->owner) {
	case VMX_OWNER_MODULE:
		return VMX_REFUSED_MODULE;
	case VMX_OWNER_CPU:
		return VMX_REFUSED_READ_ONLY;
	default:
		return VMX_REFUSED_NOT;
	}
}

/**
 * vmx_field_rule() - which values userspace may write to a field
 * @desc: the field; NULL is one that does not exist
 * @ctx: the VMCS
 * @must: out: bits that are always 1
 * @may: out: bits that may be 1, @must included
 *
 * Return: %VMX_REFUSED_NOT, or why none: then @must and @may are 0.
 */
enum vmx_refusal vmx_field_rule(const struct vmx_field_desc *desc,
				const struct vmx_field_ctx *ctx, u64 *must,
				u64 *may)
{
	enum vmx_refusal refusal = owner_refusal(desc, ctx->caps);

	*must = 0;
	*may = 0;
	if (refusal)
		return refusal;
	*may = width_mask(desc->field);
	if (desc->policy)
		desc->policy->limits(ctx, must, may);
	return VMX_REFUSED_NOT;
}
EXPORT_SYMBOL_IF_KUNIT(vmx_field_rule);

/**
 * vmx_field_judge() - whether userspace may write a value
 * @desc: the field; NULL is one that does not exist
 * @ctx: the VMCS
 * @value: in: what is asked for; out: what to write
 * @forced: out: the bits in which the two differ
 * @bad_bits: out: with %VMX_REFUSED_BITS, the bits that cannot be 1
 *
 * Return: %VMX_REFUSED_NOT, or why nothing may be written; @value is unchanged
 * then.
 */
enum vmx_refusal vmx_field_judge(const struct vmx_field_desc *desc,
				 const struct vmx_field_ctx *ctx, u64 *value,
				 u64 *forced, u64 *bad_bits)
{
	u64 asked = *value, dictated, must, may;
	enum vmx_refusal refusal;

	*forced = 0;
	*bad_bits = 0;
	refusal = vmx_field_rule(desc, ctx, &must, &may);
	if (refusal)
		return refusal;
	dictated = desc->policy ? desc->policy->dictated : 0;
	*bad_bits = asked & ~(may | dictated);
	if (*bad_bits)
		return VMX_REFUSED_BITS;
	*value = (asked & ~dictated) | must;
	*forced = asked ^ *value;
	return VMX_REFUSED_NOT;
}
EXPORT_SYMBOL_IF_KUNIT(vmx_field_judge);

/**
 * vmx_field_default() - what a field of a new VMCS holds
 * @desc: a field that exists
 * @ctx: the VMCS
 *
 * Return: the value; for the module's fields one that is safe as long as the
 * feature behind them is off, and 0 for host state.
 */
u64 vmx_field_default(const struct vmx_field_desc *desc,
		      const struct vmx_field_ctx *ctx)
{
	u64 must, may, value = desc->initial;

	/* Userspace may clear these bits, but VM entry would fail. */
	if (desc->field == VMX_F_GUEST_CR0)
		value |= ctx->caps->msr.cr0_fixed0;
	vmx_field_rule(desc, ctx, &must, &may);
	return value | must;
}
EXPORT_SYMBOL_IF_KUNIT(vmx_field_default);
