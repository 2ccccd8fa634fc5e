// SPDX-License-Identifier: GPL-2.0
/*
 * Loaders: what a kernel would find in its RAM and registers, and what becomes of images that are
 * not what they say. Images are made here; real ones are loaded as well where there are some.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <libvmx/load.h>

#include "kselftest_harness.h"

#define MIB		0x100000ull
#define RAM		(128 * MIB)
#define FILL		0x5a	/* what RAM is full of, to see what is written */
#define HOLE		0xc0000000

/* Where things are in the images made here. */
#define SETUP_SIZE	1024	/* one sector of setup code */
#define CODE_SIZE	0x2000
#define INIT_SIZE	0x800000
#define NOTES_AT	0x300
#define TEXT_AT		0x400
#define TEXT_SIZE	0x200
#define TEXT_TO		0x200000
#define HEADER_AT	0x40	/* Multiboot's */

static uint64_t number(const void *at, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);
	return value;
}

/* An image that ends where the sanitizer watches. */
struct image {
	unsigned char *data;
	size_t size;
};

static void set(struct image *image, size_t offset, uint64_t value, size_t size)
{
	memcpy(image->data + offset, &value, size);
}

static void make_image(struct image *image, size_t size)
{
	image->size = size;
	image->data = malloc(size);
	for (size_t n = 0; n < size; n++)
		image->data[n] = n * 7 + 1;
}

static void make_bzimage(struct image *image)
{
	struct setup_header header = {
		.setup_sects = SETUP_SIZE / 512 - 1,
		.syssize = CODE_SIZE / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G,
		.cmdline_size = 2047,
		.payload_offset = 0x300,
		.payload_length = CODE_SIZE - 0x400,
		.pref_address = 0x1000000,
		.init_size = INIT_SIZE,
	};

	/* As with a signature behind it. */
	make_image(image, SETUP_SIZE + CODE_SIZE + 40);
	memcpy(image->data + 0x1f1, &header, sizeof(header));
}

#define BZ(member)	(0x1f1 + offsetof(struct setup_header, member))

/* An ELF file with a text segment that has a BSS behind it, and notes. */
static void make_elf64(struct image *image)
{
	Elf64_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_entry = TEXT_TO + 0x10, .e_phoff = sizeof(header),
		.e_ehsize = sizeof(header), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2,
	};
	Elf64_Phdr segments[2] = {
		{ .p_type = PT_LOAD, .p_offset = TEXT_AT, .p_vaddr = 0xffffffff80000000,
		  .p_paddr = TEXT_TO, .p_filesz = TEXT_SIZE, .p_memsz = 0x3000 },
		{ .p_type = PT_NOTE, .p_offset = NOTES_AT, .p_filesz = 0x38, .p_align = 4 },
	};
	struct {
		Elf64_Nhdr other;
		char other_name[8];
		uint32_t other_value;
		Elf64_Nhdr pvh;
		char pvh_name[4];
		uint64_t value;
	} __attribute__((packed)) notes = {
		/* Nearly: its name is longer. What is behind it and the value does not count. */
		.other = { 5, 1, 18 }, .other_name = "Xen", .other_value = 1,
		.pvh = { 4, 8, 18 }, .pvh_name = "Xen", .value = TEXT_TO + 0x20,
	};

	make_image(image, TEXT_AT + TEXT_SIZE);
	memcpy(image->data, &header, sizeof(header));
	memcpy(image->data + sizeof(header), segments, sizeof(segments));
	memset(image->data + NOTES_AT, 0, 0x38);
	memcpy(image->data + NOTES_AT, &notes, sizeof(notes));
}

#define EH(member)	offsetof(Elf64_Ehdr, member)
#define PH(n, member)	(sizeof(Elf64_Ehdr) + (n) * sizeof(Elf64_Phdr) +		\
			 offsetof(Elf64_Phdr, member))
#define PVH_NOTE	(NOTES_AT + 24)

static void make_elf32(struct image *image)
{
	Elf32_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_386, .e_version = EV_CURRENT,
		.e_entry = 0xc0000010, .e_phoff = sizeof(header),
		.e_ehsize = sizeof(header), .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 1,
	};
	Elf32_Phdr segment = { .p_type = PT_LOAD, .p_offset = TEXT_AT, .p_vaddr = 0xc0000000,
			       .p_paddr = TEXT_TO, .p_filesz = TEXT_SIZE, .p_memsz = 0x3000 };

	make_image(image, TEXT_AT + TEXT_SIZE);
	memcpy(image->data, &header, sizeof(header));
	memcpy(image->data + sizeof(header), &segment, sizeof(segment));
}

static void put_multiboot(struct image *image, size_t offset, uint32_t flags)
{
	set(image, offset, 0x1badb002, 4);
	set(image, offset + 4, flags, 4);
	set(image, offset + 8, -(0x1badb002 + flags), 4);
}

/* A Multiboot kernel with address fields: all of it from TEXT_TO on. */
static void make_multiboot(struct image *image)
{
	make_image(image, 0x1000);
	put_multiboot(image, HEADER_AT, 0x10003);
	set(image, HEADER_AT + 12, TEXT_TO + HEADER_AT, 4);
	set(image, HEADER_AT + 16, TEXT_TO, 4);
	set(image, HEADER_AT + 20, 0, 4);
	set(image, HEADER_AT + 24, TEXT_TO + 0x4000, 4);
	set(image, HEADER_AT + 28, TEXT_TO + 0x123, 4);
}

