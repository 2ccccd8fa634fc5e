// SPDX-License-Identifier: GPL-2.0
/* EPT entries, violations, and the engine's tables. Needs no VMX. */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <linux/vmx.h>

#include "../../ept/entry.h"
#include "../../ept/violation.h"
#include "../../vmx/mmu.h"

#define RW (VMX_MMU_READ | VMX_MMU_WRITE)
#define RX (VMX_MMU_READ | VMX_MMU_EXEC)
#define RWX (VMX_MMU_READ | VMX_MMU_WRITE | VMX_MMU_EXEC)

#define SZ_PAGE 0x1000ULL
#define SZ_LARGE 0x200000ULL
#define SZ_HUGE 0x40000000ULL

/* What differs between CPUs, all of it. */
static const u8 widths[] = { 32, 36, 39, 46, 52 };

static struct ept_format format_nth(unsigned int n)
{
	return (struct ept_format) {
		.exec_only = n & 1,
		.accessed_dirty = n & 2,
		.large = (n & 4 ? BIT(2) : 0) | (n & 8 ? BIT(3) : 0),
		.levels = n & 16 ? 5 : 4,
		.phys_bits = widths[n / 32],
	};
}

#define FORMATS (32 * ARRAY_SIZE(widths))

/*
 * The SDM's "EPT Misconfigurations" once more, told another way, bit by bit, so
 * that a mistake in one is not in the other.
 */
static bool sdm_misconfigured(const struct ept_format *fmt, u64 e, int level)
{
	bool r = e & 1, w = e & 2, x = e & 4, page = level == 1;
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
	u64 want = pa | prot | (u64)memtype << 3 | BIT_ULL(6) |
		   (level > 1 ? BIT_ULL(7) : 0) |
		   (fmt->accessed_dirty ? used : 0);
	bool fits = !(pa & 0xfff) && !(pa >> 52) && prot && prot < 8 &&
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
			for (prot = 0; prot < 10; prot++)
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
};

