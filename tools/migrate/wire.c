// SPDX-License-Identifier: LGPL-2.1-or-later
/* Messages: a section's header, a payload by a table, and perhaps data behind it. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#define XXH_INLINE_ALL	/* The library needs no other one for it. */
#include <xxhash.h>

#include <libvmx.h>

#include "../lib/internal.h"
#include "wire.h"

#define NS	1000000000ull
/* Nobody sleeps longer without a look. */
#define SLICE	100000000ull

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

void wire_look_up(int fd)
{
	struct timeval second = { .tv_sec = 1 };

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
}

static int look(struct wire *wire)
{
	if (wire->deadline && wire_now() >= wire->deadline)
		return vmx_fail(ETIMEDOUT, "the other side has not answered in time");
	return wire->go_on ? wire->go_on(wire->host) : 0;
}

int wire_wait_for_turn(struct wire *wire)
{
	int ret = 0;

	while (!ret && wire->limit) {
		uint64_t now = wire_now();
		struct timespec slice = { .tv_nsec = SLICE };

		if (wire->due <= now) {
			wire->due = now;
			break;
		}
		if (wire->due - now < SLICE)
			slice.tv_nsec = wire->due - now;
		nanosleep(&slice, NULL);
		ret = look(wire);
	}
	return ret;
}

static bool is_time_out(int error)
{
	return error == EINTR || error == EAGAIN;
}

static int send_bytes(struct wire *wire, const void *bytes, size_t length, int flags)
{
	const char *at = bytes;
	int ret = 0;

	wire->sent += length;
	if (wire->limit)
		wire->due += length * NS / wire->limit;
	while (length && !ret) {
		ssize_t done = send(wire->fd, at, length, MSG_NOSIGNAL | flags);

		if (done < 0 && !is_time_out(errno)) {
			ret = cut_off(errno);
			break;
		}
		at += done > 0 ? done : 0;
		length -= done > 0 ? done : 0;
		ret = length ? look(wire) : 0;
	}
	wire->torn |= ret;
	return ret;
}

static int receive_bytes(struct wire *wire, void *bytes, size_t length)
{
	char *at = bytes;
	int ret = 0;

	while (length && !ret) {
		ssize_t got = recv(wire->fd, at, length, 0);

		if (!got || (got < 0 && !is_time_out(errno)))
			return cut_off(got ? errno : 0);
		at += got > 0 ? got : 0;
		length -= got > 0 ? got : 0;
		ret = length ? look(wire) : 0;
	}
	return ret;
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

	if (wire->torn)
		return;
	snprintf(why, sizeof(why), "%s", vmx_error());
	text.length = strlen(why);
	memcpy(text.text, why, text.length);
	wire_send(wire, table, &text, NULL, 0);
	vmx_fail(0, "%s", why);
}
