// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Single ports of a PC. "System Control Port A" is in IBM's "Personal System/2 Hardware Interface
 * Technical Reference", port 0x80 in the PC AT's. Gate A20 is a bit without effect.
 */
#include <libvmx/pc.h>

#define PORT_A		0x92
#define PORT_POST	0x80

#define A_RESET		0x01	/* the change from 0 to 1 resets */
#define A_A20		0x02
#define A_BITS		0x03

static uint8_t read_port(void *device, uint16_t port)
{
	const struct vmx_pc *pc = device;

	return port == PORT_A ? pc->control_a : pc->post_code;
}

static void write_a(struct vmx_pc *pc, uint8_t value)
{
	bool resets = value & ~pc->control_a & A_RESET;

	pc->control_a = value & A_BITS;
	if (resets && pc->config.event)
		pc->config.event(pc->config.board, VMX_POWER_RESET);
}

static void write_post(struct vmx_pc *pc, uint8_t value)
{
	pc->post_code = value;
	if (pc->config.post)
		pc->config.post(pc->config.board, value);
}

static void write_port(void *device, uint16_t port, uint8_t value)
{
	if (port == PORT_A)
		write_a(device, value);
	else
		write_post(device, value);
}

static uint64_t read_exit(void *device, uint64_t offset, unsigned int size)
{
	(void)device;
	(void)offset;
	(void)size;
	return 0;
}

static void write_exit(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	const struct vmx_pc *pc = device;

	(void)size;
	if (!offset && pc->config.exit)
		pc->config.exit(pc->config.board, value);
}

static const struct vmx_range_ops exit_ops = { read_exit, write_exit };

int vmx_pc_attach(struct vmx_pc *pc, struct vmx_bus *bus)
{
	int ret;

	pc->ports[0] = (struct vmx_ports){
		PORT_A, 1, "system control port A", read_port, write_port, pc
	};
	pc->ports[1] = (struct vmx_ports){
		PORT_POST, 1, "self-test code", read_port, write_port, pc
	};
	ret = vmx_ports_add(bus, pc->ports, 2);
	if (ret || !pc->config.exit_port)
		return ret;
	ret = vmx_bus_add(bus, pc->config.exit_port, VMX_PC_EXIT_LENGTH, &exit_ops, pc,
			  "exit port");
	if (ret) {
		vmx_bus_remove(bus, PORT_A);
		vmx_bus_remove(bus, PORT_POST);
	}
	return ret;
}

void vmx_pc_reset(struct vmx_pc *pc)
{
	pc->control_a = A_A20;
	pc->post_code = 0;
}

void vmx_pc_init(struct vmx_pc *pc, const struct vmx_pc_config *config)
{
	*pc = (struct vmx_pc){ .config = *config };
	vmx_pc_reset(pc);
}
