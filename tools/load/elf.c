// SPDX-License-Identifier: LGPL-2.1-or-later
/* ELF files: their segments, and the note with the PVH entry point. */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "load.h"

/* xen/include/public/elfnote.h: "Physical entry point into the kernel". */
#define NOTE_OWNER		"Xen"
#define NOTE_PHYS32_ENTRY	18

bool elf_is(const struct vmx_boot *boot)
{
	return boot->kernel_size >= SELFMAG && !memcmp(boot->kernel, ELFMAG, SELFMAG);
}

/* What the file header says of program headers. */
struct table {
	uint64_t offset;
	uint16_t entry_size;
	uint16_t count;
};

static int read_header64(const struct vmx_boot *boot, struct elf *elf, struct table *table)
{
	Elf64_Ehdr header;
	int error = image_read(boot, 0, &header, sizeof(header), "ELF header");

	if (error)
		return error;
	elf->entry = header.e_entry;
	*table = (struct table){ header.e_phoff, header.e_phentsize, header.e_phnum };
	if (header.e_machine != EM_X86_64)
		return vmx_fail(ENOEXEC,
				"The kernel is for ELF machine %u (byte 0x12); it must be for x86-64 (%d)",
				header.e_machine, EM_X86_64);
	return 0;
}

static int read_header32(const struct vmx_boot *boot, struct elf *elf, struct table *table)
{
	Elf32_Ehdr header;
	int error = image_read(boot, 0, &header, sizeof(header), "ELF header");

	if (error)
		return error;
	elf->entry = header.e_entry;
	*table = (struct table){ header.e_phoff, header.e_phentsize, header.e_phnum };
	/* Some kernels start in 32-bit mode, continue in 64-bit mode, and say so. */
	if (header.e_machine != EM_386 && header.e_machine != EM_X86_64)
		return vmx_fail(ENOEXEC,
				"The kernel is for ELF machine %u (byte 0x12); it must be for i386 (%d)",
				header.e_machine, EM_386);
	return 0;
}

static int read_segment(const struct vmx_boot *boot, bool wide, uint64_t offset,
			struct elf_segment *segment)
{
	Elf64_Phdr p64;
	Elf32_Phdr p32;
	int error;

	if (wide) {
		error = image_read(boot, offset, &p64, sizeof(p64), "program header");
		if (!error)
			*segment = (struct elf_segment){ p64.p_type, p64.p_offset, p64.p_vaddr,
							 p64.p_paddr, p64.p_filesz, p64.p_memsz,
							 p64.p_align };
	} else {
		error = image_read(boot, offset, &p32, sizeof(p32), "program header");
		if (!error)
			*segment = (struct elf_segment){ p32.p_type, p32.p_offset, p32.p_vaddr,
							 p32.p_paddr, p32.p_filesz, p32.p_memsz,
							 p32.p_align };
	}
	return error;
}

static int check_segment(const struct vmx_boot *boot, const struct elf_segment *segment, int n)
{
	if (segment->type == PT_INTERP)
		return vmx_fail(ENOEXEC,
				"The ELF file is no kernel: it is a program of an operating system (program header %d is PT_INTERP)",
				n);
	if (segment->type == PT_LOAD && segment->file_size > segment->size)
		return vmx_fail(ENOEXEC,
				"ELF program header %d is damaged: %#llx bytes in the file exceed %#llx in memory",
				n, (unsigned long long)segment->file_size,
				(unsigned long long)segment->size);
	return image_has(boot, segment->offset, segment->file_size,
			 segment->type == PT_LOAD ? "ELF segment" : "ELF note");
}

static int read_segments(const struct vmx_boot *boot, struct elf *elf, const struct table *table)
{
	struct elf_segment segment;
	uint64_t size = (uint64_t)table->entry_size * table->count;
	int error = image_has(boot, table->offset, size, "table of program headers");

	for (int n = 0; !error && n < table->count; n++) {
		error = read_segment(boot, elf->wide,
				     table->offset + (uint64_t)n * table->entry_size, &segment);
		if (error || (segment.type != PT_LOAD && segment.type != PT_NOTE &&
			      segment.type != PT_INTERP))
			continue;
		error = check_segment(boot, &segment, n);
		if (error)
			break;
		if (elf->count == ELF_SEGMENTS)
			return vmx_fail(EOPNOTSUPP, "The kernel has more than %d ELF segments",
					ELF_SEGMENTS);
		elf->segments[elf->count++] = segment;
	}
	return error;
}

