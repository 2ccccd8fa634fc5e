// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Two 8259A, after Intel's data sheet "8259A Programmable Interrupt Controller", wired as in a PC.
 * The edge/level control registers, which take the place of ICW1's LTIM, are from the "82371AB PCI
 * ISA IDE Xcelerator (PIIX4)" data sheet.
 */
#include <libvmx/pic.h>

enum { MASTER, SLAVE };

#define PORT_MASTER	0x20
#define PORT_SLAVE	0xa0
#define PORT_ELCR	0x4d0

#define CASCADE_PIN	2
#define SPURIOUS	7

#define ICW1		0x10
#define ICW1_IC4	0x01
#define ICW1_SNGL	0x02
#define ICW2_BASE	0xf8
#define ICW4_AEOI	0x02
#define ICW4_SFNM	0x10

#define OCW2_LEVEL	0x07
#define OCW2_SHIFT	5

#define OCW3		0x08
#define OCW3_RIS	0x01
#define OCW3_RR		0x02
#define OCW3_POLL	0x04
#define OCW3_SMM	0x20
#define OCW3_ESMM	0x40

#define POLL_INTERRUPT	0x80

/* Timer, keyboard, cascade; clock, coprocessor: these are always edge-triggered. */
static const uint8_t elcr_bits[] = { [MASTER] = 0xf8, [SLAVE] = 0xde };

/*
 * The slave's output goes low and high again when it has something new, so that the master's input
 * may be edge-triggered; looking at its level comes to the same.
 */
static uint8_t irr(const struct vmx_pic_chip *chip)
{
	return chip->levels & (chip->edges | chip->elcr | chip->cascade);
}

/*
 * The request to be acknowledged, or -1: of the inputs that are not masked, the one of the highest
 * priority, unless one of at least that priority is in service. "Special Mask Mode": what is masked
 * while in service holds back nobody. "Special Fully Nested Mode": the slave is not held back by
 * itself, for it has priorities of its own.
 */
static int request(const struct vmx_pic_chip *chip)
{
	uint8_t wanted = irr(chip) & ~chip->imr;
	uint8_t busy = chip->isr & ~(chip->special_mask ? chip->imr : 0) &
		       ~(chip->sfnm ? chip->cascade : 0);

	if (chip->next_icw)
		return -1;
	for (unsigned int n = 1; n <= 8; n++) {
		unsigned int pin = (chip->lowest + n) % 8;

		if (busy & 1 << pin)
			return -1;
		if (wanted & 1 << pin)
			return pin;
	}
	return -1;
}

static void update(struct vmx_pic *pic)
{
	struct vmx_pic_chip *master = &pic->chips[MASTER];

	master->levels &= ~master->cascade;
	if (request(&pic->chips[SLAVE]) >= 0)
		master->levels |= master->cascade;
	vmx_line_set(&pic->intr, vmx_pic_pending(pic));
}

static void acknowledge(struct vmx_pic_chip *chip, unsigned int pin)
{
	chip->edges &= ~(1 << pin);
	if (!chip->aeoi)
		chip->isr |= 1 << pin;
	else if (chip->rotate_aeoi)
		chip->lowest = pin;
}

/* The in-service input of the highest priority that a non-specific EOI would end, or -1. */
static int in_service(const struct vmx_pic_chip *chip)
{
	uint8_t isr = chip->isr & ~(chip->special_mask ? chip->imr : 0);

	for (unsigned int n = 1; n <= 8; n++) {
		unsigned int pin = (chip->lowest + n) % 8;

		if (isr & 1 << pin)
			return pin;
	}
	return -1;
}

/* "Initialization Command Words 1": what it resets. */
static void write_icw1(struct vmx_pic_chip *chip, uint8_t value)
{
	*chip = (struct vmx_pic_chip){
		.cascade = chip->cascade,
		.elcr = chip->elcr,
		.levels = chip->levels,
		.base = chip->base,
		.lowest = 7,
		.next_icw = 2,
		.single = value & ICW1_SNGL,
		.with_icw4 = value & ICW1_IC4,
	};
}

/* What comes after ICW1, on the other port. The wiring is as it is, so ICW3 changes nothing. */
static void write_icw(struct vmx_pic_chip *chip, uint8_t value)
{
	unsigned int written = chip->next_icw;

	if (written == 2)
		chip->base = value & ICW2_BASE;
	if (written == 4) {
		chip->aeoi = value & ICW4_AEOI;
		chip->sfnm = value & ICW4_SFNM;
	}
	if (written == 2 && !chip->single)
		chip->next_icw = 3;
	else
		chip->next_icw = written < 4 && chip->with_icw4 ? 4 : 0;
}

/* OCW2's bits R, SL and EOI: what ends, what rotates. */
static void write_ocw2(struct vmx_pic_chip *chip, uint8_t value)
{
	enum { END = 1, SPECIFIC = 2, ROTATE = 4 };
	unsigned int command = value >> OCW2_SHIFT;
	int pin = command & SPECIFIC ? value & OCW2_LEVEL : in_service(chip);

	if (command == 0 || command == ROTATE) {
		chip->rotate_aeoi = command;
		return;
	}
	if (pin < 0)
		return;
	if (command & END)
		chip->isr &= ~(1 << pin);
	if (command & ROTATE)
		chip->lowest = pin;
}

