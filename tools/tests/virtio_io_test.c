// SPDX-License-Identifier: GPL-2.0
/* Consoles and network cards, as drivers use them. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/virtio_console.h>
#include <linux/virtio_net.h>

#include "kselftest_harness.h"

#include "virtio_guest.h"

#define RX 0
#define TX 1

FIXTURE(console) {
	struct guest guest;
	struct vmx_virtio_console console;
	char output[100];
	size_t output_size;
	size_t room;
	const char *input;
	unsigned int asked;
};

static size_t take_output(void *context, const void *bytes, size_t length)
{
	FIXTURE_DATA(console) * self = context;

	if (length > self->room - self->output_size)
		length = self->room - self->output_size;
	memcpy(self->output + self->output_size, bytes, length);
	self->output_size += length;
	return length;
}

static size_t give_input(void *context, void *bytes, size_t room)
{
	FIXTURE_DATA(console) * self = context;
	size_t length = strlen(self->input);

	self->asked++;
	if (length > room)
		length = room;
	memcpy(bytes, self->input, length);
	self->input += length;
	return length;
}

FIXTURE_SETUP(console)
{
	struct vmx_virtio_terminal terminal = { take_output, give_input, self };

	self->input = "";
	self->room = sizeof(self->output);
	guest_init(&self->guest);
	/* What was there before says nothing. */
	memset(&self->console, 0xee, sizeof(self->console));
	ASSERT_EQ(0, vmx_virtio_console_init(&self->console, &self->guest.machine, &terminal));
	guest_probe(&self->guest, &self->console.virtio);
	guest_start(&self->guest, VERSION_1 | 1ull << VIRTIO_CONSOLE_F_SIZE, 8);
	ASSERT_EQ(0xf, status(&self->guest));
}

FIXTURE_TEARDOWN(console)
{
	vmx_virtio_close(&self->console.virtio);
	guest_free(&self->guest);
}

TEST_F(console, output)
{
	struct guest *guest = &self->guest;

	memcpy(at(guest, DATA), "Hello, world", 12);
	describe(guest, TX, 0, DATA, 5, NEXT, 1);
	describe(guest, TX, 1, DATA + 5, 7, 0, 0);
	offer(guest, TX, 0);
	offer(guest, TX, 1);
	kick(guest, TX);
	EXPECT_EQ(0, used(guest, TX, NULL));
	EXPECT_EQ(0, used(guest, TX, NULL));
	EXPECT_EQ(19, self->output_size);
	EXPECT_EQ(0, memcmp(self->output, "Hello, world, world", 19));
}

/* What is not taken is offered again, each byte once, and the guest has to wait for its buffer. */
TEST_F(console, output_that_is_not_taken)
{
	struct guest *guest = &self->guest;

	memcpy(at(guest, DATA), "Hello, world", 12);
	describe(guest, TX, 0, DATA, 5, NEXT, 1);
	describe(guest, TX, 1, DATA + 5, 7, 0, 0);
	self->room = 8;
	offer(guest, TX, 0);
	offer(guest, TX, 1);
	kick(guest, TX);
	EXPECT_EQ(8, self->output_size);
	EXPECT_EQ(-1, used(guest, TX, NULL));
	kick(guest, TX);
	EXPECT_EQ(8, self->output_size);
	self->room = 13;
	vmx_virtio_console_poll(&self->console);
	EXPECT_EQ(0, used(guest, TX, NULL));
	EXPECT_EQ(-1, used(guest, TX, NULL));
	self->room = 100;
	vmx_virtio_console_poll(&self->console);
	EXPECT_EQ(0, used(guest, TX, NULL));
	EXPECT_EQ(19, self->output_size);
	EXPECT_EQ(0, memcmp(self->output, "Hello, world, world", 19));
	/* A driver that begins anew begins with its first byte. */
	self->room = 22;
	offer(guest, TX, 0);
	kick(guest, TX);
	EXPECT_EQ(22, self->output_size);
	guest_start(guest, VERSION_1, 8);
	self->output_size = 0;
	describe(guest, TX, 0, DATA, 5, 0, 0);
	offer(guest, TX, 0);
	kick(guest, TX);
	EXPECT_EQ(5, self->output_size);
	EXPECT_EQ(0, memcmp(self->output, "Hello", 5));
}

