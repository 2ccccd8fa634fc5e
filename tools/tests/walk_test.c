// SPDX-License-Identifier: GPL-2.0
/* The guest's page tables: translation, permissions, page faults, accessed and dirty flags. */
#include <errno.h>
#include <string.h>

#include <libvmx/emulate.h>

#include "../lib/x86.h"
#include "kselftest_harness.h"

#define P	0x001ull
#define W	0x002ull
#define U	0x004ull
#define A	0x020ull
#define D	0x040ull
#define PS	0x080ull
#define XD	(1ull << 63)

#define TABLES	0x10000		/* of level n from here on minus n pages */
#define PAGE	0xabcd000ull	/* where leaves point; in no RAM */

/* One mode of paging, and a linear address with a different index at each level. */
struct mode {
	const char *name;
	uint64_t cr4;
	uint64_t efer;
	unsigned int levels;
	unsigned int bits;
	unsigned int large;	/* levels of large pages, as bits */
	uint64_t linear;
};

static const struct mode modes[] = {
	{ "32-bit", 0, 0, 2, 10, 0, 0x8040f123 },
	{ "32-bit, PSE", CR4_PSE, 0, 2, 10, 1 << 2, 0x8040f123 },
	{ "PAE", CR4_PAE, 0, 3, 9, 1 << 2, 0x8060f123 },
	{ "PAE, NX", CR4_PAE, EFER_NXE, 3, 9, 1 << 2, 0x8060f123 },
	{ "4 levels", CR4_PAE, EFER_LMA, 4, 9, 1 << 2 | 1 << 3, 0xffff81234567f123 },
	{ "4 levels, NX", CR4_PAE, EFER_LMA | EFER_NXE, 4, 9, 1 << 2 | 1 << 3, 0x71234567f123 },
	{ "5 levels, NX", CR4_PAE | CR4_LA57, EFER_LMA | EFER_NXE, 5, 9, 1 << 2 | 1 << 3,
	  0xff12345678912123 },
};

FIXTURE(walk) {
	_Alignas(4096) unsigned char ram[0x20000];
	struct vmx_guest_memory memory;
	struct vmx_paging paging;
	const struct mode *mode;
	uint64_t gpa;
	uint32_t error;
	uint64_t rom;		/* a page that cannot be written */
	unsigned int races;	/* how often another CPU sets a flag in the entry in time */
	unsigned int writes;
};

typedef FIXTURE_DATA(walk) walk_t;

FIXTURE_VARIANT(walk)
{
	unsigned int mode;
};

#define MODE(name_, mode_) FIXTURE_VARIANT_ADD(walk, name_) { .mode = mode_ }
MODE(legacy, 0);
MODE(legacy_pse, 1);
MODE(pae, 2);
MODE(pae_nx, 3);
MODE(four, 4);
MODE(four_nx, 5);
MODE(five_nx, 6);

static void *host(void *machine, uint64_t gpa, size_t length, bool write)
{
	walk_t *self = machine;

	if (gpa >= sizeof(self->ram) || length > sizeof(self->ram) - gpa)
		return NULL;
	if (write && self->rom == gpa / 4096)
		return NULL;
	self->writes += write;
	if (write && self->races) {
		self->races--;
		/* One of the bits that the CPU ignores. */
		self->ram[gpa + 1] ^= 0x02;
	}
	return self->ram + gpa;
}

static unsigned int entry_size(walk_t *self)
{
	return self->mode->bits == 10 ? 4 : 8;
}

static uint64_t table(unsigned int level)
{
	return TABLES - level * 4096;
}

static unsigned int shift(walk_t *self, unsigned int level)
{
	return 12 + (level - 1) * self->mode->bits;
}

static uint64_t where(walk_t *self, unsigned int level)
{
	uint64_t linear = self->mode->linear;

	if (self->mode->levels <= 3)
		linear = (uint32_t)linear;
	return table(level) +
	       (linear >> shift(self, level)) % (1 << self->mode->bits) * entry_size(self);
}

static uint64_t get(walk_t *self, unsigned int level)
{
	uint64_t value = 0;

	memcpy(&value, self->ram + where(self, level), entry_size(self));
	return value;
}

static void set(walk_t *self, unsigned int level, uint64_t value)
{
	memcpy(self->ram + where(self, level), &value, entry_size(self));
}

static bool is_pdpte(walk_t *self, unsigned int level)
{
	return self->mode->levels == 3 && level == 3;
}

