// SPDX-License-Identifier: GPL-2.0
/*
 * FPU state while a RUN goes on for long: interrupts that use the FPU, faults,
 * signals, other threads. Whose registers are whose, and how often the guest's
 * are loaded. Each case is there with the kernel's second FPU state of the thread,
 * where the kernel lends it, and without; with EPT and with shadow page tables.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "lib/vm_fixture.h"

#define LEND		"/sys/module/vmx/parameters/lend_fpu"
#define USES		"/sys/module/vmx_fpu_user/parameters/uses"
#define FOREIGN_XCR0	"/sys/module/vmx_fpu_user/parameters/foreign_xcr0"

#define XSAVE_HEADER	512
#define FX_MXCSR	24
#define FX_XMM		160
#define CR4_OSXSAVE	(1 << 18)
#define REGISTERS	512	/* bytes of YMM0 to YMM15; XMM0 to XMM15 take half */
#define XMM_SIZE	256

#define EACH(macro)							\
	macro(0) macro(1) macro(2) macro(3) macro(4) macro(5) macro(6) macro(7)	\
	macro(8) macro(9) macro(10) macro(11) macro(12) macro(13) macro(14) macro(15)
#define LOAD(n) "movups " #n "*16(%rbx), %xmm" #n "\n"
#define STORE(n) "movups %xmm" #n ", 512+" #n "*16(%rbx)\n"
#define LOAD_YMM(n) "vmovups " #n "*32(%rbx), %ymm" #n "\n"
#define STORE_YMM(n) "vmovups %ymm" #n ", 512+" #n "*32(%rbx)\n"
/* The same in an extended asm. */
#define LOAD_OWN(n) "movups " #n "*16(%%rbx), %%xmm" #n "\n"
#define STORE_OWN(n) "movups %%xmm" #n ", 512+" #n "*16(%%rbx)\n"
#define LOAD_OWN_YMM(n) "vmovups " #n "*32(%%rbx), %%ymm" #n "\n"
#define STORE_OWN_YMM(n) "vmovups %%ymm" #n ", 512+" #n "*32(%%rbx)\n"
#define CHANGE(n) "pcmpeqd %%xmm" #n ", %%xmm" #n "\n"
#define ALL_XMM "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",	\
		"xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

/* Registers from TEST_DATA, ECX turns, registers behind what they were loaded from. */
#define SPIN "1: dec %ecx\n jnz 1b\n"
#define RBX "mov $0x20000, %ebx\n"
GUEST64(long_guest, RBX "fldpi\n" EACH(LOAD) SPIN EACH(STORE) "fstpl 1024(%rbx)\n hlt");
GUEST64(long_ymm_guest, RBX EACH(LOAD_YMM) SPIN EACH(STORE_YMM) "hlt");
GUEST64(store_guest, RBX EACH(STORE) "hlt");
GUEST64(late_store_guest, RBX SPIN EACH(STORE) "hlt");
/* ECX pages from 1 MiB, likewise. */
GUEST64(touch_guest,
	RBX EACH(LOAD)
	"mov $0x100000, %edi\n"
	"1: mov %edi, (%rdi)\n"
	"add $0x1000, %edi\n"
	"dec %ecx\n"
	"jnz 1b\n"
	EACH(STORE)
	"hlt");

#define PAGES 255
/* An emulated millisecond has 50,000 instructions. */
#define TURNS 1000000

FIXTURE(long_run) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	uint64_t seed;
	/* What the process has in its registers, and finds in them afterwards. */
	uint8_t mine[2 * REGISTERS];
	uint8_t guests[REGISTERS];
};

FIXTURE_VARIANT(long_run) {
	const char *lend;
	enum vmx_mmu_kind mmu;
	uint64_t needs;
};

FIXTURE_VARIANT_ADD(long_run, lent) {
	.lend = "Y", .mmu = VMX_MMU_EPT, .needs = VMX_HAS_EPT,
};

FIXTURE_VARIANT_ADD(long_run, not_lent) {
	.lend = "N", .mmu = VMX_MMU_EPT, .needs = VMX_HAS_EPT,
};

FIXTURE_VARIANT_ADD(long_run, lent_shadow) { .lend = "Y", .mmu = VMX_MMU_SHADOW };
FIXTURE_VARIANT_ADD(long_run, not_lent_shadow) { .lend = "N", .mmu = VMX_MMU_SHADOW };

