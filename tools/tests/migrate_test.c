// SPDX-License-Identifier: GPL-2.0
/*
 * Migrations between two machines whose vCPUs are made up. The first vCPU stamps pages in memory,
 * and finds a stamp that is lost. The second drives a disk, which writes pages that no vCPU writes.
 */
#include "fake_module.h"

#include <sys/mman.h>

#include <linux/virtio_blk.h>

#include "kselftest_harness.h"

#include <libvmx/debugger.h>
#include <libvmx/migrate.h>

#include "line.h"
#include "virtio_guest.h"

#define MEMORY		(4u << 20)
#define PAGE		4096
#define STAMPS		0x10
#define STAMPED		64
#define LATE		0x300	/* a page that is written after the stop */
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
	unsigned int flushed, released, regained, given_back;
	int alone[2];		/* a line whose other end nobody has */
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

static int flush(void *host, char *why)
{
	fixture *self = host;

	if (self->times && self->a->machine.still)
		set_timer(self);
	self->flushed++;
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

	self->target = receive(self);
	snprintf(self->why[1], sizeof(self->why[1]), "%s", self->target ? vmx_error() : "");
	/* As the end of a process does. */
	if (self->target && !self->finishing)
		shutdown(self->line.target, SHUT_RDWR);
	return NULL;
}

static void begin(fixture *self, const struct fault *fault)
{
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
	line_close(&self->line);
}

static void move(fixture *self, const struct fault *fault)
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
static bool runs(struct side *side)
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

TEST_F(migration, a_guest_moves)
{
	struct vmx_migration_status status;

	ASSERT_TRUE(gets_on(self->a));
	move(self, NULL);
	EXPECT_MOVED(self);
	EXPECT_EQ(2, self->flushed);
	EXPECT_EQ(1, self->released);
	EXPECT_EQ(0, self->regained);
	vmx_migration_read(&self->migration, &status);
	EXPECT_EQ(VMX_MIGRATION_DONE, status.phase);
	EXPECT_LT(STAMPED, status.pages);
	EXPECT_LT(1, status.round);
	EXPECT_EQ(status.downtime_ns, status.stop_ns + status.pages_ns + status.state_ns +
		  status.target_ns + status.resume_ns);
	EXPECT_GT(status.total_ns, status.downtime_ns);
	EXPECT_EQ(0, status.left);
	EXPECT_EQ(0, self->b->machine.power.gpe_status);
	EXPECT_EQ(NULL, self->a->machine.memory.written);
	EXPECT_FALSE(fake_logs);
}

/* Such as that of a virtio device with a full queue. */
TEST_F(migration, what_a_timer_writes_after_the_stop_is_copied)
{
	ASSERT_TRUE(gets_on(self->a));
	self->times = true;
	move(self, NULL);
	EXPECT_MOVED(self);
	EXPECT_EQ(0xff, self->b->machine.memory.ram[LATE * PAGE]);
}

/* It is paused there, too, until somebody resumes it. */
TEST_F(migration, a_paused_guest_stays_paused)
{
	ASSERT_TRUE(gets_on(self->a));
	ASSERT_EQ(0, vmx_machine_pause(&self->a->machine));
	self->paused = true;
	move(self, NULL);
	EXPECT_EQ(0, self->source) { TH_LOG("%s", self->why[0]); }
	EXPECT_EQ(0, self->target);
	EXPECT_FALSE(self->different);
	EXPECT_FALSE(runs(self->b));
	vmx_machine_resume(&self->b->machine);
	EXPECT_TRUE(gets_on(self->b));
}

TEST_F(migration, a_target_that_cannot_take_over_says_so)
{
	ASSERT_TRUE(gets_on(self->a));
	self->take_fails = true;
	move(self, NULL);
	EXPECT_EQ(-ECANCELED, self->source);
	EXPECT_STREQ("the other side gives up: the disk is in use", self->why[0]);
	EXPECT_EQ(-EBUSY, self->target);
	EXPECT_EQ(1, self->regained);
	EXPECT_TRUE(gets_on(self->a));
	EXPECT_FALSE(runs(self->b));
}

