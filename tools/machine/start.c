// SPDX-License-Identifier: LGPL-2.1-or-later
/* The state in which vCPUs start. */
#include <string.h>

#include "../lib/internal.h"
#include "internal.h"

#define CR0_PE		0x1ull
#define CR0_ET		0x10ull
#define CR0_PG		0x80000000ull
/* What a machine gives a guest beside what the module insists on. */
#define CPU2_WANTED	(VMX_CPU2_RDTSCP | VMX_CPU2_INVPCID | VMX_CPU2_UNRESTRICTED_GUEST)

struct batch {
	struct vmx_field fields[VMX_VMCS_BATCH_MAX];
	size_t count;
};

static void put(struct batch *batch, uint32_t field, uint64_t value)
{
	batch->fields[batch->count++] = (struct vmx_field){ .field = field, .value = value };
}

/* N is the SDM's number: ES, CS, SS, DS, FS, GS, LDTR, TR. */
static void put_segment(struct batch *batch, unsigned int n, const struct vmx_start_segment *segment)
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

/* SDM, "Restrictions on VMX Operation": bits that have to be set are hidden from the guest. */
static void put_control_registers(struct batch *batch, const struct vmx_caps *caps,
				  const struct vmx_start *start)
{
	uint64_t need0 = caps->msr.cr0_fixed0, need4 = caps->msr.cr4_fixed0;

	if (caps->features & VMX_HAS_UNRESTRICTED)
		need0 &= ~(CR0_PE | CR0_PG);
	put(batch, VMX_F_GUEST_CR0, start->cr0 | need0);
	put(batch, VMX_F_CR0_MASK, need0);
	put(batch, VMX_F_CR0_READ_SHADOW, start->cr0);
	put(batch, VMX_F_GUEST_CR3, start->cr3);
	put(batch, VMX_F_GUEST_CR4, start->cr4 | need4);
	put(batch, VMX_F_CR4_MASK, need4);
	put(batch, VMX_F_CR4_READ_SHADOW, start->cr4);
}

static int put_controls(struct batch *batch, struct vmx_cpu *cpu, const struct vmx_start *start)
{
	const struct vmx_caps *caps = &cpu->machine->vm.caps;
	struct vmx_field old[] = {
		{ .field = VMX_F_CPU_CONTROLS },
		{ .field = VMX_F_ENTRY_CONTROLS },
		{ .field = VMX_F_CPU2_CONTROLS },
	};
	uint64_t entry = (VMX_ENTRY_CTL_LOAD_EFER | VMX_ENTRY_CTL_LOAD_PAT) & caps->entry.may;
	int ret = vmx_fields_get(cpu->vcpu.vmcs, old, caps->cpu2.may ? 3 : 2);

	if (ret)
		return ret;
	put(batch, VMX_F_CPU_CONTROLS, old[0].value | VMX_CPU_HLT_EXITING |
	    (VMX_CPU_ACTIVATE_CPU2 & caps->cpu.may));
	entry |= old[1].value & ~(uint64_t)VMX_ENTRY_CTL_IA32E_MODE_GUEST;
	if (start->mode == VMX_MODE_LONG)
		entry |= VMX_ENTRY_CTL_IA32E_MODE_GUEST;
	put(batch, VMX_F_ENTRY_CONTROLS, entry);
	if (caps->cpu2.may)
		put(batch, VMX_F_CPU2_CONTROLS, old[2].value | (CPU2_WANTED & caps->cpu2.may));
	if (caps->entry.may & VMX_ENTRY_CTL_LOAD_EFER)
		put(batch, VMX_F_GUEST_EFER, start->efer);
	if (caps->entry.may & VMX_ENTRY_CTL_LOAD_PAT)
		put(batch, VMX_F_GUEST_PAT, 0x0007040600070406);
	return 0;
}

int vmx_cpu_start(struct vmx_cpu *cpu, const struct vmx_start *start)
{
	struct batch batch = { .count = 0 };
	int ret = put_controls(&batch, cpu, start);

	if (ret)
		return ret;
	put_control_registers(&batch, &cpu->machine->vm.caps, start);
	put_segments(&batch, start);
	put(&batch, VMX_F_GUEST_DR7, 0x400);
	put(&batch, VMX_F_GUEST_RIP, start->rip);
	put(&batch, VMX_F_GUEST_RSP, start->regs[VMX_RSP]);
	put(&batch, VMX_F_GUEST_RFLAGS, start->rflags);
	put(&batch, VMX_F_GUEST_INTERRUPTIBILITY, 0);
	put(&batch, VMX_F_GUEST_ACTIVITY, VMX_ACTIVITY_ACTIVE);
	put(&batch, VMX_F_GUEST_PENDING_DEBUG, 0);
	memcpy((void *)cpu->vcpu.run->regs, start->regs, sizeof(start->regs));
	cpu->vcpu.run->valid = 0;
	return vmx_fields_set(cpu->vcpu.vmcs, batch.fields, batch.count);
}

/* SDM, "Processor State After Reset", with CS and RIP by the vector. */
int vmx_cpu_sipi(struct vmx_cpu *cpu, uint8_t vector)
{
	struct vmx_start start = {
		.mode = VMX_MODE_REAL,
		.rflags = 2,
		.cr0 = CR0_ET,
		.cs = { .selector = vector << 8, .base = (uint64_t)vector << 12, .limit = 0xffff,
			.access = 0x9b },
		.data = { .limit = 0xffff, .access = 0x93 },
		.tr = { .limit = 0xffff, .access = 0x8b },
		.gdt_limit = 0xffff,
		.idt_limit = 0x3ff,
	};

	return vmx_cpu_start(cpu, &start);
}
