/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_LINUX_VMX_H
#define _UAPI_LINUX_VMX_H

#include <linux/types.h>
#include <linux/ioctl.h>
#include <linux/vmx_checks.h>
#include <linux/vmx_sdm.h>

/**
 * DOC: Objects
 *
 * Everything is an object behind a file descriptor, made from another one::
 *
 *   /dev/vmx -- VMX_CREATE_VM --> vm -- VMX_CREATE_VMCS --> vmcs
 *                                    -- VMX_CREATE_EPT ---> mmu
 *                                    -- VMX_CREATE_VCPU --> vcpu
 *
 * An object keeps what it was made from alive, so descriptors may be closed in
 * any order. Objects belong to the address space that created the VM: ioctls
 * from another one (after fork, or through a passed descriptor) fail with
 * EPERM, except those that only look: %VMX_GET_CAPS, %VMX_VM_STATS,
 * %VMX_MMU_WALK, %VMX_MMU_STATS.
 */

/**
 * DOC: Conventions
 *
 * Every ioctl but %VMX_RUN and %VMX_KICK takes a pointer to a struct whose
 * first member, size, is the caller's sizeof. A larger struct than the kernel
 * knows is accepted up to 4 KiB while its tail is zero; a smaller one is
 * accepted down to the size this header's first version gave it. CREATE ioctls
 * return the new descriptor; the others return 0.
 *
 * ==========  ============================================================
 * errno       meaning, for every ioctl
 * ==========  ============================================================
 * EFAULT      the struct, or an array it points to, is not accessible
 * EINVAL      size is too small, a reserved member is not zero, or a value
 *             is out of its documented range
 * E2BIG       the struct's tail, unknown to this kernel, is not zero, or size
 *             is above 4 KiB
 * EOPNOTSUPP  a flag is unknown, or this CPU cannot do what was asked
 * ENOTTY      no such ioctl on this kind of descriptor
 * ENOMEM      out of memory
 * EPERM       called from an address space that does not own the VM
 * EBUSY       the object is in use: a vCPU runs, or another thread is inside
 * EINTR       a signal arrived while waiting
 * EIO         the CPU refused to enter VMX operation, or VMX was switched off:
 *             the computer is about to reboot
 * ==========  ============================================================
 *
 * Whatever else an ioctl returns stands with it. A failed ioctl changes
 * nothing, unless its description says otherwise.
 */

/**
 * define VMX_API_MAJOR - while this is 0, anything may change
 */
#define VMX_API_MAJOR 0
/**
 * define VMX_API_MINOR - goes up with every change of this header
 */
#define VMX_API_MINOR 1

#define VMX_IOC_TYPE 0xBD

/* on /dev/vmx */
#define VMX_GET_CAPS		_IO(VMX_IOC_TYPE, 0x00)
#define VMX_CREATE_VM		_IO(VMX_IOC_TYPE, 0x01)
/* on a vm */
#define VMX_CREATE_VMCS		_IO(VMX_IOC_TYPE, 0x10)
#define VMX_CREATE_EPT		_IO(VMX_IOC_TYPE, 0x11)
#define VMX_CREATE_VCPU		_IO(VMX_IOC_TYPE, 0x13)
#define VMX_VM_STATS		_IO(VMX_IOC_TYPE, 0x14)
/* on a vmcs */
#define VMX_VMCS_CLEAR		_IO(VMX_IOC_TYPE, 0x20)
#define VMX_VMCS_READ		_IO(VMX_IOC_TYPE, 0x21)
#define VMX_VMCS_WRITE		_IO(VMX_IOC_TYPE, 0x22)
#define VMX_VMCS_DUMP		_IO(VMX_IOC_TYPE, 0x23)
#define VMX_VMCS_CHECK		_IO(VMX_IOC_TYPE, 0x24)
#define VMX_VMCS_STATE		_IO(VMX_IOC_TYPE, 0x25)
/* on an mmu */
#define VMX_MMU_MAP		_IO(VMX_IOC_TYPE, 0x30)
#define VMX_MMU_UNMAP		_IO(VMX_IOC_TYPE, 0x31)
#define VMX_MMU_PROTECT		_IO(VMX_IOC_TYPE, 0x32)
#define VMX_MMU_WALK		_IO(VMX_IOC_TYPE, 0x33)
#define VMX_MMU_STATS		_IO(VMX_IOC_TYPE, 0x34)
/* on a vcpu */
#define VMX_RUN			_IO(VMX_IOC_TYPE, 0x40)
#define VMX_KICK		_IO(VMX_IOC_TYPE, 0x41)
#define VMX_SET_CPUID		_IO(VMX_IOC_TYPE, 0x42)
#define VMX_SET_MSRS		_IO(VMX_IOC_TYPE, 0x43)
#define VMX_GET_MSRS		_IO(VMX_IOC_TYPE, 0x44)
#define VMX_SET_FPU		_IO(VMX_IOC_TYPE, 0x45)
#define VMX_GET_FPU		_IO(VMX_IOC_TYPE, 0x46)
#define VMX_SET_DEBUG		_IO(VMX_IOC_TYPE, 0x47)
#define VMX_GET_DEBUG		_IO(VMX_IOC_TYPE, 0x48)

