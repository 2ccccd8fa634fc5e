// SPDX-License-Identifier: GPL-2.0
/* The module's use of capability MSRs. Needs no VMX. */
#include <kunit/test.h>
#include <linux/prandom.h>

#include <asm/msr-index.h>

#include "cpus.h"

/**
 * struct control_test - one control field
 * @name: for messages
 * @which: the control
 * @msr: offset of its capability MSR in struct vmx_msr_caps
 * @exact: offset of the true one
 * @result: offset of what the module makes of it in struct vmx_caps
 * @denied: bits that userspace never gets, whatever the CPU can do
 * @needed: bits without which there are no VMs
 */
struct control_test {
	const char *name;
	enum vmx_capability which;
	size_t msr;
	size_t exact;
	size_t result;
	u32 denied;
	u32 needed;
};

#define MSR(member)	offsetof(struct vmx_msr_caps, member)
#define RESULT(member)	offsetof(struct vmx_caps, member)

static const struct control_test controls[] = {
	{
		.name = "pin", .which = VMX_CAP_PIN,
		.msr = MSR(pin), .exact = MSR(true_pin), .result = RESULT(pin),
		.denied = ~0x3fu | VMX_PIN_PREEMPTION_TIMER,
		.needed = VMX_PIN_EXTERNAL_INTERRUPT_EXITING |
			  VMX_PIN_NMI_EXITING,
	}, {
		.name = "cpu", .which = VMX_CAP_CPU,
		.msr = MSR(cpu), .exact = MSR(true_cpu), .result = RESULT(cpu),
		.denied = VMX_CPU_INTERRUPT_WINDOW | VMX_CPU_ACTIVATE_CPU3 |
			  VMX_CPU_TPR_SHADOW | VMX_CPU_NMI_WINDOW |
			  VMX_CPU_IO_BITMAPS | BIT(0) | BIT(18),
		.needed = VMX_CPU_MWAIT_EXITING | VMX_CPU_RDPMC_EXITING |
			  VMX_CPU_CR8_LOAD_EXITING | VMX_CPU_CR8_STORE_EXITING |
			  VMX_CPU_MOV_DR_EXITING | VMX_CPU_IO_EXITING |
			  VMX_CPU_MSR_BITMAPS | VMX_CPU_MONITOR_EXITING |
			  VMX_CPU_ACTIVATE_CPU2,
	}, {
		.name = "cpu2", .which = VMX_CAP_CPU2,
		.msr = MSR(cpu2), .exact = MSR(cpu2), .result = RESULT(cpu2),
		.denied = VMX_CPU2_VIRTUALIZE_APIC | VMX_CPU2_EPT |
			  VMX_CPU2_VIRTUALIZE_X2APIC | VMX_CPU2_VPID |
			  VMX_CPU2_APIC_REGISTERS | VMX_CPU2_VIRTUAL_INTERRUPTS |
			  VMX_CPU2_VMFUNC | VMX_CPU2_SHADOW_VMCS |
			  VMX_CPU2_PML | VMX_CPU2_EPT_VIOLATION_VE |
			  VMX_CPU2_CONCEAL_FROM_PT | VMX_CPU2_XSAVES |
			  VMX_CPU2_PASID_TRANSLATION |
			  VMX_CPU2_SUB_PAGE_WRITE |
			  VMX_CPU2_PT_GUEST_PHYSICAL |
			  VMX_CPU2_USER_WAIT_PAUSE | VMX_CPU2_PCONFIG |
			  BIT(29) | VMX_CPU2_BUS_LOCK_DETECTION,
	}, {
		.name = "exit", .which = VMX_CAP_EXIT,
		.msr = MSR(exit), .exact = MSR(true_exit), .result = RESULT(exit),
		.denied = VMX_EXIT_CTL_LOAD_PERF_GLOBAL |
			  VMX_EXIT_CTL_ACK_INTERRUPT | 0xffc00000,
		.needed = VMX_EXIT_CTL_SAVE_DEBUG | VMX_EXIT_CTL_HOST_64BIT,
	}, {
		.name = "entry", .which = VMX_CAP_ENTRY,
		.msr = MSR(entry), .exact = MSR(true_entry), .result = RESULT(entry),
		.denied = VMX_ENTRY_CTL_ENTRY_TO_SMM |
			  VMX_ENTRY_CTL_DEACTIVATE_DUAL_MONITOR |
			  VMX_ENTRY_CTL_LOAD_PERF_GLOBAL | 0xffff0000,
		.needed = VMX_ENTRY_CTL_LOAD_DEBUG |
			  VMX_ENTRY_CTL_IA32E_MODE_GUEST,
	},
};

