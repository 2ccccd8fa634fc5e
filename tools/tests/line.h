/* SPDX-License-Identifier: GPL-2.0 */
/* A line between the two sides of a migration that is cut, or changes a bit, at a message. */
#ifndef LINE_H
#define LINE_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../migrate/wire.h"

#define LINE_HEAD	24
/* The name of what comes before all messages. */
#define HEAD		"head"

enum harm {
	LINE_WHOLE,
	LINE_CUT_BEFORE,	/* the message is not handed on */
	LINE_CUT_WITHIN,	/* half of it is */
	LINE_CUT_AFTER,		/* all of it is, and nothing else: no answer to it either */
	LINE_FLIP,		/* a bit of it is another one */
	LINE_HIT_BEFORE,	/* hit() is called, and the message goes on if anybody takes it */
	LINE_HIT_AFTER,		/* it is called afterwards */
};

/* What is to happen at which message, the first of its name. */
struct fault {
	const char *name;
	enum harm harm;
	unsigned int bit;
	void (*hit)(void *context);
	void *context;
};

struct line {
	int source, target;	/* the ends of the two sides */
	int near, far;		/* those of the line itself */
	struct fault fault;
	volatile bool done;	/* it happened */
	volatile bool over;	/* nothing more is handed on, either way */
	pthread_t threads[2];
	struct way {
		struct line *line;
		int from, to;
		char names[20][VMX_SAVED_NAME];	/* of messages, once each */
		unsigned int count;
		unsigned char *bytes;
		size_t length;
	} ways[2];
};

static inline bool line_read(struct way *way, size_t length)
{
	way->bytes = realloc(way->bytes, way->length + length + 1);
	while (length) {
		ssize_t got = recv(way->from, way->bytes + way->length, length, 0);

		if (got <= 0)
			return false;
		way->length += got;
		length -= got;
	}
	return true;
}

/* What follows a message, by its first member or its last but one. */
static inline uint64_t line_data(const struct state_header *header, const unsigned char *payload)
{
	uint64_t length = 0;

	if (!strcmp(header->name, "offer") || !strcmp(header->name, "state"))
		memcpy(&length, payload, 8);
	if (!strcmp(header->name, "pages"))
		memcpy(&length, payload + header->length - 12, 4);
	return length;
}

static inline bool line_read_message(struct way *way, char *name)
{
	struct state_header header;

	way->length = 0;
	if (!way->count) {
		memcpy(name, HEAD, sizeof(HEAD));
		return line_read(way, LINE_HEAD);
	}
	if (!line_read(way, sizeof(header)))
		return false;
	memcpy(&header, way->bytes, sizeof(header));
	memcpy(name, header.name, sizeof(header.name));
	return line_read(way, header.length) &&
	       line_read(way, line_data(&header, way->bytes + sizeof(header)));
}

static inline void line_cut(struct line *line)
{
	shutdown(line->near, SHUT_RDWR);
	shutdown(line->far, SHUT_RDWR);
}

/* A first message of its name. */
static inline bool line_is_new(struct way *way, const char *name)
{
	for (unsigned int n = 0; n < way->count; n++)
		if (!strcmp(way->names[n], name))
			return false;
	memcpy(way->names[way->count++], name, strlen(name) + 1);
	return true;
}

static inline bool line_send(struct way *way)
{
	for (size_t done = 0; done < way->length;) {
		ssize_t sent = send(way->to, way->bytes + done, way->length - done, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		done += sent;
	}
	return true;
}

static inline void *line_work(void *arg)
{
	struct way *way = arg;
	struct line *line = way->line;
	char name[VMX_SAVED_NAME];

	while (line_read_message(way, name)) {
		bool here = line_is_new(way, name) && line->fault.name &&
			    !strcmp(line->fault.name, name) && !line->done;
		enum harm harm = here ? line->fault.harm : LINE_WHOLE;

		if (here && harm != LINE_WHOLE)
			line->done = true;
		/* The other way cuts the line, after what it has to hand on. */
		if (line->over)
			return NULL;
		if (harm == LINE_CUT_BEFORE)
			break;
		/* Before anybody can answer. */
		if (harm == LINE_CUT_WITHIN || harm == LINE_CUT_AFTER)
			line->over = true;
		if (harm == LINE_HIT_BEFORE)
			line->fault.hit(line->fault.context);
		if (harm == LINE_CUT_WITHIN)
			way->length /= 2;
		if (harm == LINE_FLIP)
			way->bytes[line->fault.bit / 8 % way->length] ^=
				1 << line->fault.bit % 8;
		if (!line_send(way))
			break;
		if (harm == LINE_HIT_AFTER)
			line->fault.hit(line->fault.context);
		if (harm == LINE_CUT_WITHIN || harm == LINE_CUT_AFTER)
			break;
	}
	line_cut(line);
	return NULL;
}

/* NEAR is an end of a socket to the source, FAR one to the target. */
static inline void line_join(struct line *line, int near, int far, const struct fault *fault)
{
	memset(line, 0, sizeof(*line));
	line->source = -1;
	line->target = -1;
	line->near = near;
	line->far = far;
	if (fault)
		line->fault = *fault;
	for (unsigned int n = 0; n < 2; n++) {
		line->ways[n] = (struct way){
			.line = line, .from = n ? far : near, .to = n ? near : far,
		};
		if (pthread_create(&line->threads[n], NULL, line_work, &line->ways[n]))
			abort();
	}
}

/* In one process. */
static inline void line_open(struct line *line, const struct fault *fault)
{
	int near[2], far[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, near) || socketpair(AF_UNIX, SOCK_STREAM, 0, far))
		abort();
	line_join(line, near[1], far[0], fault);
	line->source = near[0];
	line->target = far[1];
}

/* A line that nobody reads on its way. NEAR and FAR cut it, and nothing else. */
static inline void line_pair(struct line *line)
{
	int ends[2];

	memset(line, 0, sizeof(*line));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		abort();
	line->source = ends[0];
	line->target = ends[1];
	line->near = dup(ends[0]);
	line->far = dup(ends[1]);
}

static inline void line_part(struct line *line)
{
	close(line->near);
	close(line->far);
	close(line->source);
	close(line->target);
}

static inline void line_close(struct line *line)
{
	line_cut(line);
	for (unsigned int n = 0; n < 2; n++) {
		pthread_join(line->threads[n], NULL);
		free(line->ways[n].bytes);
	}
	close(line->near);
	close(line->far);
	if (line->source >= 0)
		close(line->source);
	if (line->target >= 0)
		close(line->target);
}

#endif /* LINE_H */
