// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Has this CPU the features that a saved guest was promised? SDM, "CPUID--CPU Identification". What
 * else CPUID says, such as the model or the sizes of caches, is the saved one's from then on.
 */
#include <errno.h>

#include "../lib/internal.h"
#include "internal.h"
#include "vcpu_state.h"

/* Words whose bits are features: a guest may use each one that is set. */
static const struct word {
	uint32_t leaf, subleaf;
	uint8_t at;
	const char *names[32];
} words[] = {
#define WORD(reg) offsetof(struct vmx_cpuid_entry, reg)
	{ 0x1, 0, WORD(ecx), {
		"SSE3", "PCLMULQDQ", "DTES64", "MONITOR", "DS-CPL", "VMX", "SMX", "EIST", "TM2",
		"SSSE3", "CNXT-ID", "SDBG", "FMA", "CMPXCHG16B", "xTPR", "PDCM", NULL, "PCID",
		"DCA", "SSE4.1", "SSE4.2", "x2APIC", "MOVBE", "POPCNT", "TSC-deadline", "AES",
		"XSAVE", "OSXSAVE", "AVX", "F16C", "RDRAND", "hypervisor" } },
	{ 0x1, 0, WORD(edx), {
		"FPU", "VME", "DE", "PSE", "TSC", "MSR", "PAE", "MCE", "CX8", "APIC", NULL, "SEP",
		"MTRR", "PGE", "MCA", "CMOV", "PAT", "PSE-36", "PSN", "CLFSH", NULL, "DS", "ACPI",
		"MMX", "FXSR", "SSE", "SSE2", "SS", "HTT", "TM", NULL, "PBE" } },
	{ 0x7, 0, WORD(ebx), {
		"FSGSBASE", "TSC_ADJUST", "SGX", "BMI1", "HLE", "AVX2", NULL, "SMEP", "BMI2",
		"ERMS", "INVPCID", "RTM", NULL, NULL, "MPX", NULL, "AVX512F", "AVX512DQ", "RDSEED",
		"ADX", "SMAP", "AVX512_IFMA", NULL, "CLFLUSHOPT", "CLWB", NULL, NULL, NULL,
		"AVX512CD", "SHA", "AVX512BW", "AVX512VL" } },
	{ 0x7, 0, WORD(ecx), {
		[1] = "AVX512_VBMI", [2] = "UMIP", [3] = "PKU", [8] = "GFNI", [9] = "VAES",
		[10] = "VPCLMULQDQ", [16] = "LA57", [22] = "RDPID" } },
	{ 0x7, 0, WORD(edx), { [4] = "fast short REP MOV" } },
	{ 0xd, 0, WORD(eax), {
		"x87 state", "SSE state", "AVX state", NULL, NULL, "opmask state",
		"ZMM_Hi256 state", "Hi16_ZMM state" } },
	{ 0xd, 1, WORD(eax), { "XSAVEOPT", "XSAVEC", "XGETBV with ECX = 1", "XSAVES" } },
	{ 0x80000001, 0, WORD(ecx), { [0] = "LAHF", [5] = "LZCNT", [8] = "PREFETCHW" } },
	{ 0x80000001, 0, WORD(edx), {
		[11] = "SYSCALL", [20] = "NX", [26] = "1-GByte pages", [27] = "RDTSCP",
		[29] = "Intel 64" } },
};

/* The kernel makes these bits of others. */
#define OSXSAVE		(1u << 27)

static const struct vmx_cpuid_entry *find(const struct vmx_cpuid_entry *entries,
					  unsigned int count, uint32_t leaf, uint32_t subleaf)
{
	static const struct vmx_cpuid_entry none;

	for (unsigned int n = 0; n < count; n++)
		if (entries[n].leaf == leaf &&
		    (!(entries[n].flags & VMX_CPUID_SUBLEAF) || entries[n].subleaf == subleaf))
			return &entries[n];
	return &none;
}

static uint32_t word_of(const struct vmx_cpuid_entry *entry, const struct word *word)
{
	uint32_t value = *(const uint32_t *)((const char *)entry + word->at);

	return word->leaf == 1 && word->at == WORD(ecx) ? value & ~OSXSAVE : value;
}

static int refuse(const struct word *word, unsigned int bit)
{
	static const char *const registers[] = { "EAX", "EBX", "ECX", "EDX" };
	const unsigned int n = (word->at - WORD(eax)) / sizeof(uint32_t);

	if (word->names[bit])
		return vmx_fail(EOPNOTSUPP,
				"the guest may use %s, which this CPU does not have, or not for guests",
				word->names[bit]);
	return vmx_fail(EOPNOTSUPP,
			"the guest may use CPUID.%XH.%u:%s[%u], which this CPU does not have, or not for guests",
			word->leaf, word->subleaf, registers[n], bit);
}

/* A component of the XSAVE area has to be where the guest has it. */
static int check_component(const struct vmx_cpu *cpu, const struct state_cpuid *saved,
			   unsigned int n)
{
	const struct vmx_cpuid_entry *was = find(saved->entries, saved->count, 0xd, n);
	const struct vmx_cpuid_entry *is = find(cpu->cpuid, cpu->cpuid_count, 0xd, n);

	if (was->eax == is->eax && was->ebx == is->ebx)
		return 0;
	return vmx_fail(EOPNOTSUPP,
			"this CPU has component %u of the XSAVE area in another place than the guest",
			n);
}

/* SDM, "Linear/Physical Address Size": the guest takes what lies above for reserved. */
static int check_addresses(const struct vmx_cpu *cpu, const struct state_cpuid *saved)
{
	uint32_t was = find(saved->entries, saved->count, 0x80000008, 0)->eax;
	uint32_t is = find(cpu->cpuid, cpu->cpuid_count, 0x80000008, 0)->eax;

	if ((was & 0xff) > (is & 0xff))
		return vmx_fail(EOPNOTSUPP,
				"the guest has %u physical-address bits, and this CPU has %u",
				was & 0xff, is & 0xff);
	if ((was >> 8 & 0xff) > (is >> 8 & 0xff))
		return vmx_fail(EOPNOTSUPP,
				"the guest has %u linear-address bits, and this CPU has %u",
				was >> 8 & 0xff, is >> 8 & 0xff);
	return 0;
}

int vmx_cpu_check_cpuid(const struct vmx_cpu *cpu, const struct state_cpuid *saved)
{
	uint32_t components = find(saved->entries, saved->count, 0xd, 0)->eax;
	int ret = 0;

	for (size_t n = 0; n < COUNT(words); n++) {
		const struct word *word = &words[n];
		uint32_t was = word_of(find(saved->entries, saved->count, word->leaf,
					    word->subleaf), word);
		uint32_t is = word_of(find(cpu->cpuid, cpu->cpuid_count, word->leaf,
					   word->subleaf), word);

		if (was & ~is)
			return refuse(word, __builtin_ctz(was & ~is));
	}
	for (unsigned int n = 2; !ret && n < 32; n++)
		if (components >> n & 1)
			ret = check_component(cpu, saved, n);
	return ret ?: check_addresses(cpu, saved);
}
