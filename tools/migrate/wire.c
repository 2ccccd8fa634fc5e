// SPDX-License-Identifier: LGPL-2.1-or-later
/* Messages: a section's header, a payload by a table, and perhaps data behind it. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define XXH_INLINE_ALL	/* The library needs no other one for it. */
#include <xxhash.h>

#include <libvmx.h>

#include "../lib/internal.h"
#include "wire.h"

#define NS	1000000000ull

struct wire_head {
	char magic[16];
	uint32_t version;
	uint32_t reserved;
};

static const char magic[sizeof(((struct wire_head *)0)->magic)] = "vmx migration";

uint64_t wire_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS + now.tv_nsec;
}

static int cut_off(int error)
{
	if (!error)
		return vmx_fail(EPIPE, "the line is cut: the other side is gone");
	return vmx_fail(EPIPE, "the line is cut: %s", strerror(error));
}

/* A limit is kept over any time that is longer than a message takes. */
static void wait_for_turn(struct wire *wire, size_t length)
{
	struct timespec due;

	if (!wire->limit)
		return;
	if (wire->due < wire_now())
		wire->due = wire_now();
	due.tv_sec = wire->due / NS;
	due.tv_nsec = wire->due % NS;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
		;
	wire->due += length * NS / wire->limit;
}

static bool is_cancelled(const struct wire *wire)
{
	return wire->cancelled && __atomic_load_n(wire->cancelled, __ATOMIC_RELAXED);
}

static int send_bytes(struct wire *wire, const void *bytes, size_t length, int flags)
{
	const char *at = bytes;

	wire->sent += length;
	while (length) {
		ssize_t done = send(wire->fd, at, length, MSG_NOSIGNAL | flags);

		if (done < 0 && (errno == EINTR || errno == EAGAIN) && !is_cancelled(wire))
			continue;
		if (done < 0)
			return cut_off(errno);
		at += done;
		length -= done;
	}
	return 0;
}

static int receive_bytes(struct wire *wire, void *bytes, size_t length)
{
	char *at = bytes;

	while (length) {
		ssize_t got = recv(wire->fd, at, length, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return cut_off(got ? errno : 0);
		at += got;
		length -= got;
	}
	return 0;
}

int wire_send_head(struct wire *wire)
{
	struct wire_head head = { .version = WIRE_VERSION };

	memcpy(head.magic, magic, sizeof(magic));
	return send_bytes(wire, &head, sizeof(head), 0);
}

int wire_receive_head(struct wire *wire)
{
	struct wire_head head;
	int ret = receive_bytes(wire, &head, sizeof(head));

	if (ret)
		return ret;
	if (memcmp(head.magic, magic, sizeof(magic)))
		return vmx_fail(EINVAL, "the other side is no vmxrun that migrates");
	if (head.version != WIRE_VERSION || head.reserved)
		return vmx_fail(EINVAL,
				"the other side speaks version %u of the protocol, this one version %u",
				head.version, WIRE_VERSION);
	return 0;
}

uint64_t wire_checksum(const void *data, size_t length)
{
	return XXH3_64bits(data, length);
}

int wire_send(struct wire *wire, const struct vmx_saved_table *table, const void *object,
	      const void *data, size_t length)
{
	const struct vmx_saved_part part = { .table = table, .object = (void *)object };
	struct state_writer writer = { .bytes = NULL };
	int ret;

	state_add(&writer, &part);
	if (writer.failed)
		ret = vmx_fail(ENOMEM, "no memory for a message");
	else
		ret = send_bytes(wire, writer.bytes, writer.count, length ? MSG_MORE : 0);
	ret = ret ?: send_bytes(wire, data, length, 0);
	free(writer.bytes);
	wait_for_turn(wire, writer.count + length);
	return ret;
}

/* The other side's words go to a terminal. */
static int given_up(struct wire *wire, const struct vmx_saved_table *table)
{
	struct message_text text;
	int ret = wire_take(wire, table, &text);

	for (uint32_t n = 0; !ret && n < text.length; n++)
		if (!isprint(text.text[n]))
			text.text[n] = '?';
	return ret ?: vmx_fail(ECANCELED, "the other side gives up: %.*s", (int)text.length,
			       (const char *)text.text);
}

int wire_receive(struct wire *wire)
{
	struct state_header *header = &wire->header;
	int ret = receive_bytes(wire, header, sizeof(*header));

	if (ret)
		return ret;
	if (!state_is_name(header->name) || header->length > sizeof(wire->payload))
		return vmx_fail(EINVAL, "what comes over the line is no message");
	ret = receive_bytes(wire, wire->payload, header->length);
	if (ret)
		return ret;
	if (header->checksum != state_checksum(header, wire->payload))
		return vmx_fail(EINVAL, "message '%s' was damaged on the line", header->name);
	if (wire_is(wire, &message_refuse))
		return given_up(wire, &message_refuse);
	return wire_is(wire, &message_cancel) ? given_up(wire, &message_cancel) : 0;
}

bool wire_is(const struct wire *wire, const struct vmx_saved_table *table)
{
	return !strcmp(wire->header.name, table->name);
}

int wire_take(struct wire *wire, const struct vmx_saved_table *table, void *object)
{
	const struct state_header *header = &wire->header;
	struct state_reader reader = {
		.at = wire->payload, .left = header->length, .name = table->name,
	};
	int ret;

	if (!wire_is(wire, table))
		return vmx_fail(EINVAL, "message '%s' came in place of '%s'", header->name,
				table->name);
	if (!header->version || header->version > table->version)
		return vmx_fail(EINVAL, "message '%s' has version %u; here up to %u is known",
				header->name, header->version, table->version);
	ret = state_read(&reader, table, header->version, object);
	return ret || !reader.left ? ret :
	       vmx_fail(EINVAL, "message '%s' is %zu bytes too long", header->name, reader.left);
}

int wire_expect(struct wire *wire, const struct vmx_saved_table *table, void *object)
{
	return wire_receive(wire) ?: wire_take(wire, table, object);
}

int wire_receive_data(struct wire *wire, void *data, size_t length, uint64_t checksum)
{
	int ret = receive_bytes(wire, data, length);

	if (!ret && wire_checksum(data, length) != checksum)
		ret = vmx_fail(EINVAL, "what follows message '%s' was damaged on the line",
			       wire->header.name);
	return ret;
}

void wire_give_up(struct wire *wire, const struct vmx_saved_table *table)
{
	struct message_text text = { .length = 0 };
	char why[MESSAGE_TEXT + 1];

	snprintf(why, sizeof(why), "%s", vmx_error());
	text.length = strlen(why);
	memcpy(text.text, why, text.length);
	wire_send(wire, table, &text, NULL, 0);
	vmx_fail(0, "%s", why);
}
