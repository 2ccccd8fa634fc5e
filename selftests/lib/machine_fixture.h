/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A machine of libvmx whose guest executes an instruction, by itself or by an exit, and what came
 * of it: the exception with what it pushed, the registers, the debug registers.
 */
#ifndef MACHINE_FIXTURE_H
#define MACHINE_FIXTURE_H

#include "vmx_test.h"

#include "../../tools/lib/x86.h"
#include "../../tools/machine/internal.h"

#define STACK0		(TEST_STACK + 0x4000)
#define GATES		TEST_IDT
#define STUBS		TEST_STUBS
#define STUB		16
#define NONE		~0ull
#define SHUTDOWN	0x100
/* A guest that does not come to its end in as many exits is lost. */
#define MOST_EXITS	64

/* What came of an instruction: NONE, or the exception that it raised. */
struct outcome {
	uint64_t vector, error;
	uint64_t rip, rflags;		/* pushed, or at the end */
	uint64_t regs[16];
	uint64_t dr6, dr7;
	uint32_t blocking;
};

enum way { BY_CPU, BY_MACHINE };

/* A state, and an instruction in it. */
struct instance {
	enum vmx_mode mode;
	const unsigned char *code;
	size_t length;
	uint64_t rax, rcx, rdx;
	uint64_t flags;			/* of RFLAGS */
	uint32_t blocking;
	unsigned int cpl;
	int (*prepare)(struct vmx_cpu *cpu, const struct instance *instance);
	uint64_t detail;		/* for that */
};

FIXTURE(finished) {
	struct vmx_machine *machine;
	struct vmx_cpu *cpu;
};

EVERY_MMU_OF(finished);

FIXTURE_SETUP(finished)
{
	struct vmx_machine_config config = { .memory = TEST_RAM, .cpus = 1, .mmu = variant->mmu };

	NEED(variant->needs);
	self->machine = calloc(1, sizeof(*self->machine));
	ASSERT_NE(NULL, self->machine);
	ASSERT_VMX(vmx_machine_init(self->machine, &config));
	self->cpu = &self->machine->cpus[0];
	/*
	 * Bochs 3 saves RF set when an EPT violation interrupts the delivery of a trap, see
	 * Documentation/emulator.rst: here none does.
	 */
	if (variant->mmu == VMX_MMU_EPT && test_on_bochs_3()) {
		struct vmx_mmu_populate populate = {
			.size = sizeof(populate), .length = TEST_RAM,
			.prot = VMX_MMU_READ | VMX_MMU_WRITE,
		};

		ASSERT_EQ(0, ioctl(self->machine->vm.mmu, VMX_MMU_POPULATE, &populate));
	}
}

FIXTURE_TEARDOWN(finished)
{
	if (self->cpu)
		vmx_machine_free(self->machine);
	free(self->machine);
}

/* Where a TSS says that its I/O permission bitmap begins; beyond its limit there is none. */
#define TSS_IO_MAP	0x66

/* Handlers for any mode: they push the vector and, where the CPU pushes none, an error code. */
static inline void write_stubs(struct vmx_vm *vm)
{
	for (unsigned int vector = 0; vector < 32; vector++) {
		const unsigned char with[] = { 0x6a, vector, 0x0f, 0x01, 0xc1 };
		const unsigned char without[] = { 0x6a, 0, 0x6a, vector, 0x0f, 0x01, 0xc1 };
		const bool has = 1u << vector & 0x227d00;

		memcpy(test_at(vm, STUBS + vector * STUB), has ? with : without,
		       has ? sizeof(with) : sizeof(without));
	}
}

static inline bool is_long(enum vmx_mode mode)
{
	return mode == VMX_MODE_LONG;
}

