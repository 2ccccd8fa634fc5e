/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of a machine that have sections in its stream. */
#ifndef LIBVMX_STATE_STATE_H
#define LIBVMX_STATE_STATE_H

#include <libvmx/machine.h>

#include "cpu.h"
#include "stream.h"

/* A machine beside its parts. */
struct state_machine {
	uint64_t memory;
	uint32_t cpus;
	uint32_t tsc_khz;
	uint64_t tsc;		/* of the guest, IA32_TSC_ADJUST not counted */
	uint64_t tsc_start;	/* what it was when the machine's clock was 0 */
	bool mailbox;
	uint32_t turn;		/* the APIC ID of who had the last lowest-priority interrupt */
};

#define STATE_NO_TURN	UINT32_MAX

/* A PCI device, without what its kind adds. */
struct state_pci {
	struct vmx_pci_device *device;
	uint8_t config[VMX_PCI_CONFIG_SIZE];
	bool pin_high;
	bool pin_driven;
	uint64_t pending;
	uint32_t vector_count;
	struct vmx_pci_vector vectors[VMX_PCI_VECTORS];
};

/* Two for each vCPU beside its local APIC, and those of devices. */
#define STATE_PARTS	(3 * VMX_MACHINE_CPUS + 16 + VMX_PCI_SLOTS * (1 + VMX_SAVED_PARTS))

struct state_parts {
	struct vmx_saved_part list[STATE_PARTS];
	unsigned int count;
	struct state_machine machine;
	struct state_cpu cpus[VMX_MACHINE_CPUS];
	struct state_cpuid cpuid[VMX_MACHINE_CPUS];
	struct state_pci pci[VMX_PCI_SLOTS];
};

void state_list(struct state_parts *parts, const struct vmx_saved_table *table, void *object,
		uint32_t instance, int (*loaded)(void *object));
/* Interrupt controllers come before what drives them. */
void state_list_devices(struct state_parts *parts, struct vmx_machine *machine);
/* -EOPNOTSUPP if a device cannot be saved. */
int state_list_pci(struct state_parts *parts, struct vmx_machine *machine);
void state_list_cpus(struct state_parts *parts, unsigned int cpus);

/* With the machine's lock held: 0, or -errno with vmx_error() set. */

/* Begins a stream, and adds all sections but those of memory and the end. */
int state_write_machine(struct state_writer *writer, struct vmx_machine *machine);
/* Puts all that was not taken yet into a machine that has the memory. Time stands still then. */
int state_read_machine(struct vmx_saved *saved, struct vmx_machine *machine);
/* What a machine needs to have for it. */
int state_find_config(struct vmx_saved *saved, struct vmx_saved_config *config);

struct dirty_log;
/*
 * Writes all of a machine to FD, but with a BASE no more of memory than what is marked in LOG,
 * which is brought up to date; NULL for none. Fills in what tells the image from others. 0 or
 * -errno.
 */
int state_save(struct vmx_machine *machine, int fd, struct dirty_log *log,
	       const struct state_base *base, uint64_t *id);

/* base.c */

/* What is in SAVED of a base, if it has one: 0 or -EINVAL. */
int state_find_base(struct vmx_saved *saved, uint64_t file_size);
/* Puts the images on one another, the last base first: 0 or -errno. */
int state_map_memory(void *ram, const struct vmx_saved *saved);

extern const struct vmx_saved_table state_machine_table;

#endif /* LIBVMX_STATE_STATE_H */
