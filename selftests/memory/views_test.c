// SPDX-License-Identifier: GPL-2.0
/*
 * Several EPTs in a VM: an ioctl moves a vCPU from one to another, or its guest goes
 * there with VMFUNC.
 *
 * needs: cpus=2
 */
#include <pthread.h>

#include "lib/mmu_guest.h"

#define VIEWS	3
#define PAGES	16ul
#define LENGTH	(PAGES * PAGE)

/* VMFUNC with what EAX and ECX hold, then a read at RBX. */
GUEST64(vmfunc_guest,
	"vmfunc\n"
	"mov	(%rbx), %rdx\n"
	"vmcall\n");

/* Goes to ECX and counts how often it could read at RBX. */
GUEST64(stay_guest,
	"vmfunc\n"
	"1: mov	(%rbx), %rdx\n"
	"incq	(%rdi)\n"
	"jmp	1b\n");


FIXTURE(views) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	int mmu[VIEWS];
	char *at[VIEWS];
};

struct stayer {
	struct vmx_vcpu *vcpu;
	pthread_t thread;
	int ret;
};

/* Each EPT has the RAM, and at AREA pages of its own that hold its number and theirs. */
FIXTURE_SETUP(views)
{
	struct vmx_create create = { .size = sizeof(create) };

	NEED(VMX_HAS_EPT);
	ASSERT_VMX(vmx_vm_open(&self->vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	for (int n = 0; n < VIEWS; n++) {
		self->mmu[n] = n ? ioctl(self->vm.fd, VMX_CREATE_EPT, &create) : self->vm.mmu;
		ASSERT_LE(0, self->mmu[n]);
		if (n) {
			ASSERT_EQ(0, mmu_map(self->mmu[n], 0, self->vm.ram, TEST_RAM, RWX));
		}
		self->at[n] = new_memory(LENGTH);
		ASSERT_NE(MAP_FAILED, self->at[n]);
		for (size_t page = 0; page < PAGES; page++)
			*(uint64_t *)(self->at[n] + page * PAGE) = (n + 1) << 8 | page;
		ASSERT_EQ(0, mmu_map(self->mmu[n], AREA, self->at[n], LENGTH, RW));
	}
}

FIXTURE_TEARDOWN(views)
{
	vmx_vcpu_close(&self->vcpu);
	for (int n = 1; n < VIEWS; n++)
		close(self->mmu[n]);
	vmx_vm_close(&self->vm);
}

#define WORD(view, page) (((view) + 1ul) << 8 | (page))
#define START(code) ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, code))

static int set_mmu(struct vmx_vcpu *vcpu, int mmu)
{
	struct vmx_vcpu_mmu args = { .size = sizeof(args), .mmu_fd = mmu };

	return ioctl(vcpu->fd, VMX_SET_MMU, &args);
}

/* Place in the list; -2 for an error. */
static int get_mmu(struct vmx_vcpu *vcpu)
{
	struct vmx_vcpu_mmu args = { .size = sizeof(args), .mmu_fd = 5, .index = 7 };

	if (ioctl(vcpu->fd, VMX_GET_MMU, &args) || args.mmu_fd != -1)
		return -2;
	return args.index;
}

static int set_list(struct vmx_vcpu *vcpu, const int *fds, unsigned int count)
{
	struct vmx_eptp_list list = {
		.size = sizeof(list), .mmu_fds = (uintptr_t)fds, .count = count,
	};

	return ioctl(vcpu->fd, VMX_SET_EPTP_LIST, &list);
}

/* VMFUNC and what comes of it. */
static int vmfunc(struct vmx_vcpu *vcpu, uint32_t function, uint32_t place, uint64_t gpa)
{
	vcpu->run->regs[VMX_RAX] = function;
	vcpu->run->regs[VMX_RCX] = place;
	vcpu->run->regs[VMX_RBX] = gpa;
	vcpu->run->regs[VMX_RDX] = 0;
	test_goto(vcpu, 0);
	return vmx_run(vcpu);
}

#define ASSERT_VMFUNC(function, place, gpa, want) do {				\
	ASSERT_VMX(vmfunc(&self->vcpu, function, place, gpa));			\
	ASSERT_EQ((uint32_t)(want), self->vcpu.run->reason) {			\
		TH_LOG("%s", test_describe(&self->vcpu));			\
	}									\
} while (0)

/* The guest goes to a place and reads there. */
#define ASSERT_GOES(place, view, page) do {					\
	ASSERT_VMFUNC(0, place, AREA + (page) * PAGE, VMX_REASON_VMCALL);	\
	ASSERT_EQ(WORD(view, page), self->vcpu.run->regs[VMX_RDX]);		\
} while (0)

