// SPDX-License-Identifier: GPL-2.0
/*
 * vmx_bench kvm|vmx: measures operations on one hypervisor, in ticks of the
 * TSC. In an emulator whose clock counts instructions, these are instructions.
 *
 * Guests read the TSC around batches of operations. A batch is short, so that
 * few batches have a timer interrupt and the median one has none. The median, less the
 * median for a guest without the operation, is one measurement. It makes five.
 *
 * Prints a line for each result:
 *
 *	SIDE OPERATION COST CHECKSUM [NAME=COUNT...]
 *
 * The checksum covers all data that the guest computed and userspace saw; it
 * is the same on every correct hypervisor.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"

#define CREATED_VMS	32
/* Four descriptors each have to stay below 1024. */
#define MANY_VMS	240
#define FIRST_VMS	80

/* Guest code of guests.S: with the operation, and without, for the loop's own cost. */
#define CODE(name)	extern const unsigned char bench_##name[], bench_##name##_end[]
CODE(cpuid);
CODE(cpuid_empty);
CODE(rdmsr);
CODE(rdmsr_empty);
CODE(pio);
CODE(pio_empty);
CODE(mmio);
CODE(mmio_empty);
CODE(touch);
CODE(touch_empty);

static const struct guest {
	const char *operation;
	struct bench_code full;
	struct bench_code empty;
} guests[] = {
	{ "cpuid", { bench_cpuid, bench_cpuid_end },
	  { bench_cpuid_empty, bench_cpuid_empty_end } },
	{ "rdmsr", { bench_rdmsr, bench_rdmsr_end },
	  { bench_rdmsr_empty, bench_rdmsr_empty_end } },
	{ "pio-user", { bench_pio, bench_pio_end },
	  { bench_pio_empty, bench_pio_empty_end } },
	{ "mmio-user", { bench_mmio, bench_mmio_end },
	  { bench_mmio_empty, bench_mmio_empty_end } },
	{ "ept-4k-present", { bench_touch, bench_touch_end },
	  { bench_touch_empty, bench_touch_empty_end } },
	{}
};

void bench_fail(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": %s\n", strerror(error));
	exit(1);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t bench_median(uint64_t *values, size_t count)
{
	qsort(values, count, sizeof(*values), by_value);
	return values[count / 2];
}

static void add_leaf(struct bench_cpuid *entry, uint32_t leaf, uint32_t subleaf, bool has_subleaf)
{
	*entry = (struct bench_cpuid) {
		.leaf = leaf, .subleaf = subleaf, .has_subleaf = has_subleaf,
	};
	__cpuid_count(leaf, subleaf, entry->eax, entry->ebx, entry->ecx, entry->edx);
}

size_t bench_cpuid_table(struct bench_cpuid *table, size_t max)
{
	size_t count = 0;

	for (size_t n = 0; n < 2; n++) {
		uint32_t first = n ? 0x80000000 : 0;
		uint32_t last = __get_cpuid_max(first, NULL);

		for (uint32_t leaf = first; leaf <= last; leaf++) {
			bool several = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;

			for (uint32_t i = 0; i < (several ? 3 : 1) && count < max; i++)
				add_leaf(&table[count++], leaf, i, several);
		}
	}
	return count;
}

void *bench_new_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		bench_fail("mmap");
	/* An error is a kernel without huge pages. */
	madvise(memory, size, MADV_NOHUGEPAGE);
	memset(memory, 0, size);
	return memory;
}

void bench_delete_memory(void *memory, size_t size)
{
	munmap(memory, size);
}

