// SPDX-License-Identifier: GPL-2.0
/* The benchmarks' KVM side: /dev/kvm with as little code as possible. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libvmx.h>

#include "bench.h"

#define CPUID_MAX	128

#define CR0_PE		0x00000001
#define CR0_NE		0x00000020
#define CR0_PG		0x80000000
#define CR4_PAE		0x20
#define EFER_LME	0x100
#define EFER_LMA	0x400

#define PAGE_PRESENT	0x01
#define PAGE_WRITE	0x02
#define PAGE_LARGE	0x80

/* Of the memory that much is done to. */
#define AREA_SLOT	2

/* KVM_PRE_FAULT_MEMORY, newer than the C library's headers. */
struct pre_fault_memory {
	uint64_t gpa;
	uint64_t size;
	uint64_t flags;
	uint64_t padding[5];
};

#define PRE_FAULT_MEMORY	_IOWR(KVMIO, 0xd5, struct pre_fault_memory)

static int device;
static size_t map_size;

static int check(int value, const char *what)
{
	if (value < 0)
		bench_fail("KVM: %s", what);
	return value;
}

static void kvm_open(void)
{
	device = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	map_size = check(ioctl(device, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
}

static void create_vm(struct bench_vm *vm)
{
	vm->vm = check(ioctl(device, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
}

static void create_vcpu(struct bench_vm *vm)
{
	vm->vcpu = check(ioctl(vm->vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
}

static void map_vcpu(struct bench_vm *vm)
{
	vm->run = mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		bench_fail("KVM: mmap of the vCPU");
}

static void return_at_once(struct bench_vm *vm)
{
	((struct kvm_run *)vm->run)->immediate_exit = 1;
}

static void destroy(struct bench_vm *vm)
{
	if (vm->run)
		munmap(vm->run, map_size);
	if (vm->vcpu >= 0)
		close(vm->vcpu);
	close(vm->vm);
}

static void set_memory(int vm, int slot, uint64_t gpa, void *host, size_t size, uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
}

/* The same tables, at the same place, as libvmx makes. */
static void write_page_tables(unsigned char *ram)
{
	uint64_t *top = (uint64_t *)(ram + VMX_GUEST_PAGE_TABLES);
	uint64_t *pointers = top + 512, *directories = top + 1024;

	top[0] = (VMX_GUEST_PAGE_TABLES + 0x1000) | PAGE_PRESENT | PAGE_WRITE;
	for (uint64_t n = 0; n < 4; n++)
		pointers[n] = (VMX_GUEST_PAGE_TABLES + 0x2000 + n * 0x1000) |
			      PAGE_PRESENT | PAGE_WRITE;
	for (uint64_t n = 0; n < 4 * 512; n++)
		directories[n] = n << 21 | PAGE_PRESENT | PAGE_WRITE | PAGE_LARGE;
}

static void set_state(int vcpu)
{
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = VMX_GUEST_CS64, .type = 11, .present = 1,
		.s = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = VMX_GUEST_DS, .type = 3, .present = 1,
		.s = 1, .db = 1, .g = 1,
	};
	struct kvm_sregs sregs;

	check(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.fs = data;
	sregs.gs = data;
	sregs.ss = data;
	sregs.cr0 = CR0_PE | CR0_NE | CR0_PG;
	sregs.cr3 = VMX_GUEST_PAGE_TABLES;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	check(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
}

static void set_cpuid(int vcpu)
{
	struct bench_cpuid table[CPUID_MAX];
	struct kvm_cpuid2 *cpuid;

	cpuid = calloc(1, sizeof(*cpuid) + sizeof(cpuid->entries[0]) * CPUID_MAX);
	if (!cpuid)
		bench_fail("KVM: no memory");
	cpuid->nent = bench_cpuid_table(table, CPUID_MAX);
	for (size_t n = 0; n < cpuid->nent; n++)
		cpuid->entries[n] = (struct kvm_cpuid_entry2) {
			.function = table[n].leaf,
			.index = table[n].subleaf,
			.flags = table[n].has_subleaf ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = table[n].eax, .ebx = table[n].ebx,
			.ecx = table[n].ecx, .edx = table[n].edx,
		};
	check(ioctl(vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
}

static void set_msr(int vcpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = {
		.head.nmsrs = 1,
		.entry = { .index = BENCH_MSR, .data = BENCH_MSR_VALUE },
	};

	if (ioctl(vcpu, KVM_SET_MSRS, &msrs) != 1)
		bench_fail("KVM: KVM_SET_MSRS");
}

static void go(struct bench_vm *vm, struct bench_run *run)
{
	struct kvm_regs regs = { .rip = BENCH_CODE, .rsp = BENCH_CODE, .rflags = 2 };
	struct kvm_run *kvm = vm->run;
	uint32_t data;

	check(ioctl(vm->vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	for (;;) {
		check(bench_ioctl(vm->vcpu, KVM_RUN), "KVM_RUN");
		switch (kvm->exit_reason) {
		case KVM_EXIT_IO:
			memcpy(&data, (char *)kvm + kvm->io.data_offset, sizeof(data));
			run->sum += kvm->io.port + data;
			break;
		case KVM_EXIT_MMIO:
			memcpy(&data, kvm->mmio.data, sizeof(data));
			run->sum += kvm->mmio.phys_addr + data;
			break;
		case KVM_EXIT_HLT:
			return;
		default:
			bench_fail("KVM: unexpected exit %u", kvm->exit_reason);
		}
	}
}

static void prepare(struct bench_vm *vm, const struct bench_run *run)
{
	set_memory(vm->vm, 0, 0, run->ram, BENCH_RAM, 0);
	set_memory(vm->vm, 1, BENCH_PAGES, run->pages, BENCH_OPS * 4096, 0);
	write_page_tables(run->ram);
	memcpy(run->ram + BENCH_CODE, run->code.start, run->code.end - run->code.start);
	set_cpuid(vm->vcpu);
	set_state(vm->vcpu);
	set_msr(vm->vcpu);
}

static void add_area(struct bench_vm *vm, void *at)
{
	set_memory(vm->vm, AREA_SLOT, BENCH_AREA, at, BENCH_AREA_SIZE, 0);
}

static void remove_area(struct bench_vm *vm)
{
	set_memory(vm->vm, AREA_SLOT, BENCH_AREA, NULL, 0, 0);
}

static void populate_area(struct bench_vm *vm)
{
	struct pre_fault_memory all = { .gpa = BENCH_AREA, .size = BENCH_AREA_SIZE };

	while (all.size)
		check(ioctl(vm->vcpu, PRE_FAULT_MEMORY, &all), "KVM_PRE_FAULT_MEMORY");
}

static void log_area(struct bench_vm *vm, void *at)
{
	set_memory(vm->vm, AREA_SLOT, BENCH_AREA, at, BENCH_AREA_SIZE, KVM_MEM_LOG_DIRTY_PAGES);
}

static void dirty_area(struct bench_vm *vm, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = AREA_SLOT, .dirty_bitmap = bitmap };

	check(ioctl(vm->vm, KVM_GET_DIRTY_LOG, &log), "KVM_GET_DIRTY_LOG");
}

const struct bench_side bench_kvm = {
	.name = "kvm",
	.open = kvm_open,
	.create_vm = create_vm,
	.create_vcpu = create_vcpu,
	.map_vcpu = map_vcpu,
	.prepare = prepare,
	.go = go,
	.return_at_once = return_at_once,
	.destroy = destroy,
	.add_area = add_area,
	.remove_area = remove_area,
	.populate_area = populate_area,
	.log_area = log_area,
	.dirty_area = dirty_area,
	.run_cmd = KVM_RUN,
};
