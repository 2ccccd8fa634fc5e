// SPDX-License-Identifier: GPL-2.0
/* vmxrun as its user has it: a terminal, keys, signals, exit status, what it prints. */
#include "lib/vmxrun_fixture.h"

#define TO_PORT		"mov $0x3f8, %edx\n"
/* Says that it is there, then sends back what it gets. */
GUEST64(echo_guest, TO_PORT
	"mov $'R', %al\n out %al, %dx\n"
	"1: mov $0x3fd, %edx\n 2: pause\n in %dx, %al\n test $1, %al\n jz 2b\n"
	TO_PORT "in %dx, %al\n out %al, %dx\n jmp 1b");
/* Reads nothing. */
GUEST64(silent_guest, TO_PORT "mov $'R', %al\n out %al, %dx\n cli\n 1: hlt\n jmp 1b");
GUEST64(talking_guest, TO_PORT "mov $'x', %al\n 1: out %al, %dx\n jmp 1b");
/* Sends bytes of 0 to 250, again and again, thousands at a time. */
GUEST64(counting_guest, "lea 9f(%rip), %rbx\n mov %rbx, %rdi\n mov $4016, %ecx\n xor %eax, %eax\n"
	"1: stosb\n inc %al\n cmp $251, %al\n jne 2f\n xor %al, %al\n 2: loop 1b\n"
	TO_PORT "3: mov %rbx, %rsi\n mov $4016, %ecx\n rep outsb\n jmp 3b\n 9:");
GUEST64(exit_guest, "mov $0x64, %edx\n in %dx, %al\n mov $5, %al\n out %al, $0xf4\n 1: jmp 1b");
/* Adds 2^40 to the TSC, then sets it to 2^41; exits with 0 if either is to be seen. */
GUEST64(tsc_guest, "mov $1, %bl\n rdtsc\n mov %edx, %esi\n"
	"mov $0x3b, %ecx\n xor %eax, %eax\n mov $0x100, %edx\n wrmsr\n"
	"rdtsc\n sub %esi, %edx\n shr $1, %edx\n cmp $0x80, %edx\n jne 1f\n"
	"mov $0x10, %ecx\n xor %eax, %eax\n mov $0x200, %edx\n wrmsr\n"
	"rdtsc\n cmp $0x200, %edx\n jne 1f\n xor %ebx, %ebx\n"
	"1: mov %ebx, %eax\n out %al, $0xf4\n 2: jmp 2b");
GUEST64(triple_fault_guest, "push $0\n push $0\n lidt (%rsp)\n ud2");

static struct termios settings(int fd)
{
	struct termios settings = {};

	tcgetattr(fd, &settings);
	return settings;
}

#define EXPECT_SETTINGS(before) do {							\
	struct termios now_ = settings(self->slave);					\
											\
	EXPECT_EQ((before).c_lflag, now_.c_lflag);					\
	EXPECT_EQ((before).c_iflag, now_.c_iflag);					\
	EXPECT_EQ((before).c_oflag, now_.c_oflag);					\
} while (0)

TEST_F(vmxrun, the_guest_says_how_it_ends)
{
	START(exit_guest, NULL);
	EXPECT_STATUS(11);
	START(triple_fault_guest, NULL);
	EXPECT_STATUS(124);
	EXPECT_TRUE(complained(self, "triple fault: vCPU 0 shut down at RIP 0x1"));
}

TEST_F(vmxrun, the_tsc_can_be_set)
{
	START(tsc_guest, NULL);
	EXPECT_STATUS(1);
}

TEST_F(vmxrun, errors)
{
	START(exit_guest, OPTIONS("--disk", "/nowhere"));
	EXPECT_STATUS(125);
	EXPECT_TRUE(complained(self, "--disk /nowhere: No such file or directory"));
	START(exit_guest, OPTIONS("--net", "wire"));
	EXPECT_STATUS(125);
	EXPECT_TRUE(complained(self, "give tap=NAME"));
	START(exit_guest, OPTIONS("--cpus", "17"));
	EXPECT_STATUS(125);
	EXPECT_TRUE(complained(self, "1 to 16"));
}

