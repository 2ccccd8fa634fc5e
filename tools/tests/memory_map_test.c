// SPDX-License-Identifier: GPL-2.0
/* The guest's memory map: where RAM is, and how ranges of it become something else. */
#include <errno.h>
#include <string.h>

#include <libvmx/firmware.h>

#include "guest_memory.h"
#include "kselftest_harness.h"

FIXTURE(map) {
	struct vmx_memory memory;
	unsigned char *ram;
};

FIXTURE_SETUP(map)
{
	self->ram = (unsigned char *)0x10000000;	/* never touched */
}

FIXTURE_TEARDOWN(map)
{
}

#define EXPECT_RANGE(n, first, end, kind) do {						\
	EXPECT_EQ(first, self->memory.map[n].base);					\
	EXPECT_EQ((end) - (first), self->memory.map[n].size);				\
	EXPECT_EQ(kind, self->memory.map[n].type);					\
} while (0)

TEST_F(map, a_small_guest)
{
	ASSERT_EQ(0, vmx_memory_init(&self->memory, self->ram, 64 * MIB, 0xc0000000));
	ASSERT_EQ(4, self->memory.count);
	EXPECT_RANGE(0, 0, 0x9fc00, VMX_RANGE_RAM);
	EXPECT_RANGE(1, 0x9fc00, 0xa0000, VMX_RANGE_RESERVED);
	EXPECT_RANGE(2, 0xe0000, MIB, VMX_RANGE_RESERVED);
	EXPECT_RANGE(3, MIB, 64 * MIB, VMX_RANGE_RAM);
	ASSERT_EQ(0, vmx_memory_init(&self->memory, self->ram, 0x8000, 0xc0000000));
	ASSERT_EQ(1, self->memory.count);
	EXPECT_RANGE(0, 0, 0x8000, VMX_RANGE_RAM);
}

TEST_F(map, a_large_guest_goes_on_beyond_the_hole)
{
	ASSERT_EQ(0, vmx_memory_init(&self->memory, self->ram, 5120 * MIB, 0xc0000000));
	ASSERT_EQ(5, self->memory.count);
	EXPECT_RANGE(3, MIB, 0xc0000000, VMX_RANGE_RAM);
	EXPECT_RANGE(4, 4096 * MIB, 6144 * MIB, VMX_RANGE_RAM);
	EXPECT_EQ(self->ram + 0xbfffffff, vmx_memory_at(&self->memory, 0xbfffffff, 1));
	EXPECT_EQ(NULL, vmx_memory_at(&self->memory, 0xbfffffff, 2));
	EXPECT_EQ(NULL, vmx_memory_at(&self->memory, 0xffffffff, 2));
	EXPECT_EQ(self->ram + 0xc0000000, vmx_memory_at(&self->memory, VMX_MEMORY_HIGH, 1));
	EXPECT_EQ(self->ram + 5120 * MIB - 1, vmx_memory_at(&self->memory, 6144 * MIB - 1, 1));
	EXPECT_EQ(NULL, vmx_memory_at(&self->memory, 6144 * MIB - 1, 2));
	EXPECT_EQ(NULL, vmx_memory_at(&self->memory, VMX_MEMORY_HIGH, UINT64_MAX));
	EXPECT_EQ(NULL, vmx_memory_at(&self->memory, UINT64_MAX, 2));
	EXPECT_EQ(NULL, vmx_memory_at(&self->memory, 1, UINT64_MAX));
}

/* Where kernels look: Xen takes the smaller one of both. */
TEST_F(map, bios_data)
{
	static unsigned char ram[MIB];

	ASSERT_EQ(0, vmx_memory_init(&self->memory, ram, MIB, 0xc0000000));
	vmx_bios_data_write(&self->memory);
	EXPECT_EQ(639, number(ram + 0x413, 2));
	EXPECT_EQ(0x9fc0, number(ram + 0x40e, 2));
	EXPECT_EQ(1, ram[0x9fc00]);
	memset(ram, 0, sizeof(ram));
	ASSERT_EQ(0, vmx_memory_init(&self->memory, ram, 0x8000, 0xc0000000));
	vmx_bios_data_write(&self->memory);
	EXPECT_EQ(32, number(ram + 0x413, 2));
	EXPECT_EQ(0, number(ram + 0x40e, 2));
}

