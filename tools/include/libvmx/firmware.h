/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: firmware
 *
 * The data that firmware leaves for an operating system: a memory map, ACPI
 * tables, and the registers that the tables point to. None of it is code,
 * except the loop in which parked CPUs wait.
 */
#ifndef LIBVMX_FIRMWARE_H
#define LIBVMX_FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libvmx/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The memory map */

/**
 * enum vmx_range_type - the type of a range of guest-physical memory
 * @VMX_RANGE_RAM: free to use
 * @VMX_RANGE_RESERVED: not for the guest's use
 * @VMX_RANGE_ACPI: ACPI tables; RAM once they are read
 * @VMX_RANGE_NVS: memory that firmware goes on using
 *
 * The numbers of ACPI's "Address Range Types", which e820, PVH and Multiboot
 * share.
 */
enum vmx_range_type {
	VMX_RANGE_RAM = 1,
	VMX_RANGE_RESERVED = 2,
	VMX_RANGE_ACPI = 3,
	VMX_RANGE_NVS = 4,
};

/**
 * struct vmx_memory_range - an entry of the memory map
 * @base: its first guest-physical address
 * @size: bytes, not 0
 * @type: what it is
 */
struct vmx_memory_range {
	uint64_t base;
	uint64_t size;
	enum vmx_range_type type;
};

#define VMX_MEMORY_RANGES 32

/**
 * struct vmx_memory - a guest's RAM and the map of it that the guest is given
 * @ram: the RAM in this process, in one piece
 * @size: its size in bytes
 * @low: so much of it begins at guest-physical 0; the rest at 4 GiB
 * @hole: more of it than that cannot: there the hole below 4 GiB begins
 * @written: a bit for each page of @ram that this process wrote: bit n % 64 of word n / 64;
 *	NULL while nobody wants to know
 * @image: what nobody touched is a file's, and not all zeroes
 * @map: sorted by address, disjoint; what is not in it is a hole
 * @count: number of entries
 */
struct vmx_memory {
	unsigned char *ram;
	uint64_t size;
	uint64_t low;
	uint64_t hole;
	uint64_t *written;
	bool image;
	struct vmx_memory_range map[VMX_MEMORY_RANGES];
	unsigned int count;
};

/* Where RAM beyond the hole goes on. */
#define VMX_MEMORY_HIGH 0x100000000ull

/**
 * vmx_memory_init() - describe a guest's RAM as on a PC
 * @memory: filled in
 * @ram: the RAM in this process
 * @size: bytes, a multiple of 4 KiB
 * @hole: where the hole below 4 GiB begins, a multiple of 4 KiB and not below
 *	1 MiB; RAM beyond it goes to 4 GiB
 *
 * The map has conventional memory up to 639 KiB, the reserved KiB above it, a
 * hole for the VGA and option ROMs, the reserved 128 KiB below 1 MiB, and RAM
 * from 1 MiB.
 *
 * Return: 0 or -EINVAL.
 */
int vmx_memory_init(struct vmx_memory *memory, void *ram, uint64_t size,
		    uint64_t hole);

/**
 * vmx_memory_set() - change the type of a range in the map
 * @memory: the RAM and its map
 * @base: first guest-physical address
 * @size: bytes, not 0
 * @type: what it is from now on; it may have been a hole, or several things
 *
 * Return: 0, -EINVAL (empty, or past the end of the address space), -ENOSPC
 * (the map is full, and unchanged).
 */
int vmx_memory_set(struct vmx_memory *memory, uint64_t base, uint64_t size,
		   enum vmx_range_type type);

/**
 * vmx_memory_at() - find guest-physical memory in this process, to read it
 * @memory: the RAM
 * @base: first guest-physical address
 * @size: bytes
 *
 * Return: the memory, or NULL where not all of it is RAM, whatever the map says
 * about it.
 */
const void *vmx_memory_at(const struct vmx_memory *memory, uint64_t base,
			  uint64_t size);

