// SPDX-License-Identifier: MIT
/*
 * A small kernel for two CPUs. It starts the second. Both take interrupts of their own timers, and
 * each sends the other an interprocessor interrupt with every tick. With cpus=1 on the command
 * line, the only CPU sends them to itself. The kernel prints its counts through the serial port and
 * ends the machine through the exit port. For addresses and bits see the SDM, "Advanced
 * Programmable Interrupt Controller (APIC)".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COM1		0x3f8
#define COM1_STATUS	(COM1 + 5)
#define COM1_EMPTY	0x20
#define EXIT_PORT	0xf4		/* ends the machine with status value * 2 + 1 */
#define EXIT_VALUE	0x2a

#define APIC		0xfee00000
#define APIC_ID		0x020
#define APIC_EOI	0x0b0
#define APIC_SPURIOUS	0x0f0
#define APIC_ENABLED	0x100
#define APIC_ICR	0x300
#define APIC_ICR_HIGH	0x310
#define APIC_LVT_TIMER	0x320
#define APIC_PERIODIC	0x20000
#define APIC_MASKED	0x10000
#define APIC_INITIAL	0x380
#define APIC_CURRENT	0x390
#define APIC_DIVIDE	0x3e0
#define APIC_DIVIDE_1	0xb

/* Interrupt command register */
#define ICR_FIXED	0x04000		/* with a vector; asserted */
#define ICR_INIT	0x04500
#define ICR_STARTUP	0x04600		/* with the page where to begin */

#define VECTOR_TIMER	0x40
#define VECTOR_IPI	0x41
#define VECTOR_SPURIOUS	0xff

#define START_PAGE	0x08
#define CODE		0x08
#define CPUS		2
#define TICKS		5

struct multiboot {
	uint32_t flags;
	uint32_t low_kib;
	uint32_t high_kib;
	uint32_t boot_device;
	uint32_t command_line;
};

#define HAS_COMMAND_LINE	0x4

struct gate {
	uint16_t low;
	uint16_t selector;
	uint16_t type;
	uint16_t high;
} __attribute__((packed));

#define INTERRUPT_GATE	0x8e00

/* What the CPU pushes for an interrupt. */
struct frame {
	uint32_t ip, cs, flags;
};

extern const char trampoline[], trampoline_end[];
void first_cpu(const struct multiboot *info);
void second_cpu(void);

static struct gate idt[256];
static volatile struct {
	bool up;
	unsigned int ticks;
	unsigned int ipis;
} cpus[CPUS];
static unsigned int count = CPUS;
static uint32_t counts_of_10_ms;

/* The CPU, its ports and its APIC */

static void out(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a" (value), "Nd" (port));
}

static uint8_t in(uint16_t port)
{
	uint8_t value;

	asm volatile("inb %1, %0" : "=a" (value) : "Nd" (port));
	return value;
}

static uint32_t apic_read(unsigned int reg)
{
	return *(volatile uint32_t *)(APIC + reg);
}

static void apic_write(unsigned int reg, uint32_t value)
{
	*(volatile uint32_t *)(APIC + reg) = value;
}

static unsigned int this_cpu(void)
{
	return apic_read(APIC_ID) >> 24;
}

static void send(unsigned int cpu, uint32_t what)
{
	apic_write(APIC_ICR_HIGH, cpu << 24);
	apic_write(APIC_ICR, what);
}

/* STI takes effect after the next instruction: no interrupt slips in between it and HLT. */
#define wait_until(condition)						\
	do {								\
		asm volatile("cli");					\
		while (!(condition))					\
			asm volatile("sti; hlt; cli" : : : "memory");	\
		asm volatile("sti");					\
	} while (0)

/* Printing */

static void print(const char *text)
{
	for (; *text; text++) {
		while (!(in(COM1_STATUS) & COM1_EMPTY))
			;
		out(COM1, *text);
	}
}

static void print_number(unsigned int number)
{
	char digits[12], *at = &digits[sizeof(digits) - 1];

	*at = 0;
	do {
		*--at = '0' + number % 10;
	} while (number /= 10);
	print(at);
}

/* Interrupts */

static __attribute__((interrupt)) void on_timer(struct frame *frame __attribute__((unused)))
{
	unsigned int cpu = this_cpu();

	cpus[cpu].ticks++;
	send((cpu + 1) % count, ICR_FIXED | VECTOR_IPI);
	apic_write(APIC_EOI, 0);
}

