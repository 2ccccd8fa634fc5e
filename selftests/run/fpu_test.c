// SPDX-License-Identifier: GPL-2.0
/* FPU state: the guest's survives exits, the process's survives guests. */
#include <sched.h>

#include "lib/vm_fixture.h"

#define FXSAVE_SIZE	512
#define XSAVE_HEADER	512
#define XSAVE_YMM	576
#define FX_MXCSR	24
#define FX_XMM		160
#define CR4_OSXSAVE	(1 << 18)

/* Fills XMM0 to XMM15 from TEST_DATA, exits, stores them behind, halts. */
#define EACH_XMM(macro)							\
	macro(0) macro(1) macro(2) macro(3) macro(4) macro(5) macro(6) macro(7)	\
	macro(8) macro(9) macro(10) macro(11) macro(12) macro(13) macro(14) macro(15)
#define LOAD(n) "movups " #n "*16(%rbx), %xmm" #n "\n"
#define STORE(n) "movups %xmm" #n ", 256+" #n "*16(%rbx)\n"
/* The same in an extended asm of the process. */
#define LOAD_OWN(n) "movups " #n "*16(%%rbx), %%xmm" #n "\n"
#define STORE_OWN(n) "movups %%xmm" #n ", 256+" #n "*16(%%rbx)\n"
#define ALL_XMM "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",	\
		"xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
GUEST64(xmm_guest,
	"mov $0x20000, %ebx\n"
	EACH_XMM(LOAD)
	"vmcall\n"
	EACH_XMM(STORE)
	"hlt");

GUEST64(load_guest, "mov $0x20000, %ebx\n" EACH_XMM(LOAD) "hlt");
GUEST64(store_guest, "mov $0x20000, %ebx\n" EACH_XMM(STORE) "hlt");

GUEST64(control_guest,
	"mov $0x20000, %ebx\n"
	"fnstcw (%rbx)\n"
	"stmxcsr 4(%rbx)\n"
	"fninit\n"
	"fldpi\n"
	"movl $0x7f80, 8(%rbx)\n"
	"ldmxcsr 8(%rbx)\n"
	"vmcall\n"
	"fstpl 16(%rbx)\n"
	"stmxcsr 12(%rbx)\n"
	"hlt");

GUEST64(ymm_guest,
	"mov $0x20000, %ebx\n"
	"vmovups (%rbx), %ymm5\n"
	"vmcall\n"
	"vmovups %ymm5, 256(%rbx)\n"
	"hlt");

static void fill(struct vmx_vm *vm, uint8_t *pattern, uint64_t *seed)
{
	for (size_t n = 0; n < 256; n += 8) {
		uint64_t value = test_random(seed);

		memcpy(pattern + n, &value, 8);
	}
	memcpy(test_at(vm, TEST_DATA), pattern, 256);
}

static int fpu_io(struct vmx_vcpu *vcpu, unsigned long request, void *area, uint32_t length,
		  struct vmx_fpu *fpu)
{
	*fpu = (struct vmx_fpu){
		.size = sizeof(*fpu), .area = (uintptr_t)area, .length = length, .xcr0 = fpu->xcr0,
	};
	return ioctl(vcpu->fd, request, fpu) ? -errno : 0;
}

TEST_F(vm, guest_xmm_survive_exits)
{
	uint64_t seed = test_seed();
	uint8_t pattern[256], mine[256];

	for (int round = 0; round < 20; round++) {
		fill(&self->vm, pattern, &seed);
		ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, xmm_guest));
		ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
		/* The process uses its registers, and gives the CPU to others. */
		memset(mine, round, sizeof(mine));
		asm volatile("mov %0, %%rbx\n" EACH_XMM(LOAD_OWN)
			     : : "r" (mine) : "rbx", "memory", ALL_XMM);
		sched_yield();
		ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
		ASSERT_EQ(0, memcmp(pattern, test_at(&self->vm, TEST_DATA + 256), 256));
	}
}

/* What the compiler and the C library have in registers across the system call. */
TEST_F(vm, process_xmm_survive_guests)
{
	static uint8_t mine[512];
	uint64_t seed = test_seed();
	uint8_t pattern[256];
	long ret;

	for (int round = 0; round < 20; round++) {
		fill(&self->vm, pattern, &seed);
		ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, load_guest));
		for (int n = 0; n < 256; n++)
			mine[n] = test_random(&seed);
		asm volatile("mov %1, %%rbx\n"
			     EACH_XMM(LOAD_OWN)
			     "mov $16, %%eax\n"		/* ioctl() */
			     "syscall\n"
			     EACH_XMM(STORE_OWN)
			     : "=&a" (ret)
			     : "r" (mine), "D" (self->vcpu.fd), "S" (VMX_RUN), "d" (0)
			     : "rbx", "rcx", "r11", "memory", ALL_XMM);
		ASSERT_EQ(0, ret);
		ASSERT_EQ(VMX_REASON_HLT, self->run->reason);
		ASSERT_EQ(0, memcmp(mine, mine + 256, 256));
	}
}

