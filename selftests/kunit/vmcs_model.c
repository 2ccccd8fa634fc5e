// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "../../vmx/fields.h"
#include "vmcs_model.h"

#define MAX_FIELDS 256

/* A VMCS: values in the order of the field table */
struct model {
	struct kunit *test;
	struct vmx_caps caps;
	u64 memory;
	u64 values[MAX_FIELDS];
};

static const struct edit host_state[] = {
	IS(HOST_CR0, 0x80050033),
	IS(HOST_CR3, 0x1000),
	IS(HOST_CR4, X86_CR4_VMXE | X86_CR4_PAE),
	IS(HOST_CS_SELECTOR, 0x10),
	IS(HOST_SS_SELECTOR, 0x18),
	IS(HOST_TR_SELECTOR, 0x40),
	IS(HOST_GS_BASE, 0xffff888000000000),
	IS(HOST_TR_BASE, 0xfffffe0000003000),
	IS(HOST_GDTR_BASE, 0xfffffe0000001000),
	IS(HOST_IDTR_BASE, 0xfffffe0000000000),
	IS(HOST_SYSENTER_EIP, 0xffffffff81000000),
	IS(HOST_RSP, 0xffffc90000000000),
	IS(HOST_RIP, 0xffffffffa0000000),
	IS(HOST_PAT, 0x0007040600070406),
	IS(HOST_EFER, EFER_SCE | EFER_LME | EFER_LMA | EFER_NX),
	/* The module's fields, where a check may look at them */
	IS(VPID, 1),
	IS(EPT_POINTER, 0x1000 | 3 << VMX_EPTP_WALK_SHIFT | VMX_MEMTYPE_WB),
};

#define PAGED (VMX_CPU2_EPT | VMX_CPU2_UNRESTRICTED_GUEST)

static const struct edit real_mode[] = {
	ON(CPU2_CONTROLS, PAGED),
	OFF(GUEST_CR0, X86_CR0_PE | X86_CR0_PG),
};

static const struct edit pae_mode[] = {
	ON(CPU2_CONTROLS, VMX_CPU2_EPT),
	ON(GUEST_CR4, X86_CR4_PAE),
	IS(GUEST_PDPTE0, 0x5001),
	IS(GUEST_PDPTE3, 0xffffffffffff0ffe),
};

static const struct edit long_mode[] = {
	ON(ENTRY_CONTROLS, VMX_ENTRY_CTL_IA32E_MODE_GUEST),
	ON(GUEST_CR4, X86_CR4_PAE),
	ON(GUEST_EFER, EFER_LMA | EFER_LME),
	IS(GUEST_CS_ACCESS, 0xa09b),
	IS(GUEST_RIP, 0xffffffff81000000),
};

static const struct edit compatibility_mode[] = {
	ON(ENTRY_CONTROLS, VMX_ENTRY_CTL_IA32E_MODE_GUEST),
	ON(GUEST_CR4, X86_CR4_PAE),
	ON(GUEST_EFER, EFER_LMA | EFER_LME),
};

static const struct edit v86_mode[] = {
	ON(GUEST_RFLAGS, X86_EFLAGS_VM),
};

/**
 * struct mode - how a guest mode differs from the flat one of a new VMCS
 * @edits: changed fields
 * @count: how many
 * @code: if not 0, access rights of CS, and all segments are 64 KiB at 16 times
 *	their selector
 * @data: access rights of the other segments then
 */
struct mode {
	const struct edit *edits;
	unsigned int count;
	u32 code;
	u32 data;
};

static const struct mode modes[] = {
	[PROTECTED] = { NULL },
	[REAL] = { real_mode, ARRAY_SIZE(real_mode), 0x9b, 0x93 },
	[PAE] = { pae_mode, ARRAY_SIZE(pae_mode) },
	[LONG] = { long_mode, ARRAY_SIZE(long_mode) },
	[COMPATIBILITY] = { compatibility_mode, ARRAY_SIZE(compatibility_mode) },
	[V86] = { v86_mode, ARRAY_SIZE(v86_mode), 0xf3, 0xf3 },
};

static u64 *model_field(struct model *m, u32 field)
{
	const struct vmx_field_desc *desc = vmx_field_find(field);

	return &m->values[desc - vmx_field_at(0)];
}

/* On a CPU, VMREAD of a field that is not there fails: no check may do it. */
static u64 model_read(void *opaque, u32 field)
{
	const struct vmx_field_desc *desc = vmx_field_find(field);
	struct model *m = opaque;

	KUNIT_EXPECT_NOT_NULL_MSG(m->test, desc, "%#x", field);
	if (!desc)
		return 0;
	KUNIT_EXPECT_TRUE_MSG(m->test, vmx_field_exists(desc, &m->caps),
			      "read of %s", desc->name);
	return *model_field(m, field);
}

