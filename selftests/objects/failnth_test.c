// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation, and every copy from and to userspace, fails once. Each
 * ioctl then returns a documented errno or succeeds all the same, and has
 * no other effect.
 *
 * limit: 40G
 */
#include <fcntl.h>

#include "lib/ioctls.h"
#include "lib/vmx_test.h"

GUEST64(touch_guest, "mov $0x100000, %eax\n mov %rax, (%rax)\n hlt");

/* More failures than any operation has places for. */
#define NTH_MAX 400

static int fail_nth_fd = -1;

/* The kernel fails the Nth time, counted from now, that something can fail in this thread. */
static void arm(unsigned int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(fail_nth_fd, text, length, 0) != length)
		abort();
}

/*
 * Stops counting; whether something failed. Both calls copy too: if nothing else
 * did fail, one of them may. Then the count is at its end, and the next one works.
 */
static bool disarm(void)
{
	char text[16] = "";
	bool known = pread(fail_nth_fd, text, sizeof(text) - 1, 0) > 0;

	if (pwrite(fail_nth_fd, "0", 1, 0) != 1)
		arm(0);
	return known && !atoi(text);
}

/* Failures that are on by their nature, not by chance, and without a stack trace each. */
static void set_up_injection(void)
{
	static const char *const settings[][2] = {
		{ "failslab/ignore-gfp-wait", "N" },
		{ "failslab/cache-filter", "N" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	char path[128];

	for (size_t n = 0; n < TEST_COUNT(settings); n++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", settings[n][0]);
		test_write_file(path, settings[n][1]);
	}
}

FIXTURE(fail) {
	struct test_objects o;
	unsigned char *arg;
};

EVERY_MMU_OF(fail);

FIXTURE_SETUP(fail)
{
	NEED(variant->needs);
	fail_nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth_fd < 0)
		SKIP(return, "this kernel has no fault injection");
	set_up_injection();
	ASSERT_EQ(0, test_objects_open(&self->o, variant->mmu)) { TH_LOG("%s", vmx_error()); }
	self->arg = mmap(NULL, TEST_ARG_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	ASSERT_NE(MAP_FAILED, self->arg);
}

FIXTURE_TEARDOWN(fail)
{
	munmap(self->arg, TEST_ARG_SIZE);
	test_objects_close(&self->o);
	close(fail_nth_fd);
}

TEST_F_TIMEOUT(fail, every_ioctl, 600)
{
	for (const struct test_ioctl *call = test_ioctls; call < test_ioctls + test_ioctl_count;
	     call++) {
		unsigned int nth = 0, refused = 0;
		bool injected;
		int ret;

		if (!test_ioctl_possible(call, &self->o))
			continue;
		do {
			ASSERT_GT(NTH_MAX, ++nth) { TH_LOG("%s never succeeds", call->name); }
			test_ioctl_fill(call, &self->o, self->arg);
			arm(nth);
			ret = test_ioctl_do(call, self->o.fds[call->kind], self->arg);
			injected = disarm();
			if (ret) {
				refused++;
				EXPECT_TRUE(injected && (ret == -ENOMEM || ret == -EFAULT)) {
					TH_LOG("%s, failure %u: %d", call->name, nth, ret);
				}
			}
		} while (injected);
		EXPECT_EQ(0, ret) { TH_LOG("%s", call->name); }
		TH_LOG("%s: %u failures, %u refusals", call->name, nth - 1, refused);
	}
}

/* The life of a VM, whose first touches of memory allocate in RUN. */
static int life_of_a_vm(enum vmx_mmu_kind mmu)
{
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;
	int ret = vmx_vm_open_mmu(&vm, TEST_RAM, mmu);

	if (ret)
		return ret;
	ret = vmx_vcpu_open(&vcpu, &vm);
	if (!ret) {
		ret = test_start(&vcpu, VMX_MODE_LONG, touch_guest);
		if (!ret)
			ret = vmx_run(&vcpu);
		if (!ret && vcpu.run->reason != VMX_REASON_HLT)
			ret = -EPROTO;
		vmx_vcpu_close(&vcpu);
	}
	vmx_vm_close(&vm);
	return ret;
}

TEST_F_TIMEOUT(fail, life_of_a_vm, 600)
{
	unsigned int nth = 0;
	bool injected;
	int ret;

	do {
		ASSERT_GT(10 * NTH_MAX, ++nth);
		arm(nth);
		ret = life_of_a_vm(variant->mmu);
		injected = disarm();
		/* Opening, mapping and touching memory are among what fails. */
		EXPECT_TRUE(!ret || (injected && (ret == -ENOMEM || ret == -EFAULT ||
						  ret == -ENFILE || ret == -EMFILE))) {
			TH_LOG("failure %u: %d, %s", nth, ret, vmx_error());
		}
	} while (injected);
	EXPECT_EQ(0, ret);
	TH_LOG("%u failures", nth - 1);
}

VMX_TEST_MAIN