TEST_F(views, moved_by_ioctl)
{
	START(access_guest);
	EXPECT_EQ(WORD(0, 0), guest_read(&self->vcpu, AREA));
	for (int n = VIEWS - 1; n >= 0; n--) {
		ASSERT_EQ(0, set_mmu(&self->vcpu, self->mmu[n]));
		EXPECT_EQ(WORD(n, 0), guest_read(&self->vcpu, AREA));
		EXPECT_EQ(-1, get_mmu(&self->vcpu));
	}
	/* What happened in an EPT while the vCPU was on another. */
	ASSERT_EQ(0, mmu_unmap(self->mmu[1], AREA, LENGTH));
	EXPECT_EQ(WORD(0, 0), guest_read(&self->vcpu, AREA));
	ASSERT_EQ(0, set_mmu(&self->vcpu, self->mmu[1]));
	EXPECT_EQ(ACCESS_EXIT, guest_try_read(&self->vcpu, AREA));
}

/* A descriptor is not what keeps an EPT alive. */
TEST_F(views, moved_to_one_that_is_closed)
{
	START(access_guest);
	ASSERT_EQ(0, set_mmu(&self->vcpu, self->mmu[1]));
	close(self->mmu[1]);
	self->mmu[1] = -1;
	EXPECT_EQ(WORD(1, 2), guest_read(&self->vcpu, AREA + 2 * PAGE));
}

TEST_F(views, not_moved_to_anything_else)
{
	struct vmx_vcpu_mmu args = { .size = sizeof(args), .mmu_fd = self->mmu[1], .index = 1 };
	struct vmx_vm other;

	START(access_guest);
	ASSERT_VMX(vmx_vm_open(&other, TEST_RAM));
	EXPECT_ERRNO(EBADF, set_mmu(&self->vcpu, -1));
	EXPECT_ERRNO(EINVAL, set_mmu(&self->vcpu, self->vcpu.vmcs));
	EXPECT_ERRNO(EINVAL, set_mmu(&self->vcpu, other.mmu));
	EXPECT_ERRNO(EINVAL, ioctl(self->vcpu.fd, VMX_SET_MMU, &args));
	vmx_vm_close(&other);
	EXPECT_EQ(WORD(0, 1), guest_read(&self->vcpu, AREA + PAGE));
}

TEST_F(views, not_while_it_runs)
{
	struct test_spinner spinner;

	ASSERT_EQ(0, test_spin(&spinner, &self->vcpu, -1));
	EXPECT_ERRNO(EBUSY, set_mmu(&self->vcpu, self->mmu[1]));
	EXPECT_EQ(-2, get_mmu(&self->vcpu));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(-EINTR, test_spin_stop(&spinner));
}

TEST_F(views, goes_by_itself)
{
	const int list[] = { self->mmu[0], self->mmu[1], -1, self->mmu[2], self->mmu[1] };

	NEED(VMX_HAS_VMFUNC);
	START(vmfunc_guest);
	ASSERT_EQ(0, set_list(&self->vcpu, list, 5));
	EXPECT_EQ(0, get_mmu(&self->vcpu));
	ASSERT_GOES(1, 1, 3);
	EXPECT_EQ(1, get_mmu(&self->vcpu));
	/* The page came into the EPT that the guest is on. */
	EXPECT_TRUE(mmu_walk(self->mmu[1], AREA + 3 * PAGE).present);
	EXPECT_FALSE(mmu_walk(self->mmu[0], AREA + 3 * PAGE).present);
	ASSERT_GOES(3, 2, 3);
	EXPECT_EQ(3, get_mmu(&self->vcpu));
	ASSERT_GOES(4, 1, 4);
	EXPECT_EQ(1, get_mmu(&self->vcpu));
	ASSERT_GOES(0, 0, 0);
	EXPECT_EQ(0, get_mmu(&self->vcpu));
}

