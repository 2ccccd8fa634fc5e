// SPDX-License-Identifier: GPL-2.0
/* A disk, as a driver uses it: every layout of requests, every answer. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/virtio_blk.h>

#include "kselftest_harness.h"

#include "virtio_guest.h"

#define SECTORS		128
#define OUT		DATA			/* a request's header and data */
#define IN		(DATA + 0x20000)	/* the device's data and the status */
#define FEATURES	(VERSION_1 | 1ull << VIRTIO_BLK_F_FLUSH | \
			 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES)

/* How a driver cuts a request into descriptors: sizes of the first two, and of each other. */
struct layout {
	uint64_t features;
	unsigned int out[3];
	unsigned int in[3];
	bool status_apart;
};

static const struct layout usual = { 0, { 16, 1 << 20, 1 }, { 1 << 20, 1, 1 }, true };

FIXTURE(blk) {
	struct guest guest;
	struct vmx_virtio_blk blk;
	int fd;
};

FIXTURE_VARIANT(blk) {
	struct layout layout;
	bool on_disk;		/* in a file system that may know more than memory's */
};

FIXTURE_VARIANT_ADD(blk, usual) { { 0, { 16, 1 << 20, 1 }, { 1 << 20, 1, 1 }, true }, true };
FIXTURE_VARIANT_ADD(blk, merged) { { 0, { 1 << 20 }, { 1 << 20 }, false } };
FIXTURE_VARIANT_ADD(blk, bits) { { 0, { 1, 3, 50 }, { 3, 500, 50 }, false } };
FIXTURE_VARIANT_ADD(blk, table) {
	{ INDIRECT | EVENT_IDX, { 16, 1, 511 }, { 511, 1, 512 }, true }
};

FIXTURE_VARIANT_ADD(blk, bits_in_a_table) {
	{ INDIRECT, { 1, 3, 50 }, { 3, 500, 50 }, false }, true
};

static int open_file(bool on_disk)
{
	FILE *file = on_disk ? tmpfile() : NULL;
	int fd = file ? dup(fileno(file)) : memfd_create("disk", 0);

	if (file)
		fclose(file);
	return fd;
}

FIXTURE_SETUP(blk)
{
	struct guest *guest = &self->guest;

	self->fd = open_file(variant->on_disk);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ftruncate(self->fd, SECTORS * 512 + 100));
	guest_init(guest);
	/* What was there before says nothing. */
	memset(&self->blk, 0xee, sizeof(self->blk));
	ASSERT_EQ(0, vmx_virtio_blk_init(&self->blk, &guest->machine, self->fd, false, "serial"));
	guest_probe(guest, &self->blk.virtio);
	guest_start(guest, FEATURES | variant->layout.features, 256);
	ASSERT_EQ(0xf, status(guest));
}

FIXTURE_TEARDOWN(blk)
{
	vmx_virtio_close(&self->blk.virtio);
	guest_free(&self->guest);
	close(self->fd);
}

/* Cuts bytes into descriptors from number N on; returns the next number. */
static unsigned int cut(struct guest *guest, uint64_t table, unsigned int n, uint64_t address,
			uint32_t length, const unsigned int sizes[3], uint16_t flags)
{
	for (unsigned int piece = 0; length; piece++) {
		uint32_t size = sizes[piece < 2 ? piece : 2];

		if (size > length)
			size = length;
		describe_at(guest, table, n, address, size, flags | NEXT, n + 1);
		n++;
		address += size;
		length -= size;
	}
	return n;
}

/* A request with OUT bytes of data behind the header, and room for IN. Returns the status. */
static int request(struct guest *guest, const struct layout *layout, uint32_t type,
		   uint64_t sector, uint32_t out_size, uint32_t in_size, int64_t *length)
{
	static const unsigned int whole[3] = { 1 << 20, 1, 1 };
	struct virtio_blk_outhdr header = { .type = type, .sector = sector };
	bool indirect = layout->features & INDIRECT;
	uint64_t table = ring_address(0) + (indirect ? TABLE : 0);
	unsigned char *status = at(guest, IN + in_size);
	struct vring_desc *descriptors = at(guest, table);
	unsigned int n;
	int64_t got;

	memcpy(at(guest, OUT), &header, sizeof(header));
	*status = 0xee;
	n = cut(guest, table, 0, OUT, sizeof(header) + out_size, layout->out, 0);
	if (layout->status_apart) {
		n = cut(guest, table, n, IN, in_size, layout->in, WRITE);
		n = cut(guest, table, n, IN + in_size, 1, whole, WRITE);
	} else {
		n = cut(guest, table, n, IN, in_size + 1, layout->in, WRITE);
	}
	descriptors[n - 1].flags &= ~NEXT;
	if (indirect)
		describe(guest, 0, 0, table, 16 * n, VRING_DESC_F_INDIRECT, 0);
	offer(guest, 0, 0);
	kick(guest, 0);
	got = used(guest, 0, NULL);
	if (length)
		*length = got;
	return got < 0 ? -1 : *status;
}