/* Tables down to a page at LEAF that allow all. */
static void map(walk_t *self, unsigned int leaf)
{
	for (unsigned int level = self->mode->levels; level > leaf; level--)
		set(self, level, table(level - 1) | P | (is_pdpte(self, level) ? 0 : W | U));
	if (leaf == 1)
		set(self, 1, PAGE | P | W | U);
	else
		set(self, leaf, (PAGE & -(1ull << shift(self, leaf))) | P | W | U | PS);
}

FIXTURE_SETUP(walk)
{
	self->mode = &modes[variant->mode];
	self->memory = (struct vmx_guest_memory){ host, self };
	self->paging = (struct vmx_paging){
		.cr0 = CR0_PE | CR0_PG | CR0_WP,
		.cr3 = table(self->mode->levels),
		.cr4 = self->mode->cr4,
		.efer = self->mode->efer,
		.phys_bits = 46,
	};
	map(self, 1);
}

FIXTURE_TEARDOWN(walk)
{
}

static int walk(walk_t *self, unsigned int access)
{
	return vmx_walk(&self->paging, &self->memory, self->mode->linear, access, &self->gpa,
			&self->error);
}

TEST_F(walk, no_paging)
{
	self->paging.cr0 &= ~CR0_PG;
	self->paging.efer &= ~EFER_LMA;
	ASSERT_EQ(0, walk(self, VMX_WALK_WRITE));
	EXPECT_EQ((uint32_t)self->mode->linear, self->gpa);
	EXPECT_EQ(0, self->writes);
}

TEST_F(walk, pages_of_all_sizes)
{
	for (unsigned int leaf = 1; leaf <= self->mode->levels; leaf++) {
		uint64_t offset = self->mode->linear & ((1ull << shift(self, leaf)) - 1);

		if (leaf > 1 && !(self->mode->large & 1 << leaf))
			continue;
		map(self, leaf);
		ASSERT_EQ(0, walk(self, 0));
		EXPECT_EQ((PAGE & -(1ull << shift(self, leaf))) + offset, self->gpa);
	}
	/* Where there are no large pages, the bit is nothing to a PDE, and reserved above. */
	map(self, 1);
	for (unsigned int level = 2; level <= self->mode->levels; level++) {
		if (self->mode->large & 1 << level)
			continue;
		set(self, level, get(self, level) | PS);
		if (self->mode->levels == 2) {
			EXPECT_EQ(0, walk(self, 0));
		} else {
			EXPECT_EQ(-EFAULT, walk(self, 0));
			EXPECT_EQ(PF_PRESENT | PF_RESERVED, self->error);
		}
		set(self, level, get(self, level) & ~PS);
	}
}

/* 4-MByte pages above 4 GByte, and the PAT bit of large pages, which is no address bit. */
TEST_F(walk, bits_of_large_pages)
{
	map(self, 2);
	if (!(self->mode->large & 1 << 2))
		return;
	set(self, 2, get(self, 2) | 1 << 12);
	ASSERT_EQ(0, walk(self, 0));
	EXPECT_EQ(0, (self->gpa ^ self->mode->linear) & 0x1fffff);
	if (self->mode->levels == 2) {
		set(self, 2, get(self, 2) | 0xa5 << 13);
		ASSERT_EQ(0, walk(self, 0));
		EXPECT_EQ(0xa5, self->gpa >> 32);
	}
}

TEST_F(walk, absent)
{
	for (unsigned int level = 1; level <= self->mode->levels; level++) {
		map(self, 1);
		/* Nothing else in it counts. */
		set(self, level, ~P);
		EXPECT_EQ(-EFAULT, walk(self, 0));
		EXPECT_EQ(0, self->error);
		EXPECT_EQ(-EFAULT, walk(self, VMX_WALK_WRITE | VMX_WALK_USER));
		EXPECT_EQ(PF_WRITE | PF_USER, self->error);
		EXPECT_EQ(-EFAULT, walk(self, VMX_WALK_FETCH));
		EXPECT_EQ(self->mode->efer & EFER_NXE ? PF_FETCH : 0, self->error);
	}
	EXPECT_EQ(0, self->writes);
}

/* The bits that the SDM's tables of each mode's entries call reserved. */
static bool is_reserved(walk_t *self, unsigned int level, bool page,
			unsigned int bit)
{
	unsigned int width = self->paging.phys_bits;

	if (self->mode->levels == 2)
		return page && level == 2 && bit <= 21 &&
		       bit >= 13 + (width < 40 ? width : 40) - 32;
	if (bit == 63)
		return !(self->mode->efer & EFER_NXE) || is_pdpte(self, level);
	if (bit >= width && bit <= (self->mode->levels == 3 ? 62 : 51))
		return true;
	if (is_pdpte(self, level))
		return bit == 1 || bit == 2 || (bit >= 5 && bit <= 8);
	if (level >= 4)
		return bit == 7;
	return page && level > 1 && bit >= 13 && bit < shift(self, level);
}

