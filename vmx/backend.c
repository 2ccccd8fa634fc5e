// SPDX-License-Identifier: GPL-2.0
/* What Intel's part gives to the folders below; the module begins here. */
#include <linux/module.h>

#include "../core/vendor.h"
#include "../mmu/mmu.h"
#include "../paging/paging.h"
#include "buffers.h"
#include "caps.h"
#include "power.h"
#include "vmx.h"

static struct gphys_cpu mmu_cpu __ro_after_init;

static void __init describe_mmu(void)
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
}

static void backend_stop(void)
{
	vmx_power_exit();
	vmx_buffers_exit();
}

static bool backend_trylock(struct vmm_vcpu *v)
{
	return vmx_vmcs_trylock(v->vmcs);
}

static void backend_unlock(struct vmm_vcpu *v)
{
	vmx_vmcs_unlock_vcpu(v->vmcs);
}

static const struct vmm_vcpu_cmd backend_cmds[] = {
	{ VMX_SET_MMU, vmx_views_set_mmu },
	{ VMX_GET_MMU, vmx_views_get_mmu },
	{ VMX_SET_EPTP_LIST, vmx_views_set_list },
	{ VMX_SET_VE, vmx_ve_set },
	{ VMX_WALK, paging_walk },
	{}
};

static const struct vmm_vendor backend = {
	.stop = backend_stop,
	.caps = &vmx_caps,
	.mmu = &mmu_cpu,
	.enable = vmx_power_get,
	.disable = vmx_power_put,
	.create_vmcs = vmx_vmcs_create,
	.vcpu_init = vmx_backend_init,
	.vcpu_free = vmx_backend_free,
	.vcpu_attach = vmx_backend_attach,
	.vcpu_detach = vmx_backend_detach,
	.vcpu_trylock = backend_trylock,
	.vcpu_unlock = backend_unlock,
	.vcpu_page = vmx_ve_page,
	.vcpu_cmds = backend_cmds,
	.run = vmx_run,
};

static int __init backend_start(void)
{
	int err;

	vmx_caps_init();
	describe_mmu();
	err = vmx_buffers_init();
	if (err)
		return err;
	vmx_run_init();
	err = vmx_power_init();
	if (err)
		vmx_buffers_exit();
	return err;
}

static int __init vmx_init(void)
{
	return vmm_main_start(&backend, backend_start);
}

static void __exit vmx_exit(void)
{
	vmm_main_stop();
}

module_init(vmx_init);
module_exit(vmx_exit);
