/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The mmu object: guest-physical memory and the tables that map it: EPT, or shadow
 * page tables. The ioctls' numbers are in linux/vmx.h, which is what to include.
 */
#ifndef _UAPI_LINUX_VMX_MMU_H
#define _UAPI_LINUX_VMX_MMU_H

#include <linux/types.h>

/**
 * define VMX_MMU_READ - the guest may read
 */
#define VMX_MMU_READ 0x1
/**
 * define VMX_MMU_WRITE - the guest may write; needs %VMX_MMU_READ
 */
#define VMX_MMU_WRITE 0x2
/**
 * define VMX_MMU_EXEC - the guest may fetch instructions
 */
#define VMX_MMU_EXEC 0x4
/**
 * define VMX_MMU_EXEC_USER - the guest may fetch instructions in user mode
 *
 * For vCPUs with mode-based execute control (%VMX_CPU2_MODE_BASED_EXEC), to which
 * %VMX_MMU_EXEC is for supervisor-mode linear addresses alone. To others
 * %VMX_MMU_EXEC is for both. Needs %VMX_HAS_MODE_EXEC.
 */
#define VMX_MMU_EXEC_USER 0x8
/**
 * define VMX_MMU_VE - what the other bits forbid is the guest's own business
 *
 * On vCPUs with virtualization exceptions (%VMX_SET_VE) such an access is one of
 * them; elsewhere it is an exit, as without the bit. Needs %VMX_HAS_VE.
 */
#define VMX_MMU_VE 0x10

/**
 * enum vmx_memtype - EPT memory types (SDM, "EPT and Memory Typing")
 * @VMX_MEMTYPE_UC: uncacheable
 * @VMX_MEMTYPE_WC: write-combining
 * @VMX_MEMTYPE_WT: write-through
 * @VMX_MEMTYPE_WP: write-protected
 * @VMX_MEMTYPE_WB: write-back, what RAM wants
 */
enum vmx_memtype {
	VMX_MEMTYPE_UC = 0,
	VMX_MEMTYPE_WC = 1,
	VMX_MEMTYPE_WT = 4,
	VMX_MEMTYPE_WP = 5,
	VMX_MEMTYPE_WB = 6,
};

/**
 * struct vmx_mmu_map - %VMX_MMU_MAP: a range of guest-physical memory
 * @size: sizeof(struct vmx_mmu_map)
 * @flags: 0
 * @gpa: guest-physical address, 4 KiB aligned
 * @uaddr: userspace address that backs it, 4 KiB aligned
 * @length: bytes, a non-zero multiple of 4 KiB
 * @prot: VMX_MMU_* bits, at least one of %VMX_MMU_READ and %VMX_MMU_EXEC
 * @memtype: an enum vmx_memtype, of all RAM in the range; the guest's PAT is ignored.
 *	What the owner has mapped of a device (VM_PFNMAP, VM_IO) is %VMX_MEMTYPE_WC where
 *	it is so mapped there, or else %VMX_MEMTYPE_UC.
 *
 * Pages are found on first touch, so @uaddr need not be mapped yet; when the
 * guest touches a page that is not there then, RUN fails with EFAULT. The
 * memory stays the owner's: it can be swapped, migrated, unmapped and mapped
 * again under the guest.
 *
 * ==========  ============================================================
 * EEXIST      part of the range is mapped
 * EINVAL      alignment, overflow, a gpa beyond the guest-physical width, a
 *             userspace address beyond the address space, no such @memtype,
 *             or a @prot that allows neither to read nor to execute, or to write
 *             and not to read
 * EOPNOTSUPP  the CPU cannot express @prot: not to read, without
 *             %VMX_HAS_EPT_EXEC_ONLY or with shadow paging; or a bit that needs a
 *             feature
 * ENOSPC      too many ranges: an mmu has up to 32768
 * ==========  ============================================================
 */
struct vmx_mmu_map {
	__u32 size;
	__u32 flags;
	__u64 gpa;
	__u64 uaddr;
	__u64 length;
	__u32 prot;
	__u32 memtype;
};