/* A walk to a page at LEAF with a bit set at LEVEL. */
static void try_reserved(struct __test_metadata *_metadata, walk_t *self, unsigned int leaf,
			 unsigned int level, unsigned int bit)
{
	bool reserved = is_reserved(self, level, level == leaf, bit);
	bool leads_on = level > leaf || leaf > 1;

	/* These lead elsewhere, which is another test's. */
	if (!reserved && leads_on && (bit == 7 || (level > leaf && bit >= 12 &&
	    bit < self->paging.phys_bits)))
		return;
	map(self, leaf);
	set(self, level, get(self, level) | 1ull << bit);
	ASSERT_EQ(reserved ? -EFAULT : 0, walk(self, 0)) {
		TH_LOG("width %u, page at level %u, level %u, bit %u",
		       self->paging.phys_bits, leaf, level, bit);
	}
	EXPECT_EQ(reserved ? PF_PRESENT | PF_RESERVED : 0, self->error);
}

TEST_F(walk, reserved_bits)
{
	static const unsigned int widths[] = { 32, 36, 39, 40, 46, 52 };

	for (unsigned int w = 0; w < 6; w++) {
		self->paging.phys_bits = widths[w];
		for (unsigned int leaf = 1; leaf <= 3; leaf++) {
			if (leaf > 1 && !(self->mode->large & 1 << leaf))
				continue;
			for (unsigned int level = leaf; level <= self->mode->levels; level++)
				for (unsigned int bit = 1; bit < 8 * entry_size(self); bit++)
					try_reserved(_metadata, self, leaf, level, bit);
		}
	}
}

/* SDM, "Determination of Access Rights", sentence by sentence. */
static bool may(walk_t *self, unsigned int access, bool user_page, bool writable,
		bool xd)
{
	const struct vmx_paging *p = &self->paging;
	bool ac = p->rflags & RFLAGS_AC, smap = p->cr4 & CR4_SMAP;

	if (access & VMX_WALK_USER) {
		if (!user_page)
			return false;
		if (access & VMX_WALK_FETCH)
			return !xd;
		return access & VMX_WALK_WRITE ? writable : true;
	}
	if (access & VMX_WALK_FETCH) {
		if (user_page && p->cr4 & CR4_SMEP)
			return false;
		return !xd;
	}
	if (access & VMX_WALK_WRITE) {
		if (!user_page)
			return p->cr0 & CR0_WP ? writable : true;
		if (!(p->cr0 & CR0_WP))
			return smap ? ac : true;
		return smap ? writable && ac : writable;
	}
	if (user_page)
		return smap ? ac : true;
	return true;
}

/* Bits of a case: what one level takes away, and what the CPU looks at. */
#define NO_WRITE	0x01
#define NO_USER		0x02
#define NO_FETCH	0x04
#define WITH_WP		0x08
#define WITH_SMEP	0x10
#define WITH_SMAP	0x20
#define WITH_AC		0x40

static void try_access(struct __test_metadata *_metadata, walk_t *self, unsigned int level,
		       unsigned int n, unsigned int access)
{
	bool nx = self->mode->efer & EFER_NXE, xd = n & NO_FETCH && nx;
	bool ok = may(self, access, !(n & NO_USER), !(n & NO_WRITE), xd);
	uint32_t error = PF_PRESENT;
	uint64_t entry;

	map(self, 1);
	entry = get(self, level);
	if (n & NO_WRITE)
		entry &= ~W;
	if (n & NO_USER)
		entry &= ~U;
	if (xd)
		entry |= XD;
	set(self, level, entry);
	ASSERT_EQ(ok ? 0 : -EFAULT, walk(self, access)) {
		TH_LOG("level %u, case %#x, access %#x", level, n, access);
	}
	if (access & VMX_WALK_WRITE)
		error |= PF_WRITE;
	if (access & VMX_WALK_USER)
		error |= PF_USER;
	if (access & VMX_WALK_FETCH && (nx || n & WITH_SMEP))
		error |= PF_FETCH;
	EXPECT_EQ(ok ? 0 : error, self->error);
}

