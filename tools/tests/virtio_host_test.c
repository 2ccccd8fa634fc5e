// SPDX-License-Identifier: GPL-2.0
/*
 * What the host's files may do to a disk or a card: transfers in pieces, interruptions, errors. The
 * library's system calls come here first.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>

#include "kselftest_harness.h"

#include "virtio_guest.h"

#define SECTORS		(1ull << 21)
#define RX		0
#define TX		1
#define HEADER		12
#define FEATURES	(VERSION_1 | 1ull << VIRTIO_BLK_F_DISCARD | \
			 1ull << VIRTIO_BLK_F_WRITE_ZEROES)
#define FLUSH		(1ull << VIRTIO_BLK_F_FLUSH)

/* What the host does. */
static struct {
	size_t most;		/* bytes in one transfer; 0: all */
	unsigned int eintr;	/* times that a call is interrupted */
	int allocate_error;
	int net_error;		/* of a card's descriptor */
	int net_fd;
	unsigned int syncs;
} host;

static bool interrupted(void)
{
	if (!host.eintr)
		return false;
	host.eintr--;
	errno = EINTR;
	return true;
}

/* The first of them that HOST.MOST has room for, the last in part. */
static int shorten(struct iovec *few, const struct iovec *segments, int count)
{
	size_t left = host.most ? host.most : SIZE_MAX;
	int n;

	for (n = 0; n < count && left; n++) {
		few[n] = segments[n];
		if (few[n].iov_len > left)
			few[n].iov_len = left;
		left -= few[n].iov_len;
	}
	return n;
}

ssize_t preadv(int fd, const struct iovec *segments, int count, off_t offset)
{
	struct iovec few[VMX_VIRTQUEUE_MAX];

	if (interrupted())
		return -1;
	return syscall(SYS_preadv, fd, few, shorten(few, segments, count), offset, 0);
}

ssize_t pwritev(int fd, const struct iovec *segments, int count, off_t offset)
{
	struct iovec few[VMX_VIRTQUEUE_MAX];

	if (interrupted())
		return -1;
	return syscall(SYS_pwritev, fd, few, shorten(few, segments, count), offset, 0);
}

int fdatasync(int fd)
{
	host.syncs++;
	return 0;
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	if (interrupted())
		return -1;
	errno = host.allocate_error;
	return errno ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

static bool card_fails(int fd)
{
	if (fd != host.net_fd)
		return false;
	errno = host.net_error;
	return interrupted() || host.net_error;
}

ssize_t writev(int fd, const struct iovec *segments, int count)
{
	return card_fails(fd) ? -1 : syscall(SYS_writev, fd, segments, count);
}

ssize_t read(int fd, void *buffer, size_t size)
{
	return card_fails(fd) ? -1 : syscall(SYS_read, fd, buffer, size);
}

/* A large disk, most of it untouched. */
FIXTURE(disk) {
	struct guest guest;
	struct vmx_virtio_blk blk;
	int fd;
};

FIXTURE_SETUP(disk)
{
	memset(&host, 0, sizeof(host));
	host.net_fd = -1;
	self->fd = memfd_create("disk", 0);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ftruncate(self->fd, SECTORS * 512));
	guest_init(&self->guest);
	ASSERT_EQ(0, vmx_virtio_blk_init(&self->blk, &self->guest.machine, self->fd, false, NULL));
	guest_probe(&self->guest, &self->blk.virtio);
	guest_start(&self->guest, FEATURES | FLUSH, 256);
}

FIXTURE_TEARDOWN(disk)
{
	vmx_virtio_close(&self->blk.virtio);
	guest_free(&self->guest);
	close(self->fd);
}

/* A request with SIZE bytes of data, in pieces of 3, 700 and 1000 bytes or fewer. Its status. */
static int request(struct guest *guest, uint32_t type, uint64_t sector, uint32_t size,
		   int64_t *length)
{
	static const unsigned int pieces[] = { 3, 700, 1000, 1 << 20 };
	const struct virtio_blk_outhdr header = { .type = type, .sector = sector };
	const uint16_t flags = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID ? WRITE : 0;
	unsigned char *status = at(guest, DATA + 16 + size);
	uint64_t address = DATA + 16;
	unsigned int n = 1;
	int64_t got;

	memcpy(at(guest, DATA), &header, sizeof(header));
	*status = 0xee;
	describe(guest, 0, 0, DATA, 16, NEXT, 1);
	while (size) {
		uint32_t piece = pieces[n - 1] < size ? pieces[n - 1] : size;

		describe(guest, 0, n, address, piece, flags | NEXT, n + 1);
		address += piece;
		size -= piece;
		n++;
	}
	describe(guest, 0, n, address, 1, WRITE, 0);
	offer(guest, 0, 0);
	kick(guest, 0);
	got = used(guest, 0, NULL);
	if (length)
		*length = got;
	return got < 0 ? -1 : *status;
}