static const struct vmx_control *result_of(const struct vmx_caps *caps,
					   const struct control_test *t)
{
	return (const void *)caps + t->result;
}

/* Both MSRs, so that it does not matter which one counts. */
static void change_msr(struct vmx_cpu_info *cpu, const struct control_test *t,
		       u64 clear, u64 set)
{
	u64 *msr = (void *)&cpu->msr + t->msr;
	u64 *exact = (void *)&cpu->msr + t->exact;

	*msr = (*msr & ~clear) | set;
	*exact = (*exact & ~clear) | set;
}

static u32 insisted(const struct vmx_cpu_info *cpu, const struct control_test *t)
{
	return *(const u64 *)((const void *)&cpu->msr + t->msr);
}

static void expect_status(struct kunit *test, const struct vmx_cpu_info *cpu,
			  enum vmx_status status)
{
	struct vmx_missing missing;
	struct vmx_caps caps;

	vmx_caps_derive(&caps, cpu, &missing);
	KUNIT_EXPECT_EQ(test, caps.status, (u32)status);
	KUNIT_EXPECT_EQ(test, !!missing.what, status == VMX_STATUS_MISSING);
	KUNIT_EXPECT_EQ(test, caps.size, (u32)sizeof(caps));
	KUNIT_EXPECT_EQ(test, caps.phys_bits, cpu->phys_bits);
}

static void caps_status(struct kunit *test)
{
	struct vmx_cpu_info cpu = cpu_haswell;

	expect_status(test, &cpu, VMX_STATUS_OK);
	cpu.feature_control = 0;
	expect_status(test, &cpu, VMX_STATUS_OK);
	cpu.feature_control = FEAT_CTL_LOCKED;
	expect_status(test, &cpu, VMX_STATUS_LOCKED);
	cpu.feature_control |= FEAT_CTL_VMX_ENABLED_INSIDE_SMX;
	expect_status(test, &cpu, VMX_STATUS_LOCKED);
	cpu.has_vmx = false;
	expect_status(test, &cpu, VMX_STATUS_NO_VMX);
}

static void caps_without_vmx(struct kunit *test)
{
	struct vmx_cpu_info cpu = cpu_haswell;
	struct vmx_caps caps;

	cpu.has_vmx = false;
	caps = caps_of(&cpu);
	KUNIT_EXPECT_EQ(test, caps.features, 0ull);
	KUNIT_EXPECT_EQ(test, caps.msr.basic, 0ull);
	KUNIT_EXPECT_EQ(test, caps.cpu.may, 0u);
}

#define ALWAYS_FEATURES (VMX_HAS_XSAVE | VMX_HAS_VIRTUAL_NMI)