/* Two machines with one disk would be the end of it. */
TEST_F(migration, a_source_that_cannot_have_its_disks_again_stays_paused)
{
	ASSERT_TRUE(gets_on(self->a));
	self->take_fails = true;
	self->regain_fails = true;
	move(self, NULL);
	EXPECT_EQ(-EINPROGRESS, self->source);
	EXPECT_NE(NULL, strstr(self->why[0], "the other side gives up: the disk is in use; "));
	EXPECT_NE(NULL, strstr(self->why[0], "the guest cannot go on here: somebody has the disk"));
	EXPECT_EQ(VMX_MIGRATION_UNDECIDED, self->migration.status.phase);
	EXPECT_EQ(-EBUSY, self->target);
	EXPECT_FALSE(runs(self->a));
	EXPECT_FALSE(runs(self->b));
	vmx_machine_resume(&self->a->machine);
	EXPECT_TRUE(gets_on(self->a));
}

static void look_for_locks(void *context)
{
	fixture *self = context;

	self->early = self->released;
}

TEST_F(migration, a_source_keeps_its_disks_until_it_commits)
{
	const struct fault fault = {
		.name = "ready", .harm = LINE_HIT_BEFORE, .hit = look_for_locks, .context = self,
	};

	ASSERT_TRUE(gets_on(self->a));
	move(self, &fault);
	EXPECT_TRUE(self->line.done);
	EXPECT_EQ(0, self->early);
	EXPECT_EQ(1, self->released);
	EXPECT_MOVED(self);
}

static void expect_a_refusal(struct __test_metadata *_metadata, fixture *self, enum ending when)
{
	ASSERT_TRUE(gets_on(self->a));
	self->ends = when;
	move(self, NULL);
	EXPECT_EQ(-ECANCELED, self->source);
	EXPECT_STREQ("the other side gives up: the machine has ended", self->why[0]);
	EXPECT_EQ(-ESHUTDOWN, self->target);
	EXPECT_EQ(1, self->regained);
	EXPECT_TRUE(gets_on(self->a));
}

/* As when a user stops it, or a virtual CPU cannot run. */
TEST_F(migration, a_target_that_has_ended_does_not_take_over)
{
	expect_a_refusal(_metadata, self, IN_TIME);
	EXPECT_EQ(0, self->given_back);
}

TEST_F(migration, a_target_that_ends_while_it_takes_over_gives_back)
{
	expect_a_refusal(_metadata, self, LATER);
	EXPECT_EQ(1, self->given_back);
}

/* A feature that the target lacks is named before a page is sent. */
TEST_F(migration, a_target_that_lacks_something_says_so)
{
	ASSERT_TRUE(gets_on(self->a));
	self->a->machine.cpus[0].cpuid_count = 1;
	self->a->machine.cpus[0].cpuid[0] = (struct vmx_cpuid_entry){ .leaf = 1, .ecx = 1u << 20 };
	move(self, NULL);
	EXPECT_EQ(-ECANCELED, self->source);
	EXPECT_NE(NULL, strstr(self->why[0], "the other side gives up: ")) {
		TH_LOG("%s", self->why[0]);
	}
	EXPECT_EQ(0, self->migration.status.pages);
	EXPECT_EQ(0, self->released);
	EXPECT_TRUE(gets_on(self->a));
}

/* On a line that takes a fortieth of the memory in a second. */
static void begin_slowly(fixture *self)
{
	struct vmx_migration_status status;

	for (unsigned int n = 0; n < MEMORY / PAGE; n++)
		self->a->machine.memory.ram[n * PAGE + 100] |= 1;
	self->migration.config.bandwidth = MEMORY / 40;
	begin(self, NULL);
	do {
		vmx_migration_read(&self->migration, &status);
		sched_yield();
	} while (status.sent < MEMORY / 80);
}