static int range(struct guest *guest, uint32_t type, uint64_t sector, uint32_t sectors,
		 uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes range = { sector, sectors, flags };

	memcpy(at(guest, DATA + 16), &range, sizeof(range));
	return request(guest, type, 0, sizeof(range), NULL);
}

TEST_F(disk, transfers_in_pieces)
{
	static const size_t most[] = { 0, 1, 2, 3, 4, 511, 702, 703, 704, 1702, 1703, 1704, 4095 };
	struct guest *guest = &self->guest;
	unsigned char *data = at(guest, DATA + 16), file[4096];
	int64_t length;

	for (unsigned int n = 0; n < sizeof(most) / sizeof(most[0]); n++) {
		host.most = most[n];
		host.eintr = n % 3;
		for (unsigned int i = 0; i < sizeof(file); i++)
			data[i] = i * 7 + i / 256 + n;
		ASSERT_EQ(VIRTIO_BLK_S_OK, request(guest, VIRTIO_BLK_T_OUT, 5, 4096, &length));
		EXPECT_EQ(1, length);
		EXPECT_EQ(0, host.eintr);
		ASSERT_EQ(4096, pread(self->fd, file, sizeof(file), 5 * 512));
		EXPECT_EQ(0, memcmp(file, data, sizeof(file))) TH_LOG("%zu at a time", most[n]);
		memset(data, 0xff, sizeof(file));
		host.eintr = n % 3;
		ASSERT_EQ(VIRTIO_BLK_S_OK, request(guest, VIRTIO_BLK_T_IN, 5, 4096, &length));
		EXPECT_EQ(4097, length);
		EXPECT_EQ(0, memcmp(file, data, sizeof(file))) TH_LOG("%zu at a time", most[n]);
	}
	EXPECT_EQ(13, self->blk.reads);
	EXPECT_EQ(13, self->blk.writes);
	EXPECT_EQ(13 * 4096, self->blk.bytes_read);
	EXPECT_EQ(13 * 4096, self->blk.bytes_written);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, request(guest, VIRTIO_BLK_T_IN, SECTORS, 512, NULL));
	EXPECT_EQ(VIRTIO_BLK_S_OK, request(guest, VIRTIO_BLK_T_GET_ID, 0, 30, &length));
	EXPECT_EQ(20, length);
	EXPECT_EQ(13, self->blk.reads);
}

TEST_F(disk, configuration)
{
	struct guest *guest = &self->guest;

	EXPECT_EQ(SECTORS, in(guest, guest->config, 8));
	EXPECT_EQ(1 << 21, in(guest, guest->config + 36, 4));	/* max_discard_sectors */
	EXPECT_EQ(16, in(guest, guest->config + 40, 4));	/* max_discard_seg */
	EXPECT_EQ(1, in(guest, guest->config + 44, 4));		/* discard_sector_alignment */
	EXPECT_EQ(1 << 16, in(guest, guest->config + 48, 4));	/* max_write_zeroes_sectors */
	EXPECT_EQ(1, in(guest, guest->config + 52, 4));		/* max_write_zeroes_seg */
	EXPECT_EQ(1, in(guest, guest->config + 56, 1));		/* write_zeroes_may_unmap */
	EXPECT_EQ(57, guest->config_size);
	EXPECT_EQ(0x010000, config_in(guest, PCI_CLASS_REVISION, 4) >> 8);
}

