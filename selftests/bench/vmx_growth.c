// SPDX-License-Identifier: GPL-2.0
/*
 * vmx_growth: measures how costs grow with a guest's memory and vCPUs, in ticks of the TSC. In an
 * emulator whose clock counts instructions these are instructions of each CPU, so that work which
 * two CPUs do side by side takes half as many.
 *
 * Prints a line for each measurement:
 *
 *	MEGABYTES VCPUS OPERATION TICKS-FOR-EACH-PAGE
 */
#include <pthread.h>
#include <x86intrin.h>

#include "../lib/mmu_guest.h"

#define MEGABYTE	0x100000ul
/* The host's memory behind it all, again and again: the tables of a guest do not know. */
#define CHUNK		(16 * MEGABYTE)
#define MOST_VCPUS	2

/*
 * Writes to RCX pages from RBX on, RDX bytes apart. Interrupts are on, since Bochs lets none end a
 * guest that was entered with interrupts off.
 */
GUEST64(touching_guest,
	"sti\n"
	"1: mov	%rbx, (%rbx)\n"
	"add	%rdx, %rbx\n"
	"dec	%rcx\n"
	"jnz	1b\n"
	"cli\n"
	"hlt\n");

struct toucher {
	struct vmx_vcpu vcpu;
	pthread_t thread;
	pthread_barrier_t *start;
	int cpu;
	uint64_t began, ended;
};

static void check(bool good, const char *what)
{
	if (good)
		return;
	printf("%s: %s; %s\n", what, strerror(errno), vmx_error());
	exit(1);
}

static void *touch_on(void *arg)
{
	struct toucher *toucher = arg;
	int ret;

	check(!test_pin(toucher->cpu), "pinning");
	pthread_barrier_wait(toucher->start);
	toucher->began = __rdtsc();
	do
		ret = vmx_run(&toucher->vcpu);
	while (ret == -EINTR);
	toucher->ended = __rdtsc();
	check(!ret && toucher->vcpu.run->reason == VMX_REASON_HLT, test_describe(&toucher->vcpu));
	return NULL;
}

/* Each vCPU writes to its part of every DISTANCEth page; ticks from the first to the last. */
static uint64_t touch(struct toucher *touchers, int vcpus, uint64_t pages, uint64_t distance)
{
	uint64_t began = UINT64_MAX, ended = 0, each = pages / vcpus;
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, vcpus);
	for (int i = 0; i < vcpus; i++) {
		struct toucher *toucher = &touchers[i];

		check(!test_start(&toucher->vcpu, VMX_MODE_LONG, touching_guest), "start");
		toucher->vcpu.run->regs[VMX_RBX] = AREA + i * each * PAGE;
		toucher->vcpu.run->regs[VMX_RCX] = each / distance;
		toucher->vcpu.run->regs[VMX_RDX] = distance * PAGE;
		toucher->start = &start;
		toucher->cpu = i;
	}
	for (int i = 0; i < vcpus; i++)
		check(!pthread_create(&touchers[i].thread, NULL, touch_on, &touchers[i]), "thread");
	for (int i = 0; i < vcpus; i++) {
		pthread_join(touchers[i].thread, NULL);
		if (touchers[i].began < began)
			began = touchers[i].began;
		if (touchers[i].ended > ended)
			ended = touchers[i].ended;
	}
	pthread_barrier_destroy(&start);
	return ended - began;
}

static uint64_t harvest(int mmu, uint64_t pages, uint64_t want)
{
	static uint64_t bitmap[1024 * MEGABYTE / PAGE / 64];
	uint64_t start;
	long dirty;

	memset(bitmap, 0, sizeof(bitmap));
	start = __rdtsc();
	dirty = mmu_dirty(mmu, AREA, pages * PAGE, bitmap);
	start = __rdtsc() - start;
	check(dirty == (long)want, "harvest");
	return start;
}

static void measure(void *at, uint64_t megabytes, int vcpus)
{
	const uint64_t length = megabytes * MEGABYTE, pages = length / PAGE;
	struct toucher touchers[MOST_VCPUS] = {};
	uint64_t start, costs[6];
	struct vmx_vm vm;
	static const char * const names[] = {
		"map", "fault", "harvest-100pct", "harvest-1pct", "harvest-1pct-bits", "unmap",
	};

	check(!vmx_vm_open(&vm, TEST_RAM), "vm");
	for (int i = 0; i < vcpus; i++)
		check(!vmx_vcpu_open(&touchers[i].vcpu, &vm), "vcpu");
	start = __rdtsc();
	for (uint64_t n = 0; n < length; n += CHUNK)
		check(!mmu_map(vm.mmu, AREA + n, at, CHUNK, RW), "MAP");
	costs[0] = __rdtsc() - start;
	costs[1] = touch(touchers, vcpus, pages, 1);
	check(!mmu_log(vm.mmu, VMX_DIRTY_WRITE_PROTECT), "LOG");
	touch(touchers, vcpus, pages, 1);
	costs[2] = harvest(vm.mmu, pages, pages);
	touch(touchers, vcpus, pages, 128);
	costs[3] = harvest(vm.mmu, pages, pages / 128);
	check(!mmu_log(vm.mmu, VMX_DIRTY_BITS), "LOG");
	touch(touchers, vcpus, pages, 128);
	costs[4] = harvest(vm.mmu, pages, pages / 128);
	check(!mmu_log(vm.mmu, VMX_DIRTY_OFF), "LOG");
	start = __rdtsc();
	check(!mmu_unmap(vm.mmu, AREA, length), "UNMAP");
	costs[5] = __rdtsc() - start;
	for (size_t n = 0; n < TEST_COUNT(costs); n++)
		printf("%lu %d %s %.1f\n", megabytes, vcpus, names[n], (double)costs[n] / pages);
	for (int i = 0; i < vcpus; i++)
		vmx_vcpu_close(&touchers[i].vcpu);
	vmx_vm_close(&vm);
}

int main(void)
{
	static const uint64_t sizes[] = { 16, 256, 1024 };
	void *at = new_memory(CHUNK);

	check(at != MAP_FAILED, "memory");
	/* An error is a kernel without huge pages. */
	madvise(at, CHUNK, MADV_NOHUGEPAGE);
	memset(at, 0, CHUNK);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t n = 0; n < TEST_COUNT(sizes); n++)
		for (int vcpus = 1; vcpus <= MOST_VCPUS; vcpus++)
			measure(at, sizes[n], vcpus);
	return 0;
}
