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
static void create_vm(struct bench_idle *idle)
{
	struct vmx_create create = { .size = sizeof(create) };

	idle->vm = check(ioctl(device, VMX_CREATE_VM, &create), "VMX_CREATE_VM");
	idle->mmu = check(ioctl(idle->vm, VMX_CREATE_EPT, &create), "VMX_CREATE_EPT");
}

static void create_vcpu(struct bench_idle *idle)
{
	struct vmx_create create = { .size = sizeof(create) };
	struct vmx_create_vcpu vcpu = { .size = sizeof(vcpu), .mmu_fd = idle->mmu };

	idle->vmcs = check(ioctl(idle->vm, VMX_CREATE_VMCS, &create), "VMX_CREATE_VMCS");
	vcpu.vmcs_fd = idle->vmcs;
	idle->vcpu = check(ioctl(idle->vm, VMX_CREATE_VCPU, &vcpu), "VMX_CREATE_VCPU");
}

static void *map_vcpu(const struct bench_idle *idle, size_t *size)
{
	void *map = mmap(NULL, sizeof(struct vmx_run_page), PROT_READ | PROT_WRITE, MAP_SHARED,
			 idle->vcpu, 0);

	if (map == MAP_FAILED)
		bench_fail("vmx: mmap of the run page");
	*size = sizeof(struct vmx_run_page);
	return map;
}

static void return_at_once(void *map)
{
	((struct vmx_run_page *)map)->immediate_exit = 1;
}

static void destroy(struct bench_idle *idle)
{
	if (idle->vcpu >= 0) {
		close(idle->vcpu);
		close(idle->vmcs);
	}
	close(idle->mmu);
	close(idle->vm);
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

static void run_to_hlt(struct vmx_vcpu *vcpu, struct bench_run *run)
{
	struct vmx_run_page *page = vcpu->run;

	for (;;) {
		check(bench_ioctl(vcpu->fd, VMX_RUN), "VMX_RUN");
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

static void read_counts(struct vmx_vm *vm, uint64_t *counts)
{
	struct vmx_vm_stats stats;

	check(vmx_vm_stats(vm, &stats), "VMX_VM_STATS");
	counts[BENCH_VMREADS] = stats.vmreads;
	counts[BENCH_VMWRITES] = stats.vmwrites;
	counts[BENCH_MSR_WRITES] = stats.msr_writes;
	counts[BENCH_INVALIDATIONS] = stats.invalidations;
	counts[BENCH_FPU_SWAPS] = stats.fpu_swaps;
	counts[BENCH_IPIS] = stats.ipis;
}

static void run(struct bench_run *run)
{
	struct bench_idle idle = { -1, -1, -1, -1 };
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;
	size_t size;

	create_vm(&idle);
	create_vcpu(&idle);
	vm = (struct vmx_vm) { .dev = device, .fd = idle.vm, .mmu = idle.mmu, .caps = caps,
			       .ram = run->ram, .ram_size = BENCH_RAM };
	vcpu = (struct vmx_vcpu) { .vm = &vm, .vmcs = idle.vmcs, .fd = idle.vcpu,
				   .run = map_vcpu(&idle, &size) };
	if (vmx_vm_map(&vm, 0, run->ram, BENCH_RAM, VMX_MMU_READ | VMX_MMU_WRITE | VMX_MMU_EXEC) ||
	    vmx_vm_map(&vm, BENCH_PAGES, run->pages, BENCH_OPS * 4096,
		       VMX_MMU_READ | VMX_MMU_WRITE | VMX_MMU_EXEC) ||
	    vmx_set_mode(&vm, vcpu.vmcs, VMX_MODE_LONG, BENCH_CODE, BENCH_CODE))
		bench_fail("vmx: %s", vmx_error());
	memcpy(run->ram + BENCH_CODE, run->code.start, run->code.end - run->code.start);
	set_cpuid(vcpu.fd);
	set_msr(vcpu.fd);
	run_to_hlt(&vcpu, run);
	read_counts(&vm, run->counts);
	munmap(vcpu.run, size);
	destroy(&idle);
}

const struct bench_side bench_vmx = {
	.name = "vmx",
	.open = open_device,
	.run = run,
	.create_vm = create_vm,
	.create_vcpu = create_vcpu,
	.map_vcpu = map_vcpu,
	.return_at_once = return_at_once,
	.destroy = destroy,
	.run_cmd = VMX_RUN,
};
