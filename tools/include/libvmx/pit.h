/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: pit
 *
 * The 8254 interval timer of a PC and port 0x61, which has channel 2's gate and
 * output. Channel 0 drives an interrupt line.
 */
#ifndef LIBVMX_PIT_H
#define LIBVMX_PIT_H

#include <libvmx/ports.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMX_PIT_HZ	1193182
#define VMX_PIT_CHANNELS 3

/**
 * struct vmx_pit_channel - a counter
 * @control: its control word: access, mode, BCD
 * @mode: 0 to 5
 * @gate: the gate input
 * @running: it counts since @start; else @elapsed clocks have passed, once
 *	there is a @count
 * @null_count: a count was written that does not count yet
 * @high_next: the most significant byte is the next to be written
 * @read_high: ... to be read
 * @count_latched: @latch is what is read, in as many bytes
 * @status_latched: @status is what is read first
 * @low: the least significant byte, until the other is written
 * @status: latched status
 * @latch: latched count
 * @count: what it counts from; 0 before it starts
 * @reload: the count written last; 0 for none since the control word
 * @start: the clock at which it began
 * @switch_at: the clock at which @reload takes @count's place
 * @elapsed: clocks since the beginning when it stopped
 */
struct vmx_pit_channel {
	uint8_t control;
	uint8_t mode;
	bool gate;
	bool running;
	bool null_count;
	bool high_next;
	bool read_high;
	bool count_latched;
	bool status_latched;
	uint8_t low;
	uint8_t status;
	uint16_t latch;
	uint32_t count;
	uint32_t reload;
	uint64_t start;
	uint64_t switch_at;
	uint64_t elapsed;
};

/**
 * struct vmx_pit - the timer
 * @clock: the clock that it counts
 * @irq: channel 0's output
 * @tick: the next rising edge of it
 * @ports: where it is on a bus
 * @channels: the counters
 * @control_b: what was written to port 0x61
 */
struct vmx_pit {
	struct vmx_clock *clock;
	struct vmx_line irq;
	struct vmx_timer tick;
	struct vmx_ports ports[2];
	struct vmx_pit_channel channels[VMX_PIT_CHANNELS];
	uint8_t control_b;
};

/**
 * vmx_pit_init() - make a timer
 * @pit: the timer; its channels wait for a control word
 * @clock: the machine's clock
 * @irq: IRQ 0. A tick is a rising edge; ticks that were missed become one.
 */
void vmx_pit_init(struct vmx_pit *pit, struct vmx_clock *clock,
		  struct vmx_line irq);

/**
 * vmx_pit_reset() - as after power-up
 * @pit: the timer
 */
void vmx_pit_reset(struct vmx_pit *pit);

/**
 * vmx_pit_attach() - put the timer on the bus of ports: 0x40 to 0x43, 0x61
 * @pit: the timer
 * @bus: the bus
 *
 * Return: 0 or -errno, as vmx_bus_add().
 */
int vmx_pit_attach(struct vmx_pit *pit, struct vmx_bus *bus);

/**
 * vmx_pit_speaker() - the sound of the speaker
 * @pit: the timer
 *
 * Return: the frequency in Hz, 0 for silence.
 */
unsigned int vmx_pit_speaker(const struct vmx_pit *pit);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_PIT_H */
