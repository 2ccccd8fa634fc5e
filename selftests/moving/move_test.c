// SPDX-License-Identifier: GPL-2.0
/*
 * A machine moves from one vmxrun to another while its guest stamps pages, with the same page
 * tables or others. Some steps at which a side can be killed are here, all in move_kill_test.
 * limit: 20G
 */
#include "lib/move_fixture.h"

static void move(struct __test_metadata *_metadata, fixture *self, const char *from,
		 const char *to)
{
	START_BOTH(from, to);
	EXPECT_COMMAND(0, "vmxctl migrate here unix:line");
	EXPECT_NE(NULL, strstr(said, "done after")) { TH_LOG("%s", said); }
	printf("# %s -> %s: %s", from, to, said);
	EXPECT_STATUS(120);
	EXPECT_TRUE(complained(self, "vmxrun: the machine has moved to unix:/"));
	EXPECT_COMMAND(0, "vmxctl info there");
	EXPECT_NE(NULL, strstr(said, "state     running")) { TH_LOG("%s", said); }
	EXPECT_COMMAND(1, "ls line");
	EXPECT_EQ(1, end_target());
}

TEST_F(vmxrun, from_ept_to_ept)
{
	NEED(VMX_HAS_EPT);
	move(_metadata, self, "ept", "ept");
}

TEST_F(vmxrun, from_shadow_to_shadow)
{
	move(_metadata, self, "shadow", "shadow");
}

TEST_F(vmxrun, from_ept_to_shadow)
{
	NEED(VMX_HAS_EPT);
	move(_metadata, self, "ept", "shadow");
}

/* Before the commit the source goes on, whoever is killed. */
TEST_F(vmxrun, the_target_is_killed_in_the_middle)
{
	START_BOTH("auto", "auto");
	EXPECT_LEFT(RUNS, "round", LINE_HIT_BEFORE, false);
}

/* The target has all of it, and was not told to go on: a person tells it. */
TEST_F(vmxrun, the_source_is_killed_before_it_commits)
{
	START_BOTH("auto", "auto");
	EXPECT_LEFT(UNDECIDED, "ready", LINE_HIT_BEFORE, true);
}

TEST_F(vmxrun, the_target_is_killed_when_it_is_told_to_go_on)
{
	START_BOTH("auto", "auto");
	EXPECT_LEFT(UNDECIDED, "commit", LINE_HIT_BEFORE, false);
}

TEST_F(vmxrun, the_source_is_killed_when_it_has_committed)
{
	START_BOTH("auto", "auto");
	EXPECT_LEFT(RUNS | UNDECIDED, "commit", LINE_HIT_AFTER, true);
}

static int pressed;

/* By the API, and by a signal, which is answered before the machine goes on. */
static void press_button(void *context)
{
	const struct timespec tick = { .tv_nsec = 10000000 };
	fixture *self = context;

	pressed = ask(self, "here", "PUT", "/vm/power-button", "");
	kill(self->child, SIGTERM);
	for (int n = 0; n < PATIENCE * 100 && !has_word(self->errors, "Terminated: "); n++)
		nanosleep(&tick, NULL);
}

/* Its state is on its way: whoever presses the button now is sent there. */
TEST_F(vmxrun, the_power_button_is_not_lost)
{
	const struct fault fault = {
		.name = "ready", .harm = LINE_HIT_BEFORE, .hit = press_button, .context = self,
	};

	START_BOTH("auto", "auto");
	EXPECT_EQ(0, move_over_line(self, &fault));
	EXPECT_EQ(409, pressed);
	EXPECT_NE(NULL, strstr(said, "the machine is being moved")) { TH_LOG("%s", said); }
	EXPECT_STATUS(120);
	EXPECT_TRUE(has_word(self->errors, "Terminated: the machine is being moved"));
	EXPECT_EQ(1, end_target());
}

/* What the target lacks is named, and the guest goes on. */
TEST_F(vmxrun, another_machine_is_refused)
{
	char disk[64];
	int fd;

	snprintf(disk, sizeof(disk), "%s/disk", self->folder);
	fd = open(disk, O_RDWR | O_CREAT, 0600);
	ASSERT_EQ(0, ftruncate(fd, 4096));
	close(fd);
	setenv("XDG_RUNTIME_DIR", self->folder, 1);
	START(stamper, OPTIONS("--name", "here"));
	ASSERT_TRUE(heard(self, "R"));
	start_target(self, (char *[]){ (char[]){ "--disk" }, disk, NULL });
	ASSERT_TRUE(is_there(self, "line"));
	EXPECT_COMMAND(0, "vmxctl info there");
	EXPECT_NE(NULL, strstr(said, "incoming")) { TH_LOG("%s", said); }
	EXPECT_COMMAND(1, "vmxctl pause there");
	EXPECT_NE(NULL, strstr(said, "the machine has not come yet")) { TH_LOG("%s", said); }
	EXPECT_COMMAND(1, "vmxctl migrate here unix:line");
	EXPECT_NE(NULL, strstr(said, "'pci-device' 1: the saved machine has no such part")) {
		TH_LOG("%s", said);
	}
	EXPECT_EQ(125, wait_for(there.child));
	EXPECT_COMMAND(1, "vmxctl migrate here unix:line");
	EXPECT_COMMAND(1, "vmxctl cancel here");
	EXPECT_COMMAND(1, "vmxctl migrate here tcp:nowhere");
	EXPECT_NE(NULL, strstr(said, "give tcp:HOST:PORT")) { TH_LOG("%s", said); }
	EXPECT_COMMAND(1, "vmxctl migrate --tls-creds /nowhere --tls-hostname there here exec:cat");
	EXPECT_NE(NULL, strstr(said, "/nowhere/ca-cert.pem: No such file")) { TH_LOG("%s", said); }
	EXPECT_COMMAND(1, "vmxctl resume --here here");
	type(self, "q");
	EXPECT_STATUS(1);
}

/* A target that fails on its own before it takes the machine has the source hear why. */
TEST_F(vmxrun, a_target_that_cannot_make_the_machine_says_so)
{
	static const struct {
		char *option, *value;
		const char *text;
	} cases[] = {
		{ "--pin", "3=0", "there is no virtual CPU 3" },
		{ "--memory", "32M", "the machine that comes has 16384K of memory, not 32768K" },
		{ "--cpus", "2", "the machine that comes has 1, not 2" },
	};

	setenv("XDG_RUNTIME_DIR", self->folder, 1);
	START(stamper, OPTIONS("--name", "here"));
	ASSERT_TRUE(heard(self, "R"));
	for (size_t n = 0; n < TEST_COUNT(cases); n++) {
		start_target(self, OPTIONS(cases[n].option, cases[n].value));
		ASSERT_TRUE(is_there(self, "line"));
		EXPECT_COMMAND(1, "vmxctl migrate here unix:line");
		EXPECT_NE(NULL, strstr(said, cases[n].text)) { TH_LOG("%s", said); }
		EXPECT_EQ(125, wait_for(there.child));
		EXPECT_TRUE(complained_there(cases[n].text));
	}
	type(self, "q");
	EXPECT_STATUS(1);
}

TEST_F(vmxrun, the_command_line_of_a_target_is_judged)
{
	EXPECT_ERROR("leave out --restore", "--incoming", "unix:x", "--restore", "y");
}

VMX_TEST_MAIN
