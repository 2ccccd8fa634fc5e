// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Prepares guests to start in each mode: a GDT and page tables in guest
 * memory, and a VMCS whose guest state matches them.
 */
#include <errno.h>
#include <string.h>

#include <libvmx.h>
#include <libvmx/load.h>

#include "internal.h"
#include "x86.h"

#define GDT_ENTRIES	6

#define FLAT(selector, access)	{ selector, access, 0, LIMIT_FLAT }
/* What the modes other than real mode have in common. */
#define TABLES								\
	.rflags = RFLAGS_FIXED,						\
	.data = FLAT(VMX_GUEST_DS, ACCESS_DATA32),			\
	.tr = { VMX_GUEST_TR, ACCESS_TSS, VMX_GUEST_TSS, LIMIT_TSS },	\
	.gdt_base = VMX_GUEST_GDT, .gdt_limit = GDT_ENTRIES * 8 - 1

static const struct vmx_start starts[] = {
	[VMX_MODE_REAL] = {
		.mode = VMX_MODE_REAL, .rflags = RFLAGS_FIXED, .cr0 = CR0_ET,
		.cs = { 0, ACCESS_CODE16, 0, LIMIT_REAL },
		.data = { 0, ACCESS_DATA16, 0, LIMIT_REAL },
		.tr = { 0, ACCESS_TSS, VMX_GUEST_TSS, LIMIT_TSS },
		.gdt_base = VMX_GUEST_GDT, .gdt_limit = GDT_ENTRIES * 8 - 1,
		.idt_limit = LIMIT_REAL_IDT,
	},
	[VMX_MODE_PROTECTED] = {
		.mode = VMX_MODE_PROTECTED, .cr0 = CR0_PE | CR0_ET,
		.cs = FLAT(VMX_GUEST_CS32, ACCESS_CODE32), TABLES,
	},
	[VMX_MODE_PAE] = {
		.mode = VMX_MODE_PAE, .cr0 = CR0_PE | CR0_ET | CR0_PG,
		.cr3 = VMX_GUEST_PAGE_TABLES, .cr4 = CR4_PAE,
		.cs = FLAT(VMX_GUEST_CS32, ACCESS_CODE32), TABLES,
	},
	[VMX_MODE_LONG] = {
		.mode = VMX_MODE_LONG, .cr0 = CR0_PE | CR0_ET | CR0_PG,
		.cr3 = VMX_GUEST_PAGE_TABLES, .cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT,
		.efer = EFER_LME | EFER_LMA,
		.cs = FLAT(VMX_GUEST_CS64, ACCESS_CODE64), TABLES,
	},
};

static void write_gdt(unsigned char *ram)
{
	uint64_t gdt[GDT_ENTRIES] = {
		[VMX_GUEST_CS32 / 8] = 0x00cf9b000000ffff,
		[VMX_GUEST_DS / 8] = 0x00cf93000000ffff,
		[VMX_GUEST_CS64 / 8] = 0x00af9b000000ffff,
		/* A busy TSS; in IA-32e mode its base goes on in the next entry. */
		[VMX_GUEST_TR / 8] = 0x00008b0000000000 | VMX_GUEST_TSS << 16 | LIMIT_TSS,
	};

	memcpy(ram + VMX_GUEST_GDT, gdt, sizeof(gdt));
	memset(ram + VMX_GUEST_TSS, 0, LIMIT_TSS + 1);
}

/* Four page directories that map 4 GiB to itself; the entries above them point to @table. */
static void write_directories(unsigned char *ram, uint64_t table)
{
	for (uint64_t n = 0; n < 4 * 512; n++) {
		uint64_t entry = n << 21 | PAGE_PRESENT | PAGE_WRITE | PAGE_LARGE;

		memcpy(ram + table + n * 8, &entry, 8);
	}
}

