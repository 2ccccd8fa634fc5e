// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Shows /dev/vmx on one screen: guests in every mode, the reasons and cost of
 * their exits, the EPT's entries for an address, and the explanation of a VM
 * entry that fails.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#include <libvmx.h>
#include <libvmx/uart.h>

#include "guests.h"

#define RAM_SIZE	(4 << 20)
#define STACK		0x20000
#define MMIO		0xd0000000u
#define RFLAGS_FIXED	(1 << 1)

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static void show_capabilities(const struct vmx_caps *caps)
{
	unsigned int column = 12;
	const char *name;
	uint64_t bit;

	printf("vmx %u.%u     VMCS revision %#x, %u physical-address bits\n            ",
	       caps->api_major, caps->api_minor, (unsigned int)caps->msr.basic & 0x7fffffff,
	       caps->phys_bits);
	printf("controls: pin %#x, cpu %#x, cpu2 %#x, exit %#x, entry %#x\n            ",
	       caps->pin.may, caps->cpu.may, caps->cpu2.may, caps->exit.may, caps->entry.may);
	for (unsigned int n = 0; (name = vmx_feature_name(n, &bit)); n++) {
		if (!(caps->features & bit))
			continue;
		column += strlen(name) + 2;
		if (column > 96) {
			printf("\n            ");
			column = 12 + strlen(name) + 2;
		}
		printf("%s  ", name);
	}
	printf("\n\n");
}

struct demo {
	const char *name;
	enum vmx_mode mode;
	const unsigned char *code;
	const unsigned char *end;
};

static const struct demo demos[] = {
	{ "real", VMX_MODE_REAL, real_guest, real_guest_end },
	{ "protected", VMX_MODE_PROTECTED, protected_guest, protected_guest_end },
	{ "PAE", VMX_MODE_PAE, pae_guest, pae_guest_end },
	{ "64-bit", VMX_MODE_LONG, long_guest, long_guest_end },
};

/* Exits to this program and TSC ticks spent in RUN. */
struct cost {
	uint64_t exits;
	uint64_t ticks;
};

/* Does what the guests ask for; false when the guest has halted. */
static bool handle_exit(struct vmx_vcpu *vcpu, struct vmx_bus *ports)
{
	struct vmx_run_page *run = vcpu->run;
	const char *name;

	switch (run->reason) {
	case VMX_REASON_IO:
		if (!vmx_port_io(ports, run))
			errx(1, "unexpected access to port %#x", run->io_port);
		return true;
	case VMX_REASON_CPUID:
	case VMX_REASON_VMCALL:
		run->retire = 1;
		return true;
	case VMX_REASON_EPT_VIOLATION:
		/* MMIO: value and length are the instruction's, movl $42, (%rdi). */
		if ((run->physical & ~0xfffull) != MMIO)
			errx(1, "unexpected access to guest-physical %#llx", run->physical);
		run->length = 6;
		run->retire = 1;
		return true;
	case VMX_REASON_HLT:
		return false;
	}
	name = vmx_reason_name(run->reason & VMX_REASON_BASIC_MASK);
	errx(1, "unexpected exit %#x (%s) at %#llx", run->reason, name ? name : "?", run->rip);
}

static int run_demo(struct vmx_vm *vm, struct vmx_vcpu *vcpu, struct vmx_bus *ports,
		    const struct demo *demo, struct cost *cost)
{
	uint64_t start;
	int ret = vmx_set_mode(vm, vcpu->vmcs, demo->mode, VMX_GUEST_FREE, STACK);

	if (ret)
		return ret;
	memcpy(vm->ram + VMX_GUEST_FREE, demo->code, demo->end - demo->code);
	memset(vcpu->run->regs, 0, sizeof(vcpu->run->regs));
	do {
		start = __rdtsc();
		ret = vmx_run(vcpu);
		cost->ticks += __rdtsc() - start;
		cost->exits++;
		if (ret == -EINTR)
			continue;
		if (ret)
			errx(1, "%s", vmx_error());
	} while (handle_exit(vcpu, ports));
	return 0;
}

