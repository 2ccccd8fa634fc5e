// SPDX-License-Identifier: GPL-2.0
/* The benchmarks' vmx side: the ioctls themselves, and libvmx to set guests up. */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libvmx.h>

#include "bench.h"

#define CPUID_MAX	128

static int device;
static struct vmx_caps caps;

static int check(int value, const char *what)
{
	if (value < 0)
		bench_fail("vmx: %s", what);
	return value;
}

static void open_device(void)
{
	device = vmx_open(&caps);
	if (device < 0)
		bench_fail("vmx: %s", vmx_error());
}

/* An EPT belongs to it: without one a VM has no memory. */
static void create_vm(struct bench_vm *vm)
{
	struct vmx_create create = { .size = sizeof(create) };

	vm->vm = check(ioctl(device, VMX_CREATE_VM, &create), "VMX_CREATE_VM");
	vm->mmu = check(ioctl(vm->vm, VMX_CREATE_EPT, &create), "VMX_CREATE_EPT");
}

static void create_vcpu(struct bench_vm *vm)
{
	struct vmx_create create = { .size = sizeof(create) };
	struct vmx_create_vcpu vcpu = { .size = sizeof(vcpu), .mmu_fd = vm->mmu };

	vm->vmcs = check(ioctl(vm->vm, VMX_CREATE_VMCS, &create), "VMX_CREATE_VMCS");
	vcpu.vmcs_fd = vm->vmcs;
	vm->vcpu = check(ioctl(vm->vm, VMX_CREATE_VCPU, &vcpu), "VMX_CREATE_VCPU");
}

