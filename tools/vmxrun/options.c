// SPDX-License-Identifier: LGPL-2.1-or-later
/* The command line. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmxrun.h"

static const struct option long_options[] = {
	{ "memory", required_argument, NULL, 'm' },
	{ "cpus", required_argument, NULL, 'c' },
	{ "mmu", required_argument, NULL, 'u' },
	{ "kernel", required_argument, NULL, 'k' },
	{ "initrd", required_argument, NULL, 'i' },
	{ "append", required_argument, NULL, 'a' },
	{ "disk", required_argument, NULL, 'd' },
	{ "net", required_argument, NULL, 'n' },
	{ "console", required_argument, NULL, 'o' },
	{ "no-reboot", no_argument, NULL, 'r' },
	{ "stats", no_argument, NULL, 's' },
	{ "trace", optional_argument, NULL, 't' },
	{ "gdb", required_argument, NULL, 'g' },
	{ "help", no_argument, NULL, 'h' },
	{}
};

static void print_help(FILE *out)
{
	fprintf(out,
		"usage: vmxrun --kernel FILE [--initrd FILE] [--append TEXT] [--disk FILE[,ro]]...\n"
		"              [--net tap=NAME[,mac=ADDRESS]]... [--memory SIZE] [--cpus N]\n"
		"              [--console serial|virtio] [--no-reboot] [--stats] [--trace[=FILE]]\n"
		"              [--gdb ADDRESS] [--mmu auto|ept|shadow]\n"
		"\n"
		"Boots a kernel (a Linux bzImage or vmlinux, PVH, Multiboot) with its console here.\n"
		"Ctrl-A x ends it, Ctrl-A h lists the other keys.\n"
		"\n"
		"  --memory SIZE   RAM, for instance 512M or 2G; default 256M\n"
		"  --cpus N        virtual CPUs; default 1\n"
		"  --mmu KIND      what maps guest memory: ept, shadow page tables, or auto (default): EPT if\n"
		"                  the CPU has it\n"
		"  --kernel FILE   kernel to boot\n"
		"  --initrd FILE   its initial RAM disk\n"
		"  --append TEXT   its command line; default console=ttyS0 (or hvc0)\n"
		"  --disk FILE     virtio disk in a file or on a block device; read-only with ,ro.\n"
		"                  The first is /dev/vda, the next /dev/vdb, up to %u\n"
		"  --net tap=NAME[,mac=ADDRESS]\n"
		"                  virtio network card on a TAP device; without ADDRESS vmxrun makes one\n"
		"                  up; up to %d\n"
		"  --console NAME  console that gets your input: serial (ttyS0, default) or virtio (hvc0);\n"
		"                  vmxrun prints what the guest writes to either\n"
		"  --no-reboot     end when the guest asks for a reset; default: boot again\n"
		"  --stats         at the end, print the exits and their cost\n"
		"  --trace[=FILE]  print each exit as it happens, to a file or to standard error\n"
		"  --gdb ADDRESS   wait for gdb at :PORT, HOST:PORT or unix:PATH before the first\n"
		"                  instruction\n"
		"\n"
		"Exit status: 0 the guest powered off; 123 it asked for a reset, with --no-reboot; 124 triple\n"
		"fault; 125 an error here; 130 Ctrl-A x; 128 + N signal N; with the exit port (0xf4),\n"
		"value * 2 + 1.\n",
		DISKS, NETS);
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
	if (!size)
		fail("invalid size '%s' (examples: 256M, 1G)", text);
	return size;
}

static unsigned int number_of(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*end || !number || number > VMX_MACHINE_CPUS)
		fail("--cpus %s: give a number from 1 to %d", text, VMX_MACHINE_CPUS);
	return number;
}

static enum vmx_mmu_kind mmu_of(const char *name)
{
	static const char *const kinds[] = {
		[VMX_MMU_AUTO] = "auto", [VMX_MMU_EPT] = "ept", [VMX_MMU_SHADOW] = "shadow",
	};

	for (unsigned int n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++)
		if (!strcmp(name, kinds[n]))
			return n;
	fail("--mmu %s: give auto, ept or shadow", name);
}

static bool is_virtio(const char *name)
{
	if (strcmp(name, "virtio") && strcmp(name, "serial"))
		fail("--console %s: give serial or virtio", name);
	return !strcmp(name, "virtio");
}

static void set(struct options *options, int option)
{
	switch (option) {
	case 'm':
		options->machine.memory = size_of(optarg);
		break;
	case 'c':
		options->machine.cpus = number_of(optarg);
		break;
	case 'u':
		options->machine.mmu = mmu_of(optarg);
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
		disks_add(optarg);
		break;
	case 'n':
		nets_add(optarg);
		break;
	case 'o':
		options->virtio_console = is_virtio(optarg);
		break;
	case 'r':
		options->no_reboot = true;
		break;
	case 's':
		options->stats = true;
		break;
	case 't':
		options->trace = true;
		options->trace_file = optarg;
		break;
	case 'g':
		options->gdb = optarg;
		break;
	case 'h':
		print_help(stdout);
		exit(0);
	default:
		print_help(stderr);
		exit(STATUS_ERROR);
	}
}

void options_parse(struct options *options, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set(options, option);
	if (!options->kernel || optind < argc) {
		print_help(stderr);
		exit(STATUS_ERROR);
	}
	if (!options->append)
		options->append = options->virtio_console ? "console=hvc0" : "console=ttyS0";
}
