// SPDX-License-Identifier: GPL-2.0
/* Snapshots that have what changed since another one. */
#include "migrate_fixture.h"

#include <sys/stat.h>

#include "../state/state.h"

#define FILES	3

struct chain {
	struct vmx_changes *changes;
	int files[FILES];		/* the first is whole */
};

static int save(fixture *self, struct chain *chain, unsigned int number)
{
	static const char *const names[FILES] = { NULL, "zero", "one" };
	int ret = vmx_machine_pause(&self->a->machine);

	if (ret)
		return ret;
	chain->files[number] = memfd_create("saved", 0);
	if (!number)
		ret = vmx_changes_begin(&chain->changes, &self->a->machine);
	ret = ret ?: vmx_changes_save(chain->changes, chain->files[number], names[number]);
	if (!ret)
		vmx_changes_keep(chain->changes);
	return ret;
}

/* The guest works between them, and is paused after the last. */
static int save_all(fixture *self, struct chain *chain)
{
	int ret = 0;

	for (unsigned int n = 0; !ret && n < FILES; n++) {
		ret = save(self, chain, n);
		if (!ret && n < FILES - 1) {
			vmx_machine_resume(&self->a->machine);
			gets_on(self->a);
		}
	}
	return ret;
}

static void forget(struct chain *chain)
{
	vmx_changes_end(chain->changes);
	for (unsigned int n = 0; n < FILES; n++)
		close(chain->files[n]);
}

/* With all that are below it. */
static struct vmx_saved *open_chain(struct chain *chain, int top)
{
	struct vmx_saved_config config;
	struct vmx_saved *saved, *base;

	if (vmx_saved_open(&saved, chain->files[top], &config))
		return NULL;
	if (top) {
		base = open_chain(chain, top - 1);
		if (!base || vmx_saved_set_base(saved, base))
			return NULL;
	}
	return saved;
}

/* But for the generation ID. */
static unsigned int count_different(fixture *self)
{
	unsigned int count = 0;

	for (unsigned int n = 0; n < MEMORY / PAGE; n++)
		count += !!memcmp(self->a->machine.memory.ram + n * PAGE,
				  self->b->machine.memory.ram + n * PAGE, PAGE);
	return count;
}

static off_t disk_use(int fd)
{
	struct stat stat;

	fstat(fd, &stat);
	return stat.st_blocks * 512;
}

TEST_F(migration, a_chain_is_restored)
{
	struct chain chain = { NULL };
	struct vmx_saved *saved;

	ASSERT_TRUE(gets_on(self->a));
	/* What never changes is in the first alone. */
	memset(self->a->machine.memory.ram + MEMORY / 2, 0x77, MEMORY / 4);
	ASSERT_EQ(0, save_all(self, &chain)) { TH_LOG("%s", vmx_error()); }
	EXPECT_GT(disk_use(chain.files[0]), MEMORY / 4);
	for (unsigned int n = 1; n < FILES; n++) {
		EXPECT_LT(disk_use(chain.files[n]), MEMORY / 4);
		EXPECT_GT(disk_use(chain.files[n]), STAMPED * PAGE);
	}
	saved = open_chain(&chain, FILES - 1);
	ASSERT_NE(NULL, saved) { TH_LOG("%s", vmx_error()); }
	EXPECT_EQ(NULL, vmx_saved_base(saved));
	EXPECT_EQ(0, vmx_saved_check_memory(saved)) { TH_LOG("%s", vmx_error()); }
	ASSERT_EQ(0, vmx_machine_restore(&self->b->machine, saved)) { TH_LOG("%s", vmx_error()); }
	vmx_saved_close(saved);
	EXPECT_EQ(1, count_different(self));
	forget(&chain);
	EXPECT_FALSE(fake_logs);
	vmx_machine_resume(&self->a->machine);
	EXPECT_TRUE(gets_on(self->a));
}

