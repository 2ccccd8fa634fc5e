/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: PCI
 *
 * A host bridge with one bus of up to 32 devices. Each device has one function.
 * The guest reaches their configuration space through mechanism #1 (ports 0xCF8
 * and 0xCFC). A device has 256 bytes of configuration space, BARs, capabilities,
 * and interrupts: MSI-X messages or a pin. A BAR appears on the machine's buses
 * when the guest enables decoding.
 *
 * Terms and rules come from the PCI Local Bus Specification 3.0.
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
struct vmx_saved_part;

/**
 * enum vmx_pci_bar_type - the kind of range that a BAR asks for
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
 * @decoded: the range is on its bus
 * @reported: an overlap with another range was reported
 * @base: address or port, valid while @decoded
 * @size: bytes, a power of 2
 * @ops: handlers of accesses
 * @device: argument for @ops
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
 * @control: Vector Control; bit 0 masks the vector
 */
struct vmx_pci_vector {
	uint64_t address;
	uint32_t data;
	uint32_t control;
};

/**
 * struct vmx_pci_msix - a device's MSI-X capability
 * @count: number of vectors; 0 if the device lacks the capability
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
 * struct vmx_pci_id - identity of a device
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
 * struct vmx_pci_ops - callbacks of a device
 * @config_read: called before the guest reads configuration space; may change it
 * @config_written: called after the guest wrote configuration space
 * @reset: called when the machine is reset
 * @state: fills in up to %VMX_SAVED_PARTS parts, which describe the rest of the device's
 *	state, and returns their number. Without it, the machine cannot be saved.
 * @resume: called when a pause of the machine ends, as after its state was restored: work may
 *	wait that the device was not told of
 *
 * Any of them may be NULL. A device without callbacks needs no table.
 */
struct vmx_pci_ops {
	void (*config_read)(struct vmx_pci_device *device, unsigned int offset,
			    unsigned int size);
	void (*config_written)(struct vmx_pci_device *device,
			       unsigned int offset, unsigned int size);
	void (*reset)(struct vmx_pci_device *device);
	unsigned int (*state)(struct vmx_pci_device *device,
			      struct vmx_saved_part *parts);
	void (*resume)(struct vmx_pci_device *device);
};

/**
 * struct vmx_pci_device - a device of one function
 * @host: its bridge, NULL before vmx_pci_add()
 * @name: name for messages
 * @ops: callbacks
 * @slot: number on the bus
 * @pin_high: the device asserts its pin
 * @pin_driven: the pin asserts the wiring's line
 * @config_end: offset for the next capability
 * @config: configuration space
 * @writable: mask of the bits of @config that the guest may write; a reset clears
 *	these bits
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
 * struct vmx_pci_wiring - connections of a host bridge
 * @ports: bus for I/O BARs and the bridge's own ports
 * @memory: bus for memory BARs
 * @lines: interrupt lines. Pin INTA# of slot 0 leads to the first; each next pin,
 *	and each next slot, leads to the next line, modulo their number. A line is
 *	high while asserted; the interrupt controller has its own idea of polarity.
 * @message: delivers an MSI-X message: a write of @data to memory at @address
 * @report: sends the machine's owner a message, once for each cause
 * @context: argument for @message and @report
 * @reset_control: handlers for byte accesses to port 0xCF9, the reset control
 *	register, which lies within CONFIG_ADDRESS
 * @reset_device: argument for @reset_control
 *
 * @message, @report and @reset_control may be NULL.
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
 * @wiring: its connections
 * @address: CONFIG_ADDRESS
 * @asserted: number of devices that assert each line
 * @devices: the devices, by slot
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
 * @wiring: its connections; copied
 *
 * Return: 0, or -errno if its ports are taken.
 */
int vmx_pci_host_init(struct vmx_pci_host *host,
		      const struct vmx_pci_wiring *wiring);

/**
 * vmx_pci_host_reset() - reset the bridge and its devices
 * @host: the bridge
 */
void vmx_pci_host_reset(struct vmx_pci_host *host);

/**
 * struct vmx_pci_windows - room for BARs
 * @io: first port
 * @io_end: end of the ports, at most 0x10000
 * @memory: first address
 * @memory_end: end of the memory, at most 4 GiB
 */
struct vmx_pci_windows {
	uint64_t io;
	uint64_t io_end;
	uint64_t memory;
	uint64_t memory_end;
};

/**
 * vmx_pci_assign() - place the BARs, as firmware does
 * @host: the bridge
 * @windows: room for them; each BAR is aligned to its size
 *
 * Each Interrupt Line register gets the pin number of its line in the wiring.
 * Decoding stays off until the guest's drivers turn it on. Call this after each
 * reset.
 *
 * Return: 0, or -ENOSPC if a window is too small.
 */
int vmx_pci_assign(struct vmx_pci_host *host,
		   const struct vmx_pci_windows *windows);

/**
 * vmx_pci_device_init() - make a device
 * @device: filled in
 * @name: name for messages; not copied
 * @id: its identity
 * @ops: its callbacks, or NULL; not copied
 */
void vmx_pci_device_init(struct vmx_pci_device *device, const char *name,
			 const struct vmx_pci_id *id,
			 const struct vmx_pci_ops *ops);

/**
 * vmx_pci_bar() - give a device a BAR
 * @device: the device, not plugged in yet
 * @index: number of the BAR
 * @type: ports or memory
 * @size: bytes, a power of 2: 4 to 256 for ports, at least 16 for memory
 * @ops: handlers of accesses; not copied
 * @context: argument for @ops
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
 * @length: bytes, including ID and next pointer; the caller fills in the rest
 *
 * Return: its offset in configuration space, or -ENOSPC.
 */
int vmx_pci_capability(struct vmx_pci_device *device, uint8_t id,
		       unsigned int length);

/**
 * vmx_pci_msix_init() - give a device MSI-X
 * @device: the device, not plugged in yet
 * @bar: a free BAR, for the table and the Pending Bit Array
 * @count: number of vectors, 1 to %VMX_PCI_VECTORS
 *
 * Return: 0 or -errno.
 */
int vmx_pci_msix_init(struct vmx_pci_device *device, unsigned int bar,
		      unsigned int count);

/**
 * vmx_pci_msix_enabled() - has the guest enabled MSI-X?
 * @device: the device
 *
 * Return: true if it has.
 */
bool vmx_pci_msix_enabled(const struct vmx_pci_device *device);

/**
 * vmx_pci_msix_raise() - send the message of a vector
 * @device: the device
 * @vector: the vector
 *
 * The message of a masked vector stays pending. The function does nothing if MSI-X
 * is off or the vector does not exist.
 */
void vmx_pci_msix_raise(struct vmx_pci_device *device, unsigned int vector);

/**
 * vmx_pci_pin_set() - drive a device's interrupt pin
 * @device: the device
 * @high: true to assert it
 *
 * The line follows the pin unless the guest has disabled the pin or enabled MSI-X.
 */
void vmx_pci_pin_set(struct vmx_pci_device *device, bool high);

/**
 * vmx_pci_bus_master() - may a device access memory?
 * @device: the device
 *
 * Return: true if the guest has set Bus Master Enable in the Command register.
 */
bool vmx_pci_bus_master(const struct vmx_pci_device *device);

/**
 * vmx_pci_report() - send the machine's owner a message about a device
 * @device: the device
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
 * @device: the device; nothing happens if it is not plugged in
 */
void vmx_pci_remove(struct vmx_pci_device *device);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_PCI_H */