static void caps_features(struct kunit *test)
{
	const u64 haswell = ALWAYS_FEATURES | VMX_HAS_EPT | VMX_HAS_VPID |
		VMX_HAS_UNRESTRICTED | VMX_HAS_EPT_2M | VMX_HAS_EPT_1G |
		VMX_HAS_EPT_AD | VMX_HAS_EPT_EXEC_ONLY |
		VMX_HAS_PREEMPTION_TIMER | VMX_HAS_LOAD_EFER |
		VMX_HAS_LOAD_PAT | VMX_HAS_SHADOW_VMCS | VMX_HAS_VMFUNC;
	struct vmx_cpu_info cpu = cpu_haswell;

	KUNIT_EXPECT_EQ(test, caps_of(&cpu_penryn).features,
			(u64)ALWAYS_FEATURES);
	KUNIT_EXPECT_EQ(test, caps_of(&cpu).features, haswell);
	KUNIT_EXPECT_EQ(test, caps_of(&cpu).timer_shift, 5u);
	KUNIT_EXPECT_EQ(test, caps_of(&cpu_everything).features,
			haswell | VMX_HAS_EPT_5LEVEL | VMX_HAS_PML |
			VMX_HAS_VE | VMX_HAS_MODE_EXEC);

	cpu.has_xsave = false;
	KUNIT_EXPECT_EQ(test, caps_of(&cpu).features, haswell & ~VMX_HAS_XSAVE);
	cpu.has_xsave = true;
	cpu.signature = 0x000106e5;
	KUNIT_EXPECT_EQ(test, caps_of(&cpu).features,
			haswell & ~VMX_HAS_PREEMPTION_TIMER);
}

/* EPT without what the module asks of it is no EPT, and takes others along. */
static void caps_poor_ept(struct kunit *test)
{
	static const u64 needed[] = {
		VMX_CAPS_EPT_WALK_4, VMX_CAPS_EPT_WB, VMX_CAPS_INVEPT,
		VMX_CAPS_INVEPT_SINGLE | VMX_CAPS_INVEPT_ALL,
	};
	const u64 ept = VMX_HAS_EPT | VMX_HAS_UNRESTRICTED | VMX_HAS_EPT_2M |
			VMX_HAS_EPT_1G | VMX_HAS_EPT_AD | VMX_HAS_EPT_EXEC_ONLY |
			VMX_HAS_VMFUNC | VMX_HAS_VE | VMX_HAS_MODE_EXEC;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		struct vmx_cpu_info cpu = cpu_haswell;
		struct vmx_caps caps;

		cpu.msr.ept_vpid &= ~needed[i];
		caps = caps_of(&cpu);
		KUNIT_EXPECT_EQ(test, caps.status, (u32)VMX_STATUS_OK);
		KUNIT_EXPECT_EQ(test, caps.features & ept, 0ull);
		KUNIT_EXPECT_EQ(test, caps.features & VMX_HAS_VPID,
				(u64)VMX_HAS_VPID);
		KUNIT_EXPECT_EQ(test,
				caps.cpu2.may & VMX_CPU2_UNRESTRICTED_GUEST, 0u);
	}
}

static void expect_control(struct kunit *test, struct vmx_control control,
			   u32 must, u32 may)
{
	KUNIT_EXPECT_EQ(test, control.must, must);
	KUNIT_EXPECT_EQ(test, control.may, may);
}

/* Written out, so that a changed policy is a changed test. */
static void caps_controls(struct kunit *test)
{
	struct vmx_caps penryn = caps_of(&cpu_penryn);
	struct vmx_caps haswell = caps_of(&cpu_haswell);

	expect_control(test, penryn.pin, 0x0000003f, 0x0000003f);
	expect_control(test, penryn.cpu, 0xb599ed72, 0xf599fffa);
	expect_control(test, penryn.cpu2, 0x00000040, 0x00000040);
	expect_control(test, penryn.exit, 0x00036fff, 0x00036fff);
	expect_control(test, penryn.entry, 0x000011ff, 0x000013ff);
	expect_control(test, haswell.pin, 0x0000003f, 0x0000003f);
	expect_control(test, haswell.cpu, 0xb5986d72, 0xfd99fffa);
	expect_control(test, haswell.cpu2, 0x00000040, 0x00001ccc);
	expect_control(test, haswell.exit, 0x003f6fff, 0x003f6fff);
	expect_control(test, haswell.entry, 0x0000d1ff, 0x0000d3ff);
}

