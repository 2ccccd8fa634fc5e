// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The source of a migration: offers the machine, copies its memory while the guest runs, stops it,
 * sends the rest, and commits. Until then nothing has happened to the guest that a resume does not
 * undo.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libvmx/migrate.h>

#include "../lib/internal.h"
#include "../machine/internal.h"
#include "../state/state.h"
#include "brake.h"
#include "dirty.h"
#include "untouched.h"
#include "wire.h"

#define NS		1000000000ull
#define MS		1000000ull
#define DOWNTIME_MS	300
/* No stop is longer than ten times what it may be, or than this, whichever is more. */
#define STOP_NS		(10 * NS)
/* A target that has not acknowledged until then may have the guest, or not. */
#define COMMIT_NS	(20 * NS)
/* What is told at the end, or heard, is no matter. */
#define LAST_WORDS_NS	(1 * NS)
/* More messages of the target's are not on a line that is cut. */
#define MOST_LEFT	4
/* Rounds that a guest has to show that it writes less than the line takes. */
#define PATIENCE	3
/* Rounds for a shorter stop alone are worth it while each leaves half of what the last did. */
#define MORE_ROUNDS	8
#define THROTTLE_STEP	20
/* No more pages are read without a look whether to go on. */
#define LOOK_PAGES	4096
#define THROTTLE_MOST	99

struct source {
	struct vmx_machine *machine;
	struct vmx_migration *migration;
	struct vmx_migration_status status;	/* others see copies of it */
	struct wire wire;
	struct dirty_log log;
	struct untouched untouched;
	struct brake brake;
	bool packs;		/* the target can unpack */
	bool stopped;		/* this side holds a pause */
	bool released;		/* and gave up what only one side may have */
	bool paused;		/* by the user, too */
	uint64_t begun;
	uint64_t state;		/* bytes of the offer */
	uint64_t faults;	/* of the module, before the log was on */
	struct message_pages message;
	unsigned char pages[MESSAGE_PAGES * DIRTY_PAGE];
	unsigned char packed[MESSAGE_PAGES * DIRTY_PAGE];
};

static void publish(struct source *source)
{
	struct vmx_migration *migration = source->migration;

	source->status.sent = source->wire.sent;
	source->status.total_ns = wire_now() - source->begun;
	source->status.braked_ns = source->brake.ns;
	pthread_mutex_lock(&migration->lock);
	migration->status = source->status;
	pthread_mutex_unlock(&migration->lock);
}

static void enter(struct source *source, enum vmx_migration_phase phase)
{
	source->status.phase = phase;
	publish(source);
}

/* Between messages, and while one waits: 0, or why the migration must end. */
static int go_on(void *host)
{
	struct source *source = host;
	struct vmx_migration *migration = source->migration;
	enum vmx_end end;
	bool cancelled;

	publish(source);
	pthread_mutex_lock(&migration->lock);
	cancelled = migration->cancelled;
	pthread_mutex_unlock(&migration->lock);
	if (cancelled)
		return vmx_fail(ECANCELED, "the migration was cancelled");
	pthread_mutex_lock(&source->machine->lock);
	end = source->machine->end;
	pthread_mutex_unlock(&source->machine->lock);
	return end == VMX_END_NONE ? 0 :
	       vmx_fail(ESHUTDOWN, "the guest has ended, or resets itself");
}

static int send_stream(struct source *source, const struct vmx_saved_table *table,
		       struct state_writer *writer)
{
	struct message_state message;

	state_end(writer);
	if (writer->failed)
		return vmx_fail(ENOMEM, "no memory to save the machine");
	message = (struct message_state){
		.length = writer->count, .checksum = wire_checksum(writer->bytes, writer->count),
	};
	return wire_send(&source->wire, table, &message, writer->bytes, writer->count);
}

/* The state of a machine at rest. To write it can have devices write memory. */
static int write_state(struct source *source, struct state_writer *writer)
{
	struct vmx_machine *machine = source->machine;
	int ret;

	pthread_mutex_lock(&machine->lock);
	ret = state_write_machine(writer, machine);
	pthread_mutex_unlock(&machine->lock);
	return ret;
}

