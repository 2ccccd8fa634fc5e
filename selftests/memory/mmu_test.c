// SPDX-License-Identifier: GPL-2.0
/* Guest memory: the permissions of ranges, and changes of the host to the memory behind them. */
#include <fcntl.h>
#include <sys/wait.h>

#define EVERY_MMU
#include "lib/mmu_guest.h"

/* The fixture's guest, ready for accesses, and some memory at AREA. */
#define START(at, length, prot)							\
	void *at = new_memory(length);						\
										\
	ASSERT_NE(MAP_FAILED, at);						\
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, length, prot));		\
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest))

static uint64_t word(const void *at, size_t offset)
{
	return *(volatile const uint64_t *)((const char *)at + offset);
}

static void set_word(void *at, size_t offset, uint64_t value)
{
	*(volatile uint64_t *)((char *)at + offset) = value;
}

TEST_F(vm, both_sides_see_the_same)
{
	START(at, 4 * PAGE, RW);

	/* untouched memory: read as zeros, then written */
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 0x1111));
	EXPECT_EQ(0x1111, word(at, 0));
	set_word(at, 8, 0x2222);
	EXPECT_EQ(0x2222, guest_read(&self->vcpu, AREA + 8));
	/* written first by the guest, by the host */
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + PAGE, 0x3333));
	EXPECT_EQ(0x3333, word(at, PAGE));
	set_word(at, 2 * PAGE, 0x4444);
	EXPECT_EQ(0x4444, guest_read(&self->vcpu, AREA + 2 * PAGE));
	/* across pages, one present and one not */
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + 3 * PAGE - 4, 0x5555555566666666));
	EXPECT_EQ(0x5555555566666666, word(at, 3 * PAGE - 4));
	EXPECT_EQ(ACCESS_EXIT, guest_try_read(&self->vcpu, AREA + 4 * PAGE));
	EXPECT_EQ(ACCESS_EXIT, guest_try_read(&self->vcpu, AREA - PAGE));
}

static const struct {
	uint32_t prot;
	bool read, write, call;
} prots[] = {
	{ VMX_MMU_READ, true, false, false },
	{ RW, true, true, false },
	{ RX, true, false, true },
	{ RWX, true, true, true },
	{ VMX_MMU_EXEC, false, false, true },
};

TEST_F(vm, ranges_allow_what_they_say)
{
	START(at, PAGE, RWX);
	const bool exec_only = !self->vm.shadow &&
			       self->vm.caps.features & VMX_HAS_EPT_EXEC_ONLY;

	/* from nothing, and from the one before, narrower and wider */
	for (size_t n = 0; n < 2 * TEST_COUNT(prots); n++) {
		const typeof(prots[0]) *p = &prots[n % TEST_COUNT(prots)];

		if (p->prot == VMX_MMU_EXEC && !exec_only)
			continue;
		if (n < TEST_COUNT(prots)) {
			ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA, PAGE));
			ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, PAGE, p->prot));
		} else {
			ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, PAGE, p->prot));
		}
		set_word(at, 0, 0xc3);
		EXPECT_EQ(!p->call, guest_call(&self->vcpu, AREA)) { TH_LOG("%zu", n); }
		EXPECT_EQ(!p->read, guest_try_read(&self->vcpu, AREA + 8)) { TH_LOG("%zu", n); }
		EXPECT_EQ(!p->write, guest_write(&self->vcpu, AREA + 8, n)) { TH_LOG("%zu", n); }
		if (p->write) {
			EXPECT_EQ(n, word(at, 8));
		}
	}
}

TEST_F(vm, refused_accesses_are_described)
{
	START(at, PAGE, VMX_MMU_READ);

	set_word(at, 0, 0xc3);
	/* absent, then there */
	for (int n = 0; n < 2; n++) {
		const uint32_t there = n ? VMX_VIOLATION_READABLE : 0;

		EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, AREA + 0x18, 1));
		EXPECT_EQ(VMX_VIOLATION_WRITE | there, self->run->qualification &
			  (VMX_VIOLATION_WRITE | VMX_VIOLATION_FETCH |
			   VMX_VIOLATION_READABLE | VMX_VIOLATION_WRITABLE));
		EXPECT_EQ(AREA + 0x18, self->run->physical);
		EXPECT_EQ(ACCESS_EXIT, guest_call(&self->vcpu, AREA));
		EXPECT_EQ(VMX_VIOLATION_FETCH | there, self->run->qualification &
			  (VMX_VIOLATION_WRITE | VMX_VIOLATION_FETCH |
			   VMX_VIOLATION_READABLE | VMX_VIOLATION_WRITABLE));
		EXPECT_EQ(0xc3, guest_read(&self->vcpu, AREA));
	}
}

