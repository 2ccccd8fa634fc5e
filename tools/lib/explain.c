// SPDX-License-Identifier: LGPL-2.1-or-later
/* Explains a failed VM entry in a sentence. */
#include <stdio.h>

#include <libvmx.h>

#include "internal.h"

/* What each check of VM entry has found. */
#define CHECK(id, text) { VMX_CHECK_##id, text }

static const struct {
	uint32_t check;
	const char *text;
} checks[] = {
	CHECK(PIN_RESERVED, "pin-based controls have a bit that the CPU wants otherwise"),
	CHECK(CPU_RESERVED,
	      "primary processor-based controls have a bit that the CPU wants otherwise"),
	CHECK(CPU2_RESERVED,
	      "secondary processor-based controls have a bit that the CPU wants otherwise"),
	CHECK(CPU3_RESERVED, "tertiary processor-based controls have a bit that the CPU wants 0"),
	CHECK(CR3_TARGET_COUNT, "more CR3-target values than the CPU has"),
	CHECK(IO_BITMAP, "an I/O-bitmap address is not 4 KiB aligned or too wide"),
	CHECK(MSR_BITMAP, "the MSR-bitmap address is not 4 KiB aligned or too wide"),
	CHECK(VIRTUAL_APIC, "the virtual-APIC address is not 4 KiB aligned or too wide"),
	CHECK(TPR_THRESHOLD, "bits 31:4 of the TPR threshold are not 0"),
	CHECK(TPR_BELOW_THRESHOLD, "the TPR threshold is above bits 7:4 of the virtual TPR"),
	CHECK(VIRTUAL_NMIS, "virtual NMIs without NMI exiting"),
	CHECK(NMI_WINDOW, "NMI-window exiting without virtual NMIs"),
	CHECK(APIC_ACCESS, "the APIC-access address is not 4 KiB aligned or too wide"),
	CHECK(TPR_SHADOW, "a form of APIC virtualization without the TPR shadow"),
	CHECK(X2APIC, "x2APIC mode and APIC accesses virtualized at once"),
	CHECK(VIRTUAL_INTERRUPTS, "virtual-interrupt delivery without external-interrupt exiting"),
	CHECK(POSTED_DELIVERY, "posted interrupts without virtual-interrupt delivery"),
	CHECK(POSTED_ACK, "posted interrupts without acknowledge-interrupt-on-exit"),
	CHECK(POSTED_VECTOR, "the posted-interrupt notification vector is above 255"),
	CHECK(POSTED_DESC, "the posted-interrupt descriptor is not 64-byte aligned or too wide"),
	CHECK(VPID, "VPID 0 with VPIDs enabled"),
	CHECK(EPTP_MEMTYPE, "EPT paging-structure memory type that the CPU has not"),
	CHECK(EPTP_WALK, "EPT page-walk length that the CPU has not"),
	CHECK(EPTP_ACCESS_DIRTY, "EPT accessed and dirty flags on a CPU without"),
	CHECK(EPTP_RESERVED, "a reserved bit of the EPT pointer is 1"),
	CHECK(EPT, "a control that needs EPT without it"),
	CHECK(PML, "the PML address is not 4 KiB aligned or too wide"),
	CHECK(SPP, "the sub-page-permission table is not 4 KiB aligned or too wide"),
	CHECK(VMFUNC, "a VM function that the CPU has not"),
	CHECK(EPTP_SWITCHING, "EPTP switching without EPT"),
	CHECK(EPTP_LIST, "the EPTP-list address is not 4 KiB aligned or too wide"),
	CHECK(SHADOW_BITMAP, "the VMREAD or VMWRITE bitmap is not 4 KiB aligned or too wide"),
	CHECK(VE_INFO, "the #VE information address is not 4 KiB aligned or too wide"),
	CHECK(PT_GUEST_PHYSICAL,
	      "Intel PT uses guest-physical addresses, but RTIT_CTL is not loaded and cleared"),
	CHECK(TSC_MULTIPLIER, "TSC multiplier 0 with TSC scaling"),
	CHECK(PASID_DIRECTORY, "a PASID directory address is not 4 KiB aligned or too wide"),
	CHECK(HLAT, "a reserved bit of the HLAT pointer is 1"),
	CHECK(PID_POINTERS, "the PID-pointer table is not 8-byte aligned or too wide"),
	CHECK(EXIT_RESERVED, "VM-exit controls have a bit that the CPU wants otherwise"),
	CHECK(EXIT2_RESERVED, "secondary VM-exit controls have a bit that the CPU wants 0"),
	CHECK(SAVE_TIMER, "preemption timer saved but not activated"),
	CHECK(EXIT_MSR_STORE, "the VM-exit MSR-store area is not 16-byte aligned or too high"),
	CHECK(EXIT_MSR_LOAD, "the VM-exit MSR-load area is not 16-byte aligned or too high"),
	CHECK(ENTRY_RESERVED, "VM-entry controls have a bit that the CPU wants otherwise"),
	CHECK(EVENT_TYPE, "event injected of a reserved type"),
	CHECK(EVENT_VECTOR, "vector that does not fit the type of the injected event"),
	CHECK(EVENT_ERROR_BIT,
	      "error code delivered where there is none, or not where there is one"),
	CHECK(EVENT_RESERVED, "a reserved bit of the interruption information is 1"),
	CHECK(EVENT_ERROR_CODE, "bits 31:16 of the error code are not 0"),
	CHECK(EVENT_LENGTH, "instruction length that a software event cannot have"),
	CHECK(ENTRY_MSR_LOAD, "the VM-entry MSR-load area is not 16-byte aligned or too high"),
	CHECK(ENTRY_SMM, "entry to SMM or end of dual-monitor treatment, outside SMM"),
	CHECK(HOST_CR0, "host CR0 has a bit that VMX operation does not support"),
	CHECK(HOST_CR4, "host CR4 has a bit that VMX operation does not support"),
	CHECK(HOST_CET_WP, "host CR4.CET without CR0.WP"),
	CHECK(HOST_CR3, "host CR3 is wider than physical addresses"),
	CHECK(HOST_SYSENTER, "a host SYSENTER address is not canonical"),
	CHECK(HOST_CET, "host CET state: an address not canonical, or a reserved bit 1"),
	CHECK(HOST_PERF_GLOBAL, "a reserved bit of the host PERF_GLOBAL_CTRL is 1"),
	CHECK(HOST_PAT, "a byte of the host PAT is no memory type"),
	CHECK(HOST_EFER_RESERVED, "a reserved bit of the host EFER is 1"),
	CHECK(HOST_EFER_MODE, "host EFER.LMA or LME differs from the host address-space size"),
	CHECK(HOST_PKRS, "bits 63:32 of the host PKRS are not 0"),
	CHECK(HOST_SELECTOR, "RPL or TI of a host selector is not 0"),
	CHECK(HOST_NULL, "host CS or TR selector is 0"),
	CHECK(HOST_SS_NULL, "host SS selector is 0 with a 32-bit host"),
	CHECK(HOST_BASE, "a host base address is not canonical"),
	CHECK(HOST_ADDRESS_SPACE,
	      "host address-space size differs from the mode VM entry is made in"),
	CHECK(HOST_IA32E_GUEST, "IA-32e mode guest with a 32-bit host"),
	CHECK(HOST_PCIDE, "host CR4.PCIDE with a 32-bit host"),
	CHECK(HOST_PAE, "host CR4.PAE is 0 with a 64-bit host"),
	CHECK(HOST_RIP, "host RIP is not canonical, or wider than a 32-bit host"),
	CHECK(GUEST_CR0, "guest CR0 has a bit that VMX operation does not support"),
	CHECK(GUEST_PG_PE, "guest CR0.PG without CR0.PE"),
	CHECK(GUEST_CR4, "guest CR4 has a bit that VMX operation does not support"),
	CHECK(GUEST_CET_WP, "guest CR4.CET without CR0.WP"),
	CHECK(GUEST_DEBUGCTL, "a reserved bit of the guest DEBUGCTL is 1"),
	CHECK(GUEST_IA32E_PG, "IA-32e mode guest without CR0.PG"),
	CHECK(GUEST_IA32E_PAE, "IA-32e mode guest without CR4.PAE"),
	CHECK(GUEST_PCIDE, "guest CR4.PCIDE outside IA-32e mode"),
	CHECK(GUEST_CR3, "guest CR3 is wider than physical addresses"),
	CHECK(GUEST_DR7, "bits 63:32 of the guest DR7 are not 0"),
	CHECK(GUEST_SYSENTER, "a guest SYSENTER address is not canonical"),
	CHECK(GUEST_CET, "guest CET state: an address not canonical, or a reserved bit 1"),
	CHECK(GUEST_PERF_GLOBAL, "a reserved bit of the guest PERF_GLOBAL_CTRL is 1"),
	CHECK(GUEST_PAT, "a byte of the guest PAT is no memory type"),
	CHECK(GUEST_EFER_RESERVED, "a reserved bit of the guest EFER is 1"),
	CHECK(GUEST_EFER_LMA, "guest EFER.LMA differs from IA-32e mode guest"),
	CHECK(GUEST_EFER_LME, "guest EFER.LME differs from LMA while CR0.PG is 1"),
	CHECK(GUEST_BNDCFGS, "guest BNDCFGS: address not canonical, or a reserved bit 1"),
	CHECK(GUEST_RTIT, "guest RTIT_CTL has a reserved bit 1"),
	CHECK(GUEST_LBR, "guest LBR_CTL has a reserved bit 1"),
	CHECK(GUEST_PKRS, "bits 63:32 of the guest PKRS are not 0"),
	CHECK(GUEST_UINV, "bits 15:8 of the guest UINV are not 0"),
	CHECK(TR_TI, "TR selector points into the LDT"),
	CHECK(LDTR_TI, "LDTR selector points into the LDT"),
	CHECK(SS_RPL, "RPLs of SS and CS differ"),
	CHECK(V86_BASE, "virtual-8086 mode: a base is not its selector times 16"),
	CHECK(BASE_CANONICAL, "a segment base is not canonical"),
	CHECK(BASE_HIGH, "bits 63:32 of a segment base are not 0"),
	CHECK(V86_LIMIT, "virtual-8086 mode: a limit is not 0xffff"),
	CHECK(V86_ACCESS, "virtual-8086 mode: access rights are not 0xf3"),
	CHECK(CS_TYPE, "CS is not accessed code (nor, with unrestricted guest, accessed data)"),
	CHECK(SS_TYPE, "SS is not accessed read-write data"),
	CHECK(DATA_ACCESSED, "DS, ES, FS or GS is not accessed"),
	CHECK(DATA_READABLE, "DS, ES, FS or GS is code that is not readable"),
	CHECK(SEGMENT_S, "a code or data segment has S = 0"),
	CHECK(CS_DPL, "DPL of CS does not go with its type and the DPL of SS"),
	CHECK(SS_DPL_RPL, "DPL and RPL of SS differ"),
	CHECK(SS_DPL, "DPL of SS is not 0 in real mode or with data in CS"),
	CHECK(DATA_DPL, "DPL of DS, ES, FS or GS is below its RPL"),
	CHECK(SEGMENT_P, "a usable segment is not present"),
	CHECK(SEGMENT_RESERVED, "a reserved bit of access rights is 1"),
	CHECK(CS_DB, "CS has both L and D/B"),
	CHECK(SEGMENT_G, "granularity does not go with the limit"),
	CHECK(TR_TYPE, "TR is not a busy TSS (in IA-32e mode: a 64-bit one)"),
	CHECK(SYSTEM_S, "TR or LDTR has S = 1"),
	CHECK(TR_UNUSABLE, "TR is unusable"),
	CHECK(LDTR_TYPE, "LDTR is not an LDT"),
	CHECK(TABLE_BASE, "GDTR or IDTR base is not canonical"),
	CHECK(TABLE_LIMIT, "bits 31:16 of the GDTR or IDTR limit are not 0"),
	CHECK(RIP_HIGH, "bits 63:32 of RIP are not 0 outside 64-bit mode"),
	CHECK(RIP_CANONICAL, "RIP is wider than linear addresses"),
	CHECK(RFLAGS_RESERVED, "a reserved bit of RFLAGS is wrong"),
	CHECK(RFLAGS_VM, "RFLAGS.VM in IA-32e mode or real mode"),
	CHECK(RFLAGS_IF, "external interrupt injected while RFLAGS.IF is 0"),
	CHECK(SSP, "guest SSP is not 4-byte aligned or too wide"),
	CHECK(ACTIVITY, "activity state that the CPU has not"),
	CHECK(ACTIVITY_HLT, "HLT while DPL of SS is not 0"),
	CHECK(ACTIVITY_BLOCKING, "not active while STI or MOV SS blocks"),
	CHECK(ACTIVITY_EVENT, "event injected that the activity state does not take"),
	CHECK(BLOCKING_RESERVED, "a reserved bit of the interruptibility state is 1"),
	CHECK(BLOCKING_BOTH, "blocking by STI and by MOV SS at once"),
	CHECK(BLOCKING_STI_IF, "blocking by STI while RFLAGS.IF is 0"),
	CHECK(BLOCKING_INTERRUPT, "external interrupt injected while STI or MOV SS blocks"),
	CHECK(BLOCKING_NMI, "NMI injected while MOV SS blocks"),
	CHECK(BLOCKING_SMI, "blocking by SMI outside SMM"),
	CHECK(BLOCKING_NMI_STI, "NMI injected while STI blocks: some CPUs refuse it"),
	CHECK(BLOCKING_VIRTUAL_NMI, "NMI injected while (virtual) NMIs are blocked"),
	CHECK(BLOCKING_ENCLAVE, "enclave interruption with blocking by MOV SS or without SGX"),
	CHECK(PENDING_RESERVED, "a reserved bit of the pending debug exceptions is 1"),
	CHECK(PENDING_BS,
	      "pending single-step trap that does not go with RFLAGS.TF and DEBUGCTL.BTF"),
	CHECK(PENDING_RTM, "pending RTM debug exception that the CPU or the other bits exclude"),
	CHECK(LINK_POINTER, "the VMCS link pointer is not 4 KiB aligned or too wide"),
	CHECK(LINK_REVISION,
	      "what the VMCS link pointer points to is not a (shadow) VMCS of this CPU"),
	CHECK(LINK_CURRENT, "the VMCS link pointer points to the VMCS itself"),
	CHECK(PDPTE, "a reserved bit of a present PDPTE is 1"),
	CHECK(MSR_LOAD, "an MSR of the VM-entry MSR-load area cannot be loaded"),
	CHECK(MACHINE_CHECK, "a machine check during VM entry"),
};

