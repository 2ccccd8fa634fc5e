/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The vcpu object: CPUID, MSRs, FPU and debug registers, the run page, RUN and
 * KICK. Include linux/vmx.h, which has the ioctls' numbers.
 */
#ifndef _UAPI_LINUX_VMX_VCPU_H
#define _UAPI_LINUX_VMX_VCPU_H

#include <linux/types.h>
#include <linux/vmx_mmu.h>
#include <linux/vmx_sdm.h>
#include <linux/vmx_vmcs.h>

/**
 * struct vmx_cpuid_entry - what CPUID returns for one leaf
 * @leaf: EAX on input
 * @subleaf: ECX on input; used if @flags has %VMX_CPUID_SUBLEAF
 * @flags: 0 or %VMX_CPUID_SUBLEAF
 * @eax: output
 * @ebx: output
 * @ecx: output
 * @edx: output
 * @reserved: 0
 */
struct vmx_cpuid_entry {
	__u32 leaf;
	__u32 subleaf;
	__u32 flags;
	__u32 eax;
	__u32 ebx;
	__u32 ecx;
	__u32 edx;
	__u32 reserved;
};

/**
 * define VMX_CPUID_SUBLEAF - the entry is for its subleaf alone
 */
#define VMX_CPUID_SUBLEAF 0x1
#define VMX_CPUID_MAX 128

/**
 * struct vmx_cpuid - %VMX_SET_CPUID: the table for the kernel's answers to CPUID
 * @size: sizeof(struct vmx_cpuid)
 * @flags: 0
 * @entries: pointer to an array of struct vmx_cpuid_entry
 * @count: its length, 0 to %VMX_CPUID_MAX
 * @reserved: 0
 *
 * Replaces the table. A leaf that is not in it is an exit. What follows the
 * vCPU's state, the kernel fills in: CPUID.1:ECX.OSXSAVE and
 * CPUID.7.0:ECX.OSPKE have CR4's bits; CPUID.0DH.0:EBX is the size of the XSAVE
 * area with what XCR0 has on, and CPUID.0DH.1:EBX that of a compacted one, if
 * the entry has XSAVEC or XSAVES.
 *
 * ======  ===============================================================
 * EINVAL  two entries answer the same leaf and subleaf (one without
 *         %VMX_CPUID_SUBLEAF answers all), or @count is too large
 * EBUSY   the vCPU is running
 * ======  ===============================================================
 */
struct vmx_cpuid {
	__u32 size;
	__u32 flags;
	__aligned_u64 entries;
	__u32 count;
	__u32 reserved;
};

/**
 * enum vmx_msr_policy - what happens when the guest uses an MSR
 * @VMX_MSR_EXIT: it exits to userspace (what an unlisted MSR does)
 * @VMX_MSR_KERNEL: the kernel keeps a value: RDMSR reads it, WRMSR sets it
 * @VMX_MSR_KERNEL_READ: RDMSR reads the kept value, WRMSR exits
 * @VMX_MSR_PASSTHROUGH: the guest uses the CPU's MSR, which the module
 *	switches. For FS_BASE, GS_BASE, SYSENTER_CS, _ESP, _EIP, KERNEL_GS_BASE,
 *	STAR, LSTAR, CSTAR, FMASK, and TSC_AUX where the CPU has RDTSCP or
 *	RDPID; EFER and PAT where the VM-entry controls load them. With shadow
 *	paging, EFER always; the module keeps its value. RDTSCP and RDPID read 0
 *	while TSC_AUX is not passed through.
 */
enum vmx_msr_policy {
	VMX_MSR_EXIT = 0,
	VMX_MSR_KERNEL = 1,
	VMX_MSR_KERNEL_READ = 2,
	VMX_MSR_PASSTHROUGH = 3,
};

/**
 * struct vmx_msr - one MSR
 * @index: its number
 * @policy: an enum vmx_msr_policy; ignored by GET
 * @value: its value. 0 with %VMX_MSR_EXIT; 0 also with %VMX_MSR_PASSTHROUGH for
 *	MSRs that are VMCS fields (FS_BASE, GS_BASE, SYSENTER, EFER, PAT): the
 *	field has the value
 */
struct vmx_msr {
	__u32 index;
	__u32 policy;
	__u64 value;
};

#define VMX_MSRS_MAX 256