int elf_read(const struct vmx_boot *boot, struct elf *elf)
{
	unsigned char ident[EI_NIDENT];
	struct table table = {};
	size_t entry_size;
	int error = image_read(boot, 0, ident, sizeof(ident), "ELF header");

	*elf = (struct elf){};
	if (error)
		return error;
	if (memcmp(ident, ELFMAG, SELFMAG))
		return vmx_fail(ENOEXEC,
				"The kernel image is no ELF file: no \"\\177ELF\" at byte 0");
	elf->wide = ident[EI_CLASS] == ELFCLASS64;
	if (!elf->wide && ident[EI_CLASS] != ELFCLASS32)
		return vmx_fail(ENOEXEC, "ELF class %u at byte %d is damaged: it must be 1 or 2",
				ident[EI_CLASS], EI_CLASS);
	if (ident[EI_DATA] != ELFDATA2LSB)
		return vmx_fail(ENOEXEC, "ELF data encoding %u at byte %d is not x86's, which is 1",
				ident[EI_DATA], EI_DATA);
	error = elf->wide ? read_header64(boot, elf, &table) : read_header32(boot, elf, &table);
	if (error)
		return error;
	entry_size = elf->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	if (!table.count || table.entry_size < entry_size)
		return vmx_fail(ENOEXEC,
				"The ELF file has %u program headers of %u bytes; a kernel has at least one, of %zu bytes",
				table.count, table.entry_size, entry_size);
	return read_segments(boot, elf, &table);
}

int elf_plan(struct plan *plan, const struct vmx_boot *boot, const struct elf *elf,
	     uint64_t *highest)
{
	*highest = 0;
	for (unsigned int n = 0; n < elf->count; n++) {
		const struct elf_segment *segment = &elf->segments[n];
		int error;

		if (segment->type != PT_LOAD || !segment->size)
			continue;
		error = plan_at(plan, segment->phys, segment->size,
				(const unsigned char *)boot->kernel + segment->offset,
				segment->file_size, "kernel's segment");
		if (error)
			return error;
		if (segment->phys + segment->size > *highest)
			*highest = segment->phys + segment->size;
	}
	if (!*highest)
		return vmx_fail(ENOEXEC, "The ELF file has nothing to load");
	return 0;
}

/* The segment that an address is in, or NULL. */
static const struct elf_segment *find_segment(const struct elf *elf, uint64_t address, bool virt)
{
	for (unsigned int n = 0; n < elf->count; n++) {
		const struct elf_segment *segment = &elf->segments[n];
		uint64_t base = virt ? segment->virt : segment->phys;

		if (segment->type == PT_LOAD && address >= base && address - base < segment->size)
			return segment;
	}
	return NULL;
}

/* Linux's is a physical address already; others have a virtual one. */
int elf_entry(const struct elf *elf, uint64_t *entry)
{
	const struct elf_segment *segment;

	*entry = elf->entry;
	if (!find_segment(elf, elf->entry, false)) {
		segment = find_segment(elf, elf->entry, true);
		if (!segment)
			return vmx_fail(ENOEXEC,
					"The ELF entry point %#llx (byte 0x18) is in no segment",
					(unsigned long long)elf->entry);
		*entry = segment->phys + (elf->entry - segment->virt);
	}
	if (*entry >= GIB_4)
		return vmx_fail(EOPNOTSUPP, "The ELF entry point %#llx is not below 4 GiB",
				(unsigned long long)*entry);
	return 0;
}

static int take_entry(const struct vmx_boot *boot, const struct elf *elf, uint64_t offset,
		      uint64_t size, uint32_t *entry)
{
	uint64_t value = 0;
	int error;

	if (size != 4 && size != 8)
		return vmx_fail(ENOEXEC, "The PVH note at %#llx has %llu bytes, not 4 or 8",
				(unsigned long long)offset, (unsigned long long)size);
	error = image_read(boot, offset, &value, size, "PVH note");
	if (error)
		return error;
	if (value >= GIB_4 || !find_segment(elf, value, false))
		return vmx_fail(ENOEXEC, "The PVH entry point %#llx (byte %#llx) is in no segment",
				(unsigned long long)value, (unsigned long long)offset);
	*entry = value;
	return 1;
}

/* Notes are a header, a name and a description; the latter begin aligned. */
static int search_notes(const struct vmx_boot *boot, const struct elf *elf,
			const struct elf_segment *segment, uint32_t *entry)
{
	const unsigned char *notes = (const unsigned char *)boot->kernel + segment->offset;
	uint64_t mask = segment->alignment == 8 ? 7 : 3;
	uint64_t at = 0;
	Elf64_Nhdr header;	/* the same in 32-bit files */

	while (inside(segment->file_size, at, sizeof(header))) {
		uint64_t name = at + sizeof(header);
		uint64_t description;

		memcpy(&header, notes + at, sizeof(header));
		description = (name + header.n_namesz + mask) & ~mask;
		if (!inside(segment->file_size, description, header.n_descsz))
			return vmx_fail(ENOEXEC,
					"The ELF note at byte %#llx is damaged: it goes past its segment's end",
					(unsigned long long)(segment->offset + at));
		if (header.n_type == NOTE_PHYS32_ENTRY && header.n_namesz == sizeof(NOTE_OWNER) &&
		    !memcmp(notes + name, NOTE_OWNER, sizeof(NOTE_OWNER)))
			return take_entry(boot, elf, segment->offset + description,
					  header.n_descsz, entry);
		at = (description + header.n_descsz + mask) & ~mask;
	}
	return 0;
}

int elf_pvh_entry(const struct vmx_boot *boot, const struct elf *elf, uint32_t *entry)
{
	int found = 0;

	for (unsigned int n = 0; !found && n < elf->count; n++)
		if (elf->segments[n].type == PT_NOTE)
			found = search_notes(boot, elf, &elf->segments[n], entry);
	return found;
}