/* A control bit that the CPU does not have. */
static void caps_needs(struct kunit *test)
{
	unsigned int i, bit;

	for (i = 0; i < ARRAY_SIZE(controls); i++)
		for (bit = 0; bit < 32; bit++) {
			struct vmx_cpu_info cpu = cpu_haswell;
			bool needed = controls[i].needed & BIT(bit);
			u32 status = needed ? VMX_STATUS_MISSING : VMX_STATUS_OK;

			change_msr(&cpu, &controls[i],
				   BIT_ULL(bit) | BIT_ULL(bit + 32), 0);
			KUNIT_EXPECT_EQ_MSG(test, caps_of(&cpu).status, status,
					    "%s without bit %u",
					    controls[i].name, bit);
		}
}

/* A CPU that insists on what the module cannot live with is not used. */
static void caps_insisting(struct kunit *test)
{
	unsigned int i, bit;

	for (i = 0; i < ARRAY_SIZE(controls); i++)
		for (bit = 0; bit < 32; bit++) {
			const struct control_test *t = &controls[i];
			struct vmx_cpu_info cpu = cpu_everything;
			struct vmx_caps caps;

			change_msr(&cpu, t, 0, BIT_ULL(bit));
			caps = caps_of(&cpu);
			if (t->denied & BIT(bit))
				KUNIT_EXPECT_EQ_MSG(test, caps.status,
						    (u32)VMX_STATUS_MISSING,
						    "%s, bit %u", t->name, bit);
			if (caps.status == VMX_STATUS_OK)
				KUNIT_EXPECT_TRUE_MSG(test, result_of(&caps, t)->must &
						      BIT(bit), "%s, bit %u",
						      t->name, bit);
		}
}

static void expect_sane(struct kunit *test, const struct vmx_caps *caps,
			const struct control_test *t)
{
	const struct vmx_control *control = result_of(caps, t);
	u32 insists = vmx_caps_must_be_1(caps, t->which);
	u32 can = vmx_caps_can_be_1(caps, t->which);

	KUNIT_EXPECT_EQ_MSG(test, control->must & ~control->may, 0u, "%s",
			    t->name);
	KUNIT_EXPECT_EQ_MSG(test, control->may & ~can, 0u, "%s", t->name);
	KUNIT_EXPECT_EQ_MSG(test, insists & ~control->must, 0u, "%s", t->name);
	KUNIT_EXPECT_EQ_MSG(test, control->may & t->denied, 0u, "%s", t->name);
	KUNIT_EXPECT_EQ_MSG(test, t->needed & ~control->may, 0u, "%s", t->name);
}

static bool paired(const struct vmx_caps *caps, u32 entry, u32 exit)
{
	return caps->entry.must & entry ? (caps->exit.must & exit) == exit :
					  !(caps->entry.may & entry);
}

/* Whatever a CPU says: it is refused, or the result is safe. */
static void caps_random(struct kunit *test)
{
	struct rnd_state random;
	unsigned int i, round, usable = 0;

	prandom_seed_state(&random, 1);
	for (round = 0; round < 5000; round++) {
		struct vmx_cpu_info cpu = cpu_everything;
		struct vmx_caps caps;

		for (i = 0; i < ARRAY_SIZE(controls); i++) {
			u32 gone = prandom_u32_state(&random) &
				   prandom_u32_state(&random) &
				   prandom_u32_state(&random);
			u32 more = prandom_u32_state(&random) &
				   prandom_u32_state(&random) &
				   prandom_u32_state(&random) &
				   prandom_u32_state(&random);

			/* Mostly usable ones, or there is nothing to look at. */
			if (round % 4) {
				gone &= ~(controls[i].needed |
					  insisted(&cpu, &controls[i]));
				more &= ~controls[i].denied & ~gone;
			}
			change_msr(&cpu, &controls[i], (u64)gone << 32, more);
		}
		caps = caps_of(&cpu);
		if (caps.status != VMX_STATUS_OK)
			continue;
		usable++;
		for (i = 0; i < ARRAY_SIZE(controls); i++)
			expect_sane(test, &caps, &controls[i]);
		KUNIT_EXPECT_TRUE(test, paired(&caps, VMX_ENTRY_CTL_LOAD_EFER,
					       VMX_EXIT_CTL_SAVE_EFER |
					       VMX_EXIT_CTL_LOAD_EFER));
		KUNIT_EXPECT_TRUE(test, paired(&caps, VMX_ENTRY_CTL_LOAD_PAT,
					       VMX_EXIT_CTL_SAVE_PAT |
					       VMX_EXIT_CTL_LOAD_PAT));
	}
	KUNIT_EXPECT_GT(test, usable, 100u);
}

