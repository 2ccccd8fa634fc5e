// SPDX-License-Identifier: GPL-2.0
/*
 * Non-maskable interrupts of the host that reach a CPU while a guest runs: the host handles
 * them as if no guest ran.
 *
 * needs: cpus=2
 * needs: kernel=debug
 */
#include <fcntl.h>

#include "lib/bounds.h"
#include "lib/vm_fixture.h"

#define SYSRQ	"/proc/sysrq-trigger"
#define BUSY_US	LEDGER("busy_us")
#define ROUNDS	5

/* Whether the kernel has said TEXT since LOG was read last. */
static bool log_has(int log, const char *text)
{
	char record[4096];
	bool found = false;
	ssize_t length;

	while ((length = read(log, record, sizeof(record) - 1)) > 0) {
		record[length] = 0;
		found |= !!strstr(record, text);
	}
	return found;
}

/*
 * The kernel asks its CPUs by NMI where they are, and prints that in interrupts, which takes longer
 * than the module may take: the ledger of time does not judge meanwhile.
 */
TEST_F_TIMEOUT(vm, reaches_the_host, 300)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	long long busy_us = test_read_number(BUSY_US);
	struct test_spinner spinner;
	char limit[24];

	ASSERT_LE(0, busy_us);
	snprintf(limit, sizeof(limit), "%lld", busy_us);
	ASSERT_EQ(0, test_write_file(BUSY_US, "0"));
	ASSERT_LE(0, log);
	ASSERT_LE(0, lseek(log, 0, SEEK_END));
	ASSERT_EQ(0, test_pin(0));
	ASSERT_EQ(0, test_spin(&spinner, &self->vcpu, 1));
	for (int n = 0; n < ROUNDS; n++) {
		ASSERT_EQ(0, test_write_file(SYSRQ, "l"));
		/* A CPU whose NMIs stay blocked does not answer the next time. */
		ASSERT_TRUE(log_has(log, "NMI backtrace for cpu 1"));
		test_spin_progress(&self->vm);
	}
	EXPECT_EQ(-EINTR, test_spin_stop(&spinner));
	EXPECT_EQ(0, test_write_file(LEDGER("busy_max"), "0"));
	EXPECT_EQ(0, test_write_file(BUSY_US, limit));
	/* The guest has not had one. */
	EXPECT_EQ(0, self->run->interruptibility);
	close(log);
}

VMX_TEST_MAIN
