// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that measures requests to a virtio disk, of 4 KiB each, one at a time. It prints a line
 * "NAME TICKS" for reads and one for writes, the median in ticks of the TSC from before the request
 * is in the queue until after its interrupt, for which it waits in HLT. It reports its phases to
 * port 0x80.
 */
#include <x86intrin.h>

#include "virtio_disk.h"

#define POST_PORT	0x80
#define MARK_DISK	0xb4
#define MARK_END	0xb3

#define WARMUP		16
#define REQUESTS	256

static _Alignas(PAGE) uint8_t data[PAGE];
static uint32_t samples[REQUESTS];

static void print_number(uint32_t number)
{
	char text[11], *at = text + sizeof(text) - 1;

	*at = '\0';
	do {
		at--;
		*at = '0' + number % 10;
		number /= 10;
	} while (number);
	print(at);
}

static uint32_t median(void)
{
	for (unsigned int n = 1; n < REQUESTS; n++) {
		uint32_t sample = samples[n];
		unsigned int at = n;

		for (; at && samples[at - 1] > sample; at--)
			samples[at] = samples[at - 1];
		samples[at] = sample;
	}
	return samples[REQUESTS / 2];
}

static void measure(const char *name, uint32_t type)
{
	for (int n = -WARMUP; n < REQUESTS; n++) {
		uint64_t before;

		if (!n)
			out8(POST_PORT, MARK_DISK);
		before = __rdtsc();
		request(type, (n + WARMUP) * SECTORS, data);
		if (n >= 0)
			samples[n] = __rdtsc() - before;
	}
	out8(POST_PORT, MARK_END);
	print(name);
	print(" ");
	print_number(median());
	print("\n");
}

__attribute__((used)) static void kernel(void)
{
	take_interrupts();
	use_disk(find_disk());
	measure("disk-write", VIRTIO_BLK_T_OUT);
	measure("disk-read", VIRTIO_BLK_T_IN);
	end(0);
}
