// SPDX-License-Identifier: GPL-2.0
/* The ioctls of an mmu: one invalid member at a time; results of walks and counters. */
#include <stddef.h>
#include <sys/wait.h>

#include "lib/mmu_guest.h"

/* One member of a good struct made bad. */
struct bad {
	int error;
	size_t offset, size;
	uint64_t value;
	const char *what;
};

#define BAD(error, type, member, value) \
	{ error, offsetof(struct type, member), sizeof(((struct type *)0)->member), \
	  (uint64_t)(value), #member " = " #value }

/* The ioctl with that member as it is there; 0, or the errno. */
static int try_bad(int fd, unsigned long cmd, const void *good, size_t size, const struct bad *bad)
{
	unsigned char args[256];

	memcpy(args, good, size);
	memcpy(args + bad->offset, &bad->value, bad->size);
	return ioctl(fd, cmd, args) ? errno : 0;
}

#define EXPECT_BAD(cmd, good, bad) do {						\
	for (size_t n_ = 0; n_ < TEST_COUNT(bad); n_++) {			\
		EXPECT_EQ((bad)[n_].error, try_bad(self->vm.mmu, cmd, &(good),	\
						   sizeof(good), &(bad)[n_])) {	\
			TH_LOG(#cmd ", %s", (bad)[n_].what);			\
		}								\
	}									\
} while (0)

/* The ioctl with a struct of another size, whose tail is not 0; 0, or the errno. */
static int try_size(int fd, unsigned long cmd, const void *good, size_t size, uint32_t other)
{
	unsigned char args[2 * PAGE];

	memset(args, 1, sizeof(args));
	memcpy(args, good, size);
	memcpy(args, &other, sizeof(other));
	return ioctl(fd, cmd, args) ? errno : 0;
}

#define EXPECT_SIZES(cmd, good) do {						\
	EXPECT_EQ(E2BIG, try_size(self->vm.mmu, cmd, &(good), sizeof(good),	\
				  sizeof(good) + 8));				\
	EXPECT_EQ(E2BIG, try_size(self->vm.mmu, cmd, &(good), sizeof(good),	\
				  PAGE));					\
	EXPECT_EQ(E2BIG, try_size(self->vm.mmu, cmd, &(good), sizeof(good),	\
				  1 << 20));					\
	EXPECT_ERRNO(EFAULT, ioctl(self->vm.mmu, cmd, NULL));			\
	EXPECT_ERRNO(EFAULT, ioctl(self->vm.mmu, cmd, -PAGE));			\
} while (0)

/* All counters but that of notifications, which other threads and the host cause. */
static struct vmx_mmu_stats still_stats(int mmu)
{
	struct vmx_mmu_stats stats = mmu_stats(mmu);

	stats.notified = 0;
	return stats;
}

static uint64_t gpa_limit(const struct vmx_vm *vm)
{
	unsigned int bits = vm->caps.phys_bits;

	if (bits > 48 && !(vm->caps.features & VMX_HAS_EPT_5LEVEL))
		bits = 48;
	return 1ull << bits;
}

