// SPDX-License-Identifier: GPL-2.0
/* Migrations between two machines whose vCPUs are made up. */
#include "migrate_fixture.h"

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

/* To look whether it is zeroes would give it memory. */
TEST_F(migration, what_nobody_touched_is_not_read)
{
	unsigned char *page = self->a->machine.memory.ram + UNTOUCHED * PAGE;

	if (is_touched(page))
		SKIP(return, "the kernel does not tell, or gives large pages");
	ASSERT_TRUE(gets_on(self->a));
	move(self, NULL);
	EXPECT_MOVED(self);
	EXPECT_FALSE(self->touched);
}

/* Nobody touched it either, and it is the file's. */
TEST_F(migration, what_an_image_has_is_read)
{
	unsigned char *page = self->a->machine.memory.ram + UNTOUCHED * PAGE;
	int fd = memfd_create("image", 0);

	ASSERT_EQ(0, ftruncate(fd, PAGE));
	ASSERT_EQ(4, pwrite(fd, "page", 4, 0));
	ASSERT_EQ(page, mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0));
	close(fd);
	self->a->machine.memory.image = true;
	ASSERT_TRUE(gets_on(self->a));
	move(self, NULL);
	EXPECT_MOVED(self);
	EXPECT_EQ(0, memcmp(self->b->machine.memory.ram + UNTOUCHED * PAGE, "page", 4));
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
	for (unsigned int n = STAMPS; n < STAMPS + STAMPED; n++)
		fake_dirty_always[n / 64] |= 1ull << n % 64;
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

TEST_HARNESS_MAIN