TEST_F(migration, a_cancelled_one_leaves_the_guest)
{
	ASSERT_TRUE(gets_on(self->a));
	begin_slowly(self);
	EXPECT_TRUE(gets_on(self->a));
	EXPECT_TRUE(vmx_migration_cancel(&self->migration));
	end(self);
	EXPECT_EQ(-ECANCELED, self->source);
	EXPECT_STREQ("the migration was cancelled", self->why[0]);
	EXPECT_EQ(-ECANCELED, self->target);
	EXPECT_STREQ("the other side gives up: the migration was cancelled", self->why[1]);
	EXPECT_TRUE(gets_on(self->a));
	/* It can be tried again. */
	unmake(self->b);
	make(self->b, 1);
	self->migration.config.bandwidth = 0;
	move(self, NULL);
	EXPECT_MOVED(self);
	EXPECT_FALSE(vmx_migration_cancel(&self->migration));
}

TEST_F(migration, the_end_of_the_guest_ends_it)
{
	ASSERT_TRUE(gets_on(self->a));
	begin_slowly(self);
	vmx_machine_stop(&self->a->machine, VMX_END_RESET);
	end(self);
	EXPECT_EQ(-ESHUTDOWN, self->source);
	EXPECT_STREQ("the other side gives up: the guest has ended, or resets itself",
		     self->why[1]);
}

/* A side that says nothing, and has the line open. */
static void begin_alone(fixture *self)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, self->alone))
		abort();
	self->migration.config = (struct vmx_migration_config){ .fd = self->alone[0] };
	self->migration.cancelled = false;
	self->migration.status = (struct vmx_migration_status){ .phase = VMX_MIGRATION_NONE };
	if (pthread_create(&self->threads[0], NULL, send_it, self))
		abort();
}

static void end_alone(fixture *self)
{
	pthread_join(self->threads[0], NULL);
	close(self->alone[0]);
	close(self->alone[1]);
}

TEST_F(migration, the_end_of_the_guest_is_seen_by_who_waits_for_the_target)
{
	ASSERT_TRUE(gets_on(self->a));
	begin_alone(self);
	usleep(100000);
	vmx_machine_stop(&self->a->machine, VMX_END_STOPPED);
	end_alone(self);
	EXPECT_EQ(-ESHUTDOWN, self->source);
}

/* The source hears the reason although it cannot send any more. */
TEST_F(migration, a_target_that_refuses_and_goes_is_heard)
{
	struct wire wire = { .fd = -1 };

	ASSERT_TRUE(gets_on(self->a));
	begin_alone(self);
	wire.fd = self->alone[1];
	EXPECT_EQ(0, wire_receive_head(&wire));
	shutdown(wire.fd, SHUT_RD);
	EXPECT_EQ(0, wire_send_head(&wire));
	vmx_fail(ENOMEM, "no memory");
	wire_give_up(&wire, &message_refuse);
	end_alone(self);
	EXPECT_EQ(-ECANCELED, self->source);
	EXPECT_STREQ("the other side gives up: no memory", self->why[0]);
	EXPECT_TRUE(gets_on(self->a));
}

TEST_F(migration, one_that_was_cancelled_before_it_began_does_not_begin)
{
	struct vmx_migration_status status;

	ASSERT_TRUE(gets_on(self->a));
	self->migration.cancelled = true;
	self->migration.config = (struct vmx_migration_config){ .fd = -1 };
	send_it(self);
	EXPECT_EQ(-ECANCELED, self->source);
	vmx_migration_read(&self->migration, &status);
	EXPECT_EQ(VMX_MIGRATION_FAILED, status.phase);
	EXPECT_EQ(0, status.sent);
	EXPECT_TRUE(gets_on(self->a));
}

static void cancel(void *context)
{
	fixture *self = context;

	self->late = !vmx_migration_cancel(&self->migration);
	/* The answer comes after it, if at all. */
	usleep(100000);
}

/* A commit that nobody acknowledges does not keep the source for ever. */
TEST_F(migration, a_commit_that_is_cancelled_is_undecided)
{
	const struct fault fault = {
		.name = "acknowledge", .harm = LINE_HIT_BEFORE, .hit = cancel, .context = self,
	};

	ASSERT_TRUE(gets_on(self->a));
	move(self, &fault);
	EXPECT_TRUE(self->line.done);
	EXPECT_TRUE(self->late);
	EXPECT_EQ(-EINPROGRESS, self->source);
	EXPECT_FALSE(runs(self->a));
	EXPECT_TRUE(gets_on(self->b));
}

