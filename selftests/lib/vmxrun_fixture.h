/* SPDX-License-Identifier: GPL-2.0 */
/* Runs vmxrun, from PATH, with the test's kernel: GUEST64 code, entered in 64-bit mode. */
#ifndef VMXRUN_FIXTURE_H
#define VMXRUN_FIXTURE_H

#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#include "vmx_test.h"

#define KERNEL_AT	0x100000
/* An emulator's seconds; what takes them is a failure. */
#define PATIENCE	60

FIXTURE(vmxrun) {
	char folder[32];
	char kernel[64];
	char errors[64];	/* its standard error */
	pid_t child;
	int terminal;		/* our end of its terminal */
	int slave;		/* and its end, to look at */
	int status;
	char heard[4096];	/* the last that it wrote */
	size_t length;
};

typedef FIXTURE_DATA(vmxrun) fixture;

FIXTURE_SETUP(vmxrun)
{
	snprintf(self->folder, sizeof(self->folder), "/tmp/vmxrun-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->folder));
	snprintf(self->kernel, sizeof(self->kernel), "%s/kernel", self->folder);
	snprintf(self->errors, sizeof(self->errors), "%s/errors", self->folder);
	ASSERT_EQ(0, openpty(&self->terminal, &self->slave, NULL, NULL, NULL));
	self->child = -1;
}

FIXTURE_TEARDOWN(vmxrun)
{
	char command[64];

	if (self->child > 0) {
		kill(self->child, SIGKILL);
		waitpid(self->child, NULL, 0);
	}
	close(self->terminal);
	close(self->slave);
	snprintf(command, sizeof(command), "rm -rf %s", self->folder);
	EXPECT_EQ(0, system(command));
}

/* An ELF file of one segment. */
static int write_kernel(const char *path, const unsigned char *code, const unsigned char *end)
{
	struct {
		Elf64_Ehdr file;
		Elf64_Phdr segment;
	} header = {
		.file = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     EV_CURRENT },
			.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
			.e_entry = KERNEL_AT, .e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
		},
		.segment = {
			.p_type = PT_LOAD, .p_flags = PF_R | PF_W | PF_X,
			.p_offset = sizeof(header),
			.p_vaddr = KERNEL_AT, .p_paddr = KERNEL_AT, .p_filesz = end - code,
			.p_memsz = end - code, .p_align = 1,
		},
	};
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	bool good = write(fd, &header, sizeof(header)) == sizeof(header) &&
		    write(fd, code, end - code) == end - code;

	close(fd);
	return good ? 0 : -1;
}

#define MOST_OPTIONS	8

static void execute(fixture *self, int in, int out, char *const *options)
{
	char *argv[MOST_OPTIONS + 6] = {
		(char[]){ "vmxrun" }, (char[]){ "--memory" }, (char[]){ "16M" },
		(char[]){ "--kernel" }, self->kernel,
	};
	int err = open(self->errors, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

	for (unsigned int n = 0; n < MOST_OPTIONS && options && options[n]; n++)
		argv[5 + n] = options[n];
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

/* With its terminal, or with IN and OUT. */
static void start_with(fixture *self, int in, int out, char *const *options)
{
	self->length = 0;
	self->heard[0] = '\0';
	self->child = fork();
	if (self->child)
		return;
	setsid();
	execute(self, in, out, options);
}

#define OPTIONS(...) ((char *[]){ __VA_ARGS__, NULL })

#define START(guest, options) do {							\
	ASSERT_EQ(0, write_kernel(self->kernel, guest, guest##_end));			\
	start_with(self, self->slave, self->slave, options);				\
} while (0)

static void hear(fixture *self, int fd)
{
	ssize_t got;

	if (self->length == sizeof(self->heard) - 1)
		self->length = 0;
	got = read(fd, self->heard + self->length, sizeof(self->heard) - 1 - self->length);
	if (got > 0)
		self->length += got;
	self->heard[self->length] = '\0';
}

/* Waits until it has written TEXT, and forgets what came before. */
static bool heard(fixture *self, const char *text)
{
	struct pollfd output = { .fd = self->terminal, .events = POLLIN };
	const char *found;

	while (!(found = strstr(self->heard, text))) {
		if (poll(&output, 1, PATIENCE * 1000) <= 0)
			return false;
		hear(self, self->terminal);
	}
	found += strlen(text);
	self->length -= found - self->heard;
	memmove(self->heard, found, self->length + 1);
	return true;
}

static void type(fixture *self, const char *keys)
{
	if (write(self->terminal, keys, strlen(keys)) < 0)
		perror("the terminal");
}

/* The raw status of wait(). */
static int ended(fixture *self)
{
	struct timespec tick = { .tv_nsec = 10000000 };
	int status;

	for (int n = 0; n < PATIENCE * 100; n++) {
		if (waitpid(self->child, &status, WNOHANG) == self->child) {
			self->child = -1;
			return status;
		}
		nanosleep(&tick, NULL);
	}
	return -1;
}

/* Did its standard error have TEXT? */
static bool complained(fixture *self, const char *text)
{
	char buf[8192];
	int fd = open(self->errors, O_RDONLY);
	ssize_t got = read(fd, buf, sizeof(buf) - 1);

	close(fd);
	buf[got > 0 ? got : 0] = '\0';
	if (strstr(buf, text))
		return true;
	printf("# no '%s' in: %s\n", text, buf);
	return false;
}

#define EXPECT_STATUS(status) do {							\
	int raw_ = ended(self);								\
											\
	EXPECT_TRUE(WIFEXITED(raw_)) { TH_LOG("it did not exit: %#x", raw_); }		\
	EXPECT_EQ(status, WEXITSTATUS(raw_)) { complained(self, "\1"); }		\
} while (0)

GUEST64(no_guest, "1: hlt\n jmp 1b");

/* It refuses the options, and says TEXT; the guest never runs. */
#define EXPECT_ERROR(text, ...) do {							\
	START(no_guest, OPTIONS(__VA_ARGS__));					\
	EXPECT_STATUS(125);								\
	EXPECT_TRUE(complained(self, text));						\
} while (0)

#endif /* VMXRUN_FIXTURE_H */
