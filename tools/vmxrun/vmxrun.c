// SPDX-License-Identifier: LGPL-2.1-or-later
/* vmxrun: boots a kernel in a machine with a console and disks. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

#define DISKS	(VMX_PCI_SLOTS - 1)	/* the bridge has a slot, too */

static struct vmx_machine machine;
static struct vmx_virtio_console console;
static struct termios terminal;

static struct disk {
	const char *path;
	bool read_only;
	int fd;
	struct vmx_virtio_blk blk;
} disks[DISKS];
static unsigned int disk_count;

/* What was typed and waits until the guest's console takes it; under the machine's lock. */
static struct {
	uint8_t bytes[256];
	size_t count;
} typed;

struct options {
	struct vmx_machine_config machine;
	const char *kernel;
	const char *initrd;
	const char *append;
	bool virtio_console;
	bool stats;
};

static const struct option long_options[] = {
	{ "memory", required_argument, NULL, 'm' },
	{ "cpus", required_argument, NULL, 'c' },
	{ "kernel", required_argument, NULL, 'k' },
	{ "initrd", required_argument, NULL, 'i' },
	{ "append", required_argument, NULL, 'a' },
	{ "disk", required_argument, NULL, 'd' },
	{ "console", required_argument, NULL, 'o' },
	{ "stats", no_argument, NULL, 's' },
	{ "help", no_argument, NULL, 'h' },
	{}
};