/* A refused access goes on when the range has been made to allow it. */
TEST_F(vm, protect_lets_go_on)
{
	START(at, 4 * PAGE, RW);

	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + PAGE, 1));
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA + PAGE, 2 * PAGE, VMX_MMU_READ));
	EXPECT_EQ(VMX_MMU_READ, mmu_walk(self->vm.mmu, AREA + PAGE).prot);
	EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, AREA + PAGE, 2));
	EXPECT_EQ(1, word(at, PAGE));
	EXPECT_EQ(1, guest_read(&self->vcpu, AREA + PAGE));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 3));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + 3 * PAGE, 3));
	EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, AREA + 2 * PAGE, 4));
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, 4 * PAGE, RW));
	/* the same instruction, not started again */
	ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
	EXPECT_EQ(4, word(at, 2 * PAGE));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + PAGE, 5));
}

TEST_F(vm, unmap_takes_any_part)
{
	START(at, 8 * PAGE, RW);

	for (unsigned int n = 0; n < 8; n++) {
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * PAGE, n));
	}
	ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA + 3 * PAGE, 2 * PAGE));
	for (unsigned int n = 0; n < 8; n++) {
		const bool there = n < 3 || n > 4;

		EXPECT_EQ(there, mmu_walk(self->vm.mmu, AREA + n * PAGE).present);
		EXPECT_EQ(!there, guest_write(&self->vcpu, AREA + n * PAGE, 10 + n));
		EXPECT_EQ(there ? 10 + n : n, word(at, n * PAGE));
	}
	/* something else in the hole */
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA + 3 * PAGE, (char *)at + 7 * PAGE, PAGE, RW));
	EXPECT_EQ(17, guest_read(&self->vcpu, AREA + 3 * PAGE));
	/* ends of ranges, and all of one, at once */
	ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA + PAGE, 5 * PAGE));
	EXPECT_EQ(10, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(16, guest_read(&self->vcpu, AREA + 6 * PAGE));
	for (unsigned int n = 1; n < 6; n++) {
		EXPECT_EQ(ACCESS_EXIT, guest_try_read(&self->vcpu, AREA + n * PAGE));
	}
}

TEST_F(vm, memory_in_two_places)
{
	START(at, PAGE, RW);

	ASSERT_EQ(0, mmu_map(self->vm.mmu, 2 * AREA, at, PAGE, VMX_MMU_READ));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 0x77));
	EXPECT_EQ(0x77, guest_read(&self->vcpu, 2 * AREA));
	EXPECT_EQ(ACCESS_EXIT, guest_write(&self->vcpu, 2 * AREA, 1));
	ASSERT_EQ(0, madvise(at, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, mmu_walk(self->vm.mmu, AREA).present);
	EXPECT_EQ(0, mmu_walk(self->vm.mmu, 2 * AREA).present);
	EXPECT_EQ(0, guest_read(&self->vcpu, 2 * AREA));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 0x78));
	/* the zero page that the other one had gives way */
	EXPECT_EQ(0x78, guest_read(&self->vcpu, 2 * AREA));
}

TEST_F(vm, dontneed_reads_zero)
{
	START(at, 64 * PAGE, RW);

	for (unsigned int n = 0; n < 64; n++) {
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * PAGE, n + 1));
	}
	ASSERT_EQ(0, madvise((char *)at + 8 * PAGE, 8 * PAGE, MADV_DONTNEED));
	for (unsigned int n = 0; n < 64; n++) {
		EXPECT_EQ(n / 8 == 1 ? 0 : n + 1, guest_read(&self->vcpu, AREA + n * PAGE));
	}
}