/* As large as the configuration says, and no larger. */
TEST_F(disk, largest_ranges)
{
	struct guest *guest = &self->guest;

	/* Holes may be behind a file's end. */
	self->blk.capacity = SECTORS + 8;
	EXPECT_EQ(VIRTIO_BLK_S_OK, range(guest, VIRTIO_BLK_T_DISCARD, 0, 1 << 21, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, range(guest, VIRTIO_BLK_T_DISCARD, 0, (1 << 21) + 1, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, range(guest, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1 << 16, 1));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, range(guest, VIRTIO_BLK_T_WRITE_ZEROES, 0, (1 << 16) + 1, 1));
	EXPECT_EQ(VIRTIO_BLK_S_OK, range(guest, VIRTIO_BLK_T_DISCARD, SECTORS, 8, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, range(guest, VIRTIO_BLK_T_DISCARD, SECTORS, 9, 0));
	EXPECT_EQ(0, guest->reports);
}

/* Sectors 3 to 12 become zeroes, and no others. */
static bool is_zeroed(int fd)
{
	unsigned char bytes[16 * 512];

	if (pread(fd, bytes, sizeof(bytes), 0) != sizeof(bytes))
		return false;
	for (unsigned int n = 0; n < sizeof(bytes); n++) {
		if (bytes[n] != (n / 512 >= 3 && n / 512 < 13 ? 0 : 0x5a))
			return false;
	}
	return true;
}

TEST_F(disk, ranges_that_the_file_makes_zeroes_of)
{
	struct guest *guest = &self->guest;
	unsigned char bytes[16 * 512];

	for (unsigned int n = 0; n < 6; n++) {
		const bool discards = n == 0;
		const int expected = n == 3 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;

		memset(bytes, 0x5a, sizeof(bytes));
		ASSERT_EQ(sizeof(bytes), pwrite(self->fd, bytes, sizeof(bytes), 0));
		host.eintr = n;
		host.most = n == 4 ? 1000 : 0;
		host.allocate_error = n == 3 ? ENOSPC : n > 3 ? EOPNOTSUPP : 0;
		EXPECT_EQ(expected, range(guest, discards ? VIRTIO_BLK_T_DISCARD :
					  VIRTIO_BLK_T_WRITE_ZEROES, 3, 10, n & 1));
		EXPECT_EQ(expected == VIRTIO_BLK_S_OK, is_zeroed(self->fd)) TH_LOG("round %u", n);
	}
	/* Discard is a hint; what failed was told of, once. */
	EXPECT_EQ(1, guest->reports);
	EXPECT_EQ(VIRTIO_BLK_S_OK, range(guest, VIRTIO_BLK_T_DISCARD, 3, 10, 0));
	host.allocate_error = ENOSPC;
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, range(guest, VIRTIO_BLK_T_DISCARD, 3, 10, 0));
	EXPECT_EQ(1, guest->reports);
}

/* A driver that cannot flush has everything stable; one that can decides when. */
TEST_F(disk, flushes)
{
	struct guest *guest = &self->guest;

	for (unsigned int flush = 0; flush < 2; flush++) {
		guest_start(guest, FEATURES | (flush ? FLUSH : 0), 256);
		host.syncs = 0;
		EXPECT_EQ(VIRTIO_BLK_S_OK, request(guest, VIRTIO_BLK_T_OUT, 0, 512, NULL));
		EXPECT_EQ(flush ? 0 : 1, host.syncs);
		EXPECT_EQ(VIRTIO_BLK_S_OK, range(guest, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 1));
		EXPECT_EQ(flush ? 0 : 2, host.syncs);
		EXPECT_EQ(VIRTIO_BLK_S_OK, range(guest, VIRTIO_BLK_T_DISCARD, 0, 8, 0));
		EXPECT_EQ(VIRTIO_BLK_S_OK, request(guest, VIRTIO_BLK_T_IN, 0, 512, NULL));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, request(guest, VIRTIO_BLK_T_OUT, SECTORS, 512, NULL));
		EXPECT_EQ(flush ? 0 : 2, host.syncs);
		EXPECT_EQ(flush ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_UNSUPP,
			  request(guest, VIRTIO_BLK_T_FLUSH, 0, 0, NULL));
		EXPECT_EQ(flush ? 1 : 2, host.syncs);
	}
}

TEST_F(disk, a_sector_that_cannot_be_read)
{
	struct guest *guest = &self->guest;

	ASSERT_EQ(0, ftruncate(self->fd, 9 * 512 + 100));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, request(guest, VIRTIO_BLK_T_IN, 9, 512, NULL));
	EXPECT_NE(NULL, strstr(guest->report, "could not read sector 9"));
	EXPECT_NE(NULL, strstr(guest->report, strerror(ENODATA)));
}

/* A card */
FIXTURE(card) {
	struct guest guest;
	struct vmx_virtio_net net;
	int peer;
};

FIXTURE_SETUP(card)
{
	static const uint8_t mac[6] = { 2, 3, 4, 5, 6, 7 };
	int sockets[2];

	memset(&host, 0, sizeof(host));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets));
	host.net_fd = sockets[0];
	self->peer = sockets[1];
	fcntl(self->peer, F_SETFL, O_NONBLOCK);
	guest_init(&self->guest);
	ASSERT_EQ(0, vmx_virtio_net_init(&self->net, &self->guest.machine, host.net_fd, mac));
	guest_probe(&self->guest, &self->net.virtio);
	guest_start(&self->guest, VERSION_1, 8);
}

