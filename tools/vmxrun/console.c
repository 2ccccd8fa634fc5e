// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The guest's console is standard input and output. A thread reads input and takes signals;
 * the guest's output goes to an outlet.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "vmxrun.h"

#define ESCAPE		0x01	/* Ctrl-A */
#define CHUNK		4096

static struct vmx_virtio_console console;
static sigset_t signals;

/* Input that waits for the guest. The machine's lock protects it. */
static struct {
	uint8_t bytes[256];
	size_t count;
} typed;

static struct outlet *output;
/* eventfd: @typed has room again. */
static int wake;
static bool stopped;
static int status = STATUS_STOPPED;

/* A reader that ignores the last words does not delay it. */
void console_stop(int with)
{
	/* There is nothing to end yet, and whoever sends it keeps it. */
	if (incoming_waits())
		exit(with);
	stopped = true;
	status = with;
	outlets_give_up();
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

/* Other errors may pass, but a closed pipe or terminal does not come back. */
static void cannot_write(int error)
{
	if (error != EPIPE && error != EIO) {
		fprintf(stderr, "vmxrun: console output of the guest is lost: %s\n",
			strerror(error));
		return;
	}
	fprintf(stderr, "vmxrun: the console was closed (%s); the machine stops\n",
		strerror(error));
	pthread_mutex_lock(&making);
	console_stop(STATUS_ERROR);
	pthread_mutex_unlock(&making);
}

static void put_byte(void *host __attribute__((unused)), uint8_t byte)
{
	outlet_put(output, &byte, 1);
}

/* The driver waits for its buffer, however large that is; what is left of it comes again. */
static size_t put_bytes(void *context __attribute__((unused)), const void *bytes, size_t length)
{
	size_t done = 0;

	while (done < length && !outlet_is_full(output)) {
		size_t left = length - done;

		done += outlet_put(output, (const char *)bytes + done, left < CHUNK ? left : CHUNK);
	}
	return done;
}

void console_resume(void)
{
	pthread_mutex_lock(&making);
	pthread_mutex_lock(&machine.lock);
	if (console.virtio.pci.host && !machine.quiet.wanted)
		vmx_virtio_console_poll(&console);
	vmx_machine_wake(&machine);
	pthread_mutex_unlock(&machine.lock);
	pthread_mutex_unlock(&making);
}

/* Input */

static void take_typed(size_t count)
{
	uint64_t one = 1;

	if (count && typed.count == sizeof(typed.bytes) && write(wake, &one, sizeof(one)) < 0)
		fail("an eventfd does not work: %s", strerror(errno));
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

/* Whichever console has no room now asks again when it has, and the machine does after a pause. */
static void offer_typed(void *host __attribute__((unused)))
{
	if (machine.quiet.wanted || incoming_waits())
		return;
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
	fprintf(stderr, "\nvmxrun: Ctrl-A x ends the machine, Ctrl-A Ctrl-A sends it Ctrl-A, "
		"Ctrl-A h prints this help\n");
}

/* The key after Ctrl-A. */
static void do_key(uint8_t key)
{
	if (key == 'x')
		console_stop(STATUS_STOPPED);
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

/* Input has room again. The caller looks after that; only the wake-up matters. */
static void take_wake(void)
{
	uint64_t count;

	if (read(wake, &count, sizeof(count)) < 0)
		fail("an eventfd does not work: %s", strerror(errno));
}

/* A guest that listens gets the chance to shut down, once. */
static bool press_power_button(int number)
{
	static bool pressed;
	bool undecided, leaving;

	if (number != SIGTERM || pressed)
		return false;
	/* Then the guest may go on here, and have heard of it. */
	undecided = migrate_is_undecided();
	pthread_mutex_lock(&machine.lock);
	leaving = !undecided && migrate_is_leaving();
	pressed = !leaving && vmx_power_button(&machine.power);
	pthread_mutex_unlock(&machine.lock);
	if (leaving && somebody_listens())
		fprintf(stderr, "vmxrun: %s: the machine is being moved; ask the other side\n",
			strsignal(number));
	if (pressed && somebody_listens())
		fprintf(stderr,
			"vmxrun: %s: the power button is pressed; the next one stops the machine\n",
			strsignal(number));
	return pressed || leaving;
}

static void stop_by_signal(int number)
{
	if (press_power_button(number))
		return;
	if (somebody_listens())
		fprintf(stderr, "vmxrun: %s: the machine stops, as if its power failed\n",
			strsignal(number));
	console_stop(STATUS_SIGNAL + number);
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
		stop_by_signal(info.ssi_signo);
	}
}

/* A terminal is read even if the guest reads nothing, so that Ctrl-A x works; a pipe waits. */
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

/* Tells the user about a mistake of a guest's driver, or about a failed request. */
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
	block_signals();
	output = outlet_open(STDOUT_FILENO, cannot_write);
	wake = eventfd(0, EFD_CLOEXEC);
	if (wake < 0)
		fail("cannot create an eventfd: %s", strerror(errno));
	config->send = put_byte;
	config->room = offer_typed;
	config->hold = outlets_are_full;
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
		fail("cannot start a thread for the console");
}

void console_end(void)
{
	outlet_close(output);
}
