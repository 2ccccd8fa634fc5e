// SPDX-License-Identifier: GPL-2.0
/* A disk whose requests a thread does, while the lock that its machine has is free. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/virtio_blk.h>

#include "kselftest_harness.h"

#include "virtio_guest.h"

#define SECTORS		128
#define REQUEST(n)	(DATA + (n) * 0x1000)	/* a header, 512 bytes, a status */
#define STATUS		528
#define PATIENCE	10000000

/* The host's disk, which takes its time: the library's calls of preadv() come here. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed;
	bool waited_for;
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };

ssize_t preadv(int fd, const struct iovec *segments, int count, off_t offset)
{
	pthread_mutex_lock(&gate.lock);
	while (gate.closed) {
		gate.waited_for = true;
		pthread_cond_broadcast(&gate.changed);
		pthread_cond_wait(&gate.changed, &gate.lock);
	}
	pthread_mutex_unlock(&gate.lock);
	return syscall(SYS_preadv, fd, segments, count, offset, 0);
}

static void set_gate(bool closed)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = closed;
	gate.waited_for = false;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

/* The machine's lock is the caller's, and everybody's meanwhile. */
static void wait_at_gate(pthread_mutex_t *lock)
{
	pthread_mutex_unlock(lock);
	pthread_mutex_lock(&gate.lock);
	while (!gate.waited_for)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
	pthread_mutex_lock(lock);
}

FIXTURE(thread) {
	struct guest guest;
	struct vmx_virtio_blk blk;
	pthread_mutex_t lock;	/* held by the test, unless it waits */
	int fd;
};

FIXTURE_SETUP(thread)
{
	struct guest *guest = &self->guest;

	set_gate(false);
	pthread_mutex_init(&self->lock, NULL);
	self->fd = memfd_create("disk", 0);
	ASSERT_EQ(0, ftruncate(self->fd, SECTORS * 512));
	guest_init(guest);
	/* What was there before says nothing. */
	memset(&self->blk, 0xee, sizeof(self->blk));
	ASSERT_EQ(0, vmx_virtio_blk_init(&self->blk, &guest->machine, self->fd, false, NULL));
	guest_probe(guest, &self->blk.virtio);
	ASSERT_EQ(0, vmx_virtio_blk_start(&self->blk, &self->lock));
	pthread_mutex_lock(&self->lock);
	guest_start(guest, VERSION_1 | 1ull << VIRTIO_BLK_F_FLUSH, 256);
}

FIXTURE_TEARDOWN(thread)
{
	pthread_mutex_unlock(&self->lock);
	vmx_virtio_blk_stop(&self->blk);
	vmx_virtio_close(&self->blk.virtio);
	guest_free(&self->guest);
	close(self->fd);
}

/* Offers the Nth request, of one sector or none. */
static void request(struct guest *guest, unsigned int n, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = { .type = type, .sector = sector };
	uint64_t place = REQUEST(n);
	uint16_t flags = type == VIRTIO_BLK_T_IN ? NEXT | WRITE : NEXT;
	bool data = type != VIRTIO_BLK_T_FLUSH;

	memcpy(at(guest, place), &header, sizeof(header));
	*(uint8_t *)at(guest, place + STATUS) = 0xee;
	describe(guest, 0, 3 * n, place, sizeof(header), NEXT, 3 * n + (data ? 1 : 2));
	describe(guest, 0, 3 * n + 1, place + 16, 512, flags, 3 * n + 2);
	describe(guest, 0, 3 * n + 2, place + STATUS, 1, WRITE, 0);
	offer(guest, 0, 3 * n);
	kick(guest, 0);
}

static void let_others(pthread_mutex_t *lock)
{
	pthread_mutex_unlock(lock);
	sched_yield();
	pthread_mutex_lock(lock);
}

/* Which request is done next; its status, or -1. */
static int wait_used(struct guest *guest, pthread_mutex_t *lock, uint32_t *n)
{
	uint32_t head;

	for (int tries = 0; tries < PATIENCE; tries++) {
		if (used(guest, 0, &head) >= 0) {
			*n = head / 3;
			return *(uint8_t *)at(guest, REQUEST(*n) + STATUS);
		}
		let_others(lock);
	}
	return -1;
}

