// SPDX-License-Identifier: GPL-2.0
/*
 * The mmus that a vCPU may use: the one it was created with or moved to, and those
 * that its guest can select with VMFUNC (SDM, "EPTP Switching"). The guest switches
 * without an exit. So code that removes translations from any of them kicks
 * the vCPU, and the vCPU drops outdated translations of all of them.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "../mmu/mmu.h"
#include "caps.h"
#include "ledger.h"
#include "vmx.h"

static struct vmm_views *views_alloc(unsigned int max)
{
	struct vmm_views *views;

	views = kvzalloc(struct_size(views, view, max), GFP_KERNEL_ACCOUNT);
	return views ? views : ERR_PTR(-ENOMEM);
}

static void views_put(struct vmm_views *views)
{
	unsigned int i;

	for (i = 0; i < views->count; i++) {
		gphys_put(views->view[i].mmu);
		base_cond_resched();
	}
	kvfree(views);
}

/* Takes over the reference. */
static void views_add(struct vmm_views *views, struct gphys_mmu *mmu)
{
	unsigned int i;

	for (i = 0; i < views->count; i++) {
		if (views->view[i].mmu == mmu) {
			gphys_put(mmu);
			return;
		}
	}
	views->view[views->count++].mmu = mmu;
}

/* From now on the vCPU counts as one that may be on its mmus. */
static void views_link(struct vmm_vcpu *v)
{
	unsigned int i;

	for (i = 0; i < v->views->count; i++) {
		struct gphys_view *view = &v->views->view[i];

		view->vcpu = v;
		spin_lock(&view->mmu->views_lock);
		list_add_tail(&view->link, &view->mmu->views);
		WRITE_ONCE(view->mmu->nr_views, view->mmu->nr_views + 1);
		spin_unlock(&view->mmu->views_lock);
	}
	v->staying = v->views->count > 1 ? vmm_staying_on_several(v->vm) :
					   (unsigned long)v->mmu;
	/* What this CPU has cached of them is old. */
	v->tag.map_on = -1;
	v->tag.id_on = -1;
}

static void views_unlink(struct vmm_vcpu *v)
{
	unsigned int i;

	for (i = 0; i < v->views->count; i++) {
		struct gphys_view *view = &v->views->view[i];

		spin_lock(&view->mmu->views_lock);
		list_del(&view->link);
		WRITE_ONCE(view->mmu->nr_views, view->mmu->nr_views - 1);
		spin_unlock(&view->mmu->views_lock);
	}
}

/**
 * vmx_views_init() - a vCPU's first mmu
 * @v: the vCPU
 * @mmu: the mmu; the caller's reference goes over
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vmx_views_init(struct vmm_vcpu *v, struct gphys_mmu *mmu)
{
	struct vmm_views *views = views_alloc(1);

	if (IS_ERR(views)) {
		gphys_put(mmu);
		return PTR_ERR(views);
	}
	views_add(views, mmu);
	v->views = views;
	v->mmu = mmu;
	return 0;
}

/**
 * vmx_views_free() - undo vmx_views_init() and all that came after
 * @v: the vCPU, detached
 *
 * Context: may sleep.
 */
void vmx_views_free(struct vmm_vcpu *v)
{
	if (v->views)
		views_put(v->views);
	free_page((unsigned long)v->eptp_list);
}

/* Fields that are there if the CPU has the function. */
static void write_list(struct vmm_vcpu *v, u64 *list)
{
	u64 cpu2 = vmx_insn_vmread(VMX_F_CPU2_CONTROLS) & ~(u64)VMX_CPU2_VMFUNC;

	if (!(vmx_caps.features & VMX_HAS_VMFUNC))
		return;
	v->vmcs->cpu2_must &= ~VMX_CPU2_VMFUNC;
	if (list)
		v->vmcs->cpu2_must |= VMX_CPU2_VMFUNC;
	vmx_insn_vmwrite(VMX_F_EPTP_LIST_ADDR, list ? __pa(list) : 0);
	vmx_insn_vmwrite(VMX_F_VMFUNC_CONTROLS, list ? VMX_CAPS_EPTP_SWITCHING : 0);
	vmx_insn_vmwrite(VMX_F_CPU2_CONTROLS, cpu2 | v->vmcs->cpu2_must);
}

