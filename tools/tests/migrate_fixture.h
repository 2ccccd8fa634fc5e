/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two machines whose vCPUs are made up, and a line between them. The first vCPU stamps pages in
 * memory, and finds a stamp that is lost. The second drives a disk, which writes pages that no vCPU
 * writes.
 */
#ifndef MIGRATE_FIXTURE_H
#define MIGRATE_FIXTURE_H

#include "fake_module.h"

#include <sys/mman.h>

#include <linux/virtio_blk.h>

#include "kselftest_harness.h"

#include <libvmx/debugger.h>
#include <libvmx/migrate.h>

#include "../migrate/untouched.h"

#include "line.h"
#include "virtio_guest.h"

#define MEMORY		(4u << 20)
#define PAGE		4096
#define STAMPS		0x10
#define STAMPED		64
#define LATE		0x300	/* a page that is written after the stop */
#define UNTOUCHED	0x3f0
#define BLINKING	(STAMPS + STAMPED)
#define SECTORS		8
#define HEADER		DATA
#define SECTOR		(DATA + 0x1000)
#define STATUS		(DATA + 0x2000)

#define WAIT_FOR(condition) do {	\
	while (!(condition))		\
		sched_yield();		\
} while (0)

/* What the guest has in its second page. */
struct position {
	uint64_t round, page, bad, requests;
};

static struct position *position(void *ram)
{
	return (struct position *)((char *)ram + PAGE);
}

static void stamp(void *ram)
{
	struct position *at = position(ram);
	volatile uint64_t *word = (uint64_t *)((char *)ram + (STAMPS + at->page) * PAGE);

	at->bad += *word != at->round;
	*word = at->round + 1;
	fake_wrote(STAMPS + at->page);
	if (++at->page == STAMPED) {
		at->page = 0;
		at->round++;
		/* All zeroes, and then not. */
		memset((char *)ram + BLINKING * PAGE, at->round & 1, PAGE);
		fake_wrote(BLINKING);
	}
	fake_wrote(1);
}

struct side {
	struct vmx_machine machine;
	struct vmx_virtio_blk blk;
	struct guest guest;
	int disk;
	pthread_t runner;
	bool runs;
};

static struct side *sides[FAKE_MACHINES];

static void offer_read(struct guest *guest, unsigned int sector)
{
	struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN, .sector = sector };

	memcpy(at(guest, HEADER), &header, sizeof(header));
	describe(guest, 0, 0, HEADER, sizeof(header), NEXT, 1);
	describe(guest, 0, 1, SECTOR, 512, NEXT | WRITE, 2);
	describe(guest, 0, 2, STATUS, 1, WRITE, 0);
	*(volatile char *)at(guest, STATUS) = 0x7f;
	offer(guest, 0, 0);
}

/* The driver's own pages: descriptors, its ring, the header, the status. Not the device's. */
static void note_driver(void)
{
	static const uint64_t pages[] = { RAM, RAM + DRIVER, HEADER, STATUS };

	for (size_t n = 0; n < COUNT(pages); n++)
		fake_wrote(pages[n] / PAGE);
}

static void drive(void *ram)
{
	struct side *side = ram == sides[0]->machine.memory.ram ? sides[0] : sides[1];
	struct position *counts = position(ram);
	struct guest *guest = &side->guest;
	volatile char *status = at(guest, STATUS);
	unsigned int sector = counts->requests % SECTORS;

	if (counts->requests && *status == 0x7f)
		return;
	if (counts->requests)
		counts->bad += *(char *)at(guest, SECTOR) != (char)('A' + sector);
	pthread_mutex_lock(&side->machine.lock);
	/* At rest nothing of the guest's runs, this thread either. */
	if (!side->machine.quiet.wanted && side->machine.end == VMX_END_NONE) {
		counts->requests++;
		fake_wrote(1);
		offer_read(guest, counts->requests % SECTORS);
		note_driver();
		kick(guest, 0);
	}
	pthread_mutex_unlock(&side->machine.lock);
}

FIXTURE(migration) {
	struct side *a, *b;
	struct vmx_migration migration;
	struct line line;
	int source, target;	/* what the sides returned */
	bool finishing;		/* the target waits for the commit */
	bool paused;
	bool different;		/* memory, when the target took over */
	bool take_fails;
	struct vmx_timer timer;	/* of a device, due when the guest has stopped */
	bool times;
	bool regain_fails;
	enum ending { IN_TIME = 1, LATER } ends;	/* the target, before it takes over */
	bool touched;		/* the source's page UNTOUCHED, when its first round was over */
	unsigned int flushed, released, regained, given_back;
	int alone[2];		/* a line whose other end nobody has */
	/* Makes another line of what a side has; false if it cannot. */
	bool (*wrap)(struct line *line, bool source);
	bool late;		/* it could not be cancelled */
	unsigned int early;	/* times released when the target was not ready */
	char why[2][400];
	pthread_t threads[2];
};

