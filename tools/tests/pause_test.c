// SPDX-License-Identifier: GPL-2.0
/* Pauses of a machine whose vCPUs are made up: a RUN that counts until it is kicked. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#include <linux/virtio_blk.h>

#include "kselftest_harness.h"

#include <libvmx/debugger.h>

#include "../machine/internal.h"
#include "fake_module.h"
#include "virtio_guest.h"

#define MEMORY		(4u << 20)
#define CPUS		FAKE_CPUS
#define VECTOR		0x41
/* Looks that another thread gets to do what it must not do. */
#define LOOKS		2000
#define HEADER		DATA
#define SECTOR		(DATA + 0x1000)
#define STATUS		(DATA + 0x2000)

/* The host's disk, which takes its time: the library's calls of preadv() come here. */
static volatile bool gate_closed, waited_for;

static void pass_gate(void)
{
	while (gate_closed) {
		waited_for = true;
		sched_yield();
	}
}

ssize_t preadv(int fd, const struct iovec *segments, int count, off_t offset)
{
	pass_gate();
	return syscall(SYS_preadv, fd, segments, count, offset, 0);
}

/* Nor does the one that a machine is saved to. */
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
	pass_gate();
	return syscall(SYS_pwrite64, fd, bytes, count, offset);
}

#define WAIT_FOR(condition) do {	\
	while (!(condition))		\
		sched_yield();		\
} while (0)

FIXTURE(paused) {
	struct vmx_machine machine;
	struct guest guest;
	struct vmx_virtio_blk blk;
	struct vmx_debugger debugger;
	unsigned int rooms;
	int fd;
	pthread_t runner;
	int ret;
	volatile bool done;
};

typedef FIXTURE_DATA(paused) fixture;

static void note_room(void *host)
{
	(*(unsigned int *)host)++;
}

static void *run_machine(void *machine)
{
	vmx_machine_run(machine);
	return NULL;
}

FIXTURE_SETUP(paused)
{
	struct vmx_machine *machine = &self->machine;
	unsigned char *ram = calloc(1, MEMORY);
	struct vmx_virtio_machine virtio;

	ASSERT_NE(NULL, ram);
	machine->config = (struct vmx_machine_config){
		.memory = MEMORY, .cpus = CPUS, .room = note_room, .host = &self->rooms,
	};
	ASSERT_EQ(0, fake_machine(machine, 0, ram));

	gate_closed = false;
	waited_for = false;
	self->fd = memfd_create("disk", 0);
	ASSERT_EQ(0, ftruncate(self->fd, 4096));
	virtio = vmx_machine_virtio(machine);
	ASSERT_EQ(0, vmx_virtio_blk_init(&self->blk, &virtio, self->fd, false, NULL));
	ASSERT_EQ(SLOT, vmx_machine_add(machine, &self->blk.virtio.pci));
	ASSERT_EQ(0, vmx_virtio_blk_start(&self->blk, &machine->lock));
	self->guest.ports = &machine->ports;
	self->guest.memory = &machine->mmio;
	self->guest.ram = ram + RAM;
	ASSERT_EQ(0, pthread_create(&self->runner, NULL, run_machine, machine));
}

FIXTURE_TEARDOWN(paused)
{
	vmx_machine_stop(&self->machine, VMX_END_STOPPED);
	pthread_join(self->runner, NULL);
	vmx_virtio_blk_stop(&self->blk);
	vmx_virtio_close(&self->blk.virtio);
	vmx_bus_free(&self->machine.ports);
	vmx_bus_free(&self->machine.mmio);
	free(self->machine.memory.ram);
	close(self->fd);
}

static bool all_count(void)
{
	const uint64_t before[] = { fakes[0].counted, fakes[1].counted };

	WAIT_FOR(fakes[0].counted > before[0] && fakes[1].counted > before[1]);
	return true;
}

static bool counts(void)
{
	const uint64_t before = fakes[0].counted + fakes[1].counted;

	for (unsigned int n = 0; n < LOOKS; n++)
		sched_yield();
	return fakes[0].counted + fakes[1].counted != before;
}