/**
 * vmx_memory_to_write() - find guest-physical memory in this process, to write it
 * @memory: the RAM
 * @base: first guest-physical address
 * @size: bytes
 *
 * Its pages count as written from here on, so do not give the machine's lock up before
 * they are.
 *
 * Return: as vmx_memory_at().
 */
void *vmx_memory_to_write(const struct vmx_memory *memory, uint64_t base,
			  uint64_t size);

/**
 * vmx_memory_wrote() - note that RAM was written
 * @memory: the RAM
 * @at: part of it in this process
 * @size: bytes
 *
 * For what was written without the machine's lock. Whoever is to find the pages that
 * changed has to be told after the last byte, and with the lock.
 */
void vmx_memory_wrote(const struct vmx_memory *memory, const void *at,
		      uint64_t size);

/**
 * vmx_bios_data_write() - write what firmware leaves in the BIOS data area
 * @memory: the RAM
 *
 * For kernels that look for the size of conventional memory there: the words at
 * 40:13H (its KiB) and 40:0EH (the segment of the extended BIOS data area), and
 * the first byte of that area (its KiB), as far as there is RAM.
 */
void vmx_bios_data_write(const struct vmx_memory *memory);

/* Power management */

/**
 * enum vmx_power_event - a guest's request to its board
 * @VMX_POWER_OFF: be switched off
 * @VMX_POWER_RESET: be reset
 */
enum vmx_power_event {
	VMX_POWER_OFF,
	VMX_POWER_RESET,
};

/* The length of the register block, and what sleep type powers off. */
#define VMX_POWER_LENGTH	16
#define VMX_POWER_SLP_TYP_S5	5

/* The reset control register as in the PIIX3 and later, and what resets. */
#define VMX_POWER_RESET_PORT	0xcf9
#define VMX_POWER_RESET_VALUE	0x06

/**
 * struct vmx_power - ACPI's fixed registers and a reset control register
 * @event: called for each request of the guest; may be NULL
 * @board: argument for @event
 * @clock: what the power-management timer counts
 * @sci: the system control interrupt: level-triggered
 * @status: PM1 status
 * @enable: PM1 enable
 * @control: PM1 control
 * @reset: reset control
 * @gpe_status: status of general-purpose events
 * @gpe_enable: the enabled ones
 *
 * The block is PM1 status (2 bytes), PM1 enable (2), PM1 control (2), nothing
 * (2), power-management timer (4, 3.579545 MHz, 32 bits wide), status (1) and
 * enable (1) of general-purpose events 0 to 7, nothing (2). There is no SMI
 * command port: the registers are ACPI's from the start. The timer's interrupt
 * is not modelled.
 */
struct vmx_power {
	void (*event)(void *board, enum vmx_power_event event);
	void *board;
	const struct vmx_clock *clock;
	struct vmx_line sci;
	uint16_t status;
	uint16_t enable;
	uint16_t control;
	uint8_t reset;
	uint8_t gpe_status;
	uint8_t gpe_enable;
};

/**
 * vmx_power_init() - put the registers in the state after reset
 * @power: filled in; may be in use, for a reset
 * @clock: what the timer counts; not copied
 * @sci: where the interrupt goes
 * @event: called when the guest wants something
 * @board: argument for @event
 */
void vmx_power_init(struct vmx_power *power, const struct vmx_clock *clock,
		    struct vmx_line sci,
		    void (*event)(void *board, enum vmx_power_event event),
		    void *board);

/**
 * vmx_power_button() - press the power button
 * @power: the registers
 *
 * A guest that has enabled the button shuts itself down.
 *
 * Return: true if the guest has enabled the button.
 */
bool vmx_power_button(struct vmx_power *power);

/* The general-purpose event by which ACPI tables announce a new generation. */
#define VMX_POWER_GPE_GENERATION 0

/**
 * vmx_power_raise() - raise a general-purpose event
 * @power: the registers
 * @event: its number, 0 to 7
 */
void vmx_power_raise(struct vmx_power *power, unsigned int event);

/* For vmx_bus_add(): %VMX_POWER_LENGTH ports wherever struct vmx_acpi says, and
 * one port, %VMX_POWER_RESET_PORT (struct vmx_pci_wiring.reset_control); the
 * device is the struct vmx_power.
 */