/* The median batch of a run whose results are in memory, and what it computed. */
static uint64_t evaluate(const struct bench_run *run, uint64_t *checksum)
{
	uint64_t times[2 * BENCH_BATCHES], batches[BENCH_BATCHES];

	memcpy(times, run->ram + BENCH_TIMES, sizeof(times));
	for (size_t n = 0; n < BENCH_BATCHES; n++)
		batches[n] = times[2 * n + 1] - times[2 * n];
	memcpy(checksum, run->ram + BENCH_SUM, sizeof(*checksum));
	*checksum += run->sum;
	for (size_t n = 0; n < BENCH_OPS; n++)
		*checksum += *(uint64_t *)(run->pages + n * 4096 + BENCH_TOUCHED);
	return bench_median(batches, BENCH_BATCHES);
}

static void create_idle(const struct bench_side *side, struct bench_vm *vm)
{
	*vm = BENCH_NO_VM;
	side->create_vm(vm);
	side->create_vcpu(vm);
}

void bench_create(const struct bench_side *side, struct bench_vm *vm)
{
	create_idle(side, vm);
	side->map_vcpu(vm);
}

static uint64_t run_guest(const struct bench_side *side, const struct bench_code *code,
			  uint64_t *checksum, uint64_t *counts)
{
	struct bench_run run = {
		.code = *code,
		.ram = bench_new_memory(BENCH_RAM),
		.pages = bench_new_memory(BENCH_OPS * 4096),
	};
	struct bench_vm vm;
	uint64_t batch;

	bench_create(side, &vm);
	side->prepare(&vm, &run);
	side->go(&vm, &run);
	if (side->counts)
		side->counts(&vm, counts);
	side->destroy(&vm);
	batch = evaluate(&run, checksum);
	bench_delete_memory(run.ram, BENCH_RAM);
	bench_delete_memory(run.pages, BENCH_OPS * 4096);
	return batch;
}

void bench_print_counts(const uint64_t *with, const uint64_t *without, uint64_t operations)
{
	static const char * const names[BENCH_COUNTS] = {
		[BENCH_VMREADS] = "vmreads",
		[BENCH_VMWRITES] = "vmwrites",
		[BENCH_MSR_WRITES] = "msr_writes",
		[BENCH_INVALIDATIONS] = "invalidations",
		[BENCH_FPU_SWAPS] = "fpu_swaps",
		[BENCH_IPIS] = "ipis",
	};

	for (size_t n = 0; n < BENCH_COUNTS; n++)
		printf(" %s=%.2f", names[n], ((double)with[n] - (double)without[n]) / operations);
}

static void measure_guest(const struct bench_side *side, const struct guest *guest)
{
	uint64_t costs[BENCH_MEASUREMENTS], sum, first_sum = 0, unused;
	uint64_t with[BENCH_COUNTS], without[BENCH_COUNTS];

	for (size_t n = 0; n < BENCH_MEASUREMENTS; n++) {
		uint64_t empty = run_guest(side, &guest->empty, &unused, without);

		costs[n] = run_guest(side, &guest->full, &sum, with) - empty;
		if (n && sum != first_sum)
			bench_fail("%s: two runs gave %#llx and %#llx", guest->operation,
				   (unsigned long long)first_sum, (unsigned long long)sum);
		first_sum = sum;
	}
	printf("%s %s %.0f %#llx", side->name, guest->operation,
	       (double)bench_median(costs, BENCH_MEASUREMENTS) / BENCH_BATCH,
	       (unsigned long long)sum);
	if (side->counts)
		bench_print_counts(with, without, BENCH_OPS);
	printf("\n");
}

