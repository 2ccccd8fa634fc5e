// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A task switch's accesses to memory, and the segments of the new task (SDM, "Task Switching", the
 * table "Exception Conditions Checked During a Task Switch").
 */
#include <errno.h>
#include <string.h>

#include "../lib/internal.h"
#include "../lib/x86.h"
#include "internal.h"
#include "task.h"

#define PAGE		4096u

/* Selectors. */
#define TI		4u
#define RPL		3u

/* Access rights of segments. */
#define ACCESSED	1u
#define WRITABLE	2u		/* of data; of code: readable */
#define CONFORMING	4u		/* of code; of data: expands down */
#define CODE		8u
#define TYPE_LDT	2u
#define TYPE_BUSY	2u
#define ACCESS_V86	0xf3u

enum { ES, CS, SS, DS, FS, GS, SEGMENTS, LDTR = SEGMENTS };

/* With EPT and PAE paging they are registers. */
int task_take_pdptes(struct switching *s)
{
	const struct vmx_run_page *run = s->cpu->vcpu.run;
	int ret = 0;

	if (s->cpu->machine->vm.shadow || !(run->cr0 & CR0_PG) || !(run->cr4 & CR4_PAE))
		return 0;
	for (unsigned int n = 0; !ret && n < 4; n++)
		ret = vmx_field_get(s->cpu->vcpu.vmcs, VMX_F_GUEST_PDPTE0 + 2 * n, &s->pdptes[n]);
	s->paging.pdptes = s->pdptes;
	return ret;
}

int task_begin(struct switching *s, struct vmx_cpu *cpu)
{
	const struct vmx_run_page *run = cpu->vcpu.run;

	*s = (struct switching){
		.cpu = cpu,
		.paging = {
			.cr0 = run->cr0, .cr3 = run->cr3, .cr4 = run->cr4, .efer = run->efer,
			/* The CPU's own accesses are implicit: AC does not count. */
			.rflags = RFLAGS_FIXED, .phys_bits = cpu->machine->vm.caps.phys_bits,
		},
	};
	if (cpu->unpaged)
		s->paging.cr0 &= ~CR0_PG;
	return task_take_pdptes(s);
}

int task_fault(struct switching *s, uint8_t vector, uint32_t error)
{
	return vmx_cpu_raise(s->cpu, vector, error) ?: TASK_FAULT;
}

/* Memory */

static int page_fault(struct switching *s, uint32_t linear, uint32_t error)
{
	struct vmx_run_page *run = s->cpu->vcpu.run;

	run->cr2 = linear;
	run->dirty |= VMX_STATE_CR2;
	return task_fault(s, VECTOR_PF, error);
}

/* Within a page. */
static int access_page(struct switching *s, uint32_t linear, void *bytes, unsigned int length,
		       bool write)
{
	struct vmx_machine *machine = s->cpu->machine;
	const struct vmx_guest_memory memory = { vmx_machine_memory, machine };
	uint32_t error;
	uint64_t gpa;
	void *at;
	int ret;

	/* A switch cannot be undone half way: other vCPUs may use the tables. */
	do {
		ret = vmx_walk(&s->paging, &memory, linear, write ? VMX_WALK_WRITE : 0, &gpa,
			       &error);
	} while (ret == -EAGAIN);
	if (ret == -EFAULT)
		return page_fault(s, linear, error);
	if (ret)
		return ret;
	at = vmx_machine_memory(machine, gpa, length, write);
	if (!at)
		return vmx_fail(EOPNOTSUPP,
				"a TSS or descriptor table of the guest's is at %#llx, which is not RAM",
				(unsigned long long)gpa);
	memcpy(write ? at : bytes, write ? bytes : at, length);
	if (write && machine->vm.shadow)
		vmx_machine_wrote(machine, gpa, length);
	return 0;
}

static int access_memory(struct switching *s, uint32_t linear, void *bytes, unsigned int length,
			 bool write)
{
	int ret = 0;

	while (length && !ret) {
		unsigned int part = PAGE - linear % PAGE;

		if (part > length)
			part = length;
		ret = access_page(s, linear, bytes, part, write);
		linear += part;
		bytes = (char *)bytes + part;
		length -= part;
	}
	return ret;
}

int task_read(struct switching *s, uint32_t linear, void *bytes, unsigned int length)
{
	return access_memory(s, linear, bytes, length, false);
}

int task_write(struct switching *s, uint32_t linear, const void *bytes, unsigned int length)
{
	return access_memory(s, linear, (void *)bytes, length, true);
}

