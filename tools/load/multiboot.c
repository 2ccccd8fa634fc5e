// SPDX-License-Identifier: LGPL-2.1-or-later
/* Multiboot 1 ("Multiboot Specification version 0.6.96"). */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "load.h"

#define HEADER_MAGIC	0x1badb002
#define HEADER_SEARCH	8192	/* it is within so many bytes */
#define HEADER_ALIGN	4
#define LOADER_MAGIC	0x2badb002
#define LOADER_NAME	"libvmx"

#define WANTS_ALIGNED	0x00000001	/* modules on pages: they always are */
#define WANTS_MEMORY	0x00000002	/* it always gets that */
#define WANTS_VIDEO	0x00000004
#define WANTS		0x0000ffff	/* what has to be understood */
#define HAS_ADDRESSES	0x00010000

#define INFO_MEMORY	0x0001
#define INFO_CMDLINE	0x0004
#define INFO_MODULES	0x0008
#define INFO_MAP	0x0040
#define INFO_NAME	0x0200

#define KIB		1024

struct header {
	uint32_t magic;
	uint32_t flags;
	uint32_t checksum;
};

/* Behind the header, if it HAS_ADDRESSES. */
struct addresses {
	uint32_t header;
	uint32_t load;
	uint32_t load_end;
	uint32_t bss_end;
	uint32_t entry;
};

struct info {
	uint32_t flags;
	uint32_t mem_lower;
	uint32_t mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count;
	uint32_t mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length;
	uint32_t mmap_addr;
	uint32_t drives_length;
	uint32_t drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t apm_table;
	uint32_t video[7];
};

struct info_module {
	uint32_t start;
	uint32_t end;
	uint32_t string;
	uint32_t reserved;
};

struct info_range {
	uint32_t size;		/* of what follows */
	uint64_t base;
	uint64_t length;
	uint32_t type;
} __attribute__((packed));

/* All of it in one piece. */
struct info_block {
	struct info info;
	struct info_module modules[VMX_MODULES_MAX];
	struct info_range map[VMX_MEMORY_RANGES];
	char name[sizeof(LOADER_NAME)];
};

/* Finds a header with the right checksum; else the last one with a wrong one is in BAD. */
static bool find_header(const struct vmx_boot *boot, struct header *header, uint64_t *offset,
			uint64_t *bad)
{
	const unsigned char *image = boot->kernel;

	for (*offset = 0; *offset < HEADER_SEARCH; *offset += HEADER_ALIGN) {
		if (!inside(boot->kernel_size, *offset, sizeof(*header)))
			return false;
		memcpy(header, image + *offset, sizeof(*header));
		if (header->magic != HEADER_MAGIC)
			continue;
		if (!(uint32_t)(header->magic + header->flags + header->checksum))
			return true;
		*bad = *offset;
	}
	return false;
}

bool multiboot_is(const struct vmx_boot *boot)
{
	struct header header;
	uint64_t offset, bad;

	return find_header(boot, &header, &offset, &bad);
}

static int read_header(const struct vmx_boot *boot, struct header *header, uint64_t *offset)
{
	uint64_t bad = UINT64_MAX;
	uint32_t unknown;

	if (!find_header(boot, header, offset, &bad)) {
		if (bad != UINT64_MAX)
			return vmx_fail(ENOEXEC,
					"The Multiboot header at byte %#llx is damaged: the sum of magic, flags and checksum is not 0",
					(unsigned long long)bad);
		return vmx_fail(ENOEXEC,
				"The kernel image has no Multiboot header (%#x) in its first %d bytes",
				HEADER_MAGIC, HEADER_SEARCH);
	}
	if (header->flags & WANTS_VIDEO)
		return vmx_fail(EOPNOTSUPP,
				"The Multiboot kernel requires a video mode (flag 2 at byte %#llx), but the machine has no video",
				(unsigned long long)*offset + 4);
	unknown = header->flags & WANTS & ~(WANTS_ALIGNED | WANTS_MEMORY);
	if (unknown)
		return vmx_fail(EOPNOTSUPP,
				"The Multiboot kernel requires unknown features: flags %#x at byte %#llx",
				unknown, (unsigned long long)*offset + 4);
	return 0;
}

