// SPDX-License-Identifier: LGPL-2.1-or-later
/* Disks: files and block devices of the host that are virtio disks of the guest. */
#define _GNU_SOURCE	/* F_OFD_SETLK */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../api/api.h"
#include "vmxrun.h"

static struct disk {
	const char *path;
	bool read_only;
	int fd;
	struct vmx_virtio_blk blk;
} disks[DISKS];
static unsigned int disk_count;

static int open_disk(const char *path, bool read_only)
{
	int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	const char *way_out = "";

	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		way_out = "; 'truncate -s 1G FILE' makes an empty disk";
	if (!read_only && (errno == EACCES || errno == EPERM || errno == EROFS))
		way_out = "; FILE,ro opens it for reading only";
	fail("--disk %s: %s%s", path, strerror(errno), way_out);
}

/*
 * The locks that QEMU takes of an image, so that neither has one that the other writes: a byte for
 * each thing that a user does with it, and one for each that no other user may do
 * (block/file-posix.c and the permissions in include/block/block-common.h there). All are shared
 * locks, so a user looks whether another one has the bytes that it cannot bear.
 */
#define DOES		100
#define FORBIDS		200
#define CONSISTENT_READ	0
#define WRITE		1
#define RESIZE		3

static int lock_byte(int fd, int command, int type, off_t byte)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	int ret = fcntl(fd, command, &lock);

	if (!ret && command == F_OFD_GETLK && lock.l_type != F_UNLCK) {
		errno = EAGAIN;
		ret = -1;
	}
	return ret;
}

static int lock_disk(const struct disk *disk)
{
	static const off_t locked[] = { DOES + CONSISTENT_READ, FORBIDS + WRITE, FORBIDS + RESIZE,
					DOES + WRITE };
	static const off_t looked_at[] = { FORBIDS + CONSISTENT_READ, DOES + WRITE, DOES + RESIZE,
					   FORBIDS + WRITE };
	/* A reader does not write, and accepts that others forbid writes. */
	const size_t count = disk->read_only ? 3 : 4;
	int ret = 0;

	for (size_t n = 0; !ret && n < count; n++)
		ret = lock_byte(disk->fd, F_OFD_SETLK, F_RDLCK, locked[n]);
	/* Own locks do not count. All are taken first: of two at once, one sees the other. */
	for (size_t n = 0; !ret && n < count; n++)
		ret = lock_byte(disk->fd, F_OFD_GETLK, F_WRLCK, looked_at[n]);
	return ret ? -errno : 0;
}

int disks_lock(struct sentence *why)
{
	int ret = 0;

	for (unsigned int n = 0; !ret && n < disk_count; n++) {
		const struct disk *disk = &disks[n];

		ret = lock_disk(disk);
		if (ret == -EAGAIN || ret == -EACCES)
			sentence_is(why, "--disk %s: it is in use%s", disk->path, disk->read_only ?
				    " and written to" :
				    "; several machines can have it with FILE,ro");
		else if (ret)
			sentence_is(why, "--disk %s: it cannot be locked: %s", disk->path,
				    strerror(-ret));
	}
	if (ret)
		disks_unlock();
	return ret;
}

/* What another computer wrote to shared storage is not what this one has read before. */
int disks_renew(struct sentence *why)
{
	for (unsigned int n = 0; n < disk_count; n++) {
		const struct disk *disk = &disks[n];
		int error = fdatasync(disk->fd) ? errno : 0;

		error = error ?: posix_fadvise(disk->fd, 0, 0, POSIX_FADV_DONTNEED);
		if (error) {
			sentence_is(why, "--disk %s: what was read of it cannot be forgotten: %s",
				    disk->path, strerror(error));
			return -error;
		}
	}
	return 0;
}

void disks_unlock(void)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	for (unsigned int n = 0; n < disk_count; n++)
		fcntl(disks[n].fd, F_OFD_SETLK, &all);
}

void disks_add(char *argument)
{
	struct disk *disk = &disks[disk_count];
	char *comma = strrchr(argument, ',');

	if (disk_count == DISKS)
		fail("--disk %s: the machine takes no more disks", argument);
	disk->read_only = comma && !strcmp(comma, ",ro");
	if (disk->read_only)
		*comma = 0;
	disk->path = argument;
	disk->fd = open_disk(argument, disk->read_only);
	disk_count++;
}

static void plug(struct disk *disk)
{
	struct vmx_virtio_machine virtio = vmx_machine_virtio(&machine);
	struct vmx_virtio_blk *blk = &disk->blk;

	if (vmx_virtio_blk_init(blk, &virtio, disk->fd, disk->read_only, NULL))
		fail("--disk %s: %s", disk->path, vmx_error());
	/* Messages have the name that the user gave. */
	blk->virtio.pci.name = disk->path;
	if (vmx_machine_add(&machine, &blk->virtio.pci) < 0)
		fail("--disk %s: %s", disk->path, vmx_error());
	if (!blk->capacity)
		fail("--disk %s: smaller than a sector of 512 bytes; %s", disk->path,
		     "'truncate -s 1G FILE' makes it larger");
	if (vmx_virtio_blk_start(blk, &machine.lock))
		fail("--disk %s: %s", disk->path, vmx_error());
}

void disks_plug(void)
{
	for (unsigned int n = 0; n < disk_count; n++)
		plug(&disks[n]);
}

void disks_unplug(void)
{
	for (unsigned int n = 0; n < disk_count; n++)
		vmx_virtio_blk_stop(&disks[n].blk);
}

unsigned int disks_count(void)
{
	return disk_count;
}

void disks_describe(unsigned int n, struct api_device *device)
{
	const struct vmx_virtio_blk *blk = &disks[n].blk;

	*device = (struct api_device){
		.kind = "virtio-blk", .name = disks[n].path, .read_only = disks[n].read_only,
		.counters = {
			{ "reads", blk->reads }, { "writes", blk->writes },
			{ "bytes_read", blk->bytes_read }, { "bytes_written", blk->bytes_written },
		},
	};
}

bool disks_flush(void)
{
	bool good = true;

	for (unsigned int n = 0; n < disk_count; n++) {
		struct disk *disk = &disks[n];

		if (disk->read_only || !fdatasync(disk->fd))
			continue;
		fprintf(stderr, "vmxrun: --disk %s: the guest's last writes may be lost: %s\n",
			disk->path, strerror(errno));
		good = false;
	}
	return good;
}