TEST_F(walk, permissions)
{
	static const unsigned int accesses[] = {
		0, VMX_WALK_WRITE, VMX_WALK_FETCH, VMX_WALK_USER,
		VMX_WALK_USER | VMX_WALK_WRITE, VMX_WALK_USER | VMX_WALK_FETCH,
	};
	unsigned int levels = self->mode->levels == 3 ? 2 : self->mode->levels;

	for (unsigned int n = 0; n < 1 << 7; n++) {
		self->paging.cr0 = CR0_PE | CR0_PG | (n & WITH_WP ? CR0_WP : 0);
		self->paging.cr4 = self->mode->cr4 | (n & WITH_SMEP ? CR4_SMEP : 0) |
				   (n & WITH_SMAP ? CR4_SMAP : 0);
		self->paging.rflags = n & WITH_AC ? RFLAGS_AC : 0;
		for (unsigned int level = 1; level <= levels; level++)
			for (unsigned int a = 0; a < 6; a++)
				try_access(_metadata, self, level, n, accesses[a]);
	}
}

TEST_F(walk, accessed_and_dirty)
{
	ASSERT_EQ(0, walk(self, 0));
	for (unsigned int level = 1; level <= self->mode->levels; level++)
		EXPECT_EQ(is_pdpte(self, level) ? 0 : A, get(self, level) & (A | D));
	ASSERT_EQ(0, walk(self, VMX_WALK_WRITE));
	for (unsigned int level = 1; level <= self->mode->levels; level++)
		EXPECT_EQ(level == 1 ? A | D : is_pdpte(self, level) ? 0 : A,
			  get(self, level) & (A | D));
	/* Set flags are not set again. */
	self->writes = 0;
	ASSERT_EQ(0, walk(self, VMX_WALK_WRITE));
	EXPECT_EQ(0, self->writes);
	/* All else in the entry stays as it is. */
	if (entry_size(self) == 8) {
		set(self, 1, PAGE | 1ull << 45 | P | W | U);
		ASSERT_EQ(0, walk(self, VMX_WALK_WRITE));
		EXPECT_EQ(PAGE | 1ull << 45 | P | W | U | A | D, get(self, 1));
	}
	/* An access that faults is none. */
	map(self, 1);
	set(self, 1, get(self, 1) & ~W);
	ASSERT_EQ(-EFAULT, walk(self, VMX_WALK_WRITE));
	EXPECT_EQ(0, get(self, 1) & (A | D));
}

TEST_F(walk, other_cpus_change_entries)
{
	unsigned int last = self->mode->levels == 3 ? 2 : self->mode->levels;
	uint64_t before = get(self, last);

	/* What they wrote stays, and the flag comes to it. */
	self->races = 1;
	ASSERT_EQ(0, walk(self, 0));
	EXPECT_EQ(before + 0x200 + A, get(self, last));
	/* One that never stops does not hang the walk. */
	map(self, 1);
	self->races = UINT32_MAX;
	EXPECT_EQ(-EAGAIN, walk(self, 0));
	EXPECT_GT(1000, self->writes);
}

TEST_F(walk, tables_in_rom_or_nowhere)
{
	uint64_t before = get(self, 1);

	self->rom = table(1) / 4096;
	ASSERT_EQ(0, walk(self, VMX_WALK_WRITE));
	EXPECT_EQ(before, get(self, 1));
	self->paging.cr3 = 0x1000000;
	EXPECT_EQ(-ENXIO, walk(self, 0));
	self->paging.cr3 = table(self->mode->levels);
	set(self, 2, PAGE | P | W | U);
	EXPECT_EQ(-ENXIO, walk(self, 0));
}

TEST_F(walk, pdpte_registers)
{
	uint64_t pdptes[4] = {};

	if (self->mode->levels != 3)
		return;
	self->paging.pdptes = pdptes;
	EXPECT_EQ(-EFAULT, walk(self, 0));
	pdptes[2] = table(2) | P;
	self->paging.cr3 = 0x1000000;
	EXPECT_EQ(0, walk(self, 0));
	EXPECT_EQ(PAGE + 0x123, self->gpa);
}

/* The table of PDPTEs is in 32 bytes anywhere; flags in CR3 are no address. */
TEST_F(walk, cr3)
{
	self->paging.cr3 |= 0x18;
	ASSERT_EQ(0, walk(self, 0));
	if (self->mode->levels == 3) {
		memcpy(self->ram + 0x120, self->ram + table(3), 32);
		self->paging.cr3 = 0x120;
		ASSERT_EQ(0, walk(self, 0));
	} else if (self->mode->levels > 3) {
		/* A PCID, LAM, and no flush. */
		self->paging.cr3 |= 0xfff | 7ull << 61;
		ASSERT_EQ(0, walk(self, 0));
	}
	EXPECT_EQ(PAGE + 0x123, self->gpa);
}

TEST_HARNESS_MAIN