static inline int write_gates(struct vmx_cpu *cpu, enum vmx_mode mode)
{
	struct vmx_vm *vm = cpu->vcpu.vm;
	const unsigned int size = is_long(mode) ? 16 : 8;
	const uint64_t selector = is_long(mode) ? VMX_GUEST_CS64 : VMX_GUEST_CS32;
	struct vmx_field fields[] = {
		{ .field = VMX_F_GUEST_IDTR_BASE, .value = GATES },
		{ .field = VMX_F_GUEST_IDTR_LIMIT, .value = 32 * size - 1 },
	};

	for (unsigned int vector = 0; vector < 32; vector++) {
		const uint64_t handler = STUBS + vector * STUB;
		uint64_t *gate = test_at(vm, GATES + vector * size);

		gate[0] = (handler & 0xffff) | selector << 16 | 0xeeull << 40 |
			  (handler >> 16 & 0xffff) << 48;
		if (is_long(mode))
			gate[1] = 0;
	}
	write_stubs(vm);
	return vmx_fields_set(cpu->vcpu.vmcs, fields, TEST_COUNT(fields));
}

/* Pages of users, and a stack to come from CPL 3. */
static inline int go_to_user(struct vmx_cpu *cpu, enum vmx_mode mode)
{
	struct vmx_vm *vm = cpu->vcpu.vm;
	uint64_t *entries = test_at(vm, VMX_GUEST_PAGE_TABLES), tss[2] = {};
	uint32_t *table = test_at(vm, VMX_GUEST_PAGE_TABLES);
	const uint32_t bits = 3ull << VMX_ACCESS_DPL_SHIFT;
	const int vmcs = cpu->vcpu.vmcs;
	int ret = 0;

	if (is_long(mode)) {
		for (size_t n = 0; n < (VMX_GUEST_FREE - VMX_GUEST_PAGE_TABLES) / 8; n++)
			entries[n] |= entries[n] ? 4 : 0;
		memcpy((char *)tss + 4, &(uint64_t){ STACK0 }, 8);
	} else {
		for (size_t n = 0; n < 1024; n++)
			table[n] |= table[n] ? 4 : 0;
		tss[0] = (uint64_t)STACK0 << 32;
		tss[1] = VMX_GUEST_DS;
	}
	memcpy(test_at(vm, VMX_GUEST_TSS), tss, sizeof(tss));
	ret = vmx_field_change(vmcs, VMX_F_GUEST_CS_ACCESS, 0, bits);
	ret = ret ?: vmx_field_change(vmcs, VMX_F_GUEST_SS_ACCESS, 0, bits);
	ret = ret ?: vmx_field_change(vmcs, VMX_F_GUEST_CS_SELECTOR, 0, 3);
	return ret ?: vmx_field_change(vmcs, VMX_F_GUEST_SS_SELECTOR, 0, 3);
}

/* With all of CR0 and CR4 masked, whatever changes them exits; otherwise the CPU does the most. */
static inline int mask_registers(struct vmx_cpu *cpu)
{
	const int vmcs = cpu->vcpu.vmcs;
	uint64_t cr0, cr4, mask0, mask4, shadow0, shadow4;
	int ret = vmx_field_get(vmcs, VMX_F_GUEST_CR0, &cr0);

	ret = ret ?: vmx_field_get(vmcs, VMX_F_GUEST_CR4, &cr4);
	ret = ret ?: vmx_field_get(vmcs, VMX_F_CR0_MASK, &mask0);
	ret = ret ?: vmx_field_get(vmcs, VMX_F_CR4_MASK, &mask4);
	ret = ret ?: vmx_field_get(vmcs, VMX_F_CR0_READ_SHADOW, &shadow0);
	ret = ret ?: vmx_field_get(vmcs, VMX_F_CR4_READ_SHADOW, &shadow4);
	ret = ret ?: vmx_field_set(vmcs, VMX_F_CR0_READ_SHADOW,
				   (shadow0 & mask0) | (cr0 & ~mask0));
	ret = ret ?: vmx_field_set(vmcs, VMX_F_CR4_READ_SHADOW,
				   (shadow4 & mask4) | (cr4 & ~mask4));
	ret = ret ?: vmx_field_set(vmcs, VMX_F_CR0_MASK, ~0ull);
	ret = ret ?: vmx_field_set(vmcs, VMX_F_CR4_MASK, ~0ull);
	return ret ?: vmx_field_change(vmcs, VMX_F_CPU_CONTROLS, 0,
				       VMX_CPU_CR3_LOAD_EXITING | VMX_CPU_CR3_STORE_EXITING);
}

