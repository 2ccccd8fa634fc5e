/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBVMX_MACHINE_INTERNAL_H
#define LIBVMX_MACHINE_INTERNAL_H

#include <libvmx/machine.h>

/* What a vCPU's sleep goes by: not the time of day, which can be set back while it sleeps. */
#define WAKE_CLOCK	CLOCK_MONOTONIC

/* Callers hold the machine's lock. */

/* Ends the machine, once, and makes every vCPU notice. */
void vmx_machine_end(struct vmx_machine *machine, enum vmx_end end);
/* Ends it because of what vmx_error() says. */
void vmx_machine_fail(struct vmx_machine *machine);
/*
 * Guest memory in this process, or NULL: a struct vmx_guest_memory.host. What is found to be
 * written is, before the lock is given up.
 */
void *vmx_machine_memory(void *machine, uint64_t gpa, size_t length, bool write);
/*
 * With shadow page tables: the module hears that guest memory was written here, which may be page
 * tables. With EPT nobody needs to: the guest does to its CPUs what there is to do.
 */
void vmx_machine_wrote(struct vmx_machine *machine, uint64_t gpa, uint64_t length);
/*
 * Has the vCPU's thread wait, with nothing of its state left for the next VM entry, while the
 * machine is paused or a debugger holds the vCPU. Returns false if it may run.
 */
bool vmx_cpu_park(struct vmx_cpu *cpu);
/*
 * What was left for the next VM entry is done, and the run page has the state after it. Nothing if
 * the vCPU waits for a SIPI. 0 or -errno.
 */
int vmx_cpu_settle(struct vmx_cpu *cpu);
/* Since START, a TSC, it did not run: no time that an exit costs. */
void vmx_cpu_slept(struct vmx_cpu *cpu, uint64_t start);
/* The host's TSC, which stands during a pause. */
uint64_t vmx_machine_host_tsc(const struct vmx_machine *machine);
/*
 * Sets the guest's TSC, which stands until the machine is resumed, and what it was when the
 * machine's clock was 0. The machine is paused from here on.
 */
void vmx_machine_set_tsc(struct vmx_machine *machine, uint64_t tsc, uint64_t start);
/* The guest's TSC is what machine and vCPU add to the host's: 0 or -errno. */
int vmx_cpu_offset_tsc(struct vmx_cpu *cpu);
/* Has a vCPU look at what there is to do; a struct vmx_lapic_config.kick. */
void vmx_cpu_kick(void *cpu);
/* Puts the devices onto the machine's buses. */
int vmx_board_init(struct vmx_machine *machine);
/* Gives the machine a generation ID that no other machine has: 0 or -errno. */
int vmx_board_new_generation(struct vmx_machine *machine);
/* Writes ACPI tables; where the root pointer is. */
int vmx_board_describe(struct vmx_machine *machine, uint64_t *rsdp);
/* Does a vCPU have to leave the guest now and then, so that others run? See vcpu_loop.c. */
static inline bool vmx_machine_short_stays(const struct vmx_machine *machine)
{
	return machine->config.short_stays && machine->config.cpus > 1;
}

