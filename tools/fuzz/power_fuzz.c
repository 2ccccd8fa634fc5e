// SPDX-License-Identifier: GPL-2.0
/* ACPI's fixed registers under accesses that no driver makes. Four bytes of input are an access. */
#include <stdlib.h>

#include <libvmx/firmware.h>

static uint64_t now;

static uint64_t read_now(void *source)
{
	(void)source;
	return now;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmx_clock clock = { .now = read_now };
	struct vmx_power power;
	struct vmx_bus bus = {};
	uint64_t value;

	now = 0;
	vmx_power_init(&power, &clock, (struct vmx_line){}, NULL, NULL);
	vmx_bus_add(&bus, 0, VMX_POWER_LENGTH, &vmx_power_ops, &power, "power");
	vmx_bus_add(&bus, VMX_POWER_RESET_PORT, 1, &vmx_power_reset_ops, &power, "reset");
	for (; size >= 4; data += 4, size -= 4) {
		uint64_t port = data[0] & 0x80 ? VMX_POWER_RESET_PORT : data[0] & 0xf;
		unsigned int width = 1u << (data[1] & 3);

		now += (uint64_t)data[1] << (data[2] & 0x3f);
		if (data[1] & 4)
			vmx_bus_read(&bus, port, width, &value);
		else
			vmx_bus_write(&bus, port, width,
				      data[2] | (uint64_t)data[3] << (data[1] >> 2));
		if (!(power.control & 1) || power.control & 0x2000)
			abort();
	}
	vmx_bus_free(&bus);
	return 0;
}
