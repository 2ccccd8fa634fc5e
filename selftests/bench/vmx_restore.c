// SPDX-License-Identifier: GPL-2.0
/*
 * vmx_restore MEGABYTES...: saves machines of these sizes, and measures for each how long it takes
 * to go on with it in this process: from the request until the guest's first instruction has left
 * to vmxrun. It prints "restore-first-SIZEm TICKS", three times each.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include <libvmx/load.h>
#include <libvmx/machine.h>
#include <libvmx/saved.h>

#define TIMES	3
/* Touched before it is saved, so that the file has what a guest's has. */
#define STRIDE	64

/* Reads a port all the time: each is an exit to this program. */
static const unsigned char guest[] = { 0xe4, 0x80, 0xeb, 0xfc };

static struct vmx_machine machine;
static volatile uint64_t first;
static pthread_t thread;

static void note_exit(void *host, const struct vmx_cpu *cpu, bool done)
{
	if (!first)
		first = __rdtsc();
}

static void must(int ret)
{
	if (ret)
		errx(1, "%s", vmx_error());
}

static void *run(void *arg)
{
	vmx_machine_run(&machine);
	return NULL;
}

static void begin(void)
{
	if (pthread_create(&thread, NULL, run, NULL))
		errx(1, "cannot start a thread");
}

static void end(void)
{
	vmx_machine_stop(&machine, VMX_END_STOPPED);
	pthread_join(thread, NULL);
	vmx_machine_free(&machine);
}

static int save(uint64_t memory)
{
	struct vmx_machine_config config = {
		.memory = memory, .cpus = 1, .exit = note_exit,
	};
	struct vmx_boot boot = {
		.protocol = VMX_BOOT_FLAT, .kernel = guest, .kernel_size = sizeof(guest),
		.flat_address = 0x100000, .flat_mode = VMX_MODE_LONG,
	};
	int fd = memfd_create("saved", 0);

	first = 0;
	must(vmx_machine_init(&machine, &config));
	must(vmx_machine_boot(&machine, &boot));
	for (uint64_t at = 16 << 20; at < memory; at += STRIDE * 4096)
		machine.vm.ram[at] = 1;
	begin();
	while (!first)
		sched_yield();
	must(vmx_machine_pause(&machine));
	must(vmx_machine_save(&machine, fd));
	vmx_machine_resume(&machine);
	end();
	return fd;
}

/* As a monitor that has begun does it. */
static uint64_t restore(int fd)
{
	struct vmx_machine_config config = { .exit = note_exit };
	struct vmx_saved_config found;
	struct vmx_saved *saved;
	uint64_t start = __rdtsc();

	first = 0;
	must(vmx_saved_open(&saved, fd, &found));
	config.memory = found.memory;
	config.cpus = found.cpus;
	must(vmx_machine_init(&machine, &config));
	must(vmx_machine_restore(&machine, saved));
	vmx_saved_close(saved);
	vmx_machine_resume(&machine);
	begin();
	while (!first)
		sched_yield();
	end();
	return first - start;
}

int main(int argc, char **argv)
{
	for (int n = 1; n < argc; n++) {
		int fd = save(strtoull(argv[n], NULL, 10) << 20);

		for (unsigned int time = 0; time < TIMES; time++)
			printf("restore-first-%sm %llu\n", argv[n],
			       (unsigned long long)restore(fd));
		close(fd);
	}
	return 0;
}
