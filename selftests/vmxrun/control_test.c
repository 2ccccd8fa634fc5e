// SPDX-License-Identifier: GPL-2.0
/* A machine of vmxrun is controlled from outside: by HTTP over its socket, and by vmxctl. */
#include <x86intrin.h>

#include "lib/command.h"
#include "lib/stamper.h"

#define TO_PORT		"mov $0x3f8, %edx\n"
/* Ticks between two looks at the TSC that no stay in the host takes, and a pause that is longer. */
#define GAP		25000000
#define PAUSE		60000000ull

/* Says R; exits with 1 if its TSC jumps by more than GAP, and with 0 when it gets a byte. */
GUEST64(steady_guest, TO_PORT "mov $'R', %al\n out %al, %dx\n"
	"rdtsc\n mov %eax, %esi\n"
	"1: rdtsc\n mov %eax, %edi\n sub %esi, %eax\n mov %edi, %esi\n mov $1, %bl\n"
	"cmp $25000000, %eax\n ja 2f\n"
	"mov $0x3fd, %edx\n in %dx, %al\n test $1, %al\n jz 1b\n xor %ebx, %ebx\n"
	"2: mov %ebx, %eax\n out %al, $0xf4\n 3: jmp 3b");
GUEST64(counting_guest, TO_PORT "1: mov $'x', %al\n out %al, %dx\n jmp 1b");
/* Resets whatever happens. */
GUEST64(restless_guest, TO_PORT "mov $'R', %al\n out %al, %dx\n"
	"mov $0xcf9, %edx\n mov $6, %al\n out %al, %dx\n 1: hlt\n jmp 1b");
/* Listens to the power button, and switches off. */
GUEST64(polite_guest, "mov $0x602, %edx\n mov $0x100, %eax\n out %ax, %dx\n"
	TO_PORT "mov $'R', %al\n out %al, %dx\n"
	"mov $0x600, %edx\n 1: pause\n in %dx, %ax\n test $0x100, %eax\n jz 1b\n"
	"mov $0x604, %edx\n mov $0x3400, %eax\n out %ax, %dx\n 2: jmp 2b");
GUEST64(deaf_guest, TO_PORT "mov $'R', %al\n out %al, %dx\n cli\n 1: hlt\n jmp 1b");
GUEST64(exit_guest, "mov $5, %al\n out %al, $0xf4\n 1: jmp 1b");

static int put(fixture *self, const char *resource)
{
	return ask(self, "guest", "PUT", resource, "");
}

static bool says(const char *text)
{
	if (strstr(said, text))
		return true;
	printf("# no '%s' in: %.1500s\n", text, said);
	return false;
}

#define EXPECT_ANSWER(status, method, resource, body)					\
	EXPECT_EQ(status, ask(self, "guest", method, resource, body)) {				\
		TH_LOG("%s", said);							\
	}

