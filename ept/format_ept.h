/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Builds, reads and judges EPT entries.
 *
 * SDM, "The Extended Page Table Mechanism (EPT)".
 */
#ifndef EPT_FORMAT_EPT_H
#define EPT_FORMAT_EPT_H

#define EPT_READ	BIT_ULL(0)
#define EPT_WRITE	BIT_ULL(1)
#define EPT_EXEC	BIT_ULL(2)
#define EPT_RWX		(EPT_READ | EPT_WRITE | EPT_EXEC)
#define EPT_MEMTYPE	GENMASK_ULL(5, 3)
#define EPT_IGNORE_PAT	BIT_ULL(6)
#define EPT_LARGE	BIT_ULL(7)
#define EPT_ACCESSED	BIT_ULL(8)
#define EPT_DIRTY	BIT_ULL(9)
/* With mode-based execute control EPT_EXEC is for supervisor mode alone. */
#define EPT_EXEC_USER	BIT_ULL(10)
/*
 * Ours, ignored by the CPU: the page was written since the log was last looked
 * at. An entry that is nothing else stands for a page that has gone since.
 */
#define EPT_WRITTEN	BIT_ULL(11)
#define EPT_ADDR	GENMASK_ULL(51, 12)
/* Violations of the entry, which may be an absent one, are no #VE. */
#define EPT_SUPPRESS_VE	BIT_ULL(63)

#define EPT_MEMTYPE_SHIFT	3
#define EPT_ACCESSED_BIT	8

/* What an entry allows. Without one of EPT_RWX it is absent. */
#define EPT_PERMS	(EPT_RWX | EPT_EXEC_USER)

/* Protections of ranges and permissions of entries have three bits in common. */
static_assert(VMX_MMU_READ == EPT_READ && VMX_MMU_WRITE == EPT_WRITE &&
	      VMX_MMU_EXEC == EPT_EXEC);

/**
 * ept_format_of() - what EPT entries may look like on a CPU
 * @caps: its capabilities
 *
 * Five levels cost a memory access more on each TLB miss, so they are taken
 * only where guest-physical addresses are too wide for four.
 *
 * Return: the format.
 */
static inline struct ept_format ept_format_of(const struct vmx_caps *caps)
{
	struct ept_format fmt = {
		.levels = 4,
		.phys_bits = caps->phys_bits,
		.exec_only = caps->features & VMX_HAS_EPT_EXEC_ONLY,
		.accessed_dirty = caps->features & VMX_HAS_EPT_AD,
		.mode_exec = caps->features & VMX_HAS_MODE_EXEC,
		.absent = caps->features & VMX_HAS_VE ? EPT_SUPPRESS_VE : 0,
	};

	if (caps->features & VMX_HAS_EPT_2M)
		fmt.large |= BIT(2);
	if (caps->features & VMX_HAS_EPT_1G)
		fmt.large |= BIT(3);
	if ((caps->features & VMX_HAS_EPT_5LEVEL) && caps->phys_bits > 48)
		fmt.levels = 5;
	return fmt;
}

/**
 * ept_format_map() - what entries look like that no CPU walks
 * @caps: the CPU's capabilities
 *
 * For shadow paging, which keeps the guest-physical map in these tables.
 *
 * Return: the format.
 */
static inline struct ept_format ept_format_map(const struct vmx_caps *caps)
{
	return (struct ept_format) {
		.levels = 4,
		.phys_bits = caps->phys_bits,
		.large = BIT(2) | BIT(3),
	};
}

/**
 * ept_present() - does an entry translate
 * @entry: the entry
 *
 * Return: true if any access is allowed.
 */
static inline bool ept_present(u64 entry)
{
	return entry & EPT_RWX;
}

/**
 * ept_is_leaf() - does a present entry map a page, rather than a table
 * @entry: the entry
 * @level: its level
 *
 * Return: true for a page.
 */
static inline bool ept_is_leaf(u64 entry, int level)
{
	return level == 1 || (level <= 3 && (entry & EPT_LARGE));
}

/**
 * ept_memtype() - the memory type that a leaf maps with
 * @entry: the entry
 *
 * Return: an enum vmx_memtype.
 */
static inline u32 ept_memtype(u64 entry)
{
	return (entry & EPT_MEMTYPE) >> EPT_MEMTYPE_SHIFT;
}

/**
 * ept_is_ram() - does an entry map RAM, rather than memory of a device
 * @entry: the entry, a leaf
 *
 * RAM is write-back, as the host has it, and memory of devices never is cached. The kernel
 * has RAM in its own address space; of the frame's number alone it cannot be told, since
 * devices may have frames with a struct page, too.
 *
 * Return: true for RAM.
 */
static inline bool ept_is_ram(u64 entry)
{
	return ept_memtype(entry) == VMX_MEMTYPE_WB;
}

/**
 * ept_misconfigured() - would the CPU take an EPT misconfiguration
 * @fmt: the CPU's format
 * @entry: the entry
 * @level: its level
 *
 * SDM, "EPT Misconfigurations".
 *
 * Return: true if a walk that meets the entry is a misconfiguration.
 */
