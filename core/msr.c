// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's MSRs: RDMSR and WRMSR, and the switching of the MSRs that
 * have no VMCS field.
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

#include "../paging/paging.h"
#include "../vmx/caps.h"
#include "../vmx/vmx.h"
#include "vcpu.h"

/* What passing an MSR through means. */
enum msr_kind {
	MSR_FIELD,	/* a VMCS field holds it: the guest uses it freely */
	MSR_GS,		/* KERNEL_GS_BASE: freely too, and switched */
	MSR_SWITCHED,	/* switched by need; its value is kept here */
	MSR_JUDGED,	/* a VMCS field holds it, writes are judged */
};

struct msr_desc {
	u32 index;
	u8 kind;
	u8 slot;	/* MSR_SWITCHED: an enum vmx_switched */
	u32 field;	/* MSR_JUDGED: the VMCS field */
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
	{ MSR_STAR, MSR_SWITCHED, VMX_SWITCHED_STAR },
	{ MSR_LSTAR, MSR_SWITCHED, VMX_SWITCHED_LSTAR },
	{ MSR_CSTAR, MSR_SWITCHED, VMX_SWITCHED_CSTAR },
	{ MSR_SYSCALL_MASK, MSR_SWITCHED, VMX_SWITCHED_FMASK },
	{ MSR_TSC_AUX, MSR_SWITCHED, VMX_SWITCHED_TSC_AUX },
	{ MSR_EFER, MSR_JUDGED, 0, VMX_F_GUEST_EFER, VMX_HAS_LOAD_EFER },
	{ MSR_IA32_CR_PAT, MSR_JUDGED, 0, VMX_F_GUEST_PAT, VMX_HAS_LOAD_PAT },
};

static const u32 switched_index[VMX_SWITCHED_COUNT] = {
	[VMX_SWITCHED_STAR] = MSR_STAR,
	[VMX_SWITCHED_LSTAR] = MSR_LSTAR,
	[VMX_SWITCHED_CSTAR] = MSR_CSTAR,
	[VMX_SWITCHED_FMASK] = MSR_SYSCALL_MASK,
	[VMX_SWITCHED_TSC_AUX] = MSR_TSC_AUX,
};

/* The kernel's values; TSC_AUX is per CPU and is read at each load. */
static u64 host_syscall[VMX_SWITCHED_TSC_AUX] __ro_after_init;

/**
 * vmx_msr_init() - learn the host's values
 *
 * Context: module init.
 */
void vmx_msr_init(void)
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

static bool can_pass(const struct vmx_vcpu *v, const struct msr_desc *desc)
{
	if (!desc)
		return false;
	if (desc->index == MSR_TSC_AUX && !boot_cpu_has(X86_FEATURE_RDTSCP) &&
	    !boot_cpu_has(X86_FEATURE_RDPID))
		return false;
	/* With shadow paging EFER is kept by the module. */
	if (desc->index == MSR_EFER && v->paging)
		return true;
	return (vmx_caps.features & desc->features) == desc->features;
}

/* Would WRMSR fault? */
static bool value_valid(u32 index, u64 value)
{
	unsigned int i;

	switch (index) {
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_KERNEL_GS_BASE:
		return vmx_canonical(value);
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
 * vmx_msr_alloc() - give a new vCPU its MSR bitmap: everything exits
 * @v: the vCPU
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vmx_msr_alloc(struct vmx_vcpu *v)
{
	v->msr.bitmap = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!v->msr.bitmap)
		return -ENOMEM;
	memset(v->msr.bitmap, 0xff, PAGE_SIZE);
	return 0;
}

/**
 * vmx_msr_free() - undo vmx_msr_alloc(), which may have failed
 * @v: the vCPU
 *
 * Context: any.
 */
void vmx_msr_free(struct vmx_vcpu *v)
{
	free_page((unsigned long)v->msr.bitmap);
	kvfree(v->msr.table);
}

/**
 * vmx_msr_load_syscall() - the guest's MSRs of SYSCALL into the CPU
 * @v: the vCPU; its guest may execute SYSCALL
 *
 * Context: preemption off.
 */
void vmx_msr_load_syscall(struct vmx_vcpu *v)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(host_syscall); i++)
		if (v->msr.switched[i] != host_syscall[i])
			vmx_wrmsr(v, switched_index[i], v->msr.switched[i]);
	v->host.syscall_loaded = true;
}

