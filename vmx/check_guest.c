// SPDX-License-Identifier: GPL-2.0
/*
 * SDM, "Checks on Guest Control Registers, Debug Registers, and MSRs", and the
 * guest state after the segment registers, which have a file of their own.
 */
#include <linux/bits.h>
#include <linux/kernel.h>

#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "../base/kunit-export.h"
#include "check.h"

#define HIGH_BITS	GENMASK_ULL(63, 32)
#define EFER_BITS	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)
#define CR4_CET		BIT_ULL(23)
#define CR4_LAM_SUP	BIT_ULL(28)
#define CR3_LAM		GENMASK_ULL(62, 61)
#define BLOCKING	(VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS)

static u64 guest_cr0(const struct vmx_checker *c)
{
	return vmx_check_read(c, VMX_F_GUEST_CR0);
}

static u64 guest_rflags(const struct vmx_checker *c)
{
	return vmx_check_read(c, VMX_F_GUEST_RFLAGS);
}

static u32 guest_blocking(const struct vmx_checker *c)
{
	return vmx_check_read(c, VMX_F_GUEST_INTERRUPTIBILITY);
}

static bool in_ia32e(const struct vmx_checker *c)
{
	return vmx_check_has(c, VMX_CAP_ENTRY, VMX_ENTRY_CTL_IA32E_MODE_GUEST);
}

static bool code_64bit(const struct vmx_checker *c)
{
	return in_ia32e(c) &&
	       vmx_check_read(c, VMX_F_GUEST_CS_ACCESS) & VMX_ACCESS_L;
}

static bool injects_event(const struct vmx_checker *c, u32 type)
{
	u32 info = vmx_check_read(c, VMX_F_ENTRY_INTR_INFO);

	return info & VMX_INTR_VALID && (info & VMX_INTR_TYPE_MASK) == type;
}

/* Control registers, debug registers, MSRs */

/* VM entry does not change CD and NW, so it does not look at them. */
static bool check_cr0(struct vmx_checker *c, const struct vmx_step *step,
		      u64 value)
{
	const struct vmx_msr_caps *msr = &c->ctx->caps->msr;
	u64 ignored = X86_CR0_CD | X86_CR0_NW;

	if (vmx_check_has(c, VMX_CAP_CPU2, VMX_CPU2_UNRESTRICTED_GUEST))
		ignored |= X86_CR0_PE | X86_CR0_PG;
	if (c->ctx->shadow)
		ignored |= X86_CR0_PG;
	return vmx_check_bits(c, ((~value & msr->cr0_fixed0) |
				  (value & ~msr->cr0_fixed1)) & ~ignored);
}

static bool check_pg_pe(struct vmx_checker *c, const struct vmx_step *step,
			u64 value)
{
	return value & X86_CR0_PG && vmx_check_bits(c, ~value & X86_CR0_PE);
}

static bool check_cr4(struct vmx_checker *c, const struct vmx_step *step,
		      u64 value)
{
	const struct vmx_msr_caps *msr = &c->ctx->caps->msr;

	return vmx_check_bits(c, (~value & msr->cr4_fixed0) |
				 (value & ~msr->cr4_fixed1));
}

static bool check_cet_wp(struct vmx_checker *c, const struct vmx_step *step,
			 u64 value)
{
	return value & CR4_CET && !(guest_cr0(c) & X86_CR0_WP) &&
	       vmx_check_against(c, VMX_F_GUEST_CR0, CR4_CET);
}

static bool check_ia32e_needs(struct vmx_checker *c,
			      const struct vmx_step *step, u64 value)
{
	return !(value & step->arg) &&
	       vmx_check_against(c, VMX_F_ENTRY_CONTROLS, step->arg);
}

static bool check_pcide(struct vmx_checker *c, const struct vmx_step *step,
			u64 value)
{
	return !in_ia32e(c) && value & X86_CR4_PCIDE &&
	       vmx_check_against(c, VMX_F_ENTRY_CONTROLS, X86_CR4_PCIDE);
}

static bool check_cr3(struct vmx_checker *c, const struct vmx_step *step,
		      u64 value)
{
	u64 ignored = c->ctx->caps->msr.cr4_fixed1 & CR4_LAM_SUP ? CR3_LAM : 0;

	return vmx_check_address(c, step, value & ~ignored);
}

