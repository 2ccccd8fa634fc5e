// SPDX-License-Identifier: GPL-2.0
/*
 * The host takes memory back, and a module keeps it from going on: what the guest gets meanwhile.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "lib/mmu_guest.h"

#define PAGES 16

/* Threads that do what they are told: RUN for one write, or give two pages back to the host. */
struct helper {
	pthread_t thread;
	atomic_uint told, done;
	atomic_bool end;
	struct vmx_vcpu *vcpu;
	uint64_t gpa;
	char *at;
	int ret;
};

/*
 * guest_write() without libvmx's sentences about errors: whoever wants more memory while the
 * host takes some back has to wait.
 */
static int write_once(struct vmx_vcpu *vcpu, uint64_t gpa)
{
	struct vmx_run_page *run = vcpu->run;

	run->regs[VMX_RAX] = ACCESS_WRITE;
	run->regs[VMX_RBX] = gpa;
	run->regs[VMX_RDX] = gpa;
	test_goto(vcpu, 0);
	if (ioctl(vcpu->fd, VMX_RUN))
		return -errno;
	return run->reason == VMX_REASON_VMCALL ? ACCESS_DONE : ACCESS_OTHER;
}

static void *do_as_told(void *arg)
{
	struct helper *helper = arg;

	while (!helper->end) {
		const unsigned int told = helper->told;

		if (told == helper->done) {
			sched_yield();
			continue;
		}
		helper->ret = helper->vcpu ? write_once(helper->vcpu, helper->gpa) :
					     madvise(helper->at, 2 * PAGE, MADV_DONTNEED);
		helper->done = told;
	}
	return NULL;
}

static bool is_done(const struct helper *helper, unsigned int tries)
{
	while (helper->done != helper->told && tries--)
		sched_yield();
	return helper->done == helper->told;
}

/* What comes of a write of the guest's that only a signal should end: -EINTR. */
static int write_in_vain(struct helper *runner, unsigned int page)
{
	runner->gpa = AREA + page * PAGE;
	runner->told++;
	while (!is_done(runner, 300))
		pthread_kill(runner->thread, SIGUSR1);
	return runner->ret;
}

/* The same without signals, but for one that came too late for the last write. */
static int write_now(struct helper *runner, unsigned int page)
{
	runner->gpa = AREA + page * PAGE;
	do {
		runner->told++;
		while (!is_done(runner, 1))
			;
	} while (runner->ret == -EINTR);
	return runner->ret;
}

static void wake_only(int signal)
{
}

#define HELD_INVALIDATION "/sys/module/vmx_held_invalidation/parameters/"

FIXTURE(held) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	struct helper runner, takers[2];
	char *at;
	int held, hold;		/* the module's parameters */
};

EVERY_MMU_OF(held);

FIXTURE_SETUP(held)
{
	const struct sigaction action = { .sa_handler = wake_only };

	NEED(variant->needs);
	ASSERT_EQ(0, system("modprobe vmx_held_invalidation"));
	/* What is registered later hears of it first. */
	ASSERT_EQ(0, test_write_file(HELD_INVALIDATION "watch", "1"));
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	self->at = new_memory(PAGES * PAGE);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, PAGES * PAGE, RW));
	for (unsigned int n = 0; n < PAGES; n++)
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * PAGE, n));
	self->held = open(HELD_INVALIDATION "held", O_RDONLY);
	self->hold = open(HELD_INVALIDATION "hold", O_WRONLY);
	ASSERT_LT(0, self->held);
	ASSERT_LT(0, self->hold);
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	self->runner.vcpu = &self->vcpu;
	ASSERT_EQ(0, pthread_create(&self->runner.thread, NULL, do_as_told, &self->runner));
	for (unsigned int n = 0; n < 2; n++)
		ASSERT_EQ(0, pthread_create(&self->takers[n].thread, NULL, do_as_told,
					    &self->takers[n]));
}

FIXTURE_TEARDOWN(held)
{
	close(self->held);
	close(self->hold);
	test_write_file(HELD_INVALIDATION "watch", "0");
	self->runner.end = true;
	pthread_join(self->runner.thread, NULL);
	for (unsigned int n = 0; n < 2; n++) {
		self->takers[n].end = true;
		pthread_join(self->takers[n].thread, NULL);
	}
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
	EXPECT_EQ(0, system("rmmod vmx_held_invalidation"));
}

/* This, too, without memory of its own. */
static int number_held(int fd)
{
	char digit = 0;

	return pread(fd, &digit, 1, 0) == 1 ? digit - '0' : -1;
}

/*
 * From when the host begins to take memory back until it is through, the guest gets none of it;
 * one place, and then two at a time, in either order.
 */
TEST_F_TIMEOUT(held, memory_that_is_on_its_way_out, 600)
{
	static const unsigned int places[] = { 2, 10 };

	for (unsigned int turn = 0; turn < 2; turn++) {
		ASSERT_EQ(1, write(self->hold, "1", 1));
		for (unsigned int n = 0; n < 2; n++) {
			const unsigned int place = places[n ^ turn];

			self->takers[n].at = self->at + place * PAGE;
			self->takers[n].told++;
			while (number_held(self->held) < (int)n + 1)
				sched_yield();
			for (unsigned int m = 0; m <= n; m++) {
				const unsigned int page = places[m ^ turn];

				EXPECT_EQ(-EINTR, write_in_vain(&self->runner, page));
				EXPECT_EQ(-EINTR, write_in_vain(&self->runner, page + 1));
			}
			EXPECT_EQ(ACCESS_DONE, write_now(&self->runner, n ? 1 : place - 1));
			EXPECT_EQ(ACCESS_DONE, write_now(&self->runner, n ? 12 : place + 2));
		}
		ASSERT_EQ(1, write(self->hold, "0", 1));
		for (unsigned int n = 0; n < 2; n++) {
			while (!is_done(&self->takers[n], 1))
				;
			EXPECT_EQ(0, self->takers[n].ret);
		}
		/* What the guest has then is the host's new memory. */
		for (unsigned int n = 0; n < PAGES; n++) {
			volatile uint64_t *word = (uint64_t *)(self->at + n * PAGE);

			ASSERT_EQ(ACCESS_DONE, write_now(&self->runner, n));
			EXPECT_EQ(AREA + n * PAGE, *word);
			*word = 0;
		}
	}
}

VMX_TEST_MAIN
