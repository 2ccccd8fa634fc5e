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
#include <linux/sched.h>
#include <linux/types.h>

struct vmx_mmu;
struct vmx_vcpu;
struct vmx_view;
struct vmx_vmcs;

/**
 * struct vmx_vcpu_ledger - a vCPU's page
 * @id: its name; 0 until it has one
 * @move: how often it came to another CPU
 * @cpu: the CPU it was on last, plus 1
 * @inside: it is in the guest
 */
struct vmx_vcpu_ledger {
#ifdef CONFIG_VMX_DEBUG
	u64 id;
	u64 move;
	int cpu;
	bool inside;
#endif
};

/**
 * struct vmx_view_ledger - a vCPU's page in an mmu's books
 * @gen: generation of the translations it entered the guest with
 */
struct vmx_view_ledger {
#ifdef CONFIG_VMX_DEBUG
	s64 gen;
#endif
};

/**
 * struct vmx_vmcs_ledger - a VMCS's page
 * @cpu: the CPU it was loaded on and not cleared since, plus 1
 * @initialized: VMCLEAR was executed for the region
 * @launched: its launch state
 */
struct vmx_vmcs_ledger {
#ifdef CONFIG_VMX_DEBUG
	atomic_t cpu;
	bool initialized;
	bool launched;
#endif
};

/**
 * struct vmx_mmu_ledger - an mmu's page
 * @dropped: per CPU: the flush generation whose translations it dropped last
 */
struct vmx_mmu_ledger {
#ifdef CONFIG_VMX_DEBUG
	s64 __percpu *dropped;
#endif
};

#ifdef CONFIG_VMX_DEBUG
int vmx_ledger_mmu_init(struct vmx_mmu *mmu);
void vmx_ledger_mmu_free(struct vmx_mmu *mmu);
void vmx_ledger_vmptrld(struct vmx_vmcs *vmcs);
void vmx_ledger_vmclear(struct vmx_vmcs *vmcs);
void vmx_ledger_vmcs_free(struct vmx_vmcs *vmcs);
void vmx_ledger_barrier(const struct vmx_vmcs *vmcs);
void vmx_ledger_invept(struct vmx_view *view);
void vmx_ledger_invept_all(const struct vmx_vcpu *v);
void vmx_ledger_invvpid(struct vmx_vcpu *v);
void vmx_ledger_enter(struct vmx_vcpu *v);
void vmx_ledger_leave(struct vmx_vcpu *v);
void vmx_ledger_handled(struct vmx_vcpu *v);
void vmx_ledger_kicked(struct vmx_mmu *mmu, s64 gen);

/* base/ledger_time.c */
void vmx_ledger_irqs_off(void);
void vmx_ledger_irqs_on(void);
void vmx_ledger_pass(u64 ticks);
void vmx_ledger_begin(void);
void vmx_ledger_look(void);
void vmx_ledger_end(void);
#else
static inline int vmx_ledger_mmu_init(struct vmx_mmu *mmu) { return 0; }
static inline void vmx_ledger_mmu_free(struct vmx_mmu *mmu) { }
static inline void vmx_ledger_vmptrld(struct vmx_vmcs *vmcs) { }
static inline void vmx_ledger_vmclear(struct vmx_vmcs *vmcs) { }
static inline void vmx_ledger_vmcs_free(struct vmx_vmcs *vmcs) { }
static inline void vmx_ledger_barrier(const struct vmx_vmcs *vmcs) { }
static inline void vmx_ledger_invept(struct vmx_view *view) { }
static inline void vmx_ledger_invept_all(const struct vmx_vcpu *v) { }
static inline void vmx_ledger_invvpid(struct vmx_vcpu *v) { }
static inline void vmx_ledger_enter(struct vmx_vcpu *v) { }
static inline void vmx_ledger_leave(struct vmx_vcpu *v) { }
static inline void vmx_ledger_handled(struct vmx_vcpu *v) { }
static inline void vmx_ledger_kicked(struct vmx_mmu *mmu, s64 gen) { }
static inline void vmx_ledger_irqs_off(void) { }
static inline void vmx_ledger_irqs_on(void) { }
static inline void vmx_ledger_begin(void) { }
static inline void vmx_ledger_look(void) { }
static inline void vmx_ledger_end(void) { }
#endif

/* In the middle of something long, where no lock is held and preemption is on. */
static inline void vmx_cond_resched(void)
{
	vmx_ledger_look();
	cond_resched();
}

/*
 * The same after a page was freed. The host's allocator frees some 2,000 pages at once
 * now and then, which takes 240,000 instructions: that time is none of the module's.
 */
static inline void vmx_cond_resched_freed(void)
{
	vmx_ledger_begin();
	cond_resched();
}

#endif /* VMX_LEDGER_H */
