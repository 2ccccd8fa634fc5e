// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The MC146818, after Motorola's data sheet "MC146818 Real-Time Clock plus RAM". Nothing ticks. The
 * time is the host's plus an offset, the flags follow from the time that has passed, and timers
 * run only for interrupts that are enabled and not yet pending.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <libvmx/rtc.h>

#include "../lib/internal.h"
#include "loaded.h"

#define PORT_INDEX	0x70
#define PORT_DATA	0x71
#define INDEX_NMI_OFF	0x80

enum {
	SECONDS = 0,
	SECONDS_ALARM = 1,
	MINUTES = 2,
	MINUTES_ALARM = 3,
	HOURS = 4,
	HOURS_ALARM = 5,
	WEEKDAY = 6,
	DAY = 7,
	MONTH = 8,
	YEAR = 9,
	REG_A = 10,
	REG_B = 11,
	REG_C = 12,
	REG_D = 13,
	/* In the memory, by the PC's convention. */
	EQUIPMENT = 0x14,
	BASE_KB = 0x15,
	EXTENDED_KB = 0x17,
	SUM = 0x2e,
	EXTENDED_KB_TOO = 0x30,
	CENTURY = 0x32,
	ABOVE_16M = 0x34,
	ABOVE_4G = 0x5b,
};

#define A_UIP		0x80
#define A_DIVIDER	0x70
#define A_DIVIDER_32KHZ	0x20
#define A_DIVIDER_RESET	0x60
#define A_RATE		0x0f

#define B_SET		0x80
#define B_PIE		0x40
#define B_AIE		0x20
#define B_UIE		0x10
#define B_SQWE		0x08
#define B_BINARY	0x04
#define B_24H		0x02

/* Flags of C have their enables' places in B. */
#define C_IRQF		0x80
#define C_PF		0x40
#define C_AF		0x20
#define C_UF		0x10

#define D_VRT		0x80

#define HOURS_PM	0x80
#define ALARM_ANY	0xc0

#define EQUIPMENT_FPU	0x02

#define DAY_SECONDS	86400
#define NS_PER_SECOND	1000000000ull
#define HZ		32768
#define UIP_NS		244000	/* t_BUC: what is read in this time, no update can spoil */

static const uint8_t time_registers[] = {
	SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY
};

static bool is_time(uint8_t index)
{
	return memchr(time_registers, index, sizeof(time_registers));
}

static uint64_t time_of_day(const struct vmx_rtc *rtc)
{
	return rtc->config.time(rtc->config.source);
}

/* Whether updates happen. */
static bool runs(const struct vmx_rtc *rtc)
{
	return !(rtc->memory[REG_B] & B_SET) &&
	       (rtc->memory[REG_A] & A_DIVIDER_RESET) != A_DIVIDER_RESET;
}

static uint8_t encode(const struct vmx_rtc *rtc, unsigned int value)
{
	return rtc->memory[REG_B] & B_BINARY ? value : (value / 10 % 10 << 4 | value % 10);
}