#define REQUEST(type, sector, out_size, in_size) \
	request(&self->guest, &variant->layout, VIRTIO_BLK_T_##type, sector, out_size, in_size, \
		NULL)

static void fill(struct guest *guest, unsigned int length, unsigned char first)
{
	unsigned char *data = at(guest, OUT + 16);

	for (unsigned int n = 0; n < length; n++)
		data[n] = first + n * 7 + n / 512;
}

TEST_F(blk, configuration)
{
	struct guest *guest = &self->guest;

	EXPECT_EQ(0x1042, config_in(guest, PCI_DEVICE_ID, 2));
	EXPECT_EQ(SECTORS, in(guest, guest->config, 8));
	EXPECT_EQ(254, in(guest, guest->config + 12, 4));
	EXPECT_EQ(512, in(guest, guest->config + 20, 4));
}

TEST_F(blk, what_is_written_is_read)
{
	struct guest *guest = &self->guest;
	unsigned char *back = at(guest, IN);
	char file[4096];
	int64_t length;

	fill(guest, 4096, 1);
	ASSERT_EQ(VIRTIO_BLK_S_OK, REQUEST(OUT, 3, 4096, 0));
	ASSERT_EQ(4096, pread(self->fd, file, 4096, 3 * 512));
	EXPECT_EQ(0, memcmp(file, at(guest, OUT + 16), 4096));
	memset(back, 0, 4096);
	ASSERT_EQ(VIRTIO_BLK_S_OK, request(guest, &variant->layout, VIRTIO_BLK_T_IN, 3, 0, 4096,
					   &length));
	EXPECT_EQ(4097, length);
	EXPECT_EQ(0, memcmp(back, file, 4096));
	EXPECT_EQ(0, untold(guest, IN, 4097));
	EXPECT_EQ(device_area(guest, 0)[1] - 1, guest->used_then[0]);
	/* The last sector, and nothing. */
	fill(guest, 512, 9);
	ASSERT_EQ(VIRTIO_BLK_S_OK, REQUEST(OUT, SECTORS - 1, 512, 0));
	ASSERT_EQ(VIRTIO_BLK_S_OK, REQUEST(IN, SECTORS - 1, 0, 512));
	EXPECT_EQ(0, memcmp(back, at(guest, OUT + 16), 512));
	EXPECT_EQ(VIRTIO_BLK_S_OK, REQUEST(IN, SECTORS, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, REQUEST(OUT, SECTORS, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, REQUEST(FLUSH, 0, 0, 0));
}

TEST_F(blk, bad_requests)
{
	struct guest *guest = &self->guest;
	struct stat stat;
	int64_t length;

	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(IN, SECTORS, 0, 512));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(IN, SECTORS - 1, 0, 1024));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(OUT, SECTORS - 1, 1024, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(OUT, SECTORS + 1, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(OUT, UINT64_MAX, 512, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(IN, 1ull << 55, 0, 512));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(IN, 0, 0, 511));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(OUT, 0, 513, 0));
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, REQUEST(SCSI_CMD, 0, 512, 512));
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, REQUEST(SECURE_ERASE, 0, 16, 0));
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, REQUEST(BARRIER, 0, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, request(guest, &variant->layout, VIRTIO_BLK_T_IN, SECTORS,
					      0, 512, &length));
	EXPECT_EQ(0, length);
	EXPECT_EQ(0, untold(guest, IN + 512, 1));
	EXPECT_EQ(0xf, status(guest));
	ASSERT_EQ(0, fstat(self->fd, &stat));
	EXPECT_EQ(SECTORS * 512 + 100, stat.st_size);
}

