/* SPDX-License-Identifier: GPL-2.0 */
/* The record of an exit (struct vmm_exit): what Intel's CPUs have in VM-exit information fields. */
#ifndef VMX_RECORD_H
#define VMX_RECORD_H

#include "vmx.h"

/**
 * vmx_record() - read what an exit tells
 * @v: the vCPU, loaded
 * @what: VMX_VALID_* bits; others than those of the record do not matter
 *
 * Most exits need little of it, so nothing is read before somebody wants it. With a constant it
 * is a straight line of VMREADs.
 */
static __always_inline void vmx_record(struct vmm_vcpu *v, u32 what)
{
	struct vmm_exit *e = &v->exit;
	unsigned int reads = 0;

	if (what & VMX_VALID_QUALIFICATION) {
		e->qualification = vmx_insn_vmread(VMX_F_EXIT_QUALIFICATION);
		reads++;
	}
	if (what & VMX_VALID_LENGTH) {
		e->length = vmx_insn_vmread(VMX_F_EXIT_INSN_LENGTH);
		reads++;
	}
	if (what & VMX_VALID_LINEAR) {
		e->linear = vmx_insn_vmread(VMX_F_GUEST_LINEAR_ADDRESS);
		reads++;
	}
	if (what & VMX_VALID_PHYSICAL) {
		e->physical = vmx_insn_vmread(VMX_F_GUEST_PHYSICAL_ADDRESS);
		reads++;
	}
	if (what & VMX_VALID_INSN_INFO) {
		e->insn_info = vmx_insn_vmread(VMX_F_EXIT_INSN_INFO);
		reads++;
	}
	if (what & VMX_VALID_INTR) {
		e->intr_error = vmx_insn_vmread(VMX_F_EXIT_INTR_ERROR);
		reads++;
	}
	e->known |= what;
	vmm_count_more(&v->count.vmreads, reads);
}

/* The same of what is not known yet. */
static __always_inline void vmx_record_missing(struct vmm_vcpu *v, u32 what)
{
	vmx_record(v, what & ~v->exit.known);
}

static __always_inline u64 vmx_exit_qualification(struct vmm_vcpu *v)
{
	if (!(v->exit.known & VMX_VALID_QUALIFICATION))
		vmx_record(v, VMX_VALID_QUALIFICATION);
	return v->exit.qualification;
}

#endif /* VMX_RECORD_H */
