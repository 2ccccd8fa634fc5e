/* SPDX-License-Identifier: GPL-2.0 */
/* The VMCS object: a region, the CPU where it is active, and the values of its fields. */
#ifndef VMX_VMCS_H
#define VMX_VMCS_H

#include <linux/bitops.h>
#include <linux/kref.h>
#include <linux/types.h>
#include <linux/wait_bit.h>

#include "../base/base.h"
#include "../base/ledger_time.h"
#include "../core/vm.h"
#include "region.h"

/**
 * struct vmx_vmcs - what a descriptor from %VMX_CREATE_VMCS stands for
 * @region: what the CPU has; what follows is what userspace wrote
 * @ref: the descriptor's reference and the vCPU's
 * @vm: its VM, referenced
 * @busy: bit 0 is held by RUN and by every ioctl that touches the region; see
 *	vmx_vmcs_trylock()
 * @vcpu: the vCPU that has it, or NULL; under @busy
 * @cpu2_must: secondary controls that the module turned on for the vCPU
 * @entry_ctls: VM-entry controls field, as last written
 * @cpu_ctls: primary processor-based controls as userspace wrote them
 * @cpu_must: primary controls that the module turned on for the vCPU, and does
 *	not show
 * @paging: has fields that the module keeps for the vCPU, or NULL
 * @debugctl_must: bits of the guest's DEBUGCTL that are the host's, likewise
 * @pin_ctls: pin-based controls as userspace wrote them
 * @mode_exec: secondary controls have mode-based execute control
 * @rdtscp: and RDTSCP, which RDPID goes with
 * @tsc_offset: TSC offset field
 * @efer: guest EFER field, as last written; LMA may differ
 * @syscall: the guest may be in 64-bit mode, or get there without an exit, and
 *	execute SYSCALL
 * @exceptions: the exception bitmap userspace asked for
 * @debug: DR7 as last written by userspace enables a breakpoint
 */
struct vmx_vmcs {
	struct vmx_region region;
	struct kref ref;
	struct vmm_vm *vm;
	unsigned long busy;
	struct vmm_vcpu *vcpu;
	u32 cpu2_must;
	u32 entry_ctls;
	u32 cpu_ctls;
	u32 cpu_must;
	u32 debugctl_must;
	struct shadow_paging *paging;
	u32 pin_ctls;
	u64 tsc_offset;
	u32 exceptions;
	u64 efer;
	bool syscall;
	bool debug;
	bool mode_exec;
	bool rdtscp;
};

int vmx_vmcs_create(struct vmm_vm *vm);
struct vmx_vmcs *vmx_vmcs_from_fd(int fd, struct vmm_vm *vm);
void vmx_vmcs_put(struct vmx_vmcs *vmcs);

/**
 * vmx_vmcs_trylock() - begin to use a VMCS
 * @vmcs: the VMCS
 *
 * A bit rather than a mutex: nobody ever waits for a running guest.
 *
 * Context: process.
 * Return: false if somebody else uses it.
 */
static inline bool vmx_vmcs_trylock(struct vmx_vmcs *vmcs)
{
	return !test_and_set_bit_lock(0, &vmcs->busy);
}

/**
 * vmx_vmcs_lock() - the same for one who has to wait
 * @vmcs: the VMCS, which no RUN has: its ioctls do not wait for anything while they have it
 *
 * Context: may sleep.
 */
static inline void vmx_vmcs_lock(struct vmx_vmcs *vmcs)
{
	wait_on_bit_lock(&vmcs->busy, 0, TASK_UNINTERRUPTIBLE);
}

/**
 * vmx_vmcs_unlock() - undo vmx_vmcs_trylock() or vmx_vmcs_lock()
 * @vmcs: the VMCS
 *
 * Context: process.
 */
static inline void vmx_vmcs_unlock(struct vmx_vmcs *vmcs)
{
	clear_and_wake_up_bit(0, &vmcs->busy);
}

/**
 * vmx_vmcs_unlock_vcpu() - the same for one who has the vCPU's descriptor
 * @vmcs: the VMCS
 *
 * Nobody waits: that is for the end of the vCPU alone.
 *
 * Context: process.
 */
static inline void vmx_vmcs_unlock_vcpu(struct vmx_vmcs *vmcs)
{
	clear_bit_unlock(0, &vmcs->busy);
}

/* vmx/vmcs_fields.c: what field ioctls do */
long vmx_vmcs_fields_ioctl(struct vmx_vmcs *vmcs, unsigned int cmd,
			   void __user *arg);
int vmx_vmcs_init_fields(struct vmx_vmcs *vmcs);
int vmx_vmcs_get(struct vmx_vmcs *vmcs);
void vmx_vmcs_unget(void);
u64 vmx_vmcs_read(const struct vmx_vmcs *vmcs, u32 field);
enum vmx_refusal vmx_vmcs_judge(struct vmx_vmcs *vmcs, u32 field, u64 *value);
void vmx_vmcs_note(struct vmx_vmcs *vmcs, u32 field, u64 value, u64 asked);
void vmx_vmcs_write(struct vmx_vmcs *vmcs, u32 field, u64 value, u64 asked);
enum vmx_refusal vmx_vmcs_set(struct vmx_vmcs *vmcs, u32 field, u64 value);

/* vmx/vmcs_check.c */
long vmx_vmcs_check(struct vmx_vmcs *vmcs, void __user *arg);
void vmx_vmcs_explain_registers(struct vmx_vmcs *vmcs, struct vmx_failure *failure);
void vmx_vmcs_explain(struct vmx_vmcs *vmcs, u32 reason,
		      struct vmx_failure *failure);

#endif /* VMX_VMCS_H */