static inline int put(struct vmx_cpu *cpu, const struct instance *instance, enum way way)
{
	struct vmx_run_page *run = cpu->vcpu.run;
	struct vmx_debug debug = { .size = sizeof(debug) };
	const int vmcs = cpu->vcpu.vmcs;
	int ret = test_start_code(&cpu->vcpu, instance->mode, instance->code, instance->length);

	cpu->unpaged = false;
	memset(test_at(cpu->vcpu.vm, VMX_GUEST_TSS + TSS_IO_MAP), 0xff, 2);
	memcpy(test_at(cpu->vcpu.vm, TEST_CODE + instance->length), "\x0f\x01\xc1", 3);
	run->regs[VMX_RAX] = instance->rax;
	run->regs[VMX_RCX] = instance->rcx;
	run->regs[VMX_RDX] = instance->rdx;
	run->inject_info = 0;
	ret = ret ?: vmx_field_change(vmcs, VMX_F_CPU_CONTROLS,
				      VMX_CPU_CR3_LOAD_EXITING | VMX_CPU_CR3_STORE_EXITING, 0);
	ret = ret ?: write_gates(cpu, instance->mode);
	ret = ret ?: vmx_field_set(vmcs, VMX_F_GUEST_RFLAGS, RFLAGS_FIXED | instance->flags);
	ret = ret ?: vmx_field_set(vmcs, VMX_F_GUEST_INTERRUPTIBILITY, instance->blocking);
	if (instance->cpl)
		ret = ret ?: go_to_user(cpu, instance->mode);
	ret = ret ?: ioctl(cpu->vcpu.fd, VMX_SET_DEBUG, &debug);
	if (instance->prepare)
		ret = ret ?: instance->prepare(cpu, instance);
	if (way == BY_MACHINE)
		ret = ret ?: mask_registers(cpu);
	/* What was translated before is not what the tables say now. */
	return ret ?: vmx_vm_invalidate(cpu->vcpu.vm, 0, TEST_RAM);
}

/* To the VMCALL at the end or in a handler; everything else is the machine's to finish. */
static inline int go(struct vmx_cpu *cpu)
{
	int ret = 0;

	pthread_mutex_lock(&cpu->machine->lock);
	for (unsigned int n = 0; n < MOST_EXITS && !ret; n++) {
		ret = vmx_run(&cpu->vcpu);
		if (ret || cpu->vcpu.run->reason == VMX_REASON_VMCALL ||
		    cpu->vcpu.run->reason == VMX_REASON_TRIPLE_FAULT)
			break;
		ret = vmx_cpu_exit(cpu);
	}
	pthread_mutex_unlock(&cpu->machine->lock);
	return ret;
}

static inline uint64_t pushed(struct vmx_cpu *cpu, enum vmx_mode mode, unsigned int n)
{
	const uint64_t at = cpu->vcpu.run->regs[VMX_RSP];

	if (is_long(mode))
		return *(uint64_t *)test_at(cpu->vcpu.vm, at + n * 8);
	return *(uint32_t *)test_at(cpu->vcpu.vm, (at & 0xffffffff) + n * 4);
}

static inline int look(struct vmx_cpu *cpu, const struct instance *instance,
		       struct outcome *outcome)
{
	const struct vmx_run_page *run = cpu->vcpu.run;
	struct vmx_debug debug = { .size = sizeof(debug) };
	int ret = ioctl(cpu->vcpu.fd, VMX_GET_DEBUG, &debug);

