// SPDX-License-Identifier: LGPL-2.1-or-later
/* A machine from a file, and into one. */
#define _GNU_SOURCE	/* mkostemp() */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmxrun.h"

static const char *restored_path;
static int restored_file = -1;
static struct stat restored;	/* as it was at the beginning */
static struct vmx_saved *saved;

/* Made beforehand: a signal handler cannot. */
static char lost[PATH_MAX + 200];

/* The guest's memory is the file's, which somebody has made shorter, or which cannot be read. */
static void on_bus_error(int number, siginfo_t *info, void *context __attribute__((unused)))
{
	const unsigned char *at = info->si_addr;

	terminal_restore();
	if (at < machine.vm.ram || at - machine.vm.ram >= (ptrdiff_t)machine.vm.ram_size) {
		raise(number);
		return;
	}
	if (write(STDERR_FILENO, lost, strlen(lost)) < 0)
		_exit(STATUS_SIGNAL + number);
	_exit(STATUS_ERROR);
}

static void watch_memory(const char *path)
{
	struct sigaction action = {
		.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_RESETHAND,
	};

	snprintf(lost, sizeof(lost),
		 "vmxrun: --restore %s: the guest's memory is lost: the file became shorter, or cannot be read\n",
		 path);
	sigaction(SIGBUS, &action, NULL);
}

/* The descriptor stays open: the guest's memory comes from it. */
static void open_saved(const char *option, const char *path, struct vmx_saved_config *found)
{
	restored_file = open(path, O_RDONLY | O_CLOEXEC);
	if (restored_file < 0 || fstat(restored_file, &restored))
		fail("%s %s: %s", option, path, strerror(errno));
	if (vmx_saved_open(&saved, restored_file, found))
		fail("%s %s: %s", option, path, vmx_error());
}

/* The module finds memory missing without a signal. */
void snapshot_explain(void)
{
	struct stat now;

	if (*lost && !fstat(restored_file, &now) && now.st_size < restored.st_size)
		fputs(lost, stderr);
}

void snapshot_open(const char *path, struct vmx_machine_config *config)
{
	struct vmx_saved_config found;

	open_saved("--restore", path, &found);
	restored_path = path;
	watch_memory(path);
	config->memory = found.memory;
	config->cpus = found.cpus;
}

void snapshot_check(const char *path)
{
	struct vmx_saved_config found;

	open_saved("--check", path, &found);
	if (vmx_saved_check_memory(saved))
		fail("--check %s: %s", path, vmx_error());
	printf("%s: a machine of %lluK and %u %s, undamaged\n", path,
	       (unsigned long long)found.memory >> 10, found.cpus,
	       found.cpus == 1 ? "CPU" : "CPUs");
	if (fflush(stdout))
		fail("--check %s: what it found cannot be printed: %s", path, strerror(errno));
}

bool snapshot_restore(void)
{
	if (!saved)
		return false;
	if (vmx_machine_restore(&machine, saved))
		fail("--restore %s: %s", restored_path, vmx_error());
	vmx_saved_close(saved);
	saved = NULL;
	vmx_machine_resume(&machine);
	return true;
}

static int refuse(const char *path, char *why, size_t size)
{
	int ret = -errno;

	snprintf(why, size, "%s: %s", path, strerror(-ret));
	return ret;
}

/* After a crash of the host, too, PATH has the new file. */
static int flush_folder(const char *path, char *why, size_t size)
{
	char folder[PATH_MAX];
	int fd, ret = 0;

	snprintf(folder, sizeof(folder), "%s", path);
	fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* EINVAL: the file system has no way to do it. */
	if (fd < 0 || (fsync(fd) && errno != EINVAL)) {
		ret = -errno;
		snprintf(why, size, "%s is saved, but is lost if the host crashes soon: %s", path,
			 strerror(-ret));
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

/*
 * Paused. The name gets the new file at once: machines that came from an older one have that still.
 * Until then the file has a name that nobody else has, another machine that saves to PATH included.
 */
static int save_as(const char *path, char *why, size_t size)
{
	char part[PATH_MAX];
	int fd = -1, ret;

	if ((size_t)snprintf(part, sizeof(part), "%s.XXXXXX", path) < sizeof(part))
		fd = mkostemp(part, O_CLOEXEC);
	else
		errno = ENAMETOOLONG;
	if (fd < 0)
		return refuse(path, why, size);
	ret = vmx_machine_save(&machine, fd);
	if (ret)
		snprintf(why, size, "%s", vmx_error());
	close(fd);
	if (!ret && rename(part, path))
		ret = refuse(path, why, size);
	if (ret)
		unlink(part);
	return ret;
}

int snapshot_save(const char *path, char *why, size_t size)
{
	int ret = vmx_machine_pause(&machine);

	if (ret) {
		snprintf(why, size, "%s", vmx_error());
		return ret;
	}
	ret = save_as(path, why, size);
	vmx_machine_resume(&machine);
	return ret ?: flush_folder(path, why, size);
}
