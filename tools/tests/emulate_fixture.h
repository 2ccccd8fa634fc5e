/* SPDX-License-Identifier: GPL-2.0 */
/* A guest for the emulator: code, data and a stack, and what a device, a port and fields have. */
#ifndef TESTS_EMULATE_FIXTURE_H
#define TESTS_EMULATE_FIXTURE_H

#include <errno.h>
#include <string.h>

#include <libvmx.h>
#include <libvmx/emulate.h>

#include "../lib/x86.h"
#include "kselftest_harness.h"

#define CODE	0x20000000ull	/* linear: two pages */
#define DATA	0x10000000ull	/* linear: two pages */
#define STACK	0x30000000ull	/* linear: a page */
#define ABSENT	0x40000000ull	/* linear */

#define MMIO	0xd0000000ull	/* guest-physical: two pages of a device */

#define RAM_SIZE	0x10000
#define TABLES		0x0000	/* guest-physical: six tables */
#define RAM_CODE	0x7000
#define RAM_DATA	0x9000
#define RAM_STACK	0xb000

FIXTURE(emulate) {
	_Alignas(4096) unsigned char ram[RAM_SIZE];
	unsigned char device[8192];
	struct vmx_run_page run;
	struct vmx_emulator emulator;
	uint64_t bases[6];
	uint32_t limits[6];
	uint32_t access[6];
	uint8_t xmm[16][16];
	unsigned int reads;
	unsigned int writes;
	unsigned int last_size;
	uint16_t port;
	uint64_t port_value;
	unsigned int field_reads;
	uint64_t rom;			/* a page of RAM that nobody writes, if not 0 */
	unsigned int told;		/* how often it was said that RAM was written */
	uint64_t told_gpa;
	unsigned char told_bytes[16];	/* there, then */
};

typedef FIXTURE_DATA(emulate) emulate_t;

static inline void *host(void *machine, uint64_t gpa, size_t length, bool write)
{
	emulate_t *self = machine;

	if (gpa >= RAM_SIZE || length > RAM_SIZE - gpa)
		return NULL;
	if (write && self->rom && gpa / 4096 == self->rom / 4096)
		return NULL;
	return self->ram + gpa;
}

static inline void written(void *machine, uint64_t gpa, size_t length)
{
	emulate_t *self = machine;

	self->told++;
	self->told_gpa = gpa;
	memcpy(self->told_bytes, self->ram + gpa, length);
}

static inline uint64_t device_read(void *machine, uint64_t gpa, unsigned int size)
{
	emulate_t *self = machine;
	uint64_t value = UINT64_MAX;

	self->reads++;
	self->last_size = size;
	if (gpa >= MMIO && gpa + size <= MMIO + sizeof(self->device))
		memcpy(&value, self->device + gpa - MMIO, size);
	return value;
}

static inline void device_write(void *machine, uint64_t gpa, unsigned int size, uint64_t value)
{
	emulate_t *self = machine;

	self->writes++;
	self->last_size = size;
	if (gpa >= MMIO && gpa + size <= MMIO + sizeof(self->device))
		memcpy(self->device + gpa - MMIO, &value, size);
}

static inline uint64_t port_in(void *machine, uint16_t port, unsigned int size)
{
	emulate_t *self = machine;

	self->port = port;
	self->last_size = size;
	self->reads++;
	return self->port_value++;
}

static inline void port_out(void *machine, uint16_t port, unsigned int size, uint64_t value)
{
	emulate_t *self = machine;

	self->port = port;
	self->last_size = size;
	self->writes++;
	self->port_value = value;
}

static inline int field(void *machine, uint32_t field, uint64_t *value)
{
	emulate_t *self = machine;

	self->field_reads++;
	for (unsigned int n = 0; n < 6; n++) {
		if (field == VMX_F_GUEST_ES_BASE + 2 * n) {
			*value = self->bases[n];
			return 0;
		}
		if (field == VMX_F_GUEST_ES_LIMIT + 2 * n) {
			*value = self->limits[n];
			return 0;
		}
		if (field == VMX_F_GUEST_ES_ACCESS + 2 * n) {
			*value = self->access[n];
			return 0;
		}
	}
	return -EINVAL;
}

