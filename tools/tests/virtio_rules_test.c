// SPDX-License-Identifier: GPL-2.0
/* Queues and chains of a guest's driver that break virtio's rules. */
#include <sys/mman.h>

#include "virtio_echo.h"

/* Queues where none can be. */
FIXTURE(placed) {
	struct guest guest;
	struct vmx_virtio virtio;
};

FIXTURE_VARIANT(placed) {
	unsigned int size;
	uint64_t descriptors, driver, device;
};

#define PLACED(name, ...) FIXTURE_VARIANT_ADD(placed, name) { __VA_ARGS__ }
PLACED(no_size, 0, RAM, RAM + 0x1000, RAM + 0x2000);
PLACED(odd_size, 12, RAM, RAM + 0x1000, RAM + 0x2000);
PLACED(large, 512, RAM, RAM + 0x4000, RAM + 0x8000);
PLACED(outside, 8, 0, RAM + 0x1000, RAM + 0x2000);
PLACED(driver_outside, 8, RAM, UINT64_MAX - 1, RAM + 0x2000);
PLACED(device_outside, 8, RAM, RAM + 0x1000, RAM + RAM_SIZE);
PLACED(across_the_end, 256, RAM + RAM_SIZE - 0xff0, RAM + 0x1000, RAM + 0x2000);
PLACED(device_across_the_end, 256, RAM, RAM + 0x1000, RAM + RAM_SIZE - 2048 - 4);
PLACED(wraps, 256, -4096ull, RAM + 0x1000, RAM + 0x2000);
PLACED(descriptors_not_aligned, 8, RAM + 8, RAM + 0x1000, RAM + 0x2000);
PLACED(driver_not_aligned, 8, RAM, RAM + 0x1001, RAM + 0x2000);
PLACED(device_not_aligned, 8, RAM, RAM + 0x1000, RAM + 0x2002);
PLACED(driver_in_descriptors, 8, RAM, RAM + 0x7e, RAM + 0x2000);
PLACED(device_in_driver, 8, RAM, RAM + 0x1000, RAM + 0x1014);
PLACED(descriptors_in_device, 8, RAM + 0x40, RAM + 0x1000, RAM);

FIXTURE_SETUP(placed)
{
	guest_init(&self->guest);
	ASSERT_EQ(0, vmx_virtio_init(&self->virtio, &kind, &self->guest.machine, 0, NULL, 0));
	guest_probe(&self->guest, &self->virtio);
}

FIXTURE_TEARDOWN(placed)
{
	vmx_virtio_close(&self->virtio);
	guest_free(&self->guest);
}

TEST_F(placed, needs_reset)
{
	struct guest *guest = &self->guest;

	guest_negotiate(guest, VERSION_1, SIZE);
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	accept(guest, VERSION_1);
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 0xb);
	queue_place(guest, 0, variant->size, variant->descriptors, variant->driver,
		    variant->device);
	EXPECT_TRUE(needs_reset(guest));
	EXPECT_EQ(1, guest->reports);
	/* And the next driver finds a device that works. */
	guest_start(guest, VERSION_1, SIZE);
	EXPECT_EQ(0xf, status(guest));
}

/* The least alignment that virtio has for each part. */
TEST(as_little_aligned_as_may_be)
{
	static struct guest machine;
	static struct vmx_virtio virtio;
	struct guest *guest = &machine;

	guest_init(guest);
	ASSERT_EQ(0, vmx_virtio_init(&virtio, &kind, &guest->machine, 0, NULL, 0));
	guest_probe(guest, &virtio);
	accept(guest, VERSION_1);
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 0xb);
	queue_place(guest, 0, 8, RAM + 0x10, RAM + 0x1002, RAM + 0x2004);
	EXPECT_FALSE(needs_reset(guest));
	EXPECT_EQ(1, COMMON_IN(VIRTIO_PCI_COMMON_Q_ENABLE, 2));
	vmx_virtio_close(&virtio);
	guest_free(guest);
}

/* Parts may touch, and end with memory. */
TEST(parts_that_touch)
{
	static const uint64_t all[][3] = {
		{ RAM, RAM + 0x80, RAM + 0x2000 },
		{ RAM, RAM + 0x1002, RAM + 0x1018 },
		{ RAM, RAM + 0x1046, RAM + 0x1000 },
		{ RAM + RAM_SIZE - 0x80, RAM, RAM + 0x1000 },
		{ RAM, RAM + RAM_SIZE - 22, RAM + 0x1000 },
		{ RAM, RAM + 0x1000, RAM + RAM_SIZE - 72 },
	};
	static struct guest machine;
	static struct vmx_virtio virtio;
	struct guest *guest = &machine;

	guest_init(guest);
	ASSERT_EQ(0, vmx_virtio_init(&virtio, &kind, &guest->machine, 0, NULL, 0));
	guest_probe(guest, &virtio);
	for (size_t n = 0; n < sizeof(all) / sizeof(all[0]); n++) {
		COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 0);
		queue_place(guest, 0, 8, all[n][0], all[n][1], all[n][2]);
		EXPECT_FALSE(needs_reset(guest)) TH_LOG("row %zu", n);
		EXPECT_EQ(1, COMMON_IN(VIRTIO_PCI_COMMON_Q_ENABLE, 2));
	}
	vmx_virtio_close(&virtio);
	guest_free(guest);
}

