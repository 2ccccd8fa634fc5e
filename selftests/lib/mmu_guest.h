/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that does one memory access at a time, and short forms of the mmu
 * ioctls, for the tests of guest memory.
 */
#ifndef MMU_GUEST_H
#define MMU_GUEST_H

#include "vm_fixture.h"

#define PAGE	0x1000ul
#define LARGE	0x200000ul

/* Where the tests map memory of their own: far from RAM, below 4 GiB. */
#define AREA	0x40000000ul

#define RW	(VMX_MMU_READ | VMX_MMU_WRITE)
#define RX	(VMX_MMU_READ | VMX_MMU_EXEC)
#define RWX	(RW | VMX_MMU_EXEC)

/* RAX says what to do at RBX: 0 reads into RDX, 1 writes RDX, 2 calls. */
GUEST64(access_guest,
	"cmp	$1, %eax\n"
	"je	1f\n"
	"ja	2f\n"
	"mov	(%rbx), %rdx\n"
	"vmcall\n"
	"1: mov	%rdx, (%rbx)\n"
	"vmcall\n"
	"2: call *%rbx\n"
	"vmcall\n");

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_CALL };

/* What came of an access: negative errnos of RUN, or these. */
enum { ACCESS_DONE, ACCESS_EXIT, ACCESS_OTHER };

/* The guest must have been started with access_guest. */
static inline int guest_access(struct vmx_vcpu *vcpu, enum access what, uint64_t gpa,
			       uint64_t *value)
{
	struct vmx_run_page *run = vcpu->run;
	int ret;

	run->regs[VMX_RAX] = what;
	run->regs[VMX_RBX] = gpa;
	run->regs[VMX_RDX] = *value;
	run->regs[VMX_RSP] = TEST_STACK;
	run->dirty |= VMX_STATE_RSP;
	test_goto(vcpu, 0);
	ret = vmx_run(vcpu);
	if (ret)
		return ret;
	*value = run->regs[VMX_RDX];
	if (run->reason == VMX_REASON_VMCALL)
		return ACCESS_DONE;
	if (run->reason == VMX_REASON_EPT_VIOLATION && run->physical == gpa)
		return ACCESS_EXIT;
	return ACCESS_OTHER;
}

static inline int guest_write(struct vmx_vcpu *vcpu, uint64_t gpa, uint64_t value)
{
	return guest_access(vcpu, ACCESS_WRITE, gpa, &value);
}

static inline int guest_call(struct vmx_vcpu *vcpu, uint64_t gpa)
{
	uint64_t value = 0;

	return guest_access(vcpu, ACCESS_CALL, gpa, &value);
}

static inline int guest_try_read(struct vmx_vcpu *vcpu, uint64_t gpa)
{
	uint64_t value = 0;

	return guest_access(vcpu, ACCESS_READ, gpa, &value);
}

/* What the guest reads; no test writes the value that stands for a failure. */
#define READ_FAILED 0xdeadbeefdeadbeefull
static inline uint64_t guest_read(struct vmx_vcpu *vcpu, uint64_t gpa)
{
	uint64_t value = 0;

	if (guest_access(vcpu, ACCESS_READ, gpa, &value) != ACCESS_DONE)
		return READ_FAILED;
	return value;
}

static inline int mmu_map(int mmu, uint64_t gpa, const void *at, uint64_t length, uint32_t prot)
{
	struct vmx_mmu_map map = {
		.size = sizeof(map), .gpa = gpa, .uaddr = (uintptr_t)at, .length = length,
		.prot = prot, .memtype = VMX_MEMTYPE_WB,
	};

	return ioctl(mmu, VMX_MMU_MAP, &map);
}

static inline int mmu_unmap(int mmu, uint64_t gpa, uint64_t length)
{
	struct vmx_mmu_range range = { .size = sizeof(range), .gpa = gpa, .length = length };

	return ioctl(mmu, VMX_MMU_UNMAP, &range);
}

static inline int mmu_protect(int mmu, uint64_t gpa, uint64_t length, uint32_t prot)
{
	struct vmx_mmu_range range = {
		.size = sizeof(range), .gpa = gpa, .length = length, .prot = prot,
	};

	return ioctl(mmu, VMX_MMU_PROTECT, &range);
}

/* How far it got: all of LENGTH if there is no error in errno. */
static inline uint64_t mmu_populate(int mmu, uint64_t gpa, uint64_t length, uint32_t prot)
{
	struct vmx_mmu_populate populate = {
		.size = sizeof(populate), .gpa = gpa, .length = length, .prot = prot,
	};

	errno = 0;
	ioctl(mmu, VMX_MMU_POPULATE, &populate);
	return populate.done;
}

static inline int mmu_log(int mmu, enum vmx_dirty_method method)
{
	struct vmx_mmu_log log = { .size = sizeof(log), .method = method };

	return ioctl(mmu, VMX_MMU_LOG, &log);
}

/* How many pages of the interval were written; -1 for an error. */
static inline long mmu_dirty(int mmu, uint64_t gpa, uint64_t length, uint64_t *bitmap)
{
	struct vmx_mmu_dirty dirty = {
		.size = sizeof(dirty), .gpa = gpa, .length = length, .bitmap = (uintptr_t)bitmap,
	};

	return ioctl(mmu, VMX_MMU_DIRTY, &dirty) ? -1 : (long)dirty.dirty;
}

/* A walk that fails says that nothing is there, at no level. */
static inline struct vmx_mmu_walk mmu_walk(int mmu, uint64_t gpa)
{
	struct vmx_mmu_walk walk = { .size = sizeof(walk), .gpa = gpa };

	if (ioctl(mmu, VMX_MMU_WALK, &walk))
		return (struct vmx_mmu_walk){};
	return walk;
}

static inline struct vmx_mmu_stats mmu_stats(int mmu)
{
	struct vmx_mmu_stats stats = { .size = sizeof(stats) };

	if (ioctl(mmu, VMX_MMU_STATS, &stats))
		return (struct vmx_mmu_stats){};
	return stats;
}

static inline void *new_memory(size_t length)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

#endif /* MMU_GUEST_H */
