// SPDX-License-Identifier: LGPL-2.1-or-later
/* BARs: guests size them and place them. */
#include <errno.h>

#include <linux/pci_regs.h>

#include <libvmx.h>

#include "../lib/internal.h"
#include "internal.h"

/* What differs between the types (PCI Local Bus Specification, Base Addresses). */
static const struct bar_kind {
	uint32_t fixed;		/* the low bits, which cannot be written */
	uint32_t fixed_mask;
	uint64_t smallest;
	uint64_t largest;
	uint64_t last;		/* the last address that can be decoded */
	uint16_t enable;	/* in the Command register */
} kinds[] = {
	[VMX_PCI_BAR_IO] = { PCI_BASE_ADDRESS_SPACE_IO, 3, 4, 256, 0xffff, PCI_COMMAND_IO },
	[VMX_PCI_BAR_MEM32] = { PCI_BASE_ADDRESS_MEM_TYPE_32, 15, 16, 1ull << 31, UINT32_MAX,
				PCI_COMMAND_MEMORY },
	[VMX_PCI_BAR_MEM64] = { PCI_BASE_ADDRESS_MEM_TYPE_64, 15, 16, 1ull << 62, UINT64_MAX,
				PCI_COMMAND_MEMORY },
};

static unsigned int bar_register(unsigned int index)
{
	return PCI_BASE_ADDRESS_0 + 4 * index;
}

/* A BAR that is a range of its own. */
static bool exists(const struct vmx_pci_bar *bar)
{
	return bar->type != VMX_PCI_BAR_NONE && bar->type != VMX_PCI_BAR_UPPER;
}

int vmx_pci_bar(struct vmx_pci_device *device, unsigned int index, enum vmx_pci_bar_type type,
		uint64_t size, const struct vmx_range_ops *ops, void *context)
{
	bool wide = type == VMX_PCI_BAR_MEM64;
	const struct bar_kind *kind;

	if (type == VMX_PCI_BAR_NONE || type >= COUNT(kinds) || index + wide >= VMX_PCI_BARS ||
	    index >= VMX_PCI_BARS)
		return vmx_fail(EINVAL, "%s: there is no BAR %u of type %u", device->name, index,
				type);
	kind = &kinds[type];
	if (size & (size - 1) || size < kind->smallest || size > kind->largest)
		return vmx_fail(EINVAL, "%s: BAR %u cannot have %#llx bytes", device->name, index,
				(unsigned long long)size);
	if (device->bars[index].type || (wide && device->bars[index + 1].type))
		return vmx_fail(EINVAL, "%s: BAR %u is in use", device->name, index);

	device->bars[index] = (struct vmx_pci_bar){
		.type = type, .size = size, .ops = ops, .device = context,
	};
	config_set(device, bar_register(index), 4, kind->fixed);
	config_let_write(device, bar_register(index), 4, -size & ~kind->fixed_mask);
	if (wide) {
		device->bars[index + 1].type = VMX_PCI_BAR_UPPER;
		config_let_write(device, bar_register(index + 1), 4, -size >> 32);
	}
	return 0;
}

uint64_t pci_bar_address(const struct vmx_pci_device *device, unsigned int index)
{
	const struct vmx_pci_bar *bar = &device->bars[index];
	uint64_t address = config_get(device, bar_register(index), 4);

	address &= ~(uint64_t)kinds[bar->type].fixed_mask;
	if (bar->type == VMX_PCI_BAR_MEM64)
		address |= (uint64_t)config_get(device, bar_register(index + 1), 4) << 32;
	return address;
}

void pci_bar_set_address(struct vmx_pci_device *device, unsigned int index, uint64_t address)
{
	uint32_t fixed = kinds[device->bars[index].type].fixed;

	config_set(device, bar_register(index), 4, address | fixed);
	if (device->bars[index].type == VMX_PCI_BAR_MEM64)
		config_set(device, bar_register(index + 1), 4, address >> 32);
}

static struct vmx_bus *bus_of(const struct vmx_pci_device *device, const struct vmx_pci_bar *bar)
{
	const struct vmx_pci_wiring *wiring = &device->host->wiring;

	return bar->type == VMX_PCI_BAR_IO ? wiring->ports : wiring->memory;
}