TEST_F(console, input)
{
	struct guest *guest = &self->guest;

	/* No room: nobody asks. */
	self->input = "abcdefghij";
	vmx_virtio_console_poll(&self->console);
	EXPECT_EQ(0, self->asked);
	EXPECT_FALSE(vmx_virtio_console_wants_input(&self->console));
	/* Room comes: what waited is fetched. */
	describe(guest, RX, 0, DATA, 3, WRITE | NEXT, 1);
	describe(guest, RX, 1, DATA + 0x100, 4, WRITE, 0);
	offer(guest, RX, 0);
	kick(guest, RX);
	EXPECT_EQ(7, used(guest, RX, NULL));
	EXPECT_EQ(0, memcmp(at(guest, DATA), "abc", 3));
	EXPECT_EQ(0, memcmp(at(guest, DATA + 0x100), "defg", 4));
	EXPECT_EQ(0, untold(guest, DATA, 3));
	EXPECT_EQ(0, untold(guest, DATA + 0x100, 4));
	EXPECT_EQ(0, guest->used_then[RX]);
	describe(guest, RX, 2, DATA, 8, WRITE, 0);
	offer(guest, RX, 2);
	offer(guest, RX, 2);
	kick(guest, RX);
	EXPECT_EQ(3, used(guest, RX, NULL));
	EXPECT_EQ(-1, used(guest, RX, NULL));
	/* And then what comes later, into the buffer that went back. */
	EXPECT_TRUE(vmx_virtio_console_wants_input(&self->console));
	self->input = "klm";
	in(guest, guest->isr, 1);
	EXPECT_FALSE(guest->line);
	vmx_virtio_console_poll(&self->console);
	EXPECT_EQ(3, used(guest, RX, NULL));
	EXPECT_EQ(0, memcmp(at(guest, DATA), "klm", 3));
	EXPECT_TRUE(guest->line);
	EXPECT_FALSE(vmx_virtio_console_wants_input(&self->console));
}

TEST_F(console, size)
{
	struct guest *guest = &self->guest;

	in(guest, guest->isr, 1);
	vmx_virtio_console_resize(&self->console, 132, 43);
	EXPECT_EQ(2, in(guest, guest->isr, 1));
	EXPECT_EQ(132 | 43 << 16, in(guest, guest->config, 4));
	EXPECT_EQ(4, guest->config_size);
}

TEST_F(console, directions)
{
	struct guest *guest = &self->guest;

	describe(guest, TX, 0, DATA, 5, WRITE, 0);
	offer(guest, TX, 0);
	kick(guest, TX);
	EXPECT_TRUE(needs_reset(guest));
	EXPECT_EQ(0, self->output_size);
	guest_start(guest, VERSION_1, 8);
	describe(guest, RX, 0, DATA, 5, 0, 0);
	offer(guest, RX, 0);
	self->input = "a";
	kick(guest, RX);
	EXPECT_TRUE(needs_reset(guest));
	EXPECT_EQ(0, self->asked);
}

/* Cards */

#define HEADER	12

FIXTURE(net) {
	struct guest guest;
	struct vmx_virtio_net net;
	int tap;
	int peer;
};

FIXTURE_SETUP(net)
{
	static const uint8_t mac[6] = { 2, 3, 4, 5, 6, 7 };
	int sockets[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets));
	self->tap = sockets[0];
	self->peer = sockets[1];
	fcntl(self->peer, F_SETFL, O_NONBLOCK);
	guest_init(&self->guest);
	/* What was there before says nothing. */
	memset(&self->net, 0xee, sizeof(self->net));
	ASSERT_EQ(0, vmx_virtio_net_init(&self->net, &self->guest.machine, self->tap, mac));
	guest_probe(&self->guest, &self->net.virtio);
	guest_start(&self->guest, VERSION_1, 8);
	ASSERT_EQ(0xf, status(&self->guest));
}

FIXTURE_TEARDOWN(net)
{
	vmx_virtio_close(&self->net.virtio);
	guest_free(&self->guest);
	close(self->tap);
	close(self->peer);
}

TEST_F(net, configuration)
{
	struct guest *guest = &self->guest;

	EXPECT_EQ(0x1041, config_in(guest, PCI_DEVICE_ID, 2));
	EXPECT_EQ(0x0001070605040302, in(guest, guest->config, 8));
}

