// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Linux's 64-bit boot protocol (Documentation/arch/x86/boot.rst in the kernel):
 * bzImages, and uncompressed kernels entered behind the decompressor.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "load.h"

#define BOOT_FLAG		0xaa55
#define HEADER_MAGIC		0x53726448	/* "HdrS" */
#define HEADER_AT		0x1f1
#define HEADER_JUMP_AT		0x201		/* a jump over the header: says where it ends */
#define HEADER_MAGIC_AT		0x202
#define VERSION_AT		0x206
#define HEADER_MIN_END		0x264		/* with init_size */
#define VERSION_MIN		0x020c		/* 2.12: the first with a 64-bit entry point */
#define LOADER_UNDEFINED	0xff
#define VIDEO_NORMAL		0xffff

#define SECTOR			512
#define SECTS_DEFAULT		4
#define PARAGRAPH		16
#define ENTRY_64		0x200
#define INITRD_MAX_DEFAULT	0x7fffffff
#define CMDLINE_DEFAULT		255
#define CMDLINE_VMLINUX		2047		/* COMMAND_LINE_SIZE there, and its '\0' */

#ifndef SETUP_RNG_SEED
#define SETUP_RNG_SEED		9
#endif

_Static_assert(offsetof(struct boot_params, hdr) == HEADER_AT, "zero page");
_Static_assert(sizeof(struct boot_params) == PAGE, "zero page");

/* What is not part of the image, and where it goes. */
struct linux_boot {
	struct boot_params params;
	struct start_tables tables;
	unsigned char seed[sizeof(struct setup_data) + PAGE];
	uint64_t entry;
	uint64_t params_at;
};

bool bzimage_is(const struct vmx_boot *boot)
{
	const unsigned char *image = boot->kernel;
	uint32_t magic;

	if (!inside(boot->kernel_size, HEADER_MAGIC_AT, sizeof(magic)))
		return false;
	memcpy(&magic, image + HEADER_MAGIC_AT, sizeof(magic));
	return magic == HEADER_MAGIC;
}

/* Before anything else of the header: that is shorter in older versions. */
static int check_version(const struct vmx_boot *boot)
{
	uint16_t version;
	int error = image_read(boot, VERSION_AT, &version, sizeof(version), "setup header");

	if (!error && version < VERSION_MIN)
		error = vmx_fail(EOPNOTSUPP,
				 "The bzImage has boot protocol %u.%02u (byte 0x206): 64-bit entry needs 2.12, of Linux 3.8",
				 version >> 8, version & 0xff);
	return error;
}

static int check_header(const struct setup_header *header)
{
	if (header->boot_flag != BOOT_FLAG)
		return vmx_fail(ENOEXEC, "The bzImage is damaged: %#x at byte 0x1fe, not %#x",
				header->boot_flag, BOOT_FLAG);
	if (!(header->loadflags & LOADED_HIGH))
		return vmx_fail(EOPNOTSUPP,
				"The kernel is a zImage (bit 0 at byte 0x211 is 0): build a bzImage");
	if (!(header->xloadflags & XLF_KERNEL_64))
		return vmx_fail(EOPNOTSUPP,
				"The bzImage has no 64-bit entry point (bit 0 at byte 0x236 is 0): it is a 32-bit kernel");
	return 0;
}

/* Takes the setup header over into a zero page. How long it is depends on the version. */
static int read_setup_header(const struct vmx_boot *boot, struct boot_params *params)
{
	struct setup_header *header = &params->hdr;
	uint8_t jump;
	uint64_t end;
	int error = image_read(boot, HEADER_JUMP_AT, &jump, 1, "setup header");

	if (error)
		return error;
	end = HEADER_MAGIC_AT + jump;
	if (!bzimage_is(boot))
		return vmx_fail(ENOEXEC,
				"The kernel image is no bzImage: \"HdrS\" is not at byte 0x202");
	error = check_version(boot);
	if (error)
		return error;
	if (jump > INT8_MAX || end < HEADER_MIN_END)
		return vmx_fail(ENOEXEC,
				"The bzImage is damaged: its setup header would end at %#llx (byte 0x201), not between %#x and %#x",
				(unsigned long long)end, HEADER_MIN_END,
				HEADER_MAGIC_AT + INT8_MAX);
	error = image_read(boot, HEADER_AT, (unsigned char *)params + HEADER_AT, end - HEADER_AT,
			   "setup header");
	return error ? error : check_header(header);
}

