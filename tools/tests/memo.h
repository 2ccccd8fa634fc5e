/* SPDX-License-Identifier: GPL-2.0 */
/* A device that remembers how it was accessed last, and how often. */
#ifndef TESTS_MEMO_H
#define TESTS_MEMO_H

#include <libvmx/device.h>

struct memo {
	uint64_t offset;
	uint64_t value;
	unsigned int size;
	unsigned int reads;
	unsigned int writes;
};

static inline uint64_t memo_read(void *device, uint64_t offset, unsigned int size)
{
	struct memo *memo = device;

	memo->offset = offset;
	memo->size = size;
	memo->reads++;
	return memo->value;
}

static inline void memo_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct memo *memo = device;

	memo->offset = offset;
	memo->size = size;
	memo->value = value;
	memo->writes++;
}

static const struct vmx_range_ops memo_ops = { memo_read, memo_write };

#endif /* TESTS_MEMO_H */
