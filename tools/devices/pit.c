// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The 8254, after Intel's data sheet "82C54 CHMOS Programmable Interval Timer", and port 0x61, "NMI
 * Status and Control Register" in those of the PIIX and ICH. Nothing counts: the value of a counter
 * follows from the time that it began.
 */
#include <errno.h>

#include <libvmx/pit.h>

#include "../lib/internal.h"
#include "loaded.h"

#define PORT_COUNTERS	0x40
#define PORT_CONTROL	0x43
#define PORT_B		0x61

#define CONTROL_BCD	0x01
#define CONTROL_MODE	0x0e
#define CONTROL_MODE_SHIFT 1
#define CONTROL_RW	0x30	/* 0 latches */
#define CONTROL_RW_LSB	0x10
#define CONTROL_RW_MSB	0x20
#define CONTROL_SC_SHIFT 6
#define CONTROL_BITS	0x3f

/* Read-back command; the bits that latch are active low. */
#define READ_BACK	3
#define READ_BACK_NO_STATUS 0x10
#define READ_BACK_NO_COUNT  0x20

#define STATUS_NULL	0x40
#define STATUS_OUT	0x80

#define B_GATE2		0x01
#define B_SPEAKER	0x02
#define B_WRITABLE	0x0f
#define B_REFRESH	0x10
#define B_OUT2		0x20
#define REFRESH_TICKS	18	/* 15 us */

#define NS_PER_SECOND	1000000000ull

#define NEVER		UINT64_MAX

static uint64_t to_ticks(uint64_t ns)
{
	return (__uint128_t)ns * VMX_PIT_HZ / NS_PER_SECOND;
}

/* The first nanosecond of a tick. */
static uint64_t to_ns(uint64_t ticks)
{
	return ((__uint128_t)ticks * NS_PER_SECOND + VMX_PIT_HZ - 1) / VMX_PIT_HZ;
}

static uint64_t now(const struct vmx_pit *pit)
{
	return to_ticks(vmx_clock_now(pit->clock));
}

static uint32_t modulus(const struct vmx_pit_channel *ch)
{
	return ch->control & CONTROL_BCD ? 10000 : 0x10000;
}

