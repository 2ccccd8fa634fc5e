// SPDX-License-Identifier: GPL-2.0
/*
 * Waits until the emulator hands a task to the machine, and writes it to stdout: see branch.c. Says
 * "door" on the console once it waits.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "door.h"

int main(void)
{
	volatile struct door_page *page;
	unsigned char *pages = mmap(NULL, DOOR_PAGES * DOOR_PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	volatile uint64_t *length = (uint64_t *)pages;
	FILE *kmsg = fopen("/dev/kmsg", "w");

	if (pages == MAP_FAILED || !kmsg)
		return 1;
	for (uint64_t number = 0; number < DOOR_PAGES; number++) {
		page = (struct door_page *)(pages + number * DOOR_PAGE);
		page->mark = DOOR_MARK(number);
		page->number = number;
	}
	fprintf(kmsg, "<5>T@ door\n");
	fclose(kmsg);
	while (*length == DOOR_MARK(0ULL))
		usleep(1000);
	return fwrite(pages + DOOR_HEAD, 1, *length, stdout) != *length || fflush(stdout);
}
