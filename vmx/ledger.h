/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ledgers of debug builds (CONFIG_VMX_DEBUG): which CPU has which VMCS, and which
 * translations it has dropped. They are written where the VMX instructions are
 * executed and read where the rules need them to have been, so that a missing
 * VMCLEAR, INVEPT, INVVPID or kick is reported at once, also on CPUs (and in
 * emulators) that forgive it.
 */
#ifndef VMX_LEDGER_H
#define VMX_LEDGER_H

#include <linux/types.h>

struct vmx_mmu;
struct vmx_vcpu;
struct vmx_vmcs;

#ifdef CONFIG_VMX_DEBUG
int vmx_ledger_mmu_init(struct vmx_mmu *mmu);
void vmx_ledger_mmu_free(struct vmx_mmu *mmu);
void vmx_ledger_vmptrld(struct vmx_vmcs *vmcs);
void vmx_ledger_vmclear(struct vmx_vmcs *vmcs);
void vmx_ledger_invept(struct vmx_vcpu *v, s64 gen);
void vmx_ledger_invvpid(struct vmx_vcpu *v);
void vmx_ledger_enter(struct vmx_vcpu *v);
void vmx_ledger_leave(struct vmx_vcpu *v);
void vmx_ledger_kicked(struct vmx_mmu *mmu, s64 gen);
#else
static inline int vmx_ledger_mmu_init(struct vmx_mmu *mmu) { return 0; }
static inline void vmx_ledger_mmu_free(struct vmx_mmu *mmu) { }
static inline void vmx_ledger_vmptrld(struct vmx_vmcs *vmcs) { }
static inline void vmx_ledger_vmclear(struct vmx_vmcs *vmcs) { }
static inline void vmx_ledger_invept(struct vmx_vcpu *v, s64 gen) { }
static inline void vmx_ledger_invvpid(struct vmx_vcpu *v) { }
static inline void vmx_ledger_enter(struct vmx_vcpu *v) { }
static inline void vmx_ledger_leave(struct vmx_vcpu *v) { }
static inline void vmx_ledger_kicked(struct vmx_mmu *mmu, s64 gen) { }
#endif

#endif /* VMX_LEDGER_H */