static uint32_t from_bcd(uint16_t value)
{
	return (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 +
	       (value & 15);
}

static uint16_t to_bcd(uint32_t value)
{
	return value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
}

/* Modes 2 and 3 begin again by themselves. */
static bool periodic(const struct vmx_pit_channel *ch)
{
	return ch->mode == 2 || ch->mode == 3;
}

/* Modes 1 and 5 begin by a rising edge of the gate, and do not care for it otherwise. */
static bool triggered(const struct vmx_pit_channel *ch)
{
	return ch->mode == 1 || ch->mode == 5;
}

static uint64_t passed(const struct vmx_pit_channel *ch, uint64_t tick)
{
	return ch->running ? tick - ch->start : ch->elapsed;
}

/* OUT, as the data sheet's "Mode Definitions" have it. */
static bool output(const struct vmx_pit_channel *ch, uint64_t tick)
{
	uint64_t t = passed(ch, tick);

	if (!ch->count)
		return ch->mode != 0;
	switch (ch->mode) {
	case 0:
	case 1:
		return t >= ch->count;
	case 2:
		return !ch->gate || t % ch->count != ch->count - 1;
	case 3:
		return !ch->gate || t % ch->count < (ch->count + 1) / 2;
	default:
		return t != ch->count;
	}
}

/* The counting element. In mode 3 it goes by twos, twice a period. */
static uint32_t element(const struct vmx_pit_channel *ch, uint64_t tick)
{
	uint64_t t = passed(ch, tick);

	if (!ch->count)
		return ch->reload;
	if (ch->mode == 2)
		return ch->count - t % ch->count;
	if (ch->mode == 3)
		return (ch->count & ~1u) - 2 * (t % ch->count % ((ch->count + 1) / 2));
	return (ch->count + modulus(ch) - t % modulus(ch)) % modulus(ch);
}

/* What is read: 0 is the highest count. */
static uint16_t current_count(const struct vmx_pit_channel *ch, uint64_t tick)
{
	uint32_t value = element(ch, tick) % modulus(ch);

	return ch->control & CONTROL_BCD ? to_bcd(value) : value;
}

static void begin(struct vmx_pit_channel *ch, uint64_t tick)
{
	ch->count = ch->reload;
	ch->start = tick;
	ch->elapsed = 0;
	ch->running = ch->gate || triggered(ch);
	ch->null_count = false;
}

/* A count that was written during a period begins with the next. */
static void catch_up(struct vmx_pit_channel *ch, uint64_t tick)
{
	if (ch->running && ch->null_count && periodic(ch) && tick >= ch->switch_at)
		begin(ch, ch->switch_at);
}

static uint64_t next_period(const struct vmx_pit_channel *ch, uint64_t tick)
{
	return ch->start + ((tick - ch->start) / ch->count + 1) * ch->count;
}

/* The next rising edge of OUT. "Minimum and Maximum Initial Counts": a period of 1 is illegal. */
static uint64_t next_rise(const struct vmx_pit_channel *ch, uint64_t tick)
{
	uint64_t t = passed(ch, tick), rise = ch->count;

	if (!ch->running)
		return NEVER;
	if (periodic(ch))
		return ch->count > 1 ? next_period(ch, tick) : NEVER;
	if (ch->mode >= 4)
		rise++;
	return t < rise ? ch->start + rise : NEVER;
}

static void schedule(struct vmx_pit *pit)
{
	uint64_t rise = next_rise(&pit->channels[0], now(pit));

	if (rise == NEVER)
		vmx_timer_cancel(pit->clock, &pit->tick);
	else
		vmx_timer_set(pit->clock, &pit->tick, to_ns(rise));
}

/* OUT's low phases before its edge have no watcher but the edge detector of IRQ 0. */
static void expire(void *device)
{
	struct vmx_pit *pit = device;

	vmx_line_set(&pit->irq, false);
	vmx_line_set(&pit->irq, true);
	catch_up(&pit->channels[0], now(pit));
	schedule(pit);
}

/* Channel 0 was written to. */
static void reschedule(struct vmx_pit *pit)
{
	vmx_line_set(&pit->irq, output(&pit->channels[0], now(pit)));
	schedule(pit);
}

static void load(struct vmx_pit_channel *ch, uint16_t value, uint64_t tick)
{
	uint32_t count = ch->control & CONTROL_BCD ? from_bcd(value) : value;

	ch->reload = count ? count : modulus(ch);
	ch->null_count = true;
	if (periodic(ch) && ch->running)
		ch->switch_at = next_period(ch, tick);
	else if (!triggered(ch))
		begin(ch, tick);
}

/* Mode 0: "Writing the first byte disables counting. OUT is set low immediately". */
static void write_first_byte(struct vmx_pit_channel *ch, uint8_t value)
{
	ch->low = value;
	ch->high_next = true;
	if (ch->mode == 0) {
		ch->running = false;
		ch->count = 0;
	}
}

static void write_counter(struct vmx_pit_channel *ch, uint8_t value, uint64_t tick)
{
	switch (ch->control & CONTROL_RW) {
	case CONTROL_RW_LSB:
		load(ch, value, tick);
		break;
	case CONTROL_RW_MSB:
		load(ch, value << 8, tick);
		break;
	case CONTROL_RW:
		if (!ch->high_next) {
			write_first_byte(ch, value);
			break;
		}
		ch->high_next = false;
		load(ch, value << 8 | ch->low, tick);
		break;
	}
}

static uint8_t read_counter(struct vmx_pit_channel *ch, uint64_t tick)
{
	uint16_t value = ch->count_latched ? ch->latch : current_count(ch, tick);
	bool both = (ch->control & CONTROL_RW) == CONTROL_RW;
	bool high = both ? ch->read_high : (ch->control & CONTROL_RW) == CONTROL_RW_MSB;

	if (ch->status_latched) {
		ch->status_latched = false;
		return ch->status;
	}
	if (both)
		ch->read_high = !high;
	if (!both || high)
		ch->count_latched = false;
	return high ? value >> 8 : value;
}

/* What is latched stays until it is read, whatever other commands come. */
static void latch_count(struct vmx_pit_channel *ch, uint64_t tick)
{
	if (!ch->count_latched)
		ch->latch = current_count(ch, tick);
	ch->count_latched = true;
}

static void latch_status(struct vmx_pit_channel *ch, uint64_t tick)
{
	if (!ch->status_latched)
		ch->status = ch->control | (ch->null_count ? STATUS_NULL : 0) |
			     (output(ch, tick) ? STATUS_OUT : 0);
	ch->status_latched = true;
}

static void read_back(struct vmx_pit *pit, uint8_t command)
{
	uint64_t tick = now(pit);

	for (unsigned int n = 0; n < VMX_PIT_CHANNELS; n++) {
		if (!(command & 2 << n))
			continue;
		catch_up(&pit->channels[n], tick);
		if (!(command & READ_BACK_NO_COUNT))
			latch_count(&pit->channels[n], tick);
		if (!(command & READ_BACK_NO_STATUS))
			latch_status(&pit->channels[n], tick);
	}
}

/* "All control words... OUT will go to a known initial state": the rest waits for a count. */
static void write_mode(struct vmx_pit_channel *ch, uint8_t value)
{
	unsigned int mode = (value & CONTROL_MODE) >> CONTROL_MODE_SHIFT;

	*ch = (struct vmx_pit_channel){
		.control = value & CONTROL_BITS,
		.mode = mode > 5 ? mode - 4 : mode,
		.gate = ch->gate,
		.null_count = true,
	};
}

static void write_control(struct vmx_pit *pit, uint8_t value)
{
	unsigned int n = value >> CONTROL_SC_SHIFT;

	if (n == READ_BACK) {
		read_back(pit, value);
		return;
	}
	if (!(value & CONTROL_RW)) {
		catch_up(&pit->channels[n], now(pit));
		latch_count(&pit->channels[n], now(pit));
		return;
	}
	write_mode(&pit->channels[n], value);
	if (n == 0)
		reschedule(pit);
}

static uint8_t read_port(void *device, uint16_t port)
{
	struct vmx_pit *pit = device;
	uint64_t tick = now(pit);

	if (port == PORT_CONTROL)
		return 0xff;	/* "no-operation": the bus floats */
	catch_up(&pit->channels[port - PORT_COUNTERS], tick);
	return read_counter(&pit->channels[port - PORT_COUNTERS], tick);
}

static void write_port(void *device, uint16_t port, uint8_t value)
{
	struct vmx_pit *pit = device;
	uint64_t tick = now(pit);

	if (port == PORT_CONTROL) {
		write_control(pit, value);
		return;
	}
	catch_up(&pit->channels[port - PORT_COUNTERS], tick);
	write_counter(&pit->channels[port - PORT_COUNTERS], value, tick);
	if (port == PORT_COUNTERS)
		reschedule(pit);
}

/* "Gate Pin Operations Summary". */
static void set_gate(struct vmx_pit_channel *ch, bool level, uint64_t tick)
{
	bool rises = level && !ch->gate;
	bool falls = !level && ch->gate;

	ch->gate = level;
	if (rises && ch->reload && (triggered(ch) || periodic(ch))) {
		begin(ch, tick);
	} else if (rises && ch->count) {
		ch->start = tick - ch->elapsed;
		ch->running = true;
	} else if (falls && ch->running && !triggered(ch)) {
		ch->elapsed = tick - ch->start;
		ch->running = false;
	}
}

static uint8_t read_b(void *device, uint16_t port)
{
	struct vmx_pit *pit = device;
	uint64_t tick = now(pit);

	(void)port;
	catch_up(&pit->channels[2], tick);
	return pit->control_b | (tick / REFRESH_TICKS % 2 ? B_REFRESH : 0) |
	       (output(&pit->channels[2], tick) ? B_OUT2 : 0);
}

static void write_b(void *device, uint16_t port, uint8_t value)
{
	struct vmx_pit *pit = device;
	uint64_t tick = now(pit);

	(void)port;
	pit->control_b = value & B_WRITABLE;
	catch_up(&pit->channels[2], tick);
	set_gate(&pit->channels[2], value & B_GATE2, tick);
}

int vmx_pit_attach(struct vmx_pit *pit, struct vmx_bus *bus)
{
	pit->ports[0] = (struct vmx_ports){
		PORT_COUNTERS, 4, "8254 timer", read_port, write_port, pit
	};
	pit->ports[1] = (struct vmx_ports){
		PORT_B, 1, "NMI status and control", read_b, write_b, pit
	};
	return vmx_ports_add(bus, pit->ports, 2);
}

unsigned int vmx_pit_speaker(const struct vmx_pit *pit)
{
	const struct vmx_pit_channel *ch = &pit->channels[2];

	if (!(pit->control_b & B_SPEAKER) || !ch->running || ch->mode != 3)
		return 0;
	return VMX_PIT_HZ / ch->count;
}

void vmx_pit_reset(struct vmx_pit *pit)
{
	vmx_timer_cancel(pit->clock, &pit->tick);
	pit->control_b = 0;
	/* The gates of channels 0 and 1 are tied high. */
	for (unsigned int n = 0; n < VMX_PIT_CHANNELS; n++)
		pit->channels[n] = (struct vmx_pit_channel){
			.gate = n != 2,
			.null_count = true,
		};
	vmx_line_set(&pit->irq, false);
}

/* What a guest cannot bring about would make timers expire without end. */
int pit_loaded(void *device)
{
	struct vmx_pit *pit = device;

	for (unsigned int n = 0; n < VMX_PIT_CHANNELS; n++) {
		const struct vmx_pit_channel *ch = &pit->channels[n];

		if (ch->count > modulus(ch) || ch->reload > modulus(ch) ||
		    (ch->running && (!ch->count || ch->start > now(pit))))
			return vmx_fail(EINVAL, "saved state: no 8254 counts like channel %u", n);
	}
	schedule(pit);
	return 0;
}

void vmx_pit_init(struct vmx_pit *pit, struct vmx_clock *clock, struct vmx_line irq)
{
	*pit = (struct vmx_pit){
		.clock = clock,
		.irq = irq,
		.tick = { .expire = expire, .device = pit },
	};
	vmx_pit_reset(pit);
}
