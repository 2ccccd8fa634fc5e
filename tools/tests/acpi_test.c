// SPDX-License-Identifier: GPL-2.0
/*
 * ACPI tables, read back as a system reads them. Where ACPICA's tools are installed (Debian's
 * acpica-tools), they judge the tables as well.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libvmx.h>
#include <libvmx/firmware.h>

#include "../firmware/acpi.h"
#include "guest_memory.h"
#include "kselftest_harness.h"

static uint8_t sum(const unsigned char *data, size_t size)
{
	uint8_t sum = 0;

	while (size--)
		sum += *data++;
	return sum;
}

FIXTURE(acpi) {
	struct vmx_memory memory;
	struct vmx_acpi acpi;
	uint64_t rsdp;
	unsigned char *ram;
};

FIXTURE_SETUP(acpi)
{
	self->ram = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->ram);
	ASSERT_EQ(0, vmx_memory_init(&self->memory, self->ram, 4 * MIB, 0xc0000000));
	vmx_acpi_init(&self->acpi, &self->memory, 2);
}

FIXTURE_TEARDOWN(acpi)
{
	munmap(self->ram, 4 * MIB);
}

/* Finds the root pointer as a system without a hint does: by a search on 16-byte boundaries. */
static const unsigned char *search_rsdp(const unsigned char *ram)
{
	for (uint32_t at = 0xe0000; at < 0x100000; at += 16)
		if (!memcmp(ram + at, "RSD PTR ", 8) && !sum(ram + at, 20))
			return ram + at;
	return NULL;
}

/* The table with a signature, found from the root and found good, or NULL. */
static const unsigned char *find_table(const unsigned char *ram, const char *signature)
{
	const unsigned char *rsdp = search_rsdp(ram);
	const unsigned char *xsdt, *table;

	if (!rsdp || rsdp[15] != 2 || number(rsdp + 20, 4) != 36 || sum(rsdp, 36))
		return NULL;
	xsdt = ram + number(rsdp + 24, 8);
	if (memcmp(xsdt, "XSDT", 4) || sum(xsdt, number(xsdt + 4, 4)))
		return NULL;
	for (uint32_t at = 36; at < number(xsdt + 4, 4); at += 8) {
		table = ram + number(xsdt + at, 8);
		if (memcmp(table, signature, 4))
			continue;
		return sum(table, number(table + 4, 4)) ? NULL : table;
	}
	return NULL;
}

TEST_F(acpi, the_root_is_found)
{
	ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
	EXPECT_EQ(self->ram + self->rsdp, search_rsdp(self->ram));
	EXPECT_NE(NULL, find_table(self->ram, "FACP"));
	EXPECT_NE(NULL, find_table(self->ram, "APIC"));
	EXPECT_EQ(NULL, find_table(self->ram, "MCFG"));
	/* And nothing but tables has changed. */
	for (uint32_t at = 0; at < 4 * MIB; at++)
		if (at < VMX_ACPI_TABLES || at >= VMX_ACPI_PARK)
			ASSERT_EQ(0, self->ram[at]);
	/* The guest's map has them in memory that it leaves alone. */
	for (unsigned int n = 0; n < self->memory.count; n++) {
		const struct vmx_memory_range *range = &self->memory.map[n];

		if (range->base < VMX_ACPI_PARK && range->base + range->size > VMX_ACPI_TABLES)
			EXPECT_EQ(VMX_RANGE_RESERVED, range->type);
	}
}

