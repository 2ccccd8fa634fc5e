/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VMX instructions. Each has an exception-table entry. If another CPU's
 * crash or reboot path has turned VMX off, the instruction fails without an oops.
 */
#ifndef VMX_OPS_H
#define VMX_OPS_H

#include <linux/types.h>

#include <asm/asm.h>

/*
 * CF or ZF set means failure (SDM, "Conventions" of the VMX instructions). CF is
 * set before: an instruction that faults leaves it so.
 */
#define VMX_INSN(text, ...)						\
({									\
	bool failed;							\
									\
	asm volatile("stc\n"						\
		     "1: " text "\n"					\
		     "2:\n\t"						\
		     _ASM_EXTABLE(1b, 2b)				\
		     : "=@ccbe" (failed) : __VA_ARGS__ : "memory");	\
	!failed;							\
})

static __always_inline bool vmx_insn_vmxon(u64 pa)
{
	return VMX_INSN("vmxon %[pa]", [pa] "m" (pa));
}

static __always_inline bool vmx_insn_vmclear(u64 pa)
{
	return VMX_INSN("vmclear %[pa]", [pa] "m" (pa));
}

static __always_inline bool vmx_insn_vmptrld(u64 pa)
{
	return VMX_INSN("vmptrld %[pa]", [pa] "m" (pa));
}

/* The current VMCS; @otherwise where VMX is off. */
static __always_inline u64 vmx_insn_vmptrst(u64 otherwise)
{
	asm volatile("1: vmptrst %[pa]\n2:\n\t" _ASM_EXTABLE(1b, 2b)
		     : [pa] "+m" (otherwise) : : "cc", "memory");
	return otherwise;
}

static __always_inline bool vmx_insn_vmwrite(u32 field, u64 value)
{
	return VMX_INSN("vmwrite %[value], %[field]",
			[field] "r" ((u64)field), [value] "rm" (value));
}

struct vmx_inv_descriptor {
	u64 context;
	u64 address;
};

static __always_inline bool vmx_insn_invept(u64 type, u64 eptp)
{
	struct vmx_inv_descriptor d = { .context = eptp };

	return VMX_INSN("invept %[d], %[type]", [d] "m" (d), [type] "r" (type));
}

static __always_inline bool vmx_insn_invvpid(u64 type, u16 vpid)
{
	struct vmx_inv_descriptor d = { .context = vpid };

	return VMX_INSN("invvpid %[d], %[type]", [d] "m" (d), [type] "r" (type));
}

static __always_inline void vmx_insn_vmxoff(void)
{
	asm volatile("1: vmxoff\n2:\n\t" _ASM_EXTABLE(1b, 2b) : : : "cc", "memory");
}

/* A field that does not exist, or no current VMCS, reads as 0. */
static __always_inline u64 vmx_insn_vmread(u32 field)
{
	u64 value;

	asm volatile("1: vmread %1, %0\n\t"
		     "ja 3f\n"
		     "2: xorl %k0, %k0\n"
		     "3:\n\t"
		     _ASM_EXTABLE(1b, 2b)
		     : "=r" (value) : "r" ((u64)field) : "cc");
	return value;
}

#endif /* VMX_OPS_H */
