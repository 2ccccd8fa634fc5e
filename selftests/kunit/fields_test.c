// SPDX-License-Identifier: GPL-2.0
/* The field table, and judgements of values. Needs no VMX. */
#include <kunit/test.h>
#include <linux/prandom.h>

#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "../../vmx/fields.h"
#include "cpus.h"

static bool writable(const struct vmx_field_desc *desc)
{
	return desc->owner == VMX_OWNER_USER || desc->owner == VMX_OWNER_SHARED;
}

static void fields_encodings(struct kunit *test)
{
	u32 previous = 0;
	unsigned int i;

	KUNIT_ASSERT_GT(test, vmx_field_count, 150u);
	for (i = 0; i < vmx_field_count; i++) {
		const struct vmx_field_desc *desc = vmx_field_at(i);

		KUNIT_EXPECT_TRUE_MSG(test, !i || desc->field > previous, "%s",
				      desc->name);
		KUNIT_EXPECT_EQ_MSG(test, desc->field &
				    ~(VMX_F_WIDTH_MASK | VMX_F_TYPE_MASK |
				      VMX_F_INDEX_MASK), 0u, "%s", desc->name);
		previous = desc->field;
	}
}

/* Numbers from the SDM's appendix, typed in again: at least one of each kind. */
static void fields_known(struct kunit *test)
{
	static const struct {
		u32 field;
		const char *name;
	} rows[] = {
		{ 0x0000, "VPID" }, { 0x0004, "EPTP_INDEX" },
		{ 0x0802, "GUEST_CS_SELECTOR" }, { 0x080e, "GUEST_TR_SELECTOR" },
		{ 0x0812, "PML_INDEX" }, { 0x0c0c, "HOST_TR_SELECTOR" },
		{ 0x2000, "IO_BITMAP_A" }, { 0x2004, "MSR_BITMAP" },
		{ 0x200a, "ENTRY_MSR_LOAD_ADDR" }, { 0x2010, "TSC_OFFSET" },
		{ 0x201a, "EPT_POINTER" }, { 0x2026, "VMREAD_BITMAP" },
		{ 0x202e, "ENCLS_EXITING_BITMAP" }, { 0x2032, "TSC_MULTIPLIER" },
		{ 0x2036, "ENCLV_EXITING_BITMAP" }, { 0x2044, "EXIT2_CONTROLS" },
		{ 0x2400, "GUEST_PHYSICAL_ADDRESS" },
		{ 0x2800, "VMCS_LINK_POINTER" }, { 0x2806, "GUEST_EFER" },
		{ 0x280a, "GUEST_PDPTE0" }, { 0x2818, "GUEST_PKRS" },
		{ 0x2c04, "HOST_PERF_GLOBAL_CTRL" },
		{ 0x4000, "PIN_CONTROLS" }, { 0x4002, "CPU_CONTROLS" },
		{ 0x4004, "EXCEPTION_BITMAP" }, { 0x400c, "EXIT_CONTROLS" },
		{ 0x4012, "ENTRY_CONTROLS" }, { 0x4016, "ENTRY_INTR_INFO" },
		{ 0x401e, "CPU2_CONTROLS" }, { 0x4400, "VM_INSTRUCTION_ERROR" },
		{ 0x4402, "EXIT_REASON" }, { 0x440e, "EXIT_INSN_INFO" },
		{ 0x4816, "GUEST_CS_ACCESS" }, { 0x4822, "GUEST_TR_ACCESS" },
		{ 0x4824, "GUEST_INTERRUPTIBILITY" },
		{ 0x4826, "GUEST_ACTIVITY" }, { 0x482a, "GUEST_SYSENTER_CS" },
		{ 0x482e, "PREEMPTION_TIMER" }, { 0x4c00, "HOST_SYSENTER_CS" },
		{ 0x6000, "CR0_MASK" }, { 0x6006, "CR4_READ_SHADOW" },
		{ 0x6400, "EXIT_QUALIFICATION" },
		{ 0x640a, "GUEST_LINEAR_ADDRESS" }, { 0x6800, "GUEST_CR0" },
		{ 0x6804, "GUEST_CR4" }, { 0x6814, "GUEST_TR_BASE" },
		{ 0x681a, "GUEST_DR7" }, { 0x681e, "GUEST_RIP" },
		{ 0x6820, "GUEST_RFLAGS" }, { 0x6822, "GUEST_PENDING_DEBUG" },
		{ 0x6c00, "HOST_CR0" }, { 0x6c14, "HOST_RSP" },
		{ 0x6c16, "HOST_RIP" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct vmx_field_desc *desc = vmx_field_find(rows[i].field);

		KUNIT_ASSERT_NOT_NULL_MSG(test, desc, "%#x", rows[i].field);
		KUNIT_EXPECT_STREQ(test, desc->name, rows[i].name);
	}
}

static void fields_find(struct kunit *test)
{
	struct rnd_state random;
	unsigned int i, found = 0;
	u32 field;

	for (i = 0; i < vmx_field_count; i++) {
		const struct vmx_field_desc *desc = vmx_field_at(i);

		KUNIT_EXPECT_PTR_EQ(test, vmx_field_find(desc->field), desc);
		KUNIT_EXPECT_NULL(test, vmx_field_find(desc->field | VMX_F_HIGH));
	}
	for (field = 0; field < 0x10000; field++)
		found += !!vmx_field_find(field);
	KUNIT_EXPECT_EQ(test, found, vmx_field_count);
	prandom_seed_state(&random, 2);
	for (i = 0; i < 10000; i++)
		KUNIT_EXPECT_NULL(test, vmx_field_find(prandom_u32_state(&random) |
						       0x10000));
}

/* Who owns whole classes of fields. */
static void fields_owners(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < vmx_field_count; i++) {
		const struct vmx_field_desc *desc = vmx_field_at(i);
		u32 type = desc->field & VMX_F_TYPE_MASK;

		KUNIT_EXPECT_EQ_MSG(test, type == VMX_F_TYPE_EXIT_INFO,
				    desc->owner == VMX_OWNER_CPU, "%s",
				    desc->name);
		if (type == VMX_F_TYPE_HOST)
			KUNIT_EXPECT_EQ_MSG(test, (u32)desc->owner,
					    (u32)VMX_OWNER_MODULE, "%s",
					    desc->name);
		if (strstr(desc->name, "ADDR") && type != VMX_F_TYPE_EXIT_INFO)
			KUNIT_EXPECT_EQ_MSG(test, (u32)desc->owner,
					    (u32)VMX_OWNER_MODULE, "%s",
					    desc->name);
		if (desc->policy)
			KUNIT_EXPECT_TRUE_MSG(test, writable(desc), "%s",
					      desc->name);
	}
}

