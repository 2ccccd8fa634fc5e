// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The guest's console is standard input and output. A thread reads what is typed and takes signals;
 * what the guest writes is written where it does so, under the machine's lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "vmxrun.h"

#define ESCAPE		0x01	/* Ctrl-A */

/* At once: a pipe or terminal that poll() calls writable takes as much without waiting. */
#define CHUNK		256

static struct vmx_virtio_console console;
static sigset_t signals;

/* What was typed and waits until the guest takes it; under the machine's lock. */
static struct {
	uint8_t bytes[256];
	size_t count;
} typed;

static struct {
	bool may_wait;		/* it is no file */
	int stop;		/* eventfd: nobody waits for the reader any more */
	int error;		/* why nothing is written any more */
	bool lost;		/* it was said that something was lost */
} output = { .stop = -1 };

/* eventfd: something happened to the console while the machine's lock was held. */
static int wake;
static bool stopped;
static int status = STATUS_STOPPED;

static void signal_event(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		fail("an eventfd does not work: %s", strerror(errno));
}

/* Ends the machine, whatever it waits for here. */
static void stop(int with)
{
	stopped = true;
	status = with;
	signal_event(output.stop);
	vmx_machine_stop(&machine, VMX_END_STOPPED);
}

bool console_stopped(void)
{
	return stopped;
}

int console_status(void)
{
	return status;
}

/* Output */

/* A reader that does not read holds the guest up, but not those who want to end it. */
static bool may_write(void)
{
	struct pollfd watched[] = {
		{ .fd = STDOUT_FILENO, .events = POLLOUT }, { .fd = output.stop, .events = POLLIN },
	};

	if (output.error)
		return false;
	if (!output.may_wait)
		return true;
	while (poll(watched, 2, -1) < 0 && errno == EINTR)
		;
	return !watched[1].revents;
}

/* Somebody who reads may come back; a reader who is gone is gone for good. */
static void cannot_write(void)
{
	if (errno == EPIPE || errno == EIO) {
		output.error = errno;
		signal_event(wake);
	} else if (!output.lost) {
		output.lost = true;
		fprintf(stderr, "vmxrun: what the guest wrote to its console is lost: %s\n",
			strerror(errno));
	}
}

