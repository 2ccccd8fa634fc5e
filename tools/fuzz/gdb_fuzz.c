// SPDX-License-Identifier: GPL-2.0
/*
 * Attacks the gdb stub. Lines of the input become packets with a correct checksum, or the input
 * goes in unchanged. vCPUs stop whenever they run.
 */
#include <stdlib.h>

#include "../tests/gdb_stub.h"

static struct stub stub;

static void stop(uint8_t what)
{
	struct vmx_gdb_stop stop = {
		.cpu = what % CPUS, .at_point = what & 4, .interrupted = what & 8,
		.point = what >> 4 & 3, .address = MEMORY_AT + what,
	};

	vmx_gdb_stopped(&stub.gdb, &stop);
}

static void send_line(const uint8_t *line, size_t length)
{
	uint8_t sum = 0;
	char end[4];

	for (size_t n = 0; n < length; n++)
		sum += line[n];
	snprintf(end, sizeof(end), "#%02x", sum);
	vmx_gdb_receive(&stub.gdb, "$", 1);
	vmx_gdb_receive(&stub.gdb, line, length);
	vmx_gdb_receive(&stub.gdb, end, 3);
	if (stub.gdb.running)
		stop(sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	stub_init(&stub, data[0] & 1);
	if (data[0] & 2) {
		vmx_gdb_receive(&stub.gdb, data + 1, size - 1);
		return 0;
	}
	for (size_t at = 1; at < size && !stub.gdb.gone;) {
		const uint8_t *newline = memchr(data + at, '\n', size - at);
		size_t length = newline ? (size_t)(newline - data - at) : size - at;

		stub.sent_length = 0;
		send_line(data + at, length);
		at += length + 1;
	}
	return 0;
}
