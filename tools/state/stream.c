// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sections of a stream: each has a name, a version, an instance, a length and a checksum. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL	/* The library needs no other one for it. */
#include <xxhash.h>

#include "stream.h"

/* What is longer is no stream of this library's, and its length no reason to allocate memory. */
#define LONGEST		(64u << 20)

static const char magic[sizeof(((struct state_head *)0)->magic)] = "vmx saved state";

/* The section that ends a stream. */
struct end {
	uint32_t sections;
};

static const struct vmx_saved_field end_fields[] = {
	NUMBER(struct end, sections, 1, "how many sections there are before this one"),
};

static const struct vmx_saved_table end_table = SAVED_TABLE("end", 1, end_fields);

static const struct vmx_saved_field image_fields[] = {
	NUMBER(struct state_image, size, 1, "bytes of RAM"),
	NUMBER(struct state_image, offset, 1,
	       "where the image begins in the file, a multiple of 2 MiB"),
	NUMBER(struct state_image, pages, 1, "pages of 4 KiB that are not all zeroes"),
	NUMBER(struct state_image, checksum, 1, "of these pages"),
	NUMBER(struct state_image, id, 1, "a random number that no other image has"),
};

static const struct vmx_saved_field base_fields[] = {
	NUMBER(struct state_base, id, 1, "that of the image which has the other pages"),
	NUMBER(struct state_base, offset, 1,
	       "where the map of pages is in the file: bit n of word m is for page 64 * m + n"),
	NUMBER(struct state_base, checksum, 1, "XXH3 of the map"),
	LIMITED(struct state_base, length, 1, STATE_BASE_NAME - 1, "bytes of its file's name"),
	COUNTED(struct state_base, name, 1, "its file, in the same folder"),
};

const struct vmx_saved_table state_base_table = SAVED_TABLE("base", 1, base_fields);

const struct vmx_saved_table state_image_table = SAVED_TABLE("memory", 1, image_fields);

uint64_t state_checksum(const struct state_header *header, const void *bytes)
{
	uint64_t seed = XXH3_64bits(header, offsetof(struct state_header, checksum));

	return XXH3_64bits_withSeed(bytes, header->length, seed);
}

/* Writing */

void state_begin(struct state_writer *writer)
{
	struct state_head head = { .format = STATE_FORMAT };

	*writer = (struct state_writer){ .bytes = NULL };
	memcpy(head.magic, magic, sizeof(magic));
	state_put(writer, &head, sizeof(head));
}

void state_add(struct state_writer *writer, const struct vmx_saved_part *part)
{
	struct state_header header = {
		.version = part->table->version, .instance = part->instance,
	};
	size_t at = writer->count;

	memcpy(header.name, part->table->name, strlen(part->table->name));
	state_put(writer, &header, sizeof(header));
	state_write(writer, part->table, header.version, part->object);
	if (writer->failed)
		return;
	header.length = writer->count - at - sizeof(header);
	header.checksum = state_checksum(&header, writer->bytes + at + sizeof(header));
	memcpy(writer->bytes + at, &header, sizeof(header));
}

static uint32_t count_sections(const struct state_writer *writer)
{
	struct state_header header;
	uint32_t count = 0;

	for (size_t at = sizeof(struct state_head); at < writer->count;
	     at += sizeof(header) + header.length, count++)
		memcpy(&header, writer->bytes + at, sizeof(header));
	return count;
}

void state_end(struct state_writer *writer)
{
	struct end end = { .sections = writer->failed ? 0 : count_sections(writer) };
	const struct vmx_saved_part part = { .table = &end_table, .object = &end };
	uint64_t length;

	state_add(writer, &part);
	length = writer->count;
	if (!writer->failed)
		memcpy(writer->bytes + offsetof(struct state_head, length), &length,
		       sizeof(length));
}

/* Reading */

static bool same_section(const struct state_header *a, const char *name, uint32_t instance)
{
	return a->instance == instance && !strncmp(a->name, name, sizeof(a->name));
}

static struct state_section *find(struct vmx_saved *saved, const char *name, uint32_t instance)
{
	for (unsigned int n = 0; n < saved->count; n++)
		if (same_section(&saved->sections[n].header, name, instance))
			return &saved->sections[n];
	return NULL;
}

static int refuse(const struct state_header *header, const char *why)
{
	return state_refuse(header->name, header->instance, "%s", why);
}

