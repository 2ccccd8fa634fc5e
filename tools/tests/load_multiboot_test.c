// SPDX-License-Identifier: GPL-2.0
/* Multiboot kernels, placed by the header's address fields or by ELF segments. */
#include <elf.h>

#include "load_fixture.h"

#define HEADER_AT	0x40

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
	map = self->ram + number(info + 48, 4);
	for (unsigned int n = 0; n < self->memory.count; n++, map += 24) {
		EXPECT_EQ(20, number(map, 4));
		EXPECT_EQ(self->memory.map[n].base, number(map + 4, 8));
		EXPECT_EQ(self->memory.map[n].size, number(map + 12, 8));
		EXPECT_EQ(self->memory.map[n].type, number(map + 20, 4));
	}
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

/* Aligned to 4 bytes within the first 8192, and the first that is right. */
TEST_F(load, multiboot_headers)
{
	make_image(&self->image, 0x4000);
	put_multiboot(&self->image, 8192 - 12, 0x10003);
	for (unsigned int n = 0; n < 5; n++)
		set(&self->image, 8192 + 4 * n, n == 2 || n == 3 ? 0 : TEXT_TO, 4);
	set(&self->image, 8192, TEXT_TO + 8192 - 12, 4);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(TEXT_TO, self->start.rip);
	/* To the end of the file, without a BSS. */
	EXPECT_EQ(0, memcmp(self->ram + TEXT_TO, self->image.data, 0x4000));
	EXPECT_EQ(0, self->ram[TEXT_TO + 0x4000]);
	/* The last byte of it is one to begin at. */
	set(&self->image, 8192 + 16, TEXT_TO + 0x3fff, 4);
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	set(&self->image, 8192 + 16, TEXT_TO + 0x4000, 4);
	EXPECT_EQ(-ENOEXEC, load(self));
	/* One that is wrong, or lies wrong, is passed by. */
	set(&self->image, 8192 + 16, TEXT_TO, 4);
	put_multiboot(&self->image, 0x42, 3);
	put_multiboot(&self->image, 0x80, 7);
	set(&self->image, 0x88, 1, 4);
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(TEXT_TO, self->start.rip);
	self->boot.command_line = NULL;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(0x249, number(self->ram + self->start.regs[VMX_RBX], 4));
	EXPECT_EQ(0, number(self->ram + self->start.regs[VMX_RBX] + 16, 4));
	/* RAM that does not begin there, or is none. */
	ASSERT_EQ(0, vmx_memory_set(&self->memory, MIB, 0x1000, VMX_RANGE_RESERVED));
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(0, number(self->ram + self->start.regs[VMX_RBX] + 8, 4));
}

/* It is nowhere: an address as good as any, and the same each time. */
TEST_F(load, multiboot_with_an_empty_module)
{
	const unsigned char *info, *module;

	make_elf32(&self->image);
	put_multiboot(&self->image, 0x200, 3);
	self->modules[0].size = 0;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	info = self->ram + self->start.regs[VMX_RBX];
	module = self->ram + number(info + 24, 4);
	EXPECT_EQ(MIB, number(module, 4));
	EXPECT_EQ(MIB, number(module + 4, 4));
}

TEST_F(load, multiboot_damaged)
{
	static const struct damage damages[] = {
		{ HEADER_AT, 0, 4, ENOEXEC, "no Multiboot header" },
		{ HEADER_AT + 8, 0, 4, ENOEXEC, "the sum of" },
		{ HEADER_AT + 12, TEXT_TO - 4, 4, ENOEXEC, "cannot be at" },
		{ HEADER_AT + 12, TEXT_TO + HEADER_AT + 4, 4, ENOEXEC, "cannot be at" },
		{ HEADER_AT + 16, 0, 4, ENOEXEC, "cannot be at" },
		{ HEADER_AT + 20, TEXT_TO, 4, ENOEXEC, "load end" },
		{ HEADER_AT + 20, TEXT_TO + 0x1001, 4, ENOEXEC, "truncated" },
		{ HEADER_AT + 20, UINT32_MAX, 4, ENOEXEC, "load end" },
		{ HEADER_AT + 24, TEXT_TO + 0xfff, 4, ENOEXEC, "BSS end" },
		{ HEADER_AT + 24, UINT32_MAX, 4, ENOSPC, "link the kernel elsewhere" },
		{ HEADER_AT + 28, TEXT_TO - 1, 4, ENOEXEC, "entry" },
		{ HEADER_AT + 28, TEXT_TO + 0x4000, 4, ENOEXEC, "entry" },
	};

	self->boot.protocol = VMX_BOOT_MULTIBOOT;
	EXPECT_DAMAGES(make_multiboot, damages);
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

TEST_HARNESS_MAIN