static inline bool ept_misconfigured(const struct ept_format *fmt, u64 entry,
				     int level)
{
	/* Bit n is set for memory type n: 2, 3 and 7 are reserved. */
	const unsigned int reserved_types = BIT(2) | BIT(3) | BIT(7);
	u64 perms = fmt->mode_exec ? EPT_PERMS : EPT_RWX;

	if (!(entry & perms))
		return false;
	if ((entry & (EPT_READ | EPT_WRITE)) == EPT_WRITE)
		return true;
	if (!(entry & EPT_READ) && !fmt->exec_only)
		return true;
	if ((entry & EPT_ADDR) >> fmt->phys_bits)
		return true;
	if (level > 3 && (entry & EPT_LARGE))
		return true;
	if (!ept_is_leaf(entry, level))
		return entry & (EPT_MEMTYPE | EPT_IGNORE_PAT);
	if (level > 1 && !(fmt->large & BIT(level)))
		return true;
	if (entry & EPT_ADDR & (ept_span(level) - 1))
		return true;
	return reserved_types & BIT(ept_memtype(entry));
}

/**
 * ept_perms() - what an entry for a protection allows
 * @prot: VMX_MMU_* bits
 *
 * Return: bits of %EPT_PERMS.
 */
static inline u64 ept_perms(u32 prot)
{
	return (prot & EPT_RWX) | (prot & VMX_MMU_EXEC_USER ? EPT_EXEC_USER : 0);
}

/**
 * ept_prot() - the protection that an entry realises
 * @fmt: the CPU's format
 * @entry: the entry, present
 *
 * Return: VMX_MMU_* bits.
 */
static inline u32 ept_prot(const struct ept_format *fmt, u64 entry)
{
	return (entry & EPT_RWX) |
	       (entry & EPT_EXEC_USER ? VMX_MMU_EXEC_USER : 0) |
	       (fmt->absent & ~entry ? VMX_MMU_VE : 0);
}

/**
 * ept_narrow() - take permissions away from an entry
 * @entry: the entry, present
 * @prot: VMX_MMU_* bits that it may keep
 *
 * Return: the entry, which may be absent.
 */
static inline u64 ept_narrow(u64 entry, u32 prot)
{
	return entry & (~EPT_PERMS | ept_perms(prot));
}

/**
 * ept_union() - allow what another entry of the same page allows
 * @entry: the entry, present
 * @old: the other, present
 *
 * Return: the entry, and with the accessed and dirty bits of the other.
 */
static inline u64 ept_union(u64 entry, u64 old)
{
	return entry | (old & (EPT_PERMS | EPT_ACCESSED | EPT_DIRTY));
}

/**
 * ept_leaf() - build an entry that maps a page
 * @fmt: the CPU's format
 * @pa: physical address, aligned to the page's size
 * @level: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB
 * @prot: VMX_MMU_* bits
 * @memtype: an enum vmx_memtype. It is final: the guest's PAT is ignored, so
 *	that a guest cannot make aliases of the host's memory with another type.
 * @used: EPT_ACCESSED and EPT_DIRTY to begin with; ignored where the CPU has
 *	no such bits
 *
 * Return: the entry; 0, which is not present, if the CPU cannot express it.
 */
static inline u64 ept_leaf(const struct ept_format *fmt, u64 pa, int level,
			   u32 prot, u32 memtype, u64 used)
{
	const u32 known = EPT_RWX | (fmt->mode_exec ? VMX_MMU_EXEC_USER : 0) |
			  (fmt->absent ? VMX_MMU_VE : 0);
	u64 entry = pa | ept_perms(prot) | EPT_IGNORE_PAT;

	if ((pa & ~EPT_ADDR) || (prot & ~known) || memtype > 7 || level > 3)
		return 0;
	if (!(prot & VMX_MMU_VE))
		entry |= fmt->absent;
	entry |= (u64)memtype << EPT_MEMTYPE_SHIFT;
	if (level > 1)
		entry |= EPT_LARGE;
	if (fmt->accessed_dirty)
		entry |= used & (EPT_ACCESSED | EPT_DIRTY);
	if (!ept_present(entry) || ept_misconfigured(fmt, entry, level))
		return 0;
	return entry;
}

/**
 * ept_table_entry() - build an entry that refers to a table
 * @fmt: the CPU's format
 * @pa: physical address of the table, 4 KiB aligned
 *
 * Permissions are decided by leaves alone. The accessed bit is set since the
 * access that the table is made for is about to set it.
 *
 * Return: the entry.
 */
static inline u64 ept_table_entry(const struct ept_format *fmt, u64 pa)
{
	return pa | EPT_RWX | (fmt->mode_exec ? EPT_EXEC_USER : 0) |
	       (fmt->accessed_dirty ? EPT_ACCESSED : 0);
}

/**
 * ept_pointer() - build an EPTP
 * @fmt: the CPU's format
 * @pa: physical address of the root table, 4 KiB aligned
 *
 * SDM, "Extended-Page-Table Pointer (EPTP)": tables are read as write-back
 * memory, which they are.
 *
 * Return: the value for the VMCS.
 */
static inline u64 ept_pointer(const struct ept_format *fmt, u64 pa)
{
	return pa | VMX_MEMTYPE_WB | (fmt->levels - 1) << 3 |
	       (fmt->accessed_dirty ? BIT_ULL(6) : 0);
}

#endif /* EPT_FORMAT_EPT_H */
