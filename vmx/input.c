// SPDX-License-Identifier: GPL-2.0
/* Takes the changes that userspace made to the run page since the last exit. */
#include <linux/compiler.h>
#include <linux/stddef.h>

#include "../core/trace.h"
#include "caps.h"
#include "vmx.h"

/* SDM, "Instruction Format" */
#define MAX_INSN_LENGTH	15

/* State that goes by the dirty mask. */
struct input {
	u32 bit;
	u32 field;
	u16 offset;
	u8 size;
	bool judged;	/* by the field table; otherwise any value is taken */
};

#define AT(member)	offsetof(struct vmx_run_page, member)

static const struct input inputs[] = {
	{ VMX_STATE_RIP, VMX_F_GUEST_RIP, AT(rip), 8, false },
	{ VMX_STATE_RSP, VMX_F_GUEST_RSP, AT(regs[4]), 8, false },
	{ VMX_STATE_RFLAGS, VMX_F_GUEST_RFLAGS, AT(rflags), 8, false },
	{ VMX_STATE_CR3, VMX_F_GUEST_CR3, AT(cr3), 8, true },
	{ VMX_STATE_CR0, VMX_F_GUEST_CR0, AT(cr0), 8, true },
	{ VMX_STATE_CR4, VMX_F_GUEST_CR4, AT(cr4), 8, true },
	{ VMX_STATE_EFER, VMX_F_GUEST_EFER, AT(efer), 8, true },
	{ VMX_STATE_INTERRUPTIBILITY, VMX_F_GUEST_INTERRUPTIBILITY,
	  AT(interruptibility), 4, true },
	{ VMX_STATE_ACTIVITY, VMX_F_GUEST_ACTIVITY, AT(activity), 4, true },
};

#define DIRTY_MASK							\
	(VMX_STATE_RIP | VMX_STATE_RSP | VMX_STATE_RFLAGS |		\
	 VMX_STATE_CR0 | VMX_STATE_CR3 | VMX_STATE_CR4 |		\
	 VMX_STATE_EFER | VMX_STATE_INTERRUPTIBILITY | VMX_STATE_ACTIVITY | \
	 VMX_STATE_CR2)

static u64 fetch_input(const struct vmx_run_page *run, const struct input *in)
{
	const void *p = (const void *)run + in->offset;

	return in->size == 4 ? READ_ONCE(*(const u32 *)p) :
			       READ_ONCE(*(const u64 *)p);
}

/* Read once, judge all, then write all. */
static int take_state(struct vmm_vcpu *v, u32 dirty)
{
	u64 asked[ARRAY_SIZE(inputs)], value[ARRAY_SIZE(inputs)];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(inputs); i++) {
		const struct input *in = &inputs[i];

		if (!(dirty & in->bit))
			continue;
		asked[i] = fetch_input(v->run, in);
		value[i] = asked[i];
		if (in->judged &&
		    vmx_vmcs_judge(v->vmcs, in->field, &value[i]))
			return -EINVAL;
	}
	for (i = 0; i < ARRAY_SIZE(inputs); i++) {
		const struct input *in = &inputs[i];

		if (!(dirty & in->bit))
			continue;
		v->count.vmwrites++;
		if (in->judged)
			vmx_vmcs_write(v->vmcs, in->field, value[i], asked[i]);
		else
			vmx_insn_vmwrite(in->field, value[i]);
	}
	if (dirty & VMX_STATE_CR2)
		v->cr2 = READ_ONCE(v->run->cr2);
	return 0;
}

/*
 * Reserved bits and types only: whether the event fits the guest's state is
 * for VM entry to judge (SDM, "VM-Entry Control Fields").
 */
