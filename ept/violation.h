/* SPDX-License-Identifier: GPL-2.0 */
/* The access that caused an EPT violation, from the exit qualification. */
#ifndef EPT_VIOLATION_H
#define EPT_VIOLATION_H

#include <linux/bits.h>
#include <linux/types.h>

#include <linux/vmx.h>

/* What the entries met allowed, where there is mode-based execute control. */
#define EPT_VIOLATION_EXEC	BIT_ULL(5)
#define EPT_VIOLATION_EXEC_USER	BIT_ULL(6)

/**
 * struct ept_violation - an exit qualification in words
 * @access: VMX_MMU_* bits that the access needs. With accessed and dirty bits
 *	on, the CPU's own use of guest page tables counts as a write. Both
 *	%VMX_MMU_EXEC and %VMX_MMU_EXEC_USER: one of the two, it does not say which
 * @allowed: VMX_MMU_* bits that the entries met allowed together
 * @linear: there is a guest-linear address
 * @page_walk: the access was to a guest paging-structure entry, rather than
 *	to what the linear address translates to; false without @linear
 * @nmi_unblock: an IRET that unblocked NMIs took the violation
 */
struct ept_violation {
	u32 access;
	u32 allowed;
	bool linear;
	bool page_walk;
	bool nmi_unblock;
};

/**
 * ept_violation_access() - what an access needed
 * @qualification: exit qualification of an EPT violation
 * @mode_exec: the vCPU has mode-based execute control
 *
 * An access that the CPU does not class (loading PDPTEs) is a read. Of a fetch
 * not every CPU says from what kind of address it was; where an entry allowed
 * one kind, it was the other.
 *
 * Return: VMX_MMU_* bits, at least one; see &struct ept_violation.access.
 */
static inline u32 ept_violation_access(u64 qualification, bool mode_exec)
{
	u32 access = qualification &
		     (VMX_MMU_READ | VMX_MMU_WRITE | VMX_MMU_EXEC);

	if (!access)
		return VMX_MMU_READ;
	if (!mode_exec || !(access & VMX_MMU_EXEC))
		return access;
	switch (qualification & (EPT_VIOLATION_EXEC | EPT_VIOLATION_EXEC_USER)) {
	case EPT_VIOLATION_EXEC:
		return VMX_MMU_EXEC_USER;
	case EPT_VIOLATION_EXEC_USER:
		return VMX_MMU_EXEC;
	default:
		return VMX_MMU_EXEC | VMX_MMU_EXEC_USER;
	}
}

/**
 * ept_violation_decode() - put an exit qualification in words
 * @qualification: exit qualification of an EPT violation
 * @mode_exec: the vCPU has mode-based execute control
 *
 * SDM, "Exit Qualification for EPT Violations".
 *
 * Return: the violation.
 */
static inline struct ept_violation ept_violation_decode(u64 qualification,
							bool mode_exec)
{
	struct ept_violation v = {
		.access = ept_violation_access(qualification, mode_exec),
		.allowed = (qualification >> 3) &
			   (VMX_MMU_READ | VMX_MMU_WRITE | VMX_MMU_EXEC),
		.linear = qualification & BIT_ULL(7),
		.nmi_unblock = qualification & BIT_ULL(12),
	};

	if (mode_exec && (qualification & EPT_VIOLATION_EXEC_USER))
		v.allowed |= VMX_MMU_EXEC_USER;
	v.page_walk = v.linear && !(qualification & BIT_ULL(8));
	return v;
}

#endif /* EPT_VIOLATION_H */