int task_push(struct switching *s, uint32_t value, unsigned int size)
{
	enum { RSP, BASE, ACCESS, FIELDS };
	struct vmx_field fields[FIELDS] = {
		[RSP] = { .field = VMX_F_GUEST_RSP }, [BASE] = { .field = VMX_F_GUEST_SS_BASE },
		[ACCESS] = { .field = VMX_F_GUEST_SS_ACCESS },
	};
	const int vmcs = s->cpu->vcpu.vmcs;
	uint32_t mask, top;
	int ret = vmx_fields_get(vmcs, fields, FIELDS);

	mask = fields[ACCESS].value & VMX_ACCESS_DB ? UINT32_MAX : UINT16_MAX;
	top = (fields[RSP].value - size) & mask;
	ret = ret ?: task_write(s, fields[BASE].value + top, &value, size);
	top |= fields[RSP].value & ~mask;
	s->cpu->vcpu.run->regs[VMX_RSP] = top;
	return ret ?: vmx_field_set(vmcs, VMX_F_GUEST_RSP, top);
}

/* Descriptors */

/* Where one is; beyond its table's limit it is #TS. */
static int find_descriptor(struct switching *s, uint16_t selector, uint32_t *at)
{
	const bool local = selector & TI;
	enum { BASE, LIMIT, ACCESS, FIELDS };
	struct vmx_field fields[FIELDS] = {
		[BASE] = { .field = local ? VMX_F_GUEST_LDTR_BASE : VMX_F_GUEST_GDTR_BASE },
		[LIMIT] = { .field = local ? VMX_F_GUEST_LDTR_LIMIT : VMX_F_GUEST_GDTR_LIMIT },
		[ACCESS] = { .field = VMX_F_GUEST_LDTR_ACCESS },
	};
	uint32_t offset = selector & ~(TI | RPL);
	int ret = vmx_fields_get(s->cpu->vcpu.vmcs, fields, FIELDS);

	if (ret)
		return ret;
	if (offset + 7 > fields[LIMIT].value ||
	    (local && fields[ACCESS].value & VMX_ACCESS_UNUSABLE))
		return task_fault(s, VECTOR_TS, selector & ~RPL);
	*at = fields[BASE].value + offset;
	return 0;
}

/* SDM, "Segment Descriptors" */
static struct descriptor decode(uint64_t raw)
{
	struct descriptor descriptor = {
		.base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000),
		.limit = (raw & 0xffff) | (raw >> 32 & 0xf0000),
		.access = raw >> 40 & 0xf0ff,
	};

	if (descriptor.access & VMX_ACCESS_G)
		descriptor.limit = descriptor.limit << 12 | 0xfff;
	return descriptor;
}

int task_read_descriptor(struct switching *s, uint16_t selector, struct descriptor *descriptor)
{
	uint64_t raw;
	uint32_t at;
	int ret = find_descriptor(s, selector, &at);

	ret = ret ?: task_read(s, at, &raw, sizeof(raw));
	if (!ret)
		*descriptor = decode(raw);
	return ret;
}

/* Changes the type of a descriptor. */
static int change_type(struct switching *s, uint16_t selector, uint8_t clear, uint8_t set)
{
	uint32_t at;
	uint8_t type;
	int ret = find_descriptor(s, selector, &at);

	ret = ret ?: task_read(s, at + 5, &type, 1);
	if (ret || ((type & ~clear) | set) == type)
		return ret;
	type = (type & ~clear) | set;
	return task_write(s, at + 5, &type, 1);
}

int task_set_busy(struct switching *s, uint16_t selector, bool busy)
{
	return change_type(s, selector, busy ? 0 : TYPE_BUSY, busy ? TYPE_BUSY : 0);
}

int task_read_selectors(struct switching *s, uint32_t *selectors, unsigned int count)
{
	struct vmx_field fields[SEGMENTS];
	int ret;

	for (unsigned int n = 0; n < count; n++)
		fields[n] = (struct vmx_field){ .field = VMX_F_GUEST_ES_SELECTOR + 2 * n };
	ret = vmx_fields_get(s->cpu->vcpu.vmcs, fields, count);
	for (unsigned int n = 0; n < count; n++)
		selectors[n] = fields[n].value;
	return ret;
}

/* Segments of the new task */

static int put_segment(struct switching *s, unsigned int n, uint16_t selector,
		       const struct descriptor *d)
{
	struct vmx_field fields[] = {
		{ .field = VMX_F_GUEST_ES_SELECTOR + 2 * n, .value = selector },
		{ .field = VMX_F_GUEST_ES_BASE + 2 * n, .value = d->base },
		{ .field = VMX_F_GUEST_ES_LIMIT + 2 * n, .value = d->limit },
		{ .field = VMX_F_GUEST_ES_ACCESS + 2 * n, .value = d->access },
	};

	return vmx_fields_set(s->cpu->vcpu.vmcs, fields, COUNT(fields));
}

