// SPDX-License-Identifier: GPL-2.0
/*
 * What of the host's is in a CPU's L1 data cache and buffers when a guest is
 * entered, on CPUs with flaws that let the guest have it. SDM volume 3 has no
 * chapter on them; Documentation/admin-guide/hw-vuln/ of the kernel has. VERW
 * against MDS and its kin comes last, in entry.S.
 */
#include <linux/gfp.h>
#include <linux/string.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/segment.h>

#include "../base/compat.h"
#include "buffers.h"
#include "verw.h"
#include "vmx.h"

bool vmx_clears_before_first __ro_after_init;
bool vmx_clears_before_each __ro_after_init;

/* Of l1tf=full: not only when interrupts were open. */
static bool always_flush_l1d __ro_after_init;

/* Memory to fill the L1 data cache with, twice as much as the affected CPUs' have. */
#define FILLER_ORDER	4
static u8 *filler __ro_after_init;

/* Not without a translation at hand: a page walk would bring in tables. */
static void displace_l1d(void)
{
	unsigned int i;

	for (i = 0; i < PAGE_SIZE << FILLER_ORDER; i += PAGE_SIZE)
		READ_ONCE(filler[i]);
	rmb(); /* The CPU does not fill the cache before it has the translations. */
	for (i = 0; i < PAGE_SIZE << FILLER_ORDER; i += L1_CACHE_BYTES)
		READ_ONCE(filler[i]);
	rmb(); /* The cache is filled before VM entry. */
}

static void flush_l1d(struct vmm_vcpu *v)
{
	if (static_cpu_has(X86_FEATURE_FLUSH_L1D))
		vmm_wrmsr(v, MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	else
		displace_l1d();
}

/**
 * vmx_clear_before_first() - what some CPUs need after interrupts were open
 * @v: the vCPU, loaded
 *
 * What interrupts used is in the L1 data cache. What the exits between two entries
 * use is the guest's.
 *
 * Context: interrupts off, right before the first VM entry since.
 */
void vmx_clear_before_first(struct vmm_vcpu *v)
{
	if (vmx_clears_before_first)
		flush_l1d(v);
}

/* The operand has to be in memory: with a register, VERW clears nothing. */
static void clear_buffers(void)
{
	static const u16 selector = __KERNEL_DS;

	asm volatile("verw %0" : : "m" (selector) : "cc");
}

/* Could the guest read registers of devices? */
static bool has_device_memory(const struct vmm_vcpu *v)
{
	unsigned int i;

	for (i = 0; i < v->views->count; i++)
		if (READ_ONCE(v->views->view[i].mmu->has_device))
			return true;
	return false;
}

/**
 * vmx_clear_before_each() - what some CPUs need at each VM entry
 * @v: the vCPU, loaded
 *
 * An L1D flush clears the buffers as well.
 *
 * Context: interrupts off, right before VM entry.
 */
void vmx_clear_before_each(struct vmm_vcpu *v)
{
	if (always_flush_l1d)
		flush_l1d(v);
	else if (vmx_verw_for_devices() && has_device_memory(v))
		clear_buffers();
}

static bool __init has_l1tf(void)
{
	u64 capabilities = 0;

	if (!boot_cpu_has_bug(X86_BUG_L1TF) ||
	    l1tf_mitigation == L1TF_MITIGATION_OFF)
		return false;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, capabilities);
	return !(capabilities & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH);
}

/* Each page has other contents, or a hypervisor below might merge them into one. */
static int __init alloc_filler(void)
{
	unsigned int i;

	filler = (u8 *)__get_free_pages(GFP_KERNEL, FILLER_ORDER);
	if (!filler)
		return -ENOMEM;
	for (i = 0; i < 1 << FILLER_ORDER; i++)
		memset(filler + i * PAGE_SIZE, i + 1, PAGE_SIZE);
	return 0;
}

static int __init l1tf_init(void)
{
	if (!has_l1tf())
		return 0;
	if (!boot_cpu_has(X86_FEATURE_FLUSH_L1D) && alloc_filler())
		return -ENOMEM;
	if (l1tf_mitigation == L1TF_MITIGATION_FULL ||
	    l1tf_mitigation == L1TF_MITIGATION_FULL_FORCE)
		always_flush_l1d = true;
	else
		vmx_clears_before_first = true;
	return 0;
}

/**
 * vmx_buffers_init() - find out what has to be cleared before VM entry
 *
 * L1TF: a guest's page-table entries are taken for host-physical addresses while
 * they are not present, EPT or not. MMIO Stale Data: reads of a device's registers
 * may give what is in the CPU's buffers; where the kernel has no other reason to
 * clear those, it asks for it for guests that can read such registers.
 *
 * Context: module init.
 * Return: 0 or -ENOMEM.
 */
int __init vmx_buffers_init(void)
{
	int err = l1tf_init();

	vmx_clears_before_each = always_flush_l1d || vmx_verw_for_devices();
	return err;
}

/**
 * vmx_buffers_exit() - undo vmx_buffers_init()
 *
 * Context: module exit.
 */
void vmx_buffers_exit(void)
{
	free_pages((unsigned long)filler, FILLER_ORDER);
}
