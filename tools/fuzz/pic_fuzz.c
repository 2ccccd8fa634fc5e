// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>

#include <libvmx/pic.h>

#include "ports.h"

static void happen(void *device, uint8_t what, uint8_t value)
{
	struct vmx_pic *pic = device;

	if (what & 0x80)
		vmx_pic_ack(pic);
	else
		vmx_pic_set(pic, what & 0x1f, value & 1);
	if (what == 0x7f)
		vmx_pic_reset(pic);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0 };
	struct test_machine machine;
	struct test_line intr = { 0 };
	struct vmx_pic pic;

	test_machine_init(&machine);
	vmx_pic_init(&pic, test_wire(&intr));
	vmx_pic_attach(&pic, &machine.ports);
	fuzz_ports(&machine, ports, happen, &pic, data, size);
	if (intr.level != vmx_pic_pending(&pic))
		abort();
	return 0;
}
