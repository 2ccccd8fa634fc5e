/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the two sides of a migration say to each other. Documentation/moving.rst has the order. */
#ifndef LIBVMX_MIGRATE_MESSAGES_H
#define LIBVMX_MIGRATE_MESSAGES_H

#include <libvmx/saved.h>

#define MESSAGE_PAGES	64
#define MESSAGE_TEXT	400

/* The source's first, and its last but one: a stream of saved state without memory follows. */
struct message_state {
	uint64_t length;	/* of the stream, which follows */
	uint64_t checksum;
};

/* The target takes the machine. */
struct message_accept {
	bool packed;
};

/* Why one side gives up. */
struct message_text {
	uint32_t length;
	uint8_t text[MESSAGE_TEXT];
};

/* Pages of memory; the contents of those that are not zero follow. */
struct message_pages {
	uint32_t count;
	uint64_t numbers[MESSAGE_PAGES];
	uint64_t zero;		/* bit n: the page of numbers[n] is */
	bool packed;
	uint32_t length;
	uint64_t checksum;
};

/* A round is over: the target says how much has come. */
struct message_round {
	uint32_t number;
	uint64_t pages;
};

/* How long something took. */
struct message_time {
	uint64_t ns;
};

/* The target is to go on, and the source never will. */
struct message_commit {
	bool paused;
	uint64_t pages;
};

extern const struct vmx_saved_table message_offer, message_accept, message_refuse, message_pages,
	message_round, message_received, message_state, message_ready, message_commit,
	message_acknowledge, message_running, message_cancel;

#endif /* LIBVMX_MIGRATE_MESSAGES_H */