/* A BAR with address 0 has not been placed yet: nothing is to appear among the first ports. */
static bool is_wanted(const struct vmx_pci_device *device, unsigned int index)
{
	const struct vmx_pci_bar *bar = &device->bars[index];
	uint64_t address = pci_bar_address(device, index);
	const struct bar_kind *kind = &kinds[bar->type];

	return config_get(device, PCI_COMMAND, 2) & kind->enable && address &&
	       bar->size - 1 <= kind->last && address <= kind->last - (bar->size - 1);
}

static void take_off(struct vmx_pci_device *device, unsigned int index)
{
	struct vmx_pci_bar *bar = &device->bars[index];

	if (!exists(bar) || !bar->decoded)
		return;
	if (is_wanted(device, index) && pci_bar_address(device, index) == bar->base)
		return;
	vmx_bus_remove(bus_of(device, bar), bar->base);
	bar->decoded = false;
}

static void put_on(struct vmx_pci_device *device, unsigned int index)
{
	struct vmx_pci_bar *bar = &device->bars[index];
	uint64_t address;

	if (!exists(bar) || bar->decoded || !is_wanted(device, index))
		return;
	address = pci_bar_address(device, index);
	if (!vmx_bus_add(bus_of(device, bar), address, bar->size, bar->ops, bar->device,
			 device->name)) {
		bar->decoded = true;
		bar->base = address;
	} else if (!bar->reported) {
		/* Once: a guest could fill the owner's log. */
		bar->reported = true;
		vmx_pci_report(device, "BAR %u is not decoded: %s", index, vmx_error());
	}
}

static void each_bar(struct vmx_pci_host *host,
		     void (*what)(struct vmx_pci_device *device, unsigned int index))
{
	for (unsigned int slot = 0; slot < VMX_PCI_SLOTS; slot++) {
		for (unsigned int n = 0; host->devices[slot] && n < VMX_PCI_BARS; n++)
			what(host->devices[slot], n);
	}
}

/* One that moves away may let another in that overlapped it, so all are looked at. */
void pci_place_bars(struct vmx_pci_host *host)
{
	each_bar(host, take_off);
	each_bar(host, put_on);
}

/* The place for a BAR in a window that is used up to *AT. */
static int assign(struct vmx_pci_device *device, unsigned int index, uint64_t *at, uint64_t end)
{
	uint64_t size = device->bars[index].size;
	uint64_t base = (*at + size - 1) & -size;

	if (base < *at || base > end || end - base < size)
		return vmx_fail(ENOSPC, "%s: BAR %u of %#llx bytes does not fit below %#llx: "
				"give the PCI bus a larger window", device->name, index,
				(unsigned long long)size, (unsigned long long)end);
	pci_bar_set_address(device, index, base);
	*at = base + size;
	return 0;
}

/* Places the BARs of one size. */
static int assign_size(struct vmx_pci_host *host, uint64_t size, struct vmx_pci_windows *free)
{
	for (unsigned int slot = 0; slot < VMX_PCI_SLOTS; slot++) {
		struct vmx_pci_device *device = host->devices[slot];

		for (unsigned int n = 0; device && n < VMX_PCI_BARS; n++) {
			bool io = device->bars[n].type == VMX_PCI_BAR_IO;
			int ret;

			if (!exists(&device->bars[n]) || device->bars[n].size != size)
				continue;
			ret = assign(device, n, io ? &free->io : &free->memory,
				     io ? free->io_end : free->memory_end);
			if (ret)
				return ret;
		}
	}
	return 0;
}

int vmx_pci_assign(struct vmx_pci_host *host, const struct vmx_pci_windows *windows)
{
	struct vmx_pci_windows free = *windows;

	/* 0 is no address. */
	free.io += !free.io;
	free.memory += !free.memory;
	/* Place the largest first, so that alignment wastes no room. */
	for (uint64_t size = 1ull << 62; size; size >>= 1) {
		int ret = assign_size(host, size, &free);

		if (ret)
			return ret;
	}
	for (unsigned int slot = 0; slot < VMX_PCI_SLOTS; slot++) {
		struct vmx_pci_device *device = host->devices[slot];

		if (device && device->config[PCI_INTERRUPT_PIN])
			device->config[PCI_INTERRUPT_LINE] =
				host->wiring.lines[pci_line(device)].pin;
	}
	pci_place_bars(host);
	return 0;
}
