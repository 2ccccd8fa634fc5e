/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: pc
 *
 * Single ports of a PC: system control port A (0x92), the power-on self test's
 * port (0x80), and a port by which test programs end the machine.
 *
 * The reset control register (0xCF9) is &struct vmx_power's.
 */
#ifndef LIBVMX_PC_H
#define LIBVMX_PC_H

#include <libvmx/firmware.h>
#include <libvmx/ports.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where test programs expect the port that ends the machine. */
#define VMX_PC_EXIT_PORT	0xf4
#define VMX_PC_EXIT_LENGTH	4

/**
 * struct vmx_pc_config - what is behind the ports
 * @event: called with %VMX_POWER_RESET when the guest asks for a reset
 * @exit: called when the guest ends the machine with a value of 1, 2 or 4
 *	bytes; by convention, the exit status of a program that runs tests is
 *	@value * 2 + 1
 * @post: called with each code that the guest writes to port 0x80; Linux does
 *	so just to pass time
 * @board: argument for these callbacks, each of which may be NULL
 * @exit_port: the first of %VMX_PC_EXIT_LENGTH ports for @exit; 0 for none
 */
struct vmx_pc_config {
	void (*event)(void *board, enum vmx_power_event event);
	void (*exit)(void *board, uint32_t value);
	void (*post)(void *board, uint8_t code);
	void *board;
	uint16_t exit_port;
};

/**
 * struct vmx_pc - the ports
 * @config: what is behind them
 * @ports: where they are on a bus
 * @control_a: system control port A
 * @post_code: the code written last
 */
struct vmx_pc {
	struct vmx_pc_config config;
	struct vmx_ports ports[2];
	uint8_t control_a;
	uint8_t post_code;
};

/**
 * vmx_pc_init() - make the ports
 * @pc: the ports
 * @config: what is behind them; copied
 */
void vmx_pc_init(struct vmx_pc *pc, const struct vmx_pc_config *config);

/**
 * vmx_pc_reset() - as after power-up
 * @pc: the ports
 */
void vmx_pc_reset(struct vmx_pc *pc);

/**
 * vmx_pc_attach() - put the ports on the bus of ports
 * @pc: the ports
 * @bus: the bus
 *
 * Return: 0 or -errno, as vmx_bus_add().
 */
int vmx_pc_attach(struct vmx_pc *pc, struct vmx_bus *bus);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_PC_H */
