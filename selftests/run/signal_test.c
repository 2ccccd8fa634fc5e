// SPDX-License-Identifier: GPL-2.0
/*
 * Whatever waits for user memory that does not come ends with a signal, and nothing else waits for
 * it: userspace may be what has to bring it, as when a guest comes from another machine.
 *
 * needs: cpus=2
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "lib/mmu_guest.h"

/* When the signal comes, and when the page comes if the signal was not enough; seconds / 1000. */
#define SIGNAL_AFTER	100
#define PAGE_AFTER	3000

FIXTURE(waits) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	int faults;
	char *page;
	pthread_t rescuer;
};

EVERY_MMU_OF(waits);

typedef FIXTURE_DATA(waits) fixture;

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000ll + time.tv_nsec / 1000000;
}

static int bring_page(fixture *self)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)self->page, .len = PAGE },
	};

	return ioctl(self->faults, UFFDIO_ZEROPAGE, &zero);
}

static void *rescue(void *self)
{
	usleep(PAGE_AFTER * 1000);
	bring_page(self);
	return NULL;
}

static void nothing(int number)
{
	(void)number;
}

FIXTURE_SETUP(waits)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct sigaction action = { .sa_handler = nothing };

	NEED(variant->needs);
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	self->faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	ASSERT_LE(0, self->faults);
	ASSERT_EQ(0, ioctl(self->faults, UFFDIO_API, &api));
	self->page = new_memory(PAGE);
	ASSERT_NE(MAP_FAILED, self->page);
	area.range.start = (uintptr_t)self->page;
	area.range.len = PAGE;
	ASSERT_EQ(0, ioctl(self->faults, UFFDIO_REGISTER, &area));
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->page, PAGE, RW));
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, pthread_create(&self->rescuer, NULL, rescue, self));
}

FIXTURE_TEARDOWN(waits)
{
	pthread_cancel(self->rescuer);
	pthread_join(self->rescuer, NULL);
	if (self->vcpu.fd >= 0)
		vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
	close(self->faults);
}

static void send_signal(void)
{
	struct itimerval once = { .it_value.tv_usec = SIGNAL_AFTER * 1000 };

	setitimer(ITIMER_REAL, &once, NULL);
}

/* A call of libvmx, or an ioctl as -errno: it waits until the signal comes, and not longer. */
#define EXPECT_INTERRUPTED(call) do {						\
	long long begun_ = now();						\
										\
	send_signal();								\
	EXPECT_EQ(-EINTR, (call));						\
	EXPECT_LE(SIGNAL_AFTER / 2, now() - begun_);				\
	EXPECT_GT(PAGE_AFTER, now() - begun_);					\
} while (0)
#define DO_IOCTL(...) (ioctl(__VA_ARGS__) ? -errno : 0)

TEST_F(waits, guest_reads)
{
	EXPECT_INTERRUPTED(guest_try_read(&self->vcpu, AREA));
	ASSERT_EQ(0, bring_page(self));
	EXPECT_EQ(0, guest_read(&self->vcpu, AREA));
}

TEST_F(waits, guest_writes)
{
	EXPECT_INTERRUPTED(guest_write(&self->vcpu, AREA, 5));
	ASSERT_EQ(0, bring_page(self));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 5));
	EXPECT_EQ(5, *self->page);
}

TEST_F(waits, populate)
{
	struct vmx_mmu_populate populate = {
		.size = sizeof(populate), .gpa = AREA, .length = PAGE, .prot = RW,
	};

	EXPECT_INTERRUPTED(DO_IOCTL(self->vm.mmu, VMX_MMU_POPULATE, &populate));
	ASSERT_EQ(0, bring_page(self));
	EXPECT_EQ(0, DO_IOCTL(self->vm.mmu, VMX_MMU_POPULATE, &populate));
}

TEST_F(waits, bitmap)
{
	struct vmx_mmu_dirty dirty = {
		.size = sizeof(dirty), .gpa = 0, .length = TEST_RAM,
		.bitmap = (uintptr_t)self->page,
	};

	ASSERT_EQ(0, mmu_log(self->vm.mmu, VMX_DIRTY_WRITE_PROTECT));
	EXPECT_INTERRUPTED(DO_IOCTL(self->vm.mmu, VMX_MMU_DIRTY, &dirty));
	ASSERT_EQ(0, bring_page(self));
	EXPECT_EQ(0, DO_IOCTL(self->vm.mmu, VMX_MMU_DIRTY, &dirty));
}

/* The struct of an ioctl, and what it points to, read and written. */
TEST_F(waits, arguments)
{
	struct vmx_vmcs_io io = {
		.size = sizeof(io), .fields = (uintptr_t)self->page, .count = 1,
	};
	struct vmx_vmcs_dump dump = {
		.size = sizeof(dump), .fields = (uintptr_t)self->page, .count = 1,
	};
	struct vmx_msrs msrs = { .size = sizeof(msrs), .msrs = (uintptr_t)self->page, .count = 1 };
	struct vmx_cpuid cpuid = {
		.size = sizeof(cpuid), .entries = (uintptr_t)self->page, .count = 1,
	};

	EXPECT_INTERRUPTED(DO_IOCTL(self->vm.fd, VMX_VM_STATS, self->page));
	EXPECT_INTERRUPTED(DO_IOCTL(self->vcpu.vmcs, VMX_VMCS_WRITE, &io));
	EXPECT_INTERRUPTED(DO_IOCTL(self->vcpu.vmcs, VMX_VMCS_DUMP, &dump));
	EXPECT_INTERRUPTED(DO_IOCTL(self->vcpu.fd, VMX_SET_MSRS, &msrs));
	EXPECT_INTERRUPTED(DO_IOCTL(self->vcpu.fd, VMX_SET_CPUID, &cpuid));
}

struct reader {
	fixture *self;
	int ret;
};

static void *read_fields(void *arg)
{
	struct reader *reader = arg;
	fixture *self = reader->self;
	struct vmx_vmcs_io io = {
		.size = sizeof(io), .fields = (uintptr_t)self->page, .count = 1,
	};

	reader->ret = DO_IOCTL(self->vcpu.vmcs, VMX_VMCS_READ, &io);
	return NULL;
}

TEST_F(waits, close_waits_for_nobody)
{
	struct reader reader = { .self = self, .ret = 1 };
	pthread_t thread;
	long long begun;

	ASSERT_EQ(0, pthread_create(&thread, NULL, read_fields, &reader));
	usleep(SIGNAL_AFTER * 1000);
	begun = now();
	/* The VMCS stays, for the thread has it in use. */
	ASSERT_EQ(0, munmap(self->vcpu.run, PAGE));
	ASSERT_EQ(0, close(self->vcpu.fd));
	EXPECT_GT(PAGE_AFTER / 2, now() - begun);
	self->vcpu.fd = -1;
	EXPECT_EQ(1, reader.ret);
	ASSERT_EQ(0, pthread_kill(thread, SIGALRM));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(-EINTR, reader.ret);
	close(self->vcpu.vmcs);
}

VMX_TEST_MAIN
