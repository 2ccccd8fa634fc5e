/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of PCI. */
#ifndef LIBVMX_PCI_INTERNAL_H
#define LIBVMX_PCI_INTERNAL_H

#include <string.h>

#include <libvmx/pci.h>

/* Configuration space is little-endian, and so is every CPU with VMX. */
static inline uint32_t config_get(const struct vmx_pci_device *device, unsigned int offset,
				  unsigned int size)
{
	uint32_t value = 0;

	memcpy(&value, &device->config[offset], size);
	return value;
}

static inline void config_set(struct vmx_pci_device *device, unsigned int offset,
			      unsigned int size, uint32_t value)
{
	memcpy(&device->config[offset], &value, size);
}

static inline void config_let_write(struct vmx_pci_device *device, unsigned int offset,
				    unsigned int size, uint32_t mask)
{
	memcpy(&device->writable[offset], &mask, size);
}

/* The guest's accesses; within configuration space. */
uint32_t pci_config_read(struct vmx_pci_device *device, unsigned int offset, unsigned int size);
void pci_config_write(struct vmx_pci_device *device, unsigned int offset, unsigned int size,
		      uint32_t value);
void pci_device_reset(struct vmx_pci_device *device);

/* Puts BARs where the guest wants them, on all of a bridge's devices. */
void pci_place_bars(struct vmx_pci_host *host);
uint64_t pci_bar_address(const struct vmx_pci_device *device, unsigned int index);
void pci_bar_set_address(struct vmx_pci_device *device, unsigned int index, uint64_t address);

/* Sends what was kept while masked, if it is not any more. */
void pci_msix_send_pending(struct vmx_pci_device *device);
void pci_msix_reset(struct vmx_pci_device *device);

/* A line follows its pins. */
void pci_pin_update(struct vmx_pci_device *device);
unsigned int pci_line(const struct vmx_pci_device *device);

#endif /* LIBVMX_PCI_INTERNAL_H */