TEST_F(paused, nothing_runs_and_time_stands)
{
	struct vmx_machine *machine = &self->machine;
	uint64_t clock, tsc[CPUS], left, resumed;

	EXPECT_TRUE(all_count());
	ASSERT_EQ(0, vmx_machine_pause(machine));
	pthread_mutex_lock(&machine->lock);
	EXPECT_TRUE(vmx_machine_is_paused(machine));
	pthread_mutex_unlock(&machine->lock);
	clock = vmx_clock_now(&machine->clock);
	for (unsigned int n = 0; n < CPUS; n++) {
		EXPECT_FALSE(fakes[n].inside);
		tsc[n] = fakes[n].last_tsc;
	}
	left = __rdtsc();
	EXPECT_FALSE(counts());
	EXPECT_EQ(clock, vmx_clock_now(&machine->clock));
	EXPECT_EQ(0, self->rooms);

	resumed = __rdtsc();
	vmx_machine_resume(machine);
	EXPECT_TRUE(all_count());
	EXPECT_EQ(1, self->rooms);
	EXPECT_FALSE(vmx_machine_is_paused(machine));
	/* Both went on, and without the time that was waited. */
	EXPECT_GT(vmx_clock_now(&machine->clock), clock);
	EXPECT_LT(vmx_clock_now(&machine->clock) - clock, __rdtsc() - resumed);
	for (unsigned int n = 0; n < CPUS; n++) {
		EXPECT_EQ(machine->tsc_offset, fakes[n].tsc_offset);
		EXPECT_LT(fakes[n].last_tsc, __rdtsc() - (resumed - left));
		EXPECT_GT(fakes[n].last_tsc, tsc[n]);
		EXPECT_EQ(0, fakes[n].backwards);
	}
}

/* What the guest adds to its TSC stays, before and after. */
TEST_F(paused, an_adjusted_tsc_stays_adjusted)
{
	struct vmx_machine *machine = &self->machine;
	const uint64_t adjust = 1ull << 40;
	uint64_t value, before;

	ASSERT_EQ(0, vmx_machine_pause(machine));
	ASSERT_EQ(1, vmx_cpu_wrmsr(&machine->cpus[1], 0x3b, adjust));
	ASSERT_TRUE(vmx_cpu_rdmsr(&machine->cpus[1], 0x10, &before));
	ASSERT_TRUE(vmx_cpu_rdmsr(&machine->cpus[1], 0x10, &value));
	EXPECT_EQ(before, value);
	vmx_machine_resume(machine);
	EXPECT_EQ(machine->tsc_offset, fakes[0].tsc_offset);
	EXPECT_EQ(machine->tsc_offset + adjust, fakes[1].tsc_offset);
	ASSERT_EQ(0, vmx_machine_pause(machine));
	ASSERT_TRUE(vmx_cpu_rdmsr(&machine->cpus[1], 0x10, &value));
	EXPECT_GT(value, before);
	ASSERT_TRUE(vmx_cpu_rdmsr(&machine->cpus[1], 0x3b, &value));
	EXPECT_EQ(adjust, value);
	vmx_machine_resume(machine);
}

TEST_F(paused, an_instruction_is_done)
{
	ASSERT_TRUE(all_count());
	for (unsigned int n = 1; n <= 100; n++) {
		fakes[1].exit = true;
		ASSERT_EQ(0, vmx_machine_pause(&self->machine));
		/* It came to its exit, or was stopped before; not between. */
		EXPECT_EQ(0, fakes[1].run.retire);
		vmx_machine_resume(&self->machine);
		WAIT_FOR(!fakes[1].exit && fakes[1].inside);
		EXPECT_EQ(2 * n, fakes[1].rip);
	}
}

TEST_F(paused, an_interrupt_waits)
{
	struct vmx_machine *machine = &self->machine;

	ASSERT_TRUE(all_count());
	for (unsigned int n = 1; n <= 100; n++) {
		struct vmx_cpu *cpu = &machine->cpus[1];

		ASSERT_EQ(0, vmx_machine_pause(machine));
		pthread_mutex_lock(&machine->lock);
		vmx_apic_bus_msi(&machine->apics, 0xfee01000, VECTOR);
		EXPECT_EQ(VECTOR, vmx_lapic_pending(&cpu->lapic));
		pthread_mutex_unlock(&machine->lock);
		EXPECT_EQ(n - 1, fakes[1].events);
		vmx_machine_resume(machine);
		WAIT_FOR(fakes[1].events == n);
		pthread_mutex_lock(&machine->lock);
		vmx_lapic_write(&cpu->lapic, VMX_LAPIC_BASE + 0x0b0, 4, 0);
		pthread_mutex_unlock(&machine->lock);
	}
}