static bool check_efer_lma(struct vmx_checker *c, const struct vmx_step *step,
			   u64 value)
{
	return !!(value & EFER_LMA) != in_ia32e(c) &&
	       vmx_check_against(c, VMX_F_ENTRY_CONTROLS, EFER_LMA);
}

static bool check_efer_lme(struct vmx_checker *c, const struct vmx_step *step,
			   u64 value)
{
	return !!(value & EFER_LMA) != !!(value & EFER_LME) &&
	       guest_cr0(c) & X86_CR0_PG &&
	       vmx_check_against(c, VMX_F_GUEST_CR0, EFER_LME);
}

static bool check_bndcfgs(struct vmx_checker *c, const struct vmx_step *step,
			  u64 value)
{
	return vmx_check_zero(c, step, value) ||
	       !vmx_check_is_canonical(c, value);
}

/* Descriptor tables, RIP, RFLAGS, SSP */

/* Bits above the linear-address width are equal, but need not repeat its top. */
static bool fits_linear(const struct vmx_checker *c, u64 address)
{
	u64 high = (u64)((s64)address >> vmx_check_linear_bits(c));

	return high == 0 || high == ~0ull;
}

static bool check_rip_high(struct vmx_checker *c, const struct vmx_step *step,
			   u64 value)
{
	return !code_64bit(c) && value & HIGH_BITS &&
	       vmx_check_against(c, VMX_F_GUEST_CS_ACCESS, value & HIGH_BITS);
}

static bool check_rip(struct vmx_checker *c, const struct vmx_step *step,
		      u64 value)
{
	return code_64bit(c) && !fits_linear(c, value);
}

static bool check_rflags(struct vmx_checker *c, const struct vmx_step *step,
			 u64 value)
{
	const u64 reserved = GENMASK_ULL(63, 22) | BIT_ULL(15) | BIT_ULL(5) |
			     BIT_ULL(3);

	return vmx_check_bits(c, (value & reserved) |
				 (~value & X86_EFLAGS_FIXED));
}

static bool check_rflags_vm(struct vmx_checker *c, const struct vmx_step *step,
			    u64 value)
{
	if (!(value & X86_EFLAGS_VM))
		return false;
	if (in_ia32e(c))
		return vmx_check_against(c, VMX_F_ENTRY_CONTROLS, X86_EFLAGS_VM);
	return !(guest_cr0(c) & X86_CR0_PE) &&
	       vmx_check_against(c, VMX_F_GUEST_CR0, X86_EFLAGS_VM);
}

static bool check_rflags_if(struct vmx_checker *c, const struct vmx_step *step,
			    u64 value)
{
	return injects_event(c, VMX_INTR_TYPE_EXTERNAL) && !(value & X86_EFLAGS_IF) &&
	       vmx_check_against(c, VMX_F_ENTRY_INTR_INFO, X86_EFLAGS_IF);
}

static bool check_ssp(struct vmx_checker *c, const struct vmx_step *step,
		      u64 value)
{
	if (vmx_check_bits(c, value & 3))
		return true;
	return code_64bit(c) ? !fits_linear(c, value) :
			       vmx_check_bits(c, value & HIGH_BITS);
}

/* Non-register state */

static bool check_activity(struct vmx_checker *c, const struct vmx_step *step,
			   u64 value)
{
	u64 states = c->ctx->caps->msr.misc >> VMX_CAPS_MISC_ACTIVITY_SHIFT &
		     VMX_CAPS_MISC_ACTIVITY_MASK;

	if (value == VMX_ACTIVITY_ACTIVE)
		return false;
	return value > VMX_ACTIVITY_WAIT_FOR_SIPI || !(states & BIT(value - 1));
}

static bool check_hlt_dpl(struct vmx_checker *c, const struct vmx_step *step,
			  u64 value)
{
	return value == VMX_ACTIVITY_HLT &&
	       vmx_check_read(c, VMX_F_GUEST_SS_ACCESS) & VMX_ACCESS_DPL_MASK &&
	       vmx_check_against(c, VMX_F_GUEST_SS_ACCESS, 0);
}

