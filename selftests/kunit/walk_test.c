// SPDX-License-Identifier: GPL-2.0
/* Walks of guests' page tables that are written by hand for each format. Needs no VMX. */
#include <kunit/test.h>

#include <asm/trap_pf.h>

#include "../../shadow/walk.h"

/* The guest's memory: pages from guest-physical 0. */
#define PAGES 8
#define BYTES (PAGES * 4096)
/* Where the tables are: of level 4, 3, 2 and 1. */
#define L4 0x1000
#define L3 0x2000
#define L2 0x3000
#define L1 0x4000

#define P SHADOW_PRESENT
#define W SHADOW_WRITE
#define U SHADOW_USER
#define A SHADOW_ACCESSED
#define D SHADOW_DIRTY
#define ALL (P | W | U | A)
#define PWU (P | W | U)

struct guest {
	u8 *memory;
	bool read_only;
};

static void *entry(void *context, u64 gpa, bool write)
{
	struct guest *g = context;

	return gpa < BYTES && !(write && g->read_only) ? g->memory + gpa : NULL;
}

static const struct shadow_mode long_mode = {
	.format = SHADOW_GUEST_LONG, .levels = 4, .phys_bits = 40, .large = BIT(2) | BIT(3),
	.wp = true, .nxe = true,
};

static const struct shadow_mode pae = {
	.format = SHADOW_GUEST_PAE, .levels = 2, .phys_bits = 40, .large = BIT(2), .wp = true,
	.nxe = true,
};

static const struct shadow_mode two_level = {
	.format = SHADOW_GUEST_32BIT, .levels = 2, .phys_bits = 40, .large = BIT(2), .wp = true,
};

static struct guest *guest(struct kunit *test)
{
	return test->priv;
}

static void put64(struct kunit *test, u64 gpa, u64 value)
{
	memcpy(guest(test)->memory + gpa, &value, 8);
}

static void put32(struct kunit *test, u64 gpa, u32 value)
{
	memcpy(guest(test)->memory + gpa, &value, 4);
}

static u64 get64(struct kunit *test, u64 gpa)
{
	return *(u64 *)(guest(test)->memory + gpa);
}

static int walk_init(struct kunit *test)
{
	struct guest *g = kunit_kzalloc(test, sizeof(*g), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, g);
	g->memory = kunit_kzalloc(test, BYTES, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, g->memory);
	test->priv = g;
	/* Long mode, for linear addresses below 2 MiB. */
	put64(test, L4, L3 | PWU);
	put64(test, L3, L2 | PWU);
	put64(test, L2, L1 | PWU);
	return 0;
}

static enum shadow_walk_result walk(struct kunit *test, const struct shadow_mode *mode, u64 root,
				    struct shadow_walk *w)
{
	const struct shadow_walk_memory memory = { entry, guest(test) };

	return shadow_walk(mode, &memory, root, w);
}

static void expect_page(struct kunit *test, const struct shadow_mode *mode, u64 root, u64 gva,
			u64 gpa)
{
	struct shadow_walk w = { .gva = gva };

	KUNIT_EXPECT_EQ(test, walk(test, mode, root, &w), SHADOW_WALK_DONE);
	KUNIT_EXPECT_EQ(test, w.gpa, gpa);
}

static void expect_fault(struct kunit *test, const struct shadow_mode *mode, u64 root, u64 gva,
			 u32 access, u32 error)
{
	struct shadow_walk w = { .gva = gva, .access = access };

	KUNIT_EXPECT_EQ(test, walk(test, mode, root, &w), SHADOW_WALK_FAULT);
	KUNIT_EXPECT_EQ(test, w.error, error);
}

static void walk_long(struct kunit *test)
{
	put64(test, L1 + 8, 0x123456000 | PWU);
	expect_page(test, &long_mode, L4, 0x1abc, 0x123456abc);
	put64(test, L2 + 8, 0x12200000 | SHADOW_LARGE | PWU);
	expect_page(test, &long_mode, L4, 0x212345, 0x12212345);
	put64(test, L3 + 8, 0x40000000 | SHADOW_LARGE | PWU);
	expect_page(test, &long_mode, L4, 0x56789abc, 0x56789abc);
	/* PWT and PCD of CR3 are no part of the address. */
	expect_page(test, &long_mode, L4 | 0x18, 0x1abc, 0x123456abc);
	expect_fault(test, &long_mode, L4, 0x2000, 0, 0);
	expect_fault(test, &long_mode, L4, 0x8000000000, X86_PF_USER | X86_PF_INSTR,
		     X86_PF_USER | X86_PF_INSTR);
}

