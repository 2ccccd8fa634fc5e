// SPDX-License-Identifier: GPL-2.0
/*
 * The field table has every field of the SDM's appendix "Field Encoding in VMCS",
 * its owner, and the values that userspace may write. Reading, writing, dumping,
 * the tests and the reference in the manual all use it.
 */
#include <linux/kernel.h>
#include <linux/log2.h>

#include <asm/processor-flags.h>
#include <asm/msr-index.h>
#include <asm/trapnr.h>

#include "../base/kunit-export.h"
#include "../base/x86.h"
#include "fields.h"

/*
 * Default-deny: SMXE, PKE, CET, PKS, UINTR, LASS, LAM, FRED and what comes after
 * them is not here, since the module does not switch what they bring.
 */
#define CR4_SWITCHED							\
	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE |		\
	 X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCE |	\
	 X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_UMIP |		\
	 X86_CR4_LA57 | X86_CR4_FSGSBASE | X86_CR4_PCIDE |		\
	 X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_SMAP)

static void control_limits(const struct vmx_control *control, u64 *must,
			   u64 *may)
{
	*must = control->must;
	*may = control->may;
}

static void pin_limits(const struct vmx_field_ctx *ctx, u64 *must, u64 *may)
{
	control_limits(&ctx->caps->pin, must, may);
}

static void cpu_limits(const struct vmx_field_ctx *ctx, u64 *must, u64 *may)
{
	control_limits(&ctx->caps->cpu, must, may);
}

static void cpu2_limits(const struct vmx_field_ctx *ctx, u64 *must, u64 *may)
{
	control_limits(&ctx->caps->cpu2, must, may);
	*must |= ctx->cpu2_must;
	*may |= ctx->cpu2_must;
}

static void exit_limits(const struct vmx_field_ctx *ctx, u64 *must, u64 *may)
{
	control_limits(&ctx->caps->exit, must, may);
}

static void entry_limits(const struct vmx_field_ctx *ctx, u64 *must, u64 *may)
{
	control_limits(&ctx->caps->entry, must, may);
}

#define CONTROL_TEXT "the control bits that VMX_GET_CAPS reports for this field"

static const struct vmx_field_policy pin = { CONTROL_TEXT, 0, pin_limits };
static const struct vmx_field_policy cpu = { CONTROL_TEXT, 0, cpu_limits };
static const struct vmx_field_policy exit = { CONTROL_TEXT, 0, exit_limits };
static const struct vmx_field_policy entry = { CONTROL_TEXT, 0, entry_limits };

static const struct vmx_field_policy cpu2 = {
	CONTROL_TEXT "; EPT and VPID are 1 while a vCPU uses them", 0,
	cpu2_limits
};

/*
 * Guests can make the delivery of #DB and #AC raise itself for ever, and #AC may
 * be a split lock; #MC is the host's.
 */
static void exceptions_limits(const struct vmx_field_ctx *ctx, u64 *must,
			      u64 *may)
{
	*must = BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC);
}

static const struct vmx_field_policy exceptions = {
	"any; #DB, #AC and #MC are always intercepted", 0, exceptions_limits
};

static void cr3_targets_limits(const struct vmx_field_ctx *ctx, u64 *must,
			       u64 *may)
{
	u32 targets = vmx_caps_can_be_1(ctx->caps, VMX_CAP_CR3_TARGETS);

	*may = targets ? roundup_pow_of_two(fls(targets) + 1) - 1 : 0;
}

static const struct vmx_field_policy cr3_targets = {
	"bits that a count up to the CPU's number of CR3-target values needs", 0,
	cr3_targets_limits
};

/*
 * Shutdown and wait-for-SIPI would block NMIs and the preemption timer, and with
 * them the host's hold on the CPU (SDM, "Blocking of External Interrupts").
 */
