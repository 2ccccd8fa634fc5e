// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Task switches, which always exit (SDM, "Task Management" and "Treatment of Task Switches"). The
 * CPU has judged the gate and the descriptor of the new TSS by then. The rest is done here: the old
 * state into the old TSS, the new one out of the new TSS, and the checks of the segments that it
 * names.
 */
#include <errno.h>
#include <string.h>

#include "../lib/internal.h"
#include "../lib/x86.h"
#include "internal.h"
#include "task.h"

/* SDM, "Exit Qualification for Task Switches" */
enum origin { BY_CALL, BY_IRET, BY_JMP, BY_GATE };

/*
 * SDM, "32-Bit Task-State Segment (TSS)" and "16-Bit Task-State Segment (TSS)", from the saved EIP
 * or IP on.
 */
struct tss32 {
	uint32_t eip, eflags, regs[8], segments[6], ldtr;
};

struct tss16 {
	uint16_t ip, flags, regs[8], segments[4], ldtr;
};

#define TSS32_CR3	0x1c
#define TSS32_STATE	0x20
#define TSS32_TRAP	0x64
#define TSS16_STATE	0x0e

/* A TSS: where it is, and of which kind. */
struct task {
	uint16_t selector;
	uint64_t base;
	uint32_t limit;
	bool is_32bit;
	uint32_t granularity;		/* as in access rights; its limit may need it */
};

/* State of the new task, of either kind. */
struct state {
	uint32_t cr3, eip, eflags, regs[8];
	uint16_t segments[6], ldtr;
	bool trap;
};

static bool is_32bit(uint64_t type)
{
	return type & 8;
}

/* The new TSS's descriptor, in the GDT. */
static int find_new(struct switching *s, struct task *task)
{
	struct descriptor descriptor;
	int ret = task_read_descriptor(s, task->selector, &descriptor);

	if (ret)
		return ret;
	task->base = descriptor.base;
	task->limit = descriptor.limit;
	task->is_32bit = is_32bit(descriptor.access);
	task->granularity = descriptor.access & VMX_ACCESS_G;
	return 0;
}

static int find_old(struct switching *s, struct task *task)
{
	enum { SELECTOR, BASE, LIMIT, ACCESS, FIELDS };
	struct vmx_field fields[FIELDS] = {
		[SELECTOR] = { .field = VMX_F_GUEST_TR_SELECTOR },
		[BASE] = { .field = VMX_F_GUEST_TR_BASE },
		[LIMIT] = { .field = VMX_F_GUEST_TR_LIMIT },
		[ACCESS] = { .field = VMX_F_GUEST_TR_ACCESS },
	};
	int ret = vmx_fields_get(s->cpu->vcpu.vmcs, fields, FIELDS);

	*task = (struct task){
		.selector = fields[SELECTOR].value, .base = fields[BASE].value,
		.limit = fields[LIMIT].value, .is_32bit = is_32bit(fields[ACCESS].value),
	};
	return ret;
}

/* Instructions come back behind themselves; what was delivered, to where it happened. */
static uint32_t saved_eip(const struct switching *s, enum origin by)
{
	const struct vmx_run_page *run = s->cpu->vcpu.run;
	uint32_t type = run->idt_info & VMX_INTR_TYPE_MASK;
	bool software = type == VMX_INTR_TYPE_SOFTWARE_INTERRUPT ||
			type == VMX_INTR_TYPE_SOFTWARE_EXCEPTION ||
			type == VMX_INTR_TYPE_PRIVILEGED_EXCEPTION;

	if (by == BY_GATE && run->idt_info & VMX_INTR_VALID && !software)
		return run->rip;
	return run->rip + run->length;
}

static int save(struct switching *s, const struct task *old, enum origin by)
{
	const struct vmx_run_page *run = s->cpu->vcpu.run;
	uint32_t eflags = run->rflags & ~(by == BY_IRET ? RFLAGS_NT : 0);
	struct tss32 wide = { .eip = saved_eip(s, by), .eflags = eflags };
	struct tss16 narrow = { .ip = wide.eip, .flags = eflags };
	int ret = task_read_selectors(s, wide.segments, 6);

	if (ret)
		return ret;
	for (unsigned int n = 0; n < 8; n++) {
		wide.regs[n] = run->regs[n];
		narrow.regs[n] = run->regs[n];
	}
	for (unsigned int n = 0; n < 4; n++)
		narrow.segments[n] = wide.segments[n];
	/* The LDT's selector and CR3 stay as they are. */
	if (old->is_32bit)
		return task_write(s, old->base + TSS32_STATE, &wide, offsetof(struct tss32, ldtr));
	return task_write(s, old->base + TSS16_STATE, &narrow, offsetof(struct tss16, ldtr));
}

