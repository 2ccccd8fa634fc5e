/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ledgers of debug builds (CONFIG_VMX_DEBUG): which CPU has which VMCS, in which launch
 * state, which translations it has dropped, and whose branches it has predicted. Code
 * that executes the instructions writes them, and code that relies on these
 * instructions reads them. So a missing VMCLEAR, INVEPT, INVVPID, barrier or kick is
 * reported at once, even on CPUs and emulators that forgive it. So is an event that an
 * exit loses.
 */
#ifndef VMX_LEDGER_H
#define VMX_LEDGER_H

#include <linux/atomic.h>
#include <linux/percpu.h>
#include <linux/types.h>

struct vmm_vcpu;
struct vmx_region;

/**
 * struct vmx_region_ledger - a region's page
 * @cpu: the CPU it was loaded on and not cleared since, plus 1
 * @initialized: VMCLEAR was executed for the region
 * @launched: its launch state
 */
struct vmx_region_ledger {
#ifdef CONFIG_VMX_DEBUG
	atomic_t cpu;
	bool initialized;
	bool launched;
#endif
};

#ifdef CONFIG_VMX_DEBUG
void vmx_ledger_vmptrld(struct vmx_region *r);
void vmx_ledger_vmclear(struct vmx_region *r);
void vmx_ledger_region_free(struct vmx_region *r);
void vmx_ledger_barrier(const struct vmx_region *r);
void vmx_ledger_invept_all(const struct vmm_vcpu *v);
void vmx_ledger_invvpid(struct vmm_vcpu *v);
void vmx_ledger_enter(struct vmm_vcpu *v);
void vmx_ledger_leave(struct vmm_vcpu *v);
void vmx_ledger_handled(struct vmm_vcpu *v);
#else
static inline void vmx_ledger_vmptrld(struct vmx_region *r) { }
static inline void vmx_ledger_vmclear(struct vmx_region *r) { }
static inline void vmx_ledger_region_free(struct vmx_region *r) { }
static inline void vmx_ledger_barrier(const struct vmx_region *r) { }
static inline void vmx_ledger_invept_all(const struct vmm_vcpu *v) { }
static inline void vmx_ledger_invvpid(struct vmm_vcpu *v) { }
static inline void vmx_ledger_enter(struct vmm_vcpu *v) { }
static inline void vmx_ledger_leave(struct vmm_vcpu *v) { }
static inline void vmx_ledger_handled(struct vmm_vcpu *v) { }
#endif

#endif /* VMX_LEDGER_H */
