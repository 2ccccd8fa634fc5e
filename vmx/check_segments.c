// SPDX-License-Identifier: GPL-2.0
/* SDM, "Checks on Guest Segment Registers" */
#include <linux/bits.h>
#include <linux/kernel.h>

#include <asm/processor-flags.h>

#include "../base/kunit-export.h"
#include "check.h"

/* Segment registers as the SDM numbers them in instructions and fields */
enum { ES, CS, SS, DS, FS, GS, LDTR, TR };

#define DATA		(BIT(DS) | BIT(ES) | BIT(FS) | BIT(GS))
#define CODE_OR_DATA	(BIT(CS) | BIT(SS) | DATA)
#define SYSTEM		(BIT(TR) | BIT(LDTR))
#define RPL		3
#define TI		BIT(2)
#define V86_ACCESS	0xf3
#define TYPE_CODE	BIT(3)
#define TYPE_READABLE	BIT(1)
#define TYPE_ACCESSED	BIT(0)

static u32 selector_of(const struct vmx_checker *c, unsigned int segment)
{
	return vmx_check_read(c, VMX_F_GUEST_ES_SELECTOR + 2 * segment);
}

static u32 access_of(const struct vmx_checker *c, unsigned int segment)
{
	return vmx_check_read(c, VMX_F_GUEST_ES_ACCESS + 2 * segment);
}

static u32 type_of(const struct vmx_checker *c, unsigned int segment)
{
	return access_of(c, segment) & VMX_ACCESS_TYPE_MASK;
}

static u32 dpl_of(const struct vmx_checker *c, unsigned int segment)
{
	return (access_of(c, segment) & VMX_ACCESS_DPL_MASK) >> VMX_ACCESS_DPL_SHIFT;
}

static bool in_v86(const struct vmx_checker *c)
{
	return vmx_check_read(c, VMX_F_GUEST_RFLAGS) & X86_EFLAGS_VM;
}

static bool in_ia32e(const struct vmx_checker *c)
{
	return vmx_check_has(c, VMX_CAP_ENTRY, VMX_ENTRY_CTL_IA32E_MODE_GUEST);
}

static bool is_unrestricted(const struct vmx_checker *c)
{
	return vmx_check_has(c, VMX_CAP_CPU2, VMX_CPU2_UNRESTRICTED_GUEST);
}

/* CS and TR are checked whether or not they are marked as unusable. */
static bool is_used(const struct vmx_checker *c)
{
	return c->segment == CS || c->segment == TR ||
	       !(access_of(c, c->segment) & VMX_ACCESS_UNUSABLE);
}

/* Access rights that matter: in virtual-8086 mode another check has them all. */
static bool rights_matter(const struct vmx_checker *c)
{
	return is_used(c) && (BIT(c->segment) & SYSTEM || !in_v86(c));
}

/* Selectors */

static bool check_ti(struct vmx_checker *c, const struct vmx_step *step,
		     u64 value)
{
	return is_used(c) && vmx_check_bits(c, value & TI);
}

static bool check_ss_rpl(struct vmx_checker *c, const struct vmx_step *step,
			 u64 value)
{
	u32 wrong = (value ^ selector_of(c, CS)) & RPL;

	if (in_v86(c) || is_unrestricted(c) || !wrong)
		return false;
	return vmx_check_against(c, VMX_F_GUEST_CS_SELECTOR, wrong);
}

/* Base addresses and limits */

static bool check_v86_base(struct vmx_checker *c, const struct vmx_step *step,
			   u64 value)
{
	if (!in_v86(c) || value == (u64)selector_of(c, c->segment) << 4)
		return false;
	return vmx_check_against(c, VMX_F_GUEST_ES_SELECTOR + 2 * c->segment, 0);
}

static bool check_base_canonical(struct vmx_checker *c,
				 const struct vmx_step *step, u64 value)
{
	/* FS and GS have bases in 64-bit mode even if they are unusable. */
	return (c->segment != LDTR || is_used(c)) &&
	       !vmx_check_is_canonical(c, value);
}

static bool check_base_high(struct vmx_checker *c, const struct vmx_step *step,
			    u64 value)
{
	return is_used(c) && vmx_check_zero(c, step, value);
}

static bool check_v86_limit(struct vmx_checker *c, const struct vmx_step *step,
			    u64 value)
{
	return in_v86(c) && value != 0xffff;
}

/* Access rights */

static bool check_v86_access(struct vmx_checker *c, const struct vmx_step *step,
			     u64 value)
{
	return in_v86(c) && vmx_check_bits(c, value ^ V86_ACCESS);
}

static bool bad_type(struct vmx_checker *c)
{
	return vmx_check_bits(c, VMX_ACCESS_TYPE_MASK);
}

