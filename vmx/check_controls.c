// SPDX-License-Identifier: GPL-2.0
/* SDM, "Checks on VMX Controls": a failure is VM-instruction error 7. */
#include <linux/bits.h>
#include <linux/kernel.h>

#include <asm/processor-flags.h>

#include "../base/kunit-export.h"
#include "check.h"

#define PAGE_BITS	GENMASK_ULL(11, 0)
/* PWT and PCD of the HLAT pointer are not reserved. */
#define HLAT_RESERVED	(GENMASK_ULL(2, 0) | GENMASK_ULL(11, 5))

/* Control fields by enum vmx_capability */
static const u32 control_fields[] = {
	[VMX_CAP_PIN] = VMX_F_PIN_CONTROLS,
	[VMX_CAP_CPU] = VMX_F_CPU_CONTROLS,
	[VMX_CAP_CPU2] = VMX_F_CPU2_CONTROLS,
	[VMX_CAP_CPU3] = VMX_F_CPU3_CONTROLS,
	[VMX_CAP_EXIT] = VMX_F_EXIT_CONTROLS,
	[VMX_CAP_EXIT2] = VMX_F_EXIT2_CONTROLS,
	[VMX_CAP_ENTRY] = VMX_F_ENTRY_CONTROLS,
	[VMX_CAP_VMFUNC] = VMX_F_VMFUNC_CONTROLS,
};

/* SDM, "Reserved Controls and Default Settings" */
static bool check_reserved(struct vmx_checker *c, const struct vmx_step *step,
			   u64 value)
{
	u32 must = vmx_caps_must_be_1(c->ctx->caps, step->other);
	u32 may = vmx_caps_can_be_1(c->ctx->caps, step->other);

	return vmx_check_bits(c, (must & ~value) | (value & ~(u64)may));
}

static bool check_cpu3(struct vmx_checker *c, const struct vmx_step *step,
		       u64 value)
{
	return vmx_check_bits(c, value & ~c->ctx->caps->msr.cpu3);
}

static bool check_exit2(struct vmx_checker *c, const struct vmx_step *step,
			u64 value)
{
	return vmx_check_bits(c, value & ~c->ctx->caps->msr.exit2);
}

static bool check_vmfunc(struct vmx_checker *c, const struct vmx_step *step,
			 u64 value)
{
	return vmx_check_bits(c, value & ~c->ctx->caps->msr.vmfunc);
}

/* The step's controls need all of arg in another control. */
static bool check_needs(struct vmx_checker *c, const struct vmx_step *step,
			u64 value)
{
	if ((c->controls[step->other] & step->arg) == step->arg)
		return false;
	return vmx_check_against(c, control_fields[step->other],
				 c->controls[step->which] & step->when);
}

static bool check_excludes(struct vmx_checker *c, const struct vmx_step *step,
			   u64 value)
{
	if (!vmx_check_has(c, step->other, step->arg))
		return false;
	return vmx_check_against(c, control_fields[step->other],
				 c->controls[step->which] & step->when);
}

static bool check_nonzero(struct vmx_checker *c, const struct vmx_step *step,
			  u64 value)
{
	return !value;
}

static bool check_cr3_targets(struct vmx_checker *c,
			      const struct vmx_step *step, u64 value)
{
	u64 count = c->ctx->caps->msr.misc >> VMX_CAPS_MISC_CR3_TARGETS_SHIFT &
		    VMX_CAPS_MISC_CR3_TARGETS_MASK;

	return value > count;
}

static bool check_tpr_threshold(struct vmx_checker *c,
				const struct vmx_step *step, u64 value)
{
	return !vmx_check_has(c, VMX_CAP_CPU2, VMX_CPU2_VIRTUAL_INTERRUPTS) &&
	       vmx_check_zero(c, step, value);
}

