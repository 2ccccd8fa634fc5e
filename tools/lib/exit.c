// SPDX-License-Identifier: LGPL-2.1-or-later
/* Describes an exit and its outcome (SDM, "Basic VM-Exit Information"). */
#include <inttypes.h>
#include <stdio.h>

#include <libvmx.h>

#include "internal.h"

static const char *const registers[16] = {
	"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
	"R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15",
};

static const char *const exceptions[32] = {
	"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL, "#TS", "#NP", "#SS",
	"#GP", "#PF", NULL, "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
};

/* VMX_INTR_TYPE_MASK */
static const char *const event_types[8] = {
	"external interrupt", "reserved", "NMI", "hardware exception", "software interrupt",
	"privileged software exception", "software exception", "other event",
};

#define EXCEPTION_TYPES	(1u << (VMX_INTR_TYPE_HARDWARE_EXCEPTION >> 8) | \
			 1u << (VMX_INTR_TYPE_PRIVILEGED_EXCEPTION >> 8) | \
			 1u << (VMX_INTR_TYPE_SOFTWARE_EXCEPTION >> 8))

static uint64_t field(uint64_t value, unsigned int last, unsigned int first)
{
	return value >> first & (UINT64_MAX >> (63 - (last - first)));
}

/* "#PF, error code 0x2", or "external interrupt 0x30" */
static void put_event(struct text *text, uint32_t info, uint32_t error)
{
	unsigned int vector = info & VMX_INTR_VECTOR_MASK;
	unsigned int type = (info & VMX_INTR_TYPE_MASK) >> 8;
	const char *name = vector < COUNT(exceptions) ? exceptions[vector] : NULL;

	if (EXCEPTION_TYPES >> type & 1 && name)
		vmx_text(text, "%s", name);
	else if (type == VMX_INTR_TYPE_NMI >> 8)
		vmx_text(text, "NMI");
	else
		vmx_text(text, "%s %#x", event_types[type], vector);
	if (info & VMX_INTR_ERROR_CODE)
		vmx_text(text, ", error code %#x", error);
}

/* What the qualification of an exception says depends on which it is. */
static void put_exception(struct text *text, const struct vmx_run_page *run)
{
	unsigned int vector = run->intr_info & VMX_INTR_VECTOR_MASK;

	vmx_text(text, ": ");
	put_event(text, run->intr_info, run->intr_error);
	if (vector == 14)
		vmx_text(text, ", linear address %#" PRIx64, (uint64_t)run->qualification);
	if (vector == 1)
		vmx_text_bits(text, VMX_F_GUEST_PENDING_DEBUG, run->qualification, 0, false);
}

static void put_task_switch(struct text *text, const struct vmx_run_page *run)
{
	static const char *const sources[] = { "CALL", "IRET", "JMP", "task gate" };

	vmx_text(text, ": by %s to selector %#" PRIx64, sources[field(run->qualification, 31, 30)],
		 field(run->qualification, 15, 0));
}

static void put_cpuid(struct text *text, const struct vmx_run_page *run)
{
	vmx_text(text, ": leaf %#" PRIx32 ", subleaf %#" PRIx32, (uint32_t)run->regs[VMX_RAX],
		 (uint32_t)run->regs[VMX_RCX]);
}

static void put_linear(struct text *text, const struct vmx_run_page *run)
{
	vmx_text(text, ": linear address %#" PRIx64, (uint64_t)run->qualification);
}

static void put_cr_access(struct text *text, const struct vmx_run_page *run)
{
	unsigned int cr = field(run->qualification, 3, 0);
	unsigned int reg = field(run->qualification, 11, 8);

	switch (field(run->qualification, 5, 4)) {
	case 0:
		vmx_text(text, ": MOV to CR%u from %s, %#" PRIx64, cr, registers[reg],
			 (uint64_t)run->regs[reg]);
		break;
	case 1:
		vmx_text(text, ": MOV from CR%u to %s", cr, registers[reg]);
		break;
	case 2:
		vmx_text(text, ": CLTS");
		break;
	default:
		vmx_text(text, ": LMSW, %#" PRIx64, field(run->qualification, 31, 16));
	}
}

static void put_mov_dr(struct text *text, const struct vmx_run_page *run)
{
	unsigned int dr = field(run->qualification, 2, 0);
	unsigned int reg = field(run->qualification, 11, 8);

	if (field(run->qualification, 4, 4))
		vmx_text(text, ": from DR%u to %s", dr, registers[reg]);
	else
		vmx_text(text, ": to DR%u from %s, %#" PRIx64, dr, registers[reg],
			 (uint64_t)run->regs[reg]);
}

static uint64_t io_value(const struct vmx_run_page *run)
{
	return field(run->regs[VMX_RAX], 8 * run->io_size - 1, 0);
}

static void put_io(struct text *text, const struct vmx_run_page *run)
{
	bool in = run->io_flags & VMX_IO_IN, string = run->io_flags & VMX_IO_STRING;

	if (!(run->valid & VMX_VALID_IO))
		return;
	vmx_text(text, ": %s%s%s, port %#x, %u byte%s", run->io_flags & VMX_IO_REP ? "REP " : "",
		 in ? "IN" : "OUT", string ? "S" : "", run->io_port, run->io_size,
		 run->io_size > 1 ? "s" : "");
	if (string)
		vmx_text(text, ", linear address %#" PRIx64, (uint64_t)run->linear);
	else if (!in)
		vmx_text(text, ", %#" PRIx64, io_value(run));
}

static uint64_t edx_eax(const struct vmx_run_page *run)
{
	return (uint64_t)run->regs[VMX_RDX] << 32 | (uint32_t)run->regs[VMX_RAX];
}

