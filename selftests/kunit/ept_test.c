// SPDX-License-Identifier: GPL-2.0
/* The EPT engine's tables. Needs no VMX. */

/* The file is compiled with other entries, too. */
#ifndef SUITE_NAME
#define SUITE_NAME "vmx_ept_engine"
/* Can a page be executable and not readable? */
#define EXEC_ONLY true
/* A page of the host's memory that allows everything. */
#define RWX_WB(pa) ((pa) | 7 | 6 << 3 | BIT(6))
#endif

#include "engine.h"

static void protect(struct ept *ept, u64 start, u64 end, u32 prot)
{
	spin_lock(ept->lock);
	while (start < end)
		start = ept_protect(ept, start, end, prot);
	spin_unlock(ept->lock);
}

static bool young(struct ept *ept, u64 gpa, bool clear)
{
	bool ret;

	spin_lock(ept->lock);
	ret = ept_young(ept, gpa, gpa + SZ_PAGE, clear);
	spin_unlock(ept->lock);
	return ret;
}

static void age(struct ept *ept)
{
	u64 gpa = 0;

	spin_lock(ept->lock);
	while (gpa < BIT_ULL(46))
		gpa = ept_age(ept, gpa, BIT_ULL(46));
	spin_unlock(ept->lock);
}

static void engine_small_page(struct kunit *test)
{
	struct ept *ept = test->priv;
	u64 gpa = 0x123456000;
	struct vmx_mmu_walk w = walk(ept, gpa);

	KUNIT_EXPECT_EQ(test, w.top, 4);
	KUNIT_EXPECT_EQ(test, w.leaf, 4);
	KUNIT_EXPECT_EQ(test, w.present, 0);
	KUNIT_EXPECT_EQ(test, w.prot, 0);

	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x777, 1, RWX, VMX_MMU_WRITE), 0);
	w = walk(ept, gpa + 0xfff);
	KUNIT_EXPECT_EQ(test, w.leaf, 1);
	KUNIT_EXPECT_EQ(test, w.present, 1);
	KUNIT_EXPECT_EQ(test, w.prot, RWX);
	KUNIT_EXPECT_EQ(test, w.memtype, VMX_MEMTYPE_WB);
	KUNIT_EXPECT_EQ(test, w.entry[0], RWX_WB(0x777000) | EPT_ACCESSED | EPT_DIRTY);
	KUNIT_EXPECT_EQ(test, w.entry[4], 0);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa + SZ_PAGE).present, 0);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa + SZ_PAGE).leaf, 1);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 4);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], 1);
	/* Nothing was there before that a CPU could have cached. */
	KUNIT_EXPECT_EQ(test, gen(ept), 0);

	zap(ept, gpa, gpa + SZ_PAGE);
	KUNIT_EXPECT_EQ(test, gen(ept), 1);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).present, 0);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 1);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], 0);
	zap(ept, 0, BIT_ULL(46));
	KUNIT_EXPECT_EQ(test, gen(ept), 1);
}

static void engine_five_levels(struct kunit *test)
{
	struct ept *ept = test->priv;
	u64 gpa = BIT_ULL(51) | BIT_ULL(20);

	ept->format.levels = 5;
	ept->format.phys_bits = 52;
	KUNIT_ASSERT_EQ(test, install(ept, gpa, 1, 1, RWX, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).top, 5);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).present, 1);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 5);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa ^ BIT_ULL(51)).leaf, 5);
	zap(ept, 0, BIT_ULL(52));
	KUNIT_EXPECT_EQ(test, ept->count.tables, 1);
}