static bool check_activity_blocking(struct vmx_checker *c,
				    const struct vmx_step *step, u64 value)
{
	return value != VMX_ACTIVITY_ACTIVE && guest_blocking(c) & BLOCKING &&
	       vmx_check_against(c, VMX_F_GUEST_INTERRUPTIBILITY, 0);
}

/* What an inactive CPU can take: #DB only in HLT, #MC also in shutdown. */
static bool takes_event(u64 activity, u32 info)
{
	u32 vector = info & VMX_INTR_VECTOR_MASK;
	u32 type = info & VMX_INTR_TYPE_MASK;
	bool hlt = activity == VMX_ACTIVITY_HLT;

	if (activity == VMX_ACTIVITY_ACTIVE)
		return true;
	if (activity == VMX_ACTIVITY_WAIT_FOR_SIPI)
		return false;
	switch (type) {
	case VMX_INTR_TYPE_EXTERNAL:
	case VMX_INTR_TYPE_OTHER:
		return hlt;
	case VMX_INTR_TYPE_NMI:
		return true;
	case VMX_INTR_TYPE_HARDWARE_EXCEPTION:
		return vector == 18 || (hlt && vector == 1);
	default:
		return false;
	}
}

static bool check_activity_event(struct vmx_checker *c,
				 const struct vmx_step *step, u64 value)
{
	u32 info = vmx_check_read(c, VMX_F_ENTRY_INTR_INFO);

	return info & VMX_INTR_VALID && !takes_event(value, info) &&
	       vmx_check_against(c, VMX_F_ENTRY_INTR_INFO, 0);
}

static bool check_blocking_both(struct vmx_checker *c,
				const struct vmx_step *step, u64 value)
{
	return (value & BLOCKING) == BLOCKING && vmx_check_bits(c, BLOCKING);
}

static bool check_sti_if(struct vmx_checker *c, const struct vmx_step *step,
			 u64 value)
{
	return value & VMX_BLOCKING_BY_STI && !(guest_rflags(c) & X86_EFLAGS_IF) &&
	       vmx_check_against(c, VMX_F_GUEST_RFLAGS, VMX_BLOCKING_BY_STI);
}

static bool check_blocking_interrupt(struct vmx_checker *c,
				     const struct vmx_step *step, u64 value)
{
	return injects_event(c, VMX_INTR_TYPE_EXTERNAL) && value & BLOCKING &&
	       vmx_check_against(c, VMX_F_ENTRY_INTR_INFO, value & BLOCKING);
}

static bool check_blocking_nmi(struct vmx_checker *c,
			       const struct vmx_step *step, u64 value)
{
	return injects_event(c, VMX_INTR_TYPE_NMI) && value & step->arg &&
	       vmx_check_against(c, VMX_F_ENTRY_INTR_INFO, value & step->arg);
}

static bool check_blocking_nmi_sti(struct vmx_checker *c,
				   const struct vmx_step *step, u64 value)
{
	return c->ctx->strict && check_blocking_nmi(c, step, value);
}

/* Bits that are reserved in CPUs which do not have what they are for. */
static bool check_strict_zero(struct vmx_checker *c,
			      const struct vmx_step *step, u64 value)
{
	return c->ctx->strict && vmx_check_zero(c, step, value);
}

static bool check_enclave(struct vmx_checker *c, const struct vmx_step *step,
			  u64 value)
{
	bool sgx = vmx_caps_can_be_1(c->ctx->caps, VMX_CAP_CPU2) &
		   VMX_CPU2_ENCLS_EXITING;

	return value & VMX_BLOCKING_ENCLAVE &&
	       (value & VMX_BLOCKING_BY_MOV_SS || !sgx) &&
	       vmx_check_bits(c, VMX_BLOCKING_ENCLAVE);
}

