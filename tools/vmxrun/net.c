// SPDX-License-Identifier: LGPL-2.1-or-later
/* Network cards on TAP devices of the host. A thread waits for frames for the guest. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_tun.h>

#include "../api/api.h"
#include "vmxrun.h"

static struct net {
	const char *tap;
	uint8_t mac[6];
	int fd;
	struct vmx_virtio_net net;
} nets[NETS];
static unsigned int net_count;

static pthread_t listener;
static int listening = -1;

static int open_tap(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	const char *way_out = "";

	if (fd < 0)
		fail("--net tap=%s: /dev/net/tun: %s; 'modprobe tun' may help", name,
		     strerror(errno));
	if (!*name || strlen(name) >= sizeof(request.ifr_name))
		fail("--net tap=%s: the name must have 1 to %zu characters", name,
		     sizeof(request.ifr_name) - 1);
	memcpy(request.ifr_name, name, strlen(name));
	if (!ioctl(fd, TUNSETIFF, &request))
		return fd;
	if (errno == EPERM)
		way_out = "; create it as root: 'ip tuntap add NAME mode tap user USER'";
	if (errno == EBUSY)
		way_out = "; another program uses it";
	fail("--net tap=%s: %s%s", name, strerror(errno), way_out);
}

/* One of its own, locally administered, that stays the same while vmxrun does. */
static void make_mac(uint8_t *mac)
{
	if (getrandom(mac, 6, 0) != 6)
		fail("cannot get random numbers: %s", strerror(errno));
	mac[0] = (mac[0] & ~1) | 2;
}

static void parse_mac(const char *text, uint8_t *mac)
{
	int end = 0;

	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2],
		   &mac[3], &mac[4], &mac[5], &end) != 6 || text[end] || mac[0] & 1)
		fail("--net: mac=%s: not the address of a card (example: 02:00:00:00:00:01)", text);
}

void nets_add(char *argument)
{
	struct net *net = &nets[net_count];
	char *mac;

	if (net_count == NETS)
		fail("--net %s: the machine takes at most %d cards", argument, NETS);
	if (strncmp(argument, "tap=", 4))
		fail("--net %s: give tap=NAME or tap=NAME,mac=ADDRESS", argument);
	net->tap = argument + 4;
	mac = strchr(argument, ',');
	if (mac)
		*mac++ = '\0';
	if (!mac)
		make_mac(net->mac);
	else if (!strncmp(mac, "mac=", 4))
		parse_mac(mac + 4, net->mac);
	else
		fail("--net %s: unknown setting '%s'; give mac=ADDRESS", argument, mac);
	net->fd = open_tap(net->tap);
	net_count++;
}

unsigned int nets_count(void)
{
	return net_count;
}

void nets_describe(unsigned int n, struct api_device *device)
{
	const struct vmx_virtio_net *net = &nets[n].net;

	*device = (struct api_device){
		.kind = "virtio-net", .name = nets[n].tap,
		.counters = {
			{ "frames_received", net->received }, { "frames_sent", net->sent },
			{ "frames_dropped", net->dropped },
		},
	};
}

/*
 * Every new frame wakes the thread once. A frame that finds no buffer waits until the guest adds
 * one, so the thread never polls.
 */
static void *hear(void *arg __attribute__((unused)))
{
	struct epoll_event event;

	for (;;) {
		if (epoll_wait(listening, &event, 1, -1) != 1)
			continue;
		if (!event.data.ptr)
			return NULL;
		pthread_mutex_lock(&machine.lock);
		if (vmx_machine_wait_running(&machine))
			vmx_virtio_net_poll(event.data.ptr);
		pthread_mutex_unlock(&machine.lock);
	}
}

static void listen_to(int fd, void *net)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = net };

	if (epoll_ctl(listening, EPOLL_CTL_ADD, fd, &event))
		fail("--net: cannot wait for frames: %s", strerror(errno));
}

/*
 * A reverse ARP request from the card's address (RFC 903), to everybody: switches learn from it
 * behind which of their ports the machine is.
 */
void nets_announce(void)
{
	for (unsigned int n = 0; n < net_count; n++) {
		const struct net *net = &nets[n];
		uint8_t frame[60] = {
			[12] = 0x80, 0x35,	/* reverse ARP */
			0, 1, 8, 0, 6, 4,	/* of Ethernet and IPv4 */
			0, 3,			/* a request */
		};

		memset(frame, 0xff, 6);
		memcpy(frame + 6, net->mac, 6);
		memcpy(frame + 22, net->mac, 6);
		memcpy(frame + 32, net->mac, 6);
		if (write(net->fd, frame, sizeof(frame)) < 0)
			fprintf(stderr, "vmxrun: --net tap=%s: the network is not told: %s\n",
				net->tap, strerror(errno));
	}
}

static void plug(struct net *net)
{
	struct vmx_virtio_machine virtio = vmx_machine_virtio(&machine);

	if (vmx_virtio_net_init(&net->net, &virtio, net->fd, net->mac))
		fail("--net tap=%s: %s", net->tap, vmx_error());
	net->net.virtio.pci.name = net->tap;
	if (vmx_machine_add(&machine, &net->net.virtio.pci) < 0)
		fail("--net tap=%s: %s", net->tap, vmx_error());
	listen_to(net->fd, &net->net);
}

void nets_plug(void)
{
	if (!net_count)
		return;
	listening = epoll_create1(EPOLL_CLOEXEC);
	if (listening < 0)
		fail("--net: cannot create an epoll instance: %s", strerror(errno));
	for (unsigned int n = 0; n < net_count; n++)
		plug(&nets[n]);
	if (pthread_create(&listener, NULL, hear, NULL))
		fail("cannot start a thread for the network");
}

void nets_unplug(void)
{
	int ends[2];

	if (!net_count)
		return;
	/* The closing of a pipe is an event, too. */
	if (pipe(ends))
		fail("--net: cannot create a pipe: %s", strerror(errno));
	listen_to(ends[0], NULL);
	close(ends[1]);
	pthread_join(listener, NULL);
	close(ends[0]);
	close(listening);
}