static bool exists(u32 field, const struct vmx_cpu_info *cpu)
{
	struct vmx_caps caps = caps_of(cpu);

	return vmx_field_exists(vmx_field_find(field), &caps);
}

static void fields_existence(struct kunit *test)
{
	static const struct {
		u32 field;
		bool penryn;
		bool haswell;
	} rows[] = {
		{ VMX_F_GUEST_RIP, true, true },
		{ VMX_F_VPID, false, true },
		{ VMX_F_EPT_POINTER, false, true },
		{ VMX_F_GUEST_PDPTE3, false, true },
		{ VMX_F_GUEST_PHYSICAL_ADDRESS, false, true },
		{ VMX_F_CPU2_CONTROLS, true, true },
		{ VMX_F_CPU3_CONTROLS, false, false },
		{ VMX_F_GUEST_PAT, false, true },
		{ VMX_F_GUEST_EFER, false, true },
		{ VMX_F_HOST_EFER, false, true },
		{ VMX_F_PLE_GAP, false, true },
		{ VMX_F_VMREAD_BITMAP, false, true },
		{ VMX_F_EPTP_LIST_ADDR, false, true },
		{ VMX_F_PREEMPTION_TIMER, false, true },
		{ VMX_F_TSC_MULTIPLIER, false, false },
		{ VMX_F_PML_INDEX, false, false },
		{ VMX_F_GUEST_S_CET, false, false },
		{ VMX_F_MSR_BITMAP, true, true },
		{ VMX_F_CR3_TARGET_3, true, true },
	};
	struct vmx_cpu_info cpu = cpu_haswell;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		KUNIT_EXPECT_EQ_MSG(test, exists(rows[i].field, &cpu_penryn),
				    rows[i].penryn, "%#x", rows[i].field);
		KUNIT_EXPECT_EQ_MSG(test, exists(rows[i].field, &cpu_haswell),
				    rows[i].haswell, "%#x", rows[i].field);
	}
	for (i = 0; i < vmx_field_count; i++)
		KUNIT_EXPECT_TRUE(test, exists(vmx_field_at(i)->field,
					       &cpu_everything));
	/* Saving it on exit is reason enough for a field. */
	cpu.msr.true_entry &= ~((u64)VMX_ENTRY_CTL_LOAD_PAT << 32);
	KUNIT_EXPECT_TRUE(test, exists(VMX_F_GUEST_PAT, &cpu));
	cpu.msr.misc = 0;
	KUNIT_EXPECT_FALSE(test, exists(VMX_F_CR3_TARGET_0, &cpu));
}

