// SPDX-License-Identifier: GPL-2.0
/* Runs the checks of VM entry, and has the helpers that several of them share. */
#include <linux/bits.h>
#include <linux/kernel.h>

#include <asm/processor-flags.h>

#include "../base/kunit-export.h"
#include "check.h"
#include "fields.h"

/**
 * vmx_check_phys_mask() - the physical addresses that the CPU has
 * @c: the run
 *
 * Return: the bits that addresses in a VMCS may have.
 */
u64 vmx_check_phys_mask(const struct vmx_checker *c)
{
	const struct vmx_caps *caps = c->ctx->caps;

	if (caps->msr.basic & VMX_CAPS_BASIC_PHYS_32)
		return GENMASK_ULL(31, 0);
	return GENMASK_ULL(caps->phys_bits - 1, 0);
}

/**
 * vmx_check_linear_bits() - width of linear addresses
 * @c: the run
 *
 * Return: 57 on CPUs with 5-level paging, used or not, 48 on others.
 */
unsigned int vmx_check_linear_bits(const struct vmx_checker *c)
{
	return c->ctx->caps->msr.cr4_fixed1 & X86_CR4_LA57 ? 57 : 48;
}

/**
 * vmx_check_is_canonical() - SDM, "Canonical Addressing"
 * @c: the run
 * @address: linear address
 *
 * Return: whether it is canonical.
 */
bool vmx_check_is_canonical(const struct vmx_checker *c, u64 address)
{
	unsigned int unused = 64 - vmx_check_linear_bits(c);

	return (u64)((s64)(address << unused) >> unused) == address;
}

/**
 * vmx_check_bits() - fail a check if some bits are wrong
 * @c: the run
 * @bits: the wrong bits
 *
 * Return: true (it fails) if there are any.
 */
bool vmx_check_bits(struct vmx_checker *c, u64 bits)
{
	c->bits = bits;
	return bits;
}

/**
 * vmx_check_against() - fail a check since two fields do not go together
 * @c: the run
 * @field2: the other field
 * @bits: the bits that contradict it; 0 if the whole value does
 *
 * Return: true.
 */
bool vmx_check_against(struct vmx_checker *c, u32 field2, u64 bits)
{
	c->field2 = field2;
	c->bits = bits;
	return true;
}

/**
 * vmx_check_zero() - a check: bits that have to be 0
 * @c: the run
 * @step: its arg has the bits
 * @value: of the field
 *
 * Return: whether it fails.
 */
bool vmx_check_zero(struct vmx_checker *c, const struct vmx_step *step,
		    u64 value)
{
	return vmx_check_bits(c, value & step->arg);
}

/**
 * vmx_check_address() - a check: a physical address
 * @c: the run
 * @step: its arg has the low bits that have to be 0
 * @value: of the field
 *
 * Return: whether it fails.
 */
bool vmx_check_address(struct vmx_checker *c, const struct vmx_step *step,
		       u64 value)
{
	return vmx_check_bits(c, value & (step->arg | ~vmx_check_phys_mask(c)));
}

/**
 * vmx_check_canonical() - a check: a linear address
 * @c: the run
 * @step: unused
 * @value: of the field
 *
 * Return: whether it fails.
 */
bool vmx_check_canonical(struct vmx_checker *c, const struct vmx_step *step,
			 u64 value)
{
	return !vmx_check_is_canonical(c, value);
}

/**
 * vmx_check_pat() - a check: eight memory types (SDM, "IA32_PAT MSR")
 * @c: the run
 * @step: unused
 * @value: of the field
 *
 * Return: whether it fails.
 */
bool vmx_check_pat(struct vmx_checker *c, const struct vmx_step *step,
		   u64 value)
{
	const u8 types = BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6) | BIT(7);
	unsigned int shift;
	u64 bits = 0;

	for (shift = 0; shift < 64; shift += 8) {
		u8 type = value >> shift;

		if (type > 7 || !(types & BIT(type)))
			bits |= 0xffull << shift;
	}
	return vmx_check_bits(c, bits);
}

/**
 * vmx_check_cet() - a check: IA32_S_CET (SDM, "IA32_S_CET")
 * @c: the run
 * @step: unused
 * @value: of the field
 *
 * Return: whether it fails.
 */
bool vmx_check_cet(struct vmx_checker *c, const struct vmx_step *step,
		   u64 value)
{
	const u64 reserved = GENMASK_ULL(9, 6), both = BIT_ULL(10) | BIT_ULL(11);

	if ((value & both) == both)
		return vmx_check_bits(c, both);
	return vmx_check_bits(c, value & reserved) ||
	       !vmx_check_is_canonical(c, value);
}

static u32 read_controls(const struct vmx_checker *c, u32 field, bool active)
{
	return active ? vmx_check_read(c, field) : 0;
}

