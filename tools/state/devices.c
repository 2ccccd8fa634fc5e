// SPDX-License-Identifier: LGPL-2.1-or-later
/* The devices of a PC, as they are saved. */
#include <libvmx/i8042.h>
#include <libvmx/machine.h>

#include "../devices/loaded.h"
#include "state.h"

/* Not saved of struct vmx_pic: intr, ports: wiring. */
static const struct vmx_saved_field chip_fields[] = {
	SAME(struct vmx_pic_chip, cascade, 1, "the inputs behind which there is another"),
	NUMBER(struct vmx_pic_chip, elcr, 1, "edge/level control register"),
	NUMBER(struct vmx_pic_chip, levels, 1, "the inputs that are high"),
	NUMBER(struct vmx_pic_chip, edges, 1, "those that rose and were not acknowledged"),
	NUMBER(struct vmx_pic_chip, isr, 1, "in-service register"),
	NUMBER(struct vmx_pic_chip, imr, 1, "interrupt mask register"),
	NUMBER(struct vmx_pic_chip, base, 1, "vector of input 0"),
	LIMITED(struct vmx_pic_chip, lowest, 1, 7, "the input of the lowest priority"),
	LIMITED(struct vmx_pic_chip, next_icw, 1, 4, "the ICW that comes next; 0 when initialized"),
	FLAG(struct vmx_pic_chip, single, 1, "ICW1.SNGL"),
	FLAG(struct vmx_pic_chip, with_icw4, 1, "ICW1.IC4"),
	FLAG(struct vmx_pic_chip, sfnm, 1, "ICW4.SFNM: special fully nested mode"),
	FLAG(struct vmx_pic_chip, aeoi, 1, "ICW4.AEOI: automatic end of interrupt"),
	FLAG(struct vmx_pic_chip, rotate_aeoi, 1, "and then the priorities rotate"),
	FLAG(struct vmx_pic_chip, special_mask, 1, "special mask mode"),
	FLAG(struct vmx_pic_chip, read_isr, 1, "OCW3 has chosen the ISR to be read"),
	FLAG(struct vmx_pic_chip, poll, 1, "the next read is a poll"),
};

static const struct vmx_saved_table chip_table = SAVED_STRUCT("chip", chip_fields);

static const struct vmx_saved_field pic_fields[] = {
	STRUCTS(struct vmx_pic, chips, 1, &chip_table, "the two 8259A: master and slave"),
};

static const struct vmx_saved_table pic_table = SAVED_TABLE("pic", 1, pic_fields);

/* Not saved of struct vmx_pit: clock, irq, ports: wiring. */
/* Not saved of struct vmx_pit: tick: follows from channel 0. */
static const struct vmx_saved_field channel_fields[] = {
	BITS(struct vmx_pit_channel, control, 1, 0x3f, "control word: access, mode, BCD"),
	LIMITED(struct vmx_pit_channel, mode, 1, 5, "the mode, 0 to 5"),
	FLAG(struct vmx_pit_channel, gate, 1, "the gate input"),
	FLAG(struct vmx_pit_channel, running, 1, "it counts since start"),
	FLAG(struct vmx_pit_channel, null_count, 1, "a count was written that does not count yet"),
	FLAG(struct vmx_pit_channel, high_next, 1, "the high byte is the next to be written"),
	FLAG(struct vmx_pit_channel, read_high, 1, "the high byte is the next to be read"),
	FLAG(struct vmx_pit_channel, count_latched, 1, "latch is what is read"),
	FLAG(struct vmx_pit_channel, status_latched, 1, "status is what is read first"),
	NUMBER(struct vmx_pit_channel, low, 1, "the low byte, until the other is written"),
	NUMBER(struct vmx_pit_channel, status, 1, "latched status"),
	NUMBER(struct vmx_pit_channel, latch, 1, "latched count"),
	NUMBER(struct vmx_pit_channel, count, 1, "what it counts from; 0 before it starts"),
	NUMBER(struct vmx_pit_channel, reload, 1, "the count written last; 0 for none"),
	NUMBER(struct vmx_pit_channel, start, 1,
	       "when it began, in 1/1193182 s of the machine's clock"),
	NUMBER(struct vmx_pit_channel, switch_at, 1, "when reload takes count's place"),
	NUMBER(struct vmx_pit_channel, elapsed, 1, "what had passed when it stopped"),
};

static const struct vmx_saved_table channel_table = SAVED_STRUCT("channel", channel_fields);

