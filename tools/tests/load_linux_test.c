// SPDX-License-Identifier: GPL-2.0
/* bzImages: where the kernel finds itself, its parameters and its initrd. */
#include <asm/bootparam.h>

#include "load_fixture.h"

#define SETUP_SIZE	1024	/* one sector of setup code */
#define CODE_SIZE	0x2000
#define INIT_SIZE	0x800000

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

/* Room that the kernel needs is not written: it may be very much. */
TEST_F(load, bzimage_working_memory)
{
	make_bzimage(&self->image);
	memset(self->ram + 0x1000000, 0xee, INIT_SIZE);
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(0xee, self->ram[0x1000000 + CODE_SIZE]);
	EXPECT_EQ(0xee, self->ram[0x1000000 + INIT_SIZE - 1]);
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

/* A line that fills its page ends in the next one. */
TEST_F(load, bzimage_with_a_long_line)
{
	const struct boot_params *params;
	char line[0x1000 + 1];

	make_bzimage(&self->image);
	set(&self->image, BZ(cmdline_size), 0x10000, 4);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	self->boot.command_line = line;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	params = (const void *)(self->ram + self->start.regs[VMX_RSI]);
	EXPECT_STREQ(line, (char *)self->ram + params->hdr.cmd_line_ptr);
	set(&self->image, BZ(cmdline_size), sizeof(line) - 2, 4);
	EXPECT_EQ(-E2BIG, load(self));
}

/* What a header of 0 stands for. */
TEST_F(load, bzimage_defaults)
{
	const struct boot_params *params;
	char line[256 + 1];

	make_bzimage(&self->image);
	free(self->image.data);
	make_image(&self->image, 5 * 512 + CODE_SIZE);
	{
		struct image other;

		make_bzimage(&other);
		memcpy(self->image.data + 0x1f1, other.data + 0x1f1, sizeof(struct setup_header));
		free(other.data);
	}
	set(&self->image, BZ(setup_sects), 0, 1);
	set(&self->image, BZ(initrd_addr_max), 0, 4);
	set(&self->image, BZ(cmdline_size), 0, 4);
	set(&self->image, BZ(relocatable_kernel), 0, 1);
	set(&self->image, BZ(pref_address), 0x1100000, 8);
	memset(line, 'x', sizeof(line));
	line[255] = 0;
	self->boot.command_line = line;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(0x1100200, self->start.rip);
	EXPECT_EQ(0, memcmp(self->ram + 0x1100000, self->image.data + 5 * 512, CODE_SIZE));
	params = (const void *)(self->ram + self->start.regs[VMX_RSI]);
	EXPECT_EQ(RAM - 0x3000, params->hdr.ramdisk_image);
	EXPECT_EQ(0xffff, params->hdr.vid_mode);
	EXPECT_EQ(0, params->hdr.ext_loader_type | params->hdr.ext_loader_ver);
	EXPECT_EQ(0x1100000, params->hdr.code32_start);
	line[255] = 'x';
	line[256] = 0;
	EXPECT_EQ(-E2BIG, load(self));
}

TEST_F(load, bzimage_seeds)
{
	static char seed[0x1001];
	const struct boot_params *params;
	const struct setup_data *node;

	make_bzimage(&self->image);
	memset(seed, 0x5a, sizeof(seed));
	self->boot.seed = seed;
	self->boot.seed_size = 0x1001;
	EXPECT_SENTENCE(E2BIG, "at most 4096");
	self->boot.seed_size = 0x1000;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	params = (const void *)(self->ram + self->start.regs[VMX_RSI]);
	node = (const void *)(self->ram + params->hdr.setup_data);
	EXPECT_EQ(0x1000, node->len);
	EXPECT_EQ(0, memcmp(node->data, seed, 0x1000));
}

/* The last places that are allowed. */
TEST_F(load, bzimage_at_its_limits)
{
	make_bzimage(&self->image);
	set(&self->image, 0x201, 0x62, 1);
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	set(&self->image, 0x201, 0x7f, 1);
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	set(&self->image, BZ(version), 0x20c, 2);
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	set(&self->image, BZ(init_size), CODE_SIZE, 4);
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	set(&self->image, BZ(payload_offset), CODE_SIZE - 0x400, 4);
	set(&self->image, BZ(payload_length), 0x400, 4);
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	set(&self->image, BZ(kernel_alignment), 1, 4);
	set(&self->image, BZ(pref_address), RAM - CODE_SIZE, 8);
	self->boot.module_count = 0;
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	set(&self->image, BZ(pref_address), RAM - CODE_SIZE + 1, 8);
	EXPECT_EQ(-ENOSPC, load(self));
	/* Up to 4 GiB there may be RAM, but not beyond. */
	set(&self->image, BZ(pref_address), (1ull << 32) - CODE_SIZE, 8);
	EXPECT_EQ(-ENOSPC, load(self));
	set(&self->image, BZ(pref_address), (1ull << 32) - CODE_SIZE + 1, 8);
	EXPECT_EQ(-ENOEXEC, load(self));
	set(&self->image, BZ(pref_address), 0x1000000, 8);
	set(&self->image, BZ(syssize), 0x21, 4);
	set(&self->image, BZ(payload_offset), 0, 4);
	set(&self->image, BZ(payload_length), 0, 4);
	EXPECT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
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

/* More memory is advice only where it would end up below what the initrd has to stay below. */
TEST_F(load, bzimage_initrd_without_room)
{
	make_bzimage(&self->image);
	set(&self->image, BZ(init_size), RAM - 0x1000000, 4);
	set(&self->image, BZ(xloadflags), XLF_KERNEL_64, 2);
	/* Between the first MiB and the kernel there are 15. */
	self->modules[0].size = 0x1000000;
	set(&self->image, BZ(initrd_addr_max), RAM - 1, 4);
	EXPECT_SENTENCE(ENOSPC, "initrd");
	EXPECT_EQ(NULL, strstr(vmx_error(), "more memory"));
	set(&self->image, BZ(initrd_addr_max), RAM, 4);
	EXPECT_SENTENCE(ENOSPC, "give the guest more memory");
}

TEST_F(load, bzimage_damaged)
{
	static const struct damage damages[] = {
		{ BZ(boot_flag), 0, 2, ENOEXEC, "0x1fe" },
		{ BZ(header), 0, 4, ENOEXEC, "HdrS" },
		{ BZ(version), 0x20b, 2, EOPNOTSUPP, "2.11" },
		{ BZ(loadflags), 0, 1, EOPNOTSUPP, "zImage" },
		{ BZ(xloadflags), 2, 2, EOPNOTSUPP, "32-bit kernel" },
		{ 0x201, 0x61, 1, ENOEXEC, "0x263" },
		{ 0x201, 0x80, 1, ENOEXEC, "0x282" },
		{ BZ(setup_sects), 255, 1, ENOEXEC, "truncated" },
		{ BZ(syssize), 0x204, 4, ENOEXEC, "truncated" },
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
		{ BZ(pref_address), 0xffe00000, 8, ENOEXEC, "init_size" },
		{ BZ(pref_address), 0x8000000, 8, ENOSPC, "more memory" },
		{ BZ(pref_address), 0, 8, ENOSPC, "link the kernel elsewhere" },
		{ BZ(cmdline_size), 12, 4, E2BIG, "13 characters; the kernel takes at most 12" },
		{ BZ(initrd_addr_max), 0x101000, 4, ENOSPC, "initrd" },
	};

	self->boot.protocol = VMX_BOOT_LINUX;
	EXPECT_DAMAGES(make_bzimage, damages);
}

/* Version 2.03 (Linux 2.4) had a header that ended where others have nothing to say yet. */
static void make_old_bzimage(struct image *image)
{
	make_bzimage(image);
	set(image, BZ(version), 0x203, 2);
	set(image, 0x201, 0x2a, 1);
	memset(image->data + 0x22c, 0x90, 0x100);
}

TEST_F(load, bzimage_too_old)
{
	make_old_bzimage(&self->image);
	EXPECT_SENTENCE(EOPNOTSUPP, "boot protocol 2.03");
}

/* The last paragraph of code, without all of its bytes (memtest86+). */
TEST_F(load, bzimage_with_a_part_of_a_paragraph)
{
	struct image whole;

	make_bzimage(&whole);
	ASSERT_EQ(0, load_cut(self, &whole, SETUP_SIZE + CODE_SIZE - 15)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(0, memcmp(self->ram + 0x1000000, whole.data + SETUP_SIZE, CODE_SIZE - 15));
	EXPECT_EQ(0, number(self->ram + 0x1000000 + CODE_SIZE - 15, 8));
	EXPECT_EQ(-ENOEXEC, load_cut(self, &whole, SETUP_SIZE + CODE_SIZE - 16));
	free(whole.data);
}

/* Whatever is cut off. What is beyond the code is nobody's business. */
TEST_F(load, bzimage_truncated)
{
	struct image whole;

	make_bzimage(&whole);
	for (size_t size = 0; size < SETUP_SIZE + CODE_SIZE + 40; size += size < 0x280 ? 1 : 97) {
		EXPECT_EQ(size < SETUP_SIZE + CODE_SIZE - 15 ? -ENOEXEC : 0,
			  load_cut(self, &whole, size));
	}
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

TEST_HARNESS_MAIN