typedef FIXTURE_DATA(migration) fixture;

static void make(struct side *side, unsigned int number)
{
	struct vmx_machine *machine = &side->machine;
	unsigned char *ram = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vmx_virtio_machine virtio;

	memset(side, 0, sizeof(*side));
	machine->config = (struct vmx_machine_config){ .memory = MEMORY, .cpus = FAKE_CPUS };
	side->disk = memfd_create("disk", 0);
	for (unsigned int n = 0; n < SECTORS; n++) {
		char sector[512];

		memset(sector, 'A' + n, sizeof(sector));
		if (write(side->disk, sector, sizeof(sector)) != sizeof(sector))
			abort();
	}
	if (fake_machine(machine, number, ram))
		abort();
	virtio = vmx_machine_virtio(machine);
	if (vmx_virtio_blk_init(&side->blk, &virtio, side->disk, false, NULL) ||
	    vmx_machine_add(machine, &side->blk.virtio.pci) != SLOT ||
	    vmx_virtio_blk_start(&side->blk, &machine->lock))
		abort();
	side->guest.ports = &machine->ports;
	side->guest.memory = &machine->mmio;
	side->guest.ram = ram + RAM;
	fakes[number * FAKE_CPUS].turn = stamp;
	fakes[number * FAKE_CPUS + 1].turn = drive;
}

static void unmake(struct side *side)
{
	vmx_machine_stop(&side->machine, VMX_END_STOPPED);
	if (side->runs)
		pthread_join(side->runner, NULL);
	vmx_virtio_blk_stop(&side->blk);
	vmx_virtio_close(&side->blk.virtio);
	vmx_bus_free(&side->machine.ports);
	vmx_bus_free(&side->machine.mmio);
	munmap(side->machine.memory.ram, MEMORY);
	close(side->disk);
}

static void *run_machine(void *machine)
{
	vmx_machine_run(machine);
	return NULL;
}

static void start(struct side *side)
{
	side->runs = !pthread_create(&side->runner, NULL, run_machine, &side->machine);
}

static void make_both(fixture *self)
{
	make(self->a, 0);
	make(self->b, 1);
	guest_find(&self->a->guest);
	guest_start(&self->a->guest, VERSION_1, 16);
	start(self->a);
}

static void unmake_both(fixture *self)
{
	unmake(self->a);
	unmake(self->b);
}

FIXTURE_SETUP(migration)
{
	self->a = malloc(sizeof(*self->a));
	self->b = malloc(sizeof(*self->b));
	sides[0] = self->a;
	sides[1] = self->b;
	pthread_mutex_init(&self->migration.lock, NULL);
	make_both(self);
}

FIXTURE_TEARDOWN(migration)
{
	unmake_both(self);
	free(self->a);
	free(self->b);
}

/* The two sides */

static void expire(void *device)
{
	struct vmx_machine *machine = device;

	unsigned char *page = machine->memory.ram + LATE * PAGE;

	*page ^= 0xff;
	vmx_memory_wrote(&machine->memory, page, 1);
}

static void set_timer(fixture *self)
{
	struct vmx_machine *machine = &self->a->machine;

	self->timer = (struct vmx_timer){ .expire = expire, .device = machine };
	pthread_mutex_lock(&machine->lock);
	vmx_timer_set(&machine->clock, &self->timer, 0);
	pthread_mutex_unlock(&machine->lock);
}

static bool is_touched(const void *page)
{
	struct untouched untouched;
	bool is;

	untouched_begin(&untouched);
	is = !untouched_is(&untouched, page);
	untouched_end(&untouched);
	return is;
}

static int flush(void *host, char *why)
{
	fixture *self = host;

	if (self->times && self->a->machine.still)
		set_timer(self);
	if (!self->flushed++)
		self->touched = is_touched(self->a->machine.memory.ram + UNTOUCHED * PAGE);
	return 0;
}

static int release(void *host, bool *paused, char *why)
{
	fixture *self = host;

	self->released++;
	*paused = self->paused;
	return 0;
}

static int regain(void *host, char *why)
{
	fixture *self = host;

	self->regained++;
	snprintf(why, VMX_MIGRATION_WHY, "somebody has the disk");
	return self->regain_fails ? -EBUSY : 0;
}