/* arg is a bit map of types. */
static bool check_type(struct vmx_checker *c, const struct vmx_step *step,
		       u64 value)
{
	return rights_matter(c) && !(step->arg & BIT(value & 0xf)) && bad_type(c);
}

static bool check_cs_type(struct vmx_checker *c, const struct vmx_step *step,
			  u64 value)
{
	if ((value & VMX_ACCESS_TYPE_MASK) == 3 && is_unrestricted(c))
		return false;
	return check_type(c, step, value);
}

/* A 16-bit busy TSS is for 16-bit and 32-bit guests. */
static bool check_tr_type(struct vmx_checker *c, const struct vmx_step *step,
			  u64 value)
{
	if ((value & VMX_ACCESS_TYPE_MASK) == 3 && !in_ia32e(c))
		return false;
	return check_type(c, step, value);
}

static bool check_accessed(struct vmx_checker *c, const struct vmx_step *step,
			   u64 value)
{
	return rights_matter(c) && vmx_check_bits(c, ~value & TYPE_ACCESSED);
}

static bool check_readable(struct vmx_checker *c, const struct vmx_step *step,
			   u64 value)
{
	return rights_matter(c) && value & TYPE_CODE &&
	       vmx_check_bits(c, ~value & TYPE_READABLE);
}

static bool check_s_is_1(struct vmx_checker *c, const struct vmx_step *step,
			 u64 value)
{
	return rights_matter(c) && vmx_check_bits(c, ~value & VMX_ACCESS_S);
}

static bool check_cs_dpl(struct vmx_checker *c, const struct vmx_step *step,
			 u64 value)
{
	u32 cs = dpl_of(c, CS), ss = dpl_of(c, SS);
	bool good;

	if (in_v86(c))
		return false;
	switch (type_of(c, CS)) {
	case 3:
		return cs && vmx_check_bits(c, VMX_ACCESS_DPL_MASK);
	case 9:
	case 11:
		good = cs == ss;
		break;
	default:
		good = cs <= ss;
	}
	return !good && vmx_check_against(c, VMX_F_GUEST_SS_ACCESS,
					  VMX_ACCESS_DPL_MASK);
}

static bool check_ss_dpl_rpl(struct vmx_checker *c, const struct vmx_step *step,
			     u64 value)
{
	if (in_v86(c) || is_unrestricted(c) || dpl_of(c, SS) == (selector_of(c, SS) & RPL))
		return false;
	return vmx_check_against(c, VMX_F_GUEST_SS_SELECTOR, VMX_ACCESS_DPL_MASK);
}

static bool check_ss_dpl(struct vmx_checker *c, const struct vmx_step *step,
			 u64 value)
{
	if (in_v86(c) || !dpl_of(c, SS))
		return false;
	if (type_of(c, CS) == 3)
		return vmx_check_against(c, VMX_F_GUEST_CS_ACCESS,
					 VMX_ACCESS_DPL_MASK);
	if (!(vmx_check_read(c, VMX_F_GUEST_CR0) & X86_CR0_PE))
		return vmx_check_against(c, VMX_F_GUEST_CR0, VMX_ACCESS_DPL_MASK);
	return false;
}

/* Data and non-conforming code */
static bool check_data_dpl(struct vmx_checker *c, const struct vmx_step *step,
			   u64 value)
{
	if (!rights_matter(c) || is_unrestricted(c) || type_of(c, c->segment) > 11 ||
	    dpl_of(c, c->segment) >= (selector_of(c, c->segment) & RPL))
		return false;
	return vmx_check_against(c, VMX_F_GUEST_ES_SELECTOR + 2 * c->segment,
				 VMX_ACCESS_DPL_MASK);
}

static bool check_present(struct vmx_checker *c, const struct vmx_step *step,
			  u64 value)
{
	return rights_matter(c) && vmx_check_bits(c, ~value & VMX_ACCESS_PRESENT);
}

static bool check_rights_zero(struct vmx_checker *c, const struct vmx_step *step,
			      u64 value)
{
	return rights_matter(c) && vmx_check_zero(c, step, value);
}

static bool check_cs_db(struct vmx_checker *c, const struct vmx_step *step,
			u64 value)
{
	return rights_matter(c) && in_ia32e(c) && value & VMX_ACCESS_L &&
	       vmx_check_bits(c, value & VMX_ACCESS_DB);
}

/* The limit is in bytes: with G it ends on a page, without it is below 1 MiB. */
static bool check_granularity(struct vmx_checker *c,
			      const struct vmx_step *step, u64 value)
{
	u32 limit = vmx_check_read(c, VMX_F_GUEST_ES_LIMIT + 2 * c->segment);
	bool g = value & VMX_ACCESS_G;

	if (!rights_matter(c) ||
	    !((g && ~limit & 0xfff) || (!g && limit & 0xfff00000)))
		return false;
	return vmx_check_against(c, VMX_F_GUEST_ES_LIMIT + 2 * c->segment,
				 VMX_ACCESS_G);
}

