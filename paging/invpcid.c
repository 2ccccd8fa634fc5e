// SPDX-License-Identifier: GPL-2.0
/*
 * Judges INVPCID, which exits with shadow page tables: reads the descriptor in guest memory as the
 * CPU would, and checks it. The module invalidates everything, whatever the descriptor names, so
 * only the exceptions depend on it.
 */
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "internal.h"

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

/* Bytes that are on one page; as read_descriptor(). */
static int read_bytes(struct vmm_vcpu *v, u64 gva, bool ac, void *to, size_t count)
{
	struct shadow_paging *p = v->paging;
	struct shadow_walk walk = { .gva = gva, .ac = ac };
	const void *from;

	switch (shadow_translate(v->paging->shadow, p, &walk)) {
	case SHADOW_WALK_FAULT:
		v->cr2 = gva;
		v->exit.intr_error = walk.error;
		return PAGING_PF;
	case SHADOW_WALK_MISS:
		paging_describe(v, gva, VMX_VIOLATION_LINEAR_VALID);
		return -EAGAIN;
	case SHADOW_WALK_DONE:
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
static int read_descriptor(struct vmm_vcpu *v, const struct paging_invpcid *operands,
			   struct descriptor *descriptor)
{
	u64 gva = operands->gva;
	size_t first = min_t(u64, sizeof(*descriptor), PAGE_SIZE - offset_in_page(gva));
	u64 next = gva + first;
	int r;

	if (!operands->code64)
		next = (u32)next;
	spin_lock(&v->mmu->lock);
	r = read_bytes(v, gva, operands->ac, descriptor, first);
	if (!r && first < sizeof(*descriptor))
		r = read_bytes(v, next, operands->ac, (void *)descriptor + first,
			       sizeof(*descriptor) - first);
	spin_unlock(&v->mmu->lock);
	return r;
}

/*
 * SDM, "Operations that Invalidate TLBs and Paging-Structure Caches". Whether an address is
 * canonical here depends on what the CPU supports, not on CR4.LA57.
 */
static bool is_valid(const struct shadow_paging *p, u64 type, const struct descriptor *descriptor)
{
	bool has_space = p->cr4 & X86_CR4_PCIDE || !descriptor->pcid;

	if (descriptor->pcid >> 12)
		return false;
	switch (type) {
	case INVPCID_ADDRESS:
		return has_space && vmm_canonical(descriptor->address);
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
 * @operands: its operands; where they are allows to read them
 *
 * Context: interrupts on, preemption off.
 * Return: 0: it does not; the exception; -EAGAIN: ask again after paging_prepare() and
 * another exit; -EPERM: the descriptor is where only userspace can look, and the
 * exit has become an EPT violation.
 */
int paging_judge_invpcid(struct vmm_vcpu *v, const struct paging_invpcid *operands)
{
	struct descriptor descriptor;
	int r = read_descriptor(v, operands, &descriptor);

	BUILD_BUG_ON(sizeof(descriptor) != PAGING_INVPCID_BYTES);
	if (r)
		return r;
	return is_valid(v->paging, operands->type, &descriptor) ? 0 : PAGING_GP;
}
