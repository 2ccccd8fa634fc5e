/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The ABI of /dev/vmx. This header has the objects and conventions, the numbers
 * of all ioctls, the device, and the VM with the ioctls that create objects. The
 * ioctls of a vmcs, an mmu and a vcpu have a header each. Programs include only
 * this one, which includes the rest.
 */
#ifndef _UAPI_LINUX_VMX_H
#define _UAPI_LINUX_VMX_H

#include <linux/types.h>
#include <linux/ioctl.h>
#include <linux/vmx_checks.h>
#include <linux/vmx_sdm.h>
#include <linux/vmx_vmcs.h>
#include <linux/vmx_mmu.h>
#include <linux/vmx_vcpu.h>

/**
 * DOC: Objects
 *
 * Everything is an object behind a file descriptor, created from another one::
 *
 *   /dev/vmx -- VMX_CREATE_VM --> vm -- VMX_CREATE_VMCS --> vmcs
 *                                    -- VMX_CREATE_EPT ---> mmu
 *                                    -- VMX_CREATE_SHADOW -> mmu
 *                                    -- VMX_CREATE_VCPU --> vcpu
 *
 * An object keeps the objects that it was created from alive, so descriptors may
 * be closed in any order. Objects belong to the address space that created the VM.
 * Ioctls from another address space (after fork, or through a passed descriptor)
 * fail with EPERM, except those that only read: %VMX_GET_CAPS, %VMX_VM_STATS,
 * %VMX_MMU_WALK, %VMX_MMU_STATS.
 */

/**
 * DOC: Conventions
 *
 * Every ioctl except %VMX_RUN and %VMX_KICK takes a pointer to a struct whose
 * first member, size, is the caller's sizeof. The kernel accepts a larger struct
 * than it knows, up to 4 KiB, if the tail is zero. It accepts a smaller struct down
 * to the size in the ABI's first version. CREATE ioctls return the new descriptor;
 * the others return 0.
 *
 * ==========  ============================================================
 * errno       meaning, for every ioctl
 * ==========  ============================================================
 * EFAULT      the struct, or an array it points to, is not accessible
 * EINVAL      size is too small, a reserved member is not zero, or a value
 *             is out of its documented range
 * E2BIG       the struct's tail, unknown to this kernel, is not zero, or size
 *             is above 4 KiB
 * EOPNOTSUPP  a flag is unknown, or this CPU lacks the feature
 * ENOTTY      no such ioctl on this kind of descriptor
 * ENOMEM      out of memory
 * EPERM       called from an address space that does not own the VM
 * EBUSY       the object is in use: a vCPU runs, or another thread is inside
 * EINTR       a signal arrived while waiting
 * EIO         the CPU refused to enter VMX operation, or VMX was switched off:
 *             the computer is about to reboot
 * ==========  ============================================================
 *
 * The description of an ioctl lists its other errors. A failed ioctl changes
 * nothing, unless its description says otherwise.
 */

/**
 * define VMX_API_MAJOR - while this is 0, anything may change
 */
#define VMX_API_MAJOR 0
/**
 * define VMX_API_MINOR - goes up with every change of the ABI
 */
#define VMX_API_MINOR 8

#define VMX_IOC_TYPE 0xBD

/* on /dev/vmx */
#define VMX_GET_CAPS		_IO(VMX_IOC_TYPE, 0x00)
#define VMX_CREATE_VM		_IO(VMX_IOC_TYPE, 0x01)
/* on a vm */
#define VMX_CREATE_VMCS		_IO(VMX_IOC_TYPE, 0x10)
#define VMX_CREATE_EPT		_IO(VMX_IOC_TYPE, 0x11)
#define VMX_CREATE_SHADOW	_IO(VMX_IOC_TYPE, 0x12)
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
#define VMX_MMU_POPULATE	_IO(VMX_IOC_TYPE, 0x35)
#define VMX_MMU_LOG		_IO(VMX_IOC_TYPE, 0x36)
#define VMX_MMU_DIRTY		_IO(VMX_IOC_TYPE, 0x37)
#define VMX_MMU_INVALIDATE	_IO(VMX_IOC_TYPE, 0x38)
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
#define VMX_SET_MMU		_IO(VMX_IOC_TYPE, 0x49)
#define VMX_GET_MMU		_IO(VMX_IOC_TYPE, 0x4a)
#define VMX_SET_EPTP_LIST	_IO(VMX_IOC_TYPE, 0x4b)
#define VMX_SET_VE		_IO(VMX_IOC_TYPE, 0x4c)
#define VMX_WALK		_IO(VMX_IOC_TYPE, 0x4d)

/**
 * enum vmx_status - can VMs be created, and if not, why?
 * @VMX_STATUS_OK: yes
 * @VMX_STATUS_NO_VMX: CPUID.1:ECX.VMX is 0; %VMX_CREATE_VM gives ENODEV
 * @VMX_STATUS_LOCKED: firmware locked IA32_FEATURE_CONTROL with VMX off;
 *	%VMX_CREATE_VM gives EACCES
 * @VMX_STATUS_MISSING: the CPU's VMX lacks a feature that the module needs (for
 *	instance MSR bitmaps or secondary controls), or does not let the module
 *	switch one off that it must; the kernel log names it; %VMX_CREATE_VM
 *	gives EOPNOTSUPP
 */