static bool lent(const char *lend)
{
	return lend[0] == 'Y';
}

FIXTURE_SETUP(long_run)
{
	NEED(variant->needs);
	if (test_write_file(LEND, variant->lend) && lent(variant->lend))
		SKIP(return, "this kernel lends no FPU state");
	self->seed = test_seed();
	test_pin(0);
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
}

FIXTURE_TEARDOWN(long_run)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
	EXPECT_LE(0, system("rmmod vmx_fpu_user 2>/dev/null"));
	test_write_file(LEND, "Y");
}

static void fill(uint8_t *bytes, size_t size, uint64_t *seed)
{
	for (size_t n = 0; n < size; n += 8) {
		uint64_t value = test_random(seed);

		memcpy(bytes + n, &value, 8);
	}
}

/* RUN, while the process has MINE in its registers; what it has then goes behind. */
static long run(struct vmx_vcpu *vcpu, uint8_t *mine)
{
	long ret;

	asm volatile("mov %1, %%rbx\n"
		     EACH(LOAD_OWN)
		     "mov $16, %%eax\n"		/* ioctl() */
		     "syscall\n"
		     EACH(STORE_OWN)
		     : "=&a" (ret)
		     : "r" (mine), "D" (vcpu->fd), "S" (VMX_RUN), "d" (0)
		     : "rbx", "rcx", "r11", "memory", ALL_XMM);
	return ret;
}

static long run_ymm(struct vmx_vcpu *vcpu, uint8_t *mine)
{
	long ret;

	asm volatile("mov %1, %%rbx\n"
		     EACH(LOAD_OWN_YMM)
		     "mov $16, %%eax\n"
		     "syscall\n"
		     EACH(STORE_OWN_YMM)
		     "vzeroupper\n"
		     : "=&a" (ret)
		     : "r" (mine), "D" (vcpu->fd), "S" (VMX_RUN), "d" (0)
		     : "rbx", "rcx", "r11", "memory", ALL_XMM);
	return ret;
}

static bool kept(const uint8_t *mine, size_t size)
{
	return !memcmp(mine, mine + REGISTERS, size);
}

static bool guest_kept(struct vmx_vm *vm, const uint8_t *pattern, size_t size)
{
	return !memcmp(pattern, test_at(vm, TEST_DATA + REGISTERS), size);
}

static int start(struct vmx_vcpu *vcpu, const void *code, size_t size, const uint8_t *pattern,
		 uint32_t turns)
{
	int ret = test_start_code(vcpu, VMX_MODE_LONG, code, size);

	memset(test_at(vcpu->vm, TEST_DATA), 0, 4096);
	memcpy(test_at(vcpu->vm, TEST_DATA), pattern, REGISTERS);
	vcpu->run->regs[VMX_RCX] = turns;
	return ret ?: test_enable_interrupts(vcpu);
}

