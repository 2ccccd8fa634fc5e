// SPDX-License-Identifier: LGPL-2.1-or-later
/* vmxrun: boots a kernel in a machine with a console and disks. */
#include <errno.h>
#include <fcntl.h>
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

static const void *map_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat stat;
	void *data;

	if (fd < 0 || fstat(fd, &stat))
		fail("%s: %s", path, strerror(errno));
	if (!stat.st_size)
		fail("%s: is empty", path);
	data = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		fail("%s: %s", path, strerror(errno));
	close(fd);
	*size = stat.st_size;
	return data;
}

static void boot(const struct options *options)
{
	struct vmx_module initrd = {};
	struct vmx_boot boot = { .command_line = options->append };
	uint8_t seed[32];

	boot.kernel = map_file(options->kernel, &boot.kernel_size);
	if (options->initrd) {
		initrd.data = map_file(options->initrd, &initrd.size);
		boot.modules = &initrd;
		boot.module_count = 1;
	}
	if (getrandom(seed, sizeof(seed), 0) == sizeof(seed)) {
		boot.seed = seed;
		boot.seed_size = sizeof(seed);
	}
	if (vmx_machine_boot(&machine, &boot))
		fail("%s", vmx_error());
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
	int status;

	options_parse(&options, argc, argv);
	console_init(&options.machine);
	if (options.trace)
		trace_start(&options.machine, options.trace_file);
	if (vmx_machine_init(&machine, &options.machine))
		fail("%s", vmx_error());
	disks_plug();
	if (options.virtio_console)
		console_plug_virtio();
	boot(&options);
	console_start();
	status = status_of(vmx_machine_run(&machine));
	if (!disks_flush())
		status = STATUS_ERROR;
	if (options.trace)
		trace_end();
	if (options.stats)
		stats_print();
	return status;
}