/**
 * enum vmx_status - whether VMs can be created, and if not, why
 * @VMX_STATUS_OK: they can
 * @VMX_STATUS_NO_VMX: CPUID.1:ECX.VMX is 0; %VMX_CREATE_VM gives ENODEV
 * @VMX_STATUS_LOCKED: firmware locked IA32_FEATURE_CONTROL with VMX off;
 *	%VMX_CREATE_VM gives EACCES
 * @VMX_STATUS_MISSING: VMX is there, but not a feature the module needs
 *	(MSR bitmaps or secondary controls, say), or it insists on one that the
 *	module cannot live with; the kernel log names it; %VMX_CREATE_VM gives
 *	EOPNOTSUPP
 */
enum vmx_status {
	VMX_STATUS_OK = 0,
	VMX_STATUS_NO_VMX = 1,
	VMX_STATUS_LOCKED = 2,
	VMX_STATUS_MISSING = 3,
};

/**
 * enum vmx_feature - bits of struct vmx_caps.features, what the module makes
 * of the capability MSRs
 * @VMX_HAS_EPT: %VMX_CREATE_EPT works
 * @VMX_HAS_VPID: translations are tagged, transitions need not flush
 * @VMX_HAS_UNRESTRICTED: guests may run with CR0.PE or CR0.PG clear
 * @VMX_HAS_EPT_2M: EPT maps 2 MiB pages
 * @VMX_HAS_EPT_1G: the CPU's EPT can map 1 GiB pages
 * @VMX_HAS_EPT_AD: EPT has accessed and dirty bits
 * @VMX_HAS_EPT_EXEC_ONLY: EPT can map execute-only pages
 * @VMX_HAS_EPT_5LEVEL: EPT walks can have five levels
 * @VMX_HAS_PREEMPTION_TIMER: the deadline is kept by the VMX preemption
 *	timer, otherwise by a host timer (also where the CPU's has an erratum)
 * @VMX_HAS_VIRTUAL_NMI: virtual NMIs; %VMX_WINDOW_NMI works
 * @VMX_HAS_LOAD_EFER: guest EFER can differ from the host's
 * @VMX_HAS_LOAD_PAT: guest PAT can differ from the host's
 * @VMX_HAS_XSAVE: guests can use XSAVE and XSETBV
 * @VMX_HAS_SHADOW_VMCS: the CPU has VMCS shadowing; the module has no use of it
 * @VMX_HAS_PML: the CPU has page-modification logging; likewise
 * @VMX_HAS_VMFUNC: the CPU has VM functions; likewise
 *
 * The module maps pages of 4 KiB and 2 MiB, and has five levels of tables only
 * where physical addresses are wider than 48 bits.
 */
enum vmx_feature {
	VMX_HAS_EPT = 1 << 0,
	VMX_HAS_VPID = 1 << 1,
	VMX_HAS_UNRESTRICTED = 1 << 2,
	VMX_HAS_EPT_2M = 1 << 3,
	VMX_HAS_EPT_1G = 1 << 4,
	VMX_HAS_EPT_AD = 1 << 5,
	VMX_HAS_EPT_EXEC_ONLY = 1 << 6,
	VMX_HAS_EPT_5LEVEL = 1 << 7,
	VMX_HAS_PREEMPTION_TIMER = 1 << 8,
	VMX_HAS_VIRTUAL_NMI = 1 << 9,
	VMX_HAS_LOAD_EFER = 1 << 10,
	VMX_HAS_LOAD_PAT = 1 << 11,
	VMX_HAS_XSAVE = 1 << 12,
	VMX_HAS_SHADOW_VMCS = 1 << 13,
	VMX_HAS_PML = 1 << 14,
	VMX_HAS_VMFUNC = 1 << 15,
};