static void engine_large_page(struct kunit *test)
{
	struct ept *ept = test->priv;
	u64 gpa = 3 * SZ_LARGE;
	struct vmx_mmu_walk w;

	KUNIT_ASSERT_EQ(test, install(ept, gpa + 5 * SZ_PAGE, 0x405, 2, RWX,
				      VMX_MMU_READ), 0);
	w = walk(ept, gpa + SZ_LARGE - 1);
	KUNIT_EXPECT_EQ(test, w.leaf, 2);
	KUNIT_EXPECT_EQ(test, w.entry[1] & EPT_ADDR, 0x400000);
	KUNIT_EXPECT_EQ(test, w.entry[1] & EPT_DIRTY, 0);
	KUNIT_EXPECT_EQ(test, ept->count.pages[1], 1);

	/* narrowing all of it is done in place */
	protect(ept, gpa, gpa + SZ_LARGE, RX);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).prot, RX);
	KUNIT_EXPECT_EQ(test, ept->count.splits, 0);
	KUNIT_EXPECT_EQ(test, gen(ept), 1);
	/* widening is a fault's */
	protect(ept, gpa, gpa + SZ_LARGE, RWX);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).prot, RX);
	KUNIT_EXPECT_EQ(test, gen(ept), 1);
	/* a part of it takes it away */
	protect(ept, gpa + SZ_PAGE, gpa + 2 * SZ_PAGE, VMX_MMU_READ);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).present, 0);
	KUNIT_EXPECT_EQ(test, ept->count.splits, 1);
	KUNIT_EXPECT_EQ(test, ept->count.pages[1], 0);

	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x400, 2, RWX, VMX_MMU_READ), 0);
	zap(ept, gpa + SZ_LARGE - SZ_PAGE, gpa + SZ_LARGE);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).present, 0);
	KUNIT_EXPECT_EQ(test, ept->count.splits, 2);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 1);
}

static void engine_mixed_sizes(struct kunit *test)
{
	struct ept *ept = test->priv;
	u64 gpa = 7 * SZ_LARGE;

	/* where small pages are, a large one comes as a small one */
	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x400, 1, RWX, VMX_MMU_READ), 0);
	KUNIT_ASSERT_EQ(test, install(ept, gpa + SZ_PAGE, 0x401, 2, RWX,
				      VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa + SZ_PAGE).leaf, 1);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa + SZ_PAGE).entry[0] & EPT_ADDR, 0x401000);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], 2);
	KUNIT_EXPECT_EQ(test, ept->count.pages[1], 0);
	zap(ept, gpa, gpa + SZ_LARGE);

	/* where a large one is, a small one takes its place */
	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x400, 2, RWX, VMX_MMU_READ), 0);
	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x400, 1, RWX, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).leaf, 1);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa + SZ_PAGE).present, 0);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], 1);
	KUNIT_EXPECT_EQ(test, ept->count.pages[1], 0);
	KUNIT_EXPECT_EQ(test, ept->count.splits, 1);

	/* where the CPU has no large pages, there are none */
	ept->format.large = 0;
	KUNIT_ASSERT_EQ(test, install(ept, 2 * gpa, 0x600, 2, RWX, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, 2 * gpa).leaf, 1);
}

static void engine_huge_page(struct kunit *test)
{
	struct ept *ept = test->priv;
	u64 gpa = 5 * SZ_HUGE;

	/* a CPU that has none takes the next smaller */
	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x40000, 3, RWX, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).leaf, 2);
	zap(ept, gpa, gpa + SZ_HUGE);

	ept->format.large |= BIT(3);
	KUNIT_ASSERT_EQ(test, install(ept, gpa + 3 * SZ_LARGE + SZ_PAGE, 0x40601, 3,
				      RWX, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa + SZ_HUGE - 1).leaf, 3);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).entry[2] & EPT_ADDR, 0x40000000);
	KUNIT_EXPECT_FALSE(test, walk(ept, gpa + SZ_HUGE).present);
	KUNIT_EXPECT_EQ(test, ept->count.pages[2], 1);
	/* whole, in place; in part, smaller pages instead */
	protect(ept, gpa, gpa + SZ_HUGE, RW);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).leaf, 3);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).prot, RW);
	protect(ept, gpa, gpa + SZ_PAGE, VMX_MMU_READ);
	KUNIT_EXPECT_FALSE(test, walk(ept, gpa + SZ_LARGE).present);
	KUNIT_ASSERT_EQ(test, install(ept, gpa + SZ_LARGE, 0x40200, 2, RW, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa + SZ_LARGE).leaf, 2);
	KUNIT_EXPECT_EQ(test, ept->count.splits, 1);
	/* and when they are gone, it fits again */
	zap(ept, gpa, gpa + SZ_HUGE);
	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x40000, 3, RW, VMX_MMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).leaf, 3);
}