#define ALL_32 0xffffffffull
#define HOST_MCE X86_CR4_MCE

/**
 * struct judgement - a write, and what becomes of it
 * @cpu: for this CPU
 * @field: the field
 * @asked: the value
 * @refusal: why it is refused
 * @result: the value written, or the bad bits where it is refused for them
 * @no_mce: the host's CR4.MCE is 0
 */
struct judgement {
	const struct vmx_cpu_info *cpu;
	u32 field;
	u64 asked;
	enum vmx_refusal refusal;
	u64 result;
	bool no_mce;
};

#define OK(_cpu, _field, _asked, _result)				\
	{ .cpu = &cpu_##_cpu, .field = VMX_F_##_field, .asked = _asked,	\
	  .result = _result }
#define NO(_cpu, _field, _asked, _why, _bits)				\
	{ .cpu = &cpu_##_cpu, .field = VMX_F_##_field, .asked = _asked,	\
	  .refusal = VMX_REFUSED_##_why, .result = _bits }

static const struct judgement judgements[] = {
	/* Any value that fits */
	OK(penryn, GUEST_RIP, ~0ull, ~0ull),
	OK(penryn, GUEST_CS_SELECTOR, 0xffff, 0xffff),
	NO(penryn, GUEST_CS_SELECTOR, 0x1fffe, BITS, 0x10000),
	NO(penryn, GUEST_CS_LIMIT, 1ull << 32, BITS, 1ull << 32),
	OK(penryn, TSC_OFFSET, ~0ull, ~0ull),
	/* Not userspace's */
	NO(penryn, HOST_RIP, 0, MODULE, 0),
	NO(haswell, EPT_POINTER, 0, MODULE, 0),
	NO(haswell, VPID, 1, MODULE, 0),
	NO(penryn, MSR_BITMAP, 0, MODULE, 0),
	NO(penryn, VMCS_LINK_POINTER, ~0ull, MODULE, 0),
	NO(penryn, ENTRY_INTR_INFO, 0, MODULE, 0),
	NO(penryn, ENTRY_MSR_LOAD_COUNT, 0, MODULE, 0),
	NO(haswell, PREEMPTION_TIMER, 0, MODULE, 0),
	NO(everything, GUEST_PERF_GLOBAL_CTRL, 0, MODULE, 0),
	NO(everything, GUEST_BNDCFGS, 0, MODULE, 0),
	NO(everything, GUEST_S_CET, 0, MODULE, 0),
	NO(everything, GUEST_PKRS, 0, MODULE, 0),
	NO(everything, GUEST_RTIT_CTL, 0, MODULE, 0),
	NO(everything, GUEST_LBR_CTL, 0, MODULE, 0),
	NO(everything, GUEST_INTERRUPT_STATUS, 0, MODULE, 0),
	NO(everything, CPU3_CONTROLS, 0, MODULE, 0),
	NO(penryn, EXIT_REASON, 0, READ_ONLY, 0),
	NO(haswell, GUEST_PHYSICAL_ADDRESS, 0, READ_ONLY, 0),
	/* Not there */
	NO(penryn, EPT_POINTER, 0, UNKNOWN, 0),
	NO(penryn, GUEST_EFER, 0, UNKNOWN, 0),
	NO(haswell, TSC_MULTIPLIER, 0, UNKNOWN, 0),
	/* Controls */
	OK(haswell, PIN_CONTROLS, 0, 0x3f),
	OK(haswell, PIN_CONTROLS, 0x3f, 0x3f),
	NO(haswell, PIN_CONTROLS, VMX_PIN_PREEMPTION_TIMER, BITS,
	   VMX_PIN_PREEMPTION_TIMER),
	NO(everything, PIN_CONTROLS, VMX_PIN_POSTED_INTERRUPTS | BIT(31), BITS,
	   VMX_PIN_POSTED_INTERRUPTS | BIT(31)),
	OK(haswell, CPU_CONTROLS, VMX_CPU_HLT_EXITING, 0xb5986df2),
	NO(haswell, CPU_CONTROLS, VMX_CPU_IO_BITMAPS | VMX_CPU_HLT_EXITING,
	   BITS, VMX_CPU_IO_BITMAPS),
	NO(haswell, CPU_CONTROLS, VMX_CPU_TPR_SHADOW, BITS, VMX_CPU_TPR_SHADOW),
	NO(haswell, CPU_CONTROLS, VMX_CPU_INTERRUPT_WINDOW, BITS,
	   VMX_CPU_INTERRUPT_WINDOW),
	NO(haswell, CPU_CONTROLS, 1ull << 32, BITS, 1ull << 32),
	OK(haswell, CPU2_CONTROLS, VMX_CPU2_UNRESTRICTED_GUEST, 0xc0),
	NO(penryn, CPU2_CONTROLS, VMX_CPU2_UNRESTRICTED_GUEST, BITS,
	   VMX_CPU2_UNRESTRICTED_GUEST),
	NO(haswell, CPU2_CONTROLS, VMX_CPU2_EPT, BITS, VMX_CPU2_EPT),
	NO(haswell, CPU2_CONTROLS, VMX_CPU2_VMFUNC, BITS, VMX_CPU2_VMFUNC),
	OK(haswell, EXIT_CONTROLS, 0, 0x3f6fff),
	NO(haswell, EXIT_CONTROLS, VMX_EXIT_CTL_ACK_INTERRUPT, BITS,
	   VMX_EXIT_CTL_ACK_INTERRUPT),
	OK(haswell, ENTRY_CONTROLS, VMX_ENTRY_CTL_IA32E_MODE_GUEST, 0xd3ff),
	NO(haswell, ENTRY_CONTROLS, VMX_ENTRY_CTL_ENTRY_TO_SMM, BITS,
	   VMX_ENTRY_CTL_ENTRY_TO_SMM),
	/* Exceptions */
	OK(penryn, EXCEPTION_BITMAP, 0, 0x60002),
	OK(penryn, EXCEPTION_BITMAP, ALL_32, ALL_32),
	/* CR3 targets: 4, and what the mask cannot tell apart from it */
	OK(penryn, CR3_TARGET_COUNT, 4, 4),
	NO(penryn, CR3_TARGET_COUNT, 8, BITS, 8),
	/* Activity state */
	OK(haswell, GUEST_ACTIVITY, VMX_ACTIVITY_HLT, 1),
	NO(haswell, GUEST_ACTIVITY, VMX_ACTIVITY_SHUTDOWN, BITS, 2),
	NO(haswell, GUEST_ACTIVITY, VMX_ACTIVITY_WAIT_FOR_SIPI, BITS, 2),
	/* MSRs */
	OK(penryn, GUEST_DEBUGCTL, DEBUGCTLMSR_BTF, DEBUGCTLMSR_BTF),
	NO(penryn, GUEST_DEBUGCTL, DEBUGCTLMSR_LBR, BITS, DEBUGCTLMSR_LBR),
	NO(penryn, GUEST_DEBUGCTL, DEBUGCTLMSR_BTS, BITS, DEBUGCTLMSR_BTS),
	OK(haswell, GUEST_EFER, 0xd01, 0xd01),
	NO(haswell, GUEST_EFER, EFER_SVME, BITS, EFER_SVME),
	OK(haswell, GUEST_PAT, ~0ull, ~0ull),
	/* CR0 and CR4 */
	OK(penryn, GUEST_CR0, 0xe005003f, 0xe005003f),
	NO(penryn, GUEST_CR0, 0x40 | 1ull << 32, BITS, 0x40 | 1ull << 32),
	OK(penryn, CR0_MASK, 0, X86_CR0_CD | X86_CR0_NW),
	OK(haswell, GUEST_CR4, 0, X86_CR4_VMXE | X86_CR4_MCE),
	OK(haswell, GUEST_CR4, X86_CR4_PAE | X86_CR4_SMEP,
	   X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_VMXE | X86_CR4_MCE),
	NO(haswell, GUEST_CR4, X86_CR4_SMAP, BITS, X86_CR4_SMAP),
	NO(haswell, GUEST_CR4, X86_CR4_SMXE, BITS, X86_CR4_SMXE),
	NO(everything, GUEST_CR4, X86_CR4_PKE, BITS, X86_CR4_PKE),
	NO(everything, GUEST_CR4, BIT(23) | BIT(24) | BIT(25), BITS,
	   BIT(23) | BIT(24) | BIT(25)),
	NO(everything, GUEST_CR4, BIT_ULL(32), BITS, BIT_ULL(32)),
	{ .cpu = &cpu_haswell, .field = VMX_F_GUEST_CR4, .asked = X86_CR4_MCE,
	  .result = X86_CR4_VMXE, .no_mce = true },
	OK(haswell, CR4_MASK, 0, ~0x1707bfull),
	OK(penryn, CR4_MASK, 0, ~0x407bfull),
	OK(penryn, CR4_MASK, ~0ull, ~0ull),
};

static void fields_judge(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(judgements); i++) {
		const struct judgement *j = &judgements[i];
		struct vmx_caps caps = caps_of(j->cpu);
		struct vmx_field_ctx ctx = {
			.caps = &caps,
			.host_cr4 = j->no_mce ? 0 : HOST_MCE,
		};
		const struct vmx_field_desc *desc = vmx_field_find(j->field);
		u64 value = j->asked, forced, bad;
		enum vmx_refusal refusal;

		refusal = vmx_field_judge(desc, &ctx, &value, &forced, &bad);
		KUNIT_EXPECT_EQ_MSG(test, (u32)refusal, (u32)j->refusal,
				    "row %u: %s = %llx", i, desc->name,
				    j->asked);
		if (refusal) {
			KUNIT_EXPECT_EQ_MSG(test, value, j->asked, "row %u", i);
			KUNIT_EXPECT_EQ_MSG(test, bad, j->result, "row %u", i);
			KUNIT_EXPECT_EQ_MSG(test, forced, 0ull, "row %u", i);
		} else {
			KUNIT_EXPECT_EQ_MSG(test, value, j->result, "row %u: %s",
					    i, desc->name);
			KUNIT_EXPECT_EQ_MSG(test, forced, j->asked ^ j->result,
					    "row %u", i);
			KUNIT_EXPECT_EQ_MSG(test, bad, 0ull, "row %u", i);
		}
	}
}

