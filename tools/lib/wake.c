// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A woken thread wants the lock that its waker holds. On a busy host it runs at once, only to wait
 * again. So threads collect wake-ups until they drop the lock.
 */
#include "internal.h"

#define MOST	16

static _Thread_local struct {
	bool later;
	unsigned int count;
	pthread_cond_t *conditions[MOST];
} wakes;

void vmx_wake(pthread_cond_t *condition)
{
	if (wakes.later && wakes.count < MOST)
		wakes.conditions[wakes.count++] = condition;
	else
		pthread_cond_signal(condition);
}

void vmx_wake_later(void)
{
	wakes.later = true;
}

void vmx_wake_now(pthread_mutex_t *lock)
{
	wakes.later = false;
	if (!wakes.count)
		return;
	pthread_mutex_unlock(lock);
	while (wakes.count)
		pthread_cond_signal(wakes.conditions[--wakes.count]);
	pthread_mutex_lock(lock);
}
