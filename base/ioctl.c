// SPDX-License-Identifier: GPL-2.0
/* The rules that all ioctls share: growing structs, new descriptors. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "base.h"

/* Is the part of the caller's struct that this kernel does not know all 0? */
static int check_tail(const void __user *tail, size_t size)
{
	u8 part[64];

	while (size) {
		size_t n = min(size, sizeof(part));
		int err = base_from_user(part, tail, n);

		if (err)
			return err;
		if (memchr_inv(part, 0, n))
			return -E2BIG;
		tail += n;
		size -= n;
	}
	return 0;
}

/**
 * base_copy_in() - fetch an ioctl's struct
 * @kernel: where to put it, of @ksize bytes; zero-filled past what the caller
 *	gave
 * @ksize: size this kernel knows
 * @user: the caller's struct; its first member is its size
 * @min: smallest size a caller may give
 *
 * Context: may sleep.
 * Return: 0, -EFAULT, -EINVAL (too small), -E2BIG (a tail that this kernel
 * does not know is not zero), -ENOMEM, -EINTR (a signal).
 */
int base_copy_in(void *kernel, size_t ksize, const void __user *user, size_t min)
{
	size_t known;
	u32 size;
	int err;

	err = base_from_user(&size, user, sizeof(size));
	if (err)
		return err;
	if (size < min)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	known = min_t(size_t, size, ksize);
	if (size > ksize) {
		err = check_tail(user + ksize, size - ksize);
		if (err)
			return err;
	}
	memset(kernel + known, 0, ksize - known);
	err = base_from_user(kernel, user, known);
	if (err)
		return err;
	/* The caller may have changed it since: use the value that was judged. */
	*(u32 *)kernel = size;
	return 0;
}

/**
 * base_copy_out() - give an ioctl's struct back
 * @user: the caller's struct
 * @kernel: the kernel's, as base_copy_in() filled it: its size is the caller's
 * @ksize: size this kernel knows
 *
 * Context: may sleep.
 * Return: 0, -EFAULT, -ENOMEM, -EINTR (a signal).
 */
int base_copy_out(void __user *user, const void *kernel, size_t ksize)
{
	return base_to_user(user, kernel, min_t(size_t, *(const u32 *)kernel, ksize));
}

/**
 * base_new_fd() - put a new object behind a descriptor
 * @name: what /proc/PID/fd shows
 * @fops: the object's operations; its release drops the reference given here
 * @object: the object
 *
 * The object must be complete: another thread can use, and close, the
 * descriptor before this returns.
 *
 * Context: may sleep.
 * Return: the descriptor or a negative errno; the reference is then still the
 * caller's.
 */
int base_new_fd(const char *name, const struct file_operations *fops,
		void *object)
{
	return anon_inode_getfd(name, fops, object, O_RDWR | O_CLOEXEC);
}
