// SPDX-License-Identifier: GPL-2.0
/*
 * Instructions that exit and are finished by the module or by libvmx's machine: each raises the
 * exceptions that the SDM says, in its order, at each privilege level, single-stepped or not.
 */
#include "lib/machine_fixture.h"

#define UD	6
#define GP	13
#define DB	1

/* A row: an instruction of 64-bit mode, and the exception that it raises at CPL 0 and at CPL 3. */
struct row {
	const char *name;
	const unsigned char *code, *end;
	uint64_t rax, rcx, rdx;
	uint64_t cr4, dr7;		/* bits to be set */
	uint32_t cpu2;			/* secondary controls that it needs */
	uint64_t vector, user;
	unsigned int gives;		/* a register, and its value afterwards */
	uint64_t value;
};

/* The rows of all of this file, in a section of their own. */
#define ROW(id, text, ...)								\
	GUEST64(id##_row, text);							\
	static const struct row id##_is = {						\
		.name = text, .code = id##_row, .end = id##_row_end, __VA_ARGS__	\
	};										\
	static const struct row *const id##_at						\
		__attribute__((section("finished_rows"), used)) = &id##_is
extern const struct row *const __start_finished_rows[], *const __stop_finished_rows[];

/*
 * ROW(name, instructions, .vector at CPL 0, .user at CPL 3), and optionally what a register is
 * afterwards. The first instruction is the one that may raise an exception. Where exceptions come
 * in an order, the order is that of the instruction's pseudo-code.
 */

/* Allowed at any privilege level */
ROW(cpuid, "cpuid", .vector = NONE, .user = NONE);
ROW(cpuid_high_halves, "cpuid", .rax = 0x100000000, .vector = NONE, .user = NONE,
    .gives = VMX_RAX, .value = 0x16);
ROW(cpuid_beyond, "cpuid", .rax = 0x20000000, .vector = NONE, .user = NONE);
ROW(pause, "pause", .vector = NONE, .user = NONE);
ROW(rdtsc, "rdtsc", .vector = NONE, .user = NONE);
ROW(smsw, "smsw %eax", .vector = NONE, .user = NONE);

/* MSRs */
ROW(rdmsr_tsc, "rdmsr", .rcx = 0x10, .vector = NONE, .user = GP);
ROW(rdmsr_none, "rdmsr", .rcx = 0xc0001234, .vector = GP, .user = GP);
ROW(rdmsr_outside, "rdmsr", .rcx = 0x40001234, .vector = GP, .user = GP);
ROW(rdmsr_x2apic_off, "rdmsr", .rcx = 0x802, .vector = GP, .user = GP);
ROW(rdmsr_locked, "rdmsr", .rcx = 0x3a, .vector = NONE, .user = GP);
ROW(wrmsr_locked, "wrmsr", .rcx = 0x3a, .rax = 1, .vector = GP, .user = GP);
ROW(wrmsr_locked_vmx, "wrmsr", .rcx = 0x3a, .rax = 5, .vector = GP, .user = GP);
ROW(wrmsr_none, "wrmsr", .rcx = 0xc0001234, .vector = GP, .user = GP);
ROW(wrmsr_platform_info, "wrmsr", .rcx = 0xce, .rax = 1, .vector = GP, .user = GP);
ROW(wrmsr_microcode, "wrmsr", .rcx = 0x8b, .vector = NONE, .user = GP);
ROW(wrmsr_efer_reserved, "wrmsr", .rcx = 0xc0000080, .rax = 0x502, .vector = GP, .user = GP);
ROW(wrmsr_efer_lme, "wrmsr", .rcx = 0xc0000080, .rax = 0x400, .vector = GP, .user = GP);
ROW(wrmsr_efer, "wrmsr", .rcx = 0xc0000080, .rax = 0x501, .vector = NONE, .user = GP);
ROW(wrmsr_lstar, "wrmsr", .rcx = 0xc0000082, .rdx = 0x80000000, .vector = GP, .user = GP);
ROW(wrmsr_fmask, "wrmsr", .rcx = 0xc0000084, .rdx = 1, .vector = GP, .user = GP);
ROW(wrmsr_tsc_aux, "wrmsr", .rcx = 0xc0000103, .rdx = 1, .vector = GP, .user = GP);
ROW(wrmsr_pat, "wrmsr", .rcx = 0x277, .rax = 2, .vector = GP, .user = GP);
ROW(wrmsr_fs_base, "wrmsr", .rcx = 0xc0000100, .rdx = 0x80000000, .vector = GP, .user = GP);
ROW(wrmsr_debugctl, "wrmsr", .rcx = 0x1d9, .rax = 1, .vector = NONE, .user = GP);
ROW(wrmsr_debugctl_reserved, "wrmsr", .rcx = 0x1d9, .rax = 0x10000, .vector = GP, .user = GP);
ROW(wrmsr_apic_base, "wrmsr", .rcx = 0x1b, .rax = 1, .vector = GP, .user = GP);

