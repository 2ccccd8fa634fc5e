// SPDX-License-Identifier: GPL-2.0
/*
 * Control registers that libvmx's machine, or the module, changes for the guest, beside the same
 * instruction in the same state where the CPU does: the masks of CR0 and CR4, and exiting for CR3,
 * decide which.
 */
#include "lib/machine_fixture.h"

/* Control registers: MOV to them, then what all of them are. */

#define THEN_READ	"mov %cr0, %ebx\n mov %cr4, %ecx\n mov %cr3, %edx\n"
GUEST32(to_cr0, "mov %eax, %cr0\n" THEN_READ);
GUEST32(to_cr3, "mov %eax, %cr3\n" THEN_READ);
GUEST32(to_cr4, "mov %eax, %cr4\n" THEN_READ);
GUEST32(lmsw, "lmsw %ax\n" THEN_READ);
GUEST32(clts, "clts\n" THEN_READ);

/* Both ways; the caller says which in NAME. */
static void compare(struct __test_metadata *_metadata, struct vmx_cpu *cpu,
		    const struct instance *instance, const char *name)
{
	struct outcome by_cpu = {}, by_machine = {};

	ASSERT_EQ(0, attempt(cpu, instance, BY_CPU, &by_cpu)) {
		TH_LOG("%s with %#llx: %s, %s", name, (unsigned long long)instance->rax,
		       vmx_error(), test_describe(&cpu->vcpu));
	}
	ASSERT_EQ(0, attempt(cpu, instance, BY_MACHINE, &by_machine)) {
		TH_LOG("%s with %#llx: %s, %s", name, (unsigned long long)instance->rax,
		       vmx_error(), test_describe(&cpu->vcpu));
	}
	EXPECT_EQ(0, memcmp(&by_cpu, &by_machine, sizeof(by_cpu))) {
		TH_LOG("%s with %#llx, mode %d, CPL %u, flags %#llx", name,
		       (unsigned long long)instance->rax, instance->mode, instance->cpl,
		       (unsigned long long)instance->flags);
		TH_LOG("the CPU:     %s", describe(&by_cpu));
		TH_LOG("the machine: %s", describe(&by_machine));
	}
}

/* What a register has, with each bit changed. */
static void compare_bits(struct __test_metadata *_metadata, struct vmx_cpu *cpu,
			 struct instance *instance, const char *name, uint64_t value,
			 uint64_t spared)
{
	const unsigned int bits = is_long(instance->mode) ? 64 : 32;

	for (unsigned int bit = 0; bit <= bits; bit++) {
		if (bit < bits && spared >> bit & 1)
			continue;
		instance->rax = value ^ (bit < bits ? 1ull << bit : 0);
		/* SDM, "MOV--Move to/from Control Registers": bits 63:32 raise #GP. */
		const size_t count = bit >= 32 && bit < bits ? 1 : TEST_COUNT(states);

		for (size_t n = 0; n < count; n++) {
			instance->flags = states[n].flags;
			instance->blocking = states[n].blocking;
			/* Real mode has no use for gates. */
			if (instance->code == to_cr0 && !(instance->rax & CR0_PE) &&
			    instance->flags & RFLAGS_TF)
				continue;
			compare(_metadata, cpu, instance, name);
		}
	}
}

#define EACH_MODE(mode)									\
	for (enum vmx_mode mode = VMX_MODE_PROTECTED; mode <= VMX_MODE_LONG; mode++)

static uint64_t visible(struct vmx_cpu *cpu, uint32_t reg, uint32_t mask, uint32_t shadow)
{
	uint64_t value = 0, masked = 0, shown = 0;

	vmx_field_get(cpu->vcpu.vmcs, reg, &value);
	vmx_field_get(cpu->vcpu.vmcs, mask, &masked);
	vmx_field_get(cpu->vcpu.vmcs, shadow, &shown);
	return (value & ~masked) | (shown & masked);
}

static uint64_t visible_cr0(struct vmx_cpu *cpu)
{
	return visible(cpu, VMX_F_GUEST_CR0, VMX_F_CR0_MASK, VMX_F_CR0_READ_SHADOW);
}

static uint64_t visible_cr4(struct vmx_cpu *cpu)
{
	return visible(cpu, VMX_F_GUEST_CR4, VMX_F_CR4_MASK, VMX_F_CR4_READ_SHADOW);
}

static bool is_unrestricted(const struct vmx_cpu *cpu)
{
	return cpu->vcpu.vm->caps.features & VMX_HAS_UNRESTRICTED;
}

/* Bits of CR0 that VMX has its own idea of, and those that a machine's guest cannot change. */
static uint64_t spared_cr0(const struct vmx_cpu *cpu)
{
	return CR0_NE | CR0_CD | CR0_NW | (is_unrestricted(cpu) ? 0 : CR0_PE) |
	       (is_unrestricted(cpu) || cpu->vcpu.vm->shadow ? 0 : CR0_PG);
}

