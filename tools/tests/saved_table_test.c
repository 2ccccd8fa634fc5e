// SPDX-License-Identifier: GPL-2.0
/* Tables that describe structs: versions, limits, defaults, counts. */
#include <errno.h>
#include <string.h>

#include "kselftest_harness.h"

#include <libvmx.h>

#include "../state/table.h"

struct item {
	uint16_t a;
	uint8_t b;
};

struct thing {
	uint8_t small;
	bool flag;
	uint64_t large;
	uint32_t kept;		/* from version 2 on */
	uint16_t gone;		/* up to version 2 */
	uint32_t count;
	struct item items[4];
	uint8_t bytes[3];
};

static const struct vmx_saved_field item_rows[] = {
	NUMBER(struct item, a, 1, ""),
	{ .name = "b", .offset = offsetof(struct item, b), .stride = 1, .count = 1, .since = 3,
	  .initial = 7, .most = UINT64_MAX, .bits = UINT64_MAX },
};

static const struct vmx_saved_table item_table = SAVED_STRUCT("item", item_rows);

static const struct vmx_saved_field rows[] = {
	LIMITED(struct thing, small, 1, 9, ""),
	FLAG(struct thing, flag, 1, ""),
	BITS(struct thing, large, 1, ~1ull, ""),
	{ .name = "kept", .offset = offsetof(struct thing, kept), .stride = 4, .count = 1,
	  .since = 2, .initial = 0x1234, .most = UINT64_MAX, .bits = UINT64_MAX },
	{ .name = "gone", .offset = offsetof(struct thing, gone), .stride = 2, .count = 1,
	  .since = 1, .until = 2, .most = UINT64_MAX, .bits = UINT64_MAX },
	LIMITED(struct thing, count, 1, 4, ""),
	COUNTED_STRUCTS(struct thing, items, 1, &item_table, ""),
	{ .name = "bytes", .offset = offsetof(struct thing, bytes), .stride = 1, .count = 3,
	  .since = 3, .initial = 0xee, .most = UINT64_MAX, .bits = UINT64_MAX },
};

static const struct vmx_saved_table table = SAVED_TABLE("thing", 3, rows);

static int read_bytes(const void *bytes, size_t length, unsigned int version, struct thing *thing,
		      size_t *left)
{
	struct state_reader reader = { .at = bytes, .left = length, .name = "thing" };
	int ret = state_read(&reader, &table, version, thing);

	*left = reader.left;
	return ret;
}

TEST(what_is_written_is_read)
{
	struct thing thing = {
		.small = 9, .flag = true, .large = 0x1122334455667788, .kept = 5, .gone = 6,
		.count = 2, .items = { { 1, 2 }, { 3, 4 }, { 5, 6 } }, .bytes = { 7, 8, 9 },
	};
	static const uint8_t expected[] = {
		9, 1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 5, 0, 0, 0, 2, 0, 0, 0,
		1, 0, 2, 3, 0, 4, 7, 8, 9,
	};
	struct state_writer writer = { .bytes = NULL };
	struct thing read = { .small = 0, .items[2] = { 77, 78 } };
	size_t left;

	state_write(&writer, &table, 3, &thing);
	ASSERT_EQ(sizeof(expected), writer.count);
	EXPECT_EQ(0, memcmp(expected, writer.bytes, sizeof(expected)));
	ASSERT_EQ(0, read_bytes(writer.bytes, writer.count, 3, &read, &left));
	EXPECT_EQ(0, left);
	EXPECT_EQ(9, read.small);
	EXPECT_TRUE(read.flag);
	EXPECT_EQ(thing.large, read.large);
	EXPECT_EQ(5, read.kept);
	EXPECT_EQ(2, read.count);
	EXPECT_EQ(3, read.items[1].a);
	EXPECT_EQ(4, read.items[1].b);
	EXPECT_EQ(9, read.bytes[2]);
	/* What is beyond the count is nobody's, and what version 3 does not have is not read. */
	EXPECT_EQ(77, read.items[2].a);
	EXPECT_EQ(0, read.gone);
	/* Whatever is cut off is missed. */
	for (size_t length = 0; length < writer.count; length++)
		EXPECT_EQ(-EINVAL, read_bytes(writer.bytes, length, 3, &read, &left));
	free(writer.bytes);
}

/* Streams of the first version are read for ever. */
TEST(older_versions_are_read)
{
	static const uint8_t first[] = {
		1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0x66, 0x55, 1, 0, 0, 0, 3, 0,
	};
	static const uint8_t second[] = {
		1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0x66, 0x55, 1, 0, 0, 0, 3, 0,
	};
	struct thing read = { .items[0].b = 99 };
	size_t left;

	ASSERT_EQ(0, read_bytes(first, sizeof(first), 1, &read, &left));
	EXPECT_EQ(0, left);
	EXPECT_EQ(0x1234, read.kept);
	EXPECT_EQ(0x5566, read.gone);
	EXPECT_EQ(3, read.items[0].a);
	EXPECT_EQ(7, read.items[0].b);
	EXPECT_EQ(0xee, read.bytes[0]);
	EXPECT_EQ(0xee, read.bytes[2]);
	ASSERT_EQ(0, read_bytes(second, sizeof(second), 2, &read, &left));
	EXPECT_EQ(4, read.kept);
	EXPECT_EQ(0x5566, read.gone);
}

TEST(impossible_values_are_refused_by_name)
{
	struct thing good = { .small = 9, .flag = true, .large = 2 }, read;
	static const struct {
		size_t at;
		uint8_t value;
		const char *name;
	} bad[] = {
		{ 0, 10, "small cannot be 0xa" }, { 1, 2, "flag cannot be 0x2" },
		{ 2, 3, "large cannot be 0x3" }, { 14, 5, "count cannot be 0x5" },
	};
	struct state_writer writer = { .bytes = NULL };
	size_t left;

	state_write(&writer, &table, 3, &good);
	for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
		uint8_t was = writer.bytes[bad[n].at];

		writer.bytes[bad[n].at] = bad[n].value;
		EXPECT_EQ(-EINVAL, read_bytes(writer.bytes, writer.count, 3, &read, &left));
		EXPECT_NE(NULL, strstr(vmx_error(), bad[n].name)) {
			TH_LOG("%s", vmx_error());
		}
		writer.bytes[bad[n].at] = was;
	}
	EXPECT_EQ(0, read_bytes(writer.bytes, writer.count, 3, &read, &left));
	free(writer.bytes);
}

/* A count without a limit of its own has that of the array. */
TEST(a_count_stays_within_its_array)
{
	static const struct vmx_saved_field loose_rows[] = {
		NUMBER(struct thing, count, 1, ""),
		COUNTED(struct thing, bytes, 1, ""),
	};
	static const struct vmx_saved_table loose = SAVED_TABLE("loose", 1, loose_rows);
	static const uint8_t stream[16] = { 4 };
	struct state_reader reader = { .at = stream, .left = sizeof(stream), .name = "loose" };
	struct thing read;

	EXPECT_EQ(-EINVAL, state_read(&reader, &loose, 1, &read));
	EXPECT_NE(NULL, strstr(vmx_error(), "4 of bytes are more than 3"));
}

TEST_HARNESS_MAIN
