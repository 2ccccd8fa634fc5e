// SPDX-License-Identifier: GPL-2.0
/* CPUID of a guest: instructions that take a control are offered only where the CPU has that. */
#include <cpuid.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"

#include "../lib/internal.h"
#include "../machine/internal.h"

#define TSC_AUX	0xc0000103

/* The module's part. */
static bool has_tsc_aux;

int ioctl(int fd, unsigned long request, ...)
{
	const struct vmx_msrs *msrs;
	va_list args;

	va_start(args, request);
	msrs = va_arg(args, void *);
	va_end(args);
	for (unsigned int n = 0; request == VMX_SET_MSRS && n < msrs->count; n++)
		has_tsc_aux |= ((struct vmx_msr *)(uintptr_t)msrs->msrs)[n].index == TSC_AUX;
	return 0;
}

FIXTURE(identified) {
	struct vmx_machine machine;
};

FIXTURE_SETUP(identified)
{
	struct vmx_cpu *cpu = &self->machine.cpus[0];

	self->machine.config.cpus = 1;
	self->machine.tsc_khz = 1000000;
	cpu->machine = &self->machine;
	cpu->vcpu.vm = &self->machine.vm;
	has_tsc_aux = false;
}

FIXTURE_TEARDOWN(identified)
{
}

/* An instruction, by its bit of CPUID, and the control that it takes. */
static const struct row {
	const char *name;
	uint32_t leaf;
	size_t word;
	unsigned int bit;
	uint32_t control;
} rows[] = {
	{ "INVPCID", 7, offsetof(struct vmx_cpuid_entry, ebx), 10, VMX_CPU2_INVPCID },
	{ "RDPID", 7, offsetof(struct vmx_cpuid_entry, ecx), 22, VMX_CPU2_RDTSCP },
	{ "RDTSCP", 0x80000001, offsetof(struct vmx_cpuid_entry, edx), 27, VMX_CPU2_RDTSCP },
};

static bool has_bit(const struct vmx_cpuid_entry *entry, const struct row *row)
{
	uint32_t word;

	memcpy(&word, (const char *)entry + row->word, sizeof(word));
	return word >> row->bit & 1;
}

static bool host_has(const struct row *row)
{
	struct vmx_cpuid_entry entry = { .leaf = row->leaf };

	return __get_cpuid_count(row->leaf, 0, &entry.eax, &entry.ebx, &entry.ecx, &entry.edx) &&
	       has_bit(&entry, row);
}

static bool guest_has(const struct vmx_cpu *cpu, const struct row *row)
{
	for (unsigned int n = 0; n < cpu->cpuid_count; n++)
		if (cpu->cpuid[n].leaf == row->leaf && !cpu->cpuid[n].subleaf)
			return has_bit(&cpu->cpuid[n], row);
	return false;
}

TEST_F(identified, what_a_control_has_to_allow_is_offered_with_it)
{
	static const uint32_t mays[] = {
		0, VMX_CPU2_INVPCID, VMX_CPU2_RDTSCP, VMX_CPU2_INVPCID | VMX_CPU2_RDTSCP,
	};
	struct vmx_cpu *cpu = &self->machine.cpus[0];

	for (size_t n = 0; n < COUNT(mays); n++) {
		self->machine.vm.caps.cpu2.may = mays[n];
		has_tsc_aux = false;
		ASSERT_EQ(0, vmx_cpu_identify(cpu));
		for (size_t i = 0; i < COUNT(rows); i++) {
			bool may = host_has(&rows[i]) && mays[n] & rows[i].control;

			EXPECT_EQ(may, guest_has(cpu, &rows[i])) {
				TH_LOG("%s, controls %#x", rows[i].name, mays[n]);
			}
		}
		EXPECT_EQ(guest_has(cpu, &rows[2]), has_tsc_aux);
	}
}

TEST_HARNESS_MAIN
