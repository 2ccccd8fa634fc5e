// SPDX-License-Identifier: LGPL-2.1-or-later
/* A device's configuration space: the bits that a write may change, and the effects. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <linux/pci_regs.h>

#include "../lib/internal.h"
#include "internal.h"

#define COMMAND_WRITABLE (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | \
			  PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)

void vmx_pci_device_init(struct vmx_pci_device *device, const char *name,
			 const struct vmx_pci_id *id, const struct vmx_pci_ops *ops)
{
	*device = (struct vmx_pci_device){
		.name = name,
		.ops = ops,
		.config_end = PCI_STD_HEADER_SIZEOF,
	};
	config_set(device, PCI_VENDOR_ID, 2, id->vendor);
	config_set(device, PCI_DEVICE_ID, 2, id->device);
	config_set(device, PCI_CLASS_REVISION, 4, id->class_code << 8 | id->revision);
	config_set(device, PCI_SUBSYSTEM_VENDOR_ID, 2, id->subsystem_vendor);
	config_set(device, PCI_SUBSYSTEM_ID, 2, id->subsystem);
	config_set(device, PCI_INTERRUPT_PIN, 1, id->pin <= VMX_PCI_LINES ? id->pin : 0);
	config_let_write(device, PCI_COMMAND, 2, COMMAND_WRITABLE);
	config_let_write(device, PCI_CACHE_LINE_SIZE, 2, 0xffff);	/* and the latency timer */
	config_let_write(device, PCI_INTERRUPT_LINE, 1, 0xff);
}

int vmx_pci_capability(struct vmx_pci_device *device, uint8_t id, unsigned int length)
{
	unsigned int offset = (device->config_end + 3) & ~3u;
	unsigned int link = PCI_CAPABILITY_LIST;

	if (length < 2 || length > VMX_PCI_CONFIG_SIZE - offset)
		return vmx_fail(ENOSPC, "%s: no room for a capability of %u bytes after %u others",
				device->name, length, offset);
	/* Append: the list keeps the order of the calls. */
	while (device->config[link])
		link = device->config[link] + PCI_CAP_LIST_NEXT;
	device->config[link] = offset;
	device->config[offset] = id;
	device->config_end = offset + length;
	config_set(device, PCI_STATUS, 2, config_get(device, PCI_STATUS, 2) | PCI_STATUS_CAP_LIST);
	return offset;
}

bool vmx_pci_bus_master(const struct vmx_pci_device *device)
{
	return config_get(device, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

uint32_t pci_config_read(struct vmx_pci_device *device, unsigned int offset, unsigned int size)
{
	if (device->ops && device->ops->config_read)
		device->ops->config_read(device, offset, size);
	return config_get(device, offset, size);
}

/* Whatever register it was: these compare what is with what is wanted. */
static void config_changed(struct vmx_pci_device *device)
{
	if (device->host)
		pci_place_bars(device->host);
	pci_pin_update(device);
	pci_msix_send_pending(device);
}

void pci_config_write(struct vmx_pci_device *device, unsigned int offset, unsigned int size,
		      uint32_t value)
{
	for (unsigned int n = 0; n < size; n++, value >>= 8) {
		uint8_t mask = device->writable[offset + n];
		uint8_t *byte = &device->config[offset + n];

		*byte = (*byte & ~mask) | (value & mask);
	}
	config_changed(device);
	if (device->ops && device->ops->config_written)
		device->ops->config_written(device, offset, size);
}

void pci_device_reset(struct vmx_pci_device *device)
{
	for (unsigned int n = 0; n < VMX_PCI_CONFIG_SIZE; n++)
		device->config[n] &= ~device->writable[n];
	pci_msix_reset(device);
	device->pin_high = false;
	config_changed(device);
	if (device->ops && device->ops->reset)
		device->ops->reset(device);
}

/* Interrupt pins (PCI Local Bus Specification, Interrupt Pin; Command and Status registers) */

unsigned int pci_line(const struct vmx_pci_device *device)
{
	return (device->slot + device->config[PCI_INTERRUPT_PIN] - 1) % VMX_PCI_LINES;
}

void pci_pin_update(struct vmx_pci_device *device)
{
	unsigned int status = config_get(device, PCI_STATUS, 2) & ~PCI_STATUS_INTERRUPT;
	bool disabled = config_get(device, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
	bool drive = device->pin_high && !disabled && !vmx_pci_msix_enabled(device);
	unsigned int line = pci_line(device);

	/* The status bit shows the request even if the pin is disabled. */
	config_set(device, PCI_STATUS, 2, status | (device->pin_high ? PCI_STATUS_INTERRUPT : 0));
	if (drive == device->pin_driven || !device->host || !device->config[PCI_INTERRUPT_PIN])
		return;
	device->pin_driven = drive;
	/* Devices share lines: the last to deassert lowers it. */
	device->host->asserted[line] += drive ? 1 : -1;
	vmx_line_set(&device->host->wiring.lines[line], device->host->asserted[line]);
}

void vmx_pci_pin_set(struct vmx_pci_device *device, bool high)
{
	device->pin_high = high;
	pci_pin_update(device);
}

void vmx_pci_report(const struct vmx_pci_device *device, const char *format, ...)
{
	const struct vmx_pci_host *host = device->host;
	char text[256], sentence[320];
	va_list args;

	if (!host || !host->wiring.report)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(sentence, sizeof(sentence), "PCI slot %u, %s: %s", device->slot, device->name,
		 text);
	host->wiring.report(host->wiring.context, sentence);
}