static bool model_phys(void *opaque, u64 address, void *buf, size_t length)
{
	const struct model *m = opaque;
	size_t i;

	for (i = 0; i < length; i++)
		((u8 *)buf)[i] = m->memory >> ((address + i) % 8 * 8);
	return m->memory;
}

static void model_edit(struct model *m, const struct edit *edits,
		       unsigned int count)
{
	unsigned int i;

	/* Nothing is left to do where all is 0, and VPID is field 0. */
	for (i = 0; i < count; i++) {
		u64 *value = model_field(m, edits[i].field);

		*value = (*value & ~edits[i].clear) | edits[i].set;
	}
}

static void model_segments(struct model *m, const struct mode *mode)
{
	u32 reg;

	for (reg = 0; reg < 6; reg++) {
		u32 selector = 0x10 * (reg + 1);

		*model_field(m, VMX_F_GUEST_ES_SELECTOR + 2 * reg) = selector;
		*model_field(m, VMX_F_GUEST_ES_BASE + 2 * reg) = selector << 4;
		*model_field(m, VMX_F_GUEST_ES_LIMIT + 2 * reg) = 0xffff;
		*model_field(m, VMX_F_GUEST_ES_ACCESS + 2 * reg) = mode->data;
	}
	*model_field(m, VMX_F_GUEST_CS_ACCESS) = mode->code;
}

static void model_init(struct model *m, struct kunit *test,
		       const struct violation *v)
{
	struct vmx_field_ctx ctx = { .caps = &m->caps, .host_cr4 = X86_CR4_MCE };
	const struct mode *mode = &modes[v->mode];
	unsigned int i;

	m->test = test;
	m->caps = caps_of(v->cpu ?: &cpu_everything);
	if (v->tweak)
		v->tweak(&m->caps.msr);
	m->memory = v->memory;
	KUNIT_ASSERT_LE(test, vmx_field_count, MAX_FIELDS);
	for (i = 0; i < vmx_field_count; i++)
		m->values[i] = vmx_field_default(vmx_field_at(i), &ctx);
	model_edit(m, host_state, ARRAY_SIZE(host_state));
	model_edit(m, mode->edits, mode->count);
	if (mode->code)
		model_segments(m, mode);
	model_edit(m, v->edits, ARRAY_SIZE(v->edits));
}

static u32 error_of(enum vmx_check id)
{
	if (id == VMX_CHECK_NONE)
		return 0;
	if (id < VMX_CHECK_HOST_CR0)
		return VMX_ERROR_CONTROLS;
	return id < VMX_CHECK_GUEST_CR0 ? VMX_ERROR_HOST_STATE : 0;
}

static u64 shown_value(struct model *m, u32 field)
{
	return vmx_field_find(field)->owner == VMX_OWNER_MODULE ?
	       0 : *model_field(m, field);
}

static void expect_violation(struct kunit *test, struct model *m,
			     const struct violation *v)
{
	struct vmx_check_ctx ctx = {
		.caps = &m->caps,
		.read = model_read,
		.phys = model_phys,
		.opaque = m,
		.vmcs = v->vmcs,
		.host_32bit = v->host_32bit,
		.strict = v->strict,
		.shadow = v->shadow,
	};
	struct vmx_failure f;

	vmx_check_entry(&ctx, &f);
	KUNIT_EXPECT_EQ_MSG(test, f.check, (u32)v->id,
			    "line %u: field %#x, bits %llx", v->line, f.field,
			    f.bits);
	if (f.check != v->id || !v->id)
		return;
	KUNIT_EXPECT_EQ_MSG(test, f.error, error_of(v->id), "line %u", v->line);
	KUNIT_EXPECT_EQ_MSG(test, f.field, v->field, "line %u", v->line);
	KUNIT_EXPECT_EQ_MSG(test, f.field2, v->field2, "line %u", v->line);
	KUNIT_EXPECT_EQ_MSG(test, f.value, shown_value(m, f.field), "line %u",
			    v->line);
	if (f.field2)
		KUNIT_EXPECT_EQ_MSG(test, f.value2, shown_value(m, f.field2),
				    "line %u", v->line);
	if (v->bits)
		KUNIT_EXPECT_EQ_MSG(test, f.bits, v->bits, "line %u", v->line);
}

/* Each flaw is found, as itself. */
void expect_violations(struct kunit *test, const struct violation *violations,
		       unsigned int count)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, m);
	for (i = 0; i < count; i++) {
		model_init(m, test, &violations[i]);
		expect_violation(test, m, &violations[i]);
	}
}

/* Each check has a flaw that it finds. */
void expect_all_covered(struct kunit *test, const struct vmx_steps *steps,
			const struct violation *violations, unsigned int count)
{
	unsigned int i, n;

	for (i = 0; i < steps->count; i++) {
		bool covered = false;

		for (n = 0; n < count; n++)
			covered |= violations[n].id == steps->steps[i].id;
		KUNIT_EXPECT_TRUE_MSG(test, covered, "check %d",
				      steps->steps[i].id);
	}
}
