// SPDX-License-Identifier: GPL-2.0
/*
 * What the host measures and watches beside a running guest: it counts and samples right, and what
 * it changes on the guest's CPU by an interrupt stays as it is.
 *
 * needs: cpus=2
 */
#include <asm/ldt.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/vm_fixture.h"

typedef FIXTURE_DATA(vm) fixture;

#define GUEST_CPU	1
#define DR7_L0_EXEC	0x401
#define DEBUGCTL	0x1d9
#define DEBUGCTL_LBR	1
#define RING_PAGES	8
#define PAGE		4096ul

/* Counts at TEST_DATA, where test_spin_progress() looks, until it is told to stop. */
GUEST64(until_told_guest, "1: incq 0x20000\n cmpq $0, 0x20008\n je 1b\n nop\n hlt");
GUEST64(hlt_guest, "hlt");
#define UNTIL_TOLD_NOP	(until_told_guest_end - until_told_guest - 2)

/* The first entry of the LDT, for data. */
#define LDT_SELECTOR	7

struct runner {
	struct vmx_vcpu *vcpu;
	pthread_t thread;
	int tid;
	int ret;
	uint32_t limit;	/* of LDT_SELECTOR, after the run */
};

static void *run_thread(void *arg)
{
	struct runner *runner = arg;

	test_pin(GUEST_CPU);
	__atomic_store_n(&runner->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	runner->ret = vmx_run(runner->vcpu);
	asm volatile("lsl %1, %0" : "+r" (runner->limit) : "r" (LDT_SELECTOR));
	return NULL;
}

static int prepare(struct vmx_vcpu *vcpu)
{
	int ret = test_pin(0);

	return ret ? ret : test_start(vcpu, VMX_MODE_LONG, until_told_guest);
}

/* Starts the guest on its CPU, and returns when it is in a stay there. */
static int run_until_told(struct runner *runner, struct vmx_vcpu *vcpu)
{
	int ret = test_enable_interrupts(vcpu);

	if (ret)
		return ret;
	*runner = (struct runner){ .vcpu = vcpu };
	ret = pthread_create(&runner->thread, NULL, run_thread, runner);
	if (ret)
		return -ret;
	test_spin_progress(vcpu->vm);
	return 0;
}

static int tell(struct runner *runner)
{
	*(volatile uint64_t *)test_at(runner->vcpu->vm, TEST_DATA + 8) = 1;
	pthread_join(runner->thread, NULL);
	return runner->ret;
}

static int perf_open(struct perf_event_attr *attr, int tid, int cpu)
{
	attr->size = sizeof(*attr);
	return syscall(SYS_perf_event_open, attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static uint64_t perf_read(int perf)
{
	uint64_t count = 0;

	return read(perf, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* The host's breakpoint takes DR0 of the CPU in the middle of a stay: the guest has its own. */
TEST_F(vm, breakpoints_of_both)
{
	static volatile uint32_t watched;
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT, .bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)&watched, .bp_len = HW_BREAKPOINT_LEN_4, .exclude_kernel = 1,
	};
	struct vmx_debug debug = { .size = sizeof(debug), .dr = { TEST_CODE + UNTIL_TOLD_NOP } };
	struct runner runner;
	int perf;

	ASSERT_VMX(prepare(&self->vcpu));
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_SET_DEBUG, &debug));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_DR7, DR7_L0_EXEC));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_EXCEPTION_BITMAP, 1 << 1));
	ASSERT_EQ(0, run_until_told(&runner, &self->vcpu));
	perf = perf_open(&attr, -1, GUEST_CPU);
	if (perf < 0) {
		tell(&runner);
		SKIP(return, "no hardware breakpoints here");
	}
	test_spin_progress(&self->vm);
	ASSERT_EQ(0, tell(&runner));
	ASSERT_EQ(VMX_REASON_EXCEPTION_NMI, self->run->reason);
	EXPECT_EQ(1, self->run->intr_info & VMX_INTR_VECTOR_MASK);
	EXPECT_EQ(TEST_CODE + UNTIL_TOLD_NOP, self->run->rip);
	/* And the host has its own. */
	ASSERT_EQ(0, test_pin(GUEST_CPU));
	EXPECT_EQ(0, perf_read(perf));
	watched = 1;
	EXPECT_EQ(1, perf_read(perf));
	close(perf);
}