static int offer(struct source *source)
{
	struct state_writer writer = { .bytes = NULL };
	struct message_accept accept;
	uint64_t start;
	int ret;

	enter(source, VMX_MIGRATION_OFFER);
	ret = go_on(source) ?: wire_send_head(&source->wire);
	ret = ret ?: wire_receive_head(&source->wire);
	if (ret)
		return ret;
	start = wire_now();
	ret = vmx_machine_pause(source->machine);
	if (ret)
		return ret;
	ret = write_state(source, &writer);
	/* The line may be slow, and the guest does not wait for it. */
	vmx_machine_resume(source->machine);
	source->status.offer_ns = wire_now() - start;
	source->state = writer.count;
	ret = ret ?: send_stream(source, &message_offer, &writer);
	free(writer.bytes);
	ret = ret ?: wire_expect(&source->wire, &message_accept, &accept);
	source->packs = !ret && accept.packed && source->migration->config.codec;
	return ret;
}

/* Memory */

static bool is_zero(const void *page)
{
	const uint64_t *words = page;
	uint64_t any = 0;

	for (size_t n = 0; n < DIRTY_PAGE / sizeof(*words) && !any; n += 8)
		any = words[n] | words[n + 1] | words[n + 2] | words[n + 3] |
		      words[n + 4] | words[n + 5] | words[n + 6] | words[n + 7];
	return !any;
}

static int send_pages(struct source *source)
{
	const struct vmx_migration_codec *codec = source->migration->config.codec;
	struct message_pages *message = &source->message;
	const void *data = source->pages;
	size_t packed = 0;

	if (!message->count)
		return 0;
	if (source->packs && message->length)
		packed = codec->pack(source->packed, sizeof(source->packed), data,
				     message->length);
	message->packed = packed && packed < message->length;
	if (message->packed) {
		message->length = packed;
		data = source->packed;
	}
	message->checksum = wire_checksum(data, message->length);
	return wire_wait_for_turn(&source->wire) ?:
	       wire_send(&source->wire, &message_pages, message, data, message->length);
}

/* In the first round most of a guest's memory may be what nobody ever touched. */
static bool is_clear(struct source *source, const void *page)
{
	bool asked = source->status.round == 1 && !source->machine->memory.image;

	return (asked && untouched_is(&source->untouched, page)) || is_zero(page);
}

/*
 * The guest may be writing the page, which it is sent again for. What is sent is a copy, which its
 * checksum fits.
 */
static void add_page(struct source *source, uint64_t number)
{
	const unsigned char *page = source->machine->memory.ram + number * DIRTY_PAGE;
	struct message_pages *message = &source->message;

	if (is_clear(source, page)) {
		source->status.zero++;
		/* At first the target's memory is all zeroes. */
		if (source->status.round == 1)
			return;
		message->zero |= 1ull << message->count;
	} else {
		memcpy(source->pages + message->length, page, DIRTY_PAGE);
		message->length += DIRTY_PAGE;
		source->status.pages++;
	}
	message->numbers[message->count++] = number;
}

/* All that are marked now. Zero pages that are left out fill no message, and are many. */
static int send_marked(struct source *source)
{
	struct dirty_log *log = &source->log;
	uint64_t number = dirty_take(log, 0);
	int ret = 0;

	while (!ret && number < log->pages) {
		source->message = (struct message_pages){ .count = 0 };
		for (unsigned int n = 0; n < LOOK_PAGES && number < log->pages &&
		     source->message.count < MESSAGE_PAGES; n++) {
			add_page(source, number);
			source->status.left--;
			number = dirty_take(log, number + 1);
		}
		ret = send_pages(source) ?: go_on(source);
	}
	return ret;
}

/* Whatever is on the line has arrived. */
static int end_round(struct source *source)
{
	struct message_round round = {
		.number = source->status.round, .pages = source->status.pages,
	};
	struct message_round received;
	int ret = wire_send(&source->wire, &message_round, &round, NULL, 0);

	ret = ret ?: wire_expect(&source->wire, &message_received, &received);
	if (!ret && received.number != round.number)
		ret = vmx_fail(EINVAL, "the target has received another round");
	return ret;
}

