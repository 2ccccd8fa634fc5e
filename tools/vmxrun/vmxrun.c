// SPDX-License-Identifier: LGPL-2.1-or-later
/* vmxrun: boots a kernel in a machine with a serial console. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <libvmx/machine.h>

/* What tells how the guest ended; with the exit port it is the guest's own. */
enum {
	STATUS_OFF = 0,
	STATUS_ERROR = 125,
	STATUS_TRIPLE_FAULT = 124,
	STATUS_RESET = 123,
	STATUS_STOPPED = 130,
};

#define ESCAPE	0x01	/* Ctrl-A, then x */

static struct vmx_machine machine;
static struct termios terminal;

struct options {
	struct vmx_machine_config machine;
	const char *kernel;
	const char *initrd;
	const char *append;
	bool stats;
};

static const struct option long_options[] = {
	{ "memory", required_argument, NULL, 'm' },
	{ "cpus", required_argument, NULL, 'c' },
	{ "kernel", required_argument, NULL, 'k' },
	{ "initrd", required_argument, NULL, 'i' },
	{ "append", required_argument, NULL, 'a' },
	{ "stats", no_argument, NULL, 's' },
	{ "help", no_argument, NULL, 'h' },
	{}
};

static void print_help(FILE *out)
{
	fprintf(out,
		"usage: vmxrun --kernel FILE [--initrd FILE] [--append TEXT] [--memory SIZE] [--cpus N]\n"
		"\n"
		"Boots a kernel (a Linux bzImage or vmlinux, PVH, Multiboot) with a serial console here.\n"
		"Ctrl-A x ends it.\n"
		"\n"
		"  --memory SIZE   RAM, with M or G; 256M if not given\n"
		"  --cpus N        virtual CPUs; 1 if not given\n"
		"  --kernel FILE   what to boot\n"
		"  --initrd FILE   its initial RAM disk\n"
		"  --append TEXT   its command line\n"
		"  --stats         at the end, what exits there were\n"
		"\n"
		"Exit status: 0 the guest powered off; 123 it asked for a reset; 124 triple fault; 125 an\n"
		"error here; 130 Ctrl-A x; with the exit port (0xf4), value * 2 + 1.\n");
}

static void fail(void)
{
	fprintf(stderr, "vmxrun: %s\n", vmx_error());
	exit(STATUS_ERROR);
}

static uint64_t size_of(const char *text)
{
	char *end;
	uint64_t size = strtoull(text, &end, 0);

	if (*end == 'G' || *end == 'g')
		size <<= 30;
	else if (*end == 'M' || *end == 'm')
		size <<= 20;
	else if (*end)
		size = 0;
	if (!size) {
		fprintf(stderr, "vmxrun: '%s' is no size like 256M or 1G\n", text);
		exit(STATUS_ERROR);
	}
	return size;
}

static void parse(struct options *options, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'm':
			options->machine.memory = size_of(optarg);
			break;
		case 'c':
			options->machine.cpus = atoi(optarg);
			break;
		case 'k':
			options->kernel = optarg;
			break;
		case 'i':
			options->initrd = optarg;
			break;
		case 'a':
			options->append = optarg;
			break;
		case 's':
			options->stats = true;
			break;
		case 'h':
			print_help(stdout);
			exit(0);
		default:
			print_help(stderr);
			exit(STATUS_ERROR);
		}
	}
	if (!options->kernel || optind < argc) {
		print_help(stderr);
		exit(STATUS_ERROR);
	}
}

static const void *map_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat stat;
	void *data = MAP_FAILED;

	if (fd >= 0 && !fstat(fd, &stat) && stat.st_size)
		data = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED) {
		fprintf(stderr, "vmxrun: %s: %s\n", path, errno ? strerror(errno) : "is empty");
		exit(STATUS_ERROR);
	}
	close(fd);
	*size = stat.st_size;
	return data;
}

static void print_byte(void *host __attribute__((unused)), uint8_t byte)
{
	if (write(STDOUT_FILENO, &byte, 1) != 1)
		vmx_uart_print(stderr, byte);
}

static void restore_terminal(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
}

static void make_raw(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &terminal))
		return;
	atexit(restore_terminal);
	raw = terminal;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

/* What is typed goes to the guest; whatever does not fit now is offered again. */
static void *feed(void *arg __attribute__((unused)))
{
	bool escaped = false;
	uint8_t byte;

	while (read(STDIN_FILENO, &byte, 1) == 1) {
		if (escaped && byte == 'x')
			vmx_machine_stop(&machine, VMX_END_STOPPED);
		if (!escaped && byte == ESCAPE) {
			escaped = true;
			continue;
		}
		escaped = false;
		for (;;) {
			size_t taken;

			pthread_mutex_lock(&machine.lock);
			taken = vmx_uart_receive(&machine.com1, &byte, 1);
			pthread_mutex_unlock(&machine.lock);
			if (taken)
				break;
			usleep(1000);
		}
	}
	return NULL;
}

static void print_stats(void)
{
	for (unsigned int reason = 0; reason < VMX_STATS_REASONS; reason++) {
		uint64_t count = 0;

		for (unsigned int n = 0; n < machine.config.cpus; n++)
			count += machine.cpus[n].exits[reason];
		if (count)
			fprintf(stderr, "%10llu %s\n", (unsigned long long)count,
				vmx_reason_name(reason) ?: "?");
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
		return STATUS_STOPPED;
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
	struct options options = {
		.machine = { .memory = 256 << 20, .cpus = 1, .send = print_byte },
		.append = "console=ttyS0",
	};
	struct vmx_module initrd = {};
	struct vmx_boot boot = {};
	uint8_t seed[32];
	pthread_t feeder;
	enum vmx_end end;

	parse(&options, argc, argv);
	boot.kernel = map_file(options.kernel, &boot.kernel_size);
	boot.command_line = options.append;
	if (options.initrd) {
		initrd.data = map_file(options.initrd, &initrd.size);
		boot.modules = &initrd;
		boot.module_count = 1;
	}
	if (getrandom(seed, sizeof(seed), 0) == sizeof(seed)) {
		boot.seed = seed;
		boot.seed_size = sizeof(seed);
	}
	if (vmx_machine_init(&machine, &options.machine) || vmx_machine_boot(&machine, &boot))
		fail();
	make_raw();
	pthread_create(&feeder, NULL, feed, NULL);
	end = vmx_machine_run(&machine);
	if (options.stats)
		print_stats();
	return status_of(end);
}