TEST_F(acpi, fadt)
{
	const unsigned char *fadt, *dsdt, *facs;

	ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
	fadt = find_table(self->ram, "FACP");
	ASSERT_NE(NULL, fadt);
	EXPECT_EQ(276, number(fadt + 4, 4));
	EXPECT_EQ(9, number(fadt + 46, 2));
	EXPECT_EQ(0, number(fadt + 48, 4));		/* no SMI: ACPI from the start */
	EXPECT_EQ(0x600, number(fadt + 56, 4));		/* PM1a event */
	EXPECT_EQ(0x604, number(fadt + 64, 4));		/* PM1a control */
	EXPECT_EQ(0x608, number(fadt + 76, 4));		/* timer */
	EXPECT_EQ(0x60c, number(fadt + 80, 4));		/* general-purpose events 0 to 7 */
	EXPECT_EQ(2, fadt[92]);
	EXPECT_EQ(4, fadt[88]);
	EXPECT_EQ(2, fadt[89]);
	EXPECT_EQ(4, fadt[91]);
	EXPECT_EQ(0x32, fadt[108]);
	EXPECT_EQ(0x5, number(fadt + 109, 2));		/* legacy devices, no 8042, no VGA */
	EXPECT_EQ(0x565, number(fadt + 112, 4));
	EXPECT_EQ(1, fadt[116]);			/* reset: a port of 8 bits */
	EXPECT_EQ(8, fadt[117]);
	EXPECT_EQ(0xcf9, number(fadt + 120, 8));
	EXPECT_EQ(6, fadt[128]);
	facs = self->ram + number(fadt + 36, 4);
	EXPECT_EQ(0, memcmp(facs, "FACS", 4));
	EXPECT_EQ(64, number(facs + 4, 4));
	EXPECT_EQ(0, number(fadt + 36, 4) % 64);
	EXPECT_EQ(number(fadt + 40, 4), number(fadt + 140, 8));
	dsdt = self->ram + number(fadt + 140, 8);
	EXPECT_EQ(0, memcmp(dsdt, "DSDT", 4));
	EXPECT_EQ(0, sum(dsdt, number(dsdt + 4, 4)));
}

TEST_F(acpi, fadt_without)
{
	const unsigned char *fadt;

	self->acpi.reset_port = 0;
	self->acpi.rtc = false;
	self->acpi.keyboard = true;
	ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
	fadt = find_table(self->ram, "FACP");
	ASSERT_NE(NULL, fadt);
	EXPECT_EQ(0, number(fadt + 112, 4) & 0x400);
	EXPECT_EQ(0, number(fadt + 120, 8));
	EXPECT_EQ(0x27, number(fadt + 109, 2));
	EXPECT_EQ(0, fadt[108]);
}

/* The Nth structure of a type in the MADT, or NULL. */
static const unsigned char *find_structure(const unsigned char *madt, int type, int n)
{
	for (uint32_t at = 44; at < number(madt + 4, 4); at += madt[at + 1]) {
		if (!madt[at + 1])
			return NULL;
		if (madt[at] == type && !n--)
			return madt + at;
	}
	return NULL;
}

TEST_F(acpi, madt)
{
	const unsigned char *madt, *at;

	ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
	madt = find_table(self->ram, "APIC");
	ASSERT_NE(NULL, madt);
	EXPECT_EQ(0xfee00000, number(madt + 36, 4));
	EXPECT_EQ(1, number(madt + 40, 4));
	for (int n = 0; n < 2; n++) {
		at = find_structure(madt, 0, n);
		ASSERT_NE(NULL, at);
		EXPECT_EQ(n, at[2]);
		EXPECT_EQ(n, at[3]);
		EXPECT_EQ(1, number(at + 4, 4));
	}
	EXPECT_EQ(NULL, find_structure(madt, 0, 2));
	EXPECT_EQ(NULL, find_structure(madt, 9, 0));
	at = find_structure(madt, 1, 0);
	ASSERT_NE(NULL, at);
	EXPECT_EQ(0xfec00000, number(at + 4, 4));
	EXPECT_EQ(0, number(at + 8, 4));
	at = find_structure(madt, 2, 0);
	ASSERT_NE(NULL, at);
	EXPECT_EQ(0, at[3]);
	EXPECT_EQ(2, number(at + 4, 4));
	at = find_structure(madt, 2, 1);
	ASSERT_NE(NULL, at);
	EXPECT_EQ(9, at[3]);
	EXPECT_EQ(9, number(at + 4, 4));
	EXPECT_EQ(0xd, number(at + 8, 2));
	at = find_structure(madt, 4, 0);
	ASSERT_NE(NULL, at);
	EXPECT_EQ(0xff, at[2]);
	EXPECT_EQ(1, at[5]);
	EXPECT_EQ(NULL, find_structure(madt, 10, 0));
	EXPECT_EQ(NULL, find_structure(madt, 16, 0));
}

