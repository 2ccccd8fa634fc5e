/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two vmxruns, one of which takes the machine of the other; its guest stamps pages. A line between
 * them can go through the test, which kills a side at a message.
 */
#ifndef MOVE_FIXTURE_H
#define MOVE_FIXTURE_H

#include "command.h"
#include "stamper.h"

#include "../../tools/tests/line.h"

struct target {
	pid_t child;
	int keys;		/* its standard input */
	char errors[64];
};

static struct target there;

static void start_target(fixture *self, char *const *more)
{
	char address[64];
	char *argv[12] = {
		(char[]){ "vmxrun" }, (char[]){ "--name" }, (char[]){ "there" },
		(char[]){ "--incoming" }, address,
	};
	int keys[2];

	snprintf(address, sizeof(address), "unix:%s/line", self->folder);
	snprintf(there.errors, sizeof(there.errors), "%s/there", self->folder);
	for (unsigned int n = 0; more && more[n]; n++)
		argv[5 + n] = more[n];
	if (pipe(keys))
		abort();
	there.child = fork();
	if (!there.child) {
		int errors = open(there.errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		setsid();
		dup2(keys[0], STDIN_FILENO);
		dup2(errors, STDOUT_FILENO);
		dup2(errors, STDERR_FILENO);
		close(keys[1]);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(keys[0]);
	there.keys = keys[1];
}

static int wait_for(pid_t child)
{
	const struct timespec tick = { .tv_nsec = 10000000 };
	int status;

	for (int n = 0; n < PATIENCE * 100; n++) {
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
		nanosleep(&tick, NULL);
	}
	return -1;
}

/* Its guest ends with what it found changed. */
static int end_target(void)
{
	int status;

	if (write(there.keys, "q", 1) != 1)
		perror("the target's input");
	status = wait_for(there.child);
	there.child = 0;
	close(there.keys);
	return status;
}

/* Did standard error have TEXT? */
static bool has_word(const char *errors, const char *text)
{
	char buf[4096];
	int fd = open(errors, O_RDONLY);
	ssize_t got = read(fd, buf, sizeof(buf) - 1);

	close(fd);
	buf[got > 0 ? got : 0] = '\0';
	return strstr(buf, text);
}

static inline bool complained_there(const char *text)
{
	return has_word(there.errors, text);
}

/* Does somebody listen there? A file of that name comes first. */
static bool listens_at(const char *path)
{
	FILE *sockets = fopen("/proc/net/unix", "r");
	char line[200], at[120];
	unsigned int flags;
	bool found = false;

	while (!found && sockets && fgets(line, sizeof(line), sockets))
		/* __SO_ACCEPTCON */
		found = sscanf(line, "%*s %*s %*s %x %*s %*s %*s %119s", &flags, at) == 2 &&
			flags == 0x10000 && !strcmp(at, path);
	if (sockets)
		fclose(sockets);
	return found;
}

/* Until somebody listens at NAME. */
static bool is_there(fixture *self, const char *name)
{
	const struct timespec tick = { .tv_nsec = 10000000 };
	char path[80];

	snprintf(path, sizeof(path), "%s/%s", self->folder, name);
	for (int n = 0; n < PATIENCE * 100; n++) {
		if (listens_at(path))
			return true;
		nanosleep(&tick, NULL);
	}
	return false;
}

#define START_BOTH(mmu_here, mmu_there) do {						\
	setenv("XDG_RUNTIME_DIR", self->folder, 1);					\
	START(stamper, OPTIONS("--name", "here", "--mmu", (char *)mmu_here));		\
	ASSERT_TRUE(heard(self, "R"));							\
	start_target(self, OPTIONS("--mmu", (char *)mmu_there, "--memory", "16M"));	\
	ASSERT_TRUE(is_there(self, "line"));						\
} while (0)

/* A line through this test. */

static int listen_at(fixture *self, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", self->folder, name);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		abort();
	return fd;
}

/* How the side that is left ends up. */
enum left {
	GONE = 1,		/* its process has ended */
	WAITS = 2,		/* a target, for another source */
	RUNS = 4,		/* the guest does */
	UNDECIDED = 8,
};

struct victim {
	fixture *self;
	bool source;
};

static inline void kill_it(void *context)
{
	struct victim *victim = context;
	pid_t *child = victim->source ? &victim->self->child : &there.child;

	kill(*child, SIGKILL);
	waitpid(*child, NULL, 0);
	*child = 0;
}

/* Moves the guest over a line where something happens at a message; the exit status of vmxctl. */
static int move_over_line(fixture *self, const struct fault *fault)
{
	int listener = listen_at(self, "relay"), near, status;
	char address[80];
	static struct line line;
	pid_t child;

	snprintf(address, sizeof(address), "unix:%s/relay", self->folder);
	child = fork();
	if (!child) {
		execlp("vmxctl", "vmxctl", "migrate", "here", address, NULL);
		_exit(127);
	}
	near = accept(listener, NULL, NULL);
	line_join(&line, near, connect_at(self, "line"), fault);
	waitpid(child, &status, 0);
	line_close(&line);
	close(listener);
	return WEXITSTATUS(status);
}

/* It kills a side. */
static inline int move_and_kill(fixture *self, const char *name, enum harm harm, bool source)
{
	struct victim victim = { self, source };
	const struct fault fault = {
		.name = name, .harm = harm, .hit = kill_it, .context = &victim,
	};

	return move_over_line(self, &fault);
}

/* What has become of it, when that is certain; 0 if it never is. */
static inline unsigned int settles(fixture *self, const char *name)
{
	const struct timespec tick = { .tv_nsec = 10000000 };

	for (int n = 0; n < PATIENCE * 10; n++) {
		if (command(self, "vmxctl info %s", name))
			return GONE;
		if (strstr(said, "undecided"))
			return UNDECIDED;
		if (strstr(said, "running"))
			return RUNS;
		/* Who is told that the other side is gone waits on, or ends. */
		if (strstr(said, "incoming") && complained_there("it waits on"))
			return WAITS;
		nanosleep(&tick, NULL);
	}
	return 0;
}

/* Nobody knows, so it goes on when it is told to, and not before. */
static inline bool is_decided(fixture *self, const char *name)
{
	return command(self, "vmxctl resume %s", name) == 1 &&
	       strstr(said, "nobody knows whether the guest is here") &&
	       !command(self, "vmxctl resume --here %s", name);
}

/* Ends what is left; whether all of the guest was. */
static inline bool ends_well(fixture *self, unsigned int left, bool source)
{
	if (left == GONE)
		return source ? wait_for(there.child) == 125 : ended(self) == 120 << 8;
	if (left == WAITS)
		return !command(self, "vmxctl stop --now there") && wait_for(there.child) == 130;
	if (source)
		return end_target() == 1;
	type(self, "q");
	return ended(self) == 1 << 8;
}

/* Kills a side at a message, and looks at the other. */
#define EXPECT_LEFT(may, name, harm, source) do {					\
	const char *left_ = (source) ? "there" : "here";				\
	unsigned int is_;								\
											\
	move_and_kill(self, name, harm, source);					\
	is_ = settles(self, left_);							\
	EXPECT_NE(0, is_ & (may)) {							\
		TH_LOG("%s, %s is left: %u for %u: %s", name, left_, is_, may, said);	\
	}										\
	if (is_ == UNDECIDED)								\
		EXPECT_TRUE(is_decided(self, left_)) { TH_LOG("%s", said); }		\
	EXPECT_TRUE(ends_well(self, is_, source)) {					\
		TH_LOG("%s, %s is left: %u", name, left_, is_);				\
	}										\
} while (0)

#endif /* MOVE_FIXTURE_H */
