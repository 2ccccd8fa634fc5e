// SPDX-License-Identifier: GPL-2.0
/* The log in EPT tables: exactly the pages that were written, once each. Needs no VMX. */

/* The file is compiled with other entries, too. */
#ifndef LOG_SUITE_NAME
#define LOG_SUITE_NAME "vmx_ept_log"
#endif

#include <linux/bitmap.h>

#include "engine.h"

/* Pages over a border of tables of each level. */
#define LOG_PAGES	1100
#define LOG_BASE	(3 * SZ_HUGE - SZ_LARGE - 37 * SZ_PAGE)
#define LOG_END		(LOG_BASE + LOG_PAGES * SZ_PAGE)
/* What a step may cost more than there is left: a page, or a group of them. */
#define LOG_STEP	(GROUP_ENTRIES * EPT_COST_RELOG + EPT_COST_GROUP)

/**
 * struct log_model - what the log has to know
 * @written: pages that were written since the last look
 * @found: what a look found; longer, for what is not to be found
 * @total: how much it found
 */
struct log_model {
	DECLARE_BITMAP(written, LOG_PAGES);
	DECLARE_BITMAP(found, 4 * LOG_PAGES);
	u64 total;
};

static u64 page_at(unsigned int n)
{
	return LOG_BASE + n * SZ_PAGE;
}

static u64 *slot_of(struct ept *ept, unsigned int n)
{
	struct vmx_mmu_walk w = walk(ept, page_at(n));

	if (w.leaf != 1)
		return NULL;
	return ept_table_of(w.entry[1]) + ept_index(page_at(n), 1);
}

/* As a guest does, with the faults that it takes. */
static int guest_reads(struct ept *ept, unsigned int n)
{
	return walk(ept, page_at(n)).present ? 0 :
	       install(ept, page_at(n), n + 1, 1, RW, VMX_MMU_READ);
}

static int guest_writes(struct ept *ept, unsigned int n)
{
	u64 *slot = slot_of(ept, n), gpa = page_at(n);

	if (!(walk(ept, gpa).prot & VMX_MMU_WRITE))
		return install(ept, gpa, n + 1, 1, RW, VMX_MMU_WRITE);
	if (ept->log == VMX_DIRTY_WRITE_PROTECT || *slot & EPT_DIRTY)
		return 0;
	*slot |= EPT_DIRTY;
	spin_lock(ept->lock);
	if (ept->log == VMX_DIRTY_PML)
		ept_mark(ept, &gpa, 1);
	spin_unlock(ept->lock);
	return 0;
}

/* The pages from FIRST on, by bits that begin at the page ORIGIN; how many calls it took. */
static unsigned int look(struct kunit *test, struct ept *ept, struct log_model *m,
			 int origin, unsigned int first, unsigned int count)
{
	struct ept_dirty_batch batch = { LOG_BASE + origin * (s64)SZ_PAGE, m->found };
	u64 gpa = page_at(first), end = page_at(first + count);
	unsigned int calls = 0;

	bitmap_zero(m->found, 4 * LOG_PAGES);
	spin_lock(ept->lock);
	while (gpa < end) {
		u64 next = ept_harvest(ept, gpa, end, &batch);

		calls++;
		KUNIT_EXPECT_GE(test, ept->left, -LOG_STEP);
		if (next <= gpa)
			break;
		gpa = next;
	}
	spin_unlock(ept->lock);
	KUNIT_EXPECT_GE(test, gpa, end);
	m->total = batch.dirty;
	return calls;
}

/* It finds those that are to be found, and they are not found again. */
static bool look_finds(struct kunit *test, struct ept *ept, struct log_model *m,
		       int origin, unsigned int first, unsigned int count)
{
	unsigned int n, wanted = 0;
	s64 before = gen(ept);

	look(test, ept, m, origin, first, count);
	for (n = first; n < LOG_PAGES; n++) {
		bool want = n < first + count && test_bit(n, m->written);

		if (test_bit(n - origin, m->found) != want)
			return false;
		wanted += want;
		if (want)
			__clear_bit(n, m->written);
	}
	/* CPUs hear of it: they may have cached that the page is writable, or dirty. */
	return m->total == wanted && bitmap_weight(m->found, 4 * LOG_PAGES) == wanted &&
	       (gen(ept) != before) == !!wanted;
}

