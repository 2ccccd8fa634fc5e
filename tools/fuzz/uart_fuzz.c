// SPDX-License-Identifier: GPL-2.0
#include <libvmx/uart.h>

#include "ports.h"

static void happen(void *device, uint8_t what, uint8_t value)
{
	static const char bytes[256];

	switch (what % 4) {
	case 0:
		vmx_uart_receive(device, bytes, value);
		break;
	case 1:
		vmx_uart_break(device);
		break;
	case 2:
		vmx_uart_modem(device, value);
		break;
	default:
		if (!value)
			vmx_uart_reset(device);
	}
}

/* A terminal that answers and never runs dry. */
static void echo(void *host, uint8_t byte)
{
	vmx_uart_receive(host, &byte, 1);
}

static void refill(void *host)
{
	vmx_uart_receive(host, "there is always more", 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = {
		0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0
	};
	struct test_line line = { 0 };
	struct test_machine machine;
	struct vmx_uart uart;

	test_machine_init(&machine);
	vmx_uart_init(&uart, &(struct vmx_uart_config){
		.clock = size & 1 ? &machine.clock : NULL, .irq = test_wire(&line),
		.send = echo, .room = refill, .host = &uart });
	vmx_uart_attach(&uart, &machine.ports, 0x3f8);
	fuzz_ports(&machine, ports, happen, &uart, data, size);
	return 0;
}