FIXTURE(load) {
	struct vmx_memory memory;
	struct vmx_boot boot;
	struct vmx_start start;
	struct image image;
	unsigned char *ram;
	unsigned char initrd[0x2345];
	struct vmx_module modules[2];
};

FIXTURE_SETUP(load)
{
	self->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->ram);
	ASSERT_EQ(0, vmx_memory_init(&self->memory, self->ram, RAM, HOLE));
	memset(self->initrd, 0xab, sizeof(self->initrd));
	self->modules[0] = (struct vmx_module){ self->initrd, sizeof(self->initrd), "initrd" };
	self->modules[1] = (struct vmx_module){ "second", 6, NULL };
	self->boot = (struct vmx_boot){ .modules = self->modules, .module_count = 1,
					.command_line = "console=ttyS0", .rsdp = 0xe0000,
					.seed = "0123456789abcdef", .seed_size = 16 };
}

FIXTURE_TEARDOWN(load)
{
	free(self->image.data);
	munmap(self->ram, RAM);
}

static int load(FIXTURE_DATA(load) * self)
{
	self->boot.kernel = self->image.data;
	self->boot.kernel_size = self->image.size;
	return vmx_load_kernel(&self->memory, &self->boot, &self->start);
}

/* Whether RAM is as mmap() gave it. */
static bool untouched(const unsigned char *ram)
{
	static const unsigned char zeroes[0x10000];

	/* What is interesting is low, or where the images here want to be, or at the end. */
	for (uint64_t at = 0; at < RAM; at += sizeof(zeroes)) {
		if (at >= 0x2000000 && at < RAM - MIB)
			continue;
		if (memcmp(ram + at, zeroes, sizeof(zeroes)))
			return false;
	}
	return true;
}

#define EXPECT_REFUSED(error) do {							\
	EXPECT_EQ(-(error), load(self)) TH_LOG("%s", vmx_error());			\
	EXPECT_TRUE(untouched(self->ram));						\
} while (0)

/* With a sentence that has TEXT in it. */
#define EXPECT_SENTENCE(error, text) do {						\
	EXPECT_REFUSED(error);								\
	EXPECT_NE(NULL, strstr(vmx_error(), text)) TH_LOG("%s", vmx_error());		\
} while (0)

/* The GDT says what the segment registers have, and page tables map 4 GiB to themselves. */
static bool good_tables(const unsigned char *ram, const struct vmx_start *start)
{
	const unsigned char *gdt = ram + start->gdt_base;
	bool wide = start->mode == VMX_MODE_LONG;
	uint64_t tss = number(gdt + start->tr.selector, 8);
	uint64_t pointers;

	if (number(gdt + start->cs.selector, 8) !=
		    (wide ? 0x00af9b000000ffff : 0x00cf9b000000ffff) ||
	    number(gdt + start->data.selector, 8) != 0x00cf93000000ffff ||
	    (tss & 0xffff) != start->tr.limit || (tss >> 40 & 0xff) != start->tr.access ||
	    ((tss >> 16 & 0xffffff) | (tss >> 56) << 24) != start->tr.base ||
	    start->gdt_limit < 0x2f || start->gdt_base < VMX_LOAD_LOWEST)
		return false;
	if (!wide)
		return start->cr0 == 0x11 && !start->cr3 && !start->cr4 && !start->efer;
	if (start->cr0 != 0x80000011 || start->cr4 != 0x20 || start->efer != 0x500)
		return false;
	pointers = number(ram + start->cr3, 8);
	if ((pointers & 0xfff) != 3)
		return false;
	for (uint64_t n = 0; n < 2048; n++) {
		uint64_t table = number(ram + (pointers & ~0xfffull) + n / 512 * 8, 8);

		if ((table & 0xfff) != 3 ||
		    number(ram + (table & ~0xfffull) + n % 512 * 8, 8) != (n << 21 | 0x83))
			return false;
	}
	return true;
}