/* A vCPU's thread. */
void *vmx_cpu_loop(void *cpu);
/* What the guest did; 0 or -errno with vmx_error() set. */
int vmx_cpu_exit(struct vmx_cpu *cpu);
/* Handlers of some of these. */
int vmx_cpu_cr_access(struct vmx_cpu *cpu);
int vmx_cpu_mov_dr(struct vmx_cpu *cpu);
int vmx_cpu_task_switch(struct vmx_cpu *cpu);
/* How the instruction ends: retired, or with a fault. 0 or -errno. */
int vmx_cpu_retire(struct vmx_cpu *cpu);
int vmx_cpu_raise(struct vmx_cpu *cpu, uint8_t vector, uint32_t error);
/* What has 1 for done, 0 for a #GP(0), and -errno. */
int vmx_cpu_done_or_fault(struct vmx_cpu *cpu, int ret);
/* The guest's privilege level, after an exit that told SS. */
unsigned int vmx_cpu_cpl(const struct vmx_run_page *run);
/* Puts a vCPU where a boot protocol, or a start-up IPI, wants it. */
int vmx_cpu_start(struct vmx_cpu *cpu, const struct vmx_start *start);
int vmx_cpu_sipi(struct vmx_cpu *cpu, uint8_t vector);
/* vCPUs are not started by INIT and SIPI but by ACPI's mailbox. */
bool vmx_machine_mailbox(const struct vmx_machine *machine);
/* Did the guest put this vCPU's ID and a start command into the mailbox? */
bool vmx_cpu_called(const struct vmx_cpu *cpu);
/* Lets a vCPU that was called have a look at the mailbox, which says where to go. */
int vmx_cpu_answer(struct vmx_cpu *cpu);
/* A debugger does not let it run. */
bool vmx_cpu_is_held(const struct vmx_cpu *cpu);
/* It is to execute one instruction. */
bool vmx_cpu_is_stepping(const struct vmx_cpu *cpu);
/* #DB or #BP, for the debugger or the guest. */
int vmx_cpu_exception(struct vmx_cpu *cpu);
/* Its debug registers are the debugger's; the guest's are kept. */
bool vmx_cpu_is_debugged(const struct vmx_cpu *cpu);
/* What the guest has in them, whoever has the CPU's: 0 or -errno. */
int vmx_cpu_get_debug(struct vmx_cpu *cpu, struct vmx_debug *debug, uint64_t *dr7);
int vmx_cpu_set_debug(struct vmx_cpu *cpu, struct vmx_debug *debug, uint64_t dr7);
/* The debugger's part of a vCPU that was put somewhere: 0 or -errno. */
int vmx_debugger_on_start(struct vmx_cpu *cpu);
/* The debugger, if there is one, hears that the machine ended. */
void vmx_debugger_on_end(struct vmx_machine *machine);
/* An MSR that exits: is there one? */
bool vmx_cpu_rdmsr(struct vmx_cpu *cpu, uint32_t index, uint64_t *value);
/* The guest writes a register: 1 if it may, 0 if that faults, or -errno with vmx_error() set. */
int vmx_cpu_wrmsr(struct vmx_cpu *cpu, uint32_t index, uint64_t value);
int vmx_cpu_set_cr0(struct vmx_cpu *cpu, uint64_t value);
int vmx_cpu_set_cr3(struct vmx_cpu *cpu, uint64_t value);
int vmx_cpu_set_cr4(struct vmx_cpu *cpu, uint64_t value);
int vmx_cpu_set_efer(struct vmx_cpu *cpu, uint64_t value);
/* What the guest has in CR0, CR3, CR4 and EFER, whatever the CPU has there. */
struct vmx_control_state {
	uint64_t cr0, cr3, cr4, efer;
};

int vmx_cpu_get_control(struct vmx_cpu *cpu, struct vmx_control_state *state);
int vmx_cpu_get_efer(struct vmx_cpu *cpu, uint64_t *value);
/* The guest has paging, and what belongs to it, for its own. */
int vmx_cpu_own_paging(struct vmx_cpu *cpu);
/* The FPU (SDM, "FXSAVE Area"): legacy state at the start of an XSAVE area. */
#define FPU_MXCSR_AT	24
#define FPU_ST_AT	32
#define FPU_XMM_AT	160

struct fpu_area {
	struct vmx_fpu fpu;
	uint8_t bytes[16384] __attribute__((aligned(64)));
};

int vmx_cpu_get_fpu(const struct vmx_cpu *cpu, struct fpu_area *area);
/* What vmx_cpu_get_fpu() got, with x87 and SSE state changed. */
int vmx_cpu_set_fpu(const struct vmx_cpu *cpu, struct fpu_area *area);
/* A register of a vCPU; a struct vmx_emulator_ops.xmm. */
int vmx_cpu_xmm(void *cpu, unsigned int n, uint8_t bytes[16], bool write);
/* Gives a vCPU its CPUID table and its MSRs. */
int vmx_cpu_identify(struct vmx_cpu *cpu);
/* CPUID of a leaf or subleaf that is not in the table: fills in what it returns. */
void vmx_cpu_cpuid_missing(struct vmx_cpu *cpu);

#endif /* LIBVMX_MACHINE_INTERNAL_H */