/* Where the kernel wants to be. It moves from there by itself, within init_size or by KASLR. */
static int find_address(const struct setup_header *header, uint64_t *address)
{
	uint64_t alignment = header->relocatable_kernel ? header->kernel_alignment : 1;

	if (!alignment || alignment & (alignment - 1))
		return vmx_fail(ENOEXEC,
				"The bzImage is damaged: kernel_alignment %#x (byte 0x230) is no power of 2",
				header->kernel_alignment);
	if (header->pref_address >= GIB_4 || header->pref_address + alignment - 1 >= GIB_4)
		return vmx_fail(ENOEXEC,
				"The bzImage is damaged: pref_address %#llx (byte 0x258) is not below 4 GiB",
				(unsigned long long)header->pref_address);
	*address = (header->pref_address + alignment - 1) & ~(alignment - 1);
	if (*address + header->init_size > GIB_4)
		return vmx_fail(ENOEXEC,
				"The bzImage is damaged: init_size %#x (byte 0x260) goes past 4 GiB",
				header->init_size);
	return 0;
}

/* How much of the code the file has: Linux fills the last paragraph up, others do not. */
static int find_code(const struct vmx_boot *boot, uint64_t offset, uint64_t size, uint64_t *here)
{
	*here = size;
	if (inside(boot->kernel_size, offset, 0) && boot->kernel_size - offset < size &&
	    size - (boot->kernel_size - offset) < PARAGRAPH)
		*here = boot->kernel_size - offset;
	return image_has(boot, offset, *here, "protected-mode code");
}

static int plan_bzimage(struct plan *plan, const struct vmx_boot *boot, struct linux_boot *to)
{
	struct setup_header *header = &to->params.hdr;
	uint64_t offset, size, here, address = 0;
	int error = read_setup_header(boot, &to->params);

	if (error)
		return error;
	offset = ((header->setup_sects ? header->setup_sects : SECTS_DEFAULT) + 1) * SECTOR;
	size = (uint64_t)header->syssize * PARAGRAPH;
	error = find_code(boot, offset, size, &here);
	if (error)
		return error;
	if (size <= ENTRY_64 || size > header->init_size)
		return vmx_fail(ENOEXEC,
				"The bzImage is damaged: %#llx bytes of code (byte 0x1f4), which need %#x (byte 0x260)",
				(unsigned long long)size, header->init_size);
	if (!inside(size, header->payload_offset, header->payload_length))
		return vmx_fail(ENOEXEC,
				"The bzImage is damaged: a payload of %#x bytes at %#x (byte 0x248) in %#llx bytes of code",
				header->payload_length, header->payload_offset,
				(unsigned long long)size);
	error = find_address(header, &address);
	if (error)
		return error;
	header->code32_start = address;
	to->entry = address + ENTRY_64;
	error = plan_at(plan, address, size, (const unsigned char *)boot->kernel + offset, here,
			"kernel");
	return error ? error : plan_reserved(plan, address + size, header->init_size - size,
					     "kernel's working memory");
}

/* A kernel without a setup header is given the one that it would have had. */
static int plan_vmlinux(struct plan *plan, const struct vmx_boot *boot, struct linux_boot *to)
{
	uint64_t highest;
	struct elf elf;
	int error = elf_read(boot, &elf);

	if (!error && !elf.wide)
		error = vmx_fail(EOPNOTSUPP,
				 "The ELF file is a 32-bit one: it has no 64-bit entry point");
	if (!error)
		error = elf_entry(&elf, &to->entry);
	if (!error)
		error = elf_plan(plan, boot, &elf, &highest);
	to->params.hdr.boot_flag = BOOT_FLAG;
	to->params.hdr.header = HEADER_MAGIC;
	to->params.hdr.version = VERSION_MIN;
	to->params.hdr.loadflags = LOADED_HIGH;
	to->params.hdr.xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G;
	to->params.hdr.initrd_addr_max = INITRD_MAX_DEFAULT;
	to->params.hdr.cmdline_size = CMDLINE_VMLINUX;
	return error;
}

static int plan_command_line(struct plan *plan, const struct vmx_boot *boot,
			     struct boot_params *params)
{
	const char *line = boot->command_line ? boot->command_line : "";
	uint32_t room = params->hdr.cmdline_size ? params->hdr.cmdline_size : CMDLINE_DEFAULT;
	uint64_t base;
	int error;