/* EPT and VPID: refused until the module turns them on, then not to be lost. */
static void fields_cpu2_of_vcpu(struct kunit *test)
{
	const u32 module = VMX_CPU2_EPT | VMX_CPU2_VPID;
	struct vmx_caps caps = caps_of(&cpu_haswell);
	struct vmx_field_ctx ctx = { .caps = &caps, .cpu2_must = module };
	u64 value = 0, forced, bad;

	KUNIT_EXPECT_EQ(test, (u32)VMX_REFUSED_NOT,
			(u32)vmx_field_judge(vmx_field_find(VMX_F_CPU2_CONTROLS),
					     &ctx, &value, &forced, &bad));
	KUNIT_EXPECT_EQ(test, value, (u64)module | VMX_CPU2_WBINVD_EXITING);
	KUNIT_EXPECT_EQ(test, forced, value);
}

static void fields_unknown(struct kunit *test)
{
	struct vmx_caps caps = caps_of(&cpu_haswell);
	struct vmx_field_ctx ctx = { .caps = &caps };
	u64 value = 5, must, may, forced, bad;

	KUNIT_EXPECT_EQ(test, (u32)vmx_field_rule(NULL, &ctx, &must, &may),
			(u32)VMX_REFUSED_UNKNOWN);
	KUNIT_EXPECT_EQ(test, (u32)vmx_field_judge(NULL, &ctx, &value, &forced,
						   &bad),
			(u32)VMX_REFUSED_UNKNOWN);
	KUNIT_EXPECT_EQ(test, value, 5ull);
}

