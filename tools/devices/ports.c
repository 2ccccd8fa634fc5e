// SPDX-License-Identifier: LGPL-2.1-or-later
/* Ports of 8-bit devices, and exits that access ports. */
#include <libvmx.h>

#include "ports.h"

int vmx_ports_add(struct vmx_bus *bus, const struct vmx_ports *ports, size_t count, void *device)
{
	int ret = 0;

	for (size_t n = 0; n < count; n++) {
		ret = vmx_bus_add(bus, ports[n].base, ports[n].length, ports[n].ops, device,
				  ports[n].name);
		if (!ret)
			continue;
		while (n--)
			vmx_bus_remove(bus, ports[n].base);
		break;
	}
	return ret;
}

uint64_t vmx_ports_read(uint8_t (*read)(void *device, unsigned int port), void *device,
			uint64_t offset, unsigned int size)
{
	uint64_t value = 0;

	for (unsigned int n = 0; n < size; n++)
		value |= (uint64_t)read(device, offset + n) << 8 * n;
	return value;
}

void vmx_ports_write(void (*write)(void *device, unsigned int port, uint8_t value), void *device,
		     uint64_t offset, unsigned int size, uint64_t value)
{
	for (unsigned int n = 0; n < size; n++)
		write(device, offset + n, value >> 8 * n);
}

/* What IN leaves in RAX. SDM, "General-Purpose Registers": 32 bits are zero-extended. */
static uint64_t merge(uint64_t rax, unsigned int size, uint64_t value)
{
	uint64_t changed = (1ull << 8 * size) - 1;

	return size == 4 ? value : (rax & ~changed) | value;
}

bool vmx_port_io(struct vmx_bus *bus, struct vmx_run_page *run)
{
	uint64_t value;

	if (run->reason != VMX_REASON_IO || (run->io_flags & VMX_IO_STRING))
		return false;
	if (run->io_flags & VMX_IO_IN) {
		if (!vmx_bus_read(bus, run->io_port, run->io_size, &value))
			return false;
		run->regs[VMX_RAX] = merge(run->regs[VMX_RAX], run->io_size, value);
	} else if (!vmx_bus_write(bus, run->io_port, run->io_size, run->regs[VMX_RAX])) {
		return false;
	}
	run->retire = 1;
	return true;
}
