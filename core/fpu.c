// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's FPU state, including XCR0. SDM, "Managing State Using the XSAVE
 * Feature Set".
 *
 * RUN starts as a short one: the guest's registers are in the CPU only while
 * interrupts are off. The module saves the previous registers and restores them
 * bit by bit, so nobody else can tell.
 *
 * When RUN continues after interrupts were open, it is a long one until it ends.
 * The kernel then holds the thread's registers in memory, as it does for a thread
 * that does not run.
 *
 * - Some kernels lend hypervisors a second FPU state of the thread
 *   (base/compat.h). The guest's takes the place of the thread's. The registers
 *   stay in the CPU until an interrupt uses the FPU or another thread runs. The
 *   kernel saves them then, and the module loads them only after that.
 * - On other kernels the guest's registers are in the CPU only while interrupts
 *   are off, as those of any user of the FPU in the kernel. That is one save and
 *   one load each time the module lets interrupts in.
 *
 * XCR0 is always the host's while interrupts are open: the kernel saves what its
 * own XCR0 enables.
 */
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>

#include "../base/compat.h"
#include "fpu.h"
#include "vcpu.h"

/* Legacy area and header of the XSAVE area */
#define FXSAVE_SIZE	512
#define HEADER_SIZE	64
#define XSAVE_ALIGNMENT	64
#define MXCSR_OFFSET	24
#define MXCSR_DEFAULT	0x1f80
#define FCW_DEFAULT	0x37f

/*
 * State components a guest can have: x87, SSE, AVX and AVX-512. Not MPX, whose
 * BNDCFGS has no owner; not PKRU and what comes after, which the kernel
 * switches elsewhere, or enables by process (AMX).
 */
#define XCR0_X87	BIT(0)
#define XCR0_SSE	BIT(1)
#define XCR0_AVX	BIT(2)
#define XCR0_AVX512	(BIT(5) | BIT(6) | BIT(7))

/* For tests of the other way, and for whoever suspects this one. */
static bool fpu_lend = BASE_LENDS_FPU;
module_param_named(lend_fpu, fpu_lend, bool, BASE_LENDS_FPU ? 0644 : 0444);
MODULE_PARM_DESC(lend_fpu, "the kernel keeps a guest's FPU registers like a thread's, where it can; for new vCPUs");

static u32 fpu_mxcsr_mask __ro_after_init;

struct vmm_fpu_layout vmm_fpu_layout __ro_after_init;

/*
 * The components behind the header that guests can have: CPUID.0DH.2 and up.
 * SDM, "CPUID". They are asked for once, since CPUID takes long where the host
 * is a guest itself.
 */
static struct component {
	u32 size;
	u32 offset;	/* in the standard format */
	bool aligned;	/* in the compacted format */
} fpu_components[8] __ro_after_init;

static void learn_components(void)
{
	unsigned int i;

	for (i = 2; i < ARRAY_SIZE(fpu_components); i++) {
		struct component *c = &fpu_components[i];
		u32 ecx, edx;

		if (!(vmm_fpu_layout.mask & BIT(i)))
			continue;
		cpuid_count(0xd, i, &c->size, &c->offset, &ecx, &edx);
		c->aligned = ecx & BIT(1);
	}
}

/**
 * vmm_fpu_area_size() - size of an XSAVE area
 * @xcr0: its components, of those that guests can have
 * @compacted: is it in the compacted format?
 *
 * SDM, "Standard Format of the Extended Region" and the section after it.
 *
 * Context: any.
 * Return: bytes.
 */
u32 vmm_fpu_area_size(u64 xcr0, bool compacted)
{
	u32 size = FXSAVE_SIZE + HEADER_SIZE;
	unsigned int i;

	for (i = 2; i < ARRAY_SIZE(fpu_components); i++) {
		const struct component *c = &fpu_components[i];
		u32 start = c->offset;

		if (!(xcr0 & BIT(i)))
			continue;
		if (compacted)
			start = c->aligned ? ALIGN(size, 64) : size;
		size = max(size, start + c->size);
	}
	return size;
}

static u32 read_mxcsr_mask(void)
{
	u8 *area = kzalloc(FXSAVE_SIZE, GFP_KERNEL);
	u32 mask;

	if (!area)
		return 0;
	kernel_fpu_begin();
	asm volatile("fxsave64 %0" : "=m" (*(u8 (*)[FXSAVE_SIZE])area));
	kernel_fpu_end();
	mask = *(u32 *)(area + MXCSR_OFFSET + 4);
	kfree(area);
	/* SDM, "Guidelines for Writing to the MXCSR Register": 0 means this */
	return mask ?: 0xffbf;
}

