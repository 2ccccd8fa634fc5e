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
#include "start_tables.h"
#include "x86.h"

#define FLAT(selector, access)	{ selector, access, 0, LIMIT_FLAT }
/* What the modes other than real mode have in common. */
#define TABLES								\
	.rflags = RFLAGS_FIXED,						\
	.data = FLAT(VMX_GUEST_DS, ACCESS_DATA32),			\
	.tr = { VMX_GUEST_TR, ACCESS_TSS, VMX_GUEST_TSS, LIMIT_TSS },	\
	.gdt_base = VMX_GUEST_GDT, .gdt_limit = START_GDT_ENTRIES * 8 - 1

static const struct vmx_start starts[] = {
	[VMX_MODE_REAL] = {
		.mode = VMX_MODE_REAL, .rflags = RFLAGS_FIXED, .cr0 = CR0_ET,
		.cs = { 0, ACCESS_CODE16, 0, LIMIT_REAL },
		.data = { 0, ACCESS_DATA16, 0, LIMIT_REAL },
		.tr = { 0, ACCESS_TSS, VMX_GUEST_TSS, LIMIT_TSS },
		.gdt_base = VMX_GUEST_GDT, .gdt_limit = START_GDT_ENTRIES * 8 - 1,
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

static const struct start_selectors selectors = {
	.cs32 = VMX_GUEST_CS32, .cs64 = VMX_GUEST_CS64, .ds = VMX_GUEST_DS, .tr = VMX_GUEST_TR,
};

/* With EPT the CPU takes PAE's four top entries from the VMCS (SDM, "PAE Paging"). */
static int set_pdptes(int vmcs)
{
	struct vmx_field fields[4];

	for (unsigned int n = 0; n < COUNT(fields); n++)
		fields[n] = (struct vmx_field){
			.field = VMX_F_GUEST_PDPTE0 + 2 * n,
			.value = (VMX_GUEST_PAGE_TABLES + START_DIRECTORIES + n * 0x1000) |
				 PAGE_PRESENT,
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
		start_put_gdt(vm->ram + VMX_GUEST_GDT, &selectors, VMX_GUEST_TSS);
		memset(vm->ram + VMX_GUEST_TSS, 0, LIMIT_TSS + 1);
		if (start.cr0 & CR0_PG)
			start_put_page_tables(vm->ram + VMX_GUEST_PAGE_TABLES, mode,
					      VMX_GUEST_PAGE_TABLES);
	}
	ret = vmx_start_set(&vm->caps, vmcs, &start);
	if (!ret && mode == VMX_MODE_PAE && vm->caps.features & VMX_HAS_EPT)
		ret = set_pdptes(vmcs);
	return ret;
}
