/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the files of this folder. */
#ifndef VMX_PAGING_INTERNAL_H
#define VMX_PAGING_INTERNAL_H

#include <linux/types.h>

#include <asm/trapnr.h>

#include "../core/vcpu.h"
#include "../shadow/page.h"
#include "../vmx/vmx.h"
#include "paging.h"

/* invpcid.c */
int paging_judge_invpcid(struct vmx_vcpu *v);

/* look.c */
int paging_look(const struct vmx_paging *p, u64 gva, u64 *entry);

/* regs.c */
void paging_apply(struct vmx_vcpu *v);
u64 paging_cr0(struct vmx_vcpu *v);
u64 paging_cr4(struct vmx_vcpu *v);
bool paging_is_long(const struct vmx_paging *p);
bool paging_is_64bit_code(struct vmx_vcpu *v);
u64 paging_register(struct vmx_vcpu *v, unsigned int n);
u64 paging_operand(struct vmx_vcpu *v, unsigned int n);

/* The exceptions that an instruction raises, by vector. The error code of #PF is in @intr_error. */
#define PAGING_SS	X86_TRAP_SS
#define PAGING_GP	X86_TRAP_GP
#define PAGING_PF	X86_TRAP_PF

/* roots.c */
void paging_describe(struct vmx_vcpu *v, u64 gva, u64 flags);
bool paging_is_device(struct vmx_vcpu *v, u64 gpa);
int paging_load_pdptes(struct vmx_vcpu *v, u64 cr3);
bool paging_switch(struct vmx_vcpu *v, u64 cr3);

#endif /* VMX_PAGING_INTERNAL_H */