TEST_F(finished, mov_to_cr0)
{
	EACH_MODE(mode) {
		struct instance instance = { .mode = mode, CODE(to_cr0), .prepare = add_tables };

		ASSERT_VMX(put(self->cpu, &instance, BY_CPU));
		compare_bits(_metadata, self->cpu, &instance, "MOV to CR0",
			     visible_cr0(self->cpu), spared_cr0(self->cpu));
	}
}

/* Paging off, LME and PAE set: to set PG is to enter IA-32e mode, unless something forbids it. */
enum { ENTERS, WITHOUT_PAE, FROM_LONG_CODE, WITH_16BIT_TSS, CASES };

static int prepare_long(struct vmx_cpu *cpu, const struct instance *instance)
{
	const int vmcs = cpu->vcpu.vmcs;
	const unsigned int way = instance->detail;
	int ret = vmx_set_mode(cpu->vcpu.vm, vmcs, VMX_MODE_LONG, TEST_CODE, TEST_STACK);

	ret = ret ?: vmx_field_change(vmcs, VMX_F_GUEST_CR0, CR0_PG, 0);
	ret = ret ?: vmx_field_change(vmcs, VMX_F_CR0_READ_SHADOW, CR0_PG, 0);
	ret = ret ?: vmx_field_change(vmcs, VMX_F_CR0_MASK, CR0_PG, 0);
	if (cpu->vcpu.vm->shadow) {
		cpu->vcpu.run->efer = EFER_LME;
		cpu->vcpu.run->dirty |= VMX_STATE_EFER;
	} else {
		ret = ret ?: vmx_field_set(vmcs, VMX_F_GUEST_EFER, EFER_LME);
	}
	ret = ret ?: vmx_field_change(vmcs, VMX_F_ENTRY_CONTROLS,
				      VMX_ENTRY_CTL_IA32E_MODE_GUEST, 0);
	ret = ret ?: vmx_field_set(vmcs, VMX_F_GUEST_CS_ACCESS,
				   way == FROM_LONG_CODE ? ACCESS_CODE64 : ACCESS_CODE32);
	if (way == WITHOUT_PAE)
		ret = ret ?: vmx_field_change(vmcs, VMX_F_GUEST_CR4, CR4_PAE, 0);
	if (way == WITH_16BIT_TSS)
		ret = ret ?: vmx_field_set(vmcs, VMX_F_GUEST_TR_ACCESS, 0x83);
	return ret ?: write_gates(cpu, VMX_MODE_PROTECTED);
}

TEST_F(finished, entry_to_ia32e_mode)
{
	if (!is_unrestricted(self->cpu) && !self->machine->vm.shadow)
		SKIP(return, "guests without paging need unrestricted guest or shadow page tables");
	for (unsigned int way = 0; way < CASES; way++) {
		struct instance instance = {
			.mode = VMX_MODE_PROTECTED, CODE(to_cr0), .prepare = prepare_long,
			.detail = way,
		};

		ASSERT_VMX(put(self->cpu, &instance, BY_CPU));
		instance.rax = visible_cr0(self->cpu) | CR0_PG;
		compare(_metadata, self->cpu, &instance, "MOV to CR0 with LME");
	}
}

TEST_F(finished, mov_to_cr4)
{
	EACH_MODE(mode) {
		struct instance instance = { .mode = mode, CODE(to_cr4), .prepare = add_tables };

		ASSERT_VMX(put(self->cpu, &instance, BY_CPU));
		/* Without PAE or PSE the tables mean something else. */
		compare_bits(_metadata, self->cpu, &instance, "MOV to CR4",
			     visible_cr4(self->cpu),
			     is_long(mode) ? CR4_MCE : CR4_MCE | CR4_PAE | CR4_PSE);
	}
}

TEST_F(finished, mov_to_cr3)
{
	EACH_MODE(mode) {
		struct instance instance = { .mode = mode, CODE(to_cr3), .prepare = add_tables };
		const uint64_t address = mode == VMX_MODE_PAE ? ~0x1full : 0xfffffffffffff000;
		const unsigned int width = self->machine->vm.caps.phys_bits;

		compare_bits(_metadata, self->cpu, &instance, "MOV to CR3", VMX_GUEST_PAGE_TABLES,
			     address & ~(is_long(mode) ? UINT64_MAX << width : 0));
	}
}

/*
 * Page-directory-pointer-table entries are loaded, and judged, by what changes the paging mode. The
 * bits of CR0 that the guest changes itself are left out: Bochs loads them whichever it is.
 */
GUEST32(bad_entry_cr3, "orl %ecx, (%edx)\n mov %eax, %cr3\n" THEN_READ);
GUEST32(bad_entry_cr4, "orl %ecx, (%edx)\n mov %eax, %cr4\n" THEN_READ);

