/* SPDX-License-Identifier: GPL-2.0 */
/* What the exit-reason field says. */
#ifndef VMX_EXIT_REASON_H
#define VMX_EXIT_REASON_H

#include <linux/bits.h>
#include <linux/types.h>

#include <linux/vmx.h>

#include <asm/trapnr.h>

/**
 * vmx_exit_reason() - what an exit is, by the exit-reason field
 * @field: the field
 *
 * Bits 25 to 30 say in which circumstances the exit came (in an enclave, with a
 * bus lock, with an MTF exit pending) and not what it is: SDM, "Basic VM-Exit
 * Information". An exit is handled alike with them and without.
 *
 * Return: the basic exit reason, with %VMX_REASON_ENTRY_FAILURE if VM entry failed.
 */
static __always_inline u32 vmx_exit_reason(u32 field)
{
	return field & (VMX_REASON_ENTRY_FAILURE | VMX_REASON_BASIC_MASK);
}

/**
 * vmx_is_nmi() - was it an NMI
 * @intr_info: interruption information of an exit by exception or NMI
 *
 * Return: true if it was.
 */
static __always_inline bool vmx_is_nmi(u32 intr_info)
{
	return (intr_info & VMX_INTR_TYPE_MASK) == VMX_INTR_TYPE_NMI;
}

/**
 * vmx_is_machine_check() - was it a machine check
 * @intr_info: interruption information of an exit by exception or NMI
 *
 * Return: true if it was.
 */
static __always_inline bool vmx_is_machine_check(u32 intr_info)
{
	return (intr_info & (VMX_INTR_TYPE_MASK | VMX_INTR_VECTOR_MASK)) ==
	       (VMX_INTR_TYPE_HARDWARE_EXCEPTION | X86_TRAP_MC);
}

/**
 * vmx_unblocked_nmi() - did the exception come in an IRET that ended blocking by NMI
 * @intr_info: interruption information of an exit by exception or NMI
 *
 * SDM, "Information for VM Exits Due to Vectored Events": the bit is undefined for
 * double faults.
 *
 * Return: true if it did, provided that no event was being delivered.
 */
static __always_inline bool vmx_unblocked_nmi(u32 intr_info)
{
	return intr_info & VMX_INTR_UNBLOCK_NMI &&
	       (intr_info & VMX_INTR_VECTOR_MASK) != X86_TRAP_DF;
}

#endif /* VMX_EXIT_REASON_H */
