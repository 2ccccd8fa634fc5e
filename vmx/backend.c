// SPDX-License-Identifier: GPL-2.0
/* What Intel's part gives to the folders below. */
#include "../mmu/mmu.h"
#include "caps.h"
#include "vmx.h"

static struct vmx_mmu_cpu mmu_cpu __ro_after_init;

/**
 * vmx_backend_mmu() - what the CPU can do with an mmu's tables
 *
 * Context: module init; vmx_caps_init() was called.
 * Return: it.
 */
const struct vmx_mmu_cpu * __init vmx_backend_mmu(void)
{
	const u64 features = vmx_caps.features;

	mmu_cpu.has_ept = features & VMX_HAS_EPT;
	mmu_cpu.format = ept_format_of(&vmx_caps);
	mmu_cpu.map_format = ept_format_map(&vmx_caps);
	mmu_cpu.log_methods = BIT(VMX_DIRTY_OFF) | BIT(VMX_DIRTY_WRITE_PROTECT);
	if (features & VMX_HAS_EPT_AD)
		mmu_cpu.log_methods |= BIT(VMX_DIRTY_BITS);
	if (features & VMX_HAS_EPT_AD && features & VMX_HAS_PML)
		mmu_cpu.log_methods |= BIT(VMX_DIRTY_PML);
	mmu_cpu.collect = vmx_pml_collect;
	return &mmu_cpu;
}
