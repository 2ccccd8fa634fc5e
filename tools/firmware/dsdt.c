// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The DSDT describes the parts of the machine that no bus enumerates. The
 * comment of each function has its result in ASL.
 */
#include <stdio.h>

#include "acpi.h"

#define PCI_CONFIG	0xcf8
#define PCI_CONFIG_END	0xcff
#define PCI_SLOTS	32
#define PCI_PINS	4

/* Name (\_S5, Package () { type, type, 0, 0 }) */
static void put_s5(struct bytes *aml)
{
	size_t package;

	aml_name(aml, "\\_S5");
	package = aml_open(aml, AML_PACKAGE);
	bytes_number(aml, 4, 1);
	aml_integer(aml, VMX_POWER_SLP_TYP_S5);
	aml_integer(aml, VMX_POWER_SLP_TYP_S5);
	aml_integer(aml, 0);
	aml_integer(aml, 0);
	aml_close(aml, package);
}

/* Device (C000) { Name (_HID, "ACPI0007") Name (_UID, 0) } */
static void put_cpu(struct bytes *aml, unsigned int n)
{
	size_t device = aml_open(aml, AML_DEVICE);
	char name[8];

	snprintf(name, sizeof(name), "C%03X", n & 0xfff);
	aml_path(aml, name);
	aml_name(aml, "_HID");
	aml_string(aml, "ACPI0007");
	aml_name_integer(aml, "_UID", n);
	aml_close(aml, device);
}

/* What sits on the ISA bus, at addresses as old as it. */
struct isa_device {
	const char *name;
	const char *id;
	unsigned int uid;
	uint16_t port;
	uint8_t ports;
	uint16_t port2;		/* one more port, if not 0 */
	uint8_t irq;
	size_t present;		/* offset of the bool in struct vmx_acpi */
};

static const struct isa_device isa_devices[] = {
	{ "RTC", "PNP0B00", 0, 0x70, 2, 0, 8, offsetof(struct vmx_acpi, rtc) },
	{ "COM1", "PNP0501", 1, 0x3f8, 8, 0, 4, offsetof(struct vmx_acpi, com1) },
	{ "KBD", "PNP0303", 0, 0x60, 1, 0x64, 1, offsetof(struct vmx_acpi, keyboard) },
};

/*
 * Device (COM1) {
 *	Name (_HID, EisaId ("PNP0501"))
 *	Name (_UID, 1)
 *	Name (_CRS, ResourceTemplate () {
 *		IO (Decode16, 0x3f8, 0x3f8, 1, 8)
 *		IRQNoFlags () { 4 } })
 * }
 */
static void put_isa(struct bytes *aml, const struct isa_device *isa)
{
	size_t device = aml_open(aml, AML_DEVICE);
	struct aml_resources resources;

	aml_path(aml, isa->name);
	aml_name_eisa(aml, "_HID", isa->id);
	aml_name_integer(aml, "_UID", isa->uid);
	aml_resources_start(&resources);
	aml_resources_io(&resources, isa->port, isa->ports);
	if (isa->port2)
		aml_resources_io(&resources, isa->port2, 1);
	aml_resources_irq(&resources, isa->irq);
	aml_resources_put(aml, &resources);
	aml_close(aml, device);
}

/*
 * Name (_CRS, ResourceTemplate () {
 *	WordBusNumber (...)		0 to 0
 *	IO (Decode16, 0xcf8, ...)	the bridge's own
 *	WordIO (...)			0 to 0xcf7
 *	WordIO (...)			0xd00 to 0xffff
 *	DWordMemory (...) })
 */
static void put_bridge_resources(struct bytes *aml, const struct vmx_acpi *acpi)
{
	struct aml_resources resources;

	aml_resources_start(&resources);
	aml_resources_window(&resources, AML_WINDOW_BUS, 2, 0, 0);
	aml_resources_io(&resources, PCI_CONFIG, PCI_CONFIG_END - PCI_CONFIG + 1);
	aml_resources_window(&resources, AML_WINDOW_IO, 2, 0, PCI_CONFIG - 1);
	aml_resources_window(&resources, AML_WINDOW_IO, 2, PCI_CONFIG_END + 1, 0xffff);
	if (acpi->pci_size)
		aml_resources_window(&resources, AML_WINDOW_MEMORY, 4, acpi->pci_base,
				     acpi->pci_base + (uint64_t)acpi->pci_size - 1);
	aml_resources_put(aml, &resources);
}

/*
 * Name (NAME, Package () {
 *	Package () { 0x0000ffff, 0, 0, pin }
 *	... })
 */
