// SPDX-License-Identifier: GPL-2.0
/* Migrations whose pages zstd packs, and whose line TLS protects. */
#include "migrate_fixture.h"

#include "../transport/transport.h"
#include "tls_files.h"

/* Text, numbers, and what nobody can pack. */
static void write_mix(unsigned char *ram)
{
	unsigned int seed = 1;

	for (unsigned int n = MEMORY / 2; n < 3 * MEMORY / 4; n += 16)
		snprintf((char *)ram + n, 16, "line %9u\n", n / 16);
	for (unsigned int n = 3 * MEMORY / 4; n < 7 * MEMORY / 8; n += 4)
		*(unsigned int *)(ram + n) = n / 64;
	for (unsigned int n = 7 * MEMORY / 8; n < MEMORY; n++)
		ram[n] = (seed = seed * 1103515245 + 12345) >> 16;
}

TEST_F(migration, pages_are_packed_by_zstd)
{
	struct vmx_migration_status status;

	ASSERT_TRUE(gets_on(self->a));
	write_mix(self->a->machine.memory.ram);
	self->migration.config.codec = &transport_zstd;
	move(self, NULL);
	EXPECT_MOVED(self);
	vmx_migration_read(&self->migration, &status);
	printf("# %llu pages in %llu bytes\n", (unsigned long long)status.pages,
	       (unsigned long long)status.sent);
	/* An eighth of memory stays as it is, and three eighths shrink to less than a third. */
	EXPECT_LT(MEMORY / 8, status.sent);
	EXPECT_LT(status.sent, (status.pages * PAGE - MEMORY / 8) / 2 + MEMORY / 8);
}

/* What a target unpacks may be anything. */
TEST(damaged_pages_are_refused)
{
	static unsigned char pages[4 * PAGE], packed[4 * PAGE], found[5 * PAGE];
	size_t length;

	memset(pages, 'x', sizeof(pages));
	length = transport_zstd.pack(packed, sizeof(packed), pages, sizeof(pages));
	ASSERT_LT(0, length);
	EXPECT_TRUE(transport_zstd.unpack(found, sizeof(pages), packed, length));
	EXPECT_EQ(0, memcmp(found, pages, sizeof(pages)));
	EXPECT_FALSE(transport_zstd.unpack(found, sizeof(pages) - PAGE, packed, length));
	EXPECT_FALSE(transport_zstd.unpack(found, sizeof(pages) + PAGE, packed, length));
	EXPECT_FALSE(transport_zstd.unpack(found, sizeof(pages), packed, length - 1));
	EXPECT_FALSE(transport_zstd.unpack(found, sizeof(pages), pages, sizeof(pages)));
	EXPECT_FALSE(transport_zstd.unpack(found, sizeof(pages), packed, 0));
}

static char folder[32];

static bool wrap(struct line *line, bool source)
{
	int *end = source ? &line->source : &line->target;
	struct tls_config config = {
		.fd = *end, .folder = folder, .host = source ? "there" : NULL, .patience_ms = 20000,
	};
	char why[300] = "";

	*end = transport_tls.protect(&config, why, sizeof(why));
	if (*end < 0)
		printf("# %s\n", why);
	return *end >= 0;
}

static void make_certificates(void)
{
	const struct subject name = { "authority" };
	struct identity authority = certify(&name, NULL);

	snprintf(folder, sizeof(folder), "/tmp/tls-XXXXXX");
	if (!mkdtemp(folder) || rmdir(folder))
		abort();
	write_side(folder, &authority, &authority, false, false);
	forget(&authority);
}

static void remove_certificates(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command))
		abort();
}

TEST_F(migration, a_guest_moves_by_tls)
{
	make_certificates();
	ASSERT_TRUE(gets_on(self->a));
	self->wrap = wrap;
	move(self, NULL);
	EXPECT_MOVED(self);
	remove_certificates();
}

/* Words of the other side come through at the end, too. */
TEST_F(migration, a_refusal_comes_by_tls)
{
	make_certificates();
	ASSERT_TRUE(gets_on(self->a));
	self->wrap = wrap;
	self->take_fails = true;
	move(self, NULL);
	EXPECT_STREQ("the other side gives up: the disk is in use", self->why[0]);
	EXPECT_EQ(-EBUSY, self->target);
	EXPECT_TRUE(gets_on(self->a));
	remove_certificates();
}

TEST_F(migration, a_line_with_tls_is_cut)
{
	make_certificates();
	ASSERT_TRUE(gets_on(self->a));
	self->wrap = wrap;
	self->migration.config.bandwidth = 64 << 10;
	begin(self, NULL);
	WAIT_FOR(self->migration.status.phase == VMX_MIGRATION_COPY);
	line_cut(&self->line);
	end(self);
	EXPECT_EQ(-EPIPE, self->source) { TH_LOG("%s", self->why[0]); }
	EXPECT_EQ(-EPIPE, self->target) { TH_LOG("%s", self->why[1]); }
	EXPECT_TRUE(gets_on(self->a));
	remove_certificates();
}

TEST_HARNESS_MAIN