static void zap_pages(struct kunit *test, struct ept *ept, unsigned int first,
		      unsigned int count, bool forget)
{
	u64 gpa = page_at(first), end = page_at(first + count);

	spin_lock(ept->lock);
	while (gpa < end) {
		gpa = ept_zap(ept, gpa, end, forget);
		KUNIT_EXPECT_GE(test, ept->left, -EPT_COST_ZAP - 1);
	}
	spin_unlock(ept->lock);
}

static void relog(struct kunit *test, struct ept *ept, u32 method)
{
	u64 gpa = LOG_BASE & ~(SZ_LARGE - 1), next;

	spin_lock(ept->lock);
	ept->log = method;
	while (gpa < LOG_END) {
		next = ept_relog(ept, gpa, LOG_END);
		KUNIT_EXPECT_GE(test, ept->left, -EPT_COST_RELOG);
		KUNIT_EXPECT_GT(test, next, gpa);
		gpa = max(next, gpa + SZ_PAGE);
	}
	spin_unlock(ept->lock);
}

static u32 log_random(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* Any order of reads, writes, removals and looks, against a bitmap. */
static void log_model_of(struct kunit *test, u32 method)
{
	struct log_model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	struct ept *ept = test->priv;
	u32 seed = method, round, i;

	KUNIT_ASSERT_NOT_NULL(test, m);
	ept->log = method;
	for (round = 0; round < 250; round++) {
		u32 first = log_random(&seed) % LOG_PAGES;
		u32 count = min(1 + log_random(&seed) % 40, LOG_PAGES - first);
		u32 what = log_random(&seed) % 8;

		for (i = first; what < 5 && i < first + count; i++) {
			if (log_random(&seed) % 3 == 0) {
				KUNIT_ASSERT_EQ(test, guest_writes(ept, i), 0);
				__set_bit(i, m->written);
			} else {
				KUNIT_ASSERT_EQ(test, guest_reads(ept, i), 0);
			}
		}
		if (what == 5)
			zap_pages(test, ept, first, count, false);
		if (what == 6 && round % 3 == 0) {
			zap_pages(test, ept, first, count, true);
			bitmap_clear(m->written, first, count);
		}
		if (what == 7) {
			int origin = first - (int)(log_random(&seed) % 70);

			KUNIT_ASSERT_TRUE(test, look_finds(test, ept, m, max(origin, -37), first,
							   count));
		}
	}
	KUNIT_EXPECT_TRUE(test, look_finds(test, ept, m, 0, 0, LOG_PAGES));
	KUNIT_EXPECT_TRUE(test, look_finds(test, ept, m, 0, 0, LOG_PAGES));
	zap_pages(test, ept, 0, LOG_PAGES, true);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 1);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], 0);
}

static void log_by_write_protection(struct kunit *test)
{
	log_model_of(test, VMX_DIRTY_WRITE_PROTECT);
}

static void log_by_dirty_bits(struct kunit *test)
{
	log_model_of(test, VMX_DIRTY_BITS);
}

static void log_by_pml(struct kunit *test)
{
	log_model_of(test, VMX_DIRTY_PML);
}

/* A page that only was read is not writable; one that was looked at is not any more. */
static void log_write_protects(struct kunit *test)
{
	struct ept *ept = test->priv;
	struct engine *engine = container_of(ept, struct engine, ept);
	struct log_model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, m);
	ept->log = VMX_DIRTY_WRITE_PROTECT;
	KUNIT_ASSERT_EQ(test, guest_reads(ept, 5), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, page_at(5)).prot, VMX_MMU_READ);
	KUNIT_ASSERT_EQ(test, guest_writes(ept, 5), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, page_at(5)).prot, RW);
	KUNIT_EXPECT_EQ(test, engine->drops, 0);
	look(test, ept, m, 0, 0, LOG_PAGES);
	KUNIT_EXPECT_EQ(test, m->total, 1);
	KUNIT_EXPECT_EQ(test, walk(ept, page_at(5)).prot, VMX_MMU_READ);
	/* What was made from it has to go as well. */
	KUNIT_EXPECT_EQ(test, engine->drops, 1);
	KUNIT_EXPECT_EQ(test, engine->gpa, page_at(5));
	KUNIT_EXPECT_EQ(test, engine->level, 1);
	look(test, ept, m, 0, 0, LOG_PAGES);
	KUNIT_EXPECT_EQ(test, m->total, 0);
	KUNIT_EXPECT_EQ(test, engine->drops, 1);
}

