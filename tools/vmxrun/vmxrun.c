// SPDX-License-Identifier: LGPL-2.1-or-later
/* vmxrun: runs a kernel, or a saved machine, with a console, disks and network cards. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmxrun.h"

#define PAGE	4096

struct vmx_machine machine;
pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

/* Kernel, command line and initrd, for each start of the machine. */
static struct vmx_boot image;

void fail(const char *format, ...)
{
	struct sentence why;
	va_list args;

	fputs("vmxrun: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	va_start(args, format);
	vsnprintf(why.text, sizeof(why.text), format, args);
	va_end(args);
	incoming_refuse(&why);
	exit(STATUS_ERROR);
}

void sentence_is(struct sentence *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
}

bool somebody_listens(void)
{
	struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&fd, 1, 0) == 1;
}

/*
 * Every reset boots it again, whatever became of the file. Pipes have no size, so there is more
 * room as long as more comes.
 */
static const void *read_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t room = 0;
	char *data = NULL;
	struct stat stat;
	ssize_t got = 1;

	if (fd < 0 || fstat(fd, &stat))
		fail("%s: %s", path, strerror(errno));
	for (*size = 0; got; *size += got) {
		if (*size == room) {
			room = room ? 2 * room : (size_t)stat.st_size + PAGE;
			data = realloc(data, room);
			if (!data)
				fail("%s: no memory for %zu bytes", path, room);
		}
		got = read(fd, data + *size, room - *size);
		if (got < 0)
			fail("%s: %s", path, strerror(errno));
	}
	close(fd);
	if (!*size)
		fail("%s: the file is empty", path);
	return data;
}

static void read_image(const struct options *options)
{
	static struct vmx_module initrd;

	image.command_line = options->append;
	image.kernel = read_file(options->kernel, &image.kernel_size);
	if (options->initrd) {
		initrd.data = read_file(options->initrd, &initrd.size);
		image.modules = &initrd;
		image.module_count = 1;
	}
}

/* Is the kernel a 64-bit one? Every kernel is, except 32-bit ELF files. */
static bool is_wide(const struct vmx_boot *boot)
{
	const unsigned char *ident = boot->kernel;

	return memcmp(ident, ELFMAG, SELFMAG) || ident[EI_CLASS] != ELFCLASS32;
}

static void boot(void)
{
	struct vmx_boot boot = image;
	uint8_t seed[32];

	if (getrandom(seed, sizeof(seed), 0) == sizeof(seed)) {
		boot.seed = seed;
		boot.seed_size = sizeof(seed);
	}
	if (vmx_machine_boot(&machine, &boot))
		fail("%s", vmx_error());
}

static void begin(void *host __attribute__((unused)), const struct vmx_cpu *cpu)
{
	pins_apply(cpu);
}

static bool virtio_console;
static bool made;

bool machine_is_made(void)
{
	return made;
}

void machine_make(const struct vmx_machine_config *config)
{
	if (vmx_machine_init(&machine, config))
		fail("%s", vmx_error());
	disks_plug();
	nets_plug();
	if (virtio_console)
		console_plug_virtio();
	made = true;
}

void machine_forget(void)
{
	vmx_machine_stop(&machine, VMX_END_STOPPED);
	disks_unplug();
	nets_unplug();
	vmx_machine_free(&machine);
	made = false;
}

static void make_machine(const struct options *options)
{
	machine_make(&options->machine);
	if (!snapshot_restore())
		boot();
}

/* Threads other than the machine's own that use it, and what tells that there is none. */
static unsigned int holders;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static unsigned int restarts;

void machine_hold(void)
{
	pthread_mutex_lock(&making);
	holders++;
	pthread_mutex_unlock(&making);
}

void machine_release(void)
{
	pthread_mutex_lock(&making);
	if (!--holders)
		pthread_cond_broadcast(&released);
	pthread_mutex_unlock(&making);
}