static void violation_decode(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(violations); i++) {
		struct ept_violation got =
			ept_violation_decode(violations[i].qualification);
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
		u32 access = ept_violation_access(q);

		KUNIT_ASSERT_NE(test, access, 0);
		KUNIT_ASSERT_EQ(test, access & ~RWX, 0);
		KUNIT_ASSERT_EQ(test, access, ept_violation_decode(q).access);
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

/* An mmu that no address space and no VM stand behind. */
static int engine_init(struct kunit *test)
{
	struct vmx_mmu *mmu = kunit_kzalloc(test, sizeof(*mmu), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, mmu);
	KUNIT_ASSERT_EQ(test, vmx_mmu_init(mmu, &vmx_mmu_ept_ops), 0);
	/* The same whatever the CPU under the test has. */
	mmu->ept.format = (struct ept_format) {
		.levels = 4,
		.phys_bits = 46,
		.large = BIT(2),
		.accessed_dirty = true,
	};
	mmu->ept.small_exec = false;
	KUNIT_ASSERT_EQ(test, vmx_tables_top_up(mmu), 0);
	test->priv = mmu;
	return 0;
}

static void engine_exit(struct kunit *test)
{
	if (test->priv)
		vmx_mmu_dismantle(test->priv);
}

static int install(struct vmx_mmu *mmu, u64 gpa, u64 pfn, int level, u32 prot,
		   u32 access)
{
	struct vmx_mapping map = {
		.gpa = gpa,
		.pfn = pfn,
		.level = level,
		.prot = prot,
		.memtype = VMX_MEMTYPE_WB,
		.access = access,
	};
	int err;

	if (vmx_tables_top_up(mmu))
		return -ENOMEM;
	spin_lock(&mmu->lock);
	err = mmu->ops->install(mmu, &map);
	spin_unlock(&mmu->lock);
	return err;
}

static void zap(struct vmx_mmu *mmu, u64 start, u64 end)
{
	LIST_HEAD(freed);

	spin_lock(&mmu->lock);
	while (start < end)
		start = mmu->ops->zap(mmu, start, end, &freed);
	spin_unlock(&mmu->lock);
	vmx_tables_free(&freed);
}

static void protect(struct vmx_mmu *mmu, u64 start, u64 end, u32 prot)
{
	spin_lock(&mmu->lock);
	while (start < end)
		start = mmu->ops->protect(mmu, start, end, prot);
	spin_unlock(&mmu->lock);
}

static bool young(struct vmx_mmu *mmu, u64 gpa, bool clear)
{
	bool ret;

	spin_lock(&mmu->lock);
	ret = mmu->ops->young(mmu, gpa, gpa + SZ_PAGE, clear);
	spin_unlock(&mmu->lock);
	return ret;
}

static struct vmx_mmu_walk walk(struct vmx_mmu *mmu, u64 gpa)
{
	struct vmx_mmu_walk w = { .gpa = gpa };

	spin_lock(&mmu->lock);
	mmu->ops->walk(mmu, &w);
	spin_unlock(&mmu->lock);
	return w;
}

static s64 gen(struct vmx_mmu *mmu)
{
	return atomic64_read(&mmu->flush_gen);
}

static void engine_small_page(struct kunit *test)
{
	struct vmx_mmu *mmu = test->priv;
	u64 gpa = 0x123456000;
	struct vmx_mmu_walk w = walk(mmu, gpa);

	KUNIT_EXPECT_EQ(test, w.top, 4);
	KUNIT_EXPECT_EQ(test, w.leaf, 4);
	KUNIT_EXPECT_EQ(test, w.present, 0);
	KUNIT_EXPECT_EQ(test, w.prot, 0);

	KUNIT_ASSERT_EQ(test, install(mmu, gpa, 0x777, 1, RWX, VMX_MMU_WRITE), 0);
	w = walk(mmu, gpa + 0xfff);
	KUNIT_EXPECT_EQ(test, w.leaf, 1);
	KUNIT_EXPECT_EQ(test, w.present, 1);
	KUNIT_EXPECT_EQ(test, w.prot, RWX);
	KUNIT_EXPECT_EQ(test, w.memtype, VMX_MEMTYPE_WB);
	KUNIT_EXPECT_EQ(test, w.entry[0], 0x777000 | RWX | 6 << 3 | BIT(6) |
			EPT_ACCESSED | EPT_DIRTY);
	KUNIT_EXPECT_EQ(test, w.entry[4], 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa + SZ_PAGE).present, 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa + SZ_PAGE).leaf, 1);
	KUNIT_EXPECT_EQ(test, mmu->stats.tables, 4);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[0], 1);
	/* Nothing was there before that a CPU could have cached. */
	KUNIT_EXPECT_EQ(test, gen(mmu), 0);

	zap(mmu, gpa, gpa + SZ_PAGE);
	KUNIT_EXPECT_EQ(test, gen(mmu), 1);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa).present, 0);
	KUNIT_EXPECT_EQ(test, mmu->stats.tables, 1);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[0], 0);
	zap(mmu, 0, BIT_ULL(46));
	KUNIT_EXPECT_EQ(test, gen(mmu), 1);
}

static void engine_five_levels(struct kunit *test)
{
	struct vmx_mmu *mmu = test->priv;
	u64 gpa = BIT_ULL(51) | BIT_ULL(20);

	mmu->ept.format.levels = 5;
	mmu->ept.format.phys_bits = 52;
	KUNIT_ASSERT_EQ(test, install(mmu, gpa, 1, 1, RWX, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa).top, 5);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa).present, 1);
	KUNIT_EXPECT_EQ(test, mmu->stats.tables, 5);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa ^ BIT_ULL(51)).leaf, 5);
	zap(mmu, 0, BIT_ULL(52));
	KUNIT_EXPECT_EQ(test, mmu->stats.tables, 1);
}