/* Whoever takes a page away, the log remembers that it was written. */
static void log_outlives_the_page(struct kunit *test)
{
	struct ept *ept = test->priv;
	struct log_model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	unsigned int way;

	KUNIT_ASSERT_NOT_NULL(test, m);
	ept->log = VMX_DIRTY_WRITE_PROTECT;
	ept->format.accessed_dirty = false;
	for (way = 0; way < 3; way++) {
		KUNIT_ASSERT_EQ(test, guest_writes(ept, way), 0);
		KUNIT_ASSERT_EQ(test, guest_reads(ept, way + 1), 0);
		spin_lock(ept->lock);
		if (way == 0)
			ept_zap(ept, page_at(0), page_at(2), false);
		else if (way == 1)
			ept_protect(ept, page_at(1), page_at(3), VMX_MMU_EXEC);
		else
			ept_young(ept, page_at(2), page_at(4), true);
		spin_unlock(ept->lock);
		KUNIT_EXPECT_FALSE(test, walk(ept, page_at(way)).present);
		KUNIT_EXPECT_FALSE(test, walk(ept, page_at(way + 1)).present);
		look(test, ept, m, 0, 0, LOG_PAGES);
		KUNIT_EXPECT_EQ(test, m->total, 1);
		KUNIT_EXPECT_TRUE(test, test_bit(way, m->found));
	}
}

/* A CPU that begins to write down has set bits before, of which nobody tells. */
static void log_first_look_of_pml(struct kunit *test)
{
	struct ept *ept = test->priv;
	struct log_model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	unsigned int n;

	KUNIT_ASSERT_NOT_NULL(test, m);
	for (n = 0; n < LOG_PAGES; n += 50)
		KUNIT_ASSERT_EQ(test, install(ept, page_at(n), n + 1, 1, RW, VMX_MMU_READ), 0);
	relog(test, ept, VMX_DIRTY_PML);
	KUNIT_ASSERT_EQ(test, install(ept, page_at(1), 2, 1, RW, VMX_MMU_READ), 0);
	for (n = 0; n < LOG_PAGES; n += 50)
		*slot_of(ept, n) |= EPT_DIRTY;
	*slot_of(ept, 1) |= EPT_DIRTY;
	look(test, ept, m, 0, 0, LOG_PAGES);
	KUNIT_EXPECT_EQ(test, m->total, LOG_PAGES / 50 + 1);
	/* From then on it is asked where it tells. */
	*slot_of(ept, 50) |= EPT_DIRTY;
	look(test, ept, m, 0, 0, LOG_PAGES);
	KUNIT_EXPECT_EQ(test, m->total, 0);
}

/* What CPUs tell may be of pages that have gone since, in any order. */
static void log_marks(struct kunit *test)
{
	struct ept *ept = test->priv;
	struct log_model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	u64 gpas[] = { page_at(700), page_at(2), page_at(1000), SZ_LARGE, page_at(3), 0,
		       page_at(701), BIT_ULL(40) };
	unsigned int n;

	KUNIT_ASSERT_NOT_NULL(test, m);
	ept->log = VMX_DIRTY_PML;
	for (n = 0; n < LOG_PAGES; n++)
		KUNIT_ASSERT_EQ(test, guest_reads(ept, n), 0);
	ept->log = VMX_DIRTY_OFF;
	KUNIT_ASSERT_EQ(test, install(ept, SZ_LARGE, 0x200, 2, RW, VMX_MMU_WRITE), 0);
	ept->log = VMX_DIRTY_PML;
	look(test, ept, m, 0, 0, LOG_PAGES);
	KUNIT_EXPECT_EQ(test, m->total, 0);
	for (n = 0; n < ARRAY_SIZE(gpas); n++) {
		if (gpas[n] >= LOG_BASE && gpas[n] < LOG_END)
			*slot_of(ept, (gpas[n] - LOG_BASE) / SZ_PAGE) |= EPT_DIRTY;
	}
	spin_lock(ept->lock);
	ept_mark(ept, gpas, ARRAY_SIZE(gpas));
	spin_unlock(ept->lock);
	look(test, ept, m, 0, 0, LOG_PAGES);
	KUNIT_EXPECT_EQ(test, m->total, 5);
	KUNIT_EXPECT_TRUE(test, test_bit(700, m->found) && test_bit(2, m->found) &&
			  test_bit(1000, m->found) && test_bit(3, m->found) &&
			  test_bit(701, m->found));
}