TEST_F(migration, another_base_or_none_is_refused)
{
	struct chain chain = { NULL };
	struct vmx_saved_config config;
	struct vmx_saved *saved, *base;

	ASSERT_TRUE(gets_on(self->a));
	ASSERT_EQ(0, save_all(self, &chain)) { TH_LOG("%s", vmx_error()); }
	ASSERT_EQ(0, vmx_saved_open(&saved, chain.files[2], &config));
	EXPECT_STREQ("one", vmx_saved_base(saved));
	EXPECT_EQ(-EINVAL, vmx_machine_restore(&self->b->machine, saved));
	EXPECT_NE(NULL, strstr(vmx_error(), "since one, without which it is nothing")) {
		TH_LOG("%s", vmx_error());
	}
	ASSERT_EQ(0, vmx_saved_open(&base, chain.files[0], &config));
	EXPECT_EQ(NULL, vmx_saved_base(base));
	EXPECT_EQ(-EINVAL, vmx_saved_set_base(saved, base));
	EXPECT_NE(NULL, strstr(vmx_error(), "one is another snapshot")) {
		TH_LOG("%s", vmx_error());
	}
	vmx_saved_close(base);
	vmx_saved_close(saved);
	forget(&chain);
	vmx_machine_resume(&self->a->machine);
}

/* The map of pages has a checksum, and so have the pages. */
TEST_F(migration, damage_is_found)
{
	struct chain chain = { NULL };
	struct vmx_saved_config config;
	struct vmx_saved *saved;
	unsigned char byte;
	off_t map, page;

	ASSERT_TRUE(gets_on(self->a));
	ASSERT_EQ(0, save_all(self, &chain)) { TH_LOG("%s", vmx_error()); }
	ASSERT_EQ(0, vmx_saved_open(&saved, chain.files[1], &config));
	map = saved->base.offset;
	page = saved->image.offset + STAMPS * PAGE;
	vmx_saved_close(saved);
	ASSERT_EQ(1, pread(chain.files[1], &byte, 1, page));
	byte ^= 1;
	ASSERT_EQ(1, pwrite(chain.files[1], &byte, 1, page));
	ASSERT_EQ(0, vmx_saved_open(&saved, chain.files[1], &config));
	EXPECT_EQ(-EINVAL, vmx_saved_check_memory(saved));
	vmx_saved_close(saved);
	ASSERT_EQ(1, pread(chain.files[1], &byte, 1, map));
	byte ^= 1;
	ASSERT_EQ(1, pwrite(chain.files[1], &byte, 1, map));
	EXPECT_EQ(-EINVAL, vmx_saved_open(&saved, chain.files[1], &config));
	EXPECT_NE(NULL, strstr(vmx_error(), "the checksum of the map is wrong")) {
		TH_LOG("%s", vmx_error());
	}
	forget(&chain);
	vmx_machine_resume(&self->a->machine);
}

/* One that failed changes nothing: the next has all since the last that was kept. */
TEST_F(migration, a_snapshot_that_is_not_kept_loses_nothing)
{
	struct chain chain = { NULL };
	struct vmx_saved *saved;
	int lost;

	ASSERT_TRUE(gets_on(self->a));
	ASSERT_EQ(0, save(self, &chain, 0));
	vmx_machine_resume(&self->a->machine);
	ASSERT_TRUE(gets_on(self->a));
	ASSERT_EQ(0, vmx_machine_pause(&self->a->machine));
	/* As when it cannot be given its name. */
	lost = memfd_create("lost", 0);
	EXPECT_EQ(0, vmx_changes_save(chain.changes, lost, "zero"));
	close(lost);
	vmx_machine_resume(&self->a->machine);
	ASSERT_EQ(0, save(self, &chain, 1)) { TH_LOG("%s", vmx_error()); }
	saved = open_chain(&chain, 1);
	ASSERT_NE(NULL, saved) { TH_LOG("%s", vmx_error()); }
	ASSERT_EQ(0, vmx_machine_restore(&self->b->machine, saved)) { TH_LOG("%s", vmx_error()); }
	vmx_saved_close(saved);
	EXPECT_EQ(1, count_different(self));
	EXPECT_EQ(-EINVAL, vmx_changes_save(chain.changes, 0, "a/b"));
	vmx_changes_end(chain.changes);
	vmx_machine_resume(&self->a->machine);
}

TEST_HARNESS_MAIN