TEST_F(vm, starts_as_after_power_up_and_keeps_x87)
{
	uint32_t data[6];
	double pi;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, control_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
	asm volatile("fninit");
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
	memcpy(data, test_at(&self->vm, TEST_DATA), sizeof(data));
	EXPECT_EQ(0x37f, data[0] & 0xffff);
	EXPECT_EQ(0x1f80, data[1]);
	EXPECT_EQ(0x7f80, data[3]);
	memcpy(&pi, test_at(&self->vm, TEST_DATA + 16), sizeof(pi));
	EXPECT_TRUE(pi > 3.14159 && pi < 3.1416);
}

TEST_F(vm, get_shows_what_the_guest_has)
{
	uint64_t seed = test_seed();
	struct vmx_fpu fpu = { 0 };
	uint8_t pattern[256];
	uint8_t area[8192];

	fill(&self->vm, pattern, &seed);
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, load_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	ASSERT_EQ(0, fpu_io(&self->vcpu, VMX_GET_FPU, area, sizeof(area), &fpu));
	EXPECT_EQ(0, memcmp(pattern, area + FX_XMM, 256));
	EXPECT_LE(FXSAVE_SIZE, fpu.needed);
	EXPECT_EQ(1, fpu.xcr0 & 1);
}

TEST_F(vm, set_is_what_the_guest_gets)
{
	uint64_t seed = test_seed();
	struct vmx_fpu fpu = { 0 };
	uint8_t pattern[256];
	uint8_t area[8192];

	ASSERT_EQ(0, fpu_io(&self->vcpu, VMX_GET_FPU, area, sizeof(area), &fpu));
	fill(&self->vm, pattern, &seed);
	memcpy(area + FX_XMM, pattern, 256);
	if (fpu.needed > FXSAVE_SIZE) {
		uint64_t components = 3;

		memset(area + XSAVE_HEADER, 0, 64);
		memcpy(area + XSAVE_HEADER, &components, 8);
		fpu.xcr0 = 3;
	}
	ASSERT_EQ(0, fpu_io(&self->vcpu, VMX_SET_FPU, area, fpu.needed, &fpu));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, store_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0, memcmp(pattern, test_at(&self->vm, TEST_DATA + 256), 256));
}

TEST_F(vm, guest_ymm_survive_exits)
{
	uint64_t seed = test_seed(), components = 7;
	struct vmx_fpu fpu = { .xcr0 = 7 };
	uint8_t pattern[256];
	uint8_t area[8192] = { 0 };
	uint32_t mxcsr = 0x1f80;

	NEED(VMX_HAS_XSAVE);
	if (!__builtin_cpu_supports("avx"))
		SKIP(return, "the CPU has no AVX");
	memcpy(area + FX_MXCSR, &mxcsr, 4);
	memcpy(area + XSAVE_HEADER, &components, 8);
	ASSERT_EQ(0, fpu_io(&self->vcpu, VMX_SET_FPU, area, XSAVE_YMM + 256, &fpu));
	fill(&self->vm, pattern, &seed);
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, ymm_guest));
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_CR4, 0, CR4_OSXSAVE));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
	asm volatile(".byte 0xc5, 0xfc, 0x77" : : : "memory");	/* vzeroall */
	ASSERT_EQ(0, fpu_io(&self->vcpu, VMX_GET_FPU, area, sizeof(area), &fpu));
	EXPECT_EQ(0, memcmp(pattern, area + FX_XMM + 5 * 16, 16));
	EXPECT_EQ(0, memcmp(pattern + 16, area + XSAVE_YMM + 5 * 16, 16));
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0, memcmp(pattern, test_at(&self->vm, TEST_DATA + 256), 32));
}

