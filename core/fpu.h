/* SPDX-License-Identifier: GPL-2.0 */
/* FPU state at VM entry and exit of short RUNs; core/fpu.c has the scheme, and the rest. */
#ifndef VMM_FPU_H
#define VMM_FPU_H

#include <linux/compiler.h>
#include <linux/percpu.h>
#include <linux/types.h>

#include <asm/alternative.h>
#include <asm/cpufeature.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>

#include "../base/compat.h"
#include "vcpu.h"

/**
 * struct vmm_fpu_layout - what is switched; the same for all guests
 * @host_xcr0: the host's XCR0
 * @host_area: for each CPU, where a short RUN keeps the previous registers
 * @mask: the state components
 * @size: bytes of their area in the standard format
 */
struct vmm_fpu_layout {
	u64 host_xcr0;
	void __percpu *host_area;
	u32 mask;
	u32 size;
};

extern struct vmm_fpu_layout vmm_fpu_layout;

/* FXSAVE and FXRSTOR do not look at the mask in EDX:EAX. */
static __always_inline void vmm_fpu_save(void *area, u32 mask)
{
	asm volatile(ALTERNATIVE("fxsave64 (%[area])", "xsave64 (%[area])",
				 X86_FEATURE_XSAVE)
		     : : [area] "r" (area), "a" (mask), "d" (0) : "memory");
}

static __always_inline void vmm_fpu_restore(const void *area, u32 mask)
{
	asm volatile(ALTERNATIVE("fxrstor64 (%[area])", "xrstor64 (%[area])",
				 X86_FEATURE_XSAVE)
		     : : [area] "r" (area), "a" (mask), "d" (0) : "memory");
}

static __always_inline void vmm_fpu_set_xcr0(const struct vmm_vcpu *v, u64 xcr0)
{
	if (unlikely(v->xcr0 != vmm_fpu_layout.host_xcr0))
		xsetbv(XCR_XFEATURE_ENABLED_MASK, xcr0);
}

/**
 * vmm_fpu_load() - the guest's FPU state into the CPU
 * @v: the vCPU
 *
 * All components are switched, also those not in the guest's XCR0: it can turn
 * them on again and find its values.
 *
 * Context: interrupts off, until vmm_fpu_unload().
 */
static __always_inline void vmm_fpu_load(struct vmm_vcpu *v)
{
	u32 mask = vmm_fpu_layout.mask;

	if (unlikely(v->fpu_long)) {
		if (!v->lent_fpu.fpstate || !base_lent_fpu_in_cpu())
			vmm_fpu_load_long(v);
	} else {
		vmm_fpu_save(this_cpu_ptr(vmm_fpu_layout.host_area), mask);
		vmm_fpu_restore(v->fpu, mask);
		vmm_count(&v->count.fpu_swaps);
	}
	vmm_fpu_set_xcr0(v, v->xcr0);
}

/**
 * vmm_fpu_unload() - interrupts may use the FPU again
 * @v: the vCPU
 *
 * Context: interrupts off.
 */
static __always_inline void vmm_fpu_unload(struct vmm_vcpu *v)
{
	u32 mask = vmm_fpu_layout.mask;

	vmm_fpu_set_xcr0(v, vmm_fpu_layout.host_xcr0);
	if (unlikely(v->fpu_long)) {
		if (!v->lent_fpu.fpstate)
			vmm_fpu_unload_long(v);
	} else {
		vmm_fpu_save(v->fpu, mask);
		vmm_fpu_restore(this_cpu_ptr(vmm_fpu_layout.host_area), mask);
	}
}

#endif /* VMM_FPU_H */