/* What the host takes back has a part of a range: its end, its beginning, all, or nothing. */
TEST_F(vm, host_takes_more_than_a_range)
{
	const size_t far = 1ul << 29, pages = 64;
	char *raw = mmap(NULL, far + 4 * pages * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *at = raw + far;
	const struct {
		char *from;
		size_t length;
		unsigned int first, end;
	} takes[] = {
		{ raw, far + pages / 2 * PAGE, 0, pages / 2 },
		{ at + pages / 2 * PAGE, 2 * pages * PAGE, pages / 2, pages },
		{ raw, far + 2 * pages * PAGE, 0, pages },
		{ raw, far, 0, 0 },
		{ at + pages * PAGE, pages * PAGE, 0, 0 },
	};

	ASSERT_NE(MAP_FAILED, raw);
	madvise(raw, far + 4 * pages * PAGE, MADV_NOHUGEPAGE);
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	/* Pages of others below and above, in the guest's memory and in the owner's. */
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA - PAGE, at + 3 * pages * PAGE, PAGE, RW));
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, pages * PAGE, RW));
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA + pages * PAGE, at + (3 * pages + 1) * PAGE, PAGE,
			     RW));
	for (size_t n = 0; n < TEST_COUNT(takes); n++) {
		for (unsigned int page = 0; page <= pages; page++)
			ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + page * PAGE,
							   page + 1));
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA - PAGE, 77));
		ASSERT_EQ(0, madvise(takes[n].from, takes[n].length, MADV_DONTNEED));
		for (unsigned int page = 0; page <= pages; page++) {
			const bool gone = page >= takes[n].first && page < takes[n].end;

			EXPECT_EQ(!gone, mmu_walk(self->vm.mmu, AREA + page * PAGE).present) {
				TH_LOG("take %zu, page %u", n, page);
			}
			EXPECT_EQ(gone ? 0 : page + 1, guest_read(&self->vcpu, AREA + page * PAGE));
		}
		EXPECT_EQ(1, mmu_walk(self->vm.mmu, AREA - PAGE).present);
		EXPECT_EQ(77, guest_read(&self->vcpu, AREA - PAGE));
	}
}

/* In a child: the parent's guest must not write into what the child has. */
static int check_copy(void *at, int turn, int done)
{
	char token;

	if (word(at, 0) != 0xaaaa)
		return 1;
	if (write(done, "1", 1) != 1 || read(turn, &token, 1) != 1)
		return 2;
	if (word(at, 0) != 0xaaaa || word(at, PAGE) != 0xbbbb)
		return 3;
	set_word(at, PAGE, 0xdddd);
	return 0;
}

TEST_F(vm, fork_copies_on_write)
{
	int turn[2], done[2], status;
	char token;
	pid_t pid;

	START(at, 2 * PAGE, RW);

	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 0xaaaa));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + PAGE, 0xbbbb));
	ASSERT_EQ(0, pipe(turn));
	ASSERT_EQ(0, pipe(done));
	pid = fork();
	ASSERT_NE(-1, pid);
	if (!pid)
		_exit(check_copy(at, turn[0], done[1]));
	ASSERT_EQ(1, read(done[0], &token, 1));
	/* shared with the child now: the guest may read it as it is */
	EXPECT_EQ(0xaaaa, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(0, mmu_walk(self->vm.mmu, AREA).prot & VMX_MMU_WRITE);
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 0xcccc));
	EXPECT_EQ(0xcccc, word(at, 0));
	ASSERT_EQ(1, write(turn[1], "1", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(0xcccc, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(0xbbbb, guest_read(&self->vcpu, AREA + PAGE));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + PAGE, 0xeeee));
	EXPECT_EQ(0xeeee, word(at, PAGE));
}