TEST_F(load, bzimage)
{
	const struct boot_params *params;
	const struct setup_data *node;
	uint64_t initrd;

	make_bzimage(&self->image);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(VMX_BOOT_LINUX, self->start.protocol);
	EXPECT_EQ(VMX_MODE_LONG, self->start.mode);
	EXPECT_EQ(0x1000200, self->start.rip);
	EXPECT_EQ(2, self->start.rflags);
	EXPECT_EQ(0x10, self->start.cs.selector);
	EXPECT_EQ(0x18, self->start.data.selector);
	EXPECT_TRUE(good_tables(self->ram, &self->start));
	EXPECT_EQ(0, memcmp(self->ram + 0x1000000, self->image.data + SETUP_SIZE, CODE_SIZE));
	EXPECT_EQ(0, self->ram[0x1000000 + CODE_SIZE]);

	params = (const void *)(self->ram + self->start.regs[VMX_RSI]);
	EXPECT_EQ(0, params->sentinel);
	EXPECT_EQ(0xff, params->hdr.type_of_loader);
	EXPECT_EQ(0x53726448, params->hdr.header);
	EXPECT_EQ(INIT_SIZE, params->hdr.init_size);
	EXPECT_EQ(0x1000000, params->hdr.code32_start);
	EXPECT_EQ(0xe0000, params->acpi_rsdp_addr);
	EXPECT_STREQ("console=ttyS0", (char *)self->ram + params->hdr.cmd_line_ptr);
	ASSERT_EQ(self->memory.count, params->e820_entries);
	for (unsigned int n = 0; n < self->memory.count; n++) {
		EXPECT_EQ(self->memory.map[n].base, params->e820_table[n].addr);
		EXPECT_EQ(self->memory.map[n].size, params->e820_table[n].size);
		EXPECT_EQ(self->memory.map[n].type, params->e820_table[n].type);
	}

	initrd = params->hdr.ramdisk_image;
	EXPECT_EQ(sizeof(self->initrd), params->hdr.ramdisk_size);
	EXPECT_EQ(RAM - 0x3000, initrd);
	EXPECT_EQ(0, memcmp(self->ram + initrd, self->initrd, sizeof(self->initrd)));

	node = (const void *)(self->ram + params->hdr.setup_data);
	EXPECT_EQ(0, node->next);
	EXPECT_EQ(9, node->type);
	EXPECT_EQ(16, node->len);
	EXPECT_EQ(0, memcmp(node->data, "0123456789abcdef", 16));
}

TEST_F(load, bzimage_with_nothing)
{
	const struct boot_params *params;

	make_bzimage(&self->image);
	self->boot = (struct vmx_boot){};
	/* An image's own ideas do not survive. */
	set(&self->image, BZ(ramdisk_image), 0x1234, 4);
	set(&self->image, BZ(ramdisk_size), 0x1234, 4);
	set(&self->image, BZ(setup_data), 0x1234, 8);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	params = (const void *)(self->ram + self->start.regs[VMX_RSI]);
	EXPECT_EQ(0, params->hdr.ramdisk_image);
	EXPECT_EQ(0, params->hdr.ramdisk_size);
	EXPECT_EQ(0, params->hdr.setup_data);
	EXPECT_EQ(0, params->acpi_rsdp_addr);
	EXPECT_STREQ("", (char *)self->ram + params->hdr.cmd_line_ptr);
}

TEST_F(load, bzimage_places)
{
	const struct boot_params *params;

	make_bzimage(&self->image);
	/* An address off the alignment goes up to it. */
	set(&self->image, BZ(pref_address), 0x1100000, 8);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(0x1200200, self->start.rip);
	/* The highest address of an initrd is one that it may occupy. */
	self->modules[0].size = 0x2000;
	set(&self->image, BZ(initrd_addr_max), 0x3ffffff, 4);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	params = (const void *)(self->ram + self->start.regs[VMX_RSI]);
	EXPECT_EQ(0x4000000 - 0x2000, params->hdr.ramdisk_image);
	self->modules[0].size = sizeof(self->initrd);
	/* Within the kernel: below it then. */
	set(&self->image, BZ(initrd_addr_max), 0x1300000, 4);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	params = (const void *)(self->ram + self->start.regs[VMX_RSI]);
	EXPECT_EQ(0x1200000 - 0x3000, params->hdr.ramdisk_image);
	/* RAM that the map calls something else is left alone. */
	set(&self->image, BZ(initrd_addr_max), 0x7fffffff, 4);
	ASSERT_EQ(0, vmx_memory_set(&self->memory, RAM - MIB, MIB, VMX_RANGE_ACPI));
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	params = (const void *)(self->ram + self->start.regs[VMX_RSI]);
	EXPECT_EQ(RAM - MIB - 0x3000, params->hdr.ramdisk_image);
}

TEST_F(load, bzimage_initrd_above_4g)
{
	const struct boot_params *params;

	make_bzimage(&self->image);
	/* 32 MiB below the hole, full of kernel; the rest above. */
	ASSERT_EQ(0, vmx_memory_init(&self->memory, self->ram, RAM, 0x1800000));
	set(&self->image, BZ(initrd_addr_max), 0x100fff, 4);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	params = (const void *)(self->ram + self->start.regs[VMX_RSI]);
	EXPECT_EQ(1, params->ext_ramdisk_image);
	EXPECT_EQ(RAM - 0x1800000 - 0x3000, params->hdr.ramdisk_image);
	EXPECT_EQ(0xab, self->ram[RAM - 0x3000]);
	munmap(self->ram, RAM);
	self->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	self->memory.ram = self->ram;
	set(&self->image, BZ(xloadflags), XLF_KERNEL_64, 2);
	EXPECT_SENTENCE(ENOSPC, "initrd");
}