/* Where the SDM has them: sections of its chapter "VM Entries", by their first check. */
static const struct {
	uint32_t first;
	const char *title;
} sections[] = {
	{ VMX_CHECK_PIN_RESERVED, "VM-Execution Control Fields" },
	{ VMX_CHECK_EXIT_RESERVED, "VM-Exit Control Fields" },
	{ VMX_CHECK_ENTRY_RESERVED, "VM-Entry Control Fields" },
	{ VMX_CHECK_HOST_CR0, "Checks on Host Control Registers, MSRs, and SSP" },
	{ VMX_CHECK_HOST_SELECTOR, "Checks on Host Segment and Descriptor-Table Registers" },
	{ VMX_CHECK_HOST_ADDRESS_SPACE, "Checks Related to Address-Space Size" },
	{ VMX_CHECK_GUEST_CR0, "Checks on Guest Control Registers, Debug Registers, and MSRs" },
	{ VMX_CHECK_TR_TI, "Checks on Guest Segment Registers" },
	{ VMX_CHECK_TABLE_BASE, "Checks on Guest Descriptor-Table Registers" },
	{ VMX_CHECK_RIP_HIGH, "Checks on Guest RIP, RFLAGS, and SSP" },
	{ VMX_CHECK_ACTIVITY, "Checks on Guest Non-Register State" },
	{ VMX_CHECK_PDPTE, "Checks on Guest Page-Directory-Pointer-Table Entries" },
	{ VMX_CHECK_MSR_LOAD, "Loading MSRs" },
	{ VMX_CHECK_MACHINE_CHECK, "Machine-Check Events During VM Entry" },
};

