/* SPDX-License-Identifier: GPL-2.0 */
/* The members of the run page, and the VMCS fields that have the same. */
#ifndef RUN_PAGE_H
#define RUN_PAGE_H

#include <stddef.h>

#include "vmx_test.h"

struct run_member {
	const char *name;
	uint32_t bit;		/* of &vmx_run_page.valid, and of .dirty if it is state */
	uint32_t field;
	uint16_t offset;
	uint8_t size;
};

#define RUN_MEMBER(bit, field, member)						\
	{ #member, bit, field, offsetof(struct vmx_run_page, member),		\
	  sizeof(((struct vmx_run_page *)0)->member) }

/* State that userspace may change, then what it only reads, then the exit. */
static const struct run_member run_members[] = {
	RUN_MEMBER(VMX_STATE_RIP, VMX_F_GUEST_RIP, rip),
	RUN_MEMBER(VMX_STATE_RSP, VMX_F_GUEST_RSP, regs[VMX_RSP]),
	RUN_MEMBER(VMX_STATE_RFLAGS, VMX_F_GUEST_RFLAGS, rflags),
	RUN_MEMBER(VMX_STATE_CR0, VMX_F_GUEST_CR0, cr0),
	RUN_MEMBER(VMX_STATE_CR3, VMX_F_GUEST_CR3, cr3),
	RUN_MEMBER(VMX_STATE_CR4, VMX_F_GUEST_CR4, cr4),
	RUN_MEMBER(VMX_STATE_EFER, VMX_F_GUEST_EFER, efer),
	RUN_MEMBER(VMX_STATE_INTERRUPTIBILITY, VMX_F_GUEST_INTERRUPTIBILITY, interruptibility),
	RUN_MEMBER(VMX_STATE_ACTIVITY, VMX_F_GUEST_ACTIVITY, activity),
	RUN_MEMBER(VMX_STATE_CS, VMX_F_GUEST_CS_BASE, cs_base),
	RUN_MEMBER(VMX_STATE_CS, VMX_F_GUEST_CS_ACCESS, cs_access),
	RUN_MEMBER(VMX_STATE_SS, VMX_F_GUEST_SS_ACCESS, ss_access),
	RUN_MEMBER(VMX_VALID_QUALIFICATION, VMX_F_EXIT_QUALIFICATION, qualification),
	RUN_MEMBER(VMX_VALID_LINEAR, VMX_F_GUEST_LINEAR_ADDRESS, linear),
	RUN_MEMBER(VMX_VALID_PHYSICAL, VMX_F_GUEST_PHYSICAL_ADDRESS, physical),
	RUN_MEMBER(VMX_VALID_LENGTH, VMX_F_EXIT_INSN_LENGTH, length),
	RUN_MEMBER(VMX_VALID_INSN_INFO, VMX_F_EXIT_INSN_INFO, insn_info),
	RUN_MEMBER(VMX_VALID_INTR, VMX_F_EXIT_INTR_INFO, intr_info),
	RUN_MEMBER(VMX_VALID_INTR, VMX_F_EXIT_INTR_ERROR, intr_error),
	RUN_MEMBER(VMX_VALID_IDT, VMX_F_IDT_VECTORING_INFO, idt_info),
};

#define RUN_CHANGEABLE	9

static inline uint64_t run_value(const struct vmx_run_page *run, const struct run_member *member)
{
	const char *at = (const char *)run + member->offset;

	return member->size == 8 ? *(const uint64_t *)at : *(const uint32_t *)at;
}

static inline void run_set(struct vmx_run_page *run, const struct run_member *member,
			   uint64_t value)
{
	memcpy((char *)run + member->offset, &value, member->size);
}

/* No CPU gives this for any of them. */
#define RUN_POISON	0x5a5a5a5a5a5a5a5aull

/* Userspace has not asked for anything there, and the kernel has to say what it fills in. */
static inline void run_poison(struct vmx_run_page *run)
{
	for (size_t n = 0; n < TEST_COUNT(run_members); n++)
		if (!(run->dirty & run_members[n].bit))
			run_set(run, &run_members[n], RUN_POISON);
	run->io_size = 0x5a;
	run->io_port = 0x5a5a;
	run->io_flags = 0x5a;
	run->cr2 = RUN_POISON;
}

/* After an exit, for messages: the member that is not what it has to be, or NULL. */
static inline const char *run_wrong(const struct vmx_vcpu *vcpu)
{
	const struct vmx_run_page *run = vcpu->run;

	for (size_t n = 0; n < TEST_COUNT(run_members); n++) {
		const struct run_member *member = &run_members[n];
		const uint64_t poison = member->size == 8 ? RUN_POISON : (uint32_t)RUN_POISON;
		uint64_t want = 0, value = run_value(run, member);

		if (!(run->valid & member->bit)) {
			/* RSP is always the register that goes in. */
			if (value != poison && member->field != VMX_F_GUEST_RSP)
				return member->name;
			continue;
		}
		if (vmx_field_get(vcpu->vmcs, member->field, &want)) {
			/* With shadow page tables it needs no field. */
			if (member->field != VMX_F_GUEST_EFER)
				return member->name;
		} else if (value != want) {
			return member->name;
		}
	}
	if (!(run->valid & VMX_VALID_IO) && (run->io_size != 0x5a || run->io_port != 0x5a5a))
		return "io";
	if (!(run->valid & VMX_STATE_CR2) && run->cr2 != RUN_POISON)
		return "cr2";
	return NULL;
}

#endif /* RUN_PAGE_H */
