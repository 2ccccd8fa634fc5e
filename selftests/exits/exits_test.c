// SPDX-License-Identifier: GPL-2.0
/* Every exit that an instruction of a 64-bit guest can cause, one variant each. */
#include <cpuid.h>

#include "lib/run_page.h"

/* In struct exit_variant.checks. */
#define QUALIFICATION	(1 << 0)
#define INTERRUPTION	(1 << 1)	/* intr_info, and intr_error if it says so */
#define QUIET		(1 << 2)	/* does not exit without the controls */
#define FINAL		(1 << 3)	/* the guest cannot go on to its HLT */

FIXTURE(exit) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	struct vmx_run_page *run;
};

FIXTURE_VARIANT(exit) {
	const unsigned char *code, *end;
	uint32_t cpu;		/* primary controls the exit needs */
	uint32_t cpu2;		/* secondary controls it needs */
	uint32_t with_cpu2;	/* secondary controls the instruction needs */
	uint32_t exceptions;	/* exception bitmap */
	uint32_t cpuid1_ecx;	/* what CPUID.1:ECX must have */
	uint32_t reason;
	uint32_t checks;
	uint32_t length;	/* 0: not checked */
	uint32_t intr_info;
	uint32_t intr_error;
	uint64_t qualification;
};

#define EXIT(name, text, ...)						\
	GUEST64(name##_guest, text "\n hlt");				\
	FIXTURE_VARIANT_ADD(exit, name) {				\
		.code = name##_guest, .end = name##_guest_end, __VA_ARGS__ \
	}

/* Instructions that always exit. */
EXIT(cpuid, "xor %eax, %eax\n cpuid", .reason = VMX_REASON_CPUID, .length = 2);
EXIT(vmcall, "vmcall", .reason = VMX_REASON_VMCALL, .length = 3);
EXIT(invd, "invd", .reason = VMX_REASON_INVD, .length = 2);

/* Those that the module has exit for the host's sake. */
EXIT(rdpmc, "xor %ecx, %ecx\n rdpmc", .reason = VMX_REASON_RDPMC, .length = 2);
EXIT(wbinvd, "wbinvd", .cpu2 = VMX_CPU2_WBINVD_EXITING, .reason = VMX_REASON_WBINVD, .length = 2);
EXIT(monitor, "mov $0x20000, %eax\n xor %ecx, %ecx\n xor %edx, %edx\n monitor",
     .cpuid1_ecx = 1 << 3, .reason = VMX_REASON_MONITOR, .length = 3);
EXIT(mwait, "xor %eax, %eax\n xor %ecx, %ecx\n mwait",
     .cpuid1_ecx = 1 << 3, .reason = VMX_REASON_MWAIT, .length = 3);
EXIT(mov_from_dr, "mov %dr7, %rcx", .reason = VMX_REASON_MOV_DR, .length = 3,
     .checks = QUALIFICATION, .qualification = 7 | 1 << 4 | 1 << 8);
EXIT(mov_to_dr, "mov %rax, %dr0", .reason = VMX_REASON_MOV_DR, .length = 3,
     .checks = QUALIFICATION, .qualification = 0);
EXIT(mov_to_cr8, "mov %rax, %cr8", .reason = VMX_REASON_CR_ACCESS, .length = 4,
     .checks = QUALIFICATION, .qualification = 8);
EXIT(mov_from_cr8, "mov %cr8, %rdx", .reason = VMX_REASON_CR_ACCESS, .length = 4,
     .checks = QUALIFICATION, .qualification = 8 | 1 << 4 | 2 << 8);

/* CR0.CD and CR4.VMXE are the host's whatever the guest thinks. */
EXIT(mov_to_cr0, "mov %cr0, %rsi\n bts $30, %rsi\n mov %rsi, %cr0",
     .reason = VMX_REASON_CR_ACCESS, .length = 3,
     .checks = QUALIFICATION, .qualification = 0 | 6 << 8);
EXIT(mov_to_cr4, "mov %cr4, %rbx\n bts $13, %rbx\n mov %rbx, %cr4",
     .reason = VMX_REASON_CR_ACCESS, .length = 3,
     .checks = QUALIFICATION, .qualification = 4 | 3 << 8);

/* I/O. */
EXIT(in_imm, "in $0x60, %al", .reason = VMX_REASON_IO, .length = 2,
     .checks = QUALIFICATION, .qualification = 0 | 1 << 3 | 1 << 6 | 0x60 << 16);
EXIT(out_dx, "mov $0x1234, %edx\n out %eax, %dx", .reason = VMX_REASON_IO, .length = 1,
     .checks = QUALIFICATION, .qualification = 3 | 0x1234 << 16);
EXIT(out_word, "mov $0x1234, %edx\n out %ax, %dx", .reason = VMX_REASON_IO, .length = 2,
     .checks = QUALIFICATION, .qualification = 1 | 0x1234 << 16);
EXIT(rep_outsb, "mov $0x70, %edx\n mov $0x20000, %esi\n mov $1, %ecx\n rep outsb",
     .reason = VMX_REASON_IO, .length = 2,
     .checks = QUALIFICATION, .qualification = 0 | 1 << 4 | 1 << 5 | 0x70 << 16);
EXIT(insl, "mov $0x70, %edx\n mov $0x20000, %edi\n insl",
     .reason = VMX_REASON_IO, .length = 1,
     .checks = QUALIFICATION, .qualification = 3 | 1 << 3 | 1 << 4 | 0x70 << 16);

/* MSRs that nobody delegated. */
EXIT(rdmsr, "mov $0x10, %ecx\n rdmsr", .reason = VMX_REASON_RDMSR, .length = 2);
EXIT(wrmsr, "mov $0x10, %ecx\n wrmsr", .reason = VMX_REASON_WRMSR, .length = 2);
EXIT(rdmsr_high, "mov $0xc0000082, %ecx\n rdmsr", .reason = VMX_REASON_RDMSR, .length = 2);
EXIT(rdmsr_outside, "mov $0x40000000, %ecx\n rdmsr", .reason = VMX_REASON_RDMSR, .length = 2);

/* Exits that userspace chooses. */
EXIT(invlpg, "mov $0x20000, %eax\n invlpg (%rax)", .cpu = VMX_CPU_INVLPG_EXITING,
     .reason = VMX_REASON_INVLPG, .length = 3,
     .checks = QUALIFICATION | QUIET, .qualification = TEST_DATA);
EXIT(rdtsc, "rdtsc", .cpu = VMX_CPU_RDTSC_EXITING, .reason = VMX_REASON_RDTSC, .length = 2,
     .checks = QUIET);
EXIT(rdtscp, "rdtscp", .cpu = VMX_CPU_RDTSC_EXITING, .with_cpu2 = VMX_CPU2_RDTSCP,
     .reason = VMX_REASON_RDTSCP, .length = 3, .checks = QUIET);
EXIT(mov_to_cr3, "mov $0x2000, %eax\n mov %rax, %cr3", .cpu = VMX_CPU_CR3_LOAD_EXITING,
     .reason = VMX_REASON_CR_ACCESS, .length = 3,
     .checks = QUALIFICATION | QUIET, .qualification = 3);
EXIT(mov_from_cr3, "mov %cr3, %rdi", .cpu = VMX_CPU_CR3_STORE_EXITING,
     .reason = VMX_REASON_CR_ACCESS, .length = 3,
     .checks = QUALIFICATION | QUIET, .qualification = 3 | 1 << 4 | 7 << 8);
EXIT(pause, "pause", .cpu = VMX_CPU_PAUSE_EXITING, .reason = VMX_REASON_PAUSE, .length = 2,
     .checks = QUIET);
EXIT(monitor_trap_flag, "nop\n nop\n nop\n nop", .cpu = VMX_CPU_MONITOR_TRAP_FLAG,
     .reason = VMX_REASON_MONITOR_TRAP_FLAG, .checks = QUIET | FINAL);
EXIT(sgdt, "sgdt 0x20000", .cpu2 = VMX_CPU2_DESC_TABLE_EXITING, .reason = VMX_REASON_GDTR_IDTR,
     .length = 8, .checks = QUIET);
EXIT(lidt, "lidt 0x20000", .cpu2 = VMX_CPU2_DESC_TABLE_EXITING, .reason = VMX_REASON_GDTR_IDTR,
     .length = 8, .checks = QUIET);
EXIT(sldt, "sldt %eax", .cpu2 = VMX_CPU2_DESC_TABLE_EXITING, .reason = VMX_REASON_LDTR_TR,
     .length = 3, .checks = QUIET);
EXIT(lldt, "xor %eax, %eax\n lldt %ax", .cpu2 = VMX_CPU2_DESC_TABLE_EXITING,
     .reason = VMX_REASON_LDTR_TR, .length = 3, .checks = QUIET);
EXIT(str, "str %eax", .cpu2 = VMX_CPU2_DESC_TABLE_EXITING, .reason = VMX_REASON_LDTR_TR,
     .length = 3, .checks = QUIET);
EXIT(rdrand, "rdrand %eax", .cpu2 = VMX_CPU2_RDRAND_EXITING, .cpuid1_ecx = 1 << 30,
     .reason = VMX_REASON_RDRAND, .length = 3, .checks = QUIET);
EXIT(rdseed, "rdseed %eax", .cpu2 = VMX_CPU2_RDSEED_EXITING, .reason = VMX_REASON_RDSEED,
     .length = 3, .checks = QUIET);
EXIT(invpcid, "mov $0x20000, %edi\n mov $3, %eax\n invpcid (%rdi), %rax",
     .cpu = VMX_CPU_INVLPG_EXITING, .with_cpu2 = VMX_CPU2_INVPCID,
     .reason = VMX_REASON_INVPCID, .length = 5, .checks = QUIET);

/* VMX instructions: the guest is told what it is by its user, not by the CPU. */
EXIT(vmclear, "vmclear 0x20000", .reason = VMX_REASON_VMCLEAR, .length = 9);
EXIT(vmlaunch, "vmlaunch", .reason = VMX_REASON_VMLAUNCH, .length = 3);
EXIT(vmptrld, "vmptrld 0x20000", .reason = VMX_REASON_VMPTRLD, .length = 8);
EXIT(vmptrst, "vmptrst 0x20000", .reason = VMX_REASON_VMPTRST, .length = 8);
EXIT(vmread, "vmread %rax, %rbx", .reason = VMX_REASON_VMREAD, .length = 3);
EXIT(vmwrite, "vmwrite %rax, %rbx", .reason = VMX_REASON_VMWRITE, .length = 3);
EXIT(vmresume, "vmresume", .reason = VMX_REASON_VMRESUME, .length = 3);
EXIT(vmxoff, "vmxoff", .reason = VMX_REASON_VMXOFF, .length = 3);
EXIT(vmxon, "vmxon 0x20000", .reason = VMX_REASON_VMXON, .length = 9);
EXIT(invept, "mov $0x20000, %edi\n mov $2, %eax\n invept (%rdi), %rax",
     .reason = VMX_REASON_INVEPT, .length = 5);
EXIT(invvpid, "mov $0x20000, %edi\n mov $2, %eax\n invvpid (%rdi), %rax",
     .reason = VMX_REASON_INVVPID, .length = 5);

/* Exceptions, as the exception bitmap asks for. The interruption types are the SDM's. */
#define EXCEPTION(name, text, vector, info, ...)			\
	EXIT(name, text, .exceptions = 1u << (vector),			\
	     .reason = VMX_REASON_EXCEPTION_NMI,			\
	     .intr_info = VMX_INTR_VALID | (info) | (vector), __VA_ARGS__)

EXCEPTION(ud, "ud2", 6, VMX_INTR_TYPE_HARDWARE_EXCEPTION, .checks = INTERRUPTION | FINAL);
EXCEPTION(de, "xor %ecx, %ecx\n div %ecx", 0, VMX_INTR_TYPE_HARDWARE_EXCEPTION,
	  .checks = INTERRUPTION | FINAL);
EXCEPTION(gp, "mov $0x28, %eax\n mov %eax, %ds", 13,
	  VMX_INTR_TYPE_HARDWARE_EXCEPTION | VMX_INTR_ERROR_CODE,
	  .checks = INTERRUPTION | FINAL, .intr_error = 0x28);
EXCEPTION(pf, "mov $0x123456789000, %rax\n movb $0, (%rax)", 14,
	  VMX_INTR_TYPE_HARDWARE_EXCEPTION | VMX_INTR_ERROR_CODE,
	  .checks = INTERRUPTION | QUALIFICATION | FINAL, .intr_error = 2,
	  .qualification = 0x123456789000);
EXCEPTION(bp, "int3", 3, VMX_INTR_TYPE_SOFTWARE_EXCEPTION, .checks = INTERRUPTION, .length = 1);
EXCEPTION(icebp, ".byte 0xf1", 1, VMX_INTR_TYPE_PRIVILEGED_EXCEPTION, .checks = INTERRUPTION,
	  .length = 1);
EXCEPTION(single_step, "pushf\n orl $0x100, (%rsp)\n popf\n nop", 1,
	  VMX_INTR_TYPE_HARDWARE_EXCEPTION,
	  .checks = INTERRUPTION | QUALIFICATION | FINAL, .qualification = 1 << 14);

/* No IDT: the first fault cannot be delivered, nor can the second. */
EXIT(triple_fault, "ud2", .reason = VMX_REASON_TRIPLE_FAULT, .checks = FINAL);

#define PAGING	(VMX_STATE_CR0 | VMX_STATE_CR3 | VMX_STATE_CR4 | VMX_STATE_EFER)
#define CALM	(VMX_STATE_INTERRUPTIBILITY | VMX_STATE_ACTIVITY)
#define STATE	(VMX_STATE_RIP | VMX_STATE_RSP | VMX_STATE_RFLAGS | VMX_STATE_CS |	\
		 VMX_STATE_SS | PAGING | CALM | VMX_STATE_CR2)
