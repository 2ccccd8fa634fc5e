// SPDX-License-Identifier: GPL-2.0
/* Helpers of the tests that do not need the harness. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include <libvmx.h>

#include "vmx_test_lib.h"

extern const unsigned char test_stubs[], test_stubs_end[];

int test_start_code(struct vmx_vcpu *vcpu, enum vmx_mode mode, const void *code, size_t size)
{
	memset(vcpu->run->regs, 0, sizeof(vcpu->run->regs));
	memcpy(vcpu->vm->ram + TEST_CODE, code, size);
	return vmx_set_mode(vcpu->vm, vcpu->vmcs, mode, TEST_CODE, TEST_STACK);
}

void test_goto(struct vmx_vcpu *vcpu, uint64_t offset)
{
	vcpu->run->rip = TEST_CODE + offset;
	vcpu->run->dirty |= VMX_STATE_RIP;
}

int test_set_cpuid(struct vmx_vcpu *vcpu, const struct vmx_cpuid_entry *entries, size_t count)
{
	struct vmx_cpuid cpuid = {
		.size = sizeof(cpuid), .entries = (uintptr_t)entries, .count = count,
	};

	return ioctl(vcpu->fd, VMX_SET_CPUID, &cpuid) ? -errno : 0;
}

static int msrs_io(struct vmx_vcpu *vcpu, unsigned long request, const struct vmx_msr *list,
		   size_t count, uint32_t *bad)
{
	struct vmx_msrs msrs = { .size = sizeof(msrs), .msrs = (uintptr_t)list, .count = count };
	int ret = ioctl(vcpu->fd, request, &msrs) ? -errno : 0;

	if (bad)
		*bad = msrs.bad_index;
	return ret;
}

int test_set_msrs(struct vmx_vcpu *vcpu, const struct vmx_msr *msrs, size_t count, uint32_t *bad)
{
	return msrs_io(vcpu, VMX_SET_MSRS, msrs, count, bad);
}

int test_get_msrs(struct vmx_vcpu *vcpu, struct vmx_msr *msrs, size_t count, uint32_t *bad)
{
	return msrs_io(vcpu, VMX_GET_MSRS, msrs, count, bad);
}

int test_set_idt(struct vmx_vcpu *vcpu)
{
	struct vmx_field fields[] = {
		{ .field = VMX_F_GUEST_IDTR_BASE, .value = TEST_IDT },
		{ .field = VMX_F_GUEST_IDTR_LIMIT, .value = 256 * 16 - 1 },
	};

	memcpy(vcpu->vm->ram + TEST_STUBS, test_stubs, test_stubs_end - test_stubs);
	for (unsigned int vector = 0; vector < 256; vector++) {
		uint64_t handler = TEST_STUBS + vector * TEST_STUB_SIZE;
		/* A present 64-bit interrupt gate of privilege level 3. */
		uint64_t gate[2] = {
			(handler & 0xffff) | VMX_GUEST_CS64 << 16 | 0xeeull << 40 |
			(handler >> 16 & 0xffff) << 48,
			handler >> 32,
		};

		memcpy(vcpu->vm->ram + TEST_IDT + vector * sizeof(gate), gate, sizeof(gate));
	}
	return vmx_fields_set(vcpu->vmcs, fields, 2);
}

const char *test_missing(uint64_t features)
{
	static char reason[128];
	struct vmx_caps caps;
	const char *name;
	uint64_t bit;
	int fd = vmx_open(&caps);

	if (fd < 0)
		return vmx_error();
	close(fd);
	for (unsigned int n = 0; (name = vmx_feature_name(n, &bit)); n++) {
		if (!(features & ~caps.features & bit))
			continue;
		snprintf(reason, sizeof(reason), "the CPU has no %s", name);
		return reason;
	}
	return NULL;
}

static void give_up(void)
{
	const char *required = getenv("VMX_REQUIRED");

	printf("TAP version 13\n");
	if (required && !strcmp(required, "1")) {
		printf("Bail out! %s\n", vmx_error());
		exit(1);
	}
	printf("1..0 # SKIP %s\n", vmx_error());
	exit(4);
}

void test_require_device(void)
{
	struct vmx_caps caps;
	int fd = vmx_open(&caps);

	if (fd < 0)
		give_up();
	close(fd);
}

void test_require_vmx(void)
{
	struct vmx_vm vm;

	if (vmx_vm_open(&vm, 0))
		give_up();
	vmx_vm_close(&vm);
}

const char *test_describe(const struct vmx_vcpu *vcpu)
{
	static __thread char text[1024];
	const struct vmx_run_page *run = vcpu->run;
	const char *name = vmx_reason_name(run->reason & VMX_REASON_BASIC_MASK);
	int n = snprintf(text, sizeof(text),
			 "exit %#x (%s) at rip %#llx: qualification %#llx linear %#llx physical %#llx "
			 "interruption %#x/%#x vectoring %#x/%#x",
			 run->reason, name ? name : "?", run->rip, run->qualification, run->linear,
			 run->physical, run->intr_info, run->intr_error, run->idt_info,
			 run->idt_error);

	if (vmx_entry_failed(run)) {
		n += snprintf(text + n, sizeof(text) - n, "; ");
		vmx_explain_failure(&run->failure, text + n, sizeof(text) - n);
	}
	return text;
}

uint64_t test_seed(void)
{
	const char *given = getenv("VMX_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

	printf("# VMX_SEED=%llu\n", (unsigned long long)seed);
	return seed * 0x9e3779b97f4a7c15ull + 1;
}

/* SplitMix64: any state will do. */
uint64_t test_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

bool test_on_bochs(void)
{
	const char *machine = getenv("VMX_MACHINE");

	return machine && !strcmp(machine, "bochs");
}

bool test_on_bochs_3(void)
{
	const char *version = getenv("VMX_BOCHS");

	return test_on_bochs() && version && !strcmp(version, "3");
}

int test_cpus(void)
{
	return get_nprocs();
}

int test_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

long long test_read_number(const char *path)
{
	FILE *file = fopen(path, "r");
	long long number = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%lli", &number) != 1)
		number = -1;
	fclose(file);
	return number;
}

int test_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int ret;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	ret = n < 0 ? -errno : 0;
	close(fd);
	return ret;
}
