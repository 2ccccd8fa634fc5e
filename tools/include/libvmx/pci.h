/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: PCI
 *
 * A host bridge with one bus of up to 32 devices of one function, reached by
 * configuration mechanism #1 (ports 0xCF8 and 0xCFC). A device is a header of
 * 256 bytes, BARs that appear on a machine's buses when the guest lets them be
 * decoded, capabilities, and interrupts: MSI-X messages, or a pin.
 *
 * Terms and rules are those of the PCI Local Bus Specification 3.0.
 */
#ifndef LIBVMX_PCI_H
#define LIBVMX_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libvmx/device.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMX_PCI_SLOTS		32
#define VMX_PCI_BARS		6
#define VMX_PCI_LINES		4
#define VMX_PCI_VECTORS		64	/* MSI-X vectors that a device can have */
#define VMX_PCI_CONFIG_SIZE	256
#define VMX_PCI_ANY		(-1)

struct vmx_pci_host;
struct vmx_pci_device;

/**
 * enum vmx_pci_bar_type - what a BAR asks for
 * @VMX_PCI_BAR_NONE: nothing
 * @VMX_PCI_BAR_IO: ports
 * @VMX_PCI_BAR_MEM32: memory below 4 GiB
 * @VMX_PCI_BAR_MEM64: memory anywhere; takes two BARs
 * @VMX_PCI_BAR_UPPER: the second BAR of %VMX_PCI_BAR_MEM64
 */
enum vmx_pci_bar_type {
	VMX_PCI_BAR_NONE, VMX_PCI_BAR_IO, VMX_PCI_BAR_MEM32, VMX_PCI_BAR_MEM64,
	VMX_PCI_BAR_UPPER,
};

/**
 * struct vmx_pci_bar - a range that the guest places
 * @type: enum vmx_pci_bar_type
 * @decoded: it is on its bus
 * @reported: its first overlap was reported
 * @base: where it is, while @decoded
 * @size: bytes, a power of 2
 * @ops: how it answers
 * @device: what @ops are called with
 */
struct vmx_pci_bar {
	uint8_t type;
	bool decoded;
	bool reported;
	uint64_t base;
	uint64_t size;
	const struct vmx_range_ops *ops;
	void *device;
};

/**
 * struct vmx_pci_vector - an entry of the MSI-X table
 * @address: Message Address
 * @data: Message Data
 * @control: Vector Control: bit 0 masks
 */
struct vmx_pci_vector {
	uint64_t address;
	uint32_t data;
	uint32_t control;
};

/**
 * struct vmx_pci_msix - a device's MSI-X capability
 * @count: vectors, 0 without the capability
 * @capability: its offset in configuration space
 * @pending: the Pending Bit Array
 * @vectors: the table
 */
struct vmx_pci_msix {
	unsigned int count;
	unsigned int capability;
	uint64_t pending;
	struct vmx_pci_vector vectors[VMX_PCI_VECTORS];
};

/**
 * struct vmx_pci_id - what a device is
 * @vendor: Vendor ID
 * @device: Device ID
 * @subsystem_vendor: Subsystem Vendor ID
 * @subsystem: Subsystem ID
 * @class_code: Class Code: base class, sub-class, programming interface
 * @revision: Revision ID
 * @pin: Interrupt Pin: 1 for INTA# to 4 for INTD#, 0 for none
 */
struct vmx_pci_id {
	uint16_t vendor;
	uint16_t device;
	uint16_t subsystem_vendor;
	uint16_t subsystem;
	uint32_t class_code;
	uint8_t revision;
	uint8_t pin;
};

/**
 * struct vmx_pci_ops - what a device does beyond its header
 * @config_read: configuration space is about to be read; may change it
 * @config_written: configuration space was written
 * @reset: the machine was reset
 *
 * Each may be NULL, and so may the table.
 */