static void offer_read(struct guest *guest)
{
	struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN };

	memcpy(at(guest, HEADER), &header, sizeof(header));
	describe(guest, 0, 0, HEADER, sizeof(header), NEXT, 1);
	describe(guest, 0, 1, SECTOR, 512, NEXT | WRITE, 2);
	describe(guest, 0, 2, STATUS, 1, WRITE, 0);
	*(volatile char *)at(guest, STATUS) = 0x7f;
	offer(guest, 0, 0);
}

static void read_sector(struct guest *guest)
{
	offer_read(guest);
	kick(guest, 0);
}

static void *pause_it(void *arg)
{
	fixture *self = arg;

	self->ret = vmx_machine_pause(&self->machine);
	self->done = true;
	return NULL;
}

TEST_F(paused, a_request_is_done_and_the_next_waits)
{
	struct vmx_machine *machine = &self->machine;
	volatile char *status = at(&self->guest, STATUS);
	pthread_t pauser;

	pthread_mutex_lock(&machine->lock);
	guest_find(&self->guest);
	guest_start(&self->guest, VERSION_1, 16);
	gate_closed = true;
	read_sector(&self->guest);
	pthread_mutex_unlock(&machine->lock);
	WAIT_FOR(waited_for);
	ASSERT_EQ(0, pthread_create(&pauser, NULL, pause_it, self));
	for (unsigned int n = 0; n < LOOKS; n++)
		sched_yield();
	EXPECT_FALSE(self->done);
	EXPECT_EQ(0x7f, *status);
	gate_closed = false;
	pthread_join(pauser, NULL);
	EXPECT_EQ(0, self->ret);
	EXPECT_EQ(0, *status);

	pthread_mutex_lock(&machine->lock);
	read_sector(&self->guest);
	pthread_mutex_unlock(&machine->lock);
	for (unsigned int n = 0; n < LOOKS; n++)
		sched_yield();
	EXPECT_EQ(0x7f, *status);
	vmx_machine_resume(machine);
	WAIT_FOR(*status != 0x7f);
	EXPECT_EQ(0, *status);
}

/* As in a machine that was restored: the notification came to another one. */
TEST_F(paused, the_end_has_devices_look_at_their_queues)
{
	struct vmx_machine *machine = &self->machine;
	volatile char *status = at(&self->guest, STATUS);

	pthread_mutex_lock(&machine->lock);
	guest_find(&self->guest);
	guest_start(&self->guest, VERSION_1, 16);
	read_sector(&self->guest);
	pthread_mutex_unlock(&machine->lock);
	WAIT_FOR(*status != 0x7f);
	ASSERT_EQ(0, vmx_machine_pause(machine));
	offer_read(&self->guest);
	vmx_machine_resume(machine);
	WAIT_FOR(*status != 0x7f);
	EXPECT_EQ(0, *status);
}

TEST_F(paused, pauses_nest)
{
	ASSERT_EQ(0, vmx_machine_pause(&self->machine));
	ASSERT_EQ(0, vmx_machine_pause(&self->machine));
	vmx_machine_resume(&self->machine);
	EXPECT_FALSE(counts());
	EXPECT_TRUE(vmx_machine_is_paused(&self->machine));
	EXPECT_EQ(0, self->rooms);
	vmx_machine_resume(&self->machine);
	EXPECT_TRUE(all_count());
}

static void *wait_running(void *arg)
{
	fixture *self = arg;

	pthread_mutex_lock(&self->machine.lock);
	self->ret = vmx_machine_wait_running(&self->machine);
	pthread_mutex_unlock(&self->machine.lock);
	return NULL;
}

TEST_F(paused, the_end_ends_all_waits)
{
	pthread_t waiter;

	ASSERT_EQ(0, vmx_machine_pause(&self->machine));
	ASSERT_EQ(0, pthread_create(&waiter, NULL, wait_running, self));
	vmx_machine_stop(&self->machine, VMX_END_STOPPED);
	pthread_join(waiter, NULL);
	EXPECT_EQ(0, self->ret);
	EXPECT_EQ(-ESHUTDOWN, vmx_machine_pause(&self->machine));
	EXPECT_EQ(1, self->machine.quiet.wanted);
}

