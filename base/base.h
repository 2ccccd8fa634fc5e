/* SPDX-License-Identifier: GPL-2.0 */
/* What every folder uses of this one, but for differences between kernels: those are compat.h's. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <linux/fs.h>
#include <linux/types.h>

/* base/user.c */
int base_user_bring(unsigned long uaddr, bool write);
int base_from_user(void *to, const void __user *from, size_t size);
int base_to_user(void __user *to, const void *from, size_t size);
void *base_dup_user(const void __user *from, size_t size);

/* base/ioctl.c */
int base_copy_in(void *kernel, size_t ksize, const void __user *user, size_t min);
int base_copy_out(void __user *user, const void *kernel, size_t ksize);
int base_new_fd(const char *name, const struct file_operations *fops, void *object);

#endif /* BASE_BASE_H */
