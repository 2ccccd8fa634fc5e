// SPDX-License-Identifier: GPL-2.0
/*
 * The end of a kernel, by a crash or kexec. A CPU in VMX operation blocks INIT (SDM, "Restrictions
 * on VMX Operation"), and no later kernel could start it. So takeover_code.S takes over,
 * tries to start it, and reports the result in the runner's terms.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmx_test_lib.h"

#define PAGE		4096
/* Where it is copied to when nothing is left of the kernel; any RAM would do. */
#define AFTER_KEXEC	0x100000
/* ACPI, "Fixed ACPI Description Table (FADT)": PM1a_CNT_BLK */
#define FADT		"/sys/firmware/acpi/tables/FACP"
#define FADT_PM1A_CNT	64

/* The last bytes of takeover_code.S but for its stack. */
struct words {
	char started[256];
	char otherwise[256];
	uint32_t power_port;
};

extern const unsigned char test_takeover[], test_takeover_words[], test_takeover_end[];

static int read_at(const char *path, off_t offset, void *to, size_t size)
{
	int fd = open(path, O_RDONLY), ret = 0;

	if (fd < 0)
		return -errno;
	if (pread(fd, to, size, offset) != (ssize_t)size)
		ret = -EIO;
	close(fd);
	return ret;
}

/* Memory kept for a kernel after a crash. */
static unsigned long crash_memory(void)
{
	FILE *file = fopen("/proc/iomem", "r");
	unsigned long start = 0, end;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, "Crash kernel") && sscanf(line, "%lx-%lx", &start, &end) == 2)
			break;
	if (file)
		fclose(file);
	return start;
}

static int write_words(struct words *words, const char *program, const char *test)
{
	snprintf(words->started, sizeof(words->started),
		 "\r\nT| ok 1 %s\r\nT@ end %s exit=0 instructions=0\r\nT@ done\r\n", test, program);
	snprintf(words->otherwise, sizeof(words->otherwise),
		 "\r\nT| # INIT and SIPI start no CPU\r\nT| not ok 1 %s\r\n"
		 "T@ end %s exit=1 instructions=0\r\nT@ done\r\n", test, program);
	return read_at(FADT, FADT_PM1A_CNT, &words->power_port, sizeof(words->power_port));
}

int test_take_over(const char *program, const char *test, bool crash)
{
	static unsigned char image[PAGE];
	struct kexec_segment segment = {
		.buf = image,
		.bufsz = sizeof(image),
		.mem = (void *)(crash ? crash_memory() : AFTER_KEXEC),
		.memsz = sizeof(image),
	};
	int ret;

	if (!segment.mem)
		return -EADDRNOTAVAIL;
	memcpy(image, test_takeover, test_takeover_end - test_takeover);
	ret = write_words((struct words *)(image + (test_takeover_words - test_takeover)), program,
			  test);
	if (ret)
		return ret;
	if (syscall(SYS_kexec_load, segment.mem, 1, &segment,
		    KEXEC_ARCH_X86_64 | (crash ? KEXEC_ON_CRASH : 0)))
		return -errno;
	return 0;
}