/* The host's own protection counts too, and its answer is EFAULT. */
TEST_F(vm, mprotect_is_obeyed)
{
	START(at, PAGE, RW);

	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 1));
	ASSERT_EQ(0, mprotect(at, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, guest_write(&self->vcpu, AREA, 2));
	EXPECT_EQ((uint32_t)VMX_REASON_EPT_VIOLATION, self->run->reason);
	EXPECT_EQ(1, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(-EFAULT, guest_write(&self->vcpu, AREA, 2));
	ASSERT_EQ(0, mprotect(at, PAGE, PROT_NONE));
	EXPECT_EQ(-EFAULT, guest_try_read(&self->vcpu, AREA));
	ASSERT_EQ(0, mprotect(at, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(1, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 3));
	EXPECT_EQ(3, word(at, 0));
}

/*
 * A file that the owner may not write. The kernel warns of whoever asks its memory management to
 * write there nevertheless.
 */
TEST_F(vm, file_that_is_only_read)
{
	int file = memfd_create("guest", 0), reader;
	char path[32];
	void *at;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, reader);
	ASSERT_EQ(0, ftruncate(file, PAGE));
	at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
	ASSERT_NE(MAP_FAILED, at);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, PAGE, RW));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	EXPECT_EQ(-EFAULT, guest_write(&self->vcpu, AREA, 1));
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(-EFAULT, guest_write(&self->vcpu, AREA, 1));
	EXPECT_EQ(0, word(at, 0));
	close(reader);
	close(file);
}

TEST_F(vm, memory_moves_and_goes)
{
	void *moved;

	START(at, 2 * PAGE, RW);

	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 1));
	moved = mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, new_memory(PAGE));
	ASSERT_NE(MAP_FAILED, moved);
	EXPECT_EQ(-EFAULT, guest_write(&self->vcpu, AREA, 2));
	EXPECT_EQ(1, word(moved, 0));
	/* what comes in its place is the guest's */
	ASSERT_EQ(at, mmap(at, PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 3));
	EXPECT_EQ(3, word(at, 0));
	EXPECT_EQ(1, word(moved, 0));
	ASSERT_EQ(0, munmap(at, PAGE));
	EXPECT_EQ(-EFAULT, guest_write(&self->vcpu, AREA, 4));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + PAGE, 5));
}

TEST_F(vm, shared_files)
{
	int file = memfd_create("guest", 0);
	void *at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	uint64_t value = 0x4141;

	ASSERT_NE(-1, file);
	ASSERT_NE(MAP_FAILED, at);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, 2 * PAGE, RW));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	/* beyond the end of the file, where a thread would get SIGBUS */
	EXPECT_EQ(-EFAULT, guest_write(&self->vcpu, AREA, 1));
	ASSERT_EQ(0, ftruncate(file, 2 * PAGE));
	ASSERT_EQ(sizeof(value), pwrite(file, &value, sizeof(value), 0));
	EXPECT_EQ(0x4141, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + PAGE, 0x4242));
	ASSERT_EQ(sizeof(value), pread(file, &value, sizeof(value), PAGE));
	EXPECT_EQ(0x4242, value);
	ASSERT_EQ(0, ftruncate(file, PAGE));
	EXPECT_EQ(-EFAULT, guest_try_read(&self->vcpu, AREA + PAGE));
	ASSERT_EQ(0, ftruncate(file, 2 * PAGE));
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA + PAGE));
	EXPECT_EQ(0x4141, guest_read(&self->vcpu, AREA));
}

/* A read-only file's page is never written, whatever the range says. */
TEST_F(vm, private_files_are_copied)
{
	int file = memfd_create("guest", 0);
	uint64_t value = 0x4141;
	void *at;

	ASSERT_NE(-1, file);
	ASSERT_EQ(0, ftruncate(file, PAGE));
	ASSERT_EQ(sizeof(value), pwrite(file, &value, sizeof(value), 0));
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	ASSERT_NE(MAP_FAILED, at);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, PAGE, RW));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	EXPECT_EQ(0x4141, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 0x4242));
	EXPECT_EQ(0x4242, guest_read(&self->vcpu, AREA));
	ASSERT_EQ(sizeof(value), pread(file, &value, sizeof(value), 0));
	EXPECT_EQ(0x4141, value);
}

/* The vCPU keeps the map alive, and memory still comes and goes. */
TEST_F(vm, works_on_after_its_descriptor_is_closed)
{
	START(at, 2 * PAGE, RW);

	ASSERT_EQ(0, close(self->vm.mmu));
	self->vm.mmu = -1;
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 1));
	ASSERT_EQ(0, madvise(at, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA));
	ASSERT_EQ(0, munmap(at, PAGE));
	EXPECT_EQ(-EFAULT, guest_try_read(&self->vcpu, AREA));
	EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + PAGE, 2));
}

VMX_TEST_MAIN