#define START(vcpu, code, pattern, turns) \
	start(vcpu, code, code##_end - (code), pattern, turns)

static int fpu_users(void)
{
	return system("modprobe vmx_fpu_user period_us=200");
}

static struct vmx_vm_stats stats(struct vmx_vm *vm)
{
	struct vmx_vm_stats stats;

	if (vmx_vm_stats(vm, &stats))
		memset(&stats, 0, sizeof(stats));
	return stats;
}

TEST_F(long_run, interrupts_that_use_the_fpu)
{
	double pi;

	ASSERT_EQ(0, fpu_users());
	for (int round = 0; round < 3; round++) {
		long long uses = test_read_number(USES);

		fill(self->guests, REGISTERS, &self->seed);
		fill(self->mine, REGISTERS, &self->seed);
		ASSERT_VMX(START(&self->vcpu, long_guest, self->guests, TURNS));
		ASSERT_EQ(0, run(&self->vcpu, self->mine));
		ASSERT_EQ(VMX_REASON_HLT, self->vcpu.run->reason) {
			TH_LOG("%s", test_describe(&self->vcpu));
		}
		EXPECT_TRUE(guest_kept(&self->vm, self->guests, XMM_SIZE));
		EXPECT_TRUE(kept(self->mine, XMM_SIZE));
		memcpy(&pi, test_at(&self->vm, TEST_DATA + 1024), sizeof(pi));
		EXPECT_TRUE(pi > 3.14159 && pi < 3.1416);
		EXPECT_LT(uses + 20, test_read_number(USES));
	}
	EXPECT_EQ(0, test_read_number(FOREIGN_XCR0));
}

static int set_xcr0(struct vmx_vcpu *vcpu, uint64_t xcr0)
{
	uint8_t area[8192] = { 0 };
	struct vmx_fpu fpu = {
		.size = sizeof(fpu), .area = (uintptr_t)area, .length = sizeof(area),
	};

	if (ioctl(vcpu->fd, VMX_GET_FPU, &fpu))
		return -errno;
	memset(area + XSAVE_HEADER, 0, 64);
	fpu.xcr0 = xcr0;
	return ioctl(vcpu->fd, VMX_SET_FPU, &fpu) ? -errno : 0;
}

/* The guest's XCR0 is another than the host's, or the same. */
TEST_F(long_run, interrupts_and_avx)
{
	static const uint64_t xcr0s[] = { 7, 3, 1 };

	NEED(VMX_HAS_XSAVE);
	if (!__builtin_cpu_supports("avx"))
		SKIP(return, "the CPU has no AVX");
	ASSERT_EQ(0, fpu_users());
	for (size_t n = 0; n < TEST_COUNT(xcr0s); n++) {
		bool ymm = xcr0s[n] & 4;

		fill(self->guests, REGISTERS, &self->seed);
		fill(self->mine, REGISTERS, &self->seed);
		ASSERT_EQ(0, set_xcr0(&self->vcpu, xcr0s[n]));
		ASSERT_VMX(ymm ? START(&self->vcpu, long_ymm_guest, self->guests, TURNS)
			       : START(&self->vcpu, long_guest, self->guests, TURNS));
		ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_CR4, 0, CR4_OSXSAVE));
		ASSERT_EQ(0, run_ymm(&self->vcpu, self->mine));
		ASSERT_EQ(VMX_REASON_HLT, self->vcpu.run->reason) {
			TH_LOG("%s", test_describe(&self->vcpu));
		}
		EXPECT_TRUE(guest_kept(&self->vm, self->guests, ymm ? REGISTERS : XMM_SIZE));
		EXPECT_TRUE(kept(self->mine, REGISTERS));
	}
	EXPECT_EQ(0, test_read_number(FOREIGN_XCR0));
}

TEST_F(long_run, registers_are_what_get_and_set_say)
{
	uint8_t area[8192];
	struct vmx_fpu fpu = {
		.size = sizeof(fpu), .area = (uintptr_t)area, .length = sizeof(area),
	};

	ASSERT_EQ(0, fpu_users());
	fill(self->guests, REGISTERS, &self->seed);
	fill(self->mine, REGISTERS, &self->seed);
	ASSERT_VMX(START(&self->vcpu, long_guest, self->guests, TURNS));
	ASSERT_EQ(0, run(&self->vcpu, self->mine));
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_GET_FPU, &fpu));
	EXPECT_EQ(0, memcmp(self->guests, area + FX_XMM, XMM_SIZE));
	fill(self->guests, REGISTERS, &self->seed);
	memcpy(area + FX_XMM, self->guests, XMM_SIZE);
	fpu.length = fpu.needed;
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_SET_FPU, &fpu));
	ASSERT_VMX(START(&self->vcpu, late_store_guest, self->guests, TURNS));
	ASSERT_EQ(0, run(&self->vcpu, self->mine));
	EXPECT_TRUE(guest_kept(&self->vm, self->guests, XMM_SIZE));
	EXPECT_TRUE(kept(self->mine, XMM_SIZE));
}

static void change_registers(int signal)
{
	asm volatile(EACH(CHANGE) : : : ALL_XMM);
}

/*
 * RUN ends again and again, and the handler of the process uses registers. Each RUN has
 * a ms more than the last: on slow kernels the first ones end before the guest is entered,
 * or the signal comes before RUN, which then lasts until the guest ends.
 */
