// SPDX-License-Identifier: GPL-2.0
/* What a machine makes of each exit reason. */
#define _GNU_SOURCE
#include <libvmx/debugger.h>

#include "vcpu_fixture.h"

/* What becomes of an exit: an exception, or one of these. */
enum {
	DONE = 0x100,		/* the instruction is done */
	GOES_ON,		/* without that */
	ENDS,			/* the machine, by an error */
	ELSEWHERE,		/* other tests have it */
};

#define UD VECTOR_UD
#define GP VECTOR_GP

/* Every reason of linux/vmx_sdm.h. Those that end a machine need a control that it does not use. */
static const struct {
	uint32_t reason;
	unsigned int fate;
} fates[] = {
	{ VMX_REASON_EXCEPTION_NMI, GOES_ON },
	{ VMX_REASON_EXTERNAL_INTERRUPT, ENDS },	/* the module's */
	{ VMX_REASON_TRIPLE_FAULT, GOES_ON },		/* to its end, but not by an error */
	{ VMX_REASON_INIT, ENDS },			/* blocked in VMX operation */
	{ VMX_REASON_SIPI, ENDS },
	{ VMX_REASON_IO_SMI, ENDS },			/* dual-monitor treatment */
	{ VMX_REASON_OTHER_SMI, ENDS },
	{ VMX_REASON_INTERRUPT_WINDOW, GOES_ON },
	{ VMX_REASON_NMI_WINDOW, GOES_ON },
	{ VMX_REASON_TASK_SWITCH, ELSEWHERE },
	{ VMX_REASON_CPUID, DONE },
	{ VMX_REASON_GETSEC, UD },
	{ VMX_REASON_HLT, DONE },
	{ VMX_REASON_INVD, DONE },
	{ VMX_REASON_INVLPG, ENDS },			/* INVLPG exiting */
	{ VMX_REASON_RDPMC, GP },
	{ VMX_REASON_RDTSC, ENDS },			/* RDTSC exiting */
	{ VMX_REASON_RSM, UD },
	{ VMX_REASON_VMCALL, UD },
	{ VMX_REASON_VMCLEAR, UD },
	{ VMX_REASON_VMLAUNCH, UD },
	{ VMX_REASON_VMPTRLD, UD },
	{ VMX_REASON_VMPTRST, UD },
	{ VMX_REASON_VMREAD, UD },
	{ VMX_REASON_VMRESUME, UD },
	{ VMX_REASON_VMWRITE, UD },
	{ VMX_REASON_VMXOFF, UD },
	{ VMX_REASON_VMXON, UD },
	{ VMX_REASON_CR_ACCESS, ELSEWHERE },
	{ VMX_REASON_MOV_DR, GP },
	{ VMX_REASON_IO, DONE },
	{ VMX_REASON_RDMSR, GP },			/* MSR 0 */
	{ VMX_REASON_WRMSR, GP },
	{ VMX_REASON_INVALID_GUEST_STATE, ENDS },
	{ VMX_REASON_MSR_LOADING, ENDS },
	{ VMX_REASON_MWAIT, UD },
	{ VMX_REASON_MONITOR_TRAP_FLAG, ENDS },		/* monitor trap flag */
	{ VMX_REASON_MONITOR, UD },
	{ VMX_REASON_PAUSE, DONE },
	{ VMX_REASON_MACHINE_CHECK, ENDS },
	{ VMX_REASON_TPR_BELOW_THRESHOLD, ENDS },	/* TPR shadow, APIC virtualization */
	{ VMX_REASON_APIC_ACCESS, ENDS },
	{ VMX_REASON_VIRTUALIZED_EOI, ENDS },
	{ VMX_REASON_GDTR_IDTR, ENDS },			/* descriptor-table exiting */
	{ VMX_REASON_LDTR_TR, ENDS },
	{ VMX_REASON_EPT_VIOLATION, ELSEWHERE },
	{ VMX_REASON_EPT_MISCONFIG, ENDS },		/* the module's mistake */
	{ VMX_REASON_INVEPT, UD },
	{ VMX_REASON_RDTSCP, ENDS },			/* RDTSC exiting */
	{ VMX_REASON_PREEMPTION_TIMER, GOES_ON },
	{ VMX_REASON_INVVPID, UD },
	{ VMX_REASON_WBINVD, DONE },
	{ VMX_REASON_XSETBV, ENDS },			/* the module's */
	{ VMX_REASON_APIC_WRITE, ENDS },
	{ VMX_REASON_RDRAND, ENDS },			/* RDRAND exiting */
	{ VMX_REASON_INVPCID, ENDS },			/* INVLPG exiting */
	{ VMX_REASON_VMFUNC, UD },
	{ VMX_REASON_ENCLS, UD },
	{ VMX_REASON_RDSEED, ENDS },			/* RDSEED exiting */
	{ VMX_REASON_PML_FULL, ENDS },			/* the module's */
	{ VMX_REASON_XSAVES, UD },
	{ VMX_REASON_XRSTORS, UD },
	{ VMX_REASON_PCONFIG, UD },
	{ VMX_REASON_SPP, ENDS },			/* sub-page write permissions */
	{ VMX_REASON_UMWAIT, UD },
	{ VMX_REASON_TPAUSE, UD },
	{ VMX_REASON_LOADIWKEY, UD },
	{ VMX_REASON_ENCLV, UD },
	{ VMX_REASON_ENQCMD, UD },
	{ VMX_REASON_ENQCMDS, UD },
	{ VMX_REASON_BUS_LOCK, ENDS },			/* bus-lock detection */
	{ VMX_REASON_INSN_TIMEOUT, GOES_ON },
	{ VMX_REASON_SEAMCALL, UD },
	{ VMX_REASON_TDCALL, UD },
	{ VMX_REASON_RDMSRLIST, UD },
	{ VMX_REASON_WRMSRLIST, UD },
};