/* A trap by RFLAGS.TF has to be pending where its delivery was held up. */
static bool check_pending_bs(struct vmx_checker *c, const struct vmx_step *step,
			     u64 value)
{
	bool stepping = guest_rflags(c) & X86_EFLAGS_TF &&
			!(vmx_check_read(c, VMX_F_GUEST_DEBUGCTL) &
			  DEBUGCTLMSR_BTF);

	if (!(guest_blocking(c) & BLOCKING) &&
	    vmx_check_read(c, VMX_F_GUEST_ACTIVITY) != VMX_ACTIVITY_HLT)
		return false;
	return stepping != !!(value & VMX_PENDING_BS) &&
	       vmx_check_against(c, VMX_F_GUEST_RFLAGS, VMX_PENDING_BS);
}

static bool check_pending_rtm(struct vmx_checker *c,
			      const struct vmx_step *step, u64 value)
{
	const u64 alone = VMX_PENDING_RTM | VMX_PENDING_ENABLED_BREAKPOINT;

	if (!(value & VMX_PENDING_RTM))
		return false;
	if (value != alone)
		return vmx_check_bits(c, value ^ alone);
	return guest_blocking(c) & VMX_BLOCKING_BY_MOV_SS &&
	       vmx_check_against(c, VMX_F_GUEST_INTERRUPTIBILITY,
				 VMX_PENDING_RTM);
}

static bool check_link(struct vmx_checker *c, const struct vmx_step *step,
		       u64 value)
{
	return value != ~0ull && vmx_check_address(c, step, value);
}

/* SDM, "Format of the VMCS Region": the revision, and bit 31 in a shadow VMCS. */
static bool check_link_revision(struct vmx_checker *c,
				const struct vmx_step *step, u64 value)
{
	u32 want = c->ctx->caps->msr.basic & VMX_CAPS_BASIC_REVISION;
	u32 is;

	if (value == ~0ull || !c->ctx->phys ||
	    !c->ctx->phys(c->ctx->opaque, value, &is, sizeof(is)))
		return false;
	if (vmx_check_has(c, VMX_CAP_CPU2, VMX_CPU2_SHADOW_VMCS))
		want |= BIT(31);
	return is != want;
}

static bool check_link_current(struct vmx_checker *c,
			       const struct vmx_step *step, u64 value)
{
	return c->ctx->vmcs && value == c->ctx->vmcs;
}

/* Page-directory-pointer-table entries (SDM, "PAE Paging") */

static bool pae_paging(const struct vmx_checker *c)
{
	return !in_ia32e(c) && guest_cr0(c) & X86_CR0_PG &&
	       vmx_check_read(c, VMX_F_GUEST_CR4) & X86_CR4_PAE;
}

static bool bad_pdpte(const struct vmx_checker *c, u64 entry)
{
	u64 reserved = GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5) |
		       ~vmx_check_phys_mask(c);

	return entry & 1 && entry & reserved;
}

static bool check_pdpte_fields(struct vmx_checker *c,
			       const struct vmx_step *step, u64 value)
{
	u32 field;

	if (!pae_paging(c))
		return false;
	for (field = VMX_F_GUEST_PDPTE0; field <= VMX_F_GUEST_PDPTE3; field += 2)
		if (bad_pdpte(c, vmx_check_read(c, field))) {
			c->field = field;
			return true;
		}
	return false;
}

/* Without EPT they are in memory, 32-byte aligned. */
static bool check_pdpte_memory(struct vmx_checker *c,
			       const struct vmx_step *step, u64 value)
{
	u64 entries[4];
	unsigned int i;

	if (vmx_check_has(c, VMX_CAP_CPU2, VMX_CPU2_EPT) || !pae_paging(c) ||
	    !c->ctx->phys || !c->ctx->phys(c->ctx->opaque, value & 0xffffffe0,
					   entries, sizeof(entries)))
		return false;
	for (i = 0; i < ARRAY_SIZE(entries); i++)
		if (bad_pdpte(c, entries[i]))
			return true;
	return false;
}

#define IF_CPU2(bit)	.which = VMX_CAP_CPU2, .when = VMX_CPU2_##bit
#define IF_ENTRY(bit)	.which = VMX_CAP_ENTRY, .when = VMX_ENTRY_CTL_##bit