static void put(const void *bytes, size_t length)
{
	while (length && may_write()) {
		ssize_t done = write(STDOUT_FILENO, bytes, length < CHUNK ? length : CHUNK);

		if (done < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (done < 0) {
			cannot_write();
			return;
		}
		bytes = (const char *)bytes + done;
		length -= done;
	}
}

static void put_byte(void *host __attribute__((unused)), uint8_t byte)
{
	put(&byte, 1);
}

static void put_bytes(void *context __attribute__((unused)), const void *bytes, size_t length)
{
	put(bytes, length);
}

/* Input */

static void take_typed(size_t count)
{
	if (count && typed.count == sizeof(typed.bytes))
		signal_event(wake);
	typed.count -= count;
	memmove(typed.bytes, typed.bytes + count, typed.count);
}

static size_t fetch_typed(void *context __attribute__((unused)), void *bytes, size_t room)
{
	size_t count = room < typed.count ? room : typed.count;

	memcpy(bytes, typed.bytes, count);
	take_typed(count);
	return count;
}

/* Whichever console has no room now asks again when it has. */
static void offer_typed(void *host __attribute__((unused)))
{
	if (console.virtio.pci.host)
		vmx_virtio_console_poll(&console);
	else if (typed.count)
		take_typed(vmx_uart_receive(&machine.com1, typed.bytes, typed.count));
}

static void type(uint8_t byte)
{
	pthread_mutex_lock(&machine.lock);
	if (typed.count < sizeof(typed.bytes))
		typed.bytes[typed.count++] = byte;
	offer_typed(NULL);
	pthread_mutex_unlock(&machine.lock);
}

static bool has_room(void)
{
	bool room;

	pthread_mutex_lock(&machine.lock);
	room = typed.count < sizeof(typed.bytes);
	pthread_mutex_unlock(&machine.lock);
	return room;
}

static void print_keys(void)
{
	fprintf(stderr, "\nvmxrun: Ctrl-A x ends the machine, Ctrl-A Ctrl-A is a Ctrl-A for it, "
		"Ctrl-A h shows this\n");
}

/* The key after Ctrl-A. */
static void do_key(uint8_t key)
{
	if (key == 'x')
		stop(STATUS_STOPPED);
	else if (key == ESCAPE)
		type(key);
	else
		print_keys();
}

/* Returns false at the end of input. */
static bool read_key(void)
{
	static bool escaped;
	uint8_t byte;

	if (read(STDIN_FILENO, &byte, 1) != 1)
		return errno == EAGAIN || errno == EINTR;
	if (escaped)
		do_key(byte);
	else if (byte != ESCAPE)
		type(byte);
	escaped = !escaped && byte == ESCAPE;
	return true;
}

/* Signals and what else ends the machine from here */

static void resize(void)
{
	static struct winsize size;

	if (!console.virtio.pci.host || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		return;
	pthread_mutex_lock(&machine.lock);
	vmx_virtio_console_resize(&console, size.ws_col, size.ws_row);
	pthread_mutex_unlock(&machine.lock);
}

static void take_signal(int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGWINCH:
		resize();
		break;
	case SIGTSTP:
		terminal_suspend();
		break;
	default:
		fprintf(stderr, "vmxrun: %s: the machine is stopped, as if its power failed\n",
			strsignal(info.ssi_signo));
		stop(STATUS_SIGNAL + info.ssi_signo);
	}
}

static void take_wake(void)
{
	uint64_t count;

	if (read(wake, &count, sizeof(count)) != sizeof(count) || !output.error)
		return;
	fprintf(stderr, "vmxrun: the console is closed (%s): the machine is stopped\n",
		strerror(output.error));
	stop(STATUS_ERROR);
}

/* A person may type ahead of a guest that reads nothing, and still end it; others have to wait. */
static void *watch(void *arg __attribute__((unused)))
{
	struct pollfd watched[] = {
		{ .events = POLLIN },
		{ .fd = wake, .events = POLLIN },
		{ .fd = signalfd(-1, &signals, SFD_CLOEXEC), .events = POLLIN },
	};
	bool person = isatty(STDIN_FILENO), open = true;

	pthread_mutex_lock(&making);
	for (;;) {
		watched[0].fd = open && (person || has_room()) ? STDIN_FILENO : -1;
		pthread_mutex_unlock(&making);
		while (poll(watched, 3, -1) < 0)
			;
		pthread_mutex_lock(&making);
		if (watched[2].revents)
			take_signal(watched[2].fd);
		if (watched[1].revents)
			take_wake();
		if (watched[0].revents)
			open = read_key();
	}
	return NULL;
}

/* What a guest's driver did wrong, or what a device could not do for it. */
static void report(void *host __attribute__((unused)), const char *sentence)
{
	fprintf(stderr, "vmxrun: %s\n", sentence);
}

static void block_signals(void)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH };

	sigemptyset(&signals);
	for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++)
		sigaddset(&signals, numbers[n]);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

void console_init(struct vmx_machine_config *config)
{
	struct stat stat;

	block_signals();
	output.may_wait = fstat(STDOUT_FILENO, &stat) || !S_ISREG(stat.st_mode);
	output.stop = eventfd(0, EFD_CLOEXEC);
	wake = eventfd(0, EFD_CLOEXEC);
	if (output.stop < 0 || wake < 0)
		fail("no eventfd: %s", strerror(errno));
	config->send = put_byte;
	config->room = offer_typed;
	config->report = report;
}

void console_plug_virtio(void)
{
	struct vmx_virtio_terminal here = { .output = put_bytes, .input = fetch_typed };
	struct vmx_virtio_machine virtio = vmx_machine_virtio(&machine);

	if (vmx_virtio_console_init(&console, &virtio, &here) ||
	    vmx_machine_add(&machine, &console.virtio.pci) < 0)
		fail("%s", vmx_error());
	resize();
}

void console_start(void)
{
	pthread_t watcher;

	terminal_make_raw();
	if (pthread_create(&watcher, NULL, watch, NULL))
		fail("no thread for the console");
}