/**
 * struct vmx_msrs - %VMX_SET_MSRS and %VMX_GET_MSRS
 * @size: sizeof(struct vmx_msrs)
 * @flags: 0
 * @msrs: pointer to an array of struct vmx_msr
 * @count: SET: its length, 0 to %VMX_MSRS_MAX; GET: 1 to %VMX_MSRS_MAX
 * @bad_index: out, after EACCES or ENOENT, and after EINVAL for an entry's
 *	policy or value: the index of the offending entry
 *
 * SET replaces the whole policy and the values; an MSR that is not listed
 * exits. GET fills in the policy and value of each listed MSR.
 *
 * ======  ===============================================================
 * EACCES  SET: the MSR cannot be passed through
 * ENOENT  GET: the MSR is not in the policy
 * EINVAL  SET: no such policy, the same MSR twice, a value where @value must be
 *         0, or one that would fault in an MSR passed through (for instance a
 *         non-canonical address in LSTAR); both: @count
 * EBUSY   the vCPU is running
 * ======  ===============================================================
 */
struct vmx_msrs {
	__u32 size;
	__u32 flags;
	__aligned_u64 msrs;
	__u32 count;
	__u32 bad_index;
};

/**
 * struct vmx_fpu - %VMX_SET_FPU and %VMX_GET_FPU: the guest's FPU state
 * @size: sizeof(struct vmx_fpu)
 * @flags: 0
 * @area: pointer to an XSAVE area in the standard format (SDM, "XSAVE Area");
 *	512 bytes in FXSAVE format where the CPU has no XSAVE
 * @length: its length. SET: 512, or 576 and more; GET: at least what GET
 *	returned in @needed
 * @needed: out: the length of the whole state
 * @xcr0: the guest's XCR0
 *
 * ======  ===============================================================
 * EINVAL  SET: @length; XSETBV would refuse @xcr0 (where the CPU has no XSAVE, it
 *         is not 1); or the header or MXCSR has reserved bits, or the header
 *         names state that guests cannot have. The kernel keeps state that @xcr0
 *         does not name, since a guest uses SSE before it uses XSAVE
 * ENOSPC  GET: the area is too small; @needed is set
 * EBUSY   the vCPU is running
 * ======  ===============================================================
 */
struct vmx_fpu {
	__u32 size;
	__u32 flags;
	__aligned_u64 area;
	__u32 length;
	__u32 needed;
	__u64 xcr0;
};

/**
 * struct vmx_debug - %VMX_SET_DEBUG and %VMX_GET_DEBUG: DR0 to DR3 and DR6
 * @size: sizeof(struct vmx_debug)
 * @flags: 0
 * @dr: breakpoint linear addresses; any, as MOV to DR0 to DR3 takes any
 * @dr6: DR6; the kernel forces reserved bits as MOV to DR6 would
 *
 * DR7 is the VMCS field %VMX_F_GUEST_DR7.
 *
 * ======  ===============================================================
 * EINVAL  SET: bits 63:32 of @dr6
 * EBUSY   the vCPU is running
 * ======  ===============================================================
 */
struct vmx_debug {
	__u32 size;
	__u32 flags;
	__u64 dr[4];
	__u64 dr6;
};

/**
 * struct vmx_vcpu_mmu - %VMX_SET_MMU and %VMX_GET_MMU: the guest's current mmu
 * @size: sizeof(struct vmx_vcpu_mmu)
 * @flags: 0
 * @mmu_fd: SET: an mmu of this VM; out: -1
 * @index: SET: 0; out: the first index of the guest's current mmu in the list of
 *	%VMX_SET_EPTP_LIST; -1 if the list does not have it
 *
 * SET moves the vCPU and keeps its list, if it has one. GET tells which mmu the
 * guest has selected with VMFUNC.
 *
 * ==========  ===========================================================
 * EOPNOTSUPP  SET: the vCPU has shadow page tables
 * EBADF       SET: the descriptor is not open
 * EINVAL      SET: it is no mmu, or one of another VM or of shadow page tables; or
 *             @index is not 0
 * EBUSY       the vCPU is running
 * ==========  ===========================================================
 */
struct vmx_vcpu_mmu {
	__u32 size;
	__u32 flags;
	__s32 mmu_fd;
	__s32 index;
};

#define VMX_EPTP_LIST_MAX 512

