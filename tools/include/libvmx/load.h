/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: loaders
 *
 * Loaders put a kernel into a guest's RAM, with the data that the kernel's boot
 * protocol requires, and return the state in which a vCPU has to start. They
 * do not trust images, and write nothing before everything has
 * been found good.
 */
#ifndef LIBVMX_LOAD_H
#define LIBVMX_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include <libvmx.h>
#include <libvmx/firmware.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum vmx_protocol - the boot protocol of a kernel
 * @VMX_BOOT_ANY: as the image says: a bzImage by %VMX_BOOT_LINUX; a Multiboot
 *	kernel by %VMX_BOOT_MULTIBOOT; an ELF file with a PVH entry point by
 *	%VMX_BOOT_PVH, another of 64 bits by %VMX_BOOT_LINUX
 * @VMX_BOOT_LINUX: Linux's 64-bit boot protocol. It takes a bzImage, or an
 *	uncompressed vmlinux, which it enters where the ELF header says.
 * @VMX_BOOT_PVH: an ELF file by its PVH entry point: 32-bit protected mode
 * @VMX_BOOT_MULTIBOOT: Multiboot 1: 32-bit protected mode
 * @VMX_BOOT_FLAT: loads any file to a given address and enters it there
 */
enum vmx_protocol {
	VMX_BOOT_ANY,
	VMX_BOOT_LINUX,
	VMX_BOOT_PVH,
	VMX_BOOT_MULTIBOOT,
	VMX_BOOT_FLAT,
};

/**
 * struct vmx_module - a file for the kernel in RAM
 * @data: the bytes
 * @size: number of them
 * @string: what it is called, where the protocol can say so; may be NULL
 */
struct vmx_module {
	const void *data;
	size_t size;
	const char *string;
};

#define VMX_MODULES_MAX	32

/**
 * struct vmx_boot - a kernel and its arguments
 * @protocol: how
 * @kernel: the image
 * @kernel_size: its size in bytes
 * @modules: what goes with it; to Linux's protocol, one at most: the initrd
 * @module_count: number of them, up to %VMX_MODULES_MAX
 * @command_line: for the kernel; NULL for an empty one
 * @rsdp: where ACPI's root pointer is, 0 without ACPI
 * @seed: fresh random bytes for Linux's random numbers; may be
 *	NULL
 * @seed_size: number of them, up to 4096
 * @flat_address: where %VMX_BOOT_FLAT loads and enters
 * @flat_mode: the mode it enters in: %VMX_MODE_REAL (code segment 0 below
 *	64 KiB, otherwise the segment that the address begins), %VMX_MODE_PROTECTED
 *	or %VMX_MODE_LONG
 *
 * All zeroes is a good start.
 */
struct vmx_boot {
	enum vmx_protocol protocol;
	const void *kernel;
	size_t kernel_size;
	const struct vmx_module *modules;
	unsigned int module_count;
	const char *command_line;
	uint64_t rsdp;
	const void *seed;
	size_t seed_size;
	uint64_t flat_address;
	enum vmx_mode flat_mode;
};

/**
 * struct vmx_start_segment - a segment register
 * @selector: the visible part
 * @access: access rights, as a VMCS has them
 * @base: first address
 * @limit: last offset
 */
struct vmx_start_segment {
	uint16_t selector;
	uint32_t access;
	uint64_t base;
	uint32_t limit;
};

/**
 * struct vmx_start - the state in which a vCPU starts
 * @protocol: by which protocol; not %VMX_BOOT_ANY
 * @mode: a name for what the rest says
 * @rip: first instruction
 * @rflags: interrupts are off
 * @regs: general registers by enum vmx_reg; RSP is 0 where the protocol leaves
 *	it open
 * @cr0: as the guest should see it: without paging in 32-bit protected mode,
 *	and without what VMX alone insists on
 * @cr3: page tables in guest memory, or 0
 * @cr4: as @cr0
 * @efer: EFER
 * @cs: code segment
 * @data: all of DS, ES, SS, FS and GS
 * @tr: a busy TSS in guest memory; in real mode the one of a CPU after reset
 * @gdt_base: in guest memory; holds what the selectors say
 * @gdt_limit: last offset of it
 * @idt_limit: last offset of the IDT at 0: the vectors of real mode, or 0
 *
 * LDTR is unusable.
 */
struct vmx_start {
	enum vmx_protocol protocol;
	enum vmx_mode mode;
	uint64_t rip;
	uint64_t rflags;
	uint64_t regs[16];
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	struct vmx_start_segment cs;
	struct vmx_start_segment data;
	struct vmx_start_segment tr;
	uint64_t gdt_base;
	uint32_t gdt_limit;
	uint32_t idt_limit;
};

/**
 * vmx_start_set() - write the state in which a vCPU starts into its VMCS
 * @caps: from vmx_open()
 * @vmcs: the VMCS: its whole guest state and the controls that the state needs
 * @start: the state
 *
 * HLT exits; the bits of CR0 and CR4 that VMX insists on (NE, VMXE) are hidden
 * behind the guest/host masks. The general registers but RSP are in the run
 * page, and not written here; nor are PAE paging's four top entries, which the
 * CPU takes from the VMCS with EPT.
 *
 * Return: 0 or -errno, as vmx_fields_set().
 */
int vmx_start_set(const struct vmx_caps *caps, int vmcs,
		  const struct vmx_start *start);

/* Selectors of the GDT: those that Linux's boot protocol has laid down. */
#define VMX_START_CS32	0x08
#define VMX_START_CS64	0x10
#define VMX_START_DS	0x18
#define VMX_START_TR	0x20

/* Nothing that is not in an image goes below this: vmx_set_mode() has its
 * tables there.
 */
#define VMX_LOAD_LOWEST	VMX_GUEST_FREE

/**
 * vmx_load_kernel() - put a kernel into a guest's RAM
 * @memory: the RAM; the kernel is given its map. Write ACPI tables before.
 * @boot: what to load
 * @start: how it has to start
 *
 * Return: 0, or with the RAM unchanged: -ENOEXEC (the image is not of this
 * kind, or damaged), -EOPNOTSUPP (it needs a missing feature), -ENOSPC (the
 * RAM has no room at its address), -E2BIG (a command line or list too long
 * for the kernel), -EINVAL (@boot is invalid).
 */
int vmx_load_kernel(const struct vmx_memory *memory,
		    const struct vmx_boot *boot, struct vmx_start *start);

/**
 * vmx_start_parked() - make a CPU wait at the mailbox of ACPI's multiprocessor
 *	wakeup structure
 * @memory: the RAM; code and tables go to %VMX_ACPI_PARK. vmx_acpi_write() was
 *	told of a mailbox.
 * @apic_id: which CPU it is
 * @start: how the CPU has to start
 *
 * The CPU spins in 64-bit mode, 4 GiB mapped to themselves, until it is sent
 * somewhere. The program need not run it before %VMX_ACPI_MAILBOX has been
 * written to.
 *
 * Return: 0 or -EINVAL.
 */
int vmx_start_parked(const struct vmx_memory *memory, uint32_t apic_id,
		     struct vmx_start *start);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_LOAD_H */
