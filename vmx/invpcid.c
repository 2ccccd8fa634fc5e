// SPDX-License-Identifier: GPL-2.0
/* INVPCID, which exits with shadow page tables: its operands, as Intel's CPUs describe them. */
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../paging/paging.h"
#include "paging.h"
#include "record.h"

/*
 * SDM, "Format of the VM-Exit Instruction-Information Field as Used for INVEPT, INVPCID,
 * and INVVPID"
 */
#define INFO_SCALE(info)	((info) & 3)
#define INFO_ADDRESS_SIZE(info)	((info) >> 7 & 7)
#define INFO_SEGMENT(info)	((info) >> 15 & 7)
#define INFO_INDEX(info)	((info) >> 18 & 0xf)
#define INFO_NO_INDEX		BIT(22)
#define INFO_BASE(info)		((info) >> 23 & 0xf)
#define INFO_NO_BASE		BIT(27)
#define INFO_TYPE(info)		((info) >> 28)

/* Segment registers, as that field and the fields of the VMCS number them */
#define SEGMENT_SS	2
#define SEGMENT_FS	4

/* SDM, "Code- and Data-Segment Descriptor Types" */
#define TYPE_READABLE	0x2	/* of code */
#define TYPE_DOWN	0x4	/* of data */
#define TYPE_CODE	0x8

static u64 effective_address(struct vmm_vcpu *v, u32 info)
{
	/* The displacement. With RIP as the base the CPU has added it. */
	u64 address = vmx_exit_qualification(v);

	if (!(info & INFO_NO_BASE))
		address += vmx_paging_register(v, INFO_BASE(info));
	if (!(info & INFO_NO_INDEX))
		address += vmx_paging_register(v, INFO_INDEX(info)) << INFO_SCALE(info);
	switch (INFO_ADDRESS_SIZE(info)) {
	case 0:
		return (u16)address;
	case 1:
		return (u32)address;
	default:
		return address;
	}
}

/*
 * SDM, "Limit Checking" and "Type Checking": may the descriptor be read from there? Whether an
 * access can wrap around at a limit of 4 GiB depends on the CPU: here it can in a flat segment.
 */
static bool segment_allows(struct vmm_vcpu *v, unsigned int segment, u64 base, u64 offset)
{
	u32 access = vmx_read(v, VMX_F_GUEST_ES_ACCESS + 2 * segment);
	u64 limit = vmx_read(v, VMX_F_GUEST_ES_LIMIT + 2 * segment);
	u64 last = offset + PAGING_INVPCID_BYTES - 1;

	if (access & VMX_ACCESS_UNUSABLE)
		return false;
	if (access & TYPE_CODE && !(access & TYPE_READABLE))
		return false;
	if (!(access & TYPE_CODE) && access & TYPE_DOWN)
		return offset > limit && last <= (access & VMX_ACCESS_DB ? U32_MAX : U16_MAX);
	return last <= limit || (!base && limit == U32_MAX);
}

/* SDM, "Canonical Addressing": here CR4.LA57 counts. */
static bool is_canonical(const struct shadow_paging *p, u64 gva)
{
	return __is_canonical_address(gva, p->cr4 & X86_CR4_LA57 ? 57 : 48);
}

/* Where the descriptor is; 0, or the exception of an address that is wrong. */
static int linear_address(struct vmm_vcpu *v, u32 info, u64 *gva)
{
	unsigned int segment = INFO_SEGMENT(info);
	u64 offset = effective_address(v, info);
	u64 base = vmx_read(v, VMX_F_GUEST_ES_BASE + 2 * segment);
	bool allowed;

	if (vmx_paging_is_64bit_code(v)) {
		*gva = segment < SEGMENT_FS ? offset : base + offset;
		allowed = is_canonical(v->paging, *gva) &&
			  is_canonical(v->paging, *gva + PAGING_INVPCID_BYTES - 1);
	} else {
		*gva = (u32)(base + offset);
		allowed = segment_allows(v, segment, base, offset);
	}
	return allowed ? 0 : segment == SEGMENT_SS ? PAGING_SS : PAGING_GP;
}

/**
 * vmx_paging_invpcid() - does the guest's INVPCID raise an exception
 * @v: the vCPU, loaded; it exited for the instruction
 *
 * SDM, "INVPCID--Invalidate Process-Context Identifier". The privilege level comes before
 * the exit, but not on every CPU.
 *
 * Context: interrupts on, preemption off.
 * Return: as paging_judge_invpcid().
 */
int vmx_paging_invpcid(struct vmm_vcpu *v)
{
	u32 info = vmx_read(v, VMX_F_EXIT_INSN_INFO);
	struct paging_invpcid operands = {
		.code64 = vmx_paging_is_64bit_code(v),
		.ac = v->paging->mode.smap && vmx_read(v, VMX_F_GUEST_RFLAGS) & X86_EFLAGS_AC,
		.type = vmx_paging_operand(v, INFO_TYPE(info)),
	};
	int r;

	if (vmx_read(v, VMX_F_GUEST_SS_ACCESS) & VMX_ACCESS_DPL_MASK)
		return PAGING_GP;
	r = linear_address(v, info, &operands.gva);
	return r ? r : paging_judge_invpcid(v, &operands);
}
