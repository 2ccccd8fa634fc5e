// SPDX-License-Identifier: GPL-2.0
/*
 * A machine with a card moves from one TAP device to another, and tells the network so.
 * needs: kernel=debian-6.12
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <linux/if_tun.h>

#include "lib/move_fixture.h"

#define MAC	"02:00:00:00:07:02"

static const unsigned char mac[] = { 2, 0, 0, 0, 7, 2 };

/* A TAP device that stays, and is up. */
static bool make_tap(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR), family = socket(AF_INET, SOCK_DGRAM, 0);
	bool good;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	good = !ioctl(fd, TUNSETIFF, &request) && !ioctl(fd, TUNSETPERSIST, 1);
	request.ifr_flags = IFF_UP;
	good = good && !ioctl(family, SIOCSIFFLAGS, &request);
	close(family);
	close(fd);
	return good;
}

/* What comes out of a device by reverse ARP. */
static int listen_to(const char *name)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE_REVARP),
		.sll_ifindex = if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETHERTYPE_REVARP));

	return fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof(at)) ? fd : -1;
}

TEST_F(vmxrun, the_network_hears_where_the_machine_is)
{
	/* RFC 903: a request to everybody, whose sender and target are the card. */
	static const unsigned char start[] = { 0, 1, 8, 0, 6, 4, 0, 3 };
	unsigned char frame[100];
	struct pollfd event = { .events = POLLIN };
	int old;

	EXPECT_EQ(0, system("modprobe tun; mkdir -p /dev/net"));
	mknod("/dev/net/tun", S_IFCHR | 0600, makedev(10, 200));
	ASSERT_TRUE(make_tap("here0"));
	ASSERT_TRUE(make_tap("there0"));
	old = listen_to("here0");
	event.fd = listen_to("there0");
	ASSERT_LE(0, event.fd);
	setenv("XDG_RUNTIME_DIR", self->folder, 1);
	START(stamper, OPTIONS("--name", "here", "--net", "tap=here0,mac=" MAC));
	ASSERT_TRUE(heard(self, "R"));
	start_target(self, OPTIONS("--net", "tap=there0,mac=" MAC));
	ASSERT_TRUE(is_there(self, "line"));
	EXPECT_COMMAND(0, "vmxctl migrate here unix:line");
	ASSERT_EQ(1, poll(&event, 1, PATIENCE * 1000));
	ASSERT_EQ(60, recv(event.fd, frame, sizeof(frame), 0));
	EXPECT_EQ(0, memcmp(frame, "\xff\xff\xff\xff\xff\xff", 6));
	EXPECT_EQ(0, memcmp(frame + 6, mac, 6));
	EXPECT_EQ(0, memcmp(frame + 14, start, sizeof(start)));
	EXPECT_EQ(0, memcmp(frame + 22, mac, 6));
	EXPECT_EQ(0, memcmp(frame + 32, mac, 6));
	/* Once, and not where it was. */
	EXPECT_STATUS(120);
	EXPECT_EQ(-1, recv(event.fd, frame, sizeof(frame), MSG_DONTWAIT));
	EXPECT_EQ(-1, recv(old, frame, sizeof(frame), MSG_DONTWAIT));
	EXPECT_EQ(1, end_target());
}

VMX_TEST_MAIN