static void walk_pae(struct kunit *test)
{
	put64(test, L1 + 8, 0xfff456000 | PWU);
	put64(test, L2 + 8, 0x12200000 | SHADOW_LARGE | PWU);
	expect_page(test, &pae, L2 | P, 0x1abc, 0xfff456abc);
	expect_page(test, &pae, L2 | P, 0x212345, 0x12212345);
	expect_fault(test, &pae, L2, 0x1abc, X86_PF_WRITE, X86_PF_WRITE);
	KUNIT_EXPECT_TRUE(test, shadow_guest_pdpte_valid(&pae, L2 | P | 0xe18));
	KUNIT_EXPECT_FALSE(test, shadow_guest_pdpte_valid(&pae, L2 | P | W));
	KUNIT_EXPECT_FALSE(test, shadow_guest_pdpte_valid(&pae, L2 | P | BIT_ULL(40)));
	KUNIT_EXPECT_TRUE(test, shadow_guest_pdpte_valid(&pae, W));
}

static void walk_two_level(struct kunit *test)
{
	const struct shadow_mode no_pse = {
		.format = SHADOW_GUEST_32BIT, .levels = 2, .phys_bits = 40, .wp = true,
	};

	memset(guest(test)->memory, 0, BYTES);
	put32(test, L2, L1 | PWU);
	put32(test, L1 + 1023 * 4, 0xfedcb000 | PWU);
	expect_page(test, &two_level, L2, 0x3ff123, 0xfedcb123);
	/* Bits 39:32 of a 4 MiB page's address are in bits 20:13. */
	put32(test, L2 + 4, 0x00c00000 | 0xab << 13 | SHADOW_LARGE | PWU);
	expect_page(test, &two_level, L2, 0x654321, 0xab00e54321);
	/* Without CR4.PSE it is a table, and bit 7 ignored. */
	put32(test, L2 + 4, L1 | SHADOW_LARGE | PWU);
	expect_page(test, &no_pse, L2, 0x7ff123, 0xfedcb123);
	/* No NX, and no fetches told of. */
	expect_fault(test, &two_level, L2, 0x1000, X86_PF_INSTR, 0);
}

static void walk_reserved(struct kunit *test)
{
	const u32 error = X86_PF_PROT | X86_PF_RSVD;
	struct shadow_mode mode = long_mode;

	put64(test, L1, BIT_ULL(40) | P);
	expect_fault(test, &mode, L4, 0, 0, error);
	put64(test, L1, BIT_ULL(39) | P | GENMASK_ULL(62, 52));
	expect_page(test, &mode, L4, 0, BIT_ULL(39));
	put64(test, L1, SHADOW_NX | P);
	expect_page(test, &mode, L4, 0, 0);
	mode.nxe = false;
	expect_fault(test, &mode, L4, 0, X86_PF_INSTR, error);
	put64(test, L2, BIT_ULL(13) | SHADOW_LARGE | P);
	expect_fault(test, &mode, L4, 0, 0, error);
	put64(test, L2, BIT_ULL(12) | SHADOW_LARGE | P);
	expect_page(test, &mode, L4, 0x1234, 0x1234);
	put64(test, L4, L3 | SHADOW_LARGE | P);
	expect_fault(test, &mode, L4, 0, 0, error);
	/* PAE has bits 62:52 reserved, too. */
	put64(test, L2, BIT_ULL(62) | L1 | P);
	expect_fault(test, &pae, L2 | P, 0, 0, error);
	put32(test, L2, BIT(21) | SHADOW_LARGE | P);
	expect_fault(test, &two_level, L2, 0, 0, error);
}

/* What each combination of rights and mode allows: bit n of the masks for access n. */
static const u32 accesses[] = {
	0, X86_PF_WRITE, X86_PF_INSTR,
	X86_PF_USER, X86_PF_USER | X86_PF_WRITE, X86_PF_USER | X86_PF_INSTR,
};

static const struct {
	const char *what;
	u64 upper, leaf;	/* rights of the entries */
	bool no_wp, smep, smap, ac;
	u8 allowed;
} rights[] = {
	{ "all", PWU, PWU, .allowed = 0x3f },
	{ "supervisor by the leaf", PWU, P | W, .allowed = 0x07 },
	{ "supervisor by a table", P | W, PWU, .allowed = 0x07 },
	{ "read-only by the leaf", PWU, P | U, .allowed = 0x2d },
	{ "read-only by a table", P | U, PWU, .allowed = 0x2d },
	{ "read-only without CR0.WP", PWU, P | U, .no_wp = true, .allowed = 0x2f },
	{ "no execution by the leaf", PWU, PWU | SHADOW_NX, .allowed = 0x1b },
	{ "no execution by a table", PWU | SHADOW_NX, PWU, .allowed = 0x1b },
	{ "SMEP", PWU, PWU, .smep = true, .allowed = 0x3b },
	{ "SMEP of the supervisor's", PWU, P | W, .smep = true, .allowed = 0x07 },
	{ "SMAP", PWU, PWU, .smap = true, .allowed = 0x3c },
	{ "SMAP with AC", PWU, PWU, .smap = true, .ac = true, .allowed = 0x3f },
	{ "SMAP of the supervisor's", PWU, P | W, .smap = true, .allowed = 0x07 },
	{ "SMAP without CR0.WP", PWU, P | U, .no_wp = true, .smap = true, .ac = true,
	  .allowed = 0x2f },
};