static int load32(struct switching *s, const struct task *new, struct state *state)
{
	struct tss32 tss;
	uint16_t trap;
	int ret = task_read(s, new->base + TSS32_STATE, &tss, sizeof(tss));

	ret = ret ?: task_read(s, new->base + TSS32_CR3, &state->cr3, sizeof(state->cr3));
	ret = ret ?: task_read(s, new->base + TSS32_TRAP, &trap, sizeof(trap));
	if (ret)
		return ret;
	state->eip = tss.eip;
	state->eflags = tss.eflags;
	memcpy(state->regs, tss.regs, sizeof(tss.regs));
	for (unsigned int n = 0; n < 6; n++)
		state->segments[n] = tss.segments[n];
	state->ldtr = tss.ldtr;
	state->trap = trap & 1;
	return 0;
}

/* It has no FS and GS, which become null, no CR3, and no upper halves, which become 0. */
static int load16(struct switching *s, const struct task *new, struct state *state)
{
	struct tss16 tss;
	int ret = task_read(s, new->base + TSS16_STATE, &tss, sizeof(tss));

	if (ret)
		return ret;
	*state = (struct state){ .eip = tss.ip, .eflags = tss.flags, .ldtr = tss.ldtr };
	for (unsigned int n = 0; n < 8; n++)
		state->regs[n] = tss.regs[n];
	for (unsigned int n = 0; n < 4; n++)
		state->segments[n] = tss.segments[n];
	return 0;
}

/*
 * Links and busy flags (SDM, "Task Linking"). The link comes first: after a page fault there the
 * instruction is executed again, for which the new task must not be busy.
 */
static int link_tasks(struct switching *s, const struct task *old, const struct task *new,
		      enum origin by, struct state *state)
{
	int ret = 0;

	if (by == BY_CALL || by == BY_GATE) {
		state->eflags |= RFLAGS_NT;
		ret = task_write(s, new->base, &old->selector, sizeof(old->selector));
	}
	if (by == BY_JMP || by == BY_IRET)
		ret = task_set_busy(s, old->selector, false);
	if (by != BY_IRET)
		ret = ret ?: task_set_busy(s, new->selector, true);
	return ret;
}

/* L0 to L3 and LE, whoever has the CPU's debug registers (SDM, "Task Switching"). */
static int clear_local_breakpoints(struct switching *s)
{
	struct vmx_debug debug;
	uint64_t dr7;
	int ret = vmx_cpu_get_debug(s->cpu, &debug, &dr7);

	return ret ?: vmx_cpu_set_debug(s->cpu, &debug, dr7 & ~DR7_LOCAL);
}

/* Virtual-8086 mode begins and ends with the segments, which VM entry compares with RFLAGS.VM. */
static int set_registers(struct switching *s, const struct task *new, const struct state *state)
{
	const int vmcs = s->cpu->vcpu.vmcs;
	struct vmx_run_page *run = s->cpu->vcpu.run;
	struct vmx_field fields[] = {
		{ .field = VMX_F_GUEST_TR_SELECTOR, .value = new->selector },
		{ .field = VMX_F_GUEST_TR_BASE, .value = new->base },
		{ .field = VMX_F_GUEST_TR_LIMIT, .value = new->limit },
		{ .field = VMX_F_GUEST_TR_ACCESS,
		  .value = (new->is_32bit ? 0x8b : 0x83) | new->granularity },
		{ .field = VMX_F_GUEST_RIP, .value = state->eip },
		{ .field = VMX_F_GUEST_RSP, .value = state->regs[VMX_RSP] },
		{ .field = VMX_F_GUEST_RFLAGS,
		  .value = (state->eflags & TASK_EFLAGS & ~RFLAGS_VM) | RFLAGS_FIXED |
			   (run->rflags & RFLAGS_VM) },
	};
	int ret = vmx_fields_set(vmcs, fields, COUNT(fields));

	for (unsigned int n = 0; n < 8; n++)
		run->regs[n] = state->regs[n];
	/* The loop looks here whether the guest can take interrupts. */
	run->rflags = state->eflags;
	run->interruptibility &= ~(VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS);
	ret = ret ?: vmx_field_change(vmcs, VMX_F_GUEST_CR0, 0, CR0_TS);
	ret = ret ?: clear_local_breakpoints(s);
	return ret ?: vmx_field_change(vmcs, VMX_F_GUEST_INTERRUPTIBILITY,
				       VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS, 0);
}