static void put_msr(struct text *text, const struct vmx_run_page *run)
{
	vmx_text(text, ": MSR %#" PRIx32, (uint32_t)run->regs[VMX_RCX]);
	if ((run->reason & VMX_REASON_BASIC_MASK) == VMX_REASON_WRMSR)
		vmx_text(text, ", %#" PRIx64, edx_eax(run));
}

static void put_xsetbv(struct text *text, const struct vmx_run_page *run)
{
	vmx_text(text, ": XCR%" PRIu32 ", %#" PRIx64, (uint32_t)run->regs[VMX_RCX], edx_eax(run));
}

static void put_kinds(struct text *text, uint64_t bits, const char *const names[3])
{
	const char *between = "";

	for (unsigned int n = 0; n < 3; n++) {
		if (!(bits >> n & 1))
			continue;
		vmx_text(text, "%s%s", between, names[n]);
		between = ", ";
	}
}

static void put_violation(struct text *text, const struct vmx_run_page *run)
{
	static const char *const accesses[] = { "read", "write", "instruction fetch" };
	static const char *const rights[] = { "readable", "writable", "executable" };
	uint64_t qualification = run->qualification;

	vmx_text(text, ": ");
	put_kinds(text, field(qualification, 2, 0), accesses);
	vmx_text(text, " at guest-physical %#" PRIx64, (uint64_t)run->physical);
	if (qualification & VMX_VIOLATION_LINEAR_VALID)
		vmx_text(text, qualification & VMX_VIOLATION_TRANSLATED ?
			 ", linear %#" PRIx64 : ", in the page walk of linear %#" PRIx64,
			 (uint64_t)run->linear);
	if (!field(qualification, 5, 3))
		return;
	vmx_text(text, ", which is ");
	put_kinds(text, field(qualification, 5, 3), rights);
}

static void put_physical(struct text *text, const struct vmx_run_page *run)
{
	vmx_text(text, ": guest-physical %#" PRIx64, (uint64_t)run->physical);
}

static const struct {
	uint16_t reason;
	void (*put)(struct text *text, const struct vmx_run_page *run);
} details[] = {
	{ VMX_REASON_EXCEPTION_NMI, put_exception },
	{ VMX_REASON_TASK_SWITCH, put_task_switch },
	{ VMX_REASON_CPUID, put_cpuid },
	{ VMX_REASON_INVLPG, put_linear },
	{ VMX_REASON_CR_ACCESS, put_cr_access },
	{ VMX_REASON_MOV_DR, put_mov_dr },
	{ VMX_REASON_IO, put_io },
	{ VMX_REASON_RDMSR, put_msr },
	{ VMX_REASON_WRMSR, put_msr },
	{ VMX_REASON_XSETBV, put_xsetbv },
	{ VMX_REASON_EPT_VIOLATION, put_violation },
	{ VMX_REASON_EPT_MISCONFIG, put_physical },
};

char *vmx_explain_exit(const struct vmx_run_page *run, char *buf, size_t size)
{
	const char *name = vmx_reason_name(run->reason);
	struct text text = { buf, size };

	if (size)
		*buf = '\0';
	if (vmx_entry_failed(run))
		return vmx_explain_failure((const struct vmx_failure *)&run->failure, buf, size);
	if (name)
		vmx_text(&text, "%s", name);
	else
		vmx_text(&text, "exit %u", run->reason & VMX_REASON_BASIC_MASK);
	for (size_t n = 0; n < COUNT(details); n++)
		if (details[n].reason == (run->reason & VMX_REASON_BASIC_MASK))
			details[n].put(&text, run);
	if (run->valid & VMX_VALID_IDT && run->idt_info & VMX_INTR_VALID) {
		vmx_text(&text, "; during delivery of ");
		put_event(&text, run->idt_info, run->idt_error);
	}
	return buf;
}

/* What an instruction that reads something reads. */
static void put_result(struct text *text, const struct vmx_run_page *run)
{
	uint64_t qualification = run->qualification;

	switch (run->reason & VMX_REASON_BASIC_MASK) {
	case VMX_REASON_CPUID:
		vmx_text(text, "EAX %#x, EBX %#x, ECX %#x, EDX %#x",
			 (uint32_t)run->regs[VMX_RAX], (uint32_t)run->regs[VMX_RBX],
			 (uint32_t)run->regs[VMX_RCX], (uint32_t)run->regs[VMX_RDX]);
		break;
	case VMX_REASON_CR_ACCESS:
		if (field(qualification, 5, 4) == 1)
			vmx_text(text, "%#" PRIx64,
				 (uint64_t)run->regs[field(qualification, 11, 8)]);
		break;
	case VMX_REASON_MOV_DR:
		if (field(qualification, 4, 4))
			vmx_text(text, "%#" PRIx64,
				 (uint64_t)run->regs[field(qualification, 11, 8)]);
		break;
	case VMX_REASON_IO:
		if (run->valid & VMX_VALID_IO && run->io_flags & VMX_IO_IN &&
		    !(run->io_flags & VMX_IO_STRING))
			vmx_text(text, "%#" PRIx64, io_value(run));
		break;
	case VMX_REASON_RDMSR:
		vmx_text(text, "%#" PRIx64, edx_eax(run));
		break;
	}
}

char *vmx_explain_outcome(const struct vmx_run_page *run, char *buf, size_t size)
{
	struct text text = { buf, size };

	if (size)
		*buf = '\0';
	if (run->inject_info & VMX_INTR_VALID)
		put_event(&text, run->inject_info, run->inject_error);
	else if (!vmx_entry_failed(run))
		put_result(&text, run);
	return buf;
}