TEST_F(acpi, madt_with_many)
{
	const unsigned char *madt, *at;

	self->acpi.cpus = 300;
	ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
	madt = find_table(self->ram, "APIC");
	ASSERT_NE(NULL, madt);
	at = find_structure(madt, 0, 254);
	ASSERT_NE(NULL, at);
	EXPECT_EQ(254, at[3]);
	EXPECT_EQ(NULL, find_structure(madt, 0, 255));
	at = find_structure(madt, 9, 0);
	ASSERT_NE(NULL, at);
	EXPECT_EQ(255, number(at + 4, 4));
	EXPECT_EQ(1, number(at + 8, 4));
	EXPECT_EQ(255, number(at + 12, 4));
	EXPECT_NE(NULL, find_structure(madt, 4, 0));
	EXPECT_NE(NULL, find_structure(madt, 10, 0));
}

TEST_F(acpi, madt_x2apic_and_mailbox)
{
	const unsigned char *madt, *at;
	bool nvs = false;

	self->acpi.x2apic = true;
	self->acpi.mailbox = true;
	self->ram[VMX_ACPI_MAILBOX] = 1;
	ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
	madt = find_table(self->ram, "APIC");
	ASSERT_NE(NULL, madt);
	EXPECT_EQ(NULL, find_structure(madt, 0, 0));
	EXPECT_NE(NULL, find_structure(madt, 9, 1));
	EXPECT_EQ(NULL, find_structure(madt, 4, 0));
	EXPECT_NE(NULL, find_structure(madt, 10, 0));
	at = find_structure(madt, 16, 0);
	ASSERT_NE(NULL, at);
	EXPECT_EQ(16, at[1]);
	EXPECT_EQ(0, number(at + 2, 6));
	EXPECT_EQ(VMX_ACPI_MAILBOX, number(at + 8, 8));
	EXPECT_EQ(0, self->ram[VMX_ACPI_MAILBOX]);
	for (unsigned int n = 0; n < self->memory.count; n++)
		nvs |= self->memory.map[n].type == VMX_RANGE_NVS &&
		       self->memory.map[n].base <= VMX_ACPI_MAILBOX &&
		       self->memory.map[n].base + self->memory.map[n].size == MIB;
	EXPECT_TRUE(nvs);
}

TEST_F(acpi, impossible_machines_are_refused)
{
	struct vmx_acpi good = self->acpi;
	struct vmx_memory small;

#define EXPECT_REFUSED(error, change) do {						\
	self->acpi = good;								\
	self->acpi.change;								\
	EXPECT_EQ(-(error), vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));	\
} while (0)
	EXPECT_REFUSED(EINVAL, cpus = 0);
	EXPECT_REFUSED(EINVAL, cpus = 1025);
	EXPECT_REFUSED(EINVAL, sci = 2);
	EXPECT_REFUSED(EINVAL, sci = 16);
	EXPECT_REFUSED(EINVAL, power = 0x601);
	EXPECT_REFUSED(EINVAL, power = 0xfff8);
	EXPECT_REFUSED(EINVAL, pci_base = 0x1000);
	EXPECT_REFUSED(EINVAL, pci_size = 0x80000001);
	ASSERT_EQ(0, vmx_memory_init(&small, self->ram, 0xff000, 0xc0000000));
	EXPECT_EQ(-EINVAL, vmx_acpi_write(&good, &small, &self->rsdp));
	for (uint32_t at = 0; at < 4 * MIB; at++)
		ASSERT_EQ(0, self->ram[at]);
}

TEST_F(acpi, many_shapes)
{
	const unsigned char *fadt;

	for (self->acpi.cpus = 1; self->acpi.cpus <= VMX_ACPI_CPUS_MAX; self->acpi.cpus++) {
		ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
		fadt = find_table(self->ram, "FACP");
		ASSERT_NE(NULL, fadt);
		ASSERT_EQ(0, number(fadt + 36, 4) % 64);
		ASSERT_EQ(0, memcmp(self->ram + number(fadt + 36, 4), "FACS", 4));
		if (self->acpi.cpus > 20)
			self->acpi.cpus += 90;
	}
	/* As many as there may be. */
	self->acpi.cpus = VMX_ACPI_CPUS_MAX;
	EXPECT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
}