/**
 * struct vmx_msr_caps - the VMX capability MSRs as the CPU reports them
 * @basic: IA32_VMX_BASIC
 * @pin: IA32_VMX_PINBASED_CTLS
 * @cpu: IA32_VMX_PROCBASED_CTLS
 * @exit: IA32_VMX_EXIT_CTLS
 * @entry: IA32_VMX_ENTRY_CTLS
 * @misc: IA32_VMX_MISC
 * @cr0_fixed0: IA32_VMX_CR0_FIXED0
 * @cr0_fixed1: IA32_VMX_CR0_FIXED1
 * @cr4_fixed0: IA32_VMX_CR4_FIXED0
 * @cr4_fixed1: IA32_VMX_CR4_FIXED1
 * @vmcs_enum: IA32_VMX_VMCS_ENUM
 * @cpu2: IA32_VMX_PROCBASED_CTLS2
 * @ept_vpid: IA32_VMX_EPT_VPID_CAP
 * @true_pin: IA32_VMX_TRUE_PINBASED_CTLS
 * @true_cpu: IA32_VMX_TRUE_PROCBASED_CTLS
 * @true_exit: IA32_VMX_TRUE_EXIT_CTLS
 * @true_entry: IA32_VMX_TRUE_ENTRY_CTLS
 * @vmfunc: IA32_VMX_VMFUNC
 * @cpu3: IA32_VMX_PROCBASED_CTLS3
 * @exit2: IA32_VMX_EXIT_CTLS2
 *
 * An MSR that the CPU does not have reads as 0 here. See the SDM's appendix
 * "VMX Capability Reporting Facility".
 */
struct vmx_msr_caps {
	__u64 basic;
	__u64 pin;
	__u64 cpu;
	__u64 exit;
	__u64 entry;
	__u64 misc;
	__u64 cr0_fixed0;
	__u64 cr0_fixed1;
	__u64 cr4_fixed0;
	__u64 cr4_fixed1;
	__u64 vmcs_enum;
	__u64 cpu2;
	__u64 ept_vpid;
	__u64 true_pin;
	__u64 true_cpu;
	__u64 true_exit;
	__u64 true_entry;
	__u64 vmfunc;
	__u64 cpu3;
	__u64 exit2;
};

/**
 * struct vmx_control - what the module allows in one control field
 * @must: bits that are always 1: the CPU or the module insists
 * @may: bits that can be 1, @must included
 */
struct vmx_control {
	__u32 must;
	__u32 may;
};

/**
 * struct vmx_caps - %VMX_GET_CAPS: what this CPU and the module can do
 * @size: sizeof(struct vmx_caps)
 * @flags: 0
 * @api_major: %VMX_API_MAJOR of the module
 * @api_minor: %VMX_API_MINOR of the module
 * @status: an enum vmx_status
 * @phys_bits: the CPU's physical-address width. Guest-physical addresses have as
 *	many bits, and no more than the EPT's levels translate: 48 for four
 * @features: enum vmx_feature bits
 * @tsc_khz: host TSC frequency, 0 if unknown
 * @timer_shift: the preemption timer counts at the TSC's rate shifted right
 *	by this; a deadline is served no finer
 * @msr: the raw capability MSRs
 * @pin: pin-based VM-execution controls
 * @cpu: primary processor-based VM-execution controls
 * @cpu2: secondary processor-based VM-execution controls
 * @exit: VM-exit controls
 * @entry: VM-entry controls
 * @reserved: written as 0
 *
 * Works on every machine the module loads on, VMX or not, and from any address
 * space. It has no errors of its own.
 */
struct vmx_caps {
	__u32 size;
	__u32 flags;
	__u32 api_major;
	__u32 api_minor;
	__u32 status;
	__u32 phys_bits;
	__u64 features;
	__u32 tsc_khz;
	__u32 timer_shift;
	struct vmx_msr_caps msr;
	struct vmx_control pin;
	struct vmx_control cpu;
	struct vmx_control cpu2;
	struct vmx_control exit;
	struct vmx_control entry;
	__u64 reserved[4];
};

