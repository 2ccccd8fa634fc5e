// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Output for a reader that may be slow, or not read at all. It goes into a buffer, and a thread
 * writes it. Callers hold the machine's lock, so they never wait. While the buffer holds too much,
 * vCPUs do not enter the guest.
 */
#define _GNU_SOURCE	/* pthread_cond_clockwait() */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmxrun.h"

/* Beyond FULL, vCPUs pause. The rest is room for the exits that they still finish. */
#define SIZE		(256u << 10)
#define FULL		(64u << 10)
/* An incomplete line goes out after this time without more of it, or when it is this long. */
#define LINE_WAIT	10000000ul
#define LINE		4096
/* How long the end of the process waits for a reader to take the last words. */
#define LAST_WORDS	200000000ul

struct outlet {
	struct outlet *next;
	int fd;
	void (*failed)(int error);
	pthread_mutex_t lock;
	pthread_cond_t filled;
	pthread_cond_t written;
	bool due;		/* write now, without waiting for more */
	bool given_up;
	int error;		/* the first one */
	size_t first;
	size_t count;		/* read without the lock */
	char bytes[SIZE];
};

static struct outlet *outlets;

bool outlet_is_full(const struct outlet *outlet)
{
	return __atomic_load_n(&outlet->count, __ATOMIC_RELAXED) >= FULL;
}

static void set_count(struct outlet *outlet, size_t count)
{
	__atomic_store_n(&outlet->count, count, __ATOMIC_RELAXED);
}

/* Returns false after a time-out. */
static bool wait_for(pthread_cond_t *condition, struct outlet *outlet, unsigned long nanoseconds)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += nanoseconds;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return !pthread_cond_clockwait(condition, &outlet->lock, CLOCK_MONOTONIC, &until);
}

size_t outlet_put(struct outlet *outlet, const void *bytes, size_t length)
{
	size_t end, before_wrap;

	pthread_mutex_lock(&outlet->lock);
	end = (outlet->first + outlet->count) % SIZE;
	if (length > SIZE - outlet->count)
		length = SIZE - outlet->count;
	before_wrap = length < SIZE - end ? length : SIZE - end;
	memcpy(outlet->bytes + end, bytes, before_wrap);
	memcpy(outlet->bytes, (const char *)bytes + before_wrap, length - before_wrap);
	if (!outlet->due && (outlet->count + length >= LINE || memchr(bytes, '\n', length))) {
		outlet->due = true;
		pthread_cond_signal(&outlet->filled);
	} else if (!outlet->count) {
		pthread_cond_signal(&outlet->filled);
	}
	set_count(outlet, outlet->count + length);
	pthread_mutex_unlock(&outlet->lock);
	return length;
}

static void wait_for_bytes(struct outlet *outlet)
{
	while (!outlet->count)
		pthread_cond_wait(&outlet->filled, &outlet->lock);
	if (!outlet->due)
		wait_for(&outlet->filled, outlet, LINE_WAIT);
	outlet->due = false;
}

/* Lost bytes count as written, so that the guest does not wait for room on a full disk. */
static size_t write_some(struct outlet *outlet, const char *bytes, size_t length)
{
	struct pollfd fd = { .fd = outlet->fd, .events = POLLOUT };
	ssize_t done = write(outlet->fd, bytes, length);

	if (done >= 0)
		return done;
	if (errno == EINTR)
		return 0;
	if (errno == EAGAIN) {
		poll(&fd, 1, -1);
		return 0;
	}
	if (!outlet->error) {
		outlet->error = errno;
		if (outlet->failed)
			outlet->failed(errno);
	}
	return length;
}

/* Called with the lock, drops it to write. Returns whether vCPUs that paused may go on. */
static bool write_out(struct outlet *outlet)
{
	size_t length = SIZE - outlet->first;
	bool was_full;

	if (length > outlet->count)
		length = outlet->count;
	pthread_mutex_unlock(&outlet->lock);
	length = write_some(outlet, outlet->bytes + outlet->first, length);
	pthread_mutex_lock(&outlet->lock);
	was_full = outlet_is_full(outlet);
	outlet->first = (outlet->first + length) % SIZE;
	set_count(outlet, outlet->count - length);
	/* The rest has to wait. */
	outlet->due |= outlet->count;
	pthread_cond_signal(&outlet->written);
	return was_full && !outlet_is_full(outlet);
}

static void *write_on(void *arg)
{
	struct outlet *outlet = arg;

	for (;;) {
		bool resume;

		pthread_mutex_lock(&outlet->lock);
		wait_for_bytes(outlet);
		resume = write_out(outlet);
		pthread_mutex_unlock(&outlet->lock);
		if (resume)
			console_resume();
	}
	return NULL;
}

struct outlet *outlet_open(int fd, void (*failed)(int error))
{
	struct outlet *outlet = calloc(1, sizeof(*outlet));
	pthread_t thread;

	if (!outlet)
		fail("out of memory for output");
	outlet->fd = fd;
	outlet->failed = failed;
	pthread_mutex_init(&outlet->lock, NULL);
	pthread_cond_init(&outlet->filled, NULL);
	pthread_cond_init(&outlet->written, NULL);
	if (pthread_create(&thread, NULL, write_on, outlet))
		fail("cannot start a thread for output");
	outlet->next = outlets;
	outlets = outlet;
	return outlet;
}

bool outlets_are_full(void *host __attribute__((unused)))
{
	for (const struct outlet *outlet = outlets; outlet; outlet = outlet->next)
		if (outlet_is_full(outlet))
			return true;
	return false;
}

void outlets_give_up(void)
{
	for (struct outlet *outlet = outlets; outlet; outlet = outlet->next) {
		pthread_mutex_lock(&outlet->lock);
		outlet->given_up = true;
		pthread_cond_signal(&outlet->written);
		pthread_mutex_unlock(&outlet->lock);
	}
}

int outlet_close(struct outlet *outlet)
{
	int error;

	pthread_mutex_lock(&outlet->lock);
	outlet->due = true;
	pthread_cond_signal(&outlet->filled);
	while (outlet->count) {
		if (!outlet->given_up)
			pthread_cond_wait(&outlet->written, &outlet->lock);
		else if (!wait_for(&outlet->written, outlet, LAST_WORDS))
			break;
	}
	error = outlet->count ? ETIMEDOUT : outlet->error;
	pthread_mutex_unlock(&outlet->lock);
	return error;
}