TEST_F(vm, map_checks_every_member)
{
	const uint64_t limit = gpa_limit(&self->vm);
	const struct vmx_mmu_map good = {
		.size = sizeof(good), .gpa = AREA, .uaddr = (uintptr_t)new_memory(2 * PAGE),
		.length = 2 * PAGE, .prot = RW, .memtype = VMX_MEMTYPE_WB,
	};
	const struct bad bad[] = {
		BAD(EINVAL, vmx_mmu_map, size, 0),
		BAD(EINVAL, vmx_mmu_map, size, sizeof(good) - 1),
		BAD(EOPNOTSUPP, vmx_mmu_map, flags, 1),
		BAD(EOPNOTSUPP, vmx_mmu_map, flags, 1u << 31),
		BAD(EINVAL, vmx_mmu_map, gpa, AREA + 1),
		BAD(EINVAL, vmx_mmu_map, gpa, AREA + 0x800),
		BAD(EINVAL, vmx_mmu_map, gpa, limit),
		BAD(EINVAL, vmx_mmu_map, gpa, limit - PAGE),
		BAD(EINVAL, vmx_mmu_map, gpa, 1ull << 63),
		BAD(EINVAL, vmx_mmu_map, gpa, -2 * PAGE),
		BAD(EINVAL, vmx_mmu_map, gpa, -PAGE),
		BAD(EINVAL, vmx_mmu_map, uaddr, 1),
		BAD(EINVAL, vmx_mmu_map, uaddr, 1ull << 57),
		BAD(EINVAL, vmx_mmu_map, uaddr, 1ull << 63),
		BAD(EINVAL, vmx_mmu_map, uaddr, 0xffff888000000000),
		BAD(EINVAL, vmx_mmu_map, uaddr, -2 * PAGE),
		BAD(EINVAL, vmx_mmu_map, uaddr, -PAGE),
		BAD(EINVAL, vmx_mmu_map, length, 0),
		BAD(EINVAL, vmx_mmu_map, length, 1),
		BAD(EINVAL, vmx_mmu_map, length, PAGE + 0x800),
		BAD(EINVAL, vmx_mmu_map, length, 1ull << 63),
		BAD(EINVAL, vmx_mmu_map, length, -PAGE),
		BAD(EINVAL, vmx_mmu_map, prot, 0),
		BAD(EINVAL, vmx_mmu_map, prot, VMX_MMU_WRITE),
		BAD(EINVAL, vmx_mmu_map, prot, VMX_MMU_WRITE | VMX_MMU_EXEC),
		BAD(EINVAL, vmx_mmu_map, prot, 8),
		BAD(EINVAL, vmx_mmu_map, prot, RWX | 1u << 31),
		BAD(EINVAL, vmx_mmu_map, memtype, 2),
		BAD(EINVAL, vmx_mmu_map, memtype, 3),
		BAD(EINVAL, vmx_mmu_map, memtype, 7),
		BAD(EINVAL, vmx_mmu_map, memtype, 8),
		BAD(EINVAL, vmx_mmu_map, memtype, 32 + VMX_MEMTYPE_WB),
		BAD(EINVAL, vmx_mmu_map, memtype, -1),
		/* RAM is at 0, LARGE bytes of it */
		BAD(EEXIST, vmx_mmu_map, gpa, 0),
		BAD(EEXIST, vmx_mmu_map, gpa, TEST_RAM - PAGE),
	};
	struct vmx_mmu_stats before = still_stats(self->vm.mmu), after;

	EXPECT_BAD(VMX_MMU_MAP, good, bad);
	EXPECT_SIZES(VMX_MMU_MAP, good);
	after = still_stats(self->vm.mmu);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));

	/* What was almost wrong. */
	EXPECT_EQ(0, mmu_map(self->vm.mmu, TEST_RAM, (void *)good.uaddr, 2 * PAGE, RW));
	EXPECT_EQ(0, mmu_map(self->vm.mmu, limit - PAGE, (void *)good.uaddr, PAGE, RW));
	EXPECT_EQ(0, mmu_map(self->vm.mmu, AREA, (void *)good.uaddr, 2 * PAGE, RW));
	EXPECT_ERRNO(EEXIST, mmu_map(self->vm.mmu, AREA, (void *)good.uaddr, 2 * PAGE, RW));
	EXPECT_ERRNO(EEXIST, mmu_map(self->vm.mmu, AREA + PAGE, (void *)good.uaddr, 2 * PAGE, RW));
	EXPECT_ERRNO(EEXIST, mmu_map(self->vm.mmu, AREA - PAGE, (void *)good.uaddr, 2 * PAGE, RW));
	EXPECT_EQ(0, mmu_map(self->vm.mmu, AREA - PAGE, (void *)good.uaddr, PAGE, RW));
	EXPECT_EQ(before.ranges + 4, mmu_stats(self->vm.mmu).ranges);
}

