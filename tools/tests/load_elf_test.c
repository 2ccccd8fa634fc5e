// SPDX-License-Identifier: GPL-2.0
/* ELF kernels, started as PVH says or as Linux does. */
#include <asm/bootparam.h>
#include <elf.h>

#include "load_fixture.h"

#define NOTES_AT	0x300

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
	EXPECT_EQ(0x9fc00, number(map + 8, 8));
	for (unsigned int n = 0; n < self->memory.count; n++, map += 24) {
		EXPECT_EQ(self->memory.map[n].base, number(map, 8));
		EXPECT_EQ(self->memory.map[n].size, number(map + 8, 8));
		EXPECT_EQ(self->memory.map[n].type, number(map + 16, 4));
		EXPECT_EQ(0, number(map + 20, 4));
	}
	/* Nothing else in it, without anything else. */
	self->boot.command_line = NULL;
	self->boot.module_count = 0;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	info = self->ram + self->start.regs[VMX_RBX];
	EXPECT_EQ(0, number(info + 12, 4));
	EXPECT_EQ(0, number(info + 24, 8));
	EXPECT_EQ(0, number(info + 52, 4));
}

/* As many modules as there may be, in places of their own. */
TEST_F(load, pvh_modules)
{
	struct vmx_module modules[VMX_MODULES_MAX];
	const unsigned char *info, *module;

	make_elf64(&self->image);
	for (unsigned int n = 0; n < VMX_MODULES_MAX; n++)
		modules[n] = (struct vmx_module){ self->initrd + n, 1 + n * 0x100, NULL };
	for (unsigned int n = 0; n < sizeof(self->initrd); n++)
		self->initrd[n] = n * 7 + n / 256;
	self->boot.modules = modules;
	self->boot.module_count = VMX_MODULES_MAX;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	info = self->ram + self->start.regs[VMX_RBX];
	EXPECT_EQ(VMX_MODULES_MAX, number(info + 12, 4));
	module = self->ram + number(info + 16, 8);
	for (unsigned int n = 0; n < VMX_MODULES_MAX; n++, module += 32) {
		EXPECT_EQ(0, number(module, 8) % 0x1000);
		EXPECT_EQ(modules[n].size, number(module + 8, 8));
		EXPECT_EQ(0, memcmp(self->ram + number(module, 8), modules[n].data,
				    modules[n].size));
	}
}

/* COUNT segments of a byte each, a page apart, with headers that are longer than they need be. */
static void make_segments(struct image *image, unsigned int count)
{
	const size_t at = 0x1000, step = sizeof(Elf64_Phdr) + 8;

	make_elf64(image);
	free(image->data);
	make_image(image, at + count * step);
	{
		struct image other;

		make_elf64(&other);
		memcpy(image->data, other.data, TEXT_AT);
		free(other.data);
	}
	set(image, EH(e_phoff), at, 8);
	set(image, EH(e_phentsize), step, 2);
	set(image, EH(e_phnum), count, 2);
	set(image, EH(e_entry), TEXT_TO, 8);
	for (unsigned int n = 0; n < count; n++) {
		Elf64_Phdr segment = { .p_type = PT_LOAD, .p_offset = n, .p_filesz = 1,
				       .p_memsz = 2, .p_paddr = TEXT_TO + n * 0x1000 };

		memcpy(image->data + at + n * step, &segment, sizeof(segment));
	}
}

TEST_F(load, as_many_segments_as_there_may_be)
{
	self->boot.protocol = VMX_BOOT_LINUX;
	make_segments(&self->image, 32);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	for (unsigned int n = 0; n < 32; n++)
		EXPECT_EQ(self->image.data[n], self->ram[TEXT_TO + n * 0x1000]);
	/* What is neither loaded nor a note does not count. */
	free(self->image.data);
	make_segments(&self->image, 33);
	set(&self->image, 0x1000, PT_NULL, 4);
	set(&self->image, EH(e_entry), TEXT_TO + 0x1000, 8);
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	munmap(self->ram, RAM);
	self->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	self->memory.ram = self->ram;
	set(&self->image, 0x1000, PT_LOAD, 4);
	EXPECT_SENTENCE(EOPNOTSUPP, "more than 32");
}

