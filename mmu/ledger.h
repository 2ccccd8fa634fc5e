/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ledger of translations, for debug builds: which of an mmu's each CPU has dropped,
 * and with which a guest was entered.
 */
#ifndef VMX_MMU_LEDGER_H
#define VMX_MMU_LEDGER_H

#include <linux/percpu.h>
#include <linux/types.h>

struct vmx_mmu;
struct vmx_view;

/**
 * struct vmx_view_ledger - a vCPU's page in an mmu's books
 * @gen: generation of the translations it entered the guest with
 * @inside: it is in the guest
 */
struct vmx_view_ledger {
#ifdef CONFIG_VMX_DEBUG
	s64 gen;
	const bool *inside;
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
int vmx_mmu_ledger_init(struct vmx_mmu *mmu);
void vmx_mmu_ledger_free(struct vmx_mmu *mmu);
void vmx_mmu_ledger_dropped(struct vmx_view *view);
void vmx_mmu_ledger_enter(struct vmx_view *view, const bool *inside);
void vmx_mmu_ledger_kicked(struct vmx_mmu *mmu, s64 gen);
#else
static inline int vmx_mmu_ledger_init(struct vmx_mmu *mmu) { return 0; }
static inline void vmx_mmu_ledger_free(struct vmx_mmu *mmu) { }
static inline void vmx_mmu_ledger_dropped(struct vmx_view *view) { }
static inline void vmx_mmu_ledger_kicked(struct vmx_mmu *mmu, s64 gen) { }
#endif

#endif /* VMX_MMU_LEDGER_H */
