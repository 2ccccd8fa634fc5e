// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A guest that writes memory faster than the line takes it never comes to an end of copying. Its
 * vCPUs run for a while and wait for a while, between two instructions.
 */
#define _GNU_SOURCE	/* pthread_cond_clockwait() */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "../lib/internal.h"
#include "../machine/internal.h"
#include "brake.h"
#include "wire.h"

#define NS		1000000000ull
/* How long it runs at a time. */
#define RUN		10000000ull

/* With the machine's lock, which the wait gives up. */
static void wait_for(struct brake *brake, uint64_t ns)
{
	uint64_t end = wire_now() + ns;
	struct timespec until = { .tv_sec = end / NS, .tv_nsec = end % NS };
	int late = 0;

	while (!brake->ending && !late)
		late = pthread_cond_clockwait(&brake->changed, &brake->machine->lock,
					      CLOCK_MONOTONIC, &until);
}

static void set(struct brake *brake, bool braked)
{
	brake->machine->braked = braked;
	vmx_machine_wake(brake->machine);
}

static void *work(void *arg)
{
	struct brake *brake = arg;
	pthread_mutex_t *lock = &brake->machine->lock;

	pthread_mutex_lock(lock);
	while (!brake->ending) {
		uint64_t start;

		wait_for(brake, RUN);
		set(brake, true);
		start = wire_now();
		wait_for(brake, RUN * brake->hundredths / (100 - brake->hundredths));
		brake->ns += wire_now() - start;
		set(brake, false);
	}
	pthread_mutex_unlock(lock);
	return NULL;
}

int brake_set(struct brake *brake, struct vmx_machine *machine, uint32_t hundredths)
{
	int error;

	if (brake->on) {
		pthread_mutex_lock(&machine->lock);
		brake->hundredths = hundredths;
		pthread_mutex_unlock(&machine->lock);
		return 0;
	}
	brake->machine = machine;
	brake->hundredths = hundredths;
	brake->ending = false;
	pthread_cond_init(&brake->changed, NULL);
	error = pthread_create(&brake->thread, NULL, work, brake);
	if (error)
		return vmx_fail(error, "cannot start a thread that slows the guest down: %s",
				strerror(error));
	brake->on = true;
	return 0;
}

void brake_end(struct brake *brake)
{
	if (!brake->on)
		return;
	pthread_mutex_lock(&brake->machine->lock);
	brake->ending = true;
	pthread_cond_signal(&brake->changed);
	pthread_mutex_unlock(&brake->machine->lock);
	pthread_join(brake->thread, NULL);
	pthread_cond_destroy(&brake->changed);
	brake->on = false;
}
