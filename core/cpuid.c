// SPDX-License-Identifier: GPL-2.0
/* Takes the table that CPUID is answered from: see exits.h. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include "cpuid.h"
#include "vcpu.h"

/**
 * vmm_cpuid_free() - undo vmm_cpuid_set()
 * @v: the vCPU
 *
 * Context: may sleep.
 */
void vmm_cpuid_free(struct vmm_vcpu *v)
{
	kvfree(v->cpuid.table);
}

static int by_leaf(const void *a, const void *b)
{
	const struct vmx_cpuid_entry *x = a, *y = b;

	if (x->leaf != y->leaf)
		return x->leaf < y->leaf ? -1 : 1;
	return x->subleaf < y->subleaf ? -1 : x->subleaf > y->subleaf;
}

/* Sorted: is there one answer for each leaf and subleaf? */
static bool are_unambiguous(const struct vmx_cpuid_entry *a,
			    const struct vmx_cpuid_entry *b)
{
	if (a->leaf != b->leaf)
		return true;
	return a->flags & b->flags & VMX_CPUID_SUBLEAF &&
	       a->subleaf != b->subleaf;
}

static int judge_entries(struct vmx_cpuid_entry *table, unsigned int count)
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
		if (!are_unambiguous(&table[i - 1], &table[i]))
			return -EINVAL;
	return 0;
}

static void index_table(struct vmm_cpuid_state *s)
{
	unsigned int i;

	memset(s->first, 0, sizeof(s->first));
	for (i = s->count; i--; ) {
		u32 leaf = s->table[i].leaf;

		if (leaf == 1 || leaf == 7 || leaf == 0xd)
			s->table[i].flags |= CPUID_LIVE;
		if (CPUID_SLOT(leaf) < VMM_CPUID_SLOTS)
			s->first[leaf >> 30][vmm_cpuid_slot_nospec(leaf)] = i + 1;
	}
}

/**
 * vmm_cpuid_set() - %VMX_SET_CPUID
 * @v: the vCPU, locked
 * @arg: the caller's struct
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmm_cpuid_set(struct vmm_vcpu *v, void __user *arg)
{
	struct vmx_cpuid_entry *table = NULL;
	struct vmx_cpuid c;
	int err;

	err = base_copy_in(&c, sizeof(c), arg, sizeof(c));
	if (err)
		return err;
	if (c.flags)
		return -EOPNOTSUPP;
	if (c.reserved || c.count > VMX_CPUID_MAX)
		return -EINVAL;
	if (c.count)
		table = base_dup_user(u64_to_user_ptr(c.entries),
				      c.count * sizeof(*table));
	if (IS_ERR(table))
		return PTR_ERR(table);
	err = judge_entries(table, c.count);
	if (!err) {
		swap(v->cpuid.table, table);
		v->cpuid.count = c.count;
		index_table(&v->cpuid);
	}
	kvfree(table);
	return err;
}