static void put_routes(struct bytes *aml, const char *name, const uint32_t *pins)
{
	size_t table, entry;

	aml_name(aml, name);
	table = aml_open(aml, AML_PACKAGE);
	bytes_number(aml, PCI_SLOTS * PCI_PINS, 1);
	for (unsigned int n = 0; n < PCI_SLOTS * PCI_PINS; n++) {
		unsigned int slot = n / PCI_PINS, pin = n % PCI_PINS;

		entry = aml_open(aml, AML_PACKAGE);
		bytes_number(aml, 4, 1);
		aml_integer(aml, (uint64_t)slot << 16 | 0xffff);	/* any function */
		aml_integer(aml, pin);
		aml_integer(aml, 0);	/* not by a link device: */
		aml_integer(aml, pins[(slot + pin) % PCI_PINS]);
		aml_close(aml, entry);
	}
	aml_close(aml, table);
}

/*
 * Name (\MODE, 0)
 * Method (\_PIC, 1) { Store (Arg0, \MODE) }
 *
 * The system says which interrupt controllers it uses: 0 for the 8259As, 1 for I/O APICs.
 */
static void put_pic(struct bytes *aml)
{
	size_t method;

	aml_name_integer(aml, "\\MODE", 0);
	method = aml_method(aml, "\\_PIC", 1);
	aml_store_argument(aml, "\\MODE");
	aml_close(aml, method);
}

/*
 * Name (IRQS, ...)
 * Name (GSIS, ...)
 * Method (_PRT, 0) {
 *	If (\MODE) { Return (GSIS) }
 *	Return (IRQS)
 * }
 */
static void put_routing(struct bytes *aml, const struct vmx_acpi *acpi)
{
	size_t method, condition;

	put_routes(aml, "IRQS", acpi->irqs);
	put_routes(aml, "GSIS", acpi->intx);
	method = aml_method(aml, "_PRT", 0);
	condition = aml_open(aml, AML_IF);
	aml_path(aml, "\\MODE");
	aml_return(aml, "GSIS");
	aml_close(aml, condition);
	aml_return(aml, "IRQS");
	aml_close(aml, method);
}

/*
 * Device (PCI0) {
 *	Name (_HID, EisaId ("PNP0A03"))
 *	Name (_UID, 0)
 *	Name (_CRS, ...)
 *	Method (_PRT, 0) ...
 * }
 */
static void put_bridge(struct bytes *aml, const struct vmx_acpi *acpi)
{
	size_t device = aml_open(aml, AML_DEVICE);

	aml_path(aml, "PCI0");
	aml_name_eisa(aml, "_HID", "PNP0A03");
	aml_name_integer(aml, "_UID", 0);
	put_bridge_resources(aml, acpi);
	put_routing(aml, acpi);
	aml_close(aml, device);
}

/*
 * Device (VGEN) {
 *	Name (_HID, "VMXG0001")
 *	Name (_CID, "VM_Gen_Counter")
 *	Name (_DDN, "VM_Gen_Counter")
 *	Name (ADDR, Package () { low, high })
 * }
 *
 * As in Microsoft's "Virtual Machine Generation ID". Drivers know it by _CID and _DDN.
 */
static void put_generation(struct bytes *aml, uint64_t address)
{
	static const char kind[] = "VM_Gen_Counter";
	size_t device = aml_open(aml, AML_DEVICE), package;

	aml_path(aml, "VGEN");
	aml_name(aml, "_HID");
	aml_string(aml, "VMXG0001");
	aml_name(aml, "_CID");
	aml_string(aml, kind);
	aml_name(aml, "_DDN");
	aml_string(aml, kind);
	aml_name(aml, "ADDR");
	package = aml_open(aml, AML_PACKAGE);
	bytes_number(aml, 2, 1);
	aml_integer(aml, (uint32_t)address);
	aml_integer(aml, address >> 32);
	aml_close(aml, package);
	aml_close(aml, device);
}

/* Method (\_GPE._E00) { Notify (\_SB.VGEN, 0x80) } */
static void put_generation_event(struct bytes *aml)
{
	size_t scope = aml_open(aml, AML_SCOPE), method;
	char name[8];

	aml_path(aml, "\\_GPE");
	snprintf(name, sizeof(name), "_E%02X", VMX_POWER_GPE_GENERATION);
	method = aml_method(aml, name, 0);
	aml_notify(aml, "\\_SB.VGEN", 0x80);
	aml_close(aml, method);
	aml_close(aml, scope);
}

void acpi_dsdt(struct bytes *aml, const struct vmx_acpi *acpi)
{
	size_t scope;

	put_s5(aml);
	if (acpi->pci)
		put_pic(aml);
	scope = aml_open(aml, AML_SCOPE);
	aml_path(aml, "\\_SB");
	for (unsigned int n = 0; n < acpi->cpus; n++)
		put_cpu(aml, n);
	for (size_t n = 0; n < sizeof(isa_devices) / sizeof(isa_devices[0]); n++)
		if (*(const bool *)((const char *)acpi + isa_devices[n].present))
			put_isa(aml, &isa_devices[n]);
	if (acpi->pci)
		put_bridge(aml, acpi);
	if (acpi->generation)
		put_generation(aml, acpi->generation);
	aml_close(aml, scope);
	if (acpi->generation)
		put_generation_event(aml);
}
