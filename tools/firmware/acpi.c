// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Writes ACPI tables ("ACPI Software Programming Model" in the ACPI specification,
 * 6.4) one after the other. The machine is not hardware-reduced, since systems
 * would then ignore PIC and PIT.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/internal.h"
#include "acpi.h"

#define TABLES_SIZE	(VMX_ACPI_GENERATION - VMX_ACPI_TABLES)
#define FIRMWARE_END	0x100000

#define ISA_IRQS	16
#define IRQ_TIMER	0
#define IRQ_SCI_DEFAULT	9
#define GSI_TIMER	2	/* on the input that a PC's cascade leaves free */
#define LINT1		1

/* An ID that is not above this fits a local APIC structure. */
#define APIC_ID_MAX	254

#define OEM_ID		"LIBVMX"
#define OEM_TABLE_ID	"LIBVMX  "
#define CREATOR_ID	"LVMX"

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

#define RSDP_V1_SIZE	20

struct acpi_facs {
	char signature[4];
	uint32_t length;
	uint32_t hardware_signature;
	uint32_t waking_vector;
	uint32_t global_lock;
	uint32_t flags;
	uint64_t x_waking_vector;
	uint8_t version;
	uint8_t reserved[31];
} __attribute__((packed));

/* Generic Address Structure */
struct acpi_address {
	uint8_t space;
	uint8_t bits;
	uint8_t offset;
	uint8_t access;
	uint64_t address;
} __attribute__((packed));

#define SPACE_IO	1

struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t reserved1;
	uint8_t pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk;
	uint32_t pm2_cnt_blk, pm_tmr_blk, gpe0_blk, gpe1_blk;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len;
	uint8_t gpe0_blk_len, gpe1_blk_len, gpe1_base, cst_cnt;
	uint16_t p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t iapc_boot_arch;
	uint8_t reserved2;
	uint32_t flags;
	struct acpi_address reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_facs, x_dsdt;
	struct acpi_address x_pm1a_evt_blk, x_pm1b_evt_blk, x_pm1a_cnt_blk, x_pm1b_cnt_blk;
	struct acpi_address x_pm2_cnt_blk, x_pm_tmr_blk, x_gpe0_blk, x_gpe1_blk;
	struct acpi_address sleep_control_reg, sleep_status_reg;
	uint64_t hypervisor_vendor;
} __attribute__((packed));

#define FADT_LEGACY_DEVICES	0x0001
#define FADT_8042		0x0002
#define FADT_VGA_NOT_PRESENT	0x0004
#define FADT_RTC_NOT_PRESENT	0x0020

#define FADT_WBINVD		0x00000001
#define FADT_PROC_C1		0x00000004
#define FADT_SLP_BUTTON		0x00000020	/* no fixed one */
#define FADT_FIX_RTC		0x00000040	/* no fixed RTC wakeup */
#define FADT_TMR_VAL_EXT	0x00000100	/* a timer of 32 bits */
#define FADT_RESET_REG_SUP	0x00000400

#define FADT_LATENCY_NO_C2	101
#define FADT_LATENCY_NO_C3	1001
#define RTC_CENTURY		0x32

/* Registers in struct vmx_power's block. */
#define PM1_EVT		0
#define PM1_CNT		4
#define PM_TMR		8
#define GPE0		12

/* "Interrupt Controller Structure Types" of the MADT */
enum madt_type {
	MADT_LOCAL_APIC = 0,
	MADT_IO_APIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LOCAL_APIC_NMI = 4,
	MADT_LOCAL_X2APIC = 9,
	MADT_LOCAL_X2APIC_NMI = 10,
	MADT_WAKEUP = 16,
};

#define MADT_PCAT_COMPAT	1	/* there are 8259s */
#define MADT_ENABLED		1
#define MADT_AS_BUS		0	/* polarity and trigger mode as the bus has them */
#define MADT_LEVEL_HIGH		0xd

struct madt {
	struct acpi_header header;
	uint32_t local_apic;
	uint32_t flags;
} __attribute__((packed));

struct madt_local_apic {
	uint8_t type, length, uid, id;
	uint32_t flags;
} __attribute__((packed));

struct madt_local_x2apic {
	uint8_t type, length;
	uint16_t reserved;
	uint32_t id, flags, uid;
} __attribute__((packed));

struct madt_io_apic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} __attribute__((packed));

struct madt_override {
	uint8_t type, length, bus, irq;
	uint32_t gsi;
	uint16_t flags;
} __attribute__((packed));

struct madt_local_apic_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));

struct madt_local_x2apic_nmi {
	uint8_t type, length;
	uint16_t flags;
	uint32_t uid;
	uint8_t lint;
	uint8_t reserved[3];
} __attribute__((packed));