static void write_ocw3(struct vmx_pic_chip *chip, uint8_t value)
{
	if (value & OCW3_ESMM)
		chip->special_mask = value & OCW3_SMM;
	if (value & OCW3_POLL)
		chip->poll = true;
	if (value & OCW3_RR)
		chip->read_isr = value & OCW3_RIS;
}

static void write_chip(struct vmx_pic_chip *chip, bool a0, uint8_t value)
{
	if (a0 && chip->next_icw)
		write_icw(chip, value);
	else if (a0)
		chip->imr = value;
	else if (value & ICW1)
		write_icw1(chip, value);
	else if (value & OCW3)
		write_ocw3(chip, value);
	else
		write_ocw2(chip, value);
}

/* "Poll Command": the read is an interrupt acknowledge. */
static uint8_t read_poll(struct vmx_pic_chip *chip)
{
	int pin = request(chip);

	chip->poll = false;
	if (pin < 0)
		return 0;
	acknowledge(chip, pin);
	return POLL_INTERRUPT | pin;
}

static uint8_t read_chip(struct vmx_pic_chip *chip, bool a0)
{
	if (chip->poll)
		return read_poll(chip);
	if (a0)
		return chip->imr;
	return chip->read_isr ? chip->isr : irr(chip);
}

static struct vmx_pic_chip *chip_at(struct vmx_pic *pic, uint16_t port)
{
	return &pic->chips[(port & ~1) == PORT_SLAVE ? SLAVE : MASTER];
}

static uint8_t read_port(void *device, uint16_t port)
{
	struct vmx_pic *pic = device;
	uint8_t value = read_chip(chip_at(pic, port), port & 1);

	update(pic);
	return value;
}

static void write_port(void *device, uint16_t port, uint8_t value)
{
	struct vmx_pic *pic = device;

	write_chip(chip_at(pic, port), port & 1, value);
	update(pic);
}

static uint8_t read_elcr(void *device, uint16_t port)
{
	struct vmx_pic *pic = device;

	return pic->chips[port & 1].elcr;
}

static void write_elcr(void *device, uint16_t port, uint8_t value)
{
	struct vmx_pic *pic = device;

	pic->chips[port & 1].elcr = value & elcr_bits[port & 1];
	update(pic);
}

int vmx_pic_attach(struct vmx_pic *pic, struct vmx_bus *bus)
{
	pic->ports[0] = (struct vmx_ports){
		PORT_MASTER, 2, "8259A", read_port, write_port, pic
	};
	pic->ports[1] = (struct vmx_ports){
		PORT_SLAVE, 2, "second 8259A", read_port, write_port, pic
	};
	pic->ports[2] = (struct vmx_ports){
		PORT_ELCR, 2, "8259A edge/level control", read_elcr, write_elcr, pic
	};
	return vmx_ports_add(bus, pic->ports, 3);
}

void vmx_pic_set(void *device, unsigned int pin, bool level)
{
	struct vmx_pic *pic = device;
	struct vmx_pic_chip *chip = &pic->chips[pin / 8 % 2];
	uint8_t bit = 1 << pin % 8;

	if (pin >= VMX_PIC_PINS || pin == CASCADE_PIN)
		return;
	if (level) {
		chip->edges |= bit & ~chip->levels;
		chip->levels |= bit;
	} else {
		chip->levels &= ~bit;
	}
	update(pic);
}

bool vmx_pic_pending(const struct vmx_pic *pic)
{
	return request(&pic->chips[MASTER]) >= 0;
}

/* One chip's part in an interrupt acknowledge: the input, or what it says when there is none. */
static unsigned int acknowledge_chip(struct vmx_pic_chip *chip)
{
	int pin = request(chip);

	if (pin < 0)
		return SPURIOUS;
	acknowledge(chip, pin);
	return pin;
}

uint8_t vmx_pic_ack(struct vmx_pic *pic)
{
	struct vmx_pic_chip *chip = &pic->chips[MASTER];
	unsigned int pin = acknowledge_chip(chip);

	if (chip->cascade & 1 << pin) {
		chip = &pic->chips[SLAVE];
		pin = acknowledge_chip(chip);
	}
	update(pic);
	return chip->base + pin;
}

/* The data sheet leaves open what is in a chip at power-up: nothing that could interrupt. */
void vmx_pic_reset(struct vmx_pic *pic)
{
	for (unsigned int n = MASTER; n <= SLAVE; n++)
		pic->chips[n] = (struct vmx_pic_chip){
			.cascade = pic->chips[n].cascade,
			.levels = pic->chips[n].levels,
			.lowest = 7,
			.imr = 0xff,
		};
	update(pic);
}

void vmx_pic_init(struct vmx_pic *pic, struct vmx_line intr)
{
	*pic = (struct vmx_pic){
		.intr = intr,
		.chips[MASTER].cascade = 1 << CASCADE_PIN,
	};
	vmx_pic_reset(pic);
}
