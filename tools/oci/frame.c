// SPDX-License-Identifier: LGPL-2.1-or-later
/* Frames on a byte stream, which is never waited for here. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frame.h"

#define IN_SIZE	(4 * (sizeof(struct frame) + FRAME_DATA))

int channel_open(struct channel *channel, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	*channel = (struct channel){ .fd = fd };
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	channel->in = malloc(IN_SIZE);
	return channel->in ? 0 : -ENOMEM;
}

void channel_close(struct channel *channel)
{
	if (channel->fd >= 0)
		close(channel->fd);
	free(channel->in);
	free(channel->out);
	*channel = (struct channel){ .fd = -1 };
}

int channel_read(struct channel *channel)
{
	ssize_t got;

	memmove(channel->in, channel->in + channel->in_begin, channel->in_end - channel->in_begin);
	channel->in_end -= channel->in_begin;
	channel->in_begin = 0;
	got = read(channel->fd, channel->in + channel->in_end, IN_SIZE - channel->in_end);
	if (!got)
		return -EPIPE;
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	channel->in_end += got;
	return 0;
}

const struct frame *channel_next(struct channel *channel, int *error)
{
	size_t have = channel->in_end - channel->in_begin;
	const unsigned char *at = channel->in + channel->in_begin;
	struct frame header;

	*error = 0;
	if (have < sizeof(header))
		return NULL;
	memcpy(&header, at, sizeof(header));
	if (header.length > FRAME_DATA || header.session >= SESSIONS) {
		*error = -EPROTO;
		return NULL;
	}
	if (have < sizeof(header) + header.length)
		return NULL;
	channel->in_begin += sizeof(header) + header.length;
	return (const struct frame *)at;
}

static int make_room(struct channel *channel, size_t wanted)
{
	size_t have = channel->out_end - channel->out_begin;
	size_t size = channel->out_size;
	unsigned char *bigger;

	if (channel->out_begin) {
		memmove(channel->out, channel->out + channel->out_begin, have);
		channel->out_begin = 0;
		channel->out_end = have;
	}
	if (have + wanted <= size)
		return 0;
	if (have + wanted > CHANNEL_OUT_MAX)
		return -ENOBUFS;
	while (size < have + wanted)
		size = size ? size * 2 : FRAME_DATA;
	bigger = realloc(channel->out, size);
	if (!bigger)
		return -ENOMEM;
	channel->out = bigger;
	channel->out_size = size;
	return 0;
}

int channel_put(struct channel *channel, uint16_t session, enum frame_type type, uint8_t arg,
		const void *data, size_t length)
{
	struct frame header = { .length = length, .session = session, .type = type, .arg = arg };
	int error = length > FRAME_DATA ? -EINVAL :
					  make_room(channel, sizeof(header) + length);

	if (error)
		return error;
	memcpy(channel->out + channel->out_end, &header, sizeof(header));
	if (length)
		memcpy(channel->out + channel->out_end + sizeof(header), data, length);
	channel->out_end += sizeof(header) + length;
	return 0;
}

int channel_put_number(struct channel *channel, uint16_t session, enum frame_type type,
		       uint32_t number)
{
	return channel_put(channel, session, type, 0, &number, sizeof(number));
}

int channel_write(struct channel *channel)
{
	while (channel_has_output(channel)) {
		ssize_t done = write(channel->fd, channel->out + channel->out_begin,
				     channel->out_end - channel->out_begin);

		if (done < 0 && errno == EAGAIN)
			return 0;
		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0)
			channel->out_begin += done;
	}
	channel->out_begin = 0;
	channel->out_end = 0;
	return 0;
}

bool channel_has_output(const struct channel *channel)
{
	return channel->out_end != channel->out_begin;
}

short channel_events(const struct channel *channel)
{
	return channel_has_output(channel) ? POLLIN | POLLOUT : POLLIN;
}

bool frame_number(const struct frame *frame, uint32_t *number)
{
	if (frame->length != sizeof(*number))
		return false;
	memcpy(number, frame->data, sizeof(*number));
	return true;
}