#define INSTRUCTION	(STATE | VMX_VALID_LENGTH)
#define OPERAND		(INSTRUCTION | VMX_VALID_INSN_INFO | VMX_VALID_QUALIFICATION |	\
			 VMX_VALID_LINEAR)

/*
 * What the run page has after an exit: all state and the length, and what the SDM says of the
 * reason in "Basic VM-Exit Information"; but little for exits that happen all the time.
 */
static uint32_t valid_after(const struct vmx_run_page *run)
{
	uint32_t type;

	switch (run->reason) {
	case VMX_REASON_CPUID:
	case VMX_REASON_RDMSR:
	case VMX_REASON_WRMSR:
		return VMX_STATE_RIP | VMX_VALID_LENGTH;
	case VMX_REASON_HLT:
		return VMX_STATE_RIP | VMX_STATE_RFLAGS | CALM | VMX_VALID_LENGTH;
	case VMX_REASON_IO:
		return VMX_STATE_RIP | VMX_VALID_LENGTH | VMX_VALID_QUALIFICATION | VMX_VALID_IO |
		       (run->io_flags & VMX_IO_STRING ?
			STATE | VMX_VALID_LINEAR | VMX_VALID_INSN_INFO : 0);
	case VMX_REASON_EXCEPTION_NMI:
		/* Software exceptions alone are instructions. */
		type = run->intr_info & VMX_INTR_TYPE_MASK;
		return STATE | VMX_VALID_QUALIFICATION | VMX_VALID_INTR | VMX_VALID_IDT |
		       (type >= VMX_INTR_TYPE_PRIVILEGED_EXCEPTION ? VMX_VALID_LENGTH : 0);
	case VMX_REASON_TRIPLE_FAULT:
	case VMX_REASON_MONITOR_TRAP_FLAG:
		return STATE | VMX_VALID_QUALIFICATION;
	case VMX_REASON_INVLPG:
	case VMX_REASON_MOV_DR:
	case VMX_REASON_MWAIT:
		return INSTRUCTION | VMX_VALID_QUALIFICATION;
	case VMX_REASON_CR_ACCESS:
	case VMX_REASON_MONITOR:
		return INSTRUCTION | VMX_VALID_QUALIFICATION | VMX_VALID_LINEAR;
	case VMX_REASON_RDRAND:
	case VMX_REASON_RDSEED:
		return INSTRUCTION | VMX_VALID_INSN_INFO;
	case VMX_REASON_VMCLEAR:
	case VMX_REASON_VMPTRLD:
	case VMX_REASON_VMPTRST:
	case VMX_REASON_VMREAD:
	case VMX_REASON_VMWRITE:
	case VMX_REASON_VMXON:
	case VMX_REASON_GDTR_IDTR:
	case VMX_REASON_LDTR_TR:
	case VMX_REASON_INVEPT:
	case VMX_REASON_INVVPID:
	case VMX_REASON_INVPCID:
		return OPERAND;
	default:
		return INSTRUCTION;
	}
}

