// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names of bits in VMCS fields, and text in buffers of limited size. */
#include <stdarg.h>
#include <stdio.h>

#include <libvmx.h>

#include "internal.h"

static const char *const cr0[64] = {
	[0] = "PE", "MP", "EM", "TS", "ET", "NE",
	[16] = "WP", [18] = "AM", [29] = "NW", "CD", "PG",
};

static const char *const cr4[64] = {
	[0] = "VME", "PVI", "TSD", "DE", "PSE", "PAE", "MCE", "PGE", "PCE", "OSFXSR",
	"OSXMMEXCPT", "UMIP", "LA57", "VMXE", "SMXE",
	[16] = "FSGSBASE", "PCIDE", "OSXSAVE", "KL", "SMEP", "SMAP", "PKE", "CET", "PKS", "UINTR",
	[27] = "LASS", "LAM_SUP", [32] = "FRED",
};

static const char *const efer[64] = {
	[0] = "SCE", [8] = "LME", [10] = "LMA", "NXE",
};

static const char *const rflags[64] = {
	[0] = "CF", [2] = "PF", [4] = "AF", [6] = "ZF", "SF", "TF", "IF", "DF", "OF",
	[14] = "NT", [16] = "RF", "VM", "AC", "VIF", "VIP", "ID",
};

static const char *const debugctl[64] = {
	[0] = "LBR", "BTF", [6] = "TR", "BTS", "BTINT",
};

static const char *const pin[64] = {
	[0] = "external-interrupt exiting", [3] = "NMI exiting", [5] = "virtual NMIs",
	"activate VMX-preemption timer", "process posted interrupts",
};

static const char *const cpu[64] = {
	[2] = "interrupt-window exiting", "use TSC offsetting", [7] = "HLT exiting",
	[9] = "INVLPG exiting", "MWAIT exiting", "RDPMC exiting", "RDTSC exiting",
	[15] = "CR3-load exiting", "CR3-store exiting", "activate tertiary controls",
	[19] = "CR8-load exiting", "CR8-store exiting", "use TPR shadow", "NMI-window exiting",
	"MOV-DR exiting", "unconditional I/O exiting", "use I/O bitmaps",
	[27] = "monitor trap flag", "use MSR bitmaps", "MONITOR exiting", "PAUSE exiting",
	"activate secondary controls",
};

static const char *const cpu2[64] = {
	[0] = "virtualize APIC accesses", "enable EPT", "descriptor-table exiting",
	"enable RDTSCP", "virtualize x2APIC mode", "enable VPID", "WBINVD exiting",
	"unrestricted guest", "APIC-register virtualization", "virtual-interrupt delivery",
	"PAUSE-loop exiting", "RDRAND exiting", "enable INVPCID", "enable VM functions",
	"VMCS shadowing", "enable ENCLS exiting", "RDSEED exiting", "enable PML",
	"EPT-violation #VE", "conceal VMX from PT", "enable XSAVES/XRSTORS", "PASID translation",
	"mode-based execute control for EPT", "sub-page write permissions for EPT",
	"Intel PT uses guest physical addresses", "use TSC scaling",
	"enable user wait and pause", "enable PCONFIG", "enable ENCLV exiting",
	[30] = "VMM bus-lock detection", "instruction timeout",
};

static const char *const exits[64] = {
	[2] = "save debug controls", [9] = "host address-space size",
	[12] = "load IA32_PERF_GLOBAL_CTRL", [15] = "acknowledge interrupt on exit",
	[18] = "save IA32_PAT", "load IA32_PAT", "save IA32_EFER", "load IA32_EFER",
	"save VMX-preemption timer value", "clear IA32_BNDCFGS", "conceal VMX from PT",
	"clear IA32_RTIT_CTL", "clear IA32_LBR_CTL", "clear UINV", "load CET state", "load PKRS",
	"save IA32_PERF_GLOBAL_CTRL", "activate secondary controls",
};

static const char *const entries[64] = {
	[2] = "load debug controls", [9] = "IA-32e mode guest", "entry to SMM",
	"deactivate dual-monitor treatment", [13] = "load IA32_PERF_GLOBAL_CTRL",
	"load IA32_PAT", "load IA32_EFER", "load IA32_BNDCFGS", "conceal VMX from PT",
	"load IA32_RTIT_CTL", "load UINV", "load CET state", "load guest IA32_LBR_CTL",
	"load PKRS", "load FRED",
};

