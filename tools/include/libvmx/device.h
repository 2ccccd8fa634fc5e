/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: devices
 *
 * The base of device models. A device is a plain struct that the caller owns and
 * that answers reads and writes of ranges on a bus (one bus for ports, one for
 * memory), drives interrupt lines, and sets timers. It knows nothing
 * of vCPUs, threads or /dev/vmx, so it can be tested by calling it.
 *
 * Nothing here locks. A machine has one lock, and holds it whenever it touches a device, a bus or
 * a clock.
 */
#ifndef LIBVMX_DEVICE_H
#define LIBVMX_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Buses */

/**
 * struct vmx_range_ops - handlers of accesses to a range
 * @read: reads @size bytes at @offset from the range's start; bits of the result
 *	beyond @size are ignored
 * @write: writes, likewise; bits of @value beyond @size are 0
 *
 * @size is 1, 2, 4 or 8 (ports: up to 4), and the access is within the range.
 * The guest chooses all arguments, so trust none.
 */
struct vmx_range_ops {
	uint64_t (*read)(void *device, uint64_t offset, unsigned int size);
	void (*write)(void *device, uint64_t offset, unsigned int size,
		      uint64_t value);
};

struct vmx_bus_range;

/**
 * struct vmx_bus - ranges of addresses and the devices behind them
 * @ranges: sorted by address, disjoint
 * @count: number of them
 * @room: how many fit
 * @hint: the range found last
 *
 * Initialize it with zeroes.
 */
struct vmx_bus {
	struct vmx_bus_range *ranges;
	size_t count;
	size_t room;
	size_t hint;
};

/**
 * vmx_bus_add() - put a device's range on a bus
 * @bus: the bus
 * @base: first address
 * @length: bytes, not 0
 * @ops: handlers of accesses; not copied
 * @device: argument for @ops
 * @name: for messages; not copied
 *
 * Return: 0, -EINVAL (empty, or past the end of the address space), -EEXIST
 * (it overlaps another; vmx_error() says which), -ENOMEM.
 */
int vmx_bus_add(struct vmx_bus *bus, uint64_t base, uint64_t length,
		const struct vmx_range_ops *ops, void *device, const char *name);

/**
 * vmx_bus_remove() - take a range off a bus
 * @bus: the bus
 * @base: its first address; it is no error if there is none
 */
void vmx_bus_remove(struct vmx_bus *bus, uint64_t base);

/**
 * vmx_bus_free() - take everything off a bus
 * @bus: the bus, empty afterwards
 */
void vmx_bus_free(struct vmx_bus *bus);

/**
 * vmx_bus_read() - read from a device
 * @bus: the bus
 * @address: address
 * @size: 1, 2, 4 or 8
 * @value: the result, zero-extended; all ones if no device answers
 *
 * An access that is not wholly within one range reaches no device.
 *
 * Return: true if a device answered.
 */
bool vmx_bus_read(struct vmx_bus *bus, uint64_t address, unsigned int size,
		  uint64_t *value);

/**
 * vmx_bus_write() - write to a device
 * @bus: the bus
 * @address: address
 * @size: 1, 2, 4 or 8
 * @value: the value; bits beyond @size are ignored
 *
 * Return: true if a device took it.
 */
bool vmx_bus_write(struct vmx_bus *bus, uint64_t address, unsigned int size,
		   uint64_t value);

/* Threads */

/**
 * struct vmx_quiet - keeps threads of devices from the guest's memory for a while
 * @wanted: number of threads that want quiet; above 0 no device's thread begins work
 * @working: threads of devices that work without the machine's lock
 * @saving: threads that write the guest's memory to a file without the machine's lock;
 *	a debugger waits for them
 * @changed: one of these changed, or its waiter has to look again; goes with the
 *	machine's lock
 */
struct vmx_quiet {
	unsigned int wanted;
	unsigned int working;
	unsigned int saving;
	pthread_cond_t changed;
};

/* Interrupt lines */

/**
 * struct vmx_line - a wire from a device to an interrupt controller's input
 * @set: called at every change that the device makes known, and perhaps without
 *	a change; NULL for a wire that ends nowhere
 * @controller: what it is called with
 * @pin: the input
 */
struct vmx_line {
	void (*set)(void *controller, unsigned int pin, bool level);
	void *controller;
	unsigned int pin;
};

/**
 * vmx_line_set() - drive a line
 * @line: the line
 * @level: high or low
 */
static inline void vmx_line_set(const struct vmx_line *line, bool level)
{
	if (line->set)
		line->set(line->controller, line->pin, level);
}

/* Time */

/**
 * struct vmx_timer - an event at a later time
 * @expire: called when it is time; may set the timer again
 * @device: argument for @expire
 * @when: nanoseconds on the clock; valid while @armed
 * @armed: it is on its clock's list
 * @next: the next to expire
 *
 * The caller fills in @expire and @device and initializes the rest with zeroes.
 */
struct vmx_timer {
	void (*expire)(void *device);
	void *device;
	uint64_t when;
	bool armed;
	struct vmx_timer *next;
};

/**
 * struct vmx_clock - nanoseconds since some moment, and timers on them
 * @now: reads the time; never goes back
 * @sooner: told by vmx_timer_set() that the next event is another one now, and may
 *	be sooner than somebody sleeps for; NULL for nobody
 * @source: argument for both
 * @first: the timer that expires first
 * @past: the time of the last vmx_clock_expire()
 */
struct vmx_clock {
	uint64_t (*now)(void *source);
	void (*sooner)(void *source);
	void *source;
	struct vmx_timer *first;
	uint64_t past;
};

#define VMX_NEVER UINT64_MAX

/**
 * vmx_clock_now() - read the time
 * @clock: the clock
 *
 * Return: nanoseconds.
 */
static inline uint64_t vmx_clock_now(const struct vmx_clock *clock)
{
	return clock->now(clock->source);
}

/**
 * vmx_timer_set() - make a timer expire at a time, in place of the previous one
 * @clock: the clock
 * @timer: the timer
 * @when: nanoseconds; what is over by the last vmx_clock_expire() becomes the
 *	moment after it, so a timer expires once an occasion
 */
void vmx_timer_set(struct vmx_clock *clock, struct vmx_timer *timer,
		   uint64_t when);

/**
 * vmx_timer_cancel() - stop a timer
 * @clock: the clock
 * @timer: the timer; nothing happens if it is not set
 */
void vmx_timer_cancel(struct vmx_clock *clock, struct vmx_timer *timer);

/**
 * vmx_clock_next() - find the time of the next event
 * @clock: the clock
 *
 * Return: the time of the timer that expires first, %VMX_NEVER without one.
 */
static inline uint64_t vmx_clock_next(const struct vmx_clock *clock)
{
	return clock->first ? clock->first->when : VMX_NEVER;
}

/**
 * vmx_clock_expire() - run all timers that are due
 * @clock: the clock
 */
void vmx_clock_expire(struct vmx_clock *clock);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_DEVICE_H */
