/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_LINUX_VMX_CHECKS_H
#define _UAPI_LINUX_VMX_CHECKS_H

/**
 * enum vmx_check - the checks that VM entry makes (SDM, chapter "VM Entries")
 * @VMX_CHECK_NONE: no check fails
 * @VMX_CHECK_PIN_RESERVED: pin-based controls: a bit is 0 that must be 1, or 1
 *	that must be 0
 * @VMX_CHECK_CPU_RESERVED: primary processor-based controls: likewise
 * @VMX_CHECK_CPU2_RESERVED: secondary processor-based controls: likewise
 * @VMX_CHECK_CPU3_RESERVED: tertiary processor-based controls: a bit is 1 that
 *	must be 0
 * @VMX_CHECK_CR3_TARGET_COUNT: more CR3-target values than the CPU has
 * @VMX_CHECK_IO_BITMAP: an I/O-bitmap address is not 4 KiB aligned or too wide
 * @VMX_CHECK_MSR_BITMAP: the MSR-bitmap address is not 4 KiB aligned or too
 *	wide
 * @VMX_CHECK_VIRTUAL_APIC: the virtual-APIC address is not 4 KiB aligned or
 *	too wide
 * @VMX_CHECK_TPR_THRESHOLD: bits 31:4 of the TPR threshold are not 0
 * @VMX_CHECK_TPR_BELOW_THRESHOLD: the TPR threshold is above bits 7:4 of the
 *	virtual TPR
 * @VMX_CHECK_VIRTUAL_NMIS: virtual NMIs without NMI exiting
 * @VMX_CHECK_NMI_WINDOW: NMI-window exiting without virtual NMIs
 * @VMX_CHECK_APIC_ACCESS: the APIC-access address is not 4 KiB aligned or too
 *	wide
 * @VMX_CHECK_TPR_SHADOW: a form of APIC virtualization without the TPR shadow
 * @VMX_CHECK_X2APIC: x2APIC mode and APIC accesses virtualized at once
 * @VMX_CHECK_VIRTUAL_INTERRUPTS: virtual-interrupt delivery without
 *	external-interrupt exiting
 * @VMX_CHECK_POSTED_DELIVERY: posted interrupts without virtual-interrupt
 *	delivery
 * @VMX_CHECK_POSTED_ACK: posted interrupts without
 *	acknowledge-interrupt-on-exit
 * @VMX_CHECK_POSTED_VECTOR: the posted-interrupt notification vector is above
 *	255
 * @VMX_CHECK_POSTED_DESC: the posted-interrupt descriptor is not 64-byte
 *	aligned or too wide
 * @VMX_CHECK_VPID: VPID 0 with VPIDs enabled
 * @VMX_CHECK_EPTP_MEMTYPE: EPT paging-structure memory type that the CPU has
 *	not
 * @VMX_CHECK_EPTP_WALK: EPT page-walk length that the CPU has not
 * @VMX_CHECK_EPTP_ACCESS_DIRTY: EPT accessed and dirty flags on a CPU without
 * @VMX_CHECK_EPTP_RESERVED: a reserved bit of the EPT pointer is 1
 * @VMX_CHECK_EPT: a control that needs EPT without it
 * @VMX_CHECK_PML: the PML address is not 4 KiB aligned or too wide
 * @VMX_CHECK_SPP: the sub-page-permission table is not 4 KiB aligned or too
 *	wide
 * @VMX_CHECK_VMFUNC: a VM function that the CPU has not
 * @VMX_CHECK_EPTP_SWITCHING: EPTP switching without EPT
 * @VMX_CHECK_EPTP_LIST: the EPTP-list address is not 4 KiB aligned or too wide
 * @VMX_CHECK_SHADOW_BITMAP: the VMREAD or VMWRITE bitmap is not 4 KiB aligned
 *	or too wide
 * @VMX_CHECK_VE_INFO: the #VE information address is not 4 KiB aligned or too
 *	wide
 * @VMX_CHECK_PT_GUEST_PHYSICAL: Intel PT uses guest-physical addresses, but
 *	RTIT_CTL is not both loaded and cleared
 * @VMX_CHECK_TSC_MULTIPLIER: TSC multiplier 0 with TSC scaling
 * @VMX_CHECK_PASID_DIRECTORY: a PASID directory address is not 4 KiB aligned
 *	or too wide
 * @VMX_CHECK_HLAT: a reserved bit of the HLAT pointer is 1
 * @VMX_CHECK_PID_POINTERS: the PID-pointer table is not 8-byte aligned or too
 *	wide
 * @VMX_CHECK_EXIT_RESERVED: VM-exit controls: a bit is 0 that must be 1, or 1
 *	that must be 0
 * @VMX_CHECK_EXIT2_RESERVED: secondary VM-exit controls: a bit is 1 that must
 *	be 0
 * @VMX_CHECK_SAVE_TIMER: preemption timer saved but not activated
 * @VMX_CHECK_EXIT_MSR_STORE: the VM-exit MSR-store area is not 16-byte aligned
 *	or too high
 * @VMX_CHECK_EXIT_MSR_LOAD: the VM-exit MSR-load area is not 16-byte aligned
 *	or too high
 * @VMX_CHECK_ENTRY_RESERVED: VM-entry controls: a bit is 0 that must be 1, or
 *	1 that must be 0
 * @VMX_CHECK_EVENT_TYPE: event injected of a reserved type
 * @VMX_CHECK_EVENT_VECTOR: vector that does not fit the type of the injected
 *	event
 * @VMX_CHECK_EVENT_ERROR_BIT: error code delivered where there is none, or not
 *	where there is one
 * @VMX_CHECK_EVENT_RESERVED: a reserved bit of the interruption information is
 *	1
 * @VMX_CHECK_EVENT_ERROR_CODE: bits 31:16 of the error code are not 0
 * @VMX_CHECK_EVENT_LENGTH: instruction length that a software event cannot
 *	have
 * @VMX_CHECK_ENTRY_MSR_LOAD: the VM-entry MSR-load area is not 16-byte aligned
 *	or too high
 * @VMX_CHECK_ENTRY_SMM: entry to SMM or end of dual-monitor treatment, outside
 *	SMM
 * @VMX_CHECK_HOST_CR0: host CR0 has a bit that VMX operation does not support
 * @VMX_CHECK_HOST_CR4: host CR4 likewise
 * @VMX_CHECK_HOST_CET_WP: host CR4.CET without CR0.WP
 * @VMX_CHECK_HOST_CR3: host CR3 is wider than physical addresses
 * @VMX_CHECK_HOST_SYSENTER: a host SYSENTER address is not canonical
 * @VMX_CHECK_HOST_CET: host CET state: an address not canonical, or a reserved
 *	bit 1
 * @VMX_CHECK_HOST_PERF_GLOBAL: a reserved bit of the host PERF_GLOBAL_CTRL is
 *	1
 * @VMX_CHECK_HOST_PAT: a byte of the host PAT is no memory type
 * @VMX_CHECK_HOST_EFER_RESERVED: a reserved bit of the host EFER is 1
 * @VMX_CHECK_HOST_EFER_MODE: host EFER.LMA or LME differs from the host
 *	address-space size
 * @VMX_CHECK_HOST_PKRS: bits 63:32 of the host PKRS are not 0
 * @VMX_CHECK_HOST_SELECTOR: RPL or TI of a host selector is not 0
 * @VMX_CHECK_HOST_NULL: host CS or TR selector is 0
 * @VMX_CHECK_HOST_SS_NULL: host SS selector is 0 with a 32-bit host
 * @VMX_CHECK_HOST_BASE: a host base address is not canonical
 * @VMX_CHECK_HOST_ADDRESS_SPACE: host address-space size differs from the mode
 *	VM entry is made in
 * @VMX_CHECK_HOST_IA32E_GUEST: IA-32e mode guest with a 32-bit host
 * @VMX_CHECK_HOST_PCIDE: host CR4.PCIDE with a 32-bit host
 * @VMX_CHECK_HOST_PAE: host CR4.PAE is 0 with a 64-bit host
 * @VMX_CHECK_HOST_RIP: host RIP is not canonical, or wider than a 32-bit host
 * @VMX_CHECK_GUEST_CR0: guest CR0 has a bit that VMX operation does not
 *	support
 * @VMX_CHECK_GUEST_PG_PE: guest CR0.PG without CR0.PE
 * @VMX_CHECK_GUEST_CR4: guest CR4 has a bit that VMX operation does not
 *	support
 * @VMX_CHECK_GUEST_CET_WP: guest CR4.CET without CR0.WP
 * @VMX_CHECK_GUEST_DEBUGCTL: a reserved bit of the guest DEBUGCTL is 1
 * @VMX_CHECK_GUEST_IA32E_PG: IA-32e mode guest without CR0.PG
 * @VMX_CHECK_GUEST_IA32E_PAE: IA-32e mode guest without CR4.PAE
 * @VMX_CHECK_GUEST_PCIDE: guest CR4.PCIDE outside IA-32e mode
 * @VMX_CHECK_GUEST_CR3: guest CR3 is wider than physical addresses
 * @VMX_CHECK_GUEST_DR7: bits 63:32 of the guest DR7 are not 0
 * @VMX_CHECK_GUEST_SYSENTER: a guest SYSENTER address is not canonical
 * @VMX_CHECK_GUEST_CET: guest CET state: an address not canonical, or a
 *	reserved bit 1
 * @VMX_CHECK_GUEST_PERF_GLOBAL: a reserved bit of the guest PERF_GLOBAL_CTRL
 *	is 1
 * @VMX_CHECK_GUEST_PAT: a byte of the guest PAT is no memory type
 * @VMX_CHECK_GUEST_EFER_RESERVED: a reserved bit of the guest EFER is 1
 * @VMX_CHECK_GUEST_EFER_LMA: guest EFER.LMA differs from IA-32e mode guest
 * @VMX_CHECK_GUEST_EFER_LME: guest EFER.LME differs from LMA while CR0.PG is 1
 * @VMX_CHECK_GUEST_BNDCFGS: guest BNDCFGS: address not canonical, or a
 *	reserved bit 1
 * @VMX_CHECK_GUEST_RTIT: guest RTIT_CTL has a reserved bit 1
 * @VMX_CHECK_GUEST_LBR: guest LBR_CTL has a reserved bit 1
 * @VMX_CHECK_GUEST_PKRS: bits 63:32 of the guest PKRS are not 0
 * @VMX_CHECK_GUEST_UINV: bits 15:8 of the guest UINV are not 0
 * @VMX_CHECK_TR_TI: TR selector points into the LDT
 * @VMX_CHECK_LDTR_TI: LDTR selector points into the LDT
 * @VMX_CHECK_SS_RPL: RPLs of SS and CS differ
 * @VMX_CHECK_V86_BASE: virtual-8086 mode: a base is not its selector times 16
 * @VMX_CHECK_BASE_CANONICAL: a segment base is not canonical
 * @VMX_CHECK_BASE_HIGH: bits 63:32 of a segment base are not 0
 * @VMX_CHECK_V86_LIMIT: virtual-8086 mode: a limit is not 0xffff
 * @VMX_CHECK_V86_ACCESS: virtual-8086 mode: access rights are not 0xf3
 * @VMX_CHECK_CS_TYPE: CS is not accessed code (nor, with unrestricted guest,
 *	accessed data)
 * @VMX_CHECK_SS_TYPE: SS is not accessed read-write data
 * @VMX_CHECK_DATA_ACCESSED: DS, ES, FS or GS is not accessed
 * @VMX_CHECK_DATA_READABLE: DS, ES, FS or GS is code that is not readable
 * @VMX_CHECK_SEGMENT_S: a code or data segment has S = 0
 * @VMX_CHECK_CS_DPL: DPL of CS does not go with its type and the DPL of SS
 * @VMX_CHECK_SS_DPL_RPL: DPL and RPL of SS differ
 * @VMX_CHECK_SS_DPL: DPL of SS is not 0 in real mode or with data in CS
 * @VMX_CHECK_DATA_DPL: DPL of DS, ES, FS or GS is below its RPL
 * @VMX_CHECK_SEGMENT_P: a usable segment is not present
 * @VMX_CHECK_SEGMENT_RESERVED: a reserved bit of access rights is 1
 * @VMX_CHECK_CS_DB: CS has both L and D/B
 * @VMX_CHECK_SEGMENT_G: granularity does not go with the limit
 * @VMX_CHECK_TR_TYPE: TR is not a busy TSS (in IA-32e mode: a 64-bit one)
 * @VMX_CHECK_SYSTEM_S: TR or LDTR has S = 1
 * @VMX_CHECK_TR_UNUSABLE: TR is unusable
 * @VMX_CHECK_LDTR_TYPE: LDTR is not an LDT
 * @VMX_CHECK_TABLE_BASE: GDTR or IDTR base is not canonical
 * @VMX_CHECK_TABLE_LIMIT: bits 31:16 of the GDTR or IDTR limit are not 0
 * @VMX_CHECK_RIP_HIGH: bits 63:32 of RIP are not 0 outside 64-bit mode
 * @VMX_CHECK_RIP_CANONICAL: RIP is wider than linear addresses
 * @VMX_CHECK_RFLAGS_RESERVED: a reserved bit of RFLAGS is wrong
 * @VMX_CHECK_RFLAGS_VM: RFLAGS.VM in IA-32e mode or real mode
 * @VMX_CHECK_RFLAGS_IF: external interrupt injected while RFLAGS.IF is 0
 * @VMX_CHECK_SSP: guest SSP is not 4-byte aligned or too wide
 * @VMX_CHECK_ACTIVITY: activity state that the CPU has not
 * @VMX_CHECK_ACTIVITY_HLT: HLT while DPL of SS is not 0
 * @VMX_CHECK_ACTIVITY_BLOCKING: not active while STI or MOV SS blocks
 * @VMX_CHECK_ACTIVITY_EVENT: event injected that the activity state does not
 *	take
 * @VMX_CHECK_BLOCKING_RESERVED: a reserved bit of the interruptibility state
 *	is 1
 * @VMX_CHECK_BLOCKING_BOTH: blocking by STI and by MOV SS at once
 * @VMX_CHECK_BLOCKING_STI_IF: blocking by STI while RFLAGS.IF is 0
 * @VMX_CHECK_BLOCKING_INTERRUPT: external interrupt injected while STI or MOV
 *	SS blocks
 * @VMX_CHECK_BLOCKING_NMI: NMI injected while MOV SS blocks
 * @VMX_CHECK_BLOCKING_SMI: blocking by SMI outside SMM
 * @VMX_CHECK_BLOCKING_NMI_STI: NMI injected while STI blocks: some CPUs refuse
 *	it
 * @VMX_CHECK_BLOCKING_VIRTUAL_NMI: NMI injected while (virtual) NMIs are
 *	blocked
 * @VMX_CHECK_BLOCKING_ENCLAVE: enclave interruption with blocking by MOV SS or
 *	without SGX
 * @VMX_CHECK_PENDING_RESERVED: a reserved bit of the pending debug exceptions
 *	is 1
 * @VMX_CHECK_PENDING_BS: pending single-step trap that does not go with
 *	RFLAGS.TF and DEBUGCTL.BTF
 * @VMX_CHECK_PENDING_RTM: pending RTM debug exception that the CPU or the
 *	other bits exclude
 * @VMX_CHECK_LINK_POINTER: the VMCS link pointer is not 4 KiB aligned or too
 *	wide
 * @VMX_CHECK_LINK_REVISION: what the VMCS link pointer points to is not a
 *	(shadow) VMCS of this CPU
 * @VMX_CHECK_LINK_CURRENT: the VMCS link pointer points to the VMCS itself
 * @VMX_CHECK_PDPTE: a reserved bit of a present PDPTE is 1
 * @VMX_CHECK_MSR_LOAD: an MSR of the VM-entry MSR-load area cannot be loaded
 * @VMX_CHECK_MACHINE_CHECK: a machine check during VM entry
 *
 * Numbers are stable. In struct vmx_failure, the field (of the several that a
 * check may be about) and the offending bits complete the story.
 */
