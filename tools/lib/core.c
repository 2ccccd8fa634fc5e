// SPDX-License-Identifier: LGPL-2.1-or-later
/* Opens devices, VMs and vCPUs in order, and closes them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libvmx.h>

#include "internal.h"

#define PAGE_SIZE	4096ul
#define LARGE_PAGE	(2ul << 20)
#define RAM_HIGH	0x100000000ull	/* VMX_MEMORY_HIGH */

static __thread char sentence[512];

const char *vmx_error(void)
{
	return sentence;
}

int vmx_fail(int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	return -error;
}

/* Fails with errno, whose usual text follows what was being done. */
static int fail_errno(const char *doing)
{
	int error = errno;

	return vmx_fail(error, "%s: %s", doing, strerror(error));
}

int vmx_open(struct vmx_caps *caps)
{
	int fd = open("/dev/vmx", O_RDWR | O_CLOEXEC);
	int ret;

	if (fd < 0 && errno == ENOENT)
		return vmx_fail(ENOENT,
				"/dev/vmx does not exist: load the module (modprobe vmx, or insmod vmx.ko)");
	if (fd < 0 && errno == EACCES)
		return vmx_fail(EACCES,
				"no permission for /dev/vmx: see vmx(4), \"Who may use it\"");
	if (fd < 0)
		return fail_errno("cannot open /dev/vmx");

	*caps = (struct vmx_caps){ .size = sizeof(*caps) };
	if (!ioctl(fd, VMX_GET_CAPS, caps))
		return fd;
	ret = fail_errno("cannot read the capabilities (is the module older than this program?)");
	close(fd);
	return ret;
}

static int fail_create_vm(void)
{
	switch (errno) {
	case ENODEV:
		return vmx_fail(ENODEV, "this CPU has no VMX");
	case EACCES:
		return vmx_fail(EACCES, "the firmware locked VMX off (IA32_FEATURE_CONTROL): "
				"enable virtualization in its setup");
	case EBUSY:
		return vmx_fail(EBUSY, "another hypervisor has VMX on: unload kvm_intel, or boot "
				"with kvm.enable_virt_at_load=0 (the kernel log says more)");
	case EOPNOTSUPP:
		return vmx_fail(EOPNOTSUPP, "this CPU lacks a VMX feature that the module needs "
				"(the kernel log names it)");
	case EIO:
		return vmx_fail(EIO, "the CPU refused to switch VMX on (the kernel log says more)");
	}
	return fail_errno("cannot create a VM");
}

/*
 * Guest-physical 0 begins a large page, and so does what is behind it: the EPT can then map large
 * pages where the host has them.
 */