	if (strlen(line) > room)
		return vmx_fail(E2BIG,
				"The command line has %zu characters; the kernel takes at most %u",
				strlen(line), room);
	error = plan_low(plan, strlen(line) + 1, line, strlen(line), "command line", &base);
	params->hdr.cmd_line_ptr = base;
	return error;
}

/* As far up as the kernel allows; above 4 GiB only where there is no room below. */
static int plan_initrd(struct plan *plan, const struct vmx_boot *boot, struct boot_params *params)
{
	const struct vmx_module *initrd = boot->modules;
	uint64_t end = params->hdr.initrd_addr_max, base;
	int error;

	if (boot->module_count > 1)
		return vmx_fail(E2BIG, "Linux takes one initrd, not %u: join them into one file",
				boot->module_count);
	params->hdr.ramdisk_image = 0;
	params->hdr.ramdisk_size = 0;
	if (!boot->module_count || !initrd->size)
		return 0;
	error = plan_below(plan, MIB, (end ? end : INITRD_MAX_DEFAULT) + 1, PAGE, initrd->size,
			   initrd->data, initrd->size, "initrd", &base);
	if (error == -ENOSPC && params->hdr.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G &&
	    plan->memory->size > plan->memory->low)
		error = plan_below(plan, GIB_4, UINT64_MAX, PAGE, initrd->size, initrd->data,
				   initrd->size, "initrd", &base);
	if (error)
		return error;
	params->hdr.ramdisk_image = base;
	params->hdr.ramdisk_size = initrd->size;
	params->ext_ramdisk_image = base >> 32;
	params->ext_ramdisk_size = (uint64_t)initrd->size >> 32;
	return 0;
}

/* A list of one; without a seed, of none. */
static int plan_setup_data(struct plan *plan, const struct vmx_boot *boot, struct linux_boot *to)
{
	struct setup_data node = { .type = SETUP_RNG_SEED, .len = boot->seed_size };
	uint64_t base = 0;
	int error = 0;

	if (boot->seed_size) {
		memcpy(to->seed, &node, sizeof(node));
		memcpy(to->seed + sizeof(node), boot->seed, boot->seed_size);
		error = plan_low(plan, sizeof(node) + boot->seed_size, to->seed,
				 sizeof(node) + boot->seed_size, "setup data", &base);
	}
	to->params.hdr.setup_data = base;
	return error;
}

static void fill_params(struct boot_params *params, const struct vmx_memory *memory,
			const struct vmx_boot *boot)
{
	_Static_assert(VMX_MEMORY_RANGES <= E820_MAX_ENTRIES_ZEROPAGE, "the map fits");
	params->hdr.type_of_loader = LOADER_UNDEFINED;
	params->hdr.ext_loader_type = 0;
	params->hdr.ext_loader_ver = 0;
	params->hdr.vid_mode = VIDEO_NORMAL;
	params->acpi_rsdp_addr = boot->rsdp;
	params->e820_entries = memory->count;
	for (unsigned int n = 0; n < memory->count; n++)
		params->e820_table[n] = (struct boot_e820_entry){ memory->map[n].base,
								  memory->map[n].size,
								  memory->map[n].type };
}

int load_linux(const struct vmx_memory *memory, const struct vmx_boot *boot,
	       struct vmx_start *start)
{
	struct plan plan = { .memory = memory };
	struct linux_boot to = {};
	int error = elf_is(boot) ? plan_vmlinux(&plan, boot, &to) : plan_bzimage(&plan, boot, &to);

	if (!error)
		error = plan_command_line(&plan, boot, &to.params);
	if (!error)
		error = plan_setup_data(&plan, boot, &to);
	if (!error)
		error = plan_low(&plan, sizeof(to.params), &to.params, sizeof(to.params),
				 "zero page", &to.params_at);
	if (!error)
		error = start_plan(&plan, start, VMX_MODE_LONG, &to.tables);
	if (!error)
		error = plan_initrd(&plan, boot, &to.params);
	if (error)
		return error;
	fill_params(&to.params, memory, boot);
	plan_carry_out(&plan);
	start->rip = to.entry;
	start->regs[VMX_RSI] = to.params_at;
	return 0;
}
