// SPDX-License-Identifier: GPL-2.0
/* The set of ranges behind an mmu. Needs no VMX. */
#include <kunit/test.h>
#include <linux/slab.h>

#include <linux/vmx.h>

#include "../../mmu/ranges.h"
#include "../../base/ledger_time.h"

#define PAGES 64
#define UADDR 0x700000000000ULL

static int ranges_init(struct kunit *test)
{
	struct gphys_ranges *set = kunit_kzalloc(test, sizeof(*set), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, set);
	set->by_gpa = RB_ROOT_CACHED;
	set->by_uaddr = RB_ROOT_CACHED;
	test->priv = set;
	return 0;
}

static void ranges_exit(struct kunit *test)
{
	struct gphys_ranges *set = test->priv;
	struct gphys_range *range;

	while (set && (range = gphys_ranges_first(set, 0, U64_MAX)))
		gphys_ranges_remove(set, range);
}

static void add(struct kunit *test, u64 gpa, u64 uaddr, u64 length, u32 prot)
{
	struct gphys_range *range = gphys_range_alloc(gpa, uaddr, length, prot);

	KUNIT_ASSERT_NOT_NULL(test, range);
	gphys_ranges_add(test->priv, range);
}

static void split(struct kunit *test, u64 gpa)
{
	struct gphys_range *spare = gphys_range_alloc(0, 0, 1, 0);

	KUNIT_ASSERT_NOT_NULL(test, spare);
	gphys_ranges_split(test->priv, gpa, &spare);
	kfree(spare);
}

/* Userspace address behind a guest-physical one; 0 if there is none. */
static u64 behind(struct gphys_ranges *set, u64 gpa)
{
	struct gphys_range_copy copy;

	return gphys_ranges_find(set, gpa, &copy) ?
	       copy.uaddr + (gpa - copy.first) : 0;
}

static void ranges_find(struct kunit *test)
{
	struct gphys_ranges *set = test->priv;
	struct gphys_range_copy copy;

	KUNIT_EXPECT_FALSE(test, gphys_ranges_peek(set, 0x1000, &copy));
	KUNIT_EXPECT_EQ(test, behind(set, 0x1000), 0);
	add(test, 0x1000, UADDR, 0x3000, VMX_MMU_READ);
	add(test, 0x8000, UADDR, 0x1000, VMX_MMU_READ);
	KUNIT_EXPECT_EQ(test, set->count, 2);
	KUNIT_EXPECT_EQ(test, behind(set, 0xfff), 0);
	KUNIT_EXPECT_EQ(test, behind(set, 0x1000), UADDR);
	KUNIT_EXPECT_EQ(test, behind(set, 0x3fff), UADDR + 0x2fff);
	KUNIT_EXPECT_EQ(test, behind(set, 0x4000), 0);
	/* the last one found, and it alone, is found without the tree */
	KUNIT_EXPECT_TRUE(test, gphys_ranges_peek(set, 0x2000, &copy));
	KUNIT_EXPECT_EQ(test, copy.prot, VMX_MMU_READ);
	KUNIT_EXPECT_FALSE(test, gphys_ranges_peek(set, 0x8000, &copy));
	KUNIT_EXPECT_EQ(test, behind(set, 0x8000), UADDR);
	KUNIT_EXPECT_TRUE(test, gphys_ranges_peek(set, 0x8000, &copy));
	gphys_ranges_remove(set, gphys_ranges_first(set, 0x8000, 0x8000));
	KUNIT_EXPECT_FALSE(test, gphys_ranges_peek(set, 0x8000, &copy));
}

static void ranges_cover(struct kunit *test)
{
	struct gphys_ranges *set = test->priv;

	KUNIT_EXPECT_FALSE(test, gphys_ranges_cover(set, 0, 0));
	add(test, 0x1000, UADDR, 0x1000, VMX_MMU_READ);
	add(test, 0x2000, UADDR, 0x1000, VMX_MMU_READ);
	add(test, 0x4000, UADDR, 0x1000, VMX_MMU_READ);
	KUNIT_EXPECT_TRUE(test, gphys_ranges_cover(set, 0x1000, 0x2fff));
	KUNIT_EXPECT_TRUE(test, gphys_ranges_cover(set, 0x1fff, 0x2000));
	KUNIT_EXPECT_FALSE(test, gphys_ranges_cover(set, 0x0fff, 0x1000));
	KUNIT_EXPECT_FALSE(test, gphys_ranges_cover(set, 0x1000, 0x3000));
	KUNIT_EXPECT_FALSE(test, gphys_ranges_cover(set, 0x1000, 0x4fff));
}

static void ranges_growth(struct kunit *test)
{
	struct gphys_ranges *set = test->priv;

	add(test, 0x1000, UADDR, 0x4000, VMX_MMU_READ);
	add(test, 0x5000, UADDR + 0x4000, 0x1000, VMX_MMU_READ);
	/* all of it, either end, a hole in the middle */
	KUNIT_EXPECT_EQ(test, gphys_ranges_growth(set, 0x1000, 0x4fff, false), 0);
	KUNIT_EXPECT_EQ(test, gphys_ranges_growth(set, 0x1000, 0x1fff, false), 0);
	KUNIT_EXPECT_EQ(test, gphys_ranges_growth(set, 0x4000, 0x4fff, false), 0);
	KUNIT_EXPECT_EQ(test, gphys_ranges_growth(set, 0x2000, 0x2fff, false), 1);
	KUNIT_EXPECT_EQ(test, gphys_ranges_growth(set, 0x2000, 0x5fff, false), 0);
	KUNIT_EXPECT_EQ(test, gphys_ranges_growth(set, 0x1000, 0x4fff, true), 0);
	KUNIT_EXPECT_EQ(test, gphys_ranges_growth(set, 0x1000, 0x1fff, true), 1);
	KUNIT_EXPECT_EQ(test, gphys_ranges_growth(set, 0x2000, 0x2fff, true), 2);
}