/* Of a function of the module; 0 if the kernel does not tell. */
static uint64_t kernel_address(const char *name)
{
	FILE *file = fopen("/proc/kallsyms", "r");
	unsigned long long address, found = 0;
	char symbol[128];

	if (!file)
		return 0;
	while (!found && fscanf(file, "%llx %*c %127s%*[^\n]", &address, symbol) == 2)
		if (!strcmp(symbol, name))
			found = address;
	fclose(file);
	return found;
}

static __attribute__((noinline)) void never(void)
{
	asm volatile("");
}

/* A guest's DR0 is no address for a breakpoint that the host has enabled. */
TEST_F(vm, host_breakpoint_at_a_guest_address)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT, .bp_type = HW_BREAKPOINT_X,
		.bp_addr = (uintptr_t)never, .bp_len = sizeof(long),
	};
	struct vmx_debug debug = { .size = sizeof(debug), .dr = { kernel_address("__vmx_enter") } };
	int perf;

	if (!debug.dr[0])
		SKIP(return, "no addresses of kernel functions here");
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_SET_DEBUG, &debug));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_DR7, DR7_L0_EXEC));
	perf = perf_open(&attr, 0, -1);
	if (perf < 0)
		SKIP(return, "no hardware breakpoints here");
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0, perf_read(perf));
	never();
	EXPECT_EQ(1, perf_read(perf));
	close(perf);
}

/* As perf does for the branch records of another CPU. VM exit clears the register. */
TEST_F(vm, debugctl_of_another_cpu)
{
	uint64_t value = 0, was = 0;
	struct runner runner;
	int msr = open("/dev/cpu/1/msr", O_RDWR);

	if (msr < 0 || pread(msr, &was, sizeof(was), DEBUGCTL) != sizeof(was))
		SKIP(return, "no DEBUGCTL, or no driver for MSRs here");
	value = was | DEBUGCTL_LBR;
	if (pwrite(msr, &value, sizeof(value), DEBUGCTL) != sizeof(value) ||
	    pread(msr, &value, sizeof(value), DEBUGCTL) != sizeof(value) || value == was)
		SKIP(return, "DEBUGCTL keeps nothing here");
	ASSERT_EQ(sizeof(was), pwrite(msr, &was, sizeof(was), DEBUGCTL));
	ASSERT_VMX(prepare(&self->vcpu));
	ASSERT_EQ(0, run_until_told(&runner, &self->vcpu));
	value = was | DEBUGCTL_LBR;
	ASSERT_EQ(sizeof(value), pwrite(msr, &value, sizeof(value), DEBUGCTL));
	for (int n = 0; n < 5; n++) {
		test_spin_progress(&self->vm);
		/* By an interrupt, in the middle of the stay */
		ASSERT_EQ(sizeof(value), pread(msr, &value, sizeof(value), DEBUGCTL));
		EXPECT_EQ(was | DEBUGCTL_LBR, value);
	}
	ASSERT_EQ(0, tell(&runner));
	ASSERT_EQ(sizeof(value), pread(msr, &value, sizeof(value), DEBUGCTL));
	EXPECT_EQ(was | DEBUGCTL_LBR, value);
	ASSERT_EQ(sizeof(was), pwrite(msr, &was, sizeof(was), DEBUGCTL));
	close(msr);
}

/* Another thread makes an LDT, which the kernel loads here in the middle of a stay. */
TEST_F(vm, ldt_of_another_thread)
{
	struct user_desc desc = { .limit = 0x12345, .seg_32bit = 1, .useable = 1 };
	struct runner runner;

	ASSERT_VMX(prepare(&self->vcpu));
	ASSERT_EQ(0, run_until_told(&runner, &self->vcpu));
	if (syscall(SYS_modify_ldt, 1, &desc, sizeof(desc))) {
		tell(&runner);
		SKIP(return, "this kernel has no modify_ldt");
	}
	test_spin_progress(&self->vm);
	ASSERT_EQ(0, tell(&runner));
	EXPECT_EQ(0x12345, runner.limit);
}

