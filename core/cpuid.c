// SPDX-License-Identifier: GPL-2.0
/* Answers CPUID from userspace's table. */
#include <linux/compiler.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include <asm/cpufeatures.h>

#include "../vmx/vmx.h"
#include "vcpu.h"

#define LEAF_SLOT(leaf)	((leaf) & 0x3fffffff)

/* A flag of entries in the table: something of what the leaf says is the vCPU's. */
#define CPUID_LIVE	BIT(31)

/* SDM, "CPUID" */
#define LEAF1_ECX_OSXSAVE	BIT(27)
#define LEAF7_ECX_OSPKE		BIT(4)
#define LEAFD_EAX_XSAVEC	BIT(1)
#define LEAFD_EAX_XSAVES	BIT(3)

/*
 * The slot of a leaf that has one; below VMX_CPUID_SLOTS for any other, which the
 * CPU may ask for before it knows. As array_index_nospec(), by one instruction.
 */
static __always_inline u32 slot_nospec(u32 leaf)
{
	OPTIMIZER_HIDE_VAR(leaf);
	return leaf & (VMX_CPUID_SLOTS - 1);
}

/**
 * vmx_cpuid_free() - undo vmx_cpuid_set()
 * @v: the vCPU
 *
 * Context: may sleep.
 */
void vmx_cpuid_free(struct vmx_vcpu *v)
{
	kvfree(v->cpuid.table);
}

static bool answers(const struct vmx_cpuid_entry *e, u32 subleaf)
{
	return !(e->flags & VMX_CPUID_SUBLEAF) || e->subleaf == subleaf;
}

static const struct vmx_cpuid_entry *find(const struct vmx_cpuid_state *s,
					  u32 leaf, u32 subleaf)
{
	unsigned int i = 0;

	if (likely(LEAF_SLOT(leaf) < VMX_CPUID_SLOTS)) {
		i = s->first[leaf >> 30][slot_nospec(leaf)];
		if (!i--)
			return NULL;
	}
	for (; i < s->count && s->table[i].leaf <= leaf; i++)
		if (s->table[i].leaf == leaf && answers(&s->table[i], subleaf))
			return &s->table[i];
	return NULL;
}

static void mirror_cr4(struct vmx_vcpu *v, u64 cr4_bit, u32 bit)
{
	u64 *ecx = &v->run->regs[1];

	*ecx &= ~(u64)bit;
	if (vmx_read(v, VMX_F_GUEST_CR4) & cr4_bit)
		*ecx |= bit;
}

/* EBX of leaf 0DH: the area that the guest's XSAVE writes, which the guest's XCR0 determines. */
static void measure_area(struct vmx_vcpu *v, u32 subleaf, u32 eax)
{
	u64 *ebx = &v->run->regs[3];

	if (!subleaf)
		*ebx = vmx_fpu_area_size(v->xcr0, false);
	else if (subleaf == 1 && eax & (LEAFD_EAX_XSAVEC | LEAFD_EAX_XSAVES))
		*ebx = vmx_fpu_area_size(v->xcr0, true);
}

/* What the table cannot know. SDM, "CPUID". */
static void reflect_state(struct vmx_vcpu *v, const struct vmx_cpuid_entry *e,
			  u32 subleaf)
{
	if (e->leaf == 1)
		mirror_cr4(v, X86_CR4_OSXSAVE, LEAF1_ECX_OSXSAVE);
	else if (e->leaf == 7 && !subleaf)
		mirror_cr4(v, X86_CR4_PKE, LEAF7_ECX_OSPKE);
	else if (e->leaf == 0xd)
		measure_area(v, subleaf, e->eax);
}

/**
 * vmx_handle_cpuid() - CPUID
 * @v: the vCPU, loaded
 *
 * Context: interrupts off.
 * Return: %VMX_NEXT_ENTER or %VMX_NEXT_USER.
 */
enum vmx_next vmx_handle_cpuid(struct vmx_vcpu *v)
{
	u64 *regs = v->run->regs;
	u32 leaf = vmx_reg(v, 0), subleaf = vmx_reg(v, 1);
	const struct vmx_cpuid_entry *e = find(&v->cpuid, leaf, subleaf);

	if (!e)
		return VMX_NEXT_USER;
	regs[0] = e->eax;
	regs[1] = e->ecx;
	regs[2] = e->edx;
	regs[3] = e->ebx;
	if (unlikely(e->flags & CPUID_LIVE))
		reflect_state(v, e, subleaf);
	vmx_retire(v);
	return VMX_NEXT_ENTER;
}

static int by_leaf(const void *a, const void *b)
{
	const struct vmx_cpuid_entry *x = a, *y = b;

	if (x->leaf != y->leaf)
		return x->leaf < y->leaf ? -1 : 1;
	return x->subleaf < y->subleaf ? -1 : x->subleaf > y->subleaf;
}

/* Sorted: is there one answer for each leaf and subleaf? */
static bool unambiguous(const struct vmx_cpuid_entry *a,
			const struct vmx_cpuid_entry *b)
{
	if (a->leaf != b->leaf)
		return true;
	return a->flags & b->flags & VMX_CPUID_SUBLEAF &&
	       a->subleaf != b->subleaf;
}

static int judge(struct vmx_cpuid_entry *table, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (table[i].flags & ~VMX_CPUID_SUBLEAF)
			return -EOPNOTSUPP;
		if (table[i].reserved)
			return -EINVAL;
	}
	sort(table, count, sizeof(*table), by_leaf, NULL);
	for (i = 1; i < count; i++)
		if (!unambiguous(&table[i - 1], &table[i]))
			return -EINVAL;
	return 0;
}

static void index_table(struct vmx_cpuid_state *s)
{
	unsigned int i;

	memset(s->first, 0, sizeof(s->first));
	for (i = s->count; i--; ) {
		u32 leaf = s->table[i].leaf;

		if (leaf == 1 || leaf == 7 || leaf == 0xd)
			s->table[i].flags |= CPUID_LIVE;
		if (LEAF_SLOT(leaf) < VMX_CPUID_SLOTS)
			s->first[leaf >> 30][slot_nospec(leaf)] = i + 1;
	}
}

/**
 * vmx_cpuid_set() - %VMX_SET_CPUID
 * @v: the vCPU, locked
 * @arg: the caller's struct
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmx_cpuid_set(struct vmx_vcpu *v, void __user *arg)
{
	struct vmx_cpuid_entry *table = NULL;
	struct vmx_cpuid c;
	int err;

	err = vmx_copy_in(&c, sizeof(c), arg, sizeof(c));
	if (err)
		return err;
	if (c.flags)
		return -EOPNOTSUPP;
	if (c.reserved || c.count > VMX_CPUID_MAX)
		return -EINVAL;
	if (c.count)
		table = vmx_dup_user(u64_to_user_ptr(c.entries),
				     c.count * sizeof(*table));
	if (IS_ERR(table))
		return PTR_ERR(table);
	err = judge(table, c.count);
	if (!err) {
		swap(v->cpuid.table, table);
		v->cpuid.count = c.count;
		index_table(&v->cpuid);
	}
	kvfree(table);
	return err;
}
