// SPDX-License-Identifier: GPL-2.0
/* Guest memory that the hardware has lost: what a guest that touches it costs its program. */
#include <signal.h>
#include <sys/mman.h>

#define EVERY_MMU
#include "lib/vm_fixture.h"

typedef FIXTURE_DATA(vm) fixture;

#define PAGE	4096ul
#define LOST	(TEST_DATA + 2 * PAGE)

GUEST64(read_guest, "mov 0x22000, %rax\n hlt");

static volatile sig_atomic_t signals, code;
static void *volatile where;

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	signals++;
	code = info->si_code;
	where = info->si_addr;
}

static int catch_sigbus(void)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	return sigaction(SIGBUS, &action, NULL);
}

/*
 * As if a machine check had told: the page leaves all page tables, and is never used again. The
 * kernel may signal that already.
 */
static int lose(fixture *self)
{
	int ret = madvise(test_at(&self->vm, LOST), PAGE, MADV_HWPOISON) ? -errno : 0;

	signals = 0;
	return ret;
}

static void expect_sigbus(struct __test_metadata *_metadata, fixture *self)
{
	ASSERT_EQ(-EHWPOISON, vmx_run(&self->vcpu));
	EXPECT_EQ(1, signals);
	EXPECT_EQ(BUS_MCEERR_AR, code);
	EXPECT_EQ(test_at(&self->vm, LOST), where);
	EXPECT_EQ(LOST, self->run->physical);
}

TEST_F(vm, touched_for_the_first_time)
{
	int ret;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, read_guest));
	ASSERT_EQ(0, catch_sigbus());
	*(uint64_t *)test_at(&self->vm, LOST) = 1;
	ret = lose(self);
	if (ret)
		SKIP(return, "this kernel cannot lose memory");
	expect_sigbus(_metadata, self);
}

/* The page leaves the guest's tables as well. With other memory in its place the guest goes on. */
TEST_F(vm, mapped_before)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, read_guest));
	ASSERT_EQ(0, catch_sigbus());
	*(uint64_t *)test_at(&self->vm, LOST) = 1;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(1, self->run->regs[VMX_RAX]);
	if (lose(self))
		SKIP(return, "this kernel cannot lose memory");
	test_goto(&self->vcpu, 0);
	expect_sigbus(_metadata, self);
	ASSERT_NE(MAP_FAILED, mmap(test_at(&self->vm, LOST), PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0, self->run->regs[VMX_RAX]);
	EXPECT_EQ(1, signals);
}

TEST_F(vm, populate)
{
	struct vmx_mmu_populate populate = {
		.size = sizeof(populate), .gpa = LOST - PAGE, .length = 4 * PAGE,
		.prot = VMX_MMU_READ,
	};

	ASSERT_EQ(0, catch_sigbus());
	*(uint64_t *)test_at(&self->vm, LOST) = 1;
	if (lose(self))
		SKIP(return, "this kernel cannot lose memory");
	ASSERT_EQ(-1, ioctl(self->vm.mmu, VMX_MMU_POPULATE, &populate));
	EXPECT_EQ(EHWPOISON, errno);
	EXPECT_EQ(PAGE, populate.done);
	EXPECT_EQ(0, signals);
}

VMX_TEST_MAIN
