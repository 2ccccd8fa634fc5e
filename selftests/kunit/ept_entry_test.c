// SPDX-License-Identifier: GPL-2.0
/* EPT entries, and the decoding of violations. Needs no VMX. */
#include <kunit/test.h>

#include <linux/vmx.h>

#include "../../ept/entry.h"
#include "../../ept/violation.h"

#define RW (VMX_MMU_READ | VMX_MMU_WRITE)
#define RX (VMX_MMU_READ | VMX_MMU_EXEC)
#define RWX (VMX_MMU_READ | VMX_MMU_WRITE | VMX_MMU_EXEC)

#define SZ_PAGE 0x1000ULL
#define SZ_LARGE 0x200000ULL
#define SZ_HUGE 0x40000000ULL

/* What differs between CPUs: all of it, with a width each. */
static const u8 widths[] = { 32, 36, 39, 46, 52 };

static struct ept_format format_nth(unsigned int n)
{
	return (struct ept_format) {
		.exec_only = n & 1,
		.accessed_dirty = n & 2,
		.large = (n & 4 ? BIT(2) : 0) | (n & 8 ? BIT(3) : 0),
		.levels = n & 16 ? 5 : 4,
		.mode_exec = n & 32,
		.absent = n & 64 ? BIT_ULL(63) : 0,
		.phys_bits = widths[n % ARRAY_SIZE(widths)],
	};
}

#define FORMATS 128

/*
 * The SDM's "EPT Misconfigurations" once more, told another way, bit by bit, so
 * that a mistake in one is not in the other.
 */
static bool sdm_misconfigured(const struct ept_format *fmt, u64 e, int level)
{
	bool r = e & 1, w = e & 2, page = level == 1;
	bool x = (e & 4) || (fmt->mode_exec && e & 0x400);
	u64 mask = 0;
	int bit;

	if (!r && !w && !x)
		return false;
	if (w && !r)
		return true;
	if (x && !r && !fmt->exec_only)
		return true;
	for (bit = fmt->phys_bits; bit < 52; bit++)
		mask |= 1ULL << bit;
	if (level == 5 || level == 4) {
		mask |= 0xf8;
	} else if (level == 3 || level == 2) {
		page = e & 0x80;
		if (!page)
			mask |= 0x78;
		else if (!(fmt->large & (1 << level)))
			mask |= 0x80;
		else
			mask |= level == 3 ? 0x3ffff000 : 0x1ff000;
	}
	if (e & mask)
		return true;
	if (!page)
		return false;
	switch ((e >> 3) & 7) {
	case 0: /* UC */
	case 1: /* WC */
	case 4: /* WT */
	case 5: /* WP */
	case 6: /* WB */
		return false;
	default:
		return true;
	}
}

/* Whatever is asked, a built entry is right, and refusing is never wrong. */
static void check_leaf(struct kunit *test, const struct ept_format *fmt, u64 pa,
		       int level, u32 prot, u32 memtype)
{
	u64 used = EPT_ACCESSED | EPT_DIRTY;
	u64 e = ept_leaf(fmt, pa, level, prot, memtype, used);
	u64 want = pa | (prot & 7) | (u64)memtype << 3 | BIT_ULL(6) |
		   (level > 1 ? BIT_ULL(7) : 0) |
		   (prot & VMX_MMU_EXEC_USER ? BIT_ULL(10) : 0) |
		   (prot & VMX_MMU_VE ? 0 : fmt->absent) |
		   (fmt->accessed_dirty ? used : 0);
	bool fits = !(pa & 0xfff) && !(pa >> 52) && (prot & 7) && prot < 32 &&
		    (fmt->mode_exec || !(prot & VMX_MMU_EXEC_USER)) &&
		    (fmt->absent || !(prot & VMX_MMU_VE)) &&
		    memtype < 8 && level <= 3;

	if (fits && !sdm_misconfigured(fmt, want, level))
		KUNIT_ASSERT_EQ(test, e, want);
	else
		KUNIT_ASSERT_EQ(test, e, 0);
}

static void entry_leaf_never_misconfigured(struct kunit *test)
{
	unsigned int n, i;
	u32 prot, memtype;
	int level;

	for (n = 0; n < FORMATS; n++) {
		struct ept_format fmt = format_nth(n);
		const u64 pas[] = {
			0, SZ_PAGE, SZ_LARGE - SZ_PAGE, SZ_LARGE, SZ_HUGE, 1,
			0x800, BIT_ULL(fmt.phys_bits) - SZ_PAGE,
			BIT_ULL(fmt.phys_bits) - SZ_HUGE,
			BIT_ULL(fmt.phys_bits), BIT_ULL(52), BIT_ULL(63),
		};

		for (level = 1; level <= 5; level++)
			for (prot = 0; prot < 34; prot++)
				for (memtype = 0; memtype < 10; memtype++)
					for (i = 0; i < ARRAY_SIZE(pas); i++)
						check_leaf(test, &fmt, pas[i],
							   level, prot, memtype);
	}
}