/* A table that an attempt without enough of them left empty. */
static void engine_large_page_for_an_empty_table(struct kunit *test)
{
	struct ept *ept = test->priv;
	struct ept_mapping map = {
		.level = 1, .prot = RW, .memtype = VMX_MEMTYPE_WB, .pfn = 0x200,
	};
	LIST_HEAD(taken);
	int ret;

	spin_lock(ept->lock);
	while (ept->nr_spare > 2)
		list_add(&ept_take_table(ept)->lru, &taken);
	ret = ept_install(ept, &map);
	list_splice(&taken, &ept->unlinked);
	spin_unlock(ept->lock);
	KUNIT_ASSERT_EQ(test, ret, -EAGAIN);
	KUNIT_ASSERT_EQ(test, ept->count.tables, 3);
	ept->format.large |= BIT(3);
	KUNIT_ASSERT_EQ(test, install(ept, 0, 0, 3, RW, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, 0).leaf, 3);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 2);
}

/* Whoever made something from an entry hears of changes that make it wrong, and of no others. */
static void engine_derived_entries(struct kunit *test)
{
	struct ept *ept = test->priv;
	const struct engine *engine = container_of(ept, struct engine, ept);
	u64 gpa = SZ_LARGE;

	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x777, 1, RW, VMX_MMU_READ), 0);
	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x777, 1, RWX, VMX_MMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, engine->drops, 0);
	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x778, 1, RWX, VMX_MMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, engine->drops, 1);
	KUNIT_EXPECT_EQ(test, engine->gpa, gpa);
	KUNIT_EXPECT_EQ(test, engine->level, 1);
	protect(ept, gpa, gpa + SZ_PAGE, RW);
	KUNIT_EXPECT_EQ(test, engine->drops, 2);
	protect(ept, gpa, gpa + SZ_PAGE, RW);
	KUNIT_EXPECT_EQ(test, engine->drops, 2);
	zap(ept, gpa, gpa + SZ_PAGE);
	KUNIT_EXPECT_EQ(test, engine->drops, 3);
	KUNIT_EXPECT_EQ(test, engine->gpa, gpa);
	KUNIT_ASSERT_EQ(test, install(ept, 0, 0x200, 2, RW, VMX_MMU_READ), 0);
	protect(ept, 0, SZ_LARGE, VMX_MMU_READ);
	KUNIT_EXPECT_EQ(test, engine->drops, 4);
	KUNIT_EXPECT_EQ(test, engine->level, 2);
	zap(ept, SZ_PAGE, 2 * SZ_PAGE);
	KUNIT_EXPECT_EQ(test, engine->drops, 5);
	KUNIT_EXPECT_EQ(test, engine->gpa & ~(SZ_LARGE - 1), 0);
	KUNIT_EXPECT_EQ(test, engine->level, 2);
	/* A large page that a small one replaces. */
	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x200, 2, RW, VMX_MMU_READ), 0);
	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x200, 1, RW, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, engine->drops, 6);
	KUNIT_EXPECT_EQ(test, engine->gpa, gpa);
	KUNIT_EXPECT_EQ(test, engine->level, 2);
}

/* Large pages that must not be executable, on CPUs with the erratum. */
static void engine_large_exec(struct kunit *test)
{
	struct ept *ept = test->priv;
	u64 gpa = SZ_LARGE;

	ept->small_exec = true;
	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x200, 2, RWX, VMX_MMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).leaf, 2);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).prot, RW);
	KUNIT_ASSERT_EQ(test, install(ept, gpa, 0x200, 2, RWX, VMX_MMU_EXEC), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).leaf, 1);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa).prot, RWX);
	KUNIT_EXPECT_EQ(test, gen(ept), 1);
	KUNIT_ASSERT_EQ(test, install(ept, gpa + SZ_PAGE, 0x201, 2, RWX,
				      VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, gpa + SZ_PAGE).prot, RWX);
	/* without execution there is nothing to avoid */
	KUNIT_ASSERT_EQ(test, install(ept, 2 * gpa, 0x400, 2, RW, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, 2 * gpa).leaf, 2);
}

static void engine_again(struct kunit *test)
{
	struct ept *ept = test->priv;

	KUNIT_ASSERT_EQ(test, install(ept, 0, 1, 1, RX, VMX_MMU_READ), 0);
	KUNIT_ASSERT_EQ(test, install(ept, 0, 1, 1, RWX, VMX_MMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, 0).prot, RWX);
	/* a vCPU that looked before the page became writable comes late */
	KUNIT_ASSERT_EQ(test, install(ept, 0, 1, 1, RX, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, 0).prot, RWX);
	KUNIT_EXPECT_EQ(test, walk(ept, 0).entry[0] & EPT_DIRTY, EPT_DIRTY);
	KUNIT_EXPECT_EQ(test, gen(ept), 0);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], 1);
	/* another frame */
	KUNIT_ASSERT_EQ(test, install(ept, 0, 2, 1, RX, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, 0).prot, RX);
	KUNIT_EXPECT_EQ(test, gen(ept), 1);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], 1);
}

