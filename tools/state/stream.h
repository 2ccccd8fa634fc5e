/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stream: a head, sections, and an image of the guest's memory behind them. See
 * Documentation/saved-state.rst.
 */
#ifndef LIBVMX_STATE_STREAM_H
#define LIBVMX_STATE_STREAM_H

#include <sys/types.h>

#include "table.h"

#define STATE_FORMAT	1
/* Where in the file the image begins: the host may have large pages there. */
#define STATE_ALIGNMENT	(2ull << 20)

struct state_head {
	char magic[16];
	uint32_t format;
	uint32_t reserved;
	uint64_t length;	/* of head and sections */
};

struct state_header {
	char name[VMX_SAVED_NAME];
	uint32_t version;
	uint32_t instance;
	uint64_t length;	/* of what follows it */
	uint64_t checksum;
};

/* The guest's memory, which is not in a section. */
struct state_image {
	uint64_t size;
	uint64_t offset;
	uint64_t pages;
	uint64_t checksum;
	uint64_t id;
};

#define STATE_BASE_NAME	256

/* Where the pages are that an image does not have: in that of another file. */
struct state_base {
	uint64_t id;
	uint64_t offset;
	uint64_t checksum;
	uint32_t length;
	uint8_t name[STATE_BASE_NAME];
};

extern const struct vmx_saved_table state_image_table, state_base_table;

/* Bytes of a map that has a bit for each page of an image, in whole words. */
static inline size_t state_map_size(const struct state_image *image)
{
	return (image->size / 4096 + 63) / 64 * 8;
}

static inline bool state_is_in_map(const uint64_t *map, uint64_t page)
{
	return map[page / 64] >> page % 64 & 1;
}

struct state_section {
	struct state_header header;
	const unsigned char *bytes;
	bool taken;
};

#define STATE_SECTIONS	512

struct vmx_saved {
	int fd;
	unsigned char *bytes;
	uint64_t length;	/* of head and sections */
	unsigned int count;
	struct state_section sections[STATE_SECTIONS];
	struct state_image image;
	struct state_base base;
	uint64_t *map;			/* pages that the image has; NULL: all */
	struct vmx_saved *under;	/* has the others */
};

/* Of the header without its last member, and of what follows it. */
uint64_t state_checksum(const struct state_header *header, const void *bytes);
/* Messages have a section's name, so it is no more than small letters, digits and dashes. */
bool state_is_name(const char *name);
/* Begins, continues and ends a stream in memory. */
void state_begin(struct state_writer *writer);
void state_add(struct state_writer *writer, const struct vmx_saved_part *part);
void state_end(struct state_writer *writer);

/* Checks the head of a file of LENGTH bytes: 0 or -EINVAL. */
int state_check_head(const struct state_head *head, size_t length);
/* Checks what is in SAVED->bytes, LENGTH bytes of a stream: 0 or -EINVAL. */
int state_scan(struct vmx_saved *saved, size_t length);
/* Is there a section of a table's? */
bool state_has(struct vmx_saved *saved, const struct vmx_saved_table *table);
/* Reads a section into its part: 0 or -EINVAL. */
int state_look(struct vmx_saved *saved, const struct vmx_saved_part *part);
/* Likewise; the part judges it, and the section is not one that nobody knows. */
int state_take(struct vmx_saved *saved, const struct vmx_saved_part *part);
/* Has every section been read? 0 or -EINVAL. */
int state_check_taken(const struct vmx_saved *saved);

int state_write_bytes(int fd, const void *from, size_t count, off_t at);
/* 0, or -errno with vmx_error() set: -EINVAL if the file ends before. WHAT is for messages. */
int state_read_bytes(int fd, void *to, size_t count, off_t at, const char *what);
/*
 * Writes the image of memory that is not all zeroes, of the pages in MAP alone unless that is NULL,
 * and fills in the rest of IMAGE. GO_ON is asked after each piece, the last one too: what is not 0
 * ends it.
 */
int state_write_image(int fd, const void *memory, struct state_image *image, const uint64_t *map,
		      int (*go_on)(void *arg), void *arg);
/* Of a map. */
uint64_t state_map_checksum(const uint64_t *map, const struct state_image *image);
/* Reads it, for its checksum. */
int state_check_image(int fd, const struct state_image *image);

#endif /* LIBVMX_STATE_STREAM_H */