TEST_F(vm, unmap_and_protect_check_every_member)
{
	const uint64_t limit = gpa_limit(&self->vm);
	const struct vmx_mmu_range good = { .size = sizeof(good), .gpa = AREA, .length = PAGE };
	const struct vmx_mmu_range good_protect = {
		.size = sizeof(good), .gpa = AREA, .length = PAGE, .prot = VMX_MMU_READ,
	};
	const struct bad both[] = {
		BAD(EINVAL, vmx_mmu_range, size, 0),
		BAD(EINVAL, vmx_mmu_range, size, sizeof(good) - 1),
		BAD(EOPNOTSUPP, vmx_mmu_range, flags, 1),
		BAD(EINVAL, vmx_mmu_range, gpa, AREA + 1),
		BAD(EINVAL, vmx_mmu_range, gpa, limit),
		BAD(EINVAL, vmx_mmu_range, gpa, -PAGE),
		BAD(EINVAL, vmx_mmu_range, length, 0),
		BAD(EINVAL, vmx_mmu_range, length, 1),
		BAD(EINVAL, vmx_mmu_range, length, limit),
		BAD(EINVAL, vmx_mmu_range, length, -AREA),
		BAD(EINVAL, vmx_mmu_range, length, -PAGE),
		BAD(EINVAL, vmx_mmu_range, reserved, 1),
		BAD(EINVAL, vmx_mmu_range, prot, 8),
		BAD(EINVAL, vmx_mmu_range, prot, VMX_MMU_WRITE),
	};
	const struct bad unmap[] = { BAD(EINVAL, vmx_mmu_range, prot, VMX_MMU_READ) };
	const struct bad protect[] = {
		BAD(EINVAL, vmx_mmu_range, prot, 0),
		BAD(ENOENT, vmx_mmu_range, gpa, 2 * AREA),
		BAD(ENOENT, vmx_mmu_range, gpa, AREA - PAGE),
		BAD(ENOENT, vmx_mmu_range, length, 2 * PAGE),
	};
	struct vmx_mmu_stats before, after;

	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, new_memory(PAGE), PAGE, RW));
	before = still_stats(self->vm.mmu);
	EXPECT_BAD(VMX_MMU_UNMAP, good, both);
	EXPECT_BAD(VMX_MMU_UNMAP, good, unmap);
	EXPECT_SIZES(VMX_MMU_UNMAP, good);
	EXPECT_BAD(VMX_MMU_PROTECT, good_protect, both);
	EXPECT_BAD(VMX_MMU_PROTECT, good_protect, protect);
	EXPECT_SIZES(VMX_MMU_PROTECT, good_protect);
	after = still_stats(self->vm.mmu);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));

	/* Holes are fine for UNMAP, all of them. */
	EXPECT_EQ(0, mmu_unmap(self->vm.mmu, 0, limit));
	EXPECT_EQ(0, mmu_unmap(self->vm.mmu, 0, limit));
	EXPECT_EQ(0, mmu_stats(self->vm.mmu).ranges);
	EXPECT_ERRNO(ENOENT, mmu_protect(self->vm.mmu, AREA, PAGE, VMX_MMU_READ));
}

