// SPDX-License-Identifier: LGPL-2.1-or-later
/* Hexadecimal numbers and bytes of packets, and a checksum of bytes. */
#include "gdb.h"

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

void gdb_put_hex(char *to, const void *bytes, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = bytes;

	for (size_t n = 0; n < length; n++) {
		to[2 * n] = digits[from[n] >> 4];
		to[2 * n + 1] = digits[from[n] & 0xf];
	}
}

bool gdb_get_hex(const char *text, void *bytes, size_t length)
{
	uint8_t *to = bytes;

	for (size_t n = 0; n < length; n++) {
		int high = digit(text[2 * n]);
		int low = high < 0 ? -1 : digit(text[2 * n + 1]);

		if (low < 0)
			return false;
		to[n] = high << 4 | low;
	}
	return true;
}

/* CRC-32 of 0x04c11db7, the highest bit first, not inverted in the end. */
uint32_t gdb_crc32(uint32_t crc, const void *bytes, size_t length)
{
	const uint8_t *from = bytes;

	for (size_t n = 0; n < length; n++) {
		crc ^= (uint32_t)from[n] << 24;
		for (int bit = 0; bit < 8; bit++)
			crc = crc << 1 ^ (crc >> 31 ? 0x04c11db7 : 0);
	}
	return crc;
}

bool gdb_get_number(const char **text, uint64_t *number)
{
	const char *at = *text;

	*number = 0;
	for (; digit(*at) >= 0; at++) {
		if (*number >> 60)
			return false;
		*number = *number << 4 | digit(*at);
	}
	if (at == *text)
		return false;
	*text = at;
	return true;
}