static __attribute__((interrupt)) void on_ipi(struct frame *frame __attribute__((unused)))
{
	cpus[this_cpu()].ipis++;
	apic_write(APIC_EOI, 0);
}

/* It is none, and is not acknowledged. */
static __attribute__((interrupt)) void on_spurious(struct frame *frame __attribute__((unused)))
{
}

static void set_gate(unsigned int vector, void (*handler)(struct frame *frame))
{
	uint32_t address = (uint32_t)handler;

	idt[vector] = (struct gate){ address, CODE, INTERRUPT_GATE, address >> 16 };
}

static void take_interrupts(void)
{
	struct {
		uint16_t limit;
		void *base;
	} __attribute__((packed)) pointer = { sizeof(idt) - 1, idt };

	asm volatile("lidt %0" : : "m" (pointer) : "memory");
	apic_write(APIC_SPURIOUS, APIC_ENABLED | VECTOR_SPURIOUS);
	asm volatile("sti");
}

/* Time: the PIT's channel 2 counts 10 ms at 1.193182 MHz, and its output is bit 5 of port 0x61. */

static void wait_10_ms(void)
{
	const unsigned int count = 11932;

	out(0x61, (in(0x61) & ~2) | 1);		/* gate on, speaker off */
	out(0x43, 0xb0);			/* channel 2, both bytes, mode 0 */
	out(0x42, count & 0xff);
	out(0x42, count >> 8);
	while (!(in(0x61) & 0x20))
		;
}

static void measure_timer(void)
{
	apic_write(APIC_DIVIDE, APIC_DIVIDE_1);
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	apic_write(APIC_INITIAL, UINT32_MAX);
	wait_10_ms();
	counts_of_10_ms = UINT32_MAX - apic_read(APIC_CURRENT);
}

/* Ten times a second: a handler that takes longer than a period leaves time for nothing else. */
static void start_timer(void)
{
	apic_write(APIC_DIVIDE, APIC_DIVIDE_1);
	apic_write(APIC_LVT_TIMER, APIC_PERIODIC | VECTOR_TIMER);
	apic_write(APIC_INITIAL, 10 * counts_of_10_ms);
}

/* SDM, "MP Initialization Protocol Algorithm for MP Systems" */
static void start_second_cpu(void)
{
	volatile char *to = (char *)(START_PAGE << 12);

	for (const char *from = trampoline; from < trampoline_end; from++)
		*to++ = *from;
	send(1, ICR_INIT);
	wait_10_ms();
	send(1, ICR_STARTUP | START_PAGE);
}

static bool done(void)
{
	for (unsigned int cpu = 0; cpu < count; cpu++)
		if (cpus[cpu].ticks < TICKS || cpus[cpu].ipis < TICKS)
			return false;
	return true;
}

static bool begins_with(const char *text, const char *word)
{
	while (*word && *text == *word)
		text++, word++;
	return !*word;
}

static bool is_alone(const struct multiboot *info)
{
	const char *at = (const char *)info->command_line;

	if (!(info->flags & HAS_COMMAND_LINE))
		return false;
	while (*at && !begins_with(at, "cpus=1"))
		at++;
	return *at;
}

void second_cpu(void)
{
	take_interrupts();
	print("CPU ");
	print_number(this_cpu());
	print(" is up\n");
	cpus[1].up = true;
	send(0, ICR_FIXED | VECTOR_IPI);
	start_timer();
	wait_until(false);
}

void first_cpu(const struct multiboot *info)
{
	print("Memory beyond 1 MiB: ");
	print_number(info->high_kib);
	print(" KiB\n");
	/* Mask the 8259s, which this kernel does not use. */
	out(0x21, 0xff);
	out(0xa1, 0xff);
	set_gate(VECTOR_TIMER, on_timer);
	set_gate(VECTOR_IPI, on_ipi);
	set_gate(VECTOR_SPURIOUS, on_spurious);
	take_interrupts();
	measure_timer();
	if (is_alone(info)) {
		count = 1;
	} else {
		start_second_cpu();
		wait_until(cpus[1].up);
	}
	start_timer();
	wait_until(done());
	for (unsigned int cpu = 0; cpu < count; cpu++) {
		print("CPU ");
		print_number(cpu);
		print(": ");
		print_number(cpus[cpu].ticks);
		print(" ticks, ");
		print_number(cpus[cpu].ipis);
		print(" IPIs\n");
	}
	out(EXIT_PORT, EXIT_VALUE);
}
