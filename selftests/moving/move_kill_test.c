// SPDX-License-Identifier: GPL-2.0
/*
 * A side of a migration is killed at each message in turn. Whatever is left has the guest whole: it
 * goes on by itself, or when a person says so.
 * limit: 60G
 */
#include "lib/move_fixture.h"

/* What is on its way when a side dies may arrive or not. */
static const struct {
	const char *name;
	enum harm harm;
	unsigned int target, source;	/* what may be left of it when the other side is killed */
} steps[] = {
	{ HEAD, LINE_HIT_BEFORE, WAITS, RUNS }, { "offer", LINE_HIT_BEFORE, WAITS | GONE, RUNS },
	{ "offer", LINE_HIT_AFTER, GONE, RUNS }, { "accept", LINE_HIT_BEFORE, GONE, RUNS },
	{ "accept", LINE_HIT_AFTER, GONE, RUNS }, { "pages", LINE_HIT_BEFORE, GONE, RUNS },
	{ "pages", LINE_HIT_AFTER, GONE, RUNS }, { "round", LINE_HIT_BEFORE, GONE, RUNS },
	{ "received", LINE_HIT_BEFORE, GONE, RUNS }, { "received", LINE_HIT_AFTER, GONE, RUNS },
	{ "state", LINE_HIT_BEFORE, GONE | UNDECIDED, RUNS },
	{ "state", LINE_HIT_AFTER, GONE | UNDECIDED, RUNS },
	{ "ready", LINE_HIT_BEFORE, UNDECIDED, RUNS | UNDECIDED },
	{ "commit", LINE_HIT_BEFORE, RUNS | UNDECIDED, UNDECIDED },
	{ "acknowledge", LINE_HIT_BEFORE, RUNS, GONE | UNDECIDED },
	{ "acknowledge", LINE_HIT_AFTER, RUNS, GONE },
};

static void kill_at_each(struct __test_metadata *_metadata, fixture *self, bool source)
{
	for (size_t n = 0; n < TEST_COUNT(steps); n++) {
		printf("# %s, %s killed\n", steps[n].name, source ? "source" : "target");
		START_BOTH("auto", "auto");
		EXPECT_LEFT(source ? steps[n].target : steps[n].source, steps[n].name,
			    steps[n].harm, source);
		if (source)
			self->child = -1;
		EXPECT_COMMAND(0, "rm -rf vmx line relay");
	}
}

TEST_F_TIMEOUT(vmxrun, the_source_is_killed_at_each_step, 1000)
{
	kill_at_each(_metadata, self, true);
}

TEST_F_TIMEOUT(vmxrun, the_target_is_killed_at_each_step, 1000)
{
	kill_at_each(_metadata, self, false);
}

VMX_TEST_MAIN
