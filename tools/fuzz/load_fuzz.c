// SPDX-License-Identifier: GPL-2.0
/*
 * Feeds damaged images to the loaders. The first byte of input is the protocol, the second
 * the layout of RAM; the rest is the image. RAM is guarded by the sanitizers like any allocation.
 */
#include <stdlib.h>
#include <string.h>

#include <libvmx/load.h>

#define RAM	0x2800000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t holes[] = { 0xc0000000, 0x2000000, 0x1800000, 0x100000 };
	static const unsigned char extra[0x1800];
	struct vmx_module modules[2] = { { extra, sizeof(extra), "module" }, { extra, 1, NULL } };
	struct vmx_boot boot = { .modules = modules, .command_line = "quiet", .seed = extra,
				 .seed_size = 32 };
	static unsigned char *ram;
	struct vmx_memory memory;
	struct vmx_start start;
	unsigned char *image;

	if (size < 2)
		return 0;
	/* Allocated once; what is written stays, as nothing is read. */
	if (!ram)
		ram = malloc(RAM);
	vmx_memory_init(&memory, ram, RAM, holes[data[1] & 3]);
	boot.protocol = data[0] % (VMX_BOOT_FLAT + 1);
	boot.module_count = data[1] >> 2 & 1;
	boot.flat_mode = data[1] >> 3 & 3;
	boot.flat_address = data[1] >> 5 << 14;
	/* Exactly as large as it is, for the sanitizer to see its end. */
	boot.kernel_size = size - 2;
	image = malloc(boot.kernel_size);
	memcpy(image, data + 2, boot.kernel_size);
	boot.kernel = image;
	if (!vmx_load_kernel(&memory, &boot, &start)) {
		if (start.protocol == VMX_BOOT_ANY || start.rip >= 0x100000000ull ||
		    !vmx_memory_at(&memory, start.cs.base + start.rip, 1))
			abort();
	}
	free(image);
	return 0;
}