static void write_pointers(unsigned char *ram, uint64_t at, uint64_t table, int count,
			   uint64_t flags)
{
	for (int n = 0; n < count; n++) {
		uint64_t entry = (table + n * 0x1000) | flags;

		memcpy(ram + at + n * 8, &entry, 8);
	}
}

static void write_page_tables(unsigned char *ram, const struct vmx_start *start)
{
	uint64_t top = VMX_GUEST_PAGE_TABLES;

	if (!(start->cr0 & CR0_PG))
		return;
	memset(ram + top, 0, VMX_GUEST_FREE - top);
	if (start->mode == VMX_MODE_LONG) {
		write_pointers(ram, top, top + 0x1000, 1, PAGE_PRESENT | PAGE_WRITE);
		write_pointers(ram, top + 0x1000, top + 0x2000, 4, PAGE_PRESENT | PAGE_WRITE);
		write_directories(ram, top + 0x2000);
	} else if (start->mode == VMX_MODE_PAE) {
		write_pointers(ram, top, top + 0x2000, 4, PAGE_PRESENT);
		write_directories(ram, top + 0x2000);
	} else {
		for (uint32_t n = 0; n < 1024; n++) {
			uint32_t entry = n << 22 | PAGE_PRESENT | PAGE_WRITE | PAGE_LARGE;

			memcpy(ram + top + n * 4, &entry, 4);
		}
	}
}

/* With EPT the CPU takes PAE's four top entries from the VMCS (SDM, "PAE Paging"). */
static int set_pdptes(int vmcs)
{
	struct vmx_field fields[4];

	for (unsigned int n = 0; n < COUNT(fields); n++)
		fields[n] = (struct vmx_field){
			.field = VMX_F_GUEST_PDPTE0 + 2 * n,
			.value = (VMX_GUEST_PAGE_TABLES + 0x2000 + n * 0x1000) | PAGE_PRESENT,
		};
	return vmx_fields_set(vmcs, fields, COUNT(fields));
}

static int check_mode(const struct vmx_vm *vm, enum vmx_mode mode, bool unrestricted)
{
	if (mode > VMX_MODE_LONG)
		return vmx_fail(EINVAL, "mode %d is unknown", (int)mode);
	if (mode == VMX_MODE_REAL && !(vm->caps.features & VMX_HAS_UNRESTRICTED))
		return vmx_fail(EOPNOTSUPP, "this CPU has no unrestricted guest, so guests need "
				"CR0.PE and CR0.PG and cannot run in real mode");
	if (mode == VMX_MODE_REAL && !unrestricted)
		return vmx_fail(EOPNOTSUPP, "real mode needs unrestricted guest, which needs EPT: "
				"give the VMCS to a vCPU first");
	if (vm->ram && vm->ram_size < VMX_GUEST_FREE)
		return vmx_fail(EINVAL, "guest RAM of %zu bytes is too small for the tables",
				vm->ram_size);
	return 0;
}

int vmx_set_mode(struct vmx_vm *vm, int vmcs, enum vmx_mode mode, uint64_t rip, uint64_t rsp)
{
	int unrestricted = vmx_unrestricted(&vm->caps, vmcs);
	struct vmx_start start;
	int ret;

	if (unrestricted < 0)
		return unrestricted;
	ret = check_mode(vm, mode, unrestricted);
	if (ret)
		return ret;

	start = starts[mode];
	start.rip = rip;
	start.regs[VMX_RSP] = rsp;
	if (mode == VMX_MODE_PROTECTED && !unrestricted) {
		start.cr0 |= CR0_PG;
		start.cr3 = VMX_GUEST_PAGE_TABLES;
		start.cr4 |= CR4_PSE;
	}
	if (vm->ram) {
		write_gdt(vm->ram);
		write_page_tables(vm->ram, &start);
	}
	ret = vmx_start_set(&vm->caps, vmcs, &start);
	if (!ret && mode == VMX_MODE_PAE && vm->caps.features & VMX_HAS_EPT)
		ret = set_pdptes(vmcs);
	return ret;
}