/**
 * vmx_views_attach() - begin to use the mmus
 * @v: the vCPU, its VMCS current
 *
 * Context: preemption off.
 */
void vmx_views_attach(struct vmm_vcpu *v)
{
	if (!v->paging) {
		vmx_insn_vmwrite(VMX_F_EPT_POINTER, v->mmu->ept.root);
		v->vmcs->cpu2_must |= VMX_CPU2_EPT;
	}
	if (vmx_caps.features & VMX_HAS_VE)
		vmx_insn_vmwrite(VMX_F_EPTP_INDEX, U16_MAX);
	views_link(v);
}

/**
 * vmx_views_detach() - do not use them any more
 * @v: the vCPU, which never runs again
 * @current_vmcs: its VMCS could be made current
 *
 * Context: preemption off if @current_vmcs.
 */
void vmx_views_detach(struct vmm_vcpu *v, bool current_vmcs)
{
	views_unlink(v);
	if (!current_vmcs || v->paging)
		return;
	write_list(v, NULL);
	vmx_insn_vmwrite(VMX_F_EPT_POINTER, 0);
}

/**
 * vmx_views_follow() - find out on which mmu the guest is
 * @v: the vCPU, which has an EPTP list, its VMCS current
 *
 * Context: preemption off.
 */
void vmx_views_follow(struct vmm_vcpu *v)
{
	unsigned int i;
	u64 root;

	if (v->paging)
		return;
	root = vmx_read(v, VMX_F_EPT_POINTER);
	for (i = 0; v->mmu->ept.root != root && i < v->views->count; i++) {
		if (v->views->view[i].mmu->ept.root != root)
			continue;
		v->mmu = v->views->view[i].mmu;
		v->miss = GPHYS_NO_MISS;
	}
}

/* An mmu that EPT can go to. */
static struct gphys_mmu *mmu_from_fd(struct vmm_vcpu *v, int fd)
{
	struct gphys_mmu *mmu = gphys_from_fd(fd, v->vm);

	if (!IS_ERR(mmu) && mmu->ept.derived) {
		gphys_put(mmu);
		mmu = ERR_PTR(-EINVAL);
	}
	return mmu;
}

/* Where a list has an mmu, the first place; -1 if nowhere. */
static int place_of(const u64 *list, const struct gphys_mmu *mmu)
{
	int i;

	for (i = 0; list && i < VMX_EPTP_LIST_MAX; i++)
		if (list[i] == mmu->ept.root)
			return i;
	return -1;
}

/* Replace what the vCPU has; on success @views and @list are its own. */
static int adopt_views(struct vmm_vcpu *v, struct vmm_views *views, struct gphys_mmu *mmu,
		       u64 *list)
{
	struct vmm_views *old = v->views;
	int err;

	vmx_pml_tell_all(v);
	err = vmx_vmcs_get(v->vmcs);
	if (err)
		return err;
	vmx_insn_vmwrite(VMX_F_EPT_POINTER, mmu->ept.root);
	write_list(v, list);
	/* VMFUNC keeps it up to date. */
	if (vmx_caps.features & VMX_HAS_VE)
		vmx_insn_vmwrite(VMX_F_EPTP_INDEX, (u16)place_of(list, mmu));
	vmx_vmcs_unget();
	views_unlink(v);
	v->views = views;
	v->mmu = mmu;
	v->miss = GPHYS_NO_MISS;
	views_link(v);
	views_put(old);
	return 0;
}

/**
 * vmx_views_set_mmu() - %VMX_SET_MMU
 * @v: the vCPU, its VMCS busy for the caller
 * @arg: a struct vmx_vcpu_mmu
 *
 * Context: may sleep; the owner's address space.
 * Return: 0 or a negative errno.
 */
