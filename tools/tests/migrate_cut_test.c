// SPDX-License-Identifier: GPL-2.0
/* Migrations whose line is cut, or changes a bit, at each message. */
#include "migrate_fixture.h"

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
	{ "state", LINE_CUT_AFTER, SOURCE }, { "ready", LINE_CUT_BEFORE, SOURCE },
	{ "ready", LINE_CUT_WITHIN, SOURCE },
	/* The commit may be on its way when the line is cut, or not. */
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