/* XSETBV: first CR4.OSXSAVE, then the privilege level, then the register and the value */
ROW(xsetbv_off, "xsetbv", .rax = 1, .vector = UD, .user = UD);
ROW(xsetbv, "xsetbv", .rax = 3, .cr4 = CR4_OSXSAVE, .vector = NONE, .user = GP);
ROW(xsetbv_other, "xsetbv", .rax = 3, .rcx = 1, .cr4 = CR4_OSXSAVE, .vector = GP, .user = GP);
ROW(xsetbv_without_x87, "xsetbv", .rax = 2, .cr4 = CR4_OSXSAVE, .vector = GP, .user = GP);
ROW(xsetbv_without_sse, "xsetbv", .rax = 5, .cr4 = CR4_OSXSAVE, .vector = GP, .user = GP);
ROW(xsetbv_reserved, "xsetbv", .rax = 3, .rdx = 0x80000000, .cr4 = CR4_OSXSAVE,
    .vector = GP, .user = GP);

/* Debug registers: first CR4.DE, then the privilege level, DR7.GD, and bits 63:32 of the value */
ROW(mov_to_dr0, "mov %rax, %dr0", .rax = 0x1234, .vector = NONE, .user = GP);
ROW(mov_to_dr3, "mov %rax, %dr3\n mov %dr3, %rsi", .rax = 1ull << 63, .vector = NONE, .user = GP,
    .gives = VMX_RSI, .value = 1ull << 63);
ROW(mov_from_dr0, "mov %dr0, %rbx", .vector = NONE, .user = GP);
ROW(mov_from_dr4, "mov %dr4, %rbx", .vector = NONE, .user = GP);
ROW(mov_from_dr7, "mov %dr7, %rsp", .vector = NONE, .user = GP,
    .gives = VMX_RSP, .value = DR7_DEFAULT);
ROW(mov_to_dr5, "mov %rax, %dr5", .rax = 0x400, .vector = NONE, .user = GP);
ROW(mov_to_dr6, "mov %rax, %dr6\n mov %dr6, %rbx", .rax = 0xffffbfff, .vector = NONE, .user = GP,
    .gives = VMX_RBX, .value = 0xffffafff);
ROW(mov_to_dr7, "mov %rax, %dr7\n mov %dr7, %rbx", .rax = 0xffff0c00, .vector = NONE, .user = GP,
    .gives = VMX_RBX, .value = 0xffff0400);
ROW(mov_to_dr6_high, "mov %rax, %dr6", .rax = 1ull << 32, .vector = GP, .user = GP);
ROW(mov_to_dr7_high, "mov %rax, %dr7", .rax = 1ull << 63, .vector = GP, .user = GP);
ROW(mov_from_dr4_de, "mov %dr4, %rbx", .cr4 = CR4_DE, .vector = UD, .user = UD);
ROW(mov_to_dr5_de, "mov %rax, %dr5", .rax = 1ull << 63, .cr4 = CR4_DE, .vector = UD, .user = UD);
ROW(mov_to_dr6_de, "mov %rax, %dr6", .cr4 = CR4_DE, .vector = NONE, .user = GP);
ROW(mov_from_dr0_gd, "mov %dr0, %rbx", .dr7 = DR7_GD, .vector = DB, .user = GP);
ROW(mov_to_dr7_gd, "mov %rax, %dr7", .rax = 1ull << 63, .dr7 = DR7_GD, .vector = DB, .user = GP);
ROW(mov_from_dr5_de_gd, "mov %dr5, %rbx", .cr4 = CR4_DE, .dr7 = DR7_GD, .vector = UD, .user = UD);

