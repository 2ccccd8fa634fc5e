// SPDX-License-Identifier: LGPL-2.1-or-later
/* MSI-X: a table of messages and their pending bits (PCI Local Bus Specification). */
#include <errno.h>

#include <linux/pci_regs.h>

#include "../lib/internal.h"
#include "internal.h"

#define BAR_SIZE	0x1000
#define PBA		0x800
#define ENTRY_MASKED	1u

_Static_assert(VMX_PCI_VECTORS * sizeof(struct vmx_pci_vector) <= PBA, "The table ends at the PBA");
_Static_assert(sizeof(struct vmx_pci_vector) == PCI_MSIX_ENTRY_SIZE, "The table as guests see it");
_Static_assert(VMX_PCI_VECTORS <= 64, "The PBA is one quadword");

static unsigned int message_control(const struct vmx_pci_device *device)
{
	return config_get(device, device->msix.capability + PCI_MSIX_FLAGS, 2);
}

bool vmx_pci_msix_enabled(const struct vmx_pci_device *device)
{
	return device->msix.count && message_control(device) & PCI_MSIX_FLAGS_ENABLE;
}

/* A message is a write to memory, for which a device must be a master. */
static bool can_send(const struct vmx_pci_device *device)
{
	return vmx_pci_msix_enabled(device) && vmx_pci_bus_master(device) &&
	       !(message_control(device) & PCI_MSIX_FLAGS_MASKALL);
}

void pci_msix_send_pending(struct vmx_pci_device *device)
{
	struct vmx_pci_msix *msix = &device->msix;

	if (!msix->pending || !can_send(device))
		return;
	for (unsigned int n = 0; n < msix->count; n++) {
		const struct vmx_pci_vector *vector = &msix->vectors[n];
		const struct vmx_pci_wiring *wiring = device->host ? &device->host->wiring : NULL;

		if (!(msix->pending >> n & 1) || vector->control & ENTRY_MASKED)
			continue;
		msix->pending &= ~(1ull << n);
		if (wiring && wiring->message)
			wiring->message(wiring->context, vector->address, vector->data);
	}
}

void vmx_pci_msix_raise(struct vmx_pci_device *device, unsigned int vector)
{
	if (vector >= device->msix.count || !vmx_pci_msix_enabled(device))
		return;
	device->msix.pending |= 1ull << vector;
	pci_msix_send_pending(device);
}

void pci_msix_reset(struct vmx_pci_device *device)
{
	device->msix.pending = 0;
	for (unsigned int n = 0; n < device->msix.count; n++)
		device->msix.vectors[n] = (struct vmx_pci_vector){ .control = ENTRY_MASKED };
}

/* Software must access both structures by aligned doublewords or quadwords; others do nothing. */
static bool is_proper(uint64_t offset, unsigned int size)
{
	return (size == 4 || size == 8) && !(offset & (size - 1));
}

static uint64_t table_read(void *context, uint64_t offset, unsigned int size)
{
	struct vmx_pci_device *device = context;
	const struct vmx_pci_msix *msix = &device->msix;
	uint64_t value = 0;

	if (!is_proper(offset, size))
		return UINT64_MAX;
	if (offset < msix->count * sizeof(msix->vectors[0]))
		memcpy(&value, (const char *)msix->vectors + offset, size);
	else if (offset >= PBA && offset < PBA + sizeof(msix->pending))
		memcpy(&value, (const char *)&msix->pending + (offset - PBA), size);
	return value;
}

static void table_write(void *context, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vmx_pci_device *device = context;
	struct vmx_pci_msix *msix = &device->msix;
	struct vmx_pci_vector *vector;

	if (!is_proper(offset, size) || offset >= msix->count * sizeof(*vector))
		return;
	memcpy((char *)msix->vectors + offset, &value, size);
	vector = &msix->vectors[offset / sizeof(*vector)];
	vector->address &= ~3ull;
	vector->control &= ENTRY_MASKED;
	pci_msix_send_pending(device);
}

static const struct vmx_range_ops table_ops = { table_read, table_write };

int vmx_pci_msix_init(struct vmx_pci_device *device, unsigned int bar, unsigned int count)
{
	int capability, ret;

	if (!count || count > VMX_PCI_VECTORS || device->msix.count)
		return vmx_fail(EINVAL, "%s cannot have %u MSI-X vectors: 1 to %u, once",
				device->name, count, VMX_PCI_VECTORS);
	ret = vmx_pci_bar(device, bar, VMX_PCI_BAR_MEM32, BAR_SIZE, &table_ops, device);
	if (ret)
		return ret;
	capability = vmx_pci_capability(device, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	if (capability < 0)
		return capability;
	config_set(device, capability + PCI_MSIX_FLAGS, 2, count - 1);
	config_let_write(device, capability + PCI_MSIX_FLAGS, 2,
			 PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	config_set(device, capability + PCI_MSIX_TABLE, 4, bar);
	config_set(device, capability + PCI_MSIX_PBA, 4, PBA | bar);
	device->msix.count = count;
	device->msix.capability = capability;
	pci_msix_reset(device);
	return 0;
}
