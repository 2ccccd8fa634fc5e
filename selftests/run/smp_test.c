// SPDX-License-Identifier: GPL-2.0
/*
 * Several vCPUs, several CPUs, threads and signals.
 *
 * needs: cpus=2
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/vm_fixture.h"

GUEST64(hlt_guest, "hlt");

/* Adds one to a counter that both vCPUs share, as often as RCX says. */
GUEST64(add_guest,
	"1: lock incq 0x20000\n"
	"dec %rcx\n"
	"jnz 1b\n"
	"hlt");

#define ADDS 20000

struct runner {
	struct vmx_vcpu *vcpu;
	int cpu;
	int ret;
	pthread_t thread;
};

static void *run_on_cpu(void *arg)
{
	struct runner *runner = arg;

	runner->ret = test_pin(runner->cpu);
	if (!runner->ret)
		runner->ret = vmx_run(runner->vcpu);
	return NULL;
}

TEST_F(vm, two_vcpus_share_memory)
{
	struct vmx_vcpu other;
	struct runner runners[] = {
		{ .vcpu = &self->vcpu, .cpu = 0 }, { .vcpu = &other, .cpu = 1 },
	};

	ASSERT_VMX(vmx_vcpu_open(&other, &self->vm));
	for (int n = 0; n < 2; n++) {
		ASSERT_VMX(test_start(runners[n].vcpu, VMX_MODE_LONG, add_guest));
		ASSERT_VMX(test_enable_interrupts(runners[n].vcpu));
		runners[n].vcpu->run->regs[VMX_RCX] = ADDS;
	}
	for (int n = 0; n < 2; n++) {
		ASSERT_EQ(0, pthread_create(&runners[n].thread, NULL, run_on_cpu, &runners[n]));
	}
	for (int n = 0; n < 2; n++) {
		pthread_join(runners[n].thread, NULL);
		EXPECT_EQ(0, runners[n].ret);
		EXPECT_EQ((uint32_t)VMX_REASON_HLT, runners[n].vcpu->run->reason);
	}
	EXPECT_EQ(2 * ADDS, *(uint64_t *)test_at(&self->vm, TEST_DATA));
	vmx_vcpu_close(&other);
}

#define MSR_TSC_AUX	0xc0000103u

/* RDTSCP tells of the guest's TSC_AUX, never of the host's, which has the CPU's number. */
TEST_F(vm, tsc_aux_is_the_guests)
{
	GUEST64(rdtscp_guest, "mov $~0, %ecx\n rdtscp\n hlt");
	const struct vmx_msr value = {
		.index = MSR_TSC_AUX, .policy = VMX_MSR_PASSTHROUGH, .value = 0x1234,
	};
	unsigned int cpu, node;
	uint32_t bad;

	if (!(self->vm.caps.cpu2.may & VMX_CPU2_RDTSCP))
		SKIP(return, "the CPU has no RDTSCP in guests");
	ASSERT_EQ(0, test_pin(1));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, rdtscp_guest));
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_CPU2_CONTROLS, 0, VMX_CPU2_RDTSCP));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0, self->run->regs[VMX_RCX]);
	ASSERT_EQ(0, test_set_msrs(&self->vcpu, &value, 1, &bad));
	test_goto(&self->vcpu, 0);
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0x1234, self->run->regs[VMX_RCX]);
	/* and the thread has the host's */
	__builtin_ia32_rdtscp(&node);
	ASSERT_EQ(0, getcpu(&cpu, NULL));
	EXPECT_EQ(cpu, node & 0xfff);
}

/* From CPU to CPU between runs: registers, fields and FPU state come along. */
TEST_F(vm, migrates_between_runs)
{
	GUEST64(step_guest,
		"mov $1, %eax\n movd %eax, %xmm7\n"
		"1: inc %rbx\n paddd %xmm7, %xmm8\n movd %xmm8, %ecx\n vmcall\n jmp 1b");

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, step_guest));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_SYSENTER_EIP, 0x7777));
	for (uint64_t n = 1; n <= 40; n++) {
		uint64_t field;

		ASSERT_EQ(0, test_pin(n % 2));
		ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
		ASSERT_EQ(n, self->run->regs[VMX_RBX]);
		ASSERT_EQ(n, self->run->regs[VMX_RCX]);
		ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_GUEST_SYSENTER_EIP, &field));
		ASSERT_EQ(0x7777, field);
		self->run->retire = 1;
	}
}

