// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The 16550A UART, after National Semiconductor's data sheet "PC16550D Universal Asynchronous
 * Receiver/Transmitter with FIFOs". Word lengths and parity have no effect on transmitted bytes,
 * since there is no wire.
 */
#include <errno.h>
#include <stdio.h>

#include <libvmx/uart.h>

#include "../lib/internal.h"
#include "loaded.h"

enum {
	RBR = 0,	/* THR on writes, DLL with DLAB */
	IER = 1,	/* DLM with DLAB */
	IIR = 2,	/* FCR on writes */
	LCR = 3,
	MCR = 4,
	LSR = 5,
	MSR = 6,
	SCR = 7,
};

#define IER_ERBFI	0x01	/* received data */
#define IER_ETBEI	0x02	/* transmitter empty */
#define IER_ELSI	0x04	/* line status */
#define IER_EDSSI	0x08	/* modem status */
#define IER_ALL		0x0f

#define IIR_MODEM	0x00
#define IIR_NONE	0x01
#define IIR_THRE	0x02
#define IIR_DATA	0x04
#define IIR_LINE	0x06
#define IIR_TIMEOUT	0x0c
#define IIR_FIFOS	0xc0

#define FCR_ENABLE	0x01
#define FCR_CLEAR_RCVR	0x02
#define FCR_TRIGGER	0xc0
#define FCR_TRIGGER_SHIFT 6

#define LCR_WLS		0x03	/* word length less 5 */
#define LCR_STB		0x04
#define LCR_PEN		0x08
#define LCR_BREAK	0x40
#define LCR_DLAB	0x80

#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08
#define MCR_LOOP	0x10
#define MCR_ALL		0x1f

#define LSR_DR		0x01
#define LSR_OE		0x02
#define LSR_PE		0x04
#define LSR_FE		0x08
#define LSR_BI		0x10
#define LSR_THRE	0x20
#define LSR_TEMT	0x40
#define LSR_FIFO_ERROR	0x80

#define MSR_TERI	0x04
#define MSR_DELTAS	0x0f
#define MSR_LINES	0xf0

#define BASE_BAUD	115200	/* 1.8432 MHz / 16 */
#define NS_PER_SECOND	1000000000ull
#define TIMEOUT_CHARS	4

static unsigned int capacity(const struct vmx_uart *uart)
{
	return uart->fcr & FCR_ENABLE ? VMX_UART_FIFO : 1;
}