TEST_F(net, frames_out)
{
	struct guest *guest = &self->guest;
	char *bytes = at(guest, DATA), got[2000];

	for (unsigned int n = 0; n < 1514; n++)
		bytes[HEADER + n] = n * 3;
	/* The header apart, then with the frame, then cut. */
	describe(guest, TX, 0, DATA, HEADER, NEXT, 1);
	describe(guest, TX, 1, DATA + HEADER, 1514, 0, 0);
	describe(guest, TX, 2, DATA, HEADER + 100, 0, 0);
	describe(guest, TX, 3, DATA, 5, NEXT, 4);
	describe(guest, TX, 4, DATA + 5, 20, NEXT, 5);
	describe(guest, TX, 5, DATA + 25, 300, 0, 0);
	offer(guest, TX, 0);
	offer(guest, TX, 2);
	offer(guest, TX, 3);
	kick(guest, TX);
	EXPECT_EQ(1514, read(self->peer, got, sizeof(got)));
	EXPECT_EQ(0, memcmp(got, bytes + HEADER, 1514));
	EXPECT_EQ(100, read(self->peer, got, sizeof(got)));
	EXPECT_EQ(313, read(self->peer, got, sizeof(got)));
	EXPECT_EQ(0, memcmp(got, bytes + HEADER, 313));
	EXPECT_EQ(3, self->net.sent);
	/* Too short, and what asks for offloads: lost. */
	describe(guest, TX, 0, DATA, HEADER, 0, 0);
	offer(guest, TX, 0);
	describe(guest, TX, 1, DATA, HEADER + 13, 0, 0);
	offer(guest, TX, 1);
	*(char *)at(guest, DATA + 0x1000) = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	describe(guest, TX, 2, DATA + 0x1000, HEADER + 60, 0, 0);
	offer(guest, TX, 2);
	kick(guest, TX);
	EXPECT_EQ(-1, read(self->peer, got, sizeof(got)));
	EXPECT_EQ(3, self->net.dropped);
	/* A host that takes nothing more does not stop the guest. */
	describe(guest, TX, 0, DATA, HEADER + 1514, 0, 0);
	for (unsigned int n = 0; n < 10000; n++) {
		offer(guest, TX, 0);
		kick(guest, TX);
	}
	EXPECT_EQ(10006, self->net.sent + self->net.dropped);
	EXPECT_LT(3, self->net.dropped);
	EXPECT_EQ(0xf, status(guest));
}

/* Each header is looked at for itself, and nothing else decides. */
TEST_F(net, frames_that_are_sent)
{
	static const struct {
		uint8_t flags, gso;
		unsigned int size;
		bool sent;
	} all[] = {
		{ 0, 0, 14, true }, { VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 14, false },
		{ 0, 0, 14, true }, { 0, VIRTIO_NET_HDR_GSO_TCPV4, 14, false },
		{ 0, 0, VMX_VIRTIO_NET_FRAME, true }, { 0, 0, VMX_VIRTIO_NET_FRAME + 1, false },
		{ 0, 0, 13, false }, { VIRTIO_NET_HDR_F_DATA_VALID, 0, 60, false },
		{ 0, 0, 60, true },
	};
	static char got[VMX_VIRTIO_NET_FRAME];
	struct guest *guest = &self->guest;
	unsigned int sent = 0;

	for (size_t n = 0; n < sizeof(all) / sizeof(all[0]); n++) {
		struct virtio_net_hdr_v1 header = {
			.flags = all[n].flags, .gso_type = all[n].gso, .hdr_len = 0x1234,
		};

		memcpy(at(guest, DATA), &header, sizeof(header));
		memset(at(guest, DATA + HEADER), n + 1, all[n].size);
		describe(guest, TX, 0, DATA, HEADER + all[n].size, 0, 0);
		offer(guest, TX, 0);
		kick(guest, TX);
		EXPECT_EQ(0, used(guest, TX, NULL));
		sent += all[n].sent;
		EXPECT_EQ(sent, self->net.sent) TH_LOG("%zu", n);
		EXPECT_EQ(n + 1 - sent, self->net.dropped);
		EXPECT_EQ(all[n].sent ? (int)all[n].size : -1,
			  read(self->peer, got, sizeof(got)));
		EXPECT_TRUE(!all[n].sent || (got[0] == (char)(n + 1) &&
					     got[all[n].size - 1] == (char)(n + 1)));
	}
}