static const char *check_text(uint32_t check)
{
	for (size_t i = 0; i < COUNT(checks); i++)
		if (checks[i].check == check)
			return checks[i].text;
	return NULL;
}

static const char *section_of(uint32_t check)
{
	const char *title = "";

	for (size_t i = 0; i < COUNT(sections) && sections[i].first <= check; i++)
		title = sections[i].title;
	return title;
}

static bool about_one_field(uint32_t check)
{
	return check != VMX_CHECK_MSR_LOAD && check != VMX_CHECK_MACHINE_CHECK;
}

/* "guest CR0 = 0x31"; the module's fields without the value, which is withheld. */
static void put_field(struct text *text, const char *before, uint32_t field, uint64_t value)
{
	const struct vmx_field_text *known = vmx_field_text(field);

	if (!known)
		vmx_text(text, "%sfield %#x = %#llx", before, field, (unsigned long long)value);
	else if (known->hidden)
		vmx_text(text, "%s%s", before, known->name);
	else
		vmx_text(text, "%s%s = %#llx", before, known->name, (unsigned long long)value);
}

static void put_bits(struct text *text, const struct vmx_failure *failure)
{
	const struct vmx_field_text *known = vmx_field_text(failure->field);

	vmx_text_bits(text, failure->field, failure->bits, failure->value,
		      known && !known->hidden);
}

static void put_check(struct text *text, const struct vmx_failure *failure)
{
	const char *what = check_text(failure->check);

	if (what)
		vmx_text(text, "%s", what);
	else
		vmx_text(text, "check %u, which this library does not know", failure->check);
	if (about_one_field(failure->check)) {
		put_field(text, ": ", failure->field, failure->value);
		if (failure->bits)
			put_bits(text, failure);
		if (failure->field2 && failure->field2 != failure->field)
			put_field(text, "; ", failure->field2, failure->value2);
	}
	vmx_text(text, " (SDM, \"%s\")", section_of(failure->check));
}

char *vmx_explain_failure(const struct vmx_failure *failure, char *buf, size_t size)
{
	struct text text = { buf, size };

	if (size)
		*buf = '\0';
	if (failure->error)
		vmx_text(&text, "VM-instruction error %u%s: ", failure->error,
			 failure->error == VMX_ERROR_CONTROLS ? " (invalid control field)" :
			 failure->error == VMX_ERROR_HOST_STATE ? " (invalid host-state field)" :
			 "");
	if (failure->check != VMX_CHECK_NONE)
		put_check(&text, failure);
	else
		vmx_text(&text, failure->error ? "no check that the module makes fails" :
						 "no check fails");
	return buf;
}