/**
 * struct vmx_create - %VMX_CREATE_VM, %VMX_CREATE_VMCS, %VMX_CREATE_EPT
 * @size: sizeof(struct vmx_create)
 * @flags: 0
 *
 * Return: a new descriptor (close-on-exec).
 *
 * ==========  ============================================================
 * ENODEV      %VMX_CREATE_VM: the CPU has no VMX
 * EACCES      %VMX_CREATE_VM: firmware locked VMX off
 * EBUSY       %VMX_CREATE_VM: another hypervisor (KVM) has VMX on; the kernel
 *             log names the way out
 * EOPNOTSUPP  %VMX_CREATE_VM: the CPU's VMX is not enough, see
 *             %VMX_STATUS_MISSING; %VMX_CREATE_EPT: the CPU has no EPT
 * EMFILE      the process has too many open files
 * ENFILE      the system has
 * ==========  ============================================================
 */
struct vmx_create {
	__u32 size;
	__u32 flags;
};

/**
 * struct vmx_create_vcpu - %VMX_CREATE_VCPU: a VMCS and an mmu make a vCPU
 * @size: sizeof(struct vmx_create_vcpu)
 * @flags: 0
 * @vmcs_fd: a vmcs of this VM that no vCPU has
 * @mmu_fd: an mmu of this VM
 *
 * Return: a new descriptor. mmap() one page of it, shared, at offset 0, for
 * the struct vmx_run_page; mmap() of anything else is EINVAL, and from an
 * address space that does not own the VM, EPERM.
 *
 * ======  ===============================================================
 * EBADF   a descriptor is not open
 * EINVAL  a descriptor is of another kind, or of another VM
 * EBUSY   the vmcs belongs to a vCPU, or another thread is inside it
 * ENOSPC  too many vCPUs: there are 65535 VPIDs
 * EMFILE  the process has too many open files
 * ENFILE  the system has
 * ======  ===============================================================
 */
struct vmx_create_vcpu {
	__u32 size;
	__u32 flags;
	__s32 vmcs_fd;
	__s32 mmu_fd;
};

#define VMX_STATS_REASONS 80

/**
 * struct vmx_vm_stats - %VMX_VM_STATS: what the VM's vCPUs did so far
 * @size: sizeof(struct vmx_vm_stats)
 * @flags: 0
 * @runs: calls of %VMX_RUN
 * @entries: VM entries that succeeded
 * @user_exits: exits handed to userspace
 * @faults: faults on mapped memory that the kernel resolved
 * @injections: events injected
 * @vmreads: VMREADs executed for vCPUs
 * @vmwrites: VMWRITEs executed for vCPUs
 * @msr_writes: WRMSRs executed to switch between guest and host
 * @invalidations: INVEPTs and INVVPIDs executed
 * @fpu_swaps: guest FPU states loaded
 * @ipis: interprocessor interrupts sent to make a CPU leave a guest or give
 *	up a VMCS
 * @vcpus: vCPUs alive now
 * @reserved: written as 0
 * @exits: exits by basic exit reason, kernel-finished ones included
 *
 * Counters of running vCPUs may lag by the run in progress. Works from any
 * address space, and has no errors of its own.
 */
struct vmx_vm_stats {
	__u32 size;
	__u32 flags;
	__u64 runs;
	__u64 entries;
	__u64 user_exits;
	__u64 faults;
	__u64 injections;
	__u64 vmreads;
	__u64 vmwrites;
	__u64 msr_writes;
	__u64 invalidations;
	__u64 fpu_swaps;
	__u64 ipis;
	__u32 vcpus;
	__u32 reserved;
	__u64 exits[VMX_STATS_REASONS];
};

/**
 * enum vmx_refusal - why a batch of VMCS fields was refused
 * @VMX_REFUSED_NOT: it was not
 * @VMX_REFUSED_UNKNOWN: no such field in the SDM's appendix "Field Encoding
 *	in VMCS", or one that this CPU does not have
 * @VMX_REFUSED_MODULE: the field is the module's: host state, an address, or
 *	state the module switches
 * @VMX_REFUSED_READ_ONLY: a VM-exit information field
 * @VMX_REFUSED_BITS: a bit of the value is not allowed; struct
 *	vmx_vmcs_io.bad_bits has it
 * @VMX_REFUSED_HIGH: the encoding selects the high half of a 64-bit field;
 *	use the full field
 */