/* Control registers, where bits change that exit: PG and PE, NW and CD, and what is reserved */
#define CR0_OF_LONG	(CR0_PG | CR0_ET | CR0_PE)
ROW(mov_to_cr0_cd, "mov %rax, %cr0\n mov %cr0, %rbx", .rax = CR0_OF_LONG | CR0_CD,
    .vector = NONE, .user = GP, .gives = VMX_RBX, .value = CR0_OF_LONG | CR0_CD);
ROW(mov_to_cr0_cd_nw, "mov %rax, %cr0", .rax = CR0_OF_LONG | CR0_CD | CR0_NW,
    .vector = NONE, .user = GP);
ROW(mov_to_cr0_nw, "mov %rax, %cr0", .rax = CR0_OF_LONG | CR0_NW, .vector = GP, .user = GP);
ROW(mov_to_cr0_pg_alone, "mov %rax, %cr0", .rax = CR0_PG | CR0_ET | CR0_CD,
    .vector = GP, .user = GP);
ROW(mov_to_cr0_no_pg, "mov %rax, %cr0", .rax = CR0_PE | CR0_ET | CR0_CD, .vector = GP, .user = GP);
ROW(mov_to_cr0_high, "mov %rax, %cr0", .rax = CR0_OF_LONG | CR0_CD | 1ull << 32,
    .vector = GP, .user = GP);
ROW(mov_to_cr0_reserved, "mov %rax, %cr0\n mov %cr0, %rbx",
    .rax = CR0_PG | CR0_PE | CR0_CD | 1ull << 6, .vector = NONE, .user = GP,
    .gives = VMX_RBX, .value = CR0_OF_LONG | CR0_CD);
ROW(mov_to_cr4_vmxe, "mov %rax, %cr4", .rax = CR4_PAE | CR4_VMXE, .vector = GP, .user = GP);
ROW(mov_to_cr4_smxe, "mov %rax, %cr4", .rax = CR4_PAE | 1 << 14, .vector = GP, .user = GP);
ROW(mov_to_cr4_high, "mov %rax, %cr4", .rax = CR4_PAE | 1ull << 40, .vector = GP, .user = GP);
ROW(mov_to_cr4_no_pae, "mov %rax, %cr4", .rax = 0, .vector = GP, .user = GP);
ROW(mov_to_cr8, "mov %rax, %cr8", .rax = 15, .vector = NONE, .user = GP);
ROW(mov_to_cr8_high, "mov %rax, %cr8", .rax = 16, .vector = GP, .user = GP);
ROW(mov_from_cr8, "mov %cr8, %rbx", .vector = NONE, .user = GP);
ROW(clts, "clts", .vector = NONE, .user = GP);
ROW(lmsw, "lmsw %ax", .rax = 1, .vector = NONE, .user = GP);
ROW(invlpg, "invlpg (%rax)", .rax = 1ull << 63, .vector = NONE, .user = GP);

ROW(invpcid, "invpcid (%rcx), %rax", .rax = 2, .rcx = TEST_DATA, .cpu2 = VMX_CPU2_INVPCID,
    .vector = NONE, .user = GP);
ROW(invpcid_of_no_type, "invpcid (%rcx), %rax", .rax = 4, .rcx = TEST_DATA,
    .cpu2 = VMX_CPU2_INVPCID, .vector = GP, .user = GP);

/* Waiting, caches, counters */
ROW(hlt_user, "hlt", .vector = NONE, .user = GP);
ROW(invd, "invd", .vector = NONE, .user = GP);
ROW(wbinvd, "wbinvd", .vector = NONE, .user = GP);
ROW(rdpmc, "rdpmc", .vector = GP, .user = GP);
ROW(rdpmc_pce, "rdpmc", .cr4 = 1 << 8, .vector = GP, .user = GP);
ROW(monitor, "monitor", .vector = UD, .user = UD);
ROW(mwait, "mwait", .vector = UD, .user = UD);

/* Ports */
ROW(in, "in $0x80, %al", .vector = NONE, .user = GP);
ROW(out, "out %al, $0x80", .vector = NONE, .user = GP);
ROW(outs, "outsb", .rdx = 0x80, .vector = NONE, .user = GP);

