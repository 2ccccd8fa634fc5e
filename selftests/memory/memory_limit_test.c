// SPDX-License-Identifier: GPL-2.0
/*
 * A guest whose owner has a low memory limit becomes slow, or ends. Its neighbour, without such a
 * limit, notices nothing.
 */
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/host_memory.h"

/* Of the owner's memory. Guests need twice that. */
#define LIMIT	"3M"
#define PAGES	1536ul
#define LENGTH	(PAGES * PAGE)

FIXTURE(limited) {
	char root[32];		/* where control groups are */
	char group[48];		/* the one with the limit */
	struct vmx_vm vm;	/* the neighbour */
	struct vmx_vcpu vcpu;
};

/* Writes to a file of the group. */
static int tell(const char *folder, const char *file, const char *text)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	return test_write_file(path, text);
}

typedef FIXTURE_DATA(limited) fixture;

EVERY_MMU_OF(limited);

FIXTURE_SETUP(limited)
{
	NEED(variant->needs);
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	snprintf(self->root, sizeof(self->root), "/tmp/vmx-cgroup-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->root));
	if (mount("vmx", self->root, "cgroup2", 0, NULL) ||
	    tell(self->root, "cgroup.subtree_control", "+memory")) {
		self->group[0] = '\0';
		SKIP(return, "this kernel has no memory cgroups");
	}
	snprintf(self->group, sizeof(self->group), "%s/guest", self->root);
	ASSERT_EQ(0, mkdir(self->group, 0700));
	ASSERT_EQ(0, tell(self->group, "memory.max", LIMIT));
}

FIXTURE_TEARDOWN(limited)
{
	if (self->group[0]) {
		EXPECT_EQ(0, rmdir(self->group));
		EXPECT_EQ(0, umount(self->root));
	}
	EXPECT_EQ(0, rmdir(self->root));
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

/* The raw status of a child that does WORK in the group, and exits with what it returns; or -1. */
static int in_group(const char *group, int (*work)(enum vmx_mmu_kind mmu), enum vmx_mmu_kind mmu)
{
	char pid[20], token;
	int go[2], status;
	pid_t child;

	if (pipe(go))
		return -1;
	child = fork();
	if (!child)
		_exit(read(go[0], &token, 1) == 1 ? work(mmu) : EIO);
	snprintf(pid, sizeof(pid), "%d", child);
	if (child < 0 || tell(group, "cgroup.procs", pid) || write(go[1], "", 1) != 1 ||
	    waitpid(child, &status, 0) != child)
		status = -1;
	close(go[0]);
	close(go[1]);
	return status;
}

/* An entry of memory.events, which counts; -1 if that cannot be read. */
static long times(const char *group, const char *event)
{
	char path[100], name[20];
	long found = -1, value;
	FILE *events;

	snprintf(path, sizeof(path), "%s/memory.events", group);
	events = fopen(path, "r");
	if (!events)
		return -1;
	while (fscanf(events, "%19s %ld", name, &value) == 2)
		if (!strcmp(name, event))
			found = value;
	fclose(events);
	return found;
}

static bool neighbour_works(fixture *self)
{
	return guest_write(&self->vcpu, TEST_DATA, 1) == ACCESS_DONE &&
	       guest_read(&self->vcpu, TEST_DATA) == 1;
}

/* Makes a guest; 0 or -errno. */
static int make(struct vmx_vm *vm, struct vmx_vcpu *vcpu, enum vmx_mmu_kind mmu)
{
	return vmx_vm_open_mmu(vm, TEST_RAM, mmu) ?: vmx_vcpu_open(vcpu, vm) ?:
	       test_start(vcpu, VMX_MODE_LONG, access_guest);
}

/* A guest whose tables take twice the limit, all for the same page of the owner. */
static int use_tables(enum vmx_mmu_kind mmu)
{
	char *at = new_memory(PAGE);
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;
	int ret = make(&vm, &vcpu, mmu);

	for (uint64_t n = 0; !ret && n < PAGES; n++) {
		ret = mmu_map(vm.mmu, AREA + n * LARGE, at, PAGE, RW) ? -errno :
		      guest_write(&vcpu, AREA + n * LARGE, n);
	}
	return -ret;
}

/* A guest that writes to twice as much as the limit, and reads it back. */
static int use_memory(enum vmx_mmu_kind mmu)
{
	char *at = new_memory(LENGTH);
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;

	madvise(at, LENGTH, MADV_NOHUGEPAGE);
	if (make(&vm, &vcpu, mmu) || mmu_map(vm.mmu, AREA, at, LENGTH, RW))
		return 1;
	if (guest_fill(&vcpu, PAGES) != PAGES)
		return 2;
	return guest_right(&vcpu, PAGES) == PAGES && owner_right(at, PAGES) == PAGES ? 0 : 3;
}

/* Tables cannot be swapped. */
TEST_F(limited, tables_are_charged)
{
	int status = in_group(self->group, use_tables, variant->mmu);

	if (WIFSIGNALED(status)) {
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
	} else {
		EXPECT_EQ(ENOMEM, WEXITSTATUS(status));
	}
	EXPECT_LT(0, times(self->group, "max"));
	EXPECT_TRUE(neighbour_works(self));
}

TEST_F(limited, with_swap_it_is_slow)
{
	int status;

	if (swap_on())
		SKIP(return, "this kernel has no swap, or no RAM disk for it");
	status = in_group(self->group, use_memory, variant->mmu);
	EXPECT_TRUE(WIFEXITED(status)) { TH_LOG("status %#x", status); }
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_LT(0, times(self->group, "max"));
	EXPECT_EQ(0, times(self->group, "oom_kill"));
	EXPECT_TRUE(neighbour_works(self));
	EXPECT_EQ(0, swapoff(SWAP_DISK));
}

TEST_F(limited, without_swap_it_is_killed)
{
	int status = in_group(self->group, use_memory, variant->mmu);

	EXPECT_TRUE(WIFSIGNALED(status)) { TH_LOG("status %#x", status); }
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	EXPECT_EQ(1, times(self->group, "oom_kill"));
	EXPECT_TRUE(neighbour_works(self));
}

VMX_TEST_MAIN