FIXTURE_SETUP(exit)
{
	ASSERT_VMX(vmx_vm_open(&self->vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	self->run = self->vcpu.run;
}

FIXTURE_TEARDOWN(exit)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

static uint32_t cpuid1_ecx(void)
{
	unsigned int a, b, c = 0, d;

	__get_cpuid(1, &a, &b, &c, &d);
	return c;
}

static int start(struct vmx_vcpu *vcpu, const struct _fixture_variant_exit *variant)
{
	int ret = test_start_code(vcpu, VMX_MODE_LONG, variant->code, variant->end - variant->code);

	if (!ret)
		ret = vmx_field_set(vcpu->vmcs, VMX_F_EXCEPTION_BITMAP, variant->exceptions);
	if (!ret && variant->with_cpu2)
		ret = vmx_field_change(vcpu->vmcs, VMX_F_CPU2_CONTROLS, 0, variant->with_cpu2);
	return ret;
}

TEST_F(exit, reason)
{
	const struct vmx_caps *caps = &self->vm.caps;
	int vmcs = self->vcpu.vmcs;

	if (variant->cpu & ~caps->cpu.may ||
	    (variant->cpu2 | variant->with_cpu2) & ~caps->cpu2.may)
		SKIP(return, "the CPU has no such control");
	if (variant->cpuid1_ecx & ~cpuid1_ecx())
		SKIP(return, "the CPU has no such instruction");

	/* Without the control the instruction does its work and the guest goes on. */
	if (variant->checks & QUIET &&
	    !(variant->cpu & caps->cpu.must || variant->cpu2 & caps->cpu2.must)) {
		ASSERT_VMX(start(&self->vcpu, variant));
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	}

	ASSERT_VMX(start(&self->vcpu, variant));
	ASSERT_VMX(vmx_field_change(vmcs, VMX_F_CPU_CONTROLS, 0, variant->cpu));
	ASSERT_VMX(vmx_field_change(vmcs, VMX_F_CPU2_CONTROLS, 0, variant->cpu2));
	if (variant->reason == VMX_REASON_MONITOR_TRAP_FLAG && test_on_bochs())
		SKIP(return, "Bochs takes the monitor trap flag and does nothing");
	run_poison(self->run);
	ASSERT_EXIT(&self->vcpu, variant->reason);
	EXPECT_EQ(valid_after(self->run), self->run->valid);
	/* The error code of a page fault is not the CPU's with shadow page tables. */
	if (caps->features & VMX_HAS_EPT || variant->reason != VMX_REASON_EXCEPTION_NMI) {
		EXPECT_EQ(NULL, run_wrong(&self->vcpu)) { TH_LOG("%s", run_wrong(&self->vcpu)); }
	}
	if (variant->reason == VMX_REASON_IO) {
		const uint64_t access = variant->qualification;
		const uint8_t flags = (access >> 3 & 1 ? VMX_IO_IN : 0) |
				      (access >> 4 & 1 ? VMX_IO_STRING : 0) |
				      (access >> 5 & 1 ? VMX_IO_REP : 0);

		EXPECT_EQ((access & 7) + 1, self->run->io_size);
		EXPECT_EQ(access >> 16, self->run->io_port);
		EXPECT_EQ(flags, self->run->io_flags);
	}
	if (variant->checks & QUALIFICATION) {
		EXPECT_EQ(variant->qualification, self->run->qualification);
	}
	if (variant->length) {
		EXPECT_TRUE(self->run->valid & VMX_VALID_LENGTH);
		EXPECT_EQ(variant->length, self->run->length);
	}
	if (variant->checks & INTERRUPTION) {
		EXPECT_TRUE(self->run->valid & VMX_VALID_INTR);
		EXPECT_EQ(variant->intr_info, self->run->intr_info & ~VMX_INTR_UNBLOCK_NMI);
		if (variant->intr_info & VMX_INTR_ERROR_CODE) {
			EXPECT_EQ(variant->intr_error, self->run->intr_error);
		}
	}
	if (variant->checks & FINAL)
		return;
	/* The instruction is done, and the guest comes to the next one. */
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(TEST_CODE + (variant->end - variant->code) - 1, self->run->rip);
}

VMX_TEST_MAIN
