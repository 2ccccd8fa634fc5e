// SPDX-License-Identifier: GPL-2.0
/*
 * What another CPU of the guest can see of a used ring between any two stores of the device's. The
 * ring's page is read-only, so each store faults; the handler lets that one instruction through.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include <linux/virtio_net.h>

#include "kselftest_harness.h"

#include "virtio_guest.h"

#define RX		0
#define SIZE		8
#define HEADER		12
#define BUFFER		300
#define PAGE		0x1000
#define RFLAGS_TF	0x100
/* Places in the used ring, in two bytes each (virtio 1.2, The Virtqueue Used Ring) */
#define USED_INDEX	1
#define AVAIL_EVENT	(2 + 4 * SIZE)

FIXTURE(stores) {
	struct guest guest;
	struct vmx_virtio_net net;
	int tap;
	int peer;
	char frame[SIZE * BUFFER - HEADER];
	uint16_t *ring;
	unsigned int count;
	unsigned int wrong;
	bool offered;
	void (*before)(FIXTURE_DATA(stores) * self, const uint16_t *place);
	void (*after)(FIXTURE_DATA(stores) * self);
};

typedef FIXTURE_DATA(stores) fixture;

/* For the handlers. */
static fixture *watched;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	const uint16_t *place = info->si_addr;

	/* Anything else is a crash. */
	if (place < watched->ring || place >= watched->ring + PAGE / 2)
		_exit(1);
	watched->count++;
	if (watched->before)
		watched->before(watched, place);
	mprotect(watched->ring, PAGE, PROT_READ | PROT_WRITE);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= RFLAGS_TF;
}

static void on_step(int signal, siginfo_t *info, void *context)
{
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~RFLAGS_TF;
	mprotect(watched->ring, PAGE, PROT_READ);
	if (watched->after)
		watched->after(watched);
}

static void watch(fixture *self)
{
	const struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	const struct sigaction step = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };

	watched = self;
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGTRAP, &step, NULL);
	mprotect(self->ring, PAGE, PROT_READ);
}

FIXTURE_SETUP(stores)
{
	static const uint8_t mac[6] = { 2, 3, 4, 5, 6, 7 };
	int sockets[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets));
	self->tap = sockets[0];
	self->peer = sockets[1];
	guest_init(&self->guest);
	ASSERT_EQ(0, vmx_virtio_net_init(&self->net, &self->guest.machine, self->tap, mac));
	guest_probe(&self->guest, &self->net.virtio);
	self->ring = device_area(&self->guest, RX);
	for (unsigned int n = 0; n < sizeof(self->frame); n++)
		self->frame[n] = n * 7;
}

FIXTURE_TEARDOWN(stores)
{
	mprotect(self->ring, PAGE, PROT_READ | PROT_WRITE);
	vmx_virtio_close(&self->net.virtio);
	guest_free(&self->guest);
	close(self->tap);
	close(self->peer);
}

/* Is all of the frame there, and in the ring? */
static bool is_complete(fixture *self)
{
	struct virtio_net_hdr_v1 header;
	const char *sent = self->frame;

	memcpy(&header, at(&self->guest, DATA), HEADER);
	for (unsigned int n = 0; n < SIZE; n++) {
		const unsigned int skip = n ? 0 : HEADER;
		struct vring_used_elem element;

		memcpy(&element, &self->ring[2 + 4 * n], sizeof(element));
		if (element.id != n || element.len != BUFFER ||
		    memcmp(at(&self->guest, DATA + PAGE * n + skip), sent, BUFFER - skip))
			return false;
		sent += BUFFER - skip;
	}
	return header.num_buffers == SIZE;
}

static void look_for_a_part(fixture *self)
{
	if (self->ring[USED_INDEX] && (self->ring[USED_INDEX] != SIZE || !is_complete(self)))
		self->wrong++;
}

/* A driver that finds fewer buffers than the header says gives the frame up. */
TEST_F(stores, merged_buffers_at_once)
{
	struct guest *guest = &self->guest;

	guest_start(guest, VERSION_1 | 1ull << VIRTIO_NET_F_MRG_RXBUF, SIZE);
	for (unsigned int n = 0; n < SIZE; n++) {
		describe(guest, RX, n, DATA + PAGE * n, BUFFER, WRITE, 0);
		offer(guest, RX, n);
	}
	ASSERT_EQ(sizeof(self->frame), write(self->peer, self->frame, sizeof(self->frame)));
	self->after = look_for_a_part;
	watch(self);
	vmx_virtio_net_poll(&self->net);
	EXPECT_EQ(SIZE, self->ring[USED_INDEX]);
	EXPECT_TRUE(is_complete(self));
	/* The index, and no fewer than one for each buffer. */
	EXPECT_LE(SIZE + 1, self->count);
	EXPECT_EQ(0, self->wrong);
}

/* By what the device has asked for so far, the driver need not notify. */
static void offer_unnoticed(fixture *self, const uint16_t *place)
{
	const uint16_t was = self->guest.queues[RX].offered;

	if (place != &self->ring[AVAIL_EVENT] || self->offered)
		return;
	offer(&self->guest, RX, 2);
	self->offered = true;
	self->wrong += vring_need_event(self->ring[AVAIL_EVENT], was + 1, was);
}

/*
 * The driver offers a buffer after the device found none and before the device asks to be notified
 * of the next: the device has to look again, or neither ever hears of the other.
 */
TEST_F(stores, second_look_at_the_available_ring)
{
	struct guest *guest = &self->guest;

	guest_start(guest, VERSION_1 | EVENT_IDX, SIZE);
	for (unsigned int n = 0; n < 3; n++) {
		describe(guest, RX, n, DATA + PAGE * n, BUFFER, WRITE, 0);
		ASSERT_EQ(60, write(self->peer, self->frame, 60));
	}
	offer(guest, RX, 0);
	offer(guest, RX, 1);
	self->before = offer_unnoticed;
	watch(self);
	kick(guest, RX);
	EXPECT_TRUE(self->offered);
	EXPECT_EQ(0, self->wrong);
	for (unsigned int n = 0; n < 3; n++)
		EXPECT_EQ(HEADER + 60, used(guest, RX, NULL));
}

TEST_HARNESS_MAIN
