// SPDX-License-Identifier: GPL-2.0
/* The memory that page tables take: whom it is charged to, and that the host gets it back. */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/host_memory.h"

/* Pages that lie so far apart in guest memory that each needs a table of its own. */
#define PAGES	64ul

FIXTURE(sparse) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	char *at;
};

FIXTURE_SETUP(sparse)
{
	NEED(VMX_HAS_EPT);
	ASSERT_VMX(vmx_vm_open(&self->vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	self->at = new_memory(PAGES * PAGE);
	ASSERT_NE(MAP_FAILED, self->at);
	for (size_t n = 0; n < PAGES; n++)
		ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA + n * LARGE, self->at + n * PAGE, PAGE,
				     RW));
}

FIXTURE_TEARDOWN(sparse)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

/* As if memory was short: each goes over all that can be given back, several times. */
static int ask_for_memory(void)
{
	return test_write_file("/proc/sys/vm/drop_caches", "2") ?:
	       test_write_file("/proc/sys/vm/drop_caches", "2");
}

TEST_F(sparse, given_back_when_memory_is_short)
{
	struct vmx_mmu_stats before, after;

	for (size_t n = 0; n < PAGES; n++)
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * LARGE, pattern(n)));
	before = mmu_stats(self->vm.mmu);
	EXPECT_LE(PAGES, before.tables);
	ASSERT_EQ(0, ask_for_memory());
	after = mmu_stats(self->vm.mmu);
	EXPECT_GE(before.tables - PAGES, after.tables);
	EXPECT_EQ(before.tables - after.tables, after.shrunk - before.shrunk);
	for (size_t n = 0; n < PAGES; n++)
		EXPECT_EQ(pattern(n), guest_read(&self->vcpu, AREA + n * LARGE));
	EXPECT_LE(after.faults + PAGES, mmu_stats(self->vm.mmu).faults);
	for (size_t n = 0; n < PAGES; n++) {
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * LARGE, n));
		EXPECT_EQ(n, *(volatile uint64_t *)(self->at + n * PAGE));
	}
	EXPECT_EQ(before.tables, mmu_stats(self->vm.mmu).tables);
}

/* What was written is in the tables, which then are needed. */
TEST_F(sparse, kept_while_they_are_the_log)
{
	uint64_t bitmap[LARGE / PAGE / 64];

	ASSERT_EQ(0, mmu_log(self->vm.mmu, VMX_DIRTY_WRITE_PROTECT));
	for (size_t n = 0; n < PAGES; n++)
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * LARGE, pattern(n)));
	ASSERT_EQ(0, ask_for_memory());
	for (size_t n = 0; n < PAGES; n++)
		EXPECT_EQ(1, mmu_dirty(self->vm.mmu, AREA + n * LARGE, LARGE, bitmap));
}

/* Gives a process that has no tables yet a limit; 0 or -errno. */
#define LIMIT "3M"
static int limit_memory(const char *group, pid_t pid)
{
	char path[100], text[20];

	snprintf(path, sizeof(path), "%s/memory.max", group);
	snprintf(text, sizeof(text), "%d", pid);
	if (test_write_file(path, LIMIT))
		return -errno;
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	return test_write_file(path, text);
}

/*
 * In a child: a guest that goes over memory whose tables take 6 MiB, all of it the same page of the
 * owner. The errno with which that ended.
 */
static int use_tables(void)
{
	char *at = new_memory(PAGE);
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;
	int ret = vmx_vm_open(&vm, TEST_RAM) ?: vmx_vcpu_open(&vcpu, &vm) ?:
		  test_start(&vcpu, VMX_MODE_LONG, access_guest);

	for (uint64_t n = 0; !ret && n < 1536; n++) {
		ret = mmu_map(vm.mmu, AREA + n * LARGE, at, PAGE, RW) ? -errno :
		      guest_write(&vcpu, AREA + n * LARGE, n);
	}
	return -ret;
}

/* How often the group wanted more than its limit; -1 if that cannot be read. */
static long times_at_limit(const char *group)
{
	char path[100], name[20];
	long times = -1, value;
	FILE *events;

	snprintf(path, sizeof(path), "%s/memory.events", group);
	events = fopen(path, "r");
	if (!events)
		return -1;
	while (fscanf(events, "%19s %ld", name, &value) == 2)
		if (!strcmp(name, "max"))
			times = value;
	fclose(events);
	return times;
}

/* More tables than the owner may have memory: it ends, and nobody else notices. */
TEST_F(sparse, charged_to_the_owner)
{
	char root[] = "/tmp/vmx-cgroup-XXXXXX", group[40], path[60];
	int go[2], status;
	pid_t child;
	char token;

	ASSERT_NE(NULL, mkdtemp(root));
	snprintf(group, sizeof(group), "%s/tables", root);
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", root);
	if (mount("vmx", root, "cgroup2", 0, NULL) || test_write_file(path, "+memory"))
		SKIP(return, "this kernel has no memory cgroups");
	ASSERT_EQ(0, mkdir(group, 0700));
	ASSERT_EQ(0, pipe(go));
	child = fork();
	ASSERT_NE(-1, child);
	if (!child)
		_exit(read(go[0], &token, 1) == 1 ? use_tables() : EIO);
	ASSERT_EQ(0, limit_memory(group, child));
	ASSERT_EQ(1, write(go[1], "", 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	if (WIFSIGNALED(status)) {
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
	} else {
		EXPECT_EQ(ENOMEM, WEXITSTATUS(status));
	}
	EXPECT_LT(0, times_at_limit(group));
	for (size_t n = 0; n < PAGES; n++)
		EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * LARGE, n));
	EXPECT_EQ(0, rmdir(group));
	EXPECT_EQ(0, umount(root));
	EXPECT_EQ(0, rmdir(root));
}

VMX_TEST_MAIN
