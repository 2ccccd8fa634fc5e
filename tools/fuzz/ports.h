/* SPDX-License-Identifier: GPL-2.0 */
/* A guest that accesses a device's ports in any way, while time passes. */
#ifndef FUZZ_PORTS_H
#define FUZZ_PORTS_H

#include "../tests/ports.h"

/* What else may happen to the device: called with bytes of the input. */
typedef void fuzz_event(void *device, uint8_t what, uint8_t value);

/*
 * Each four bytes of DATA are something that happens: what, where, and two of a value. PORTS ends
 * with 0.
 */
static inline void fuzz_ports(struct test_machine *machine, const uint16_t *ports,
			      fuzz_event *event, void *device, const uint8_t *data, size_t size)
{
	unsigned int count = 0;
	uint64_t value;

	while (ports[count])
		count++;
	for (; size >= 4; data += 4, size -= 4) {
		uint16_t port = ports[data[1] % count];

		value = data[2] | data[3] << 8;
		switch (data[0] & 7) {
		case 0: case 1: case 2:
			vmx_bus_write(&machine->ports, port, 1, value);
			break;
		case 3:
			vmx_bus_write(&machine->ports, port, data[0] & 8 ? 4 : 2, value * 0x10001);
			break;
		case 4:
			vmx_bus_read(&machine->ports, port, 1 << (data[0] >> 3) % 3, &value);
			break;
		case 5:
			machine->now += value << (data[1] & 31);
			vmx_clock_expire(&machine->clock);
			break;
		default:
			if (event)
				event(device, data[1], data[2]);
		}
	}
	vmx_bus_free(&machine->ports);
}

#endif /* FUZZ_PORTS_H */
