// SPDX-License-Identifier: LGPL-2.1-or-later
/* The local APIC's timer. SDM, "APIC Timer". It counts nanoseconds: VMX_LAPIC_TIMER_HZ. */
#include <errno.h>

#include "../lib/internal.h"
#include "lapic_internal.h"
#include "loaded.h"

/*
 * Guest TSC and clock. What the TSC counted since the clock was 0 has up to 96 bits; @tsc_zero plus
 * that wraps, as the TSC does. Where one of the two is made of the other it is rounded so that both
 * are there when the first is.
 */

typedef unsigned __int128 ticks_t;

static ticks_t ticks(const struct vmx_lapic *lapic, uint64_t nanoseconds)
{
	return (ticks_t)nanoseconds * lapic->config.tsc_khz / 1000000;
}

static ticks_t ticks_up(const struct vmx_lapic *lapic, uint64_t nanoseconds)
{
	return ((ticks_t)nanoseconds * lapic->config.tsc_khz + 999999) / 1000000;
}

uint64_t vmx_lapic_tsc(const struct vmx_lapic *lapic, uint64_t when)
{
	uint64_t now = vmx_clock_now(lapic->config.clock);
	uint64_t tsc = lapic->tsc_zero + ticks(lapic, now);
	ticks_t distance;

	if (when == VMX_NEVER || !lapic->config.tsc_khz)
		return 0;
	distance = when > now ? ticks_up(lapic, when) - ticks(lapic, now) : 0;
	if (distance > UINT64_MAX - tsc)
		return UINT64_MAX;
	tsc += distance;
	return tsc ? tsc : 1;
}

uint64_t vmx_lapic_deadline(const struct vmx_lapic *lapic)
{
	return vmx_lapic_tsc(lapic, lapic->timer.armed ? lapic->timer.when : VMX_NEVER);
}

/* Counting */

static uint32_t mode(const struct vmx_lapic *lapic)
{
	return lapic->lvt[VMX_LVT_TIMER] & LVT_TIMER_MODE;
}

/* Bits 3, 1 and 0 say 2, 4, 8 ... 128, and 1. */
static unsigned int divisor(uint32_t divide)
{
	unsigned int code = (divide >> 1 & 4) | (divide & 3);

	return 1u << ((code + 1) & 7);
}

static uint64_t period(const struct vmx_lapic *lapic)
{
	return (uint64_t)lapic->initial * divisor(lapic->divide);
}

/* @started may lie before the clock's zero: differences are right all the same. */
static uint64_t elapsed(const struct vmx_lapic *lapic)
{
	return vmx_clock_now(lapic->config.clock) - lapic->started;
}

uint32_t vmx_lapic_timer_current(const struct vmx_lapic *lapic)
{
	uint64_t passed = elapsed(lapic);

	if (!lapic->timer.armed)
		return 0;
	if (mode(lapic) == LVT_TIMER_PERIODIC)
		passed %= period(lapic);
	else if (passed >= period(lapic))	/* as always in TSC-deadline mode */
		return 0;
	return lapic->initial - passed / divisor(lapic->divide);
}

/* The timer expires at the end of the period that it is in, or, if these are short, of a later. */
static void arm(struct vmx_lapic *lapic)
{
	uint64_t length = period(lapic), passed = elapsed(lapic), end = length;

	if (mode(lapic) == LVT_TIMER_PERIODIC) {
		end = passed - passed % length + length;
		if (length < VMX_LAPIC_PERIOD_MIN)
			end += (VMX_LAPIC_PERIOD_MIN - 1) / length * length;
	}
	vmx_timer_set(lapic->config.clock, &lapic->timer, lapic->started + end);
}

static void expire(void *device)
{
	struct vmx_lapic *lapic = device;

	if (mode(lapic) == LVT_TIMER_DEADLINE)
		lapic->tsc_deadline = 0;
	else if (mode(lapic) == LVT_TIMER_PERIODIC)
		arm(lapic);
	vmx_lapic_raise(lapic, VMX_LVT_TIMER);
}

static void stop(struct vmx_lapic *lapic)
{
	vmx_timer_cancel(lapic->config.clock, &lapic->timer);
	lapic->tsc_deadline = 0;
}

void vmx_lapic_timer_init(struct vmx_lapic *lapic)
{
	lapic->timer = (struct vmx_timer){ .expire = expire, .device = lapic };
}

void vmx_lapic_timer_reset(struct vmx_lapic *lapic)
{
	stop(lapic);
	lapic->initial = 0;
	lapic->divide = 0;
}

