// SPDX-License-Identifier: GPL-2.0
/*
 * RUN's loops, on a vendor without hardware (run_backend.h): which calls they make, in which order,
 * whatever an entry, a fault or a request comes to. Needs no VMX.
 */
#include <kunit/test.h>

#include "run_backend.h"

static enum hrtimer_restart fake_timer(struct hrtimer *timer)
{
	return HRTIMER_NORESTART;
}

/* A vCPU on an mmu without anything. */
static int run_init(struct kunit *test)
{
	struct vmm_vcpu *v = kunit_kzalloc(test, sizeof(*v), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, v);
	v->run = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	v->mmu = kunit_kzalloc(test, sizeof(*v->mmu), GFP_KERNEL);
	v->views = kunit_kzalloc(test, struct_size(v->views, view, 1), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, v->run);
	KUNIT_ASSERT_NOT_NULL(test, v->mmu);
	KUNIT_ASSERT_NOT_NULL(test, v->views);
	v->views->count = 1;
	v->views->view[0].mmu = v->mmu;
	base_timer_setup(&v->timer, fake_timer);
	test->priv = v;
	return 0;
}

/* The vCPU's translations are as another CPU left them. */
static void begin(struct vmm_vcpu *v, const struct backend *settings)
{
	backend = *settings;
	v->tag.id_on = -1;
	v->requests = 0;
	v->pml_count = 0;
}

static long run(struct vmm_vcpu *v)
{
	long r;

	/* Whoever waits for this CPU, such as the console's writer, would show in the log. */
	cond_resched();
	/* What another CPU would change is run_flushes()'s. */
	migrate_disable();
	r = vmm_run_vcpu(v);
	migrate_enable();
	/* As on the way to userspace. */
	clear_thread_flag(TIF_SIGPENDING);
	clear_thread_flag(TIF_NOTIFY_SIGNAL);
	return r;
}

#define EXPECT_RUN(v, result, expected)	do {					\
	KUNIT_EXPECT_EQ(test, run(v), result);				\
	KUNIT_EXPECT_STREQ(test, backend.log, expected);		\
	KUNIT_EXPECT_PTR_EQ(test, backend.broken, NULL);		\
} while (0)

#define BEGIN(v, ...)	begin(v, &(struct backend){ __VA_ARGS__ })

/* Each way out, alone: the calls in their order. */
static void run_ends(struct kunit *test)
{
	static const char * const logs[WAYS] = {
		[USER] = "Li!EXU.",
		[FAILED] = "Li!EfXU.",
		[FAULT_EXIT] = "Li!EmXU.",
		[FAULT_ERROR] = "Li!EmXU.",
		[FAULT_SLEEPS_EXIT] = "Li!EmUMaXr.",
		[FAULT_SLEEPS_ERROR] = "Li!EmUMaXr.",
		[FAULT_SLEEPS_SIGNAL] = "Li!EmUMaSr.",
		[FAULT_SLEEPS_POISON] = "Li!EmUMawXr.",
		[SPLIT_LOCK_SIGBUS] = "Li!EUarsaXr.",
		[KICK] = "Li!EbSUe.",
		[SIGNAL] = "Li!EbSUe.",
		[WORK] = "Li!EbSUe.",
	};
	struct vmm_vcpu *v = test->priv;
	enum way way;

	for (way = GOES_ON; way < WAYS; way++) {
		BEGIN(v, .way = { way });
		EXPECT_RUN(v, ways[way].result, logs[way]);
		KUNIT_EXPECT_EQ(test, v->requests, 0);
	}
	/* RUN is started again after such work, so it counts once. */
	KUNIT_EXPECT_EQ(test, v->count.runs, WAYS - GOES_ON - 1);
}

/* Each way to go on, before an exit for userspace. */
static void run_goes_on(struct kunit *test)
{
	static const char * const logs[GOES_ON] = {
		[IRQ] = "Li!EbEXUe.",
		[IRQ_RESCHED] = "Li!EbULEXUe.",
		[FAULT] = "Li!EmbEXUe.",
		[FAULT_SLEEPS] = "Li!EmUMbLEXUe.",
		[SPLIT_LOCK] = "Li!EUarsbLEXUe.",
		[TIMER] = "Li!EbEXUe.",
	};
	struct vmm_vcpu *v = test->priv;
	enum way way;

	for (way = 0; way < GOES_ON; way++) {
		BEGIN(v, .way = { way, USER });
		EXPECT_RUN(v, 0, logs[way]);
	}
	KUNIT_EXPECT_EQ(test, v->count.faults, 2);
	/* The first long RUN allocates, and cannot where the CPU is loaded. */
	BEGIN(v, .way = { IRQ, USER }, .no_memory = true);
	EXPECT_RUN(v, 0, "Li!EUbLEXUe.");
}

/* What keeps RUN from an entry. */
static void run_without_entry(struct kunit *test)
{
	struct vmm_vcpu *v = test->priv;

	BEGIN(v, .busy = true);
	EXPECT_RUN(v, -EBUSY, "");
	BEGIN(v, .load = -EIO);
	EXPECT_RUN(v, -EIO, ".");
	BEGIN(v, .way = { USER }, .offline = 2);
	EXPECT_RUN(v, 0, "ooLi!EXU.");
	BEGIN(v, .input = -EINVAL);
	EXPECT_RUN(v, -EINVAL, "LiU.");
	BEGIN(v);
	set_bit(VMM_REQUEST_KICK, &v->requests);
	EXPECT_RUN(v, -EINTR, "LiSU.");
	KUNIT_EXPECT_EQ(test, v->requests, 0);
	BEGIN(v);
	v->run->immediate_exit = 1;
	EXPECT_RUN(v, -EINTR, "LiSU.");
	v->run->immediate_exit = 0;
	BEGIN(v);
	set_thread_flag(TIF_SIGPENDING);
	EXPECT_RUN(v, -EINTR, "LiSU.");
}

