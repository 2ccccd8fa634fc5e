/* SPDX-License-Identifier: GPL-2.0 */
/* RAM that a kernel is loaded into, and images to do it with. For the tests of the loaders. */
#ifndef TESTS_LOAD_FIXTURE_H
#define TESTS_LOAD_FIXTURE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <libvmx/load.h>

#include "guest_memory.h"
#include "kselftest_harness.h"

#define RAM		(128 * MIB)
#define HOLE		0xc0000000

/* Where the text is in images that are made, and where it goes. */
#define TEXT_AT		0x400
#define TEXT_SIZE	0x200
#define TEXT_TO		0x200000

/* An image that ends where the sanitizer watches. */
struct image {
	unsigned char *data;
	size_t size;
};

static inline void set(struct image *image, size_t offset, uint64_t value, size_t size)
{
	memcpy(image->data + offset, &value, size);
}

static inline void make_image(struct image *image, size_t size)
{
	image->size = size;
	image->data = malloc(size);
	for (size_t n = 0; n < size; n++)
		image->data[n] = n * 7 + 1;
}

FIXTURE(load) {
	struct vmx_memory memory;
	struct vmx_boot boot;
	struct vmx_start start;
	struct image image;
	unsigned char *ram;
	unsigned char initrd[0x2345];
	struct vmx_module modules[2];
};

FIXTURE_SETUP(load)
{
	self->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->ram);
	ASSERT_EQ(0, vmx_memory_init(&self->memory, self->ram, RAM, HOLE));
	memset(self->initrd, 0xab, sizeof(self->initrd));
	self->modules[0] = (struct vmx_module){ self->initrd, sizeof(self->initrd), "initrd" };
	self->modules[1] = (struct vmx_module){ "second", 6, NULL };
	self->boot = (struct vmx_boot){ .modules = self->modules, .module_count = 1,
					.command_line = "console=ttyS0", .rsdp = 0xe0000,
					.seed = "0123456789abcdef", .seed_size = 16 };
}

FIXTURE_TEARDOWN(load)
{
	free(self->image.data);
	munmap(self->ram, RAM);
}

static inline int load(FIXTURE_DATA(load) * self)
{
	self->boot.kernel = self->image.data;
	self->boot.kernel_size = self->image.size;
	return vmx_load_kernel(&self->memory, &self->boot, &self->start);
}

/* Loads as much as there is of an image of which the rest was cut off. */
static inline int load_cut(FIXTURE_DATA(load) * self, const struct image *whole, size_t size)
{
	int ret;

	self->image.data = malloc(size + !size);
	self->image.size = size;
	memcpy(self->image.data, whole->data, size);
	ret = load(self);
	free(self->image.data);
	self->image.data = NULL;
	return ret;
}

/* Whether RAM is as mmap() gave it. */
static inline bool untouched(const unsigned char *ram)
{
	static const unsigned char zeroes[0x10000];

	/* What is interesting is low, or where the images here want to be, or at the end. */
	for (uint64_t at = 0; at < RAM; at += sizeof(zeroes)) {
		if (at >= 0x2000000 && at < RAM - MIB)
			continue;
		if (memcmp(ram + at, zeroes, sizeof(zeroes)))
			return false;
	}
	return true;
}

#define EXPECT_REFUSED(error) do {							\
	EXPECT_EQ(-(error), load(self)) TH_LOG("%s", vmx_error());			\
	EXPECT_TRUE(untouched(self->ram));						\
} while (0)

/* With a sentence that has TEXT in it. */
#define EXPECT_SENTENCE(error, text) do {						\
	EXPECT_REFUSED(error);								\
	EXPECT_NE(NULL, strstr(vmx_error(), text)) TH_LOG("%s", vmx_error());		\
} while (0)

/* A field of an image that is not right, and what is said of it. */
struct damage {
	size_t offset;
	uint64_t value;
	size_t size;
	int error;
	const char *text;
};

static inline void expect_damages(struct __test_metadata *_metadata, FIXTURE_DATA(load) * self,
				  void (*make)(struct image *image),
				  const struct damage *damages, size_t count)
{
	for (size_t n = 0; n < count; n++) {
		make(&self->image);
		set(&self->image, damages[n].offset, damages[n].value, damages[n].size);
		EXPECT_SENTENCE(damages[n].error, damages[n].text);
		free(self->image.data);
	}
	self->image.data = NULL;
}

#define EXPECT_DAMAGES(make, damages)							\
	expect_damages(_metadata, self, make, damages, sizeof(damages) / sizeof((damages)[0]))

/* The GDT says what the segment registers have, and page tables map 4 GiB to themselves. */
static inline bool good_tables(const unsigned char *ram, const struct vmx_start *start)
{
	const unsigned char *gdt = ram + start->gdt_base;
	bool wide = start->mode == VMX_MODE_LONG;
	uint64_t tss = number(gdt + start->tr.selector, 8);
	uint64_t pointers;

	if (start->cs.selector != (wide ? 0x10 : 0x08) || start->data.selector != 0x18 ||
	    start->tr.selector != 0x20 || start->tr.access != 0x8b || start->tr.limit != 0x67 ||
	    start->cs.access != (wide ? 0xa09b : 0xc09b) || start->data.access != 0xc093 ||
	    start->cs.limit != 0xffffffff || start->data.limit != 0xffffffff ||
	    start->cs.base || start->data.base || start->idt_limit || start->rflags != 2 ||
	    start->tr.base < start->gdt_base + start->gdt_limit + 1)
		return false;
	if (number(gdt, 8) || number(gdt + start->cs.selector, 8) !=
		    (wide ? 0x00af9b000000ffff : 0x00cf9b000000ffff) ||
	    number(gdt + start->data.selector, 8) != 0x00cf93000000ffff ||
	    (tss & 0xffff) != start->tr.limit || (tss >> 40 & 0xff) != start->tr.access ||
	    ((tss >> 16 & 0xffffff) | (tss >> 56) << 24) != start->tr.base ||
	    start->gdt_limit < 0x2f || start->gdt_base < VMX_LOAD_LOWEST)
		return false;
	if (!wide)
		return start->cr0 == 0x11 && !start->cr3 && !start->cr4 && !start->efer;
	if (start->cr0 != 0x80000011 || start->cr4 != 0x20 ||
	    (start->efer & 0x500) != 0x500)
		return false;
	pointers = number(ram + start->cr3, 8);
	if ((pointers & 0xfff) != 3)
		return false;
	for (uint64_t n = 0; n < 2048; n++) {
		uint64_t table = number(ram + (pointers & ~0xfffull) + n / 512 * 8, 8);

		if ((table & 0xfff) != 3 ||
		    number(ram + (table & ~0xfffull) + n % 512 * 8, 8) != (n << 21 | 0x83))
			return false;
	}
	return true;
}

#endif /* TESTS_LOAD_FIXTURE_H */
