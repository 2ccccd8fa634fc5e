/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: uart
 *
 * A 16550A serial port. Bytes of the guest go out at once. Bytes for the guest
 * wait in the receiver's FIFO, and with the caller while that is full.
 */
#ifndef LIBVMX_UART_H
#define LIBVMX_UART_H

#include <libvmx/ports.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMX_UART_PORTS	8
#define VMX_UART_FIFO	16

/* Modem lines into the UART, as in its modem status register. */
#define VMX_UART_CTS	0x10
#define VMX_UART_DSR	0x20
#define VMX_UART_RI	0x40
#define VMX_UART_DCD	0x80

/**
 * struct vmx_uart_config - what a UART is connected to; zeroes are fine
 * @clock: for the receiver's time-out; without one it is immediate
 * @irq: the interrupt output. Wired straight: a PC's OUT2 does not gate it,
 *	since guests that know only virtual machines leave OUT2 alone.
 * @send: takes a byte that the guest sends; NULL for nowhere
 * @room: told that vmx_uart_receive() would take something again, after it
 *	took less than all; may call it; may be NULL
 * @host: argument for @send and @room
 */
struct vmx_uart_config {
	struct vmx_clock *clock;
	struct vmx_line irq;
	void (*send)(void *host, uint8_t byte);
	void (*room)(void *host);
	void *host;
};

/**
 * struct vmx_uart - a 16550A
 * @config: its connections
 * @ports: where it is on a bus
 * @timeout: the receiver's time-out
 * @ier: interrupt enable register
 * @fcr: FIFO control register
 * @lcr: line control register
 * @mcr: modem control register
 * @msr: modem status register
 * @scr: scratch register
 * @dll: divisor latch, low byte
 * @dlm: divisor latch, high byte
 * @inputs: the modem lines from outside
 * @errors: error bits of the line status register, until they are read
 * @thr_empty: the transmitter's interrupt is pending
 * @timed_out: the receiver's time-out interrupt is pending
 * @waiting: vmx_uart_receive() took less than all
 * @first: the byte in @fifo to be read next
 * @count: bytes in @fifo
 * @fifo: the receiver's FIFO
 * @fifo_errors: line status of each of its bytes
 */
struct vmx_uart {
	struct vmx_uart_config config;
	struct vmx_ports ports;
	struct vmx_timer timeout;
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t msr;
	uint8_t scr;
	uint8_t dll;
	uint8_t dlm;
	uint8_t inputs;
	uint8_t errors;
	bool thr_empty;
	bool timed_out;
	bool waiting;
	uint8_t first;
	uint8_t count;
	uint8_t fifo[VMX_UART_FIFO];
	uint8_t fifo_errors[VMX_UART_FIFO];
};

/**
 * vmx_uart_init() - make a UART
 * @uart: the UART, with somebody at the other end of the cable: CTS, DSR, DCD
 * @config: its connections; copied
 */
void vmx_uart_init(struct vmx_uart *uart, const struct vmx_uart_config *config);

/**
 * vmx_uart_reset() - its reset input
 * @uart: the UART
 */
void vmx_uart_reset(struct vmx_uart *uart);

/**
 * vmx_uart_attach() - put a UART on the bus of ports
 * @uart: the UART
 * @bus: the bus
 * @base: first of %VMX_UART_PORTS ports
 *
 * Return: 0 or -errno, as vmx_bus_add().
 */
int vmx_uart_attach(struct vmx_uart *uart, struct vmx_bus *bus, uint16_t base);

/**
 * vmx_uart_receive() - send bytes to the guest
 * @uart: the UART
 * @bytes: the bytes
 * @count: number of them
 *
 * It takes what fits, so nothing is lost: the rest is to be offered again when
 * the UART calls @room. During a loopback test it takes nothing.
 *
 * Return: number of bytes taken.
 */
size_t vmx_uart_receive(struct vmx_uart *uart, const void *bytes, size_t count);

/**
 * vmx_uart_break() - send a break to the guest
 * @uart: the UART
 */
void vmx_uart_break(struct vmx_uart *uart);

/**
 * vmx_uart_modem() - drive the modem lines into the UART
 * @uart: the UART
 * @lines: VMX_UART_CTS, VMX_UART_DSR, VMX_UART_RI, VMX_UART_DCD
 */
void vmx_uart_modem(struct vmx_uart *uart, uint8_t lines);

/**
 * vmx_uart_print() - a &struct vmx_uart_config.send that prints
 * @file: a FILE
 * @byte: what the guest sent
 */
void vmx_uart_print(void *file, uint8_t byte);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_UART_H */