TEST_F(load, bzimage_damaged)
{
	static const struct {
		size_t offset;
		uint64_t value;
		size_t size;
		int error;
		const char *text;
	} damages[] = {
		{ BZ(boot_flag), 0, 2, ENOEXEC, "0x1fe" },
		{ BZ(header), 0, 4, ENOEXEC, "HdrS" },
		{ BZ(version), 0x20b, 2, EOPNOTSUPP, "2.11" },
		{ BZ(loadflags), 0, 1, EOPNOTSUPP, "zImage" },
		{ BZ(xloadflags), 2, 2, EOPNOTSUPP, "32-bit kernel" },
		{ 0x201, 0x61, 1, ENOEXEC, "0x263" },
		{ 0x201, 0x80, 1, ENOEXEC, "0x282" },
		{ BZ(setup_sects), 255, 1, ENOEXEC, "truncated" },
		{ BZ(syssize), 0x203, 4, ENOEXEC, "truncated" },
		{ BZ(syssize), UINT32_MAX, 4, ENOEXEC, "truncated" },
		{ BZ(syssize), 0x20, 4, ENOEXEC, "0x200 bytes of code" },
		{ BZ(init_size), CODE_SIZE - 1, 4, ENOEXEC, "0x260" },
		{ BZ(init_size), UINT32_MAX, 4, ENOEXEC, "past 4 GiB" },
		{ BZ(payload_offset), CODE_SIZE, 4, ENOEXEC, "payload" },
		{ BZ(payload_length), UINT32_MAX, 4, ENOEXEC, "payload" },
		{ BZ(kernel_alignment), 0, 4, ENOEXEC, "power of 2" },
		{ BZ(kernel_alignment), 3, 4, ENOEXEC, "power of 2" },
		{ BZ(pref_address), 1ull << 32, 8, ENOEXEC, "pref_address" },
		{ BZ(pref_address), UINT64_MAX, 8, ENOEXEC, "pref_address" },
		{ BZ(pref_address), 0xfff00000, 8, ENOEXEC, "pref_address" },
		{ BZ(pref_address), 0x8000000, 8, ENOSPC, "more memory" },
		{ BZ(pref_address), 0, 8, ENOSPC, "more memory" },
		{ BZ(cmdline_size), 12, 4, E2BIG, "13 characters: the kernel takes 12" },
		{ BZ(initrd_addr_max), 0x101000, 4, ENOSPC, "initrd" },
	};

	self->boot.protocol = VMX_BOOT_LINUX;
	for (size_t n = 0; n < sizeof(damages) / sizeof(damages[0]); n++) {
		make_bzimage(&self->image);
		set(&self->image, damages[n].offset, damages[n].value, damages[n].size);
		EXPECT_SENTENCE(damages[n].error, damages[n].text);
		free(self->image.data);
	}
	self->image.data = NULL;
}

/* Whatever is cut off. What is beyond the code is nobody's business. */
TEST_F(load, bzimage_truncated)
{
	struct image whole;

	make_bzimage(&whole);
	for (size_t size = 0; size < SETUP_SIZE + CODE_SIZE + 40; size += size < 0x280 ? 1 : 97) {
		self->image.data = malloc(size + !size);
		self->image.size = size;
		memcpy(self->image.data, whole.data, size);
		EXPECT_EQ(size < SETUP_SIZE + CODE_SIZE ? -ENOEXEC : 0, load(self));
		free(self->image.data);
	}
	self->image.data = NULL;
	free(whole.data);
}

TEST_F(load, linux_has_one_initrd)
{
	make_bzimage(&self->image);
	self->boot.module_count = 2;
	EXPECT_SENTENCE(E2BIG, "one initrd");
	self->boot.module_count = VMX_MODULES_MAX + 1;
	EXPECT_REFUSED(E2BIG);
}

TEST_F(load, pvh)
{
	const unsigned char *info, *module, *map;

	make_elf64(&self->image);
	self->boot.module_count = 2;
	memset(self->ram + TEXT_TO, 0xee, 0x3000);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(VMX_BOOT_PVH, self->start.protocol);
	EXPECT_EQ(VMX_MODE_PROTECTED, self->start.mode);
	EXPECT_EQ(TEXT_TO + 0x20, self->start.rip);
	EXPECT_TRUE(good_tables(self->ram, &self->start));
	EXPECT_EQ(0, memcmp(self->ram + TEXT_TO, self->image.data + TEXT_AT, TEXT_SIZE));
	/* The BSS is zeroes, to its last byte. */
	EXPECT_EQ(0, self->ram[TEXT_TO + TEXT_SIZE]);
	EXPECT_EQ(0, self->ram[TEXT_TO + 0x2fff]);

	info = self->ram + self->start.regs[VMX_RBX];
	EXPECT_EQ(0x336ec578, number(info, 4));
	EXPECT_EQ(1, number(info + 4, 4));
	EXPECT_EQ(0, number(info + 8, 4));
	EXPECT_EQ(2, number(info + 12, 4));
	EXPECT_STREQ("console=ttyS0", (char *)self->ram + number(info + 24, 8));
	EXPECT_EQ(0xe0000, number(info + 32, 8));
	EXPECT_EQ(self->memory.count, number(info + 48, 4));
	module = self->ram + number(info + 16, 8);
	EXPECT_EQ(sizeof(self->initrd), number(module + 8, 8));
	EXPECT_EQ(0, memcmp(self->ram + number(module, 8), self->initrd, sizeof(self->initrd)));
	EXPECT_STREQ("initrd", (char *)self->ram + number(module + 16, 8));
	EXPECT_EQ(0, memcmp(self->ram + number(module + 32, 8), "second", 6));
	EXPECT_EQ(0, number(module + 48, 8));
	map = self->ram + number(info + 40, 8);
	EXPECT_EQ(0, number(map, 8));
	EXPECT_EQ(0x9fc00, number(map + 8, 8));
	EXPECT_EQ(1, number(map + 16, 4));
	EXPECT_EQ(RAM - MIB, number(map + 3 * 24 + 8, 8));
}