enum vmx_status {
	VMX_STATUS_OK = 0,
	VMX_STATUS_NO_VMX = 1,
	VMX_STATUS_LOCKED = 2,
	VMX_STATUS_MISSING = 3,
};

/**
 * enum vmx_feature - bits of struct vmx_caps.features: what the module offers on
 * this CPU
 * @VMX_HAS_EPT: %VMX_CREATE_EPT works
 * @VMX_HAS_VPID: translations are tagged, transitions need not flush
 * @VMX_HAS_UNRESTRICTED: guests may run with CR0.PE or CR0.PG clear, with EPT;
 *	with shadow paging they may with CR0.PG clear on any CPU
 * @VMX_HAS_EPT_2M: EPT maps 2 MiB pages
 * @VMX_HAS_EPT_1G: the CPU's EPT can map 1 GiB pages
 * @VMX_HAS_EPT_AD: EPT has accessed and dirty bits
 * @VMX_HAS_EPT_EXEC_ONLY: EPT can map execute-only pages
 * @VMX_HAS_EPT_5LEVEL: EPT walks can have five levels
 * @VMX_HAS_PREEMPTION_TIMER: the VMX preemption timer keeps the deadline; without
 *	it, and where the CPU's has an erratum, a host timer does
 * @VMX_HAS_VIRTUAL_NMI: virtual NMIs; %VMX_WINDOW_NMI works
 * @VMX_HAS_LOAD_EFER: guest EFER can differ from the host's
 * @VMX_HAS_LOAD_PAT: guest PAT can differ from the host's
 * @VMX_HAS_XSAVE: guests can use XSAVE and XSETBV
 * @VMX_HAS_SHADOW_VMCS: the CPU has VMCS shadowing; the module does not use it
 * @VMX_HAS_PML: the CPU has page-modification logging; %VMX_DIRTY_PML works
 * @VMX_HAS_VMFUNC: guests can go from one EPT to another with VMFUNC;
 *	%VMX_SET_EPTP_LIST works
 * @VMX_HAS_VE: EPT violations can be virtualization exceptions (#VE); %VMX_SET_VE
 *	and %VMX_MMU_VE work
 * @VMX_HAS_MODE_EXEC: mode-based execute control; %VMX_MMU_EXEC_USER works
 *
 * The module maps pages of each size that the CPU and the host have, and has five
 * levels of tables only where physical addresses are wider than 48 bits.
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
	VMX_HAS_VE = 1 << 16,
	VMX_HAS_MODE_EXEC = 1 << 17,
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
 * struct vmx_control - bits that the module allows in one control field
 * @must: bits that are always 1, because the CPU or the module forces them
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
 *	by this; deadlines have no finer resolution
 * @msr: the raw capability MSRs
 * @pin: pin-based VM-execution controls
 * @cpu: primary processor-based VM-execution controls
 * @cpu2: secondary processor-based VM-execution controls
 * @exit: VM-exit controls
 * @entry: VM-entry controls
 * @reserved: written as 0
 *
 * Works on every machine that the module loads on, with VMX or without, and from
 * any address space. It has no errors of its own.
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
 * struct vmx_create - %VMX_CREATE_VM, %VMX_CREATE_VMCS, %VMX_CREATE_EPT,
 * %VMX_CREATE_SHADOW
 * @size: sizeof(struct vmx_create)
 * @flags: 0
 *
 * Return: a new descriptor (close-on-exec).
 *
 * ==========  ============================================================
 * ENODEV      %VMX_CREATE_VM: the CPU has no VMX
 * EACCES      %VMX_CREATE_VM: firmware locked VMX off
 * EBUSY       %VMX_CREATE_VM: another hypervisor (KVM) has VMX on; the kernel
 *             log says what to do
 * EOPNOTSUPP  %VMX_CREATE_VM: the CPU lacks a VMX feature, see
 *             %VMX_STATUS_MISSING; %VMX_CREATE_EPT: the CPU has no EPT
 * EMFILE      the process has too many open files
 * ENFILE      the system has too many open files
 * ==========  ============================================================
 */
struct vmx_create {
	__u32 size;
	__u32 flags;
};

/**
 * struct vmx_create_vcpu - %VMX_CREATE_VCPU: make a vCPU of a VMCS and an mmu
 * @size: sizeof(struct vmx_create_vcpu)
 * @flags: 0
 * @vmcs_fd: a vmcs of this VM that belongs to no vCPU
 * @mmu_fd: an mmu of this VM
 *
 * Return: a new descriptor. mmap() one page of it, shared, at offset 0, for
 * the struct vmx_run_page, or at offset 4096 for the area of %VMX_SET_VE; mmap()
 * of anything else is EINVAL, and from an address space that does not own the VM,
 * EPERM.
 *
 * ======  ===============================================================
 * EBADF   a descriptor is not open
 * EINVAL  a descriptor is of another kind, or of another VM
 * EBUSY   the vmcs belongs to a vCPU, or another thread is inside it
 * EMFILE  the process has too many open files
 * ENFILE  the system has too many open files
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
 * struct vmx_vm_stats - %VMX_VM_STATS: counters of the VM's vCPUs
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
 * @exits: exits by basic exit reason, including those that the kernel finished
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

#endif /* _UAPI_LINUX_VMX_H */
