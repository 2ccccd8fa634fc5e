// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Guests at the start of their life, in each mode: a GDT and page tables in
 * guest memory, and a VMCS whose guest state says the same.
 */
#include <errno.h>
#include <string.h>

#include <libvmx.h>

#include "internal.h"

#define CR0_PE		0x00000001ull
#define CR0_ET		0x00000010ull
#define CR0_PG		0x80000000ull
#define CR4_PSE		0x00000010ull
#define CR4_PAE		0x00000020ull
#define CR4_OSFXSR	0x00000200ull
#define CR4_OSXMMEXCPT	0x00000400ull
#define EFER_LME	0x00000100ull
#define EFER_LMA	0x00000400ull

#define PAGE_PRESENT	0x01ull
#define PAGE_WRITE	0x02ull
#define PAGE_LARGE	0x80ull

/* Power-on values (SDM, "IA-32 Processor States Following Power-up"). */
#define PAT_DEFAULT	0x0007040600070406ull
#define DR7_DEFAULT	0x400ull
#define RFLAGS_DEFAULT	0x2ull

/* Access rights as a descriptor's bits 40 to 55 (SDM, "Guest Register State"). */
#define ACCESS_CODE16	0x009b
#define ACCESS_DATA16	0x0093
#define ACCESS_CODE32	0xc09b
#define ACCESS_DATA32	0xc093
#define ACCESS_CODE64	0xa09b
#define ACCESS_TSS	0x008b

#define TSS_LIMIT	0x67
#define GDT_ENTRIES	6

/* What distinguishes the modes. */
struct start {
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	uint16_t cs;
	uint16_t ds;
	uint32_t cs_access;
	uint32_t ds_access;
	uint32_t limit;
};

static const struct start starts[] = {
	[VMX_MODE_REAL] = {
		.cr0 = CR0_ET,
		.cs_access = ACCESS_CODE16, .ds_access = ACCESS_DATA16, .limit = 0xffff,
	},
	[VMX_MODE_PROTECTED] = {
		.cr0 = CR0_PE | CR0_ET,
		.cs = VMX_GUEST_CS32, .ds = VMX_GUEST_DS,
		.cs_access = ACCESS_CODE32, .ds_access = ACCESS_DATA32, .limit = 0xffffffff,
	},
	[VMX_MODE_PAE] = {
		.cr0 = CR0_PE | CR0_ET | CR0_PG, .cr3 = VMX_GUEST_PAGE_TABLES, .cr4 = CR4_PAE,
		.cs = VMX_GUEST_CS32, .ds = VMX_GUEST_DS,
		.cs_access = ACCESS_CODE32, .ds_access = ACCESS_DATA32, .limit = 0xffffffff,
	},
	[VMX_MODE_LONG] = {
		.cr0 = CR0_PE | CR0_ET | CR0_PG, .cr3 = VMX_GUEST_PAGE_TABLES,
		.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT, .efer = EFER_LME | EFER_LMA,
		.cs = VMX_GUEST_CS64, .ds = VMX_GUEST_DS,
		.cs_access = ACCESS_CODE64, .ds_access = ACCESS_DATA32, .limit = 0xffffffff,
	},
};

