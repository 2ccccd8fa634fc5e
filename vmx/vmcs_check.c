// SPDX-License-Identifier: GPL-2.0
/* Which check of VM entry a VMCS fails: check.c judges what this file reads. */
#include "caps.h"
#include "check.h"
#include "ops.h"
#include "paging.h"
#include "vmcs.h"

/* For the checks: the VMCS as it is, but for registers that shadow paging keeps. */
static u64 read_to_check(void *vmcs, u32 field)
{
	const struct vmx_vmcs *of = vmcs;
	u64 value;

	if (of->paging && vmx_paging_read(of, field, &value))
		return value;
	return vmx_insn_vmread(field);
}

static struct vmx_check_ctx check_ctx(struct vmx_vmcs *vmcs)
{
	return (struct vmx_check_ctx) {
		.caps = &vmx_caps,
		.read = read_to_check,
		.opaque = vmcs,
		.shadow = vmcs->paging,
	};
}

/**
 * vmx_vmcs_explain_registers() - the same as vmx_vmcs_explain() for registers that
 * the CPU does not see as the guest has them
 * @vmcs: the VMCS, locked and current
 * @failure: filled in; check is %VMX_CHECK_NONE if nothing is wrong
 *
 * Context: preemption off.
 */
void vmx_vmcs_explain_registers(struct vmx_vmcs *vmcs, struct vmx_failure *failure)
{
	struct vmx_check_ctx ctx = check_ctx(vmcs);

	vmx_check_registers(&ctx, failure);
}

/**
 * vmx_vmcs_explain() - which check of VM entry fails
 * @vmcs: the VMCS, locked and current
 * @reason: the exit reason of an entry that failed; 0 to ask beforehand
 * @failure: filled in; check is %VMX_CHECK_NONE if none does
 *
 * Context: preemption off.
 */
void vmx_vmcs_explain(struct vmx_vmcs *vmcs, u32 reason,
		      struct vmx_failure *failure)
{
	struct vmx_check_ctx ctx = check_ctx(vmcs);

	ctx.strict = reason;
	vmx_check_entry(&ctx, failure);
	/* Only the CPU finds this, after all checks of fields passed */
	if (failure->check)
		return;
	switch (reason & VMX_REASON_BASIC_MASK) {
	case VMX_REASON_MSR_LOADING:
		failure->check = VMX_CHECK_MSR_LOAD;
		break;
	case VMX_REASON_MACHINE_CHECK:
		failure->check = VMX_CHECK_MACHINE_CHECK;
		break;
	}
}

/**
 * vmx_vmcs_check() - %VMX_VMCS_CHECK
 * @vmcs: the VMCS; locked for as long as user memory is not touched
 * @arg: the caller's struct
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
long vmx_vmcs_check(struct vmx_vmcs *vmcs, void __user *arg)
{
	struct vmx_vmcs_check check;
	long err;

	err = base_copy_in(&check, sizeof(check), arg, sizeof(check));
	if (err)
		return err;
	if (check.flags)
		return -EOPNOTSUPP;
	if (!vmx_vmcs_trylock(vmcs))
		return -EBUSY;
	err = vmx_vmcs_get(vmcs);
	if (!err) {
		vmx_vmcs_explain(vmcs, 0, &check.failure);
		vmx_vmcs_unget();
	}
	vmx_vmcs_unlock(vmcs);
	return err ?: base_copy_out(arg, &check, sizeof(check));
}
