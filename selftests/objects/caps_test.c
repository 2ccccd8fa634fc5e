// SPDX-License-Identifier: GPL-2.0
/* VMX_GET_CAPS against CPUID and the MSRs, and the rules of growing structs. */
#include <cpuid.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/wait.h>

#include "lib/vmx_test.h"

/* Each member of struct vmx_msr_caps is the MSR at this distance from 0x480. */
static const unsigned int msrs[] = {
	0x480, 0x481, 0x482, 0x483, 0x484, 0x485, 0x486, 0x487, 0x488, 0x489,
	0x48a, 0x48b, 0x48c, 0x48d, 0x48e, 0x48f, 0x490, 0x491, 0x492, 0x493,
};

FIXTURE(caps) {
	int fd;
	struct vmx_caps caps;
	bool vmx;
};

FIXTURE_SETUP(caps)
{
	unsigned int a, b, c = 0, d;

	self->fd = vmx_open(&self->caps);
	ASSERT_LE(0, self->fd) { TH_LOG("%s", vmx_error()); }
	__get_cpuid(1, &a, &b, &c, &d);
	self->vmx = c & 1 << 5;
}

FIXTURE_TEARDOWN(caps)
{
	close(self->fd);
}

TEST_F(caps, version)
{
	EXPECT_EQ(VMX_API_MAJOR, self->caps.api_major);
	EXPECT_EQ(VMX_API_MINOR, self->caps.api_minor);
}

TEST_F(caps, status_agrees_with_cpuid)
{
	EXPECT_EQ(self->vmx ? VMX_STATUS_OK : VMX_STATUS_NO_VMX, self->caps.status);
}

TEST_F(caps, physical_address_width)
{
	unsigned int a = 36, b, c, d;

	__get_cpuid(0x80000008, &a, &b, &c, &d);
	EXPECT_EQ(a & 0xff, self->caps.phys_bits);
}

TEST_F(caps, raw_msrs_are_the_cpus)
{
	const uint64_t *member = (const uint64_t *)&self->caps.msr;
	int fd = open("/dev/cpu/0/msr", O_RDONLY);

	if (fd < 0)
		SKIP(return, "this kernel has no /dev/cpu/0/msr");
	ASSERT_EQ(sizeof(self->caps.msr), sizeof(uint64_t) * TEST_COUNT(msrs));
	for (size_t n = 0; n < TEST_COUNT(msrs); n++) {
		uint64_t value = 0;

		/* An MSR that does not exist cannot be read, and is 0 in the caps. */
		if (pread(fd, &value, sizeof(value), msrs[n]) != sizeof(value))
			value = 0;
		EXPECT_EQ(value, member[n]) { TH_LOG("MSR %#x", msrs[n]); }
	}
	close(fd);
}

/* Bits that must be 1 for the CPU or the module, and may be 1 for both. */
static bool control_is_sane(struct vmx_control control, uint64_t msr)
{
	uint32_t must = msr, may = msr >> 32;

	return !(must & ~control.must) && !(control.may & ~may) && !(control.must & ~control.may);
}

TEST_F(caps, controls_lie_within_the_cpus)
{
	const struct vmx_msr_caps *msr = &self->caps.msr;
	bool exact = msr->basic & 1ull << 55;

	if (!self->vmx)
		SKIP(return, "the CPU has no VMX");
	EXPECT_TRUE(control_is_sane(self->caps.pin, exact ? msr->true_pin : msr->pin));
	EXPECT_TRUE(control_is_sane(self->caps.cpu, exact ? msr->true_cpu : msr->cpu));
	EXPECT_TRUE(control_is_sane(self->caps.exit, exact ? msr->true_exit : msr->exit));
	EXPECT_TRUE(control_is_sane(self->caps.entry, exact ? msr->true_entry : msr->entry));
	EXPECT_TRUE(control_is_sane(self->caps.cpu2, msr->cpu2));
}

