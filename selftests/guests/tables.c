// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel whose own CPU does not write its page tables: a disk reads into them, and the
 * hypervisor finishes an instruction that copies a device's register to them. After
 * that, and an instruction that invalidates, the CPU must use the new entries. It prints a line for
 * each case: "good: NAME" or "stale: NAME".
 */
#include "virtio_disk.h"

/* PML4 entry 1: nobody is there. */
#define WINDOW		(1ull << 39)
/* Enough for a hypervisor to get used to tables that do not change for a while. */
#define ROUNDS		40

#define ENTRY_BITS	0x63		/* P, R/W, A, D: a CPU has nothing to set */

static _Alignas(PAGE) uint64_t pointers[512], directory[512], table[512], other_table[512];
static _Alignas(PAGE) uint64_t image[512];
static _Alignas(PAGE) volatile uint64_t pages[2][512];

static uint64_t entry_for(const volatile void *frame)
{
	return (uintptr_t)frame | ENTRY_BITS;
}

static uint64_t read_cr3(void)
{
	uint64_t cr3;

	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	return cr3;
}

/* Has the CPU forget what it knows of the window; in two ways. */
static void forget(unsigned int how)
{
	if (how & 1)
		asm volatile("invlpg (%0)" : : "r"(WINDOW) : "memory");
	else
		asm volatile("mov %0, %%cr3" : : "r"(read_cr3()) : "memory");
}

/* Which of the pages is it? */
static uint64_t look(void)
{
	return *(volatile uint64_t *)WINDOW;
}

static void map_window(void)
{
	uint64_t *top = (uint64_t *)(read_cr3() & ~(PAGE - 1ull));

	for (unsigned int n = 0; n < 2; n++)
		pages[n][0] = n;
	table[0] = entry_for(pages[0]);
	other_table[0] = entry_for(pages[1]);
	directory[0] = entry_for(table);
	pointers[0] = entry_for(directory);
	top[1] = entry_for(pointers);
	forget(0);
}

/* A page with one entry. */
static void put_on_disk(unsigned int n, const volatile void *frame)
{
	image[0] = entry_for(frame);
	request(VIRTIO_BLK_T_OUT, n * SECTORS, image);
}

/* Makes a table's first entry that of the Nth page, or of the table that maps it. */
typedef void writer(uint64_t *where, unsigned int n);

static void by_disk(uint64_t *where, unsigned int n)
{
	request(VIRTIO_BLK_T_IN, n * SECTORS, where);
}

/* Message Data of the vector that is not used has all bits. */
static void by_movs(uint64_t *where, unsigned int n)
{
	volatile uint32_t *data = &vectors[4 + 2];

	*data = entry_for(pages[n]);
	asm volatile("movsl" : "+D"(where), "+S"(data) : : "memory");
}

static void try_out(const char *name, uint64_t *where, writer *write)
{
	unsigned int wrong = 0;

	map_window();
	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int n = round & 1;

		write(where, n);
		/* Not always the same way for the same page. */
		forget(round >> 1);
		if (look() != n)
			wrong++;
	}
	print(wrong ? "stale: " : "good: ");
	print(name);
	print("\n");
}

__attribute__((used)) static void kernel(void)
{
	take_interrupts();
	use_disk(find_disk());
	put_on_disk(0, pages[0]);
	put_on_disk(1, pages[1]);
	try_out("disk_reads_into_a_table", table, by_disk);
	try_out("movs_from_a_device_into_a_table", table, by_movs);
	put_on_disk(0, table);
	put_on_disk(1, other_table);
	try_out("disk_reads_into_a_directory", directory, by_disk);
	end(0);
}