static unsigned int fate_of(exits_t *self, int ret)
{
	const struct vmx_run_page *run = self->run;

	if (ret)
		return ret == -EOPNOTSUPP ? ENDS : 0;
	if (run->inject_info & VMX_INTR_VALID && run->dirty & VMX_STATE_RFLAGS)
		return run->inject_info & VMX_INTR_VECTOR_MASK;
	return run->retire ? DONE : GOES_ON;
}

TEST_F(exits, all_reasons)
{
	for (size_t n = 0; n < COUNT(fates); n++) {
		char text[64];
		int ret;

		if (fates[n].fate == ELSEWHERE)
			continue;
		ret = exit_at(self, fates[n].reason, 3);
		EXPECT_EQ(fates[n].fate, fate_of(self, ret)) {
			TH_LOG("%s", vmx_reason_name(fates[n].reason));
		}
		if (fates[n].fate != ENDS)
			continue;
		snprintf(text, sizeof(text), "unhandled VM exit %u (%s) at RIP 0x1000",
			 fates[n].reason, vmx_reason_name(fates[n].reason));
		EXPECT_NE(NULL, strstr(vmx_error(), text)) { TH_LOG("%s", vmx_error()); }
	}
}

/* The SDM has more reasons than it had: here is said what becomes of each that has a name. */
TEST_F(exits, none_is_forgotten)
{
	for (uint32_t reason = 0; reason < VMX_STATS_REASONS; reason++) {
		bool found = false;

		for (size_t n = 0; n < COUNT(fates); n++)
			found = found || fates[n].reason == reason;
		EXPECT_EQ(!!vmx_reason_name(reason), found) { TH_LOG("reason %u", reason); }
	}
	EXPECT_EQ(-EOPNOTSUPP, exit_at(self, VMX_STATS_REASONS, 3));
	EXPECT_NE(NULL, strstr(vmx_error(), "unhandled VM exit 80 (unknown)"));
}

/* Faults push RF set, and in real mode no error code. */
TEST_F(exits, faults)
{
	ASSERT_EQ(0, exit_at(self, VMX_REASON_RDPMC, 0));
	EXPECT_EQ(VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | VMX_INTR_ERROR_CODE | GP,
		  self->run->inject_info);
	EXPECT_EQ(RFLAGS_FIXED | RFLAGS_IF | RFLAGS_RF, self->run->rflags);
	vmcs[VMX_F_GUEST_CR0] = CR0_ET;
	self->run->inject_info = 0;
	ASSERT_EQ(0, vmx_cpu_exit(self->cpu));
	EXPECT_EQ(VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | GP, self->run->inject_info);
}

/* A CPU that lost its state in the middle of an instruction cannot go on. */
TEST_F(exits, an_instruction_timeout_that_lost_state)
{
	exit_at(self, VMX_REASON_INSN_TIMEOUT, 3);
	self->run->qualification = 1;
	EXPECT_EQ(-EIO, vmx_cpu_exit(self->cpu));
}

/* To answer a program's access with #UD would lose the event that was being delivered. */
TEST_F(exits, a_device_in_the_delivery_of_an_event)
{
	const uint32_t event = VMX_INTR_VALID | VMX_INTR_TYPE_EXTERNAL | 0x20;

	exit_at(self, VMX_REASON_INTERRUPT_WINDOW, 3);
	self->run->reason = VMX_REASON_EPT_VIOLATION;
	self->run->valid = UINT32_MAX & ~VMX_VALID_FAILURE;
	self->run->inject_info = event;
	EXPECT_EQ(-EOPNOTSUPP, vmx_cpu_exit(self->cpu));
	EXPECT_EQ(event, self->run->inject_info);
}

