// SPDX-License-Identifier: LGPL-2.1-or-later
/* A vCPU's CPUID: the host's, less the features that guests do not have. */
#include <cpuid.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../lib/internal.h"
#include "internal.h"
#include "vcpu_state.h"

#define LAST_LEAF	0x16
#define LAST_EXTENDED	0x80000008
/* The two high bits of leaves that are left to hypervisors. */
#define HYPERVISOR_LEAVES 1
#define BIT(n)		(1u << (n))

struct table {
	struct vmx_cpuid_entry entries[VMX_CPUID_MAX];
	unsigned int count;
};

static struct vmx_cpuid_entry *add(struct table *table, uint32_t leaf, uint32_t subleaf)
{
	struct vmx_cpuid_entry *entry = &table->entries[table->count++];

	*entry = (struct vmx_cpuid_entry){
		.leaf = leaf, .subleaf = subleaf,
		.flags = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd ?
			 VMX_CPUID_SUBLEAF : 0,
	};
	return entry;
}

/* The host's values; zeroes for a leaf it has not. */
static struct vmx_cpuid_entry *copy(struct table *table, uint32_t leaf, uint32_t subleaf)
{
	struct vmx_cpuid_entry *entry = add(table, leaf, subleaf);

	if (leaf <= (uint32_t)__get_cpuid_max(leaf & 0x80000000, NULL))
		__cpuid_count(leaf, subleaf, entry->eax, entry->ebx, entry->ecx, entry->edx);
	return entry;
}

static unsigned int bits_for(unsigned int count)
{
	return count > 1 ? 32 - __builtin_clz(count - 1) : 0;
}

/* Without XSAVE, guests have no AVX either, nor what is built on it. */
static bool has_xsave(const struct vmx_cpu *cpu)
{
	return cpu->machine->vm.caps.features & VMX_HAS_XSAVE;
}

/* Has this computer a secondary control, without which the guest's instruction is a #UD? */
static bool may_allow(const struct vmx_cpu *cpu, uint32_t control)
{
	return cpu->machine->vm.caps.cpu2.may & control;
}

/* SDM, "CPUID--CPU Identification", leaf 01H */
static void features(struct table *table, const struct vmx_cpu *cpu)
{
	struct vmx_cpuid_entry *entry = copy(table, 1, 0);
	unsigned int cpus = cpu->machine->config.cpus;

	entry->ebx = (entry->ebx & 0xff00) | cpus << 16 | cpu->id << 24;
	/* DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, SDBG, xTPR, PDCM, DCA */
	entry->ecx &= ~(BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) |
			BIT(14) | BIT(15) | BIT(18));
	/* FMA, XSAVE, AVX, F16C */
	if (!has_xsave(cpu))
		entry->ecx &= ~(BIT(12) | BIT(26) | BIT(28) | BIT(29));
	/* x2APIC, TSC deadline, hypervisor */
	entry->ecx |= BIT(21) | BIT(24) | BIT(31);
	/* MCE, MTRR, MCA, PSN, DS, ACPI, SS, HTT, TM, PBE */
	entry->edx &= ~(BIT(7) | BIT(12) | BIT(14) | BIT(18) | BIT(21) | BIT(22) | BIT(27) |
			BIT(28) | BIT(29) | BIT(31));
	entry->edx |= BIT(9) | (cpus > 1 ? BIT(28) : 0);
}

/* Caches as they are, each a CPU's own. */
static void caches(struct table *table)
{
	for (unsigned int n = 0; n < 5; n++) {
		struct vmx_cpuid_entry *entry = copy(table, 4, n);

		if (!(entry->eax & 0x1f))
			break;
		entry->eax &= 0x3fff;
	}
}

/*
 * REP MOVSB and STOSB are slow where IA32_MISC_ENABLE has fast strings off (SDM, "Fast-String
 * Operation"). CPUID does not say so, the host's kernel does: among what it uses, they are missing.
 */
static bool has_fast_strings(void)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char *line = NULL, *erms;
	bool fast = true;
	size_t room = 0;

	while (file && getline(&line, &room, file) > 0) {
		if (strncmp(line, "flags", 5))
			continue;
		erms = strstr(line, " erms");
		fast = erms && isspace(erms[5]);
		break;
	}
	if (file)
		fclose(file);
	free(line);
	return fast;
}