#define WINDOW		0x100000000ull
#define WINDOW_SIZE	(17ull << 20)

static unsigned char *window_memory;

static void *ram_and_window(void *context, uint64_t address, uint64_t length)
{
	if (address >= WINDOW && address - WINDOW < WINDOW_SIZE &&
	    length <= WINDOW_SIZE - (address - WINDOW))
		return window_memory + (address - WINDOW);
	return guest_ram(context, address, length);
}

/* virtio 1.2, The Virtqueue Descriptor Table: 4 GiB in all, readable or writable. */
TEST(longest_chain)
{
	static struct guest machine;
	static struct vmx_virtio virtio;
	struct guest *guest = &machine;

	window_memory = mmap(NULL, WINDOW_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, window_memory);
	guest_init(guest);
	guest->machine.memory = ram_and_window;
	ASSERT_EQ(0, vmx_virtio_init(&virtio, &kind, &guest->machine, 0, NULL, 0));
	guest_probe(guest, &virtio);
	for (unsigned int n = 0; n < 8; n++) {
		const bool writable = n & 1, halves = n & 2, longer = n & 4;

		guest_start(guest, VERSION_1, 256);
		for (unsigned int i = 0; i < 256; i++) {
			const bool written = halves ? i == 255 : writable;

			describe(guest, 0, i, written && halves ? DATA : WINDOW,
				 written && halves ? 4096 : 1 << 24,
				 (written ? WRITE : 0) | (i < 255 ? NEXT : 0), i + 1);
		}
		/* 255 times 16 MiB and the rest. */
		describe(guest, 0, 0, WINDOW, (1 << 24) + (halves ? (1 << 20) - 4096 : 0) + longer,
			 (writable && !halves ? WRITE : 0) | NEXT, 1);
		for (unsigned int i = 1; halves && i < 16; i++)
			describe(guest, 0, i, WINDOW, 17 << 20, NEXT, i + 1);
		offer(guest, 0, 0);
		kick(guest, 0);
		EXPECT_EQ(longer, needs_reset(guest)) TH_LOG("chain %u", n);
		EXPECT_EQ(longer ? -1 : halves ? 4096 : 0, used(guest, 0, NULL));
	}
	vmx_virtio_close(&virtio);
	guest_free(guest);
	munmap(window_memory, WINDOW_SIZE);
}

static uint64_t gone;

static void *memory_but_one_page(void *context, uint64_t address, uint64_t length)
{
	return gone && (address & ~0xfffull) == gone ? NULL : guest_ram(context, address, length);
}

/* What was memory when a queue was enabled need not be when it is used. */
TEST(memory_that_is_gone)
{
	static const uint64_t parts[] = { 0, DRIVER, DEVICE };
	static struct guest machine;
	static struct vmx_virtio virtio;
	struct guest *guest = &machine;

	guest_init(guest);
	guest->machine.memory = memory_but_one_page;
	ASSERT_EQ(0, vmx_virtio_init(&virtio, &kind, &guest->machine, 0, NULL, 0));
	guest_probe(guest, &virtio);
	for (unsigned int n = 0; n < 6; n++) {
		gone = 0;
		guest_start(guest, VERSION_1 | (n & 1 ? EVENT_IDX : 0), 8);
		describe(guest, 0, 0, DATA, 16, 0, 0);
		offer(guest, 0, 0);
		gone = ring_address(0) + parts[n / 2];
		kick(guest, 0);
		EXPECT_TRUE(needs_reset(guest)) TH_LOG("part %u", n / 2);
		gone = 0;
		EXPECT_EQ(-1, used(guest, 0, NULL));
	}
	vmx_virtio_close(&virtio);
	guest_free(guest);
}

/* Chains that break the rules, in a queue of 8 */
FIXTURE(malformed) {
	struct guest guest;
	struct vmx_virtio virtio;
};

struct row {
	uint64_t address;
	uint32_t length;
	uint16_t flags;
	uint16_t next;
};

#define ring_table	(RAM + TABLE)

FIXTURE_VARIANT(malformed) {
	struct row descriptors[8];	/* the chain begins with the first */
	struct row table[8];
	unsigned int head;		/* added to 0 */
	unsigned int jump;		/* of the available index, beside the one entry */
	bool no_indirect;
};

