/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: ports
 *
 * What the 8-bit devices of a PC have in common: a few ports here and there,
 * one byte each.
 */
#ifndef LIBVMX_PORTS_H
#define LIBVMX_PORTS_H

#include <libvmx/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct vmx_ports - ports of an 8-bit device, one after the other
 * @base: the first
 * @count: number of them
 * @name: for messages
 * @read: an access to the port of that number
 * @write: likewise
 * @device: argument for @read and @write
 *
 * Wider accesses are as many of a byte, to one port after the other, lowest
 * first, as on the ISA bus.
 */
struct vmx_ports {
	uint16_t base;
	uint16_t count;
	const char *name;
	uint8_t (*read)(void *device, uint16_t port);
	void (*write)(void *device, uint16_t port, uint8_t value);
	void *device;
};

/**
 * vmx_ports_add() - put a device's ports on a bus, all or none
 * @bus: the bus
 * @ports: the ports; used as long as they are on the bus
 * @count: number of @ports
 *
 * Return: 0 or -errno, as vmx_bus_add().
 */
int vmx_ports_add(struct vmx_bus *bus, struct vmx_ports *ports, size_t count);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_PORTS_H */
