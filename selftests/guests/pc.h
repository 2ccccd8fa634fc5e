/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Common code of kernels for a bare PC: ports, a console, an interrupt, an end. They start
 * in 64-bit mode with memory mapped to itself, and reach kernel() with a stack.
 */
#ifndef KERNELS_PC_H
#define KERNELS_PC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COM1		0x3f8
#define EXIT_PORT	0xf4

#define APIC		0xfee00000
#define APIC_EOI	0x0b0
#define APIC_SPURIOUS	0x0f0
#define APIC_ENABLED	0x1ff
#define VECTOR		0x40

#define PAGE		4096

/* Ports, console, end */

static inline void out8(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t value;

	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void print(const char *text)
{
	while (*text)
		out8(COM1, *text++);
}

static inline void end(uint8_t code)
{
	for (;;)
		out8(EXIT_PORT, code);
}

static inline void fail(const char *why)
{
	print(why);
	print("\n");
	end(1);
}

/* Interrupts: there is one */

struct gate {
	uint16_t low, selector, type, middle;
	uint32_t high, reserved;
};

struct frame;

static struct gate idt[VECTOR + 1];
static volatile bool interrupted;

static inline volatile uint32_t *apic(unsigned int offset)
{
	return (volatile uint32_t *)(uintptr_t)(APIC + offset);
}

__attribute__((interrupt)) static void take_interrupt(struct frame *frame)
{
	interrupted = true;
	*apic(APIC_EOI) = 0;
}

static inline void take_interrupts(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = { sizeof(idt) - 1, (uint64_t)idt };
	uint64_t handler = (uint64_t)take_interrupt;
	uint16_t code;

	asm("mov %%cs, %0" : "=r"(code));
	idt[VECTOR] = (struct gate){ handler, code, 0x8e00, handler >> 16, handler >> 32, 0 };
	asm volatile("lidt %0" : : "m"(table));
	*apic(APIC_SPURIOUS) = APIC_ENABLED;
}

static uint8_t stack[4 * PAGE] __attribute__((used));

asm(".globl _start\n_start: lea stack+16384(%rip), %rsp\n call kernel");

#endif /* KERNELS_PC_H */
