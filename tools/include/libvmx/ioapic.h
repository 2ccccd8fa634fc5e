/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: I/O APIC
 *
 * The 82093AA, in the version of later chipsets that has an EOI register: 24
 * pins, each with a redirection entry that determines the message of its
 * interrupt. The machine decides what is wired to which pin.
 */
#ifndef LIBVMX_IOAPIC_H
#define LIBVMX_IOAPIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libvmx/device.h>
#include <libvmx/lapic.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMX_IOAPIC_PINS		24

/* Where the first one of a PC is, and how many bytes it is. */
#define VMX_IOAPIC_BASE		0xfec00000
#define VMX_IOAPIC_LENGTH	0x1000

/**
 * struct vmx_ioapic - an I/O APIC
 * @apics: where its messages go
 * @listener: hears of ends of interrupts
 * @select: I/O register select: the register behind the window
 * @id: identification register
 * @pins: levels of the pins, a bit each: 1 is high
 * @active_low: pins that are low when their lines are driven true
 * @entries: redirection table
 *
 * All of it may be read; it is changed by the functions below.
 */
struct vmx_ioapic {
	struct vmx_apic_bus *apics;
	struct vmx_apic_listener listener;
	uint32_t select;
	uint32_t id;
	uint32_t pins;
	uint32_t active_low;
	uint64_t entries[VMX_IOAPIC_PINS];
};

/**
 * vmx_ioapic_init() - make an I/O APIC, as after power-up
 * @ioapic: filled in; stays in place as long as @apics is used
 * @apics: where its messages go
 * @active_low: a bit for each pin whose line stands for a wire that is low when
 *	a device asserts it, as PCI's INTx# are. A device drives its line true
 *	to assert it, and the guest finds the polarity that it expects.
 */
void vmx_ioapic_init(struct vmx_ioapic *ioapic, struct vmx_apic_bus *apics,
		     uint32_t active_low);

/**
 * vmx_ioapic_reset() - as after power-up; the levels of the pins remain
 * @ioapic: the I/O APIC
 */
void vmx_ioapic_reset(struct vmx_ioapic *ioapic);

/**
 * vmx_ioapic_attach() - put an I/O APIC on the bus of memory
 * @ioapic: the I/O APIC
 * @bus: the bus
 * @base: where: %VMX_IOAPIC_BASE for the first
 *
 * Return: 0 or -errno, as vmx_bus_add().
 */
int vmx_ioapic_attach(struct vmx_ioapic *ioapic, struct vmx_bus *bus,
		      uint64_t base);

/**
 * vmx_ioapic_set() - drive a pin, as struct vmx_line.set
 * @ioapic: a struct vmx_ioapic
 * @pin: 0 to 23; there are no others
 * @level: whether the line is true
 */
void vmx_ioapic_set(void *ioapic, unsigned int pin, bool level);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_IOAPIC_H */