/* A bit on its own is taken, forced away where that is the rule, or refused. */
static void judge_bit(struct kunit *test, const struct vmx_field_desc *desc,
		      const struct vmx_field_ctx *ctx, u64 bit)
{
	u64 dictated = desc->policy ? desc->policy->dictated : 0;
	u64 value = bit, must, may, forced, bad;
	enum vmx_refusal refusal;

	vmx_field_rule(desc, ctx, &must, &may);
	refusal = vmx_field_judge(desc, ctx, &value, &forced, &bad);
	if (bit & (may | dictated)) {
		KUNIT_EXPECT_EQ_MSG(test, (u32)refusal, (u32)VMX_REFUSED_NOT,
				    "%s, %llx", desc->name, bit);
		KUNIT_EXPECT_EQ_MSG(test, value & ~may, 0ull, "%s", desc->name);
		KUNIT_EXPECT_EQ_MSG(test, ~value & must, 0ull, "%s", desc->name);
	} else {
		KUNIT_EXPECT_EQ_MSG(test, (u32)refusal, (u32)VMX_REFUSED_BITS,
				    "%s, %llx", desc->name, bit);
		KUNIT_EXPECT_EQ_MSG(test, bad, bit, "%s", desc->name);
	}
}

static void fields_bits(struct kunit *test)
{
	static const struct vmx_cpu_info *const cpus[] = {
		&cpu_penryn, &cpu_haswell, &cpu_everything,
	};
	unsigned int n, i, bit;

	for (n = 0; n < ARRAY_SIZE(cpus); n++) {
		struct vmx_caps caps = caps_of(cpus[n]);
		struct vmx_field_ctx ctx = { .caps = &caps };

		for (i = 0; i < vmx_field_count; i++) {
			const struct vmx_field_desc *desc = vmx_field_at(i);
			u64 must, may;

			if (!writable(desc) || !vmx_field_exists(desc, &caps))
				continue;
			vmx_field_rule(desc, &ctx, &must, &may);
			KUNIT_EXPECT_EQ_MSG(test, must & ~may, 0ull, "%s",
					    desc->name);
			for (bit = 0; bit < 64; bit++)
				judge_bit(test, desc, &ctx, BIT_ULL(bit));
		}
	}
}

