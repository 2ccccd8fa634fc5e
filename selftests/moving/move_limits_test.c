// SPDX-License-Identifier: GPL-2.0
/*
 * The limits of a migration, as a user sets them: what it decides by them, and how many bytes it
 * sends. The guest writes a megabyte all the time, which no line that is limited so takes.
 * limit: 20G
 */
#include "lib/move_fixture.h"

#define START_SOURCE() do {								\
	setenv("XDG_RUNTIME_DIR", self->folder, 1);					\
	START(stamper, OPTIONS("--name", "here"));					\
	ASSERT_TRUE(heard(self, "R"));							\
} while (0)

#define START_TARGET() do {								\
	start_target(self, NULL);							\
	ASSERT_TRUE(is_there(self, "line"));						\
} while (0)

/* A number in the JSON that was said last. */
static unsigned long long number(const char *name)
{
	char key[40];
	const char *found;

	snprintf(key, sizeof(key), "\"%s\":", name);
	found = strstr(said, key);
	return found ? strtoull(found + strlen(key), NULL, 10) : 0;
}

/* Until NAME of the migration that is on its way is LEAST. */
static bool gets_to(fixture *self, const char *name, unsigned long long least)
{
	const struct timespec tick = { .tv_nsec = 200000000 };

	for (int n = 0; n < PATIENCE * 5; n++) {
		if (!command(self, "vmxctl migration --json here") && number(name) >= least)
			return true;
		nanosleep(&tick, NULL);
	}
	return false;
}

/* Begins one that does not end by itself. What it says is in the file REPORT. */
static pid_t begin_endless(fixture *self, const char *option)
{
	char address[80], path[80];
	pid_t child = fork();
	int report;

	if (child)
		return child;
	snprintf(address, sizeof(address), "unix:%s/line", self->folder);
	snprintf(path, sizeof(path), "%s/report", self->folder);
	report = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	dup2(report, STDOUT_FILENO);
	dup2(report, STDERR_FILENO);
	execlp("vmxctl", "vmxctl", "migrate", "--downtime", "1", "--bandwidth", "4M", "here",
	       address, option, NULL);
	_exit(127);
}

#define EXPECT_CANCELLED(child) do {							\
	EXPECT_COMMAND(0, "vmxctl cancel here");					\
	EXPECT_EQ(1, wait_for(child));							\
	EXPECT_EQ(125, wait_for(there.child));						\
	EXPECT_COMMAND(0, "cat report");						\
	EXPECT_NE(NULL, strstr(said, "cancelled")) { TH_LOG("%s", said); }		\
} while (0)

/* However many rounds: the stop would take longer than it may. Nothing slows the guest down. */
TEST_F(vmxrun, copying_goes_on_until_the_stop_is_short)
{
	pid_t child;

	START_SOURCE();
	START_TARGET();
	child = begin_endless(self, NULL);
	/* More than those that are for a shorter stop alone. */
	EXPECT_TRUE(gets_to(self, "round", 9)) { TH_LOG("%s", said); }
	EXPECT_EQ(0, number("throttle"));
	EXPECT_EQ(0, number("braked_ns"));
	EXPECT_LT(1, number("estimate_ms"));
	EXPECT_CANCELLED(child);
	type(self, "q");
	EXPECT_STATUS(1);
}

TEST_F(vmxrun, a_guest_is_slowed_down_if_a_user_says_so)
{
	pid_t child;

	START_SOURCE();
	START_TARGET();
	child = begin_endless(self, "--throttle");
	EXPECT_TRUE(gets_to(self, "throttle", 40)) { TH_LOG("%s", said); }
	EXPECT_TRUE(gets_to(self, "braked_ns", 1)) { TH_LOG("%s", said); }
	EXPECT_CANCELLED(child);
	type(self, "q");
	EXPECT_STATUS(1);
}

/* A stop of any length will do: there are rounds only as long as each is much shorter. */
TEST_F(vmxrun, bytes_go_no_faster_than_a_user_says)
{
	START_SOURCE();
	START_TARGET();
	EXPECT_COMMAND(0, "vmxctl migrate --downtime 90000 --bandwidth 2M --json here unix:line");
	EXPECT_LE(1, number("round"));
	/* Another one after the disks were flushed, and what is left in the stop. */
	EXPECT_GE(8 + 2, number("round"));
	EXPECT_LE(STAMP_PAGES * 4096, number("sent"));
	/* But for the last pages and the state. A byte has 476 ns. */
	EXPECT_GE(number("total_ns"), (number("sent") - (512 << 10)) * 476);
	EXPECT_STATUS(120);
	EXPECT_EQ(1, end_target());
}

VMX_TEST_MAIN