/**
 * struct vmx_eptp_list - %VMX_SET_EPTP_LIST: mmus that a guest can select by itself
 * @size: sizeof(struct vmx_eptp_list)
 * @flags: 0
 * @mmu_fds: pointer to an array of __s32, mmus of this VM; -1 leaves an entry empty
 * @count: its length, 0 to %VMX_EPTP_LIST_MAX
 * @reserved: 0
 *
 * With a list, VMFUNC with EAX 0 selects the mmu at index ECX, at any privilege
 * level of the guest (SDM, "EPTP Switching"). An empty index, or one beyond the
 * list, is an exit with reason %VMX_REASON_VMFUNC. The list replaces the previous
 * one, and the guest keeps its current mmu, listed or not. With an empty list
 * VMFUNC is an invalid opcode. Mmus in a list live as long as the list.
 *
 * ==========  ===========================================================
 * EOPNOTSUPP  the CPU has no EPTP switching (%VMX_HAS_VMFUNC), or the vCPU has shadow
 *             page tables
 * EBADF       a descriptor is not open
 * EINVAL      a descriptor is no mmu, or one of another VM or of shadow page tables; or
 *             @count is too large
 * EFAULT      @mmu_fds is not readable
 * EBUSY       the vCPU is running
 * ==========  ===========================================================
 */
struct vmx_eptp_list {
	__u32 size;
	__u32 flags;
	__aligned_u64 mmu_fds;
	__u32 count;
	__u32 reserved;
};

/**
 * struct vmx_ve - %VMX_SET_VE: virtualization exceptions
 * @size: sizeof(struct vmx_ve)
 * @flags: 0
 * @enable: 1 to enable them, 0 to disable them
 * @reserved: 0
 *
 * An access that %VMX_MMU_VE leaves to the guest then raises exception 20. A page of
 * the vCPU has its description (SDM, "Virtualization-Exception Information"). Enable
 * the exceptions, mmap() the page at offset 4096 of the descriptor, and map it for
 * the guest with %VMX_MMU_MAP. The guest takes the next exception after it has written
 * 0 to the 32 bits at offset 4 of the page. Until then, and during event delivery,
 * such an access is an exit. The EPTP index in the page is the one that %VMX_GET_MMU
 * would return, or 0xffff.
 *
 * ==========  ===========================================================
 * EOPNOTSUPP  the CPU lacks the feature (%VMX_HAS_VE), or the vCPU has a shadow mmu
 * EINVAL      @enable or @reserved
 * EBUSY       the vCPU is running
 * ==========  ===========================================================
 */
struct vmx_ve {
	__u32 size;
	__u32 flags;
	__u32 enable;
	__u32 reserved;
};

/* Bits of struct vmx_run_page.valid and .dirty: members of its state part */
#define VMX_STATE_RIP		0x1
#define VMX_STATE_RSP		0x2
#define VMX_STATE_RFLAGS	0x4
#define VMX_STATE_CR0		0x8
#define VMX_STATE_CR3		0x10
#define VMX_STATE_CR4		0x20
#define VMX_STATE_EFER		0x40
#define VMX_STATE_INTERRUPTIBILITY 0x80
#define VMX_STATE_ACTIVITY	0x100
#define VMX_STATE_CR2		0x800
/* valid only: the kernel writes them, userspace changes them by VMCS field */
#define VMX_STATE_CS		0x200
#define VMX_STATE_SS		0x400
/* valid only: members of the exit part */
#define VMX_VALID_QUALIFICATION	0x10000
#define VMX_VALID_LINEAR		0x20000
#define VMX_VALID_PHYSICAL	0x40000
#define VMX_VALID_LENGTH		0x80000
#define VMX_VALID_INSN_INFO	0x100000
#define VMX_VALID_INTR		0x200000
#define VMX_VALID_IDT		0x400000
#define VMX_VALID_IO		0x800000
#define VMX_VALID_FAILURE	0x1000000

/**
 * define VMX_WINDOW_INTR - exit when the guest can take an interrupt
 */
#define VMX_WINDOW_INTR 0x1
/**
 * define VMX_WINDOW_NMI - exit when it can take an NMI; %VMX_HAS_VIRTUAL_NMI
 */
#define VMX_WINDOW_NMI 0x2

/**
 * define VMX_IO_IN - IN or INS; otherwise OUT or OUTS
 */
#define VMX_IO_IN 0x1
/**
 * define VMX_IO_STRING - INS or OUTS; @linear is valid
 */
#define VMX_IO_STRING 0x2
/**
 * define VMX_IO_REP - with a REP prefix
 */
#define VMX_IO_REP 0x4

