// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Gets a vCPU's architectural state out of the module, and puts it into another vCPU, whose CPU,
 * controls and page tables may be others. The vCPU is parked, or has never run.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../lib/internal.h"
#include "../lib/x86.h"
#include "internal.h"
#include "vcpu_state.h"

/* What is in the VMCS under the same name, in either direction. */
static const struct {
	uint32_t field;
	uint16_t at;
	uint16_t width;
} plain[] = {
#define PLAIN(field, member) \
	{ VMX_F_##field, offsetof(struct state_cpu, member), \
	  sizeof(((struct state_cpu *)0)->member) }
	PLAIN(GUEST_RIP, rip),
	PLAIN(GUEST_RSP, regs[VMX_RSP]),
	PLAIN(GUEST_RFLAGS, rflags),
	PLAIN(GUEST_GDTR_BASE, gdt_base),
	PLAIN(GUEST_GDTR_LIMIT, gdt_limit),
	PLAIN(GUEST_IDTR_BASE, idt_base),
	PLAIN(GUEST_IDTR_LIMIT, idt_limit),
	PLAIN(GUEST_SYSENTER_CS, sysenter_cs),
	PLAIN(GUEST_SYSENTER_ESP, sysenter_esp),
	PLAIN(GUEST_SYSENTER_EIP, sysenter_eip),
	PLAIN(GUEST_DEBUGCTL, debugctl),
	PLAIN(GUEST_PENDING_DEBUG, pending_debug),
	PLAIN(GUEST_INTERRUPTIBILITY, interruptibility),
	PLAIN(GUEST_ACTIVITY, activity),
};

/* The four fields of a segment, two encodings from those of the next. */
#define SEGMENT_FIELDS	4

static const uint32_t segment_fields[SEGMENT_FIELDS] = {
	VMX_F_GUEST_ES_SELECTOR, VMX_F_GUEST_ES_LIMIT, VMX_F_GUEST_ES_ACCESS, VMX_F_GUEST_ES_BASE,
};

#define PDPTES	COUNT(((struct state_cpu *)0)->pdptes)

/* A batch: the fields above, then the segments', then those that not every CPU has. */
struct batch {
	struct vmx_field fields[COUNT(plain) + STATE_SEGMENTS * SEGMENT_FIELDS + PDPTES + 1];
	size_t count;
};

static void put(struct batch *batch, uint32_t field, uint64_t value)
{
	batch->fields[batch->count++] = (struct vmx_field){ .field = field, .value = value };
}

static bool has(const struct vmx_cpu *cpu, uint64_t feature)
{
	return cpu->machine->vm.caps.features & feature;
}

/* With shadow page tables the module has PDPTEs of its own. */
static bool has_pdptes(const struct vmx_cpu *cpu)
{
	return !cpu->machine->vm.shadow;
}

static void put_fields(struct batch *batch, const struct vmx_cpu *cpu,
		       const struct state_cpu *state)
{
	for (size_t n = 0; n < COUNT(plain); n++) {
		uint64_t value = 0;

		memcpy(&value, (const char *)state + plain[n].at, plain[n].width);
		put(batch, plain[n].field, value);
	}
	for (unsigned int n = 0; n < STATE_SEGMENTS; n++) {
		const struct state_segment *segment = &state->segments[n];
		const uint64_t values[SEGMENT_FIELDS] = {
			segment->selector, segment->limit, segment->access, segment->base,
		};

		for (unsigned int i = 0; i < SEGMENT_FIELDS; i++)
			put(batch, segment_fields[i] + 2 * n, values[i]);
	}
	if (has(cpu, VMX_HAS_LOAD_PAT))
		put(batch, VMX_F_GUEST_PAT, state->pat);
	for (unsigned int n = 0; has_pdptes(cpu) && n < PDPTES; n++)
		put(batch, VMX_F_GUEST_PDPTE0 + 2 * n, state->pdptes[n]);
}

/* Getting */

/* Those of BATCH are in the order that put_fields() has. */
static void take_fields(const struct batch *batch, const struct vmx_cpu *cpu,
			struct state_cpu *state)
{
	const struct vmx_field *at = batch->fields;

	for (size_t n = 0; n < COUNT(plain); n++, at++)
		memcpy((char *)state + plain[n].at, &at->value, plain[n].width);
	for (unsigned int n = 0; n < STATE_SEGMENTS; n++, at += SEGMENT_FIELDS)
		state->segments[n] = (struct state_segment){
			.selector = at[0].value, .limit = at[1].value,
			.access = at[2].value, .base = at[3].value,
		};
	state->pat = has(cpu, VMX_HAS_LOAD_PAT) ? at++->value : PAT_DEFAULT;
	state->has_pdptes = has_pdptes(cpu);
	for (unsigned int n = 0; state->has_pdptes && n < PDPTES; n++)
		state->pdptes[n] = at++->value;
}