static void engine_narrow_to_nothing(struct kunit *test)
{
	struct ept *ept = test->priv;

	ept->format.exec_only = true;
	KUNIT_ASSERT_EQ(test, install(ept, 0, 1, 1, RX, VMX_MMU_READ), 0);
	KUNIT_ASSERT_EQ(test, install(ept, SZ_PAGE, 1, 1, VMX_MMU_READ,
				      VMX_MMU_READ), 0);
	protect(ept, 0, 2 * SZ_PAGE, VMX_MMU_EXEC);
	KUNIT_EXPECT_EQ(test, walk(ept, 0).prot, EXEC_ONLY ? VMX_MMU_EXEC : 0);
	KUNIT_EXPECT_EQ(test, walk(ept, SZ_PAGE).entry[0], 0);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], EXEC_ONLY ? 1 : 0);
}

static void engine_out_of_tables(struct kunit *test)
{
	struct ept *ept = test->priv;
	struct ept_mapping map = {
		.level = 1, .prot = RW, .memtype = VMX_MEMTYPE_WB,
		.access = VMX_MMU_READ,
	};
	LIST_HEAD(taken);
	struct page *page;
	int err;

	spin_lock(ept->lock);
	while (ept->nr_spare > 2) {
		page = ept_take_table(ept);
		list_add(&page->lru, &taken);
	}
	err = ept_install(ept, &map);
	spin_unlock(ept->lock);
	/* freed with it */
	list_splice(&taken, &ept->unlinked);

	KUNIT_EXPECT_EQ(test, err, -EAGAIN);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], 0);
	KUNIT_EXPECT_EQ(test, ept->nr_spare, 0);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 3);
	KUNIT_EXPECT_EQ(test, walk(ept, 0).leaf, 2);
	/* what was made is used, or freed */
	zap(ept, 0, SZ_PAGE);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 1);
	KUNIT_EXPECT_EQ(test, install(ept, 0, 1, 1, RW, VMX_MMU_READ), 0);
}

static void engine_young(struct kunit *test)
{
	struct ept *ept = test->priv;

	KUNIT_ASSERT_EQ(test, install(ept, 0, 1, 1, RW, VMX_MMU_READ), 0);
	KUNIT_EXPECT_FALSE(test, young(ept, SZ_PAGE, false));
	KUNIT_EXPECT_TRUE(test, young(ept, 0, false));
	KUNIT_EXPECT_TRUE(test, young(ept, 0, true));
	KUNIT_EXPECT_FALSE(test, young(ept, 0, true));
	KUNIT_EXPECT_EQ(test, walk(ept, 0).present, 1);
	KUNIT_EXPECT_EQ(test, gen(ept), 0);
	KUNIT_ASSERT_EQ(test, install(ept, 0, 1, 1, RW, VMX_MMU_READ), 0);
	KUNIT_EXPECT_TRUE(test, young(ept, 0, false));

	ept->format.accessed_dirty = false;
	KUNIT_EXPECT_TRUE(test, young(ept, 0, false));
	KUNIT_EXPECT_TRUE(test, young(ept, 0, true));
	KUNIT_EXPECT_EQ(test, walk(ept, 0).present, 0);
	KUNIT_EXPECT_EQ(test, gen(ept), 1);
	KUNIT_EXPECT_FALSE(test, young(ept, 0, true));
}

#define MODEL_PAGES 2048

