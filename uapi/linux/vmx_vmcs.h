/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The vmcs object: its fields, their owners, and the checks of VM entry. Include
 * linux/vmx.h, which has the ioctls' numbers.
 */
#ifndef _UAPI_LINUX_VMX_VMCS_H
#define _UAPI_LINUX_VMX_VMCS_H

#include <linux/types.h>
#include <linux/vmx_checks.h>
#include <linux/vmx_sdm.h>

/**
 * enum vmx_refusal - why a batch of VMCS fields was refused
 * @VMX_REFUSED_NOT: it was not refused
 * @VMX_REFUSED_UNKNOWN: no such field in the SDM's appendix "Field Encoding
 *	in VMCS", or one that this CPU does not have
 * @VMX_REFUSED_MODULE: the field belongs to the module: host state, an address, or
 *	state that the module switches
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
 * @value: value; after a write, the new value of the field. A read gives the
 *	controls and the exception bitmap as userspace wrote them, without the
 *	bits that RUN switches and the exceptions that the module adds.
 * @forced: after a write, the bits that the module or the CPU forced, in which
 *	@value differs from the caller's; after a read, 0
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
 * The module judges the whole batch before it writes: a refused batch changes
 * nothing. If a write names a field twice, the last value counts.
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
 * enum vmx_owner - the owner of a VMCS field
 * @VMX_OWNER_USER: userspace reads and writes it
 * @VMX_OWNER_SHARED: userspace writes it, the module forces some bits
 * @VMX_OWNER_CPU: VM-exit information; userspace reads it
 * @VMX_OWNER_MODULE: the module; userspace sees at most that the field exists
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
 * @must: bits that the module or the CPU forces to 1
 * @may: bits that may be 1, @must included; both are 0 where a write is refused
 * @masked: 1 if the value is withheld because it would reveal host addresses
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
 * @count: in, its length; out, the number of fields. The kernel fills at most the
 *	given length, in the order of the SDM's appendix.
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
 * Values of fields that belong to the module read as 0.
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
 * The check enters no guest and changes nothing.
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
 * @active: 1 if the VMCS is active on a CPU
 * @cpu: that CPU's number, -1 if none
 * @launched: 1 after a VM entry since the last clear
 * @attached: 1 if it belongs to a vCPU
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
 * struct vmx_vmcs_clear - %VMX_VMCS_CLEAR: VMCLEAR on the CPU where it is active
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

#endif /* _UAPI_LINUX_VMX_VMCS_H */
