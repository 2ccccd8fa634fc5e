/* SPDX-License-Identifier: GPL-2.0 */
/* The VMCS fields: existence, owners, permitted values. */
#ifndef VMX_FIELDS_H
#define VMX_FIELDS_H

#include <linux/types.h>

#include <linux/vmx.h>

#include "caps.h"

/**
 * struct vmx_field_ctx - the VMCS and CPU that a value is judged for
 * @caps: capabilities of the CPU
 * @cpu2_must: secondary controls that the module turned on in this VMCS (EPT,
 *	VPID)
 * @host_cr4: the host's CR4
 */
struct vmx_field_ctx {
	const struct vmx_caps *caps;
	u32 cpu2_must;
	unsigned long host_cr4;
};

/**
 * struct vmx_field_policy - what fields of one kind may hold
 * @text: the rule, for people
 * @dictated: bits that the module sets or clears whatever is asked for; all
 *	others are refused if asked for in vain
 * @limits: narrows @must (on entry 0) and @may (on entry what the field's width
 *	has room for)
 */
struct vmx_field_policy {
	const char *text;
	u64 dictated;
	void (*limits)(const struct vmx_field_ctx *ctx, u64 *must, u64 *may);
};

/**
 * struct vmx_field_desc - one VMCS field
 * @name: the VMX_F_* name without the prefix
 * @field: encoding
 * @owner: an enum vmx_owner
 * @need: the field exists on CPUs that have one of @bits of this capability
 * @bits: see @need
 * @exit_bits: or one of these VM-exit controls
 * @initial: value in a new VMCS, besides forced bits
 * @policy: what userspace may write; NULL: anything
 */
struct vmx_field_desc {
	const char *name;
	u32 field;
	enum vmx_owner owner;
	enum vmx_capability need;
	u32 bits;
	u32 exit_bits;
	u64 initial;
	const struct vmx_field_policy *policy;
};

/* vmx/field_table.c, in ascending order of encoding */
extern const struct vmx_field_desc vmx_field_table[];
extern const unsigned int vmx_field_count;

const struct vmx_field_desc *vmx_field_at(unsigned int i);
const struct vmx_field_desc *vmx_field_find(u32 field);
bool vmx_field_exists(const struct vmx_field_desc *desc,
		      const struct vmx_caps *caps);

enum vmx_refusal vmx_field_rule(const struct vmx_field_desc *desc,
				const struct vmx_field_ctx *ctx, u64 *must,
				u64 *may);
enum vmx_refusal vmx_field_judge(const struct vmx_field_desc *desc,
				 const struct vmx_field_ctx *ctx, u64 *value,
				 u64 *forced, u64 *bad_bits);
u64 vmx_field_default(const struct vmx_field_desc *desc,
		      const struct vmx_field_ctx *ctx);

#endif /* VMX_FIELDS_H */
