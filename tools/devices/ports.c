// SPDX-License-Identifier: LGPL-2.1-or-later
/* Ports of 8-bit devices, and exits that access ports. */
#include <libvmx.h>
#include <libvmx/ports.h>

static uint64_t read_bytes(void *device, uint64_t offset, unsigned int size)
{
	const struct vmx_ports *ports = device;
	uint64_t value = 0;

	for (unsigned int n = 0; n < size; n++) {
		uint8_t byte = ports->read(ports->device, ports->base + offset + n);

		value |= (uint64_t)byte << 8 * n;
	}
	return value;
}

static void write_bytes(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	const struct vmx_ports *ports = device;

	for (unsigned int n = 0; n < size; n++)
		ports->write(ports->device, ports->base + offset + n, value >> 8 * n);
}

static const struct vmx_range_ops byte_ops = { read_bytes, write_bytes };

int vmx_ports_add(struct vmx_bus *bus, struct vmx_ports *ports, size_t count)
{
	for (size_t n = 0; n < count; n++) {
		int ret = vmx_bus_add(bus, ports[n].base, ports[n].count, &byte_ops, &ports[n],
				      ports[n].name);

		if (!ret)
			continue;
		while (n--)
			vmx_bus_remove(bus, ports[n].base);
		return ret;
	}
	return 0;
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