enum vmx_refusal {
	VMX_REFUSED_NOT = 0,
	VMX_REFUSED_UNKNOWN = 1,
	VMX_REFUSED_MODULE = 2,
	VMX_REFUSED_READ_ONLY = 3,
	VMX_REFUSED_BITS = 4,
	VMX_REFUSED_HIGH = 5,
};

/**
 * struct vmx_field - one VMCS field and its value
 * @field: SDM encoding, a VMX_F_* of linux/vmx_sdm.h
 * @reserved: 0
 * @value: value; after a write, what the field now holds. A read gives the
 *	controls and the exception bitmap as userspace wrote them, without the
 *	bits that RUN switches and the exceptions that the module adds.
 * @forced: after a write, the bits in which @value differs from what was asked
 *	because the module or the CPU insists; after a read, 0
 */
struct vmx_field {
	__u32 field;
	__u32 reserved;
	__u64 value;
	__u64 forced;
};

#define VMX_VMCS_BATCH_MAX 256

/**
 * struct vmx_vmcs_io - %VMX_VMCS_READ and %VMX_VMCS_WRITE
 * @size: sizeof(struct vmx_vmcs_io)
 * @flags: 0
 * @fields: pointer to an array of struct vmx_field
 * @count: its length, 1 to %VMX_VMCS_BATCH_MAX
 * @bad_index: out, after EACCES: the index of the refused field
 * @bad_reason: out, after EACCES: an enum vmx_refusal
 * @reserved: 0
 * @bad_bits: out, after EACCES with %VMX_REFUSED_BITS: the bits
 *
 * The whole batch is judged before anything is written: a refused batch
 * changes nothing. A field that a write names twice ends with the last value.
 *
 * ======  ===============================================================
 * EACCES  a field may not be read or written; see @bad_index
 * EINVAL  @count is 0 or too large, or an entry's reserved member is not 0
 * EBUSY   the vmcs belongs to a vCPU that is running
 * ======  ===============================================================
 */
struct vmx_vmcs_io {
	__u32 size;
	__u32 flags;
	__aligned_u64 fields;
	__u32 count;
	__u32 bad_index;
	__u32 bad_reason;
	__u32 reserved;
	__u64 bad_bits;
};

/**
 * enum vmx_owner - who may do what with a VMCS field
 * @VMX_OWNER_USER: userspace reads and writes it
 * @VMX_OWNER_SHARED: userspace writes it, the module forces some bits
 * @VMX_OWNER_CPU: VM-exit information: userspace reads it
 * @VMX_OWNER_MODULE: the module's; userspace sees at most that it exists
 */
enum vmx_owner {
	VMX_OWNER_USER = 0,
	VMX_OWNER_SHARED = 1,
	VMX_OWNER_CPU = 2,
	VMX_OWNER_MODULE = 3,
};

/**
 * struct vmx_field_info - one VMCS field as %VMX_VMCS_DUMP describes it
 * @field: SDM encoding
 * @owner: an enum vmx_owner
 * @value: the value; 0 where @masked
 * @must: bits the module or the CPU holds at 1
 * @may: bits that may be 1, @must included; both are 0 where a write is refused
 * @masked: 1 if the value is withheld: it would reveal host addresses
 * @reserved: written as 0
 */
struct vmx_field_info {
	__u32 field;
	__u32 owner;
	__u64 value;
	__u64 must;
	__u64 may;
	__u32 masked;
	__u32 reserved;
};

/**
 * struct vmx_vmcs_dump - %VMX_VMCS_DUMP: every field this CPU has
 * @size: sizeof(struct vmx_vmcs_dump)
 * @flags: 0
 * @fields: pointer to an array of struct vmx_field_info
 * @count: in, its length; out, how many fields there are. At most the given
 *	length is filled, in the order of the SDM's appendix.
 * @reserved: 0
 *
 * ======  ===============================================================
 * EBUSY   the vmcs belongs to a vCPU that is running
 * ======  ===============================================================
 */
struct vmx_vmcs_dump {
	__u32 size;
	__u32 flags;
	__aligned_u64 fields;
	__u32 count;
	__u32 reserved;
};

/**
 * struct vmx_failure - why VM entry fails
 * @check: an enum vmx_check; %VMX_CHECK_NONE if nothing was found
 * @error: VM-instruction error number, or 0 (SDM, "VM-Instruction Error
 *	Numbers"): 7 invalid control fields, 8 invalid host state. 0 with a
 *	@check is invalid guest state
 * @field: the VMCS field at fault
 * @field2: another field that @field contradicts, or 0
 * @value: the value of @field
 * @value2: the value of @field2
 * @bits: the offending bits of @value, or 0 where the whole is wrong
 *
 * Values of the module's fields are given as 0.
 */
