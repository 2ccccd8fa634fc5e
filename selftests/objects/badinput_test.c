// SPDX-License-Identifier: GPL-2.0
/* Every ioctl, with one invalid member at a time: the documented errno, and no other effect. */
#include <fcntl.h>
#include <stddef.h>
#include <sys/wait.h>

#include "lib/ioctls.h"
#include "lib/vmx_test.h"

GUEST64(hlt_guest, "hlt");

FIXTURE(bad) {
	struct test_objects o;
	unsigned char *arg;
	struct vmx_field_info before[300];
	uint32_t count;
};

static uint32_t dump(int vmcs, struct vmx_field_info *infos)
{
	struct vmx_vmcs_dump dump = {
		.size = sizeof(dump), .fields = (uintptr_t)infos, .count = 300,
	};

	return ioctl(vmcs, VMX_VMCS_DUMP, &dump) ? 0 : dump.count;
}

EVERY_MMU_OF(bad);

FIXTURE_SETUP(bad)
{
	NEED(variant->needs);
	ASSERT_EQ(0, test_objects_open(&self->o, variant->mmu)) { TH_LOG("%s", vmx_error()); }
	/* An inaccessible page behind, so that reading too much is noticed. */
	self->arg = mmap(NULL, 2 * TEST_ARG_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->arg);
	ASSERT_EQ(0, mprotect(self->arg + TEST_ARG_SIZE, TEST_ARG_SIZE, PROT_NONE));
	ASSERT_VMX(test_start(&self->o.vcpu, VMX_MODE_LONG, hlt_guest));
	self->count = dump(self->o.vcpu.vmcs, self->before);
	ASSERT_LT(0, self->count);
}

/* Nothing has changed: the fields hold what they held, and the guest still runs. */
FIXTURE_TEARDOWN(bad)
{
	struct vmx_field_info after[300];

	EXPECT_EQ(self->count, dump(self->o.vcpu.vmcs, after));
	EXPECT_EQ(0, memcmp(self->before, after, self->count * sizeof(after[0])));
	EXPECT_EQ(0, vmx_run(&self->o.vcpu)) { TH_LOG("%s", vmx_error()); }
	EXPECT_EQ((uint32_t)VMX_REASON_HLT, self->o.vcpu.run->reason);
	munmap(self->arg, 2 * TEST_ARG_SIZE);
	test_objects_close(&self->o);
}

#define FOR_EACH_IOCTL(call, self)					\
	for (const struct test_ioctl *call = test_ioctls;		\
	     call < test_ioctls + test_ioctl_count; call++)		\
		if (test_ioctl_possible(call, &(self)->o))

