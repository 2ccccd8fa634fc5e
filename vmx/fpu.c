// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's FPU state, including XCR0. It is in the CPU only while interrupts
 * are off. The module saves the previous state and restores it bit by bit, so
 * the thread's FPU state and the ownership of the registers stay as they were.
 * SDM, "Managing State Using the XSAVE Feature Set".
 */
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/alternative.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>

#include "caps.h"
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

static u64 fpu_host_xcr0 __ro_after_init;
static u32 fpu_mask __ro_after_init;
static u32 fpu_size __ro_after_init;
static u32 fpu_mxcsr_mask __ro_after_init;

/* What was in the registers before the guest's state. */
static void __percpu *fpu_host_area __ro_after_init;

/* End of the standard-format area with all components of @mask */
static u32 area_size(u64 mask)
{
	u32 size = FXSAVE_SIZE + HEADER_SIZE;
	unsigned int i;

	for (i = 2; i < 63; i++) {
		u32 eax, ebx, ecx, edx;

		if (!(mask & BIT_ULL(i)))
			continue;
		cpuid_count(0xd, i, &eax, &ebx, &ecx, &edx);
		size = max(size, ebx + eax);
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
	fpu_host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	fpu_mask |= fpu_host_xcr0 & XCR0_AVX;
	if ((fpu_host_xcr0 & XCR0_AVX512) == XCR0_AVX512)
		fpu_mask |= XCR0_AVX512;
	fpu_size = area_size(fpu_mask);
}

/**
 * vmx_fpu_init() - learn what FPU state guests can have
 *
 * Context: module init.
 * Return: 0 or -ENOMEM.
 */
int vmx_fpu_init(void)
{
	fpu_size = FXSAVE_SIZE;
	fpu_mask = XCR0_X87 | XCR0_SSE;
	fpu_mxcsr_mask = read_mxcsr_mask();
	if (!fpu_mxcsr_mask)
		return -ENOMEM;
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		learn_xsave();
	else
		fpu_host_xcr0 = XCR0_X87; /* never switched */
	/* A standard-format area has to be zero where XSAVE does not write. */
	fpu_host_area = __alloc_percpu(fpu_size, XSAVE_ALIGNMENT);
	return fpu_host_area ? 0 : -ENOMEM;
}

/**
 * vmx_fpu_exit() - undo vmx_fpu_init()
 *
 * Context: module exit.
 */
void vmx_fpu_exit(void)
{
	free_percpu(fpu_host_area);
}

/**
 * vmx_fpu_xcr0_valid() - would XSETBV take this value for a guest?
 * @xcr0: the value
 *
 * SDM, "Extended Control Registers (Including XCR0)".
 *
 * Context: any.
 * Return: whether it would.
 */
bool vmx_fpu_xcr0_valid(u64 xcr0)
{
	u64 avx512 = xcr0 & XCR0_AVX512;

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return xcr0 == XCR0_X87;
	if (!(xcr0 & XCR0_X87) || xcr0 & ~(u64)fpu_mask)
		return false;
	if (xcr0 & XCR0_AVX && !(xcr0 & XCR0_SSE))
		return false;
	if (avx512 && (avx512 != XCR0_AVX512 || !(xcr0 & XCR0_AVX)))
		return false;
	return true;
}

static void init_area(u8 *area)
{
	memset(area, 0, fpu_size);
	*(u16 *)area = FCW_DEFAULT;
	*(u32 *)(area + MXCSR_OFFSET) = MXCSR_DEFAULT;
}

/**
 * vmx_fpu_alloc() - give a new vCPU the FPU state that INIT leaves
 * @v: the vCPU
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vmx_fpu_alloc(struct vmx_vcpu *v)
{
	v->fpu = alloc_pages_exact(fpu_size, GFP_KERNEL_ACCOUNT);
	if (!v->fpu)
		return -ENOMEM;
	init_area(v->fpu);
	v->xcr0 = XCR0_X87;
	return 0;
}

/**
 * vmx_fpu_free() - undo vmx_fpu_alloc(), which may have failed
 * @v: the vCPU
 *
 * Context: any.
 */
void vmx_fpu_free(struct vmx_vcpu *v)
{
	if (v->fpu)
		free_pages_exact(v->fpu, fpu_size);
}

/* FXSAVE and FXRSTOR do not look at the mask in EDX:EAX. */
static __always_inline void save(void *area)
{
	asm volatile(ALTERNATIVE("fxsave64 (%[area])", "xsave64 (%[area])",
				 X86_FEATURE_XSAVE)
		     : : [area] "r" (area), "a" (fpu_mask), "d" (0) : "memory");
}

static __always_inline void restore(const void *area)
{
	asm volatile(ALTERNATIVE("fxrstor64 (%[area])", "xrstor64 (%[area])",
				 X86_FEATURE_XSAVE)
		     : : [area] "r" (area), "a" (fpu_mask), "d" (0) : "memory");
}

/**
 * vmx_fpu_load() - the guest's FPU state into the CPU
 * @v: the vCPU
 *
 * All components are switched, also those not in the guest's XCR0: it can turn
 * them on again and find its values.
 *
 * Context: interrupts off, until vmx_fpu_unload().
 */
void vmx_fpu_load(struct vmx_vcpu *v)
{
	save(this_cpu_ptr(fpu_host_area));
	restore(v->fpu);
	if (v->xcr0 != fpu_host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, v->xcr0);
	v->count.fpu_swaps++;
}

/**
 * vmx_fpu_unload() - the guest's FPU state out of the CPU
 * @v: the vCPU
 *
 * Context: interrupts off.
 */
void vmx_fpu_unload(struct vmx_vcpu *v)
{
	if (v->xcr0 != fpu_host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, fpu_host_xcr0);
	save(v->fpu);
	restore(this_cpu_ptr(fpu_host_area));
}

/* XRSTOR must not fault on it. SDM, "Operation of XRSTOR". */
static bool area_valid(const u8 *area, u64 xcr0, u32 length)
{
	const u64 *header = (const u64 *)(area + FXSAVE_SIZE);

	if (*(const u32 *)(area + MXCSR_OFFSET) & ~fpu_mxcsr_mask)
		return false;
	if (length == FXSAVE_SIZE)
		return true;
	return !(header[0] & ~xcr0) && !header[1] &&
	       !memchr_inv(&header[2], 0, HEADER_SIZE - 16);
}

/**
 * vmx_fpu_set() - %VMX_SET_FPU
 * @v: the vCPU, locked
 * @arg: the caller's struct
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmx_fpu_set(struct vmx_vcpu *v, void __user *arg)
{
	struct vmx_fpu f;
	u32 length;
	u8 *area;
	long err;

	err = vmx_copy_in(&f, sizeof(f), arg, sizeof(f));
	if (err)
		return err;
	if (f.flags)
		return -EOPNOTSUPP;
	if (!vmx_fpu_xcr0_valid(f.xcr0) || f.length < FXSAVE_SIZE ||
	    (f.length > FXSAVE_SIZE && f.length < FXSAVE_SIZE + HEADER_SIZE))
		return -EINVAL;
	length = min(f.length, fpu_size);
	area = alloc_pages_exact(fpu_size, GFP_KERNEL_ACCOUNT);
	if (!area)
		return -ENOMEM;
	init_area(area);
	if (copy_from_user(area, u64_to_user_ptr(f.area), length)) {
		err = -EFAULT;
	} else if (!area_valid(area, f.xcr0, length)) {
		err = -EINVAL;
	} else {
		/* The short form has no header: it is x87 and SSE state. */
		if (boot_cpu_has(X86_FEATURE_XSAVE) && length == FXSAVE_SIZE)
			*(u64 *)(area + FXSAVE_SIZE) = XCR0_X87 | XCR0_SSE;
		swap(v->fpu, area);
		v->xcr0 = f.xcr0;
	}
	free_pages_exact(area, fpu_size);
	return err;
}

/**
 * vmx_fpu_get() - %VMX_GET_FPU
 * @v: the vCPU, locked
 * @arg: the caller's struct
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmx_fpu_get(struct vmx_vcpu *v, void __user *arg)
{
	struct vmx_fpu f;
	long err;

	err = vmx_copy_in(&f, sizeof(f), arg, sizeof(f));
	if (err)
		return err;
	if (f.flags)
		return -EOPNOTSUPP;
	err = f.length < fpu_size ? -ENOSPC : 0;
	f.needed = fpu_size;
	f.xcr0 = v->xcr0;
	if (!err && copy_to_user(u64_to_user_ptr(f.area), v->fpu, fpu_size))
		return -EFAULT;
	if (vmx_copy_out(arg, &f, sizeof(f)))
		return -EFAULT;
	return err;
}