static inline int xmm(void *machine, unsigned int n, uint8_t bytes[16], bool write)
{
	emulate_t *self = machine;

	if (write)
		memcpy(self->xmm[n], bytes, 16);
	else
		memcpy(bytes, self->xmm[n], 16);
	return 0;
}

static const struct vmx_emulator_ops ops = {
	.host = host, .written = written, .read = device_read, .write = device_write,
	.in = port_in, .out = port_out, .field = field, .xmm = xmm,
};

static inline uint64_t *entry(emulate_t *self, unsigned int table, unsigned int index)
{
	return (uint64_t *)(self->ram + TABLES + 4096 * table) + index;
}

/* A page of 4 KiB at LINEAR, below 4 GiB; one page table for each GByte's start is enough. */
static inline void map(emulate_t *self, uint64_t linear, uint64_t gpa, unsigned int flags)
{
	unsigned int table = linear >> 28;	/* 1 to 3 */

	*entry(self, 0, 0) = (TABLES + 4096 * 5) | 7;
	*entry(self, 5, 0) = (TABLES + 4096 * 4) | 7;
	*entry(self, 4, linear >> 21) = (TABLES + 4096 * table) | 7;
	*entry(self, table, linear >> 12 & 511) = gpa | flags;
}

#define VALID (VMX_STATE_RIP | VMX_STATE_RSP | VMX_STATE_RFLAGS | VMX_STATE_CR0 | VMX_STATE_CR3 | \
	       VMX_STATE_CR4 | VMX_STATE_EFER | VMX_STATE_CS | VMX_STATE_SS)

FIXTURE_SETUP(emulate)
{
	map(self, CODE, RAM_CODE, 7);
	map(self, CODE + 4096, RAM_CODE + 4096, 7);
	map(self, DATA, MMIO, 7);
	map(self, DATA + 4096, MMIO + 4096, 7);
	map(self, STACK, RAM_STACK, 7);
	vmx_emulator_init(&self->emulator, &ops, self, 46);
	self->run = (struct vmx_run_page){
		.valid = VALID,
		.rflags = 2,
		.rip = CODE,
		.cr0 = CR0_PE | CR0_PG | CR0_WP,
		.cr3 = TABLES,
		.cr4 = CR4_PAE | CR4_OSFXSR,
		.efer = EFER_LME | EFER_LMA | EFER_NXE,
		.cs_access = 0xa09b,
		.ss_access = 0xc093,
	};
	for (unsigned int n = 0; n < 6; n++) {
		self->limits[n] = 0xffffffff;
		self->access[n] = 0xc093;
	}
}

FIXTURE_TEARDOWN(emulate)
{
}

static inline void put_code(emulate_t *self, const void *bytes, size_t length)
{
	memcpy(self->ram + RAM_CODE + (self->run.rip - CODE), bytes, length);
}

static inline int emulate(emulate_t *self, const void *bytes, size_t length)
{
	self->run.retire = 0;
	self->run.dirty = 0;
	self->run.inject_info = 0;
	put_code(self, bytes, length);
	return vmx_emulate(&self->emulator, &self->run);
}

#define EMULATE(bytes) emulate(self, bytes, sizeof(bytes) - 1)

static inline void expect_exception(struct __test_metadata *_metadata, emulate_t *self, int ret,
				    uint32_t vector, uint32_t error, uint64_t cr2)
{
	uint32_t info = VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | vector;

	if (vector != VECTOR_UD && vector != VECTOR_NM && self->run.cr0 & CR0_PE)
		info |= VMX_INTR_ERROR_CODE;
	ASSERT_EQ(VMX_EMULATE_INJECT, ret);
	EXPECT_EQ(info, self->run.inject_info);
	EXPECT_EQ(error, self->run.inject_error);
	EXPECT_EQ(cr2, self->emulator.exception.cr2);
	EXPECT_EQ(0, self->run.retire);
	EXPECT_TRUE(self->run.rflags & RFLAGS_RF);
	EXPECT_TRUE(self->run.dirty & VMX_STATE_RFLAGS);
	self->run.rflags &= ~RFLAGS_RF;
}

#endif /* TESTS_EMULATE_FIXTURE_H */