/**
 * vmx_msr_unload_syscall() - the host's MSRs of SYSCALL back into the CPU
 * @v: the vCPU; its guest's are there
 *
 * Guest writes are intercepted, so what is kept is what is in the CPU.
 *
 * Context: preemption off.
 */
void vmx_msr_unload_syscall(struct vmx_vcpu *v)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(host_syscall); i++)
		if (v->msr.switched[i] != host_syscall[i])
			vmx_wrmsr(v, switched_index[i], host_syscall[i]);
	v->host.syscall_loaded = false;
}

/**
 * vmx_msr_load_tsc_aux() - the guest's TSC_AUX into the CPU
 * @v: the vCPU; its guest may execute RDTSCP and RDPID
 *
 * Context: preemption off.
 */
void vmx_msr_load_tsc_aux(struct vmx_vcpu *v)
{
	u64 value = v->msr.switched[VMX_SWITCHED_TSC_AUX];

	v->host.tsc_aux = __rdmsr(MSR_TSC_AUX);
	if (v->host.tsc_aux != value)
		vmx_wrmsr(v, MSR_TSC_AUX, value);
	v->host.tsc_aux_loaded = true;
}

/**
 * vmx_msr_unload_tsc_aux() - the host's TSC_AUX back into the CPU
 * @v: the vCPU; its guest's is there
 *
 * Context: preemption off.
 */
void vmx_msr_unload_tsc_aux(struct vmx_vcpu *v)
{
	if (v->host.tsc_aux != v->msr.switched[VMX_SWITCHED_TSC_AUX])
		vmx_wrmsr(v, MSR_TSC_AUX, v->host.tsc_aux);
	v->host.tsc_aux_loaded = false;
}

static struct vmx_msr *find_msr(struct vmx_vcpu *v, u32 index)
{
	unsigned int low = 0, high = v->msr.count;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (v->msr.table[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < v->msr.count && v->msr.table[low].index == index)
		return &v->msr.table[low];
	return NULL;
}

/* Of an MSR that is passed through and exits all the same. */
static u64 read_passed(struct vmx_vcpu *v, u32 index)
{
	const struct msr_desc *desc = find_desc(index);

	if (desc->kind == MSR_SWITCHED)
		return v->msr.switched[desc->slot];
	return vmx_vmcs_read(v->vmcs, desc->field);
}

/* SDM, "Extended Feature Enable Register": LME is fixed under paging. */
static bool write_efer_field(struct vmx_vcpu *v, u64 value)
{
	u64 old = vmx_read(v, VMX_F_GUEST_EFER);

	if ((value ^ old) & EFER_LME && vmx_read(v, VMX_F_GUEST_CR0) & X86_CR0_PG)
		return false;
	value = (value & ~(u64)EFER_LMA) | (old & EFER_LMA);
	return !vmx_vmcs_set(v->vmcs, VMX_F_GUEST_EFER, value);
}

static bool write_efer(struct vmx_vcpu *v, u64 value)
{
	if (!(v->paging ? vmx_paging_set_efer(v, value) : write_efer_field(v, value)))
		return false;
	/* The guest may be able to execute SYSCALL from now on. */
	if (v->vmcs->syscall && !v->host.syscall_loaded)
		vmx_msr_load_syscall(v);
	return true;
}

static bool write_passed(struct vmx_vcpu *v, u32 index, u64 value)
{
	const struct msr_desc *desc = find_desc(index);

	if (!value_valid(index, value))
		return false;
	if (index == MSR_EFER)
		return write_efer(v, value);
	if (desc->kind == MSR_JUDGED)
		return !vmx_vmcs_set(v->vmcs, desc->field, value);
	if (index == MSR_TSC_AUX ? v->host.tsc_aux_loaded : v->host.syscall_loaded)
		vmx_wrmsr(v, index, value);
	v->msr.switched[desc->slot] = value;
	return true;
}

/**
 * vmx_handle_rdmsr() - RDMSR of an MSR that is not passed through
 * @v: the vCPU, loaded
 *
 * Context: interrupts off.
 * Return: %VMX_NEXT_ENTER or %VMX_NEXT_USER.
 */
enum vmx_next vmx_handle_rdmsr(struct vmx_vcpu *v)
{
	u32 index = vmx_reg(v, 1);
	const struct vmx_msr *msr = find_msr(v, index);
	u64 value;

