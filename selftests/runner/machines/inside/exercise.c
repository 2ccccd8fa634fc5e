// SPDX-License-Identifier: GPL-2.0
/*
 * Exercises a Linux guest from inside:
 *
 *   exercise processes     fork, exec, pipes, shared and private memory, signals, CPUs that
 *                          wait for each other, vector registers, instructions that programs
 *                          may not execute
 *   exercise write DEVICE  writes a pattern to the whole disk, syncs it, and reads it back
 *   exercise check FILE    checks the pattern in the disk's file, after the end of the guest
 *   exercise flood ADDRESS sends thousands of datagrams as fast as it can, from the
 *                          other end of the guest's wire
 *   exercise clock         answers questions for its clock's time
 *   exercise ask KEYBOARD  asks them, at the other end of the guest's console
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <cpuid.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096

/* ROUND counts: a parent and its child end up on all CPUs, and on different ones. */
static void move_to(unsigned int round)
{
	unsigned int cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(round % cpus, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "cannot move to CPU %u", round % cpus);
}

static pid_t fork_to(unsigned int round)
{
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (!child)
		move_to(round);
	return child;
}

static void expect_exit(pid_t child, int code)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		err(1, "waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		errx(1, "a child ended with status %#x and not %d", status, code);
}

/* A child executes another program, which says through a pipe what it was told. */
static void spawn(unsigned int round)
{
	char said[16] = "", number[16];
	int ends[2];
	pid_t child;

	snprintf(number, sizeof(number), "%u", round);
	if (pipe(ends))
		err(1, "pipe");
	child = fork_to(round);
	if (!child) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/proc/self/exe", "exercise", "say", number, NULL);
		err(1, "exec");
	}
	close(ends[1]);
	if (read(ends[0], said, sizeof(said) - 1) != (ssize_t)strlen(number) ||
	    strcmp(said, number))
		errx(1, "child %u said '%s'", round, said);
	close(ends[0]);
	expect_exit(child, round);
}

/* What a child writes is seen in shared memory, and not in private memory. */
static void write_memory(unsigned int round)
{
	const size_t size = 32 * PAGE;
	const int prot = PROT_READ | PROT_WRITE;
	char *shared = mmap(NULL, size, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *private = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t child;

	if (shared == MAP_FAILED || private == MAP_FAILED)
		err(1, "mmap");
	memset(private, 'p', size);
	child = fork_to(round);
	if (!child) {
		memset(private, 'c', size);
		memcpy(shared, private, size);
		_exit(round);
	}
	expect_exit(child, round);
	for (size_t n = 0; n < size; n++)
		if (shared[n] != 'c' || private[n] != 'p')
			errx(1, "byte %zu: %c of shared, %c of private memory", n, shared[n],
			     private[n]);
	munmap(shared, size);
	munmap(private, size);
}

/* Parent and child send each other signals, each one only after the last one was answered. */
static void signal_each_other(unsigned int round)
{
	sigset_t set;
	pid_t child;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	child = fork_to(round);
	for (unsigned int n = 0; n < 50; n++) {
		if (child)
			kill(child, SIGUSR1);
		sigwait(&set, &number);
		if (!child)
			kill(getppid(), SIGUSR1);
	}
	if (!child)
		_exit(round);
	expect_exit(child, round);
}

static sigjmp_buf after_fault;

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	siglongjmp(after_fault, 1);
}

/* Memory that may only be read raises a signal when it is written to. */
static void write_protected(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	char *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	sigaction(SIGSEGV, &action, NULL);
	if (!sigsetjmp(after_fault, 1)) {
		*page = 1;
		errx(1, "memory that may only be read was written to");
	}
	munmap(page, PAGE);
}

/*
 * One thread gives a page new contents at the same address, again and again; the other one, on
 * another CPU, sees each of them: it may not keep a translation.
 */
#define CONTENTS	100

static struct {
	atomic_uint *page;
	atomic_uint put, seen;
} remapped;

static void *look(void *unused)
{
	move_to(1);
	for (unsigned int n = 1; n <= CONTENTS; n++) {
		while (atomic_load(&remapped.put) != n)
			sched_yield();
		if (atomic_load(remapped.page) != n)
			errx(1, "a CPU sees content %u of a page that has %u",
			     atomic_load(remapped.page), n);
		atomic_store(&remapped.seen, n);
	}
	return unused;
}

static void remap(void)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	pthread_t thread;

	remapped.page = mmap(NULL, PAGE, prot, flags, -1, 0);
	if (pthread_create(&thread, NULL, look, NULL))
		errx(1, "no thread");
	for (unsigned int n = 1; n <= CONTENTS; n++) {
		if (mmap(remapped.page, PAGE, prot, flags | MAP_FIXED, -1, 0) == MAP_FAILED)
			err(1, "mmap");
		atomic_store(remapped.page, n);
		atomic_store(&remapped.put, n);
		while (atomic_load(&remapped.seen) != n)
			sched_yield();
	}
	pthread_join(thread, NULL);
}

