// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The target of a migration: judges the offer, takes memory and state, and goes on when the source
 * commits. Nothing that comes over the line is trusted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libvmx/migrate.h>

#include "../lib/internal.h"
#include "../machine/internal.h"
#include "../state/state.h"
#include "dirty.h"
#include "wire.h"

/* What is longer is no stream of a machine. */
#define LONGEST	(64ull << 20)
/* Who has not made an offer until then makes none, and keeps others waiting. */
#define OFFER_NS	20000000000ull

struct vmx_incoming {
	struct wire wire;
	const struct vmx_migration_codec *codec;
	struct vmx_saved *saved;	/* the offer, then the state */
	uint64_t pages;
	struct message_pages message;
	unsigned char data[MESSAGE_PAGES * DIRTY_PAGE];
	unsigned char packed[MESSAGE_PAGES * DIRTY_PAGE];
};

static void forget(struct vmx_incoming *incoming)
{
	vmx_saved_close(incoming->saved);
	incoming->saved = NULL;
}

/* A stream follows the message. */
static int receive_state(struct vmx_incoming *incoming, const struct vmx_saved_table *table)
{
	struct message_state message;
	struct vmx_saved *saved;
	int ret = wire_take(&incoming->wire, table, &message);

	if (!ret && message.length > LONGEST)
		ret = vmx_fail(EINVAL, "the state of a machine cannot have %llu bytes",
			       (unsigned long long)message.length);
	if (ret)
		return ret;
	forget(incoming);
	saved = calloc(1, sizeof(*saved));
	incoming->saved = saved;
	if (saved)
		saved->bytes = malloc(message.length + 1);
	if (!saved || !saved->bytes)
		return vmx_fail(ENOMEM, "no memory for the state of the machine");
	ret = wire_receive_data(&incoming->wire, saved->bytes, message.length, message.checksum);
	return ret ?: state_scan(saved, message.length);
}

static int open_incoming(struct vmx_incoming *incoming, struct vmx_saved_config *config)
{
	int ret = wire_send_head(&incoming->wire) ?: wire_receive_head(&incoming->wire);

	ret = ret ?: wire_receive(&incoming->wire);
	ret = ret ?: receive_state(incoming, &message_offer);
	return ret ?: state_find_config(incoming->saved, config);
}

/* The source hears why; 0 stays 0. */
static int refuse(struct vmx_incoming *incoming, int ret)
{
	if (ret && ret != -EPIPE && ret != -ECANCELED)
		wire_give_up(&incoming->wire, &message_refuse);
	return ret;
}

int vmx_incoming_open(struct vmx_incoming **incoming, int fd,
		      const struct vmx_migration_codec *codec, struct vmx_saved_config *config)
{
	int ret;

	*incoming = calloc(1, sizeof(**incoming));
	if (!*incoming)
		return vmx_fail(ENOMEM, "no memory for the machine that comes");
	wire_look_up(fd);
	(*incoming)->wire.fd = fd;
	(*incoming)->wire.deadline = wire_now() + OFFER_NS;
	(*incoming)->codec = codec;
	ret = refuse(*incoming, open_incoming(*incoming, config));
	(*incoming)->wire.deadline = 0;
	if (ret) {
		vmx_incoming_close(*incoming);
		*incoming = NULL;
	}
	return ret;
}

static int put_state(struct vmx_incoming *incoming, struct vmx_machine *machine)
{
	int ret;

	pthread_mutex_lock(&machine->lock);
	ret = state_read_machine(incoming->saved, machine);
	pthread_mutex_unlock(&machine->lock);
	forget(incoming);
	return ret;
}

/* The state of this moment stands for those to come. */
int vmx_incoming_check(struct vmx_incoming *incoming, struct vmx_machine *machine)
{
	return refuse(incoming, put_state(incoming, machine));
}

void vmx_incoming_refuse(struct vmx_incoming *incoming, const char *why)
{
	refuse(incoming, vmx_fail(EBUSY, "%s", why));
}

/* Memory */

static unsigned int count_zero(const struct message_pages *message)
{
	uint64_t among = message->count < 64 ? (1ull << message->count) - 1 : UINT64_MAX;

	return __builtin_popcountll(message->zero & among);
}

/* The contents of all pages that are not zero, one behind the other. */
static int receive_contents(struct vmx_incoming *incoming)
{
	const struct message_pages *message = &incoming->message;
	size_t length = (message->count - count_zero(message)) * DIRTY_PAGE;
	void *to = message->packed ? incoming->packed : incoming->data;
	int ret;

	if (message->packed ? message->length > sizeof(incoming->packed) || !incoming->codec :
			      message->length != length)
		return vmx_fail(EINVAL, "%u pages cannot have %u bytes", message->count,
				message->length);
	ret = wire_receive_data(&incoming->wire, to, message->length, message->checksum);
	if (ret || !message->packed ||
	    incoming->codec->unpack(incoming->data, length, to, message->length))
		return ret;
	return vmx_fail(EINVAL, "pages that are packed cannot be unpacked");
}

