// SPDX-License-Identifier: GPL-2.0
/* vmxrun as its user sees it: terminal, keys, signals, exit status, messages. */
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
/* Exits with 0 if XMM registers come from and go to memory that is a device's, or nobody's. */
GUEST64(sse_guest, "mov %cr4, %rax\n or $0x200, %eax\n mov %rax, %cr4\n xor %ebp, %ebp\n inc %ebp\n"
	"mov $0xfee00080, %ebx\n mov $0x20, %eax\n movd %eax, %xmm9\n movd %xmm9, (%rbx)\n"
	"pxor %xmm9, %xmm9\n movd (%rbx), %xmm9\n movd %xmm9, %eax\n cmp $0x20, %eax\n jne 1f\n"
	"mov $0xd0000000, %ebx\n movups (%rbx), %xmm3\n movaps %xmm3, (%rbx)\n"
	"pcmpeqd %xmm4, %xmm4\n pcmpeqb %xmm3, %xmm4\n pmovmskb %xmm4, %eax\n"
	"cmp $0xffff, %eax\n jne 1f\n xor %ebp, %ebp\n"
	"1: mov %ebp, %eax\n out %al, $0xf4\n 2: jmp 2b");
/*
 * Maps 4 to 6 GiB, as far as it looks there, and exits with 0 if what it writes to the first bytes
 * and to the last is there, and nothing behind these.
 */
GUEST64(large_guest, "mov %cr3, %rax\n mov (%rax), %rdx\n and $-4096, %rdx\n"
	"movq $0x200003, 32(%rdx)\n movq $0x201003, 40(%rdx)\n movq $0x202003, 48(%rdx)\n"
	"mov $0x100000083, %rax\n mov %rax, 0x200000\n"
	"mov $0x17fe00083, %rax\n mov %rax, 0x201ff8\n"
	"mov $0x180000083, %rax\n mov %rax, 0x202000\n"
	"mov $1, %ebp\n mov $0x100000000, %rbx\n mov $0x17ffffff8, %rcx\n mov $0x180000000, %rsi\n"
	"mov %rbx, (%rbx)\n mov %rcx, (%rcx)\n movq $5, (%rsi)\n"
	"cmp %rbx, (%rbx)\n jne 1f\n cmp %rcx, (%rcx)\n jne 1f\n cmpq $-1, (%rsi)\n jne 1f\n"
	"xor %ebp, %ebp\n 1: mov %ebp, %eax\n out %al, $0xf4\n 2: jmp 2b");
/* Listens to the power button, and says B when it is pressed; then it sleeps, or switches off. */
#define LISTEN	"mov $0x602, %edx\n mov $0x100, %eax\n out %ax, %dx\n"			\
		TO_PORT "mov $'R', %al\n out %al, %dx\n"				\
		"mov $0x600, %edx\n 1: pause\n in %dx, %ax\n test $0x100, %eax\n jz 1b\n"	\
		TO_PORT "mov $'B', %al\n out %al, %dx\n"
GUEST64(deaf_guest, LISTEN "cli\n 2: hlt\n jmp 2b");
GUEST64(polite_guest, LISTEN "mov $0x604, %edx\n mov $0x3400, %eax\n out %ax, %dx\n 2: jmp 2b");
/* Writes a byte to the exit port. */
#define EXIT_WITH(value) "mov $" #value ", %eax\n out %al, $0xf4\n 1: jmp 1b"
GUEST64(exit_60_guest, EXIT_WITH(60));
GUEST64(exit_61_guest, EXIT_WITH(61));
GUEST64(exit_255_guest, EXIT_WITH(255));
/* Is busy for half a second by its TSC, with interrupts on, and exits. */
GUEST64(busy_guest, "sti\n rdtsc\n mov %eax, %esi\n 1: pause\n rdtsc\n sub %esi, %eax\n"
	"cmp $25000000, %eax\n jb 1b\n mov $5, %al\n out %al, $0xf4\n 2: jmp 2b");
GUEST64(triple_fault_guest, "push $0\n push $0\n lidt (%rsp)\n ud2");

/* Says R, sleeps for half a second by its local APIC's timer, and says D. */
GUEST64(sleeping_guest, "mov $0x300000, %esp\n mov $0x200000, %edi\n"
	"lea 2f(%rip), %rax\n mov %ax, 0x200(%rdi)\n movl $0x8e000010, 0x202(%rdi)\n"
	"shr $16, %rax\n mov %ax, 0x206(%rdi)\n"
	"sub $16, %rsp\n movw $0x20f, (%rsp)\n mov %rdi, 2(%rsp)\n lidt (%rsp)\n"
	"mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n movl $0xb, 0x3e0(%rbx)\n"
	"movl $0x20, 0x320(%rbx)\n" TO_PORT "mov $'R', %al\n out %al, %dx\n"
	"movl $500000000, 0x380(%rbx)\n 1: sti\n hlt\n jmp 1b\n"
	"2: mov $'D', %al\n out %al, %dx\n cli\n 3: hlt\n jmp 3b");

