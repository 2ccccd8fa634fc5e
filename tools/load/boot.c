// SPDX-License-Identifier: LGPL-2.1-or-later
/* Finds the loader for an image. */
#include <errno.h>
#include <string.h>

#include "load.h"

int image_has(const struct vmx_boot *boot, uint64_t offset, uint64_t size, const char *what)
{
	if (inside(boot->kernel_size, offset, size))
		return 0;
	return vmx_fail(ENOEXEC,
			"The kernel image ends at byte %#zx: it is truncated or damaged, its %s should be %#llx bytes at %#llx",
			boot->kernel_size, what, (unsigned long long)size,
			(unsigned long long)offset);
}

int image_read(const struct vmx_boot *boot, uint64_t offset, void *to, size_t size,
	       const char *what)
{
	int error = image_has(boot, offset, size, what);

	if (!error)
		memcpy(to, (const unsigned char *)boot->kernel + offset, size);
	return error;
}

static int (* const loaders[])(const struct vmx_memory *, const struct vmx_boot *,
			       struct vmx_start *) = {
	[VMX_BOOT_LINUX] = load_linux,
	[VMX_BOOT_PVH] = load_pvh,
	[VMX_BOOT_MULTIBOOT] = load_multiboot,
	[VMX_BOOT_FLAT] = load_flat,
};

/* Starts of files that people try to boot. */
static const struct {
	const char *magic;
	size_t size;
	const char *what;
} others[] = {
	{ "\x1f\x8b", 2, "a gzip file: unpack it first" },
	{ "\xfd\x37zXZ", 5, "an xz file: unpack it first" },
	{ "\x28\xb5\x2f\xfd", 4, "a zstd file: unpack it first" },
	{ "BZh", 3, "a bzip2 file: unpack it first" },
	{ "070701", 6, "a cpio archive: is it the initrd?" },
	{ "MZ", 2, "a PE file without Linux's header: EFI programs are not booted" },
};

static int not_a_kernel(const struct vmx_boot *boot)
{
	for (size_t n = 0; n < COUNT(others); n++)
		if (boot->kernel_size >= others[n].size &&
		    !memcmp(boot->kernel, others[n].magic, others[n].size))
			return vmx_fail(ENOEXEC, "The kernel image is %s", others[n].what);
	return vmx_fail(ENOEXEC,
			"The kernel image (%#zx bytes) is no bzImage (\"HdrS\" at 0x202), no ELF file (\"\\177ELF\" at 0) and no Multiboot kernel; select the protocol of a flat binary explicitly",
			boot->kernel_size);
}

/* Takes an image by what marks it; a damaged image is for the loader to find. */
static int find_protocol(const struct vmx_boot *boot, enum vmx_protocol *protocol)
{
	uint32_t entry;
	struct elf elf;
	int found;

	if (bzimage_is(boot)) {
		*protocol = VMX_BOOT_LINUX;
		return 0;
	}
	if (multiboot_is(boot)) {
		*protocol = VMX_BOOT_MULTIBOOT;
		return 0;
	}
	if (!elf_is(boot))
		return not_a_kernel(boot);
	found = elf_read(boot, &elf);
	if (!found)
		found = elf_pvh_entry(boot, &elf, &entry);
	if (found < 0)
		return found;
	*protocol = found || !elf.wide ? VMX_BOOT_PVH : VMX_BOOT_LINUX;
	return 0;
}

static int check(const struct vmx_boot *boot)
{
	if ((unsigned int)boot->protocol > VMX_BOOT_FLAT)
		return vmx_fail(EINVAL, "Boot protocol %d is unknown", boot->protocol);
	if (!boot->kernel_size)
		return vmx_fail(ENOEXEC, "The kernel image is empty");
	if (boot->module_count > VMX_MODULES_MAX)
		return vmx_fail(E2BIG, "%u modules are too many: at most %d", boot->module_count,
				VMX_MODULES_MAX);
	if (boot->seed_size > PAGE)
		return vmx_fail(E2BIG, "A seed of %zu bytes is too long: at most %llu",
				boot->seed_size, PAGE);
	return 0;
}

int vmx_load_kernel(const struct vmx_memory *memory, const struct vmx_boot *boot,
		    struct vmx_start *start)
{
	enum vmx_protocol protocol = boot->protocol;
	int error = check(boot);

	if (!error && protocol == VMX_BOOT_ANY)
		error = find_protocol(boot, &protocol);
	if (error)
		return error;
	*start = (struct vmx_start){ .protocol = protocol };
	return loaders[protocol](memory, boot, start);
}