unsigned int machine_restarts(void)
{
	return restarts;
}

/*
 * A reset makes a new machine, so that no device needs code to forget its state. Returns false if
 * the user stopped the machine meanwhile.
 */
static bool reset(const struct options *options)
{
	bool stopped;

	pthread_mutex_lock(&making);
	while (holders)
		pthread_cond_wait(&released, &making);
	stopped = console_stopped();
	if (!stopped) {
		stats_add();
		vmx_machine_free(&machine);
		make_machine(options);
		restarts++;
	}
	pthread_mutex_unlock(&making);
	return !stopped;
}

static enum vmx_end run(const struct options *options)
{
	for (;;) {
		enum vmx_end end = vmx_machine_run(&machine);

		disks_unplug();
		nets_unplug();
		/* gdb keeps breakpoints in memory, which the next machine would not have. */
		if (end != VMX_END_RESET || options->no_reboot || options->gdb)
			return end;
		if (!reset(options))
			return VMX_END_STOPPED;
	}
}

/* Values of the guest have statuses of their own as far as there are any. */
static int exit_port_status(uint32_t value)
{
	if (value <= STATUS_PORT_LAST)
		return value * 2 + 1;
	fprintf(stderr,
		"vmxrun: the guest wrote %u to the exit port: only 0 to %d have an exit status\n",
		value, STATUS_PORT_LAST);
	return STATUS_PORT_OTHER;
}

static int status_of(enum vmx_end end)
{
	switch (end) {
	case VMX_END_POWER_OFF:
		return STATUS_OFF;
	case VMX_END_RESET:
		return STATUS_RESET;
	case VMX_END_EXIT:
		return exit_port_status(machine.status);
	case VMX_END_STOPPED:
		return console_status();
	case VMX_END_TRIPLE_FAULT:
		fprintf(stderr, "vmxrun: triple fault: %s\n", machine.why);
		return STATUS_TRIPLE_FAULT;
	default:
		fprintf(stderr, "vmxrun: %s\n", machine.why);
		snapshot_explain();
		return STATUS_ERROR;
	}
}

int main(int argc, char **argv)
{
	struct options options = {
		.machine = { .memory = 256 << 20, .cpus = 1, .begin = begin },
	};
	struct sentence why;
	enum vmx_end end;
	int status;

	/* The lab sets this for Bochs: see struct vmx_machine_config. */
	options.machine.short_stays = getenv("VMXRUN_SHORT_STAYS");
	options_parse(&options, argc, argv);
	if (options.check) {
		snapshot_check(options.check);
		return STATUS_OFF;
	}
	if (options.gdb)
		gdb_listen(options.gdb);
	if (options.api || options.name)
		control_listen(options.api, options.name);
	/* Before the console handles signals: pipes may block for ever. */
	if (options.kernel)
		read_image(&options);
	if (options.restore)
		snapshot_open(options.restore, &options.machine);
	if (options.incoming)
		incoming_begin(&options);
	else if (disks_lock(&why))
		fail("%s", why.text);
	if (!options.incoming)
		pins_check(options.machine.cpus);
	virtio_console = options.virtio_console;
	if (options.trace_file)
		trace_open(options.trace_file);
	console_init(&options.machine);
	if (options.trace)
		trace_start(&options.machine);
	if (!options.incoming)
		make_machine(&options);
	if (options.gdb)
		gdb_start(options.gdb, !image.kernel || is_wide(&image));
	console_start();
	if (options.api || options.name)
		control_start();
	if (options.incoming) {
		incoming_receive(&options);
		incoming_finish();
	}
	end = run(&options);
	if (options.api || options.name)
		control_end();
	stats_add();
	console_end();
	status = status_of(end);
	if (options.gdb)
		gdb_end(status);
	if (!disks_flush())
		status = STATUS_ERROR;
	if (options.trace)
		trace_end();
	if (options.stats)
		stats_print();
	return status;
}