/* Controls that are not activated have no effect, whatever their field holds. */
static void load_controls(struct vmx_checker *c)
{
	u32 *is = c->controls;

	is[VMX_CAP_PIN] = read_controls(c, VMX_F_PIN_CONTROLS, true);
	is[VMX_CAP_CPU] = read_controls(c, VMX_F_CPU_CONTROLS, true);
	is[VMX_CAP_EXIT] = read_controls(c, VMX_F_EXIT_CONTROLS, true);
	is[VMX_CAP_ENTRY] = read_controls(c, VMX_F_ENTRY_CONTROLS, true);
	is[VMX_CAP_CPU2] =
		read_controls(c, VMX_F_CPU2_CONTROLS,
			      is[VMX_CAP_CPU] & VMX_CPU_ACTIVATE_CPU2);
	is[VMX_CAP_CPU3] =
		read_controls(c, VMX_F_CPU3_CONTROLS,
			      is[VMX_CAP_CPU] & VMX_CPU_ACTIVATE_CPU3);
	is[VMX_CAP_EXIT2] =
		read_controls(c, VMX_F_EXIT2_CONTROLS,
			      is[VMX_CAP_EXIT] & VMX_EXIT_CTL_ACTIVATE_EXIT2);
	is[VMX_CAP_VMFUNC] =
		read_controls(c, VMX_F_VMFUNC_CONTROLS,
			      is[VMX_CAP_CPU2] & VMX_CPU2_VMFUNC);
	if (c->ctx->shadow)
		is[VMX_CAP_ENTRY] |= VMX_ENTRY_CTL_LOAD_EFER;
}

static u64 visible_value(const struct vmx_checker *c, u32 field)
{
	const struct vmx_field_desc *desc = vmx_field_find(field);

	if (!desc || desc->owner == VMX_OWNER_MODULE)
		return 0;
	return vmx_check_read(c, field);
}

static bool step_fails(struct vmx_checker *c, const struct vmx_step *step,
		       u32 error, struct vmx_failure *failure)
{
	c->field = step->field + 2 * c->segment;
	c->field2 = 0;
	c->bits = 0;
	if (!step->fails(c, step, vmx_check_read(c, c->field)))
		return false;
	*failure = (struct vmx_failure) {
		.check = step->id,
		.error = error,
		.field = c->field,
		.field2 = c->field2,
		.value = visible_value(c, c->field),
		.value2 = c->field2 ? visible_value(c, c->field2) : 0,
		.bits = c->bits,
	};
	return true;
}

static bool segments_fail(struct vmx_checker *c, const struct vmx_step *step,
			  u32 error, struct vmx_failure *failure)
{
	u32 left;

	for (left = step->segments; left; left &= left - 1) {
		c->segment = __ffs(left);
		if (step_fails(c, step, error, failure))
			return true;
	}
	c->segment = 0;
	return false;
}

static bool steps_fail(struct vmx_checker *c, const struct vmx_steps *steps,
		       u32 error, struct vmx_failure *failure)
{
	unsigned int i;

	for (i = 0; i < steps->count; i++) {
		const struct vmx_step *step = &steps->steps[i];

		if (step->when && !vmx_check_has(c, step->which, step->when))
			continue;
		if (step->segments ? segments_fail(c, step, error, failure) :
				     step_fails(c, step, error, failure))
			return true;
	}
	return false;
}

/**
 * vmx_check_entry() - which check of VM entry fails
 * @ctx: the VMCS
 * @failure: out: the first check that fails, in the SDM's order; its check is
 *	%VMX_CHECK_NONE if none does
 *
 * Context: that of @ctx->read.
 */
void vmx_check_entry(const struct vmx_check_ctx *ctx,
		     struct vmx_failure *failure)
{
	struct vmx_checker c = { .ctx = ctx };

	*failure = (struct vmx_failure) { };
	load_controls(&c);
	if (steps_fail(&c, &vmx_check_controls, VMX_ERROR_CONTROLS, failure) ||
	    steps_fail(&c, &vmx_check_host, VMX_ERROR_HOST_STATE, failure) ||
	    steps_fail(&c, &vmx_check_guest_registers, 0, failure) ||
	    steps_fail(&c, &vmx_check_guest_segments, 0, failure))
		return;
	steps_fail(&c, &vmx_check_guest_state, 0, failure);
}
EXPORT_SYMBOL_IF_KUNIT(vmx_check_entry);

/**
 * vmx_check_registers() - which check of the guest's control registers, debug
 * registers and MSRs fails
 * @ctx: the VMCS
 * @failure: out: as of vmx_check_entry()
 *
 * Context: that of @ctx->read.
 */
void vmx_check_registers(const struct vmx_check_ctx *ctx,
			 struct vmx_failure *failure)
{
	struct vmx_checker c = { .ctx = ctx };

	*failure = (struct vmx_failure) { };
	load_controls(&c);
	steps_fail(&c, &vmx_check_guest_registers, 0, failure);
}