static void run_demos(struct vmx_vm *vm, struct vmx_vcpu *vcpu)
{
	struct vmx_bus ports = { 0 };
	struct cost cost = { 0 };
	struct vmx_uart uart;

	vmx_uart_init(&uart, &(struct vmx_uart_config){ .send = vmx_uart_print, .host = stdout });
	if (vmx_uart_attach(&uart, &ports, 0x3f8))
		errx(1, "%s", vmx_error());
	for (size_t n = 0; n < COUNT(demos); n++) {
		printf("%-10s  ", demos[n].name);
		if (run_demo(vm, vcpu, &ports, &demos[n], &cost))
			printf("refused: %s\n", vmx_error());
	}
	vmx_bus_free(&ports);
	printf("\n%llu exits to this program, %llu instructions each (TSC ticks in VMX_RUN, "
	       "which the\nemulated machine counts by instruction)\n\n",
	       (unsigned long long)cost.exits, (unsigned long long)(cost.ticks / cost.exits));
}

static void show_stats(struct vmx_vm *vm)
{
	struct vmx_vm_stats stats;

	if (vmx_vm_stats(vm, &stats))
		errx(1, "%s", vmx_error());
	printf("Exits by reason (the kernel finished those that did not reach the program)\n");
	for (uint32_t n = 0; n < VMX_STATS_REASONS; n++) {
		const char *name = vmx_reason_name(n);

		if (stats.exits[n])
			printf("  %8llu  %s\n", stats.exits[n], name ? name : "?");
	}
	printf("  %llu VM entries, %llu page faults resolved, %llu VMREADs, %llu VMWRITEs, "
	       "%llu MSR writes\n\n",
	       stats.entries, stats.faults, stats.vmreads, stats.vmwrites, stats.msr_writes);
}

static void show_walk(struct vmx_vm *vm, uint64_t gpa)
{
	static const char *const names[] = { "EPTE", "EPDE", "EPDPTE", "EPML4E", "EPML5E" };
	struct vmx_mmu_walk walk = { .size = sizeof(walk), .gpa = gpa };

	if (ioctl(vm->mmu, VMX_MMU_WALK, &walk))
		err(1, "cannot walk the EPT");
	printf("The EPT's entries for guest-physical %#llx\n", (unsigned long long)gpa);
	for (uint32_t level = walk.top; level >= walk.leaf && level; level--) {
		unsigned long long entry = walk.entry[level - 1];

		printf("  level %u  %-6s  %#018llx  %c%c%c%s\n", level, names[level - 1], entry,
		       entry & 1 ? 'r' : '-', entry & 2 ? 'w' : '-', entry & 4 ? 'x' : '-',
		       level == walk.leaf && walk.present ? "  leaf" : "");
	}
	printf("  %s%s\n\n", walk.present ? "mapped" : "not mapped",
	       walk.masked ? " (frame numbers withheld: that needs CAP_SYS_ADMIN)" : "");
}

static void explain(const char *who, const struct vmx_failure *failure)
{
	char text[512];

	printf("  %s: %s\n", who, vmx_explain_failure(failure, text, sizeof(text)));
}

/* A VMCS without RFLAGS bit 1, judged without entering and, on a vCPU, by entering. */
static void show_failure(struct vmx_vm *vm, struct vmx_vcpu *vcpu)
{
	struct vmx_failure failure;
	int vmcs = vcpu->vmcs;

	printf("A VM entry that fails on purpose: RFLAGS bit 1, which is always 1, is 0\n");
	if (vmx_set_mode(vm, vmcs, VMX_MODE_LONG, VMX_GUEST_FREE, STACK) ||
	    vmx_field_change(vmcs, VMX_F_GUEST_RFLAGS, RFLAGS_FIXED, 0) ||
	    vmx_vmcs_check(vmcs, &failure))
		errx(1, "%s", vmx_error());
	explain("dry run", &failure);
	if (vmx_run(vcpu))
		errx(1, "%s", vmx_error());
	if (!vmx_entry_failed(vcpu->run))
		errx(1, "the entry succeeded");
	explain("entered", &vcpu->run->failure);
}

static void demo_guests(void)
{
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;

	if (vmx_vm_open(&vm, RAM_SIZE) || vmx_vcpu_open(&vcpu, &vm))
		errx(1, "%s", vmx_error());
	run_demos(&vm, &vcpu);
	show_stats(&vm);
	show_walk(&vm, VMX_GUEST_FREE);
	show_failure(&vm, &vcpu);
	vmx_vcpu_close(&vcpu);
	vmx_vm_close(&vm);
}

int main(void)
{
	struct vmx_caps caps;

	if (vmx_open(&caps) < 0)
		errx(1, "%s", vmx_error());
	show_capabilities(&caps);
	demo_guests();
	return 0;
}