static void mov_dr(exits_t *self, unsigned int dr, bool from, unsigned int reg)
{
	self->run->reason = VMX_REASON_MOV_DR;
	self->run->qualification = dr | from << 4 | reg << 8;
	vmx_cpu_exit(self->cpu);
}

/* The debugger has the real ones for its watchpoints, and the guest has what it wrote. */
TEST_F(exits, debug_registers_beside_a_debugger)
{
	struct vmx_debugger debugger = { .machine = &self->machine, .attached = true };

	exit_at(self, VMX_REASON_INTERRUPT_WINDOW, 0);
	registers = (struct vmx_debug){ .dr = { 0x1111 }, .dr6 = 0x3333 };
	vmcs[VMX_F_GUEST_DR7] = 0x4444;
	self->machine.debugger = &debugger;
	self->run->regs[VMX_RAX] = 0x701;
	mov_dr(self, 0, false, VMX_RAX);
	mov_dr(self, 7, false, VMX_RAX);
	EXPECT_EQ(0x1111, registers.dr[0]);
	EXPECT_EQ(0x3333, registers.dr6);
	EXPECT_EQ(0x4444, vmcs[VMX_F_GUEST_DR7]);
	mov_dr(self, 0, true, VMX_RBX);
	mov_dr(self, 7, true, VMX_RCX);
	EXPECT_EQ(0x701, self->run->regs[VMX_RBX]);
	EXPECT_EQ(0x701, self->run->regs[VMX_RCX]);
}

/* A wait that a trap ends does not begin. */
TEST_F(exits, hlt_and_traps)
{
	static const struct {
		uint64_t rflags, debugctl, blocking, pending;
		bool halts;
	} cases[] = {
		{ .halts = true },
		{ .rflags = RFLAGS_TF },
		{ .rflags = RFLAGS_TF, .debugctl = DEBUGCTL_BTF, .halts = true },
		{ .blocking = VMX_BLOCKING_BY_MOV_SS, .halts = true },
		{ .blocking = VMX_BLOCKING_BY_MOV_SS, .pending = 1 },
		{ .blocking = VMX_BLOCKING_BY_STI, .pending = 1, .halts = true },
	};

	for (size_t n = 0; n < COUNT(cases); n++) {
		exit_at(self, VMX_REASON_INTERRUPT_WINDOW, 0);
		self->cpu->halted = false;
		self->run->reason = VMX_REASON_HLT;
		self->run->rflags = RFLAGS_FIXED | cases[n].rflags;
		self->run->interruptibility = cases[n].blocking;
		vmcs[VMX_F_GUEST_DEBUGCTL] = cases[n].debugctl;
		vmcs[VMX_F_GUEST_PENDING_DEBUG] = cases[n].pending;
		ASSERT_EQ(0, vmx_cpu_exit(self->cpu));
		EXPECT_EQ(cases[n].halts, self->cpu->halted) { TH_LOG("case %zu", n); }
		EXPECT_EQ(1, self->run->retire);
	}
}

/* Leaf 16H has the frequency in MHz, which is 1000 here. */
static uint64_t number(bool last)
{
	return last ? 1000 : 0;
}

/* SDM, "CPUID--CPU Identification": above the last leaf is what the last basic one has. */
TEST_F(exits, cpuid_of_what_is_not_there)
{
	static const struct {
		uint32_t leaf, subleaf;
		bool last;
		uint32_t ecx;
	} cases[] = {
		{ 0x14, 0, false, 0 }, { 0x17, 0, true, 0 }, { 0x20000000, 0, true, 0 },
		{ 0x80000009, 0, true, 0 }, { 0x40000000, 0, false, 0 }, { 0xb, 0x103, false, 3 },
	};

	for (size_t n = 0; n < COUNT(cases); n++) {
		exit_at(self, VMX_REASON_INTERRUPT_WINDOW, 3);
		self->run->reason = VMX_REASON_CPUID;
		self->run->regs[VMX_RAX] = 0xffff00000000 | cases[n].leaf;
		self->run->regs[VMX_RBX] = ~0ull;
		self->run->regs[VMX_RCX] = cases[n].subleaf;
		ASSERT_EQ(0, vmx_cpu_exit(self->cpu));
		EXPECT_EQ(number(cases[n].last), self->run->regs[VMX_RAX]);
		EXPECT_EQ(number(cases[n].last), self->run->regs[VMX_RBX]);
		EXPECT_EQ(cases[n].ecx, self->run->regs[VMX_RCX]) { TH_LOG("case %zu", n); }
	}
}

TEST_HARNESS_MAIN