struct madt_wakeup {
	uint8_t type, length;
	uint16_t version;
	uint32_t reserved;
	uint64_t mailbox;
} __attribute__((packed));

/* Lengths are the specification's. */
_Static_assert(sizeof(struct acpi_header) == 36, "header");
_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");
_Static_assert(sizeof(struct acpi_facs) == 64, "FACS");
_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT");
_Static_assert(sizeof(struct madt) == 44, "MADT");

/* Adds up to 0 with the bytes it is the checksum of. */
static uint8_t checksum(const void *data, size_t size)
{
	const unsigned char *bytes = data;
	uint8_t sum = 0;

	while (size--)
		sum += *bytes++;
	return -sum;
}

static uint64_t address_of(size_t offset)
{
	return VMX_ACPI_TABLES + offset;
}

static void align(struct bytes *tables, size_t alignment)
{
	static const unsigned char zeroes[64];

	bytes_put(tables, zeroes, -tables->size & (alignment - 1));
}

/* The header of a table that is about to be written, with what table_end() fills in later. */
static struct acpi_header table_header(const char *signature, uint8_t revision)
{
	struct acpi_header header = { .revision = revision, .oem_revision = 1,
				      .creator_revision = 1 };

	memcpy(header.signature, signature, 4);
	memcpy(header.oem_id, OEM_ID, 6);
	memcpy(header.oem_table_id, OEM_TABLE_ID, 8);
	memcpy(header.creator_id, CREATOR_ID, 4);
	return header;
}

/* Fills in what depends on the whole table that begins at START. */
static void table_end(struct bytes *tables, size_t start)
{
	struct acpi_header header;

	if (tables->full)
		return;
	memcpy(&header, tables->data + start, sizeof(header));
	header.length = tables->size - start;
	memcpy(tables->data + start, &header, sizeof(header));
	header.checksum = checksum(tables->data + start, header.length);
	memcpy(tables->data + start, &header, sizeof(header));
}

static size_t put_dsdt(struct bytes *tables, const struct vmx_acpi *acpi)
{
	/* Integers have 64 bits from revision 2 on. */
	struct acpi_header header = table_header("DSDT", 2);
	size_t start;

	align(tables, 16);
	start = tables->size;
	bytes_put(tables, &header, sizeof(header));
	acpi_dsdt(tables, acpi);
	table_end(tables, start);
	return start;
}

static size_t put_facs(struct bytes *tables)
{
	struct acpi_facs facs = { .signature = "FACS", .length = sizeof(facs), .version = 2 };
	size_t start;

	align(tables, 64);
	start = tables->size;
	bytes_put(tables, &facs, sizeof(facs));
	return start;
}

static struct acpi_address port(uint32_t port, unsigned int bytes)
{
	/* Access sizes: 1 is a byte, 2 a word, 3 a dword. */
	return (struct acpi_address){ SPACE_IO, bytes * 8, 0, bytes == 4 ? 3 : bytes == 2 ? 2 : 1,
				      port };
}

static size_t put_fadt(struct bytes *tables, const struct vmx_acpi *acpi, size_t facs, size_t dsdt)
{
	struct acpi_fadt fadt = {
		.header = table_header("FACP", 6),
		.minor_version = 4,
		/* Of the 32-bit and the 64-bit address, only one may be set. */
		.facs = address_of(facs),
		.x_dsdt = address_of(dsdt),
		.dsdt = address_of(dsdt),
		.sci_int = acpi->sci,
		.pm1a_evt_blk = acpi->power + PM1_EVT, .pm1_evt_len = 4,
		.x_pm1a_evt_blk = port(acpi->power + PM1_EVT, 4),
		.pm1a_cnt_blk = acpi->power + PM1_CNT, .pm1_cnt_len = 2,
		.x_pm1a_cnt_blk = port(acpi->power + PM1_CNT, 2),
		.pm_tmr_blk = acpi->power + PM_TMR, .pm_tmr_len = 4,
		.x_pm_tmr_blk = port(acpi->power + PM_TMR, 4),
		.gpe0_blk = acpi->power + GPE0, .gpe0_blk_len = 2,
		.x_gpe0_blk = port(acpi->power + GPE0, 2),
		.p_lvl2_lat = FADT_LATENCY_NO_C2, .p_lvl3_lat = FADT_LATENCY_NO_C3,
		.century = acpi->rtc ? RTC_CENTURY : 0,
		.iapc_boot_arch = FADT_LEGACY_DEVICES | FADT_VGA_NOT_PRESENT |
				  (acpi->keyboard ? FADT_8042 : 0) |
				  (acpi->rtc ? 0 : FADT_RTC_NOT_PRESENT),
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC |
			 FADT_TMR_VAL_EXT,
	};
	size_t start;

	/* The PM1 event block is accessed as its two registers. */
	fadt.x_pm1a_evt_blk.access = 2;
	fadt.x_gpe0_blk.access = 1;
	if (acpi->reset_port) {
		fadt.flags |= FADT_RESET_REG_SUP;
		fadt.reset_reg = port(acpi->reset_port, 1);
		fadt.reset_value = acpi->reset_value;
	}
	align(tables, 16);
	start = tables->size;
	bytes_put(tables, &fadt, sizeof(fadt));
	table_end(tables, start);
	return start;
}

