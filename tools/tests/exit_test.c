// SPDX-License-Identifier: GPL-2.0
/* Exits in words, one of each kind that has something to tell. */
#include <string.h>

#include "kselftest_harness.h"

#include <libvmx.h>

#define STATE (VMX_STATE_RIP | VMX_VALID_QUALIFICATION)

#define EXPECT_EXIT(text, ...) do { \
	struct vmx_run_page run = { __VA_ARGS__ }; \
	char buf[256]; \
	EXPECT_STREQ(text, vmx_explain_exit(&run, buf, sizeof(buf))); \
} while (0)

#define EXPECT_OUTCOME(text, ...) do { \
	struct vmx_run_page run = { __VA_ARGS__ }; \
	char buf[256]; \
	EXPECT_STREQ(text, vmx_explain_outcome(&run, buf, sizeof(buf))); \
} while (0)

TEST(names_alone)
{
	EXPECT_EXIT("HLT", .reason = VMX_REASON_HLT);
	EXPECT_EXIT("exit 71", .reason = 71);
	EXPECT_EXIT("exit 65535", .reason = 0xffff);
	/* Bits above the basic reason are no part of it. */
	EXPECT_EXIT("INVD", .reason = VMX_REASON_INVD | VMX_REASON_PENDING_MTF);
}

TEST(ports)
{
	EXPECT_EXIT("I/O instruction: OUT, port 0x3f8, 1 byte, 0x41", .reason = VMX_REASON_IO,
		    .valid = VMX_VALID_IO, .io_port = 0x3f8, .io_size = 1,
		    .regs[VMX_RAX] = 0x12345641);
	EXPECT_EXIT("I/O instruction: OUT, port 0xcf8, 4 bytes, 0x80000800",
		    .reason = VMX_REASON_IO, .valid = VMX_VALID_IO, .io_port = 0xcf8, .io_size = 4,
		    .regs[VMX_RAX] = 0xffffffff80000800);
	/* What IN reads is known afterwards. */
	EXPECT_EXIT("I/O instruction: IN, port 0x64, 1 byte", .reason = VMX_REASON_IO,
		    .valid = VMX_VALID_IO, .io_port = 0x64, .io_size = 1, .io_flags = VMX_IO_IN,
		    .regs[VMX_RAX] = 0xff);
	EXPECT_EXIT("I/O instruction: REP OUTS, port 0x170, 2 bytes, linear address 0xb8000",
		    .reason = VMX_REASON_IO, .valid = VMX_VALID_IO, .io_port = 0x170, .io_size = 2,
		    .io_flags = VMX_IO_STRING | VMX_IO_REP, .linear = 0xb8000);
	EXPECT_OUTCOME("0x1234", .reason = VMX_REASON_IO, .valid = VMX_VALID_IO, .io_size = 2,
		       .io_flags = VMX_IO_IN, .regs[VMX_RAX] = 0xabcd1234);
	EXPECT_OUTCOME("", .reason = VMX_REASON_IO, .valid = VMX_VALID_IO, .io_size = 1,
		       .regs[VMX_RAX] = 0x41);
}

TEST(control_and_debug_registers)
{
	EXPECT_EXIT("control-register access: MOV to CR4 from RDX, 0x20",
		    .reason = VMX_REASON_CR_ACCESS, .valid = STATE, .qualification = 0x204,
		    .regs[VMX_RDX] = 0x20);
	EXPECT_EXIT("control-register access: MOV from CR8 to R15",
		    .reason = VMX_REASON_CR_ACCESS, .valid = STATE, .qualification = 0xf18,
		    .regs[VMX_R15] = 3);
	EXPECT_OUTCOME("0x3", .reason = VMX_REASON_CR_ACCESS, .valid = STATE,
		       .qualification = 0xf18, .regs[VMX_R15] = 3);
	EXPECT_EXIT("control-register access: CLTS", .reason = VMX_REASON_CR_ACCESS, .valid = STATE,
		    .qualification = 0x20);
	EXPECT_EXIT("control-register access: LMSW, 0xfff1", .reason = VMX_REASON_CR_ACCESS,
		    .valid = STATE, .qualification = 0xfff10030);
	EXPECT_EXIT("MOV DR: to DR7 from RAX, 0x400", .reason = VMX_REASON_MOV_DR, .valid = STATE,
		    .qualification = 0x7, .regs[VMX_RAX] = 0x400);
	EXPECT_EXIT("MOV DR: from DR6 to RBX", .reason = VMX_REASON_MOV_DR, .valid = STATE,
		    .qualification = 0x316);
	EXPECT_OUTCOME("0xffff0ff0", .reason = VMX_REASON_MOV_DR, .valid = STATE,
		       .qualification = 0x316, .regs[VMX_RBX] = 0xffff0ff0);
}