static const struct vmx_step registers[] = {
	STEP(GUEST_CR0, GUEST_CR0, check_cr0),
	STEP(GUEST_PG_PE, GUEST_CR0, check_pg_pe),
	STEP(GUEST_CR4, GUEST_CR4, check_cr4),
	STEP(GUEST_CET_WP, GUEST_CR4, check_cet_wp),
	STEP(GUEST_DEBUGCTL, GUEST_DEBUGCTL, vmx_check_zero,
	     IF_ENTRY(LOAD_DEBUG), .arg = GENMASK_ULL(63, 16) | GENMASK(5, 3)),
	STEP(GUEST_IA32E_PG, GUEST_CR0, check_ia32e_needs,
	     IF_ENTRY(IA32E_MODE_GUEST), .arg = X86_CR0_PG),
	STEP(GUEST_IA32E_PAE, GUEST_CR4, check_ia32e_needs,
	     IF_ENTRY(IA32E_MODE_GUEST), .arg = X86_CR4_PAE),
	STEP(GUEST_PCIDE, GUEST_CR4, check_pcide),
	STEP(GUEST_CR3, GUEST_CR3, check_cr3),
	STEP(GUEST_DR7, GUEST_DR7, vmx_check_zero, IF_ENTRY(LOAD_DEBUG),
	     .arg = HIGH_BITS),
	STEP(GUEST_SYSENTER, GUEST_SYSENTER_ESP, vmx_check_canonical),
	STEP(GUEST_SYSENTER, GUEST_SYSENTER_EIP, vmx_check_canonical),
	STEP(GUEST_CET, GUEST_S_CET, vmx_check_cet, IF_ENTRY(LOAD_CET)),
	STEP(GUEST_CET, GUEST_INTR_SSP_TABLE, vmx_check_canonical,
	     IF_ENTRY(LOAD_CET)),
	STEP(GUEST_PERF_GLOBAL, GUEST_PERF_GLOBAL_CTRL, vmx_check_zero,
	     IF_ENTRY(LOAD_PERF_GLOBAL), .arg = VMX_CHECK_PERF_RESERVED),
	STEP(GUEST_PAT, GUEST_PAT, vmx_check_pat, IF_ENTRY(LOAD_PAT)),
	STEP(GUEST_EFER_RESERVED, GUEST_EFER, vmx_check_zero,
	     IF_ENTRY(LOAD_EFER), .arg = ~(u64)EFER_BITS),
	STEP(GUEST_EFER_LMA, GUEST_EFER, check_efer_lma, IF_ENTRY(LOAD_EFER)),
	STEP(GUEST_EFER_LME, GUEST_EFER, check_efer_lme, IF_ENTRY(LOAD_EFER)),
	STEP(GUEST_BNDCFGS, GUEST_BNDCFGS, check_bndcfgs,
	     IF_ENTRY(LOAD_BNDCFGS), .arg = GENMASK_ULL(11, 2)),
	STEP(GUEST_RTIT, GUEST_RTIT_CTL, vmx_check_zero, IF_ENTRY(LOAD_RTIT),
	     .arg = GENMASK_ULL(63, 57)),
	STEP(GUEST_LBR, GUEST_LBR_CTL, vmx_check_zero, IF_ENTRY(LOAD_LBR),
	     .arg = GENMASK_ULL(63, 23) | GENMASK(15, 4)),
	STEP(GUEST_PKRS, GUEST_PKRS, vmx_check_zero, IF_ENTRY(LOAD_PKRS),
	     .arg = HIGH_BITS),
	STEP(GUEST_UINV, GUEST_UINV, vmx_check_zero, IF_ENTRY(LOAD_UINV),
	     .arg = GENMASK(15, 8)),
};

const struct vmx_steps vmx_check_guest_registers = {
	registers, ARRAY_SIZE(registers)
};
EXPORT_SYMBOL_IF_KUNIT(vmx_check_guest_registers);