/* More headers than a byte counts, of which the last matters. */
TEST_F(load, the_last_of_many_headers)
{
	const size_t step = sizeof(Elf64_Phdr) + 8;

	self->boot.protocol = VMX_BOOT_LINUX;
	make_segments(&self->image, 257);
	for (unsigned int n = 0; n < 256; n++)
		set(&self->image, 0x1000 + n * step, PT_NULL, 4);
	set(&self->image, EH(e_entry), TEXT_TO + 256 * 0x1000, 8);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(self->image.data[256], self->ram[TEXT_TO + 256 * 0x1000]);
}

/* Both ends of a segment, by its physical and by its virtual addresses. */
TEST_F(load, entries_at_the_ends_of_segments)
{
	static const struct {
		uint64_t entry, rip;	/* 0: refused */
	} all[] = {
		{ TEXT_TO, TEXT_TO }, { TEXT_TO - 1, 0 }, { TEXT_TO + 0x2fff, TEXT_TO + 0x2fff },
		{ TEXT_TO + 0x3000, 0 }, { 0xffffffff80000000, TEXT_TO },
		{ 0xffffffff7fffffff, 0 }, { 0xffffffff80002fff, TEXT_TO + 0x2fff },
		{ 0xffffffff80003000, 0 },
	};

	make_elf64(&self->image);
	self->boot.protocol = VMX_BOOT_LINUX;
	for (size_t n = 0; n < sizeof(all) / sizeof(all[0]); n++) {
		set(&self->image, EH(e_entry), all[n].entry, 8);
		EXPECT_EQ(all[n].rip ? 0 : -ENOEXEC, load(self)) TH_LOG("%zu", n);
		EXPECT_TRUE(!all[n].rip || all[n].rip == self->start.rip) TH_LOG("%zu", n);
	}
	/* PVH's is a physical one. */
	self->boot.protocol = VMX_BOOT_PVH;
	set(&self->image, PVH_NOTE + 16, TEXT_TO + 0x2fff, 8);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(TEXT_TO + 0x2fff, self->start.rip);
	/* An address of 32 bits, even where a segment is. */
	set(&self->image, PH(0, p_paddr), 1ull << 32, 8);
	set(&self->image, PVH_NOTE + 16, 1ull << 32, 8);
	EXPECT_EQ(-ENOEXEC, load(self));
	/* Beyond 4 GiB there is no memory of the first page tables'. */
	self->boot.protocol = VMX_BOOT_LINUX;
	set(&self->image, EH(e_entry), 0xffffffff80000000, 8);
	set(&self->image, PH(0, p_paddr), 1ull << 32, 8);
	EXPECT_EQ(-EOPNOTSUPP, load(self));
	set(&self->image, PH(0, p_paddr), (1ull << 32) - 1, 8);
	EXPECT_EQ(-ENOSPC, load(self));
	/* A segment that begins at 0 has no byte before it. */
	set(&self->image, PH(0, p_paddr), TEXT_TO, 8);
	set(&self->image, PH(0, p_vaddr), 0, 8);
	set(&self->image, EH(e_entry), UINT64_MAX, 8);
	EXPECT_EQ(-ENOEXEC, load(self));
}

/* In segments that align notes to 8 bytes, and in the second of two. */
TEST_F(load, notes_of_8_bytes)
{
	struct {
		Elf64_Nhdr other;
		char other_name[4];
		uint64_t other_value;
		Elf64_Nhdr pvh;
		char pvh_name[4];
		uint32_t value;
	} __attribute__((packed)) notes = {
		.other = { 2, 5, 18 }, .other_name = "G",
		.pvh = { 4, 4, 18 }, .pvh_name = "Xen", .value = TEXT_TO + 0x30,
	};

	make_elf64(&self->image);
	memcpy(self->image.data + NOTES_AT, &notes, sizeof(notes));
	set(&self->image, PH(1, p_filesz), sizeof(notes), 8);
	set(&self->image, PH(1, p_align), 8, 8);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(TEXT_TO + 0x30, self->start.rip);
	/* Notes that end with the segment, to the byte. */
	set(&self->image, PH(1, p_filesz), sizeof(notes) - 1, 8);
	EXPECT_EQ(-ENOEXEC, load(self));
	/* The first segment has none that counts. */
	set(&self->image, EH(e_phnum), 3, 2);
	memcpy(self->image.data + PH(2, p_type), self->image.data + PH(1, p_type),
	       sizeof(Elf64_Phdr));
	set(&self->image, PH(1, p_filesz), 24, 8);
	set(&self->image, PH(2, p_filesz), sizeof(notes), 8);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(TEXT_TO + 0x30, self->start.rip);
}