/* What the module insists on for the host's sake, where the CPU has it. */
TEST_F(caps, controls_protect_the_host)
{
	const uint32_t pin = VMX_PIN_EXTERNAL_INTERRUPT_EXITING | VMX_PIN_NMI_EXITING;
	const uint32_t cpu = VMX_CPU_MWAIT_EXITING | VMX_CPU_MONITOR_EXITING |
			     VMX_CPU_RDPMC_EXITING | VMX_CPU_MOV_DR_EXITING;
	const uint32_t never2 = VMX_CPU2_PT_GUEST_PHYSICAL | VMX_CPU2_SUB_PAGE_WRITE |
				VMX_CPU2_EPT_VIOLATION_VE | VMX_CPU2_VMFUNC |
				VMX_CPU2_VIRTUALIZE_APIC | VMX_CPU2_VIRTUALIZE_X2APIC |
				VMX_CPU2_PASID_TRANSLATION;
	const uint32_t never_entry = VMX_ENTRY_CTL_ENTRY_TO_SMM |
				     VMX_ENTRY_CTL_DEACTIVATE_DUAL_MONITOR |
				     VMX_ENTRY_CTL_LOAD_RTIT | VMX_ENTRY_CTL_LOAD_LBR |
				     VMX_ENTRY_CTL_LOAD_UINV | VMX_ENTRY_CTL_LOAD_FRED;

	if (!self->vmx)
		SKIP(return, "the CPU has no VMX");
	EXPECT_EQ(pin, self->caps.pin.must & pin);
	EXPECT_EQ(cpu, self->caps.cpu.must & cpu);
	EXPECT_NE(0, self->caps.cpu.must & (VMX_CPU_IO_EXITING | VMX_CPU_IO_BITMAPS));
	EXPECT_EQ(0, self->caps.cpu.may & VMX_CPU_ACTIVATE_CPU3);
	EXPECT_EQ(0, self->caps.cpu2.may & never2);
	EXPECT_EQ(0, self->caps.entry.may & never_entry);
	EXPECT_EQ(0, self->caps.exit.may & VMX_EXIT_CTL_ACK_INTERRUPT);
	EXPECT_EQ(0, self->caps.pin.may & VMX_PIN_POSTED_INTERRUPTS);
}

TEST_F(caps, features_follow_from_the_msrs)
{
	const struct vmx_msr_caps *msr = &self->caps.msr;
	uint64_t cpu2 = msr->cpu2 >> 32, ept = msr->ept_vpid, want = 0;
	uint64_t efer = 1 << 15, exit_efer = 3 << 20, pat = 1 << 14, exit_pat = 3 << 18;
	unsigned int a, b, c = 0, d;

	if (!self->vmx)
		SKIP(return, "the CPU has no VMX");
	__get_cpuid(1, &a, &b, &c, &d);
	want |= cpu2 & VMX_CPU2_EPT ? VMX_HAS_EPT : 0;
	want |= cpu2 & VMX_CPU2_VPID ? VMX_HAS_VPID : 0;
	want |= cpu2 & VMX_CPU2_UNRESTRICTED_GUEST ? VMX_HAS_UNRESTRICTED : 0;
	want |= ept & 1 << 16 ? VMX_HAS_EPT_2M : 0;
	want |= ept & 1 << 17 ? VMX_HAS_EPT_1G : 0;
	want |= ept & 1 << 21 ? VMX_HAS_EPT_AD : 0;
	want |= ept & 1 << 0 ? VMX_HAS_EPT_EXEC_ONLY : 0;
	want |= ept & 1 << 7 ? VMX_HAS_EPT_5LEVEL : 0;
	want |= msr->pin >> 32 & VMX_PIN_PREEMPTION_TIMER ? VMX_HAS_PREEMPTION_TIMER : 0;
	want |= msr->pin >> 32 & VMX_PIN_VIRTUAL_NMIS ? VMX_HAS_VIRTUAL_NMI : 0;
	if (msr->entry >> 32 & efer && (msr->exit >> 32 & exit_efer) == exit_efer)
		want |= VMX_HAS_LOAD_EFER;
	if (msr->entry >> 32 & pat && (msr->exit >> 32 & exit_pat) == exit_pat)
		want |= VMX_HAS_LOAD_PAT;
	want |= c & 1 << 27 ? VMX_HAS_XSAVE : 0;
	want |= cpu2 & VMX_CPU2_SHADOW_VMCS ? VMX_HAS_SHADOW_VMCS : 0;
	want |= cpu2 & VMX_CPU2_PML ? VMX_HAS_PML : 0;
	want |= msr->vmfunc & 1 ? VMX_HAS_VMFUNC : 0;
	want |= cpu2 & VMX_CPU2_EPT_VIOLATION_VE ? VMX_HAS_VE : 0;
	want |= cpu2 & VMX_CPU2_MODE_BASED_EXEC ? VMX_HAS_MODE_EXEC : 0;
	/* Some models' timers have errata, and are left alone. */
	want &= ~VMX_HAS_PREEMPTION_TIMER | self->caps.features;
	EXPECT_EQ(want, self->caps.features);
	EXPECT_EQ(msr->misc & 0x1f, self->caps.timer_shift);
}