TEST_F(migration, a_bandwidth_is_kept)
{
	struct vmx_migration_status status;

	ASSERT_TRUE(gets_on(self->a));
	for (unsigned int n = 0; n < MEMORY / PAGE; n++)
		self->a->machine.memory.ram[n * PAGE + 100] |= 1;
	self->migration.config.bandwidth = 4 * MEMORY;
	move(self, NULL);
	EXPECT_MOVED(self);
	vmx_migration_read(&self->migration, &status);
	EXPECT_LE(MEMORY, status.sent);
	/* But for the last message. */
	EXPECT_GE(status.total_ns,
		  (status.sent - MESSAGE_PAGES * PAGE) * 1000000000 / (4 * MEMORY));
}

/* It writes 64 pages all the time, and the line takes 25 of them in 100 ms. */
TEST_F_TIMEOUT(migration, a_guest_that_outruns_the_line_is_slowed_down, 120)
{
	struct vmx_migration_status status;

	ASSERT_TRUE(gets_on(self->a));
	self->migration.config.bandwidth = 4 << 20;
	self->migration.config.downtime_ms = 1;
	self->migration.config.throttle = true;
	begin(self, NULL);
	do {
		vmx_migration_read(&self->migration, &status);
		sched_yield();
	} while (!status.braked_ns);
	EXPECT_LE(20, status.throttle);
	EXPECT_TRUE(gets_on(self->a));
	EXPECT_TRUE(vmx_migration_cancel(&self->migration));
	end(self);
	EXPECT_EQ(-ECANCELED, self->source);
	EXPECT_FALSE(self->a->machine.braked);
	EXPECT_TRUE(gets_on(self->a));
}

/* Packs pages to one byte each that they have throughout. */
static unsigned int packs, unpacks;

static size_t pack(void *to, size_t room, const void *from, size_t length)
{
	const unsigned char *at = from;
	size_t count = 0;

	for (; length; at += PAGE, length -= PAGE) {
		if (memcmp(at, at + 1, PAGE - 1))
			return 0;
		((unsigned char *)to)[count++] = *at;
	}
	packs++;
	return count;
}

static bool unpack(void *to, size_t length, const void *from, size_t packed)
{
	if (length != packed * PAGE)
		return false;
	for (size_t n = 0; n < packed; n++)
		memset((char *)to + n * PAGE, ((const char *)from)[n], PAGE);
	unpacks++;
	return true;
}

TEST_F(migration, pages_are_packed)
{
	static const struct vmx_migration_codec codec = { pack, unpack };

	ASSERT_TRUE(gets_on(self->a));
	memset(self->a->machine.memory.ram + MEMORY / 2, 0x77, MEMORY / 4);
	self->migration.config.codec = &codec;
	move(self, NULL);
	EXPECT_MOVED(self);
	EXPECT_LT(0, packs);
	EXPECT_EQ(packs, unpacks);
}

/* Cuts */

enum {
	SOURCE = 1,		/* has the guest afterwards */
	TARGET = 2,
	NOBODY = 4,		/* both are paused, and hold it */
};