static void activity_limits(const struct vmx_field_ctx *ctx, u64 *must,
			    u64 *may)
{
	u64 states = ctx->caps->msr.misc >> VMX_CAPS_MISC_ACTIVITY_SHIFT;

	*may = states & 1 ? VMX_ACTIVITY_HLT : VMX_ACTIVITY_ACTIVE;
}

static const struct vmx_field_policy activity = {
	"active (0), or HLT (1) where the CPU has it", 0, activity_limits
};

static void debugctl_limits(const struct vmx_field_ctx *ctx, u64 *must,
			    u64 *may)
{
	*may = DEBUGCTLMSR_BTF;
}

static const struct vmx_field_policy debugctl = {
	"BTF (bit 1) alone", 0, debugctl_limits
};

static void pat_limits(const struct vmx_field_ctx *ctx, u64 *must, u64 *may)
{
	if (!(ctx->caps->features & VMX_HAS_LOAD_PAT))
		*may = 0;
}

static const struct vmx_field_policy switched_pat = {
	"any, where the VM-entry controls load it", 0, pat_limits
};

static void efer_limits(const struct vmx_field_ctx *ctx, u64 *must, u64 *may)
{
	*may = ctx->caps->features & VMX_HAS_LOAD_EFER ?
	       EFER_SCE | EFER_LME | EFER_LMA | EFER_NX : 0;
}

static const struct vmx_field_policy efer = {
	"SCE, LME, LMA and NXE, where the VM-entry controls load it", 0,
	efer_limits
};

static void cr0_limits(const struct vmx_field_ctx *ctx, u64 *must, u64 *may)
{
	*may = BASE_CR0_ARCHITECTED & ctx->caps->msr.cr0_fixed1;
}

static const struct vmx_field_policy cr0 = {
	"architected bits; VM entry ignores CD and NW", 0, cr0_limits
};

/* VM entry leaves CD and NW alone, but the guest's MOV to CR0 would not. */
static void cr0_mask_limits(const struct vmx_field_ctx *ctx, u64 *must,
			    u64 *may)
{
	*must = X86_CR0_CD | X86_CR0_NW;
}

static const struct vmx_field_policy cr0_mask = {
	"any; CD and NW are always 1", 0, cr0_mask_limits
};

static u64 cr4_guest_bits(const struct vmx_caps *caps)
{
	u64 bits = CR4_SWITCHED;

	if (!(caps->features & VMX_HAS_XSAVE))
		bits &= ~(u64)X86_CR4_OSXSAVE;
	return bits & caps->msr.cr4_fixed1;
}

/*
 * With CR4.MCE clear, a machine check in the guest would shut the CPU down; with
 * it set where the host has none, nobody would handle the exit.
 */
static void cr4_limits(const struct vmx_field_ctx *ctx, u64 *must, u64 *may)
{
	*must = X86_CR4_VMXE | (ctx->host_cr4 & X86_CR4_MCE);
	*may = *must | cr4_guest_bits(ctx->caps);
}

static const struct vmx_field_policy cr4 = {
	"bits of the CPU whose state the module switches; VMXE is 1, MCE the host's",
	X86_CR4_MCE, cr4_limits
};

static void cr4_mask_limits(const struct vmx_field_ctx *ctx, u64 *must,
			    u64 *may)
{
	*must = ~cr4_guest_bits(ctx->caps);
}

static const struct vmx_field_policy cr4_mask = {
	"any; MCE, VMXE and bits whose state the module does not switch are always 1",
	0, cr4_mask_limits
};

/* A new VMCS has a flat 32-bit guest: it passes the checks of VM entry. */
#define FLAT		0xffffffff
#define FLAT_CODE	(0xb | VMX_ACCESS_S | VMX_ACCESS_PRESENT |	\
			 VMX_ACCESS_DB | VMX_ACCESS_G)
#define FLAT_DATA	(0x3 | VMX_ACCESS_S | VMX_ACCESS_PRESENT |	\
			 VMX_ACCESS_DB | VMX_ACCESS_G)
