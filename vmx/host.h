/* SPDX-License-Identifier: GPL-2.0 */
/* Host state: the part that VM exits load, and the part that they leave to software. */
#ifndef VMX_HOST_H
#define VMX_HOST_H

#include <linux/types.h>

struct vmx_host;
struct vmx_vcpu;
struct vmx_vmcs;

unsigned long vmx_host_cr4(void);
void vmx_host_write_constant(struct vmx_vmcs *vmcs);
int vmx_host_write_cpu(struct vmx_vmcs *vmcs);
void vmx_host_load(struct vmx_vcpu *v);
void vmx_host_note(struct vmx_vcpu *v);
void vmx_host_restore(struct vmx_vcpu *v);
void vmx_host_unload(struct vmx_vcpu *v);

#endif /* VMX_HOST_H */