enum vmx_check {
	VMX_CHECK_NONE = 0,

	/*
	 * Execution controls (SDM, "Checks on VMX Controls", "VM-Execution
	 * Control Fields"): error 7
	 */
	VMX_CHECK_PIN_RESERVED = 100,
	VMX_CHECK_CPU_RESERVED = 101,
	VMX_CHECK_CPU2_RESERVED = 102,
	VMX_CHECK_CPU3_RESERVED = 103,
	VMX_CHECK_CR3_TARGET_COUNT = 104,
	VMX_CHECK_IO_BITMAP = 105,
	VMX_CHECK_MSR_BITMAP = 106,
	VMX_CHECK_VIRTUAL_APIC = 107,
	VMX_CHECK_TPR_THRESHOLD = 108,
	VMX_CHECK_TPR_BELOW_THRESHOLD = 109,
	VMX_CHECK_VIRTUAL_NMIS = 110,
	VMX_CHECK_NMI_WINDOW = 111,
	VMX_CHECK_APIC_ACCESS = 112,
	VMX_CHECK_TPR_SHADOW = 113,
	VMX_CHECK_X2APIC = 114,
	VMX_CHECK_VIRTUAL_INTERRUPTS = 115,
	VMX_CHECK_POSTED_DELIVERY = 116,
	VMX_CHECK_POSTED_ACK = 117,
	VMX_CHECK_POSTED_VECTOR = 118,
	VMX_CHECK_POSTED_DESC = 119,
	VMX_CHECK_VPID = 120,
	VMX_CHECK_EPTP_MEMTYPE = 121,
	VMX_CHECK_EPTP_WALK = 122,
	VMX_CHECK_EPTP_ACCESS_DIRTY = 123,
	VMX_CHECK_EPTP_RESERVED = 124,
	VMX_CHECK_EPT = 125,
	VMX_CHECK_PML = 126,
	VMX_CHECK_SPP = 127,
	VMX_CHECK_VMFUNC = 128,
	VMX_CHECK_EPTP_SWITCHING = 129,
	VMX_CHECK_EPTP_LIST = 130,
	VMX_CHECK_SHADOW_BITMAP = 131,
	VMX_CHECK_VE_INFO = 132,
	VMX_CHECK_PT_GUEST_PHYSICAL = 133,
	VMX_CHECK_TSC_MULTIPLIER = 134,
	VMX_CHECK_PASID_DIRECTORY = 135,
	VMX_CHECK_HLAT = 136,
	VMX_CHECK_PID_POINTERS = 137,