/* The virtual TPR is byte 0x80 of the virtual-APIC page. */
static bool check_virtual_tpr(struct vmx_checker *c,
			      const struct vmx_step *step, u64 value)
{
	u64 page;
	u8 tpr;

	if (vmx_check_has(c, VMX_CAP_CPU2, VMX_CPU2_VIRTUAL_INTERRUPTS |
					   VMX_CPU2_VIRTUALIZE_APIC))
		return false;
	page = vmx_check_read(c, VMX_F_VIRTUAL_APIC_ADDR);
	if (!c->ctx->phys ||
	    !c->ctx->phys(c->ctx->opaque, page + 0x80, &tpr, sizeof(tpr)))
		return false;
	return (value & 0xf) > tpr >> 4;
}

/* SDM, "Extended-Page-Table Pointer (EPTP)" */
static bool check_eptp_memtype(struct vmx_checker *c,
			       const struct vmx_step *step, u64 value)
{
	u64 has = c->ctx->caps->msr.ept_vpid;
	u64 type = value & VMX_EPTP_MEMTYPE_MASK;

	if (type == VMX_MEMTYPE_UC && has & VMX_CAPS_EPT_UC)
		return false;
	if (type == VMX_MEMTYPE_WB && has & VMX_CAPS_EPT_WB)
		return false;
	return vmx_check_bits(c, VMX_EPTP_MEMTYPE_MASK);
}

static bool check_eptp_walk(struct vmx_checker *c, const struct vmx_step *step,
			    u64 value)
{
	u64 has = c->ctx->caps->msr.ept_vpid;
	u64 levels = ((value & VMX_EPTP_WALK_MASK) >> VMX_EPTP_WALK_SHIFT) + 1;

	if (levels == 4 && has & VMX_CAPS_EPT_WALK_4)
		return false;
	if (levels == 5 && has & VMX_CAPS_EPT_WALK_5)
		return false;
	return vmx_check_bits(c, VMX_EPTP_WALK_MASK);
}

static bool check_eptp_ad(struct vmx_checker *c, const struct vmx_step *step,
			  u64 value)
{
	return !(c->ctx->caps->msr.ept_vpid & VMX_CAPS_EPT_AD) &&
	       vmx_check_zero(c, step, value);
}

static bool check_eptp_reserved(struct vmx_checker *c,
				const struct vmx_step *step, u64 value)
{
	u64 reserved = GENMASK_ULL(11, 8) | ~vmx_check_phys_mask(c);

	if (!(c->ctx->caps->msr.ept_vpid & VMX_CAPS_EPT_SHADOW_STACK))
		reserved |= BIT_ULL(7);
	return vmx_check_bits(c, value & reserved);
}

/* The last byte of a list of MSRs has to have a physical address, too. */
static bool check_msr_area(struct vmx_checker *c, const struct vmx_step *step,
			   u64 value)
{
	u64 count = vmx_check_read(c, step->arg);
	u64 mask = vmx_check_phys_mask(c);
	u64 last = value + count * 16 - 1;

	if (!count)
		return false;
	if (value & (~mask | 0xf))
		return vmx_check_bits(c, value & (~mask | 0xf));
	return last & ~mask && vmx_check_against(c, step->arg, 0);
}

/* SDM, "VM-Entry Controls for Event Injection" */

static bool event_valid(const struct vmx_checker *c)
{
	return vmx_check_read(c, VMX_F_ENTRY_INTR_INFO) & VMX_INTR_VALID;
}

static bool check_event_type(struct vmx_checker *c, const struct vmx_step *step,
			     u64 value)
{
	u32 type = value & VMX_INTR_TYPE_MASK;
	bool mtf = vmx_caps_can_be_1(c->ctx->caps, VMX_CAP_CPU) &
		   VMX_CPU_MONITOR_TRAP_FLAG;

	if (!(value & VMX_INTR_VALID))
		return false;
	return (type == 1 << 8 || (type == VMX_INTR_TYPE_OTHER && !mtf)) &&
	       vmx_check_bits(c, VMX_INTR_TYPE_MASK);
}

