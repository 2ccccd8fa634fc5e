// SPDX-License-Identifier: GPL-2.0
/* Intel's part of a vCPU: its VMCS, and the fields in it that are the module's own. */
#include <linux/err.h>
#include <linux/mm.h>

#include "../base/ledger_time.h"
#include "../mmu/mmu.h"
#include "caps.h"
#include "paging.h"
#include "perf.h"
#include "vmx.h"
#include "vpid.h"

/**
 * vmx_backend_init() - see &vmm_vendor.vcpu_init
 * @v: the vCPU
 * @args: what it is made of
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int vmx_backend_init(struct vmm_vcpu *v, const struct vmx_create_vcpu *args)
{
	struct gphys_mmu *mmu;
	int err;

	v->vmcs = vmx_vmcs_from_fd(args->vmcs_fd, v->vm);
	if (IS_ERR(v->vmcs))
		return PTR_ERR(v->vmcs);
	mmu = gphys_from_fd(args->mmu_fd, v->vm);
	if (IS_ERR(mmu))
		return PTR_ERR(mmu);
	err = vmx_views_init(v, mmu);
	if (err)
		return err;
	err = vmx_pml_alloc(v);
	if (!err)
		err = vmx_perf_alloc(v);
	if (!err && v->mmu->ept.derived)
		err = vmx_paging_alloc(v);
	if (err)
		return err;
	err = vmx_vpid_alloc(v->vm);
	if (err < 0)
		return err;
	v->tag.id = err;
	return 0;
}

/**
 * vmx_backend_free() - undo vmx_backend_init(), which may have failed
 * @v: the vCPU
 *
 * Context: may sleep.
 */
void vmx_backend_free(struct vmm_vcpu *v)
{
	vmx_vpid_return(v->tag.id, &v->vm->vpids);
	vmx_ve_free(v);
	vmx_pml_free(v);
	vmx_perf_free(v);
	vmx_paging_free(v);
	base_cond_resched_freed();
	vmx_views_free(v);
	if (!IS_ERR_OR_NULL(v->vmcs))
		vmx_vmcs_put(v->vmcs);
}

/* What the module's own fields hold while the vCPU has the VMCS. */
static void write_module_fields(struct vmm_vcpu *v)
{
	struct vmx_vmcs *vmcs = v->vmcs;
	u64 cpu2;

	vmx_insn_vmwrite(VMX_F_HOST_CR3, 0);
	vmx_insn_vmwrite(VMX_F_HOST_FS_BASE, 0);
	vmx_insn_vmwrite(VMX_F_HOST_RSP, 0);
	vmx_insn_vmwrite(VMX_F_MSR_BITMAP, __pa(v->msr.bitmap));
	vmcs->cpu2_must = 0;
	if (v->paging)
		vmx_paging_attach(v);
	vmx_views_attach(v);
	vmx_pml_attach(v);
	vmx_perf_attach(v);
	if (v->tag.id) {
		vmx_insn_vmwrite(VMX_F_VPID, v->tag.id);
		vmcs->cpu2_must |= VMX_CPU2_VPID;
	}
	cpu2 = vmx_insn_vmread(VMX_F_CPU2_CONTROLS);
	vmx_insn_vmwrite(VMX_F_CPU2_CONTROLS, cpu2 | vmcs->cpu2_must);
}

static void clear_module_fields(struct vmm_vcpu *v)
{
	struct vmx_vmcs *vmcs = v->vmcs;
	u64 cpu2 = vmx_insn_vmread(VMX_F_CPU2_CONTROLS);

	vmx_insn_vmwrite(VMX_F_CPU2_CONTROLS, cpu2 & ~(u64)vmcs->cpu2_must);
	vmx_insn_vmwrite(VMX_F_ENTRY_INTR_INFO, 0);
	vmx_insn_vmwrite(VMX_F_MSR_BITMAP, 0);
	if (vmx_caps.features & VMX_HAS_PML)
		vmx_insn_vmwrite(VMX_F_PML_ADDR, 0);
	vmx_perf_detach(v);
	if (v->paging)
		vmx_paging_detach(v);
	vmcs->cpu2_must = 0;
}

/**
 * vmx_backend_attach() - take over the VMCS
 * @v: the vCPU
 *
 * Context: may sleep.
 * Return: 0, -EBUSY (somebody uses it, or another vCPU has it) or -EIO.
 */
int vmx_backend_attach(struct vmm_vcpu *v)
{
	struct vmx_vmcs *vmcs = v->vmcs;
	int err;

	if (!vmx_vmcs_trylock(vmcs))
		return -EBUSY;
	err = vmcs->vcpu ? -EBUSY : vmx_vmcs_get(vmcs);
	if (!err) {
		write_module_fields(v);
		vmx_vmcs_unget();
		vmcs->vcpu = v;
	}
	vmx_vmcs_unlock(vmcs);
	return err;
}

/**
 * vmx_backend_detach() - give the VMCS back
 * @v: the vCPU, which never runs again
 *
 * Context: may sleep.
 */
void vmx_backend_detach(struct vmm_vcpu *v)
{
	struct vmx_vmcs *vmcs = v->vmcs;
	int err;

	vmx_vmcs_lock(vmcs);
	vmx_pml_tell_all(v);
	err = vmx_vmcs_get(vmcs);
	vmx_views_detach(v, !err);
	if (!err) {
		vmx_ve_detach(v);
		clear_module_fields(v);
		vmx_vmcs_unget();
	}
	vmcs->vcpu = NULL;
	vmx_vmcs_unlock(vmcs);
}
