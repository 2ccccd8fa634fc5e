// SPDX-License-Identifier: LGPL-2.1-or-later
/* The command line. */
#include <ctype.h>
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
	{ "restore", required_argument, NULL, 'R' },
	{ "incoming", required_argument, NULL, 'I' },
	{ "check", required_argument, NULL, 'C' },
	{ "tls-creds", required_argument, NULL, 'T' },
	{ "disk", required_argument, NULL, 'd' },
	{ "net", required_argument, NULL, 'n' },
	{ "console", required_argument, NULL, 'o' },
	{ "no-reboot", no_argument, NULL, 'r' },
	{ "stats", no_argument, NULL, 's' },
	{ "trace", optional_argument, NULL, 't' },
	{ "gdb", required_argument, NULL, 'g' },
	{ "pin", required_argument, NULL, 'p' },
	{ "name", required_argument, NULL, 'N' },
	{ "api", required_argument, NULL, 'A' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{}
};

static void print_help(FILE *out)
{
	fprintf(out,
		"usage: vmxrun --kernel FILE|--restore FILE|--incoming ADDRESS [--initrd FILE] [--append TEXT] [--disk FILE[,ro]]...\n"
		"              [--net tap=NAME[,mac=ADDRESS]]... [--memory SIZE] [--cpus N]\n"
		"              [--console serial|virtio] [--no-reboot] [--stats] [--trace[=FILE]]\n"
		"              [--gdb ADDRESS] [--mmu auto|ept|shadow] [--name NAME] [--api unix:PATH]\n"
		"              [--pin VCPU=CPU[-CPU],...]\n"
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
		"  --restore FILE  go on with a saved machine, whose memory and CPUs are in FILE. Give the\n"
		"                  same disks, cards and console. With --kernel, a reset boots that; else\n"
		"                  vmxrun ends\n"
		"  --check FILE    read a saved machine whole, and say whether it is undamaged; runs nothing\n"
		"  --incoming ADDRESS\n"
		"                  take a machine that 'vmxctl migrate' sends to unix:PATH, tcp:HOST:PORT or\n"
		"                  through exec:COMMAND; otherwise as --restore. With --memory or\n"
		"                  --cpus it is refused if it has others\n"
		"  --tls-creds FOLDER\n"
		"                  have the machine come by TLS; FOLDER has ca-cert.pem, server-cert.pem and\n"
		"                  server-key.pem\n"
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
		"  --name NAME     name the machine, so that vmxctl finds it\n"
		"  --api unix:PATH control the machine by HTTP over this socket; with --name there is one\n"
		"                  without being asked for\n"
		"  --pin VCPU=CPU[-CPU],...\n"
		"                  CPUs of the host that virtual CPUs run on: 0=2,1=4-7\n"
		"  --version       print the version\n"
		"\n"
		"Exit status: 0 the guest powered off; 123 it asked for a reset, with --no-reboot; 124 triple\n"
		"fault; 120 it has moved; 125 an error here; 130 Ctrl-A x; 128 + N signal N; with the exit port (0xf4),\n"
		"value * 2 + 1, or 122 for a value above 60.\n",
		DISKS, NETS);
}

bool get_number(const char **text, uint64_t *number)
{
	const char *at = *text;

	for (*number = 0; isdigit((unsigned char)*at); at++)
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, *at - '0', number))
			return false;
	if (at == *text)
		return false;
	*text = at;
	return true;
}

static uint64_t size_of(const char *text)
{
	static const struct {
		const char *suffix;
		unsigned int shift;
	} units[] = { { "", 0 }, { "M", 20 }, { "m", 20 }, { "G", 30 }, { "g", 30 } };
	const char *end = text;
	uint64_t number;

	if (get_number(&end, &number) && number)
		for (size_t n = 0; n < sizeof(units) / sizeof(units[0]); n++)
			if (!strcmp(end, units[n].suffix) && number <= UINT64_MAX >> units[n].shift)
				return number << units[n].shift;
	fail("--memory: invalid size '%s' (examples: 256M, 1G)", text);
}

static unsigned int number_of(const char *text)
{
	const char *end = text;
	uint64_t number;

	if (!get_number(&end, &number) || *end || !number || number > VMX_MACHINE_CPUS)
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

static void __attribute__((noreturn)) point_to_help(void)
{
	fprintf(stderr, "vmxrun: 'vmxrun --help' lists the options\n");
	exit(STATUS_ERROR);
}

static void set(struct options *options, int option)
{
	switch (option) {
	case 'm':
		options->machine.memory = size_of(optarg);
		options->memory_given = true;
		break;
	case 'c':
		options->machine.cpus = number_of(optarg);
		options->cpus_given = true;
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
	case 'R':
		options->restore = optarg;
		break;
	case 'T':
		options->tls_creds = optarg;
		break;
	case 'C':
		options->check = optarg;
		break;
	case 'I':
		options->incoming = optarg;
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
	case 'p':
		pins_parse(optarg);
		break;
	case 'N':
		options->name = optarg;
		break;
	case 'A':
		options->api = optarg;
		break;
	case 'h':
		print_help(stdout);
		exit(0);
	case 'v':
		printf("vmxrun %d.%d\n", VMX_API_MAJOR, VMX_API_MINOR);
		exit(0);
	default:
		/* getopt_long() said what is wrong. */
		point_to_help();
	}
}

/* --trace has a value only with a '=', so what is meant as one may be here. */
static void __attribute__((noreturn)) refuse_word(const struct options *options, const char *word)
{
	fprintf(stderr, "vmxrun: '%s' belongs to no option", word);
	if (options->trace && !options->trace_file)
		fprintf(stderr, "; a trace goes to a file with --trace=%s", word);
	fputc('\n', stderr);
	point_to_help();
}

void options_parse(struct options *options, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set(options, option);
	if (optind < argc)
		refuse_word(options, argv[optind]);
	if (options->check && (options->kernel || options->restore || options->incoming))
		fail("--check %s: it runs no machine; leave out --kernel, --restore and --incoming",
		     options->check);
	if (options->check)
		return;
	if (!options->kernel && !options->restore && !options->incoming) {
		fprintf(stderr, "vmxrun: nothing to boot: --kernel FILE is missing\n");
		point_to_help();
	}
	if (options->incoming && (options->restore || options->gdb))
		fail("--incoming %s: the machine comes from there; leave out --restore and --gdb",
		     options->incoming);
	if (options->tls_creds && !options->incoming)
		fail("--tls-creds %s: it is for --incoming alone", options->tls_creds);
	if (options->restore && (options->memory_given || options->cpus_given))
		fail("--restore %s: the file has memory and CPUs; leave out --memory and --cpus",
		     options->restore);
	/* Then there is nothing to boot again. */
	options->no_reboot |= !options->kernel;
	if (!options->append)
		options->append = options->virtio_console ? "console=hvc0" : "console=ttyS0";
}