/* And while it runs: the scheduler takes the thread away in guest mode. */
TEST_F(vm, migrates_during_a_run)
{
	struct test_spinner spinner;

	ASSERT_EQ(0, test_pin(0));
	ASSERT_EQ(0, test_spin(&spinner, &self->vcpu, 1));
	for (int n = 0; n < 40; n++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(n % 2, &set);
		ASSERT_EQ(0, pthread_setaffinity_np(spinner.thread, sizeof(set), &set));
		test_spin_progress(&self->vm);
	}
	EXPECT_EQ(-EINTR, test_spin_stop(&spinner));
}

struct mover {
	struct vmx_vcpu *vcpu;
	int ret;
	int cpu;		/* as the kernel says */
	int rseq_cpu;		/* as the memory says that rseq shares with the kernel */
};

static void *run_and_look(void *arg)
{
	struct mover *mover = arg;
	unsigned int cpu;

	mover->ret = test_pin(0) ?: vmx_run(mover->vcpu);
	mover->rseq_cpu = sched_getcpu();
	syscall(SYS_getcpu, &cpu, NULL, NULL);
	mover->cpu = cpu;
	return NULL;
}

/* rseq's work waits for the end of RUN, and is done then. */
TEST_F(vm, rseq_after_migration)
{
	struct mover mover = { .vcpu = &self->vcpu };
	uint64_t *turns = test_at(&self->vm, TEST_DATA);
	pthread_t thread;
	cpu_set_t set;

	GUEST64(turn_guest, "1: incq 0x20000\n jmp 1b");
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, turn_guest));
	ASSERT_VMX(test_enable_interrupts(&self->vcpu));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_and_look, &mover));
	while (!__atomic_load_n(turns, __ATOMIC_RELAXED))
		sched_yield();
	CPU_ZERO(&set);
	CPU_SET(1, &set);
	ASSERT_EQ(0, pthread_setaffinity_np(thread, sizeof(set), &set));
	test_spin_progress(&self->vm);
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_KICK));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(-EINTR, mover.ret);
	EXPECT_EQ(1, mover.cpu);
	EXPECT_EQ(1, mover.rseq_cpu);
}

/* More vCPUs than CPUs: preemption in guest mode, VMCSs that take turns. */
TEST_F(vm, more_vcpus_than_cpus)
{
	struct test_spinner spinners[4];
	struct vmx_vcpu vcpus[4];
	struct vmx_vm vms[4];

	for (int n = 0; n < 4; n++) {
		ASSERT_VMX(vmx_vm_open(&vms[n], TEST_RAM));
		ASSERT_VMX(vmx_vcpu_open(&vcpus[n], &vms[n]));
		ASSERT_EQ(0, test_spin(&spinners[n], &vcpus[n], n % 2));
	}
	for (int round = 0; round < 5; round++) {
		for (int n = 0; n < 4; n++)
			test_spin_progress(&vms[n]);
	}
	for (int n = 0; n < 4; n++) {
		EXPECT_EQ(-EINTR, test_spin_stop(&spinners[n]));
		vmx_vcpu_close(&vcpus[n]);
		vmx_vm_close(&vms[n]);
	}
}

TEST_F(vm, kick_while_running)
{
	struct test_spinner spinner;

	for (int n = 0; n < 50; n++) {
		ASSERT_EQ(0, test_spin(&spinner, &self->vcpu, n % 2));
		ASSERT_EQ(-EINTR, test_spin_stop(&spinner));
	}
}

