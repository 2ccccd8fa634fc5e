// SPDX-License-Identifier: GPL-2.0
/*
 * A side of a migration is killed at each message in turn. Whatever is left has the guest whole: it
 * goes on by itself, or when a person says so.
 * limit: 60G
 */
#include "lib/move_fixture.h"

static const struct {
	const char *name;
	enum harm harm;
	/* When the source is killed, and the target. */
	enum ending source, target;
} steps[] = {
	{ HEAD, LINE_HIT_BEFORE, WAITING, HERE }, { "offer", LINE_HIT_BEFORE, HERE, HERE },
	{ "offer", LINE_HIT_AFTER, HERE, HERE }, { "accept", LINE_HIT_BEFORE, HERE, HERE },
	{ "accept", LINE_HIT_AFTER, HERE, HERE }, { "pages", LINE_HIT_BEFORE, HERE, HERE },
	{ "pages", LINE_HIT_AFTER, HERE, HERE }, { "round", LINE_HIT_BEFORE, HERE, HERE },
	{ "received", LINE_HIT_BEFORE, HERE, HERE }, { "received", LINE_HIT_AFTER, HERE, HERE },
	/* What is on its way arrives, whoever is dead. */
	{ "state", LINE_HIT_BEFORE, DECIDED, HERE }, { "ready", LINE_HIT_BEFORE, DECIDED, EITHER },
	{ "commit", LINE_HIT_BEFORE, THERE, DECIDED },
	{ "acknowledge", LINE_HIT_BEFORE, THERE, LOST },
	{ "acknowledge", LINE_HIT_AFTER, THERE, LOST },
};

static void kill_at_each(struct __test_metadata *_metadata, fixture *self, bool source)
{
	for (size_t n = 0; n < TEST_COUNT(steps); n++) {
		printf("# %s, %s killed\n", steps[n].name, source ? "source" : "target");
		START_BOTH("auto", "auto");
		EXPECT_ENDING(source ? steps[n].source : steps[n].target, steps[n].name,
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
