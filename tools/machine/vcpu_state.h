/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of vCPUs, between the module and a stream. */
#ifndef LIBVMX_MACHINE_STATE_H
#define LIBVMX_MACHINE_STATE_H

#include <libvmx/machine.h>

#include "../state/cpu.h"

/* Callers hold the machine's lock. All of these: 0, or -errno with vmx_error() set. */

int vmx_cpu_get_state(struct vmx_cpu *cpu, struct state_cpu *state);
/* After memory and local APIC. */
int vmx_cpu_put_state(struct vmx_cpu *cpu, struct state_cpu *state);
/* Has a vCPU what SAVED promises to the guest? Names what it has not. */
int vmx_cpu_check_cpuid(const struct vmx_cpu *cpu, const struct state_cpuid *saved);

/* MSRs that guests have for their own, with a policy and no value; how many. */
#define VMX_CPU_MSRS	16

unsigned int vmx_cpu_msrs(const struct vmx_cpu *cpu, struct vmx_msr *table);
/* Is its value in a field of the VMCS? */
bool vmx_cpu_msr_is_field(uint32_t index);
int vmx_cpu_set_msrs(struct vmx_cpu *cpu, const struct vmx_msr *table, unsigned int count);
int vmx_cpu_set_cpuid(struct vmx_cpu *cpu, const struct vmx_cpuid_entry *entries,
		      unsigned int count);

#endif /* LIBVMX_MACHINE_STATE_H */