struct vmx_failure {
	__u32 check;
	__u32 error;
	__u32 field;
	__u32 field2;
	__u64 value;
	__u64 value2;
	__u64 bits;
};

/**
 * struct vmx_vmcs_check - %VMX_VMCS_CHECK: would VM entry succeed?
 * @size: sizeof(struct vmx_vmcs_check)
 * @flags: 0
 * @failure: out: the first check of the SDM's chapter "VM Entries" that
 *	fails, in the SDM's order
 *
 * Nothing is entered and nothing changes.
 *
 * ======  ===============================================================
 * EBUSY   the vmcs belongs to a vCPU that is running
 * ======  ===============================================================
 */
struct vmx_vmcs_check {
	__u32 size;
	__u32 flags;
	struct vmx_failure failure;
};

/**
 * struct vmx_vmcs_state - %VMX_VMCS_STATE (SDM, "VMCS states")
 * @size: sizeof(struct vmx_vmcs_state)
 * @flags: 0
 * @active: 1 if some CPU has the VMCS loaded
 * @cpu: that CPU's number, -1 if none
 * @launched: 1 after a VM entry since the last clear
 * @attached: 1 if a vCPU has it
 *
 * ======  ===============================================================
 * EBUSY   the vmcs belongs to a vCPU that is running
 * ======  ===============================================================
 */
struct vmx_vmcs_state {
	__u32 size;
	__u32 flags;
	__u32 active;
	__s32 cpu;
	__u32 launched;
	__u32 attached;
};

/**
 * struct vmx_vmcs_clear - %VMX_VMCS_CLEAR: VMCLEAR, wherever it is active
 * @size: sizeof(struct vmx_vmcs_clear)
 * @flags: 0
 *
 * Its launch state becomes clear; fields keep their values.
 *
 * ======  ===============================================================
 * EBUSY   the vmcs belongs to a vCPU that is running
 * ======  ===============================================================
 */
struct vmx_vmcs_clear {
	__u32 size;
	__u32 flags;
};

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
 * @prot: VMX_MMU_* bits, not none
 * @memtype: an enum vmx_memtype, of the whole range; the guest's PAT is ignored
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
 *             or a @prot that is 0 or has %VMX_MMU_WRITE alone
 * EOPNOTSUPP  the CPU cannot express @prot: %VMX_MMU_EXEC alone, without
 *             %VMX_HAS_EPT_EXEC_ONLY
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
 * struct vmx_mmu_range - %VMX_MMU_UNMAP and %VMX_MMU_PROTECT
 * @size: sizeof(struct vmx_mmu_range)
 * @flags: 0
 * @gpa: guest-physical address, 4 KiB aligned
 * @length: bytes, a non-zero multiple of 4 KiB
 * @prot: PROTECT: VMX_MMU_* bits, not none; UNMAP: 0
 * @reserved: 0
 *
 * UNMAP takes any part of any ranges and is content with holes. PROTECT needs
 * the whole of it mapped. When either returns, no vCPU uses the old
 * translation.
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
 * What the tables hold now: a page that no guest has touched yet is absent.
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
 * @tables: pages of page tables, root included
 * @pages: leaf mappings present, by level: @pages[0] of 4 KiB, [1] of 2 MiB,
 *	[2] of 1 GiB
 * @faults: faults resolved
 * @splits: large mappings broken up
 * @flushes: times all CPUs that use the mmu had to drop translations
 * @notified: invalidations by the host's memory management
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
};

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
 * struct vmx_cpuid - %VMX_SET_CPUID: the table the kernel answers CPUID from
 * @size: sizeof(struct vmx_cpuid)
 * @flags: 0
 * @entries: pointer to an array of struct vmx_cpuid_entry
 * @count: its length, 0 to %VMX_CPUID_MAX
 * @reserved: 0
 *
 * Replaces the table. A leaf that is not in it is an exit. Two bits are live:
 * CPUID.1:ECX.OSXSAVE and CPUID.7.0:ECX.OSPKE follow the guest's CR4.
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
 *	RDPID; EFER and PAT where the VM-entry controls load them.
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
 * EINVAL  SET: no such policy, the same MSR twice, a value where 0 is asked
 *         for, or one that would fault in an MSR passed through (a
 *         non-canonical address in LSTAR, say); both: @count
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
 * EINVAL  SET: @length; XCR0 is not one that XSETBV would take (1 where the
 *         CPU has no XSAVE); or the header or MXCSR has reserved bits, or
 *         names state not in XCR0
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
 * @dr: breakpoint linear addresses, canonical
 * @dr6: DR6; reserved bits are forced as MOV to DR6 would
 *
 * DR7 is the VMCS field %VMX_F_GUEST_DR7.
 *
 * ======  ===============================================================
 * EINVAL  SET: an address that is not canonical, or bits 63:32 of @dr6
 * EBUSY   the vCPU is running
 * ======  ===============================================================
 */