static void count_faults(struct source *source)
{
	struct vmx_vm_stats stats;

	if (!vmx_vm_stats(&source->machine->vm, &stats))
		source->status.faults = stats.faults - source->faults;
}

/* What the last round tells of the line and of the guest. */
static void measure(struct source *source, uint64_t pages, uint64_t start)
{
	struct vmx_migration_status *status = &source->status;
	uint64_t took = wire_now() - start + 1;
	uint64_t known = (uint64_t)((__uint128_t)pages * DIRTY_PAGE * NS / took);

	/* A round of few pages measures how fast the two sides talk, not the line. */
	if (pages >= MESSAGE_PAGES || !status->rate)
		status->rate = known + 1;
	status->left = dirty_count(&source->log);
	status->dirtied = (__uint128_t)status->left * DIRTY_PAGE * NS / took;
	/* Stop, state and resume take as long as for the offer, or so. */
	status->estimate_ms = (status->left * DIRTY_PAGE + source->state) * 1000 / status->rate +
			      2 * status->offer_ns / MS;
	count_faults(source);
}

/* Less and less of its time for a guest that writes as much as was sent, or more. */
static int slow_down(struct source *source, uint64_t pages)
{
	struct vmx_migration_status *status = &source->status;

	if (!source->migration->config.throttle || status->round < PATIENCE ||
	    status->left * 10 < pages * 9 || status->throttle == THROTTLE_MOST)
		return 0;
	status->throttle += THROTTLE_STEP;
	if (status->throttle > THROTTLE_MOST)
		status->throttle = THROTTLE_MOST;
	return brake_set(&source->brake, source->machine, status->throttle);
}

static int copy_round(struct source *source)
{
	struct vmx_migration_status *status = &source->status;
	uint64_t start = wire_now(), before = status->pages, marked = status->left;
	int ret;

	status->round++;
	ret = send_marked(source) ?: end_round(source);
	ret = ret ?: dirty_collect(&source->log);
	if (ret)
		return ret;
	/* Zero pages say nothing of the line. */
	measure(source, status->pages - before, start);
	return slow_down(source, marked) ?: go_on(source);
}

static bool is_worth_a_round(const struct source *source, uint64_t marked)
{
	const struct vmx_migration_status *status = &source->status;
	uint32_t limit = source->migration->config.downtime_ms ?: DOWNTIME_MS;

	return status->left && (status->estimate_ms > limit ||
				(status->left * 2 < marked && status->round < MORE_ROUNDS));
}

/* Disks. */
static int flush(struct source *source)
{
	const struct vmx_migration_config *config = &source->migration->config;
	char why[VMX_MIGRATION_WHY];
	int ret = config->flush ? config->flush(config->host, why) : 0;

	return ret ? vmx_fail(-ret, "%s", why) : 0;
}

static int copy_memory(struct source *source)
{
	struct vmx_vm_stats stats;
	uint64_t marked;
	int ret;

	enter(source, VMX_MIGRATION_COPY);
	if (!vmx_vm_stats(&source->machine->vm, &stats))
		source->faults = stats.faults;
	ret = dirty_begin(&source->log, source->machine);
	source->status.left = source->log.pages;
	do {
		marked = source->status.left;
		ret = ret ?: copy_round(source);
	} while (!ret && is_worth_a_round(source, marked));
	/* Then little is to be flushed in the stop, and little was written meanwhile. */
	if (!ret && source->migration->config.flush)
		ret = flush(source) ?: copy_round(source);
	brake_end(&source->brake);
	return ret;
}

/* Stop and commit */

/* What the time since *START is put down to; the next begins. */
static void account(uint64_t *start, uint64_t *to)
{
	uint64_t now = wire_now();

	*to = now - *start;
	*start = now;
}

static int stop_guest(struct source *source)
{
	int ret = vmx_machine_pause(source->machine);

	source->stopped = !ret;
	return ret;
}