	/* VM-exit controls (SDM, "VM-Exit Control Fields"): error 7 */
	VMX_CHECK_EXIT_RESERVED = 200,
	VMX_CHECK_EXIT2_RESERVED = 201,
	VMX_CHECK_SAVE_TIMER = 202,
	VMX_CHECK_EXIT_MSR_STORE = 203,
	VMX_CHECK_EXIT_MSR_LOAD = 204,

	/* VM-entry controls (SDM, "VM-Entry Control Fields"): error 7 */
	VMX_CHECK_ENTRY_RESERVED = 300,
	VMX_CHECK_EVENT_TYPE = 301,
	VMX_CHECK_EVENT_VECTOR = 302,
	VMX_CHECK_EVENT_ERROR_BIT = 303,
	VMX_CHECK_EVENT_RESERVED = 304,
	VMX_CHECK_EVENT_ERROR_CODE = 305,
	VMX_CHECK_EVENT_LENGTH = 306,
	VMX_CHECK_ENTRY_MSR_LOAD = 307,
	VMX_CHECK_ENTRY_SMM = 308,

	/* Host state (SDM, "Checks on the Host-State Area"): error 8 */
	VMX_CHECK_HOST_CR0 = 400,
	VMX_CHECK_HOST_CR4 = 401,
	VMX_CHECK_HOST_CET_WP = 402,
	VMX_CHECK_HOST_CR3 = 403,
	VMX_CHECK_HOST_SYSENTER = 404,
	VMX_CHECK_HOST_CET = 405,
	VMX_CHECK_HOST_PERF_GLOBAL = 406,
	VMX_CHECK_HOST_PAT = 407,
	VMX_CHECK_HOST_EFER_RESERVED = 408,
	VMX_CHECK_HOST_EFER_MODE = 409,
	VMX_CHECK_HOST_PKRS = 410,
	VMX_CHECK_HOST_SELECTOR = 411,
	VMX_CHECK_HOST_NULL = 412,
	VMX_CHECK_HOST_SS_NULL = 413,
	VMX_CHECK_HOST_BASE = 414,
	VMX_CHECK_HOST_ADDRESS_SPACE = 415,
	VMX_CHECK_HOST_IA32E_GUEST = 416,
	VMX_CHECK_HOST_PCIDE = 417,
	VMX_CHECK_HOST_PAE = 418,
	VMX_CHECK_HOST_RIP = 419,

