/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: debugger
 *
 * Stops a machine's vCPUs, looks into them, and lets them go on: what a stub of
 * gdb's does to a machine. vmx_debugger_target() is what the stub wants.
 *
 * While a machine has a debugger, #DB and #BP exit to it. The guest's debug
 * registers then are kept for it, but do nothing: the CPU's are the debugger's.
 * A single step sets RFLAGS.TF, which a guest can see: what PUSHF stores is put
 * right, what an exception or a system call saves is not. Interrupts wait while
 * a vCPU steps, and time goes on while vCPUs are stopped.
 */
#ifndef LIBVMX_DEBUGGER_H
#define LIBVMX_DEBUGGER_H

#include <libvmx/gdb.h>
#include <libvmx/machine.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMX_DEBUGGER_BREAKPOINTS	64
#define VMX_DEBUGGER_REGISTERS		4

/**
 * struct vmx_breakpoint - an instruction that was replaced by INT3
 * @used: there is one
 * @linear: its linear address
 * @gpa: its guest-physical address
 * @byte: the byte that it replaced
 */
struct vmx_breakpoint {
	bool used;
	uint64_t linear;
	uint64_t gpa;
	uint8_t byte;
};

/**
 * struct vmx_watchpoint - what a debug register does
 * @used: there is one
 * @point: its kind
 * @linear: its linear address
 * @length: bytes: 1, 2, 4 or 8
 */
struct vmx_watchpoint {
	bool used;
	enum vmx_gdb_point point;
	uint64_t linear;
	unsigned int length;
};

/**
 * struct vmx_debugged_cpu - a vCPU, as its debugger has it
 * @hold: it is not to run
 * @step: it executes one instruction
 * @stepped: it has done so, and may have saved RFLAGS.TF
 * @pushes_flags: that instruction is PUSHF
 * @dr: the guest's DR0 to DR3
 * @dr6: its DR6
 * @dr7: its DR7
 */
struct vmx_debugged_cpu {
	bool hold;
	bool step;
	bool stepped;
	bool pushes_flags;
	uint64_t dr[4];
	uint64_t dr6;
	uint64_t dr7;
};

/**
 * struct vmx_debugger - a debugger
 * @machine: what is debugged
 * @event: vCPUs are stopping, or the machine ended: vmx_debugger_wait(); called
 *	with the machine's lock held
 * @host: argument for @event
 * @attached: the CPUs' debug registers and exceptions are the debugger's
 * @stopping: vCPUs are to be held, for @stop
 * @stop: why
 * @cpus: the vCPUs
 * @breakpoints: in memory
 * @watchpoints: in debug registers
 */
struct vmx_debugger {
	struct vmx_machine *machine;
	void (*event)(void *host);
	void *host;
	bool attached;
	bool stopping;
	struct vmx_gdb_stop stop;
	struct vmx_debugged_cpu cpus[VMX_MACHINE_CPUS];
	struct vmx_breakpoint breakpoints[VMX_DEBUGGER_BREAKPOINTS];
	struct vmx_watchpoint watchpoints[VMX_DEBUGGER_REGISTERS];
};

/**
 * vmx_debugger_init() - have vCPUs of a machine stop
 * @debugger: filled in; stays in place until vmx_debugger_detach()
 * @machine: the machine, which has no other; may be running, or about to run
 * @event: see struct vmx_debugger
 * @host: what it is called with
 *
 * Waits for a vmx_machine_save() that is writing.
 */
void vmx_debugger_init(struct vmx_debugger *debugger,
		       struct vmx_machine *machine, void (*event)(void *host),
		       void *host);

/**
 * vmx_debugger_wait() - wait until all vCPUs are stopped
 * @debugger: the debugger
 * @stop: why they are
 *
 * Return: 0; -ESHUTDOWN if the machine ended; -EAGAIN if nothing makes them
 * stop; or what failed.
 */
int vmx_debugger_wait(struct vmx_debugger *debugger, struct vmx_gdb_stop *stop);

/**
 * vmx_debugger_detach() - let the machine run on without a debugger
 * @debugger: the debugger; its machine may have ended
 */
void vmx_debugger_detach(struct vmx_debugger *debugger);

/**
 * vmx_debugger_target() - a machine as a target of gdb's
 *
 * Its functions take a struct vmx_debugger. When gdb goes, it is the caller's to
 * detach.
 *
 * Return: it.
 */
const struct vmx_gdb_target *vmx_debugger_target(void);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_DEBUGGER_H */