TEST_F(caps, create_vm_says_what_status_says)
{
	static const int errnos[] = { 0, ENODEV, EACCES, EOPNOTSUPP };
	struct vmx_create create = { .size = sizeof(create) };
	int fd;

	ASSERT_LT(self->caps.status, TEST_COUNT(errnos));
	errno = 0;
	fd = ioctl(self->fd, VMX_CREATE_VM, &create);
	EXPECT_EQ(errnos[self->caps.status], errno);
	EXPECT_EQ(self->caps.status == VMX_STATUS_OK, fd >= 0);
	close(fd);
}

/* A struct from the future: its tail must be zero and is left alone. */
TEST_F(caps, larger_struct)
{
	struct {
		struct vmx_caps caps;
		uint64_t tail[40];
	} big = { .caps.size = sizeof(big) };

	EXPECT_EQ(0, ioctl(self->fd, VMX_GET_CAPS, &big));
	EXPECT_EQ(sizeof(big), big.caps.size);
	EXPECT_EQ(0, big.tail[0]);
	EXPECT_EQ(self->caps.msr.basic, big.caps.msr.basic);

	for (size_t n = 0; n < TEST_COUNT(big.tail); n++) {
		memset(&big, 0, sizeof(big));
		big.caps.size = sizeof(big);
		big.tail[n] = 1ull << 63;
		EXPECT_ERRNO(E2BIG, ioctl(self->fd, VMX_GET_CAPS, &big));
		EXPECT_EQ(0, big.caps.msr.basic);
	}
}

TEST_F(caps, smaller_struct)
{
	struct vmx_caps caps = { .size = sizeof(caps) - 8 };

	EXPECT_ERRNO(EINVAL, ioctl(self->fd, VMX_GET_CAPS, &caps));
	caps.size = 0;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, VMX_GET_CAPS, &caps));
	EXPECT_EQ(0, caps.msr.basic);
}

TEST_F(caps, unknown_flag)
{
	struct vmx_caps caps = { .size = sizeof(caps), .flags = 1u << 31 };

	EXPECT_ERRNO(EOPNOTSUPP, ioctl(self->fd, VMX_GET_CAPS, &caps));
}

/* Whoever inherits the descriptor may look. */
TEST_F(caps, another_address_space)
{
	struct vmx_caps caps = { .size = sizeof(caps) };
	pid_t child = fork();
	int status;

	if (!child)
		_exit(ioctl(self->fd, VMX_GET_CAPS, &caps) ? 1 : 0);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* A CPU without VMX has capabilities too. */
int main(int argc, char **argv)
{
	test_require_device();
	return test_harness_run(argc, argv);
}