#define BUSY_TSS	(0xb | VMX_ACCESS_PRESENT)
/* TSC ticks without an instruction boundary before the host wants the CPU back */
#define INSN_TIMEOUT	0x20000

#define HAS(which, mask)	.need = VMX_CAP_##which, .bits = (mask)
#define PIN(bit)		.need = VMX_CAP_PIN, .bits = VMX_PIN_##bit
#define CPU(bit)		.need = VMX_CAP_CPU, .bits = VMX_CPU_##bit
#define CPU2(bit)		.need = VMX_CAP_CPU2, .bits = VMX_CPU2_##bit
#define CPU3(bit)		.need = VMX_CAP_CPU3, .bits = VMX_CPU3_##bit
#define EXIT(bit)		.need = VMX_CAP_EXIT, .bits = VMX_EXIT_CTL_##bit
#define ENTRY(bit)		.need = VMX_CAP_ENTRY, .bits = VMX_ENTRY_CTL_##bit
#define EITHER(entry_bit, exit_bit)					\
	.need = VMX_CAP_ENTRY, .bits = VMX_ENTRY_CTL_##entry_bit,	\
	.exit_bits = VMX_EXIT_CTL_##exit_bit
#define INITIAL(value)		.initial = (value)
#define ROW(_name, _owner, ...)						\
	{								\
		.name = #_name, .field = VMX_F_##_name,			\
		.owner = VMX_OWNER_##_owner, ##__VA_ARGS__		\
	}

