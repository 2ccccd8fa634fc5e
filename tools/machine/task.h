/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a task switch does to memory and segment registers. */
#ifndef LIBVMX_MACHINE_TASK_H
#define LIBVMX_MACHINE_TASK_H

#include <libvmx/emulate.h>

/* EFLAGS as a task may have them (SDM, "EFLAGS Register"). */
#define TASK_EFLAGS	0x3f7fd5ull

/* Functions return 0, -errno, or this when an exception is in the inject slot. */
#define TASK_FAULT	1

struct switching {
	struct vmx_cpu *cpu;
	struct vmx_paging paging;
	uint64_t pdptes[4];
};

/* A segment, as the VMCS has it. */
struct descriptor {
	uint32_t base;
	uint32_t limit;
	uint32_t access;
};

int task_begin(struct switching *s, struct vmx_cpu *cpu);
/* After CR3 was loaded: the PDPTEs that it loaded. */
int task_take_pdptes(struct switching *s);
int task_fault(struct switching *s, uint8_t vector, uint32_t error);
/* Linear memory, as the CPU itself accesses it. */
int task_read(struct switching *s, uint32_t linear, void *bytes, unsigned int length);
int task_write(struct switching *s, uint32_t linear, const void *bytes, unsigned int length);
/* Onto the stack of the new task. */
int task_push(struct switching *s, uint32_t value, unsigned int size);
/* Of the GDT or the LDT; #TS if it lies beyond. */
int task_read_descriptor(struct switching *s, uint16_t selector, struct descriptor *descriptor);
int task_set_busy(struct switching *s, uint16_t selector, bool busy);
/* ES, CS, SS, DS, FS, GS. */
int task_read_selectors(struct switching *s, uint32_t *selectors, unsigned int count);
int task_load_segments(struct switching *s, const uint16_t *selectors, uint16_t ldtr, bool v86);

#endif /* LIBVMX_MACHINE_TASK_H */