/* No guest has them: invalid, whatever the privilege level */
ROW(vmclear, "vmclear (%rsp)", .vector = UD, .user = UD);
ROW(vmlaunch, "vmlaunch", .vector = UD, .user = UD);
ROW(vmptrld, "vmptrld (%rsp)", .vector = UD, .user = UD);
ROW(vmptrst, "vmptrst (%rsp)", .vector = UD, .user = UD);
ROW(vmread, "vmread %rax, %rbx", .vector = UD, .user = UD);
ROW(vmresume, "vmresume", .vector = UD, .user = UD);
ROW(vmwrite, "vmwrite %rax, %rbx", .vector = UD, .user = UD);
ROW(vmxoff, "vmxoff", .vector = UD, .user = UD);
ROW(vmxon, "vmxon (%rsp)", .vector = UD, .user = UD);
ROW(invept, "invept (%rsp), %rax", .vector = UD, .user = UD);
ROW(invvpid, "invvpid (%rsp), %rax", .vector = UD, .user = UD);
ROW(vmfunc, "vmfunc", .vector = UD, .user = UD);
ROW(getsec, "getsec", .vector = UD, .user = UD);
ROW(rsm, "rsm", .vector = UD, .user = UD);
ROW(encls, ".byte 0x0f, 0x01, 0xcf", .vector = UD, .user = UD);
ROW(seamcall, ".byte 0x66, 0x0f, 0x01, 0xcf", .vector = UD, .user = UD);
ROW(tdcall, ".byte 0x66, 0x0f, 0x01, 0xcc", .vector = UD, .user = UD);
ROW(pconfig, ".byte 0x0f, 0x01, 0xc5", .vector = UD, .user = UD);

static int prepare_row(struct vmx_cpu *cpu, const struct instance *instance)
{
	const struct row *row = __start_finished_rows[instance->detail];
	const int vmcs = cpu->vcpu.vmcs;
	int ret = vmx_field_change(vmcs, VMX_F_GUEST_CR4, 0, row->cr4);

	return ret ?: vmx_field_set(vmcs, VMX_F_GUEST_DR7, DR7_DEFAULT | row->dr7);
}

static void expect(struct __test_metadata *_metadata, const struct instance *instance,
		   const struct outcome *outcome, uint64_t vector)
{
	const struct row *row = __start_finished_rows[instance->detail];
	const bool traps = vector == NONE && instance->flags & RFLAGS_TF;
	uint64_t rip = TEST_CODE + (vector == NONE ? row->end - row->code : 0);
	uint64_t rflags = RFLAGS_FIXED | (instance->flags & ~RFLAGS_RF);

	if (vector != NONE)
		rflags |= RFLAGS_RF;
	EXPECT_EQ(traps ? DB : vector, outcome->vector) {
		TH_LOG("%s at CPL %u, flags %#llx: %s", row->name, instance->cpl,
		       (unsigned long long)instance->flags, describe(outcome));
	}
	/* A trap comes after the first instruction. */
	if (!traps)
		EXPECT_EQ(rip, outcome->rip) { TH_LOG("%s at CPL %u", row->name, instance->cpl); }
	/* Instructions of this table leave all others alone. */
	EXPECT_EQ(rflags, outcome->rflags) {
		TH_LOG("%s at CPL %u, flags %#llx", row->name, instance->cpl,
		       (unsigned long long)instance->flags);
	}
	if (vector == NONE && !traps && row->value)
		EXPECT_EQ(row->value, outcome->regs[row->gives]) { TH_LOG("%s", row->name); }
	EXPECT_EQ(0, outcome->blocking) { TH_LOG("%s at CPL %u", row->name, instance->cpl); }
	EXPECT_EQ(traps ? 1u << 14 : 0, outcome->dr6 & 1u << 14) {
		TH_LOG("%s at CPL %u", row->name, instance->cpl);
	}
}