/* So much in one go, and the rest in the next, which begins where it says. */
static void log_budget(struct kunit *test)
{
	static const u32 methods[] = { VMX_DIRTY_WRITE_PROTECT, VMX_DIRTY_BITS, VMX_DIRTY_PML };
	struct ept *ept = test->priv;
	struct log_model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	unsigned int i, n, calls;

	KUNIT_ASSERT_NOT_NULL(test, m);
	for (i = 0; i < ARRAY_SIZE(methods); i++) {
		relog(test, ept, methods[i]);
		for (n = 0; n < LOG_PAGES; n++)
			KUNIT_ASSERT_EQ(test, guest_writes(ept, n), 0);
		calls = look(test, ept, m, 0, 0, LOG_PAGES);
		KUNIT_EXPECT_EQ(test, m->total, LOG_PAGES);
		KUNIT_EXPECT_EQ(test, calls, 1 + LOG_PAGES * EPT_COST_RELOG / EPT_BUDGET);
		KUNIT_EXPECT_TRUE(test, bitmap_full(m->found, LOG_PAGES));
		relog(test, ept, VMX_DIRTY_OFF);
	}
}

/* Another method: each page says anew that it was written, and large ones go. */
static void log_begins_and_ends(struct kunit *test)
{
	struct ept *ept = test->priv;
	struct engine *engine = container_of(ept, struct engine, ept);
	struct log_model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	const u64 large = (LOG_BASE & ~(SZ_LARGE - 1)) + SZ_LARGE;
	s64 before;

	KUNIT_ASSERT_NOT_NULL(test, m);
	KUNIT_ASSERT_EQ(test, guest_writes(ept, 0), 0);
	KUNIT_ASSERT_EQ(test, install(ept, large, 0x400, 2, RW, VMX_MMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, large).leaf, 2);
	before = gen(ept);
	relog(test, ept, VMX_DIRTY_WRITE_PROTECT);
	KUNIT_EXPECT_LT(test, before, gen(ept));
	KUNIT_EXPECT_EQ(test, walk(ept, page_at(0)).prot, VMX_MMU_READ);
	KUNIT_EXPECT_FALSE(test, walk(ept, large).present);
	KUNIT_EXPECT_EQ(test, ept->count.splits, 1);
	KUNIT_EXPECT_EQ(test, engine->drops, 2);
	look(test, ept, m, 0, 0, LOG_PAGES);
	KUNIT_EXPECT_EQ(test, m->total, 0);

	KUNIT_ASSERT_EQ(test, guest_writes(ept, 0), 0);
	KUNIT_ASSERT_EQ(test, guest_writes(ept, 1), 0);
	zap_pages(test, ept, 1, 1, false);
	KUNIT_EXPECT_FALSE(test, walk(ept, page_at(1)).present);
	relog(test, ept, VMX_DIRTY_BITS);
	KUNIT_EXPECT_EQ(test, walk(ept, page_at(0)).entry[0] & (EPT_WRITTEN | EPT_DIRTY), 0);
	KUNIT_EXPECT_EQ(test, walk(ept, page_at(1)).entry[0], 0);
	look(test, ept, m, 0, 0, LOG_PAGES);
	KUNIT_EXPECT_EQ(test, m->total, 0);

	KUNIT_ASSERT_EQ(test, guest_writes(ept, 0), 0);
	zap_pages(test, ept, 0, 1, false);
	KUNIT_EXPECT_EQ(test, walk(ept, page_at(0)).entry[0], EPT_WRITTEN);
	relog(test, ept, VMX_DIRTY_OFF);
	KUNIT_EXPECT_EQ(test, ept->count.pages[0], 0);
	/* Without a log nothing of it is left. */
	zap_pages(test, ept, 0, LOG_PAGES, false);
	KUNIT_EXPECT_EQ(test, ept->count.tables, 1);
	KUNIT_ASSERT_EQ(test, install(ept, large, 0x400, 2, RW, VMX_MMU_WRITE), 0);
	relog(test, ept, VMX_DIRTY_OFF);
	KUNIT_EXPECT_EQ(test, walk(ept, large).leaf, 2);
}

static struct kunit_case log_cases[] = {
	KUNIT_CASE(log_by_write_protection),
	KUNIT_CASE(log_by_dirty_bits),
	KUNIT_CASE(log_by_pml),
	KUNIT_CASE(log_write_protects),
	KUNIT_CASE(log_outlives_the_page),
	KUNIT_CASE(log_first_look_of_pml),
	KUNIT_CASE(log_marks),
	KUNIT_CASE(log_budget),
	KUNIT_CASE(log_begins_and_ends),
	{}
};

static struct kunit_suite log_suite = {
	.name = LOG_SUITE_NAME,
	.init = engine_init,
	.exit = engine_exit,
	.test_cases = log_cases,
};

kunit_test_suites(&log_suite);