/* A generator of our own: the same sequence in every run. */
static u32 next_random(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static bool model_check(struct ept *ept, const u8 *model)
{
	struct ept_format *fmt = &ept->format;
	u64 small = 0, large = 0, i;

	for (i = 0; i < MODEL_PAGES; i++) {
		struct vmx_mmu_walk w = walk(ept, i << 12);
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
	return small == ept->count.pages[0] &&
	       large == ept->count.pages[1] * 512;
}

/* Any order of operations, against an array of what is allowed at most. */
static void engine_model(struct kunit *test)
{
	struct ept *ept = test->priv;
	u8 *model = kunit_kzalloc(test, MODEL_PAGES, GFP_KERNEL);
	u32 seed = 1, round, i;

	KUNIT_ASSERT_NOT_NULL(test, model);
	for (round = 0; round < 600; round++) {
		u32 first = next_random(&seed) % MODEL_PAGES;
		u32 count = 1 + next_random(&seed) % 700;
		u32 op = next_random(&seed) % 8;

		count = min(count, MODEL_PAGES - first);
		if (op == 0) {
			zap(ept, (u64)first << 12, (u64)(first + count) << 12);
			memset(model + first, 0, count);
		} else if (op == 1) {
			protect(ept, (u64)first << 12,
				(u64)(first + count) << 12, VMX_MMU_READ);
			for (i = first; i < first + count; i++)
				model[i] &= VMX_MMU_READ;
		} else {
			int level = 1 + (op & 1);
			u32 base = level == 2 ? first & ~511 : first;

			KUNIT_ASSERT_EQ(test, install(ept, (u64)first << 12,
						      first + 512, level, RW,
						      VMX_MMU_WRITE), 0);
			memset(model + base, RW, level == 2 ? 512 : 1);
		}
		if (round % 20 == 0)
			KUNIT_ASSERT_TRUE(test, model_check(ept, model));
	}
	KUNIT_EXPECT_TRUE(test, model_check(ept, model));
	zap(ept, 0, BIT_ULL(46));
	KUNIT_EXPECT_EQ(test, ept->count.tables, 1);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], 0);
	KUNIT_EXPECT_EQ(test, ept->count.pages[1], 0);
}

/* Tables that no CPU went through since they were looked at before go. */
static void engine_age(struct kunit *test)
{
	struct ept *ept = test->priv;
	u64 *table, n;

	for (n = 0; n < 3; n++)
		KUNIT_ASSERT_EQ(test, install(ept, n * SZ_LARGE, n, 1, RW, VMX_MMU_READ), 0);
	KUNIT_ASSERT_EQ(test, install(ept, SZ_HUGE, 0x200, 2, RW, VMX_MMU_READ), 0);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 7);
	/* They are new, and in use. */
	age(ept);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 7);
	KUNIT_EXPECT_TRUE(test, young(ept, SZ_LARGE, false));
	/* As a CPU does that goes to the second one. */
	table = phys_to_virt(walk(ept, 0).entry[2] & EPT_ADDR);
	table[1] |= EPT_ACCESSED;
	age(ept);
	KUNIT_EXPECT_EQ(test, walk(ept, 0).leaf, 2);
	KUNIT_EXPECT_EQ(test, walk(ept, SZ_LARGE).present, 1);
	KUNIT_EXPECT_EQ(test, walk(ept, 2 * SZ_LARGE).leaf, 2);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 5);
	/* and the table above it, when that is empty; large pages stay. */
	age(ept);
	KUNIT_EXPECT_EQ(test, walk(ept, SZ_LARGE).leaf, 3);
	KUNIT_EXPECT_EQ(test, walk(ept, SZ_HUGE).present, 1);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 3);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], 0);

	/* Without accessed bits none counts as used. */
	ept->format.accessed_dirty = false;
	KUNIT_ASSERT_EQ(test, install(ept, 0, 1, 1, RW, VMX_MMU_READ), 0);
	age(ept);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], 0);
}

static struct kunit_case engine_cases[] = {
	KUNIT_CASE(engine_small_page),
	KUNIT_CASE(engine_five_levels),
	KUNIT_CASE(engine_large_page),
	KUNIT_CASE(engine_mixed_sizes),
	KUNIT_CASE(engine_huge_page),
	KUNIT_CASE(engine_large_page_for_an_empty_table),
	KUNIT_CASE(engine_derived_entries),
	KUNIT_CASE(engine_large_exec),
	KUNIT_CASE(engine_again),
	KUNIT_CASE(engine_narrow_to_nothing),
	KUNIT_CASE(engine_out_of_tables),
	KUNIT_CASE(engine_young),
	KUNIT_CASE(engine_age),
	KUNIT_CASE(engine_model),
	{}
};

static struct kunit_suite engine_suite = {
	.name = SUITE_NAME,
	.init = engine_init,
	.exit = engine_exit,
	.test_cases = engine_cases,
};

kunit_test_suites(&engine_suite);
