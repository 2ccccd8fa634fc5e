/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What tables of all formats have in common. How an entry looks is a header of its own, by which
 * the engine is compiled: EPT's, or another that has the same names. Nothing there or here touches
 * memory or the CPU, so all of it is tested without VMX.
 */
#ifndef EPT_ENTRY_H
#define EPT_ENTRY_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>

#include <linux/vmx.h>

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

#ifndef EPT_FORMAT_HEADER
#define EPT_FORMAT_HEADER "format_ept.h"
#endif
#include EPT_FORMAT_HEADER

#endif /* EPT_ENTRY_H */