TEST_F(finished, bad_entries_of_pae)
{
	struct instance to3 = { .mode = VMX_MODE_PAE, CODE(bad_entry_cr3) };
	struct instance to4 = { .mode = VMX_MODE_PAE, CODE(bad_entry_cr4) };
	const uint64_t changes[] = { CR4_PGE, CR4_PSE, CR4_SMEP, CR4_OSFXSR, 0 };
	/* The module looks at tables when userspace wrote a register, whichever bits changed. */
	const size_t count = self->machine->vm.shadow ? 3 : TEST_COUNT(changes);

	/* A reserved bit, and the first that no address has. */
	for (unsigned int n = 0; n < 8; n++) {
		to3.rdx = VMX_GUEST_PAGE_TABLES + 4 * n;
		to3.rcx = n % 2 ? 1u << (self->machine->vm.caps.phys_bits - 32) : 2;
		to4.rdx = to3.rdx;
		to4.rcx = to3.rcx;
		ASSERT_VMX(put(self->cpu, &to3, BY_CPU));
		to3.rax = VMX_GUEST_PAGE_TABLES;
		compare(_metadata, self->cpu, &to3, "MOV to CR3 with a bad PDPTE");
		for (size_t bit = 0; bit < count; bit++) {
			to4.rax = visible_cr4(self->cpu) ^ changes[bit];
			compare(_metadata, self->cpu, &to4, "MOV to CR4 with a bad PDPTE");
		}
	}
}

/* CD and NW exit whatever the mask is: the machine finishes them both ways. */
static const uint64_t caching[] = { CR0_CD, CR0_CD | CR0_NW };

GUEST32(bad_entry_cr0, "orl %ecx, (%edx)\n mov %eax, %cr0\n" THEN_READ);

TEST_F(finished, bad_entries_by_cr0)
{
	struct instance instance = { .mode = VMX_MODE_PAE, CODE(bad_entry_cr0), .rcx = 3 };
	struct outcome outcome;

	for (unsigned int n = 0; n < 4 * TEST_COUNT(caching); n++) {
		instance.rdx = VMX_GUEST_PAGE_TABLES + n % 4 * 8;
		ASSERT_VMX(put(self->cpu, &instance, BY_CPU));
		instance.rax = visible_cr0(self->cpu) ^ caching[n / 4];
		ASSERT_EQ(0, attempt(self->cpu, &instance, BY_CPU, &outcome)) {
			TH_LOG("%s, %s", vmx_error(), test_describe(&self->cpu->vcpu));
		}
		EXPECT_EQ(VECTOR_GP, outcome.vector) TH_LOG("%u: %s", n % 4, describe(&outcome));
		EXPECT_EQ(0, outcome.error);
		EXPECT_EQ(0, visible_cr0(self->cpu) & (CR0_CD | CR0_NW));
	}
}

/* The last GiB becomes the first, where there is RAM. */
GUEST32(new_entry_cr0, "mov (%edx), %ebx\n mov %ebx, 24(%edx)\n mov %eax, %cr0\n"
			"mov %cr0, %esi\n mov (%ecx), %edi\n");

TEST_F(finished, entries_loaded_by_cr0)
{
	struct instance instance = {
		.mode = VMX_MODE_PAE, CODE(new_entry_cr0), .rdx = VMX_GUEST_PAGE_TABLES,
		.rcx = 3ul << 30 | TEST_DATA,
	};
	struct outcome outcome;

	*(uint32_t *)test_at(self->cpu->vcpu.vm, TEST_DATA) = 0x10ad;
	for (size_t n = 0; n < TEST_COUNT(caching); n++) {
		ASSERT_VMX(put(self->cpu, &instance, BY_CPU));
		instance.rax = visible_cr0(self->cpu) ^ caching[n];
		ASSERT_EQ(0, attempt(self->cpu, &instance, BY_CPU, &outcome)) {
			TH_LOG("%s, %s", vmx_error(), test_describe(&self->cpu->vcpu));
		}
		EXPECT_EQ(NONE, outcome.vector) TH_LOG("%s", describe(&outcome));
		EXPECT_EQ(instance.rax, outcome.regs[VMX_RSI]);
		EXPECT_EQ(0x10ad, outcome.regs[VMX_RDI]);
	}
}

TEST_F(finished, clts_and_lmsw)
{
	EACH_MODE(mode) {
		struct instance instance = { .mode = mode, CODE(lmsw), .prepare = add_tables };

		for (unsigned int n = 0; n < 16 * TEST_COUNT(states); n++) {
			/* Upper bits do not count. */
			instance.rax = n % 16 | 0xfff0;
			instance.flags = states[n / 16].flags;
			instance.blocking = states[n / 16].blocking;
			compare(_metadata, self->cpu, &instance, "LMSW");
		}
		instance = (struct instance){ .mode = mode, CODE(clts), .prepare = add_tables };
		compare(_metadata, self->cpu, &instance, "CLTS");
	}
}

VMX_TEST_MAIN
