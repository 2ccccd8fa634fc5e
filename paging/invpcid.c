// SPDX-License-Identifier: GPL-2.0
/*
 * Judges INVPCID, which exits with shadow page tables: finds the descriptor in guest memory, reads
 * it as the CPU would, and checks it. The module invalidates everything, whatever the descriptor
 * names, so only the exceptions depend on it.
 */
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "internal.h"

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

/* SDM, "INVPCID Descriptor" */
struct descriptor {
	u64 pcid;
	u64 address;
};

enum invpcid_type {
	INVPCID_ADDRESS,
	INVPCID_CONTEXT,
	INVPCID_ALL,
	INVPCID_ALL_BUT_GLOBAL,
};

static u64 effective_address(struct vmx_vcpu *v, u32 info)
{
	/* The displacement. With RIP as the base the CPU has added it. */
	u64 address = vmx_read(v, VMX_F_EXIT_QUALIFICATION);

	if (!(info & INFO_NO_BASE))
		address += paging_register(v, INFO_BASE(info));
	if (!(info & INFO_NO_INDEX))
		address += paging_register(v, INFO_INDEX(info)) << INFO_SCALE(info);
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
static bool segment_allows(struct vmx_vcpu *v, unsigned int segment, u64 base, u64 offset)
{
	u32 access = vmx_read(v, VMX_F_GUEST_ES_ACCESS + 2 * segment);
	u64 limit = vmx_read(v, VMX_F_GUEST_ES_LIMIT + 2 * segment);
	u64 last = offset + sizeof(struct descriptor) - 1;

	if (access & VMX_ACCESS_UNUSABLE)
		return false;
	if (access & TYPE_CODE && !(access & TYPE_READABLE))
		return false;
	if (!(access & TYPE_CODE) && access & TYPE_DOWN)
		return offset > limit && last <= (access & VMX_ACCESS_DB ? U32_MAX : U16_MAX);
	return last <= limit || (!base && limit == U32_MAX);
}

/* SDM, "Canonical Addressing": here CR4.LA57 counts. */
static bool is_canonical(const struct vmx_paging *p, u64 gva)
{
	return __is_canonical_address(gva, p->cr4 & X86_CR4_LA57 ? 57 : 48);
}

/* Where the descriptor is; 0, or the exception of an address that is wrong. */
static int linear_address(struct vmx_vcpu *v, u32 info, u64 *gva)
{
	unsigned int segment = INFO_SEGMENT(info);
	u64 offset = effective_address(v, info);
	u64 base = vmx_read(v, VMX_F_GUEST_ES_BASE + 2 * segment);
	bool allowed;

	if (paging_is_64bit_code(v)) {
		*gva = segment < SEGMENT_FS ? offset : base + offset;
		allowed = is_canonical(v->paging, *gva) &&
			  is_canonical(v->paging, *gva + sizeof(struct descriptor) - 1);
	} else {
		*gva = (u32)(base + offset);
		allowed = segment_allows(v, segment, base, offset);
	}
	return allowed ? 0 : segment == SEGMENT_SS ? PAGING_SS : PAGING_GP;
}

/* Bytes that are on one page; as read_descriptor(). */
static int read_bytes(struct vmx_vcpu *v, u64 gva, void *to, size_t count)
{
	struct vmx_paging *p = v->paging;
	struct guest_walk walk = {
		.gva = gva,
		.ac = p->mode.smap && vmx_read(v, VMX_F_GUEST_RFLAGS) & X86_EFLAGS_AC,
	};
	const void *from;

	switch (shadow_translate(v->paging->shadow, p, &walk)) {
	case WALK_FAULT:
		v->cr2 = gva;
		v->intr_error = walk.error;
		return PAGING_PF;
	case WALK_MISS:
		paging_describe(v, gva, VMX_VIOLATION_LINEAR_VALID);
		return -EAGAIN;
	case WALK_DONE:
		break;
	}
	from = shadow_memory(v->paging->shadow, walk.gpa, false);
	if (from) {
		memcpy(to, from, count);
		return 0;
	}
	p->miss = walk.gpa;
	p->miss_access = VMX_MMU_READ;
	p->miss_translated = true;
	paging_describe(v, gva, VMX_VIOLATION_LINEAR_VALID);
	/* The module reads no memory of devices. Other memory is lost, and about to go. */
	return paging_is_device(v, walk.gpa) ? -EPERM : -EAGAIN;
}

/* 0, PAGING_PF, -EAGAIN, or -EPERM: it is where userspace has to look. */
static int read_descriptor(struct vmx_vcpu *v, u64 gva, struct descriptor *descriptor)
{
	size_t first = min_t(u64, sizeof(*descriptor), PAGE_SIZE - offset_in_page(gva));
	u64 next = gva + first;
	int r;

	if (!paging_is_64bit_code(v))
		next = (u32)next;
	spin_lock(&v->mmu->lock);
	r = read_bytes(v, gva, descriptor, first);
	if (!r && first < sizeof(*descriptor))
		r = read_bytes(v, next, (void *)descriptor + first, sizeof(*descriptor) - first);
	spin_unlock(&v->mmu->lock);
	return r;
}

/*
 * SDM, "Operations that Invalidate TLBs and Paging-Structure Caches". Whether an address is
 * canonical here depends on what the CPU supports, not on CR4.LA57.
 */
static bool is_valid(const struct vmx_paging *p, u64 type, const struct descriptor *descriptor)
{
	bool has_space = p->cr4 & X86_CR4_PCIDE || !descriptor->pcid;

	if (descriptor->pcid >> 12)
		return false;
	switch (type) {
	case INVPCID_ADDRESS:
		return has_space && vmx_canonical(descriptor->address);
	case INVPCID_CONTEXT:
		return has_space;
	case INVPCID_ALL:
	case INVPCID_ALL_BUT_GLOBAL:
		return true;
	default:
		return false;
	}
}

/**
 * paging_judge_invpcid() - does the guest's INVPCID raise an exception
 * @v: the vCPU, loaded; it exited for the instruction
 *
 * SDM, "INVPCID--Invalidate Process-Context Identifier". The privilege level comes before
 * the exit, but not on every CPU.
 *
 * Context: interrupts on, preemption off.
 * Return: 0: it does not; the exception; -EAGAIN: ask again after vmx_paging_prepare() and
 * another exit; -EPERM: the descriptor is where only userspace can look, and the
 * exit has become an EPT violation.
 */
int paging_judge_invpcid(struct vmx_vcpu *v)
{
	u32 info = vmx_read(v, VMX_F_EXIT_INSN_INFO);
	struct descriptor descriptor;
	u64 type, gva;
	int r;

	if (vmx_read(v, VMX_F_GUEST_SS_ACCESS) & VMX_ACCESS_DPL_MASK)
		return PAGING_GP;
	r = linear_address(v, info, &gva);
	if (!r)
		r = read_descriptor(v, gva, &descriptor);
	if (r)
		return r;
	type = paging_operand(v, INFO_TYPE(info));
	return is_valid(v->paging, type, &descriptor) ? 0 : PAGING_GP;
}