static const struct vmx_saved_field pit_fields[] = {
	STRUCTS(struct vmx_pit, channels, 1, &channel_table, "the counters"),
	BITS(struct vmx_pit, control_b, 1, 0x0f, "what was written to port 0x61"),
};

static const struct vmx_saved_table pit_table = SAVED_TABLE("pit", 1, pit_fields);

/* Not saved of struct vmx_rtc: config, ports: wiring. */
/* Not saved of struct vmx_rtc: update, periodic: follow from the registers. */
static const struct vmx_saved_field rtc_fields[] = {
	BITS(struct vmx_rtc, index, 1, 0x7f, "the address written to port 0x70"),
	ARRAY(struct vmx_rtc, memory, 1, "the registers and the memory after them"),
	NUMBER(struct vmx_rtc, offset, 1,
	       "seconds from the host's time of day to the guest's, signed"),
	NUMBER(struct vmx_rtc, second, 1, "the time of day of the last update that was seen"),
	NUMBER(struct vmx_rtc, period, 1,
	       "the last period of the periodic interrupt that was seen"),
};

static const struct vmx_saved_table rtc_table = SAVED_TABLE("rtc", 1, rtc_fields);

/* Not saved of struct vmx_i8042: config, ports: wiring. */
static const struct vmx_saved_field i8042_fields[] = {
	NUMBER(struct vmx_i8042, status, 1, "status register"),
	NUMBER(struct vmx_i8042, data, 1, "output buffer"),
	NUMBER(struct vmx_i8042, command_byte, 1, "what enables interrupts and interfaces"),
	NUMBER(struct vmx_i8042, output, 1, "output port"),
	NUMBER(struct vmx_i8042, command, 1, "the command that waits for its data, 0 for none"),
};

static const struct vmx_saved_table i8042_table = SAVED_TABLE("i8042", 1, i8042_fields);

/* Not saved of struct vmx_uart: config, ports: wiring. */
/* Not saved of struct vmx_uart: timeout: begins anew. */
/* Not saved of struct vmx_uart: waiting: the sender's, who is another one. */
static const struct vmx_saved_field uart_fields[] = {
	BITS(struct vmx_uart, ier, 1, 0x0f, "interrupt enable register"),
	BITS(struct vmx_uart, fcr, 1, 0xc1, "FIFO control register"),
	NUMBER(struct vmx_uart, lcr, 1, "line control register"),
	BITS(struct vmx_uart, mcr, 1, 0x1f, "modem control register"),
	NUMBER(struct vmx_uart, msr, 1, "modem status register"),
	NUMBER(struct vmx_uart, scr, 1, "scratch register"),
	NUMBER(struct vmx_uart, dll, 1, "divisor latch, low byte"),
	NUMBER(struct vmx_uart, dlm, 1, "divisor latch, high byte"),
	BITS(struct vmx_uart, inputs, 1, 0xf0, "the modem lines from outside"),
	BITS(struct vmx_uart, errors, 1, 0x1e,
	       "errors of the line status register that nobody has read"),
	FLAG(struct vmx_uart, thr_empty, 1, "the transmitter's interrupt is pending"),
	FLAG(struct vmx_uart, timed_out, 1, "the receiver's time-out interrupt is pending"),
	LIMITED(struct vmx_uart, first, 1, 15, "the byte of fifo to be read next"),
	LIMITED(struct vmx_uart, count, 1, 16, "bytes in fifo"),
	ARRAY(struct vmx_uart, fifo, 1, "the receiver's FIFO"),
	ARRAY(struct vmx_uart, fifo_errors, 1, "line status of each of its bytes"),
};

static const struct vmx_saved_table uart_table = SAVED_TABLE("uart", 1, uart_fields);

/* Not saved of struct vmx_power: event, board, clock, sci: wiring. */
static const struct vmx_saved_field power_fields[] = {
	BITS(struct vmx_power, status, 1, 0x8520, "PM1 status"),
	BITS(struct vmx_power, enable, 1, 0x0521, "PM1 enable"),
	BITS(struct vmx_power, control, 1, 0x1c03, "PM1 control"),
	BITS(struct vmx_power, reset, 1, 0x06, "reset control register"),
	NUMBER(struct vmx_power, gpe_status, 1, "status of general-purpose events"),
	NUMBER(struct vmx_power, gpe_enable, 1, "those that are enabled"),
};

static const struct vmx_saved_table power_table = SAVED_TABLE("power", 1, power_fields);

/* Not saved of struct vmx_pc: config, ports: wiring. */
static const struct vmx_saved_field pc_fields[] = {
	BITS(struct vmx_pc, control_a, 1, 0x03, "system control port A"),
	NUMBER(struct vmx_pc, post_code, 1, "the code written to port 0x80 last"),
};