static void engine_large_page(struct kunit *test)
{
	struct vmx_mmu *mmu = test->priv;
	u64 gpa = 3 * SZ_LARGE;
	struct vmx_mmu_walk w;

	KUNIT_ASSERT_EQ(test, install(mmu, gpa + 5 * SZ_PAGE, 0x405, 2, RWX,
				      VMX_MMU_READ), 0);
	w = walk(mmu, gpa + SZ_LARGE - 1);
	KUNIT_EXPECT_EQ(test, w.leaf, 2);
	KUNIT_EXPECT_EQ(test, w.entry[1] & EPT_ADDR, 0x400000);
	KUNIT_EXPECT_EQ(test, w.entry[1] & EPT_DIRTY, 0);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[1], 1);

	/* narrowing all of it is done in place */
	protect(mmu, gpa, gpa + SZ_LARGE, RX);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa).prot, RX);
	KUNIT_EXPECT_EQ(test, mmu->stats.splits, 0);
	KUNIT_EXPECT_EQ(test, gen(mmu), 1);
	/* widening is a fault's */
	protect(mmu, gpa, gpa + SZ_LARGE, RWX);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa).prot, RX);
	KUNIT_EXPECT_EQ(test, gen(mmu), 1);
	/* a part of it takes it away */
	protect(mmu, gpa + SZ_PAGE, gpa + 2 * SZ_PAGE, VMX_MMU_READ);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa).present, 0);
	KUNIT_EXPECT_EQ(test, mmu->stats.splits, 1);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[1], 0);

	KUNIT_ASSERT_EQ(test, install(mmu, gpa, 0x400, 2, RWX, VMX_MMU_READ), 0);
	zap(mmu, gpa + SZ_LARGE - SZ_PAGE, gpa + SZ_LARGE);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa).present, 0);
	KUNIT_EXPECT_EQ(test, mmu->stats.splits, 2);
	KUNIT_EXPECT_EQ(test, mmu->stats.tables, 1);
}

static void engine_mixed_sizes(struct kunit *test)
{
	struct vmx_mmu *mmu = test->priv;
	u64 gpa = 7 * SZ_LARGE;

	/* where small pages are, a large one comes as a small one */
	KUNIT_ASSERT_EQ(test, install(mmu, gpa, 0x400, 1, RWX, VMX_MMU_READ), 0);
	KUNIT_ASSERT_EQ(test, install(mmu, gpa + SZ_PAGE, 0x401, 2, RWX,
				      VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa + SZ_PAGE).leaf, 1);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa + SZ_PAGE).entry[0] & EPT_ADDR, 0x401000);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[0], 2);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[1], 0);
	zap(mmu, gpa, gpa + SZ_LARGE);

	/* where a large one is, a small one takes its place */
	KUNIT_ASSERT_EQ(test, install(mmu, gpa, 0x400, 2, RWX, VMX_MMU_READ), 0);
	KUNIT_ASSERT_EQ(test, install(mmu, gpa, 0x400, 1, RWX, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa).leaf, 1);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa + SZ_PAGE).present, 0);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[0], 1);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[1], 0);
	KUNIT_EXPECT_EQ(test, mmu->stats.splits, 1);

	/* where the CPU has no large pages, there are none */
	mmu->ept.format.large = 0;
	KUNIT_ASSERT_EQ(test, install(mmu, 2 * gpa, 0x600, 2, RWX, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, 2 * gpa).leaf, 1);
}

/* Large pages that must not be executable, on CPUs with the erratum. */
static void engine_large_exec(struct kunit *test)
{
	struct vmx_mmu *mmu = test->priv;
	u64 gpa = SZ_LARGE;

	mmu->ept.small_exec = true;
	KUNIT_ASSERT_EQ(test, install(mmu, gpa, 0x200, 2, RWX, VMX_MMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa).leaf, 2);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa).prot, RW);
	KUNIT_ASSERT_EQ(test, install(mmu, gpa, 0x200, 2, RWX, VMX_MMU_EXEC), 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa).leaf, 1);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa).prot, RWX);
	KUNIT_EXPECT_EQ(test, gen(mmu), 1);
	KUNIT_ASSERT_EQ(test, install(mmu, gpa + SZ_PAGE, 0x201, 2, RWX,
				      VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, gpa + SZ_PAGE).prot, RWX);
	/* without execution there is nothing to avoid */
	KUNIT_ASSERT_EQ(test, install(mmu, 2 * gpa, 0x400, 2, RW, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, 2 * gpa).leaf, 2);
}