/*
 * Instructions that a program may not execute, or that this CPU has not: each is a signal as on any
 * other CPU, and the machine goes on.
 */
#define FORBIDDEN(name, text, number)				\
	static void name(void)						\
	{								\
		(void)(number);						\
		asm volatile(text : : "a" (0), "c" (0), "d" (0) : "memory", "rbx");	\
	}
#include "forbidden.h"
#undef FORBIDDEN
#define FORBIDDEN(name, text, number) { text, name, number },
static const struct {
	const char *text;
	void (*execute)(void);
	int signal;
} forbidden[] = {
#include "forbidden.h"
};

static volatile sig_atomic_t signalled;

static void on_forbidden(int number)
{
	signalled = number;
	siglongjmp(after_fault, 1);
}

static void execute_what_is_forbidden(void)
{
	struct sigaction action = { .sa_handler = on_forbidden };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	for (size_t n = 0; n < sizeof(forbidden) / sizeof(forbidden[0]); n++) {
		signalled = 0;
		if (!sigsetjmp(after_fault, 1))
			forbidden[n].execute();
		if (signalled != forbidden[n].signal)
			errx(1, "%s: signal %d and not %d", forbidden[n].text, (int)signalled,
			     forbidden[n].signal);
	}
}

/* XCR0's bits of SSE and AVX */
#define XCR0_AVX	6u
#define VECTOR_TURNS	50

static unsigned int read_xcr0(void)
{
	unsigned int low, high;

	asm("xgetbv" : "=a" (low), "=d" (high) : "c" (0));
	return low;
}

/* All of a vector register has VALUE before the process waits for its next turn, and after. */
static void take_turns(unsigned int value)
{
	unsigned int found[8];

	for (unsigned int turn = 0; turn < VECTOR_TURNS; turn++) {
		long yield = SYS_sched_yield;

		asm volatile("vbroadcastss %2, %%ymm9\n"
			     "syscall\n"
			     "vmovups %%ymm9, %1\n"
			     "vzeroupper"
			     : "+a" (yield), "=m" (found) : "m" (value)
			     : "rcx", "r11", "memory", "xmm9");
		for (unsigned int n = 0; n < 8; n++)
			if (found[n] != value)
				errx(1, "YMM9 has %#x, not %#x", found[n], value);
	}
}

/*
 * Linux uses AVX where CPUID offers it, unless leaf 0DH contradicts XSAVE. Two processes on one CPU
 * do not see each other's registers.
 */
static void keep_vectors(void)
{
	unsigned int eax, ebx, ecx = 0, edx;
	pid_t child;

	__get_cpuid(1, &eax, &ebx, &ecx, &edx);
	if (!(ecx & bit_AVX)) {
		puts("vector registers: SSE");
		return;
	}
	if (!(ecx & bit_OSXSAVE) || (read_xcr0() & XCR0_AVX) != XCR0_AVX)
		errx(1, "CPUID offers AVX, and Linux does not use it");
	fflush(stdout);
	child = fork_to(0);
	take_turns(child ? 0x11111111 : 0xcccccccc);
	if (!child)
		_exit(0);
	expect_exit(child, 0);
	printf("vector registers: AVX, XCR0 %#x\n", read_xcr0());
}

static int processes(void)
{
	move_to(0);
	for (unsigned int round = 0; round < 20; round++)
		spawn(round);
	for (unsigned int round = 0; round < 4; round++) {
		write_memory(round);
		signal_each_other(round);
	}
	keep_vectors();
	write_protected();
	execute_what_is_forbidden();
	remap();
	return 0;
}

/* Disks */

#define CHUNK	(64 << 10)

/* Differs from chunk to chunk, and from what a disk has by itself. */
static void fill(unsigned int *words, unsigned int chunk)
{
	unsigned int state = 2463534242 + chunk;

	for (size_t n = 0; n < CHUNK / sizeof(*words); n++) {
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		words[n] = state;
	}
}

static unsigned int chunks_of(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);

	if (size < CHUNK)
		errx(1, "there is no room for a chunk");
	return size / CHUNK;
}

static int check(int fd)
{
	static unsigned int wanted[CHUNK / 4], found[CHUNK / 4];

	for (unsigned int n = 0; n < chunks_of(fd); n++) {
		fill(wanted, n);
		if (pread(fd, found, CHUNK, (off_t)n * CHUNK) != CHUNK)
			err(1, "cannot read chunk %u", n);
		if (memcmp(wanted, found, CHUNK))
			errx(1, "chunk %u is not what was written", n);
	}
	return 0;
}