/* The host's timer keeps the deadline where the CPU has none. */
static void run_deadline(struct kunit *test)
{
	struct vmm_vcpu *v = test->priv;

	BEGIN(v, .tsc = 1000);
	v->deadline = 1000;
	v->run->deadline = 1000;
	EXPECT_RUN(v, 0, "LiXU.");
	KUNIT_EXPECT_EQ(test, v->exit.reason, VMX_REASON_PREEMPTION_TIMER);
	KUNIT_EXPECT_EQ(test, v->deadline, 0);
	KUNIT_EXPECT_EQ(test, v->run->deadline, 0);
	BEGIN(v, .tsc = 1000, .way = { USER });
	v->deadline = U64_MAX;
	EXPECT_RUN(v, 0, "Li!EXU.");
	KUNIT_EXPECT_FALSE(test, hrtimer_active(&v->timer));
	/* It asks while the guest runs, and is started again if it asked too early. */
	BEGIN(v, .tsc = 1000, .way = { IRQ, TIMER });
	v->requests = BIT(VMM_REQUEST_DEADLINE);
	v->deadline = 1ULL << 60;
	EXPECT_RUN(v, 0, "Li!EbEXUe.");
	KUNIT_EXPECT_EQ(test, v->exit.reason, VMX_REASON_PREEMPTION_TIMER);
	KUNIT_EXPECT_EQ(test, v->requests, 0);
	/* The CPU's looks at it after each exit. */
	BEGIN(v, .tsc = 1000, .way = { USER }, .has_timer = true);
	v->deadline = 1000;
	EXPECT_RUN(v, 0, "Li!EXU.");
	v->deadline = 0;
}

/* Translations are dropped before an entry if they may be old, and only then. */
static void run_flushes(struct kunit *test)
{
	struct vmm_vcpu *v = test->priv;

	migrate_disable();
	BEGIN(v, .way = { USER });
	EXPECT_RUN(v, 0, "Li!EXU.");
	BEGIN(v, .way = { USER });
	v->tag.id_on = smp_processor_id();
	EXPECT_RUN(v, 0, "LiEXU.");
	BEGIN(v, .way = { USER });
	v->tag.id_on = smp_processor_id();
	atomic64_inc(&v->mmu->ept.flush_gen);
	EXPECT_RUN(v, 0, "Li!EXU.");
	migrate_enable();
}

/* What the CPU wrote down is noted after each exit, and told with interrupts on. */
static void run_log(struct kunit *test)
{
	struct vmm_vcpu *v = test->priv;

	v->pml_on = true;
	BEGIN(v, .way = { IRQ, FAULT, USER });
	EXPECT_RUN(v, 0, "Li!EnbtEnmtEnXUte.");
}

/* With shadow page tables the roots come first, and may be missing. */
static void run_roots(struct kunit *test)
{
	struct vmm_vcpu *v = test->priv;
	struct shadow_paging *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	v->paging = p;
	p->reload = true;
	BEGIN(v, .way = { USER });
	EXPECT_RUN(v, 0, "Lil!EXU.");
	p->reload = true;
	BEGIN(v, .paging = GPHYS_FAULT_EXIT);
	EXPECT_RUN(v, 0, "LilXU.");
	/* The tables are got where it may sleep. */
	p->reload = true;
	BEGIN(v, .paging = -EAGAIN, .way = { USER });
	EXPECT_RUN(v, 0, "LilUPbL!EXUe.");
}

/* All ways to go on, three in each order, before each way out; by each kind of timer. */
static void run_orders(struct kunit *test)
{
	const unsigned int orders = GOES_ON * GOES_ON * GOES_ON * (WAYS - GOES_ON);
	struct vmm_vcpu *v = test->priv;
	unsigned int n, told;

	for (n = 0; n < 2 * orders; n++) {
		unsigned int order = n / 2;
		enum way end = GOES_ON + order % (WAYS - GOES_ON);
		const char *at;
		long r;

		order /= WAYS - GOES_ON;
		BEGIN(v, .has_timer = n & 1);
		backend.way[0] = order % GOES_ON;
		backend.way[1] = order / GOES_ON % GOES_ON;
		backend.way[2] = order / GOES_ON / GOES_ON;
		backend.way[3] = end;
		r = run(v);
		for (told = 0, at = backend.log; *at; at++)
			told += *at == 'X' || *at == 'S';
		if (r == ways[end].result && backend.entries == ENTRIES && told == 1 &&
		    !backend.broken)
			continue;
		KUNIT_FAIL(test, "order %u: %ld after %u entries, told %u times, broke '%s': %s",
			   n, r, backend.entries, told, backend.broken ?: "nothing",
			   backend.log);
		return;
	}
}

static struct kunit_case run_cases[] = {
	KUNIT_CASE(run_ends),
	KUNIT_CASE(run_goes_on),
	KUNIT_CASE(run_without_entry),
	KUNIT_CASE(run_deadline),
	KUNIT_CASE(run_flushes),
	KUNIT_CASE(run_log),
	KUNIT_CASE(run_roots),
	KUNIT_CASE(run_orders),
	{}
};

static struct kunit_suite run_suite = {
	.name = "vmx_run",
	.init = run_init,
	.test_cases = run_cases,
};

kunit_test_suites(&run_suite);