TEST_F(vmxrun, keys)
{
	struct termios before = settings(self->slave);

	START(echo_guest, NULL);
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_FALSE(settings(self->slave).c_lflag & (ICANON | ECHO | ISIG));
	type(self, "a\3");
	EXPECT_TRUE(heard(self, "a\3"));
	type(self, "\1\1b");
	EXPECT_TRUE(heard(self, "\1b"));
	type(self, "\1hc");
	EXPECT_TRUE(heard(self, "c"));
	EXPECT_TRUE(complained(self, "Ctrl-A x ends the machine"));
	type(self, "\1x");
	EXPECT_STATUS(130);
	EXPECT_SETTINGS(before);
}

TEST_F(vmxrun, a_guest_that_reads_nothing_is_ended)
{
	START(silent_guest, NULL);
	ASSERT_TRUE(heard(self, "R"));
	for (int n = 0; n < 40; n++)
		type(self, "0123456789");
	type(self, "\1x");
	EXPECT_STATUS(130);
}

TEST_F(vmxrun, signals_end_it)
{
	static const int numbers[] = { SIGTERM, SIGHUP, SIGINT };
	struct termios before = settings(self->slave);

	for (size_t n = 0; n < TEST_COUNT(numbers); n++) {
		START(silent_guest, NULL);
		ASSERT_TRUE(heard(self, "R"));
		kill(self->child, numbers[n]);
		EXPECT_STATUS(128 + numbers[n]);
		EXPECT_TRUE(complained(self, strsignal(numbers[n])));
		EXPECT_SETTINGS(before);
	}
}

TEST_F(vmxrun, a_crash_restores_the_terminal)
{
	struct termios before = settings(self->slave);
	int status;

	START(silent_guest, NULL);
	ASSERT_TRUE(heard(self, "R"));
	kill(self->child, SIGSEGV);
	status = ended(self);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGSEGV, WTERMSIG(status));
	EXPECT_SETTINGS(before);
}

TEST_F(vmxrun, input_may_end)
{
	int in = open("/dev/null", O_RDONLY);

	ASSERT_EQ(0, write_kernel(self->kernel, silent_guest, silent_guest_end));
	start_with(self, in, self->slave, NULL);
	close(in);
	ASSERT_TRUE(heard(self, "R"));
	kill(self->child, SIGTERM);
	EXPECT_STATUS(143);
}

TEST_F(vmxrun, all_of_a_pipe_arrives)
{
	char sent[2000], got[2001];
	int in[2];

	ASSERT_EQ(0, pipe2(in, O_CLOEXEC));
	ASSERT_EQ(0, write_kernel(self->kernel, echo_guest, echo_guest_end));
	start_with(self, in[0], self->slave, NULL);
	for (size_t n = 0; n < sizeof(sent); n++)
		sent[n] = 'a' + n % 23;
	ASSERT_EQ((ssize_t)sizeof(sent), write(in[1], sent, sizeof(sent)));
	close(in[0]);
	close(in[1]);
	ASSERT_TRUE(heard(self, "R"));
	for (size_t n = 0; n < sizeof(sent); n += 20) {
		snprintf(got, sizeof(got), "%.20s", sent + n);
		ASSERT_TRUE(heard(self, got)) { TH_LOG("byte %zu is missing", n); }
	}
	kill(self->child, SIGTERM);
	EXPECT_STATUS(143);
}

TEST_F(vmxrun, a_closed_console_ends_it)
{
	char byte;
	int out[2];

	ASSERT_EQ(0, pipe2(out, O_CLOEXEC));
	ASSERT_EQ(0, write_kernel(self->kernel, talking_guest, talking_guest_end));
	start_with(self, self->slave, out[1], NULL);
	close(out[1]);
	EXPECT_EQ(1, read(out[0], &byte, 1));
	close(out[0]);
	EXPECT_STATUS(125);
	EXPECT_TRUE(complained(self, "the console was closed (Broken pipe)"));
}