static int write_disk(int fd)
{
	static unsigned int words[CHUNK / 4];

	for (unsigned int n = 0; n < chunks_of(fd); n++) {
		fill(words, n);
		if (pwrite(fd, words, CHUNK, (off_t)n * CHUNK) != CHUNK)
			err(1, "cannot write chunk %u", n);
	}
	/* Nothing is left in memory that a read could come from. */
	if (fsync(fd) || ioctl(fd, BLKFLSBUF))
		err(1, "cannot flush");
	return check(fd);
}

static int with_file(const char *path, int flags, int (*use)(int fd))
{
	int fd = open(path, flags);

	if (fd < 0)
		err(1, "%s", path);
	return use(fd);
}

/* Far more than the guest's card and the host's queue have room for; nobody has to take any. */
static int flood(const char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char datagram[1400] = { 0 };

	if (fd < 0 || !inet_aton(address, &to.sin_addr))
		err(1, "no datagrams can be sent to %s", address);
	for (unsigned int n = 0; n < 5000; n++) {
		if (sendto(fd, datagram, sizeof(datagram), 0, (void *)&to, sizeof(to)) < 0 &&
		    errno != ENOBUFS && errno != ECONNREFUSED)
			err(1, "datagram %u", n);
	}
	return 0;
}

/*
 * Clocks. A question is an empty line, and so is an answer, so that they do not take long. The time
 * of the answer follows.
 */
#define CLOCK	"GUEST clock "
/* Other processes and interrupts delay some answers. One that nothing delays is among these. */
#define ASKED	20

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static int tell_time(void)
{
	struct termios normal, silent;
	char line[64];

	if (tcgetattr(STDIN_FILENO, &normal))
		err(1, "no terminal");
	silent = normal;
	silent.c_lflag &= ~ECHO;
	tcsetattr(STDIN_FILENO, TCSANOW, &silent);
	setlinebuf(stdout);
	puts("GUEST can tell its time");
	while (fgets(line, sizeof(line), stdin) && *line == '\n') {
		double time = now();

		printf("\n" CLOCK "%.6f\n", time);
	}
	tcsetattr(STDIN_FILENO, TCSANOW, &normal);
	return 0;
}

/* Byte by byte: bytes after the line are for the next reader. */
static void read_line(char *line, size_t size)
{
	size_t length = 0;

	while (length + 1 < size) {
		if (read(STDIN_FILENO, &line[length], 1) != 1)
			errx(1, "the guest's console is closed");
		if (line[length++] == '\n')
			break;
	}
	line[length] = '\0';
}

/*
 * Prints a time of the guest's between two of this machine's: the first is from before the question
 * is written, the second from after the answer is read. A delay of either only moves them apart. Of
 * all answers, the one with the two closest together is printed.
 */
static int ask(int keyboard)
{
	double guest = 0, before = 0, after = 1e9, longest = 0;
	char line[256];

	for (unsigned int n = 0; n < ASKED; n++) {
		double asked = now(), answered;
		bool empty;

		if (write(keyboard, "\n", 1) != 1)
			err(1, "the guest cannot be asked");
		read_line(line, sizeof(line));
		answered = now();
		/* The guest's kernel may have said something first. */
		empty = !strcmp(line, "\r\n");
		while (strncmp(line, CLOCK, strlen(CLOCK)))
			read_line(line, sizeof(line));
		if (answered - asked > longest)
			longest = answered - asked;
		if (!empty || answered - asked >= after - before)
			continue;
		guest = strtod(line + strlen(CLOCK), NULL);
		before = asked;
		after = answered;
	}
	dprintf(keyboard, "enough\n");
	printf("CLOCK guest %.6f host %.6f %.6f (answers took %.1f to %.1f ms)\n", guest, before,
	       after, (after - before) * 1e3, longest * 1e3);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "processes"))
		return processes();
	if (argc == 3 && !strcmp(argv[1], "say"))
		return printf("%s", argv[2]) < 0 ? 1 : atoi(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "write"))
		return with_file(argv[2], O_RDWR, write_disk);
	if (argc == 3 && !strcmp(argv[1], "check"))
		return with_file(argv[2], O_RDONLY, check);
	if (argc == 3 && !strcmp(argv[1], "flood"))
		return flood(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "clock"))
		return tell_time();
	if (argc == 3 && !strcmp(argv[1], "ask"))
		return with_file(argv[2], O_WRONLY, ask);
	errx(2, "usage: exercise processes|write DEVICE|check FILE|flood ADDRESS|clock|ask TO");
}
