// SPDX-License-Identifier: LGPL-2.1-or-later
/* Packs the pages of a migration with zstd, at a level that is faster than the line. */
#include <zstd.h>

#include "transport.h"

#define LEVEL	1

static size_t pack(void *to, size_t room, const void *from, size_t length)
{
	size_t packed = ZSTD_compress(to, room, from, length, LEVEL);

	return ZSTD_isError(packed) || packed >= length ? 0 : packed;
}

static bool unpack(void *to, size_t length, const void *from, size_t packed)
{
	return ZSTD_decompress(to, length, from, packed) == length;
}

const struct vmx_migration_codec __attribute__((visibility("default"))) transport_zstd = {
	pack, unpack,
};
