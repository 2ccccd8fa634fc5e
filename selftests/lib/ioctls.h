/* SPDX-License-Identifier: GPL-2.0 */
/* Every ioctl that takes a struct, with a valid struct. */
#ifndef TEST_IOCTLS_H
#define TEST_IOCTLS_H

#include <stdbool.h>
#include <stdint.h>

#include <libvmx.h>

/* Kinds of descriptors. */
enum test_kind { TEST_DEV, TEST_VM, TEST_VMCS, TEST_MMU, TEST_VCPU, TEST_KINDS };

/*
 * One of each: on a CPU without EPT there are no mmu and no vCPU. The rest is
 * what the structs point to.
 */
struct test_objects {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	int spare_vmcs;
	int fds[TEST_KINDS];
	void *page;
	uint64_t next_gpa;
	uint64_t bitmap[1];
	struct vmx_fpu fpu;
	unsigned char fpu_area[8192];
	struct vmx_field fields[2];
	struct vmx_field_info infos[300];
	struct vmx_cpuid_entry cpuid[2];
	struct vmx_msr msrs[2];
	int list[2];
};

int test_objects_open(struct test_objects *o, enum vmx_mmu_kind kind);
void test_objects_close(struct test_objects *o);

#define TEST_RESERVED 2

/*
 * @fill: makes a struct that is accepted
 * @creates: success is a descriptor, which the caller closes
 * @looks: allowed from any address space
 * @needs: enum vmx_feature bits without which it is refused
 * @mmu: kind of mmu without which it is refused; VMX_MMU_AUTO: it works with any
 * @reserved: offsets of 32-bit members that must be 0; 0 ends the list
 */
struct test_ioctl {
	const char *name;
	unsigned int request;
	enum test_kind kind;
	uint32_t size;
	void (*fill)(struct test_objects *o, void *arg);
	bool creates;
	bool looks;
	uint64_t needs;
	enum vmx_mmu_kind mmu;
	uint16_t reserved[TEST_RESERVED];
};

extern const struct test_ioctl test_ioctls[];
extern const unsigned int test_ioctl_count;

/* As large as the largest struct and a page more. */
#define TEST_ARG_SIZE 8192

/* Do the CPU and the mmu have what it needs? */
bool test_ioctl_possible(const struct test_ioctl *ioctl, const struct test_objects *o);

/* Fills a struct, its size included. */
void test_ioctl_fill(const struct test_ioctl *ioctl, struct test_objects *o, void *arg);

/* Does it: 0 or -errno; a descriptor that comes of it is closed. */
int test_ioctl_do(const struct test_ioctl *ioctl, int fd, void *arg);

#endif /* TEST_IOCTLS_H */