static unsigned int decode(const struct vmx_rtc *rtc, uint8_t value)
{
	return rtc->memory[REG_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hour(const struct vmx_rtc *rtc, unsigned int hour)
{
	if (rtc->memory[REG_B] & B_24H)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOURS_PM : 0);
}

static unsigned int decode_hour(const struct vmx_rtc *rtc, uint8_t value)
{
	if (rtc->memory[REG_B] & B_24H)
		return decode(rtc, value);
	return decode(rtc, value & ~HOURS_PM) % 12 + (value & HOURS_PM ? 12 : 0);
}

/* The registers show a time: the guest's, SECOND by the host's. */
static void show(struct vmx_rtc *rtc, uint64_t second)
{
	time_t seconds = (int64_t)second + rtc->offset;
	struct tm tm;

	if (!gmtime_r(&seconds, &tm))
		return;
	rtc->memory[SECONDS] = encode(rtc, tm.tm_sec);
	rtc->memory[MINUTES] = encode(rtc, tm.tm_min);
	rtc->memory[HOURS] = encode_hour(rtc, tm.tm_hour);
	rtc->memory[WEEKDAY] = encode(rtc, tm.tm_wday + 1);
	rtc->memory[DAY] = encode(rtc, tm.tm_mday);
	rtc->memory[MONTH] = encode(rtc, tm.tm_mon + 1);
	rtc->memory[YEAR] = encode(rtc, (tm.tm_year + 1900) % 100);
	rtc->memory[CENTURY] = encode(rtc, (tm.tm_year + 1900) / 100);
}

/* The guest has set the registers; a 31 February becomes a day in March. */
static void take_over(struct vmx_rtc *rtc, uint64_t second)
{
	struct tm tm = {
		.tm_sec = decode(rtc, rtc->memory[SECONDS]),
		.tm_min = decode(rtc, rtc->memory[MINUTES]),
		.tm_hour = decode_hour(rtc, rtc->memory[HOURS]),
		.tm_mday = decode(rtc, rtc->memory[DAY]),
		.tm_mon = decode(rtc, rtc->memory[MONTH]) - 1,
		.tm_year = decode(rtc, rtc->memory[CENTURY]) * 100 +
			   decode(rtc, rtc->memory[YEAR]) - 1900,
	};

	rtc->offset = timegm(&tm) - (int64_t)second;
}

static bool alarm_matches(uint8_t reg, unsigned int alarm, unsigned int value)
{
	return (reg & ALARM_ANY) == ALARM_ANY || alarm == value;
}

/*
 * The first second after SECOND at which the alarm goes off, UINT64_MAX if it never does. Hours and
 * minutes that do not match are skipped as a whole, so few steps make a day.
 */
static uint64_t next_alarm(const struct vmx_rtc *rtc, uint64_t second)
{
	const uint8_t *regs = rtc->memory;
	unsigned int hour = decode_hour(rtc, regs[HOURS_ALARM]);
	unsigned int minute = decode(rtc, regs[MINUTES_ALARM]);
	unsigned int sec = decode(rtc, regs[SECONDS_ALARM]);
	uint64_t end = second + DAY_SECONDS;

	for (second++; second <= end;) {
		int64_t time = ((int64_t)second + rtc->offset) % DAY_SECONDS;

		if (time < 0)
			time += DAY_SECONDS;
		if (!alarm_matches(regs[HOURS_ALARM], hour, time / 3600))
			second += 3600 - time % 3600;
		else if (!alarm_matches(regs[MINUTES_ALARM], minute, time / 60 % 60))
			second += 60 - time % 60;
		else if (!alarm_matches(regs[SECONDS_ALARM], sec, time % 60))
			second++;
		else
			return second;
	}
	return UINT64_MAX;
}

/* "Periodic Interrupt Rate": cycles of 32.768 kHz, 0 for none. */
static unsigned int period_cycles(const struct vmx_rtc *rtc)
{
	unsigned int rate = rtc->memory[REG_A] & A_RATE;

	if (!rate || (rtc->memory[REG_A] & A_DIVIDER) != A_DIVIDER_32KHZ)
		return 0;
	return 1 << (rate < 3 ? rate + 6 : rate - 1);
}

/* Periods that have passed on the machine's clock. */
static uint64_t periods(const struct vmx_rtc *rtc)
{
	unsigned int cycles = period_cycles(rtc);

	if (!cycles)
		return rtc->period;
	return (__uint128_t)vmx_clock_now(rtc->config.clock) * HZ / NS_PER_SECOND / cycles;
}

static uint64_t next_period_ns(const struct vmx_rtc *rtc)
{
	__uint128_t cycle = (__uint128_t)(rtc->period + 1) * period_cycles(rtc);

	return (cycle * NS_PER_SECOND + HZ - 1) / HZ;
}

/* Flags for what has happened since somebody looked. A time of day that jumps back is an update. */
static void catch_up(struct vmx_rtc *rtc)
{
	uint64_t second = time_of_day(rtc) / NS_PER_SECOND;
	uint64_t period = periods(rtc);

	if (period != rtc->period)
		rtc->memory[REG_C] |= C_PF;
	rtc->period = period;
	if (second != rtc->second && runs(rtc)) {
		rtc->memory[REG_C] |= C_UF;
		if (next_alarm(rtc, rtc->second) <= second)
			rtc->memory[REG_C] |= C_AF;
	}
	rtc->second = second;
}

/* The interrupts that are enabled and not yet pending. */
static uint8_t awaited(const struct vmx_rtc *rtc)
{
	return rtc->memory[REG_B] & ~rtc->memory[REG_C] & (B_PIE | B_AIE | B_UIE);
}

/* The second of the next interrupt by an update, UINT64_MAX for none. */
static uint64_t next_update(const struct vmx_rtc *rtc)
{
	if (runs(rtc) && (awaited(rtc) & B_UIE))
		return rtc->second + 1;
	if (runs(rtc) && (awaited(rtc) & B_AIE))
		return next_alarm(rtc, rtc->second);
	return UINT64_MAX;
}

static void schedule_update(struct vmx_rtc *rtc)
{
	struct vmx_clock *clock = rtc->config.clock;
	uint64_t next = next_update(rtc), now = time_of_day(rtc);

	if (next == UINT64_MAX)
		vmx_timer_cancel(clock, &rtc->update);
	else
		vmx_timer_set(clock, &rtc->update, vmx_clock_now(clock) +
			      (next * NS_PER_SECOND > now ? next * NS_PER_SECOND - now : 0));
}

/* To be called after catch_up(). */
static void update_irq(struct vmx_rtc *rtc)
{
	uint8_t *c = &rtc->memory[REG_C];

	*c &= ~C_IRQF;
	if (*c & rtc->memory[REG_B])
		*c |= C_IRQF;
	vmx_line_set(&rtc->config.irq, *c & C_IRQF);
	schedule_update(rtc);
	if ((awaited(rtc) & B_PIE) && period_cycles(rtc))
		vmx_timer_set(rtc->config.clock, &rtc->periodic, next_period_ns(rtc));
	else
		vmx_timer_cancel(rtc->config.clock, &rtc->periodic);
}

void vmx_rtc_time_changed(struct vmx_rtc *rtc)
{
	catch_up(rtc);
	update_irq(rtc);
}

static void expire(void *device)
{
	vmx_rtc_time_changed(device);
}

/* Registers A and B start and stop the clock. The registers stand with it. */
static void write_control(struct vmx_rtc *rtc, uint8_t index, uint8_t value)
{
	bool ran = runs(rtc);

	if (ran)
		show(rtc, rtc->second);
	if (index == REG_A)
		value &= ~A_UIP;
	if (index == REG_B && (value & B_SET))
		value &= ~B_UIE;
	rtc->memory[index] = value;
	if (!ran && runs(rtc))
		take_over(rtc, rtc->second);
	/* A new rate counts from here. */
	rtc->period = periods(rtc);
}

static void write_memory(struct vmx_rtc *rtc, uint8_t index, uint8_t value)
{
	if (!is_time(index)) {
		rtc->memory[index] = value;
		return;
	}
	if (runs(rtc))
		show(rtc, rtc->second);
	rtc->memory[index] = value;
	if (runs(rtc))
		take_over(rtc, rtc->second);
}

static void write_register(struct vmx_rtc *rtc, uint8_t index, uint8_t value)
{
	catch_up(rtc);
	switch (index) {
	case REG_A:
	case REG_B:
		write_control(rtc, index, value);
		break;
	case REG_C:
	case REG_D:
		return;
	default:
		write_memory(rtc, index, value);
	}
	update_irq(rtc);
}

/* An update is near; the registers do not change before it is over. */
static bool updating(const struct vmx_rtc *rtc)
{
	return runs(rtc) && time_of_day(rtc) % NS_PER_SECOND >= NS_PER_SECOND - UIP_NS;
}

static uint8_t read_c(struct vmx_rtc *rtc)
{
	uint8_t value;

	update_irq(rtc);
	value = rtc->memory[REG_C];
	rtc->memory[REG_C] = 0;
	update_irq(rtc);
	return value;
}

static uint8_t read_register(struct vmx_rtc *rtc, uint8_t index)
{
	catch_up(rtc);
	if (is_time(index) && runs(rtc))
		show(rtc, rtc->second);
	switch (index) {
	case REG_A:
		return rtc->memory[REG_A] | (updating(rtc) ? A_UIP : 0);
	case REG_C:
		return read_c(rtc);
	case REG_D:
		return D_VRT;
	default:
		return rtc->memory[index];
	}
}

/* The index can only be written. */
static uint8_t read_port(void *device, uint16_t port)
{
	struct vmx_rtc *rtc = device;

	return port == PORT_DATA ? read_register(rtc, rtc->index) : 0xff;
}

static void write_port(void *device, uint16_t port, uint8_t value)
{
	struct vmx_rtc *rtc = device;

	if (port == PORT_DATA)
		write_register(rtc, rtc->index, value);
	else
		rtc->index = value & ~INDEX_NMI_OFF;
}

int vmx_rtc_attach(struct vmx_rtc *rtc, struct vmx_bus *bus)
{
	rtc->ports = (struct vmx_ports){
		PORT_INDEX, 2, "MC146818 clock", read_port, write_port, rtc
	};
	return vmx_ports_add(bus, &rtc->ports, 1);
}

/* "RESET": clears the interrupt enables and flags and the square wave. */
void vmx_rtc_reset(struct vmx_rtc *rtc)
{
	catch_up(rtc);
	rtc->index = 0;
	rtc->memory[REG_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
	rtc->memory[REG_C] = 0;
	update_irq(rtc);
}

void vmx_rtc_init(struct vmx_rtc *rtc, const struct vmx_rtc_config *config)
{
	*rtc = (struct vmx_rtc){
		.config = *config,
		.update = { .expire = expire, .device = rtc },
		.periodic = { .expire = expire, .device = rtc },
		.memory[REG_A] = A_DIVIDER_32KHZ | 6,
		.memory[REG_B] = B_24H,
	};
	vmx_rtc_reset(rtc);
}

/* Years have four digits, of which a guest can make up to 16,665. */
#define MOST_SECONDS	(1ll << 40)

int rtc_loaded(void *device)
{
	struct vmx_rtc *rtc = device;

	if (rtc->offset > MOST_SECONDS || rtc->offset < -MOST_SECONDS ||
	    rtc->second > MOST_SECONDS)
		return vmx_fail(EINVAL, "saved state: the clock's time is impossible");
	catch_up(rtc);
	update_irq(rtc);
	return 0;
}

/* Stores what fits into so many bytes, or the most that does. */
static void store(struct vmx_rtc *rtc, unsigned int index, unsigned int bytes, uint64_t value)
{
	uint64_t most = (1ull << 8 * bytes) - 1;

	if (value > most)
		value = most;
	for (unsigned int n = 0; n < bytes; n++)
		rtc->memory[index + n] = value >> 8 * n;
}

static uint64_t above(uint64_t bytes, uint64_t limit)
{
	return bytes > limit ? bytes - limit : 0;
}

void vmx_rtc_set_ram(struct vmx_rtc *rtc, uint64_t low, uint64_t high)
{
	uint16_t sum = 0;

	rtc->memory[EQUIPMENT] = EQUIPMENT_FPU;
	store(rtc, BASE_KB, 2, low >= 640 << 10 ? 640 : low >> 10);
	store(rtc, EXTENDED_KB, 2, above(low, 1 << 20) >> 10);
	store(rtc, EXTENDED_KB_TOO, 2, above(low, 1 << 20) >> 10);
	store(rtc, ABOVE_16M, 2, above(low, 16 << 20) >> 16);
	store(rtc, ABOVE_4G, 3, high >> 16);
	for (unsigned int n = 0x10; n < SUM; n++)
		sum += rtc->memory[n];
	rtc->memory[SUM] = sum >> 8;
	rtc->memory[SUM + 1] = sum;
}