	/*
	 * Guest control registers, debug registers, MSRs (SDM, "Checks on Guest
	 * Control Registers, Debug Registers, and MSRs")
	 */
	VMX_CHECK_GUEST_CR0 = 500,
	VMX_CHECK_GUEST_PG_PE = 501,
	VMX_CHECK_GUEST_CR4 = 502,
	VMX_CHECK_GUEST_CET_WP = 503,
	VMX_CHECK_GUEST_DEBUGCTL = 504,
	VMX_CHECK_GUEST_IA32E_PG = 505,
	VMX_CHECK_GUEST_IA32E_PAE = 506,
	VMX_CHECK_GUEST_PCIDE = 507,
	VMX_CHECK_GUEST_CR3 = 508,
	VMX_CHECK_GUEST_DR7 = 509,
	VMX_CHECK_GUEST_SYSENTER = 510,
	VMX_CHECK_GUEST_CET = 511,
	VMX_CHECK_GUEST_PERF_GLOBAL = 512,
	VMX_CHECK_GUEST_PAT = 513,
	VMX_CHECK_GUEST_EFER_RESERVED = 514,
	VMX_CHECK_GUEST_EFER_LMA = 515,
	VMX_CHECK_GUEST_EFER_LME = 516,
	VMX_CHECK_GUEST_BNDCFGS = 517,
	VMX_CHECK_GUEST_RTIT = 518,
	VMX_CHECK_GUEST_LBR = 519,
	VMX_CHECK_GUEST_PKRS = 520,
	VMX_CHECK_GUEST_UINV = 521,

