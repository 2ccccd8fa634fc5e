// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * PVH: 32-bit protected mode at the entry point that an ELF note names, with a
 * struct hvm_start_info ("x86/HVM direct boot ABI" in Xen's documentation).
 */
#include <errno.h>
#include <string.h>

#include "load.h"

#define START_MAGIC	0x336ec578

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules;
	uint64_t command_line;
	uint64_t rsdp;
	uint64_t map;
	uint32_t map_entries;
	uint32_t reserved;
};

struct start_module {
	uint64_t base;
	uint64_t size;
	uint64_t command_line;
	uint64_t reserved;
};

struct start_range {
	uint64_t base;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

/* All of it in one piece. */
struct start_block {
	struct start_info info;
	struct start_module modules[VMX_MODULES_MAX];
	struct start_range map[VMX_MEMORY_RANGES];
};

static void fill_block(struct start_block *block, uint64_t base, const struct vmx_memory *memory,
		       const struct vmx_boot *boot, const struct extras *extras)
{
	*block = (struct start_block){
		.info = {
			.magic = START_MAGIC,
			.version = 1,
			.module_count = boot->module_count,
			.modules = base + offsetof(struct start_block, modules),
			.command_line = extras->command_line,
			.rsdp = boot->rsdp,
			.map = base + offsetof(struct start_block, map),
			.map_entries = memory->count,
		},
	};
	for (unsigned int n = 0; n < boot->module_count; n++)
		block->modules[n] = (struct start_module){ extras->modules[n].base,
							   boot->modules[n].size,
							   extras->modules[n].string, 0 };
	for (unsigned int n = 0; n < memory->count; n++)
		block->map[n] = (struct start_range){ memory->map[n].base, memory->map[n].size,
						      memory->map[n].type, 0 };
}

int load_pvh(const struct vmx_memory *memory, const struct vmx_boot *boot,
	     struct vmx_start *start)
{
	struct plan plan = { .memory = memory };
	struct start_tables tables;
	struct start_block block;
	struct extras extras;
	uint64_t base, highest;
	uint32_t entry;
	struct elf elf;
	int error = elf_read(boot, &elf);
	int found;

	if (error)
		return error;
	found = elf_pvh_entry(boot, &elf, &entry);
	if (found < 0)
		return found;
	if (!found)
		return vmx_fail(ENOEXEC,
				"The ELF file has no PVH entry point (a note \"Xen\" of type 18); build Linux with CONFIG_PVH");
	error = elf_plan(&plan, boot, &elf, &highest);
	if (!error)
		error = plan_extras(&plan, boot, &extras);
	if (!error)
		error = plan_low(&plan, sizeof(block), &block, sizeof(block), "PVH start info",
				 &base);
	if (!error)
		error = start_plan(&plan, start, VMX_MODE_PROTECTED, &tables);
	if (error)
		return error;
	fill_block(&block, base, memory, boot, &extras);
	plan_carry_out(&plan);
	start->rip = entry;
	start->regs[VMX_RBX] = base;
	return 0;
}