static const char *const access_rights[64] = {
	[4] = "S", [7] = "P", [12] = "AVL", "L", "D/B", "G", "unusable",
};

static const char *const blocking[64] = {
	[0] = "blocking by STI", "blocking by MOV SS", "blocking by SMI", "blocking by NMI",
	"enclave interruption",
};

static const char *const pending[64] = {
	[0] = "B0", "B1", "B2", "B3", [11] = "bus lock", "enabled breakpoint", [14] = "BS",
	[16] = "RTM",
};

static const struct {
	uint32_t first;
	uint32_t last;
	const char *const *names;
} tables[] = {
	{ VMX_F_GUEST_CR0, VMX_F_GUEST_CR0, cr0 },
	{ VMX_F_HOST_CR0, VMX_F_HOST_CR0, cr0 },
	{ VMX_F_GUEST_CR4, VMX_F_GUEST_CR4, cr4 },
	{ VMX_F_HOST_CR4, VMX_F_HOST_CR4, cr4 },
	{ VMX_F_GUEST_EFER, VMX_F_GUEST_EFER, efer },
	{ VMX_F_HOST_EFER, VMX_F_HOST_EFER, efer },
	{ VMX_F_GUEST_RFLAGS, VMX_F_GUEST_RFLAGS, rflags },
	{ VMX_F_GUEST_DEBUGCTL, VMX_F_GUEST_DEBUGCTL, debugctl },
	{ VMX_F_PIN_CONTROLS, VMX_F_PIN_CONTROLS, pin },
	{ VMX_F_CPU_CONTROLS, VMX_F_CPU_CONTROLS, cpu },
	{ VMX_F_CPU2_CONTROLS, VMX_F_CPU2_CONTROLS, cpu2 },
	{ VMX_F_EXIT_CONTROLS, VMX_F_EXIT_CONTROLS, exits },
	{ VMX_F_ENTRY_CONTROLS, VMX_F_ENTRY_CONTROLS, entries },
	{ VMX_F_GUEST_ES_ACCESS, VMX_F_GUEST_TR_ACCESS, access_rights },
	{ VMX_F_GUEST_INTERRUPTIBILITY, VMX_F_GUEST_INTERRUPTIBILITY, blocking },
	{ VMX_F_GUEST_PENDING_DEBUG, VMX_F_GUEST_PENDING_DEBUG, pending },
};

const char *vmx_bit_name(uint32_t field, unsigned int bit)
{
	for (size_t i = 0; i < COUNT(tables); i++)
		if (field >= tables[i].first && field <= tables[i].last)
			return tables[i].names[bit];
	return NULL;
}

void vmx_text(struct text *text, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(text->at, text->room, format, args);
	va_end(args);
	if (length < 0)
		return;
	if ((size_t)length > text->room)
		length = text->room;
	text->at += length;
	text->room -= length;
}

/* The last of the wrong bits from FIRST on that have no names and can be told as one. */
static unsigned int end_of_run(uint32_t field, uint64_t bits, unsigned int first)
{
	unsigned int last = first;

	while (last < 63 && bits >> (last + 1) & 1 && !vmx_bit_name(field, last + 1))
		last++;
	return last;
}

void vmx_text_bits(struct text *text, uint32_t field, uint64_t bits, uint64_t value, bool shown)
{
	for (unsigned int bit = 0, last; bit < 64; bit = last + 1) {
		const char *name = vmx_bit_name(field, bit);

		last = bit;
		if (!(bits >> bit & 1))
			continue;
		if (!name)
			last = end_of_run(field, bits, bit);
		if (name)
			vmx_text(text, ", bit %u (%s)", bit, name);
		else if (last > bit)
			vmx_text(text, ", bits %u:%u", last, bit);
		else
			vmx_text(text, ", bit %u", bit);
		if (shown)
			vmx_text(text, last > bit ? " are %#llx" : " is %llu",
				 (unsigned long long)(value << (63 - last) >> (63 - last) >> bit));
	}
}