static void entry_table_never_misconfigured(struct kunit *test)
{
	unsigned int n;
	int level;

	for (n = 0; n < FORMATS; n++) {
		struct ept_format fmt = format_nth(n);
		u64 pa = BIT_ULL(fmt.phys_bits) - SZ_PAGE;
		u64 e = ept_table_entry(&fmt, pa);

		for (level = 2; level <= fmt.levels; level++) {
			KUNIT_ASSERT_FALSE(test, sdm_misconfigured(&fmt, e, level));
			KUNIT_ASSERT_FALSE(test, ept_is_leaf(e, level));
		}
		KUNIT_ASSERT_EQ(test, e & EPT_ADDR, pa);
		KUNIT_ASSERT_EQ(test, e & EPT_RWX, EPT_RWX);
	}
}

/* All that the low byte can be, and the bits at the edges of the address. */
static void entry_misconfigured(struct kunit *test)
{
	static const u64 highs[] = {
		0, SZ_PAGE, SZ_LARGE, SZ_HUGE, BIT_ULL(31), BIT_ULL(32),
		BIT_ULL(36), BIT_ULL(39), BIT_ULL(45), BIT_ULL(46), BIT_ULL(51),
		BIT_ULL(52), BIT_ULL(63),
	};
	unsigned int n, i, wrong = 0;
	int level;
	u64 e;

	for (n = 0; n < FORMATS; n++) {
		struct ept_format fmt = format_nth(n);

		for (level = 1; level <= fmt.levels; level++)
			for (i = 0; i < ARRAY_SIZE(highs) * 0x100; i++) {
				e = highs[i / 0x100] | (i & 0xff);
				wrong += ept_misconfigured(&fmt, e, level) !=
					 sdm_misconfigured(&fmt, e, level);
			}
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static void entry_geometry(struct kunit *test)
{
	u64 gpa = 5ULL << 48 | 4ULL << 39 | 3ULL << 30 | 2ULL << 21 | 1ULL << 12 | 0xabc;
	int level;

	for (level = 1; level <= 5; level++)
		KUNIT_EXPECT_EQ(test, ept_index(gpa, level), level);
	KUNIT_EXPECT_EQ(test, ept_index(U64_MAX, 1), 511);
	KUNIT_EXPECT_EQ(test, ept_span(1), SZ_PAGE);
	KUNIT_EXPECT_EQ(test, ept_span(2), SZ_LARGE);
	KUNIT_EXPECT_EQ(test, ept_span(3), SZ_HUGE);
	KUNIT_EXPECT_EQ(test, ept_span(5), 1ULL << 48);
}

static void entry_pointer(struct kunit *test)
{
	struct ept_format fmt = { .levels = 4 };

	KUNIT_EXPECT_EQ(test, ept_pointer(&fmt, 0x1000), 0x101e);
	fmt.accessed_dirty = true;
	KUNIT_EXPECT_EQ(test, ept_pointer(&fmt, 0x1000), 0x105e);
	fmt.levels = 5;
	KUNIT_EXPECT_EQ(test, ept_pointer(&fmt, 0x1000), 0x1066);
}

static void entry_format(struct kunit *test)
{
	struct vmx_caps caps = { .phys_bits = 39, .features = VMX_HAS_EPT };
	struct ept_format fmt = ept_format_of(&caps);

	KUNIT_EXPECT_EQ(test, fmt.levels, 4);
	KUNIT_EXPECT_EQ(test, fmt.large, 0);
	KUNIT_EXPECT_FALSE(test, fmt.exec_only);
	KUNIT_EXPECT_FALSE(test, fmt.accessed_dirty);
	KUNIT_EXPECT_EQ(test, ept_gpa_bits(&fmt), 39);

	caps.phys_bits = 52;
	caps.features |= VMX_HAS_EPT_2M | VMX_HAS_EPT_EXEC_ONLY | VMX_HAS_EPT_AD;
	fmt = ept_format_of(&caps);
	KUNIT_EXPECT_EQ(test, fmt.levels, 4);
	KUNIT_EXPECT_EQ(test, fmt.large, BIT(2));
	KUNIT_EXPECT_TRUE(test, fmt.exec_only);
	KUNIT_EXPECT_TRUE(test, fmt.accessed_dirty);
	KUNIT_EXPECT_EQ(test, ept_gpa_bits(&fmt), 48);

	caps.features |= VMX_HAS_EPT_5LEVEL | VMX_HAS_EPT_1G;
	fmt = ept_format_of(&caps);
	KUNIT_EXPECT_EQ(test, fmt.levels, 5);
	KUNIT_EXPECT_EQ(test, fmt.large, BIT(2) | BIT(3));
	KUNIT_EXPECT_EQ(test, ept_gpa_bits(&fmt), 52);

	caps.phys_bits = 46;
	fmt = ept_format_of(&caps);
	KUNIT_EXPECT_EQ(test, fmt.levels, 4);
}

static struct kunit_case entry_cases[] = {
	KUNIT_CASE(entry_leaf_never_misconfigured),
	KUNIT_CASE(entry_table_never_misconfigured),
	KUNIT_CASE(entry_misconfigured),
	KUNIT_CASE(entry_geometry),
	KUNIT_CASE(entry_pointer),
	KUNIT_CASE(entry_format),
	{}
};

static struct kunit_suite entry_suite = {
	.name = "vmx_ept_entry",
	.test_cases = entry_cases,
};

static const struct {
	u64 qualification;
	struct ept_violation want;
	bool mode_exec;
} violations[] = {
	/* a data read of an absent page, by linear address */
	{ 0x181, { .access = VMX_MMU_READ, .linear = true } },
	/* a write to a page that allows reading and fetching */
	{ 0x1aa, { .access = VMX_MMU_WRITE, .allowed = RX, .linear = true } },
	/* a fetch from a page that allows reading and writing */
	{ 0x19c, { .access = VMX_MMU_EXEC, .allowed = RW, .linear = true } },
	/* the CPU's use of a guest page table, with accessed and dirty bits on */
	{ 0x083, { .access = RW, .linear = true, .page_walk = true } },
	/* loading PDPTEs: no linear address, no class */
	{ 0x000, { .access = VMX_MMU_READ } },
	{ 0x100, { .access = VMX_MMU_READ } },
	/* an IRET's read of the stack */
	{ 0x1181, { .access = VMX_MMU_READ, .linear = true, .nmi_unblock = true } },
	/* fetches where what one mode may execute the other may not */
	{ 0x1ac, { .access = VMX_MMU_EXEC_USER, .allowed = RX, .linear = true }, true },
	{ 0x1cc, { .access = VMX_MMU_EXEC, .linear = true,
		   .allowed = VMX_MMU_READ | VMX_MMU_EXEC_USER }, true },
	/* and where none may, or nothing is there */
	{ 0x18c, { .access = VMX_MMU_EXEC | VMX_MMU_EXEC_USER, .linear = true,
		   .allowed = VMX_MMU_READ }, true },
	{ 0x184, { .access = VMX_MMU_EXEC | VMX_MMU_EXEC_USER, .linear = true }, true },
	/* without the control the bit says nothing */
	{ 0x1c4, { .access = VMX_MMU_EXEC, .linear = true } },
	{ 0x1c2, { .access = VMX_MMU_WRITE, .allowed = VMX_MMU_EXEC_USER, .linear = true },
	  true },
};

static void violation_decode(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(violations); i++) {
		struct ept_violation got =
			ept_violation_decode(violations[i].qualification,
					     violations[i].mode_exec);
		const struct ept_violation *want = &violations[i].want;

		KUNIT_EXPECT_EQ(test, got.access, want->access);
		KUNIT_EXPECT_EQ(test, got.allowed, want->allowed);
		KUNIT_EXPECT_EQ(test, got.linear, want->linear);
		KUNIT_EXPECT_EQ(test, got.page_walk, want->page_walk);
		KUNIT_EXPECT_EQ(test, got.nmi_unblock, want->nmi_unblock);
	}
}

static void violation_access(struct kunit *test)
{
	u64 q;

	for (q = 0; q < BIT(13); q++) {
		u32 access = ept_violation_access(q, false);

		KUNIT_ASSERT_NE(test, access, 0);
		KUNIT_ASSERT_EQ(test, access & ~RWX, 0);
		KUNIT_ASSERT_EQ(test, access, ept_violation_decode(q, false).access);
	}
}

static struct kunit_case violation_cases[] = {
	KUNIT_CASE(violation_decode),
	KUNIT_CASE(violation_access),
	{}
};

static struct kunit_suite violation_suite = {
	.name = "vmx_ept_violation",
	.test_cases = violation_cases,
};

kunit_test_suites(&entry_suite, &violation_suite);