static const struct vmx_saved_table pc_table = SAVED_TABLE("pc", 1, pc_fields);

/* Not saved of struct vmx_ioapic: apics, listener: wiring. */
static const struct vmx_saved_field ioapic_fields[] = {
	BITS(struct vmx_ioapic, select, 1, 0xff, "I/O register select"),
	BITS(struct vmx_ioapic, id, 1, 0x0f000000, "identification register"),
	BITS(struct vmx_ioapic, pins, 1, 0x00ffffff, "levels of the pins"),
	SAME(struct vmx_ioapic, active_low, 1,
	       "pins that are low when their lines are driven true"),
	ARRAY(struct vmx_ioapic, entries, 1, "redirection table"),
};

static const struct vmx_saved_table ioapic_table = SAVED_TABLE("ioapic", 1, ioapic_fields);

/* Not saved of struct vmx_lapic: config, next: wiring. */
static const struct vmx_saved_field lapic_fields[] = {
	NUMBER(struct vmx_lapic, base, 1, "IA32_APIC_BASE"),
	BITS(struct vmx_lapic, tpr, 1, 0xff, "task-priority register"),
	BITS(struct vmx_lapic, ldr, 1, 0xff000000, "logical-destination register, in xAPIC mode"),
	NUMBER(struct vmx_lapic, dfr, 1, "destination-format register"),
	BITS(struct vmx_lapic, svr, 1, 0x11ff, "spurious-interrupt vector register"),
	BITS(struct vmx_lapic, esr, 1, 0xff, "error-status register, as it reads"),
	BITS(struct vmx_lapic, errors, 1, 0xff, "errors since it was last written"),
	NUMBER(struct vmx_lapic, icr, 1, "interrupt-command register"),
	ARRAY(struct vmx_lapic, irr, 1, "vectors that wait for the vCPU"),
	ARRAY(struct vmx_lapic, isr, 1, "vectors in service"),
	ARRAY(struct vmx_lapic, tmr, 1, "vectors that are level-triggered"),
	ARRAY(struct vmx_lapic, lvt, 1, "local vector table"),
	NUMBER(struct vmx_lapic, initial, 1, "the timer's initial count"),
	BITS(struct vmx_lapic, divide, 1, 0x0b, "its divide-configuration register"),
	NUMBER(struct vmx_lapic, started, 1,
	       "when it began to count, in ns of the machine's clock"),
	NUMBER(struct vmx_lapic, tsc_deadline, 1, "IA32_TSC_DEADLINE"),
	NUMBER(struct vmx_lapic, tsc_zero, 1, "the guest's TSC when the machine's clock was 0"),
	FLAG(struct vmx_lapic, timer.armed, 1, "the timer runs"),
	FLAGS(struct vmx_lapic, lint, 1, "levels of the pins LINT0 and LINT1"),
	FLAG(struct vmx_lapic, nmi, 1, "an NMI waits for the vCPU"),
	FLAG(struct vmx_lapic, init, 1, "an INIT does"),
	FLAG(struct vmx_lapic, sipi, 1, "a SIPI does"),
	NUMBER(struct vmx_lapic, sipi_vector, 1, "its vector"),
	FLAG(struct vmx_lapic, extint, 1,
	       "an interrupt whose vector is the 8259's does, by message"),
	FLAG(struct vmx_lapic, waiting, 1, "the vCPU waits for a SIPI, and for nothing else"),
};

static const struct vmx_saved_table lapic_table = SAVED_TABLE("lapic", 1, lapic_fields);

void state_list_devices(struct state_parts *parts, struct vmx_machine *machine)
{
	for (unsigned int n = 0; n < machine->config.cpus; n++)
		state_list(parts, &lapic_table, &machine->cpus[n].lapic, n, lapic_loaded);
	state_list(parts, &ioapic_table, &machine->ioapic, 0, NULL);
	state_list(parts, &pic_table, &machine->pic, 0, NULL);
	state_list(parts, &pit_table, &machine->pit, 0, pit_loaded);
	state_list(parts, &rtc_table, &machine->rtc, 0, rtc_loaded);
	state_list(parts, &i8042_table, &machine->i8042, 0, NULL);
	state_list(parts, &uart_table, &machine->com1, 0, uart_loaded);
	state_list(parts, &power_table, &machine->power, 0, NULL);
	state_list(parts, &pc_table, &machine->pc, 0, NULL);
}
