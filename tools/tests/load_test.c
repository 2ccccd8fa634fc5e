// SPDX-License-Identifier: GPL-2.0
/* Whichever the loader: files that are no kernels, kernels that there are, and parked CPUs. */
#include <asm/bootparam.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>

#include "load_fixture.h"

TEST_F(load, other_files_are_named)
{
	static const struct {
		const char *magic;
		const char *text;
	} files[] = {
		{ "\x1f\x8b\x08", "gzip" }, { "\xfd\x37zXZ", "xz" }, { "\x28\xb5\x2f\xfd", "zstd" },
		{ "BZh91", "bzip2" }, { "070701", "initrd" }, { "MZ", "EFI" },
		{ "#!/bin/sh", "no bzImage" },
	};

	for (size_t n = 0; n < sizeof(files) / sizeof(files[0]); n++) {
		make_image(&self->image, 0x3000);
		memcpy(self->image.data, files[n].magic, strlen(files[n].magic));
		EXPECT_SENTENCE(ENOEXEC, files[n].text);
		free(self->image.data);
	}
	make_image(&self->image, 1);
	EXPECT_SENTENCE(ENOEXEC, "no bzImage");
	self->image.size = 0;
	EXPECT_SENTENCE(ENOEXEC, "empty");
}

/* By all of what marks them, and no matter what follows. */
TEST_F(load, other_files_are_named_by_their_whole_mark)
{
	static const struct {
		const char *magic;
		const char *text;
	} files[] = {
		{ "\x1f\x8b", "gzip" }, { "\xfd\x37zXZ", "xz" }, { "\x28\xb5\x2f\xfd", "zstd" },
		{ "BZh", "bzip2" }, { "070701", "initrd" }, { "MZ", "EFI" },
	};

	for (size_t n = 0; n < sizeof(files) / sizeof(files[0]); n++) {
		size_t size = strlen(files[n].magic);

		make_image(&self->image, size);
		memcpy(self->image.data, files[n].magic, size);
		EXPECT_SENTENCE(ENOEXEC, files[n].text);
		self->image.size--;
		EXPECT_SENTENCE(ENOEXEC, "no bzImage");
		self->image.size++;
		self->image.data[size - 1] ^= 1;
		EXPECT_SENTENCE(ENOEXEC, "no bzImage");
		free(self->image.data);
		self->image.data = NULL;
	}
}

/* Runs the parked CPU's loop, as far as it has instructions. */
TEST_F(load, parked)
{
	static const unsigned char code[] = { 0xf3, 0x90, 0x66, 0x83, 0x3f, 0x01, 0x75, 0xf8,
					      0x39, 0x5f, 0x04, 0x75, 0xf3 };
	struct mailbox {
		uint16_t command, reserved;
		uint32_t apic_id;
		uint64_t vector;
	} mailbox = { 1, 0, 3, 0 };
	unsigned char *page, *landing;
	uint64_t result = 0;

	ASSERT_EQ(0, vmx_start_parked(&self->memory, 3, &self->start));
	EXPECT_TRUE(good_tables(self->ram, &self->start));
	EXPECT_EQ(0, memcmp(self->ram + self->start.rip, code, sizeof(code)));
	EXPECT_EQ(0xd00, self->start.efer);
	EXPECT_EQ(VMX_ACPI_MAILBOX, self->start.regs[VMX_RDI]);
	EXPECT_EQ(3, self->start.regs[VMX_RBX]);
	/* It works on any x86-64, this one as well: the way it jumps to returns. */
	page = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	memcpy(page, self->ram + self->start.rip, 64);
	landing = page + 128;
	*landing = 0xc3;
	mailbox.vector = (uintptr_t)landing;
	asm volatile("call *%2" : "=a" (result) : "D" (&mailbox), "r" (page), "b" (3)
		     : "memory", "cc");
	EXPECT_EQ((uintptr_t)landing, result);
	EXPECT_EQ(0, mailbox.command);
	munmap(page, 0x1000);
}

/* Kernels that there are. */

static bool read_image(const char *path, struct image *image)
{
	FILE *file = fopen(path, "r");
	struct stat stat;
	bool good = false;

	if (!file)
		return false;
	if (!fstat(fileno(file), &stat)) {
		image->size = stat.st_size;
		image->data = malloc(image->size);
		good = image->data && fread(image->data, 1, image->size, file) == image->size;
	}
	fclose(file);
	return good;
}

static void find_kernels(glob_t *found)
{
	static const char * const patterns[] = {
		"/boot/vmlinuz-*", "%s/kernels/*/arch/x86/boot/bzImage",
		"%s/stock/*/boot/vmlinuz-*", "%s/kernels/*/vmlinux",
	};
	const char *given = getenv("VMX_CACHE"), *home = getenv("HOME");
	char cache[192], pattern[256];

	if (given)
		snprintf(cache, sizeof(cache), "%s", given);
	else
		snprintf(cache, sizeof(cache), "%s/.cache/vmx", home ? home : "");
	*found = (glob_t){};
	for (size_t n = 0; n < sizeof(patterns) / sizeof(patterns[0]); n++) {
		snprintf(pattern, sizeof(pattern), patterns[n], cache);
		glob(pattern, n ? GLOB_APPEND : 0, NULL, found);
	}
}

TEST_F(load, real_kernels)
{
	const struct boot_params *params;
	glob_t found;

	find_kernels(&found);
	if (!found.gl_pathc)
		SKIP(goto out, "no kernel is installed, none has been built");
	for (size_t n = 0; n < found.gl_pathc; n++) {
		size_t whole;

		TH_LOG("%s", found.gl_pathv[n]);
		if (!read_image(found.gl_pathv[n], &self->image))
			continue;
		whole = self->image.size;
		ASSERT_EQ(0, load(self)) TH_LOG("%s", vmx_error());
		if (self->start.protocol == VMX_BOOT_LINUX) {
			params = (const void *)(self->ram + self->start.regs[VMX_RSI]);
			EXPECT_NE(0, params->hdr.ramdisk_image);
		}
		EXPECT_TRUE(good_tables(self->ram, &self->start));
		for (self->image.size = 1; self->image.size < whole / 2; self->image.size *= 3)
			EXPECT_GT(0, load(self));
		free(self->image.data);
		self->image.data = NULL;
	}
out:
	globfree(&found);
}

TEST_HARNESS_MAIN