static bool event_valid(u32 info)
{
	u32 type = info & VMX_INTR_TYPE_MASK;
	u32 vector = info & VMX_INTR_VECTOR_MASK;

	if (info & ~(VMX_INTR_VALID | VMX_INTR_ERROR_CODE | VMX_INTR_TYPE_MASK |
		     VMX_INTR_VECTOR_MASK))
		return false;
	switch (type) {
	case VMX_INTR_TYPE_EXTERNAL:
	case VMX_INTR_TYPE_SOFTWARE_INTERRUPT:
		return !(info & VMX_INTR_ERROR_CODE);
	case VMX_INTR_TYPE_NMI:
		return vector == 2 && !(info & VMX_INTR_ERROR_CODE);
	case VMX_INTR_TYPE_HARDWARE_EXCEPTION:
	case VMX_INTR_TYPE_PRIVILEGED_EXCEPTION:
	case VMX_INTR_TYPE_SOFTWARE_EXCEPTION:
		return vector < 32;
	default:
		return false;
	}
}

static int take_event(struct vmm_vcpu *v, u32 info)
{
	if (!(info & VMX_INTR_VALID) || !event_valid(info))
		return -EINVAL;
	v->event.info = info;
	v->event.error = READ_ONCE(v->run->inject_error);
	v->event.length = READ_ONCE(v->run->inject_length);
	return 0;
}

/* Does the CPU have the exits that are asked for? */
static bool windows_valid(u8 window)
{
	if (window & ~(VMX_WINDOW_INTR | VMX_WINDOW_NMI))
		return false;
	return !(window & VMX_WINDOW_NMI) ||
	       vmx_caps.features & VMX_HAS_VIRTUAL_NMI;
}

static void set_windows(struct vmm_vcpu *v, u8 window)
{
	u32 ctls = v->vmcs->cpu_ctls;

	if (window & VMX_WINDOW_INTR)
		ctls |= VMX_CPU_INTERRUPT_WINDOW;
	if (window & VMX_WINDOW_NMI)
		ctls |= VMX_CPU_NMI_WINDOW;
	if (ctls == v->vmcs->region.cpu_in_force)
		return;
	v->vmcs->region.cpu_in_force = ctls;
	vmx_write(v, VMX_F_CPU_CONTROLS, ctls | v->vmcs->cpu_must);
}

/* What needs no judging; @length is that of an instruction to retire, or 0. */
static __always_inline int take_rest(struct vmm_vcpu *v, u32 length)
{
	v->deadline = READ_ONCE(v->run->deadline);
	if (length) {
		v->run->retire = 0;
		vmx_retire_length(v, length);
	}
	return 0;
}

/* What most RUNs do without. */
static noinline int take_all(struct vmm_vcpu *v, u32 event, u32 dirty,
			     u8 window, u32 length)
{
	if (dirty & ~DIRTY_MASK || !windows_valid(window) ||
	    (event && take_event(v, event)))
		return -EINVAL;
	if (dirty && take_state(v, dirty)) {
		v->event.info = 0;
		return -EINVAL;
	}
	v->run->inject_info = 0;
	v->run->dirty = 0;
	set_windows(v, window);
	return take_rest(v, length);
}

/**
 * vmx_take_input() - take over what the run page asks for
 * @v: the vCPU, loaded
 *
 * Context: preemption off.
 * Return: 0, or -EINVAL; nothing changed then.
 */
int vmx_take_input(struct vmm_vcpu *v)
{
	struct vmx_run_page *run = v->run;
	u32 event = READ_ONCE(run->inject_info);
	u32 dirty = READ_ONCE(run->dirty);
	u8 window = READ_ONCE(run->window);
	u8 retire = READ_ONCE(run->retire);
	u32 length = 0;

	if (retire) {
		length = READ_ONCE(run->length);
		if (retire > 1 || !length || length > MAX_INSN_LENGTH)
			return -EINVAL;
	}
	if (unlikely(event | dirty | window |
		     (v->vmcs->region.cpu_in_force ^ v->vmcs->cpu_ctls)))
		return take_all(v, event, dirty, window, length);
	return take_rest(v, length);
}