static void map_vcpu(struct bench_vm *vm)
{
	vm->run = mmap(NULL, sizeof(struct vmx_run_page), PROT_READ | PROT_WRITE, MAP_SHARED,
		       vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		bench_fail("vmx: mmap of the run page");
}

static void return_at_once(struct bench_vm *vm)
{
	((struct vmx_run_page *)vm->run)->immediate_exit = 1;
}

static void destroy(struct bench_vm *vm)
{
	if (vm->run)
		munmap(vm->run, sizeof(struct vmx_run_page));
	if (vm->vcpu >= 0) {
		close(vm->vcpu);
		close(vm->vmcs);
	}
	close(vm->mmu);
	close(vm->vm);
}

static void set_cpuid(int vcpu)
{
	struct bench_cpuid table[CPUID_MAX];
	struct vmx_cpuid_entry entries[CPUID_MAX] = {};
	struct vmx_cpuid cpuid = {
		.size = sizeof(cpuid),
		.entries = (uintptr_t)entries,
		.count = bench_cpuid_table(table, CPUID_MAX),
	};

	for (size_t n = 0; n < cpuid.count; n++)
		entries[n] = (struct vmx_cpuid_entry) {
			.leaf = table[n].leaf,
			.subleaf = table[n].subleaf,
			.flags = table[n].has_subleaf ? VMX_CPUID_SUBLEAF : 0,
			.eax = table[n].eax, .ebx = table[n].ebx,
			.ecx = table[n].ecx, .edx = table[n].edx,
		};
	check(ioctl(vcpu, VMX_SET_CPUID, &cpuid), "VMX_SET_CPUID");
}

static void set_msr(int vcpu)
{
	struct vmx_msr msr = {
		.index = BENCH_MSR, .policy = VMX_MSR_KERNEL, .value = BENCH_MSR_VALUE,
	};
	struct vmx_msrs msrs = { .size = sizeof(msrs), .msrs = (uintptr_t)&msr, .count = 1 };

	check(ioctl(vcpu, VMX_SET_MSRS, &msrs), "VMX_SET_MSRS");
}

static void go(struct bench_vm *vm, struct bench_run *run)
{
	struct vmx_run_page *page = vm->run;

	page->rip = BENCH_CODE;
	page->dirty |= VMX_STATE_RIP;
	for (;;) {
		check(bench_ioctl(vm->vcpu, VMX_RUN), "VMX_RUN");
		switch (page->reason) {
		case VMX_REASON_IO:
			run->sum += page->io_port + (uint32_t)page->regs[VMX_RAX];
			page->retire = 1;
			break;
		case VMX_REASON_EPT_VIOLATION:
			run->sum += page->physical + (uint32_t)page->regs[VMX_RAX];
			page->length = BENCH_MMIO_INSN;
			page->retire = 1;
			break;
		case VMX_REASON_HLT:
			return;
		default:
			bench_fail("vmx: unexpected exit %#x", page->reason);
		}
	}
}

/* What libvmx knows of it. */
static struct vmx_vm known(const struct bench_vm *vm, void *ram)
{
	return (struct vmx_vm) { .dev = device, .fd = vm->vm, .mmu = vm->mmu, .caps = caps,
				 .ram = ram, .ram_size = BENCH_RAM };
}

static void counts(struct bench_vm *bench_vm, uint64_t *counts)
{
	struct vmx_vm vm = known(bench_vm, NULL);
	struct vmx_vm_stats stats;

	check(vmx_vm_stats(&vm, &stats), "VMX_VM_STATS");
	counts[BENCH_VMREADS] = stats.vmreads;
	counts[BENCH_VMWRITES] = stats.vmwrites;
	counts[BENCH_MSR_WRITES] = stats.msr_writes;
	counts[BENCH_INVALIDATIONS] = stats.invalidations;
	counts[BENCH_FPU_SWAPS] = stats.fpu_swaps;
	counts[BENCH_IPIS] = stats.ipis;
}

static void map(int mmu, uint64_t gpa, void *at, uint64_t length)
{
	struct vmx_mmu_map map = {
		.size = sizeof(map), .gpa = gpa, .uaddr = (uintptr_t)at, .length = length,
		.prot = VMX_MMU_READ | VMX_MMU_WRITE | VMX_MMU_EXEC, .memtype = VMX_MEMTYPE_WB,
	};

	check(ioctl(mmu, VMX_MMU_MAP, &map), "VMX_MMU_MAP");
}

static void prepare(struct bench_vm *bench_vm, const struct bench_run *run)
{
	struct vmx_vm vm = known(bench_vm, run->ram);

	map(vm.mmu, 0, run->ram, BENCH_RAM);
	map(vm.mmu, BENCH_PAGES, run->pages, BENCH_OPS * 4096);
	if (vmx_set_mode(&vm, bench_vm->vmcs, VMX_MODE_LONG, BENCH_CODE, BENCH_CODE))
		bench_fail("vmx: %s", vmx_error());
	memcpy(run->ram + BENCH_CODE, run->code.start, run->code.end - run->code.start);
	set_cpuid(bench_vm->vcpu);
	set_msr(bench_vm->vcpu);
}

static void add_area(struct bench_vm *vm, void *at)
{
	map(vm->mmu, BENCH_AREA, at, BENCH_AREA_SIZE);
}

static void remove_area(struct bench_vm *vm)
{
	struct vmx_mmu_range range = {
		.size = sizeof(range), .gpa = BENCH_AREA, .length = BENCH_AREA_SIZE,
	};

	check(ioctl(vm->mmu, VMX_MMU_UNMAP, &range), "VMX_MMU_UNMAP");
}

static void populate_area(struct bench_vm *vm)
{
	struct vmx_mmu_populate populate = {
		.size = sizeof(populate), .gpa = BENCH_AREA, .length = BENCH_AREA_SIZE,
		.prot = VMX_MMU_READ | VMX_MMU_WRITE,
	};

	check(ioctl(vm->mmu, VMX_MMU_POPULATE, &populate), "VMX_MMU_POPULATE");
}

/* By the best method that the CPU has. */
static void log_area(struct bench_vm *vm, void *at __attribute__((unused)))
{
	struct vmx_mmu_log log = {
		.size = sizeof(log),
		.method = caps.features & VMX_HAS_PML ? VMX_DIRTY_PML :
			  caps.features & VMX_HAS_EPT_AD ? VMX_DIRTY_BITS : VMX_DIRTY_WRITE_PROTECT,
	};

	check(ioctl(vm->mmu, VMX_MMU_LOG, &log), "VMX_MMU_LOG");
}

static void dirty_area(struct bench_vm *vm, uint64_t *bitmap)
{
	struct vmx_mmu_dirty dirty = {
		.size = sizeof(dirty), .gpa = BENCH_AREA, .length = BENCH_AREA_SIZE,
		.bitmap = (uintptr_t)bitmap,
	};

	check(ioctl(vm->mmu, VMX_MMU_DIRTY, &dirty), "VMX_MMU_DIRTY");
}

const struct bench_side bench_vmx = {
	.name = "vmx",
	.open = open_device,
	.create_vm = create_vm,
	.create_vcpu = create_vcpu,
	.map_vcpu = map_vcpu,
	.prepare = prepare,
	.go = go,
	.counts = counts,
	.return_at_once = return_at_once,
	.destroy = destroy,
	.add_area = add_area,
	.remove_area = remove_area,
	.populate_area = populate_area,
	.log_area = log_area,
	.dirty_area = dirty_area,
	.run_cmd = VMX_RUN,
};