static void ranges_split_and_merge(struct kunit *test)
{
	struct gphys_ranges *set = test->priv;
	struct gphys_range *range;
	u64 gpa;

	add(test, 0x1000, UADDR, 0x4000, VMX_MMU_READ);
	split(test, 0x1000);
	split(test, 0x5000);
	KUNIT_EXPECT_EQ(test, set->count, 1);
	split(test, 0x3000);
	KUNIT_EXPECT_EQ(test, set->count, 2);
	for (gpa = 0x1000; gpa < 0x5000; gpa += 0x800)
		KUNIT_EXPECT_EQ(test, behind(set, gpa), UADDR + gpa - 0x1000);

	range = gphys_ranges_first(set, 0x3000, 0x3000);
	KUNIT_ASSERT_NOT_NULL(test, range);
	KUNIT_EXPECT_EQ(test, range->gpa.start, 0x3000);
	range->prot = VMX_MMU_EXEC;
	gphys_ranges_merge(set, 0x3000);
	KUNIT_EXPECT_EQ(test, set->count, 2);
	range->prot = VMX_MMU_READ;
	gphys_ranges_merge(set, 0x3000);
	KUNIT_EXPECT_EQ(test, set->count, 1);
	for (gpa = 0x1000; gpa < 0x5000; gpa += 0x800)
		KUNIT_EXPECT_EQ(test, behind(set, gpa), UADDR + gpa - 0x1000);

	/* neighbours whose backing does not continue stay apart */
	add(test, 0x5000, UADDR, 0x1000, VMX_MMU_READ);
	gphys_ranges_merge(set, 0x5000);
	gphys_ranges_merge(set, 0x6000);
	gphys_ranges_merge(set, 0x1000);
	gphys_ranges_merge(set, 0);
	KUNIT_EXPECT_EQ(test, set->count, 2);
}

/* A generator of our own: the same sequence in every run. */
static u32 next_random(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

struct model {
	u64 uaddr[PAGES];
	u32 prot[PAGES];
};

static void model_check(struct kunit *test, const struct model *model)
{
	struct gphys_ranges *set = test->priv;
	struct gphys_range_copy copy;
	u64 page;

	for (page = 0; page < PAGES; page++) {
		bool found = gphys_ranges_find(set, page << 12, &copy);

		KUNIT_ASSERT_EQ(test, found, model->prot[page] != 0);
		if (!found)
			continue;
		KUNIT_ASSERT_EQ(test, copy.prot, model->prot[page]);
		KUNIT_ASSERT_EQ(test, copy.uaddr + (page << 12) - copy.first,
				model->uaddr[page]);
	}
}

/* Any order of operations, against an array with an element per page. */
static void ranges_model(struct kunit *test)
{
	struct gphys_ranges *set = test->priv;
	struct model *model = kunit_kzalloc(test, sizeof(*model), GFP_KERNEL);
	u32 seed = 1, round;
	u64 page;

	KUNIT_ASSERT_NOT_NULL(test, model);
	for (round = 0; round < 2000; round++) {
		u64 from = next_random(&seed) % PAGES;
		u64 to = from + 1 + next_random(&seed) % 12;
		u32 op = next_random(&seed) % 3;
		u32 prot = 1 + next_random(&seed) % 3;
		struct gphys_range *range;

		to = min_t(u64, to, PAGES);
		/* The time that the model takes is not the module's. */
		base_ledger_begin();
		if (op == 0 && !gphys_ranges_first(set, from << 12, (to << 12) - 1)) {
			u64 uaddr = UADDR + ((u64)next_random(&seed) % 8 << 12);

			add(test, from << 12, uaddr, (to - from) << 12, prot);
			for (page = from; page < to; page++) {
				model->uaddr[page] = uaddr + ((page - from) << 12);
				model->prot[page] = prot;
			}
		} else if (op == 1) {
			split(test, from << 12);
			split(test, to << 12);
			while ((range = gphys_ranges_first(set, from << 12, (to << 12) - 1)))
				gphys_ranges_remove(set, range);
			memset(model->prot + from, 0, (to - from) * sizeof(u32));
		} else if (gphys_ranges_cover(set, from << 12, (to << 12) - 1)) {
			split(test, from << 12);
			split(test, to << 12);
			for (page = from; page < to; page++) {
				range = gphys_ranges_first(set, page << 12, page << 12);
				range->prot = prot;
				model->prot[page] = prot;
			}
			gphys_ranges_merge(set, from << 12);
			gphys_ranges_merge(set, to << 12);
		}
		model_check(test, model);
	}
}

static struct kunit_case ranges_cases[] = {
	KUNIT_CASE(ranges_find),
	KUNIT_CASE(ranges_cover),
	KUNIT_CASE(ranges_growth),
	KUNIT_CASE(ranges_split_and_merge),
	KUNIT_CASE(ranges_model),
	{}
};

static struct kunit_suite ranges_suite = {
	.name = "vmx_mmu_ranges",
	.init = ranges_init,
	.exit = ranges_exit,
	.test_cases = ranges_cases,
};

kunit_test_suites(&ranges_suite);
