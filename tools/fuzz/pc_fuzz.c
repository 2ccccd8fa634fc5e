// SPDX-License-Identifier: GPL-2.0
#include <libvmx/i8042.h>
#include <libvmx/pc.h>

#include "ports.h"

struct board {
	struct vmx_i8042 i8042;
	struct vmx_pc pc;
};

/* Resets the device from within a callback, which is the worst time. */
static void reset(void *context, enum vmx_power_event event)
{
	struct board *board = context;

	(void)event;
	vmx_i8042_reset(&board->i8042);
	vmx_pc_reset(&board->pc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = { 0x60, 0x64, 0x92, 0x80, 0xf4, 0 };
	struct test_line irqs[2] = { 0 };
	struct test_machine machine;
	struct board board;

	test_machine_init(&machine);
	vmx_i8042_init(&board.i8042, &(struct vmx_i8042_config){
		.keyboard = test_wire(&irqs[0]), .aux = test_wire(&irqs[1]),
		.event = reset, .board = &board });
	vmx_pc_init(&board.pc, &(struct vmx_pc_config){
		.event = reset, .board = &board, .exit_port = VMX_PC_EXIT_PORT });
	vmx_i8042_attach(&board.i8042, &machine.ports);
	vmx_pc_attach(&board.pc, &machine.ports);
	fuzz_ports(&machine, ports, NULL, &board, data, size);
	return 0;
}