/**
 * struct vmx_mmu_range - %VMX_MMU_UNMAP, %VMX_MMU_PROTECT and %VMX_MMU_INVALIDATE
 * @size: sizeof(struct vmx_mmu_range)
 * @flags: 0
 * @gpa: guest-physical address, 4 KiB aligned
 * @length: bytes, a non-zero multiple of 4 KiB
 * @prot: PROTECT: VMX_MMU_* bits as for MAP; the others: 0
 * @reserved: 0
 *
 * UNMAP takes any part of any ranges and is content with holes. PROTECT needs
 * the whole of it mapped. When either returns, no vCPU uses the old
 * translation.
 *
 * INVALIDATE says that guest page tables in the range were written by somebody
 * else than a guest: the owner, or a device of its. When it returns, no vCPU uses
 * a translation of a linear address that came of what they were before. It is
 * content with holes and ranges without tables, and is the same for EPT and for
 * shadow page tables. PDPTEs in registers
 * stay what they are (SDM, "PDPTE Registers").
 *
 * ==========  ============================================================
 * ENOENT      PROTECT: part of it is not mapped
 * ENOSPC      splitting a range would make too many
 * EINVAL      alignment, overflow, a gpa beyond the guest-physical width, or
 *             @prot
 * EOPNOTSUPP  PROTECT: the CPU cannot express @prot
 * ==========  ============================================================
 */
struct vmx_mmu_range {
	__u32 size;
	__u32 flags;
	__u64 gpa;
	__u64 length;
	__u32 prot;
	__u32 reserved;
};

/**
 * struct vmx_mmu_populate - %VMX_MMU_POPULATE: map memory before it is touched
 * @size: sizeof(struct vmx_mmu_populate)
 * @flags: 0
 * @gpa: guest-physical address, 4 KiB aligned
 * @length: bytes, a non-zero multiple of 4 KiB
 * @prot: VMX_MMU_* bits that the guest will need, as for MAP and without
 *	%VMX_MMU_VE. With
 *	%VMX_MMU_WRITE the owner's memory comes to be as if it was written to;
 *	without, memory that was never touched stays so, and the guest's first
 *	write faults.
 * @reserved: 0
 * @done: out: bytes from @gpa on that are mapped, also after an error other than
 *	EINVAL and EOPNOTSUPP
 *
 * Large pages are used as faults use them. What is mapped can go again any time,
 * as any page of the owner's: this saves faults, it pins nothing.
 *
 * ==========  ============================================================
 * ENOENT      at @gpa + @done no range has the page, or it does not allow
 *             @prot
 * EFAULT      the owner's memory does not provide that page
 * EINTR       a signal: @done bytes are mapped, and may go on from there
 * EINVAL      alignment, overflow, a gpa beyond the guest-physical width, or
 *             @prot
 * EOPNOTSUPP  the CPU cannot express @prot
 * ==========  ============================================================
 */
struct vmx_mmu_populate {
	__u32 size;
	__u32 flags;
	__u64 gpa;
	__u64 length;
	__u32 prot;
	__u32 reserved;
	__u64 done;
};

/**
 * enum vmx_dirty_method - how it is found out which pages guests write
 * @VMX_DIRTY_OFF: not at all
 * @VMX_DIRTY_WRITE_PROTECT: the first write to each page faults
 * @VMX_DIRTY_BITS: by the dirty bits of EPT entries, where the CPU has them
 *	(%VMX_HAS_EPT_AD)
 * @VMX_DIRTY_PML: likewise, and the CPU writes down where to look for them
 *	(%VMX_HAS_PML): the cheapest where few pages of many are written
 */
enum vmx_dirty_method {
	VMX_DIRTY_OFF = 0,
	VMX_DIRTY_WRITE_PROTECT = 1,
	VMX_DIRTY_BITS = 2,
	VMX_DIRTY_PML = 3,
};

/**
 * struct vmx_mmu_log - %VMX_MMU_LOG: log which pages guests write
 * @size: sizeof(struct vmx_mmu_log)
 * @flags: 0
 * @method: an enum vmx_dirty_method
 * @reserved: 0
 *
 * When it returns, every page counts as not written, whatever was logged before.
 * While pages are logged they are mapped by 4 KiB; large pages come back when
 * logging ends. What the owner writes, or POPULATE prepares, is not logged.
 *
 * ==========  ============================================================
 * EINVAL      no such @method
 * EOPNOTSUPP  the CPU's EPT has no dirty bits, or the CPU no PML, or the mmu has
 *             shadow page tables
 * ==========  ============================================================
 */
struct vmx_mmu_log {
	__u32 size;
	__u32 flags;
	__u32 method;
	__u32 reserved;
};