static void engine_again(struct kunit *test)
{
	struct vmx_mmu *mmu = test->priv;

	KUNIT_ASSERT_EQ(test, install(mmu, 0, 1, 1, RX, VMX_MMU_READ), 0);
	KUNIT_ASSERT_EQ(test, install(mmu, 0, 1, 1, RWX, VMX_MMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, 0).prot, RWX);
	/* a vCPU that looked before the page became writable comes late */
	KUNIT_ASSERT_EQ(test, install(mmu, 0, 1, 1, RX, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, 0).prot, RWX);
	KUNIT_EXPECT_EQ(test, walk(mmu, 0).entry[0] & EPT_DIRTY, EPT_DIRTY);
	KUNIT_EXPECT_EQ(test, gen(mmu), 0);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[0], 1);
	/* another frame */
	KUNIT_ASSERT_EQ(test, install(mmu, 0, 2, 1, RX, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(mmu, 0).prot, RX);
	KUNIT_EXPECT_EQ(test, gen(mmu), 1);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[0], 1);
}

static void engine_narrow_to_nothing(struct kunit *test)
{
	struct vmx_mmu *mmu = test->priv;

	mmu->ept.format.exec_only = true;
	KUNIT_ASSERT_EQ(test, install(mmu, 0, 1, 1, RX, VMX_MMU_READ), 0);
	KUNIT_ASSERT_EQ(test, install(mmu, SZ_PAGE, 1, 1, VMX_MMU_READ,
				      VMX_MMU_READ), 0);
	protect(mmu, 0, 2 * SZ_PAGE, VMX_MMU_EXEC);
	KUNIT_EXPECT_EQ(test, walk(mmu, 0).prot, VMX_MMU_EXEC);
	KUNIT_EXPECT_EQ(test, walk(mmu, SZ_PAGE).entry[0], 0);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[0], 1);
}

static void engine_out_of_tables(struct kunit *test)
{
	struct vmx_mmu *mmu = test->priv;
	struct vmx_mapping map = {
		.level = 1, .prot = RW, .memtype = VMX_MEMTYPE_WB,
		.access = VMX_MMU_READ,
	};
	LIST_HEAD(taken);
	struct page *page;
	int err;

	spin_lock(&mmu->lock);
	while (mmu->nr_spare > 2) {
		page = vmx_table_take(mmu);
		list_add(&page->lru, &taken);
	}
	err = mmu->ops->install(mmu, &map);
	spin_unlock(&mmu->lock);
	vmx_tables_free(&taken);

	KUNIT_EXPECT_EQ(test, err, -EAGAIN);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[0], 0);
	KUNIT_EXPECT_EQ(test, mmu->nr_spare, 0);
	KUNIT_EXPECT_EQ(test, mmu->stats.tables, 3);
	KUNIT_EXPECT_EQ(test, walk(mmu, 0).leaf, 2);
	/* what was made is used, or freed */
	zap(mmu, 0, SZ_PAGE);
	KUNIT_EXPECT_EQ(test, mmu->stats.tables, 1);
	KUNIT_EXPECT_EQ(test, install(mmu, 0, 1, 1, RW, VMX_MMU_READ), 0);
}

static void engine_young(struct kunit *test)
{
	struct vmx_mmu *mmu = test->priv;

	KUNIT_ASSERT_EQ(test, install(mmu, 0, 1, 1, RW, VMX_MMU_READ), 0);
	KUNIT_EXPECT_FALSE(test, young(mmu, SZ_PAGE, false));
	KUNIT_EXPECT_TRUE(test, young(mmu, 0, false));
	KUNIT_EXPECT_TRUE(test, young(mmu, 0, true));
	KUNIT_EXPECT_FALSE(test, young(mmu, 0, true));
	KUNIT_EXPECT_EQ(test, walk(mmu, 0).present, 1);
	KUNIT_EXPECT_EQ(test, gen(mmu), 0);
	KUNIT_ASSERT_EQ(test, install(mmu, 0, 1, 1, RW, VMX_MMU_READ), 0);
	KUNIT_EXPECT_TRUE(test, young(mmu, 0, false));

	mmu->ept.format.accessed_dirty = false;
	KUNIT_EXPECT_TRUE(test, young(mmu, 0, false));
	KUNIT_EXPECT_TRUE(test, young(mmu, 0, true));
	KUNIT_EXPECT_EQ(test, walk(mmu, 0).present, 0);
	KUNIT_EXPECT_EQ(test, gen(mmu), 1);
	KUNIT_EXPECT_FALSE(test, young(mmu, 0, true));
}