static unsigned int dpl_of(const struct descriptor *d)
{
	return (d->access & VMX_ACCESS_DPL_MASK) >> VMX_ACCESS_DPL_SHIFT;
}

/* Type and privilege; CPL is the RPL of the new CS. */
static bool is_right(unsigned int n, uint16_t selector, const struct descriptor *d,
		     unsigned int cpl)
{
	const unsigned int rpl = selector & RPL, dpl = dpl_of(d);
	const bool code = d->access & CODE;

	if (n == LDTR)
		return !(d->access & VMX_ACCESS_S) && (d->access & 0xf) == TYPE_LDT;
	if (!(d->access & VMX_ACCESS_S))
		return false;
	if (n == CS)
		return code && (d->access & CONFORMING ? dpl <= rpl : dpl == rpl);
	if (n == SS)
		return !code && d->access & WRITABLE && dpl == cpl && rpl == cpl;
	if (code && !(d->access & WRITABLE))
		return false;
	return (code && d->access & CONFORMING) || (dpl >= cpl && dpl >= rpl);
}

/* The descriptor that a selector of the new task loads, once all checks pass. */
static int find_segment(struct switching *s, unsigned int n, uint16_t selector, unsigned int cpl,
			struct descriptor *d)
{
	const uint8_t absent = n == SS ? VECTOR_SS : n == LDTR ? VECTOR_TS : VECTOR_NP;
	const uint32_t error = selector & ~RPL;
	int ret;

	*d = (struct descriptor){ .access = VMX_ACCESS_UNUSABLE };
	if (!error && n != CS && n != SS)
		return 0;
	if (!error || (n == LDTR && selector & TI))
		return task_fault(s, VECTOR_TS, error);
	ret = task_read_descriptor(s, selector, d);
	if (ret)
		return ret;
	if (!is_right(n, selector, d, cpl))
		return task_fault(s, VECTOR_TS, error);
	if (!(d->access & VMX_ACCESS_PRESENT))
		return task_fault(s, absent, error);
	if (n == LDTR)
		return 0;
	d->access |= ACCESSED;
	return change_type(s, selector, 0, ACCESSED);
}

static int load_segment(struct switching *s, unsigned int n, uint16_t selector, unsigned int cpl)
{
	struct descriptor d;
	int ret = find_segment(s, n, selector, cpl, &d);

	return ret ?: put_segment(s, n, selector, &d);
}

static int set_v86(struct switching *s, bool v86)
{
	return vmx_field_change(s->cpu->vcpu.vmcs, VMX_F_GUEST_RFLAGS, RFLAGS_VM,
				v86 ? RFLAGS_VM : 0);
}

/* Both or none: VM entry compares their privilege levels. */
static int load_code_and_stack(struct switching *s, const uint16_t *selectors, unsigned int cpl)
{
	struct descriptor code, stack;
	int ret = find_segment(s, CS, selectors[CS], cpl, &code);

	ret = ret ?: find_segment(s, SS, selectors[SS], cpl, &stack);
	ret = ret ?: put_segment(s, CS, selectors[CS], &code);
	ret = ret ?: put_segment(s, SS, selectors[SS], &stack);
	return ret ?: set_v86(s, false);
}

/* In virtual-8086 mode they are as in real mode. */
static int load_v86(struct switching *s, const uint16_t *selectors)
{
	int ret = 0;

	for (unsigned int n = 0; n < SEGMENTS && !ret; n++)
		ret = put_segment(s, n, selectors[n], &(struct descriptor){
			.base = selectors[n] << 4, .limit = 0xffff, .access = ACCESS_V86,
		});
	return ret ?: set_v86(s, true);
}

/*
 * A fault in the middle is delivered in the new task. The CPU has no valid CS or SS then; here the
 * old task's remain, since VM entry insists on some.
 */
int task_load_segments(struct switching *s, const uint16_t *selectors, uint16_t ldtr, bool v86)
{
	static const unsigned int order[] = { DS, ES, FS, GS };
	const unsigned int cpl = selectors[CS] & RPL;
	int ret = load_segment(s, LDTR, ldtr, cpl);

	if (v86)
		return ret ?: load_v86(s, selectors);
	ret = ret ?: load_code_and_stack(s, selectors, cpl);
	for (unsigned int n = 0; n < COUNT(order) && !ret; n++)
		ret = load_segment(s, order[n], selectors[order[n]], cpl);
	return ret;
}