/* Package () { slot << 16 | 0xffff, pin, 0, gsi }, for slots from 1 on */
static bool routed(const unsigned char *dsdt, unsigned int slot, unsigned int pin, unsigned int gsi)
{
	unsigned char entry[] = { 0x04, 0x0c, 0xff, 0xff, slot, 0, 0x0a, pin, 0, 0x0a, gsi };

	/* Pins 0 and 1 are ZeroOp and OneOp. */
	if (pin < 2)
		memmove(entry + 6, entry + 7, 4);
	return memmem(dsdt, number(dsdt + 4, 4), entry, sizeof(entry) - (pin < 2));
}

/* WordIO (ResourceProducer, ..., 0, min, max, 0, max - min + 1) */
static bool has_ports(const unsigned char *dsdt, unsigned int min, unsigned int max)
{
	const unsigned int length = max - min + 1;
	const unsigned char window[] = {
		0, 0, min, min >> 8, max, max >> 8, 0, 0, length, length >> 8,
	};
	const unsigned char *at = memmem(dsdt, number(dsdt + 4, 4), window, sizeof(window));

	return at && at[-6] == 0x88 && at[-5] == 0x0d && at[-3] == 1;
}

/* RAM beside them is the guest's. */
TEST_F(acpi, tables_stay_in_their_place)
{
	uint32_t at = 0;

	memset(self->ram, 0x5a, 4 * MIB);
	ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
	while (at < 4 * MIB && (self->ram[at] == 0x5a ||
				(at >= VMX_ACPI_TABLES && at < VMX_ACPI_GENERATION)))
		at++;
	EXPECT_EQ(4 * MIB, at);
}

TEST_F(acpi, ports_of_the_bridge)
{
	const unsigned char *fadt, *dsdt;

	ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
	fadt = find_table(self->ram, "FACP");
	ASSERT_NE(NULL, fadt);
	dsdt = self->ram + number(fadt + 140, 8);
	EXPECT_TRUE(has_ports(dsdt, 0, 0xcf7));
	EXPECT_TRUE(has_ports(dsdt, 0xd00, 0xffff));
	/* A machine has a serial port unless it says otherwise. */
	EXPECT_NE(NULL, memmem(dsdt, number(dsdt + 4, 4), "COM1", 4));
}

/* IO (Decode16, port, port, ..., 1) */
static bool has_port(const unsigned char *dsdt, unsigned int port)
{
	const unsigned char item[] = { 0x47, 1, port, port >> 8, port, port >> 8 };
	const unsigned char *at = memmem(dsdt, number(dsdt + 4, 4), item, sizeof(item));

	return at && at[7] == 1;
}

TEST_F(acpi, keyboard)
{
	/* IO (Decode16, 0x64, 0x64, 1, 1), IRQNoFlags () { 1 } */
	static const unsigned char port_and_irq[] = { 0x64, 0, 0x64, 0, 1, 1, 0x22, 1 << 1, 0 };
	const unsigned char *fadt, *dsdt;

	self->acpi.keyboard = true;
	ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
	fadt = find_table(self->ram, "FACP");
	ASSERT_NE(NULL, fadt);
	dsdt = self->ram + number(fadt + 140, 8);
	EXPECT_TRUE(has_port(dsdt, 0x60));
	EXPECT_TRUE(has_port(dsdt, 0x64));
	EXPECT_FALSE(has_port(dsdt, 0x61));
	EXPECT_NE(NULL, memmem(dsdt, number(dsdt + 4, 4), port_and_irq, sizeof(port_and_irq)));
}

