/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the files of this folder. */
#ifndef PAGING_INTERNAL_H
#define PAGING_INTERNAL_H

#include <linux/types.h>

#include "../core/vcpu.h"
#include "../shadow/page.h"
#include "paging.h"

/* look.c */
int paging_look(const struct shadow_paging *p, u64 gva, u64 *entry);

/* roots.c */
void paging_describe(struct vmm_vcpu *v, u64 gva, u64 flags);
bool paging_is_device(struct vmm_vcpu *v, u64 gpa);
int paging_load_pdptes(struct vmm_vcpu *v, u64 cr3);
bool paging_switch(struct vmm_vcpu *v, u64 cr3);

#endif /* PAGING_INTERNAL_H */