#define FOR(mask)	.segments = (mask)
#define RESERVED_BITS	(GENMASK(11, 8) | GENMASK(31, 17))

static const struct vmx_step steps[] = {
	/* Selector */
	STEP(TR_TI, GUEST_ES_SELECTOR, check_ti, FOR(BIT(TR))),
	STEP(LDTR_TI, GUEST_ES_SELECTOR, check_ti, FOR(BIT(LDTR))),
	STEP(SS_RPL, GUEST_ES_SELECTOR, check_ss_rpl, FOR(BIT(SS))),
	/* Base address */
	STEP(V86_BASE, GUEST_ES_BASE, check_v86_base, FOR(CODE_OR_DATA)),
	STEP(BASE_CANONICAL, GUEST_ES_BASE, check_base_canonical,
	     FOR(BIT(TR) | BIT(FS) | BIT(GS) | BIT(LDTR))),
	STEP(BASE_HIGH, GUEST_ES_BASE, check_base_high,
	     FOR(BIT(CS) | BIT(SS) | BIT(DS) | BIT(ES)),
	     .arg = GENMASK_ULL(63, 32)),
	/* Limit */
	STEP(V86_LIMIT, GUEST_ES_LIMIT, check_v86_limit, FOR(CODE_OR_DATA)),
	/* Access rights of code and data */
	STEP(V86_ACCESS, GUEST_ES_ACCESS, check_v86_access, FOR(CODE_OR_DATA)),
	STEP(CS_TYPE, GUEST_ES_ACCESS, check_cs_type, FOR(BIT(CS)),
	     .arg = BIT(9) | BIT(11) | BIT(13) | BIT(15)),
	STEP(SS_TYPE, GUEST_ES_ACCESS, check_type, FOR(BIT(SS)),
	     .arg = BIT(3) | BIT(7)),
	STEP(DATA_ACCESSED, GUEST_ES_ACCESS, check_accessed, FOR(DATA)),
	STEP(DATA_READABLE, GUEST_ES_ACCESS, check_readable, FOR(DATA)),
	STEP(SEGMENT_S, GUEST_ES_ACCESS, check_s_is_1, FOR(CODE_OR_DATA)),
	STEP(CS_DPL, GUEST_ES_ACCESS, check_cs_dpl, FOR(BIT(CS))),
	STEP(SS_DPL_RPL, GUEST_ES_ACCESS, check_ss_dpl_rpl, FOR(BIT(SS))),
	STEP(SS_DPL, GUEST_ES_ACCESS, check_ss_dpl, FOR(BIT(SS))),
	STEP(DATA_DPL, GUEST_ES_ACCESS, check_data_dpl, FOR(DATA)),
	STEP(SEGMENT_P, GUEST_ES_ACCESS, check_present, FOR(CODE_OR_DATA)),
	STEP(SEGMENT_RESERVED, GUEST_ES_ACCESS, check_rights_zero,
	     FOR(CODE_OR_DATA), .arg = RESERVED_BITS),
	STEP(CS_DB, GUEST_ES_ACCESS, check_cs_db, FOR(BIT(CS))),
	STEP(SEGMENT_G, GUEST_ES_ACCESS, check_granularity, FOR(CODE_OR_DATA)),
	/* Access rights of TR and LDTR */
	STEP(TR_TYPE, GUEST_ES_ACCESS, check_tr_type, FOR(BIT(TR)),
	     .arg = BIT(11)),
	STEP(LDTR_TYPE, GUEST_ES_ACCESS, check_type, FOR(BIT(LDTR)),
	     .arg = BIT(2)),
	STEP(SYSTEM_S, GUEST_ES_ACCESS, check_rights_zero, FOR(SYSTEM),
	     .arg = VMX_ACCESS_S),
	STEP(SEGMENT_P, GUEST_ES_ACCESS, check_present, FOR(SYSTEM)),
	STEP(SEGMENT_RESERVED, GUEST_ES_ACCESS, check_rights_zero, FOR(SYSTEM),
	     .arg = RESERVED_BITS),
	STEP(SEGMENT_G, GUEST_ES_ACCESS, check_granularity, FOR(SYSTEM)),
	STEP(TR_UNUSABLE, GUEST_ES_ACCESS, check_rights_zero, FOR(BIT(TR)),
	     .arg = VMX_ACCESS_UNUSABLE),
};

const struct vmx_steps vmx_check_guest_segments = { steps, ARRAY_SIZE(steps) };
EXPORT_SYMBOL_IF_KUNIT(vmx_check_guest_segments);