void vmx_lapic_timer_mode(struct vmx_lapic *lapic, uint32_t value)
{
	uint32_t from = mode(lapic), to = value & LVT_TIMER_MODE;

	if (from == to)
		return;
	/* A count of one clock means nothing to the other. */
	if ((from | to) & LVT_TIMER_DEADLINE) {
		stop(lapic);
		lapic->initial = 0;
	}
	if (!lapic->timer.armed)
		return;
	/* A switch between one-shot and periodic does not stop the count. */
	if (from == LVT_TIMER_PERIODIC)
		lapic->started += elapsed(lapic) - elapsed(lapic) % period(lapic);
	lapic->lvt[VMX_LVT_TIMER] = value;
	arm(lapic);
}

void vmx_lapic_timer_set_initial(struct vmx_lapic *lapic, uint32_t value)
{
	if (mode(lapic) & LVT_TIMER_DEADLINE)
		return;
	stop(lapic);
	lapic->initial = value;
	lapic->started = vmx_clock_now(lapic->config.clock);
	if (value)
		arm(lapic);
}

/* What is counted stays counted; the rest goes at the new rate. */
void vmx_lapic_timer_set_divide(struct vmx_lapic *lapic, uint32_t value)
{
	uint64_t counted = lapic->initial - vmx_lapic_timer_current(lapic);

	lapic->divide = value;
	if (!lapic->timer.armed || mode(lapic) & LVT_TIMER_DEADLINE)
		return;
	lapic->started = vmx_clock_now(lapic->config.clock) - counted * divisor(value);
	arm(lapic);
}

/* SDM, "TSC-Deadline Mode". */
void vmx_lapic_timer_set_deadline(struct vmx_lapic *lapic, uint64_t tsc)
{
	ticks_t counted, when;
	uint64_t now;

	if (mode(lapic) != LVT_TIMER_DEADLINE)
		return;
	stop(lapic);
	if (!tsc)
		return;
	now = vmx_clock_now(lapic->config.clock);
	counted = ticks(lapic, now);
	if (tsc <= lapic->tsc_zero + (uint64_t)counted) {
		vmx_lapic_raise(lapic, VMX_LVT_TIMER);
		return;
	}
	counted += tsc - (lapic->tsc_zero + (uint64_t)counted);
	when = (counted * 1000000 + lapic->config.tsc_khz - 1) / lapic->config.tsc_khz;
	lapic->tsc_deadline = tsc;
	vmx_timer_set(lapic->config.clock, &lapic->timer, when < VMX_NEVER ? when : VMX_NEVER);
}

void vmx_lapic_set_tsc(struct vmx_lapic *lapic, uint64_t tsc)
{
	lapic->tsc_zero = tsc - ticks(lapic, vmx_clock_now(lapic->config.clock));
	vmx_lapic_timer_set_deadline(lapic, lapic->tsc_deadline);
}

/* SDM, "Local APIC Status and Location" */
static bool base_is_possible(const struct vmx_lapic *lapic)
{
	uint64_t flags = APIC_BASE_BSP | APIC_BASE_EXTD | APIC_BASE_EN;

	if (lapic->base & ~(APIC_BASE_ADDRESS | flags) ||
	    lapic->base >> lapic->config.physical_bits)
		return false;
	return lapic->base & APIC_BASE_EN || !(lapic->base & APIC_BASE_EXTD);
}

/* SDM, "Valid Interrupt Vectors" */
static bool vectors_are_possible(const struct vmx_lapic *lapic)
{
	return !((lapic->irr[0] | lapic->isr[0] | lapic->tmr[0]) & 0xffff);
}

/* It began before now; a count that ends has not ended, or it would not run. */
static bool count_is_possible(const struct vmx_lapic *lapic)
{
	uint64_t passed = elapsed(lapic);

	return passed <= INT64_MAX &&
	       (mode(lapic) == LVT_TIMER_PERIODIC || passed <= period(lapic));
}

int lapic_loaded(void *device)
{
	struct vmx_lapic *lapic = device;
	bool runs = lapic->timer.armed, deadline = mode(lapic) == LVT_TIMER_DEADLINE;

	/* So it was in the machine that was saved; here it is on no list yet. */
	lapic->timer.armed = false;
	if (!base_is_possible(lapic) || mode(lapic) == LVT_TIMER_MODE)
		return vmx_fail(EINVAL, "saved state: local APIC %u is in an impossible mode",
				lapic->config.id);
	if (runs && !(deadline ? lapic->tsc_deadline : lapic->initial))
		return vmx_fail(EINVAL, "saved state: the timer of local APIC %u counts nothing",
				lapic->config.id);
	if (runs && !deadline && !count_is_possible(lapic))
		return vmx_fail(EINVAL,
				"saved state: the timer of local APIC %u began at an impossible time",
				lapic->config.id);
	if (!vectors_are_possible(lapic))
		return vmx_fail(EINVAL, "saved state: local APIC %u has an interrupt below 16",
				lapic->config.id);
	if (runs && deadline)
		vmx_lapic_timer_set_deadline(lapic, lapic->tsc_deadline);
	else if (runs)
		arm(lapic);
	return 0;
}
