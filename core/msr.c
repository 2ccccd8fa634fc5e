// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's MSRs: the policy of RDMSR and WRMSR, which exits.h follows, and the switching of
 * the MSRs that the CPU's guest state does not have.
 *
 * SYSCALL, SYSRET and SWAPGS use MSRs of the CPU and cannot be intercepted. So
 * the CPU has the guest's values whatever the policy is: SYSCALL to the host's
 * LSTAR would reveal the kernel's address, and SWAPGS would change the thread's GS
 * base. MSRs of SYSCALL are not switched where the guest cannot execute it. RDTSCP
 * and RDPID read TSC_AUX likewise, and the host's has the number of the CPU. It is
 * not switched where the guest cannot execute them.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include <asm/msr.h>

#include "msr.h"
#include "vcpu.h"
#include "vendor.h"

/* What passing an MSR through means. */
enum msr_kind {
	MSR_FIELD,	/* the CPU's guest state has it: the guest uses it freely */
	MSR_GS,		/* KERNEL_GS_BASE: freely too, and switched */
	MSR_SWITCHED,	/* switched by need; its value is kept here */
	MSR_JUDGED,	/* the CPU's guest state has it; it exits, and writes are judged */
};

struct msr_desc {
	u32 index;
	u8 kind;
	u8 slot;	/* MSR_SWITCHED: an enum vmm_switched */
	u64 features;	/* of struct vmx_caps.features, that it needs */
};

/* The allowlist. Whatever is not here cannot be passed through. */
static const struct msr_desc msr_descs[] = {
	{ MSR_FS_BASE, MSR_FIELD },
	{ MSR_GS_BASE, MSR_FIELD },
	{ MSR_IA32_SYSENTER_CS, MSR_FIELD },
	{ MSR_IA32_SYSENTER_ESP, MSR_FIELD },
	{ MSR_IA32_SYSENTER_EIP, MSR_FIELD },
	{ MSR_KERNEL_GS_BASE, MSR_GS },
	{ MSR_STAR, MSR_SWITCHED, VMM_SWITCHED_STAR },
	{ MSR_LSTAR, MSR_SWITCHED, VMM_SWITCHED_LSTAR },
	{ MSR_CSTAR, MSR_SWITCHED, VMM_SWITCHED_CSTAR },
	{ MSR_SYSCALL_MASK, MSR_SWITCHED, VMM_SWITCHED_FMASK },
	{ MSR_TSC_AUX, MSR_SWITCHED, VMM_SWITCHED_TSC_AUX },
	{ MSR_EFER, MSR_JUDGED, 0, VMX_HAS_LOAD_EFER },
	{ MSR_IA32_CR_PAT, MSR_JUDGED, 0, VMX_HAS_LOAD_PAT },
};

static const u32 switched_index[VMM_SWITCHED_COUNT] = {
	[VMM_SWITCHED_STAR] = MSR_STAR,
	[VMM_SWITCHED_LSTAR] = MSR_LSTAR,
	[VMM_SWITCHED_CSTAR] = MSR_CSTAR,
	[VMM_SWITCHED_FMASK] = MSR_SYSCALL_MASK,
	[VMM_SWITCHED_TSC_AUX] = MSR_TSC_AUX,
};

/* The kernel's values; TSC_AUX is per CPU and is read at each load. */
static u64 host_syscall[VMM_SWITCHED_TSC_AUX] __ro_after_init;

/**
 * vmm_msr_init() - learn the host's values
 *
 * Context: module init.
 */
void vmm_msr_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(host_syscall); i++)
		rdmsrl(switched_index[i], host_syscall[i]);
}

static const struct msr_desc *find_desc(u32 index)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(msr_descs); i++)
		if (msr_descs[i].index == index)
			return &msr_descs[i];
	return NULL;
}

static bool can_pass(const struct vmm_vcpu *v, const struct msr_desc *desc)
{
	if (!desc)
		return false;
	if (desc->index == MSR_TSC_AUX && !boot_cpu_has(X86_FEATURE_RDTSCP) &&
	    !boot_cpu_has(X86_FEATURE_RDPID))
		return false;
	/* With shadow paging EFER is kept by the module. */
	if (desc->index == MSR_EFER && v->paging)
		return true;
	return (vmm_vendor->caps->features & desc->features) == desc->features;
}

/**
 * vmm_msr_valid() - can an MSR of the allowlist have this value
 * @index: the MSR
 * @value: the value
 *
 * Context: any.
 * Return: false if WRMSR faults.
 */
