// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of devices in the owner's address space, such as the BARs of PCI functions
 * that a driver lets it map. There is no struct page to take a reference on. Only the
 * host's page tables tell whether a frame still belongs to the owner, and the
 * notifiers report changes as for any memory.
 */
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include <asm/pgtable_types.h>

#include "../base/base.h"
#include "../base/compat.h"
#include "mmu.h"

/*
 * The host has the memory mapped with a type that suits the device; another one
 * for the same frame at the same time is undefined on some CPUs and loses
 * accesses on others (SDM, "Memory Cache Control"). Never cacheable.
 */
static u32 memtype_of(pgprot_t prot)
{
	if ((pgprot_val(prot) & _PAGE_CACHE_MASK) ==
	    cachemode2protval(_PAGE_CACHE_MODE_WC))
		return VMX_MEMTYPE_WC;
	return VMX_MEMTYPE_UC;
}

static int look_up_pfnmap(unsigned long uaddr, bool write, struct ept_mapping *map)
{
	const unsigned long need = write ? VM_WRITE : VM_READ;
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	struct base_pfnmap found;

	vma = vma_lookup(mm, uaddr);
	if (!vma || !(vma->vm_flags & (VM_IO | VM_PFNMAP)) ||
	    !(vma->vm_flags & need))
		return -EFAULT;
	if (base_follow_pfnmap(vma, uaddr, &found) || (write && !found.writable))
		return -EAGAIN;
	/* RAM that a driver owns and maps for userspace: no device, and not for guests. */
	if (page_is_ram(found.pfn))
		return -EFAULT;
	map->pfn = found.pfn;
	map->memtype = memtype_of(found.prot);
	if (!found.writable && (map->prot & VMX_MMU_WRITE))
		map->prot &= ~(VMX_MMU_WRITE | VMX_MMU_VE);
	return 0;
}

/**
 * gphys_find_device() - find device memory in the owner's address space
 * @uaddr: userspace address
 * @write: it is to be written
 * @map: the frame and memory type are filled in, and writing is taken from what is
 *	allowed where the host does not allow it
 *
 * What is found is good as long as no notifier says otherwise: the caller compares
 * the mmu's sequence count, as for a page.
 *
 * Context: the owner's address space, may sleep.
 * Return: 0; -EAGAIN if the host's tables have only now been filled in; -EFAULT
 * (no device memory is there, or not with that permission), -ENOMEM, -EINTR.
 */
int gphys_find_device(unsigned long uaddr, bool write, struct ept_mapping *map)
{
	int err;

	if (mmap_read_lock_killable(current->mm))
		return -EINTR;
	err = look_up_pfnmap(uaddr, write, map);
	mmap_read_unlock(current->mm);
	return err == -EAGAIN ? base_user_bring(uaddr, write) ?: err : err;
}
