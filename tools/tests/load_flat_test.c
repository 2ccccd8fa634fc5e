// SPDX-License-Identifier: GPL-2.0
/* Flat images: where they go, and the modes they start in. */
#include "load_fixture.h"

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

/* All that real mode has, up to the last byte of its first 64 KiB and behind them. */
TEST_F(load, flat_in_real_mode)
{
	const struct vmx_start_segment *all[] = { &self->start.data, &self->start.tr };

	make_image(&self->image, 1);
	self->boot = (struct vmx_boot){ .protocol = VMX_BOOT_FLAT, .flat_address = 0xffff };
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(0, self->start.cs.selector);
	EXPECT_EQ(0xffff, self->start.rip);
	EXPECT_EQ(2, self->start.rflags);
	EXPECT_EQ(0x9b, self->start.cs.access);
	EXPECT_EQ(0xffff, self->start.cs.limit);
	for (unsigned int n = 0; n < 2; n++) {
		EXPECT_EQ(0, all[n]->selector);
		EXPECT_EQ(0, all[n]->base);
		EXPECT_EQ(0xffff, all[n]->limit);
		EXPECT_EQ(n ? 0x8b : 0x93, all[n]->access);
	}
	EXPECT_EQ(0xffff, self->start.gdt_limit);
	EXPECT_EQ(0, self->start.gdt_base);
	EXPECT_EQ(0, self->start.cr3 | self->start.cr4 | self->start.efer);
	self->boot.flat_address = 0x10000;
	ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
	EXPECT_EQ(0x1000, self->start.cs.selector);
	EXPECT_EQ(0x10000, self->start.cs.base);
	EXPECT_EQ(0, self->start.rip);
	self->boot.module_count = 1;
	self->boot.modules = self->modules;
	EXPECT_EQ(-EINVAL, load(self));
}

TEST_F(load, flat_nowhere)
{
	make_image(&self->image, 0x1234);
	/* Of an array, what lies behind the last one is none of them. */
	self->memory.map[self->memory.count] = (struct vmx_memory_range){
		.base = 0, .size = 1ull << 32, .type = VMX_RANGE_RAM,
	};
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

TEST_HARNESS_MAIN
