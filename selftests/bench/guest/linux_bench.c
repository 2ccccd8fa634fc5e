// SPDX-License-Identifier: GPL-2.0
/*
 * First process of a Linux guest that measures its kernel: prints a line "NAME TICKS"
 * for each operation, the median in ticks of the TSC, then ends the machine. It reports its phases
 * to port 0x80, for a watcher of exits outside.
 *
 * The first round does not count, since the memory is new to the hypervisor then.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <x86intrin.h>

#define POST_PORT	0x80
#define MARK_START	0xb0
#define MARK_UART	0xb1
#define MARK_TICKS	0xb2
#define MARK_END	0xb3

#define PAGE		4096
#define PAGES		512
#define TOUCHED		8
#define ROUNDS		5
#define FORKS		64
#define SWITCHES	256
#define LINES		8
#define LINE		128
#define SPINS		20000
#define SPIN		1000

static uint64_t samples[PAGES * ROUNDS];
static size_t sample_count;

static void note(uint64_t ticks)
{
	samples[sample_count++] = ticks;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void report(const char *name)
{
	qsort(samples, sample_count, sizeof(samples[0]), by_value);
	printf("%s %llu\n", name, (unsigned long long)samples[sample_count / 2]);
	sample_count = 0;
}

/* A machine without ACPI cannot be switched off, but may end with a reset: END= for the kernel. */
static void end(void)
{
	reboot(getenv("END") ? RB_AUTOBOOT : RB_POWER_OFF);
}

static void fail(const char *what)
{
	printf("%s: %m\n", what);
	end();
}

static char *map_pages(void)
{
	char *pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		fail("mmap");
	return pages;
}

/* Others that are alive meanwhile, and have touched some memory: PROCESSES= for the kernel. */
static void be_many(void)
{
	const char *others = getenv("PROCESSES");

	for (int n = others ? atoi(others) : 0; n > 0; n--) {
		pid_t child = fork();

		if (child < 0)
			fail("fork");
		if (!child) {
			memset(map_pages(), 1, TOUCHED * PAGE);
			pause();
		}
	}
}

/* fork, exit, wait */
static void measure_fork(void)
{
	for (int n = -8; n < FORKS; n++) {
		uint64_t start = __rdtsc();
		pid_t child = fork();

		if (child < 0)
			fail("fork");
		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
		if (n >= 0)
			note(__rdtsc() - start);
	}
	report("linux-fork");
}

/* First touches of anonymous pages. */
static void measure_fault(void)
{
	for (int round = -1; round < ROUNDS; round++) {
		char *pages = map_pages();

		for (size_t n = 0; n < PAGES; n++) {
			uint64_t start = __rdtsc();

			*(volatile char *)(pages + n * PAGE) = 1;
			if (round >= 0)
				note(__rdtsc() - start);
		}
		munmap(pages, PAGES * PAGE);
	}
	report("linux-fault");
}

/* For each page of many that go together. */
static void measure_munmap(void)
{
	for (int round = 0; round < ROUNDS; round++) {
		char *pages = map_pages();
		uint64_t start;

		memset(pages, 1, PAGES * PAGE);
		start = __rdtsc();
		munmap(pages, PAGES * PAGE);
		note((__rdtsc() - start) / PAGES);
	}
	report("linux-munmap");
}

/* To another process and back: each waits in a pipe for the other. */
static void measure_switch(void)
{
	int there[2], back[2];
	char byte = 0;
	pid_t child;

	if (pipe(there) || pipe(back))
		fail("pipe");
	child = fork();
	if (child < 0)
		fail("fork");
	if (!child) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	for (int n = 0; n < SWITCHES; n++) {
		uint64_t start = __rdtsc();

		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			fail("pipe");
		note(__rdtsc() - start);
	}
	close(there[1]);
	waitpid(child, NULL, 0);
	report("linux-ctxsw");
}

/* A byte of a line to the terminal that is the console, until the last has left the UART. */
static void measure_uart(void)
{
	char line[LINE];

	memset(line, '.', sizeof(line));
	line[LINE - 1] = '\n';
	outb(MARK_UART, POST_PORT);
	for (int n = 0; n < LINES; n++) {
		uint64_t start = __rdtsc();

		if (write(STDOUT_FILENO, line, sizeof(line)) != sizeof(line))
			fail("write");
		tcdrain(STDOUT_FILENO);
		note((__rdtsc() - start) / LINE);
	}
	outb(MARK_END, POST_PORT);
	report("uart-byte");
}

/* So far, whether of the local APIC's timer or of the PIT, which is IRQ 0. */
static unsigned long timer_interrupts(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	unsigned long count, sum = 0;
	char text[256];

	while (file && fgets(text, sizeof(text), file))
		if (sscanf(text, " LOC: %lu", &count) == 1 || sscanf(text, " 0: %lu", &count) == 1)
			sum += count;
	if (file)
		fclose(file);
	return sum;
}

/*
 * What a loop takes beyond its instructions, for each tick in it: the guest's handler, its exits,
 * and what the host does meanwhile.
 */
static void measure_tick(void)
{
	uint64_t shortest = UINT64_MAX, all;
	unsigned long ticks = timer_interrupts();

	outb(MARK_TICKS, POST_PORT);
	all = __rdtsc();
	for (int n = 0; n < SPINS; n++) {
		uint64_t start = __rdtsc(), spent;

		for (int i = 0; i < SPIN; i++)
			asm volatile("");
		spent = __rdtsc() - start;
		if (spent < shortest)
			shortest = spent;
	}
	all = __rdtsc() - all;
	outb(MARK_END, POST_PORT);
	ticks = timer_interrupts() - ticks;
	if (!ticks)
		fail("no timer interrupt");
	printf("timer-tick %llu %lu\n", (unsigned long long)(all - SPINS * shortest) / ticks,
	       ticks);
}

int main(void)
{
	if (mount("proc", "/proc", "proc", 0, NULL))
		fail("/proc");
	if (ioperm(POST_PORT, 1, 1))
		fail("port 0x80");
	outb(MARK_START, POST_PORT);
	be_many();
	measure_fork();
	measure_fault();
	measure_munmap();
	measure_switch();
	measure_uart();
	measure_tick();
	end();
	return 1;
}