/*
 * Says R and sleeps. Its UART interrupts it for fourteen bytes, or for fewer after a while without
 * another one; it sends them back.
 */
GUEST64(waiting_guest, "mov $0x300000, %esp\n mov $0x200000, %edi\n"
	"lea 2f(%rip), %rax\n mov %ax, 0x240(%rdi)\n movl $0x8e000010, 0x242(%rdi)\n"
	"shr $16, %rax\n mov %ax, 0x246(%rdi)\n"
	"sub $16, %rsp\n movw $0x24f, (%rsp)\n mov %rdi, 2(%rsp)\n lidt (%rsp)\n"
	"mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n movl $0x700, 0x350(%rbx)\n"
	"mov $0x11, %al\n out %al, $0x20\n mov $0x20, %al\n out %al, $0x21\n"
	"mov $0x04, %al\n out %al, $0x21\n mov $0x01, %al\n out %al, $0x21\n"
	"mov $0xef, %al\n out %al, $0x21\n"
	"mov $0x3fa, %edx\n mov $0xc1, %al\n out %al, %dx\n"
	"mov $0x3f9, %edx\n mov $1, %al\n out %al, %dx\n"
	TO_PORT "mov $'R', %al\n out %al, %dx\n 1: sti\n hlt\n jmp 1b\n"
	"2: " TO_PORT "in %dx, %al\n out %al, %dx\n"
	"mov $0x3fd, %edx\n in %dx, %al\n test $1, %al\n jnz 2b\n"
	"mov $0x20, %al\n out %al, $0x20\n iretq");

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

/* Sets the time of day, and leaves all other clocks alone. */
static int move_time(int seconds)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += seconds;
	return clock_settime(CLOCK_REALTIME, &now);
}

/* A guest sleeps by a clock that only goes on. */
TEST_F(vmxrun, the_clock_is_set_back)
{
	struct timespec tick = { .tv_nsec = 100000000 };

	if (!getenv("VMX_MACHINE"))
		SKIP(return, "it sets the clock: make test T=vmxrun_test has a machine for that");
	START(sleeping_guest, NULL);
	ASSERT_TRUE(heard(self, "R"));
	nanosleep(&tick, NULL);
	ASSERT_EQ(0, move_time(-86400));
	EXPECT_TRUE(heard(self, "D"));
	EXPECT_EQ(0, move_time(86400));
	type(self, "\1x");
	EXPECT_STATUS(130);
}

TEST_F(vmxrun, sse_moves_reach_devices)
{
	START(sse_guest, NULL);
	EXPECT_STATUS(1);
}

/* What one has is nobody else's: the guest's are odd and below 122, vmxrun's own are others. */
TEST_F(vmxrun, exit_port_values)
{
	START(exit_60_guest, NULL);
	EXPECT_STATUS(121);
	START(exit_61_guest, NULL);
	EXPECT_STATUS(122);
	EXPECT_TRUE(complained(self, "wrote 61 to the exit port"));
	START(exit_255_guest, NULL);
	EXPECT_STATUS(122);
}

TEST_F(vmxrun, memory_goes_on_above_4_gib)
{
	ASSERT_EQ(0, test_write_file("/proc/sys/vm/overcommit_memory", "1"));
	START(large_guest, OPTIONS("--memory", "5G", "--stats"));
	EXPECT_STATUS(1);
	/* Two to what is no RAM, and the exit port. */
	EXPECT_TRUE(complained(self, "vCPU 0: 3 exits, "));
	START(large_guest, OPTIONS("--memory", "5G", "--stats", "--mmu", "shadow"));
	EXPECT_STATUS(1);
	EXPECT_TRUE(complained(self, "vCPU 0: 3 exits, "));
	START(large_guest, OPTIONS("--memory", "32768G"));
	EXPECT_STATUS(125);
	EXPECT_TRUE(complained(self, "physical-address bits of this CPU"));
	ASSERT_EQ(0, test_write_file("/proc/sys/vm/overcommit_memory", "0"));
}

/* On processors that need nothing of the kind, nothing interrupts the guest. */
TEST_F(vmxrun, stays_as_long_as_it_likes)
{
	const char *short_stays = getenv("VMXRUN_SHORT_STAYS");

	unsetenv("VMXRUN_SHORT_STAYS");
	START(busy_guest, OPTIONS("--cpus", "2", "--stats"));
	if (short_stays)
		setenv("VMXRUN_SHORT_STAYS", short_stays, 1);
	EXPECT_STATUS(11);
	EXPECT_TRUE(complained(self, "vCPU 0: 1 exits, "));
}

TEST_F(vmxrun, the_power_button)
{
	START(polite_guest, NULL);
	ASSERT_TRUE(heard(self, "R"));
	kill(self->child, SIGTERM);
	EXPECT_STATUS(0);
	EXPECT_TRUE(complained(self, "the power button is pressed"));
	START(deaf_guest, NULL);
	ASSERT_TRUE(heard(self, "R"));
	kill(self->child, SIGTERM);
	ASSERT_TRUE(heard(self, "B"));
	kill(self->child, SIGTERM);
	EXPECT_STATUS(143);
	EXPECT_TRUE(complained(self, "as if its power failed"));
}