/* What a new VMCS holds could have been written by userspace. */
static void fields_defaults(struct kunit *test)
{
	struct vmx_caps caps = caps_of(&cpu_haswell);
	struct vmx_field_ctx ctx = { .caps = &caps, .host_cr4 = HOST_MCE };
	unsigned int i;

	for (i = 0; i < vmx_field_count; i++) {
		const struct vmx_field_desc *desc = vmx_field_at(i);
		u64 value = vmx_field_default(desc, &ctx), forced, bad;

		if (!writable(desc) || !vmx_field_exists(desc, &caps))
			continue;
		KUNIT_EXPECT_EQ_MSG(test, (u32)VMX_REFUSED_NOT,
				    (u32)vmx_field_judge(desc, &ctx, &value,
							 &forced, &bad),
				    "%s", desc->name);
		KUNIT_EXPECT_EQ_MSG(test, forced, 0ull, "%s", desc->name);
	}
}

static struct kunit_case fields_cases[] = {
	KUNIT_CASE(fields_encodings),
	KUNIT_CASE(fields_known),
	KUNIT_CASE(fields_find),
	KUNIT_CASE(fields_owners),
	KUNIT_CASE(fields_existence),
	KUNIT_CASE(fields_judge),
	KUNIT_CASE(fields_cpu2_of_vcpu),
	KUNIT_CASE(fields_unknown),
	KUNIT_CASE(fields_bits),
	KUNIT_CASE(fields_defaults),
	{}
};

static struct kunit_suite fields_suite = {
	.name = "vmx_fields",
	.test_cases = fields_cases,
};

kunit_test_suites(&fields_suite);