struct vmx_pci_ops {
	void (*config_read)(struct vmx_pci_device *device, unsigned int offset,
			    unsigned int size);
	void (*config_written)(struct vmx_pci_device *device,
			       unsigned int offset, unsigned int size);
	void (*reset)(struct vmx_pci_device *device);
};

/**
 * struct vmx_pci_device - a device of one function
 * @host: its bridge, NULL before vmx_pci_add()
 * @name: for messages
 * @ops: what it does beyond its header
 * @slot: its number on the bus
 * @pin_high: it asks for an interrupt by its pin
 * @pin_driven: and so its line is driven
 * @config_end: where the next capability goes
 * @config: configuration space
 * @writable: the bits of @config that the guest may write; 0 after a reset
 * @bars: its BARs
 * @msix: its MSI-X capability
 */
struct vmx_pci_device {
	struct vmx_pci_host *host;
	const char *name;
	const struct vmx_pci_ops *ops;
	unsigned int slot;
	bool pin_high;
	bool pin_driven;
	unsigned int config_end;
	uint8_t config[VMX_PCI_CONFIG_SIZE];
	uint8_t writable[VMX_PCI_CONFIG_SIZE];
	struct vmx_pci_bar bars[VMX_PCI_BARS];
	struct vmx_pci_msix msix;
};

/**
 * struct vmx_pci_wiring - what a host bridge is connected to
 * @ports: the bus of I/O BARs and of the bridge's own ports
 * @memory: the bus of memory BARs
 * @lines: where the pins lead: pin INTA# of slot 0 to the first, the next pin
 *	or the next slot to the next, around; high while asserted (the polarity
 *	at the controller is the wire's business)
 * @message: an MSI-X message, a write to memory of @data at @address
 * @report: something that the machine's owner wants to know, once an occasion
 * @context: what these are called with
 * @reset_control: who answers bytes at port 0xCF9, as a range of its own: it
 *	lies within CONFIG_ADDRESS, but is the reset control register's
 * @reset_device: what @reset_control is called with
 *
 * The callbacks and @reset_control may be NULL.
 */
struct vmx_pci_wiring {
	struct vmx_bus *ports;
	struct vmx_bus *memory;
	struct vmx_line lines[VMX_PCI_LINES];
	void (*message)(void *context, uint64_t address, uint32_t data);
	void (*report)(void *context, const char *sentence);
	void *context;
	const struct vmx_range_ops *reset_control;
	void *reset_device;
};

/**
 * struct vmx_pci_host - the host bridge
 * @wiring: what it is connected to
 * @address: CONFIG_ADDRESS
 * @asserted: devices that drive each line
 * @devices: by slot
 * @bridge: the bridge as a device, in slot 0
 */
struct vmx_pci_host {
	struct vmx_pci_wiring wiring;
	uint32_t address;
	unsigned int asserted[VMX_PCI_LINES];
	struct vmx_pci_device *devices[VMX_PCI_SLOTS];
	struct vmx_pci_device bridge;
};

/**
 * vmx_pci_host_init() - put a host bridge into a machine
 * @host: filled in
 * @wiring: what it is connected to; copied
 *
 * Return: 0, or -errno if its ports are taken.
 */
int vmx_pci_host_init(struct vmx_pci_host *host,
		      const struct vmx_pci_wiring *wiring);

/**
 * vmx_pci_host_reset() - what the machine's reset does to the bus
 * @host: the bridge; its devices are reset too
 */
void vmx_pci_host_reset(struct vmx_pci_host *host);

/**
 * struct vmx_pci_windows - where firmware would place BARs
 * @io: first port
 * @io_end: beyond the last, at most 0x10000
 * @memory: first address
 * @memory_end: beyond the last, at most 4 GiB
 */
struct vmx_pci_windows {
	uint64_t io;
	uint64_t io_end;
	uint64_t memory;
	uint64_t memory_end;
};

