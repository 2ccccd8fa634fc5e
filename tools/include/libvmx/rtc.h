/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: rtc
 *
 * The real-time clock of a PC, an MC146818, and the memory that its battery
 * keeps.
 */
#ifndef LIBVMX_RTC_H
#define LIBVMX_RTC_H

#include <libvmx/ports.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMX_RTC_MEMORY	128

/**
 * struct vmx_rtc_config - what a real-time clock is connected to
 * @clock: the machine's clock, for interrupts
 * @irq: IRQ 8
 * @time: reads the time of day: nanoseconds since 1970, in the zone that the
 *	guest is to see, UTC for Linux. May jump.
 * @source: argument for @time
 */
struct vmx_rtc_config {
	struct vmx_clock *clock;
	struct vmx_line irq;
	uint64_t (*time)(void *source);
	void *source;
};

/**
 * struct vmx_rtc - a real-time clock
 * @config: its connections
 * @ports: where it is on a bus
 * @update: the next update or alarm that interrupts
 * @periodic: the next periodic interrupt
 * @index: the address written to port 0x70
 * @memory: the registers and the memory after them; those of the time are valid
 *	while the clock stands
 * @offset: seconds from the time of day to the guest's
 * @second: the time of day of the last update that was seen
 * @period: the last period that was seen
 */
struct vmx_rtc {
	struct vmx_rtc_config config;
	struct vmx_ports ports;
	struct vmx_timer update;
	struct vmx_timer periodic;
	uint8_t index;
	uint8_t memory[VMX_RTC_MEMORY];
	int64_t offset;
	uint64_t second;
	uint64_t period;
};

/**
 * vmx_rtc_init() - make a real-time clock that shows the time of day
 * @rtc: the clock: BCD, 24 hours, its memory zeroes
 * @config: its connections; copied
 */
void vmx_rtc_init(struct vmx_rtc *rtc, const struct vmx_rtc_config *config);

/**
 * vmx_rtc_reset() - its reset input: interrupts are off, the rest goes on
 * @rtc: the clock
 */
void vmx_rtc_reset(struct vmx_rtc *rtc);

/**
 * vmx_rtc_attach() - put the clock on the bus of ports: 0x70, 0x71
 * @rtc: the clock
 * @bus: the bus
 *
 * Return: 0 or -errno, as vmx_bus_add().
 */
int vmx_rtc_attach(struct vmx_rtc *rtc, struct vmx_bus *bus);

/**
 * vmx_rtc_set_ram() - write down how much RAM there is, as firmware does
 * @rtc: the clock
 * @low: bytes below 4 GiB, counted from 0
 * @high: bytes from 4 GiB
 *
 * Also that there is a coprocessor.
 */
void vmx_rtc_set_ram(struct vmx_rtc *rtc, uint64_t low, uint64_t high);

/**
 * vmx_rtc_time_changed() - the time of day moved on while the machine's clock stood
 * @rtc: the clock
 *
 * An alarm that is over goes off, and the next is awaited by the new time.
 */
void vmx_rtc_time_changed(struct vmx_rtc *rtc);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_RTC_H */