static bool check_event_vector(struct vmx_checker *c,
			       const struct vmx_step *step, u64 value)
{
	u32 vector = value & VMX_INTR_VECTOR_MASK;
	bool fits = true;

	if (!(value & VMX_INTR_VALID))
		return false;
	switch (value & VMX_INTR_TYPE_MASK) {
	case VMX_INTR_TYPE_NMI:
		fits = vector == 2;
		break;
	case VMX_INTR_TYPE_HARDWARE_EXCEPTION:
		fits = vector <= 31;
		break;
	case VMX_INTR_TYPE_OTHER:
		fits = !vector;
		break;
	}
	return !fits && vmx_check_bits(c, VMX_INTR_VECTOR_MASK);
}

/* #DF, #TS, #NP, #SS, #GP, #PF and #AC have error codes, outside real mode. */
static bool check_event_error_bit(struct vmx_checker *c,
				  const struct vmx_step *step, u64 value)
{
	const u32 with_error = BIT(8) | GENMASK(14, 10) | BIT(17);
	u32 vector = value & VMX_INTR_VECTOR_MASK;
	bool delivers = value & VMX_INTR_ERROR_CODE;
	bool real = vmx_check_has(c, VMX_CAP_CPU2, VMX_CPU2_UNRESTRICTED_GUEST) &&
		    !(vmx_check_read(c, VMX_F_GUEST_CR0) & X86_CR0_PE);
	bool exception = (value & VMX_INTR_TYPE_MASK) ==
			 VMX_INTR_TYPE_HARDWARE_EXCEPTION;
	bool expected = exception && !real && vector < 32 &&
			with_error & BIT(vector);

	if (!(value & VMX_INTR_VALID) || delivers == expected)
		return false;
	if (exception && !real &&
	    c->ctx->caps->msr.basic & VMX_CAPS_BASIC_ANY_ERROR_CODE)
		return false;
	return vmx_check_bits(c, VMX_INTR_ERROR_CODE);
}

static bool check_event_reserved(struct vmx_checker *c,
				 const struct vmx_step *step, u64 value)
{
	return value & VMX_INTR_VALID && vmx_check_zero(c, step, value);
}

static bool check_event_error(struct vmx_checker *c,
			      const struct vmx_step *step, u64 value)
{
	return event_valid(c) &&
	       vmx_check_read(c, VMX_F_ENTRY_INTR_INFO) & VMX_INTR_ERROR_CODE &&
	       vmx_check_zero(c, step, value);
}

/* Software interrupts and exceptions push a RIP behind their instruction. */
static bool check_event_length(struct vmx_checker *c,
			       const struct vmx_step *step, u64 value)
{
	u32 type = vmx_check_read(c, VMX_F_ENTRY_INTR_INFO) & VMX_INTR_TYPE_MASK;

	if (!event_valid(c) || (type != VMX_INTR_TYPE_SOFTWARE_INTERRUPT &&
				type != VMX_INTR_TYPE_PRIVILEGED_EXCEPTION &&
				type != VMX_INTR_TYPE_SOFTWARE_EXCEPTION))
		return false;
	return value > 15 ||
	       (!value && !(c->ctx->caps->msr.misc & VMX_CAPS_MISC_ZERO_LENGTH));
}

#define IF_PIN(bit)	.which = VMX_CAP_PIN, .when = VMX_PIN_##bit
#define IF_CPU(bit)	.which = VMX_CAP_CPU, .when = VMX_CPU_##bit
#define IF_CPU2(bit)	.which = VMX_CAP_CPU2, .when = VMX_CPU2_##bit
#define IF_CPU3(bit)	.which = VMX_CAP_CPU3, .when = VMX_CPU3_##bit
#define IF_EXIT(bit)	.which = VMX_CAP_EXIT, .when = VMX_EXIT_CTL_##bit
#define EPTP_SWITCHING	.which = VMX_CAP_VMFUNC, .when = BIT(0)
#define OTHER(_other, bits) .other = VMX_CAP_##_other, .arg = (bits)

