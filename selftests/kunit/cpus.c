// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "cpus.h"

#define ENABLED (FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)

const struct vmx_cpu_info cpu_penryn = {
	.has_vmx = true,
	.has_xsave = true,
	.signature = 0x0001067a,
	.phys_bits = 36,
	.tsc_khz = 2800000,
	.feature_control = ENABLED,
	.msr = {
		.basic = 0x005a08000000000d,
		.pin = CONTROL_MSR(0x00000016, 0x0000003f),
		.cpu = CONTROL_MSR(0x0401e172, 0xf7f9fffe),
		.exit = CONTROL_MSR(0x00036dff, 0x0003ffff),
		.entry = CONTROL_MSR(0x000011ff, 0x00003fff),
		.misc = 0x403c0,
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = 0x467ff,
		.vmcs_enum = 0x2c,
		.cpu2 = CONTROL_MSR(0, 0x41),
	},
};

const struct vmx_cpu_info cpu_haswell = {
	.has_vmx = true,
	.has_xsave = true,
	.signature = 0x000306c3,
	.phys_bits = 39,
	.tsc_khz = 3400000,
	.feature_control = ENABLED,
	.msr = {
		.basic = 0x00da040000000012,
		.pin = CONTROL_MSR(0x00000016, 0x0000007f),
		.cpu = CONTROL_MSR(0x0401e172, 0xfff9fffe),
		.exit = CONTROL_MSR(0x00036dff, 0x007fffff),
		.entry = CONTROL_MSR(0x000011ff, 0x0000ffff),
		.misc = 0x300481e5,
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = 0x1767ff,
		.vmcs_enum = 0x2a,
		.cpu2 = CONTROL_MSR(0, 0x7cff),
		.ept_vpid = 0x00000f0106334141,
		.true_pin = CONTROL_MSR(0x00000016, 0x0000007f),
		.true_cpu = CONTROL_MSR(0x04006172, 0xfff9fffe),
		.true_exit = CONTROL_MSR(0x00036dfb, 0x007fffff),
		.true_entry = CONTROL_MSR(0x000011fb, 0x0000ffff),
		.vmfunc = 1,
	},
};

const struct vmx_cpu_info cpu_everything = {
	.has_vmx = true,
	.has_xsave = true,
	.signature = 0x000f06f0,
	.phys_bits = 46,
	.tsc_khz = 2000000,
	.feature_control = ENABLED,
	.msr = {
		.basic = 0x00da040000000077,
		.pin = CONTROL_MSR(0x00000016, 0xffffffff),
		.cpu = CONTROL_MSR(0x0401e172, 0xffffffff),
		.exit = CONTROL_MSR(0x00036dff, 0xffffffff),
		.entry = CONTROL_MSR(0x000011ff, 0xffffffff),
		.misc = 0x7004c1e5,
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = 0x1ffffffff,
		.vmcs_enum = 0x52,
		.cpu2 = CONTROL_MSR(0, 0xffffffff),
		.ept_vpid = 0x00000f01ffffffff,
		.true_pin = CONTROL_MSR(0x00000016, 0xffffffff),
		.true_cpu = CONTROL_MSR(0x04006172, 0xffffffff),
		.true_exit = CONTROL_MSR(0x00036dfb, 0xffffffff),
		.true_entry = CONTROL_MSR(0x000011fb, 0xffffffff),
		.vmfunc = 1,
		.cpu3 = 0xff,
		.exit2 = 0xf,
	},
};

/* What the module makes of @cpu. */
struct vmx_caps caps_of(const struct vmx_cpu_info *cpu)
{
	struct vmx_missing missing;
	struct vmx_caps caps;

	vmx_caps_derive(&caps, cpu, &missing);
	return caps;
}

MODULE_DESCRIPTION("KUnit tests of the VMX module");
MODULE_LICENSE("GPL");
/* MODULE_IMPORT_NS() wants its argument quoted in some kernels, and bare in others. */
MODULE_INFO(import_ns, "EXPORTED_FOR_KUNIT_TESTING");