TEST_F(blk, serial_number)
{
	struct guest *guest = &self->guest;
	int64_t length;

	memset(at(guest, IN), 0xff, 30);
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(guest, &variant->layout, VIRTIO_BLK_T_GET_ID, 0, 0, 20,
					   &length));
	EXPECT_EQ(21, length);
	EXPECT_EQ(0, untold(guest, IN, 21));
	EXPECT_EQ(0, memcmp(at(guest, IN), "serial\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(GET_ID, 0, 0, 19));
}

/* Ranges for discard and write-zeroes, at the place of data. */
static void range(struct guest *guest, unsigned int n, uint64_t sector, uint32_t sectors,
		  uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes *ranges = at(guest, OUT + 16);

	ranges[n] = (struct virtio_blk_discard_write_zeroes){ sector, sectors, flags };
}

TEST_F(blk, zeroes)
{
	struct guest *guest = &self->guest;

	for (unsigned int unmap = 0; unmap < 2; unmap++) {
		char file[16 * 512];

		fill(guest, sizeof(file), 3);
		ASSERT_EQ(VIRTIO_BLK_S_OK, REQUEST(OUT, 0, sizeof(file), 0));
		range(guest, 0, 3, 10, unmap);
		EXPECT_EQ(VIRTIO_BLK_S_OK, REQUEST(WRITE_ZEROES, 0, 16, 0));
		ASSERT_EQ(sizeof(file), pread(self->fd, file, sizeof(file), 0));
		for (unsigned int n = 3 * 512; n < 13 * 512; n++)
			ASSERT_EQ(0, file[n]);
		fill(guest, sizeof(file), 3);
		EXPECT_EQ(0, memcmp(file, at(guest, OUT + 16), 3 * 512));
		EXPECT_EQ(0, memcmp(file + 13 * 512, (char *)at(guest, OUT + 16) + 13 * 512,
				    3 * 512));
	}
	range(guest, 0, 0, 1, 2);
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, REQUEST(WRITE_ZEROES, 0, 16, 0));
	range(guest, 0, 0, SECTORS + 1, 0);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(WRITE_ZEROES, 0, 16, 0));
	range(guest, 0, UINT64_MAX, 1, 0);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(WRITE_ZEROES, 0, 16, 0));
	range(guest, 0, 0, 1, 0);
	range(guest, 1, 0, 1, 0);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(WRITE_ZEROES, 0, 32, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(WRITE_ZEROES, 0, 15, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(WRITE_ZEROES, 0, 0, 0));
}

TEST_F(blk, discard)
{
	struct guest *guest = &self->guest;

	for (unsigned int n = 0; n < 17; n++)
		range(guest, n, n * 8, 7, 0);
	EXPECT_EQ(VIRTIO_BLK_S_OK, REQUEST(DISCARD, 0, 16 * 15, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(DISCARD, 0, 16 * 17, 0));
	range(guest, 1, 0, 0, 0);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(DISCARD, 0, 32, 0));
	range(guest, 0, SECTORS, 1, 0);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(DISCARD, 0, 16, 0));
	range(guest, 0, 0, 1, 1);
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, REQUEST(DISCARD, 0, 16, 0));
}

TEST_F(blk, what_was_not_negotiated)
{
	struct guest *guest = &self->guest;

	guest_start(guest, VERSION_1 | variant->layout.features, 256);
	range(guest, 0, 0, 1, 0);
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, REQUEST(DISCARD, 0, 16, 0));
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, REQUEST(WRITE_ZEROES, 0, 16, 0));
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, REQUEST(FLUSH, 0, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, REQUEST(OUT, 0, 512, 0));
}

TEST_F(blk, errors_of_the_file)
{
	struct guest *guest = &self->guest;

	/* It became shorter; then it is not for I/O at all. */
	ASSERT_EQ(0, ftruncate(self->fd, 1000));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(IN, SECTORS, 0, 512));
	EXPECT_EQ(0, guest->reports);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(IN, 1, 0, 512));
	EXPECT_EQ(1, guest->reports);
	EXPECT_EQ(VIRTIO_BLK_S_OK, REQUEST(IN, 0, 0, 512));
	self->blk.fd = open("/", O_RDONLY | O_PATH);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(IN, 0, 0, 512));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(OUT, 0, 512, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(FLUSH, 0, 0, 0));
	range(guest, 0, 0, 1, 0);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(DISCARD, 0, 16, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, REQUEST(WRITE_ZEROES, 0, 16, 0));
	EXPECT_EQ(0xf, status(guest));
	EXPECT_EQ(1, guest->reports);
	close(self->blk.fd);
}

/* As a full file system does, this file takes nothing: the owner hears why, once. */
TEST(a_file_that_takes_no_more)
{
	static struct vmx_virtio_blk blk;
	struct guest guest;
	int fd = memfd_create("disk", MFD_ALLOW_SEALING);

	ASSERT_EQ(0, ftruncate(fd, SECTORS * 512));
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	guest_init(&guest);
	ASSERT_EQ(0, vmx_virtio_blk_init(&blk, &guest.machine, fd, false, NULL));
	guest_probe(&guest, &blk.virtio);
	guest_start(&guest, FEATURES, 256);
	for (unsigned int n = 0; n < 3; n++)
		EXPECT_EQ(VIRTIO_BLK_S_IOERR,
			  request(&guest, &usual, VIRTIO_BLK_T_OUT, 7, 512, 0, NULL));
	EXPECT_EQ(1, guest.reports);
	EXPECT_NE(NULL, strstr(guest.report, "could not write sector 7"));
	EXPECT_NE(NULL, strstr(guest.report, strerror(EPERM)));
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(&guest, &usual, VIRTIO_BLK_T_IN, 0, 0, 512, NULL));
	vmx_virtio_close(&blk.virtio);
	guest_free(&guest);
	close(fd);
}