static int get_msrs(const struct vmx_cpu *cpu, struct state_cpu *state)
{
	struct vmx_msr table[VMX_CPU_MSRS];
	struct vmx_msrs msrs = {
		.size = sizeof(msrs), .msrs = (uintptr_t)table, .count = vmx_cpu_msrs(cpu, table),
	};

	if (ioctl(cpu->vcpu.fd, VMX_GET_MSRS, &msrs))
		return vmx_fail(errno, "cannot read vCPU %u's MSRs: %s", cpu->id, strerror(errno));
	for (unsigned int n = 0; n < msrs.count; n++)
		if (!vmx_cpu_msr_is_field(table[n].index))
			state->msrs[state->msr_count++] = (struct state_msr){
				table[n].index, table[n].value,
			};
	return 0;
}

static int get_fpu(const struct vmx_cpu *cpu, struct state_cpu *state)
{
	struct vmx_fpu fpu = {
		.size = sizeof(fpu), .area = (uintptr_t)state->fpu, .length = sizeof(state->fpu),
	};

	if (ioctl(cpu->vcpu.fd, VMX_GET_FPU, &fpu))
		return vmx_fail(errno, "cannot read vCPU %u's FPU: %s", cpu->id, strerror(errno));
	state->fpu_length = fpu.needed;
	state->xcr0 = fpu.xcr0;
	return 0;
}

static int get_control(struct vmx_cpu *cpu, struct state_cpu *state)
{
	struct vmx_control_state control;
	int ret = vmx_cpu_get_control(cpu, &control);

	state->cr0 = control.cr0;
	state->cr3 = control.cr3;
	state->cr4 = control.cr4;
	state->efer = control.efer;
	return ret;
}

static int get_debug(struct vmx_cpu *cpu, struct state_cpu *state)
{
	struct vmx_debug debug;
	int ret = vmx_cpu_get_debug(cpu, &debug, &state->dr7);

	memcpy(state->dr, debug.dr, sizeof(state->dr));
	state->dr6 = debug.dr6;
	return ret;
}

int vmx_cpu_get_state(struct vmx_cpu *cpu, struct state_cpu *state)
{
	const struct vmx_run_page *run = cpu->vcpu.run;
	struct batch batch = { .count = 0 };
	int ret;

	memset(state, 0, sizeof(*state));
	put_fields(&batch, cpu, state);
	ret = vmx_fields_get(cpu->vcpu.vmcs, batch.fields, batch.count);
	ret = ret ?: get_control(cpu, state);
	ret = ret ?: get_debug(cpu, state);
	ret = ret ?: get_msrs(cpu, state);
	ret = ret ?: get_fpu(cpu, state);
	if (ret)
		return ret;
	memcpy(state->regs, (const void *)run->regs, sizeof(state->regs));
	take_fields(&batch, cpu, state);
	state->cr2 = run->cr2;
	state->event_info = run->inject_info;
	state->event_error = run->inject_info ? run->inject_error : 0;
	state->event_length = run->inject_info ? run->inject_length : 0;
	state->tsc_adjust = cpu->tsc_adjust;
	state->halted = cpu->halted;
	return 0;
}

/* Putting */

static bool is_unpaged(const struct vmx_cpu *cpu, const struct state_cpu *state)
{
	return !(state->cr0 & CR0_PG) && !cpu->machine->vm.shadow &&
	       !has(cpu, VMX_HAS_UNRESTRICTED);
}

static struct vmx_start_segment start_segment(const struct state_segment *segment)
{
	return (struct vmx_start_segment){
		.selector = segment->selector, .access = segment->access,
		.base = segment->base, .limit = segment->limit,
	};
}

/* Control registers and controls, as for a vCPU that starts. The rest is overwritten. */
static int start(struct vmx_cpu *cpu, const struct state_cpu *state)
{
	struct vmx_start start = {
		.rip = state->rip, .rflags = state->rflags, .cr3 = state->cr3, .cr4 = state->cr4,
		.efer = state->efer, .cr0 = state->cr0 & ~(CR0_CD | CR0_NW),
		.cs = start_segment(&state->segments[STATE_CS]),
		.data = start_segment(&state->segments[0]),
		.tr = start_segment(&state->segments[STATE_TR]),
	};

	memcpy(start.regs, state->regs, sizeof(start.regs));
	/* It begins with paging, and leaves it as the guest did. */
	if (is_unpaged(cpu, state)) {
		start.cr0 |= CR0_PG;
		start.efer |= state->efer & EFER_LME ? EFER_LMA : 0;
	}
	return vmx_cpu_start(cpu, &start);
}

