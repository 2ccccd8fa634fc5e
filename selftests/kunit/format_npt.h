/* SPDX-License-Identifier: GPL-2.0 */
/*
 * x86-64 entries as stage 2: a second format for the engine, which the tests compile it by.
 *
 * APM, "Nested Paging": the tables are those of long mode, and each access through them is one of
 * user mode. The CPU takes memory types from the host's PAT, of which Linux's is assumed.
 */
#ifndef KUNIT_FORMAT_NPT_H
#define KUNIT_FORMAT_NPT_H

#define NPT_PRESENT	BIT_ULL(0)
#define EPT_WRITE	BIT_ULL(1)
#define NPT_USER	BIT_ULL(2)
#define NPT_PWT		BIT_ULL(3)
#define NPT_PCD		BIT_ULL(4)
#define EPT_ACCESSED	BIT_ULL(5)
#define EPT_DIRTY	BIT_ULL(6)
#define EPT_LARGE	BIT_ULL(7)
#define EPT_WRITTEN	BIT_ULL(11)
#define EPT_ADDR	GENMASK_ULL(51, 12)
#define NPT_NX		BIT_ULL(63)

#define EPT_ACCESSED_BIT	5

static inline bool ept_present(u64 entry)
{
	return entry & NPT_PRESENT;
}

static inline bool ept_is_leaf(u64 entry, int level)
{
	return level == 1 || (level <= 3 && entry & EPT_LARGE);
}

static inline u32 ept_memtype(u64 entry)
{
	switch (entry & (NPT_PWT | NPT_PCD)) {
	case 0:
		return VMX_MEMTYPE_WB;
	case NPT_PWT:
		return VMX_MEMTYPE_WC;
	default:
		return VMX_MEMTYPE_UC;
	}
}

/* APM, "Reserved Bits"; and what would be no access of user mode. */
static inline bool ept_misconfigured(const struct ept_format *fmt, u64 entry, int level)
{
	if (!ept_present(entry))
		return false;
	if (!(entry & NPT_USER) || (entry & EPT_ADDR) >> fmt->phys_bits)
		return true;
	if (level > 3 && entry & EPT_LARGE)
		return true;
	if (!ept_is_leaf(entry, level) || level == 1)
		return false;
	return !(fmt->large & BIT(level)) || entry & EPT_ADDR & (ept_span(level) - 1);
}

/* Entries forbid execution, rather than allow it. */
static inline u32 ept_prot(const struct ept_format *fmt, u64 entry)
{
	return VMX_MMU_READ | (entry & EPT_WRITE ? VMX_MMU_WRITE : 0) |
	       (entry & NPT_NX ? 0 : VMX_MMU_EXEC);
}

/* Without reading there is nothing. */
static inline u64 ept_narrow(u64 entry, u32 prot)
{
	if (!(prot & VMX_MMU_READ))
		return entry & ~NPT_PRESENT;
	if (!(prot & VMX_MMU_WRITE))
		entry &= ~EPT_WRITE;
	return prot & VMX_MMU_EXEC ? entry : entry | NPT_NX;
}

static inline u64 ept_union(u64 entry, u64 old)
{
	entry |= old & (EPT_WRITE | EPT_ACCESSED | EPT_DIRTY);
	return old & NPT_NX ? entry : entry & ~NPT_NX;
}

static inline u64 ept_leaf(const struct ept_format *fmt, u64 pa, int level, u32 prot, u32 memtype,
			   u64 used)
{
	u64 entry = pa | NPT_PRESENT | NPT_USER;

	if (pa & ~EPT_ADDR || level > 3)
		return 0;
	if (!(prot & VMX_MMU_READ) || prot & ~(VMX_MMU_READ | VMX_MMU_WRITE | VMX_MMU_EXEC))
		return 0;
	if (memtype != VMX_MEMTYPE_WB)
		entry |= memtype == VMX_MEMTYPE_WC ? NPT_PWT : NPT_PWT | NPT_PCD;
	if (level > 1)
		entry |= EPT_LARGE;
	if (fmt->accessed_dirty)
		entry |= used & (EPT_ACCESSED | EPT_DIRTY);
	entry |= (prot & VMX_MMU_WRITE ? EPT_WRITE : 0) | (prot & VMX_MMU_EXEC ? 0 : NPT_NX);
	return ept_misconfigured(fmt, entry, level) ? 0 : entry;
}

static inline u64 ept_table_entry(const struct ept_format *fmt, u64 pa)
{
	return pa | NPT_PRESENT | EPT_WRITE | NPT_USER |
	       (fmt->accessed_dirty ? EPT_ACCESSED : 0);
}

static inline u64 ept_pointer(const struct ept_format *fmt, u64 pa)
{
	return pa;
}

#endif /* KUNIT_FORMAT_NPT_H */
