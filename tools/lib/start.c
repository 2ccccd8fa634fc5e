// SPDX-License-Identifier: LGPL-2.1-or-later
/* Puts a vCPU's first state into its VMCS. */
#include <libvmx/load.h>

#include "internal.h"
#include "x86.h"

/* A batch of field writes in the making. */
struct batch {
	struct vmx_field fields[VMX_VMCS_BATCH_MAX];
	size_t count;
};

static void put(struct batch *batch, uint32_t field, uint64_t value)
{
	batch->fields[batch->count++] = (struct vmx_field){ .field = field, .value = value };
}

/* The fields of segment N lie two encodings apart, in the order ES CS SS DS FS GS LDTR TR. */
static void put_segment(struct batch *batch, unsigned int n,
			const struct vmx_start_segment *segment)
{
	put(batch, VMX_F_GUEST_ES_SELECTOR + 2 * n, segment->selector);
	put(batch, VMX_F_GUEST_ES_BASE + 2 * n, segment->base);
	put(batch, VMX_F_GUEST_ES_LIMIT + 2 * n, segment->limit);
	put(batch, VMX_F_GUEST_ES_ACCESS + 2 * n, segment->access);
}

static void put_segments(struct batch *batch, const struct vmx_start *start)
{
	static const struct vmx_start_segment none = { .access = VMX_ACCESS_UNUSABLE };
	static const unsigned int data[] = { 0, 2, 3, 4, 5 };

	put_segment(batch, 1, &start->cs);
	for (size_t n = 0; n < COUNT(data); n++)
		put_segment(batch, data[n], &start->data);
	put_segment(batch, 6, &none);
	put_segment(batch, 7, &start->tr);
	put(batch, VMX_F_GUEST_GDTR_BASE, start->gdt_base);
	put(batch, VMX_F_GUEST_GDTR_LIMIT, start->gdt_limit);
	put(batch, VMX_F_GUEST_IDTR_BASE, 0);
	put(batch, VMX_F_GUEST_IDTR_LIMIT, start->idt_limit);
}

/*
 * The guest sees the values of START; the fields have in addition what VMX
 * needs (SDM, "Restrictions on VMX Operation"), and the guest does not own it.
 */
static void put_control_registers(struct batch *batch, const struct vmx_caps *caps,
				  const struct vmx_start *start, bool unrestricted)
{
	uint64_t need0 = caps->msr.cr0_fixed0, need4 = caps->msr.cr4_fixed0;

	if (unrestricted)
		need0 &= ~(CR0_PE | CR0_PG);
	put(batch, VMX_F_GUEST_CR0, start->cr0 | need0);
	put(batch, VMX_F_CR0_MASK, need0);
	put(batch, VMX_F_CR0_READ_SHADOW, start->cr0);
	put(batch, VMX_F_GUEST_CR3, start->cr3);
	put(batch, VMX_F_GUEST_CR4, start->cr4 | need4);
	put(batch, VMX_F_CR4_MASK, need4);
	put(batch, VMX_F_CR4_READ_SHADOW, start->cr4);
	put(batch, VMX_F_GUEST_DR7, DR7_DEFAULT);
}

static void put_rest(struct batch *batch, const struct vmx_start *start)
{
	put(batch, VMX_F_GUEST_RIP, start->rip);
	put(batch, VMX_F_GUEST_RSP, start->regs[VMX_RSP]);
	put(batch, VMX_F_GUEST_RFLAGS, start->rflags);
	put(batch, VMX_F_GUEST_INTERRUPTIBILITY, 0);
	put(batch, VMX_F_GUEST_ACTIVITY, VMX_ACTIVITY_ACTIVE);
	put(batch, VMX_F_GUEST_PENDING_DEBUG, 0);
	put(batch, VMX_F_GUEST_DEBUGCTL, 0);
	put(batch, VMX_F_GUEST_SYSENTER_CS, 0);
	put(batch, VMX_F_GUEST_SYSENTER_ESP, 0);
	put(batch, VMX_F_GUEST_SYSENTER_EIP, 0);
}

/* What the controls are to become; they also tell whether the guest is unrestricted. */
struct controls {
	uint64_t cpu;
	uint64_t entry;
	uint64_t cpu2;
};

static int get_controls(int vmcs, const struct vmx_caps *caps, struct controls *controls)
{
	struct vmx_field fields[] = {
		{ .field = VMX_F_CPU_CONTROLS },
		{ .field = VMX_F_ENTRY_CONTROLS },
		{ .field = VMX_F_CPU2_CONTROLS },
	};
	int ret = vmx_fields_get(vmcs, fields, caps->cpu2.may ? 3 : 2);

	*controls = (struct controls){ fields[0].value, fields[1].value, fields[2].value };
	return ret;
}

static void put_controls(struct batch *batch, const struct vmx_caps *caps,
			 const struct vmx_start *start, const struct controls *old,
			 bool unrestricted)
{
	uint64_t cpu = VMX_CPU_HLT_EXITING | VMX_CPU_ACTIVATE_CPU2;
	uint64_t cpu2 = unrestricted ? VMX_CPU2_UNRESTRICTED_GUEST : 0;
	uint64_t entry = VMX_ENTRY_CTL_LOAD_EFER | VMX_ENTRY_CTL_LOAD_PAT;

	put(batch, VMX_F_CPU_CONTROLS, old->cpu | (cpu & caps->cpu.may));
	entry = (old->entry & ~(uint64_t)VMX_ENTRY_CTL_IA32E_MODE_GUEST) |
		(entry & caps->entry.may);
	if (start->efer & EFER_LMA)
		entry |= VMX_ENTRY_CTL_IA32E_MODE_GUEST;
	put(batch, VMX_F_ENTRY_CONTROLS, entry);
	if (caps->cpu2.may)
		put(batch, VMX_F_CPU2_CONTROLS, old->cpu2 | cpu2);
	/* Without 'load EFER' the CPU sets LME and LMA as 'IA-32e mode guest' says. */
	if (caps->entry.may & VMX_ENTRY_CTL_LOAD_EFER)
		put(batch, VMX_F_GUEST_EFER, start->efer);
	if (caps->entry.may & VMX_ENTRY_CTL_LOAD_PAT)
		put(batch, VMX_F_GUEST_PAT, PAT_DEFAULT);
}

/* EPT is on while a vCPU has the VMCS. */
static bool is_unrestricted(const struct vmx_caps *caps, const struct controls *controls)
{
	return caps->features & VMX_HAS_UNRESTRICTED && controls->cpu2 & VMX_CPU2_EPT;
}

int vmx_unrestricted(const struct vmx_caps *caps, int vmcs)
{
	struct controls controls;
	int ret = get_controls(vmcs, caps, &controls);

	return ret ?: is_unrestricted(caps, &controls);
}

int vmx_start_set(const struct vmx_caps *caps, int vmcs, const struct vmx_start *start)
{
	struct batch batch = { .count = 0 };
	struct controls old;
	bool unrestricted;
	int ret = get_controls(vmcs, caps, &old);

	if (ret)
		return ret;
	unrestricted = is_unrestricted(caps, &old);
	put_controls(&batch, caps, start, &old, unrestricted);
	put_control_registers(&batch, caps, start, unrestricted);
	put_segments(&batch, start);
	put_rest(&batch, start);
	return vmx_fields_set(vmcs, batch.fields, batch.count);
}
