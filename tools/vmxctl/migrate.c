// SPDX-License-Identifier: LGPL-2.1-or-later
/* Moves a machine, and shows how far it is. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmxctl.h"

/* A migration takes what it takes, and whoever asks may cancel it. */
#define PATIENCE	(7 * 24 * 3600)
#define ASK_PATIENCE	10
#define LOOK_MS		200

struct move {
	const char *path;
	const char *body;
	struct answer answer;
	bool done;
	pthread_mutex_t lock;
	pthread_cond_t ended;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	interrupted = number;
}

static void *ask_for_it(void *arg)
{
	struct move *move = arg;

	ask(move->path, "PUT", "/vm/migrate", move->body, PATIENCE, &move->answer);
	pthread_mutex_lock(&move->lock);
	move->done = true;
	pthread_cond_signal(&move->ended);
	pthread_mutex_unlock(&move->lock);
	return NULL;
}

/* True if it has ended within a moment. */
static bool wait_a_moment(struct move *move)
{
	struct timespec until;
	bool done;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += LOOK_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&move->lock);
	if (!move->done)
		pthread_cond_timedwait(&move->ended, &move->lock, &until);
	done = move->done;
	pthread_mutex_unlock(&move->lock);
	return done;
}

static void show_progress(const char *path)
{
	struct answer answer;
	struct json_object *status;

	if (!isatty(STDERR_FILENO))
		return;
	if (ask(path, "GET", "/vm/migration", NULL, ASK_PATIENCE, &answer)) {
		status = json_of(&answer);
		show_migration_progress(status);
		json_object_put(status);
	}
	free(answer.bytes);
}

/* By Ctrl-C: once, and whether it was in time is in the answer. */
static void cancel_once(const char *path)
{
	struct answer answer;

	if (!interrupted)
		return;
	interrupted = 0;
	if (!ask(path, "PUT", "/vm/migration/cancel", NULL, ASK_PATIENCE, &answer))
		fprintf(stderr, "vmxctl: it cannot be cancelled: %s\n", reason_of(&answer));
	free(answer.bytes);
}

int migrate(const char *vm, const char *path, const char *body, bool json)
{
	struct sigaction action = { .sa_handler = interrupt, .sa_flags = SA_RESTART };
	struct move move = {
		.path = path, .body = body, .lock = PTHREAD_MUTEX_INITIALIZER,
		.ended = PTHREAD_COND_INITIALIZER,
	};
	struct json_object *report;
	pthread_t thread;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (pthread_create(&thread, NULL, ask_for_it, &move))
		fail("cannot start a thread");
	while (!wait_a_moment(&move)) {
		cancel_once(path);
		show_progress(path);
	}
	pthread_join(thread, NULL);
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (move.answer.status != 200)
		fail("%s: %s", vm, reason_of(&move.answer));
	report = json_of(&move.answer);
	if (json)
		fwrite(move.answer.text, 1, move.answer.end - move.answer.text, stdout);
	else
		show_migration(report);
	json_object_put(report);
	free(move.answer.bytes);
	return STATUS_DONE;
}
