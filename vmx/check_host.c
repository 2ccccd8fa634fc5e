// SPDX-License-Identifier: GPL-2.0
/* SDM, "Checks on the Host-State Area": a failure is VM-instruction error 8. */
#include <linux/bits.h>
#include <linux/kernel.h>

#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "../base/kunit-export.h"
#include "check.h"

#define HIGH_BITS	GENMASK_ULL(63, 32)
#define EFER_BITS	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)

static bool host_64bit(const struct vmx_checker *c)
{
	return vmx_check_has(c, VMX_CAP_EXIT, VMX_EXIT_CTL_HOST_64BIT);
}

static u64 fixed_violations(u64 value, u64 fixed0, u64 fixed1)
{
	return (~value & fixed0) | (value & ~fixed1);
}

static bool check_cr0(struct vmx_checker *c, const struct vmx_step *step,
		      u64 value)
{
	const struct vmx_msr_caps *msr = &c->ctx->caps->msr;

	return vmx_check_bits(c, fixed_violations(value, msr->cr0_fixed0,
						  msr->cr0_fixed1));
}

static bool check_cr4(struct vmx_checker *c, const struct vmx_step *step,
		      u64 value)
{
	const struct vmx_msr_caps *msr = &c->ctx->caps->msr;

	return vmx_check_bits(c, fixed_violations(value, msr->cr4_fixed0,
						  msr->cr4_fixed1));
}

static bool check_cet_wp(struct vmx_checker *c, const struct vmx_step *step,
			 u64 value)
{
	if (!(value & step->arg) ||
	    vmx_check_read(c, VMX_F_HOST_CR0) & X86_CR0_WP)
		return false;
	return vmx_check_against(c, VMX_F_HOST_CR0, step->arg);
}

static bool check_ssp(struct vmx_checker *c, const struct vmx_step *step,
		      u64 value)
{
	return vmx_check_zero(c, step, value) ||
	       !vmx_check_is_canonical(c, value);
}

static bool check_efer_mode(struct vmx_checker *c, const struct vmx_step *step,
			    u64 value)
{
	u64 want = host_64bit(c) ? EFER_LMA | EFER_LME : 0;
	u64 wrong = (value ^ want) & (EFER_LMA | EFER_LME);

	return wrong && vmx_check_against(c, VMX_F_EXIT_CONTROLS, wrong);
}

static bool check_nonzero(struct vmx_checker *c, const struct vmx_step *step,
			  u64 value)
{
	return !value;
}

static bool check_ss(struct vmx_checker *c, const struct vmx_step *step,
		     u64 value)
{
	return !value && !host_64bit(c);
}

/* VM exit cannot leave IA-32e mode, nor enter it. */
static bool check_mode(struct vmx_checker *c, const struct vmx_step *step,
		       u64 value)
{
	return host_64bit(c) == c->ctx->host_32bit &&
	       vmx_check_bits(c, VMX_EXIT_CTL_HOST_64BIT);
}

static bool check_guest_mode(struct vmx_checker *c, const struct vmx_step *step,
			     u64 value)
{
	return !host_64bit(c) && value & step->arg &&
	       vmx_check_against(c, VMX_F_EXIT_CONTROLS, step->arg);
}

static bool check_pae(struct vmx_checker *c, const struct vmx_step *step,
		      u64 value)
{
	return host_64bit(c) && !(value & step->arg) &&
	       vmx_check_against(c, VMX_F_EXIT_CONTROLS, step->arg);
}

static bool check_rip(struct vmx_checker *c, const struct vmx_step *step,
		      u64 value)
{
	if (host_64bit(c))
		return !vmx_check_is_canonical(c, value);
	return vmx_check_bits(c, value & HIGH_BITS);
}