/* As QEMU locks what its guest writes. */
static void lock_as_qemu(int fd)
{
	static const off_t bytes[] = { 100, 101, 201, 203 };

	for (size_t n = 0; n < TEST_COUNT(bytes); n++) {
		struct flock lock = { .l_type = F_RDLCK, .l_start = bytes[n], .l_len = 1 };

		fcntl(fd, F_OFD_SETLK, &lock);
	}
}

static bool is_locked(int fd, off_t byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type != F_UNLCK;
}

TEST_F(vmxrun, disks_are_locked)
{
	char disk[80], read_only[90];
	int fd;

	snprintf(disk, sizeof(disk), "%s/disk", self->folder);
	snprintf(read_only, sizeof(read_only), "%s,ro", disk);
	fd = open(disk, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_EQ(0, ftruncate(fd, 1 << 20));
	/* QEMU would find it in use, and so does another one. */
	START(deaf_guest, OPTIONS("--disk", disk));
	ASSERT_TRUE(heard(self, "R"));
	EXPECT_TRUE(is_locked(fd, 100) && is_locked(fd, 101) && is_locked(fd, 201));
	EXPECT_FALSE(is_locked(fd, 102) || is_locked(fd, 200) || is_locked(fd, 202));
	type(self, "\1x");
	EXPECT_STATUS(130);
	START(exit_guest, OPTIONS("--disk", disk, "--disk", disk));
	EXPECT_STATUS(125);
	EXPECT_TRUE(complained(self, "it is in use"));
	/* Reading goes together. */
	START(exit_guest, OPTIONS("--disk", read_only, "--disk", read_only));
	EXPECT_STATUS(11);
	START(exit_guest, OPTIONS("--disk", disk, "--disk", read_only));
	EXPECT_STATUS(125);
	START(exit_guest, OPTIONS("--disk", read_only, "--disk", disk));
	EXPECT_STATUS(125);
	lock_as_qemu(fd);
	START(exit_guest, OPTIONS("--disk", disk));
	EXPECT_STATUS(125);
	START(exit_guest, OPTIONS("--disk", read_only));
	EXPECT_STATUS(125);
	EXPECT_TRUE(complained(self, "it is in use and written to"));
	close(fd);
	START(exit_guest, OPTIONS("--disk", disk));
	EXPECT_STATUS(11);
}

TEST_F(vmxrun, the_command_line_is_judged)
{
	static char *const sizes[] = {
		"512K", "", "M", "-1M", " 1M", "0", "0x10M", "17179869184G",
		"18446744073709551616", "1.5G",
	};

	for (size_t n = 0; n < TEST_COUNT(sizes); n++)
		EXPECT_ERROR("(examples: 256M, 1G)", "--memory", sizes[n]);
	EXPECT_ERROR("invalid size '512K'", "--memory", "512K");
	EXPECT_ERROR("no multiple of 4 KiB", "--memory", "4097");
	EXPECT_ERROR("'exits' belongs to no option; a trace goes to a file with --trace=exits",
		     "--trace", "exits");
	EXPECT_ERROR("'stray' belongs to no option", "stray");
	EXPECT_ERROR("unrecognized option '--memroy'", "--memroy", "1G");
	EXPECT_ERROR("1 to 16", "--cpus", "18446744073709551617");
	START(exit_guest, OPTIONS("--version"));
	EXPECT_STATUS(0);
	EXPECT_TRUE(heard(self, "vmxrun 0."));
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

/* The time-out of the UART's FIFO comes while the only vCPU sleeps, and no other event is near. */
TEST_F(vmxrun, a_key_wakes_the_guest)
{
	START(waiting_guest, NULL);
	ASSERT_TRUE(heard(self, "R"));
	type(self, "a");
	EXPECT_TRUE(heard(self, "a"));
	type(self, "bc");
	EXPECT_TRUE(heard(self, "bc"));
	type(self, "\1x");
	EXPECT_STATUS(130);
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

TEST_F(vmxrun, a_kernel_that_does_not_come)
{
	int writer, status;

	ASSERT_EQ(0, mkfifo(self->kernel, 0600));
	start_with(self, self->slave, self->slave, NULL);
	/* Opens once vmxrun reads. */
	writer = open(self->kernel, O_WRONLY);
	ASSERT_LE(0, writer);
	kill(self->child, SIGTERM);
	status = ended(self);
	close(writer);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGTERM, WTERMSIG(status));
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

TEST_F(vmxrun, a_trace_that_nobody_opens)
{
	char path[64], option[80];
	int status;

	snprintf(path, sizeof(path), "%s/trace", self->folder);
	snprintf(option, sizeof(option), "--trace=%s", path);
	ASSERT_EQ(0, mkfifo(path, 0600));
	ASSERT_EQ(0, write_kernel(self->kernel, exit_guest, exit_guest_end));
	start_with(self, self->slave, self->slave, OPTIONS(option));
	ASSERT_TRUE(waits(self));
	kill(self->child, SIGTERM);
	status = ended(self);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGTERM, WTERMSIG(status));
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
