/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the 8-bit devices of a PC have in common. */
#ifndef DEVICES_PORTS_H
#define DEVICES_PORTS_H

#include <libvmx/device.h>

/* Ports that a device has on the bus. */
struct vmx_ports {
	uint16_t base;
	uint16_t length;
	const struct vmx_range_ops *ops;
	const char *name;
};

/* Puts all on the bus or none. */
int vmx_ports_add(struct vmx_bus *bus, const struct vmx_ports *ports, size_t count, void *device);

/*
 * An access of several bytes to a device of one: the ISA bus makes it as many accesses, to one port
 * after the other, lowest first.
 */
uint64_t vmx_ports_read(uint8_t (*read)(void *device, unsigned int port), void *device,
			uint64_t offset, unsigned int size);
void vmx_ports_write(void (*write)(void *device, unsigned int port, uint8_t value), void *device,
		     uint64_t offset, unsigned int size, uint64_t value);

#endif /* DEVICES_PORTS_H */
