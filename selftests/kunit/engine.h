/* SPDX-License-Identifier: GPL-2.0 */
/* A tree of EPT tables without an mmu, for the suites of the engine. */
#ifndef VMX_KUNIT_ENGINE_H
#define VMX_KUNIT_ENGINE_H

#include <kunit/test.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <linux/vmx.h>

#include "../../ept/internal.h"

#define RW (VMX_MMU_READ | VMX_MMU_WRITE)
#define RX (VMX_MMU_READ | VMX_MMU_EXEC)
#define RWX (VMX_MMU_READ | VMX_MMU_WRITE | VMX_MMU_EXEC)

#define SZ_PAGE 0x1000ULL
#define SZ_LARGE 0x200000ULL
#define SZ_HUGE 0x40000000ULL

/**
 * struct engine - a tree, and what its owner would have
 * @ept: the tree
 * @lock: its lock
 * @derived: what is made from it: nothing
 * @drops: how often it was said that an entry was removed, narrowed or moved
 * @gpa: of which address, the last time
 * @level: and of which level
 */
struct engine {
	struct ept ept;
	spinlock_t lock; /* the tree's */
	struct ept_derived derived;
	unsigned int drops;
	u64 gpa;
	int level;
};

/* The same whatever the CPU under the test has. */
static const struct ept_format engine_format = {
	.levels = 4,
	.phys_bits = 46,
	.large = BIT(2),
	.accessed_dirty = true,
};

static void engine_drop(struct ept_derived *derived, u64 gpa, int level)
{
	struct engine *engine = container_of(derived, struct engine, derived);

	engine->drops++;
	engine->gpa = gpa;
	engine->level = level;
}

static const struct ept_derived_ops engine_ops = {
	.drop = engine_drop,
};

static int engine_init(struct kunit *test)
{
	struct engine *engine = kunit_kzalloc(test, sizeof(*engine), GFP_KERNEL);
	struct ept *ept;

	KUNIT_ASSERT_NOT_NULL(test, engine);
	spin_lock_init(&engine->lock);
	ept = &engine->ept;
	KUNIT_ASSERT_EQ(test, ept_init(ept, engine_format, &engine->lock), 0);
	engine->derived = (struct ept_derived){ &engine_ops, ept };
	ept->derived = &engine->derived;
	ept->small_exec = false;
	KUNIT_ASSERT_EQ(test, ept_top_up(ept), 0);
	test->priv = ept;
	return 0;
}

static void engine_exit(struct kunit *test)
{
	if (test->priv)
		ept_destroy(test->priv);
}

static int install(struct ept *ept, u64 gpa, u64 pfn, int level, u32 prot,
		   u32 access)
{
	struct ept_mapping map = {
		.gpa = gpa,
		.pfn = pfn,
		.level = level,
		.prot = prot,
		.memtype = VMX_MEMTYPE_WB,
		.access = access,
	};
	int ret;

	if (ept_top_up(ept))
		return -ENOMEM;
	spin_lock(ept->lock);
	ret = ept_install(ept, &map);
	spin_unlock(ept->lock);
	return ret < 0 ? ret : 0;
}

static void zap(struct ept *ept, u64 start, u64 end)
{
	spin_lock(ept->lock);
	while (start < end)
		start = ept_zap(ept, start, end, false);
	spin_unlock(ept->lock);
}

static struct vmx_mmu_walk walk(struct ept *ept, u64 gpa)
{
	struct vmx_mmu_walk w = { .gpa = gpa };

	spin_lock(ept->lock);
	ept_walk(ept, &w);
	spin_unlock(ept->lock);
	return w;
}

static s64 gen(struct ept *ept)
{
	return atomic64_read(&ept->flush_gen);
}

#endif /* VMX_KUNIT_ENGINE_H */