TEST_F(long_run, signals)
{
	struct itimerval once = { .it_value = { 0, 5000 } };
	const struct itimerval never = { 0 };
	const struct sigaction action = { .sa_handler = change_registers };
	int interrupted = 0;
	long ret;

	ASSERT_EQ(0, fpu_users());
	fill(self->guests, REGISTERS, &self->seed);
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	for (int guests = 0; interrupted <= 3 && guests < 30; guests++) {
		ASSERT_VMX(START(&self->vcpu, long_guest, self->guests, 4 * TURNS));
		do {
			fill(self->mine, REGISTERS, &self->seed);
			ASSERT_EQ(0, setitimer(ITIMER_REAL, &once, NULL));
			once.it_value.tv_usec += 1000;
			ret = run(&self->vcpu, self->mine);
			ASSERT_TRUE(kept(self->mine, XMM_SIZE));
			interrupted += ret == -EINTR;
		} while (ret == -EINTR);
		setitimer(ITIMER_REAL, &never, NULL);
		ASSERT_EQ(0, ret);
		ASSERT_EQ(VMX_REASON_HLT, self->vcpu.run->reason);
		EXPECT_TRUE(guest_kept(&self->vm, self->guests, XMM_SIZE));
	}
	EXPECT_LT(3, interrupted);
}

struct other {
	uint8_t registers[2 * REGISTERS];
	unsigned long rounds, wrong;
	bool stop;
};

/* A thread that has its own in the registers all the time. */
static void *use_registers(void *arg)
{
	struct other *other = arg;
	uint64_t seed = 1;

	test_pin(0);
	while (!__atomic_load_n(&other->stop, __ATOMIC_RELAXED)) {
		fill(other->registers, REGISTERS, &seed);
		asm volatile("mov %0, %%rbx\n"
			     EACH(LOAD_OWN)
			     "mov $10000, %%ecx\n"
			     "1: dec %%ecx\n"
			     "jnz 1b\n"
			     EACH(STORE_OWN)
			     : : "r" (other->registers) : "rbx", "rcx", "memory", ALL_XMM);
		other->wrong += !kept(other->registers, XMM_SIZE);
		__atomic_fetch_add(&other->rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

TEST_F(long_run, other_threads)
{
	struct other other = { 0 };
	pthread_t thread;

	fill(self->guests, REGISTERS, &self->seed);
	fill(self->mine, REGISTERS, &self->seed);
	ASSERT_EQ(0, pthread_create(&thread, NULL, use_registers, &other));
	for (int round = 0; round < 3; round++) {
		ASSERT_VMX(START(&self->vcpu, long_guest, self->guests, 5 * TURNS));
		ASSERT_EQ(0, run(&self->vcpu, self->mine));
		ASSERT_EQ(VMX_REASON_HLT, self->vcpu.run->reason);
		EXPECT_TRUE(guest_kept(&self->vm, self->guests, XMM_SIZE));
		EXPECT_TRUE(kept(self->mine, XMM_SIZE));
	}
	other.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, other.wrong);
	EXPECT_LT(0, other.rounds);
}

TEST_F(long_run, two_guests_of_a_thread)
{
	uint8_t theirs[REGISTERS];
	struct vmx_vcpu other;
	struct vmx_vm vm;

	ASSERT_VMX(vmx_vm_open(&vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&other, &vm));
	ASSERT_EQ(0, fpu_users());
	fill(self->guests, REGISTERS, &self->seed);
	fill(theirs, REGISTERS, &self->seed);
	fill(self->mine, REGISTERS, &self->seed);
	ASSERT_VMX(START(&self->vcpu, long_guest, self->guests, TURNS));
	ASSERT_VMX(START(&other, long_guest, theirs, TURNS));
	ASSERT_EQ(0, run(&self->vcpu, self->mine));
	EXPECT_TRUE(kept(self->mine, XMM_SIZE));
	ASSERT_EQ(0, run(&other, self->mine));
	EXPECT_TRUE(kept(self->mine, XMM_SIZE));
	ASSERT_VMX(START(&self->vcpu, store_guest, self->guests, 0));
	ASSERT_VMX(START(&other, store_guest, theirs, 0));
	ASSERT_EQ(0, run(&self->vcpu, self->mine));
	ASSERT_EQ(0, run(&other, self->mine));
	EXPECT_TRUE(guest_kept(&self->vm, self->guests, XMM_SIZE));
	EXPECT_TRUE(guest_kept(&vm, theirs, XMM_SIZE));
	vmx_vcpu_close(&other);
	vmx_vm_close(&vm);
}

/* A process of its own, with a guest that does not end. */
static void be_traced(const uint8_t *pattern)
{
	const struct itimerval in_20_ms = { .it_value = { 0, 20000 } };
	static uint8_t mine[2 * REGISTERS];
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;

	memcpy(mine, pattern, REGISTERS);
	if (vmx_vm_open(&vm, TEST_RAM) || vmx_vcpu_open(&vcpu, &vm) ||
	    START(&vcpu, long_guest, mine + 8, 0) || ptrace(PTRACE_TRACEME, 0, 0, 0) ||
	    setitimer(ITIMER_REAL, &in_20_ms, NULL))
		_exit(2);
	run(&vcpu, mine);
	_exit(3);
}

/* Who traces the process sees its registers, whatever it was doing. */
TEST_F(long_run, tracers_see_the_process)
{
	struct user_fpregs_struct registers;
	pid_t child;
	int status;

	fill(self->mine, REGISTERS, &self->seed);
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		be_traced(self->mine);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status)) {
		TH_LOG("status %#x", status);
	}
	EXPECT_EQ(SIGALRM, WSTOPSIG(status));
	EXPECT_EQ(0, ptrace(PTRACE_GETFPREGS, child, 0, &registers));
	EXPECT_EQ(0, memcmp(self->mine, registers.xmm_space, XMM_SIZE));
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
}