/* The source is at rest: what it has is what was to be copied. */
static int take(void *host, char *why)
{
	fixture *self = host;

	self->different = memcmp(self->a->machine.memory.ram, self->b->machine.memory.ram, MEMORY);
	for (unsigned int n = 0; self->different && n < MEMORY / PAGE; n++)
		if (memcmp(self->a->machine.memory.ram + n * PAGE,
			   self->b->machine.memory.ram + n * PAGE, PAGE))
			printf("# page %#x differs\n", n);
	/* What the driver knows beside the memory. */
	memcpy(self->b->guest.queues, self->a->guest.queues, sizeof(self->b->guest.queues));
	self->b->guest.notify = self->a->guest.notify;
	self->b->guest.multiplier = self->a->guest.multiplier;
	snprintf(why, VMX_MIGRATION_WHY, "the disk is in use");
	if (self->ends == LATER)
		vmx_machine_stop(&self->b->machine, VMX_END_STOPPED);
	return self->take_fails ? -EBUSY : 0;
}

static void give_back(void *host)
{
	((fixture *)host)->given_back++;
}

static void *send_it(void *arg)
{
	fixture *self = arg;

	if (self->wrap) {
		if (!self->wrap(&self->line, true))
			abort();
		self->migration.config.fd = self->line.source;
	}
	self->source = vmx_machine_migrate(&self->a->machine, &self->migration);
	snprintf(self->why[0], sizeof(self->why[0]), "%s", self->source ? vmx_error() : "");
	return NULL;
}

static int receive(fixture *self)
{
	struct vmx_incoming *incoming;
	struct vmx_saved_config config;
	bool paused;
	int ret = vmx_incoming_open(&incoming, self->line.target, self->migration.config.codec,
				    &config);

	if (ret)
		return ret;
	if (config.memory != MEMORY || config.cpus != FAKE_CPUS)
		abort();
	ret = vmx_incoming_check(incoming, &self->b->machine);
	unmake(self->b);
	make(self->b, 1);
	ret = ret ?: vmx_incoming_receive(incoming, &self->b->machine);
	self->finishing = !ret;
	if (!ret) {
		if (self->ends == IN_TIME)
			vmx_machine_stop(&self->b->machine, VMX_END_STOPPED);
		else
			start(self->b);
		ret = vmx_incoming_finish(incoming, &self->b->machine, take, give_back, self,
					  &paused);
		if (!ret && paused != self->paused)
			abort();
	}
	vmx_incoming_close(incoming);
	return ret;
}

static void *receive_it(void *arg)
{
	fixture *self = arg;

	if (self->wrap && !self->wrap(&self->line, false))
		abort();
	self->target = receive(self);
	snprintf(self->why[1], sizeof(self->why[1]), "%s", self->target ? vmx_error() : "");
	/* As the end of a process does. */
	if (self->target && !self->finishing)
		shutdown(self->line.target, SHUT_RDWR);
	return NULL;
}

static void begin(fixture *self, const struct fault *fault)
{
	if (self->wrap)
		line_pair(&self->line);
	else
		line_open(&self->line, fault);
	self->migration.config.fd = self->line.source;
	self->migration.config.flush = flush;
	self->migration.config.release = release;
	self->migration.config.regain = regain;
	self->migration.config.host = self;
	self->migration.cancelled = false;
	self->migration.status = (struct vmx_migration_status){ .phase = VMX_MIGRATION_NONE };
	self->finishing = false;
	if (pthread_create(&self->threads[0], NULL, send_it, self) ||
	    pthread_create(&self->threads[1], NULL, receive_it, self))
		abort();
}

static void end(fixture *self)
{
	pthread_join(self->threads[0], NULL);
	pthread_join(self->threads[1], NULL);
	if (self->wrap)
		line_part(&self->line);
	else
		line_close(&self->line);
}

static inline void move(fixture *self, const struct fault *fault)
{
	begin(self, fault);
	end(self);
}

static bool is_at_rest(struct side *side)
{
	bool still;

	pthread_mutex_lock(&side->machine.lock);
	still = vmx_machine_is_paused(&side->machine);
	pthread_mutex_unlock(&side->machine.lock);
	return still;
}

/* What is at rest does nothing, either. */
static inline bool runs(struct side *side)
{
	const struct position *at = position(side->machine.memory.ram);
	uint64_t page = at->page;

	if (!side->runs)
		return false;
	if (!is_at_rest(side))
		return true;
	for (unsigned int n = 0; n < 50; n++)
		sched_yield();
	return at->page != page;
}

static bool gets_on(struct side *side)
{
	struct position *at = position(side->machine.memory.ram);
	uint64_t round = at->round, requests = at->requests;

	WAIT_FOR(at->round > round + 3 && at->requests > requests + 3);
	return !at->bad;
}

#define EXPECT_MOVED(self) do {								\
	EXPECT_EQ(0, (self)->source) { TH_LOG("%s", (self)->why[0]); }			\
	EXPECT_EQ(0, (self)->target) { TH_LOG("%s", (self)->why[1]); }			\
	EXPECT_FALSE((self)->different);						\
	EXPECT_TRUE(gets_on((self)->b));						\
	EXPECT_FALSE(runs((self)->a));							\
} while (0)

#endif /* MIGRATE_FIXTURE_H */