/* One kick is for one RUN, and is not lost if there is none yet. */
TEST_F(vm, kick_before_run)
{
	struct vmx_vm_stats before, after;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_VMX(vmx_vm_stats(&self->vm, &before));
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_KICK));
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_KICK));
	EXPECT_EQ(-EINTR, vmx_run(&self->vcpu));
	ASSERT_VMX(vmx_vm_stats(&self->vm, &after));
	EXPECT_EQ(before.entries, after.entries);
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

TEST_F(vm, immediate_exit_enters_nothing)
{
	struct vmx_vm_stats before, after;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_VMX(vmx_vm_stats(&self->vm, &before));
	self->run->immediate_exit = 1;
	for (int n = 0; n < 5; n++) {
		EXPECT_EQ(-EINTR, vmx_run(&self->vcpu));
	}
	ASSERT_VMX(vmx_vm_stats(&self->vm, &after));
	EXPECT_EQ(before.entries, after.entries);
	EXPECT_EQ(1, self->run->immediate_exit);
	self->run->immediate_exit = 0;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

static struct vmx_run_page *handler_page;
static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
	handled++;
	handler_page->immediate_exit = 1;
}

/*
 * Signals that come at any instant, before, in and after RUN: with
 * immediate_exit set by the handler none is slept through.
 */
TEST_F(vm, signals_are_never_missed)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	GUEST64(loop_guest, "1: inc %rax\n jmp 1b");
	uint64_t seed = test_seed();
	timer_t timer;

	handler_page = self->run;
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	ASSERT_EQ(0, timer_create(CLOCK_MONOTONIC, &event, &timer));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, loop_guest));
	ASSERT_VMX(test_enable_interrupts(&self->vcpu));
	for (int n = 1; n <= 200; n++) {
		struct itimerspec when = { .it_value.tv_nsec = 1 + test_random(&seed) % 100000 };

		ASSERT_EQ(0, timer_settime(timer, 0, &when, NULL));
		ASSERT_EQ(-EINTR, vmx_run(&self->vcpu));
		ASSERT_EQ(n, handled);
		self->run->immediate_exit = 0;
	}
	timer_delete(timer);
}

/* A stop and a continuation in guest mode, by job control and by a debugger. */
TEST_F(vm, stopped_and_traced)
{
	volatile uint64_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t child;

	ASSERT_NE(MAP_FAILED, shared);
	child = fork();
	if (!child) {
		struct vmx_vcpu vcpu;
		struct vmx_vm vm;

		if (vmx_vm_open(&vm, TEST_RAM) || vmx_vcpu_open(&vcpu, &vm))
			_exit(1);
		GUEST64(count_guest, "1: incq 0x300000\n jmp 1b");
		if (vmx_vm_map(&vm, 0x300000, (void *)shared, 4096, VMX_MMU_READ | VMX_MMU_WRITE) ||
		    test_start(&vcpu, VMX_MODE_LONG, count_guest) || test_enable_interrupts(&vcpu))
			_exit(2);
		/* A stop that is not a signal handler's may or may not end RUN: run on. */
		while (vmx_run(&vcpu) == -EINTR)
			;
		_exit(3);
	}
	for (int n = 0; n < 20; n++) {
		uint64_t seen = *shared;

		while (*shared == seen && !waitpid(child, &status, WNOHANG))
			sched_yield();
		ASSERT_NE(seen, *shared);
		if (n % 2) {
			ASSERT_EQ(0, kill(child, SIGSTOP));
			ASSERT_EQ(child, waitpid(child, &status, WUNTRACED));
			seen = *shared;
			sched_yield();
			EXPECT_EQ(seen, *shared);
			ASSERT_EQ(0, kill(child, SIGCONT));
		} else {
			ASSERT_EQ(0, ptrace(PTRACE_SEIZE, child, 0, 0));
			ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, child, 0, 0));
			ASSERT_EQ(child, waitpid(child, &status, 0));
			ASSERT_EQ(0, ptrace(PTRACE_DETACH, child, 0, 0));
		}
	}
	kill(child, SIGKILL);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

VMX_TEST_MAIN