/* An NMI that came by the gate blocks others, and IRET ends that. The loop asks the run page. */
static int set_nmi_blocking(struct switching *s, enum origin by)
{
	struct vmx_run_page *run = s->cpu->vcpu.run;
	bool by_nmi = run->idt_info & VMX_INTR_VALID &&
		      (run->idt_info & VMX_INTR_TYPE_MASK) == VMX_INTR_TYPE_NMI;

	if (by != BY_IRET && !by_nmi)
		return 0;
	run->interruptibility &= ~VMX_BLOCKING_BY_NMI;
	if (by_nmi)
		run->interruptibility |= VMX_BLOCKING_BY_NMI;
	return vmx_field_change(s->cpu->vcpu.vmcs, VMX_F_GUEST_INTERRUPTIBILITY,
				by_nmi ? 0 : VMX_BLOCKING_BY_NMI, by_nmi ? VMX_BLOCKING_BY_NMI : 0);
}

/* The error code of an exception that came by the gate goes onto the new task's stack. */
static int push_error(struct switching *s, const struct task *new)
{
	const struct vmx_run_page *run = s->cpu->vcpu.run;

	if (!(run->idt_info & VMX_INTR_VALID) || !(run->idt_info & VMX_INTR_ERROR_CODE))
		return 0;
	return task_push(s, run->idt_error, new->is_32bit ? 4 : 2);
}

/* SDM, "Task-Switch Exception Condition": a trap before the first instruction. */
static int trap(struct switching *s)
{
	struct vmx_run_page *run = s->cpu->vcpu.run;
	struct vmx_debug debug;
	uint64_t dr7;
	int ret = vmx_cpu_get_debug(s->cpu, &debug, &dr7);

	debug.dr6 |= DR6_BT;
	ret = ret ?: vmx_cpu_set_debug(s->cpu, &debug, dr7);
	run->inject_info = VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | VECTOR_DB;
	return ret;
}

/* From here on what goes wrong is the new task's. */
static int enter(struct switching *s, const struct task *new, struct state *state,
		 enum origin by)
{
	int ret = set_registers(s, new, state);

	ret = ret ?: set_nmi_blocking(s, by);
	if (new->is_32bit && s->paging.cr0 & CR0_PG) {
		ret = ret ?: vmx_cpu_set_cr3(s->cpu, state->cr3);
		/* 0: the value is bad. */
		ret = ret < 0 ? ret : ret ? 0 : task_fault(s, VECTOR_GP, 0);
		s->paging.cr3 = state->cr3;
		ret = ret ?: task_take_pdptes(s);
	}
	ret = ret ?: task_load_segments(s, state->segments, state->ldtr,
					state->eflags & RFLAGS_VM);
	ret = ret ?: push_error(s, new);
	return ret ?: state->trap ? trap(s) : 0;
}

static int switch_task(struct switching *s, enum origin by, uint16_t selector)
{
	struct task old, new = { .selector = selector };
	struct state state = {};
	int ret = find_old(s, &old);

	ret = ret ?: find_new(s, &new);
	ret = ret ?: new.is_32bit ? load32(s, &new, &state) : load16(s, &new, &state);
	ret = ret ?: save(s, &old, by);
	ret = ret ?: link_tasks(s, &old, &new, by, &state);
	return ret ?: enter(s, &new, &state, by);
}

int vmx_cpu_task_switch(struct vmx_cpu *cpu)
{
	struct vmx_run_page *run = cpu->vcpu.run;
	struct switching s;
	int ret = task_begin(&s, cpu);

	/* The switch delivers it. */
	run->inject_info = 0;
	ret = ret ?: switch_task(&s, run->qualification >> 30 & 3, run->qualification & 0xffff);
	return ret == TASK_FAULT ? 0 : ret;
}