/* Times that another thread had the CPU: the registers are loaded again, or RUN starts again. */
static long switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw + usage.ru_nivcsw;
}

/*
 * One load for each time that interrupts are let in, or none where the kernel
 * lends an FPU state; one for each switch; and some for the beginning.
 */
static uint64_t most_loads(const char *lend, uint64_t times, long switches)
{
	return (lent(lend) ? times / 10 : times) + switches + 10;
}

TEST_F(long_run, loads_for_interrupts)
{
	struct vmx_vm_stats before, after;
	uint64_t interrupts;
	long switched;

	ASSERT_EQ(0, system("modprobe vmx_fpu_user period_us=200 use=0"));
	fill(self->guests, REGISTERS, &self->seed);
	ASSERT_VMX(START(&self->vcpu, long_guest, self->guests, 2 * TURNS));
	before = stats(&self->vm);
	switched = switches();
	ASSERT_EQ(0, run(&self->vcpu, self->mine));
	switched = switches() - switched;
	after = stats(&self->vm);
	interrupts = after.exits[VMX_REASON_EXTERNAL_INTERRUPT] -
		     before.exits[VMX_REASON_EXTERNAL_INTERRUPT];
	EXPECT_LT(50, interrupts);
	EXPECT_GE(most_loads(variant->lend, interrupts, switched),
		  after.fpu_swaps - before.fpu_swaps) {
		TH_LOG("%llu loads for %llu interrupts and %ld switches",
		       (unsigned long long)(after.fpu_swaps - before.fpu_swaps),
		       (unsigned long long)interrupts, switched);
	}
}

TEST_F(long_run, loads_for_faults)
{
	struct vmx_vm_stats before, after;
	uint64_t faults, interrupts;
	long switched;

	ASSERT_EQ(0, madvise(test_at(&self->vm, 0x100000), PAGES * 4096, MADV_DONTNEED));
	fill(self->guests, REGISTERS, &self->seed);
	fill(self->mine, REGISTERS, &self->seed);
	ASSERT_VMX(START(&self->vcpu, touch_guest, self->guests, PAGES));
	before = stats(&self->vm);
	switched = switches();
	ASSERT_EQ(0, run(&self->vcpu, self->mine));
	switched = switches() - switched;
	after = stats(&self->vm);
	ASSERT_EQ(VMX_REASON_HLT, self->vcpu.run->reason) {
		TH_LOG("%s", test_describe(&self->vcpu));
	}
	EXPECT_TRUE(guest_kept(&self->vm, self->guests, XMM_SIZE));
	EXPECT_TRUE(kept(self->mine, XMM_SIZE));
	faults = after.faults - before.faults;
	interrupts = after.exits[VMX_REASON_EXTERNAL_INTERRUPT] -
		     before.exits[VMX_REASON_EXTERNAL_INTERRUPT];
	EXPECT_LE(PAGES, faults + 1);
	/* Some faults take two attempts, the second of which sleeps. */
	EXPECT_GE(most_loads(variant->lend, 2 * faults + interrupts, switched),
		  after.fpu_swaps - before.fpu_swaps) {
		TH_LOG("%llu loads for %llu faults, %llu interrupts and %ld switches",
		       (unsigned long long)(after.fpu_swaps - before.fpu_swaps),
		       (unsigned long long)faults, (unsigned long long)interrupts, switched);
	}
}

VMX_TEST_MAIN