extern const struct vmx_range_ops vmx_power_ops;
extern const struct vmx_range_ops vmx_power_reset_ops;

/* ACPI */

/**
 * struct vmx_acpi - the machine that ACPI tables describe
 * @cpus: number of CPUs; their APIC IDs count from 0
 * @x2apic: describe all of them by x2APIC structures, also those that a local
 *	APIC structure could describe
 * @mailbox: start CPUs through the mailbox of the multiprocessor wakeup
 *	structure instead of by INIT and SIPI
 * @local_apic: where local APICs are
 * @ioapic: where the I/O APIC is; its inputs are GSIs from 0
 * @ioapic_id: its ID
 * @power: first port of struct vmx_power's registers
 * @sci: the interrupt of these, an ISA IRQ; level-triggered
 * @reset_port: what to write to for a reset, 0 if there is no such port
 * @reset_value: and what to write
 * @keyboard: there is an 8042
 * @rtc: there is a CMOS clock at port 0x70, IRQ 8
 * @com1: there is a UART at port 0x3f8, IRQ 4
 * @pci: there is a PCI host bridge at port 0xcf8, with bus 0 behind it
 * @intx: the GSIs of PCI interrupts; pin p (INTA is 0) of slot s is
 *	intx[(s + p) % 4]
 * @irqs: the inputs of the 8259As that they lead to as well, level-triggered
 * @pci_base: where PCI devices' memory begins, below 4 GiB
 * @pci_size: its size in bytes
 * @generation: the guest-physical address of the generation ID, 16 bytes that differ in
 *	each copy of a machine; 0 if it has none. %VMX_ACPI_GENERATION is a good place
 */
struct vmx_acpi {
	unsigned int cpus;
	bool x2apic;
	bool mailbox;
	uint32_t local_apic;
	uint32_t ioapic;
	uint8_t ioapic_id;
	uint16_t power;
	uint8_t sci;
	uint16_t reset_port;
	uint8_t reset_value;
	bool keyboard;
	bool rtc;
	bool com1;
	bool pci;
	uint32_t intx[4];
	uint32_t irqs[4];
	uint32_t pci_base;
	uint32_t pci_size;
	uint64_t generation;
};

/* Where vmx_acpi_write() puts its tables, room for a generation ID, what parked CPUs run
 * (see vmx_start_parked()), and the mailbox's page.
 */
#define VMX_ACPI_TABLES		0xe0000
#define VMX_ACPI_GENERATION	0xf7ff0
#define VMX_ACPI_GENERATION_LENGTH 16
#define VMX_ACPI_PARK		0xf8000
#define VMX_ACPI_MAILBOX	0xff000

#define VMX_ACPI_CPUS_MAX	1024

/**
 * vmx_acpi_init() - describe a PC
 * @acpi: filled in: a PC with an I/O APIC, CMOS clock, COM1 and a PCI bus whose
 *	interrupts are GSIs 16 to 19; change what is different before
 *	vmx_acpi_write()
 * @memory: the RAM; PCI memory goes from the end of the part below 4 GiB (from
 *	2 GiB at least) to 0xfec00000
 * @cpus: number of CPUs
 */
void vmx_acpi_init(struct vmx_acpi *acpi, const struct vmx_memory *memory,
		   unsigned int cpus);

/**
 * vmx_acpi_write() - write ACPI tables into guest memory
 * @acpi: what to describe
 * @memory: the RAM; tables go to %VMX_ACPI_TABLES, the map learns of them
 * @rsdp: where the root pointer is: also where systems that are not told search
 *	for it
 *
 * ISA IRQs are the GSIs of the same number, but for IRQ 0, which is GSI 2.
 *
 * Return: 0, -EINVAL (an impossible machine, or less than 1 MiB of RAM),
 * -ENOSPC (the tables or the map have no room); on an error nothing is
 * changed.
 */
int vmx_acpi_write(const struct vmx_acpi *acpi, struct vmx_memory *memory,
		   uint64_t *rsdp);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_FIRMWARE_H */