static int leave_paging(struct vmx_cpu *cpu, const struct state_cpu *state)
{
	int ret = vmx_cpu_settle(cpu);

	ret = ret ?: vmx_cpu_set_cr0(cpu, state->cr0);
	if (ret)
		return ret < 0 ? ret : 0;
	return vmx_fail(EINVAL, "saved state: vCPU %u cannot have CR0 %#llx", cpu->id,
			(unsigned long long)state->cr0);
}

/* Of PAE paging, from memory, where the machine that was saved did not know them. */
static void find_pdptes(const struct vmx_cpu *cpu, struct state_cpu *state)
{
	const void *table;

	if (state->has_pdptes || !(state->cr0 & CR0_PG) || !(state->cr4 & CR4_PAE) ||
	    state->efer & EFER_LMA)
		return;
	table = vmx_memory_at(&cpu->machine->memory, state->cr3 & 0xffffffe0,
			      sizeof(state->pdptes));
	if (table)
		memcpy(state->pdptes, table, sizeof(state->pdptes));
}

static int put_registers(struct vmx_cpu *cpu, struct state_cpu *state)
{
	struct batch batch = { .count = 0 };
	struct vmx_failure failure;
	char text[256];
	int ret = start(cpu, state);

	find_pdptes(cpu, state);
	put_fields(&batch, cpu, state);
	ret = ret ?: vmx_fields_set(cpu->vcpu.vmcs, batch.fields, batch.count);
	ret = ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_CR0_READ_SHADOW, state->cr0);
	if (is_unpaged(cpu, state))
		ret = ret ?: leave_paging(cpu, state);
	ret = ret ?: vmx_vmcs_check(cpu->vcpu.vmcs, &failure);
	if (ret || failure.check == VMX_CHECK_NONE)
		return ret;
	return vmx_fail(EINVAL, "saved state: vCPU %u cannot go on here: %s", cpu->id,
			vmx_explain_failure(&failure, text, sizeof(text)));
}

static int put_msrs(struct vmx_cpu *cpu, const struct state_cpu *state)
{
	struct vmx_msr table[VMX_CPU_MSRS];
	unsigned int count = vmx_cpu_msrs(cpu, table);

	for (unsigned int n = 0; n < state->msr_count; n++) {
		const struct state_msr *msr = &state->msrs[n];
		unsigned int at = 0;

		while (at < count && table[at].index != msr->index)
			at++;
		if (at == count || vmx_cpu_msr_is_field(msr->index))
			return vmx_fail(EOPNOTSUPP,
					"the guest uses MSR %#x, which this CPU does not have, or this VM cannot give to it",
					msr->index);
		table[at].value = msr->value;
	}
	return vmx_cpu_set_msrs(cpu, table, count);
}

static int put_fpu(const struct vmx_cpu *cpu, const struct state_cpu *state)
{
	struct vmx_fpu fpu = {
		.size = sizeof(fpu), .area = (uintptr_t)state->fpu, .length = state->fpu_length,
		.xcr0 = state->xcr0,
	};

	if (ioctl(cpu->vcpu.fd, VMX_SET_FPU, &fpu))
		return vmx_fail(errno,
				"this CPU cannot take the FPU state of vCPU %u (XCR0 %#llx): %s",
				cpu->id, (unsigned long long)state->xcr0, strerror(errno));
	return 0;
}

static int put_debug(struct vmx_cpu *cpu, const struct state_cpu *state)
{
	struct vmx_debug debug = { .size = sizeof(debug), .dr6 = state->dr6 };

	memcpy(debug.dr, state->dr, sizeof(debug.dr));
	return vmx_cpu_set_debug(cpu, &debug, state->dr7);
}

int vmx_cpu_put_state(struct vmx_cpu *cpu, struct state_cpu *state)
{
	struct vmx_run_page *run = cpu->vcpu.run;
	int ret = put_msrs(cpu, state);

	ret = ret ?: put_fpu(cpu, state);
	/* A vCPU that waits for a SIPI has no registers yet. */
	if (!cpu->lapic.waiting)
		ret = ret ?: put_registers(cpu, state);
	ret = ret ?: put_debug(cpu, state);
	run->cr2 = state->cr2;
	run->dirty |= VMX_STATE_CR2;
	run->inject_info = state->event_info;
	run->inject_error = state->event_error;
	run->inject_length = state->event_length;
	cpu->tsc_adjust = state->tsc_adjust;
	cpu->halted = state->halted;
	/* Whoever looks whether it takes an interrupt, which ends HLT, looks at the run page. */
	return ret ?: vmx_cpu_settle(cpu);
}
