/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which CPUs need VERW before VM entry, as kernels say it one after the other. On CPUs with
 * MDS and kin it clears buffers in which a guest could find what is the host's; the
 * kernel's Documentation/admin-guide/hw-vuln/ has them. entry.S and C code use this file.
 */
#ifndef VMX_VERW_H
#define VMX_VERW_H

#include <asm/cpufeatures.h>

/* Kernels before have a static key, which entry.S cannot use. */
#ifndef X86_FEATURE_CLEAR_CPU_BUF
#error "no X86_FEATURE_CLEAR_CPU_BUF (VERW against MDS): build for a newer update of this kernel"
#endif

/* Since AMD's flaw TSA, VM entry has a feature of its own. */
#ifdef X86_FEATURE_CLEAR_CPU_BUF_VM
#define VMX_FEATURE_VERW_VM	X86_FEATURE_CLEAR_CPU_BUF_VM
#else
#define VMX_FEATURE_VERW_VM	X86_FEATURE_CLEAR_CPU_BUF
#endif

#ifndef __ASSEMBLY__
#include <linux/jump_label.h>
#include <linux/types.h>

#include <asm/cpufeature.h>
#include <asm/nospec-branch.h>

/* Does the kernel want it for guests that have memory of devices, and no others? */
static __always_inline bool vmx_verw_for_devices(void)
{
#if defined(X86_FEATURE_CLEAR_CPU_BUF_VM_MMIO)
	return cpu_feature_enabled(X86_FEATURE_CLEAR_CPU_BUF_VM_MMIO) &&
	       !cpu_feature_enabled(VMX_FEATURE_VERW_VM);
#elif defined(VMX_HAVE_CPU_BUF_VM_CLEAR)
	return static_branch_unlikely(&cpu_buf_vm_clear);
#elif defined(VMX_HAVE_MMIO_STALE_DATA_CLEAR)
	return static_branch_unlikely(&mmio_stale_data_clear);
#else
#error "these headers do not say when MMIO Stale Data needs VERW: vmx has to learn how they do"
#endif
}
#endif /* !__ASSEMBLY__ */

#endif /* VMX_VERW_H */