static int release(struct source *source)
{
	const struct vmx_migration_config *config = &source->migration->config;
	char why[VMX_MIGRATION_WHY];
	int ret;

	if (!config->release)
		return 0;
	source->released = true;
	ret = config->release(config->host, &source->paused, why);
	return ret ? vmx_fail(-ret, "%s", why) : 0;
}

static int regain(struct source *source)
{
	const struct vmx_migration_config *config = &source->migration->config;
	char why[VMX_MIGRATION_WHY];
	int ret = source->released && config->regain ? config->regain(config->host, why) : 0;

	return ret ? vmx_fail(-ret, "%s", why) : 0;
}

/* The state comes first: timers that are due expire then, and devices write memory. */
static int send_rest(struct source *source, uint64_t *start)
{
	struct vmx_migration_status *status = &source->status;
	struct state_writer writer = { .bytes = NULL };
	int ret = write_state(source, &writer);

	ret = ret ?: dirty_collect(&source->log);
	status->round++;
	status->left = dirty_count(&source->log);
	ret = ret ?: send_marked(source);
	account(start, &status->pages_ns);
	ret = ret ?: send_stream(source, &message_state, &writer);
	account(start, &status->state_ns);
	free(writer.bytes);
	return ret;
}

/* From here on nobody can cancel it. */
static int point_of_no_return(struct source *source)
{
	struct vmx_migration *migration = source->migration;
	int ret = go_on(source);

	/* A write that nobody would send. */
	if (!ret && dirty_is_written(&source->log))
		ret = vmx_fail(EIO, "a device wrote memory after the guest was stopped");
	if (ret)
		return ret;
	pthread_mutex_lock(&migration->lock);
	if (migration->cancelled)
		ret = vmx_fail(ECANCELED, "the migration was cancelled");
	else
		migration->status.phase = VMX_MIGRATION_COMMIT;
	pthread_mutex_unlock(&migration->lock);
	if (!ret)
		source->status.phase = VMX_MIGRATION_COMMIT;
	return ret;
}

static int commit(struct source *source, uint64_t *start)
{
	struct message_commit message = { .pages = source->status.pages };
	struct message_commit acknowledge;
	int ret = release(source);

	message.paused = source->paused;
	ret = ret ?: wire_send(&source->wire, &message_commit, &message, NULL, 0);
	/* What was not sent whole has not arrived whole, and counts for nothing. */
	if (ret)
		return ret;
	source->wire.deadline = wire_now() + COMMIT_NS;
	ret = wire_expect(&source->wire, &message_acknowledge, &acknowledge);
	account(start, &source->status.resume_ns);
	/* It says so itself: it does not go on. */
	if (!ret || ret == -ECANCELED)
		return ret;
	enter(source, VMX_MIGRATION_UNDECIDED);
	return vmx_fail(EINPROGRESS, "the target was told to go on, and has not acknowledged it");
}

static int stop_and_commit(struct source *source)
{
	struct vmx_migration_status *status = &source->status;
	uint64_t limit = (source->migration->config.downtime_ms ?: DOWNTIME_MS) * MS;
	uint64_t start = wire_now(), begun = start;
	struct message_time ready, running;
	int ret;

	enter(source, VMX_MIGRATION_STOP);
	source->wire.deadline = begun + (limit * 10 > STOP_NS ? limit * 10 : STOP_NS);
	ret = stop_guest(source) ?: flush(source);
	account(&start, &status->stop_ns);
	ret = ret ?: send_rest(source, &start);
	ret = ret ?: wire_expect(&source->wire, &message_ready, &ready);
	account(&start, &status->target_ns);
	ret = ret ?: point_of_no_return(source);
	ret = ret ?: commit(source, &start);
	status->downtime_ns = start - begun;
	if (ret)
		return ret;
	/* How long its own first steps took; it has the guest, whether it says so or not. */
	source->wire.deadline = wire_now() + LAST_WORDS_NS;
	if (!wire_expect(&source->wire, &message_running, &running)) {
		status->resume_ns += running.ns;
		status->downtime_ns += running.ns;
	}
	return 0;
}