/**
 * struct vmx_run_page - input and output of RUN, shared with the kernel
 *
 * @immediate_exit: in: if not 0, RUN takes all input and returns EINTR before
 *	it enters the guest; RUN does not reset it. A signal handler that sets it
 *	closes the race between a signal and RUN.
 * @window: in: VMX_WINDOW_* bits; RUN does not reset them
 * @retire: in: if 1, the instruction at RIP is done: RIP moves on by @length,
 *	blocking by STI and MOV SS ends, and a single-step trap becomes pending
 *	if RFLAGS.TF asks for one. Reset by RUN.
 * @pad: unused
 * @dirty: in: VMX_STATE_* members that userspace changed; RUN writes them to
 *	the VMCS, before it carries out @retire, and resets it. The general
 *	registers need no bit: the guest always gets the values here. CR0, CR3, CR4
 *	and EFER also drop the vCPU's cached translations, changed or not
 * @inject_info: in: event to inject, in the format of the VM-entry
 *	interruption-information field (bit 31 valid); out: 0 once delivered, or
 *	an event whose delivery the exit interrupted, so that calling RUN again
 *	is right
 * @inject_error: in and out: its error code
 * @inject_length: in and out: its instruction length (software interrupts and
 *	exceptions)
 * @pad2: unused
 * @deadline: in: guest TSC at which RUN returns with exit reason
 *	%VMX_REASON_PREEMPTION_TIMER; 0 for none. Reset when it fires.
 *
 * @reason: out: the basic exit reason, with %VMX_REASON_ENTRY_FAILURE if VM entry
 *	failed. The bits of the exit-reason field that say in which circumstances
 *	the exit came are left out; %VMX_VMCS_READ of the field has them
 * @valid: out: which members of the exit and state parts are current
 * @qualification: out: exit qualification
 * @linear: out: guest-linear address
 * @physical: out: guest-physical address
 * @length: out: VM-exit instruction length, where the exit has one; in, with
 *	@retire: the length, 1 to 15. EPT violations have none: the program that
 *	emulates the access sets it.
 * @insn_info: out: VM-exit instruction information
 * @intr_info: out: VM-exit interruption information
 * @intr_error: out: VM-exit interruption error code
 * @idt_info: out: IDT-vectoring information
 * @idt_error: out: IDT-vectoring error code, where @idt_info says there is one
 * @io_port: out: port, for %VMX_REASON_IO
 * @io_size: out: 1, 2 or 4 bytes
 * @io_flags: out: VMX_IO_* bits
 * @pad3: unused
 * @failure: out: why VM entry failed, where bit 31 of @reason is set or
 *	@reason is %VMX_REASON_VM_INSTRUCTION
 *
 * @regs: RAX RCX RDX RBX RSP RBP RSI RDI R8 to R15, as the SDM numbers them;
 *	RSP has the bit %VMX_STATE_RSP
 * @rip: RIP
 * @rflags: RFLAGS
 * @cr0: guest CR0 field
 * @cr3: guest CR3 field
 * @cr4: guest CR4 field
 * @efer: guest EFER field; 0 without %VMX_HAS_LOAD_EFER; with shadow paging, always
 *	the guest's EFER
 * @interruptibility: guest interruptibility state
 * @activity: guest activity state
 * @cs_base: base of CS
 * @cs_access: access rights of CS
 * @ss_access: access rights of SS
 * @cr2: CR2, which has no VMCS field; set it when you inject a page fault
 *
 * The kernel reads each input once per RUN. While RUN is in progress the kernel
 * owns the page: it may see or lose writes of userspace, which affect the guest
 * alone.
 */
struct vmx_run_page {
	/* in */
	__u8  immediate_exit;
	__u8  window;
	__u8  retire;
	__u8  pad;
	__u32 dirty;
	__u32 inject_info;
	__u32 inject_error;
	__u32 inject_length;
	__u32 pad2;
	__u64 deadline;

	/* out: the exit */
	__u32 reason;
	__u32 valid;
	__u64 qualification;
	__u64 linear;
	__u64 physical;
	__u32 length;
	__u32 insn_info;
	__u32 intr_info;
	__u32 intr_error;
	__u32 idt_info;
	__u32 idt_error;
	__u16 io_port;
	__u8  io_size;
	__u8  io_flags;
	__u32 pad3;
	struct vmx_failure failure;

	/* in and out: state */
	__u64 regs[16];
	__u64 rip;
	__u64 rflags;
	__u64 cr0;
	__u64 cr3;
	__u64 cr4;
	__u64 efer;
	__u32 interruptibility;
	__u32 activity;
	__u64 cs_base;
	__u32 cs_access;
	__u32 ss_access;
	__u64 cr2;
};

/**
 * enum vmx_walk_result - the result of a walk of the guest's tables
 * @VMX_WALK_MAPPED: they map a page
 * @VMX_WALK_ABSENT: the entry at &vmx_walk.leaf is not present
 * @VMX_WALK_RESERVED: it has reserved bits set
 * @VMX_WALK_UNREACHABLE: it is not in RAM that the guest may read
 */