TEST_F(vm, walk_and_stats_check_every_member)
{
	const uint64_t limit = gpa_limit(&self->vm);
	const struct vmx_mmu_walk good = { .size = sizeof(good) };
	const struct vmx_mmu_stats stats = { .size = sizeof(stats) };
	const struct bad bad[] = {
		BAD(EINVAL, vmx_mmu_walk, size, 0),
		BAD(EINVAL, vmx_mmu_walk, size, sizeof(good) - 1),
		BAD(EOPNOTSUPP, vmx_mmu_walk, flags, 1),
		BAD(EINVAL, vmx_mmu_walk, gpa, limit),
		BAD(EINVAL, vmx_mmu_walk, gpa, 1ull << 63),
		BAD(0, vmx_mmu_walk, gpa, limit - 1),
		BAD(0, vmx_mmu_walk, gpa, 0x123456789),
	};
	const struct bad bad_stats[] = {
		BAD(EINVAL, vmx_mmu_stats, size, 0),
		BAD(EINVAL, vmx_mmu_stats, size, sizeof(stats) - 1),
		BAD(EOPNOTSUPP, vmx_mmu_stats, flags, 1),
	};

	EXPECT_BAD(VMX_MMU_WALK, good, bad);
	EXPECT_SIZES(VMX_MMU_WALK, good);
	EXPECT_BAD(VMX_MMU_STATS, stats, bad_stats);
	EXPECT_SIZES(VMX_MMU_STATS, stats);
}

/* A struct of a newer header, whose new members are 0. */
TEST_F(vm, larger_structs_are_taken)
{
	struct { struct vmx_mmu_walk walk; uint64_t tail; } walk = { { .size = sizeof(walk) } };
	struct { struct vmx_mmu_range range; uint64_t tail; } range = {
		{ .size = sizeof(range), .gpa = AREA, .length = PAGE },
	};

	EXPECT_EQ(0, ioctl(self->vm.mmu, VMX_MMU_WALK, &walk));
	EXPECT_EQ(4, walk.walk.top & ~1u);
	EXPECT_EQ(sizeof(walk), walk.walk.size);
	EXPECT_EQ(0, ioctl(self->vm.mmu, VMX_MMU_UNMAP, &range));
}

TEST_F(vm, execute_only_where_the_cpu_can)
{
	bool can = self->vm.caps.features & VMX_HAS_EPT_EXEC_ONLY;
	void *at = new_memory(PAGE);

	if (!can) {
		EXPECT_ERRNO(EOPNOTSUPP, mmu_map(self->vm.mmu, AREA, at, PAGE, VMX_MMU_EXEC));
		EXPECT_ERRNO(EOPNOTSUPP, mmu_protect(self->vm.mmu, 0, PAGE, VMX_MMU_EXEC));
		SKIP(return, "the CPU has no execute-only pages in EPT: refused as it should be");
	}
	EXPECT_EQ(0, mmu_map(self->vm.mmu, AREA, at, PAGE, VMX_MMU_EXEC));
	EXPECT_EQ(0, mmu_protect(self->vm.mmu, 0, PAGE, VMX_MMU_EXEC));
}

TEST_F(vm, other_ioctls_are_refused)
{
	static const unsigned int cmds[] = {
		0, VMX_GET_CAPS, VMX_CREATE_VM, VMX_CREATE_EPT, VMX_VMCS_CLEAR, VMX_RUN,
		VMX_MMU_MAP - 1, VMX_MMU_INVALIDATE + 1, VMX_MMU_MAP | 1u << 31,
	};
	char args[256] = { sizeof(args) };

	for (size_t n = 0; n < TEST_COUNT(cmds); n++) {
		EXPECT_ERRNO(ENOTTY, ioctl(self->vm.mmu, cmds[n], args));
	}
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->vm.mmu, 0));
	EXPECT_ERRNO(EINVAL, read(self->vm.mmu, args, 1));
	EXPECT_ERRNO(EINVAL, write(self->vm.mmu, args, 1));
}

