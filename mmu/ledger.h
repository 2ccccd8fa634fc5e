/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ledger of translations, for debug builds: which of an mmu's each CPU has dropped,
 * and with which a guest was entered.
 */
#ifndef GPHYS_LEDGER_H
#define GPHYS_LEDGER_H

#include <linux/percpu.h>
#include <linux/types.h>

struct gphys_mmu;
struct gphys_view;

/**
 * struct gphys_view_ledger - a vCPU's page in an mmu's books
 * @gen: generation of the translations it entered the guest with
 * @inside: it is in the guest
 */
struct gphys_view_ledger {
#ifdef CONFIG_VMX_DEBUG
	s64 gen;
	const bool *inside;
#endif
};

/**
 * struct gphys_ledger - an mmu's page
 * @dropped: per CPU: the flush generation whose translations it dropped last
 */
struct gphys_ledger {
#ifdef CONFIG_VMX_DEBUG
	s64 __percpu *dropped;
#endif
};

#ifdef CONFIG_VMX_DEBUG
int gphys_ledger_init(struct gphys_mmu *mmu);
void gphys_ledger_free(struct gphys_mmu *mmu);
void gphys_ledger_dropped(struct gphys_view *view);
void gphys_ledger_enter(struct gphys_view *view, const bool *inside);
void gphys_ledger_kicked(struct gphys_mmu *mmu, s64 gen);
#else
static inline int gphys_ledger_init(struct gphys_mmu *mmu) { return 0; }
static inline void gphys_ledger_free(struct gphys_mmu *mmu) { }
static inline void gphys_ledger_dropped(struct gphys_view *view) { }
static inline void gphys_ledger_kicked(struct gphys_mmu *mmu, s64 gen) { }
#endif

#endif /* GPHYS_LEDGER_H */