/* Controls that are forms of APIC virtualization and build on the TPR shadow */
#define NEED_TPR_SHADOW							\
	(VMX_CPU2_VIRTUALIZE_X2APIC | VMX_CPU2_APIC_REGISTERS |		\
	 VMX_CPU2_VIRTUAL_INTERRUPTS)
#define CPU2_NEED_EPT							\
	(VMX_CPU2_UNRESTRICTED_GUEST | VMX_CPU2_PML |			\
	 VMX_CPU2_MODE_BASED_EXEC | VMX_CPU2_SUB_PAGE_WRITE |		\
	 VMX_CPU2_PT_GUEST_PHYSICAL)
#define CPU3_NEED_EPT							\
	(VMX_CPU3_HLAT | VMX_CPU3_EPT_PAGING_WRITE |			\
	 VMX_CPU3_GUEST_PAGING_VERIFY)

static const struct vmx_step steps[] = {
	/* SDM, "VM-Execution Control Fields" */
	STEP(PIN_RESERVED, PIN_CONTROLS, check_reserved, OTHER(PIN, 0)),
	STEP(CPU_RESERVED, CPU_CONTROLS, check_reserved, OTHER(CPU, 0)),
	STEP(CPU2_RESERVED, CPU2_CONTROLS, check_reserved,
	     IF_CPU(ACTIVATE_CPU2), OTHER(CPU2, 0)),
	STEP(CPU3_RESERVED, CPU3_CONTROLS, check_cpu3, IF_CPU(ACTIVATE_CPU3)),
	STEP(CR3_TARGET_COUNT, CR3_TARGET_COUNT, check_cr3_targets),
	STEP(IO_BITMAP, IO_BITMAP_A, vmx_check_address, IF_CPU(IO_BITMAPS),
	     .arg = PAGE_BITS),
	STEP(IO_BITMAP, IO_BITMAP_B, vmx_check_address, IF_CPU(IO_BITMAPS),
	     .arg = PAGE_BITS),
	STEP(MSR_BITMAP, MSR_BITMAP, vmx_check_address, IF_CPU(MSR_BITMAPS),
	     .arg = PAGE_BITS),
	STEP(VIRTUAL_APIC, VIRTUAL_APIC_ADDR, vmx_check_address,
	     IF_CPU(TPR_SHADOW), .arg = PAGE_BITS),
	STEP(TPR_THRESHOLD, TPR_THRESHOLD, check_tpr_threshold,
	     IF_CPU(TPR_SHADOW), .arg = GENMASK_ULL(31, 4)),
	STEP(TPR_BELOW_THRESHOLD, TPR_THRESHOLD, check_virtual_tpr,
	     IF_CPU(TPR_SHADOW)),
	STEP(VIRTUAL_NMIS, PIN_CONTROLS, check_needs, IF_PIN(VIRTUAL_NMIS),
	     OTHER(PIN, VMX_PIN_NMI_EXITING)),
	STEP(NMI_WINDOW, CPU_CONTROLS, check_needs, IF_CPU(NMI_WINDOW),
	     OTHER(PIN, VMX_PIN_VIRTUAL_NMIS)),
	STEP(APIC_ACCESS, APIC_ACCESS_ADDR, vmx_check_address,
	     IF_CPU2(VIRTUALIZE_APIC), .arg = PAGE_BITS),
	STEP(TPR_SHADOW, CPU2_CONTROLS, check_needs, .which = VMX_CAP_CPU2,
	     .when = NEED_TPR_SHADOW, OTHER(CPU, VMX_CPU_TPR_SHADOW)),
	STEP(TPR_SHADOW, CPU3_CONTROLS, check_needs,
	     IF_CPU3(IPI_VIRTUALIZATION), OTHER(CPU, VMX_CPU_TPR_SHADOW)),
	STEP(X2APIC, CPU2_CONTROLS, check_excludes, IF_CPU2(VIRTUALIZE_X2APIC),
	     OTHER(CPU2, VMX_CPU2_VIRTUALIZE_APIC)),
	STEP(VIRTUAL_INTERRUPTS, CPU2_CONTROLS, check_needs,
	     IF_CPU2(VIRTUAL_INTERRUPTS),
	     OTHER(PIN, VMX_PIN_EXTERNAL_INTERRUPT_EXITING)),
	STEP(POSTED_DELIVERY, PIN_CONTROLS, check_needs,
	     IF_PIN(POSTED_INTERRUPTS),
	     OTHER(CPU2, VMX_CPU2_VIRTUAL_INTERRUPTS)),
	STEP(POSTED_ACK, PIN_CONTROLS, check_needs, IF_PIN(POSTED_INTERRUPTS),
	     OTHER(EXIT, VMX_EXIT_CTL_ACK_INTERRUPT)),
	STEP(POSTED_VECTOR, POSTED_INTERRUPT_VECTOR, vmx_check_zero,
	     IF_PIN(POSTED_INTERRUPTS), .arg = GENMASK_ULL(15, 8)),
	STEP(POSTED_DESC, POSTED_INTERRUPT_DESC_ADDR, vmx_check_address,
	     IF_PIN(POSTED_INTERRUPTS), .arg = GENMASK_ULL(5, 0)),
	STEP(VPID, VPID, check_nonzero, IF_CPU2(VPID)),
	STEP(EPTP_MEMTYPE, EPT_POINTER, check_eptp_memtype, IF_CPU2(EPT)),
	STEP(EPTP_WALK, EPT_POINTER, check_eptp_walk, IF_CPU2(EPT)),
	STEP(EPTP_ACCESS_DIRTY, EPT_POINTER, check_eptp_ad, IF_CPU2(EPT),
	     .arg = VMX_EPTP_ACCESS_DIRTY),
	STEP(EPTP_RESERVED, EPT_POINTER, check_eptp_reserved, IF_CPU2(EPT)),
	STEP(EPT, CPU2_CONTROLS, check_needs, .which = VMX_CAP_CPU2,
	     .when = CPU2_NEED_EPT, OTHER(CPU2, VMX_CPU2_EPT)),
	STEP(EPT, CPU3_CONTROLS, check_needs, .which = VMX_CAP_CPU3,
	     .when = CPU3_NEED_EPT, OTHER(CPU2, VMX_CPU2_EPT)),
	STEP(PML, PML_ADDR, vmx_check_address, IF_CPU2(PML), .arg = PAGE_BITS),
	STEP(SPP, SPP_TABLE_POINTER, vmx_check_address,
	     IF_CPU2(SUB_PAGE_WRITE), .arg = PAGE_BITS),
	STEP(VMFUNC, VMFUNC_CONTROLS, check_vmfunc, IF_CPU2(VMFUNC)),
	STEP(EPTP_SWITCHING, VMFUNC_CONTROLS, check_needs, EPTP_SWITCHING,
	     OTHER(CPU2, VMX_CPU2_EPT)),
	STEP(EPTP_LIST, EPTP_LIST_ADDR, vmx_check_address, EPTP_SWITCHING,
	     .arg = PAGE_BITS),
	STEP(SHADOW_BITMAP, VMREAD_BITMAP, vmx_check_address,
	     IF_CPU2(SHADOW_VMCS), .arg = PAGE_BITS),
	STEP(SHADOW_BITMAP, VMWRITE_BITMAP, vmx_check_address,
	     IF_CPU2(SHADOW_VMCS), .arg = PAGE_BITS),
	STEP(VE_INFO, VE_INFO_ADDR, vmx_check_address,
	     IF_CPU2(EPT_VIOLATION_VE), .arg = PAGE_BITS),
	STEP(PT_GUEST_PHYSICAL, CPU2_CONTROLS, check_needs,
	     IF_CPU2(PT_GUEST_PHYSICAL),
	     OTHER(ENTRY, VMX_ENTRY_CTL_LOAD_RTIT)),
	STEP(PT_GUEST_PHYSICAL, CPU2_CONTROLS, check_needs,
	     IF_CPU2(PT_GUEST_PHYSICAL),
	     OTHER(EXIT, VMX_EXIT_CTL_CLEAR_RTIT)),
	STEP(TSC_MULTIPLIER, TSC_MULTIPLIER, check_nonzero,
	     IF_CPU2(TSC_SCALING)),
	STEP(PASID_DIRECTORY, LOW_PASID_DIRECTORY, vmx_check_address,
	     IF_CPU2(PASID_TRANSLATION), .arg = PAGE_BITS),
	STEP(PASID_DIRECTORY, HIGH_PASID_DIRECTORY, vmx_check_address,
	     IF_CPU2(PASID_TRANSLATION), .arg = PAGE_BITS),
	STEP(HLAT, HLAT_POINTER, vmx_check_address, IF_CPU3(HLAT),
	     .arg = HLAT_RESERVED),
	STEP(PID_POINTERS, PID_POINTER_TABLE, vmx_check_address,
	     IF_CPU3(IPI_VIRTUALIZATION), .arg = GENMASK_ULL(2, 0)),

	/* SDM, "VM-Exit Control Fields" */
	STEP(EXIT_RESERVED, EXIT_CONTROLS, check_reserved, OTHER(EXIT, 0)),
	STEP(EXIT2_RESERVED, EXIT2_CONTROLS, check_exit2,
	     IF_EXIT(ACTIVATE_EXIT2)),
	STEP(SAVE_TIMER, EXIT_CONTROLS, check_needs,
	     IF_EXIT(SAVE_PREEMPTION_TIMER),
	     OTHER(PIN, VMX_PIN_PREEMPTION_TIMER)),
	STEP(EXIT_MSR_STORE, EXIT_MSR_STORE_ADDR, check_msr_area,
	     .arg = VMX_F_EXIT_MSR_STORE_COUNT),
	STEP(EXIT_MSR_LOAD, EXIT_MSR_LOAD_ADDR, check_msr_area,
	     .arg = VMX_F_EXIT_MSR_LOAD_COUNT),

	/* SDM, "VM-Entry Control Fields" */
	STEP(ENTRY_RESERVED, ENTRY_CONTROLS, check_reserved, OTHER(ENTRY, 0)),
	STEP(EVENT_TYPE, ENTRY_INTR_INFO, check_event_type),
	STEP(EVENT_VECTOR, ENTRY_INTR_INFO, check_event_vector),
	STEP(EVENT_ERROR_BIT, ENTRY_INTR_INFO, check_event_error_bit),
	STEP(EVENT_RESERVED, ENTRY_INTR_INFO, check_event_reserved,
	     .arg = GENMASK_ULL(30, 12)),
	STEP(EVENT_ERROR_CODE, ENTRY_EXCEPTION_ERROR, check_event_error,
	     .arg = GENMASK_ULL(31, 16)),
	STEP(EVENT_LENGTH, ENTRY_INSN_LENGTH, check_event_length),
	STEP(ENTRY_MSR_LOAD, ENTRY_MSR_LOAD_ADDR, check_msr_area,
	     .arg = VMX_F_ENTRY_MSR_LOAD_COUNT),
	STEP(ENTRY_SMM, ENTRY_CONTROLS, vmx_check_zero,
	     .arg = VMX_ENTRY_CTL_ENTRY_TO_SMM |
		    VMX_ENTRY_CTL_DEACTIVATE_DUAL_MONITOR),
};

const struct vmx_steps vmx_check_controls = { steps, ARRAY_SIZE(steps) };
EXPORT_SYMBOL_IF_KUNIT(vmx_check_controls);
