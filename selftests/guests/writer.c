// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that writes a page of a virtio disk after the other, each with a new number, and reads
 * another one, which must have what was written last. It prints R when it has begun. A byte on the
 * serial port has it read all of them again, print how many it wrote, and end.
 */
#include "virtio_disk.h"

#define LINE_STATUS	(COM1 + 5)
#define PAGES		16	/* of the disk */
#define FAR		5	/* so that a page is read long after it was written */

static _Alignas(PAGE) volatile uint32_t data[PAGE / 4];
static uint32_t last[PAGES];	/* numbers, 0 for a page that was not written */

static uint8_t in8(uint16_t port)
{
	uint8_t value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void write_page(uint32_t number)
{
	for (unsigned int n = 0; n < PAGE / 4; n++)
		data[n] = number;
	request(VIRTIO_BLK_T_OUT, number % PAGES * SECTORS, data);
	last[number % PAGES] = number;
}

static void check_page(unsigned int page)
{
	if (!last[page])
		return;
	request(VIRTIO_BLK_T_IN, page * SECTORS, data);
	for (unsigned int n = 0; n < PAGE / 4; n++)
		if (data[n] != last[page])
			fail("a write is lost");
}

static void print_number(uint32_t number)
{
	if (number > 9)
		print_number(number / 10);
	out8(COM1, '0' + number % 10);
}

__attribute__((used)) static void kernel(void)
{
	uint32_t number = 0;

	take_interrupts();
	use_disk(find_disk());
	print("R\n");
	while (!(in8(LINE_STATUS) & 1)) {
		write_page(++number);
		check_page(number * FAR % PAGES);
	}
	for (unsigned int page = 0; page < PAGES; page++)
		check_page(page);
	print_number(number);
	print(" writes\n");
	end(0);
}