/* perf stat: the time of the thread, which the guest's is part of. */
TEST_F(vm, counting)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_TASK_CLOCK,
	};
	struct runner runner;
	uint64_t start, wall, counted;
	int perf;

	ASSERT_VMX(prepare(&self->vcpu));
	ASSERT_EQ(0, run_until_told(&runner, &self->vcpu));
	perf = perf_open(&attr, runner.tid, -1);
	ASSERT_LE(0, perf);
	start = now();
	while (now() - start < 50000000)
		sched_yield();
	wall = now() - start;
	counted = perf_read(perf);
	ASSERT_EQ(0, tell(&runner));
	EXPECT_LE(wall / 2, counted);
	EXPECT_GE(wall * 2, counted);
	close(perf);
}

struct sample {
	struct perf_event_header header;
	uint64_t ip;
	uint32_t pid, tid;
};

/* The samples in the ring; *others is how many are not TID's. */
static unsigned int samples(struct perf_event_mmap_page *ring, uint32_t tid, unsigned int *others)
{
	const char *data = (const char *)ring + PAGE;
	uint64_t tail = 0, head = __atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE);
	unsigned int count = 0;

	*others = 0;
	while (tail < head) {
		const struct sample *sample = (const void *)(data + tail % (RING_PAGES * PAGE));

		if (sample->header.type == PERF_RECORD_SAMPLE) {
			count++;
			*others += sample->tid != tid;
		}
		tail += sample->header.size;
	}
	return count;
}

/* perf record: samples come as often as they should, and are the thread's. */
static void check_sampling(struct __test_metadata *_metadata, fixture *self,
			   struct perf_event_attr *attr, unsigned int expected)
{
	struct perf_event_mmap_page *ring;
	unsigned int count, others;
	struct runner runner;
	uint64_t start;
	int perf;

	attr->sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID;
	ASSERT_VMX(prepare(&self->vcpu));
	ASSERT_EQ(0, run_until_told(&runner, &self->vcpu));
	perf = perf_open(attr, runner.tid, -1);
	if (perf < 0) {
		tell(&runner);
		SKIP(return, "no such event here");
	}
	ring = mmap(NULL, (RING_PAGES + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, perf, 0);
	ASSERT_NE(MAP_FAILED, ring);
	start = now();
	while (now() - start < 50000000)
		sched_yield();
	test_spin_progress(&self->vm);
	ASSERT_EQ(0, tell(&runner));
	ASSERT_EQ(VMX_REASON_HLT, self->run->reason);
	count = samples(ring, runner.tid, &others);
	EXPECT_LE(expected / 4, count);
	EXPECT_GE(expected ? 2 * expected : count, count);
	EXPECT_EQ(0, others);
	munmap(ring, (RING_PAGES + 1) * PAGE);
	close(perf);
}

TEST_F(vm, sampling_by_time)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000,
	};

	check_sampling(_metadata, self, &attr, 50);
}

/* With a counter, by records that the CPU writes itself (PEBS) where it can. */
TEST_F(vm, sampling_by_cycles)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE, .config = PERF_COUNT_HW_CPU_CYCLES,
		.sample_freq = 1000, .freq = 1, .precise_ip = 2, .exclude_guest = 1,
	};

	check_sampling(_metadata, self, &attr, 0);
}

/* exclude_guest: cycles of the guest are not the thread's. */
TEST_F(vm, counting_without_the_guest)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE, .config = PERF_COUNT_HW_INSTRUCTIONS,
	};
	struct runner runner;
	int with, without;
	uint64_t start;

	ASSERT_VMX(prepare(&self->vcpu));
	ASSERT_EQ(0, run_until_told(&runner, &self->vcpu));
	with = perf_open(&attr, runner.tid, -1);
	attr.exclude_guest = 1;
	without = perf_open(&attr, runner.tid, -1);
	start = now();
	while (with >= 0 && now() - start < 50000000)
		sched_yield();
	ASSERT_EQ(0, tell(&runner));
	if (with < 0)
		SKIP(return, "no performance counters here");
	EXPECT_LT(0, perf_read(without));
	EXPECT_GT(perf_read(with) / 2, perf_read(without));
	close(without);
	close(with);
}

VMX_TEST_MAIN
