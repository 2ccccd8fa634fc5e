// SPDX-License-Identifier: GPL-2.0
/* Emulates any code with any registers and page tables: no hang, no read outside guest memory. */
#include <stdlib.h>
#include <string.h>

#include <libvmx.h>
#include <libvmx/emulate.h>

#define RAM_SIZE	0x8000
#define TABLES		0x1000
#define CODE		0x7000

/* What the input begins with. */
struct start {
	struct {
		uint64_t regs[16];
		uint64_t rflags, cr0, cr3, cr4, efer;
		uint32_t cs_access, ss_access;
		uint16_t cs_base, rip;
	} state;
	uint8_t segments[32];		/* bytes that fields are made of */
	uint8_t kind;			/* how much of it is taken as it is */
	uint8_t io;
	uint8_t code[15];
};

struct machine {
	unsigned char *ram;
	const struct start *start;
	unsigned int accesses;
};

static void *host(void *data, uint64_t gpa, size_t length, bool write)
{
	struct machine *machine = data;

	(void)write;
	if (gpa / 4096 != (gpa + length - 1) / 4096)
		abort();
	if (gpa >= RAM_SIZE)
		return NULL;
	return machine->ram + gpa;
}

static void written(void *data, uint64_t gpa, size_t length)
{
	if (!host(data, gpa, length, true))
		abort();
}

static uint64_t read_any(void *data, uint64_t gpa, unsigned int size)
{
	struct machine *machine = data;

	if (size != 1 && size != 2 && size != 4 && size != 8)
		abort();
	machine->accesses++;
	return gpa * 0x9e3779b97f4a7c15;
}

static void write_any(void *data, uint64_t gpa, unsigned int size, uint64_t value)
{
	read_any(data, gpa, size);
	if (size < 8 && value >> 8 * size)
		abort();
}

static uint64_t in(void *data, uint16_t port, unsigned int size)
{
	return read_any(data, port, size);
}

static void out(void *data, uint16_t port, unsigned int size, uint64_t value)
{
	write_any(data, port, size, value);
}

static int field(void *data, uint32_t number, uint64_t *value)
{
	struct machine *machine = data;

	memset(value, machine->start->segments[number / 2 % 32], sizeof(*value));
	return 0;
}

static int xmm(void *data, unsigned int n, uint8_t bytes[16], bool write)
{
	(void)data;
	if (n > 15)
		abort();
	if (!write)
		memset(bytes, n, 16);
	return 0;
}

static const struct vmx_emulator_ops ops = {
	.host = host, .written = written, .read = read_any, .write = write_any, .in = in,
	.out = out, .field = field, .xmm = xmm,
};

/* Most inputs should get past the page tables: one that maps the first MBytes, in each mode. */
static void make_tables(struct vmx_run_page *run, unsigned char *ram)
{
	uint64_t entry = 0xe7;
	uint32_t entry32 = 0xe7;

	run->cr0 |= 0x80000001;
	run->cr3 = TABLES;
	if (!(run->cr4 & 0x20)) {
		run->cr4 |= 0x10;
		memcpy(ram + TABLES, &entry32, sizeof(entry32));
		return;
	}
	run->cr4 &= ~(1ull << 12);
	entry = (TABLES + 4096) | (run->efer & 0x400 ? 7 : 1);
	memcpy(ram + TABLES, &entry, sizeof(entry));
	if (run->efer & 0x400) {
		entry = (TABLES + 2 * 4096) | 7;
		memcpy(ram + TABLES + 4096, &entry, sizeof(entry));
	}
	entry = 0xe7;
	memcpy(ram + TABLES + (run->efer & 0x400 ? 2 : 1) * 4096, &entry, sizeof(entry));
}

static void make_run_page(const struct start *start, struct vmx_run_page *run)
{
	memcpy(run->regs, start->state.regs, sizeof(run->regs));
	run->rflags = start->state.rflags;
	run->cr0 = start->state.cr0;
	run->cr3 = start->state.cr3;
	run->cr4 = start->state.cr4;
	run->efer = start->state.efer;
	run->cs_access = start->state.cs_access;
	run->ss_access = start->state.ss_access;
	run->cs_base = start->kind & 1 ? 0 : start->state.cs_base;
	run->rip = start->kind & 1 ? CODE : start->state.rip;
	run->valid = UINT32_MAX & ~VMX_VALID_FAILURE;
	run->reason = VMX_REASON_IO;
	run->io_flags = start->io & 7;
	run->io_size = 1 << (start->io >> 3 & 3);
	run->io_port = start->io;
	if (start->kind & 8)
		for (unsigned int n = 0; n < 16; n++)
			run->regs[n] &= 0x3fffff;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmx_run_page run = { 0 };
	struct vmx_emulator emulator;
	struct machine machine;
	struct start start;
	int ret;

	if (size < sizeof(start))
		return 0;
	memcpy(&start, data, sizeof(start));
	data += sizeof(start);
	size -= sizeof(start);
	machine = (struct machine){ aligned_alloc(4096, RAM_SIZE), &start, 0 };
	memset(machine.ram, 0, RAM_SIZE);
	for (size_t n = 0; size && n < RAM_SIZE; n += 64)
		memcpy(machine.ram + n, data, size < 64 ? size : 64);
	make_run_page(&start, &run);
	if (start.kind & 2)
		make_tables(&run, machine.ram);
	memcpy(machine.ram + CODE, start.code, sizeof(start.code));

	vmx_emulator_init(&emulator, &ops, &machine, 32 + (start.kind >> 4));
	emulator.burst = 64;
	if (start.kind & 4)
		ret = vmx_emulate_io(&emulator, &run);
	else
		ret = vmx_emulate(&emulator, &run);
	if (ret > VMX_EMULATE_INJECT || (ret == VMX_EMULATE_INJECT && run.retire) ||
	    machine.accesses > 64 * 16 || (run.retire && (run.length < 1 || run.length > 15)))
		abort();
	free(machine.ram);
	return 0;
}