TEST_F(blk, no_request_at_all)
{
	struct guest *guest = &self->guest;

	/* Too short a header; then no status. */
	describe(guest, 0, 0, OUT, 15, NEXT, 1);
	describe(guest, 0, 1, IN, 1, WRITE, 0);
	offer(guest, 0, 0);
	kick(guest, 0);
	EXPECT_TRUE(needs_reset(guest));
	EXPECT_EQ(-1, used(guest, 0, NULL));
	guest_start(guest, FEATURES, 256);
	describe(guest, 0, 0, OUT, 528, 0, 0);
	offer(guest, 0, 0);
	kick(guest, 0);
	EXPECT_TRUE(needs_reset(guest));
}

TEST(read_only)
{
	static struct vmx_virtio_blk blk;
	struct guest guest;
	int fd = open_file(false);

	ASSERT_EQ(0, ftruncate(fd, SECTORS * 512));
	guest_init(&guest);
	ASSERT_EQ(0, vmx_virtio_blk_init(&blk, &guest.machine, fd, true, NULL));
	guest_probe(&guest, &blk.virtio);
	EXPECT_TRUE(in(&guest, guest.common + VIRTIO_PCI_COMMON_DF, 4) >> VIRTIO_BLK_F_RO & 1);
	guest_start(&guest, FEATURES, 256);
	EXPECT_EQ(3, status(&guest));		/* discard is not offered */
	guest_start(&guest, VERSION_1 | 1ull << VIRTIO_BLK_F_FLUSH, 256);
	fill(&guest, 512, 5);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, request(&guest, &usual, VIRTIO_BLK_T_OUT, 0, 512, 0, NULL));
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(&guest, &usual, VIRTIO_BLK_T_FLUSH, 0, 0, 0, NULL));
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(&guest, &usual, VIRTIO_BLK_T_IN, 0, 0, 512, NULL));
	EXPECT_EQ(0, *(char *)at(&guest, IN));
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(&guest, &usual, VIRTIO_BLK_T_GET_ID, 0, 0, 20, NULL));
	vmx_virtio_close(&blk.virtio);
	guest_free(&guest);
	close(fd);
}

/* Zeroes are written in pieces where the file cannot make them. */
TEST(many_zeroes)
{
	enum { FIRST = 3, MANY = 300, ALL = 320 };
	static struct vmx_virtio_blk blk;
	static unsigned char bytes[ALL * 512];
	struct guest guest;
	int fd = open_file(false);

	memset(bytes, 0x5a, sizeof(bytes));
	ASSERT_EQ(sizeof(bytes), pwrite(fd, bytes, sizeof(bytes), 0));
	guest_init(&guest);
	ASSERT_EQ(0, vmx_virtio_blk_init(&blk, &guest.machine, fd, false, NULL));
	guest_probe(&guest, &blk.virtio);
	guest_start(&guest, FEATURES, 256);
	range(&guest, 0, FIRST, MANY, 0);
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  request(&guest, &usual, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, 0, NULL));
	ASSERT_EQ(sizeof(bytes), pread(fd, bytes, sizeof(bytes), 0));
	for (unsigned int n = 0; n < sizeof(bytes); n++) {
		const bool zero = n / 512 >= FIRST && n / 512 < FIRST + MANY;

		ASSERT_EQ(zero ? 0 : 0x5a, bytes[n]) TH_LOG("byte %u", n);
	}
	vmx_virtio_close(&blk.virtio);
	guest_free(&guest);
	close(fd);
}

TEST(files_are_judged)
{
	static struct vmx_virtio_blk blk;
	struct guest guest;
	int fd = open("/dev/null", O_RDWR);

	guest_init(&guest);
	EXPECT_EQ(-EINVAL, vmx_virtio_blk_init(&blk, &guest.machine, fd, false, NULL));
	close(fd);
	EXPECT_EQ(-EBADF, vmx_virtio_blk_init(&blk, &guest.machine, -1, false, NULL));
	fd = open("/proc/self/exe", O_RDONLY);
	EXPECT_EQ(-EINVAL, vmx_virtio_blk_init(&blk, &guest.machine, fd, false, NULL));
	EXPECT_EQ(0, vmx_virtio_blk_init(&blk, &guest.machine, fd, true,
					 "a serial number that is too long"));
	EXPECT_EQ(0, memcmp(blk.id, "a serial number that", 20));
	close(fd);
	guest_free(&guest);
}

TEST_HARNESS_MAIN