TEST_F(thread, requests_are_done_in_order)
{
	struct guest *guest = &self->guest;
	uint32_t n;

	memset(at(guest, REQUEST(0) + 16), 'x', 512);
	request(guest, 0, VIRTIO_BLK_T_OUT, 3);
	request(guest, 1, VIRTIO_BLK_T_FLUSH, 0);
	request(guest, 2, VIRTIO_BLK_T_IN, 3);
	request(guest, 3, VIRTIO_BLK_T_IN, SECTORS);
	for (unsigned int want = 0; want < 4; want++) {
		EXPECT_EQ(want == 3 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK,
			  wait_used(guest, &self->lock, &n));
		EXPECT_EQ(want, n);
	}
	EXPECT_EQ('x', *(char *)at(guest, REQUEST(2) + 16));
	EXPECT_EQ('x', *(char *)at(guest, REQUEST(2) + 16 + 511));
	EXPECT_EQ(0, untold(guest, REQUEST(2) + 16, 512));
	EXPECT_EQ(0, untold(guest, REQUEST(3) + STATUS, 1));
	EXPECT_TRUE(guest->line);
}

TEST_F(thread, a_slow_disk_holds_nobody_up)
{
	struct guest *guest = &self->guest;
	uint32_t n;

	set_gate(true);
	request(guest, 0, VIRTIO_BLK_T_IN, 0);
	wait_at_gate(&self->lock);
	/* The lock is free for those who want the device: it is here. */
	EXPECT_EQ(0xf, status(guest));
	EXPECT_EQ(-1, used(guest, 0, NULL));
	request(guest, 1, VIRTIO_BLK_T_FLUSH, 0);
	let_others(&self->lock);
	/* What came later is not done before. */
	EXPECT_EQ(-1, used(guest, 0, NULL));
	EXPECT_FALSE(guest->line);
	set_gate(false);
	EXPECT_EQ(VIRTIO_BLK_S_OK, wait_used(guest, &self->lock, &n));
	EXPECT_EQ(0, n);
	EXPECT_EQ(VIRTIO_BLK_S_OK, wait_used(guest, &self->lock, &n));
	EXPECT_EQ(1, n);
}

TEST_F(thread, a_reset_waits_for_the_request)
{
	struct guest *guest = &self->guest;
	char sector[512];
	uint32_t n;

	memset(sector, 'x', sizeof(sector));
	ASSERT_EQ(512, pwrite(self->fd, sector, sizeof(sector), 0));
	set_gate(true);
	request(guest, 0, VIRTIO_BLK_T_IN, 0);
	request(guest, 1, VIRTIO_BLK_T_IN, 0);
	wait_at_gate(&self->lock);
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	EXPECT_NE(0, status(guest));
	set_gate(false);
	for (int tries = 0; tries < PATIENCE && status(guest); tries++)
		let_others(&self->lock);
	EXPECT_EQ(0, status(guest));
	/* Neither of them was returned, and the second not begun. */
	EXPECT_EQ(0, device_area(guest, 0)[1]);
	EXPECT_EQ(0xee, *(uint8_t *)at(guest, REQUEST(0) + STATUS));
	EXPECT_EQ(0xee, *(uint8_t *)at(guest, REQUEST(1) + STATUS));
	EXPECT_FALSE(guest->line);
	/* What the first one read is there all the same, and the machine knows. */
	EXPECT_EQ('x', *(char *)at(guest, REQUEST(0) + 16));
	EXPECT_EQ(0, untold(guest, REQUEST(0) + 16, 512));
	guest_start(guest, VERSION_1, 256);
	request(guest, 0, VIRTIO_BLK_T_IN, 0);
	EXPECT_EQ(VIRTIO_BLK_S_OK, wait_used(guest, &self->lock, &n));
}

TEST_F(thread, it_ends_with_what_it_does)
{
	struct guest *guest = &self->guest;

	set_gate(true);
	request(guest, 0, VIRTIO_BLK_T_IN, 0);
	wait_at_gate(&self->lock);
	self->blk.ending = true;
	request(guest, 1, VIRTIO_BLK_T_IN, 0);
	set_gate(false);
	pthread_mutex_unlock(&self->lock);
	vmx_virtio_blk_stop(&self->blk);
	EXPECT_EQ(1, device_area(guest, 0)[1]);
	EXPECT_EQ(VIRTIO_BLK_S_OK, *(uint8_t *)at(guest, REQUEST(0) + STATUS));
	EXPECT_EQ(0xee, *(uint8_t *)at(guest, REQUEST(1) + STATUS));
	pthread_mutex_lock(&self->lock);
}

TEST_F(thread, a_broken_driver_is_left_alone)
{
	struct guest *guest = &self->guest;

	describe(guest, 0, 0, REQUEST(0), 15, NEXT, 1);
	describe(guest, 0, 1, REQUEST(0) + STATUS, 1, WRITE, 0);
	offer(guest, 0, 0);
	kick(guest, 0);
	for (int tries = 0; tries < PATIENCE && !needs_reset(guest); tries++)
		let_others(&self->lock);
	EXPECT_TRUE(needs_reset(guest));
	EXPECT_EQ(-1, used(guest, 0, NULL));
	EXPECT_EQ(1, guest->reports);
}

TEST_HARNESS_MAIN