/*
 * The guest goes on here, and only then the target hears of it. Where somebody else has what was
 * given up, the guest stays paused, and both sentences are told.
 */
static int take_back(struct source *source, int ret)
{
	char why[512], lost[512];
	int kept;

	snprintf(why, sizeof(why), "%s", vmx_error());
	kept = regain(source);
	snprintf(lost, sizeof(lost), "%s", vmx_error());
	if (!kept && source->stopped)
		vmx_machine_resume(source->machine);
	vmx_fail(0, "%s", why);
	source->wire.go_on = NULL;
	source->wire.deadline = wire_now() + LAST_WORDS_NS;
	if (ret != -EPIPE && source->wire.sent)
		wire_give_up(&source->wire, &message_cancel);
	enter(source, kept ? VMX_MIGRATION_UNDECIDED : VMX_MIGRATION_FAILED);
	return kept ? vmx_fail(EINPROGRESS, "%s; and the guest cannot go on here: %s", why, lost) :
		      ret;
}

/* A target that refuses ends, which cuts the line; what it said is still to be read. */
static int hear_reason(struct source *source)
{
	char why[512];
	int ret = 0;

	snprintf(why, sizeof(why), "%s", vmx_error());
	source->wire.go_on = NULL;
	source->wire.deadline = wire_now() + LAST_WORDS_NS;
	for (unsigned int n = 0; !ret && n < MOST_LEFT; n++)
		ret = wire_receive(&source->wire);
	return ret == -ECANCELED ? ret : vmx_fail(EPIPE, "%s", why);
}

/* Who cancels does not wait for what comes over the line. */
static int explain(struct source *source, int ret)
{
	bool cancelled;

	pthread_mutex_lock(&source->migration->lock);
	cancelled = source->migration->cancelled;
	pthread_mutex_unlock(&source->migration->lock);
	if (ret != -EPIPE)
		return ret;
	return cancelled ? vmx_fail(ECANCELED, "the migration was cancelled") : hear_reason(source);
}

static int migrate(struct source *source)
{
	int ret = offer(source);

	ret = ret ?: copy_memory(source);
	ret = ret ?: stop_and_commit(source);
	if (ret == -EINPROGRESS)
		return ret;
	ret = explain(source, ret);
	if (ret)
		return take_back(source, ret);
	enter(source, VMX_MIGRATION_DONE);
	return 0;
}

int vmx_machine_migrate(struct vmx_machine *machine, struct vmx_migration *migration)
{
	struct source *source = calloc(1, sizeof(*source));
	char why[512];
	int ret;

	if (!source)
		return vmx_fail(ENOMEM, "no memory to migrate the machine");
	source->machine = machine;
	source->migration = migration;
	source->wire = (struct wire){
		.fd = migration->config.fd, .limit = migration->config.bandwidth,
		.go_on = go_on, .host = source,
	};
	wire_look_up(migration->config.fd);
	untouched_begin(&source->untouched);
	source->begun = wire_now();
	ret = migrate(source);
	snprintf(why, sizeof(why), "%s", vmx_error());
	brake_end(&source->brake);
	dirty_end(&source->log);
	untouched_end(&source->untouched);
	free(source);
	return ret ? vmx_fail(-ret, "%s", why) : 0;
}

bool vmx_migration_cancel(struct vmx_migration *migration)
{
	bool in_time;

	pthread_mutex_lock(&migration->lock);
	in_time = migration->status.phase < VMX_MIGRATION_COMMIT;
	migration->cancelled |= in_time;
	/* Then the target says nothing any more, and a person decides. */
	if (in_time || migration->status.phase == VMX_MIGRATION_COMMIT)
		shutdown(migration->config.fd, SHUT_RD);
	pthread_mutex_unlock(&migration->lock);
	return in_time;
}

void vmx_migration_read(struct vmx_migration *migration, struct vmx_migration_status *status)
{
	pthread_mutex_lock(&migration->lock);
	*status = migration->status;
	pthread_mutex_unlock(&migration->lock);
}