static unsigned long time_used(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char path[32];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (file && fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			   &user, &system) != 2)
		user = -1;
	if (file)
		fclose(file);
	return user + system;
}

/* It has something to do for ever, but waits. */
static bool waits(fixture *self)
{
	struct timespec tick = { .tv_nsec = 100000000 };
	unsigned long before, now = time_used(self->child);

	for (int n = 0; n < PATIENCE * 10; n++) {
		nanosleep(&tick, NULL);
		before = now;
		now = time_used(self->child);
		if (now == before && now)
			return true;
	}
	return false;
}

/* The guest waits for the reader, who misses nothing, and vmxrun hears others meanwhile. */
TEST_F(vmxrun, a_reader_that_does_not_read)
{
	unsigned char got[4096], expected = 0;
	int out[2];

	ASSERT_EQ(0, pipe2(out, O_CLOEXEC));
	fcntl(out[0], F_SETPIPE_SZ, 4096);
	ASSERT_EQ(0, write_kernel(self->kernel, counting_guest, counting_guest_end));
	start_with(self, self->slave, out[1], NULL);
	ASSERT_TRUE(waits(self));
	type(self, "typed");
	/* More than vmxrun keeps for a reader: its buffer goes round. */
	for (size_t sum = 0; sum < 300000; ) {
		ssize_t length = read(out[0], got, sizeof(got));

		ASSERT_LT(0, length);
		for (ssize_t n = 0; n < length; n++, sum++) {
			ASSERT_EQ(expected, got[n]) { TH_LOG("after %zu bytes", sum); }
			expected = (expected + 1) % 251;
			if (sum % 100000 == 99999)
				TH_LOG("%zu bytes", sum + 1);
		}
	}
	ASSERT_TRUE(waits(self));
	type(self, "typed");
	kill(self->child, SIGTERM);
	EXPECT_STATUS(143);
	close(out[0]);
	close(out[1]);
}

TEST_F(vmxrun, a_trace_that_is_not_read)
{
	int trace, nowhere = open("/dev/null", O_WRONLY);

	ASSERT_EQ(0, mkfifo(self->errors, 0600));
	trace = open(self->errors, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_EQ(0, write_kernel(self->kernel, talking_guest, talking_guest_end));
	start_with(self, self->slave, nowhere, OPTIONS("--trace"));
	close(nowhere);
	ASSERT_TRUE(waits(self));
	type(self, "typed");
	kill(self->child, SIGTERM);
	EXPECT_STATUS(143);
	close(trace);
}

static bool has_line(const char *path, const char *text)
{
	FILE *file = fopen(path, "r");
	char line[512];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, text);
	if (file)
		fclose(file);
	return found;
}

TEST_F(vmxrun, traces_exits)
{
	char path[64], option[80];

	snprintf(path, sizeof(path), "%s/trace", self->folder);
	snprintf(option, sizeof(option), "--trace=%s", path);
	START(exit_guest, OPTIONS(option));
	EXPECT_STATUS(11);
	EXPECT_TRUE(has_line(path, " cpu0 0x100005 I/O instruction: IN, port 0x64, 1 byte -> 0x"));
	EXPECT_TRUE(has_line(path, "I/O instruction: OUT, port 0xf4, 1 byte, 0x5\n"));
	START(exit_guest, OPTIONS("--trace"));
	EXPECT_STATUS(11);
	EXPECT_TRUE(complained(self, "I/O instruction: OUT, port 0xf4, 1 byte, 0x5\n"));
}

TEST_F(vmxrun, counts_exits)
{
	START(exit_guest, OPTIONS("--stats"));
	EXPECT_STATUS(11);
	EXPECT_TRUE(complained(self, "exits here"));
	EXPECT_TRUE(complained(self, "  I/O instruction\n"));
	EXPECT_TRUE(complained(self, "vCPU 0: 2 exits, "));
}

VMX_TEST_MAIN