/* Nanoseconds that CPU 0 has idled; 0 where the kernel does not say. */
static long long idle_time(void)
{
	FILE *file = fopen("/proc/timer_list", "r");
	long long value = 0;
	char line[256];

	while (file && !value && fgets(line, sizeof(line), file))
		sscanf(line, " .idle_sleeptime : %lld", &value);
	if (file)
		fclose(file);
	return value;
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/*
 * Who destroys a VM may wait for RCU, and may leave work for later: that later
 * is waited for, and time when the CPU idles does not count.
 */
static uint64_t create_many(const struct bench_side *side)
{
	long long idle = idle_time(), time = now();
	uint64_t ticks = __rdtsc();
	struct bench_vm vm;

	for (size_t n = 0; n < CREATED_VMS; n++) {
		create_idle(side, &vm);
		side->destroy(&vm);
	}
	usleep(100000);
	ticks = __rdtsc() - ticks;
	time = now() - time;
	idle = idle_time() - idle;
	return ticks * (1 - (double)idle / time) / CREATED_VMS;
}

static void measure_create(const struct bench_side *side)
{
	uint64_t costs[BENCH_MEASUREMENTS];

	for (size_t n = 0; n < BENCH_MEASUREMENTS; n++)
		costs[n] = create_many(side);
	printf("%s vm-create %llu 0\n", side->name,
	       (unsigned long long)bench_median(costs, BENCH_MEASUREMENTS));
}

/* Free pages, those that CPUs keep for themselves included; -1 where the kernel does not say. */
static long free_pages(void)
{
	FILE *file = fopen("/proc/zoneinfo", "r");
	char line[128];
	long sum = -1, value;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, " pages free %ld", &value) == 1 ||
		    sscanf(line, " count: %ld", &value) == 1)
			sum += value;
	if (file)
		fclose(file);
	return sum;
}

/* What is free becomes less by, whatever kind of memory it is, for each of many. */
static long bytes_each(void (*create)(struct bench_vm *idle), struct bench_vm *idle)
{
	long before = 0;

	for (size_t n = 0; n < MANY_VMS; n++) {
		if (n == FIRST_VMS)
			before = free_pages();
		create(&idle[n]);
	}
	return (before - free_pages()) * sysconf(_SC_PAGESIZE) / (MANY_VMS - FIRST_VMS);
}

static void measure_memory(const struct bench_side *side)
{
	static struct bench_vm idle[MANY_VMS];

	for (size_t n = 0; n < MANY_VMS; n++)
		idle[n] = BENCH_NO_VM;
	printf("%s memory-vm %ld 0\n", side->name, bytes_each(side->create_vm, idle));
	printf("%s memory-vcpu %ld 0\n", side->name, bytes_each(side->create_vcpu, idle));
	for (size_t n = 0; n < MANY_VMS; n++)
		side->destroy(&idle[n]);
}

/* Something cheap, called from here: the median batch, by operation. */
#define FLOOR(text, statement)  do {					\
	uint64_t times[BENCH_BATCHES];					\
									\
	for (size_t n = 0; n < BENCH_BATCHES; n++) {			\
		uint64_t start = __rdtsc();				\
									\
		for (int i = 0; i < BENCH_BATCH; i++)			\
			statement;					\
		times[n] = __rdtsc() - start;				\
	}								\
	printf("%s %s %llu 0\n", side->name, text, (unsigned long long)	\
	       bench_median(times, BENCH_BATCHES) / BENCH_BATCH);		\
} while (0)

static void measure_floors(const struct bench_side *side)
{
	int null = open("/dev/null", O_RDWR);
	struct bench_vm vm;

	FLOOR("floor-getppid", syscall(SYS_getppid));
	FLOOR("floor-ioctl", bench_ioctl(null, 0xbad));
	bench_create(side, &vm);
	side->return_at_once(&vm);
	FLOOR("floor-run", bench_ioctl(vm.vcpu, side->run_cmd));
	side->destroy(&vm);
	close(null);
}

int main(int argc, char **argv)
{
	const struct bench_side *side = NULL;

	if (argc == 2 && !strcmp(argv[1], bench_kvm.name))
		side = &bench_kvm;
	if (argc == 2 && !strcmp(argv[1], bench_vmx.name))
		side = &bench_vmx;
	if (!side) {
		fprintf(stderr, "usage: vmx_bench kvm|vmx\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	side->open();
	for (const struct guest *guest = guests; guest->operation; guest++)
		measure_guest(side, guest);
	bench_interrupt(side);
	bench_area(side);
	measure_create(side);
	measure_memory(side);
	measure_floors(side);
	return 0;
}
