// SPDX-License-Identifier: LGPL-2.1-or-later
/* The state in which a vCPU starts, and the tables in guest memory for it. */
#include <errno.h>
#include <string.h>

#include "load.h"

#include "../lib/start_tables.h"
#include "../lib/x86.h"

/* In the tables' first page. */
#define TSS_OFFSET	0x100
#define PARK_OFFSET	0x800

void start_real(struct vmx_start *start, uint64_t address)
{
	uint16_t segment = address > LIMIT_REAL ? address >> 4 : 0;

	start->mode = VMX_MODE_REAL;
	start->rip = address - (segment << 4);
	start->rflags = RFLAGS_FIXED;
	start->cr0 = CR0_ET;
	start->cs = (struct vmx_start_segment){ segment, ACCESS_CODE16, segment << 4, LIMIT_REAL };
	start->data = (struct vmx_start_segment){ 0, ACCESS_DATA16, 0, LIMIT_REAL };
	start->tr = (struct vmx_start_segment){ 0, ACCESS_TSS, 0, LIMIT_REAL };
	start->gdt_limit = LIMIT_REAL;
	start->idt_limit = LIMIT_REAL_IDT;
}

size_t start_tables_size(enum vmx_mode mode)
{
	return mode == VMX_MODE_LONG ? START_TABLES_PAGES * PAGE : PAGE;
}

static const struct start_selectors selectors = {
	.cs32 = VMX_START_CS32, .cs64 = VMX_START_CS64, .ds = VMX_START_DS, .tr = VMX_START_TR,
};

void start_with_tables(struct vmx_start *start, enum vmx_mode mode, uint64_t base,
		       struct start_tables *tables)
{
	bool wide = mode == VMX_MODE_LONG;
	uint64_t tss = base + TSS_OFFSET;

	memset(tables, 0, sizeof(*tables));
	start_put_gdt(tables->bytes, &selectors, tss);
	start->mode = mode;
	start->rflags = RFLAGS_FIXED;
	start->cr0 = CR0_PE | CR0_ET;
	start->cs = (struct vmx_start_segment){ wide ? VMX_START_CS64 : VMX_START_CS32,
						wide ? ACCESS_CODE64 : ACCESS_CODE32, 0,
						LIMIT_FLAT };
	start->data = (struct vmx_start_segment){ VMX_START_DS, ACCESS_DATA32, 0, LIMIT_FLAT };
	start->tr = (struct vmx_start_segment){ VMX_START_TR, ACCESS_TSS, tss, LIMIT_TSS };
	start->gdt_base = base;
	start->gdt_limit = START_GDT_ENTRIES * 8 - 1;
	start->idt_limit = 0;
	if (!wide)
		return;
	start_put_page_tables(tables->bytes + PAGE, mode, base + PAGE);
	start->cr0 |= CR0_PG;
	start->cr3 = base + PAGE;
	start->cr4 = CR4_PAE;
	start->efer = EFER_LME | EFER_LMA;
}

int start_plan(struct plan *plan, struct vmx_start *start, enum vmx_mode mode,
	       struct start_tables *tables)
{
	size_t size = start_tables_size(mode);
	uint64_t base;
	int error = plan_low(plan, size, tables->bytes, size, "first GDT and page tables", &base);

	if (!error)
		start_with_tables(start, mode, base, tables);
	return error;
}

/*
 * What a parked CPU does: RDI is the mailbox, EBX its APIC ID ("Multiprocessor Wakeup Structure"
 * in the ACPI specification). The command is given back before the CPU goes.
 */
static const unsigned char park_code[] = {
	0xf3, 0x90,				/* again: pause */
	0x66, 0x83, 0x3f, 0x01,			/* cmpw $1, (%rdi) */
	0x75, 0xf8,				/* jne again */
	0x39, 0x5f, 0x04,			/* cmpl %ebx, 4(%rdi) */
	0x75, 0xf3,				/* jne again */
	0x48, 0x8b, 0x47, 0x08,			/* movq 8(%rdi), %rax */
	0x66, 0xc7, 0x07, 0x00, 0x00,		/* movw $0, (%rdi) */
	0xff, 0xe0,				/* jmp *%rax */
};

int vmx_start_parked(const struct vmx_memory *memory, uint32_t apic_id, struct vmx_start *start)
{
	struct start_tables tables;
	unsigned char *at = vmx_memory_to_write(memory, VMX_ACPI_PARK, sizeof(tables));

	_Static_assert(VMX_ACPI_PARK + sizeof(tables) <= VMX_ACPI_MAILBOX, "the mailbox is behind");
	if (!at)
		return vmx_fail(EINVAL,
				"Parked CPUs need RAM below 1 MiB, which the guest does not have: give it more memory");
	*start = (struct vmx_start){ .protocol = VMX_BOOT_FLAT };
	start_with_tables(start, VMX_MODE_LONG, VMX_ACPI_PARK, &tables);
	/* Linux goes to page tables with no-execute pages before it sets EFER. */
	start->efer |= EFER_NXE;
	memcpy(tables.bytes + PARK_OFFSET, park_code, sizeof(park_code));
	memcpy(at, tables.bytes, sizeof(tables));
	start->rip = VMX_ACPI_PARK + PARK_OFFSET;
	start->regs[VMX_RDI] = VMX_ACPI_MAILBOX;
	start->regs[VMX_RBX] = apic_id;
	return 0;
}
