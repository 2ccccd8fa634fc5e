// SPDX-License-Identifier: GPL-2.0
/*
 * KVM before, after and beside the module: the owner of VMX keeps it, the other
 * gets an error, and takes over when VMX is free.
 *
 * KVM complains in the kernel log when it finds VMX on:
 * expect-log: WARNING: .* cpu_emergency_(un)?register_virt_callback
 *
 * Loading a stock kernel's KVM takes a thousand million instructions:
 * limit: 20G
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/wait.h>

#include "lib/vm_fixture.h"

GUEST64(hlt_guest, "hlt");

/* Runs a command; its exit status. */
static int command(const char *text)
{
	int status = system(text);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void unload_kvm(void)
{
	command("rmmod kvm_intel 2>/dev/null; rmmod kvm 2>/dev/null");
}

static int load_kvm(bool virt_at_load)
{
	char text[128];

	/* Kernels before 6.12 take VMX with the first VM, and ignore the parameter. */
	snprintf(text, sizeof(text),
		 "modprobe kvm enable_virt_at_load=%d 2>/dev/null; modprobe kvm_intel 2>/dev/null",
		 virt_at_load);
	return command(text);
}

/* Whether KVM has VMX by being loaded. */
static bool kvm_takes_vmx_at_load(void)
{
	char text[2] = "";
	int fd = open("/sys/module/kvm/parameters/enable_virt_at_load", O_RDONLY);

	if (fd < 0)
		return false;
	if (read(fd, text, 1) != 1)
		text[0] = 0;
	close(fd);
	return text[0] == 'Y';
}

struct kvm {
	int dev, vm, vcpu;
	uint8_t *page;
	struct kvm_run *run;
	size_t run_size;
};

static const struct kvm no_kvm = { .dev = -1, .vm = -1, .vcpu = -1 };

/* A mapping keeps its module in use like a descriptor does. */
static void kvm_close(struct kvm *kvm)
{
	if (kvm->run)
		munmap(kvm->run, kvm->run_size);
	close(kvm->vcpu);
	close(kvm->vm);
	close(kvm->dev);
	*kvm = no_kvm;
}

/* A KVM guest that halts again and again, at the reset vector. */
static int kvm_open(struct kvm *kvm)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = 0xfffff000, .memory_size = 4096,
	};

	*kvm = no_kvm;
	kvm->dev = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm->dev < 0)
		return -errno;
	kvm->vm = ioctl(kvm->dev, KVM_CREATE_VM, 0);
	if (kvm->vm < 0)
		return -errno;
	kvm->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(kvm->page + 0xff0, "\xf4\xeb\xfd", 3);	/* 1: hlt; jmp 1b */
	region.userspace_addr = (uintptr_t)kvm->page;
	if (ioctl(kvm->vm, KVM_SET_TSS_ADDR, 0xfffbd000) ||
	    ioctl(kvm->vm, KVM_SET_USER_MEMORY_REGION, &region))
		return -errno;
	kvm->vcpu = ioctl(kvm->vm, KVM_CREATE_VCPU, 0);
	if (kvm->vcpu < 0)
		return -errno;
	kvm->run_size = ioctl(kvm->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	kvm->run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, kvm->vcpu, 0);
	if (kvm->run != MAP_FAILED)
		return 0;
	kvm->run = NULL;
	return -errno;
}

static bool kvm_runs(struct kvm *kvm)
{
	return !ioctl(kvm->vcpu, KVM_RUN, 0) && kvm->run->exit_reason == KVM_EXIT_HLT;
}

FIXTURE(kvm) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	struct kvm kvm;
};

FIXTURE_SETUP(kvm)
{
	NEED(VMX_HAS_EPT);
	if (load_kvm(false)) {
		unload_kvm();
		SKIP(return, "this kernel has no KVM modules");
	}
	unload_kvm();
	self->kvm = no_kvm;
}

FIXTURE_TEARDOWN(kvm)
{
	kvm_close(&self->kvm);
	unload_kvm();
}

static int open_ours(struct vmx_vm *vm, struct vmx_vcpu *vcpu)
{
	int ret = vmx_vm_open(vm, TEST_RAM);

	if (!ret)
		ret = vmx_vcpu_open(vcpu, vm);
	return ret ? ret : test_start(vcpu, VMX_MODE_LONG, hlt_guest);
}

static void close_ours(struct vmx_vm *vm, struct vmx_vcpu *vcpu)
{
	vmx_vcpu_close(vcpu);
	vmx_vm_close(vm);
}

/* The end of the kernel log from where it was opened. */
static bool log_has(int kmsg, const char *text)
{
	char record[8192];
	bool found = false;
	ssize_t n;

	while ((n = read(kmsg, record, sizeof(record) - 1)) > 0) {
		record[n] = 0;
		found |= strstr(record, "vmx") && strstr(record, text);
	}
	return found;
}

/* KVM has VMX: we are refused, say why and how to get out, and it goes on. */
TEST_F_TIMEOUT(kvm, before, 300)
{
	int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	ASSERT_LE(0, kmsg);
	lseek(kmsg, 0, SEEK_END);
	ASSERT_EQ(0, load_kvm(true));
	ASSERT_EQ(0, kvm_open(&self->kvm));
	EXPECT_EQ(-EBUSY, vmx_vm_open(&self->vm, TEST_RAM));
	EXPECT_NE(NULL, strstr(vmx_error(), "kvm_intel")) { TH_LOG("%s", vmx_error()); }
	EXPECT_TRUE(log_has(kmsg, "kvm_intel"));
	EXPECT_TRUE(kvm_runs(&self->kvm));
	kvm_close(&self->kvm);
	if (kvm_takes_vmx_at_load()) {
		EXPECT_EQ(-EBUSY, vmx_vm_open(&self->vm, TEST_RAM));
	}

	unload_kvm();
	ASSERT_VMX(open_ours(&self->vm, &self->vcpu));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	close_ours(&self->vm, &self->vcpu);
	close(kmsg);
}

/* We have it: KVM is refused, by us or by its own look at CR4, and we go on. */
TEST_F_TIMEOUT(kvm, after, 300)
{
	ASSERT_VMX(open_ours(&self->vm, &self->vcpu));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	load_kvm(true);
	EXPECT_NE(0, kvm_open(&self->kvm));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	kvm_close(&self->kvm);
	unload_kvm();
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	close_ours(&self->vm, &self->vcpu);

	/* And when we are done it works as if we had never been. */
	ASSERT_EQ(0, load_kvm(true));
	ASSERT_EQ(0, kvm_open(&self->kvm));
	EXPECT_TRUE(kvm_runs(&self->kvm));
}

/* Both loaded: who comes first has it, as often as they like. */
TEST_F_TIMEOUT(kvm, beside, 300)
{
	ASSERT_EQ(0, load_kvm(false));
	if (kvm_takes_vmx_at_load())
		SKIP(return, "KVM takes VMX at load, whatever it is told");
	for (int n = 0; n < 5; n++) {
		ASSERT_VMX(open_ours(&self->vm, &self->vcpu));
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		close_ours(&self->vm, &self->vcpu);
		ASSERT_EQ(0, kvm_open(&self->kvm));
		EXPECT_TRUE(kvm_runs(&self->kvm));
		EXPECT_EQ(-EBUSY, vmx_vm_open(&self->vm, TEST_RAM));
		EXPECT_TRUE(kvm_runs(&self->kvm));
		kvm_close(&self->kvm);
	}
}

VMX_TEST_MAIN
