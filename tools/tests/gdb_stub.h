/* SPDX-License-Identifier: GPL-2.0 */
/* A stub whose target is two vCPUs without a machine: registers, some memory, a diary. */
#ifndef GDB_STUB_H
#define GDB_STUB_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <libvmx.h>
#include <libvmx/gdb.h>

#define MEMORY_AT	0x1000
#define MEMORY_SIZE	0x2000
#define CPUS		2

struct stub {
	struct vmx_gdb gdb;
	struct vmx_gdb_registers registers[CPUS];
	uint8_t memory[MEMORY_SIZE];
	char diary[256];	/* what was asked for last */
	char sent[16384];	/* what went out since it was cleared */
	size_t sent_length;
};

static int stub_read_registers(void *context, unsigned int cpu, struct vmx_gdb_registers *registers)
{
	struct stub *stub = context;

	*registers = stub->registers[cpu];
	return 0;
}

/* As with a machine, control registers stay as they are. */
static int stub_write_registers(void *context, unsigned int cpu,
				const struct vmx_gdb_registers *registers)
{
	struct stub *stub = context;
	uint64_t cr0 = stub->registers[cpu].cr0;

	stub->registers[cpu] = *registers;
	stub->registers[cpu].cr0 = cr0;
	return 0;
}

static size_t in_memory(uint64_t address, size_t length)
{
	if (address < MEMORY_AT || address >= MEMORY_AT + MEMORY_SIZE)
		return 0;
	return length < MEMORY_AT + MEMORY_SIZE - address ? length :
	       MEMORY_AT + MEMORY_SIZE - address;
}

static size_t stub_read_memory(void *context, unsigned int cpu, uint64_t address, void *bytes,
			       size_t length)
{
	struct stub *stub = context;
	size_t size = in_memory(address, length);

	(void)cpu;
	if (size)
		memcpy(bytes, &stub->memory[address - MEMORY_AT], size);
	return size;
}

static size_t stub_write_memory(void *context, unsigned int cpu, uint64_t address,
				const void *bytes, size_t length)
{
	struct stub *stub = context;
	size_t size = in_memory(address, length);

	(void)cpu;
	if (size)
		memcpy(&stub->memory[address - MEMORY_AT], bytes, size);
	return size;
}

static int stub_set_point(void *context, unsigned int cpu, enum vmx_gdb_point point,
			  uint64_t address, uint64_t length, bool on)
{
	struct stub *stub = context;

	snprintf(stub->diary, sizeof(stub->diary), "%s %u at %#llx, %llu, vCPU %u",
		 on ? "set" : "remove", point, (unsigned long long)address,
		 (unsigned long long)length, cpu);
	return in_memory(address, 1) ? 0 : -EFAULT;
}

static const char *stub_state(void *context, unsigned int cpu)
{
	(void)context;
	return cpu ? "halted" : "active";
}

static void stub_resume(void *context, const uint8_t *actions)
{
	static const char *const names[] = { "hold", "run", "step" };
	struct stub *stub = context;

	snprintf(stub->diary, sizeof(stub->diary), "%s %s", names[actions[0]], names[actions[1]]);
}

static void stub_interrupt(void *context)
{
	struct stub *stub = context;

	snprintf(stub->diary, sizeof(stub->diary), "interrupt");
}

static void stub_kill(void *context)
{
	struct stub *stub = context;

	snprintf(stub->diary, sizeof(stub->diary), "kill");
}

static void stub_send(void *host, const void *bytes, size_t length)
{
	struct stub *stub = host;

	if (length > sizeof(stub->sent) - 1 - stub->sent_length)
		length = sizeof(stub->sent) - 1 - stub->sent_length;
	memcpy(stub->sent + stub->sent_length, bytes, length);
	stub->sent_length += length;
	stub->sent[stub->sent_length] = '\0';
}

static void stub_init(struct stub *stub, bool wide)
{
	static const struct vmx_gdb_target target = {
		.read_registers = stub_read_registers, .write_registers = stub_write_registers,
		.read_memory = stub_read_memory, .write_memory = stub_write_memory,
		.set_point = stub_set_point, .state = stub_state, .resume = stub_resume,
		.interrupt = stub_interrupt, .kill = stub_kill,
	};
	struct vmx_gdb_config config = {
		.target = &target, .context = stub, .cpus = CPUS, .wide = wide, .send = stub_send,
		.host = stub,
	};

	memset(stub, 0, sizeof(*stub));
	vmx_gdb_init(&stub->gdb, &config);
}

#endif /* GDB_STUB_H */