enum vmx_walk_result {
	VMX_WALK_MAPPED = 0,
	VMX_WALK_ABSENT = 1,
	VMX_WALK_RESERVED = 2,
	VMX_WALK_UNREACHABLE = 3,
};

/**
 * struct vmx_walk - %VMX_WALK: a guest's tables and their shadows, side by side
 * @size: sizeof(struct vmx_walk)
 * @flags: 0
 * @linear: linear address
 * @physical: out: the guest-physical address that it maps to; with
 *	%VMX_WALK_UNREACHABLE, the address of the entry at @leaf; otherwise 0
 * @rights: out: bits 1 (R/W), 2 (U/S) and 63 (XD) of all levels together, as an entry
 *	has them; 0 without paging, and unless @result is %VMX_WALK_MAPPED
 * @levels: out: levels of the guest's tables: 0 without paging, 2 for 32-bit paging,
 *	3 for PAE paging, 4 or 5
 * @result: out: an enum vmx_walk_result
 * @leaf: out: level where the walk of the guest's tables ended: 1 is a 4 KiB page;
 *	0 without paging
 * @shadow_levels: out: levels of the tables that the CPU walks: 3, 4 or 5
 * @shadow_leaf: out: level where the walk of these ended, in a mapping or in an
 *	absent entry; 0 if there are no tables now
 * @masked: out: 1 if frame numbers in @shadow were replaced by 0 (the caller lacks
 *	CAP_SYS_ADMIN)
 * @entry: out: the guest's raw entry of each level, ``entry[n - 1]`` for level n; those
 *	of PAE paging's level 3 are the PDPTEs in registers; 0 below @leaf
 * @shadow: out: likewise the entries that the CPU uses in their place
 *
 * The walk is no access: it ignores rights and sets no accessed bit. It brings in
 * the owner's memory that has the guest's tables. The kernel makes shadow entries
 * when the guest needs them. There are none after userspace or the guest changed
 * paging state, until the guest goes on.
 *
 * ==========  ============================================================
 * EOPNOTSUPP  the vCPU's mmu does not come from %VMX_CREATE_SHADOW
 * EINVAL      @linear is no address in the guest's mode: it is not canonical, or has
 *             more than 32 bits
 * EINTR       a signal
 * ==========  ============================================================
 */
struct vmx_walk {
	__u32 size;
	__u32 flags;
	__u64 linear;
	__u64 physical;
	__u64 rights;
	__u32 levels;
	__u32 result;
	__u32 leaf;
	__u32 shadow_levels;
	__u32 shadow_leaf;
	__u32 masked;
	__u64 entry[VMX_MMU_MAX_LEVELS];
	__u64 shadow[VMX_MMU_MAX_LEVELS];
};

/**
 * DOC: VMX_RUN
 *
 * Runs the guest until an exit that the kernel does not finish by itself, and
 * describes it in the run page. Takes no argument. The kernel finishes: external
 * interrupts, NMIs and machine checks of the host; faults on mapped guest memory;
 * CPUID leaves and MSRs that userspace has set; XSETBV; and debug and
 * alignment-check exceptions that userspace did not select in the exception
 * bitmap (the guest gets them). A failed VM entry is an exit too.
 *
 * =========  ============================================================
 * EINTR      a signal is pending, VMX_KICK was called, or immediate_exit is
 *            set; the run page's exit part describes no new exit (reason is
 *            kept)
 * EBUSY      another thread runs this vCPU, or is inside an ioctl of it or of
 *            its vmcs
 * EPERM      not the owner's address space
 * EINVAL     the run page's inject_info, window, retire (or length with it),
 *            dirty or a dirty value is not allowed; RUN did not enter the
 *            guest and keeps the input
 * EFAULT     the guest touched a page that the mmu maps, but the owner's
 *            address space does not provide; the exit part describes the
 *            access as an EPT violation
 * EHWPOISON  the same, where the hardware has lost the memory. The thread has
 *            got SIGBUS as well, with BUS_MCEERR_AR and the userspace address
 * ENOMEM     no memory for page tables
 * =========  ============================================================
 */

/**
 * DOC: VMX_KICK
 *
 * Makes the RUN in progress return EINTR; if none is in progress, the next one.
 * Takes no argument. Any thread of the owner may call it at any time.
 *
 * ======  ===============================================================
 * EPERM   not the owner's address space
 * ======  ===============================================================
 */

#endif /* _UAPI_LINUX_VMX_VCPU_H */
