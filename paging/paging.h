/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest with shadow page tables: what it does to its paging, whoever made the CPU. The vendor's
 * folder says what the CPU exited for, and has the CPU follow what struct shadow_paging says then.
 */
#ifndef PAGING_H
#define PAGING_H

#include <linux/types.h>

#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../shadow/shadow.h"

struct vmm_vcpu;

/* The exceptions that an instruction raises, by vector. */
#define PAGING_SS	X86_TRAP_SS
#define PAGING_GP	X86_TRAP_GP
#define PAGING_PF	X86_TRAP_PF	/* &vmm_exit.intr_error has the error code */

/* What the guest must not change without an exit: it changes how tables are read. */
#define PAGING_CR0_OWN	(X86_CR0_PE | X86_CR0_WP | X86_CR0_PG)
#define PAGING_CR4_OWN							\
	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_LA57 |	\
	 X86_CR4_PCIDE | X86_CR4_SMEP | X86_CR4_SMAP)

/* SDM, "INVPCID Descriptor" */
#define PAGING_INVPCID_BYTES	16

/**
 * struct paging_invpcid - the operands of a guest's INVPCID
 * @type: what to invalidate
 * @gva: linear address of the descriptor
 * @code64: 64-bit code executes it; elsewhere addresses have 32 bits
 * @ac: &shadow_walk.ac
 */
struct paging_invpcid {
	u64 type;
	u64 gva;
	bool code64;
	bool ac;
};

/* EFER.LMA: the guest is in IA-32e mode. */
static inline bool paging_is_long(const struct shadow_paging *p)
{
	return p->efer & EFER_LMA;
}

/* regs.c: the vCPU's control registers */
int paging_create(struct vmm_vcpu *v);
void paging_destroy(struct vmm_vcpu *v);
void paging_changed(struct shadow_paging *p);
u64 paging_efer_bits(void);
u64 paging_real_cr0(const struct shadow_paging *p);
u64 paging_real_cr4(const struct shadow_paging *p);
u64 paging_real_efer(const struct shadow_paging *p);
int paging_set_cr0(struct vmm_vcpu *v, u64 value, bool cs_l, bool tss16);
int paging_set_cr3(struct vmm_vcpu *v, u64 value);
bool paging_switch_cr3(struct vmm_vcpu *v, u64 value);
int paging_set_cr4(struct vmm_vcpu *v, u64 value);
bool paging_set_efer(struct shadow_paging *p, u64 value);

/* roots.c: its roots */
int paging_load(struct vmm_vcpu *v);
u64 paging_root(struct shadow_paging *p);

/* fault.c: page faults, and what invalidates */
int paging_fault(struct vmm_vcpu *v, struct shadow_walk *walk);
int paging_deliver_fault(struct vmm_vcpu *v, u64 gva);
void paging_invalidate(struct vmm_vcpu *v);
int paging_prepare(struct vmm_vcpu *v);

/* invpcid.c */
int paging_judge_invpcid(struct vmm_vcpu *v, const struct paging_invpcid *operands);

/* look.c: for the vCPU's owner */
long paging_walk(struct vmm_vcpu *v, void __user *arg);

#endif /* PAGING_H */