static int receive_pages(struct vmx_incoming *incoming, struct vmx_machine *machine)
{
	const struct vmx_memory *memory = &machine->memory;
	struct message_pages *message = &incoming->message;
	const unsigned char *at = incoming->data;
	int ret = wire_take(&incoming->wire, &message_pages, message);

	ret = ret ?: receive_contents(incoming);
	for (uint32_t n = 0; !ret && n < message->count; n++) {
		uint64_t number = message->numbers[n];
		unsigned char *page;

		if (number >= memory->size / DIRTY_PAGE)
			return vmx_fail(EINVAL, "the machine has no page %llu",
					(unsigned long long)number);
		page = memory->ram + number * DIRTY_PAGE;
		if (message->zero >> n & 1) {
			memset(page, 0, DIRTY_PAGE);
			continue;
		}
		memcpy(page, at, DIRTY_PAGE);
		at += DIRTY_PAGE;
		__atomic_add_fetch(&incoming->pages, 1, __ATOMIC_RELAXED);
	}
	return ret;
}

static int answer_round(struct vmx_incoming *incoming)
{
	struct message_round round;
	int ret = wire_take(&incoming->wire, &message_round, &round);

	round.pages = incoming->pages;
	return ret ?: wire_send(&incoming->wire, &message_received, &round, NULL, 0);
}

/* Until the state comes. */
static int receive_memory(struct vmx_incoming *incoming, struct vmx_machine *machine)
{
	struct wire *wire = &incoming->wire;
	int ret = wire_receive(wire);

	while (!ret && !wire_is(wire, &message_state)) {
		ret = wire_is(wire, &message_round) ? answer_round(incoming) :
						      receive_pages(incoming, machine);
		ret = ret ?: wire_receive(wire);
	}
	return ret;
}

static int receive(struct vmx_incoming *incoming, struct vmx_machine *machine)
{
	struct message_accept accept = { .packed = incoming->codec };
	struct message_time ready;
	uint64_t start;
	int ret;

	ret = wire_send(&incoming->wire, &message_accept, &accept, NULL, 0);
	ret = ret ?: receive_memory(incoming, machine);
	start = wire_now();
	ret = ret ?: receive_state(incoming, &message_state);
	ret = ret ?: put_state(incoming, machine);
	ready.ns = wire_now() - start;
	return ret ?: wire_send(&incoming->wire, &message_ready, &ready, NULL, 0);
}

int vmx_incoming_receive(struct vmx_incoming *incoming, struct vmx_machine *machine)
{
	return refuse(incoming, receive(incoming, machine));
}

/* The end */

static int acknowledge(struct vmx_incoming *incoming, const struct message_commit *commit)
{
	return wire_send(&incoming->wire, &message_acknowledge, commit, NULL, 0);
}

static void go_on(struct vmx_incoming *incoming, struct vmx_machine *machine, bool paused)
{
	struct message_time running;
	uint64_t start = wire_now();

	if (!paused)
		vmx_machine_resume(machine);
	running.ns = wire_now() - start;
	/* It is for the source's report alone. */
	wire_send(&incoming->wire, &message_running, &running, NULL, 0);
}

static int undecided(void)
{
	char why[300];

	snprintf(why, sizeof(why), "%s", vmx_error());
	return vmx_fail(EINPROGRESS, "nobody knows which side has the guest: %s", why);
}

/* Every vCPU can run: it is parked, as the state has it. Or the machine has ended. */
static int settle(struct vmx_machine *machine)
{
	int ret = vmx_machine_pause(machine);

	if (!ret)
		vmx_machine_resume(machine);
	return ret;
}

static int check_end(struct vmx_machine *machine)
{
	bool ended;

	pthread_mutex_lock(&machine->lock);
	ended = machine->end != VMX_END_NONE;
	pthread_mutex_unlock(&machine->lock);
	return ended ? vmx_fail(ESHUTDOWN, "the machine has ended") : 0;
}

int vmx_incoming_finish(struct vmx_incoming *incoming, struct vmx_machine *machine,
			int (*take)(void *host, char *why), void (*give_back)(void *host),
			void *host, bool *paused)
{
	struct message_commit commit;
	char why[VMX_MIGRATION_WHY];
	int ended = settle(machine), ret = wire_expect(&incoming->wire, &message_commit, &commit);

	if (ret == -ECANCELED)
		return ret;
	/* The source listens once it has committed. */
	if (ended)
		return refuse(incoming, check_end(machine));
	if (ret)
		return undecided();
	ret = take ? take(host, why) : 0;
	if (ret)
		return refuse(incoming, vmx_fail(-ret, "%s", why));
	ret = check_end(machine);
	if (ret && give_back)
		give_back(host);
	if (ret)
		return refuse(incoming, ret);
	if (acknowledge(incoming, &commit))
		return undecided();
	*paused = commit.paused;
	go_on(incoming, machine, commit.paused);
	return 0;
}

uint64_t vmx_incoming_received(const struct vmx_incoming *incoming)
{
	return __atomic_load_n(&incoming->pages, __ATOMIC_RELAXED);
}

void vmx_incoming_close(struct vmx_incoming *incoming)
{
	if (incoming)
		forget(incoming);
	free(incoming);
}