#define MODEL_PAGES 2048

/* A generator of our own: the same sequence in every run. */
static u32 next_random(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static bool model_check(struct vmx_mmu *mmu, const u8 *model)
{
	struct ept_format *fmt = &mmu->ept.format;
	u64 small = 0, large = 0, i;

	for (i = 0; i < MODEL_PAGES; i++) {
		struct vmx_mmu_walk w = walk(mmu, i << 12);
		u64 e = w.entry[w.leaf - 1];

		/* large pages may go early, so a page may be gone, not wrong */
		if (w.present && (w.prot & ~model[i]))
			return false;
		if (!w.present)
			continue;
		if (ept_misconfigured(fmt, e, w.leaf))
			return false;
		if (((e & EPT_ADDR) >> 12) + (i & ((1 << 9 * (w.leaf - 1)) - 1)) != i + 512)
			return false;
		small += w.leaf == 1;
		large += w.leaf == 2;
	}
	return small == mmu->stats.pages[0] &&
	       large == mmu->stats.pages[1] * 512;
}

/* Any order of operations, against an array of what is allowed at most. */
static void engine_model(struct kunit *test)
{
	struct vmx_mmu *mmu = test->priv;
	u8 *model = kunit_kzalloc(test, MODEL_PAGES, GFP_KERNEL);
	u32 seed = 1, round, i;

	KUNIT_ASSERT_NOT_NULL(test, model);
	for (round = 0; round < 600; round++) {
		u32 first = next_random(&seed) % MODEL_PAGES;
		u32 count = 1 + next_random(&seed) % 700;
		u32 op = next_random(&seed) % 8;

		count = min(count, MODEL_PAGES - first);
		if (op == 0) {
			zap(mmu, (u64)first << 12, (u64)(first + count) << 12);
			memset(model + first, 0, count);
		} else if (op == 1) {
			protect(mmu, (u64)first << 12,
				(u64)(first + count) << 12, VMX_MMU_READ);
			for (i = first; i < first + count; i++)
				model[i] &= VMX_MMU_READ;
		} else {
			int level = 1 + (op & 1);
			u32 base = level == 2 ? first & ~511 : first;

			KUNIT_ASSERT_EQ(test, install(mmu, (u64)first << 12,
						      first + 512, level, RW,
						      VMX_MMU_WRITE), 0);
			memset(model + base, RW, level == 2 ? 512 : 1);
		}
		if (round % 20 == 0)
			KUNIT_ASSERT_TRUE(test, model_check(mmu, model));
	}
	KUNIT_EXPECT_TRUE(test, model_check(mmu, model));
	zap(mmu, 0, BIT_ULL(46));
	KUNIT_EXPECT_EQ(test, mmu->stats.tables, 1);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[0], 0);
	KUNIT_EXPECT_EQ(test, mmu->stats.pages[1], 0);
}

static struct kunit_case engine_cases[] = {
	KUNIT_CASE(engine_small_page),
	KUNIT_CASE(engine_five_levels),
	KUNIT_CASE(engine_large_page),
	KUNIT_CASE(engine_mixed_sizes),
	KUNIT_CASE(engine_large_exec),
	KUNIT_CASE(engine_again),
	KUNIT_CASE(engine_narrow_to_nothing),
	KUNIT_CASE(engine_out_of_tables),
	KUNIT_CASE(engine_young),
	KUNIT_CASE(engine_model),
	{}
};

static struct kunit_suite engine_suite = {
	.name = "vmx_ept_engine",
	.init = engine_init,
	.exit = engine_exit,
	.test_cases = engine_cases,
};

kunit_test_suites(&entry_suite, &violation_suite, &engine_suite);
