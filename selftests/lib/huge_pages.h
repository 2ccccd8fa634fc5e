/* SPDX-License-Identifier: GPL-2.0 */
/* Transparent huge pages, which machines with little memory have to switch on. */
#ifndef HUGE_PAGES_H
#define HUGE_PAGES_H

#include "mmu_guest.h"

#define HUGE_PAGES_SWITCH "/sys/kernel/mm/transparent_hugepage/enabled"

/* Who asks by madvise() gets them from now on; whether that has changed something. */
static inline bool huge_pages_on(void)
{
	FILE *file = fopen(HUGE_PAGES_SWITCH, "r");
	char text[64] = "";
	bool off;

	if (!file)
		return false;
	off = fgets(text, sizeof(text), file) && strstr(text, "[never]");
	fclose(file);
	return off && !test_write_file(HUGE_PAGES_SWITCH, "madvise");
}

static inline void huge_pages_as_before(bool changed)
{
	if (changed)
		test_write_file(HUGE_PAGES_SWITCH, "never");
}

#endif /* HUGE_PAGES_H */