/* The specification wants x2APIC structures only for IDs that do not fit the others. */
static bool is_x2apic(const struct vmx_acpi *acpi, unsigned int id)
{
	return acpi->x2apic || id > APIC_ID_MAX;
}

static void put_madt_cpu(struct bytes *tables, const struct vmx_acpi *acpi, unsigned int id)
{
	struct madt_local_x2apic x2apic = { MADT_LOCAL_X2APIC, sizeof(x2apic), .id = id,
					    .flags = MADT_ENABLED, .uid = id };
	struct madt_local_apic apic = { MADT_LOCAL_APIC, sizeof(apic), .uid = id, .id = id,
					.flags = MADT_ENABLED };

	if (is_x2apic(acpi, id))
		bytes_put(tables, &x2apic, sizeof(x2apic));
	else
		bytes_put(tables, &apic, sizeof(apic));
}

/* LINT1 is NMI on every CPU. */
static void put_madt_nmi(struct bytes *tables, const struct vmx_acpi *acpi)
{
	struct madt_local_x2apic_nmi x2apic = { MADT_LOCAL_X2APIC_NMI, sizeof(x2apic),
						.uid = UINT32_MAX, .lint = LINT1 };
	struct madt_local_apic_nmi apic = { MADT_LOCAL_APIC_NMI, sizeof(apic),
					    .uid = UINT8_MAX, .lint = LINT1 };

	if (is_x2apic(acpi, acpi->cpus - 1))
		bytes_put(tables, &x2apic, sizeof(x2apic));
	if (!is_x2apic(acpi, 0))
		bytes_put(tables, &apic, sizeof(apic));
}

static size_t put_madt(struct bytes *tables, const struct vmx_acpi *acpi)
{
	struct madt madt = { .header = table_header("APIC", 5), .local_apic = acpi->local_apic,
			     .flags = MADT_PCAT_COMPAT };
	struct madt_io_apic io_apic = { MADT_IO_APIC, sizeof(io_apic), .id = acpi->ioapic_id,
					.address = acpi->ioapic };
	struct madt_override timer = { MADT_OVERRIDE, sizeof(timer), .irq = IRQ_TIMER,
				       .gsi = GSI_TIMER, .flags = MADT_AS_BUS };
	struct madt_override sci = { MADT_OVERRIDE, sizeof(sci), .irq = acpi->sci,
				     .gsi = acpi->sci, .flags = MADT_LEVEL_HIGH };
	struct madt_wakeup wakeup = { MADT_WAKEUP, sizeof(wakeup), .mailbox = VMX_ACPI_MAILBOX };
	size_t start;

	align(tables, 16);
	start = tables->size;
	bytes_put(tables, &madt, sizeof(madt));
	for (unsigned int id = 0; id < acpi->cpus; id++)
		put_madt_cpu(tables, acpi, id);
	bytes_put(tables, &io_apic, sizeof(io_apic));
	bytes_put(tables, &timer, sizeof(timer));
	bytes_put(tables, &sci, sizeof(sci));
	put_madt_nmi(tables, acpi);
	if (acpi->mailbox)
		bytes_put(tables, &wakeup, sizeof(wakeup));
	table_end(tables, start);
	return start;
}

static size_t put_xsdt(struct bytes *tables, const size_t *entries, unsigned int count)
{
	struct acpi_header header = table_header("XSDT", 1);
	size_t start;

	align(tables, 16);
	start = tables->size;
	bytes_put(tables, &header, sizeof(header));
	for (unsigned int n = 0; n < count; n++)
		bytes_number(tables, address_of(entries[n]), 8);
	table_end(tables, start);
	return start;
}

/* In front, so that it is where systems look: on a 16-byte boundary in the last 128 KiB. */
static void write_rsdp(struct bytes *tables, size_t xsdt)
{
	struct acpi_rsdp rsdp = { .signature = "RSD PTR ", .oem_id = OEM_ID, .revision = 2,
				  .length = sizeof(rsdp), .xsdt = address_of(xsdt) };

	rsdp.checksum = checksum(&rsdp, RSDP_V1_SIZE);
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(tables->data, &rsdp, sizeof(rsdp));
}

