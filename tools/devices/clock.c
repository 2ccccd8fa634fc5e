// SPDX-License-Identifier: LGPL-2.1-or-later
/* Timers on a clock. A list sorted by time is enough, since a machine has few. */
#include <libvmx/device.h>

void vmx_timer_cancel(struct vmx_clock *clock, struct vmx_timer *timer)
{
	struct vmx_timer **at = &clock->first;

	if (!timer->armed)
		return;
	while (*at != timer)
		at = &(*at)->next;
	*at = timer->next;
	timer->armed = false;
}

void vmx_timer_set(struct vmx_clock *clock, struct vmx_timer *timer, uint64_t when)
{
	struct vmx_timer **at = &clock->first;

	vmx_timer_cancel(clock, timer);
	if (when <= clock->past)
		when = clock->past + 1;
	while (*at && (*at)->when <= when)
		at = &(*at)->next;
	timer->when = when;
	timer->armed = true;
	timer->next = *at;
	*at = timer;
	if (clock->first == timer && clock->sooner)
		clock->sooner(clock->source);
}

void vmx_clock_expire(struct vmx_clock *clock)
{
	clock->past = vmx_clock_now(clock);
	while (clock->first && clock->first->when <= clock->past) {
		struct vmx_timer *timer = clock->first;

		vmx_timer_cancel(clock, timer);
		timer->expire(timer->device);
	}
}
