// SPDX-License-Identifier: GPL-2.0
/*
 * Creates, runs and destroys a thousand VMs of each kind: the use of memory does not grow.
 *
 * limit: 40G
 */
#include "lib/vmx_test.h"

#define WARM_UP	20
#define VMS	1000

GUEST64(touch_guest, "mov $0x100000, %eax\n mov %rax, (%rax)\n cpuid\n hlt");

/* What the kernel allocates for itself, by /proc/meminfo; in KiB. */
static const char *const kinds[] = {
	"SUnreclaim:", "KernelStack:", "PageTables:", "SecPageTables:", "VmallocUsed:", "Percpu:",
};

static void read_meminfo(long *kib)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char name[64];
	long value;

	memset(kib, 0, sizeof(*kib) * TEST_COUNT(kinds));
	while (file && fscanf(file, "%63s %ld%*[^\n]", name, &value) == 2)
		for (size_t n = 0; n < TEST_COUNT(kinds); n++)
			if (!strcmp(name, kinds[n]))
				kib[n] = value;
	if (file)
		fclose(file);
}

/*
 * A twentieth of what the smallest leak of all VMs would be. KASAN and kmemleak
 * keep memory of their own; where they are, kmemleak finds what leaks.
 */
static long slack_kib(void)
{
	return access("/sys/kernel/debug/kmemleak", F_OK) ? VMS * 4 / 20 : 64 * 1024;
}

static int one_vm(enum vmx_mmu_kind mmu)
{
	const struct vmx_cpuid_entry cpuid = { .leaf = 0 };
	const struct vmx_msr msr = { .index = 0xc0000082, .policy = VMX_MSR_PASSTHROUGH };
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;
	int ret = vmx_vm_open_mmu(&vm, TEST_RAM, mmu);

	if (ret)
		return ret;
	ret = vmx_vcpu_open(&vcpu, &vm);
	if (ret)
		return ret;
	ret = test_start(&vcpu, VMX_MODE_LONG, touch_guest);
	if (!ret)
		ret = test_set_cpuid(&vcpu, &cpuid, 1);
	if (!ret)
		ret = test_set_msrs(&vcpu, &msr, 1, NULL);
	if (!ret)
		ret = vmx_run(&vcpu);
	vmx_vcpu_close(&vcpu);
	vmx_vm_close(&vm);
	return ret;
}

FIXTURE(leak) {
};

EVERY_MMU_OF(leak);

FIXTURE_SETUP(leak)
{
	NEED(variant->needs);
}

FIXTURE_TEARDOWN(leak)
{
}

TEST_F_TIMEOUT(leak, a_thousand_vms, 1200)
{
	long before[TEST_COUNT(kinds)], after[TEST_COUNT(kinds)];
	struct vmx_vm other;

	/* Each of these switches VMX on and off, for which the kernel takes its time. */
	for (int n = 0; n < WARM_UP; n++) {
		ASSERT_VMX(one_vm(variant->mmu));
	}
	ASSERT_VMX(vmx_vm_open(&other, TEST_RAM));
	read_meminfo(before);
	for (int n = 0; n < VMS; n++) {
		ASSERT_VMX(one_vm(variant->mmu));
		if (n % (VMS / 10) == 0)
			TH_LOG("%d VMs", n);
	}
	read_meminfo(after);
	vmx_vm_close(&other);
	for (size_t n = 0; n < TEST_COUNT(kinds); n++) {
		TH_LOG("%s %ld -> %ld KiB", kinds[n], before[n], after[n]);
		EXPECT_GE(before[n] + slack_kib(), after[n]);
	}
}

VMX_TEST_MAIN