TEST_F(net, frames_in)
{
	struct guest *guest = &self->guest;
	char frame[1514];

	for (unsigned int n = 0; n < sizeof(frame); n++)
		frame[n] = n * 5;
	EXPECT_FALSE(vmx_virtio_net_wants_input(&self->net));
	ASSERT_EQ(1514, write(self->peer, frame, 1514));
	ASSERT_EQ(60, write(self->peer, frame, 60));
	vmx_virtio_net_poll(&self->net);
	EXPECT_EQ(-1, used(guest, RX, NULL));
	/* The header apart; all in one. */
	memset(at(guest, DATA), 0xff, 0x4000);
	describe(guest, RX, 0, DATA, HEADER, WRITE | NEXT, 1);
	describe(guest, RX, 1, DATA + 0x1000, 2000, WRITE, 0);
	describe(guest, RX, 2, DATA + 0x2000, 2000, WRITE, 0);
	offer(guest, RX, 0);
	offer(guest, RX, 2);
	offer(guest, RX, 2);
	kick(guest, RX);
	EXPECT_EQ(HEADER + 1514, used(guest, RX, NULL));
	EXPECT_EQ(0, memcmp(at(guest, DATA), "\0\0\0\0\0\0\0\0\0\0\1\0", HEADER));
	EXPECT_EQ(0, memcmp(at(guest, DATA + 0x1000), frame, 1514));
	EXPECT_EQ(0, untold(guest, DATA, HEADER));
	EXPECT_EQ(0, untold(guest, DATA + 0x1000, 1514));
	EXPECT_EQ(1, guest->used_then[RX]);
	EXPECT_EQ(HEADER + 60, used(guest, RX, NULL));
	EXPECT_EQ(0, memcmp(at(guest, DATA + 0x2000 + HEADER), frame, 60));
	EXPECT_EQ(-1, used(guest, RX, NULL));
	EXPECT_TRUE(vmx_virtio_net_wants_input(&self->net));
	/* One that is too large for a buffer is lost; the next is not. */
	describe(guest, RX, 2, DATA + 0x2000, 100, WRITE, 0);
	ASSERT_EQ(89, write(self->peer, frame, 89));
	ASSERT_EQ(88, write(self->peer, frame, 88));
	vmx_virtio_net_poll(&self->net);
	EXPECT_EQ(100, used(guest, RX, NULL));
	EXPECT_EQ(1, self->net.dropped);
	EXPECT_EQ(3, self->net.received);
	/* The header in pieces. */
	memset(at(guest, DATA), 0xff, 0x4000);
	describe(guest, RX, 0, DATA, 4, WRITE | NEXT, 1);
	describe(guest, RX, 1, DATA + 0x100, 4, WRITE | NEXT, 2);
	describe(guest, RX, 2, DATA + 0x200, HEADER - 8, WRITE | NEXT, 3);
	describe(guest, RX, 3, DATA + 0x300, 100, WRITE, 0);
	offer(guest, RX, 0);
	kick(guest, RX);
	ASSERT_EQ(60, write(self->peer, frame, 60));
	vmx_virtio_net_poll(&self->net);
	EXPECT_EQ(HEADER + 60, used(guest, RX, NULL));
	EXPECT_EQ(0, memcmp(at(guest, DATA), "\0\0\0\0\377", 5));
	EXPECT_EQ(0, memcmp(at(guest, DATA + 0x100), "\0\0\0\0\377", 5));
	EXPECT_EQ(0, memcmp(at(guest, DATA + 0x200), "\0\0\1\0\377", 5));
	EXPECT_EQ(0, memcmp(at(guest, DATA + 0x300), frame, 60));
}

TEST_F(net, buffers_are_merged)
{
	struct guest *guest = &self->guest;
	char frame[1000], got[1000];

	guest_start(guest, VERSION_1 | EVENT_IDX | 1ull << VIRTIO_NET_F_MRG_RXBUF, 8);
	for (unsigned int n = 0; n < sizeof(frame); n++)
		frame[n] = n * 11;
	for (unsigned int n = 0; n < 8; n++)
		describe(guest, RX, n, DATA + 0x1000 * n, 300, WRITE, 0);
	/* Too few: it waits. */
	for (unsigned int n = 0; n < 3; n++)
		offer(guest, RX, n);
	ASSERT_EQ(1000, write(self->peer, frame, 1000));
	vmx_virtio_net_poll(&self->net);
	EXPECT_EQ(-1, used(guest, RX, NULL));
	EXPECT_FALSE(vmx_virtio_net_wants_input(&self->net));
	/* And asks to be told of the next. */
	EXPECT_EQ(3, device_area(guest, RX)[2 + 4 * 8]);
	offer(guest, RX, 3);
	kick(guest, RX);
	EXPECT_EQ(4, *((char *)at(guest, DATA) + 10));
	/* All of it is told of before the driver hears of any. */
	EXPECT_EQ(0, guest->used_then[RX]);
	for (unsigned int n = 0, done = 0; n < 4; n++) {
		unsigned int skip = n ? 0 : HEADER, size = n == 3 ? 1000 - done : 300 - skip;

		EXPECT_EQ(size + skip, used(guest, RX, NULL));
		EXPECT_EQ(0, untold(guest, DATA + 0x1000 * n, size + skip));
		memcpy(got + done, (char *)at(guest, DATA + 0x1000 * n) + skip, size);
		done += size;
	}
	EXPECT_EQ(0, memcmp(frame, got, 1000));
	/* More than all buffers together is lost. */
	for (unsigned int n = 0; n < 8; n++) {
		describe(guest, RX, n, DATA + 0x1000 * n, 100, WRITE, 0);
		offer(guest, RX, n);
	}
	ASSERT_EQ(1000, write(self->peer, frame, 1000));
	ASSERT_EQ(50, write(self->peer, frame, 50));
	vmx_virtio_net_poll(&self->net);
	/* So much work in vain is enough for one turn. */
	EXPECT_EQ(-1, used(guest, RX, NULL));
	guest->now = 1000;
	vmx_clock_expire(&guest->clock);
	EXPECT_EQ(62, used(guest, RX, NULL));
	EXPECT_EQ(1, self->net.dropped);
}

