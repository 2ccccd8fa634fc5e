/* SPDX-License-Identifier: GPL-2.0 */
/* How a task gets into a machine that stands still: door.c waits for it, branch.c delivers it. */
#ifndef DOOR_H
#define DOOR_H

#include <stdint.h>

#define DOOR_PAGE 4096
/* 6 MiB: modules without what describes them to debuggers. */
#define DOOR_PAGES 1536
/* The task begins after its length. */
#define DOOR_HEAD 8
#define DOOR_SIZE (DOOR_PAGES * DOOR_PAGE - DOOR_HEAD)

/* What each page holds before. */
struct door_page {
	uint64_t mark;
	uint64_t number;
};

#define DOOR_MARK(number) (0x90d0a5c3e17b4f26ULL ^ ((number) * 0x9e3779b97f4a7c15ULL))

#endif
