/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The checks of VM entry in software (SDM, chapter "VM Entries"). They name the
 * wrong field where the CPU reports only "invalid control field".
 * They execute no VMX instruction.
 */
#ifndef VMX_CHECK_H
#define VMX_CHECK_H

#include <linux/bits.h>
#include <linux/types.h>

#include <linux/vmx.h>

#include "caps.h"

/**
 * struct vmx_check_ctx - the VMCS to check, and the CPU it is for
 * @caps: capabilities of the CPU
 * @read: reads a field that exists on that CPU
 * @phys: reads physical memory; false if it cannot. NULL leaves out what needs
 *	it: the virtual TPR, what the link pointer points to, and PDPTEs
 *	without EPT
 * @opaque: for @read and @phys
 * @vmcs: physical address of the VMCS, 0 if not known
 * @host_32bit: VM entry is made outside IA-32e mode
 * @strict: fail what only some CPUs refuse, too: right after an entry failed,
 *	not before
 * @shadow: paging is the module's: the guest need not have it, and has an EFER
 *	whatever the CPU can load
 */
struct vmx_check_ctx {
	const struct vmx_caps *caps;
	u64 (*read)(void *opaque, u32 field);
	bool (*phys)(void *opaque, u64 address, void *buf, size_t length);
	void *opaque;
	u64 vmcs;
	bool host_32bit;
	bool strict;
	bool shadow;
};

void vmx_check_entry(const struct vmx_check_ctx *ctx,
		     struct vmx_failure *failure);
void vmx_check_registers(const struct vmx_check_ctx *ctx,
			 struct vmx_failure *failure);

/* What the check_*.c files share */

/**
 * struct vmx_checker - one run through the checks
 * @ctx: what is checked
 * @controls: by enum vmx_capability: the controls in effect
 * @segment: index of the segment register that is looked at
 * @field: set by a check that fails, if the culprit is another field than its
 *	step says
 * @field2: set by a check that fails: the field that @field contradicts
 * @bits: set by a check that fails: the offending bits
 */
struct vmx_checker {
	const struct vmx_check_ctx *ctx;
	u32 controls[VMX_CAP_CR3_TARGETS];
	unsigned int segment;
	u32 field;
	u32 field2;
	u64 bits;
};

/**
 * struct vmx_step - one check
 * @id: what it is called
 * @which: with @when: which control decides whether it is made
 * @when: it is made if one of these bits is 1, or if this is 0
 * @field: the field it is about
 * @segments: for checks of segment registers: those it is made for, and @field
 *	is the one of ES
 * @arg: for @fails
 * @other: for @fails: another control
 * @fails: makes it, given the field's value
 */
struct vmx_step {
	enum vmx_check id;
	enum vmx_capability which;
	u32 when;
	u32 field;
	u32 segments;
	u64 arg;
	enum vmx_capability other;
	bool (*fails)(struct vmx_checker *c, const struct vmx_step *step,
		      u64 value);
};

/*
 * Bits of PERF_GLOBAL_CTRL that no CPU has. How many of the others there are
 * depends on CPUID, and the module never sets them.
 */
#define VMX_CHECK_PERF_RESERVED	GENMASK_ULL(63, 49)

#define STEP(_id, _field, _fails, ...)					\
	{								\
		.id = VMX_CHECK_##_id, .field = VMX_F_##_field,		\
		.fails = _fails, ##__VA_ARGS__				\
	}

/**
 * struct vmx_steps - checks in the order of the SDM
 * @steps: the checks
 * @count: how many
 */
struct vmx_steps {
	const struct vmx_step *steps;
	unsigned int count;
};

extern const struct vmx_steps vmx_check_controls;
extern const struct vmx_steps vmx_check_host;
extern const struct vmx_steps vmx_check_guest_registers;
extern const struct vmx_steps vmx_check_guest_segments;
extern const struct vmx_steps vmx_check_guest_state;

static inline u64 vmx_check_read(const struct vmx_checker *c, u32 field)
{
	return c->ctx->read(c->ctx->opaque, field);
}

static inline bool vmx_check_has(const struct vmx_checker *c,
				 enum vmx_capability which, u32 bits)
{
	return c->controls[which] & bits;
}

u64 vmx_check_phys_mask(const struct vmx_checker *c);
unsigned int vmx_check_linear_bits(const struct vmx_checker *c);
bool vmx_check_is_canonical(const struct vmx_checker *c, u64 address);

bool vmx_check_bits(struct vmx_checker *c, u64 bits);
bool vmx_check_against(struct vmx_checker *c, u32 field2, u64 bits);
bool vmx_check_zero(struct vmx_checker *c, const struct vmx_step *step,
		    u64 value);
bool vmx_check_address(struct vmx_checker *c, const struct vmx_step *step,
		       u64 value);
bool vmx_check_canonical(struct vmx_checker *c, const struct vmx_step *step,
			 u64 value);
bool vmx_check_pat(struct vmx_checker *c, const struct vmx_step *step,
		   u64 value);
bool vmx_check_cet(struct vmx_checker *c, const struct vmx_step *step,
		   u64 value);

#endif /* VMX_CHECK_H */