#define EXPECT_IOCTL(want, call, fd, arg, ...)				\
	EXPECT_EQ(want, test_ioctl_do(call, fd, arg)) {			\
		TH_LOG("%s: " #__VA_ARGS__, (call)->name);		\
	}

TEST_F(bad, good_input_is_accepted)
{
	FOR_EACH_IOCTL(call, self) {
		test_ioctl_fill(call, &self->o, self->arg);
		EXPECT_IOCTL(0, call, self->o.fds[call->kind], self->arg, good);
	}
}

TEST_F(bad, sizes)
{
	FOR_EACH_IOCTL(call, self) {
		int fd = self->o.fds[call->kind];
		const uint32_t small[] = { 0, 1, 4, call->size - 1 };
		uint32_t *size = (uint32_t *)self->arg;

		for (size_t n = 0; n < TEST_COUNT(small); n++) {
			test_ioctl_fill(call, &self->o, self->arg);
			*size = small[n];
			EXPECT_IOCTL(-EINVAL, call, fd, self->arg, too small);
		}
		/* A newer program that asks for nothing new. */
		test_ioctl_fill(call, &self->o, self->arg);
		*size = call->size + 8;
		EXPECT_IOCTL(0, call, fd, self->arg, larger with a zero tail);
		for (int n = 0; n < 8; n++) {
			test_ioctl_fill(call, &self->o, self->arg);
			*size = call->size + 8;
			self->arg[call->size + n] = 1;
			EXPECT_IOCTL(-E2BIG, call, fd, self->arg, larger with a tail);
		}
		test_ioctl_fill(call, &self->o, self->arg);
		*size = 1 << 20;
		EXPECT_IOCTL(-E2BIG, call, fd, self->arg, enormous);
		*size = ~0u;
		EXPECT_IOCTL(-E2BIG, call, fd, self->arg, largest);
	}
}

TEST_F(bad, pointers)
{
	unsigned char *end = self->arg + TEST_ARG_SIZE;

	FOR_EACH_IOCTL(call, self) {
		int fd = self->o.fds[call->kind];

		EXPECT_IOCTL(-EFAULT, call, fd, NULL, null);
		EXPECT_IOCTL(-EFAULT, call, fd, (void *)~7ull, kernel address);
		EXPECT_IOCTL(-EFAULT, call, fd, end, inaccessible);
		/* The size is there, the rest is not. */
		*(uint32_t *)(end - 4) = call->size;
		EXPECT_IOCTL(-EFAULT, call, fd, end - 4, half);
		*(uint32_t *)(end - 4) = 0;
		/* The last byte that may be touched is the struct's last. */
		test_ioctl_fill(call, &self->o, self->arg);
		memmove(end - call->size, self->arg, call->size);
		EXPECT_IOCTL(0, call, fd, end - call->size, up to the end);
	}
}

TEST_F(bad, flags)
{
	FOR_EACH_IOCTL(call, self) {
		for (int bit = 0; bit < 32; bit++) {
			test_ioctl_fill(call, &self->o, self->arg);
			((uint32_t *)self->arg)[1] = 1u << bit;
			EXPECT_IOCTL(-EOPNOTSUPP, call, self->o.fds[call->kind], self->arg, flag);
		}
	}
}

TEST_F(bad, reserved_members)
{
	FOR_EACH_IOCTL(call, self) {
		for (int n = 0; n < TEST_RESERVED && call->reserved[n]; n++) {
			test_ioctl_fill(call, &self->o, self->arg);
			*(uint32_t *)(self->arg + call->reserved[n]) = 0x100;
			EXPECT_IOCTL(-EINVAL, call, self->o.fds[call->kind], self->arg, reserved);
		}
	}
}

/* On every other kind of descriptor it is unknown. */
TEST_F(bad, wrong_kind_of_descriptor)
{
	int null = open("/dev/null", O_RDWR);

	FOR_EACH_IOCTL(call, self) {
		test_ioctl_fill(call, &self->o, self->arg);
		for (int kind = 0; kind < TEST_KINDS; kind++) {
			if (kind == (int)call->kind || self->o.fds[kind] < 0)
				continue;
			EXPECT_IOCTL(-ENOTTY, call, self->o.fds[kind], self->arg, kind);
		}
		EXPECT_IOCTL(-ENOTTY, call, null, self->arg, null device);
	}
	close(null);
}

static bool is_known(unsigned int request, int kind)
{
	if (kind == TEST_VCPU && (request == VMX_RUN || request == VMX_KICK))
		return true;
	for (unsigned int n = 0; n < test_ioctl_count; n++)
		if (test_ioctls[n].request == request && (int)test_ioctls[n].kind == kind)
			return true;
	return false;
}

/* All numbers of our type, and the known ones dressed up with a direction and a size. */
TEST_F(bad, unknown_numbers)
{
	for (int kind = 0; kind < TEST_KINDS; kind++) {
		if (self->o.fds[kind] < 0)
			continue;
		for (unsigned int n = 0; n < 256; n++) {
			unsigned int plain = _IO(VMX_IOC_TYPE, n);

			if (!is_known(plain, kind)) {
				EXPECT_ERRNO(ENOTTY, ioctl(self->o.fds[kind], plain, self->arg));
			}
			EXPECT_ERRNO(ENOTTY,
				     ioctl(self->o.fds[kind],
					   _IOC(_IOC_WRITE, VMX_IOC_TYPE, n, 8), self->arg));
		}
	}
}

/* A child has another address space. */
TEST_F(bad, another_address_space)
{
	pid_t child = fork();
	int status;

	if (!child) {
		FOR_EACH_IOCTL(call, self) {
			int want = call->looks ? 0 : -EPERM, got;

			test_ioctl_fill(call, &self->o, self->arg);
			got = test_ioctl_do(call, self->o.fds[call->kind], self->arg);
			if (got == want)
				continue;
			fprintf(stderr, "# %s: %d instead of %d\n", call->name, got, want);
			_exit(1);
		}
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* Single members of single ioctls, each with values outside of its documented range. */
static const struct {
	unsigned int request;
	uint16_t offset, size;
	uint64_t value;
	int error;
} members[] = {
#define MEMBER(request, type, member, value, error)			\
	{ VMX_##request, offsetof(struct type, member),			\
	  sizeof(((struct type *)0)->member), value, error }
	MEMBER(CREATE_VCPU, vmx_create_vcpu, vmcs_fd, -1, EBADF),
	MEMBER(CREATE_VCPU, vmx_create_vcpu, mmu_fd, -1, EBADF),
	MEMBER(CREATE_VCPU, vmx_create_vcpu, vmcs_fd, 1000000, EBADF),
	MEMBER(CREATE_VCPU, vmx_create_vcpu, mmu_fd, 1000000, EBADF),
	MEMBER(VMCS_READ, vmx_vmcs_io, fields, 0, EFAULT),
	MEMBER(VMCS_READ, vmx_vmcs_io, fields, 1ull << 63, EFAULT),
	MEMBER(VMCS_READ, vmx_vmcs_io, count, 0, EINVAL),
	MEMBER(VMCS_READ, vmx_vmcs_io, count, VMX_VMCS_BATCH_MAX + 1, EINVAL),
	MEMBER(VMCS_READ, vmx_vmcs_io, count, ~0u, EINVAL),
	MEMBER(VMCS_WRITE, vmx_vmcs_io, fields, 0, EFAULT),
	MEMBER(VMCS_WRITE, vmx_vmcs_io, fields, 1ull << 63, EFAULT),
	MEMBER(VMCS_WRITE, vmx_vmcs_io, count, 0, EINVAL),
	MEMBER(VMCS_WRITE, vmx_vmcs_io, count, ~0u, EINVAL),
	MEMBER(VMCS_DUMP, vmx_vmcs_dump, fields, 0, EFAULT),
	MEMBER(VMCS_DUMP, vmx_vmcs_dump, fields, 1ull << 63, EFAULT),
	MEMBER(MMU_MAP, vmx_mmu_map, gpa, 1, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, gpa, 1ull << 52, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, gpa, ~0xfffull, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, gpa, 0, EEXIST),
	MEMBER(MMU_MAP, vmx_mmu_map, uaddr, 1, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, uaddr, 1ull << 63, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, uaddr, ~0xfffull, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, length, 0, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, length, 1, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, length, ~0xfffull, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, prot, 0, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, prot, VMX_MMU_WRITE, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, prot, 1 << 3, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, memtype, 2, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, memtype, 3, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, memtype, 7, EINVAL),
	MEMBER(MMU_MAP, vmx_mmu_map, memtype, ~0u, EINVAL),
	MEMBER(MMU_UNMAP, vmx_mmu_range, gpa, 1, EINVAL),
	MEMBER(MMU_UNMAP, vmx_mmu_range, gpa, ~0xfffull, EINVAL),
	MEMBER(MMU_UNMAP, vmx_mmu_range, length, 0, EINVAL),
	MEMBER(MMU_UNMAP, vmx_mmu_range, length, 1, EINVAL),
	MEMBER(MMU_UNMAP, vmx_mmu_range, length, ~0xfffull, EINVAL),
	MEMBER(MMU_PROTECT, vmx_mmu_range, gpa, 1, EINVAL),
	MEMBER(MMU_PROTECT, vmx_mmu_range, gpa, 0xf0000000, ENOENT),
	MEMBER(MMU_PROTECT, vmx_mmu_range, length, 0, EINVAL),
	MEMBER(MMU_PROTECT, vmx_mmu_range, length, 2 * TEST_RAM, ENOENT),
	MEMBER(MMU_PROTECT, vmx_mmu_range, length, ~0xfffull, EINVAL),
	MEMBER(MMU_PROTECT, vmx_mmu_range, prot, 0, EINVAL),
	MEMBER(MMU_PROTECT, vmx_mmu_range, prot, VMX_MMU_WRITE, EINVAL),
	MEMBER(MMU_PROTECT, vmx_mmu_range, prot, ~0u, EINVAL),
	MEMBER(MMU_POPULATE, vmx_mmu_populate, gpa, 1, EINVAL),
	MEMBER(MMU_POPULATE, vmx_mmu_populate, gpa, 0xf0000000, ENOENT),
	MEMBER(MMU_POPULATE, vmx_mmu_populate, length, 0, EINVAL),
	MEMBER(MMU_POPULATE, vmx_mmu_populate, length, 2 * TEST_RAM, ENOENT),
	MEMBER(MMU_POPULATE, vmx_mmu_populate, length, ~0xfffull, EINVAL),
	MEMBER(MMU_POPULATE, vmx_mmu_populate, prot, 0, EINVAL),
	MEMBER(MMU_POPULATE, vmx_mmu_populate, prot, VMX_MMU_WRITE, EINVAL),
	MEMBER(MMU_POPULATE, vmx_mmu_populate, prot, ~0u, EINVAL),
	MEMBER(MMU_LOG, vmx_mmu_log, method, VMX_DIRTY_PML + 1, EINVAL),
	MEMBER(MMU_LOG, vmx_mmu_log, method, ~0u, EINVAL),
	MEMBER(MMU_DIRTY, vmx_mmu_dirty, gpa, 1, EINVAL),
	MEMBER(MMU_DIRTY, vmx_mmu_dirty, gpa, 1ull << 52, EINVAL),
	MEMBER(MMU_DIRTY, vmx_mmu_dirty, length, 0, EINVAL),
	MEMBER(MMU_DIRTY, vmx_mmu_dirty, length, 1, EINVAL),
	MEMBER(MMU_DIRTY, vmx_mmu_dirty, length, ~0xfffull, EINVAL),
	MEMBER(MMU_DIRTY, vmx_mmu_dirty, bitmap, 0, EFAULT),
	MEMBER(MMU_DIRTY, vmx_mmu_dirty, bitmap, 4, EINVAL),
	MEMBER(MMU_DIRTY, vmx_mmu_dirty, bitmap, ~7ull, EFAULT),
	MEMBER(MMU_INVALIDATE, vmx_mmu_range, gpa, 1, EINVAL),
	MEMBER(MMU_INVALIDATE, vmx_mmu_range, gpa, ~0xfffull, EINVAL),
	MEMBER(MMU_INVALIDATE, vmx_mmu_range, length, 0, EINVAL),
	MEMBER(MMU_INVALIDATE, vmx_mmu_range, length, 1, EINVAL),
	MEMBER(MMU_INVALIDATE, vmx_mmu_range, length, ~0xfffull, EINVAL),
	MEMBER(MMU_WALK, vmx_mmu_walk, gpa, 1ull << 52, EINVAL),
	MEMBER(MMU_WALK, vmx_mmu_walk, gpa, ~0ull, EINVAL),
	MEMBER(SET_CPUID, vmx_cpuid, entries, 0, EFAULT),
	MEMBER(SET_CPUID, vmx_cpuid, entries, 1ull << 63, EFAULT),
	MEMBER(SET_CPUID, vmx_cpuid, count, VMX_CPUID_MAX + 1, EINVAL),
	MEMBER(SET_CPUID, vmx_cpuid, count, ~0u, EINVAL),
	MEMBER(SET_MSRS, vmx_msrs, msrs, 0, EFAULT),
	MEMBER(SET_MSRS, vmx_msrs, msrs, 1ull << 63, EFAULT),
	MEMBER(SET_MSRS, vmx_msrs, count, VMX_MSRS_MAX + 1, EINVAL),
	MEMBER(SET_MSRS, vmx_msrs, count, ~0u, EINVAL),
	MEMBER(GET_MSRS, vmx_msrs, msrs, 0, EFAULT),
	MEMBER(GET_MSRS, vmx_msrs, count, 0, EINVAL),
	MEMBER(GET_MSRS, vmx_msrs, count, VMX_MSRS_MAX + 1, EINVAL),
	MEMBER(SET_FPU, vmx_fpu, area, 0, EFAULT),
	MEMBER(SET_FPU, vmx_fpu, area, 1ull << 63, EFAULT),
	MEMBER(SET_FPU, vmx_fpu, length, 0, EINVAL),
	MEMBER(SET_FPU, vmx_fpu, length, 511, EINVAL),
	MEMBER(SET_FPU, vmx_fpu, length, 513, EINVAL),
	MEMBER(SET_FPU, vmx_fpu, xcr0, 0, EINVAL),
	MEMBER(SET_FPU, vmx_fpu, xcr0, ~0ull, EINVAL),
	MEMBER(GET_FPU, vmx_fpu, area, 0, EFAULT),
	MEMBER(GET_FPU, vmx_fpu, length, 0, ENOSPC),
	MEMBER(SET_DEBUG, vmx_debug, dr6, 1ull << 32, EINVAL),
	MEMBER(WALK, vmx_walk, linear, 1ull << 62, EINVAL),
};

TEST_F(bad, members)
{
	FOR_EACH_IOCTL(call, self) {
		for (size_t n = 0; n < TEST_COUNT(members); n++) {
			if (members[n].request != call->request)
				continue;
			test_ioctl_fill(call, &self->o, self->arg);
			memcpy(self->arg + members[n].offset, &members[n].value, members[n].size);
			EXPECT_EQ(-members[n].error,
				  test_ioctl_do(call, self->o.fds[call->kind], self->arg)) {
				TH_LOG("%s: %#llx at offset %u", call->name,
				       (unsigned long long)members[n].value, members[n].offset);
			}
		}
	}
}

/* Members of what a struct points to. */
TEST_F(bad, array_elements)
{
	static const struct vmx_cpuid_entry cpuid[] = {
		{ .leaf = 5, .flags = 2 }, { .leaf = 5, .reserved = 1 },
	};
	static const int cpuid_errors[] = { -EOPNOTSUPP, -EINVAL };
	struct vmx_msr msr = { .index = 0x20, .policy = 4 };

	for (size_t n = 0; n < TEST_COUNT(cpuid); n++) {
		EXPECT_EQ(cpuid_errors[n], test_set_cpuid(&self->o.vcpu, &cpuid[n], 1));
	}
	EXPECT_EQ(-EINVAL, test_set_msrs(&self->o.vcpu, &msr, 1, NULL));
	msr.policy = ~0u;
	EXPECT_EQ(-EINVAL, test_set_msrs(&self->o.vcpu, &msr, 1, NULL));
}

TEST_F(bad, vcpu_from_the_wrong_parts)
{
	struct vmx_create_vcpu create = { .size = sizeof(create) };
	int null = open("/dev/null", O_RDWR);
	struct vmx_vm other;
	int vmcs;

	ASSERT_VMX(vmx_vm_open(&other, TEST_RAM));
	vmcs = vmx_vmcs_open(&other);
	ASSERT_LE(0, vmcs);

	const struct {
		int vmcs, mmu, error;
	} parts[] = {
		{ null, self->o.vm.mmu, EINVAL },
		{ self->o.spare_vmcs, null, EINVAL },
		{ self->o.vm.mmu, self->o.spare_vmcs, EINVAL },
		{ self->o.vm.fd, self->o.vm.fd, EINVAL },
		{ vmcs, self->o.vm.mmu, EINVAL },
		{ self->o.spare_vmcs, other.mmu, EINVAL },
		{ self->o.vcpu.vmcs, self->o.vm.mmu, EBUSY },
	};

	for (size_t n = 0; n < TEST_COUNT(parts); n++) {
		create.vmcs_fd = parts[n].vmcs;
		create.mmu_fd = parts[n].mmu;
		EXPECT_ERRNO(parts[n].error, ioctl(self->o.vm.fd, VMX_CREATE_VCPU, &create));
	}
	close(vmcs);
	close(null);
	vmx_vm_close(&other);
}

/* The run page is one shared page at offset 0; behind it may be the area of #VE. */
TEST_F(bad, mmaps)
{
	static const struct {
		size_t length;
		off_t offset;
		int flags;
	} maps[] = {
		{ 8192, 0, MAP_SHARED }, { 4096, 8192, MAP_SHARED }, { 4096, 0, MAP_PRIVATE },
	};
	int prot = PROT_READ | PROT_WRITE;

	for (size_t n = 0; n < TEST_COUNT(maps); n++) {
		EXPECT_EQ(MAP_FAILED, mmap(NULL, maps[n].length, prot, maps[n].flags,
					   self->o.vcpu.fd, maps[n].offset)) {
			TH_LOG("map %zu", n);
		}
	}
	for (int kind = 0; kind < TEST_VCPU; kind++) {
		EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, prot, MAP_SHARED, self->o.fds[kind], 0));
	}
}

TEST_F(bad, run_page_values)
{
	struct vmx_run_page *run = self->o.vcpu.run;
	const bool nmi = self->o.vm.caps.features & VMX_HAS_VIRTUAL_NMI;

	for (int bit = nmi ? 2 : 1; bit < 8; bit++) {
		run->window = 1 << bit;
		EXPECT_EQ(-EINVAL, vmx_run(&self->o.vcpu)) { TH_LOG("window %#x", run->window); }
	}
	run->window = 0;
	/* Nothing has exited yet: there is nothing to retire. */
	run->retire = 1;
	EXPECT_EQ(-EINVAL, vmx_run(&self->o.vcpu));
	run->retire = 2;
	EXPECT_EQ(-EINVAL, vmx_run(&self->o.vcpu));
	run->retire = 0;
	for (int bit = 9; bit < 32; bit++) {
		run->dirty = 1u << bit;
		if (run->dirty == VMX_STATE_CR2)
			continue;
		EXPECT_EQ(-EINVAL, vmx_run(&self->o.vcpu)) { TH_LOG("dirty %#x", run->dirty); }
	}
	run->dirty = VMX_STATE_ACTIVITY;
	run->activity = VMX_ACTIVITY_WAIT_FOR_SIPI;
	EXPECT_EQ(-EINVAL, vmx_run(&self->o.vcpu));
	run->activity = 0;
	run->dirty = 0;
}

VMX_TEST_MAIN