	/* Guest segment registers (SDM, "Checks on Guest Segment Registers") */
	VMX_CHECK_TR_TI = 600,
	VMX_CHECK_LDTR_TI = 601,
	VMX_CHECK_SS_RPL = 602,
	VMX_CHECK_V86_BASE = 603,
	VMX_CHECK_BASE_CANONICAL = 604,
	VMX_CHECK_BASE_HIGH = 605,
	VMX_CHECK_V86_LIMIT = 606,
	VMX_CHECK_V86_ACCESS = 607,
	VMX_CHECK_CS_TYPE = 608,
	VMX_CHECK_SS_TYPE = 609,
	VMX_CHECK_DATA_ACCESSED = 610,
	VMX_CHECK_DATA_READABLE = 611,
	VMX_CHECK_SEGMENT_S = 612,
	VMX_CHECK_CS_DPL = 613,
	VMX_CHECK_SS_DPL_RPL = 614,
	VMX_CHECK_SS_DPL = 615,
	VMX_CHECK_DATA_DPL = 616,
	VMX_CHECK_SEGMENT_P = 617,
	VMX_CHECK_SEGMENT_RESERVED = 618,
	VMX_CHECK_CS_DB = 619,
	VMX_CHECK_SEGMENT_G = 620,
	VMX_CHECK_TR_TYPE = 621,
	VMX_CHECK_SYSTEM_S = 622,
	VMX_CHECK_TR_UNUSABLE = 623,
	VMX_CHECK_LDTR_TYPE = 624,