FIXTURE_TEARDOWN(card)
{
	vmx_virtio_close(&self->net.virtio);
	guest_free(&self->guest);
	close(host.net_fd);
	close(self->peer);
}

TEST_F(card, interruptions)
{
	struct guest *guest = &self->guest;
	char frame[60] = "frame";

	host.eintr = 3;
	describe(guest, TX, 0, DATA, HEADER + 60, 0, 0);
	offer(guest, TX, 0);
	kick(guest, TX);
	EXPECT_EQ(0, host.eintr);
	EXPECT_EQ(60, recv(self->peer, frame, sizeof(frame), 0));
	EXPECT_EQ(1, self->net.sent);
	ASSERT_EQ(60, send(self->peer, frame, sizeof(frame), 0));
	host.eintr = 3;
	describe(guest, RX, 0, DATA, 2000, WRITE, 0);
	offer(guest, RX, 0);
	kick(guest, RX);
	EXPECT_EQ(0, host.eintr);
	EXPECT_EQ(HEADER + 60, used(guest, RX, NULL));
}

static unsigned int link_status(struct guest *guest)
{
	return in(guest, guest->config + 6, 2);
}

/* A device that has nothing or takes nothing is there, one that is in a bad state is not. */
TEST_F(card, errors)
{
	static const int errors[] = { EAGAIN, EIO, EBADFD };
	struct guest *guest = &self->guest;

	EXPECT_EQ(0x020000, config_in(guest, PCI_CLASS_REVISION, 4) >> 8);
	for (unsigned int n = 0; n < 6; n++) {
		const bool lost = errors[n / 2] == EBADFD;

		guest_start(guest, VERSION_1, 8);
		EXPECT_EQ(VIRTIO_NET_S_LINK_UP, link_status(guest));
		host.net_error = errors[n / 2];
		describe(guest, n & 1, 0, DATA, HEADER + 100, n & 1 ? 0 : WRITE, 0);
		offer(guest, n & 1, 0);
		kick(guest, n & 1);
		EXPECT_EQ(n & 1 ? 0 : -1, used(guest, n & 1, NULL));
		EXPECT_EQ(lost ? 0 : VIRTIO_NET_S_LINK_UP, link_status(guest));
		EXPECT_EQ(lost, self->net.lost);
		/* Found once for each direction. */
		self->net.lost = false;
		self->net.config[6] = VIRTIO_NET_S_LINK_UP;
	}
	EXPECT_EQ(0, self->net.sent);
	EXPECT_EQ(3, self->net.dropped);
	EXPECT_EQ(2, guest->reports);
}

/* A console */

static size_t nothing_taken(void *context, const void *bytes, size_t length)
{
	return 0;
}

/* A terminal may have one direction, or none. */
TEST(a_console_without_a_terminal)
{
	static struct vmx_virtio_console console;
	static struct guest machine;
	struct vmx_virtio_terminal terminal = { 0 };
	struct guest *guest = &machine;

	guest_init(guest);
	ASSERT_EQ(0, vmx_virtio_console_init(&console, &guest->machine, &terminal));
	guest_probe(guest, &console.virtio);
	EXPECT_EQ(0x1043, config_in(guest, PCI_DEVICE_ID, 2));
	EXPECT_EQ(0x078000, config_in(guest, PCI_CLASS_REVISION, 4) >> 8);
	EXPECT_EQ(128, COMMON_IN(VIRTIO_PCI_COMMON_Q_SIZE, 2));
	guest_start(guest, VERSION_1, 8);
	/* What is written goes nowhere, and comes back used; what is to be read waits. */
	describe(guest, TX, 0, DATA, 5, 0, 0);
	describe(guest, RX, 0, DATA, 5, WRITE, 0);
	offer(guest, TX, 0);
	offer(guest, RX, 0);
	kick(guest, TX);
	kick(guest, RX);
	EXPECT_EQ(0, used(guest, TX, NULL));
	EXPECT_EQ(-1, used(guest, RX, NULL));
	EXPECT_FALSE(vmx_virtio_console_wants_input(&console));
	console.terminal.output = nothing_taken;
	offer(guest, TX, 0);
	kick(guest, TX);
	EXPECT_EQ(-1, used(guest, TX, NULL));
	vmx_virtio_close(&console.virtio);
	guest_free(guest);
}

TEST_HARNESS_MAIN