/* In a child: the exit code says what went wrong, 0 if nothing. */
static int look_from_outside(int mmu)
{
	struct vmx_mmu_walk walk;

	if (mmu_map(mmu, 2 * AREA, new_memory(PAGE), PAGE, RW) != -1 || errno != EPERM)
		return 1;
	if (mmu_unmap(mmu, 0, PAGE) != -1 || errno != EPERM)
		return 2;
	if (mmu_protect(mmu, 0, PAGE, VMX_MMU_READ) != -1 || errno != EPERM)
		return 3;
	if (mmu_stats(mmu).ranges != 2)
		return 4;
	walk = mmu_walk(mmu, AREA);
	if (!walk.present || walk.masked || !(walk.entry[walk.leaf - 1] >> 12))
		return 5;
	/* Without privileges, where things are in memory is nobody's business. */
	if (setuid(12345))
		return 6;
	walk = mmu_walk(mmu, AREA);
	if (!walk.present || !walk.masked || walk.prot != RW)
		return 7;
	for (unsigned int n = 0; n < VMX_MMU_MAX_LEVELS; n++)
		if (walk.entry[n] & 0xffffffffff000)
			return 8;
	return 0;
}

TEST_F(vm, another_process_may_only_look)
{
	/* shared, so that fork leaves the translation alone */
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, at);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, PAGE, RW));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 1));
	pid = fork();
	ASSERT_NE(-1, pid);
	if (!pid)
		_exit(look_from_outside(self->vm.mmu));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

TEST_F(vm, walks_tell_what_is_there)
{
	static const uint32_t types[] = {
		VMX_MEMTYPE_UC, VMX_MEMTYPE_WC, VMX_MEMTYPE_WT, VMX_MEMTYPE_WP, VMX_MEMTYPE_WB,
	};
	const bool accessed_dirty = self->vm.caps.features & VMX_HAS_EPT_AD;
	struct vmx_mmu_map map = {
		.size = sizeof(map), .uaddr = (uintptr_t)new_memory(PAGE), .length = PAGE,
		.prot = RW,
	};
	struct vmx_mmu_walk walk;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	for (size_t n = 0; n < TEST_COUNT(types); n++) {
		map.gpa = AREA + n * LARGE;
		map.memtype = types[n];
		ASSERT_EQ(0, ioctl(self->vm.mmu, VMX_MMU_MAP, &map));
		walk = mmu_walk(self->vm.mmu, map.gpa);
		EXPECT_EQ(0, walk.present);
		EXPECT_LT(1, walk.leaf);
		EXPECT_EQ(0, walk.prot);

		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, map.gpa + 8, 0x1234));
		walk = mmu_walk(self->vm.mmu, map.gpa + 0xff8);
		EXPECT_EQ(1, walk.present);
		EXPECT_EQ(1, walk.leaf);
		EXPECT_EQ(RW, walk.prot);
		/* whatever type was asked for */
		EXPECT_EQ(VMX_MEMTYPE_WB, walk.memtype);
		EXPECT_EQ(0, walk.masked);
		/* SDM, the format of an EPT entry that maps a page */
		EXPECT_EQ(RW | VMX_MEMTYPE_WB << 3 | 1 << 6 | (accessed_dirty ? 3 << 8 : 0),
			  walk.entry[0] & 0xfff);
		for (unsigned int level = 2; level <= walk.top; level++) {
			EXPECT_EQ(RWX, walk.entry[level - 1] & 0xff);
		}
		EXPECT_EQ(0, mmu_walk(self->vm.mmu, map.gpa + PAGE).present);
	}
}

