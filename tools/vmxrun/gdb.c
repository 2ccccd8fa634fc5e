// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * gdb connects to a socket. The guest waits for the first connection and runs freely after its end;
 * then another gdb may connect.
 */
#define _GNU_SOURCE	/* accept4() */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libvmx/debugger.h>

#include "vmxrun.h"

static struct vmx_debugger debugger;
static struct vmx_gdb gdb;
static pthread_t server;
static bool wide;

static int listener = -1;
static int connection = -1;
static bool broken;		/* the connection, by what could not be sent */
static int events = -1;		/* eventfd: vCPUs are stopping, or the machine has ended */

static struct {
	bool yes;
	uint8_t status;
} ended;

/* Sockets */

/* HOST:PORT; the host defaults to this computer, since anyone who connects controls the guest. */
static int listen_tcp(const char *address)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found;
	char host[256] = "127.0.0.1";
	const char *colon = strrchr(address, ':');
	int error, fd;

	if (!colon || !colon[1] || colon - address >= (long)sizeof(host))
		fail("--gdb %s: not an address (examples: :1234, 192.168.7.1:1234, unix:/tmp/gdb)",
		     address);
	if (colon > address) {
		memcpy(host, address, colon - address);
		host[colon - address] = '\0';
	}
	error = getaddrinfo(host, colon + 1, &hints, &found);
	if (error)
		fail("--gdb %s: %s", address, gai_strerror(error));
	fd = socket_listen(found->ai_family, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return fd;
}

/* Between gdb and the stub */

/* Never waits for a gdb that does not read. */
static void send_to_gdb(void *host __attribute__((unused)), const void *bytes, size_t length)
{
	if (send(connection, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length)
		broken = true;
}

static void note_event(void *host __attribute__((unused)))
{
	uint64_t one = 1;

	if (write(events, &one, sizeof(one)) != sizeof(one))
		broken = true;
}

static void take_event(void)
{
	struct vmx_gdb_stop stop;
	uint64_t count;
	int ret;

	if (read(events, &count, sizeof(count)) != sizeof(count))
		return;
	if (ended.yes) {
		vmx_gdb_ended(&gdb, ended.status);
		return;
	}
	if (!gdb.running)
		return;
	ret = vmx_debugger_wait(&debugger, &stop);
	if (!ret)
		vmx_gdb_stopped(&gdb, &stop);
	else if (ret != -ESHUTDOWN && ret != -EAGAIN)
		fail("gdb: %s", vmx_error());
}

/* Returns false if gdb is gone. */
static bool take_bytes(void)
{
	char bytes[4096];
	ssize_t got = read(connection, bytes, sizeof(bytes));

	if (got < 0 && errno == EINTR)
		return true;
	return got > 0 && vmx_gdb_receive(&gdb, bytes, got);
}

static void serve_connection(void)
{
	struct pollfd watched[] = {
		{ .fd = connection, .events = POLLIN }, { .fd = events, .events = POLLIN },
	};
	bool here = true;

	while (here && !broken && !gdb.gone) {
		if (poll(watched, 2, -1) < 0)
			continue;
		if (watched[1].revents)
			take_event();
		if (watched[0].revents)
			here = take_bytes();
	}
}

/* The guest is stopped while gdb is connected. */
static void serve(void)
{
	struct vmx_gdb_config config = {
		.target = vmx_debugger_target(), .context = &debugger,
		.cpus = machine.config.cpus, .wide = wide, .send = send_to_gdb,
	};
	struct vmx_gdb_stop stop;
	uint64_t efer;

	broken = false;
	if (vmx_debugger_wait(&debugger, &stop))
		return;
	/* By now it may run other code than its file has. */
	if (!vmx_field_get(machine.cpus[0].vcpu.vmcs, VMX_F_GUEST_EFER, &efer) && efer & 1 << 10)
		config.wide = true;
	vmx_gdb_init(&gdb, &config);
	serve_connection();
}

static void *run_server(void *arg __attribute__((unused)))
{
	bool first = true;

	while (!ended.yes) {
		struct pollfd watched[] = {
			{ .fd = listener, .events = POLLIN }, { .fd = events, .events = POLLIN },
		};
		uint64_t count;

		if (poll(watched, 2, -1) < 0)
			continue;
		if (watched[1].revents && read(events, &count, sizeof(count)) < 0)
			continue;
		if (!watched[0].revents)
			continue;
		connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (connection < 0)
			continue;
		if (!first)
			vmx_debugger_init(&debugger, &machine, note_event, NULL);
		first = false;
		serve();
		close(connection);
		vmx_debugger_detach(&debugger);
	}
	return NULL;
}

void gdb_listen(const char *address)
{
	if (strncmp(address, "unix:", 5))
		listener = listen_tcp(address);
	else
		listener = socket_listen_unix("--gdb", address + 5);
	events = eventfd(0, EFD_CLOEXEC);
	if (listener < 0 || events < 0)
		fail("--gdb %s: %s", address, strerror(errno));
}

void gdb_start(const char *address, bool wide_kernel)
{
	wide = wide_kernel;
	vmx_debugger_init(&debugger, &machine, note_event, NULL);
	if (pthread_create(&server, NULL, run_server, NULL))
		fail("cannot start a thread for gdb");
	fprintf(stderr, "vmxrun: the guest waits for gdb; connect with: target remote %s\n",
		strncmp(address, "unix:", 5) ? address : address + 5);
}

void gdb_end(int status)
{
	ended.yes = true;
	ended.status = status;
	note_event(NULL);
	pthread_join(server, NULL);
}
