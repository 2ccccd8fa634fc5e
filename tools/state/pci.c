// SPDX-License-Identifier: LGPL-2.1-or-later
/* PCI devices, as they are saved: configuration space, MSI-X, the pin. */
#include <errno.h>

#include <linux/pci_regs.h>

#include "../pci/internal.h"
#include "state.h"

static const struct vmx_saved_field vector_fields[] = {
	BITS(struct vmx_pci_vector, address, 1, ~3ull, "Message Address"),
	NUMBER(struct vmx_pci_vector, data, 1, "Message Data"),
	BITS(struct vmx_pci_vector, control, 1, 1, "Vector Control"),
};

static const struct vmx_saved_table vector_table = SAVED_STRUCT("vector", vector_fields);

/* Not saved of struct state_pci: device: wiring. */
static const struct vmx_saved_field pci_fields[] = {
	ARRAY(struct state_pci, config, 1,
	      "configuration space; a byte that the guest cannot write is the same in the machine"),
	FLAG(struct state_pci, pin_high, 1, "it asks for an interrupt by its pin"),
	FLAG(struct state_pci, pin_driven, 1, "and so its line is driven"),
	NUMBER(struct state_pci, pending, 1, "the Pending Bit Array"),
	SAME(struct state_pci, vector_count, 1, "how many vectors follow, 0 without MSI-X"),
	COUNTED_STRUCTS(struct state_pci, vectors, 1, &vector_table, "the MSI-X table"),
};

static const struct vmx_saved_table pci_table = SAVED_TABLE("pci-device", 1, pci_fields);

/* Not saved of struct vmx_pci_host: wiring, devices, bridge: sections of their own. */
/* Not saved of struct vmx_pci_host: asserted: follows from the devices. */
static const struct vmx_saved_field host_fields[] = {
	BITS(struct vmx_pci_host, address, 1, 0x80fffffc, "CONFIG_ADDRESS"),
};

static const struct vmx_saved_table host_table = SAVED_TABLE("pci", 1, host_fields);

static void fill(struct state_pci *pci, struct vmx_pci_device *device)
{
	pci->device = device;
	memcpy(pci->config, device->config, sizeof(pci->config));
	pci->pin_high = device->pin_high;
	pci->pin_driven = device->pin_driven;
	pci->pending = device->msix.pending;
	pci->vector_count = device->msix.count;
	memcpy(pci->vectors, device->msix.vectors, sizeof(pci->vectors));
}

/* Bits that change, and not because the guest writes them. */
static uint8_t changing(unsigned int offset)
{
	return offset == PCI_STATUS ? PCI_STATUS_INTERRUPT : 0;
}

static int check_config(const struct state_pci *pci)
{
	const struct vmx_pci_device *device = pci->device;

	for (unsigned int n = 0; n < VMX_PCI_CONFIG_SIZE; n++) {
		uint8_t fixed = ~(device->writable[n] | changing(n));

		if ((pci->config[n] ^ device->config[n]) & fixed)
			return state_refuse(pci_table.name, device->slot,
					    "another device is in this slot, or %s is another version: configuration space differs at %#x",
					    device->name, n);
	}
	return 0;
}

static int pci_loaded(void *object)
{
	struct state_pci *pci = object;
	struct vmx_pci_device *device = pci->device;
	int ret = check_config(pci);

	if (ret)
		return ret;
	memcpy(device->config, pci->config, sizeof(device->config));
	memcpy(device->msix.vectors, pci->vectors, sizeof(device->msix.vectors));
	device->msix.pending = pci->pending;
	device->pin_high = pci->pin_high;
	device->pin_driven = pci->pin_driven && device->config[PCI_INTERRUPT_PIN];
	device->host->asserted[pci_line(device)] += device->pin_driven;
	pci_place_bars(device->host);
	pci_pin_update(device);
	return 0;
}

int state_list_pci(struct state_parts *parts, struct vmx_machine *machine)
{
	struct vmx_pci_host *host = &machine->pci;

	state_list(parts, &host_table, host, 0, NULL);
	for (unsigned int slot = 0; slot < VMX_PCI_SLOTS; slot++) {
		struct vmx_pci_device *device = host->devices[slot];
		struct vmx_saved_part more[VMX_SAVED_PARTS];
		unsigned int count = 0;

		if (!device)
			continue;
		if (device->ops && device->ops->state)
			count = device->ops->state(device, more);
		if (!count && device != &host->bridge)
			return vmx_fail(EOPNOTSUPP,
					"PCI slot %u, %s: the state of this device cannot be saved",
					slot, device->name);
		fill(&parts->pci[slot], device);
		state_list(parts, &pci_table, &parts->pci[slot], slot, pci_loaded);
		for (unsigned int n = 0; n < count; n++)
			state_list(parts, more[n].table, more[n].object, slot, more[n].loaded);
	}
	return 0;
}
