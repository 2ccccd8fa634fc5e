/* SPDX-License-Identifier: GPL-2.0 */
/* What of the host's is in a CPU's L1 data cache and buffers when a guest is entered. */
#ifndef VMX_BUFFERS_H
#define VMX_BUFFERS_H

#include <linux/types.h>

struct vmm_vcpu;

int vmx_buffers_init(void);
void vmx_buffers_exit(void);
void vmx_clear_before_first(struct vmm_vcpu *v);
void vmx_clear_before_each(struct vmm_vcpu *v);

/* There is something to clear before the first VM entry after interrupts were open. */
extern bool vmx_clears_before_first;
/* There is something to clear, or to look at, before each VM entry. */
extern bool vmx_clears_before_each;

#endif /* VMX_BUFFERS_H */