static void learn_xsave(void)
{
	vmm_fpu_layout.host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	vmm_fpu_layout.mask |= vmm_fpu_layout.host_xcr0 & XCR0_AVX;
	if ((vmm_fpu_layout.host_xcr0 & XCR0_AVX512) == XCR0_AVX512)
		vmm_fpu_layout.mask |= XCR0_AVX512;
	learn_components();
	vmm_fpu_layout.size = vmm_fpu_area_size(vmm_fpu_layout.mask, false);
}

/**
 * vmm_fpu_init() - learn what FPU state guests can have
 *
 * Context: module init.
 * Return: 0 or -ENOMEM.
 */
int vmm_fpu_init(void)
{
	vmm_fpu_layout.size = FXSAVE_SIZE;
	vmm_fpu_layout.mask = XCR0_X87 | XCR0_SSE;
	fpu_mxcsr_mask = read_mxcsr_mask();
	if (!fpu_mxcsr_mask)
		return -ENOMEM;
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		learn_xsave();
	else
		vmm_fpu_layout.host_xcr0 = XCR0_X87; /* never switched */
	/* A standard-format area has to be zero where XSAVE does not write. */
	vmm_fpu_layout.host_area = __alloc_percpu(vmm_fpu_layout.size, XSAVE_ALIGNMENT);
	return vmm_fpu_layout.host_area ? 0 : -ENOMEM;
}

/**
 * vmm_fpu_exit() - undo vmm_fpu_init()
 *
 * Context: module exit.
 */
void vmm_fpu_exit(void)
{
	free_percpu(vmm_fpu_layout.host_area);
}

/**
 * vmm_fpu_xcr0_valid() - would XSETBV take this value for a guest?
 * @xcr0: the value
 *
 * SDM, "Extended Control Registers (Including XCR0)".
 *
 * Context: any.
 * Return: whether it would.
 */
bool vmm_fpu_xcr0_valid(u64 xcr0)
{
	u64 avx512 = xcr0 & XCR0_AVX512;

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return xcr0 == XCR0_X87;
	if (!(xcr0 & XCR0_X87) || xcr0 & ~(u64)vmm_fpu_layout.mask)
		return false;
	if (xcr0 & XCR0_AVX && !(xcr0 & XCR0_SSE))
		return false;
	if (avx512 && (avx512 != XCR0_AVX512 || !(xcr0 & XCR0_AVX)))
		return false;
	return true;
}

static void init_area(u8 *area)
{
	memset(area, 0, vmm_fpu_layout.size);
	*(u16 *)area = FCW_DEFAULT;
	*(u32 *)(area + MXCSR_OFFSET) = MXCSR_DEFAULT;
}

/**
 * vmm_fpu_alloc() - give a new vCPU the FPU state that INIT leaves
 * @v: the vCPU
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vmm_fpu_alloc(struct vmm_vcpu *v)
{
	v->fpu = alloc_pages_exact(vmm_fpu_layout.size, GFP_KERNEL_ACCOUNT);
	if (!v->fpu)
		return -ENOMEM;
	init_area(v->fpu);
	v->xcr0 = XCR0_X87;
	return 0;
}

/**
 * vmm_fpu_free() - undo vmm_fpu_alloc(), which may have failed
 * @v: the vCPU
 *
 * Context: any.
 */
void vmm_fpu_free(struct vmm_vcpu *v)
{
	if (v->fpu)
		free_pages_exact(v->fpu, vmm_fpu_layout.size);
	base_lent_fpu_free(&v->lent_fpu);
}

static void save_host_fpu(struct vmm_vcpu *v)
{
	vmm_fpu_save(v->fpu, vmm_fpu_layout.mask);
}

static void restore_host_fpu(struct vmm_vcpu *v)
{
	vmm_fpu_restore(v->fpu, vmm_fpu_layout.mask);
	v->count.fpu_swaps++;
}

/**
 * vmm_fpu_prepare() - memory for long RUNs
 * @v: the vCPU, not loaded
 *
 * If there is none, the vCPU does without a lent state.
 *
 * Context: may sleep.
 */
void vmm_fpu_prepare(struct vmm_vcpu *v)
{
	if (!v->fpu_prepared && READ_ONCE(fpu_lend))
		base_lent_fpu_alloc(&v->lent_fpu);
	v->fpu_prepared = true;
}

/**
 * vmm_fpu_begin() - this RUN is a long one
 * @v: the vCPU
 *
 * Context: does not sleep; interrupts on.
 * Return: false if vmm_fpu_prepare() was not called yet.
 */
bool vmm_fpu_begin(struct vmm_vcpu *v)
{
	if (unlikely(!v->fpu_prepared))
		return false;
	v->fpu_long = true;
	if (!v->lent_fpu.fpstate)
		return true;
	base_lent_fpu_enter(&v->lent_fpu);
	local_irq_disable();
	base_lent_fpu_load();
	restore_host_fpu(v);
	local_irq_enable();
	return true;
}