/* At each message, in turn: who may have the guest then. */
static const struct {
	const char *name;
	enum harm harm;
	unsigned int who;
} cuts[] = {
	{ HEAD, LINE_CUT_BEFORE, SOURCE }, { HEAD, LINE_CUT_WITHIN, SOURCE },
	{ HEAD, LINE_CUT_AFTER, SOURCE }, { "offer", LINE_CUT_BEFORE, SOURCE },
	{ "offer", LINE_CUT_WITHIN, SOURCE }, { "offer", LINE_CUT_AFTER, SOURCE },
	{ "accept", LINE_CUT_BEFORE, SOURCE }, { "accept", LINE_CUT_WITHIN, SOURCE },
	{ "accept", LINE_CUT_AFTER, SOURCE }, { "pages", LINE_CUT_BEFORE, SOURCE },
	{ "pages", LINE_CUT_WITHIN, SOURCE }, { "pages", LINE_CUT_AFTER, SOURCE },
	{ "round", LINE_CUT_BEFORE, SOURCE }, { "round", LINE_CUT_WITHIN, SOURCE },
	{ "round", LINE_CUT_AFTER, SOURCE }, { "received", LINE_CUT_BEFORE, SOURCE },
	{ "received", LINE_CUT_WITHIN, SOURCE }, { "received", LINE_CUT_AFTER, SOURCE },
	{ "state", LINE_CUT_BEFORE, SOURCE }, { "state", LINE_CUT_WITHIN, SOURCE },
	/* The answer may be through before the line is cut, or not. */
	{ "state", LINE_CUT_AFTER, SOURCE | NOBODY }, { "ready", LINE_CUT_BEFORE, SOURCE },
	{ "ready", LINE_CUT_WITHIN, SOURCE },
	/* So may the commit. */
	{ "ready", LINE_CUT_AFTER, SOURCE | NOBODY },
	{ "commit", LINE_CUT_BEFORE, NOBODY }, { "commit", LINE_CUT_WITHIN, NOBODY },
	{ "commit", LINE_CUT_AFTER, NOBODY | TARGET },
	{ "acknowledge", LINE_CUT_BEFORE, TARGET }, { "acknowledge", LINE_CUT_WITHIN, TARGET },
	{ "acknowledge", LINE_CUT_AFTER, TARGET }, { "running", LINE_CUT_BEFORE, TARGET },
	{ "running", LINE_CUT_WITHIN, TARGET }, { "running", LINE_CUT_AFTER, TARGET },
};

/* What came of it, by what both sides said and did; 0 is impossible. */
static unsigned int outcome(fixture *self)
{
	bool a = runs(self->a), b = self->finishing && runs(self->b);

	if (a && b)
		return 0;
	if (a)
		return self->source && self->source != -EINPROGRESS && self->target ? SOURCE : 0;
	if (b)
		return self->source && self->source != -EINPROGRESS ? 0 :
		       self->target ? 0 : TARGET;
	return self->source == -EINPROGRESS && self->target == -EINPROGRESS ? NOBODY : 0;
}

static void judge(struct __test_metadata *_metadata, fixture *self, const struct fault *fault,
		  unsigned int who)
{
	unsigned int found;

	ASSERT_TRUE(gets_on(self->a));
	move(self, fault);
	ASSERT_TRUE(self->line.done);
	found = outcome(self);
	EXPECT_NE(0, found & who) {
		TH_LOG("%s, %d: %u for %u; source %d (%s), target %d (%s)", fault->name,
		       fault->harm, found, who, self->source, self->why[0], self->target,
		       self->why[1]);
	}
	EXPECT_FALSE(self->different);
	/* A person decides. */
	if (found == NOBODY)
		vmx_machine_resume(&self->a->machine);
	EXPECT_TRUE(gets_on(found == TARGET ? self->b : self->a));
}

TEST_F_TIMEOUT(migration, the_line_is_cut_at_each_message, 300)
{
	for (size_t n = 0; n < COUNT(cuts); n++) {
		const struct fault fault = { .name = cuts[n].name, .harm = cuts[n].harm };

		judge(_metadata, self, &fault, cuts[n].who);
		unmake_both(self);
		make_both(self);
	}
}

/* A bit that is another one is found out, and before the commit nothing has happened. */
TEST_F_TIMEOUT(migration, a_bit_changes_in_each_message, 300)
{
	static const char *const names[] = {
		HEAD, "offer", "accept", "pages", "round", "received", "state", "ready",
	};

	for (size_t n = 0; n < COUNT(names); n++) {
		const struct fault fault = {
			.name = names[n], .harm = LINE_FLIP, .bit = 7 + 331 * n,
		};

		judge(_metadata, self, &fault, SOURCE);
		unmake_both(self);
		make_both(self);
	}
}

TEST_HARNESS_MAIN