struct vmx_debug {
	__u32 size;
	__u32 flags;
	__u64 dr[4];
	__u64 dr6;
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
 * struct vmx_run_page - what RUN takes and gives, shared with the kernel
 *
 * @immediate_exit: in: if not 0, RUN takes all input and returns EINTR before
 *	it enters the guest; stays as set. A signal handler that sets it closes
 *	the race between a kick and RUN.
 * @window: in: VMX_WINDOW_* bits; stays as set
 * @retire: in: if 1, the instruction at RIP is done: RIP moves on by @length,
 *	blocking by STI and MOV SS ends, and a single-step trap becomes pending
 *	if RFLAGS.TF asks for one. Reset by RUN.
 * @pad: unused
 * @dirty: in: VMX_STATE_* members that userspace changed; RUN writes them to
 *	the VMCS, before @retire is looked at, and resets it. The general
 *	registers need no bit: the guest runs with what is here.
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
 * @reason: out: the exit-reason field, all 32 bits
 * @valid: out: which members of the exit and state parts are current
 * @qualification: out: exit qualification
 * @linear: out: guest-linear address
 * @physical: out: guest-physical address
 * @length: out: VM-exit instruction length, where the exit has one; in, with
 *	@retire: the length, 1 to 15. EPT violations have none: who emulates the
 *	access knows it.
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
 *	RSP goes by %VMX_STATE_RSP
 * @rip: RIP
 * @rflags: RFLAGS
 * @cr0: guest CR0 field
 * @cr3: guest CR3 field
 * @cr4: guest CR4 field
 * @efer: guest EFER field; 0 without %VMX_HAS_LOAD_EFER
 * @interruptibility: guest interruptibility state
 * @activity: guest activity state
 * @cs_base: base of CS
 * @cs_access: access rights of CS
 * @ss_access: access rights of SS
 * @cr2: CR2, which no VMCS field has; to be set with a page fault that is
 *	injected
 *
 * The kernel reads each input once per RUN. While RUN is in progress the page
 * is the kernel's: what userspace writes then may be seen or lost, and affects
 * the guest alone.
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
 * DOC: VMX_RUN
 *
 * Runs the guest until there is an exit that the kernel does not finish by
 * itself, and describes it in the run page. Takes no argument. The kernel
 * finishes: external interrupts, NMIs and machine checks of the host; faults
 * on mapped guest memory; CPUID leaves and MSRs it was given; XSETBV; and
 * debug, alignment-check and machine-check exceptions that userspace did not
 * ask for in the exception bitmap (they go back to the guest). A failed VM
 * entry is an exit too.
 *
 * ======  ===============================================================
 * EINTR   a signal is pending, VMX_KICK was called, or immediate_exit is set;
 *         the run page's exit part says nothing new (reason is kept)
 * EBUSY   another thread runs this vCPU, or is inside an ioctl of it or of
 *         its vmcs
 * EPERM   not the owner's address space
 * EINVAL  the run page's inject_info, window, retire (or length with it),
 *         dirty or a dirty value is not allowed; nothing was entered, and the
 *         input is as it was
 * EFAULT  a touched page of guest memory is mapped in the mmu, but the owner's
 *         address space does not provide it; the exit part describes the
 *         access as an EPT violation
 * ENOMEM  no memory for page tables
 * ======  ===============================================================
 */

/**
 * DOC: VMX_KICK
 *
 * Makes the RUN in progress, or if there is none the next one, return EINTR.
 * Takes no argument. May be called from any thread of the owner, also while RUN
 * is in progress.
 *
 * ======  ===============================================================
 * EPERM   not the owner's address space
 * ======  ===============================================================
 */

#endif /* _UAPI_LINUX_VMX_H */
