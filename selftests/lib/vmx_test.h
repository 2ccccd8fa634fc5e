/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the tests: features of the CPU that they need, guest code, a VM
 * with one vCPU as a fixture, and assertions about exits.
 */
#ifndef VMX_TEST_H
#define VMX_TEST_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libvmx.h>

#include "kselftest_harness.h"
#include "vmx_test_lib.h"

/*
 * Seconds a case may take that says nothing else. An emulator's are made of
 * instructions, 50 million each, and kernels that check everything need many.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 120

#define TEST_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Guest code that lies in the test's file, next to what is expected of it:
 * GUEST64(name, "text"). It is position-independent and is loaded at TEST_CODE.
 */
#define GUEST_CODE(bits, name, text)					\
	asm(".pushsection .rodata." #name ", \"a\"\n"			\
	    ".code" #bits "\n"						\
	    #name ":\n"							\
	    text "\n"							\
	    #name "_end:\n"						\
	    ".code64\n"							\
	    ".popsection\n");						\
	extern const unsigned char name[], name##_end[]
#define GUEST16(name, text) GUEST_CODE(16, name, text)
#define GUEST32(name, text) GUEST_CODE(32, name, text)
#define GUEST64(name, text) GUEST_CODE(64, name, text)

#define VMX_TEST_MAIN							\
	int main(int argc, char **argv)					\
	{								\
		test_require_vmx();					\
		return test_harness_run(argc, argv);			\
	}

/* Skips the test where the CPU lacks one of the features. */
#define NEED(features) do {						\
	const char *missing_ = test_missing(features);			\
									\
	if (missing_)							\
		SKIP(return, "%s", missing_);				\
} while (0)

/*
 * Variants of a fixture, whose setup looks at them: with EPT, and with shadow page tables. A test
 * may add some whose guests have bits of CR0 set.
 */
#define EVERY_MMU_OF(fixture)						\
	FIXTURE_VARIANT(fixture) {					\
		enum vmx_mmu_kind mmu;					\
		uint64_t needs;						\
		uint64_t cr0;						\
	};								\
	FIXTURE_VARIANT_ADD(fixture, ept) {				\
		.mmu = VMX_MMU_EPT, .needs = VMX_HAS_EPT,		\
	};								\
	FIXTURE_VARIANT_ADD(fixture, shadow) { .mmu = VMX_MMU_SHADOW }

/* For calls of libvmx: 0, or the sentence that says why not. */
#define ASSERT_VMX(call)						\
	ASSERT_EQ(0, (call)) { TH_LOG(#call ": %s", vmx_error()); }

/* An ioctl that must fail with an errno. */
#define ASSERT_ERRNO(error, call) do {					\
	errno = 0;							\
	ASSERT_EQ(-1, (call));						\
	ASSERT_EQ(error, errno) { TH_LOG(#call); }			\
} while (0)
#define EXPECT_ERRNO(error, call) do {					\
	errno = 0;							\
	EXPECT_EQ(-1, (call));						\
	EXPECT_EQ(error, errno) { TH_LOG(#call); }			\
} while (0)

/* Runs to the next exit, whose reason must be this one. */
#define ASSERT_EXIT(vcpu, want) do {					\
	struct vmx_vcpu *vcpu_ = (vcpu);				\
									\
	ASSERT_VMX(vmx_run(vcpu_));					\
	ASSERT_EQ((uint32_t)(want), vcpu_->run->reason) {		\
		TH_LOG("%s", test_describe(vcpu_));			\
	}								\
} while (0)

/* Lets the instruction that exited be done, then the same. */
#define ASSERT_NEXT_EXIT(vcpu, want) do {				\
	(vcpu)->run->retire = 1;					\
	ASSERT_EXIT(vcpu, want);					\
} while (0)

/* The exit must be the start of a handler of test_set_idt(). */
#define ASSERT_EVENT(vcpu, vector, error) do {				\
	ASSERT_EXIT(vcpu, VMX_REASON_VMCALL);				\
	ASSERT_EQ((uint64_t)(vector), (vcpu)->run->regs[VMX_RDI]);	\
	ASSERT_EQ((uint64_t)(error), (vcpu)->run->regs[VMX_RSI]);	\
} while (0)

#endif /* VMX_TEST_H */