	if (run->reason == VMX_REASON_TRIPLE_FAULT) {
		*outcome = (struct outcome){ .vector = SHUTDOWN };
		return 0;
	}
	if (run->reason != VMX_REASON_VMCALL)
		return -EBADE;
	*outcome = (struct outcome){ .vector = NONE, .rip = run->rip, .rflags = run->rflags };
	if (run->rip >= STUBS) {
		outcome->vector = pushed(cpu, instance->mode, 0);
		outcome->error = pushed(cpu, instance->mode, 1);
		outcome->rip = pushed(cpu, instance->mode, 2);
		outcome->rflags = pushed(cpu, instance->mode, 4);
	}
	for (unsigned int n = 0; n < 16; n++)
		outcome->regs[n] = is_long(instance->mode) ? run->regs[n] : (uint32_t)run->regs[n];
	outcome->dr6 = debug.dr6;
	/*
	 * Not the guest's doing in Bochs, see Documentation/emulator.rst: an earlier
	 * guest on this CPU was entered with NMIs blocked and executed no IRET.
	 */
	outcome->blocking = run->interruptibility &
			    ~(instance->blocking & VMX_BLOCKING_BY_NMI ? 0 : VMX_BLOCKING_BY_NMI);
	return ret ?: vmx_field_get(cpu->vcpu.vmcs, VMX_F_GUEST_DR7, &outcome->dr7);
}

static inline const char *describe(const struct outcome *outcome)
{
	static char texts[2][400];
	static unsigned int next;
	char *text = texts[next++ % 2];

	snprintf(text, sizeof(texts[0]),
		 "vector %d, error %#llx, RIP %#llx, RFLAGS %#llx, DR6 %#llx, RAX %#llx, RBX %#llx, RCX %#llx, RDX %#llx, RSP %#llx",
		 (int)outcome->vector, (unsigned long long)outcome->error,
		 (unsigned long long)outcome->rip, (unsigned long long)outcome->rflags,
		 (unsigned long long)outcome->dr6, (unsigned long long)outcome->regs[VMX_RAX],
		 (unsigned long long)outcome->regs[VMX_RBX],
		 (unsigned long long)outcome->regs[VMX_RCX],
		 (unsigned long long)outcome->regs[VMX_RDX],
		 (unsigned long long)outcome->regs[VMX_RSP]);
	return text;
}

static inline int attempt(struct vmx_cpu *cpu, const struct instance *instance, enum way way,
			  struct outcome *outcome)
{
	int ret = put(cpu, instance, way);

	ret = ret ?: go(cpu);
	return ret ?: look(cpu, instance, outcome);
}

/* Of x86.h's kind, for tests alone. */
#define CR4_MCE		(1ull << 6)
#define CR4_OSXSAVE	(1ull << 18)

#define CODE(name)	.code = name, .length = name##_end - name

/* What an instruction may find in RFLAGS, and interrupts blocked by the one before it. */
static const struct {
	uint64_t flags;
	uint32_t blocking;
} states[] = {
	{ 0 }, { RFLAGS_TF }, { RFLAGS_RF }, { RFLAGS_TF | RFLAGS_RF },
	{ 0, VMX_BLOCKING_BY_MOV_SS }, { RFLAGS_IF, VMX_BLOCKING_BY_STI },
};

/* 32-bit paging, to be switched on: large pages that map 4 GiB to itself. */
static inline int add_tables(struct vmx_cpu *cpu, const struct instance *instance)
{
	uint32_t *table = test_at(cpu->vcpu.vm, VMX_GUEST_PAGE_TABLES);
	int ret;

	if (instance->mode != VMX_MODE_PROTECTED)
		return 0;
	/* With SMEP, a guest at CPL 0 would fault on a user's pages until its stack ends. */
	for (uint32_t n = 0; n < 1024; n++)
		table[n] = n << 22 | (instance->cpl ? 0x87 : 0x83);
	ret = vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_CR3, VMX_GUEST_PAGE_TABLES);
	return ret ?: vmx_field_change(cpu->vcpu.vmcs, VMX_F_GUEST_CR4, 0, CR4_PSE);
}

#endif /* MACHINE_FIXTURE_H */