long vmx_views_set_mmu(struct vmm_vcpu *v, void __user *arg)
{
	struct vmx_vcpu_mmu args;
	struct vmm_views *views;
	struct gphys_mmu *mmu;
	unsigned int i;
	int err;

	err = base_copy_in(&args, sizeof(args), arg, sizeof(args));
	if (err)
		return err;
	if (args.flags || v->paging)
		return -EOPNOTSUPP;
	if (args.index)
		return -EINVAL;
	mmu = mmu_from_fd(v, args.mmu_fd);
	if (IS_ERR(mmu))
		return PTR_ERR(mmu);
	views = views_alloc(v->views->count + 1);
	if (IS_ERR(views)) {
		gphys_put(mmu);
		return PTR_ERR(views);
	}
	views_add(views, mmu);
	for (i = 0; i < v->views->count; i++) {
		if (place_of(v->eptp_list, v->views->view[i].mmu) >= 0)
			views_add(views, gphys_get(v->views->view[i].mmu));
		base_cond_resched();
	}
	err = adopt_views(v, views, mmu, v->eptp_list);
	if (err)
		views_put(views);
	return err;
}

/**
 * vmx_views_get_mmu() - %VMX_GET_MMU
 * @v: the vCPU, its VMCS busy for the caller
 * @arg: a struct vmx_vcpu_mmu
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmx_views_get_mmu(struct vmm_vcpu *v, void __user *arg)
{
	struct vmx_vcpu_mmu args;
	int err;

	err = base_copy_in(&args, sizeof(args), arg, sizeof(args));
	if (err)
		return err;
	if (args.flags)
		return -EOPNOTSUPP;
	err = vmx_vmcs_get(v->vmcs);
	if (err)
		return err;
	vmx_views_follow(v);
	vmx_vmcs_unget();
	args.mmu_fd = -1;
	args.index = place_of(v->eptp_list, v->mmu);
	return base_copy_out(arg, &args, sizeof(args));
}

/* Fill the list and the set of what is in it; the set has the vCPU's mmu already. */
static int take_list(struct vmm_vcpu *v, const s32 *fds, unsigned int count,
		     struct vmm_views *views, u64 *list)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct gphys_mmu *mmu;

		if (fds[i] == -1)
			continue;
		mmu = mmu_from_fd(v, fds[i]);
		if (IS_ERR(mmu))
			return PTR_ERR(mmu);
		list[i] = mmu->ept.root;
		views_add(views, mmu);
		base_cond_resched();
	}
	return 0;
}

static int set_list(struct vmm_vcpu *v, const s32 *fds, unsigned int count)
{
	struct vmm_views *views = views_alloc(count + 1);
	u64 *list = NULL;
	int err = 0;

	if (IS_ERR(views))
		return PTR_ERR(views);
	views_add(views, gphys_get(v->mmu));
	if (count) {
		list = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		err = list ? take_list(v, fds, count, views, list) : -ENOMEM;
	}
	if (!err)
		err = adopt_views(v, views, v->mmu, list);
	if (err) {
		views_put(views);
		free_page((unsigned long)list);
		return err;
	}
	swap(v->eptp_list, list);
	free_page((unsigned long)list);
	return 0;
}

/**
 * vmx_views_set_list() - %VMX_SET_EPTP_LIST
 * @v: the vCPU, its VMCS busy for the caller
 * @arg: a struct vmx_eptp_list
 *
 * Context: may sleep; the owner's address space.
 * Return: 0 or a negative errno.
 */
long vmx_views_set_list(struct vmm_vcpu *v, void __user *arg)
{
	struct vmx_eptp_list args;
	s32 *fds = NULL;
	int err;

	err = base_copy_in(&args, sizeof(args), arg, sizeof(args));
	if (err)
		return err;
	if (args.flags || v->paging || !(vmx_caps.features & VMX_HAS_VMFUNC))
		return -EOPNOTSUPP;
	if (args.count > VMX_EPTP_LIST_MAX || args.reserved)
		return -EINVAL;
	if (args.count) {
		fds = base_dup_user(u64_to_user_ptr(args.mmu_fds),
				    array_size(args.count, sizeof(*fds)));
		if (IS_ERR(fds))
			return PTR_ERR(fds);
	}
	/* The guest may have switched views. */
	err = vmx_vmcs_get(v->vmcs);
	if (!err) {
		vmx_views_follow(v);
		vmx_vmcs_unget();
		err = set_list(v, fds, args.count);
	}
	kvfree(fds);
	return err;
}