TEST_F(load, pvh_note_of_4_bytes)
{
	make_elf64(&self->image);
	set(&self->image, PVH_NOTE + 4, 4, 4);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(TEXT_TO + 0x20, self->start.rip);
}

TEST_F(load, vmlinux)
{
	const struct boot_params *params;

	make_elf64(&self->image);
	self->boot.protocol = VMX_BOOT_LINUX;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(VMX_MODE_LONG, self->start.mode);
	EXPECT_EQ(TEXT_TO + 0x10, self->start.rip);
	params = (const void *)(self->ram + self->start.regs[VMX_RSI]);
	EXPECT_EQ(0x53726448, params->hdr.header);
	EXPECT_STREQ("console=ttyS0", (char *)self->ram + params->hdr.cmd_line_ptr);
	EXPECT_EQ(sizeof(self->initrd), params->hdr.ramdisk_size);
	/* Also if nobody asks for it and there is no PVH entry point; by a virtual address. */
	self->boot.protocol = VMX_BOOT_ANY;
	set(&self->image, PVH_NOTE + 8, 17, 4);
	set(&self->image, EH(e_entry), 0xffffffff80000011, 8);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(VMX_BOOT_LINUX, self->start.protocol);
	EXPECT_EQ(TEXT_TO + 0x11, self->start.rip);
}

TEST_F(load, elf_damaged)
{
	static const struct {
		size_t offset;
		uint64_t value;
		size_t size;
		int error;
		const char *text;
	} damages[] = {
		{ EI_CLASS, 0, 1, ENOEXEC, "class" },
		{ EI_DATA, 2, 1, ENOEXEC, "encoding" },
		{ EH(e_machine), EM_AARCH64, 2, ENOEXEC, "machine" },
		{ EH(e_phnum), 0, 2, ENOEXEC, "program headers" },
		{ EH(e_phnum), UINT16_MAX, 2, ENOEXEC, "truncated" },
		{ EH(e_phentsize), 55, 2, ENOEXEC, "program headers" },
		{ EH(e_phentsize), UINT16_MAX, 2, ENOEXEC, "truncated" },
		{ EH(e_phoff), UINT64_MAX, 8, ENOEXEC, "truncated" },
		{ PH(0, p_offset), UINT64_MAX, 8, ENOEXEC, "truncated" },
		{ PH(0, p_offset), TEXT_AT + 1, 8, ENOEXEC, "truncated" },
		{ PH(0, p_filesz), 0x3001, 8, ENOEXEC, "for 0x3000 of memory" },
		{ PH(0, p_filesz), UINT64_MAX, 8, ENOEXEC, "damaged" },
		{ PH(0, p_memsz), UINT64_MAX, 8, ENOSPC, "segment" },
		{ PH(0, p_memsz), RAM, 8, ENOSPC, "segment" },
		{ PH(0, p_paddr), UINT64_MAX - 8, 8, ENOEXEC, "in no segment" },
		{ PH(0, p_paddr), RAM, 8, ENOEXEC, "in no segment" },
		{ PH(0, p_paddr), 0x9fc00 - 0x1000, 8, ENOEXEC, "in no segment" },
		{ PH(0, p_type), 0, 4, ENOEXEC, "in no segment" },
		{ PH(1, p_offset), TEXT_AT + TEXT_SIZE - 8, 8, ENOEXEC, "truncated" },
		{ PH(1, p_filesz), 0x2c, 8, ENOEXEC, "note" },
		{ NOTES_AT, UINT32_MAX, 4, ENOEXEC, "note" },
		{ NOTES_AT + 4, UINT32_MAX, 4, ENOEXEC, "note" },
		{ PVH_NOTE + 4, 5, 4, ENOEXEC, "4 or 8" },
		{ PVH_NOTE + 4, 0, 4, ENOEXEC, "4 or 8" },
		{ PVH_NOTE + 16, TEXT_TO - 1, 8, ENOEXEC, "in no segment" },
		{ PVH_NOTE + 16, TEXT_TO + 0x3000, 8, ENOEXEC, "in no segment" },
		{ PVH_NOTE + 20, 1, 4, ENOEXEC, "in no segment" },
		{ PVH_NOTE + 8, 17, 4, ENOEXEC, "CONFIG_PVH" },
	};

	self->boot.protocol = VMX_BOOT_PVH;
	for (size_t n = 0; n < sizeof(damages) / sizeof(damages[0]); n++) {
		make_elf64(&self->image);
		set(&self->image, damages[n].offset, damages[n].value, damages[n].size);
		EXPECT_SENTENCE(damages[n].error, damages[n].text);
		free(self->image.data);
	}
	self->image.data = NULL;
}