static void put_tables(struct bytes *tables, const struct vmx_acpi *acpi)
{
	size_t entries[2];
	unsigned int count = 0;
	size_t dsdt, facs;

	/* Room for the RSDP. */
	tables->size = sizeof(struct acpi_rsdp);
	dsdt = put_dsdt(tables, acpi);
	facs = put_facs(tables);
	entries[count++] = put_fadt(tables, acpi, facs, dsdt);
	entries[count++] = put_madt(tables, acpi);
	write_rsdp(tables, put_xsdt(tables, entries, count));
}

void vmx_acpi_init(struct vmx_acpi *acpi, const struct vmx_memory *memory, unsigned int cpus)
{
	/* PCI memory begins at 2 GiB, as in many PCs, or at the end of RAM. */
	uint32_t pci = memory->low > 0x80000000 ? memory->low : 0x80000000;

	*acpi = (struct vmx_acpi){
		.cpus = cpus,
		.local_apic = 0xfee00000,
		.ioapic = 0xfec00000,
		.power = 0x600,
		.sci = IRQ_SCI_DEFAULT,
		.reset_port = VMX_POWER_RESET_PORT,
		.reset_value = VMX_POWER_RESET_VALUE,
		.rtc = true,
		.com1 = true,
		.pci = true,
		.intx = { 16, 17, 18, 19 },
		.irqs = { 5, 10, 11, 15 },
		.pci_base = pci,
		.pci_size = 0xfec00000 - pci,
		.generation = VMX_ACPI_GENERATION,
	};
}

/* What would make the tables lie. */
static int check(const struct vmx_acpi *acpi, const struct vmx_memory *memory)
{
	if (!acpi->cpus || acpi->cpus > VMX_ACPI_CPUS_MAX)
		return vmx_fail(EINVAL, "ACPI tables cannot describe %u CPUs: give 1 to %u",
				acpi->cpus, VMX_ACPI_CPUS_MAX);
	if (memory->low < FIRMWARE_END)
		return vmx_fail(EINVAL,
				"ACPI tables need RAM below 1 MiB, which the guest does not have: give it more memory");
	if (acpi->sci >= ISA_IRQS || acpi->sci == IRQ_TIMER || acpi->sci == GSI_TIMER)
		return vmx_fail(EINVAL,
				"The system control interrupt cannot be IRQ %u: an ISA IRQ but %u and %u",
				acpi->sci, IRQ_TIMER, GSI_TIMER);
	if (acpi->power % 4 || acpi->power > 0x10000 - VMX_POWER_LENGTH)
		return vmx_fail(EINVAL,
				"ACPI registers cannot be at port %#x: give a multiple of 4",
				acpi->power);
	if (acpi->pci && acpi->pci_base + (uint64_t)acpi->pci_size > VMX_MEMORY_HIGH)
		return vmx_fail(EINVAL, "PCI memory goes past 4 GiB");
	if (acpi->pci && acpi->pci_size && acpi->pci_base < memory->low)
		return vmx_fail(EINVAL, "PCI memory at %#x overlaps RAM, which ends at %#llx",
				acpi->pci_base, (unsigned long long)memory->low);
	return 0;
}

/* What the map says from now on. */
static int change_map(struct vmx_memory *map, const struct vmx_acpi *acpi)
{
	int error = vmx_memory_set(map, VMX_ACPI_TABLES, VMX_ACPI_PARK - VMX_ACPI_TABLES,
				   VMX_RANGE_RESERVED);

	/* The specification has the mailbox in memory of this type. */
	if (!error && acpi->mailbox)
		error = vmx_memory_set(map, VMX_ACPI_PARK, FIRMWARE_END - VMX_ACPI_PARK,
				       VMX_RANGE_NVS);
	return error;
}

int vmx_acpi_write(const struct vmx_acpi *acpi, struct vmx_memory *memory, uint64_t *rsdp)
{
	struct bytes tables = { .room = TABLES_SIZE };
	struct vmx_memory map = *memory;
	int error = check(acpi, memory);

	if (error)
		return error;
	error = change_map(&map, acpi);
	if (error)
		return error;
	tables.data = calloc(1, tables.room);
	if (!tables.data)
		return vmx_fail(ENOMEM, "Out of memory for ACPI tables");
	put_tables(&tables, acpi);
	if (tables.full) {
		error = vmx_fail(ENOSPC, "ACPI tables of %u CPUs do not fit below 1 MiB",
				 acpi->cpus);
	} else {
		memcpy(memory->ram + VMX_ACPI_TABLES, tables.data, TABLES_SIZE);
		if (acpi->mailbox)
			memset(memory->ram + VMX_ACPI_MAILBOX, 0, FIRMWARE_END - VMX_ACPI_MAILBOX);
		*memory = map;
		*rsdp = VMX_ACPI_TABLES;
	}
	free(tables.data);
	return error;
}