	if (!msr || msr->policy == VMX_MSR_EXIT)
		return VMX_NEXT_USER;
	value = msr->policy == VMX_MSR_PASSTHROUGH ? read_passed(v, index) : msr->value;
	v->run->regs[0] = (u32)value;
	v->run->regs[2] = value >> 32;
	vmx_retire(v);
	return VMX_NEXT_ENTER;
}

/**
 * vmx_handle_wrmsr() - WRMSR of an MSR that is not passed through
 * @v: the vCPU, loaded
 *
 * Context: interrupts off.
 * Return: %VMX_NEXT_ENTER or %VMX_NEXT_USER.
 */
enum vmx_next vmx_handle_wrmsr(struct vmx_vcpu *v)
{
	u64 value = (u32)vmx_reg(v, 0) | vmx_reg(v, 2) << 32;
	u32 index = vmx_reg(v, 1);
	struct vmx_msr *msr = find_msr(v, index);

	if (!msr || msr->policy == VMX_MSR_EXIT ||
	    msr->policy == VMX_MSR_KERNEL_READ)
		return VMX_NEXT_USER;
	if (msr->policy == VMX_MSR_KERNEL) {
		msr->value = value;
	} else if (!write_passed(v, index, value)) {
		vmx_inject_gp(v);
		return VMX_NEXT_ENTER;
	}
	vmx_retire(v);
	/* EFER decides how tables are read: stay() loads the roots first. */
	return v->paging && v->paging->reload ? VMX_NEXT_IRQ : VMX_NEXT_ENTER;
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
static int judge_table(const struct vmx_vcpu *v, const struct vmx_msr *table,
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
		    m->value != 0 : !value_valid(m->index, m->value))
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
static void use_table(struct vmx_vcpu *v, struct vmx_msr *table,
		      unsigned int count)
{
	struct vmx_msr_state *s = &v->msr;
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

	return m->count ? vmx_dup_user(u64_to_user_ptr(m->msrs), bytes) : NULL;
}

static int get_args(struct vmx_msrs *m, void __user *arg, u32 least)
{
	int err = vmx_copy_in(m, sizeof(*m), arg, sizeof(*m));

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
 * vmx_msr_set() - %VMX_SET_MSRS
 * @v: the vCPU, locked
 * @arg: the caller's struct
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmx_msr_set(struct vmx_vcpu *v, void __user *arg)
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
	vmx_cond_resched();
	if (!err)
		err = sort_table(table, m.count);
	vmx_cond_resched();
	if (!err) {
		use_table(v, table, m.count);
		return 0;
	}
	kvfree(table);
	return vmx_copy_out(arg, &m, sizeof(m)) ?: err;
}

/* Fields are read by VMCS_READ; here they stay 0. */
static u64 current_value(struct vmx_vcpu *v, const struct vmx_msr *m)
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
 * vmx_msr_get() - %VMX_GET_MSRS
 * @v: the vCPU, locked
 * @arg: the caller's struct
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmx_msr_get(struct vmx_vcpu *v, void __user *arg)
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
		const struct vmx_msr *found = find_msr(v, table[i].index);

		if (!found) {
			m.bad_index = i;
			err = -ENOENT;
			break;
		}
		table[i].policy = found->policy;
		table[i].value = current_value(v, found);
	}
	if (!err)
		err = vmx_to_user(u64_to_user_ptr(m.msrs), table,
				  m.count * sizeof(*table));
	if (err == -ENOENT)
		err = vmx_copy_out(arg, &m, sizeof(m)) ?: err;
	kvfree(table);
	return err;
}
