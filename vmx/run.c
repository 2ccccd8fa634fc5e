// SPDX-License-Identifier: GPL-2.0
/*
 * RUN on Intel's CPUs: the innermost loop, which enters the guest with interrupts off, and what the
 * loops around it (core/run.h) need.
 */
#include <asm/msr.h>

#include "../base/compat.h"
#include "../core/trace.h"
#include "../paging/paging.h"
#include "buffers.h"
#include "caps.h"
#include "host.h"
#include "ledger.h"
#include "load.h"
#include "paging.h"
#include "perf.h"
#include "vmx.h"

static __always_inline bool run_trylock(struct vmm_vcpu *v)
{
	return vmx_vmcs_trylock(v->vmcs);
}

static __always_inline void run_unlock(struct vmm_vcpu *v)
{
	vmx_vmcs_unlock_vcpu(v->vmcs);
}

static __always_inline int run_load(struct vmm_vcpu *v)
{
	return vmx_load(v);
}

static __always_inline void run_unload(struct vmm_vcpu *v)
{
	vmx_unload(v);
}

static __always_inline int run_take_input(struct vmm_vcpu *v)
{
	return vmx_take_input(v);
}

static __always_inline void run_give_exit(struct vmm_vcpu *v)
{
	vmx_give_exit(v);
}

static __always_inline void run_give_state(struct vmm_vcpu *v)
{
	vmx_give_state(v);
}

static __always_inline void run_explain_failure(struct vmm_vcpu *v)
{
	vmx_explain_failure(v);
}

/* The same outside of a stay: 0 or a negative errno. */
static __always_inline int run_acquire(struct vmm_vcpu *v)
{
	return vmx_vmcs_get(v->vmcs);
}

static __always_inline void run_release(void)
{
	vmx_vmcs_unget();
}

static __always_inline u64 run_guest_rip(void)
{
	return vmx_insn_vmread(VMX_F_GUEST_RIP);
}

/* Guest TSC ticks until the deadline; 0 if it has passed. */
static __always_inline u64 run_ticks_left(const struct vmm_vcpu *v)
{
	u64 now = vmx_guest_tsc(v);

	return v->deadline > now ? v->deadline - now : 0;
}

static __always_inline u32 run_tsc_khz(void)
{
	return vmx_caps.tsc_khz;
}

static __always_inline bool run_has_timer(void)
{
	return vmx_caps.features & VMX_HAS_PREEMPTION_TIMER;
}

static __always_inline void run_note_host(struct vmm_vcpu *v)
{
	vmx_host_note(v);
}

static __always_inline void run_restore_host(struct vmm_vcpu *v)
{
	vmx_host_restore(v);
}

static __always_inline void run_flush(struct vmm_vcpu *v)
{
	vmx_flush(v);
	vmx_pml_switch(v);
}

/* Pages that the CPU noted as written. */
static __always_inline void run_note_log(struct vmm_vcpu *v)
{
	vmx_pml_note(v);
}

static __always_inline bool run_tell_log(struct vmm_vcpu *v)
{
	return vmx_pml_tell(v);
}

static __always_inline int run_paging_fault(struct vmm_vcpu *v, bool atomic)
{
	return atomic ? vmx_paging_exit(v) : paging_prepare(v);
}

static __always_inline int run_paging_load(struct vmm_vcpu *v)
{
	return vmx_paging_load(v);
}

/* The event into the VM-entry fields, which the entry consumes. */
static void inject_event(struct vmm_vcpu *v)
{
	trace_inject(v->tag.id, v->event.info, v->event.error);
	vmx_write(v, VMX_F_ENTRY_INTR_INFO, v->event.info);
	if (v->event.info & VMX_INTR_ERROR_CODE)
		vmx_write(v, VMX_F_ENTRY_EXCEPTION_ERROR, v->event.error);
	if (v->event.info & VMX_INTR_TYPE_SOFTWARE_INTERRUPT)
		vmx_write(v, VMX_F_ENTRY_INSN_LENGTH, v->event.length);
	if (v->paging) {
		v->given.info = v->event.info;
		v->given.entries = v->count.entries;
		v->given.rip = vmx_read(v, VMX_F_GUEST_RIP);
		v->given.rf = vmx_read(v, VMX_F_GUEST_RFLAGS) & X86_EFLAGS_RF;
	}
	v->event.info = 0;
	v->count.injections++;
}

/* A stay begins. */
static void run_set_timer_exit(struct vmm_vcpu *v, bool on)
{
	u32 ctls = v->vmcs->pin_ctls | (on ? VMX_PIN_PREEMPTION_TIMER : 0);

	if (ctls == v->vmcs->region.pin_in_force)
		return;
	v->vmcs->region.pin_in_force = ctls;
	vmx_write(v, VMX_F_PIN_CONTROLS, ctls);
}

/* SDM, "VMX-Preemption Timer": rounded up, so that it never fires early. */
static void set_timer(struct vmm_vcpu *v)
{
	u32 shift = vmx_caps.timer_shift;
	u64 left = (run_ticks_left(v) + BIT_ULL(shift) - 1) >> shift;

	vmx_write(v, VMX_F_PREEMPTION_TIMER, min_t(u64, left, U32_MAX));
}

static void trace_exit_of(struct vmm_vcpu *v)
{
	trace_exit(v->tag.id, v->exit.reason, vmx_read(v, VMX_F_GUEST_RIP),
		   vmx_read(v, VMX_F_EXIT_QUALIFICATION));
}

/* Something has to be done before VM entry that most CPUs do without. */
static DEFINE_STATIC_KEY_FALSE(before_first);
static DEFINE_STATIC_KEY_FALSE(before_each);

/**
 * vmx_run_init() - find out what this CPU needs before VM entry
 *
 * Context: module init; vmx_buffers_init() was called.
 */
void __init vmx_run_init(void)
{
	bool perf = vmx_perf_init();

	if (perf || vmx_clears_before_first)
		static_branch_enable(&before_first);
	if (perf || vmx_clears_before_each)
		static_branch_enable(&before_each);
}

static noinline void prepare_first(struct vmm_vcpu *v)
{
	vmx_perf_switch(v);
	vmx_clear_before_first(v);
}

static noinline void prepare_each(struct vmm_vcpu *v)
{
	if (v->perf_count)
		vmx_perf_switch(v);
	vmx_clear_before_each(v);
}

static enum vmm_next run_enter(struct vmm_vcpu *v)
{
	enum vmm_next next;

	if (static_branch_unlikely(&before_first))
		prepare_first(v);
	do {
		trace_entry(v->tag.id, v->event.info);
		if (unlikely(v->event.info))
			inject_event(v);
		if (v->deadline && run_has_timer())
			set_timer(v);
		vmx_ledger_enter(v);
		if (static_branch_unlikely(&before_each))
			prepare_each(v);
		v->exit.begin = vmx_enter(v);
		vmx_ledger_leave(v);
		if (trace_exit_enabled())
			trace_exit_of(v);
		next = vmx_handle_exit(v);
		vmx_ledger_handled(v);
	} while (next == VMM_NEXT_ENTER);
	return next;
}

#include "../core/run.h"

/**
 * vmx_run() - %VMX_RUN
 * @v: the vCPU
 *
 * Context: may sleep; the owner's address space.
 * Return: 0 or a negative errno.
 */
long vmx_run(struct vmm_vcpu *v)
{
	return vmm_run_vcpu(v);
}