bool state_is_name(const char *name)
{
	static const char may[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t length = 0;

	while (length < VMX_SAVED_NAME && name[length] && strchr(may, name[length]))
		length++;
	if (!length || length == VMX_SAVED_NAME)
		return false;
	for (size_t n = length; n < VMX_SAVED_NAME; n++)
		if (name[n])
			return false;
	return true;
}

/* The section at *AT, which moves on. */
static int add_section(struct vmx_saved *saved, size_t *at, size_t end)
{
	struct state_section *section = &saved->sections[saved->count];
	struct state_header *header = &section->header;

	if (saved->count == STATE_SECTIONS)
		return vmx_fail(EINVAL, "saved state: more than %u sections", STATE_SECTIONS);
	if (end - *at < sizeof(*header))
		return vmx_fail(EINVAL, "saved state: damaged after section %u", saved->count);
	memcpy(header, saved->bytes + *at, sizeof(*header));
	*at += sizeof(*header);
	if (!state_is_name(header->name))
		return vmx_fail(EINVAL, "saved state: section %u has no name: the file is damaged",
				saved->count);
	if (header->length > end - *at)
		return refuse(header, "it is longer than the stream: the file is damaged");
	section->bytes = saved->bytes + *at;
	section->taken = false;
	if (header->checksum != state_checksum(header, section->bytes))
		return refuse(header, "its checksum is wrong: the file is damaged");
	if (find(saved, header->name, header->instance))
		return refuse(header, "it comes twice");
	*at += header->length;
	saved->count++;
	return 0;
}

int state_check_head(const struct state_head *head, size_t length)
{
	if (length < sizeof(*head) || memcmp(head->magic, magic, sizeof(magic)))
		return vmx_fail(EINVAL, "this is no saved state of a machine");
	if (head->format > STATE_FORMAT)
		return vmx_fail(EINVAL,
				"saved state of format %u: this program reads format %u; use a newer one",
				head->format, STATE_FORMAT);
	if (head->format < STATE_FORMAT || head->reserved)
		return vmx_fail(EINVAL, "saved state: the head of the file is damaged");
	if (head->length < sizeof(*head) || head->length > LONGEST)
		return vmx_fail(EINVAL, "saved state: a stream cannot have %llu bytes",
				(unsigned long long)head->length);
	if (head->length > length)
		return vmx_fail(EINVAL, "saved state: the file is cut off after %zu of %llu bytes",
				length, (unsigned long long)head->length);
	return 0;
}

int state_scan(struct vmx_saved *saved, size_t length)
{
	struct end end = { .sections = 0 };
	const struct vmx_saved_part part = { .table = &end_table, .object = &end };
	struct state_head head = { .format = 0 };
	size_t at = sizeof(head);
	int ret;

	memcpy(&head, saved->bytes, length < sizeof(head) ? length : sizeof(head));
	ret = state_check_head(&head, length);
	saved->length = head.length;
	saved->count = 0;
	while (!ret && at < head.length)
		ret = add_section(saved, &at, head.length);
	ret = ret ?: state_take(saved, &part);
	if (!ret && (end.sections != saved->count - 1 ||
		     !same_section(&saved->sections[end.sections].header, end_table.name, 0)))
		ret = vmx_fail(EINVAL, "saved state: sections are missing");
	return ret;
}

bool state_has(struct vmx_saved *saved, const struct vmx_saved_table *table)
{
	return find(saved, table->name, 0);
}

int state_look(struct vmx_saved *saved, const struct vmx_saved_part *part)
{
	const struct vmx_saved_table *table = part->table;
	const struct state_section *section = find(saved, table->name, part->instance);
	struct state_reader reader;
	int ret;

	if (!section)
		return state_refuse(table->name, part->instance,
				    "the saved machine has no such part: give this one the same devices");
	if (!section->header.version || section->header.version > table->version)
		return state_refuse(table->name, part->instance,
				    "version %u; this program reads up to version %u: use a newer one",
				    section->header.version, table->version);
	reader = (struct state_reader){
		.at = section->bytes, .left = section->header.length,
		.name = table->name, .instance = part->instance,
	};
	ret = state_read(&reader, table, section->header.version, part->object);
	if (!ret && reader.left)
		ret = state_refuse(table->name, part->instance, "%zu bytes too long", reader.left);
	return ret;
}

int state_take(struct vmx_saved *saved, const struct vmx_saved_part *part)
{
	int ret = state_look(saved, part);

	if (ret)
		return ret;
	find(saved, part->table->name, part->instance)->taken = true;
	return part->loaded ? part->loaded(part->object) : 0;
}

int state_check_taken(const struct vmx_saved *saved)
{
	for (unsigned int n = 0; n < saved->count; n++)
		if (!saved->sections[n].taken)
			return refuse(&saved->sections[n].header,
				      "this machine has no such part: give it the same devices, or use a newer program");
	return 0;
}

/* The image */

#define PAGE	4096ull
/* What is written before the writer asks whether to go on. */
#define CHUNK	(1ull << 20)

static bool is_zero(const void *page)
{
	const uint64_t *words = page;
	uint64_t any = 0;

	for (size_t n = 0; n < PAGE / sizeof(*words) && !any; n += 8)
		any = words[n] | words[n + 1] | words[n + 2] | words[n + 3] |
		      words[n + 4] | words[n + 5] | words[n + 6] | words[n + 7];
	return !any;
}

/* Of a page that is not all zeroes: where it is counts, too. */
static uint64_t add_page(uint64_t sum, uint64_t number, const void *page)
{
	return XXH3_64bits_withSeed(page, PAGE, sum ^ number);
}

int state_write_bytes(int fd, const void *from, size_t count, off_t at)
{
	const char *bytes = from;

	while (count) {
		ssize_t done = pwrite(fd, bytes, count, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return vmx_fail(done ? errno : ENOSPC, "cannot write the saved state: %s",
					strerror(done ? errno : ENOSPC));
		bytes += done;
		count -= done;
		at += done;
	}
	return 0;
}

int state_read_bytes(int fd, void *to, size_t count, off_t at, const char *what)
{
	for (size_t done = 0; done < count;) {
		ssize_t got = pread(fd, (char *)to + done, count - done, at + done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return vmx_fail(got ? errno : EINVAL, "cannot read the saved %s: %s", what,
					got ? strerror(errno) : "the file is cut off");
		done += got;
	}
	return 0;
}

/* A page that belongs there and is not all zeroes. */
static bool is_written(const char *memory, const uint64_t *map, uint64_t at)
{
	return (!map || state_is_in_map(map, at / PAGE)) && !is_zero(memory + at);
}

/* Those from AT to END. */
static int write_pages(int fd, const char *memory, struct state_image *image, const uint64_t *map,
		       uint64_t at, uint64_t end)
{
	int ret = 0;

	while (!ret && at < end) {
		uint64_t from = at;

		for (; at < end && is_written(memory, map, at); at += PAGE) {
			image->checksum = add_page(image->checksum, at / PAGE, memory + at);
			image->pages++;
		}
		ret = state_write_bytes(fd, memory + from, at - from, image->offset + from);
		/* The page that ended it is a hole. */
		at += PAGE;
	}
	return ret;
}

uint64_t state_map_checksum(const uint64_t *map, const struct state_image *image)
{
	return XXH3_64bits(map, state_map_size(image));
}

int state_write_image(int fd, const void *memory, struct state_image *image, const uint64_t *map,
		      int (*go_on)(void *arg), void *arg)
{
	int ret = 0;

	image->pages = 0;
	image->checksum = 0;
	if (ftruncate(fd, image->offset + image->size))
		return vmx_fail(errno, "cannot make the saved state's file large enough: %s",
				strerror(errno));
	for (uint64_t at = 0; !ret && at < image->size; at += CHUNK) {
		uint64_t left = image->size - at;

		ret = write_pages(fd, memory, image, map, at,
				  at + (left < CHUNK ? left : CHUNK));
		ret = ret ?: go_on(arg);
	}
	return ret;
}

int state_check_image(int fd, const struct state_image *image)
{
	struct state_image found = { .size = image->size };
	uint64_t page[PAGE / sizeof(uint64_t)];

	for (uint64_t at = 0; at < image->size; at += PAGE) {
		int ret = state_read_bytes(fd, page, PAGE, image->offset + at, "memory");

		if (ret)
			return ret;
		if (is_zero(page))
			continue;
		found.checksum = add_page(found.checksum, at / PAGE, page);
		found.pages++;
	}
	if (found.pages != image->pages || found.checksum != image->checksum)
		return vmx_fail(EINVAL, "the saved memory is damaged: its checksum is wrong");
	return 0;
}