/*
 * More frames than buffers, to a driver that notifies only when it is asked to (virtio 1.2, Driver
 * notifications): it hears of every new buffer when there was none.
 */
TEST_F(net, burst)
{
	struct guest *guest = &self->guest;
	struct driver_queue *queue = &guest->queues[RX];
	unsigned int got = 0, sent = 0;
	uint16_t was;
	char frame[60] = { 0 };

	guest_start(guest, VERSION_1 | EVENT_IDX, 8);
	for (unsigned int n = 0; n < 8; n++)
		describe(guest, RX, n, DATA + 0x1000 * n, 2000, WRITE, 0);
	for (unsigned int round = 0; round < 40; round++) {
		if (round < 20) {
			for (unsigned int n = 0; n < 10; n++)
				sent += write(self->peer, frame, sizeof(frame)) == sizeof(frame);
			vmx_virtio_net_poll(&self->net);
		}
		while (used(guest, RX, NULL) >= 0)
			got++;
		/* A driver makes room for as many as it can, then decides whether to notify. */
		was = queue->offered;
		while ((uint16_t)(queue->offered - queue->seen) < 8)
			offer(guest, RX, queue->offered % 8);
		if (vring_need_event(device_area(guest, RX)[2 + 4 * 8], queue->offered, was))
			kick(guest, RX);
	}
	EXPECT_EQ(200, sent);
	EXPECT_EQ(sent, got);
}

/* The guest goes on without. */
TEST_F(net, the_host_s_device_vanishes)
{
	struct guest *guest = &self->guest;

	describe(guest, RX, 0, DATA, 2000, WRITE, 0);
	offer(guest, RX, 0);
	EXPECT_EQ(VIRTIO_NET_S_LINK_UP, in(guest, guest->config + 6, 2));
	EXPECT_EQ(0, in(guest, guest->isr, 1));
	shutdown(self->peer, SHUT_WR);
	for (unsigned int n = 0; n < 3; n++)
		vmx_virtio_net_poll(&self->net);
	EXPECT_EQ(0, in(guest, guest->config + 6, 2));
	EXPECT_EQ(2, in(guest, guest->isr, 1));
	EXPECT_EQ(1, guest->reports);
	EXPECT_EQ(-1, used(guest, RX, NULL));
	describe(guest, TX, 0, DATA, HEADER + 60, 0, 0);
	offer(guest, TX, 0);
	kick(guest, TX);
	EXPECT_EQ(0, used(guest, TX, NULL));
	EXPECT_EQ(0xf, status(guest));
}

TEST_F(net, bad_buffers)
{
	struct guest *guest = &self->guest;
	char frame[100] = { 0 };

	describe(guest, TX, 0, DATA, HEADER - 1, 0, 0);
	offer(guest, TX, 0);
	kick(guest, TX);
	EXPECT_TRUE(needs_reset(guest));
	guest_start(guest, VERSION_1, 8);
	describe(guest, TX, 0, DATA, 100, NEXT, 1);
	describe(guest, TX, 1, DATA + 100, 100, WRITE, 0);
	offer(guest, TX, 0);
	kick(guest, TX);
	EXPECT_TRUE(needs_reset(guest));
	for (unsigned int flags = 0; flags <= WRITE; flags += WRITE) {
		guest_start(guest, VERSION_1, 8);
		describe(guest, RX, 0, DATA, flags ? HEADER - 1 : 100, flags, 0);
		offer(guest, RX, 0);
		ASSERT_EQ(100, write(self->peer, frame, 100));
		kick(guest, RX);
		EXPECT_TRUE(needs_reset(guest));
	}
	/* A frame for the driver that is gone is not the next one's. */
	EXPECT_EQ(100, self->net.frame_size);
	guest_start(guest, VERSION_1, 8);
	EXPECT_EQ(0, self->net.frame_size);
}

TEST_HARNESS_MAIN
