// SPDX-License-Identifier: LGPL-2.1-or-later
/* Starts vCPUs: at a kernel, or where a start-up IPI or ACPI's mailbox sends them. */
#include <errno.h>
#include <string.h>

#include "../lib/internal.h"
#include "../lib/x86.h"
#include "internal.h"

/* With shadow page tables paging is the module's matter, and a guest can do without. */
static int leave_paging_to_module(struct vmx_cpu *cpu, const struct vmx_start *start)
{
	uint64_t need = cpu->machine->vm.caps.msr.cr0_fixed0 & ~CR0_PG;
	struct vmx_field fields[] = {
		{ .field = VMX_F_GUEST_CR0, .value = start->cr0 | need },
		{ .field = VMX_F_CR0_MASK, .value = need },
	};

	/* Where the CPU has no field for it, the run page has. */
	cpu->vcpu.run->efer = start->efer;
	cpu->vcpu.run->dirty |= VMX_STATE_EFER;
	return vmx_fields_set(cpu->vcpu.vmcs, fields, COUNT(fields));
}

static int check_start(const struct vmx_cpu *cpu, const struct vmx_start *start)
{
	const struct vmx_vm *vm = &cpu->machine->vm;

	if (vm->caps.features & VMX_HAS_UNRESTRICTED)
		return 0;
	if (!(start->cr0 & CR0_PE))
		return vmx_fail(EOPNOTSUPP,
				"vCPU %u cannot start in real mode: this VM has no unrestricted guest",
				cpu->id);
	if (!(start->cr0 & CR0_PG) && !vm->shadow)
		return vmx_fail(EOPNOTSUPP,
				"vCPU %u cannot start without paging: this VM has neither unrestricted guest nor shadow page tables",
				cpu->id);
	return 0;
}

int vmx_cpu_start(struct vmx_cpu *cpu, const struct vmx_start *start)
{
	const struct vmx_vm *vm = &cpu->machine->vm;
	int ret = check_start(cpu, start);

	if (ret)
		return ret;
	memcpy((void *)cpu->vcpu.run->regs, start->regs, sizeof(start->regs));
	cpu->vcpu.run->valid = 0;
	ret = vmx_start_set(&vm->caps, cpu->vcpu.vmcs, start);
	if (vm->shadow)
		ret = ret ?: leave_paging_to_module(cpu, start);
	return ret ?: vmx_debugger_on_start(cpu);
}

/* SDM, "Processor State After Reset", with CS and RIP by the vector. */
int vmx_cpu_sipi(struct vmx_cpu *cpu, uint8_t vector)
{
	struct vmx_start start = {
		.mode = VMX_MODE_REAL,
		.rflags = RFLAGS_FIXED,
		.cr0 = CR0_ET,
		.cs = { vector << 8, ACCESS_CODE16, (uint64_t)vector << 12, LIMIT_REAL },
		.data = { 0, ACCESS_DATA16, 0, LIMIT_REAL },
		.tr = { 0, ACCESS_TSS, 0, LIMIT_REAL },
		.gdt_limit = LIMIT_REAL,
		.idt_limit = LIMIT_REAL_IDT,
	};

	return vmx_cpu_start(cpu, &start);
}

/* A start-up IPI leads to real mode, where not every CPU lets a guest be. */
bool vmx_machine_mailbox(const struct vmx_machine *machine)
{
	if (machine->restored)
		return machine->mailbox;
	return machine->config.cpus > 1 && !(machine->vm.caps.features & VMX_HAS_UNRESTRICTED);
}

/* "Multiprocessor Wakeup Structure" in the ACPI specification */
#define COMMAND_WAKEUP	1

struct mailbox {
	uint16_t command;
	uint16_t reserved;
	uint32_t apic_id;
};

bool vmx_cpu_called(const struct vmx_cpu *cpu)
{
	const struct mailbox *mailbox = vmx_memory_at(&cpu->machine->memory, VMX_ACPI_MAILBOX,
						      sizeof(*mailbox));

	/* The command is written last. */
	return mailbox && __atomic_load_n(&mailbox->command, __ATOMIC_ACQUIRE) == COMMAND_WAKEUP &&
	       mailbox->apic_id == cpu->id;
}

int vmx_cpu_answer(struct vmx_cpu *cpu)
{
	struct vmx_start start;
	int ret = vmx_start_parked(&cpu->machine->memory, cpu->id, &start);

	cpu->lapic.waiting = false;
	ret = ret ?: vmx_cpu_own_paging(cpu);
	return ret ?: vmx_cpu_start(cpu, &start);
}
