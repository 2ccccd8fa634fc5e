/* SPDX-License-Identifier: GPL-2.0 */
/* VMCSs in ordinary memory that pass the checks of VM entry, and changes that make them fail. */
#ifndef VMX_KUNIT_VMCS_MODEL_H
#define VMX_KUNIT_VMCS_MODEL_H

#include <kunit/test.h>

#include "../../vmx/check.h"
#include "cpus.h"

enum model_mode {
	PROTECTED,
	REAL,
	PAE,
	LONG,
	COMPATIBILITY,
	V86,
};

/**
 * struct edit - a change of a field: (value & ~clear) | set
 * @field: the field
 * @clear: bits to clear
 * @set: bits to set
 */
struct edit {
	u32 field;
	u64 clear;
	u64 set;
};

#define IS(_field, value)	{ VMX_F_##_field, ~0ull, value }
#define ON(_field, bits)	{ VMX_F_##_field, 0, bits }
#define OFF(_field, bits)	{ VMX_F_##_field, bits, 0 }

/**
 * struct violation - a good VMCS with a flaw, and the check that has to find it
 * @line: where it is written
 * @mode: the VMCS to start from
 * @edits: the flaw
 * @id: the check; %VMX_CHECK_NONE if this is no flaw
 * @field: the field to blame
 * @field2: the field that it contradicts
 * @bits: the bits to blame; not looked at if 0
 * @cpu: the CPU; NULL for cpu_everything
 * @tweak: changes the CPU's capabilities
 * @memory: what each 64-bit word of physical memory holds; 0 if none can be read
 * @vmcs: physical address of the VMCS
 * @host_32bit: VM entry is made outside IA-32e mode
 * @strict: the entry has failed already
 * @shadow: paging is the module's
 */
struct violation {
	unsigned int line;
	enum model_mode mode;
	struct edit edits[6];
	enum vmx_check id;
	u32 field;
	u32 field2;
	u64 bits;
	const struct vmx_cpu_info *cpu;
	void (*tweak)(struct vmx_msr_caps *msr);
	u64 memory;
	u64 vmcs;
	bool host_32bit;
	bool strict;
	bool shadow;
};

#define EDITS(...)	.edits = { __VA_ARGS__ }
#define FLAW(_id, _field, ...)						\
	{								\
		.line = __LINE__, .id = VMX_CHECK_##_id,		\
		.field = VMX_F_##_field, ##__VA_ARGS__			\
	}
#define FINE(...)	{ .line = __LINE__, ##__VA_ARGS__ }

void expect_violations(struct kunit *test, const struct violation *violations,
		       unsigned int count);
void expect_all_covered(struct kunit *test, const struct vmx_steps *steps,
			const struct violation *violations, unsigned int count);

#endif /* VMX_KUNIT_VMCS_MODEL_H */
