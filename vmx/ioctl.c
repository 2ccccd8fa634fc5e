// SPDX-License-Identifier: GPL-2.0
/* The rules that all ioctls share: growing structs, new descriptors. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/uaccess.h>

#include "vmx.h"

/**
 * vmx_copy_in() - fetch an ioctl's struct
 * @kernel: where to put it, of @ksize bytes; zero-filled past what the caller
 *	gave
 * @ksize: size this kernel knows
 * @user: the caller's struct; its first member is its size
 * @min: smallest size a caller may give
 *
 * Context: may sleep.
 * Return: 0, -EFAULT, -EINVAL (too small), -E2BIG (a tail that this kernel
 * does not know is not zero).
 */
int vmx_copy_in(void *kernel, size_t ksize, const void __user *user, size_t min)
{
	u32 size;
	int err;

	if (get_user(size, (const u32 __user *)user))
		return -EFAULT;
	if (size < min)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(kernel, ksize, user, size);
	if (err)
		return err;
	/* The caller may have changed it meanwhile; what was judged stays. */
	*(u32 *)kernel = size;
	return 0;
}

/**
 * vmx_copy_out() - give an ioctl's struct back
 * @user: the caller's struct
 * @kernel: the kernel's, as vmx_copy_in() filled it: its size is the caller's
 * @ksize: size this kernel knows
 *
 * Context: may sleep.
 * Return: 0 or -EFAULT.
 */
int vmx_copy_out(void __user *user, const void *kernel, size_t ksize)
{
	size_t size = min_t(size_t, *(const u32 *)kernel, ksize);

	return copy_to_user(user, kernel, size) ? -EFAULT : 0;
}

/**
 * vmx_new_fd() - put a new object behind a descriptor
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
int vmx_new_fd(const char *name, const struct file_operations *fops,
	       void *object)
{
	return anon_inode_getfd(name, fops, object, O_RDWR | O_CLOEXEC);
}