static void extended_features(struct table *table, const struct vmx_cpu *cpu)
{
	struct vmx_cpuid_entry *entry = copy(table, 7, 0);

	entry->eax = 0;
	/* IA32_TSC_ADJUST */
	entry->ebx |= BIT(1);
	/* FSGSBASE, BMI1, AVX2, SMEP, BMI2, ERMS, INVPCID, RDSEED */
	/* ADX, SMAP, CLFLUSHOPT, CLWB, SHA */
	entry->ebx &= BIT(0) | BIT(1) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(10) |
		      BIT(18) | BIT(19) | BIT(20) | BIT(23) | BIT(24) | BIT(29);
	/* UMIP, GFNI, VAES, VPCLMULQDQ, LA57, RDPID */
	entry->ecx &= BIT(2) | BIT(8) | BIT(9) | BIT(10) | BIT(16) | BIT(22);
	/* AVX2, VAES, VPCLMULQDQ */
	if (!has_xsave(cpu)) {
		entry->ebx &= ~BIT(5);
		entry->ecx &= ~(BIT(9) | BIT(10));
	}
	if (!may_allow(cpu, VMX_CPU2_INVPCID))
		entry->ebx &= ~BIT(10);
	/* RDPID */
	if (!may_allow(cpu, VMX_CPU2_RDTSCP))
		entry->ecx &= ~BIT(22);
	/* fast short REP MOV */
	entry->edx &= BIT(4);
	if (!has_fast_strings()) {
		entry->ebx &= ~BIT(9);
		entry->edx = 0;
	}
}

/* SDM, "Extended Topology Enumeration Leaf": one thread a core, all cores in one package */
static void topology(struct table *table, const struct vmx_cpu *cpu)
{
	unsigned int cpus = cpu->machine->config.cpus;
	struct vmx_cpuid_entry *entry = add(table, 0xb, 0);

	entry->ebx = 1;
	entry->ecx = 0x100;
	entry->edx = cpu->id;
	entry = add(table, 0xb, 1);
	entry->eax = bits_for(cpus);
	entry->ebx = cpus;
	entry->ecx = 0x201;
	entry->edx = cpu->id;
	entry = add(table, 0xb, 2);
	entry->ecx = 2;
	entry->edx = cpu->id;
}

/*
 * x87, SSE, AVX and AVX-512, in the standard format. The host may have more, so the largest area
 * (ECX) ends with what a guest can have; the module says how large the present one is (EBX).
 */
static void state_components(struct table *table)
{
	struct vmx_cpuid_entry *all = copy(table, 0xd, 0), *entry;

	all->eax &= 0xe7;
	all->ecx = 512 + 64;
	all->edx = 0;
	/* XSAVEOPT, XGETBV with ECX = 1 */
	entry = copy(table, 0xd, 1);
	entry->eax &= BIT(0) | BIT(2);
	entry->ebx = 0;
	entry->ecx = 0;
	entry->edx = 0;
	for (unsigned int n = 2; n < 8; n++) {
		if (!(all->eax & BIT(n)))
			continue;
		entry = copy(table, 0xd, n);
		if (all->ecx < entry->ebx + entry->eax)
			all->ecx = entry->ebx + entry->eax;
	}
}

/*
 * The TSC's rate, as a ratio to the clock that the APIC timer counts. Linux
 * multiplies that clock's kHz by the numerator in 32 bits, so the ratio is the
 * best one with a numerator that leaves room.
 */
static void rates(struct table *table, uint32_t tsc_khz)
{
	const uint64_t timer_khz = VMX_LAPIC_TIMER_HZ / 1000;
	struct vmx_cpuid_entry *entry = add(table, 0x15, 0);
	uint64_t least = UINT64_MAX;

	entry->ecx = VMX_LAPIC_TIMER_HZ;
	for (uint64_t denominator = 1; denominator <= 4000; denominator++) {
		uint64_t numerator = (tsc_khz * denominator + timer_khz / 2) / timer_khz;
		uint64_t got = timer_khz * numerator;
		/* In millionths of a kHz. */
		uint64_t error = llabs((long long)(got - tsc_khz * denominator)) * 1000000 /
				 denominator;

		if (!numerator || got > UINT32_MAX || error >= least)
			continue;
		least = error;
		entry->eax = denominator;
		entry->ebx = numerator;
	}
	entry = add(table, 0x16, 0);
	entry->eax = tsc_khz / 1000 ?: 1;
	entry->ebx = entry->eax;
}

static void extended_leaves(struct table *table, const struct vmx_cpu *cpu)
{
	struct vmx_cpuid_entry *entry = copy(table, 0x80000000, 0);

	entry->eax = LAST_EXTENDED;
	entry = copy(table, 0x80000001, 0);
	/* LAHF, LZCNT, PREFETCHW */
	entry->ecx &= BIT(0) | BIT(5) | BIT(8);
	/* RDTSCP */
	if (!may_allow(cpu, VMX_CPU2_RDTSCP))
		entry->edx &= ~BIT(27);
	for (uint32_t leaf = 0x80000002; leaf <= 0x80000006; leaf++)
		copy(table, leaf, 0);
	entry = add(table, 0x80000007, 0);
	entry->edx = BIT(8);	/* the TSC's rate never changes */
	entry = copy(table, 0x80000008, 0);
	entry->ebx = 0;
	entry->ecx = 0;
	entry->edx = 0;
}