static unsigned int trigger(const struct vmx_uart *uart)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return uart->fcr & FCR_ENABLE ? levels[uart->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

/* The pending interrupt of the highest priority, as IIR names it. */
static uint8_t identify(const struct vmx_uart *uart)
{
	if ((uart->ier & IER_ELSI) && uart->errors)
		return IIR_LINE;
	if ((uart->ier & IER_ERBFI) && uart->count >= trigger(uart))
		return IIR_DATA;
	if ((uart->ier & IER_ERBFI) && uart->timed_out)
		return IIR_TIMEOUT;
	if ((uart->ier & IER_ETBEI) && uart->thr_empty)
		return IIR_THRE;
	if ((uart->ier & IER_EDSSI) && (uart->msr & MSR_DELTAS))
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_irq(const struct vmx_uart *uart)
{
	vmx_line_set(&uart->config.irq, identify(uart) != IIR_NONE);
}

/* The time that a character takes on the wire: start, data, parity and stop bits. */
static uint64_t char_time(const struct vmx_uart *uart)
{
	unsigned int bits = 1 + 5 + (uart->lcr & LCR_WLS) + !!(uart->lcr & LCR_PEN) + 1 +
			    !!(uart->lcr & LCR_STB);
	unsigned int divisor = uart->dlm << 8 | uart->dll;

	return bits * (divisor ? divisor : 1) * NS_PER_SECOND / BASE_BAUD;
}

/*
 * "FIFO Interrupt Mode Operation": a time-out is pending when the FIFO is not empty and for four
 * characters' time nothing came in or was read.
 */
static void restart_timeout(struct vmx_uart *uart)
{
	bool wanted = (uart->fcr & FCR_ENABLE) && uart->count;
	struct vmx_clock *clock = uart->config.clock;

	uart->timed_out = wanted && !clock;
	if (!clock)
		return;
	if (wanted)
		vmx_timer_set(clock, &uart->timeout,
			      vmx_clock_now(clock) + TIMEOUT_CHARS * char_time(uart));
	else
		vmx_timer_cancel(clock, &uart->timeout);
}

static void time_out(void *device)
{
	struct vmx_uart *uart = device;

	uart->timed_out = true;
	update_irq(uart);
}

/* The byte on top of the FIFO shows its errors. */
static void reveal_errors(struct vmx_uart *uart)
{
	if (!uart->count)
		return;
	uart->errors |= uart->fifo_errors[uart->first];
	uart->fifo_errors[uart->first] = 0;
}

/*
 * A character has come in. LSR bit 1: one too many is lost, or without FIFOs takes the place of the
 * one before.
 */
static void push(struct vmx_uart *uart, uint8_t byte, uint8_t errors)
{
	unsigned int at = (uart->first + uart->count) % VMX_UART_FIFO;

	if (uart->count >= capacity(uart)) {
		uart->errors |= LSR_OE;
		if (uart->fcr & FCR_ENABLE)
			return;
		at = uart->first;
		uart->count = 0;
	}
	uart->fifo[at] = byte;
	uart->fifo_errors[at] = errors;
	uart->count++;
	reveal_errors(uart);
	restart_timeout(uart);
}

static uint8_t pop(struct vmx_uart *uart)
{
	uint8_t byte = uart->fifo[uart->first];

	if (!uart->count)
		return 0;
	uart->count--;
	uart->first = (uart->first + 1) % VMX_UART_FIFO;
	reveal_errors(uart);
	restart_timeout(uart);
	return byte;
}

static void clear_receiver(struct vmx_uart *uart)
{
	uart->count = 0;
	restart_timeout(uart);
}

static bool has_room(const struct vmx_uart *uart)
{
	return !(uart->mcr & MCR_LOOP) && uart->count < capacity(uart);
}

static void offer_room(struct vmx_uart *uart)
{
	if (!uart->waiting || !has_room(uart))
		return;
	uart->waiting = false;
	if (uart->config.room)
		uart->config.room(uart->config.host);
}

/* In loopback, the outputs are the inputs: RTS is CTS, DTR is DSR, OUT1 is RI, OUT2 is DCD. */
static uint8_t modem_lines(const struct vmx_uart *uart)
{
	if (!(uart->mcr & MCR_LOOP))
		return uart->inputs;
	return (uart->mcr & MCR_RTS ? VMX_UART_CTS : 0) | (uart->mcr & MCR_DTR ? VMX_UART_DSR : 0) |
	       (uart->mcr & MCR_OUT1 ? VMX_UART_RI : 0) | (uart->mcr & MCR_OUT2 ? VMX_UART_DCD : 0);
}

/* Every change is noted below the line that changed; of RI only that it ended. */
static void update_modem(struct vmx_uart *uart)
{
	uint8_t lines = modem_lines(uart);
	uint8_t changed = (uart->msr ^ lines) & MSR_LINES;

	if (lines & VMX_UART_RI)
		changed &= ~VMX_UART_RI;
	uart->msr = lines | (uart->msr & MSR_DELTAS) | changed >> 4;
}

/* LSR bit 7: an error is in the FIFO, the byte on top included. */
static bool fifo_error(const struct vmx_uart *uart)
{
	uint8_t errors = uart->errors & ~LSR_OE;

	for (unsigned int n = 0; n < uart->count; n++)
		errors |= uart->fifo_errors[(uart->first + n) % VMX_UART_FIFO];
	return errors && (uart->fcr & FCR_ENABLE);
}

static uint8_t read_iir(struct vmx_uart *uart)
{
	uint8_t source = identify(uart);

	if (source == IIR_THRE)
		uart->thr_empty = false;
	return source | (uart->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static uint8_t read_lsr(struct vmx_uart *uart)
{
	uint8_t value = LSR_THRE | LSR_TEMT | (uart->count ? LSR_DR : 0) | uart->errors |
			(fifo_error(uart) ? LSR_FIFO_ERROR : 0);

	uart->errors = 0;
	return value;
}

static uint8_t read_msr(struct vmx_uart *uart)
{
	uint8_t value = uart->msr;

	uart->msr &= ~MSR_DELTAS;
	return value;
}

static uint8_t read_register(struct vmx_uart *uart, unsigned int reg)
{
	bool divisor = uart->lcr & LCR_DLAB;

	switch (reg) {
	case RBR:
		return divisor ? uart->dll : pop(uart);
	case IER:
		return divisor ? uart->dlm : uart->ier;
	case IIR:
		return read_iir(uart);
	case LCR:
		return uart->lcr;
	case MCR:
		return uart->mcr;
	case LSR:
		return read_lsr(uart);
	case MSR:
		return read_msr(uart);
	default:
		return uart->scr;
	}
}

/*
 * The interrupt goes away while the holding register is full, however short that is: an
 * edge-triggered input has to see it return.
 */
static void transmit(struct vmx_uart *uart, uint8_t byte)
{
	uart->thr_empty = false;
	update_irq(uart);
	if (uart->mcr & MCR_LOOP)
		push(uart, byte, 0);
	else if (uart->config.send)
		uart->config.send(uart->config.host, byte);
	uart->thr_empty = true;
}

/* Enabling the transmitter's interrupt while it is empty, as it always is, makes one pending. */
static void write_ier(struct vmx_uart *uart, uint8_t value)
{
	value &= IER_ALL;
	if (value & ~uart->ier & IER_ETBEI)
		uart->thr_empty = true;
	uart->ier = value;
}

/* The other bits count only together with FCR bit 0, and its change clears the FIFOs. */
static void write_fcr(struct vmx_uart *uart, uint8_t value)
{
	uint8_t old = uart->fcr;

	uart->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
	if ((old ^ uart->fcr) & FCR_ENABLE || (uart->fcr && (value & FCR_CLEAR_RCVR)))
		clear_receiver(uart);
}

static void write_lcr(struct vmx_uart *uart, uint8_t value)
{
	bool breaks = value & ~uart->lcr & LCR_BREAK;

	uart->lcr = value;
	if (breaks && (uart->mcr & MCR_LOOP))
		push(uart, 0, LSR_BI);
}

static void write_register(struct vmx_uart *uart, unsigned int reg, uint8_t value)
{
	bool divisor = uart->lcr & LCR_DLAB;

	switch (reg) {
	case RBR:
		if (divisor)
			uart->dll = value;
		else
			transmit(uart, value);
		break;
	case IER:
		if (divisor)
			uart->dlm = value;
		else
			write_ier(uart, value);
		break;
	case IIR:
		write_fcr(uart, value);
		break;
	case LCR:
		write_lcr(uart, value);
		break;
	case MCR:
		uart->mcr = value & MCR_ALL;
		update_modem(uart);
		break;
	case SCR:
		uart->scr = value;
		break;
	}
}

static uint8_t read_port(void *device, uint16_t port)
{
	struct vmx_uart *uart = device;
	uint8_t value = read_register(uart, port - uart->ports.base);

	update_irq(uart);
	offer_room(uart);
	return value;
}

static void write_port(void *device, uint16_t port, uint8_t value)
{
	struct vmx_uart *uart = device;

	write_register(uart, port - uart->ports.base, value);
	update_irq(uart);
	offer_room(uart);
}

int vmx_uart_attach(struct vmx_uart *uart, struct vmx_bus *bus, uint16_t base)
{
	uart->ports = (struct vmx_ports){
		base, VMX_UART_PORTS, "16550A UART", read_port, write_port, uart
	};
	return vmx_ports_add(bus, &uart->ports, 1);
}

void vmx_uart_reset(struct vmx_uart *uart)
{
	if (uart->config.clock)
		vmx_timer_cancel(uart->config.clock, &uart->timeout);
	*uart = (struct vmx_uart){
		.config = uart->config,
		.ports = uart->ports,
		.timeout = { .expire = time_out, .device = uart },
		.inputs = uart->inputs,
		.msr = uart->inputs,
		.waiting = uart->waiting,
	};
	update_irq(uart);
	offer_room(uart);
}

void vmx_uart_init(struct vmx_uart *uart, const struct vmx_uart_config *config)
{
	*uart = (struct vmx_uart){
		.config = *config,
		.inputs = VMX_UART_CTS | VMX_UART_DSR | VMX_UART_DCD,
	};
	vmx_uart_reset(uart);
}

int uart_loaded(void *device)
{
	struct vmx_uart *uart = device;

	if (uart->count > capacity(uart) || uart->first >= VMX_UART_FIFO)
		return vmx_fail(EINVAL,
				"saved state: the serial port has %u bytes, and room for %u",
				uart->count, capacity(uart));
	/* A whole time-out from here; one that was over is still pending. */
	if (!uart->timed_out)
		restart_timeout(uart);
	return 0;
}

size_t vmx_uart_receive(struct vmx_uart *uart, const void *bytes, size_t count)
{
	const uint8_t *from = bytes;
	size_t n = 0;

	while (n < count && has_room(uart))
		push(uart, from[n++], 0);
	uart->waiting = n < count;
	update_irq(uart);
	return n;
}

void vmx_uart_break(struct vmx_uart *uart)
{
	if (uart->mcr & MCR_LOOP)
		return;
	push(uart, 0, LSR_BI);
	update_irq(uart);
}

void vmx_uart_modem(struct vmx_uart *uart, uint8_t lines)
{
	uart->inputs = lines & MSR_LINES;
	update_modem(uart);
	update_irq(uart);
}

void vmx_uart_print(void *file, uint8_t byte)
{
	fputc(byte, file);
}