#define IF_EXIT(bit)	.which = VMX_CAP_EXIT, .when = VMX_EXIT_CTL_##bit
#define SELECTOR(reg)							\
	STEP(HOST_SELECTOR, HOST_##reg##_SELECTOR, vmx_check_zero, .arg = 7)

static const struct vmx_step steps[] = {
	/* SDM, "Checks on Host Control Registers, MSRs, and SSP" */
	STEP(HOST_CR0, HOST_CR0, check_cr0),
	STEP(HOST_CR4, HOST_CR4, check_cr4),
	STEP(HOST_CET_WP, HOST_CR4, check_cet_wp, .arg = BIT_ULL(23)),
	STEP(HOST_CR3, HOST_CR3, vmx_check_address),
	STEP(HOST_SYSENTER, HOST_SYSENTER_ESP, vmx_check_canonical),
	STEP(HOST_SYSENTER, HOST_SYSENTER_EIP, vmx_check_canonical),
	STEP(HOST_CET, HOST_S_CET, vmx_check_cet, IF_EXIT(LOAD_CET)),
	STEP(HOST_CET, HOST_SSP, check_ssp, IF_EXIT(LOAD_CET), .arg = 3),
	STEP(HOST_CET, HOST_INTR_SSP_TABLE, vmx_check_canonical,
	     IF_EXIT(LOAD_CET)),
	STEP(HOST_PERF_GLOBAL, HOST_PERF_GLOBAL_CTRL, vmx_check_zero,
	     IF_EXIT(LOAD_PERF_GLOBAL), .arg = VMX_CHECK_PERF_RESERVED),
	STEP(HOST_PAT, HOST_PAT, vmx_check_pat, IF_EXIT(LOAD_PAT)),
	STEP(HOST_EFER_RESERVED, HOST_EFER, vmx_check_zero, IF_EXIT(LOAD_EFER),
	     .arg = ~(u64)EFER_BITS),
	STEP(HOST_EFER_MODE, HOST_EFER, check_efer_mode, IF_EXIT(LOAD_EFER)),
	STEP(HOST_PKRS, HOST_PKRS, vmx_check_zero, IF_EXIT(LOAD_PKRS),
	     .arg = HIGH_BITS),

	/* SDM, "Checks on Host Segment and Descriptor-Table Registers" */
	SELECTOR(ES), SELECTOR(CS), SELECTOR(SS), SELECTOR(DS),
	SELECTOR(FS), SELECTOR(GS), SELECTOR(TR),
	STEP(HOST_NULL, HOST_CS_SELECTOR, check_nonzero),
	STEP(HOST_NULL, HOST_TR_SELECTOR, check_nonzero),
	STEP(HOST_SS_NULL, HOST_SS_SELECTOR, check_ss),
	STEP(HOST_BASE, HOST_FS_BASE, vmx_check_canonical),
	STEP(HOST_BASE, HOST_GS_BASE, vmx_check_canonical),
	STEP(HOST_BASE, HOST_GDTR_BASE, vmx_check_canonical),
	STEP(HOST_BASE, HOST_IDTR_BASE, vmx_check_canonical),
	STEP(HOST_BASE, HOST_TR_BASE, vmx_check_canonical),

	/* SDM, "Checks Related to Address-Space Size" */
	STEP(HOST_ADDRESS_SPACE, EXIT_CONTROLS, check_mode),
	STEP(HOST_IA32E_GUEST, ENTRY_CONTROLS, check_guest_mode,
	     .arg = VMX_ENTRY_CTL_IA32E_MODE_GUEST),
	STEP(HOST_PCIDE, HOST_CR4, check_guest_mode, .arg = X86_CR4_PCIDE),
	STEP(HOST_PAE, HOST_CR4, check_pae, .arg = X86_CR4_PAE),
	STEP(HOST_RIP, HOST_RIP, check_rip),
};

const struct vmx_steps vmx_check_host = { steps, ARRAY_SIZE(steps) };
EXPORT_SYMBOL_IF_KUNIT(vmx_check_host);