static void *map_ram(size_t size)
{
	char *ram = mmap(NULL, size + LARGE_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before = -(uintptr_t)ram % LARGE_PAGE;

	if (ram == MAP_FAILED)
		return NULL;
	if (before)
		munmap(ram, before);
	munmap(ram + before + size, LARGE_PAGE - before);
	return ram + before;
}

static int add_mmu(struct vmx_vm *vm, enum vmx_mmu_kind kind)
{
	struct vmx_create create = { .size = sizeof(create) };
	const bool ept = vm->caps.features & VMX_HAS_EPT;

	if (kind == VMX_MMU_EPT && !ept)
		return vmx_fail(EOPNOTSUPP, "this CPU has no EPT: use shadow page tables");
	if (kind == VMX_MMU_SHADOW || !ept) {
		vm->shadow = true;
		vm->caps.features &= ~(uint64_t)VMX_HAS_UNRESTRICTED;
	}
	vm->mmu = ioctl(vm->fd, vm->shadow ? VMX_CREATE_SHADOW : VMX_CREATE_EPT, &create);
	if (vm->mmu < 0)
		return fail_errno(vm->shadow ? "cannot create shadow page tables" :
					       "cannot create an EPT");
	return 0;
}

/* RAM and an mmu with nothing else in it. */
static int add_ram(struct vmx_vm *vm, size_t size, size_t low, enum vmx_mmu_kind kind)
{
	const uint32_t all = VMX_MMU_READ | VMX_MMU_WRITE | VMX_MMU_EXEC;
	const uint64_t end = low < size ? RAM_HIGH + (size - low) : size;
	int ret = add_mmu(vm, kind);

	if (ret)
		return ret;
	if (end > 1ull << vm->caps.phys_bits)
		return vmx_fail(EINVAL,
				"%zu MiB of RAM go past the %u physical-address bits of this CPU",
				size >> 20, vm->caps.phys_bits);
	vm->ram = map_ram(size);
	if (!vm->ram)
		return vmx_fail(errno, "cannot allocate %zu MiB of guest RAM: %s", size >> 20,
				strerror(errno));
	vm->ram_size = size;
	ret = vmx_vm_map(vm, 0, vm->ram, low < size ? low : size, all);
	if (!ret && low < size)
		ret = vmx_vm_map(vm, RAM_HIGH, vm->ram + low, size - low, all);
	return ret;
}

int vmx_vm_open_mmu(struct vmx_vm *vm, size_t ram_size, enum vmx_mmu_kind kind)
{
	return vmx_vm_open_split(vm, ram_size, ram_size, kind);
}

int vmx_vm_open_split(struct vmx_vm *vm, size_t ram_size, size_t low, enum vmx_mmu_kind kind)
{
	struct vmx_create create = { .size = sizeof(create) };
	int ret;

	*vm = (struct vmx_vm){ .fd = -1, .mmu = -1 };
	vm->dev = vmx_open(&vm->caps);
	if (vm->dev < 0)
		return vm->dev;

	vm->fd = ioctl(vm->dev, VMX_CREATE_VM, &create);
	ret = vm->fd < 0 ? fail_create_vm() : 0;
	if (!ret && ram_size)
		ret = add_ram(vm, ram_size, low, kind);
	if (ret)
		vmx_vm_close(vm);
	return ret;
}

int vmx_vm_open(struct vmx_vm *vm, size_t ram_size)
{
	return vmx_vm_open_mmu(vm, ram_size, VMX_MMU_AUTO);
}

/* Closes a descriptor once. */
static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vmx_vm_close(struct vmx_vm *vm)
{
	drop(&vm->mmu);
	drop(&vm->fd);
	drop(&vm->dev);
	if (vm->ram)
		munmap(vm->ram, vm->ram_size);
	vm->ram = NULL;
	vm->ram_size = 0;
}

int vmx_vm_map(struct vmx_vm *vm, uint64_t gpa, void *host, size_t length, uint32_t prot)
{
	struct vmx_mmu_map map = {
		.size = sizeof(map),
		.gpa = gpa,
		.uaddr = (uintptr_t)host,
		.length = length,
		.prot = prot,
		.memtype = VMX_MEMTYPE_WB,
	};
	int error;

	if (!ioctl(vm->mmu, VMX_MMU_MAP, &map))
		return 0;
	error = errno;
	return vmx_fail(error, "cannot map %zu bytes at guest-physical %#llx: %s", length,
			(unsigned long long)gpa, strerror(error));
}

int vmx_vm_invalidate(struct vmx_vm *vm, uint64_t gpa, size_t length)
{
	const uint64_t first = gpa & ~(PAGE_SIZE - 1);
	const uint64_t end = (gpa + length + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	struct vmx_mmu_range range = { .size = sizeof(range), .gpa = first, .length = end - first };

	return ioctl(vm->mmu, VMX_MMU_INVALIDATE, &range) ?
	       fail_errno("cannot have the guest's translations forgotten") : 0;
}

int vmx_vm_log(struct vmx_vm *vm, enum vmx_dirty_method method)
{
	struct vmx_mmu_log log = { .size = sizeof(log), .method = method };
	int ret;

	do
		ret = ioctl(vm->mmu, VMX_MMU_LOG, &log);
	while (ret && errno == EINTR);
	return ret ? fail_errno("cannot log what the guest writes") : 0;
}

int vmx_vm_dirty(struct vmx_vm *vm, uint64_t gpa, uint64_t length, uint64_t *bitmap)
{
	struct vmx_mmu_dirty dirty = { .size = sizeof(dirty) };

	/* A call ends early with a signal, between two words. */
	for (uint64_t done = 0; done < length; done += dirty.done) {
		dirty.gpa = gpa + done;
		dirty.length = length - done;
		dirty.bitmap = (uintptr_t)&bitmap[done / PAGE_SIZE / 64];
		if (ioctl(vm->mmu, VMX_MMU_DIRTY, &dirty) && errno != EINTR)
			return fail_errno("cannot read what the guest wrote");
	}
	return 0;
}

int vmx_vm_stats(struct vmx_vm *vm, struct vmx_vm_stats *stats)
{
	*stats = (struct vmx_vm_stats){ .size = sizeof(*stats) };
	return ioctl(vm->fd, VMX_VM_STATS, stats) ? fail_errno("cannot read the counters") : 0;
}

int vmx_vm_mmu_stats(struct vmx_vm *vm, struct vmx_mmu_stats *stats)
{
	*stats = (struct vmx_mmu_stats){ .size = sizeof(*stats) };
	return ioctl(vm->mmu, VMX_MMU_STATS, stats) ?
	       fail_errno("cannot read the mmu's counters") : 0;
}

int vmx_vmcs_open(struct vmx_vm *vm)
{
	struct vmx_create create = { .size = sizeof(create) };
	int fd = ioctl(vm->fd, VMX_CREATE_VMCS, &create);

	return fd < 0 ? fail_errno("cannot create a VMCS") : fd;
}

static int join_vcpu(struct vmx_vcpu *vcpu)
{
	struct vmx_create_vcpu create = {
		.size = sizeof(create),
		.vmcs_fd = vcpu->vmcs,
		.mmu_fd = vcpu->vm->mmu,
	};

	vcpu->fd = ioctl(vcpu->vm->fd, VMX_CREATE_VCPU, &create);
	if (vcpu->fd < 0)
		return fail_errno("cannot create a vCPU");
	vcpu->run = mmap(NULL, sizeof(*vcpu->run), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return fail_errno("cannot map the run page");
	}
	return 0;
}

int vmx_vcpu_open(struct vmx_vcpu *vcpu, struct vmx_vm *vm)
{
	int ret;

	*vcpu = (struct vmx_vcpu){ .vm = vm, .fd = -1, .vmcs = vmx_vmcs_open(vm) };
	if (vcpu->vmcs < 0)
		return vcpu->vmcs;
	ret = join_vcpu(vcpu);
	if (ret)
		vmx_vcpu_close(vcpu);
	return ret;
}

void vmx_vcpu_close(struct vmx_vcpu *vcpu)
{
	if (vcpu->run)
		munmap(vcpu->run, sizeof(*vcpu->run));
	vcpu->run = NULL;
	drop(&vcpu->fd);
	drop(&vcpu->vmcs);
}

int vmx_run(struct vmx_vcpu *vcpu)
{
	if (!ioctl(vcpu->fd, VMX_RUN))
		return 0;
	switch (errno) {
	case EFAULT:
		return vmx_fail(EFAULT, "guest-physical %#llx is mapped, but this process has no "
				"memory behind it",
				(unsigned long long)vcpu->run->physical);
	case EHWPOISON:
		return vmx_fail(EHWPOISON, "the memory behind guest-physical %#llx is lost: the "
				"hardware reported an error there",
				(unsigned long long)vcpu->run->physical);
	case EINVAL:
		return vmx_fail(EINVAL, "the run page has an invalid input: check "
				"inject_info, window, retire and length, dirty and the members that it names");
	case EBUSY:
		return vmx_fail(EBUSY, "another thread runs this vCPU or uses its VMCS");
	case EPERM:
		return vmx_fail(EPERM, "the vCPU belongs to the process that created the VM");
	case EIO:
		return vmx_fail(EIO, "VMX was switched off: the computer is about to reboot");
	}
	return fail_errno("the vCPU cannot run");
}