TEST_F(load, elf_truncated)
{
	struct image whole;

	make_elf64(&whole);
	for (size_t size = 1; size < whole.size; size++) {
		self->image.data = malloc(size);
		self->image.size = size;
		memcpy(self->image.data, whole.data, size);
		EXPECT_EQ(-ENOEXEC, load(self));
		free(self->image.data);
	}
	self->image.data = NULL;
	EXPECT_TRUE(untouched(self->ram));
	free(whole.data);
}

TEST_F(load, segments_do_not_overlap)
{
	make_elf64(&self->image);
	set(&self->image, PH(1, p_type), PT_LOAD, 4);
	set(&self->image, PH(1, p_paddr), TEXT_TO + 0x2fff, 8);
	set(&self->image, PH(1, p_memsz), 0x38, 8);
	EXPECT_SENTENCE(ENOEXEC, "overlaps");
	set(&self->image, PH(1, p_paddr), TEXT_TO + 0x3000, 8);
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
}

/* Also where there is memory, but not for the kernel. */
TEST_F(load, reserved_memory_is_not_the_kernels)
{
	make_elf64(&self->image);
	set(&self->image, PH(0, p_paddr), 0xf0000, 8);
	set(&self->image, PVH_NOTE + 16, 0xf0000, 8);
	EXPECT_SENTENCE(ENOSPC, "not all free RAM");
}

TEST_F(load, programs_are_no_kernels)
{
	make_elf64(&self->image);
	set(&self->image, PH(1, p_type), PT_INTERP, 4);
	EXPECT_SENTENCE(ENOEXEC, "program");
	self->boot.protocol = VMX_BOOT_LINUX;
	EXPECT_SENTENCE(ENOEXEC, "program");
}

/* A kernel that leaves no room for the rest. */
TEST_F(load, low_memory_is_the_kernels)
{
	make_elf64(&self->image);
	set(&self->image, PH(0, p_paddr), 0x8000, 8);
	set(&self->image, PH(0, p_memsz), 0x88000, 8);
	set(&self->image, PVH_NOTE + 16, 0x8000, 8);
	EXPECT_SENTENCE(ENOSPC, "leaves free");
	set(&self->image, PH(0, p_memsz), 0x80000, 8);
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_LE(0x88000, self->start.gdt_base);
	EXPECT_LE(0x88000, self->start.regs[VMX_RBX]);
}

static void expect_info(struct __test_metadata *_metadata, FIXTURE_DATA(load) * self)
{
	const unsigned char *info = self->ram + self->start.regs[VMX_RBX];
	const unsigned char *module, *map;

	EXPECT_EQ(VMX_BOOT_MULTIBOOT, self->start.protocol);
	EXPECT_EQ(VMX_MODE_PROTECTED, self->start.mode);
	EXPECT_EQ(0x2badb002, self->start.regs[VMX_RAX]);
	EXPECT_TRUE(good_tables(self->ram, &self->start));
	EXPECT_EQ(0x24d, number(info, 4));
	EXPECT_EQ(639, number(info + 4, 4));
	EXPECT_EQ((RAM - MIB) / 1024, number(info + 8, 4));
	EXPECT_STREQ("console=ttyS0", (char *)self->ram + number(info + 16, 4));
	EXPECT_EQ(2, number(info + 20, 4));
	EXPECT_STREQ("libvmx", (char *)self->ram + number(info + 64, 4));
	module = self->ram + number(info + 24, 4);
	EXPECT_EQ(0, number(module, 4) % 0x1000);
	EXPECT_EQ(sizeof(self->initrd), number(module + 4, 4) - number(module, 4));
	EXPECT_EQ(0xab, self->ram[number(module, 4)]);
	EXPECT_STREQ("initrd", (char *)self->ram + number(module + 8, 4));
	EXPECT_EQ(0, number(module + 24, 4));
	EXPECT_EQ(self->memory.count * 24, number(info + 44, 4));
	map = self->ram + number(info + 48, 4) + 3 * 24;
	EXPECT_EQ(20, number(map, 4));
	EXPECT_EQ(MIB, number(map + 4, 8));
	EXPECT_EQ(RAM - MIB, number(map + 12, 8));
	EXPECT_EQ(1, number(map + 20, 4));
}

TEST_F(load, multiboot_with_addresses)
{
	make_multiboot(&self->image);
	self->boot.module_count = 2;
	memset(self->ram + TEXT_TO, 0xee, 0x4000);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	expect_info(_metadata, self);
	EXPECT_EQ(TEXT_TO + 0x123, self->start.rip);
	EXPECT_EQ(0, memcmp(self->ram + TEXT_TO, self->image.data, 0x1000));
	EXPECT_EQ(0, self->ram[TEXT_TO + 0x1000]);
	EXPECT_EQ(0, self->ram[TEXT_TO + 0x3fff]);
}