TEST_F(acpi, interrupts_of_slots_go_around)
{
	const unsigned char *fadt, *dsdt;

	ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
	fadt = find_table(self->ram, "FACP");
	ASSERT_NE(NULL, fadt);
	dsdt = self->ram + number(fadt + 140, 8);
	for (unsigned int slot = 1; slot < 32; slot++)
		for (unsigned int pin = 0; pin < 4; pin++)
			EXPECT_TRUE(routed(dsdt, slot, pin, 16 + (slot + pin) % 4));
	EXPECT_FALSE(routed(dsdt, 1, 0, 16));
}

/* A PkgLength says how many bytes it and what follows are. */
TEST(aml_lengths)
{
	static unsigned char data[0x12000], contents[0x11000];

	for (size_t inside = 0; inside < sizeof(contents); inside += inside < 0x1100 ? 1 : 251) {
		struct bytes aml = { .data = data, .room = sizeof(data) };
		size_t opened = aml_open(&aml, AML_BUFFER);
		unsigned int follow;
		size_t length;

		bytes_put(&aml, contents, inside);
		aml_close(&aml, opened);
		ASSERT_FALSE(aml.full);
		follow = data[1] >> 6;
		length = follow ? data[1] & 0xf : data[1];
		for (unsigned int n = 0; n < follow; n++)
			length |= (size_t)data[2 + n] << (4 + 8 * n);
		ASSERT_EQ(inside + 1 + follow, length);
		ASSERT_EQ(length + 1, aml.size);
	}
}

/* What does not fit is not written, and said. */
TEST(aml_without_room)
{
	for (size_t room = 0; room < 70; room++) {
		unsigned char *data = malloc(room + !room);
		struct bytes aml = { .data = data, .room = room };
		size_t opened = aml_open(&aml, AML_BUFFER);

		for (int n = 0; n < 64; n++)
			aml_integer(&aml, 0);
		aml_close(&aml, opened);
		EXPECT_EQ(room < 67, aml.full);
		EXPECT_LE(aml.size, room);
		free(data);
	}
}

/* ACPICA's tools. */

FIXTURE(acpica) {
	struct vmx_memory memory;
	struct vmx_acpi acpi;
	uint64_t rsdp;
	unsigned char *ram;
	char folder[32];
	char output[262144];
};

FIXTURE_SETUP(acpica)
{
	self->ram = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->ram);
	ASSERT_EQ(0, vmx_memory_init(&self->memory, self->ram, 4 * MIB, 0xc0000000));
	vmx_acpi_init(&self->acpi, &self->memory, 2);
	self->acpi.keyboard = true;
	self->acpi.mailbox = true;
	self->acpi.pci_size = 0x50000000;
	snprintf(self->folder, sizeof(self->folder), "/tmp/vmx-acpi-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->folder));
}

FIXTURE_TEARDOWN(acpica)
{
	char command[64];

	munmap(self->ram, 4 * MIB);
	snprintf(command, sizeof(command), "rm -rf %s", self->folder);
	EXPECT_EQ(0, system(command));
}

/* Writes a table of the guest to a file NAME.dat. */
static bool save(const char *folder, const char *name, const unsigned char *table)
{
	char path[64];
	FILE *file;
	size_t size = number(table + 4, 4);
	bool good;

	snprintf(path, sizeof(path), "%s/%s.dat", folder, name);
	file = fopen(path, "w");
	if (!file)
		return false;
	good = fwrite(table, 1, size, file) == size;
	return !fclose(file) && good;
}

/* Runs a command in a folder; its output and errors go to OUTPUT. */
static int run(const char *folder, const char *command, char *output, size_t size)
{
	char line[256];
	FILE *pipe;
	size_t got;

	snprintf(line, sizeof(line), "cd %s && { %s; } 2>&1 < /dev/null", folder, command);
	pipe = popen(line, "r");
	if (!pipe)
		return -1;
	got = fread(output, 1, size - 1, pipe);
	output[got] = 0;
	return pclose(pipe);
}

