// SPDX-License-Identifier: LGPL-2.1-or-later
/* vmxrun: boots a kernel in a machine with a console, disks and network cards. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmxrun.h"

struct vmx_machine machine;
pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

/* Kernel, command line and initrd, for each start of the machine. */
static struct vmx_boot image;

void fail(const char *format, ...)
{
	va_list args;

	fputs("vmxrun: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(STATUS_ERROR);
}

bool somebody_listens(void)
{
	struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&fd, 1, 0) == 1;
}

static const void *map_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat stat;
	void *data;

	if (fd < 0 || fstat(fd, &stat))
		fail("%s: %s", path, strerror(errno));
	if (!stat.st_size)
		fail("%s: the file is empty", path);
	data = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		fail("%s: %s", path, strerror(errno));
	close(fd);
	*size = stat.st_size;
	return data;
}

static void map_image(const struct options *options)
{
	static struct vmx_module initrd;

	image.command_line = options->append;
	image.kernel = map_file(options->kernel, &image.kernel_size);
	if (options->initrd) {
		initrd.data = map_file(options->initrd, &initrd.size);
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

static void make_machine(const struct options *options)
{
	if (vmx_machine_init(&machine, &options->machine))
		fail("%s", vmx_error());
	disks_plug();
	nets_plug();
	if (options->virtio_console)
		console_plug_virtio();
	boot();
}

/*
 * A reset makes a new machine, so that no device needs code to forget its state. Returns false if
 * the user stopped the machine meanwhile.
 */
static bool reset(const struct options *options)
{
	bool stopped;

	pthread_mutex_lock(&making);
	stopped = console_stopped();
	if (!stopped) {
		vmx_machine_free(&machine);
		make_machine(options);
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
		stats_add();
		/* gdb keeps breakpoints in memory, which the next machine would not have. */
		if (end != VMX_END_RESET || options->no_reboot || options->gdb)
			return end;
		if (!reset(options))
			return VMX_END_STOPPED;
	}
}

static int status_of(enum vmx_end end)
{
	switch (end) {
	case VMX_END_POWER_OFF:
		return STATUS_OFF;
	case VMX_END_RESET:
		return STATUS_RESET;
	case VMX_END_EXIT:
		return (machine.status * 2 + 1) & 0xff;
	case VMX_END_STOPPED:
		return console_status();
	case VMX_END_TRIPLE_FAULT:
		fprintf(stderr, "vmxrun: triple fault: %s\n", machine.why);
		return STATUS_TRIPLE_FAULT;
	default:
		fprintf(stderr, "vmxrun: %s\n", machine.why);
		return STATUS_ERROR;
	}
}

int main(int argc, char **argv)
{
	struct options options = { .machine = { .memory = 256 << 20, .cpus = 1 } };
	enum vmx_end end;
	int status;

	options_parse(&options, argc, argv);
	if (options.gdb)
		gdb_listen(options.gdb);
	console_init(&options.machine);
	if (options.trace)
		trace_start(&options.machine, options.trace_file);
	map_image(&options);
	make_machine(&options);
	if (options.gdb)
		gdb_start(options.gdb, is_wide(&image));
	console_start();
	end = run(&options);
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