/**
 * vmx_pci_assign() - do what firmware does: place the BARs
 * @host: the bridge
 * @windows: where; each BAR is aligned to its size
 *
 * The Interrupt Line registers get the pins of the wiring's lines. Decoding
 * stays off; the guest's drivers turn it on. To be called after a reset.
 *
 * Return: 0, or -ENOSPC if a window is too small.
 */
int vmx_pci_assign(struct vmx_pci_host *host,
		   const struct vmx_pci_windows *windows);

/**
 * vmx_pci_device_init() - make a device
 * @device: filled in
 * @name: for messages; stays the caller's
 * @id: what it is
 * @ops: what it does beyond its header; stays the caller's
 */
void vmx_pci_device_init(struct vmx_pci_device *device, const char *name,
			 const struct vmx_pci_id *id,
			 const struct vmx_pci_ops *ops);

/**
 * vmx_pci_bar() - give a device a BAR, before it is on a bus
 * @device: the device
 * @index: which
 * @type: ports or memory
 * @size: bytes, a power of 2: ports 4 to 256, memory from 16
 * @ops: how it answers; stays the caller's
 * @context: what @ops are called with
 *
 * Return: 0, or -EINVAL.
 */
int vmx_pci_bar(struct vmx_pci_device *device, unsigned int index,
		enum vmx_pci_bar_type type, uint64_t size,
		const struct vmx_range_ops *ops, void *context);

/**
 * vmx_pci_capability() - append a capability
 * @device: the device
 * @id: Capability ID
 * @length: bytes, with ID and next pointer; the rest is left to the caller
 *
 * Return: its offset in configuration space, or -ENOSPC.
 */
int vmx_pci_capability(struct vmx_pci_device *device, uint8_t id,
		       unsigned int length);

/**
 * vmx_pci_msix_init() - give a device MSI-X, before it is on a bus
 * @device: the device
 * @bar: a free BAR, for the table and the Pending Bit Array
 * @count: vectors, 1 to %VMX_PCI_VECTORS
 *
 * Return: 0 or -errno.
 */
int vmx_pci_msix_init(struct vmx_pci_device *device, unsigned int bar,
		      unsigned int count);

/**
 * vmx_pci_msix_enabled() - did the guest choose MSI-X?
 * @device: the device
 *
 * Return: whether.
 */
bool vmx_pci_msix_enabled(const struct vmx_pci_device *device);

/**
 * vmx_pci_msix_raise() - send a vector's message, or keep it while masked
 * @device: the device
 * @vector: which; one that does not exist, or MSI-X off, is nothing
 */
void vmx_pci_msix_raise(struct vmx_pci_device *device, unsigned int vector);

/**
 * vmx_pci_pin_set() - drive a device's interrupt pin
 * @device: the device
 * @high: whether it asks for an interrupt
 *
 * The line follows unless the guest disabled the pin or chose MSI-X.
 */
void vmx_pci_pin_set(struct vmx_pci_device *device, bool high);

/**
 * vmx_pci_bus_master() - may a device access memory?
 * @device: the device
 *
 * Return: whether the guest lets it, by the Command register.
 */
bool vmx_pci_bus_master(const struct vmx_pci_device *device);

/**
 * vmx_pci_report() - tell the machine's owner something
 * @device: about this device
 * @format: a sentence, without the device's name
 */
void vmx_pci_report(const struct vmx_pci_device *device, const char *format,
		    ...) __attribute__((format(printf, 2, 3)));

/**
 * vmx_pci_add() - plug a device in
 * @host: the bridge
 * @device: the device
 * @slot: 1 to 31, or %VMX_PCI_ANY for the first that is free
 *
 * Return: the slot, -EEXIST (it is taken), -ENOSPC (all are), -EINVAL.
 */
int vmx_pci_add(struct vmx_pci_host *host, struct vmx_pci_device *device,
		int slot);

/**
 * vmx_pci_remove() - unplug a device
 * @device: the device; need not be plugged in
 */
void vmx_pci_remove(struct vmx_pci_device *device);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_PCI_H */