	/*
	 * Guest descriptor tables, RIP, RFLAGS and SSP (SDM, "Checks on Guest
	 * Descriptor-Table Registers", "Checks on Guest RIP, RFLAGS, and SSP")
	 */
	VMX_CHECK_TABLE_BASE = 700,
	VMX_CHECK_TABLE_LIMIT = 701,
	VMX_CHECK_RIP_HIGH = 702,
	VMX_CHECK_RIP_CANONICAL = 703,
	VMX_CHECK_RFLAGS_RESERVED = 704,
	VMX_CHECK_RFLAGS_VM = 705,
	VMX_CHECK_RFLAGS_IF = 706,
	VMX_CHECK_SSP = 707,

	/* Guest non-register state (SDM, "Checks on Guest Non-Register State") */
	VMX_CHECK_ACTIVITY = 800,
	VMX_CHECK_ACTIVITY_HLT = 801,
	VMX_CHECK_ACTIVITY_BLOCKING = 802,
	VMX_CHECK_ACTIVITY_EVENT = 803,
	VMX_CHECK_BLOCKING_RESERVED = 810,
	VMX_CHECK_BLOCKING_BOTH = 811,
	VMX_CHECK_BLOCKING_STI_IF = 812,
	VMX_CHECK_BLOCKING_INTERRUPT = 813,
	VMX_CHECK_BLOCKING_NMI = 814,
	VMX_CHECK_BLOCKING_SMI = 815,
	VMX_CHECK_BLOCKING_NMI_STI = 816,
	VMX_CHECK_BLOCKING_VIRTUAL_NMI = 817,
	VMX_CHECK_BLOCKING_ENCLAVE = 818,
	VMX_CHECK_PENDING_RESERVED = 820,
	VMX_CHECK_PENDING_BS = 821,
	VMX_CHECK_PENDING_RTM = 822,
	VMX_CHECK_LINK_POINTER = 830,
	VMX_CHECK_LINK_REVISION = 831,
	VMX_CHECK_LINK_CURRENT = 832,

	/*
	 * Guest page-directory-pointer-table entries (SDM, "Checks on Guest
	 * Page-Directory-Pointer-Table Entries")
	 */
	VMX_CHECK_PDPTE = 840,

	/* Found by the CPU alone: exit reasons 34 and 41 */
	VMX_CHECK_MSR_LOAD = 900,
	VMX_CHECK_MACHINE_CHECK = 901,
};

#endif /* _UAPI_LINUX_VMX_CHECKS_H */