/**
 * vmm_fpu_end() - the long RUN is over
 * @v: the vCPU, not loaded
 *
 * What is in the CPU without a lent state needs no care: the kernel brings the
 * thread's registers back on the way to userspace.
 *
 * Context: may sleep.
 */
void vmm_fpu_end(struct vmm_vcpu *v)
{
	v->fpu_long = false;
	if (!v->lent_fpu.fpstate)
		return;
	local_irq_disable();
	base_lent_fpu_load();
	save_host_fpu(v);
	local_irq_enable();
	base_lent_fpu_leave(&v->lent_fpu);
}

/**
 * vmm_fpu_load_long() - vmm_fpu_load() in a long RUN, where the state is not in the CPU
 * @v: the vCPU
 *
 * Context: interrupts off.
 */
void vmm_fpu_load_long(struct vmm_vcpu *v)
{
	if (v->lent_fpu.fpstate) {
		v->count.fpu_swaps += base_lent_fpu_load();
		return;
	}
	/* No register needs an initial value: all are loaded next. */
	kernel_fpu_begin_mask(0);
	restore_host_fpu(v);
}

/**
 * vmm_fpu_unload_long() - vmm_fpu_unload() in a long RUN without a lent state
 * @v: the vCPU
 *
 * Context: interrupts off.
 */
void vmm_fpu_unload_long(struct vmm_vcpu *v)
{
	save_host_fpu(v);
	kernel_fpu_end();
}

/*
 * XRSTOR must not fault on it. SDM, "Operation of XRSTOR". A guest has state also
 * in components that its XCR0 does not have: SSE, before it uses XSAVE.
 */
static bool area_valid(const u8 *area, u32 length)
{
	const u64 *header = (const u64 *)(area + FXSAVE_SIZE);

	if (*(const u32 *)(area + MXCSR_OFFSET) & ~fpu_mxcsr_mask)
		return false;
	if (length == FXSAVE_SIZE)
		return true;
	return !(header[0] & ~(u64)vmm_fpu_layout.mask) && !header[1] &&
	       !memchr_inv(&header[2], 0, HEADER_SIZE - 16);
}

/**
 * vmm_fpu_set() - %VMX_SET_FPU
 * @v: the vCPU, locked
 * @arg: the caller's struct
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmm_fpu_set(struct vmm_vcpu *v, void __user *arg)
{
	struct vmx_fpu f;
	u32 length;
	u8 *area;
	long err;

	err = base_copy_in(&f, sizeof(f), arg, sizeof(f));
	if (err)
		return err;
	if (f.flags)
		return -EOPNOTSUPP;
	if (!vmm_fpu_xcr0_valid(f.xcr0) || f.length < FXSAVE_SIZE ||
	    (f.length > FXSAVE_SIZE && f.length < FXSAVE_SIZE + HEADER_SIZE))
		return -EINVAL;
	length = min(f.length, vmm_fpu_layout.size);
	area = alloc_pages_exact(vmm_fpu_layout.size, GFP_KERNEL_ACCOUNT);
	if (!area)
		return -ENOMEM;
	init_area(area);
	err = base_from_user(area, u64_to_user_ptr(f.area), length);
	if (!err && !area_valid(area, length))
		err = -EINVAL;
	if (!err) {
		/* The short form has no header: it is x87 and SSE state. */
		if (boot_cpu_has(X86_FEATURE_XSAVE) && length == FXSAVE_SIZE)
			*(u64 *)(area + FXSAVE_SIZE) = XCR0_X87 | XCR0_SSE;
		swap(v->fpu, area);
		v->xcr0 = f.xcr0;
	}
	free_pages_exact(area, vmm_fpu_layout.size);
	return err;
}

/**
 * vmm_fpu_get() - %VMX_GET_FPU
 * @v: the vCPU, locked
 * @arg: the caller's struct
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmm_fpu_get(struct vmm_vcpu *v, void __user *arg)
{
	struct vmx_fpu f;
	long err;

	err = base_copy_in(&f, sizeof(f), arg, sizeof(f));
	if (err)
		return err;
	if (f.flags)
		return -EOPNOTSUPP;
	err = f.length < vmm_fpu_layout.size ? -ENOSPC : 0;
	f.needed = vmm_fpu_layout.size;
	f.xcr0 = v->xcr0;
	if (!err)
		err = base_to_user(u64_to_user_ptr(f.area), v->fpu, vmm_fpu_layout.size);
	if (err && err != -ENOSPC)
		return err;
	return base_copy_out(arg, &f, sizeof(f)) ?: err;
}