/* The last place of the longest list, and every list is a new one. */
TEST_F(views, a_full_list)
{
	int list[VMX_EPTP_LIST_MAX];

	NEED(VMX_HAS_VMFUNC);
	START(vmfunc_guest);
	for (int n = 0; n < VMX_EPTP_LIST_MAX; n++)
		list[n] = self->mmu[n % VIEWS];
	ASSERT_EQ(0, set_list(&self->vcpu, list, VMX_EPTP_LIST_MAX));
	ASSERT_GOES(VMX_EPTP_LIST_MAX - 1, (VMX_EPTP_LIST_MAX - 1) % VIEWS, 1);
	list[0] = -1;
	ASSERT_EQ(0, set_list(&self->vcpu, list, 2));
	ASSERT_VMFUNC(0, VMX_EPTP_LIST_MAX - 1, AREA, VMX_REASON_VMFUNC);
	ASSERT_VMFUNC(0, 0, AREA, VMX_REASON_VMFUNC);
	ASSERT_GOES(1, 1, 1);
}

/* An access of a device in one EPT is remembered, and is one of memory in another. */
TEST_F(views, a_device_in_one_is_memory_in_another)
{
	const int list[] = { self->mmu[0], self->mmu[1] };

	NEED(VMX_HAS_VMFUNC);
	START(vmfunc_guest);
	ASSERT_EQ(0, set_list(&self->vcpu, list, 2));
	for (unsigned int n = 0; n < 3; n++) {
		/* Anew each time, so that its first access is a fault. */
		ASSERT_EQ(0, mmu_map(self->mmu[1], 2 * AREA, self->at[1], LENGTH, RW));
		for (unsigned int again = 0; again < 2; again++) {
			ASSERT_VMFUNC(0, 0, 2 * AREA, VMX_REASON_EPT_VIOLATION);
			EXPECT_EQ(2 * AREA, self->vcpu.run->physical);
			EXPECT_EQ(0, get_mmu(&self->vcpu));
		}
		ASSERT_VMFUNC(0, 1, 2 * AREA, VMX_REASON_VMCALL);
		EXPECT_EQ(WORD(1, 0), self->vcpu.run->regs[VMX_RDX]);
		ASSERT_VMFUNC(0, 0, 2 * AREA, VMX_REASON_EPT_VIOLATION);
		ASSERT_EQ(0, mmu_unmap(self->mmu[1], 2 * AREA, LENGTH));
	}
}

/* It stays where it was; what there is to know is in the registers. */
TEST_F(views, goes_nowhere)
{
	const int list[] = { self->mmu[0], self->mmu[1], -1 };

	NEED(VMX_HAS_VMFUNC);
	START(vmfunc_guest);
	ASSERT_EQ(0, set_list(&self->vcpu, list, 3));
	ASSERT_GOES(1, 1, 0);
	ASSERT_VMFUNC(0, 2, AREA, VMX_REASON_VMFUNC);
	ASSERT_VMFUNC(0, 3, AREA, VMX_REASON_VMFUNC);
	ASSERT_VMFUNC(0, VMX_EPTP_LIST_MAX, AREA, VMX_REASON_VMFUNC);
	ASSERT_VMFUNC(1, 0, AREA, VMX_REASON_VMFUNC);
	EXPECT_EQ(1, get_mmu(&self->vcpu));
	EXPECT_EQ(1, self->vcpu.run->regs[VMX_RAX]);
}

TEST_F(views, without_a_list_there_is_no_vmfunc)
{
	const int list[] = { self->mmu[1] };

	NEED(VMX_HAS_VMFUNC);
	START(vmfunc_guest);
	ASSERT_VMX(test_set_idt(&self->vcpu));
	ASSERT_VMX(vmfunc(&self->vcpu, 0, 0, AREA));
	EXPECT_EQ(6, self->vcpu.run->regs[VMX_RDI]);
	ASSERT_EQ(0, set_list(&self->vcpu, list, 1));
	ASSERT_GOES(0, 1, 0);
	ASSERT_EQ(0, set_list(&self->vcpu, NULL, 0));
	EXPECT_EQ(-1, get_mmu(&self->vcpu));
	ASSERT_VMX(vmfunc(&self->vcpu, 0, 0, AREA));
	EXPECT_EQ(6, self->vcpu.run->regs[VMX_RDI]);
	/* And it stayed where the list had taken it. */
	START(access_guest);
	EXPECT_EQ(WORD(1, 5), guest_read(&self->vcpu, AREA + 5 * PAGE));
}

