// SPDX-License-Identifier: GPL-2.0
/*
 * User memory that is yet to come. Userspace that provides pages by userfaultfd may take
 * as long as it likes: any signal ends the wait, where the kernel's own copies go on
 * unless it is a fatal one. A page of a file is another matter: the page cache waits for
 * the file system, which may be a program (FUSE) or a server (NFS), and only a fatal
 * signal ends that.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/mmu_context.h>

#include "base.h"

/* Pages that go again before they are copied; then the kernel's copy waits for them. */
#define ATTEMPTS 8

/* One fault; the lock is held, and given up if it was interrupted. */
static vm_fault_t fault_user_page(struct mm_struct *mm, unsigned long uaddr, unsigned int flags)
{
	const bool write = flags & FAULT_FLAG_WRITE;
	struct vm_area_struct *vma = vma_lookup(mm, uaddr);

	if (!vma || !(vma->vm_flags & (write ? VM_WRITE : VM_READ)) ||
	    !arch_vma_access_permitted(vma, write, false, false))
		return VM_FAULT_SIGSEGV;
	return handle_mm_fault(vma, uaddr, flags, NULL);
}

/**
 * base_user_bring() - have the host bring a page, as if the owner accessed it
 * @uaddr: userspace address
 * @write: it is to be written
 *
 * Context: the owner's address space, may sleep.
 * Return: 0, and the page was there; or -EFAULT, -EHWPOISON, -ENOMEM, -EINTR (a
 * signal).
 */
int base_user_bring(unsigned long uaddr, bool write)
{
	unsigned int flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE |
			     FAULT_FLAG_INTERRUPTIBLE | (write ? FAULT_FLAG_WRITE : 0);
	struct mm_struct *mm = current->mm;
	vm_fault_t ret;

	for (;;) {
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		ret = fault_user_page(mm, uaddr, flags);
		if (ret & VM_FAULT_COMPLETED)
			return 0;
		if (!(ret & VM_FAULT_RETRY))
			break;
		if (signal_pending(current))
			return -EINTR;
		flags |= FAULT_FLAG_TRIED;
	}
	mmap_read_unlock(mm);
	return ret & VM_FAULT_ERROR ? vm_fault_to_errno(ret, FOLL_HWPOISON) : 0;
}

static int bring_all(const void __user *user, size_t size, bool write)
{
	unsigned long at = (unsigned long)user & PAGE_MASK;
	unsigned long end = (unsigned long)user + size;
	int err = 0;

	for (; !err && at < end; at += PAGE_SIZE)
		err = base_user_bring(at, write);
	return err;
}

/* What is at hand, without waiting; what is left. */
static unsigned long copy_in(void *to, const void __user *from, size_t size)
{
	unsigned long left;

	pagefault_disable();
	left = copy_from_user(to, from, size);
	pagefault_enable();
	return left;
}

static unsigned long copy_out(void __user *to, const void *from, size_t size)
{
	unsigned long left;

	pagefault_disable();
	left = copy_to_user(to, from, size);
	pagefault_enable();
	return left;
}

/**
 * base_from_user() - copy from user memory
 * @to: where to
 * @from: where from
 * @size: bytes
 *
 * Context: may sleep.
 * Return: 0, -EFAULT, -ENOMEM, -EINTR (a signal).
 */
int base_from_user(void *to, const void __user *from, size_t size)
{
	int attempts = ATTEMPTS, err;

	while (unlikely(copy_in(to, from, size))) {
		err = bring_all(from, size, false);
		if (err == -EINTR || err == -ENOMEM)
			return err;
		if (err || !attempts--)
			return copy_from_user(to, from, size) ? -EFAULT : 0;
	}
	return 0;
}

/**
 * base_to_user() - copy to user memory
 * @to: where to
 * @from: where from
 * @size: bytes
 *
 * Context: may sleep.
 * Return: 0, -EFAULT, -ENOMEM, -EINTR (a signal).
 */
int base_to_user(void __user *to, const void *from, size_t size)
{
	int attempts = ATTEMPTS, err;

	while (unlikely(copy_out(to, from, size))) {
		err = bring_all(to, size, true);
		if (err == -EINTR || err == -ENOMEM)
			return err;
		if (err || !attempts--)
			return copy_to_user(to, from, size) ? -EFAULT : 0;
	}
	return 0;
}

/**
 * base_dup_user() - a copy of user memory
 * @from: where from
 * @size: bytes, not 0
 *
 * Context: may sleep.
 * Return: the copy, to be given to kvfree(), or ERR_PTR() as of base_from_user().
 */
void *base_dup_user(const void __user *from, size_t size)
{
	void *copy = kvmalloc(size, GFP_USER | __GFP_NOWARN);
	int err;

	if (!copy)
		return ERR_PTR(-ENOMEM);
	err = base_from_user(copy, from, size);
	if (!err)
		return copy;
	kvfree(copy);
	return ERR_PTR(err);
}