/* Guest EFER and PAT need all three controls. */
static void caps_pairs(struct kunit *test)
{
	static const struct {
		unsigned int control;
		u32 bit;
		u64 feature;
	} rows[] = {
		{ 4, VMX_ENTRY_CTL_LOAD_EFER, VMX_HAS_LOAD_EFER },
		{ 3, VMX_EXIT_CTL_SAVE_EFER, VMX_HAS_LOAD_EFER },
		{ 3, VMX_EXIT_CTL_LOAD_EFER, VMX_HAS_LOAD_EFER },
		{ 4, VMX_ENTRY_CTL_LOAD_PAT, VMX_HAS_LOAD_PAT },
		{ 3, VMX_EXIT_CTL_SAVE_PAT, VMX_HAS_LOAD_PAT },
		{ 3, VMX_EXIT_CTL_LOAD_PAT, VMX_HAS_LOAD_PAT },
	};
	const u64 both = VMX_HAS_LOAD_EFER | VMX_HAS_LOAD_PAT;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmx_cpu_info cpu = cpu_haswell;
		struct vmx_caps caps;

		change_msr(&cpu, &controls[rows[i].control],
			   (u64)rows[i].bit << 32, 0);
		caps = caps_of(&cpu);
		KUNIT_EXPECT_EQ(test, caps.status, (u32)VMX_STATUS_OK);
		KUNIT_EXPECT_EQ(test, caps.features & both,
				both & ~rows[i].feature);
	}
}

/* Without true controls, the MSRs that are not true count. */
static void caps_true_controls(struct kunit *test)
{
	struct vmx_cpu_info cpu = cpu_haswell;

	cpu.msr.basic &= ~VMX_CAPS_BASIC_TRUE;
	expect_control(test, caps_of(&cpu).cpu, 0xb599ed72, 0xfd99fffa);
}

static void caps_comparison(struct kunit *test)
{
	struct vmx_caps caps = caps_of(&cpu_haswell);
	struct vmx_cpu_info cpu = cpu_haswell;

	KUNIT_EXPECT_TRUE(test, vmx_caps_same(&caps, &cpu));
	cpu.tsc_khz++;
	KUNIT_EXPECT_TRUE(test, vmx_caps_same(&caps, &cpu));
	cpu.msr.exit2 ^= 1;
	KUNIT_EXPECT_FALSE(test, vmx_caps_same(&caps, &cpu));
	cpu = cpu_haswell;
	cpu.msr.basic++;
	KUNIT_EXPECT_FALSE(test, vmx_caps_same(&caps, &cpu));
	cpu = cpu_haswell;
	cpu.feature_control = FEAT_CTL_LOCKED;
	KUNIT_EXPECT_FALSE(test, vmx_caps_same(&caps, &cpu));
	cpu = cpu_haswell;
	cpu.has_vmx = false;
	KUNIT_EXPECT_FALSE(test, vmx_caps_same(&caps, &cpu));
}

static struct kunit_case caps_cases[] = {
	KUNIT_CASE(caps_status),
	KUNIT_CASE(caps_without_vmx),
	KUNIT_CASE(caps_features),
	KUNIT_CASE(caps_poor_ept),
	KUNIT_CASE(caps_controls),
	KUNIT_CASE(caps_needs),
	KUNIT_CASE(caps_insisting),
	KUNIT_CASE(caps_random),
	KUNIT_CASE(caps_pairs),
	KUNIT_CASE(caps_true_controls),
	KUNIT_CASE(caps_comparison),
	{}
};

static struct kunit_suite caps_suite = {
	.name = "vmx_caps",
	.test_cases = caps_cases,
};

kunit_test_suites(&caps_suite);