/* In ascending order of encoding, which is the order of the SDM's appendix. */
const struct vmx_field_desc vmx_field_table[] = {
	/* 16-bit control fields */
	ROW(VPID, MODULE, CPU2(VPID)),
	ROW(POSTED_INTERRUPT_VECTOR, MODULE, PIN(POSTED_INTERRUPTS)),
	ROW(EPTP_INDEX, MODULE, CPU2(EPT_VIOLATION_VE)),
	ROW(HLAT_PREFIX_SIZE, MODULE, CPU3(HLAT)),
	ROW(LAST_PID_POINTER_INDEX, MODULE, CPU3(IPI_VIRTUALIZATION)),

	/* 16-bit guest-state fields */
	ROW(GUEST_ES_SELECTOR, USER),
	ROW(GUEST_CS_SELECTOR, USER),
	ROW(GUEST_SS_SELECTOR, USER),
	ROW(GUEST_DS_SELECTOR, USER),
	ROW(GUEST_FS_SELECTOR, USER),
	ROW(GUEST_GS_SELECTOR, USER),
	ROW(GUEST_LDTR_SELECTOR, USER),
	ROW(GUEST_TR_SELECTOR, USER),
	ROW(GUEST_INTERRUPT_STATUS, MODULE, CPU2(VIRTUAL_INTERRUPTS)),
	ROW(PML_INDEX, MODULE, CPU2(PML)),
	ROW(GUEST_UINV, MODULE, EITHER(LOAD_UINV, CLEAR_UINV)),

	/* 16-bit host-state fields */
	ROW(HOST_ES_SELECTOR, MODULE),
	ROW(HOST_CS_SELECTOR, MODULE),
	ROW(HOST_SS_SELECTOR, MODULE),
	ROW(HOST_DS_SELECTOR, MODULE),
	ROW(HOST_FS_SELECTOR, MODULE),
	ROW(HOST_GS_SELECTOR, MODULE),
	ROW(HOST_TR_SELECTOR, MODULE),

	/* 64-bit control fields */
	ROW(IO_BITMAP_A, MODULE, CPU(IO_BITMAPS)),
	ROW(IO_BITMAP_B, MODULE, CPU(IO_BITMAPS)),
	ROW(MSR_BITMAP, MODULE, CPU(MSR_BITMAPS)),
	ROW(EXIT_MSR_STORE_ADDR, MODULE),
	ROW(EXIT_MSR_LOAD_ADDR, MODULE),
	ROW(ENTRY_MSR_LOAD_ADDR, MODULE),
	ROW(EXECUTIVE_VMCS_POINTER, MODULE),
	ROW(PML_ADDR, MODULE, CPU2(PML)),
	ROW(TSC_OFFSET, USER),
	ROW(VIRTUAL_APIC_ADDR, MODULE, CPU(TPR_SHADOW)),
	ROW(APIC_ACCESS_ADDR, MODULE, CPU2(VIRTUALIZE_APIC)),
	ROW(POSTED_INTERRUPT_DESC_ADDR, MODULE, PIN(POSTED_INTERRUPTS)),
	ROW(VMFUNC_CONTROLS, MODULE, CPU2(VMFUNC)),
	ROW(EPT_POINTER, MODULE, CPU2(EPT)),
	ROW(EOI_EXIT_BITMAP_0, MODULE, CPU2(VIRTUAL_INTERRUPTS)),
	ROW(EOI_EXIT_BITMAP_1, MODULE, CPU2(VIRTUAL_INTERRUPTS)),
	ROW(EOI_EXIT_BITMAP_2, MODULE, CPU2(VIRTUAL_INTERRUPTS)),
	ROW(EOI_EXIT_BITMAP_3, MODULE, CPU2(VIRTUAL_INTERRUPTS)),
	ROW(EPTP_LIST_ADDR, MODULE, HAS(VMFUNC, 1)),
	ROW(VMREAD_BITMAP, MODULE, CPU2(SHADOW_VMCS)),
	ROW(VMWRITE_BITMAP, MODULE, CPU2(SHADOW_VMCS)),
	ROW(VE_INFO_ADDR, MODULE, CPU2(EPT_VIOLATION_VE)),
	ROW(XSS_EXITING_BITMAP, MODULE, CPU2(XSAVES)),
	ROW(ENCLS_EXITING_BITMAP, MODULE, CPU2(ENCLS_EXITING), INITIAL(~0ull)),
	ROW(SPP_TABLE_POINTER, MODULE, CPU2(SUB_PAGE_WRITE)),
	ROW(TSC_MULTIPLIER, USER, CPU2(TSC_SCALING), INITIAL(1ull << 48)),
	ROW(CPU3_CONTROLS, MODULE, CPU(ACTIVATE_CPU3)),
	ROW(ENCLV_EXITING_BITMAP, MODULE, CPU2(ENCLV_EXITING), INITIAL(~0ull)),
	ROW(LOW_PASID_DIRECTORY, MODULE, CPU2(PASID_TRANSLATION)),
	ROW(HIGH_PASID_DIRECTORY, MODULE, CPU2(PASID_TRANSLATION)),
	ROW(SHARED_EPT_POINTER, MODULE, HAS(CPU3, 1 << 5)),
	ROW(PCONFIG_EXITING_BITMAP, MODULE, CPU2(PCONFIG), INITIAL(~0ull)),
	ROW(HLAT_POINTER, MODULE, CPU3(HLAT)),
	ROW(PID_POINTER_TABLE, MODULE, CPU3(IPI_VIRTUALIZATION)),
	ROW(EXIT2_CONTROLS, MODULE, EXIT(ACTIVATE_EXIT2)),
	ROW(SPEC_CTRL_MASK, MODULE, CPU3(VIRTUALIZE_SPEC_CTRL)),
	ROW(SPEC_CTRL_SHADOW, MODULE, CPU3(VIRTUALIZE_SPEC_CTRL)),
	ROW(INJECTED_EVENT_DATA, MODULE, ENTRY(LOAD_FRED)),

	/* 64-bit VM-exit information fields */
	ROW(GUEST_PHYSICAL_ADDRESS, CPU, CPU2(EPT)),
	ROW(ORIGINAL_EVENT_DATA, CPU, ENTRY(LOAD_FRED)),

	/* 64-bit guest-state fields */
	ROW(VMCS_LINK_POINTER, MODULE, INITIAL(~0ull)),
	ROW(GUEST_DEBUGCTL, USER, .policy = &debugctl),
	ROW(GUEST_PAT, USER, EITHER(LOAD_PAT, SAVE_PAT), INITIAL(0x0007040600070406ull),
	    .policy = &switched_pat),
	ROW(GUEST_EFER, USER, EITHER(LOAD_EFER, SAVE_EFER), .policy = &efer),
	ROW(GUEST_PERF_GLOBAL_CTRL, MODULE,
	    EITHER(LOAD_PERF_GLOBAL, SAVE_PERF_GLOBAL)),
	ROW(GUEST_PDPTE0, USER, CPU2(EPT)),
	ROW(GUEST_PDPTE1, USER, CPU2(EPT)),
	ROW(GUEST_PDPTE2, USER, CPU2(EPT)),
	ROW(GUEST_PDPTE3, USER, CPU2(EPT)),
	ROW(GUEST_BNDCFGS, MODULE, EITHER(LOAD_BNDCFGS, CLEAR_BNDCFGS)),
	ROW(GUEST_RTIT_CTL, MODULE, EITHER(LOAD_RTIT, CLEAR_RTIT)),
	ROW(GUEST_LBR_CTL, MODULE, EITHER(LOAD_LBR, CLEAR_LBR)),
	ROW(GUEST_PKRS, MODULE, ENTRY(LOAD_PKRS)),
	ROW(GUEST_FRED_CONFIG, MODULE, ENTRY(LOAD_FRED)),
	ROW(GUEST_FRED_RSP1, MODULE, ENTRY(LOAD_FRED)),
	ROW(GUEST_FRED_RSP2, MODULE, ENTRY(LOAD_FRED)),
	ROW(GUEST_FRED_RSP3, MODULE, ENTRY(LOAD_FRED)),
	ROW(GUEST_FRED_STKLVLS, MODULE, ENTRY(LOAD_FRED)),
	ROW(GUEST_FRED_SSP1, MODULE, ENTRY(LOAD_FRED)),
	ROW(GUEST_FRED_SSP2, MODULE, ENTRY(LOAD_FRED)),
	ROW(GUEST_FRED_SSP3, MODULE, ENTRY(LOAD_FRED)),

	/* 64-bit host-state fields */
	ROW(HOST_PAT, MODULE, EXIT(LOAD_PAT)),
	ROW(HOST_EFER, MODULE, EXIT(LOAD_EFER)),
	ROW(HOST_PERF_GLOBAL_CTRL, MODULE, EXIT(LOAD_PERF_GLOBAL)),
	ROW(HOST_PKRS, MODULE, EXIT(LOAD_PKRS)),
	ROW(HOST_FRED_CONFIG, MODULE, HAS(EXIT2, 1 << 1)),
	ROW(HOST_FRED_RSP1, MODULE, HAS(EXIT2, 1 << 1)),
	ROW(HOST_FRED_RSP2, MODULE, HAS(EXIT2, 1 << 1)),
	ROW(HOST_FRED_RSP3, MODULE, HAS(EXIT2, 1 << 1)),
	ROW(HOST_FRED_STKLVLS, MODULE, HAS(EXIT2, 1 << 1)),
	ROW(HOST_FRED_SSP1, MODULE, HAS(EXIT2, 1 << 1)),
	ROW(HOST_FRED_SSP2, MODULE, HAS(EXIT2, 1 << 1)),
	ROW(HOST_FRED_SSP3, MODULE, HAS(EXIT2, 1 << 1)),

	/* 32-bit control fields */
	ROW(PIN_CONTROLS, SHARED, .policy = &pin),
	ROW(CPU_CONTROLS, SHARED, .policy = &cpu),
	ROW(EXCEPTION_BITMAP, SHARED, .policy = &exceptions),
	ROW(PAGE_FAULT_ERROR_MASK, USER),
	ROW(PAGE_FAULT_ERROR_MATCH, USER),
	ROW(CR3_TARGET_COUNT, USER, .policy = &cr3_targets),
	ROW(EXIT_CONTROLS, SHARED, .policy = &exit),
	ROW(EXIT_MSR_STORE_COUNT, MODULE),
	ROW(EXIT_MSR_LOAD_COUNT, MODULE),
	ROW(ENTRY_CONTROLS, SHARED, .policy = &entry),
	ROW(ENTRY_MSR_LOAD_COUNT, MODULE),
	ROW(ENTRY_INTR_INFO, MODULE),
	ROW(ENTRY_EXCEPTION_ERROR, MODULE),
	ROW(ENTRY_INSN_LENGTH, MODULE),
	ROW(TPR_THRESHOLD, MODULE, CPU(TPR_SHADOW)),
	ROW(CPU2_CONTROLS, SHARED, CPU(ACTIVATE_CPU2), .policy = &cpu2),
	ROW(PLE_GAP, USER, CPU2(PAUSE_LOOP_EXITING)),
	ROW(PLE_WINDOW, USER, CPU2(PAUSE_LOOP_EXITING)),
	ROW(INSN_TIMEOUT, MODULE, CPU2(INSN_TIMEOUT), INITIAL(INSN_TIMEOUT)),

	/* 32-bit VM-exit information fields */
	ROW(VM_INSTRUCTION_ERROR, CPU),
	ROW(EXIT_REASON, CPU),
	ROW(EXIT_INTR_INFO, CPU),
	ROW(EXIT_INTR_ERROR, CPU),
	ROW(IDT_VECTORING_INFO, CPU),
	ROW(IDT_VECTORING_ERROR, CPU),
	ROW(EXIT_INSN_LENGTH, CPU),
	ROW(EXIT_INSN_INFO, CPU),

	/* 32-bit guest-state fields */
	ROW(GUEST_ES_LIMIT, USER),
	ROW(GUEST_CS_LIMIT, USER, INITIAL(FLAT)),
	ROW(GUEST_SS_LIMIT, USER, INITIAL(FLAT)),
	ROW(GUEST_DS_LIMIT, USER),
	ROW(GUEST_FS_LIMIT, USER),
	ROW(GUEST_GS_LIMIT, USER),
	ROW(GUEST_LDTR_LIMIT, USER),
	ROW(GUEST_TR_LIMIT, USER, INITIAL(0x67)),
	ROW(GUEST_GDTR_LIMIT, USER),
	ROW(GUEST_IDTR_LIMIT, USER),
	ROW(GUEST_ES_ACCESS, USER, INITIAL(VMX_ACCESS_UNUSABLE)),
	ROW(GUEST_CS_ACCESS, USER, INITIAL(FLAT_CODE)),
	ROW(GUEST_SS_ACCESS, USER, INITIAL(FLAT_DATA)),
	ROW(GUEST_DS_ACCESS, USER, INITIAL(VMX_ACCESS_UNUSABLE)),
	ROW(GUEST_FS_ACCESS, USER, INITIAL(VMX_ACCESS_UNUSABLE)),
	ROW(GUEST_GS_ACCESS, USER, INITIAL(VMX_ACCESS_UNUSABLE)),
	ROW(GUEST_LDTR_ACCESS, USER, INITIAL(VMX_ACCESS_UNUSABLE)),
	ROW(GUEST_TR_ACCESS, USER, INITIAL(BUSY_TSS)),
	ROW(GUEST_INTERRUPTIBILITY, USER),
	ROW(GUEST_ACTIVITY, USER, .policy = &activity),
	ROW(GUEST_SMBASE, MODULE),
	ROW(GUEST_SYSENTER_CS, USER),
	ROW(PREEMPTION_TIMER, MODULE, PIN(PREEMPTION_TIMER)),

	/* 32-bit host-state field */
	ROW(HOST_SYSENTER_CS, MODULE),

	/* Natural-width control fields */
	ROW(CR0_MASK, SHARED, .policy = &cr0_mask),
	ROW(CR4_MASK, SHARED, .policy = &cr4_mask),
	ROW(CR0_READ_SHADOW, USER),
	ROW(CR4_READ_SHADOW, USER),
	ROW(CR3_TARGET_0, USER, HAS(CR3_TARGETS, 1 << 0)),
	ROW(CR3_TARGET_1, USER, HAS(CR3_TARGETS, 1 << 1)),
	ROW(CR3_TARGET_2, USER, HAS(CR3_TARGETS, 1 << 2)),
	ROW(CR3_TARGET_3, USER, HAS(CR3_TARGETS, 1 << 3)),

	/* Natural-width VM-exit information fields */
	ROW(EXIT_QUALIFICATION, CPU),
	ROW(IO_RCX, CPU),
	ROW(IO_RSI, CPU),
	ROW(IO_RDI, CPU),
	ROW(IO_RIP, CPU),
	ROW(GUEST_LINEAR_ADDRESS, CPU),

	/* Natural-width guest-state fields */
	ROW(GUEST_CR0, USER, INITIAL(X86_CR0_ET), .policy = &cr0),
	ROW(GUEST_CR3, USER),
	ROW(GUEST_CR4, SHARED, .policy = &cr4),
	ROW(GUEST_ES_BASE, USER),
	ROW(GUEST_CS_BASE, USER),
	ROW(GUEST_SS_BASE, USER),
	ROW(GUEST_DS_BASE, USER),
	ROW(GUEST_FS_BASE, USER),
	ROW(GUEST_GS_BASE, USER),
	ROW(GUEST_LDTR_BASE, USER),
	ROW(GUEST_TR_BASE, USER),
	ROW(GUEST_GDTR_BASE, USER),
	ROW(GUEST_IDTR_BASE, USER),
	ROW(GUEST_DR7, USER, INITIAL(0x400)),
	ROW(GUEST_RSP, USER),
	ROW(GUEST_RIP, USER),
	ROW(GUEST_RFLAGS, USER, INITIAL(X86_EFLAGS_FIXED)),
	ROW(GUEST_PENDING_DEBUG, USER),
	ROW(GUEST_SYSENTER_ESP, USER),
	ROW(GUEST_SYSENTER_EIP, USER),
	ROW(GUEST_S_CET, MODULE, ENTRY(LOAD_CET)),
	ROW(GUEST_SSP, MODULE, ENTRY(LOAD_CET)),
	ROW(GUEST_INTR_SSP_TABLE, MODULE, ENTRY(LOAD_CET)),

	/* Natural-width host-state fields */
	ROW(HOST_CR0, MODULE),
	ROW(HOST_CR3, MODULE),
	ROW(HOST_CR4, MODULE),
	ROW(HOST_FS_BASE, MODULE),
	ROW(HOST_GS_BASE, MODULE),
	ROW(HOST_TR_BASE, MODULE),
	ROW(HOST_GDTR_BASE, MODULE),
	ROW(HOST_IDTR_BASE, MODULE),
	ROW(HOST_SYSENTER_ESP, MODULE),
	ROW(HOST_SYSENTER_EIP, MODULE),
	ROW(HOST_RSP, MODULE),
	ROW(HOST_RIP, MODULE),
	ROW(HOST_S_CET, MODULE, EXIT(LOAD_CET)),
	ROW(HOST_SSP, MODULE, EXIT(LOAD_CET)),
	ROW(HOST_INTR_SSP_TABLE, MODULE, EXIT(LOAD_CET)),
};

const unsigned int vmx_field_count = ARRAY_SIZE(vmx_field_table);
EXPORT_SYMBOL_IF_KUNIT(vmx_field_count);
