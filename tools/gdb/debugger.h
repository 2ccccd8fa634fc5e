/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of the debugger and their callers. */
#ifndef LIBVMX_MACHINE_DEBUG_H
#define LIBVMX_MACHINE_DEBUG_H

#include <libvmx/debugger.h>

/* All with the machine's lock held. */

/* debugger.c: has the vCPUs held, for a reason; the first counts. */
void debugger_stop(struct vmx_debugger *debugger, const struct vmx_gdb_stop *stop);

/* debugger_state.c: functions of the target */
int debug_read_registers(void *debugger, unsigned int cpu, struct vmx_gdb_registers *registers);
int debug_write_registers(void *debugger, unsigned int cpu,
			  const struct vmx_gdb_registers *registers);
size_t debug_read_memory(void *debugger, unsigned int cpu, uint64_t address, void *bytes,
			 size_t length);
size_t debug_write_memory(void *debugger, unsigned int cpu, uint64_t address, const void *bytes,
			  size_t length);
/* Where a linear address of a vCPU's is in RAM, and in this process; NULL if it is not. */
const unsigned char *debug_find(struct vmx_cpu *cpu, uint64_t address, uint64_t *gpa);
/* Writes RAM, within a page; 0 or -errno. */
int debug_put(struct vmx_machine *machine, uint64_t gpa, const void *bytes, size_t length);

/* debugger_points.c */
int debug_set_point(void *debugger, unsigned int cpu, enum vmx_gdb_point point, uint64_t address,
		    uint64_t length, bool on);
void debug_remove_points(struct vmx_debugger *debugger);
/* Takes a vCPU's debug registers and exceptions from the guest, or gives them back. */
int debug_take_over(struct vmx_debugger *debugger, struct vmx_cpu *cpu);
int debug_give_back(struct vmx_debugger *debugger, struct vmx_cpu *cpu);
/* The next instruction is one of its own; that it was done exits. */
int debug_begin_step(struct vmx_debugger *debugger, struct vmx_cpu *cpu);
int debug_end_step(struct vmx_debugger *debugger, struct vmx_cpu *cpu);

#endif /* LIBVMX_MACHINE_DEBUG_H */