TEST(msrs_and_cpuid)
{
	EXPECT_EXIT("WRMSR: MSR 0x830, 0x1000000fb", .reason = VMX_REASON_WRMSR,
		    .regs = { [VMX_RAX] = 0xfb, [VMX_RCX] = 0x830, [VMX_RDX] = 1 });
	EXPECT_EXIT("RDMSR: MSR 0xc0000080", .reason = VMX_REASON_RDMSR,
		    .regs = { [VMX_RCX] = 0xffffffffc0000080 });
	EXPECT_OUTCOME("0x100000002", .reason = VMX_REASON_RDMSR,
		       .regs = { [VMX_RAX] = 2, [VMX_RDX] = 1 });
	EXPECT_EXIT("XSETBV: XCR0, 0x7", .reason = VMX_REASON_XSETBV, .regs = { [VMX_RAX] = 7 });
	EXPECT_EXIT("CPUID: leaf 0x40000000, subleaf 0x2", .reason = VMX_REASON_CPUID,
		    .regs = { [VMX_RAX] = 0x40000000, [VMX_RCX] = 2 });
	EXPECT_OUTCOME("EAX 0x1, EBX 0x2, ECX 0x3, EDX 0x4", .reason = VMX_REASON_CPUID,
		       .regs = { [VMX_RAX] = 1, [VMX_RBX] = 2, [VMX_RCX] = 3, [VMX_RDX] = 4 });
}

TEST(memory)
{
	EXPECT_EXIT("EPT violation: write at guest-physical 0xfee000b0, linear 0xffffffffff5fc0b0",
		    .reason = VMX_REASON_EPT_VIOLATION, .qualification = 0x182,
		    .physical = 0xfee000b0, .linear = 0xffffffffff5fc0b0);
	EXPECT_EXIT("EPT violation: read, write at guest-physical 0x1000, in the page walk of "
		    "linear 0x7000, which is readable, executable",
		    .reason = VMX_REASON_EPT_VIOLATION, .qualification = 0xab, .physical = 0x1000,
		    .linear = 0x7000);
	EXPECT_EXIT("EPT violation: instruction fetch at guest-physical 0xa0000",
		    .reason = VMX_REASON_EPT_VIOLATION, .qualification = 0x4, .physical = 0xa0000,
		    .linear = 0x1234);
	EXPECT_EXIT("INVLPG: linear address 0x5000", .reason = VMX_REASON_INVLPG,
		    .qualification = 0x5000);
}

TEST(events)
{
	uint32_t exception = VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION;

	EXPECT_EXIT("exception or NMI: #PF, error code 0x2, linear address 0x1234",
		    .reason = VMX_REASON_EXCEPTION_NMI, .qualification = 0x1234,
		    .intr_info = exception | VMX_INTR_ERROR_CODE | 14, .intr_error = 2);
	EXPECT_EXIT("exception or NMI: #DB, bit 1 (B1), bit 14 (BS)",
		    .reason = VMX_REASON_EXCEPTION_NMI, .qualification = 0x4002,
		    .intr_info = exception | 1);
	EXPECT_EXIT("exception or NMI: #BP", .reason = VMX_REASON_EXCEPTION_NMI,
		    .intr_info = VMX_INTR_VALID | VMX_INTR_TYPE_SOFTWARE_EXCEPTION | 3);
	EXPECT_EXIT("exception or NMI: hardware exception 0x1f",
		    .reason = VMX_REASON_EXCEPTION_NMI, .intr_info = exception | 31);
	EXPECT_EXIT("HLT; during delivery of external interrupt 0x30", .reason = VMX_REASON_HLT,
		    .valid = VMX_VALID_IDT, .idt_info = VMX_INTR_VALID | 0x30);
	EXPECT_EXIT("HLT", .reason = VMX_REASON_HLT, .valid = VMX_VALID_IDT, .idt_info = 0x30);
	EXPECT_EXIT("task switch: by task gate to selector 0x28", .reason = VMX_REASON_TASK_SWITCH,
		    .qualification = 0xc0000028);
	EXPECT_OUTCOME("#GP, error code 0", .reason = VMX_REASON_RDMSR,
		       .inject_info = exception | VMX_INTR_ERROR_CODE | 13);
	EXPECT_OUTCOME("NMI", .reason = VMX_REASON_HLT,
		       .inject_info = VMX_INTR_VALID | VMX_INTR_TYPE_NMI | 2);
}

TEST(entries_that_failed)
{
	EXPECT_EXIT("no check fails", .reason = VMX_REASON_INVALID_GUEST_STATE |
		    VMX_REASON_ENTRY_FAILURE, .valid = VMX_VALID_FAILURE);
}

TEST(any_size_of_buffer)
{
	struct vmx_run_page run = { .reason = VMX_REASON_HLT };
	char buf[4] = "xxx";

	EXPECT_STREQ("HL", vmx_explain_exit(&run, buf, 3));
	vmx_explain_exit(&run, buf, 0);
	EXPECT_STREQ("HL", buf);
	EXPECT_STREQ("", vmx_explain_outcome(&run, buf, sizeof(buf)));
}

TEST_HARNESS_MAIN
