// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stands in for the machine: its agent, in namespaces of this kernel, below a root that has what
 * the machine's initramfs has. For tests on computers without VMX. It protects nobody: a container
 * that breaks out of it is root in the outer container, with all its capabilities.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor.h"

#define IMAGE	"/machine/root"
#define ROOT	"/newroot"
#define STREAM	3

/* Beside what the image has. */
static const struct {
	const char *source, *target, *type;
	unsigned long flags;
} mounts[] = {
	{ SHARE, ROOT SHARE, NULL, MS_BIND | MS_REC },
	{ "proc", ROOT "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "sysfs", ROOT "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "/sys/fs/cgroup", ROOT "/sys/fs/cgroup", NULL, MS_BIND | MS_REC },
	{ "tmpfs", ROOT "/run", "tmpfs", MS_NOSUID | MS_NODEV },
	{ "tmpfs", ROOT "/dev", "tmpfs", MS_NOSUID },
};

static void __attribute__((noreturn)) die(const char *what)
{
	dprintf(STDERR_FILENO, "vmxoci: the stand-in for a VM: %s: %s\n", what, strerror(errno));
	_exit(STATUS_FAILED);
}

static void mount_image_entry(const struct dirent *entry)
{
	char from[300], to[300], link[300];
	ssize_t length;

	snprintf(from, sizeof(from), IMAGE "/%s", entry->d_name);
	snprintf(to, sizeof(to), ROOT "/%s", entry->d_name);
	length = readlink(from, link, sizeof(link) - 1);
	if (length > 0) {
		link[length] = '\0';
		if (symlink(link, to))
			die(to);
		return;
	}
	if (entry->d_type == DT_DIR ? mkdir(to, 0755) : mknod(to, S_IFREG | 0755, 0))
		die(to);
	if (mount(from, to, NULL, MS_BIND, NULL))
		die(from);
}

static void mount_image(void)
{
	DIR *image = opendir(IMAGE);
	const struct dirent *entry;

	if (!image)
		die(IMAGE);
	while ((entry = readdir(image)))
		if (entry->d_name[0] != '.')
			mount_image_entry(entry);
	closedir(image);
}

static void make_devices(void)
{
	static const struct {
		const char *path;
		unsigned int major;
		unsigned int minor;
	} nodes[] = {
		{ "/dev/null", 1, 3 }, { "/dev/zero", 1, 5 }, { "/dev/full", 1, 7 },
		{ "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 },
	};

	for (unsigned int n = 0; n < sizeof(nodes) / sizeof(nodes[0]); n++)
		if (mknod(nodes[n].path, S_IFCHR | 0666,
			  makedev(nodes[n].major, nodes[n].minor)))
			die(nodes[n].path);
}

static void make_root(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) ||
	    mount("tmpfs", ROOT, "tmpfs", MS_NOSUID, "mode=755"))
		die(ROOT);
	mount_image();
	for (unsigned int n = 0; n < sizeof(mounts) / sizeof(mounts[0]); n++) {
		mkdir(mounts[n].target, 0755);
		if (mount(mounts[n].source, mounts[n].target, mounts[n].type, mounts[n].flags,
			  NULL))
			die(mounts[n].target);
	}
	if (chdir(ROOT) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH))
		die("pivot_root");
	umask(0);
	make_devices();
	umask(022);
}

static void __attribute__((noreturn)) be_machine(int stream)
{
	static char *const words[] = { "/init", "--stream", "3", NULL };
	static char *const environment[] = { NULL };
	int null;

	/* As a machine ends with its monitor. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	make_root();
	setsid();
	/* The container's streams are the monitor's alone: it may have to close them. */
	null = open("/dev/null", O_RDWR);
	for (int n = 0; n < STREAM; n++)
		if (dup2(null, n) < 0)
			die("/dev/null");
	if (dup2(stream, STREAM) < 0 || syscall(SYS_close_range, STREAM + 1, ~0U, 0))
		die("descriptors");
	execve(words[0], words, environment);
	die(words[0]);
}

static pid_t clone_namespaces(void)
{
	long namespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;

	return syscall(SYS_clone, namespaces | SIGCHLD, NULL, NULL, NULL, NULL);
}

int machine_start(const struct machine_config *config __attribute__((unused)))
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		die("socketpair");
	pid = clone_namespaces();
	if (pid < 0)
		die("namespaces");
	if (!pid)
		be_machine(ends[1]);
	close(ends[1]);
	return ends[0];
}

void machine_explain(void)
{
	fprintf(stderr, "vmxoci: the stand-in for a VM has ended before the container\n");
}