bool vmm_msr_valid(u32 index, u64 value)
{
	unsigned int i;

	switch (index) {
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_KERNEL_GS_BASE:
		return vmm_canonical(value);
	case MSR_SYSCALL_MASK:
	case MSR_TSC_AUX:
		return !(value >> 32);
	case MSR_IA32_CR_PAT:
		/* SDM, "IA32_PAT MSR": types 2, 3 and above 7 are reserved */
		for (i = 0; i < 64; i += 8) {
			u8 type = value >> i;

			if (type > 7 || type == 2 || type == 3)
				return false;
		}
		return true;
	default:
		return true;
	}
}

/**
 * vmm_msr_alloc() - give a new vCPU its MSR bitmap: everything exits
 * @v: the vCPU
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vmm_msr_alloc(struct vmm_vcpu *v)
{
	v->msr.bitmap = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!v->msr.bitmap)
		return -ENOMEM;
	memset(v->msr.bitmap, 0xff, PAGE_SIZE);
	return 0;
}

/**
 * vmm_msr_free() - undo vmm_msr_alloc(), which may have failed
 * @v: the vCPU
 *
 * Context: any.
 */
void vmm_msr_free(struct vmm_vcpu *v)
{
	free_page((unsigned long)v->msr.bitmap);
	kvfree(v->msr.table);
}

/**
 * vmm_msr_load_syscall() - the guest's MSRs of SYSCALL into the CPU
 * @v: the vCPU; its guest may execute SYSCALL
 *
 * Context: preemption off.
 */
void vmm_msr_load_syscall(struct vmm_vcpu *v)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(host_syscall); i++)
		if (v->msr.switched[i] != host_syscall[i])
			vmm_wrmsr(v, switched_index[i], v->msr.switched[i]);
	v->host.syscall_loaded = true;
}

/**
 * vmm_msr_unload_syscall() - the host's MSRs of SYSCALL back into the CPU
 * @v: the vCPU; its guest's are there
 *
 * Guest writes are intercepted, so what is kept is what is in the CPU.
 *
 * Context: preemption off.
 */
void vmm_msr_unload_syscall(struct vmm_vcpu *v)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(host_syscall); i++)
		if (v->msr.switched[i] != host_syscall[i])
			vmm_wrmsr(v, switched_index[i], host_syscall[i]);
	v->host.syscall_loaded = false;
}

/**
 * vmm_msr_load_tsc_aux() - the guest's TSC_AUX into the CPU
 * @v: the vCPU; its guest may execute RDTSCP and RDPID
 *
 * Context: preemption off.
 */
void vmm_msr_load_tsc_aux(struct vmm_vcpu *v)
{
	u64 value = v->msr.switched[VMM_SWITCHED_TSC_AUX];

	v->host.tsc_aux = __rdmsr(MSR_TSC_AUX);
	if (v->host.tsc_aux != value)
		vmm_wrmsr(v, MSR_TSC_AUX, value);
	v->host.tsc_aux_loaded = true;
}

/**
 * vmm_msr_unload_tsc_aux() - the host's TSC_AUX back into the CPU
 * @v: the vCPU; its guest's is there
 *
 * Context: preemption off.
 */
void vmm_msr_unload_tsc_aux(struct vmm_vcpu *v)
{
	if (v->host.tsc_aux != v->msr.switched[VMM_SWITCHED_TSC_AUX])
		vmm_wrmsr(v, MSR_TSC_AUX, v->host.tsc_aux);
	v->host.tsc_aux_loaded = false;
}

/**
 * vmm_msr_slot() - where the guest's value of a passed MSR is
 * @index: the MSR, of the allowlist
 *
 * Context: any.
 * Return: an enum vmm_switched; -1 if the CPU's guest state has it.
 */
int vmm_msr_slot(u32 index)
{
	const struct msr_desc *desc = find_desc(index);

	return desc->kind == MSR_SWITCHED ? desc->slot : -1;
}

/* SDM, "MSR-Bitmap Address": four bitmaps, a set bit exits */
static void pass_through(void *bitmap, u32 index)
{
	unsigned long bit = index & 0x1fff;
	unsigned int high = index >> 31 ? 1024 : 0;

	__clear_bit(bit, bitmap + high);
	__clear_bit(bit, bitmap + 2048 + high);
}

static int by_index(const void *a, const void *b)
{
	u32 x = ((const struct vmx_msr *)a)->index;
	u32 y = ((const struct vmx_msr *)b)->index;

	return x < y ? -1 : x > y;
}

/* Judges the caller's table; sorting comes later, @bad is the caller's index. */
static int judge_table(const struct vmm_vcpu *v, const struct vmx_msr *table,
		       unsigned int count, u32 *bad)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		const struct vmx_msr *m = &table[i];
		const struct msr_desc *desc = find_desc(m->index);

		*bad = i;
		if (m->policy > VMX_MSR_PASSTHROUGH)
			return -EINVAL;
		if (m->policy == VMX_MSR_EXIT && m->value)
			return -EINVAL;
		if (m->policy != VMX_MSR_PASSTHROUGH)
			continue;
		if (!can_pass(v, desc))
			return -EACCES;
		if (desc->kind == MSR_FIELD || desc->kind == MSR_JUDGED ?
		    m->value != 0 : !vmm_msr_valid(m->index, m->value))
			return -EINVAL;
	}
	return 0;
}