TEST_F(views, lists_that_are_refused)
{
	const int good[] = { self->mmu[1], self->mmu[0] };
	const int none[] = { self->mmu[1], -2 };
	const int vmcs[] = { self->mmu[1], self->vcpu.vmcs };
	struct vmx_eptp_list args = {
		.size = sizeof(args), .mmu_fds = (uintptr_t)good, .count = 2, .reserved = 1,
	};

	if (test_missing(VMX_HAS_VMFUNC)) {
		EXPECT_ERRNO(EOPNOTSUPP, set_list(&self->vcpu, good, 2));
		return;
	}
	START(vmfunc_guest);
	ASSERT_EQ(0, set_list(&self->vcpu, good, 2));
	EXPECT_ERRNO(EBADF, set_list(&self->vcpu, none, 2));
	EXPECT_ERRNO(EINVAL, set_list(&self->vcpu, vmcs, 2));
	EXPECT_ERRNO(EINVAL, set_list(&self->vcpu, good, VMX_EPTP_LIST_MAX + 1));
	EXPECT_ERRNO(EFAULT, set_list(&self->vcpu, NULL, 2));
	EXPECT_ERRNO(EINVAL, ioctl(self->vcpu.fd, VMX_SET_EPTP_LIST, &args));
	/* The old one is as it was. */
	ASSERT_GOES(0, 1, 0);
	ASSERT_GOES(1, 0, 0);
}

/* An EPT lives as long as a list has it; moving the vCPU leaves the list alone. */
TEST_F(views, a_list_keeps_what_it_has)
{
	const int list[] = { self->mmu[1], self->mmu[0] };

	NEED(VMX_HAS_VMFUNC);
	START(vmfunc_guest);
	ASSERT_EQ(0, set_list(&self->vcpu, list, 2));
	close(self->mmu[1]);
	self->mmu[1] = -1;
	ASSERT_EQ(0, set_mmu(&self->vcpu, self->mmu[2]));
	EXPECT_EQ(-1, get_mmu(&self->vcpu));
	ASSERT_GOES(0, 1, 7);
	ASSERT_GOES(1, 0, 7);
}

static void *stay(void *arg)
{
	struct stayer *stayer = arg;

	stayer->ret = vmfunc(stayer->vcpu, 0, 1, AREA);
	return NULL;
}

/*
 * The module knows the guest on one EPT, and it is on another. When an
 * UNMAP of that returns, the guest does not read there any more.
 */
TEST_F(views, unmap_finds_it_where_it_went)
{
	const int list[] = { self->mmu[0], self->mmu[1] };
	struct stayer stayer = { .vcpu = &self->vcpu };
	volatile uint64_t *count = test_at(&self->vm, TEST_DATA);
	uint64_t last;

	NEED(VMX_HAS_VMFUNC);
	START(stay_guest);
	ASSERT_EQ(0, set_list(&self->vcpu, list, 2));
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_RFLAGS, 0, 1 << 9));
	*count = 0;
	self->vcpu.run->regs[VMX_RDI] = TEST_DATA;
	ASSERT_EQ(0, pthread_create(&stayer.thread, NULL, stay, &stayer));
	while (*count < 1000)
		sched_yield();
	ASSERT_EQ(0, mmu_unmap(self->mmu[0], AREA, LENGTH));
	for (uint64_t seen = *count; *count < seen + 1000;)
		sched_yield();
	ASSERT_EQ(0, mmu_unmap(self->mmu[1], AREA, LENGTH));
	last = *count;
	pthread_join(stayer.thread, NULL);
	EXPECT_EQ(0, stayer.ret);
	/* It may have read before, and count now. */
	EXPECT_GE(last + 1, *count);
	EXPECT_EQ(VMX_REASON_EPT_VIOLATION, self->vcpu.run->reason);
	EXPECT_EQ(AREA, self->vcpu.run->physical);
	EXPECT_EQ(1, get_mmu(&self->vcpu));
}

VMX_TEST_MAIN
