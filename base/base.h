/* SPDX-License-Identifier: GPL-2.0 */
/* What every folder uses of this one, but for differences between kernels: those are compat.h's. */
#ifndef VMX_BASE_H
#define VMX_BASE_H

#include <linux/fs.h>
#include <linux/types.h>

/* base/user.c */
int vmx_user_bring(unsigned long uaddr, bool write);
int vmx_from_user(void *to, const void __user *from, size_t size);
int vmx_to_user(void __user *to, const void *from, size_t size);
void *vmx_dup_user(const void __user *from, size_t size);

/* base/ioctl.c */
int vmx_copy_in(void *kernel, size_t ksize, const void __user *user, size_t min);
int vmx_copy_out(void __user *user, const void *kernel, size_t ksize);
int vmx_new_fd(const char *name, const struct file_operations *fops, void *object);

#endif /* VMX_BASE_H */
