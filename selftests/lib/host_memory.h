/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory that the guest of mmu_guest.h fills with a pattern and reads back, and
 * the host's information about the pages behind it.
 */
#ifndef HOST_MEMORY_H
#define HOST_MEMORY_H

#include <fcntl.h>
#include <sys/swap.h>

#include "mmu_guest.h"

/* What the guest writes to a page. */
static inline uint64_t pattern(size_t n)
{
	return (n + 1) * 0x9e3779b97f4a7c15ull;
}

/* The guest writes to COUNT pages from AREA on; how many it did. */
static inline size_t guest_fill(struct vmx_vcpu *vcpu, size_t count)
{
	size_t n = 0;

	while (n < count && guest_write(vcpu, AREA + n * PAGE, pattern(n)) == ACCESS_DONE)
		n++;
	return n;
}

/* How many of COUNT pages from AREA on the guest finds as guest_fill() left them. */
static inline size_t guest_right(struct vmx_vcpu *vcpu, size_t count)
{
	size_t right = 0;

	for (size_t n = 0; n < count; n++)
		right += guest_read(vcpu, AREA + n * PAGE) == pattern(n);
	return right;
}

/* The same, as the owner finds them. */
static inline size_t owner_right(const char *at, size_t count)
{
	size_t right = 0;

	for (size_t n = 0; n < count; n++)
		right += *(const volatile uint64_t *)(at + n * PAGE) == pattern(n);
	return right;
}

/* How many of COUNT pages from AREA on the tables map. */
static inline size_t guest_mapped(int mmu, size_t count)
{
	size_t mapped = 0;

	for (size_t n = 0; n < count; n++)
		mapped += mmu_walk(mmu, AREA + n * PAGE).present;
	return mapped;
}

/* /proc/self/pagemap of COUNT pages: 0, or -1 if it cannot be read. */
#define PAGEMAP_FRAME	((1ull << 55) - 1)
#define PAGEMAP_SWAP	(1ull << 62)
#define PAGEMAP_PRESENT	(1ull << 63)
static inline int read_pagemap(const void *at, size_t count, uint64_t *entries)
{
	int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	const off_t offset = (uintptr_t)at / PAGE * sizeof(*entries);
	const size_t length = count * sizeof(*entries);
	ssize_t got = pread(file, entries, length, offset);

	close(file);
	return got == (ssize_t)length ? 0 : -1;
}

/* A RAM disk to swap to, if there is one: 0, or -errno. */
#define SWAP_DISK "/dev/ram0"
static inline int swap_on(void)
{
	struct {
		char boot[1024];
		uint32_t version, last_page, bad_pages;
		char rest[PAGE - 1024 - 3 * 4 - 10];
		char magic[10];
	} __attribute__((packed)) header = { .version = 1, .magic = "SWAPSPACE2" };
	int disk = open(SWAP_DISK, O_RDWR | O_CLOEXEC), ret;
	off_t size = lseek(disk, 0, SEEK_END);

	if (disk < 0)
		return -errno;
	header.last_page = size / PAGE - 1;
	ret = pwrite(disk, &header, sizeof(header), 0) == sizeof(header) ? fsync(disk) : -1;
	close(disk);
	return ret || swapon(SWAP_DISK, 0) ? -errno : 0;
}

#endif /* HOST_MEMORY_H */