TEST_F(load, multiboot_from_within_the_file)
{
	make_multiboot(&self->image);
	/* From byte 0x20 on to 0x520. */
	set(&self->image, HEADER_AT + 16, TEXT_TO + 0x20, 4);
	set(&self->image, HEADER_AT + 20, TEXT_TO + 0x520, 4);
	set(&self->image, HEADER_AT + 24, 0, 4);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(0, self->ram[TEXT_TO + 0x1f]);
	EXPECT_EQ(0, memcmp(self->ram + TEXT_TO + 0x20, self->image.data + 0x20, 0x500));
	EXPECT_EQ(0, self->ram[TEXT_TO + 0x520]);
}

TEST_F(load, multiboot_elf)
{
	make_elf32(&self->image);
	put_multiboot(&self->image, 0x200, 3);
	self->boot.module_count = 2;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	expect_info(_metadata, self);
	EXPECT_EQ(TEXT_TO + 0x10, self->start.rip);
	EXPECT_EQ(0, memcmp(self->ram + TEXT_TO, self->image.data + TEXT_AT, TEXT_SIZE));
}

TEST_F(load, multiboot_damaged)
{
	static const struct {
		size_t offset;
		uint64_t value;
		int error;
		const char *text;
	} damages[] = {
		{ HEADER_AT, 0, ENOEXEC, "no Multiboot header" },
		{ HEADER_AT + 8, 0, ENOEXEC, "add up" },
		{ HEADER_AT + 12, TEXT_TO - 4, ENOEXEC, "cannot be at" },
		{ HEADER_AT + 12, TEXT_TO + HEADER_AT + 4, ENOEXEC, "cannot be at" },
		{ HEADER_AT + 16, 0, ENOEXEC, "cannot be at" },
		{ HEADER_AT + 20, TEXT_TO, ENOEXEC, "load end" },
		{ HEADER_AT + 20, TEXT_TO + 0x1001, ENOEXEC, "truncated" },
		{ HEADER_AT + 20, UINT32_MAX, ENOEXEC, "load end" },
		{ HEADER_AT + 24, TEXT_TO + 0xfff, ENOEXEC, "BSS end" },
		{ HEADER_AT + 24, UINT32_MAX, ENOSPC, "more memory" },
		{ HEADER_AT + 28, TEXT_TO - 1, ENOEXEC, "entry" },
		{ HEADER_AT + 28, TEXT_TO + 0x4000, ENOEXEC, "entry" },
	};

	self->boot.protocol = VMX_BOOT_MULTIBOOT;
	for (size_t n = 0; n < sizeof(damages) / sizeof(damages[0]); n++) {
		make_multiboot(&self->image);
		set(&self->image, damages[n].offset, damages[n].value, 4);
		EXPECT_SENTENCE(damages[n].error, damages[n].text);
		free(self->image.data);
	}
	make_multiboot(&self->image);
	put_multiboot(&self->image, HEADER_AT, 0x10007);
	EXPECT_SENTENCE(EOPNOTSUPP, "video");
	put_multiboot(&self->image, HEADER_AT, 0x10013);
	EXPECT_SENTENCE(EOPNOTSUPP, "0x10");
	/* The fields themselves may be cut off, and the header may be too far back. */
	put_multiboot(&self->image, HEADER_AT, 0x10003);
	self->image.size = HEADER_AT + 31;
	EXPECT_SENTENCE(ENOEXEC, "address fields");
	free(self->image.data);
	make_image(&self->image, 0x4000);
	put_multiboot(&self->image, 8192, 3);
	EXPECT_SENTENCE(ENOEXEC, "no Multiboot header");
}

TEST_F(load, flat)
{
	make_image(&self->image, 0x1234);
	self->boot = (struct vmx_boot){ .protocol = VMX_BOOT_FLAT, .flat_address = 0x7c00 };
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(VMX_MODE_REAL, self->start.mode);
	EXPECT_EQ(0x7c00, self->start.rip);
	EXPECT_EQ(0, self->start.cs.selector);
	EXPECT_EQ(0x3ff, self->start.idt_limit);
	EXPECT_EQ(0x10, self->start.cr0);
	EXPECT_EQ(0, memcmp(self->ram + 0x7c00, self->image.data, self->image.size));
	self->boot.flat_address = 0x23456;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(0x2345, self->start.cs.selector);
	EXPECT_EQ(0x23450, self->start.cs.base);
	EXPECT_EQ(6, self->start.rip);
	self->boot.flat_mode = VMX_MODE_PROTECTED;
	self->boot.flat_address = 0x100000;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(0x100000, self->start.rip);
	EXPECT_TRUE(good_tables(self->ram, &self->start));
	self->boot.flat_mode = VMX_MODE_LONG;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_TRUE(good_tables(self->ram, &self->start));
}

TEST_F(load, flat_nowhere)
{
	make_image(&self->image, 0x1234);
	self->boot = (struct vmx_boot){ .protocol = VMX_BOOT_FLAT, .flat_address = 0x100000 };
	EXPECT_SENTENCE(EINVAL, "below 0x100000");
	self->boot.flat_address = 0xa0000 - 0x400;
	EXPECT_SENTENCE(ENOSPC, "not all free RAM");
	self->boot.flat_mode = VMX_MODE_LONG;
	self->boot.flat_address = 1ull << 32;
	EXPECT_REFUSED(EINVAL);
	self->boot.flat_address = RAM - 0x1233;
	EXPECT_REFUSED(ENOSPC);
	self->boot.flat_mode = VMX_MODE_PAE;
	EXPECT_REFUSED(EINVAL);
	self->boot.flat_mode = 17;
	EXPECT_REFUSED(EINVAL);
	self->boot.protocol = 17;
	EXPECT_REFUSED(EINVAL);
}