#define MALFORMED(name, ...) FIXTURE_VARIANT_ADD(malformed, name) { __VA_ARGS__ }
#define OK { DATA, 16, 0, 0 }
#define TO_TABLE(length) { ring_table, length, VRING_DESC_F_INDIRECT, 0 }
MALFORMED(head, { OK }, .head = 8);
MALFORMED(head_far, { OK }, .head = 65535);
MALFORMED(jump, { OK }, .jump = 8);
MALFORMED(jump_back, { OK }, .jump = 65534);
MALFORMED(itself, { { DATA, 16, NEXT, 0 } });
MALFORMED(loop, { { DATA, 16, NEXT, 1 }, { DATA, 16, NEXT, 2 }, { DATA, 16, NEXT, 1 } });
MALFORMED(next_far, { { DATA, 16, NEXT, 8 } });
MALFORMED(zero_length, { { DATA, 0, 0, 0 } });
MALFORMED(zero_length_later, { { DATA, 1, NEXT, 1 }, { DATA, 0, WRITE, 0 } });
MALFORMED(outside, { { RAM + RAM_SIZE, 1, 0, 0 } });
MALFORMED(below, { { RAM - 1, 1, 0, 0 } });
MALFORMED(across_the_start, { { RAM - 1, 2, 0, 0 } });
MALFORMED(across_the_end, { { RAM + RAM_SIZE - 1, 2, WRITE, 0 } });
MALFORMED(too_long, { { RAM, 0xffffffff, 0, 0 } });
MALFORMED(wraps, { { UINT64_MAX, 2, 0, 0 } });
MALFORMED(ends_at_the_top, { { UINT64_MAX, 1, 0, 0 } });
MALFORMED(order, { { DATA, 16, WRITE | NEXT, 1 }, { DATA + 64, 16, 0, 0 } });
MALFORMED(overlap, { { DATA, 16, NEXT, 1 }, { DATA + 15, 16, WRITE, 0 } });
MALFORMED(overlap_around, { { DATA + 8, 1, NEXT, 1 }, { DATA, 16, WRITE, 0 } });
#define OUT(offset, next) { DATA + (offset), 16, NEXT, next }
MALFORMED(last_overlap, { OUT(0, 1), OUT(64, 2), { DATA + 128, 16, WRITE | NEXT, 3 },
			  { DATA + 79, 16, WRITE, 0 } });
MALFORMED(first_overlap, { OUT(0, 1), OUT(64, 2), { DATA + 15, 1, WRITE | NEXT, 3 },
			   { DATA + 128, 16, WRITE, 0 } });
MALFORMED(indirect_not_negotiated, { TO_TABLE(16) }, { OK }, .no_indirect = true);
MALFORMED(indirect_and_next, { { ring_table, 16, VRING_DESC_F_INDIRECT | NEXT, 1 }, OK }, { OK });
MALFORMED(indirect_empty, { TO_TABLE(0) }, { OK });
MALFORMED(indirect_odd, { TO_TABLE(17) }, { OK });
MALFORMED(indirect_long, { TO_TABLE(16 * 257) }, { OK });
MALFORMED(indirect_longest, { TO_TABLE(0xfffffff0) }, { OK });
MALFORMED(indirect_outside, { { 0, 16, VRING_DESC_F_INDIRECT, 0 } }, { OK });
MALFORMED(indirect_twice, { TO_TABLE(16) }, { TO_TABLE(16) });
MALFORMED(indirect_loop, { TO_TABLE(32) }, { { DATA, 1, NEXT, 1 }, { DATA, 1, NEXT, 0 } });
MALFORMED(indirect_next_far, { TO_TABLE(32) }, { { DATA, 1, NEXT, 2 }, OK, OK });
MALFORMED(indirect_order, { { DATA, 1, WRITE | NEXT, 1 }, TO_TABLE(16) }, { OK });

FIXTURE_SETUP(malformed)
{
	guest_init(&self->guest);
	racing = NULL;
	ASSERT_EQ(0, vmx_virtio_init(&self->virtio, &kind, &self->guest.machine, 0, NULL, 0));
	guest_probe(&self->guest, &self->virtio);
}

FIXTURE_TEARDOWN(malformed)
{
	vmx_virtio_close(&self->virtio);
	guest_free(&self->guest);
}

static void spread(struct guest *guest, uint64_t table, const struct row *rows)
{
	for (unsigned int n = 0; n < 8; n++)
		describe_at(guest, table, n, rows[n].address, rows[n].length, rows[n].flags,
			    rows[n].next);
}

TEST_F(malformed, needs_reset)
{
	struct guest *guest = &self->guest;
	uint64_t features = VERSION_1 | (variant->no_indirect ? 0 : INDIRECT);

	for (unsigned int n = 0; n < 2; n++) {
		guest_start(guest, features, 8);
		guest_use_msix(guest);
		describe(guest, 0, 0, DATA, 16, 0, 0);
		offer(guest, 0, 0);
		kick(guest, 0);
		ASSERT_EQ(0, used(guest, 0, NULL));
		spread(guest, ring_address(0), variant->descriptors);
		spread(guest, ring_table, variant->table);
		offer(guest, 0, variant->head);
		driver_area(guest, 0)[1] += variant->jump;
		kick(guest, 0);
		EXPECT_EQ(0x4f, status(guest));
		EXPECT_EQ(-1, used(guest, 0, NULL));
		EXPECT_EQ(n + 1, guest->messages[0]);
		/* It does nothing more, in any queue. */
		describe(guest, 1, 0, DATA, 16, 0, 0);
		offer(guest, 1, 0);
		kick(guest, 1);
		EXPECT_EQ(-1, used(guest, 1, NULL));
		EXPECT_EQ(1, guest->reports);
	}
}

TEST_HARNESS_MAIN