static void *save_it(void *arg)
{
	fixture *self = arg;
	int fd = memfd_create("saved", 0);

	self->ret = vmx_machine_save(&self->machine, fd);
	self->done = true;
	close(fd);
	return NULL;
}

/* Returns when the file takes its time with the first of the guest's pages. */
static pthread_t begin_to_save(fixture *self)
{
	pthread_t saver;

	/* More than is written in one go. */
	memset(self->machine.memory.ram, 1, MEMORY);
	gate_closed = true;
	pthread_create(&saver, NULL, save_it, self);
	WAIT_FOR(waited_for || self->done);
	return saver;
}

TEST_F(paused, nobody_waits_for_the_file_of_a_saved_machine)
{
	struct vmx_machine *machine = &self->machine;
	pthread_t saver;
	bool runs;

	ASSERT_EQ(0, vmx_machine_pause(machine));
	saver = begin_to_save(self);
	ASSERT_EQ(0, pthread_mutex_trylock(&machine->lock));
	pthread_mutex_unlock(&machine->lock);
	vmx_machine_resume(machine);
	runs = counts();
	gate_closed = false;
	pthread_join(saver, NULL);
	EXPECT_FALSE(runs);
	EXPECT_EQ(0, self->ret);
	EXPECT_TRUE(all_count());
}

TEST_F(paused, the_end_ends_a_saving)
{
	pthread_t saver;

	ASSERT_EQ(0, vmx_machine_pause(&self->machine));
	saver = begin_to_save(self);
	ASSERT_EQ(0, pthread_mutex_trylock(&self->machine.lock));
	pthread_mutex_unlock(&self->machine.lock);
	vmx_machine_stop(&self->machine, VMX_END_STOPPED);
	gate_closed = false;
	pthread_join(saver, NULL);
	EXPECT_EQ(-ESHUTDOWN, self->ret);
	EXPECT_EQ(1, self->machine.quiet.wanted);
	save_it(self);
	EXPECT_EQ(-ESHUTDOWN, self->ret);
}

static void no_event(void *host)
{
}

static void *debug_it(void *arg)
{
	fixture *self = arg;

	vmx_debugger_init(&self->debugger, &self->machine, no_event, NULL);
	return NULL;
}

/* It changes memory, and the file is to have none of that. */
TEST_F(paused, a_debugger_waits_for_the_file)
{
	pthread_t saver, debugging;

	ASSERT_EQ(0, vmx_machine_pause(&self->machine));
	saver = begin_to_save(self);
	ASSERT_EQ(0, pthread_create(&debugging, NULL, debug_it, self));
	for (unsigned int n = 0; n < LOOKS; n++)
		sched_yield();
	EXPECT_EQ(NULL, *(struct vmx_debugger *volatile *)&self->machine.debugger);
	gate_closed = false;
	pthread_join(saver, NULL);
	pthread_join(debugging, NULL);
	EXPECT_EQ(0, self->ret);
	vmx_debugger_detach(&self->debugger);
}

/* A debugger and a pause each keep a vCPU; it runs when neither does. */
TEST_F(paused, a_debugger_lets_go_meanwhile)
{
	static const uint8_t all[VMX_MACHINE_CPUS] = { VMX_GDB_RUN, VMX_GDB_RUN };
	const struct vmx_gdb_target *target = vmx_debugger_target();
	struct vmx_debugger *debugger = calloc(1, sizeof(*debugger));
	struct vmx_gdb_stop stop;

	ASSERT_NE(NULL, debugger);
	vmx_debugger_init(debugger, &self->machine, no_event, NULL);
	debugger->attached = true;
	ASSERT_EQ(0, vmx_debugger_wait(debugger, &stop));
	ASSERT_EQ(0, vmx_machine_pause(&self->machine));
	target->resume(debugger, all);
	EXPECT_FALSE(counts());
	vmx_machine_resume(&self->machine);
	EXPECT_TRUE(all_count());
	target->interrupt(debugger);
	ASSERT_EQ(0, vmx_debugger_wait(debugger, &stop));
	EXPECT_FALSE(counts());
	debugger->attached = false;
	vmx_debugger_detach(debugger);
	free(debugger);
	EXPECT_TRUE(all_count());
}

TEST_HARNESS_MAIN