TEST_F(load, other_files_are_named)
{
	static const struct {
		const char *magic;
		const char *text;
	} files[] = {
		{ "\x1f\x8b\x08", "gzip" }, { "\xfd\x37zXZ", "xz" }, { "\x28\xb5\x2f\xfd", "zstd" },
		{ "BZh91", "bzip2" }, { "070701", "initrd" }, { "MZ", "EFI" },
		{ "#!/bin/sh", "no bzImage" },
	};

	for (size_t n = 0; n < sizeof(files) / sizeof(files[0]); n++) {
		make_image(&self->image, 0x3000);
		memcpy(self->image.data, files[n].magic, strlen(files[n].magic));
		EXPECT_SENTENCE(ENOEXEC, files[n].text);
		free(self->image.data);
	}
	make_image(&self->image, 1);
	EXPECT_SENTENCE(ENOEXEC, "no bzImage");
	self->image.size = 0;
	EXPECT_SENTENCE(ENOEXEC, "empty");
}

/* Runs the parked CPU's loop, as far as it has instructions. */
TEST_F(load, parked)
{
	static const unsigned char code[] = { 0xf3, 0x90, 0x66, 0x83, 0x3f, 0x01, 0x75, 0xf8,
					      0x39, 0x5f, 0x04, 0x75, 0xf3 };
	struct mailbox {
		uint16_t command, reserved;
		uint32_t apic_id;
		uint64_t vector;
	} mailbox = { 1, 0, 3, 0 };
	unsigned char *page, *landing;
	uint64_t result = 0;

	ASSERT_EQ(0, vmx_start_parked(&self->memory, 3, &self->start));
	EXPECT_TRUE(good_tables(self->ram, &self->start));
	EXPECT_EQ(0, memcmp(self->ram + self->start.rip, code, sizeof(code)));
	EXPECT_EQ(VMX_ACPI_MAILBOX, self->start.regs[VMX_RDI]);
	EXPECT_EQ(3, self->start.regs[VMX_RBX]);
	/* It works on any x86-64, this one as well: the way it jumps to returns. */
	page = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	memcpy(page, self->ram + self->start.rip, 64);
	landing = page + 128;
	*landing = 0xc3;
	mailbox.vector = (uintptr_t)landing;
	asm volatile("call *%2" : "=a" (result) : "D" (&mailbox), "r" (page), "b" (3)
		     : "memory", "cc");
	EXPECT_EQ((uintptr_t)landing, result);
	EXPECT_EQ(0, mailbox.command);
	munmap(page, 0x1000);
}

/* Kernels that there are. */

static bool read_image(const char *path, struct image *image)
{
	FILE *file = fopen(path, "r");
	struct stat stat;
	bool good = false;

	if (!file)
		return false;
	if (!fstat(fileno(file), &stat)) {
		image->size = stat.st_size;
		image->data = malloc(image->size);
		good = image->data && fread(image->data, 1, image->size, file) == image->size;
	}
	fclose(file);
	return good;
}

static void find_kernels(glob_t *found)
{
	static const char * const patterns[] = {
		"/boot/vmlinuz-*", "%s/kernels/*/arch/x86/boot/bzImage",
		"%s/stock/*/boot/vmlinuz-*", "%s/kernels/*/vmlinux",
	};
	const char *given = getenv("VMX_CACHE"), *home = getenv("HOME");
	char cache[192], pattern[256];

	if (given)
		snprintf(cache, sizeof(cache), "%s", given);
	else
		snprintf(cache, sizeof(cache), "%s/.cache/vmx", home ? home : "");
	*found = (glob_t){};
	for (size_t n = 0; n < sizeof(patterns) / sizeof(patterns[0]); n++) {
		snprintf(pattern, sizeof(pattern), patterns[n], cache);
		glob(pattern, n ? GLOB_APPEND : 0, NULL, found);
	}
}

TEST_F(load, real_kernels)
{
	const struct boot_params *params;
	glob_t found;

	find_kernels(&found);
	if (!found.gl_pathc)
		SKIP(goto out, "no kernel is installed, none has been built");
	for (size_t n = 0; n < found.gl_pathc; n++) {
		size_t whole;

		TH_LOG("%s", found.gl_pathv[n]);
		if (!read_image(found.gl_pathv[n], &self->image))
			continue;
		whole = self->image.size;
		ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
		if (self->start.protocol == VMX_BOOT_LINUX) {
			params = (const void *)(self->ram + self->start.regs[VMX_RSI]);
			EXPECT_NE(0, params->hdr.ramdisk_image);
		}
		EXPECT_TRUE(good_tables(self->ram, &self->start));
		for (self->image.size = 1; self->image.size < whole / 2; self->image.size *= 3)
			EXPECT_GT(0, load(self));
		free(self->image.data);
		self->image.data = NULL;
	}
out:
	globfree(&found);
}

TEST_HARNESS_MAIN
