// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The target of a migration. The input changes bytes of what a good source sends, and has the
 * checksums made right again, so that the values get to the machine. Or it is what is sent.
 */
#include "../tests/fake_module.h"

#include <sys/socket.h>

#include <libvmx/migrate.h>

#include "../migrate/wire.h"
#include "../state/state.h"

#define MEMORY	(1u << 20)
#define PAGE	4096
#define HEAD	24

static struct vmx_machine machines[2];

static struct vmx_machine *make(unsigned int number)
{
	struct vmx_machine *machine = &machines[number];

	memset(machine, 0, sizeof(*machine));
	machine->config = (struct vmx_machine_config){ .memory = MEMORY, .cpus = FAKE_CPUS };
	if (fake_machine(machine, number, calloc(1, MEMORY)))
		abort();
	return machine;
}

static void unmake(struct vmx_machine *machine)
{
	vmx_bus_free(&machine->ports);
	vmx_bus_free(&machine->mmio);
	free(machine->memory.ram);
}

/* A byte that all of the pages have. */
static bool unpack(void *to, size_t length, const void *from, size_t packed)
{
	memset(to, packed ? *(const char *)from : 0, length);
	return length == packed * PAGE;
}

static const struct vmx_migration_codec codec = { .unpack = unpack };

/* What a source sends. */
struct talk {
	unsigned char bytes[1 << 19];
	size_t length;
};

static void send_state(struct wire *wire, const struct vmx_saved_table *table,
		       struct vmx_machine *machine)
{
	struct state_writer writer = { .bytes = NULL };
	struct message_state message;

	machine->still = true;
	if (state_write_machine(&writer, machine))
		abort();
	state_end(&writer);
	message = (struct message_state){
		.length = writer.count, .checksum = wire_checksum(writer.bytes, writer.count),
	};
	wire_send(wire, table, &message, writer.bytes, writer.count);
	free(writer.bytes);
}

static void send_pages(struct wire *wire, bool packed)
{
	static unsigned char data[2 * PAGE];
	struct message_pages message = {
		.count = 3, .numbers = { 1, 5, 9 }, .zero = 2, .packed = packed,
		.length = packed ? 2 : sizeof(data),
	};

	memset(data, 0x55, sizeof(data));
	message.checksum = wire_checksum(data, message.length);
	wire_send(wire, &message_pages, &message, data, message.length);
}

static void record(struct talk *talk)
{
	struct vmx_machine *machine = make(0);
	const struct message_round round = { .number = 1 };
	const struct message_commit commit = { .pages = 4 };
	struct wire wire = { 0 };
	int ends[2], most = sizeof(talk->bytes);
	ssize_t got;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) ||
	    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &most, sizeof(most)))
		abort();
	wire.fd = ends[0];
	wire_send_head(&wire);
	send_state(&wire, &message_offer, machine);
	send_pages(&wire, false);
	wire_send(&wire, &message_round, &round, NULL, 0);
	send_pages(&wire, true);
	send_state(&wire, &message_state, machine);
	wire_send(&wire, &message_commit, &commit, NULL, 0);
	close(ends[0]);
	while ((got = read(ends[1], talk->bytes + talk->length,
			   sizeof(talk->bytes) - talk->length)) > 0)
		talk->length += got;
	close(ends[1]);
	unmake(machine);
}

/* Of a stream within a message, too. */
static void mend_sections(unsigned char *bytes, size_t length, bool messages)
{
	struct state_header header;

	for (size_t at = HEAD; at + sizeof(header) <= length;) {
		unsigned char *payload = bytes + at + sizeof(header);
		size_t left = length - at - sizeof(header);
		uint64_t data = 0, sum;

		memcpy(&header, bytes + at, sizeof(header));
		if (header.length > left)
			return;
		left -= header.length;
		if (messages && header.length == sizeof(struct message_state)) {
			memcpy(&data, payload, sizeof(data));
			if (data > left)
				return;
			mend_sections(payload + header.length, data, false);
			sum = wire_checksum(payload + header.length, data);
			memcpy(payload + 8, &sum, sizeof(sum));
		} else if (messages && !strncmp(header.name, "pages", sizeof(header.name)) &&
			   header.length > 12) {
			memcpy(&data, payload + header.length - 12, 4);
			if (data > left)
				return;
			sum = wire_checksum(payload + header.length, data);
			memcpy(payload + header.length - 8, &sum, sizeof(sum));
		}
		header.checksum = state_checksum(&header, payload);
		memcpy(bytes + at, &header, sizeof(header));
		at += sizeof(header) + header.length + data;
	}
}

static void receive(int fd)
{
	struct vmx_saved_config config;
	struct vmx_incoming *incoming;
	struct vmx_machine *machine;
	bool paused;
	int ret = vmx_incoming_open(&incoming, fd, &codec, &config);

	if (ret)
		return;
	machine = make(0);
	ret = config.memory == MEMORY && config.cpus == FAKE_CPUS ?
	      vmx_incoming_check(incoming, machine) : -1;
	unmake(machine);
	machine = make(1);
	ret = ret ?: vmx_incoming_receive(incoming, machine);
	/* Nobody runs it: its virtual CPUs are at rest. */
	for (unsigned int n = 0; n < FAKE_CPUS; n++)
		machine->cpus[n].parked = true;
	if (!ret)
		vmx_incoming_finish(incoming, machine, NULL, NULL, NULL, &paused);
	vmx_incoming_close(incoming);
	unmake(machine);
}

static void try_talk(const unsigned char *bytes, size_t length)
{
	int ends[2], most = 1 << 20;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) ||
	    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &most, sizeof(most)) ||
	    send(ends[0], bytes, length, MSG_DONTWAIT) != (ssize_t)length ||
	    shutdown(ends[0], SHUT_WR))
		abort();
	receive(ends[1]);
	close(ends[0]);
	close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each four bytes are a place, and a byte that goes there. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct talk good, talk;

	if (!good.length)
		record(&good);
	if (size && data[0] == 'v') {
		try_talk(data, size);
		return 0;
	}
	talk = good;
	for (; size >= 4; data += 4, size -= 4)
		talk.bytes[(data[0] | data[1] << 8 | data[2] << 16) % talk.length] = data[3];
	mend_sections(talk.bytes, talk.length, true);
	try_talk(talk.bytes, talk.length);
	return 0;
}