/* Of i386, with entry points of PVH. */
TEST_F(load, elf_of_32_bits)
{
	Elf32_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_386, .e_entry = TEXT_TO,
		.e_phoff = 0x80, .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 2,
	};
	Elf32_Phdr segments[2] = {
		{ .p_type = PT_LOAD, .p_offset = TEXT_AT, .p_paddr = TEXT_TO,
		  .p_filesz = TEXT_SIZE, .p_memsz = 0x3000 },
		{ .p_type = PT_NOTE, .p_offset = NOTES_AT, .p_filesz = 0x38, .p_align = 4 },
	};

	make_elf64(&self->image);
	memcpy(self->image.data, &header, sizeof(header));
	memcpy(self->image.data + 0x80, segments, sizeof(segments));
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(VMX_BOOT_PVH, self->start.protocol);
	EXPECT_EQ(TEXT_TO + 0x20, self->start.rip);
	EXPECT_EQ(0, memcmp(self->ram + TEXT_TO, self->image.data + TEXT_AT, TEXT_SIZE));
	/* Some say that they are for x86-64. */
	set(&self->image, offsetof(Elf32_Ehdr, e_machine), EM_X86_64, 2);
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	set(&self->image, offsetof(Elf32_Ehdr, e_machine), EM_ARM, 2);
	EXPECT_EQ(-ENOEXEC, load(self));
	set(&self->image, offsetof(Elf32_Ehdr, e_machine), EM_386, 2);
	set(&self->image, offsetof(Elf32_Ehdr, e_phentsize), sizeof(Elf32_Phdr) - 1, 2);
	EXPECT_EQ(-ENOEXEC, load(self));
	set(&self->image, offsetof(Elf32_Ehdr, e_phentsize), sizeof(Elf32_Phdr), 2);
	self->boot.protocol = VMX_BOOT_LINUX;
	EXPECT_EQ(-EOPNOTSUPP, load(self));
	/* Without a note the loader of PVH is the one that says so. */
	self->boot.protocol = VMX_BOOT_ANY;
	set(&self->image, PVH_NOTE + 8, 17, 4);
	EXPECT_EQ(-ENOEXEC, load(self));
	EXPECT_NE(NULL, strstr(vmx_error(), "CONFIG_PVH"));
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
	EXPECT_EQ(0xaa55, params->hdr.boot_flag);
	EXPECT_EQ(0x20c, params->hdr.version);
	EXPECT_EQ(1, params->hdr.loadflags);
	EXPECT_EQ(3, params->hdr.xloadflags);
	EXPECT_EQ(0x7fffffff, params->hdr.initrd_addr_max);
	EXPECT_EQ(2047, params->hdr.cmdline_size);
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
	static const struct damage damages[] = {
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
		{ PH(0, p_filesz), 0x3001, 8, ENOEXEC, "exceed 0x3000 in memory" },
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
	EXPECT_DAMAGES(make_elf64, damages);
}

TEST_F(load, elf_truncated)
{
	struct image whole;

	make_elf64(&whole);
	for (size_t size = 1; size < whole.size; size++)
		EXPECT_EQ(-ENOEXEC, load_cut(self, &whole, size));
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
	/* One without bytes needs no place. */
	set(&self->image, PH(1, p_paddr), 1ull << 40, 8);
	set(&self->image, PH(1, p_filesz), 0, 8);
	set(&self->image, PH(1, p_memsz), 0, 8);
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

/* Where no amount of memory makes RAM, nobody is told to get more. */
TEST_F(load, the_hole_is_no_ram)
{
	make_elf64(&self->image);
	set(&self->image, PH(0, p_paddr), 0xfff00000, 8);
	set(&self->image, PVH_NOTE + 16, 0xfff00000, 8);
	EXPECT_SENTENCE(ENOSPC, "link the kernel elsewhere");
	EXPECT_EQ(NULL, strstr(vmx_error(), "more memory"));
	set(&self->image, PH(0, p_paddr), RAM, 8);
	set(&self->image, PVH_NOTE + 16, RAM, 8);
	EXPECT_SENTENCE(ENOSPC, "more memory");
	set(&self->image, PH(0, p_paddr), 0x9f000, 8);
	set(&self->image, PVH_NOTE + 16, 0x9f000, 8);
	EXPECT_SENTENCE(ENOSPC, "link the kernel elsewhere");
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

TEST_HARNESS_MAIN
