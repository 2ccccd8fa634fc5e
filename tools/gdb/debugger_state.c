// SPDX-License-Identifier: LGPL-2.1-or-later
/* The registers and the memory of a stopped vCPU. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../lib/internal.h"
#include "../lib/x86.h"
#include "debugger.h"
#include "../machine/internal.h"

static struct vmx_cpu *cpu_of(void *context, unsigned int n)
{
	struct vmx_debugger *debugger = context;

	return &debugger->machine->cpus[n];
}

/* VMCS fields: what is the guest's own, and what it sees instead */

enum { RIP, RSP, RFLAGS, CR0, CR0_MASK, CR0_SHADOW, CR3, CR4, CR4_MASK, CR4_SHADOW,
       FS_BASE, GS_BASE, CS, SS, DS, ES, FS, GS, ENTRY, EFER, FIELDS };

static const uint32_t encodings[FIELDS] = {
	VMX_F_GUEST_RIP, VMX_F_GUEST_RSP, VMX_F_GUEST_RFLAGS, VMX_F_GUEST_CR0, VMX_F_CR0_MASK,
	VMX_F_CR0_READ_SHADOW, VMX_F_GUEST_CR3, VMX_F_GUEST_CR4, VMX_F_CR4_MASK,
	VMX_F_CR4_READ_SHADOW, VMX_F_GUEST_FS_BASE, VMX_F_GUEST_GS_BASE, VMX_F_GUEST_CS_SELECTOR,
	VMX_F_GUEST_SS_SELECTOR, VMX_F_GUEST_DS_SELECTOR, VMX_F_GUEST_ES_SELECTOR,
	VMX_F_GUEST_FS_SELECTOR, VMX_F_GUEST_GS_SELECTOR, VMX_F_ENTRY_CONTROLS,
	VMX_F_GUEST_EFER,
};

static int read_fields(const struct vmx_cpu *cpu, uint64_t *values)
{
	bool efer = cpu->machine->vm.caps.features & VMX_HAS_LOAD_EFER;
	struct vmx_field fields[FIELDS];
	int ret;

	for (unsigned int n = 0; n < FIELDS; n++)
		fields[n] = (struct vmx_field){ .field = encodings[n] };
	ret = vmx_fields_get(cpu->vcpu.vmcs, fields, efer ? FIELDS : EFER);
	for (unsigned int n = 0; n < FIELDS; n++)
		values[n] = fields[n].value;
	/* As at VM entry: a CPU that cannot load EFER has the host's, which has NXE. */
	if (!efer)
		values[EFER] = values[ENTRY] & VMX_ENTRY_CTL_IA32E_MODE_GUEST ?
			       EFER_LME | EFER_LMA | EFER_NXE : 0;
	return ret;
}

static uint64_t seen(const uint64_t *values, unsigned int reg, unsigned int mask,
		     unsigned int shadow)
{
	return (values[reg] & ~values[mask]) | (values[shadow] & values[mask]);
}

/* Members of struct vmx_gdb_registers.fpu in the area; the tag word is another matter. */
static const struct {
	uint8_t at;
	uint8_t size;
} fpu_words[8] = {
	{ 0, 2 }, { 2, 2 }, { 0, 0 }, { 12, 2 }, { 8, 4 }, { 20, 2 }, { 16, 4 }, { 6, 2 },
};

/* FXSAVE has a bit for each register that is in use, gdb two: 0 or, for an empty one, 3. */
static uint32_t tag_word(uint8_t used)
{
	uint32_t tags = 0;

	for (unsigned int n = 0; n < 8; n++)
		if (!(used >> n & 1))
			tags |= 3u << 2 * n;
	return tags;
}

static int read_fpu(const struct vmx_cpu *cpu, struct vmx_gdb_registers *registers)
{
	struct fpu_area area;
	int ret = vmx_cpu_get_fpu(cpu, &area);

	if (ret)
		return ret;
	for (unsigned int n = 0; n < 8; n++) {
		memcpy(&registers->fpu[n], area.bytes + fpu_words[n].at, fpu_words[n].size);
		memcpy(registers->st[n], area.bytes + FPU_ST_AT + 16 * n, sizeof(registers->st[n]));
	}
	registers->fpu[2] = tag_word(area.bytes[4]);
	memcpy(registers->xmm, area.bytes + FPU_XMM_AT, sizeof(registers->xmm));
	memcpy(&registers->mxcsr, area.bytes + FPU_MXCSR_AT, sizeof(registers->mxcsr));
	return 0;
}

static int write_fpu(const struct vmx_cpu *cpu, const struct vmx_gdb_registers *registers)
{
	struct fpu_area area;
	int ret = vmx_cpu_get_fpu(cpu, &area);

	if (ret)
		return ret;
	for (unsigned int n = 0; n < 8; n++) {
		memcpy(area.bytes + fpu_words[n].at, &registers->fpu[n], fpu_words[n].size);
		memcpy(area.bytes + FPU_ST_AT + 16 * n, registers->st[n], sizeof(registers->st[n]));
	}
	memcpy(area.bytes + FPU_XMM_AT, registers->xmm, sizeof(registers->xmm));
	memcpy(area.bytes + FPU_MXCSR_AT, &registers->mxcsr, sizeof(registers->mxcsr));
	return vmx_cpu_set_fpu(cpu, &area);
}

static bool same_fpu(const struct vmx_gdb_registers *a, const struct vmx_gdb_registers *b)
{
	return !memcmp(a->fpu, b->fpu, sizeof(a->fpu)) && !memcmp(a->st, b->st, sizeof(a->st)) &&
	       !memcmp(a->xmm, b->xmm, sizeof(a->xmm)) && a->mxcsr == b->mxcsr;
}