static int sort_table(struct vmx_msr *table, unsigned int count)
{
	unsigned int i;

	sort(table, count, sizeof(*table), by_index, NULL);
	for (i = 1; i < count; i++)
		if (table[i].index == table[i - 1].index)
			return -EINVAL;
	return 0;
}

/* Nothing fails from here on. */
static void use_table(struct vmm_vcpu *v, struct vmx_msr *table,
		      unsigned int count)
{
	struct vmm_msr_state *s = &v->msr;
	unsigned int i;

	memset(s->bitmap, 0xff, PAGE_SIZE);
	memset(s->switched, 0, sizeof(s->switched));
	s->kernel_gs_base = 0;
	for (i = 0; i < count; i++) {
		const struct vmx_msr *m = &table[i];
		const struct msr_desc *desc = find_desc(m->index);

		if (m->policy != VMX_MSR_PASSTHROUGH)
			continue;
		if (desc->kind == MSR_FIELD || desc->kind == MSR_GS)
			pass_through(s->bitmap, m->index);
		if (desc->kind == MSR_GS)
			s->kernel_gs_base = m->value;
		if (desc->kind == MSR_SWITCHED)
			s->switched[desc->slot] = m->value;
	}
	swap(s->table, table);
	s->count = count;
	kvfree(table);
}

static struct vmx_msr *copy_table(const struct vmx_msrs *m)
{
	size_t bytes = m->count * sizeof(struct vmx_msr);

	return m->count ? base_dup_user(u64_to_user_ptr(m->msrs), bytes) : NULL;
}

static int get_args(struct vmx_msrs *m, void __user *arg, u32 least)
{
	int err = base_copy_in(m, sizeof(*m), arg, sizeof(*m));

	if (err)
		return err;
	if (m->flags)
		return -EOPNOTSUPP;
	if (m->count < least || m->count > VMX_MSRS_MAX)
		return -EINVAL;
	m->bad_index = 0;
	return 0;
}

/**
 * vmm_msr_set() - %VMX_SET_MSRS
 * @v: the vCPU, locked
 * @arg: the caller's struct
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmm_msr_set(struct vmm_vcpu *v, void __user *arg)
{
	struct vmx_msr *table;
	struct vmx_msrs m;
	int err;

	err = get_args(&m, arg, 0);
	if (err)
		return err;
	table = copy_table(&m);
	if (IS_ERR(table))
		return PTR_ERR(table);
	err = judge_table(v, table, m.count, &m.bad_index);
	base_cond_resched();
	if (!err)
		err = sort_table(table, m.count);
	base_cond_resched();
	if (!err) {
		use_table(v, table, m.count);
		return 0;
	}
	kvfree(table);
	return base_copy_out(arg, &m, sizeof(m)) ?: err;
}

/* Fields are read by VMCS_READ; here they stay 0. */
static u64 current_value(struct vmm_vcpu *v, const struct vmx_msr *m)
{
	const struct msr_desc *desc = find_desc(m->index);

	if (m->policy != VMX_MSR_PASSTHROUGH)
		return m->value;
	if (desc->kind == MSR_GS)
		return v->msr.kernel_gs_base;
	if (desc->kind == MSR_SWITCHED)
		return v->msr.switched[desc->slot];
	return 0;
}

/**
 * vmm_msr_get() - %VMX_GET_MSRS
 * @v: the vCPU, locked
 * @arg: the caller's struct
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmm_msr_get(struct vmm_vcpu *v, void __user *arg)
{
	struct vmx_msr *table;
	struct vmx_msrs m;
	unsigned int i;
	long err;

	err = get_args(&m, arg, 1);
	if (err)
		return err;
	table = copy_table(&m);
	if (IS_ERR(table))
		return PTR_ERR(table);
	for (i = 0; i < m.count; i++) {
		const struct vmx_msr *found = vmm_msr_find(v, table[i].index);

		if (!found) {
			m.bad_index = i;
			err = -ENOENT;
			break;
		}
		table[i].policy = found->policy;
		table[i].value = current_value(v, found);
	}
	if (!err)
		err = base_to_user(u64_to_user_ptr(m.msrs), table,
				   m.count * sizeof(*table));
	if (err == -ENOENT)
		err = base_copy_out(arg, &m, sizeof(m)) ?: err;
	kvfree(table);
	return err;
}