/* Two guests in one thread, exit by exit: neither sees the other's. */
TEST_F(vm, two_guests_keep_their_own)
{
	uint64_t seed = test_seed();
	uint8_t mine[256], theirs[256];
	struct vmx_vcpu other;
	struct vmx_vm vm;

	ASSERT_VMX(vmx_vm_open(&vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&other, &vm));
	fill(&self->vm, mine, &seed);
	fill(&vm, theirs, &seed);
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, xmm_guest));
	ASSERT_VMX(test_start(&other, VMX_MODE_LONG, xmm_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
	ASSERT_EXIT(&other, VMX_REASON_VMCALL);
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
	ASSERT_NEXT_EXIT(&other, VMX_REASON_HLT);
	EXPECT_EQ(0, memcmp(mine, test_at(&self->vm, TEST_DATA + 256), 256));
	EXPECT_EQ(0, memcmp(theirs, test_at(&vm, TEST_DATA + 256), 256));
	vmx_vcpu_close(&other);
	vmx_vm_close(&vm);
}

/* A guest has SSE without XSAVE, its XCR0 as it was at reset: what was read can be written. */
TEST_F(vm, sse_without_xsave)
{
	uint64_t seed = test_seed();
	uint8_t pattern[256], area[8192];
	struct vmx_fpu fpu;

	fill(&self->vm, pattern, &seed);
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, xmm_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
	ASSERT_EQ(0, fpu_io(&self->vcpu, VMX_GET_FPU, area, sizeof(area), &fpu));
	EXPECT_EQ(1, fpu.xcr0);
	area[FX_XMM] ^= 1;
	pattern[0] ^= 1;
	ASSERT_EQ(0, fpu_io(&self->vcpu, VMX_SET_FPU, area, fpu.needed, &fpu));
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0, memcmp(pattern, test_at(&self->vm, TEST_DATA + 256), 256));
}

TEST_F(vm, bad_states_are_refused)
{
	struct vmx_fpu fpu = { 0 }, good = { 0 };
	uint8_t area[8192], before[8192];
	uint32_t mxcsr = 0xffffffff;
	uint64_t bits;

	ASSERT_EQ(0, fpu_io(&self->vcpu, VMX_GET_FPU, before, sizeof(before), &good));
	memcpy(area, before, sizeof(area));
	EXPECT_EQ(-ENOSPC, fpu_io(&self->vcpu, VMX_GET_FPU, area, good.needed - 1, &fpu));
	EXPECT_EQ(good.needed, fpu.needed);

	fpu = good;
	memcpy(area + FX_MXCSR, &mxcsr, 4);
	EXPECT_EQ(-EINVAL, fpu_io(&self->vcpu, VMX_SET_FPU, area, good.needed, &fpu));
	memcpy(area, before, sizeof(area));
	EXPECT_EQ(-EINVAL, fpu_io(&self->vcpu, VMX_SET_FPU, area, 511, &fpu));
	EXPECT_EQ(-EFAULT, fpu_io(&self->vcpu, VMX_SET_FPU, (void *)8, good.needed, &fpu));
	fpu.xcr0 = 0;
	EXPECT_EQ(-EINVAL, fpu_io(&self->vcpu, VMX_SET_FPU, area, good.needed, &fpu));
	fpu.xcr0 = good.xcr0 | 1ull << 63;
	EXPECT_EQ(-EINVAL, fpu_io(&self->vcpu, VMX_SET_FPU, area, good.needed, &fpu));
	/* AMX tile data: a dynamic feature, which the guest must not turn on. */
	fpu.xcr0 = good.xcr0 | 3ull << 17;
	EXPECT_EQ(-EINVAL, fpu_io(&self->vcpu, VMX_SET_FPU, area, good.needed, &fpu));
	if (good.needed > FXSAVE_SIZE) {
		fpu = good;
		bits = 1ull << 62;
		memcpy(area + XSAVE_HEADER, &bits, 8);
		EXPECT_EQ(-EINVAL, fpu_io(&self->vcpu, VMX_SET_FPU, area, good.needed, &fpu));
		memcpy(area, before, sizeof(area));
		/* The compacted format is not the standard one. */
		memcpy(area + XSAVE_HEADER + 8, &bits, 8);
		EXPECT_EQ(-EINVAL, fpu_io(&self->vcpu, VMX_SET_FPU, area, good.needed, &fpu));
		bits = 1;
		memcpy(area, before, sizeof(area));
		memcpy(area + XSAVE_HEADER + 24, &bits, 8);
		EXPECT_EQ(-EINVAL, fpu_io(&self->vcpu, VMX_SET_FPU, area, good.needed, &fpu));
	}
	/* Nothing of it stuck. */
	ASSERT_EQ(0, fpu_io(&self->vcpu, VMX_GET_FPU, area, sizeof(area), &fpu));
	EXPECT_EQ(0, memcmp(before, area, good.needed));
	EXPECT_EQ(good.xcr0, fpu.xcr0);
}

VMX_TEST_MAIN