static void write_gdt(unsigned char *ram)
{
	uint64_t gdt[GDT_ENTRIES] = {
		[VMX_GUEST_CS32 / 8] = 0x00cf9b000000ffff,
		[VMX_GUEST_DS / 8] = 0x00cf93000000ffff,
		[VMX_GUEST_CS64 / 8] = 0x00af9b000000ffff,
		/* A busy TSS; in IA-32e mode its base goes on in the next entry. */
		[VMX_GUEST_TR / 8] = 0x00008b0000000000 | VMX_GUEST_TSS << 16 | TSS_LIMIT,
	};

	memcpy(ram + VMX_GUEST_GDT, gdt, sizeof(gdt));
	memset(ram + VMX_GUEST_TSS, 0, TSS_LIMIT + 1);
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

static void write_page_tables(unsigned char *ram, enum vmx_mode mode, const struct start *start)
{
	uint64_t top = VMX_GUEST_PAGE_TABLES;

	if (!(start->cr0 & CR0_PG))
		return;
	memset(ram + top, 0, VMX_GUEST_FREE - top);
	if (mode == VMX_MODE_LONG) {
		write_pointers(ram, top, top + 0x1000, 1, PAGE_PRESENT | PAGE_WRITE);
		write_pointers(ram, top + 0x1000, top + 0x2000, 4, PAGE_PRESENT | PAGE_WRITE);
		write_directories(ram, top + 0x2000);
	} else if (mode == VMX_MODE_PAE) {
		write_pointers(ram, top, top + 0x2000, 4, PAGE_PRESENT);
		write_directories(ram, top + 0x2000);
	} else {
		for (uint32_t n = 0; n < 1024; n++) {
			uint32_t entry = n << 22 | PAGE_PRESENT | PAGE_WRITE | PAGE_LARGE;

			memcpy(ram + top + n * 4, &entry, 4);
		}
	}
}

/* A batch of field writes in the making. */
struct batch {
	struct vmx_field fields[VMX_VMCS_BATCH_MAX];
	size_t count;
};

static void put(struct batch *batch, uint32_t field, uint64_t value)
{
	batch->fields[batch->count++] = (struct vmx_field){ .field = field, .value = value };
}

/* The fields of segment @n lie two encodings apart, in the order ES CS SS DS FS GS LDTR TR. */
static void put_segment(struct batch *batch, unsigned int n, uint16_t selector, uint64_t base,
			uint32_t limit, uint32_t access)
{
	put(batch, VMX_F_GUEST_ES_SELECTOR + 2 * n, selector);
	put(batch, VMX_F_GUEST_ES_BASE + 2 * n, base);
	put(batch, VMX_F_GUEST_ES_LIMIT + 2 * n, limit);
	put(batch, VMX_F_GUEST_ES_ACCESS + 2 * n, access);
}

static void put_segments(struct batch *batch, const struct start *start)
{
	static const unsigned int data[] = { 0, 2, 3, 4, 5 };
	uint16_t tr = start->cs ? VMX_GUEST_TR : 0;

	put_segment(batch, 1, start->cs, 0, start->limit, start->cs_access);
	for (size_t n = 0; n < COUNT(data); n++)
		put_segment(batch, data[n], start->ds, 0, start->limit, start->ds_access);
	put_segment(batch, 6, 0, 0, 0, VMX_ACCESS_UNUSABLE);
	put_segment(batch, 7, tr, VMX_GUEST_TSS, TSS_LIMIT, ACCESS_TSS);
	put(batch, VMX_F_GUEST_GDTR_BASE, VMX_GUEST_GDT);
	put(batch, VMX_F_GUEST_GDTR_LIMIT, GDT_ENTRIES * 8 - 1);
	put(batch, VMX_F_GUEST_IDTR_BASE, 0);
	put(batch, VMX_F_GUEST_IDTR_LIMIT, start->cs ? 0 : 0x3ff);
}

/*
 * The guest sees the values of @start; the fields have in addition what VMX
 * needs (SDM, "Restrictions on VMX Operation"), and the guest does not own it.
 */
static void put_control_registers(struct batch *batch, const struct vmx_caps *caps,
				  const struct start *start, bool unrestricted)
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

static void put_controls(struct batch *batch, const struct vmx_caps *caps,
			 const struct start *start, const struct vmx_field *old,
			 bool unrestricted)
{
	uint64_t cpu = VMX_CPU_HLT_EXITING | VMX_CPU_ACTIVATE_CPU2;
	uint64_t cpu2 = unrestricted ? VMX_CPU2_UNRESTRICTED_GUEST : 0;
	uint64_t entry = VMX_ENTRY_CTL_LOAD_EFER | VMX_ENTRY_CTL_LOAD_PAT;

	put(batch, VMX_F_CPU_CONTROLS, old[0].value | (cpu & caps->cpu.may));
	entry = (old[1].value & ~(uint64_t)VMX_ENTRY_CTL_IA32E_MODE_GUEST) |
		(entry & caps->entry.may);
	if (start->efer)
		entry |= VMX_ENTRY_CTL_IA32E_MODE_GUEST;
	put(batch, VMX_F_ENTRY_CONTROLS, entry);
	if (caps->cpu2.may)
		put(batch, VMX_F_CPU2_CONTROLS, old[2].value | cpu2);
	/* Without 'load EFER' the CPU sets LME and LMA as 'IA-32e mode guest' says. */
	if (caps->entry.may & VMX_ENTRY_CTL_LOAD_EFER)
		put(batch, VMX_F_GUEST_EFER, start->efer);
	if (caps->entry.may & VMX_ENTRY_CTL_LOAD_PAT)
		put(batch, VMX_F_GUEST_PAT, PAT_DEFAULT);
}

static void put_rest(struct batch *batch, uint64_t rip, uint64_t rsp)
{
	put(batch, VMX_F_GUEST_RIP, rip);
	put(batch, VMX_F_GUEST_RSP, rsp);
	put(batch, VMX_F_GUEST_RFLAGS, RFLAGS_DEFAULT);
	put(batch, VMX_F_GUEST_INTERRUPTIBILITY, 0);
	put(batch, VMX_F_GUEST_ACTIVITY, VMX_ACTIVITY_ACTIVE);
	put(batch, VMX_F_GUEST_PENDING_DEBUG, 0);
	put(batch, VMX_F_GUEST_DEBUGCTL, 0);
	put(batch, VMX_F_GUEST_SYSENTER_CS, 0);
	put(batch, VMX_F_GUEST_SYSENTER_ESP, 0);
	put(batch, VMX_F_GUEST_SYSENTER_EIP, 0);
}

/* With EPT the CPU takes PAE's four top entries from the VMCS (SDM, "PAE Paging"). */
static void put_pdptes(struct batch *batch)
{
	for (unsigned int n = 0; n < 4; n++)
		put(batch, VMX_F_GUEST_PDPTE0 + 2 * n,
		    (VMX_GUEST_PAGE_TABLES + 0x2000 + n * 0x1000) | PAGE_PRESENT);
}

static int check_mode(const struct vmx_vm *vm, enum vmx_mode mode, bool unrestricted)
{
	if (mode > VMX_MODE_LONG)
		return vmx_fail(EINVAL, "there is no mode %d", (int)mode);
	if (mode == VMX_MODE_REAL && !(vm->caps.features & VMX_HAS_UNRESTRICTED))
		return vmx_fail(EOPNOTSUPP, "this CPU has no unrestricted guest: a guest must have "
				"CR0.PE and CR0.PG set, so real mode would need an emulator");
	if (mode == VMX_MODE_REAL && !unrestricted)
		return vmx_fail(EOPNOTSUPP, "real mode needs unrestricted guest, which needs EPT: "
				"give the VMCS to a vCPU first");
	if (vm->ram && vm->ram_size < VMX_GUEST_FREE)
		return vmx_fail(EINVAL, "guest RAM of %zu bytes is too small for the tables",
				vm->ram_size);
	return 0;
}

static struct start start_state(enum vmx_mode mode, bool unrestricted)
{
	struct start start = starts[mode];

	if (mode == VMX_MODE_PROTECTED && !unrestricted) {
		start.cr0 |= CR0_PG;
		start.cr3 = VMX_GUEST_PAGE_TABLES;
		start.cr4 |= CR4_PSE;
	}
	return start;
}

int vmx_set_mode(struct vmx_vm *vm, int vmcs, enum vmx_mode mode, uint64_t rip, uint64_t rsp)
{
	struct vmx_field old[] = {
		{ .field = VMX_F_CPU_CONTROLS },
		{ .field = VMX_F_ENTRY_CONTROLS },
		{ .field = VMX_F_CPU2_CONTROLS },
	};
	struct batch batch = { .count = 0 };
	struct start start;
	bool unrestricted;
	int ret = vmx_fields_get(vmcs, old, vm->caps.cpu2.may ? 3 : 2);

	if (ret)
		return ret;
	/* EPT is on while a vCPU has the VMCS. */
	unrestricted = vm->caps.features & VMX_HAS_UNRESTRICTED && old[2].value & VMX_CPU2_EPT;
	ret = check_mode(vm, mode, unrestricted);
	if (ret)
		return ret;

	start = start_state(mode, unrestricted);
	if (vm->ram) {
		write_gdt(vm->ram);
		write_page_tables(vm->ram, mode, &start);
	}
	put_controls(&batch, &vm->caps, &start, old, unrestricted);
	put_control_registers(&batch, &vm->caps, &start, unrestricted);
	put_segments(&batch, &start);
	put_rest(&batch, rip, rsp);
	if (mode == VMX_MODE_PAE && (vm->caps.features & VMX_HAS_EPT))
		put_pdptes(&batch);
	return vmx_fields_set(vmcs, batch.fields, batch.count);
}