TEST_F(map, sizes_are_judged)
{
	EXPECT_EQ(-EINVAL, vmx_memory_init(&self->memory, self->ram, 0, 0xc0000000));
	EXPECT_EQ(-EINVAL, vmx_memory_init(&self->memory, self->ram, 0x1001, 0xc0000000));
	EXPECT_EQ(-EINVAL, vmx_memory_init(&self->memory, self->ram, -4096ull, 0xc0000000));
	EXPECT_EQ(-EINVAL, vmx_memory_init(&self->memory, self->ram, MIB, 0xff000));
	EXPECT_EQ(-EINVAL, vmx_memory_init(&self->memory, self->ram, MIB, 0x100001000));
}

TEST_F(map, ranges_change_what_they_are)
{
	ASSERT_EQ(0, vmx_memory_init(&self->memory, self->ram, 64 * MIB, 0xc0000000));
	/* In the middle, over a border, into a hole, and into one again. */
	ASSERT_EQ(0, vmx_memory_set(&self->memory, 2 * MIB, MIB, VMX_RANGE_RESERVED));
	ASSERT_EQ(0, vmx_memory_set(&self->memory, 0x9f000, 0x2000, VMX_RANGE_ACPI));
	ASSERT_EQ(0, vmx_memory_set(&self->memory, 63 * MIB, 2 * MIB, VMX_RANGE_NVS));
	ASSERT_EQ(0, vmx_memory_set(&self->memory, 0xe0000000, MIB, VMX_RANGE_RESERVED));
	ASSERT_EQ(8, self->memory.count);
	EXPECT_RANGE(0, 0, 0x9f000, VMX_RANGE_RAM);
	EXPECT_RANGE(1, 0x9f000, 0xa1000, VMX_RANGE_ACPI);
	EXPECT_RANGE(2, 0xe0000, MIB, VMX_RANGE_RESERVED);
	EXPECT_RANGE(3, MIB, 2 * MIB, VMX_RANGE_RAM);
	EXPECT_RANGE(4, 2 * MIB, 3 * MIB, VMX_RANGE_RESERVED);
	EXPECT_RANGE(5, 3 * MIB, 63 * MIB, VMX_RANGE_RAM);
	EXPECT_RANGE(6, 63 * MIB, 65 * MIB, VMX_RANGE_NVS);
	EXPECT_RANGE(7, 0xe0000000, 0xe0100000, VMX_RANGE_RESERVED);
	/* All of it at once. */
	ASSERT_EQ(0, vmx_memory_set(&self->memory, 0, UINT64_MAX, VMX_RANGE_RESERVED));
	ASSERT_EQ(1, self->memory.count);
	EXPECT_RANGE(0, 0, UINT64_MAX, VMX_RANGE_RESERVED);
}

TEST_F(map, a_full_map_stays_as_it_is)
{
	struct vmx_memory before;
	int n = 0;

	ASSERT_EQ(0, vmx_memory_init(&self->memory, self->ram, 64 * MIB, 0xc0000000));
	do {
		before = self->memory;
		n++;
	} while (!vmx_memory_set(&self->memory, MIB + n * 0x2000, 0x1000, VMX_RANGE_RESERVED));
	EXPECT_EQ(15, n);
	EXPECT_EQ(0, memcmp(&before, &self->memory, sizeof(before)));
	EXPECT_EQ(-EINVAL, vmx_memory_set(&self->memory, 0, 0, VMX_RANGE_RAM));
	EXPECT_EQ(-EINVAL, vmx_memory_set(&self->memory, 2, UINT64_MAX, VMX_RANGE_RAM));
}

TEST_HARNESS_MAIN
