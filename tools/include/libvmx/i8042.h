/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: i8042
 *
 * The keyboard controller of a PC without keyboard and mouse: enough for a guest
 * to find it, to find no device behind it, and to reset the machine with it.
 */
#ifndef LIBVMX_I8042_H
#define LIBVMX_I8042_H

#include <libvmx/firmware.h>
#include <libvmx/ports.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct vmx_i8042_config - what a keyboard controller is connected to
 * @keyboard: IRQ 1
 * @aux: IRQ 12, the mouse's
 * @event: called with %VMX_POWER_RESET when the guest pulls the reset line;
 *	may be NULL
 * @board: argument for @event
 */
struct vmx_i8042_config {
	struct vmx_line keyboard;
	struct vmx_line aux;
	void (*event)(void *board, enum vmx_power_event event);
	void *board;
};

/**
 * struct vmx_i8042 - a keyboard controller
 * @config: its connections
 * @ports: where it is on a bus
 * @status: status register
 * @data: output buffer
 * @command_byte: what enables interrupts and interfaces
 * @output: output port
 * @command: the command that waits for its data, 0 for none
 */
struct vmx_i8042 {
	struct vmx_i8042_config config;
	struct vmx_ports ports[2];
	uint8_t status;
	uint8_t data;
	uint8_t command_byte;
	uint8_t output;
	uint8_t command;
};

/**
 * vmx_i8042_init() - make a keyboard controller
 * @i8042: the controller, as after its self test, both interfaces disabled
 * @config: its connections; copied
 */
void vmx_i8042_init(struct vmx_i8042 *i8042,
		    const struct vmx_i8042_config *config);

/**
 * vmx_i8042_reset() - its reset input
 * @i8042: the controller
 */
void vmx_i8042_reset(struct vmx_i8042 *i8042);

/**
 * vmx_i8042_attach() - put the controller on the bus of ports: 0x60, 0x64
 * @i8042: the controller
 * @bus: the bus
 *
 * Return: 0 or -errno, as vmx_bus_add().
 */
int vmx_i8042_attach(struct vmx_i8042 *i8042, struct vmx_bus *bus);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_I8042_H */
