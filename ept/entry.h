/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Builds, reads and judges EPT entries. Nothing here touches memory
 * or the CPU, so all of it is tested without VMX.
 *
 * SDM, "The Extended Page Table Mechanism (EPT)".
 */
#ifndef VMX_EPT_ENTRY_H
#define VMX_EPT_ENTRY_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>

#include <linux/vmx.h>

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

#define EPT_MAX_LEVELS	VMX_MMU_MAX_LEVELS
#define EPT_TABLE_BITS	9
#define EPT_PAGE_BITS	12

/**
 * struct ept_format - what entries may look like on a CPU
 * @levels: levels of a walk, 4 or 5
 * @phys_bits: physical-address width; address bits above are reserved
 * @large: bit n is set if an entry of level n may map a page: 2 is 2 MiB, 3 is
 *	1 GiB
 * @exec_only: a page may be executable and not readable
 * @accessed_dirty: entries have accessed and dirty bits
 * @mode_exec: entries have EPT_EXEC_USER
 * @absent: an entry that translates nothing: %EPT_SUPPRESS_VE, or 0 where the CPU
 *	has no #VE
 */
struct ept_format {
	u8 levels;
	u8 phys_bits;
	u8 large;
	bool exec_only;
	bool accessed_dirty;
	bool mode_exec;
	u64 absent;
};

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
 * ept_gpa_bits() - width of guest-physical addresses
 * @fmt: the CPU's format
 *
 * Return: bits; what the tables can express, and no more than the CPU has.
 */
static inline unsigned int ept_gpa_bits(const struct ept_format *fmt)
{
	unsigned int bits = EPT_PAGE_BITS + EPT_TABLE_BITS * fmt->levels;

	return fmt->phys_bits < bits ? fmt->phys_bits : bits;
}

/**
 * ept_shift() - position of the index into tables of a level
 * @level: 1 for tables of 4 KiB pages, up to 5
 *
 * Return: the lowest bit of the index; an entry of the level spans two to this.
 */
static inline unsigned int ept_shift(int level)
{
	return EPT_PAGE_BITS + EPT_TABLE_BITS * (level - 1);
}

/**
 * ept_span() - bytes that an entry of a level translates
 * @level: 1 to 5
 *
 * Return: the size, a power of two.
 */
static inline u64 ept_span(int level)
{
	return 1ULL << ept_shift(level);
}

/**
 * ept_index() - where an address goes in a table
 * @gpa: guest-physical address
 * @level: level of the table
 *
 * Return: index of the entry, 0 to 511.
 */
static inline unsigned int ept_index(u64 gpa, int level)
{
	return (gpa >> ept_shift(level)) & (BIT(EPT_TABLE_BITS) - 1);
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
	return (entry & EPT_MEMTYPE) >> EPT_MEMTYPE_SHIFT == VMX_MEMTYPE_WB;
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
	return reserved_types & BIT((entry & EPT_MEMTYPE) >> EPT_MEMTYPE_SHIFT);
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

#endif /* VMX_EPT_ENTRY_H */