static void fill(struct table *table, const struct vmx_cpu *cpu)
{
	struct vmx_cpuid_entry *entry = copy(table, 0, 0);

	entry->eax = LAST_LEAF;
	features(table, cpu);
	copy(table, 2, 0);
	caches(table);
	/* The local APIC's timer always runs. */
	entry = add(table, 6, 0);
	entry->eax = BIT(2);
	extended_features(table, cpu);
	topology(table, cpu);
	if (has_xsave(cpu))
		state_components(table);
	rates(table, cpu->machine->tsc_khz);
	extended_leaves(table, cpu);
}

/*
 * SDM, "CPUID--CPU Identification": a leaf above the last one is the last basic one, and a subleaf
 * of the topology that is not there still names itself and the CPU. Other leaves that are not there
 * are zeroes.
 */
void vmx_cpu_cpuid_missing(struct vmx_cpu *cpu)
{
	uint64_t *regs = (uint64_t *)cpu->vcpu.run->regs;
	uint32_t leaf = regs[VMX_RAX], subleaf = regs[VMX_RCX];
	struct vmx_cpuid_entry *entry, none = {};
	struct table table = { .count = 0 };
	const bool beyond = leaf >> 30 != HYPERVISOR_LEAVES &&
			    leaf > (leaf & 0x80000000 ? LAST_EXTENDED : LAST_LEAF);

	if (leaf == 0xb) {
		none.ecx = subleaf & 0xff;
		none.edx = cpu->id;
	}
	entry = &none;
	if (beyond) {
		rates(&table, cpu->machine->tsc_khz);
		entry = &table.entries[table.count - 1];
	}
	regs[VMX_RAX] = entry->eax;
	regs[VMX_RBX] = entry->ebx;
	regs[VMX_RCX] = entry->ecx;
	regs[VMX_RDX] = entry->edx;
}

int vmx_cpu_set_cpuid(struct vmx_cpu *cpu, const struct vmx_cpuid_entry *entries,
		      unsigned int count)
{
	struct vmx_cpuid cpuid = {
		.size = sizeof(cpuid), .entries = (uintptr_t)entries, .count = count,
	};

	if (ioctl(cpu->vcpu.fd, VMX_SET_CPUID, &cpuid))
		return vmx_fail(errno, "cannot set the CPUID table: %s", strerror(errno));
	memmove(cpu->cpuid, entries, count * sizeof(*entries));
	cpu->cpuid_count = count;
	return 0;
}

static int set_cpuid(struct vmx_cpu *cpu)
{
	struct table table = { .count = 0 };

	fill(&table, cpu);
	return vmx_cpu_set_cpuid(cpu, table.entries, table.count);
}

/* FS_BASE and its kin: the guest's own. */
#define MSR_SYSENTER_CS	0x174
#define MSR_SYSENTER_EIP 0x176
#define MSR_PAT		0x277
#define MSR_EFER	0xc0000080
#define MSR_FS_BASE	0xc0000100
#define MSR_GS_BASE	0xc0000101

static const uint32_t own_msrs[] = {
	MSR_SYSENTER_CS, 0x175, MSR_SYSENTER_EIP,
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,	/* STAR, LSTAR, CSTAR, FMASK */
	MSR_FS_BASE, MSR_GS_BASE, 0xc0000102,		/* and KERNEL_GS_BASE */
};

_Static_assert(COUNT(own_msrs) + 3 <= VMX_CPU_MSRS, "All that a guest can have fit");

unsigned int vmx_cpu_msrs(const struct vmx_cpu *cpu, struct vmx_msr *table)
{
	uint64_t features = cpu->machine->vm.caps.features;
	unsigned int eax, ebx, ecx, edx, count = 0;

	for (size_t n = 0; n < COUNT(own_msrs); n++)
		table[count++].index = own_msrs[n];
	/*
	 * A guest that is not unrestricted has another EFER while it has no paging; with shadow
	 * paging the module knows that.
	 */
	if ((features & VMX_HAS_LOAD_EFER && features & VMX_HAS_UNRESTRICTED) ||
	    cpu->machine->vm.shadow)
		table[count++].index = MSR_EFER;
	if (features & VMX_HAS_LOAD_PAT)
		table[count++].index = MSR_PAT;
	if (may_allow(cpu, VMX_CPU2_RDTSCP) &&
	    __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && edx & BIT(27))
		table[count++].index = 0xc0000103;	/* TSC_AUX, with RDTSCP */
	for (unsigned int n = 0; n < count; n++) {
		table[n].policy = VMX_MSR_PASSTHROUGH;
		table[n].value = 0;
	}
	return count;
}