TEST_F(finished, as_the_sdm_says)
{
	const size_t count = __stop_finished_rows - __start_finished_rows;

	for (unsigned int n = 0; n < count * 2 * TEST_COUNT(states); n++) {
		const unsigned int at = n / 2 / TEST_COUNT(states);
		const struct row *row = __start_finished_rows[at];
		struct instance instance = {
			.mode = VMX_MODE_LONG, .code = row->code, .length = row->end - row->code,
			.rax = row->rax, .rcx = row->rcx, .rdx = row->rdx, .cpl = n % 2 * 3,
			.flags = states[n / 2 % TEST_COUNT(states)].flags,
			.blocking = states[n / 2 % TEST_COUNT(states)].blocking,
			.prepare = prepare_row, .detail = at,
		};
		struct outcome outcome;

		if (row->cr4 & CR4_OSXSAVE && !(self->machine->vm.caps.features & VMX_HAS_XSAVE))
			continue;
		if (row->cpu2 & ~self->machine->vm.caps.cpu2.may)
			continue;
		ASSERT_EQ(0, attempt(self->cpu, &instance, BY_CPU, &outcome)) {
			TH_LOG("%s at CPL %u: %s, %s", row->name, instance.cpl, vmx_error(),
			       test_describe(&self->cpu->vcpu));
		}
		expect(_metadata, &instance, &outcome, instance.cpl ? row->user : row->vector);
	}
}

/* Task switches */

#define TASK		0x28u		/* its selector */
#define TASK_CODE	(TEST_CODE + 0x800)
#define TASK_TSS	0x130000u
#define TASK_STACK	0xf800u
#define VECTOR_BP	3

/* SDM, "32-Bit Task-State Segment (TSS)" */
struct tss {
	uint32_t link, stacks[6];
	uint32_t cr3, eip, eflags, regs[8];
	uint32_t segments[6];
	uint32_t ldtr, io_map;
};

/* SDM, "16-Bit Task-State Segment (TSS)" */
struct tss16 {
	uint16_t link, stacks[6];
	uint16_t ip, flags, regs[8];
	uint16_t segments[4];
	uint16_t ldtr;
};

/* Beside a vector in struct instance.detail: the other task has a 16-bit TSS. */
#define NARROW	0x100

static volatile uint64_t *gdt_entry(struct vmx_cpu *cpu, uint32_t selector)
{
	return (uint64_t *)test_at(cpu->vcpu.vm, VMX_GUEST_GDT) + selector / 8;
}

static int add_task(struct vmx_cpu *cpu, const struct instance *instance)
{
	struct tss *task = test_at(cpu->vcpu.vm, TASK_TSS);
	uint64_t *gate = test_at(cpu->vcpu.vm, GATES + (instance->detail & 0xff) * 8), cr3 = 0;
	struct tss16 *narrow = test_at(cpu->vcpu.vm, TASK_TSS);
	int ret = add_tables(cpu, instance);

	ret = ret ?: vmx_field_get(cpu->vcpu.vmcs, VMX_F_GUEST_CR3, &cr3);
	*gdt_entry(cpu, TASK) = 0x67 | (TASK_TSS & 0xffffffull) << 16 | 0x89ull << 40;
	*task = (struct tss){
		.cr3 = cr3, .eip = TASK_CODE, .eflags = 2, .regs[VMX_RSP] = TASK_STACK,
		.regs[VMX_RAX] = 0xa,
		.segments = { VMX_GUEST_DS, VMX_GUEST_CS32, VMX_GUEST_DS, VMX_GUEST_DS, 0, 0 },
	};
	if (instance->detail & NARROW) {
		*gdt_entry(cpu, TASK) ^= 8ull << 40;
		*narrow = (struct tss16){
			.ip = TASK_CODE, .flags = 2, .regs[VMX_RSP] = TASK_STACK,
			.regs[VMX_RAX] = 0xa,
			.segments = { VMX_GUEST_DS, VMX_GUEST_CS32, VMX_GUEST_DS, VMX_GUEST_DS },
		};
	}
	((struct tss *)test_at(cpu->vcpu.vm, VMX_GUEST_TSS))->cr3 = cr3;
	/* A task gate. */
	*gate = (uint64_t)TASK << 16 | 0xe5ull << 40;
	memset(test_at(cpu->vcpu.vm, TEST_DATA), 0, 16);
	return ret;
}

/* To the other task by a CALL, and by INT3 and a gate; it counts and comes back by IRET. */
GUEST32(first_task, "mov $1, %ebx\n lcall $0x28, $0\n add $1, %ebx\n int3\n mov 0x20000, %eax\n"
	"mov 0x20004, %ecx\n mov %cr0, %edx\n");