/* It is named guest, below the test's folder. */
#define START_NAMED(guest, ...) do {							\
	setenv("XDG_RUNTIME_DIR", self->folder, 1);					\
	START(guest, OPTIONS("--name", "guest", ##__VA_ARGS__));			\
} while (0)

static void pass(uint64_t ticks)
{
	uint64_t start = __rdtsc();

	while (__rdtsc() - start < ticks)
		;
}

TEST_F(vmxrun, a_pause_is_no_time_for_the_guest)
{
	START_NAMED(steady_guest);
	ASSERT_TRUE(heard(self, "R"));
	for (int n = 0; n < 3; n++) {
		EXPECT_ANSWER(204, "PUT", "/vm/pause", "");
		EXPECT_ANSWER(200, "GET", "/vm", "");
		EXPECT_TRUE(says("\"state\":\"paused\""));
		pass(PAUSE);
		EXPECT_ANSWER(204, "PUT", "/vm/resume", "");
		EXPECT_ANSWER(200, "GET", "/vm", "");
		EXPECT_TRUE(says("\"state\":\"running\""));
	}
	type(self, "q");
	EXPECT_STATUS(1);
}

/* What is typed meanwhile is there afterwards. */
TEST_F(vmxrun, input_waits_for_the_end_of_a_pause)
{
	START_NAMED(steady_guest);
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_ANSWER(204, "PUT", "/vm/pause", "");
	EXPECT_ANSWER(204, "PUT", "/vm/pause", "");
	type(self, "q");
	pass(PAUSE);
	EXPECT_ANSWER(200, "GET", "/vm", "");
	EXPECT_ANSWER(204, "PUT", "/vm/resume", "");
	EXPECT_STATUS(1);
}

TEST_F(vmxrun, nothing_comes_out_of_a_paused_machine)
{
	struct pollfd output = { .events = POLLIN };

	START_NAMED(counting_guest);
	output.fd = self->terminal;
	ASSERT_TRUE(heard(self, "xxx"));
	EXPECT_ANSWER(204, "PUT", "/vm/pause", "");
	/* All that was on its way; an incomplete line goes out after 10 ms. */
	while (poll(&output, 1, 1000) > 0)
		hear(self, self->terminal);
	EXPECT_EQ(0, poll(&output, 1, 1000));
	EXPECT_ANSWER(204, "PUT", "/vm/resume", "");
	EXPECT_TRUE(heard(self, "xxx"));
	/* It can be ended paused, too. */
	EXPECT_ANSWER(204, "PUT", "/vm/pause", "");
	type(self, "\1x");
	EXPECT_STATUS(130);
}

TEST_F(vmxrun, vmxctl_controls_it)
{
	setenv("XDG_RUNTIME_DIR", self->folder, 1);
	EXPECT_COMMAND(0, "vmxctl list");
	EXPECT_TRUE(says("NAME"));
	EXPECT_COMMAND(1, "vmxctl info guest");
	EXPECT_TRUE(says("there is no such machine"));
	START_NAMED(polite_guest);
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_COMMAND(0, "vmxctl list");
	EXPECT_TRUE(says("guest                    running       1      16M"));
	EXPECT_COMMAND(0, "vmxctl pause guest");
	EXPECT_COMMAND(0, "vmxctl info guest");
	EXPECT_TRUE(says("state     paused"));
	EXPECT_COMMAND(1, "vmxctl stop guest");
	EXPECT_TRUE(says("it is paused"));
	EXPECT_COMMAND(0, "vmxctl resume guest");
	EXPECT_COMMAND(0, "vmxctl stats guest");
	EXPECT_TRUE(says("I/O"));
	EXPECT_TRUE(says("vCPU 0: "));
	EXPECT_COMMAND(0, "vmxctl info --json unix:%s/vmx/guest.sock", self->folder);
	EXPECT_TRUE(says("\"name\":\"guest\""));
	EXPECT_COMMAND(0, "vmxctl stop guest");
	EXPECT_STATUS(0);
	EXPECT_EQ(-1, put(self, "/vm/pause"));
}

TEST_F(vmxrun, vmxctl_stops_a_deaf_guest)
{
	START_NAMED(deaf_guest);
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_ANSWER(409, "PUT", "/vm/power-button", "");
	EXPECT_COMMAND(0, "vmxctl stop --timeout 1 guest");
	EXPECT_TRUE(says("does not listen"));
	EXPECT_STATUS(130);
	START_NAMED(deaf_guest);
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_COMMAND(0, "vmxctl pause guest");
	EXPECT_COMMAND(0, "vmxctl stop --now guest");
	EXPECT_STATUS(130);
}

TEST_F(vmxrun, names_are_taken_over)
{
	pid_t first;

	START_NAMED(deaf_guest);
	ASSERT_TRUE(heard(self, "R"));
	first = self->child;
	START_NAMED(exit_guest);
	EXPECT_STATUS(125);
	EXPECT_TRUE(complained(self, "another machine uses it"));
	EXPECT_ANSWER(200, "GET", "/vm", "");
	/* Who is killed leaves a socket, which the next one takes. */
	kill(first, SIGKILL);
	EXPECT_EQ(first, waitpid(first, NULL, 0));
	EXPECT_COMMAND(0, "vmxctl list");
	EXPECT_EQ(NULL, strstr(said, "guest"));
	START_NAMED(deaf_guest);
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_ANSWER(204, "PUT", "/vm/power-off", "");
	EXPECT_STATUS(130);
	EXPECT_COMMAND(1, "ls $XDG_RUNTIME_DIR/vmx/guest.sock");
}

TEST_F(vmxrun, vcpus_are_pinned)
{
	START_NAMED(deaf_guest, "--pin", "0=0");
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_COMMAND(0, "vmxctl info guest");
	EXPECT_TRUE(says(", on CPU 0\n"));
	EXPECT_COMMAND(1, "vmxctl pin guest 0=900");
	EXPECT_TRUE(says("none of these CPUs"));
	EXPECT_COMMAND(1, "vmxctl pin guest 1=0");
	EXPECT_TRUE(says("there is no virtual CPU 1"));
	EXPECT_COMMAND(2, "vmxctl pin guest 0=x");
	EXPECT_COMMAND(0, "vmxctl pin guest 0=0-900");
	EXPECT_ANSWER(400, "PUT", "/vm/cpus/0/affinity", "{\"cpus\": 0}");
	EXPECT_ANSWER(204, "PUT", "/vm/cpus/0/affinity", "{\"cpus\": [0]}");
	EXPECT_ANSWER(204, "PUT", "/vm/power-off", "");
	EXPECT_STATUS(130);
	START_NAMED(deaf_guest, "--pin", "0=900");
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_TRUE(complained(self, "virtual CPU 0 stays where it is"));
	EXPECT_ANSWER(204, "PUT", "/vm/power-off", "");
	EXPECT_STATUS(130);
}

/* Both go on: the machine that was saved, and the one from the file. Neither sees its TSC jump. */
TEST_F(vmxrun, a_snapshot)
{
	START_NAMED(steady_guest);
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_COMMAND(2, "vmxctl snapshot guest");
	EXPECT_COMMAND(1, "vmxctl snapshot guest /nowhere/saved");
	EXPECT_TRUE(says("/nowhere/saved: No such file"));
	EXPECT_ANSWER(400, "PUT", "/vm/snapshot", "{\"path\": \"saved\"}");
	EXPECT_COMMAND(0, "cd $XDG_RUNTIME_DIR && vmxctl snapshot guest saved");
	EXPECT_COMMAND(0, "vmxctl info guest");
	EXPECT_TRUE(says("running"));
	EXPECT_COMMAND(1, "echo q | vmxrun --restore $XDG_RUNTIME_DIR/saved");
	/* A paused machine is saved, too, over the older file, and stays paused. */
	EXPECT_COMMAND(0, "vmxctl pause guest");
	EXPECT_COMMAND(0, "vmxctl snapshot guest $XDG_RUNTIME_DIR/saved");
	EXPECT_COMMAND(0, "vmxctl info guest");
	EXPECT_TRUE(says("paused"));
	EXPECT_COMMAND(0, "vmxctl resume guest");
	type(self, "q");
	EXPECT_STATUS(1);
	EXPECT_COMMAND(1, "echo q | vmxrun --restore $XDG_RUNTIME_DIR/saved");
	EXPECT_COMMAND(1, "ls $XDG_RUNTIME_DIR/saved.part");
}

/* A byte of memory that is another one is found by who reads all of it. */
TEST_F(vmxrun, a_damaged_snapshot)
{
	START_NAMED(steady_guest);
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_COMMAND(0, "vmxctl snapshot guest saved");
	EXPECT_COMMAND(0, "vmxrun --check saved");
	EXPECT_TRUE(says("saved: a machine of 16384K and 1 CPU, undamaged"));
	EXPECT_COMMAND(0, "printf x | dd of=saved bs=1 conv=notrunc "
		       "seek=$(($(stat -c %%s saved) - 1))");
	EXPECT_COMMAND(125, "vmxrun --check saved");
	EXPECT_TRUE(says("checksum"));
	EXPECT_COMMAND(125, "vmxrun --check /nowhere");
	EXPECT_TRUE(says("/nowhere: No such file"));
	type(self, "q");
	EXPECT_STATUS(1);
}

/* Its guest's memory is in the file, and is lost: that is no signal, but an error that says so. */
TEST_F(vmxrun, a_snapshot_that_shrinks_while_it_runs)
{
	START_NAMED(stamper);
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_COMMAND(0, "vmxctl snapshot guest saved");
	type(self, "q");
	EXPECT_STATUS(1);
	EXPECT_COMMAND(125, "{ vmxrun --restore saved --api unix:api & "
		       "until vmxctl info unix:api >/dev/null 2>&1; do kill -0 $! || exit 1; done; "
		       "truncate -s 1M saved; wait $!; }");
	EXPECT_TRUE(says("the guest's memory is lost"));
}

TEST_F(vmxrun, metrics)
{
	START_NAMED(steady_guest);
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_ANSWER(200, "GET", "/metrics", "");
	EXPECT_TRUE(says("Content-Type: text/plain; version=0.0.4"));
	EXPECT_TRUE(says("\nvmx_paused 0\n"));
	EXPECT_TRUE(says("\nvmx_memory_bytes 16777216\n"));
	EXPECT_TRUE(says("\nvmx_exits_total{by=\"monitor\",reason=\"I/O instruction\"} "));
	EXPECT_TRUE(says("\nvmx_vcpu_seconds_total{vcpu=\"0\",state=\"running\"} "));
	EXPECT_TRUE(says("\nvmx_entries_total "));
	EXPECT_ANSWER(200, "GET", "/vm/statistics", "");
	EXPECT_TRUE(says("\"reason\":\"I/O instruction\""));
	EXPECT_ANSWER(404, "GET", "/vm/nothing", "");
	EXPECT_ANSWER(405, "GET", "/vm/pause", "");
	type(self, "q");
	EXPECT_STATUS(1);
}

/* Each request comes at another moment of a machine that ends and is made anew. */
TEST_F(vmxrun, a_guest_that_always_resets)
{
	unsigned int paused = 0;

	START_NAMED(restless_guest);
	ASSERT_TRUE(heard(self, "R"));
	for (int n = 0; n < 60; n++) {
		int status = put(self, "/vm/pause");

		paused += status == 204;
		ASSERT_TRUE(status == 204 || status == 503) { TH_LOG("%s", said); }
		EXPECT_ANSWER(200, "GET", "/metrics", "");
		EXPECT_ANSWER(204, "PUT", "/vm/resume", "");
		EXPECT_ANSWER(200, "GET", "/metrics", "");
	}
	printf("# %u of 60 pauses\n", paused);
	EXPECT_TRUE(heard(self, "R"));
	EXPECT_ANSWER(204, "PUT", "/vm/power-off", "");
	EXPECT_STATUS(130);
}

TEST_F(vmxrun, the_command_line_is_judged)
{
	static char *const pins[] = {
		"", "0", "0=", "=0", "0=1-", "0=2-1", "0=1024", "0=0,", "0=0 ", "1=0", "16=0",
		"x=0",
	};
	static char *const names[] = { "", "..", "a/b", "-a", "a b" };

	setenv("XDG_RUNTIME_DIR", self->folder, 1);
	for (size_t n = 0; n < TEST_COUNT(pins); n++)
		EXPECT_ERROR("--pin", "--pin", pins[n]);
	for (size_t n = 0; n < TEST_COUNT(names); n++)
		EXPECT_ERROR("--name ", "--name", names[n]);
	EXPECT_ERROR("give unix:PATH", "--api", "/tmp/x");
	EXPECT_ERROR("No such file", "--api", "unix:/nowhere/x");
	EXPECT_ERROR("1 to 107 bytes", "--api", "unix:");
	EXPECT_COMMAND(2, "vmxctl");
	EXPECT_COMMAND(2, "vmxctl dance");
	EXPECT_COMMAND(2, "vmxctl info");
	EXPECT_COMMAND(2, "vmxctl list guest");
	EXPECT_COMMAND(2, "vmxctl stop --timeout x guest");
	EXPECT_COMMAND(1, "vmxctl info ../guest");
	EXPECT_COMMAND(0, "vmxctl --help");
}

VMX_TEST_MAIN
