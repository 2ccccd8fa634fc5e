/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A vCPU's architectural state: what the guest sees, whatever the CPU and its controls are. The
 * target makes its VMCS anew from it.
 */
#ifndef LIBVMX_STATE_CPU_H
#define LIBVMX_STATE_CPU_H

#include <linux/vmx.h>

#include <libvmx/saved.h>

struct state_segment {
	uint16_t selector;
	uint32_t limit;
	uint32_t access;
	uint64_t base;
};

/* The order of their VMCS fields, and of instruction encodings. */
#define STATE_SEGMENTS	8
#define STATE_CS	1
#define STATE_TR	7
#define STATE_MSRS	64
#define STATE_FPU	16384

struct state_msr {
	uint32_t index;
	uint64_t value;
};

struct state_cpu {
	uint64_t regs[16];
	uint64_t rip;
	uint64_t rflags;
	uint64_t cr0, cr2, cr3, cr4;
	uint64_t efer;
	uint64_t pat;
	bool has_pdptes;
	uint64_t pdptes[4];
	struct state_segment segments[STATE_SEGMENTS];
	uint64_t gdt_base, idt_base;
	uint32_t gdt_limit, idt_limit;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t dr[4], dr6, dr7;
	uint64_t debugctl;
	uint64_t pending_debug;
	uint32_t interruptibility;
	uint32_t activity;
	uint32_t event_info, event_error, event_length;
	uint64_t tsc_adjust;
	bool halted;
	uint32_t msr_count;
	struct state_msr msrs[STATE_MSRS];
	uint64_t xcr0;
	uint32_t fpu_length;
	uint8_t fpu[STATE_FPU];
};

struct state_cpuid {
	uint32_t count;
	struct vmx_cpuid_entry entries[VMX_CPUID_MAX];
};

extern const struct vmx_saved_table state_cpu_table;
extern const struct vmx_saved_table state_cpuid_table;

#endif /* LIBVMX_STATE_CPU_H */
