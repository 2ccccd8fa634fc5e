/* SPDX-License-Identifier: GPL-2.0 */
/* What tests read in the memory of a guest. */
#ifndef TESTS_GUEST_MEMORY_H
#define TESTS_GUEST_MEMORY_H

#include <stdint.h>
#include <string.h>

#define MIB	0x100000ull

/* Little-endian, and wherever it lies. */
static inline uint64_t number(const void *at, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);
	return value;
}

#endif /* TESTS_GUEST_MEMORY_H */
