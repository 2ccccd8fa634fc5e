// SPDX-License-Identifier: LGPL-2.1-or-later
/* A 16550 UART for drivers that poll: it sends at once and receives nothing. */
#include <libvmx.h>

enum {
	UART_DATA = 0,	/* THR and RBR; divisor low with DLAB */
	UART_IER = 1,	/* divisor high with DLAB */
	UART_IIR = 2,	/* FCR on writes */
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
	UART_SCR = 7,
};

#define UART_LCR_DLAB	0x80
#define UART_LSR_EMPTY	0x60	/* THRE and TEMT: ready to send */
#define UART_IIR_NONE	0x01	/* no interrupt pending */
#define UART_MSR_READY	0xb0	/* DCD, DSR and CTS: someone listens */

static uint8_t uart_read(const struct vmx_uart *uart, unsigned int reg)
{
	bool divisor = uart->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_DATA:
		return divisor ? uart->dll : 0;
	case UART_IER:
		return divisor ? uart->dlm : uart->ier;
	case UART_IIR:
		return UART_IIR_NONE;
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_LSR:
		return UART_LSR_EMPTY;
	case UART_MSR:
		return UART_MSR_READY;
	default:
		return uart->scr;
	}
}

static void uart_write(struct vmx_uart *uart, unsigned int reg, uint8_t value)
{
	bool divisor = uart->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_DATA:
		if (divisor)
			uart->dll = value;
		else if (uart->out)
			fputc(value, uart->out);
		break;
	case UART_IER:
		if (divisor)
			uart->dlm = value;
		else
			uart->ier = value & 0x0f;
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		uart->mcr = value & 0x1f;
		break;
	case UART_SCR:
		uart->scr = value;
		break;
	}
}

bool vmx_uart_io(struct vmx_uart *uart, struct vmx_run_page *run)
{
	unsigned int reg = (uint16_t)(run->io_port - uart->base);

	if (run->reason != VMX_REASON_IO || reg > UART_SCR ||
	    run->io_size != 1 || (run->io_flags & VMX_IO_STRING))
		return false;
	if (run->io_flags & VMX_IO_IN)
		run->regs[VMX_RAX] = (run->regs[VMX_RAX] & ~0xffull) | uart_read(uart, reg);
	else
		uart_write(uart, reg, run->regs[VMX_RAX]);
	run->retire = 1;
	return true;
}