TEST_F(acpica, disassembles_and_assembles)
{
	static const char * const names[] = { "FACP", "APIC" };
	const unsigned char *fadt, *table;

	if (system("command -v iasl > /dev/null"))
		SKIP(return, "iasl is not installed (acpica-tools)");
	ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		table = find_table(self->ram, names[n]);
		ASSERT_NE(NULL, table);
		ASSERT_TRUE(save(self->folder, names[n], table));
	}
	fadt = find_table(self->ram, "FACP");
	ASSERT_TRUE(save(self->folder, "DSDT", self->ram + number(fadt + 140, 8)));
	ASSERT_EQ(0, run(self->folder, "iasl -d *.dat && cat *.dsl", self->output,
			 sizeof(self->output)));
	EXPECT_EQ(NULL, strstr(self->output, "rror"));
	EXPECT_EQ(NULL, strstr(self->output, "arning"));
	EXPECT_EQ(NULL, strstr(self->output, "nvalid"));
	/* The compiler knows more rules than the disassembler. */
	ASSERT_EQ(0, run(self->folder, "iasl -tc DSDT.dsl", self->output, sizeof(self->output)))
		TH_LOG("%s", self->output);
	EXPECT_NE(NULL, strstr(self->output, " 0 Errors, 0 Warnings"))
		TH_LOG("%s", self->output);
}

/* Do the first four routes have these for their interrupts? */
static bool has_pins(const char *output, const unsigned int pins[4])
{
	for (unsigned int pin = 0; pin < 4; pin++) {
		unsigned int got;

		output = strstr(output, "Contains 4 Elements:");
		/* The last of them */
		for (unsigned int n = 0; output && n < 4; n++)
			output = strstr(output + 1, "[Integer] = ");
		if (!output || sscanf(output, "[Integer] = %x", &got) != 1 || got != pins[pin])
			return false;
	}
	return true;
}

TEST_F(acpica, evaluates)
{
	const unsigned char *fadt;

	if (system("command -v acpiexec > /dev/null"))
		SKIP(return, "acpiexec is not installed (acpica-tools)");
	ASSERT_EQ(0, vmx_acpi_write(&self->acpi, &self->memory, &self->rsdp));
	fadt = find_table(self->ram, "FACP");
	ASSERT_TRUE(save(self->folder, "DSDT", self->ram + number(fadt + 140, 8)));
	ASSERT_EQ(0, run(self->folder, "acpiexec -b 'evaluate \\_SB.PCI0._PRT' DSDT.dat",
			 self->output, sizeof(self->output)));
	EXPECT_EQ(NULL, strstr(self->output, "AE_"));
	EXPECT_NE(NULL, strstr(self->output, "[Package] Contains 128 Elements"));
	/* Slot 0 by the 8259As, INTA to INTD; then as the system says by I/O APICs. */
	EXPECT_TRUE(has_pins(self->output, (const unsigned int[]){ 5, 10, 11, 15 }));
	ASSERT_EQ(0, run(self->folder,
			 "acpiexec -b 'evaluate \\_PIC 1; evaluate \\_SB.PCI0._PRT' DSDT.dat",
			 self->output, sizeof(self->output)));
	EXPECT_EQ(NULL, strstr(self->output, "AE_"));
	EXPECT_TRUE(has_pins(self->output, (const unsigned int[]){ 16, 17, 18, 19 }));
	ASSERT_EQ(0, run(self->folder, "acpiexec -b 'resources \\_SB.PCI0' DSDT.dat",
			 self->output, sizeof(self->output)));
	EXPECT_NE(NULL, strstr(self->output, "Address Minimum : 0D00"));
	EXPECT_NE(NULL, strstr(self->output, "Address Maximum : CFFFFFFF"));
	EXPECT_NE(NULL, strstr(self->output, "EndTag Resource"));
	ASSERT_EQ(0, run(self->folder,
			 "acpiexec -b 'evaluate \\_SB.VGEN.ADDR; evaluate \\_GPE._E00' DSDT.dat",
			 self->output, sizeof(self->output)));
	EXPECT_EQ(NULL, strstr(self->output, "AE_"));
	EXPECT_NE(NULL, strstr(self->output, "00000000000F7FF0"))
		TH_LOG("%s", self->output);
	EXPECT_NE(NULL, strstr(self->output, "Received a Device Notify on [VGEN]"))
		TH_LOG("%s", self->output);
}

TEST_HARNESS_MAIN