static void walk_rights(struct kunit *test)
{
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(rights); i++) {
		struct shadow_mode mode = long_mode;
		u8 allowed = 0;

		mode.wp = !rights[i].no_wp;
		mode.smep = rights[i].smep;
		mode.smap = rights[i].smap;
		put64(test, L3, L2 | rights[i].upper);
		put64(test, L1, rights[i].leaf);
		for (n = 0; n < ARRAY_SIZE(accesses); n++) {
			struct shadow_walk w = { .access = accesses[n], .ac = rights[i].ac };

			if (walk(test, &mode, L4, &w) == SHADOW_WALK_DONE)
				allowed |= BIT(n);
			else
				KUNIT_EXPECT_EQ(test, w.error, accesses[n] | X86_PF_PROT);
		}
		KUNIT_EXPECT_EQ_MSG(test, allowed, rights[i].allowed, "%s", rights[i].what);
	}
}

static void walk_marks(struct kunit *test)
{
	struct shadow_walk w = { .access = X86_PF_WRITE };

	put64(test, L1, P);
	KUNIT_EXPECT_EQ(test, walk(test, &long_mode, L4, &w), SHADOW_WALK_FAULT);
	KUNIT_EXPECT_EQ(test, get64(test, L1), P);
	KUNIT_EXPECT_EQ(test, get64(test, L4), L3 | PWU);
	w.access = 0;
	KUNIT_EXPECT_EQ(test, walk(test, &long_mode, L4, &w), SHADOW_WALK_DONE);
	KUNIT_EXPECT_EQ(test, get64(test, L1), P | A);
	KUNIT_EXPECT_EQ(test, get64(test, L4), L3 | ALL);
	put64(test, L1, PWU);
	w.access = X86_PF_WRITE;
	KUNIT_EXPECT_EQ(test, walk(test, &long_mode, L4, &w), SHADOW_WALK_DONE);
	KUNIT_EXPECT_EQ(test, get64(test, L1), ALL | D);
	KUNIT_EXPECT_EQ(test, w.pte[1], ALL | D);
	KUNIT_EXPECT_EQ(test, get64(test, L2), L1 | ALL);
}

/* What is not at hand is named, and nothing but what was passed is marked. */
static void walk_misses(struct kunit *test)
{
	struct shadow_walk w = {};

	put64(test, L2, BYTES | PWU);
	KUNIT_EXPECT_EQ(test, walk(test, &long_mode, L4, &w), SHADOW_WALK_MISS);
	KUNIT_EXPECT_EQ(test, w.gpa, BYTES);
	KUNIT_EXPECT_FALSE(test, w.write);
	put64(test, L2, L1 | ALL);
	put64(test, L1, PWU);
	guest(test)->read_only = true;
	KUNIT_EXPECT_EQ(test, walk(test, &long_mode, L4, &w), SHADOW_WALK_MISS);
	KUNIT_EXPECT_EQ(test, w.gpa, L4);
	KUNIT_EXPECT_TRUE(test, w.write);
	/* With the marks there it needs no writing. */
	put64(test, L4, L3 | ALL);
	put64(test, L3, L2 | ALL);
	put64(test, L1, ALL);
	KUNIT_EXPECT_EQ(test, walk(test, &long_mode, L4, &w), SHADOW_WALK_DONE);
}

/* A table that is its own entry is a table at each level. */
static void walk_own_table(struct kunit *test)
{
	put64(test, L4, L4 | PWU);
	expect_page(test, &long_mode, L4, 0x123, L4 | 0x123);
}

static struct kunit_case walk_cases[] = {
	KUNIT_CASE(walk_long),
	KUNIT_CASE(walk_pae),
	KUNIT_CASE(walk_two_level),
	KUNIT_CASE(walk_reserved),
	KUNIT_CASE(walk_rights),
	KUNIT_CASE(walk_marks),
	KUNIT_CASE(walk_misses),
	KUNIT_CASE(walk_own_table),
	{}
};

static struct kunit_suite walk_suite = {
	.name = "vmx_guest_walk",
	.init = walk_init,
	.test_cases = walk_cases,
};

kunit_test_suites(&walk_suite);
