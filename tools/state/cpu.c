// SPDX-License-Identifier: LGPL-2.1-or-later
/* vCPUs and the machine itself, as they are saved. */
#include "state.h"

static const struct vmx_saved_field machine_fields[] = {
	NUMBER(struct state_machine, memory, 1, "bytes of RAM"),
	NUMBER(struct state_machine, cpus, 1, "vCPUs"),
	NUMBER(struct state_machine, tsc_khz, 1, "what the guest's TSC counts in a millisecond"),
	NUMBER(struct state_machine, tsc, 1,
	       "the guest's TSC when it was stopped, without IA32_TSC_ADJUST"),
	NUMBER(struct state_machine, tsc_start, 1, "what that was when the machine's clock was 0"),
	FLAG(struct state_machine, mailbox, 1, "ACPI's mailbox starts vCPUs, not INIT and SIPI"),
	NUMBER(struct state_machine, turn, 1,
	       "APIC ID that had the last lowest-priority interrupt"),
};

const struct vmx_saved_table state_machine_table = SAVED_TABLE("machine", 1, machine_fields);

static const struct vmx_saved_field segment_fields[] = {
	NUMBER(struct state_segment, selector, 1, "selector"),
	NUMBER(struct state_segment, limit, 1, "limit in bytes"),
	NUMBER(struct state_segment, access, 1, "access rights, as a VMCS has them"),
	NUMBER(struct state_segment, base, 1, "base"),
};

static const struct vmx_saved_table segment_table = SAVED_STRUCT("segment", segment_fields);

static const struct vmx_saved_field msr_fields[] = {
	NUMBER(struct state_msr, index, 1, "its number"),
	NUMBER(struct state_msr, value, 1, "its value"),
};

static const struct vmx_saved_table msr_table = SAVED_STRUCT("msr", msr_fields);

static const struct vmx_saved_field cpu_fields[] = {
	ARRAY(struct state_cpu, regs, 1, "RAX RCX RDX RBX RSP RBP RSI RDI R8 to R15"),
	NUMBER(struct state_cpu, rip, 1, "RIP"),
	NUMBER(struct state_cpu, rflags, 1, "RFLAGS"),
	NUMBER(struct state_cpu, cr0, 1, "CR0 as the guest reads it"),
	NUMBER(struct state_cpu, cr2, 1, "CR2"),
	NUMBER(struct state_cpu, cr3, 1, "CR3"),
	NUMBER(struct state_cpu, cr4, 1, "CR4 as the guest reads it"),
	NUMBER(struct state_cpu, efer, 1, "IA32_EFER"),
	NUMBER(struct state_cpu, pat, 1, "IA32_PAT"),
	FLAG(struct state_cpu, has_pdptes, 1, "pdptes are known; if not, they are what memory has"),
	ARRAY(struct state_cpu, pdptes, 1, "the PDPTE registers of PAE paging"),
	STRUCTS(struct state_cpu, segments, 1, &segment_table, "ES CS SS DS FS GS LDTR TR"),
	NUMBER(struct state_cpu, gdt_base, 1, "base of GDTR"),
	NUMBER(struct state_cpu, idt_base, 1, "base of IDTR"),
	NUMBER(struct state_cpu, gdt_limit, 1, "limit of GDTR"),
	NUMBER(struct state_cpu, idt_limit, 1, "limit of IDTR"),
	NUMBER(struct state_cpu, sysenter_cs, 1, "IA32_SYSENTER_CS"),
	NUMBER(struct state_cpu, sysenter_esp, 1, "IA32_SYSENTER_ESP"),
	NUMBER(struct state_cpu, sysenter_eip, 1, "IA32_SYSENTER_EIP"),
	ARRAY(struct state_cpu, dr, 1, "DR0 to DR3"),
	BITS(struct state_cpu, dr6, 1, 0xffffffff, "DR6"),
	NUMBER(struct state_cpu, dr7, 1, "DR7"),
	NUMBER(struct state_cpu, debugctl, 1, "IA32_DEBUGCTL"),
	NUMBER(struct state_cpu, pending_debug, 1, "pending debug exceptions, as a VMCS has them"),
	NUMBER(struct state_cpu, interruptibility, 1, "interruptibility state, as a VMCS has it"),
	LIMITED(struct state_cpu, activity, 1, 1, "activity state, as a VMCS has it"),
	NUMBER(struct state_cpu, event_info, 1,
	       "an event that was being delivered: VM-entry interruption-information, or 0"),
	NUMBER(struct state_cpu, event_error, 1, "its error code"),
	NUMBER(struct state_cpu, event_length, 1, "the length of the instruction that raised it"),
	NUMBER(struct state_cpu, tsc_adjust, 1, "IA32_TSC_ADJUST"),
	FLAG(struct state_cpu, halted, 1, "it executed HLT, and waits for an interrupt"),
	LIMITED(struct state_cpu, msr_count, 1, STATE_MSRS, "how many MSRs follow"),
	COUNTED_STRUCTS(struct state_cpu, msrs, 1, &msr_table,
			"MSRs that have no field of their own"),
	NUMBER(struct state_cpu, xcr0, 1, "XCR0"),
	LIMITED(struct state_cpu, fpu_length, 1, STATE_FPU, "bytes of fpu"),
	COUNTED(struct state_cpu, fpu, 1,
		"an XSAVE area in the standard format, or FXSAVE's where the CPU has no XSAVE"),
};

const struct vmx_saved_table state_cpu_table = SAVED_TABLE("cpu", 1, cpu_fields);

/* Not saved of struct vmx_cpuid_entry: reserved: always 0. */
static const struct vmx_saved_field leaf_fields[] = {
	NUMBER(struct vmx_cpuid_entry, leaf, 1, "EAX on input"),
	NUMBER(struct vmx_cpuid_entry, subleaf, 1, "ECX on input"),
	BITS(struct vmx_cpuid_entry, flags, 1, VMX_CPUID_SUBLEAF, "1: for this subleaf alone"),
	NUMBER(struct vmx_cpuid_entry, eax, 1, "EAX"),
	NUMBER(struct vmx_cpuid_entry, ebx, 1, "EBX"),
	NUMBER(struct vmx_cpuid_entry, ecx, 1, "ECX"),
	NUMBER(struct vmx_cpuid_entry, edx, 1, "EDX"),
};

static const struct vmx_saved_table leaf_table = SAVED_STRUCT("leaf", leaf_fields);

static const struct vmx_saved_field cpuid_fields[] = {
	LIMITED(struct state_cpuid, count, 1, VMX_CPUID_MAX,
	       "how many leaves and subleaves follow"),
	COUNTED_STRUCTS(struct state_cpuid, entries, 1, &leaf_table, "what CPUID returns"),
};

const struct vmx_saved_table state_cpuid_table = SAVED_TABLE("cpuid", 1, cpuid_fields);

void state_list_cpus(struct state_parts *parts, unsigned int cpus)
{
	for (unsigned int n = 0; n < cpus; n++) {
		state_list(parts, &state_cpuid_table, &parts->cpuid[n], n, NULL);
		state_list(parts, &state_cpu_table, &parts->cpus[n], n, NULL);
	}
}
