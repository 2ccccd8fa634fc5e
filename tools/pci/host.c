// SPDX-License-Identifier: LGPL-2.1-or-later
/* The host bridge: configuration mechanism #1, and the devices on the bus. */
#include <errno.h>

#include <linux/pci_regs.h>

#include "../lib/internal.h"
#include "internal.h"

#define CONFIG_ADDRESS		0xcf8
#define CONFIG_DATA		0xcfc
#define CONFIG_ENABLE		0x80000000u
#define CONFIG_ADDRESS_BITS	0x80fffffcu
#define RESET_CONTROL		1	/* as an offset: port 0xcf9 */

static struct vmx_pci_device *addressed(struct vmx_pci_host *host)
{
	/* One bus, and devices of one function. */
	if (!(host->address & CONFIG_ENABLE) || host->address & 0x00ff0700)
		return NULL;
	return host->devices[host->address >> 11 & 0x1f];
}

static uint64_t data_read(void *context, uint64_t offset, unsigned int size)
{
	struct vmx_pci_host *host = context;
	struct vmx_pci_device *device = addressed(host);

	if (!device || size > 4 || offset > 4 - size)
		return UINT64_MAX;
	return pci_config_read(device, (host->address & 0xfc) + offset, size);
}

static void data_write(void *context, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vmx_pci_host *host = context;
	struct vmx_pci_device *device = addressed(host);

	if (device && size <= 4 && offset <= 4 - size)
		pci_config_write(device, (host->address & 0xfc) + offset, size, value);
}

static const struct vmx_range_ops data_ops = { data_read, data_write };

/*
 * "Any other types of accesses to this address (non-DWORD) have no effect on CONFIG_ADDRESS"
 * (Configuration Mechanism #1). One of these is the Reset Control Register of Intel's chipsets.
 */
static uint64_t address_read(void *context, uint64_t offset, unsigned int size)
{
	const struct vmx_pci_host *host = context;
	const struct vmx_pci_wiring *wiring = &host->wiring;

	if (size == 4 && !offset)
		return host->address;
	if (size == 1 && offset == RESET_CONTROL && wiring->reset_control)
		return wiring->reset_control->read(wiring->reset_device, 0, size);
	return UINT64_MAX;
}

static void address_write(void *context, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vmx_pci_host *host = context;
	const struct vmx_pci_wiring *wiring = &host->wiring;

	if (size == 4 && !offset)
		host->address = value & CONFIG_ADDRESS_BITS;
	else if (size == 1 && offset == RESET_CONTROL && wiring->reset_control)
		wiring->reset_control->write(wiring->reset_device, 0, size, value);
}

static const struct vmx_range_ops address_ops = { address_read, address_write };

int vmx_pci_host_init(struct vmx_pci_host *host, const struct vmx_pci_wiring *wiring)
{
	/* The bridge has no registers of its own, so no driver looks for it. */
	static const struct vmx_pci_id id = {
		.vendor = 0x1b36, .device = 0x0008, .class_code = 0x060000,
		.subsystem_vendor = 0x1af4, .subsystem = 0x1100,
	};
	int ret;

	*host = (struct vmx_pci_host){ .wiring = *wiring };
	ret = vmx_bus_add(wiring->ports, CONFIG_ADDRESS, 4, &address_ops, host,
			  "PCI CONFIG_ADDRESS");
	if (ret)
		return ret;
	ret = vmx_bus_add(wiring->ports, CONFIG_DATA, 4, &data_ops, host, "PCI CONFIG_DATA");
	if (ret) {
		vmx_bus_remove(wiring->ports, CONFIG_ADDRESS);
		return ret;
	}
	vmx_pci_device_init(&host->bridge, "PCI host bridge", &id, NULL);
	host->bridge.host = host;
	host->devices[0] = &host->bridge;
	return 0;
}

void vmx_pci_host_reset(struct vmx_pci_host *host)
{
	host->address = 0;
	for (unsigned int slot = 0; slot < VMX_PCI_SLOTS; slot++) {
		if (host->devices[slot])
			pci_device_reset(host->devices[slot]);
	}
}

int vmx_pci_add(struct vmx_pci_host *host, struct vmx_pci_device *device, int slot)
{
	int first = slot == VMX_PCI_ANY ? 1 : slot;
	int last = slot == VMX_PCI_ANY ? VMX_PCI_SLOTS - 1 : slot;

	if (first < 1 || last >= VMX_PCI_SLOTS || device->host)
		return vmx_fail(EINVAL, "%s cannot be put into PCI slot %d%s", device->name, slot,
				device->host ? ": it is in one" : "; there are 1 to 31");
	while (first <= last && host->devices[first])
		first++;
	if (first > last && slot != VMX_PCI_ANY)
		return vmx_fail(EEXIST, "%s cannot be put into PCI slot %d: %s is there",
				device->name, slot, host->devices[slot]->name);
	if (first > last)
		return vmx_fail(ENOSPC, "%s gets no PCI slot: all are in use", device->name);
	device->host = host;
	device->slot = first;
	host->devices[first] = device;
	pci_place_bars(host);
	pci_pin_update(device);
	return first;
}

void vmx_pci_remove(struct vmx_pci_device *device)
{
	struct vmx_pci_host *host = device->host;

	if (!host)
		return;
	/* This takes its BARs off the buses and deasserts its line. */
	pci_device_reset(device);
	host->devices[device->slot] = NULL;
	device->host = NULL;
}