static const struct vmx_step state[] = {
	/* SDM, "Checks on Guest Descriptor-Table Registers" */
	STEP(TABLE_BASE, GUEST_GDTR_BASE, vmx_check_canonical),
	STEP(TABLE_BASE, GUEST_IDTR_BASE, vmx_check_canonical),
	STEP(TABLE_LIMIT, GUEST_GDTR_LIMIT, vmx_check_zero,
	     .arg = GENMASK(31, 16)),
	STEP(TABLE_LIMIT, GUEST_IDTR_LIMIT, vmx_check_zero,
	     .arg = GENMASK(31, 16)),

	/* SDM, "Checks on Guest RIP, RFLAGS, and SSP" */
	STEP(RIP_HIGH, GUEST_RIP, check_rip_high),
	STEP(RIP_CANONICAL, GUEST_RIP, check_rip),
	STEP(RFLAGS_RESERVED, GUEST_RFLAGS, check_rflags),
	STEP(RFLAGS_VM, GUEST_RFLAGS, check_rflags_vm),
	STEP(RFLAGS_IF, GUEST_RFLAGS, check_rflags_if),
	STEP(SSP, GUEST_SSP, check_ssp, IF_ENTRY(LOAD_CET)),

	/* SDM, "Checks on Guest Non-Register State" */
	STEP(ACTIVITY, GUEST_ACTIVITY, check_activity),
	STEP(ACTIVITY_HLT, GUEST_ACTIVITY, check_hlt_dpl),
	STEP(ACTIVITY_BLOCKING, GUEST_ACTIVITY, check_activity_blocking),
	STEP(ACTIVITY_EVENT, GUEST_ACTIVITY, check_activity_event),
	STEP(BLOCKING_RESERVED, GUEST_INTERRUPTIBILITY, vmx_check_zero,
	     .arg = GENMASK(31, 5)),
	STEP(BLOCKING_BOTH, GUEST_INTERRUPTIBILITY, check_blocking_both),
	STEP(BLOCKING_STI_IF, GUEST_INTERRUPTIBILITY, check_sti_if),
	STEP(BLOCKING_INTERRUPT, GUEST_INTERRUPTIBILITY,
	     check_blocking_interrupt),
	STEP(BLOCKING_NMI, GUEST_INTERRUPTIBILITY, check_blocking_nmi,
	     .arg = VMX_BLOCKING_BY_MOV_SS),
	STEP(BLOCKING_SMI, GUEST_INTERRUPTIBILITY, vmx_check_zero,
	     .arg = VMX_BLOCKING_BY_SMI),
	STEP(BLOCKING_VIRTUAL_NMI, GUEST_INTERRUPTIBILITY, check_blocking_nmi,
	     .which = VMX_CAP_PIN, .when = VMX_PIN_VIRTUAL_NMIS,
	     .arg = VMX_BLOCKING_BY_NMI),
	STEP(BLOCKING_ENCLAVE, GUEST_INTERRUPTIBILITY, check_enclave),
	STEP(PENDING_RESERVED, GUEST_PENDING_DEBUG, vmx_check_zero,
	     .arg = GENMASK_ULL(63, 17) | BIT(15) | BIT(13) | GENMASK(10, 4)),
	STEP(PENDING_BS, GUEST_PENDING_DEBUG, check_pending_bs),
	STEP(PENDING_RTM, GUEST_PENDING_DEBUG, check_pending_rtm),
	STEP(LINK_POINTER, VMCS_LINK_POINTER, check_link,
	     .arg = GENMASK(11, 0)),
	STEP(LINK_REVISION, VMCS_LINK_POINTER, check_link_revision),
	STEP(LINK_CURRENT, VMCS_LINK_POINTER, check_link_current),

	/* SDM, "Checks on Guest Page-Directory-Pointer-Table Entries" */
	STEP(PDPTE, GUEST_PDPTE0, check_pdpte_fields, IF_CPU2(EPT)),
	STEP(PDPTE, GUEST_CR3, check_pdpte_memory),

	/* Not in all CPUs, so not before everything else is known to be good */
	STEP(BLOCKING_NMI_STI, GUEST_INTERRUPTIBILITY, check_blocking_nmi_sti,
	     .arg = VMX_BLOCKING_BY_STI),
	STEP(PENDING_RESERVED, GUEST_PENDING_DEBUG, check_strict_zero,
	     .arg = VMX_PENDING_BUS_LOCK | VMX_PENDING_RTM),
};

const struct vmx_steps vmx_check_guest_state = { state, ARRAY_SIZE(state) };
EXPORT_SYMBOL_IF_KUNIT(vmx_check_guest_state);