GUEST32(second_task, "1: add %eax, 0x20000\n pushf\n pop 0x20004\n iret\n jmp 1b\n");
/* To the other task by an exception of a program's, whose error code is on the new stack. */
GUEST32(user_program, "mov $0x1234, %eax\n mov %eax, %ds\n");
GUEST32(handling_task, "pop %ecx\n vmcall\n");

TEST_F(finished, task_switches)
{
	for (unsigned int n = 0; n < 4; n++) {
		const bool narrow = n & 2;
		struct instance instance = {
			.mode = n & 1 ? VMX_MODE_PAE : VMX_MODE_PROTECTED, CODE(first_task),
			.prepare = add_task, .detail = VECTOR_BP | (narrow ? NARROW : 0),
		};
		struct outcome outcome;

		memcpy(test_at(&self->machine->vm, TASK_CODE), second_task,
		       second_task_end - second_task);
		ASSERT_EQ(0, attempt(self->cpu, &instance, BY_CPU, &outcome)) {
			TH_LOG("%s, %s", vmx_error(), test_describe(&self->cpu->vcpu));
		}
		EXPECT_EQ(NONE, outcome.vector);
		EXPECT_EQ(TEST_CODE + instance.length, outcome.rip);
		EXPECT_EQ(0x14, outcome.regs[VMX_RAX]);
		EXPECT_EQ(2, outcome.regs[VMX_RBX]);
		EXPECT_EQ(RFLAGS_NT, outcome.regs[VMX_RCX] & RFLAGS_NT);
		EXPECT_EQ(CR0_TS, outcome.regs[VMX_RDX] & CR0_TS);
		EXPECT_EQ(TEST_STACK, outcome.regs[VMX_RSP]);
		EXPECT_EQ(0, outcome.rflags & RFLAGS_NT);
		/* Which of them is busy. */
		EXPECT_EQ(0x8b, *gdt_entry(self->cpu, VMX_GUEST_TR) >> 40 & 0xff);
		EXPECT_EQ(narrow ? 0x81 : 0x89, *gdt_entry(self->cpu, TASK) >> 40 & 0xff);
	}
}

TEST_F(finished, task_switch_that_a_program_causes)
{
	struct instance instance = {
		.mode = VMX_MODE_PROTECTED, CODE(user_program), .prepare = add_task, .cpl = 3,
		.detail = GP,
	};
	struct outcome outcome;

	memcpy(test_at(&self->machine->vm, TASK_CODE), handling_task,
	       handling_task_end - handling_task);
	ASSERT_EQ(0, attempt(self->cpu, &instance, BY_CPU, &outcome)) {
		TH_LOG("%s, %s", vmx_error(), test_describe(&self->cpu->vcpu));
	}
	EXPECT_EQ(TASK_CODE + 1, outcome.rip);
	EXPECT_EQ(0x1234, outcome.regs[VMX_RCX]);
	EXPECT_EQ(TASK_STACK, outcome.regs[VMX_RSP]);
	EXPECT_EQ(TEST_CODE + 5, ((struct tss *)test_at(&self->machine->vm, VMX_GUEST_TSS))->eip);
}

/* A program that reaches a device by an unknown instruction ends itself, not its machine. */
GUEST64(fld, "fldl (%rax)");

TEST_F(finished, what_the_emulator_cannot_do)
{
	struct instance instance = {
		.mode = VMX_MODE_LONG, CODE(fld), .rax = TEST_MMIO, .cpl = 3,
	};
	struct outcome outcome;

	ASSERT_VMX(attempt(self->cpu, &instance, BY_CPU, &outcome));
	EXPECT_EQ(UD, outcome.vector);
	EXPECT_EQ(TEST_CODE, outcome.rip);
	EXPECT_EQ(RFLAGS_RF, outcome.rflags & RFLAGS_RF);
	instance.cpl = 0;
	EXPECT_EQ(-EOPNOTSUPP, attempt(self->cpu, &instance, BY_CPU, &outcome));
	EXPECT_NE(NULL, strstr(vmx_error(), "fld"));
}

VMX_TEST_MAIN
