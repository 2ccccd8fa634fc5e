// SPDX-License-Identifier: GPL-2.0
/* A guest of vmxrun asks for a reset: its machine starts again, without state of the old one. */
#include <dirent.h>

#include "lib/vmxrun_fixture.h"

#define RESETS	50
#define WARM_UP	3

#define TO_PORT		"mov $0x3f8, %edx\n"
#define RESET		"mov $0xcf9, %edx\n mov $6, %al\n out %al, %dx\n 3: hlt\n jmp 3b"

/*
 * Says R if its memory and its serial port's scratch register are as new, O if they are old; marks
 * both, and resets when it gets a byte.
 */
GUEST64(marking_guest,
	"mov $0x200000, %ebx\n mov $0x3ff, %edx\n in %dx, %al\n or (%rbx), %al\n"
	"mov $'R', %cl\n test %al, %al\n jz 1f\n mov $'O', %cl\n"
	"1: mov $1, %al\n mov %al, (%rbx)\n out %al, %dx\n"
	TO_PORT "mov %cl, %al\n out %al, %dx\n"
	"mov $0x3fd, %edx\n 2: pause\n in %dx, %al\n test $1, %al\n jz 2b\n" RESET);
/* Resets whatever happens. */
GUEST64(restless_guest, TO_PORT "mov $'R', %al\n out %al, %dx\n" RESET);

struct possessions {
	unsigned long pages;
	unsigned int descriptors;
};

static struct possessions possessions_of(pid_t process)
{
	struct possessions found = {};
	char path[64];
	FILE *file;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/statm", process);
	file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%lu", &found.pages) != 1)
			found.pages = 0;
		fclose(file);
	}
	snprintf(path, sizeof(path), "/proc/%d/fd", process);
	folder = opendir(path);
	while (folder && readdir(folder))
		found.descriptors++;
	if (folder)
		closedir(folder);
	return found;
}

TEST_F(vmxrun, starts_as_new_fifty_times)
{
	struct possessions before = {}, after;
	char disk[80];
	int fd;

	snprintf(disk, sizeof(disk), "%s/disk", self->folder);
	fd = open(disk, O_RDWR | O_CREAT, 0600);
	ASSERT_EQ(0, ftruncate(fd, 1 << 20));
	close(fd);
	START(marking_guest, OPTIONS("--cpus", "2", "--disk", disk));
	for (int n = 0; n < RESETS; n++) {
		ASSERT_TRUE(heard(self, "R")) {
			TH_LOG("after %d resets", n);
		}
		if (n == WARM_UP)
			before = possessions_of(self->child);
		type(self, "g");
	}
	ASSERT_TRUE(heard(self, "R"));
	after = possessions_of(self->child);
	EXPECT_NE(0, before.pages);
	EXPECT_EQ(before.pages, after.pages);
	EXPECT_EQ(before.descriptors, after.descriptors);
	type(self, "\1x");
	EXPECT_STATUS(130);
}

/* It was read once: what became of the file meanwhile is nobody's business. */
TEST_F(vmxrun, a_kernel_whose_file_is_cut)
{
	START(marking_guest, OPTIONS("--initrd", self->kernel));
	ASSERT_TRUE(heard(self, "R"));
	ASSERT_EQ(0, truncate(self->kernel, 0));
	type(self, "g");
	ASSERT_TRUE(heard(self, "R"));
	type(self, "\1x");
	EXPECT_STATUS(130);
}

TEST_F(vmxrun, a_guest_that_always_resets_is_ended)
{
	START(restless_guest, NULL);
	for (int n = 0; n < WARM_UP; n++) {
		ASSERT_TRUE(heard(self, "R"));
	}
	type(self, "\1x");
	EXPECT_STATUS(130);
	START(restless_guest, NULL);
	ASSERT_TRUE(heard(self, "RR"));
	kill(self->child, SIGTERM);
	EXPECT_STATUS(143);
}

TEST_F(vmxrun, no_reboot)
{
	START(restless_guest, OPTIONS("--no-reboot"));
	EXPECT_STATUS(123);
	EXPECT_TRUE(heard(self, "R"));
}

VMX_TEST_MAIN