/* Counters, and tables that go when nothing is left in them. */
TEST_F(vm, stats_count)
{
	struct vmx_mmu_stats start = mmu_stats(self->vm.mmu), now;
	void *at = new_memory(8 * PAGE);

	EXPECT_EQ(1, start.ranges);
	EXPECT_EQ(1, start.tables);
	EXPECT_EQ(0, start.pages[0] + start.pages[1] + start.pages[2]);
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, TEST_DATA, 1));
	start = mmu_stats(self->vm.mmu);
	EXPECT_LT(0, start.faults);
	EXPECT_LE(3, start.tables);
	/* brings in the guest's own tables for what follows */
	ASSERT_EQ(ACCESS_EXIT, guest_try_read(&self->vcpu, AREA));
	start = mmu_stats(self->vm.mmu);

	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, 8 * PAGE, RW));
	for (unsigned int n = 0; n < 8; n++) {
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * PAGE, n));
	}
	now = mmu_stats(self->vm.mmu);
	EXPECT_EQ(start.ranges + 1, now.ranges);
	EXPECT_EQ(start.faults + 8, now.faults);
	EXPECT_EQ(start.pages[0] + 8, now.pages[0]);
	EXPECT_EQ(start.tables + 2, now.tables);
	EXPECT_EQ(start.flushes, now.flushes);

	ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA, 8 * PAGE));
	now = mmu_stats(self->vm.mmu);
	EXPECT_EQ(start.ranges, now.ranges);
	EXPECT_EQ(start.pages[0], now.pages[0]);
	EXPECT_EQ(start.tables, now.tables);
	EXPECT_EQ(start.flushes + 1, now.flushes);

	ASSERT_EQ(0, madvise(at, 8 * PAGE, MADV_DONTNEED));
	EXPECT_LT(now.notified, mmu_stats(self->vm.mmu).notified);
	EXPECT_EQ(now.flushes, mmu_stats(self->vm.mmu).flushes);
}

#define RANGES_MAX 32768

/* Tens of thousands of ioctls take their time on a kernel that checks everything. */
TEST_F_TIMEOUT(vm, there_are_only_so_many_ranges, 600)
{
	void *at = new_memory(4 * PAGE);
	unsigned int n;

	/* The first is of four pages; the others keep a page's distance. */
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, 4 * PAGE, RW));
	for (n = 2; n < RANGES_MAX; n++) {
		ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA + (n * 2 + 4) * PAGE, at, PAGE, RW)) {
			TH_LOG("range %u", n);
		}
	}
	EXPECT_EQ(RANGES_MAX, mmu_stats(self->vm.mmu).ranges);
	EXPECT_ERRNO(ENOSPC, mmu_map(self->vm.mmu, AREA - PAGE, at, PAGE, RW));
	EXPECT_ERRNO(ENOSPC, mmu_protect(self->vm.mmu, AREA, PAGE, VMX_MMU_READ));
	EXPECT_ERRNO(ENOSPC, mmu_protect(self->vm.mmu, AREA + PAGE, PAGE, VMX_MMU_READ));
	EXPECT_ERRNO(ENOSPC, mmu_unmap(self->vm.mmu, AREA + PAGE, PAGE));
	EXPECT_EQ(RANGES_MAX, mmu_stats(self->vm.mmu).ranges);
	/* These make no more. */
	EXPECT_EQ(0, mmu_protect(self->vm.mmu, AREA, 4 * PAGE, VMX_MMU_READ));
	EXPECT_EQ(0, mmu_unmap(self->vm.mmu, AREA + 3 * PAGE, PAGE));
	EXPECT_EQ(RANGES_MAX, mmu_stats(self->vm.mmu).ranges);
	EXPECT_EQ(0, mmu_unmap(self->vm.mmu, AREA, gpa_limit(&self->vm) - AREA));
	EXPECT_EQ(1, mmu_stats(self->vm.mmu).ranges);
}

/* Pages protected and unprotected one by one do not leave crumbs. */
TEST_F(vm, protect_merges_what_it_split)
{
	void *at = new_memory(16 * PAGE);

	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, 16 * PAGE, RW));
	for (unsigned int n = 0; n < 16; n += 2) {
		ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA + n * PAGE, PAGE, VMX_MMU_READ));
	}
	EXPECT_EQ(1 + 16, mmu_stats(self->vm.mmu).ranges);
	for (unsigned int n = 0; n < 16; n += 2) {
		ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA + n * PAGE, PAGE, RW));
	}
	EXPECT_EQ(1 + 1, mmu_stats(self->vm.mmu).ranges);
}

VMX_TEST_MAIN