static void print_help(FILE *out)
{
	fprintf(out,
		"usage: vmxrun --kernel FILE [--initrd FILE] [--append TEXT] [--disk FILE[,ro]]...\n"
		"              [--memory SIZE] [--cpus N] [--console serial|virtio] [--stats]\n"
		"\n"
		"Boots a kernel (a Linux bzImage or vmlinux, PVH, Multiboot) with its console here.\n"
		"Ctrl-A x ends it.\n"
		"\n"
		"  --memory SIZE   RAM, with M or G; 256M if not given\n"
		"  --cpus N        virtual CPUs; 1 if not given\n"
		"  --kernel FILE   what to boot\n"
		"  --initrd FILE   its initial RAM disk\n"
		"  --append TEXT   its command line; console=ttyS0 (or hvc0) if not given\n"
		"  --disk FILE     a file or block device that is a virtio disk; with ,ro it cannot be\n"
		"                  written. The first is /dev/vda, the next /dev/vdb, up to %u\n"
		"  --console NAME  where what is typed goes: serial (ttyS0, if not given) or virtio (hvc0);\n"
		"                  what the guest writes to either is shown\n"
		"  --stats         at the end, what exits there were\n"
		"\n"
		"Exit status: 0 the guest powered off; 123 it asked for a reset; 124 triple fault; 125 an\n"
		"error here; 130 Ctrl-A x; with the exit port (0xf4), value * 2 + 1.\n", DISKS);
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

/* Disks */

static void fail_disk(const char *path, const char *why, const char *way_out)
{
	fprintf(stderr, "vmxrun: --disk %s: %s%s\n", path, why, way_out);
	exit(STATUS_ERROR);
}

static int open_disk(const char *path, bool read_only)
{
	int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		fail_disk(path, strerror(errno), "; 'truncate -s 1G FILE' makes an empty disk");
	if (!read_only && (errno == EACCES || errno == EPERM || errno == EROFS))
		fail_disk(path, strerror(errno), "; FILE,ro opens it for reading only");
	fail_disk(path, strerror(errno), "");
	return -1;
}

static void add_disk(char *argument)
{
	struct disk *disk = &disks[disk_count];
	char *comma = strrchr(argument, ',');

	if (disk_count == DISKS)
		fail_disk(argument, "the machine has no room for more disks", "");
	disk->read_only = comma && !strcmp(comma, ",ro");
	if (disk->read_only)
		*comma = 0;
	disk->path = argument;
	disk->fd = open_disk(argument, disk->read_only);
	disk_count++;
}

static void plug_disk(struct disk *disk)
{
	struct vmx_virtio_machine virtio = vmx_machine_virtio(&machine);
	struct vmx_virtio_blk *blk = &disk->blk;

	if (vmx_virtio_blk_init(blk, &virtio, disk->fd, disk->read_only, NULL) ||
	    vmx_machine_add(&machine, &blk->virtio.pci) < 0)
		fail_disk(disk->path, vmx_error(), "");
	if (!blk->capacity)
		fail_disk(disk->path, "it has no sector of 512 bytes",
			  "; 'truncate -s 1G FILE' makes it larger");
}

static bool is_virtio(const char *name)
{
	if (strcmp(name, "virtio") && strcmp(name, "serial")) {
		fprintf(stderr, "vmxrun: --console %s: it is serial or virtio\n", name);
		exit(STATUS_ERROR);
	}
	return !strcmp(name, "virtio");
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
		case 'd':
			add_disk(optarg);
			break;
		case 'o':
			options->virtio_console = is_virtio(optarg);
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
	if (!options->append)
		options->append = options->virtio_console ? "console=hvc0" : "console=ttyS0";
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

/* What a guest's driver did wrong. */
static void report(void *host __attribute__((unused)), const char *sentence)
{
	fprintf(stderr, "vmxrun: %s\n", sentence);
}

/* The virtio console */

static void print_bytes(void *context __attribute__((unused)), const void *bytes, size_t length)
{
	while (length) {
		ssize_t done = write(STDOUT_FILENO, bytes, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		bytes = (const char *)bytes + done;
		length -= done;
	}
}

static void take_typed(size_t count)
{
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

static void plug_console(void)
{
	struct vmx_virtio_terminal here = { .output = print_bytes, .input = fetch_typed };
	struct vmx_virtio_machine virtio = vmx_machine_virtio(&machine);
	struct winsize size;

	if (vmx_virtio_console_init(&console, &virtio, &here) ||
	    vmx_machine_add(&machine, &console.virtio.pci) < 0)
		fail();
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		vmx_virtio_console_resize(&console, size.ws_col, size.ws_row);
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

/* Returns how much of what was typed does not fit now. */
static size_t offer_typed(void)
{
	size_t left;

	pthread_mutex_lock(&machine.lock);
	if (console.virtio.pci.host)
		vmx_virtio_console_poll(&console);
	else
		take_typed(vmx_uart_receive(&machine.com1, typed.bytes, typed.count));
	left = typed.count;
	pthread_mutex_unlock(&machine.lock);
	return left;
}

/* Returns false at the end of input. */
static bool read_typed(bool *escaped)
{
	uint8_t byte;

	if (read(STDIN_FILENO, &byte, 1) != 1)
		return false;
	if (*escaped && byte == 'x')
		vmx_machine_stop(&machine, VMX_END_STOPPED);
	*escaped = !*escaped && byte == ESCAPE;
	if (*escaped)
		return true;
	pthread_mutex_lock(&machine.lock);
	typed.bytes[typed.count++] = byte;
	pthread_mutex_unlock(&machine.lock);
	return true;
}

/*
 * What is typed goes to the guest; whatever does not fit now is offered again. Meanwhile more is
 * read, so that Ctrl-A x ends also a guest that reads nothing.
 */
static void *feed(void *arg __attribute__((unused)))
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	bool escaped = false;
	size_t waiting = 0;

	for (;;) {
		bool room = waiting < sizeof(typed.bytes);

		if (poll(&input, room, waiting ? 1 : -1) > 0 && !read_typed(&escaped))
			input.fd = -1;
		waiting = offer_typed();
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
		.machine = { .memory = 256 << 20, .cpus = 1, .send = print_byte, .report = report },
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
	if (vmx_machine_init(&machine, &options.machine))
		fail();
	for (unsigned int n = 0; n < disk_count; n++)
		plug_disk(&disks[n]);
	if (options.virtio_console)
		plug_console();
	if (vmx_machine_boot(&machine, &boot))
		fail();
	make_raw();
	pthread_create(&feeder, NULL, feed, NULL);
	end = vmx_machine_run(&machine);
	if (options.stats)
		print_stats();
	return status_of(end);
}