bool vmx_cpu_msr_is_field(uint32_t index)
{
	return (index >= MSR_SYSENTER_CS && index <= MSR_SYSENTER_EIP) || index == MSR_PAT ||
	       index == MSR_EFER || index == MSR_FS_BASE || index == MSR_GS_BASE;
}

int vmx_cpu_set_msrs(struct vmx_cpu *cpu, const struct vmx_msr *table, unsigned int count)
{
	struct vmx_msrs msrs = {
		.size = sizeof(msrs), .msrs = (uintptr_t)table, .count = count,
	};

	if (ioctl(cpu->vcpu.fd, VMX_SET_MSRS, &msrs))
		return vmx_fail(errno, "cannot set the policy of MSR %#x: %s",
				table[msrs.bad_index].index, strerror(errno));
	return 0;
}

static int set_msrs(struct vmx_cpu *cpu)
{
	struct vmx_msr table[VMX_CPU_MSRS];

	return vmx_cpu_set_msrs(cpu, table, vmx_cpu_msrs(cpu, table));
}

/* What finishes the instructions that exit for memory */

static void *host(void *arg, uint64_t gpa, size_t length, bool write)
{
	struct vmx_cpu *cpu = arg;

	return vmx_machine_memory(cpu->machine, gpa, length, write);
}

static void written(void *arg, uint64_t gpa, size_t length)
{
	struct vmx_cpu *cpu = arg;

	if (cpu->machine->vm.shadow)
		vmx_machine_wrote(cpu->machine, gpa, length);
}

static uint64_t read_memory(void *arg, uint64_t gpa, unsigned int size)
{
	struct vmx_cpu *cpu = arg;
	uint64_t value;

	if (!vmx_lapic_read(&cpu->lapic, gpa, size, &value))
		vmx_bus_read(&cpu->machine->mmio, gpa, size, &value);
	return value;
}

static void write_memory(void *arg, uint64_t gpa, unsigned int size, uint64_t value)
{
	struct vmx_cpu *cpu = arg;

	if (!vmx_lapic_write(&cpu->lapic, gpa, size, value))
		vmx_bus_write(&cpu->machine->mmio, gpa, size, value);
}

static uint64_t port_read(void *arg, uint16_t port, unsigned int size)
{
	struct vmx_cpu *cpu = arg;
	uint64_t value;

	vmx_bus_read(&cpu->machine->ports, port, size, &value);
	return value;
}

static void port_write(void *arg, uint16_t port, unsigned int size, uint64_t value)
{
	struct vmx_cpu *cpu = arg;

	vmx_bus_write(&cpu->machine->ports, port, size, value);
}

static int read_field(void *arg, uint32_t field, uint64_t *value)
{
	struct vmx_cpu *cpu = arg;

	return vmx_field_get(cpu->vcpu.vmcs, field, value);
}

static const struct vmx_emulator_ops emulator_ops = {
	.host = host,
	.written = written,
	.read = read_memory,
	.write = write_memory,
	.in = port_read,
	.out = port_write,
	.field = read_field,
	.xmm = vmx_cpu_xmm,
};

/*
 * Where nothing else ends the stay of a vCPU that waits for another one (see vcpu_loop.c), the
 * PAUSE of its loop does.
 */
static int watch_loops(struct vmx_cpu *cpu)
{
	const struct vmx_machine *machine = cpu->machine;

	if (!vmx_machine_short_stays(machine) ||
	    machine->vm.caps.features & VMX_HAS_PREEMPTION_TIMER)
		return 0;
	return vmx_field_change(cpu->vcpu.vmcs, VMX_F_CPU_CONTROLS, 0, VMX_CPU_PAUSE_EXITING);
}

/* Instructions that CPUID offers and a control allows. */
static int allow_instructions(struct vmx_cpu *cpu)
{
	uint64_t wanted = (VMX_CPU2_RDTSCP | VMX_CPU2_INVPCID) & cpu->machine->vm.caps.cpu2.may;

	return wanted ? vmx_field_change(cpu->vcpu.vmcs, VMX_F_CPU2_CONTROLS, 0, wanted) : 0;
}

int vmx_cpu_identify(struct vmx_cpu *cpu)
{
	int ret = set_cpuid(cpu);

	vmx_emulator_init(&cpu->emulator, &emulator_ops, cpu, cpu->machine->vm.caps.phys_bits);
	ret = ret ?: watch_loops(cpu);
	ret = ret ?: allow_instructions(cpu);
	return ret ?: set_msrs(cpu);
}
