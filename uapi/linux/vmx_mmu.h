/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The mmu object: guest-physical memory and the tables that map it: EPT, or shadow
 * page tables. Include linux/vmx.h, which has the ioctls' numbers.
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
 * For vCPUs with mode-based execute control (%VMX_CPU2_MODE_BASED_EXEC). There
 * %VMX_MMU_EXEC is for supervisor-mode linear addresses alone. On other vCPUs
 * %VMX_MMU_EXEC is for both. Needs %VMX_HAS_MODE_EXEC.
 */
#define VMX_MMU_EXEC_USER 0x8
/**
 * define VMX_MMU_VE - accesses that the other bits forbid go to the guest
 *
 * On vCPUs with virtualization exceptions (%VMX_SET_VE) such an access raises one.
 * Elsewhere it is an exit, as without the bit. Needs %VMX_HAS_VE.
 */
#define VMX_MMU_VE 0x10

/**
 * enum vmx_memtype - EPT memory types (SDM, "EPT and Memory Typing")
 * @VMX_MEMTYPE_UC: uncacheable
 * @VMX_MEMTYPE_WC: write-combining
 * @VMX_MEMTYPE_WT: write-through
 * @VMX_MEMTYPE_WP: write-protected
 * @VMX_MEMTYPE_WB: write-back, the type for RAM
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
 * @memtype: an enum vmx_memtype. RAM is %VMX_MEMTYPE_WB whatever the value is. Memory
 *	of a device that the owner has mapped (VM_PFNMAP, VM_IO) is %VMX_MEMTYPE_WC where
 *	the owner's mapping is, and %VMX_MEMTYPE_UC elsewhere. The guest's PAT is ignored.
 *
 * The kernel looks for a page on first touch, so @uaddr need not be mapped yet. If
 * the guest touches a page that is missing there, RUN fails with EFAULT. The
 * memory stays the owner's: it can be swapped, migrated, unmapped and mapped
 * again under the guest.
 *
 * ==========  ============================================================
 * EEXIST      part of the range is mapped
 * EINVAL      alignment, overflow, a gpa beyond the guest-physical width, a
 *             userspace address beyond the address space, no such @memtype,
 *             or a @prot with neither %VMX_MMU_READ nor %VMX_MMU_EXEC, or with
 *             %VMX_MMU_WRITE but not %VMX_MMU_READ
 * EOPNOTSUPP  the CPU cannot express @prot: it lacks %VMX_MMU_READ, without
 *             %VMX_HAS_EPT_EXEC_ONLY or with shadow paging; or has a bit that needs a
 *             missing feature
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
 * UNMAP takes any part of any ranges and skips holes. PROTECT needs the whole
 * interval mapped. When either returns, no vCPU uses the old translation.
 *
 * INVALIDATE announces that the owner, or a device, wrote guest page tables in the
 * range. When it returns, no vCPU uses a translation of a linear address from the
 * tables' earlier contents. It skips holes and ranges without tables, and is the
 * same for EPT and for shadow page tables. PDPTEs in registers keep their values
 * (SDM, "PDPTE Registers").
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
 * struct vmx_mmu_populate - %VMX_MMU_POPULATE: map memory before the guest touches it
 * @size: sizeof(struct vmx_mmu_populate)
 * @flags: 0
 * @gpa: guest-physical address, 4 KiB aligned
 * @length: bytes, a non-zero multiple of 4 KiB
 * @prot: VMX_MMU_* bits that the guest will need, as for MAP and without
 *	%VMX_MMU_VE. With %VMX_MMU_WRITE the owner's memory is allocated as if it
 *	was written to. Without it, untouched memory stays unallocated, and the
 *	guest's first write faults.
 * @reserved: 0
 * @done: out: bytes from @gpa on that are mapped, also after an error other than
 *	EINVAL and EOPNOTSUPP
 *
 * Maps large pages where faults would. The host may take any page back at any
 * time: POPULATE saves faults, and pins nothing.
 *
 * ==========  ============================================================
 * ENOENT      at @gpa + @done no range has the page, or it does not allow
 *             @prot
 * EFAULT      the owner's memory does not provide that page
 * EHWPOISON   the hardware has lost that page
 * EINTR       a signal: @done bytes are mapped; call again for the rest
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
 * enum vmx_dirty_method - how the kernel finds the pages that guests write
 * @VMX_DIRTY_OFF: it does not
 * @VMX_DIRTY_WRITE_PROTECT: the first write to each page faults
 * @VMX_DIRTY_BITS: dirty bits of EPT entries (%VMX_HAS_EPT_AD)
 * @VMX_DIRTY_PML: dirty bits, and the CPU logs where to look for them
 *	(%VMX_HAS_PML); the cheapest method if guests write few pages of many
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
 * While the log is on, mappings are 4 KiB; large pages come back when it ends.
 * Writes of the owner and pages that POPULATE maps are not logged.
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
 * @done: out: bytes from @gpa on that @bitmap covers, also after an error other
 *	than EINVAL
 * @dirty: out: bits set
 *
 * A bit is set if a guest wrote to the page since %VMX_MMU_LOG, or since the last
 * call that reported the page. Each write is reported once: by this call if it came
 * before the call, by this or the next if it came during the call. A write that this
 * call reports is in the owner's memory when it returns. UNMAP removes pages from
 * the log; pages that the host takes back and maps again stay in it. Where EPT
 * has accessed and dirty bits, the CPU's use of the guest's page tables counts as
 * writing them (SDM, "Accessed and Dirty Flags for EPT").
 *
 * =========  ============================================================
 * ENODATA    the log is off
 * EFAULT     @bitmap is not writable from @done on
 * EHWPOISON  a page of @bitmap has a memory error
 * EINTR      a signal: call again from @gpa + @done
 * ENOMEM     no memory for a page of @bitmap
 * EINVAL     alignment, overflow, or a gpa beyond the guest-physical width
 * =========  ============================================================
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
 * @entry: out: the raw entry of each level, ``entry[n - 1]`` for level n; 0 below
 *	@leaf
 *
 * Shows the tables' present contents: a page that no guest has touched yet is absent.
 * With shadow paging it shows the guest-physical map, which has the format of EPT;
 * %VMX_WALK shows the guest's own tables. Works from any address space.
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
 * @pages: leaf mappings present, by level: ``pages[0]`` of 4 KiB, [1] of 2 MiB,
 *	[2] of 1 GiB
 * @faults: guest accesses that brought a page in
 * @splits: large mappings broken up
 * @flushes: times all CPUs that use the mmu had to drop translations
 * @notified: invalidations by the host's memory management
 * @collapses: times that small mappings made room for a large one
 * @shrunk: pages of page tables that the host took back when short of memory;
 *	guests fault for their mappings again
 * @shadow_pages: shadow paging: pages that stand for tables of the guest, at most 8192
 * @shadow_bytes: kernel memory of the shadow pages and of their index
 * @evictions: shadow pages that made room for others, or that the host took back
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