int debug_read_registers(void *context, unsigned int n, struct vmx_gdb_registers *registers)
{
	struct vmx_cpu *cpu = cpu_of(context, n);
	uint64_t values[FIELDS];
	int ret = read_fields(cpu, values);

	if (ret)
		return ret;
	memcpy(registers->general, (const void *)cpu->vcpu.run->regs, sizeof(registers->general));
	registers->general[VMX_RSP] = values[RSP];
	registers->rip = values[RIP];
	registers->eflags = values[RFLAGS];
	for (unsigned int segment = 0; segment < COUNT(registers->segments); segment++)
		registers->segments[segment] = values[CS + segment];
	registers->fs_base = values[FS_BASE];
	registers->gs_base = values[GS_BASE];
	registers->cr0 = seen(values, CR0, CR0_MASK, CR0_SHADOW);
	registers->cr2 = cpu->vcpu.run->cr2;
	registers->cr3 = values[CR3];
	registers->cr4 = seen(values, CR4, CR4_MASK, CR4_SHADOW);
	registers->efer = values[EFER];
	return read_fpu(cpu, registers);
}

/* What the run page shows of it goes along. Control registers and segments cannot be changed. */
static int write_state(struct vmx_cpu *cpu, const struct vmx_gdb_registers *registers)
{
	struct vmx_run_page *run = cpu->vcpu.run;
	struct vmx_field fields[] = {
		{ .field = VMX_F_GUEST_RIP, .value = registers->rip },
		{ .field = VMX_F_GUEST_RSP, .value = registers->general[VMX_RSP] },
		{ .field = VMX_F_GUEST_RFLAGS, .value = registers->eflags | RFLAGS_FIXED },
	};
	int ret = vmx_fields_set(cpu->vcpu.vmcs, fields, COUNT(fields));

	if (ret)
		return ret;
	memcpy((void *)run->regs, registers->general, sizeof(registers->general));
	run->rip = fields[0].value;
	run->rflags = fields[2].value;
	return 0;
}

int debug_write_registers(void *context, unsigned int n, const struct vmx_gdb_registers *registers)
{
	struct vmx_cpu *cpu = cpu_of(context, n);
	struct vmx_gdb_registers now;
	int ret = debug_read_registers(context, n, &now);

	if (!ret && !same_fpu(&now, registers))
		ret = write_fpu(cpu, registers);
	return ret ?: write_state(cpu, registers);
}

/* Memory */

/* A debugger leaves no accessed or dirty flags: nothing can be written here. */
static void *table_entry(void *context, uint64_t gpa, size_t length, bool write)
{
	struct vmx_machine *machine = context;

	return write ? NULL : vmx_machine_memory(machine, gpa, length, false);
}

/* Nor do rights matter to it: it reads as the supervisor, from pages of users, too. */
static int translate(struct vmx_cpu *cpu, uint64_t address, uint64_t *gpa)
{
	struct vmx_guest_memory memory = { .host = table_entry, .machine = cpu->machine };
	uint64_t values[FIELDS];
	struct vmx_paging paging;
	uint32_t error;
	int ret = read_fields(cpu, values);

	if (ret)
		return ret;
	paging = (struct vmx_paging){
		.cr0 = values[CR0], .cr3 = values[CR3],
		.cr4 = values[CR4] & ~(CR4_SMAP | CR4_SMEP), .efer = values[EFER],
		.phys_bits = cpu->machine->vm.caps.phys_bits,
	};
	/* SDM, "Canonical Addressing" */
	if (values[EFER] & EFER_LMA) {
		unsigned int unused = values[CR4] & CR4_LA57 ? 7 : 16;

		if ((int64_t)(address << unused) >> unused != (int64_t)address)
			return -EFAULT;
	}
	return vmx_walk(&paging, &memory, address, 0, gpa, &error);
}

const unsigned char *debug_find(struct vmx_cpu *cpu, uint64_t address, uint64_t *gpa)
{
	if (translate(cpu, address, gpa))
		return NULL;
	return vmx_memory_at(&cpu->machine->memory, *gpa, 1);
}

/* If it is a page table, the guest does not know that it should execute INVLPG. */
int debug_put(struct vmx_machine *machine, uint64_t gpa, const void *bytes, size_t length)
{
	memcpy(vmx_memory_to_write(&machine->memory, gpa, length), bytes, length);
	return vmx_vm_invalidate(&machine->vm, gpa, length);
}

#define PAGE_SIZE	4096

static size_t copy(struct vmx_cpu *cpu, uint64_t address, void *to, const void *from,
		   size_t length)
{
	size_t done = 0;

	while (done < length) {
		size_t piece = PAGE_SIZE - ((address + done) & (PAGE_SIZE - 1));
		uint64_t gpa;
		const unsigned char *at = debug_find(cpu, address + done, &gpa);

		if (!at)
			break;
		if (piece > length - done)
			piece = length - done;
		if (to)
			memcpy((char *)to + done, at, piece);
		else if (debug_put(cpu->machine, gpa, (const char *)from + done, piece))
			break;
		done += piece;
	}
	return done;
}

size_t debug_read_memory(void *context, unsigned int n, uint64_t address, void *bytes,
			 size_t length)
{
	return copy(cpu_of(context, n), address, bytes, NULL, length);
}

size_t debug_write_memory(void *context, unsigned int n, uint64_t address, const void *bytes,
			  size_t length)
{
	return copy(cpu_of(context, n), address, NULL, bytes, length);
}
