// SPDX-License-Identifier: GPL-2.0
#include <libvmx/pit.h>

#include "ports.h"

static void happen(void *device, uint8_t what, uint8_t value)
{
	if (what < 0xf0)
		vmx_pit_speaker(device);
	else if (!value)
		vmx_pit_reset(device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = { 0x40, 0x41, 0x42, 0x43, 0x61, 0 };
	struct test_line irq = { 0 };
	struct test_machine machine;
	struct vmx_pit pit;

	test_machine_init(&machine);
	vmx_pit_init(&pit, &machine.clock, test_wire(&irq));
	vmx_pit_attach(&pit, &machine.ports);
	fuzz_ports(&machine, ports, happen, &pit, data, size);
	return 0;
}