/* Addresses instead of an ELF file: loads from before the header on. */
static int plan_addresses(struct plan *plan, const struct vmx_boot *boot, uint64_t offset,
			  uint64_t *entry)
{
	struct addresses at;
	uint64_t first, load_end, bss_end;
	int error = image_read(boot, offset + sizeof(struct header), &at, sizeof(at),
			       "Multiboot address fields");

	if (error)
		return error;
	if (at.load > at.header || at.header - at.load > offset)
		return vmx_fail(ENOEXEC,
				"The Multiboot header at byte %#llx is damaged: it cannot be at %#x of a kernel loaded at %#x",
				(unsigned long long)offset, at.header, at.load);
	first = offset - (at.header - at.load);
	/* 0 stands for the rest of the file, and for no BSS. */
	load_end = at.load_end ? at.load_end : at.load + (boot->kernel_size - first);
	bss_end = at.bss_end ? at.bss_end : load_end;
	if (load_end <= at.load || bss_end < load_end || at.entry < at.load || at.entry >= bss_end)
		return vmx_fail(ENOEXEC,
				"The Multiboot header at byte %#llx is damaged: load %#x, load end %#llx, BSS end %#llx, entry %#x",
				(unsigned long long)offset, at.load, (unsigned long long)load_end,
				(unsigned long long)bss_end, at.entry);
	error = image_has(boot, first, load_end - at.load, "text and data");
	if (error)
		return error;
	*entry = at.entry;
	return plan_at(plan, at.load, bss_end - at.load,
		       (const unsigned char *)boot->kernel + first, load_end - at.load, "kernel");
}

static int plan_elf(struct plan *plan, const struct vmx_boot *boot, uint64_t *entry)
{
	uint64_t highest;
	struct elf elf;
	int error = elf_read(boot, &elf);

	if (!error)
		error = elf_entry(&elf, entry);
	return error ? error : elf_plan(plan, boot, &elf, &highest);
}

/* KiB of RAM from BASE on in one piece. */
static uint32_t memory_from(const struct vmx_memory *memory, uint64_t base)
{
	uint64_t size;

	for (unsigned int n = 0; n < memory->count; n++)
		if (memory->map[n].type == VMX_RANGE_RAM && memory->map[n].base == base) {
			size = memory->map[n].size / KIB;
			return size < UINT32_MAX ? size : UINT32_MAX;
		}
	return 0;
}

static void fill_block(struct info_block *block, uint64_t base, const struct vmx_memory *memory,
		       const struct vmx_boot *boot, const struct extras *extras)
{
	*block = (struct info_block){
		.info = {
			.flags = INFO_MEMORY | INFO_MAP | INFO_NAME | INFO_MODULES |
				 (boot->command_line ? INFO_CMDLINE : 0),
			.mem_lower = memory_from(memory, 0),
			.mem_upper = memory_from(memory, MIB),
			.cmdline = extras->command_line,
			.mods_count = boot->module_count,
			.mods_addr = base + offsetof(struct info_block, modules),
			.mmap_length = memory->count * sizeof(struct info_range),
			.mmap_addr = base + offsetof(struct info_block, map),
			.boot_loader_name = base + offsetof(struct info_block, name),
		},
		.name = LOADER_NAME,
	};
	for (unsigned int n = 0; n < boot->module_count; n++) {
		uint64_t module = extras->modules[n].base;

		block->modules[n] = (struct info_module){ module, module + boot->modules[n].size,
							  extras->modules[n].string, 0 };
	}
	for (unsigned int n = 0; n < memory->count; n++)
		block->map[n] = (struct info_range){ sizeof(struct info_range) - sizeof(uint32_t),
						     memory->map[n].base, memory->map[n].size,
						     memory->map[n].type };
}

int load_multiboot(const struct vmx_memory *memory, const struct vmx_boot *boot,
		   struct vmx_start *start)
{
	struct plan plan = { .memory = memory };
	struct start_tables tables;
	struct info_block block;
	struct extras extras;
	struct header header;
	uint64_t offset, entry, base;
	int error = read_header(boot, &header, &offset);

	if (!error && header.flags & HAS_ADDRESSES)
		error = plan_addresses(&plan, boot, offset, &entry);
	else if (!error)
		error = plan_elf(&plan, boot, &entry);
	if (!error)
		error = plan_extras(&plan, boot, &extras);
	if (!error)
		error = plan_low(&plan, sizeof(block), &block, sizeof(block),
				 "Multiboot information", &base);
	if (!error)
		error = start_plan(&plan, start, VMX_MODE_PROTECTED, &tables);
	if (error)
		return error;
	fill_block(&block, base, memory, boot, &extras);
	plan_carry_out(&plan);
	start->rip = entry;
	start->regs[VMX_RAX] = LOADER_MAGIC;
	start->regs[VMX_RBX] = base;
	return 0;
}
