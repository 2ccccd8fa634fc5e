// SPDX-License-Identifier: LGPL-2.1-or-later
/* The messages of a migration, as they are on the line: sections of the same form as a stream's. */
#include "../state/table.h"
#include "messages.h"

static const struct vmx_saved_field state_fields[] = {
	NUMBER(struct message_state, length, 1, "bytes of the stream, which follows the message"),
	NUMBER(struct message_state, checksum, 1, "XXH3 of it"),
};

static const struct vmx_saved_field accept_fields[] = {
	FLAG(struct message_accept, packed, 1, "the source may pack pages"),
};

static const struct vmx_saved_field text_fields[] = {
	LIMITED(struct message_text, length, 1, MESSAGE_TEXT, "bytes of text"),
	COUNTED(struct message_text, text, 1, "a sentence"),
};

static const struct vmx_saved_field pages_fields[] = {
	LIMITED(struct message_pages, count, 1, MESSAGE_PAGES, "how many pages"),
	COUNTED(struct message_pages, numbers, 1,
		"where each is in memory, in pages of 4 KiB"),
	NUMBER(struct message_pages, zero, 1, "bit n: page n of these is all zeroes"),
	FLAG(struct message_pages, packed, 1, "what follows is packed by zstd"),
	NUMBER(struct message_pages, length, 1,
	       "bytes that follow: the other pages' contents, in their order"),
	NUMBER(struct message_pages, checksum, 1, "XXH3 of these bytes"),
};

static const struct vmx_saved_field round_fields[] = {
	NUMBER(struct message_round, number, 1, "the round's number, from 1 on"),
	NUMBER(struct message_round, pages, 1, "pages that were sent until now"),
};

static const struct vmx_saved_field time_fields[] = {
	NUMBER(struct message_time, ns, 1, "how long it took, in nanoseconds"),
};

static const struct vmx_saved_field commit_fields[] = {
	FLAG(struct message_commit, paused, 1, "the user had paused the machine, and it stays so"),
	NUMBER(struct message_commit, pages, 1, "pages that were sent in all"),
};

const struct vmx_saved_table message_offer = SAVED_TABLE("offer", 1, state_fields);
const struct vmx_saved_table message_accept = SAVED_TABLE("accept", 1, accept_fields);
const struct vmx_saved_table message_refuse = SAVED_TABLE("refuse", 1, text_fields);
const struct vmx_saved_table message_pages = SAVED_TABLE("pages", 1, pages_fields);
const struct vmx_saved_table message_round = SAVED_TABLE("round", 1, round_fields);
const struct vmx_saved_table message_received = SAVED_TABLE("received", 1, round_fields);
const struct vmx_saved_table message_state = SAVED_TABLE("state", 1, state_fields);
const struct vmx_saved_table message_ready = SAVED_TABLE("ready", 1, time_fields);
const struct vmx_saved_table message_commit = SAVED_TABLE("commit", 1, commit_fields);
const struct vmx_saved_table message_acknowledge = SAVED_TABLE("acknowledge", 1, commit_fields);
const struct vmx_saved_table message_running = SAVED_TABLE("running", 1, time_fields);
const struct vmx_saved_table message_cancel = SAVED_TABLE("cancel", 1, text_fields);