/**
 * struct vmx_mmu_dirty - %VMX_MMU_DIRTY: which pages were written
 * @size: sizeof(struct vmx_mmu_dirty)
 * @flags: 0
 * @gpa: guest-physical address, 4 KiB aligned
 * @length: bytes, a non-zero multiple of 4 KiB
 * @bitmap: userspace address, 8-byte aligned, of a 64-bit word for each 64 pages
 *	or what is left of them: bit n % 64 of word n / 64 is out for the page at
 *	@gpa + n * 4 KiB
 * @done: out: bytes from @gpa on that @bitmap tells of, also after an error other
 *	than EINVAL
 * @dirty: out: bits set
 *
 * A bit is set if a guest wrote to the page since %VMX_MMU_LOG, or since the last
 * call that told of it: each write is told of once, while vCPUs run by this call
 * or the next, and by this one if it was before the call. A write that this call
 * told of is in the owner's memory when it returns. UNMAP forgets the pages it
 * takes; pages that the host takes back and gives again stay in the log. Where EPT
 * has accessed and dirty bits, the CPU's use of the guest's page tables counts as
 * writing them (SDM, "Accessed and Dirty Flags for EPT").
 *
 * =======  ==============================================================
 * ENODATA  nothing is logged
 * EFAULT   @bitmap is not writable from @done on
 * EINTR    a signal: go on from @done
 * EINVAL   alignment, overflow, or a gpa beyond the guest-physical width
 * =======  ==============================================================
 */
struct vmx_mmu_dirty {
	__u32 size;
	__u32 flags;
	__u64 gpa;
	__u64 length;
	__aligned_u64 bitmap;
	__u64 done;
	__u64 dirty;
};

#define VMX_MMU_MAX_LEVELS 5

/**
 * struct vmx_mmu_walk - %VMX_MMU_WALK: the entries that translate an address
 * @size: sizeof(struct vmx_mmu_walk)
 * @flags: 0
 * @gpa: guest-physical address
 * @top: out: level of the root table: 4 or 5
 * @leaf: out: level the walk ended at, in a mapping or in an absent entry: 1 is
 *	a 4 KiB page, 2 is 2 MiB, 3 is 1 GiB
 * @present: out: 1 if it ended in a mapping
 * @prot: out: VMX_MMU_* bits, of all levels together; 0 without a mapping
 * @memtype: out: the leaf's enum vmx_memtype; 0 without a mapping
 * @masked: out: 1 if frame numbers were replaced by 0 (the caller lacks
 *	CAP_SYS_ADMIN)
 * @entry: out: the raw entry of each level, @entry[n - 1] for level n; 0 below
 *	@leaf
 *
 * What the tables hold now: a page that no guest has touched yet is absent. With
 * shadow paging the guest-physical map is kept in the format of EPT, and is what
 * is shown; %VMX_WALK shows the guest's own tables.
 * Works from any address space.
 *
 * ======  ===============================================================
 * EINVAL  @gpa is beyond the guest-physical width
 * ======  ===============================================================
 */
struct vmx_mmu_walk {
	__u32 size;
	__u32 flags;
	__u64 gpa;
	__u32 top;
	__u32 leaf;
	__u32 present;
	__u32 prot;
	__u32 memtype;
	__u32 masked;
	__u64 entry[VMX_MMU_MAX_LEVELS];
};

/**
 * struct vmx_mmu_stats - %VMX_MMU_STATS
 * @size: sizeof(struct vmx_mmu_stats)
 * @flags: 0
 * @ranges: ranges mapped
 * @tables: pages of page tables, root included; with shadow paging those of the
 *	guest-physical map
 * @pages: leaf mappings present, by level: @pages[0] of 4 KiB, [1] of 2 MiB,
 *	[2] of 1 GiB
 * @faults: guest accesses that brought a page in
 * @splits: large mappings broken up
 * @flushes: times all CPUs that use the mmu had to drop translations
 * @notified: invalidations by the host's memory management
 * @collapses: times that small mappings made room for a large one
 * @shrunk: pages of page tables that the host has had back for want of memory;
 *	guests fault for what they said
 * @shadow_pages: shadow paging: pages that stand for tables of the guest's, at most 8192
 * @shadow_bytes: kernel memory that these take, and what they are found by
 * @evictions: shadow pages that made room for others, or that the host has had back
 * @syncs: times that a shadow page was compared with the guest's table
 *
 * Works from any address space, and has no errors of its own.
 */
struct vmx_mmu_stats {
	__u32 size;
	__u32 flags;
	__u64 ranges;
	__u64 tables;
	__u64 pages[3];
	__u64 faults;
	__u64 splits;
	__u64 flushes;
	__u64 notified;
	__u64 collapses;
	__u64 shrunk;
	__u64 shadow_pages;
	__u64 shadow_bytes;
	__u64 evictions;
	__u64 syncs;
};

#endif /* _UAPI_LINUX_VMX_MMU_H */
